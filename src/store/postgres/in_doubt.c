/* Finds out whether a commit happened whose connection broke. Each change inserts an id of its own
 * into `made`, in its transaction. Here the same id is inserted again, alone, as that of a change
 * that was not made: when it is there already, the row says which of both came first, because a try
 * here may have been answered to nobody; when it can be inserted, the change did not happen and
 * never will, because it would break the unique key. README.md has the argument.
 */
#include <time.h>

#include "os/clock.h"
#include "store/postgres/postgres.h"

#define PAUSE_NS 50000000 /* between two tries */

/* A commit that comes after the change's own: when it is as durable as it should be, so is that. */
static st_store_status confirm(st_postgres_db *d, int64_t until_us) {
  st_postgres_confirmer confirmer = {0};
  return st_postgres_confirm(&d->connection, &confirmer, until_us) ? ST_STORE_OK
                                                                   : ST_STORE_IN_DOUBT;
}

/* The id is there. */
static st_store_status read_resolved(st_postgres_db *d, int64_t until_us) {
  PGresult *row = st_postgres_ask(&d->connection, ST_POSTGRES_MADE_OR_NOT,
                                  ST_VALUES(st_db_bytes(d->id, sizeof d->id)), until_us);
  int64_t sign = row != NULL && PQntuples(row) == 1 ? st_postgres_number(row, 0, 0) : 0;
  PQclear(row);
  st_store_status status = sign != 0 ? confirm(d, until_us) : ST_STORE_IN_DOUBT;
  return status == ST_STORE_OK && sign < 0 ? ST_STORE_FAILED : status;
}

/* ST_STORE_IN_DOUBT: not known yet. */
static st_store_status try_to_resolve(st_postgres_db *d, int64_t until_us) {
  st_postgres_connection *c = &d->connection;
  if (!st_postgres_connect(c, until_us)) return ST_STORE_IN_DOUBT;
  c->warned = false;
  bool inserted = st_postgres_do(c, ST_POSTGRES_NOT_MADE,
                                 ST_VALUES(st_db_bytes(d->id, sizeof d->id)), until_us);
  if (inserted) return c->warned ? ST_STORE_IN_DOUBT : ST_STORE_FAILED;
  return st_postgres_is_state(c, "23505") ? read_resolved(d, until_us) : ST_STORE_IN_DOUBT;
}

static st_store_status resolve(st_postgres_db *d, int64_t until_us) {
  st_store_status status = ST_STORE_IN_DOUBT;
  while (status == ST_STORE_IN_DOUBT && st_clock_monotonic_us() < until_us) {
    status = try_to_resolve(d, until_us);
    if (status == ST_STORE_IN_DOUBT) {
      (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
  }
  return status;
}

/* The transaction has ended, or never can be ended from here. */
st_store_status st_postgres_resolve(st_postgres_db *d, char *error) {
  st_postgres_connection *c = &d->connection;
  int64_t until_us = d->commit_us + ST_POSTGRES_IN_DOUBT_MS * INT64_C(1000);
  if (c->timed_out) st_postgres_leave(c); /* it may be cut off, and another one the primary */
  st_postgres_disconnect(c);
  c->committing = true; /* nothing ends the wait early */
  st_store_status status = resolve(d, until_us);
  c->committing = false;
  d->open = false;
  if (status != ST_STORE_FAILED) st_postgres_forget(c->store, NULL, 0);
  if (status == ST_STORE_FAILED) {
    d->again = d->failed = true;
    (void)st_db_fail(error, "cannot write %s: the connection broke before the commit",
                     st_db_name(d->base.store));
  } else if (status == ST_STORE_IN_DOUBT) {
    (void)st_db_fail(error,
                     "%s: the connection broke during the commit: the change may have been made",
                     st_db_name(d->base.store));
  }
  return status;
}
