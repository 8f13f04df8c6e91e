/* The client of written:press. */
#ifndef WRITTEN_PRESS_CLIENT_H_
#define WRITTEN_PRESS_CLIENT_H_

#include "client.h"
#include "press/press_tasks.h"

namespace written::press {

/** Calls a pool of the module. */
using Client = BasicClient<Extent, TurnTask, FailTask, RelayTask>;

/** The module's name. */
constexpr const char *kModule = "written:press";

}  // namespace written::press

#endif  // WRITTEN_PRESS_CLIENT_H_
