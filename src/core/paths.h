/* paths - the path of a request target, and entries of the URL allowlist.
 *
 * Nothing is resolved or guessed: a path that two programs could read differently is refused. A
 * path is compared decoded, with its slashes. That is unambiguous, because no escape may stand for
 * a slash.
 */
#ifndef ST_CORE_PATHS_H
#define ST_CORE_PATHS_H

#include "base/bytes.h"

/* A decoded path. bytes is a view of the text that was read when nothing in it is escaped, else it
 * points to buffer: do not copy the structure.
 */
typedef struct st_path {
  size_t len;
  const char *bytes;
  char buffer[SUBTOKEN_PATH_MAX];
} st_path;

/* The byte in a decoded entry for a star that is a whole segment before the last. No decoded path
 * has this byte, so that it differs from a star as data.
 */
#define ST_PATH_ANY '\x01'

/* An entry of the allowlist. With wild it allows everything below path, which then ends with the
 * slash before the star. With pattern some segments of path are ST_PATH_ANY, which matches one
 * segment that is not empty. The method has len 0 when the entry allows all.
 */
typedef struct st_entry {
  subtoken_text method; /* a view into the text that was read */
  bool wild;
  bool pattern;
  st_path path;
} st_entry;

/* The byte that the escape at `at` stands for, or -1 when it is not an escape. */
static inline int st_path_unescape(const char *at, const char *end) {
  if (end - at < 3 || *at != '%') return -1;
  int high = st_hex_value(at[1]), low = st_hex_value(at[2]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Cut off the query and read the path. SUBTOKEN_FAULT_NONE on success. */
subtoken_fault st_paths_read_target(subtoken_text target, st_path *path)
    __attribute__((warn_unused_result));
/* cpu: subtoken_secret.cpu, or 0. */
subtoken_fault st_paths_read_target_by(uint8_t cpu, subtoken_text target, st_path *path)
    __attribute__((warn_unused_result));
subtoken_fault st_paths_read_entry(subtoken_text text, st_entry *entry)
    __attribute__((warn_unused_result));

/* The fault that st_paths_read_entry would return. */
subtoken_fault st_paths_check_entry(subtoken_text text) __attribute__((warn_unused_result));

/* The length of the longest prefix that is a valid entry without a further check. 0 when there is
 * none; st_paths_read_entry may accept the text all the same.
 */
size_t st_paths_scan_entry(uint8_t cpu, subtoken_text text) __attribute__((warn_unused_result));

bool st_paths_match_entry(const st_entry *entry, subtoken_text method, const st_path *path);

/* The same for the text of an entry in which st_paths_check_entry found no fault. */
bool st_paths_match_text(subtoken_text text, subtoken_text method, const st_path *path);

/* Does outer allow all that inner allows? */
bool st_paths_match_covers(const st_entry *outer, const st_entry *inner);

/* The length of the front of the path that the decoded text of an entry matches, in which
 * ST_PATH_ANY matches one segment. path->len + 1 when it does not match.
 */
size_t st_paths_match_front(subtoken_text pattern, const st_path *path);

void st_paths_write_path(st_writer *writer, const st_path *path);
/* The canonical text, at most SUBTOKEN_URL_MAX for an entry that was read. */
void st_paths_write_entry(st_writer *writer, const st_entry *entry);

#endif
