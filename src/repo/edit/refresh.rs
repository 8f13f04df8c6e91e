//! Brings the `autogen` directories of a repo up to date.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chimaera_yaml::{Problem, Problems};
use rustix::fs::{flock, renameat_with, FlockOperation, RenameFlags, CWD};
use serde::Serialize;

use super::text::in_form_of;
use crate::generate::{self, Generated, MARKER};
use crate::read::Repo;

/// Prefix of the scratch directories in which new files are written.
const SCRATCH: &str = ".autogen-";
/// The number of bytes at the beginning of a file that are searched for the marker.
const HEAD: usize = 512;

/// Whether to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bring the files up to date.
    Write,
    /// Only report which files are out of date.
    Check,
}

/// What happened, or would happen, to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The file did not exist.
    Created,
    /// Its content was out of date.
    Updated,
    /// It is no longer generated.
    Removed,
}

/// A generated file that was out of date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The file.
    pub file: PathBuf,
    /// What was wrong with it.
    pub change: Change,
}

/// Brings the generated files of the repo or module in `dir` up to date, and reports which were
/// not.
///
/// The files of a module change all at once: a concurrent reader, or one after an interruption at
/// any point, sees either all old files or all new ones. Nothing is written when the repo has
/// problems, and a file without the marker of generated files is never overwritten.
pub fn refresh(dir: &Path, mode: Mode) -> Result<Vec<Changed>, Problems> {
    let (_, modules) = Repo::open(dir)?;
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for module in &modules {
        // Held until everything is written, so that no refresh plans its changes from the
        // half-finished work of another.
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

/// Locks a module against other refreshes until the file is closed.
fn lock(module: &Path) -> Result<File, Problems> {
    File::open(module)
        .and_then(|dir| {
            flock(&dir, FlockOperation::LockExclusive)?;
            Ok(dir)
        })
        .map_err(|error| Problems::io(module, "the directory cannot be locked", &error))
}

/// The changes to make in one module.
struct Plan {
    module: PathBuf,
    autogen: PathBuf,
    files: Vec<Generated>,
    changes: Vec<Changed>,
    /// Files and directories that a person put beside the generated files.
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
            // A power loss may leave a generated file empty.
            if !is_generated(&old) && !old.is_empty() {
                problems.push(Problem {
                    file: path,
                    position: None,
                    message: "this file was not generated: it does not contain the marker".into(),
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
        // If it cannot be removed now, the next refresh removes it.
        let _ = fs::remove_dir_all(&scratch);
        done
    }

    /// Writes all files, in their new state, to `scratch`.
    fn write(&self, scratch: &Path) -> io::Result<()> {
        for file in &self.files {
            let (old, new) = (self.autogen.join(&file.name), scratch.join(&file.name));
            // An unchanged file keeps its modification time, so that it causes no rebuilds.
            let stays = !self.changes.iter().any(|changed| changed.file == old);
            if !stays || fs::hard_link(&old, &new).is_err() {
                fs::write(new, &file.text)?;
            }
        }
        Ok(())
    }

    /// Replaces the old files with the new ones, all at once.
    fn exchange(&self, scratch: &Path) -> io::Result<()> {
        if !self.autogen.exists() {
            return fs::rename(scratch, &self.autogen);
        }
        // Files that are not generated move along: they are hard-linked into the new directory
        // before the exchange.
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
        // The directories cannot be exchanged: `autogen` contains a directory or is a link, or the
        // file system does not support it. Each file is still replaced whole, and the constants
        // after the dispatch that needs them, so that a mixture of old and new does not compile.
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

    /// Removes the scratch directories of interrupted refreshes. The module is locked, so no other
    /// refresh is using them.
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

/// The entries of a directory, sorted by name; empty if it does not exist.
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
