//! Whether a file can be trusted to be as the runtime's user or root left it: no other user can
//! write to it, or to a directory on its path. The rules are those of sshd for a user's files,
//! except that a sticky directory such as /tmp may be on the path: there, users cannot replace each
//! other's files.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use chimaera_ipc::{account, instance};

/// How many symbolic links may lead to a file; the kernel follows this many.
const MAX_LINKS: usize = 40;

const STICKY: u32 = 0o1000;

/// Checks a directory and all on its path. Unlike a directory on a path, it must not be writable by others
/// even if it is sticky: files that they add would be taken for the runtime's own.
pub(crate) fn check_directory(path: &Path) -> Result<(), String> {
    let found = walk(path)?;
    match who_writes(&found) {
        Some(who) if found.mode() & STICKY != 0 => Err(format!("{who} can add files to it")),
        _ => Ok(()),
    }
}

/// Checks a file and all directories on its path, including those that symbolic links lead through.
pub(crate) fn check_file(path: &Path) -> Result<(), String> {
    walk(path).map(|_| ())
}

/// Follows the path from the root as the kernel does, and checks each step. The error names the
/// step that others can change, and who they are.
fn walk(path: &Path) -> Result<Metadata, String> {
    let failed = |at: &Path, error: std::io::Error| format!("{}: {error}", at.display());
    let whole = std::path::absolute(path).map_err(|error| failed(path, error))?;
    let mut rest = steps(&whole);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    let mut found = std::fs::metadata(&at).map_err(|error| failed(&at, error))?;
    check(&at, &found)?;
    while let Some(step) = rest.pop_front() {
        if step == ".." {
            at.pop();
            found = std::fs::metadata(&at).map_err(|error| failed(&at, error))?;
            continue;
        }
        let next = at.join(&step);
        found = std::fs::symlink_metadata(&next).map_err(|error| failed(&next, error))?;
        check(&next, &found)?;
        if !found.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(format!("{}: too many symbolic links", path.display()));
        }
        let target = std::fs::read_link(&next).map_err(|error| failed(&next, error))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for step in steps(&target).into_iter().rev() {
            rest.push_front(step);
        }
    }
    Ok(found)
}

/// The components of a path: names and `..`.
fn steps(path: &Path) -> VecDeque<OsString> {
    let step = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(step).collect()
}

/// Checks one file, directory or link.
fn check(path: &Path, found: &Metadata) -> Result<(), String> {
    let path = path.display();
    let owner = found.uid();
    if owner != instance::uid() && owner != 0 {
        return Err(format!("{path} belongs to user {owner}, who can change it"));
    }
    // Users who can write to a sticky directory cannot replace the files of others there. A link's
    // own mode means nothing.
    if found.is_symlink() || found.is_dir() && found.mode() & STICKY != 0 {
        return Ok(());
    }
    match who_writes(found) {
        Some(who) => Err(format!("{who} can write to {path}")),
        None => Ok(()),
    }
}

/// Who besides the owner can write to the file, in words.
fn who_writes(found: &Metadata) -> Option<String> {
    let group = found.gid();
    if found.mode() & 0o002 != 0 {
        return Some("every user".to_owned());
    }
    (found.mode() & 0o020 != 0 && !account::is_private_group(group, found.uid()))
        .then(|| format!("group {group}"))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{symlink, PermissionsExt};

    use super::*;

    fn allow(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn why(result: Result<(), String>) -> String {
        result.unwrap_err()
    }

    #[test]
    fn every_directory_on_the_way_counts() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let (outer, inner) = (home.join("outer"), home.join("outer/inner"));
        std::fs::create_dir_all(&inner).unwrap();
        let file = inner.join("file");
        std::fs::write(&file, "").unwrap();
        allow(&outer, 0o755);
        allow(&inner, 0o755);
        allow(&file, 0o644);
        assert_eq!((check_file(&file), check_directory(&inner)), (Ok(()), Ok(())));
        for (path, good) in [(&file, 0o644), (&inner, 0o755), (&outer, 0o755)] {
            allow(path, good | 0o002);
            let want = format!("every user can write to {}", path.display());
            assert_eq!(why(check_file(&file)), want);
            allow(path, good);
        }
        allow(&outer, 0o1777);
        assert_eq!(check_file(&file), Ok(()), "a sticky directory on the way");
        let want = "every user can add files to it";
        assert_eq!(why(check_directory(&outer)), want);
    }

    #[test]
    fn links_count_with_all_that_they_lead_through() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let (open, closed) = (home.join("open"), home.join("closed"));
        std::fs::create_dir(&open).unwrap();
        std::fs::create_dir(&closed).unwrap();
        let file = closed.join("file");
        std::fs::write(&file, "").unwrap();
        symlink("../closed/file", open.join("link")).unwrap();
        symlink(open.join("link"), closed.join("link")).unwrap();
        symlink("loop", closed.join("loop")).unwrap();
        assert_eq!(check_file(&closed.join("link")), Ok(()));
        assert!(why(check_file(&closed.join("loop"))).contains("too many symbolic links"));
        allow(&open, 0o777);
        let want = format!("every user can write to {}", open.display());
        assert_eq!(why(check_file(&closed.join("link"))), want);
        assert_eq!(check_file(&file), Ok(()));
    }
}
