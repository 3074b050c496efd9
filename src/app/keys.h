/* keys - parent keys, and what the office asks of the store that keeps them.
 * The store itself is opened and managed by the shell (store/sqlite.h).
 */
#ifndef ST_APP_KEYS_H
#define ST_APP_KEYS_H

#include "subtoken/common.h"

#define ST_KEY_LEN 72    /* a whole key, in characters */
#define ST_KEY_ID_LEN 36 /* its public id, the first characters */
#define ST_SUB_LEN 43
#define ST_NAME_MAX 256 /* bytes of UTF-8, name and owner alike */
#define ST_NEVER SUBTOKEN_TIME_MAX
#define ST_PERMISSIONS_TEXT_MAX (SUBTOKEN_PERMISSIONS_MAX * (SUBTOKEN_PERMISSION_MAX + 1))

/* A parent key as it is stored: never the key itself. Texts end with a NUL. */
typedef struct st_key {
  char id[ST_KEY_ID_LEN + 1];
  char sub[ST_SUB_LEN + 1];
  char name[ST_NAME_MAX + 1];
  char owner[ST_NAME_MAX + 1];
  char permissions[ST_PERMISSIONS_TEXT_MAX + 1]; /* joined by commas */
  int64_t created_at;
  int64_t expires_at; /* or ST_NEVER */
  bool disabled;
} st_key;

typedef enum st_found {
  ST_FOUND_ERROR = 0, /* the store could not be read: answer 503 */
  ST_FOUND,
  ST_FOUND_NONE,    /* never heard of */
  ST_FOUND_REVOKED, /* was here: deleted, or a sub that has been replaced */
} st_found;

/* The two questions that answering a request takes. Any thread may ask. */
typedef struct st_keys {
  void *store;
  /* digest: the 32 bytes of SHA-256 over the whole key. */
  st_found (*by_digest)(void *store, const uint8_t digest[32], st_key *key);
  st_found (*by_sub)(void *store, subtoken_text sub, st_key *key);
} st_keys;

typedef enum st_changed {
  ST_CHANGE_FAILED = 0, /* nothing was changed: answer 503 */
  ST_CHANGED,           /* durable, and in force */
  ST_CHANGED_NONE,      /* there is no such key */
} st_changed;

/* What managing takes. *sequence: at which the revocation data carries it. */
typedef struct st_key_changes {
  void *context;
  st_changed (*remove)(void *context, const char *id, int64_t *sequence);
  st_changed (*set_disabled)(void *context, const char *id, bool disabled, int64_t *sequence);
  st_changed (*revoke_subtokens)(void *context, const char *id, int64_t *sequence);
} st_key_changes;

#endif
