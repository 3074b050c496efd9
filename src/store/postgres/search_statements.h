/* search_statements - the text of the statements that look through an index (store/search.c,
 * store/audit_list.c).
 */
#ifndef ST_STORE_POSTGRES_SEARCH_STATEMENTS_H
#define ST_STORE_POSTGRES_SEARCH_STATEMENTS_H

#include "store/postgres/statement_parts.h"

#define SCAN_COLUMNS                                                                       \
  "id, name, owner, coalesce(expires_at, 9007199254740991::bigint), disabled, " SUSPENDED( \
      "keys") ", audience"

/* $1, $2: before this time, or of it and before this line; $3: since; $4: lines; $5: of whom.
 *
 * who = $5 would be answered by the index of times when a plan expects many lines of each, and
 * somebody with few would have all of the log looked at. Of this order there is one index.
 */
#define AUDIT_COLUMNS "SELECT id, at, action, who, origin, target, detail FROM audit WHERE "
#define AUDIT_SCAN_OF(column)                                          \
  SQL(AUDIT_COLUMNS "(" column ", at, id) < ($5, $1, $2) AND (" column \
                    ", at, id) >= ($5, $3, 0) ORDER BY " column        \
                    " DESC, at DESC, id DESC"                          \
                    " LIMIT $4")
/* The same of an owner's keys: ids are hexadecimal digits and dashes. */
#define OWNED_BEHIND "(owner, id) > ($3, $1) AND (owner, id) < ($3, 'G')"

#define SIXTEEN "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"

#define SEARCH_STATEMENTS                                                                     \
  [ST_SQL_KEY_FOUND] =                                                                        \
      SQL("SELECT " LISTED_COLUMNS " FROM keys WHERE id IN " SIXTEEN " AND " KEY_IN_FORCE),   \
  [ST_SQL_USER_FOUND] = SQL("SELECT " USER_COLUMNS                                            \
                            " FROM users JOIN keys ON keys.id = users.key_id"                 \
                            " WHERE users.username IN " SIXTEEN),                             \
  [ST_SQL_KEY_SCAN] = SQL("SELECT " SCAN_COLUMNS " FROM keys WHERE id > $1 AND " KEY_IN_FORCE \
                          " ORDER BY id LIMIT $2"),                                           \
  [ST_SQL_KEY_SCAN_OWNED] = SQL("SELECT " SCAN_COLUMNS " FROM keys WHERE " OWNED_BEHIND       \
                                " AND " KEY_IN_FORCE " ORDER BY owner, id LIMIT $2"),         \
  [ST_SQL_KEY_SCAN_EXPIRING] = SQL("SELECT " SCAN_COLUMNS                                     \
                                   " FROM keys WHERE expires_at IS NOT NULL"                  \
                                   " AND (expires_at, id) > ($3, $1) AND expires_at <= $4 "   \
                                   "AND " KEY_IN_FORCE " ORDER BY expires_at, id LIMIT $2"),  \
  [ST_SQL_USER_SCAN] =                                                                        \
      SQL("SELECT username FROM users WHERE username > $1 ORDER BY username LIMIT $2"),       \
  [ST_SQL_AUDIT_PLACE] = SQL("SELECT at FROM audit WHERE id <= $1 ORDER BY id DESC LIMIT 1"), \
  [ST_SQL_AUDIT_SCAN] = SQL(AUDIT_COLUMNS                                                     \
                            "(at, id) < ($1, $2) AND at >= $3"                                \
                            " ORDER BY at DESC, id DESC LIMIT $4"),                           \
  [ST_SQL_AUDIT_SCAN_WHO] = AUDIT_SCAN_OF("who"),                                             \
  [ST_SQL_AUDIT_SCAN_ACTION] = AUDIT_SCAN_OF("action"),                                       \
  [ST_SQL_AUDIT_SCAN_TARGET] = AUDIT_SCAN_OF("target")

#endif
