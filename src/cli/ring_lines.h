/* ring_lines - the file of signing secrets as `subtoken secret` changes it: whole lines, none of
 * which is ever decoded. Functions that can fail answer false and write a sentence to error, of
 * ST_ERROR_MAX bytes.
 */
#ifndef ST_CLI_RING_LINES_H
#define ST_CLI_RING_LINES_H

#include "operations/keyring_file.h"
#include "subtoken/mac.h"

#define ST_RING_LINES_MAX SUBTOKEN_RING_MAX

/* The file, line by line, with room for one more. */
typedef struct st_ring_lines {
  char text[ST_KEYRING_FILE_MAX];
  size_t count;
  subtoken_text lines[ST_RING_LINES_MAX + 1];
  char added[160];
} st_ring_lines;

bool st_ring_lines_load(const char *path, st_ring_lines *file, char *error)
    __attribute__((warn_unused_result));

/* *placed: the ring is the new one, whether that is synced to the disk or not. */
bool st_ring_lines_save(const char *path, const st_ring_lines *file, bool *placed, char *error)
    __attribute__((warn_unused_result));

subtoken_text st_ring_lines_kid(subtoken_text line) __attribute__((warn_unused_result));

/* The name as commands print and read it: `-` for the one without a name. */
subtoken_text st_ring_lines_display_name(subtoken_text kid) __attribute__((warn_unused_result));

/* Where the line of a secret is; file->count: there is none. */
size_t st_ring_lines_find(const st_ring_lines *file, subtoken_text kid)
    __attribute__((warn_unused_result));
void st_ring_lines_move_to_front(st_ring_lines *file, size_t at);

#endif
