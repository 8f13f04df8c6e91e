//! A module's methods, as a table.

use std::ffi::CStr;
use std::ptr::NonNull;

use chimaera_abi::{
    chi_archive, chi_field_layout, chi_method, chi_task, CHI_METHOD_AGGREGATED,
    CHI_METHOD_MONITORED, CHI_METHOD_SERIALIZED, CHI_METHOD_SUPPORTED, CHI_SERIALIZE_LOAD_IN,
    CHI_SERIALIZE_LOAD_OUT, CHI_SERIALIZE_SAVE_IN, CHI_SERIALIZE_SAVE_OUT, CHI_UNSUPPORTED,
};
use chimaera_task::archive::{LoadArchive, SaveArchive};
use chimaera_task::{__private::lend, Result, Status, Task};

use crate::{MonitorContext, MonitorMode, Replica, RunContext};

/// What a method or a monitor may return: nothing, or a result whose error is, or becomes, a
/// [`Status`].
pub trait Outcome {
    /// As a result.
    fn into_result(self) -> Result<()>;
}

impl Outcome for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<Status>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// Runs a method's function.
///
/// # Safety
///
/// The task has the size and layout that the entry declares, checked, and is nobody else's meanwhile.
pub(crate) type RunFn<C> = unsafe fn(&C, *mut chi_task, &RunContext<'_>) -> Result<()>;

/// Runs a monitor's function.
///
/// # Safety
///
/// As for `RunFn`.
pub(crate) type MonitorFn<C> =
    unsafe fn(&C, MonitorMode, *mut chi_task, &mut MonitorContext<'_>) -> Result<()>;

/// Runs a serialiser of a task, whose mode is `CHI_SERIALIZE_*`.
///
/// # Safety
///
/// As for `RunFn`; and the archive is one that the caller may use meanwhile, or null.
pub(crate) type SerializeFn = unsafe fn(*mut chi_task, u32, *mut chi_archive) -> Result<()>;

/// Runs an aggregation's function.
///
/// # Safety
///
/// As for `RunFn`, of both tasks; the second is complete.
pub(crate) type AggregateFn<C> =
    unsafe fn(&C, *mut chi_task, *mut chi_task, &RunContext<'_>) -> Result<()>;

/// One method of the container `C`: number, name, its task's layout, and its functions.
pub struct MethodEntry<C> {
    pub(crate) number: u32,
    pub(crate) name: &'static CStr,
    task_size: u32,
    fields: &'static [chi_field_layout],
    pub(crate) run: Option<RunFn<C>>,
    pub(crate) monitor: Option<MonitorFn<C>>,
    pub(crate) serialize: Option<SerializeFn>,
    pub(crate) aggregate: Option<AggregateFn<C>>,
}

impl<C> MethodEntry<C> {
    /// A method that `run` runs: a function item or a closure that captures nothing. The runtime picks
    /// a lane for its tasks.
    pub const fn new<T, F, R>(number: u32, name: &'static CStr, run: F) -> Self
    where
        T: Task,
        F: Fn(&C, &T, &RunContext<'_>) -> R + Copy + Sync + 'static,
        R: Outcome,
    {
        const { assert!(size_of::<F>() == 0, "a method's function captures nothing") };
        let _ = run;
        MethodEntry {
            number,
            name,
            task_size: size_of::<T>() as u32,
            fields: T::FIELDS,
            run: Some(call_run::<C, T, F, R>),
            monitor: None,
            serialize: serializer::<T>(),
            aggregate: None,
        }
    }

    /// A method with a monitor, which has its say in where a task goes.
    pub const fn monitored<T, F, R, G, S>(
        number: u32,
        name: &'static CStr,
        run: F,
        monitor: G,
    ) -> Self
    where
        T: Task,
        F: Fn(&C, &T, &RunContext<'_>) -> R + Copy + Sync + 'static,
        R: Outcome,
        G: Fn(&C, MonitorMode, &T, &mut MonitorContext<'_>) -> S + Copy + Sync + 'static,
        S: Outcome,
    {
        const { assert!(size_of::<G>() == 0, "a monitor's function captures nothing") };
        let _ = monitor;
        MethodEntry {
            monitor: Some(call_monitor::<C, T, G, S>),
            ..Self::new::<T, F, R>(number, name, run)
        }
    }

    /// A method that the container does not support, `-1` in `chimaera_mod.yaml`: a task that names it
    /// ends with `CHI_UNSUPPORTED` and this name.
    pub const fn unsupported(number: u32, name: &'static CStr) -> Self {
        MethodEntry {
            number,
            name,
            task_size: 0,
            fields: &[],
            run: None,
            monitor: None,
            serialize: None,
            aggregate: None,
        }
    }

    /// The same method with an aggregation: `add` adds what one container made of a broadcast to the
    /// broadcast's own task, of the method's type. Without one, a broadcast returns what container 0
    /// returned.
    ///
    /// It is called on one container for each replica in the order of the containers, once all are
    /// complete, failed ones too; see [`Replica`].
    #[must_use]
    pub const fn aggregated<T, F, R>(self, add: F) -> Self
    where
        T: Task,
        F: Fn(&C, &T, &Replica<'_, T>, &RunContext<'_>) -> R + Copy + Sync + 'static,
        R: Outcome,
    {
        const { assert!(size_of::<F>() == 0, "an aggregation's function captures nothing") };
        let _ = add;
        assert!(
            size_of::<T>() as u32 == self.task_size && T::FIELDS.len() == self.fields.len(),
            "an aggregation is of the method's task"
        );
        MethodEntry { aggregate: Some(call_aggregate::<C, T, F, R>), ..self }
    }

    /// A method that the SDK itself runs.
    pub(crate) const fn inherited<T: Task>(number: u32, name: &'static CStr) -> Self {
        let mut entry = Self::unsupported(number, name);
        entry.task_size = size_of::<T>() as u32;
        entry.fields = T::FIELDS;
        entry.serialize = serializer::<T>();
        entry
    }

    /// The entry of the module's descriptor. The SDK itself runs a method of the inherited kind, which
    /// has a task but no function.
    pub(crate) fn to_raw(&self) -> chi_method {
        let supported = if self.task_size > 0 { CHI_METHOD_SUPPORTED } else { 0 };
        let monitored = if self.monitor.is_some() { CHI_METHOD_MONITORED } else { 0 };
        let serialized = if self.serialize.is_some() { CHI_METHOD_SERIALIZED } else { 0 };
        let aggregated = if self.aggregate.is_some() { CHI_METHOD_AGGREGATED } else { 0 };
        chi_method {
            number_: self.number,
            flags_: supported | monitored | serialized | aggregated,
            name_: self.name.as_ptr(),
            task_size_: self.task_size,
            n_fields_: self.fields.len() as u32,
            fields_: if self.fields.is_empty() { std::ptr::null() } else { self.fields.as_ptr() },
        }
    }
}

/// How tasks of a type go to another process, if they do.
const fn serializer<T: Task>() -> Option<SerializeFn> {
    match T::SERIALIZERS {
        Some(_) => Some(call_serializer::<T>),
        None => None,
    }
}

/// # Safety
///
/// As for `SerializeFn`.
unsafe fn call_serializer<T: Task>(
    task: *mut chi_task,
    mode: u32,
    archive: *mut chi_archive,
) -> Result<()> {
    let Some(serializers) = T::SERIALIZERS else { return Err(not_serialized()) };
    let save = |save: fn(&T, &mut SaveArchive<'_>) -> Result<()>| {
        // SAFETY: says the caller.
        let (task, mut archive) = unsafe { (lend::<T>(task), SaveArchive::over(archive)?) };
        save(task, &mut archive)?;
        archive.flush()
    };
    let load = |load: fn(&T, &mut LoadArchive<'_>) -> Result<()>| {
        // SAFETY: says the caller.
        let (lent, mut archive) = unsafe { (lend::<T>(task), LoadArchive::over(archive, task)?) };
        load(lent, &mut archive)
    };
    match mode {
        CHI_SERIALIZE_SAVE_IN => save(serializers.save_in),
        CHI_SERIALIZE_LOAD_IN => load(serializers.load_in),
        CHI_SERIALIZE_SAVE_OUT => save(serializers.save_out),
        CHI_SERIALIZE_LOAD_OUT => load(serializers.load_out),
        mode => Err(Status::new(CHI_UNSUPPORTED, format!("no serialiser has the mode {mode}"))),
    }
}

/// The error for a task whose fields do not say which way they go.
pub(crate) fn not_serialized() -> Status {
    Status::new(CHI_UNSUPPORTED, "the task's fields do not say which way they go")
}

/// The function value of a type that has only one and no bytes.
///
/// # Safety
///
/// `F` has no size, and a value of it was made once.
unsafe fn function<F: Copy + Sync + 'static>() -> &'static F {
    // SAFETY: a reference to no bytes needs no memory; a value of this `Copy` type has existed.
    unsafe { NonNull::<F>::dangling().as_ref() }
}

/// # Safety
///
/// As for `RunFn`; and `F`, of no size, was given to `MethodEntry::new`.
unsafe fn call_run<C, T, F, R>(
    container: &C,
    task: *mut chi_task,
    ctx: &RunContext<'_>,
) -> Result<()>
where
    T: Task,
    F: Fn(&C, &T, &RunContext<'_>) -> R + Copy + Sync + 'static,
    R: Outcome,
{
    // SAFETY: says the caller.
    let (run, task) = unsafe { (function::<F>(), lend::<T>(task)) };
    run(container, task, ctx).into_result()
}

/// # Safety
///
/// As for `MonitorFn`; and `G`, of no size, was given to `MethodEntry::monitored`.
unsafe fn call_monitor<C, T, G, S>(
    container: &C,
    mode: MonitorMode,
    task: *mut chi_task,
    ctx: &mut MonitorContext<'_>,
) -> Result<()>
where
    T: Task,
    G: Fn(&C, MonitorMode, &T, &mut MonitorContext<'_>) -> S + Copy + Sync + 'static,
    S: Outcome,
{
    // SAFETY: says the caller.
    let (monitor, task) = unsafe { (function::<G>(), lend::<T>(task)) };
    monitor(container, mode, task, ctx).into_result()
}

/// # Safety
///
/// As for `AggregateFn`; and `F`, of no size, was given to `MethodEntry::aggregated`.
unsafe fn call_aggregate<C, T, F, R>(
    container: &C,
    task: *mut chi_task,
    replica: *mut chi_task,
    ctx: &RunContext<'_>,
) -> Result<()>
where
    T: Task,
    F: Fn(&C, &T, &Replica<'_, T>, &RunContext<'_>) -> R + Copy + Sync + 'static,
    R: Outcome,
{
    // SAFETY: says the caller.
    let (add, task, replica) = unsafe { (function::<F>(), lend::<T>(task), lend::<T>(replica)) };
    add(container, task, &Replica(replica), ctx).into_result()
}
