//! Tasks of C++ modules, for Rust clients.

/// `example:mod_name`.
pub mod mod_name {
    use std::cell::Cell;

    use chimaera::ShmBytes;

    /// The module's name.
    pub const MODULE: &str = "example:mod_name";
    /// Method: `CompressTask`.
    pub const COMPRESS: u32 = 10;
    /// Method: `DecompressTask`.
    pub const DECOMPRESS: u32 = 11;

    /// Compresses bytes into one zstd frame.
    #[chimaera::task]
    pub struct CompressTask {
        /// In: the zstd level; 0 means 3.
        pub level: Cell<i32>,
        reserved: u32,
        /// In.
        pub data: ShmBytes,
        /// Out: the frame.
        pub output: ShmBytes,
    }

    /// Decompresses zstd frames.
    #[chimaera::task]
    pub struct DecompressTask {
        /// In: the limit for the decompressed bytes; more are refused.
        pub max_size: Cell<u64>,
        /// In: the frames.
        pub data: ShmBytes,
        /// Out.
        pub output: ShmBytes,
    }
}

/// `test:model`, and `test:rust_model`.
pub use chimaera_test_model_client as model;

/// `test:events`, and `test:rust_events`.
pub use chimaera_test_model_client::events;

/// `test:published`.
pub mod published {
    use std::cell::Cell;

    use chimaera::{ShmBytes, ShmVec};

    /// The module's name.
    pub const MODULE: &str = "test:published";
    /// Method: keeps `input` as value `number`.
    pub const PUT: u32 = 10;
    /// Method: lends value `number` as `out`.
    pub const GET: u32 = 11;
    /// Method: gets it from itself, with another task, and passes it on.
    pub const RELAY: u32 = 12;
    /// Method: lends all values, each as a part.
    pub const PARTS: u32 = 13;
    /// Method: lends a value as if it were a vector of vectors.
    pub const WRONG: u32 = 14;
    /// Method: sends itself value `number` on loan, as value `number` + 1.
    pub const SEND: u32 = 15;
    /// Method: lends value `number`, and then assigns `input` instead.
    pub const TWICE: u32 = 16;

    /// The task of all methods.
    #[chimaera::task]
    pub struct ValueTask {
        /// In.
        pub number: Cell<u64>,
        /// In.
        pub input: ShmBytes,
        /// Out.
        pub out: ShmBytes,
        /// Out.
        pub parts: ShmVec<ShmBytes>,
    }
}

/// `test:crash`.
pub mod crash {
    use std::cell::Cell;

    /// The module's name.
    pub const MODULE: &str = "test:crash";

    /// Method: makes the mistake `mistake`, `depth` calls deep, through the library `through`.
    pub const CRASH: u32 = 10;
    /// Method: its monitor makes the mistake.
    pub const MONITORED: u32 = 11;
    /// Method: its `Del` makes the mistake.
    pub const DELETED: u32 = 12;
    /// Method: a poller that it arms makes the mistake.
    pub const POLLED: u32 = 13;
    /// Method: returns `mistake`.
    pub const HEALTH: u32 = 14;
    /// Method: suspends itself for `mistake` nanoseconds.
    pub const SLEEP: u32 = 15;
    /// Method: recurses `depth` levels deep in the way `mistake`.
    pub const RECURSE: u32 = 16;
    /// Method: a thread of the module's own makes the mistake.
    pub const THREAD: u32 = 17;
    /// Method: suspends itself for `mistake` nanoseconds, and returns an address on its stack, or if
    /// `depth` is not 0, the one where the last `RECURSE` began.
    pub const STACK: u32 = 18;

    /// Mistakes that cause hardware exceptions, with the signal of each.
    pub const FAULTS: [(u64, &str); 7] = [
        (1, "SIGSEGV"),
        (2, "SIGSEGV"),
        (3, "SIGBUS"),
        (4, "SIGFPE"),
        (5, "SIGILL"),
        (6, "SIGSEGV"),
        (7, "SIGSEGV"),
    ];
    /// `abort`.
    pub const ABORT: u64 = 20;
    /// Mistakes after which the C library aborts: `abort`, `std::terminate`, a throw from
    /// `noexcept`, one from a destructor, a double free, `pthread_exit`.
    pub const ABORTS: [u64; 6] = [ABORT, 21, 22, 23, 24, 25];
    /// `strlen` of a null pointer.
    pub const LIBC_READ: u64 = 26;
    /// `exit(0)`, `exit(7)`, `quick_exit(0)`, `_exit(0)`.
    pub const EXITS: [u64; 4] = [27, 28, 29, 30];

    /// Starts a timer whose signal ends the process.
    pub const ALARM: u64 = 31;
    /// Ends its thread by a system call.
    pub const THREAD_EXIT: u64 = 32;
    /// Blocks its worker for `depth` milliseconds.
    pub const BLOCK: u64 = 40;
    /// Forks a child that lives for `depth` milliseconds and executes no program.
    pub const FORK: u64 = 41;
    /// Makes an object of its worker's thread whose destructor does not return.
    pub const STUCK_AT_EXIT: u64 = 42;
    /// Ignores the signals that stop a process, and then restores their default actions.
    pub const SIGNALS: u64 = 43;
    /// Starts a thread of the module's own that never ends.
    pub const STUCK_THREAD: u64 = 44;
    /// Makes a static object whose destructor does not return.
    pub const STUCK_STATIC: u64 = 45;
    /// A static object whose destructor writes to address 8.
    pub const CRASH_STATIC: u64 = 46;
    /// Makes an object of its worker's thread whose destructor writes to address 8.
    pub const CRASH_AT_EXIT: u64 = 47;
    /// Forks a child that writes to address 8, and waits for it.
    pub const FORK_AND_FAULT: u64 = 48;
    /// Two threads of the module's own call `exit(0)` at the same time.
    pub const EXIT_TWICE: u64 = 49;
    /// Blocks all signals, and writes to address 8.
    pub const BLOCKED_FAULT: u64 = 50;
    /// A thread that is created while all signals are blocked writes to address 8.
    pub const BLOCKED_THREAD: u64 = 51;
    /// The stack of a thread of the module's own overflows.
    pub const OVERFLOW_THREAD: u64 = 52;
    /// Makes an object of its worker's thread in whose destructor the stack overflows.
    pub const OVERFLOW_AT_EXIT: u64 = 53;
    /// Makes a static object in whose destructor the stack overflows.
    pub const OVERFLOW_STATIC: u64 = 54;
    /// Blocks the signal of the fault by an old function, and writes to address 8: `sighold`, `sigset`, `sigblock`,
    /// `sigsetmask`.
    pub const HELD_FAULTS: std::ops::RangeInclusive<u64> = 61..=64;
    /// A handler writes to address 8 that runs while `ppoll` waits with all other signals blocked.
    pub const PPOLL: u64 = 65;
    /// As `PPOLL`, for `pselect`.
    pub const PSELECT: u64 = 66;
    /// As `PPOLL`, for `epoll_pwait`.
    pub const EPOLL_PWAIT: u64 = 67;
    /// As `PPOLL`, for `epoll_pwait2`.
    pub const EPOLL_PWAIT2: u64 = 68;
    /// As `PPOLL`, for `sigsuspend`.
    pub const SIGSUSPEND: u64 = 69;
    /// A thread whose attributes block all signals writes to address 8.
    pub const BLOCKED_BY_ATTRIBUTES: u64 = 70;
    /// A context (`swapcontext`) that blocks all signals writes to address 8.
    pub const BLOCKED_CONTEXT: u64 = 71;
    /// Ignores SIGSEGV, and writes to address 8.
    pub const IGNORED_FAULT: u64 = 73;
    /// The stack of a thread overflows that `thrd_create` has made.
    pub const OVERFLOW_THRD: u64 = 72;
    /// Sends the process SIGQUIT.
    pub const QUIT: u64 = 77;
    /// Sends the process SIGTERM.
    pub const TERMINATE: u64 = 78;
    /// Sends the process SIGHUP.
    pub const HANG_UP: u64 = 81;
    /// Calls `daemon`, which must be refused.
    pub const DAEMON: u64 = 79;
    /// Opens files until no descriptor is left.
    pub const OPEN_ALL: u64 = 80;
    /// As `PPOLL`, for the `sigpause` of BSD.
    pub const SIGPAUSE: u64 = 76;
    /// A thread of a timer writes to address 8.
    pub const TIMER: u64 = 74;
    /// The stack of a thread of a timer overflows.
    pub const OVERFLOW_TIMER: u64 = 75;
    /// Sets the default action of SIGPIPE.
    pub const PIPE_SIGNAL: u64 = 55;
    /// A thread of the module's own that has cancelled itself writes to address 8.
    pub const CANCELLED_FAULT: u64 = 56;
    /// A signal handler during which all signals are blocked writes to address 8.
    pub const MASKED_HANDLER: u64 = 57;
    /// Calls `_exit(0)` in a handler of `exit`.
    pub const LEAVE_AT_EXIT: u64 = 58;
    /// Calls `exit(0)` in a handler of `exit`.
    pub const EXIT_AT_EXIT: u64 = 59;
    /// Calls `quick_exit(0)` in a handler of `exit`.
    pub const QUICK_EXIT_AT_EXIT: u64 = 60;

    /// Ways to recurse: directly; with an `snprintf`, a `malloc` or a call of the runtime at each
    /// level; in a library with frames of 340 KiB; through the C library's `qsort`.
    pub const PLAIN: u64 = 0;
    /// See [`PLAIN`].
    pub const PRINTF: u64 = 1;
    /// See [`PLAIN`].
    pub const MALLOC: u64 = 2;
    /// See [`PLAIN`].
    pub const HOST: u64 = 3;
    /// See [`PLAIN`].
    pub const LIBRARY: u64 = 4;
    /// See [`PLAIN`].
    pub const CALLBACK: u64 = 5;

    /// The mistake is made in the module's own code.
    pub const IN_MODULE: u64 = 0;
    /// In a callback of a library that the module links.
    pub const IN_LINKED: u64 = 1;
    /// In a callback of the C library.
    pub const IN_LIBC: u64 = 2;
    /// In a poller that the poller of `POLLED` adds.
    pub const IN_POLLER: u64 = 3;
    /// In the monitor of a task that it sends.
    pub const IN_MONITOR: u64 = 4;
    /// In a thread of `THREAD` that has the name of its worker.
    pub const UNNAMED: u64 = 5;

    /// The task of all methods.
    #[chimaera::task]
    pub struct CrashTask {
        /// In.
        pub mistake: Cell<u64>,
        /// In.
        pub depth: Cell<u64>,
        /// In.
        pub through: Cell<u64>,
        /// Out.
        pub result: Cell<u64>,
    }
}

/// `test:throws_method`.
pub mod throws {
    use std::cell::Cell;

    use chimaera::ShmBytes;

    /// The module's name.
    pub const MODULE: &str = "test:throws_method";
    /// Method: `PlainTask`; throws `std::runtime_error`.
    pub const THROW: u32 = 10;
    /// Method: `PlainTask`; throws 42.
    pub const THROW_INT: u32 = 11;
    /// Method: `NumberTask`; blocks its worker for this many nanoseconds.
    pub const SLEEP: u32 = 12;
    /// Method: `EchoTask`.
    pub const ECHO: u32 = 13;
    /// Method: `NumberTask`; yields this many times.
    pub const YIELD: u32 = 14;
    /// Method: declared as unsupported.
    pub const UNSUPPORTED: u32 = 15;
    /// Method: `EchoTask`; without bytes, returns the number of the client that sent it. Of the client whose
    /// number the bytes are, says whether it is there (1), gone (2) or neither (0).
    pub const SENDER: u32 = 16;

    /// Method: `EchoTask`; returns how many `YIELD` have begun, and how many have ended in whatever
    /// way.
    pub const RUNS: u32 = 17;
    /// Method: `PlainTask`; deletes subtasks twice, one before and one after it has run.
    pub const DELETE_TWICE: u32 = 20;
    /// Method: `PlainTask`; throws an exception whose text is null.
    pub const THROW_MUTE: u32 = 19;
    /// Method: `NumberTask`; calls `SLEEP` of the pool that its own pool's parameters name.
    pub const FLUSH: u32 = 18;

    /// A task without fields.
    #[chimaera::task]
    pub struct PlainTask;

    /// A task with a number.
    #[chimaera::task]
    pub struct NumberTask {
        /// In.
        pub value: Cell<u64>,
    }

    /// A task that returns its bytes.
    #[chimaera::task]
    pub struct EchoTask {
        /// In.
        pub data: ShmBytes,
        /// Out: the same bytes.
        pub output: ShmBytes,
    }
}

/// `test:state`, `test:state_own`, the same with its own C++ runtime library, and
/// `test:state_libcxx`, with libc++.
pub mod state {
    use std::cell::Cell;

    /// The module's name.
    pub const MODULE: &str = "test:state";
    /// The name of the module with its own C++ runtime library.
    pub const OWN: &str = "test:state_own";
    /// The name of the module with libc++.
    pub const LIBCXX: &str = "test:state_libcxx";

    /// Method: sets `what` and leaves it set; the result says whether it is set.
    pub const SET: u32 = 10;
    /// Method: sets `what` and sleeps; the result says whether it is still set.
    pub const KEEP: u32 = 11;
    /// Method: the result says whether `what` is set.
    pub const LOOK: u32 = 12;
    /// Method: throws `what`, sleeps while it is caught, and returns what it rethrows.
    pub const CATCH: u32 = 13;
    /// Method: sets `what`, and calls a method whose monitor must not see it set, and sets it too;
    /// the result is as for `KEEP`.
    pub const ASK: u32 = 14;
    /// Method: sets `what` and crashes.
    pub const CRASH: u32 = 16;
    /// Method: throws an object of kind `what`.
    pub const THROWN: u32 = 17;
    /// Method: blocks all signals around a wait, and unblocks them.
    pub const MASK: u32 = 18;
    /// Method: the result says whether a child process may change its own directory and umask.
    pub const CHILD: u32 = 19;
    /// Method: closes the listening socket (0), or all descriptors except the standard ones (1), gives the number
    /// of each epoll (2) or eventfd (3) to a new one, or shuts the listening socket down (4).
    pub const CLOSE: u32 = 20;

    /// Floating-point control on x86: rounding, denormals, precision of the x87, traps.
    pub const FLOATING_POINT: [u64; 4] = [0, 1, 2, 3];
    /// The direction of string instructions.
    pub const DIRECTION: u64 = 4;
    /// `errno`.
    pub const ERRNO: u64 = 5;
    /// The signals that are blocked.
    pub const SIGNALS: u64 = 6;
    /// The thread's locale.
    pub const THREAD_LOCALE: u64 = 7;
    /// The process's locale.
    pub const LOCALE: u64 = 8;
    /// The process's umask.
    pub const UMASK: u64 = 9;
    /// The working directory.
    pub const DIRECTORY: u64 = 10;
    /// The stack for signal handlers.
    pub const SIGNAL_STACK: u64 = 11;
    /// Whether an exception is being thrown or handled.
    pub const UNCAUGHT: u64 = 12;
    /// The signals that are blocked, by `sighold`.
    pub const HELD_SIGNAL: u64 = 13;
    /// The signals that are blocked, by `sigset`.
    pub const SIGNAL_SET: u64 = 14;

    /// The task of all methods.
    #[chimaera::task]
    pub struct StateTask {
        /// In.
        pub what: Cell<u64>,
        /// In: nanoseconds.
        pub sleep: Cell<u64>,
        /// Out.
        pub result: Cell<u64>,
    }
}
