/* feed_text - texts about the revocation data of an edge, in error, of ST_ERROR_MAX bytes. */
#ifndef ST_CLI_FEED_TEXT_H
#define ST_CLI_FEED_TEXT_H

#include "subtoken/feed.h"
#include "subtoken/revocations.h"

/* What is wrong with the files, as file->last has it, with their name. */
void st_feed_text_error(const char *path, const subtoken_feed_file *file, char *error);

/* That it is too old. */
void st_feed_text_age(const subtoken_feed *feed, int64_t now, int64_t monotonic, char *error);

/* The monotonic seconds of revocations.h. */
int64_t st_feed_text_monotonic(void);

/* Adds that a file is a mount point, when it is one. */
void st_feed_text_add_mount(const subtoken_feed_file *file, char *error);

#endif
