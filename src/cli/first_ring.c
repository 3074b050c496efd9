/* The first ring of a store that issuers on several machines share. It is made for a store that
 * nobody has used, under another name; a line in the audit log names it by a hash; and whose line
 * is the first of the log puts it in place. So of two machines that start at once one makes it, and
 * a start that was killed is carried on by the next.
 */
#include "cli/first_ring.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hmac.h"
#include "cli/input.h"
#include "domain/config.h"
#include "operations/keyring_file.h"
#include "os/error.h"
#include "os/file.h"
#include "os/replace.h"
#include "subtoken/mac.h"

#define LINES_MAX 16 /* in a log of more the store is in use */

typedef struct first_ring {
  char path[ST_PATH_TEXT_MAX + 32]; /* where it lies until then */
  char text[ST_KEYRING_FILE_MAX];
  size_t len;
  char detail[64]; /* of its line */
} first_ring;

static bool first_ring_load(first_ring *made, char *error) {
  static const char digits[] = "0123456789abcdef";
  subtoken_ring ring;
  uint8_t hash[ST_HASH_LEN];
  char name[17];
  bool ok = st_keyring_file_read(made->path, made->text, &made->len, &ring, error) == NULL;
  subtoken_wipe(&ring, sizeof ring);
  if (!ok) return false;
  st_sha256(made->text, made->len, hash);
  for (size_t i = 0; i < 8; i++) {
    name[2 * i] = digits[hash[i] >> 4];
    name[2 * i + 1] = digits[hash[i] & 15];
  }
  name[16] = '\0';
  snprintf(made->detail, sizeof made->detail, "the first ring of this store: %s", name);
  return true;
}

/* *first: the oldest line of the log; *count: how many there are, or LINES_MAX. */
static bool first_ring_find_line(st_store *store, st_audit_line *first, size_t *count,
                                 char *error) {
  static st_audit_line lines[LINES_MAX];
  if (st_store_audit_list(store, 0, LINES_MAX, lines, count, error) != ST_STORE_OK) return false;
  if (*count > 0) *first = lines[*count - 1];
  return true;
}

static bool first_ring_refuse(const char *path, char *error) {
  return st_error_set(error,
                      "%s is missing, and the store is in use already: copy the file from another "
                      "issuer, or make a new ring with `subtoken secret add` (every subtoken made "
                      "so far is then refused)",
                      st_error_path(path));
}

/* Once its line is in the log. */
static bool first_ring_place(const char *path, const first_ring *made, st_store *store,
                             char *error) {
  st_audit_line first = {0};
  size_t count = 0;
  if (!first_ring_find_line(store, &first, &count, error)) return false;
  if (count == 0 || count == LINES_MAX || strcmp(first.detail, made->detail) != 0) {
    (void)unlink(made->path);
    return first_ring_refuse(path, error);
  }
  if (!st_replace_create(path, made->text, made->len, error)) return false;
  (void)unlink(made->path);
  return true;
}

static bool first_ring_run(const char *path, first_ring *made, st_store *store, char *error) {
  st_audit_line first = {0};
  size_t count = 0;
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  bool begun = !st_file_is_missing(made->path);
  if (!first_ring_find_line(store, &first, &count, error)) return false;
  if (!begun && count > 0) return first_ring_refuse(path, error);
  if (!begun && !st_keyring_file_make(made->path, error)) return false;
  if (!first_ring_load(made, error)) return false;
  if (count == 0 &&
      st_store_audit_add(store, &context, "secret.add", "-", made->detail, error) != ST_STORE_OK) {
    return false;
  }
  return first_ring_place(path, made, store, error);
}

static void first_ring_name(const char *path, char *out, size_t size) {
  snprintf(out, size, "%s-first", path);
  st_replace_sweep(out);
}

/* It would outlive every later ring. */
void st_first_ring_remove_rest(const char *path) {
  char rest[ST_PATH_TEXT_MAX + 32];
  first_ring_name(path, rest, sizeof rest);
  (void)unlink(rest);
}

bool st_first_ring_make(const char *path, st_store *store, char *error) {
  static first_ring made;
  first_ring_name(path, made.path, sizeof made.path);
  bool ok = first_ring_run(path, &made, store, error);
  subtoken_wipe(&made, sizeof made);
  return ok;
}
