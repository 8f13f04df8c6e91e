// clang-format off
/* The methods of written:press. Generated from chimaera_mod.yaml; do not edit. */
#ifndef WRITTEN_PRESS_METHODS_H_
#define WRITTEN_PRESS_METHODS_H_

#include "chimaera/chimaera.h"

namespace written::press {

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

}  // namespace written::press

#endif  // WRITTEN_PRESS_METHODS_H_
