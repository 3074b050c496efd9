/* keyring_file - the file of the signing secrets. */
#ifndef ST_OPERATIONS_KEYRING_FILE_H
#define ST_OPERATIONS_KEYRING_FILE_H

#include "subtoken/common.h"

/* Put a new ring with one unnamed secret in place. */
bool st_keyring_file_make(const char *path, char *error);

/* Read and check a ring from a file. NULL when it is good; otherwise the word of
 * threats.md for what is wrong with it (keyfile_perm: it may not or cannot be read;
 * weak_secret; keyfile_bad), and error says it in a sentence, with the line.
 */
const char *st_keyring_file_load(const char *path, subtoken_ring *ring, char *error)
    __attribute__((warn_unused_result));

#endif
