//! What the runtime needs from the operating system and the processor: signals, fences, parking,
//! mutexes; the available memory, and the budget taken from it. It owns the process's handlers of
//! fatal signals, what the process says before one of them ends it (`last_words`, with `backtrace`
//! and `objects` below it), the place where exceptions of a library's constructors end
//! (`constructors`), and memory that nobody may write to for a moment (`frozen`); which files others can change
//! (`trust`), files that are there whole or not at all (`whole_file`), and files in memory for other processes
//! (`sealed`). It imports no other room.

pub(crate) mod backtrace;
mod budget;
pub(crate) mod constructors;
pub(crate) mod demangle;
mod descriptors;
pub mod ends;
pub(crate) mod fault;
mod file_stamp;
mod floating_point;
pub(crate) mod frozen;
pub(crate) mod last_words;
pub(crate) mod membarrier;
mod memory;
pub(crate) mod mutex;
pub(crate) mod objects;
pub(crate) mod park;
mod passed;
mod process;
mod sealed;
pub(crate) mod segment_fault;
pub(crate) mod signal;
pub(crate) mod thread;
pub(crate) mod thread_state;
mod thrown;
pub(crate) mod trust;
mod unshared;
mod whole_file;

pub(crate) use self::budget::{Budget, Charge, Exhausted, Use};
pub(crate) use self::descriptors::Descriptors;
pub(crate) use self::file_stamp::FileStamp;
pub(crate) use self::floating_point::FloatingPoint;
pub(crate) use self::frozen::Frozen;
pub(crate) use self::memory::{available, has_addresses_for, limit_of, own_memory, MemorySource};
pub(crate) use self::mutex::lock;
pub(crate) use self::passed::{refuse_descriptors, set_option, SO_PASSRIGHTS};
pub(crate) use self::process::process_use;
pub(crate) use self::sealed::{open_sealed, write_sealed};
pub(crate) use self::segment_fault::Guard;
pub(crate) use self::thread::{caught, or_abort};
pub(crate) use self::thread_state::ThreadState;
pub(crate) use self::unshared::Unshared;
pub(crate) use self::whole_file::{sync_directory, write_whole};
