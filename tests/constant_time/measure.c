/* Measures whether a time depends on a secret, as dudect does (Reparaz, Balasch, Verbauwhede,
 * 2017): two classes of input in random order, the slow ends of the times cropped, and Welch's
 * t-test over what is left. |t| below 4.5 is no sign of a difference; the largest of all croppings
 * counts. `measure` prints TAP, `measure N` with N pairs in place of 500,000. The first two rows
 * show that a difference would be seen.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operations/password.c"

#include "base/base64url.h"
#include "core/cache.h"
#include "core/jws.h"
#include "store/key_cache.h"
#include "subtoken/verify.h"

#define CLASSES 2
#define CROPPINGS 20
#define LIMIT 4.5

/* The processor's counter, or what the machine has. */
static inline uint64_t ticks(void) {
#if defined(__x86_64__)
  uint32_t low, high, unused;
  __asm__ __volatile__("lfence\n\trdtscp\n\tlfence"
                       : "=a"(low), "=d"(high), "=c"(unused)
                       :
                       : "memory");
  return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
  uint64_t value;
  __asm__ __volatile__("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(value) : : "memory");
  return value;
#else
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
#endif
}

static uint64_t random_state = 0x9E3779B97F4A7C15;
static uint64_t random_word(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* ---- Welch's t ---- */

typedef struct moments {
  double count, mean, sum; /* of squared differences from the mean */
} moments;

static void add(moments *m, double value) {
  double delta = value - m->mean;
  m->count++;
  m->mean += delta / m->count;
  m->sum += delta * (value - m->mean);
}

static double welch(const moments m[CLASSES]) {
  if (m[0].count < 1000 || m[1].count < 1000) return 0;
  double a = m[0].sum / (m[0].count - 1) / m[0].count, b = m[1].sum / (m[1].count - 1) / m[1].count;
  return a + b > 0 ? (m[0].mean - m[1].mean) / sqrt(a + b) : 0;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* The largest |t| over all times below each of a row of percentiles, of both classes together. */
static double largest_t(const uint64_t *times, const uint8_t *classes, size_t count) {
  uint64_t *sorted = malloc(count * sizeof *sorted);
  if (sorted == NULL) abort();
  memcpy(sorted, times, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_value);
  double worst = 0;
  for (int i = 1; i <= CROPPINGS; i++) {
    double part = 1 - pow(0.5, 10.0 * i / CROPPINGS);
    uint64_t below = sorted[(size_t)((double)(count - 1) * part)];
    moments m[CLASSES] = {{0, 0, 0}, {0, 0, 0}};
    for (size_t at = 0; at < count; at++) {
      if (times[at] <= below) add(&m[classes[at]], (double)times[at]);
    }
    double t = fabs(welch(m));
    if (t > worst) worst = t;
  }
  free(sorted);
  return worst;
}

/* ---- what is measured ---- */

/* Every case has two inputs, one for each class, of the same layout in memory: they are copied into
 * one place before each call, which is not measured. */
static char input[CLASSES][SUBTOKEN_TOKEN_MAX], work[SUBTOKEN_TOKEN_MAX];
static size_t input_len;
static volatile bool sink;

static void set_inputs(const void *both, size_t len) {
  input_len = len;
  for (int i = 0; i < CLASSES; i++) memcpy(input[i], both, len);
}

static const char bytes[] = "x9Kd02mfYq7Lz5RtB1vN8sWcE4gH6jUp-is-64-bytes-with-what-follows..";
static const char payload[] =
    "{\"sub\":\"wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k\",\"iat\":1000,\"exp\":2000,"
    "\"permissions\":[\"progression\",\"account\",\"unlocks\"]}";
static subtoken_ring ring;
static subtoken_claims claims;
static uint8_t mac[32];
static char token[SUBTOKEN_ISSUED_MAX];
static size_t token_len;

static void a_compare_that_stops_early(void) {
  size_t at = 0;
  while (at < 32 && work[at] == bytes[at]) at++;
  sink = at == 32;
}

static void equal_secret(void) {
  sink = st_equal_secret(work, bytes, 32);
}

static void mac_check(void) {
  sink = subtoken_mac_check(&ring.secrets[0], bytes, 64, (const uint8_t *)work) == SUBTOKEN_OK;
}

static void authenticate_text(void) {
  sink =
      subtoken_authenticate(&ring, NULL, (subtoken_text){work, input_len}, &claims) == SUBTOKEN_OK;
}

static char cache_memory[1 << 20];
static subtoken_cache cache;
static void cache_find(void) {
  sink = st_cache_find(&cache, &ring, (subtoken_text){work, input_len}, &claims);
}

/* All of it: what is not in the cache is verified. */
static void authenticate_cached(void) {
  sink = subtoken_authenticate(&ring, &cache, (subtoken_text){work, input_len}, &claims) ==
         SUBTOKEN_OK;
}

static st_key_cache *keys;
static st_key found;
static void key_find(void) {
  sink = st_key_cache_find(keys, false, work, &found);
}

/* A whole key or a refresh token as it is presented: its hash is looked up. */
static void key_hash_and_find(void) {
  uint8_t digest[32];
  st_sha256(work, input_len, digest);
  sink = st_key_cache_find(keys, false, digest, &found);
}

/* In place of libargon2, whose work depends on the password by design (RFC 9106): the rest. */
int argon2id_ctx(argon2_context *context) {
  memcpy(context->out, work, 32);
  return ARGON2_OK;
}
static password_stored stored;
static void password(void) {
  sink = password_check(&stored, (subtoken_text){work, 32}, 0) == ST_PASSWORD_OK;
}

static void base64_of_a_secret(void) {
  uint8_t out[64];
  size_t len;
  sink = st_base64url_decode((subtoken_text){work, input_len}, out, sizeof out, &len);
}

static void secret_weak(void) {
  subtoken_secret made;
  sink = subtoken_secret_set(&made, (subtoken_text){NULL, 0}, work, 32) == SUBTOKEN_OK;
}

/* ---- the two inputs of each ---- */

/* Equal, or the first byte differs. */
static void equal_or_early(void) {
  set_inputs(bytes, 32);
  input[1][0] ^= 1;
}
/* The first byte differs, or the last. */
static void early_or_late(void) {
  set_inputs(bytes, 32);
  input[0][0] ^= 1;
  input[1][31] ^= 1;
}
static void mac_early_or_late(void) {
  set_inputs(mac, 32);
  input[0][0] ^= 1;
  input[1][31] ^= 1;
}
/* Signatures that differ in the first character or in the last but one: all are valid base64url. */
static void token_early_or_late(void) {
  set_inputs(token, token_len);
  char *first = &input[0][token_len - 43], *last = &input[1][token_len - 2];
  *first = *first == 'A' ? 'B' : 'A';
  *last = *last == 'A' ? 'B' : 'A';
}
/* Of the same signature, so that they lie where the kept one does: the first character differs, or
 * the last before it. */
static void cached_early_or_late(void) {
  set_inputs(token, token_len);
  input[0][0] ^= 1;
  input[1][token_len - 45] ^= 1;
}
static void digest_early_or_late(void) {
  set_inputs(bytes, 32);
  input[0][8] ^= 1;
  input[1][31] ^= 1;
}
static void whole_early_or_late(void) {
  set_inputs("0C5B4D5E-1A2B-4C3D-8E9F-00112233445566778899AABB-CCDD-EEFF-0011-223344556677", 72);
  input[0][0] ^= 1;
  input[1][71] ^= 1;
}
/* A secret in base64url: characters of one range or of several. */
static void secret_texts(void) {
  char low[43], high[43];
  memset(low, 'A', sizeof low);
  memset(high, '_', sizeof high);
  high[42] = '8';
  set_inputs(low, 43);
  memcpy(input[1], high, 43);
}
/* Secrets whose halves differ early or late. */
static void secret_halves(void) {
  char both[32];
  for (size_t i = 0; i < 32; i++) both[i] = (char)('a' + i % 16);
  set_inputs(both, 32);
  input[0][16] ^= 1;
  input[1][31] ^= 1;
}

typedef struct row {
  const char *name;
  void (*prepare)(void);
  void (*call)(void);
  int calls; /* in one time: what is short is called often */
  bool differs;
} row;

static const row rows[] = {
    {"a compare that stops early is seen: equal or early", equal_or_early,
     a_compare_that_stops_early, 8, true},
    {"a compare that stops early is seen: early or late", early_or_late, a_compare_that_stops_early,
     8, true},
    {"secrets: equal or early", equal_or_early, equal_secret, 8, false},
    {"secrets: early or late", early_or_late, equal_secret, 8, false},
    {"MAC check: early or late", mac_early_or_late, mac_check, 1, false},
    {"token without cache: signature early or late", token_early_or_late, authenticate_text, 1,
     false},
    {"token cache, a miss: payload early or late", cached_early_or_late, cache_find, 4, false},
    {"token with cache, a miss: signature early or late", token_early_or_late, authenticate_cached,
     1, false},
    {"token cache, a miss: signature early or late", token_early_or_late, cache_find, 4, false},
    {"key cache by digest: early or late", digest_early_or_late, key_find, 4, false},
    {"whole key or refresh token, its hash looked up: early or late", whole_early_or_late,
     key_hash_and_find, 1, false},
    {"password, the hash computed: early or late", early_or_late, password, 4, false},
    {"secret from base64url: its characters", secret_texts, base64_of_a_secret, 4, false},
    {"secret set: halves differ early or late", secret_halves, secret_weak, 1, false},
};

static double measure(const row *r, size_t count) {
  uint64_t *times = malloc(count * sizeof *times);
  uint8_t *classes = malloc(count);
  if (times == NULL || classes == NULL) abort();
  r->prepare();
  for (size_t at = 0; at < count; at++) {
    classes[at] = (uint8_t)(random_word() >> 40 & 1);
    memcpy(work, input[classes[at]], input_len);
    uint64_t began = ticks();
    for (int i = 0; i < r->calls; i++) r->call();
    times[at] = ticks() - began;
  }
  /* The first ones warm the caches. */
  double t = largest_t(times + count / 100, classes + count / 100, count - count / 100);
  free(times);
  free(classes);
  return t;
}

static bool set_up(void) {
  static st_key key = {.id = "0123456789ABCDEF0123456789ABCDEF0123",
                       .sub = "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k",
                       .expires_at = ST_NEVER};
  keys = st_key_cache_new(ST_KEY_CACHE_MIN);
  if (keys == NULL) return false;
  st_key_cache_put(keys, (const uint8_t *)bytes, &key, st_key_cache_moment(keys));
  stored.cost = current_cost;
  stored.salt_len = SALT_LEN;
  stored.hash_len = 32;
  memcpy(stored.hash, bytes, 32);
  return subtoken_ring_add(&ring, ST_TEXT("kid"), bytes, 40) == SUBTOKEN_OK &&
         subtoken_mac_compute(&ring.secrets[0], bytes, 64, mac) == SUBTOKEN_OK &&
         subtoken_jws_seal(&ring, payload, strlen(payload), token, sizeof token, &token_len) ==
             SUBTOKEN_OK &&
         subtoken_cache_init(&cache, cache_memory, sizeof cache_memory) == SUBTOKEN_OK &&
         subtoken_authenticate(&ring, &cache, (subtoken_text){token, token_len}, &claims) ==
             SUBTOKEN_OK;
}

int main(int argc, char **argv) {
  size_t count = 2 * (argc > 1 ? strtoul(argv[1], NULL, 10) : 500000);
  size_t failed = 0, number = 0;
  if (count < 20000 || !set_up()) {
    puts("not ok 1 - cannot set up");
    return 1;
  }
  printf("1..%zu\n", sizeof rows / sizeof rows[0]);
  for (const row *r = rows; r < rows + sizeof rows / sizeof rows[0]; r++) {
    double t = measure(r, count);
    bool good = r->differs ? t > LIMIT : t < LIMIT;
    printf("%s %zu - %s: |t| = %.2f over %zu\n", good ? "ok" : "not ok", ++number, r->name, t,
           count);
    fflush(stdout);
    failed += !good;
  }
  return failed > 0;
}
