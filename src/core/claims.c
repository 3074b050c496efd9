/* Claims: reads them from any strict JSON, builds them by hand, writes them as JSON, and answers
 * what callers ask of them. claims_fast.c reads the usual form of a payload; decide.c applies the
 * rules.
 */
#include "core/claims.h"

#include "base/impossible.h"
#include "base/json.h"
#include "core/claims_fast.h"
#include "core/paths.h"
#include "subtoken/issue.h"
#include "subtoken/verify.h"

bool subtoken_permission_valid(subtoken_text permission) {
  return permission.len >= 1 && permission.len <= SUBTOKEN_PERMISSION_MAX &&
         (st_text_class(permission) & ST_CHAR_SCOPE) != 0;
}

bool subtoken_sub_valid(subtoken_text sub) {
  return sub.len >= 1 && sub.len <= SUBTOKEN_SUB_MAX && (st_text_class(sub) & ST_CHAR_NAME) != 0;
}

bool st_claims_tid_valid(subtoken_text tid) {
  return tid.len == SUBTOKEN_TID_LEN && (st_text_class(tid) & ST_CHAR_NAME) != 0;
}

bool st_claims_sid_valid(subtoken_text sid) {
  return sid.len >= 1 && sid.len <= SUBTOKEN_SID_MAX && (st_text_class(sid) & ST_CHAR_NAME) != 0;
}

static bool claims_list_has(const subtoken_claims *claims, const subtoken_slice *list, size_t count,
                            subtoken_text text) {
  for (size_t i = 0; i < count; i++) {
    if (st_text_equal(subtoken_claims_text(claims, list[i]), text)) return true;
  }
  return false;
}

bool st_claims_has_permission(const subtoken_claims *claims, subtoken_text permission) {
  return claims_list_has(claims, claims->permissions, claims->permission_count, permission);
}

bool st_claims_has_url(const subtoken_claims *claims, subtoken_text url) {
  return claims_list_has(claims, claims->urls, claims->url_count, url);
}

bool subtoken_audience_valid(subtoken_text audience) {
  return audience.len >= 1 && audience.len <= SUBTOKEN_AUD_MAX &&
         (st_text_class(audience) & ST_CHAR_NAME) != 0;
}

static subtoken_slice slice_of(const subtoken_claims *claims, subtoken_text text) {
  return (subtoken_slice){(uint16_t)(text.data - claims->text), (uint16_t)text.len};
}

static bool slice_in_bounds(subtoken_slice slice) {
  return (size_t)slice.at + slice.len <= sizeof((subtoken_claims *)0)->text;
}

bool st_claims_in_bounds(const subtoken_claims *claims) {
  if (claims == NULL || claims->permission_count > SUBTOKEN_PERMISSIONS_MAX ||
      claims->url_count > SUBTOKEN_URLS_MAX || claims->text_len > sizeof claims->text ||
      claims->via_count > SUBTOKEN_VIA_MAX || !slice_in_bounds(claims->sub) ||
      !slice_in_bounds(claims->sid) || !slice_in_bounds(claims->tid) ||
      !slice_in_bounds(claims->aud)) {
    return false;
  }
  for (size_t i = 0; i < claims->via_count; i++) {
    if (!slice_in_bounds(claims->via[i])) return false;
  }
  for (size_t i = 0; i < claims->permission_count; i++) {
    if (!slice_in_bounds(claims->permissions[i])) return false;
  }
  for (size_t i = 0; i < claims->url_count; i++) {
    if (!slice_in_bounds(claims->urls[i])) return false;
  }
  return true;
}

bool st_claims_decidable(const subtoken_claims *claims) {
  return st_claims_in_bounds(claims) && slice_in_bounds(claims->iss) &&
         (uint64_t)claims->iat <= SUBTOKEN_TIME_MAX && (uint64_t)claims->exp <= SUBTOKEN_TIME_MAX &&
         (uint64_t)claims->nbf <= SUBTOKEN_TIME_MAX;
}

/* ---- what callers ask of claims ---- */

bool subtoken_claims_has_permission(const subtoken_claims *claims, subtoken_text permission) {
  return st_claims_in_bounds(claims) && permission.data != NULL &&
         st_claims_has_permission(claims, permission);
}

const subtoken_text *st_claims_find_lacking(const subtoken_claims *claims,
                                            const subtoken_text *needs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!st_claims_has_permission(claims, needs[i])) return &needs[i];
  }
  return NULL;
}

subtoken_result subtoken_claims_check_needs(const subtoken_claims *claims,
                                            const subtoken_text *needs, size_t needs_count,
                                            subtoken_text *lacking) {
  if (lacking != NULL) *lacking = (subtoken_text){NULL, 0};
  if (!st_claims_in_bounds(claims) || (needs == NULL && needs_count > 0)) {
    return SUBTOKEN_INVALID_ARGUMENT;
  }
  const subtoken_text *first = st_claims_find_lacking(claims, needs, needs_count);
  if (first == NULL) return SUBTOKEN_OK;
  if (lacking != NULL) *lacking = *first;
  return SUBTOKEN_PERM;
}

/* Two bytes for its length, and the text. */
static subtoken_text next_audience(const subtoken_claims *claims, size_t *at) {
  const char *from = claims->text + claims->aud.at + *at;
  if (*at > claims->aud.len || claims->aud.len - *at < 2) return (subtoken_text){NULL, 0};
  size_t len = (uint8_t)from[0] | (size_t)(uint8_t)from[1] << 8;
  if (len > claims->aud.len - *at - 2) return (subtoken_text){NULL, 0};
  *at += 2 + len;
  return (subtoken_text){from + 2, len};
}

bool st_claims_has_audience(const subtoken_claims *claims, subtoken_text aud) {
  size_t at = 0;
  for (subtoken_text one; (one = next_audience(claims, &at)).data != NULL;) {
    if (st_text_equal(one, aud)) return true;
  }
  return false;
}

bool st_claims_only_audience(const subtoken_claims *claims, subtoken_text audience) {
  size_t at = 0;
  subtoken_text one = next_audience(claims, &at);
  return one.data != NULL && at == claims->aud.len && st_text_equal(one, audience);
}

subtoken_text subtoken_claims_audience(const subtoken_claims *claims, size_t *at) {
  if (at == NULL || !st_claims_in_bounds(claims)) return (subtoken_text){NULL, 0};
  return next_audience(claims, at);
}

bool subtoken_claims_has_audience(const subtoken_claims *claims, subtoken_text audience) {
  return st_claims_in_bounds(claims) && audience.data != NULL &&
         st_claims_has_audience(claims, audience);
}

/* ---- reading ---- */

/* Each reader returns false for JSON of the right type that is not allowed. An
 * error of JSON is kept in json. */

static bool read_sub(st_json *json, subtoken_claims *claims) {
  subtoken_text text;
  if (!st_json_string(json, &text) || !subtoken_sub_valid(text)) return false;
  claims->sub = slice_of(claims, text);
  return true;
}

static bool read_permissions_claim(st_json *json, subtoken_claims *claims) {
  if (!st_json_array(json)) return false;
  while (st_json_element(json)) {
    subtoken_text text;
    if (!st_json_string(json, &text) || !subtoken_permission_valid(text) ||
        claims->permission_count == SUBTOKEN_PERMISSIONS_MAX ||
        st_claims_has_permission(claims, text)) {
      return false;
    }
    claims->permissions[claims->permission_count++] = slice_of(claims, text);
  }
  return !json->failed;
}

static bool read_urls_claim(st_json *json, subtoken_claims *claims) {
  if (!st_json_array(json)) return false;
  while (st_json_element(json)) {
    subtoken_text text;
    if (!st_json_string(json, &text) || claims->url_count == SUBTOKEN_URLS_MAX ||
        st_paths_check_entry(text) != SUBTOKEN_FAULT_NONE) {
      return false;
    }
    claims->urls[claims->url_count++] = slice_of(claims, text);
  }
  return !json->failed && claims->url_count > 0;
}

/* Appends an audience to those that are packed: two bytes for its length, and the text. That is in
 * place of its own two quotes or before, and never beyond. */
static void pack_audience(subtoken_claims *claims, subtoken_text text) {
  char *to = claims->text + claims->aud.at + claims->aud.len;
  memmove(to + 2, text.data, text.len);
  to[0] = (char)(text.len & 0xFF);
  to[1] = (char)(text.len >> 8);
  claims->aud.len = (uint16_t)(claims->aud.len + 2 + text.len);
}

/* A string or an array of strings (RFC 7519 section 4.1.3). The verifier's audience is not known
 * here: all are kept. */
static bool read_aud(st_json *json, subtoken_claims *claims) {
  subtoken_text text;
  bool array = st_json_peek(json) == '[';
  if (array) {
    bool opened = st_json_array(json);
    if (st_impossible(!opened, "its bracket was seen, in the first object")) return false;
  }
  claims->aud = (subtoken_slice){(uint16_t)json->at, 0};
  while (!array || st_json_element(json)) {
    if (!st_json_string(json, &text)) return false;
    pack_audience(claims, text);
    if (!array) return true;
  }
  return !json->failed;
}

static bool read_iss(st_json *json, subtoken_claims *claims) {
  subtoken_text text;
  if (!st_json_string(json, &text)) return false;
  claims->iss = slice_of(claims, text);
  return true;
}

static bool read_sid(st_json *json, subtoken_claims *claims) {
  subtoken_text text;
  if (!st_json_string(json, &text) || !st_claims_sid_valid(text)) return false;
  claims->sid = slice_of(claims, text);
  return true;
}

static bool read_via(st_json *json, subtoken_claims *claims) {
  if (!st_json_array(json)) return false;
  while (st_json_element(json)) {
    subtoken_text text;
    if (!st_json_string(json, &text) || claims->via_count == SUBTOKEN_VIA_MAX ||
        !st_claims_tid_valid(text)) {
      return false;
    }
    claims->via[claims->via_count++] = slice_of(claims, text);
  }
  return !json->failed && claims->via_count > 0;
}

/* The required claims, as bits of those that were read. */
enum { SUB = 1, IAT = 2, EXP = 4, PERMISSIONS = 8, REQUIRED = 15 };

static bool read_claim(st_json *json, subtoken_text name, subtoken_claims *claims, unsigned *seen) {
  if (st_text_is(name, "sub")) {
    *seen |= SUB;
    return read_sub(json, claims);
  }
  if (st_text_is(name, "iat")) {
    *seen |= IAT;
    return st_json_uint(json, &claims->iat);
  }
  if (st_text_is(name, "exp")) {
    *seen |= EXP;
    return st_json_uint(json, &claims->exp);
  }
  if (st_text_is(name, "permissions")) {
    *seen |= PERMISSIONS;
    return read_permissions_claim(json, claims);
  }
  if (st_text_is(name, "urls")) {
    claims->every_url = false;
    return read_urls_claim(json, claims);
  }
  if (st_text_is(name, "nbf")) return st_json_uint(json, &claims->nbf);
  if (st_text_is(name, "iss")) return read_iss(json, claims);
  if (st_text_is(name, "aud")) return read_aud(json, claims);
  if (st_text_is(name, "sid")) return read_sid(json, claims);
  if (st_text_is(name, "via")) return read_via(json, claims);
  return st_json_skip(json);
}

static subtoken_text first_missing(unsigned seen) {
  return !(seen & SUB)   ? ST_TEXT("sub")
         : !(seen & IAT) ? ST_TEXT("iat")
         : !(seen & EXP) ? ST_TEXT("exp")
                         : ST_TEXT("permissions");
}

subtoken_result st_claims_read(uint8_t cpu, subtoken_claims *claims, subtoken_text *fault) {
  return st_claims_fast_read(cpu, claims) ? SUBTOKEN_OK : st_claims_read_any(claims, fault);
}

subtoken_result st_claims_read_any(subtoken_claims *claims, subtoken_text *fault) {
  st_json json;
  subtoken_text name = {NULL, 0};
  unsigned seen = 0;
  bool good = true;
  st_json_start(&json, claims->text, claims->text_len);
  if (!st_json_object(&json)) return SUBTOKEN_MALFORMED;
  claims->every_url = true; /* until a urls claim is read */
  while (good && st_json_member(&json, &name)) {
    good = read_claim(&json, name, claims, &seen);
  }
  if (json.failed && !json.wrong_type) return SUBTOKEN_MALFORMED;
  if (good && !st_json_end(&json)) return SUBTOKEN_MALFORMED;
  if (good && seen == REQUIRED) return SUBTOKEN_OK;
  if (fault != NULL) *fault = good ? first_missing(seen) : name;
  return SUBTOKEN_CLAIMS;
}

/* ---- writing ---- */

static bool claims_append(subtoken_claims *claims, subtoken_text text, subtoken_slice *slice) {
  if (text.len > sizeof claims->text - claims->text_len) return false;
  char *to = claims->text + claims->text_len;
  if (text.len > 0) memcpy(to, text.data, text.len);
  *slice = slice_of(claims, (subtoken_text){to, text.len});
  claims->text_len = (uint16_t)(claims->text_len + text.len);
  return true;
}

bool st_claims_add_permission(subtoken_claims *claims, subtoken_text permission) {
  if (claims->permission_count >= SUBTOKEN_PERMISSIONS_MAX) return false;
  bool fits = claims_append(claims, permission, &claims->permissions[claims->permission_count]);
  claims->permission_count = (uint16_t)(claims->permission_count + fits);
  return fits;
}

bool st_claims_add_url(subtoken_claims *claims, subtoken_text url) {
  if (claims->url_count >= SUBTOKEN_URLS_MAX) return false;
  bool fits = claims_append(claims, url, &claims->urls[claims->url_count]);
  claims->url_count = (uint16_t)(claims->url_count + fits);
  return fits;
}

bool st_claims_set_sub(subtoken_claims *claims, subtoken_text sub) {
  return claims_append(claims, sub, &claims->sub);
}

bool st_claims_set_sid(subtoken_claims *claims, subtoken_text sid) {
  return claims_append(claims, sid, &claims->sid);
}

bool st_claims_add_via(subtoken_claims *claims, subtoken_text tid) {
  if (claims->via_count >= SUBTOKEN_VIA_MAX) return false;
  bool fits = claims_append(claims, tid, &claims->via[claims->via_count]);
  claims->via_count = (uint16_t)(claims->via_count + fits);
  return fits;
}

bool st_claims_set_aud(subtoken_claims *claims, subtoken_text audience) {
  if (audience.len + 2 > sizeof claims->text - claims->text_len) return false;
  claims->aud = (subtoken_slice){claims->text_len, 0};
  claims->text_len = (uint16_t)(claims->text_len + 2 + audience.len);
  pack_audience(claims, audience);
  return true;
}

static subtoken_result claims_added(bool fits) {
  return fits ? SUBTOKEN_OK : SUBTOKEN_TOO_LARGE;
}

subtoken_result subtoken_claims_set_sub(subtoken_claims *claims, subtoken_text sub) {
  if (!st_claims_in_bounds(claims) || sub.data == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (!subtoken_sub_valid(sub)) return SUBTOKEN_CLAIMS;
  return claims_added(st_claims_set_sub(claims, sub));
}

subtoken_result subtoken_claims_set_sid(subtoken_claims *claims, subtoken_text sid) {
  if (!st_claims_in_bounds(claims) || sid.data == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (!st_claims_sid_valid(sid)) return SUBTOKEN_CLAIMS;
  return claims_added(st_claims_set_sid(claims, sid));
}

subtoken_result subtoken_claims_set_aud(subtoken_claims *claims, subtoken_text audience) {
  if (!st_claims_in_bounds(claims) || audience.data == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (!subtoken_audience_valid(audience)) return SUBTOKEN_BAD_AUD;
  return claims_added(st_claims_set_aud(claims, audience));
}

subtoken_result subtoken_claims_add_permission(subtoken_claims *claims, subtoken_text permission) {
  if (!st_claims_in_bounds(claims) || permission.data == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (!subtoken_permission_valid(permission)) return SUBTOKEN_CLAIMS;
  if (st_claims_has_permission(claims, permission)) return SUBTOKEN_OK;
  if (claims->permission_count == SUBTOKEN_PERMISSIONS_MAX) return SUBTOKEN_TOO_MANY_PERMISSIONS;
  return claims_added(st_claims_add_permission(claims, permission));
}

subtoken_result subtoken_claims_add_url(subtoken_claims *claims, subtoken_text entry,
                                        subtoken_fault *fault) {
  char canonical[SUBTOKEN_URL_MAX + 1];
  subtoken_text url = {canonical, 0};
  if (fault != NULL) *fault = SUBTOKEN_FAULT_NONE;
  if (!st_claims_in_bounds(claims) || entry.data == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_result result =
      subtoken_url_canonical(entry, canonical, sizeof canonical, &url.len, fault);
  if (result != SUBTOKEN_OK) return result;
  if (!st_claims_has_url(claims, url)) {
    if (claims->url_count == SUBTOKEN_URLS_MAX) return SUBTOKEN_TOO_MANY_URLS;
    if (!st_claims_add_url(claims, url)) return SUBTOKEN_TOO_LARGE;
  }
  claims->every_url = false;
  return SUBTOKEN_OK;
}

static subtoken_result read_identity_headers(subtoken_claims *claims, subtoken_text sub,
                                             subtoken_text permissions) {
  subtoken_text permission;
  st_cutter cutter = {permissions, permissions.len == 0};
  if (sub.len > 0 && !subtoken_sub_valid(sub)) return SUBTOKEN_CLAIMS;
  if (st_impossible(!st_claims_set_sub(claims, sub), "these claims are empty")) {
    return SUBTOKEN_CLAIMS;
  }
  while (st_cut(&cutter, ',', &permission)) {
    if (!subtoken_permission_valid(permission)) return SUBTOKEN_CLAIMS;
    if (st_claims_has_permission(claims, permission)) continue;
    /* The text has room for 64 permissions of 64 characters, so only the count can fail.  */
    if (!st_claims_add_permission(claims, permission)) return SUBTOKEN_TOO_MANY_PERMISSIONS;
  }
  return SUBTOKEN_OK;
}

subtoken_result subtoken_claims_from_identity(subtoken_claims *claims, subtoken_text sub,
                                              subtoken_text permissions, int64_t expires) {
  if (claims == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memset(claims, 0, offsetof(subtoken_claims, text));
  claims->every_url = true;
  claims->exp = expires;
  bool in_range = expires >= 0 && expires <= SUBTOKEN_TIME_MAX;
  subtoken_result result =
      in_range ? read_identity_headers(claims, sub, permissions) : SUBTOKEN_CLAIMS;
  if (result != SUBTOKEN_OK) memset(claims, 0, sizeof *claims);
  return result;
}

/* Writes a string in quotes, and the character behind it. Nothing in valid claims needs an escape.
 */
static void write_quoted(st_writer *writer, const subtoken_claims *claims, subtoken_slice slice,
                         char after) {
  size_t len = slice.len + 3U;
  if (writer->overflow || len > writer->size - writer->len) {
    writer->overflow = true;
    return;
  }
  char *to = writer->out + writer->len;
  to[0] = '"';
  memcpy(to + 1, claims->text + slice.at, slice.len);
  to[len - 2] = '"';
  to[len - 1] = after;
  writer->len += len;
}

static void write_list(st_writer *writer, const subtoken_claims *claims, const subtoken_slice *list,
                       size_t count) {
  st_write_char(writer, '[');
  for (size_t i = 0; i < count; i++) {
    write_quoted(writer, claims, list[i], i + 1 < count ? ',' : ']');
  }
  if (count == 0) st_write_char(writer, ']');
}

void st_claims_write(st_writer *writer, const subtoken_claims *claims) {
  st_write_literal(writer, "{\"sub\":");
  write_quoted(writer, claims, claims->sub, ',');
  st_write_literal(writer, "\"iat\":");
  st_write_int(writer, claims->iat);
  st_write_literal(writer, ",\"exp\":");
  st_write_int(writer, claims->exp);
  if (claims->aud.len > 0) {
    st_write_literal(writer, ",\"aud\":");
    write_quoted(writer, claims,
                 (subtoken_slice){(uint16_t)(claims->aud.at + 2), (uint16_t)(claims->aud.len - 2)},
                 ',');
    st_write_literal(writer, "\"permissions\":");
  } else {
    st_write_literal(writer, ",\"permissions\":");
  }
  write_list(writer, claims, claims->permissions, claims->permission_count);
  if (!claims->every_url) {
    st_write_literal(writer, ",\"urls\":");
    write_list(writer, claims, claims->urls, claims->url_count);
  }
  if (claims->via_count > 0) {
    st_write_literal(writer, ",\"via\":");
    write_list(writer, claims, claims->via, claims->via_count);
  }
  if (claims->sid.len == 0) {
    st_write_char(writer, '}');
  } else {
    st_write_literal(writer, ",\"sid\":");
    write_quoted(writer, claims, claims->sid, '}');
  }
}
