//! `chimaera start`.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::CHI_DESCRIBE_MODULES;
use chimaera_config::{Pool, Settings};
use chimaera_ipc::control::Request;
use chimaera_ipc::instance::Instance;
use chimaera_runtime::log::{LogControl, LogFile};
use chimaera_runtime::{ends, state_calls, Config, Error, Program, Runtime, ServiceManager};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::context::{complain, print, try_print, Context, Failed, Outcome};
use crate::last_crash::LastCrash;
use crate::log::{self, Log};
use crate::metrics_server::MetricsServer;
use crate::service_manager::Manager;
use crate::settings;
use crate::signals::Signals;
use rustix::process::Signal;

/// The line by which a daemon reports that it is ready.
const READY: &str = "ready";

/// How much free memory glibc's allocator keeps at the end of a thread's heap, in bytes. With less,
/// tasks that allocate a few MiB would pay for page faults each time; larger blocks take so long to
/// fill that the faults hardly count.
#[cfg(target_env = "gnu")]
const RETAINED: i32 = 8 << 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run in the background, and log to a file (`chimaera status` shows which)
    #[arg(long)]
    daemon: bool,
    #[command(flatten)]
    settings: settings::Args,
    /// For an instance whose name is never reused: leave no files behind
    #[arg(long, hide = true)]
    private: bool,
    /// Used by --daemon: report to standard output, log to standard error
    #[arg(long, hide = true)]
    as_daemon: bool,
    /// Used by `restart`: take over from the process at the other end of this descriptor
    #[arg(long, hide = true, value_name = "DESCRIPTOR")]
    succeeds: Option<i32>,
}

pub(crate) fn run(context: Context, args: Args) -> Outcome {
    let settings = args.settings.load(&context)?;
    settings.check_machine().map_err(|found| settings::misconfigured(&context, &found))?;
    let context = Context { name: settings.instance().to_owned(), ..context };
    if args.daemon {
        start_daemon(&context, &args, &settings)
    } else {
        serve(&context, &args, &settings)
    }
}

fn cannot_open_log(path: &Path, error: &std::io::Error) -> Failed {
    Failed::Message(format!("cannot open the log {}: {error}", path.display()))
}

/// The file to log to; `None` is standard error.
fn log_file(args: &Args, settings: &Settings, instance: &Instance) -> Option<LogFile> {
    let usual = || (args.as_daemon && !args.private).then(|| instance.log());
    let path = settings.log_file().map(Path::to_owned).or_else(usual)?;
    Some(log_at(path, settings))
}

fn log_at(path: PathBuf, settings: &Settings) -> LogFile {
    LogFile { path, max_size: settings.log_max_size(), keep: settings.log_keep() }
}

/// Why a runtime did not start, with the position in the file if a pool is the reason.
fn explain(error: Error, settings: &Settings) -> String {
    let Error::Pool { pool, .. } = &error else { return error.to_string() };
    let wanted = settings.pools.iter().find(|wanted| wanted.name == *pool);
    match (wanted, &settings.file) {
        (Some(Pool { at, .. }), Some(file)) => {
            format!("{}:{}:{}: {error}", file.display(), at.line, at.column)
        }
        _ => error.to_string(),
    }
}

/// Makes glibc's allocator return the memory of large blocks. By default it adapts to the largest
/// block that was freed, and then keeps up to 64 MiB for each thread: after a few large tasks, an
/// idle daemon would hold that for ever. With these values it keeps at most [`RETAINED`], and maps
/// blocks of half that size one by one; see mallopt(3). A user who has set the allocator's own
/// variables keeps those.
fn bound_what_the_allocator_takes() {
    #[cfg(target_env = "gnu")]
    {
        const VARIABLES: [&str; 3] =
            ["GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"];
        if VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
            return;
        }
        // SAFETY: `mallopt` may be called at any time.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, RETAINED);
            libc::mallopt(libc::M_MMAP_THRESHOLD, RETAINED / 2);
        }
        // Each thread that allocates reserves up to 128 MiB of addresses for an arena of its own; with
        // `ulimit -v`, an eighth of them may be taken so.
        let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: 0 };
        // SAFETY: the call only writes the limit; if a sandbox refuses it, there is none.
        unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
        if limit.rlim_cur != libc::RLIM_INFINITY {
            let addresses = limit.rlim_cur;
            let arenas = (addresses / 8 / (128 << 20)).clamp(1, 1024);
            // SAFETY: as above.
            unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas as i32) };
        }
    }
}

/// This program and its arguments, for a successor.
fn own_program() -> Result<Program, Failed> {
    let mut args = Vec::new();
    let mut own = std::env::args_os().skip(1);
    while let Some(argument) = own.next() {
        // It has the descriptor behind it.
        if argument == "--succeeds" {
            own.next();
        } else {
            args.push(argument);
        }
    }
    Ok(Program { path: std::env::current_exe()?, args })
}

/// The descriptor that a predecessor has passed.
fn take_descriptor(number: i32) -> Result<OwnedFd, Failed> {
    let passed = || Failed::Usage(format!("--succeeds {number}: there is no such descriptor"));
    if number < 3 {
        return Err(passed());
    }
    // SAFETY: the number is not used afterwards; if there is no such descriptor, that is noticed before
    // it is taken.
    let exists = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_ok();
    if !exists {
        return Err(passed());
    }
    // SAFETY: it is open, and the predecessor has passed it for this.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The server of the metrics, if there is to be one.
fn metrics_server(args: &Args, settings: &Settings) -> Result<Option<MetricsServer>, String> {
    let address = settings.metrics()?;
    address.map(|address| MetricsServer::new(address, args.succeeds.is_some())).transpose()
}

/// Runs a runtime in this process until it ends.
fn serve(context: &Context, args: &Args, settings: &Settings) -> Outcome {
    bound_what_the_allocator_takes();
    state_calls::prepare_main_thread()?;
    let instance = context.instance()?;
    let last_crash = LastCrash::of(&instance);
    // With a handler, a write beyond the file size limit fails like a write to a full disk, and the
    // daemon keeps running. Programs that modules start do not inherit a handler, unlike SIG_IGN.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
    let file = log_file(args, settings, &instance);
    let path = file.as_ref().map(|file| file.path.clone());
    let json = settings.log_format() == "json";
    let log =
        Log::set_up(log::Options { level: settings.log_level(), json, file }).map_err(|error| {
            match &path {
                Some(path) => cannot_open_log(path, &error),
                None => Failed::Message(format!("cannot set up the log: {error}")),
            }
        })?;
    let signals = Signals::handle(log.clone(), path.is_some())?;
    // In the background it is nobody's service.
    let manager = match args.as_daemon {
        true => None,
        false => Manager::find(settings.runtime().stop_grace)?.map(Arc::new),
    };
    let config = Config {
        daemon: true,
        program: Some(own_program()?),
        predecessor: args.succeeds.map(take_descriptor).transpose()?.map(Arc::new),
        log_is_file: path.is_some(),
        log: Some(log.clone()),
        manager: manager.clone().map(|manager| manager as Arc<dyn ServiceManager>),
        private: args.private,
        host_program: Some("/proc/self/exe".into()),
        cluster: settings.cluster().map_err(Failed::Message)?,
        ..settings.runtime()
    };
    let metrics = match metrics_server(args, settings) {
        Ok(metrics) => metrics,
        // Whoever starts it once more is told that instead.
        Err(_) if instance.is_running()? && args.succeeds.is_none() => None,
        Err(why) => {
            if args.as_daemon {
                report(&format!("{why}\n"));
            }
            return Err(Failed::Message(why));
        }
    };
    let starting = signals.end_process_during(config.progress.clone(), config.stop_grace)?;
    let started = Runtime::start(config);
    let stopping_since = starting.end();
    let runtime = match started {
        Ok(runtime) => runtime,
        Err(error) => {
            let why = explain(error, settings);
            if args.as_daemon {
                report(&format!("{why}\n"));
            }
            return Err(Failed::Message(why));
        }
    };
    if let Some(LastCrash { headline, file, .. }) = last_crash {
        tracing::warn!(file = %file.display(), "an earlier run crashed: {headline}");
    }
    // The log also receives what modules write to standard error, and `chimaera status` finds
    // it there.
    log.take_standard_error()?;
    signals.clone().stop(&runtime, stopping_since)?;
    if let Some(Err(error)) = metrics.map(|metrics| metrics.start(runtime.metrics())) {
        tracing::error!(%error, "metrics are not served over HTTP");
    }
    if let Some(manager) = &manager {
        manager.ready(args.succeeds.is_some(), runtime.pulse());
    }
    if args.as_daemon {
        // From now on it does not end with the process that started it. A sandbox that refuses this has refused
        // the other call, too.
        let _ = rustix::process::set_parent_process_death_signal(None);
        report(&match stopping_since {
            None => format!("{READY}\n"),
            Some(_) => "the runtime was told to stop before it had started\n".to_owned(),
        });
        // Lets the parent process read to end of file.
        let null = File::options().write(true).open("/dev/null");
        let null = null.map_err(|error| Failed::Message(format!("/dev/null: {error}")))?;
        rustix::stdio::dup2_stdout(null)?;
    } else if context.json && args.succeeds.is_none() {
        report(&format!("{:#}\n", started_json(context, std::process::id())?));
    }
    let ending = runtime.ending();
    let abandoned = runtime.wait();
    log.flush();
    match ending.exit_code(!abandoned.is_empty()) {
        // A module that stops the runtime by a signal is a fault.
        _ if signals.are_own() => ends::leave(1),
        0 => {}
        code => ends::leave(code),
    }
    if args.private {
        // This fails if there is no such file: only --daemon creates it.
        let _ = std::fs::remove_file(context.instance()?.log());
    }
    std::thread::Builder::new().name("chi-exit".into()).spawn(move || {
        std::thread::sleep(ending.rest());
        let why = "a destructor or an exit handler of a module has not returned";
        tracing::error!("{why}");
        ending.tell(why);
        log.flush();
        ends::leave(ends::ABANDONED)
    })?;
    Ok(())
}

/// Runs a module host in this process until its daemon ends it.
pub(crate) fn host() -> Outcome {
    bound_what_the_allocator_takes();
    state_calls::prepare_main_thread()?;
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
    // A service manager sends the signals that stop a daemon to its hosts, too: the daemon tells them to end.
    let ignored = vec![SIGINT, SIGTERM, SIGHUP];
    for signal in &ignored {
        signal_hook::flag::register(*signal, Arc::default())?;
    }
    state_calls::seal_signals(ignored);
    let mut kept = None;
    let runtime = Runtime::start_host(|orders| {
        let options =
            log::Options { level: orders.log_level(), json: orders.log_is_json(), file: None };
        let log = Log::set_up(options)
            .map_err(|error| Failed::Message(format!("cannot set up the log: {error}")))?;
        kept = Some(log.clone());
        Ok::<Arc<dyn LogControl>, Failed>(log)
    })?;
    let abandoned = runtime.wait();
    kept.iter().for_each(|log| log.flush());
    // There may be threads that still run the module's code, and those of the runtime whose work is over with the
    // daemon.
    ends::leave(i32::from(!abandoned.is_empty()))
}

/// Writes to standard output for the process that started the runtime. A failure is only logged.
fn report(text: &str) {
    if let Err(error) = try_print(text) {
        tracing::warn!(%error, "cannot write to standard output");
    }
}

fn started_json(context: &Context, pid: u32) -> Result<serde_json::Value, Failed> {
    let instance = context.instance()?;
    Ok(
        json!({ "name": instance.name(), "pid": pid, "socket": instance.socket().to_string_lossy() }),
    )
}

/// The time before the first report that it takes long, and between reports.
const SAY: Duration = Duration::from_secs(5);
/// How long a daemon may take to load its modules and create its pools.
const READY_BOUND: Duration = Duration::from_secs(60);

/// Waits until data is available, or the other end is closed.
fn is_readable_within(from: &impl AsFd, bound: Duration) -> std::io::Result<bool> {
    let until = Instant::now() + bound;
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        let rest = rustix::event::Timespec {
            tv_sec: rest.as_secs() as i64,
            tv_nsec: rest.subsec_nanos().into(),
        };
        let mut fds = [rustix::event::PollFd::new(from, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&rest)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reports which modules were refused. If the runtime does not answer, it has started all the same,
/// and `chimaera modules` lists them later.
fn tell_refused(context: &Context) {
    let Ok(modules) = context.describe(CHI_DESCRIBE_MODULES) else { return };
    for file in modules["refused"].as_array().into_iter().flatten() {
        if let (true, Some(path), Some(reason)) =
            (file["is_module"] == true, file["path"].as_str(), file["reason"].as_str())
        {
            complain(&format!("chimaera: module refused: {path}: {reason}"));
        }
    }
}

/// What an ended process has written. Processes that it started may keep the pipe open.
fn rest(mut out: BufReader<ChildStdout>) -> std::io::Result<String> {
    rustix::io::ioctl_fionbio(out.get_ref(), true)?;
    let mut bytes = Vec::new();
    match out.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Runs this program again in the background, and waits until it is ready.
fn start_daemon(context: &Context, args: &Args, settings: &Settings) -> Outcome {
    let instance = context.instance()?;
    instance.prepare_directory()?;
    // Checked here, because the new process would write into the log of a running instance. One
    // that is still starting does not answer yet: if two start at once, the lock decides.
    if let Some(pid) = context.ask(Request::Status, &[]).ok().and_then(|page| page["pid"].as_u64())
    {
        return Err(Error::Running { name: context.name.clone(), pid: pid as u32 }.into());
    }
    if let Some(why) = chimaera_runtime::library_path_warning() {
        complain(&format!("chimaera: {why}"));
    }
    let last_crash = LastCrash::of(&instance);
    // Output that the daemon writes before it has opened the log itself goes there, too.
    let log_path = settings.log_file().map_or_else(|| instance.log(), Path::to_owned);
    let log = log_at(log_path.clone(), settings).open();
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .args(["--name", &context.name, "start", "--as-daemon"])
        .args(args.private.then_some("--private"))
        .args(args.settings.again(settings)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.map_err(|error| cannot_open_log(&log_path, &error))?);
    // SAFETY: both calls may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            // Until it is ready: nobody else would know of it. A sandbox may refuse it.
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    let out = child.stdout.take().expect("stdout is piped");
    let begin = Instant::now();
    let mut is_readable = is_readable_within(&out, SAY)?;
    while !is_readable && begin.elapsed() < READY_BOUND {
        let log = log_path.display();
        let seconds = begin.elapsed().as_secs();
        complain(&format!("waiting: not ready after {seconds} s; {log} shows what it is doing"));
        is_readable = is_readable_within(&out, SAY)?;
    }
    if !is_readable {
        // Killing fails if the process has just ended.
        let _ = child.kill();
        child.wait()?;
        return Err(Failed::Message(format!(
            "the runtime was not ready after {READY_BOUND:?} and was killed; the last lines of {} \
             show what it was doing",
            log_path.display()
        )));
    }
    let mut out = BufReader::new(out);
    out.read_line(&mut line)?;
    if line.trim_end() != READY {
        let code = child.wait()?;
        line.push_str(&rest(out)?);
        let why = if line.is_empty() {
            let crash = LastCrash::of(&instance).filter(|now| Some(now) != last_crash.as_ref());
            let words = crash.map_or(String::new(), |crash| format!(": {}", crash.headline));
            let log = log_path.display();
            format!("the runtime exited before it was ready ({code}){words}; see {log}")
        } else {
            line.trim_end().to_owned()
        };
        return Err(Failed::Message(why));
    }
    if let Some(LastCrash { headline, file, .. }) = last_crash {
        let file = file.display();
        complain(&format!("chimaera: an earlier run crashed: {headline} (see {file})"));
    }
    tell_refused(context);
    let pid = child.id();
    if !context.print_json(&started_json(context, pid)?) {
        print(&format!("started '{}' (process {pid}), log {}\n", context.name, log_path.display()));
    }
    Ok(())
}
