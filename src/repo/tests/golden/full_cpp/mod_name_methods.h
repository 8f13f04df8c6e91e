// clang-format off
/* The methods of example:mod_name. Generated from chimaera_mod.yaml; do not edit. */
#ifndef EXAMPLE_MOD_NAME_METHODS_H_
#define EXAMPLE_MOD_NAME_METHODS_H_

#include "chimaera/chimaera.h"

namespace example::mod_name {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  CLS_CONST int kNodeFailure = 2;
  CLS_CONST int kRecover = 3;
  CLS_CONST int kMigrate = 4;
  CLS_CONST int kUpgrade = 5;
  CLS_CONST int kFirst = 10;
  /** Does the last thing */
  CLS_CONST int kLast = 4095;
};

}  // namespace example::mod_name

#endif  // EXAMPLE_MOD_NAME_METHODS_H_
