/* `subtoken user`: makes, lists, shows, changes and deletes users. The first administrator is made
 * here, because over HTTP (service/users.c) that needs another one.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/table.h"
#include "domain/key.h"
#include "domain/key_json.h"
#include "domain/names.h"
#include "domain/password.h"
#include "domain/permissions.h"
#include "domain/store.h"
#include "domain/user.h"
#include "domain/user_json.h"
#include "operations/draw.h"
#include "operations/password.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/semaphore.h"
#include "os/terminal.h"
#include "service/identity.h"

#define PAGE 16
#define LOGIN_WIDTH 24

static void user_print_json(const st_user *user) {
  char text[ST_USER_JSON_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  st_user_json_write(&writer, user, st_clock_now());
  fwrite(text, 1, writer.len, stdout);
}

static const char *user_state(const st_user *user) {
  return st_key_json_state(&user->key, st_clock_now());
}

static const char *user_permissions_text(const st_user *user) {
  return user->key.permissions[0] != '\0' ? user->key.permissions : "-";
}

static void user_print(const st_user *user) {
  fputs("login:       ", stdout);
  st_print_text(stdout, st_text(user->key.owner));
  printf("\npermissions: %s\ncreated:     ", user_permissions_text(user));
  st_print_time(stdout, user->key.created_at);
  if (user->key.expires_at != ST_NEVER) {
    fputs("\nexpires:     ", stdout);
    st_print_time(stdout, user->key.expires_at);
  }
  fputs("\nlocale:      ", stdout);
  st_print_text(stdout, st_text(user->locale));
  fputs("\nsource:      ", stdout);
  st_print_text(stdout, st_text(user->source));
  if (user->registered) fputs("\nmade by:     registration", stdout);
  printf("\nstate:       %s\n", user_state(user));
}

/* What the commands share. */
typedef struct user_command {
  st_data_options data;
  const char *words[2], *permissions, *locale, *source;
  bool json;
  st_derived made;
  st_data_dir paths;
  st_store *store;
  st_arguments arguments;
} user_command;

/* False when nothing is left to do; the exit code is in arguments.code. */
static bool user_read_words(user_command *c, const char *name, const char *help,
                            const st_option *options, size_t words, int argc, char **argv) {
  c->arguments = (st_arguments){
      .command = name, .help = help, .options = options, .words = c->words, .word_max = words};
  if (!st_options_begin(&c->arguments, argc, argv)) return false;
  if (c->arguments.word_count < words) {
    c->arguments.code = st_options_usage(
        &c->arguments, words == 2 ? "LOGIN and LIST are required" : "LOGIN is missing");
    return false;
  }
  if (words > 0 && !st_names_username_valid(st_text(c->words[0]))) {
    c->arguments.code = st_options_usage(
        &c->arguments,
        "LOGIN must be UTF-8 of 1 to %d bytes without control characters and without a colon",
        ST_NAME_MAX);
    return false;
  }
  return true;
}

/* After the command line was checked: a wrong one does not make a store. */
static bool user_open_store(user_command *c, bool make) {
  c->arguments.code = st_data_dir_begin("user", &c->data, make, &c->paths, &c->store);
  return c->arguments.code == ST_EXIT_DONE;
}

static bool user_begin(user_command *c, const char *name, const char *help,
                       const st_option *options, size_t words, int argc, char **argv) {
  return user_read_words(c, name, help, options, words, argc, argv) && user_open_store(c, false);
}

/* Prints what went wrong. */
static int user_report(st_store_status status, const char *error) {
  switch (status) {
    case ST_STORE_OK: return ST_EXIT_DONE;
    case ST_STORE_NOT_FOUND: return st_print_error(ST_EXIT_REFUSED, "user: there is no such user");
    case ST_STORE_EXISTS: return st_print_error(ST_EXIT_REFUSED, "user: login: already taken");
    case ST_STORE_DENIED: return st_print_error(ST_EXIT_REFUSED, "user: %s", error);
    default: return st_print_error(ST_EXIT_FAILED, "user: %s", error);
  }
}

static int user_finish(user_command *c, st_store_status status, const char *error) {
  st_store_close(c->store);
  return user_report(status, error);
}

static int user_finish_change(user_command *c, st_store_status status, int64_t sequence,
                              const char *error) {
  int code = user_report(status, error);
  if (code == ST_EXIT_DONE && c->json) st_print_change_json(sequence, &c->made);
  if (code == ST_EXIT_DONE && !c->json) st_print_made(&c->made);
  if (code == ST_EXIT_DONE) code = st_print_flush(code);
  st_data_dir_finish(c->store);
  return code;
}

/* Reads a new password from standard input, and hashes it. The exit code; errors are printed. */
static int user_read_password(char phc[ST_PHC_MAX + 1]) {
  char text[ST_PASSWORD_MAX + 2], error[ST_ERROR_MAX];
  subtoken_text password;
  int code = ST_EXIT_DONE;
  if (!st_input_password(text, sizeof text, &password, error)) {
    code = st_print_error(ST_EXIT_FAILED, "user: %s", error);
  } else if (password.len < ST_PASSWORD_MIN) {
    code = st_print_error(ST_EXIT_REFUSED, "user: the password must have at least %d bytes",
                          ST_PASSWORD_MIN);
  } else if (!st_password_start() ||
             st_password_hash(password, ST_WAIT_FOR_EVER, phc) != ST_PASSWORD_OK) {
    code = st_print_error(ST_EXIT_FAILED, "user: cannot hash the password: out of memory");
  }
  subtoken_wipe(text, sizeof text);
  return code;
}

/* ---- create ---- */

/* `*` has no password: its permissions need no credential. */
static int user_prepare(st_user *user, uint8_t digest[32]) {
  st_draw_user(&user->key, digest);
  user->key.kind = ST_KIND_USER;
  user->key.created_at = st_clock_now();
  user->key.expires_at = ST_NEVER;
  if (strcmp(user->key.owner, ST_ANONYMOUS) != 0) return user_read_password(user->password);
  st_identity_anonymous_digest(digest);
  return ST_EXIT_DONE;
}

/* Keys that had this owner before are now managed by the new user: the operator should know. */
static void user_print_owned(st_store *store, const char *login) {
  static st_key keys[PAGE];
  char error[ST_ERROR_MAX];
  size_t count = 0;
  if (st_store_key_list(store, login, "", PAGE, keys, &count, error) != ST_STORE_OK || count == 0) {
    return;
  }
  fprintf(stderr, "subtoken user: this user now manages %s%zu key%s with the owner ",
          count == PAGE ? "at least " : "", count, count == 1 ? "" : "s");
  st_print_text(stderr, st_text(login));
  fputc('\n', stderr);
}

static int user_create(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken user create LOGIN [--permissions a,b] [--locale L] [--source S]\n"
      "                            [--config FILE] [--data DIR] [--json]\n"
      "Makes a user. Reads the password from standard input (on a terminal it asks for it), at\n"
      "least 8 bytes. LOGIN '*' has no password: its permissions need no credential.";
  user_command c = {0};
  const st_option options[] = {
      ST_DATA_OPTIONS(c.data),       {"--permissions", NULL, &c.permissions},
      {"--locale", NULL, &c.locale}, {"--source", NULL, &c.source},
      {"--json", &c.json, NULL},     {0}};
  st_user user = {0};
  uint8_t digest[32];
  char error[ST_ERROR_MAX];
  if (!user_read_words(&c, "user create", help, options, 1, argc, argv)) return c.arguments.code;
  if (!st_names_new_username_valid(st_text(c.words[0]))) {
    return st_options_usage(&c.arguments, "LOGIN must not be . or ..: no URL can name such a user");
  }
  const char *permissions = c.permissions != NULL ? c.permissions : "";
  const char *locale = c.locale != NULL ? c.locale : "", *source = c.source != NULL ? c.source : "";
  if (!st_permissions_read(permissions, user.key.permissions)) {
    return st_options_usage(&c.arguments, ST_PERMISSIONS_FORM);
  }
  if (strlen(locale) > ST_LOCALE_MAX || strlen(source) > ST_SOURCE_MAX ||
      !st_utf8_valid(st_text(locale)) || !st_utf8_valid(st_text(source))) {
    return st_options_usage(&c.arguments,
                            "--locale must be UTF-8 of at most %d bytes, --source of at most %d",
                            ST_LOCALE_MAX, ST_SOURCE_MAX);
  }
  snprintf(user.key.owner, sizeof user.key.owner, "%s", c.words[0]);
  snprintf(user.key.name, sizeof user.key.name, "%s", c.words[0]);
  snprintf(user.locale, sizeof user.locale, "%s", locale);
  snprintf(user.source, sizeof user.source, "%s", source);
  int code = user_prepare(&user, digest);
  if (code == ST_EXIT_DONE && !user_open_store(&c, true)) code = c.arguments.code;
  if (code != ST_EXIT_DONE) {
    subtoken_wipe(user.password, sizeof user.password);
    return code;
  }
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  st_store_status status =
      st_store_user_create(c.store, &context, NULL, false, &user, digest, error);
  if (status == ST_STORE_OK) user_print_owned(c.store, c.words[0]);
  code = user_finish(&c, status, error);
  if (code == ST_EXIT_DONE && c.json) {
    user_print_json(&user);
    fputc('\n', stdout);
  }
  subtoken_wipe(user.password, sizeof user.password);
  return code == ST_EXIT_DONE ? st_print_flush(code) : code;
}

/* ---- list and show ---- */

/* A login is an id, and whole. */
enum { STATE, LOGIN, PERMISSIONS, COLUMNS };
static const st_table_column user_columns[COLUMNS] = {
    [STATE] = {.heading = "STATE", .leave_out = 2},
    [LOGIN] = {.heading = "LOGIN", .most = 40},
    [PERMISSIONS] = {.heading = "PERMISSIONS", .least = 8, .leave_out = 1},
};

static st_table_row user_row(const st_user *user) {
  return (st_table_row){.cells = {[STATE] = user_state(user),
                                  [LOGIN] = user->key.owner,
                                  [PERMISSIONS] = user_permissions_text(user)}};
}

static void user_begin_table(st_table *table, const st_user *users, size_t count) {
  st_table_begin(table, user_columns, COLUMNS);
  for (size_t i = 0; i < count; i++) {
    st_table_row row = user_row(&users[i]);
    st_table_measure(table, &row);
  }
  st_table_fit(table, st_terminal_width());
}

/* table NULL: in a pipe. */
static void user_print_row(const st_user *user, bool json, const st_table *table) {
  st_table_row row = user_row(user);
  if (json) {
    user_print_json(user);
    fputc('\n', stdout);
  } else if (table != NULL) {
    st_table_print(table, &row);
  } else {
    printf("%-8s  ", row.cells[STATE]);
    st_print_text(stdout, st_text(row.cells[LOGIN]));
    int pad = LOGIN_WIDTH - (int)strlen(row.cells[LOGIN]);
    printf("%*s  %s\n", pad > 0 ? pad : 0, "", row.cells[PERMISSIONS]);
  }
}

static int user_list(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken user list [--config FILE] [--data DIR] [--json]\n"
      "Lists the users in the order of their logins, with their permissions: on a terminal as a\n"
      "table that fits it, with --json one object a line.";
  user_command c = {0};
  const st_option options[] = {ST_DATA_OPTIONS(c.data), {"--json", &c.json, NULL}, {0}};
  if (!user_begin(&c, "user list", help, options, 0, argc, argv)) return c.arguments.code;
  static st_user users[PAGE];
  char error[ST_ERROR_MAX], after[ST_NAME_MAX + 1] = "";
  size_t count = PAGE;
  st_table table = {0};
  bool tabular = !c.json && st_terminal_is_output();
  st_store_status status = ST_STORE_OK;
  while (status == ST_STORE_OK && count == PAGE) {
    status = st_store_user_list(c.store, after, PAGE, users, &count, error);
    if (status != ST_STORE_OK || count == 0) break;
    if (tabular && table.count == 0) user_begin_table(&table, users, count);
    for (size_t i = 0; i < count; i++) {
      user_print_row(&users[i], c.json, tabular ? &table : NULL);
    }
    memcpy(after, users[count - 1].key.owner, sizeof after);
  }
  int code = user_finish(&c, status, error);
  return code == ST_EXIT_DONE ? st_print_flush(code) : code;
}

static int user_show(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken user show LOGIN [--config FILE] [--data DIR] [--json]\n"
      "Shows a user. Of the password only a salted hash is stored.";
  user_command c = {0};
  const st_option options[] = {ST_DATA_OPTIONS(c.data), {"--json", &c.json, NULL}, {0}};
  st_user user = {0};
  char error[ST_ERROR_MAX];
  if (!user_begin(&c, "user show", help, options, 1, argc, argv)) return c.arguments.code;
  int code = user_finish(&c, st_store_user_find(c.store, st_text(c.words[0]), &user, error), error);
  if (code != ST_EXIT_DONE) return code;
  if (c.json) {
    user_print_json(&user);
    fputc('\n', stdout);
  } else {
    user_print(&user);
  }
  return st_print_flush(code);
}

/* ---- changes ---- */

static int user_permissions(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken user permissions LOGIN LIST [--and-made]\n"
      "                                 [--config FILE] [--data DIR] [--json]\n"
      "Sets the permissions of a user: LIST is a,b, or '' for none. When a permission is\n"
      "taken away, the user's sessions and the keys that hold it end at once. Lists what the\n"
      "user made with it for others; that stays valid. --and-made ends what the user made\n"
      "with any permission that the user no longer has.";
  user_command c = {0};
  const st_option options[] = {
      ST_DATA_OPTIONS(c.data), {"--and-made", &c.made.end, NULL}, {"--json", &c.json, NULL}, {0}};
  char error[ST_ERROR_MAX], sub[ST_SUB_LEN + 1], list[ST_PERMISSIONS_TEXT_MAX + 1];
  int64_t sequence = 0;
  if (!user_read_words(&c, "user permissions", help, options, 2, argc, argv)) {
    return c.arguments.code;
  }
  if (!st_permissions_read(c.words[1], list)) {
    return st_options_usage(&c.arguments, ST_PERMISSIONS_FORM);
  }
  if (!user_open_store(&c, false)) return c.arguments.code;
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  context.made = &c.made;
  st_draw_sub(sub);
  st_store_status status =
      st_store_user_set_permissions(c.store, &context, c.words[0], list, sub, &sequence, error);
  return user_finish_change(&c, status, sequence, error);
}

static int user_passwd(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken user passwd LOGIN [--config FILE] [--data DIR] [--json]\n"
      "Sets a new password, read from standard input (on a terminal it asks for it), and ends\n"
      "the user's sessions.";
  user_command c = {0};
  const st_option options[] = {ST_DATA_OPTIONS(c.data), {"--json", &c.json, NULL}, {0}};
  char error[ST_ERROR_MAX], sub[ST_SUB_LEN + 1], phc[ST_PHC_MAX + 1];
  int64_t sequence = 0;
  if (!user_begin(&c, "user passwd", help, options, 1, argc, argv)) return c.arguments.code;
  int code = strcmp(c.words[0], ST_ANONYMOUS) == 0
                 ? st_print_error(ST_EXIT_REFUSED, "user: '*' has no password")
                 : user_read_password(phc);
  if (code != ST_EXIT_DONE) {
    st_store_close(c.store);
    return code;
  }
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  st_draw_sub(sub);
  st_store_status status =
      st_store_user_set_password(c.store, &context, c.words[0], phc, sub, &sequence, error);
  subtoken_wipe(phc, sizeof phc);
  return user_finish_change(&c, status, sequence, error);
}

typedef enum user_action { USER_DISABLE, USER_ENABLE, USER_DELETE } user_action;

static int user_change_one(int argc, char **argv, const char *name, const char *help,
                           user_action action) {
  user_command c = {0};
  const st_option all[] = {
      ST_DATA_OPTIONS(c.data), {"--json", &c.json, NULL}, {"--and-made", &c.made.end, NULL}, {0}};
  const st_option fewer[] = {all[0], all[1], all[2], {0}};
  const st_option *options = action == USER_ENABLE ? fewer : all;
  char error[ST_ERROR_MAX];
  int64_t sequence = 0;
  if (!user_begin(&c, name, help, options, 1, argc, argv)) return c.arguments.code;
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  context.made = &c.made;
  st_store_status status =
      action == USER_DELETE ? st_store_user_delete(c.store, &context, c.words[0], &sequence, error)
                            : st_store_user_set_disabled(c.store, &context, c.words[0],
                                                         action == USER_DISABLE, &sequence, error);
  return user_finish_change(&c, status, sequence, error);
}

static int user_disable(int argc, char **argv) {
  return user_change_one(
      argc, argv, "user disable",
      "usage: subtoken user disable LOGIN [--and-made] [--config FILE] [--data DIR] [--json]\n"
      "Ends a user's sessions, and refuses the user's keys until the user is enabled again.\n"
      "Lists what the user made for others; that stays valid. --and-made deletes it.",
      USER_DISABLE);
}

static int user_enable(int argc, char **argv) {
  return user_change_one(argc, argv, "user enable",
                         "usage: subtoken user enable LOGIN [--config FILE] [--data DIR] [--json]\n"
                         "Enables a disabled user, and the user's keys.",
                         USER_ENABLE);
}

static int user_delete(int argc, char **argv) {
  return user_change_one(
      argc, argv, "user delete",
      "usage: subtoken user delete LOGIN [--and-made] [--config FILE] [--data DIR] [--json]\n"
      "Deletes a user, with the sessions and keys and all tokens made with them.\n"
      "Lists what the user made for others; that stays valid. --and-made deletes it, too.",
      USER_DELETE);
}

int st_cmd_user(int argc, char **argv) {
  static const st_command table[] = {
      {"create", user_create, "make a user; the password comes from standard input"},
      {"list", user_list, "list the users"},
      {"show", user_show, "show one user"},
      {"permissions", user_permissions, "set what a user may do"},
      {"passwd", user_passwd, "set a new password"},
      {"disable", user_disable, "refuse a user, and the user's keys, until enabled again"},
      {"enable", user_enable, "enable a disabled user"},
      {"delete", user_delete, "delete a user, with sessions and keys"},
      {0}};
  return st_options_run_command(table, "subtoken user", argc, argv);
}
