/* Tokens that are revoked by themselves: listed by their tids, until they could no longer live. */
#include "store/transaction.h"

st_store_status st_store_token_revoke(st_store *store, const st_audit_context *context,
                                      subtoken_text sub, subtoken_text tid, int64_t exp,
                                      int64_t most, int64_t *sequence, char *error) {
  (void)context, (void)sub, (void)tid, (void)exp, (void)most, (void)sequence;
  return st_db_fail(error, "%s: not there yet", st_db_name(store));
}

st_store_status st_store_tokens_revoked(st_store *store, const subtoken_text *tids, size_t count,
                                        bool *revoked, char *error) {
  (void)tids, (void)count, (void)revoked;
  return st_db_fail(error, "%s: not there yet", st_db_name(store));
}
