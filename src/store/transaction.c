/* What every change of the store is made of: its transaction, its sequence, the row of something
 * new, and whether what it is made with is in force.
 */
#include "store/db.h"

#include <string.h>

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/store.h"
#include "os/semaphore.h"

change st_sqlite_change_at(const st_audit_context *act, const char *id, int64_t *sequence) {
  if (sequence != NULL) {
    *sequence = 0;
  }
  return (change){.act = act,
                  .id = id,
                  .until_us = act->until_us,
                  .now = act->now_us / 1000000,
                  .now_us = act->now_us,
                  .sequence = sequence};
}

/* A commit that failed, and some failures before it, end the transaction by
 * themselves; the others leave it open, and must not.
 */
static void roll_back(st_store *store) {
  if (sqlite3_get_autocommit(store->writes) == 0) {
    (void)st_sqlite_run(store->write[ROLLBACK]);
  }
}

/* Of SQLite's, or that a row made no sense to us. */
static st_stored tell_failure(st_store *store, char *error) {
  int code = sqlite3_errcode(store->writes);
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
    return st_sqlite_fail_damaged(error, store->path, "a row is not as it was written");
  }
  (void)st_sqlite_fail_db(error, store->path, store->writes, "write");
  return (code & 0xff) == SQLITE_BUSY ? ST_STORE_BUSY : ST_STORE_FAILED;
}

/* In its transaction, up to the commit. */
static st_stored make_part(st_store *store, change_fn *make, const change *what,
                           int64_t *sequence) {
  st_stored stored = ST_STORE_FAILED;
  store->taken = 0;
  if (st_sqlite_run(store->write[BEGIN]) == SQLITE_OK) {
    stored = make(store, what);
  }
  if (stored == ST_STORED && what->sequence != NULL) {
    stored = st_sqlite_standing(store, sequence);
  }
  return stored;
}

/* And committed. Whoever replaces the files between the first look and the commit has it answered
 * as failed, for it is not in what lies there now: what is acknowledged was at the path after its
 * commit. Whoever replaces them later puts back a backup, which is older than it may be.
 */
static st_stored make_whole(st_store *store, change_fn *make, const change *what, int64_t *sequence,
                            char *error) {
  st_stored stored = make_part(store, make, what, sequence);
  if (stored == ST_STORE_FAILED) {
    return tell_failure(store, error);
  }
  if (stored != ST_STORED) {
    return stored;
  }
  if (!st_sqlite_in_place(store, store->writes, error)) {
    return ST_STORE_FAILED;
  }
  if (st_sqlite_do(store, COMMIT, NO_VALUES) != ST_STORED) {
    return tell_failure(store, error);
  }
  return st_sqlite_in_place(store, store->writes, error) ? ST_STORED : ST_STORE_FAILED;
}

static const char *why_not(st_stored stored) {
  return stored == ST_STORE_EXISTS    ? "it is there already"
         : stored == ST_STORE_REFUSED ? "the credential used has ended or lost a permission"
         : stored == ST_STORE_OWNER_REGISTERED ? "the owner is a user who registered"
         : stored == ST_STORE_OWNER_NO_USER    ? "the owner is no user"
                                               : "it is not there";
}

static bool take_turn(st_store *store, const change *what, int64_t until_us) {
  if (what->unauthenticated && !st_semaphore_enter(&store->unauthenticated, ST_WAIT_NOT)) {
    return false;
  }
  bool taken = st_semaphore_enter(&store->writing, until_us);
  if (!taken && what->unauthenticated) {
    st_semaphore_leave(&store->unauthenticated);
  }
  return taken;
}

static void end_turn(st_store *store, const change *what) {
  st_semaphore_leave(&store->writing);
  if (what->unauthenticated) {
    st_semaphore_leave(&store->unauthenticated);
  }
}

/* One deadline for both waits, the one behind other threads and the one for other processes. */
st_stored st_sqlite_apply(st_store *store, change_fn *make, const change *what, char *error) {
  int64_t sequence = 0, until_us = what->until_us;
  if (until_us == 0) {
    until_us = st_semaphore_now_us() + ST_SQLITE_BUSY_MS * INT64_C(1000);
  }
  if (!take_turn(store, what, until_us)) {
    (void)st_sqlite_fail(error, "cannot write %s: too many changes wait for it",
                         st_sqlite_shown(store->path));
    return ST_STORE_BUSY;
  }
  store->until_us = until_us;
  st_stored stored = make_whole(store, make, what, &sequence, error);
  if (stored == ST_STORED && what->sequence != NULL) {
    *what->sequence = sequence;
  } else if (stored == ST_STORE_NONE || stored == ST_STORE_EXISTS || stored == ST_STORE_REFUSED) {
    (void)st_sqlite_fail(error, "%s: %s", st_sqlite_shown(store->path), why_not(stored));
  }
  roll_back(store);
  end_turn(store, what);
  return stored;
}

/* ---- Waiting ---- */

#define STEP_MS 10 /* between two tries */
#define READ_WAIT_US 250000
#define READ_WAIT_ANEW_US 1000000 /* since the last wait */

void st_store_share(st_store *store, int64_t threads) {
  int64_t quarter = threads / 4;
  size_t most = quarter < 1                       ? 1
                : quarter > ST_SQLITE_WRITERS_MAX ? ST_SQLITE_WRITERS_MAX
                                                  : (size_t)quarter;
  st_semaphore_waiting_limit(&store->writing, most);
  st_semaphore_limit(&store->unauthenticated, most / 8 > 0 ? most / 8 : 1);
}

void st_store_close_waiting(st_store *store, int64_t at_us) {
  atomic_store(&store->close_us, at_us);
  st_semaphore_close(&store->writing, at_us);
}

void st_store_interrupt(st_store *store) {
  sqlite3_interrupt(store->writes);
  sqlite3_interrupt(store->queries);
}

/* Called by SQLite while another process has what is wanted: 0 gives up. */
static int wait_to_write(void *context, int tries) {
  st_store *store = context;
  int64_t close_us = atomic_load(&store->close_us), now = st_semaphore_now_us();
  int64_t until = close_us != 0 && close_us < store->until_us ? close_us : store->until_us;
  if (now >= until) {
    return 0;
  }
  int64_t left_ms = (until - now) / 1000 + 1, step = tries < STEP_MS ? 1 : STEP_MS;
  (void)sqlite3_sleep((int)(left_ms < step ? left_ms : step));
  return 1;
}

static int wait_to_read(void *context, int tries) {
  st_sqlite_busy_wait *wait = context;
  int64_t now = st_semaphore_now_us();
  if (tries == 0 && now - wait->last_us > READ_WAIT_ANEW_US) {
    wait->until_us = now + READ_WAIT_US;
  }
  wait->last_us = now;
  if (now >= wait->until_us) {
    return 0;
  }
  (void)sqlite3_sleep(STEP_MS);
  return 1;
}

bool st_sqlite_set_write_wait(st_store *store) {
  return sqlite3_busy_handler(store->writes, wait_to_write, store) == SQLITE_OK;
}

bool st_sqlite_set_read_wait(sqlite3 *db, st_sqlite_busy_wait *wait) {
  return sqlite3_busy_handler(db, wait_to_read, wait) == SQLITE_OK;
}

/* ---- The sequence ---- */

st_stored st_sqlite_standing(st_store *store, int64_t *sequence) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, SEQUENCE, NO_VALUES, &row);
  *sequence = stored == ST_STORED ? sqlite3_column_int64(row, 0) : 0;
  st_sqlite_finish(row);
  return *sequence > 0 ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_sqlite_take_sequence(st_store *store, const change *what, int64_t *sequence) {
  if (store->taken == 0) {
    if (st_sqlite_do_one(store, NEXT_SEQUENCE, VALUES(st_sqlite_number(what->now_us))) !=
            ST_STORED ||
        st_sqlite_standing(store, &store->taken) != ST_STORED ||
        st_sqlite_do(store, GIVE_SEQUENCE, VALUES(st_sqlite_number(store->taken))) != ST_STORED) {
      return ST_STORE_FAILED;
    }
  }
  *sequence = store->taken;
  return ST_STORED;
}

/* ---- Something new ---- */

st_stored st_sqlite_sub_is_new(st_store *store, const char *sub) {
  sqlite3_stmt *row = NULL;
  st_stored found = st_sqlite_ask(store, IS_REVOKED, VALUES(st_sqlite_text(sub)), &row);
  st_sqlite_finish(row);
  return found == ST_STORE_NONE ? ST_STORED : found == ST_STORED ? ST_STORE_EXISTS : found;
}

static bool is_time(int64_t time) {
  return time >= 0 && time <= SUBTOKEN_TIME_MAX;
}

bool st_sqlite_has_len(const char *text, size_t len) {
  return strnlen(text, len + 1) == len;
}

bool st_sqlite_is_storable(const st_key *key) {
  return st_sqlite_has_len(key->id, ST_KEY_ID_LEN) && st_sqlite_has_len(key->sub, ST_SUB_LEN) &&
         strnlen(key->name, sizeof key->name) < sizeof key->name &&
         strnlen(key->owner, sizeof key->owner) < sizeof key->owner &&
         strnlen(key->permissions, sizeof key->permissions) < sizeof key->permissions &&
         is_time(key->created_at) && is_time(key->expires_at);
}

static parameter expiry_of(const st_key *key) {
  return key->expires_at == ST_NEVER ? st_sqlite_text(NULL) : st_sqlite_number(key->expires_at);
}

st_stored st_sqlite_insert(st_store *store, const st_key *key, const uint8_t digest[32],
                           const char *made_by) {
  st_stored stored = st_sqlite_sub_is_new(store, key->sub);
  if (stored != ST_STORED) {
    return stored;
  }
  return st_sqlite_do_one(
      store, INSERT,
      VALUES(
          st_sqlite_text(key->id), st_sqlite_text(key->sub), st_sqlite_text(key->name),
          st_sqlite_text(key->owner), st_sqlite_text(key->permissions),
          st_sqlite_number(key->created_at), expiry_of(key), st_sqlite_number(key->disabled),
          st_sqlite_number(key->kind), st_sqlite_text(key->parent[0] != '\0' ? key->parent : NULL),
          st_sqlite_number(key->suspended), st_sqlite_bytes(digest, 32), st_sqlite_text(made_by)));
}

/* ---- What it is made with ---- */

bool st_sqlite_permits(const char *permissions, subtoken_text permission) {
  st_cutter cutter = {st_text(permissions), false};
  subtoken_text held;
  while (st_cut(&cutter, ',', &held)) {
    if (st_text_equal(held, permission)) {
      return true;
    }
  }
  return false;
}

static bool in_force(const st_key *row, const change *what) {
  return strcmp(row->sub, what->maker->sub) == 0 && !row->disabled && !row->suspended &&
         row->expires_at > what->now;
}

st_stored st_sqlite_maker(st_store *store, const change *what, st_key *row) {
  sqlite3_stmt *found = NULL;
  st_stored stored = st_sqlite_ask(store, ROW, VALUES(st_sqlite_text(what->maker->id)), &found);
  if (stored == ST_STORED && !st_sqlite_take_key(found, row)) {
    stored = ST_STORE_FAILED;
  } else if (stored == ST_STORE_NONE || (stored == ST_STORED && !in_force(row, what))) {
    stored = ST_STORE_REFUSED;
  }
  st_sqlite_finish(found);
  return stored;
}

st_stored st_sqlite_may_make(st_store *store, const change *what, const char *permissions) {
  st_key row;
  if (what->maker == NULL) {
    return ST_STORED;
  }
  st_stored stored = st_sqlite_maker(store, what, &row);
  st_cutter cutter = {st_text(permissions), permissions[0] == '\0'};
  subtoken_text wanted;
  while (stored == ST_STORED && st_cut(&cutter, ',', &wanted)) {
    stored = st_sqlite_permits(row.permissions, wanted) ? ST_STORED : ST_STORE_REFUSED;
  }
  return stored;
}
