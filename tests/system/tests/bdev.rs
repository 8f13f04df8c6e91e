//! Block devices: `chimaera:bdev`.

use std::fs;
use std::path::Path;

use chimaera::abi::{CHI_BUSY, CHI_EXISTS, CHI_INVALID, CHI_NOT_FOUND};
use chimaera_bdev_client::{Client, Engine, Extent, Io, Params, DEVICE_FULL, NOT_ALLOCATED};
use chimaera_tests::device::{engines, file_for, file_of, of_file, start_of_blocks};
use chimaera_tests::{artefacts, bytes, connect, in_client, text_of, Daemon, Options};

/// Allocates blocks, fills them, and checks the contents.
fn exercise(device: &Client) {
    let before = device.stats().unwrap();
    let size = before.block_size as usize;
    let extents = device.allocate(300).unwrap();
    assert_eq!(extents, [Extent { block: 0, count: 300 }]);
    let data = bytes(300 * size);
    device.write(0, &data).unwrap();
    assert!(device.read(0, 300).unwrap() == data);
    assert!(device.read(299, 1).unwrap() == data[299 * size..]);

    // Many at once, in any order.
    let writes: Vec<_> = (0..100)
        .map(|block| device.write_async(block * 3, vec![block as u8; size]).unwrap())
        .collect();
    writes.into_iter().for_each(|write| drop(write.wait().unwrap()));
    let reads: Vec<_> = (0..100).map(|block| device.read_async(block * 3, 1).unwrap()).collect();
    for (block, read) in reads.into_iter().enumerate() {
        let found = read.wait().unwrap().data.copy_to_vec().unwrap();
        assert!(found.len() == size && found.iter().all(|byte| *byte == block as u8));
    }
    // The blocks in between are unchanged.
    assert!(device.read(1, 2).unwrap() == data[size..3 * size]);

    // Through the caller's own buffers.
    let ipc = chimaera::ipc().unwrap();
    let (from, to) = (ipc.alloc(4 * size).unwrap(), ipc.alloc(4 * size).unwrap());
    from.write_at(0, &data[..4 * size]).unwrap();
    device.write_from(200, &from).unwrap().wait().unwrap();
    device.read_into(200, 4, &to).unwrap().wait().unwrap();
    let mut found = vec![0; 4 * size];
    to.copy_to(0, &mut found);
    assert!(found == data[..4 * size]);

    device.flush().unwrap();
    let after = device.stats().unwrap();
    assert_eq!(after.free_blocks, before.free_blocks - 300);
    assert_eq!((after.writes - before.writes, after.reads - before.reads), (102, 104));
    assert_eq!(after.written_bytes - before.written_bytes, (404 * size) as u64);
    assert_eq!(after.read_bytes - before.read_bytes, (407 * size) as u64);
    assert_eq!((after.flushes - before.flushes, after.errors), (1, 0));

    device.free(&extents).unwrap();
    assert_eq!(device.stats().unwrap().free_blocks, before.free_blocks);
}

/// Every mistake that a caller can make.
fn misuse(device: &Client) {
    let stats = device.stats().unwrap();
    let refused = |result: chimaera::Result<()>| text_of(result);
    let (code, message) = refused(device.allocate(stats.free_blocks + 1).map(drop));
    assert_eq!(code, DEVICE_FULL, "{message}");
    assert_eq!(
        refused(device.read(3, 1).map(drop)),
        (NOT_ALLOCATED, "block 3 is not allocated".into())
    );
    let extents = device.allocate(2).unwrap();
    let start = extents[0].block;
    let (code, message) = refused(device.write(start, [0; 100]));
    assert_eq!(
        (code, message),
        (
            CHI_INVALID,
            format!("100 bytes are not a whole number of blocks of {}", stats.block_size)
        )
    );
    for (block, count) in
        [(stats.blocks, 1), (start, stats.blocks + 1), (u64::MAX, 2), (0, u64::MAX)]
    {
        let (code, message) = refused(device.read(block, count).map(drop));
        assert_eq!(code, CHI_INVALID, "{message}");
    }
    assert_eq!(refused(device.read(start, 0).map(drop)).0, CHI_INVALID);
    device.free(&extents).unwrap();
    assert_eq!(refused(device.free(&extents)).0, NOT_ALLOCATED);
    assert_eq!(device.stats().unwrap().free_blocks, stats.free_blocks);
}

#[test]
fn blocks_in_memory_keep_what_is_written() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let params = Params { blocks: 1000, ..Params::default() };
        let device = Client::create("ram", params.clone()).unwrap();
        exercise(&device);
        misuse(&device);
        assert_eq!(device.stats().unwrap().engine, Engine::Ram as u64);
        // A block that was never written is zero.
        device.allocate(1000).unwrap();
        assert!(device.read(999, 1).unwrap() == [0; 4096]);

        // The same name finds the same device.
        assert_eq!(Client::create("ram", params).unwrap(), device);
        assert_eq!(device.stats().unwrap().free_blocks, 0);
        let (code, message) = text_of(Client::create("ram", Params::default()));
        assert_eq!(code, CHI_EXISTS, "{message}");

        // Blocks larger than a chunk of memory.
        let params = Params { block_size: 4 << 20, blocks: 3, ..Params::default() };
        let large = Client::create("large", params).unwrap();
        large.allocate(3).unwrap();
        let data = bytes(8 << 20);
        large.write(1, &data).unwrap();
        assert!(large.read(1, 2).unwrap() == data);
    });
}

#[test]
fn blocks_in_a_file_are_the_files_bytes() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for (io, engine) in engines() {
            let name = format!("{io:?}");
            let path = file_for(directory.path(), &name, 400);
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_len(file.metadata().unwrap().len() + 100).unwrap();
            let device = Client::create(&name, of_file(&path, io)).unwrap();
            let stats = device.stats().unwrap();
            assert_eq!((stats.engine, stats.blocks), (engine as u64, 400));
            exercise(&device);
            misuse(&device);
            let at = start_of_blocks(400) as usize + 3 * 4096;
            let block = &fs::read(&path).unwrap()[at..at + 4096];
            assert!(block == [1; 4096], "the second of the many blocks that were written");

            // The contents of the file remain after the pool is destroyed.
            chimaera::ipc().unwrap().destroy_pool(device.pool_id()).unwrap();
            let again = Client::create(&format!("{name} again"), of_file(&path, io)).unwrap();
            again.allocate(4).unwrap();
            assert!(again.read(3, 1).unwrap() == [1; 4096]);
        }
        // With every engine, direct and durable, from any address in memory.
        let path = file_for(directory.path(), "direct", 400);
        let params = Params { direct: true, sync: true, ..of_file(&path, Io::Auto) };
        exercise(&Client::create("direct", params).unwrap());
    });
}

#[test]
fn a_file_that_makes_no_device_is_reported() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let refused = |params: Params| text_of(Client::create("refused", params));
        let path = directory.path().join("missing");
        let (code, message) = refused(of_file(&path, Io::Auto));
        assert_eq!(code, CHI_NOT_FOUND, "{message}");
        assert!(message.ends_with("missing: No such file or directory (os error 2)"), "{message}");
        for path in [directory.path(), Path::new("/dev/null")] {
            let (code, message) = refused(of_file(path, Io::Auto));
            assert_eq!(code, CHI_INVALID, "{message}");
        }
        let path = file_of(directory.path(), "small", 4095);
        let (code, message) = refused(of_file(&path, Io::Auto));
        assert_eq!(code, CHI_INVALID);
        assert!(message.contains("has 4095 bytes, too few for 1 blocks of 4096"), "{message}");

        let path = file_for(directory.path(), "taken", 2);
        Client::create("first", of_file(&path, Io::Auto)).unwrap();
        let (code, message) = refused(of_file(&path, Io::Auto));
        assert_eq!(code, CHI_BUSY, "{message}");
    });
}

/// The clients in C and C++, on every backend: every operation, and every mistake.
#[test]
fn clients_in_c_and_cpp() {
    let daemon = Daemon::start(&Options::new().bdev());
    let directory = tempfile::tempdir().unwrap();
    let run = |client: &str, arguments: &[&str]| {
        let line = daemon.site().run(artefacts::program(client), arguments).ok().lines().remove(0);
        assert_eq!(line["status"], 0, "{client} {arguments:?}: {line}");
    };
    run("c_bdev", &["c ram", "blocks=64"]);
    run("cpp_bdev", &["cpp ram"]);
    for (io, _) in engines() {
        let io = format!("{io:?}").to_lowercase();
        let path = file_for(directory.path(), &io, 64);
        let path = path.to_str().unwrap();
        let other = file_for(directory.path(), &format!("{io} cpp"), 64);
        run("c_bdev", &[&io, &format!("path={path},io={io}")]);
        run("cpp_bdev", &[&format!("{io} cpp"), other.to_str().unwrap(), &io]);
    }
}
