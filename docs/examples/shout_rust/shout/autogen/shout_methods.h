// clang-format off
/* The methods of hello:shout. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_SHOUT_METHODS_H_
#define HELLO_SHOUT_METHODS_H_

#include "chimaera/chimaera.h"

namespace hello::shout {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  /** Makes a text loud. */
  CLS_CONST int kShout = 10;
};

}  // namespace hello::shout

#endif  // HELLO_SHOUT_METHODS_H_
