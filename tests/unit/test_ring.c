#include "support.h"

#include "core/ring.h"

static subtoken_ring ring;

static subtoken_result add(const char *kid, const void *secret, size_t len) {
  subtoken_text name = exact_string(kid), bytes = exact(secret, len);
  subtoken_result result = subtoken_ring_add(&ring, name, bytes.data, bytes.len);
  release(name);
  release(bytes);
  return result;
}

static void a_secret_has_32_to_64_bytes(void **state) {
  (void)state;
  char secret[80];
  for (size_t i = 0; i < sizeof secret; i++) secret[i] = (char)(i * i + 1);
  for (size_t len = 0; len <= sizeof secret; len++) {
    memset(&ring, 0, sizeof ring);
    subtoken_result want = len >= 32 && len <= 64 ? SUBTOKEN_OK : SUBTOKEN_BAD_SECRET;
    CHECK(add("k", secret, len) == want, "%zu bytes", len);
    assert_int_equal(ring.count, want == SUBTOKEN_OK);
  }
}

static void periodic_secrets_are_weak(void **state) {
  (void)state;
  memset(&ring, 0, sizeof ring);
  uint8_t secret[64];
  for (int c = 0; c < 256; c++) {
    for (size_t len = 32; len <= 64; len++) {
      memset(secret, c, len);
      CHECK(st_ring_secret_weak(secret, len), "%d x %zu", c, len);
    }
    secret[31] = (uint8_t)(c + 1); /* one byte that differs: a secret, if a poor one */
    assert_false(st_ring_secret_weak(secret, 32));
  }
  assert_int_equal(add("k", "abcabcabcabcabcabcabcabcabcabcabca", 34), SUBTOKEN_BAD_SECRET);
  assert_int_equal(add("k", "passwordpasswordpasswordpassword", 32), SUBTOKEN_BAD_SECRET);
  assert_int_equal(add("k", "not-long-enough.not-long-enough.", 32), SUBTOKEN_BAD_SECRET);
  assert_int_equal(add("k", "not-long-enough!.not-long-enough!.n", 35), SUBTOKEN_BAD_SECRET);
  assert_int_equal(add("k", "a-string-secret-at-least-256-bits-long", 38), SUBTOKEN_BAD_SECRET);
  assert_int_equal(add("k", "a-string-secret-at-least-256-bits-lonG", 38), SUBTOKEN_OK);
  static const char *const published[] = {
      /* RFC 7515 appendix A.1 and RFC 7520 section 4.4 */
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
      "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
  };
  for (size_t i = 0; i < COUNT(published); i++) {
    size_t len;
    assert_true(st_base64url_decode(st_text(published[i]), secret, sizeof secret, &len));
    assert_int_equal(add("p", secret, len), SUBTOKEN_BAD_SECRET);
    secret[0] ^= 1;
    CHECK(!st_ring_secret_weak(secret, len), "%zu", i);
  }
}

static void a_kid_is_valid_and_not_taken(void **state) {
  (void)state;
  static const struct {
    const char *kid;
    subtoken_result want;
  } rows[] = {
      {"", SUBTOKEN_OK},
      {"a", SUBTOKEN_OK},
      {"2026-11_A", SUBTOKEN_OK},
      {"-", SUBTOKEN_OK},
      {"a", SUBTOKEN_KID_TAKEN},
      {"", SUBTOKEN_KID_TAKEN},
      {"A", SUBTOKEN_OK},
      {"a b", SUBTOKEN_BAD_KID},
      {"a.b", SUBTOKEN_RING_MIXED},
      {".b", SUBTOKEN_RING_MIXED},
      {"a.", SUBTOKEN_BAD_KID},
      {"a.b.c", SUBTOKEN_BAD_KID},
      {"a:b", SUBTOKEN_BAD_KID},
      {"a\n", SUBTOKEN_BAD_KID},
      {"../etc", SUBTOKEN_BAD_KID},
      {"\xC3\xA9", SUBTOKEN_BAD_KID},
      {"a\"", SUBTOKEN_BAD_KID},
      {"0123456789012345678901234567890123456789012345678901234567890123", SUBTOKEN_OK},
      {"01234567890123456789012345678901234567890123456789012345678901234", SUBTOKEN_BAD_KID},
  };
  memset(&ring, 0, sizeof ring);
  for (size_t i = 0; i < COUNT(rows); i++) {
    /* One secret may stand under two names. */
    CHECK(add(rows[i].kid, TEST_SECRET, 32) == rows[i].want, "row %zu", i);
  }
  for (size_t i = 0; i < COUNT(rows); i++) {
    const subtoken_secret *found = st_ring_find(&ring, st_text(rows[i].kid));
    CHECK((found != NULL) == (rows[i].want == SUBTOKEN_OK || rows[i].want == SUBTOKEN_KID_TAKEN),
          "row %zu", i);
  }
  assert_null(st_ring_find(&ring, ST_TEXT("b")));
  assert_null(st_ring_find(&ring, ST_TEXT("a\0")));
  assert_false(st_ring_kid_valid(ST_TEXT("")));
}

static void a_full_ring_takes_no_more(void **state) {
  (void)state;
  memset(&ring, 0, sizeof ring);
  for (int i = 0; i <= SUBTOKEN_RING_MAX; i++) {
    char kid[16], secret[40];
    snprintf(kid, sizeof kid, "k%d", i);
    snprintf(secret, sizeof secret, "secret-number-%020d", i);
    assert_int_equal(add(kid, secret, strlen(secret)),
                     i < SUBTOKEN_RING_MAX ? SUBTOKEN_OK : SUBTOKEN_RING_FULL);
  }
  assert_int_equal(ring.count, SUBTOKEN_RING_MAX);
  assert_int_equal(add("k", "short", 5), SUBTOKEN_BAD_SECRET); /* the first reason */
  /* What it does not count it does not have. */
  assert_non_null(st_ring_find(&ring, ST_TEXT("k15")));
  ring.count = SUBTOKEN_RING_MAX - 1;
  assert_null(st_ring_find(&ring, ST_TEXT("k15")));
  ring.count = 0;
  assert_null(st_ring_find(&ring, ST_TEXT("k0")));
}

#define LINE_A ":c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE" /* TEST_SECRET */
#define LINE_B "two:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMj8"

/* F6: what editors and other systems put into the file is named, with the line. */
static void errors_of_a_file_name_the_line(void **state) {
  (void)state;
  static const char crlf[] = "ends with a carriage return (CRLF): lines end with a line feed alone";
  static const struct {
    const char *text;
    size_t line;
    const char *problem;
  } rows[] = {
      {LINE_A "\r\n", 1, crlf},
      {LINE_A "\n" LINE_B "\r\n", 2, crlf},
      {LINE_A "\r\n" LINE_B "\r\n", 1, crlf},
      {LINE_A "\n\r\n", 2, crlf},
      {"\xEF\xBB\xBF" LINE_A "\n", 1, "starts with a byte-order mark: save the file without one"},
      {"\xEF\xBB\xBF" LINE_A "\r\n", 1, "starts with a byte-order mark: save the file without one"},
      {"\xFF\xFE:", 1,
       "starts with the byte-order mark of UTF-16: save the file as ASCII or UTF-8"},
      {"\xFE\xFF:", 1,
       "starts with the byte-order mark of UTF-16: save the file as ASCII or UTF-8"},
      {LINE_A "\n\n" LINE_B, 2, "is empty: remove it"},
      {"\xEF\xBB\xBF", 1, "starts with a byte-order mark: save the file without one"},
      {"\xEF\xBB:", 1, "is not 32 to 64 bytes, or is easy to guess"},
      {"\xFF:", 1, "is not 32 to 64 bytes, or is easy to guess"},
      {"\xFE:", 1, "is not 32 to 64 bytes, or is easy to guess"},
      {"# ours\n" LINE_A, 1, "is a comment: the file has none"},
      {LINE_A " ", 1, "has white space: the file has none"},
      {LINE_A "\n\t" LINE_B, 2, "has white space: the file has none"},
      {"c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE", 1, "is not `kid:base64url`"},
      {LINE_A "\ntwo:c2hvcnQ\n", 2, "is not 32 to 64 bytes, or is easy to guess"},
      {"a/b" LINE_A, 1, "has a kid that is not up to 64 characters A-Za-z0-9_-"},
      {"a.b.c" LINE_A, 1,
       "has a kid that is not up to 64 characters A-Za-z0-9_- with one dot before an audience of 1 "
       "to 32 characters"},
      {"a.b:c2hvcnQ", 1, "is not 32 bytes as a derived secret is, or is easy to guess"},
      {".:c2hvcnQ", 1, "is not 32 bytes as a derived secret is, or is easy to guess"},
      {"a:c2hv.nQ", 1, "is not `kid:base64url`"},
      {LINE_A "\n.b" LINE_A, 2,
       "is for another audience than the first: a ring is plain, or all its secrets are derived "
       "for one audience"},
      {".b" LINE_A "\n" LINE_A, 2,
       "is for another audience than the first: a ring is plain, or all its secrets are derived "
       "for one audience"},
      {".b" LINE_A "\n.c" LINE_A, 2,
       "is for another audience than the first: a ring is plain, or all its secrets are derived "
       "for one audience"},
      {LINE_A "\n" LINE_A, 2, "repeats the kid of an earlier one"},
      {"", 0, "holds no secret"},
      {"\n", 0, "holds no secret"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    size_t line = 99;
    subtoken_result result = subtoken_ring_read(&ring, text, &line);
    const char *problem = subtoken_ring_error(text, line, result);
    CHECK(result != SUBTOKEN_OK && line == rows[i].line && strcmp(problem, rows[i].problem) == 0,
          "row %zu: %zu %s", i, line, problem);
    release(text);
  }
  assert_string_equal(subtoken_ring_error(st_text(LINE_A "\n"), 7, SUBTOKEN_RING_FULL),
                      "is one secret too many: at most 16");
  for (size_t line = 0; line < 3; line++) { /* without the line it is told all the same */
    subtoken_text none = {NULL, 0};
    assert_string_equal(subtoken_ring_error(none, line, SUBTOKEN_OK), "cannot be read");
    assert_string_equal(subtoken_ring_error((subtoken_text){NULL, 5}, line, SUBTOKEN_BAD_KID),
                        "has a kid that is not up to 64 characters A-Za-z0-9_-");
    assert_string_equal(subtoken_ring_error(none, line, SUBTOKEN_BAD_SECRET),
                        "is not 32 to 64 bytes, or is easy to guess");
    assert_string_equal(
        subtoken_ring_error(ST_TEXT(".eu" LINE_A), line, SUBTOKEN_BAD_KID),
        line == 1 ? "has a kid that is not up to 64 characters A-Za-z0-9_- with one dot before an "
                    "audience of 1 to 32 characters"
                  : "has a kid that is not up to 64 characters A-Za-z0-9_-");
  }
  assert_string_equal(subtoken_ring_error(ST_TEXT("a\nb.c"), 1, SUBTOKEN_BAD_KID),
                      "has a kid that is not up to 64 characters A-Za-z0-9_-");
}

static void a_file_is_read_whole_or_not_at_all(void **state) {
  (void)state;
  static const struct {
    const char *text;
    subtoken_result want;
    size_t line;
    size_t count;
  } rows[] = {
      {LINE_A, SUBTOKEN_OK, 0, 1},
      {LINE_A "\n", SUBTOKEN_OK, 0, 1},
      {LINE_B "\n" LINE_A "\n", SUBTOKEN_OK, 0, 2},
      {LINE_A "\n" LINE_B, SUBTOKEN_OK, 0, 2},
      {"", SUBTOKEN_NO_SECRET, 0, 0},
      {"\n", SUBTOKEN_NO_SECRET, 0, 0},
      {"\n\n", SUBTOKEN_MALFORMED, 1, 0},
      {LINE_A "\n\n", SUBTOKEN_MALFORMED, 2, 0},
      {LINE_A "\n\n" LINE_B, SUBTOKEN_MALFORMED, 2, 0},
      {LINE_A "\r\n", SUBTOKEN_MALFORMED, 1, 0},
      {" " LINE_A, SUBTOKEN_BAD_KID, 1, 0},
      {LINE_A " ", SUBTOKEN_MALFORMED, 1, 0},
      {LINE_A "=", SUBTOKEN_MALFORMED, 1, 0},
      {LINE_A ":x", SUBTOKEN_MALFORMED, 1, 0},
      {LINE_A ":", SUBTOKEN_MALFORMED, 1, 0},
      {"c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE", SUBTOKEN_MALFORMED, 1, 0},
      {"# a comment\n" LINE_A, SUBTOKEN_MALFORMED, 1, 0},
      {LINE_A "\n" LINE_A, SUBTOKEN_KID_TAKEN, 2, 0},
      {LINE_A "\ntwo:c2hvcnQ\n", SUBTOKEN_BAD_SECRET, 2, 0},
      {LINE_A "\na/b" LINE_A, SUBTOKEN_BAD_KID, 2, 0},
      {LINE_A "\na.b" LINE_A, SUBTOKEN_RING_MIXED, 2, 0},
      {".eu" LINE_A "\nnew.eu" LINE_A, SUBTOKEN_OK, 0, 2},
      {":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", SUBTOKEN_BAD_SECRET, 1, 0},
      {":", SUBTOKEN_BAD_SECRET, 1, 0},
      {"kid:", SUBTOKEN_BAD_SECRET, 1, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    size_t line = 99;
    memset(&ring, 0x55, sizeof ring);
    subtoken_result got = subtoken_ring_read(&ring, text, &line);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    CHECK(line == rows[i].line && ring.count == rows[i].count, "row %zu: line %zu", i, line);
    CHECK(subtoken_ring_read(&ring, text, NULL) == rows[i].want, "row %zu", i);
    /* A failure leaves no secret behind. */
    const unsigned char *bytes = (const unsigned char *)&ring;
    size_t set = 0;
    for (size_t at = 0; at < sizeof ring; at++) set += bytes[at] != 0;
    CHECK((set == 0) == (rows[i].want != SUBTOKEN_OK), "row %zu", i);
    release(text);
  }
}

static void the_first_signs(void **state) {
  (void)state;
  size_t line;
  assert_int_equal(subtoken_ring_read(&ring, ST_TEXT(LINE_B "\n" LINE_A "\n"), &line), SUBTOKEN_OK);
  assert_true(
      st_text_equal(ST_TEXT("two"), (subtoken_text){ring.secrets[0].kid, ring.secrets[0].kid_len}));
  assert_ptr_equal(st_ring_find(&ring, ST_TEXT("")), &ring.secrets[1]);
  assert_ptr_equal(st_ring_find(&ring, ST_TEXT("two")), &ring.secrets[0]);
  /* The longest line there can be. */
  subtoken_text secret = repeated("x", 'y', 63), kid = repeated("", 'k', 64);
  static char text[400];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_view(&writer, kid);
  st_write_char(&writer, ':');
  st_base64url_write(&writer, secret.data, secret.len);
  assert_int_equal(subtoken_ring_read(&ring, (subtoken_text){text, writer.len}, NULL), SUBTOKEN_OK);
  release(secret);
  release(kid);
  secret = repeated("x", 'y', 64); /* and one byte more */
  writer = st_writer_on(text, sizeof text);
  st_write_char(&writer, ':');
  st_base64url_write(&writer, secret.data, secret.len);
  assert_int_not_equal(subtoken_ring_read(&ring, (subtoken_text){text, writer.len}, NULL),
                       SUBTOKEN_OK);
  release(secret);
}

static bool is_zero(const void *memory, size_t len) {
  const unsigned char *bytes = memory;
  for (size_t i = 0; i < len; i++) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

/* ---- one secret ---- */

static void a_secret_is_set_whole(void **state) {
  (void)state;
  static const struct {
    const char *kid, *header;
  } rows[] = {
      {"", "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"},
      {"k", "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k\"}"},
      {"k.eu", "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k.eu\"}"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_secret a, b;
    char header[100];
    size_t len;
    memset(&a, 0, sizeof a);
    memset(&b, 0xA5, sizeof b); /* whatever was there before */
    subtoken_text kid = st_text(rows[i].kid);
    assert_int_equal(subtoken_secret_set(&a, kid, OTHER_SECRET, 32), SUBTOKEN_OK);
    st_ring_fill_secret(&b, kid, OTHER_SECRET, 32);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(
        st_base64url_decode((subtoken_text){a.header, a.header_len}, header, sizeof header, &len));
    CHECK(st_text_equal((subtoken_text){header, len}, st_text(rows[i].header)), "row %zu", i);
    /* Nothing is derived of what is derived. */
    bool is_derived = strchr(rows[i].kid, '.') != NULL;
    CHECK(is_zero(a.derive_inner, sizeof a.derive_inner) == is_derived, "row %zu", i);
    memset(&a, 0xA5, sizeof a);
    assert_int_equal(subtoken_secret_set(&a, kid, OTHER_SECRET, 31), SUBTOKEN_BAD_SECRET);
    assert_true(is_zero(&a, sizeof a));
    CHECK(subtoken_secret_set(&a, kid, OTHER_SECRET "!", 33) ==
              (is_derived ? SUBTOKEN_BAD_SECRET : SUBTOKEN_OK),
          "row %zu", i);
  }
  assert_int_equal(subtoken_secret_set(NULL, ST_TEXT("k"), OTHER_SECRET, 32),
                   SUBTOKEN_INVALID_ARGUMENT);
}

/* ---- deriving ---- */

static void a_ring_is_derived_whole_or_not_at_all(void **state) {
  (void)state;
  subtoken_text eu = ST_TEXT("eu");
  subtoken_ring *full = malloc(sizeof *full), out; /* so that what is behind it is not read */
  memset(full, 0, sizeof *full);
  for (int i = 0; i < SUBTOKEN_RING_MAX; i++) {
    char kid[16], secret[40];
    snprintf(kid, sizeof kid, "k%d", i);
    snprintf(secret, sizeof secret, "secret-number-%020d", i);
    assert_int_equal(subtoken_ring_add(full, st_text(kid), secret, strlen(secret)), SUBTOKEN_OK);
  }
  assert_int_equal(subtoken_ring_derive(full, eu, &out), SUBTOKEN_OK);
  assert_int_equal(out.count, SUBTOKEN_RING_MAX);
  assert_non_null(st_ring_find(&out, ST_TEXT("k15.eu")));
  full->count = SUBTOKEN_RING_MAX + 1;
  assert_int_equal(subtoken_ring_derive(full, eu, &out), SUBTOKEN_NO_SECRET);
  assert_true(is_zero(&out, sizeof out));
  assert_null(st_ring_find(full, eu));
  free(full);

  /* The first that cannot be derived is the reason: one that was not set, a kid that is too long.
   */
  ring_with(&ring, "k", TEST_SECRET);
  ring.secrets[1] = ring.secrets[2] = ring.secrets[0];
  ring.secrets[2].kid_len = SUBTOKEN_KID_MAX;
  ring.secrets[1].header_len = 0;
  ring.count = 3;
  assert_int_equal(subtoken_ring_derive(&ring, eu, &out), SUBTOKEN_NO_SECRET);
  assert_true(is_zero(&out, sizeof out));
  ring.secrets[1] = ring.secrets[2];
  ring.secrets[2].header_len = 0;
  assert_int_equal(subtoken_ring_derive(&ring, eu, &out), SUBTOKEN_BAD_KID);
  assert_true(is_zero(&out, sizeof out));

  ring.count = 1;
  assert_int_equal(subtoken_ring_derive(&ring, eu, &out), SUBTOKEN_OK);
  assert_true(st_text_equal(subtoken_ring_audience(&out), eu));
  out.count = 0; /* of an audience, but without a secret */
  subtoken_text none = subtoken_ring_audience(&out);
  assert_true(none.data == NULL && none.len == 0);
  /* Nobody can sign with a secret that was not set, which has the kid of the unnamed one. */
  memset(&out, 0, sizeof out);
  out.count = 1;
  assert_null(st_ring_find(&out, ST_TEXT("")));
}

/* RFC 5869 section 2, written out. */
static void a_secret_is_derived_by_hkdf(void **state) {
  (void)state;
  static const uint8_t salt[ST_HASH_LEN];
  subtoken_secret key = {0}, of_ring;
  uint8_t pseudorandom[ST_HASH_LEN], want[ST_HASH_LEN], out[SUBTOKEN_MAC_LEN];
  st_hmac_key(&key, salt, sizeof salt);
  st_hmac(&key, OTHER_SECRET, 32, pseudorandom);
  st_hmac_key(&key, pseudorandom, sizeof pseudorandom);
  st_hmac(&key, "subtoken aud 1:eu\1", 18, want);
  assert_int_equal(subtoken_secret_derive(OTHER_SECRET, 32, ST_TEXT("eu"), out), SUBTOKEN_OK);
  assert_memory_equal(out, want, sizeof want);
  subtoken_ring derived;
  ring_with(&ring, "k", OTHER_SECRET);
  assert_int_equal(subtoken_ring_derive(&ring, ST_TEXT("eu"), &derived), SUBTOKEN_OK);
  assert_int_equal(subtoken_secret_set(&of_ring, ST_TEXT("k.eu"), want, sizeof want), SUBTOKEN_OK);
  assert_memory_equal(&derived.secrets[0], &of_ring, sizeof of_ring);
  /* With the instructions of what it is made of: who derives for each token does not ask for them.
   */
  ring.secrets[0].cpu = of_ring.cpu = 0;
  assert_int_equal(subtoken_ring_derive(&ring, ST_TEXT("eu"), &derived), SUBTOKEN_OK);
  assert_memory_equal(&derived.secrets[0], &of_ring, sizeof of_ring);
}

static void a_secret_is_derived_or_none_is_told(void **state) {
  (void)state;
  uint8_t out[SUBTOKEN_MAC_LEN];
  subtoken_text none = {NULL, 0}, eu = ST_TEXT("eu");
  const struct {
    const void *secret;
    size_t len;
    subtoken_text audience;
    subtoken_result want;
  } rows[] = {
      {OTHER_SECRET, 32, eu, SUBTOKEN_OK},
      {NULL, 32, eu, SUBTOKEN_INVALID_ARGUMENT},
      {OTHER_SECRET, 32, none, SUBTOKEN_INVALID_ARGUMENT},
      {OTHER_SECRET, 32, ST_TEXT(""), SUBTOKEN_BAD_AUD},
      {OTHER_SECRET, 32, ST_TEXT("e.u"), SUBTOKEN_BAD_AUD},
      {OTHER_SECRET, 31, eu, SUBTOKEN_BAD_SECRET},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    memset(out, 0xA5, sizeof out);
    subtoken_result got =
        subtoken_secret_derive(rows[i].secret, rows[i].len, rows[i].audience, out);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    CHECK(is_zero(out, sizeof out) == (got != SUBTOKEN_OK), "row %zu", i);
  }
  assert_int_equal(subtoken_secret_derive(OTHER_SECRET, 32, eu, NULL), SUBTOKEN_INVALID_ARGUMENT);
}

/* A refusal changes nothing: neither the count nor a secret. */
static void bad_arguments_are_invalid(void **state) {
  (void)state;
  static subtoken_ring before;
  size_t line = 9;
  ring_with(&ring, "k", TEST_SECRET);
  before = ring;
  assert_int_equal(subtoken_ring_add(NULL, ST_TEXT("a"), OTHER_SECRET, 32),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("a"), NULL, 32), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_add(&ring, (subtoken_text){NULL, 1}, OTHER_SECRET, 32),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("k"), OTHER_SECRET, 32), SUBTOKEN_KID_TAKEN);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("a/b"), OTHER_SECRET, 32), SUBTOKEN_BAD_KID);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("a.b"), OTHER_SECRET, 32), SUBTOKEN_RING_MIXED);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("a"), OTHER_SECRET, 31), SUBTOKEN_BAD_SECRET);
  assert_memory_equal(&ring, &before, sizeof ring);
  /* A count that no ring can have is full, and is not followed. */
  ring.count = SIZE_MAX;
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("a"), OTHER_SECRET, 32), SUBTOKEN_RING_FULL);
  ring.count = SUBTOKEN_RING_MAX + 1;
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("a"), OTHER_SECRET, 32), SUBTOKEN_RING_FULL);
  assert_null(st_ring_find(&ring, ST_TEXT("a")));

  assert_int_equal(subtoken_ring_read(NULL, ST_TEXT(LINE_A), &line), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(line, 0);
  line = 9;
  assert_int_equal(subtoken_ring_read(&ring, (subtoken_text){NULL, 1}, &line),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(line, 0);
  assert_int_equal(subtoken_ring_read(NULL, (subtoken_text){NULL, 1}, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  memset(&ring, 'x', sizeof ring);
  assert_int_equal(subtoken_ring_read(&ring, (subtoken_text){NULL, 0}, &line), SUBTOKEN_NO_SECRET);
  assert_true(line == 0 && is_zero(&ring, sizeof ring));
  memset(&ring, 'x', sizeof ring);
  assert_int_equal(subtoken_ring_read(&ring, ST_TEXT(LINE_A "\nx"), NULL), SUBTOKEN_MALFORMED);
  assert_true(is_zero(&ring, sizeof ring));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_secret_has_32_to_64_bytes),
      cmocka_unit_test(periodic_secrets_are_weak),
      cmocka_unit_test(a_kid_is_valid_and_not_taken),
      cmocka_unit_test(a_full_ring_takes_no_more),
      cmocka_unit_test(errors_of_a_file_name_the_line),
      cmocka_unit_test(a_file_is_read_whole_or_not_at_all),
      cmocka_unit_test(the_first_signs),
      cmocka_unit_test(a_secret_is_set_whole),
      cmocka_unit_test(a_ring_is_derived_whole_or_not_at_all),
      cmocka_unit_test(a_secret_is_derived_by_hkdf),
      cmocka_unit_test(a_secret_is_derived_or_none_is_told),
      cmocka_unit_test(bad_arguments_are_invalid),
  };
  return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
