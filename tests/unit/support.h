/* support - what the unit tests share: inputs in heap blocks of their exact size,
 * so that the address sanitizer sees a byte read too many; a signer for any header
 * and payload; and random numbers that are the same in each run.
 */
#ifndef TESTS_UNIT_SUPPORT_H
#define TESTS_UNIT_SUPPORT_H

#include "run_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "core/claims.h"
#include "subtoken/issue.h"
#include "subtoken/verify.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NOW INT64_C(1700000000)
#define DAY INT64_C(86400)

/* 32 bytes that are neither published nor periodic. */
#define TEST_SECRET "subtoken-unit-tests-secret-0001!"
#define OTHER_SECRET "subtoken-unit-tests-secret-0002?"

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD_CLAIMS "\"sub\":\"parent\",\"iat\":1700000000,\"exp\":1700003600"
#define GOOD_PAYLOAD "{" GOOD_CLAIMS ",\"permissions\":[\"account\",\"guilds\"]}"

/* A failing row of a table says which. */
#define CHECK(condition, ...)     \
  do {                            \
    if (!(condition)) {           \
      print_error(__VA_ARGS__);   \
      print_error("\n");          \
      fail_msg("%s", #condition); \
    }                             \
  } while (0)

/* Owned by the caller: release it. */
static inline subtoken_text exact(const void *data, size_t len) {
  char *copy = malloc(len);
  if (copy == NULL) abort();
  if (len > 0) memcpy(copy, data, len);
  return (subtoken_text){copy, len};
}

static inline subtoken_text exact_string(const char *string) {
  return exact(string, strlen(string));
}

static inline void release(subtoken_text text) {
  free((void *)(uintptr_t)text.data);
}

/* count times the same character behind a prefix; release it. */
static inline subtoken_text repeated(const char *prefix, char c, size_t count) {
  size_t before = strlen(prefix);
  char *copy = malloc(before + count);
  if (copy == NULL) abort();
  memcpy(copy, prefix, before);
  memset(copy + before, c, count);
  return (subtoken_text){copy, before + count};
}

/* splitmix64 */
static inline uint64_t random_next(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static inline size_t random_below(uint64_t *state, size_t limit) {
  return (size_t)(random_next(state) >> 16) % limit;
}

static inline void ring_with(subtoken_ring *ring, const char *kid, const char *secret) {
  memset(ring, 0, sizeof *ring);
  if (subtoken_ring_add(ring, st_text(kid), secret, strlen(secret)) != SUBTOKEN_OK) abort();
}

/* The second one is called "two". */
static inline void ring_with_two(subtoken_ring *ring) {
  ring_with(ring, "", TEST_SECRET);
  if (subtoken_ring_add(ring, st_text("two"), OTHER_SECRET, 32) != SUBTOKEN_OK) abort();
}

/* `header.payload.mac` with a right MAC, whatever header and payload are; the
 * parts are texts before encoding. Release it. */
static inline subtoken_text signed_token(const char *secret, subtoken_text header,
                                         subtoken_text payload) {
  static char buffer[1 << 20];
  subtoken_secret key;
  uint8_t mac[ST_HASH_LEN];
  st_writer writer = st_writer_on(buffer, sizeof buffer);
  st_base64url_write(&writer, header.data, header.len);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, payload.data, payload.len);
  st_hmac_key(&key, secret, strlen(secret));
  st_hmac(&key, buffer, writer.len, mac);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, mac, sizeof mac);
  if (writer.overflow) abort();
  return exact(buffer, writer.len);
}

static inline subtoken_text good_token(const char *payload) {
  return signed_token(TEST_SECRET, st_text(HEADER), st_text(payload));
}

/* A key's grant: permissions and urls are comma lists; urls NULL is every url. */
static inline subtoken_claims grant_of(const char *permissions, const char *urls) {
  subtoken_claims grant;
  memset(&grant, 0, sizeof grant);
  bool good = st_claims_set_sub(&grant, ST_TEXT("parent"));
  grant.iat = NOW - DAY;
  grant.exp = SUBTOKEN_TIME_MAX;
  grant.every_url = urls == NULL;
  st_cutter list = {st_text(permissions), permissions[0] == '\0'};
  subtoken_text piece;
  while (st_cut(&list, ',', &piece)) good = good && st_claims_add_permission(&grant, piece);
  if (urls != NULL) {
    list = (st_cutter){st_text(urls), urls[0] == '\0'};
    while (st_cut(&list, ',', &piece)) good = good && st_claims_add_url(&grant, piece);
  }
  if (!good) abort();
  return grant;
}

/* All of claims but the text, which nobody may read without a slice; and all. */
static inline bool claims_are_empty(const subtoken_claims *claims) {
  static const subtoken_claims zero;
  return memcmp(claims, &zero, offsetof(subtoken_claims, text)) == 0;
}

static inline bool claims_are_zero(const subtoken_claims *claims) {
  const unsigned char *bytes = (const unsigned char *)claims;
  for (size_t i = 0; i < sizeof *claims; i++) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

/* All of claims that may be read: not what is behind the counts and behind text_len. */
static inline bool claims_are_same(const subtoken_claims *a, const subtoken_claims *b) {
  size_t from = offsetof(subtoken_claims, permission_count); /* before it there is padding */
  return memcmp(a, b, offsetof(subtoken_claims, every_url)) == 0 && a->every_url == b->every_url &&
         a->aud_named == b->aud_named && a->aud_derived == b->aud_derived &&
         memcmp((const char *)a + from, (const char *)b + from,
                offsetof(subtoken_claims, permissions) - from) == 0 &&
         memcmp(a->permissions, b->permissions, a->permission_count * sizeof(subtoken_slice)) ==
             0 &&
         memcmp(a->urls, b->urls, a->url_count * sizeof(subtoken_slice)) == 0 &&
         memcmp(a->via, b->via, a->via_count * sizeof(subtoken_slice)) == 0 &&
         memcmp(a->text, b->text, a->text_len) == 0;
}

/* subtoken_verify in every way in which it can be asked: without a cache, with one that may have
 * the token and with one that has it if it is good, and as its two parts. All say the same. The
 * cache is one for all calls, with what they leave in it. */
static inline subtoken_result verify_every_way(const subtoken_verifier *verifier,
                                               subtoken_text token, const subtoken_request *request,
                                               subtoken_claims *claims) {
  static char memory[1 << 16];
  static subtoken_claims own;
  subtoken_cache cache = {sizeof cache, memory, sizeof memory};
  subtoken_verifier with = *verifier;
  subtoken_result result = subtoken_verify(verifier, token, request, claims);
  with.cache = &cache;
  for (int twice = 0; twice < 2; twice++) {
    memset(&own, 0x55, sizeof own);
    subtoken_result got = subtoken_verify(&with, token, request, &own);
    CHECK(got == result, "with a cache %s, not %s", subtoken_result_name(got),
          subtoken_result_name(result));
    CHECK(claims_are_same(&own, claims), "with a cache the claims differ");
  }
  for (int twice = 0; result != SUBTOKEN_INVALID_ARGUMENT && twice < 2; twice++) {
    memset(&own, 0x55, sizeof own);
    subtoken_result got =
        subtoken_authenticate(verifier->ring, twice == 0 ? NULL : &cache, token, &own);
    if (got == SUBTOKEN_OK) got = subtoken_decide(verifier, request, &own);
    CHECK(got == result, "in two parts %s, not %s", subtoken_result_name(got),
          subtoken_result_name(result));
  }
  return result;
}

#endif
