//! `chimaera modules`.

use chimaera_abi::CHI_DESCRIBE_MODULES;
use serde_json::Value;

use crate::context::{Context, Outcome};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also list files that do not look like modules
    #[arg(long)]
    all: bool,
    /// Also show the methods of each module
    #[arg(long)]
    methods: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let document = context.describe(CHI_DESCRIBE_MODULES)?;
    if context.print_json(&document) {
        return Ok(());
    }
    let mut out = String::new();
    let loaded = list(&document["loaded"]);
    if !loaded.is_empty() {
        let rows = loaded
            .iter()
            .map(|module| ["name", "version", "language", "path"].map(|key| text(&module[key])));
        let mut lines = table::lines(["NAME", "VERSION", "LANGUAGE", "LIBRARY"], rows).into_iter();
        out.extend(lines.next());
        for (line, module) in lines.zip(loaded) {
            out += &line;
            if args.methods {
                out += &format!("    {}\n", methods(module));
            }
        }
    }
    let refused = list(&document["refused"]);
    let shown: Vec<&Value> =
        refused.iter().filter(|file| args.all || file["is_module"] == true).collect();
    for file in &shown {
        out += &format!("refused  {}\n    {}\n", text(&file["path"]), text(&file["reason"]));
    }
    let hidden = refused.len() - shown.len();
    match hidden {
        0 => {}
        1 => out += "1 other file is not a module (--all lists it)\n",
        _ => out += &format!("{hidden} other files are not modules (--all lists them)\n"),
    }
    if list(&document["directories"]).is_empty() {
        out += "no directories were scanned: set CHI_REPO_PATH, or start the runtime with \
                --modules DIR\n";
    }
    crate::context::print(&out);
    Ok(())
}

/// The supported methods of a module, with their numbers.
fn methods(module: &Value) -> String {
    let supported = list(&module["methods"]).iter().filter(|method| method["supported"] == true);
    let methods: Vec<String> =
        supported.map(|method| format!("{} {}", text(&method["name"]), method["number"])).collect();
    methods.join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
