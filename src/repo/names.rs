//! Names: which are allowed, and how a method is spelled in each language.

use crate::macros::macros_with;
use crate::reserved_words::{CPP_KEYWORDS, C_LIBRARY, DIRECTORIES, METHODS, RUST_KEYWORDS, TAKEN};

/// The file that marks a directory as a repo.
pub const REPO_FILE: &str = "chimaera_repo.yaml";
/// The file that marks a directory in a repo as a module.
pub const MODULE_FILE: &str = "chimaera_mod.yaml";

/// The longest name allowed: names derived from it still fit into a line.
pub(crate) const MAX_NAME: usize = 40;

/// Whether a word is a keyword in Rust, and so cannot be a name.
pub(crate) fn is_rust_keyword(word: &str) -> bool {
    RUST_KEYWORDS.binary_search(&word).is_ok()
}

/// Why `name` cannot be the name of a namespace, a module, a struct or a field.
pub(crate) fn refuse_name(name: &str) -> Option<String> {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    if !starts || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Some(
            "is not a valid name: use letters, digits and `_`, with a letter first".into(),
        );
    }
    if name.contains("__") || name.ends_with('_') {
        return Some("has a `_` too many: C++ reserves names with `__`".into());
    }
    if name.len() > MAX_NAME {
        return Some(format!("has {} characters, more than {MAX_NAME}", name.len()));
    }
    if ["FALSE", "False", "NULL", "Null", "TRUE", "True"].contains(&name) {
        return Some("is not a string in YAML unless it is quoted".into());
    }
    if TAKEN.contains(&name) {
        return Some("already has a meaning in C++".into());
    }
    let capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if name.split_once('_').is_some_and(|(first, _)| first.bytes().all(capital)) {
        return Some("begins with capitals and `_`, as C macros do".into());
    }
    if let Some(macros) = macros_with(name) {
        return Some(format!("is, or may be, a macro of {}", macros.of));
    }
    let languages = match (CPP_KEYWORDS.binary_search(&name).is_ok(), is_rust_keyword(name)) {
        (true, true) => "C++ and Rust",
        (true, false) => "C++",
        (false, true) => "Rust",
        (false, false) => return None,
    };
    Some(format!("is a keyword in {languages}"))
}

/// Why `name` cannot be the name of a namespace. In C++ the namespace is declared beside the
/// functions of the C library.
pub(crate) fn refuse_namespace(name: &str) -> Option<String> {
    refuse_name(name).or_else(|| {
        C_LIBRARY
            .binary_search(&name)
            .is_ok()
            .then(|| "already has a meaning in the C library".into())
    })
}

/// Why `name` cannot be the namespace of a repo other than Chimaera's own: installing it would
/// replace Chimaera's package, headers and modules. Crates and some file systems do not
/// distinguish small letters from capitals.
pub(crate) fn refuse_own_namespace(name: &str) -> Option<String> {
    name.eq_ignore_ascii_case("chimaera").then(|| "belongs to Chimaera's own modules".into())
}

/// Why a module's directory in a repo cannot have this name: the builds of the repo put something
/// else there, or at this place in the build directory.
pub(crate) fn refuse_directory(name: &str) -> Option<String> {
    let (_, of) = DIRECTORIES.iter().find(|(taken, _)| taken.eq_ignore_ascii_case(name))?;
    Some(format!("is the name of {of}"))
}

/// Why `name` cannot be the name of a method.
pub(crate) fn refuse_method(name: &str) -> Option<String> {
    let stem = name.strip_prefix('k').unwrap_or("");
    let starts = stem.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    if !starts || !stem.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Some(
            "is not a valid method name: write a `k` and words that begin with capitals".into(),
        );
    }
    if name.len() > MAX_NAME {
        return Some(format!("has {} characters, more than {MAX_NAME}", name.len()));
    }
    if let Some(macros) = macros_with(stem) {
        return Some(format!("cannot be used: `{stem}` is, or may be, a macro of {}", macros.of));
    }
    METHODS
        .contains(&stem)
        .then(|| format!("cannot be used: containers and clients already have another `{stem}`"))
}

/// The method name made of these words: `put_all` → `kPutAll`. `None` for a text that was probably
/// meant to be a method name already, such as `kput_all`, or that has other characters.
pub(crate) fn method_name_from(text: &str) -> Option<String> {
    if refuse_method(text).is_none() {
        return Some(text.to_owned());
    }
    if text.starts_with('k') {
        return None;
    }
    capitalized(text)
}

/// The method name that `text` was probably meant to be: `kput_all` → `kPutAll`.
pub(crate) fn method_name_near(text: &str) -> Option<String> {
    capitalized(text.strip_prefix('k').unwrap_or(text))
}

/// What to write instead of `text`, which is not a method name.
pub(crate) fn method_name_help(text: &str) -> Option<String> {
    let name = method_name_near(text)?;
    let mut help = format!("did you mean `{name}`?");
    if text.starts_with('k') && text[1..].starts_with(|c: char| c.is_ascii_lowercase()) {
        if let Some(word) = capitalized(text) {
            help += &format!(" for a word that begins with a k, write `{word}`");
        }
    }
    Some(help)
}

/// `put_all` → `kPutAll`, if that is a valid method name.
fn capitalized(text: &str) -> Option<String> {
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || "_- ".contains(c)) {
        return None;
    }
    let mut name = String::from("k");
    for word in text.split(['_', '-', ' ']) {
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
            ("", "is not a valid name"),
            ("2d", "is not a valid name"),
            ("_a", "is not a valid name"),
            ("k-v", "is not a valid name"),
            ("größe", "is not a valid name"),
            ("a__b", "`_` too many"),
            ("a_", "`_` too many"),
            ("template", "keyword in C++"),
            ("match", "keyword in Rust"),
            ("static", "keyword in C++ and Rust"),
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
        assert_eq!(refuse_name("time"), None, "a module is inside its repo's namespace");
    }

    #[test]
    fn methods_have_names_of_their_own_kind() {
        for name in ["kPut", "kPutAll2", "kURL", "kA"] {
            assert_eq!(refuse_method(name), None, "{name}");
        }
        for name in ["Put", "kput", "k", "kPut_all", "k2d", "kRun", "kIN", "kÄnder"] {
            assert!(refuse_method(name).is_some(), "{name}");
        }
        for (text, name) in [
            ("put_all", "kPutAll"),
            ("Compress", "kCompress"),
            ("kPut", "kPut"),
            ("sub-mit", "kSubMit"),
        ] {
            assert_eq!(method_name_from(text).as_deref(), Some(name));
        }
        for text in
            ["-", "kchecksum", "kPut_all", "k", "kÄ", "ändern", "kFoo Bar", "kSub-mit", "a.b"]
        {
            assert_eq!(method_name_from(text), None, "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_method_name_gets_a_suggestion() {
        for (text, help) in [
            ("kPut_all", "did you mean `kPutAll`?"),
            ("kFoo Bar", "did you mean `kFooBar`?"),
            ("kSub-mit", "did you mean `kSubMit`?"),
            (
                "kchecksum",
                "did you mean `kChecksum`? for a word that begins with a k, write `kKchecksum`",
            ),
            (
                "kst_mtime",
                "did you mean `kStMtime`? for a word that begins with a k, write `kKstMtime`",
            ),
            ("Checksum", "did you mean `kChecksum`?"),
        ] {
            assert_eq!(method_name_help(text).as_deref(), Some(help));
        }
        for text in ["k", "kÄ", "kIN", "k2d"] {
            assert_eq!(method_name_help(text), None, "{text}");
        }
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
