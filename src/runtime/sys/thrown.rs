//! An uncaught exception, and its message.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr;

use super::demangle::demangle;

/// `_Unwind_Exception`, <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html>.
#[repr(C, align(16))]
pub(super) struct Exception {
    class: u64,
    _cleanup: usize,
    _private: [usize; 2],
}

/// The classes of C++ exceptions, without the last byte: of GCC's library, and of Clang's.
const CXX: [&[u8]; 2] = [b"GNUCC++", b"CLNGC++"];
/// How far before the `Exception` its type is: the rest of `__cxa_exception` on 64-bit machines.
const TYPE_BEFORE: usize = 80;

type WhatFn = unsafe extern "C" fn(*const c_void) -> *const c_char;
type CanCatchFn = unsafe extern "C" fn(
    *const CxxType,
    thrown: *const CxxType,
    object: *mut *const c_void,
    outer: c_int,
) -> bool;

/// `std::type_info`.
#[repr(C)]
struct CxxType {
    functions: *const usize,
    name: *const c_char,
}

/// The text that was thrown: a `std::string` of GCC's library, which begins with the address and the number of its
/// bytes. `mangled` is the name of its type. What a thrown pointer points to may be gone.
///
/// # Safety
/// `object` points to an object of that type.
unsafe fn text_in(mangled: &str, object: *const c_void) -> Option<String> {
    const STRING: &str = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE";
    if mangled != STRING {
        return None;
    }
    // SAFETY: by the caller's promise.
    let bytes = unsafe {
        let (start, size) = object.cast::<(*const u8, usize)>().read();
        std::slice::from_raw_parts(start, size)
    };
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// An uncaught exception.
pub(crate) struct Thrown {
    exception: *mut Exception,
    /// An instruction of the last function that it left.
    pub(crate) pc: usize,
}

impl Thrown {
    /// # Safety
    /// The exception has left all frames that could have handled it, and nothing else frees it.
    pub(super) unsafe fn new(exception: *mut Exception, pc: usize) -> Thrown {
        Thrown { exception, pc }
    }

    /// Its message, or what was thrown. Frees a C++ exception. `find` finds symbols in the library
    /// of the code that threw it.
    pub(crate) fn describe(self, find: impl Fn(&CStr) -> Option<*mut c_void>) -> String {
        // SAFETY: by the promise to `new`, the exception exists.
        let class = unsafe { (*self.exception).class }.to_be_bytes();
        if !CXX.contains(&&class[..7]) {
            return "a foreign exception was thrown".to_owned();
        }
        // SAFETY: the class says that the exception has the layout of C++.
        let text = unsafe { self.cxx_text(class[7] == 1, &find) };
        if let (Some(begin), Some(end)) = (find(c"__cxa_begin_catch"), find(c"__cxa_end_catch")) {
            // SAFETY: the C++ ABI defines these functions with these types. Together they free the
            // exception, and remove it from the thread's count of uncaught exceptions.
            unsafe {
                let begin: unsafe extern "C" fn(*mut Exception) -> *mut c_void =
                    std::mem::transmute(begin);
                let end: unsafe extern "C" fn() = std::mem::transmute(end);
                begin(self.exception);
                end();
            }
        }
        text
    }

    /// # Safety
    /// It must be a C++ exception, `dependent` if it is a reference to another.
    unsafe fn cxx_text(
        &self,
        dependent: bool,
        find: &impl Fn(&CStr) -> Option<*mut c_void>,
    ) -> String {
        // SAFETY: by the caller's promise. The object follows the header; a dependent exception has
        // a pointer to the object in place of the type. The functions are those that the libraries
        // of GCC and Clang have at these places of their tables.
        unsafe {
            let header = self.exception.cast::<u8>();
            let before = |of: *mut u8| of.sub(TYPE_BEFORE).cast::<*const c_void>().read();
            let object = match dependent {
                true => before(header),
                false => header.add(size_of::<Exception>()).cast_const().cast(),
            };
            let of = object.cast::<u8>().cast_mut().sub(size_of::<Exception>());
            let thrown: *const CxxType = before(of).cast();
            if let Some(exception) = find(c"_ZTISt9exception") {
                let exception: *const CxxType = exception.cast_const().cast();
                let can_catch: CanCatchFn = std::mem::transmute(*(*exception).functions.add(4));
                let mut base = object;
                if can_catch(exception, thrown, ptr::from_mut(&mut base), 1) {
                    let functions = base.cast::<*const usize>().read();
                    let what: WhatFn = std::mem::transmute(*functions.add(2));
                    return CStr::from_ptr(what(base)).to_string_lossy().into_owned();
                }
            }
            let name = CStr::from_ptr((*thrown).name).to_string_lossy();
            if let Some(text) = text_in(&name, object).filter(|text| !text.is_empty()) {
                return text;
            }
            let name = demangle(&format!("_ZTI{}", name.trim_start_matches('*'))).to_string();
            let name = name.strip_prefix("typeinfo for ").unwrap_or(&name);
            format!("an object of type {name} was thrown")
        }
    }
}
