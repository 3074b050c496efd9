/* `subtoken key`: makes, shows, disables, enables and deletes parent keys, replaces their secrets,
 * and revokes their subtokens. A server on the same DATA sees each change at once. They are listed
 * in cmd_key_list.c. Over HTTP it is service/keys.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/impossible.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/key.h"
#include "domain/key_json.h"
#include "domain/permissions.h"
#include "domain/store.h"
#include "operations/keys.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/terminal.h"

#define KEY_JSON_ROOM 8192 /* the longest description of a key, with the key */
#define KEY_OVERLAP_MAX (INT64_C(30) * 86400)

static void key_print_expiry(const st_key *key) {
  if (key->expires_at == ST_NEVER) {
    fputs("never", stdout);
  } else {
    st_print_time(stdout, key->expires_at);
  }
}

static const char *key_permissions_text(const st_key *key) {
  return key->permissions[0] != '\0' ? key->permissions : "-";
}

static int key_print_not_created(st_store_status status, const char *error) {
  switch (status) {
    case ST_STORE_EXISTS:
      return st_print_error(ST_EXIT_REFUSED,
                            "key: --hash: this string is registered already, or was");
    case ST_STORE_OWNER_REGISTERED:
      return st_print_error(ST_EXIT_REFUSED,
                            "key: --owner is a self-registered user, who would manage this key: "
                            "add --owner-user to confirm");
    case ST_STORE_OWNER_NOT_USER:
      return st_print_error(ST_EXIT_REFUSED,
                            "key: --owner-user: there is no user with the login given as --owner");
    default: return st_print_error(ST_EXIT_FAILED, "key: %s", error);
  }
}

typedef struct key_options {
  st_data_options data;
  const char *name, *permissions, *expires, *owner, *hash, *audience;
  bool json, owner_is_user;
} key_options;

static bool key_is_name(const char *text) {
  return strlen(text) <= ST_NAME_MAX && st_utf8_valid(st_text(text));
}

static bool key_read_hash(const char *text, uint8_t digest[32]) {
  size_t len;
  return st_base64url_decode(st_text(text), digest, 32, &len) && len == 32;
}

static bool key_read_expires(const char *text, st_key *key) {
  int64_t life;
  if (text == NULL || strcmp(text, "never") == 0) return true;
  if (!st_input_span(text, &life) || life < 1 || life > ST_NEVER / 2) return false;
  key->expires_at = key->created_at + life;
  return true;
}

/* The key as the options describe it; digest when there is a hash. NULL, or which option is wrong.
 */
static const char *key_read_options(const key_options *given, st_key *key, uint8_t digest[32]) {
  const char *owner = given->owner != NULL ? given->owner : "";
  if (given->owner_is_user && given->owner == NULL) return "--owner-user requires --owner";
  if (given->name == NULL || given->permissions == NULL) {
    return "--name and --permissions are required";
  }
  if (!st_permissions_read(given->permissions, key->permissions)) return ST_PERMISSIONS_FORM;
  if (!key_is_name(given->name) || !key_is_name(owner)) {
    return "--name and --owner must be UTF-8 of at most 256 bytes";
  }
  if (!key_read_expires(given->expires, key)) {
    return "--expires must be never, or a number with s, m, h or d";
  }
  if (given->hash != NULL && !key_read_hash(given->hash, digest)) {
    return "--hash must be the 43 characters that `subtoken key hash` printed";
  }
  if (given->audience != NULL && !subtoken_audience_valid(st_text(given->audience))) {
    return "--audience must be 1 to 32 characters A-Za-z0-9_-";
  }
  key->owner_is_user = given->owner_is_user;
  snprintf(key->audience, sizeof key->audience, "%s",
           given->audience != NULL ? given->audience : "");
  snprintf(key->name, sizeof key->name, "%s", given->name);
  snprintf(key->owner, sizeof key->owner, "%s", owner);
  return NULL;
}

/* A key is printed once. So what cannot be printed is not made; where that was not known before,
 * the error says what has become of the key.
 */
static bool key_can_print(bool json) {
  char error[ST_ERROR_MAX];
  if (st_terminal_reserve_output(json ? KEY_JSON_ROOM : ST_KEY_LEN + 1, error)) return true;
  (void)st_print_error(ST_EXIT_FAILED, "key: %s", error);
  return false;
}

static int key_print_end(const char *id, const char *lost) {
  int code = st_print_flush(ST_EXIT_DONE);
  if (code != ST_EXIT_DONE) (void)st_print_error(code, "key: %s %s", id, lost);
  return code;
}

/* digest: of the string to register, or NULL to make a key. */
static int key_create_in(st_store *store, st_key *key, const uint8_t *digest, bool json) {
  char error[ST_ERROR_MAX], who[ST_WHO_MAX], whole[ST_KEY_LEN + 1] = "";
  st_audit_context context = st_input_audit_context(who);
  st_store_status status = digest != NULL
                               ? st_keys_register(store, &context, key, digest, error)
                               : st_keys_create(store, &context, NULL, key, whole, error);
  if (status != ST_STORE_OK) {
    subtoken_wipe(whole, sizeof whole);
    return key_print_not_created(status, error);
  }
  if (json) {
    st_print_key_json(key, digest != NULL ? NULL : whole, key->created_at);
    fputc('\n', stdout);
  } else {
    puts(digest != NULL ? key->id : whole);
  }
  subtoken_wipe(whole, sizeof whole);
  return key_print_end(key->id, digest != NULL ? "was made" : "was made and is lost: delete it");
}

static int key_create(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken key create --name N --permissions a,b [--expires 30d|never] [--owner O]\n"
      "                           [--owner-user] [--audience A] [--hash H]\n"
      "                           [--config FILE] [--data DIR] [--json]\n"
      "Makes a parent key and prints it, once: only its SHA-256 is stored. Makes the DATA\n"
      "directory if there is none. --expires is a number with s, m, h or d; never by default.\n"
      "The user whose login is O manages the key. If that user is self-registered,\n"
      "--owner-user is required to confirm it.\n"
      "--audience binds the key for ever: what is made with it is for edges for A alone.\n"
      "--hash registers a string of your own by its hash (see key hash), to be sent as\n"
      "X-API-Key; then the id is printed.";
  key_options given = {0};
  const st_option options[] = {ST_DATA_OPTIONS(given.data),
                               {"--name", NULL, &given.name},
                               {"--permissions", NULL, &given.permissions},
                               {"--expires", NULL, &given.expires},
                               {"--owner", NULL, &given.owner},
                               {"--owner-user", &given.owner_is_user, NULL},
                               {"--audience", NULL, &given.audience},
                               {"--hash", NULL, &given.hash},
                               {"--json", &given.json, NULL},
                               {0}};
  st_arguments arguments = {.command = "key create", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  st_key key = {.created_at = st_clock_now(), .expires_at = ST_NEVER};
  uint8_t digest[32];
  const char *problem = key_read_options(&given, &key, digest);
  if (problem != NULL) return st_options_usage(&arguments, "%s", problem);
  if (!key_can_print(given.json)) return ST_EXIT_FAILED;
  st_data_dir data;
  st_store *store;
  int begun = st_data_dir_begin("key", &given.data, true, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  int code = key_create_in(store, &key, given.hash != NULL ? digest : NULL, given.json);
  st_store_close(store);
  return code;
}

static int key_hash(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken key hash [--json]   < STRING\n"
      "Reads a string of 16 to 255 visible ASCII characters from standard input and prints the\n"
      "hash by which `subtoken key create` registers it. The string should be random.";
  bool json = false;
  const st_option options[] = {{"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "key hash", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  char text[1024], error[ST_ERROR_MAX];
  uint8_t digest[32];
  subtoken_text string;
  if (!st_input_credential(text, sizeof text, &string, error)) {
    return st_print_error(ST_EXIT_FAILED, "key: %s", error);
  }
  bool good = st_key_string_hash(string, digest);
  subtoken_wipe(text, sizeof text);
  if (!good) {
    return st_print_error(ST_EXIT_REFUSED,
                          "key: the string must be 16 to 255 visible ASCII characters, and neither "
                          "a key nor a token");
  }
  char out[ST_BASE64URL_LEN(32) + 1];
  st_writer writer = st_writer_on(out, sizeof out);
  st_base64url_write(&writer, digest, sizeof digest);
  if (!st_impossible(!st_writer_end(&writer), "a hash fits")) {
    printf(json ? "{\"hash\":\"%s\"}\n" : "%s\n", out);
  }
  return st_print_flush(ST_EXIT_DONE);
}

/* Until when the secret before this one is good; - when it is not. */
static void key_print_old_until(const st_key *key, int64_t now) {
  if (key->old_until > now) {
    st_print_time(stdout, key->old_until);
  } else {
    fputs("-", stdout);
  }
}

static void key_print(const st_key *key, int64_t now) {
  printf("id:          %s\nname:        ", key->id);
  st_print_text(stdout, st_text(key->name));
  fputs("\nowner:       ", stdout);
  st_print_text(stdout, st_text(key->owner));
  printf("\npermissions: %s\ncreated:     ", key_permissions_text(key));
  st_print_time(stdout, key->created_at);
  fputs("\nexpires:     ", stdout);
  key_print_expiry(key);
  fputs("\nlast used:   ", stdout);
  if (key->used_at == 0) {
    fputs("-", stdout);
  } else {
    st_print_time(stdout, key->used_at);
  }
  if (key->rotated_at != 0) {
    fputs("\nrotated:     ", stdout);
    st_print_time(stdout, key->rotated_at);
    fputs("\nold until:   ", stdout);
    key_print_old_until(key, now);
  }
  if (key->audience[0] != '\0') printf("\naudience:    %s", key->audience);
  if (key->made_by[0] != '\0') printf("\nmade with:   %s", key->made_by);
  printf("\nstate:       %s%s\nsub:         %s\n", st_key_json_state(key, now),
         key->disabled && key->disabled_by_owner ? " by its owner" : "", key->sub);
}

typedef enum key_action {
  KEY_SHOW,
  KEY_DISABLE,
  KEY_ENABLE,
  KEY_DELETE,
  KEY_REVOKE_SUBTOKENS
} key_action;

static st_store_status key_perform(st_store *store, const char *id, key_action action, st_key *key,
                                   st_derived *made, int64_t *sequence, char *error) {
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  context.made = made;
  switch (action) {
    case KEY_SHOW: return st_store_key_find(store, id, key, error);
    case KEY_DISABLE: return st_store_key_set_disabled(store, &context, id, true, sequence, error);
    case KEY_ENABLE: return st_store_key_set_disabled(store, &context, id, false, sequence, error);
    case KEY_DELETE: return st_store_key_delete(store, &context, id, sequence, error);
    case KEY_REVOKE_SUBTOKENS: return st_keys_new_sub(store, &context, id, sequence, error);
  }
  return ST_STORE_FAILED;
}

/* The commands on one id. */
static int key_act_on_one(int argc, char **argv, const char *command, const char *help,
                          key_action action) {
  st_data_options data_options = {0};
  const char *id = NULL;
  bool json = false;
  st_derived made = {0};
  const st_option all[] = {
      ST_DATA_OPTIONS(data_options), {"--json", &json, NULL}, {"--and-made", &made.end, NULL}, {0}};
  const st_option fewer[] = {all[0], all[1], all[2], {0}};
  const st_option *options = action == KEY_DISABLE || action == KEY_DELETE ? all : fewer;
  st_arguments arguments = {
      .command = command, .help = help, .options = options, .words = &id, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (id == NULL) return st_options_usage(&arguments, "ID is missing");
  char error[ST_ERROR_MAX];
  st_data_dir data;
  st_key key;
  st_store *store;
  int begun = st_data_dir_begin("key", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  int64_t sequence = 0;
  st_store_status status = key_perform(store, id, action, &key, &made, &sequence, error);
  st_store_close(store);
  if (status == ST_STORE_NOT_FOUND) {
    return st_print_error(ST_EXIT_REFUSED, "key: there is no key with this id");
  }
  if (status != ST_STORE_OK) return st_print_error(ST_EXIT_FAILED, "key: %s", error);
  if (action == KEY_SHOW && json) {
    st_print_key_json(&key, NULL, st_clock_now());
    fputc('\n', stdout);
  } else if (action == KEY_SHOW) {
    key_print(&key, st_clock_now());
  } else if (json) {
    st_print_change_json(sequence, &made);
  } else {
    st_print_made(&made);
  }
  return st_print_flush(ST_EXIT_DONE);
}

static int key_show(int argc, char **argv) {
  return key_act_on_one(argc, argv, "key show",
                        "usage: subtoken key show ID [--config FILE] [--data DIR] [--json]\n"
                        "Shows a parent key. The key itself is not stored.",
                        KEY_SHOW);
}

static int key_disable(int argc, char **argv) {
  return key_act_on_one(
      argc, argv, "key disable",
      "usage: subtoken key disable ID [--and-made] [--config FILE] [--data DIR] [--json]\n"
      "Refuses the key and its subtokens until it is enabled again. Lists the keys and users\n"
      "that were made with it; they stay valid. --and-made deletes them.",
      KEY_DISABLE);
}

static int key_enable(int argc, char **argv) {
  return key_act_on_one(argc, argv, "key enable",
                        "usage: subtoken key enable ID [--config FILE] [--data DIR] [--json]\n"
                        "Enables a disabled key, and its subtokens.",
                        KEY_ENABLE);
}

static int key_delete(int argc, char **argv) {
  return key_act_on_one(
      argc, argv, "key delete",
      "usage: subtoken key delete ID [--and-made] [--config FILE] [--data DIR] [--json]\n"
      "Deletes the key: it and its subtokens are refused for ever. Lists the keys and users\n"
      "that were made with it; they stay valid. --and-made deletes them, too.",
      KEY_DELETE);
}

static int key_revoke_subtokens(int argc, char **argv) {
  return key_act_on_one(
      argc, argv, "key revoke-subtokens",
      "usage: subtoken key revoke-subtokens ID [--config FILE] [--data DIR] [--json]\n"
      "Refuses every subtoken made so far. The key stays valid and makes new ones.",
      KEY_REVOKE_SUBTOKENS);
}

static int key_rotate(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken key rotate ID [--overlap 24h] [--config FILE] [--data DIR] [--json]\n"
      "Replaces the secret of a key and prints the new whole key, once. The id and everything\n"
      "made with the key stay as they are. --overlap is how long the old key is still good: a\n"
      "number with s, m, h or d, at most 30d; 0 by default. A key has one old secret: rotating\n"
      "it again ends the one before.";
  st_data_options data_options = {0};
  const char *id = NULL, *given = NULL;
  bool json = false;
  int64_t overlap = 0;
  const st_option options[] = {
      ST_DATA_OPTIONS(data_options), {"--overlap", NULL, &given}, {"--json", &json, NULL}, {0}};
  st_arguments arguments = {
      .command = "key rotate", .help = help, .options = options, .words = &id, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (id == NULL) return st_options_usage(&arguments, "ID is missing");
  if (given != NULL && strcmp(given, "0") != 0 &&
      (!st_input_span(given, &overlap) || overlap > KEY_OVERLAP_MAX)) {
    return st_options_usage(&arguments,
                            "--overlap must be 0, or a number with s, m, h or d, at most 30d");
  }
  if (!key_can_print(json)) return ST_EXIT_FAILED;
  char error[ST_ERROR_MAX], who[ST_WHO_MAX], whole[ST_KEY_LEN + 1] = "";
  st_data_dir data;
  st_key key;
  st_store *store;
  int begun = st_data_dir_begin("key", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  st_audit_context context = st_input_audit_context(who);
  st_store_status status = st_keys_rotate(store, &context, NULL, id, overlap, &key, whole, error);
  st_store_close(store);
  if (status == ST_STORE_OK && json) {
    st_print_key_json(&key, whole, st_clock_now());
    fputc('\n', stdout);
  } else if (status == ST_STORE_OK) {
    puts(whole);
  }
  subtoken_wipe(whole, sizeof whole);
  if (status == ST_STORE_NOT_FOUND) {
    return st_print_error(ST_EXIT_REFUSED, "key: there is no key with this id");
  }
  if (status == ST_STORE_EXPIRED) {
    return st_print_error(ST_EXIT_REFUSED, "key: the key has expired: make a new one");
  }
  if (status != ST_STORE_OK) return st_print_error(ST_EXIT_FAILED, "key: %s", error);
  return key_print_end(id, "has a new secret, which is lost: rotate it again");
}

int st_cmd_key(int argc, char **argv) {
  static const st_command table[] = {
      {"create", key_create, "make a parent key and print it, once"},
      {"hash", key_hash, "print the hash under which your own string can be registered"},
      {"list", st_cmd_key_list, "list the keys"},
      {"show", key_show, "show one key"},
      {"disable", key_disable, "refuse a key until it is enabled again"},
      {"enable", key_enable, "enable a disabled key"},
      {"rotate", key_rotate, "replace the secret of a key and print it, once"},
      {"delete", key_delete, "refuse a key for ever"},
      {"revoke-subtokens", key_revoke_subtokens, "refuse every subtoken of a key made so far"},
      {0}};
  return st_options_run_command(table, "subtoken key", argc, argv);
}
