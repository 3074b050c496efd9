/* fuzz - what the fuzz targets share. Each has an oracle: HOLD what has to be true of
 * any input, and not only that nothing crashes.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLD(condition)                                                              \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                       \
    }                                                                                \
  } while (0)

/* A heap block of the exact size, so that a byte read too many is seen. Free it. */
static inline char *fuzz_copy(const void *data, size_t size) {
  char *copy = malloc(size > 0 ? size : 1);
  if (copy == NULL) abort();
  if (size > 0) memcpy(copy, data, size);
  return copy;
}

/* Cuts a line off the front of *rest; without one, all of it. */
static inline subtoken_text fuzz_line(subtoken_text *rest) {
  size_t i = 0;
  while (i < rest->len && rest->data[i] != '\n') i++;
  subtoken_text line = {rest->data, i};
  size_t skip = i < rest->len ? i + 1 : i;
  *rest = (subtoken_text){rest->data + skip, rest->len - skip};
  return line;
}

#endif
