/* Describes a store on PostgreSQL for an operator: `subtoken store status`. What a role may not see
 * of other sessions and of standbys PostgreSQL leaves out: membership in pg_monitor shows all.
 */
#include <stdio.h>

#include "os/clock.h"
#include "store/postgres/postgres.h"

/* What fits of a text; a NULL is nothing, and so is what the result does not have. */
static void describe_text(const PGresult *rows, int row, int column, char *out, size_t size) {
  bool there = PQgetisnull(rows, row, column) == 0;
  (void)snprintf(out, size, "%s", there ? PQgetvalue(rows, row, column) : "");
}

static bool describe_server(st_postgres_connection *c, st_store_description *d, int64_t until_us) {
  PGresult *row = st_postgres_ask(c, ST_POSTGRES_DESCRIBE, ST_NO_VALUES, until_us);
  if (row == NULL) return false;
  describe_text(row, 0, 0, d->version, sizeof d->version);
  d->schema = st_postgres_number(row, 0, 1);
  d->sequence = st_postgres_number(row, 0, 2);
  d->on_disk = st_postgres_number(row, 0, 3) != 0;
  d->elsewhere = st_postgres_number(row, 0, 4) != 0;
  PQclear(row);
  (void)snprintf(d->server, sizeof d->server, "%s:%s", PQhost(c->pg), PQport(c->pg));
  return true;
}

static bool describe_peers(st_postgres_connection *c, st_store_description *d, int64_t until_us) {
  PGresult *rows = st_postgres_ask(c, ST_POSTGRES_PEERS, ST_NO_VALUES, until_us);
  if (rows == NULL) return false;
  d->peers_known = true;
  d->peer_count = (size_t)PQntuples(rows);
  for (int i = 0; i < PQntuples(rows) && i < ST_STORE_PEERS_MAX; i++) {
    describe_text(rows, i, 0, d->peers[i].name, sizeof d->peers[i].name);
    describe_text(rows, i, 1, d->peers[i].address, sizeof d->peers[i].address);
  }
  PQclear(rows);
  return true;
}

static bool describe_standbys(st_postgres_connection *c, st_store_description *d,
                              int64_t until_us) {
  PGresult *rows = st_postgres_ask(c, ST_POSTGRES_ALL_STANDBYS, ST_NO_VALUES, until_us);
  if (rows == NULL) return false;
  d->standby_count = (size_t)PQntuples(rows);
  for (int i = 0; i < PQntuples(rows) && i < ST_STORE_STANDBYS_MAX; i++) {
    st_store_standby *s = &d->standbys[i];
    describe_text(rows, i, 0, s->name, sizeof s->name);
    describe_text(rows, i, 1, s->address, sizeof s->address);
    describe_text(rows, i, 2, s->state, sizeof s->state);
    describe_text(rows, i, 3, s->sync, sizeof s->sync);
  }
  PQclear(rows);
  if (d->standby_count > ST_STORE_STANDBYS_MAX) d->standby_count = ST_STORE_STANDBYS_MAX;
  rows = st_postgres_ask(c, ST_POSTGRES_STANDBYS, ST_NO_VALUES, until_us);
  d->not_synchronous = rows != NULL && PQgetlength(rows, 0, 0) > 0;
  PQclear(rows);
  return rows != NULL;
}

st_store_status st_postgres_describe(st_store *base, st_store_description *description,
                                     char *error) {
  st_postgres *store = (st_postgres *)base;
  int64_t until_us = st_clock_monotonic_us() + ST_POSTGRES_QUESTION_MS * INT64_C(1000);
  if (!st_postgres_watch_age(store, &description->age_us, error)) return ST_STORE_FAILED;
  st_db *db = base->driver->acquire_query_db(base, error);
  if (db == NULL) return ST_STORE_FAILED;
  st_postgres_connection *c = &((st_postgres_db *)db)->connection;
  bool ok = st_postgres_connect(c, until_us) && describe_server(c, description, until_us) &&
            describe_peers(c, description, until_us) && describe_standbys(c, description, until_us);
  if (!ok) (void)st_postgres_fail(c, "read", error);
  base->driver->release_query_db(db);
  (void)snprintf(description->kind, sizeof description->kind, "PostgreSQL");
  (void)snprintf(description->location, sizeof description->location, "%s", base->name);
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}
