//! Clients of another user. These tests need root to switch users.

use std::os::fd::OwnedFd;
use std::path::Path;

use chimaera_tests::other_user::{allow, alone_as_root, as_nobody, reachable, NOBODY};
use chimaera_tests::{artefacts, process, Daemon, Options, Output, Site};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The output of a client that runs as another user.
#[track_caller]
fn strangers_call(site: &Site, client: &Path) -> Output {
    let mut command = as_nobody(site.command(client));
    process::run(command.args(["count"]))
}

#[test]
fn a_client_of_another_user_is_refused() {
    let Some(_alone) = alone_as_root() else { return };
    let mut daemon = Daemon::start(&Options::new().kv());
    let site = daemon.site().clone();
    let programs = tempfile::tempdir().expect("a place for files");
    allow(programs.path(), 0o755);
    let client = reachable(artefacts::rust_client(), programs.path());
    let own = process::run(site.command(&client).arg("count"));
    assert!(own.stdout.contains("CHI_OK"), "the same client as the right user: {own:?}");

    // As installed: other users cannot enter the directory.
    let refused = strangers_call(&site, &client);
    assert!(refused.code != 0 || !refused.stdout.contains("CHI_OK"), "{refused:?}");
    let said = refused.stdout + &refused.stderr;
    assert!(said.contains("belongs to another user"), "{said}");
    assert!(said.contains("CHI_DENIED") || said.contains("denied"), "{said}");

    // With an open directory, the runtime checks the user itself, every time.
    allow(site.path(), 0o755);
    allow(site.path().join("chimaera"), 0o755);
    allow(site.socket(), 0o777);
    for _ in 0..50 {
        let refused = strangers_call(&site, &client);
        let said = refused.stdout + &refused.stderr;
        let why = format!("this runtime belongs to user 0; user {NOBODY} may not use it");
        assert!(said.contains(&why), "{said}");
    }
    let own = process::run(site.command(&client).arg("count"));
    assert!(own.stdout.contains("CHI_OK"), "the right user still: {own:?}");
    assert!(daemon.is_alive());
}

#[test]
fn root_does_not_use_another_user_s_runtime() {
    let Some(_alone) = alone_as_root() else { return };
    let programs = tempfile::tempdir().expect("a place for files");
    allow(programs.path(), 0o755);
    let site = Site::new();
    std::os::unix::fs::chown(site.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    let mut command = site.command(reachable(artefacts::chimaera(), programs.path()));
    command.args(["--json", "--name", site.name(), "start", "--workers", "1"]);
    let _daemon = Daemon::run(site.clone(), as_nobody(command));
    let why = format!("belongs to another user ({NOBODY})");
    for command in [&["pool", "list"][..], &["status"], &["stop"]] {
        let refused = site.cli(command);
        assert!(refused.code != 0 && refused.stderr.contains(&why), "{refused:?}");
    }
}

/// It could lead into a directory that is for something else.
#[test]
fn a_directory_is_not_reached_through_a_link_of_another_user() {
    let Some(_alone) = alone_as_root() else { return };
    let daemon = Daemon::start(&Options::new().workers(1));
    let site = daemon.site();
    let link = site.path().join("link");
    std::os::unix::fs::symlink(site.path().join("chimaera"), &link).expect("the name is free");
    let status = || {
        let mut command = site.command(artefacts::chimaera());
        process::run(command.env("CHI_RUNTIME_DIR", &link).args(["--name", site.name(), "status"]))
    };
    status().ok();
    std::os::unix::fs::lchown(&link, Some(NOBODY), Some(NOBODY)).expect("root may");
    let refused = status();
    assert_ne!(refused.code, 0, "{refused:?}");
    let advice = "another user's link to one; it is not used";
    assert!(refused.stderr.contains(advice), "{refused:?}");
    assert!(refused.stderr.contains("set CHI_RUNTIME_DIR to"), "{refused:?}");
}

/// Listens as another user where a runtime would.
fn squat(site: &Site) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let socket = socket.expect("there are descriptors");
    let address = SocketAddrUnix::new(site.socket()).expect("the path is short");
    rustix::net::bind(&socket, &address).expect("the name is free");
    std::thread::scope(|scope| {
        // The system call changes the user of the calling thread only.
        let listen = || {
            // SAFETY: the call takes numbers, and the thread ends afterwards.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, NOBODY, -1) };
            assert_eq!(changed, 0, "root may");
            rustix::net::listen(&socket, 8).expect("it is bound");
        };
        scope.spawn(listen).join().expect("it listens");
    });
    socket
}

/// Another user who creates the directory first receives nothing.
#[test]
fn a_client_tells_nobody_else_anything() {
    let Some(_alone) = alone_as_root() else { return };
    let site = Site::new();
    let directory = site.path().join("chimaera");
    std::fs::create_dir(&directory).expect("the site is new");
    let own = |mode: u32, user: u32| {
        std::os::unix::fs::chown(&directory, Some(user), None).expect("root may");
        allow(&directory, mode);
    };
    own(0o755, 0);
    let listener = squat(&site);
    let refused = |why: &str| {
        let said = process::run(site.command(artefacts::rust_client()).arg("count")).stdout;
        assert!(said.contains("CHI_DENIED") && said.contains(why), "{why}: {said}");
        let stop = site.cli(&["pool", "list"]);
        assert!(stop.code == 1 && stop.stderr.contains(why), "{why}: {stop:?}");
        while let Ok(connection) = rustix::net::accept(&listener) {
            let heard = rustix::io::read(&connection, &mut [0_u8; 16]);
            assert_eq!(heard, Ok(0), "it said something");
        }
    };
    refused(&format!("user {NOBODY} listens there"));
    own(0o755, NOBODY);
    refused(&format!("belongs to another user ({NOBODY})"));
    own(0o777, 0);
    refused("other users can write to it");
    own(0o755, 0);
    let elsewhere = site.path().join("elsewhere");
    std::fs::rename(&directory, &elsewhere).expect("the name is free");
    std::os::unix::fs::symlink(&elsewhere, &directory).expect("the name is free");
    refused(&format!("user {NOBODY} listens there"));
    std::os::unix::fs::lchown(&directory, Some(NOBODY), None).expect("root may");
    refused("another user's link");
}

#[test]
fn a_directory_that_others_control_is_not_used() {
    let Some(_alone) = alone_as_root() else { return };
    let site = Site::new();
    let directory = site.path().join("chimaera");
    std::fs::create_dir(&directory).expect("the site is new");
    let start = || site.cli(&["start"]);
    std::os::unix::fs::chown(&directory, Some(NOBODY), Some(NOBODY)).expect("root may");
    allow(&directory, 0o777);
    let refused = start();
    assert!(refused.code == 1 && refused.stderr.contains("belongs to another user"), "{refused:?}");
    std::os::unix::fs::chown(&directory, Some(0), Some(0)).expect("root may");
    let refused = start();
    assert!(refused.code == 1 && refused.stderr.contains("other users can write"), "{refused:?}");
    std::fs::remove_dir(&directory).expect("it is empty");
    std::os::unix::fs::symlink("/tmp", &directory).expect("the name is free");
    let refused = start();
    assert!(refused.code == 1 && refused.stderr.contains("other users can write"), "{refused:?}");
    std::os::unix::fs::lchown(&directory, Some(NOBODY), None).expect("root may");
    let refused = start();
    assert!(refused.code == 1 && refused.stderr.contains("another user's link"), "{refused:?}");
}
