// clang-format off
/* The methods of described:parts. Generated from chimaera_mod.yaml; do not edit. */
#ifndef DESCRIBED_PARTS_METHODS_H_
#define DESCRIBED_PARTS_METHODS_H_

#include "chimaera/chimaera.h"

namespace described::parts {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  /** Sums up the bytes of every block. */
  CLS_CONST int kSum = 10;
  /** Gives everything back, some of it turned round. */
  CLS_CONST int kTurn = 11;
  /** Does nothing. */
  CLS_CONST int kNothing = 12;
  /** Fails. */
  CLS_CONST int kFail = 13;
  /** Has the module in the other language sum up bytes, several times at once. */
  CLS_CONST int kRelay = 14;
  /** Says what the pool was created with. */
  CLS_CONST int kSettings = 16;
  /** Sleeps. */
  CLS_CONST int kPause = 17;
};

}  // namespace described::parts

#endif  // DESCRIBED_PARTS_METHODS_H_
