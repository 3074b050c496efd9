/* What is left on the stack after a call that had a secret in its hands: nothing of the secret, of
 * what was derived from it, and of a MAC that would make wrong data right. Each call runs in a
 * thread whose stack is memory of ours, which is searched when the thread has ended.
 */
#include "domain/access_file.h"
#include "domain/key.h" /* before the fixture, which has a key of its own */

#include "revocations_fixture.h"

#include <pthread.h>
#include <sys/mman.h>

#include "base/base64url.h"
#include "subtoken/edge.h"
#include "subtoken/mac.h"

#define STACK ((size_t)512 * 1024)

static uint8_t *stack;
static void (*work)(void);

/* The thread's end takes some of the stack once more: the work is done below that. */
static void *run_work(void *unused) {
  volatile char gap[64 * 1024];
  (void)unused;
  gap[0] = 0;
  work();
  gap[sizeof gap - 1] = 0;
  return NULL;
}

static void run(void (*function)(void)) {
  pthread_attr_t attributes;
  pthread_t thread;
  work = function;
  memset(stack, 0, STACK);
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK), 0);
  assert_int_equal(pthread_create(&thread, &attributes, run_work, NULL), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  pthread_attr_destroy(&attributes);
}

/* Sixteen bytes of it are too many. Where nothing is optimised, the compiler keeps copies of its
 * own, and so does a sanitizer: that build is not looked at. */
static bool is_left(const void *secret, size_t len) {
#ifndef TESTED_IS_OPTIMISED
  return false;
#endif
  for (size_t at = 0; at + 16 <= len; at += 16) {
    if (memmem(stack, STACK, (const uint8_t *)secret + at, 16) != NULL) return true;
  }
  return false;
}

/* A secret is there in several forms: as it is, as it begins both hashes of HMAC, and what they
 * give. */
static bool secret_is_left(const void *bytes, size_t len, const subtoken_secret *secret) {
  uint8_t inner[SUBTOKEN_SECRET_MAX], outer[SUBTOKEN_SECRET_MAX];
  for (size_t i = 0; i < len; i++) {
    inner[i] = ((const uint8_t *)bytes)[i] ^ 0x36;
    outer[i] = ((const uint8_t *)bytes)[i] ^ 0x5C;
  }
  return is_left(bytes, len) || is_left(inner, len) || is_left(outer, len) ||
         is_left(secret->inner, sizeof secret->inner) ||
         is_left(secret->outer, sizeof secret->outer) ||
         (secret->audience_len == 0 &&
          (is_left(secret->derive_inner, sizeof secret->derive_inner) ||
           is_left(secret->derive_outer, sizeof secret->derive_outer)));
}

static const char plain_secret[] = "0vMk9TzqLwXy3uBn7sRd5fGh1jPc8aEo";
static subtoken_ring plain, derived, into;
static uint8_t derived_secret[SUBTOKEN_MAC_LEN];
static char text[4096], token[SUBTOKEN_ISSUED_MAX + 1];
static size_t text_len, token_len;
static subtoken_result result;
static subtoken_claims claims;

/* The key of which those for audiences are derived (RFC 5869 section 2.2) is as good as the secret.
 */
static bool pseudorandom_is_left(void) {
  static const uint8_t salt[ST_HASH_LEN];
  subtoken_secret extract = {0};
  uint8_t pseudorandom[ST_HASH_LEN];
  st_hmac_key(&extract, salt, sizeof salt);
  st_hmac(&extract, plain_secret, sizeof plain_secret - 1, pseudorandom);
  return is_left(pseudorandom, sizeof pseudorandom);
}

static bool plain_is_left(void) {
  return pseudorandom_is_left() ||
         secret_is_left(plain_secret, sizeof plain_secret - 1, &plain.secrets[0]);
}

static bool derived_is_left(void) {
  return secret_is_left(derived_secret, sizeof derived_secret, &derived.secrets[0]);
}

static int set_up(void **state) {
  (void)state;
  size_t secret_len = sizeof plain_secret - 1;
  stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return -1;
  if (subtoken_ring_add(&plain, ST_TEXT("one"), plain_secret, secret_len) != SUBTOKEN_OK ||
      subtoken_ring_derive(&plain, ST_TEXT("eu"), &derived) != SUBTOKEN_OK ||
      subtoken_secret_derive(plain_secret, secret_len, ST_TEXT("eu"), derived_secret) !=
          SUBTOKEN_OK) {
    return -1;
  }
  ring = plain;
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, "one:");
  st_base64url_write(&writer, plain_secret, secret_len);
  text_len = writer.len;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return munmap(stack, STACK);
}

/* The search finds what a function leaves. */
static void leave_it(void) {
  volatile char copy[sizeof plain_secret];
  for (size_t i = 0; i < sizeof copy; i++) copy[i] = plain_secret[i];
}

static void what_is_left_is_found(void **state) {
  (void)state;
  run(leave_it);
#ifdef TESTED_IS_OPTIMISED
  assert_true(plain_is_left());
#endif
}

static void read_ring(void) {
  result = subtoken_ring_read(&into, (subtoken_text){text, text_len}, NULL);
}

static void add_to_ring(void) {
  memset(&into, 0, sizeof into);
  result = subtoken_ring_add(&into, ST_TEXT("one"), plain_secret, sizeof plain_secret - 1);
}

static void derive_secret(void) {
  static uint8_t out[SUBTOKEN_MAC_LEN];
  result = subtoken_secret_derive(plain_secret, sizeof plain_secret - 1, ST_TEXT("eu"), out);
}

static void derive_ring(void) {
  result = subtoken_ring_derive(&plain, ST_TEXT("eu"), &into);
}

static void a_secret_that_is_read_is_wiped(void **state) {
  (void)state;
  static void (*const each[])(void) = {read_ring, add_to_ring, derive_secret, derive_ring};
  for (size_t i = 0; i < COUNT(each); i++) {
    run(each[i]);
    assert_int_equal(result, SUBTOKEN_OK);
    CHECK(!plain_is_left(), "call %zu", i);
    CHECK(!derived_is_left(), "call %zu", i);
  }
}

/* A ring that is refused because of a later line holds nothing of the earlier ones. */
static void read_bad_ring(void) {
  st_writer writer = st_writer_on(text, sizeof text);
  writer.len = text_len;
  st_write_literal(&writer, "\nbad");
  result = subtoken_ring_read(&into, (subtoken_text){text, writer.len}, NULL);
}

static void a_refused_ring_is_wiped(void **state) {
  (void)state;
  static const subtoken_ring none;
  run(read_bad_ring);
  assert_int_equal(result, SUBTOKEN_MALFORMED);
  assert_false(plain_is_left());
  assert_memory_equal(&into, &none, sizeof none);
}

/* ---- tokens ---- */

static void issue_for_audience(void) {
  result = subtoken_issue(&plain, &claims, token, sizeof token, &token_len);
}

static void verify_for_audience(void) {
  static subtoken_claims read;
  result = subtoken_authenticate(&plain, NULL, (subtoken_text){token, token_len}, &read);
}

static void a_secret_derived_for_a_token_is_wiped(void **state) {
  (void)state;
  memset(&claims, 0, sizeof claims);
  assert_true(st_claims_set_sub(&claims, ST_TEXT("sub")));
  assert_true(st_claims_set_aud(&claims, ST_TEXT("eu")));
  claims.iat = NOW;
  claims.exp = NOW + DAY;
  claims.every_url = true;
  run(issue_for_audience);
  assert_int_equal(result, SUBTOKEN_OK);
  assert_false(derived_is_left());
  assert_false(plain_is_left());
  run(verify_for_audience);
  assert_int_equal(result, SUBTOKEN_OK);
  assert_false(derived_is_left());
  assert_false(plain_is_left());
}

/* ---- the right MAC of wrong data ---- */

static uint8_t wrong_mac[SUBTOKEN_MAC_LEN];
static snapshot wrong_snapshot;
static subtoken_feed_result feed_result;

static void check_mac(void) {
  result = subtoken_mac_check(&plain.secrets[0], "data", 4, wrong_mac);
}

static void open_snapshot(void) {
  static subtoken_revocations view;
  feed_result = subtoken_revocations_open(&plain, wrong_snapshot.bytes, wrong_snapshot.len, &view);
}

static void a_right_mac_is_wiped(void **state) {
  (void)state;
  uint8_t right[SUBTOKEN_MAC_LEN];
  st_hmac(&plain.secrets[0], "data", 4, right);
  run(check_mac);
  assert_int_equal(result, SUBTOKEN_MAC);
  assert_false(is_left(right, sizeof right));
#ifndef __SANITIZE_ADDRESS__ /* there, registers with the secret's states are kept on the stack */
  assert_false(plain_is_left());
#endif

  wrong_snapshot = small();
  memcpy(right, wrong_snapshot.bytes + wrong_snapshot.len - SUBTOKEN_MAC_LEN, sizeof right);
  memset(wrong_snapshot.bytes + wrong_snapshot.len - SUBTOKEN_MAC_LEN, 0, SUBTOKEN_MAC_LEN);
  run(open_snapshot);
  assert_int_equal(feed_result, SUBTOKEN_FEED_MAC);
  assert_false(is_left(right, sizeof right));
#ifndef __SANITIZE_ADDRESS__
  assert_false(plain_is_left());
#endif
  free(wrong_snapshot.bytes);
}

/* ---- keys ---- */

static const char string_key[] = "a-key-of-somebody-else-0123456789-abcdefghijklmnop";
static uint8_t digest[32];
static bool good;

static void hash_string(void) {
  good = st_key_string_hash((subtoken_text){string_key, sizeof string_key - 1}, digest);
}

static void hash_bytes(void) {
  st_sha256(string_key, sizeof string_key - 1, digest);
}

static void a_key_is_wiped(void **state) {
  (void)state;
  run(hash_string);
  assert_true(good);
  assert_false(is_left(string_key, sizeof string_key - 1));
  assert_false(is_left(string_key + 5, sizeof string_key - 6));
  run(hash_bytes);
  assert_false(is_left(string_key, sizeof string_key - 1));
  /* The state that it ends with is what it gives, in words. */
  uint8_t words[sizeof digest];
  for (size_t i = 0; i < sizeof words; i++) words[i] = digest[i ^ 3];
  assert_false(is_left(digest, sizeof digest) || is_left(words, sizeof words));
}

/* ---- a key in a query ---- */

static char target[256];
static subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
static subtoken_edge edge = SUBTOKEN_EDGE_DEFAULT;
static subtoken_edge_request request = SUBTOKEN_EDGE_REQUEST_DEFAULT;
static subtoken_edge_reply edge_reply = SUBTOKEN_EDGE_REPLY_DEFAULT;
static subtoken_edge_step step;

static void decide(void) {
  step = subtoken_edge_decide(&edge, &request, &claims, &edge_reply);
}

static void ask(void) {
  static char memory[SUBTOKEN_EDGE_QUESTION_MEMORY];
  static subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
  good = subtoken_edge_question(&edge, &request, ST_TEXT("1"), memory, sizeof memory, headers) > 0;
}

static void look_at_answer(void) {
  static subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  answer.status = 200;
  answer.nonce = ST_TEXT("1");
  answer.sub = ST_TEXT("sub");
  good = subtoken_edge_answer_usable(&edge, &request, ST_TEXT("1"), &answer);
}

/* It is decoded on the stack: each of its characters comes escaped. */
static void a_key_in_a_query_is_wiped(void **state) {
  (void)state;
  int len = snprintf(target, sizeof target, "/?access_token=");
  for (size_t i = 0; string_key[i] != '\0'; i++) {
    len += snprintf(target + len, sizeof target - (size_t)len, "%%%02X", (unsigned)string_key[i]);
  }
  verifier.ring = &plain;
  edge.verifier = &verifier;
  edge.may_ask = true;
  request.now = NOW;
  request.method = ST_TEXT("GET");
  request.target = (subtoken_text){target, (size_t)len};
  run(decide);
  assert_int_equal(step, SUBTOKEN_EDGE_ASK);
  assert_false(is_left(string_key, sizeof string_key - 1));
  run(ask);
  assert_true(good);
  assert_false(is_left(string_key, sizeof string_key - 1));
  run(look_at_answer);
  assert_true(good);
  assert_false(is_left(string_key, sizeof string_key - 1));
}

/* ---- the hash of a password in an access file ---- */

static const uint8_t password_hash[ST_HASH_LEN] = "the hash of somebody's password";
static char access_text[512];
static size_t access_len;

static void read_access_file(void) {
  static st_access_file file;
  static st_access_entry entry;
  good = st_access_file_start(&file, access_text, access_len) && file.count == 1 &&
         st_access_file_next(&file, &entry) &&
         memcmp(entry.hash, password_hash, sizeof password_hash) == 0;
}

static void a_hash_of_an_access_file_is_wiped(void **state) {
  (void)state;
  char encoded[64];
  st_writer writer = st_writer_on(encoded, sizeof encoded);
  st_base64_write(&writer, ST_PADDED, password_hash, sizeof password_hash);
  assert_true(st_writer_end(&writer));
  access_len = (size_t)snprintf(access_text, sizeof access_text,
                                "{\"permission_map\":[[\"a\",{\"password_hash_b64\":\"%s\","
                                "\"password_salt_b64\":\"AAAA\",\"allowed_apis\":[]}]]}",
                                encoded);
  run(read_access_file);
  assert_true(good);
  assert_false(is_left(password_hash, sizeof password_hash));
  assert_false(is_left(encoded, strlen(encoded)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_left_is_found),
      cmocka_unit_test(a_secret_that_is_read_is_wiped),
      cmocka_unit_test(a_refused_ring_is_wiped),
      cmocka_unit_test(a_secret_derived_for_a_token_is_wiped),
      cmocka_unit_test(a_right_mac_is_wiped),
      cmocka_unit_test(a_key_is_wiped),
      cmocka_unit_test(a_key_in_a_query_is_wiped),
      cmocka_unit_test(a_hash_of_an_access_file_is_wiped),
  };
  return cmocka_run_group_tests_name("wiped", tests, set_up, tear_down);
}
