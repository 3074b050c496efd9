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
static void refuse_credential(st_visit *v, const char *event) {
  st_reply_error(v->reply, 401, event, "Invalid access token");
  st_reply_challenge(v->reply, v->credential.len == 0
                                   ? SUBTOKEN_CHALLENGE
                                   : subtoken_result_challenge(SUBTOKEN_REVOKED));
  v->reply->basic_challenge = v->service->settings->basic_challenge;
}

/* ---- the credential ---- */

/* Of a password nothing is told: 8 digits of its hash would do to try guesses. */
static void tag_credential(st_visit *v) {
  static const char hex[] = "0123456789abcdef";
  uint8_t digest[ST_HASH_LEN];
  if (v->is_basic || v->credential.len == 0 ||
      !st_sha256(v->credential.data, v->credential.len, digest))
    return;
  for (size_t i = 0; i < ST_CREDENTIAL_TAG_LEN; i++) {
    v->reply->event.credential[i] = hex[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
  }
}

/* How far apart two clocks would have to be; for the log alone. */
static int64_t clock_delta(const st_visit *v, subtoken_result result) {
  char header[SUBTOKEN_HEADER_MAX];
  subtoken_claims claims;
  if (subtoken_inspect(v->credential, header, sizeof header, &claims) != SUBTOKEN_OK) return 0;
  return result == SUBTOKEN_EXPIRED ? claims.exp - v->request->now : claims.iat - v->request->now;
}

static void refuse_identity(st_visit *v, subtoken_result result, const char *event) {
  if (result == SUBTOKEN_EXPIRED || result == SUBTOKEN_IAT_FUTURE) {
    v->reply->event.delta = clock_delta(v, result);
  }
  bool busy = event != NULL && strcmp(event, "passwords_busy") == 0;
  switch (subtoken_result_status(result)) {
    case 400:
      st_reply_error(v->reply, 400, event, "the request target can be read in more than one way");
      return;
    case 403:
      st_reply_error(v->reply, 403, event, "this subtoken does not list this url");
      st_reply_challenge(v->reply, subtoken_result_challenge(result));
      return;
    case 503:
      st_reply_unavailable(v->reply, event,
                           busy ? "too many passwords are being checked; try again later"
                                : "the key store cannot be read; try again later");
      return;
    default: refuse_credential(v, event);
  }
}

/* A token that is good by its leeway alone: the clocks differ. */
static void note_clock_skew(st_visit *v, const subtoken_claims *grant) {
  int64_t now = v->request->now;
  if (grant->iat <= now && grant->exp > now) return;
  v->reply->event.name = "clock_skew";
  v->reply->event.delta = (grant->iat > now ? grant->iat : grant->exp) - now;
}

static subtoken_result identify_any(st_visit *v, st_identity *identity, const char **event,
                                    int64_t *wait) {
  const st_request *request = v->request;
  if (v->is_basic) {
    return st_identify_basic(v->service, v->credential, request, identity, event, wait);
  }
  if (!v->credential_elsewhere && !st_key_shaped(v->credential) &&
      !st_token_shaped(v->credential)) {
    return st_identify_registered(v->service, v->credential, request->now, identity, event);
  }
  return st_identify(v->service, v->credential, v->method, v->target, request->now, identity,
                     event);
}

/* Of a service's login: the key that it was made with. */
static void note_use(const st_visit *v, const st_identity *identity) {
  const st_people *people = v->service->people;
  bool key = identity->key.kind == ST_KIND_KEY;
  if (!key && identity->key.kind != ST_KIND_SERVICE) return;
  people->used(people->context, key ? identity->key.id : identity->key.parent, v->request->now);
}

void st_visit_refuse_missing(st_visit *v) {
  refuse_credential(v, "auth_missing");
}

bool st_visit_identify_found(st_visit *v, st_identity *identity) {
  const char *event = NULL;
  int64_t wait = 0;
  if (v->credential.len == 0) {
    st_visit_refuse_missing(v);
    return false;
  }
  tag_credential(v);
  subtoken_result result = identify_any(v, identity, &event, &wait);
  if (v->is_basic) subtoken_wipe(v->basic, sizeof v->basic); /* also what was decoded in vain */
  if (wait > 0) {
    st_reply_wait(v->reply, event, "too many wrong passwords; try again later", wait);
    return false;
  }
  if (result != SUBTOKEN_OK) {
    refuse_identity(v, result, event);
    return false;
  }
  memcpy(v->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  if (!st_standing_whole(identity->standing)) note_clock_skew(v, &identity->grant);
  note_use(v, identity);
  return true;
}

bool st_visit_identify(st_visit *v, st_identity *identity) {
  return st_visit_find_credential(v) && st_visit_identify_found(v, identity);
}

bool st_visit_within_rate(st_visit *v, const st_identity *identity) {
  const st_service *service = v->service;
  int64_t wait =
      st_rate_take(service->rate, service->settings, st_identity_row(identity), v->request->now_us);
  if (wait > 0) {
    st_reply_wait(v->reply, "rate", "too many tokens from this key; try again later", wait);
  }
  return wait <= 0;
}

/* ---- managing ---- */

/* ---- parameters of a query ---- */
