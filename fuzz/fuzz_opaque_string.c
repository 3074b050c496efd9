/* What a password becomes before it is hashed: the same again when it is asked again, UTF-8 if it
 * was, within its bounds, and never nothing.
 */
#include "fuzz.h"
#include "operations/opaque_string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char once[ST_OPAQUE_STRING_MAX], twice[ST_OPAQUE_STRING_MAX];
  char *copy = fuzz_copy(data, size);
  subtoken_text typed = {copy, size};
  subtoken_text is = st_opaque_string_enforce(typed, once);
  HOLD(is.data == once || (is.data == copy && is.len == size));
  HOLD(is.len <= ST_OPAQUE_STRING_MAX || is.data == copy);
  HOLD(st_utf8_valid(is) == st_utf8_valid(typed));
  HOLD((is.len == 0) == (size == 0));
  if (is.len <= ST_PASSWORD_MAX) HOLD(st_text_equal(st_opaque_string_enforce(is, twice), is));
  free(copy);
  return 0;
}
