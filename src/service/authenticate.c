#include "service/authenticate.h"

#include <string.h>

#include "base/hmac.h"
#include "domain/key.h"
#include "domain/user.h"
#include "service/basic_auth.h"
#include "service/context.h"
#include "service/credential.h"
#include "service/identity.h"
#include "service/rate_limit.h"
#include "service/reply.h"
#include "service/service.h"
#include "subtoken/verify.h"

/* RFC 6750 section 3: no error code when no credential came. */
static void refuse_credential(st_context *c, const char *event) {
  st_reply_error(c->reply, 401, event, "Invalid access token");
  st_reply_challenge(c->reply, c->credential.len == 0
                                   ? SUBTOKEN_CHALLENGE
                                   : subtoken_result_challenge(SUBTOKEN_REVOKED));
  c->reply->basic_challenge = c->service->settings->basic_challenge;
}

/* ---- the credential ---- */

/* Of a password nothing is told: 8 digits of its hash would do to try guesses. */
static void tag_credential(st_context *c) {
  static const char hex[] = "0123456789abcdef";
  uint8_t digest[ST_HASH_LEN];
  if (c->is_basic || c->credential.len == 0 ||
      !st_sha256(c->credential.data, c->credential.len, digest))
    return;
  for (size_t i = 0; i < ST_CREDENTIAL_TAG_LEN; i++) {
    c->reply->event.credential[i] = hex[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
  }
}

/* How far apart two clocks would have to be; for the log alone. */
static int64_t clock_delta(const st_context *c, subtoken_result result) {
  char header[SUBTOKEN_HEADER_MAX];
  subtoken_claims claims;
  if (subtoken_inspect(c->credential, header, sizeof header, &claims) != SUBTOKEN_OK) return 0;
  return result == SUBTOKEN_EXPIRED ? claims.exp - c->request->now : claims.iat - c->request->now;
}

static void refuse_identity(st_context *c, subtoken_result result, const char *event) {
  if (result == SUBTOKEN_EXPIRED || result == SUBTOKEN_IAT_FUTURE) {
    c->reply->event.delta = clock_delta(c, result);
  }
  bool busy = event != NULL && strcmp(event, "passwords_busy") == 0;
  switch (subtoken_result_status(result)) {
    case 400:
      st_reply_error(c->reply, 400, event, "the request target can be read in more than one way");
      return;
    case 403:
      st_reply_error(c->reply, 403, event, "this subtoken does not list this url");
      st_reply_challenge(c->reply, subtoken_result_challenge(result));
      return;
    case 503:
      st_reply_unavailable(c->reply, event,
                           busy ? "too many passwords are being checked; try again later"
                                : "the key store cannot be read; try again later");
      return;
    default: refuse_credential(c, event);
  }
}

/* A token that is good by its leeway alone: the clocks differ. */
static void note_clock_skew(st_context *c, const subtoken_claims *grant) {
  int64_t now = c->request->now;
  if (grant->iat <= now && grant->exp > now) return;
  c->reply->event.name = "clock_skew";
  c->reply->event.delta = (grant->iat > now ? grant->iat : grant->exp) - now;
}

static subtoken_result identify_any(st_context *c, st_identity *identity, const char **event,
                                    int64_t *wait) {
  const st_request *request = c->request;
  if (c->is_basic) {
    return st_basic_auth_identify(c->service, c->credential, request, identity, event, wait);
  }
  if (!c->credential_elsewhere && !st_key_shaped(c->credential) &&
      !st_key_token_shaped(c->credential)) {
    return st_identity_find_registered(c->service, c->credential, request->now, identity, event);
  }
  return st_identity_find(c->service, c->credential, c->method, c->target, request->now, identity,
                          event);
}

/* Of a service's login: the key that it was made with. */
static void note_use(const st_context *c, const st_identity *identity) {
  const st_users *people = c->service->people;
  bool key = identity->key.kind == ST_KIND_KEY;
  if (!key && identity->key.kind != ST_KIND_SERVICE) return;
  people->used(people->context, key ? identity->key.id : identity->key.parent, c->request->now);
}

void st_authenticate_refuse_missing(st_context *c) {
  refuse_credential(c, "auth_missing");
}

bool st_authenticate_found(st_context *c, st_identity *identity) {
  const char *event = NULL;
  int64_t wait = 0;
  if (c->credential.len == 0) {
    st_authenticate_refuse_missing(c);
    return false;
  }
  tag_credential(c);
  subtoken_result result = identify_any(c, identity, &event, &wait);
  if (c->is_basic) subtoken_wipe(c->basic, sizeof c->basic); /* also what was decoded in vain */
  if (wait > 0) {
    st_reply_wait(c->reply, event, "too many wrong passwords; try again later", wait);
    return false;
  }
  if (result != SUBTOKEN_OK) {
    refuse_identity(c, result, event);
    return false;
  }
  memcpy(c->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  if (!st_auth_method_is_whole(identity->method)) note_clock_skew(c, &identity->grant);
  note_use(c, identity);
  return true;
}

bool st_authenticate(st_context *c, st_identity *identity) {
  return st_credential_find(c) && st_authenticate_found(c, identity);
}

bool st_authenticate_within_rate(st_context *c, const st_identity *identity) {
  const st_service *service = c->service;
  int64_t wait = st_rate_limit_take(service->rate, service->settings, st_identity_row(identity),
                                    c->request->now_us);
  if (wait > 0) {
    st_reply_wait(c->reply, "rate", "too many tokens from this key; try again later", wait);
  }
  return wait <= 0;
}

/* ---- managing ---- */

/* ---- parameters of a query ---- */
