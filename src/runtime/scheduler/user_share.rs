//! How many tasks each session may have in flight, so that the sessions of one user, or of one
//! process, together stay within the limit.

/// A session may always have this many, so that other sessions of its user cannot keep it out.
const LEAST: usize = 64;
/// The limit if the session's worker time is limited: tasks in flight go on while it is paused.
pub(super) const MOST_OF_LIMITED_TIME: usize = LEAST;

/// Divides a limit among the sessions that share it, which have these numbers of tasks in flight. Of the
/// room that they leave, half is divided evenly, so that a session that has been idle may begin at
/// once; the other half goes to the busy ones.
pub(super) fn divide(in_flight: &[usize], limit: usize) -> impl Iterator<Item = usize> + '_ {
    let is_busy = |has: usize| has >= LEAST / 2;
    let room = limit.saturating_sub(in_flight.iter().sum());
    let busy = in_flight.iter().filter(|has| is_busy(**has)).count();
    let (even, more) = (room / 2 / in_flight.len().max(1), room / 2 / busy.max(1));
    let share = move |&has: &usize| has + even + if is_busy(has) { more } else { 0 };
    in_flight.iter().map(move |has| share(has).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(in_flight: &[usize], limit: usize) -> Vec<usize> {
        divide(in_flight, limit).collect()
    }

    #[test]
    fn the_busy_have_what_the_idle_leave() {
        assert_eq!(shares(&[0, 0, 0, 0], 800), [100; 4]);
        assert_eq!(shares(&[0, 0, 0, 400], 800), [64, 64, 64, 650]);
        assert_eq!(shares(&[300, 0, 0, 300], 800), [375, 64, 64, 375]);
        assert_eq!(shares(&[0, 800], 800), [64, 800], "nothing is taken away");
        assert_eq!(shares(&[700], 800), [800]);
        assert!(shares(&[], 800).is_empty());
    }

    #[test]
    fn together_they_stay_within_the_limit_and_what_each_may_always_have() {
        for limit in [256, 1000, 262_144] {
            let mut has = Vec::new();
            for round in 0..200 {
                // Another session joins, and every second one takes all it may.
                has.push(0);
                let may = shares(&has, limit);
                for (has, may) in has.iter_mut().zip(may).skip(round % 2).step_by(2) {
                    *has = may.max(*has);
                }
                let all: usize = has.iter().sum();
                assert!(all <= limit + has.len() * LEAST, "{limit} {round}: {all}");
            }
        }
    }
}
