//! What was probably meant where a text is not YAML. The parser's own messages describe its state,
//! and often point to the line after the mistake.

use crate::problem::Position;

/// A mistake: where it is, what it is, and how to fix it.
type Mistake = (Position, &'static str, &'static str);

/// The common mistake that makes the parser fail at this position for this reason.
pub(crate) fn explain(text: &str, at: Position, reason: &str) -> Option<Mistake> {
    let lines: Vec<&str> = text.lines().collect();
    let index = at.line - 1;
    tab(&lines, index, reason)
        .or_else(|| bracket_in_text(lines.get(index)?, at))
        .or_else(|| colon_in_text(lines.get(index)?, at))
        .or_else(|| no_colon(&lines, index, reason))
}

/// A tab in the indentation of the line, or of the next one if the parser saw a tab there.
fn tab(lines: &[&str], index: usize, reason: &str) -> Option<Mistake> {
    let next = if reason.contains("tab") { index + 1 } else { index };
    (index..=next).find_map(|index| {
        let line = lines.get(index)?;
        let indent = &line[..line.len() - line.trim_start().len()];
        let column = indent.chars().position(|c| c == '\t')? + 1;
        let at = Position { line: index + 1, column };
        Some((at, "there is a tab in the indentation", "use spaces"))
    })
}

/// Unquoted text inside `{}` or `[]` that contains a bracket, which ends the text: `{type: u8[2]}`.
fn bracket_in_text(line: &str, at: Position) -> Option<Mistake> {
    let before: Vec<char> = line.chars().take(at.column).collect();
    let is_bracket = |c: &char| matches!(c, '[' | '{');
    let first = before.iter().position(is_bracket)?;
    let inside = before.windows(2).skip(first).position(|pair| {
        (pair[0].is_alphanumeric() || matches!(pair[0], '_' | '>')) && is_bracket(&pair[1])
    })?;
    let column = first + inside + 2;
    let quotes = before[..column].iter().filter(|c| matches!(c, '"' | '\'')).count();
    (quotes % 2 == 0).then_some((
        Position { line: at.line, column },
        "this bracket is inside unquoted text",
        "put the text in quotes",
    ))
}

/// Unquoted text that contains the colon that separates a key from its value.
fn colon_in_text(line: &str, at: Position) -> Option<Mistake> {
    // The parser fails at the second colon or right after it.
    let before: String = line.chars().take(at.column - 1).collect();
    let before = before.strip_suffix(':').unwrap_or(&before);
    let entry = before.rsplit(['{', '[', ',']).next()?;
    let (_, value) = entry.split_once(": ")?;
    (!value.trim().is_empty()).then_some((
        at,
        "this `:` is inside unquoted text",
        "put the text in quotes",
    ))
}

/// A line without a colon, before the line at which the parser fails.
fn no_colon(lines: &[&str], index: usize, reason: &str) -> Option<Mistake> {
    if !reason.contains("expect ':'") && !reason.contains("mapping values are not allowed") {
        return None;
    }
    let is_content = |line: &str| !line.is_empty() && !line.starts_with('#');
    let before = lines.get(..index)?;
    let last = before.iter().rposition(|line| is_content(line.trim()))?;
    let line = lines[last];
    let entry = line.trim_start();
    if entry.contains(':') || entry.starts_with(['-', '"', '\'', '{', '[', '|', '>']) {
        return None;
    }
    let column = line.chars().count() - entry.chars().count() + 1;
    Some((
        Position { line: last + 1, column },
        "a `:` is missing in this line",
        "write `KEY: VALUE`; text of several lines goes in quotes",
    ))
}

#[cfg(test)]
mod tests {
    use crate::{parse, Report};

    /// The problem of a text, without the name of the file.
    fn problem(text: &str) -> String {
        let mut report = Report::new("f".as_ref());
        parse(text.as_bytes(), &mut report);
        report.finish(()).unwrap_err().to_string().replacen("f:", "", 1)
    }

    #[track_caller]
    fn assert_wants_quotes(text: &str, at: &str, what: &str) {
        let want = format!("{at}: {what} is inside unquoted text\n    put the text in quotes");
        assert_eq!(problem(text), want, "{text:?}");
    }

    #[test]
    fn a_text_with_a_colon_wants_quotes() {
        for (text, at) in [
            ("doc: A part: of\n", "1:12"),
            ("a:\n  doc: A part: of\nb: 1\n", "2:14"),
            ("fields:\n  - {name: x, doc: A part: of}\n", "2:26"),
            ("- a: b: c\n", "1:7"),
            ("doc: 'A': b\n", "1:9"),
        ] {
            assert_wants_quotes(text, at, "this `:`");
        }
    }

    #[test]
    fn a_text_with_a_bracket_wants_quotes() {
        for (text, at) in [
            ("fields:\n  - {name: x, type: u8[2], dir: in}\n", "2:23"),
            ("fields:\n  - {name: x[2], type: u8}\n", "2:13"),
            ("{a: vector<u8>[2], b: c}\n", "1:15"),
        ] {
            assert_wants_quotes(text, at, "this bracket");
        }
    }

    #[test]
    fn tabs_are_found_where_they_are() {
        for (text, at) in
            [("a:\n\tb: 1\n", "2:1"), ("a: 1\n\tb: 1\n", "2:1"), ("a: 1\nb: 2\n  \tc: 1\n", "3:3")]
        {
            let want = format!("{at}: there is a tab in the indentation\n    use spaces");
            assert_eq!(problem(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_missing_colon_is_reported_in_its_line() {
        for (text, at) in [
            ("namespace tools\nversion: 1.0.0\n", "1:1"),
            ("namespace: tools\nversion 1.0.0\n", "2:1"),
            ("a: 1\nkGreet 10\n\n# More.\ntasks:\n  kGreet: {}\n", "2:1"),
            ("tasks:\n  kA\n    fields: []\n", "2:3"),
        ] {
            let found = problem(text);
            assert!(found.starts_with(&format!("{at}: a `:` is missing")), "{text:?}: {found}");
        }
    }

    #[test]
    fn other_mistakes_are_in_the_words_of_the_parser() {
        for text in ["a: 'x\n", "{a: 1\nb: 2\n", "a: [1, 2\nb: 3\n", "a: 1\n b: 2\n"] {
            let found = problem(text);
            assert!(found.contains("this is not valid YAML"), "{text:?}: {found}");
        }
    }
}
