//! The container of `test:spread_rust`, of which pools have several.

use std::sync::atomic::{AtomicU32, Ordering};

use chimaera::module::{Init, MonitorContext, MonitorMode, Replica, RunContext};
use chimaera::{DomainQuery, Result, Status, Task};
use chimaera_test_spread_client::{
    GatherTask, Method, NapTask, Steer, SteerTask, WhereTask, FAULT,
};

static ALIVE: AtomicU32 = AtomicU32::new(0);

/// The container.
pub struct Runtime {
    number: u32,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[chimaera::container(name = "test:spread_rust")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        let number = init.container_id();
        // "fail N": container N fails.
        let text = std::str::from_utf8(init.params()).unwrap_or_default();
        if text.strip_prefix("fail ").is_some_and(|n| n.parse() == Ok(number)) {
            return Err(Status::new(FAULT, "told to fail"));
        }
        init.create_queue(number, 1)?;
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Ok(Runtime { number })
    }

    #[method(Method::WHERE, name = "kWhere")]
    fn here(&self, task: &WhereTask, ctx: &RunContext<'_>) -> Result<()> {
        assert_eq!(ctx.container_id(), self.number);
        task.container.set(self.number);
        task.count.set(ctx.container_count());
        task.alive.set(ALIVE.load(Ordering::Relaxed));
        task.depth.set(task.base().task_node().depth_);
        task.text.set(format!("{}{}", task.text.to_string()?, self.number))
    }

    #[method(Method::GATHER, name = "kGather")]
    fn gather(&self, task: &GatherTask) -> Result<()> {
        let number = self.number;
        if task.failing.get().checked_shr(number).unwrap_or(0) & 1 != 0 {
            return Err(Status::new(FAULT, "told to fail"));
        }
        if task.notes.to_strings(100)? != ["in"] || task.bytes.copy_to_vec()? != b"in" {
            return Err(Status::failed("another replica has written here"));
        }
        task.notes.set_all(&["?", "?"])?;
        task.bytes.set("??")?;
        task.sum.set(number.into());
        task.good.set(1);
        task.numbers.set(&[number])?;
        task.words.set_all(&[format!("{}{number}", task.text.to_string()?)])
    }

    #[aggregate(Method::GATHER)]
    fn aggregate_gather(&self, task: &GatherTask, replica: &Replica<'_, GatherTask>) -> Result<()> {
        if replica.is_first() {
            task.sum.set(0);
            task.good.set(0);
            task.numbers.set(&[])?;
            task.words.set_all::<&str>(&[])?;
        }
        if task.stumble.get() == replica.container_id() + 1 {
            return Err(Status::new(FAULT, "stumbled"));
        }
        if let Err(status) = replica.outcome() {
            assert_eq!((status.code(), status.message()), (FAULT, "told to fail"));
            if task.lenient.get() != 0 {
                replica.forgive();
            }
            return Ok(());
        }
        task.sum.set(task.sum.get() + replica.sum.get());
        task.good.set(task.good.get() + 1);
        let mut numbers = task.numbers.copy_to_vec()?;
        numbers.extend(replica.numbers.copy_to_vec()?);
        task.numbers.set(&numbers)?;
        let mut words = task.words.to_strings(usize::MAX)?;
        words.extend(replica.words.to_strings(usize::MAX)?);
        task.words.set_all(&words)
    }

    #[method(Method::STEER, name = "kSteer")]
    fn steer(&self, task: &SteerTask) {
        task.container.set(self.number);
    }

    #[monitor(Method::STEER)]
    fn monitor_steer(&self, mode: MonitorMode, task: &SteerTask, ctx: &mut MonitorContext<'_>) {
        if mode != MonitorMode::GlobalSchedule {
            return;
        }
        task.asked.set(ctx.container_id() + 1);
        let value = task.value.get();
        let query = match task.how.get() {
            Steer::LEAVE => return,
            Steer::TO_ID => DomainQuery::local_id(value),
            Steer::TO_HASH => DomainQuery::global_hash(value),
            Steer::EVERYWHERE => DomainQuery::global_bcast(),
            Steer::NONSENSE => {
                DomainQuery::from(chimaera::abi::chi_domain_query { kind_: 77, value_: value })
            }
            _ => panic!("lost"),
        };
        task.base().set_domain_query(query);
    }

    #[method(Method::NAP, name = "kNap")]
    fn nap(&self, task: &NapTask, ctx: &RunContext<'_>) -> Result<()> {
        let text = task.text.to_string()?;
        for _ in 0..task.times.get() {
            ctx.yield_now()?;
            if task.text.to_string()? != text {
                return Err(Status::failed("the text has changed"));
            }
        }
        Ok(())
    }
}
