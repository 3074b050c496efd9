/* user_row - a user's record within a change: found, made, given other permissions or another
 * password.
 */
#ifndef ST_STORE_USER_ROW_H
#define ST_STORE_USER_ROW_H

#include "store/audit.h"
#include "store/query.h"

/* A user as he is before a change. Holds a password: wiped by who asked. */
typedef struct st_user_before {
  st_user user;
  bool imported; /* once, by an import */
} st_user_before;

/* What becomes of a user; NULL: it stays as it is. */
typedef struct st_user_revision {
  const char *permissions;
  const char *password;
  const char *imported;
  const char *sub; /* when what was made until now ends */
  const char *action;
} st_user_revision;

bool st_user_row_storable(const st_user *user) __attribute__((warn_unused_result));
/* Does the text fit into a buffer of this size, with its NUL? */
bool st_user_row_fits(const char *text, size_t size) __attribute__((warn_unused_result));
/* An st_query_take_fn. */
bool st_user_row_take(const st_row *row, void *user) __attribute__((warn_unused_result));

st_store_status st_user_row_find(st_db *db, const char *username, st_user_before *before)
    __attribute__((warn_unused_result));
/* The user, for a change that somebody asks for, who must be in force: ST_STORE_DENIED. */
st_store_status st_user_row_find_for(st_db *db, const st_change *change, st_user_before *before)
    __attribute__((warn_unused_result));
/* imported: what an import brought, or NULL when none makes this user. */
st_store_status st_user_row_insert(st_db *db, const st_change *change, const st_user *user,
                                   const uint8_t digest[32], const char *imported)
    __attribute__((warn_unused_result));
/* The line for a new user. owned: keys that were there before, for an owner of that name. */
st_store_status st_user_row_audit(st_db *db, const st_change *change, const char *action,
                                  const st_user *user, int64_t owned)
    __attribute__((warn_unused_result));

/* Ends what the user loses by it: sessions, and keys that hold a permission that is taken away.
 * Writes the line, too. row: as it is before. */
st_store_status st_user_row_revise(st_db *db, const st_change *change, const st_key *row,
                                   const st_user_revision *to) __attribute__((warn_unused_result));

#endif
