//! A fault as its signal's handler sees it: what happened, and the registers of the interrupted
//! code.

/// A fault whose handler is running.
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

    /// The fault's signal.
    pub(crate) fn signal(&self) -> libc::c_int {
        self.signal
    }

    /// Whether the signal was sent, rather than caused by an instruction.
    pub(crate) fn is_sent(&self) -> bool {
        // SAFETY: by the promise of `new`.
        unsafe { (*self.info).si_code <= 0 }
    }

    /// The process that sent the signal, if it was sent.
    pub(super) fn sender(&self) -> Option<libc::pid_t> {
        // SAFETY: by the promise of `new`; the information of a signal that was sent has this
        // field.
        self.is_sent().then(|| unsafe { (*self.info).si_pid() })
    }

    /// The address that was accessed, or for SIGFPE and SIGILL the address of the instruction;
    /// `None` if the signal was sent or the address is not known.
    pub(crate) fn address(&self) -> Option<usize> {
        /// From the kernel's include/uapi/asm-generic/siginfo.h: the address is not known.
        const SI_KERNEL: libc::c_int = 0x80;
        let has_address =
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL].contains(&self.signal);
        // SAFETY: by the promise of `new`; the information of these signals has an address.
        unsafe {
            let known = has_address && !self.is_sent() && (*self.info).si_code != SI_KERNEL;
            known.then(|| (*self.info).si_addr() as usize)
        }
    }

    /// Whether this is an access that the mapping does not allow, rather than one where nothing is
    /// mapped.
    pub(super) fn is_denied(&self) -> bool {
        /// From the kernel's include/uapi/asm-generic/siginfo.h.
        const SEGV_ACCERR: libc::c_int = 2;
        // SAFETY: by the promise of `new`.
        self.signal == libc::SIGSEGV && unsafe { (*self.info).si_code == SEGV_ACCERR }
    }

    /// The registers of the interrupted code.
    pub(crate) fn context(&mut self) -> &mut libc::ucontext_t {
        // SAFETY: by the promise of `new`; only the handler uses the context while it runs.
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

    /// Changes the registers from those at the first instruction of a function to those at its
    /// call.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn leave_callee(&mut self) {
        let registers = &mut self.context().uc_mcontext.gregs;
        let sp = registers[libc::REG_RSP as usize];
        // SAFETY: the call has just pushed the return address there. If this was a jump, the word
        // is something else; and if the stack is not mapped, this faults, which last words
        // tolerate.
        let back = unsafe { (sp as *const usize).read() };
        registers[libc::REG_RSP as usize] = sp + 8;
        registers[libc::REG_RIP as usize] = back.wrapping_sub(1) as i64;
    }

    /// Changes the registers from those at the first instruction of a function to those at its
    /// call.
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
