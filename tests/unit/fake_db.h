/* fake_db - a database that is none, and a store on it: it notes what is asked of it and answers
 * what the test says. For what the rules of src/store do around the statements of a change.
 */
#ifndef TESTS_UNIT_FAKE_DB_H
#define TESTS_UNIT_FAKE_DB_H

#include "store/transaction.h"

#include "run_tests.h"

#include <stdio.h>
#include <string.h>

static char calls[400]; /* what was asked of it, a word each */
static struct answers {
  st_store_status begin, commit, sequence_next, record;
  int times; /* that it answers so, then OK; 0: always */
  bool again, sequence_is_0;
  int64_t sequence; /* that stands; 0: its row is not there */
} answers;

static inline void note(const char *word) {
  size_t len = strlen(calls);
  assert_true(len + strlen(word) + 2 < sizeof calls);
  snprintf(calls + len, sizeof calls - len, "%s%s", len > 0 ? " " : "", word);
}

static inline st_store_status answer(st_store_status *status) {
  st_store_status now = *status;
  if (answers.times > 0 && --answers.times == 0) *status = ST_STORE_OK;
  return now;
}

static inline st_store_status fake_begin(st_db *db, int64_t until_us) {
  (void)db;
  assert_true(until_us > 0);
  note("begin");
  return answers.begin;
}

static inline st_store_status fake_commit(st_db *db, char *problem) {
  (void)db;
  note("commit");
  if (answers.commit != ST_STORE_OK) (void)st_db_fail(problem, "the commit failed");
  return answer(&answers.commit);
}

static inline void fake_rollback(st_db *db) {
  (void)db;
  note("rollback");
}

static inline st_store_status fake_run(st_db *db, st_sql which, const st_value *values,
                                       int64_t *changed) {
  (void)db;
  *changed = 1;
  if (which == ST_SQL_SEQUENCE_NEXT) {
    if (answers.sequence_next != ST_STORE_OK) return answer(&answers.sequence_next);
    answers.sequence = values[0].number;
  } else {
    assert_int_equal(which, ST_SQL_SEQUENCE_RECORD);
    assert_int_equal(values[0].number, answers.sequence);
    note("record");
    return answers.record;
  }
  return ST_STORE_OK;
}

static inline st_store_status fake_query(st_db *db, st_sql which, const st_value *values,
                                         void **rows) {
  (void)values;
  assert_int_equal(which, ST_SQL_SEQUENCE_GET);
  *rows = db;
  return answers.sequence != 0 || answers.sequence_is_0 ? ST_STORE_OK : ST_STORE_NOT_FOUND;
}

static inline void fake_finish(void *rows) {
  assert_non_null(rows);
}

static inline int64_t fake_number(void *rows, int column) {
  (void)rows;
  assert_int_equal(column, 0);
  return answers.sequence;
}

static inline bool fake_again(st_db *db) {
  (void)db;
  return answers.again;
}

static inline st_store_status fake_explain(st_db *db, const char *verb, char *problem) {
  (void)db;
  note(verb);
  return st_db_fail(problem, "it failed");
}

static st_db_ops ops;
static st_db db;
static st_store store;
static char error[ST_ERROR_MAX];

static inline st_db *fake_change_db(st_store *of) {
  assert_ptr_equal(of, &store);
  return &db;
}

/* As if it had just been opened. */
static inline void open_fake(void) {
  static const st_driver driver = {.change_db = fake_change_db};
  static char name[] = "a store";
  ops = (st_db_ops){.begin = fake_begin,
                    .commit = fake_commit,
                    .rollback = fake_rollback,
                    .run = fake_run,
                    .query = fake_query,
                    .finish = fake_finish,
                    .number = fake_number,
                    .again = fake_again,
                    .explain = fake_explain};
  store = (st_store){.name = name};
  st_db_store_start(&store, &driver);
  db = (st_db){.ops = &ops, .store = &store, .sequence = 4711, .wants_order = true};
  answers =
      (struct answers){ST_STORE_OK, ST_STORE_OK, ST_STORE_OK, ST_STORE_OK, 0, false, false, 7};
  calls[0] = error[0] = '\0';
}

#endif
