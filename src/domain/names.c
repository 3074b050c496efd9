/* The rules for names that users choose. */
#include "domain/names.h"

#include <string.h>

#include "base/bytes.h"
#include "domain/key.h"

bool st_names_is_plain(subtoken_text text) {
  uint32_t code_point;
  while (text.len > 0) {
    size_t len = st_utf8_next(text.data, text.len, &code_point);
    if (len == 0 || st_utf8_is_control(code_point)) return false;
    text = (subtoken_text){text.data + len, text.len - len};
  }
  return true;
}

bool st_names_username_valid(subtoken_text name) {
  return name.len > 0 && name.len <= ST_NAME_MAX && st_names_is_plain(name) &&
         memchr(name.data, ':', name.len) == NULL;
}

bool st_names_new_username_valid(subtoken_text name) {
  return st_names_username_valid(name) && !st_text_is(name, ".") && !st_text_is(name, "..");
}
