//! Pools created with parameters given as structs, from one language for a module in the other.

use chimaera::abi::{CHI_INVALID, CHI_NO_POOL, CHI_OK};
use chimaera_kv_client as kv;
use chimaera_tests::{artefacts, connect, in_client, text_of, Daemon, Options};
use example_mod_name_client as mod_name;

/// A text that zstd compresses better at higher levels.
fn text() -> Vec<u8> {
    (0..20_000u32).map(|i| b'a' + (i.wrapping_mul(i) >> 9) as u8 % 20).collect()
}

#[test]
fn a_rust_client_chooses_the_level_of_a_module_in_cpp() {
    in_client!(Options::new().mod_name(), |_| {
        let ipc = connect();
        let plain = mod_name::Client::create("plain").unwrap();
        let params = mod_name::Params { level: 19 };
        let thorough = mod_name::Client::create_with("thorough", params).unwrap();
        let of_pool = thorough.compress(&text(), 0).unwrap();
        assert_eq!(of_pool, plain.compress(&text(), 19).unwrap());
        assert_ne!(of_pool, plain.compress(&text(), 0).unwrap());
        assert_eq!(mod_name::Client::create_with("thorough", params).unwrap(), thorough);
        // The defaults are the same as no parameters.
        let again = mod_name::Client::create_with("plain", mod_name::Params::default()).unwrap();
        assert_eq!(again, plain);

        // Parameters as text are the same as the struct.
        let same = ipc.create_pool(mod_name::MODULE, "thorough", b"level=19").unwrap();
        assert_eq!(same, thorough.pool_id());
        let same = ipc.create_pool(mod_name::MODULE, "plain", b"level=3").unwrap();
        assert_eq!(same, plain.pool_id());
        let (code, message) = text_of(ipc.create_pool(mod_name::MODULE, "plain", b"level=fast"));
        assert_eq!(code, CHI_INVALID);
        let why = "the parameter level is \"fast\", but must be a number from -2147483648";
        assert!(message.contains(why), "{message}");

        let wrong = mod_name::Client::create_with("wrong", mod_name::Params { level: 99 });
        let (code, message) = text_of(wrong);
        assert_eq!(code, CHI_INVALID);
        assert!(message.contains("the level 99 is not between"), "{message}");

        let (code, message) = text_of(ipc.create_pool(mod_name::MODULE, "wrong", &[1, 2, 3]));
        assert_eq!(code, CHI_INVALID);
        let why = "malformed pool parameters: the bytes end too early: 4 were expected at byte 1";
        assert!(message.contains(why), "{message}");
        assert_eq!(text_of(ipc.find_pool("wrong")).0, CHI_NO_POOL);
    });
}

#[test]
fn a_cpp_client_limits_a_store_in_rust() {
    let daemon = Daemon::start(&Options::new().kv());
    let client = artefacts::program("cpp_client");
    let run = |words: &[&str]| daemon.site().run(&client, words).ok().lines().remove(0);
    let made = run(&["limited-kv", "small", "10", "value"]);
    assert_eq!(made["status"], CHI_OK, "{made}");
    let full = run(&["limited-kv", "small", "10", "a value of more than that"]);
    assert_eq!(full["status"], kv::STORE_FULL, "{full}");
    let other = run(&["limited-kv", "small", "11", "value"]);
    assert!(other["message"].as_str().unwrap().contains("with other parameters"), "{other}");

    let malformed = run(&["malformed-kv", "bad"]);
    assert_eq!(malformed["status"], CHI_INVALID, "{malformed}");
    let why = "malformed pool parameters: byte 1 is 2, but must be 0 or 1";
    assert!(malformed["message"].as_str().unwrap().contains(why), "{malformed}");
}

/// In C they would end there, and be the names of something else.
#[test]
fn names_with_a_zero_byte_are_refused_in_cpp() {
    let daemon = Daemon::start(&Options::new().throws());
    daemon.cli(&["pool", "create", "a", "--module", "test:throws_method"]).ok();
    let client = artefacts::program("cpp_client");
    for word in ["find-zero", "find-of-zero", "create-zero", "connect-zero"] {
        let said = daemon.site().run(&client, &[word]).lines().remove(0);
        assert_eq!(said["status"], CHI_INVALID, "{word}: {said}");
        assert_eq!(said["message"], "a name contains a zero byte", "{word}");
    }
}
