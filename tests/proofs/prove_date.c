/* date: the calendar is the Gregorian one, reading and writing are each other's inverse, and a date
 * is nothing but what date.h says.
 */
#include "base/bytes.c"
#include "base/date.c"
#include "proof.h"

/* The rule of the calendar, from one day to the next. */
static int64_t proof_month_len(int64_t year, int64_t month) {
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (month == 2) return leap ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Any day of the years that a date can have. */
static civil proof_day(void) {
  civil day = {.year = nondet_i64(), .month = nondet_i64(), .day = nondet_i64()};
  ASSUME(day.year >= 0 && day.year <= N && day.month >= 1 && day.month <= 12 && day.day >= 1);
  ASSUME(day.day <= proof_month_len(day.year, day.month));
  return day;
}

/* proof: a_day_comes_after_the_day_before
 * bound: N=30 (all days of the years from 0000 to N, by induction from 1970-01-01)
 * small: N=30
 * checks: conversion
 * fault: src/base/date.c: year_of_era * 365 + year_of_era / 4
 * with: year_of_era * 365 + year_of_era / 5
 * fault: src/base/date.c: (153 * (month > 2
 * with: (152 * (month > 2
 */
void a_day_comes_after_the_day_before(void) {
  civil day = proof_day(), next = day;
  bool ends = day.day == proof_month_len(day.year, day.month);
  next.day = ends ? 1 : day.day + 1;
  if (ends) next.month = day.month == 12 ? 1 : day.month + 1;
  if (ends && day.month == 12) next.year++;
  HOLDS(days_of(1970, 1, 1) == 0);
  HOLDS(days_of(next.year, next.month, next.day) == days_of(day.year, day.month, day.day) + 1);
}

/* proof: seconds_become_the_date_that_they_are
 * bound: N=4 (all seconds of so many days, in bits, after 2000-01-01)
 * small: N=4
 * checks: conversion
 * fault: src/base/date.c: rest / 60 % 60
 * with: rest / 61 % 60
 * fault: src/base/date.c: day_of_year - (153 * month + 2) / 5 + 1
 * with: day_of_year - (152 * month + 2) / 5 + 1
 */
void seconds_become_the_date_that_they_are(void) {
  int64_t days = nondet_i64(), rest = nondet_i64();
  ASSUME(days >= 0 && days < INT64_C(1) << N && rest >= 0 && rest < DAY);
  civil at = civil_of((days + 10957) * DAY + rest);
  HOLDS(at.month >= 1 && at.month <= 12 && at.day >= 1);
  HOLDS(at.day <= proof_month_len(at.year, at.month));
  HOLDS(days_of(at.year, at.month, at.day) == days + 10957);
  HOLDS(at.hour >= 0 && at.hour <= 23 && at.minute >= 0 && at.minute <= 59);
  HOLDS(at.second >= 0 && at.second <= 59);
  HOLDS(at.hour * 3600 + at.minute * 60 + at.second == rest);
}

/* What every date looks like; the rest is in the values of its numbers. */
static bool proof_digits(const char *text, size_t from, size_t count) {
  for (size_t i = from; i < from + count; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  return true;
}

/* proof: a_text_that_is_read_is_a_date
 * bound: N=12 (characters)
 * small: N=12
 * unwind: N+3
 * checks: conversion
 * fault: src/base/date.c: if (text->len < count) return false
 * with: if (text->len + 1 < count) return false
 */
void a_text_that_is_read_is_a_date(void) {
  FOR_EACH_LENGTH(len, 0, N) {
    const char *text = proof_block(len);
    int64_t seconds = nondet_i64(), before = seconds;
    bool good = st_date_read_day((subtoken_text){text, len}, &seconds);
    if (!good) HOLDS(seconds == before);
    if (!good) return;
    HOLDS(len >= 10 && proof_digits(text, 0, 4) && text[4] == '-' && text[7] == '-');
    HOLDS(proof_digits(text, 5, 2) && proof_digits(text, 8, 2));
    HOLDS(len == 10 || (len >= 16 && text[13] == ':' && proof_digits(text, 11, 2)));
    HOLDS(seconds >= YEAR_0000 - DAY && seconds <= YEAR_9999_END + DAY);
    return;
  }
}

/* proof: a_duration_is_at_most_the_largest_time
 * bound: N=8 (characters), brief N=4
 * checks: conversion
 * fault: src/base/date.c: if (c < '0' || c > '9') return false;
 * with: if (c < '0') return false;
 */
void a_duration_is_at_most_the_largest_time(void) {
  FOR_EACH_LENGTH(len, 0, N) {
    const char *text = proof_block(len);
    int64_t seconds = nondet_i64(), before = seconds;
    bool good = st_date_read_duration((subtoken_text){text, len}, &seconds);
    HOLDS(good ? seconds >= 0 && seconds <= SUBTOKEN_TIME_MAX : seconds == before);
    if (good) HOLDS(len > 0 && proof_digits(text, 0, len - 1));
    return;
  }
}

/* proof: every_time_is_written
 * bound: none: all numbers
 * unwind: 32
 * checks: conversion
 * fault: src/base/date.c: if (seconds > YEAR_9999_END) return YEAR_9999_END;
 * with: if (seconds > INT64_MAX - 9) return 0;
 */
void every_time_is_written(void) {
  char out[ST_DATE_LEN];
  st_writer writer = st_writer_on(out, sizeof out);
  st_date_write(&writer, nondet_i64(), true);
  HOLDS(!writer.overflow && writer.len == ST_DATE_LEN);
  HOLDS(proof_digits(out, 0, 4) && proof_digits(out, 5, 2) && proof_digits(out, 17, 2));
}

/* proof: every_time_has_a_line_of_http
 * bound: none: all numbers
 * unwind: 36
 * fault: src/base/date.c: days + day % 7 * 3, 3
 * with: days + day % 8 * 3, 3
 * fault: src/base/date.c: months + (at.month - 1) * 3
 * with: months + at.month * 3
 */
void every_time_has_a_line_of_http(void) {
  char out[29];
  st_writer writer = st_writer_on(out, sizeof out);
  st_date_write_http(&writer, nondet_i64());
  HOLDS(!writer.overflow && writer.len == sizeof out);
}
