/* The C++ client of written:loom, a Rust module. */
#ifndef WRITTEN_LOOM_CLIENT_H_
#define WRITTEN_LOOM_CLIENT_H_

#include "client.h"
#include "loom_tasks.h"

namespace written::loom {

/** Calls a pool of the module. */
using Client = BasicClient<Extent, TurnTask, FailTask, RelayTask>;

/** The module's name. */
constexpr const char *kModule = "written:loom";

}  // namespace written::loom

#endif  // WRITTEN_LOOM_CLIENT_H_
