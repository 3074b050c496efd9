/* Dates and durations as text, to and from seconds since 1970. It reads no clock: os/clock.c does.
 * The calendar arithmetic is that of Hinnant's "chrono-compatible low-level date algorithms".
 */
#include "base/date.h"

#define DAY INT64_C(86400)
#define YEAR_9999_END INT64_C(253402300799)
#define YEAR_0000 (-INT64_C(62167219200))

/* From a first of March 400 years before the year 0000, so that no day and no year of a date is
 * negative, to 1970-01-01. */
#define DAYS_BEFORE_1970 865565

/* Days from 1970-01-01 to a date. Years begin in March here, so that the leap day is the last day
 * of a year. An era has 400 years, after which the calendar repeats (Hinnant, chrono-compatible
 * low-level date algorithms).
 */
static int32_t days_of(int32_t year, int32_t month, int32_t day) {
  int32_t years = month > 2 ? year + 400 : year + 399, year_of_era = years % 400;
  int32_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return years / 400 * 146097 + day_of_era - DAYS_BEFORE_1970;
}

typedef struct civil {
  int32_t year, month, day, hour, minute, second;
} civil;

/* The date so many days after 1970-01-01, at midnight. */
static civil date_of(int32_t days) {
  days += DAYS_BEFORE_1970;
  int32_t era = days / 146097, day_of_era = days % 146097;
  int32_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int32_t month = (5 * day_of_year + 2) / 153;
  return (civil){.year = era * 400 + year_of_era - 400 + (month >= 10),
                 .month = month < 10 ? month + 3 : month - 9,
                 .day = day_of_year - (153 * month + 2) / 5 + 1};
}

/* seconds: of the years 0000 to 9999, so that days have 32 bits. */
static civil civil_of(int64_t seconds) {
  int32_t days = (int32_t)(seconds / DAY), rest = (int32_t)(seconds % DAY);
  if (rest < 0) {
    rest += (int32_t)DAY;
    days--;
  }
  civil at = date_of(days);
  at.hour = rest / 3600;
  at.minute = rest / 60 % 60;
  at.second = rest % 60;
  return at;
}

static bool is_leap_year(int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Cuts `count` digits off the front. False when their value is out of bounds. */
static bool date_number(subtoken_text *text, size_t count, int64_t least, int64_t most,
                        int64_t *value) {
  if (text->len < count) return false;
  *value = 0;
  for (size_t i = 0; i < count; i++) {
    char c = text->data[i];
    if (c < '0' || c > '9') return false;
    *value = *value * 10 + (c - '0');
  }
  *text = (subtoken_text){text->data + count, text->len - count};
  return *value >= least && *value <= most;
}

static bool date_take(subtoken_text *text, char c) {
  if (text->len == 0 || text->data[0] != c) return false;
  *text = (subtoken_text){text->data + 1, text->len - 1};
  return true;
}

static bool day_part(subtoken_text *text, int64_t *seconds) {
  static const int8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t year, month, day;
  if (!date_number(text, 4, 0, 9999, &year) || !date_take(text, '-') ||
      !date_number(text, 2, 1, 12, &month) || !date_take(text, '-') ||
      !date_number(text, 2, 1, 31, &day)) {
    return false;
  }
  if (day > length[month - 1] + (month == 2 && is_leap_year(year))) return false;
  *seconds = days_of((int32_t)year, (int32_t)month, (int32_t)day) * DAY;
  return true;
}

static bool clock_part(subtoken_text *text, int64_t *seconds) {
  int64_t hour, minute, second;
  if (!date_number(text, 2, 0, 23, &hour) || !date_take(text, ':') ||
      !date_number(text, 2, 0, 59, &minute)) {
    return false;
  }
  *seconds = hour * 3600 + minute * 60;
  if (!date_take(text, ':')) return true; /* Java omits them at a whole minute */
  if (!date_number(text, 2, 0, 59, &second)) return false;
  *seconds += second;
  if (!date_take(text, '.')) return true;
  size_t places = 0;
  while (places < text->len && text->data[places] >= '0' && text->data[places] <= '9') places++;
  *text = (subtoken_text){text->data + places, text->len - places};
  return places >= 1 && places <= 9;
}

static bool offset_part(subtoken_text *text, int64_t *seconds) {
  *seconds = 0;
  if (text->len == 0 || date_take(text, 'Z') || date_take(text, 'z')) return true;
  int64_t hour, minute = 0;
  bool minus = date_take(text, '-');
  if (!minus && !date_take(text, '+') && !date_take(text, ' ')) return false;
  if (!date_number(text, 2, 0, 23, &hour)) return false;
  bool colon = date_take(text, ':');
  if ((colon || text->len > 0) && !date_number(text, 2, 0, 59, &minute)) return false;
  *seconds = (hour * 3600 + minute * 60) * (minus ? -1 : 1);
  return true;
}

bool st_date_read(subtoken_text text, int64_t *seconds) {
  int64_t day, clock, offset;
  if (!day_part(&text, &day)) return false;
  if (!date_take(&text, 'T') && !date_take(&text, 't') && !date_take(&text, ' ')) return false;
  if (!clock_part(&text, &clock) || !offset_part(&text, &offset) || text.len != 0) return false;
  *seconds = day + clock - offset;
  return true;
}

bool st_date_read_day(subtoken_text text, int64_t *seconds) {
  subtoken_text rest = text;
  int64_t day;
  if (!day_part(&rest, &day)) return false;
  if (rest.len != 0) return st_date_read(text, seconds);
  *seconds = day;
  return true;
}

static int64_t unit_seconds(char c) {
  return c == 's' ? 1 : c == 'm' ? 60 : c == 'h' ? 3600 : c == 'd' ? DAY : 0;
}

bool st_date_read_duration(subtoken_text text, int64_t *seconds) {
  int64_t scale = text.len > 0 ? unit_seconds(text.data[text.len - 1]) : 0;
  if (scale != 0) {
    text.len--;
  } else {
    scale = 1;
  }
  int64_t value;
  if (text.len == 0 || text.len > 16) return false;
  if (!date_number(&text, text.len, 0, SUBTOKEN_TIME_MAX / scale, &value)) return false;
  *seconds = value * scale;
  return true;
}

static void write_padded(st_writer *writer, int32_t value, size_t width) {
  char text[4];
  for (size_t i = width; i-- > 0; value /= 10) text[i] = (char)('0' + value % 10);
  st_write(writer, text, width);
}

static int64_t within_years(int64_t seconds) {
  if (seconds > YEAR_9999_END) return YEAR_9999_END;
  return seconds < YEAR_0000 ? YEAR_0000 : seconds;
}

static void write_clock(st_writer *writer, const civil *at) {
  write_padded(writer, at->hour, 2);
  st_write_char(writer, ':');
  write_padded(writer, at->minute, 2);
  st_write_char(writer, ':');
  write_padded(writer, at->second, 2);
}

void st_date_write(st_writer *writer, int64_t seconds, bool milliseconds) {
  civil at = civil_of(within_years(seconds));
  write_padded(writer, at.year, 4);
  st_write_char(writer, '-');
  write_padded(writer, at.month, 2);
  st_write_char(writer, '-');
  write_padded(writer, at.day, 2);
  st_write_char(writer, 'T');
  write_clock(writer, &at);
  st_write_literal(writer, milliseconds ? ".000Z" : "Z");
}

void st_date_write_http(st_writer *writer, int64_t seconds) {
  static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  seconds = within_years(seconds);
  civil at = civil_of(seconds);
  int64_t day = (seconds - YEAR_0000) / DAY + 2; /* 0000-01-01 was a Saturday */
  st_write(writer, days + day % 7 * 3, 3);
  st_write_literal(writer, ", ");
  write_padded(writer, at.day, 2);
  st_write_char(writer, ' ');
  st_write(writer, months + (size_t)(at.month - 1) * 3, 3);
  st_write_char(writer, ' ');
  write_padded(writer, at.year, 4);
  st_write_char(writer, ' ');
  write_clock(writer, &at);
  st_write_literal(writer, " GMT");
}
