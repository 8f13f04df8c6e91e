//! Answers to the program's requests. The control thread gives them, and asks no worker.

use chimaera_abi::*;
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::Message;

use crate::admin::describe;
use crate::failure::Failure;
use crate::scheduler::{ControlCommand, Shared};

/// Does what a message of kind `Request` asks for, and returns the answer, a JSON document.
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
