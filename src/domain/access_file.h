/* access_file - a strict reader of the access files of Graphene nodes (api-access.json):
 *
 *   {"permission_map":[["bytemaster",{"password_hash_b64":"...","password_salt_b64":"...",
 *     "allowed_apis":["database_api"]}],["*",{"password_hash_b64":"*",
 *     "password_salt_b64":"*","allowed_apis":["database_api"]}]]}
 *
 * or with permission_map as an object, {"bytemaster":{...}}, of as many users as the JSON
 * reader keeps names (ST_JSON_NAMES_MAX); the array has no such limit. Other members are
 * ignored. A login is 1 to 256 bytes without control characters and colons (RFC 7617
 * section 2), and occurs once. Only the user `*`, which stands for callers without credentials, has
 * the hash `*`.
 *
 * The whole file is checked before the first entry is returned, so that a caller imports
 * all of it or nothing. Nothing is allocated: what was read is written into the text, in the
 * place of the entry that it is of.
 */
#ifndef ST_DOMAIN_ACCESS_FILE_H
#define ST_DOMAIN_ACCESS_FILE_H

#include "base/hmac.h"
#include "domain/password.h"

#define ST_ACCESS_FILE_ERROR_MAX 512 /* with the NUL */

typedef struct st_access_entry {
  subtoken_text login;
  bool anonymous;            /* the user `*`: no hash and no salt */
  uint8_t hash[ST_HASH_LEN]; /* SHA-256 of the password and then the salt */
  size_t salt_len;
  uint8_t salt[ST_SALT_MAX];
  size_t permission_count; /* valid ones, none twice, in the order of the file */
  subtoken_text permissions[SUBTOKEN_PERMISSIONS_MAX];
} st_access_entry;

typedef struct st_access_file {
  char *text;
  uint32_t first, next, last; /* offsets of entries in the text; 0 is none */
  size_t count;               /* entries of the file */
  bool done;                  /* the whole file was good, and all entries were given out */
  /* Why it was refused; where, or 0 when that is not known any more. */
  char error[ST_ACCESS_FILE_ERROR_MAX];
  size_t line, column;
} st_access_file;

/* Reads and checks the whole text, which is overwritten, good or not; the caller keeps it
 * while it asks for entries, and wipes it. False with error, line and column.
 */
bool st_access_file_start(st_access_file *file, char *text, size_t len)
    __attribute__((warn_unused_result));

/* The next entry, in the order of the file. Its texts are views of the text. */
bool st_access_file_next(st_access_file *file, st_access_entry *entry)
    __attribute__((warn_unused_result));

#endif
