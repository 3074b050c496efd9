/* store_answers - lets a test answer a statement of a store in place of its database, or change
 * what the database has answered: for what an undamaged database says seldom or never. It stands
 * between the rules (src/store) and the connections of any kind of store.
 */
#ifndef TESTS_UNIT_STORE_ANSWERS_H
#define TESTS_UNIT_STORE_ANSWERS_H

#include "store_contract.h"

#include "store/db.h"

typedef enum {
  ANSWER_NOTHING,  /* watched: counted, and its first numbers are kept */
  ANSWER_FAILURE,  /* the statement fails */
  ANSWER_NO_ROW,   /* a query finds none */
  ANSWER_ROW,      /* a query finds one row of these numbers and this text */
  ANSWER_NUMBER,   /* this column of the rows found is this number */
  ANSWER_BAD_TEXT, /* this column of the rows found has no good text */
  ANSWER_TEXT,     /* this column of the rows found has this text */
  ANSWER_SKIP,     /* the first of the rows found is not there */
  ANSWER_BREAK,    /* behind the first of the rows found it fails */
  ANSWER_REPEAT,   /* the first of the rows found comes so many times */
  ANSWER_CHANGED,  /* a statement without rows has changed so many */
  ANSWER_DISABLED, /* the row found is disabled (1), suspended (2) or both */
} answer_kind;

typedef struct answer {
  st_sql which;
  answer_kind kind;
  int from, to; /* of its runs, from 1; 0: all */
  int column;
  int64_t number;     /* or how many */
  int64_t numbers[4]; /* of ANSWER_ROW: columns that are no number have the text */
  const char *text;
  int runs;          /* how often it was run */
  int64_t values[4]; /* of the last run: its first numbers */
  char first[64];    /* its first text */
  bool ordered;      /* and whether its change may take a sequence */
  int64_t repeated;
} answer;

#define ANSWERS_MAX 8
static answer answers[ANSWERS_MAX];
static size_t answer_count;
static const st_db_ops *answers_working;
static st_db_ops answers_ops;
static const st_driver *answers_driver;
static st_driver answers_own_driver;

/* Of which statement rows are: those that were found last. */
static struct {
  void *rows;
  st_sql which;
} answer_rows[4];
static const answer *answer_row; /* that an ANSWER_ROW stands at: rows that are no database's */

static inline bool answer_is_due(const answer *a) {
  return (a->from == 0 || a->runs >= a->from) && (a->to == 0 || a->runs <= a->to);
}

static inline answer *answer_of(st_sql which, answer_kind wanted, int column) {
  bool of_column = wanted == ANSWER_NUMBER || wanted == ANSWER_TEXT || wanted == ANSWER_BAD_TEXT;
  for (size_t i = 0; i < answer_count; i++) {
    answer *a = &answers[i];
    bool fits = a->which == which && a->kind == wanted && (!of_column || a->column == column);
    if (fits && answer_is_due(a)) return a;
  }
  return NULL;
}

static inline st_sql answers_statement(const void *rows) {
  for (size_t i = 0; i < 4; i++) {
    if (answer_rows[i].rows == rows) return answer_rows[i].which;
  }
  return (st_sql)-1;
}

static inline void answers_note(const st_db *db, st_sql which, const st_value *values) {
  for (size_t i = 0; i < answer_count; i++) {
    if (answers[i].which != which) continue;
    answers[i].runs++;
    answers[i].ordered = db->ordered;
    answers[i].first[0] = '\0';
    for (size_t v = 0; v < 4 && values[v].type != ST_VALUE_END; v++) {
      answers[i].values[v] = values[v].number;
      if (values[v].type == ST_VALUE_TEXT && answers[i].first[0] == '\0') {
        snprintf(answers[i].first, sizeof answers[i].first, "%.*s", (int)values[v].len,
                 (const char *)values[v].data);
      }
    }
  }
}

static inline st_store_status answers_run(st_db *db, st_sql which, const st_value *values,
                                          int64_t *changed) {
  answers_note(db, which, values);
  if (answer_of(which, ANSWER_FAILURE, 0) != NULL) return ST_STORE_FAILED;
  st_store_status status = answers_working->run(db, which, values, changed);
  const answer *a = answer_of(which, ANSWER_CHANGED, 0);
  if (a != NULL) *changed = a->number;
  return status;
}

static inline st_store_status answers_query(st_db *db, st_sql which, const st_value *values,
                                            void **rows) {
  answers_note(db, which, values);
  if (answer_of(which, ANSWER_FAILURE, 0) != NULL) return ST_STORE_FAILED;
  if (answer_of(which, ANSWER_NO_ROW, 0) != NULL) return ST_STORE_NOT_FOUND;
  const answer *a = answer_of(which, ANSWER_ROW, 0);
  if (a != NULL) {
    answer_row = a;
    *rows = &answer_row;
    return ST_STORE_OK;
  }
  st_store_status status = answers_working->query(db, which, values, rows);
  size_t at = 0;
  while (at < 3 && answer_rows[at].rows != NULL && answer_rows[at].rows != *rows) at++;
  answer_rows[at].rows = *rows;
  answer_rows[at].which = which;
  if (status == ST_STORE_OK && answer_of(which, ANSWER_SKIP, 0) != NULL) {
    status = answers_working->next(*rows);
  }
  return status;
}

static inline st_store_status answers_next(void *rows) {
  if (rows == &answer_row) return ST_STORE_NOT_FOUND;
  if (answer_of(answers_statement(rows), ANSWER_BREAK, 0) != NULL) return ST_STORE_FAILED;
  answer *a = answer_of(answers_statement(rows), ANSWER_REPEAT, 0);
  if (a != NULL && ++a->repeated < a->number) return ST_STORE_OK;
  return answers_working->next(rows);
}

static inline void answers_finish(void *rows) {
  if (rows != &answer_row) answers_working->finish(rows);
}

static inline int64_t answers_number(void *rows, int column) {
  if (rows == &answer_row) return answer_row->numbers[column];
  const answer *a = answer_of(answers_statement(rows), ANSWER_NUMBER, column);
  return a != NULL ? a->number : answers_working->number(rows, column);
}

static inline bool answers_text(void *rows, int column, char *out, size_t size) {
  if (rows != &answer_row) {
    st_sql which = answers_statement(rows);
    if (answer_of(which, ANSWER_BAD_TEXT, column) != NULL) return false;
    const answer *a = answer_of(which, ANSWER_TEXT, column);
    if (a == NULL) return answers_working->text(rows, column, out, size);
    return (size_t)snprintf(out, size, "%s", a->text) < size;
  }
  return answer_row->text != NULL && (size_t)snprintf(out, size, "%s", answer_row->text) < size;
}

static inline bool answers_key(void *rows, st_key *key) {
  st_sql which = answers_statement(rows);
  bool bad = answer_of(which, ANSWER_BAD_TEXT, ST_COL_ID) != NULL;
  const answer *a = answer_of(which, ANSWER_DISABLED, 0);
  if (bad || !answers_working->key(rows, key)) return false;
  if (a != NULL && (a->number & 1) != 0) key->disabled = true;
  if (a != NULL && (a->number & 2) != 0) key->suspended = true;
  return true;
}

static int64_t answers_until_us; /* how long the last change would have waited for its turn */

static inline st_store_status answers_begin(st_db *db, int64_t until_us) {
  answers_until_us = until_us;
  return answers_working->begin(db, until_us);
}

static inline st_db *answers_wrap(st_db *db) {
  if (db != NULL && db->ops != &answers_ops) {
    answers_working = db->ops;
    answers_ops = *answers_working;
    answers_ops.begin = answers_begin;
    answers_ops.run = answers_run;
    answers_ops.query = answers_query;
    answers_ops.next = answers_next;
    answers_ops.finish = answers_finish;
    answers_ops.number = answers_number;
    answers_ops.text = answers_text;
    answers_ops.key = answers_key;
    db->ops = &answers_ops;
  }
  return db;
}

static inline st_db *answers_change_db(st_store *of) {
  return answers_wrap(answers_driver->change_db(of));
}

static inline st_db *answers_read_db(st_store *of, char *problem) {
  return answers_wrap(answers_driver->begin_read(of, problem));
}

static inline st_db *answers_query_db(st_store *of, char *problem) {
  return answers_wrap(answers_driver->acquire_query_db(of, problem));
}

/* From now on these, and no others. */
static inline void answer_with(const answer *list, size_t count) {
  assert_true(count <= ANSWERS_MAX);
  memset(answers, 0, sizeof answers);
  memset(answer_rows, 0, sizeof answer_rows);
  answer_count = count;
  if (count > 0) memcpy(answers, list, count * sizeof *list);
  if (store->driver == &answers_own_driver) return;
  answers_driver = store->driver;
  answers_own_driver = *answers_driver;
  answers_own_driver.change_db = answers_change_db;
  answers_own_driver.acquire_query_db = answers_query_db;
  answers_own_driver.begin_read = answers_read_db;
  store->driver = &answers_own_driver;
}

#define ANSWER(...) \
  answer_with((const answer[]){__VA_ARGS__}, sizeof((const answer[]){__VA_ARGS__}) / sizeof(answer))
#define NO_ANSWERS answer_with(NULL, 0)

#endif
