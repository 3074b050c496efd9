/* Sends statements and takes their answers. All that is sent up to a sync travels in one direction
 * at once; when one fails the server passes over the rest, up to the sync.
 */
#include <stdio.h>
#include <string.h>

#include "base/impossible.h"
#include "store/postgres/postgres.h"

/* The name under which a statement is prepared. */
#define NAME_SIZE 8
static void statement_name(int which, char name[NAME_SIZE]) {
  snprintf(name, NAME_SIZE, "s%d", which);
}

/* ---- failures ---- */

static bool lose(st_postgres_connection *c, const char *text) {
  st_postgres_note_failure(c, "", text);
  st_postgres_disconnect(c);
  return false;
}

bool st_postgres_is_state(const st_postgres_connection *c, const char *sqlstate) {
  return strcmp(c->sqlstate, sqlstate) == 0;
}

st_store_status st_postgres_fail(const st_postgres_connection *c, const char *verb, char *error) {
  (void)st_db_fail(error, "cannot %s %s: %s", verb, st_db_name(&c->store->base), c->message);
  return c->timed_out ? ST_STORE_BUSY : ST_STORE_FAILED;
}

/* ---- values ---- */

typedef struct parameters {
  const char *values[ST_POSTGRES_PARAMETERS];
  int lengths[ST_POSTGRES_PARAMETERS];
  int formats[ST_POSTGRES_PARAMETERS];
  uint8_t numbers[ST_POSTGRES_PARAMETERS][8];
  int count;
} parameters;

/* Network order, as the server wants its bigint. */
static void store_number(uint8_t out[8], int64_t number) {
  for (int i = 0; i < 8; i++) out[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
}

static void take_value(parameters *p, const st_value *v) {
  int at = p->count++;
  p->formats[at] = 1;
  p->values[at] = v->data;
  p->lengths[at] = (int)v->len;
  if (v->type == ST_VALUE_NULL) p->values[at] = NULL;
  if (v->type == ST_VALUE_NUMBER) {
    store_number(p->numbers[at], v->number);
    p->values[at] = (const char *)p->numbers[at];
    p->lengths[at] = 8;
  } else if (p->values[at] == NULL && v->type != ST_VALUE_NULL) {
    p->values[at] = ""; /* empty, not NULL */
  }
}

/* Not more of them than a statement takes, and none longer than libpq counts. */
static bool take_values(parameters *p, const st_value *values) {
  p->count = 0;
  for (size_t i = 0; values[i].type != ST_VALUE_END; i++) {
    if (st_impossible(i == ST_POSTGRES_PARAMETERS, "db.c adds to fewer of a rule")) return false;
    if (st_impossible(values[i].len > INT32_MAX, "requests and rows are shorter")) return false;
    take_value(p, &values[i]);
  }
  return true;
}

/* ---- sending ---- */

static void note_sent(st_postgres_connection *c, int which, bool prepares, PGresult **keep) {
  c->sent[c->sent_count++] = (st_postgres_sent){which, prepares, keep};
}

static bool is_prepared(const st_postgres_connection *c, int which) {
  bool prepared = c->prepared[which];
  for (size_t i = 0; i < c->sent_count; i++) {
    prepared = prepared || (c->sent[i].prepares && c->sent[i].which == which);
  }
  return prepared;
}

static bool send_prepare(st_postgres_connection *c, int which) {
  char name[NAME_SIZE];
  statement_name(which, name);
  if (PQsendPrepare(c->pg, name, st_postgres_statement_of(which)->text, 0, NULL) != 1) return false;
  note_sent(c, which, true, NULL);
  return true;
}

bool st_postgres_send(st_postgres_connection *c, int which, const st_value *values,
                      PGresult **keep) {
  parameters p;
  char name[NAME_SIZE];
  if (keep != NULL) *keep = NULL;
  if (c->pg == NULL) return false;
  size_t room = sizeof c->sent / sizeof *c->sent;
  if (st_impossible(c->sent_count + 2 > room, "db.c and pipeline.c send no more at a time")) {
    return lose(c, "too many statements at a time");
  }
  if (!take_values(&p, values)) return lose(c, "too many values, or too long a one");
  statement_name(which, name);
  if ((!is_prepared(c, which) && !send_prepare(c, which)) ||
      PQsendQueryPrepared(c->pg, name, p.count, p.values, p.lengths, p.formats, 1) != 1) {
    return lose(c, PQerrorMessage(c->pg));
  }
  note_sent(c, which, false, keep);
  return true;
}

/* ---- answers ---- */

/* libpq takes in the answer to a sync and forgets it when it has no memory for it
 * (pqParseInput3): it would be waited for in vain. A server that says the same loses a connection
 * for it, which does no harm.
 */
static bool has_no_memory(const st_postgres_connection *c) {
  return strstr(PQerrorMessage(c->pg), "out of memory") != NULL;
}

bool st_postgres_next_result(st_postgres_connection *c, int64_t until_us, PGresult **result) {
  bool over = false;
  while (PQflush(c->pg) > 0 || PQisBusy(c->pg) == 1) {
    if (has_no_memory(c)) return lose(c, "out of memory");
    if (over || !st_postgres_wait_socket(c, until_us)) {
      c->timed_out = PQstatus(c->pg) == CONNECTION_OK;
      return lose(c, c->timed_out ? "it did not answer in time" : PQerrorMessage(c->pg));
    }
    over = st_postgres_is_over(c, until_us);
    if (PQconsumeInput(c->pg) != 1) return lose(c, PQerrorMessage(c->pg));
  }
  *result = PQgetResult(c->pg);
  return true;
}

/* Takes over what one statement answered. *ok: it did not fail. */
static void take_result(st_postgres_connection *c, const st_postgres_sent *of, PGresult *result,
                        bool *ok) {
  ExecStatusType status = PQresultStatus(result);
  bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
  if (!good && *ok && status != PGRES_PIPELINE_ABORTED) {
    st_postgres_note_failure(c, PQresultErrorField(result, PG_DIAG_SQLSTATE),
                             PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) != NULL
                                 ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)
                                 : PQresultErrorMessage(result));
  }
  *ok = *ok && good;
  if (good && of->prepares) c->prepared[of->which] = true;
  if (good && of->keep != NULL) {
    PQclear(*of->keep);
    *of->keep = result;
  } else {
    PQclear(result);
  }
}

/* What answers one statement, and the NULL behind it. */
static bool take_answer(st_postgres_connection *c, const st_postgres_sent *of, int64_t until_us,
                        bool *ok) {
  PGresult *result = NULL;
  do {
    if (!st_postgres_next_result(c, until_us, &result)) return false;
    if (result != NULL) take_result(c, of, result, ok);
  } while (result != NULL);
  if (PQstatus(c->pg) == CONNECTION_OK) return true;
  return lose(c, PQerrorMessage(c->pg));
}

static bool take_sync(st_postgres_connection *c, int64_t until_us) {
  PGresult *result = NULL;
  if (!st_postgres_next_result(c, until_us, &result)) return false;
  bool ok = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
  PQclear(result);
  if (ok) return true;
  return lose(c, PQerrorMessage(c->pg));
}

static void drop_kept(st_postgres_connection *c) {
  for (size_t i = 0; i < c->sent_count; i++) {
    if (c->sent[i].keep == NULL) continue;
    PQclear(*c->sent[i].keep);
    *c->sent[i].keep = NULL;
  }
}

/* Without memory libpq loses an answer, and tells a failure that is none of the server's: what was
 * done, prepared or committed there nobody knows here, and this connection is used no more.
 */
bool st_postgres_sync(st_postgres_connection *c, int64_t until_us) {
  bool ok = true, connected = c->pg != NULL;
  if (!connected) return false;
  c->sqlstate[0] = '\0';
  c->timed_out = false;
  if (PQpipelineSync(c->pg) != 1) connected = lose(c, PQerrorMessage(c->pg));
  for (size_t i = 0; connected && i < c->sent_count; i++) {
    connected = take_answer(c, &c->sent[i], until_us, &ok);
  }
  if (connected) connected = take_sync(c, until_us);
  if (connected && !ok && c->sqlstate[0] == '\0') st_postgres_disconnect(c);
  if (!connected || !ok) drop_kept(c);
  c->sent_count = 0;
  return connected && ok;
}

PGresult *st_postgres_ask(st_postgres_connection *c, int which, const st_value *values,
                          int64_t until_us) {
  PGresult *result = NULL;
  return st_postgres_send(c, which, values, &result) && st_postgres_sync(c, until_us) ? result
                                                                                      : NULL;
}

bool st_postgres_do(st_postgres_connection *c, int which, const st_value *values,
                    int64_t until_us) {
  return st_postgres_send(c, which, values, NULL) && st_postgres_sync(c, until_us);
}
