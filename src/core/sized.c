/* Completes a structure from a program that was built with earlier headers: core/sized.h. Programs
 * with the headers of this version never get here.
 */
#include "core/sized.h"

const void *st_sized_fill(const void *given, size_t least, size_t most, const void *standard,
                          void *copy) {
  size_t size;
  memcpy(&size, given, sizeof size);
  if (!st_sized_fits(size, least, most)) return NULL;
  memcpy(copy, standard, most);
  st_sized_copy(copy, size, given);
  return copy;
}
