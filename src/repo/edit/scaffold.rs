//! Creates repos and modules: the directory trees of the specification, with one working method.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chimaera_yaml::{Problem, Problems};
use minijinja::{context, Value};

use super::refresh::{refresh, Mode};
use super::text::SourceText;
use crate::model::Language;
use crate::names::{self, MODULE_FILE, REPO_FILE};
use crate::read::Repo;
use crate::templates::fill;

/// The build file of a repo's C++ modules.
const CMAKE_FILE: &str = "CMakeLists.txt";

/// The build file of its Rust modules.
const CARGO_FILE: &str = "Cargo.toml";

/// Who writes the tasks of a new module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// The author, who also writes the client.
    ByHand,
    /// The generator, from the description in `chimaera_mod.yaml`; it also writes the clients.
    Described,
}

/// Creates the repo `dir` with this namespace. Returns the files that it created.
pub fn new_repo(dir: &Path, namespace: &str) -> Result<Vec<PathBuf>, Problems> {
    let why = names::refuse_namespace(namespace);
    if let Some(why) = why.or_else(|| names::refuse_own_namespace(namespace)) {
        return Err(refused(dir, format!("the namespace \"{namespace}\" {why}")));
    }
    let files = [
        (dir.join(REPO_FILE), fill("new/repo/chimaera_repo.yaml", context! { ns => namespace })),
        (dir.join(CMAKE_FILE), cmake(namespace)),
    ];
    create(dir, &files)
}

/// The CMakeLists.txt of a repo without modules, which requires this version of Chimaera.
fn cmake(namespace: &str) -> String {
    const VERSION: &str =
        concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    fill("new/repo/CMakeLists.txt", context! { ns => namespace, version => VERSION })
}

/// Creates the module `name` in the repo `dir`, and adds it to the repo's build. Returns the files
/// that it created or changed.
///
/// The first Rust module of a repo needs `crates`, the directory of the crate `chimaera` in a
/// checkout or an installation: the repo's workspace refers to the crates there.
pub fn new_module(
    dir: &Path,
    name: &str,
    language: Language,
    tasks: Tasks,
    crates: Option<&Path>,
) -> Result<Vec<PathBuf>, Problems> {
    let repo = Repo::read(dir)?;
    let module = dir.join(name);
    if let Some(why) = names::refuse_name(name).or_else(|| names::refuse_directory(name)) {
        return Err(refused(&module, format!("the module's name \"{name}\" {why}")));
    }
    if language == Language::Rust && name != name.to_lowercase() {
        return Err(refused(
            &module,
            format!("the module's name \"{name}\" contains capitals, which crate names must not"),
        ));
    }
    let manifest = dir.join(CARGO_FILE);
    let workspace = match (language, crates) {
        (Language::Cpp, _) => None,
        (Language::Rust, _) if manifest.exists() => None,
        (Language::Rust, Some(crates)) => Some(workspace(crates)),
        (Language::Rust, None) => return Err(no_crates(manifest)),
    };
    let with = context! {
        ns => repo.namespace,
        mod => name,
        crate => format!("{}_{name}", repo.namespace).to_lowercase(),
        described => tasks == Tasks::Described,
    };
    let text = |template: &str| fill(&format!("new/{template}"), with.clone());
    let mut whole = vec![(module.join(MODULE_FILE), text("chimaera_mod.yaml"))];
    let files = templates(name, language, tasks).into_iter();
    whole.extend(files.map(|(path, template)| (module.join(path), text(template))));
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

/// The files from which a module's author starts: their paths in its directory, and their
/// templates.
fn templates(name: &str, language: Language, tasks: Tasks) -> Vec<(String, &'static str)> {
    let at = |path: &str| path.to_owned();
    let mut files = match language {
        Language::Cpp => vec![
            (at("CMakeLists.txt"), "cpp/CMakeLists.txt"),
            (format!("src/{name}_runtime.cc"), "cpp/runtime.cc"),
            (at("test/CMakeLists.txt"), "cpp/test_CMakeLists.txt"),
            (format!("test/{name}_test.cc"), "cpp/test.cc"),
        ],
        Language::Rust => vec![
            (at("client/Cargo.toml"), "rust/client.toml"),
            (at("client/build.rs"), "rust/client_build.rs"),
            (at("runtime/Cargo.toml"), "rust/runtime.toml"),
            (at("runtime/build.rs"), "rust/runtime_build.rs"),
            (at("runtime/src/lib.rs"), "rust/runtime.rs"),
            (format!("runtime/tests/{name}.rs"), "rust/test.rs"),
        ],
    };
    files.extend(match (language, tasks) {
        (Language::Cpp, Tasks::ByHand) => vec![
            (format!("include/{name}/{name}_client.h"), "cpp/client.h"),
            (format!("include/{name}/{name}_tasks.h"), "cpp/tasks.h"),
            (at("src/CMakeLists.txt"), "cpp/src_CMakeLists.txt"),
            (format!("src/{name}_client.cc"), "cpp/client.cc"),
        ],
        (Language::Cpp, Tasks::Described) => vec![
            (format!("include/{name}/{name}_client.h"), "cpp/described/client.h"),
            (at("src/CMakeLists.txt"), "cpp/described/src_CMakeLists.txt"),
        ],
        (Language::Rust, Tasks::ByHand) => vec![(at("client/src/lib.rs"), "rust/client.rs")],
        (Language::Rust, Tasks::Described) => {
            vec![(at("client/src/lib.rs"), "rust/described/client.rs")]
        }
    });
    files
}

/// Writes new files, or none at all if the directory is not empty.
fn create(dir: &Path, files: &[(PathBuf, String)]) -> Result<Vec<PathBuf>, Problems> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let (message, help) = if dir.join(MODULE_FILE).exists() {
            ("the module already exists", "add a method to it with `chimaera module add-method`")
        } else if dir.join(REPO_FILE).exists() {
            ("the repo already exists", "add a module to it with `chimaera module new`")
        } else {
            ("the directory is not empty", "choose another name, or an empty directory")
        };
        let (message, help) = (message.to_owned(), help.to_owned());
        return Err(Problem { file: dir.to_owned(), position: None, message, help }.into());
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

/// Adds a module to the CMakeLists.txt of its repo.
fn add_to_cmake(repo: &Path, namespace: &str, module: &str) -> Result<PathBuf, Problems> {
    let file = repo.join(CMAKE_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => cmake(namespace),
        Err(error) => return Err(Problems::io(&file, "cannot be read", &error)),
    };
    let mut text = SourceText::new(text);
    text.insert_lines(usize::MAX, &format!("add_subdirectory({module})"));
    replace(&file, text.as_str())?;
    Ok(file)
}

/// The Cargo.toml of a repo, with its modules and the location of Chimaera's crates.
fn workspace(crates: &Path) -> String {
    let of = |name: &str, below: &str, rest: &str| -> Value {
        // Collecting the components drops the trailing slash that joining an empty path leaves.
        let dir: PathBuf = crates.join(below).components().collect();
        // The debug format quotes it: string literals are the same in Rust and TOML.
        context! { name, rest, path => format!("{:?}", dir.display().to_string()) }
    };
    let crates =
        [of("chimaera", "", ", default-features = false"), of("chimaera-repo", "src/repo", "")];
    fill("new/repo/Cargo.toml", context! { crates })
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

/// Writes a file atomically: whole or not at all.
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
