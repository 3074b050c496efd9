/* The file of the ring, which holds the signing secrets: made with one secret, and read. How it is
 * changed is in cli/cmd_secret.c; what a line may hold, in subtoken_ring_read(3).
 */
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

static const char *keyring_file_read(const char *path, char text[ST_KEYRING_FILE_MAX], size_t *len,
                                     subtoken_ring *ring, char *error) {
  size_t line;
  if (!st_secret_file_read(path, text, ST_KEYRING_FILE_MAX, len, error)) return "keyfile_perm";
  subtoken_result result = subtoken_ring_read(ring, (subtoken_text){text, *len}, &line);
  if (result == SUBTOKEN_OK) return NULL;
  const char *problem = subtoken_ring_error((subtoken_text){text, *len}, line, result);
  if (line > 0) {
    snprintf(error, ST_ERROR_MAX, "%.400s: line %zu %s", path, line, problem);
  } else {
    snprintf(error, ST_ERROR_MAX, "%.400s %s", path, problem);
  }
  subtoken_wipe(text, ST_KEYRING_FILE_MAX);
  *len = 0;
  return result == SUBTOKEN_BAD_SECRET ? "weak_secret" : "keyfile_bad";
}

const char *st_keyring_file_read(const char *path, char text[ST_KEYRING_FILE_MAX], size_t *len,
                                 subtoken_ring *ring, char *error) {
  const char *event = keyring_file_read(path, text, len, ring, error);
  if (event != NULL) return event;
  subtoken_text audience = subtoken_ring_audience(ring);
  if (audience.data == NULL) return NULL;
  char of_ring[SUBTOKEN_AUD_MAX + 1];
  snprintf(of_ring, sizeof of_ring, "%.*s", (int)audience.len, audience.data);
  snprintf(error, ST_ERROR_MAX,
           "%.300s holds secrets derived for the audience %.32s: use the ring that they come from",
           path, of_ring);
  subtoken_wipe(text, ST_KEYRING_FILE_MAX);
  subtoken_wipe(ring, sizeof *ring);
  *len = 0;
  return "keyfile_bad";
}

const char *st_keyring_file_load(const char *path, subtoken_ring *ring, char *error) {
  char text[ST_KEYRING_FILE_MAX];
  size_t len = 0;
  const char *event = st_keyring_file_read(path, text, &len, ring, error);
  subtoken_wipe(text, sizeof text);
  return event;
}

const char *st_keyring_file_load_edge(const char *path, subtoken_ring *ring, char *error) {
  char text[ST_KEYRING_FILE_MAX];
  size_t len = 0;
  const char *event = keyring_file_read(path, text, &len, ring, error);
  subtoken_wipe(text, sizeof text);
  return event;
}
