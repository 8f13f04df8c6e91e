//! Numbers with units.

/// Units with their size in the smallest unit, the largest first.
pub(crate) type Units = &'static [(&'static str, u64)];

/// Of sizes, in bytes.
pub(crate) const SIZES: Units =
    &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Of times, in nanoseconds.
pub(crate) const TIMES: Units = &[
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Other spellings of units, in lower case, with the unit that is meant.
const MEANT: &[(&str, &str)] = &[
    ("b", "B"),
    ("byte", "B"),
    ("bytes", "B"),
    ("k", "KiB"),
    ("kb", "KiB"),
    ("kib", "KiB"),
    ("m", "MiB"),
    ("mb", "MiB"),
    ("mib", "MiB"),
    ("g", "GiB"),
    ("gb", "GiB"),
    ("gib", "GiB"),
    ("t", "TiB"),
    ("tb", "TiB"),
    ("tib", "TiB"),
    ("nsec", "ns"),
    ("ns", "ns"),
    ("µs", "us"),
    ("μs", "us"),
    ("usec", "us"),
    ("us", "us"),
    ("msec", "ms"),
    ("ms", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("s", "s"),
    ("m", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("min", "min"),
    ("hour", "h"),
    ("hours", "h"),
    ("h", "h"),
];

/// What is wrong, and how to fix it.
pub(crate) type Wrong = (String, String);

/// Parses a number with a unit, and converts it to the smallest unit.
pub(crate) fn parse(text: &str, units: Units) -> Result<u64, Wrong> {
    let all = || units.iter().rev().map(|unit| unit.0).collect::<Vec<_>>().join(", ");
    let like = || format!("write a number and a unit, one of {}", all());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start_matches([' ', '\t']));
    let shown = chimaera_yaml::shown(text);
    if number.is_empty() {
        return Err((format!("\"{shown}\" does not start with a number"), like()));
    }
    let meant = || {
        let small = unit.to_lowercase();
        let mut meant = MEANT.iter().filter(|(word, _)| *word == small).map(|(_, unit)| *unit);
        meant.find(|unit| units.iter().any(|known| known.0 == *unit))
    };
    if unit.is_empty() {
        return Err((format!("{shown} has no unit"), like()));
    }
    let Some((_, factor)) = units.iter().find(|known| known.0 == unit) else {
        let help = meant().map_or_else(like, |unit| format!("write {number}{unit}"));
        return Err((format!("\"{shown}\" has an unknown unit"), help));
    };
    if number.contains('.') {
        return Err((
            format!("{shown} is not a whole number"),
            "write a whole number, in a smaller unit if need be".into(),
        ));
    }
    let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    value.ok_or_else(|| (format!("{shown} is too large"), "write a smaller value".into()))
}

/// Parses a size such as `64MiB` into bytes. Errors: what is wrong with it, and what to write.
///
/// ```
/// assert_eq!(chimaera_config::parse_size("4KiB"), Ok(4096));
/// assert_eq!(chimaera_config::parse_size("4").unwrap_err(),
///            "4 has no unit; write a number and a unit, one of B, KiB, MiB, GiB, TiB");
/// ```
pub fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, SIZES).map_err(|(wrong, help)| format!("{wrong}; {help}"))
}

/// A size in the largest unit in which it is whole.
pub fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

/// A number in the largest unit in which it is whole.
pub(crate) fn show(value: u64, units: Units) -> String {
    let whole = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = *whole.unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_go_there_and_back() {
        for (text, units, want) in [
            ("64MiB", SIZES, 64 << 20),
            ("1025B", SIZES, 1025),
            ("2TiB", SIZES, 2 << 40),
            ("0B", SIZES, 0),
            ("50us", TIMES, 50_000),
            ("90s", TIMES, 90_000_000_000),
            ("2h", TIMES, 7_200_000_000_000),
        ] {
            assert_eq!(parse(text, units), Ok(want));
            assert_eq!(show(want, units), text);
        }
        assert_eq!(parse("5 ms", TIMES), Ok(5_000_000));
    }

    #[test]
    fn what_was_meant_is_proposed() {
        for (text, units, want) in [
            ("64mb", SIZES, "write 64MiB"),
            ("64M", SIZES, "write 64MiB"),
            ("5m", TIMES, "write 5min"),
            ("5µs", TIMES, "write 5us"),
            ("5KiB", TIMES, "one of ns, us, ms, s, min, h"),
            ("64", SIZES, "one of B, KiB, MiB, GiB, TiB"),
            ("1.5GiB", SIZES, "a smaller unit"),
            ("-1s", TIMES, "a number and a unit"),
            ("99999999TiB", SIZES, "write a smaller value"),
            ("99999999999999999999B", SIZES, "write a smaller value"),
        ] {
            let help = parse(text, units).unwrap_err().1;
            assert!(help.contains(want), "{text}: {help}");
        }
    }
}
