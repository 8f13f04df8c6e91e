/* The part of the C++ client that Rust sees. */
#ifndef WRITTEN_PRESS_BRIDGE_H_
#define WRITTEN_PRESS_BRIDGE_H_

#include <cstdint>
#include <memory>

#include "press/press_client.h"
#include "rust/cxx.h"

namespace written::press::bridge {

struct Outcome;
struct Pool;
struct Turn;

/* A call of kTurn in flight. */
struct PendingTurn {
  Client::PendingTurn task;
};

Outcome create(rust::Str pool_name, Pool &pool);
Outcome start_turn(Pool pool, const Turn &turn, std::unique_ptr<PendingTurn> &pending);
Outcome finish_turn(const PendingTurn &pending, Turn &turn);
Outcome fail(Pool pool, bool thrown, rust::Str why);
Outcome relay(Pool pool, rust::Str store, rust::Str text, std::uint32_t width, rust::Str why,
              rust::Vec<rust::String> &answers);

}  // namespace written::press::bridge

#endif  // WRITTEN_PRESS_BRIDGE_H_
