/* Answers what a request asks: a key by its digest or sub, and whether a sequence was issued here.
 * What was read is remembered, and forgotten when it was written here (st_postgres_forget) or
 * elsewhere (watch.c); so most questions ask no database and take no lock that all threads share.
 * The others go to pipeline.c and cost one index. README.md says why nothing old is answered.
 */
#include <stdlib.h>
#include <string.h>

#include "store/key_cache.h"
#include "store/postgres/postgres.h"

struct st_postgres_reader {
  st_postgres_pipeline *pipeline;
};

/* A key by its digest of 32 bytes, or by its sub of ST_SUB_LEN. */
typedef struct read_question {
  const void *bytes;
  bool by_sub;
} read_question;

static st_value read_value(const read_question *ask) {
  return ask->by_sub ? st_db_view((subtoken_text){ask->bytes, ST_SUB_LEN})
                     : st_db_bytes(ask->bytes, 32);
}

static bool is_answer(const read_question *ask, const st_key *key, const uint8_t digest[32]) {
  return ask->by_sub ? memcmp(key->sub, ask->bytes, ST_SUB_LEN) == 0
                     : st_equal_secret(digest, ask->bytes, 32);
}

static st_store_status take_row(st_postgres *store, const read_question *ask, const PGresult *rows,
                                st_key *key, uint8_t digest[32], char *error) {
  if (PQntuples(rows) == 0) return ST_STORE_NOT_FOUND;
  if (st_postgres_number(rows, 0, ST_POSTGRES_COL_REFUSED) != 0) return ST_STORE_REVOKED;
  if (!st_postgres_take_key(rows, 0, key) ||
      !st_postgres_bytes(rows, 0, ST_POSTGRES_COL_DIGEST, digest, 32) ||
      !is_answer(ask, key, digest)) {
    return st_db_fail(error, "%s is damaged: the row of a key is not as it was written",
                      st_db_name(&store->base));
  }
  return ST_STORE_OK;
}

/* A sub that no key has any more. */
static st_store_status read_revoked(st_postgres *store, const read_question *ask, char *error) {
  PGresult *rows = NULL;
  st_store_status status = st_postgres_pipeline_ask(
      store->reader->pipeline, ST_POSTGRES_READ_REVOKED, ST_VALUES(read_value(ask)), &rows, error);
  if (status == ST_STORE_OK) status = PQntuples(rows) > 0 ? ST_STORE_REVOKED : ST_STORE_NOT_FOUND;
  PQclear(rows);
  return status;
}

static st_store_status read_rows(st_postgres *store, const read_question *ask, PGresult **rows,
                                 char *error) {
  st_postgres_pipeline *pipeline = store->reader->pipeline;
  const st_value *values = ST_VALUES(read_value(ask));
  int which = ask->by_sub ? ST_POSTGRES_READ_BY_SUB : ST_POSTGRES_READ_BY_DIGEST;
  st_store_status status = st_postgres_pipeline_ask(pipeline, which, values, rows, error);
  if (status != ST_STORE_OK || PQntuples(*rows) == 0 ||
      st_postgres_number(*rows, 0, ST_POSTGRES_COL_REMAINING) == 0) {
    return status;
  }
  PQclear(*rows);
  which = ask->by_sub ? ST_POSTGRES_READ_REMAINING_BY_SUB : ST_POSTGRES_READ_REMAINING_BY_DIGEST;
  return st_postgres_pipeline_ask(pipeline, which, values, rows, error);
}

/* The moment is taken before the database is asked: what is forgotten from then on is not kept. */
static st_store_status read_key(st_postgres *store, const read_question *ask, st_key *key,
                                char *error) {
  uint64_t moment = st_key_cache_moment(store->cache);
  uint8_t digest[32];
  PGresult *rows = NULL;
  st_store_status status = read_rows(store, ask, &rows, error);
  if (status == ST_STORE_OK) status = take_row(store, ask, rows, key, digest, error);
  PQclear(rows);
  if (status == ST_STORE_OK) st_key_cache_put(store->cache, digest, key, moment);
  return status == ST_STORE_NOT_FOUND && ask->by_sub ? read_revoked(store, ask, error) : status;
}

static st_store_status answer(st_store *base, const read_question *ask, st_key *key, char *error) {
  st_postgres *store = (st_postgres *)base;
  st_store_status status = ST_STORE_FAILED;
  if (st_postgres_watch_is_recent(store, error)) {
    if (st_key_cache_find(store->cache, ask->by_sub, ask->bytes, key)) return ST_STORE_OK;
    status = read_key(store, ask, key, error);
  }
  if (status != ST_STORE_OK) memset(key, 0, sizeof *key);
  return status;
}

st_store_status st_postgres_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                      char *error) {
  read_question ask = {.bytes = digest};
  return answer(store, &ask, key, error);
}

st_store_status st_postgres_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error) {
  read_question ask = {.bytes = sub.data, .by_sub = true};
  for (size_t i = 0; i < sub.len; i++) {
    if (sub.data[i] <= ' ' || sub.data[i] > '~') { /* PostgreSQL would refuse it as a text */
      memset(key, 0, sizeof *key);
      return ST_STORE_NOT_FOUND;
    }
  }
  return answer(store, &ask, key, error);
}

/* *issued: the answer. */
static st_store_status read_issued(st_postgres *store, int64_t sequence, bool *issued,
                                   char *error) {
  PGresult *rows = NULL;
  st_store_status status =
      st_postgres_pipeline_ask(store->reader->pipeline, ST_POSTGRES_READ_SEQUENCE,
                               ST_VALUES(st_db_number(sequence)), &rows, error);
  if (status == ST_STORE_OK) {
    *issued = PQntuples(rows) == 1 && st_postgres_number(rows, 0, 0) != 0;
  }
  PQclear(rows);
  return status;
}

st_store_status st_postgres_issued_sequence(st_store *base, int64_t sequence, char *error) {
  st_postgres *store = (st_postgres *)base;
  bool issued = false;
  if (!st_postgres_watch_is_recent(store, error)) return ST_STORE_FAILED;
  st_store_status status = read_issued(store, sequence, &issued, error);
  return status == ST_STORE_OK && !issued ? ST_STORE_NOT_FOUND : status;
}

/* A database that only reads is none that we are connected to. */
bool st_postgres_ready(st_store *base, char *error) {
  st_postgres *store = (st_postgres *)base;
  bool issued = false;
  return st_postgres_watch_is_recent(store, error) &&
         read_issued(store, 0, &issued, error) == ST_STORE_OK;
}

/* ---- start and end ---- */

bool st_postgres_reader_start(st_postgres *store, char *error) {
  st_postgres_reader *reader = calloc(1, sizeof *reader);
  store->reader = reader;
  if (reader != NULL) {
    store->cache = st_key_cache_new(store->cache_bytes);
    reader->pipeline = st_postgres_pipeline_new(store);
  }
  if (reader != NULL && store->cache != NULL && reader->pipeline != NULL) return true;
  (void)st_db_fail(error, "cannot open %s: no memory", st_db_name(&store->base));
  st_postgres_reader_end(store);
  return false;
}

void st_postgres_reader_end(st_postgres *store) {
  st_postgres_reader *reader = store->reader;
  if (reader == NULL) return;
  st_postgres_pipeline_free(reader->pipeline);
  st_key_cache_free(store->cache);
  store->cache = NULL;
  free(reader);
  store->reader = NULL;
}
