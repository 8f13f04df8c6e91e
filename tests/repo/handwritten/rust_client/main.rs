//! Calls both modules from Rust.

#[path = "../../expect.rs"]
mod expect;

use chimaera::abi::{CHI_FAILED, CHI_MODULE_STATUS, CHI_NO_METHOD, CHI_UNSUPPORTED};
use chimaera::archive::{to_bytes, SaveArchive};
use chimaera::{DomainQuery, PoolId, Task};
use expect::{call_method, expect_failure, TEXT};
use written_loom_client as loom;
use written_press_client as press;

macro_rules! call {
    ($module:ident, $entry:path, $extent:path, $other:literal) => {{
        let client = $module::Client::create(concat!("rust_", stringify!($module)))?;
        expect_failure(client.fail(false, TEXT), CHI_MODULE_STATUS, TEXT);
        expect_failure(client.fail(true, TEXT), CHI_FAILED, TEXT);
        expect_failure(call_method(client.pool_id(), 13), CHI_UNSUPPORTED, "kOld");
        expect_failure(call_method(client.pool_id(), 99), CHI_NO_METHOD, "99");

        let long = "a".repeat(100_000);
        type Entry = $entry;
        type Extent = $extent;
        let extent = |start| Extent { start, blocks: 7, reserved: 0 };
        let entry = Entry { name: long.clone(), extent: extent(3), weights: vec![0.5] };
        let got = client.turn(&$module::Turn {
            text: TEXT.into(),
            words: vec!["one".into(), String::new(), TEXT.into()],
            extents: vec![extent(1), extent(2)],
            entry: entry.clone(),
            entries: vec![entry.clone(), Entry::default()],
            total: 40,
        })?;
        assert_eq!((got.text, got.total), (format!("{TEXT}!"), 43));
        assert_eq!(got.words, [TEXT, "", "one"]);
        assert_eq!(got.extents, [1, 2].map(|start| Extent { start, blocks: 8, reserved: 0 }));
        let changed =
            Entry { name: format!("{long}?"), extent: extent(4), weights: vec![0.5, 1.0] };
        assert_eq!(got.entry, changed);
        assert_eq!(got.entries[0], changed);
        assert_eq!((&got.entries[1].name[..], &got.entries[1].weights[..]), ("?", &[1.0][..]));

        let answers = client.relay($other, TEXT, 2, "")?;
        assert_eq!(answers, [format!("{TEXT}0!"), format!("{TEXT}1!")]);
        expect_failure(client.relay($other, TEXT, 2, TEXT), CHI_MODULE_STATUS, TEXT);
    }};
}

/// The bytes of a sent task are the same as in C++.
fn send_turn() -> chimaera::Result<()> {
    let ways = loom::TurnTask::SERIALIZERS.expect("its fields have directions");
    let ipc = chimaera::ipc()?;
    let make = || {
        ipc.new_task::<loom::TurnTask>(
            PoolId::default(),
            DomainQuery::dynamic(),
            loom::Method::TURN,
        )
    };
    let extent = loom::Extent { start: 3, blocks: 9, reserved: 0 };
    let entry =
        |name: &str, extent| loom::EntryValue { name: name.into(), extent, weights: vec![] };
    let turn = loom::Turn {
        text: "t".into(),
        words: vec!["a".into(), String::new()],
        extents: vec![extent],
        entry: entry("e", extent),
        entries: vec![entry("f", loom::Extent::default())],
        total: 40,
    };
    let task = make()?;
    turn.write(&task)?;
    let mut sent = SaveArchive::new();
    (ways.save_in)(&task, &mut sent)?;
    let bytes = sent.into_bytes();
    let none = Vec::<f32>::new();
    let entries = [("e", extent), ("f", loom::Extent::default())]
        .map(|(name, extent)| (name.to_owned(), extent, none.clone()));
    let [first, second] = entries;
    let plain = ((turn.text, turn.words, turn.extents), (first, vec![second], turn.total));
    assert_eq!(bytes, to_bytes(&plain)?);
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    chimaera::client::init(chimaera::client::Options::default())?;
    send_turn()?;
    call!(press, press::Entry, press::Extent, "rust_other_loom");
    call!(loom, loom::EntryValue, loom::Extent, "rust_other_press");
    chimaera::client::shutdown();
    Ok(())
}
