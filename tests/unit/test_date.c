#include <time.h>

#include "support.h"

#include "base/date.h"

static bool read_as(bool (*reader)(subtoken_text, int64_t *), const char *string, int64_t *value) {
  subtoken_text text = exact_string(string);
  bool good = reader(text, value);
  release(text);
  return good;
}

/* Each form of an expiry that createsubtoken accepts. */
static void each_form_of_the_contract_is_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t seconds;
  } rows[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01T00:00:01", 1},
      {"1969-12-31T23:59:59Z", -1},
      {"2019-12-25T20:34:56Z", 1577306096},
      {"2019-12-25 20:34:56Z", 1577306096},
      {"2019-12-25T20:34:56", 1577306096},
      {"2019-12-25 20:34:56", 1577306096},
      {"2019-12-25T20:34:56.0Z", 1577306096},
      {"2019-12-25T20:34:56.999999999Z", 1577306096}, /* cut off, not rounded */
      {"2019-12-25T20:34:56.123", 1577306096},
      {"2019-12-25T20:34:56+00:00", 1577306096},
      {"2019-12-25T20:34:56-00:00", 1577306096},
      {"2019-12-25T22:34:56+02:00", 1577306096},
      {"2019-12-25T22:34:56 02:00", 1577306096}, /* a plus that form decoding took */
      {"2019-12-25T15:04:56-05:30", 1577306096},
      {"2019-12-25T22:34:56.592223424+02:00", 1577306096},
      {"2019-12-25 22:34:56.592223424 02:00", 1577306096},
      {"2019-12-26T20:33:56+23:59", 1577306096},
      {"2019-12-24T20:35:56-23:59", 1577306096},
      {"2027-11-22T00:41:48.592223424+00:00", 1826844108},
      /* D2: PHP's and %z's offsets, PostgreSQL's, Java's whole minutes, lower case. */
      {"2019-12-25T20:34:56+0000", 1577306096},
      {"2019-12-25T20:34:56-0000", 1577306096},
      {"2019-12-25T22:34:56+0200", 1577306096},
      {"2019-12-25T22:34:56 0200", 1577306096},
      {"2019-12-25T15:04:56-0530", 1577306096},
      {"2019-12-26T20:33:56+2359", 1577306096},
      {"2019-12-25T22:34:56+02", 1577306096},
      {"2019-12-25 22:34:56 02", 1577306096},
      {"2019-12-25T13:34:56.592223424-07", 1577306096},
      {"2019-12-25T20:34", 1577306040},
      {"2019-12-25T20:34Z", 1577306040},
      {"2019-12-25 22:34+02:00", 1577306040},
      {"2019-12-25T22:34 02:00", 1577306040},
      {"2019-12-25T22:34+0200", 1577306040},
      {"2019-12-25T22:34+02", 1577306040},
      {"2019-12-25t20:34:56z", 1577306096},
      {"2019-12-25t20:34:56", 1577306096},
      {"2019-12-25T20:34:56.5z", 1577306096},
      {"2019-12-25t20:34z", 1577306040},
      {"2030-01-01T12:34:56+02:00", 1893494096},
      {"2000-02-29T00:00:00Z", 951782400}, /* leap days */
      {"2024-02-29T00:00:00Z", 1709164800},
      {"0000-02-29T00:00:00Z", -62162121600},
      {"2038-01-19T03:14:08Z", 2147483648}, /* past 2^31 and 2^32 */
      {"2106-02-07T06:28:16Z", 4294967296},
      {"9999-12-31T23:59:59Z", 253402300799},
      {"9999-12-31T23:59:59-23:59", 253402387139},
      {"0000-01-01T00:00:00Z", -62167219200},
      {"0000-01-01T00:00:00+23:59", -62167305540},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int64_t value = 42;
    CHECK(read_as(st_date_read, rows[i].text, &value), "%s", rows[i].text);
    CHECK(value == rows[i].seconds, "%s: %lld", rows[i].text, (long long)value);
    CHECK(read_as(st_date_read_day, rows[i].text, &value) && value == rows[i].seconds, "%s",
          rows[i].text);
  }
}

static void other_forms_are_refused(void **state) {
  (void)state;
  static const char *const rows[] = {
      "",
      " ",
      "now",
      "1700000000",
      "2019",
      "2019-12",
      "2019-12-25T",
      "2019-12-25T20",
      "2019-12-25T20Z",
      "2019-12-25T20:",
      "2019-12-25T20:3",
      "2019-12-25T20:34:",
      "2019-12-25T20:34:Z",
      "2019-12-25T20:34:5",
      "2019-12-25T20:34:5Z",
      "2019-12-25T2034",
      "2019-12-25T203456Z",
      "2019-12-25T20:34.5Z", /* fractions are of seconds */
      "2019-12-25T20:34,5",
      "2019-12-25T20:60Z",
      "2019-12-25T24:00",
      "2019-12-25_20:34:56Z",
      "2019-12-25  20:34:56Z",
      "2019-12-2520:34:56Z",
      "2019-12-25T20:34:60Z", /* no leap seconds */
      "2019-12-31T23:59:60Z",
      "2019-12-25T20:34:61Z",
      "2019-12-25T20:60:00Z",
      "2019-12-25T24:00:00Z",
      "2019-12-25T99:00:00Z",
      "2019-00-25T20:34:56Z",
      "2019-13-25T20:34:56Z",
      "2019-12-00T20:34:56Z",
      "2019-12-32T20:34:56Z",
      "2019-04-31T20:34:56Z",
      "2020-04-31T20:34:56Z", /* a leap year has one day more, in February */
      "2019-06-31T20:34:56Z",
      "2019-09-31T20:34:56Z",
      "2019-11-31T20:34:56Z",
      "2019-02-29T20:34:56Z", /* no leap year */
      "1900-02-29T20:34:56Z",
      "2100-02-29T20:34:56Z",
      "2000-02-30T20:34:56Z",
      "2019-12-25T20:34:56.Z", /* fractions of 1 to 9 digits */
      "2019-12-25T20:34:56.",
      "2019-12-25T20:34:56.1234567890Z",
      "2019-12-25T20:34:56,5Z",
      "2019-12-25T20:34:56.5.5Z",
      "2019-12-25T20:34:56.-5Z",
      "2019-12-25T20:34.5",
      "2019-12-25T20:34:56+24:00", /* offsets up to 23:59 */
      "2019-12-25T20:34:56+23:60",
      "2019-12-25T20:34:56+2400",
      "2019-12-25T20:34:56+2360",
      "2019-12-25T20:34:56+24",
      "2019-12-25T20:34:56+99",
      "2019-12-25T20:34:56+2",
      "2019-12-25T20:34:56+2:00",
      "2019-12-25T20:34:56+200",
      "2019-12-25T20:34:56+020",
      "2019-12-25T20:34:56+02:",
      "2019-12-25T20:34:56+02:0",
      "2019-12-25T20:34:56+02:000",
      "2019-12-25T20:34:56+02000",
      "2019-12-25T20:34:56+02 00",
      "2019-12-25T20:34:56+02.5",
      "2019-12-25T20:34:56+02:00:00",
      "2019-12-25T20:34:56+020000",
      "2019-12-25T20:34:56+0200Z",
      "2019-12-25T20:34:56+02Z",
      "2019-12-25T20:34:56+02z",
      "2019-12-25T20:34:56Zz",
      "2019-12-25T20:34:56z+00",
      "2019-12-25T20:34 Z",
      "2019-12-25T20:34:5602:00", /* an offset has a sign */
      "2019-12-25T20:34+",
      "2019-12-25T20:34-",
      "2019-12-25T20:34  02:00",
      "2019-12-25T20:34:56\xE2\x88\x92"
      "02:00", /* U+2212, a minus for the eye */
      "2019-12-25Tt20:34:56",
      "2019-12-25tT20:34",
      "2019-12-25\t20:34:56",
      "2019-12-25T20:34:56+02:00Z",
      "2019-12-25T20:34:56Z+02:00",
      "2019-12-25T20:34:56Z ",
      "2019-12-25T20:34:56 Z",
      " 2019-12-25T20:34:56Z",
      "2019-12-25T20:34:56 ",
      "2019-12-25T20:34:56+",
      "2019-12-25T20:34:56ZZ",
      "2019-12-25T20:34:56UTC",
      "2019-12-25T20:34:56 +02:00",
      "2019-12-25T20:34:56--02:00",
      "+2019-12-25T20:34:56Z",
      "-2019-12-25T20:34:56Z",
      "12019-12-25T20:34:56Z",
      "02019-12-25T20:34:56Z",
      "219-12-25T20:34:56Z",
      "2019-1-25T20:34:56Z",
      "2019-12-5T20:34:56Z",
      "2019/12/25T20:34:56Z",
      "20191225T203456Z",
      "2019-W52-3T20:34:56Z",
      "2019-359T20:34:56Z",
      "2019-12-25T+1:34:56Z",
      "2019-12-25T 1:34:56Z",
      "2019-12-25T20:34:56\n",
      "2019-12-25T20:34:56Z\n",
      "2O19-12-25T20:34:56Z",
      "\xD9\xA2\xD9\xA0\xD9\xA1\xD9\xA9-12-25T20:34:56Z",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int64_t value = 42;
    CHECK(!read_as(st_date_read, rows[i], &value), "%s", rows[i]);
    CHECK(value == 42, "%s wrote a value", rows[i]);
    CHECK(!read_as(st_date_read_day, rows[i], &value), "%s", rows[i]);
  }
  int64_t value = 42;
  subtoken_text nul = exact("2019-12-25T20:34:56\0Z", 21);
  assert_false(st_date_read(nul, &value));
  release(nul);
}

/* A day alone is for the schema version only. */
static void a_day_alone_is_a_schema_version_only(void **state) {
  (void)state;
  int64_t value = 42;
  assert_false(read_as(st_date_read, "2019-05-22", &value));
  assert_true(read_as(st_date_read_day, "2019-05-22", &value));
  assert_int_equal(value, 1558483200);
  assert_false(read_as(st_date_read_day, "2019-05-22 ", &value));
  assert_false(read_as(st_date_read_day, "2019-05-22T", &value));
  assert_false(read_as(st_date_read_day, "2019-05-22Z", &value));
  assert_false(read_as(st_date_read_day, "2019-02-29", &value));
}

static void each_prefix_is_refused(void **state) {
  (void)state;
  static const char text[] = "2019-12-25T20:34:56.592223424+02:00";
  for (size_t len = 0; len < sizeof text - 1; len++) {
    subtoken_text prefix = exact(text, len);
    int64_t value;
    /* Good are: no seconds; no fraction and no offset; each fraction; an offset of hours. */
    bool want = len == 16 || len == 19 || (len > 20 && len <= 29) || len == 32;
    CHECK(st_date_read(prefix, &value) == want, "%zu", len);
    release(prefix);
  }
}

static void durations_are_read_up_to_their_limit(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t seconds; /* -1: refused */
  } rows[] = {
      {"0", 0},
      {"1", 1},
      {"60", 60},
      {"60s", 60},
      {"5m", 300},
      {"2h", 7200},
      {"30d", 2592000},
      {"365d", 31536000},
      {"0d", 0},
      {"007s", 7},
      {"9007199254740991", SUBTOKEN_TIME_MAX},
      {"9007199254740991s", SUBTOKEN_TIME_MAX},
      {"104249991374d", 104249991374 * DAY},
      {"0000000000000001", 1},
      {"00000000000000001", -1},
      {"9007199254740992", -1},
      {"104249991375d", -1},
      {"150119987579017m", -1},
      {"99999999999999999999", -1},
      {"18446744073709551617", -1},
      {"", -1},
      {"s", -1},
      {"d", -1},
      {"-1", -1},
      {"+1", -1},
      {" 1", -1},
      {"1 ", -1},
      {"1w", -1},
      {"1D", -1},
      {"1S", -1},
      {"1dd", -1},
      {"1d1h", -1},
      {"1.5h", -1},
      {"1e3", -1},
      {"0x10", -1},
      {"never", -1},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int64_t value = 42;
    bool good = read_as(st_date_read_duration, rows[i].text, &value);
    CHECK(good == (rows[i].seconds >= 0), "%s", rows[i].text);
    CHECK(value == (good ? rows[i].seconds : 42), "%s: %lld", rows[i].text, (long long)value);
  }
}

/* The rule of the calendar, from one day to the next, for 400 years: then it begins anew. */
static void each_day_comes_after_the_day_before(void **state) {
  (void)state;
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t when = -INT64_C(62167219200);
  for (int year = 0; year < 400; year++) {
    bool leap = year % 4 == 0 && (year % 100 != 0 || year == 0);
    for (int month = 1; month <= 12; month++) {
      char out[ST_DATE_LEN + 1], want[40];
      snprintf(want, sizeof want, "%04d-%02d-..T", year, month);
      for (int day = 1; day <= lengths[month - 1] + (leap && month == 2); day++, when += DAY) {
        want[8] = (char)('0' + day / 10), want[9] = (char)('0' + day % 10);
        st_writer writer = st_writer_on(out, sizeof out);
        st_date_write(&writer, when, false);
        int64_t back = 0;
        CHECK(memcmp(out, want, 11) == 0, "%s: %.20s", want, out);
        CHECK(st_date_read_day((subtoken_text){out, 10}, &back) && back == when, "%s", want);
      }
    }
  }
  assert_int_equal(when, -INT64_C(62167219200) + INT64_C(146097) * DAY);
}

/* The C library's calendar agrees, all over the ten thousand years. */
static void dates_agree_with_libc(void **state) {
  (void)state;
  uint64_t seed = 2;
  for (int i = 0; i < 50000; i++) {
    int64_t when = -INT64_C(62167219200) + (int64_t)(random_next(&seed) % UINT64_C(315569520000));
    /* Every second time next to midnight, where off-by-ones live. */
    if (i % 2) when = when / DAY * DAY - (i % 4 == 1);
    if (when < -INT64_C(62167219200)) continue;
    time_t at = (time_t)when;
    struct tm tm;
    assert_non_null(gmtime_r(&at, &tm));
    char out[40], want[80];
    st_writer writer = st_writer_on(out, sizeof out);
    st_date_write(&writer, when, true);
    assert_true(st_writer_end(&writer) && writer.len == ST_DATE_LEN);
    snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.000Z", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    assert_string_equal(out, want);
    int64_t back = 0;
    assert_true(st_date_read((subtoken_text){out, writer.len}, &back));
    assert_int_equal(back, when);

    static const char names[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    writer = st_writer_on(out, sizeof out);
    st_date_write_http(&writer, when);
    assert_true(st_writer_end(&writer));
    snprintf(want, sizeof want, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", names + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    assert_string_equal(out, want);
  }
}

static void dates_are_written_in_both_forms(void **state) {
  (void)state;
  static const struct {
    int64_t seconds;
    const char *iso;
    const char *http;
  } rows[] = {
      {0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
      {784111777, "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"},
      {1577306096, "2019-12-25T20:34:56Z", "Wed, 25 Dec 2019 20:34:56 GMT"},
      {253402300799, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
      {253402300800, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
      {SUBTOKEN_TIME_MAX, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
      {INT64_MAX, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
      {INT64_MIN, "0000-01-01T00:00:00Z", "Sat, 01 Jan 0000 00:00:00 GMT"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[40];
    st_writer writer = st_writer_on(out, sizeof out);
    st_date_write(&writer, rows[i].seconds, false);
    assert_true(st_writer_end(&writer));
    assert_string_equal(out, rows[i].iso);
    writer = st_writer_on(out, sizeof out);
    st_date_write_http(&writer, rows[i].seconds);
    assert_true(st_writer_end(&writer));
    assert_string_equal(out, rows[i].http);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_form_of_the_contract_is_read),
      cmocka_unit_test(other_forms_are_refused),
      cmocka_unit_test(a_day_alone_is_a_schema_version_only),
      cmocka_unit_test(each_prefix_is_refused),
      cmocka_unit_test(durations_are_read_up_to_their_limit),
      cmocka_unit_test(each_day_comes_after_the_day_before),
      cmocka_unit_test(dates_agree_with_libc),
      cmocka_unit_test(dates_are_written_in_both_forms),
  };
  return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
