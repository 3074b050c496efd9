/* open - a store on SQLite, for store.c, which chooses between the implementations. */
#ifndef ST_STORE_SQLITE_OPEN_H
#define ST_STORE_SQLITE_OPEN_H

#include "store/db.h"

/* path: a file. See st_store_open. */
st_db_open_fn st_sqlite_open;

/* The new store is one file, not in WAL mode; nothing is beside it. */
st_db_place_fn st_sqlite_place_store;

#endif
