/* Lines: a target, a method, an entry, another entry. A canonical text is a fixed
 * point and matches what it was made of; whatever an inner entry lets through, an
 * outer one that covers it does; what we allow, the most permissive backend finds
 * under the entry; and whatever is read by its prefix, or by the processor's
 * instructions, or straight from an entry's text, is what the plain reading says.
 */
#include "../tests/unit/permissive.h"
#include "../tests/unit/plain_path.h"
#include "base/hmac.h"
#include "base/vector.h"
#include "core/paths.h"
#include "fuzz.h"
#include "subtoken/url.h"

static void target_is_fixed(subtoken_text target, const st_path *path) {
  static char out[3 * SUBTOKEN_PATH_MAX + 1], again[3 * SUBTOKEN_PATH_MAX + 1];
  static st_path back;
  size_t len, again_len;
  subtoken_fault fault;
  HOLD(subtoken_target_path(target, out, sizeof out, &len, &fault) == SUBTOKEN_OK);
  HOLD(fault == SUBTOKEN_FAULT_NONE && out[len] == '\0' && strlen(out) == len);
  if (len > SUBTOKEN_PATH_MAX) return; /* stars grew */
  HOLD(st_paths_read_target((subtoken_text){out, len}, &back) == SUBTOKEN_FAULT_NONE);
  HOLD(back.len == path->len && memcmp(back.bytes, path->bytes, back.len) == 0);
  HOLD(subtoken_target_path((subtoken_text){out, len}, again, sizeof again, &again_len, NULL) ==
       SUBTOKEN_OK);
  HOLD(again_len == len && memcmp(again, out, len) == 0);
}

static void entry_is_fixed(const st_entry *entry) {
  static char out[SUBTOKEN_URL_MAX + 1], again[SUBTOKEN_URL_MAX + 1];
  static st_entry back;
  st_writer writer = st_writer_on(out, sizeof out);
  st_paths_write_entry(&writer, entry);
  HOLD(st_writer_end(&writer));
  HOLD(st_paths_read_entry((subtoken_text){out, writer.len}, &back) == SUBTOKEN_FAULT_NONE);
  HOLD(st_paths_match_covers(&back, entry) && st_paths_match_covers(entry, &back));
  st_writer second = st_writer_on(again, sizeof again);
  st_paths_write_entry(&second, &back);
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

static void target_is_plain(subtoken_text target, const plain_path *plain, subtoken_fault want) {
  static uint8_t cpu, asked;
  static st_path path;
  if (asked == 0) cpu = st_cpu_features();
  asked = 1;
  for (int twice = 0; twice < 2; twice++) {
    HOLD(st_paths_read_target_by(twice == 0 ? 0 : cpu, target, &path) == want);
    if (want != SUBTOKEN_FAULT_NONE) continue;
    HOLD(path.len == plain->len && memcmp(path.bytes, plain->bytes, plain->len) == 0);
  }
  /* A target that starts like an entry passes as one by its prefix. */
  static plain_entry front;
  size_t passed = st_paths_scan_entry(cpu, target);
  HOLD(passed == st_paths_scan_entry(0, target) && passed <= target.len);
  if (passed > 0 && passed <= SUBTOKEN_URL_MAX) {
    HOLD(plain_entry_read(target.data, passed, &front) == SUBTOKEN_FAULT_NONE);
  }
}

static void entry_is_plain(const st_entry *entry, const plain_entry *plain) {
  HOLD(entry->wild == plain->wild && entry->method.len == plain->method_len);
  HOLD(plain->method_len == 0 || memcmp(entry->method.data, plain->method, plain->method_len) == 0);
  HOLD(plain_is(plain, entry->path.bytes, entry->path.len, ST_PATH_ANY));
}

/* Through url.h, which programs outside the library use. */
static void public_agrees(subtoken_text entry, subtoken_text method, subtoken_text target,
                          subtoken_result want) {
  HOLD(subtoken_url_allows(entry, method, target) == want);
  static char out[SUBTOKEN_URL_MAX + 1];
  size_t len;
  subtoken_fault fault;
  subtoken_result got = subtoken_url_canonical(entry, out, sizeof out, &len, &fault);
  HOLD((got == SUBTOKEN_OK) == (want != SUBTOKEN_BAD_URL));
  HOLD((got == SUBTOKEN_OK) == (fault == SUBTOKEN_FAULT_NONE) && strlen(out) == len);
  if (got == SUBTOKEN_OK) HOLD(subtoken_url_covers(entry, (subtoken_text){out, len}) == got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static st_path path;
  static st_entry entry[2];
  static plain_path plain;
  static plain_entry plain_of[2];
  char *copy = fuzz_copy(data, size);
  subtoken_text rest = {copy, size};
  subtoken_text target = fuzz_line(&rest), method = fuzz_line(&rest);
  subtoken_text text[2];
  text[0] = fuzz_line(&rest);
  text[1] = fuzz_line(&rest);
  subtoken_fault fault = st_paths_read_target(target, &path);
  bool target_good = fault == SUBTOKEN_FAULT_NONE, good[2];
  target_is_plain(target, &plain, plain_target(target.data, target.len, &plain));
  if (target_good) target_is_fixed(target, &path);
  for (int i = 0; i < 2; i++) {
    good[i] = st_paths_read_entry(text[i], &entry[i]) == SUBTOKEN_FAULT_NONE;
    HOLD((plain_entry_read(text[i].data, text[i].len, &plain_of[i]) == SUBTOKEN_FAULT_NONE) ==
         good[i]);
    if (good[i]) entry_is_plain(&entry[i], &plain_of[i]);
    bool match =
        good[i] && target_good && plain_matches(&plain_of[i], method.data, method.len, &plain);
    public_agrees(text[i], method, target,
                  !good[i]       ? SUBTOKEN_BAD_URL
                  : !target_good ? SUBTOKEN_BAD_TARGET
                  : match        ? SUBTOKEN_OK
                                 : SUBTOKEN_URL);
    if (!good[i]) continue;
    if (target_good) {
      HOLD(st_paths_match_entry(&entry[i], method, &path) == match);
      HOLD(st_paths_match_text(text[i], method, &path) == match);
    }
    entry_is_fixed(&entry[i]);
    HOLD(st_paths_match_covers(&entry[i], &entry[i]));
    if (target_good && st_paths_match_entry(&entry[i], method, &path)) {
      backend_agrees(target, text[i]);
    }
  }
  if (good[0] && good[1]) {
    HOLD(st_paths_match_covers(&entry[0], &entry[1]) == plain_covers(&plain_of[0], &plain_of[1]));
  }
  if (target_good && good[0] && good[1] && st_paths_match_covers(&entry[0], &entry[1]) &&
      st_paths_match_entry(&entry[1], method, &path)) {
    HOLD(st_paths_match_entry(&entry[0], method, &path));
  }
  free(copy);
  return 0;
}
