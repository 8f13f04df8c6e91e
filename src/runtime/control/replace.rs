//! Replacing containers for the program. The control thread holds the pool's tasks at once, whatever the
//! workers do, and waits until those in the pool have ended; then a worker has the old containers save
//! their states, and the new ones load them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::Message;

use super::work::{in_thread, on_worker, Slot};
use crate::access::Caller;
use crate::admin::replacement::{self, Begun, Progress, Replaced, Replacing};
use crate::config::Policy;
use crate::failure::Failure;
use crate::module::Module;
use crate::scheduler::{ControlCommand, Naming, Shared};
use crate::state::{self, Meter, SavedPool, Storage};
use crate::sys::lock;

/// How often to check whether tasks have ended: first often, because clients wait meanwhile.
const LOOK: Duration = Duration::from_micros(200);
const LATER_LOOK: Duration = Duration::from_millis(2);
/// How long old containers have, after the bound, to take back what they gave up.
const UNDO_BOUND: Duration = Duration::from_secs(3);
/// The longest bound that a request may set.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a message asks for a replacement.
pub(super) fn is_asked_for(message: &Message) -> bool {
    use Request::{LoadPool, MigratePool, SavePool, UpgradeModule};
    let asked = [MigratePool, UpgradeModule, SavePool, LoadPool];
    asked.map(|request| request as u64).contains(&message.words[0])
}

/// The policy of a pool that is loaded from a file.
fn policy_of(flags: u64) -> Result<Policy, Failure> {
    let unknown = || {
        let message =
            "this runtime does not know what the request says of the pool; it may be older";
        Failure::new(CHI_INVALID, message)
    };
    let flags = u32::try_from(flags).ok().filter(|flags| flags & !Policy::FLAGS == 0);
    Policy::of_flags(flags.ok_or_else(unknown)?)
}

/// The replacements that have not ended.
#[derive(Default)]
pub(super) struct Replacements(Vec<Replacement>);

/// What is replaced.
enum Target {
    /// Containers of the pool with this name, by such of the same module.
    Pool(String),
    /// The containers of all pools of a module, by such of another version.
    Module(Upgrade),
    /// Nothing: the states of the pool with this name go to a file.
    Save(String, PathBuf),
    /// A pool is created with the states in a file.
    Create(Creation),
}

/// A pool that is created with the states in a file.
struct Creation {
    /// Its name; empty for its own until the file has been read.
    name: String,
    file: PathBuf,
    policy: Policy,
    saved: Option<Slot<SavedPool>>,
    /// The policy that it has, once it is created.
    became: Option<Policy>,
}

/// A new version of a module.
struct Upgrade {
    name: String,
    file: PathBuf,
    /// The result of loading it.
    loaded: Option<Arc<Mutex<Option<Loaded>>>>,
    module: Option<Arc<Module>>,
    before: Option<Arc<Module>>,
}

type Loaded = Result<Arc<Module>, String>;

impl Target {
    fn upgrade(name: &str, file: &str) -> Target {
        let (name, file) = (name.to_owned(), file.into());
        Target::Module(Upgrade { name, file, loaded: None, module: None, before: None })
    }

    fn shown(&self) -> String {
        match self {
            Target::Pool(name) => format!("pool '{name}'"),
            Target::Module(upgrade) => format!("module {}", upgrade.name),
            Target::Save(name, _) | Target::Create(Creation { name, .. }) => {
                format!("pool '{name}'")
            }
        }
    }
}

struct Replacement {
    /// The connection that asked for it.
    client: u64,
    target: Target,
    what: Replacing,
    at: Instant,
    until: Instant,
    /// Since when tasks wait.
    held: Option<Instant>,
    /// What has been replaced so far, and for how long tasks waited.
    replaced: Replaced,
    pause: Duration,
    meter: Arc<Meter>,
    step: Step,
}

enum Step {
    /// The new version has to be loaded, if there is one.
    Load,
    /// The pools must be found, once no other task is changing them.
    Find,
    /// The tasks in the pools have to end.
    Drain(Begun),
    /// They have not, and the workers name them.
    Name(Begun, Naming),
    /// A worker makes the new containers.
    Build(Build),
    /// A thread writes the file.
    Write(Slot<()>),
    /// A worker creates the pool.
    Create(Slot<(Replaced, Policy)>),
    /// A worker undoes what was given up.
    Undo(Undoing),
}

/// What a worker has done.
enum Done {
    Replaced(Replaced),
    Saved(SavedPool),
}

struct Undoing {
    begun: Begun,
    progress: Arc<Mutex<Progress>>,
    done: Arc<Mutex<bool>>,
    /// The answer of the replacement.
    failure: Failure,
    /// How the code that did it crashed, as a sentence.
    crashed: Option<String>,
}

struct Build {
    begun: Begun,
    progress: Arc<Mutex<Progress>>,
    result: Slot<Done>,
    /// How the code that did it crashed, as a sentence.
    crashed: Option<String>,
}

impl Replacements {
    /// Adds what a message asks for.
    pub(super) fn add(
        &mut self,
        client: u64,
        caller: &Caller,
        message: &Message,
    ) -> Result<(), Failure> {
        let [request, bound, third, ..] = message.words;
        let request = Request::of(request);
        caller.must_be_owner(match request {
            Some(Request::UpgradeModule) => "upgrade modules",
            Some(Request::SavePool) => "save pools",
            Some(Request::LoadPool) => "load pools",
            _ => "migrate pools",
        })?;
        let migrated = Replacing {
            container: None,
            reason: CHI_REASON_MIGRATED,
            text: c"migrated by `chimaera pool migrate`",
        };
        let names = || {
            let why = "the request does not have a name and a file";
            message.text.split_once('\0').ok_or_else(|| Failure::new(CHI_INVALID, why))
        };
        let (target, what) = match request {
            Some(Request::UpgradeModule) => {
                let (name, file) = names()?;
                let text = c"upgraded by `chimaera module upgrade`";
                let what = Replacing { reason: CHI_REASON_UPGRADED, text, ..migrated };
                (Target::upgrade(name, file), what)
            }
            Some(Request::SavePool) => {
                let (name, file) = names()?;
                (Target::Save(name.to_owned(), file.into()), migrated)
            }
            Some(Request::LoadPool) => {
                let (name, file) = names()?;
                let (name, file) = (name.to_owned(), file.into());
                let policy = policy_of(third)?;
                (
                    Target::Create(Creation { name, file, policy, saved: None, became: None }),
                    migrated,
                )
            }
            _ => {
                let container = u32::try_from(third).ok();
                (Target::Pool(message.text.clone()), Replacing { container, ..migrated })
            }
        };
        let at = Instant::now();
        let until = at + Duration::from_millis(bound).min(LONGEST);
        self.0.push(Replacement {
            client,
            target,
            what,
            at,
            until,
            held: None,
            replaced: Replaced::default(),
            pause: Duration::ZERO,
            meter: Arc::default(),
            step: Step::Load,
        });
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Describes how far each has come.
    pub(super) fn describe(&self) -> serde_json::Value {
        let describe = |one: &Replacement| {
            let (stage, bytes) = one.meter.read();
            let mut document = one.document();
            (document["stage"], document["bytes"]) = (stage.into(), bytes.into());
            document
        };
        self.0.iter().map(describe).collect()
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let look = |one: &Replacement| match one.step {
            // The worker reports the end of this step; at the bound it may be undoing it.
            Step::Build(_) => one.until.max(Instant::now() + LATER_LOOK),
            Step::Drain(_) if one.held.is_some_and(|at| at.elapsed() < 50 * LOOK) => {
                one.until.min(Instant::now() + LOOK)
            }
            _ => one.until.min(Instant::now() + LATER_LOOK),
        };
        self.0.iter().map(look).min()
    }

    /// Records that the code that was replacing containers of this pool crashed; `why` is a sentence about it.
    pub(super) fn abandoned(&mut self, pool: &str, why: &str) {
        for one in &mut self.0 {
            if let (Step::Create(result), Target::Create(Creation { name, .. })) =
                (&one.step, &one.target)
            {
                if name == pool {
                    let message = format!("pool '{name}' was not created: {why}");
                    *lock(result) = Some(Err(Failure::new(CHI_FAULT, message)));
                }
            }
            let (begun, crashed) = match &mut one.step {
                Step::Build(build) => (&build.begun, &mut build.crashed),
                Step::Undo(undoing) => (&undoing.begun, &mut undoing.crashed),
                _ => continue,
            };
            if begun.hold.pools.iter().any(|held| held.name() == pool) {
                *crashed = Some(why.to_owned());
            }
        }
    }

    /// Advances all replacements. Returns the connection and the answer for each that has ended. If
    /// the connection is gone, only one that has already begun continues.
    pub(super) fn advance(
        &mut self,
        shared: &Shared,
        is_there: impl Fn(u64) -> bool,
    ) -> Vec<(u64, Result<String, Failure>)> {
        let mut answers = Vec::new();
        self.0.retain_mut(|one| {
            if matches!(one.step, Step::Load | Step::Find) && !is_there(one.client) {
                return false;
            }
            let Some(result) = one.advance(shared) else { return true };
            answers.push((one.client, result.map(|()| one.document().to_string())));
            false
        });
        answers
    }
}

impl Replacement {
    fn document(&self) -> serde_json::Value {
        let mut document = serde_json::json!({
            "containers": self.replaced.containers,
            "state_bytes": self.replaced.state_bytes,
            "pause_ms": self.pause.as_micros() as f64 / 1000.0,
        });
        match &self.target {
            Target::Pool(name) => document["name"] = name.as_str().into(),
            Target::Save(name, file) | Target::Create(Creation { name, file, .. }) => {
                document["name"] = name.as_str().into();
                document["file"] = file.to_string_lossy().into();
            }
            Target::Module(upgrade) => {
                let version = |module: &Option<Arc<Module>>| {
                    module.as_ref().map(|module| module.version.clone()).into()
                };
                document["name"] = upgrade.name.as_str().into();
                document["from"] = version(&upgrade.before);
                document["to"] = version(&upgrade.module);
            }
        }
        if let Target::Create(Creation { became: Some(policy), .. }) = &self.target {
            // As in the description of the pool.
            document["on_crash"] = policy.on_crash.name().into();
            document["isolation"] = policy.isolation.name().into();
            document["durable"] = policy.durable.into();
        }
        document
    }

    /// Advances the replacement as far as possible. Returns its result if it has ended.
    fn advance(&mut self, shared: &Shared) -> Option<Result<(), Failure>> {
        if let Step::Load = self.step {
            match self.load(shared) {
                Ok(true) => self.step = Step::Find,
                Ok(false) => return None,
                Err(failure) => return Some(Err(failure)),
            }
        }
        if let (Step::Find, Target::Create(..)) = (&self.step, &self.target) {
            self.step = self.create_on_worker(shared);
        }
        if let Step::Find = self.step {
            match self.begin(shared) {
                Ok(Some(Some(begun))) => {
                    self.held = Some(Instant::now());
                    self.step = Step::Drain(begun);
                }
                Ok(Some(None)) => return Some(Ok(())),
                Ok(None) => return None,
                Err(failure) => return Some(Err(failure)),
            }
        }
        match std::mem::replace(&mut self.step, Step::Find) {
            Step::Drain(begun) if begun.hold.settle() => {
                self.step = Step::Build(self.build_on_worker(shared, begun));
                None
            }
            Step::Drain(begun) if self.is_late() || shared.is_stopping() => {
                let naming = Naming::ask(shared, &begun.hold.pools);
                self.step = Step::Name(begun, naming);
                None
            }
            Step::Name(begun, naming) => match naming.take() {
                Some(named) => {
                    Some(Err(replacement::give_up(shared, begun, self.at.elapsed(), named)))
                }
                None => {
                    self.step = Step::Name(begun, naming);
                    None
                }
            },
            Step::Build(build) => self.end(shared, build),
            Step::Write(result) => {
                let done = lock(&result).take();
                self.end_or_go_on(Step::Write(result), done)
            }
            Step::Create(result) => {
                let done = lock(&result).take().map(|done| done.map(|done| self.created(done)));
                self.end_or_go_on(Step::Create(result), done)
            }
            Step::Undo(undoing) if *lock(&undoing.done) => {
                replacement::keep(shared, undoing.begun);
                Some(Err(undoing.failure))
            }
            Step::Undo(Undoing { begun, progress, crashed, .. })
                if (self.is_very_late() || crashed.is_some())
                    && replacement::end_undo(
                        shared,
                        &begun.hold,
                        &progress,
                        crashed.as_deref(),
                    ) =>
            {
                Some(Err(self.not_resumed(shared, begun, crashed.as_deref())))
            }
            step => {
                self.step = step;
                None
            }
        }
    }

    /// Ends with this result, or at the bound without one.
    fn end_or_go_on(
        &mut self,
        step: Step,
        done: Option<Result<(), Failure>>,
    ) -> Option<Result<(), Failure>> {
        if done.is_none() && self.is_late() {
            let (shown, took) = (self.target.shown(), self.at.elapsed());
            let why = format!("{shown}: it has not ended after {took:.1?}, and goes on");
            return Some(Err(Failure::new(CHI_BUSY, why)));
        }
        if done.is_none() {
            self.step = step;
        }
        done
    }

    fn created(&mut self, (replaced, policy): (Replaced, Policy)) {
        self.replaced = replaced;
        if let Target::Create(creation) = &mut self.target {
            creation.became = Some(policy);
        }
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Loads the new version of a module, in a thread of its own, because its constructors may never
    /// return. True once it is loaded, or if there is none.
    fn load(&mut self, shared: &Shared) -> Result<bool, Failure> {
        let took = self.at.elapsed();
        let is_late = self.is_late();
        if let Target::Create(Creation { name, file, saved, .. }) = &mut self.target {
            let Some(saved) = saved else {
                *saved = Some(read_file(shared, file.clone(), self.meter.clone())?);
                return Ok(false);
            };
            let saved = lock(saved);
            if let (true, Some(Ok(saved))) = (name.is_empty(), &*saved) {
                *name = saved.name.clone();
            }
            return match &*saved {
                Some(Ok(_)) => Ok(true),
                Some(Err(failure)) => Err(failure.clone()),
                None if is_late => {
                    let file = file.display();
                    let message = format!("{file}: it has not been read after {took:.1?}");
                    Err(Failure::new(CHI_BUSY, message))
                }
                None => Ok(false),
            };
        }
        let Target::Module(upgrade) = &mut self.target else { return Ok(true) };
        let Some(loaded) = &upgrade.loaded else {
            upgrade.begin(shared)?;
            return Ok(false);
        };
        match lock(loaded).take() {
            Some(Ok(module)) => {
                upgrade.module = Some(module);
                Ok(true)
            }
            Some(Err(why)) => {
                let message = format!("{}: {why}", upgrade.file.display());
                Err(Failure::new(CHI_INVALID, message))
            }
            None if is_late => {
                let file = upgrade.file.display();
                let message = format!("{file}: it has not been loaded after {took:.1?}");
                Err(Failure::new(CHI_BUSY, message))
            }
            None => Ok(false),
        }
    }

    /// Begins to replace what is left to replace: `Some(None)` if nothing is. `None` while another task is
    /// changing one of the pools.
    fn begin(&self, shared: &Shared) -> Result<Option<Option<Begun>>, Failure> {
        let pools = match &self.target {
            Target::Pool(name) | Target::Save(name, _) | Target::Create(Creation { name, .. }) => {
                replacement::find(shared, name)?.map(|pool| vec![pool])
            }
            Target::Module(upgrade) => {
                let module = upgrade.module.as_ref().expect("it was loaded");
                let pools = replacement::pools_of_others(shared, module);
                if pools.is_empty() {
                    // The first pool may be created at any time from now on.
                    shared.modules.replace(module.clone());
                    return Ok(Some(None));
                }
                Some(pools)
            }
        };
        let begun = match pools {
            Some(pools) => replacement::begin(shared, &pools, &self.what)?,
            None => None,
        };
        if begun.is_none() && self.is_late() {
            let (shown, took) = (self.target.shown(), self.at.elapsed());
            let why = format!("another task is still changing {shown} after {took:.1?}");
            return Err(Failure::new(CHI_BUSY, why));
        }
        Ok(begun.map(Some))
    }

    fn build_on_worker(&self, shared: &Shared, begun: Begun) -> Build {
        let progress = Progress::new(&self.meter);
        let result = Slot::<Done>::default();
        let (hold, what) = (begun.hold.clone(), self.what.clone());
        let module = match &self.target {
            Target::Module(upgrade) => upgrade.module.clone(),
            _ => None,
        };
        let saves = matches!(self.target, Target::Save(..));
        let (their_progress, theirs) = (progress.clone(), result.clone());
        let pool = begun.hold.pools[0].id;
        on_worker(shared, move |worker| {
            let (module, progress) = (module.as_ref(), &their_progress);
            let end = |done| {
                *lock(&theirs) = Some(done);
                worker.shared.command(ControlCommand::PoolClosed(pool));
            };
            if saves {
                return end(replacement::save_pool(worker, &hold, progress).map(Done::Saved));
            }
            let replaced = |done| end(Ok(Done::Replaced(done)));
            if let Err(failure) =
                replacement::replace(worker, &hold, module, &what, progress, replaced)
            {
                end(Err(failure));
            }
        });
        Build { begun, progress, result, crashed: None }
    }

    /// Ends what a worker has done, or gives it up because it crashed or takes too long.
    fn end(&mut self, shared: &Shared, build: Build) -> Option<Result<(), Failure>> {
        let result = lock(&build.result).take();
        match result {
            Some(Ok(Done::Saved(saved))) => {
                replacement::keep(shared, build.begun);
                self.pause = self.held.map_or(Duration::ZERO, |at| at.elapsed());
                self.replaced.containers = saved.images.len() as u32;
                self.replaced.state_bytes = saved.bytes();
                let Target::Save(_, file) = &self.target else { return None };
                self.meter.begin(state::Stage::Writing);
                match write_file(saved, file.clone()) {
                    Ok(result) => self.step = Step::Write(result),
                    Err(failure) => return Some(Err(failure)),
                }
                None
            }
            Some(Ok(Done::Replaced(done))) => {
                self.pause = self.pause.max(self.held.map_or(Duration::ZERO, |at| at.elapsed()));
                self.replaced.containers += done.containers;
                self.replaced.state_bytes += done.state_bytes;
                // A pool of the old version may have been created meanwhile.
                match self.target {
                    Target::Module(_) => self.advance(shared),
                    _ => Some(Ok(())),
                }
            }
            Some(Err(failure)) => {
                replacement::keep(shared, build.begun);
                Some(Err(failure))
            }
            // The worker is undoing it by itself, but does not come to an end.
            None if (self.is_very_late() || build.crashed.is_some())
                && replacement::end_undo(
                    shared,
                    &build.begun.hold,
                    &build.progress,
                    build.crashed.as_deref(),
                ) =>
            {
                Some(Err(self.not_resumed(shared, build.begun, build.crashed.as_deref())))
            }
            None if build.crashed.is_none() && !self.is_late()
                || !replacement::abandon(&build.progress) =>
            {
                self.step = Step::Build(build);
                None
            }
            None => {
                self.step = self.undo_on_worker(shared, build);
                None
            }
        }
    }

    /// Whether undoing has had its time.
    fn is_very_late(&self) -> bool {
        Instant::now() >= self.until + UNDO_BOUND
    }

    fn create_on_worker(&mut self, shared: &Shared) -> Step {
        let result = Slot::<(Replaced, Policy)>::default();
        self.meter.begin(state::Stage::Loading);
        let Target::Create(Creation { name, policy, saved, .. }) = &mut self.target else {
            return Step::Find;
        };
        let saved = saved.take().and_then(|saved| lock(&saved).take());
        let Some(Ok(saved)) = saved else {
            let failure = Failure::new(CHI_INTERNAL, "the file has not been read");
            *lock(&result) = Some(Err(failure));
            return Step::Create(result);
        };
        let (name, policy, theirs) = (name.clone(), *policy, result.clone());
        on_worker(shared, move |worker| {
            let done = replacement::create_saved(worker, &saved, &name, policy);
            let replaced =
                Replaced { containers: saved.images.len() as u32, state_bytes: saved.bytes() };
            *lock(&theirs) = Some(done.map(|policy| (replaced, policy)));
            let none = chi_pool_id { major_: 0, minor_: 0 };
            worker.shared.command(ControlCommand::PoolClosed(none));
        });
        Step::Create(result)
    }

    /// Ends a replacement whose undoing was ended, too.
    fn not_resumed(&self, shared: &Shared, begun: Begun, crashed: Option<&str>) -> Failure {
        replacement::keep(shared, begun);
        let why = crashed.map(|crashed| format!(": {crashed}")).unwrap_or_default();
        let message = format!(
            "{} was not changed, and what its containers gave up they have not taken back: those are in \
             quarantine{why}",
            self.target.shown(),
        );
        Failure::new(CHI_FAULT, message)
    }

    fn undo_on_worker(&self, shared: &Shared, build: Build) -> Step {
        let (shown, took) = (self.target.shown(), self.at.elapsed());
        let (status, why) = match &build.crashed {
            Some(why) => (CHI_FAULT, why.clone()),
            None => (CHI_BUSY, format!("the code of the module has not ended after {took:.1?}")),
        };
        let message = format!("{shown} was not changed: {why}");
        let done = Arc::<Mutex<bool>>::default();
        let (hold, theirs) = (build.begun.hold.clone(), done.clone());
        let progress = build.progress.clone();
        let pool = build.begun.hold.pools[0].id;
        on_worker(shared, move |worker| {
            replacement::undo(worker, &hold, &build.progress, &why);
            *lock(&theirs) = true;
            worker.shared.command(ControlCommand::PoolClosed(pool));
        });
        let failure = Failure::new(status, message);
        Step::Undo(Undoing { begun: build.begun, progress, done, failure, crashed: None })
    }
}

impl Upgrade {
    /// Begins to load it.
    fn begin(&mut self, shared: &Shared) -> Result<(), Failure> {
        let name = self.name.clone();
        self.before = shared.modules.find(&name);
        if self.before.is_none() {
            let message = format!("there is no module '{name}' to upgrade: see `chimaera modules`");
            return Err(Failure::new(CHI_NO_MODULE, message));
        }
        let loaded = Arc::<Mutex<Option<Loaded>>>::default();
        self.loaded = Some(loaded.clone());
        let file = self.file.clone();
        let modules = shared.modules.clone();
        let started = std::thread::Builder::new().name("chi-loader".into()).spawn(move || {
            let module = modules.load_version(&file, &name);
            *lock(&loaded) = Some(module);
        });
        match started {
            Ok(_) => Ok(()),
            Err(error) => {
                let message = format!("cannot start a thread that loads the module: {error}");
                Err(Failure::new(CHI_NO_SPACE, message))
            }
        }
    }
}

/// Begins to write a saved pool, in a thread of its own, because the file system may be slow.
fn write_file(saved: SavedPool, file: PathBuf) -> Result<Slot<()>, Failure> {
    in_thread(move || saved.store(&file))
}

fn read_file(
    shared: &Shared,
    file: PathBuf,
    meter: Arc<Meter>,
) -> Result<Slot<SavedPool>, Failure> {
    let storage = Storage::of(shared);
    meter.begin(state::Stage::Reading);
    in_thread(move || SavedPool::load(&file, &storage, &meter))
}
