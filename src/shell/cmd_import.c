/* Access files of Graphene nodes: their users become persons, all of them or none. */
#include <stdlib.h>

#include "app/access_file.h"
#include "shell/command.h"
#include "shell/password.h"
#include "shell/people.h"

#define FILE_MAX (64 << 20) /* bytes */
#define IMPORTED_ANYONE "*" /* `*` has no password that could be remembered */

/* What becomes of an entry. */
typedef enum outcome { UNCHANGED, CREATED, CHANGED } outcome;

typedef struct intake {
  st_store *store;
  bool dry_run, json;
  bool refused;       /* for what the caller can mend */
  st_person *persons; /* those that the store is to take up */
  uint8_t (*digests)[32];
  size_t room, count;
  size_t counts[CHANGED + 1];
  char why[ST_WHY_MAX];
} intake;

static bool fail(intake *work, const char *text) {
  snprintf(work->why, sizeof work->why, "%s", text);
  return false;
}

/* One more, all zero. */
static st_person *add_person(intake *work) {
  if (work->count == work->room) {
    size_t room = work->room * 2 + 16;
    st_person *persons = realloc(work->persons, room * sizeof *persons);
    if (persons != NULL) work->persons = persons;
    uint8_t(*digests)[32] = realloc(work->digests, room * sizeof *digests);
    if (digests != NULL) work->digests = digests;
    if (persons == NULL || digests == NULL) return NULL;
    work->room = room;
  }
  st_person *person = &work->persons[work->count];
  memset(person, 0, sizeof *person);
  return person;
}

static void join_permissions(const st_access_entry *entry, char out[ST_PERMISSIONS_TEXT_MAX + 1]) {
  st_writer writer = st_writer_on(out, ST_PERMISSIONS_TEXT_MAX + 1);
  for (size_t i = 0; i < entry->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_text(&writer, entry->permissions[i]);
  }
  if (!st_writer_end(&writer)) out[0] = '\0';
}

/* ---- what there is already ---- */

/* The same permissions, in whatever order. */
static bool same_permissions(const char *held, const st_access_entry *entry) {
  st_cutter cutter = {st_text(held), held[0] == '\0'};
  subtoken_text each;
  size_t count = 0;
  while (st_cut(&cutter, ',', &each)) {
    size_t i = 0;
    while (i < entry->permission_count && !st_text_equal(each, entry->permissions[i])) i++;
    if (i == entry->permission_count) return false;
    count++;
  }
  return count == entry->permission_count;
}

static bool same_password(intake *work, const st_person *known, const st_access_entry *entry,
                          bool *same) {
  *same = true;
  if (entry->anyone) return true;
  st_verdict verdict =
      st_password_is_wrap_of(known->imported, entry->hash, entry->salt, entry->salt_len);
  *same = verdict == ST_VERDICT_GOOD;
  if (verdict == ST_VERDICT_GOOD || verdict == ST_VERDICT_WRONG) return true;
  return fail(work, "a password cannot be hashed: no memory, or a damaged database");
}

/* ---- one entry ---- */

static void say(const intake *work, const st_access_entry *entry, const st_person *person,
                outcome what) {
  static const char *const words[] = {"unchanged", "create", "change"};
  if (work->json) {
    printf("{\"login\":");
    st_print_json(stdout, entry->login);
    printf(",\"does\":\"%s\"}\n", words[what]);
    return;
  }
  printf("%-9s  ", words[what]);
  st_print_text(stdout, entry->login);
  if (what != UNCHANGED) {
    printf("  %s", person->key.permissions[0] != '\0' ? person->key.permissions : "-");
    if (what == CHANGED && person->password[0] != '\0') fputs("  (another password)", stdout);
  }
  fputc('\n', stdout);
}

/* As the store wants it: the password only where it is another. */
static bool fill(intake *work, const st_access_entry *entry, bool new_password, st_person *person,
                 uint8_t digest[32]) {
  st_key *key = &person->key;
  st_people_draw(key, digest);
  key->kind = ST_KIND_PERSON;
  key->created_at = st_world_now();
  key->expires_at = ST_NEVER;
  memcpy(key->owner, entry->login.data, entry->login.len);
  memcpy(key->name, entry->login.data, entry->login.len);
  join_permissions(entry, key->permissions);
  if (entry->anyone) {
    snprintf(person->imported, sizeof person->imported, IMPORTED_ANYONE);
    return st_anyone_digest(digest) || fail(work, "cannot hash");
  }
  if (!new_password) return true;
  if (st_password_wrap(entry->hash, entry->salt, entry->salt_len, person->password) !=
      ST_VERDICT_GOOD) {
    return fail(work, "a password cannot be hashed: no memory");
  }
  memcpy(person->imported, person->password, sizeof person->imported);
  return true;
}

static bool refuse_stranger(intake *work, const st_access_entry *entry) {
  char shown[ST_NAME_MAX + 1];
  st_writer writer = st_writer_on(shown, sizeof shown);
  st_write_shown(&writer, entry->login);
  if (!st_writer_end(&writer)) shown[0] = '\0';
  work->refused = true;
  snprintf(work->why, sizeof work->why,
           "there is a person %s who was not imported: nothing was changed", shown);
  return false;
}

static bool take(intake *work, const st_access_entry *entry) {
  st_person known = {0};
  bool same = false;
  st_stored found = st_store_person_find(work->store, entry->login, &known, work->why);
  if (found == ST_STORE_FAILED) return false;
  if (found == ST_STORED && known.imported[0] == '\0') return refuse_stranger(work, entry);
  if (found == ST_STORED && !same_password(work, &known, entry, &same)) return false;
  bool unchanged = found == ST_STORED && same && same_permissions(known.key.permissions, entry);
  outcome what = unchanged ? UNCHANGED : found == ST_STORED ? CHANGED : CREATED;
  work->counts[what]++;
  subtoken_wipe(&known, sizeof known);
  if (unchanged) {
    if (work->dry_run) say(work, entry, NULL, what);
    return true;
  }
  st_person *person = add_person(work);
  if (person == NULL) return fail(work, "no memory for so many users");
  if (!fill(work, entry, !same, person, work->digests[work->count])) return false;
  if (work->dry_run) say(work, entry, person, what);
  work->count++;
  return true;
}

/* ---- the file ---- */

/* The whole file is checked before the store is opened, or made. */
static bool check_file(intake *work, st_access_file *file, char *text, size_t len) {
  if (st_access_file_start(file, text, len)) return true;
  if (file->line == 0) return fail(work, file->why);
  snprintf(work->why, sizeof work->why, "line %zu, column %zu: %.400s", file->line, file->column,
           file->why);
  return false;
}

static bool take_all(intake *work, st_access_file *file) {
  st_access_entry entry;
  if (!st_password_start()) return fail(work, "libargon2 does not compute what it should");
  while (st_access_file_next(file, &entry)) {
    if (!take(work, &entry)) return false;
  }
  return file->done || fail(work, file->why);
}

/* A file that is not good is the caller's to mend; what the system cannot do is not. */
static int run_import(intake *work, const char *path, const char *data_option) {
  static st_access_file file;
  size_t len = 0;
  st_data data;
  char *text = malloc(FILE_MAX);
  if (text == NULL) return st_complain(ST_EXIT_FAILED, "import: no memory");
  int code = ST_EXIT_DONE;
  if (!st_world_read(path, text, FILE_MAX, &len, work->why)) {
    code = st_complain(ST_EXIT_FAILED, "import: %s", work->why);
  } else if (!check_file(work, &file, text, len)) {
    code = st_complain(ST_EXIT_REFUSED, "import: %.200s: %s", path, work->why);
  } else {
    code = st_data_begin("import", data_option, !work->dry_run, &data, &work->store);
  }
  if (code == ST_EXIT_DONE && !take_all(work, &file)) {
    code = st_complain(work->refused ? ST_EXIT_REFUSED : ST_EXIT_FAILED, "import: %.200s: %s", path,
                       work->why);
  }
  subtoken_wipe(text, len);
  free(text);
  return code;
}

static int put(intake *work) {
  char who[ST_WHO_MAX];
  int64_t sequence;
  st_act act = st_operator_act(who);
  if (work->dry_run || work->count == 0) return ST_EXIT_DONE;
  st_stored stored =
      st_store_import(work->store, &act, work->persons, (const uint8_t(*)[32])work->digests,
                      work->count, &sequence, work->why);
  if (stored == ST_STORED) return ST_EXIT_DONE;
  return st_complain(stored == ST_STORE_REFUSED ? ST_EXIT_REFUSED : ST_EXIT_FAILED, "import: %s",
                     work->why);
}

static int finish(const intake *work) {
  size_t created = work->counts[CREATED], changed = work->counts[CHANGED];
  size_t unchanged = work->counts[UNCHANGED];
  if (work->json) {
    printf("{\"created\":%zu,\"changed\":%zu,\"unchanged\":%zu}\n", created, changed, unchanged);
  } else {
    printf("%zu created, %zu changed, %zu unchanged%s\n", created, changed, unchanged,
           work->dry_run ? " (dry run: nothing was done)" : "");
  }
  return st_flush(ST_EXIT_DONE);
}

int st_cmd_import(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken import FILE [--dry-run] [--data DIR] [--json]\n"
      "Takes the users of a Graphene node's access file (api-access.json) for persons, whose\n"
      "permissions are the APIs that they may use; all of them, or none when one is not good.\n"
      "Importing twice changes nothing. --dry-run says what it would do.";
  const char *data_option = NULL, *path = NULL;
  intake work = {0};
  const st_option options[] = {{"--data", NULL, &data_option},
                               {"--dry-run", &work.dry_run, NULL},
                               {"--json", &work.json, NULL},
                               {0}};
  st_arguments arguments = {
      .command = "import", .help = help, .options = options, .words = &path, .word_max = 1};
  if (!st_begin(&arguments, argc, argv)) return arguments.code;
  if (path == NULL) return st_usage(&arguments, "an access file is needed");
  int code = run_import(&work, path, data_option);
  if (code == ST_EXIT_DONE) code = put(&work);
  st_store_close(work.store);
  if (work.persons != NULL) subtoken_wipe(work.persons, work.count * sizeof *work.persons);
  free(work.persons);
  free(work.digests);
  return code == ST_EXIT_DONE ? finish(&work) : code;
}
