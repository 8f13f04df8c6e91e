//! Text in columns.

use chimaera_runtime::log::displayed;
use unicode_width::UnicodeWidthStr;

/// The lines of a table, with the header first. Each ends with a newline, and every column is as
/// wide as its widest cell.
pub(crate) fn lines<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Vec<String> {
    any_lines(&head, rows.into_iter().map(Vec::from))
}

/// The same for a table whose number of columns is only known when it is made: each row has as many cells as the
/// header.
pub(crate) fn any_lines(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let all = std::iter::once(head).chain(rows);
    // As wide as it will be displayed.
    let shown = |row: Vec<String>| row.iter().map(|cell| displayed(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = all.map(shown).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    let widths: Vec<usize> = (0..rows[0].len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let padded = |(cell, &width): (&String, &usize)| {
            format!("{cell}{:1$}", "", width.saturating_sub(cell.width()))
        };
        let cells: Vec<String> = row.iter().zip(&widths).map(padded).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_as_they_are_displayed() {
        let rows = [["plain", "1"], ["キャッシュ", "2"], ["o\u{308}", "3"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let text = lines(["POOL", "ID"], rows).concat();
        assert_eq!(text, "POOL        ID\nplain       1\nキャッシュ  2\no\u{308}           3\n");
    }
}
