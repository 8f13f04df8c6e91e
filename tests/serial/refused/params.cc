// refused: a raw pointer cannot be serialised: it means nothing in another process.
#include <vector>

#include "chimaera/params.h"

struct Params {
  std::vector<const char *> names_;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(names_);
  }
};

std::string Bytes(const Params &params) { return chi::ParamsToBytes(params); }
