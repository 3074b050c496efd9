/* Opens a store by its location, and passes on to the implementation what it answers itself. What
 * changes mean is in the other files of this folder.
 */
#include <string.h>

#include "store/db.h"
#include "store/sqlite/open.h"

/* ---- opened ---- */

static st_store_options store_options;

void st_store_set_options(const st_store_options *options) {
  store_options = *options;
}

/* The implementations. The first one is also that of a path without a scheme. */
static const struct kind {
  const char *scheme;
  st_db_open_fn *open;
} kinds[] = {
    {"sqlite:", st_sqlite_open},
};

static bool has_scheme(const char *location, const char *scheme) {
  return strncmp(location, scheme, strlen(scheme)) == 0;
}

st_store_status st_store_open(const char *location, bool create, st_store **store, char *error) {
  *store = NULL;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (has_scheme(location, kinds[i].scheme)) {
      const char *where = location + strlen(kinds[i].scheme);
      return kinds[i].open(where, create, &store_options, store, error);
    }
  }
  if (has_scheme(location, "postgres:") || has_scheme(location, "postgresql:")) {
    /* The location is not repeated: it may hold a password. */
    return st_db_fail(error, "a store on PostgreSQL is not supported by this version: use a path");
  }
  return kinds[0].open(location, create, &store_options, store, error);
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

st_store_status st_store_backup(st_store *store, const char *path, const volatile int *stop,
                                char *error) {
  return store->driver->backup(store, path, stop, error);
}
