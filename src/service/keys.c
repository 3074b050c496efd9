/* Parent keys over HTTP: POST /v2/keys makes them. They are listed in key_list.c; one of them,
 * /v2/keys/ID, is in key_one.c; who manages whose, in key_manager.c. What a new key may do is
 * checked here against what the caller may, and once more in the store's transaction.
 */
#include "base/date.h"
#include "base/impossible.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/json_body.h"
#include "service/key_list.h"
#include "service/key_manager.h"
#include "service/reply.h"

/* ---- POST /v2/keys ---- */

enum { NAME, PERMISSIONS, EXPIRES, OWNER, OWNER_IS_USER, AUDIENCE, FIELDS };

/* It ends with what it was made with, at the latest. */
static const st_problem *keys_take_expiry(st_context *c, const st_key_manager *m,
                                          const st_field *field, st_key *key) {
  int64_t life = 0, most = 0;
  key->expires_at = ST_NEVER;
  if (field->given && !st_text_is(field->text, "never")) {
    bool read = st_date_read_duration(field->text, &life);
    /* A number alone would be of seconds. */
    bool unit = read && field->text.data[field->text.len - 1] > '9';
    if (!unit || life < 1 || life > ST_NEVER / 2) {
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
  st_write_literal(&writer, owned ? "an owner may have at most " : "a key may make at most ");
  st_write_int(&writer, c->service->settings->keys_per_owner);
  st_write_literal(&writer,
                   owned ? " keys, and this one has: delete one that is not used any more, or ask "
                           "the operator to raise keys_per_owner"
                         : " keys without an owner, and this one has: delete one that is not used "
                           "any more, or ask the operator to raise keys_per_owner");
  if (st_impossible(!st_writer_end(&writer), "a sentence and a number fit")) text[0] = '\0';
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

/* ---- the methods ---- */

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
  return get ? st_key_list_answer(c, &m) : keys_create(c, &m);
}
