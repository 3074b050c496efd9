/* What is accepted, another JSON reader sees the same way: every user in its order, once,
 * with what it may do. What is refused says why, and gives out nothing.
 */
#include <cJSON.h>

#include "base/base64url.h"
#include "core/claims.h"
#include "domain/access_file.h"
#include "domain/names.h"
#include "fuzz.h"

static const char *string_of(const cJSON *object, const char *name) {
  const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
  return cJSON_IsString(value) ? value->valuestring : NULL;
}

static bool is_bytes(const char *text, const uint8_t *bytes, size_t len) {
  uint8_t out[ST_SALT_MAX];
  size_t out_len = 0;
  return text != NULL && st_base64_read(st_text(text), ST_PADDED, out, sizeof out, &out_len) &&
         out_len == len && (len == 0 || memcmp(out, bytes, len) == 0);
}

static void check_permissions(const st_access_entry *entry, const cJSON *list) {
  size_t count = 0;
  const cJSON *item;
  HOLD(cJSON_IsArray(list));
  cJSON_ArrayForEach(item, list) {
    HOLD(cJSON_IsString(item) && subtoken_permission_valid(st_text(item->valuestring)));
    size_t i = 0;
    while (i < count && !st_text_is(entry->permissions[i], item->valuestring)) i++;
    if (i < count) continue;
    HOLD(count < entry->permission_count);
    HOLD(st_text_is(entry->permissions[count], item->valuestring));
    count++;
  }
  HOLD(count == entry->permission_count);
}

static void check_entry(const st_access_entry *entry, const char *login, const cJSON *object) {
  const char *hash = string_of(object, "password_hash_b64");
  HOLD(st_text_is(entry->login, login) && st_names_username_valid(entry->login));
  HOLD(hash != NULL && entry->anonymous == (strcmp(login, "*") == 0));
  if (entry->anonymous) {
    HOLD(strcmp(hash, "*") == 0 && entry->salt_len == 0);
  } else {
    HOLD(is_bytes(hash, entry->hash, sizeof entry->hash));
    HOLD(is_bytes(string_of(object, "password_salt_b64"), entry->salt, entry->salt_len));
  }
  check_permissions(entry, cJSON_GetObjectItemCaseSensitive(object, "allowed_apis"));
}

static void check_all(st_access_file *file, const cJSON *root) {
  static st_access_entry entry;
  const cJSON *map = cJSON_GetObjectItemCaseSensitive(root, "permission_map"), *item, *other;
  size_t count = 0;
  HOLD(cJSON_IsObject(map) || cJSON_IsArray(map));
  cJSON_ArrayForEach(item, map) {
    const char *login = cJSON_IsObject(map) ? item->string : item->child->valuestring;
    for (other = map->child; other != item; other = other->next) {
      HOLD(strcmp(login, cJSON_IsObject(map) ? other->string : other->child->valuestring) != 0);
    }
    HOLD(!file->done && st_access_file_next(file, &entry));
    HOLD(cJSON_IsObject(map) || cJSON_GetArraySize(item) == 2);
    check_entry(&entry, login, cJSON_IsObject(map) ? item : item->child->next);
    count++;
  }
  HOLD(count == file->count && file->done && !st_access_file_next(file, &entry));
}

static void check_refusal(st_access_file *file, subtoken_text text) {
  static st_access_entry entry;
  size_t lines = 1;
  for (size_t i = 0; i < text.len; i++) lines += text.data[i] == '\n';
  HOLD(file->error[0] != '\0' && memchr(file->error, '\0', sizeof file->error) != NULL);
  HOLD(st_utf8_valid(st_text(file->error)));
  HOLD((file->line == 0) == (file->column == 0) && file->line <= lines);
  HOLD(file->column <= text.len + 1 && file->count == 0);
  HOLD(!st_access_file_next(file, &entry) && !file->done && entry.login.data == NULL);
  /* Without an escaped end of line anywhere, the place is known, and there is one. */
  for (size_t i = 0; i + 1 < text.len; i++) {
    if (text.data[i] == '\\' && (text.data[i + 1] == 'n' || text.data[i + 1] == 'u')) return;
  }
  size_t line = 1, column = 0, longest = 0;
  for (size_t i = 0; i <= text.len; i++) {
    column++;
    if (line == file->line && column > longest) longest = column;
    if (i < text.len && text.data[i] == '\n') {
      line++;
      column = 0;
    }
  }
  HOLD(file->line >= 1 && file->column <= longest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static st_access_file file;
  char *text = fuzz_copy(data, size), *copy = fuzz_copy(data, size);
  if (st_access_file_start(&file, copy, size)) {
    HOLD(file.error[0] == '\0');
    cJSON *root = cJSON_ParseWithLength(text, size);
    HOLD(root != NULL);
    check_all(&file, root);
    cJSON_Delete(root);
  } else {
    check_refusal(&file, (subtoken_text){text, size});
  }
  free(copy);
  free(text);
  return 0;
}
