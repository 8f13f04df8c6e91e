//! How users may write the name of a method.

/// Whether a method is meant: by its name, which may lack its `k` and be written in small letters with hyphens or
/// underscores, or by its number.
pub(crate) fn is_meant(name: &str, number: u64, wanted: &str) -> bool {
    let plain = wanted.replace(['_', '-'], "");
    name == wanted
        || number.to_string() == wanted
        || name.eq_ignore_ascii_case(&plain)
        || name.get(1..).is_some_and(|stem| stem.eq_ignore_ascii_case(&plain))
}
