//! Clients keep what they have allocated of a block device over a restart, and lose it when they end.

use std::time::Duration;

use chimaera_bdev_client::{Client, Params};
use chimaera_kv_client as kv;
use chimaera_tests::device::file_of;
use chimaera_tests::process::until;
use chimaera_tests::{connect, in_client_that_may_end_it, rounds, Options, Running};
use rustix::process::Signal;

/// Whoever is killed before a restart, while it goes on, or after it, and whoever lives on, is known to the
/// successor.
#[test]
fn blocks_of_killed_clients_are_reclaimed_over_restarts() {
    const BLOCKS: u64 = 400;
    let daemon = in_client_that_may_end_it!(Options::new().bdev().kv(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let file = file_of(directory.path(), "disk", Params::default().file_size(BLOCKS).unwrap());
        let path = file.to_str().unwrap().to_owned();
        let in_memory = Params { blocks: BLOCKS, reclaim: true, ..Params::default() };
        for params in [in_memory, Params { path, reclaim: true, ..Params::default() }] {
            let device = Client::create("blocks", params).unwrap();
            let store = kv::Params { device: "blocks".into(), ..kv::Params::default() };
            let store = kv::Client::create("store", store).unwrap();
            store.put("key", vec![1; 3 * 4096]).unwrap();
            device.allocate_for(5, 10).unwrap();
            let client = |owner: u64| {
                let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-blocks"));
                let mut client = Running::start(command.args(["owner", &owner.to_string(), "50"]));
                assert_eq!(client.line().as_deref(), Some("ready"));
                client
            };
            let used = |clients: u64| {
                until("blocks", || {
                    let free = device.stats().unwrap().free_blocks;
                    (free == BLOCKS - 10 - 3 - 50 * clients).then_some(())
                });
            };
            for round in 0..rounds(2, 30) {
                let [before, meanwhile, after, lasting] = [5, 6, 7, 8].map(client);
                used(4);
                before.signal(Signal::KILL);
                std::thread::scope(|scope| {
                    let restart = scope.spawn(|| site.cli(&["restart"]).ok());
                    std::thread::sleep(Duration::from_millis(20 * round as u64));
                    meanwhile.signal(Signal::KILL);
                    restart.join().unwrap();
                });
                used(2);
                after.signal(Signal::KILL);
                used(1);
                // Also over a restart and another object.
                site.cli(&["restart"]).ok();
                site.cli(&["pool", "migrate", "blocks"]).ok();
                used(1);
                lasting.signal(Signal::KILL);
                used(0);
            }
            assert_eq!(device.release(5).unwrap(), 10);
            for pool in ["store", "blocks"] {
                site.cli(&["pool", "destroy", pool]).ok();
            }
        }
        site.cli(&["stop"]).ok();
    });
    if let Some(mut daemon) = daemon {
        daemon.end();
    }
}
