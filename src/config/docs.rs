//! Documentation from the table of keys: the default file, and the table in docs/configuration.md.

use chimaera_abi::CHI_MAX_CONTAINERS;

use crate::keys::{Key, Kind, Preset, KEYS};
use crate::print::Nest;
use crate::units::{show, SIZES, TIMES};

/// The longest line of the default file.
const WIDTH: usize = 96;

/// An example of the list of pools.
fn pools() -> String {
    format!(
        "\
# pools:
#   - name: cache                 # 1 to 255 bytes
#     module: chimaera:kv         # repo:module
#     params: {{max_bytes: 1048576}} # or params_base64: TEXT, or params_file: PATH; default: none
#     containers: 1               # 1 to {CHI_MAX_CONTAINERS}; on a cluster, 1 stands for one on each node
#     nodes: 3                    # of the cluster, on which it is kept; default: all
#     on_crash: quarantine        # or abort: a crash in a method ends the runtime
#     isolation: none             # or process: in a process of its own
#     durable: false              # or true: it outlives the runtime; see state_dir
#     kill_after: 10s             # what such a process may do, if not what module_hosts says
#     memory_limit: 2GiB
#     restarts: 5                 # in a minute
#     access:                     # besides the user of the runtime and root
#       call: [alice, 1001]       # default: all who may connect
#       destroy: [group:staff]    # default: nobody
"
    )
}

/// A whole configuration file with all defaults and what each key means.
pub fn default_file() -> String {
    let mut nest = Nest::default();
    nest.text += "# Configuration of a Chimaera runtime, with all defaults.\n\
        # Sizes and times are whole numbers with a unit: 64MiB, 50us. `chimaera config check` checks a \
        file.\n";
    let mut group = "";
    for key in KEYS {
        let first = key.path.split('.').next().unwrap_or_default();
        if first != group {
            nest.text.push('\n');
            group = first;
        }
        let head = nest.enter(key.path);
        let margin = " ".repeat(head.len() - head.trim_start().len());
        let sentences = format!("{} {}", key.doc, limits(key));
        for line in wrapped(&sentences, WIDTH - margin.len() - 2) {
            nest.text += &format!("{margin}# {line}\n");
        }
        let word = head.trim_start();
        nest.text += &match key.preset {
            Preset::Value(_) if key.kind == Kind::Pools => format!("{}pools: []\n", pools()),
            Preset::Value(value) => format!("{head}: {value}\n"),
            Preset::Depends { example, .. } => format!("{margin}# {word}: {example}\n"),
        };
    }
    nest.text
}

/// The table of docs/configuration.md, in Markdown.
pub fn table() -> String {
    let mut text = String::from("| key | value | default | what |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = match key.preset {
            Preset::Value(value) => format!("`{value}`"),
            Preset::Depends { how, .. } => how.to_owned(),
        };
        let also: Vec<String> =
            key.flag.iter().chain(key.variables).map(|name| format!("`{name}`")).collect();
        let also = match also.is_empty() {
            true => String::new(),
            false => format!(" Also: {}.", also.join(", ")),
        };
        text +=
            &format!("| `{}` | {} | {default} | {}{also} |\n", key.path, value(key.kind), key.doc);
    }
    text
}

/// What the value of a key may be.
fn value(kind: Kind) -> String {
    match kind {
        Kind::Number { least, most } => format!("a number, {least} to {most}"),
        Kind::Size { least, most } => {
            format!("a size, {} to {}", show(least, SIZES), show(most, SIZES))
        }
        Kind::Time { least, most, never } => {
            let or = if never { ", or `never`" } else { "" };
            format!("a time, {} to {}{or}", show(least, TIMES), show(most, TIMES))
        }
        Kind::Percent { least, most } => format!("{least}% to {most}%"),
        Kind::Memory { least, most } => {
            let (least, most) = (show(least, SIZES), show(most, SIZES));
            format!("a size, {least} to {most}, a percentage, or `auto`")
        }
        Kind::Name => "1 to 48 letters, digits, `.`, `_`, `-`".into(),
        Kind::Level => "a level, and `TARGET=LEVEL` behind commas".into(),
        Kind::Format => "`text` or `json`".into(),
        Kind::File => "a path".into(),
        Kind::Directories => "a list of paths".into(),
        Kind::Accounts => "a list of users and groups, `[alice, 1001, group:staff]`".into(),
        Kind::Address => "`HOST[:PORT]`".into(),
        Kind::Addresses => "a list of `HOST[:PORT]`".into(),
        Kind::Modules => "a list of modules, `[example:mod_name]`".into(),
        Kind::Quotas => "a list of limits, each with `who`".into(),
        Kind::Cores => "a list of cores and ranges of them, `[0, 2-3]`".into(),
        Kind::Pools => "a list of pools".into(),
    }
}

fn limits(key: &Key) -> String {
    let also: Vec<&str> = key.flag.into_iter().chain(key.variables.iter().copied()).collect();
    let also = match also.is_empty() {
        true => String::new(),
        false => format!(" Also: {}.", also.join(", ")),
    };
    let default = match key.preset {
        Preset::Value(_) => String::new(),
        Preset::Depends { how, .. } => format!(" Default: {how}."),
    };
    let value = value(key.kind);
    let (first, rest) = value.split_at(1);
    format!("{}{rest}.{default}{also}", first.to_uppercase())
}

/// Wraps words into lines of at most this width.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
