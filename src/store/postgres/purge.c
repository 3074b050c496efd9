/* Removes what nobody needs any more of the tables that this store has for itself: which rows were
 * written, once every issuer has asked for it or must forget everything (watch.c), and the ids of
 * changes, once none of them can be in doubt. A part at a time, by one issuer at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "store/postgres/postgres.h"

#define KEEP_US INT64_C(600000000) /* many times as long as an issuer may go without an answer */
#define PART 20000                 /* rows; then what waits for this connection comes first */

/* *more: there may be more of it. */
static bool purge_part(st_postgres_connection *c, int which, const st_value *values, bool *more,
                       int64_t until_us) {
  PGresult *row = st_postgres_ask(c, which, values, until_us);
  if (row == NULL) return false;
  *more = *more || st_postgres_number(row, 0, 0) >= PART;
  PQclear(row);
  return true;
}

bool st_postgres_purge(st_postgres_connection *c, st_postgres_purger *purger, const char *snapshot,
                       int64_t now_us, int64_t until_us) {
  bool more = false;
  if (purger->snapshot != NULL) {
    if (now_us - purger->since_us < KEEP_US) return true;
    if (!purge_part(c, ST_POSTGRES_PURGE_WRITTEN,
                    ST_VALUES(st_db_text(purger->snapshot), st_db_number(PART)), &more, until_us) ||
        !purge_part(c, ST_POSTGRES_PURGE_MADE, ST_VALUES(st_db_number(PART)), &more, until_us)) {
      return false;
    }
    if (more) return true;
  }
  st_postgres_purge_anew(purger);
  purger->snapshot = strdup(snapshot); /* without memory: another time */
  purger->since_us = now_us;
  return true;
}

void st_postgres_purge_anew(st_postgres_purger *purger) {
  free(purger->snapshot);
  purger->snapshot = NULL;
}
