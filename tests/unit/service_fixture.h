/* service_fixture - a service whose users, sessions and keys are in memory, for the tests of its
 * routes. What keeps them checks what it is called with, and fails when it is told to.
 */
#ifndef TESTS_UNIT_SERVICE_FIXTURE_H
#define TESTS_UNIT_SERVICE_FIXTURE_H

#include "support.h"

#include "base/json.h"
#include "domain/key_json.h"
#include "domain/names.h"
#include "domain/search.h"
#include "domain/store_search.h"
#include "server/basic_locks.h"
#include "service/access.h"
#include "service/rate_limit.h"
#include "service/router.h"
#include "service/service.h"
#include "service/throttle.h"

#define REMOTE "192.0.2.7"
#define NOW_US INT64_C(5000000)
#define UNTIL_US INT64_C(0x7000000000000000) /* how long a request waits */
#define KEY "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF"
#define KEY_ID "01234567-89AB-CDEF-0123-456789ABCDEF"
#define POOR_KEY "FEDCBA98-7654-3210-FEDC-BA9876543210FEDCBA98-7654-3210-FEDC-BA9876543210"
#define POOR_ID "FEDCBA98-7654-3210-FEDC-BA9876543210"
#define KEY_PERMISSIONS "account,guilds,users,keys,services,audit"
#define AS_KEY "Authorization: Bearer " KEY "\n"
#define AS_POOR "Authorization: Bearer " POOR_KEY "\n"
#define AS_JSON "Content-Type: application/json\n"
#define AS_FORM "Content-Type: application/x-www-form-urlencoded\n"
/* With a colon in it. */
#define PASSWORD "correct horse: battery"
#define AS_ALICE "Authorization: Basic YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ==\n"
#define UNAUTHORIZED "{\"text\":\"Invalid access token\"}"

typedef struct fixture_row {
  st_key key;
  uint8_t digest[ST_HASH_LEN];
  uint8_t old_digest[ST_HASH_LEN]; /* of the secret before, while old_until of the key is not 0 */
  char
      refresh[ST_REFRESH_LEN + 1]; /* of a session: its only good one; used ones are lower by one */
  bool ended;
} fixture_row;

static struct {
  fixture_row rows[160];
  size_t row_count;
  st_user users[4];
  size_t user_count;
  bool broken;               /* the store cannot be read */
  st_password_status status; /* of each password, unless it is ST_PASSWORD_FAILED and unset */
  bool status_forced;
  st_store_status outcome; /* of each change, unless it is ST_STORE_OK */
  bool busy;
  size_t checks, creates, log_ins, log_outs, refreshes, changes; /* calls */
  bool checked_nobody;
  bool owner_is_user; /* as the last key was asked for */
  st_derived derived; /* with whatever is disabled or deleted */
  int64_t now;        /* of the request */
  int64_t asked_until, most_sessions, refresh_retry;
  char who[ST_NAME_MAX + 16], grantor[ST_KEY_ID_LEN + 1];
  int64_t audit_last; /* ids from 1 on */
  size_t audit_asked, audit_most;
  st_audit_filter audit_filter; /* as it was asked for last; its texts have gone */
  st_key_filter key_filter;
  size_t looked_at; /* keys, by searches */
  bool out_of_time; /* each search is the last of its request */
  char key_owner[ST_NAME_MAX + 1];
  const char *audit_detail;
  char revoked_tid[ST_TID_LEN + 1]; /* of the token that was revoked last */
  int64_t revoked_exp;
  size_t revoked_via_count;
  bool revoked_derived;
  char used[ST_KEY_ID_LEN + 1];                /* the last key that was */
  int64_t overlap;                             /* as the last rotation was asked for */
  int64_t waited;                              /* seconds until a rotation has its turn */
  char revoked_tids[16][SUBTOKEN_TID_LEN + 1]; /* those that are listed */
  size_t revoked_count, tids_asked;
} fixture;

static const char *fixture_remote = REMOTE; /* who asks */

static st_settings settings;
static subtoken_ring ring;
static st_rate_limit rate;
static st_throttle throttle;
static st_basic_auth basic;

/* ---- rows ---- */

static inline fixture_row *fixture_add(st_key_kind kind, const char *id, const char *parent,
                                       const char *owner, const char *permissions,
                                       int64_t expires_at) {
  assert_true(fixture.row_count < COUNT(fixture.rows));
  fixture_row *row = &fixture.rows[fixture.row_count++];
  memset(row, 0, sizeof *row);
  row->key.kind = kind;
  snprintf(row->key.id, sizeof row->key.id, "%s", id);
  snprintf(row->key.parent, sizeof row->key.parent, "%s", parent);
  snprintf(row->key.sub, sizeof row->key.sub, "%043zu", fixture.row_count);
  snprintf(row->key.name, sizeof row->key.name, "%s", owner);
  snprintf(row->key.owner, sizeof row->key.owner, "%s", owner);
  snprintf(row->key.permissions, sizeof row->key.permissions, "%s", permissions);
  row->key.expires_at = expires_at;
  return row;
}

static inline fixture_row *fixture_row_of(const char *id) {
  for (size_t i = 0; i < fixture.row_count; i++) {
    if (strcmp(fixture.rows[i].key.id, id) == 0) return &fixture.rows[i];
  }
  return NULL;
}

static inline st_user *fixture_user(subtoken_text username) {
  for (size_t i = 0; i < fixture.user_count; i++) {
    if (st_text_is(username, fixture.users[i].key.owner)) return &fixture.users[i];
  }
  return NULL;
}

static inline void fixture_add_user(const char *username, const char *id, const char *permissions) {
  assert_true(fixture.user_count < COUNT(fixture.users));
  st_user *user = &fixture.users[fixture.user_count++];
  memset(user, 0, sizeof *user);
  user->key = fixture_add(ST_KIND_USER, id, "", username, permissions, ST_NEVER)->key;
  snprintf(user->password, sizeof user->password, "hash of " PASSWORD);
}

/* ---- what the service asks ---- */

static inline st_store_status fixture_by_digest(void *store, const uint8_t digest[32],
                                                st_key *key) {
  assert_ptr_equal(store, &fixture);
  if (fixture.broken) return ST_STORE_FAILED;
  for (size_t i = 0; i < fixture.row_count; i++) {
    const fixture_row *row = &fixture.rows[i];
    bool old = row->key.old_until > fixture.now && memcmp(row->old_digest, digest, 32) == 0;
    if (row->ended || (!old && memcmp(row->digest, digest, 32) != 0)) continue;
    *key = row->key;
    key->by_old_digest = old;
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

/* Asked only when a row says that some are. */
static inline st_store_status fixture_tokens_revoked(void *store, const subtoken_text *tids,
                                                     size_t count, bool *revoked) {
  assert_ptr_equal(store, &fixture);
  assert_true(count > 0);
  fixture.tids_asked++;
  if (fixture.broken) return ST_STORE_FAILED;
  *revoked = false;
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(tids[i].len, SUBTOKEN_TID_LEN);
    for (size_t j = 0; j < fixture.revoked_count; j++) {
      if (st_text_is(tids[i], fixture.revoked_tids[j])) *revoked = true;
    }
  }
  return ST_STORE_OK;
}

static inline st_store_status fixture_by_sub(void *store, subtoken_text sub, st_key *key) {
  assert_ptr_equal(store, &fixture);
  assert_true(sub.len > 0 && (st_text_class(sub) & ST_CHAR_NAME) != 0);
  if (fixture.broken) return ST_STORE_FAILED;
  for (size_t i = 0; i < fixture.row_count; i++) {
    if (!st_text_is(sub, fixture.rows[i].key.sub)) continue;
    *key = fixture.rows[i].key;
    return fixture.rows[i].ended ? ST_STORE_REVOKED : ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

static inline st_store_status fixture_find(void *context, subtoken_text username, st_user *user) {
  assert_ptr_equal(context, &fixture);
  assert_true(st_names_username_valid(username) && !st_text_is(username, ST_ANONYMOUS));
  if (fixture.broken) return ST_STORE_FAILED;
  st_user *found = fixture_user(username);
  if (found == NULL) return ST_STORE_NOT_FOUND;
  *user = *found;
  return ST_STORE_OK;
}

static inline st_password_status fixture_check(void *context, const st_user *user,
                                               subtoken_text password, int64_t until_us) {
  char expected[ST_PHC_MAX + 1];
  assert_true(until_us == UNTIL_US);
  assert_ptr_equal(context, &fixture);
  fixture.checks++;
  fixture.checked_nobody = user == NULL;
  if (fixture.status_forced) return fixture.status;
  if (user == NULL) return ST_PASSWORD_WRONG;
  assert_string_not_equal(user->key.owner, ST_ANONYMOUS);
  assert_false(user->key.disabled || user->key.suspended);
  snprintf(expected, sizeof expected, "hash of %.*s", (int)password.len, password.data);
  return strcmp(user->password, expected) == 0 ? ST_PASSWORD_OK : ST_PASSWORD_WRONG;
}

static inline void fixture_check_audit(const st_audit_context *audit) {
  assert_non_null(audit);
  assert_true(audit->who[0] != '\0');
  /* What is longer than any address is not cut. */
  bool fits = strlen(fixture_remote) < sizeof((st_audit_buffers *)0)->from;
  assert_string_equal(audit->from, fits ? fixture_remote : "");
  assert_true(audit->until_us == UNTIL_US);
  snprintf(fixture.who, sizeof fixture.who, "%s", audit->who);
}

/* In force, and worth as much? */
static inline const fixture_row *fixture_grantor(const st_grantor *grantor) {
  const fixture_row *row = fixture_row_of(grantor->id);
  assert_non_null(row);
  assert_string_equal(row->key.sub, grantor->sub);
  assert_true(!row->ended && row->key.expires_at > NOW);
  snprintf(fixture.grantor, sizeof fixture.grantor, "%s", grantor->id);
  return row;
}

static inline st_password_status fixture_hash(void *context, subtoken_text password,
                                              int64_t until_us, char phc[ST_PHC_MAX + 1]) {
  assert_ptr_equal(context, &fixture);
  assert_true(until_us == UNTIL_US);
  assert_true(password.len >= ST_PASSWORD_MIN && password.len <= ST_PASSWORD_MAX);
  if (fixture.busy) return ST_PASSWORD_BUSY;
  snprintf(phc, ST_PHC_MAX + 1, "hash of %.*s", (int)password.len, password.data);
  return ST_PASSWORD_OK;
}

static inline st_store_status fixture_create(void *context, const st_audit_context *audit,
                                             const st_grantor *grantor, st_user *user) {
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  fixture.grantor[0] = '\0';
  if (grantor != NULL) (void)fixture_grantor(grantor);
  fixture.creates++;
  assert_int_equal(user->key.kind, ST_KIND_USER);
  assert_true(st_names_username_valid(st_text(user->key.owner)));
  assert_string_equal(user->key.owner, user->key.name);
  assert_true(user->key.sub[0] == '\0' && user->key.parent[0] == '\0' && !user->key.disabled);
  assert_true(user->key.audience[0] == '\0' && user->key.created_at == 0);
  assert_string_not_equal(user->key.owner, ST_ANONYMOUS);
  assert_true(grantor != NULL || user->key.permissions[0] == '\0');
  assert_true(strncmp(user->password, "hash of ", 8) == 0);
  if (fixture.outcome != ST_STORE_OK) return fixture.outcome;
  if (fixture_user(st_text(user->key.owner)) != NULL) return ST_STORE_EXISTS;
  assert_true(fixture.user_count < COUNT(fixture.users));
  fixture.users[fixture.user_count++] = *user;
  return ST_STORE_OK;
}

static inline st_store_status fixture_log_in(void *context, const st_audit_context *audit,
                                             const st_grantor *grantor, int64_t most,
                                             st_key *session, char refresh[ST_REFRESH_LEN + 1]) {
  char id[ST_KEY_ID_LEN + 1];
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  const st_key by = fixture_grantor(grantor)->key;
  fixture.log_ins++;
  fixture.asked_until = session->expires_at;
  fixture.most_sessions = most;
  if (fixture.outcome != ST_STORE_OK) return fixture.outcome;
  bool user = by.kind == ST_KIND_USER;
  assert_true(user || by.kind == ST_KIND_KEY);
  snprintf(id, sizeof id, "%08zu-1061-0000-0000-000000000000", fixture.row_count);
  int64_t until = session->expires_at < by.expires_at ? session->expires_at : by.expires_at;
  fixture_row *row = fixture_add(user ? ST_KIND_SESSION : ST_KIND_SERVICE, id, by.id, by.owner,
                                 by.permissions, until);
  memcpy(row->key.audience, by.audience, sizeof by.audience);
  snprintf(row->refresh, sizeof row->refresh, "%043zu", 1000 * fixture.row_count);
  snprintf(refresh, ST_REFRESH_LEN + 1, "%s", row->refresh);
  *session = row->key;
  return ST_STORE_OK;
}

static inline st_store_status fixture_refresh(void *context, const st_audit_context *audit,
                                              subtoken_text token, int64_t expires_at,
                                              int64_t retry, st_key *session,
                                              char successor[ST_REFRESH_LEN + 1]) {
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  assert_int_equal(token.len, ST_REFRESH_LEN);
  fixture.refreshes++;
  fixture.asked_until = expires_at;
  fixture.refresh_retry = retry;
  if (fixture.outcome != ST_STORE_OK) return fixture.outcome;
  unsigned long asked = strtoul(token.data, NULL, 10);
  for (size_t i = 0; i < fixture.row_count; i++) {
    fixture_row *row = &fixture.rows[i];
    unsigned long good = strtoul(row->refresh, NULL, 10);
    if (row->refresh[0] == '\0' || row->ended || asked / 1000 != good / 1000) continue;
    row->ended = asked != good;
    if (row->ended) return ST_STORE_DENIED;
    snprintf(row->refresh, sizeof row->refresh, "%043lu", good + 1);
    snprintf(successor, ST_REFRESH_LEN + 1, "%s", row->refresh);
    row->key.expires_at = expires_at;
    *session = row->key;
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

static inline st_store_status fixture_find_refresh(void *context, subtoken_text token, int64_t now,
                                                   st_key *session) {
  assert_ptr_equal(context, &fixture);
  assert_int_equal(token.len, ST_REFRESH_LEN);
  assert_true(now == fixture.now);
  if (fixture.broken) return ST_STORE_FAILED;
  unsigned long asked = strtoul(token.data, NULL, 10);
  for (size_t i = 0; i < fixture.row_count; i++) {
    const fixture_row *row = &fixture.rows[i];
    unsigned long good = strtoul(row->refresh, NULL, 10);
    if (row->refresh[0] == '\0' || row->ended || asked / 1000 != good / 1000) continue;
    *session = row->key;
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

static inline st_store_status fixture_log_out(void *context, const st_audit_context *audit,
                                              const char *id, int64_t *sequence) {
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  fixture.log_outs++;
  if (fixture.outcome != ST_STORE_OK) return fixture.outcome;
  fixture_row *row = fixture_row_of(id);
  if (row == NULL || row->ended) return ST_STORE_NOT_FOUND;
  assert_true(row->key.kind == ST_KIND_SESSION || row->key.kind == ST_KIND_SERVICE);
  row->ended = true;
  *sequence = 77;
  return ST_STORE_OK;
}

static inline st_store_status fixture_audit(void *context, int64_t before, size_t limit,
                                            st_audit_line *lines, size_t *count) {
  assert_ptr_equal(context, &fixture);
  assert_true(before >= 0 && limit >= 1 && limit <= 100);
  fixture.audit_asked++;
  if (limit > fixture.audit_most) fixture.audit_most = limit;
  *count = 0;
  if (fixture.outcome != ST_STORE_OK) return fixture.outcome;
  int64_t id = before == 0 || before > fixture.audit_last ? fixture.audit_last : before - 1;
  for (; id > 0 && *count < limit; id--) {
    st_audit_line *line = &lines[(*count)++];
    memset(line, 0, sizeof *line);
    line->id = id;
    line->at = NOW + id;
    snprintf(line->action, sizeof line->action, "key.create");
    snprintf(line->who, sizeof line->who, "person \"%lld\"", (long long)id);
    snprintf(line->from, sizeof line->from, "192.0.2.%lld", (long long)(id % 256));
    snprintf(line->target, sizeof line->target, "target\n");
    snprintf(line->detail, sizeof line->detail, "%s", fixture.audit_detail);
  }
  return ST_STORE_OK;
}

/* The same lines, as far as they fit; after three that were looked at it says where to go on. */
static inline st_store_status fixture_search_audit(void *context, const st_audit_filter *filter,
                                                   int64_t before, st_audit_line *lines,
                                                   st_search_page *page) {
  size_t count = 0, looked_at = 0;
  fixture.audit_filter = *filter;
  page->count = 0;
  page->last_line = before;
  assert_true(page->rows > 0 && page->limit > 0);
  do {
    st_store_status found = fixture_audit(context, page->last_line, 1, &lines[page->count], &count);
    if (found != ST_STORE_OK) return found;
    page->more = count > 0;
    if (count == 0) return ST_STORE_OK;
    page->last_line = lines[page->count].id;
    page->rows--;
    if (filter->since <= lines[page->count].at) page->count++;
  } while (++looked_at < 3 && page->rows > 0 && page->count < page->limit);
  return ST_STORE_OK;
}

/* Users in the order in which they were made, two at a time at most. */
static inline st_store_status fixture_search_users(void *context, subtoken_text text,
                                                   const char *after, st_user *users,
                                                   st_search_page *page) {
  st_search search;
  bool begun = after[0] == '\0';
  assert_ptr_equal(context, &fixture);
  page->count = 0;
  page->more = false;
  if (fixture.broken) return ST_STORE_FAILED;
  assert_true(st_search_start(&search, text));
  for (size_t i = 0; i < fixture.user_count; i++) {
    const st_user *user = &fixture.users[i];
    if (begun && page->count == (page->limit < 2 ? page->limit : 2)) page->more = true;
    if (begun && !page->more && st_search_finds(&search, user->key.owner)) {
      users[page->count++] = *user;
      snprintf(page->last, sizeof page->last, "%s", user->key.owner);
    }
    begun = begun || strcmp(after, user->key.owner) == 0;
  }
  return ST_STORE_OK;
}

/* The user that a change is about; NULL: *changed is the answer. */
static inline st_user *fixture_user_change(void *context, const st_audit_context *audit,
                                           const char *username, st_store_status *changed) {
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  (void)fixture_grantor(audit->by);
  assert_non_null(audit->made);
  assert_true(audit->made->keys == 0 && audit->made->users == 0 && audit->made->count == 0);
  fixture.changes++;
  st_user *user = fixture_user(st_text(username));
  *changed = user == NULL ? ST_STORE_NOT_FOUND : fixture.outcome;
  return *changed == ST_STORE_OK ? user : NULL;
}

static inline st_store_status fixture_set_permissions(void *context, const st_audit_context *audit,
                                                      const char *username, const char *permissions,
                                                      int64_t *sequence) {
  st_store_status changed;
  st_user *user = fixture_user_change(context, audit, username, &changed);
  if (user == NULL) return changed;
  snprintf(user->key.permissions, sizeof user->key.permissions, "%s", permissions);
  *audit->made = fixture.derived;
  *sequence = 84;
  return changed;
}

static inline st_store_status fixture_disable_user(void *context, const st_audit_context *audit,
                                                   const char *username, bool disabled,
                                                   int64_t *sequence) {
  st_store_status changed;
  st_user *user = fixture_user_change(context, audit, username, &changed);
  if (user == NULL) return changed;
  user->key.disabled = disabled;
  *audit->made = fixture.derived;
  *sequence = 85;
  return changed;
}

static inline st_store_status fixture_remove_user(void *context, const st_audit_context *audit,
                                                  const char *username, int64_t *sequence) {
  st_store_status changed;
  st_user *user = fixture_user_change(context, audit, username, &changed);
  if (user == NULL) return changed;
  *user = fixture.users[--fixture.user_count];
  *audit->made = fixture.derived;
  *sequence = 86;
  return changed;
}

static inline void fixture_used(void *context, const char *id, int64_t now) {
  assert_ptr_equal(context, &fixture);
  assert_true(fixture_row_of(id) != NULL && now == fixture.now);
  snprintf(fixture.used, sizeof fixture.used, "%s", id);
}

/* ---- keys that are managed ---- */

static inline fixture_row *fixture_key_row(const char *id) {
  fixture_row *row = fixture_row_of(id);
  return row != NULL && row->key.kind == ST_KIND_KEY && !row->ended ? row : NULL;
}

static inline st_store_status fixture_find_key(void *context, const char *id, st_key *key) {
  assert_ptr_equal(context, &fixture);
  const fixture_row *row = fixture_key_row(id);
  if (fixture.broken) return ST_STORE_FAILED;
  if (row == NULL) return ST_STORE_NOT_FOUND;
  *key = row->key;
  return ST_STORE_OK;
}

static inline st_store_status fixture_find_sub(void *context, subtoken_text sub, st_key *key) {
  assert_ptr_equal(context, &fixture);
  if (fixture.broken) return ST_STORE_FAILED;
  for (size_t i = 0; i < fixture.row_count; i++) {
    const fixture_row *row = &fixture.rows[i];
    if (row->key.kind != ST_KIND_KEY || row->ended || !st_text_is(sub, row->key.sub)) continue;
    *key = row->key;
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

/* The key that follows an id; NULL: none. */
static inline const st_key *fixture_next_key(const char *owner, const char *after) {
  const st_key *next = NULL;
  for (size_t i = 0; i < fixture.row_count; i++) {
    const st_key *key = &fixture.rows[i].key;
    if (key->kind != ST_KIND_KEY || fixture.rows[i].ended || strcmp(key->id, after) <= 0) continue;
    if (owner != NULL && strcmp(key->owner, owner) != 0) continue;
    if (next == NULL || strcmp(key->id, next->id) < 0) next = key;
  }
  return next;
}

static inline st_store_status fixture_list_keys(void *context, const char *owner, const char *after,
                                                size_t limit, st_key *keys, size_t *count) {
  assert_ptr_equal(context, &fixture);
  *count = 0;
  if (fixture.broken) return ST_STORE_FAILED;
  const st_key *key = fixture_next_key(owner, after);
  for (; key != NULL && *count < limit; key = fixture_next_key(owner, key->id)) {
    keys[(*count)++] = *key;
  }
  return ST_STORE_OK;
}

/* Four keys are looked at at a time. */
static inline st_store_status fixture_search_keys(void *context, const st_key_filter *filter,
                                                  const char *after, st_key *keys,
                                                  st_search_page *page) {
  st_search search;
  size_t looked_at = 0;
  assert_ptr_equal(context, &fixture);
  fixture.key_filter = *filter;
  snprintf(fixture.key_owner, sizeof fixture.key_owner, "%s",
           filter->owner != NULL ? filter->owner : "any");
  page->count = 0;
  if (fixture.broken) return ST_STORE_FAILED;
  assert_true(st_search_start(&search, filter->search) && page->rows > 0 && page->limit > 0);
  snprintf(page->last, sizeof page->last, "%s", after);
  page->last_expires_at = filter->after_expires;
  const st_key *key = fixture_next_key(filter->owner, after);
  if (st_key_filter_is_by_expiry(filter) && after[0] != '\0') {
    const fixture_row *row = fixture_row_of(after);
    assert_true(row == NULL || filter->after_expires == row->key.expires_at);
  }
  for (; key != NULL && looked_at < 4 && page->count < page->limit; looked_at++) {
    bool fits =
        filter->state == NULL || strcmp(st_key_json_state(key, filter->now), filter->state) == 0;
    fits = fits && (filter->expires_until == 0 || key->expires_at <= filter->expires_until);
    fits = fits && (filter->audience == NULL || strcmp(filter->audience, key->audience) == 0);
    if (fits && st_search_finds(&search, key->name)) keys[page->count++] = *key;
    snprintf(page->last, sizeof page->last, "%s", key->id);
    page->last_expires_at = key->expires_at;
    page->rows--;
    fixture.looked_at++;
    key = fixture_next_key(filter->owner, key->id);
  }
  page->more = key != NULL;
  if (fixture.out_of_time) page->rows = 0;
  return ST_STORE_OK;
}

static inline st_store_status fixture_create_key(void *context, const st_audit_context *audit,
                                                 const st_grantor *grantor, st_key *key,
                                                 char *whole) {
  char id[ST_KEY_ID_LEN + 1];
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  const st_key *by = &fixture_grantor(grantor)->key;
  assert_true(audit->most_keys == settings.keys_per_owner);
  fixture.changes++;
  assert_true(by->audience[0] == '\0' || strcmp(by->audience, key->audience) == 0);
  assert_int_equal(key->kind, ST_KIND_KEY);
  assert_true(key->created_at == fixture.now && key->expires_at > fixture.now);
  fixture.owner_is_user = key->owner_is_user;
  if (fixture.outcome != ST_STORE_OK) return fixture.outcome;
  snprintf(id, sizeof id, "%08zX-0000-0000-0000-00000000000A", fixture.row_count);
  fixture_row *row =
      fixture_add(ST_KIND_KEY, id, "", key->owner, key->permissions, key->expires_at);
  snprintf(row->key.name, sizeof row->key.name, "%s", key->name);
  row->key.created_at = key->created_at;
  memcpy(row->key.audience, key->audience, sizeof key->audience);
  snprintf(whole, ST_KEY_LEN + 1, "%s5EC2E700-0000-0000-0000-00000000000A", id);
  st_sha256(whole, ST_KEY_LEN, row->digest);
  *key = row->key;
  return ST_STORE_OK;
}

/* The row that a change is about; NULL: *changed is the answer. */
static inline fixture_row *fixture_change(void *context, const st_audit_context *audit,
                                          const char *id, st_store_status *changed) {
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  (void)fixture_grantor(audit->by);
  fixture.changes++;
  fixture_row *row = fixture_key_row(id);
  *changed = row == NULL ? ST_STORE_NOT_FOUND : fixture.outcome;
  return *changed == ST_STORE_OK ? row : NULL;
}

static inline st_store_status fixture_rename(void *context, const st_audit_context *audit,
                                             const char *id, const char *name) {
  st_store_status changed;
  fixture_row *row = fixture_change(context, audit, id, &changed);
  if (row != NULL) snprintf(row->key.name, sizeof row->key.name, "%s", name);
  return changed;
}

static inline st_store_status fixture_remove(void *context, const st_audit_context *audit,
                                             const char *id, int64_t *sequence) {
  st_store_status changed;
  fixture_row *row = fixture_change(context, audit, id, &changed);
  if (row == NULL) return changed;
  row->ended = true;
  *audit->made = fixture.derived;
  *sequence = 81;
  return changed;
}

static inline st_store_status fixture_set_disabled(void *context, const st_audit_context *audit,
                                                   const char *id, bool disabled,
                                                   int64_t *sequence) {
  st_store_status changed;
  fixture_row *row = fixture_change(context, audit, id, &changed);
  if (row == NULL) return changed;
  assert_non_null(audit->row);
  bool kept = audit->as_owner && row->key.disabled && !row->key.disabled_by_owner;
  if (kept && !disabled) return ST_STORE_DISABLED_BY_OTHER;
  row->key.disabled_by_owner = audit->as_owner && disabled && !kept;
  assert_false(audit->made->end);
  *audit->made = fixture.derived;
  row->key.disabled = disabled;
  *sequence = 82;
  return changed;
}

static inline st_store_status fixture_revoke_subtokens(void *context, const st_audit_context *audit,
                                                       const char *id, int64_t *sequence) {
  st_store_status changed;
  fixture_row *row = fixture_change(context, audit, id, &changed);
  if (row == NULL) return changed;
  row->key.sub[0] = 'x';
  *sequence = 83;
  return changed;
}

static inline st_store_status fixture_rotate(void *context, const st_audit_context *audit,
                                             const st_grantor *grantor, const char *id,
                                             int64_t overlap, st_key *key, char *whole) {
  st_store_status changed;
  (void)fixture_grantor(grantor);
  fixture_row *row = fixture_change(context, audit, id, &changed);
  if (row == NULL) return changed;
  fixture.overlap = overlap;
  memcpy(row->old_digest, row->digest, sizeof row->digest);
  row->key.rotated_at = fixture.now + fixture.waited;
  row->key.old_until = overlap > 0 ? row->key.rotated_at + overlap : 0;
  *key = row->key;
  snprintf(whole, ST_KEY_LEN + 1, "%s%08zX-0000-0000-0000-00000000000B", id, fixture.changes);
  st_sha256(whole, ST_KEY_LEN, row->digest);
  return changed;
}

static inline bool fixture_ready(void *store) {
  assert_ptr_equal(store, &fixture);
  return !fixture.broken;
}

static const st_users fixture_users = {.context = &fixture,
                                       .find = fixture_find,
                                       .check = fixture_check,
                                       .hash = fixture_hash,
                                       .create = fixture_create,
                                       .begin_session = fixture_log_in,
                                       .refresh_session = fixture_refresh,
                                       .find_refresh = fixture_find_refresh,
                                       .end_session = fixture_log_out,
                                       .list_audit = fixture_audit,
                                       .search = fixture_search_users,
                                       .search_audit = fixture_search_audit,
                                       .set_permissions = fixture_set_permissions,
                                       .set_disabled = fixture_disable_user,
                                       .remove = fixture_remove_user,
                                       .note_use = fixture_used};
/* Lists the token in fixture.revoked_tid. */
static inline st_store_status fixture_revoke_token(void *context, const st_audit_context *audit,
                                                   const st_key_token *token, int64_t *sequence) {
  assert_ptr_equal(context, &fixture);
  fixture_check_audit(audit);
  assert_int_equal(token->tid.len, ST_TID_LEN);
  fixture.changes++;
  if (fixture.outcome != ST_STORE_OK) return fixture.outcome;
  for (size_t i = 0; i < fixture.row_count; i++) {
    if (fixture.rows[i].ended || !st_text_is(token->sub, fixture.rows[i].key.sub)) continue;
    if (!st_key_has_made(&fixture.rows[i].key, token)) continue;
    fixture.rows[i].key.tokens_revoked++;
    memcpy(fixture.revoked_tid, token->tid.data, ST_TID_LEN);
    fixture.revoked_exp = token->exp;
    fixture.revoked_via_count = token->via_count;
    fixture.revoked_derived = token->derived_for.len > 0;
    *sequence = 78;
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

static inline st_store_status fixture_last_sequence(void *context, int64_t *sequence) {
  assert_ptr_equal(context, &fixture);
  *sequence = 79;
  return fixture.outcome;
}

static const st_key_changes fixture_key_changes = {.context = &fixture,
                                                   .create = fixture_create_key,
                                                   .find = fixture_find_key,
                                                   .find_sub = fixture_find_sub,
                                                   .list = fixture_list_keys,
                                                   .search = fixture_search_keys,
                                                   .rename = fixture_rename,
                                                   .remove = fixture_remove,
                                                   .set_disabled = fixture_set_disabled,
                                                   .revoke_subtokens = fixture_revoke_subtokens,
                                                   .revoke_token = fixture_revoke_token,
                                                   .last_sequence = fixture_last_sequence,
                                                   .rotate = fixture_rotate};
/* One that every token goes through, whatever was asked with it before. */
static uint8_t token_cache_memory[65536];
static subtoken_cache token_cache = {sizeof token_cache, token_cache_memory,
                                     sizeof token_cache_memory};
static bool token_cache_used;
static subtoken_cache *fixture_acquire_cache(subtoken_text token) {
  (void)token;
  assert_false(token_cache_used);
  token_cache_used = true;
  return &token_cache;
}
static void fixture_release_cache(subtoken_cache *cache) {
  assert_ptr_equal(cache, &token_cache);
  token_cache_used = false;
}
static const st_token_caches token_caches = {fixture_acquire_cache, fixture_release_cache};

static st_service service = {
    .settings = &settings,
    .ring = &ring,
    .keys = {&fixture, fixture_by_digest, fixture_by_sub, fixture_tokens_revoked},
    .rate = &rate,
    .ready = fixture_ready,
    .changes = &fixture_key_changes,
    .users = &fixture_users,
    .throttle = &throttle,
    .basic = &basic,
    .token_caches = &token_caches};

/* Two keys, one that may all and one that has little, and alice. */
static int fixture_set_up(void **state) {
  (void)state;
  static const uint8_t random[33] = "this test has these 32 bytes....";
  st_config_default(&settings);
  ring_with(&ring, "", TEST_SECRET);
  memset(&fixture, 0, sizeof fixture);
  fixture.outcome = ST_STORE_OK;
  fixture.audit_detail = "detail";
  fixture.now = NOW;
  fixture_remote = REMOTE;
  service.policy = NULL;
  assert_true(st_rate_limit_start(&rate) && st_throttle_start(&throttle, random) &&
              st_basic_auth_start(&basic, random, st_basic_locks_get()));
  fixture_row *row = fixture_add(ST_KIND_KEY, KEY_ID, "", "operations", KEY_PERMISSIONS, ST_NEVER);
  st_sha256(KEY, ST_KEY_LEN, row->digest);
  row = fixture_add(ST_KIND_KEY, POOR_ID, "", "operations", "account", NOW + 600);
  st_sha256(POOR_KEY, ST_KEY_LEN, row->digest);
  fixture_add_user("alice", "A11CE000-0000-0000-0000-000000000000", "account,guilds,users,audit");
  return 0;
}

/* ---- asking ---- */

static st_reply reply;

/* headers: "Name: value" lines, each ended by \n. Everything is in a heap block of its exact size,
 * and gone when the reply is looked at.
 */
static bool fixture_held; /* the request was held, as the reply to it asked for */

static inline int fixture_ask_when(const char *method, const char *target, const char *headers,
                                   const char *body, int64_t now, int64_t now_us) {
  static char copy[ST_REPLY_BODY_MAX];
  subtoken_text parts[4] = {exact_string(method), exact_string(target), exact_string(headers),
                            exact_string(body)};
  st_header list[16], *headers_of_request;
  size_t count = 0;
  st_cutter cutter = {parts[2], parts[2].len == 0};
  subtoken_text line;
  while (st_cut(&cutter, '\n', &line) && line.len > 0) {
    st_cutter colon = {line, false};
    assert_true(count < COUNT(list));
    assert_true(st_cut(&colon, ':', &list[count].name) && colon.rest.len > 0);
    list[count].value = (subtoken_text){colon.rest.data + 1, colon.rest.len - 1};
    count++;
  }
  headers_of_request = malloc(count * sizeof *list);
  assert_true(count == 0 || headers_of_request != NULL);
  if (count > 0) memcpy(headers_of_request, list, count * sizeof *list);
  st_request request = {.until_us = UNTIL_US,
                        .method = parts[0],
                        .target = parts[1],
                        .headers = headers_of_request,
                        .header_count = count,
                        .body = parts[3],
                        .remote = st_text(fixture_remote),
                        .now = now,
                        .now_us = now_us,
                        .held = fixture_held};
  fixture.now = now;
  memset(&reply, 0x5A, sizeof reply);
  st_router_answer(&service, &request, &reply);
  free(headers_of_request);
  for (size_t i = 0; i < COUNT(parts); i++) release(parts[i]);
  memcpy(copy, reply.body, reply.body_len);
  assert_true(reply.body_len == 0 || st_json_valid(copy, reply.body_len));
  return reply.status;
}

static inline int fixture_ask_at(const char *method, const char *target, const char *headers,
                                 const char *body, int64_t now_us) {
  return fixture_ask_when(method, target, headers, body, NOW, now_us);
}

static inline int fixture_ask(const char *method, const char *target, const char *headers,
                              const char *body) {
  return fixture_ask_when(method, target, headers, body, NOW, NOW_US);
}

static inline int get(const char *target, const char *headers) {
  return fixture_ask("GET", target, headers, "");
}

static inline int post(const char *target, const char *headers, const char *body) {
  return fixture_ask_at("POST", target, headers, body, NOW_US);
}

static inline void check_body(const char *expected) {
  CHECK(reply.body_len == strlen(expected) && memcmp(reply.body, expected, reply.body_len) == 0,
        "the body is %.*s", (int)reply.body_len, reply.body);
}

static inline void check_body_starts(const char *expected) {
  CHECK(reply.body_len >= strlen(expected) && memcmp(reply.body, expected, strlen(expected)) == 0,
        "the body is %.*s", (int)reply.body_len, reply.body);
}

static inline void check_event(const char *expected) {
  const char *is = reply.event.name != NULL ? reply.event.name : "none";
  CHECK(strcmp(is, expected) == 0, "the event is %s, not %s", is, expected);
}

static inline void check_header(const char *line) {
  CHECK(memmem(reply.headers, reply.headers_len, line, strlen(line)) != NULL, "no %s", line);
}

/* Each 401 has one body. */
static inline void check_unauthorized(const char *event) {
  CHECK(reply.status == 401, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  check_body(UNAUTHORIZED);
  check_event(event);
  assert_true(strncmp(reply.challenge, "Bearer", 6) == 0);
}

/* A string member of the reply. */
static inline const char *member(const char *name) {
  static char copy[ST_REPLY_BODY_MAX], out[ST_REPLY_BODY_MAX];
  st_json json;
  subtoken_text each, value;
  memcpy(copy, reply.body, reply.body_len);
  st_json_start(&json, copy, reply.body_len);
  assert_true(st_json_object(&json));
  while (st_json_member(&json, &each)) {
    if (!st_text_is(each, name)) {
      assert_true(st_json_skip(&json));
      continue;
    }
    assert_true(st_json_string(&json, &value));
    snprintf(out, sizeof out, "%.*s", (int)value.len, value.data);
    return out;
  }
  fail_msg("no %s in %.*s", name, (int)reply.body_len, reply.body);
  return NULL;
}

/* What a token says, which verifies as at any edge. */
static inline const subtoken_claims *claims_of(const char *token) {
  static subtoken_claims claims;
  static char header[SUBTOKEN_HEADER_MAX];
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_result result = subtoken_verify(&verifier, st_text(token), &request, &claims);
  assert_true(result == SUBTOKEN_OK || result == SUBTOKEN_URL); /* no target is named here */
  assert_int_equal(subtoken_inspect(st_text(token), header, sizeof header, &claims), SUBTOKEN_OK);
  assert_true(claims.iat == NOW);
  return &claims;
}

static inline void check_list(const subtoken_claims *claims, const subtoken_slice *list,
                              size_t count, const char *expected) {
  char joined[8192];
  st_writer writer = st_writer_on(joined, sizeof joined);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_view(&writer, subtoken_claims_text(claims, list[i]));
  }
  assert_true(st_writer_end(&writer));
  assert_string_equal(joined, expected);
}

static inline void check_permissions(const subtoken_claims *claims, const char *expected) {
  check_list(claims, claims->permissions, claims->permission_count, expected);
}

static inline void check_text(const subtoken_claims *claims, subtoken_slice slice,
                              const char *expected) {
  subtoken_text text = subtoken_claims_text(claims, slice);
  CHECK(st_text_is(text, expected), "%.*s, not %s", (int)text.len, text.data, expected);
}

/* A subtoken of the key, a while old; urls NULL: unrestricted. */
static inline const char *subtoken_of_key(const char *permissions, const char *urls, int64_t exp) {
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_claims claims;
  size_t len;
  claims = grant_of(permissions, urls);
  claims.iat = NOW - 1000;
  claims.exp = exp;
  assert_true(st_claims_set_sub(&claims, st_text(fixture_row_of(KEY_ID)->key.sub)));
  assert_int_equal(subtoken_issue(&ring, &claims, token, sizeof token, &len), SUBTOKEN_OK);
  return token;
}

static inline const char *bearer(const char *token) {
  static char line[SUBTOKEN_ISSUED_MAX + 128];
  snprintf(line, sizeof line, "Authorization: Bearer %s\n", token);
  return line;
}

/* 64 permissions that no token of 4096 bytes can carry. */
static inline const char *too_many(void) {
  static char text[ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(text, sizeof text);
  for (int i = 0; i < SUBTOKEN_PERMISSIONS_MAX; i++) {
    char one[SUBTOKEN_PERMISSION_MAX + 1];
    snprintf(one, sizeof one, "%064d", i);
    if (i > 0) st_write_char(&writer, ',');
    st_write_literal(&writer, one);
  }
  assert_true(st_writer_end(&writer));
  return text;
}

#endif
