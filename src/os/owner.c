/* Whose a file is. What follows from that for a secret is in secret_file.c, for a directory in
 * directory.c, and for a file that is replaced in replace.c.
 */
#include "os/owner.h"

#include <unistd.h>

static bool owner_group_trusted;

void st_owner_trust_group(bool trust) {
  owner_group_trusted = trust;
}

bool st_owner_group_is_trusted(void) {
  return owner_group_trusted;
}

bool st_owner_is_foreign(const struct stat *status) {
  return status->st_uid != geteuid() && status->st_uid != 0;
}

/* A link belongs to whoever made it, and its mode says nothing. What is open is judged, and the
 * name must lead to just that: between two looks by name somebody could have exchanged it.
 */
bool st_owner_is_ours(int fd, const char *path) {
  struct stat opened, named, meant;
  if (fstat(fd, &opened) != 0 || lstat(path, &named) != 0 || stat(path, &meant) != 0) return false;
  return !st_owner_is_foreign(&named) && !st_owner_is_foreign(&opened) && S_ISREG(opened.st_mode) &&
         (opened.st_mode & (S_IWGRP | S_IWOTH)) == 0 && meant.st_dev == opened.st_dev &&
         meant.st_ino == opened.st_ino;
}
