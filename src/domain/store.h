/* sqlite - the store of parent keys, in one SQLite file (WAL). The only door to
 * SQLite. A store handle may be used by many threads, and the file by many
 * processes: what one changes, another sees at its next question.
 */
#ifndef ST_DOMAIN_STORE_H
#define ST_DOMAIN_STORE_H

#include "base/hmac.h"
#include "domain/key.h"
#include "domain/user.h"
#include "subtoken/revocations.h"

typedef struct st_store st_store;

/* Is the group of a database trusted as its owner is (the setting data_group)? Then it may be open
 * to it, and belong to somebody else. Before any is opened.
 */
void st_store_trust_group(bool trust);

/* Open DATA/subtoken.db; made, with mode 0600, when create is true and it is
 * not there. Refuses a file that is damaged, of a newer schema, not a database,
 * owned by somebody else, or writable or readable by others; never replaces it.
 * *store is NULL unless ST_STORE_OK. why, of ST_ERROR_MAX bytes, names the file.
 */
st_store_status st_store_open(const char *path, bool create, st_store **store, char *error)
    __attribute__((warn_unused_result));
void st_store_close(st_store *store);

/* A key by the SHA-256 of it, or by its sub. error says what is behind ST_STORE_FAILED. */
st_store_status st_store_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                   char *error) __attribute__((warn_unused_result));
st_store_status st_store_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error)
    __attribute__((warn_unused_result));

/* Can it be read and, as far as can be known without writing, written? error says why not. */
bool st_store_ready(st_store *store, char *error) __attribute__((warn_unused_result));

/* Reading never waits for writing. Changes are made one after the other, in the order in which they
 * were asked for, and wait for other processes that write; each until st_audit_context.until_us
 * (five seconds where it is 0). Then, and at once when too many wait already, they answer
 * ST_STORE_BUSY.
 *
 * Of a server's threads a quarter at most waits here, and of these an eighth for people who
 * register themselves and have shown no credential.
 */
void st_store_limit_waiting(st_store *store, int64_t threads);
/* The process ends: from a time on (st_semaphore_now_us) nothing waits. */
void st_store_stop_waiting(st_store *store, int64_t at_us);
/* And what is under way ends early: a change that is not committed yet fails. */
void st_store_interrupt(st_store *store);

/* Each change is durable (fsynced) when it answers ST_STORE_OK, and has not happened at all when it
 * answers anything else (but see st_store_session_refresh); durable means in the files that lie at
 * the path: when they were replaced under it, it fails, whatever became of the ones that are open;
 * its line in the audit log is part of it. What lists or unlists a sub takes the next sequence in
 * the same transaction; *sequence (may be NULL) is the one at which the revocation data carries the
 * change.
 *
 * What ends a row ends those that rest on it: the logins made with it, and with a person the
 * person's keys, which are those whose owner is the person's login.
 */

/* key: of kind ST_KIND_KEY. maker may be NULL: the command line. ST_STORE_DENIED: the maker's row
 * has gone, has another sub, is disabled, suspended or expired, or lacks one of the permissions.
 * A key for a person who is disabled is made suspended. Whoever registers chooses the login: a key
 * for the owner of that name is ST_STORE_OWNER_REGISTERED, unless key->owner_is_user says that the
 * user is meant, or the user makes it. act->row is kept as what made it.
 */
st_store_status st_store_key_create(st_store *store, const st_audit_context *act,
                                    const st_grantor *maker, const st_key *key,
                                    const uint8_t digest[32], char *error)
    __attribute__((warn_unused_result));
/* These five know living keys of kind ST_KIND_KEY alone. */
st_store_status st_store_key_find(st_store *store, const char *id, st_key *key, char *error)
    __attribute__((warn_unused_result));
st_store_status st_store_key_find_sub(st_store *store, subtoken_text sub, st_key *key, char *error)
    __attribute__((warn_unused_result));
st_store_status st_store_key_rename(st_store *store, const st_audit_context *act, const char *id,
                                    const char *name, char *error)
    __attribute__((warn_unused_result));
/* act->row is kept as what disabled it, unless its owner repeats it. ST_STORE_DENIED:
 * act->as_owner, and somebody else disabled it. */
st_store_status st_store_key_set_disabled(st_store *store, const st_audit_context *act,
                                          const char *id, bool disabled, int64_t *sequence,
                                          char *error) __attribute__((warn_unused_result));
st_store_status st_store_key_delete(st_store *store, const st_audit_context *act, const char *id,
                                    int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* Give the key a new sub; the old one is remembered as revoked, the logins made with it end. */
st_store_status st_store_key_replace_sub(st_store *store, const st_audit_context *act,
                                         const char *id, const char *sub, int64_t *sequence,
                                         char *error) __attribute__((warn_unused_result));

/* ---- persons ---- */

st_store_status st_store_user_find(st_store *store, subtoken_text login, st_user *person,
                                   char *error) __attribute__((warn_unused_result));
/* In the order of their logins (bytes), those after one ("" for the first page). */
st_store_status st_store_user_list(st_store *store, const char *after, size_t limit,
                                   st_user *persons, size_t *count, char *error)
    __attribute__((warn_unused_result));
/* digest: 32 random bytes, the hash of nothing. ST_STORE_EXISTS: the login is taken; also when a
 * living key has it for an owner, unless the maker holds `keys` or is the operator: nobody comes
 * to another's keys by registering, or by making a person.
 */
st_store_status st_store_user_create(st_store *store, const st_audit_context *act,
                                     const st_grantor *maker, bool registering,
                                     const st_user *person, const uint8_t digest[32], char *error)
    __attribute__((warn_unused_result));
/* Permissions that are added are there at the next request and refresh. When one is taken away:
 * the keys that hold it and all logins end, and the person's row gets new_sub.
 */
st_store_status st_store_user_set_permissions(st_store *store, const st_audit_context *act,
                                              const char *login, const char *permissions,
                                              const char *new_sub, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* Another password: logins end, the row gets new_sub, the keys live on. */
st_store_status st_store_user_set_password(st_store *store, const st_audit_context *act,
                                           const char *login, const char *password,
                                           const char *new_sub, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* The same password, hashed anew; nothing ends. ST_STORE_NOT_FOUND when it is no longer `before`.
 * Waits for nobody: it can be done another time.
 */
st_store_status st_store_user_rehash(st_store *store, const char *login, const char *before,
                                     const char *password, char *error)
    __attribute__((warn_unused_result));
/* Disabled: logins end, the row's sub is listed, and the keys are suspended until enabled. */
st_store_status st_store_user_set_disabled(st_store *store, const st_audit_context *act,
                                           const char *login, bool disabled, int64_t *sequence,
                                           char *error) __attribute__((warn_unused_result));
st_store_status st_store_user_delete(st_store *store, const st_audit_context *act,
                                     const char *login, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* Was there a user of this login, who was deleted? Also when there is one again. */
st_store_status st_store_user_was_deleted(st_store *store, subtoken_text login, bool *deleted,
                                          char *error) __attribute__((warn_unused_result));

/* A user of an access file. key.id, key.sub and digest are drawn by the caller. */
typedef struct st_user_import {
  st_user person;
  uint8_t digest[32];
  /* CREATE: nobody has the login, or ever had. RESTORE: one who was deleted. UPDATE: one who was
   * imported gets these permissions (as in set_permissions) and, when `password` is not empty, this
   * password (as in set_password) and `imported`. */
  enum { ST_IMPORT_CREATE, ST_IMPORT_RESTORE, ST_IMPORT_UPDATE } mode;
  uint8_t
      seen[ST_HASH_LEN]; /* UPDATE: st_store_user_fingerprint of the user as the caller saw him */
} st_user_import;

/* A hash of all that an import compares: another one after each change of the user. False: it could
 * not be computed. */
bool st_store_user_fingerprint(const st_user *person, uint8_t seal[ST_HASH_LEN])
    __attribute__((warn_unused_result));

/* All or none, in one transaction. ST_STORE_DENIED: a user is not as the mode says, was not
 * imported, or has changed since the caller looked; error names the login.
 */
st_store_status st_store_user_import(st_store *store, const st_audit_context *act,
                                     const st_user_import *users, size_t count, int64_t *sequence,
                                     char *error) __attribute__((warn_unused_result));

/* ---- logins ---- */

/* login: id, sub and expires_at are given; kind, parent, name, owner, permissions and the bound of
 * expires_at come from the maker's row, within the transaction, and are written back. seed: 32
 * random bytes. refresh: the first refresh token, of which the hash is kept. ST_STORE_DENIED: the
 * maker is no longer in force, or is itself a login. most: how many sessions of the maker live
 * afterwards, at least 1; the oldest end in the same transaction, each with a line in the audit
 * log.
 */
st_store_status st_store_session_begin(st_store *store, const st_audit_context *act,
                                       const st_grantor *maker, int64_t most, st_key *login,
                                       const uint8_t digest[32], const uint8_t seed[32],
                                       const char *refresh, char *error)
    __attribute__((warn_unused_result));
/* The successor of a refresh token: HMAC-SHA-256 of it under the login's seed, base64url. The
 * same again within `retry` seconds (0: never) while the successor is unused (nothing is changed
 * then). Otherwise a token used before ends its login: ST_STORE_DENIED, which is durable, too.
 * ST_STORE_NOT_FOUND: unknown, expired, its login ended. expires_at: of the successor and the
 * login, brought down to what the login rests on.
 */
st_store_status st_store_session_refresh(st_store *store, const st_audit_context *act,
                                         subtoken_text token, int64_t expires_at, int64_t retry,
                                         st_key *login, char successor[ST_REFRESH_LEN + 1],
                                         char *error) __attribute__((warn_unused_result));
st_store_status st_store_session_end(st_store *store, const st_audit_context *act, const char *id,
                                     int64_t *sequence, char *error)
    __attribute__((warn_unused_result));

/* ---- audit, last use ---- */

/* Newest first, those whose id is below `before`; 0: from the newest on. */
st_store_status st_store_audit_list(st_store *store, int64_t before, size_t limit,
                                    st_audit_line *lines, size_t *count, char *error)
    __attribute__((warn_unused_result));
/* A line for what changed elsewhere: the ring of secrets. */
st_store_status st_store_audit_add(st_store *store, const st_audit_context *act, const char *action,
                                   const char *target, const char *detail, char *error)
    __attribute__((warn_unused_result));

typedef struct st_key_use {
  char id[ST_KEY_ID_LEN + 1];
  int64_t at;
} st_key_use;
/* In one transaction. An id that is not there is passed over. */
st_store_status st_store_key_mark_used(st_store *store, const st_key_use *uses, size_t count,
                                       char *error) __attribute__((warn_unused_result));

/* ---- revocation data (subtoken/revocations.h), for the feed ----
 *
 * Whatever is in force is listed: a deleted key's sub, a disabled key's, one that was
 * replaced. Sequences are the larger of the last plus one and the microseconds since 1970.
 */
typedef struct st_revocation_state {
  int64_t sequence;
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
} st_revocation_state;

/* Where it stands now. Cheap when nothing was written since the last question. */
st_store_status st_store_revocation_state(st_store *store, st_revocation_state *listing,
                                          char *error) __attribute__((warn_unused_result));

/* All that is listed, each hash once, in no order, with where it stood at that moment. *hashes
 * is to be freed, and has room for one more when the count is 0.
 */
st_store_status st_store_revoked_hashes(st_store *store, st_revocation_state *listing,
                                        uint64_t **hashes, uint32_t *count, char *error)
    __attribute__((warn_unused_result));

typedef struct st_revocation_change {
  uint64_t hash;
  int64_t sequence; /* at which it was touched last */
  bool listed;      /* or taken off */
} st_revocation_change;

/* All that is listed and, of the same moment, the whole log of changes: what became of each hash
 * that was touched after *since, which is as far as the log reaches back. Both are to be freed.
 */
typedef struct st_revocation_data {
  st_revocation_state listing;
  uint64_t *hashes;
  uint32_t count;
  st_revocation_change *changes;
  uint32_t change_count;
  int64_t since;
} st_revocation_data;
st_store_status st_store_revocation_data(st_store *store, st_revocation_data *listed, char *error)
    __attribute__((warn_unused_result));

/* What became of each hash that was touched after a sequence, each once; to be freed.
 * ST_STORE_NOT_FOUND when the log does not reach back so far, or not up to there yet. Where it
 * stands is told in *listing.
 */
st_store_status st_store_revocation_changes(st_store *store, int64_t since,
                                            st_revocation_state *listing,
                                            st_revocation_change **changes, uint32_t *count,
                                            char *error) __attribute__((warn_unused_result));

/* A new sequence with nothing changed: at each start, because the database may be a backup
 * that edges are ahead of, and when another secret begins to sign. until_us: as in
 * st_audit_context.
 */
st_store_status st_store_bump_sequence(st_store *store, int64_t now_us, int64_t until_us,
                                       int64_t *sequence, char *error)
    __attribute__((warn_unused_result));

/* Take off what no token can need any more: what was revoked longer ago than the longest life that
 * was ever given and two leeways of SUBTOKEN_LEEWAY_MAX, by the clock and by the time that servers
 * have lived through, which is counted here: what monotonic_us, a clock that is never set, says has
 * passed since the last call with this handle. Also shortens the logs of changes and of sequences,
 * and removes sessions that ended that long ago and refresh tokens that have expired. Takes a
 * sequence only when something was taken off.
 */
st_store_status st_store_purge(st_store *store, int64_t now_us, int64_t monotonic_us, char *error)
    __attribute__((warn_unused_result));

/* The counting alone: when a server ends. */
st_store_status st_store_count_uptime(st_store *store, int64_t monotonic_us, char *error)
    __attribute__((warn_unused_result));

/* Did this store ever give that sequence? ST_STORE_NOT_FOUND: never, so whoever has it was told
 * another history. ST_STORE_OK also for one that is too old to tell. Never waits for who writes.
 */
st_store_status st_store_issued_sequence(st_store *store, int64_t sequence, char *error)
    __attribute__((warn_unused_result));

/* What a snapshot lists that edges hold and this database does not lead to, because it is a backup
 * or a copy. Each hash that it lists is listed again, unless this database touched it later; keys
 * and users of this database that have one are disabled, sessions end; the hash key is the
 * snapshot's; the next sequence is above its. ST_STORE_DENIED: this database has taken over hashes
 * of another hash key.
 */
#define ST_RESTORE_SEQUENCE_MAX (INT64_MAX / 2)
typedef struct st_revocation_snapshot {
  int64_t sequence;
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
  const uint64_t *hashes;
  uint32_t count;
  int64_t life; /* that a token may have been given there; 0: not known */
} st_revocation_snapshot;
typedef struct st_restore_report {
  int64_t before;   /* the sequence of this database until then */
  int64_t sequence; /* at which it carries what it has taken over */
  int64_t listed;   /* hashes that no row here has */
  int64_t keys;     /* and users, disabled */
  int64_t sessions; /* ended */
} st_restore_report;
st_store_status st_store_restore_revocations(st_store *store, const st_audit_context *act,
                                             const st_revocation_snapshot *from,
                                             st_restore_report *report, char *error)
    __attribute__((warn_unused_result));

/* List the sub of a token that no living row has, for as long as a token of that life and one made
 * at iat may live. ST_STORE_EXISTS: a row has it, of that id. ST_STORE_DENIED: it is revoked.
 */
st_store_status st_store_revoke_sub(st_store *store, const st_audit_context *act, subtoken_text sub,
                                    int64_t iat, int64_t life, char id[ST_KEY_ID_LEN + 1],
                                    int64_t *sequence, char *error)
    __attribute__((warn_unused_result));

/* Up to limit living keys of kind ST_KIND_KEY whose id follows after_id ("" for the first page),
 * in the order of their ids, of one owner or (NULL) of all. *count tells how many were written.
 */
st_store_status st_store_key_list(st_store *store, const char *owner, const char *after_id,
                                  size_t limit, st_key *keys, size_t *count, char *error)
    __attribute__((warn_unused_result));
st_store_status st_store_key_count(st_store *store, int64_t *count, char *error)
    __attribute__((warn_unused_result));

/* A number under a name, for what must outlive a restart: the longest life ever
 * configured, when a secret last signed. recall leaves *value as it is when there
 * is none.
 */
st_store_status st_store_set_setting(st_store *store, const char *name, int64_t value, char *error)
    __attribute__((warn_unused_result));
/* The same, unless the number that is known is as large: for what must never fall. */
st_store_status st_store_raise_setting(st_store *store, const char *name, int64_t value,
                                       char *error) __attribute__((warn_unused_result));
st_store_status st_store_get_setting(st_store *store, const char *name, int64_t *value, char *error)
    __attribute__((warn_unused_result));

/* A consistent copy, taken while others read and write; path must not exist.
 * The copy is complete and fsynced, or not there, and neither is anything else: also what earlier
 * copies to this path have left behind that were killed is removed. It is given up when *stop is
 * not 0 any more, as a signal makes it (NULL: never).
 */
st_store_status st_store_backup(st_store *store, const char *path, const volatile int *stop,
                                char *error) __attribute__((warn_unused_result));

#endif
