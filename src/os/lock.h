/* lock - locks across processes. */
#ifndef ST_OS_LOCK_H
#define ST_OS_LOCK_H

/* One writer at a time for the files in DATA: waits for it. A descriptor for st_lock_release, or -1
 * and error.
 */
int st_lock_data_dir(const char *data_dir, char *error) __attribute__((warn_unused_result));
void st_lock_release(int lock);

/* A lock on a file that is made for it, without waiting. A descriptor for st_lock_release, or -1
 * and error, as when another process has it.
 */
int st_lock_claim(const char *path, char *error) __attribute__((warn_unused_result));

#endif
