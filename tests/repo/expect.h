/* Checks for the C and C++ clients of the tests. */
#ifndef CHIMAERA_TESTS_REPO_EXPECT_H_
#define CHIMAERA_TESTS_REPO_EXPECT_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chimaera/abi.h"

/** Exits the program unless the condition holds. */
#define EXPECT(CONDITION)                                                               \
  do {                                                                                  \
    if (!(CONDITION)) {                                                                 \
      fprintf(stderr, "%s:%d: %s does not hold (%s)\n", __FILE__, __LINE__, #CONDITION, \
              chi_last_error());                                                        \
      exit(1);                                                                          \
    }                                                                                   \
  } while (0)

/** Runs a task, which must end with a status and, if `message` is not null, with that in its
 * message. */
static inline void expect_end(chi_task *task, chi_status expected, const char *message) {
  EXPECT(chi_submit(task) == CHI_OK);
  EXPECT(chi_wait(task, CHI_WAIT_FOREVER) == expected);
  if (message != NULL) EXPECT(strstr(chi_last_error(), message) != NULL);
}

/** A non-ASCII text, and a long one. */
#define TEXT "K\xc3\xa4se \xe2\x82\xac"
#define LONG_SIZE 100000

#endif  // CHIMAERA_TESTS_REPO_EXPECT_H_
