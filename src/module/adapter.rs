//! The C side of a container: the functions that the runtime calls, around the author's type.

use std::ffi::{c_char, CStr};
use std::sync::OnceLock;

use chimaera_abi::{
    chi_archive, chi_container, chi_container_ops, chi_host, chi_pool_id, chi_run_context,
    chi_state, chi_status, chi_task, read_field, CHI_EXISTS, CHI_INTERNAL, CHI_METHOD_CREATE,
    CHI_METHOD_DESTROY, CHI_NO_METHOD, CHI_OK, CHI_UNSUPPORTED,
};
use chimaera_task::{__private::lend, CreateTask, Result, Status};

use crate::context::Identity;
use crate::dispatch::Dispatch;
use crate::host::host;
use crate::method::not_serialized;
use crate::panics::{catch, to_status};
use crate::{
    Container, Init, LogLevel, MonitorContext, MonitorMode, RunContext, StateForm, StateReader,
    StateWriter,
};

/// The object that `alloc_state` makes: the C struct, and the author's container once `kCreate` has
/// created it.
#[repr(C)]
pub(crate) struct ContainerAdapter<C: Container> {
    base: chi_container,
    identity: Identity,
    dispatch: &'static Dispatch<C>,
    container: OnceLock<C>,
}

impl<C: Container> ContainerAdapter<C> {
    const OPS: chi_container_ops = chi_container_ops {
        size: size_of::<chi_container_ops>() as u32,
        reserved: 0,
        init: init::<C>,
        run: run::<C>,
        monitor: monitor::<C>,
        del: None,
        destroy: destroy::<C>,
        aggregate: Some(aggregate::<C>),
        serialize: Some(serialize::<C>),
        save: if C::STATE.is_some() { Some(save::<C>) } else { None },
        load: if C::STATE.is_some() { Some(load::<C>) } else { None },
        resume: if C::STATE.is_some() { Some(resume::<C>) } else { None },
    };

    /// Makes a shell without a container. The runtime owns it.
    pub(crate) fn make(dispatch: &'static Dispatch<C>, identity: Identity) -> *mut chi_container {
        Box::into_raw(Box::new(ContainerAdapter {
            base: chi_container { ops: &Self::OPS },
            identity,
            dispatch,
            container: OnceLock::new(),
        }))
        .cast()
    }

    fn container(&self) -> Result<&C> {
        self.container.get().ok_or_else(|| not_created("a task"))
    }

    /// # Safety
    ///
    /// As for `chi_container_ops.run`.
    unsafe fn run(
        &self,
        method: u32,
        task: *mut chi_task,
        rctx: *mut chi_run_context,
    ) -> Result<()> {
        // SAFETY: the context is valid until this call returns.
        let ctx = unsafe { RunContext::new(&self.identity, rctx) }?;
        match method {
            CHI_METHOD_CREATE => {
                // SAFETY: the task of this method is a `chi_create_task`, whole and checked.
                let task = unsafe { lend::<CreateTask>(task) };
                self.create(task, ctx)
            }
            // A container whose `create` did not run or failed has nothing to destroy.
            CHI_METHOD_DESTROY => self.container.get().map_or(Ok(()), |c| c.destroy(&ctx)),
            _ => {
                let entry = self.dispatch.entry(method).ok_or_else(|| no_method(method))?;
                let run = entry.run.ok_or_else(|| unsupported(entry.name))?;
                // SAFETY: the runtime hands over a whole and checked task of the entry's layout.
                unsafe { run(self.container()?, task, &ctx) }
            }
        }
    }

    fn create(&self, task: &CreateTask, ctx: RunContext<'_>) -> Result<()> {
        if self.container.get().is_some() {
            return Err(Status::new(CHI_EXISTS, "the container already exists"));
        }
        let params = task.params.copy_to_vec()?;
        let container = C::create(&Init { identity: &self.identity, params, ctx })?;
        self.container
            .set(container)
            .map_err(|_| Status::new(CHI_EXISTS, "the container was created concurrently"))
    }

    /// # Safety
    ///
    /// As for `chi_container_ops.monitor`.
    unsafe fn monitor(
        &self,
        mode: u32,
        method: u32,
        task: *mut chi_task,
        rctx: *mut chi_run_context,
    ) -> Result<()> {
        // A mode that only newer runtimes have: the module leaves the choice to the runtime.
        let Some(mode) = MonitorMode::from_raw(mode) else { return Ok(()) };
        let entry = self.dispatch.entry(method).ok_or_else(|| no_method(method))?;
        let Some(monitor) = entry.monitor else { return Ok(()) };
        // SAFETY: the context is valid, and this call's alone, until it returns.
        let mut ctx = unsafe { MonitorContext::new(&self.identity, rctx) }?;
        // SAFETY: the runtime hands over a whole and checked task of the entry's layout.
        unsafe { monitor(self.container()?, mode, task, &mut ctx) }
    }

    /// # Safety
    ///
    /// As for `chi_container_ops.aggregate`.
    unsafe fn aggregate(
        &self,
        method: u32,
        task: *mut chi_task,
        replica: *mut chi_task,
        rctx: *mut chi_run_context,
    ) -> Result<()> {
        let entry = self.dispatch.entry(method).ok_or_else(|| no_method(method))?;
        let Some(aggregate) = entry.aggregate else { return Ok(()) };
        // SAFETY: the context is valid until this call returns.
        let ctx = unsafe { RunContext::new(&self.identity, rctx) }?;
        // SAFETY: the runtime hands over whole and checked tasks of the entry's layout.
        unsafe { aggregate(self.container()?, task, replica, &ctx) }
    }
}

/// # Safety
///
/// As for `chi_container_ops.init`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn init<C: Container>(
    container: *mut chi_container,
    pool_id: *const chi_pool_id,
    pool_name: *const c_char,
) -> chi_status {
    to_status(|| {
        // SAFETY: the contract guarantees that the arguments are valid.
        let identity = unsafe { identity(pool_id, pool_name) }?;
        // SAFETY: the container is being built, so nothing else refers to it.
        unsafe { (*container.cast::<ContainerAdapter<C>>()).identity = identity };
        Ok(())
    })
}

/// # Safety
///
/// As for `chi_container_ops.run`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn run<C: Container>(
    container: *mut chi_container,
    method: u32,
    task: *mut chi_task,
    rctx: *mut chi_run_context,
) -> chi_status {
    // SAFETY: a shell of this type, which lives until `destroy`; only shared references are made.
    to_status(|| unsafe { (*container.cast::<ContainerAdapter<C>>()).run(method, task, rctx) })
}

/// # Safety
///
/// As for `chi_container_ops.monitor`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn monitor<C: Container>(
    container: *mut chi_container,
    mode: u32,
    method: u32,
    task: *mut chi_task,
    rctx: *mut chi_run_context,
) -> chi_status {
    // SAFETY: as in `run`.
    to_status(|| unsafe {
        (*container.cast::<ContainerAdapter<C>>()).monitor(mode, method, task, rctx)
    })
}

/// # Safety
///
/// As for `chi_container_ops.serialize`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn serialize<C: Container>(
    container: *mut chi_container,
    method: u32,
    task: *mut chi_task,
    mode: u32,
    archive: *mut chi_archive,
) -> chi_status {
    to_status(|| {
        // SAFETY: as in `run`.
        let dispatch = unsafe { (*container.cast::<ContainerAdapter<C>>()).dispatch };
        let serialize = dispatch.serializer(method).ok_or_else(not_serialized)?;
        // SAFETY: the runtime hands over a task of the entry's layout, and its archive.
        unsafe { serialize(task, mode, archive) }
    })
}

/// # Safety
///
/// As for `chi_container_ops.aggregate`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn aggregate<C: Container>(
    container: *mut chi_container,
    method: u32,
    task: *mut chi_task,
    replica: *mut chi_task,
    rctx: *mut chi_run_context,
) -> chi_status {
    // SAFETY: as in `run`.
    to_status(|| unsafe {
        (*container.cast::<ContainerAdapter<C>>()).aggregate(method, task, replica, rctx)
    })
}

/// # Safety
///
/// As for `chi_container_ops.save`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn save<C: Container>(
    container: *mut chi_container,
    state: *mut chi_state,
) -> chi_status {
    to_status(|| {
        // SAFETY: as in `run`.
        let container = unsafe { (*container.cast::<ContainerAdapter<C>>()).container() }?;
        // SAFETY: the runtime hands over a state that is used by nothing else during the call.
        let mut writer = unsafe { StateWriter::over(state) }?;
        (form::<C>()?.save)(container, &mut writer)?;
        match writer.is_copy() {
            true => Ok(()),
            false => container.release(),
        }
    })
}

/// # Safety
///
/// As for `chi_container_ops.load`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn load<C: Container>(
    container: *mut chi_container,
    state: *mut chi_state,
) -> chi_status {
    to_status(|| {
        // SAFETY: a shell of this type, which lives until `destroy`. The exclusive reference is to
        // the author's container alone, which `kCreate` has made and to which no reference has been
        // lent: methods and monitors get one only with a task, and no task comes before `load` has
        // returned.
        let created = unsafe { &mut (*container.cast::<ContainerAdapter<C>>()).container };
        let created = created.get_mut().ok_or_else(|| not_created("its state"))?;
        // SAFETY: the runtime hands over a state that is used by nothing else during the call.
        let mut reader = unsafe { StateReader::over(state) }?;
        (form::<C>()?.load)(created, &mut reader)?;
        reader.finish()
    })
}

/// # Safety
///
/// As for `chi_container_ops.resume`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn resume<C: Container>(container: *mut chi_container) -> chi_status {
    // SAFETY: as in `run`.
    to_status(|| unsafe { (*container.cast::<ContainerAdapter<C>>()).container()?.resume() })
}

/// # Safety
///
/// As for `chi_container_ops.destroy`; the container is one of `ContainerAdapter::make`.
unsafe extern "C" fn destroy<C: Container>(container: *mut chi_container) {
    let dropped = catch(|| {
        // SAFETY: made by `Box::into_raw`, and this is the last call.
        drop(unsafe { Box::from_raw(container.cast::<ContainerAdapter<C>>()) });
        Ok(())
    });
    if let Err(status) = dropped {
        crate::log(LogLevel::Error, format_args!("dropping a container {}", status.message()));
    }
}

/// # Safety
///
/// Both are null or valid, and the name is zero-terminated.
pub(crate) unsafe fn identity(
    pool_id: *const chi_pool_id,
    pool_name: *const c_char,
) -> Result<Identity> {
    if pool_id.is_null() || pool_name.is_null() {
        return Err(Status::invalid("the id or the name of the container's pool is null"));
    }
    // SAFETY: not null, hence valid.
    let (id, name) = unsafe { (*pool_id, CStr::from_ptr(pool_name)) };
    let (container_id, container_count) = number_and_count();
    let pool_name = name.to_str()?.to_owned();
    Ok(Identity { pool_id: id.into(), pool_name, container_id, container_count })
}

/// The number of the container that is being built, and how many the pool has. With ABI 1.0, which
/// has only single containers, 0 and 1.
fn number_and_count() -> (u32, u32) {
    let (mut id, mut count) = (0, 1);
    let known = host().is_some_and(|host| {
        // SAFETY: the table is as long as its size says.
        let function = unsafe { read_field!(host, chi_host, container_id) };
        // SAFETY: the table is valid; both pointers are to local variables.
        function.is_some_and(|function| unsafe { function(host, &mut id, &mut count) } == CHI_OK)
    });
    if known {
        (id, count)
    } else {
        (0, 1)
    }
}

fn not_created(what: &str) -> Status {
    Status::new(CHI_INTERNAL, format!("the container got {what} before kCreate succeeded"))
}

/// How the container is saved and loaded.
fn form<C: Container>() -> Result<StateForm<C>> {
    C::STATE.ok_or_else(|| Status::new(CHI_UNSUPPORTED, "the container has no state"))
}

fn no_method(method: u32) -> Status {
    Status::new(CHI_NO_METHOD, format!("the module has no method {method}"))
}

fn unsupported(name: &CStr) -> Status {
    Status::new(CHI_UNSUPPORTED, format!("{} is not supported", name.to_string_lossy()))
}
