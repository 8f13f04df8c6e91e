//! Modules and clients built against older minor versions of the ABI.

use std::path::PathBuf;

use chimaera::abi::*;
use chimaera_tests::raw::{shapes, Link};
use chimaera_tests::tasks::throws;
use chimaera_tests::{artefacts, connect, in_client, Daemon, Options};
use serde_json::Value;

/// The minor versions kept in tests/abi, each with its module.
fn minors() -> Vec<(String, PathBuf)> {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../abi");
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(kept)
        .expect("tests/abi exists")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with('v'))
        .map(|name| {
            let module = artefacts::test_module("nested");
            let built = module.parent().and_then(|dir| dir.parent()).expect("it has a directory");
            (name[1..].replace('_', "."), built.join(format!("abi_{name}/libnested.so")))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn modules_of_every_released_minor_load_and_run() {
    let minors = minors();
    assert!(minors.iter().any(|(minor, _)| minor == "1.0"), "{minors:?}");
    for (minor, module) in minors {
        let daemon = Daemon::start(&Options::new().file(module));
        let listed: Value = daemon.cli(&["modules", "--json"]).ok().json();
        assert_eq!(listed["loaded"][0]["abi"], minor, "{listed}");
        let output = daemon.site().run(artefacts::program("cpp_client"), &["nested"]);
        let line = output.ok().lines().remove(0);
        assert_eq!((&line["status"], &line["plain"]), (&0.into(), &"second".into()), "{line}");
    }
}

/// Clients of 1.0 and 1.1 do not say how their tasks are laid out. Only those that do are checked.
#[test]
fn clients_that_do_not_state_their_layouts_are_served() {
    in_client!(Options::new().throws(), |_| {
        let pool = connect().create_pool(throws::MODULE, "throws", b"").unwrap().to_raw();
        let [_, echo, yields] = shapes::THROWS else { panic!("three methods") };
        for minor in 0..=CHI_ABI_MINOR {
            let link = Link::open_as(minor, 4 << 20).expect("the runtime accepts sessions");
            let (_, mut ring) = link.ring().expect("the runtime hands out rings");
            let field = shapes::Field::of(&link);
            let at = field.slot(0);
            for shape in [echo, yields] {
                link.write(at, &shapes::sound_task(&link, &field, pool, shape));
                let ended = link.call(&mut ring, at).expect("the session is alive");
                assert_eq!(ended.0, CHI_OK, "1.{minor}");
            }
            // Of another size.
            link.write(at, &shapes::sound_task(&link, &field, pool, echo));
            let layout = task_layout(echo.size + 8, 0) as u32;
            let word = u64::from(CHI_TASK_IN_FLIGHT) << 32 | u64::from(layout);
            link.store(at + std::mem::offset_of!(chi_task, status_) as u64, word);
            link.submit(&mut ring, at).expect("the session is alive");
            assert_eq!(link.wait(at).expect("the session is alive").0, CHI_VERSION, "1.{minor}");
        }
    });
}
