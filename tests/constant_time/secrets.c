/* Runs under valgrind, which takes each secret for memory that nobody has written: it reports every
 * branch and every address that depends on one. What was found out about secrets (ST_VERDICT of
 * base/bytes.h) is defined again. The first test leaks on purpose, to see that it is reported. The
 * processor that valgrind shows has no instructions for SHA-256: mbedTLS hashes here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

/* These include what they test, because it is static. */
#include "operations/password.c"
#include "service/basic_auth.c"

#include "base/base64url.h"
#include "core/cache.h"
#include "core/jws.h"
#include "core/ring.h"
#include "operations/draw.h"
#include "os/random.h"
#include "store/key_cache.h"
#include "subtoken/revocations.h"
#include "subtoken/verify.h"

#ifndef ST_CONSTANT_TIME
#error "built without ST_CONSTANT_TIME, all verdicts would be reported"
#endif

static int failed, number;

static void secret(void *memory, size_t len) {
  (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, len);
}
static void known(void *memory, size_t len) {
  (void)VALGRIND_MAKE_MEM_DEFINED(memory, len);
}

static void report(bool good, const char *name) {
  printf("%s %d - %s\n", good ? "ok" : "not ok", ++number, name);
  failed += !good;
}

#define EXPECT(condition)                                    \
  do {                                                       \
    if (condition) break;                                    \
    printf("# line %d: not so: %s\n", __LINE__, #condition); \
    wrong = true;                                            \
  } while (0)

/* ---- what is tested ---- */

static const char bytes[] = "x9Kd02mfYq7Lz5RtB1vN8sWcE4gH6jUp-is-64-bytes-with-what-follows..";

/* The bytes of a secret, everywhere in a ring. What is not secret of it stays as it is. */
static void hide(subtoken_ring *ring) {
  for (size_t i = 0; i < ring->count; i++) {
    subtoken_secret *each = &ring->secrets[i];
    secret(each->inner, sizeof each->inner);
    secret(each->outer, sizeof each->outer);
    secret(each->derive_inner, sizeof each->derive_inner);
    secret(each->derive_outer, sizeof each->derive_outer);
  }
}

static bool make_ring(subtoken_ring *ring) {
  memset(ring, 0, sizeof *ring);
  bool good = subtoken_ring_add(ring, ST_TEXT("new"), bytes, 40) == SUBTOKEN_OK &&
              subtoken_ring_add(ring, ST_TEXT("old"), bytes + 8, 48) == SUBTOKEN_OK;
  hide(ring);
  return good;
}

static bool a_compare_that_stops_early_is_reported(void) {
  bool wrong = false;
  volatile uint8_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
  secret((void *)(uintptr_t)a, sizeof a);
  unsigned before = VALGRIND_COUNT_ERRORS;
  size_t at = 0;
  while (at < 4 && a[at] == b[at]) at++;
  EXPECT(VALGRIND_COUNT_ERRORS > before);
  static const uint8_t table[256] = {1};
  volatile uint8_t looked_up = table[a[0]];
  (void)looked_up;
  EXPECT(VALGRIND_COUNT_ERRORS > before + 1);
  return !wrong;
}

static bool compares_are_verdicts(void) {
  bool wrong = false;
  uint8_t a[67], b[67];
  for (size_t len = 0; len <= sizeof a; len++) {
    memset(a, 7, sizeof a);
    memset(b, 7, sizeof b);
    secret(a, sizeof a);
    EXPECT(st_equal_secret(a, b, len));
    if (len == 0) continue;
    b[len - 1] ^= 1;
    EXPECT(!st_equal_secret(a, b, len));
    b[len - 1] ^= 1;
    b[0] ^= 1;
    EXPECT(!st_equal_secret(a, b, len));
  }
  return !wrong;
}

static bool base64_is_without_trace(void) {
  bool wrong = false;
  for (size_t len = 1; len <= 64; len++) {
    uint8_t in[64], out[64];
    char text[100];
    size_t got = 0;
    memcpy(in, bytes, len);
    secret(in, len);
    st_writer writer = st_writer_on(text, sizeof text);
    st_base64url_write(&writer, in, len);
    EXPECT(st_base64url_decode((subtoken_text){text, writer.len}, out, sizeof out, &got));
    EXPECT(got == len && st_equal_secret(in, out, len));
    writer = st_writer_on(text, sizeof text);
    st_base64_write(&writer, ST_UNPADDED, in, len);
    EXPECT(st_base64_read((subtoken_text){text, writer.len}, ST_UNPADDED, out, sizeof out, &got));
    EXPECT(got == len && st_equal_secret(in, out, len));
    text[writer.len / 2] = '.';
    EXPECT(!st_base64url_decode((subtoken_text){text, writer.len}, out, sizeof out, &got));
  }
  return !wrong;
}

static bool a_secret_is_set_without_trace(void) {
  bool wrong = false;
  for (size_t len = SUBTOKEN_SECRET_MIN; len <= SUBTOKEN_SECRET_MAX; len++) {
    uint8_t key[64];
    subtoken_secret made;
    subtoken_ring ring = {0};
    memcpy(key, bytes, len);
    secret(key, len);
    EXPECT(subtoken_secret_set(&made, ST_TEXT("kid"), key, len) == SUBTOKEN_OK);
    EXPECT(subtoken_ring_add(&ring, ST_TEXT("kid"), key, len) == SUBTOKEN_OK);
    memset(key, 'x', len);
    secret(key, len);
    EXPECT(subtoken_secret_set(&made, ST_TEXT("kid"), key, len) == SUBTOKEN_BAD_SECRET);
  }
  return !wrong;
}

static bool a_mac_is_made_and_checked_without_trace(void) {
  bool wrong = false;
  static subtoken_ring ring;
  static const char data[300] = "what is signed";
  EXPECT(make_ring(&ring));
  for (size_t len = 0; len < sizeof data; len += 7) {
    uint8_t mac[SUBTOKEN_MAC_LEN];
    EXPECT(subtoken_mac_compute(&ring.secrets[0], data, len, mac) == SUBTOKEN_OK);
    EXPECT(subtoken_mac_check(&ring.secrets[0], data, len, mac) == SUBTOKEN_OK);
    known(mac, sizeof mac);
    mac[len % sizeof mac] ^= 4;
    EXPECT(subtoken_mac_check(&ring.secrets[0], data, len, mac) == SUBTOKEN_MAC);
  }
  return !wrong;
}

static const char payload[] =
    "{\"sub\":\"a\",\"iat\":1000,\"exp\":2000,\"permissions\":[\"account\"]}";

static const char for_shop[] =
    "{\"sub\":\"a\",\"aud\":\"shop\",\"iat\":1000,\"exp\":2000,\"permissions\":[\"account\"]}";

static bool tokens_are_sealed_and_verified_without_trace(void) {
  bool wrong = false;
  static subtoken_ring ring, derived;
  static subtoken_claims claims;
  char token[SUBTOKEN_ISSUED_MAX];
  size_t len = 0;
  EXPECT(make_ring(&ring));
  EXPECT(subtoken_jws_seal(&ring, payload, strlen(payload), token, sizeof token, &len) ==
         SUBTOKEN_OK);
  EXPECT(subtoken_authenticate(&ring, NULL, (subtoken_text){token, len}, &claims) == SUBTOKEN_OK);
  for (size_t back = 1; back <= 43; back += 6) {
    char was = token[len - back];
    token[len - back] = was == 'A' ? 'E' : 'A';
    EXPECT(subtoken_authenticate(&ring, NULL, (subtoken_text){token, len}, &claims) ==
           SUBTOKEN_MAC);
    token[len - back] = was;
  }
  EXPECT(subtoken_ring_derive(&ring, ST_TEXT("shop"), &derived) == SUBTOKEN_OK);
  EXPECT(subtoken_jws_seal(&derived, for_shop, strlen(for_shop), token, sizeof token, &len) ==
         SUBTOKEN_OK);
  EXPECT(subtoken_authenticate(&ring, NULL, (subtoken_text){token, len}, &claims) == SUBTOKEN_OK);
  EXPECT(subtoken_authenticate(&derived, NULL, (subtoken_text){token, len}, &claims) ==
         SUBTOKEN_OK);
  return !wrong;
}

static bool a_cache_tells_hit_or_miss_alone(void) {
  bool wrong = false;
  static subtoken_ring ring;
  static subtoken_claims claims;
  static char memory[SUBTOKEN_CACHE_MIN];
  subtoken_cache cache;
  char token[SUBTOKEN_ISSUED_MAX];
  size_t len = 0;
  EXPECT(make_ring(&ring));
  EXPECT(subtoken_cache_init(&cache, memory, sizeof memory) == SUBTOKEN_OK);
  EXPECT(subtoken_jws_seal(&ring, payload, strlen(payload), token, sizeof token, &len) ==
         SUBTOKEN_OK);
  subtoken_text view = {token, len};
  EXPECT(subtoken_authenticate(&ring, &cache, view, &claims) == SUBTOKEN_OK);
  secret(token, len);
  EXPECT(st_cache_find(&cache, &ring, view, &claims));
  EXPECT(claims.exp == 2000);
  for (size_t at = 0; at < len; at += 5) {
    token[at] ^= 1;
    EXPECT(!st_cache_find(&cache, &ring, view, &claims));
    token[at] ^= 1;
  }
  /* What is kept is a secret, too. */
  subtoken_cache_wipe(&cache);
  EXPECT(!st_cache_find(&cache, &ring, view, &claims));
  st_cache_keep(&cache, view, &claims);
  EXPECT(st_cache_find(&cache, &ring, view, &claims));
  return !wrong;
}

static bool a_snapshot_is_opened_without_trace(void) {
  bool wrong = false;
  static subtoken_ring ring;
  static uint64_t hashes[3] = {5, 6, UINT64_MAX};
  static const subtoken_revocations_header header = {.sequence = 7, .made = 1000};
  uint8_t file[512];
  subtoken_revocations view;
  size_t size = subtoken_revocations_size(3);
  EXPECT(make_ring(&ring) && size <= sizeof file);
  EXPECT(subtoken_revocations_write(&ring, &header, hashes, 3, file, sizeof file, NULL) ==
         SUBTOKEN_FEED_OK);
  known(file, size); /* it is for the edges */
  EXPECT(subtoken_revocations_open(&ring, file, size, &view) == SUBTOKEN_FEED_OK);
  file[size - 1] ^= 1;
  EXPECT(subtoken_revocations_open(&ring, file, size, &view) == SUBTOKEN_FEED_MAC);
  return !wrong;
}

static bool keys_are_looked_up_without_trace(void) {
  bool wrong = false;
  st_key_cache *cache = st_key_cache_new(ST_KEY_CACHE_MIN);
  static st_key key = {.id = "0123456789ABCDEF0123456789ABCDEF0123",
                       .sub = "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k",
                       .permissions = "account",
                       .expires_at = ST_NEVER},
                found;
  uint8_t stored[32], asked[32];
  st_random_fill(stored, sizeof stored);
  memcpy(asked, stored, sizeof stored);
  secret(stored, sizeof stored);
  EXPECT(cache != NULL);
  if (cache == NULL) return false;
  st_key_cache_put(cache, stored, &key, st_key_cache_moment(cache));
  EXPECT(st_key_cache_find(cache, false, asked, &found) && strcmp(found.sub, key.sub) == 0);
  for (size_t at = 0; at < sizeof asked; at++) {
    asked[at] ^= 1;
    EXPECT(!st_key_cache_find(cache, false, asked, &found));
    asked[at] ^= 1;
  }
  st_key_cache_free(cache);
  return !wrong;
}

static bool a_whole_key_is_hashed_without_trace(void) {
  bool wrong = false;
  char whole[ST_KEY_LEN + 1];
  uint8_t digest[32], again[32];
  st_key key;
  st_draw_key(whole, &key, digest);
  secret(whole, ST_KEY_LEN);
  st_sha256(whole, ST_KEY_LEN, again);
  st_sha256_on(0, whole, ST_KEY_LEN, digest);
  EXPECT(st_equal_secret(digest, again, sizeof digest));
  return !wrong;
}

/* In place of libargon2, whose own reading depends on the password (RFC 9106 section 3.4.1.3). */
static uint8_t computed[32];
int argon2id_ctx(argon2_context *context) {
  memcpy(context->out, computed, sizeof computed);
  return ARGON2_OK;
}

static bool password_hashes_are_compared_without_trace(void) {
  bool wrong = false;
  static password_stored stored, back;
  char phc[ST_PHC_MAX + 1];
  memset(&stored, 0, sizeof stored);
  stored.cost = current_cost;
  stored.salt_len = SALT_LEN;
  stored.hash_len = sizeof computed;
  memcpy(computed, bytes, sizeof computed);
  memcpy(stored.hash, computed, sizeof computed);
  secret(stored.hash, sizeof computed);
  EXPECT(password_write_stored(&stored, phc));
  /* It ends with 43 characters of the hash. Its length is known. */
  size_t len = strlen("$argon2id$v=19$m=19456,t=2,p=1$$") + (SALT_LEN * 4 + 2) / 3 + 43;
  EXPECT(password_read_phc((subtoken_text){phc, len}, &back) && back.hash_len == sizeof computed);
  EXPECT(password_check(&back, ST_TEXT("password"), 0) == ST_PASSWORD_OK);
  for (size_t at = 0; at < sizeof computed; at++) {
    computed[at] ^= 1;
    EXPECT(password_check(&back, ST_TEXT("password"), 0) == ST_PASSWORD_WRONG);
    computed[at] ^= 1;
  }
  return !wrong;
}

static bool basic_enter(size_t lock, int64_t until_us) {
  (void)lock, (void)until_us;
  return true;
}
static void basic_leave(size_t lock) {
  (void)lock;
}

static bool basic_credentials_are_looked_up_without_trace(void) {
  bool wrong = false;
  static st_basic_auth basic;
  static const char sub[ST_SUB_LEN + 1] = "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k";
  uint8_t key[32], tag[SUBTOKEN_MAC_LEN];
  char found[ST_SUB_LEN + 1] = "", text[] = "user:password";
  memcpy(key, bytes, sizeof key);
  secret(key, sizeof key);
  secret(text, strlen(text));
  EXPECT(st_basic_auth_start(&basic, key, (st_basic_locks){basic_enter, basic_leave}));
  st_hmac(&basic.key, text, sizeof text - 1, tag);
  basic_cache_put(&basic, tag, 1000, sub);
  EXPECT(basic_cache_get(&basic, tag, 1000, found) > 0 && strcmp(found, sub) == 0);
  tag[31] ^= 1;
  EXPECT(basic_cache_get(&basic, tag, 1000, found) == 0);
  return !wrong;
}

#define CASE(name) \
  { #name, name }
static const struct {
  const char *name;
  bool (*run)(void);
} cases[] = {
    CASE(compares_are_verdicts),
    CASE(base64_is_without_trace),
    CASE(a_secret_is_set_without_trace),
    CASE(a_mac_is_made_and_checked_without_trace),
    CASE(tokens_are_sealed_and_verified_without_trace),
    CASE(a_cache_tells_hit_or_miss_alone),
    CASE(a_snapshot_is_opened_without_trace),
    CASE(keys_are_looked_up_without_trace),
    CASE(a_whole_key_is_hashed_without_trace),
    CASE(password_hashes_are_compared_without_trace),
    CASE(basic_credentials_are_looked_up_without_trace),
};

int main(void) {
  size_t count = sizeof cases / sizeof cases[0];
  if (!RUNNING_ON_VALGRIND) {
    puts("not ok 1 - run it under valgrind: make check-secrets");
    return 1;
  }
  printf("1..%zu\n", count + 1);
  report(a_compare_that_stops_early_is_reported(), "a_compare_that_stops_early_is_reported");
  for (size_t i = 0; i < count; i++) {
    unsigned before = VALGRIND_COUNT_ERRORS;
    bool good = cases[i].run();
    unsigned reported = VALGRIND_COUNT_ERRORS - before;
    if (reported > 0) printf("# %u branches or addresses depend on a secret\n", reported);
    report(good && reported == 0, cases[i].name);
  }
  return failed > 0;
}
