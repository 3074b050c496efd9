/* GET /v2/keys: the keys that a caller manages, in pages; all of them, that of a sub, or those that
 * are looked for by a text, their owner, their state or their end. One page looks at a bounded
 * number of keys, however many there are, and says where to go on.
 */
#include "service/key_list.h"

#include "base/date.h"
#include "base/json.h"
#include "domain/key_json.h"
#include "domain/store_search.h"
#include "service/reply.h"
#include "service/request.h"

#define KEYS_PAGE_MAX 100
#define KEYS_PAGE_DEFAULT 50
#define KEYS_TAIL 64  /* bytes of a body that are kept for what follows the keys of a page */
#define KEYS_BATCH 16 /* keys asked of the store at a time: 5 KiB each, on the stack */
#define KEYS_GROUP 8  /* characters of the first group of an id */
#define KEYS_PLACE_MAX (21 + ST_KEY_ID_LEN)

/* Behind which key a page begins. */
typedef struct keys_place {
  char id[ST_KEY_ID_LEN + 1];
  int64_t expires_at; /* where they come in that order, else 0 */
} keys_place;

/* A page: as many keys as were asked for and as fit into the reply. The next page begins after the
 * last of them, or of those that were looked at.
 */
typedef struct keys_page {
  st_writer writer;
  size_t written;
  keys_place last;
} keys_page;

static void keys_begin_page(st_context *c, keys_page *p) {
  *p = (keys_page){.writer = st_writer_on(c->reply->body, sizeof c->reply->body - KEYS_TAIL)};
  st_write_literal(&p->writer, "{\"keys\":[");
}

/* False when it does not fit any more. */
static bool keys_add_to_page(const st_context *c, keys_page *p, const st_key *key) {
  size_t before = p->writer.len;
  if (p->written > 0) st_write_char(&p->writer, ',');
  st_key_json_write(&p->writer, key, NULL, c->request->now);
  if (p->writer.overflow) {
    p->writer.len = before;
    p->writer.overflow = false;
    return false;
  }
  p->written++;
  memcpy(p->last.id, key->id, sizeof p->last.id);
  p->last.expires_at = key->expires_at;
  return true;
}

static void keys_write_place(st_writer *writer, const keys_place *place) {
  char text[KEYS_PLACE_MAX + 1];
  st_writer out = st_writer_on(text, sizeof text);
  if (place->expires_at != 0) {
    st_write_int(&out, place->expires_at);
    st_write_char(&out, ':');
  }
  st_write_view(&out, st_text(place->id));
  st_json_write_string(writer, (subtoken_text){text, out.len});
}

static void keys_end_page(st_context *c, keys_page *p, bool more) {
  p->writer.size = sizeof c->reply->body;
  st_write_char(&p->writer, ']');
  if (more) {
    st_write_literal(&p->writer, ",\"next\":");
    keys_write_place(&p->writer, &p->last);
  }
  st_write_char(&p->writer, '}');
  st_reply_end(c->reply, 200, &p->writer);
}

static const st_problem *keys_list_by_sub(st_context *c, const st_key_manager *m,
                                          subtoken_text sub) {
  keys_page p;
  st_key key;
  const st_key_changes *changes = c->service->changes;
  st_store_status found = changes->find_sub(changes->context, sub, &key);
  if (found != ST_STORE_OK && found != ST_STORE_NOT_FOUND) return st_key_manager_problem(found);
  keys_begin_page(c, &p);
  bool ours = found == ST_STORE_OK && st_key_manager_knows(m, &key);
  if (ours) (void)keys_add_to_page(c, &p, &key); /* one always fits */
  keys_end_page(c, &p, false);
  return NULL;
}

/* ---- all of them ---- */

/* The keys after an id, at most limit; *count. */
static const st_problem *keys_ask(st_context *c, const st_key_manager *m, const char *after,
                                  size_t limit, st_key *keys, size_t *count) {
  const st_key_changes *changes = c->service->changes;
  return st_key_manager_problem(
      changes->list(changes->context, m->owner, after, limit, keys, count));
}

static const st_problem *keys_list_page(st_context *c, const st_key_manager *m, const char *after,
                                        size_t limit) {
  st_key keys[KEYS_BATCH];
  size_t count, added;
  keys_page p;
  keys_begin_page(c, &p);
  memcpy(p.last.id, after, sizeof p.last.id);
  do {
    const st_problem *problem = keys_ask(c, m, p.last.id, KEYS_BATCH, keys, &count);
    if (problem != NULL) return problem;
    added = 0;
    while (added < count && p.written < limit && keys_add_to_page(c, &p, &keys[added])) added++;
  } while (added == KEYS_BATCH); /* where a page ends with a batch, the next says what follows */
  p.last.expires_at = 0;
  keys_end_page(c, &p, added < count);
  return NULL;
}

/* ---- those that are looked for ---- */

typedef struct keys_wanted {
  char after_text[KEYS_PLACE_MAX + 1], sub[SUBTOKEN_SUB_MAX + 1];
  char search[ST_NAME_MAX + 1], owner[ST_NAME_MAX + 1];
  char state[16], expiring[16];
  int64_t limit;
  keys_place after;
  st_key_filter filter;
  bool filtered, others; /* others': a user asks for keys of somebody else */
} keys_wanted;

/* False: the page is full. */
static bool keys_add_found(const st_context *c, keys_page *p, const st_key *keys, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!keys_add_to_page(c, p, &keys[i])) return false;
  }
  return true;
}

/* To a manager that is bound to an audience the last that was looked at may be a key of another.
 * Where it is, its first group says without naming it: few keys have it in common, and those are
 * looked at again, but for what is in this page.
 */
static void keys_hide_place(const keys_wanted *wanted, const char *added, keys_page *p) {
  char group[KEYS_GROUP + 1] = "";
  if (wanted->filter.audience == NULL || strcmp(p->last.id, added) == 0) return;
  memcpy(group, p->last.id, strnlen(p->last.id, KEYS_GROUP));
  const char *place = strcmp(group, added) < 0 ? added : group;
  if (strcmp(place, wanted->after.id) > 0) memcpy(p->last.id, place, strlen(place) + 1);
}

static const st_problem *keys_search(st_context *c, const keys_wanted *wanted) {
  const st_key_changes *changes = c->service->changes;
  st_key keys[KEYS_BATCH];
  size_t limit = (size_t)wanted->limit;
  st_search_page found = {.rows = ST_SEARCH_ROWS, .until_us = c->request->until_us};
  st_key_filter filter = wanted->filter;
  keys_page p;
  char added[ST_KEY_ID_LEN + 1] = "";
  bool fits = true;
  keys_begin_page(c, &p);
  p.last = wanted->after;
  do {
    size_t left = limit - p.written;
    found.limit = left < KEYS_BATCH ? left : KEYS_BATCH;
    filter.after_expires = p.last.expires_at;
    const st_problem *problem =
        st_key_manager_problem(changes->search(changes->context, &filter, p.last.id, keys, &found));
    if (problem != NULL) return problem;
    fits = keys_add_found(c, &p, keys, found.count);
    if (found.count > 0) memcpy(added, p.last.id, sizeof added);
    if (fits) {
      memcpy(p.last.id, found.last, sizeof p.last.id);
      p.last.expires_at = found.last_expires_at;
    }
  } while (fits && found.more && found.rows > 0 && p.written < limit);
  if (!st_key_filter_is_by_expiry(&filter)) p.last.expires_at = 0;
  keys_hide_place(wanted, added, &p);
  keys_end_page(c, &p, !fits || found.more);
  return NULL;
}

static const st_problem *keys_read_state(st_context *c, keys_wanted *wanted) {
  static const char *const states[] = {"active", "disabled", "suspended", "expired"};
  if (wanted->state[0] == '\0') return NULL;
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    if (strcmp(wanted->state, states[i]) == 0) {
      wanted->filter.state = wanted->state;
      return NULL;
    }
  }
  return st_problem_parameter(&c->problem, "state",
                              "must be active, disabled, suspended or expired");
}

static const st_problem *keys_read_expiring(st_context *c, keys_wanted *wanted) {
  int64_t span = 0;
  if (wanted->expiring[0] == '\0') return NULL;
  if (!st_date_read_duration(st_text(wanted->expiring), &span) || span < 1 || span > ST_NEVER / 2) {
    return st_problem_parameter(
        &c->problem, "expiring",
        "must be a number of seconds, or one with s, m, h or d such as 30d");
  }
  wanted->filter.expires_until = c->request->now + span;
  return NULL;
}

/* A user who manages the user's own keys alone finds no others, and a manager that is bound to an
 * audience none of others.
 */
static void keys_set_bounds(const st_key_manager *m, keys_wanted *wanted) {
  const char *audience = m->identity.key.audience;
  bool asked = wanted->owner[0] != '\0';
  if (asked) wanted->filter.owner = wanted->owner;
  if (audience[0] != '\0') wanted->filter.audience = audience;
  if (m->owner == NULL) return;
  wanted->others = asked && strcmp(wanted->owner, m->owner) != 0;
  wanted->filter.owner = m->owner;
}

static const st_problem *keys_after_problem(st_context *c) {
  return st_problem_parameter(&c->problem, "after", "must be the next of the page before");
}

/* What "next" was: an id or, where they come in the order in which they expire, that time and a
 * colon before it.
 */
static const st_problem *keys_read_after(st_context *c, keys_wanted *wanted) {
  const char *id = wanted->after_text;
  if (id[0] == '\0') return NULL;
  if (st_key_filter_is_by_expiry(&wanted->filter)) {
    int64_t at = 0;
    while (*id >= '0' && *id <= '9' && at < ST_NEVER / 10) at = at * 10 + (*id++ - '0');
    bool has_time = at > 0 && *id == ':';
    if (!has_time) return keys_after_problem(c);
    wanted->after.expires_at = at;
    id++;
  }
  if (strlen(id) > ST_KEY_ID_LEN) return keys_after_problem(c);
  memcpy(wanted->after.id, id, strlen(id) + 1);
  return NULL;
}

static const st_problem *keys_read_wanted(st_context *c, const st_key_manager *m, keys_wanted *w) {
  w->limit = KEYS_PAGE_DEFAULT;
  w->filter = (st_key_filter){.now = c->request->now};
  const st_problem *problem =
      st_request_query_text(c, "after", w->after_text, sizeof w->after_text);
  if (problem == NULL) problem = st_request_query_text(c, "sub", w->sub, sizeof w->sub);
  if (problem == NULL) problem = st_request_query_number(c, "limit", KEYS_PAGE_MAX, &w->limit);
  if (problem == NULL) problem = st_request_query_text(c, "search", w->search, sizeof w->search);
  if (problem == NULL) problem = st_request_query_text(c, "owner", w->owner, sizeof w->owner);
  if (problem == NULL) problem = st_request_query_text(c, "state", w->state, sizeof w->state);
  if (problem == NULL) {
    problem = st_request_query_text(c, "expiring", w->expiring, sizeof w->expiring);
  }
  if (problem == NULL) problem = keys_read_state(c, w);
  if (problem == NULL) problem = keys_read_expiring(c, w);
  if (problem != NULL) return problem;
  keys_set_bounds(m, w);
  w->filter.search = st_text(w->search);
  w->filtered = w->search[0] != '\0' || w->owner[0] != '\0' || w->filter.state != NULL ||
                w->filter.expires_until > 0 || w->filter.audience != NULL;
  return keys_read_after(c, w);
}

const st_problem *st_key_list_answer(st_context *c, const st_key_manager *m) {
  keys_wanted wanted = {0};
  keys_page none;
  const st_problem *problem = keys_read_wanted(c, m, &wanted);
  if (problem != NULL) return problem;
  if (wanted.sub[0] != '\0') return keys_list_by_sub(c, m, st_text(wanted.sub));
  if (wanted.others) {
    keys_begin_page(c, &none);
    keys_end_page(c, &none, false);
    return NULL;
  }
  if (wanted.filtered) return keys_search(c, &wanted);
  return keys_list_page(c, m, wanted.after.id, (size_t)wanted.limit);
}
