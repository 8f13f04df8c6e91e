//! A repo: a directory of modules with `chimaera_repo.yaml`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chimaera_yaml::{
    nearest, read_file, shown, Position, Problem, Problems, Report, Section, Text,
};

use super::module;
use crate::model::Module;
use crate::names::{self, MODULE_FILE, REPO_FILE};

/// A repo, as described by its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// Its directory.
    pub dir: PathBuf,
    /// The first half of its modules' names, and the namespace of their code and targets.
    pub namespace: String,
    /// `MAJOR.MINOR.PATCH`; `0.0.0` if the file does not say.
    pub version: String,
    /// A one-line description.
    pub description: Option<String>,
}

impl Repo {
    /// Reads the file of the repo in `dir`.
    pub fn read(dir: &Path) -> Result<Repo, Problems> {
        let file = dir.join(REPO_FILE);
        let help = match repo_above(dir) {
            Some(repo) => {
                format!(
                    "the repo is {}: name it or one of its modules, or change to it",
                    repo.display()
                )
            }
            None => {
                "`chimaera repo new DIR --namespace NAME` creates a repo; to use one that exists, \
                     change to it or name its directory (`module new --repo DIR`, `repo build DIR`)"
                    .into()
            }
        };
        let bytes = read_file(&file, &help)?;
        Self::parse_text(dir, &bytes, is_own(dir))
    }

    /// Parses the text of the file of the repo in `dir`, and reads no other file.
    pub fn parse(dir: &Path, bytes: &[u8]) -> Result<Repo, Problems> {
        Self::parse_text(dir, bytes, false)
    }

    /// Parses the text of the file of a repo, which may be Chimaera's own.
    fn parse_text(dir: &Path, bytes: &[u8], own: bool) -> Result<Repo, Problems> {
        let mut report = Report::new(&dir.join(REPO_FILE));
        let report = &mut report;
        let root = chimaera_yaml::parse(bytes, report);
        let mut repo = Repo {
            dir: dir.to_owned(),
            namespace: String::new(),
            version: "0.0.0".into(),
            description: None,
        };
        let section = match root {
            Some(root) => Section::open(root, "a repo", report),
            None if report.is_empty() => {
                missing_namespace(Position::START, report);
                None
            }
            None => None,
        };
        if let Some(mut section) = section {
            match section.take("namespace") {
                None => missing_namespace(Position::START, report),
                Some(entry) => {
                    if let Some(Text { text, at }) = chimaera_yaml::text(entry, report) {
                        let taken = || names::refuse_own_namespace(&text).filter(|_| !own);
                        if let Some(why) = names::refuse_namespace(&text).or_else(taken) {
                            report.add(
                                at,
                                format!("the namespace \"{}\" {why}", shown(&text)),
                                "choose a word like `example` or `my_repo`",
                            );
                        }
                        repo.namespace = text;
                    }
                }
            }
            if let Some(Text { text, at }) = section.text("version", report) {
                let good = text.split('.').count() == 3
                    && text.split('.').all(|part| {
                        (1..=6).contains(&part.len())
                            && part.bytes().all(|b| b.is_ascii_digit())
                            && (part == "0" || !part.starts_with('0'))
                    });
                if !good {
                    report.add(
                        at,
                        format!("\"{}\" is not a version", shown(&text)),
                        "write three numbers: `version: 1.0.0`",
                    );
                }
                repo.version = text;
            }
            repo.description = section.text("description", report).map(|text| text.text);
            section.close("", report);
        }
        std::mem::replace(report, Report::new(Path::new(""))).finish(repo)
    }

    /// Reads the repo in `dir`, or the one that the module in `dir` belongs to, and the modules in
    /// `dir`. Reports the problems of all files at once.
    pub fn open(dir: &Path) -> Result<(Repo, Vec<Module>), Problems> {
        let is_module = dir.join(MODULE_FILE).exists() && !dir.join(REPO_FILE).exists();
        let repo_dir = if is_module { parent(dir) } else { dir.to_owned() };
        let (repo, mut problems) = match Repo::read(&repo_dir) {
            Ok(repo) => (Some(repo), Vec::new()),
            Err(problems) => (None, problems.0),
        };
        let dirs = if is_module { vec![dir.to_owned()] } else { module_dirs(dir, &mut problems)? };
        let namespace = repo.as_ref().map_or("", |repo| &repo.namespace);
        let mut modules: Vec<Module> = Vec::new();
        for dir in dirs {
            match module::read(&dir, namespace) {
                Ok(module) => {
                    if let Some(other) = modules.iter().find(|other| other.name == module.name) {
                        problems.push(Problem {
                            file: module.dir.join(MODULE_FILE),
                            position: Some(module.name_at),
                            message: format!("a second module with the name {}", module.name),
                            help: format!(
                                "{} already has it; give this one another with `name:`",
                                other.dir.display()
                            ),
                        });
                    }
                    modules.push(module);
                }
                Err(found) => problems.extend(found.0),
            }
        }
        match repo {
            Some(repo) if problems.is_empty() => Ok((repo, modules)),
            _ => {
                problems.sort();
                Err(Problems(problems))
            }
        }
    }
}

/// Whether this is the repo of Chimaera's own modules, in a checkout or an installation.
fn is_own(repo: &Path) -> bool {
    repo.join("../src/repo/build_script.rs").is_file()
}

fn missing_namespace(at: Position, report: &mut Report) {
    report.add(at, "`namespace` is missing", "add the line `namespace: NAME`");
}

/// The repo that contains `dir`, at any depth.
fn repo_above(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors().skip(1).find(|above| above.join(REPO_FILE).is_file()).map(Path::to_owned)
}

/// The parent directory, even of `.`.
fn parent(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(above) if dir.file_name().is_some() && !above.as_os_str().is_empty() => {
            above.to_owned()
        }
        Some(_) if dir.file_name().is_some() => PathBuf::from("."),
        _ => dir.join(".."),
    }
}

/// The directories of the modules in a repo, by name.
fn module_dirs(repo: &Path, problems: &mut Vec<Problem>) -> Result<Vec<PathBuf>, Problems> {
    let entries = match std::fs::read_dir(repo) {
        Ok(entries) => entries,
        // The repo's missing file was already reported.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Problems::io(repo, "the directory cannot be read", &error)),
    };
    let mut dirs = Vec::new();
    for entry in entries {
        let entry =
            entry.map_err(|error| Problems::io(repo, "the directory cannot be read", &error))?;
        let dir = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") || !dir.is_dir() {
            continue;
        }
        // A directory that cannot be searched might be a module, so it is not skipped silently.
        let file = dir.join(MODULE_FILE);
        let there = file.try_exists();
        if there.map_err(|error| Problems::io(&file, "cannot be checked", &error))? {
            dirs.push(dir);
        } else if let Some(misspelt) = misspelt(&dir) {
            problems.push(Problem {
                file: misspelt,
                position: None,
                message: "a file of this name is never read".into(),
                help: format!("rename it to {MODULE_FILE}"),
            });
        }
    }
    dirs.sort();
    Ok(dirs)
}

/// A file in `dir` that was probably meant to be the module's file.
fn misspelt(dir: &Path) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            nearest(name, &[MODULE_FILE, "chimaera_mod.yml"]).is_some()
        })
        .collect();
    files.sort();
    files.into_iter().next()
}
