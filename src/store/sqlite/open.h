/* open - a store on SQLite, for store.c, which chooses between the implementations. */
#ifndef ST_STORE_SQLITE_OPEN_H
#define ST_STORE_SQLITE_OPEN_H

#include "store/db.h"

/* path: a file. See st_store_open. */
st_db_open_fn st_sqlite_open;

#endif
