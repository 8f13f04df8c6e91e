//! Changes to the files of a repo: new repos and modules, new methods, and the generated code.

mod add_method;
mod refresh;
mod scaffold;
mod text;

pub use add_method::{add_method, Added, Left};
pub use refresh::{refresh, Change, Changed, Mode};
pub use scaffold::{new_module, new_repo, Tasks};
