//! Each protection is taken away once, and the simulation has to notice.

use super::seeds::run_with;
use crate::guard::{break_one, Guard};

/// The largest number of seeds that may pass before a missing protection shows.
const SEEDS: u64 = 2_000;

/// The first seed that fails without a protection, and how.
fn found(guard: Guard) -> Option<(u64, String)> {
    break_one(Some(guard));
    let is_founded = guard != Guard::AskBeforeFounding;
    let fails = |seed| run_with(seed, is_founded, false).err().map(|what| (seed, what));
    let first = (1..=SEEDS).find_map(fails);
    break_one(None);
    first
}

#[test]
fn a_missing_protection_shows() {
    let wanted = std::env::var("CHI_GUARD").ok();
    let mut unnoticed = Vec::new();
    for guard in Guard::ALL {
        if wanted.as_ref().is_some_and(|wanted| *wanted != format!("{guard:?}")) {
            continue;
        }
        match found(guard) {
            Some((seed, what)) => eprintln!("{guard:?}: seed {seed}: {what}"),
            None => unnoticed.push(guard),
        }
    }
    assert!(unnoticed.is_empty(), "nothing shows without {unnoticed:?} in {SEEDS} seeds");
}
