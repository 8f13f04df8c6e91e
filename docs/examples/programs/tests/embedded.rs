//! A runtime inside a program in Rust, and a client beside it.

use chimaera::client::{self, Options};
use chimaera::runtime::{Config, Error, Runtime};
use chimaera_kv_client::{Client, Params};

fn start() -> Runtime {
    let modules = std::env::var_os("CHI_TEST_MODULES")
        .expect("CHI_TEST_MODULES is not set: `make test` builds the modules and sets it");
    Runtime::start(Config { module_paths: vec![modules.into()], ..Config::embedded() })
        .expect("a runtime of its own starts")
}

fn connect(runtime: &Runtime) {
    let instance = Some(runtime.instance().name().to_owned());
    client::init(Options { instance, ..Options::default() }).expect("the runtime is there");
}

#[test]
fn runtimes_come_and_go_in_one_process() {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let runtime = start();
        assert!(runtime.modules().contains(&"chimaera:kv".to_owned()), "{:?}", runtime.modules());
        let name = runtime.instance().name().to_owned();
        assert!(!seen.contains(&name), "{name} twice");
        connect(&runtime);
        let kv = Client::create("store", Params::default()).unwrap();
        assert!(
            !kv.put("key", "value").unwrap(),
            "a new runtime knows nothing about the previous one"
        );
        assert_eq!(kv.get("key").unwrap(), b"value");
        client::shutdown();

        let again = Config { instance: Some(name.clone()), ..Config::default() };
        assert!(matches!(Runtime::start(again), Err(Error::Running { .. })));

        let (socket, lock) = (runtime.instance().socket(), runtime.instance().lock());
        assert!(socket.exists() && lock.exists());
        runtime.stop();
        runtime.wait();
        assert!(!socket.exists() && !lock.exists(), "{name} left files behind");
        seen.push(name);
    }
}
