//! Errors in modules, and tasks without a valid destination: each gets a clear answer, and the
//! daemon and its other tasks continue.

use chimaera::abi::{
    CHI_CANCELLED, CHI_FAILED, CHI_INVALID, CHI_NO_METHOD, CHI_NO_MODULE, CHI_NO_POOL, CHI_OK,
    CHI_UNSUPPORTED,
};
use chimaera::{DomainQuery, Ipc, PoolId, Status};
use chimaera_kv_client as kv;
use chimaera_test_rust_faults_client as faults;
use chimaera_tests::tasks::throws::{self, EchoTask, NumberTask, PlainTask};
use chimaera_tests::{
    artefacts, bytes, connect, in_client, in_client_that_may_end_it, text_of, Call, Daemon, Options,
};

fn throws_pool(ipc: Ipc) -> PoolId {
    ipc.create_pool(throws::MODULE, "throws", b"").unwrap()
}

fn faults_pool(ipc: Ipc) -> PoolId {
    ipc.create_pool(faults::MODULE, "faults", b"").unwrap()
}

/// Sends a task without fields, and returns its failure.
#[track_caller]
fn fails(ipc: Ipc, pool: PoolId, method: u32) -> (i32, String) {
    text_of(ipc.task::<PlainTask>(pool, method).call())
}

fn echo(ipc: Ipc, pool: PoolId, len: usize) -> Result<bool, Status> {
    let task = ipc.task::<EchoTask>(pool, throws::ECHO);
    task.data.set(bytes(len))?;
    Ok(task.call()?.output.copy_to_vec()? == bytes(len))
}

#[test]
fn a_method_that_throws() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        for _ in 0..100 {
            let thrown = (CHI_FAILED, "kThrow always throws".to_owned());
            assert_eq!(fails(ipc, pool, throws::THROW), thrown);
            let (code, message) = fails(ipc, pool, throws::THROW_INT);
            assert_eq!(code, CHI_FAILED);
            assert_eq!(message, "an object of type int was thrown");
            let mute = (CHI_FAILED, "an exception without a text was thrown".to_owned());
            assert_eq!(fails(ipc, pool, throws::THROW_MUTE), mute);
            assert!(echo(ipc, pool, 1000).unwrap());
        }
    });
}

/// Nothing comes of it but a line in the log.
#[test]
fn a_method_that_deletes_a_task_twice() {
    let daemon = in_client_that_may_end_it!(Options::new().throws(), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        for _ in 0..3 {
            ipc.task::<throws::PlainTask>(pool, throws::DELETE_TWICE).call().unwrap();
            assert!(echo(ipc, pool, 1000).unwrap());
        }
    });
    let Some(mut daemon) = daemon else { return };
    assert!(daemon.log().contains("the method has deleted a task twice"), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_method_that_panics() {
    in_client!(Options::new().rust_faults(), |_| {
        let ipc = connect();
        let pool = faults_pool(ipc);
        for round in 0..100 {
            let task = ipc.task::<faults::FaultTask>(pool, faults::Method::PANIC);
            task.text.set(format!("round {round}")).unwrap();
            let (code, message) = text_of(task.call());
            assert_eq!(code, CHI_FAILED);
            assert!(message.contains(&format!("told to panic: round {round}")), "{message}");
            let task = ipc.task::<faults::EchoTask>(pool, faults::Method::ECHO);
            task.input.set("still here").unwrap();
            assert_eq!(task.call().unwrap().output.copy_to_vec().unwrap(), b"still here");
        }
    });
}

#[test]
fn a_method_that_returns_an_error() {
    in_client!(Options::new().rust_faults(), |_| {
        let ipc = connect();
        let pool = faults_pool(ipc);
        for text in ["", "the disk is on fire", "Ünïcode\n\ttoo"] {
            let task = ipc.task::<faults::FaultTask>(pool, faults::Method::ERROR);
            task.text.set(text).unwrap();
            let (code, message) = text_of(task.call());
            assert_eq!(code, faults::FAULT);
            // Without a message from the method, there is a default one.
            assert!(if text.is_empty() { !message.is_empty() } else { message == text });
        }
        // A message of any length arrives, truncated at the limit.
        let long = "x".repeat(100_000);
        let task = ipc.task::<faults::FaultTask>(pool, faults::Method::ERROR);
        task.text.set(&long).unwrap();
        let (_, message) = text_of(task.call());
        assert!(message.len() >= 1000 && long.starts_with(&message), "{} bytes", message.len());
    });
}

/// Failures and successes on many threads at once: each task gets its own outcome.
#[test]
fn failures_of_one_task_are_not_another_s() {
    in_client!(Options::new().throws().rust_faults(), |_| {
        let ipc = connect();
        let (throws, faults) = (throws_pool(ipc), faults_pool(ipc));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..200 {
                        let text = format!("{thread}.{round}");
                        let error = ipc.task::<faults::FaultTask>(faults, faults::Method::ERROR);
                        error.text.set(&text).unwrap();
                        let error = error.submit().unwrap();
                        let thrown = ipc.task::<PlainTask>(throws, throws::THROW);
                        let thrown = thrown.submit().unwrap();
                        assert!(echo(ipc, throws, round * 7).unwrap());
                        assert_eq!(text_of(error.wait()), (faults::FAULT, text));
                        assert_eq!(text_of(thrown.wait()).1, "kThrow always throws");
                    }
                });
            }
        });
    });
}

#[test]
fn a_container_whose_construction_throws() {
    let options = Options::new().file(artefacts::test_module("throws_ctor")).kv();
    in_client!(options.clone(), |site| {
        let ipc = connect();
        for _ in 0..10 {
            let (code, message) = text_of(ipc.create_pool("test:throws_ctor", "doomed", b""));
            assert_eq!(code, CHI_FAILED);
            assert!(message.contains("the constructor of test:throws_ctor throws"), "{message}");
            assert!(message.contains("doomed"), "{message}");
            assert_eq!(text_of(ipc.find_pool("doomed")).0, CHI_NO_POOL);
        }
        // The name can be used again.
        kv::Client::create("doomed", kv::Params::default()).unwrap();
        let output = site.cli(&["pool", "create", "other", "--module", "test:throws_ctor"]);
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains("the constructor of test:throws_ctor throws"));
    });
}

#[test]
fn a_container_whose_construction_panics_or_fails() {
    in_client!(Options::new().rust_faults(), |_| {
        let ipc = connect();
        let create = |params| ipc.create_pool(faults::MODULE, "doomed", params);
        for _ in 0..10 {
            let (code, message) = text_of(create(faults::PARAMS_PANIC));
            assert_eq!(code, CHI_FAILED);
            assert!(message.contains("told to panic"), "{message}");
            let (code, message) = text_of(create(faults::PARAMS_FAIL));
            assert_eq!(code, faults::FAULT);
            assert!(message.contains("told to fail"), "{message}");
            assert_eq!(text_of(ipc.find_pool("doomed")).0, CHI_NO_POOL);
        }
        create(b"").unwrap();
    });
}

#[test]
fn a_missing_module() {
    let daemon = Daemon::start(&Options::new().kv());
    for client in ["c_client", "cpp_client"] {
        let output = daemon.site().run(artefacts::program(client), &["no-module"]).ok();
        let line = &output.lines()[0];
        assert_eq!(line["status"], CHI_NO_MODULE, "{line}");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains("'test:nothing' (loaded: chimaera:kv)"), "{message}");
    }
    let output = daemon.cli(&["pool", "create", "p", "--module", "test:nothing", "--json"]);
    assert_eq!(output.code, 1);
    assert!(output.json()["error"].as_str().unwrap().contains("'test:nothing'"), "{output:#?}");
}

#[test]
fn an_unknown_pool() {
    in_client!(Options::new(), |_| {
        let ipc = connect();
        assert_eq!(
            text_of(ipc.find_pool("nobody")),
            (CHI_NO_POOL, "there is no pool 'nobody'".to_owned())
        );
        let strangers = [(0, 0), (1, 1), (2, 0), (60000, 60000), (u32::MAX, u32::MAX)];
        for (major, minor) in strangers {
            let (code, message) = fails(ipc, PoolId::new(major, minor), 10);
            assert_eq!(code, CHI_NO_POOL);
            assert!(message.contains(&format!("{major}.{minor}")), "{message}");
        }
    });
}

#[test]
fn an_unknown_method() {
    in_client!(Options::new().throws().kv(), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        for method in [throws::DELETE_TWICE + 1, 999, 4095, 4096, u32::MAX] {
            let (code, message) = fails(ipc, pool, method);
            assert_eq!(code, CHI_NO_METHOD);
            assert_eq!(message, format!("the module test:throws_method has no method {method}"));
        }
        // Clients cannot make the runtime's own calls.
        for (method, name) in [(0, "kCreate"), (1, "kDestroy")] {
            let (code, message) = fails(ipc, pool, method);
            assert_eq!(code, CHI_UNSUPPORTED);
            let expected = "only the runtime itself calls";
            let module = throws::MODULE;
            assert_eq!(message, format!("{expected} {name} (method {method}) of module {module}"));
        }
        assert!(echo(ipc, pool, 10).unwrap());
    });
}

#[test]
fn a_method_marked_as_unsupported() {
    in_client!(Options::new().throws().rust_faults(), |_| {
        let ipc = connect();
        for (pool, method, module) in [
            (throws_pool(ipc), throws::UNSUPPORTED, throws::MODULE),
            (faults_pool(ipc), faults::Method::UNSUPPORTED, faults::MODULE),
        ] {
            let (code, message) = fails(ipc, pool, method);
            assert_eq!(code, CHI_UNSUPPORTED);
            assert!(message.contains("kUnsupported") && message.contains(module), "{message}");
        }
    });
}

#[test]
fn a_task_that_names_a_container_that_is_not_there() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        let call = |query| {
            let task = ipc.new_task::<NumberTask>(pool, query, throws::YIELD).unwrap();
            task.call().map(|_| ())
        };
        for good in [
            DomainQuery::dynamic(),
            DomainQuery::local_id(0),
            DomainQuery::global_id(0),
            DomainQuery::local_hash(77),
            DomainQuery::global_hash(u32::MAX),
            DomainQuery::global_bcast(),
        ] {
            call(good).unwrap_or_else(|status| panic!("{good:?}: {status}"));
        }
        for bad in [DomainQuery::local_id(1), DomainQuery::global_id(u32::MAX)] {
            let (code, message) = text_of(call(bad));
            assert_eq!(code, CHI_INVALID);
            assert!(message.contains("no container"), "{message}");
        }
    });
}

#[test]
fn a_task_to_a_destroyed_pool() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect();
        let old = throws_pool(ipc);
        let waiting = ipc.task::<PlainTask>(old, throws::THROW);
        ipc.destroy_pool(old).unwrap();
        assert_eq!(text_of(waiting.call()).0, CHI_NO_POOL);
        assert_eq!(text_of(ipc.destroy_pool(old)).0, CHI_NO_POOL);
        // Its name can be used again; its number is not.
        let new = throws_pool(ipc);
        assert_ne!(old, new);
        let (code, message) = fails(ipc, old, throws::ECHO);
        assert_eq!(code, CHI_NO_POOL);
        assert!(message.contains("may have been destroyed"), "{message}");
        assert!(echo(ipc, new, 10).unwrap());
    });
}

/// Whenever the destruction happens, each task either runs or fails because its pool is gone.
#[test]
fn destroying_a_pool_under_load() {
    in_client!(Options::new().throws().workers(3), |site| {
        let ipc = connect();
        for round in 0..10 {
            let pool = throws_pool(ipc);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(move || {
                        let mut pending = Vec::new();
                        for _ in 0..300 {
                            let task = ipc.task::<NumberTask>(pool, throws::YIELD);
                            task.value.set(5);
                            pending.push(task.submit().unwrap());
                        }
                        let outcome = |code| [CHI_OK, CHI_CANCELLED, CHI_NO_POOL].contains(&code);
                        for task in pending {
                            let code = task.wait().map_or_else(|status| status.code(), |_| CHI_OK);
                            assert!(outcome(code), "status {code}");
                        }
                    });
                }
                std::thread::sleep(std::time::Duration::from_micros(round * 300));
                ipc.destroy_pool(pool).unwrap();
            });
            assert_eq!(text_of(ipc.find_pool("throws")).0, CHI_NO_POOL);
        }
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        assert_eq!(pools.as_array().unwrap().len(), 1, "{pools:#}");
    });
}
