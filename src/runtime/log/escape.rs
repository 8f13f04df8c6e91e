//! Escapes text from clients and modules, so that it cannot forge log lines or control a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// How much of one text the log shows, in bytes.
const SHOWN: usize = 16 << 10;

/// True for characters that end a line or change how others are displayed, or that have no width: control
/// characters, line and paragraph separators, those that control the direction of text (the property
/// Bidi_Control of Unicode), and the commonest without width that join nothing.
pub(crate) fn is_odd(c: char) -> bool {
    let controls_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let is_invisible = matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}');
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || controls_direction || is_invisible
}

/// The line with those characters escaped, except for a newline at its end.
pub(super) fn escaped(line: &str) -> Cow<'_, str> {
    let (text, end) = match line.strip_suffix('\n') {
        Some(text) => (text, "\n"),
        None => (line, ""),
    };
    match escape(text, is_odd) {
        Cow::Borrowed(_) => Cow::Borrowed(line),
        Cow::Owned(text) => Cow::Owned(text + end),
    }
}

/// Lines for a terminal, with those characters escaped, except for newlines and tabulators.
pub fn displayed(lines: &str) -> Cow<'_, str> {
    escape(lines, |c| is_odd(c) && !matches!(c, '\n' | '\t'))
}

fn escape(text: &str, is_odd: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_odd(c) {
            // Writing to a string does not fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The text, or only its beginning if it is very long.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN {
        return Cow::Borrowed(text);
    }
    let end = (0..=SHOWN).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    Cow::Owned(format!("{} ... ({} more bytes)", &text[..end], text.len() - end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_newline_ends_a_line() {
        assert_eq!(escaped("a plain line, Grüße\n"), "a plain line, Grüße\n");
        let odd = "a\nb\r\t\u{1b}[2J\u{7f}\u{9b}\0\u{2028}\u{202e}\n";
        let want = r"a\nb\r\t\u{1b}[2J\u{7f}\u{9b}\u{0}\u{2028}\u{202e}";
        assert_eq!(escaped(odd), format!("{want}\n"));
        assert_eq!(escaped("no end\r"), r"no end\r");
    }

    #[test]
    fn lines_for_a_terminal_stay_lines() {
        assert_eq!(
            displayed("\u{61c}\u{200f}\u{200b}\u{feff}"),
            r"\u{61c}\u{200f}\u{200b}\u{feff}"
        );
        assert_eq!(displayed("a\tb\nc\u{202e}d\u{1b}[2J\n"), "a\tb\nc\\u{202e}d\\u{1b}[2J\n");
    }

    #[test]
    fn what_is_very_long_is_cut_off() {
        assert_eq!(shortened("short"), "short");
        let text = "ü".repeat(SHOWN);
        let cut = shortened(&text);
        assert!(cut.ends_with(&format!("ü ... ({SHOWN} more bytes)")), "{}", cut.len());
        let odd = format!("x{text}");
        assert!(shortened(&odd).len() < SHOWN + 100);
    }
}
