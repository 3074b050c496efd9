/* Makes and reads the file of the ring, which holds the signing secrets. */
#include "operations/keyring_file.h"

#include <stdio.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "os/error.h"
#include "os/random.h"
#include "os/replace.h"
#include "os/secret_file.h"

bool st_keyring_file_make(const char *path, char *error) {
  uint8_t secret[32];
  char line[64];
  st_random_fill(secret, sizeof secret);
  st_writer writer = st_writer_on(line, sizeof line);
  st_write_char(&writer, ':');
  st_base64url_write(&writer, secret, sizeof secret);
  st_write_char(&writer, '\n');
  bool made = st_replace_create(path, line, writer.len, error);
  subtoken_wipe(secret, sizeof secret);
  subtoken_wipe(line, sizeof line);
  return made;
}

#define RING_FILE_MAX 8192

const char *st_keyring_file_load(const char *path, subtoken_ring *ring, char *error) {
  char text[RING_FILE_MAX];
  size_t len = 0, line;
  if (!st_secret_file_read(path, text, sizeof text, &len, error)) return "keyfile_perm";
  subtoken_result result = subtoken_ring_read(ring, (subtoken_text){text, len}, &line);
  const char *problem = subtoken_ring_error((subtoken_text){text, len}, line, result);
  subtoken_wipe(text, sizeof text);
  if (result == SUBTOKEN_OK) return NULL;
  if (line > 0) {
    snprintf(error, ST_ERROR_MAX, "%.400s: line %zu %s", path, line, problem);
  } else {
    snprintf(error, ST_ERROR_MAX, "%.400s %s", path, problem);
  }
  return result == SUBTOKEN_BAD_SECRET ? "weak_secret" : "keyfile_bad";
}
