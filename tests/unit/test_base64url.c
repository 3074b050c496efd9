#include "support.h"

/* Decodes into a block of just the size that the header file asks for. */
static bool decode(const char *text, size_t len, char *out, size_t *out_len) {
  subtoken_text input = exact(text, len);
  size_t room = ST_BASE64URL_BYTES(len);
  char *exact_out = malloc(room);
  if (exact_out == NULL) abort();
  bool good = st_base64url_decode(input, exact_out, room, out_len);
  if (good) memcpy(out, exact_out, *out_len);
  free(exact_out);
  release(input);
  return good;
}

/* RFC 4648 section 10, without padding. */
static void the_vectors_of_rfc_4648_hold(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"", ""},
      {"f", "Zg"},
      {"fo", "Zm8"},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg"},
      {"fooba", "Zm9vYmE"},
      {"foobar", "Zm9vYmFy"},
      {"\xFB\xFF", "-_8"},
      {"\xFF\xFF\xFF", "____"},
      {"\xFB\xEF\xBE", "----"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[16];
    size_t len = 99;
    CHECK(decode(rows[i][1], strlen(rows[i][1]), out, &len), "row %zu", i);
    CHECK(len == strlen(rows[i][0]) && memcmp(out, rows[i][0], len) == 0, "row %zu", i);
    st_writer writer = st_writer_on(out, sizeof out);
    st_base64url_write(&writer, rows[i][0], strlen(rows[i][0]));
    CHECK(st_writer_end(&writer) && strcmp(out, rows[i][1]) == 0, "row %zu", i);
  }
}

static void other_spellings_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t len;
  } rows[] = {
      {"Zg==", 4},
      {"Zg=", 3},
      {"Zm8=", 4},
      {"=", 1},
      {"====", 4}, /* padding */
      {"Z", 1},
      {"Zm9vZ", 5}, /* no such length */
      {"Zh", 2},
      {"Zn", 2},
      {"Zv", 2},

      {"Z_", 2}, /* stray bits */
      {"Zm9", 3},
      {"Zm-", 3},
      {"Zm_", 3},
      {"Zm9vZm9", 7},
      {"Zm9v\n", 5},
      {" Zm9v", 5},
      {"Zm 9v", 5},
      {"Zm9v ", 5},
      {"Zm\t9", 4}, /* white space */
      {"Zm9v\r\nZm9v", 10},
      {"+/+/", 4},
      {"ab+/", 4},
      {"Zm9v.", 5},
      {"Zm9*", 4},
      {"Zm9,", 4}, /* other alphabets */
      {"Zm9\0", 4},
      {"\0\0", 2},
      {"Zm\x80v", 4},
      {"\xFF\xFF\xFF\xFF", 4},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[16];
    size_t len = 99;
    CHECK(!decode(rows[i].text, rows[i].len, out, &len), "row %zu", i);
    CHECK(len == 99, "row %zu wrote a length", i);
  }
}

/* One value, one spelling: of all texts of 2 and of 3 characters, exactly as many
 * are accepted as there are values of 1 and 2 bytes. */
static void each_value_has_one_spelling(void **state) {
  (void)state;
  size_t two = 0, three = 0, len;
  char out[4], text[3];
  for (unsigned a = 0; a < 256; a++) {
    for (unsigned b = 0; b < 256; b++) {
      text[0] = (char)a;
      text[1] = (char)b;
      two += st_base64url_decode((subtoken_text){text, 2}, out, sizeof out, &len);
      for (unsigned c = 0; c < 256; c++) {
        text[2] = (char)c;
        three += st_base64url_decode((subtoken_text){text, 3}, out, sizeof out, &len);
      }
    }
  }
  assert_int_equal(two, 256);
  assert_int_equal(three, 65536);
}

static void each_byte_is_decoded_or_refused_at_each_place(void **state) {
  (void)state;
  static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (size_t at = 0; at < 4; at++) {
    size_t accepted = 0;
    for (int c = 0; c < 256; c++) {
      char text[4] = {'A', 'A', 'A', 'A'}, out[3];
      size_t len;
      text[at] = (char)c;
      bool in = memchr(good, c, 64) != NULL;
      bool ok = st_base64url_decode((subtoken_text){text, 4}, out, 3, &len);
      CHECK(ok == in, "byte %d at %zu", c, at);
      accepted += ok;
    }
    assert_int_equal(accepted, 64);
  }
}

static void what_is_encoded_is_decoded_again(void **state) {
  (void)state;
  uint64_t seed = 1;
  uint8_t bytes[200];
  for (size_t len = 0; len <= sizeof bytes; len++) {
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)random_next(&seed);
    subtoken_text data = exact(bytes, len);
    size_t want = ST_BASE64URL_LEN(len), got = 99;
    assert_int_equal(ST_BASE64URL_BYTES(want), len);
    char *text = malloc(want);
    assert_non_null(text);
    st_writer writer = st_writer_on(text, want);
    st_base64url_write(&writer, data.data, len);
    assert_false(writer.overflow);
    assert_int_equal(writer.len, want);
    char back[200];
    assert_true(decode(text, want, back, &got));
    assert_int_equal(got, len);
    assert_memory_equal(back, bytes, len);
    /* One character of room less is too little, and writes nothing. */
    if (want > 0) {
      writer = st_writer_on(text, want - 1);
      st_base64url_write(&writer, data.data, len);
      assert_true(writer.overflow);
      assert_int_equal(writer.len, 0);
    }
    free(text);
    release(data);
  }
}

static void a_small_buffer_is_refused(void **state) {
  (void)state;
  char out[3];
  size_t len = 7;
  assert_false(st_base64url_decode(ST_TEXT("Zm9v"), out, 2, &len));
  assert_false(st_base64url_decode(ST_TEXT("Zg"), out, 0, &len));
  assert_int_equal(len, 7);
  assert_true(st_base64url_decode(ST_TEXT(""), out, 0, &len));
  assert_int_equal(len, 0);
  st_writer writer = st_writer_on(out, sizeof out);
  writer.overflow = true;
  st_base64url_write(&writer, "f", 1);
  assert_int_equal(writer.len, 0);
}

/* ---- the standard alphabet ---- */

static bool read_standard(st_padding padding, const char *text, size_t len, char *out,
                          size_t *out_len) {
  subtoken_text input = exact(text, len);
  char *exact_out = malloc(ST_BASE64URL_BYTES(len));
  if (exact_out == NULL) abort();
  bool good = st_base64_read(input, padding, exact_out, ST_BASE64URL_BYTES(len), out_len);
  if (good) memcpy(out, exact_out, *out_len);
  free(exact_out);
  release(input);
  return good;
}

static void the_standard_vectors_of_rfc_4648_hold(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {"\xFB\xFF", "+/8="},
      {"\xFF\xFF\xFF", "////"},
      {"\xFB\xEF\xBE", "++++"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t whole = strlen(rows[i][1]), bare = strcspn(rows[i][1], "="), len = 99;
    size_t want = strlen(rows[i][0]);
    char out[16];
    assert_int_equal(ST_BASE64_LEN(want), whole);
    CHECK(read_standard(ST_PADDED, rows[i][1], whole, out, &len), "row %zu", i);
    CHECK(len == want && memcmp(out, rows[i][0], len) == 0, "row %zu", i);
    CHECK(read_standard(ST_UNPADDED, rows[i][1], bare, out, &len), "row %zu", i);
    CHECK(len == want && memcmp(out, rows[i][0], len) == 0, "row %zu", i);
    CHECK(bare == whole || !read_standard(ST_UNPADDED, rows[i][1], whole, out, &len), "row %zu", i);
    CHECK(bare == whole || !read_standard(ST_PADDED, rows[i][1], bare, out, &len), "row %zu", i);
    for (int padding = ST_UNPADDED; padding <= ST_PADDED; padding++) {
      st_writer writer = st_writer_on(out, sizeof out);
      st_base64_write(&writer, (st_padding)padding, rows[i][0], want);
      CHECK(st_writer_end(&writer) && writer.len == (padding == ST_PADDED ? whole : bare) &&
                memcmp(out, rows[i][1], writer.len) == 0,
            "row %zu: %s", i, out);
    }
  }
}

static void other_standard_spellings_are_refused(void **state) {
  (void)state;
  static const struct {
    st_padding padding;
    const char *text;
  } rows[] = {
      {ST_PADDED, "Zg"},          {ST_PADDED, "Zg="},
      {ST_PADDED, "Zg==="},       {ST_PADDED, "Zm8"},
      {ST_PADDED, "Zm8=="},       {ST_PADDED, "Zm9v="},
      {ST_PADDED, "Zm9v===="},    {ST_PADDED, "="},
      {ST_PADDED, "=="},          {ST_PADDED, "===="},
      {ST_PADDED, "Z==="},        {ST_PADDED, "Z=g="},
      {ST_PADDED, "Zg==Zm9v"},    {ST_PADDED, "=Zm8"},
      {ST_PADDED, "Zh=="}, /* stray bits */
      {ST_PADDED, "Zm9="},        {ST_PADDED, "-_8="},
      {ST_PADDED, "____"}, /* the other one */
      {ST_PADDED, "Zm9v\n"},      {ST_PADDED, " Zm9"},
      {ST_PADDED, "Zm\n="},       {ST_PADDED, "Zm*v"},
      {ST_UNPADDED, "Zg=="},      {ST_UNPADDED, "Zm8="},
      {ST_UNPADDED, "Z"},         {ST_UNPADDED, "Zm9vZ"},
      {ST_UNPADDED, "Zh"},        {ST_UNPADDED, "Zm9"},
      {ST_UNPADDED, "-_8"},       {ST_UNPADDED, "____"},
      {ST_UNPADDED, "Zm9v Zm9v"}, {ST_UNPADDED, "Zm9v*m9v"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[16];
    size_t len = 99;
    CHECK(!read_standard(rows[i].padding, rows[i].text, strlen(rows[i].text), out, &len), "%s",
          rows[i].text);
    CHECK(len == 99, "%s wrote a length", rows[i].text);
  }
}

/* Nothing is left of what is refused late, and nothing written where there is no room. */
static void a_small_buffer_is_refused_by_the_standard_alphabet(void **state) {
  (void)state;
  char out[6] = "......";
  size_t len = 7;
  assert_false(st_base64_read(ST_TEXT("Zm9vZm*v"), ST_PADDED, out, sizeof out, &len));
  assert_memory_equal(out, "\0\0\0\0\0\0", 6);
  memset(out, '.', sizeof out);
  assert_false(st_base64_read(ST_TEXT("Zh"), ST_UNPADDED, out, 1, &len));
  assert_memory_equal(out, "\0.....", 6);
  assert_false(st_base64_read(ST_TEXT("Z"), ST_UNPADDED, NULL, 0, &len));
  memset(out, '.', sizeof out);
  assert_false(st_base64_read(ST_TEXT("Zm9vZm9v"), ST_PADDED, out, 5, &len));
  assert_memory_equal(out, "......", 6);
  assert_int_equal(len, 7);
  assert_true(st_base64_read(ST_TEXT("Zm9vZm8="), ST_PADDED, out, 5, &len));
  assert_int_equal(len, 5);
  st_writer writer = st_writer_on(out, 3);
  st_base64_write(&writer, ST_PADDED, "f", 1);
  assert_true(writer.overflow);
}

/* Each byte at each place of each length: read by all readers, or by none. */
static void each_place_takes_the_alphabet_alone(void **state) {
  (void)state;
  static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t len = 2; len <= 9; len++) {
    if (len % 4 == 1) continue;
    for (size_t at = 0; at < len; at++) {
      for (int c = 0; c < 256; c++) {
        char text[9], out[9], *room = malloc(ST_BASE64URL_BYTES(len));
        size_t got;
        memset(text, 'A', sizeof text);
        text[at] = (char)c;
        subtoken_text exactly = exact(text, len);
        const char *in_url = c > 0 ? strchr(url, c) : NULL,
                   *in_standard = c > 0 ? strchr(standard, c) : NULL;
        size_t unused = at + 1 < len || len % 4 == 0 ? 1 : len % 4 == 2 ? 16 : 4;
        bool url_good = in_url != NULL && (size_t)(in_url - url) % unused == 0;
        bool standard_good = in_standard != NULL && (size_t)(in_standard - standard) % unused == 0;
        CHECK(st_base64url_decode(exactly, out, sizeof out, &got) == url_good, "%zu %zu %d", len,
              at, c);
        CHECK(st_base64url_decode_by(0, exactly, room, ST_BASE64URL_BYTES(len), &got) == url_good,
              "%zu %zu %d", len, at, c);
        CHECK(st_base64url_valid(exactly) == url_good, "%zu %zu %d", len, at, c);
        CHECK(st_base64_read(exactly, ST_UNPADDED, out, sizeof out, &got) == standard_good,
              "%zu %zu %d", len, at, c);
        free(room);
        release(exactly);
      }
    }
  }
}

/* Behind what was written before, in a block of the exact size and in one that is too small:
 * nothing is written behind it, and what does not fit changes nothing. */
static void what_does_not_fit_is_not_written(void **state) {
  (void)state;
  const uint8_t data[] = {0xFB, 0xFF, 0xBF, 0xFB, 0xFF, 0xBF, 0xFB};
  for (size_t len = 0; len <= sizeof data; len++) {
    for (size_t before = 0; before < 6; before++) {
      size_t need = ST_BASE64URL_LEN(len);
      for (size_t room = 0; room <= need; room++) {
        for (int how = 0; how < 3; how++) {
          char *out = malloc(before + room);
          st_writer writer = {.out = out, .size = before + room, .len = before};
          memset(out, 'x', before + room);
          if (how == 0) st_base64url_write_by(0, &writer, data, len);
          if (how == 1) st_base64url_write(&writer, data, len);
          if (how == 2) st_base64_write(&writer, ST_UNPADDED, data, len);
          CHECK(writer.overflow == (room < need), "%zu %zu %zu", len, before, room);
          CHECK(writer.len == before + (room < need ? 0 : need), "%zu %zu %zu", len, before, room);
          for (size_t i = 0; room < need && i < before + room; i++) assert_true(out[i] == 'x');
          free(out);
        }
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_vectors_of_rfc_4648_hold),
      cmocka_unit_test(other_spellings_are_refused),
      cmocka_unit_test(each_value_has_one_spelling),
      cmocka_unit_test(each_byte_is_decoded_or_refused_at_each_place),
      cmocka_unit_test(what_is_encoded_is_decoded_again),
      cmocka_unit_test(a_small_buffer_is_refused),
      cmocka_unit_test(the_standard_vectors_of_rfc_4648_hold),
      cmocka_unit_test(other_standard_spellings_are_refused),
      cmocka_unit_test(a_small_buffer_is_refused_by_the_standard_alphabet),
      cmocka_unit_test(each_place_takes_the_alphabet_alone),
      cmocka_unit_test(what_does_not_fit_is_not_written),
  };
  return cmocka_run_group_tests_name("base64url", tests, NULL, NULL);
}
