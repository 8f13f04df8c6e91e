//! Numbers: bounded ones on the command line, and counts in what is printed.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A parser of whole numbers whose errors state the valid range.
pub(crate) fn number<N>(range: RangeInclusive<N>) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("write a whole number from {} to {}", range.start(), range.end())),
    }
}

/// A count with its noun: "1 pool", "3 pools".
pub(crate) fn counted(count: &serde_json::Value, noun: &str) -> String {
    let s = if *count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// Parses a duration in seconds, which may have a fraction.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("write a number of seconds from 0.001 to 86400".to_owned()),
    }
}

/// Parses a time in milliseconds, which may have a fraction, into nanoseconds.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(ms) if (0.001..=86_400_000.0).contains(&ms) => Ok((ms * 1e6) as u64),
        _ => Err("write a number of milliseconds from 0.001 to 86400000".to_owned()),
    }
}

/// A time in nanoseconds with three digits: `850 ns`, `12.3 µs`, `1.20 ms`, `4.56 s`.
pub(crate) fn duration(ns: u64) -> String {
    match ns {
        0..1000 => format!("{ns} ns"),
        1000..1_000_000 => three_digits(ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => three_digits(ns as f64 / 1e6, "ms"),
        _ => three_digits(ns as f64 / 1e9, "s"),
    }
}

/// A number of bytes: `850 B`, `12.3 KiB`, `1.20 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut left = bytes as f64;
    for unit in UNITS {
        left /= 1024.0;
        if left < 1000.0 {
            return match bytes {
                0..1000 => format!("{bytes} B"),
                _ => three_digits(left, unit),
            };
        }
    }
    format!("{bytes} B")
}

fn three_digits(number: f64, unit: &str) -> String {
    match number {
        ..9.995 => format!("{number:.2} {unit}"),
        ..99.95 => format!("{number:.1} {unit}"),
        _ => format!("{number:.0} {unit}"),
    }
}

/// Seconds in words: `12 s`, `3 min`, `5 h`, `8 d`.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::{age, bytes, duration};

    #[test]
    fn times_and_sizes_have_three_digits() {
        let times = [0, 999, 1000, 12_345, 999_400, 1_200_000, 61_000_000_000].map(duration);
        assert_eq!(times, ["0 ns", "999 ns", "1.00 µs", "12.3 µs", "999 µs", "1.20 ms", "61.0 s"]);
        let sizes = [0, 999, 1000, 1024, 12_595, 1 << 20, 1 << 34, u64::MAX].map(bytes);
        let shown = [
            "0 B", "999 B", "0.98 KiB", "1.00 KiB", "12.3 KiB", "1.00 MiB", "16.0 GiB", "16.0 EiB",
        ];
        assert_eq!(sizes, shown);
    }

    #[test]
    fn ages_are_in_the_largest_unit_of_which_there_are_two() {
        let shown = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(age);
        assert_eq!(shown, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }
}
