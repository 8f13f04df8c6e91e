//! The table of a module's methods.

use std::ffi::CStr;
use std::ptr::NonNull;

use chimaera_abi::{
    chi_archive, chi_field_layout, chi_method, chi_task, CHI_METHOD_AGGREGATED,
    CHI_METHOD_DECLARED, CHI_METHOD_DESCRIPTION_SHIFT, CHI_METHOD_IDEMPOTENT, CHI_METHOD_MONITORED,
    CHI_METHOD_SERIALIZED, CHI_METHOD_SUPPORTED, CHI_SERIALIZE_LOAD_IN, CHI_SERIALIZE_LOAD_OUT,
    CHI_SERIALIZE_SAVE_IN, CHI_SERIALIZE_SAVE_OUT, CHI_UNSUPPORTED,
};
use chimaera_task::archive::{LoadArchive, SaveArchive};
use chimaera_task::{__private::lend, Result, Status, Task};

use crate::{LifeTask, MonitorContext, MonitorMode, Replica, RunContext};

/// What a method or a monitor may return: nothing, or a result whose error converts into a
/// [`Status`].
pub trait Outcome {
    /// Converts into a result.
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
/// The task has the size and layout that the entry declares, its descriptors have been checked, and
/// nothing else uses it during the call.
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
/// As for `RunFn`; and the archive is null, or nothing else uses it during the call.
pub(crate) type SerializeFn = unsafe fn(*mut chi_task, u32, *mut chi_archive) -> Result<()>;

/// Runs an aggregation's function.
///
/// # Safety
///
/// As for `RunFn`, for both tasks; the second one is complete.
pub(crate) type AggregateFn<C> =
    unsafe fn(&C, *mut chi_task, *mut chi_task, &RunContext<'_>) -> Result<()>;

/// One method of the container `C`: number, name, its task's layout, and its functions.
pub struct MethodEntry<C> {
    pub(crate) number: u32,
    pub(crate) name: &'static CStr,
    task_size: u32,
    description: u32,
    declared: bool,
    fields: &'static [chi_field_layout],
    pub(crate) run: Option<RunFn<C>>,
    pub(crate) monitor: Option<MonitorFn<C>>,
    pub(crate) serialize: Option<SerializeFn>,
    pub(crate) aggregate: Option<AggregateFn<C>>,
    pub(crate) idempotent: bool,
    /// Whether it runs a `LifeTask`.
    pub(crate) life: bool,
}

impl<C> MethodEntry<C> {
    /// A method implemented by `run`, a function item or a closure without captures. The runtime
    /// picks a lane for its tasks.
    pub const fn new<T, F, R>(number: u32, name: &'static CStr, run: F) -> Self
    where
        T: Task,
        F: Fn(&C, &T, &RunContext<'_>) -> R + Copy + Sync + 'static,
        R: Outcome,
    {
        const { assert!(size_of::<F>() == 0, "a method's function must not capture anything") };
        let _ = run;
        MethodEntry {
            number,
            name,
            task_size: size_of::<T>() as u32,
            description: T::DESCRIPTION,
            declared: T::DECLARED,
            fields: T::FIELDS,
            run: Some(call_run::<C, T, F, R>),
            monitor: None,
            serialize: serializer::<T>(),
            aggregate: None,
            idempotent: false,
            life: false,
        }
    }

    /// A method with a monitor, which influences how its tasks are scheduled.
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
        const { assert!(size_of::<G>() == 0, "a monitor's function must not capture anything") };
        let _ = monitor;
        MethodEntry {
            monitor: Some(call_monitor::<C, T, G, S>),
            ..Self::new::<T, F, R>(number, name, run)
        }
    }

    /// A method that the container does not support, `-1` in `chimaera_mod.yaml`: its tasks end
    /// with `CHI_UNSUPPORTED`, and the message contains this name.
    pub const fn unsupported(number: u32, name: &'static CStr) -> Self {
        MethodEntry {
            number,
            name,
            task_size: 0,
            description: 0,
            declared: false,
            fields: &[],
            run: None,
            monitor: None,
            serialize: None,
            aggregate: None,
            idempotent: false,
            life: false,
        }
    }

    /// The same method, whose tasks may run twice, also after later ones, and that changes nothing: if a node of the
    /// cluster is lost while it has one, the container's next owner runs it.
    #[must_use]
    pub const fn idempotent(self) -> Self {
        MethodEntry { idempotent: true, ..self }
    }

    /// The same method with an aggregation: `add` merges the result of one container into the
    /// broadcast's own task, which has the method's type. Without an aggregation, a broadcast
    /// returns the result of container 0.
    ///
    /// Once all replicas are complete, `add` is called on one container, for each replica in the
    /// order of the containers, including those that failed; see [`Replica`]. It must not suspend.
    #[must_use]
    pub const fn aggregated<T, F, R>(self, add: F) -> Self
    where
        T: Task,
        F: Fn(&C, &T, &Replica<'_, T>, &RunContext<'_>) -> R + Copy + Sync + 'static,
        R: Outcome,
    {
        const { assert!(size_of::<F>() == 0, "an aggregation must not capture anything") };
        let _ = add;
        assert!(
            size_of::<T>() as u32 == self.task_size && T::FIELDS.len() == self.fields.len(),
            "an aggregation must take the method's task type"
        );
        MethodEntry { aggregate: Some(call_aggregate::<C, T, F, R>), ..self }
    }

    /// One of the methods of a container's life: `CHI_METHOD_NODE_FAILURE`, `CHI_METHOD_RECOVER`,
    /// `CHI_METHOD_MIGRATE` or `CHI_METHOD_UPGRADE`.
    pub const fn life<F, R>(number: u32, name: &'static CStr, run: F) -> Self
    where
        F: Fn(&C, &LifeTask, &RunContext<'_>) -> R + Copy + Sync + 'static,
        R: Outcome,
    {
        const { assert!(size_of::<F>() == 0, "a method's function must not capture anything") };
        let _ = run;
        MethodEntry {
            task_size: size_of::<LifeTask>() as u32,
            run: Some(call_life::<C, F, R>),
            life: true,
            ..Self::unsupported(number, name)
        }
    }

    /// A method that the SDK itself runs.
    pub(crate) const fn inherited<T: Task>(number: u32, name: &'static CStr) -> Self {
        let mut entry = Self::unsupported(number, name);
        entry.task_size = size_of::<T>() as u32;
        entry.fields = T::FIELDS;
        entry.serialize = serializer::<T>();
        entry
    }

    /// The entry of the module's descriptor. An inherited method has a task but no function: the
    /// SDK itself runs it.
    pub(crate) fn to_raw(&self) -> chi_method {
        let supported = if self.task_size > 0 { CHI_METHOD_SUPPORTED } else { 0 };
        let monitored = if self.monitor.is_some() { CHI_METHOD_MONITORED } else { 0 };
        let serialized = if self.serialize.is_some() { CHI_METHOD_SERIALIZED } else { 0 };
        let aggregated = if self.aggregate.is_some() { CHI_METHOD_AGGREGATED } else { 0 };
        let idempotent = if self.idempotent { CHI_METHOD_IDEMPOTENT } else { 0 };
        let declared = if self.declared { CHI_METHOD_DECLARED } else { 0 };
        chi_method {
            number_: self.number,
            flags_: supported
                | idempotent
                | monitored
                | serialized
                | aggregated
                | declared
                | self.description << CHI_METHOD_DESCRIPTION_SHIFT,
            name_: self.name.as_ptr(),
            task_size_: self.task_size,
            n_fields_: self.fields.len() as u32,
            fields_: if self.fields.is_empty() { std::ptr::null() } else { self.fields.as_ptr() },
        }
    }
}

/// The serialisers of a task type, if it has any.
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
        // SAFETY: guaranteed by the caller.
        let (task, mut archive) = unsafe { (lend::<T>(task), SaveArchive::over(archive)?) };
        save(task, &mut archive)?;
        archive.flush()
    };
    let load = |load: fn(&T, &mut LoadArchive<'_>) -> Result<()>| {
        // SAFETY: guaranteed by the caller.
        let (lent, mut archive) = unsafe { (lend::<T>(task), LoadArchive::over(archive, task)?) };
        load(lent, &mut archive)
    };
    match mode {
        CHI_SERIALIZE_SAVE_IN => save(serializers.save_in),
        CHI_SERIALIZE_LOAD_IN => load(serializers.load_in),
        CHI_SERIALIZE_SAVE_OUT => save(serializers.save_out),
        CHI_SERIALIZE_LOAD_OUT => load(serializers.load_out),
        mode => Err(Status::new(
            CHI_UNSUPPORTED,
            format!(
                "serialisation mode {mode} is not supported: build the module with a newer SDK"
            ),
        )),
    }
}

/// The error for a task without serialisers.
pub(crate) fn not_serialized() -> Status {
    Status::new(CHI_UNSUPPORTED, "the task's fields are not marked `in`, `out` or `inout`")
}

/// The value of a zero-sized function type.
///
/// # Safety
///
/// `F` has no size, and a value of it has existed.
unsafe fn function<F: Copy + Sync + 'static>() -> &'static F {
    // SAFETY: a reference to a zero-sized type needs no memory; a value of this `Copy` type has
    // existed.
    unsafe { NonNull::<F>::dangling().as_ref() }
}

/// # Safety
///
/// As for `RunFn`; and `F` is zero-sized and was passed to `MethodEntry::new`.
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
    // SAFETY: guaranteed by the caller.
    let (run, task) = unsafe { (function::<F>(), lend::<T>(task)) };
    run(container, task, ctx).into_result()
}

/// # Safety
///
/// The task is one that `LifeTask::lend` may lend during the call; and `F` is zero-sized and was
/// passed to `MethodEntry::life`.
unsafe fn call_life<C, F, R>(container: &C, task: *mut chi_task, ctx: &RunContext<'_>) -> Result<()>
where
    F: Fn(&C, &LifeTask, &RunContext<'_>) -> R + Copy + Sync + 'static,
    R: Outcome,
{
    // SAFETY: guaranteed by the caller.
    let (run, task) = unsafe { (function::<F>(), LifeTask::lend(task)) };
    run(container, task, ctx).into_result()
}

/// # Safety
///
/// As for `MonitorFn`; and `G` is zero-sized and was passed to `MethodEntry::monitored`.
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
    // SAFETY: guaranteed by the caller.
    let (monitor, task) = unsafe { (function::<G>(), lend::<T>(task)) };
    monitor(container, mode, task, ctx).into_result()
}

/// # Safety
///
/// As for `AggregateFn`; and `F` is zero-sized and was passed to `MethodEntry::aggregated`.
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
    // SAFETY: guaranteed by the caller.
    let (add, task, replica) = unsafe { (function::<F>(), lend::<T>(task), lend::<T>(replica)) };
    add(container, task, &Replica(replica), ctx).into_result()
}
