/* Compiles the listing with both archives. */
#include "state.h"

template void Runtime::State(chi::SaveState &);
template void Runtime::State(chi::LoadState &);
static_assert(chi::detail::kHasState<Runtime>, "the container can be saved");
