//! Calls both modules from Rust.

use described_shelf_client as shelf;

/// The client of `described:parts`, a module in C++.
#[rustfmt::skip]
#[path = "../parts/autogen/parts_described.rs"]
pub mod parts;

macro_rules! call {
    ($module:ident) => {{
        let client = $module::Client::create(concat!("rust_", stringify!($module)), b"")?;
        client.nothing()?;
        assert_eq!(client.sum(b"abcde", 2, false)?, [195, 199, 101]);
        let failed = client.sum(b"abcde", 2, true).unwrap_err();
        assert_eq!(failed.message(), "the last block is not whole");

        let extent = |start| $module::Extent { start, blocks: 7, sparse: 1, reserved0: [0; 3] };
        let entry = $module::EntryValue {
            name: "n\u{e4}me".into(),
            extent: extent(5),
            data: b"data".to_vec(),
            weights: vec![0.5],
            kind: 1,
        };
        let mut changed = entry.clone();
        changed.name.push('!');
        changed.extent.blocks = 8;
        changed.data = b"atad".to_vec();
        changed.weights.push(1.0);
        changed.kind = 2;
        let digest: [u8; 20] = std::array::from_fn(|i| i as u8);
        let got = client.turn(
            -3,
            1.25,
            true,
            digest,
            "text",
            b"bytes",
            extent(1),
            &entry,
            &[extent(1), extent(2)],
            &["one", "", "three"],
            &[b"12", b""],
            &[vec![1, 2, 3], vec![]],
            &[entry.clone(), $module::EntryValue::default()],
            [extent(3), extent(4)],
        )?;
        assert_eq!((got.tiny, got.wide, got.flag), (3, 2.5, false));
        assert!(got.digest.iter().rev().eq(&digest));
        assert_eq!((&got.text[..], &got.data[..]), ("txet", &b"setyb"[..]));
        assert_eq!(got.extent, extent(2));
        assert_eq!(got.entry, changed);
        assert_eq!(got.extents, [extent(2), extent(1)]);
        assert_eq!(got.words, ["eno", "", "eerht"]);
        assert_eq!(got.blobs, [&b"21"[..], b""]);
        assert_eq!(got.rows, [vec![3, 2, 1], vec![]]);
        assert_eq!(got.entries[0], changed);
        assert_eq!(got.entries[1].name, "!");
        assert_eq!(got.pairs, [extent(4), extent(3)]);
    }};
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    chimaera::client::init(chimaera::client::Options::default())?;
    call!(parts);
    call!(shelf);
    chimaera::client::shutdown();
    Ok(())
}
