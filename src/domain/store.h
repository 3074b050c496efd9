/* store - the port that every store implements: what is kept of keys, users and sessions, what a
 * change of them means, and what the revocation data lists.
 *
 * Changes. Each is one transaction: the change itself, all that ends with it, what edges are told
 * of it, and its line in the audit log. When it answers ST_STORE_OK it is durable, in the store as
 * it lies at its location, and in force for every handle of that store. When it answers anything
 * else, nothing has happened (st_store_session_refresh names its exception), but for
 * ST_STORE_IN_DOUBT: all of it may have happened, or none. Changes are made one
 * after the other, in the order in which they were asked for.
 *
 * What ends a row ends what rests on it: the sessions made with it; with a user the user's keys,
 * which are those whose owner is the username. The sub of what ended is listed by the revocation
 * data, and refused for ever.
 *
 * *sequence (may be NULL) is the sequence at which the revocation data carries a change. What lists
 * or unlists a hash takes the next one; a change that does neither answers the last. It is the
 * larger of the last plus one and the microseconds since 1970; 0 unless the answer is ST_STORE_OK.
 *
 * Errors. error has room for ST_ERROR_MAX bytes (os/error.h) and is written unless the answer is
 * ST_STORE_OK; it names the store. Outputs are written on success only, but for those that are said
 * to be zeroed or emptied. No secret is in an error.
 *
 * Threads. A handle may be used by many threads, and a store by many handles and processes: what
 * one changes, another sees at its next question. Reading never waits for writing.
 *
 * Ownership. The store keeps no pointer that it is given. What a caller has to free is said; the
 * caller wipes passwords and tokens.
 */
#ifndef ST_DOMAIN_STORE_H
#define ST_DOMAIN_STORE_H

#include "base/hmac.h"
#include "domain/key.h"
#include "domain/store_description.h"
#include "domain/store_status.h"
#include "domain/user.h"
#include "subtoken/revocations.h"

typedef struct st_store st_store;

/* ---- open, close ---- */

/* How stores are opened from now on; a store that is open keeps what it was opened with. All zero
 * is the default of each.
 */
typedef struct st_store_options {
  /* The group of a file is trusted as its owner is (the setting data_group): a store in a file may
   * be open to it, and belong to somebody else. */
  bool trust_group;
  int64_t staleness_us; /* how long another issuer's change may take to be in force here */
  size_t cache_bytes;   /* for what requests need of keys, users and sessions; 0: a few */
} st_store_options;
void st_store_set_options(const st_store_options *options);

/* location: a path, or a URI whose scheme says which kind of store it is. One that lies in a file
 * is made, with mode 0600, when create is true and it is not there; it is refused when it is
 * damaged, of a newer version, something else, owned by somebody else, or open to others; it is
 * never replaced. *store is NULL unless ST_STORE_OK.
 */
st_store_status st_store_open(const char *location, bool create, st_store **store, char *error)
    __attribute__((warn_unused_result));
/* Nobody uses the handle any more. NULL: nothing happens. */
void st_store_close(st_store *store);

/* Can it be read and, as far as can be known without writing, written? */
bool st_store_ready(st_store *store, char *error) __attribute__((warn_unused_result));

/* ---- who waits ---- */

/* A change waits for others until until_us of its st_audit_context (five seconds where that is 0).
 * Then, and at once when too many wait already, it answers ST_STORE_BUSY. Of so many threads a
 * quarter at most waits here, and of these an eighth for those who register themselves and have
 * shown no credential.
 */
void st_store_limit_waiting(st_store *store, int64_t threads);
/* The process ends: from a time on (st_clock_monotonic_us) nothing waits. */
void st_store_stop_waiting(st_store *store, int64_t at_us);
/* And what is under way ends early: a change that is not committed yet fails. */
void st_store_interrupt(st_store *store);

/* ---- what a request asks ---- */

/* A key, user or session by the SHA-256 of its key, or by its sub. ST_STORE_REVOKED: it was here,
 * and ended or got another sub or key. The key before the last rotation is found, with
 * by_old_digest, until its overlap is over by the system's clock. *key is zeroed unless
 * ST_STORE_OK. Of the members of st_key that are said to be those of a listing none is set.
 */
st_store_status st_store_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                   char *error) __attribute__((warn_unused_result));
st_store_status st_store_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error)
    __attribute__((warn_unused_result));

/* Is one of these tids listed as revoked? count may be 0. Each has any length; only those of
 * ST_TID_LEN characters can be listed. */
st_store_status st_store_tokens_revoked(st_store *store, const subtoken_text *tids, size_t count,
                                        bool *revoked, char *error)
    __attribute__((warn_unused_result));

/* ---- keys ----
 *
 * These know living keys of kind ST_KIND_KEY alone. A change of a key is ST_STORE_DENIED when
 * context->by is no longer in force.
 */

/* digest: SHA-256 of the whole key. grantor NULL: the command line. ST_STORE_EXISTS: the id, sub or
 * digest is taken, or was. ST_STORE_DENIED: the grantor's row has gone, has another sub, is
 * disabled, suspended or expired, or lacks one of the permissions, or is bound to an audience that
 * the key is not bound to, or ends before the key does. A key for a user who is disabled
 * is made suspended, and *key says so. Whoever registers chooses the username: a key for the owner
 * of that name is ST_STORE_OWNER_REGISTERED, unless key->owner_is_user says that the user is meant,
 * or the user makes it. context->row is kept as what made it. ST_STORE_FULL: context->most_keys
 * keys live that have this owner; or, of a key without an owner, that have none and were made with
 * context->row.
 */
st_store_status st_store_key_create(st_store *store, const st_audit_context *context,
                                    const st_grantor *grantor, st_key *key,
                                    const uint8_t digest[32], char *error)
    __attribute__((warn_unused_result));
/* *key is zeroed unless ST_STORE_OK. */
st_store_status st_store_key_find(st_store *store, const char *id, st_key *key, char *error)
    __attribute__((warn_unused_result));
st_store_status st_store_key_find_sub(st_store *store, subtoken_text sub, st_key *key, char *error)
    __attribute__((warn_unused_result));
/* Up to limit keys whose id follows after_id ("" for the first page), in the order of their ids, of
 * one owner or (NULL) of all. *count: how many were written; 0 unless ST_STORE_OK.
 */
st_store_status st_store_key_list(st_store *store, const char *owner, const char *after_id,
                                  size_t limit, st_key *keys, size_t *count, char *error)
    __attribute__((warn_unused_result));
st_store_status st_store_key_count(st_store *store, int64_t *count, char *error)
    __attribute__((warn_unused_result));
/* How many keys end after a time and at `until` at the latest: an entry of an index is read for
 * each. */
st_store_status st_store_key_count_expiring(st_store *store, int64_t after, int64_t until,
                                            int64_t *count, char *error)
    __attribute__((warn_unused_result));
/* Which they are, the first to end first: up to limit, behind the key that ends at `after` and has
 * after_id; for the first page that is ST_KEY_ID_LAST. */
#define ST_KEY_ID_LAST "~" /* it comes after every id */
st_store_status st_store_key_list_expiring(st_store *store, int64_t after, const char *after_id,
                                           int64_t until, size_t limit, st_key *keys, size_t *count,
                                           char *error) __attribute__((warn_unused_result));
st_store_status st_store_key_rename(st_store *store, const st_audit_context *context,
                                    const char *id, const char *name, char *error)
    __attribute__((warn_unused_result));
/* Disabled: the key's sub is listed until it is enabled, its sessions end. context->row is kept as
 * what disabled it, unless its owner repeats it. ST_STORE_DISABLED_BY_OTHER: context->as_owner, and
 * somebody else disabled it. What was made with the key is told in context->made.
 */
st_store_status st_store_key_set_disabled(st_store *store, const st_audit_context *context,
                                          const char *id, bool disabled, int64_t *sequence,
                                          char *error) __attribute__((warn_unused_result));
/* The key and its sessions end. What was made with it is told in context->made. */
st_store_status st_store_key_delete(st_store *store, const st_audit_context *context,
                                    const char *id, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* The key gets a new sub; the old one is revoked, its sessions end. ST_STORE_EXISTS: draw another.
 */
st_store_status st_store_key_replace_sub(st_store *store, const st_audit_context *context,
                                         const char *id, const char *sub, int64_t *sequence,
                                         char *error) __attribute__((warn_unused_result));

/* The key gets another digest; id, sub and all that was made with it live on. The digest before is
 * good until overlap_until, in seconds since 1970 (0: no longer), the one before that no longer.
 * Whoever rotates a key gets it: grantor and ST_STORE_DENIED as of st_store_key_create.
 * ST_STORE_EXPIRED: the key is of no use any more. ST_STORE_EXISTS: the digest is of a key, or was.
 * *key (may be NULL): as st_store_key_find gives it afterwards.
 */
st_store_status st_store_key_rotate(st_store *store, const st_audit_context *context,
                                    const st_grantor *grantor, const char *id,
                                    const uint8_t digest[32], int64_t overlap_until, st_key *key,
                                    char *error) __attribute__((warn_unused_result));

/* When a row was used last. All in one transaction; an id that is not there is passed over. No line
 * in the audit log. */
typedef struct st_key_use {
  char id[ST_KEY_ID_LEN + 1];
  int64_t at;
} st_key_use;
st_store_status st_store_key_mark_used(st_store *store, const st_key_use *uses, size_t count,
                                       char *error) __attribute__((warn_unused_result));

/* ---- users ---- */

/* *user is zeroed unless ST_STORE_OK. It holds the password as it is stored. */
st_store_status st_store_user_find(st_store *store, subtoken_text username, st_user *user,
                                   char *error) __attribute__((warn_unused_result));
/* Up to limit users in the order of their names (bytes), those after one ("" for the first page).
 */
st_store_status st_store_user_list(st_store *store, const char *after, size_t limit, st_user *users,
                                   size_t *count, char *error) __attribute__((warn_unused_result));
/* digest: 32 random bytes, the hash of nothing. registering: nobody makes the user, registration is
 * open. ST_STORE_EXISTS: the username is taken; also when a living key has it for an owner, unless
 * the grantor holds `keys` or is the operator: nobody comes to another's keys by registering, or by
 * making a user. ST_STORE_DENIED: as of st_store_key_create; a grantor that is bound to an audience
 * makes no users.
 */
st_store_status st_store_user_create(st_store *store, const st_audit_context *context,
                                     const st_grantor *grantor, bool registering,
                                     const st_user *user, const uint8_t digest[32], char *error)
    __attribute__((warn_unused_result));
/* A change of a user is ST_STORE_DENIED when context->by is no longer in force. When permissions
 * are added, also when that row has not all of these, is bound to an audience, or ends before the
 * user.
 *
 * Permissions that are added are there at the next request and refresh; nothing ends. When one is
 * taken away, the keys that hold it and all sessions end, and the user's row gets new_sub. What was
 * made by the user is told in context->made.
 */
st_store_status st_store_user_set_permissions(st_store *store, const st_audit_context *context,
                                              const char *username, const char *permissions,
                                              const char *new_sub, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* Sessions end, the row gets new_sub, the keys live on. */
st_store_status st_store_user_set_password(st_store *store, const st_audit_context *context,
                                           const char *username, const char *password,
                                           const char *new_sub, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* The same password, hashed anew: nothing ends, no line in the audit log. ST_STORE_NOT_FOUND when
 * it is no longer `before`. Waits for nobody: it can be done another time.
 */
st_store_status st_store_user_rehash(st_store *store, const char *username, const char *before,
                                     const char *password, char *error)
    __attribute__((warn_unused_result));
/* Disabled: sessions end, those of the user's keys too; the row's sub is listed, and the keys are
 * suspended, until the user is enabled. */
st_store_status st_store_user_set_disabled(st_store *store, const st_audit_context *context,
                                           const char *username, bool disabled, int64_t *sequence,
                                           char *error) __attribute__((warn_unused_result));
/* The user, the user's keys and all sessions end. The username is free again. */
st_store_status st_store_user_delete(st_store *store, const st_audit_context *context,
                                     const char *username, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));
/* Was there a user of this name, who was deleted? Also when there is one again. */
st_store_status st_store_user_was_deleted(st_store *store, subtoken_text username, bool *deleted,
                                          char *error) __attribute__((warn_unused_result));

/* A user of an access file. key.id, key.sub and digest are drawn by the caller. */
typedef struct st_user_import {
  st_user user;
  uint8_t digest[32];
  /* CREATE: nobody has the name, or ever had. RESTORE: one who was deleted. UPDATE: one who was
   * imported gets these permissions (as in set_permissions) and, when `password` is not empty, this
   * password (as in set_password) and `imported`. */
  enum { ST_IMPORT_CREATE, ST_IMPORT_RESTORE, ST_IMPORT_UPDATE } mode;
  uint8_t
      seen[ST_HASH_LEN]; /* UPDATE: st_store_user_fingerprint of the user as the caller saw it */
} st_user_import;

/* A hash of all that an import compares: another one after each change of the user. False: it could
 * not be computed. */
bool st_store_user_fingerprint(const st_user *user, uint8_t fingerprint[ST_HASH_LEN])
    __attribute__((warn_unused_result));

/* All or none. ST_STORE_DENIED: a user is not as the mode says, was not imported, or has changed
 * since the caller looked; error names the user.
 */
st_store_status st_store_user_import(st_store *store, const st_audit_context *context,
                                     const st_user_import *users, size_t count, int64_t *sequence,
                                     char *error) __attribute__((warn_unused_result));

/* ---- sessions ---- */

/* session: id, sub and expires_at are given; kind, parent, name, owner, permissions, audience and
 * the bound of expires_at come from the grantor's row, within the transaction, and are written
 * back. seed: 32 random bytes. refresh: the first refresh token, of which the hash is kept.
 * ST_STORE_DENIED: the grantor is no longer in force, or is itself a session. most: how many
 * sessions of the grantor live afterwards, at least 1; the oldest end, each with a line in the
 * audit log.
 */
st_store_status st_store_session_begin(st_store *store, const st_audit_context *context,
                                       const st_grantor *grantor, int64_t most, st_key *session,
                                       const uint8_t digest[32], const uint8_t seed[32],
                                       const char *refresh, char *error)
    __attribute__((warn_unused_result));
/* The successor of a refresh token: HMAC-SHA-256 of it under the session's seed, base64url. The
 * same again within `retry` seconds (0: never) while the successor is unused (nothing is changed
 * then). Otherwise a token used before ends its session: ST_STORE_DENIED, and that is durable, too.
 * ST_STORE_NOT_FOUND: unknown, expired, its session ended. expires_at: of the successor and the
 * session, brought down to what the session rests on. *successor is emptied unless ST_STORE_OK. No
 * line in the audit log unless the session ends.
 */
st_store_status st_store_session_refresh(st_store *store, const st_audit_context *context,
                                         subtoken_text token, int64_t expires_at, int64_t retry,
                                         st_key *session, char successor[ST_REFRESH_LEN + 1],
                                         char *error) __attribute__((warn_unused_result));
/* The session of a refresh token that has not expired, whether that has been used or not; nothing
 * is changed. ST_STORE_NOT_FOUND: unknown, expired, its session ended or not in force. now: in
 * seconds.
 */
st_store_status st_store_session_of_refresh(st_store *store, subtoken_text token, int64_t now,
                                            st_key *session, char *error)
    __attribute__((warn_unused_result));
st_store_status st_store_session_end(st_store *store, const st_audit_context *context,
                                     const char *id, int64_t *sequence, char *error)
    __attribute__((warn_unused_result));

/* ---- the audit log ---- */

/* Newest first, those whose id is below `before`; 0: from the newest on. */
st_store_status st_store_audit_list(st_store *store, int64_t before, size_t limit,
                                    st_audit_line *lines, size_t *count, char *error)
    __attribute__((warn_unused_result));
/* Oldest first, those behind a place, none twice and none left out: where several write at a time a
 * line may come after one with a larger id, and lines are held back until that cannot be. */
st_store_status st_store_audit_follow(st_store *store, st_audit_place *place, size_t limit,
                                      st_audit_line *lines, size_t *count, char *error)
    __attribute__((warn_unused_result));
/* A cut of the log: lines that are older than `keep` by the clock and by the uptime of servers go,
 * but for the last one. */
typedef struct st_audit_cut {
  int64_t keep;    /* seconds; the caller's */
  int64_t removed; /* so far; 0 unless ST_STORE_OK */
  int64_t before;  /* by the clock */
  bool more;
} st_audit_cut;
/* Removes a thousand at most. Call it again while there is more; the last call writes a line for
 * all of them. */
st_store_status st_store_audit_cut(st_store *store, const st_audit_context *context,
                                   st_audit_cut *cut, char *error)
    __attribute__((warn_unused_result));
void st_audit_cut_write(st_writer *writer, const st_audit_cut *cut);
/* A line for what changed elsewhere: the ring of secrets. What does not fit a line is cut. */
st_store_status st_store_audit_add(st_store *store, const st_audit_context *context,
                                   const char *action, const char *target, const char *detail,
                                   char *error) __attribute__((warn_unused_result));

/* ---- revocation data (subtoken/revocations.h) ----
 *
 * It lists the hash of each sub that is refused: of what ended, of what is disabled or suspended,
 * of a key before it got another sub; and of each tid of a token that was revoked by itself.
 */

typedef struct st_revocation_state {
  int64_t sequence;
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
  int64_t time; /* seconds since 1970 by the store's own clock at that moment; 0: it has none */
} st_revocation_state;

/* Where it stands now. Cheap when nothing was written since the last question. */
st_store_status st_store_revocation_state(st_store *store, st_revocation_state *state, char *error)
    __attribute__((warn_unused_result));

/* Returns as soon as the last sequence is another than that one, and at until_us
 * (st_clock_monotonic_us) or when nothing waits any more (st_store_stop_waiting) at the latest. It
 * may return early. Many threads may wait.
 */
void st_store_wait(st_store *store, int64_t sequence, int64_t until_us);

/* Another number than before whenever the database that answers may be another one: the connection
 * to it was lost and made again. 0 for ever for a store that lies in a file.
 */
uint64_t st_store_epoch(st_store *store);

/* What became of a hash. */
typedef struct st_revocation_change {
  uint64_t hash;
  int64_t sequence; /* of its last change */
  bool listed;      /* or taken off */
} st_revocation_change;

/* What became of each hash that changed after a sequence, each once; the caller's to free.
 * ST_STORE_NOT_FOUND when the log of changes does not reach back so far, or not up to there yet.
 */
st_store_status st_store_revocation_changes(st_store *store, int64_t since,
                                            st_revocation_state *state,
                                            st_revocation_change **changes, uint32_t *count,
                                            char *error) __attribute__((warn_unused_result));

/* All that is listed, each hash once, in no order, and, of the same moment, the whole log of
 * changes, which reaches back to `since`. The caller frees hashes and changes; NULL unless
 * ST_STORE_OK. hashes has room for one when the count is 0.
 */
typedef struct st_revocation_data {
  st_revocation_state state;
  uint64_t *hashes;
  uint32_t count;
  st_revocation_change *changes;
  uint32_t change_count;
  int64_t since;
} st_revocation_data;
st_store_status st_store_revocation_data(st_store *store, st_revocation_data *data, char *error)
    __attribute__((warn_unused_result));

/* Did this store ever issue that sequence? ST_STORE_NOT_FOUND: never, so whoever has it was told
 * another history. ST_STORE_OK also for one that is too old to tell.
 */
st_store_status st_store_issued_sequence(st_store *store, int64_t sequence, char *error)
    __attribute__((warn_unused_result));

/* A new sequence with nothing changed: at each start, because the store may be a backup that edges
 * are ahead of, and when another secret begins to sign. until_us: as in st_audit_context.
 */
st_store_status st_store_bump_sequence(st_store *store, int64_t now_us, int64_t until_us,
                                       int64_t *sequence, char *error)
    __attribute__((warn_unused_result));

/* What a snapshot lists that edges hold and this store does not lead to, because it is a backup or
 * a copy. Each hash that it lists is listed again, unless this store changed it later; keys and
 * users of this store that have one are disabled, sessions end; the hash key is the snapshot's; the
 * next sequence is above its. ST_STORE_DENIED: this store has taken over hashes of another hash
 * key.
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
  int64_t before;   /* the sequence of this store until then */
  int64_t sequence; /* at which it carries what it has taken over */
  int64_t listed;   /* hashes that no row here has */
  int64_t keys;     /* and users, disabled */
  int64_t sessions; /* ended */
} st_restore_report;
st_store_status st_store_restore_revocations(st_store *store, const st_audit_context *context,
                                             const st_revocation_snapshot *snapshot,
                                             st_restore_report *report, char *error)
    __attribute__((warn_unused_result));

/* List the sub of a token that no living row has, for as long as a token of that life and one made
 * at iat may live. ST_STORE_EXISTS: a row has it, of the id that is written. ST_STORE_DENIED: it is
 * revoked already.
 */
st_store_status st_store_revoke_sub(st_store *store, const st_audit_context *context,
                                    subtoken_text sub, int64_t iat, int64_t life,
                                    char id[ST_KEY_ID_LEN + 1], int64_t *sequence, char *error)
    __attribute__((warn_unused_result));

/* List a token by its tid, with what was made from it, until it could no longer live: exp and two
 * leeways of SUBTOKEN_LEEWAY_MAX. What was made from it and is listed is taken off, because the
 * token is in its via. most: how many may be listed at a time of a row and its sessions, and as
 * many again that are signed under a derived secret, so that nobody who has one of these keeps
 * others from being listed. ST_STORE_OK also when it, or what it was made from, is listed already;
 * the sequence is one that carries it. ST_STORE_NOT_FOUND: no living row has the sub or has made
 * the token (st_key_has_made), so it is refused anyway. ST_STORE_FULL: as many are listed; a new
 * sub ends all of them.
 *
 * When a sub is listed for good (its row ends, or gets a new one), the tokens that are listed of it
 * are taken off in the same change.
 */
#define ST_TOKENS_REVOKED_MAX 1000
st_store_status st_store_token_revoke(st_store *store, const st_audit_context *context,
                                      const st_key_token *token, int64_t most, int64_t *sequence,
                                      char *error) __attribute__((warn_unused_result));

/* ---- upkeep ---- */

/* A change of a user with many keys is in force when it is answered, and what edges are told of it
 * is complete, but the rows of the keys are changed later, in steps between which others have their
 * turn. This takes such steps until a time (st_clock_monotonic_us), at least one when there is any.
 * *left: not all was done. Whoever makes such changes calls it afterwards, and a server at its
 * start and at times: for who was killed. Until then another change of the same user does the rest
 * first, and is ST_STORE_BUSY when that takes longer than it may wait.
 */
st_store_status st_store_continue(st_store *store, int64_t until_us, bool *left, char *error)
    __attribute__((warn_unused_result));

/* Take off what no token can need any more: what was revoked longer ago than the longest life that
 * was ever given (the setting max_life) and two leeways of SUBTOKEN_LEEWAY_MAX, by the clock and by
 * the uptime of servers, which is counted here: what monotonic_us, a clock that is never set, says
 * has passed since the last call with this handle. Also shortens the logs of changes and of
 * sequences, and removes sessions that ended that long ago and refresh tokens that have expired.
 * Takes a sequence only when something was taken off. So many rows go in a call; *left (may be
 * NULL): there are more, for the next one. Tokens are taken off when they could no longer live, by
 * a time that follows the clock back at once and forward only as servers run.
 */
st_store_status st_store_purge(st_store *store, int64_t now_us, int64_t monotonic_us, bool *left,
                               char *error) __attribute__((warn_unused_result));
/* The counting alone: when a server ends. */
st_store_status st_store_count_uptime(st_store *store, int64_t monotonic_us, char *error)
    __attribute__((warn_unused_result));

/* A number under a name, for what must outlive a restart: the longest life ever configured, when a
 * secret last signed. get leaves *value as it is unless ST_STORE_OK.
 */
st_store_status st_store_set_setting(st_store *store, const char *name, int64_t value, char *error)
    __attribute__((warn_unused_result));
/* The same, unless the number that is known is as large: for what must never fall. */
st_store_status st_store_raise_setting(st_store *store, const char *name, int64_t value,
                                       char *error) __attribute__((warn_unused_result));
st_store_status st_store_get_setting(st_store *store, const char *name, int64_t *value, char *error)
    __attribute__((warn_unused_result));

/* What an operator asks of a store. */
st_store_status st_store_describe(st_store *store, st_store_description *description, char *error)
    __attribute__((warn_unused_result));

/* All of a store into another that is empty, or is not there yet, in one transaction, from one
 * moment of the source: keys, users, sessions, the audit log with its ids, the sequences that were
 * issued, the hash key. Edges notice nothing. A new file is placed whole or not at all, as by
 * st_store_backup. What changes in the source afterwards is not in the copy. to: as of
 * st_store_open. ST_STORE_EXISTS: there is something in it, and nothing was changed. stop: as of
 * st_store_backup.
 */
typedef struct st_copy_report {
  int64_t rows, keys, lines; /* keys: with users and sessions, also those that ended; of the log */
  int64_t sequence;
} st_copy_report;
st_store_status st_store_copy(st_store *store, const char *to, const volatile int *stop,
                              st_copy_report *report, char *error)
    __attribute__((warn_unused_result));

/* A consistent copy in a file of SQLite, whatever the store is on, taken while others read and
 * write; path must not exist. The copy is complete and fsynced, or not there, and neither is
 * anything else: also what earlier copies to this path have left behind that were killed is
 * removed. It is given up when *stop is not 0 any more, as a signal makes it (NULL: never).
 */
st_store_status st_store_backup(st_store *store, const char *path, const volatile int *stop,
                                char *error) __attribute__((warn_unused_result));

#endif
