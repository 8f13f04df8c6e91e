//! Names: what may be one, and how a method is called in each language.

/// The longest name that the readers take: what is made of it still fits into a line.
pub(crate) const MAX_NAME: usize = 40;

/// Words that cannot be names in C or C++ (up to C++20), sorted.
const CPP_KEYWORDS: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
];

/// Words that cannot be names in Rust (edition 2024, reserved ones too), sorted.
const RUST_KEYWORDS: &[&str] = &[
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Words that the C++ layer, the C library or a compiler's own macros have taken, sorted.
const TAKEN: &[&str] = &[
    "EOF", "IN", "INOUT", "NULL", "OUT", "assert", "chi", "errno", "hipc", "linux", "std",
    "stderr", "stdin", "stdout", "unix",
];

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
    if TAKEN.contains(&name) {
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
    // What the generated C++ calls `runtime.X(...)` and `client.X(...)` would be something else.
    const TAKEN: &[&str] = &[
        "kAlloc",
        "kClient",
        "kContainer",
        "kCreateLocalQueue",
        "kCreatePool",
        "kDel",
        "kDestroyPool",
        "kGetLane",
        "kGetLaneByHash",
        "kInit",
        "kMethod",
        "kMonitor",
        "kRun",
        "kRuntime",
        "kSelf",
        "kSuper",
        "kCrate",
        "kTask",
    ];
    TAKEN
        .contains(&name)
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
    fn methods_have_names_of_their_own_kind() {
        for name in ["kPut", "kPutAll2", "kURL", "kA"] {
            assert_eq!(refuse_method(name), None, "{name}");
        }
        for name in ["Put", "kput", "k", "kPut_all", "k2d", "kRun", "kÄnder"] {
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
