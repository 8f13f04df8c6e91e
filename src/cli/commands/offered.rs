//! `chimaera pool grow` and `chimaera pool compact`: methods that a module offers under certain names.

use std::cell::Cell;
use std::mem::size_of;
use std::time::Duration;

use chimaera::{DomainQuery, NewTask, PoolId, Task};
use chimaera_abi::{CHI_DESCRIBE_MODULES, CHI_DESCRIBE_POOLS};
use serde_json::{json, Value};

use crate::context::{Context, Failed, Outcome};

/// `kGrow`, of any module: its fields have other names there.
#[chimaera::task(description = 0)]
struct GrowTask {
    #[chi(in)]
    size: Cell<u64>,
    #[chi(out)]
    total: Cell<u64>,
}

/// `kCompact`, of any module.
#[chimaera::task(description = 0)]
struct CompactTask {
    #[chi(out)]
    freed: Cell<u64>,
}

/// Makes a pool larger.
pub(super) fn grow(context: &Context, pool: &str, size: u64, bound: Duration) -> Outcome {
    let task: NewTask<GrowTask> = new_task(context, pool, "kGrow", "grow")?;
    task.size.set(size);
    task.base().set_deadline(bound);
    let total = task.call()?.total.get();
    if !context.print_json(&json!({ "name": pool, "size": total })) {
        crate::context::print(&format!("'{pool}' has a size of {total} now\n"));
    }
    Ok(())
}

/// Has a pool give back what it does not need.
pub(super) fn compact(context: &Context, pool: &str, bound: Duration) -> Outcome {
    let task: NewTask<CompactTask> = new_task(context, pool, "kCompact", "be compacted")?;
    task.base().set_deadline(bound);
    let freed = task.call()?.freed.get();
    if !context.print_json(&json!({ "name": pool, "freed_bytes": freed })) {
        crate::context::print(&format!("compacted '{pool}': {freed} bytes are free again\n"));
    }
    Ok(())
}

/// A task for the method with this name of the pool's module, which must take such tasks. `what` is what
/// the pool then does.
fn new_task<T: Task>(
    context: &Context,
    pool: &str,
    name: &str,
    what: &str,
) -> Result<NewTask<T>, Failed> {
    let pools = context.describe(CHI_DESCRIBE_POOLS)?;
    let found = array(&pools).find(|found| found["name"] == pool);
    let Some(found) = found else {
        return Err(Failed::Message(format!("there is no pool '{pool}'")));
    };
    let (module, version) = (&found["module"], &found["version"]);
    let modules = context.describe(CHI_DESCRIBE_MODULES)?;
    let own = array(&modules["loaded"]).filter(|other| other["name"] == *module);
    let runs_it = |used: &Value| used["name"] == pool && used["current"] == true;
    let own = own.filter(|other| array(&other["pools"]).any(runs_it));
    let methods = own.flat_map(|own| array(&own["methods"]));
    let mut offered =
        methods.filter(|method| method["name"] == name && method["supported"] == true);
    let module = module.as_str().unwrap_or_default();
    let Some(method) = offered.next() else {
        return Err(Failed::Message(format!(
            "pool '{pool}' cannot {what}: the module {module} offers no {name}"
        )));
    };
    if method["task_bytes"] != size_of::<T>() {
        let version = version.as_str().unwrap_or_default();
        return Err(Failed::Message(format!(
            "pool '{pool}' cannot {what}: {name} of the module {module} {version} takes other tasks than \
             docs/writing-modules.md says"
        )));
    }
    let number = method["number"].as_u64().and_then(|number| u32::try_from(number).ok());
    let (Some(number), Some(id)) = (number, id_of(found)) else {
        return Err(Failed::Message("the runtime's answer is not understood".into()));
    };
    context.connect()?;
    let ipc = chimaera::ipc()?;
    Ok(ipc.new_task(id, DomainQuery::dynamic(), number)?)
}

/// The id of a pool that is described so.
fn id_of(pool: &Value) -> Option<PoolId> {
    let (major, minor) = pool["id"].as_str()?.split_once('.')?;
    Some(PoolId::new(major.parse().ok()?, minor.parse().ok()?))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
