//! The templates of generated files, of new repos and modules, and of the code for a new method.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

/// The longest line of a comment.
pub(crate) const WIDTH: usize = 100;

macro_rules! templates {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("templates/", $name, ".j2")))),*]
    };
}

const TEMPLATES: &[(&str, &str)] = templates![
    "generated/c/described.h",
    "generated/c/fields",
    "generated/c/foot",
    "generated/c/head",
    "generated/c/tasks_c.h",
    "generated/cpp/described_client.h",
    "generated/cpp/described_tasks.h",
    "generated/cpp/fields",
    "generated/cpp/lib_exec.h",
    "generated/cpp/methods.h",
    "generated/cpp/struct_body.h",
    "generated/cpp/tasks.h",
    "method/client.h",
    "method/client.rs",
    "method/runtime.cc",
    "method/runtime.rs",
    "method/task.h",
    "method/task.rs",
    "new/chimaera_mod.yaml",
    "new/cpp/CMakeLists.txt",
    "new/cpp/client.cc",
    "new/cpp/client.h",
    "new/cpp/described/client.h",
    "new/cpp/described/src_CMakeLists.txt",
    "new/cpp/runtime.cc",
    "new/cpp/src_CMakeLists.txt",
    "new/cpp/tasks.h",
    "new/cpp/test.cc",
    "new/cpp/test_CMakeLists.txt",
    "new/repo/CMakeLists.txt",
    "new/repo/Cargo.toml",
    "new/repo/chimaera_repo.yaml",
    "new/rust/client.rs",
    "new/rust/client.toml",
    "new/rust/client_build.rs",
    "new/rust/described/client.rs",
    "new/rust/runtime.rs",
    "new/rust/runtime.toml",
    "new/rust/runtime_build.rs",
    "new/rust/test.rs",
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_keep_trailing_newline(true);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.add_filter("comment", comment);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).unwrap_or_else(|error| panic!("{error:#}"));
    }
    environment
});

/// Renders a template. Both the templates and their contexts are part of this program, so a
/// template that cannot be rendered is a bug.
pub(crate) fn fill(name: &str, with: Value) -> String {
    let template = ENVIRONMENT.get_template(name).unwrap_or_else(|error| panic!("{error:#}"));
    template.render(with).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The filter `comment`: a C comment, indented to a column and wrapped.
fn comment(text: &str, column: Option<usize>) -> String {
    let margin = " ".repeat(column.unwrap_or(0));
    let room = WIDTH - margin.len() - "/** ".len() - " */".len();
    let lines = comment_lines(text, room);
    format!("/** {} */", lines.join(&format!("\n{margin} * ")))
}

/// The words of a comment, wrapped into lines of at most `width` unless a single word is longer.
pub(crate) fn comment_lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.replace("*/", "* /").split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.len() + 1 + word.len() <= width => *last += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_stays_within_the_width_and_ends_once() {
        assert_eq!(comment("one */ two", None), "/** one * / two */");
        let long = comment(&"word ".repeat(60), Some(2));
        assert!(long.lines().all(|line| line.len() <= WIDTH), "{long}");
        assert!(long.lines().skip(1).all(|line| line.starts_with("   * word")), "{long}");
    }
}
