/* Our own rows of the bench: verify MODE TOKENFILE SECRETFILE [threads=T].
 * Reads numbers from standard input; for each does the mode's work that often, going
 * round through the tokens, and prints the nanoseconds it took. With a mode `count…`
 * and a number in place of threads it verifies that often and ends, for callgrind and qemu;
 * REVOKED behind it makes the start shorter.
 * A verify looks its sub up among a million revoked ones. Exit 1 when a token is refused.
 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bare.h"
#include "edge_feed.h"
#include "mbedtls/sha256.h"
#include "subtoken/issue.h"
#include "subtoken/verify.h"

#define TOKENS_MAX 1024
#define THREADS_MAX 64
#define REVOKED 1000000 /* as a rule */

typedef struct sample {
  subtoken_text token;
  subtoken_text need; /* one permission that it has, when it has any */
  size_t needs;
  subtoken_claims claims;
} sample;

static sample *samples;
static size_t sample_count;
static subtoken_ring ring;
static subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
static mbedtls_sha256_context inner, outer; /* mbedTLS's own keyed states */
static int64_t now;
static uint32_t revoked = REVOKED;
static subtoken_feed_file feed;
static subtoken_feed_clock feed_clock = {.feed = &feed.feed};

static void stop(const char *error) {
  fprintf(stderr, "verify: %s\n", error);
  exit(1);
}

/* ---- one unit of work a mode ---- */

static subtoken_result verify(const subtoken_verifier *by, const sample *s) {
  static _Thread_local subtoken_claims claims;
  subtoken_request request = {.size = sizeof request,
                              .now = now,
                              .method = {"GET", 3},
                              .target = {"/v2/account/home/cats", 21},
                              .needs = &s->need,
                              .needs_count = s->needs};
  return subtoken_verify(by, s->token, &request, &claims);
}

static bool work_verify(const sample *s) {
  return verify(&verifier, s) == SUBTOKEN_OK;
}

/* With a cache, in which the token is after the first round: 1 MiB a thread, the nginx module's. */
static bool work_again(const sample *s) {
  static _Thread_local char memory[1 << 20];
  static _Thread_local subtoken_cache cache;
  static _Thread_local subtoken_verifier again;
  if (again.cache == NULL) {
    again = verifier;
    again.cache = &cache;
    if (subtoken_cache_init(&cache, memory, sizeof memory) != SUBTOKEN_OK) stop("no cache");
  }
  return verify(&again, s) == SUBTOKEN_OK;
}

/* As in a program whose other code uses AVX and leaves the upper halves as they are. */
static bool work_verify_after_avx(const sample *s) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx")) {
    __asm__ __volatile__("vcmpps $15, %%ymm15, %%ymm15, %%ymm15" : : : "xmm15");
  }
#endif
  return work_verify(s);
}

static bool work_issue(const sample *s) {
  static _Thread_local char out[SUBTOKEN_ISSUED_MAX + 1];
  size_t len;
  return subtoken_issue(&ring, &s->claims, out, sizeof out, &len) == SUBTOKEN_OK &&
         len == s->token.len;
}

static bool work_narrow_issue(const sample *s) {
  static _Thread_local subtoken_claims child;
  static const subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  subtoken_text permissions[SUBTOKEN_PERMISSIONS_MAX];
  for (size_t i = 0; i < s->claims.permission_count; i++) {
    permissions[i] = subtoken_claims_text(&s->claims, s->claims.permissions[i]);
  }
  subtoken_issue_request issue_request = {.size = sizeof issue_request,
                                          .permissions = permissions,
                                          .permission_count = s->claims.permission_count};
  sample made = {.token = s->token};
  if (subtoken_narrow(&s->claims, &issue_request, &limits, now, &child, NULL) != SUBTOKEN_OK)
    return false;
  static _Thread_local char out[SUBTOKEN_ISSUED_MAX + 1];
  size_t len;
  return subtoken_issue(&ring, &child, out, sizeof out, &len) == SUBTOKEN_OK &&
         len == made.token.len;
}

static bool work_bare(const sample *s) {
  static _Thread_local bare_claims claims;
  return bare_token(&ring.secrets[0], s->token, &claims) && claims.numbers >= 2;
}

static bool work_mac(const sample *s) {
  uint8_t mac[SUBTOKEN_MAC_LEN];
  return subtoken_mac_compute(&ring.secrets[0], s->token.data, s->token.len - 44, mac) ==
         SUBTOKEN_OK;
}

/* As mbedTLS's own HMAC does it, from keyed states that are kept. */
static bool work_mac_mbedtls(const sample *s) {
  mbedtls_sha256_context context;
  uint8_t digest[32];
  mbedtls_sha256_init(&context);
  mbedtls_sha256_clone(&context, &inner);
  bool good =
      mbedtls_sha256_update(&context, (const uint8_t *)s->token.data, s->token.len - 44) == 0 &&
      mbedtls_sha256_finish(&context, digest) == 0;
  mbedtls_sha256_clone(&context, &outer);
  good = good && mbedtls_sha256_update(&context, digest, sizeof digest) == 0 &&
         mbedtls_sha256_finish(&context, digest) == 0;
  mbedtls_sha256_free(&context);
  return good;
}

static const struct mode {
  const char *name;
  bool (*work)(const sample *s);
  bool portable;
} modes[] = {
    {"verify", work_verify, false},
    {"verify-portable", work_verify, true},
    {"issue", work_issue, false},
    {"narrow-issue", work_narrow_issue, false},
    {"bare", work_bare, false},
    {"bare-portable", work_bare, true},
    {"mac", work_mac, false},
    {"mac-portable", work_mac, true},
    {"mac-mbedtls", work_mac_mbedtls, false},
    {"count", work_verify, false},
    {"count-portable", work_verify, true},
    {"verify-after-avx", work_verify_after_avx, false},
    {"again", work_again, false},
    {"again-portable", work_again, true},
    {"count-again", work_again, false},
};

/* ---- reading what is asked ---- */

static char *read_file(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  char *text = malloc(TOKENS_MAX * (SUBTOKEN_TOKEN_MAX + 1));
  if (file == NULL || text == NULL) stop("cannot read a file");
  *len = fread(text, 1, TOKENS_MAX * (SUBTOKEN_TOKEN_MAX + 1), file);
  fclose(file);
  return text;
}

static void load_secret(const char *path) {
  size_t len;
  char *secret = read_file(path, &len);
  uint8_t pad[64];
  if (len != 32 || subtoken_ring_add(&ring, (subtoken_text){NULL, 0}, secret, len) != SUBTOKEN_OK) {
    stop("the secret is not 32 good bytes");
  }
  for (int i = 0; i < 2; i++) {
    mbedtls_sha256_context *context = i == 0 ? &inner : &outer;
    memset(pad, i == 0 ? 0x36 : 0x5C, sizeof pad);
    for (size_t j = 0; j < len; j++) pad[j] ^= (uint8_t)secret[j];
    mbedtls_sha256_init(context);
    if (mbedtls_sha256_starts(context, 0) != 0 || mbedtls_sha256_update(context, pad, 64) != 0) {
      stop("mbedTLS does not hash");
    }
  }
}

static void load_tokens(const char *path) {
  size_t len;
  char *text = read_file(path, &len);
  static char header[SUBTOKEN_HEADER_MAX];
  samples = calloc(TOKENS_MAX, sizeof *samples);
  if (samples == NULL) stop("no memory");
  for (char *line = text; line < text + len && sample_count < TOKENS_MAX; sample_count++) {
    sample *s = &samples[sample_count];
    char *end = memchr(line, '\n', (size_t)(text + len - line));
    if (end == NULL) stop("a line of the tokens has no end");
    s->token = (subtoken_text){line, (size_t)(end - line)};
    if (subtoken_inspect(s->token, header, sizeof header, &s->claims) != SUBTOKEN_OK) {
      stop("a token cannot be read");
    }
    s->claims.tid.len = 0; /* as the grant of a key: what is made from it is as long */
    s->needs = s->claims.permission_count > 0;
    if (s->needs) s->need = subtoken_claims_text(&s->claims, s->claims.permissions[0]);
    line = end + 1;
  }
  if (sample_count == 0) stop("no tokens");
}

/* ---- the revocations ---- */

static uint64_t mixed(uint64_t z) {
  z += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static void set_time(void) {
  now = time(NULL);
  feed_clock.now = feed_clock.monotonic = now;
  if (!edge_feed_refresh(&feed, now)) stop("the revocations are not taken");
}

/* Sorts the hashes. */
static void list(uint64_t *hashes, uint32_t count, const subtoken_revocations_header *header) {
  count = subtoken_revocations_sort(hashes, count);
  size_t size = subtoken_revocations_size(count);
  void *bytes = malloc(size);
  if (bytes == NULL) stop("no memory");
  if (subtoken_revocations_write(&ring, header, hashes, count, bytes, size, NULL) !=
          SUBTOKEN_FEED_OK ||
      edge_feed_load(&feed, &ring, bytes, size, header->sequence) < 0) {
    stop("the revocations cannot be written and read");
  }
  free(bytes);
  set_time();
}

/* Whoever asks nobody is fast: first a snapshot has to refuse the token. Then the one that is
 * asked from now on, of random hashes, as those of subs are. */
static void load_revocations(void) {
  subtoken_revocations_header header = {1, 1, {9, 8, 7, 6, 5, 4, 3, 2, 1}};
  uint64_t *hashes = malloc(revoked * sizeof *hashes);
  if (hashes == NULL) stop("no memory");
  verifier.revoked = subtoken_feed_revoked;
  verifier.revoked_context = &feed_clock;
  hashes[0] = subtoken_revocations_hash(
      header.hash_key, subtoken_claims_text(&samples[0].claims, samples[0].claims.sub));
  list(hashes, 1, &header);
  subtoken_result result = verify(&verifier, &samples[0]);
  if (result == SUBTOKEN_OK) stop("accepts a revoked token");
  if (result != SUBTOKEN_REVOKED) stop("refuses a token before it is looked up");
  subtoken_feed_file_stop(&feed);
  for (uint32_t i = 0; i < revoked; i++) hashes[i] = mixed(i);
  list(hashes, revoked, &header);
  free(hashes);
}

/* ---- doing it ---- */

typedef struct job {
  const struct mode *mode;
  uint64_t times;
  size_t at; /* where to go on in the tokens */
  uint64_t took;
  pthread_t thread;
} job;

static uint64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void *run(void *argument) {
  job *j = argument;
  uint64_t began = clock_ns();
  size_t at = j->at;
  for (uint64_t i = 0; i < j->times; i++) {
    if (!j->mode->work(&samples[at])) stop("refused a token");
    if (++at == sample_count) at = 0;
  }
  j->at = at;
  j->took = clock_ns() - began;
  return NULL;
}

static uint64_t run_all(job *jobs, size_t threads, uint64_t times) {
  uint64_t slowest = 0;
  set_time();
  for (size_t i = 0; i < threads; i++) jobs[i].times = times;
  for (size_t i = 1; i < threads; i++) {
    if (pthread_create(&jobs[i].thread, NULL, run, &jobs[i]) != 0) stop("no thread");
  }
  (void)run(&jobs[0]);
  for (size_t i = 1; i < threads; i++) pthread_join(jobs[i].thread, NULL);
  for (size_t i = 0; i < threads; i++) {
    if (jobs[i].took > slowest) slowest = jobs[i].took;
  }
  return slowest;
}

/* Whoever passes any token is fast. */
static void check_refusal(void) {
  static char copy[SUBTOKEN_TOKEN_MAX];
  sample forged = samples[0];
  memcpy(copy, forged.token.data, forged.token.len);
  char *digit = &copy[forged.token.len - 5];
  *digit = *digit == 'A' ? 'B' : 'A';
  forged.token.data = copy;
  if (work_verify(&forged)) stop("accepts a forged token");
  if (!work_again(&samples[0]) || work_again(&forged)) stop("the cache gives a forged token");
}

int main(int argc, char **argv) {
  static job jobs[THREADS_MAX];
  size_t threads = 1;
  uint64_t times = 0;
  const struct mode *mode = NULL;
  if (argc < 4) stop("usage: verify MODE TOKENFILE SECRETFILE [threads=T | N [REVOKED]]");
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    if (strcmp(argv[1], modes[i].name) == 0) mode = &modes[i];
  }
  if (mode == NULL) stop("no such mode");
  if (argc > 4 && sscanf(argv[4], "threads=%zu", &threads) == 1 &&
      (threads < 1 || threads > THREADS_MAX)) {
    stop("too many threads");
  }
  if (argc > 5 && (sscanf(argv[5], "%" SCNu32, &revoked) != 1 || revoked == 0)) {
    stop("REVOKED is no number");
  }
  load_secret(argv[3]);
  load_tokens(argv[2]);
  bare_setup();
  if (mode->portable) ring.secrets[0].cpu = 0;
  verifier.ring = &ring;
  load_revocations();
  check_refusal();
  for (size_t i = 0; i < threads; i++) jobs[i].mode = mode;
  if (argc > 4 && sscanf(argv[4], "%lu", &times) == 1) {
    (void)run_all(jobs, 1, times);
    return 0;
  }
  while (scanf("%lu", &times) == 1) {
    printf("%lu\n", run_all(jobs, threads, times));
    fflush(stdout);
  }
  return 0;
}
