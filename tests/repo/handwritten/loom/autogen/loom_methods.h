// clang-format off
/* The methods of written:loom. Generated from chimaera_mod.yaml; do not edit. */
#ifndef WRITTEN_LOOM_METHODS_H_
#define WRITTEN_LOOM_METHODS_H_

#include "chimaera/chimaera.h"

namespace written::loom {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  CLS_CONST int kTurn = 10;
  CLS_CONST int kFail = 11;
  CLS_CONST int kRelay = 12;
};

}  // namespace written::loom

#endif  // WRITTEN_LOOM_METHODS_H_
