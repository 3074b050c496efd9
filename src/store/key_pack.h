/* key_pack - a key in as few bytes as it needs: what the cache of keys holds of it (key_cache.h).
 */
#ifndef ST_STORE_KEY_PACK_H
#define ST_STORE_KEY_PACK_H

#include "domain/key.h"

/* No packed key is longer. */
#define ST_KEY_PACK_MAX                                                            \
  (1 + 2 * 9 + 1 + ST_AUDIENCE_MAX + 2 + ST_SUB_LEN + 2 * ST_KEY_ID_LEN + 2 * 10 + \
   2 * (2 + ST_NAME_MAX) + 2 + ST_PERMISSIONS_TEXT_MAX)

/* The names of permissions and owners that packed keys have in common: each is there once. It only
 * grows, up to some thousand names; keys that have others hold their text. */
typedef struct st_key_names st_key_names;
st_key_names *st_key_names_new(void) __attribute__((warn_unused_result)); /* NULL: no memory */
void st_key_names_free(st_key_names *names);
size_t st_key_names_size(void); /* of one, in bytes */

/* The length; 0: it is no key as a store has it. The members of a listing are left out. Any thread
 * may call. */
/* The two highest bits of the second byte are 0, and the holder's to use. */
#define ST_KEY_PACK_FREE_BITS 0xC0
size_t st_key_pack(st_key_names *names, const st_key *key, uint8_t out[ST_KEY_PACK_MAX])
    __attribute__((warn_unused_result));

/* The names are those that it was packed with, and whoever packed it has handed it over under a
 * lock. What is not in it is zeros. */
void st_key_unpack(const st_key_names *names, const uint8_t *packed, st_key *key);
/* The sub alone. */
void st_key_unpack_sub(const uint8_t *packed, char sub[ST_SUB_LEN + 1]);

/* A sub of ST_SUB_LEN characters to compare with packed ones. */
typedef struct st_key_sub {
  const char *text; /* the caller's */
  uint8_t bytes[32];
  bool binary; /* is it packed as these bytes? */
} st_key_sub;
st_key_sub st_key_sub_of(const st_key_names *names, const char *text);
bool st_key_pack_has_sub(const uint8_t *packed, const st_key_sub *sub)
    __attribute__((warn_unused_result));

#endif
