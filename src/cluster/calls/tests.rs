//! Both sides, without anything between them.

use std::time::Duration;

use super::{
    Admit, Answer, Call, CallNumber, Caller, Gate, NoSuchContainer, Outcome, Payload, Place,
    Release, Request, Route, Server, Verdict,
};
use crate::bounds::{Bounds, Instant};
use crate::effect::Effect;
use crate::ids::{BootId, ContainerId, Epoch, Life, NodeId, PoolId};
use crate::message::Message;

const ME: Life = Life { node: NodeId(1), boot: BootId(1) };
const NOW: Instant = Instant(1_000_000_000);

fn life(node: u64) -> Life {
    Life { node: NodeId(node), boot: BootId(1) }
}

fn container(number: u32) -> ContainerId {
    ContainerId { pool: PoolId(1), number }
}

/// Container 2 is on node 2, and so on; all is open, at epoch 5.
struct Fixed;

impl Route for Fixed {
    fn owner(&self, of: ContainerId) -> Result<(Option<Life>, Epoch), NoSuchContainer> {
        Ok((Some(life(u64::from(of.number))), Epoch(5)))
    }

    fn is_reachable(&self, _: Life) -> bool {
        true
    }

    fn is_over(&self, _: Life) -> bool {
        false
    }
}

impl Gate for Fixed {
    fn admit(&self, _: ContainerId, _: Epoch) -> Admit {
        Admit::Now
    }

    fn release(&self, _: ContainerId, _: Epoch) -> Release {
        Release::Now
    }
}

fn bounds() -> Bounds {
    Bounds { window: 2, queue: 3, ..Bounds::default() }
}

fn request(of: u32) -> Request {
    let (container, payload) = (container(of), vec![1, 2, 3].into());
    Request { container, idempotent: false, deadline: None, payload }
}

fn sent(effects: &mut Vec<Effect>) -> Vec<Place> {
    let place = |effect| match effect {
        Effect::Send { message: Message::Call(call), .. } => Some(call.place),
        _ => None,
    };
    effects.drain(..).filter_map(place).collect()
}

#[test]
fn a_stuck_node_holds_up_only_what_is_for_it() {
    let (bounds, mut caller, mut effects) = (bounds(), Caller::new(ME), Vec::new());
    for _ in 0..5 {
        caller.begin(&bounds, NOW, &Fixed, request(2), &mut effects);
    }
    let places = sent(&mut effects);
    assert_eq!(places.len(), 2, "as many as there are slots");
    let refused = caller.begin(&bounds, NOW, &Fixed, request(2), &mut effects);
    assert!(matches!(&effects[..], [Effect::CallEnded(of, Outcome::Busy)] if *of == refused));
    effects.clear();
    caller.begin(&bounds, NOW, &Fixed, request(3), &mut effects);
    assert_eq!(sent(&mut effects).len(), 1, "another node is not concerned");

    let verdict = Verdict::Done(vec![9].into());
    let answer = Answer { place: places[0], epoch: Epoch(5), verdict };
    caller.answer(&bounds, NOW, &Fixed, answer, &mut effects);
    assert!(matches!(&effects[0], Effect::CallEnded(CallNumber(1), Outcome::Done(_))));
    let next = sent(&mut effects);
    assert_eq!(next, [Place { turn: 2, ..places[0] }], "the slot goes to the next at once");
}

#[test]
fn a_call_without_a_word_ends() {
    let (bounds, mut caller, mut effects) = (bounds(), Caller::new(ME), Vec::new());
    let number = caller.begin(&bounds, NOW, &Fixed, request(2), &mut effects);
    let mut now = NOW;
    effects.clear();
    while now < NOW + bounds.silence {
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::CallEnded(..))));
        now = now + bounds.tick;
        caller.poll(&bounds, now, &Fixed, &mut effects);
    }
    // Its few bytes have a little more time.
    caller.poll(&bounds, now + bounds.tick, &Fixed, &mut effects);
    let ended = Outcome::NodeLost { may_have_run: true };
    assert!(effects
        .iter()
        .any(|effect| matches!(effect, Effect::CallEnded(of, outcome) if *of == number && *outcome == ended)));
}

/// A call that may run twice goes to the next owner, but not for ever: it may be what ends them.
#[test]
fn a_call_that_may_run_twice_is_sent_to_three_owners_at_most() {
    let (bounds, mut caller, mut effects) = (bounds(), Caller::new(ME), Vec::new());
    let request = Request { idempotent: true, ..request(2) };
    let number = caller.begin(&bounds, NOW, &Fixed, request, &mut effects);
    let mut sendings = Vec::new();
    let ended = loop {
        let end = effects.iter().find_map(|effect| match effect {
            Effect::CallEnded(of, outcome) if *of == number => Some(outcome.clone()),
            _ => None,
        });
        sendings.extend(sent(&mut effects));
        let (Some(last), None) = (sendings.last(), &end) else { break end };
        let answer = Answer { place: *last, epoch: Epoch(5), verdict: Verdict::MayHaveRun };
        caller.answer(&bounds, NOW, &Fixed, answer, &mut effects);
        caller.poll(&bounds, NOW, &Fixed, &mut effects);
    };
    assert_eq!(ended, Some(Outcome::NodeLost { may_have_run: true }));
    assert_eq!(sendings.len(), 3);
}

fn call(server: Life, slot: u32, turn: u64) -> Call {
    let place = Place { caller: ME, server, slot, turn };
    let (container, epoch) = (container(2), Epoch(5));
    let remaining = Some(Duration::from_secs(1));
    Call { place, container, epoch, remaining, payload: vec![1].into() }
}

fn verdicts(effects: &mut Vec<Effect>) -> Vec<Verdict> {
    let verdict = |effect| match effect {
        Effect::Send { message: Message::Answer(answer), .. } => Some(answer.verdict),
        _ => None,
    };
    effects.drain(..).filter_map(verdict).collect()
}

#[test]
fn a_server_runs_each_turn_once() {
    let (bounds, mut server, mut effects) = (bounds(), Server::new(life(2)), Vec::new());
    server.receive(&bounds, NOW, &Fixed, call(life(2), 0, 1), &mut effects);
    let Some(Effect::Start(start)) = effects.first().cloned() else { panic!("{effects:?}") };
    effects.clear();
    server.receive(&bounds, NOW, &Fixed, call(life(2), 0, 1), &mut effects);
    assert_eq!(verdicts(&mut effects), [Verdict::Working]);
    server.finished(&bounds, NOW, &Fixed, start.task, vec![9].into(), &mut effects);
    let done = [Verdict::Done(vec![9].into())];
    assert_eq!(verdicts(&mut effects), done);
    server.receive(&bounds, NOW, &Fixed, call(life(2), 0, 1), &mut effects);
    assert_eq!(verdicts(&mut effects), done, "the same answer again");
    server.receive(&bounds, NOW, &Fixed, call(life(2), 0, 2), &mut effects);
    assert!(matches!(effects.first(), Some(Effect::Start(_))));
    effects.clear();
    server.receive(&bounds, NOW, &Fixed, call(life(2), 0, 1), &mut effects);
    assert!(effects.is_empty(), "a turn that is over: {effects:?}");
    server.receive(&bounds, NOW, &Fixed, call(life(2), bounds.window, 1), &mut effects);
    assert!(effects.is_empty(), "a slot beyond the window: {effects:?}");
}

/// What takes long on its way is not sent again meanwhile, and a call that is known at its server is not sent whole.
#[test]
fn long_calls_and_answers_are_sent_once() {
    let large: Payload = vec![7; 64 << 20].into();
    let (bounds, mut caller, mut effects) = (bounds(), Caller::new(ME), Vec::new());
    let wanted = Request { payload: large.clone(), ..request(2) };
    caller.begin(&bounds, NOW, &Fixed, wanted, &mut effects);
    let sent = |effects: &mut Vec<Effect>| -> Vec<Call> {
        let call = |effect| match effect {
            Effect::Send { message: Message::Call(call), .. } => Some(call),
            _ => None,
        };
        effects.drain(..).filter_map(call).collect()
    };
    let first = sent(&mut effects);
    assert_eq!((first.len(), first[0].payload.len()), (1, large.len()));
    caller.poll(&bounds, NOW + bounds.silence, &Fixed, &mut effects);
    assert!(effects.is_empty(), "it is on its way: {effects:?}");
    let (place, epoch) = (first[0].place, first[0].epoch);
    let working = Answer { place, epoch, verdict: Verdict::Working };
    let later = NOW + bounds.takes(large.len()) + bounds.silence / 2;
    caller.answer(&bounds, later, &Fixed, working, &mut effects);
    caller.poll(&bounds, later + bounds.resend, &Fixed, &mut effects);
    let again = sent(&mut effects);
    assert_eq!((again.len(), again[0].place, again[0].payload.len()), (1, place, 0));

    let mut server = Server::new(life(2));
    server.receive(&bounds, NOW, &Fixed, call(life(2), 0, 1), &mut effects);
    let Some(Effect::Start(start)) = effects.pop() else { panic!("{effects:?}") };
    server.finished(&bounds, NOW, &Fixed, start.task, large.clone(), &mut effects);
    assert_eq!(verdicts(&mut effects), [Verdict::Done(large.clone())]);
    server.receive(&bounds, NOW + bounds.resend, &Fixed, call(life(2), 0, 1), &mut effects);
    assert_eq!(verdicts(&mut effects), [Verdict::Working]);
    let later = NOW + bounds.takes(large.len());
    server.receive(&bounds, later, &Fixed, call(life(2), 0, 1), &mut effects);
    assert_eq!(verdicts(&mut effects), [Verdict::Done(large)]);
}

#[test]
fn a_server_does_not_answer_for_its_former_life() {
    let me = Life { node: NodeId(2), boot: BootId(4) };
    let (bounds, mut server, mut effects) = (bounds(), Server::new(me), Vec::new());
    server.receive(&bounds, NOW, &Fixed, call(life(2), 0, 1), &mut effects);
    assert_eq!(verdicts(&mut effects), [Verdict::MayHaveRun]);
}
