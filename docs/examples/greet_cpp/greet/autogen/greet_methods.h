// clang-format off
/* The methods of hello:greet. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_GREET_METHODS_H_
#define HELLO_GREET_METHODS_H_

#include "chimaera/chimaera.h"

namespace hello::greet {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  /** Makes a greeting of a name. */
  CLS_CONST int kGreet = 10;
};

}  // namespace hello::greet

#endif  // HELLO_GREET_METHODS_H_
