/* The one-pass reader of what we issue (core/claims_fast.c) against the reader of any JSON:
 * whatever the first accepts the second reads alike, and it accepts the same with and
 * without the processor's instructions.
 */
#include "support.h"

#include "base/vector.h"
#include "core/claims_fast.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#endif

static uint8_t this_cpu; /* asked once: under a hypervisor that takes its time */

typedef struct reading {
  subtoken_result result;
  subtoken_text fault;
  subtoken_claims claims;
} reading;

/* As subtoken_verify leaves them before it reads: lists in disorder. */
static void prepare(reading *to, const char *payload, size_t len) {
  subtoken_claims *claims = &to->claims;
  if (len > sizeof claims->text) abort();
  memset(claims, 0, offsetof(subtoken_claims, permissions));
  memset(claims->permissions, 0x55, sizeof claims->permissions);
  memset(claims->via, 0x55, sizeof claims->via);
  memset(claims->urls, 0x55, sizeof claims->urls);
  memcpy(claims->text, payload, len);
  claims->text_len = (uint16_t)len;
  to->fault = (subtoken_text){NULL, 0};
  ASAN_POISON_MEMORY_REGION(claims->text + len, sizeof claims->text - len);
}

static void finish(reading *to) {
  ASAN_UNPOISON_MEMORY_REGION(to->claims.text, sizeof to->claims.text);
}

static bool read_issued(uint8_t cpu, reading *to, const char *payload, size_t len) {
  prepare(to, payload, len);
  bool good = st_claims_fast_read(cpu, &to->claims);
  finish(to);
  to->result = good ? SUBTOKEN_OK : SUBTOKEN_MALFORMED;
  return good;
}

static void read_any(reading *to, const char *payload, size_t len) {
  prepare(to, payload, len);
  to->result = st_claims_read_any(&to->claims, &to->fault);
  finish(to);
}

static void read_either(uint8_t cpu, reading *to, const char *payload, size_t len) {
  prepare(to, payload, len);
  to->result = st_claims_read(cpu, &to->claims, &to->fault);
  finish(to);
}

static bool same_slice(subtoken_slice a, subtoken_slice b) {
  return a.at == b.at && a.len == b.len;
}

static bool same_claims(const subtoken_claims *a, const subtoken_claims *b) {
  bool same = a->iat == b->iat && a->exp == b->exp && a->nbf == b->nbf &&
              a->every_url == b->every_url && a->aud_named == b->aud_named &&
              a->permission_count == b->permission_count && a->url_count == b->url_count &&
              a->text_len == b->text_len && same_slice(a->sub, b->sub) &&
              same_slice(a->iss, b->iss) && same_slice(a->sid, b->sid) &&
              same_slice(a->aud, b->aud) && memcmp(a->text, b->text, a->text_len) == 0;
  for (size_t i = 0; same && i < a->permission_count; i++) {
    same = same_slice(a->permissions[i], b->permissions[i]);
  }
  for (size_t i = 0; same && i < a->url_count; i++) same = same_slice(a->urls[i], b->urls[i]);
  same = same && a->via_count == b->via_count && a->tid.len == 0 && b->tid.len == 0;
  for (size_t i = 0; same && i < a->via_count; i++) same = same_slice(a->via[i], b->via[i]);
  return same;
}

/* A fault is a view of the claims that were read. */
static bool same_fault(const reading *a, const reading *b) {
  return a->fault.len == b->fault.len &&
         (a->fault.len == 0 || memcmp(a->fault.data, b->fault.data, a->fault.len) == 0);
}

/* What has to hold of any payload. True when it was read in one pass. */
static bool holds(const char *payload, size_t len) {
  static reading plain, fast, any, either;
  bool issued = read_issued(0, &plain, payload, len);
  CHECK(read_issued(this_cpu, &fast, payload, len) == issued, "%d: %.*s", issued, (int)len,
        payload);
  read_any(&any, payload, len);
  if (issued) {
    CHECK(any.result == SUBTOKEN_OK, "%s: %.*s", subtoken_result_name(any.result), (int)len,
          payload);
    CHECK(same_claims(&plain.claims, &any.claims), "%.*s", (int)len, payload);
    CHECK(same_claims(&fast.claims, &any.claims), "%.*s", (int)len, payload);
    CHECK(fast.claims.aud.len > 0 || memcmp(payload, fast.claims.text, len) == 0, "%.*s", (int)len,
          payload);
  } else {
    for (int i = 0; i < 2; i++) {
      const reading *left = i == 0 ? &plain : &fast;
      CHECK(left->claims.permission_count == 0 && left->claims.url_count == 0 &&
                left->claims.via_count == 0 && left->claims.sid.len == 0 &&
                left->claims.aud.len == 0 && memcmp(payload, left->claims.text, len) == 0,
            "%.*s", (int)len, payload);
    }
  }
  for (int twice = 0; twice < 2; twice++) {
    read_either(twice == 0 ? this_cpu : 0, &either, payload, len);
    CHECK(either.result == any.result, "%s, not %s: %.*s", subtoken_result_name(either.result),
          subtoken_result_name(any.result), (int)len, payload);
    if (any.result == SUBTOKEN_OK) {
      CHECK(same_claims(&either.claims, &any.claims), "%.*s", (int)len, payload);
    }
    if (any.result == SUBTOKEN_CLAIMS) CHECK(same_fault(&either, &any), "%.*s", (int)len, payload);
    if (issued) break; /* compared above */
  }
  return issued;
}

/* ---- what we write ---- */

static subtoken_text random_of(uint64_t *seed, const char *pool, size_t least, size_t most,
                               char *out) {
  size_t len = least + random_below(seed, most - least + 1), count = strlen(pool);
  for (size_t i = 0; i < len; i++) out[i] = pool[random_below(seed, count)];
  return (subtoken_text){out, len};
}

#define NAMES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define SCOPES NAMES "!#$%&'()*+./:;<=>?@[]^`{|}~"

/* One to four segments out of plain characters, escapes and stars as data. */
static subtoken_text random_entry(uint64_t *seed, char *out, bool plain) {
  static const char *const escapes[] = {"%20", "%2A",    "%22",       "%3C",         "%5B",
                                        "%7C", "%C3%A9", "%E2%82%AC", "%F0%9F%98%80"};
  st_writer writer = st_writer_on(out, SUBTOKEN_URL_MAX);
  char piece[80];
  if (!plain && random_below(seed, 2) == 0) {
    st_write_view(&writer, random_of(seed, "GETPOSD", 1, 7, piece));
    st_write_char(&writer, ':');
  }
  size_t segments = 1 + random_below(seed, 4);
  for (size_t i = 0; i < segments; i++) {
    st_write_char(&writer, '/');
    st_write_view(&writer, random_of(seed, NAMES, 1, i == 0 ? 2 : 40, piece));
    st_write_view(&writer, random_of(seed, NAMES "._~!$&'()+,=:@", 0, 20, piece));
    if (random_below(seed, 3) == 0) {
      st_write_literal(&writer, escapes[random_below(seed, plain ? 6 : COUNT(escapes))]);
    }
  }
  size_t end = random_below(seed, 4);
  if (end == 0) st_write_char(&writer, '/');
  if (end == 1) st_write_literal(&writer, "/*");
  if (writer.overflow) abort();
  return (subtoken_text){out, writer.len};
}

/* Good claims with so many of each; plain: only what is read in one pass. */
static void random_claims(uint64_t *seed, subtoken_claims *claims, size_t permissions, size_t urls,
                          bool plain) {
  char text[SUBTOKEN_URL_MAX + 1];
  memset(claims, 0, sizeof *claims);
  claims->iat = (int64_t)(random_next(seed) >> (15 + random_below(seed, 49)));
  claims->exp = (int64_t)(random_next(seed) >> (15 + random_below(seed, 49)));
  claims->every_url = urls == 0;
  if (!st_claims_set_sub(claims, random_of(seed, NAMES, 1, 128, text))) abort();
  while (claims->permission_count < permissions) {
    subtoken_text permission = random_of(seed, SCOPES, 1, 40, text);
    if (st_claims_has_permission(claims, permission)) continue;
    if (!st_claims_add_permission(claims, permission)) abort();
  }
  while (claims->url_count < urls) {
    subtoken_text url = random_entry(seed, text, plain);
    if (claims->text_len + url.len > 4500) url = ST_TEXT("/short");
    if (!st_claims_add_url(claims, url)) abort();
  }
  if (random_below(seed, 3) == 0 && !st_claims_set_aud(claims, random_of(seed, NAMES, 1, 32, text)))
    abort();
  for (size_t via = random_below(seed, 3) == 0 ? random_below(seed, 9) : 0; via > 0; via--) {
    if (!st_claims_add_via(claims, random_of(seed, NAMES, 16, 16, text))) abort();
  }
  if (random_below(seed, 4) > 0) return;
  if (!st_claims_set_sid(claims, random_of(seed, NAMES, 1, 64, text))) abort();
}

/* Of no more than 15 digits: read in one pass. */
static bool short_time(int64_t seconds) {
  return seconds < INT64_C(1000000000000000);
}

static bool texts_are(const subtoken_claims *read, const subtoken_claims *made) {
  bool same =
      read->permission_count == made->permission_count && read->url_count == made->url_count &&
      read->every_url == made->every_url && read->iat == made->iat && read->exp == made->exp &&
      read->nbf == 0 && !read->aud_named && read->iss.len == 0 &&
      st_text_equal(subtoken_claims_text(read, read->sub), subtoken_claims_text(made, made->sub)) &&
      st_text_equal(subtoken_claims_text(read, read->sid), subtoken_claims_text(made, made->sid));
  for (size_t i = 0; same && i < made->permission_count; i++) {
    same = st_text_equal(subtoken_claims_text(read, read->permissions[i]),
                         subtoken_claims_text(made, made->permissions[i]));
  }
  for (size_t i = 0; same && i < made->url_count; i++) {
    same = st_text_equal(subtoken_claims_text(read, read->urls[i]),
                         subtoken_claims_text(made, made->urls[i]));
  }
  same = same && read->via_count == made->via_count;
  for (size_t i = 0; same && i < made->via_count; i++) {
    same = st_text_equal(subtoken_claims_text(read, read->via[i]),
                         subtoken_claims_text(made, made->via[i]));
  }
  size_t at[2] = {0, 0};
  subtoken_text aud = subtoken_claims_audience(made, &at[0]);
  same = same && st_text_equal(subtoken_claims_audience(read, &at[1]), aud);
  return same && subtoken_claims_audience(read, &at[1]).data == NULL;
}

static void what_is_written_is_read_in_one_pass(void **state) {
  (void)state;
  static subtoken_claims made;
  static reading back;
  static char payload[3 * SUBTOKEN_TOKEN_MAX];
  uint64_t seed = 7;
  size_t read = 0;
  for (int round = 0; round < 12000; round++) {
    bool plain = round % 3 != 0;
    size_t permissions = random_below(&seed, round % 8 == 0 ? 65 : 5);
    size_t urls = round % 2 == 0 ? 0 : random_below(&seed, round % 16 == 1 ? 65 : 4);
    random_claims(&seed, &made, permissions, urls, plain);
    st_writer writer = st_writer_on(payload, sizeof payload);
    st_claims_write(&writer, &made);
    assert_false(writer.overflow);
    if (writer.len > sizeof made.text) continue;
    bool issued = holds(payload, writer.len);
    if (plain && short_time(made.iat) && short_time(made.exp)) {
      CHECK(issued, "%.*s", (int)writer.len, payload);
    }
    read += issued;
    read_either(this_cpu, &back, payload, writer.len);
    bool times = made.iat <= SUBTOKEN_TIME_MAX && made.exp <= SUBTOKEN_TIME_MAX;
    CHECK((back.result == SUBTOKEN_OK) == times, "%.*s", (int)writer.len, payload);
    if (times) CHECK(texts_are(&back.claims, &made), "%.*s", (int)writer.len, payload);
  }
  assert_true(read > 6000);
}

/* ---- what comes near to it ---- */

static const char *const bases[] = {
    "{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":[]}",
    "{\"sub\":\"pk_active-1\",\"iat\":1700000000,\"exp\":1700003600,\"permissions\":[\"account\","
    "\"accounts\",\"b!\"]}",
    "{\"sub\":\"0f3c\",\"iat\":0,\"exp\":99,\"permissions\":[\"a\"],\"urls\":[\"/v2/a%20b/*\","
    "\"/v2/c.d%2A\",\"/\"]}",
    "{\"sub\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"iat\":123456789012345,\"exp\":"
    "900719925474099,\"permissions\":[\"inventories\",\"x:y\"],\"urls\":[\"/v2/characters/"
    "My%20Cool%20Character/inventory\",\"/v2/account/bank/*\",\"/a.b/c..\"]}",
    "{\"sub\":\"s-1\",\"iat\":1,\"exp\":2,\"permissions\":[\"a\"],\"sid\":\"L_"
    "aaaaaaaaaaaaaaaaaaaaa9\"}",
    "{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":[],\"urls\":[\"/a\",\"/b/"
    "*\"],\"sid\":\"x\"}",
    "{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"aud\":\"eu\",\"permissions\":[\"a\"],\"via\":["
    "\"0123456789abcdef\",\"ABCDEFGHIJKLMN-_\"]}",
    "{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":[],\"urls\":[\"/a\"],\"via\":["
    "\"0123456789abcdef\"],\"sid\":\"x\"}",
    /* Which of the two reads the last one does not matter. */
    "{\"sub\":\"k\",\"iat\":1700000000,\"exp\":1700003600,\"permissions\":[\"a\",\"b\"],\"urls\":"
    "[\"GET:/v2/a/*\",\"/%C3%A9%20x/%E2%82%AC\",\"DELETE:/.a\"]}",
};

/* What a reader tells apart, in each place: the short form of the next test. */
static void both_readers_agree_on_a_byte_that_matters(void **state) {
  (void)state;
  static const char bytes[] = "\"\\,:[]{} /.%*-a0\x80";
  char text[400];
  for (size_t n = 0; n < COUNT(bases); n++) {
    size_t len = strlen(bases[n]);
    if (n < COUNT(bases) - 1) assert_true(holds(bases[n], len));
    memcpy(text, bases[n], len);
    for (size_t at = 0; at < len; at++) {
      for (size_t i = 0; i < sizeof bytes; i++) {
        text[at] = bytes[i];
        (void)holds(text, len);
      }
      text[at] = bases[n][at];
    }
  }
}

static void both_readers_agree_on_a_changed_byte(void **state) {
  (void)state;
  char text[400];
  for (size_t n = 0; n < COUNT(bases); n++) {
    size_t len = strlen(bases[n]), read = 0;
    bool issued = n < COUNT(bases) - 1;
    if (issued) assert_true(holds(bases[n], len));
    memcpy(text, bases[n], len);
    for (size_t at = 0; at < len; at++) {
      for (int c = 0; c < 256; c++) {
        text[at] = (char)c;
        read += holds(text, len);
      }
      text[at] = bases[n][at];
    }
    assert_true(read > (issued ? len : 0));
  }
}

static void both_readers_agree_on_an_added_byte(void **state) {
  (void)state;
  char text[400];
  for (size_t n = 0; n < COUNT(bases); n++) {
    size_t len = strlen(bases[n]);
    for (size_t at = 0; at <= len; at++) {
      memcpy(text, bases[n], at);
      memcpy(text + at + 1, bases[n] + at, len - at);
      for (int c = 0; c < 256; c++) {
        text[at] = (char)c;
        (void)holds(text, len + 1);
      }
    }
  }
}

/* One to three bytes cut out, and cut off. */
static void both_readers_agree_on_removed_bytes(void **state) {
  (void)state;
  char text[400];
  for (size_t n = 0; n < COUNT(bases); n++) {
    size_t len = strlen(bases[n]);
    for (size_t cut = 1; cut <= 3; cut++) {
      for (size_t at = 0; at + cut <= len; at++) {
        memcpy(text, bases[n], at);
        memcpy(text + at, bases[n] + at + cut, len - at - cut);
        (void)holds(text, len - cut);
      }
    }
    for (size_t left = 0; left < len; left++) assert_false(holds(bases[n], left));
  }
}

static void both_readers_agree_on_swapped_bytes(void **state) {
  (void)state;
  char text[400];
  for (size_t n = 0; n < COUNT(bases); n++) {
    size_t len = strlen(bases[n]);
    memcpy(text, bases[n], len);
    for (size_t i = 0; i < len; i++) {
      for (size_t j = i + 1; j < len; j++) {
        text[i] = bases[n][j];
        text[j] = bases[n][i];
        (void)holds(text, len);
        text[j] = bases[n][j];
      }
      text[i] = bases[n][i];
    }
  }
}

/* Pieces of the shape in any order, and of what is not quite it. */
static void both_readers_agree_on_shuffled_pieces(void **state) {
  (void)state;
  static const char *const pieces[] = {
      "{",
      "}",
      "\"sub\":\"a\"",
      "\"iat\":1",
      "\"exp\":2",
      ",",
      "]",
      "\"permissions\":[",
      "\"urls\":[",
      "\"/a\"",
      "\"b\"",
      "\"c\"",
      "\"nbf\":3",
      "\"iss\":\"i\"",
      "\"aud\":\"api\"",
      "\"via\":[\"0123456789abcdef\"]",
      "\"via\":[",
      "\"fedcba9876543210\"",
      " ",
      "\"/a/*\"",
      "\"permissions\":[]",
      "\"\\u0061\"",
      "\"urls\":[\"/x\"]",
      "\"GET:/a\"",
      "\"/%C3%A9\"",
      "\"sid\":\"x\"",
      "\"sid\":\"\"",
      ",\"sid\":\"y\"}",
  };
  uint64_t seed = 8;
  char text[400];
  for (int round = 0; round < 300000; round++) {
    st_writer writer = st_writer_on(text, sizeof text);
    if (round % 2 == 0) {
      st_write_literal(&writer, "{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":[");
    }
    size_t count = 1 + random_below(&seed, 9);
    for (size_t i = 0; i < count; i++) {
      st_write_literal(&writer, pieces[random_below(&seed, COUNT(pieces))]);
    }
    if (round % 4 < 2) st_write_char(&writer, '}');
    (void)holds(text, writer.len);
  }
}

/* ---- limits ---- */

static void times_are_read_up_to_15_digits(void **state) {
  (void)state;
  static const struct {
    const char *digits;
    bool issued;
    subtoken_result want;
  } rows[] = {
      {"0", true, SUBTOKEN_OK},
      {"9", true, SUBTOKEN_OK},
      {"100000000000000", true, SUBTOKEN_OK},
      {"999999999999999", true, SUBTOKEN_OK},
      {"1000000000000000", false, SUBTOKEN_OK}, /* 16 digits are read by the other */
      {"9007199254740991", false, SUBTOKEN_OK},
      {"9007199254740992", false, SUBTOKEN_CLAIMS},
      {"9999999999999999", false, SUBTOKEN_CLAIMS},
      {"18446744073709551617", false, SUBTOKEN_CLAIMS},
      {"00", false, SUBTOKEN_MALFORMED},
      {"01", false, SUBTOKEN_MALFORMED},
      {"000000000000001", false, SUBTOKEN_MALFORMED},
      {"", false, SUBTOKEN_MALFORMED},
      {"-1", false, SUBTOKEN_CLAIMS},
      {"-0", false, SUBTOKEN_CLAIMS},
      {"+1", false, SUBTOKEN_MALFORMED},
      {"1.0", false, SUBTOKEN_CLAIMS},
      {"1e1", false, SUBTOKEN_CLAIMS},
      {" 1", false, SUBTOKEN_OK},
      {"1 ", false, SUBTOKEN_OK},
      {"\"1\"", false, SUBTOKEN_CLAIMS},
      {"null", false, SUBTOKEN_CLAIMS},
  };
  static reading back;
  for (size_t i = 0; i < COUNT(rows) * 2; i++) {
    char text[200];
    bool second = i % 2 == 1;
    int len =
        snprintf(text, sizeof text, "{\"sub\":\"s\",\"iat\":%s,\"exp\":%s,\"permissions\":[]}",
                 second ? "1" : rows[i / 2].digits, second ? rows[i / 2].digits : "1");
    CHECK(holds(text, (size_t)len) == rows[i / 2].issued, "%s", text);
    read_either(this_cpu, &back, text, (size_t)len);
    CHECK(back.result == rows[i / 2].want, "%s: %s", text, subtoken_result_name(back.result));
  }
}

/* Eight digits are looked at together: each byte in each of their places. */
static void both_readers_agree_on_each_byte_of_a_time(void **state) {
  (void)state;
  static reading back;
  for (size_t at = 0; at < 10; at++) {
    for (int byte = 0; byte < 256; byte++) {
      char text[] = "{\"sub\":\"s\",\"iat\":9876543210,\"exp\":1,\"permissions\":[]}";
      char *digits = text + 17;
      digits[at] = (char)byte;
      bool digit = byte >= '0' && byte <= '9', want = digit && (at > 0 || byte != '0');
      CHECK(holds(text, sizeof text - 1) == want, "%zu %d", at, byte);
      if (!want) continue;
      read_either(this_cpu, &back, text, sizeof text - 1);
      CHECK(back.result == SUBTOKEN_OK && back.claims.iat == strtoll(digits, NULL, 10), "%zu %d",
            at, byte);
    }
  }
}

/* `count` entries, each with its number behind it. */
static size_t with_list(char *out, size_t room, const char *front, const char *entry, int count,
                        const char *back) {
  st_writer writer = st_writer_on(out, room);
  st_write_literal(&writer, front);
  for (int i = 0; i < count; i++) {
    st_write_literal(&writer, i == 0 ? "\"" : ",\"");
    st_write_literal(&writer, entry);
    st_write_int(&writer, i);
    st_write_char(&writer, '"');
  }
  st_write_literal(&writer, back);
  if (writer.overflow) abort();
  return writer.len;
}

#define FRONT "{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":["

static void lists_have_64_entries_at_most(void **state) {
  (void)state;
  static char text[6000];
  static reading back;
  for (int count = 0; count <= 66; count++) {
    size_t len = with_list(text, sizeof text, FRONT, "p", count, "]}");
    CHECK(holds(text, len) == (count <= 64), "%d permissions", count);
    read_either(0, &back, text, len);
    CHECK(back.result == (count <= 64 ? SUBTOKEN_OK : SUBTOKEN_CLAIMS), "%d permissions", count);
    len = with_list(text, sizeof text, FRONT "],\"urls\":[", "/u/", count, "]}");
    bool good = count >= 1 && count <= 64;
    CHECK(holds(text, len) == good, "%d urls", count);
    read_either(0, &back, text, len);
    CHECK(back.result == (good ? SUBTOKEN_OK : SUBTOKEN_CLAIMS), "%d urls", count);
    if (good) CHECK(!back.claims.every_url && back.claims.url_count == count, "%d urls", count);
  }
  for (int count = 1; count <= SUBTOKEN_VIA_MAX + 1; count++) {
    size_t len = with_list(text, sizeof text, FRONT "],\"via\":[", "0123456789abcde", count, "]}");
    CHECK(holds(text, len) == (count <= SUBTOKEN_VIA_MAX), "%d tids", count);
  }
}

static void strings_have_their_limits(void **state) {
  (void)state;
  static char text[3000];
  static const struct {
    const char *front, *first, *back;
    size_t most;
  } rows[] = {
      {"{\"sub\":\"", "", "\",\"iat\":1,\"exp\":2,\"permissions\":[]}", 128},
      {FRONT "\"", "", "\"]}", 64},
      {FRONT "],\"urls\":[\"", "/", "\"]}", 1024},
      {FRONT "],\"urls\":[\"/x\",\"", "/a/", "\"]}", 1024},
      {FRONT "],\"sid\":\"", "", "\"}", 64},
      {FRONT "\"p\"],\"urls\":[\"/x\"],\"sid\":\"", "", "\"}", 64},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (size_t len = strlen(rows[i].first); len <= rows[i].most + 40; len++) {
      st_writer writer = st_writer_on(text, sizeof text);
      st_write_literal(&writer, rows[i].front);
      st_write_literal(&writer, rows[i].first);
      for (size_t n = strlen(rows[i].first); n < len; n++) st_write_char(&writer, 'a');
      st_write_literal(&writer, rows[i].back);
      CHECK(holds(text, writer.len) == (len >= 1 && len <= rows[i].most), "row %zu: %zu", i, len);
    }
  }
}

static void repeated_entries_are_left_to_the_other_reader(void **state) {
  (void)state;
  static const struct {
    const char *payload;
    int issued; /* -1: either way of reading it will do */
    subtoken_result want;
  } rows[] = {
      {FRONT "\"a\",\"a\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "\"a\",\"b\",\"a\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "\"a\",\"aa\",\"A\"]}", true, SUBTOKEN_OK},
      {FRONT "\"aa\",\"a\"]}", true, SUBTOKEN_OK},
      {FRONT "\"a\",\"\\u0061\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "\"\\u0061\"]}", false, SUBTOKEN_OK},
      {FRONT "],\"urls\":[\"/a\",\"/a\"]}", true, SUBTOKEN_OK}, /* no harm in it */
      {FRONT "],\"urls\":[\"\\/a\"]}", false, SUBTOKEN_OK},
      {FRONT "],\"urls\":[\"GET:/a\"]}", -1, SUBTOKEN_OK},
      {FRONT "],\"urls\":[\"/%C3%A9\"]}", -1, SUBTOKEN_OK},
      {FRONT "],\"urls\":[\"/.a\"]}", -1, SUBTOKEN_OK},
      {FRONT "],\"urls\":[\"/..\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"urls\":[\"/a*\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"urls\":[\"/a//b\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"urls\":[\"\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"urls\":[]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"sid\":\"x\"}", true, SUBTOKEN_OK},
      {FRONT "],\"urls\":[\"/a\"],\"sid\":\"x\"}", true, SUBTOKEN_OK},
      {FRONT "],\"via\":[\"0123456789abcdef\"]}", true, SUBTOKEN_OK},
      {FRONT "],\"via\":[\"0123456789abcdef\",\"0123456789abcdeg\"],\"sid\":\"x\"}", true,
       SUBTOKEN_OK},
      {FRONT "],\"via\":[\"0123456789abcde\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"via\":[\"0123456789abcdef0\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"via\":[\"0123456789abcde.\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"via\":[\".123456789abcdef\"]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"via\":[]}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"via\":[}", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"via\":[,\"sid\":\"x\"}", false, SUBTOKEN_MALFORMED},
      {"{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"aud\":\"eu\"x\"]}", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"via\":[\"0123456789abcdef\",]}", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"via\":[\"0123456789abcdef\"", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"sid\":\"x\"} ", false, SUBTOKEN_OK},
      {FRONT "],\"sid\":\"\\u0078\"}", false, SUBTOKEN_OK},
      {FRONT "],\"sid\":\"x\",\"urls\":[\"/a\"]}", false, SUBTOKEN_OK},
      {FRONT "],\"sid\":\"x\",\"nbf\":5}", false, SUBTOKEN_OK},
      {"{\"sid\":\"x\",\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":[]}", false, SUBTOKEN_OK},
      {FRONT "],\"sid\":\"\"}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"sid\":\"x y\"}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"sid\":5}", false, SUBTOKEN_CLAIMS},
      {FRONT "],\"sid\":\"x\",\"sid\":\"x\"}", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"sid\":\"x\"}}", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"sid\":\"x\"", false, SUBTOKEN_MALFORMED},
      /* A brace too early is not one that may be passed over. */
      {FRONT "]},\"sid\":\"x\"}", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"urls\":[\"/a\"]},\"sid\":\"x\"}", false, SUBTOKEN_MALFORMED},
      {FRONT "]} ", false, SUBTOKEN_OK},
      {FRONT "]}}", false, SUBTOKEN_MALFORMED},
      {FRONT "],\"nbf\":5}", false, SUBTOKEN_OK},
      {FRONT "],\"aud\":\"api\",\"iss\":\"me\"}", false, SUBTOKEN_OK},
      {FRONT "],\"urls\":[\"/a\"],\"urls\":[\"/b\"]}", false, SUBTOKEN_MALFORMED},
  };
  static reading back;
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = strlen(rows[i].payload);
    bool issued = holds(rows[i].payload, len);
    CHECK(rows[i].issued == -1 || issued == rows[i].issued, "%s", rows[i].payload);
    read_either(this_cpu, &back, rows[i].payload, len);
    CHECK(back.result == rows[i].want, "%s: %s", rows[i].payload,
          subtoken_result_name(back.result));
  }
}

int main(void) {
  this_cpu = st_cpu_features();
  if (this_cpu == 0) print_message("this processor has no SSE4.1: plain against any only\n");
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read_in_one_pass),
      cmocka_unit_test(both_readers_agree_on_a_byte_that_matters),
      cmocka_unit_test(both_readers_agree_on_a_changed_byte),
      cmocka_unit_test(both_readers_agree_on_an_added_byte),
      cmocka_unit_test(both_readers_agree_on_removed_bytes),
      cmocka_unit_test(both_readers_agree_on_swapped_bytes),
      cmocka_unit_test(both_readers_agree_on_shuffled_pieces),
      cmocka_unit_test(times_are_read_up_to_15_digits),
      cmocka_unit_test(both_readers_agree_on_each_byte_of_a_time),
      cmocka_unit_test(lists_have_64_entries_at_most),
      cmocka_unit_test(strings_have_their_limits),
      cmocka_unit_test(repeated_entries_are_left_to_the_other_reader),
  };
  return cmocka_run_group_tests_name("issued", tests, NULL, NULL);
}
