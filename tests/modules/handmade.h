/* What the test modules share: a Runtime without generated code, that overrides Run itself. */
#ifndef CHIMAERA_TESTS_HANDMADE_H_
#define CHIMAERA_TESTS_HANDMADE_H_

#include "chimaera/chimaera.h"

namespace test {

/** A container without monitors. */
class Handmade : public chi::ContainerRuntime {
 public:
  void Monitor(chi::MonitorModeId, chi::u32, hipc::FullPtr<chi::Task>, chi::RunContext &) override {
  }
  void Del(const hipc::MemContext &, chi::u32, hipc::FullPtr<chi::Task>) override {}
};

}  // namespace test

#endif  // CHIMAERA_TESTS_HANDMADE_H_
