//! Whole numbers in YAML.

use crate::tree::{Kind, Node};

/// The number in `node`; or what is wrong with it, and how to fix it.
pub fn integer(node: &Node) -> Result<i64, (String, String)> {
    let no_number = || format!("{} is not a whole number", node.describe());
    let Kind::Scalar { text, plain } = &node.kind else {
        return Err((no_number(), "write a number".into()));
    };
    let decimal = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = !decimal.is_empty() && decimal.bytes().all(|b| b.is_ascii_digit());
    if digits && !plain {
        return Err((
            format!("\"{text}\" is quoted, and so is a string"),
            "remove the quotes".into(),
        ));
    }
    if digits && decimal.len() > 1 && decimal.starts_with('0') {
        let meant = decimal.trim_start_matches('0');
        return Err((
            format!("{text} starts with a zero, which some YAML readers read as octal"),
            format!("write {} or another number", if meant.is_empty() { "0" } else { meant }),
        ));
    }
    if digits {
        return text.parse().map_err(|_| {
            (format!("{} is too large", node.describe()), "write a smaller number".into())
        });
    }
    let other = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix).filter(|_| *plain)?;
        i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['-', '+']))
    };
    other("0x", 16)
        .or_else(|| other("0o", 8))
        .ok_or_else(|| (no_number(), "write a number in digits".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Position;

    fn read(text: &str, plain: bool) -> Result<i64, String> {
        let kind = Kind::Scalar { text: text.into(), plain };
        integer(&Node { at: Position::START, kind }).map_err(|(message, _)| message)
    }

    #[test]
    fn numbers_are_those_of_yaml() {
        for (text, want) in
            [("10", 10), ("-1", -1), ("+7", 7), ("0", 0), ("0x1F", 31), ("0o17", 15)]
        {
            assert_eq!(read(text, true), Ok(want));
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_refused() {
        for text in ["", "ten", "1.0", "1e3", "0x", "0x-1", "--1", "010", "99999999999999999999"] {
            assert!(read(text, true).is_err(), "{text}");
        }
        assert_eq!(read("10", false), Err("\"10\" is quoted, and so is a string".into()));
    }
}
