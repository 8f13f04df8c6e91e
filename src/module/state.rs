//! The state of a container: what its successor gets.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr;

use chimaera_abi::{chi_state, chi_status, CHI_OK, CHI_SAVED_AS_COPY, CHI_VERSION};
use chimaera_task::archive::{LoadArchive, SaveArchive, StateValue};
use chimaera_task::{Result, Status};

/// A container whose state can be saved, and loaded by a successor: after a migration, an upgrade of
/// the module, or a restart of the runtime. `#[container(name = "..", state)]` makes use of it.
///
/// The state is a sequence of fields with numbers. A field keeps its number, its type and its
/// meaning in all versions of a module, and in both languages; a new one gets a new number. Derive
/// it to save some of the container's fields:
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::atomic::AtomicU64;
/// use std::sync::Mutex;
///
/// use chimaera::module::Queue;
///
/// #[derive(chimaera::State)]
/// pub struct Runtime {
///     #[chi(field = 1)]
///     count: AtomicU64,
///     #[chi(field = 2)]
///     entries: Mutex<BTreeMap<String, u64>>,
///     // Not part of the state: as `create` made it.
///     queue: Option<Queue>,
/// }
/// ```
///
/// The same by hand:
///
/// ```
/// # use std::collections::BTreeMap;
/// # use std::sync::atomic::AtomicU64;
/// # use std::sync::Mutex;
/// use chimaera::module::{State, StateReader, StateWriter};
/// use chimaera::Result;
/// # pub struct Runtime {
/// #     count: AtomicU64,
/// #     entries: Mutex<BTreeMap<String, u64>>,
/// # }
///
/// impl State for Runtime {
///     fn save(&self, state: &mut StateWriter<'_>) -> Result<()> {
///         state.field(1, &self.count)?;
///         state.field(2, &self.entries)
///     }
///
///     fn load(&mut self, state: &mut StateReader<'_>) -> Result<()> {
///         state.field(1, &mut self.count)?;
///         state.field(2, &mut self.entries)?;
///         Ok(())
///     }
/// }
/// ```
///
/// A number may be given only once:
///
/// ```compile_fail
/// #[derive(chimaera::State)]
/// pub struct Runtime {
///     #[chi(field = 1)]
///     count: u64,
///     #[chi(field = 1)]
///     sum: u64,
/// }
/// ```
///
/// What has no form outside this process cannot be saved:
///
/// ```compile_fail
/// #[derive(chimaera::State)]
/// pub struct Runtime {
///     #[chi(field = 1)]
///     file: std::sync::Mutex<std::fs::File>,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` says `state`, but has none",
    note = "add `#[derive(chimaera::State)]` to the container, and `#[chi(field = 1)]` and so on to the fields that are saved; or implement `State` by hand"
)]
pub trait State {
    /// Writes the fields, with ascending numbers. No task is in the container. Errors: any status;
    /// the container then goes on.
    fn save(&self, state: &mut StateWriter<'_>) -> Result<()>;

    /// Reads the fields, with ascending numbers, into a container that `create` has just made: no
    /// task has been in it. Errors: any status; the container is then dropped, and its predecessor
    /// goes on.
    fn load(&mut self, state: &mut StateReader<'_>) -> Result<()>;
}

/// Saves the fields of a container's state.
pub struct StateWriter<'a> {
    state: *mut chi_state,
    last: u32,
    borrowed: PhantomData<&'a mut chi_state>,
}

impl StateWriter<'_> {
    /// # Safety
    ///
    /// Until the value is dropped, `state` is null or a state that is being saved, is as long as its
    /// size says, and is used by nothing else.
    pub(crate) unsafe fn over(state: *mut chi_state) -> Result<Self> {
        // SAFETY: guaranteed by the caller.
        let state = unsafe { whole(state) }?;
        Ok(StateWriter { state, last: 0, borrowed: PhantomData })
    }

    /// Whether the state is a copy, such as `chimaera pool save` makes: one that may be loaded at any time,
    /// on another machine too, and so has all that belongs to the container, also what is in files of
    /// its own or in other pools. The container goes on, and [`release`](crate::Container::release) is not
    /// called. Otherwise it is for a successor that finds all this where it is.
    pub fn is_copy(&self) -> bool {
        // SAFETY: the state is alive and long enough, as `over` has checked.
        unsafe { (*self.state).purpose == CHI_SAVED_AS_COPY }
    }

    /// Saves a field. `number` is greater than that of every field before. Errors: `CHI_INVALID`
    /// when it is not; those of the value; those of the runtime, such as `CHI_NO_SPACE`.
    pub fn field<T: StateValue + ?Sized>(&mut self, number: u32, value: &T) -> Result<()> {
        self.last = ascending(self.last, number)?;
        in_field(number, || {
            // SAFETY: the state is alive, ours, and long enough, as `over` has checked.
            let status = unsafe { ((*self.state).begin_field)(self.state, number) };
            check(status, || "cannot begin the field".into())?;
            // SAFETY: as above; a state's archive lives as long as the state.
            let mut archive = unsafe { SaveArchive::over((*self.state).archive) }?;
            value.save_value(&mut archive)?;
            archive.flush()
        })
    }
}

/// Loads the fields of a container's state.
pub struct StateReader<'a> {
    state: *mut chi_state,
    last: u32,
    /// The field that comes next; 0 at the end.
    found: u32,
    borrowed: PhantomData<&'a mut chi_state>,
}

impl StateReader<'_> {
    /// # Safety
    ///
    /// Until the value is dropped, `state` is null or a state that is being loaded, is as long as
    /// its size says, and is used by nothing else.
    pub(crate) unsafe fn over(state: *mut chi_state) -> Result<Self> {
        // SAFETY: guaranteed by the caller.
        let state = unsafe { whole(state) }?;
        let mut reader = StateReader { state, last: 0, found: 0, borrowed: PhantomData };
        reader.advance()?;
        Ok(reader)
    }

    /// Loads a field. `number` is greater than that of every field before; fields with numbers
    /// between the two are skipped. A field that was not saved leaves the value as it is, and gives
    /// false. Errors: `CHI_INVALID` for malformed bytes, or such as follow after the value; the
    /// message has the field's number.
    pub fn field<T: StateValue + ?Sized>(&mut self, number: u32, value: &mut T) -> Result<bool> {
        self.last = ascending(self.last, number)?;
        while self.found != 0 && self.found < number {
            self.advance()?;
        }
        if self.found != number {
            return Ok(false);
        }
        in_field(number, || {
            // SAFETY: the state is alive, ours, and long enough, as `over` has checked; its archive
            // lives as long. There is no task to read into.
            let mut archive = unsafe { LoadArchive::over((*self.state).archive, ptr::null_mut()) }?;
            value.load_value(&mut archive)?;
            let at = archive.position();
            // What remains may be that of all fields: only reading tells the end of this one.
            match archive.get(&mut [0]) {
                Ok(()) => {
                    Err(Status::invalid(format!("bytes follow after the value, at byte {at}")))
                }
                Err(_) => Ok(()),
            }
        })?;
        self.advance()?;
        Ok(true)
    }

    /// Skips the remaining fields. Errors: `CHI_INVALID` when the state is malformed.
    pub(crate) fn finish(mut self) -> Result<()> {
        while self.found != 0 {
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        let last = self.found;
        // SAFETY: the state is alive, ours, and long enough, as `over` has checked.
        let status = unsafe { ((*self.state).next_field)(self.state, &mut self.found) };
        check(status, || match last {
            0 => "cannot read the first field of the state".into(),
            _ => format!("cannot read the state after field {last}"),
        })
    }
}

/// How a container is saved and loaded, for [`Container::STATE`](crate::Container::STATE).
pub struct StateForm<C> {
    pub(crate) save: fn(&C, &mut StateWriter<'_>) -> Result<()>,
    pub(crate) load: fn(&mut C, &mut StateReader<'_>) -> Result<()>,
}

impl<C: State> StateForm<C> {
    /// As [`State`] says.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        StateForm { save: C::save, load: C::load }
    }
}

/// Runs `f`, which saves or loads a field, and adds the field's number to its error.
fn in_field<T>(number: u32, f: impl FnOnce() -> Result<T>) -> Result<T> {
    f().map_err(|error| Status::new(error.code(), format!("field {number}: {}", error.message())))
}

/// Checks that a field's number is greater than the last one.
fn ascending(last: u32, number: u32) -> Result<u32> {
    match number > last {
        true => Ok(number),
        false => Err(Status::invalid(format!(
            "State visits field {number} after field {last}: the numbers must ascend, from 1"
        ))),
    }
}

fn check(status: chi_status, what: impl FnOnce() -> String) -> Result<()> {
    match status {
        CHI_OK => Ok(()),
        status => Err(Status::new(status, what())),
    }
}

/// Checks that a state has the functions that are called here.
///
/// # Safety
///
/// `state` is null or points to a state that is as long as its size says.
unsafe fn whole(state: *mut chi_state) -> Result<*mut chi_state> {
    const NEEDED: usize = offset_of!(chi_state, next_field) + size_of::<usize>();
    // SAFETY: the size is read only when the state is not null; every state begins with it.
    let size = if state.is_null() { 0 } else { unsafe { (*state).size as usize } };
    match size >= NEEDED {
        true => Ok(state),
        false => Err(Status::new(CHI_VERSION, format!("a state of only {size} bytes"))),
    }
}
