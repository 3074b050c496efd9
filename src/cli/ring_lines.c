/* Reads and writes the file of signing secrets, a text file of one `kid:base64url` a line. What is
 * written is read first, as the server would read it.
 */
#include "cli/ring_lines.h"

#include <stdio.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "core/ring.h"
#include "os/error.h"
#include "os/replace.h"
#include "os/secret_file.h"

subtoken_text st_ring_lines_kid(subtoken_text line) {
  st_cutter cutter = {line, false};
  subtoken_text kid;
  (void)st_cut(&cutter, ':', &kid);
  return kid;
}

subtoken_text st_ring_lines_display_name(subtoken_text kid) {
  return kid.len == 0 ? ST_TEXT("-") : kid;
}

bool st_ring_lines_load(const char *path, st_ring_lines *file, char *error) {
  size_t len = 0;
  static subtoken_ring ring;
  bool good = st_keyring_file_read(path, file->text, &len, &ring, error) == NULL;
  subtoken_wipe(&ring, sizeof ring);
  if (!good) return false;
  if (len > 0 && file->text[len - 1] == '\n') len--;
  st_cutter cutter = {{file->text, len}, false};
  for (file->count = 0; st_cut(&cutter, '\n', &file->lines[file->count]);) file->count++;
  return true;
}

/* Does the file hold just this? It does when it is in place, but could not be synced. */
static bool ring_lines_is_there(const char *path, const char *text, size_t len) {
  char there[ST_KEYRING_FILE_MAX], unread[ST_ERROR_MAX];
  size_t there_len = 0;
  bool same = st_secret_file_read(path, there, sizeof there, &there_len, unread) &&
              there_len == len && st_equal_secret(there, text, len);
  subtoken_wipe(there, sizeof there);
  return same;
}

bool st_ring_lines_save(const char *path, const st_ring_lines *file, bool *placed, char *error) {
  char text[ST_KEYRING_FILE_MAX + sizeof file->added];
  size_t line;
  static subtoken_ring ring;
  *placed = false;
  st_writer writer = st_writer_on(text, sizeof text);
  for (size_t i = 0; i < file->count; i++) {
    st_write_view(&writer, file->lines[i]);
    st_write_char(&writer, '\n');
  }
  bool good = !writer.overflow &&
              subtoken_ring_read(&ring, (subtoken_text){text, writer.len}, &line) == SUBTOKEN_OK;
  if (!good) snprintf(error, ST_ERROR_MAX, "the ring would not be valid; nothing was changed");
  if (good) {
    good = st_replace_file(path, text, writer.len, error);
    *placed = good || ring_lines_is_there(path, text, writer.len);
  }
  subtoken_wipe(text, sizeof text);
  subtoken_wipe(&ring, sizeof ring);
  return good;
}

size_t st_ring_lines_find(const st_ring_lines *file, subtoken_text kid) {
  if (st_text_is(kid, "-")) kid = (subtoken_text){NULL, 0};
  size_t i = 0;
  while (i < file->count && !st_text_equal(st_ring_lines_kid(file->lines[i]), kid)) i++;
  return i;
}

void st_ring_lines_move_to_front(st_ring_lines *file, size_t at) {
  subtoken_text line = file->lines[at];
  for (; at > 0; at--) file->lines[at] = file->lines[at - 1];
  file->lines[0] = line;
}
