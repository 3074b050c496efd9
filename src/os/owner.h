/* owner - whose a file is, and whether the group of DATA is trusted as its owner is. */
#ifndef ST_OS_OWNER_H
#define ST_OS_OWNER_H

#include <stdbool.h>
#include <sys/stat.h>

/* Is the group of DATA and of the secrets in it trusted as their owner is (the setting data_group)?
 * Then they may be open to it, and belong to somebody else. Not while others read them.
 */
void st_owner_trust_group(bool trust);
bool st_owner_group_is_trusted(void);

/* Does it belong to somebody other than root and the user of this process? */
bool st_owner_is_foreign(const struct stat *status);

/* Can nobody but root and our own user have put the file there that was opened by this path, or
 * written it? */
bool st_owner_is_ours(int fd, const char *path);

#endif
