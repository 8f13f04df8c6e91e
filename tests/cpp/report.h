/* How the C++ programs report their outcome to the whole-system tests. */
#ifndef CHIMAERA_TESTS_REPORT_H_
#define CHIMAERA_TESTS_REPORT_H_

#include <cstdio>
#include <exception>
#include <string>

#include "chimaera/chimaera.h"
#include "json.h"

/** Calls `f`, and prints a JSON line with the status and, if it throws, the reason. Returns the
 * exit code for `main`. */
template <typename F>
int Report(F f) {
  chi_status status = CHI_OK;
  std::string message;
  try {
    f();
  } catch (const chi::Error &error) {
    status = error.status();
    message = error.what();
  } catch (const std::exception &error) {
    status = CHI_FAILED;
    message = error.what();
  }
  std::printf("{\"status\":%d,", status);
  json_string("message", message.data(), message.size());
  std::puts("}");
  return 0;
}

#endif  // CHIMAERA_TESTS_REPORT_H_
