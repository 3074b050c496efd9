/* Managing parent keys over HTTP (interface section 11). Who has the permission `keys` manages the
 * keys of all owners; a person in a login or with HTTP Basic their own.
 */
#include "service/keys.h"

#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "core/claims.h"
#include "domain/key.h"
#include "domain/key_json.h"
#include "service/access.h"
#include "service/context.h"
#include "service/identity.h"
#include "service/json_body.h"
#include "service/reply.h"
#include "service/request.h"
#include "service/service.h"

#define PREFIX_LEN (sizeof "/v2/keys/" - 1)
#define KEYS "keys"
#define PAGE_MAX 100
#define PAGE_DEFAULT 50
#define NEXT_ROOM 64 /* bytes for what follows the keys of a page */
#define BATCH 16     /* keys asked of the store at a time: 5 KiB each, on the stack */

/* ---- a key as JSON ---- */

/* ---- who manages what ---- */

typedef struct manager {
  st_identity identity;
  const char *owner; /* whose keys alone, or NULL: any */
} manager;

static bool is_person(const st_identity *identity) {
  return identity->method == ST_AUTH_SESSION || identity->method == ST_AUTH_BASIC;
}

static bool may_manage(st_context *c, manager *m) {
  if (!st_access_manager(c, &m->identity)) return false;
  m->owner = NULL;
  if (st_claims_has_permission(&m->identity.grant, st_text(KEYS))) return true;
  m->owner = m->identity.key.owner;
  if (is_person(&m->identity)) return true;
  st_reply_lacks(c->reply, st_text(KEYS));
  return false;
}

static st_audit_context act_of(const st_context *c, const manager *m, st_audit_buffers *actor) {
  st_audit_context act = st_access_audit_context(c, &m->identity, actor);
  act.as_owner = m->owner != NULL;
  return act;
}

static void not_found(st_context *c) {
  st_reply_error(c->reply, 404, "not_found", "there is no such key");
}

static bool refuse(st_context *c, const char *text) {
  st_reply_error(c->reply, 400, "bad_request", text);
  return false;
}

/* What became of it: true when it was done, else a reply. */
static bool done(st_context *c, st_store_status changed) {
  switch (changed) {
    case ST_STORE_OK: return true;
    case ST_STORE_NOT_FOUND: not_found(c); break;
    case ST_STORE_DENIED:
      st_reply_escalation(c->reply,
                          "the credential you used has expired, been revoked or lost a permission");
      break;
    case ST_STORE_OWNER_REGISTERED:
      st_reply_error(c->reply, 409, "owner_registered",
                     "owner: is a user who registered and would manage this key; send "
                     "\"owner_is_user\":true if you mean this user");
      break;
    case ST_STORE_OWNER_NOT_USER:
      st_reply_error(c->reply, 409, "owner_no_user",
                     "owner: is not a user, and \"owner_is_user\" is true");
      break;
    default: st_reply_unchanged(c->reply, changed);
  }
  return false;
}

/* A key that this manager may know of. */
static bool find(st_context *c, const manager *m, const char *id, st_key *key) {
  const st_key_changes *changes = c->service->changes;
  if (!done(c, changes->find(changes->context, id, key))) return false;
  if (m->owner == NULL || strcmp(m->owner, key->owner) == 0) return true;
  not_found(c);
  return false;
}

static void reply_key(st_context *c, int status, const st_key *key, const char *whole) {
  st_writer writer = st_writer_on(c->reply->body, sizeof c->reply->body);
  st_key_json_write(&writer, key, whole, c->request->now);
  c->reply->status = status;
  c->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

/* ---- POST /v2/keys ---- */

enum { NAME, PERMISSIONS, EXPIRES, OWNER, OWNER_IS_USER, FIELDS };

static bool take_text(st_context *c, const st_field *field, char out[ST_NAME_MAX + 1]) {
  if (field->text.len > ST_NAME_MAX) {
    return refuse(c, field->name[0] == 'n' ? "name: is longer than 256 bytes"
                                           : "owner: is longer than 256 bytes");
  }
  memcpy(out, field->text.data, field->text.len);
  out[field->text.len] = '\0';
  return true;
}

/* It ends with what it was made with, at the latest. */
static bool take_expiry(st_context *c, const manager *m, const st_field *field, st_key *key) {
  int64_t life = 0, most;
  key->expires_at = ST_NEVER;
  if (field->given && !st_text_is(field->text, "never")) {
    bool unit = field->text.len > 0 && field->text.data[field->text.len - 1] > '9';
    if (!unit || !st_duration_read(field->text, &life) || life < 1 || life > ST_NEVER / 2) {
      return refuse(c, "expires: must be \"never\", or a number with s, m, h or d such as \"30d\"");
    }
    key->expires_at = key->created_at + life;
  }
  if (!st_access_find_end(c, &m->identity, &most)) return done(c, ST_STORE_FAILED);
  c->reply->event.clamped = key->expires_at > most;
  if (key->expires_at > most) key->expires_at = most;
  return true;
}

static bool take_owner(st_context *c, const manager *m, const st_field *field, st_key *key) {
  if (!field->given) {
    memcpy(key->owner, m->identity.key.owner, sizeof key->owner);
    return true;
  }
  if (!take_text(c, field, key->owner)) return false;
  if (m->owner == NULL || strcmp(key->owner, m->owner) == 0) return true;
  st_reply_lacks(c->reply, st_text(KEYS));
  return false;
}

static bool read_key(st_context *c, const manager *m, const st_field *fields, st_key *key) {
  if (!fields[NAME].given) return refuse(c, "name: is missing");
  if (!fields[PERMISSIONS].given) return refuse(c, "permissions: is missing");
  key->created_at = c->request->now;
  key->owner_is_user = fields[OWNER_IS_USER].flag;
  if (!take_text(c, &fields[NAME], key->name) || !take_owner(c, m, &fields[OWNER], key) ||
      !take_expiry(c, m, &fields[EXPIRES], key)) {
    return false;
  }
  subtoken_text permissions = fields[PERMISSIONS].text;
  if (!st_access_covers(c, &m->identity, permissions)) return false;
  memcpy(key->permissions, permissions.data, permissions.len);
  key->permissions[permissions.len] = '\0';
  return true;
}

static void create(st_context *c, const manager *m) {
  char scratch[ST_BODY_SCRATCH], whole[ST_KEY_LEN + 1];
  st_field fields[FIELDS] = {[NAME] = {.name = "name", .type = ST_FIELD_TEXT},
                             [PERMISSIONS] = {.name = "permissions", .type = ST_FIELD_PERMISSIONS},
                             [EXPIRES] = {.name = "expires", .type = ST_FIELD_TEXT},
                             [OWNER] = {.name = "owner", .type = ST_FIELD_TEXT},
                             [OWNER_IS_USER] = {.name = "owner_is_user", .type = ST_FIELD_BOOL}};
  const st_key_changes *changes = c->service->changes;
  st_audit_buffers actor;
  st_key key = {.kind = ST_KIND_KEY};
  if (!st_json_body_read(c, fields, FIELDS, scratch) || !read_key(c, m, fields, &key)) return;
  st_audit_context act = act_of(c, m, &actor);
  st_grantor maker = st_grantor_of(&m->identity);
  if (!done(c, changes->create(changes->context, &act, &maker, &key, whole))) return;
  reply_key(c, 201, &key, whole);
  subtoken_wipe(whole, sizeof whole);
}

/* ---- GET /v2/keys ---- */

/* A page: as many keys as were asked for and as the reply has room for. The next page begins
 * after the last of them.
 */
typedef struct page {
  st_writer writer;
  size_t written;
  char last[ST_KEY_ID_LEN + 1];
} page;

static void begin_page(st_context *c, page *p) {
  *p = (page){.writer = st_writer_on(c->reply->body, sizeof c->reply->body - NEXT_ROOM)};
  st_write_literal(&p->writer, "{\"keys\":[");
}

/* False when it does not fit any more. */
static bool add_to_page(st_context *c, page *p, const st_key *key) {
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

static void end_page(st_context *c, page *p, bool more) {
  p->writer.size = sizeof c->reply->body;
  p->writer.overflow = false;
  st_write_char(&p->writer, ']');
  if (more) st_key_json_write_text(&p->writer, ",\"next\":", p->last);
  st_write_char(&p->writer, '}');
  c->reply->status = 200;
  c->reply->body_len = st_writer_end(&p->writer) ? p->writer.len : 0;
}

static void list_by_sub(st_context *c, const manager *m, subtoken_text sub) {
  page p;
  st_key key;
  const st_key_changes *changes = c->service->changes;
  st_store_status found = changes->find_sub(changes->context, sub, &key);
  if (found != ST_STORE_NOT_FOUND && !done(c, found)) return;
  begin_page(c, &p);
  bool ours = m->owner == NULL || (found == ST_STORE_OK && strcmp(m->owner, key.owner) == 0);
  if (found == ST_STORE_OK && ours) (void)add_to_page(c, &p, &key); /* one always fits */
  end_page(c, &p, false);
}

static void list_page(st_context *c, const manager *m, const char *after, size_t limit) {
  st_key keys[BATCH];
  size_t count, added;
  page p;
  const st_key_changes *changes = c->service->changes;
  begin_page(c, &p);
  memcpy(p.last, after, sizeof p.last);
  do {
    count = added = 0;
    if (!done(c, changes->list(changes->context, m->owner, p.last, BATCH, keys, &count))) return;
    while (added < count && p.written < limit && add_to_page(c, &p, &keys[added])) added++;
  } while (added == BATCH && p.written < limit);
  bool more = added < count;
  if (!more && count == BATCH) { /* it ends where a batch does: does anything follow? */
    if (!done(c, changes->list(changes->context, m->owner, p.last, 1, keys, &count))) return;
    more = count > 0;
  }
  end_page(c, &p, more);
}

static void list(st_context *c, const manager *m) {
  char after[ST_KEY_ID_LEN + 1], sub[SUBTOKEN_SUB_MAX + 1];
  int64_t limit = PAGE_DEFAULT;
  if (!st_request_query_text(c, "after", after, sizeof after) ||
      !st_request_query_text(c, "sub", sub, sizeof sub) ||
      !st_request_query_number(c, "limit", PAGE_MAX, &limit)) {
    return;
  }
  if (sub[0] != '\0') {
    list_by_sub(c, m, st_text(sub));
  } else {
    list_page(c, m, after, (size_t)limit);
  }
}

void st_keys_answer(st_context *c) {
  static const char allow[] = "GET, HEAD, POST, OPTIONS";
  subtoken_text method = c->request->method;
  bool get = st_text_is(method, "GET") || st_text_is(method, "HEAD");
  manager m;
  if (st_text_is(method, "OPTIONS")) {
    st_reply_preflight(c->reply, allow);
  } else if (!get && !st_text_is(method, "POST")) {
    st_reply_no_method(c->reply, allow);
  } else if (!may_manage(c, &m)) {
    return;
  } else if (get) {
    list(c, &m);
  } else {
    create(c, &m);
  }
}

/* ---- /v2/keys/ID ---- */

/* The id in the path, and what stands behind it. */
static bool read_path(const st_context *c, char id[ST_KEY_ID_LEN + 1], subtoken_text *rest) {
  subtoken_text path = {c->path + PREFIX_LEN, c->path_len - PREFIX_LEN};
  id[0] = '\0';
  if (c->path_cut || path.len < ST_KEY_ID_LEN) return false;
  memcpy(id, path.data, ST_KEY_ID_LEN);
  id[ST_KEY_ID_LEN] = '\0';
  *rest = (subtoken_text){path.data + ST_KEY_ID_LEN, path.len - ST_KEY_ID_LEN};
  return memchr(id, '/', ST_KEY_ID_LEN) == NULL && memchr(id, '\0', ST_KEY_ID_LEN) == NULL;
}

static void rename_key(st_context *c, const manager *m, const st_field *field, st_key *key) {
  const st_key_changes *changes = c->service->changes;
  char name[ST_NAME_MAX + 1];
  st_audit_buffers actor;
  st_audit_context act = act_of(c, m, &actor);
  if (!take_text(c, field, name) ||
      !done(c, changes->rename(changes->context, &act, key->id, name))) {
    return;
  }
  memcpy(key->name, name, sizeof key->name);
  reply_key(c, 200, key, NULL);
}

/* What was made with the key, for others, and is still valid: one more member of the object. */
static void add_made(st_reply *reply, const st_made *made) {
  if (made->keys + made->users == 0) return;
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  writer.len = reply->body_len - 1;
  st_write_literal(&writer, ",\"made\":");
  st_key_json_write_made(&writer, made);
  st_write_char(&writer, '}');
  if (st_writer_end(&writer)) {
    reply->body_len = writer.len;
  } else {
    reply->body[reply->body_len - 1] = '}'; /* as it was */
  }
}

/* An owner takes back into use what he disabled himself, and only while he holds what it can do:
 * an administrator may have disabled it for that.
 */
static void set_disabled(st_context *c, const manager *m, bool disabled, st_key *key) {
  const st_key_changes *changes = c->service->changes;
  int64_t sequence = 0;
  st_audit_buffers actor;
  st_made made = {0};
  st_audit_context act = act_of(c, m, &actor);
  act.made = &made;
  if (!disabled && act.as_owner && !st_access_covers(c, &m->identity, st_text(key->permissions))) {
    return;
  }
  st_store_status changed =
      changes->set_disabled(changes->context, &act, key->id, disabled, &sequence);
  if (changed == ST_STORE_DENIED) {
    st_reply_escalation(c->reply, "disabled: an administrator disabled this key and can enable it");
    return;
  }
  if (!done(c, changed)) return;
  bool owner = is_person(&m->identity) && strcmp(m->identity.key.owner, key->owner) == 0;
  bool kept = act.as_owner && key->disabled && !key->disabled_by_owner;
  key->disabled_by_owner = owner && !kept;
  key->disabled = disabled;
  st_reply_sequence(c->reply, sequence);
  reply_key(c, 200, key, NULL);
  if (disabled && !act.as_owner) add_made(c->reply, &made);
}

static void patch(st_context *c, const manager *m, st_key *key) {
  enum { DISABLED, NEW_NAME, PATCHED };
  char scratch[ST_BODY_SCRATCH];
  st_field fields[PATCHED] = {[DISABLED] = {.name = "disabled", .type = ST_FIELD_BOOL},
                              [NEW_NAME] = {.name = "name", .type = ST_FIELD_TEXT}};
  if (!st_json_body_read(c, fields, PATCHED, scratch)) return;
  if (fields[DISABLED].given == fields[NEW_NAME].given) {
    (void)refuse(c, fields[DISABLED].given ? "disabled, name: send one of them, not both"
                                           : "disabled or name: one of them is required");
  } else if (fields[NEW_NAME].given) {
    rename_key(c, m, &fields[NEW_NAME], key);
  } else {
    set_disabled(c, m, fields[DISABLED].flag, key);
  }
}

/* The same where there is no body: how much of it. The audit log lists it. */
static void reply_made(st_reply *reply, const st_made *made) {
  char text[64];
  st_writer writer = st_writer_on(text, sizeof text);
  if (made->keys + made->users == 0) return;
  st_write_literal(&writer, "keys=");
  st_write_int(&writer, made->keys);
  st_write_literal(&writer, ",users=");
  st_write_int(&writer, made->users);
  if (st_writer_end(&writer)) st_reply_header(reply, "Subtoken-Made", st_text(text));
}

static void end(st_context *c, const manager *m, const char *id, bool key) {
  const st_key_changes *changes = c->service->changes;
  int64_t sequence = 0;
  st_audit_buffers actor;
  st_made made = {0};
  st_audit_context act = act_of(c, m, &actor);
  act.made = &made;
  if (!key && !st_json_body_none(c)) return;
  if (!done(c, (key ? changes->remove : changes->revoke_subtokens)(changes->context, &act, id,
                                                                   &sequence))) {
    return;
  }
  st_reply_sequence(c->reply, sequence);
  if (!act.as_owner) reply_made(c->reply, &made);
  c->reply->status = 204;
}

static void manage_one(st_context *c, const char *id, bool revoking) {
  subtoken_text method = c->request->method;
  manager m;
  st_key key;
  if (!may_manage(c, &m) || !find(c, &m, id, &key)) return;
  if (revoking) {
    end(c, &m, id, false);
  } else if (st_text_is(method, "DELETE")) {
    end(c, &m, id, true);
  } else if (st_text_is(method, "PATCH")) {
    patch(c, &m, &key);
  } else {
    reply_key(c, 200, &key, NULL);
  }
}

static bool method_is(const st_context *c, const char *const *known, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (st_text_is(c->request->method, known[i])) return true;
  }
  return false;
}

void st_keys_answer_key(st_context *c) {
  static const char *const on_key[] = {"GET", "HEAD", "DELETE", "PATCH"};
  static const char *const on_subtokens[] = {"POST"};
  char id[ST_KEY_ID_LEN + 1];
  subtoken_text rest;
  bool found = read_path(c, id, &rest);
  bool revoking = found && st_text_is(rest, "/revoke-subtokens");
  const char *allow = revoking ? "POST, OPTIONS" : "GET, HEAD, DELETE, PATCH, OPTIONS";
  bool known = revoking ? method_is(c, on_subtokens, 1) : method_is(c, on_key, 4);
  if (!found || (rest.len > 0 && !revoking)) {
    not_found(c);
  } else if (st_text_is(c->request->method, "OPTIONS")) {
    st_reply_preflight(c->reply, allow);
  } else if (!known) {
    st_reply_no_method(c->reply, allow);
  } else {
    manage_one(c, id, revoking);
  }
}
