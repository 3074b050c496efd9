/* Lends the connections of changes. As many changes are let in as there are connections
 * (transaction.c), so that there is always one. questions.c has those of questions.
 */
#include "store/postgres/postgres.h"

/* One that is connected rather than one that is not. */
static st_postgres_db *free_one(st_postgres *store) {
  st_postgres_db *found = NULL;
  for (size_t i = 0; i < ST_POSTGRES_WRITERS; i++) {
    st_postgres_db *db = &store->changes[i];
    if (db->lent) continue;
    if (st_postgres_is_connected(&db->connection)) return db;
    if (found == NULL) found = db;
  }
  return found;
}

st_db *st_postgres_change_db(st_store *base) {
  st_postgres *store = (st_postgres *)base;
  (void)pthread_mutex_lock(&store->pool);
  st_postgres_db *db = free_one(store);
  db->lent = true;
  (void)pthread_mutex_unlock(&store->pool);
  return &db->base;
}

void st_postgres_give_back(st_postgres_db *db) {
  st_postgres *store = db->connection.store;
  (void)pthread_mutex_lock(&store->pool);
  db->lent = false;
  (void)pthread_mutex_unlock(&store->pool);
}

/* Who waits for an answer looks at it several times a second. */
void st_postgres_interrupt(st_store *store) {
  atomic_fetch_add(&((st_postgres *)store)->interrupts, 1);
}
