/* search_statements - the text of the statements that look through an index (store/search.c,
 * store/audit_list.c).
 */
#ifndef ST_STORE_POSTGRES_SEARCH_STATEMENTS_H
#define ST_STORE_POSTGRES_SEARCH_STATEMENTS_H

#include "store/postgres/statement_parts.h"

#define SCAN_COLUMNS                                                                       \
  "id, name, owner, coalesce(expires_at, 9007199254740991::bigint), disabled, " SUSPENDED( \
      "keys") ", audience"

/* $1, $2: before this time, or of it and before this line; $3: since; $4: lines; $5: of whom. */
#define AUDIT_SCAN(of)                                                          \
  SQL("SELECT id, at, action, who, origin, target, detail FROM audit WHERE " of \
      "(at, id) < ($1, $2) AND at >= $3 ORDER BY at DESC, id DESC LIMIT $4")

#define SEARCH_STATEMENTS                                                                      \
  [ST_SQL_KEY_SCAN] = SQL("SELECT " SCAN_COLUMNS " FROM keys WHERE id > $1 AND " KEY_IN_FORCE  \
                          " ORDER BY id LIMIT $2"),                                            \
  [ST_SQL_KEY_SCAN_OWNED] = SQL("SELECT " SCAN_COLUMNS                                         \
                                " FROM keys WHERE owner = $3 AND id > $1"                      \
                                " AND " KEY_IN_FORCE " ORDER BY id LIMIT $2"),                 \
  [ST_SQL_KEY_SCAN_EXPIRING] =                                                                 \
      SQL("SELECT " SCAN_COLUMNS                                                               \
          " FROM keys WHERE expires_at IS NOT NULL"                                            \
          " AND (expires_at, id) > ($5, $1) AND expires_at > $3 AND expires_at <= $4"          \
          " AND " KEY_IN_FORCE " ORDER BY expires_at, id LIMIT $2"),                           \
  [ST_SQL_USER_SCAN] =                                                                         \
      SQL("SELECT username FROM users WHERE username > $1 ORDER BY username LIMIT $2"),        \
  [ST_SQL_AUDIT_PLACE] = SQL("SELECT at FROM audit WHERE id <= $1 ORDER BY id DESC LIMIT 1"),  \
  [ST_SQL_AUDIT_SCAN] = AUDIT_SCAN(""), [ST_SQL_AUDIT_SCAN_WHO] = AUDIT_SCAN("who = $5 AND "), \
  [ST_SQL_AUDIT_SCAN_ACTION] = AUDIT_SCAN("action = $5 AND "),                                 \
  [ST_SQL_AUDIT_SCAN_TARGET] = AUDIT_SCAN("target = $5 AND ")

#endif
