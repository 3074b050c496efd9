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

/* A page: as many keys as were asked for and as fit into the reply. The next page begins after the
 * last of them.
 */
typedef struct keys_page {
  st_writer writer;
  size_t written;
  char last[ST_KEY_ID_LEN + 1];
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
  memcpy(p->last, key->id, sizeof p->last);
  return true;
}

/* Those of other audiences than a bound manager's are passed over. */
static bool keys_pass_to_page(const st_context *c, const st_key_manager *m, keys_page *p,
                              const st_key *key) {
  if (st_key_manager_knows(m, key)) return keys_add_to_page(c, p, key);
  memcpy(p->last, key->id, sizeof p->last);
  return true;
}

static void keys_end_page(st_context *c, keys_page *p, bool more) {
  p->writer.size = sizeof c->reply->body;
  st_write_char(&p->writer, ']');
  if (more) {
    st_write_literal(&p->writer, ",\"next\":");
    st_json_write_string(&p->writer, st_text(p->last));
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
  *count = 0;
  return st_key_manager_problem(
      changes->list(changes->context, m->owner, after, limit, keys, count));
}

static const st_problem *keys_list_page(st_context *c, const st_key_manager *m, const char *after,
                                        size_t limit) {
  st_key keys[KEYS_BATCH];
  size_t count, added;
  keys_page p;
  keys_begin_page(c, &p);
  memcpy(p.last, after, sizeof p.last);
  do {
    const st_problem *problem = keys_ask(c, m, p.last, KEYS_BATCH, keys, &count);
    if (problem != NULL) return problem;
    added = 0;
    while (added < count && p.written < limit && keys_pass_to_page(c, m, &p, &keys[added])) added++;
  } while (added == KEYS_BATCH && p.written < limit);
  bool more = added < count;
  if (!more && count == KEYS_BATCH) { /* it ends where a batch does: does anything follow? */
    const st_problem *problem = keys_ask(c, m, p.last, 1, keys, &count);
    if (problem != NULL) return problem;
    more = count > 0;
  }
  keys_end_page(c, &p, more);
  return NULL;
}

/* ---- those that are looked for ---- */

typedef struct keys_wanted {
  char after[ST_KEY_ID_LEN + 1], sub[SUBTOKEN_SUB_MAX + 1];
  char search[ST_NAME_MAX + 1], owner[ST_NAME_MAX + 1];
  char state[16], expiring[16];
  int64_t limit;
  st_key_filter filter;
  bool filtered;
} keys_wanted;

/* False: the page is full. */
static bool keys_add_found(const st_context *c, const st_key_manager *m, keys_page *p,
                           const st_key *keys, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!keys_pass_to_page(c, m, p, &keys[i])) return false;
  }
  return true;
}

static const st_problem *keys_search(st_context *c, const st_key_manager *m,
                                     const keys_wanted *wanted) {
  const st_key_changes *changes = c->service->changes;
  st_key keys[KEYS_BATCH];
  size_t limit = (size_t)wanted->limit;
  st_search_page found = {.rows = ST_SEARCH_ROWS};
  keys_page p;
  bool fits = true;
  keys_begin_page(c, &p);
  memcpy(p.last, wanted->after, sizeof p.last);
  do {
    size_t left = limit - p.written;
    found.limit = left < KEYS_BATCH ? left : KEYS_BATCH;
    const st_problem *problem = st_key_manager_problem(
        changes->search(changes->context, &wanted->filter, p.last, keys, &found));
    if (problem != NULL) return problem;
    fits = keys_add_found(c, m, &p, keys, found.count);
    if (fits) memcpy(p.last, found.last, sizeof p.last);
  } while (fits && found.more && found.rows > 0 && p.written < limit);
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

/* A user who manages the user's own keys alone finds no others. */
static void keys_set_owner(const st_key_manager *m, keys_wanted *wanted) {
  if (wanted->owner[0] != '\0') wanted->filter.owner = wanted->owner;
  if (m->owner == NULL) return;
  if (wanted->owner[0] != '\0' && strcmp(wanted->owner, m->owner) != 0) {
    wanted->filter.owner = ""; /* nobody's, and each key of a user has an owner */
    return;
  }
  wanted->filter.owner = m->owner;
}

static const st_problem *keys_read_wanted(st_context *c, const st_key_manager *m, keys_wanted *w) {
  w->limit = KEYS_PAGE_DEFAULT;
  w->filter = (st_key_filter){.now = c->request->now};
  const st_problem *problem = st_request_query_text(c, "after", w->after, sizeof w->after);
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
  w->filter.search = st_text(w->search);
  w->filtered = w->search[0] != '\0' || w->owner[0] != '\0' || w->filter.state != NULL ||
                w->filter.expires_until > 0;
  keys_set_owner(m, w);
  return NULL;
}

const st_problem *st_key_list_answer(st_context *c, const st_key_manager *m) {
  keys_wanted wanted;
  const st_problem *problem = keys_read_wanted(c, m, &wanted);
  if (problem != NULL) return problem;
  if (wanted.sub[0] != '\0') return keys_list_by_sub(c, m, st_text(wanted.sub));
  if (wanted.filtered) return keys_search(c, m, &wanted);
  return keys_list_page(c, m, wanted.after, (size_t)wanted.limit);
}
