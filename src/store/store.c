/* Opens a store by its location, and passes on to the implementation what it answers itself. What
 * changes mean is in the other files of this folder.
 */
#include <string.h>

#include "os/file.h"
#include "store/copy.h"
#include "store/db.h"
#include "store/postgres/open.h"
#include "store/sqlite/open.h"

/* ---- opened ---- */

#define STALENESS_US INT64_C(1000000)

static st_store_options store_options = {.staleness_us = STALENESS_US};

void st_store_set_options(const st_store_options *options) {
  store_options = *options;
  if (store_options.staleness_us == 0) store_options.staleness_us = STALENESS_US;
}

/* The implementations. The first one is also that of a path without a scheme. */
static const struct kind {
  const char *scheme;
  bool whole; /* the scheme belongs to what is opened */
  st_db_open_fn *open;
  st_db_place_fn *place; /* NULL: it is no file */
} kinds[] = {
    {"sqlite:", false, st_sqlite_open, st_sqlite_place_store},
    {"postgresql:", true, st_postgres_open, NULL},
    {"postgres:", true, st_postgres_open, NULL},
};

/* *where: what the implementation is told. */
static const struct kind *store_kind_of(const char *location, const char **where) {
  *where = location;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    size_t len = strlen(kinds[i].scheme);
    if (strncmp(location, kinds[i].scheme, len) != 0) continue;
    if (!kinds[i].whole) *where += len;
    return &kinds[i];
  }
  return &kinds[0];
}

st_store_status st_store_open(const char *location, bool create, st_store **store, char *error) {
  const char *where = location;
  *store = NULL;
  return store_kind_of(location, &where)->open(where, create, &store_options, store, error);
}

void st_store_close(st_store *store) {
  if (store != NULL) store->driver->close(store);
}

/* ---- passed on ---- */

st_store_status st_store_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                   char *error) {
  return store->driver->by_digest(store, digest, key, error);
}

st_store_status st_store_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error) {
  if (sub.data == NULL || sub.len != ST_SUB_LEN) {
    memset(key, 0, sizeof *key);
    return ST_STORE_NOT_FOUND;
  }
  return store->driver->by_sub(store, sub, key, error);
}

st_store_status st_store_tokens_revoked(st_store *store, const subtoken_text *tids, size_t count,
                                        bool *revoked, char *error) {
  return store->driver->tokens_revoked(store, tids, count, revoked, error);
}

bool st_store_ready(st_store *store, char *error) {
  return store->driver->ready(store, error);
}

void st_store_interrupt(st_store *store) {
  store->driver->interrupt(store);
}

st_store_status st_store_issued_sequence(st_store *store, int64_t sequence, char *error) {
  return store->driver->issued_sequence(store, sequence, error);
}

st_store_status st_store_revocation_state(st_store *store, st_revocation_state *state,
                                          char *error) {
  return store->driver->revocation_state(store, state, error);
}

st_store_status st_store_revocation_data(st_store *store, st_revocation_data *data, char *error) {
  return store->driver->revocation_data(store, data, error);
}

st_store_status st_store_revocation_changes(st_store *store, int64_t since,
                                            st_revocation_state *state,
                                            st_revocation_change **changes, uint32_t *count,
                                            char *error) {
  return store->driver->revocation_changes(store, since, state, changes, count, error);
}

void st_store_wait(st_store *store, int64_t sequence, int64_t until_us) {
  store->driver->wait(store, sequence, until_us);
}

uint64_t st_store_epoch(st_store *store) {
  return store->driver->epoch(store);
}

st_store_status st_store_describe(st_store *store, st_store_description *description, char *error) {
  memset(description, 0, sizeof *description);
  st_store_status status = store->driver->describe(store, description, error);
  if (status != ST_STORE_OK) memset(description, 0, sizeof *description);
  return status;
}

/* ---- copies ---- */

typedef struct copying {
  st_store *from;
  const volatile int *stop;
  st_copy_report *report;
} copying;

static st_store_status store_fill(st_store *to, void *context, char *error) {
  const copying *c = context;
  return st_copy_all(c->from, to, c->stop, c->report, error);
}

/* Into a file that is not there. */
static st_store_status store_copy_new(const struct kind *kind, const char *path, copying *c,
                                      char *error) {
  st_store_status status = kind->place(path, &store_options, store_fill, c, error);
  if (status == ST_STORE_EXISTS) {
    (void)st_db_fail(error, "%s already exists", st_error_path(path));
  }
  return status;
}

st_store_status st_store_copy(st_store *store, const char *to, const volatile int *stop,
                              st_copy_report *report, char *error) {
  const char *where = to;
  const struct kind *kind = store_kind_of(to, &where);
  copying c = {store, stop, report};
  if (kind->place != NULL && !st_file_exists(where)) {
    return store_copy_new(kind, where, &c, error);
  }
  st_store *other = NULL;
  st_store_status status = st_store_open(to, true, &other, error);
  if (status == ST_STORE_OK) status = store_fill(other, &c, error);
  st_store_close(other);
  return status;
}

st_store_status st_store_backup(st_store *store, const char *path, const volatile int *stop,
                                char *error) {
  if (store->driver->backup != NULL) return store->driver->backup(store, path, stop, error);
  st_copy_report report;
  copying c = {store, stop, &report};
  st_store_status status = store_copy_new(&kinds[0], path, &c, error);
  return status == ST_STORE_OK ? ST_STORE_OK : ST_STORE_FAILED;
}
