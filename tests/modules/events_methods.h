/* The methods of test:events; each takes a test::model::ValueTask. */
#ifndef CHIMAERA_TESTS_EVENTS_METHODS_H_
#define CHIMAERA_TESTS_EVENTS_METHODS_H_

#include "model_tasks.h"

namespace test::events {

using test::model::ValueTask;

/** The numbers of the methods. tests/modules/rust_model/client/src/events.rs says what they do. */
class Method {
 public:
  CLS_CONST int kSignalled = 10;
  CLS_CONST int kTimed = 11;
  CLS_CONST int kEarly = 12;
  CLS_CONST int kWait = 13;
  CLS_CONST int kWaiting = 14;
  CLS_CONST int kSet = 15;
  CLS_CONST int kPoll = 16;
  CLS_CONST int kArm = 17;
  CLS_CONST int kElsewhere = 18;
};

}  // namespace test::events

#endif  // CHIMAERA_TESTS_EVENTS_METHODS_H_
