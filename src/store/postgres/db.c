/* Runs the rules' statements on PostgreSQL, and begins and commits their changes. A change sends
 * its BEGIN with its first statement, what cannot fail with the next one that is waited for, and
 * the rest with its COMMIT. The text of the statements is in statements.c; pool.c lends the
 * connections; in_doubt.c finds out whether a commit happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/impossible.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/postgres/postgres.h"

#define EXECUTE_US INT64_C(1000000) /* that a statement has at least, when the wait is over */
#define COMMIT_US INT64_C(3000000)  /* then it is asked on another connection what became of it */
#define ROLLBACK_US INT64_C(1000000)

static st_postgres_db *postgres_db(st_db *db) {
  return (st_postgres_db *)db;
}

/* ---- failures ---- */

/* What a change is made again for: others wrote at the same time (40001, 40P01); the connection was
 * lost, or the server stops, or may not be written any more.
 */
static bool is_passing(const st_postgres_connection *c) {
  static const char *const states[] = {"40001", "40P01", "25P03", "25006",
                                       "57P01", "57P02", "57P03"};
  if (!st_postgres_is_connected(c)) return !c->timed_out;
  for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
    if (st_postgres_is_state(c, states[i])) return true;
  }
  return false;
}

/* One of another server may be found instead. */
static bool is_demoted(const st_postgres_connection *c) {
  return st_postgres_is_state(c, "25006") || strncmp(c->sqlstate, "57P", 3) == 0;
}

static st_store_status db_failed(st_postgres_db *d) {
  st_postgres_connection *c = &d->connection;
  if (st_postgres_is_state(c, "23505")) return ST_STORE_EXISTS;
  d->failed = true;
  d->again = is_passing(c);
  if (is_demoted(c)) st_postgres_disconnect(c);
  return ST_STORE_FAILED;
}

static bool db_again(st_db *db) {
  return postgres_db(db)->again;
}

/* What PostgreSQL complained of; if of nothing, a row made no sense. */
static st_store_status db_explain(st_db *db, const char *verb, char *error) {
  st_postgres_db *d = postgres_db(db);
  if (!d->failed) {
    return st_db_fail(error, "%s is damaged (a row is not as it was written): restore a backup",
                      st_db_name(db->store));
  }
  st_store_status status = st_postgres_fail(&d->connection, verb, error);
  bool others = st_postgres_is_state(&d->connection, "40001") ||
                st_postgres_is_state(&d->connection, "40P01");
  return others ? ST_STORE_BUSY : status;
}

/* ---- values ---- */

/* The values of the rules and, behind them, what the statement wants besides. */
static bool add_values(st_postgres_db *d, const st_postgres_statement *s, const st_value *given,
                       st_value out[ST_POSTGRES_PARAMETERS + 1]) {
  size_t count = 0;
  for (; given[count].type != ST_VALUE_END; count++) {
    if (st_impossible(count == ST_POSTGRES_PARAMETERS - 6, "the rules give no more")) return false;
    out[count] = given[count];
  }
  if ((s->flags & ST_POSTGRES_WITH_HASH) != 0) {
    if (!st_postgres_hash_key(d)) return false;
    out[count++] = st_db_number(st_postgres_hash(d, &given[s->sub - 1]));
  }
  if ((s->flags & ST_POSTGRES_WITH_SET) != 0) out[count++] = st_postgres_list_array(&d->set);
  if ((s->flags & ST_POSTGRES_WITH_BASE) != 0) {
    out[count++] = st_postgres_list_array(&d->base_rows);
  }
  if ((s->flags & ST_POSTGRES_WITH_DERIVED) != 0) {
    out[count++] = st_postgres_list_array(&d->derived);
  }
  if ((s->flags & ST_POSTGRES_WITH_SNAPSHOT) != 0) {
    out[count++] = st_postgres_list_array(&d->snapshot);
  }
  if ((s->flags & ST_POSTGRES_WITH_CHANGE) != 0) out[count++] = st_db_bytes(d->id, sizeof d->id);
  out[count] = (st_value){0};
  return true;
}

/* ---- statements ---- */

/* With what is sent later, and half of the room is left for what is waited for. */
static bool send_later(st_postgres_db *d, int which, const st_value *values) {
  return st_postgres_send(&d->connection, which, values, NULL) &&
         (d->connection.sent_count < ST_POSTGRES_BATCH ||
          st_postgres_sync(&d->connection, d->until_us));
}

/* From the first answer on a change has the lock, and waits for nobody. */
static PGresult *ask_in_change(st_postgres_db *d, int which, const st_value *values) {
  PGresult *result = st_postgres_ask(&d->connection, which, values, d->until_us);
  if (d->changing) d->connection.grace_us = ST_WAIT_FOR_EVER;
  return result;
}

static st_store_status run_and_take(st_postgres_db *d, int which, const st_value *values,
                                    int64_t *changed) {
  PGresult *result = ask_in_change(d, which, values);
  if (result == NULL) return db_failed(d);
  bool ok = st_postgres_sets_take(d, st_postgres_statement_of(which)->flags, result);
  *changed = strtoll(PQcmdTuples(result), NULL, 10);
  PQclear(result);
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status db_run(st_db *db, st_sql which, const st_value *values, int64_t *changed) {
  st_postgres_db *d = postgres_db(db);
  const st_postgres_statement *s = st_postgres_statement_of((int)which);
  st_value all[ST_POSTGRES_PARAMETERS + 1];
  *changed = 0;
  d->failed = false;
  if ((s->flags & ST_POSTGRES_HERE) != 0) {
    return st_postgres_sets_here(d, (int)which, values) ? ST_STORE_OK : db_failed(d);
  }
  if (!add_values(d, s, values, all)) return db_failed(d);
  if ((s->flags & ST_POSTGRES_LATER) == 0) return run_and_take(d, (int)which, all, changed);
  *changed = 1;
  return send_later(d, (int)which, all) ? ST_STORE_OK : db_failed(d);
}

/* ---- rows ---- */

typedef struct rows {
  PGresult *result;
  int at;
} rows;

static PGresult *ask(st_postgres_db *d, int which, const st_value *values) {
  st_value all[ST_POSTGRES_PARAMETERS + 1];
  return add_values(d, st_postgres_statement_of(which), values, all) ? ask_in_change(d, which, all)
                                                                     : NULL;
}

/* A question outside of a change is asked once more on a new connection: the old one may have been
 * closed while nobody looked.
 */
static PGresult *ask_again(st_postgres_db *d, int which, const st_value *values) {
  if (d->changing || d->connection.timed_out || st_postgres_is_connected(&d->connection) ||
      !st_postgres_connect(&d->connection, d->until_us)) {
    return NULL;
  }
  return ask(d, which, values);
}

/* No text of the database holds a NUL, or what is not UTF-8. */
static bool is_askable(const st_value *values) {
  for (size_t i = 0; values[i].type != ST_VALUE_END; i++) {
    const st_value *v = &values[i];
    if (v->type != ST_VALUE_TEXT || v->len == 0) continue;
    if (memchr(v->data, 0, v->len) != NULL || !st_utf8_valid((subtoken_text){v->data, v->len})) {
      return false;
    }
  }
  return true;
}

static st_store_status db_query(st_db *db, st_sql which, const st_value *values, void **out) {
  st_postgres_db *d = postgres_db(db);
  d->failed = false;
  *out = NULL;
  if (!is_askable(values)) return ST_STORE_NOT_FOUND;
  rows *r = calloc(1, sizeof *r);
  if (r == NULL) {
    (void)st_postgres_no_memory(d);
    return ST_STORE_FAILED;
  }
  r->result = ask(d, (int)which, values);
  if (r->result == NULL) r->result = ask_again(d, (int)which, values);
  *out = r;
  if (r->result == NULL) return db_failed(d);
  return PQntuples(r->result) > 0 ? ST_STORE_OK : ST_STORE_NOT_FOUND;
}

static st_store_status rows_next(void *of) {
  rows *r = of;
  return ++r->at < PQntuples(r->result) ? ST_STORE_OK : ST_STORE_NOT_FOUND;
}

static void rows_finish(void *of) {
  rows *r = of;
  PQclear(r->result);
  free(r);
}

static bool is_at_row(const rows *r) {
  return r != NULL && r->result != NULL && r->at < PQntuples(r->result);
}

static int64_t rows_number(void *of, int column) {
  const rows *r = of;
  return is_at_row(r) ? st_postgres_number(r->result, r->at, column) : 0;
}

static bool rows_is_null(void *of, int column) {
  const rows *r = of;
  return !is_at_row(r) || PQgetisnull(r->result, r->at, column) == 1;
}

static bool rows_text(void *of, int column, char *out, size_t size) {
  const rows *r = of;
  return is_at_row(r) && st_postgres_text(r->result, r->at, column, out, size);
}

static bool rows_bytes(void *of, int column, void *out, size_t len) {
  const rows *r = of;
  return is_at_row(r) && st_postgres_bytes(r->result, r->at, column, out, len);
}

static bool rows_key(void *of, st_key *key) {
  const rows *r = of;
  return is_at_row(r) && st_postgres_take_key(r->result, r->at, key);
}

/* ---- a change ---- */

static void start_change(st_postgres_db *d, int64_t until_us) {
  int64_t least = st_clock_monotonic_us() + EXECUTE_US;
  d->until_us = until_us > least ? until_us : least;
  d->changing = true;
  d->failed = d->again = d->notifies = false;
  d->hash_key_known = false;
  st_postgres_sets_clear(d);
  st_random_fill(d->id, sizeof d->id);
}

/* The lock is taken before the first statement that looks at anything: what the transaction sees is
 * of a moment at which nobody else had it.
 */
static st_store_status db_begin(st_db *db, int64_t until_us) {
  st_postgres_db *d = postgres_db(db);
  st_postgres_connection *c = &d->connection;
  start_change(d, until_us);
  c->grace_us = EXECUTE_US;
  if (!st_postgres_connect(c, d->until_us)) {
    (void)db_failed(d);
    d->again = true; /* nothing was sent, and another host may answer soon */
    return ST_STORE_FAILED;
  }
  d->open = true;
  bool ok = st_postgres_send(c, ST_POSTGRES_BEGIN, ST_NO_VALUES, NULL) &&
            (!db->ordered || st_postgres_send(c, ST_POSTGRES_LOCK, ST_NO_VALUES, NULL)) &&
            st_postgres_send(c, ST_POSTGRES_HASH_KEY, ST_NO_VALUES, &d->hash_key_row);
  return ok ? ST_STORE_OK : db_failed(d);
}

static void committed(st_postgres_db *d) {
  st_postgres_sets_forget(d);
  if (d->base.sequence != 0) {
    st_postgres_watch_committed(d->connection.store, d->base.sequence);
  }
}

static bool send_commit(st_postgres_db *d, PGresult **result) {
  st_postgres_connection *c = &d->connection;
  bool wakes = d->base.sequence != 0 || d->notifies;
  return st_postgres_send(c, ST_POSTGRES_MADE, ST_VALUES(st_db_bytes(d->id, sizeof d->id)), NULL) &&
         (!wakes || st_postgres_send(c, ST_POSTGRES_NOTIFY, ST_NO_VALUES, NULL)) &&
         st_postgres_send(c, ST_POSTGRES_COMMIT, ST_NO_VALUES, result);
}

/* A transaction that has failed answers a COMMIT with ROLLBACK. */
static st_store_status commit_now(st_postgres_db *d, char *error) {
  st_postgres_connection *c = &d->connection;
  PGresult *result = NULL;
  c->committing = true;
  c->warned = false;
  bool sent = send_commit(d, &result);
  d->commit_us = st_clock_monotonic_us();
  bool answered = sent && st_postgres_sync(c, d->commit_us + COMMIT_US);
  bool done = answered && strcmp(PQcmdStatus(result), "COMMIT") == 0;
  PQclear(result);
  c->committing = false;
  if (done && !c->warned) return ST_STORE_OK;
  /* A failure without a SQLSTATE is not the server's: it may have committed, and libpq had no
   * memory for its answer.
   */
  bool known = answered || (st_postgres_is_connected(c) && c->sqlstate[0] != '\0');
  if (sent && (c->warned || !known)) return st_postgres_resolve(d, error);
  st_store_status status = db_failed(d);
  return status == ST_STORE_FAILED ? db_explain(&d->base, "write", error) : status;
}

static st_store_status db_commit(st_db *db, char *error) {
  st_postgres_db *d = postgres_db(db);
  d->failed = false;
  st_store_status status = commit_now(d, error);
  if (status == ST_STORE_OK) {
    d->open = false;
    committed(d);
  }
  return status;
}

/* And gives the connection back. One that does not answer is closed. */
static void db_rollback(st_db *db) {
  st_postgres_db *d = postgres_db(db);
  st_postgres_connection *c = &d->connection;
  if (d->open && st_postgres_is_connected(c)) {
    int64_t until_us = st_clock_monotonic_us() + ROLLBACK_US;
    c->committing = true; /* also while the process ends */
    bool ok = st_postgres_send(c, ST_POSTGRES_ROLLBACK, ST_NO_VALUES, NULL);
    /* What was queued and not waited for may fail, and the ROLLBACK is passed over with it. */
    if (ok && !st_postgres_sync(c, until_us) && st_postgres_is_connected(c)) {
      ok = st_postgres_do(c, ST_POSTGRES_ROLLBACK, ST_NO_VALUES, until_us);
    }
    c->committing = false;
    if (!ok) st_postgres_disconnect(c);
  }
  PQclear(d->hash_key_row);
  d->hash_key_row = NULL;
  d->open = d->changing = false;
  st_postgres_give_back(d);
}

const st_db_ops st_postgres_db_ops = {
    .begin = db_begin,
    .commit = db_commit,
    .rollback = db_rollback,
    .run = db_run,
    .query = db_query,
    .next = rows_next,
    .finish = rows_finish,
    .number = rows_number,
    .is_null = rows_is_null,
    .text = rows_text,
    .bytes = rows_bytes,
    .key = rows_key,
    .again = db_again,
    .explain = db_explain,
};
