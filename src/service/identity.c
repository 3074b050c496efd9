/* Whose a credential is. A whole key is looked up by its hash; a subtoken is verified with the same
 * code as at any edge, and then limited to what the store grants its sub now. That a token was
 * authenticated may be remembered; the store is asked each time. HTTP Basic, which checks a
 * password as well, is in basic_auth.c.
 */
#include "service/identity.h"

#include "base/hmac.h"
#include "core/claims.h"
#include "subtoken/verify.h"

static const st_auth_result identity_store_error = {.status = ST_AUTH_STATUS_STORE_ERROR};
static const st_auth_result identity_ok = {.status = ST_AUTH_STATUS_OK};

static st_auth_result identity_by_digest(const st_service *service, const uint8_t digest[32],
                                         int64_t now, st_identity *identity) {
  st_key *key = &identity->key;
  switch (service->keys.by_digest(service->keys.store, digest, key)) {
    case ST_STORE_OK: break;
    case ST_STORE_NOT_FOUND: return st_auth_rejected(SUBTOKEN_REVOKED, "key_unknown");
    case ST_STORE_REVOKED: return st_auth_rejected(SUBTOKEN_REVOKED, "key_revoked");
    default: return identity_store_error;
  }
  if (key->kind != ST_KIND_KEY) return st_auth_rejected(SUBTOKEN_REVOKED, "key_unknown");
  if (key->disabled || key->suspended) return st_auth_rejected(SUBTOKEN_REVOKED, "key_disabled");
  if (key->expires_at <= now) return st_auth_rejected(SUBTOKEN_EXPIRED, "key_expired");
  if (!st_key_grant(key, &identity->grant)) return identity_store_error;
  identity->method = ST_AUTH_KEY;
  return identity_ok;
}

st_auth_result st_identity_find_registered(const st_service *service, subtoken_text string,
                                           int64_t now, st_identity *identity) {
  uint8_t digest[ST_HASH_LEN];
  st_identity_clear(identity);
  if (!st_key_string_hash(string, digest)) {
    return st_auth_rejected(SUBTOKEN_REVOKED, "key_unknown");
  }
  return identity_by_digest(service, digest, now, identity);
}

void st_identity_anonymous_digest(uint8_t digest[32]) {
  static const char name[] = "subtoken anyone " ST_ANONYMOUS;
  st_sha256(name, sizeof name - 1, digest);
}

st_store_status st_identity_anonymous(const st_service *service, st_key *key) {
  uint8_t digest[ST_HASH_LEN];
  st_identity_anonymous_digest(digest);
  st_store_status found = service->keys.by_digest(service->keys.store, digest, key);
  if (found != ST_STORE_OK) return found == ST_STORE_REVOKED ? ST_STORE_NOT_FOUND : found;
  return key->kind == ST_KIND_USER && !key->disabled ? ST_STORE_OK : ST_STORE_NOT_FOUND;
}

/* ---- tokens ---- */

/* What the verifier's callback needs, and what it leaves. */
typedef struct identity_lookup {
  const st_service *service;
  st_key *key;
  int64_t now;
  bool store_error;
} identity_lookup;

static subtoken_result identity_store_failed(identity_lookup *lookup) {
  lookup->store_error = true;
  return SUBTOKEN_REVOCATION_UNKNOWN;
}

/* Of the tids nothing is asked unless the row says that there are any: nearly never. */
static subtoken_result identity_tids_revoked(identity_lookup *lookup, const subtoken_text *tids,
                                             size_t count) {
  const st_keys *keys = &lookup->service->keys;
  bool revoked = true;
  if (count == 0 || lookup->key->tokens_revoked == 0) return SUBTOKEN_OK;
  if (keys->tokens_revoked(keys->store, tids, count, &revoked) != ST_STORE_OK) {
    return identity_store_failed(lookup);
  }
  return revoked ? SUBTOKEN_REVOKED : SUBTOKEN_OK;
}

/* names: the sub, the tid, and the tids of via. */
static subtoken_result identity_names_revoked(void *context, const subtoken_text *names,
                                              size_t count) {
  identity_lookup *lookup = context;
  const st_keys *keys = &lookup->service->keys;
  const st_key *key = lookup->key;
  switch (keys->by_sub(keys->store, names[0], lookup->key)) {
    case ST_STORE_OK: break;
    case ST_STORE_NOT_FOUND:
    case ST_STORE_REVOKED: return SUBTOKEN_REVOKED;
    default: return identity_store_failed(lookup);
  }
  bool in_force = !key->disabled && !key->suspended && key->expires_at > lookup->now;
  return in_force ? identity_tids_revoked(lookup, names + 1, count - 1) : SUBTOKEN_REVOKED;
}

/* The store was asked for the row of its sub just now: a sid of that row is a session that lives.
 */
static st_auth_method identity_method(const st_key *key, const subtoken_claims *grant) {
  if (!st_key_is_session_of(key, grant)) return ST_AUTH_DERIVED;
  return key->kind == ST_KIND_SERVICE ? ST_AUTH_SERVICE_SESSION : ST_AUTH_SESSION;
}

/* A cache is held for this alone: what follows asks the store. */
static subtoken_result identity_authenticate(const st_service *service, subtoken_text credential,
                                             subtoken_claims *grant) {
  const st_token_caches *caches = service->token_caches;
  subtoken_cache *cache = caches != NULL ? caches->acquire(credential) : NULL;
  subtoken_result result = subtoken_authenticate(service->ring, cache, credential, grant);
  if (cache != NULL) caches->release(cache);
  return result;
}

/* Whose a token is matters to the server itself, not where it is used. */
static void identity_set_audience(subtoken_verifier *verifier, const subtoken_text *edge_audience) {
  verifier->any_audience = edge_audience == NULL;
  if (edge_audience != NULL && edge_audience->len > 0) verifier->aud = *edge_audience;
}

static st_auth_result identity_by_token(const st_service *service, subtoken_text credential,
                                        const st_identity_use *use, int64_t now,
                                        st_identity *identity) {
  identity_lookup lookup = {service, &identity->key, now, false};
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = service->ring;
  verifier.leeway = service->settings->leeway;
  verifier.max_life = service->settings->max_life;
  verifier.revoked = identity_names_revoked;
  verifier.revoked_context = &lookup;
  identity_set_audience(&verifier, use->edge_audience);
  subtoken_request request = {
      .size = sizeof request, .now = now, .method = use->method, .target = use->target};
  subtoken_result result = identity_authenticate(service, credential, &identity->grant);
  if (result == SUBTOKEN_OK) result = subtoken_decide(&verifier, &request, &identity->grant);
  if (result == SUBTOKEN_URL && use->target.data == NULL) result = SUBTOKEN_OK;
  if (result == SUBTOKEN_OK && identity->key.audience[0] != '\0') {
    st_key_token token = st_key_token_of(&identity->grant);
    if (!st_key_has_made(&identity->key, &token)) result = SUBTOKEN_AUD;
  }
  if (result != SUBTOKEN_OK) memset(&identity->grant, 0, sizeof identity->grant);
  if (lookup.store_error) return identity_store_error;
  if (result != SUBTOKEN_OK) return st_auth_rejected(result, subtoken_result_name(result));
  if (!st_key_limit(&identity->key, &identity->grant)) return identity_store_error;
  identity->method = identity_method(&identity->key, &identity->grant);
  return identity_ok;
}

st_auth_result st_identity_find(const st_service *service, subtoken_text credential,
                                const st_identity_use *use, int64_t now, st_identity *identity) {
  uint8_t digest[ST_HASH_LEN];
  st_identity_clear(identity);
  if (!st_key_shaped(credential)) {
    return identity_by_token(service, credential, use, now, identity);
  }
  st_sha256_on(service->ring->secrets[0].cpu, credential.data, credential.len, digest);
  return identity_by_digest(service, digest, now, identity);
}
