//! Text in columns.

use chimaera_runtime::log::displayed;

/// The lines of a table, with the header first. Each ends with a newline, and every column is as
/// wide as its widest cell.
pub(crate) fn lines<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Vec<String> {
    let all = std::iter::once(head.map(str::to_owned)).chain(rows);
    // As wide as it will be displayed.
    let rows: Vec<[String; N]> =
        all.map(|row| row.map(|cell| displayed(&cell).into_owned())).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
