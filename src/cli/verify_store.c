/* Asks the database about each sub, as the server does: is its key there, in force, is none of its
 * tokens revoked that this one is or was made from, did it make the token when it is bound to an
 * audience, and does it have the permissions that the request needs. What an edge knows instead
 * is in verify_files.c.
 */
#include "cli/verify_store.h"

#include "core/claims.h"

static const char *verify_store_reason(const st_verify_store *source, st_store_status found) {
  if (found == ST_STORE_NOT_FOUND) return "the database has no key with this sub";
  if (found == ST_STORE_REVOKED) return "its key was deleted, or its subtokens were revoked";
  if (source->key.disabled) return "its key is disabled";
  if (source->key.suspended) return "the owner of its key is disabled";
  return source->key.expires_at <= source->now ? "its key has expired" : NULL;
}

/* names[0] is the sub; behind it are tids, of which nearly no key has any that is revoked. */
static subtoken_result verify_store_revoked(void *context, const subtoken_text *names,
                                            size_t count) {
  st_verify_store *source = context;
  bool revoked = false;
  st_store_status found = st_store_by_sub(source->store, names[0], &source->key, source->error);
  if (found != ST_STORE_OK && found != ST_STORE_NOT_FOUND && found != ST_STORE_REVOKED) {
    return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  source->reason = verify_store_reason(source, found);
  if (source->reason != NULL) return SUBTOKEN_REVOKED;
  if (source->key.tokens_revoked == 0 || count < 2) return SUBTOKEN_OK;
  if (st_store_tokens_revoked(source->store, names + 1, count - 1, &revoked, source->error) !=
      ST_STORE_OK) {
    return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  return revoked ? SUBTOKEN_REVOKED : SUBTOKEN_OK;
}

void st_verify_store_start(st_verify_store *source, st_store *store, subtoken_verifier *verifier) {
  *source = (st_verify_store){.store = store};
  verifier->revoked = verify_store_revoked;
  verifier->revoked_context = source;
}

subtoken_result st_verify_store_limit(st_verify_store *source, subtoken_claims *claims) {
  st_key_token token = st_key_token_of(claims);
  if (!st_key_has_made(&source->key, &token)) {
    source->foreign = true;
    return SUBTOKEN_AUD;
  }
  uint16_t had = claims->permission_count;
  if (!st_key_limit(&source->key, claims)) return SUBTOKEN_REVOCATION_UNKNOWN;
  source->limited = claims->permission_count < had;
  return SUBTOKEN_OK;
}

subtoken_result st_verify_store_check_needs(st_verify_store *source, const subtoken_text *needs,
                                            size_t count) {
  static subtoken_claims grant;
  if (!st_key_grant(&source->key, &grant)) return SUBTOKEN_REVOCATION_UNKNOWN;
  for (size_t i = 0; i < count; i++) {
    if (st_claims_has_permission(&grant, needs[i])) continue;
    source->lacks = needs[i];
    return SUBTOKEN_PERM;
  }
  return SUBTOKEN_OK;
}
