/* The connections of questions: the one of the management, and those that read one moment for as
 * long as it takes. pool.c has those of changes.
 */
#include <stdlib.h>

#include "base/impossible.h"
#include "os/clock.h"
#include "store/postgres/postgres.h"

void st_postgres_start_db(st_postgres *store, st_postgres_db *db) {
  db->base = (st_db){.ops = &st_postgres_db_ops, .store = &store->base};
  db->connection.store = store;
  st_postgres_sets_clear(db);
}

void st_postgres_end_db(st_postgres_db *db) {
  st_postgres_disconnect(&db->connection);
  st_postgres_sets_free(db);
}

/* ---- the management ---- */

st_db *st_postgres_acquire_query_db(st_store *base, char *error) {
  st_postgres *store = (st_postgres *)base;
  if (st_impossible(!st_semaphore_enter(&store->querying, ST_WAIT_FOR_EVER),
                    "it is never closed")) {
    (void)st_db_fail(error, "cannot read %s: no turn", st_db_name(base));
    return NULL;
  }
  st_postgres_db *db = &store->queries;
  db->until_us = st_clock_monotonic_us() + ST_POSTGRES_QUESTION_MS * INT64_C(1000);
  if (st_postgres_connect(&db->connection, db->until_us)) return &db->base;
  (void)st_postgres_fail(&db->connection, "read", error);
  st_semaphore_leave(&store->querying);
  return NULL;
}

void st_postgres_release_query_db(st_db *db) {
  st_semaphore_leave(&((st_postgres *)db->store)->querying);
}

/* ---- one moment ---- */

#define MOMENT_US INT64_C(86400000000) /* that all of a large store may take to be read */

/* On a connection of its own, which is closed with it. */
st_db *st_postgres_begin_read(st_store *base, char *error) {
  st_postgres_db *db = calloc(1, sizeof *db);
  if (db == NULL) {
    (void)st_db_fail(error, "cannot read %s: no memory", st_db_name(base));
    return NULL;
  }
  st_postgres_start_db((st_postgres *)base, db);
  db->changing = true; /* what is read is of this connection, or of none */
  db->until_us = st_clock_monotonic_us() + MOMENT_US;
  int64_t connect_until_us = st_clock_monotonic_us() + ST_POSTGRES_QUESTION_MS * INT64_C(1000);
  if (st_postgres_connect(&db->connection, connect_until_us) &&
      st_postgres_do(&db->connection, ST_POSTGRES_STATE_BEGIN, ST_NO_VALUES, connect_until_us)) {
    return &db->base;
  }
  (void)st_postgres_fail(&db->connection, "read", error);
  st_postgres_end_read(&db->base);
  return NULL;
}

void st_postgres_end_read(st_db *db) {
  st_postgres_db *d = (st_postgres_db *)db;
  st_postgres_end_db(d);
  free(d);
}
