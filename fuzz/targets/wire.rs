//! A message on the session's socket.
#![no_main]

use chimaera_ipc::wire::Message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(message) = Message::decode(bytes) {
        assert_eq!(Message::decode(&message.encode()), Some(message));
    }
});
