/* keyring_file - the file of the signing secrets. */
#ifndef ST_OPERATIONS_KEYRING_FILE_H
#define ST_OPERATIONS_KEYRING_FILE_H

#include "subtoken/common.h"

/* Put a new ring with one unnamed secret in place. */
bool st_keyring_file_make(const char *path, char *error);

#define ST_KEYRING_FILE_MAX 8192 /* bytes */

/* Read and check the ring of an issuer from a file; a derived one is refused. NULL when it is good,
 * else the word for what is wrong with it, as the log has it (keyfile_perm: the file may not or
 * cannot be read; weak_secret; keyfile_bad), and error says it in a sentence, with the line.
 */
const char *st_keyring_file_load(const char *path, subtoken_ring *ring, char *error)
    __attribute__((warn_unused_result));

/* The same for what only verifies: a derived ring is good too. */
const char *st_keyring_file_load_edge(const char *path, subtoken_ring *ring, char *error)
    __attribute__((warn_unused_result));

/* st_keyring_file_load with the text, which is the caller's to wipe; it is empty when the ring is
 * not good. */
const char *st_keyring_file_read(const char *path, char text[ST_KEYRING_FILE_MAX], size_t *len,
                                 subtoken_ring *ring, char *error)
    __attribute__((warn_unused_result));

#endif
