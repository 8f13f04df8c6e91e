//! Calls both modules from Rust.

#[path = "../../expect.rs"]
mod expect;

use chimaera::abi::{
    CHI_EXISTS, CHI_FAILED, CHI_INVALID, CHI_MODULE_STATUS, CHI_NO_METHOD, CHI_UNSUPPORTED,
    CHI_VERSION,
};
use chimaera::archive::SaveArchive;
use chimaera::{DomainQuery, Task};
use described_shelf_client as shelf;
use expect::{call_method, expect_failure, TEXT};

/// The client of `described:parts`, a C++ module.
#[path = "../parts/autogen/parts_described.rs"]
pub mod parts;

/// kSum's task in a description that had only one field.
#[chimaera::task(description = 0xa4e2)]
struct Short {
    data: chimaera::ShmBytes,
}

/// Its fields in a description in which they had other names or meanings.
#[chimaera::task(description = 1)]
struct Other {
    data: chimaera::ShmBytes,
    numbers: [u32; 2],
    sums: chimaera::ShmBytes,
}

macro_rules! call {
    ($module:ident, $other:literal) => {{
        let name = concat!("rust_", stringify!($module));
        let client = $module::Client::create(name, &$module::Params::default())?;
        let found = client.settings()?;
        assert_eq!((found.factor, found.share, found.exact), (i64::MIN, 0.25, true));
        assert_eq!((&*found.label, &*found.note, found.limit), ("the \"label\"", "", u64::MAX));
        // The same pool as created by C++ and C.
        let params =
            $module::Params { factor: 7, exact: false, note: TEXT.into(), ..Default::default() };
        let typed = $module::Client::create("typed", &params)?;
        let found = typed.settings()?;
        assert_eq!((found.factor, found.share, found.exact), (7, 0.25, false));
        assert_eq!((&*found.label, &*found.note, found.limit), ("the \"label\"", TEXT, u64::MAX));
        let ipc = chimaera::ipc()?;
        let module = concat!("described:", stringify!($module));
        let text = format!("note={TEXT},exact=false, factor=7");
        assert_eq!(ipc.create_pool(module, "typed", text.as_bytes())?, typed.pool_id());
        assert_eq!($module::Client::find_pool("typed")?, typed);
        let missing = $module::Client::find_pool("nobody").map_err(|status| status.code());
        assert_eq!(missing, Err(chimaera::abi::CHI_NO_POOL));
        let other = $module::Client::create("typed", &$module::Params::default());
        expect_failure(other, CHI_EXISTS, "with other parameters");
        let malformed = ipc.create_pool(module, "malformed", &[1, 2]);
        expect_failure(
            malformed,
            CHI_INVALID,
            "malformed pool parameters: the bytes end too early",
        );
        let wrong = ipc.create_pool(module, "malformed", b"exact=maybe");
        expect_failure(
            wrong,
            CHI_INVALID,
            "the parameter exact is \"maybe\", but must be true or false",
        );
        ipc.destroy_pool(typed.pool_id())?;

        client.nothing()?;
        let options = chimaera::PoolOptions::default().containers(3);
        let params = $module::Params::default();
        let several =
            $module::Client::create_with(concat!("three_", stringify!($module)), &params, options)?;
        several.with_query(DomainQuery::local_id(2)).nothing()?;
        let nobody = several.with_query(DomainQuery::local_id(3)).nothing();
        expect_failure(nobody, CHI_INVALID, "container 3");
        assert_eq!(client.sum(b"abcde", 2, false)?, [195, 199, 101]);
        assert!(client.sum(b"", 2, true)?.is_empty());
        // The same bytes as in the C++ test.
        let done = client.sum_async(b"abcde", 2, false)?.wait()?;
        let ways = $module::SumTask::SERIALIZERS.expect("its fields are described");
        let (mut ins, mut outs) = (SaveArchive::new(), SaveArchive::new());
        (ways.save_in)(&done, &mut ins)?;
        (ways.save_out)(&done, &mut outs)?;
        assert_eq!(ins.into_bytes(), b"\x05\0\0\0\0\0\0\0abcde\x02\0\0\0\0");
        assert_eq!(outs.into_bytes(), chimaera::archive::to_bytes(&vec![195u64, 199, 101])?);
        expect_failure(client.sum(b"abcde", 2, true), CHI_INVALID, "the last block is not whole");
        let stale = concat!(
            "client built from another description of described:",
            stringify!($module),
            " kSum; rebuild"
        );
        let short = ipc.new_task::<Short>(client.pool_id(), DomainQuery::dynamic(), 10)?;
        expect_failure(short.call().map(|_| ()), CHI_VERSION, stale);
        assert_eq!(size_of::<Other>(), size_of::<$module::SumTask>());
        let other = ipc.new_task::<Other>(client.pool_id(), DomainQuery::dynamic(), 10)?;
        expect_failure(other.call().map(|_| ()), CHI_VERSION, stale);
        expect_failure(client.fail(false, TEXT), CHI_MODULE_STATUS, TEXT);
        expect_failure(client.fail(true, TEXT), CHI_FAILED, TEXT);
        expect_failure(call_method(client.pool_id(), 15), CHI_UNSUPPORTED, "kOld");
        expect_failure(call_method(client.pool_id(), 99), CHI_NO_METHOD, "99");

        let extent = |start| $module::Extent { start, blocks: 7, sparse: 1, reserved0: [0; 3] };
        let entry = $module::EntryValue {
            name: TEXT.into(),
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
        let long = format!("a{}", "b".repeat(100_000));
        let turned: String = long.chars().rev().collect();
        let got = client.turn(
            -3,
            1.25,
            true,
            digest,
            &long,
            b"bytes",
            extent(1),
            &entry,
            &[extent(1), extent(2)],
            &["one", "", &long],
            &[b"12", b""],
            &[vec![1, -2, 3], vec![]],
            &[entry.clone(), $module::EntryValue::default()],
            [extent(3), extent(4)],
        )?;
        assert_eq!((got.tiny, got.wide, got.flag), (3, 2.5, false));
        assert!(got.digest.iter().rev().eq(&digest));
        assert_eq!((&got.text, &got.data[..]), (&turned, &b"setyb"[..]));
        assert_eq!(got.extent, extent(2));
        assert_eq!(got.entry, changed);
        assert_eq!(got.extents, [extent(2), extent(1)]);
        assert_eq!(got.words, ["eno", "", &turned]);
        assert_eq!(got.blobs, [&b"21"[..], b""]);
        assert_eq!(got.rows, [vec![3, -2, 1], vec![]]);
        assert_eq!(got.entries[0], changed);
        assert_eq!(got.entries[1].name, "!");
        assert_eq!(got.pairs, [extent(4), extent(3)]);

        assert_eq!(client.relay($other, b"abc", 3, "")?, [97, 195, 294]);
        expect_failure(client.relay($other, b"abc", 3, TEXT), CHI_MODULE_STATUS, TEXT);
    }};
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    chimaera::client::init(chimaera::client::Options::default())?;
    call!(parts, "rust_other_shelf");
    call!(shelf, "rust_other_parts");
    chimaera::client::shutdown();
    Ok(())
}
