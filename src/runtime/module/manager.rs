//! The module manager: finds files, judges them, and loads those that are ChiMods.

use std::collections::HashSet;
use std::ffi::{c_char, c_void, CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chimaera_abi::*;
use chimaera_description::Description;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{Mode, OFlags};

use super::cxx_runtime;
use super::described;
use super::detach::Before;
use super::elf::{judge, Verdict};
use super::error;
use super::libraries;
use super::method_table::Methods;
use super::trust;
use crate::sys::constructors::{self, Thrown};
use crate::sys::{lock, objects, FileStamp, FloatingPoint};

/// `chi_module_descriptor.params`, and `pools`.
pub(crate) type Canonicalize =
    unsafe extern "C" fn(*const c_void, u64, *mut chi_archive) -> chi_status;

/// `__cxa_get_globals` of a C++ runtime library.
pub(crate) type ExceptionGlobals = unsafe extern "C" fn() -> *mut c_void;

/// What the manager passes to the modules that it loads, and the callback for the libraries that
/// they link.
#[derive(Clone, Copy)]
pub(crate) struct Services {
    /// The table for `chi_module`; it must live as long as the process.
    pub(crate) host: *const chi_host,
    /// The function that libchimaera_client, inside the runtime, calls to find a worker's table.
    pub(crate) worker_ipc: unsafe extern "C" fn() -> *const chi_ipc,
    /// The process is a runtime and nothing else: modules that link libchimaera_client cannot
    /// connect.
    pub(crate) daemon: bool,
    /// The name of the module that is built into the runtime.
    pub(crate) own_name: &'static str,
    /// Called for each C++ runtime library that modules use. Returns false if there are too many.
    pub(crate) on_cxx_runtime: fn(ExceptionGlobals) -> bool,
}

// SAFETY: the table is constant and lives as long as the process.
unsafe impl Send for Services {}
// SAFETY: as above.
unsafe impl Sync for Services {}

pub(crate) type NewState = unsafe extern "C" fn(*const chi_pool_id, *const c_char) -> *mut c_void;

/// A loaded module. Never unloaded.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sdk_version: String,
    pub(crate) language: u32,
    pub(crate) abi: (u32, u32),
    /// The file; `None` for a built-in module.
    pub(crate) path: Option<PathBuf>,
    /// It was loaded as another version of a module, and not found in a directory of modules.
    pub(crate) is_other_version: bool,
    /// The state of the file when it was loaded.
    pub(crate) stamp: Option<FileStamp>,
    /// The file itself, so that no other gets its inode when it is deleted: the dynamic linker would take
    /// that one for this module.
    pub(crate) _file: Option<OwnedFd>,
    /// The libraries that it brings with it.
    pub(crate) libraries: Vec<libraries::Library>,
    pub(crate) methods: Methods,
    /// What it says of its tasks.
    pub(crate) description: Option<Description>,
    /// Converts parameters to the module's canonical form.
    pub(crate) params: Option<Canonicalize>,
    /// Gives the names of the pools that canonical parameters name.
    pub(crate) pools: Option<Canonicalize>,
    pub(crate) new_state: NewState,
    /// Its containers pass tasks on to another process.
    pub(crate) is_proxy: bool,
    /// The module whose containers run in module hosts, if this is its proxy in a daemon.
    pub(crate) original: Option<Arc<Module>>,
}

impl Module {
    /// The module that was loaded: this one, or the one that this is the proxy of.
    pub(crate) fn itself(self: &Arc<Module>) -> &Arc<Module> {
        self.original.as_ref().unwrap_or(self)
    }

    pub(crate) fn language(&self) -> &'static str {
        match self.language {
            CHI_LANG_CPP => "C++",
            CHI_LANG_RUST => "Rust",
            _ => "C",
        }
    }
}

/// A file that was found but not loaded.
pub(crate) struct Refusal {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
    /// False for a file that is not meant to be a module.
    pub(crate) is_module: bool,
}

/// The result of a scan.
pub(crate) struct Modules {
    services: Services,
    /// How many other versions have been loaded.
    versions: AtomicUsize,
    /// Of each name, the version that new pools get.
    loaded: Mutex<Vec<Arc<Module>>>,
    /// All versions, which stay loaded.
    every: Mutex<Vec<Arc<Module>>>,
    pub(crate) refused: Vec<Refusal>,
}

/// What a file that is loaded must be.
#[derive(Clone, Copy, Debug)]
enum Expected<'a> {
    /// A module whose name no other has.
    New,
    /// Another version of the module with this name.
    Version(&'a str),
}

impl Modules {
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Module>> {
        lock(&self.loaded).iter().find(|module| module.name == name).cloned()
    }

    pub(crate) fn loaded(&self) -> Vec<Arc<Module>> {
        lock(&self.loaded).clone()
    }

    /// Lets new pools have this version. The one before stays loaded.
    pub(crate) fn replace(&self, module: Arc<Module>) {
        let mut loaded = lock(&self.loaded);
        match loaded.iter_mut().find(|old| old.name == module.name) {
            Some(old) => *old = module,
            None => loaded.push(module),
        }
    }

    /// Without any module.
    pub(crate) fn new(services: Services) -> Modules {
        let versions = AtomicUsize::new(0);
        let (loaded, every) = (Mutex::default(), Mutex::default());
        Modules { services, versions, loaded, every, refused: Vec::new() }
    }

    /// Loads a file that must be a module, without judging it first.
    pub(crate) fn load_new(&self, path: &Path) -> Result<Module, String> {
        self.load(path, Expected::New)
    }

    /// Loads another version of a module, beside the one that is loaded; a file that was loaded before, and
    /// has not changed since, is not loaded again. The error says why it is refused. `[any thread]`; constructors of the file may never return.
    pub(crate) fn load_version(&self, path: &Path, name: &str) -> Result<Arc<Module>, String> {
        match judge(path) {
            Verdict::Module => {}
            Verdict::Broken(reason) | Verdict::Other(reason) => return Err(reason),
        }
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        let stamp = CString::new(path.as_os_str().as_bytes());
        let stamp = stamp.ok().and_then(|name| FileStamp::of(&name));
        let is_it = |old: &&Arc<Module>| old.name == name && stamp.is_some() && old.stamp == stamp;
        if let Some(old) = lock(&self.every).iter().find(is_it) {
            return Ok(old.clone());
        }
        tracing::info!(path = %path.display(), "loading a version of a module");
        let module = self.load(&path, Expected::Version(name))?;
        let version = &*module.version;
        tracing::info!(module = name, version, path = %path.display(), "version loaded");
        let module = Arc::new(module);
        lock(&self.every).push(module.clone());
        Ok(module)
    }

    /// Scans directories in order. Of several modules with the same name, the first is loaded.
    /// Calls `on_load` before each module's code runs, which may never return.
    pub(crate) fn scan(
        directories: &[PathBuf],
        services: Services,
        on_load: impl Fn(&Path),
    ) -> Modules {
        let mut modules = Modules::new(services);
        let mut seen = HashSet::new();
        for directory in directories {
            let files = files(directory)
                .map_err(|error| format!("the directory cannot be read: {error}"))
                .and_then(|files| trust::check_directory(directory).map(|()| files));
            match files {
                Ok(files) => {
                    for (path, id) in files {
                        match id {
                            Ok(id) if seen.insert(id) => modules.consider(path, &on_load),
                            Ok(_) => {}
                            Err(error) => {
                                modules.refuse(&path, format!("cannot be read: {error}"), true);
                            }
                        }
                    }
                }
                Err(reason) => modules.refuse(directory, reason, true),
            }
        }
        modules
    }

    fn consider(&mut self, path: PathBuf, on_load: &impl Fn(&Path)) {
        match judge(&path) {
            Verdict::Module => {
                // Both first, because the module's constructors may end this process or never return; and what is
                // in the log is known to whoever asks.
                on_load(&path);
                tracing::info!(path = %path.display(), "loading a module");
                match self.load(&path, Expected::New) {
                    Ok(module) => {
                        tracing::info!(module = module.name, path = %path.display(), "module loaded");
                        let module = Arc::new(module);
                        lock(&self.every).push(module.clone());
                        lock(&self.loaded).push(module);
                    }
                    Err(reason) => self.refuse(&path, reason, true),
                }
            }
            Verdict::Broken(reason) => self.refuse(&path, reason, true),
            Verdict::Other(reason) => self.refuse(&path, reason, false),
        }
    }

    fn refuse(&mut self, path: &Path, reason: String, is_module: bool) {
        if is_module {
            tracing::warn!(path = %path.display(), reason, "module refused");
        }
        self.refused.push(Refusal { path: path.to_owned(), reason, is_module });
    }

    /// Loads a file that exports the whole contract. The error says why it is refused.
    fn load(&self, path: &Path, expected: Expected<'_>) -> Result<Module, String> {
        trust::check_file(path)?;
        // Constructors may set the thread's floating-point control: those of libraries that were
        // linked with -ffast-math do.
        let floating_point = FloatingPoint::set_aside();
        let loaded = self.open(path, expected);
        floating_point.put_back();
        loaded
    }

    fn open(&self, path: &Path, expected: Expected<'_>) -> Result<Module, String> {
        let flags = RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE;
        let services = &self.services;
        let other_name = match expected {
            Expected::New => path.to_owned(),
            Expected::Version(_) => self.other_name(path),
        };
        let name =
            CString::new(other_name.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        let before = Before::now();
        let stamp = FileStamp::of(&name);
        let flags_of_path = OFlags::PATH | OFlags::CLOEXEC;
        let _file = rustix::fs::open(path, flags_of_path, Mode::empty()).ok();
        // SAFETY: the file exports the whole contract, so it is meant to be loaded here; what its
        // constructors do is, like the rest of its code, its author's responsibility.
        let (opened, thrown) = unsafe { constructors::open(&name, flags) };
        let handle = opened.map_err(|why| format!("cannot be loaded: {why}"))?;
        // SAFETY: the handle was just opened, and is not used otherwise.
        let library = unsafe { Library::from_raw(handle) };
        // SAFETY: the contract defines the type of this symbol.
        let new_state = unsafe { symbol::<NewState>(&library, "new_state") };
        let address = new_state.as_ref().ok().map(|function| *function as usize);
        if lock(&self.every).iter().any(|old| Some(old.new_state as usize) == address) {
            return Err(
                "this file is loaded already; if it has been overwritten since, replace it by a \
                        new file instead (install, mv), or give a copy of it"
                    .into(),
            );
        }
        // Before they are copied, so that a change during the copy is reported.
        let loaded = before.loaded(address, matches!(expected, Expected::New));
        let libraries = loaded.libraries();
        // Also if the module is refused below: its libraries stay, and others may link them.
        if let Err(error) = before.detach(&loaded) {
            tracing::warn!(
                path = %path.display(), %error,
                "the module is not protected against changes of its files while it runs"
            );
        }
        if let Some(thrown) = thrown {
            return Err(describe(thrown, path, &library));
        }
        let new_state = new_state?;
        if FileStamp::of(&name) != stamp {
            return Err("the file changed while it was loaded".into());
        }
        // SAFETY: the contract defines the types of these symbols.
        unsafe {
            let marker = symbol::<*const bool>(&library, "is_chimaera_task_")?;
            if marker.cast::<u8>().read() == 0 {
                return Err("its is_chimaera_task_ is false".into());
            }
            cxx_runtime::find(new_state as usize, services.on_cxx_runtime)?;
            let entry: unsafe extern "C" fn(*const chi_host) -> *const chi_module_descriptor =
                symbol(&library, "chi_module")?;
            error::take();
            let descriptor = entry(services.host);
            if descriptor.is_null() {
                return Err(error::take()
                    .unwrap_or_else(|| "chi_module returned null and gave no reason".into()));
            }
            let name: unsafe extern "C" fn() -> *const c_char =
                symbol(&library, "get_module_name")?;
            let called = (text(name()), expected);
            let module = self.describe(descriptor, called, path, new_state, services)?;
            let is_other_version = matches!(expected, Expected::Version(_));
            let module = Module { is_other_version, stamp, _file, libraries, ..module };
            objects::add_module(new_state as usize);
            adopt(&library, services);
            Ok(module)
        }
    }

    /// Another name for a file, which no file was loaded by: for a name that it knows, the dynamic linker
    /// returns the library that it has, whatever the file is by now.
    fn other_name(&self, path: &Path) -> PathBuf {
        let count = 1 + self.versions.fetch_add(1, Ordering::Relaxed);
        let directory = path.parent().unwrap_or(Path::new("/")).as_os_str();
        let mut name = directory.to_owned();
        name.push("/.".repeat(count));
        name.push("/");
        name.push(path.file_name().unwrap_or_default());
        name.into()
    }

    /// # Safety
    /// `descriptor` must be what the module's `chi_module` returned.
    unsafe fn describe(
        &self,
        descriptor: *const chi_module_descriptor,
        (called, expected): (String, Expected<'_>),
        path: &Path,
        new_state: NewState,
        services: &Services,
    ) -> Result<Module, String> {
        // SAFETY: a descriptor of any version begins with the magic.
        let magic = unsafe { descriptor.cast::<u64>().read_unaligned() };
        if magic != CHI_MODULE_MAGIC || !descriptor.is_aligned() {
            return Err("chi_module did not return a module descriptor".into());
        }
        // SAFETY: the descriptor is aligned, and begins with the magic; size and version follow in
        // every version of the descriptor. It may be shorter than ours, so no reference to the
        // whole is made.
        let (size, abi) =
            unsafe { ((*descriptor).size, ((*descriptor).abi_major, (*descriptor).abi_minor)) };
        if abi.0 != CHI_ABI_MAJOR {
            return Err(format!(
                "built for ABI {}.{}, this runtime speaks {CHI_ABI_MAJOR}.{CHI_ABI_MINOR}",
                abi.0, abi.1
            ));
        }
        if (size as usize) < since_1_0::MODULE_DESCRIPTOR {
            return Err(format!("its descriptor has only {size} bytes"));
        }
        // SAFETY: the descriptor covers all fields of 1.0; the strings are null or C strings of the
        // module.
        let (name, version, sdk_version, language) = unsafe {
            (
                text((*descriptor).name),
                text((*descriptor).version),
                text((*descriptor).sdk_version),
                (*descriptor).language,
            )
        };
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !name.split_once(':').is_some_and(|(repo, module)| part(repo) && part(module)) {
            return Err(format!("its name '{name}' is not of the form repo:module"));
        }
        if called != name {
            return Err(format!("get_module_name says '{called}', its descriptor '{name}'"));
        }
        if let Expected::Version(wanted) = expected {
            if name != wanted {
                return Err(format!("it is the module {name}, not {wanted}"));
            }
        } else if let Some(other) = self.find(&name) {
            let taken = other.path.as_deref().unwrap_or(Path::new("the runtime itself"));
            return Err(format!("name {name} already taken by {}", taken.display()));
        }
        if name == services.own_name {
            return Err(format!("name {name} already taken by the runtime itself"));
        }
        // SAFETY: the descriptor covers all fields of 1.0, and its tables are the loaded module's.
        let mut methods = unsafe { Methods::read(descriptor)? };
        let covers_params = size as usize
            >= std::mem::offset_of!(chi_module_descriptor, params)
                + std::mem::size_of::<Option<Canonicalize>>();
        // SAFETY: the descriptor covers the field.
        let params = if covers_params { unsafe { (*descriptor).params } } else { None };
        let covers_pools = size as usize
            >= std::mem::offset_of!(chi_module_descriptor, pools)
                + std::mem::size_of::<Option<Canonicalize>>();
        // SAFETY: the descriptor covers the field.
        let pools = if covers_pools { unsafe { (*descriptor).pools } } else { None };
        let covers_description = size as usize
            >= std::mem::offset_of!(chi_module_descriptor, description)
                + std::mem::size_of::<*const c_char>();
        // SAFETY: the descriptor covers the field, which is null or a C string of the module.
        let said = unsafe {
            let text = if covers_description { (*descriptor).description } else { ptr::null() };
            (!text.is_null()).then(|| CStr::from_ptr(text))
        };
        let description = match said {
            Some(text) => described::read(text, &mut methods, path)?,
            None => None,
        };
        let path = Some(path.to_owned());
        let (stamp, _file, libraries) = (None, None, Vec::new());
        Ok(Module {
            name,
            version,
            sdk_version,
            language,
            abi,
            path,
            is_other_version: false,
            stamp,
            _file,
            libraries,
            methods,
            description,
            params,
            pools,
            new_state,
            is_proxy: false,
            original: None,
        })
    }
}

/// The reason for a refusal because a constructor of the library, or of one that it links, threw.
fn describe(thrown: Thrown, path: &Path, library: &Library) -> String {
    objects::look();
    let object = objects::find(thrown.pc).map(|object| object.path.to_string_lossy());
    let of = match object {
        Some(object) if Path::new(&*object) != path => format!(" of {object}"),
        _ => String::new(),
    };
    // SAFETY: no type is claimed for the symbol: only its address is taken.
    let find = |name: &CStr| unsafe {
        library.get::<*mut c_void>(name.to_bytes()).ok().map(|symbol| symbol.as_raw_ptr())
    };
    format!("a static constructor{of} threw: {}", thrown.describe(find))
}

/// The dynamic linker's message: the error itself only says which function failed.
fn told_by_linker(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// # Safety
/// `T` must be the symbol's type, a pointer or a function.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: by the caller's promise.
    let found = unsafe { library.get::<T>(name.as_bytes()) };
    found
        .map(|symbol| *symbol)
        .map_err(|error| format!("its {name} cannot be found: {}", told_by_linker(&error)))
}

/// # Safety
/// `text` must be null or a C string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// If a module links libchimaera_client, tells it that it is inside a runtime.
fn adopt(library: &Library, services: &Services) {
    type Adopt =
        unsafe extern "C" fn(chi_worker_ipc: unsafe extern "C" fn() -> *const chi_ipc, bool);
    // SAFETY: libchimaera_client defines this symbol with this type.
    unsafe {
        if let Ok(adopt) = library.get::<Adopt>(b"chi_client_adopt") {
            adopt(services.worker_ipc, services.daemon);
        }
    }
}

/// A file, and the device and inode that identify it.
type Found = (PathBuf, io::Result<(u64, u64)>);

/// The regular files of a directory, sorted by name.
fn files(directory: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                found.push((path, Ok((metadata.dev(), metadata.ino()))));
            }
            Ok(_) => {}
            Err(error) if leads_nowhere(&error) => {}
            Err(error) => found.push((path, Err(error))),
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

/// Whether a path cannot be followed because it is a dangling link.
fn leads_nowhere(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}
