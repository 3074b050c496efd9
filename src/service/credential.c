/* Where a request may carry its credential (RFC 6750 section 2, RFC 7617, X-API-Key). There is one
 * at most: two different ones are rejected, whichever of them is valid. Forms that the settings
 * leave out are ignored.
 */
#include "service/credential.h"

#include "base/base64url.h"
#include "service/context.h"
#include "service/form.h"

static const st_problem ambiguous = {.status = 400,
                                     .event = "auth_ambiguous",
                                     .text = "more than one credential",
                                     .challenge = ST_CHALLENGE_INVALID_REQUEST};
static const st_problem unreadable = {.status = 400,
                                      .event = "bad_request",
                                      .text = "access_token: a % needs two hex digits behind it",
                                      .challenge = ST_CHALLENGE_INVALID_REQUEST};

static bool credential_enabled(const st_context *c, unsigned form) {
  return (c->service->settings->credentials & form) != 0;
}

/* False when a different one was found before. */
static bool credential_take(st_credential *credential, subtoken_text text, unsigned form) {
  bool basic = form == ST_FORM_BASIC;
  if (text.len == 0) return true;
  if (credential->text.len == 0) {
    credential->text = text;
  } else if (((credential->forms & ST_FORM_BASIC) != 0) != basic ||
             !st_text_equal(credential->text, text)) {
    return false;
  }
  credential->forms |= form;
  return true;
}

/* username:password (RFC 7617 section 2). What cannot be decoded is a credential, too: an invalid
 * one, because it has no colon.
 */
static subtoken_text credential_decode_basic(st_credential *credential, subtoken_text encoded) {
  size_t len;
  if (!st_base64_read(encoded, ST_PADDED, credential->basic, sizeof credential->basic, &len)) {
    return st_text("?");
  }
  return (subtoken_text){credential->basic, len};
}

/* What follows the scheme; a scheme of another kind brings no credential. *count: of the headers
 * whose form is enabled.
 */
static bool credential_take_authorization(st_context *c, subtoken_text value, size_t *count) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  subtoken_text scheme = {value.data, i};
  while (i < value.len && value.data[i] == ' ') i++;
  subtoken_text text = {value.data + i, value.len - i};
  bool bearer = st_text_is_nocase(scheme, "Bearer"), basic = st_text_is_nocase(scheme, "Basic");
  if ((bearer && !credential_enabled(c, ST_FORM_BEARER)) ||
      (basic && !credential_enabled(c, ST_FORM_BASIC))) {
    return true;
  }
  ++*count;
  if (bearer) return credential_take(&c->credential, text, ST_FORM_BEARER);
  return !basic || credential_take(&c->credential, credential_decode_basic(&c->credential, text),
                                   ST_FORM_BASIC);
}

static const st_problem *credential_take_query(st_context *c) {
  st_credential *credential = &c->credential;
  st_cutter cutter = {c->query, false};
  st_writer out = st_writer_on(credential->query, sizeof credential->query);
  st_pair pair;
  const st_problem *problem = NULL;
  while (problem == NULL && st_form_next_named(&cutter, "access_token", &out, &pair)) {
    if (pair.bad_escape) {
      problem = &unreadable;
    } else if (!credential_take(credential, pair.value, ST_FORM_QUERY)) {
      problem = &ambiguous;
    }
  }
  credential->query_len = out.len;
  return problem;
}

/* Two Authorization headers are ambiguous even when they agree. */
static const st_problem *credential_take_any(st_context *c) {
  size_t authorizations = 0;
  bool one = true;
  for (size_t i = 0; i < c->request->header_count; i++) {
    const st_header *header = &c->request->headers[i];
    if (st_text_is_nocase(header->name, "Authorization")) {
      one = credential_take_authorization(c, header->value, &authorizations) && one;
    } else if (credential_enabled(c, ST_FORM_API_KEY) &&
               st_text_is_nocase(header->name, "X-API-Key")) {
      one = credential_take(&c->credential, header->value, ST_FORM_API_KEY) && one;
    }
  }
  if (!one || authorizations > 1) return &ambiguous;
  return credential_enabled(c, ST_FORM_QUERY) ? credential_take_query(c) : NULL;
}

const st_problem *st_credential_find(st_context *c) {
  st_credential_clear(&c->credential);
  return credential_take_any(c);
}

const st_problem *st_credential_find_basic(st_context *c) {
  size_t count = 0;
  bool one = true;
  st_credential_clear(&c->credential);
  for (size_t i = 0; i < c->request->header_count && one; i++) {
    const st_header *header = &c->request->headers[i];
    if (!st_text_is_nocase(header->name, "Authorization")) continue;
    one = credential_take_authorization(c, header->value, &count) && count <= 1;
  }
  if (!one) return &ambiguous;
  if (c->credential.forms != ST_FORM_BASIC) st_credential_clear(&c->credential);
  return NULL;
}
