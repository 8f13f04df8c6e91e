/* The symbols that a ChiMod exports.
 * Generated from src/abi/module.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_MODULE_H_
#define CHIMAERA_ABI_MODULE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chimaera/abi/container.h"
#include "chimaera/abi/host.h"
#include "chimaera/abi/version.h"

// The method that the runtime runs once per container, with the creating task, when a pool is
// created.
#define CHI_METHOD_CREATE 0

// The method that the runtime runs once per container before a pool is destroyed.
#define CHI_METHOD_DESTROY 1

// The method for a container when something that it depends on was lost (`chi_life_task`). This version
// never calls it.
#define CHI_METHOD_NODE_FAILURE 2

// The method that the runtime runs on a container that was made without the help of its predecessor
// (`chi_life_task`).
#define CHI_METHOD_RECOVER 3

// The method that the runtime runs on a container that has loaded the state of its predecessor, of the
// same version of the module (`chi_life_task`).
#define CHI_METHOD_MIGRATE 4

// The method that the runtime runs on a container that has loaded the state of its predecessor, of
// another version of the module (`chi_life_task`).
#define CHI_METHOD_UPGRADE 5

// The first number for a module's own methods. Clients may submit tasks only for these.
#define CHI_METHOD_CUSTOM 10

// Method numbers are below this.
#define CHI_METHOD_LIMIT 4096

// `chi_method.flags_`: the container implements the method. Without this flag, its tasks end with
// `CHI_UNSUPPORTED`.
#define CHI_METHOD_SUPPORTED 1

// `chi_method.flags_`: the module has a monitor for the method. Without one, the runtime picks the
// lane itself.
#define CHI_METHOD_MONITORED 2

// `chi_method.flags_`: the module merges the results of a broadcast, in
// `chi_container_ops.aggregate`. Without this flag, a broadcast returns the result of container 0.
// Since ABI 1.1.
#define CHI_METHOD_AGGREGATED 4

// `chi_method.flags_`: `chi_container_ops.serialize` supports the method's tasks. Since ABI 1.1.
#define CHI_METHOD_SERIALIZED 8

// `chi_method.flags_`: the method's tasks may run twice, also after later ones, and that changes nothing: if a
// node of the cluster is lost while it has one, the runtime sends it to the container's next owner instead of
// ending it with `CHI_NODE_LOST`. Since ABI 1.1.
#define CHI_METHOD_IDEMPOTENT 16

// `chi_method.flags_`: the method's task is not described in `chimaera_mod.yaml`, and its fingerprint is that of
// its declaration: `CHI_DECLARED_IN_CPP` or `CHI_DECLARED_IN_RUST` in the two low bits, and above them a hash of
// what the language can tell of the task's fields. Fingerprints of different languages are not compared. Since
// ABI 1.2.
#define CHI_METHOD_DECLARED 32

// The two low bits of the fingerprint of a task that is declared in C++.
#define CHI_DECLARED_IN_CPP 1

// The two low bits of the fingerprint of a task that is declared in Rust.
#define CHI_DECLARED_IN_RUST 2

// `chi_method.flags_`: the bits from this one up are the fingerprint of the task's description in
// `chimaera_mod.yaml`, or of its declaration, or 0. See `CHI_TASK_LAYOUT`.
#define CHI_METHOD_DESCRIPTION_SHIFT 13

// One method of a module.
typedef struct chi_method {
  // Its number, below `CHI_METHOD_LIMIT`.
  uint32_t number_;
  // `CHI_METHOD_SUPPORTED`, `CHI_METHOD_MONITORED`, `CHI_METHOD_AGGREGATED`,
  // `CHI_METHOD_SERIALIZED`, `CHI_METHOD_IDEMPOTENT`, `CHI_METHOD_DECLARED`, and above them
  // `CHI_METHOD_DESCRIPTION_SHIFT`.
  uint32_t flags_;
  // Its name, for example `"kCompress"`.
  const char *name_;
  // Size of its task in bytes, including `chi_task`. 0 for a method that is not supported.
  uint32_t task_size_;
  // The number of strings and vectors directly in the task.
  uint32_t n_fields_;
  // Their layouts, `n_fields_` of them; null when there are none.
  const struct chi_field_layout *fields_;
} chi_method;

// The magic number of a `chi_module_descriptor`: `"ChiMod"` and two zero bytes, little-endian.
#define CHI_MODULE_MAGIC 110429202901059

// `chi_module_descriptor.language`: C++.
#define CHI_LANG_CPP 1

// `chi_module_descriptor.language`: Rust.
#define CHI_LANG_RUST 2

// `chi_module_descriptor.language`: C, or any other language that can implement the C contract.
#define CHI_LANG_C 3

// A module's description of itself. Everything that it points to must live as long as the process.
typedef struct chi_module_descriptor {
  // `CHI_MODULE_MAGIC`. The first member in every version of the contract.
  uint64_t magic;
  // `sizeof(chi_module_descriptor)` in the module.
  uint32_t size;
  // The `CHI_ABI_MAJOR` that the module was built against.
  uint32_t abi_major;
  // The `CHI_ABI_MINOR` that the module was built against.
  uint32_t abi_minor;
  // `CHI_LANG_*`.
  uint32_t language;
  // The version of the SDK that the module was built with, for example `"0.1.0"`.
  const char *sdk_version;
  // The module's name, `"repo:module"`; the same name that `get_module_name()` returns.
  const char *name;
  // The module's own version.
  const char *version;
  // The number of entries in `methods`.
  uint32_t n_methods;
  // `sizeof(chi_method)` in the module: the distance from one entry to the next.
  uint32_t method_stride;
  // The methods, in any order; no number may occur twice.
  const struct chi_method *methods;
  // `sizeof(chi_field_layout)` in the module: the distance from one layout to the next.
  uint32_t field_stride;
  // Zero.
  uint32_t reserved;
  // Writes the canonical form of a pool's parameters to `archive`: equal parameters may be given
  // as bytes or as text, and with or without their defaults. The runtime calls it before it
  // creates a pool or compares parameters with those of an existing pool; containers receive the
  // canonical form. Null when the module accepts any bytes, and they need no conversion. Must
  // not suspend. Since ABI 1.1.
  //
  // * Ownership: parameters and archive stay the caller's; pointers to them are not kept.
  // * Null: `params` may be null when `len` is 0; `archive` is not null.
  // * Errors: `CHI_INVALID`, after `chi_host.set_error`, when the parameters are invalid.
  // * Thread: `[worker]`.
  chi_status (*params)(const void *params, uint64_t len, struct chi_archive *archive);
  // Writes to `archive` the names of the pools that a pool's parameters, in their canonical form,
  // name: each followed by a zero byte. The pool depends on them. Null when parameters name none.
  // Must not suspend. Since ABI 1.1.
  //
  // * Ownership: parameters and archive stay the caller's; pointers to them are not kept.
  // * Null: `params` may be null when `len` is 0; `archive` is not null.
  // * Errors: `CHI_INVALID`, after `chi_host.set_error`, when the parameters are invalid.
  // * Thread: `[worker]`.
  chi_status (*pools)(const void *params, uint64_t len, struct chi_archive *archive);
  // What the module says of its tasks: JSON with the names, types and documentation of their fields, as
  // `chimaera_mod.yaml` has them, at most 1 MiB. With it, programs can call methods without the module's client.
  // Null when the module says nothing. A module is refused whose tasks have another size than it says, or whose
  // strings and vectors are elsewhere; what a runtime cannot read, because it is of a later version, it leaves aside.
  // Since ABI 1.2.
  const char *description;
} chi_module_descriptor;

// `chi_module`, exported by every module: returns the module's description. The runtime calls it
// once, before every other function of the module.
//
// * Ownership: the host and the descriptor live as long as the process.
// * Null: `host` is not null. The result is null, after `chi_host.set_error`, when the module
//   cannot work in this runtime.
// * Thread: `[loader]`.
typedef const struct chi_module_descriptor *(*chi_module_fn)(const struct chi_host *host);

// `get_module_name`, exported by every module: returns its name, `"repo:module"`.
//
// * Ownership: the name lives as long as the process.
// * Null: the result is not null.
// * Thread: `[any thread]`.
typedef const char *(*chi_get_module_name_fn)(void);

// `alloc_state` and `new_state`, exported by every module. Both construct a container, a
// `chi_container`; `new_state` calls `chi_container_ops.init` too.
//
// * Ownership: the container is the runtime's until `chi_container_ops.destroy`; the arguments are
//   not kept.
// * Null: neither argument is null. The result is null, after `chi_host.set_error`, when
//   construction failed.
// * Thread: `[loader]`.
typedef void *(*chi_new_state_fn)(const struct chi_pool_id *pool_id, const char *pool_name);

#endif  // CHIMAERA_ABI_MODULE_H_
