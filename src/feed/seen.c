/* Reads and writes the content of FILE.seen (subtoken/feed.h). Those who call read and write the
 * file: feed_file.c, and `subtoken pull`.
 */
#include "feed/seen.h"

#include "base/bytes.h"
#include "base/impossible.h"

int64_t st_seen_read(const char *text, size_t len) {
  int64_t value = 0;
  if (len < 2 || len > ST_SEEN_MAX || text[len - 1] != '\n') return 0;
  for (size_t i = 0; i < len - 1; i++) {
    int digit = text[i] - '0';
    if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10) return 0;
    value = 10 * value + digit;
  }
  return value;
}

size_t st_seen_write(int64_t sequence, char out[ST_SEEN_MAX + 1]) {
  st_writer writer = st_writer_on(out, ST_SEEN_MAX + 1);
  st_write_int(&writer, sequence);
  st_write_char(&writer, '\n');
  bool cut = !st_writer_end(&writer);
  return st_impossible(cut, "a number and a line's end fit") ? 0 : writer.len;
}
