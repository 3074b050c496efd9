/* paths - one reading of a request path, and the URL allowlist.
 *
 * Nothing is resolved or guessed: what two programs could read differently is
 * refused. A path is compared decoded, with its slashes; that is unambiguous
 * because no escape may stand for a slash.
 */
#ifndef ST_CORE_PATHS_H
#define ST_CORE_PATHS_H

#include "base/bytes.h"

/* A decoded path: a view of the text that was read when nothing in it is escaped,
 * else of room. Not to be copied.
 */
typedef struct st_path {
  size_t len;
  const char *bytes;
  char room[SUBTOKEN_PATH_MAX];
} st_path;

/* What stands in a decoded entry for a star that is a whole segment before the end. No
 * decoded path holds this byte, so that it differs from a star as data.
 */
#define ST_PATH_ANY '\x01'

/* An entry of the allowlist: a path, or with wild everything under it (path then
 * ends with the slash before the star), for one method or for all (len 0). With pattern,
 * segments of the path are ST_PATH_ANY alone: each stands for one non-empty segment.
 */
typedef struct st_entry {
  subtoken_text method; /* a view into the text that was read */
  bool wild;
  bool pattern;
  st_path path;
} st_entry;

/* Cut off the query and read the path. SUBTOKEN_FAULT_NONE when it is good. */
subtoken_fault st_target_read(subtoken_text target, st_path *path)
    __attribute__((warn_unused_result));
/* cpu: subtoken_secret.cpu, or 0. */
subtoken_fault st_target_read_by(uint8_t cpu, subtoken_text target, st_path *path)
    __attribute__((warn_unused_result));
subtoken_fault st_entry_read(subtoken_text text, st_entry *entry)
    __attribute__((warn_unused_result));

/* The fault that st_entry_read would find. */
subtoken_fault st_entry_check(subtoken_text text) __attribute__((warn_unused_result));

/* How many characters from the first on are an entry that is good at
 * a glance: whatever follows has to be no part of it. 0 when there is none, which says
 * nothing yet about whether st_entry_read would take it.
 */
size_t st_entry_glance(uint8_t cpu, subtoken_text text) __attribute__((warn_unused_result));

bool st_entry_matches(const st_entry *entry, subtoken_text method, const st_path *path);

/* The same, straight from the text of an entry in which st_entry_check found no fault. */
bool st_entry_text_matches(subtoken_text text, subtoken_text method, const st_path *path);

/* Is all that inner lets through let through by outer? */
bool st_entry_covers(const st_entry *outer, const st_entry *inner);

/* How many bytes of the path from its front on the decoded text of an entry stands for,
 * ST_PATH_ANY in it for one segment each. path->len + 1 when it does not fit.
 */
size_t st_path_fit(subtoken_text pattern, const st_path *path);

void st_path_write(st_writer *writer, const st_path *path);
/* The canonical text, at most SUBTOKEN_URL_MAX for an entry that was read. */
void st_entry_write(st_writer *writer, const st_entry *entry);

#endif
