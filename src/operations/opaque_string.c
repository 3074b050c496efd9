/* The OpaqueString profile, in the order of RFC 8265 section 4.2.2. Spaces are mapped between
 * decomposing and composing, which comes to the same. Nothing else calls libutf8proc; it works in
 * memory of ours, so that no password is left in what malloc gets back.
 */
#include "operations/opaque_string.h"

#include <string.h>
#include <utf8proc.h>

#include "base/bytes.h"
#include "domain/password.h"

/* Code points: no character is taken apart into more than four. */
#define ROOM 4096
_Static_assert(ROOM >= 4 * ST_PASSWORD_MAX, "too small");
#define FORM_C (UTF8PROC_COMPOSE | UTF8PROC_STABLE)

static bool opaque_string_is_ascii(subtoken_text text) {
  for (size_t i = 0; i < text.len; i++) {
    if ((uint8_t)text.data[i] >= 0x80) return false;
  }
  return true;
}

/* RFC 8265 section 4.2.2, rule 2: whatever is of the category Zs. */
static void opaque_string_map_spaces(utf8proc_int32_t *points, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (utf8proc_category(points[i]) == UTF8PROC_CATEGORY_ZS) points[i] = ' ';
  }
}

/* In memory of our own, so that nothing of it is left in what malloc gave back. The length in
 * bytes, or 0.
 */
static size_t opaque_string_compose(subtoken_text typed, utf8proc_int32_t points[ROOM + 1]) {
  const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)typed.data;
  utf8proc_ssize_t count =
      utf8proc_decompose(bytes, (utf8proc_ssize_t)typed.len, points, ROOM, FORM_C);
  if (count <= 0 || count > ROOM) return 0;
  opaque_string_map_spaces(points, (size_t)count);
  utf8proc_ssize_t len = utf8proc_reencode(points, count, FORM_C);
  return len > 0 && (size_t)len <= ST_OPAQUE_STRING_MAX ? (size_t)len : 0;
}

subtoken_text st_opaque_string_enforce(subtoken_text typed, char out[ST_OPAQUE_STRING_MAX]) {
  utf8proc_int32_t points[ROOM + 1];
  if (typed.len > ST_PASSWORD_MAX || opaque_string_is_ascii(typed) || !st_utf8_valid(typed)) {
    return typed;
  }
  size_t len = opaque_string_compose(typed, points);
  if (len > 0) memcpy(out, points, len);
  subtoken_wipe(points, sizeof points);
  return len > 0 ? (subtoken_text){out, len} : typed;
}
