//! The messages of a task. Most tasks have none, so a record allocates them only when one is set,
//! and frees them when it is reused.

use std::cell::RefCell;
use std::ffi::c_char;

use chimaera_front::last_error::Text;

#[derive(Default)]
struct All {
    error: String,
    last: Text,
    circle: Option<String>,
    message: String,
}

/// The messages of one task.
#[derive(Default)]
pub(crate) struct Texts(RefCell<Option<Box<All>>>);

impl Texts {
    fn with<R>(&self, f: impl FnOnce(&mut All) -> R) -> R {
        f(self.0.borrow_mut().get_or_insert_default())
    }

    /// Frees all of them.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if !self.is_empty() {
            self.drop_all();
        }
    }

    #[cold]
    fn drop_all(&mut self) {
        *self.0.get_mut() = None;
    }

    #[inline]
    pub(super) fn is_empty(&mut self) -> bool {
        self.0.get_mut().is_none()
    }

    /// Sets the message with which the method fails, as its module reports it
    /// (`chi_host.set_error`).
    pub(crate) fn set_error(&self, text: String) {
        self.with(|all| all.error = text);
    }

    /// Takes the message that the module set.
    pub(crate) fn take_error(&self) -> Option<String> {
        let text = std::mem::take(&mut self.0.borrow_mut().as_mut()?.error);
        (!text.is_empty()).then_some(text)
    }

    /// Sets the reason why the method's last failed call of `chi_ipc` failed.
    pub(crate) fn set_last_error(&self, text: &str) {
        self.with(|all| all.last.keep(text));
    }

    /// The message of `set_last_error`; valid until it is set again or the task has ended.
    pub(crate) fn last_error(&self) -> *const c_char {
        self.0.borrow().as_ref().map_or(c"".as_ptr(), |all| all.last.as_ptr())
    }

    /// Sets the description of the deadlock for which the task was cancelled.
    pub(crate) fn set_circle(&self, text: String) {
        self.with(|all| all.circle = Some(text));
    }

    pub(crate) fn take_circle(&self) -> Option<String> {
        self.0.borrow_mut().as_mut()?.circle.take()
    }

    /// Sets why the task failed, for the method that created it.
    pub(crate) fn set_message(&self, text: &str) {
        self.with(|all| text.clone_into(&mut all.message));
    }

    /// A copy of the message of `set_message`, if there is one.
    pub(crate) fn message_text(&self) -> Option<String> {
        let all = self.0.borrow();
        let message = &all.as_ref()?.message;
        (!message.is_empty()).then(|| message.clone())
    }

    /// The address and length of the message of `set_message`, which stays in place until the texts
    /// are cleared; `None` if there is none.
    pub(crate) fn message(&self) -> Option<(*const c_char, usize)> {
        let all = self.0.borrow();
        let message = &all.as_ref()?.message;
        (!message.is_empty()).then(|| (message.as_ptr().cast(), message.len()))
    }
}
