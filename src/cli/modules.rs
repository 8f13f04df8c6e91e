//! `chimaera modules`.

use chimaera_abi::CHI_DESCRIBE_MODULES;
use serde_json::Value;

use crate::{Context, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show also the files that do not try to be modules
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let document = context.describe(CHI_DESCRIBE_MODULES)?;
    if context.print_json(&document) {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut out = String::new();
    for module in list(&document["loaded"]) {
        out += &format!(
            "{}  {}  ABI {}, SDK {}\n    {}\n",
            text(&module["name"]),
            text(&module["language"]),
            text(&module["abi"]),
            text(&module["sdk_version"]),
            text(&module["path"]),
        );
        let methods: Vec<String> = list(&module["methods"])
            .iter()
            .filter(|method| method["supported"] == true)
            .map(|method| format!("{} {}", text(&method["name"]), method["number"]))
            .collect();
        out += &format!("    {}\n", methods.join(", "));
    }
    let refused = list(&document["refused"]);
    let shown: Vec<&Value> =
        refused.iter().filter(|file| args.all || file["is_module"] == true).collect();
    for file in &shown {
        out += &format!("refused  {}\n    {}\n", text(&file["path"]), text(&file["reason"]));
    }
    let hidden = refused.len() - shown.len();
    if hidden > 0 {
        out += &format!("{hidden} other files are no modules (--all shows them)\n");
    }
    if list(&document["directories"]).is_empty() {
        out += "no directories were scanned: set CHI_REPO_PATH, or start with --modules DIR\n";
    }
    crate::print(&out);
    Ok(())
}
