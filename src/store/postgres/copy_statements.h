/* copy_statements - the text of the statements that take all of a store into another (copy.c), as a
 * part of the table in statements.c.
 */
#ifndef ST_STORE_POSTGRES_COPY_STATEMENTS_H
#define ST_STORE_POSTGRES_COPY_STATEMENTS_H

#include "store/postgres/statement_parts.h"

#define COPY_STATEMENTS                                                                            \
  [ST_SQL_COPY_BEGIN] = SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),                    \
  [ST_SQL_COPY_END] = SQL("COMMIT"),                                                               \
  [ST_SQL_COPY_IS_EMPTY] = SQL("SELECT 1 WHERE " SETTING(                                          \
      "sequence") " = 1 AND NOT EXISTS (SELECT 1 FROM keys)"                                       \
                  " AND NOT EXISTS (SELECT 1 FROM audit) AND NOT EXISTS (SELECT 1 FROM listed)"    \
                  " AND NOT EXISTS (SELECT 1 FROM changes)"),                                      \
  [ST_SQL_COPY_CLEAR_SETTINGS] = SQL("DELETE FROM settings"),                                      \
  [ST_SQL_COPY_CLEAR_ISSUED] = SQL("DELETE FROM issued"), [ST_SQL_COPY_HASH_KEY] = HERE,           \
  [ST_SQL_COPY_READ_SETTINGS] =                                                                    \
      SQL("SELECT name, value FROM settings WHERE name > $1 ORDER BY name LIMIT $2"),              \
  [ST_SQL_COPY_READ_ISSUED] =                                                                      \
      SQL("SELECT sequence FROM issued WHERE sequence > $1 ORDER BY sequence LIMIT $2"),           \
  [ST_SQL_COPY_READ_KEYS] =                                                                        \
      SQL("SELECT " COPIED_OF_KEYS " FROM keys WHERE id > $1 ORDER BY id LIMIT $2"),               \
  [ST_SQL_COPY_READ_REPLACED] =                                                                    \
      SQL("SELECT digest, key_id FROM replaced WHERE digest > $1 ORDER BY digest LIMIT $2"),       \
  [ST_SQL_COPY_READ_REVOKED] =                                                                     \
      SQL("SELECT sub, key_id, revoked_at FROM revoked WHERE sub > $1 ORDER BY sub LIMIT $2"),     \
  [ST_SQL_COPY_READ_LISTED] = SQL("SELECT " COPIED_OF_LISTED                                       \
                                  " FROM listed"                                                   \
                                  " WHERE sub > $1 ORDER BY sub LIMIT $2"),                        \
  [ST_SQL_COPY_READ_CHANGES] =                                                                     \
      SQL("SELECT sequence, hash FROM changes WHERE (sequence, hash) > ($1, $2)"                   \
          " ORDER BY sequence, hash LIMIT $3"),                                                    \
  [ST_SQL_COPY_READ_USERS] =                                                                       \
      SQL("SELECT " COPIED_OF_USERS " FROM users WHERE username > $1 ORDER BY username LIMIT $2"), \
  [ST_SQL_COPY_READ_SESSIONS] =                                                                    \
      SQL("SELECT key_id, seed FROM sessions WHERE key_id > $1 ORDER BY key_id LIMIT $2"),         \
  [ST_SQL_COPY_READ_REFRESH] =                                                                     \
      SQL("SELECT hash, key_id, expires_at, used_at FROM refresh_tokens"                           \
          " WHERE hash > $1 ORDER BY hash LIMIT $2"),                                              \
  [ST_SQL_COPY_READ_USED] =                                                                        \
      SQL("SELECT key_id, used_at FROM used WHERE key_id > $1 ORDER BY key_id LIMIT $2"),          \
  [ST_SQL_COPY_READ_REMAINING] = SQL("SELECT " REMAINING_COLUMNS                                   \
                                     " FROM remaining"                                             \
                                     " WHERE owner > $1 ORDER BY owner LIMIT $2"),                 \
  [ST_SQL_COPY_READ_AUDIT] =                                                                       \
      SQL("SELECT id, at, who, origin, action, target, detail FROM audit"                          \
          " WHERE id > $1 ORDER BY id LIMIT $2"),                                                  \
  [ST_SQL_COPY_WRITE_SETTINGS] = SQL("INSERT INTO settings (name, value) VALUES ($1, $2)"),        \
  [ST_SQL_COPY_WRITE_ISSUED] = SQL_AND(LATER, "INSERT INTO issued (sequence) VALUES ($1)"),        \
  [ST_SQL_COPY_WRITE_KEYS] = SQL_HASHED(                                                           \
      4, LATER,                                                                                    \
      "INSERT INTO keys (" COPIED_OF_KEYS                                                          \
      ", hash)"                                                                                    \
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::bigint, $11, $12,"                        \
      " $13::bigint, $14, $15::bigint, $16, $17, $18, $19, $20, $21, $22, $23::bigint, $24)"),     \
  [ST_SQL_COPY_WRITE_REPLACED] =                                                                   \
      SQL_AND(LATER, "INSERT INTO replaced (digest, key_id) VALUES ($1, $2)"),                     \
  [ST_SQL_COPY_WRITE_REVOKED] =                                                                    \
      SQL_AND(LATER, "INSERT INTO revoked (sub, key_id, revoked_at) VALUES ($1, $2, $3)"),         \
  [ST_SQL_COPY_WRITE_LISTED] =                                                                     \
      SQL_AND(LATER, "INSERT INTO listed (" COPIED_OF_LISTED                                       \
                     ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bigint, $9)"),                     \
  [ST_SQL_COPY_WRITE_CHANGES] =                                                                    \
      SQL_AND(LATER, "INSERT INTO changes (sequence, hash) VALUES ($1, $2)"),                      \
  [ST_SQL_COPY_WRITE_USERS] =                                                                      \
      SQL_AND(LATER, "INSERT INTO users (" COPIED_OF_USERS                                         \
                     ")"                                                                           \
                     " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bigint, $9::bigint)"),              \
  [ST_SQL_COPY_WRITE_SESSIONS] =                                                                   \
      SQL_AND(LATER, "INSERT INTO sessions (key_id, seed) VALUES ($1, $2)"),                       \
  [ST_SQL_COPY_WRITE_REFRESH] =                                                                    \
      SQL_AND(LATER,                                                                               \
              "INSERT INTO refresh_tokens (hash, key_id, expires_at, used_at)"                     \
              " VALUES ($1, $2, $3, $4)"),                                                         \
  [ST_SQL_COPY_WRITE_USED] = SQL_AND(LATER, "INSERT INTO used (key_id, used_at) VALUES ($1, $2)"), \
  [ST_SQL_COPY_WRITE_REMAINING] =                                                                  \
      SQL_AND(LATER, "INSERT INTO remaining (" REMAINING_COLUMNS                                   \
                     ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::bigint, $10)"),                \
  [ST_SQL_COPY_WRITE_AUDIT] =                                                                      \
      SQL_AND(LATER,                                                                               \
              "INSERT INTO audit (id, at, who, origin, action, target, detail)"                    \
              " VALUES ($1, $2, $3, $4, $5, $6, $7)"),                                             \
  [ST_SQL_COPY_FINISH] =                                                                           \
      SQL("SELECT setval(pg_get_serial_sequence('subtoken.keys', 'n'),"                            \
          " (SELECT coalesce(max(n), 0) + 1 FROM keys), false),"                                   \
          " setval(pg_get_serial_sequence('subtoken.audit', 'id'),"                                \
          " (SELECT coalesce(max(id), 0) + 1 FROM audit), false)")

#endif
