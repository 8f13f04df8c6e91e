//! Breaking lines as clang-format does in the style of this project's C++.

/// The longest line.
pub(crate) const WIDTH: usize = 100;

/// A call as a statement: `head` ends with the opening bracket, `tail` begins with the closing one.
/// In one line if it fits, else with its arguments below each other's first, or in lines of their own
/// when that takes fewer.
pub(crate) fn call(indent: usize, head: &str, args: &[&str], tail: &str) -> String {
    broken(indent, head, args, tail, 1)
}

/// The first line, or lines, of a function: as a call, but lines of their own must save more.
pub(crate) fn declaration(indent: usize, head: &str, args: &[&str], tail: &str) -> String {
    broken(indent, head, args, tail, 3)
}

fn broken(indent: usize, head: &str, args: &[&str], tail: &str, saved: usize) -> String {
    let aligned = fill(indent, head, args, tail, indent + head.len(), false);
    let below = fill(indent, head, args, tail, indent + 4, true);
    let lines = |text: &str| text.matches('\n').count();
    match (fits(&aligned), fits(&below)) {
        (true, true) if lines(&below) + saved <= lines(&aligned) => below,
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

/// `left = call(args);`: when it does not fit, what is right of the sign goes below, unless that takes
/// more lines.
pub(crate) fn assignment(indent: usize, left: &str, head: &str, args: &[&str]) -> String {
    let beside = call(indent, &format!("{left} = {head}"), args, ");");
    let right = call(indent + 4, head, args, ");");
    let below = format!("{}{left} =\n{right}", " ".repeat(indent));
    let lines = |text: &str| text.matches('\n').count();
    if lines(&beside) == 1 || fits(&beside) && lines(&beside) < lines(&below) {
        beside
    } else {
        below
    }
}

/// An assignment behind a condition: in its line if all fits, else below it.
pub(crate) fn condition(
    indent: usize,
    condition: &str,
    left: &str,
    head: &str,
    args: &[&str],
) -> String {
    let line = format!("{}{condition} {left} = {head}{});\n", " ".repeat(indent), args.join(", "));
    if line.len() <= WIDTH + 1 {
        return line;
    }
    format!("{}{condition}\n{}", " ".repeat(indent), assignment(indent + 2, left, head, args))
}

/// A comment of C, which `open` (`/*` or `/**`) begins, in as many lines as it takes.
pub(crate) fn comment(indent: usize, text: &str, open: &str) -> String {
    let space = " ".repeat(indent);
    let text = text.replace("*/", "* /");
    let line =
        format!("{space}{open} {} */\n", text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.len() <= WIDTH + 1 {
        return line;
    }
    let mut lines = vec![format!("{space}{open}")];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        // Room for the end of the comment, in whichever line that will be.
        if lines[last].len() + 1 + word.len() + 3 > WIDTH && lines[last].trim() != "*" {
            lines.push(format!("{space} *"));
        }
        let last = lines.len() - 1;
        lines[last] += &format!(" {word}");
    }
    lines.join("\n") + " */\n"
}

/// The words of a comment in lines of at most `width`, unless a word is longer.
pub(crate) fn comment_lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.replace("*/", "* /").split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.len() + 1 + word.len() <= width => *last += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
