//! Names and parameters of pools.

use std::ffi::CString;

use chimaera::abi::{
    chi_pool_id, CHI_DENIED, CHI_EXISTS, CHI_INVALID, CHI_NO_POOL, CHI_OK, CHI_TOO_LARGE,
};
use chimaera::archive::params_to_bytes;
use chimaera::{Ipc, PoolId, Result, Status};
use chimaera_kv_client as kv;
use chimaera_tests::tasks::{model, throws};
use chimaera_tests::{artefacts, connect, in_client, process, text_of, Daemon, Options, Vitals};

/// Creates a pool with arbitrary bytes as its name, through the C table.
fn create(ipc: Ipc, name: &[u8]) -> Result<PoolId> {
    let name = CString::new(name).expect("a C string");
    let module = CString::new(kv::MODULE).expect("a C string");
    let mut id = chi_pool_id::default();
    let table = ipc.as_raw();
    // SAFETY: the strings are null-terminated, no parameters are passed, and `id` can be written.
    let (status, message) = unsafe {
        let none = std::ptr::null();
        let status =
            ((*table).create_pool)(table, module.as_ptr(), name.as_ptr(), none, 0, &mut id);
        (status, std::ffi::CStr::from_ptr(((*table).last_error)(table)))
    };
    match status {
        CHI_OK => Ok(id.into()),
        _ => Err(Status::new(status, message.to_string_lossy())),
    }
}

#[test]
fn bad_names_are_refused_and_good_ones_work() {
    in_client!(Options::new().kv(), |_| {
        let ipc = connect();
        let longest = "n".repeat(255);
        for good in ["a", "with space", "a/b:c", "Ünïcode", "名前", &longest] {
            let id = create(ipc, good.as_bytes()).unwrap_or_else(|e| panic!("{good:?}: {e}"));
            assert_eq!(ipc.find_pool(good).unwrap(), id);
        }
        let too_long = "n".repeat(256);
        let huge = "n".repeat(1 << 20);
        for bad in ["", "tab\there", "new\nline", "\u{7f}", "\u{85}", &too_long, &huge] {
            let (code, message) = text_of(create(ipc, bad.as_bytes()));
            assert!([CHI_INVALID, CHI_TOO_LARGE].contains(&code), "{bad:.20?}: {code}");
            assert!(message.contains("name") && message.contains("255"), "{message}");
        }
        for bad in [&b"\xff"[..], b"half a \xc3", b"\xed\xa0\x80"] {
            let (code, message) = text_of(create(ipc, bad));
            assert_eq!(code, CHI_INVALID);
            assert!(message.contains("UTF-8"), "{message}");
        }
        let (code, message) = text_of(ipc.create_pool(kv::MODULE, "a\0b", b""));
        assert_eq!(code, CHI_INVALID);
        assert!(message.contains("zero byte"), "{message}");
    });
}

#[test]
fn null_strings_are_refused() {
    in_client!(Options::new().kv(), |_| {
        let table = connect().as_raw();
        let mut id = chi_pool_id::default();
        let null = std::ptr::null();
        // SAFETY: null is what is being tested; everything else is valid.
        unsafe {
            let name = c"name".as_ptr();
            let create = |module, name, id: &mut chi_pool_id| {
                ((*table).create_pool)(table, module, name, std::ptr::null(), 0, id)
            };
            assert_eq!(create(null, name, &mut id), CHI_INVALID);
            assert_eq!(create(name, null, &mut id), CHI_INVALID);
            assert_eq!(((*table).find_pool)(table, null, &mut id), CHI_INVALID);
        }
    });
}

#[test]
fn a_name_that_another_module_has_taken() {
    in_client!(Options::new().kv().throws(), |site| {
        let ipc = connect();
        let store = kv::Client::create("mine", kv::Params::default()).unwrap();
        store.put("key", "value").unwrap();
        let (code, message) = text_of(ipc.create_pool(throws::MODULE, "mine", b""));
        assert_eq!(code, CHI_EXISTS);
        assert_eq!(
            message,
            "pool 'mine' already exists and is of module chimaera:kv, not test:throws_method"
        );
        let output = site.cli(&["pool", "create", "mine", "--module", throws::MODULE]);
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("is of module chimaera:kv"), "{output:#?}");
        assert_eq!(store.get("key").unwrap(), b"value");
    });
}

#[test]
fn the_same_parameters_find_the_pool_and_others_are_refused() {
    in_client!(Options::new().kv(), |site| {
        let params = |max_bytes| kv::Params { max_bytes: Some(max_bytes), ..kv::Params::default() };
        connect();
        let first = kv::Client::create("limited", params(1000)).unwrap();
        first.put("key", "value").unwrap();
        let second = kv::Client::create("limited", params(1000)).unwrap();
        assert_eq!(first, second);
        assert_eq!(second.get("key").unwrap(), b"value");
        for other in [params(1001), kv::Params::default()] {
            let (code, message) = text_of(kv::Client::create("limited", other));
            assert_eq!(
                (code, &*message),
                (CHI_EXISTS, "pool 'limited' already exists with other parameters")
            );
        }
        // The command line reads the same bytes from a file.
        let file = site.path().join("params");
        std::fs::write(&file, params_to_bytes(&params(1000)).unwrap()).unwrap();
        let create = ["pool", "create", "limited", "--module", kv::MODULE, "--json"];
        let from_file = ["--params-file", file.to_str().unwrap()];
        let found = site.cli(&[&create[..], &from_file].concat()).ok().json();
        assert_eq!(found["existed"], true, "{found}");
        assert_eq!(found["id"], first.pool_id().to_string(), "{found}");
        // Equal parameters in another textual form are the same.
        for text in ["max_bytes=1000", "device=, max_bytes=1000\n"] {
            let found = site.cli(&[&create[..], &["--params", text]].concat()).ok().json();
            assert_eq!(
                (&found["existed"], &found["id"]),
                (&true.into(), &first.pool_id().to_string().into())
            );
        }
        assert_eq!(site.cli(&[&create[..], &["--params", "max_bytes=5"]].concat()).code, 1);
    });
}

/// Parameters reach the container, and its verdict on them reaches the caller.
#[test]
fn parameters_that_a_module_does_not_like() {
    in_client!(Options::new().kv(), |_| {
        let ipc = connect();
        let (code, message) = text_of(ipc.create_pool(kv::MODULE, "store", b"size=5"));
        assert_eq!(code, CHI_INVALID);
        let why = "there is no parameter \"size\"; known parameters: max_bytes, device, compressor, path, \
                   sync";
        assert_eq!(message, format!("pool 'store': {why}"));
        assert_eq!(text_of(ipc.find_pool("store")).0, CHI_NO_POOL);
        let too_many = vec![b'x'; (1 << 20) + 1];
        assert_eq!(text_of(ipc.create_pool(kv::MODULE, "store", &too_many)).0, CHI_TOO_LARGE);
        let store = kv::Client::create(
            "store",
            kv::Params { max_bytes: Some(10), ..kv::Params::default() },
        )
        .unwrap();
        assert_eq!(text_of(store.put("key", "a value of more than that")).0, kv::STORE_FULL);
        store.put("key", "value").unwrap();
    });
}

#[test]
fn the_admin_pool_stays() {
    in_client!(Options::new().kv(), |site| {
        let ipc = connect();
        let admin = PoolId::new(1, 0);
        assert_eq!(ipc.find_pool("admin").unwrap(), admin);
        let (code, message) = text_of(ipc.destroy_pool(admin));
        assert_eq!(code, CHI_DENIED);
        assert!(message.contains("admin"), "{message}");
        let output = site.cli(&["pool", "destroy", "admin"]);
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains("as long as the runtime"), "{output:#?}");
        // There cannot be a second pool of that name either.
        let (code, message) = text_of(ipc.create_pool(kv::MODULE, "admin", b""));
        assert_eq!(code, CHI_EXISTS);
        assert!(message.contains("of module chimaera:admin"), "{message}");
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        assert_eq!((&pools[0]["name"], pools.as_array().unwrap().len()), (&"admin".into(), 1));
    });
}

/// Many clients that create a pool at once get the same one, and it is constructed once.
#[test]
fn creations_at_the_same_time_agree() {
    in_client!(Options::new().kv().workers(3), |_| {
        let ipc = connect();
        for round in 0..20 {
            let name = format!("pool {round}");
            let create = || ipc.create_pool(kv::MODULE, &name, b"").unwrap();
            let ids: Vec<PoolId> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
            ipc.destroy_pool(ids[0]).unwrap();
        }
    });
}

/// A task that asks for a pool that is being created sleeps until it exists, and is woken then.
#[test]
fn who_asks_for_a_pool_that_is_being_created_is_woken() {
    in_client!(Options::new().model().workers(2), |site| {
        let ipc = connect();
        let daemon = site.cli(&["status", "--json"]).ok().json()["pid"].as_u64().expect("a number");
        std::thread::scope(|scope| {
            let two_seconds = b"2000000000";
            let creation = scope.spawn(|| ipc.create_pool(model::MODULE, "slow", two_seconds));
            let (id, awake) = process::until("the creation begins", || {
                let before = process::switches(daemon as u32);
                let found = ipc.find_pool("slow");
                match found {
                    Err(status) if status.code() == CHI_NO_POOL => None,
                    found => Some((found.unwrap(), process::switches(daemon as u32) - before)),
                }
            });
            assert_eq!(creation.join().unwrap().unwrap(), id);
            assert!(awake < 100, "the daemon was awake {awake} times in 2 s");
        });
    });
}

/// Pools can be created and destroyed indefinitely.
#[test]
fn a_thousand_pools_leave_nothing_behind() {
    let daemon = Daemon::start(&Options::new().kv().mod_name());
    let cycle = |times: usize| {
        let script: Vec<&str> = ["put key value", "roundtrip 100", "destroy-kv"]
            .iter()
            .flat_map(|command| command.split(' ').chain(["--"]))
            .collect();
        let all: Vec<&str> = script.iter().copied().cycle().take(script.len() * times).collect();
        let client = artefacts::program("cpp_client");
        let lines = daemon.site().run(client, &all[..all.len() - 1]).ok().lines();
        assert!(lines.iter().all(|line| line["status"] == 0), "{lines:#?}");
        assert_eq!(lines.len(), 3 * times);
        Vitals::settled(&daemon, 0)
    };
    let before = cycle(300);
    let after = cycle(1000);
    // A retired container is freed when a later one is destroyed, and a worker that compresses for
    // the first time allocates its workspace late.
    assert_eq!((before.fds, before.threads), (after.fds, after.threads));
    assert!(after.rss < before.rss + (6 << 20), "from {} to {} bytes", before.rss, after.rss);
}

#[test]
fn a_runtime_that_ends_destroys_the_last_pool_first() {
    let mut daemon = Daemon::start(&Options::new().kv().bdev());
    let create = |pool: &str, module: &str, params: &str| {
        daemon.cli(&["pool", "create", pool, "--module", module, "--params", params]).ok();
    };
    let names: Vec<String> = (0..12).map(|i| format!("pool{i}")).collect();
    create(&names[0], "chimaera:bdev", "");
    for name in &names[1..] {
        create(name, "chimaera:kv", "device=pool0");
    }
    // A pool that is created again becomes the last one.
    daemon.cli(&["pool", "destroy", &names[5]]).ok();
    create(&names[5], "chimaera:kv", "device=pool0");
    let before = daemon.log().len();
    daemon.stop();
    let log = daemon.log();
    let of_pool = |line: &str| {
        let name = line.split("pool=\"").nth(1)?.split('"').next()?;
        line.contains("pool destroyed").then(|| name.to_owned())
    };
    let destroyed: Vec<String> = log[before..].lines().filter_map(of_pool).collect();
    let mut expected = names;
    expected[5..].rotate_left(1);
    expected.reverse();
    assert_eq!(destroyed, expected, "{log}");
}
