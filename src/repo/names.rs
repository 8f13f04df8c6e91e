//! Names: what may be one, and how a method is called in each language.

use crate::reserved_words::{CPP_KEYWORDS, C_LIBRARY, MACROS, METHODS, RUST_KEYWORDS, TAKEN};

/// The file that makes a directory a repo.
pub const REPO_FILE: &str = "chimaera_repo.yaml";
/// The file that makes a directory in a repo a module.
pub const MODULE_FILE: &str = "chimaera_mod.yaml";

/// The longest name that the readers take: what is made of it still fits into a line.
pub(crate) const MAX_NAME: usize = 40;

/// Whether a word cannot be a name in Rust.
pub(crate) fn is_rust_keyword(word: &str) -> bool {
    RUST_KEYWORDS.binary_search(&word).is_ok()
}

/// Why `name` cannot be the name of a namespace, a module, a struct or a field.
pub(crate) fn refuse_name(name: &str) -> Option<String> {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    if !starts || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Some("is no name: letters, digits and `_` make one, a letter comes first".into());
    }
    if name.contains("__") || name.ends_with('_') {
        return Some("has a `_` too many: C++ keeps names with `__` for itself".into());
    }
    if name.len() > MAX_NAME {
        return Some(format!("has {} characters, more than {MAX_NAME}", name.len()));
    }
    if TAKEN.contains(&name) || MACROS.contains(&name) {
        return Some("has another meaning in C++ already".into());
    }
    let languages = match (CPP_KEYWORDS.binary_search(&name).is_ok(), is_rust_keyword(name)) {
        (true, true) => "C++ and of Rust",
        (true, false) => "C++",
        (false, true) => "Rust",
        (false, false) => return None,
    };
    Some(format!("is a keyword of {languages}"))
}

/// Why `name` cannot be the name of a namespace, which in C++ lies beside the C library's functions.
pub(crate) fn refuse_namespace(name: &str) -> Option<String> {
    refuse_name(name).or_else(|| {
        C_LIBRARY
            .binary_search(&name)
            .is_ok()
            .then(|| "has another meaning in the C library".into())
    })
}

/// Why `name` cannot be the name of a method.
pub(crate) fn refuse_method(name: &str) -> Option<String> {
    let stem = name.strip_prefix('k').unwrap_or("");
    let starts = stem.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    if !starts || !stem.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Some(
            "is not the name of a method: those are a `k` and words that begin with capitals"
                .into(),
        );
    }
    if name.len() > MAX_NAME {
        return Some(format!("has {} characters, more than {MAX_NAME}", name.len()));
    }
    if MACROS.contains(&stem) {
        return Some(format!("cannot be had: `{stem}` has another meaning in C++ already"));
    }
    METHODS
        .contains(&stem)
        .then(|| format!("cannot be had: containers and clients have a `{stem}` of another kind"))
}

/// A method's name as near as can be to what somebody wrote: `put_all` → `kPutAll`.
pub(crate) fn method_name_from(text: &str) -> Option<String> {
    let mut name = String::from("k");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        let word = match word.strip_prefix('k') {
            Some(rest) if index == 0 && rest.starts_with(|c: char| c.is_ascii_uppercase()) => rest,
            _ => word,
        };
        let mut letters = word.chars();
        name.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        name.extend(letters);
    }
    refuse_method(&name).is_none().then_some(name)
}

/// `kPutAll` → `put_all`, `kGetURL2` → `get_url2`.
pub(crate) fn snake(method: &str) -> String {
    let stem: Vec<char> = method.strip_prefix('k').unwrap_or(method).chars().collect();
    let mut name = String::new();
    for (index, c) in stem.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| stem[index]);
        let after = stem.get(index + 1);
        let begins = c.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase)
            });
        if begins {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// `kPutAll` → `PUT_ALL`.
pub(crate) fn shouted(method: &str) -> String {
    snake(method).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_for_the_search() {
        assert!(CPP_KEYWORDS.is_sorted());
        assert!(RUST_KEYWORDS.is_sorted());
        assert!(C_LIBRARY.is_sorted());
    }

    #[test]
    fn names_are_refused_for_a_reason() {
        assert_eq!(refuse_name("kv"), None);
        assert_eq!(refuse_name("Mod2_a"), None);
        for (name, why) in [
            ("", "is no name"),
            ("2d", "is no name"),
            ("_a", "is no name"),
            ("k-v", "is no name"),
            ("größe", "is no name"),
            ("a__b", "`_` too many"),
            ("a_", "`_` too many"),
            ("template", "keyword of C++"),
            ("match", "keyword of Rust"),
            ("static", "keyword of C++ and of Rust"),
        ] {
            assert!(refuse_name(name).unwrap().contains(why), "{name}");
        }
    }

    #[test]
    fn a_namespace_is_no_function_of_c() {
        assert_eq!(refuse_namespace("example"), None);
        for name in ["time", "index", "free", "log", "abi", "main", "std", "2d"] {
            assert!(refuse_namespace(name).is_some(), "{name}");
        }
        assert_eq!(refuse_name("time"), None, "a module lies in its repo's namespace");
    }

    #[test]
    fn methods_have_names_of_their_own_kind() {
        for name in ["kPut", "kPutAll2", "kURL", "kA"] {
            assert_eq!(refuse_method(name), None, "{name}");
        }
        for name in ["Put", "kput", "k", "kPut_all", "k2d", "kRun", "kIN", "kÄnder"] {
            assert!(refuse_method(name).is_some(), "{name}");
        }
        assert_eq!(method_name_from("put_all").as_deref(), Some("kPutAll"));
        assert_eq!(method_name_from("kPut_all").as_deref(), Some("kPutAll"));
        assert_eq!(method_name_from("Compress").as_deref(), Some("kCompress"));
        assert_eq!(method_name_from("-"), None);
    }

    #[test]
    fn names_in_rust() {
        for (name, want) in [
            ("kPut", "put"),
            ("kPutAll", "put_all"),
            ("kGetURL", "get_url"),
            ("kURLOf", "url_of"),
            ("kPut2All", "put2_all"),
            ("kA", "a"),
        ] {
            assert_eq!(snake(name), want);
        }
        assert_eq!(shouted("kPutAll"), "PUT_ALL");
    }
}
