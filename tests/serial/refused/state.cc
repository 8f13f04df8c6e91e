// refused: declare State as a public template <typename Ar> void State(Ar &ar)
#include "chimaera/state.h"

struct Runtime {
  void State(chi::SaveState &ar) { ar(count_); }

  chi::u64 count_ = 0;
};

static_assert(chi::detail::kHasState<Runtime>);
