/* chi::names: the names that a module's own code may use unqualified. */
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

/** The generated methods header of a module contains `using namespace chi::names;` in the module's
 * namespace, so that its code can say `class Runtime : public ContainerRuntime`. Names that the
 * module or its repo declares itself hide these. */
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
