//! How the processor rounds, and how it treats denormal numbers and arithmetic exceptions:
//! per-thread registers, which modules' code may set. The runtime's own code runs with the ABI's
//! defaults, and each method starts with them.

#[cfg(target_arch = "x86_64")]
use std::mem::MaybeUninit;

/// The registers of a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct FloatingPoint {
    /// MXCSR: control of SSE, and the exceptions that have occurred.
    #[cfg(target_arch = "x86_64")]
    sse: u32,
    /// The control word of the x87. The exceptions that have occurred there are in another
    /// register, which is left alone.
    #[cfg(target_arch = "x86_64")]
    x87: u16,
    /// FPCR.
    #[cfg(target_arch = "aarch64")]
    control: u64,
}

#[cfg(target_arch = "x86_64")]
impl FloatingPoint {
    /// <https://gitlab.com/x86-psABIs/x86-64-ABI>, "Registers": rounds to nearest, masks all
    /// exceptions, and does not flush denormal numbers.
    const DEFAULT: FloatingPoint = FloatingPoint { sse: 0x1f80, x87: 0x037f };
    /// The bits of MXCSR that say which exceptions have occurred.
    const OCCURRED: u32 = 0x3f;

    #[inline(always)]
    fn current() -> FloatingPoint {
        let mut found = MaybeUninit::<FloatingPoint>::uninit();
        // SAFETY: the instructions write only the two fields, at offsets 0 and 4; there are no
        // others.
        unsafe {
            std::arch::asm!(
                "stmxcsr [{0}]",
                "fnstcw [{0} + 4]",
                in(reg) found.as_mut_ptr(),
                options(nostack, preserves_flags)
            );
            found.assume_init()
        }
    }

    #[inline(always)]
    fn is_default(self) -> bool {
        self.sse & !FloatingPoint::OCCURRED == FloatingPoint::DEFAULT.sse
            && self.x87 == FloatingPoint::DEFAULT.x87
    }

    /// Sets the registers.
    fn set(self) {
        // Unmasking must not raise a pending exception, so those are cleared.
        // SAFETY: the values are defaults or were read from the registers, so no reserved bit is
        // set. The runtime keeps nothing in x87 registers, and `fnclex` leaves those alone.
        unsafe {
            std::arch::asm!(
                "fnclex",
                "fldcw [{0} + 4]",
                "ldmxcsr [{0}]",
                in(reg) &self,
                options(nostack, preserves_flags, readonly)
            );
        }
    }

    /// Sets the defaults, and empties the x87: code may have been abandoned in the middle of using
    /// it.
    #[cold]
    pub(crate) fn reset() {
        // SAFETY: this leaves the x87 as it is at the start of a thread, and the runtime keeps
        // nothing in it.
        unsafe { std::arch::asm!("fninit", options(nomem, nostack, preserves_flags)) };
        FloatingPoint::DEFAULT.set();
    }
}

#[cfg(target_arch = "aarch64")]
impl FloatingPoint {
    const DEFAULT: FloatingPoint = FloatingPoint { control: 0 };

    #[inline(always)]
    fn current() -> FloatingPoint {
        let control;
        // SAFETY: this only reads a register.
        unsafe {
            std::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack, preserves_flags))
        };
        FloatingPoint { control }
    }

    #[inline(always)]
    fn is_default(self) -> bool {
        self == FloatingPoint::DEFAULT
    }

    /// Sets the register.
    fn set(self) {
        // SAFETY: the value is the default or was read from the register.
        unsafe {
            std::arch::asm!("msr fpcr, {}", in(reg) self.control, options(nomem, nostack, preserves_flags))
        };
    }

    /// Sets the defaults.
    #[cold]
    pub(super) fn reset() {
        FloatingPoint::DEFAULT.set();
    }
}

impl FloatingPoint {
    /// Sets the defaults, after a module's code that may have changed them.
    #[inline(always)]
    pub(crate) fn restore() {
        if !FloatingPoint::current().is_default() {
            FloatingPoint::set_default();
        }
    }

    #[cold]
    fn set_default() {
        FloatingPoint::DEFAULT.set();
    }

    /// Sets the defaults, and returns what the interrupted code of a module had set.
    #[inline(always)]
    pub(crate) fn set_aside() -> FloatingPoint {
        let own = FloatingPoint::current();
        if !own.is_default() {
            FloatingPoint::set_default();
        }
        own
    }

    /// Restores what was set aside, for the code that continues.
    #[inline(always)]
    pub(crate) fn put_back(self) {
        if FloatingPoint::current() != self {
            self.set();
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_comes_back() {
        FloatingPoint::reset();
        // Rounds up, flushes denormal numbers, and has seen an inexact result.
        let own = FloatingPoint { sse: 0x1f80 | 0x4000 | 0x8000 | 0x20, x87: 0x0b7f };
        own.set();
        let kept = FloatingPoint::set_aside();
        assert!(kept == own);
        assert!(FloatingPoint::current().is_default());
        kept.put_back();
        assert!(FloatingPoint::current() == own);
        FloatingPoint::restore();
        assert!(FloatingPoint::current() == FloatingPoint::DEFAULT);
    }

    #[test]
    fn an_exception_that_occurred_is_not_raised() {
        FloatingPoint::reset();
        let (one, three): (f64, f64) = std::hint::black_box((1.0, 3.0));
        std::hint::black_box(one / three);
        assert!(FloatingPoint::current() != FloatingPoint::DEFAULT);
        assert!(FloatingPoint::current().is_default());
        // With no exception masked.
        FloatingPoint { sse: 0x20, x87: 0x0340 }.set();
        FloatingPoint::restore();
        assert!(FloatingPoint::current() == FloatingPoint::DEFAULT);
    }
}
