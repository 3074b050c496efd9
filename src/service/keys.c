/* Parent keys over HTTP: /v2/keys makes and lists them. One of them, /v2/keys/ID, is in key_one.c;
 * who manages whose, in key_manager.c. What a new key may do is checked here against what the
 * caller may, and once more in the store's transaction.
 */
#include "base/date.h"
#include "base/json.h"
#include "domain/key_json.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/json_body.h"
#include "service/key_manager.h"
#include "service/reply.h"
#include "service/request.h"

#define KEYS_PAGE_MAX 100
#define KEYS_PAGE_DEFAULT 50
#define KEYS_TAIL 64  /* bytes of a body that are kept for what follows the keys of a page */
#define KEYS_BATCH 16 /* keys asked of the store at a time: 5 KiB each, on the stack */

/* ---- POST /v2/keys ---- */

enum { NAME, PERMISSIONS, EXPIRES, OWNER, OWNER_IS_USER, AUDIENCE, FIELDS };

/* It ends with what it was made with, at the latest. */
static const st_problem *keys_take_expiry(st_context *c, const st_key_manager *m,
                                          const st_field *field, st_key *key) {
  int64_t life = 0, most;
  key->expires_at = ST_NEVER;
  if (field->given && !st_text_is(field->text, "never")) {
    bool unit = field->text.len > 0 && field->text.data[field->text.len - 1] > '9';
    if (!unit || !st_date_read_duration(field->text, &life) || life < 1 || life > ST_NEVER / 2) {
      return st_problem_parameter(
          &c->problem, "expires",
          "must be \"never\", or a number with s, m, h or d such as \"30d\"");
    }
    key->expires_at = key->created_at + life;
  }
  const st_problem *problem = st_access_find_end(c, &m->identity, &most);
  if (problem != NULL) return problem;
  c->reply->event.clamped = key->expires_at > most;
  if (key->expires_at > most) key->expires_at = most;
  return NULL;
}

static const st_problem *keys_take_owner(st_context *c, const st_key_manager *m,
                                         const st_field *field, st_key *key) {
  if (!field->given) {
    memcpy(key->owner, m->identity.key.owner, sizeof key->owner);
    return NULL;
  }
  const st_problem *problem = st_key_manager_text(c, field, key->owner);
  if (problem != NULL || m->owner == NULL || strcmp(key->owner, m->owner) == 0) return problem;
  return st_problem_permission(&c->problem, st_text(ST_KEY_MANAGER_PERMISSION));
}

/* A bound key makes keys of its own audience. */
static const st_problem *keys_take_audience(st_context *c, const st_key_manager *m,
                                            const st_field *field, st_key *key) {
  const char *bound = m->identity.key.audience;
  if (field->given && !subtoken_audience_valid(field->text)) {
    return st_problem_parameter(&c->problem, "audience", "must be 1 to 32 characters A-Za-z0-9_-");
  }
  if (field->given && bound[0] != '\0' && !st_text_is(field->text, bound)) {
    return st_problem_escalation(&c->problem, "audience: must be that of the key you use");
  }
  memcpy(key->audience, bound, sizeof key->audience);
  if (!field->given) return NULL;
  memcpy(key->audience, field->text.data, field->text.len);
  key->audience[field->text.len] = '\0';
  return NULL;
}

/* 409 and not 429: to ask again later does not help. */
static const st_problem *keys_full(st_context *c, const st_key *key) {
  char text[192];
  bool owned = key->owner[0] != '\0';
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, owned ? "an owner" : "a key");
  st_write_literal(&writer, owned ? " may have at most " : " may make at most ");
  st_write_int(&writer, c->service->settings->keys_per_owner);
  st_write_literal(&writer, owned ? " keys" : " keys without an owner");
  st_write_literal(&writer,
                   ", and this one has: delete one that is not used any more, or ask the "
                   "operator to raise keys_per_owner");
  if (!st_writer_end(&writer)) text[0] = '\0';
  return st_problem_make(&c->problem, 409, "key_limit", text);
}

static const st_problem *keys_read(st_context *c, const st_key_manager *m, const st_field *fields,
                                   st_key *key) {
  if (!fields[NAME].given) return st_problem_parameter(&c->problem, "name", "is missing");
  if (!fields[PERMISSIONS].given)
    return st_problem_parameter(&c->problem, "permissions", "is missing");
  key->created_at = c->request->now;
  key->owner_is_user = fields[OWNER_IS_USER].flag;
  const st_problem *problem = st_key_manager_text(c, &fields[NAME], key->name);
  if (problem == NULL) problem = keys_take_owner(c, m, &fields[OWNER], key);
  if (problem == NULL) problem = keys_take_expiry(c, m, &fields[EXPIRES], key);
  if (problem == NULL) problem = keys_take_audience(c, m, &fields[AUDIENCE], key);
  subtoken_text permissions = fields[PERMISSIONS].text;
  if (problem == NULL) problem = st_access_covers(c, &m->identity, permissions);
  if (problem != NULL) return problem;
  memcpy(key->permissions, permissions.data, permissions.len);
  key->permissions[permissions.len] = '\0';
  return NULL;
}

static const st_problem *keys_create(st_context *c, const st_key_manager *m) {
  char scratch[ST_BODY_SCRATCH], whole[ST_KEY_LEN + 1];
  st_field fields[FIELDS] = {[NAME] = {.name = "name", .type = ST_FIELD_TEXT},
                             [PERMISSIONS] = {.name = "permissions", .type = ST_FIELD_PERMISSIONS},
                             [EXPIRES] = {.name = "expires", .type = ST_FIELD_TEXT},
                             [OWNER] = {.name = "owner", .type = ST_FIELD_TEXT},
                             [OWNER_IS_USER] = {.name = "owner_is_user", .type = ST_FIELD_BOOL},
                             [AUDIENCE] = {.name = "audience", .type = ST_FIELD_TEXT}};
  const st_key_changes *changes = c->service->changes;
  st_audit_buffers buffers;
  st_key key = {.kind = ST_KIND_KEY};
  const st_problem *problem = st_json_body_read(c, fields, FIELDS, scratch);
  if (problem == NULL) problem = keys_read(c, m, fields, &key);
  if (problem != NULL) return problem;
  st_audit_context audit = st_key_manager_audit(c, m, &buffers);
  audit.most_keys = c->service->settings->keys_per_owner;
  st_store_status made = changes->create(changes->context, &audit, &m->grantor, &key, whole);
  problem = made == ST_STORE_FULL ? keys_full(c, &key) : st_key_manager_problem(made);
  if (problem != NULL) return problem;
  st_key_manager_reply(c, 201, &key, whole, NULL);
  subtoken_wipe(whole, sizeof whole);
  return NULL;
}

/* ---- GET /v2/keys ---- */

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
  p->writer.overflow = false;
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

static const st_problem *keys_list(st_context *c, const st_key_manager *m) {
  char after[ST_KEY_ID_LEN + 1], sub[SUBTOKEN_SUB_MAX + 1];
  int64_t limit = KEYS_PAGE_DEFAULT;
  const st_problem *problem = st_request_query_text(c, "after", after, sizeof after);
  if (problem == NULL) problem = st_request_query_text(c, "sub", sub, sizeof sub);
  if (problem == NULL) problem = st_request_query_number(c, "limit", KEYS_PAGE_MAX, &limit);
  if (problem != NULL) return problem;
  if (sub[0] != '\0') return keys_list_by_sub(c, m, st_text(sub));
  return keys_list_page(c, m, after, (size_t)limit);
}

const st_problem *st_keys_answer(st_context *c) {
  static const char allow[] = "GET, HEAD, POST, OPTIONS";
  subtoken_text method = c->request->method;
  bool get = st_text_is(method, "GET") || st_text_is(method, "HEAD");
  st_key_manager m;
  if (st_text_is(method, "OPTIONS")) {
    st_reply_preflight(c->reply, allow);
    return NULL;
  }
  if (!get && !st_text_is(method, "POST")) return st_problem_method(&c->problem, allow);
  const st_problem *problem = st_key_manager_find(c, &m);
  if (problem != NULL) return problem;
  return get ? keys_list(c, &m) : keys_create(c, &m);
}
