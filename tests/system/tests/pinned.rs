//! Methods that do not yield their worker: whatever they do, clients and the command line are
//! served.

use std::time::Duration;

use chimaera::abi::CHI_CANCELLED;
use chimaera::{NewTask, Pending, PoolId, Task};
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::tasks::throws::{self, NumberTask};
use chimaera_tests::{
    artefacts, connect, in_client, process, text_of, Call, Daemon, Options, Running, Site,
    ValuePool,
};

/// How long a method blocks its worker. Long compared with everything else in these tests.
const BLOCK: Duration = Duration::from_secs(3);

/// A task that blocks its worker.
fn blocking(pool: &str, time: Duration) -> NewTask<NumberTask> {
    let ipc = connect();
    let pool = ipc.create_pool(throws::MODULE, pool, b"").unwrap();
    let task: NewTask<NumberTask> = ipc.task(pool, throws::SLEEP);
    task.value.set(time.as_nanos() as u64);
    task
}

/// `count` tasks that each block a worker, in separate pools, so that no two share a lane.
fn block(count: usize) -> Vec<Pending<NumberTask>> {
    block_for(count, BLOCK)
}

fn block_for(count: usize, time: Duration) -> Vec<Pending<NumberTask>> {
    let blocking = |number| blocking(&format!("block{number}"), time);
    let tasks: Vec<_> = (0..count).map(blocking).collect();
    tasks.into_iter().map(|task| task.submit().unwrap()).collect()
}

/// Waits until `count` workers are running methods.
fn until_blocked(site: &Site, count: usize) {
    process::until("the workers are blocked", || {
        let busy = workers(site).into_iter().filter(|worker| worker["running"].is_object());
        (busy.count() == count).then_some(())
    });
}

/// The workers, as `status` shows them.
fn workers(site: &Site) -> Vec<serde_json::Value> {
    site.status()["each_worker"].as_array().unwrap().clone()
}

#[test]
fn the_program_is_answered_while_every_worker_is_blocked() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().throws().config(config), |site| {
        let blocked = blocking("blocked", BLOCK).submit().unwrap();
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        assert_eq!(pools[1]["name"], "blocked", "{pools}");
        let modules = site.cli(&["modules", "--json"]).ok().json();
        assert_eq!(modules["loaded"][0]["name"], throws::MODULE);
        assert_eq!(site.status()["running"], true);
        assert!(!blocked.is_complete(), "the worker was not blocked all the time");
        drop(blocked.wait().unwrap());
    });
}

/// One session blocks the only worker; the tasks of another, in old and new pools, sleeping and
/// periodic, continue. Afterwards, the stand-by worker is no longer needed.
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
        assert!(shown[0]["running"]["age_ms"].as_u64().is_some_and(|ms| ms > 0), "{shown:#?}");
        let text = site.cli(&["status"]).ok().stdout;
        assert!(text.contains(" s with kSleep of pool block0 for session "), "{text}");
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

/// A `kCreate` that blocks its worker concerns nobody else: other pools are created, opened and destroyed.
#[test]
fn a_creation_that_blocks_holds_up_no_other() {
    for count in [1, 2] {
        let options = Options::new().throws().model().workers(count);
        let mut daemon = Daemon::start(&options);
        daemon.cli(&["pool", "create", "old", "--module", model::MODULE]).ok();
        let mut endless = daemon.site().command(artefacts::chimaera());
        endless.args(["--name", daemon.site().name(), "pool", "create", "endless"]);
        endless.args(["--module", throws::MODULE, "--params", "endless"]);
        let creating = Running::start(&mut endless);
        process::until("its worker is blocked", || {
            let mut all = workers(daemon.site()).into_iter();
            all.any(|worker| worker["running"]["pool"] == "endless").then_some(())
        });
        let blocked =
            || workers(daemon.site()).iter().any(|it| it["running"]["method"] == "kCreate");
        for _ in 0..8 {
            daemon.cli(&["pool", "create", "old", "--module", model::MODULE]).ok();
            daemon.cli(&["pool", "create", "new", "--module", model::MODULE]).ok();
            daemon.cli(&["pool", "destroy", "new"]).ok();
        }
        assert!(blocked(), "it was served only when the creation was over");
        drop(creating);
        daemon.kill();
    }
}

/// One session blocks as many workers as it may; whatever it submits, stand-by workers are left for
/// others.
#[test]
fn a_session_blocks_no_more_workers_than_its_share() {
    let config = "workers: {low_latency: {count: 2}, standby: 3, per_session: 3}\n";
    in_client!(Options::new().throws().model().config(config), |site| {
        let blocked = block(9);
        until_blocked(site, 3);
        // Each command has its own session.
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

/// Workers can be blocked by code other than methods.
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

/// The state of a pool in the list of pools; `None` if it is not there.
fn state(site: &Site, pool: &str) -> Option<String> {
    let pools = site.cli(&["pool", "list", "--json"]).ok().json();
    let found = pools.as_array().unwrap().iter().find(|found| found["name"] == pool)?;
    Some(found["state"].as_str().unwrap().to_owned())
}

/// Starts the destruction of a pool.
fn destroying(site: &Site, pool: &str) -> Running {
    let mut command = site.command(artefacts::chimaera());
    Running::start(command.args(["--name", site.name(), "pool", "destroy", pool]))
}

/// A destruction needs no worker to be accepted, and none to end at its bound.
#[test]
fn a_destruction_is_accepted_and_bounded_while_every_worker_is_blocked() {
    let config = "workers: {low_latency: {count: 1}, standby: 1, per_session: 2}\n";
    in_client!(Options::new().throws().model().config(config), |site| {
        for pool in ["doomed", "left"] {
            site.cli(&["pool", "create", pool, "--module", model::MODULE]).ok();
        }
        let blocked = block_for(2, 3 * BLOCK);
        until_blocked(site, 2);
        let pid = std::process::id();
        // A pool with a task that prevents its destruction, and one that only needs a worker for
        // `kDestroy`.
        for (pool, why) in [
            ("block0", "pool 'block0' was not destroyed: it still has 1 task in flight after 1."),
            ("left", "pool 'left' was not destroyed: no worker could run its kDestroy in 1."),
        ] {
            let bounded = site.cli(&["pool", "destroy", pool, "--timeout", "1"]);
            assert_eq!(bounded.code, 1, "{bounded:?}");
            for part in [why, "with kSleep of pool 'block0' for session", &format!("process {pid}")]
            {
                assert!(bounded.stderr.contains(part), "{part} is not in {}", bounded.stderr);
            }
            assert_eq!(state(site, pool).as_deref(), Some("live"));
        }
        let mut destroying = destroying(site, "doomed");
        process::until("the destruction is accepted", || {
            (state(site, "doomed").as_deref() == Some("destroying")).then_some(())
        });
        let gone = site.cli(&["pool", "destroy", "doomed", "--timeout", "0"]);
        assert!(gone.stderr.contains("another task is still changing pool 'doomed'"), "{gone:?}");
        assert!(blocked.iter().all(|task| !task.is_complete()), "a worker was back");
        blocked.into_iter().for_each(|task| drop(task.wait().unwrap()));
        assert_eq!(process::until("the program ends", || destroying.ended()), 0);
        assert_eq!(state(site, "doomed"), None);
        ValuePool::new(connect(), model::MODULE, "left").call(model::SLEEP, 1, 0);
    });
}

/// A destruction is not undone when the program that requested it has ended.
#[test]
fn a_destruction_goes_on_without_who_asked_for_it() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().throws().model().config(config), |site| {
        site.cli(&["pool", "create", "doomed", "--module", model::MODULE]).ok();
        let blocked = block(1);
        until_blocked(site, 1);
        let destroying = destroying(site, "doomed");
        process::until("the destruction is accepted", || {
            (state(site, "doomed").as_deref() == Some("destroying")).then_some(())
        });
        drop(destroying);
        assert!(!blocked[0].is_complete(), "the worker was back");
        blocked.into_iter().for_each(|task| drop(task.wait().unwrap()));
        process::until("it is destroyed", || state(site, "doomed").is_none().then_some(()));
    });
}

/// More tasks for the pool of a blocking one, in whose lane they wait.
fn behind(pool: PoolId) -> Vec<Pending<NumberTask>> {
    let task = || -> NewTask<NumberTask> { connect().task(pool, throws::SLEEP) };
    (0..10).map(|_| task().submit().unwrap()).collect()
}

/// Cancels tasks, half of them in another thread, whose ring is another.
fn cancelled(mut tasks: Vec<Pending<NumberTask>>) {
    let others = tasks.split_off(tasks.len() / 2);
    let cancel = |tasks: Vec<Pending<NumberTask>>| {
        tasks.iter().for_each(|task| task.cancel().unwrap());
        tasks.into_iter().for_each(|task| assert_eq!(text_of(task.wait()).0, CHI_CANCELLED));
    };
    std::thread::spawn(move || cancel(others)).join().unwrap();
    cancel(tasks);
}

/// A task that waits behind one that blocks its worker is cancelled without that worker.
#[test]
fn a_task_behind_one_that_blocks_its_worker_is_cancelled() {
    in_client!(Options::new().throws().model().workers(1), |site| {
        let blocked = block(1);
        let pool = connect().find_pool("block0").unwrap();
        let (stays, tasks) = (behind(pool), behind(pool));
        until_blocked(site, 1);
        cancelled(tasks);
        assert!(!blocked[0].is_complete(), "they were cancelled only when the worker was back");
        assert!(stays.iter().all(|task| !task.is_complete()));
        blocked.into_iter().for_each(|task| drop(task.wait().unwrap()));
        stays.into_iter().for_each(|task| drop(task.wait().unwrap()));
    });
}

/// With every worker blocked and no stand-by worker left, tasks in lanes and in rings are cancelled, also
/// those of threads that come later, and none is started until a worker is back.
fn cancel_while_every_worker_is_blocked(site: &Site, standby: usize) {
    let values = ValuePool::new(connect(), model::MODULE, "values");
    // While no task is started, pools are not found.
    let pool = connect().create_pool(throws::MODULE, "block0", b"").unwrap();
    let another = blocking("another", BLOCK);
    let mut blocked = block(1);
    until_blocked(site, 1);
    let mut queued = Vec::new();
    if standby == 1 {
        // The stand-by worker takes these out of the ring.
        queued = behind(pool);
        process::until("they are queued", || (site.pool("block0")["tasks"] == 11).then_some(()));
        blocked.push(another.submit().unwrap());
        until_blocked(site, 2);
    }
    let attends = || workers(site).iter().any(|worker| worker["standby"] == "attending");
    process::until("a worker attends", || attends().then_some(()));
    let text = site.cli(&["status"]).ok().stdout;
    assert!(text.contains("stand-by, starts no tasks"), "{text}");
    let tasks = || -> Vec<Pending<ValueTask>> {
        (0..10).map(|_| values.task(model::SLEEP, 1, 0).submit().unwrap()).collect()
    };
    let (stays, other) = (tasks(), tasks());
    other.iter().for_each(|task| task.cancel().unwrap());
    other.into_iter().for_each(|task| assert_eq!(text_of(task.wait()).0, CHI_CANCELLED));
    cancelled(queued);
    cancelled(behind(pool));
    assert!(!blocked.iter().any(Pending::is_complete), "a worker was back");
    assert!(!stays.iter().any(Pending::is_complete), "a task was started");
    blocked.into_iter().for_each(|task| drop(task.wait().unwrap()));
    stays.into_iter().for_each(|task| drop(task.wait().unwrap()));
    process::until("it rests", || (!attends()).then_some(()));
    values.call(model::SLEEP, 1, 0);
}

#[test]
fn tasks_are_cancelled_while_the_only_worker_is_blocked() {
    let config = "workers: {low_latency: {count: 1}, high_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().throws().model().config(config), |site| {
        cancel_while_every_worker_is_blocked(site, 0);
    });
}

#[test]
fn tasks_are_cancelled_while_stand_by_workers_are_blocked_too() {
    let config = "workers: {low_latency: {count: 1}, standby: 1, per_session: 2}\n";
    in_client!(Options::new().throws().model().config(config), |site| {
        cancel_while_every_worker_is_blocked(site, 1);
    });
}
