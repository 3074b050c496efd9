/* Keeps all connections of a process at one server. After a failover the old primary may still
 * answer those who were connected to it: as soon as one connection is made to another server, or
 * one has reason to leave, the others follow, each before its next question.
 */
#include "store/postgres/postgres.h"

bool st_postgres_is_current(const st_postgres_connection *c) {
  return st_postgres_is_connected(c) && c->server == atomic_load(&c->store->server) &&
         c->departures == atomic_load(&c->store->departures);
}

void st_postgres_leave(st_postgres_connection *c) {
  uint64_t known = c->departures;
  /* Of all that leave one server the first is followed. */
  if (atomic_compare_exchange_strong(&c->store->departures, &known, known + 1)) {
    atomic_fetch_add(&c->store->host, 1);
  }
  st_postgres_disconnect(c);
}

bool st_postgres_connect(st_postgres_connection *c, int64_t until_us) {
  if (st_postgres_is_current(c)) return true;
  uint64_t departures = atomic_load(&c->store->departures);
  if (!st_postgres_connect_any(c, until_us)) return false;
  PGresult *row = st_postgres_ask(c, ST_POSTGRES_SERVER, ST_NO_VALUES, until_us);
  if (row == NULL) {
    st_postgres_disconnect(c);
    return false;
  }
  c->server = st_postgres_number(row, 0, 0);
  c->departures = departures;
  PQclear(row);
  int64_t before = atomic_exchange(&c->store->server, c->server);
  if (c->was_connected || (before != 0 && before != c->server)) {
    atomic_fetch_add(&c->store->epoch, 1);
  }
  c->was_connected = true;
  return true;
}
