/* Chimaera for C++: the one include.
 *
 * Applications and clients get tasks, hipc types and the IPC manager. Modules are compiled with
 * CHIMAERA_RUNTIME defined (link chimaera::module) and get the container and CHI_TASK_CC besides.
 * C includes chimaera/abi.h instead. */
#ifndef CHIMAERA_CHIMAERA_H_
#define CHIMAERA_CHIMAERA_H_

#include "chimaera/archive.h"
#include "chimaera/client.h"
#include "chimaera/completions.h"
#include "chimaera/entry_points.h"
#include "chimaera/error.h"
#include "chimaera/hipc_string.h"
#include "chimaera/hipc_vector.h"
#include "chimaera/ipc_manager.h"
#include "chimaera/lease.h"
#include "chimaera/names.h"
#include "chimaera/params.h"
#include "chimaera/shared_library.h"
#include "chimaera/task.h"
#include "chimaera/types.h"

#ifdef CHIMAERA_RUNTIME
#include "chimaera/container.h"
#include "chimaera/directory.h"
#include "chimaera/event.h"
#include "chimaera/lock.h"
#include "chimaera/log.h"
#include "chimaera/module.h"
#include "chimaera/place.h"
#include "chimaera/published.h"
#include "chimaera/sender.h"
#include "chimaera/state.h"
#include "chimaera/storage.h"
#include "chimaera/task_serializers.h"
#else
#include "chimaera/session.h"
#endif

#endif  // CHIMAERA_CHIMAERA_H_
