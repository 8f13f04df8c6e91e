//! The recording of traces.

use chimaera_abi::{CHI_EXISTS, CHI_INVALID, CHI_NO_METHOD, CHI_NO_POOL, CHI_UNAVAILABLE};
use chimaera_metrics::{Trace, TraceRequest, TraceWanted};

use crate::failure::Failure;
use crate::metrics::Filter;
use crate::scheduler::Shared;

/// Does what a program asks of the recording of a trace.
pub(crate) fn trace(shared: &Shared, request: &TraceRequest) -> Result<Trace, Failure> {
    match request {
        TraceRequest::Begin(wanted) => begin(shared, wanted),
        TraceRequest::Read { recording, most } => read(shared, *recording, *most, false),
        TraceRequest::End { recording, most } => {
            let rest = read(shared, *recording, *most, true);
            shared.tell_measured();
            rest
        }
    }
}

fn begin(shared: &Shared, wanted: &TraceWanted) -> Result<Trace, Failure> {
    if let Some(number) = wanted.session {
        if !shared.sessions().iter().any(|session| session.number == number) {
            return Err(Failure::new(CHI_INVALID, format!("there is no session {number}")));
        }
    }
    let filter = filter(shared, wanted)?;
    // The one before it may have been forgotten while no worker was awake.
    let tracer = &shared.metrics.tracer;
    tracer.end_if_forgotten();
    let Some(recording) = tracer.begin(filter) else {
        return Err(Failure::new(CHI_EXISTS, "a trace is being recorded already"));
    };
    shared.tell_measured();
    read(shared, recording, 0, false)
}

fn read(shared: &Shared, recording: u64, most: usize, end: bool) -> Result<Trace, Failure> {
    shared.metrics.read_trace(recording, most, end).ok_or_else(|| {
        let why = "the recording has ended: nobody had asked for it for some seconds, or the runtime was restarted";
        Failure::new(CHI_UNAVAILABLE, why)
    })
}

fn filter(shared: &Shared, wanted: &TraceWanted) -> Result<Filter, Failure> {
    let mut filter = Filter { session: wanted.session, every: wanted.every, ..Filter::default() };
    let Some(name) = &wanted.pool else {
        return match wanted.method {
            Some(_) => Err(Failure::new(CHI_INVALID, "a method is one of a pool: name that, too")),
            None => Ok(filter),
        };
    };
    let table = shared.table();
    let named = table.iter().find(|pool| pool.name() == name);
    let pool = named
        .or_else(|| table.iter().find(|pool| pool.shown_id() == *name))
        .ok_or_else(|| Failure::new(CHI_NO_POOL, format!("there is no pool '{name}'")))?;
    filter.pool = Some(pool.id);
    if let Some(method) = &wanted.method {
        let number = method.parse().ok();
        let found =
            pool.methods.iter().find(|one| one.name == *method || Some(one.number) == number);
        let found = found.ok_or_else(|| {
            Failure::new(CHI_NO_METHOD, format!("pool '{name}' has no method '{method}'"))
        })?;
        filter.method = Some(found.number);
    }
    Ok(filter)
}
