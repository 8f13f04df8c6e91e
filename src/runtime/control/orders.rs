//! What people want of the cluster. The cluster's thread does it, and the control thread passes the answers on.

use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::Message;

use super::work::Slot;
use crate::access::Caller;
use crate::admin::destruction;
use crate::failure::Failure;
use crate::pool::Lookup;
use crate::scheduler::{Order, Shared};
use crate::sys::lock;

/// How often to look for answers.
const LOOK: Duration = Duration::from_millis(2);

/// The connections that wait for an answer.
#[derive(Default)]
pub(super) struct Orders(Vec<(u64, Slot<serde_json::Value>)>);

/// Whether a message is for the cluster.
pub(super) fn is_asked_for(shared: &Shared, message: &Message) -> bool {
    let destroys = message.words[0] == Request::DestroyPool as u64;
    message.words[0] == Request::Cluster as u64 || (destroys && shared.agreed_pools.get().is_some())
}

fn order_of(shared: &Shared, caller: &Caller, message: &Message) -> Result<Order, Failure> {
    if message.words[0] == Request::DestroyPool as u64 {
        let name = message.text.clone();
        if let Lookup::Found(pool) = shared.pools.find(&name, None) {
            destruction::check(shared, pool.id, Some(caller))?;
        }
        return Ok(Order::Destroy(name));
    }
    caller.must_be_owner("change the cluster")?;
    let words: Vec<&str> = message.text.split('\0').collect();
    let own = |text: &&str| (*text).to_owned();
    match &*words {
        ["join", address] => match address.parse() {
            Ok(address) => Ok(Order::Join(address)),
            Err(_) => Err(Failure::new(CHI_INVALID, format!("\"{address}\" is no address"))),
        },
        ["drain", node] => Ok(Order::Drain(own(node))),
        ["remove", node] => Ok(Order::Remove(own(node))),
        ["recover", pool, number] => match number.parse() {
            Ok(number) => Ok(Order::GiveUp(own(pool), number)),
            Err(_) => Err(Failure::new(CHI_INVALID, format!("\"{number}\" is no container"))),
        },
        ["move", pool, number, node] => match number.parse() {
            Ok(number) => Ok(Order::Move(own(pool), number, own(node))),
            Err(_) => Err(Failure::new(CHI_INVALID, format!("\"{number}\" is no container"))),
        },
        _ => {
            let message =
                "this runtime does not know what the request wants of the cluster; it may be older";
            Err(Failure::new(CHI_UNSUPPORTED, message))
        }
    }
}

impl Orders {
    /// Passes on what a message wants.
    pub(super) fn add(
        &mut self,
        client: u64,
        shared: &Shared,
        caller: &Caller,
        message: &Message,
    ) -> Result<(), Failure> {
        let order = order_of(shared, caller, message)?;
        let Some(cluster) = shared.agreed_pools.get() else {
            let message =
                "this runtime is no node of a cluster: start it with `--listen` or `--join`";
            return Err(Failure::new(CHI_UNAVAILABLE, message));
        };
        let slot = Slot::default();
        let theirs = slot.clone();
        cluster.order(order, Box::new(move |answer| *lock(&theirs) = Some(answer)));
        self.0.push((client, slot));
        Ok(())
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        (!self.0.is_empty()).then(|| Instant::now() + LOOK)
    }

    /// The answers that there are.
    pub(super) fn advance(&mut self) -> Vec<(u64, Result<String, Failure>)> {
        let mut answers = Vec::new();
        self.0.retain(|(client, slot)| match lock(slot).take() {
            None => true,
            Some(answer) => {
                answers.push((*client, answer.map(|document| document.to_string())));
                false
            }
        });
        answers
    }
}
