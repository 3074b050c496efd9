/* key - a row of the store that grants something: a parent key, a user or a session; what it
 * grants; and the two ports by which the service looks keys up and changes them (operations/keys.c
 * gives them).
 */
#ifndef ST_DOMAIN_KEY_H
#define ST_DOMAIN_KEY_H

#include "domain/store_status.h"
#include "subtoken/common.h"

#define ST_KEY_LEN 72    /* a whole key, in characters */
#define ST_KEY_ID_LEN 36 /* its public id, the first characters */
#define ST_SUB_LEN 43
#define ST_TID_LEN 16 /* of a token: the first characters of its signature */
#define ST_AUDIENCE_MAX 32
#define ST_NAME_MAX 256 /* bytes of UTF-8, name and owner alike */
#define ST_NEVER SUBTOKEN_TIME_MAX
#define ST_PERMISSIONS_TEXT_MAX (SUBTOKEN_PERMISSIONS_MAX * (SUBTOKEN_PERMISSION_MAX + 1))

/* What a row of the store stands for. All four grant something to a sub of their own. */
typedef enum st_key_kind {
  ST_KIND_KEY = 0,
  ST_KIND_USER,    /* what a user may do: HTTP Basic, and what is made with it */
  ST_KIND_SESSION, /* a session of a user, its parent; the id is the sid claim */
  ST_KIND_SERVICE, /* a session made with a parent key that has the permission services */
} st_key_kind;

/* A parent key as it is stored: never the key itself. Texts end with a NUL. */
typedef struct st_key {
  st_key_kind kind;
  char id[ST_KEY_ID_LEN + 1];
  char parent[ST_KEY_ID_LEN + 1]; /* of a session: what it rests on and ends with; else empty */
  char sub[ST_SUB_LEN + 1];
  char name[ST_NAME_MAX + 1];
  char owner[ST_NAME_MAX + 1];
  char permissions[ST_PERMISSIONS_TEXT_MAX + 1]; /* joined by commas */
  int64_t created_at;
  int64_t expires_at; /* or ST_NEVER */
  int64_t used_at;    /* in a listing: when it was last used, at most a minute late; 0: never */
  bool disabled;
  bool suspended; /* its owner is a user who is disabled */
  /* What is made with it is for this audience alone; empty: it is not bound. Never changes. */
  char audience[ST_AUDIENCE_MAX + 1];
  /* The secret before the last rotation is good until then; 0: it is not. It may be over. */
  int64_t old_until;
  /* In an answer by digest: it was that secret. */
  bool by_old_digest;
  /* In an answer by digest or sub: how many tokens of this sub are listed as revoked. 0: none is,
   * and their tids need not be looked up. More than there are after a snapshot was restored: it
   * listed hashes that may be of any token. */
  int64_t tokens_revoked;
  int64_t rotated_at; /* in a listing: when the secret was replaced last; 0: never */
  /* In a listing: which row it was made with, a key or a user; empty: the command line, or unknown.
   */
  char made_by[ST_KEY_ID_LEN + 1];
  bool disabled_by_owner; /* in a listing: its owner may enable it again */
  bool owner_is_user;     /* of a new key: the caller has said so */
} st_key;

/* What was made, with a key or by a user, for others or without an owner, and does not end with
 * what a change ends: keys and users, and what they have made. Bounded: the others are counted.
 */
#define ST_DERIVED_LISTED 10
typedef struct st_derived_item {
  bool user;
  char name[ST_NAME_MAX + 1]; /* a username, or the id of a key */
} st_derived_item;
typedef struct st_derived {
  bool end;            /* asked for: it ends, too */
  bool more;           /* there may be more than was counted */
  int64_t keys, users; /* of it, still valid; when `end`, until now */
  size_t count;
  st_derived_item items[ST_DERIVED_LISTED];
} st_derived;

/* A token of a row, by what is listed when it is revoked by itself: views of its claims, which live
 * as long.
 */
typedef struct st_key_token {
  subtoken_text sub, tid;
  subtoken_text via[SUBTOKEN_VIA_MAX]; /* the tids of what it was made from */
  size_t via_count;
  subtoken_text derived_for; /* the audience that its secret is derived for; absent: a plain one */
  int64_t exp;
} st_key_token;

/* What something is made with, or asked for. The transaction that makes it checks whether that is
 * still in force and still has the same permissions.
 */
typedef struct st_grantor {
  const char *id;  /* of its row */
  const char *sub; /* as it was when the request was authenticated */
} st_grantor;

/* Who changes something, and from where: for the audit log. */
typedef struct st_audit_context {
  int64_t now_us;   /* microseconds since 1970 */
  int64_t until_us; /* monotonic: until when to wait for others who write; 0: five seconds */
  const char *who;  /* "key ID", "person LOGIN", "user NAME" of the operating system */
  const char *from; /* an address, or "command line" */
  const char *row;  /* id of the key or user that does it; NULL: the command line, or unknown */
  bool as_owner;    /* a user who manages the user's own keys alone */
  /* Of a change of a key: the credential that asks for it, which must be in force; NULL: not asked.
   */
  const st_grantor *by;
  int64_t most_keys; /* of a new key: how many its owner has then, at most; 0: any number */
  st_derived *made;  /* of what ends or disables: what was made with it; NULL: not asked for */
} st_audit_context;

/* The lookups that authenticating a request takes. Any thread may call. */
typedef struct st_keys {
  void *store;
  /* digest: the 32 bytes of SHA-256 over the whole key. */
  st_store_status (*by_digest)(void *store, const uint8_t digest[32], st_key *key);
  st_store_status (*by_sub)(void *store, subtoken_text sub, st_key *key);
  /* Is one of these tids listed as revoked? Asked when tokens_revoked of the row is not 0. */
  st_store_status (*tokens_revoked)(void *store, const subtoken_text *tids, size_t count,
                                    bool *revoked);
} st_keys;

struct st_key_filter;
struct st_search_page;

/* What managing keys takes. now_us of the audit context is filled in by it. *sequence: the one at
 * which the revocation data has the change.
 */
typedef struct st_key_changes {
  void *context;
  /* Draws id, sub and the whole key, of ST_KEY_LEN characters and a NUL, which the caller wipes.
   * owner_is_user of the key: see ST_STORE_OWNER_REGISTERED. */
  st_store_status (*create)(void *context, const st_audit_context *audit, const st_grantor *grantor,
                            st_key *key, char *whole);
  st_store_status (*find)(void *context, const char *id, st_key *key);
  st_store_status (*find_sub)(void *context, subtoken_text sub, st_key *key);
  /* The keys after an id, of one owner or, with NULL, of all. */
  st_store_status (*list)(void *context, const char *owner, const char *after, size_t limit,
                          st_key *keys, size_t *count);
  /* What is looked for among them (domain/store_search.h). */
  st_store_status (*search)(void *context, const struct st_key_filter *filter, const char *after,
                            st_key *keys, struct st_search_page *page);
  st_store_status (*rename)(void *context, const st_audit_context *audit, const char *id,
                            const char *name);
  st_store_status (*remove)(void *context, const st_audit_context *audit, const char *id,
                            int64_t *sequence);
  st_store_status (*set_disabled)(void *context, const st_audit_context *audit, const char *id,
                                  bool disabled, int64_t *sequence);
  st_store_status (*revoke_subtokens)(void *context, const st_audit_context *audit, const char *id,
                                      int64_t *sequence);
  /* Draws the second half; whole: as of create. The one before is good for `overlap` seconds. *key:
   * as it is afterwards. */
  st_store_status (*rotate)(void *context, const st_audit_context *audit, const st_grantor *grantor,
                            const char *id, int64_t overlap, st_key *key, char *whole);
  /* A token by itself: st_store_token_revoke. */
  st_store_status (*revoke_token)(void *context, const st_audit_context *audit,
                                  const st_key_token *token, int64_t *sequence);
  /* The last sequence of the revocation data, by reading: it carries all that was answered. */
  st_store_status (*last_sequence)(void *context, int64_t *sequence);
} st_key_changes;

/* The grant of a key as claims that never were in a token. False when it does not
 * fit, which a key of the store always does. */
bool st_key_grant(const st_key *key, subtoken_claims *grant) __attribute__((warn_unused_result));

/* A token is worth no more than the store grants its sub now: the permissions that the key does not
 * have leave the claims, and they end with it. False as st_key_grant.
 */
bool st_key_limit(const st_key *key, subtoken_claims *claims) __attribute__((warn_unused_result));

/* Of the claims of a token that was authenticated. */
st_key_token st_key_token_of(const subtoken_claims *claims);

/* What is made with a row that is bound to an audience is for that, and signed under the secret
 * that is derived for it; anything else under its sub was made up by somebody who has a secret.
 */
bool st_key_has_made(const st_key *key, const st_key_token *token);

/* Is the row a session, and this its access token and not one that was made from it? Only what the
 * session was begun with gives its tokens an audience. For claims under the row's own sub.
 */
bool st_key_is_session_of(const st_key *key, const subtoken_claims *claims);

/* The id of the row at the root of it: of a session, the key or user that began it. */
static inline const char *st_key_root(const st_key *key) {
  return key->parent[0] != '\0' ? key->parent : key->id;
}

/* Does it look like a whole key: 72 characters, upper-case hex and dashes? */
bool st_key_shaped(subtoken_text text);

/* Like a token: has it two dots? */
bool st_key_token_shaped(subtoken_text text);

/* The hash of such a string: what it is registered by. Never that of a whole key. False for one
 * that cannot be registered: shorter than 16 or longer than 255 characters, not all visible ASCII,
 * or of the shape of a key or token.
 */
#define ST_API_STRING_MIN 16

#define ST_API_STRING_MAX 255

bool st_key_string_hash(subtoken_text string, uint8_t digest[32])
    __attribute__((warn_unused_result));

#endif
