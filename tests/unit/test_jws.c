/* Tokens as they are split, sealed and opened. Their headers are in test_jws_header.c.
 */
#include "support.h"

#include "core/jws.h"
#include "subtoken/mac.h"

static subtoken_ring ring;

static subtoken_result check_token(subtoken_text token) {
  char payload[SUBTOKEN_TOKEN_MAX];
  size_t len;
  return subtoken_jws_open(&ring, token, payload, sizeof payload, &len);
}

/* The header that the ring writes is known by its bytes, another is parsed: what
 * comes behind is judged alike.
 */
static const char *const spellings[] = {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
                                        "{\"typ\":\"JWT\",\"alg\":\"HS256\"}"};

static void only_two_dots_and_base64url_are_split(void **state) {
  (void)state;
  static const char mac[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  /* H stands for the header; SUBTOKEN_MAC is what is well-formed but not signed. */
  static const struct {
    const char *text;
    const char *tail;
    subtoken_result want;
  } rows[] = {
      {"", "", SUBTOKEN_MALFORMED},
      {".", "", SUBTOKEN_MALFORMED},
      {"..", "", SUBTOKEN_MALFORMED},
      {"H", "", SUBTOKEN_MALFORMED},
      {"H.", "", SUBTOKEN_MALFORMED},
      {"H..", "", SUBTOKEN_MALFORMED},
      {"H.AAAA", "", SUBTOKEN_MALFORMED},
      {"H.", mac, SUBTOKEN_MALFORMED},
      {"H.AAAA.", mac, SUBTOKEN_MAC},
      {".AAAA.", mac, SUBTOKEN_MALFORMED},
      {"H..", mac, SUBTOKEN_MALFORMED},
      {"..", mac, SUBTOKEN_MALFORMED},
      {".", mac, SUBTOKEN_MALFORMED},
      {"H.AAAA.AAAA.", mac, SUBTOKEN_MALFORMED},
      {"H.AAAA..", mac, SUBTOKEN_MALFORMED},
      {"H..AAAA.", mac, SUBTOKEN_MALFORMED},
      {".H.AAAA.", mac, SUBTOKEN_MALFORMED},
      {"AAAA.H.AAAA.", mac, SUBTOKEN_MALFORMED},
      {"HAAAA.AAAA.", mac, SUBTOKEN_MALFORMED}, /* more behind the JSON */
      {"H=.AAAA.", mac, SUBTOKEN_MALFORMED},
      {"H.AAA=.", mac, SUBTOKEN_MALFORMED},
      {"H.AAAA=.", mac, SUBTOKEN_MALFORMED},
      {"H.A.", mac, SUBTOKEN_MALFORMED},
      {"H.AB.", mac, SUBTOKEN_MALFORMED}, /* stray bits */
      {"H.AA+A.", mac, SUBTOKEN_MALFORMED},
      {"H.AAAA.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", SUBTOKEN_MALFORMED},
      {"H.AAAA.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", SUBTOKEN_MALFORMED},
      {"H.AAAA.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ", SUBTOKEN_MALFORMED},
      {"H.AAAA.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.", SUBTOKEN_MALFORMED},
      {"H.AAAA.", "A", SUBTOKEN_MALFORMED},
      {"H.AAAA.", "", SUBTOKEN_MAC},
      {"H.AAAA.", "AAAA", SUBTOKEN_MAC},
      {"H.AAAA.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", SUBTOKEN_MAC}, /* one less */
      {"H.AAAA.AAAA", mac, SUBTOKEN_MAC},                                      /* 35 bytes */
      {"H.AAAA.A", mac, SUBTOKEN_MAC},                                         /* 33 bytes */
      {"H.AAAA.AA", mac, SUBTOKEN_MALFORMED},
      /* The first dot where the last one is in nearly all tokens. */
      {"H.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.", "AAA", SUBTOKEN_MAC},
      {"H.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.", "", SUBTOKEN_MAC},
  };
  for (size_t i = 0; i < COUNT(rows) * COUNT(spellings); i++) {
    char text[300];
    st_writer writer = st_writer_on(text, sizeof text);
    for (const char *c = rows[i / 2].text; *c != '\0'; c++) {
      if (*c == 'H') {
        st_base64url_write(&writer, spellings[i % 2], strlen(spellings[i % 2]));
      } else {
        st_write_char(&writer, *c);
      }
    }
    st_write_literal(&writer, rows[i / 2].tail);
    subtoken_text token = exact(text, writer.len);
    subtoken_result got = check_token(token);
    CHECK(got == rows[i / 2].want, "row %zu, spelling %zu: %s", i / 2, i % 2,
          subtoken_result_name(got));
    release(token);
  }
}

static void a_token_has_8192_bytes_at_most(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(spellings); i++) {
    char header[100];
    st_writer writer = st_writer_on(header, sizeof header);
    st_base64url_write(&writer, spellings[i], strlen(spellings[i]));
    st_write_char(&writer, '.');
    assert_true(st_writer_end(&writer));
    for (size_t len = SUBTOKEN_TOKEN_MAX - 4; len <= SUBTOKEN_TOKEN_MAX + 4; len++) {
      subtoken_text token = repeated(header, 'A', len - writer.len);
      size_t dot = writer.len + (len - writer.len) / 8 * 4; /* both parts of a whole length, or */
      ((char *)(uintptr_t)token.data)[dot] = '.';
      bool odd = (len - dot - 1) % 4 == 1; /* a length that base64url does not have */
      subtoken_result want = len > SUBTOKEN_TOKEN_MAX ? SUBTOKEN_TOO_LARGE
                             : odd                    ? SUBTOKEN_MALFORMED
                                                      : SUBTOKEN_MAC;
      CHECK(check_token(token) == want, "%zu", len);
      release(token);
    }
  }
}

/* Too small a room for the payload is said, and nothing is left in it. */
static void a_small_buffer_is_refused_and_left_empty(void **state) {
  (void)state;
  char token[SUBTOKEN_TOKEN_MAX + 1], out[100];
  size_t token_len, len;
  assert_int_equal(subtoken_jws_seal(&ring, "any bytes", 9, token, sizeof token, &token_len),
                   SUBTOKEN_OK);
  subtoken_text text = {token, token_len};
  for (size_t room = 0; room < 12; room++) {
    memset(out, 'x', sizeof out);
    subtoken_result got = subtoken_jws_open(&ring, text, out, room, &len);
    CHECK(got == (room < 9 ? SUBTOKEN_BUFFER_TOO_SMALL : SUBTOKEN_OK), "%zu", room);
    CHECK(len == (room < 9 ? 0 : 9) && out[room] == 'x', "%zu", room);
    if (room >= 9) assert_memory_equal(out, "any bytes", 9);
  }
  /* Where a header is missing or no text, that is said first. */
  static const char *const malformed[] = {".", ".eyJhbGciOiJIUzI1NiJ9."};
  for (size_t i = 0; i < COUNT(malformed); i++) {
    char bad[200];
    snprintf(bad, sizeof bad, "%sAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
             malformed[i]);
    CHECK(subtoken_jws_open(&ring, st_text(bad), out, 2, &len) == SUBTOKEN_MALFORMED, "%s", bad);
  }
  token[token_len - 2] = token[token_len - 2] == 'A' ? 'B' : 'A';
  assert_int_equal(subtoken_jws_open(&ring, text, out, sizeof out, &len), SUBTOKEN_MAC);
  assert_true(len == 0 && out[0] == '\0');
  static char large[SUBTOKEN_TOKEN_MAX + 2];
  memset(large, 'x', sizeof large);
  assert_int_equal(subtoken_jws_open(&ring, text, large, sizeof large, &len), SUBTOKEN_MAC);
  assert_true(large[SUBTOKEN_TOKEN_MAX - 1] == '\0' && large[SUBTOKEN_TOKEN_MAX] == 'x');
  /* A secret that was never set signs for anybody. */
  static subtoken_ring zero = {.count = 1};
  assert_int_equal(subtoken_jws_open(&zero, text, out, sizeof out, &len), SUBTOKEN_KID);
}

static void any_payload_is_sealed_and_opened(void **state) {
  (void)state;
  static char payload[SUBTOKEN_TOKEN_MAX], token[SUBTOKEN_TOKEN_MAX + 1], out[SUBTOKEN_TOKEN_MAX];
  static const subtoken_ring empty;
  size_t len, out_len;
  memset(payload, 'p', sizeof payload);
  size_t most = 0;
  for (size_t n = 6000; n < 6144; n++) {
    subtoken_result got = subtoken_jws_seal(&ring, payload, n, token, sizeof token, &len);
    CHECK(got == SUBTOKEN_OK || got == SUBTOKEN_TOO_LARGE, "%zu", n);
    if (got != SUBTOKEN_OK) continue;
    most = n;
    CHECK(len <= SUBTOKEN_TOKEN_MAX && strlen(token) == len, "%zu", n);
    CHECK(subtoken_jws_seal(&ring, payload, n, token, len, &len) == SUBTOKEN_BUFFER_TOO_SMALL,
          "%zu", n);
    assert_int_equal(subtoken_jws_seal(&ring, payload, n, token, sizeof token, &len), SUBTOKEN_OK);
    subtoken_text text = {token, len};
    CHECK(subtoken_jws_open(&ring, text, out, sizeof out, &out_len) == SUBTOKEN_OK, "%zu", n);
    CHECK(out_len == n && memcmp(out, payload, n) == 0, "%zu", n);
  }
  assert_true(most > 6050);
  assert_int_equal(subtoken_jws_seal(&ring, payload, 0, token, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_jws_seal(&empty, payload, 9, token, sizeof token, &len),
                   SUBTOKEN_NO_SECRET);
  subtoken_ring none = ring; /* what a ring does not count it does not have */
  none.count = 0;
  assert_int_equal(subtoken_jws_seal(&none, payload, 9, token, sizeof token, &len),
                   SUBTOKEN_NO_SECRET);
  /* So long that the length of its base64url is 0 in a size_t. */
  assert_int_equal(
      subtoken_jws_seal(&ring, payload, ((SIZE_MAX / 4 + 1) * 3) * 3, token, sizeof token, &len),
      SUBTOKEN_TOO_LARGE);
}

static void only_the_right_mac_opens(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text good = signed_token(TEST_SECRET, st_text(HEADER), ST_TEXT("{}"));
  subtoken_text other = signed_token(OTHER_SECRET, st_text(HEADER), ST_TEXT("{}"));
  assert_int_equal(check_token(good), SUBTOKEN_OK);
  assert_int_equal(check_token(other), SUBTOKEN_MAC);
  /* Cut to a length that is still base64url, down to nothing, and made longer. */
  for (size_t cut = 1; cut <= 43; cut++) {
    subtoken_text shorter = exact(good.data, good.len - cut);
    subtoken_result got = check_token(shorter);
    CHECK(got == SUBTOKEN_MAC || got == SUBTOKEN_MALFORMED, "cut by %zu", cut);
    if (cut % 4 == 3) CHECK(got == SUBTOKEN_MAC, "cut by %zu", cut);
    release(shorter);
  }
  for (size_t more = 1; more <= 8; more++) {
    char text[300];
    memcpy(text, good.data, good.len);
    memset(text + good.len, 'A', more);
    subtoken_text longer = exact(text, good.len + more);
    CHECK(check_token(longer) != SUBTOKEN_OK, "%zu more", more);
    release(longer);
  }
  release(good);
  release(other);
}

/* Header, kid behind typ, payload and MAC, byte for byte, and a NUL. */
static void a_token_is_written_byte_for_byte(void **state) {
  (void)state;
  char out[400];
  size_t len;
  for (int named = 0; named < 2; named++) {
    ring_with(&ring, named ? "2026_a-Z" : "", TEST_SECRET);
    subtoken_text token = signed_token(
        TEST_SECRET,
        st_text(named ? "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"2026_a-Z\"}" : HEADER),
        ST_TEXT("{\"a\":1}"));
    memset(out, 'x', sizeof out);
    assert_int_equal(st_jws_seal(&ring.secrets[0], ST_TEXT("{\"a\":1}"), SUBTOKEN_TOKEN_MAX, out,
                                 sizeof out, &len),
                     SUBTOKEN_OK);
    assert_true(len == token.len && memcmp(out, token.data, len) == 0);
    assert_true(out[len] == '\0' && out[len + 1] == 'x');
    assert_int_equal(check_token(token), SUBTOKEN_OK);
    for (size_t room = 0; room <= token.len; room++) {
      char *small = malloc(room);
      memset(small, 'x', room);
      len = 99;
      CHECK(st_jws_seal(&ring.secrets[0], ST_TEXT("{\"a\":1}"), SUBTOKEN_TOKEN_MAX, small, room,
                        &len) == SUBTOKEN_BUFFER_TOO_SMALL,
            "room for %zu", room);
      CHECK(len == 99 && (room == 0 || small[0] == 'x'), "room for %zu", room);
      len = 99;
      CHECK(
          subtoken_jws_seal(&ring, "{\"a\":1}", 7, small, room, &len) == SUBTOKEN_BUFFER_TOO_SMALL,
          "room for %zu", room);
      CHECK(len == 0 && (room == 0 || small[0] == '\0'), "room for %zu", room);
      free(small);
    }
    char *fits = malloc(token.len + 1);
    assert_int_equal(
        st_jws_seal(&ring.secrets[0], ST_TEXT("{\"a\":1}"), token.len, fits, token.len + 1, &len),
        SUBTOKEN_OK);
    assert_int_equal(len, token.len);
    /* A limit of its own, which goes before the room. */
    assert_int_equal(
        st_jws_seal(&ring.secrets[0], ST_TEXT("{\"a\":1}"), token.len - 1, fits, 0, &len),
        SUBTOKEN_TOO_LARGE);
    free(fits);
    release(token);
  }
}

static void the_longest_kid_fits(void **state) {
  (void)state;
  char kid[65], header[120], out[400];
  size_t len;
  memset(kid, 'k', 64);
  kid[64] = '\0';
  ring_with(&ring, kid, TEST_SECRET);
  snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", kid);
  subtoken_text token = signed_token(TEST_SECRET, st_text(header), ST_TEXT("{}"));
  assert_int_equal(subtoken_jws_seal(&ring, "{}", 2, out, sizeof out, &len), SUBTOKEN_OK);
  assert_true(st_text_equal(token, (subtoken_text){out, len}));
  assert_int_equal(check_token(token), SUBTOKEN_OK);
  release(token);
}

/* A payload of each length, by the processor's instructions and without. */
static void each_length_is_sealed_and_opened(void **state) {
  (void)state;
  static char payload[400], token[1000], plain[1000], out[400];
  static subtoken_ring no_cpu;
  uint64_t seed = 1;
  ring_with(&ring, "k", TEST_SECRET);
  no_cpu = ring;
  no_cpu.secrets[0].cpu = 0;
  for (size_t n = 1; n <= sizeof payload; n++) {
    size_t len, plain_len, out_len;
    for (size_t i = 0; i < n; i++) payload[i] = (char)random_next(&seed);
    assert_int_equal(subtoken_jws_seal(&ring, payload, n, token, sizeof token, &len), SUBTOKEN_OK);
    assert_int_equal(subtoken_jws_seal(&no_cpu, payload, n, plain, sizeof plain, &plain_len),
                     SUBTOKEN_OK);
    CHECK(len == plain_len && memcmp(token, plain, len) == 0, "%zu", n);
    subtoken_text text = exact(token, len);
    char *room = malloc(n);
    CHECK(subtoken_jws_open(&ring, text, room, n, &out_len) == SUBTOKEN_OK, "%zu", n);
    CHECK(out_len == n && memcmp(room, payload, n) == 0, "%zu", n);
    CHECK(subtoken_jws_open(&no_cpu, text, room, n, &out_len) == SUBTOKEN_OK, "%zu", n);
    CHECK(out_len == n && memcmp(room, payload, n) == 0, "%zu", n);
    CHECK(subtoken_jws_open(&ring, text, out, n - 1, &out_len) == SUBTOKEN_BUFFER_TOO_SMALL, "%zu",
          n);
    free(room);
    /* Any byte of it changed is noticed by both alike. */
    char *bytes = (char *)(uintptr_t)text.data;
    for (int i = 0; i < 40; i++) {
      size_t at = random_below(&seed, len);
      char was = bytes[at];
      bytes[at] = (char)random_next(&seed);
      if (bytes[at] == was) continue;
      subtoken_result got = subtoken_jws_open(&ring, text, out, sizeof out, &out_len);
      CHECK(got != SUBTOKEN_OK && out_len == 0, "%zu: byte %zu", n, at);
      CHECK(subtoken_jws_open(&no_cpu, text, out, sizeof out, &out_len) == got, "%zu: byte %zu", n,
            at);
      bytes[at] = was;
    }
    release(text);
  }
}

static void bad_arguments_are_invalid(void **state) {
  (void)state;
  static const subtoken_ring empty;
  char token[200], out[64];
  size_t len, token_len;
  ring_with(&ring, "", TEST_SECRET);
  assert_int_equal(subtoken_jws_seal(&ring, "{}", 2, token, sizeof token, &token_len), SUBTOKEN_OK);
  subtoken_text text = {token, token_len};

  memset(out, 'x', sizeof out);
  len = 9;
  assert_int_equal(subtoken_jws_open(NULL, text, out, sizeof out, &len), SUBTOKEN_INVALID_ARGUMENT);
  assert_true(len == 0 && out[0] == 0 && out[sizeof out - 1] == 0);
  memset(out, 'x', sizeof out);
  len = 9;
  assert_int_equal(subtoken_jws_open(&ring, (subtoken_text){NULL, 0}, out, sizeof out, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(len == 0 && out[0] == 0 && out[sizeof out - 1] == 0);
  len = 9;
  assert_int_equal(subtoken_jws_open(&ring, text, NULL, sizeof out, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(len, 0);
  assert_int_equal(subtoken_jws_open(&ring, text, out, sizeof out, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_jws_open(NULL, (subtoken_text){NULL, 0}, NULL, 0, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  /* Nothing behind the room is touched. */
  memset(out, 'x', sizeof out);
  assert_int_equal(subtoken_jws_open(&empty, text, out, 5, &len), SUBTOKEN_KID);
  assert_true(len == 0 && memcmp(out, "\0\0\0\0\0x", 6) == 0);

  memset(token, 'x', sizeof token);
  len = 9;
  assert_int_equal(subtoken_jws_seal(NULL, "{}", 2, token, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(len == 0 && token[0] == '\0');
  memset(token, 'x', sizeof token);
  len = 9;
  assert_int_equal(subtoken_jws_seal(&ring, NULL, 2, token, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(len == 0 && token[0] == '\0');
  assert_int_equal(subtoken_jws_seal(&ring, "{}", 2, NULL, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_jws_seal(&ring, "{}", 2, token, sizeof token, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_jws_seal(&ring, "{}", SIZE_MAX, token, sizeof token, &len),
                   SUBTOKEN_TOO_LARGE);
  assert_int_equal(subtoken_jws_seal(&empty, "{}", 2, token, 0, &len), SUBTOKEN_NO_SECRET);
}

static int setup(void **state) {
  (void)state;
  ring_with_two(&ring);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_two_dots_and_base64url_are_split),
      cmocka_unit_test(a_token_has_8192_bytes_at_most),
      cmocka_unit_test(a_small_buffer_is_refused_and_left_empty),
      cmocka_unit_test(any_payload_is_sealed_and_opened),
      cmocka_unit_test(only_the_right_mac_opens),
      cmocka_unit_test(a_token_is_written_byte_for_byte),
      cmocka_unit_test(the_longest_kid_fits),
      cmocka_unit_test(each_length_is_sealed_and_opened),
      cmocka_unit_test(bad_arguments_are_invalid),
  };
  return cmocka_run_group_tests_name("jws", tests, setup, NULL);
}
