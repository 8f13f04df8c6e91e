/* JSON strings for the programs whose output the whole-system tests read. C and C++. */
#ifndef CHIMAERA_TESTS_JSON_H_
#define CHIMAERA_TESTS_JSON_H_

#include <stddef.h>
#include <stdio.h>

/** Prints a quoted and escaped string; bytes beyond ASCII are printed as they are. */
static inline void json_text(const char *text, size_t size) {
  putchar('"');
  for (size_t i = 0; i < size; ++i) {
    const unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      printf("\\%c", c);
    } else if (c < 0x20) {
      printf("\\u%04x", c);
    } else {
      putchar(c);
    }
  }
  putchar('"');
}

/** Prints `"key":"value"`. */
static inline void json_string(const char *key, const char *value, size_t size) {
  printf("\"%s\":", key);
  json_text(value, size);
}

#endif  // CHIMAERA_TESTS_JSON_H_
