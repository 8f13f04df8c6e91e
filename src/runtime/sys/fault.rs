//! A fault, as a handler of its signal finds it: what happened, and the registers of the code that it
//! happened to.

/// A fault while its handler runs.
pub(crate) struct Fault {
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::ucontext_t,
}

impl Fault {
    /// # Safety
    /// The pointers must be what the kernel passed to the handler that is running.
    pub(super) unsafe fn new(
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        context: *mut libc::ucontext_t,
    ) -> Fault {
        Fault { signal, info, context }
    }

    /// Its signal.
    pub(crate) fn signal(&self) -> libc::c_int {
        self.signal
    }

    /// Whether somebody sent the signal, and no instruction brought it about.
    pub(crate) fn is_sent(&self) -> bool {
        // SAFETY: by the promise of `new`.
        unsafe { (*self.info).si_code <= 0 }
    }

    /// The process that sent it, when somebody did.
    pub(crate) fn sender(&self) -> Option<libc::pid_t> {
        // SAFETY: by the promise of `new`; a signal that was sent has a sender.
        self.is_sent().then(|| unsafe { (*self.info).si_pid() })
    }

    /// The address of the access that failed, or of the instruction; `None` when the signal was sent or the
    /// processor does not tell.
    pub(crate) fn address(&self) -> Option<usize> {
        /// From the kernel's include/uapi/asm-generic/siginfo.h: no more is known.
        const SI_KERNEL: libc::c_int = 0x80;
        let has_address =
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL].contains(&self.signal);
        // SAFETY: by the promise of `new`; these signals have an address.
        unsafe {
            let known = has_address && !self.is_sent() && (*self.info).si_code != SI_KERNEL;
            known.then(|| (*self.info).si_addr() as usize)
        }
    }

    /// The registers of the code that was interrupted.
    pub(crate) fn context(&mut self) -> &mut libc::ucontext_t {
        // SAFETY: by the promise of `new`; the handler is the only one to use them.
        unsafe { &mut *self.context }
    }

    /// The instruction.
    pub(crate) fn pc(&self) -> usize {
        self.pc_and_sp().0
    }

    /// The stack pointer.
    pub(crate) fn sp(&self) -> usize {
        self.pc_and_sp().1
    }

    /// Goes back from the beginning of a function, which is no code, to the call of it.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn leave_callee(&mut self) {
        let registers = &mut self.context().uc_mcontext.gregs;
        let sp = registers[libc::REG_RSP as usize];
        // SAFETY: the processor has just written the return address there, or whoever jumped has left the stack
        // as it was; the stack is there in both cases.
        let back = unsafe { (sp as *const usize).read() };
        registers[libc::REG_RSP as usize] = sp + 8;
        registers[libc::REG_RIP as usize] = back.wrapping_sub(1) as i64;
    }

    /// Goes back from the beginning of a function, which is no code, to the call of it.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn leave_callee(&mut self) {
        let registers = &mut self.context().uc_mcontext;
        registers.pc = registers.regs[30].wrapping_sub(4);
    }

    #[cfg(target_arch = "x86_64")]
    fn pc_and_sp(&self) -> (usize, usize) {
        // SAFETY: by the promise of `new`.
        let registers = unsafe { &(*self.context).uc_mcontext.gregs };
        (registers[libc::REG_RIP as usize] as usize, registers[libc::REG_RSP as usize] as usize)
    }

    #[cfg(target_arch = "aarch64")]
    fn pc_and_sp(&self) -> (usize, usize) {
        // SAFETY: by the promise of `new`.
        let registers = unsafe { &(*self.context).uc_mcontext };
        (registers.pc as usize, registers.sp as usize)
    }
}
