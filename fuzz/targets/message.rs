//! A message of another node of the cluster.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = chimaera_cluster::Message::decode(&bytes.to_vec().into()) {
        assert_eq!(message.encode(), bytes);
    }
});
