/* statement_parts - what the texts of statements.c and own_statements.c have in common. */
#ifndef ST_STORE_POSTGRES_STATEMENT_PARTS_H
#define ST_STORE_POSTGRES_STATEMENT_PARTS_H

#include "store/postgres/postgres.h"

#define WITHIN(inner, outer) "string_to_array(" inner ", ',') <@ string_to_array(" outer ", ',')"
#define MEET(one, other) "string_to_array(" one ", ',') && string_to_array(" other ", ',')"

/* What a change of many rows has left to do is in force all the same (store/remaining.h): a living
 * row may have ended by it, or be suspended or not. Of sessions only `end` and `suspend` are told,
 * of users' own rows nothing.
 */
#define REMAINING_OF(row) "SELECT 1 FROM remaining AS m WHERE m.owner = " row ".owner"
#define HOLDS_LOST(row) "(m.permissions IS NULL OR " MEET(row ".permissions", "m.permissions") ")"
#define ENDED(row)                                                                           \
  "EXISTS (" REMAINING_OF(row) " AND " row ".kind <> 1 AND (m.what = 'end' AND " HOLDS_LOST( \
      row) " OR m.what = 'suspend' AND " row ".kind >= 2))"
#define SUSPENDED(row)                                                                            \
  "coalesce((SELECT (m.what = 'suspend')::int::smallint FROM remaining AS m WHERE m.owner = " row \
  ".owner AND m.what <> 'end' AND " row ".kind = 0), " row ".suspended)"
/* Asked once for all rows. */
#define ANY_REMAINING "EXISTS (SELECT 1 FROM remaining)"
/* Is it one of those that the change has not reached yet? */
#define NOT_REACHED(row)                                                               \
  "EXISTS (" REMAINING_OF(row) " AND CASE WHEN m.what = 'end' THEN " row               \
                               ".kind <> 1 AND " HOLDS_LOST(                           \
                                   row) " WHEN " row                                   \
                                        ".kind >= 2 THEN m.what = 'suspend' ELSE " row \
                                        ".kind = 0 AND (" row                          \
                                        ".suspended = 1) <> (m.what = 'suspend') END)"
#define IN_FORCE(row) row ".deleted_at IS NULL AND NOT " ENDED(row)
/* The hashes that it changes and has not reached, with what becomes of them, of changes after a
 * sequence. A key that is disabled besides stays listed.
 */
#define HASHES_NOT_REACHED(since) \
  "SELECT keys.hash, (m.what <> 'resume')::int AS became, m.sequence FROM remaining AS m"      \
  " JOIN keys ON keys.owner = m.owner WHERE m.sequence > " since " AND " LIVING_KEY            \
  " AND CASE m.what WHEN 'end' THEN " HOLDS_LOST("keys") " ELSE keys.disabled = 0"             \
  " AND (keys.suspended = 1) <> (m.what = 'suspend') END"                                      \
  " UNION ALL SELECT keys.hash, 1, m.sequence FROM remaining AS m"                             \
  " JOIN keys ON keys.owner = m.owner WHERE m.sequence > " since " AND " LIVING_SESSION        \
  " AND (m.what = 'suspend' OR m.what = 'end' AND " HOLDS_LOST("keys") ")"

#define STORED_COLUMNS                                                          \
  "id, sub, name, owner, permissions, created_at, expires_at, disabled, kind, " \
  "parent, suspended"
/* How many tokens of the row are listed; and one more while there may be some whose tids are not
 * known: hashes that a snapshot listed.
 */
#define TOKENS_REVOKED(row)                                         \
  "CASE " row                                                       \
  ".has_token WHEN 0 THEN 0 ELSE (SELECT count(*) FROM listed AS t" \
  " WHERE t.token_of IS NOT NULL AND t.token_of = " row             \
  ".sub) END"                                                       \
  " + (EXISTS (SELECT 1 FROM listed AS t WHERE t.sub >= '==' AND t.sub < '=>'))::int"
#define ROTATED_COLUMNS ", keys.audience, coalesce(keys.old_until, 0), "
#define COLUMNS                                                                 \
  "id, sub, name, owner, permissions, created_at, expires_at, disabled, kind, " \
  "parent, " SUSPENDED("keys") ROTATED_COLUMNS "0"
#define KEY_COLUMNS                                                               \
  "keys.id, keys.sub, keys.name, keys.owner, keys.permissions, keys.created_at, " \
  "keys.expires_at, keys.disabled, keys.kind, keys.parent, " SUSPENDED("keys") ROTATED_COLUMNS "0"
/* Of statements that change what requests are told of a row. */
#define RETURNING_DIGESTS " RETURNING digest, old_digest"
#define LISTED_COLUMNS                                                                    \
  KEY_COLUMNS                                                                             \
  ", (SELECT used_at FROM used WHERE used.key_id = keys.id), coalesce(keys.made_by, '')," \
  " keys.disabled_by IS NOT NULL AND EXISTS (SELECT 1 FROM users AS p"                    \
  " WHERE p.username = keys.owner AND p.key_id = keys.disabled_by), keys.rotated_at"
#define USER_COLUMNS                                                            \
  LISTED_COLUMNS                                                                \
  ", users.password, coalesce(users.imported, ''), users.locale, users.source," \
  " users.imported IS NOT NULL, users.registered, users.own_password"

/* Written like the conditions of the partial indexes, so that these are used. */
#define LIVING_KEY "kind = 0 AND deleted_at IS NULL"
#define KEY_IN_FORCE LIVING_KEY " AND NOT " ENDED("keys")
#define LIVING_SESSION "kind >= 2 AND deleted_at IS NULL"
#define LIVING_OF_OWNER "FROM keys WHERE owner = $1 AND " LIVING_KEY
#define SESSIONS_OF_OWNER "FROM keys WHERE owner = $1 AND " LIVING_SESSION
#define REMAINING_COLUMNS \
  "owner, what, permissions, sequence, at, who, origin, because, keys_reached, after"
#define OF_PARENT "parent IS NOT NULL AND deleted_at IS NULL AND parent "
#define VALID_DERIVED(array)        \
  "FROM keys WHERE id = ANY(" array \
  "::text[]) AND kind <= 1"         \
  " AND " IN_FORCE("keys") " AND coalesce(expires_at, $1::bigint + 1) > $1::bigint"
#define HOLDS_MORE                                                                 \
  "($1::text IS NULL OR NOT " WITHIN("permissions", "$1::text") " OR NOT " WITHIN( \
      "CASE kind WHEN 1 THEN 'users' ELSE 'keys' END", "$1::text") ")"
#define IN_SET(array) "id = ANY(" array "::text[])"

#define SETTING(name) "(SELECT value FROM settings WHERE name = '" name "')"

/* As store/copy.c lists them. */
#define COPIED_OF_KEYS                                                                     \
  "id, n, digest, sub, name, owner, permissions, created_at, expires_at, disabled,"        \
  " changed_at, deleted_at, kind, parent, suspended, made_by, disabled_by, made_by_owner," \
  " audience, old_digest, old_until, rotated_at, has_token"
#define COPIED_OF_LISTED \
  "sub, hash, revoked_at, lived_at, token_of, until, token_root, token_derived, token_via"
#define COPIED_OF_USERS                                                           \
  "username, key_id, password, imported, locale, source, changed_at, registered," \
  " own_password"

/* The latest time that is known of a row: a token may have been signed by a clock that was ahead.
 */
#define LATEST_CLOCK                                       \
  "greatest($1::bigint, keys.created_at, keys.changed_at," \
  " coalesce((SELECT used_at + 60 FROM used WHERE used.key_id = keys.id), 0))"

/* The name under which a hash is listed whose sub is unknown, or has another length. No sub has a
 * `=`. What a snapshot listed may be a tid, too, and has another name.
 */
#define NAMELESS(hash) "'=' || lpad(to_hex(" hash "), 16, '0') || repeat('0', 26)"
#define NAMELESS_OF_SNAPSHOT(hash) "'==' || lpad(to_hex(" hash "), 16, '0') || repeat('0', 25)"
/* That of a token: its tid, as long as a sub. */
#define TOKEN_NAME(tid) tid "::text || repeat('.', 27)"
/* Was it made from the token $1, with the sub $2, and stays no longer than that, until $3? */
#define MADE_FROM_TOKEN                                          \
  "token_of IS NOT NULL AND token_of = $2::text AND until <= $3" \
  " AND $1::text = ANY(string_to_array(token_via, ','))"
/* $4: of which row or of what rests on it; $5: under a derived secret? */
#define TOKEN_OF_ROOT "token_root IS NOT NULL AND token_root = $4 AND token_derived = $5::bigint"
/* As COPIED_OF_LISTED. $6: the via, $7: the hash */
#define TOKEN_ROW                                            \
  "SELECT " TOKEN_NAME("$1") ", $7::bigint, NULL, " SETTING( \
      "lived") ", $2::text, $3::bigint, $4::text, $5::bigint, $6::text"
#define TOKENS_OF_SET(array)                                                          \
  "listed.token_of IS NOT NULL AND listed.token_of = keys.sub AND keys.has_token = 1" \
  " AND keys." IN_SET(array)

#define RANDOM_32 "sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
#define CLOCK "extract(epoch FROM clock_timestamp())::bigint"

#define SQL(text_) \
  { .text = (text_) }
#define SQL_AND(flags_, text_) \
  { .text = (text_), .flags = (flags_) }
#define SQL_HASHED(sub_, flags_, text_) \
  { .text = (text_), .flags = ST_POSTGRES_WITH_HASH | (flags_), .sub = (sub_) }
#define HERE \
  { .flags = ST_POSTGRES_HERE }

#define LATER ST_POSTGRES_LATER
#define WITH_SET ST_POSTGRES_WITH_SET
#define WITH_CHANGE ST_POSTGRES_WITH_CHANGE
#define WITH_SNAPSHOT ST_POSTGRES_WITH_SNAPSHOT
#define INTO_SET ST_POSTGRES_INTO_SET
#define INTO_WRITTEN ST_POSTGRES_INTO_WRITTEN

#endif
