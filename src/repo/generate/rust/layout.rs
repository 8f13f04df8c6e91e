//! Breaking lines as rustfmt does in the style of this project's Rust.

use std::fmt::Write;

use super::super::layout::WIDTH;
use crate::model::Field;

/// Longer lists of arguments take a line each, as rustfmt has it.
const ARGUMENTS: usize = 60;
/// The longest argument that shares a line then.
const SHORT: usize = 10;
/// The longest list of fields that shares a line with its struct.
const LITERAL: usize = 18;

/// A comment in front of something in Rust.
pub(crate) fn rust_comment(indent: usize, text: &str) -> String {
    let space = " ".repeat(indent);
    let mut lines = vec![format!("{space}///")];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].len() + 1 + word.len() > WIDTH && lines[last].trim() != "///" {
            lines.push(format!("{space}///"));
        }
        let last = lines.len() - 1;
        lines[last] += &format!(" {word}");
    }
    lines.join("\n") + "\n"
}

/// `use from::{...};`
pub(crate) fn imports(from: &str, names: &[&str]) -> String {
    let line = match names {
        [one] => format!("use {from}::{one};\n"),
        _ => format!("use {from}::{{{}}};\n", names.join(", ")),
    };
    if line.len() <= WIDTH + 1 {
        return line;
    }
    format!("use {from}::{{\n{}}};\n", filled(4, names))
}

/// A list in lines as full as rustfmt makes them.
fn filled(indent: usize, items: &[&str]) -> String {
    // It keeps two columns free.
    let room = WIDTH - 2;
    let mut lines = vec![" ".repeat(indent)];
    for item in items {
        let last = lines.len() - 1;
        let gap = usize::from(lines[last].len() > indent);
        if gap + lines[last].len() + item.len() + 1 > room {
            lines.push(" ".repeat(indent));
        }
        let last = lines.len() - 1;
        let gap = if lines[last].len() > indent { " " } else { "" };
        lines[last] += &format!("{gap}{item},");
    }
    lines.join("\n") + "\n"
}

/// The first line, or lines, of a method.
pub(crate) fn signature(name: &str, inputs: &[String], returned: &str) -> String {
    let mut text = String::new();
    // What clippy calls too many, and a task with so many fields is.
    if inputs.len() > 6 {
        text += "    #[allow(clippy::too_many_arguments)]\n";
    }
    let all: Vec<&str> =
        std::iter::once("&self").chain(inputs.iter().map(String::as_str)).collect();
    let line = format!("    pub fn {name}({}) -> Result<{returned}> {{\n", all.join(", "));
    if line.len() <= WIDTH + 1 {
        return text + &line;
    }
    let _ = writeln!(text, "    pub fn {name}(");
    for input in all {
        let _ = writeln!(text, "        {input},");
    }
    text + &format!("    ) -> Result<{returned}> {{\n")
}

/// `Ok(Name { fields })`, for a function to end with.
pub(crate) fn returned_struct<'f>(name: &str, fields: impl Iterator<Item = &'f Field>) -> String {
    let names: Vec<&str> = fields.map(|field| &field.name[..]).collect();
    let line = names.join(", ");
    if line.len() <= LITERAL {
        return format!("        Ok({name} {{ {line} }})\n");
    }
    let lines: String = names.iter().map(|name| format!("            {name},\n")).collect();
    format!("        Ok({name} {{\n{lines}        }})\n")
}

/// A struct with the values of its fields, for a function to end with.
pub(crate) fn literal(name: &str, fields: &[String]) -> String {
    let line = fields.join(", ");
    if line.len() <= LITERAL {
        return format!("        {name} {{ {line} }}\n");
    }
    let lines: String = fields.iter().map(|field| format!("            {field},\n")).collect();
    format!("        {name} {{\n{lines}        }}\n")
}

/// `left = call(args)?;`, as rustfmt breaks it.
pub(crate) fn statement(left: &str, call: &str, args: &[&str]) -> String {
    let list = args.join(", ");
    let right = format!("{call}({list})?;");
    if list.len() <= ARGUMENTS {
        let line = format!("        {left} = {right}");
        // The first line must not be quite full, those below may.
        if line.len() < WIDTH - 1 {
            return line + "\n";
        }
        let mut below = vec![format!("{left} =\n            {right}")];
        if args.iter().all(|arg| arg.len() <= SHORT) {
            below.push(format!("{left} = {}", right.replacen("self.", "self\n            .", 1)));
        }
        let fits = |text: &&String| text.lines().all(|line| line.len() <= WIDTH);
        if let Some(text) = below.iter().find(fits) {
            return format!("        {text}\n");
        }
    }
    // Short ones share lines.
    let lines = match args.iter().all(|arg| arg.len() <= SHORT) {
        true => filled(12, args),
        false => args.iter().map(|arg| format!("            {arg},\n")).collect(),
    };
    format!("        {left} = {call}(\n{lines}        )?;\n")
}
