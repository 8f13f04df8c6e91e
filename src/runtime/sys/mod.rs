//! What the runtime needs of the operating system and the processor: signals, fences, parking,
//! mutexes. It owns the process's handlers of SIGBUS and SIGSEGV. It imports no other room.

pub(crate) mod membarrier;
pub(crate) mod mutex;
pub(crate) mod park;
pub(crate) mod segment_fault;
pub(crate) mod signal;
mod thread;

pub(crate) use self::mutex::lock;
pub(crate) use self::segment_fault::Guard;
pub(crate) use self::thread::or_abort;
