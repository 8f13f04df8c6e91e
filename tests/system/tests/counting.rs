//! Every task that the runtime accepts ends exactly once, whether it succeeds, fails or is
//! cancelled, its container goes into quarantine, its client is killed or the runtime stops.

use std::collections::BTreeMap;

use chimaera::abi::{CHI_CANCELLED, CHI_FAILED, CHI_FAULT, CHI_OK, CHI_UNAVAILABLE};
use chimaera::{Ipc, NewTask, Pending, PoolId, Task};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::tasks::throws::{self, EchoTask, NumberTask, PlainTask};
use chimaera_tests::{connect, in_client, in_client_that_may_end_it, process, rounds, tally};
use chimaera_tests::{Call, Options, Running, Site};

const HOUR: u64 = 3600 * 1_000_000_000;

fn options() -> Options {
    Options::new().throws().crash()
}

/// The outcomes of the tasks that were submitted.
#[derive(Default)]
struct Ledger {
    submitted: u64,
    ended: BTreeMap<i32, u64>,
}

impl Ledger {
    /// Submits a task.
    fn submit<T: Task>(&mut self, task: NewTask<T>) -> Pending<T> {
        self.submitted += 1;
        task.submit().expect("the ring has room in time")
    }

    /// Waits for a task, which must end in one of these ways. Returns the task if it succeeded.
    #[track_caller]
    fn end<T: Task>(&mut self, task: Pending<T>, ways: &[i32]) -> Option<chimaera::Done<T>> {
        let ended = match task.wait_timeout(process::BOUND) {
            Ok(done) => Ok(done),
            Err(chimaera::WaitError::Failed(status)) => Err(status),
            Err(chimaera::WaitError::Timeout(_)) => panic!("a task has not ended"),
        };
        let code = ended.as_ref().map_or_else(|status| status.code(), |_| CHI_OK);
        assert!(ways.contains(&code), "{ended:?}");
        *self.ended.entry(code).or_default() += 1;
        ended.ok()
    }

    /// The number of tasks that have ended.
    fn all(&self) -> u64 {
        self.ended.values().sum()
    }
}

fn crashing(ipc: Ipc, pool: PoolId, method: u32, mistake: u64) -> NewTask<CrashTask> {
    let task: NewTask<CrashTask> = ipc.task(pool, method);
    task.mistake.set(mistake);
    task
}

/// How many tasks have ended, as the runtime counts them.
fn counted(site: &Site) -> u64 {
    site.status()["tasks"].as_u64().expect("a number")
}

fn yields(ipc: Ipc, pool: PoolId, times: u64) -> NewTask<NumberTask> {
    let task: NewTask<NumberTask> = ipc.task(pool, throws::YIELD);
    task.value.set(times);
    task
}

/// Tasks that succeed, that fail, and that are cancelled at any moment of their lives.
fn mix(ledger: &mut Ledger, ipc: Ipc, pool: PoolId, random: &mut Random) {
    let mut echoes = Vec::new();
    let mut under_way = Vec::new();
    for _ in 0..100 {
        let bytes = random.bytes(8 + random.clone().below(2000) as usize);
        let echo: NewTask<EchoTask> = ipc.task(pool, throws::ECHO);
        echo.data.set(&bytes).expect("there is room");
        echoes.push((ledger.submit(echo), bytes));
        under_way.push(ledger.submit(yields(ipc, pool, random.below(50))));
        let throwing = ledger.submit(ipc.task::<PlainTask>(pool, throws::THROW));
        ledger.end(throwing, &[CHI_FAILED]);
        if random.below(2) == 0 {
            let index = random.below(under_way.len() as u64) as usize;
            under_way[index].cancel().expect("the runtime is there");
        }
    }
    for (echo, bytes) in echoes {
        let done = ledger.end(echo, &[CHI_OK]).expect("it succeeds");
        assert_eq!(done.output.copy_to_vec().expect("it is valid"), bytes);
    }
    under_way.into_iter().for_each(|task| drop(ledger.end(task, &[CHI_OK, CHI_CANCELLED])));
}

/// As many tasks as the ring takes.
fn flood(ledger: &mut Ledger, ipc: Ipc, pool: PoolId) {
    let mut under_way = Vec::new();
    while under_way.len() < 20_000 {
        match yields(ipc, pool, 1).try_submit() {
            Ok(task) => under_way.push(task),
            Err(_) => break,
        }
    }
    ledger.submitted += under_way.len() as u64;
    under_way.into_iter().for_each(|task| drop(ledger.end(task, &[CHI_OK])));
}

/// A container goes into quarantine while its tasks are running, suspended and queued.
fn quarantine(ledger: &mut Ledger, ipc: Ipc, pool: PoolId) {
    let mut tasks: Vec<_> =
        (0..20).map(|_| ledger.submit(crashing(ipc, pool, crash::SLEEP, HOUR))).collect();
    tasks.push(ledger.submit(crashing(ipc, pool, crash::CRASH, crash::FAULTS[0].0)));
    tasks.extend((0..20).map(|_| ledger.submit(crashing(ipc, pool, crash::HEALTH, 1))));
    let ways = [CHI_OK, CHI_FAULT, CHI_CANCELLED];
    tasks.into_iter().for_each(|task| drop(ledger.end(task, &ways)));
}

#[test]
fn tasks_end_once() {
    in_client!(options(), |site| {
        let ipc = connect();
        let mut random = Random::new(seed());
        let pool = ipc.create_pool(throws::MODULE, "sound", b"").expect("the module is loaded");
        let times = rounds(3, 200);
        let fragile = |number| ipc.create_pool(crash::MODULE, &format!("fragile{number}"), b"");
        let fragile: Vec<_> =
            (0..times).map(|number| fragile(number).expect("the module is loaded")).collect();
        let before = counted(site);
        let mut ledger = Ledger::default();
        for fragile in fragile {
            mix(&mut ledger, ipc, pool, &mut random);
            flood(&mut ledger, ipc, pool);
            quarantine(&mut ledger, ipc, fragile);
        }
        assert_eq!(ledger.all(), ledger.submitted);
        process::until("the runtime counts them", || {
            (counted(site) - before >= ledger.submitted).then_some(())
        });
        assert_eq!(counted(site) - before, ledger.submitted, "{:?}", ledger.ended);
        assert_eq!(ledger.ended.len(), 4, "{:?}", ledger.ended);
        tally("tasks counted", ledger.submitted);
    });
}

/// How many tasks of the module have begun, and how many have ended.
fn runs(ipc: Ipc, pool: PoolId) -> (u64, u64) {
    let done = ipc.task::<EchoTask>(pool, throws::RUNS).call().expect("it cannot fail");
    let bytes = done.output.copy_to_vec().expect("it is valid");
    let number = |at| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("two numbers"));
    (number(0), number(8))
}

/// Starts a client, which prints "ready" once it has submitted its tasks.
fn client(site: &Site, command: &str, tasks: u64) -> Running {
    let mut program = site.command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    let mut client = Running::start(program.args([command, &tasks.to_string()]));
    assert_eq!(client.line().as_deref(), Some("ready"));
    client
}

fn kill(mut client: Running) {
    client.signal(rustix::process::Signal::KILL);
    assert_eq!(client.end(), -libc::SIGKILL);
}

/// Waits until this process has the only session, and no task is under way.
fn until_quiet(site: &Site) {
    process::until("their tasks are gone", || {
        let status = site.status();
        (status["sessions"] == 1 && status["tasks_suspended"] == 0).then_some(())
    });
}

/// Clients are killed when all their tasks have been accepted, and some have ended.
#[test]
fn accepted_tasks_of_killed_clients_end_exactly_once() {
    const TASKS: u64 = 50;
    in_client!(options(), |site| {
        let ipc = connect();
        let mut random = Random::new(seed());
        let pool = ipc.create_pool(throws::MODULE, "sound", b"").expect("the module is loaded");
        let before = counted(site);
        let mut ledger = Ledger::default();
        let times = rounds(5, 300) as u64;
        for _ in 0..times {
            let client = client(site, "ended", TASKS);
            process::until("all tasks have been accepted", || {
                let sessions = site.cli(&["sessions", "--json"]).ok().json();
                let sessions = sessions.as_array().expect("a list");
                let its = sessions.iter().find(|session| session["pid"] == client.pid())?;
                (its["tasks_in_flight"] == TASKS).then_some(())
            });
            mix(&mut ledger, ipc, pool, &mut random);
            kill(client);
        }
        until_quiet(site);
        assert_eq!(ledger.all(), ledger.submitted);
        // Each client has also found or created the pool, with a task.
        let accepted = ledger.submitted + times * (2 * TASKS + 1);
        assert_eq!(counted(site) - before, accepted);
        let (begun, ended) = runs(ipc, pool);
        assert_eq!(begun, ended);
        tally("tasks counted", accepted);
    });
}

/// Clients are killed while their tasks are being accepted. Another client's tasks end exactly once,
/// and so do those of theirs that have begun.
#[test]
fn tasks_of_killed_clients_end_once_if_they_have_begun() {
    const FLIGHT: u64 = 50;
    in_client!(options(), |site| {
        let ipc = connect();
        let mut random = Random::new(seed());
        let pool = ipc.create_pool(throws::MODULE, "sound", b"").expect("the module is loaded");
        let before = counted(site);
        let mut ledger = Ledger::default();
        let times = rounds(5, 300);
        for _ in 0..times {
            let client = client(site, "flight", FLIGHT);
            mix(&mut ledger, ipc, pool, &mut random);
            kill(client);
        }
        until_quiet(site);
        assert_eq!(ledger.all(), ledger.submitted);
        let ended = counted(site) - before;
        let (begun, over) = runs(ipc, pool);
        assert_eq!(begun, over);
        // Each client has also found or created the pool, with a task.
        let most = ledger.submitted + times as u64 * (FLIGHT + 1);
        assert!((ledger.submitted..=most).contains(&ended), "{ended} of {}", ledger.submitted);
        tally("tasks counted", ended);
    });
}

#[test]
fn tasks_end_with_the_runtime() {
    let daemon = in_client_that_may_end_it!(options().config("stop_grace: 5s\n"), |site| {
        let ipc = connect();
        let sound = ipc.create_pool(throws::MODULE, "sound", b"").expect("the module is loaded");
        let fragile = ipc.create_pool(crash::MODULE, "fragile", b"").expect("it is loaded");
        let mut ledger = Ledger::default();
        let sleeping: Vec<_> =
            (0..500).map(|_| ledger.submit(crashing(ipc, fragile, crash::SLEEP, HOUR))).collect();
        let under_way: Vec<_> =
            (0..500).map(|times| ledger.submit(yields(ipc, sound, times))).collect();
        site.cli(&["stop"]);
        let ways = [CHI_OK, CHI_CANCELLED, CHI_UNAVAILABLE];
        sleeping.into_iter().for_each(|task| drop(ledger.end(task, &ways)));
        under_way.into_iter().for_each(|task| drop(ledger.end(task, &ways)));
        assert_eq!(ledger.all(), ledger.submitted);
        tally("tasks counted", ledger.submitted);
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), 0, "{}", daemon.log());
}
