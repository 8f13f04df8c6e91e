//! Histories of registers, recorded by clients in several processes, and whether there is an order in
//! which the operations could have taken place one at a time: whether they are linearizable.
//!
//! The search is that of Wing and Gong: of the operations of which none ended before it began, it tries each
//! as the next, and remembers which sets of operations with which values it has tried.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// How many places the search may visit for one register.
const MOST: usize = 500_000;

/// What an operation did to a register. Writers write values other than 0, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Found this value, or 0 for none.
    Read(u64),
    /// Wrote this value.
    Write(u64),
    /// Wrote this value, 0 for none, and learnt whether there was one.
    Exchange(u64, bool),
}

/// An operation that has taken place at some moment between two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number of the register.
    pub register: u64,
    /// The time before it was submitted, in nanoseconds of the system's monotonic clock.
    pub begin: u64,
    /// The time after it was seen to have ended.
    pub end: u64,
    /// What it did.
    pub what: What,
}

/// The system's monotonic clock, in nanoseconds. It is the same in all processes.
pub fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

impl fmt::Display for Event {
    /// As one line that can be parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, value) = match self.what {
            What::Read(value) => ('r', value),
            What::Write(value) => ('w', value),
            What::Exchange(value, false) => ('n', value),
            What::Exchange(value, true) => ('x', value),
        };
        write!(f, "{} {} {} {kind} {value}", self.register, self.begin, self.end)
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(line: &str) -> Result<Event, String> {
        let no_event = || format!("no event: {line}");
        let words: Vec<&str> = line.split(' ').collect();
        let [register, begin, end, kind, value] = words[..] else { return Err(no_event()) };
        let number = |text: &str| text.parse::<u64>().map_err(|_| no_event());
        let value = number(value)?;
        let what = match kind {
            "r" => What::Read(value),
            "w" => What::Write(value),
            "n" => What::Exchange(value, false),
            "x" => What::Exchange(value, true),
            _ => return Err(no_event()),
        };
        Ok(Event { register: number(register)?, begin: number(begin)?, end: number(end)?, what })
    }
}

impl What {
    /// The value after the operation, if it can take place when there is this value.
    fn applied_to(self, value: u64) -> Option<u64> {
        match self {
            What::Read(found) => (found == value).then_some(value),
            What::Write(new) => Some(new),
            What::Exchange(new, there) => (there == (value != 0)).then_some(new),
        }
    }
}

/// Which operations of a history have taken place, in order of their begin, and the value since.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    /// All before this one.
    low: usize,
    /// And these behind it, in order.
    above: Vec<usize>,
    value: u64,
}

impl Place {
    /// The operations that can be next: those that began before any other that is open ended.
    fn next(&self, history: &[Event]) -> Vec<usize> {
        let (mut next, mut first_end) = (Vec::new(), u64::MAX);
        for (at, event) in history.iter().enumerate().skip(self.low) {
            if event.begin > first_end {
                break;
            }
            if self.above.binary_search(&at).is_err() {
                next.push(at);
                first_end = first_end.min(event.end);
            }
        }
        next
    }

    /// The place after an operation.
    fn after(&self, at: usize, value: u64) -> Place {
        let mut after = Place { value, ..self.clone() };
        let place = after.above.binary_search(&at).unwrap_or_else(|place| place);
        after.above.insert(place, at);
        let done = (after.low..).zip(&after.above).take_while(|(low, at)| low == *at).count();
        after.above.drain(..done);
        after.low += done;
        after
    }
}

/// Checks the history of one register, which begins with this value. Errors: what could not have happened,
/// in words.
pub fn check_register(mut history: Vec<Event>, value: u64) -> Result<(), String> {
    history.sort_by_key(|event| (event.begin, event.end));
    let mut open = vec![Place { low: 0, above: Vec::new(), value }];
    let (mut seen, mut furthest) = (HashSet::new(), open[0].clone());
    while let Some(place) = open.pop() {
        if place.low == history.len() {
            return Ok(());
        }
        if place.low >= furthest.low {
            furthest = place.clone();
        }
        let next = place.next(&history);
        // A read that can be next changes nothing, so it need not be tried later.
        let read = next.iter().find(|at| history[**at].what == What::Read(place.value));
        let next = read.map_or(next.clone(), |at| vec![*at]);
        for at in next.into_iter().rev() {
            let after = history[at].what.applied_to(place.value);
            let after = after.map(|value| place.after(at, value));
            open.extend(after.filter(|after| seen.insert(after.clone())));
        }
        if seen.len() > MOST {
            return Err(format!("undecided after {MOST} places: too much happens at once"));
        }
    }
    let shown: Vec<String> =
        furthest.next(&history).iter().map(|at| format!("  {:?}", history[*at])).collect();
    Err(format!(
        "no order explains what was seen: after {} of {} operations the value is {:x}, and then\n{}",
        furthest.low,
        history.len(),
        furthest.value,
        shown.join("\n")
    ))
}

/// Checks the histories of registers that all begin with this value, each by itself.
pub fn check(events: &[Event], value: u64) -> Result<(), String> {
    let mut registers: Vec<u64> = events.iter().map(|event| event.register).collect();
    registers.sort_unstable();
    registers.dedup();
    registers.into_iter().try_for_each(|register| {
        let own = events.iter().filter(|event| event.register == register).copied().collect();
        check_register(own, value).map_err(|why| format!("register {register}: {why}"))
    })
}
