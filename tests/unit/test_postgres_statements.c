/* Each statement of the PostgreSQL store can be prepared, and takes its values as they are sent:
 * bigint, text, bytea, and arrays of the first two.
 */
#include "store_contract.h"

#include "store/postgres/postgres.h"

static const char *type_of(unsigned type) {
  switch (type) {
    case 20: return "bigint";
    case 25: return "text";
    case 17: return "bytea";
    case 1009: return "text[]";
    case 1016: return "bigint[]";
    default: return NULL;
  }
}

static bool prepares(PGconn *pg, int which) {
  char name[16];
  snprintf(name, sizeof name, "s%d", which);
  PGresult *made = PQprepare(pg, name, st_postgres_statement_of(which)->text, 0, NULL);
  PGresult *of = PQdescribePrepared(pg, name);
  bool ok = PQresultStatus(made) == PGRES_COMMAND_OK && PQresultStatus(of) == PGRES_COMMAND_OK;
  for (int i = 0; ok && i < PQnparams(of); i++) ok = type_of(PQparamtype(of, i)) != NULL;
  if (!ok)
    print_error("%d: %s: %s", which, st_postgres_statement_of(which)->text, PQerrorMessage(pg));
  PQclear(made);
  PQclear(of);
  return ok;
}

static void each_can_be_prepared(void **state) {
  (void)state;
  PGconn *pg = PQconnectdb(location);
  PQclear(PQexec(pg, "SET search_path = pg_catalog, subtoken, pg_temp"));
  int wrong = 0;
  for (int i = 0; i < ST_POSTGRES_SQL_COUNT; i++) {
    const st_postgres_statement *s = st_postgres_statement_of(i);
    bool here = (s->flags & ST_POSTGRES_HERE) != 0;
    if (here != (s->text == NULL)) print_error("%d has no text\n", i);
    wrong += here != (s->text == NULL) || (!here && !prepares(pg, i));
  }
  PQfinish(pg);
  assert_int_equal(wrong, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {TEST(each_can_be_prepared)};
  return RUN_ON_POSTGRES(tests);
}
