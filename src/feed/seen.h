/* seen - the text of FILE.seen, the highest sequence that `subtoken pull` has ever seen: 1 to 19
 * digits and a newline. pull writes it; whoever opens FILE takes nothing that is older. The files
 * themselves are read and written elsewhere (feed_file, cli/pull_files).
 */
#ifndef ST_FEED_SEEN_H
#define ST_FEED_SEEN_H

#include <stddef.h>
#include <stdint.h>

#define ST_SEEN_MAX 20 /* bytes: 19 digits and the newline */

/* The number; 0 when the text is of another form, or the number is larger than 2^63-1. */
int64_t st_seen_read(const char *text, size_t len);

/* sequence is 0 to 2^63-1. Returns the length. */
size_t st_seen_write(int64_t sequence, char out[ST_SEEN_MAX + 1]);

#endif
