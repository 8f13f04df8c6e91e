//! Methods that do not yield their worker: whatever they do, clients are served and the program is answered.

use std::time::Duration;

use chimaera::{NewTask, Pending, Task};
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::tasks::throws::{self, NumberTask};
use chimaera_tests::{connect, in_client, process, Call, Options, Site, ValuePool};

/// How long a method blocks its worker. Long compared with everything else in these tests.
const BLOCK: Duration = Duration::from_secs(3);

/// A task that blocks its worker.
fn blocking(pool: &str) -> NewTask<NumberTask> {
    let ipc = connect();
    let pool = ipc.create_pool(throws::MODULE, pool, b"").unwrap();
    let task: NewTask<NumberTask> = ipc.task(pool, throws::SLEEP);
    task.value.set(BLOCK.as_nanos() as u64);
    task
}

/// So many tasks that block a worker each, in pools of their own, of which none shares a lane.
fn block(count: usize) -> Vec<Pending<NumberTask>> {
    let tasks: Vec<_> = (0..count).map(|number| blocking(&format!("block{number}"))).collect();
    tasks.into_iter().map(|task| task.submit().unwrap()).collect()
}

/// The workers that status shows, of which some are blocked.
fn workers(site: &Site) -> Vec<serde_json::Value> {
    site.status()["each_worker"].as_array().unwrap().clone()
}

#[test]
fn the_program_is_answered_while_every_worker_is_blocked() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().throws().config(config), |site| {
        let blocked = blocking("blocked").submit().unwrap();
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        assert_eq!(pools[1]["name"], "blocked", "{pools}");
        let modules = site.cli(&["modules", "--json"]).ok().json();
        assert_eq!(modules["loaded"][0]["name"], throws::MODULE);
        assert_eq!(site.status()["running"], true);
        assert!(!blocked.is_complete(), "the worker was not blocked all the time");
        drop(blocked.wait().unwrap());
    });
}

/// One session blocks the only worker; another one's tasks, old pools and new ones, sleeps and periodic tasks
/// go on. Then the stand-by worker is not needed any more.
#[test]
fn a_stand_by_worker_serves_while_a_method_blocks_the_only_one() {
    in_client!(Options::new().throws().model().workers(1), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "others");
        let ticking: NewTask<ValueTask> = pool.task(model::TICK, 0, 0);
        ticking.base().set_period(Duration::from_millis(5));
        let ticking = ticking.submit().unwrap();
        let blocked = block(1);
        let ticks = || pool.call(model::TICKS, 0, 0);
        let before = ticks();
        pool.call(model::SLEEP, 1_000_000, 0);
        ValuePool::new(connect(), model::MODULE, "new").call(model::SLEEP, 1, 0);
        process::until("the periodic task runs", || (ticks() > before + 10).then_some(()));
        assert!(!blocked[0].is_complete(), "nobody was served until the worker was back");
        let shown = workers(site);
        assert_eq!(shown.len(), 2, "{shown:#?}");
        assert_eq!(shown[1]["standby"], "serving", "{shown:#?}");
        assert_eq!(shown[0]["running"]["method"], "kSleep", "{shown:#?}");
        blocked.into_iter().for_each(|task| drop(task.wait().unwrap()));
        process::until("the stand-by worker rests", || {
            (workers(site)[1]["standby"] == "resting").then_some(())
        });
        let before = ticks();
        process::until("the periodic task runs", || (ticks() > before + 10).then_some(()));
        ticking.cancel().unwrap();
        drop(ticking.wait());
        assert_eq!(site.status()["tasks_suspended"], 0);
    });
}

/// One session blocks as many workers as it may; there are stand-by workers left for others, whatever it
/// submits.
#[test]
fn a_session_blocks_no_more_workers_than_its_share() {
    let config = "workers: {low_latency: {count: 2}, standby: 3, per_session: 3}\n";
    in_client!(Options::new().throws().model().config(config), |site| {
        let blocked = block(9);
        process::until("three workers are blocked", || {
            (workers(site).iter().filter(|worker| worker["running"].is_object()).count() == 3)
                .then_some(())
        });
        // Sessions of their own.
        for number in 0..20 {
            let name = format!("another{number}");
            site.cli(&["pool", "create", &name, "--module", model::MODULE]).ok();
        }
        let done = blocked.iter().filter(|task| task.is_complete()).count();
        assert_eq!(done, 0, "others were served only when the workers were back");
        let shown = workers(site);
        let busy: Vec<_> = shown.iter().filter(|worker| worker["running"].is_object()).collect();
        assert_eq!(busy.len(), 3, "{shown:#?}");
        assert!(busy.iter().all(|worker| worker["running"]["pid"] == std::process::id()));
        blocked.into_iter().for_each(|task| drop(task.wait().unwrap()));
    });
}

/// What blocks need not be a method.
#[test]
fn monitors_and_del_and_pollers_that_block_are_relieved_alike() {
    in_client!(Options::new().crash().model().workers(1), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "blocks", b"").unwrap();
        let places = [
            (crash::MONITORED, "kMonitored"),
            (crash::DELETED, "kDeleted"),
            (crash::POLLED, "a poller"),
        ];
        for (method, shown) in places {
            let task: NewTask<CrashTask> = ipc.task(pool, method);
            task.mistake.set(crash::BLOCK);
            task.depth.set(BLOCK.as_millis() as u64);
            let task = task.submit().unwrap();
            let blocked = || {
                let mut running = workers(site).into_iter().map(|worker| worker["running"].clone());
                running.find(|running| running["method"] == shown)
            };
            let running = process::until("it blocks", blocked);
            site.cli(&["pool", "create", shown, "--module", model::MODULE]).ok();
            assert!(blocked().is_some(), "others were served only when the worker was back");
            if method != crash::POLLED {
                assert_eq!(running["pid"], std::process::id());
            }
            process::until("it is back", || blocked().is_none().then_some(()));
            task.wait().unwrap();
        }
    });
}
