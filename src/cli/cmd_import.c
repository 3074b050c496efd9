/* `subtoken import`: the users of a Graphene node's access file become users here, all of them or
 * none. First each entry is compared with the store, and what is to be done is reported; a dry run
 * ends there. Then the store makes all of the changes in one transaction, or none when a user has
 * changed in between. The file itself is read by domain/access_file.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/impossible.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/access_file.h"
#include "domain/key.h"
#include "domain/password.h"
#include "domain/permissions.h"
#include "domain/store.h"
#include "domain/user.h"
#include "operations/draw.h"
#include "operations/password.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "service/identity.h"

#define FILE_MAX (64 << 20)    /* bytes */
#define ANONYMOUS_IMPORTED "*" /* as what `*`, which has no password, was imported */
#define PAGE 16

/* What is done with an entry. */
typedef enum import_outcome {
  IMPORT_UNCHANGED,
  IMPORT_CREATED,
  IMPORT_CHANGED,
  IMPORT_RESTORED,
  IMPORT_DIFFERS, /* would be changed with --update */
  IMPORT_DELETED, /* would be restored with --restore */
  IMPORT_MISSING, /* was imported, and is no longer in the file */
  IMPORT_OUTCOMES
} import_outcome;

typedef struct import_job {
  st_store *store;
  bool dry_run, update, restore, json;
  bool refused;          /* for a reason that the caller can remove */
  st_user_import *users; /* what the store is to import */
  size_t room, count;
  subtoken_text *logins; /* of the whole file, in order */
  size_t login_count;
  size_t counts[IMPORT_OUTCOMES];
  FILE *report; /* kept in memory until the import is done */
  char *report_text;
  size_t report_len;
  char error[ST_ERROR_MAX];
} import_job;

/* An entry of the file, and the user of this login in the store. */
typedef struct import_finding {
  const st_access_entry *entry;
  st_user known; /* when `exists` */
  bool exists, was_deleted, owns_keys;
  bool other_password; /* the file has another one than at the last import */
  import_outcome outcome;
} import_finding;

static bool import_fail(import_job *job, const char *text) {
  snprintf(job->error, sizeof job->error, "%s", text);
  return false;
}

/* One more, all zero. */
static st_user_import *import_add_user(import_job *job) {
  if (job->count == job->room) {
    size_t room = job->room * 2 + 16;
    size_t used = job->count * sizeof *job->users;
    st_user_import *users = st_input_grow(job->users, used, room * sizeof *users);
    if (users == NULL) return NULL;
    job->users = users;
    job->room = room;
  }
  st_user_import *user = &job->users[job->count];
  memset(user, 0, sizeof *user);
  return user;
}

/* ---- lists of permissions, joined by commas ---- */

typedef char import_list[ST_PERMISSIONS_TEXT_MAX + 1];

static void import_list_of(const st_access_entry *entry, import_list out) {
  st_writer writer = st_writer_on(out, sizeof(import_list));
  for (size_t i = 0; i < entry->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_view(&writer, entry->permissions[i]);
  }
  if (st_impossible(!st_writer_end(&writer), "it has room for all permissions")) out[0] = '\0';
}

/* What one list has and the other does not. */
static void import_list_without(const char *from, const char *without, import_list out) {
  st_cutter cutter = {st_text(from), from[0] == '\0'};
  st_writer writer = st_writer_on(out, sizeof(import_list));
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_permissions_contain(without, each)) continue;
    if (writer.len > 0) st_write_char(&writer, ',');
    st_write_view(&writer, each);
  }
  if (st_impossible(!st_writer_end(&writer), "it has room for all permissions")) out[0] = '\0';
}

static void import_print_list(FILE *out, const char *name, const char *list) {
  fprintf(out, ",\"%s\":", name);
  st_print_list_json(out, list);
}

/* ---- what is in the store ---- */

/* Compared with the last import: a password that was set here since makes no difference. */
static bool import_compare_passwords(import_job *job, import_finding *f) {
  const st_access_entry *entry = f->entry;
  if (entry->anonymous) return true;
  st_password_status status =
      st_password_is_wrap_of(f->known.imported, entry->hash, entry->salt, entry->salt_len);
  f->other_password = status != ST_PASSWORD_OK;
  if (status == ST_PASSWORD_OK || status == ST_PASSWORD_WRONG) return true;
  return import_fail(job, "cannot hash a password: out of memory, or the database is damaged");
}

static bool import_refuse_unimported(import_job *job, const st_access_entry *entry) {
  char shown[ST_NAME_MAX + 1];
  st_writer writer = st_writer_on(shown, sizeof shown);
  st_write_escaped(&writer, entry->login);
  if (st_impossible(!st_writer_end(&writer), "a username has nothing to escape")) {
    shown[0] = '\0';
  }
  job->refused = true;
  snprintf(job->error, sizeof job->error,
           "user %s exists and was not imported: delete the user, or remove the entry from the "
           "file; nothing was changed",
           shown);
  return false;
}

/* Are there keys with this owner? A new user of the login would manage them. */
static bool import_find_keys(import_job *job, import_finding *f) {
  char owner[ST_NAME_MAX + 1];
  st_key key = {0};
  size_t count = 0;
  memcpy(owner, f->entry->login.data, f->entry->login.len);
  owner[f->entry->login.len] = '\0';
  st_store_status status = st_store_key_list(job->store, owner, "", 1, &key, &count, job->error);
  f->owns_keys = count > 0;
  return status == ST_STORE_OK;
}

static bool import_compare_new(import_job *job, import_finding *f) {
  if (st_store_user_was_deleted(job->store, f->entry->login, &f->was_deleted, job->error) !=
          ST_STORE_OK ||
      !import_find_keys(job, f)) {
    return false;
  }
  f->outcome = !f->was_deleted ? IMPORT_CREATED : job->restore ? IMPORT_RESTORED : IMPORT_DELETED;
  return true;
}

static bool import_compare_user(import_job *job, import_finding *f) {
  import_list wanted, differing;
  if (f->known.imported[0] == '\0') return import_refuse_unimported(job, f->entry);
  if (!import_compare_passwords(job, f)) return false;
  import_list_of(f->entry, wanted);
  import_list_without(wanted, f->known.key.permissions, differing);
  bool same = !f->other_password && differing[0] == '\0';
  import_list_without(f->known.key.permissions, wanted, differing);
  same = same && differing[0] == '\0';
  f->outcome = same ? IMPORT_UNCHANGED : job->update ? IMPORT_CHANGED : IMPORT_DIFFERS;
  return true;
}

static bool import_look_up(import_job *job, import_finding *f) {
  st_store_status found = st_store_user_find(job->store, f->entry->login, &f->known, job->error);
  f->exists = found == ST_STORE_OK;
  if (found == ST_STORE_FAILED) return false;
  return f->exists ? import_compare_user(job, f) : import_compare_new(job, f);
}

/* ---- the report ---- */

static const char *const import_words[IMPORT_OUTCOMES] = {
    [IMPORT_UNCHANGED] = "unchanged", [IMPORT_CREATED] = "create",  [IMPORT_CHANGED] = "change",
    [IMPORT_RESTORED] = "restore",    [IMPORT_DIFFERS] = "differs", [IMPORT_DELETED] = "deleted",
    [IMPORT_MISSING] = "missing"};

/* "new": the file has another one than at the last import; "replaces": the same, and one was set
 * here since; "kept": the one that was set here stays. NULL: none of these.
 */
static const char *import_password_word(const import_finding *f) {
  if (!f->exists) return NULL;
  if (f->other_password) return f->known.own_password ? "replaces" : "new";
  return f->known.own_password ? "kept" : NULL;
}

static void import_print_json(FILE *out, const import_finding *f, const char *wanted) {
  import_list differing;
  const char *password = import_password_word(f);
  fputs("{\"login\":", out);
  st_print_json(out, f->entry->login);
  fprintf(out, ",\"does\":\"%s\"", import_words[f->outcome]);
  if (!f->exists) {
    import_print_list(out, "permissions", wanted);
  } else if (f->outcome != IMPORT_UNCHANGED) {
    import_list_without(wanted, f->known.key.permissions, differing);
    import_print_list(out, "adds", differing);
    import_list_without(f->known.key.permissions, wanted, differing);
    import_print_list(out, "removes", differing);
  }
  if (password != NULL) fprintf(out, ",\"password\":\"%s\"", password);
  if (f->exists && f->known.key.disabled) fputs(",\"disabled\":true", out);
  if (f->owns_keys) fputs(",\"owns_keys\":true", out);
  fputs("}\n", out);
}

/* The permissions of a new user, or how those of an existing one change. */
static void import_print_permissions(FILE *out, const import_finding *f, const char *wanted) {
  import_list differing;
  if (!f->exists) {
    fprintf(out, "  %s", wanted[0] != '\0' ? wanted : "-");
    return;
  }
  import_list_without(wanted, f->known.key.permissions, differing);
  if (differing[0] != '\0') fprintf(out, "  +%s", differing);
  import_list_without(f->known.key.permissions, wanted, differing);
  if (differing[0] != '\0') fprintf(out, "  -%s", differing);
}

static void import_print_text(FILE *out, const import_finding *f, const char *wanted) {
  const char *password = import_password_word(f);
  fprintf(out, "%-9s  ", import_words[f->outcome]);
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

static void import_print(const import_job *job, const import_finding *f) {
  import_list wanted;
  import_list_of(f->entry, wanted);
  (job->json ? import_print_json : import_print_text)(job->report, f, wanted);
}

static void import_print_missing(const import_job *job, const char *login) {
  FILE *out = job->report;
  if (job->json) {
    fputs("{\"login\":", out);
    st_print_json(out, st_text(login));
    fprintf(out, ",\"does\":\"%s\"}\n", import_words[IMPORT_MISSING]);
    return;
  }
  fprintf(out, "%-9s  ", import_words[IMPORT_MISSING]);
  st_print_text(out, st_text(login));
  fputs("  (was imported and is no longer in the file)\n", out);
}

/* ---- one entry ---- */

/* As the store wants it: with the password only when it is another one. */
static bool import_fill(import_job *job, const import_finding *f, st_user_import *item) {
  const st_access_entry *entry = f->entry;
  st_user *user = &item->user;
  st_key *key = &user->key;
  st_draw_user(key, item->digest);
  key->kind = ST_KIND_USER;
  key->created_at = st_clock_now();
  key->expires_at = ST_NEVER;
  memcpy(key->owner, entry->login.data, entry->login.len);
  memcpy(key->name, entry->login.data, entry->login.len);
  import_list_of(entry, key->permissions);
  item->mode = f->exists ? ST_IMPORT_UPDATE : f->was_deleted ? ST_IMPORT_RESTORE : ST_IMPORT_CREATE;
  if (f->exists && !st_store_user_fingerprint(&f->known, item->seen)) {
    return import_fail(job, "cannot hash");
  }
  if (entry->anonymous) {
    snprintf(user->imported, sizeof user->imported, ANONYMOUS_IMPORTED);
    st_identity_anonymous_digest(item->digest);
    return true;
  }
  if (f->exists && !f->other_password) return true;
  if (st_password_wrap(entry->hash, entry->salt, entry->salt_len, user->password) !=
      ST_PASSWORD_OK) {
    return import_fail(job, "cannot hash a password: out of memory");
  }
  memcpy(user->imported, user->password, sizeof user->imported);
  return true;
}

static bool import_take(import_job *job, const import_finding *f) {
  if (f->outcome != IMPORT_CREATED && f->outcome != IMPORT_CHANGED &&
      f->outcome != IMPORT_RESTORED) {
    return true;
  }
  st_user_import *user = import_add_user(job);
  if (user == NULL) return import_fail(job, "out of memory");
  job->count++;
  return import_fill(job, f, user);
}

/* ---- the file ---- */

/* The whole file is checked before the store is opened, or made. */
static bool import_check_file(import_job *job, st_access_file *file, char *text, size_t len) {
  if (st_access_file_start(file, text, len)) return true;
  if (file->line == 0) return import_fail(job, file->error);
  snprintf(job->error, sizeof job->error, "line %zu, column %zu: %.400s", file->line, file->column,
           file->error);
  return false;
}

static bool import_read_all(import_job *job, st_access_file *file) {
  st_access_entry entry;
  if (!st_password_start()) return import_fail(job, "libargon2 failed its self-test");
  job->logins = malloc((file->count + 1) * sizeof *job->logins);
  if (job->logins == NULL) return import_fail(job, "out of memory");
  while (st_access_file_next(file, &entry)) {
    import_finding f = {.entry = &entry};
    job->logins[job->login_count++] = entry.login;
    bool good = import_look_up(job, &f) && import_take(job, &f);
    if (good) import_print(job, &f);
    job->counts[f.outcome]++;
    subtoken_wipe(&f.known, sizeof f.known);
    if (!good) return false;
  }
  return file->done || import_fail(job, file->error);
}

static int import_compare_texts(const void *left, const void *right) {
  const subtoken_text *a = left, *b = right;
  int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);
  return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Users who were imported once and are no longer in the file. They stay as they are. */
static bool import_find_missing(import_job *job) {
  static st_user users[PAGE];
  char after[ST_NAME_MAX + 1] = "";
  size_t count = PAGE;
  qsort(job->logins, job->login_count, sizeof *job->logins, import_compare_texts);
  while (count == PAGE) {
    if (st_store_user_list(job->store, after, PAGE, users, &count, job->error) != ST_STORE_OK) {
      return false;
    }
    for (size_t i = 0; i < count; i++) {
      subtoken_text login = st_text(users[i].key.owner);
      if (users[i].imported[0] == '\0' || bsearch(&login, job->logins, job->login_count,
                                                  sizeof login, import_compare_texts) != NULL) {
        continue;
      }
      job->counts[IMPORT_MISSING]++;
      import_print_missing(job, users[i].key.owner);
    }
    if (count > 0) memcpy(after, users[count - 1].key.owner, sizeof after);
    subtoken_wipe(users, sizeof users);
  }
  return true;
}

/* What fclose has no memory for it leaves NULL, and says nothing. */
static bool import_end_report(import_job *job) {
  bool good = ferror(job->report) == 0;
  good = fclose(job->report) == 0 && good && job->report_text != NULL;
  job->report = NULL;
  return good;
}

/* The report is complete before anything is changed. */
static int import_store(import_job *job) {
  char who[ST_WHO_MAX];
  int64_t sequence;
  if (!import_end_report(job)) return st_print_error(ST_EXIT_FAILED, "import: out of memory");
  st_audit_context context = st_input_audit_context(who);
  if (job->dry_run || job->count == 0) return ST_EXIT_DONE;
  st_store_status status =
      st_store_user_import(job->store, &context, job->users, job->count, &sequence, job->error);
  if (status == ST_STORE_OK) return ST_EXIT_DONE;
  return st_print_error(status == ST_STORE_DENIED ? ST_EXIT_REFUSED : ST_EXIT_FAILED, "import: %s",
                        job->error);
}

/* A file that is not valid is refused; what the system cannot do is a failure. */
static int import_run(import_job *job, const char *path, const st_data_options *data_options) {
  static st_access_file file;
  size_t len = 0;
  st_data_dir data;
  char *text = malloc(FILE_MAX);
  if (text == NULL) return st_print_error(ST_EXIT_FAILED, "import: out of memory");
  int code = ST_EXIT_DONE;
  if (!st_file_read(path, text, FILE_MAX, &len, job->error)) {
    code = st_print_error(ST_EXIT_FAILED, "import: %s", job->error);
  } else if (!import_check_file(job, &file, text, len)) {
    code = st_print_error(ST_EXIT_REFUSED, "import: %.200s: %s", path, job->error);
  } else {
    code = st_data_dir_begin("import", data_options, !job->dry_run, &data, &job->store);
  }
  if (code == ST_EXIT_DONE && !(import_read_all(job, &file) && import_find_missing(job))) {
    code = st_print_error(job->refused ? ST_EXIT_REFUSED : ST_EXIT_FAILED, "import: %.200s: %s",
                          path, job->error);
  }
  if (code == ST_EXIT_DONE) code = import_store(job);
  subtoken_wipe(text, len);
  free(text);
  return code;
}

/* ---- the end ---- */

static void import_finish_json(const size_t counts[IMPORT_OUTCOMES]) {
  printf(
      "{\"created\":%zu,\"changed\":%zu,\"restored\":%zu,\"unchanged\":%zu,\"differs\":%zu,"
      "\"deleted\":%zu,\"missing\":%zu}\n",
      counts[IMPORT_CREATED], counts[IMPORT_CHANGED], counts[IMPORT_RESTORED],
      counts[IMPORT_UNCHANGED], counts[IMPORT_DIFFERS], counts[IMPORT_DELETED],
      counts[IMPORT_MISSING]);
}

static int import_finish(const import_job *job) {
  const size_t *counts = job->counts;
  fwrite(job->report_text, 1, job->report_len, stdout);
  if (job->json) {
    import_finish_json(counts);
    return st_print_flush(ST_EXIT_DONE);
  }
  printf("%zu created, %zu changed, %zu unchanged", counts[IMPORT_CREATED], counts[IMPORT_CHANGED],
         counts[IMPORT_UNCHANGED]);
  if (counts[IMPORT_RESTORED] > 0) printf(", %zu restored", counts[IMPORT_RESTORED]);
  if (counts[IMPORT_DIFFERS] > 0) {
    printf(", %zu different (--update changes them)", counts[IMPORT_DIFFERS]);
  }
  if (counts[IMPORT_DELETED] > 0) {
    printf(", %zu deleted here (--restore restores them)", counts[IMPORT_DELETED]);
  }
  if (counts[IMPORT_MISSING] > 0) printf(", %zu not in the file", counts[IMPORT_MISSING]);
  puts(job->dry_run ? " (dry run: nothing was changed)" : "");
  return st_print_flush(ST_EXIT_DONE);
}

int st_cmd_import(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken import FILE [--update] [--restore] [--dry-run]\n"
      "                       [--config FILE] [--data DIR] [--json]\n"
      "Imports the users of a Graphene node's access file (api-access.json), with the APIs\n"
      "that they may use as permissions: all of them, or none when one entry is not valid.\n"
      "Prints what it does with each user, and the users that an earlier file had and this\n"
      "one does not have. Existing users are changed only with --update; users who were\n"
      "deleted here come back only with --restore. A password that was set here stays, unless\n"
      "the file has another one than at the last import. --dry-run prints the same and\n"
      "changes nothing.";
  st_data_options data_options = {0};
  const char *path = NULL;
  import_job job = {0};
  const st_option options[] = {ST_DATA_OPTIONS(data_options),     {"--update", &job.update, NULL},
                               {"--restore", &job.restore, NULL}, {"--dry-run", &job.dry_run, NULL},
                               {"--json", &job.json, NULL},       {0}};
  st_arguments arguments = {
      .command = "import", .help = help, .options = options, .words = &path, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (path == NULL) return st_options_usage(&arguments, "FILE is missing");
  job.report = open_memstream(&job.report_text, &job.report_len);
  int code = job.report == NULL ? st_print_error(ST_EXIT_FAILED, "import: out of memory")
                                : import_run(&job, path, &data_options);
  if (job.report != NULL) fclose(job.report);
  if (job.users != NULL) subtoken_wipe(job.users, job.count * sizeof *job.users);
  free(job.users);
  free(job.logins);
  if (code == ST_EXIT_DONE) code = import_finish(&job);
  st_data_dir_finish(job.store);
  free(job.report_text);
  return code;
}
