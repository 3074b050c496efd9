/* If-None-Match: which versions of an answer a client has. What cannot be read matches nothing: the
 * answer is then only longer. Who sends tags: revocations.c, static_file.c.
 */
#include "service/entity_tag.h"

#include "base/bytes.h"

static void entity_tag_skip_to_item(subtoken_text *list) {
  while (list->len > 0 && strchr(" \t,", list->data[0]) != NULL && list->data[0] != '\0') {
    *list = (subtoken_text){list->data + 1, list->len - 1};
  }
}

/* Cut the next entity-tag off, without `W/` and quotes: the comparison is the weak one. */
static bool entity_tag_next(subtoken_text *list, subtoken_text *tag) {
  size_t at = 0, end;
  entity_tag_skip_to_item(list);
  if (list->len > 2 && list->data[0] == 'W' && list->data[1] == '/') at = 2;
  if (at >= list->len || list->data[at] != '"') return false;
  for (end = ++at; end < list->len && list->data[end] != '"';) end++;
  if (end == list->len) return false;
  *tag = (subtoken_text){list->data + at, end - at};
  *list = (subtoken_text){list->data + end + 1, list->len - end - 1};
  return true;
}

bool st_entity_tag_is_known(const st_request *request, const char *tag) {
  for (size_t i = 0; i < request->header_count; i++) {
    if (!st_text_is_nocase(request->headers[i].name, "If-None-Match")) continue;
    subtoken_text list = request->headers[i].value, one;
    if (st_text_is(list, "*")) return true;
    while (entity_tag_next(&list, &one)) {
      if (st_text_is(one, tag)) return true;
    }
  }
  return false;
}
