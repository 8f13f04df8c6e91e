//! The output of the commands for repos and modules.

use std::path::{Display, Path, PathBuf};

use chimaera_repo::Problems;
use serde_json::json;

use crate::context::{complain, Context, Failed};

/// One line for each file that was written.
pub(crate) fn written(files: &[PathBuf]) -> String {
    files.iter().map(|file| format!("wrote  {}\n", shown(file))).collect()
}

/// A path relative to the current directory, if it is inside.
pub(crate) fn shown(file: &Path) -> Display<'_> {
    file.strip_prefix(".").unwrap_or(file).display()
}

/// Prints the problems of a repo's files.
pub(crate) fn problems(context: &Context, found: &Problems) -> Failed {
    if !context.print_json(
        &json!({ "status": "CHI_INVALID", "error": found.to_string(), "problems": found }),
    ) {
        complain(&found.to_string());
    }
    Failed::Told
}
