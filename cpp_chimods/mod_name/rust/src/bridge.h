/* The part of the C++ client that Rust sees. */
#ifndef EXAMPLE_MOD_NAME_BRIDGE_H_
#define EXAMPLE_MOD_NAME_BRIDGE_H_

#include <cstdint>

#include "rust/cxx.h"

namespace example::mod_name::bridge {

struct Reply;
struct Pool;
struct Query;

Reply create(rust::Str pool_name);
Reply compress(Pool pool, Query query, rust::Slice<const std::uint8_t> data, std::int32_t level);
Reply decompress(Pool pool, Query query, rust::Slice<const std::uint8_t> data,
                 std::uint64_t max_size);

}  // namespace example::mod_name::bridge

#endif  // EXAMPLE_MOD_NAME_BRIDGE_H_
