/* Structures of an earlier version of the headers. This is off the way of callers that were built
 * with the headers of this version; sized.h has what they pass.
 */
#include "core/sized.h"

const void *st_sized_fill(const void *given, size_t least, size_t most, const void *standard,
                          void *room) {
  size_t size;
  memcpy(&size, given, sizeof size);
  if (!st_sized_fits(size, least, most)) return NULL;
  memcpy(room, standard, most);
  st_sized_copy(room, size, given);
  return room;
}
