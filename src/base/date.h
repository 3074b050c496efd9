/* date - ISO 8601 dates and seconds since 1970. The proleptic Gregorian
 * calendar, years 0000 to 9999; no leap seconds; no time zone data.
 */
#ifndef ST_BASE_DATE_H
#define ST_BASE_DATE_H

#include "base/bytes.h"

#define ST_DATE_LEN 24 /* 2019-12-25T20:34:56.000Z */

/* `YYYY-MM-DD`; then `T`, `t` or a space; then `HH:MM` or `HH:MM:SS`, the latter with or without a
 * fraction of 1 to 9 digits, which is ignored; then `Z`, `z`, an offset (`+HH:MM`, `+HHMM`, `+HH`,
 * or with a minus), or nothing, which is UTC. A space before the offset counts as a plus, because
 * form decoding makes one of it. */
bool st_date_read(subtoken_text text, int64_t *seconds) __attribute__((warn_unused_result));

/* The same, or `YYYY-MM-DD` alone, which is the first second of the day. */
bool st_date_read_day(subtoken_text text, int64_t *seconds) __attribute__((warn_unused_result));

/* A number of seconds, or a number with the unit s, m, h or d: `30d`. At most SUBTOKEN_TIME_MAX
 * seconds. */
bool st_date_read_duration(subtoken_text text, int64_t *seconds)
    __attribute__((warn_unused_result));

/* `2019-12-25T20:34:56Z`, or with milliseconds `2019-12-25T20:34:56.000Z`. A year
 * past 9999 is written as the last second of 9999. */
void st_date_write(st_writer *writer, int64_t seconds, bool milliseconds);

/* `Sun, 06 Nov 1994 08:49:37 GMT`, RFC 9110 section 5.6.7. */
void st_date_write_http(st_writer *writer, int64_t seconds);

#endif
