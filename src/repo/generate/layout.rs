//! Breaking lines as clang-format does in the style of this project's C++.

/// The longest line.
pub(crate) const WIDTH: usize = 100;

/// A call as a statement: `head` ends with the opening bracket, `tail` begins with the closing one.
/// In one line if it fits, else with its arguments below each other's first, or in lines of their own
/// when that takes fewer.
pub(crate) fn call(indent: usize, head: &str, args: &[&str], tail: &str) -> String {
    let aligned = fill(indent, head, args, tail, indent + head.len(), false);
    let below = fill(indent, head, args, tail, indent + 4, true);
    let lines = |text: &str| text.matches('\n').count();
    match (fits(&aligned), fits(&below)) {
        (true, true) if lines(&below) < lines(&aligned) => below,
        (false, true) => below,
        _ => aligned,
    }
}

fn fits(text: &str) -> bool {
    text.lines().all(|line| line.len() <= WIDTH)
}

/// As many arguments per line as there is room for, further lines beginning at `column`.
fn fill(
    indent: usize,
    head: &str,
    args: &[&str],
    tail: &str,
    column: usize,
    first_below: bool,
) -> String {
    let mut text = format!("{}{head}", " ".repeat(indent));
    let mut width = text.len();
    for (index, arg) in args.iter().enumerate() {
        let last = index + 1 == args.len();
        let end = if last { tail } else { "," };
        let gap = usize::from(index > 0);
        let wrap = match index {
            0 => first_below,
            _ => width + gap + arg.len() + end.len() > WIDTH,
        };
        if wrap {
            text += &format!("\n{}", " ".repeat(column));
            width = column;
        } else if gap > 0 {
            text.push(' ');
            width += 1;
        }
        text += arg;
        text += end;
        width += arg.len() + end.len();
    }
    text.push('\n');
    text
}
