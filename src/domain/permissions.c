/* Lists of permissions as rows have them, joined by commas: read from an option, written as JSON.
 * Which permissions a token has, is a question to its claims (core/claims.c).
 */
#include "domain/permissions.h"

#include <string.h>

#include "base/json.h"
#include "core/claims.h"

bool st_permissions_read(const char *list, char out[ST_PERMISSIONS_TEXT_MAX + 1]) {
  subtoken_claims seen;
  memset(&seen, 0, offsetof(subtoken_claims, text));
  st_writer writer = st_writer_on(out, ST_PERMISSIONS_TEXT_MAX + 1);
  st_cutter cutter = {st_text(list), list[0] == '\0'};
  subtoken_text item;
  while (st_cut_item(&cutter, &item)) {
    if (!subtoken_permission_valid(item) || st_claims_has_permission(&seen, item) ||
        !st_claims_add_permission(&seen, item)) {
      return false;
    }
    if (writer.len > 0) st_write_char(&writer, ',');
    st_write_view(&writer, item);
  }
  return st_writer_end(&writer);
}

bool st_permissions_contain(const char *list, subtoken_text permission) {
  st_cutter cutter = {st_text(list), list[0] == '\0'};
  subtoken_text held;
  while (st_cut(&cutter, ',', &held)) {
    if (st_text_equal(held, permission)) return true;
  }
  return false;
}

bool st_permissions_within(const char *inner, const char *outer) {
  st_cutter cutter = {st_text(inner), inner[0] == '\0'};
  subtoken_text permission;
  while (st_cut(&cutter, ',', &permission)) {
    if (!st_permissions_contain(outer, permission)) return false;
  }
  return true;
}

bool st_permissions_meet(const char *one, const char *other) {
  st_cutter cutter = {st_text(one), one[0] == '\0'};
  subtoken_text permission;
  while (st_cut(&cutter, ',', &permission)) {
    if (st_permissions_contain(other, permission)) return true;
  }
  return false;
}

void st_permissions_write_json(st_writer *writer, const char *permissions) {
  st_cutter cutter = {st_text(permissions), permissions[0] == '\0'};
  subtoken_text each;
  st_write_char(writer, '[');
  for (bool first = true; st_cut(&cutter, ',', &each); first = false) {
    if (!first) st_write_char(writer, ',');
    st_json_write_string(writer, each);
  }
  st_write_char(writer, ']');
}
