/* sqlite - the store of parent keys, in one SQLite file (WAL). The only door to
 * SQLite. A store handle may be used by many threads, and the file by many
 * processes: what one changes, another sees at its next question.
 */
#ifndef ST_STORE_SQLITE_H
#define ST_STORE_SQLITE_H

#include "app/keys.h"
#include "subtoken/revocations.h"

#define ST_WHY_MAX 512 /* room for a sentence about what went wrong */

typedef struct st_store st_store;

typedef enum st_stored {
  ST_STORE_FAILED = 0, /* I/O, disk full, damaged, locked too long; why says which */
  ST_STORED,
  ST_STORE_NONE,   /* there is no such key */
  ST_STORE_EXISTS, /* an id, key or sub that is taken: draw again */
} st_stored;

/* Open DATA/subtoken.db; made, with mode 0600, when create is true and it is
 * not there. Refuses a file that is damaged, of a newer schema, not a database,
 * owned by somebody else, or writable or readable by others; never replaces it.
 * *store is NULL unless ST_STORED. why, of ST_WHY_MAX bytes, names the file.
 */
st_stored st_store_open(const char *path, bool create, st_store **store, char *why)
    __attribute__((warn_unused_result));
void st_store_close(st_store *store);

/* The office's view of it. */
st_keys st_store_keys(st_store *store);

/* What last kept by_digest or by_sub from an answer (ST_FOUND_ERROR), for the
 * log; "" when nothing ever did.
 */
void st_store_trouble(st_store *store, char *why);

/* Can it be read and, as far as can be known without writing, written? */
bool st_store_ready(st_store *store);

/* Each change is durable (fsynced) when it answers ST_STORED, and has not
 * happened at all when it answers anything else. now_us: microseconds since 1970. What lists
 * or unlists a sub takes the next sequence in the same transaction; *sequence (may be NULL)
 * is the one at which the revocation data carries the change.
 */
st_stored st_store_create(st_store *store, const st_key *key, const uint8_t digest[32], char *why)
    __attribute__((warn_unused_result));
st_stored st_store_find(st_store *store, const char *id, st_key *key, char *why)
    __attribute__((warn_unused_result));
st_stored st_store_set_disabled(st_store *store, const char *id, bool disabled, int64_t now_us,
                                int64_t *sequence, char *why) __attribute__((warn_unused_result));
st_stored st_store_delete(st_store *store, const char *id, int64_t now_us, int64_t *sequence,
                          char *why) __attribute__((warn_unused_result));
/* Give the key a new sub; the old one is remembered as revoked. */
st_stored st_store_replace_sub(st_store *store, const char *id, const char *sub, int64_t now_us,
                               int64_t *sequence, char *why) __attribute__((warn_unused_result));

/* ---- revocation data (subtoken/revocations.h), for the feed ----
 *
 * Whatever is in force is listed: a deleted key's sub, a disabled key's, one that was
 * replaced. Sequences are the larger of the last plus one and the microseconds since 1970.
 */
typedef struct st_listing {
  int64_t sequence;
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
} st_listing;

/* Where it stands now. Cheap when nothing was written since the last question. */
st_stored st_store_listing(st_store *store, st_listing *listing, char *why)
    __attribute__((warn_unused_result));

/* All that is listed, each hash once, in no order, with where it stood at that moment. *hashes
 * is to be freed, and has room for one more when the count is 0.
 */
st_stored st_store_listed(st_store *store, st_listing *listing, uint64_t **hashes, uint32_t *count,
                          char *why) __attribute__((warn_unused_result));

typedef struct st_listing_change {
  uint64_t hash;
  bool listed; /* or taken off */
} st_listing_change;

/* What became of each hash that was touched after a sequence, each once; to be freed.
 * ST_STORE_NONE when the log does not reach back so far, or not up to there yet. Where it
 * stands is told in *listing.
 */
st_stored st_store_changes(st_store *store, int64_t since, st_listing *listing,
                           st_listing_change **changes, uint32_t *count, char *why)
    __attribute__((warn_unused_result));

/* A new sequence with nothing changed: at each start, because the database may be a backup
 * that edges are ahead of, and when another secret begins to sign.
 */
st_stored st_store_advance(st_store *store, int64_t now_us, int64_t *sequence, char *why)
    __attribute__((warn_unused_result));

/* Take off what no token can need any more: what was revoked longer ago than the largest
 * max_life ever configured and two leeways. Also shortens the log of changes. Takes a sequence
 * only when something was taken off.
 */
st_stored st_store_purge(st_store *store, int64_t now_us, char *why)
    __attribute__((warn_unused_result));

/* Up to limit keys whose id follows after_id ("" for the first page), in the
 * order of their ids. *count tells how many were written to keys.
 */
st_stored st_store_list(st_store *store, const char *after_id, size_t limit, st_key *keys,
                        size_t *count, char *why) __attribute__((warn_unused_result));
st_stored st_store_count(st_store *store, int64_t *count, char *why)
    __attribute__((warn_unused_result));

/* A number under a name, for what must outlive a restart: the longest life ever
 * configured, when a secret last signed. recall leaves *value as it is when there
 * is none.
 */
st_stored st_store_remember(st_store *store, const char *name, int64_t value, char *why)
    __attribute__((warn_unused_result));
st_stored st_store_recall(st_store *store, const char *name, int64_t *value, char *why)
    __attribute__((warn_unused_result));

/* A consistent copy, taken while others read and write; path must not exist.
 * The copy is complete and fsynced, or not there.
 */
st_stored st_store_backup(st_store *store, const char *path, char *why)
    __attribute__((warn_unused_result));

#endif
