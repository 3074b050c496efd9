/* Reads the URI of a database: which hosts, and what is asked of each. The URI is never repeated in
 * an error, because somebody may have put a password into it. connect.c connects.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/impossible.h"
#include "store/postgres/postgres.h"

/* What every session runs with, unless the URI's own options say otherwise. A transaction that
 * stands still is ended by the server, and so is one whose client has gone. Plans are the generic
 * ones, on indexes: so the same statement always locks the same few rows, and a serialisable change
 * fails because of another one seldom without need.
 */
#define SESSION_OPTIONS                                                               \
  "-c idle_in_transaction_session_timeout=5000"                                       \
  " -c client_connection_check_interval=1000"                                         \
  " -c search_path=pg_catalog,subtoken,pg_temp -c plan_cache_mode=force_generic_plan" \
  " -c enable_seqscan=off -c jit=off"

/* libpq has one for each keyword, whether the URI has it or not. */
static PQconninfoOption *uri_option(const st_postgres *store, const char *keyword) {
  PQconninfoOption *o = store->options;
  while (!st_impossible(o->keyword == NULL, "libpq knows what is asked for here") &&
         strcmp(o->keyword, keyword) != 0) {
    o++;
  }
  return o;
}

static const char *uri_value(const st_postgres *store, const char *keyword) {
  const PQconninfoOption *o = uri_option(store, keyword);
  return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
}

/* libpq frees the values with the options, by free(3). */
static bool uri_set(st_postgres *store, const char *keyword, const char *value) {
  PQconninfoOption *o = uri_option(store, keyword);
  char *copy = strdup(value);
  if (copy == NULL) return false;
  free(o->val);
  o->val = copy;
  return true;
}

static bool uri_set_default(st_postgres *store, const char *keyword, const char *value) {
  return uri_value(store, keyword) != NULL || uri_set(store, keyword, value);
}

/* The URI's own come last, and so are those that count. */
static bool uri_set_session(st_postgres *store) {
  char all[1024];
  const char *own = uri_value(store, "options");
  st_writer writer = st_writer_on(all, sizeof all);
  st_write_literal(&writer, SESSION_OPTIONS);
  if (own != NULL) st_write_char(&writer, ' ');
  if (own != NULL) st_write_literal(&writer, own);
  return st_writer_end(&writer) && uri_set(store, "options", all);
}

/* With the process, so that an operator sees who is connected. */
static bool uri_set_name(st_postgres *store) {
  char name[40];
  (void)snprintf(name, sizeof name, "subtoken %ld", (long)getpid());
  return uri_set_default(store, "application_name", name);
}

/* ---- hosts ---- */

/* Cuts a list with commas in place: it has no more than there is room for. */
static size_t uri_cut(char *list, const char **parts) {
  size_t count = 0;
  for (char *part = list; part != NULL; count++) {
    char *comma = strchr(part, ',');
    if (comma != NULL) *comma = '\0';
    parts[count] = part[0] != '\0' ? part : NULL;
    part = comma != NULL ? comma + 1 : NULL;
  }
  return count;
}

/* Each host is tried by itself (connect.c), so that one that swallows packets does not use up the
 * time of the others.
 */
static bool uri_split(st_postgres *store) {
  static const char *const keywords[] = {"host", "hostaddr", "port"};
  const char *parts[3][ST_POSTGRES_HOSTS] = {{NULL}};
  size_t counts[3] = {0};
  store->host_count = 1;
  for (size_t i = 0; i < 3; i++) {
    const char *value = uri_value(store, keywords[i]);
    if (value == NULL) continue;
    size_t commas = 0;
    for (const char *at = value; *at != '\0'; at++) commas += *at == ',';
    store->host_lists[i] = strdup(value);
    if (store->host_lists[i] == NULL || commas >= ST_POSTGRES_HOSTS) return false;
    counts[i] = uri_cut(store->host_lists[i], parts[i]);
    if (counts[i] > store->host_count) store->host_count = counts[i];
  }
  for (size_t h = 0; h < store->host_count; h++) {
    const char *port = counts[2] == 1 ? parts[2][0] : parts[2][h]; /* one port is that of all */
    store->hosts[h] = (st_postgres_host){parts[0][h], parts[1][h], port};
  }
  return counts[2] <= 1 || counts[2] == store->host_count;
}

/* ---- the name in errors ---- */

static bool uri_name(st_postgres *store) {
  char name[512];
  st_writer writer = st_writer_on(name, sizeof name);
  const char *database = uri_value(store, "dbname");
  st_write_literal(&writer, "postgresql://");
  for (size_t h = 0; h < store->host_count; h++) {
    const st_postgres_host *at = &store->hosts[h];
    if (h > 0) st_write_char(&writer, ',');
    if (at->host != NULL || at->hostaddr != NULL) {
      st_write_truncated(&writer, at->host != NULL ? at->host : at->hostaddr);
    }
    if (at->port != NULL) st_write_char(&writer, ':');
    if (at->port != NULL) st_write_truncated(&writer, at->port);
  }
  st_write_char(&writer, '/');
  if (database != NULL) st_write_truncated(&writer, database);
  name[writer.len < sizeof name ? writer.len : sizeof name - 1] = '\0';
  store->base.name = strdup(name);
  return store->base.name != NULL;
}

/* ---- all of it ---- */

static st_store_status uri_refuse(const st_postgres *store, char *error) {
  if (uri_value(store, "password") != NULL || uri_value(store, "sslpassword") != NULL) {
    return st_db_fail(error,
                      "store: a PostgreSQL URI must not hold a password: use passfile=FILE, peer "
                      "authentication or a client certificate (sslcert, sslkey)");
  }
  return ST_STORE_OK;
}

/* Whole seconds, as libpq's own connect_timeout, which it keeps only where it blocks. */
static void uri_take_timeout(st_postgres *store) {
  const char *given = uri_value(store, "connect_timeout");
  long seconds = given != NULL ? strtol(given, NULL, 10) : 0;
  store->connect_us = ST_POSTGRES_CONNECT_MS * INT64_C(1000);
  if (seconds > 0 && seconds < 3600) store->connect_us = seconds * INT64_C(1000000);
}

st_store_status st_postgres_read_uri(st_postgres *store, const char *uri, char *error) {
  char *unused = NULL; /* repeats what it was given */
  store->options = PQconninfoParse(uri, &unused);
  PQfreemem(unused);
  if (store->options == NULL) {
    return st_db_fail(error,
                      "store: not a PostgreSQL URI: it must be written as "
                      "postgresql://[USER@]HOST[:PORT][,HOST...]/DATABASE[?OPTION=VALUE]");
  }
  if (uri_refuse(store, error) != ST_STORE_OK) return ST_STORE_FAILED;
  if (!uri_split(store)) {
    return st_db_fail(error,
                      "store: the PostgreSQL URI names more than %d hosts, or not a port for each",
                      ST_POSTGRES_HOSTS);
  }
  uri_take_timeout(store);
  bool ok = uri_set_default(store, "target_session_attrs", "read-write") && uri_set_name(store) &&
            uri_set(store, "client_encoding", "UTF8") && uri_set_session(store) && uri_name(store);
  return ok ? ST_STORE_OK
            : st_db_fail(error, "store: no memory, or the URI's options are too long");
}

void st_postgres_drop_uri(st_postgres *store) {
  PQconninfoFree(store->options);
  for (size_t i = 0; i < 3; i++) free(store->host_lists[i]);
  free(store->base.name);
}
