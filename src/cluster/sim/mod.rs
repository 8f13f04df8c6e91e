//! A cluster in one thread, by a seed: simulated time, network, disks, clocks, pauses and deaths, a workload, and
//! an observer that knows the true time and everything else.

mod broken;
mod check;
mod clock;
mod faults;
mod host;
mod network;
mod random;
mod seeds;
mod workload;
mod world;

pub(crate) use random::Sequence;
