/* `subtoken secret`: lists, adds, promotes, rotates and retires the signing secrets of the ring, a
 * text file of one `kid:base64url` a line. The commands move whole lines and never decode a secret.
 * When a secret last signed is kept in the store, for `retire`.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/date.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/ring_lines.h"
#include "core/ring.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "operations/last_signed.h"
#include "operations/vouched_files.h"
#include "os/clock.h"
#include "os/directory.h"
#include "os/error.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/random.h"
#include "os/replace.h"

/* A name with the date, and random, so that it is not taken: 20261123-1f2e3d. */
static void secret_draw_kid(char kid[16]) {
  char date[ST_DATE_LEN + 1];
  uint8_t random[3];
  st_writer writer = st_writer_on(date, sizeof date);
  st_date_write(&writer, st_clock_now(), false);
  st_random_fill(random, sizeof random);
  snprintf(kid, 16, "%.4s%.2s%.2s-%02x%02x%02x", date, date + 5, date + 8, random[0], random[1],
           random[2]);
}

static void secret_append(st_ring_lines *file, const char *kid) {
  uint8_t secret[32];
  st_random_fill(secret, sizeof secret);
  st_writer writer = st_writer_on(file->added, sizeof file->added);
  st_write_literal(&writer, kid);
  st_write_char(&writer, ':');
  st_base64url_write(&writer, secret, sizeof secret);
  file->lines[file->count++] = (subtoken_text){file->added, writer.len};
  subtoken_wipe(secret, sizeof secret);
}

/* ---- the commands ---- */

/* What the commands share. */
typedef struct secret_command {
  st_data_dir data;
  st_store *store;
  bool made; /* DATA was not there before */
  int lock;
  st_ring_lines file;
  char error[ST_ERROR_MAX];
} secret_command;

static int secret_fail(secret_command *s) {
  return st_print_error(ST_EXIT_FAILED, "secret: %s", s->error);
}

static int secret_finish(secret_command *s, int code) {
  if (s->store != NULL) st_store_close(s->store);
  if (s->made && code != ST_EXIT_DONE) st_directory_remove(s->data.dir);
  if (s->lock >= 0) st_lock_release(s->lock);
  subtoken_wipe(&s->file, sizeof s->file);
  return code;
}

static bool secret_file_may_exist(const char *path) {
  return !st_file_is_missing(path);
}

/* ST_EXIT_DONE, or the error is printed and this is the exit code. make: the command makes a ring,
 * and DATA for it.
 */
static int secret_start(secret_command *s, const st_data_options *data_options, bool make) {
  s->lock = -1;
  int found = st_data_dir_find(data_options, &s->data, s->error);
  if (found != ST_EXIT_DONE) return st_print_error(found, "secret: %s", s->error);
  s->made = make && !secret_file_may_exist(s->data.dir);
  bool good = make ? st_directory_check(s->data.dir, true, s->error)
                   : st_data_dir_check(&s->data, s->error);
  return good ? ST_EXIT_DONE : secret_finish(s, secret_fail(s));
}

/* The same for a command that changes the ring: it takes the lock. */
static int secret_start_change(secret_command *s, const st_data_options *data_options, bool make) {
  int begun = secret_start(s, data_options, make);
  if (begun != ST_EXIT_DONE) return begun;
  s->lock = st_lock_data_dir(s->data.dir, s->error);
  if (s->lock < 0) return secret_finish(s, secret_fail(s));
  st_replace_sweep(s->data.secrets);
  return ST_EXIT_DONE;
}

/* Made when it is not there: the ring may be older than the database. */
static bool secret_open_store(secret_command *s) {
  return st_store_open(st_data_dir_location(&s->data), true, &s->store, s->error) == ST_STORE_OK;
}

static int secret_list(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken secret list [--config FILE] [--data DIR] [--json]\n"
      "Lists the names of the signing secrets: the first signs, all verify. `-` is the one\n"
      "without a name.";
  st_data_options data_options = {0};
  bool json = false;
  const st_option options[] = {ST_DATA_OPTIONS(data_options), {"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "secret list", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  static secret_command s;
  int begun = secret_start(&s, &data_options, false);
  if (begun != ST_EXIT_DONE) return begun;
  if (!st_ring_lines_load(s.data.secrets, &s.file, s.error)) return secret_fail(&s);
  if (json) fputc('[', stdout);
  for (size_t i = 0; i < s.file.count; i++) {
    subtoken_text kid = st_ring_lines_display_name(st_ring_lines_kid(s.file.lines[i]));
    if (json) {
      printf("%s{\"kid\":\"%.*s\",\"signs\":%s}", i > 0 ? "," : "", (int)kid.len, kid.data,
             i == 0 ? "true" : "false");
    } else {
      if (i == 0) st_print_heading("KID                  DOES");
      printf("%-20.*s %s\n", (int)kid.len, kid.data, i == 0 ? "signs and verifies" : "verifies");
    }
  }
  if (json) puts("]");
  return secret_finish(&s, st_print_flush(ST_EXIT_DONE));
}

static int secret_print_kid(secret_command *s, subtoken_text kid, bool json) {
  printf(json ? "{\"kid\":\"%.*s\"}\n" : "%.*s\n", (int)st_ring_lines_display_name(kid).len,
         st_ring_lines_display_name(kid).data);
  return secret_finish(s, st_print_flush(ST_EXIT_DONE));
}

static bool secret_audit(secret_command *s, const char *action, subtoken_text kid,
                         const char *detail) {
  char who[ST_WHO_MAX], name[SUBTOKEN_KID_MAX + 1];
  st_audit_context context = st_input_audit_context(who);
  kid = st_ring_lines_display_name(kid);
  snprintf(name, sizeof name, "%.*s", (int)kid.len, kid.data);
  return st_store_audit_add(s->store, &context, action, name, detail, s->error) == ST_STORE_OK;
}

/* Replaces the ring. The audit log has its line before: what cannot be logged is not done. Where it
 * is then not done, another line says so, if the store can still be written.
 */
static bool secret_replace(secret_command *s, const char *action, subtoken_text kid) {
  char error[ST_ERROR_MAX];
  bool placed;
  if (!secret_audit(s, action, kid, "")) return false;
  if (st_ring_lines_save(s->data.secrets, &s->file, &placed, s->error)) return true;
  memcpy(error, s->error, sizeof error);
  if (!placed) (void)!secret_audit(s, action, kid, "not done: the ring could not be written");
  memcpy(s->error, error, sizeof error);
  return false;
}

/* Every secret but the first: one that is still said to sign did so until now. */
static bool secret_note_ends(secret_command *s) {
  char error[ST_ERROR_MAX];
  for (size_t i = 1; i < s->file.count; i++) {
    subtoken_text kid = st_ring_lines_kid(s->file.lines[i]);
    if (st_last_signed_end(s->store, kid, st_clock_now(), error)) continue;
    kid = st_ring_lines_display_name(kid);
    snprintf(s->error, sizeof s->error,
             "the ring is changed, but it could not be noted when %.*s signed last: promote the "
             "secret again that signs now: %.300s",
             (int)kid.len, kid.data, error);
    return false;
  }
  return true;
}

/* Moves the secret at `at` to the front, and keeps when the one before it last signed: that it
 * signs, until the other one does.
 */
static bool secret_promote_line(secret_command *s, size_t at, const char *action) {
  subtoken_text kid = st_ring_lines_kid(s->file.lines[at]);
  if (!st_last_signed_set(s->store, kid, ST_NEVER, s->error) ||
      (at > 0 &&
       !st_last_signed_set(s->store, st_ring_lines_kid(s->file.lines[0]), ST_NEVER, s->error))) {
    return false;
  }
  st_ring_lines_move_to_front(&s->file, at);
  return secret_replace(s, action, kid) && secret_note_ends(s);
}

/* With a dot and the longest audience (32 characters) such a name fits. */
#define KID_ROOM 31
#define KEYS_AT_A_TIME 16

/* Under a longer name no token can be signed for what a key may be bound to: whoever has such a key
 * would get none any more, and neither would its sessions. ST_EXIT_DONE, or the error is printed.
 */
static int secret_check_room(secret_command *s, subtoken_text kid, bool force) {
  static st_key keys[KEYS_AT_A_TIME];
  char after[ST_KEY_ID_LEN + 1] = "";
  size_t count = KEYS_AT_A_TIME;
  if (kid.len <= KID_ROOM) return ST_EXIT_DONE;
  size_t room = kid.len + 1 < SUBTOKEN_KID_MAX ? SUBTOKEN_KID_MAX - kid.len - 1 : 0;
  while (!force && count == KEYS_AT_A_TIME) {
    if (st_store_key_list(s->store, NULL, after, KEYS_AT_A_TIME, keys, &count, s->error) !=
        ST_STORE_OK) {
      return secret_fail(s);
    }
    for (size_t i = 0; i < count; i++) {
      if (strlen(keys[i].audience) <= room || keys[i].expires_at <= st_clock_now()) continue;
      return st_print_error(
          ST_EXIT_REFUSED,
          "secret: the key %s is for the audience %s, and under a name of %zu characters no token "
          "for it can be signed: take a name of up to %d characters, or --force",
          keys[i].id, keys[i].audience, kid.len, KID_ROOM);
    }
    if (count > 0) memcpy(after, keys[count - 1].id, sizeof after);
  }
  st_print_error(0,
                 "secret: under this name no token can be signed for an audience of more than %zu "
                 "characters; names of up to %d have room for each",
                 room, KID_ROOM);
  return ST_EXIT_DONE;
}

/* `add` makes the ring when there is none: its first secret has no name and signs. */
static int secret_make_ring(secret_command *s, const char *kid, bool json) {
  if (kid != NULL) {
    return secret_finish(
        s, st_print_error(ST_EXIT_REFUSED,
                          "secret: there is no ring yet, and the first secret of a new one "
                          "has no name: `subtoken secret add` without --kid makes it"));
  }
  if (!st_keyring_file_make(s->data.secrets, s->error)) return secret_finish(s, secret_fail(s));
  return secret_print_kid(s, (subtoken_text){NULL, 0}, json);
}

static int secret_add_or_rotate(int argc, char **argv, const char *command, const char *help,
                                bool promote) {
  st_data_options data_options = {0};
  const char *kid = NULL;
  bool json = false, force = false;
  char drawn[16];
  const st_option options[] = {ST_DATA_OPTIONS(data_options),
                               {"--kid", NULL, &kid},
                               {"--force", &force, NULL},
                               {"--json", &json, NULL},
                               {0}};
  st_arguments arguments = {.command = command, .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (kid != NULL && (!st_ring_kid_valid(st_text(kid)) || kid[0] == '-')) {
    return st_options_usage(
        &arguments, "--kid must be 1 to 64 characters A-Za-z0-9_-, and must not start with a dash");
  }
  static secret_command s;
  int begun = secret_start_change(&s, &data_options, !promote);
  if (begun != ST_EXIT_DONE) return begun;
  if (!promote && !secret_file_may_exist(s.data.secrets)) return secret_make_ring(&s, kid, json);
  if (!st_ring_lines_load(s.data.secrets, &s.file, s.error))
    return secret_finish(&s, secret_fail(&s));
  if (s.file.count == ST_RING_LINES_MAX) {
    return secret_finish(
        &s, st_print_error(ST_EXIT_REFUSED, "secret: the ring is full: retire a secret first"));
  }
  if (kid == NULL) {
    secret_draw_kid(drawn);
    kid = drawn;
  }
  if (st_ring_lines_find(&s.file, st_text(kid)) < s.file.count) {
    return secret_finish(
        &s, st_print_error(ST_EXIT_REFUSED, "secret: the ring has a secret of this name already"));
  }
  if (!secret_open_store(&s)) return secret_finish(&s, secret_fail(&s));
  begun = secret_check_room(&s, st_text(kid), force);
  if (begun != ST_EXIT_DONE) return secret_finish(&s, begun);
  secret_append(&s.file, kid);
  bool done = promote ? secret_promote_line(&s, s.file.count - 1, "secret.rotate")
                      : st_last_signed_set(s.store, st_text(kid), 0, s.error) &&
                            secret_replace(&s, "secret.add", st_text(kid));
  return done ? secret_print_kid(&s, st_text(kid), json) : secret_finish(&s, secret_fail(&s));
}

static int secret_add(int argc, char **argv) {
  return secret_add_or_rotate(
      argc, argv, "secret add",
      "usage: subtoken secret add [--kid KID] [--force] [--config FILE] [--data DIR] [--json]\n"
      "Adds a new signing secret that only verifies, and prints its name. Copy the ring to the\n"
      "edges, then promote the secret. When there is no ring it makes one instead, whose first\n"
      "secret has no name and signs: --kid is then refused. Requires --force where a key is for\n"
      "an audience for which the name of the secret leaves no room.",
      false);
}

static int secret_rotate(int argc, char **argv) {
  return secret_add_or_rotate(
      argc, argv, "secret rotate",
      "usage: subtoken secret rotate [--kid KID] [--force] [--config FILE] [--data DIR] [--json]\n"
      "Adds a new signing secret and lets it sign at once: for a single machine.\n"
      "There must be a ring: `subtoken secret add` makes one. Requires --force where a key is for\n"
      "an audience for which the name of the secret leaves no room.",
      true);
}

typedef struct kid_options {
  st_data_options data;
  const char *kid;
  bool force, json;
} kid_options;

/* How promote and retire begin; as st_options_begin. */
static bool secret_begin_on_kid(int argc, char **argv, st_arguments *arguments, kid_options *given,
                                secret_command *s) {
  arguments->words = &given->kid;
  arguments->word_max = 1;
  if (!st_options_begin(arguments, argc, argv)) return false;
  if (given->kid == NULL || given->kid[0] == '\0') {
    arguments->code =
        st_options_usage(arguments, "KID is missing (- is the secret without a name)");
    return false;
  }
  arguments->code = secret_start_change(s, &given->data, false);
  if (arguments->code != ST_EXIT_DONE) return false;
  bool loaded = st_ring_lines_load(s->data.secrets, &s->file, s->error);
  if (loaded && st_ring_lines_find(&s->file, st_text(given->kid)) == s->file.count) {
    arguments->code = secret_finish(
        s, st_print_error(ST_EXIT_REFUSED, "secret: the ring has no secret of this name"));
  } else if (!loaded || !secret_open_store(s)) {
    arguments->code = secret_finish(s, secret_fail(s));
  }
  return arguments->code == ST_EXIT_DONE;
}

static int secret_promote(int argc, char **argv) {
  static secret_command s;
  kid_options given = {0};
  const st_option options[] = {ST_DATA_OPTIONS(given.data),
                               {"--force", &given.force, NULL},
                               {"--json", &given.json, NULL},
                               {0}};
  st_arguments arguments = {
      .command = "secret promote",
      .help =
          "usage: subtoken secret promote KID [--force] [--config FILE] [--data DIR] [--json]\n"
          "Makes the secret the one that signs. Edges must have it already. Requires --force "
          "where\n"
          "a key is for an audience for which the name of the secret leaves no room.",
      .options = options};
  if (!secret_begin_on_kid(argc, argv, &arguments, &given, &s)) return arguments.code;
  int room = secret_check_room(&s, st_text(given.kid), given.force);
  if (room != ST_EXIT_DONE) return secret_finish(&s, room);
  if (!secret_promote_line(&s, st_ring_lines_find(&s.file, st_text(given.kid)), "secret.promote")) {
    return secret_finish(&s, secret_fail(&s));
  }
  return secret_print_kid(&s, st_text(given.kid), given.json);
}

/* What the server keeps in DATA under it (operations/vouched_files.h) is signed again before it
 * goes. */
static bool secret_sign_again(secret_command *s, subtoken_text kid) {
  static subtoken_ring before, after;
  bool ok = st_keyring_file_load(s->data.secrets, &before, s->error) == NULL;
  after = before;
  for (size_t i = 0; ok && i < after.count; i++) {
    subtoken_text name = {after.secrets[i].kid, after.secrets[i].kid_len};
    if (!st_text_equal(name, kid)) continue;
    memmove(&after.secrets[i], &after.secrets[i + 1],
            (after.count - i - 1) * sizeof after.secrets[0]);
    after.count--;
    break;
  }
  ok = ok && st_vouched_files_sign_again(s->data.dir, &before, &after, s->error);
  subtoken_wipe(&before, sizeof before);
  subtoken_wipe(&after, sizeof after);
  return ok;
}

static int secret_retire(int argc, char **argv) {
  static secret_command s;
  kid_options given = {0};
  const st_option options[] = {ST_DATA_OPTIONS(given.data),
                               {"--force", &given.force, NULL},
                               {"--json", &given.json, NULL},
                               {0}};
  st_arguments arguments = {
      .command = "secret retire",
      .help =
          "usage: subtoken secret retire KID [--force] [--config FILE] [--data DIR] [--json]\n"
          "Removes a secret: tokens that it signed are refused from now on. Requires --force\n"
          "while such tokens may still be valid, or when that is not known.",
      .options = options};
  if (!secret_begin_on_kid(argc, argv, &arguments, &given, &s)) return arguments.code;
  size_t at = st_ring_lines_find(&s.file, st_text(given.kid));
  if (at == 0) {
    return secret_finish(
        &s,
        st_print_error(ST_EXIT_REFUSED, "secret: this secret signs: promote another one first"));
  }
  int64_t until;
  if (!st_last_signed_valid_until(s.store, st_ring_lines_kid(s.file.lines[at]), &until, s.error)) {
    return secret_finish(&s, secret_fail(&s));
  }
  if (!given.force && until > st_clock_now()) {
    return secret_finish(
        &s,
        st_print_error(
            ST_EXIT_REFUSED,
            "secret: tokens that it signed may still be valid: --force refuses them from now on"));
  }
  subtoken_text kid = st_ring_lines_kid(s.file.lines[at]);
  for (s.file.count--; at < s.file.count; at++) s.file.lines[at] = s.file.lines[at + 1];
  if (!secret_sign_again(&s, kid) || !secret_replace(&s, "secret.retire", kid)) {
    return secret_finish(&s, secret_fail(&s));
  }
  return secret_print_kid(&s, st_text(given.kid), given.json);
}

int st_cmd_secret(int argc, char **argv) {
  static const st_command table[] = {
      {"list", secret_list, "list the names in the ring"},
      {"add", secret_add, "add a secret that only verifies"},
      {"promote", secret_promote, "make a secret the one that signs"},
      {"rotate", secret_rotate, "add a secret and let it sign at once"},
      {"retire", secret_retire, "remove a secret"},
      {"derive", st_cmd_secret_derive, "print the ring of an edge for one audience"},
      {0}};
  return st_options_run_command(table, "subtoken secret", argc, argv);
}
