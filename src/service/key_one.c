/* One parent key over HTTP, /v2/keys/ID: shown, renamed, disabled, deleted, its subtokens revoked,
 * its secret replaced. Who manages whose keys is in key_manager.c; new ones are made in keys.c.
 */
#include "service/access.h"
#include "service/endpoints.h"
#include "service/json_body.h"
#include "service/key_manager.h"
#include "service/made.h"
#include "service/reply.h"

#define KEY_ONE_PREFIX_LEN (sizeof "/v2/keys/" - 1)

typedef enum key_one_call { KEY_ONE_ITSELF, KEY_ONE_SUBTOKENS, KEY_ONE_ROTATE } key_one_call;

static bool key_one_read_call(subtoken_text rest, key_one_call *call) {
  *call = KEY_ONE_ITSELF;
  if (st_text_is(rest, "/revoke-subtokens")) *call = KEY_ONE_SUBTOKENS;
  if (st_text_is(rest, "/rotate")) *call = KEY_ONE_ROTATE;
  return rest.len == 0 || *call != KEY_ONE_ITSELF;
}

/* The id in the path, and what stands behind it. */
static bool key_one_read_path(const st_context *c, char id[ST_KEY_ID_LEN + 1], key_one_call *call) {
  subtoken_text path = {c->path + KEY_ONE_PREFIX_LEN, c->path_len - KEY_ONE_PREFIX_LEN};
  if (c->path_truncated || path.len < ST_KEY_ID_LEN) return false;
  memcpy(id, path.data, ST_KEY_ID_LEN);
  id[ST_KEY_ID_LEN] = '\0';
  subtoken_text rest = {path.data + ST_KEY_ID_LEN, path.len - ST_KEY_ID_LEN};
  return memchr(id, '/', ST_KEY_ID_LEN) == NULL && key_one_read_call(rest, call);
}

static const st_problem *key_one_rename(st_context *c, const st_key_manager *m,
                                        const st_field *field, st_key *key) {
  const st_key_changes *changes = c->service->changes;
  char name[ST_NAME_MAX + 1];
  st_audit_buffers buffers;
  const st_problem *problem = st_key_manager_text(c, field, name);
  if (problem != NULL) return problem;
  st_audit_context audit = st_key_manager_audit(c, m, &buffers);
  problem = st_key_manager_problem(changes->rename(changes->context, &audit, key->id, name));
  if (problem != NULL) return problem;
  memcpy(key->name, name, sizeof key->name);
  st_key_manager_reply(c, 200, key, NULL, NULL);
  return NULL;
}

/* An owner may enable again only a key that the owner disabled, and only while holding its
 * permissions: an administrator may have disabled it because of them.
 */
static const st_problem *key_one_set_disabled(st_context *c, const st_key_manager *m, bool disabled,
                                              st_key *key) {
  const st_key_changes *changes = c->service->changes;
  int64_t sequence = 0;
  st_audit_buffers buffers;
  st_derived made = {0};
  st_audit_context audit = st_key_manager_audit(c, m, &buffers);
  audit.made = &made;
  if (!disabled && audit.as_owner) {
    const st_problem *problem = st_access_covers(c, &m->identity, st_text(key->permissions));
    if (problem != NULL) return problem;
  }
  st_store_status changed =
      changes->set_disabled(changes->context, &audit, key->id, disabled, &sequence);
  if (changed == ST_STORE_DISABLED_BY_OTHER) {
    return st_problem_escalation(&c->problem,
                                 "disabled: an administrator disabled this key and can enable it");
  }
  if (changed != ST_STORE_OK) return st_key_manager_problem(changed);
  bool owner =
      st_key_manager_is_user(&m->identity) && strcmp(m->identity.key.owner, key->owner) == 0;
  bool kept = audit.as_owner && key->disabled && !key->disabled_by_owner;
  key->disabled_by_owner = owner && !kept;
  key->disabled = disabled;
  st_reply_sequence(c->reply, sequence);
  st_key_manager_reply(c, 200, key, NULL, disabled && !audit.as_owner ? &made : NULL);
  return NULL;
}

static const st_problem *key_one_patch(st_context *c, const st_key_manager *m, st_key *key) {
  enum { DISABLED, NEW_NAME, PATCHED };
  char scratch[ST_BODY_SCRATCH];
  st_field fields[PATCHED] = {[DISABLED] = {.name = "disabled", .type = ST_FIELD_BOOL},
                              [NEW_NAME] = {.name = "name", .type = ST_FIELD_TEXT}};
  const st_problem *problem = st_json_body_read(c, fields, PATCHED, scratch);
  if (problem != NULL) return problem;
  if (fields[DISABLED].given && fields[NEW_NAME].given) {
    return st_problem_parameter(&c->problem, "disabled, name", "send one of them, not both");
  }
  if (fields[NEW_NAME].given) return key_one_rename(c, m, &fields[NEW_NAME], key);
  if (fields[DISABLED].given) return key_one_set_disabled(c, m, fields[DISABLED].flag, key);
  return st_problem_parameter(&c->problem, "disabled or name", "one of them is required");
}

/* Delete the key, or end its subtokens alone. */
static const st_problem *key_one_end(st_context *c, const st_key_manager *m, const char *id,
                                     bool key) {
  const st_key_changes *changes = c->service->changes;
  int64_t sequence = 0;
  st_audit_buffers buffers;
  st_derived made = {0};
  st_audit_context audit = st_key_manager_audit(c, m, &buffers);
  audit.made = &made;
  const st_problem *problem = key ? NULL : st_json_body_none(c);
  if (problem != NULL) return problem;
  st_store_status changed =
      (key ? changes->remove : changes->revoke_subtokens)(changes->context, &audit, id, &sequence);
  problem = st_key_manager_problem(changed);
  if (problem != NULL) return problem;
  st_reply_sequence(c->reply, sequence);
  if (!audit.as_owner) st_made_header(c->reply, &made);
  c->reply->status = 204;
  return NULL;
}

/* ---- POST /v2/keys/ID/rotate ---- */

#define KEY_ONE_OVERLAP_MAX (INT64_C(30) * 86400)

/* Who rotates a key gets it whole: that must be no more than what the caller has. The permissions,
 * expiry and audience of a key never change, so nothing can be brought down. The store asks once
 * more, within the transaction.
 */
static const st_problem *key_one_may_rotate(st_context *c, const st_key_manager *m,
                                            const st_key *key) {
  int64_t most = 0;
  const st_problem *problem = st_access_covers(c, &m->identity, st_text(key->permissions));
  if (problem == NULL) problem = st_access_find_end(c, &m->identity, &most);
  if (problem != NULL || key->expires_at <= most) return problem;
  return st_problem_escalation(&c->problem, "the key expires later than the credential you use");
}

/* No body, or JSON: a POST without one changes nothing unless its credential is in a header. */
static const st_problem *key_one_read_overlap(st_context *c, int64_t *overlap) {
  char scratch[ST_BODY_SCRATCH];
  st_field field = {.name = "overlap", .type = ST_FIELD_DURATION};
  *overlap = 0;
  if (c->request->body.len == 0) return st_json_body_none(c);
  const st_problem *problem = st_json_body_read(c, &field, 1, scratch);
  if (problem != NULL) return problem;
  if (field.number > KEY_ONE_OVERLAP_MAX) {
    return st_problem_parameter(&c->problem, "overlap", "must be at most 30d");
  }
  *overlap = field.number;
  return NULL;
}

static const st_problem *key_one_rotate(st_context *c, const st_key_manager *m, const st_key *key) {
  const st_key_changes *changes = c->service->changes;
  char whole[ST_KEY_LEN + 1];
  int64_t overlap;
  st_key rotated;
  st_audit_buffers buffers;
  const st_problem *problem = key_one_read_overlap(c, &overlap);
  if (problem == NULL) problem = key_one_may_rotate(c, m, key);
  if (problem != NULL) return problem;
  st_audit_context audit = st_key_manager_audit(c, m, &buffers);
  problem = st_key_manager_problem(
      changes->rotate(changes->context, &audit, &m->grantor, key->id, overlap, &rotated, whole));
  if (problem != NULL) return problem;
  st_key_manager_reply(c, 200, &rotated, whole, NULL);
  subtoken_wipe(whole, sizeof whole);
  return NULL;
}

/* ---- the methods ---- */

static const st_problem *key_one_manage(st_context *c, const char *id, key_one_call call) {
  subtoken_text method = c->request->method;
  st_key_manager m;
  st_key key;
  const st_problem *problem = st_key_manager_find(c, &m);
  if (problem == NULL) problem = st_key_manager_key(c, &m, id, &key);
  if (problem != NULL) return problem;
  if (call == KEY_ONE_SUBTOKENS) return key_one_end(c, &m, id, false);
  if (call == KEY_ONE_ROTATE) return key_one_rotate(c, &m, &key);
  if (st_text_is(method, "DELETE")) return key_one_end(c, &m, id, true);
  if (st_text_is(method, "PATCH")) return key_one_patch(c, &m, &key);
  st_key_manager_reply(c, 200, &key, NULL, NULL);
  return NULL;
}

static bool key_one_method_is(const st_context *c, const char *const *known, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (st_text_is(c->request->method, known[i])) return true;
  }
  return false;
}

const st_problem *st_keys_answer_one(st_context *c) {
  static const char *const on_key[] = {"GET", "HEAD", "DELETE", "PATCH"};
  static const char *const on_others[] = {"POST"};
  char id[ST_KEY_ID_LEN + 1];
  key_one_call call;
  if (!key_one_read_path(c, id, &call)) return &st_key_manager_not_found;
  bool itself = call == KEY_ONE_ITSELF;
  const char *allow = itself ? "GET, HEAD, DELETE, PATCH, OPTIONS" : "POST, OPTIONS";
  bool known = itself ? key_one_method_is(c, on_key, 4) : key_one_method_is(c, on_others, 1);
  if (st_text_is(c->request->method, "OPTIONS")) {
    st_reply_preflight(c->reply, allow);
    return NULL;
  }
  return known ? key_one_manage(c, id, call) : st_problem_method(&c->problem, allow);
}
