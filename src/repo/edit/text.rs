//! Edits text that a person wrote, and preserves its form: line endings, byte order mark, and a
//! missing newline at the end.

const MARK: &str = "\u{feff}";

/// The text of a file.
pub(super) struct SourceText(String);

impl SourceText {
    pub(super) fn new(text: String) -> SourceText {
        SourceText(text)
    }

    /// The text as it is stored in the file.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without its byte order mark and with `\n` line endings. [`insert`](Self::insert)
    /// takes positions in this text.
    pub(super) fn normalized(&self) -> String {
        self.0.strip_prefix(MARK).unwrap_or(&self.0).replace("\r\n", "\n")
    }

    /// Inserts `code`, whose lines end in `\n`, at a position in the normalized text.
    pub(super) fn insert(&mut self, at: usize, code: &str) {
        let at = self.position(at);
        let code = with_ends(code, ends_with_return(&self.0));
        self.0.insert_str(at, &code);
    }

    /// Inserts lines after the first `after` lines. If the text does not end with a newline, it
    /// still does not afterwards.
    pub(super) fn insert_lines(&mut self, after: usize, lines: &str) {
        let text = self.normalized();
        let at: usize = text.split_inclusive('\n').take(after).map(str::len).sum();
        match at == text.len() && !text.is_empty() && !text.ends_with('\n') {
            true => self.insert(at, &format!("\n{lines}")),
            false => self.insert(at, &format!("{lines}\n")),
        }
    }

    /// Translates a position in the normalized text to one in the stored text.
    fn position(&self, at: usize) -> usize {
        let start = if self.0.starts_with(MARK) { MARK.len() } else { 0 };
        let bytes = &self.0.as_bytes()[start..];
        let mut left = at;
        for (index, byte) in bytes.iter().enumerate() {
            if left == 0 {
                return start + index;
            }
            if !(*byte == b'\r' && bytes.get(index + 1) == Some(&b'\n')) {
                left -= 1;
            }
        }
        self.0.len()
    }
}

/// A generated text with the byte order mark and the line endings of the file it replaces: a
/// checkout may have converted them.
pub(super) fn in_form_of(old: &[u8], new: &str) -> String {
    let mark = if old.starts_with(MARK.as_bytes()) { MARK } else { "" };
    let old = String::from_utf8_lossy(old);
    format!("{mark}{}", with_ends(new, ends_with_return(&old)))
}

/// Whether most lines end in `\r\n`.
fn ends_with_return(text: &str) -> bool {
    text.matches("\r\n").count() * 2 > text.matches('\n').count()
}

fn with_ends(text: &str, with_return: bool) -> String {
    match with_return {
        true => text.replace('\n', "\r\n"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, change: impl Fn(&mut SourceText)) -> String {
        let mut text = SourceText::new(text.to_owned());
        change(&mut text);
        text.0
    }

    #[test]
    fn what_is_put_in_has_the_ends_of_the_other_lines() {
        let put = |text: &mut SourceText| {
            let at = text.normalized().find("c\n").unwrap();
            text.insert(at, "b\n");
        };
        assert_eq!(after("a\nc\n", put), "a\nb\nc\n");
        assert_eq!(after("a\r\nc\r\n", put), "a\r\nb\r\nc\r\n");
        assert_eq!(after("\u{feff}a\r\nc\r\n", put), "\u{feff}a\r\nb\r\nc\r\n");
        assert_eq!(after("a\r\nx\r\nc\n", put), "a\r\nx\r\nb\r\nc\n", "others stay as they are");
    }

    #[test]
    fn a_position_before_the_end_of_a_line_is_before_all_of_it() {
        assert_eq!(after("a\r\nb\r\n", |text| text.insert(1, "!")), "a!\r\nb\r\n");
    }

    #[test]
    fn a_last_line_without_an_end_stays_one() {
        for (text, want) in
            [("a", "a\nb"), ("a\n", "a\nb\n"), ("a\r\nz", "a\r\nz\r\nb"), ("", "b\n")]
        {
            assert_eq!(after(text, |text| text.insert_lines(9, "b")), want);
        }
        assert_eq!(after("\u{feff}a\nz", |text| text.insert_lines(0, "b")), "\u{feff}b\na\nz");
        assert_eq!(after("a\nz", |text| text.insert_lines(1, "b")), "a\nb\nz");
    }

    #[test]
    fn a_generated_file_keeps_the_form_it_was_checked_out_in() {
        assert_eq!(in_form_of(b"", "a\nb\n"), "a\nb\n");
        assert_eq!(in_form_of(b"x\r\n", "a\nb\n"), "a\r\nb\r\n");
        assert_eq!(in_form_of(b"\xef\xbb\xbfx\n", "a\n"), "\u{feff}a\n");
    }
}
