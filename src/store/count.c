/* Counts keys in steps, each of which looks at a bounded number of rows and gives the connection
 * back: a million take a third of a second, in which a login or a change would wait for it. What
 * changes meanwhile is counted as it was or as it is.
 */
#include <string.h>

#include "domain/store.h"
#include "store/query.h"

#define COUNT_STEP 5000 /* rows */

typedef struct count_step {
  int64_t looked_at, counted;
  int64_t expires_at; /* of the last row, where the rows are in this order */
  char last[ST_KEY_ID_LEN + 1];
} count_step;

static bool take_step(const st_row *row, void *item) {
  count_step *step = item;
  step->looked_at = st_row_number(row, ST_COL_COUNT_LOOKED_AT);
  step->counted = st_row_number(row, ST_COL_COUNT_COUNTED);
  step->expires_at = st_row_number(row, ST_COL_COUNT_EXPIRES_AT);
  return st_row_text(row, ST_COL_COUNT_LAST, step->last, sizeof step->last);
}

st_store_status st_store_key_count(st_store *store, int64_t *count, char *error) {
  count_step step = {.looked_at = COUNT_STEP};
  char after[ST_KEY_ID_LEN + 1] = "";
  int64_t counted = 0;
  while (step.looked_at == COUNT_STEP) {
    st_store_status status = st_query_one(store, ST_SQL_KEY_COUNT,
                                          ST_VALUES(st_db_text(after), st_db_number(COUNT_STEP)),
                                          &step, sizeof step, take_step, error);
    if (status != ST_STORE_OK) return status;
    counted += step.counted;
    memcpy(after, step.last, sizeof after);
  }
  *count = counted;
  return ST_STORE_OK;
}

st_store_status st_store_key_count_expiring(st_store *store, int64_t after, int64_t until,
                                            int64_t *count, char *error) {
  count_step step = {.looked_at = COUNT_STEP};
  char after_id[ST_KEY_ID_LEN + 1] = ""; /* before the ids of the second that follows */
  int64_t counted = 0;
  after++;
  while (step.looked_at == COUNT_STEP) {
    st_store_status status = st_query_one(store, ST_SQL_KEY_COUNT_EXPIRING,
                                          ST_VALUES(st_db_number(after), st_db_text(after_id),
                                                    st_db_number(until), st_db_number(COUNT_STEP)),
                                          &step, sizeof step, take_step, error);
    if (status != ST_STORE_OK) return status;
    counted += step.counted;
    after = step.expires_at;
    memcpy(after_id, step.last, sizeof after_id);
  }
  *count = counted;
  return ST_STORE_OK;
}
