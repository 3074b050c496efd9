/* Managing parent keys over HTTP: what ends or suspends one. */
#include "app/manage.h"

#include "base/json.h"
#include "core/claims.h"

#define PREFIX_LEN (sizeof "/v2/keys/" - 1)

static const st_act by_key = {0, "key", ""};

/* A parent key with the permission `keys`: a subtoken, whatever it has, manages nothing. */
static bool may_manage(st_visit *v) {
  static const char needed[] = "keys";
  st_identity identity;
  if (!st_visit_identify(v, &identity)) return false;
  if (!identity.is_key) {
    st_reply_error(v->reply, 403, "escalation", "keys are managed with a parent key");
    st_reply_challenge(v->reply, subtoken_result_challenge(SUBTOKEN_PERM));
    return false;
  }
  if (st_claims_has_permission(&identity.grant, st_text(needed))) return true;
  st_reply_lacks(v->reply, st_text(needed));
  return false;
}

/* The id in the path, and what stands behind it. */
static bool read_path(const st_visit *v, char id[ST_KEY_ID_LEN + 1], subtoken_text *rest) {
  subtoken_text path = {v->path + PREFIX_LEN, v->path_len - PREFIX_LEN};
  id[0] = '\0';
  if (v->path_cut || path.len < ST_KEY_ID_LEN) return false;
  memcpy(id, path.data, ST_KEY_ID_LEN);
  id[ST_KEY_ID_LEN] = '\0';
  *rest = (subtoken_text){path.data + ST_KEY_ID_LEN, path.len - ST_KEY_ID_LEN};
  return memchr(id, '/', ST_KEY_ID_LEN) == NULL && memchr(id, '\0', ST_KEY_ID_LEN) == NULL;
}

static void not_found(st_visit *v) {
  st_reply_error(v->reply, 404, "not_found", "there is no such key");
}

/* What became of it: 204, or the reason why not. */
static void answer(st_visit *v, st_changed changed, int64_t sequence) {
  char text[24];
  if (changed == ST_CHANGED_NONE) {
    not_found(v);
    return;
  }
  if (changed != ST_CHANGED) {
    st_reply_error(v->reply, 503, "store_error", "nothing was changed; try again later");
    v->reply->retry_after = 5;
    return;
  }
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, sequence);
  if (st_writer_end(&writer)) st_reply_header(v->reply, "Subtoken-Seq", st_text(text));
  v->reply->status = 204;
}

/* {"disabled":true|false}; NULL, or what is wrong. */
static const char *read_patch(subtoken_text body, bool *disabled) {
  char copy[8192];
  st_json json;
  subtoken_text name;
  bool seen = false;
  if (body.len > sizeof copy) return "the body is too long";
  memcpy(copy, body.data, body.len);
  st_json_start(&json, copy, body.len);
  bool good = st_json_object(&json);
  while (good && st_json_member(&json, &name)) {
    bool ours = st_text_is(name, "disabled");
    good = ours ? st_json_bool(&json, disabled) : st_json_skip(&json);
    if (ours && !good) return "disabled: must be true or false";
    seen = seen || ours;
  }
  if (!good || !st_json_end(&json)) return "the body is not a JSON object";
  return seen ? NULL : "disabled: is missing";
}

static void patch(st_visit *v, const char *id) {
  const st_key_changes *changes = v->service->changes;
  bool disabled = false;
  int64_t sequence = 0;
  if (st_request_body_kind(v->request) != ST_BODY_JSON) {
    st_reply_error(v->reply, 415, "bad_request", "Content-Type: must be application/json");
    return;
  }
  const char *problem = read_patch(v->request->body, &disabled);
  if (problem != NULL) {
    st_reply_error(v->reply, 400, "bad_request", problem);
    return;
  }
  st_changed changed = changes->set_disabled(changes->context, &by_key, id, disabled, &sequence);
  answer(v, changed, sequence);
  if (v->reply->status != 204) return;
  st_writer writer = st_writer_on(v->reply->body, sizeof v->reply->body);
  st_write_string(&writer, "{\"id\":");
  st_json_write_string(&writer, st_text(id));
  st_write_string(&writer, disabled ? ",\"disabled\":true}" : ",\"disabled\":false}");
  v->reply->status = 200;
  v->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

/* A browser sends forms across origins unasked: neither a body nor a credential that is not
 * in a header.
 */
static void revoke_subtokens(st_visit *v, const char *id) {
  const st_key_changes *changes = v->service->changes;
  int64_t sequence = 0;
  if (v->request->body.len > 0) {
    st_reply_error(v->reply, 400, "bad_request", "this call takes no body");
  } else if (v->credential_in_query) {
    st_reply_error(v->reply, 400, "bad_request", "access_token: this call wants it in a header");
  } else {
    st_changed changed = changes->revoke_subtokens(changes->context, &by_key, id, &sequence);
    answer(v, changed, sequence);
  }
}

static void remove_key(st_visit *v, const char *id) {
  const st_key_changes *changes = v->service->changes;
  int64_t sequence = 0;
  st_changed changed = changes->remove(changes->context, &by_key, id, &sequence);
  answer(v, changed, sequence);
}

static void refuse_method(st_visit *v, const char *allow) {
  st_reply_error(v->reply, 405, "bad_method", "this endpoint does not know this method");
  v->reply->allow = allow;
}

static void allow_preflight(st_visit *v, const char *allow) {
  v->reply->status = 204;
  v->reply->allow = allow;
  v->reply->preflight = true;
}

void st_manage_key(st_visit *v) {
  char id[ST_KEY_ID_LEN + 1];
  subtoken_text rest, method = v->request->method;
  bool found = read_path(v, id, &rest);
  bool revoking = found && st_text_is(rest, "/revoke-subtokens");
  const char *allow = revoking ? "POST, OPTIONS" : "DELETE, PATCH, OPTIONS";
  if (!found || (rest.len > 0 && !revoking)) {
    not_found(v);
  } else if (st_text_is(method, "OPTIONS")) {
    allow_preflight(v, allow);
  } else if (revoking ? !st_text_is(method, "POST")
                      : !st_text_is(method, "DELETE") && !st_text_is(method, "PATCH")) {
    refuse_method(v, allow);
  } else if (!may_manage(v)) {
    return;
  } else if (revoking) {
    revoke_subtokens(v, id);
  } else if (st_text_is(method, "PATCH")) {
    patch(v, id);
  } else {
    remove_key(v, id);
  }
}
