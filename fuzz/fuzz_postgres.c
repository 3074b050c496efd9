/* The store on PostgreSQL against a server that lies (lying_server.h): whatever comes over the
 * wire, nothing crashes, hangs or takes longer than it may; what fails says why and leaves its
 * outputs empty; and no change is acknowledged whose commit was not answered. libpq itself is not
 * what is looked at here.
 *
 * An input: how many bytes are received at once, then the server's answers to the connection, then
 * steps, each with the answers to what it asks.
 */
#include "domain/store.h"
#include "domain/store_search.h"
#include "lying_server.h"
#include "os/error.h"

#define LONGEST_US INT64_C(61000000) /* of one step: all that is listed may take a minute */
#define OPEN_US INT64_C(1900000000)  /* bringing up the tables of a large database takes a while */

static st_store *store;
static char error[ST_ERROR_MAX];
static const char id[] = "01234567-89AB-CDEF-0123-456789ABCDEF";
static const char sub[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq";
static const char other[] = "FEDCBA98-7654-3210-FEDC-BA9876543210";
static const uint8_t digest[32] = {9, 8, 7};

static st_audit_context context(void) {
  return (st_audit_context){
      .now_us = clock_us, .until_us = clock_us + 5000000, .who = "key 0", .from = "192.0.2.7"};
}

/* ---- what must hold ---- */

static void check_error(void) {
  size_t len = strnlen(error, sizeof error);
  HOLD(len > 0 && len < sizeof error);
  for (size_t i = 0; i < len; i++) HOLD((uint8_t)error[i] >= ' ' && error[i] != 0x7F);
}

static bool zeroed(const void *object, size_t size) {
  const uint8_t *bytes = object;
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

/* True: it answered. */
static bool check(st_store_status status) {
  HOLD(status >= ST_STORE_FAILED && status <= ST_STORE_IN_DOUBT);
  if (status == ST_STORE_FAILED || status == ST_STORE_BUSY || status == ST_STORE_IN_DOUBT) {
    check_error();
  }
  return status == ST_STORE_OK;
}

static void check_key(st_store_status status, const st_key *key, bool asked_by_sub) {
  static subtoken_claims grant;
  if (!check(status)) {
    HOLD(zeroed(key, sizeof *key));
    return;
  }
  HOLD(strlen(key->id) == ST_KEY_ID_LEN && strlen(key->sub) == ST_SUB_LEN);
  HOLD(strnlen(key->name, sizeof key->name) < sizeof key->name);
  HOLD(strnlen(key->owner, sizeof key->owner) < sizeof key->owner);
  HOLD(key->kind >= ST_KIND_KEY && key->kind <= ST_KIND_SERVICE);
  HOLD(key->expires_at >= 0 && key->created_at >= 0 && key->old_until >= 0);
  HOLD(!asked_by_sub || strcmp(key->sub, sub) == 0);
  if (st_key_grant(key, &grant)) HOLD(grant.permission_count <= SUBTOKEN_PERMISSIONS_MAX);
}

static void check_state(st_store_status status, const st_revocation_state *state) {
  if (!check(status)) return;
  HOLD(state->sequence >= 0 && state->time >= 0 && state->time <= SUBTOKEN_TIME_MAX);
}

/* A change that is acknowledged was committed, or found to have been. */
static void check_change(st_store_status status) {
  if (check(status)) HOLD(commit_answered || (made_before && confirmed));
}

/* ---- what requests ask ---- */

static void ask_key(bool by_sub) {
  st_key key;
  memset(&key, 0x5A, sizeof key);
  st_store_status status =
      by_sub ? st_store_by_sub(store, (subtoken_text){sub, ST_SUB_LEN}, &key, error)
             : st_store_by_digest(store, digest, &key, error);
  check_key(status, &key, by_sub);
}

static void ask_tokens(void) {
  const subtoken_text tids[] = {ST_TEXT("abcdefghijklmnop"), ST_TEXT("x")};
  bool revoked = false;
  (void)check(st_store_tokens_revoked(store, tids, 2, &revoked, error));
}

static void ask_little(void) {
  int64_t count = 0;
  bool deleted = false;
  if (!st_store_ready(store, error)) check_error();
  (void)check(st_store_issued_sequence(store, 7, error));
  (void)check(st_store_key_count(store, &count, error));
  (void)check(st_store_user_was_deleted(store, ST_TEXT("alice"), &deleted, error));
  (void)check(st_store_get_setting(store, "max_life", &count, error));
}

static void ask_revocations(unsigned what) {
  st_revocation_state state = {0};
  st_revocation_data data;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  if (what == 0) check_state(st_store_revocation_state(store, &state, error), &state);
  if (what == 1) {
    st_store_status status = st_store_revocation_data(store, &data, error);
    check_state(status, &data.state);
    HOLD((data.hashes != NULL) == (status == ST_STORE_OK));
    HOLD(status == ST_STORE_OK || (data.changes == NULL && data.count == 0));
    if (data.hashes != NULL) {
      uint32_t sorted = subtoken_revocations_sort(data.hashes, data.count);
      HOLD(sorted == data.count); /* each once */
    }
    free(data.hashes);
    free(data.changes);
  }
  if (what == 2) {
    st_store_status status =
        st_store_revocation_changes(store, 20, &state, &changes, &count, error);
    check_state(status, &state);
    HOLD(status == ST_STORE_OK || (changes == NULL && count == 0));
    free(changes);
  }
}

/* ---- what the management asks ---- */

static void list(unsigned what) {
  static st_key keys[5];
  static st_user users[5];
  static st_audit_line lines[5];
  st_user user;
  st_key key;
  size_t count = 99;
  st_store_status status = ST_STORE_OK;
  switch (what) {
    case 0: status = st_store_key_list(store, NULL, "", 5, keys, &count, error); break;
    case 1:
      status = st_store_key_list_expiring(store, 1, ST_KEY_ID_LAST, now(), 5, keys, &count, error);
      break;
    case 2: status = st_store_user_list(store, "", 5, users, &count, error); break;
    case 3: status = st_store_audit_list(store, 0, 5, lines, &count, error); break;
    case 4: check_key(st_store_key_find(store, id, &key, error), &key, false); return;
    default:
      if (!check(st_store_user_find(store, ST_TEXT("alice"), &user, error))) {
        HOLD(zeroed(&user, sizeof user));
      }
      return;
  }
  bool good = check(status);
  HOLD(good ? count <= 5 : count == 0);
  for (size_t i = 0; i < count && what < 2; i++) check_key(ST_STORE_OK, &keys[i], false);
}

static void describe(void) {
  static st_store_description d;
  memset(&d, 0, sizeof d);
  if (!check(st_store_describe(store, &d, error))) return;
  HOLD(d.standby_count <= ST_STORE_STANDBYS_MAX);
  HOLD(strnlen(d.version, sizeof d.version) < sizeof d.version);
}

/* ---- changes ---- */

static st_key new_key(st_key_kind kind) {
  st_key key = {.kind = kind, .created_at = now(), .expires_at = ST_NEVER};
  snprintf(key.id, sizeof key.id, "%s", other);
  snprintf(key.sub, sizeof key.sub, "%.42sz", sub);
  snprintf(key.name, sizeof key.name, "alice");
  snprintf(key.permissions, sizeof key.permissions, "account");
  return key;
}

static void make(unsigned what) {
  st_audit_context by = context();
  const st_grantor grantor = {id, sub};
  st_key key = new_key(what == 2 ? ST_KIND_USER : ST_KIND_KEY);
  st_user user = {.key = key};
  switch (what) {
    case 0:
    case 1:
      check_change(
          st_store_key_create(store, &by, what == 0 ? NULL : &grantor, &key, digest, error));
      break;
    case 2:
      snprintf(user.key.owner, sizeof user.key.owner, "alice");
      snprintf(user.password, sizeof user.password, "hash");
      check_change(st_store_user_create(store, &by, NULL, false, &user, digest, error));
      break;
    default:
      check_change(
          st_store_session_begin(store, &by, &grantor, 3, &key, digest, digest, sub, error));
  }
}

static void change(unsigned what) {
  st_audit_context by = context();
  st_derived made = {.end = what == 1};
  st_key key;
  int64_t sequence = -1;
  by.made = what < 3 ? &made : NULL;
  const st_grantor grantor = {id, sub};
  st_store_status status = ST_STORE_OK;
  switch (what) {
    case 0: status = st_store_key_set_disabled(store, &by, id, true, &sequence, error); break;
    case 1: status = st_store_key_delete(store, &by, id, &sequence, error); break;
    case 2: status = st_store_user_delete(store, &by, "alice", &sequence, error); break;
    case 3: status = st_store_key_replace_sub(store, &by, id, sub, &sequence, error); break;
    case 4:
      status = st_store_key_rotate(store, &by, &grantor, id, digest, now() + 9, &key, error);
      sequence = 0;
      break;
    default: status = st_store_key_rename(store, &by, id, "other", error), sequence = 0;
  }
  check_change(status);
  HOLD(sequence >= 0 && (status == ST_STORE_OK || sequence == 0));
}

static void revoke_token(void) {
  st_audit_context by = context();
  const st_key_token token = {.sub = {sub, ST_SUB_LEN},
                              .tid = ST_TEXT("abcdefghijklmnop"),
                              .via = {ST_TEXT("ABCDEFGHIJKLMNOP")},
                              .via_count = 1,
                              .exp = now() + 100};
  int64_t sequence;
  (void)check(st_store_token_revoke(store, &by, &token, ST_TOKENS_REVOKED_MAX, &sequence, error));
}

static void refresh(void) {
  st_audit_context by = context();
  char successor[ST_REFRESH_LEN + 1];
  st_key session;
  st_store_status status = st_store_session_refresh(store, &by, (subtoken_text){sub, ST_SUB_LEN},
                                                    now() + 100, 10, &session, successor, error);
  (void)check(status);
  HOLD(status == ST_STORE_OK ? strlen(successor) == ST_REFRESH_LEN : successor[0] == '\0');
}

/* A hash key that is another's: each hash that is kept is computed anew. */
static void restore(void) {
  static const uint64_t hashes[] = {1, 2, 3};
  const st_revocation_snapshot snapshot = {
      .sequence = 900, .hash_key = {1, 2, 3}, .hashes = hashes, .count = 3};
  st_audit_context by = context();
  st_restore_report report;
  check_change(st_store_restore_revocations(store, &by, &snapshot, &report, error));
}

static void keep_up(unsigned what) {
  const st_key_use use = {.id = "01234567-89AB-CDEF-0123-456789ABCDEF", .at = now()};
  int64_t sequence;
  bool left;
  switch (what) {
    case 0: (void)check(st_store_purge(store, clock_us, clock_us, NULL, error)); break;
    case 1: (void)check(st_store_continue(store, clock_us + 2000000, &left, error)); break;
    case 2: (void)check(st_store_key_mark_used(store, &use, 1, error)); break;
    default:
      (void)check(st_store_bump_sequence(store, clock_us, clock_us + 2000000, &sequence, error));
  }
}

/* ---- an input ---- */

static void step(unsigned what) {
  int64_t began = clock_us;
  waits = 0;
  commit_answered = made_before = confirmed = false;
  memset(error, 0, sizeof error);
  switch (what % 16) {
    case 0:
    case 1: ask_key(what % 16 == 1); break;
    case 2: ask_tokens(); break;
    case 3: ask_little(); break;
    case 4:
    case 5: ask_revocations(what / 16 % 3); break;
    case 6:
    case 7: list(what / 16 % 6); break;
    case 8: describe(); break;
    case 9: make(what / 16 % 4); break;
    case 10:
    case 11: change(what / 16 % 6); break;
    case 12: what % 32 == 12 ? revoke_token() : restore(); break;
    case 13: refresh(); break;
    case 14: keep_up(what / 16 % 4); break;
    default:
      clock_us += 250000 * (what / 16 + 1); /* the watcher asks */
      began = clock_us;
      take_turn();
  }
  HOLD(clock_us - began <= LONGEST_US);
}

static void run(const uint8_t *data, size_t size) {
  input = data;
  input_left = size;
  waits = 0;
  unsigned first = next();
  chunk = first == 0 ? LINE_ROOM : first;
  int64_t began = clock_us;
  const st_store_options options = {.staleness_us = 1000000, .cache_bytes = 65536};
  st_store_set_options(&options);
  st_store_status status =
      st_store_open("postgresql:///db?host=/lies&user=subtoken", true, &store, error);
  HOLD((store != NULL) == check(status));
  HOLD(clock_us - began <= OPEN_US);
  while (store != NULL && input_left > 0) step(next());
  st_store_close(store);
  store = NULL;
  lines_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  clock_us = INT64_C(1700000000000000);
  if (schema_version == 0) run(data, 0); /* the tables are brought up */
  HOLD(schema_version > 0);
  run(data, size);
  return 0;
}
