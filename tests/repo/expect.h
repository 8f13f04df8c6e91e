/* What the clients in C and C++ of the tests check with. */
#ifndef CHIMAERA_TESTS_REPO_EXPECT_H_
#define CHIMAERA_TESTS_REPO_EXPECT_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chimaera/abi.h"

/** Ends the program unless the condition holds. */
#define EXPECT(CONDITION)                                                           \
  do {                                                                              \
    if (!(CONDITION)) {                                                             \
      fprintf(stderr, "%s:%d: %s is not so (%s)\n", __FILE__, __LINE__, #CONDITION, \
              chi_last_error());                                                    \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)

/** Sends a task, which ends with a status, and with that in its message when it is not null. */
static inline void expect_end(chi_task *task, chi_status expected, const char *message) {
  EXPECT(chi_submit(task) == CHI_OK);
  EXPECT(chi_wait(task, CHI_WAIT_FOREVER) == expected);
  if (message != NULL) EXPECT(strstr(chi_last_error(), message) != NULL);
}

/** A text that is not ASCII, and one that is long. */
#define TEXT "K\xc3\xa4se \xe2\x82\xac"
#define LONG_SIZE 100000

#endif  // CHIMAERA_TESTS_REPO_EXPECT_H_
