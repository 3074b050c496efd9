/* Who a credential is: a whole key, looked up by its hash, or a subtoken, verified
 * with the same code as at any edge and held against what the store says now.
 */
#include "service/identity.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hmac.h"
#include "core/claims.h"
#include "domain/key.h"
#include "domain/user.h"
#include "service/service.h"
#include "subtoken/verify.h"

static subtoken_result judge_key(const st_key *key, int64_t now, const char **event) {
  if (key->disabled || key->suspended) {
    *event = "key_disabled";
    return SUBTOKEN_REVOKED;
  }
  if (key->expires_at <= now) {
    *event = "key_expired";
    return SUBTOKEN_EXPIRED;
  }
  return SUBTOKEN_OK;
}

static subtoken_result identify_digest(const st_service *service, const uint8_t digest[32],
                                       int64_t now, st_identity *identity, const char **event) {
  switch (service->keys.by_digest(service->keys.store, digest, &identity->key)) {
    case ST_STORE_OK: break;
    case ST_STORE_NOT_FOUND: return SUBTOKEN_REVOKED;
    case ST_STORE_REVOKED: *event = "key_revoked"; return SUBTOKEN_REVOKED;
    default: *event = "store_error"; return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  if (identity->key.kind != ST_KIND_KEY) return SUBTOKEN_REVOKED;
  subtoken_result result = judge_key(&identity->key, now, event);
  if (result != SUBTOKEN_OK) return result;
  *event = NULL;
  identity->method = ST_AUTH_KEY;
  return st_key_grant(&identity->key, &identity->grant) ? SUBTOKEN_OK : SUBTOKEN_REVOCATION_UNKNOWN;
}

static void clear(st_identity *identity) {
  memset(identity, 0, offsetof(st_identity, grant));
  memset(&identity->grant, 0, offsetof(subtoken_claims, text));
}

static subtoken_result identify_key(const st_service *service, subtoken_text credential,
                                    int64_t now, st_identity *identity, const char **event) {
  uint8_t digest[ST_HASH_LEN];
  *event = "key_unknown";
  if (!st_sha256(credential.data, credential.len, digest)) return SUBTOKEN_REVOCATION_UNKNOWN;
  return identify_digest(service, digest, now, identity, event);
}

/* ---- strings that were registered by their hash ---- */

subtoken_result st_identity_find_registered(const st_service *service, subtoken_text string,
                                            int64_t now, st_identity *identity,
                                            const char **event) {
  uint8_t digest[ST_HASH_LEN];
  clear(identity);
  *event = "key_unknown";
  if (!st_key_string_hash(string, digest)) return SUBTOKEN_REVOKED;
  return identify_digest(service, digest, now, identity, event);
}

/* ---- what anyone may do ---- */

bool st_identity_anonymous_digest(uint8_t digest[32]) {
  static const char name[] = "subtoken anyone " ST_ANONYMOUS;
  return st_sha256(name, sizeof name - 1, digest);
}

st_store_status st_identity_anonymous(const st_service *service, st_key *key) {
  uint8_t digest[ST_HASH_LEN];
  if (!st_identity_anonymous_digest(digest)) return ST_STORE_FAILED;
  st_store_status found = service->keys.by_digest(service->keys.store, digest, key);
  if (found != ST_STORE_OK) return found == ST_STORE_REVOKED ? ST_STORE_NOT_FOUND : found;
  return key->kind == ST_KIND_USER && !key->disabled ? ST_STORE_OK : ST_STORE_NOT_FOUND;
}

/* ---- tokens ---- */

/* What the verifier's question about a sub needs, and what it leaves. */
typedef struct sub_lookup {
  const st_service *service;
  st_key *key;
  int64_t now;
  const char *event;
} sub_lookup;

static subtoken_result sub_revoked(void *context, subtoken_text sub) {
  sub_lookup *lookup = context;
  const st_keys *keys = &lookup->service->keys;
  lookup->event = "revoked";
  switch (keys->by_sub(keys->store, sub, lookup->key)) {
    case ST_STORE_OK: break;
    case ST_STORE_NOT_FOUND:
    case ST_STORE_REVOKED: return SUBTOKEN_REVOKED;
    default: lookup->event = "store_error"; return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  const char *why_not;
  if (judge_key(lookup->key, lookup->now, &why_not) != SUBTOKEN_OK) return SUBTOKEN_REVOKED;
  lookup->event = NULL;
  return SUBTOKEN_OK;
}

/* A token is worth no more than the store grants its sub now. */
static bool cut_down(const st_key *key, subtoken_claims *grant) {
  subtoken_claims most;
  if (!st_key_grant(key, &most)) return false;
  uint16_t kept = 0;
  for (uint16_t i = 0; i < grant->permission_count; i++) {
    subtoken_slice slice = grant->permissions[i];
    if (st_claims_has_permission(&most, subtoken_claims_text(grant, slice))) {
      grant->permissions[kept++] = slice;
    }
  }
  grant->permission_count = kept;
  if (grant->exp > most.exp) grant->exp = most.exp;
  return true;
}

/* The store was asked for the row of its sub just now: a sid of that row is a login that lives. */
static st_auth_method standing_of(const st_key *key, const subtoken_claims *grant) {
  if (!st_text_equal(subtoken_claims_text(grant, grant->sid), st_text(key->id)))
    return ST_AUTH_DERIVED;
  if (key->kind == ST_KIND_SESSION) return ST_AUTH_SESSION;
  return key->kind == ST_KIND_SERVICE ? ST_AUTH_SERVICE_SESSION : ST_AUTH_DERIVED;
}

static subtoken_result identify_subtoken(const st_service *service, subtoken_text credential,
                                         subtoken_text method, subtoken_text target, int64_t now,
                                         st_identity *identity, const char **event) {
  sub_lookup lookup = {service, &identity->key, now, NULL};
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = service->ring;
  verifier.leeway = service->settings->leeway;
  verifier.max_life = service->settings->max_life;
  verifier.revoked = sub_revoked;
  verifier.revoked_context = &lookup;
  subtoken_request request = {
      .size = sizeof request, .now = now, .method = method, .target = target};
  subtoken_result result = subtoken_verify(&verifier, credential, &request, &identity->grant);
  *event = lookup.event != NULL ? lookup.event : subtoken_result_name(result);
  if (result != SUBTOKEN_OK) return result;
  *event = NULL;
  identity->method = standing_of(&identity->key, &identity->grant);
  return cut_down(&identity->key, &identity->grant) ? SUBTOKEN_OK : SUBTOKEN_REVOCATION_UNKNOWN;
}

subtoken_result st_identity_find(const st_service *service, subtoken_text credential,
                                 subtoken_text method, subtoken_text target, int64_t now,
                                 st_identity *identity, const char **event) {
  clear(identity);
  if (st_key_shaped(credential)) return identify_key(service, credential, now, identity, event);
  return identify_subtoken(service, credential, method, target, now, identity, event);
}

/* The id of the row at the root of it: of a session, the key or user that began it. */
const char *st_identity_row(const st_identity *identity) {
  if (identity == NULL) return NULL;
  return identity->key.parent[0] != '\0' ? identity->key.parent : identity->key.id;
}
