/* open - a store on PostgreSQL, for store.c, which chooses between the implementations. */
#ifndef ST_STORE_POSTGRES_OPEN_H
#define ST_STORE_POSTGRES_OPEN_H

#include "store/db.h"

/* location: a libpq URI. create: the tables are made when they are not there;
 * otherwise it is an error. */
st_db_open_fn st_postgres_open;

#endif
