//! Shared structs have the same layout for all compilers: compares the sizes and offsets in Rust
//! with those that the program `cpp_layout` prints.

use std::collections::BTreeMap;
use std::mem::{offset_of, size_of};

use chimaera::abi::*;
use chimaera_kv_client as kv;
use chimaera_tests::tasks::mod_name;
use chimaera_tests::{artefacts, process, Site};

/// Offset and size by struct and field; an empty field stands for the struct itself.
type Layouts = BTreeMap<(String, String), (usize, usize)>;

fn field<T, F>(_: impl FnOnce(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Adds structs: `Type { field, ... }`, or `Type as c_name { field, ... }` with the suffix of the
/// fields in C.
macro_rules! add {
    ($to:ident, $suffix:literal, $($type:ty as $name:ident { $($field:ident),* }),* $(,)?) => {$(
        let name = stringify!($name).to_owned();
        $to.insert((name.clone(), String::new()), (0, size_of::<$type>()));
        $(
            let offset = offset_of!($type, $field);
            let size = field(|whole: &$type| &whole.$field);
            let key = concat!(stringify!($field), $suffix).to_owned();
            $to.insert((name.clone(), key), (offset, size));
        )*
    )*};
    ($to:ident, $($type:ident { $($field:ident),* }),* $(,)?) => {
        add!($to, "", $($type as $type { $($field),* }),*)
    };
}

fn rust() -> Layouts {
    let mut all = Layouts::new();
    add!(
        all,
        chi_pool_id { major_, minor_ },
        chi_task_node { root_, depth_, node_ },
        chi_domain_query { kind_, value_ },
        chi_bitfield { bits_ },
        chi_task {
            pool_,
            task_node_,
            dom_query_,
            method_,
            task_flags_,
            period_ns_,
            message_,
            status_,
            state_
        },
        chi_buffer { shm_, data_, size_ },
        chi_shm_vector { shm_, data_, size_, capacity_, offset_in_task_, reserved_ },
        chi_shm_string { bytes_ },
        chi_create_task {
            task,
            module_name_,
            pool_name_,
            params_,
            pool_id_,
            existed_,
            containers_
        },
        chi_grant { right_, is_group_, number_ },
        chi_create_with_task { create, flags_, nodes_, grants_ },
        chi_state { size, purpose, archive, begin_field, next_field },
        chi_life_task {
            task,
            reason_,
            reserved_,
            message_text_,
            old_version_,
            directory_,
            lost_pool_,
            lost_name_,
            lost_node_,
            lost_containers_,
            lost_count_,
            reserved2_
        },
        chi_pool_options { size, containers },
        chi_destroy_task { task, pool_id_ },
        chi_find_task { task, pool_name_, pool_id_ },
        chi_describe_task { task, subject_, reserved_, json_ },
        chi_ipc {
            size,
            reserved,
            new_task,
            del_task,
            enqueue,
            try_enqueue,
            wait,
            task_message,
            alloc,
            free,
            resolve,
            make_task_node,
            create_pool,
            find_pool,
            destroy_pool,
            last_error,
            alloc_elements,
            create_pool_with,
            enqueue_batch,
            wait_all,
            cancel,
            sleep,
            yield_now,
            wait_any,
            completions_new,
            completions_del,
            completions_descriptor,
            completions_add,
            completions_remove,
            completions_next
        },
        chi_completed { task, argument },
        chi_host {
            size,
            abi_major,
            abi_minor,
            reserved,
            set_error,
            log,
            ipc,
            create_queue,
            yield_now,
            extension,
            container_id,
            lock_new,
            lock_free,
            lock,
            try_lock,
            unlock,
            is_cancelled,
            event_new,
            event_free,
            event_wait,
            event_set,
            poller_add,
            poller_remove,
            poller_arm
        },
        chi_locks { size, reserved, create, free, lock, try_lock, unlock },
        chi_clients { size, reserved, sender, is_there },
        chi_directory { size, reserved, path },
        chi_place { node_, tasks_, round_trip_ns_ },
        chi_places { size, reserved, find },
        chi_published_block { reference_, data_, size_ },
        chi_publishing { size, reserved, alloc, retain, release, lend },
        chi_storage { size, reserved, set_local },
        chi_events { size, reserved, create, free, wait, set },
        chi_pollers { size, reserved, add, remove, arm },
        chi_field_layout {
            offset_,
            kind_,
            elem_size_,
            elem_align_,
            elem_fields_,
            n_elem_fields_,
            reserved_
        },
        chi_method { number_, flags_, name_, task_size_, n_fields_, fields_ },
        chi_module_descriptor {
            magic,
            size,
            abi_major,
            abi_minor,
            language,
            sdk_version,
            name,
            version,
            n_methods,
            method_stride,
            methods,
            field_stride,
            reserved,
            params,
            pools,
            description
        },
        chi_run_context { size, worker_id_, lane_, runtime_, est_ns_ },
        chi_container { ops },
        chi_container_ops {
            size,
            reserved,
            init,
            run,
            monitor,
            del,
            destroy,
            aggregate,
            serialize,
            save,
            load,
            resume
        },
        chi_archive { size, reserved, write, read, remaining },
    );
    add!(
        all, "_",
        mod_name::CompressTask as example_mod_name_compress_task { level, data, output },
        mod_name::DecompressTask as example_mod_name_decompress_task { max_size, data, output },
        kv::PutTask as chimaera_kv_put_task { key, value, replaced },
        kv::GetTask as chimaera_kv_get_task { key, value },
        kv::DeleteTask as chimaera_kv_delete_task { key, existed },
        kv::ScanTask as chimaera_kv_scan_task { prefix, limit, keys },
        kv::CountTask as chimaera_kv_count_task { count },
        kv::FlushTask as chimaera_kv_flush_task {},
        kv::StatsTask as chimaera_kv_stats_task { stats },
        kv::Stats as chimaera_kv_stats {
            keys,
            bytes,
            max_bytes,
            file_bytes,
            compacted_bytes,
            commits,
            syncs,
            compactions,
            lost
        },
        kv::CompactTask as chimaera_kv_compact_task { bytes },
    );
    // These structs are in the library for C, which no Rust program links.
    let of_c = [
        ("chi_client_options", "", 0, 32),
        ("chi_client_options", "size", 0, 4),
        ("chi_client_options", "reserved", 4, 4),
        ("chi_client_options", "instance", 8, 8),
        ("chi_client_options", "segment_size", 16, 8),
        ("chi_client_options", "connect_timeout_ns", 24, 8),
        ("chi_completion", "", 0, 16),
        ("chi_completion", "done", 0, 8),
        ("chi_completion", "argument", 8, 8),
    ];
    for (name, field, offset, size) in of_c {
        all.insert((name.into(), field.into()), (offset, size));
    }
    all
}

/// The layouts of the C++ compiler.
fn cpp() -> Layouts {
    let program = artefacts::program("cpp_layout");
    let output = process::run(&mut Site::new().command(program)).ok();
    output.lines().iter().map(layout).collect()
}

/// A line of `cpp_layout`.
fn layout(line: &serde_json::Value) -> ((String, String), (usize, usize)) {
    let text = |key: &str| line[key].as_str().unwrap().to_owned();
    let number = |key: &str| line[key].as_u64().unwrap() as usize;
    ((text("struct"), text("field")), (number("offset"), number("size")))
}

#[test]
fn rust_and_cpp_agree() {
    let (rust, cpp) = (rust(), cpp());
    for (key, place) in &rust {
        assert_eq!(cpp.get(key), Some(place), "{key:?}: C++ on the left, Rust on the right");
    }
    for key in cpp.keys() {
        assert!(rust.contains_key(key), "{key:?} has no counterpart in Rust");
    }
}

/// Structs that modules of older minor versions were built with keep their layout; only structs
/// that begin with their size may grow.
#[test]
fn nothing_of_an_older_minor_has_moved() {
    let minors = concat!(env!("CARGO_MANIFEST_DIR"), "/../abi");
    let compilers = [("Rust", rust()), ("C++", cpp())];
    let mut compared = 0;
    for entry in std::fs::read_dir(minors).unwrap() {
        let file = entry.unwrap().path().join("layout.jsonl");
        let Ok(lines) = std::fs::read_to_string(&file) else { continue };
        for line in lines.lines() {
            let (key, (offset, size)) = layout(&serde_json::from_str(line).unwrap());
            for (compiler, now) in &compilers {
                let place = now.get(&key).copied();
                let may_grow =
                    key.1.is_empty() && now.contains_key(&(key.0.clone(), "size".into()));
                let stays = place.is_some_and(|place| {
                    place == (offset, size) || may_grow && place.0 == offset && place.1 > size
                });
                let was = (offset, size);
                assert!(stays, "{key:?} in {compiler} is {place:?}, in {file:?} it was {was:?}");
            }
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

/// The structs and fields that the text of a header declares.
fn declared(header: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some(at) = rest.find("typedef struct ") {
        rest = &rest[at + "typedef struct ".len()..];
        let Some((name, _)) = rest.split_once([' ', ';']) else { break };
        let name = name.to_owned();
        // A struct that is only named is the target of a pointer and has no layout.
        if !rest[name.len()..].starts_with(" {") {
            continue;
        }
        let end = rest.find(&format!("}} {name};")).expect("a struct has an end");
        let body = rest[name.len() + 2..end].to_owned();
        rest = &rest[end..];
        // The parts for C++ only are functions.
        let body = body.split("#ifdef __cplusplus").next().unwrap();
        let code: Vec<&str> = body.lines().map(|line| line.split("//").next().unwrap()).collect();
        let code = code.join("\n");
        let members = code.split(';').map(str::trim).filter(|member| !member.is_empty());
        let field = |member: &str| match member.find("(*") {
            Some(at) => member[at + 2..].split(')').next().unwrap().to_owned(),
            None => {
                let name = member.rsplit([' ', '*', '\n']).next().unwrap();
                name.split('[').next().unwrap().to_owned()
            }
        };
        found.push((name, members.map(field).collect()));
    }
    found
}

/// A struct added to the contract must be added to this test.
#[test]
fn every_struct_of_the_headers_is_compared() {
    let headers = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include/chimaera/abi");
    let headers = std::fs::read_dir(headers).expect("the headers are part of the sources");
    let declared: Vec<_> = headers
        .flat_map(|header| {
            let header = header.expect("the directory is readable").path();
            declared(&std::fs::read_to_string(header).expect("a header is text"))
        })
        .collect();
    assert!(declared.len() > 15, "{declared:?}");
    let cpp = cpp();
    for (name, fields) in declared {
        for field in std::iter::once(String::new()).chain(fields) {
            let known = cpp.contains_key(&(name.clone(), field.clone()));
            assert!(known, "{name}.{field} is not compared");
        }
    }
}
