//! The files that a runtime finds in its directories: which it loads, which it refuses, and why.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use chimaera::abi::{CHI_ABI_MAJOR, CHI_ABI_MINOR};
use chimaera_tests::{artefacts, process, Daemon, Options, Site};
use serde_json::{json, Value};

const PARTIAL: &str =
    "exports is_chimaera_task_, get_module_name but not alloc_state, new_state, chi_module";

/// The output of `chimaera modules --json`.
#[track_caller]
fn modules(daemon: &Daemon) -> Value {
    daemon.cli(&["modules", "--json"]).ok().json()
}

/// Path and name of each loaded module, sorted.
fn loaded(document: &Value) -> Vec<(PathBuf, String)> {
    let one = |module: &Value| {
        (module["path"].as_str().unwrap().into(), module["name"].as_str().unwrap().to_owned())
    };
    let mut all: Vec<_> = document["loaded"].as_array().unwrap().iter().map(one).collect();
    all.sort();
    all
}

/// The entry of a refused file or directory.
#[track_caller]
fn refused<'a>(document: &'a Value, path: &Path) -> &'a Value {
    let path = path.to_str().unwrap();
    let mut found =
        document["refused"].as_array().unwrap().iter().filter(|file| file["path"] == path);
    let one = found.next().unwrap_or_else(|| panic!("{path} is not in {document:#}"));
    assert!(found.next().is_none(), "{path} is reported twice in {document:#}");
    one
}

/// The entry for the only file of a daemon.
#[track_caller]
fn only_refused(path: PathBuf) -> (String, bool) {
    let daemon = Daemon::start(&Options::new().file(path.clone()).kv());
    let document = modules(&daemon);
    assert_eq!(loaded(&document).len(), 1, "{document:#}");
    let link = daemon.site().path().join("modules").join(path.file_name().unwrap());
    let entry = refused(&document, &link);
    (entry["reason"].as_str().unwrap().to_owned(), entry["is_module"].as_bool().unwrap())
}

#[test]
fn modules_in_both_languages_are_loaded_and_described() {
    let daemon = Daemon::start(&Options::new().mod_name().kv());
    let document = modules(&daemon);
    let directory = daemon.site().path().join("modules");
    let expected = [
        ("libchimaera_kv_runtime.so", "chimaera:kv"),
        ("libexample_mod_name_runtime.so", "example:mod_name"),
    ];
    let expected = expected.map(|(file, name)| (directory.join(file), name.to_owned()));
    assert_eq!(loaded(&document), expected);
    assert_eq!(document["refused"], json!([]));
    assert_eq!(document["directories"], json!([directory]));
    let one = |name| {
        let all = document["loaded"].as_array().unwrap();
        all.iter().find(|module| module["name"] == name).unwrap()
    };
    assert_eq!(one("example:mod_name")["language"], "C++");
    assert_eq!(one("chimaera:kv")["language"], "Rust");
    let method = |module: &Value, number: u32| {
        let methods = module["methods"].as_array().unwrap();
        let one = methods.iter().find(|method| method["number"] == number).unwrap();
        (one["name"].clone(), one["supported"].clone(), one["task_bytes"].clone())
    };
    assert_eq!(method(one("chimaera:kv"), 10), (json!("kPut"), json!(true), json!(152)));
    assert_eq!(method(one("example:mod_name"), 10), (json!("kCompress"), json!(true), json!(152)));
}

/// The text output is a table from each module's name to its library.
#[test]
fn the_modules_are_a_table() {
    let daemon = Daemon::start(&Options::new().mod_name().kv());
    let document = modules(&daemon);
    let expected: Vec<Vec<String>> =
        std::iter::once(["NAME", "VERSION", "LANGUAGE", "LIBRARY"].map(str::to_owned).to_vec())
            .chain(document["loaded"].as_array().unwrap().iter().map(|module| {
                let cell = |key: &str| module[key].as_str().unwrap().to_owned();
                ["name", "version", "language", "path"].map(cell).to_vec()
            }))
            .collect();
    let text = daemon.cli(&["modules"]).ok().stdout;
    let rows: Vec<Vec<String>> =
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(rows, expected, "{text}");
    // The cells of a column are aligned.
    let head = text.lines().next().unwrap();
    let column = head.find("LIBRARY").unwrap();
    assert!(text.lines().skip(1).all(|line| line[column..].starts_with('/')), "{text}");

    let text = daemon.cli(&["modules", "--methods"]).ok().stdout;
    let after = text.lines().skip_while(|line| !line.starts_with("example:mod_name")).nth(1);
    assert_eq!(after, Some("    kCreate 0, kDestroy 1, kCompress 10, kDecompress 11"), "{text}");
}

#[test]
fn a_text_file_is_no_module() {
    let site = Site::new();
    let file = site.path().join("notes.so");
    fs::write(&file, "These are notes.\n").unwrap();
    let (reason, is_module) = only_refused(file);
    assert_eq!(reason, "not a shared library: it is not an ELF file");
    assert!(!is_module);
}

#[test]
fn an_empty_file_is_no_module() {
    let site = Site::new();
    let file = site.path().join("empty.so");
    fs::write(&file, "").unwrap();
    assert_eq!(only_refused(file).0, "not a shared library: it is not an ELF file");
}

#[test]
fn a_program_is_no_module() {
    let site = Site::new();
    let file = site.path().join("program");
    symlink(artefacts::program("c_client"), &file).unwrap();
    let (reason, is_module) = only_refused(file);
    assert!(reason.starts_with("not a "), "{reason}");
    assert!(!is_module);
}

/// A file truncated anywhere is never loaded, nor even mapped, because that would end the daemon
/// with SIGBUS.
#[test]
fn truncated_elf_files_are_refused() {
    let whole = fs::read(artefacts::cpp_module("example_mod_name")).unwrap();
    let site = Site::new();
    let directory = site.path().join("cut");
    fs::create_dir(&directory).unwrap();
    let cuts =
        [5, 16, 40, 64, 100, 1000, 4096, whole.len() / 2, whole.len() - 2000, whole.len() - 1];
    for cut in cuts {
        fs::write(directory.join(format!("{cut}.so")), &whole[..cut]).unwrap();
    }
    let daemon = Daemon::start_at(site, &Options::new().repo_path(directory.clone()).kv());
    let document = modules(&daemon);
    assert_eq!(loaded(&document).len(), 1, "{document:#}");
    for cut in cuts {
        let reason = refused(&document, &directory.join(format!("{cut}.so")))["reason"].clone();
        let reason = reason.as_str().unwrap();
        assert!(
            reason.starts_with("a damaged shared library")
                || reason == "a truncated shared library",
            "{cut} bytes: {reason}"
        );
    }
}

/// All tables are present, but a segment would be mapped from beyond the end of the file: loading
/// that kills the process.
#[test]
fn a_library_whose_segments_reach_beyond_its_end_is_refused() {
    let mut file = fs::read(artefacts::cpp_module("example_mod_name")).unwrap();
    let number = |at: usize, len: usize, file: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&file[at..at + len]);
        u64::from_le_bytes(bytes) as usize
    };
    // e_phoff, e_phentsize, e_phnum and p_type, p_filesz, p_memsz, as in the ELF specification.
    let (table, size) = (number(0x20, 8, &file), number(0x36, 2, &file));
    let count = number(0x38, 2, &file);
    let last_load = (0..count).map(|n| table + n * size).rfind(|at| number(*at, 4, &file) == 1);
    let last_load = last_load.expect("a library has a loadable segment");
    for field in [32, 40] {
        let longer = number(last_load + field, 8, &file) as u64 + (1 << 24);
        file[last_load + field..][..8].copy_from_slice(&longer.to_le_bytes());
    }
    let site = Site::new();
    let path = site.path().join("reaching.so");
    fs::write(&path, file).unwrap();
    assert_eq!(only_refused(path), ("a truncated shared library".to_owned(), true));
}

/// The tables by which a file is judged may contain anything, which must not harm the reader.
#[test]
fn libraries_with_damaged_headers_are_refused() {
    let whole = fs::read(artefacts::test_module("partial_symbols")).unwrap();
    let site = Site::new();
    let directory = site.path().join("hurt");
    fs::create_dir(&directory).unwrap();
    // The ELF header and the program headers, one field at a time.
    for at in (4..400).step_by(4) {
        let mut hurt = whole.clone();
        hurt[at] ^= 0xff;
        hurt[at + 1] ^= 0x7f;
        fs::write(directory.join(format!("{at:03}.so")), hurt).unwrap();
    }
    let daemon = Daemon::start_at(site, &Options::new().repo_path(directory));
    let document = modules(&daemon);
    assert_eq!(loaded(&document), [], "{document:#}");
    assert_eq!(document["refused"].as_array().unwrap().len(), 99);
}

#[test]
fn a_library_without_the_symbols_is_no_module() {
    let (reason, is_module) = only_refused(artefacts::test_module("no_symbols"));
    assert_eq!(reason, "not a module: it exports no symbol of the contract");
    assert!(!is_module);
}

#[test]
fn a_library_with_some_of_the_symbols_is_told_which_are_missing() {
    assert_eq!(only_refused(artefacts::test_module("partial_symbols")), (PARTIAL.to_owned(), true));
}

#[test]
fn a_module_for_another_abi_major_is_refused() {
    let (reason, is_module) = only_refused(artefacts::test_module("abi_major"));
    let own = format!("{CHI_ABI_MAJOR}.{CHI_ABI_MINOR}");
    assert_eq!(reason, format!("built for ABI 2.0, this runtime speaks {own}"));
    assert!(is_module);
}

/// The library's constructor would end the daemon.
#[test]
fn a_library_without_the_contract_is_never_loaded() {
    let (reason, _) = only_refused(artefacts::test_module("abort_ctor"));
    assert_eq!(reason, "not a module: it exports no symbol of the contract");
}

#[test]
fn of_two_modules_with_one_name_the_first_wins() {
    let real = artefacts::cpp_module("example_mod_name");
    let other = artefacts::test_module("same_name");
    for (first, second) in [(&real, &other), (&other, &real)] {
        let site = Site::new();
        let one = site.directory_of("1", std::slice::from_ref(first));
        let two = site.directory_of("2", std::slice::from_ref(second));
        let options = Options::new().repo_path(one.clone()).repo_path(two.clone());
        let daemon = Daemon::start_at(site, &options);
        let document = modules(&daemon);
        let winner = one.join(first.file_name().unwrap());
        assert_eq!(loaded(&document), [(winner.clone(), "example:mod_name".to_owned())]);
        let loser = refused(&document, &two.join(second.file_name().unwrap()));
        let reason = format!("name example:mod_name already taken by {}", winner.display());
        assert_eq!(loser["reason"], reason);
        assert_eq!(loser["is_module"], true);
        // The refused one does not answer calls either.
        let client = artefacts::program("cpp_client");
        let line = daemon.site().run(client, &["roundtrip", "1000"]).ok().lines().remove(0);
        assert_eq!(line["status"] == 0, first == &real, "{line}");
    }
}

/// `--modules`, then `CHI_REPO_PATH`, then `LD_LIBRARY_PATH`.
#[test]
fn directories_are_scanned_in_their_order() {
    let real = [artefacts::cpp_module("example_mod_name")];
    let site = Site::new();
    let [argument, repo, library] =
        ["argument", "repo", "library"].map(|name| site.directory_of(name, &real));
    let all = [&argument, &repo, &library].map(|directory| directory.display().to_string());
    // If the links led to the same file, it would be loaded once, and the others ignored silently.
    for directory in [&argument, &library] {
        let link = directory.join(real[0].file_name().unwrap());
        fs::remove_file(&link).unwrap();
        fs::copy(&real[0], &link).unwrap();
    }
    let options = Options::new().library_path(library.clone()).repo_path(repo.clone());
    let options = options.argument("--modules").argument(&all[0]);
    let daemon = Daemon::start_at(site, &options);
    let document = modules(&daemon);
    assert_eq!(document["directories"], json!(all));
    assert_eq!(loaded(&document)[0].0, argument.join(real[0].file_name().unwrap()));
    for directory in [&repo, &library] {
        refused(&document, &directory.join(real[0].file_name().unwrap()));
    }
}

#[test]
fn directories_that_are_none_are_reported() {
    let site = Site::new();
    let missing = site.path().join("missing");
    let file = site.path().join("file");
    fs::write(&file, "").unwrap();
    let options = Options::new().repo_path(missing.clone()).repo_path(file.clone()).kv();
    let daemon = Daemon::start_at(site, &options);
    let document = modules(&daemon);
    assert_eq!(loaded(&document).len(), 1, "{document:#}");
    let reason = |path| refused(&document, path)["reason"].as_str().unwrap().to_owned();
    assert!(reason(&missing).starts_with("the directory cannot be read: No such file"));
    assert!(reason(&file).starts_with("the directory cannot be read: Not a directory"));
    // The user asked for these directories, so they are shown without --all.
    let text = daemon.cli(&["modules"]).ok().stdout;
    assert!(text.contains(missing.to_str().unwrap()), "{text}");
}

/// Files that are not regular are skipped: a FIFO must not block the start.
#[test]
fn fifos_sockets_and_links_to_nowhere_are_passed_over() {
    let site = Site::new();
    let directory = site.path().join("odd");
    fs::create_dir_all(directory.join("subdirectory.so")).unwrap();
    symlink("nowhere", directory.join("dangling.so")).unwrap();
    symlink("loop.so", directory.join("loop.so")).unwrap();
    let fifo = CString::new(directory.join("fifo.so").to_str().unwrap()).unwrap();
    // SAFETY: the path is a valid C string.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let _socket = std::os::unix::net::UnixListener::bind(directory.join("socket.so")).unwrap();
    let daemon = Daemon::start_at(site, &Options::new().repo_path(directory).kv());
    let document = modules(&daemon);
    assert_eq!(loaded(&document).len(), 1, "{document:#}");
    assert_eq!(document["refused"], json!([]));
}

/// The user `nobody`, to whom permission bits apply if this test runs as root.
const NOBODY: u32 = 65534;

#[test]
fn an_unreadable_directory_and_an_unreadable_file_are_reported() {
    let site = Site::new();
    let closed = site.path().join("closed");
    let open = site.directory_of("open", &[]);
    fs::create_dir(&closed).unwrap();
    fs::copy(artefacts::cpp_module("example_mod_name"), open.join("secret.so")).unwrap();
    fs::copy(artefacts::rust_module("chimaera_kv"), open.join("kv.so")).unwrap();
    fs::set_permissions(open.join("secret.so"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let options = Options::new().repo_path(closed.clone()).repo_path(open.clone());

    // Everything runs as a user to whom permission bits apply, with a copy of the program that this
    // user can reach.
    let root = rustix::process::geteuid().is_root();
    let program = site.path().join("program");
    // Not copied by this process: while it has the copy open for writing, children that other tests
    // start at that moment inherit the descriptor, and until they exec, the copy cannot be run.
    process::run(std::process::Command::new("cp").arg(artefacts::chimaera()).arg(&program)).ok();
    let as_user = |command: &std::process::Command| {
        let mut own = std::process::Command::new(&program);
        own.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        if root {
            own.uid(NOBODY).gid(NOBODY);
        }
        own
    };
    if root {
        for path in [site.path(), &program, &open.join("kv.so")] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let command = as_user(&options.command(&site));
    let daemon = Daemon::run(site.clone(), command);
    let mut ask = site.command(&program);
    ask.args(["--name", site.name(), "modules", "--json"]);
    let document = process::run(&mut as_user(&ask)).ok().json();
    assert_eq!(loaded(&document), [(open.join("kv.so"), "chimaera:kv".to_owned())]);
    let reason = |path: &Path| refused(&document, path)["reason"].as_str().unwrap().to_owned();
    assert!(reason(&closed).starts_with("the directory cannot be read: Permission denied"));
    assert!(reason(&open.join("secret.so")).starts_with("cannot be read: Permission denied"));
    drop(daemon);
}
