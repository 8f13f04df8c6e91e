//! Making repos and modules: the trees of the specification, with one method that works.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chimaera_yaml::{Problem, Problems};

use super::refresh::{refresh, Mode};
use crate::model::Language;
use crate::names::{self, MODULE_FILE, REPO_FILE};
use crate::read::Repo;

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../templates/", $name, ".in"))
    };
}

/// What builds the modules in C++ of a repo.
const CMAKE_FILE: &str = "CMakeLists.txt";

/// What builds those in Rust.
const CARGO_FILE: &str = "Cargo.toml";

/// Who writes the tasks of a new module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// Its author, and the client with them.
    ByHand,
    /// The generator, from the description in `chimaera_mod.yaml`, and clients with them.
    Described,
}

/// Makes the repo `dir` with this namespace. Returns the files that it made.
pub fn new_repo(dir: &Path, namespace: &str) -> Result<Vec<PathBuf>, Problems> {
    if let Some(why) = names::refuse_namespace(namespace) {
        return Err(refused(dir, format!("the namespace \"{namespace}\" {why}")));
    }
    let files = [
        (dir.join(REPO_FILE), template!("chimaera_repo.yaml").replace("@ns@", namespace)),
        (dir.join(CMAKE_FILE), cmake(namespace)),
    ];
    create(dir, &files)
}

/// The CMakeLists.txt of a repo without modules, which wants this version of Chimaera.
fn cmake(namespace: &str) -> String {
    const VERSION: &str =
        concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    template!("CMakeLists.txt").replace("@ns@", namespace).replace("@version@", VERSION)
}

/// Makes the module `name` in the repo `dir`, and has the repo build it. Returns the files that it
/// made or changed.
///
/// The first module in Rust of a repo needs `crates`, the directory of the crate `chimaera`, in a checkout
/// or installed: the repo takes it and its kin from there.
pub fn new_module(
    dir: &Path,
    name: &str,
    language: Language,
    tasks: Tasks,
    crates: Option<&Path>,
) -> Result<Vec<PathBuf>, Problems> {
    let repo = Repo::read(dir)?;
    let module = dir.join(name);
    if let Some(why) = names::refuse_name(name) {
        return Err(refused(&module, format!("the module's name \"{name}\" {why}")));
    }
    if language == Language::Rust && name != name.to_lowercase() {
        return Err(refused(
            &module,
            format!(
                "the module's name \"{name}\" has capitals, which the names of crates have not"
            ),
        ));
    }
    let manifest = dir.join(CARGO_FILE);
    let workspace = match (language, crates) {
        (Language::Cpp, _) => None,
        (Language::Rust, _) if manifest.exists() => None,
        (Language::Rust, Some(crates)) => Some(workspace(crates)),
        (Language::Rust, None) => return Err(no_crates(manifest)),
    };
    let fill = |text: &str| fill(text, &repo.namespace, name, tasks);
    let mut methods = template!("chimaera_mod.yaml").to_owned();
    if tasks == Tasks::Described {
        methods += template!("chimaera_mod_described.yaml");
    }
    let mut whole = vec![(module.join(MODULE_FILE), methods)];
    let files = templates(language, tasks).into_iter();
    whole.extend(files.map(|(path, text)| (module.join(fill(path)), fill(text))));
    whole[1..].sort();
    let mut made = create(&module, &whole)?;
    made.extend(refresh(&module, Mode::Write)?.into_iter().map(|changed| changed.file));
    if language == Language::Cpp {
        made.push(add_to_cmake(dir, &repo.namespace, name)?);
    }
    if let Some(text) = workspace {
        replace(&manifest, &text)?;
        made.push(manifest);
    }
    Ok(made)
}

/// The files that a module's author goes on with, and their places in its directory.
fn templates(language: Language, tasks: Tasks) -> Vec<(&'static str, &'static str)> {
    let mut files = match language {
        Language::Cpp => vec![
            ("CMakeLists.txt", template!("cpp/CMakeLists.txt")),
            ("src/@mod@_runtime.cc", template!("cpp/runtime.cc")),
            ("test/CMakeLists.txt", template!("cpp/test_CMakeLists.txt")),
            ("test/@mod@_test.cc", template!("cpp/test.cc")),
        ],
        Language::Rust => vec![
            ("client/Cargo.toml", template!("rust/client.toml")),
            ("client/build.rs", template!("rust/client_build.rs")),
            ("runtime/Cargo.toml", template!("rust/runtime.toml")),
            ("runtime/build.rs", template!("rust/runtime_build.rs")),
            ("runtime/src/lib.rs", template!("rust/runtime.rs")),
            ("runtime/tests/@mod@.rs", template!("rust/test.rs")),
        ],
    };
    files.extend(match (language, tasks) {
        (Language::Cpp, Tasks::ByHand) => vec![
            ("include/@mod@/@mod@_client.h", template!("cpp/client.h")),
            ("include/@mod@/@mod@_tasks.h", template!("cpp/tasks.h")),
            ("src/CMakeLists.txt", template!("cpp/src_CMakeLists.txt")),
            ("src/@mod@_client.cc", template!("cpp/client.cc")),
        ],
        (Language::Cpp, Tasks::Described) => vec![
            ("include/@mod@/@mod@_client.h", template!("cpp/described/client.h")),
            ("src/CMakeLists.txt", template!("cpp/described/src_CMakeLists.txt")),
        ],
        (Language::Rust, Tasks::ByHand) => vec![("client/src/lib.rs", template!("rust/client.rs"))],
        (Language::Rust, Tasks::Described) => {
            vec![("client/src/lib.rs", template!("rust/described/client.rs"))]
        }
    });
    files
}

fn fill(text: &str, namespace: &str, module: &str, tasks: Tasks) -> String {
    let name = format!("{namespace}_{module}").to_lowercase();
    // As clang-format orders them.
    let mut includes = [
        "#include \"chimaera/chimaera.h\"\n".to_owned(),
        if text.contains("class Client") {
            format!("#include \"{module}/{module}_tasks.h\"\n")
        } else {
            format!("#include \"{module}_methods.h\"\n")
        },
    ];
    includes.sort();
    // The dispatch includes described tasks; their client takes parameters of the pool.
    let (own_tasks, params) = match tasks {
        Tasks::ByHand => (format!("#include \"{module}/{module}_tasks.h\"\n"), ""),
        Tasks::Described => (String::new(), ", b\"\""),
    };
    text.replace("@includes@\n", &(includes.concat() + "\n"))
        .replace("@tasks@\n", &own_tasks)
        .replace("@params@", params)
        .replace("@ns@", namespace)
        .replace("@mod@", module)
        .replace("@NS@", &namespace.to_uppercase())
        .replace("@MOD@", &module.to_uppercase())
        .replace("@crate@", &name.replace('_', "-"))
        .replace("@crate_@", &name)
}

/// Writes new files, or none when the directory has something in it already.
fn create(dir: &Path, files: &[(PathBuf, String)]) -> Result<Vec<PathBuf>, Problems> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Problem {
            file: dir.to_owned(),
            position: None,
            message: "something lies here already".into(),
            help: "choose another name, or an empty directory".into(),
        }
        .into());
    }
    for (path, text) in files {
        let write = || -> io::Result<()> {
            if let Some(above) = path.parent() {
                fs::create_dir_all(above)?;
            }
            fs::write(path, text)
        };
        write().map_err(|error| Problems::io(path, "cannot be written", &error))?;
    }
    Ok(files.iter().map(|(path, _)| path.clone()).collect())
}

/// Has the CMakeLists.txt of a repo build a module.
fn add_to_cmake(repo: &Path, namespace: &str, module: &str) -> Result<PathBuf, Problems> {
    let file = repo.join(CMAKE_FILE);
    let mut text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => cmake(namespace),
        Err(error) => return Err(Problems::io(&file, "cannot be read", &error)),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text += &format!("add_subdirectory({module})\n");
    replace(&file, &text)?;
    Ok(file)
}

/// The Cargo.toml of a repo, which names all its modules, and where the crates of Chimaera are.
fn workspace(crates: &Path) -> String {
    let lines = [("chimaera", "", ", default-features = false"), ("chimaera-repo", "src/repo", "")]
        .map(|(name, path, rest)| {
            // Without a slash at the end when the path is that of the directory itself.
            let dir: PathBuf = crates.join(path).components().collect();
            format!("{name} = {{ path = {:?}{rest} }}", dir.display().to_string())
        });
    template!("rust/workspace.toml").replace("@chimaera@", &lines.join("\n"))
}

fn no_crates(manifest: PathBuf) -> Problems {
    Problem {
        file: manifest,
        position: None,
        message: "the crates of Chimaera, which a module in Rust depends on, are not beside this \
                  program"
            .into(),
        help: "name a checkout of Chimaera with `--source DIR`".into(),
    }
    .into()
}

/// Writes a file whole or not at all.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), Problems> {
    let mut scratch = file.as_os_str().to_owned();
    scratch.push(format!(".{}", std::process::id()));
    fs::write(&scratch, text)
        .and_then(|()| fs::rename(&scratch, file))
        .map_err(|error| Problems::io(file, "cannot be written", &error))
}

fn refused(file: &Path, message: String) -> Problems {
    Problem {
        file: file.to_owned(),
        position: None,
        message,
        help: "choose a word like `my_repo` or `mod_name`".into(),
    }
    .into()
}
