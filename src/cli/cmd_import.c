/* Access files of Graphene nodes: their users become users here, all of them or none. What a run
 * would do with each is found out first, by looking at the store and at the file, and said; a dry
 * run ends there. The store makes all of the changes in one transaction, and none when a user is
 * no longer as he was looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/access_file.h"
#include "domain/key.h"
#include "domain/password.h"
#include "domain/store.h"
#include "domain/user.h"
#include "operations/draw.h"
#include "operations/password.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "service/identity.h"

#define FILE_MAX (64 << 20) /* bytes */
#define IMPORTED_ANYONE "*" /* `*` has no password that could be remembered */
#define PAGE 16

/* What becomes of a user. */
typedef enum outcome {
  UNCHANGED,
  CREATED,
  CHANGED,
  RESTORED,
  DIFFERS, /* would be changed with --update */
  DELETED, /* would be there again with --restore */
  MISSING, /* was imported, and the file has him no more */
  OUTCOMES
} outcome;

typedef struct intake {
  st_store *store;
  bool dry_run, update, restore, json;
  bool refused;          /* for what the caller can mend */
  st_user_import *users; /* those that the store is to take up */
  size_t room, count;
  subtoken_text *logins; /* of the whole file, in order */
  size_t login_count;
  size_t counts[OUTCOMES];
  FILE *said; /* in memory, until it is done */
  char *said_text;
  size_t said_len;
  char error[ST_ERROR_MAX];
} intake;

/* An entry of the file beside the user of its login. */
typedef struct finding {
  const st_access_entry *entry;
  st_user known; /* when `exists` */
  bool exists, was_deleted, owns_keys;
  bool other_password; /* the file has another than it had at the last import */
  outcome what;
} finding;

static bool import_fail(intake *work, const char *text) {
  snprintf(work->error, sizeof work->error, "%s", text);
  return false;
}

/* One more, all zero. */
static st_user_import *import_add_user(intake *work) {
  if (work->count == work->room) {
    size_t room = work->room * 2 + 16;
    st_user_import *users = realloc(work->users, room * sizeof *users);
    if (users == NULL) return NULL;
    work->users = users;
    work->room = room;
  }
  st_user_import *user = &work->users[work->count];
  memset(user, 0, sizeof *user);
  return user;
}

/* ---- lists of permissions, joined by commas ---- */

typedef char list[ST_PERMISSIONS_TEXT_MAX + 1];

static bool import_list_has(const char *text, subtoken_text permission) {
  st_cutter cutter = {st_text(text), text[0] == '\0'};
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_text_equal(each, permission)) return true;
  }
  return false;
}

static void import_list_of(const st_access_entry *entry, list out) {
  st_writer writer = st_writer_on(out, sizeof(list));
  for (size_t i = 0; i < entry->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_view(&writer, entry->permissions[i]);
  }
  if (!st_writer_end(&writer)) out[0] = '\0';
}

/* What one list has and another has not. */
static void import_list_without(const char *from, const char *without, list out) {
  st_cutter cutter = {st_text(from), from[0] == '\0'};
  st_writer writer = st_writer_on(out, sizeof(list));
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (import_list_has(without, each)) continue;
    if (writer.len > 0) st_write_char(&writer, ',');
    st_write_view(&writer, each);
  }
  if (!st_writer_end(&writer)) out[0] = '\0';
}

static void import_print_list_json(FILE *out, const char *name, const char *text) {
  st_cutter cutter = {st_text(text), text[0] == '\0'};
  subtoken_text each;
  fprintf(out, ",\"%s\":[", name);
  for (bool first = true; st_cut(&cutter, ',', &each); first = false) {
    if (!first) fputc(',', out);
    st_print_json(out, each);
  }
  fputc(']', out);
}

/* ---- what there is already ---- */

/* Compared with what the file had at the last import: what was set here since is no reason. */
static bool import_compare_passwords(intake *work, finding *f) {
  const st_access_entry *entry = f->entry;
  if (entry->anyone) return true;
  st_password_status status =
      st_password_is_wrap_of(f->known.imported, entry->hash, entry->salt, entry->salt_len);
  f->other_password = status != ST_PASSWORD_OK;
  if (status == ST_PASSWORD_OK || status == ST_PASSWORD_WRONG) return true;
  return import_fail(work, "cannot hash a password: out of memory, or the database is damaged");
}

static bool import_refuse_unimported(intake *work, const st_access_entry *entry) {
  char shown[ST_NAME_MAX + 1];
  st_writer writer = st_writer_on(shown, sizeof shown);
  st_write_escaped(&writer, entry->login);
  if (!st_writer_end(&writer)) shown[0] = '\0';
  work->refused = true;
  snprintf(work->error, sizeof work->error,
           "user %s exists and was not imported: delete the user, or remove the entry from the "
           "file; nothing was changed",
           shown);
  return false;
}

/* Keys with this owner, which a new user of the login would manage. */
static bool import_find_keys(intake *work, finding *f) {
  char owner[ST_NAME_MAX + 1];
  st_key key = {0};
  size_t count = 0;
  memcpy(owner, f->entry->login.data, f->entry->login.len);
  owner[f->entry->login.len] = '\0';
  st_store_status stored = st_store_key_list(work->store, owner, "", 1, &key, &count, work->error);
  f->owns_keys = count > 0;
  return stored == ST_STORE_OK;
}

static bool import_compare_new(intake *work, finding *f) {
  if (st_store_user_was_deleted(work->store, f->entry->login, &f->was_deleted, work->error) !=
          ST_STORE_OK ||
      !import_find_keys(work, f)) {
    return false;
  }
  f->what = !f->was_deleted ? CREATED : work->restore ? RESTORED : DELETED;
  return true;
}

static bool import_compare_user(intake *work, finding *f) {
  list wanted, differing;
  if (f->known.imported[0] == '\0') return import_refuse_unimported(work, f->entry);
  if (!import_compare_passwords(work, f)) return false;
  import_list_of(f->entry, wanted);
  import_list_without(wanted, f->known.key.permissions, differing);
  bool same = !f->other_password && differing[0] == '\0';
  import_list_without(f->known.key.permissions, wanted, differing);
  same = same && differing[0] == '\0';
  f->what = same ? UNCHANGED : work->update ? CHANGED : DIFFERS;
  return true;
}

static bool import_look_up(intake *work, finding *f) {
  st_store_status found = st_store_user_find(work->store, f->entry->login, &f->known, work->error);
  f->exists = found == ST_STORE_OK;
  if (found == ST_STORE_FAILED) return false;
  return f->exists ? import_compare_user(work, f) : import_compare_new(work, f);
}

/* ---- what is said of it ---- */

static const char *const words[OUTCOMES] = {
    [UNCHANGED] = "unchanged", [CREATED] = "create",  [CHANGED] = "change", [RESTORED] = "restore",
    [DIFFERS] = "differs",     [DELETED] = "deleted", [MISSING] = "missing"};

/* "new": the file has another than at the last import; "replaces": that, and one was set here since
 * then; "kept": the one that was set here stays. NULL: nothing to say.
 */
static const char *import_password_word(const finding *f) {
  if (!f->exists) return NULL;
  if (f->other_password) return f->known.own_password ? "replaces" : "new";
  return f->known.own_password ? "kept" : NULL;
}

static void import_print_json(FILE *out, const finding *f, const char *wanted) {
  list differing;
  const char *password = import_password_word(f);
  fputs("{\"login\":", out);
  st_print_json(out, f->entry->login);
  fprintf(out, ",\"does\":\"%s\"", words[f->what]);
  if (!f->exists) {
    import_print_list_json(out, "permissions", wanted);
  } else if (f->what != UNCHANGED) {
    import_list_without(wanted, f->known.key.permissions, differing);
    import_print_list_json(out, "adds", differing);
    import_list_without(f->known.key.permissions, wanted, differing);
    import_print_list_json(out, "removes", differing);
  }
  if (password != NULL) fprintf(out, ",\"password\":\"%s\"", password);
  if (f->exists && f->known.key.disabled) fputs(",\"disabled\":true", out);
  if (f->owns_keys) fputs(",\"owns_keys\":true", out);
  fputs("}\n", out);
}

/* The permissions of a user who is new, or how those of one who is there differ. */
static void import_print_permissions(FILE *out, const finding *f, const char *wanted) {
  list differing;
  if (!f->exists) {
    fprintf(out, "  %s", wanted[0] != '\0' ? wanted : "-");
    return;
  }
  import_list_without(wanted, f->known.key.permissions, differing);
  if (differing[0] != '\0') fprintf(out, "  +%s", differing);
  import_list_without(f->known.key.permissions, wanted, differing);
  if (differing[0] != '\0') fprintf(out, "  -%s", differing);
}

static void import_print_text(FILE *out, const finding *f, const char *wanted) {
  const char *password = import_password_word(f);
  fprintf(out, "%-9s  ", words[f->what]);
  st_print_text(out, f->entry->login);
  import_print_permissions(out, f, wanted);
  if (password != NULL) {
    fputs(strcmp(password, "new") == 0        ? "  (new password)"
          : strcmp(password, "replaces") == 0 ? "  (new password, replaces the one set here)"
                                              : "  (keeps the password that was set here)",
          out);
  }
  if (f->exists && f->known.key.disabled) fputs("  (is disabled)", out);
  if (f->was_deleted) fputs("  (was deleted here)", out);
  if (f->owns_keys) fputs("  (keys with this owner exist)", out);
  fputc('\n', out);
}

static void import_print(const intake *work, const finding *f) {
  list wanted;
  import_list_of(f->entry, wanted);
  (work->json ? import_print_json : import_print_text)(work->said, f, wanted);
}

static void import_print_missing(const intake *work, const char *login) {
  FILE *out = work->said;
  if (work->json) {
    fputs("{\"login\":", out);
    st_print_json(out, st_text(login));
    fprintf(out, ",\"does\":\"%s\"}\n", words[MISSING]);
    return;
  }
  fprintf(out, "%-9s  ", words[MISSING]);
  st_print_text(out, st_text(login));
  fputs("  (was imported and is no longer in the file)\n", out);
}

/* ---- one entry ---- */

/* As the store wants it: the password only where it is another. */
static bool import_fill(intake *work, const finding *f, st_user_import *user) {
  const st_access_entry *entry = f->entry;
  st_user *person = &user->user;
  st_key *key = &person->key;
  st_draw_user(key, user->digest);
  key->kind = ST_KIND_USER;
  key->created_at = st_clock_now();
  key->expires_at = ST_NEVER;
  memcpy(key->owner, entry->login.data, entry->login.len);
  memcpy(key->name, entry->login.data, entry->login.len);
  import_list_of(entry, key->permissions);
  user->mode = f->exists ? ST_IMPORT_UPDATE : f->was_deleted ? ST_IMPORT_RESTORE : ST_IMPORT_CREATE;
  if (f->exists && !st_store_user_fingerprint(&f->known, user->seen))
    return import_fail(work, "cannot hash");
  if (entry->anyone) {
    snprintf(person->imported, sizeof person->imported, IMPORTED_ANYONE);
    return st_identity_anonymous_digest(user->digest) || import_fail(work, "cannot hash");
  }
  if (f->exists && !f->other_password) return true;
  if (st_password_wrap(entry->hash, entry->salt, entry->salt_len, person->password) !=
      ST_PASSWORD_OK) {
    return import_fail(work, "cannot hash a password: out of memory");
  }
  memcpy(person->imported, person->password, sizeof person->imported);
  return true;
}

static bool import_take(intake *work, const finding *f) {
  if (f->what != CREATED && f->what != CHANGED && f->what != RESTORED) return true;
  st_user_import *user = import_add_user(work);
  if (user == NULL) return import_fail(work, "out of memory");
  work->count++;
  return import_fill(work, f, user);
}

/* ---- the file ---- */

/* The whole file is checked before the store is opened, or made. */
static bool import_check_file(intake *work, st_access_file *file, char *text, size_t len) {
  if (st_access_file_start(file, text, len)) return true;
  if (file->line == 0) return import_fail(work, file->error);
  snprintf(work->error, sizeof work->error, "line %zu, column %zu: %.400s", file->line,
           file->column, file->error);
  return false;
}

static bool import_read_all(intake *work, st_access_file *file) {
  st_access_entry entry;
  if (!st_password_start()) return import_fail(work, "libargon2 failed its self-test");
  work->logins = malloc((file->count + 1) * sizeof *work->logins);
  if (work->logins == NULL) return import_fail(work, "out of memory");
  while (st_access_file_next(file, &entry)) {
    finding f = {.entry = &entry};
    work->logins[work->login_count++] = entry.login;
    bool good = import_look_up(work, &f) && import_take(work, &f);
    if (good) import_print(work, &f);
    work->counts[f.what]++;
    subtoken_wipe(&f.known, sizeof f.known);
    if (!good) return false;
  }
  return file->done || import_fail(work, file->error);
}

static int import_compare_texts(const void *left, const void *right) {
  const subtoken_text *a = left, *b = right;
  int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);
  return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Users who were imported once and whom this file does not name. They stay as they are. */
static bool import_find_missing(intake *work) {
  static st_user persons[PAGE];
  char after[ST_NAME_MAX + 1] = "";
  size_t count = PAGE;
  qsort(work->logins, work->login_count, sizeof *work->logins, import_compare_texts);
  while (count == PAGE) {
    if (st_store_user_list(work->store, after, PAGE, persons, &count, work->error) != ST_STORE_OK) {
      return false;
    }
    for (size_t i = 0; i < count; i++) {
      subtoken_text login = st_text(persons[i].key.owner);
      if (persons[i].imported[0] == '\0' || bsearch(&login, work->logins, work->login_count,
                                                    sizeof login, import_compare_texts) != NULL) {
        continue;
      }
      work->counts[MISSING]++;
      import_print_missing(work, persons[i].key.owner);
    }
    if (count > 0) memcpy(after, persons[count - 1].key.owner, sizeof after);
    subtoken_wipe(persons, sizeof persons);
  }
  return true;
}

/* What is to be said is there before anything is done. */
static int import_store(intake *work) {
  char who[ST_WHO_MAX];
  int64_t sequence;
  if (fflush(work->said) != 0) return st_print_error(ST_EXIT_FAILED, "import: out of memory");
  st_audit_context act = st_input_audit_context(who);
  if (work->dry_run || work->count == 0) return ST_EXIT_DONE;
  st_store_status stored =
      st_store_user_import(work->store, &act, work->users, work->count, &sequence, work->error);
  if (stored == ST_STORE_OK) return ST_EXIT_DONE;
  return st_print_error(stored == ST_STORE_DENIED ? ST_EXIT_REFUSED : ST_EXIT_FAILED, "import: %s",
                        work->error);
}

/* A file that is not good is the caller's to mend; what the system cannot do is not. */
static int import_run(intake *work, const char *path, const char *data_option) {
  static st_access_file file;
  size_t len = 0;
  st_data_dir data;
  char *text = malloc(FILE_MAX);
  if (text == NULL) return st_print_error(ST_EXIT_FAILED, "import: out of memory");
  int code = ST_EXIT_DONE;
  if (!st_file_read(path, text, FILE_MAX, &len, work->error)) {
    code = st_print_error(ST_EXIT_FAILED, "import: %s", work->error);
  } else if (!import_check_file(work, &file, text, len)) {
    code = st_print_error(ST_EXIT_REFUSED, "import: %.200s: %s", path, work->error);
  } else {
    code = st_data_dir_begin("import", data_option, !work->dry_run, &data, &work->store);
  }
  if (code == ST_EXIT_DONE && !(import_read_all(work, &file) && import_find_missing(work))) {
    code = st_print_error(work->refused ? ST_EXIT_REFUSED : ST_EXIT_FAILED, "import: %.200s: %s",
                          path, work->error);
  }
  if (code == ST_EXIT_DONE) code = import_store(work);
  subtoken_wipe(text, len);
  free(text);
  return code;
}

/* ---- the end ---- */

static void import_finish_json(const size_t counts[OUTCOMES]) {
  printf(
      "{\"created\":%zu,\"changed\":%zu,\"restored\":%zu,\"unchanged\":%zu,\"differs\":%zu,"
      "\"deleted\":%zu,\"missing\":%zu}\n",
      counts[CREATED], counts[CHANGED], counts[RESTORED], counts[UNCHANGED], counts[DIFFERS],
      counts[DELETED], counts[MISSING]);
}

static int import_finish(const intake *work) {
  const size_t *counts = work->counts;
  fwrite(work->said_text, 1, work->said_len, stdout);
  if (work->json) {
    import_finish_json(counts);
    return st_print_flush(ST_EXIT_DONE);
  }
  printf("%zu created, %zu changed, %zu unchanged", counts[CREATED], counts[CHANGED],
         counts[UNCHANGED]);
  if (counts[RESTORED] > 0) printf(", %zu restored", counts[RESTORED]);
  if (counts[DIFFERS] > 0) printf(", %zu different (--update changes them)", counts[DIFFERS]);
  if (counts[DELETED] > 0) printf(", %zu deleted here (--restore restores them)", counts[DELETED]);
  if (counts[MISSING] > 0) printf(", %zu not in the file", counts[MISSING]);
  puts(work->dry_run ? " (dry run: nothing was changed)" : "");
  return st_print_flush(ST_EXIT_DONE);
}

int st_cmd_import(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken import FILE [--update] [--restore] [--dry-run] [--data DIR] [--json]\n"
      "Imports the users of a Graphene node's access file (api-access.json), with the APIs that\n"
      "they may use as permissions: all of them, or none when one entry is not valid. Prints what\n"
      "it does with each user, and the users that an earlier file had and this one does not have.\n"
      "Existing users are changed only with --update; users who were deleted here come back only\n"
      "with --restore. A password that was set here stays, unless the file has another one than\n"
      "at the last import. --dry-run prints the same and changes nothing.";
  const char *data_option = NULL, *path = NULL;
  intake work = {0};
  const st_option options[] = {
      {"--data", NULL, &data_option},     {"--update", &work.update, NULL},
      {"--restore", &work.restore, NULL}, {"--dry-run", &work.dry_run, NULL},
      {"--json", &work.json, NULL},       {0}};
  st_arguments arguments = {
      .command = "import", .help = help, .options = options, .words = &path, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (path == NULL) return st_options_usage(&arguments, "FILE is missing");
  work.said = open_memstream(&work.said_text, &work.said_len);
  int code = work.said == NULL ? st_print_error(ST_EXIT_FAILED, "import: out of memory")
                               : import_run(&work, path, data_option);
  if (work.said != NULL) fclose(work.said);
  st_store_close(work.store);
  if (work.users != NULL) subtoken_wipe(work.users, work.count * sizeof *work.users);
  free(work.users);
  free(work.logins);
  if (code == ST_EXIT_DONE) code = import_finish(&work);
  free(work.said_text);
  return code;
}
