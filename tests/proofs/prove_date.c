/* date: the calendar is the Gregorian one, reading and writing are each other's inverse, and a date
 * is nothing but what date.h says.
 */
#include "base/bytes.c"
#include "base/date.c"
#include "proof.h"

/* The rule of the calendar, from one day to the next. */
static int32_t proof_month_len(int32_t year, int32_t month) {
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (month == 2) return leap ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Any day of the years that a date can have. */
static civil proof_day(void) {
  civil day = {.year = nondet_i32(), .month = nondet_i32(), .day = nondet_i32()};
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

/* proof: days_become_the_date_that_they_are
 * bound: N=12 (all of so many days, in bits, after 2000-01-01)
 * small: N=4
 * checks: conversion
 * fault: src/base/date.c: day_of_year - (153 * month + 2) / 5 + 1
 * with: day_of_year - (152 * month + 2) / 5 + 1
 * fault: src/base/date.c: + (month >= 10)
 * with: + (month > 10)
 */
void days_become_the_date_that_they_are(void) {
  int32_t days = nondet_i32();
  ASSUME(days >= 0 && days < INT32_C(1) << N);
  civil at = date_of(days + 10957);
  HOLDS(at.month >= 1 && at.month <= 12 && at.day >= 1);
  HOLDS(at.day <= proof_month_len(at.year, at.month));
  HOLDS(days_of(at.year, at.month, at.day) == days + 10957);
}

/* proof: seconds_become_the_clock_that_they_are
 * bound: N=40 (days before and after 1970-01-01, all seconds of each)
 * small: N=1
 * checks: conversion
 * limit: src/base/date.c: civil at = date_of(days);
 * with: civil at = {.day = days};
 * fault: src/base/date.c: rest / 60 % 60
 * with: rest / 61 % 60
 * fault: src/base/date.c: rest += (int32_t)DAY;
 * with: rest = -rest;
 */
void seconds_become_the_clock_that_they_are(void) {
  int64_t seconds = nondet_i64();
  ASSUME(seconds >= -N * DAY && seconds < N * DAY);
  civil at = civil_of(seconds);
  HOLDS(at.hour >= 0 && at.hour <= 23 && at.minute >= 0 && at.minute <= 59);
  HOLDS(at.second >= 0 && at.second <= 59);
  HOLDS(at.day * DAY + at.hour * 3600 + at.minute * 60 + at.second == seconds);
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
 * each: LEN=0..N
 * small: N=12
 * unwind: LEN+3
 * checks: conversion
 * fault: src/base/date.c: if (text->len < count) return false
 * with: if (text->len + 1 < count) return false
 */
void a_text_that_is_read_is_a_date(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  int64_t seconds = nondet_i64(), before = seconds;
  bool good = st_date_read_day((subtoken_text){text, len}, &seconds);
  if (!good) HOLDS(seconds == before);
  if (!good) return;
  HOLDS(len >= 10 && proof_digits(text, 0, 4) && text[4] == '-' && text[7] == '-');
  HOLDS(proof_digits(text, 5, 2) && proof_digits(text, 8, 2));
  HOLDS(len == 10 || (len >= 16 && text[13] == ':' && proof_digits(text, 11, 2)));
  HOLDS(seconds >= YEAR_0000 - DAY && seconds <= YEAR_9999_END + DAY);
}

/* proof: a_duration_is_at_most_the_largest_time
 * bound: N=8 (characters), brief N=4
 * each: LEN=0..N
 * checks: conversion
 * fault: src/base/date.c: if (c < '0' || c > '9') return false;
 * with: if (c < '0') return false;
 */
void a_duration_is_at_most_the_largest_time(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  int64_t seconds = nondet_i64(), before = seconds;
  bool good = st_date_read_duration((subtoken_text){text, len}, &seconds);
  HOLDS(good ? seconds >= 0 && seconds <= SUBTOKEN_TIME_MAX : seconds == before);
  if (good) HOLDS(len > 0 && proof_digits(text, 0, len - 1));
}

/* proof: every_time_is_within_the_years
 * bound: none: all numbers, brief N=8
 * fault: src/base/date.c: if (seconds > YEAR_9999_END) return YEAR_9999_END;
 * with: if (seconds > YEAR_9999_END + 1) return YEAR_9999_END;
 * fault: src/base/date.c: return seconds < YEAR_0000 ?
 * with: return seconds <= YEAR_0000 - DAY ?
 */
void every_time_is_within_the_years(void) {
  int64_t seconds = nondet_i64(), within = within_years(seconds);
  HOLDS(within >= YEAR_0000 && within <= YEAR_9999_END);
  if (seconds < YEAR_0000) HOLDS(within == YEAR_0000);
  if (seconds >= YEAR_0000 && seconds <= YEAR_9999_END) HOLDS(within == seconds);
}

/* In place of civil_of: any date of those years, which is all that it gives (the proofs above). */
static civil proof_date;
civil proof_civil(void) {
  civil at = {nondet_i32(), nondet_i32(), nondet_i32(), nondet_i32(), nondet_i32(), nondet_i32()};
  ASSUME(at.year >= 0 && at.year <= 9999 && at.month >= 1 && at.month <= 12);
  ASSUME(at.day >= 1 && at.day <= 31 && at.hour >= 0 && at.hour <= 23);
  ASSUME(at.minute >= 0 && at.minute <= 59 && at.second >= 0 && at.second <= 59);
  return proof_date = at;
}

/* The number that these digits are. */
static bool proof_is(const char *digits, size_t count, int32_t value) {
  int32_t sum = 0;
  for (size_t i = 0; i < count; i++) sum = sum * 10 + (digits[i] - '0');
  return proof_digits(digits, 0, count) && sum == value;
}

/* proof: a_date_is_written_in_its_numbers
 * bound: none: all dates of the years from 0000 to 9999, brief N=8
 * unwind: 32
 * checks: conversion
 * limit: src/base/date.c: civil at = civil_of(within_years(seconds));
 * with: civil proof_civil(void); civil at = proof_civil(); (void)seconds;
 * fault: src/base/date.c: write_padded(writer, at.month, 2);
 * with: write_padded(writer, at.month + 1, 2);
 * fault: src/base/date.c: char text[4];
 * with: char text[3];
 */
void a_date_is_written_in_its_numbers(void) {
  char out[ST_DATE_LEN];
  st_writer writer = st_writer_on(out, sizeof out);
  st_date_write(&writer, nondet_i64(), true);
  HOLDS(!writer.overflow && writer.len == ST_DATE_LEN && memcmp(out + 19, ".000Z", 5) == 0);
  HOLDS(proof_is(out, 4, proof_date.year) && out[4] == '-' && out[7] == '-' && out[10] == 'T');
  HOLDS(proof_is(out + 5, 2, proof_date.month) && proof_is(out + 8, 2, proof_date.day));
  HOLDS(proof_is(out + 11, 2, proof_date.hour) && out[13] == ':' && out[16] == ':');
  HOLDS(proof_is(out + 14, 2, proof_date.minute) && proof_is(out + 17, 2, proof_date.second));
}

/* proof: every_time_has_a_line_of_http
 * bound: none: all numbers, and all dates of the years from 0000 to 9999
 * unwind: 36
 * checks: conversion
 * limit: src/base/date.c: civil at = civil_of(seconds);
 * with: civil proof_civil(void); civil at = proof_civil();
 * fault: src/base/date.c: days + day % 7 * 3, 3
 * with: days + day % 8 * 3, 3
 * fault: src/base/date.c: months + (size_t)(at.month - 1) * 3
 * with: months + (size_t)at.month * 3
 */
void every_time_has_a_line_of_http(void) {
  static const char days[] = "MonTueWedThuFriSatSun",
                    months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  char out[29];
  st_writer writer = st_writer_on(out, sizeof out);
  st_date_write_http(&writer, nondet_i64());
  HOLDS(!writer.overflow && writer.len == sizeof out);
  size_t day = 0;
  while (day < 7 && memcmp(days + 3 * day, out, 3) != 0) day++;
  HOLDS(day < 7 && out[3] == ',' && out[4] == ' ' && out[7] == ' ' && out[11] == ' ');
  HOLDS(memcmp(out + 8, months + 3 * (proof_date.month - 1), 3) == 0);
  HOLDS(proof_is(out + 5, 2, proof_date.day) && proof_is(out + 12, 4, proof_date.year));
  HOLDS(proof_is(out + 17, 2, proof_date.hour) && out[19] == ':' && out[22] == ':');
  HOLDS(proof_is(out + 20, 2, proof_date.minute) && proof_is(out + 23, 2, proof_date.second));
  HOLDS(memcmp(out + 25, " GMT", 4) == 0);
}
