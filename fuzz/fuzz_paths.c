/* Lines: a target, a method, an entry, another entry. A canonical text is a fixed
 * point and matches what it was made of; whatever an inner entry lets through, an
 * outer one that covers it does; what we allow, the most permissive backend finds
 * under the entry.
 */
#include "../tests/unit/permissive.h"
#include "core/paths.h"
#include "fuzz.h"
#include "subtoken/verify.h"

static void target_is_fixed(subtoken_text target, const st_path *path) {
  static char out[3 * SUBTOKEN_PATH_MAX + 1], again[3 * SUBTOKEN_PATH_MAX + 1];
  static st_path back;
  size_t len, again_len;
  subtoken_fault fault;
  HOLD(subtoken_target_path(target, out, sizeof out, &len, &fault) == SUBTOKEN_OK);
  HOLD(fault == SUBTOKEN_FAULT_NONE && out[len] == '\0' && strlen(out) == len);
  if (len > SUBTOKEN_PATH_MAX) return; /* stars grew */
  HOLD(st_target_read((subtoken_text){out, len}, &back) == SUBTOKEN_FAULT_NONE);
  HOLD(back.len == path->len && memcmp(back.bytes, path->bytes, back.len) == 0);
  HOLD(subtoken_target_path((subtoken_text){out, len}, again, sizeof again, &again_len, NULL) ==
       SUBTOKEN_OK);
  HOLD(again_len == len && memcmp(again, out, len) == 0);
}

static void entry_is_fixed(const st_entry *entry) {
  static char out[SUBTOKEN_URL_MAX + 1], again[SUBTOKEN_URL_MAX + 1];
  static st_entry back;
  st_writer writer = st_writer_on(out, sizeof out);
  st_entry_write(&writer, entry);
  HOLD(st_writer_end(&writer));
  HOLD(st_entry_read((subtoken_text){out, writer.len}, &back) == SUBTOKEN_FAULT_NONE);
  HOLD(st_entry_covers(&back, entry) && st_entry_covers(entry, &back));
  st_writer second = st_writer_on(again, sizeof again);
  st_entry_write(&second, &back);
  HOLD(second.len == writer.len && memcmp(out, again, writer.len) == 0);
}

static void backend_agrees(subtoken_text target, subtoken_text entry) {
  char *path = malloc(target.len + 2);
  if (path == NULL) abort();
  size_t len = target.len;
  memcpy(path, target.data, len);
  permissive_path(path, &len);
  HOLD(permissive_under(path, len, entry.data, entry.len));
  free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static st_path path;
  static st_entry entry[2];
  char *copy = fuzz_copy(data, size);
  subtoken_text rest = {copy, size};
  subtoken_text target = fuzz_line(&rest), method = fuzz_line(&rest);
  subtoken_text text[2];
  text[0] = fuzz_line(&rest);
  text[1] = fuzz_line(&rest);
  subtoken_fault fault = st_target_read(target, &path);
  bool target_good = fault == SUBTOKEN_FAULT_NONE, good[2];
  if (target_good) target_is_fixed(target, &path);
  for (int i = 0; i < 2; i++) {
    good[i] = st_entry_read(text[i], &entry[i]) == SUBTOKEN_FAULT_NONE;
    if (!good[i]) continue;
    entry_is_fixed(&entry[i]);
    HOLD(st_entry_covers(&entry[i], &entry[i]));
    if (target_good && st_entry_matches(&entry[i], method, &path)) {
      backend_agrees(target, text[i]);
    }
  }
  if (target_good && good[0] && good[1] && st_entry_covers(&entry[0], &entry[1]) &&
      st_entry_matches(&entry[1], method, &path)) {
    HOLD(st_entry_matches(&entry[0], method, &path));
  }
  free(copy);
  return 0;
}
