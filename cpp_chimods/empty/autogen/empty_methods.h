// clang-format off
/* The methods of example:empty. Generated from chimaera_mod.yaml; do not edit. */
#ifndef EXAMPLE_EMPTY_METHODS_H_
#define EXAMPLE_EMPTY_METHODS_H_

#include "chimaera/chimaera.h"

namespace example::empty {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  CLS_CONST int kEmpty = 10;
};

}  // namespace example::empty

#endif  // EXAMPLE_EMPTY_METHODS_H_
