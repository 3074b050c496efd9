/* chunked: bodies without a length (D1), whole, split at every byte, and in pieces drawn at
 * random; and a table of what is refused.
 */
#include "support.h"

#include "service/chunked.h"

#define LAST "0\r\n\r\n"

static st_chunked chunked;
static char body[ST_REQUEST_BODY_MAX];

/* In pieces of at most `most` bytes, each in memory of exactly its length. Answers how many bytes
 * were taken. */
static size_t read_pieces(subtoken_text bytes, size_t most) {
  size_t used = 0;
  memset(&chunked, 0, sizeof chunked);
  memset(body, 'Z', sizeof body);
  while (used < bytes.len && chunked.state == ST_CHUNKED_MORE) {
    size_t len = bytes.len - used < most ? bytes.len - used : most;
    subtoken_text piece = exact(bytes.data + used, len);
    size_t took = st_chunked_read(&chunked, piece.data, piece.len, body);
    CHECK(took == len || chunked.state != ST_CHUNKED_MORE, "%zu of %zu", took, len);
    used += took;
    release(piece);
  }
  return used;
}

static void must_read(const char *text, const char *want, size_t used) {
  subtoken_text bytes = st_text(text);
  for (size_t most = 1; most <= bytes.len; most++) {
    size_t took = read_pieces(bytes, most);
    CHECK(chunked.state == ST_CHUNKED_DONE, "%s by %zu: %d", text, most, chunked.state);
    CHECK(took == used, "%s by %zu: %zu taken", text, most, took);
    CHECK(chunked.body_len == strlen(want) && memcmp(body, want, strlen(want)) == 0,
          "%s by %zu: %.*s", text, most, (int)chunked.body_len, body);
  }
}

static void chunks_are_joined(void **state) {
  (void)state;
  must_read(LAST, "", 5);
  must_read("00000000\r\n\r\n", "", 12);
  must_read("5\r\nhello\r\n" LAST, "hello", 15);
  must_read("1\r\nh\r\n4\r\nello\r\n" LAST, "hello", 20);
  must_read("a\r\n0123456789\r\nA\r\n0123456789\r\n" LAST, "01234567890123456789", 35);
  must_read("9\r\n012345678\r\n" LAST, "012345678", 19);
  must_read("00000003\r\n0\r\n\r\n" LAST, "0\r\n", 20); /* data is data */
  must_read("5\r\nhello\r\n" LAST "GET / HTTP/1.1\r\n", "hello", 15);
  must_read(LAST LAST, "", 5);
}

static void other_framings_are_refused(void **state) {
  (void)state;
  static const char *const rows[] = {
      "\r\n",
      "\n",
      " 5\r\nhello\r\n" LAST,
      "5 \r\nhello\r\n" LAST,
      "5\t\r\nhello\r\n" LAST,
      "5;a=b\r\nhello\r\n" LAST,
      "5;\r\nhello\r\n" LAST,
      "5\nhello\r\n" LAST,
      "5\n\nhello\r\n" LAST,
      "5 \nhello\r\n" LAST,
      "5;\nhello\r\n" LAST,
      "FFFFFFFF\r\r\n",
      "5\rhello",
      "5\r\rhello",
      "0x5\r\nhello\r\n" LAST,
      "+5\r\nhello\r\n" LAST,
      "-5\r\nhello\r\n" LAST,
      "5h\r\nhello\r\n" LAST,
      "g\r\n",
      "\xEF\xBC\x95\r\nhello\r\n" LAST, /* a fullwidth five */
      "000000005\r\nhello\r\n" LAST,    /* nine digits */
      "FFFFFFFFFFFFFFFF5\r\nhello\r\n" LAST,
      "5\r\nhello" LAST,
      "5\r\nhello\n" LAST,
      "5\r\nhelloX\r\n" LAST,
      "5\r\nhello\r\r\n" LAST,
      "4\r\nhello\r\n" LAST,
      "6\r\nhello\r\n" LAST,
      "0\r\nA: b\r\n\r\n",
      "0\r\n\n",
      "0\r\n\r\r",
      "0\n\r\n",
      "0;a\r\n\r\n",
      "0\r\n0\r\n\r\n",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text bytes = st_text(rows[i]);
    size_t whole = read_pieces(bytes, bytes.len);
    CHECK(chunked.state == ST_CHUNKED_BAD, "%s: %d", rows[i], chunked.state);
    CHECK(read_pieces(bytes, 1) == whole && chunked.state == ST_CHUNKED_BAD, "%s by 1", rows[i]);
    /* Refused stays refused. */
    CHECK(st_chunked_read(&chunked, LAST, 5, body) == 0, "%s", rows[i]);
  }
}

static void a_body_has_8192_bytes_at_most(void **state) {
  (void)state;
  static const char *const sizes[] = {"2001\r\n", "FFFFFFFF\r\n", "80000000\r\n", "00002001\r\n"};
  for (size_t i = 0; i < COUNT(sizes); i++) {
    (void)read_pieces(st_text(sizes[i]), 64);
    CHECK(chunked.state == ST_CHUNKED_TOO_LONG, "%s: %d", sizes[i], chunked.state);
    (void)read_pieces(st_text(sizes[i]), 1);
    CHECK(chunked.state == ST_CHUNKED_TOO_LONG, "%s by 1: %d", sizes[i], chunked.state);
  }
  /* The size goes with what has come before it. */
  static char text[ST_REQUEST_BODY_MAX + 64];
  for (size_t more = 0; more <= 2; more++) {
    int front = snprintf(text, sizeof text, "1fff\r\n");
    memset(text + front, 'x', 0x1FFF);
    static const char *const tails[] = {"\r\n" LAST, "\r\n1\r\ny\r\n" LAST, "\r\n2\r\nyz\r\n" LAST};
    memcpy(text + front + 0x1FFF, tails[more], strlen(tails[more]));
    subtoken_text bytes = {text, (size_t)front + 0x1FFF + strlen(tails[more])};
    (void)read_pieces(bytes, bytes.len);
    CHECK(chunked.state == (more < 2 ? ST_CHUNKED_DONE : ST_CHUNKED_TOO_LONG), "%zu more: %d", more,
          chunked.state);
  }
}

/* One byte a chunk, with the longest sizes: what framing can cost at the most. */
static void the_most_framing_is_bounded(void **state) {
  (void)state;
  static char text[ST_CHUNKED_RAW_MAX + 1];
  size_t len = 0;
  for (size_t i = 0; i < ST_REQUEST_BODY_MAX; i++) {
    len +=
        (size_t)snprintf(text + len, sizeof text - len, "00000001\r\n%c\r\n", (char)('a' + i % 26));
  }
  len += (size_t)snprintf(text + len, sizeof text - len, "00000000\r\n\r\n");
  assert_int_equal(len, ST_CHUNKED_RAW_MAX);
  assert_int_equal(read_pieces((subtoken_text){text, len}, 1000), len);
  assert_int_equal(chunked.state, ST_CHUNKED_DONE);
  assert_int_equal(chunked.body_len, ST_REQUEST_BODY_MAX);
  for (size_t i = 0; i < ST_REQUEST_BODY_MAX; i++) assert_int_equal(body[i], 'a' + i % 26);
}

static uint32_t draw(uint32_t *seed, uint32_t bound) {
  *seed = *seed * 1664525 + 1013904223;
  return (*seed >> 8) % bound;
}

/* Property: bytes, good or spoiled, decode alike in any pieces, and in place. */
static void any_split_decodes_alike(void **state) {
  (void)state;
  uint32_t seed = 1;
  for (int round = 0; round < 3000; round++) {
    char text[1200];
    size_t len = 0;
    for (uint32_t chunks = draw(&seed, 6); chunks > 0; chunks--) {
      uint32_t size = 1 + draw(&seed, 40);
      len += (size_t)snprintf(text + len, 64, "%0*x\r\n", 1 + (int)draw(&seed, 8), size);
      for (uint32_t i = 0; i < size; i++) text[len++] = "0a\r\n;"[draw(&seed, 5)];
      memcpy(text + len, "\r\n", 2);
      len += 2;
    }
    memcpy(text + len, LAST, 5);
    len += 5;
    if (draw(&seed, 2) == 0) text[draw(&seed, (uint32_t)len)] = "0a\r\n;"[draw(&seed, 5)];
    subtoken_text bytes = {text, len};
    size_t used = read_pieces(bytes, len);
    st_chunked whole = chunked;
    char want[ST_REQUEST_BODY_MAX];
    memcpy(want, body, whole.body_len);
    for (size_t most = 1; most < 30; most += 1 + draw(&seed, 5)) {
      size_t took = read_pieces(bytes, most);
      CHECK(chunked.state == whole.state && took == used && chunked.body_len == whole.body_len &&
                memcmp(body, want, whole.body_len) == 0,
            "round %d by %zu: %.*s", round, most, (int)len, text);
    }
    memset(&chunked, 0, sizeof chunked);
    assert_int_equal(st_chunked_read(&chunked, text, len, text), used);
    CHECK(chunked.state == whole.state && memcmp(text, want, whole.body_len) == 0, "in place, %d",
          round);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chunks_are_joined),
      cmocka_unit_test(other_framings_are_refused),
      cmocka_unit_test(a_body_has_8192_bytes_at_most),
      cmocka_unit_test(the_most_framing_is_bounded),
      cmocka_unit_test(any_split_decodes_alike),
  };
  return cmocka_run_group_tests_name("chunked", tests, NULL, NULL);
}
