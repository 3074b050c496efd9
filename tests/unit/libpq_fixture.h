/* libpq_fixture - for tests that call libpq themselves: it is loaded before they begin, because its
 * names are those of store/postgres/libpq.c, also where libpq calls itself.
 */
#ifndef ST_TESTS_LIBPQ_FIXTURE_H
#define ST_TESTS_LIBPQ_FIXTURE_H

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/error.h"
#include "store/postgres/libpq.h"

__attribute__((constructor)) static inline void libpq_fixture_load(void) {
  char why[ST_ERROR_MAX];
  if (st_postgres_load_library(why)) return;
  fprintf(stderr, "%s\n", why);
  exit(1);
}

#endif
