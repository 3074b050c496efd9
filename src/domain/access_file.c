/* The reader of access files. It reads the whole text once, strictly, and writes what each entry
 * says over the entry itself, so that nothing is allocated; st_access_file_next then gives the
 * entries out. What is done with them is the import's (cli/cmd_import.c).
 */
#include "domain/access_file.h"

#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "base/impossible.h"
#include "base/json.h"
#include "domain/key.h"
#include "domain/names.h"
#include "domain/password.h"

#define LOGIN_EXCERPT_MAX 48 /* bytes of a login that an error repeats */

/* An entry is noted where it stood, from the quote of its login on: that byte becomes the
 * length of the login less 1, the login stays (the JSON reader may still compare it), and
 * these follow. The members that an entry must have are longer than that. Entries are chained
 * in their order, and are a search tree by the hash of the login, in which one is found
 * quickly whatever the order of the file is: the hash is salted with that of the file, so that
 * nobody can prepare a file that makes it slow.
 */
enum {
  NOTE_NEXT = 0,
  NOTE_LESS = 4,
  NOTE_MORE = 8,
  NOTE_KEY = 12,
  NOTE_ANONYMOUS = 20,
  NOTE_SALT_LEN = 21,
  NOTE_COUNT = 22,
  NOTE_REST = 23, /* salt, hash, permissions: each a length and its bytes */
  NOTE_MAX = NOTE_REST + ST_SALT_MAX + ST_HASH_LEN +
             SUBTOKEN_PERMISSIONS_MAX * (1 + SUBTOKEN_PERMISSION_MAX),
};

typedef struct reader {
  st_access_file *file;
  subtoken_text login;  /* of the entry that is being read; data NULL: none */
  subtoken_text member; /* and of what of it */
  size_t lines;         /* of the whole text as it came */
  /* Counted in the text as it is now: up to where, ends of lines, where the last began. */
  size_t counted_at, counted, line_at;
  uint64_t key;  /* of this login */
  uint8_t *link; /* where its place in the tree is noted */
  uint8_t salt[ST_HASH_LEN];
  uint8_t root[4];
  st_json json; /* the last: it is large, and started on its own */
} reader;

/* An entry as far as it has been read. */
typedef struct draft {
  st_access_entry entry;
  bool hash, salt, permissions; /* there are such members */
} draft;

/* ---- errors ---- */

static size_t lines_in(const char *text, size_t from, size_t to) {
  size_t lines = 0;
  for (size_t i = from; i < to; i++) lines += text[i] == '\n';
  return lines;
}

static void count_up_to(reader *r, size_t at) {
  for (; r->counted_at < at; r->counted_at++) {
    if (r->json.text[r->counted_at] != '\n') continue;
    r->counted++;
    r->line_at = r->counted_at + 1;
  }
}

/* What has been read is not as it came: an escaped end of line is now a real one. What comes
 * after it is: only when both ways of counting agree, the place is known.
 */
static void locate(reader *r, size_t at) {
  size_t end = r->json.at;
  while (end > at && strchr(" \t\r\n:,", r->json.text[end - 1]) != NULL) end--;
  size_t left = lines_in(r->json.text, end, r->json.len);
  count_up_to(r, at);
  if (r->counted + left != r->lines) return;
  r->file->line = r->counted + 1;
  r->file->column = at - r->line_at + 1;
}

static void access_write_where(st_writer *writer, const reader *r) {
  st_write_literal(writer, "permission_map[\"");
  subtoken_text excerpt = r->login;
  if (excerpt.len > LOGIN_EXCERPT_MAX) excerpt.len = LOGIN_EXCERPT_MAX;
  while (excerpt.len > 0 && !st_utf8_valid(excerpt)) excerpt.len--;
  st_write_escaped(writer, excerpt);
  st_write_literal(writer, excerpt.len < r->login.len ? "...\"]" : "\"]");
  if (r->member.data != NULL) {
    st_write_char(writer, '.');
    st_write_view(writer, r->member);
  }
  st_write_literal(writer, ": ");
}

/* at: where reading is, or where the string begins that was read last. */
static bool access_refuse(reader *r, size_t at, const char *problem) {
  if (r->file->error[0] != '\0') return false; /* said already */
  locate(r, at);
  st_writer writer = st_writer_on(r->file->error, sizeof r->file->error);
  if (r->login.data != NULL) access_write_where(&writer, r);
  st_write_literal(&writer, problem);
  bool cut = !st_writer_end(&writer);
  if (st_impossible(cut, "the longest error fits")) r->file->error[0] = '\0';
  return false;
}

/* A call of the JSON reader failed; with another type than wanted, perhaps. */
static bool access_refuse_json(reader *r, const char *wanted) {
  const char *problem = "not valid JSON, or a duplicate name in an object";
  const char *mark = st_text_mark_error((subtoken_text){r->json.text, r->json.len});
  if (mark != NULL) {
    problem = mark;
  } else if (r->json.wrong_type) {
    problem = wanted;
  } else if (r->json.at >= r->json.len) {
    problem = "unexpected end of the file";
  } else if (r->json.name_count == ST_JSON_NAMES_MAX) {
    problem = "too many names in one object; use an array of [login, {...}] instead";
  }
  return access_refuse(r, r->json.at, problem);
}

/* Where the next value stands. */
static size_t access_here(reader *r) {
  (void)st_json_peek(&r->json);
  return r->json.at;
}

/* ---- the tree ---- */

static size_t note_of(const reader *r, uint32_t entry) {
  return entry + 2 + (uint8_t)r->json.text[entry];
}

static subtoken_text login_of(const char *text, uint32_t entry) {
  return (subtoken_text){text + entry + 1, (size_t)(uint8_t)text[entry] + 1};
}

static uint64_t key_of(const reader *r, subtoken_text login) {
  uint8_t hash[ST_HASH_LEN], salted[ST_HASH_LEN + ST_NAME_MAX];
  memcpy(salted, r->salt, ST_HASH_LEN);
  memcpy(salted + ST_HASH_LEN, login.data, login.len);
  st_sha256(salted, ST_HASH_LEN + login.len, hash);
  return st_load64(hash);
}

/* Finds the place of a login, valid and so not too long, that is not there yet. */
static bool find_place(reader *r, subtoken_text login) {
  r->key = key_of(r, login);
  r->link = r->root;
  for (uint32_t entry = st_load32(r->link); entry != 0; entry = st_load32(r->link)) {
    uint8_t *note = (uint8_t *)r->json.text + note_of(r, entry);
    uint64_t key = st_load64(note + NOTE_KEY);
    if (st_text_equal(login, login_of(r->json.text, entry))) return false;
    r->link = note + (r->key < key ? NOTE_LESS : NOTE_MORE);
  }
  return true;
}

/* ---- noting an entry ---- */

static size_t write_note(const reader *r, const st_access_entry *entry, char note[NOTE_MAX]) {
  st_writer writer = st_writer_on(note, NOTE_MAX);
  memset(note, 0, NOTE_REST);
  st_store64((uint8_t *)note + NOTE_KEY, r->key);
  note[NOTE_ANONYMOUS] = entry->anonymous;
  note[NOTE_SALT_LEN] = (char)entry->salt_len;
  note[NOTE_COUNT] = (char)entry->permission_count;
  writer.len = NOTE_REST;
  if (!entry->anonymous) {
    st_write(&writer, entry->salt, entry->salt_len);
    st_write(&writer, entry->hash, sizeof entry->hash);
  }
  for (size_t i = 0; i < entry->permission_count; i++) {
    st_write_char(&writer, (char)entry->permissions[i].len);
    st_write_view(&writer, entry->permissions[i]);
  }
  return st_impossible(writer.overflow, "a note has its largest size") ? SIZE_MAX : writer.len;
}

static bool note_entry(reader *r, const st_access_entry *entry) {
  char note[NOTE_MAX];
  size_t len = write_note(r, entry, note);
  size_t quote = (size_t)(entry->login.data - r->json.text) - 1;
  size_t at = quote + 1 + entry->login.len;
  bool longer = len > r->json.at - at;
  if (st_impossible(longer, "a note is shorter than its JSON")) {
    return access_refuse(r, r->json.at, "it does not fit");
  }
  count_up_to(r, r->json.at);
  r->json.text[quote] = (char)(entry->login.len - 1);
  memcpy(r->json.text + at, note, len);
  subtoken_wipe(note, sizeof note);
  st_store32(r->link, (uint32_t)quote);
  if (r->file->last != 0) {
    st_store32((uint8_t *)r->json.text + note_of(r, r->file->last) + NOTE_NEXT, (uint32_t)quote);
  } else {
    r->file->first = (uint32_t)quote;
  }
  r->file->last = (uint32_t)quote;
  r->file->count++;
  return true;
}

/* ---- the members of an entry ---- */

static bool read_hash(reader *r, draft *into) {
  size_t at = access_here(r), len = 0;
  subtoken_text text;
  into->hash = true;
  if (!st_json_string(&r->json, &text)) return access_refuse_json(r, "must be a string");
  bool star = st_text_is(text, "*");
  if (star != into->entry.anonymous) {
    return access_refuse(r, at,
                         star ? "must not be * for a named user, because any password would match"
                              : "must be * for the user *, who has no password");
  }
  uint8_t *hash = into->entry.hash;
  bool good =
      star || (st_base64_read(text, ST_PADDED, hash, ST_HASH_LEN, &len) && len == ST_HASH_LEN);
  if (good) return true;
  return access_refuse(r, at, "must be 32 bytes in base64, with padding");
}

static bool read_salt(reader *r, draft *into) {
  size_t at = access_here(r);
  subtoken_text text;
  st_access_entry *entry = &into->entry;
  into->salt = true;
  if (!st_json_string(&r->json, &text)) return access_refuse_json(r, "must be a string");
  bool good = entry->anonymous ||
              st_base64_read(text, ST_PADDED, entry->salt, sizeof entry->salt, &entry->salt_len);
  if (good) return true;
  return access_refuse(r, at, "must be at most 64 bytes in base64, with padding");
}

static bool has_permission(const st_access_entry *entry, subtoken_text permission) {
  for (size_t i = 0; i < entry->permission_count; i++) {
    if (st_text_equal(entry->permissions[i], permission)) return true;
  }
  return false;
}

static bool read_permission(reader *r, st_access_entry *entry) {
  size_t at = access_here(r);
  subtoken_text text;
  if (!st_json_string(&r->json, &text)) return access_refuse_json(r, "must be an array of strings");
  if (!subtoken_permission_valid(text)) return access_refuse(r, at, "not a valid permission");
  if (has_permission(entry, text)) return true;
  if (entry->permission_count == SUBTOKEN_PERMISSIONS_MAX) {
    return access_refuse(r, at, "too many entries (maximum 64)");
  }
  entry->permissions[entry->permission_count++] = text;
  return true;
}

static bool access_read_permissions(reader *r, draft *into) {
  into->permissions = true;
  if (!st_json_array(&r->json)) return access_refuse_json(r, "must be an array of strings");
  while (st_json_element(&r->json)) {
    if (!read_permission(r, &into->entry)) return false;
  }
  if (!r->json.failed) return true;
  return access_refuse_json(r, "must be an array of strings");
}

static bool access_read_member(reader *r, subtoken_text name, draft *into) {
  static const struct {
    subtoken_text name;
    bool (*read)(reader *r, draft *into);
  } table[] = {{SUBTOKEN_TEXT("password_hash_b64"), read_hash},
               {SUBTOKEN_TEXT("password_salt_b64"), read_salt},
               {SUBTOKEN_TEXT("allowed_apis"), access_read_permissions}};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (!st_text_equal(name, table[i].name)) continue;
    r->member = table[i].name;
    bool good = table[i].read(r, into);
    r->member.data = NULL;
    return good;
  }
  if (st_json_skip(&r->json)) return true;
  return access_refuse_json(r, "");
}

/* ---- an entry ---- */

static const char *missing(const draft *entry) {
  if (!entry->hash) return "password_hash_b64 is missing";
  if (!entry->salt && !entry->entry.anonymous) return "password_salt_b64 is missing";
  return entry->permissions ? NULL : "allowed_apis is missing";
}

static bool access_read_members(reader *r, draft *into) {
  subtoken_text name;
  if (!st_json_object(&r->json)) return access_refuse_json(r, "must be an object");
  while (st_json_member(&r->json, &name)) {
    if (!access_read_member(r, name, into)) return false;
  }
  if (r->json.failed) return access_refuse_json(r, "");
  const char *lacks = missing(into);
  if (lacks == NULL) return true;
  return access_refuse(r, r->json.at - 1, lacks);
}

/* The login has just been read, as a name or a string. */
static bool check_login(reader *r, subtoken_text login) {
  size_t quote = (size_t)(login.data - r->json.text) - 1;
  if (!st_names_new_username_valid(login)) {
    return access_refuse(
        r, quote, "a login is 1 to 256 bytes without control characters and colons, not . or ..");
  }
  if (find_place(r, login)) return true;
  return access_refuse(r, quote, "duplicate login");
}

static bool read_entry(reader *r, subtoken_text login) {
  draft into = {.entry = {.login = login, .anonymous = st_text_is(login, "*")}};
  r->login = login;
  bool good = check_login(r, login) && access_read_members(r, &into);
  if (good) good = note_entry(r, &into.entry);
  r->login.data = NULL;
  subtoken_wipe(&into, sizeof into);
  return good;
}

static const char pair_wanted[] = "an entry must be an array of a login and an object";

static bool next_of_pair(reader *r) {
  if (st_json_element(&r->json)) return true;
  return r->json.failed ? access_refuse_json(r, "") : access_refuse(r, r->json.at - 1, pair_wanted);
}

/* `[login, {...}]` */
static bool read_pair(reader *r) {
  subtoken_text login;
  if (!st_json_array(&r->json)) return access_refuse_json(r, pair_wanted);
  if (!next_of_pair(r)) return false;
  if (!st_json_string(&r->json, &login)) return access_refuse_json(r, "a login must be a string");
  if (!next_of_pair(r) || !read_entry(r, login)) return false;
  if (st_json_element(&r->json)) return access_refuse(r, access_here(r), pair_wanted);
  if (!r->json.failed) return true;
  return access_refuse_json(r, "");
}

static bool read_map(reader *r) {
  subtoken_text login;
  if (st_json_peek(&r->json) == '{') {
    (void)st_json_object(&r->json);
    while (st_json_member(&r->json, &login)) {
      if (!read_entry(r, login)) return false;
    }
  } else {
    if (!st_json_array(&r->json)) {
      return access_refuse_json(r, "permission_map must be an array or an object");
    }
    while (st_json_element(&r->json)) {
      if (!read_pair(r)) return false;
    }
  }
  if (!r->json.failed) return true;
  return access_refuse_json(r, "");
}

/* ---- the file ---- */

static bool read_file(reader *r) {
  subtoken_text name;
  bool map = false;
  if (!st_json_object(&r->json)) return access_refuse_json(r, "the file must be an object");
  while (st_json_member(&r->json, &name)) {
    bool users = st_text_is(name, "permission_map");
    map = map || users;
    if (users ? !read_map(r) : !st_json_skip(&r->json)) return access_refuse_json(r, "");
  }
  if (r->json.failed) return access_refuse_json(r, "");
  if (!map) return access_refuse(r, r->json.at - 1, "permission_map is missing");
  if (st_json_end(&r->json)) return true;
  return access_refuse(r, r->json.at, "unexpected text after the object");
}

/* Places in the text, and of the lines in it, fit 32 bits. */
static bool access_file_begin(reader *r, size_t len) {
  static const char error[] = "the file is larger than 4 GiB";
  if (len > UINT32_MAX) {
    memcpy(r->file->error, error, sizeof error);
    return false;
  }
  r->lines = lines_in(r->json.text, 0, len);
  st_sha256(r->json.text, len, r->salt);
  return true;
}

bool st_access_file_start(st_access_file *file, char *text, size_t len) {
  reader r;
  memset(file, 0, sizeof *file);
  memset(&r, 0, offsetof(reader, json));
  st_json_start(&r.json, text, len);
  r.file = file;
  bool good = access_file_begin(&r, len) && read_file(&r);
  file->text = text;
  file->next = good ? file->first : 0;
  file->done = good && file->first == 0;
  if (!good) file->count = 0;
  return good;
}

bool st_access_file_next(st_access_file *file, st_access_entry *entry) {
  memset(entry, 0, sizeof *entry);
  if (file->next == 0) return false;
  entry->login = login_of(file->text, file->next);
  const uint8_t *note = (const uint8_t *)entry->login.data + entry->login.len;
  const uint8_t *rest = note + NOTE_REST;
  entry->anonymous = note[NOTE_ANONYMOUS] != 0;
  entry->salt_len = note[NOTE_SALT_LEN];
  if (!entry->anonymous) {
    memcpy(entry->salt, rest, entry->salt_len);
    memcpy(entry->hash, rest + entry->salt_len, ST_HASH_LEN);
    rest += entry->salt_len + ST_HASH_LEN;
  }
  for (; entry->permission_count < note[NOTE_COUNT]; entry->permission_count++) {
    entry->permissions[entry->permission_count] = (subtoken_text){(const char *)rest + 1, rest[0]};
    rest += 1 + rest[0];
  }
  file->next = st_load32(note + NOTE_NEXT);
  file->done = file->next == 0;
  return true;
}
