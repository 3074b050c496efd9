/* failing_databases - the calls of SQLite and libpq that fail when a test wants it, and the answers
 * of both that are not so. A part of failing.h, which includes it.
 */
#ifndef ST_TESTS_FAILING_DATABASES_H
#define ST_TESTS_FAILING_DATABASES_H

/* ---- SQLite ---- */

#define FAILING_SQLITE(kind, of, name, parameters, arguments)                     \
  int __real_##name parameters;                                                   \
  int __wrap_##name parameters;                                                   \
  int __wrap_##name parameters {                                                  \
    return failing_connection(kind, of) ? failing_code : __real_##name arguments; \
  }
#define FAILING_STATEMENT(name, parameters, arguments) \
  FAILING_SQLITE(FAIL_SQLITE, sqlite3_db_handle(s), name, parameters, arguments)

int __real_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs) {
  if (!failing_now(FAIL_SQLITE)) return __real_sqlite3_open_v2(name, db, flags, vfs);
  *db = NULL;
  return SQLITE_NOMEM;
}

int __real_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int n, sqlite3_stmt **out,
                              const char **tail);
int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int n, sqlite3_stmt **out,
                              const char **tail);
int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int n, sqlite3_stmt **out,
                              const char **tail) {
  *out = NULL;
  return failing_connection(FAIL_PREPARE, db) ? failing_code
                                              : __real_sqlite3_prepare_v2(db, sql, n, out, tail);
}

int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **out, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **out, const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **out, const char **tail) {
  *out = NULL;
  return failing_connection(FAIL_PREPARE, db)
             ? failing_code
             : __real_sqlite3_prepare_v3(db, sql, n, flags, out, tail);
}

typedef int failing_exec(void *, int, char **, char **);
FAILING_SQLITE(FAIL_SQLITE, db, sqlite3_exec,
               (sqlite3 * db, const char *sql, failing_exec *each, void *context, char **problem),
               (db, sql, each, context, problem))
FAILING_STATEMENT(sqlite3_step, (sqlite3_stmt * s), (s))
FAILING_STATEMENT(sqlite3_bind_int64, (sqlite3_stmt * s, int at, sqlite3_int64 n), (s, at, n))
FAILING_STATEMENT(sqlite3_bind_text,
                  (sqlite3_stmt * s, int at, const char *text, int len, void (*end)(void *)),
                  (s, at, text, len, end))
FAILING_STATEMENT(sqlite3_bind_blob,
                  (sqlite3_stmt * s, int at, const void *bytes, int len, void (*end)(void *)),
                  (s, at, bytes, len, end))
FAILING_STATEMENT(sqlite3_bind_text64,
                  (sqlite3_stmt * s, int at, const char *text, sqlite3_uint64 len,
                   void (*end)(void *), unsigned char encoding),
                  (s, at, text, len, end, encoding))
FAILING_STATEMENT(sqlite3_bind_blob64,
                  (sqlite3_stmt * s, int at, const void *bytes, sqlite3_uint64 len,
                   void (*end)(void *)),
                  (s, at, bytes, len, end))
FAILING_SQLITE(FAIL_SQLITE, db, sqlite3_busy_timeout, (sqlite3 * db, int ms), (db, ms))
FAILING_SQLITE(FAIL_SQLITE, db, sqlite3_busy_handler,
               (sqlite3 * db, int (*wait)(void *, int), void *context), (db, wait, context))
FAILING_SQLITE(FAIL_SQLITE, db, sqlite3_file_control,
               (sqlite3 * db, const char *name, int what, void *out), (db, name, what, out))
FAILING_STATE sqlite3 *failing_copy; /* that a backup writes to */
FAILING_SQLITE(FAIL_SQLITE, failing_copy, sqlite3_backup_step, (sqlite3_backup * to, int pages),
               (to, pages))
FAILING_SQLITE(FAIL_SQLITE, db, sqlite3_create_function_v2,
               (sqlite3 * db, const char *name, int count, int flags, void *context,
                void (*run)(sqlite3_context *, int, sqlite3_value **),
                void (*step)(sqlite3_context *, int, sqlite3_value **),
                void (*end)(sqlite3_context *), void (*destroy)(void *)),
               (db, name, count, flags, context, run, step, end, destroy))

int __real_sqlite3_db_config(sqlite3 *db, int what, ...);
int __wrap_sqlite3_db_config(sqlite3 *db, int what, ...);
int __wrap_sqlite3_db_config(sqlite3 *db, int what, ...) {
  va_list list;
  if (failing_connection(FAIL_SQLITE, db)) return failing_code;
  va_start(list, what);
  int on = va_arg(list, int);
  int *is = va_arg(list, int *);
  va_end(list);
  return __real_sqlite3_db_config(db, what, on, is);
}

sqlite3_backup *__real_sqlite3_backup_init(sqlite3 *to, const char *name, sqlite3 *from,
                                           const char *other);
sqlite3_backup *__wrap_sqlite3_backup_init(sqlite3 *to, const char *name, sqlite3 *from,
                                           const char *other);
sqlite3_backup *__wrap_sqlite3_backup_init(sqlite3 *to, const char *name, sqlite3 *from,
                                           const char *other) {
  failing_copy = to;
  return failing_connection(FAIL_SQLITE, to) ? NULL
                                             : __real_sqlite3_backup_init(to, name, from, other);
}

/* It frees what it has, and says what went wrong before or now. */
int __real_sqlite3_close(sqlite3 *db);
int __wrap_sqlite3_close(sqlite3 *db);
int __wrap_sqlite3_close(sqlite3 *db) {
  int code = __real_sqlite3_close(db);
  return failing_now(FAIL_SQLITE) ? failing_code : code;
}

#define FAILING_COLUMN(type, name)                            \
  type __real_##name(sqlite3_stmt *s, int at);                \
  type __wrap_##name(sqlite3_stmt *s, int at);                \
  type __wrap_##name(sqlite3_stmt *s, int at) {               \
    if (!failing_now(FAIL_ROWS)) return __real_##name(s, at); \
    failing_of = sqlite3_db_handle(s);                        \
    failing_with = SQLITE_NOMEM;                              \
    return NULL;                                              \
  }
FAILING_COLUMN(const unsigned char *, sqlite3_column_text)
FAILING_COLUMN(const void *, sqlite3_column_blob)

int __real_sqlite3_errcode(sqlite3 *db);
int __wrap_sqlite3_errcode(sqlite3 *db);
int __wrap_sqlite3_errcode(sqlite3 *db) {
  return failing_of == db && db != NULL ? failing_with : __real_sqlite3_errcode(db);
}

const char *__real_sqlite3_errmsg(sqlite3 *db);
const char *__wrap_sqlite3_errmsg(sqlite3 *db);
const char *__wrap_sqlite3_errmsg(sqlite3 *db) {
  return failing_of == db ? sqlite3_errstr(failing_with) : __real_sqlite3_errmsg(db);
}

/* ---- libpq ---- */

#define FAILING_PG(type, name, parameters, arguments, failure)                       \
  type __real_##name parameters;                                                     \
  type __wrap_##name parameters;                                                     \
  type __wrap_##name parameters {                                                    \
    return failing_connection(FAIL_LIBPQ, pg) ? (failure) : __real_##name arguments; \
  }
int __real_PQsendQuery(PGconn *pg, const char *sql);
int __wrap_PQsendQuery(PGconn *pg, const char *sql);
int __wrap_PQsendQuery(PGconn *pg, const char *sql) {
  return failing_connection(FAIL_LIBPQ | FAIL_TEXTS, pg) ? 0 : __real_PQsendQuery(pg, sql);
}
FAILING_PG(int, PQsendPrepare,
           (PGconn * pg, const char *name, const char *sql, int count, const Oid *types),
           (pg, name, sql, count, types), 0)
FAILING_PG(int, PQsendQueryPrepared,
           (PGconn * pg, const char *name, int count, const char *const *values, const int *lengths,
            const int *formats, int format),
           (pg, name, count, values, lengths, formats, format), 0)
FAILING_PG(int, PQpipelineSync, (PGconn * pg), (pg), 0)
/* Sends nothing, as when the way is full. */
int __real_PQflush(PGconn *pg);
int __wrap_PQflush(PGconn *pg);
int __wrap_PQflush(PGconn *pg) {
  if (failing_connection(FAIL_LIBPQ, pg)) return -1;
  return failing_now(FAIL_SIGNALS) ? 1 : __real_PQflush(pg);
}
FAILING_PG(int, PQconsumeInput, (PGconn * pg), (pg), 0)
FAILING_PG(int, PQsetnonblocking, (PGconn * pg, int on), (pg, on), -1)
FAILING_PG(int, PQenterPipelineMode, (PGconn * pg), (pg), 0)
FAILING_PG(int, PQexitPipelineMode, (PGconn * pg), (pg), 0)
FAILING_PG(PostgresPollingStatusType, PQconnectPoll, (PGconn * pg), (pg), PGRES_POLLING_FAILED)
FAILING_PG(const char *, PQparameterStatus, (const PGconn *pg, const char *name), (pg, name), NULL)

FAILING(FAIL_LIBPQ, ENOMEM, PGconn *, PQconnectStartParams,
        (const char *const *names, const char *const *values, int expand), (names, values, expand),
        NULL)
FAILING(FAIL_LIBPQ, ENOMEM, PQconninfoOption *, PQconninfoParse, (const char *text, char **problem),
        (text, problem), NULL)

/* Another answer in place of one with rows, which it clears. */
FAILING_STATE PGresult *(*failing_answer)(PGresult *real);

/* As without memory for what the server has answered: it has done it all the same. */
PGresult *__real_PQgetResult(PGconn *pg);
PGresult *__wrap_PQgetResult(PGconn *pg);
PGresult *__wrap_PQgetResult(PGconn *pg) {
  PGresult *result = __real_PQgetResult(pg);
  ExecStatusType status = PQresultStatus(result);
  if (result == NULL || status == PGRES_PIPELINE_SYNC || status == PGRES_PIPELINE_ABORTED ||
      !failing_connection(FAIL_LIBPQ, pg)) {
    return failing_answer != NULL && status == PGRES_TUPLES_OK ? failing_answer(result) : result;
  }
  PQclear(result);
  return PQmakeEmptyPGresult(pg, PGRES_FATAL_ERROR);
}

char *__real_PQerrorMessage(const PGconn *pg);
char *__wrap_PQerrorMessage(const PGconn *pg);
char *__wrap_PQerrorMessage(const PGconn *pg) {
  static char text[] = "it was made to fail\n";
  return failing_pg == pg && pg != NULL ? text : __real_PQerrorMessage(pg);
}

char *__real_PQresultErrorMessage(const PGresult *result);
char *__wrap_PQresultErrorMessage(const PGresult *result);
char *__wrap_PQresultErrorMessage(const PGresult *result) {
  static char text[] = "out of memory\n";
  char *real = __real_PQresultErrorMessage(result);
  return failing_pg != NULL && real[0] == '\0' ? text : real;
}

/* ---- what is not so ---- */

/* Nothing that a reader could read too far by: fewer bytes, fewer rows, other bytes of as many. */
#define FAILING_LIE(type, name, parameters, arguments, lie) \
  type __real_##name parameters;                            \
  type __wrap_##name parameters;                            \
  type __wrap_##name parameters {                           \
    type real = __real_##name arguments;                    \
    return failing_now(FAIL_LIES) ? (type)(lie) : real;     \
  }
FAILING_LIE(int, PQgetisnull, (const PGresult *of, int row, int at), (of, row, at), 1 - real)
FAILING_LIE(int, PQgetlength, (const PGresult *of, int row, int at), (of, row, at), real / 2)
FAILING_LIE(int, PQntuples, (const PGresult *of), (of), real / 2)
FAILING_LIE(char *, PQcmdTuples, (PGresult * of), (of), real[0] == '0' ? "1" : "0")
FAILING_LIE(int, sqlite3_column_bytes, (sqlite3_stmt * s, int at), (s, at), real / 2)
FAILING_LIE(int, sqlite3_column_type, (sqlite3_stmt * s, int at), (s, at),
            real == SQLITE_NULL ? SQLITE_BLOB : SQLITE_NULL)
FAILING_LIE(sqlite3_int64, sqlite3_column_int64, (sqlite3_stmt * s, int at), (s, at),
            failing_fill == 0 ? 0 : -1)
FAILING_LIE(int, sqlite3_changes, (sqlite3 * db), (db), real == 0)
FAILING_LIE(int, sqlite3_threadsafe, (void), (), 0)

char *__real_PQgetvalue(const PGresult *of, int row, int at);
char *__wrap_PQgetvalue(const PGresult *of, int row, int at);
char *__wrap_PQgetvalue(const PGresult *of, int row, int at) {
  static _Thread_local char lie[4096 + 1];
  int len = __real_PQgetlength(of, row, at);
  if (len > 4096 || !failing_now(FAIL_LIES)) return __real_PQgetvalue(of, row, at);
  memset(lie, failing_fill, (size_t)len);
  lie[len] = '\0';
  return lie;
}

#endif
