//! The message of the last failed call, stored for `chi_ipc.last_error`.

use std::cell::UnsafeCell;
use std::ffi::c_char;

/// The maximum length of a stored message, in bytes.
const KEPT: usize = 2047;

/// A zero-terminated message at a fixed address: a pointer to it, even one taken before the failing
/// call, shows the latest message.
pub struct Text(UnsafeCell<[u8; KEPT + 1]>);

impl Text {
    /// No message.
    pub const fn new() -> Text {
        Text(UnsafeCell::new([0; KEPT + 1]))
    }

    /// Stores a message, truncated to 2047 bytes; a zero byte in it becomes a space.
    pub fn keep(&self, message: &str) {
        let end = (0..=message.len().min(KEPT)).rev().find(|&at| message.is_char_boundary(at));
        let bytes = &message.as_bytes()[..end.unwrap_or(0)];
        // SAFETY: the type is not `Sync`, and no reference into the array leaves these functions.
        let kept = unsafe { &mut *self.0.get() };
        for (to, &byte) in kept.iter_mut().zip(bytes) {
            *to = if byte == 0 { b' ' } else { byte };
        }
        kept[bytes.len()] = 0;
    }

    /// The message as a C string, valid as long as `self`.
    pub fn as_ptr(&self) -> *const c_char {
        self.0.get().cast_const().cast()
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::new()
    }
}

thread_local! {
    static LAST: Text = const { Text::new() };
}

/// Stores a message as this thread's last.
pub fn keep(message: &str) {
    // On a thread that is exiting, nothing can ask for the message any more.
    let _ = LAST.try_with(|last| last.keep(message));
}

/// The message that was stored last on this thread, valid as long as the thread lives.
pub fn last() -> *const c_char {
    LAST.try_with(Text::as_ptr).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn kept(message: &str) -> String {
        let text = Text::new();
        text.keep(message);
        // SAFETY: the text ends with a zero.
        unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_message_is_cut_between_characters_and_has_no_zero_byte() {
        assert_eq!(kept("a\0b"), "a b");
        assert_eq!(kept(&"x".repeat(KEPT + 1)).len(), KEPT);
        let even = format!("x{}", "é".repeat(KEPT));
        assert_eq!(kept(&even).len(), KEPT);
        assert_eq!(kept(&"é".repeat(KEPT)).len(), KEPT - 1);
    }

    #[test]
    fn each_thread_has_its_own() {
        let before = last();
        keep("here");
        std::thread::spawn(|| keep("there")).join().unwrap();
        // SAFETY: the thread's text has a fixed address and ends with a zero.
        assert_eq!(unsafe { CStr::from_ptr(before) }, c"here");
    }
}
