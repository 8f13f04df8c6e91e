//! Bringing the `autogen` directories of a repo up to date.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chimaera_yaml::{Problem, Problems};
use rustix::fs::{flock, renameat_with, FlockOperation, RenameFlags, CWD};
use serde::Serialize;

use super::text::in_form_of;
use crate::generate::{self, Generated, MARKER};
use crate::read::Repo;

/// What the directories of files that are being made begin with.
const SCRATCH: &str = ".autogen-";
/// How much of a file's beginning is searched for the marker.
const HEAD: usize = 512;

/// Whether to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bring the files up to date.
    Write,
    /// Only find out which are not.
    Check,
}

/// What happened, or would happen, to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there.
    Created,
    /// It had another content.
    Updated,
    /// It is not generated any more.
    Removed,
}

/// A generated file that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The file.
    pub file: PathBuf,
    /// What was wrong with it.
    pub change: Change,
}

/// Brings the generated files up to date in the repo or the module in `dir`, and says which were not.
///
/// A module's files change all at once: whoever reads them, and whoever finds them after this was
/// interrupted at any point, finds the old ones or the new ones. Nothing is written when the repo has
/// problems, nor over a file without the marker of generated ones.
pub fn refresh(dir: &Path, mode: Mode) -> Result<Vec<Changed>, Problems> {
    let (_, modules) = Repo::open(dir)?;
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for module in &modules {
        // Held until all is written, so that two refreshes do not plan on each other's leavings.
        let lock = match mode {
            Mode::Write => Some(lock(&module.dir)?),
            Mode::Check => None,
        };
        match generate::files(module).and_then(|files| Plan::make(&module.dir, files)) {
            Ok(plan) => plans.push((plan, lock)),
            Err(found) => problems.extend(found.0),
        }
    }
    if !problems.is_empty() {
        problems.sort();
        return Err(Problems(problems));
    }
    let mut changed = Vec::new();
    for (plan, _lock) in plans {
        if mode == Mode::Write {
            plan.carry_out().map_err(|error| {
                Problems::io(&plan.autogen, "the generated files cannot be written", &error)
            })?;
        }
        changed.extend(plan.changes);
    }
    Ok(changed)
}

/// Keeps other refreshes out of a module while the file is open.
fn lock(module: &Path) -> Result<File, Problems> {
    File::open(module)
        .and_then(|dir| {
            flock(&dir, FlockOperation::LockExclusive)?;
            Ok(dir)
        })
        .map_err(|error| Problems::io(module, "the directory cannot be locked", &error))
}

/// What is to be done in one module.
struct Plan {
    module: PathBuf,
    autogen: PathBuf,
    files: Vec<Generated>,
    changes: Vec<Changed>,
    /// What a person has put beside the generated files.
    others: Vec<PathBuf>,
}

impl Plan {
    fn make(module: &Path, files: Vec<Generated>) -> Result<Plan, Problems> {
        let autogen = module.join("autogen");
        let mut plan = Plan {
            module: module.to_owned(),
            files,
            changes: Vec::new(),
            others: Vec::new(),
            autogen,
        };
        let mut problems = Vec::new();
        let found = entries(&plan.autogen)
            .map_err(|error| Problems::io(&plan.autogen, "cannot be read", &error))?;
        for file in &mut plan.files {
            let path = plan.autogen.join(&file.name);
            let change = |change| Changed { file: path.clone(), change };
            if !found.contains(&path) {
                plan.changes.push(change(Change::Created));
                continue;
            }
            let old = fs::read(&path)
                .map_err(|error| Problems::io(&path, "the file cannot be read", &error))?;
            // An empty one is what the loss of power may leave of a generated file.
            if !is_generated(&old) && !old.is_empty() {
                problems.push(Problem {
                    file: path,
                    position: None,
                    message: "a person wrote this file: the marker of generated ones is not in it"
                        .into(),
                    help: "rename it or move it away, and refresh again".into(),
                });
                continue;
            }
            file.text = in_form_of(&old, &file.text);
            if old != file.text.as_bytes() {
                plan.changes.push(change(Change::Updated));
            }
        }
        for path in found {
            if plan.files.iter().any(|file| plan.autogen.join(&file.name) == path) {
                continue;
            }
            if path.is_file() && fs::read(&path).is_ok_and(|text| is_generated(&text)) {
                plan.changes.push(Changed { file: path, change: Change::Removed });
            } else {
                plan.others.push(path);
            }
        }
        match problems.is_empty() {
            true => Ok(plan),
            false => Err(Problems(problems)),
        }
    }

    fn carry_out(&self) -> io::Result<()> {
        self.sweep()?;
        if self.changes.is_empty() {
            return Ok(());
        }
        let scratch = self.module.join(format!("{SCRATCH}{}", std::process::id()));
        fs::create_dir(&scratch)?;
        let done = self.write(&scratch).and_then(|()| self.exchange(&scratch));
        // What cannot be removed now is for the next refresh to sweep.
        let _ = fs::remove_dir_all(&scratch);
        done
    }

    /// Writes all files as they should be.
    fn write(&self, scratch: &Path) -> io::Result<()> {
        for file in &self.files {
            let (old, new) = (self.autogen.join(&file.name), scratch.join(&file.name));
            // What stays the same keeps its time, so that nothing is built anew for it.
            let stays = !self.changes.iter().any(|changed| changed.file == old);
            if !stays || fs::hard_link(&old, &new).is_err() {
                fs::write(new, &file.text)?;
            }
        }
        Ok(())
    }

    /// Puts the new files in the place of the old, all at once.
    fn exchange(&self, scratch: &Path) -> io::Result<()> {
        if !self.autogen.exists() {
            return fs::rename(scratch, &self.autogen);
        }
        // What is not generated comes along, under a second name until the exchange.
        let along = self.others.iter().all(|other| {
            other.symlink_metadata().is_ok_and(|found| found.is_file())
                && other
                    .file_name()
                    .is_some_and(|name| fs::hard_link(other, scratch.join(name)).is_ok())
        });
        let permissions = fs::metadata(&self.autogen)?.permissions();
        fs::set_permissions(scratch, permissions)?;
        let whole = !fs::symlink_metadata(&self.autogen)?.is_symlink();
        if along
            && whole
            && renameat_with(CWD, scratch, CWD, &self.autogen, RenameFlags::EXCHANGE).is_ok()
        {
            return Ok(());
        }
        // A directory in there, or a file system that cannot exchange: each file is whole at least,
        // and constants come after the dispatch that needs them, so that a mixture does not compile.
        for changed in &self.changes {
            match changed.change {
                Change::Removed => fs::remove_file(&changed.file)?,
                Change::Created | Change::Updated => {
                    let name = changed.file.file_name().unwrap_or_default();
                    fs::rename(scratch.join(name), &changed.file)?;
                }
            }
        }
        Ok(())
    }

    /// Removes what an interrupted refresh has left. Nobody else is at work: the module is locked.
    fn sweep(&self) -> io::Result<()> {
        for path in entries(&self.module)? {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(SCRATCH.as_bytes()) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}

fn is_generated(text: &[u8]) -> bool {
    let head = &text[..text.len().min(HEAD)];
    head.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
}

/// What lies in a directory, by name; nothing when there is none.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = match fs::read_dir(dir) {
        Ok(entries) => {
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.sort();
    Ok(paths)
}
