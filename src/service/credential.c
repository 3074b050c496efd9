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

static bool take_credential(st_context *c, subtoken_text text, bool basic) {
  if (text.len == 0) return true;
  if (c->credential.len == 0) {
    c->credential = text;
    c->is_basic = basic;
    return true;
  }
  return c->is_basic == basic && st_text_equal(c->credential, text);
}

/* login:password (RFC 7617 section 2). What cannot be read is a credential, too: one that nobody
 * has, for want of a colon.
 */
static subtoken_text decode_basic(st_context *c, subtoken_text encoded) {
  size_t len;
  if (encoded.len == 0) return encoded;
  if (!st_base64_read(encoded, ST_PADDED, c->basic, sizeof c->basic, &len) || len == 0)
    return st_text("?");
  return (subtoken_text){c->basic, len};
}

static bool looked_at(const st_context *c, unsigned form) {
  return (c->service->settings->credentials & form) != 0;
}

/* What stands behind the scheme, or nothing for one that is not ours. *count: of those that are not
 * as if they were not there.
 */
static bool take_authorization(st_context *c, subtoken_text value, size_t *count) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  subtoken_text scheme = {value.data, i};
  while (i < value.len && value.data[i] == ' ') i++;
  subtoken_text text = {value.data + i, value.len - i};
  bool bearer = st_text_is_nocase(scheme, "Bearer"), basic = st_text_is_nocase(scheme, "Basic");
  if ((bearer && !looked_at(c, ST_FORM_BEARER)) || (basic && !looked_at(c, ST_FORM_BASIC))) {
    return true;
  }
  ++*count;
  if (bearer) {
    c->credential_elsewhere = c->credential_elsewhere || text.len > 0;
    return take_credential(c, text, false);
  }
  return !basic || take_credential(c, decode_basic(c, text), true);
}

static found_credential take_from_query(st_context *c) {
  st_cutter cutter = {c->query, c->query.len == 0};
  st_writer out = st_writer_on(c->query_credential, sizeof c->query_credential);
  st_pair pair;
  while (st_params_next_pair(&cutter, &out, &pair)) {
    if (!st_text_is(pair.name, "access_token")) continue;
    if (pair.bad_escape) return CREDENTIAL_UNREADABLE;
    c->credential_elsewhere = c->credential_elsewhere || pair.value.len > 0;
    if (!take_credential(c, pair.value, false)) return CREDENTIAL_AMBIGUOUS;
    c->credential_in_query = c->credential_in_query || c->credential.data == pair.value.data;
  }
  return CREDENTIAL_READ;
}

/* Two Authorization headers are ambiguous even when they agree. */
static found_credential find_credential(st_context *c) {
  size_t authorizations = 0;
  bool one = true;
  for (size_t i = 0; i < c->request->header_count; i++) {
    const st_header *header = &c->request->headers[i];
    if (st_text_is_nocase(header->name, "Authorization")) {
      one = take_authorization(c, header->value, &authorizations) && one;
    } else if (looked_at(c, ST_FORM_API_KEY) && st_text_is_nocase(header->name, "X-API-Key")) {
      one = take_credential(c, header->value, false) && one;
    }
  }
  if (!one || authorizations > 1) return CREDENTIAL_AMBIGUOUS;
  return looked_at(c, ST_FORM_QUERY) ? take_from_query(c) : CREDENTIAL_READ;
}

bool st_credential_find(st_context *c) {
  found_credential found = find_credential(c);
  if (found == CREDENTIAL_READ) return true;
  subtoken_wipe(c->basic, sizeof c->basic); /* one of them may have been a password */
  bool ambiguous = found == CREDENTIAL_AMBIGUOUS;
  st_reply_error(
      c->reply, 400, ambiguous ? "auth_ambiguous" : "bad_request",
      ambiguous ? "more than one credential" : "access_token: a % needs two hex digits behind it");
  st_reply_challenge(c->reply, "Bearer error=\"invalid_request\"");
  return false;
}
