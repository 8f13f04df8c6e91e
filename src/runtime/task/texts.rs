//! What is said of a task in words. Most tasks have none, so a record keeps a place for them only when it
//! needs one, and drops it when it is used again.

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

/// The words of one task.
#[derive(Default)]
pub(crate) struct Texts(RefCell<Option<Box<All>>>);

impl Texts {
    fn with<R>(&self, f: impl FnOnce(&mut All) -> R) -> R {
        f(self.0.borrow_mut().get_or_insert_default())
    }

    /// Drops them all.
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
    pub(crate) fn is_empty(&mut self) -> bool {
        self.0.get_mut().is_none()
    }

    /// Why the method fails, as its module says (`chi_host.set_error`).
    pub(crate) fn set_error(&self, text: String) {
        self.with(|all| all.error = text);
    }

    /// What the module said, once.
    pub(crate) fn take_error(&self) -> Option<String> {
        let text = std::mem::take(&mut self.0.borrow_mut().as_mut()?.error);
        (!text.is_empty()).then_some(text)
    }

    /// Why the last call of `chi_ipc` failed that the method made.
    pub(crate) fn set_last_error(&self, text: &str) {
        self.with(|all| all.last.keep(text));
    }

    /// The same, until it is set again or the task has ended.
    pub(crate) fn last_error(&self) -> *const c_char {
        self.0.borrow().as_ref().map_or(c"".as_ptr(), |all| all.last.as_ptr())
    }

    /// The circle of waits that the task was told to leave.
    pub(crate) fn set_circle(&self, text: String) {
        self.with(|all| all.circle = Some(text));
    }

    pub(crate) fn take_circle(&self) -> Option<String> {
        self.0.borrow_mut().as_mut()?.circle.take()
    }

    /// Why the task failed, for whoever made it inside the runtime.
    pub(crate) fn set_message(&self, text: &str) {
        self.with(|all| text.clone_into(&mut all.message));
    }

    /// A copy of the message, when there is one.
    pub(crate) fn message_text(&self) -> Option<String> {
        let all = self.0.borrow();
        let message = &all.as_ref()?.message;
        (!message.is_empty()).then(|| message.clone())
    }

    /// Address and length of the message, which stays where it is until the texts are cleared; `None` when
    /// there is none.
    pub(crate) fn message(&self) -> Option<(*const c_char, usize)> {
        let all = self.0.borrow();
        let message = &all.as_ref()?.message;
        (!message.is_empty()).then(|| (message.as_ptr().cast(), message.len()))
    }
}
