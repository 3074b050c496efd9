/* Managing parent keys over HTTP: /v2/keys and /v2/keys/ID. Who has the permission `keys` manages
 * the keys of all owners; a user in a session or with HTTP Basic their own. What changes is checked
 * here against what the caller may do, and once more in the store's transaction.
 */
#include "base/date.h"
#include "base/json.h"
#include "core/claims.h"
#include "domain/key_json.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/json_body.h"
#include "service/reply.h"
#include "service/request.h"

#define KEYS_PREFIX_LEN (sizeof "/v2/keys/" - 1)
#define KEYS_PERMISSION "keys"
#define KEYS_PAGE_MAX 100
#define KEYS_PAGE_DEFAULT 50
#define KEYS_TAIL 64  /* bytes of a body that are kept for what follows the keys of a page */
#define KEYS_BATCH 16 /* keys asked of the store at a time: 5 KiB each, on the stack */

static const st_problem keys_not_found = {
    .status = 404, .event = "not_found", .text = "there is no such key"};

/* ---- who manages what ---- */

typedef struct keys_manager {
  st_identity identity;
  const char *owner; /* whose keys alone, or NULL: any */
} keys_manager;

static bool keys_is_user(const st_identity *identity) {
  return identity->method == ST_AUTH_SESSION || identity->method == ST_AUTH_BASIC;
}

static const st_problem *keys_find_manager(st_context *c, keys_manager *m) {
  const st_problem *problem = st_access_manager(c, &m->identity);
  if (problem != NULL) return problem;
  m->owner = NULL;
  if (st_claims_has_permission(&m->identity.grant, st_text(KEYS_PERMISSION))) return NULL;
  m->owner = m->identity.key.owner;
  return keys_is_user(&m->identity) ? NULL
                                    : st_problem_permission(&c->problem, st_text(KEYS_PERMISSION));
}

static st_audit_context keys_audit_context(const st_context *c, const keys_manager *m,
                                           st_audit_buffers *buffers) {
  st_audit_context audit = st_access_audit_context(c, &m->identity, buffers);
  audit.as_owner = m->owner != NULL;
  return audit;
}

/* NULL: it was done. */
static const st_problem *keys_problem(st_store_status changed) {
  static const st_problem registered = {
      .status = 409,
      .event = "owner_registered",
      .text =
          "owner: is a user who registered and would manage this key; send "
          "\"owner_is_user\":true if you mean this user"};
  static const st_problem no_user = {.status = 409,
                                     .event = "owner_no_user",
                                     .text = "owner: is not a user, and \"owner_is_user\" is true"};
  switch (changed) {
    case ST_STORE_OK: return NULL;
    case ST_STORE_NOT_FOUND: return &keys_not_found;
    case ST_STORE_DENIED: return &st_problem_credential_ended;
    case ST_STORE_OWNER_REGISTERED: return &registered;
    case ST_STORE_OWNER_NOT_USER: return &no_user;
    default: return st_problem_change(changed);
  }
}

/* A key that this manager may know of. */
static const st_problem *keys_find(st_context *c, const keys_manager *m, const char *id,
                                   st_key *key) {
  const st_key_changes *changes = c->service->changes;
  const st_problem *problem = keys_problem(changes->find(changes->context, id, key));
  if (problem != NULL) return problem;
  bool known = m->owner == NULL || strcmp(m->owner, key->owner) == 0;
  return known ? NULL : &keys_not_found;
}

/* made: what was made with the key, for others, and is still valid: one more member; NULL: none.
 * What does not fit is left out: the audit log has it.
 */
static void keys_reply(st_context *c, int status, const st_key *key, const char *whole,
                       const st_derived *made) {
  st_writer writer = st_reply_begin(c->reply);
  st_key_json_write(&writer, key, whole, c->request->now);
  if (made != NULL && made->keys + made->users > 0) {
    size_t end = writer.len;
    writer.len--; /* within the object */
    st_write_literal(&writer, ",\"made\":");
    st_key_json_write_made(&writer, made);
    st_write_char(&writer, '}');
    if (writer.overflow) {
      writer.out[end - 1] = '}';
      writer.len = end;
      writer.overflow = false;
    }
  }
  st_reply_end(c->reply, status, &writer);
}

/* ---- POST /v2/keys ---- */

enum { NAME, PERMISSIONS, EXPIRES, OWNER, OWNER_IS_USER, FIELDS };

static const st_problem *keys_take_text(st_context *c, const st_field *field,
                                        char out[ST_NAME_MAX + 1]) {
  if (field->text.len > ST_NAME_MAX) {
    return st_problem_parameter(&c->problem, field->name, "is longer than 256 bytes");
  }
  memcpy(out, field->text.data, field->text.len);
  out[field->text.len] = '\0';
  return NULL;
}

/* It ends with what it was made with, at the latest. */
static const st_problem *keys_take_expiry(st_context *c, const keys_manager *m,
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

static const st_problem *keys_take_owner(st_context *c, const keys_manager *m,
                                         const st_field *field, st_key *key) {
  if (!field->given) {
    memcpy(key->owner, m->identity.key.owner, sizeof key->owner);
    return NULL;
  }
  const st_problem *problem = keys_take_text(c, field, key->owner);
  if (problem != NULL || m->owner == NULL || strcmp(key->owner, m->owner) == 0) return problem;
  return st_problem_permission(&c->problem, st_text(KEYS_PERMISSION));
}

static const st_problem *keys_read(st_context *c, const keys_manager *m, const st_field *fields,
                                   st_key *key) {
  if (!fields[NAME].given) return st_problem_parameter(&c->problem, "name", "is missing");
  if (!fields[PERMISSIONS].given)
    return st_problem_parameter(&c->problem, "permissions", "is missing");
  key->created_at = c->request->now;
  key->owner_is_user = fields[OWNER_IS_USER].flag;
  const st_problem *problem = keys_take_text(c, &fields[NAME], key->name);
  if (problem == NULL) problem = keys_take_owner(c, m, &fields[OWNER], key);
  if (problem == NULL) problem = keys_take_expiry(c, m, &fields[EXPIRES], key);
  subtoken_text permissions = fields[PERMISSIONS].text;
  if (problem == NULL) problem = st_access_covers(c, &m->identity, permissions);
  if (problem != NULL) return problem;
  memcpy(key->permissions, permissions.data, permissions.len);
  key->permissions[permissions.len] = '\0';
  return NULL;
}

static const st_problem *keys_create(st_context *c, const keys_manager *m) {
  char scratch[ST_BODY_SCRATCH], whole[ST_KEY_LEN + 1];
  st_field fields[FIELDS] = {[NAME] = {.name = "name", .type = ST_FIELD_TEXT},
                             [PERMISSIONS] = {.name = "permissions", .type = ST_FIELD_PERMISSIONS},
                             [EXPIRES] = {.name = "expires", .type = ST_FIELD_TEXT},
                             [OWNER] = {.name = "owner", .type = ST_FIELD_TEXT},
                             [OWNER_IS_USER] = {.name = "owner_is_user", .type = ST_FIELD_BOOL}};
  const st_key_changes *changes = c->service->changes;
  st_audit_buffers buffers;
  st_key key = {.kind = ST_KIND_KEY};
  const st_problem *problem = st_json_body_read(c, fields, FIELDS, scratch);
  if (problem == NULL) problem = keys_read(c, m, fields, &key);
  if (problem != NULL) return problem;
  st_audit_context audit = keys_audit_context(c, m, &buffers);
  st_grantor grantor = st_grantor_of(&m->identity);
  problem = keys_problem(changes->create(changes->context, &audit, &grantor, &key, whole));
  if (problem != NULL) return problem;
  keys_reply(c, 201, &key, whole, NULL);
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

static const st_problem *keys_list_by_sub(st_context *c, const keys_manager *m, subtoken_text sub) {
  keys_page p;
  st_key key;
  const st_key_changes *changes = c->service->changes;
  st_store_status found = changes->find_sub(changes->context, sub, &key);
  if (found != ST_STORE_OK && found != ST_STORE_NOT_FOUND) return keys_problem(found);
  keys_begin_page(c, &p);
  bool ours = m->owner == NULL || (found == ST_STORE_OK && strcmp(m->owner, key.owner) == 0);
  if (found == ST_STORE_OK && ours) (void)keys_add_to_page(c, &p, &key); /* one always fits */
  keys_end_page(c, &p, false);
  return NULL;
}

/* The keys after an id, at most limit; *count. */
static const st_problem *keys_ask(st_context *c, const keys_manager *m, const char *after,
                                  size_t limit, st_key *keys, size_t *count) {
  const st_key_changes *changes = c->service->changes;
  *count = 0;
  return keys_problem(changes->list(changes->context, m->owner, after, limit, keys, count));
}

static const st_problem *keys_list_page(st_context *c, const keys_manager *m, const char *after,
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
    while (added < count && p.written < limit && keys_add_to_page(c, &p, &keys[added])) added++;
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

static const st_problem *keys_list(st_context *c, const keys_manager *m) {
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
  keys_manager m;
  if (st_text_is(method, "OPTIONS")) {
    st_reply_preflight(c->reply, allow);
    return NULL;
  }
  if (!get && !st_text_is(method, "POST")) return st_problem_method(&c->problem, allow);
  const st_problem *problem = keys_find_manager(c, &m);
  if (problem != NULL) return problem;
  return get ? keys_list(c, &m) : keys_create(c, &m);
}

/* ---- /v2/keys/ID ---- */

/* The id in the path, and what stands behind it. */
static bool keys_read_path(const st_context *c, char id[ST_KEY_ID_LEN + 1], subtoken_text *rest) {
  subtoken_text path = {c->path + KEYS_PREFIX_LEN, c->path_len - KEYS_PREFIX_LEN};
  id[0] = '\0';
  if (c->path_truncated || path.len < ST_KEY_ID_LEN) return false;
  memcpy(id, path.data, ST_KEY_ID_LEN);
  id[ST_KEY_ID_LEN] = '\0';
  *rest = (subtoken_text){path.data + ST_KEY_ID_LEN, path.len - ST_KEY_ID_LEN};
  return memchr(id, '/', ST_KEY_ID_LEN) == NULL && memchr(id, '\0', ST_KEY_ID_LEN) == NULL;
}

static const st_problem *keys_rename(st_context *c, const keys_manager *m, const st_field *field,
                                     st_key *key) {
  const st_key_changes *changes = c->service->changes;
  char name[ST_NAME_MAX + 1];
  st_audit_buffers buffers;
  const st_problem *problem = keys_take_text(c, field, name);
  if (problem != NULL) return problem;
  st_audit_context audit = keys_audit_context(c, m, &buffers);
  problem = keys_problem(changes->rename(changes->context, &audit, key->id, name));
  if (problem != NULL) return problem;
  memcpy(key->name, name, sizeof key->name);
  keys_reply(c, 200, key, NULL, NULL);
  return NULL;
}

/* An owner may enable again only a key that the owner disabled, and only while holding its
 * permissions: an administrator may have disabled it because of them.
 */
static const st_problem *keys_set_disabled(st_context *c, const keys_manager *m, bool disabled,
                                           st_key *key) {
  const st_key_changes *changes = c->service->changes;
  int64_t sequence = 0;
  st_audit_buffers buffers;
  st_derived made = {0};
  st_audit_context audit = keys_audit_context(c, m, &buffers);
  audit.made = &made;
  if (!disabled && audit.as_owner) {
    const st_problem *problem = st_access_covers(c, &m->identity, st_text(key->permissions));
    if (problem != NULL) return problem;
  }
  st_store_status changed =
      changes->set_disabled(changes->context, &audit, key->id, disabled, &sequence);
  if (changed == ST_STORE_DENIED) {
    return st_problem_escalation(&c->problem,
                                 "disabled: an administrator disabled this key and can enable it");
  }
  if (changed != ST_STORE_OK) return keys_problem(changed);
  bool owner = keys_is_user(&m->identity) && strcmp(m->identity.key.owner, key->owner) == 0;
  bool kept = audit.as_owner && key->disabled && !key->disabled_by_owner;
  key->disabled_by_owner = owner && !kept;
  key->disabled = disabled;
  st_reply_sequence(c->reply, sequence);
  keys_reply(c, 200, key, NULL, disabled && !audit.as_owner ? &made : NULL);
  return NULL;
}

static const st_problem *keys_patch(st_context *c, const keys_manager *m, st_key *key) {
  enum { DISABLED, NEW_NAME, PATCHED };
  char scratch[ST_BODY_SCRATCH];
  st_field fields[PATCHED] = {[DISABLED] = {.name = "disabled", .type = ST_FIELD_BOOL},
                              [NEW_NAME] = {.name = "name", .type = ST_FIELD_TEXT}};
  const st_problem *problem = st_json_body_read(c, fields, PATCHED, scratch);
  if (problem != NULL) return problem;
  if (fields[DISABLED].given && fields[NEW_NAME].given) {
    return st_problem_parameter(&c->problem, "disabled, name", "send one of them, not both");
  }
  if (fields[NEW_NAME].given) return keys_rename(c, m, &fields[NEW_NAME], key);
  if (fields[DISABLED].given) return keys_set_disabled(c, m, fields[DISABLED].flag, key);
  return st_problem_parameter(&c->problem, "disabled or name", "one of them is required");
}

/* The same as in keys_reply where there is no body: how much of it. */
static void keys_made_header(st_reply *reply, const st_derived *made) {
  char text[64];
  st_writer writer = st_writer_on(text, sizeof text);
  if (made->keys + made->users == 0) return;
  st_write_literal(&writer, "keys=");
  st_write_int(&writer, made->keys);
  st_write_literal(&writer, ",users=");
  st_write_int(&writer, made->users);
  if (st_writer_end(&writer)) st_reply_header(reply, "Subtoken-Made", st_text(text));
}

/* Delete the key, or end its subtokens alone. */
static const st_problem *keys_end(st_context *c, const keys_manager *m, const char *id, bool key) {
  const st_key_changes *changes = c->service->changes;
  int64_t sequence = 0;
  st_audit_buffers buffers;
  st_derived made = {0};
  st_audit_context audit = keys_audit_context(c, m, &buffers);
  audit.made = &made;
  const st_problem *problem = key ? NULL : st_json_body_none(c);
  if (problem != NULL) return problem;
  st_store_status changed =
      (key ? changes->remove : changes->revoke_subtokens)(changes->context, &audit, id, &sequence);
  problem = keys_problem(changed);
  if (problem != NULL) return problem;
  st_reply_sequence(c->reply, sequence);
  if (!audit.as_owner) keys_made_header(c->reply, &made);
  c->reply->status = 204;
  return NULL;
}

static const st_problem *keys_manage(st_context *c, const char *id, bool revoking) {
  subtoken_text method = c->request->method;
  keys_manager m;
  st_key key;
  const st_problem *problem = keys_find_manager(c, &m);
  if (problem == NULL) problem = keys_find(c, &m, id, &key);
  if (problem != NULL) return problem;
  if (revoking) return keys_end(c, &m, id, false);
  if (st_text_is(method, "DELETE")) return keys_end(c, &m, id, true);
  if (st_text_is(method, "PATCH")) return keys_patch(c, &m, &key);
  keys_reply(c, 200, &key, NULL, NULL);
  return NULL;
}

static bool keys_method_is(const st_context *c, const char *const *known, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (st_text_is(c->request->method, known[i])) return true;
  }
  return false;
}

const st_problem *st_keys_answer_one(st_context *c) {
  static const char *const on_key[] = {"GET", "HEAD", "DELETE", "PATCH"};
  static const char *const on_subtokens[] = {"POST"};
  char id[ST_KEY_ID_LEN + 1];
  subtoken_text rest;
  bool found = keys_read_path(c, id, &rest);
  bool revoking = found && st_text_is(rest, "/revoke-subtokens");
  const char *allow = revoking ? "POST, OPTIONS" : "GET, HEAD, DELETE, PATCH, OPTIONS";
  bool known = revoking ? keys_method_is(c, on_subtokens, 1) : keys_method_is(c, on_key, 4);
  if (!found || (rest.len > 0 && !revoking)) return &keys_not_found;
  if (st_text_is(c->request->method, "OPTIONS")) {
    st_reply_preflight(c->reply, allow);
    return NULL;
  }
  return known ? keys_manage(c, id, revoking) : st_problem_method(&c->problem, allow);
}
