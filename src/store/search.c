/* Looks for keys and users: through so many rows of an index at most, whose few columns are
 * compared here, so that both databases find the same; what is found is read then. The audit log is
 * looked through in audit_list.c.
 */
#include "domain/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/key_json.h"
#include "domain/store_search.h"
#include "os/clock.h"
#include "store/key_row.h"
#include "store/query.h"
#include "store/user_row.h"

/* Rows that a database is asked for at a time: more where there is little to find. */
#define SEARCH_STEP_FIRST 64
#define SEARCH_STEP_MAX 500
#define ID_SEARCH_MIN                                                        \
  8 /* characters of an id by which keys are found without looking at others \
     */

typedef struct search {
  st_search text;
  const st_key_filter *filter; /* of keys */
  st_search_page *page;
  size_t looked_at, most;
  char id[ST_KEY_ID_LEN + 1]; /* not empty: only ids that begin with it are looked at */
  bool again;                 /* there is one more than the page has room for */
  char (*found)[ST_NAME_MAX + 1];
  size_t count;
} search;

/* A row that was looked at. The page is followed by another one when one more fits. */
static st_query_go search_note(search *s, const char *name, bool fits) {
  if (fits && s->count == s->page->limit) {
    s->again = true;
    return ST_QUERY_STOP;
  }
  s->looked_at++;
  if (fits) memcpy(s->found[s->count++], name, strlen(name) + 1);
  memcpy(s->page->last, name, strlen(name) + 1);
  return ST_QUERY_GO_ON;
}

/* ---- keys ---- */

static bool is_any_or(const char *wanted, const char *text) {
  return wanted == NULL || strcmp(text, wanted) == 0;
}

static bool key_fits(const search *s, const st_key *key) {
  const st_key_filter *filter = s->filter;
  bool ends = key->expires_at > filter->now && key->expires_at <= filter->expires_until;
  return (filter->expires_until == 0 || ends) && is_any_or(filter->owner, key->owner) &&
         is_any_or(filter->audience, key->audience) &&
         is_any_or(filter->state, st_key_json_state(key, filter->now)) &&
         (s->text.len == 0 || st_search_finds(&s->text, key->name) ||
          st_search_finds(&s->text, key->owner) || st_search_begins(&s->text, key->id));
}

/* The beginning of an id, as ids are written: a group at least. Otherwise id stays as it is. */
static bool is_id(subtoken_text text, char id[ST_KEY_ID_LEN + 1]) {
  char written[ST_KEY_ID_LEN + 1];
  if (text.len < ID_SEARCH_MIN || text.len > ST_KEY_ID_LEN) return false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.data[i];
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? c != '-' : st_hex_value(c) < 0) return false;
    written[i] = (char)(c >= 'a' ? c - 32 : c);
  }
  memcpy(id, written, text.len);
  id[text.len] = '\0';
  return true;
}

static st_query_go visit_key(const st_row *row, void *context) {
  search *s = context;
  st_key key; /* these columns of it */
  if (!st_row_text(row, ST_COL_SCAN_ID, key.id, sizeof key.id) ||
      !st_row_text(row, ST_COL_SCAN_NAME, key.name, sizeof key.name) ||
      !st_row_text(row, ST_COL_SCAN_OWNER, key.owner, sizeof key.owner) ||
      !st_row_text(row, ST_COL_SCAN_AUDIENCE, key.audience, sizeof key.audience)) {
    return ST_QUERY_DAMAGED;
  }
  key.expires_at = st_row_number(row, ST_COL_SCAN_EXPIRES_AT);
  key.disabled = st_row_number(row, ST_COL_SCAN_DISABLED) != 0;
  key.suspended = st_row_number(row, ST_COL_SCAN_SUSPENDED) != 0;
  if (s->id[0] != '\0' && strncmp(key.id, s->id, strlen(s->id)) > 0) return ST_QUERY_STOP;
  st_query_go go = search_note(s, key.id, key_fits(s, &key));
  if (go == ST_QUERY_GO_ON) s->page->last_expires_at = key.expires_at;
  return go;
}

/* In the order of their ids: of the owner's, or of all. */
static st_store_status scan_behind(st_db *db, search *s, const char *id, char *error) {
  const char *owner = s->filter->owner;
  st_value after = st_db_text(id), rows = st_db_number((int64_t)s->most);
  return owner == NULL
             ? st_query_visit(db, ST_SQL_KEY_SCAN, ST_VALUES(after, rows), visit_key, s, error)
             : st_query_visit(db, ST_SQL_KEY_SCAN_OWNED, ST_VALUES(after, rows, st_db_text(owner)),
                              visit_key, s, error);
}

static st_store_status scan_keys(st_db *db, search *s, const char *after, char *error) {
  const st_key_filter *filter = s->filter;
  if (!st_key_filter_is_by_expiry(filter)) return scan_behind(db, s, after, error);
  bool begun = filter->after_expires > filter->now; /* what has expired is behind already */
  st_value id = st_db_text(begun ? after : ""),
           at = st_db_number(begun ? filter->after_expires : filter->now + 1);
  return st_query_visit(
      db, ST_SQL_KEY_SCAN_EXPIRING,
      ST_VALUES(id, st_db_number((int64_t)s->most), at, st_db_number(filter->expires_until)),
      visit_key, s, error);
}

/* The keys whose ids begin with the text: the index leads to them. None is found when the text is
 * no id, or is that of none.
 */
static st_store_status scan_ids(st_db *db, search *s, const char *after, char *error) {
  char from[ST_KEY_ID_LEN + 1];
  if (st_key_filter_is_by_expiry(s->filter) || !is_id(s->filter->search, s->id)) return ST_STORE_OK;
  memcpy(from, s->id, sizeof from);
  from[ST_KEY_ID_LEN - 1] = '\0'; /* behind the beginning is the whole */
  if (strcmp(after, from) > 0) snprintf(from, sizeof from, "%s", after);
  st_store_status status = scan_behind(db, s, from, error);
  s->id[0] = '\0';
  return status;
}

/* ---- both ---- */

/* What was found is read by statements of so many names: one after the other, a database at the
 * other end of a network would be asked a hundred times a page.
 */
typedef struct found_rows {
  const search *s;
  size_t from, to; /* of what was found */
  int column;      /* which has the name */
  st_query_take_fn *take;
  char *items; /* for those, in this order: those that are not read stay zero */
  size_t size;
} found_rows;

static st_query_go visit_found(const st_row *row, void *context) {
  const found_rows *f = context;
  char name[ST_NAME_MAX + 1];
  if (!st_row_text(row, f->column, name, sizeof name)) return ST_QUERY_DAMAGED;
  size_t at = f->from;
  while (at < f->to && strcmp(f->s->found[at], name) != 0) at++;
  if (at == f->to) return ST_QUERY_DAMAGED; /* not asked for */
  return f->take(row, f->items + at * f->size) ? ST_QUERY_GO_ON : ST_QUERY_DAMAGED;
}

static st_store_status read_some(st_db *db, st_sql which, found_rows *f, char *error) {
  st_value names[ST_SQL_FOUND_MAX + 1] = {{0}};
  f->to = f->from + ST_SQL_FOUND_MAX < f->s->count ? f->from + ST_SQL_FOUND_MAX : f->s->count;
  for (size_t i = 0; i < ST_SQL_FOUND_MAX; i++) {
    names[i] = st_db_text(f->from + i < f->to ? f->s->found[f->from + i] : "");
  }
  return st_query_visit(db, which, names, visit_found, f, error);
}

/* Items that were read: both begin with the key. One that has ended meanwhile is passed over. */
static void close_up(st_search_page *page, size_t found, char *items, size_t size) {
  for (size_t i = 0; i < found; i++) {
    const st_key *key = (const st_key *)(const void *)(items + i * size);
    if (key->id[0] == '\0') continue;
    if (i != page->count) memcpy(items + page->count * size, items + i * size, size);
    page->count++;
  }
}

static st_store_status read_found(st_db *db, st_sql which, found_rows *f, char *error) {
  memset(f->items, 0, f->s->count * f->size);
  for (f->from = 0; f->from < f->s->count; f->from = f->to) {
    st_store_status status = read_some(db, which, f, error);
    if (status != ST_STORE_OK) return status;
  }
  close_up(f->s->page, f->s->count, f->items, f->size);
  return ST_STORE_OK;
}

static bool search_start(search *s, subtoken_text text, const char *after, st_search_page *page) {
  page->count = 0;
  page->more = false;
  page->last[0] = '\0';
  page->last_expires_at = 0;
  strncat(page->last, after, sizeof page->last - 1);
  s->page = page;
  if (page->step == 0) page->step = SEARCH_STEP_FIRST;
  s->most = page->rows < page->step ? page->rows : page->step;
  return st_search_start(&s->text, text);
}

static void search_end(const search *s) {
  st_search_page *page = s->page;
  page->more = s->again || s->looked_at == s->most;
  page->rows -= s->looked_at;
  if (!s->again) page->step = page->step * 2 < SEARCH_STEP_MAX ? page->step * 2 : SEARCH_STEP_MAX;
  int64_t until_us = page->until_us;
  if (until_us != 0 && st_clock_monotonic_us() >= until_us) page->rows = 0;
}

static st_store_status search_begin(st_store *store, search *s, st_db **db, char *error) {
  s->found = calloc(s->page->limit + 1, sizeof *s->found);
  if (s->found == NULL) return st_db_fail(error, "cannot search: out of memory");
  *db = store->driver->acquire_query_db(store, error);
  return *db != NULL ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_store_key_search(st_store *store, const st_key_filter *filter, const char *after,
                                    st_key *keys, st_search_page *page, char *error) {
  search s = {.filter = filter};
  found_rows found = {.s = &s,
                      .column = ST_COL_ID,
                      .take = st_key_row_take,
                      .items = (char *)keys,
                      .size = sizeof *keys};
  st_db *db = NULL;
  if (!search_start(&s, filter->search, after, page)) return ST_STORE_OK;
  st_store_status status = search_begin(store, &s, &db, error);
  if (status == ST_STORE_OK) status = scan_ids(db, &s, after, error);
  if (status == ST_STORE_OK && s.count == 0) {
    s.looked_at = 0;
    status = scan_keys(db, &s, after, error);
  }
  if (status == ST_STORE_OK) status = read_found(db, ST_SQL_KEY_FOUND, &found, error);
  if (db != NULL) store->driver->release_query_db(db);
  free(s.found);
  if (status == ST_STORE_OK) search_end(&s);
  return status;
}

static st_query_go visit_user(const st_row *row, void *context) {
  char name[ST_NAME_MAX + 1];
  search *s = context;
  if (!st_row_text(row, 0, name, sizeof name)) return ST_QUERY_DAMAGED;
  return search_note(s, name, st_search_finds(&s->text, name));
}

st_store_status st_store_user_search(st_store *store, subtoken_text text, const char *after,
                                     st_user *users, st_search_page *page, char *error) {
  search s = {.filter = NULL};
  found_rows found = {.s = &s,
                      .column = ST_COL_OWNER,
                      .take = st_user_row_take,
                      .items = (char *)users,
                      .size = sizeof *users};
  st_db *db = NULL;
  if (!search_start(&s, text, after, page)) return ST_STORE_OK;
  if (s.text.len == 0 && page->limit < s.most) s.most = page->limit + 1;
  st_store_status status = search_begin(store, &s, &db, error);
  if (status == ST_STORE_OK) {
    status = st_query_visit(db, ST_SQL_USER_SCAN,
                            ST_VALUES(st_db_text(after), st_db_number((int64_t)s.most)), visit_user,
                            &s, error);
  }
  if (status == ST_STORE_OK) status = read_found(db, ST_SQL_USER_FOUND, &found, error);
  if (db != NULL) store->driver->release_query_db(db);
  free(s.found);
  if (status == ST_STORE_OK) search_end(&s);
  return status;
}
