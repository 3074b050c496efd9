/* Tells the log each day which keys end within 30 days: how many, and the ids of the first, which
 * nobody chose. The day is kept in the store, so that neither a restart nor another server on the
 * same store repeats it.
 */
#include "server/expiring_keys.h"

#include "base/date.h"
#include "os/error.h"
#include "os/log.h"

#define DAY INT64_C(86400)
#define LISTED 20 /* ids in a line */
#define LOGGED "server:keys_expiring_day"

static void expiring_write_line(int64_t now, int64_t count, const st_key *keys, size_t listed) {
  char line[ST_LOG_LINE_MAX], ids[LISTED * (ST_KEY_ID_LEN + 1)];
  st_writer writer = st_writer_on(line, sizeof line), list = st_writer_on(ids, sizeof ids);
  for (size_t i = 0; i < listed; i++) {
    if (i > 0) st_write_char(&list, ' ');
    st_write_view(&list, st_text(keys[i].id));
  }
  char first[ST_DATE_LEN + 1];
  st_writer date = st_writer_on(first, sizeof first);
  st_date_write(&date, keys[0].expires_at, false);
  st_log_begin(&writer, now, "keys_expiring");
  st_log_number(&writer, "count", count);
  st_log_number(&writer, "days", ST_EXPIRING_DAYS);
  st_log_field(&writer, "first_expires_at", (subtoken_text){first, date.len});
  st_log_field(&writer, "keys", (subtoken_text){ids, list.len});
  st_log_append(&writer, "keys_expiring");
}

/* Counts them, finds the first, and notes the day. *count stays 0 when nothing is to be told. */
static st_store_status expiring_find(st_store *store, int64_t now, st_key *keys, size_t *listed,
                                     int64_t *count, char *error) {
  int64_t until = now + ST_EXPIRING_DAYS * DAY, known = -1, found = 0;
  st_store_status status = st_store_key_count_expiring(store, now, until, &found, error);
  if (status != ST_STORE_OK || found == 0) return status;
  status = st_store_get_setting(store, LOGGED, &known, error);
  if (status == ST_STORE_OK && known == now / DAY) return ST_STORE_OK;
  if (status != ST_STORE_FAILED) {
    status =
        st_store_key_list_expiring(store, now, ST_KEY_ID_LAST, until, LISTED, keys, listed, error);
  }
  if (status != ST_STORE_OK || *listed == 0) return status;
  status = st_store_set_setting(store, LOGGED, now / DAY, error);
  if (status == ST_STORE_OK) *count = found;
  return status;
}

/* A day that differs is another one: clocks are set back, too. */
void st_expiring_keys_log(st_store *store, int64_t now) {
  static st_key keys[LISTED];
  static int64_t seen = -1; /* the day on which nothing is left to tell */
  char error[ST_ERROR_MAX];
  int64_t count = 0;
  size_t listed = 0;
  if (now / DAY == seen) return;
  st_store_status status = expiring_find(store, now, keys, &listed, &count, error);
  if (status == ST_STORE_OK) seen = now / DAY;
  if (status == ST_STORE_FAILED) st_log_event("store_error", error);
  if (count > 0) expiring_write_line(now, count, keys, listed);
}
