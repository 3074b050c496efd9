/* search_statements - the text of the statements that look through an index (store/search.c,
 * store/audit_list.c). INDEXED BY: an index that did not serve would make the statement an error.
 */
#ifndef ST_STORE_SQLITE_SEARCH_STATEMENTS_H
#define ST_STORE_SQLITE_SEARCH_STATEMENTS_H

#include "store/sqlite/statement_parts.h"

#define SCAN_COLUMNS                                                               \
  "id, name, owner, coalesce(expires_at, 9007199254740991), disabled, " SUSPENDED( \
      "keys") ", audience"

/* ?1, ?2: before this time, or of it and before this line; ?3: since; ?4: lines; ?5: of whom. By
 * itself (at, id) < (?1, ?2) would walk through all lines of that second that come before. The two
 * halves are answered one after the other. +at: what comes since is no reason to walk through the
 * index from there to its end, and sort that.
 */
#define AUDIT_HALF(index, of, which)                                                               \
  "SELECT * FROM (SELECT id, at, action, who, origin, target, detail FROM audit INDEXED BY " index \
  " WHERE " of which " >= ?3 ORDER BY at DESC, id DESC LIMIT ?4)"
#define AUDIT_SCAN(index, of)                          \
  AUDIT_HALF(index, of, "at = ?1 AND id < ?2 AND +at") \
  " UNION ALL " AUDIT_HALF(index, of, "at < ?1 AND at") " LIMIT ?4"

#define SIXTEEN "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"

#define SEARCH_STATEMENTS                                                                         \
  [ST_SQL_KEY_FOUND] =                                                                            \
      "SELECT " LISTED_COLUMNS " FROM keys INDEXED BY keys_kept WHERE id IN " SIXTEEN             \
      " AND " KEY_IN_FORCE,                                                                       \
  [ST_SQL_USER_FOUND] = "SELECT " USER_COLUMNS                                                    \
                        " FROM persons CROSS JOIN keys"                                           \
                        " WHERE login IN " SIXTEEN " AND keys.id = persons.key_id",               \
  [ST_SQL_KEY_SCAN] = "SELECT " SCAN_COLUMNS                                                      \
                      " FROM keys INDEXED BY keys_kept WHERE id > ?1"                             \
                      " AND " KEY_IN_FORCE " ORDER BY id LIMIT ?2",                               \
  [ST_SQL_KEY_SCAN_OWNED] =                                                                       \
      "SELECT " SCAN_COLUMNS                                                                      \
      " FROM keys INDEXED BY keys_owned"                                                          \
      " WHERE owner = ?3 AND id > ?1 AND " KEY_IN_FORCE " ORDER BY id LIMIT ?2",                  \
  [ST_SQL_KEY_SCAN_EXPIRING] = "SELECT " SCAN_COLUMNS                                             \
                               " FROM keys INDEXED BY keys_expiring WHERE expires_at IS NOT NULL" \
                               " AND (expires_at, id) > (?3, ?1) AND expires_at <= ?4 "           \
                               "AND " KEY_IN_FORCE " ORDER BY expires_at, id LIMIT ?2",           \
  [ST_SQL_USER_SCAN] = "SELECT login FROM persons WHERE login > ?1 ORDER BY login LIMIT ?2",      \
  [ST_SQL_AUDIT_PLACE] = "SELECT at FROM audit WHERE id <= ?1 ORDER BY id DESC LIMIT 1",          \
  [ST_SQL_AUDIT_SCAN] = AUDIT_SCAN("audit_at", ""),                                               \
  [ST_SQL_AUDIT_SCAN_WHO] = AUDIT_SCAN("audit_who", "who = ?5 AND "),                             \
  [ST_SQL_AUDIT_SCAN_ACTION] = AUDIT_SCAN("audit_action", "action = ?5 AND "),                    \
  [ST_SQL_AUDIT_SCAN_TARGET] = AUDIT_SCAN("audit_target", "target = ?5 AND ")

#endif
