/* A date that is read is written and read back as the same second. */
#include "base/date.h"
#include "fuzz.h"

#define YEAR_0000 (-INT64_C(62167219200))
#define YEAR_9999_END INT64_C(253402300799)
#define DAY INT64_C(86400)

static void comes_back(int64_t seconds) {
  char out[64];
  int64_t back = 0;
  for (int milliseconds = 0; milliseconds < 2; milliseconds++) {
    st_writer writer = st_writer_on(out, sizeof out);
    st_date_write(&writer, seconds, milliseconds != 0);
    HOLD(!writer.overflow && writer.len == (milliseconds ? ST_DATE_LEN : ST_DATE_LEN - 4));
    HOLD(st_date_read((subtoken_text){out, writer.len}, &back));
    if (seconds >= YEAR_0000 && seconds <= YEAR_9999_END) HOLD(back == seconds);
    HOLD(back >= YEAR_0000 && back <= YEAR_9999_END);
  }
  st_writer writer = st_writer_on(out, sizeof out);
  st_date_write_http(&writer, seconds);
  HOLD(!writer.overflow && writer.len == 29);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = fuzz_copy(data, size);
  subtoken_text text = {copy, size};
  int64_t seconds = 0, other = 0;
  if (st_date_read(text, &seconds)) {
    HOLD(size >= 16 && size <= 35);
    HOLD(seconds > YEAR_0000 - DAY && seconds < YEAR_9999_END + DAY);
    HOLD(st_date_read_day(text, &other) && other == seconds);
    comes_back(seconds);
    /* T, t and a space say the same, and so do upper and lower case at the end. */
    for (const char *c = "Tt "; *c != '\0'; c++) {
      copy[10] = *c;
      HOLD(st_date_read(text, &other) && other == seconds);
    }
    if (copy[size - 1] == 'Z' || copy[size - 1] == 'z') {
      copy[size - 1] ^= 'Z' ^ 'z';
      HOLD(st_date_read(text, &other) && other == seconds);
    }
  } else if (st_date_read_day(text, &seconds)) {
    HOLD(size == 10 && seconds % DAY == 0);
    comes_back(seconds);
  }
  memcpy(copy, data, size);
  if (st_date_read_duration(text, &seconds)) {
    HOLD(seconds >= 0 && seconds <= SUBTOKEN_TIME_MAX && size <= 17);
    char out[32];
    st_writer writer = st_writer_on(out, sizeof out);
    st_write_int(&writer, seconds);
    HOLD(st_date_read_duration((subtoken_text){out, writer.len}, &other) && other == seconds);
  }
  if (size >= sizeof seconds) {
    memcpy(&seconds, data, sizeof seconds);
    comes_back(seconds);
    comes_back(seconds % YEAR_9999_END);
  }
  free(copy);
  return 0;
}
