/* Answers what a request asks: a key by its digest or sub, whether a token was revoked by itself,
 * and whether a sequence was issued here.
 * What was read is remembered, and forgotten when it was written here (st_postgres_forget) or
 * elsewhere (watch.c); so most questions ask no database and take no lock that all threads share.
 * The others go to pipeline.c and cost one index. README.md says why nothing old is answered.
 */
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "store/key_cache.h"
#include "store/postgres/postgres.h"

#define HASH_KEY_TRIES 4

struct st_postgres_reader {
  st_postgres_pipeline *pipeline;
  _Atomic uint64_t hash_key[2]; /* as the database had it when it was asked last */
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

/* A key that was rotated, by its digest before. */
static st_store_status read_replaced(st_postgres *store, const read_question *ask, st_key *key,
                                     uint8_t digest[32], char *error) {
  PGresult *rows = NULL;
  st_store_status status = st_postgres_pipeline_ask(
      store->reader->pipeline, ST_POSTGRES_READ_BY_OLD_DIGEST,
      ST_VALUES(read_value(ask), st_db_number(st_clock_now_us() / 1000000)), &rows, error);
  if (status == ST_STORE_OK) status = take_row(store, ask, rows, key, digest, error);
  key->by_old_digest = status == ST_STORE_OK;
  PQclear(rows);
  return status;
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
  if (status == ST_STORE_NOT_FOUND && !ask->by_sub) {
    status = read_replaced(store, ask, key, digest, error);
  }
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

/* ---- tokens that were revoked by themselves ---- */

/* The hashes are computed here, and asked for with the hash key of the time before. *same: it is
 * still that one, and *revoked the answer. */
static st_store_status read_tokens(st_postgres *store, const subtoken_text *tids, size_t count,
                                   bool *same, bool *revoked, char *error) {
  uint64_t hash_key[2];
  uint8_t bytes[SUBTOKEN_HASH_KEY_LEN];
  st_postgres_list hashes = {.len = ST_POSTGRES_NUMBER_LEN};
  PGresult *rows = NULL;
  bool ok = true;
  for (size_t i = 0; i < 2; i++) {
    hash_key[i] = atomic_load(&store->reader->hash_key[i]);
    st_store64(bytes + 8 * i, hash_key[i]);
  }
  for (size_t i = 0; i < count && ok; i++) {
    if (tids[i].len != ST_TID_LEN) continue;
    ok = st_postgres_list_add_number(&hashes, (int64_t)subtoken_revocations_hash(bytes, tids[i]));
  }
  st_store_status status =
      ok ? st_postgres_pipeline_ask(store->reader->pipeline, ST_POSTGRES_READ_TOKENS,
                                    ST_VALUES(st_postgres_list_array(&hashes)), &rows, error)
         : st_db_fail(error, "cannot read %s: no memory", st_db_name(&store->base));
  if (status == ST_STORE_OK && PQntuples(rows) != 1) {
    status = st_db_fail(error, "%s is damaged: no hash key", st_db_name(&store->base));
  }
  for (size_t i = 0; status == ST_STORE_OK && i < 2; i++) {
    uint64_t now = (uint64_t)st_postgres_number(rows, 0, (int)i);
    *same = *same && now == hash_key[i];
    atomic_store(&store->reader->hash_key[i], now);
  }
  if (status == ST_STORE_OK) *revoked = st_postgres_number(rows, 0, 2) != 0;
  PQclear(rows);
  st_postgres_list_free(&hashes);
  return status;
}

/* Another hash key comes with a restored snapshot alone. */
st_store_status st_postgres_tokens_revoked(st_store *base, const subtoken_text *tids, size_t count,
                                           bool *revoked, char *error) {
  st_postgres *store = (st_postgres *)base;
  bool same = false, found = false;
  st_store_status status = ST_STORE_OK;
  if (!st_postgres_watch_is_recent(store, error)) return ST_STORE_FAILED;
  for (int tries = 0; status == ST_STORE_OK && !same; tries++) {
    if (tries == HASH_KEY_TRIES) {
      return st_db_fail(error, "cannot read %s: its hash key changes", st_db_name(base));
    }
    same = true;
    status = read_tokens(store, tids, count, &same, &found, error);
  }
  if (status == ST_STORE_OK) *revoked = found;
  return status;
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
