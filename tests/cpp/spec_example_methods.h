/* What the generator makes of the YAML file of spec_example.cc's module: its methods. */
#ifndef CHIMAERA_TESTS_SPEC_EXAMPLE_METHODS_H_
#define CHIMAERA_TESTS_SPEC_EXAMPLE_METHODS_H_

#include "chimaera/macros.h"

namespace example::spec_name {

class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kNodeFailure = 2;
  CLS_CONST int kRecover = 3;
  CLS_CONST int kMigrate = 4;
  CLS_CONST int kUpgrade = 5;
  CLS_CONST int kCompress = 10;
};

}  // namespace example::spec_name

#endif  // CHIMAERA_TESTS_SPEC_EXAMPLE_METHODS_H_
