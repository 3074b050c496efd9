/* statement_parts - what the texts of statements.c and own_statements.c have in common. */
#ifndef ST_STORE_SQLITE_STATEMENT_PARTS_H
#define ST_STORE_SQLITE_STATEMENT_PARTS_H

#include "store/sqlite/sqlite.h"

#define STORED_COLUMNS                                                          \
  "id, sub, name, owner, permissions, created_at, expires_at, disabled, kind, " \
  "parent, suspended"

/* What a change of many rows has left to do is in force all the same (store/remaining.h): a living
 * row may have ended by it, or be suspended or not. Of sessions only `end` and `suspend` are told,
 * of users' own rows nothing.
 */
#define REMAINING_OF(row) "SELECT 1 FROM remaining AS m WHERE m.owner = " row ".owner"
#define HOLDS_LOST(row) \
  "(m.permissions IS NULL OR permissions_meet(" row ".permissions, m.permissions))"
#define ENDED(row)                                                                           \
  "EXISTS (" REMAINING_OF(row) " AND " row ".kind <> 1 AND (m.what = 'end' AND " HOLDS_LOST( \
      row) " OR m.what = 'suspend' AND " row ".kind >= 2))"
#define SUSPENDED(row)                                                           \
  "coalesce((SELECT m.what = 'suspend' FROM remaining AS m WHERE m.owner = " row \
  ".owner "                                                                      \
  " AND m.what <> 'end' AND " row ".kind = 0), " row ".suspended)"
/* Asked once for all rows. */
#define ANY_REMAINING "EXISTS (SELECT 1 FROM remaining)"
/* Is it one of those that the change has not reached yet? */
#define NOT_REACHED(row)                                                               \
  "EXISTS (" REMAINING_OF(row) " AND CASE WHEN m.what = 'end' THEN " row               \
                               ".kind <> 1 AND " HOLDS_LOST(                           \
                                   row) " WHEN " row                                   \
                                        ".kind >= 2 THEN m.what = 'suspend' ELSE " row \
                                        ".kind = 0 AND " row                           \
                                        ".suspended <> (m.what = 'suspend') END)"
/* The hashes that it changes and has not reached, with what becomes of them, of changes after a
 * sequence ?1. A key that is disabled besides stays listed. IN reads the rows in the order of the
 * table: each of its pages once.
 */
#define HASHES_NOT_REACHED \
  "WITH pending (hash, listed, sequence) AS (SELECT " HASH_OF("keys.sub")                       \
  ", m.what <> 'resume', m.sequence FROM remaining AS m CROSS JOIN keys"                        \
  " WHERE m.sequence > ?1 AND keys.rowid IN (SELECT k.rowid FROM keys AS k"                     \
  "  WHERE k.owner = m.owner AND k.kind = 0 AND k.deleted_at IS NULL)"                          \
  " AND CASE m.what WHEN 'end' THEN " HOLDS_LOST(                                               \
      "keys") " ELSE disabled = 0 AND suspended <> (m.what = 'suspend') END"                    \
  " UNION ALL SELECT " HASH_OF("keys.sub") ", 1, m.sequence FROM remaining AS m CROSS JOIN keys" \
  " WHERE m.sequence > ?1 AND keys.rowid IN (SELECT k.rowid FROM keys AS k"                     \
  "  WHERE k.owner = m.owner AND k.kind >= 2 AND k.deleted_at IS NULL)"                         \
  " AND " ENDED("keys") ") "
#define IN_FORCE(row) row ".deleted_at IS NULL AND NOT " ENDED(row)

/* How many tokens of the row are listed; and one more while there may be some whose tids are not
 * known: hashes that a snapshot listed.
 */
#define TOKENS_REVOKED(row)                                                                 \
  "iif(" row ".has_token = 0, 0, (SELECT count(*) FROM listed AS t WHERE t.token_of = " row \
  ".sub)) + EXISTS (SELECT 1 FROM listed AS t INDEXED BY listed_unknown"                    \
  " WHERE t.sub >= '==' AND t.sub < '=>')"
#define KEY_COLUMNS                                                             \
  "id, sub, name, owner, permissions, created_at, expires_at, disabled, kind, " \
  "parent, " SUSPENDED("keys") ", audience, coalesce(old_until, 0)"
#define COLUMNS KEY_COLUMNS ", 0"
#define REQUEST_COLUMNS KEY_COLUMNS ", " TOKENS_REVOKED("keys")
#define LISTED_COLUMNS                                                                \
  COLUMNS                                                                             \
  ", (SELECT used_at FROM used WHERE used.key_id = keys.id), coalesce(made_by, ''), " \
  "disabled_by IS NOT NULL AND EXISTS (SELECT 1 FROM persons AS p"                    \
  " WHERE p.login = keys.owner AND p.key_id = keys.disabled_by), rotated_at"
#define USER_COLUMNS                                                           \
  LISTED_COLUMNS                                                               \
  ", password, coalesce(imported, ''), locale, source, imported IS NOT NULL, " \
  "registered, own_password"

/* Written like the conditions of the partial indexes, so that these are used. */
#define LIVING_KEY "kind = 0 AND deleted_at IS NULL"
#define KEY_IN_FORCE LIVING_KEY " AND NOT " ENDED("keys")
#define LIVING_SESSION "kind >= 2 AND deleted_at IS NULL"
#define LIVING_OF_OWNER "FROM keys WHERE owner = ?1 AND " LIVING_KEY
#define SESSIONS_OF_OWNER "FROM keys WHERE owner = ?1 AND " LIVING_SESSION
#define REMAINING_COLUMNS \
  "owner, what, permissions, sequence, at, who, origin, because, keys_reached, after"
#define VALID_DERIVED                                                                \
  "FROM keys WHERE id IN (SELECT id FROM temp.derived WHERE base = 0) AND kind <= 1" \
  " AND " IN_FORCE("keys") " AND coalesce(expires_at, ?1 + 1) > ?1"
#define HOLDS_MORE(row)                        \
  "(?1 IS NULL OR NOT permissions_within(" row \
  ".permissions, ?1)"                          \
  "  OR NOT permissions_within(iif(" row ".kind = 1, 'users', 'keys'), ?1))"
#define IN_SET "id IN (SELECT id FROM temp.row_set)"
#define ADD "INSERT OR IGNORE INTO temp.row_set (id) SELECT id "

#define FACT(name) "(SELECT value FROM facts WHERE name = '" name "')"
#define HASH_OF(sub) "revocation_hash(" FACT("hash_key_0") ", " FACT("hash_key_1") ", " sub ")"

/* As copy.c lists them. */
#define COPIED_OF_KEYS                                                                     \
  "id, rowid, digest, sub, name, owner, permissions, created_at, expires_at, disabled,"    \
  " changed_at, deleted_at, kind, parent, suspended, made_by, disabled_by, made_by_owner," \
  " audience, old_digest, old_until, rotated_at, has_token"
#define COPIED_OF_LISTED \
  "sub, hash, revoked_at, lived_at, token_of, until, token_root, token_derived, token_via"
#define COPIED_OF_USERS                                                        \
  "login, key_id, password, imported, locale, source, changed_at, registered," \
  " own_password"

/* The latest time that is known of a row: a token may have been signed by a clock that was ahead.
 */
#define LATEST_CLOCK                          \
  "max(?1, keys.created_at, keys.changed_at," \
  " coalesce((SELECT used_at + 60 FROM used WHERE used.key_id = keys.id), 0))"

/* The name under which a hash is listed whose sub is unknown, or has another length. No sub has a
 * `=`. What a snapshot listed may be a tid, too, and has another name.
 */
#define NAMELESS(hash) "printf('=%016x%026d', " hash ", 0)"
#define NAMELESS_OF_SNAPSHOT(hash) "printf('==%016x%025d', " hash ", 0)"
/* That of a token: its tid, as long as a sub. */
#define TOKEN_NAME(tid) "(" tid " || '...........................')"
/* Was it made from the token ?1, and stays no longer than that, until ?3? */
#define MADE_FROM_TOKEN "instr(',' || token_via || ',', ',' || ?1 || ',') > 0 AND until <= ?3"
#define TOKENS_OF_SET "token_of IN (SELECT sub FROM keys WHERE has_token = 1 AND " IN_SET ")"

#endif
