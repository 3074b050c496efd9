/* The URI of a store on PostgreSQL. The oracle is libpq: it finds no password in what is taken, and
 * what is refused is refused with a text that repeats nothing of it.
 */
#include <libpq-fe.h>

#include "domain/store_location.h"
#include "fuzz.h"
#include "os/error.h"
#include "store/postgres/libpq.h"

static void check_taken(const char *uri) {
  char *problem = NULL, why[ST_ERROR_MAX];
  HOLD(st_postgres_load_library(why));
  PQconninfoOption *options = PQconninfoParse(uri, &problem);
  PQfreemem(problem);
  if (options == NULL) return; /* a parameter that this libpq does not know */
  for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
    bool secret = strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0;
    HOLD(!secret || o->val == NULL);
    if (strcmp(o->keyword, "user") == 0 && o->val != NULL) HOLD(strchr(o->val, ':') == NULL);
  }
  PQconninfoFree(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char uri[1100];
  if (size >= sizeof uri - 1) return 0;
  char *copy = fuzz_copy(data, size);
  const char *problem = st_store_location_check((subtoken_text){copy, size});
  HOLD(memcmp(copy, data, size) == 0);
  memcpy(uri, copy, size);
  uri[size] = '\0';
  if (problem == NULL) {
    HOLD(strlen(uri) == size && st_store_location_is_uri(st_text(uri)));
    check_taken(uri);
  } else {
    HOLD(strncmp(problem, "must ", 5) == 0 || strncmp(problem, "has ", 4) == 0);
    HOLD(size < 1 || problem < copy || problem >= copy + size);
  }
  free(copy);
  return 0;
}
