/* Finds the one credential of a request: Bearer, X-API-Key, access_token or Basic. More than one is
 * an error. Whose it is: service/authenticate.c.
 */
#include "service/credential.h"

#include "base/base64url.h"
#include "base/bytes.h"
#include "domain/config.h"
#include "service/context.h"
#include "service/params.h"
#include "service/reply.h"
#include "service/service.h"

typedef enum found_credential {
  CREDENTIAL_READ, /* one or none */
  CREDENTIAL_AMBIGUOUS,
  CREDENTIAL_UNREADABLE,
} found_credential;

static bool take_credential(st_visit *v, subtoken_text text, bool basic) {
  if (text.len == 0) return true;
  if (v->credential.len == 0) {
    v->credential = text;
    v->is_basic = basic;
    return true;
  }
  return v->is_basic == basic && st_text_equal(v->credential, text);
}

/* login:password (RFC 7617 section 2). What cannot be read is a credential, too: one that nobody
 * has, for want of a colon.
 */
static subtoken_text decode_basic(st_visit *v, subtoken_text encoded) {
  size_t len;
  if (encoded.len == 0) return encoded;
  if (!st_base64_read(encoded, ST_PADDED, v->basic, sizeof v->basic, &len) || len == 0)
    return st_text("?");
  return (subtoken_text){v->basic, len};
}

static bool looked_at(const st_visit *v, unsigned form) {
  return (v->service->settings->credentials & form) != 0;
}

/* What stands behind the scheme, or nothing for one that is not ours. *count: of those that are not
 * as if they were not there.
 */
static bool take_authorization(st_visit *v, subtoken_text value, size_t *count) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  subtoken_text scheme = {value.data, i};
  while (i < value.len && value.data[i] == ' ') i++;
  subtoken_text text = {value.data + i, value.len - i};
  bool bearer = st_text_is_nocase(scheme, "Bearer"), basic = st_text_is_nocase(scheme, "Basic");
  if ((bearer && !looked_at(v, ST_FORM_BEARER)) || (basic && !looked_at(v, ST_FORM_BASIC))) {
    return true;
  }
  ++*count;
  if (bearer) {
    v->credential_elsewhere = v->credential_elsewhere || text.len > 0;
    return take_credential(v, text, false);
  }
  return !basic || take_credential(v, decode_basic(v, text), true);
}

static found_credential take_from_query(st_visit *v) {
  st_cutter cutter = {v->query, v->query.len == 0};
  st_writer out = st_writer_on(v->query_credential, sizeof v->query_credential);
  st_pair pair;
  while (st_pair_next(&cutter, &out, &pair)) {
    if (!st_text_is(pair.name, "access_token")) continue;
    if (pair.bad_escape) return CREDENTIAL_UNREADABLE;
    v->credential_elsewhere = v->credential_elsewhere || pair.value.len > 0;
    if (!take_credential(v, pair.value, false)) return CREDENTIAL_AMBIGUOUS;
    v->credential_in_query = v->credential_in_query || v->credential.data == pair.value.data;
  }
  return CREDENTIAL_READ;
}

/* Two Authorization headers are ambiguous even when they agree. */
static found_credential find_credential(st_visit *v) {
  size_t authorizations = 0;
  bool one = true;
  for (size_t i = 0; i < v->request->header_count; i++) {
    const st_header *header = &v->request->headers[i];
    if (st_text_is_nocase(header->name, "Authorization")) {
      one = take_authorization(v, header->value, &authorizations) && one;
    } else if (looked_at(v, ST_FORM_API_KEY) && st_text_is_nocase(header->name, "X-API-Key")) {
      one = take_credential(v, header->value, false) && one;
    }
  }
  if (!one || authorizations > 1) return CREDENTIAL_AMBIGUOUS;
  return looked_at(v, ST_FORM_QUERY) ? take_from_query(v) : CREDENTIAL_READ;
}

bool st_visit_find_credential(st_visit *v) {
  found_credential found = find_credential(v);
  if (found == CREDENTIAL_READ) return true;
  subtoken_wipe(v->basic, sizeof v->basic); /* one of them may have been a password */
  bool ambiguous = found == CREDENTIAL_AMBIGUOUS;
  st_reply_error(
      v->reply, 400, ambiguous ? "auth_ambiguous" : "bad_request",
      ambiguous ? "more than one credential" : "access_token: a % needs two hex digits behind it");
  st_reply_challenge(v->reply, "Bearer error=\"invalid_request\"");
  return false;
}
