/* The C contract of Chimaera: types, status codes, and the tables of functions that modules and
 * clients are built on. Generated from src/abi and src/client/c by `make headers`; do not edit.
 *
 * Each subject has its own header. Strings are UTF-8. Nothing here throws. Every function documents
 * who owns its arguments and its result (Ownership), which pointers may be null (Null), which
 * statuses it returns besides CHI_OK (Errors), and which threads may call it (Thread):
 * [any thread], [worker] (a thread of the runtime that is running a method or a monitor), [loader]
 * (the thread that is loading a module or building a container). */
#ifndef CHIMAERA_ABI_H_
#define CHIMAERA_ABI_H_

#include "chimaera/abi/version.h"
#include "chimaera/abi/status.h"
#include "chimaera/abi/shm.h"
#include "chimaera/abi/task.h"
#include "chimaera/abi/ipc.h"
#include "chimaera/abi/archive.h"
#include "chimaera/abi/life.h"
#include "chimaera/abi/container.h"
#include "chimaera/abi/locks.h"
#include "chimaera/abi/events.h"
#include "chimaera/abi/pollers.h"
#include "chimaera/abi/clients.h"
#include "chimaera/abi/directory.h"
#include "chimaera/abi/places.h"
#include "chimaera/abi/publishing.h"
#include "chimaera/abi/storage.h"
#include "chimaera/abi/host.h"
#include "chimaera/abi/module.h"
#include "chimaera/abi/admin.h"
#include "chimaera/abi/client.h"
#include "chimaera/abi/fields.h"

#endif  // CHIMAERA_ABI_H_
