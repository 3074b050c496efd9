/* Which credential a request brought (RFC 6750 section 2, RFC 7617, X-API-Key), read as
 * service/credential.c reads it. Whether it is good is not decided here: see edge.c.
 */
#include "core/edge_credential.h"

#include "core/edge_query.h"

/* An empty credential is none. The same one in two forms is one, but for Basic, whose text is of
 * another kind.
 */
static void edge_credential_take(st_edge_credential *credential, subtoken_text text,
                                 unsigned form) {
  if (text.len == 0) return;
  if (credential->state == ST_EDGE_CREDENTIAL_NONE) {
    credential->state = ST_EDGE_CREDENTIAL_ONE;
    credential->text = text;
  } else if (form == SUBTOKEN_EDGE_BASIC || credential->forms == SUBTOKEN_EDGE_BASIC ||
             !st_text_equal(credential->text, text)) {
    credential->state = ST_EDGE_CREDENTIAL_AMBIGUOUS;
  }
  credential->forms |= form;
}

/* Is this the scheme of Authorization? Then *rest is what follows it. */
static bool edge_credential_has_scheme(subtoken_text value, const char *scheme,
                                       subtoken_text *rest) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  if (!st_text_is_nocase((subtoken_text){value.data, i}, scheme)) return false;
  while (i < value.len && value.data[i] == ' ') i++;
  *rest = (subtoken_text){value.data + i, value.len - i};
  return true;
}

/* A scheme of another kind brings no credential. */
static void edge_credential_take_authorization(st_edge_credential *credential, unsigned forms,
                                               subtoken_text raw) {
  subtoken_text value = st_text_trim(raw), rest;
  if (edge_credential_has_scheme(value, "Bearer", &rest)) {
    if ((forms & SUBTOKEN_EDGE_BEARER) == 0) return;
    edge_credential_take(credential, rest, SUBTOKEN_EDGE_BEARER);
  } else if (edge_credential_has_scheme(value, "Basic", &rest) && rest.len > 0) {
    if ((forms & SUBTOKEN_EDGE_BASIC) == 0) return;
    edge_credential_take(credential, value, SUBTOKEN_EDGE_BASIC);
  }
}

/* Two Authorization headers are ambiguous even when they agree. */
static void edge_credential_find_headers(const subtoken_edge *edge,
                                         const subtoken_edge_request *request,
                                         st_edge_credential *credential) {
  unsigned forms = edge->forms;
  if ((forms & (SUBTOKEN_EDGE_BEARER | SUBTOKEN_EDGE_BASIC)) != 0) {
    for (size_t i = 0; i < request->authorization_count; i++) {
      edge_credential_take_authorization(credential, forms, request->authorization[i]);
    }
    if (request->authorization_count > 1) credential->state = ST_EDGE_CREDENTIAL_AMBIGUOUS;
  }
  if ((forms & SUBTOKEN_EDGE_X_API_KEY) == 0) return;
  for (size_t i = 0; i < request->x_api_key_count; i++) {
    edge_credential_take(credential, st_text_trim(request->x_api_key[i]), SUBTOKEN_EDGE_X_API_KEY);
  }
}

/* All of them are read, so that one which cannot be read is told whatever stands beside it. */
static void edge_credential_find_query(subtoken_text target, st_edge_credential *credential) {
  st_edge_query query = st_edge_query_of(target);
  bool unreadable = false;
  subtoken_text raw;
  while (st_edge_query_next(&query, &raw)) {
    char *out = credential->query + credential->query_len;
    size_t len;
    if (!st_edge_query_decode(raw, out, &len)) {
      unreadable = true;
      continue;
    }
    credential->query_len += len;
    edge_credential_take(credential, (subtoken_text){out, len}, SUBTOKEN_EDGE_QUERY);
  }
  if (unreadable) credential->state = ST_EDGE_CREDENTIAL_UNREADABLE;
}

bool st_edge_credential_args_valid(const subtoken_edge *edge,
                                   const subtoken_edge_request *request) {
  return edge != NULL && edge->size == sizeof *edge && request != NULL &&
         request->size == sizeof *request &&
         (request->authorization != NULL || request->authorization_count == 0) &&
         (request->x_api_key != NULL || request->x_api_key_count == 0);
}

void st_edge_credential_wipe(st_edge_credential *credential) {
  subtoken_wipe(credential->query, credential->query_len);
}

/* The query of a target that is too long is not read: such a target is refused. */
void st_edge_credential_find(const subtoken_edge *edge, const subtoken_edge_request *request,
                             st_edge_credential *credential) {
  credential->state = ST_EDGE_CREDENTIAL_NONE;
  credential->forms = 0;
  credential->text = (subtoken_text){NULL, 0};
  credential->query_len = 0;
  edge_credential_find_headers(edge, request, credential);
  if (credential->state != ST_EDGE_CREDENTIAL_AMBIGUOUS &&
      (edge->forms & SUBTOKEN_EDGE_QUERY) != 0 && request->target.len <= SUBTOKEN_TARGET_MAX) {
    edge_credential_find_query(request->target, credential);
  }
}

/* Two dots, and base64url otherwise. */
static bool edge_credential_is_subtoken(subtoken_text text) {
  size_t dots = 0;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.data[i];
    if (c == '.') {
      dots++;
    } else if ((st_class_of(c) & ST_CHAR_NAME) == 0) {
      return false;
    }
  }
  return dots == 2;
}

/* Visible ASCII, so that the server reads the same bytes: with a blank in front a subtoken would be
 * none here and one there, and the end of a line would start another header.
 */
static bool edge_credential_is_visible(subtoken_text text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] <= ' ' || text.data[i] > '~') return false;
  }
  return true;
}

bool st_edge_credential_is_key(const st_edge_credential *credential) {
  if (credential->state != ST_EDGE_CREDENTIAL_ONE) return false;
  return credential->forms == SUBTOKEN_EDGE_BASIC ||
         (edge_credential_is_visible(credential->text) &&
          !edge_credential_is_subtoken(credential->text));
}
