/* The library, and for each of its functions that this folder calls: a variable, and a function of
 * the name and the type that libpq-fe.h declares, which hands on to it.
 */
#include "store/postgres/libpq.h"

#include <dlfcn.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <string.h>

#include "os/error.h"

#define LIBRARY "libpq.so.5"

// clang-format off
/* The first is the newest. */
#define NAMES(each) \
  each(PQenterPipelineMode) each(PQexitPipelineMode) each(PQpipelineSync) each(PQbackendPID) \
  each(PQclear) each(PQcmdStatus) each(PQcmdTuples) each(PQconnectPoll) \
  each(PQconnectStartParams) each(PQconninfoFree) each(PQconninfoParse) each(PQconsumeInput) \
  each(PQerrorMessage) each(PQfinish) each(PQflush) each(PQfreemem) each(PQgetisnull) \
  each(PQgetlength) each(PQgetResult) each(PQgetvalue) each(PQhost) each(PQisBusy) \
  each(PQnfields) each(PQnotifies) each(PQntuples) each(PQparameterStatus) each(PQport) \
  each(PQresultErrorField) each(PQresultErrorMessage) each(PQresultStatus) each(PQsendPrepare) \
  each(PQsendQuery) each(PQsendQueryPrepared) each(PQserverVersion) each(PQsetnonblocking) \
  each(PQsetNoticeReceiver) each(PQsocket) each(PQstatus)
// clang-format on

#define VARIABLE(name) __typeof__(name) *(name);
static struct {
  void *library;
  NAMES(VARIABLE)
} libpq;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* ---- loading ---- */

static bool find_functions(void *library, char *error) {
#define NAME(name) #name,
#define INTO(name) &libpq.name,
  static const char *const names[] = {NAMES(NAME)};
  void *const into[] = {NAMES(INTO)};
  for (size_t i = 0; i < sizeof into / sizeof into[0]; i++) {
    void *found = dlsym(library, names[i]);
    if (found == NULL) {
      return st_error_set(error,
                          "a store on PostgreSQL needs %s of PostgreSQL 14 or newer (Debian: "
                          "libpq5), and this one has no %s",
                          LIBRARY, names[i]);
    }
    memcpy(into[i], &found, sizeof found);
  }
  return true;
}

static bool load(char *error) {
  if (libpq.library != NULL) return true;
  void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    return st_error_set(error,
                        "a store on PostgreSQL needs %s, which cannot be loaded (Debian: libpq5): "
                        "%.300s",
                        LIBRARY, dlerror());
  }
  if (!find_functions(library, error)) {
    (void)dlclose(library);
    return false;
  }
  libpq.library = library;
  return true;
}

bool st_postgres_load_library(char *error) {
  (void)pthread_mutex_lock(&loading);
  bool loaded = load(error);
  (void)pthread_mutex_unlock(&loading);
  return loaded;
}

/* ---- what hands on ---- */

#define ASKS(type, name, parameters, arguments) \
  type name parameters {                        \
    return libpq.name arguments;                \
  }
#define DOES(name, parameters, arguments) \
  void name parameters {                  \
    libpq.name arguments;                 \
  }

/* Connections. */
ASKS(PQconninfoOption *, PQconninfoParse, (const char *text, char **problem), (text, problem))
DOES(PQconninfoFree, (PQconninfoOption * list), (list))
ASKS(PGconn *, PQconnectStartParams,
     (const char *const *names, const char *const *values, int expand), (names, values, expand))
ASKS(PostgresPollingStatusType, PQconnectPoll, (PGconn * pg), (pg))
ASKS(ConnStatusType, PQstatus, (const PGconn *pg), (pg))
ASKS(int, PQserverVersion, (const PGconn *pg), (pg))
ASKS(const char *, PQparameterStatus, (const PGconn *pg, const char *name), (pg, name))
ASKS(int, PQbackendPID, (const PGconn *pg), (pg))
ASKS(char *, PQhost, (const PGconn *pg), (pg))
ASKS(char *, PQport, (const PGconn *pg), (pg))
ASKS(int, PQsocket, (const PGconn *pg), (pg))
ASKS(char *, PQerrorMessage, (const PGconn *pg), (pg))
ASKS(int, PQsetnonblocking, (PGconn * pg, int on), (pg, on))
ASKS(PQnoticeReceiver, PQsetNoticeReceiver, (PGconn * pg, PQnoticeReceiver receiver, void *context),
     (pg, receiver, context))
DOES(PQfinish, (PGconn * pg), (pg))

/* What is sent and what comes. */
ASKS(int, PQenterPipelineMode, (PGconn * pg), (pg))
ASKS(int, PQexitPipelineMode, (PGconn * pg), (pg))
ASKS(int, PQpipelineSync, (PGconn * pg), (pg))
ASKS(int, PQsendQuery, (PGconn * pg, const char *sql), (pg, sql))
ASKS(int, PQsendPrepare,
     (PGconn * pg, const char *name, const char *sql, int count, const Oid *types),
     (pg, name, sql, count, types))
ASKS(int, PQsendQueryPrepared,
     (PGconn * pg, const char *name, int count, const char *const *values, const int *lengths,
      const int *formats, int format),
     (pg, name, count, values, lengths, formats, format))
ASKS(int, PQflush, (PGconn * pg), (pg))
ASKS(int, PQconsumeInput, (PGconn * pg), (pg))
ASKS(int, PQisBusy, (PGconn * pg), (pg))
ASKS(PGresult *, PQgetResult, (PGconn * pg), (pg))
ASKS(PGnotify *, PQnotifies, (PGconn * pg), (pg))
DOES(PQfreemem, (void *memory), (memory))

/* Results. */
ASKS(ExecStatusType, PQresultStatus, (const PGresult *of), (of))
ASKS(char *, PQresultErrorMessage, (const PGresult *of), (of))
ASKS(char *, PQresultErrorField, (const PGresult *of, int field), (of, field))
ASKS(char *, PQcmdStatus, (PGresult * of), (of))
ASKS(char *, PQcmdTuples, (PGresult * of), (of))
ASKS(int, PQntuples, (const PGresult *of), (of))
ASKS(int, PQnfields, (const PGresult *of), (of))
ASKS(int, PQgetisnull, (const PGresult *of, int row, int column), (of, row, column))
ASKS(int, PQgetlength, (const PGresult *of, int row, int column), (of, row, column))
ASKS(char *, PQgetvalue, (const PGresult *of, int row, int column), (of, row, column))
DOES(PQclear, (PGresult * of), (of))
