/* verify_store - the database as the source of what is revoked, for `subtoken verify`. */
#ifndef ST_CLI_VERIFY_STORE_H
#define ST_CLI_VERIFY_STORE_H

#include "domain/key.h"
#include "domain/store.h"
#include "os/error.h"
#include "subtoken/verify.h"

/* The store, and what it said of the last sub. */
typedef struct st_verify_store {
  st_store *store;
  st_key key;
  int64_t now;              /* the caller sets it before each token */
  const char *reason;       /* why it is revoked, or NULL */
  char error[ST_ERROR_MAX]; /* why that is not known */
  subtoken_text lacks;      /* the permission that its key does not have, though the token may */
  bool limited;             /* the token has permissions that its key does not have */
  bool foreign;             /* its key is bound to an audience, and has not made it */
} st_verify_store;

/* The verifier asks the store from now on; source must live as long as it does. */
void st_verify_store_start(st_verify_store *source, st_store *store, subtoken_verifier *verifier);

/* Is the token that was verified last one that its key made? Of its claims that is left which its
 * key has now.
 */
subtoken_result st_verify_store_limit(st_verify_store *source, subtoken_claims *claims)
    __attribute__((warn_unused_result));

/* Does the key of the token that was verified last have all of these permissions? */
subtoken_result st_verify_store_check_needs(st_verify_store *source, const subtoken_text *needs,
                                            size_t count) __attribute__((warn_unused_result));

#endif
