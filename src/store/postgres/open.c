/* Opens a store on PostgreSQL: reads its URI, connects, brings the tables up, and starts what reads
 * for requests and what hears of others' writing. The driver below names what answers which
 * question.
 */
#include "store/postgres/open.h"

#include <stdlib.h>

#include "os/clock.h"
#include "store/postgres/libpq.h"
#include "store/postgres/postgres.h"

#define OPEN_US INT64_C(30000000) /* tables of a large database may take a while */

static void close_store(st_store *base);

static const st_driver driver = {
    .close = close_store,
    .by_digest = st_postgres_by_digest,
    .by_sub = st_postgres_by_sub,
    .tokens_revoked = st_postgres_tokens_revoked,
    .ready = st_postgres_ready,
    .interrupt = st_postgres_interrupt,
    .issued_sequence = st_postgres_issued_sequence,
    .revocation_state = st_postgres_revocation_state,
    .revocation_data = st_postgres_revocation_data,
    .revocation_changes = st_postgres_revocation_changes,
    .wait = st_postgres_wait_for_sequence,
    .epoch = st_postgres_epoch,
    .change_db = st_postgres_change_db,
    .acquire_query_db = st_postgres_acquire_query_db,
    .describe = st_postgres_describe,
    .release_query_db = st_postgres_release_query_db,
    .begin_read = st_postgres_begin_read,
    .end_read = st_postgres_end_read,
};

/* Without a connection yet; NULL: no memory. */
static st_postgres *make(const st_store_options *options) {
  st_postgres *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  st_db_store_start(&made->base, &driver);
  st_semaphore_limit(&made->base.writing, ST_POSTGRES_WRITERS);
  made->base.concurrent = true;
  made->staleness_us = options->staleness_us;
  made->cache_bytes = options->cache_bytes;
  (void)pthread_mutex_init(&made->pool, NULL);
  made->querying = (st_semaphore)ST_SEMAPHORE(1, SIZE_MAX);
  st_postgres_revocations_start(made);
  for (size_t i = 0; i < ST_POSTGRES_WRITERS; i++) st_postgres_start_db(made, &made->changes[i]);
  st_postgres_start_db(made, &made->queries);
  return made;
}

static st_store_status open_parts(st_postgres *store, const char *uri, bool create, char *error) {
  int64_t until_us = st_clock_monotonic_us() + OPEN_US;
  st_postgres_connection *c = &store->changes[0].connection;
  if (st_postgres_read_uri(store, uri, error) != ST_STORE_OK) return ST_STORE_FAILED;
  if (!st_postgres_connect(c, until_us)) {
    (void)st_postgres_fail(c, "open", error);
    return ST_STORE_FAILED;
  }
  if (st_postgres_update_schema(c, create, until_us, error) != ST_STORE_OK) return ST_STORE_FAILED;
  bool ok = st_postgres_reader_start(store, error) && st_postgres_watch_start(store, error);
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_postgres_open(const char *location, bool create, const st_store_options *options,
                                 st_store **store, char *error) {
  *store = NULL;
  if (!st_postgres_load_library(error)) return ST_STORE_FAILED;
  st_postgres *made = make(options);
  if (made == NULL) return st_db_fail(error, "cannot open a store on PostgreSQL: no memory");
  st_store_status status = open_parts(made, location, create, error);
  if (status != ST_STORE_OK) {
    close_store(&made->base);
    return status;
  }
  *store = &made->base;
  return ST_STORE_OK;
}

static void close_store(st_store *base) {
  st_postgres *store = (st_postgres *)base;
  st_postgres_watch_end(store);
  st_postgres_reader_end(store);
  for (size_t i = 0; i < ST_POSTGRES_WRITERS; i++) st_postgres_end_db(&store->changes[i]);
  st_postgres_end_db(&store->queries);
  st_postgres_revocations_end(store);
  (void)pthread_mutex_destroy(&store->pool);
  if (store->options != NULL) st_postgres_drop_uri(store);
  free(store);
}
