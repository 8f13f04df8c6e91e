/* chi::names: what a module's own code may name without a namespace. */
#ifndef CHIMAERA_NAMES_H_
#define CHIMAERA_NAMES_H_

#include "chimaera/client.h"
#include "chimaera/hipc.h"
#include "chimaera/task.h"

#ifdef CHIMAERA_RUNTIME
#include "chimaera/container.h"
#endif

namespace chi {
inline namespace v1 CHI_LAYER {

/** The generated methods header of a module has `using namespace chi::names;` in the module's
 * namespace, so that its code may say `class Runtime : public ContainerRuntime`. A name that the
 * module or its repo declares itself hides the one from here. */
namespace names {

using chi::ContainerClient;
#ifdef CHIMAERA_RUNTIME
using chi::ContainerRuntime;
#endif
using chi::CreateTask;
using chi::DestroyTask;
using chi::Task;
using hipc::FullPtr;

}  // namespace names

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_NAMES_H_
