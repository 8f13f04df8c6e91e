//! The names of functions as their source code spells them.

use cpp_demangle::{DemangleOptions, Symbol};

/// Replaces the symbols of C++ and Rust functions in a text, such as a backtrace, by the functions'
/// names.
pub fn demangle(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '@');
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        told += &name(&rest[..len]).unwrap_or_else(|| rest[..len].to_owned());
        rest = &rest[len..];
        let len = rest.find(is_part).unwrap_or(rest.len());
        told += &rest[..len];
        rest = &rest[len..];
    }
    told
}

/// The name of the function with a symbol, without parameters; `None` if the symbol is not mangled.
fn name(symbol: &str) -> Option<String> {
    if !symbol.starts_with("_Z") && !symbol.starts_with("_R") {
        return None;
    }
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        // Without the hash.
        return Some(format!("{name:#}"));
    }
    let options = DemangleOptions::new().no_params().no_return_type();
    Symbol::new(symbol).ok()?.demangle_with_options(&options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_become_names_and_the_rest_stays() {
        let text = " 0: _ZN4test5crash4MakeEm+0x27 (lib_Z.so+0x2957)\n\
                    1: _ZN16chimaera_runtime9scheduler4path5place17hc26ea77e62d52ec3E+0x92 (é_Z)\n\
                    2: memcpy+0x3 (libc.so.6+0x88)";
        let told = " 0: test::crash::Make+0x27 (lib_Z.so+0x2957)\n\
                    1: chimaera_runtime::scheduler::path::place+0x92 (é_Z)\n\
                    2: memcpy+0x3 (libc.so.6+0x88)";
        assert_eq!(demangle(text), told);
    }
}
