//! Answers to the requests of the program `chimaera`. The control thread gives them without asking
//! a worker, so they are given even while all workers are busy.

use chimaera_abi::*;
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::Message;

use crate::admin::describe;
use crate::failure::Failure;
use crate::scheduler::{ControlCommand, Shared};

/// Carries out the request in a message of kind `Request`, and returns the answer, a JSON document.
pub(super) fn answer(shared: &Shared, message: &Message) -> Result<String, Failure> {
    let [request, argument, ..] = message.words;
    let document = match Request::of(request) {
        Some(Request::Describe) => describe(shared, argument as u32)?,
        Some(Request::Stop) => {
            shared.command(ControlCommand::Stop);
            serde_json::json!({ "stopping": true })
        }
        None => {
            let message = format!("this runtime does not know request {request}; it may be older");
            return Err(Failure::new(CHI_UNSUPPORTED, message));
        }
    };
    Ok(document.to_string())
}
