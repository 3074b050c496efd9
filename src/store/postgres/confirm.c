/* Asks whether the database that is connected is still the one that may be written. With a
 * synchronous standby a primary that was cut off, and whose standby was promoted, goes on answering
 * questions, but no commit of it ends. So a small commit is made, of a record without an effect in
 * the log that standbys follow; when it is answered, no standby had been promoted until then.
 */
#include "store/postgres/postgres.h"

bool st_postgres_confirm(st_postgres_connection *c, st_postgres_confirmer *confirmer,
                         int64_t until_us) {
  if (confirmer->hung != 0) {
    /* A server process whose commit no standby answers waits on after its client has left. */
    if (!st_postgres_do(c, ST_POSTGRES_END_CONFIRM, ST_VALUES(st_db_number(confirmer->hung)),
                        until_us)) {
      return false;
    }
    confirmer->hung = 0;
  }
  int pid = PQbackendPID(c->pg);
  c->warned = false;
  PGresult *rows = st_postgres_ask(c, ST_POSTGRES_CONFIRM, ST_NO_VALUES, until_us);
  bool ok = rows != NULL && !c->warned;
  if (rows != NULL) confirmer->time = st_postgres_number(rows, 0, 0);
  if (rows == NULL && c->timed_out) confirmer->hung = pid;
  PQclear(rows);
  if (!ok) {
    /* Answered with a warning: "canceling wait for synchronous replication". */
    if (rows != NULL || c->timed_out) {
      st_postgres_note_failure(c, "", "no standby confirms a commit");
    }
    st_postgres_leave(c);
  }
  return ok;
}
