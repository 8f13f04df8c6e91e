//! How described tasks go to another process: the serialisers in C++, the directions in Rust.

use super::layout::call;
use crate::model::{Body, Direction, Field};

/// What stands before the member of a struct in C++ that sends its fields.
pub(super) const CPP_STRUCT: &str = "  /** Sends the fields. */\n";

/// The member of a struct in C++ that sends its fields.
pub(super) fn cpp_struct(body: &Body) -> String {
    format!("\n{CPP_STRUCT}{}", function("serialize", body.fields.iter()))
}

/// The members of a task in C++ that send its fields.
pub(super) fn cpp_task(body: &Body) -> String {
    format!(
        "\n  /** Sends what the caller gives. */\n{}\n  /** Sends what the method finds. */\n{}",
        function("SerializeIn", body.inputs()),
        function("SerializeOut", body.outputs())
    )
}

fn function<'f>(name: &str, fields: impl Iterator<Item = &'f Field>) -> String {
    let names: Vec<String> = fields.map(|field| format!("{}_", field.name)).collect();
    if names.is_empty() {
        return format!("  template <typename Ar>\n  void {name}(Ar &) {{}}\n");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let sent = call(4, "ar(", &names, ");");
    format!("  template <typename Ar>\n  void {name}(Ar &ar) {{\n{sent}  }}\n")
}

/// The attribute that says which way the field of a task goes in Rust.
pub(super) fn rust_direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "    #[chi(in)]\n",
        Direction::Out => "    #[chi(out)]\n",
        Direction::InOut => "    #[chi(inout)]\n",
    }
}

/// The attribute of what fills a gap in Rust.
pub(super) const RUST_GAP: &str = "    #[chi(skip)]\n";
