//! The memory budget: what clients can make a daemon allocate, how the budget is determined, and
//! what happens when it is used up. The clients stay within the default limits.

use std::process::Command;
use std::time::{Duration, Instant};

use chimaera::abi::*;
use chimaera::Pending;
use chimaera_ipc::ring::{Entry, Producer};
use chimaera_tests::process::until;
use chimaera_tests::raw::{shapes, Link};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::tasks::throws;
use chimaera_tests::{
    artefacts, connect_with, in_client, in_client_that_may_end_it, process, text_of, ControlGroup,
    Daemon, Options, Running, Site, ValuePool,
};
use serde_json::Value;
use shapes::{Field, Shape};

const ECHO: Shape = shapes::THROWS[1];
const SWAP: Shape = shapes::NESTED[0];

const MIB: u64 = 1 << 20;
/// The limit of the control groups.
const GROUP: u64 = 256 * MIB;
const HOUR: u64 = 3_600_000_000_000;

fn modules() -> Options {
    Options::new().throws().model().file(artefacts::test_module("nested"))
}

/// A control group, unless none can be created here.
fn group() -> Option<ControlGroup> {
    match ControlGroup::new(GROUP) {
        Ok(group) => Some(group),
        Err(why) => {
            eprintln!("skipped: no control group can be made here: {why}");
            None
        }
    }
}

fn memory(site: &Site) -> Value {
    site.status()["memory"].take()
}

fn used(site: &Site, of: &str) -> u64 {
    memory(site)["uses"][of].as_u64().expect("it is in the status")
}

/// The command line's requests are answered, however much memory clients hold.
#[track_caller]
fn is_in_control(site: &Site) {
    for command in [&["status"][..], &["sessions"], &["pool", "list"], &["modules"]] {
        site.cli(command).ok();
    }
}

fn pool(site: &Site, module: &str) -> chi_pool_id {
    let create = ["--json", "pool", "create", "--module", module, &module.replace(':', "_")];
    let id = site.cli(&create).ok().json()["id"].as_str().expect("it has an id").to_owned();
    let (major, minor) = id.split_once('.').expect("two numbers");
    chi_pool_id { major_: major.parse().unwrap(), minor_: minor.parse().unwrap() }
}

/// A session with tasks at many places of its segment.
struct Client {
    link: Link,
    ring: Producer,
    field: Field,
    sent: u64,
}

impl Client {
    #[track_caller]
    fn new(segment: u64) -> Client {
        let link = Link::open(segment).expect("the runtime accepts sessions");
        let (_, ring) = link.ring().expect("the runtime hands out rings");
        let field = Field::of(&link);
        Client { link, ring, field, sent: 0 }
    }

    /// Submits a task whose string or vector number `part` is `vector`, at the next of 64 places.
    fn submit(
        &mut self,
        pool: chi_pool_id,
        shape: &Shape,
        part: usize,
        vector: [u8; shapes::VECTOR],
    ) {
        let mut task = shapes::header(pool, shape.method);
        task.resize(shape.size.next_multiple_of(8), 0);
        let at = shape.parts[part].at;
        task[at..at + shapes::VECTOR].copy_from_slice(&vector);
        let slot = self.field.slot(self.sent);
        self.link.write(slot, &task);
        self.link.submit(&mut self.ring, slot).expect("the session is alive");
        self.sent += 1;
    }

    /// Waits for all tasks, at most 64, and returns their statuses.
    #[track_caller]
    fn wait(&self) -> Vec<i32> {
        let ended = (0..self.sent).map(|at| self.link.wait(self.field.slot(at)));
        ended.map(|ended| ended.expect("the session is alive").0).collect()
    }

    /// Writes rows that share one block of words, and returns the vector of the rows. They take at
    /// most 150 KB, of which the runtime makes a copy of up to `bytes` bytes.
    fn rows(&self, bytes: u64) -> [u8; shapes::VECTOR] {
        let (farm, words) = (self.field.farm, 1900);
        let rows = bytes / (words * 40 + 192);
        let block = farm + (rows * 88).next_multiple_of(64);
        for row in 0..rows {
            self.link.write(farm + row * 88 + 48, &shapes::vector(block, words * 40, words * 40));
        }
        shapes::vector(farm, rows * 88, rows * 88)
    }
}

/// Checks that tasks have succeeded, or were refused for lack of memory.
#[track_caller]
fn are_good_or_refused(statuses: &[i32]) {
    let fair = |status| [CHI_OK, CHI_NO_SPACE, CHI_TOO_LARGE].contains(status);
    assert!(statuses.iter().all(fair), "{statuses:?}");
}

/// Several sessions, each with tasks of which the runtime makes copies of 60 MB each.
fn copies(site: &Site) {
    let nested = pool(site, "test:nested");
    let echo = pool(site, "test:throws_method");
    let mut clients: Vec<Client> = (0..5).map(|_| Client::new(8 * MIB)).collect();
    let rows: Vec<_> = clients.iter().map(|client| client.rows(60 * MIB)).collect();
    for _ in 0..2 {
        for (client, rows) in clients.iter_mut().zip(&rows) {
            client.submit(nested, &SWAP, 1, *rows);
        }
    }
    // Another client's small tasks continue meanwhile.
    let mut other = Client::new(4 * MIB);
    for _ in 0..60 {
        other.submit(echo, &ECHO, 0, shapes::vector(other.field.farm, 100, 100));
    }
    assert!(other.wait().iter().all(|status| *status == CHI_OK));
    is_in_control(site);
    for client in &clients {
        are_good_or_refused(&client.wait());
    }
    drop(clients);
    until("the memory goes back", || (used(site, "tasks") == 0).then_some(()));
    let mut again = Client::new(4 * MIB);
    again.submit(nested, &SWAP, 1, again.rows(MIB / 2));
    assert_eq!(again.wait(), [CHI_OK]);
}

/// Sessions whose results together exceed all memory.
fn results(site: &Site) {
    let echo = pool(site, "test:throws_method");
    let mut clients: Vec<Client> = (0..6).map(|_| Client::new(0)).collect();
    for _ in 0..60 {
        for client in &mut clients {
            let large = shapes::vector(client.field.farm, MIB, MIB);
            client.submit(echo, &ECHO, 0, large);
        }
    }
    let statuses: Vec<i32> = clients.iter().flat_map(Client::wait).collect();
    are_good_or_refused(&statuses);
    let good = statuses.iter().filter(|status| **status == CHI_OK).count();
    assert!(good > 10 && good < statuses.len(), "{good} of {}", statuses.len());
    is_in_control(site);
    drop(clients);
    until("the memory goes back", || (used(site, "sessions") < MIB).then_some(()));
    let mut again = Client::new(0);
    again.submit(echo, &ECHO, 0, shapes::vector(again.field.farm, MIB, MIB));
    assert_eq!(again.wait(), [CHI_OK]);
}

/// As many suspended tasks as one client may have in flight.
fn suspended(site: &Site) {
    let pool = ValuePool::new(connect_with(32 * MIB), model::MODULE, "sleepers");
    let tasks: Vec<Pending<ValueTask>> =
        (0..30_000).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
    until("many tasks are suspended", || {
        (site.status()["tasks_suspended"].as_u64() > Some(20)).then_some(())
    });
    is_in_control(site);
    tasks.iter().for_each(|task| task.cancel().expect("it is in flight"));
    for task in tasks {
        let (status, message) = text_of(task.wait());
        assert!([CHI_CANCELLED, CHI_NO_SPACE].contains(&status), "{status}: {message}");
    }
    pool.call(model::SLEEP, 1000, 0);
}

/// As many containers as one user may have.
fn containers(site: &Site) {
    let create = |number: u32| {
        let name = format!("many{number}");
        site.cli(&["pool", "create", &name, "--module", throws::MODULE, "--containers", "2048"])
    };
    let mut made = 0;
    let refused = loop {
        let created = create(made);
        if created.code != 0 || made == 15 {
            break created;
        }
        made += 1;
    };
    assert!(refused.code == 1 && made > 0, "{made}: {refused:?}");
    let message = &refused.stderr;
    assert!(message.contains("memory budget (") && message.contains("for pools"), "{message}");
    assert!(message.contains("raise limits.memory"), "{message}");
    is_in_control(site);
    let before = used(site, "pools");
    site.cli(&["pool", "destroy", "many0"]).ok();
    assert!(used(site, "pools") < before);
    create(0).ok();
}

macro_rules! in_a_control_group {
    ($($test:ident: $clients:ident;)*) => {$(
        /// In a control group of 256 MiB, whose limit the daemon has not been told.
        #[test]
        fn $test() {
            let Some(group) = group() else { return };
            in_client!(modules().control_group(group), |site| $clients(site));
        }
    )*};
}

in_a_control_group! {
    copies_of_tasks_stay_within_a_control_group: copies;
    results_stay_within_a_control_group: results;
    suspended_tasks_stay_within_a_control_group: suspended;
    containers_stay_within_a_control_group: containers;
}

#[test]
fn the_budget_is_half_of_a_control_group() {
    let Some(group) = group() else { return };
    let daemon = Daemon::start(&modules().control_group(group));
    let memory = memory(daemon.site());
    assert_eq!(memory["source"], "cgroup", "{memory:#}");
    assert_eq!(memory["available_bytes"], GROUP, "{memory:#}");
    let budget = memory["budget_bytes"].as_u64().expect("it is there");
    assert!(budget.abs_diff(GROUP / 2) < 4096, "{memory:#}");
    let text = daemon.cli(&["status"]).ok().stdout;
    let said = "of 128.0 MiB in use, a share of the 256.0 MiB of its control group";
    assert!(text.contains(said), "{text}");
}

/// A daemon with a small budget, independent of the machine.
fn small() -> Options {
    modules().config("workers: 2\nlimits: {memory: 64MiB}\n")
}

/// Runs clients, and fails if the daemon's memory ever exceeds its budget plus its own size.
fn within(site: &Site, clients: impl FnOnce(&Site)) {
    let resident = || site.status()["resident_bytes"].as_u64().expect("it is running");
    let before = resident();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(resident());
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        clients(site);
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        watch.join().expect("it does not panic")
    });
    // Pages of segments that the daemon reads are resident, too.
    assert!(most < before + 112 * MIB, "the daemon grew from {before} to {most} bytes");
}

#[test]
fn copies_of_tasks_stay_within_the_budget() {
    in_client!(small(), |site| within(site, copies));
}

#[test]
fn results_stay_within_the_budget() {
    in_client!(small(), |site| within(site, results));
}

#[test]
fn suspended_tasks_stay_within_the_budget() {
    in_client!(small(), |site| within(site, suspended));
}

#[test]
fn containers_stay_within_the_budget() {
    in_client!(small(), |site| within(site, containers));
}

/// The allocator keeps some memory for each thread, but not the size of the largest blocks.
#[test]
fn the_memory_of_large_blocks_is_returned() {
    let config = "workers: {low_latency: {count: 4}, standby: 0}\n";
    let daemon = Daemon::start(&Options::new().mod_name().config(config));
    let before = daemon.rss();
    for _ in 0..3 {
        let command = || daemon.site().command(env!("CARGO_BIN_EXE_chi-test-client"));
        let clients: Vec<_> =
            (0..4).map(|_| Running::start(command().args(["roundtrip", "20000000"]))).collect();
        clients.into_iter().for_each(|mut client| assert_eq!(client.end(), 0));
    }
    process::until("the memory is returned", || {
        (daemon.rss() <= before + 4 * 8 * MIB).then_some(())
    });
}

#[test]
fn the_status_shows_the_budget() {
    let daemon = Daemon::start(&small());
    let memory = memory(daemon.site());
    assert_eq!(memory["budget_bytes"], 64 * MIB, "{memory:#}");
    assert_eq!(memory["source"], "configuration", "{memory:#}");
    let sum: u64 = memory["uses"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(memory["used_bytes"] == sum && sum > 0, "{memory:#}");
    let text = daemon.cli(&["status"]).ok().stdout;
    assert!(text.contains("of 64.0 MiB in use, set by limits.memory"), "{text}");
}

/// A task whose copies alone are too large is refused.
#[test]
fn a_task_larger_than_the_budget_is_refused() {
    in_client!(small(), |site| {
        let nested = pool(site, "test:nested");
        for (size, status) in [(60 * MIB, CHI_TOO_LARGE), (MIB / 4, CHI_OK)] {
            let mut client = Client::new(8 * MIB);
            client.submit(nested, &SWAP, 1, client.rows(size));
            assert_eq!(client.wait(), [status]);
        }
    });
}

/// Sessions are refused when their results have used up the budget, and accepted again when one
/// ends.
#[test]
fn sessions_are_refused_when_the_budget_is_used_up() {
    let options = modules().config("workers: 2\nlimits: {memory: 16MiB}\n");
    in_client!(options, |site| {
        // The bookkeeping for a large segment is in the daemon's own memory.
        let mut links = Vec::new();
        let refused = loop {
            match Link::open(8 << 30) {
                Ok(link) => links.push(link),
                Err(refused) => break refused.to_string(),
            }
            assert!(links.len() < 100, "there is no end");
        };
        assert!(refused.contains("memory budget (16.0 MiB) reached"), "{refused}");
        assert!(refused.contains("for sessions; raise limits.memory"), "{refused}");
        is_in_control(site);
        drop(links.pop());
        until("there is room again", || Link::open(8 << 30).ok());
    });
}

/// Even with little address space, no client request ends the daemon.
#[test]
fn few_addresses_are_no_end() {
    let options = modules().config("workers: 2\n").addresses(1 << 30);
    in_client!(options, |site| {
        assert_eq!(memory(site)["source"], "addresses");
        let mut links = Vec::new();
        let refused = loop {
            match Link::open(0) {
                Ok(link) => links.push(link),
                Err(refused) => break refused.to_string(),
            }
            assert!(links.len() < 100, "there is no end");
        };
        assert!(refused.contains("too few addresses left"), "{refused}");
        assert!(refused.contains("`ulimit -v`"), "{refused}");
        is_in_control(site);
        links.clear();
        until("there is room again", || Link::open(0).ok());
        copies(site);
        suspended(site);
    });
}

#[test]
fn the_key_takes_bytes_a_percentage_or_auto() {
    let site = Site::new();
    let file = site.path().join("chimaera.yaml");
    let check = |value: &str| {
        std::fs::write(&file, format!("limits: {{memory: {value}}}\n")).unwrap();
        let mut command: Command = site.command(artefacts::chimaera());
        process::run(command.args(["config", "check"]).arg(&file))
    };
    for good in ["auto", "64MiB", "10%", "100%", "\"2 GiB\""] {
        check(good).ok();
    }
    for (bad, why) in [
        ("0%", "write 1% to 100%"),
        ("101%", "write 1% to 100%"),
        ("1MiB", "write 16MiB to 1024TiB, a percentage, or `auto`"),
        ("all", "a percentage, or `auto`"),
        ("64", "a percentage, or `auto`"),
    ] {
        let refused = check(bad);
        assert!(refused.code != 0 && refused.stderr.contains(why), "{bad}: {refused:?}");
    }
}

/// Makes suspended tasks of some clients take all the memory that tasks may have.
fn hold_all(site: &Site, nested: chi_pool_id) -> Vec<Client> {
    // A single client may not have all of it.
    let mut holders: Vec<Client> = (0..4).map(|_| Client::new(8 * MIB)).collect();
    for holder in &mut holders {
        // Few large ones, so that there are enough stacks.
        let rows = holder.rows(10 * MIB);
        for _ in 0..10 {
            holder.submit(nested, &shapes::HOLD, 1, rows);
        }
    }
    until("their further tasks wait", || {
        // Tasks also wait for a moment while another, which will not fit, is being copied.
        if used(site, "tasks") < 40 * MIB - MIB / 2 {
            return None;
        }
        let sessions = site.cli(&["sessions", "--json"]).ok().json();
        let mut sessions = sessions.as_array().expect("a list").iter();
        sessions.all(|session| session["throttled"] == true).then_some(())
    });
    holders
}

/// A task that waits for memory which others do not free is refused after 10 s. Small tasks
/// continue meanwhile.
#[test]
fn a_task_that_waits_for_memory_for_long_is_refused() {
    in_client!(small(), |site| {
        let nested = pool(site, "test:nested");
        let echo = pool(site, "test:throws_method");
        let _holders = hold_all(site, nested);
        let start = Instant::now();
        let mut other = Client::new(16 * MIB);
        other.submit(nested, &SWAP, 1, other.rows(8 * MIB));
        let mut small = Client::new(4 * MIB);
        small.submit(echo, &ECHO, 0, shapes::vector(small.field.farm, 100, 100));
        assert_eq!(small.wait(), [CHI_OK]);
        assert_eq!(other.wait(), [CHI_NO_SPACE]);
        assert!(start.elapsed() > Duration::from_secs(9), "it was refused at once");
        is_in_control(site);
    });
}

/// A task that waits for memory starts when it fits, although how much it needs is not known before it
/// has been copied.
#[test]
fn a_task_that_waits_for_memory_starts_once_it_fits() {
    in_client!(small(), |site| {
        let nested = pool(site, "test:nested");
        let hold = |mib: u64| {
            let mut client = Client::new(16 * MIB);
            client.submit(nested, &shapes::HOLD, 1, client.rows(mib * MIB));
            client
        };
        let _holders = [hold(10), hold(10), hold(10)];
        let short = hold(5);
        until("they hold most of the memory", || (used(site, "tasks") > 34 * MIB).then_some(()));
        // It never fits, so it is refused after the longest time that a task may wait.
        let never = hold(20);
        let is_throttled = |count: usize| {
            let sessions = site.cli(&["sessions", "--json"]).ok().json();
            let sessions = sessions.as_array().expect("a list");
            let throttled = sessions.iter().filter(|session| session["throttled"] == true);
            (throttled.count() == count).then_some(())
        };
        until("it waits", || is_throttled(1));
        let fits = hold(10);
        until("both wait", || is_throttled(2));
        drop(short);
        until("it has the memory", || (used(site, "tasks") > 39 * MIB).then_some(()));
        let (word, _) = never.link.outcome(never.field.slot(0));
        assert_eq!(word & CHI_TASK_COMPLETE, 0, "the other had to wait as long as a task may");
        drop(fits);
    });
}

/// A task that waits for memory can be cancelled, and another gets the memory when others end.
#[test]
fn a_task_that_waits_for_memory_can_be_cancelled() {
    in_client!(small(), |site| {
        let nested = pool(site, "test:nested");
        let holders = hold_all(site, nested);
        let mut other = Client::new(16 * MIB);
        let rows = other.rows(8 * MIB);
        other.submit(nested, &SWAP, 1, rows);
        let offset = other.field.slot(0);
        let state = offset + std::mem::offset_of!(chi_task, status_) as u64;
        other.link.store(state, u64::from(CHI_TASK_IN_FLIGHT | CHI_TASK_CANCEL) << 32);
        other.ring.push(Entry::Cancel { offset }).expect("it has room");
        other.link.knock();
        assert_eq!(other.link.wait(offset).expect("the session is alive").0, CHI_CANCELLED);
        other.submit(nested, &shapes::HOLD, 1, rows);
        drop(holders);
        until("it has the memory", || {
            let sessions = site.cli(&["sessions", "--json"]).ok().json();
            let [only] = &sessions.as_array().expect("a list")[..] else { return None };
            (only["tasks_in_flight"] == 1 && only["throttled"] == false).then_some(())
        });
    });
}

/// Tasks that have all the memory, and others that wait for it, do not keep the runtime from
/// stopping.
#[test]
fn a_runtime_whose_memory_is_used_up_stops() {
    let daemon = in_client_that_may_end_it!(small(), |site| {
        let nested = pool(site, "test:nested");
        let _holders = hold_all(site, nested);
        let mut other = Client::new(16 * MIB);
        other.submit(nested, &SWAP, 1, other.rows(8 * MIB));
        site.cli(&["stop"]).ok();
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
    }
}

/// A task that waits for memory held by other tasks runs when they have ended, and one that would
/// wait forever is refused.
#[test]
fn tasks_wait_for_memory_but_not_for_ever() {
    in_client!(small(), |site| {
        let nested = pool(site, "test:nested");
        let mut clients: Vec<Client> = (0..4).map(|_| Client::new(8 * MIB)).collect();
        let start = Instant::now();
        for _ in 0..6 {
            for client in &mut clients {
                let rows = client.rows(4 * MIB);
                client.submit(nested, &SWAP, 1, rows);
            }
        }
        for client in &clients {
            are_good_or_refused(&client.wait());
        }
        assert!(start.elapsed() < process::BOUND);
    });
}
