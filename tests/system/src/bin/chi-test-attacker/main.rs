//! A hostile client, which speaks the wire protocol itself:
//!
//! ```text
//! chi-test-attacker segment SEED MILLISECONDS SEGMENT_BYTES   rewrites its segment as tasks run
//! chi-test-attacker socket SEED ROUNDS                        sends arbitrary messages
//! chi-test-attacker silent COUNT                              sends nothing until stdin ends
//! ```
//!
//! Whatever the runtime does in response, the attacker exits successfully as long as the runtime
//! is running and answers. It prints what it did as one JSON document.

mod segment;
mod socket;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<u64>().ok());
    let report = match (args.first().map(String::as_str), number(1), number(2), number(3)) {
        (Some("segment"), Some(seed), Some(ms), Some(size)) => {
            segment::attack(seed, Duration::from_millis(ms), size)
        }
        (Some("socket"), Some(seed), Some(rounds), None) => socket::attack(seed, rounds),
        (Some("silent"), Some(count), None, None) => socket::hold(count),
        _ => {
            eprintln!("wrong arguments: {args:?}");
            return ExitCode::from(2);
        }
    };
    println!("{report}");
    ExitCode::SUCCESS
}
