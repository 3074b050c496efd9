/* Authenticating a request. The form of the credential decides which file looks at it (identity.c,
 * basic_auth.c); what that answers becomes a problem here, with the log's word for it. Notes for
 * the log are made here, too: a tag of the credential, the key, and how far the clocks are apart.
 */
#include "service/authenticate.h"

#include "base/hmac.h"
#include "service/basic_auth.h"
#include "service/credential.h"

/* Of a password nothing is logged: 8 digits of its hash would do to check guesses. */
static void authenticate_note_tag(st_context *c) {
  static const char hex[] = "0123456789abcdef";
  const st_credential *credential = &c->credential;
  uint8_t digest[ST_HASH_LEN];
  if ((credential->forms & ST_FORM_BASIC) != 0) return;
  st_sha256_on(c->service->ring->secrets[0].cpu, credential->text.data, credential->text.len,
               digest);
  for (size_t i = 0; i < ST_CREDENTIAL_TAG_LEN; i++) {
    c->reply->event.credential[i] = hex[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
  }
}

/* How far apart two clocks would have to be; for the log alone. */
static int64_t authenticate_clock_delta(const st_context *c, subtoken_result reason) {
  char header[SUBTOKEN_HEADER_MAX];
  subtoken_claims claims;
  if (subtoken_inspect(c->credential.text, header, sizeof header, &claims) != SUBTOKEN_OK) return 0;
  return reason == SUBTOKEN_EXPIRED ? claims.exp - c->request->now : claims.iat - c->request->now;
}

/* A token that is accepted because of the leeway alone: the clocks differ. */
static void authenticate_note_skew(st_context *c, const subtoken_claims *grant) {
  int64_t now = c->request->now;
  if (grant->iat <= now && grant->exp > now) return;
  c->reply->event.name = "clock_skew";
  c->reply->event.delta = (grant->iat > now ? grant->iat : grant->exp) - now;
}

/* Of a service's session: the key that it was made with. */
static void authenticate_note_use(const st_context *c, const st_identity *identity) {
  const st_users *users = c->service->users;
  bool key = identity->key.kind == ST_KIND_KEY;
  if (!key && identity->key.kind != ST_KIND_SERVICE) return;
  users->note_use(users->context, key ? identity->key.id : identity->key.parent, c->request->now);
}

static const st_problem *authenticate_reject(st_context *c, const st_auth_result *result) {
  static const st_problem bad_target = {
      .status = 400, .text = "the request target can be read in more than one way"};
  static const st_problem not_listed = {.status = 403,
                                        .text = "this subtoken does not list this url",
                                        .challenge = ST_CHALLENGE_INSUFFICIENT_SCOPE};
  static const st_problem invalid = {
      .status = 401, .text = "Invalid access token", .challenge = ST_CHALLENGE_INVALID_TOKEN};
  int status = subtoken_result_status(result->reason);
  if (result->reason == SUBTOKEN_EXPIRED || result->reason == SUBTOKEN_IAT_FUTURE) {
    c->reply->event.delta = authenticate_clock_delta(c, result->reason);
  }
  st_problem *problem = st_problem_copy(&c->problem, status == 400   ? &bad_target
                                                     : status == 403 ? &not_listed
                                                                     : &invalid);
  problem->event = result->event;
  if (problem->status == 401) problem->basic_challenge = c->service->settings->basic_challenge;
  return problem;
}

static const st_problem *authenticate_throttled(st_context *c, const st_auth_result *result) {
  static const st_problem throttled = {.status = 429,
                                       .event = "login_throttled",
                                       .text = "too many wrong passwords; try again later"};
  st_problem *problem = st_problem_copy(&c->problem, &throttled);
  problem->retry_after = result->retry_after;
  return problem;
}

static const st_problem *authenticate_problem(st_context *c, const st_auth_result *result) {
  static const st_problem store_error = {.status = 503,
                                         .event = "store_error",
                                         .text = "the key store cannot be read; try again later",
                                         .retry_after = 5};
  switch (result->status) {
    case ST_AUTH_STATUS_OK: return NULL;
    case ST_AUTH_STATUS_REJECTED: return authenticate_reject(c, result);
    case ST_AUTH_STATUS_THROTTLED: return authenticate_throttled(c, result);
    case ST_AUTH_STATUS_PASSWORDS_BUSY: return &st_problem_passwords_busy;
    default: return &store_error;
  }
}

static st_auth_result authenticate_any(st_context *c, st_identity *identity) {
  const st_credential *credential = &c->credential;
  const st_request *request = c->request;
  if ((credential->forms & ST_FORM_BASIC) != 0) {
    return st_basic_auth_check(c->service, credential->text, request, identity);
  }
  if (credential->forms == ST_FORM_API_KEY && !st_key_shaped(credential->text) &&
      !st_key_token_shaped(credential->text)) {
    return st_identity_find_registered(c->service, credential->text, request->now, identity);
  }
  st_identity_use use = {c->method, c->target, c->edge_audience};
  return st_identity_find(c->service, credential->text, &use, request->now, identity);
}

const st_problem *st_authenticate_missing(st_context *c) {
  static const st_problem missing = {.status = 401,
                                     .event = "auth_missing",
                                     .text = "Invalid access token",
                                     .challenge = ST_CHALLENGE_BEARER};
  st_problem *problem = st_problem_copy(&c->problem, &missing);
  problem->basic_challenge = c->service->settings->basic_challenge;
  return problem;
}

const st_problem *st_authenticate_found(st_context *c, st_identity *identity) {
  if (c->credential.text.len == 0) return st_authenticate_missing(c);
  authenticate_note_tag(c);
  st_auth_result result = authenticate_any(c, identity);
  const st_problem *problem = authenticate_problem(c, &result);
  if (problem != NULL) return problem;
  memcpy(c->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  if (!st_identity_is_whole(identity)) authenticate_note_skew(c, &identity->grant);
  if (identity->key.by_old_digest) c->reply->event.name = "old_secret"; /* who is still to change */
  authenticate_note_use(c, identity);
  return NULL;
}

const st_problem *st_authenticate(st_context *c, st_identity *identity) {
  const st_problem *problem = st_credential_find(c);
  return problem != NULL ? problem : st_authenticate_found(c, identity);
}
