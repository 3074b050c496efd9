/* lock - locks on files, across processes. */
#ifndef ST_OS_LOCK_H
#define ST_OS_LOCK_H

/* One writer at a time for the files in DATA, across processes. -1 on failure. */
int st_world_lock(const char *data_dir, char *why) __attribute__((warn_unused_result));
void st_world_unlock(int lock);

/* A lock on a file that is made for it, without waiting: a descriptor for st_world_unlock,
 * or -1 and why, as when somebody else has it.
 */
int st_world_claim(const char *path, char *why) __attribute__((warn_unused_result));

#endif
