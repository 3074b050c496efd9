/* A sequence of steps, each of a few bytes: verify one of some tokens or what the step makes of it,
 * with a cache and without; change the ring; wipe. Whatever came before, both give the same result
 * and the same claims, also in two parts. The memory of the cache is small, in a block of its exact
 * size and at an address of any alignment, so that sets and log are soon full.
 */
#include "base/base64url.h"
#include "base/hmac.h"
#include "fuzz.h"
#include "subtoken/mac.h"
#include "subtoken/verify.h"

#define NOW INT64_C(1700000000)
#define TOKENS 64

static const char *const secrets[] = {"fuzzing-needs-a-secret-of-its-own!",
                                      "and-another-one-for-the-same-kids!"};
static const char *const kids[] = {"", "a", "b"};

static char tokens[TOKENS][SUBTOKEN_TOKEN_MAX];
static size_t token_lens[TOKENS];

/* The bytes of the input, zeros behind its end. */
typedef struct steps {
  const uint8_t *at, *end;
} steps;

static unsigned next(steps *s) {
  return s->at < s->end ? *s->at++ : 0;
}

static bool add(subtoken_ring *ring, unsigned kid, unsigned secret) {
  const char *text = secrets[secret % 2U];
  return subtoken_ring_add(ring, st_text(kids[kid % 3U]), text, strlen(text)) == SUBTOKEN_OK;
}

static void sign(size_t i, const char *payload) {
  static subtoken_ring by, derived;
  subtoken_text text = st_text(payload);
  memset(&by, 0, sizeof by);
  HOLD(add(&by, (unsigned)i, (unsigned)(i / 3)));
  if (i % 9 == 2) {
    HOLD(subtoken_ring_derive(&by, ST_TEXT("x"), &derived) == SUBTOKEN_OK);
    by = derived;
  }
  HOLD(subtoken_jws_seal(&by, text.data, text.len, tokens[i], sizeof tokens[i], &token_lens[i]) ==
       SUBTOKEN_OK);
}

/* Of all lengths up to the longest, in the form that we write and in others, some of them no
 * claims.
 */
static void prepare(void) {
  static char payload[SUBTOKEN_TOKEN_MAX];
  if (token_lens[0] > 0) return;
  for (size_t i = 0; i < TOKENS; i++) {
    int len = snprintf(payload, sizeof payload,
                       "{\"sub\":\"s%zu\",\"iat\":%lld,\"exp\":%lld,\"permissions\":[\"p%zu\"%s]",
                       i, (long long)NOW - 10, (long long)(NOW + (int64_t)i), i % 8,
                       i % 3 == 0 ? ",\"q\"" : "");
    size_t at = (size_t)len;
    if (i % 2 == 0) at += (size_t)sprintf(payload + at, ",\"urls\":[\"/a\",\"GET:/b/%zu\"]", i % 4);
    if (i % 9 == 2) at += (size_t)sprintf(payload + at, ",\"aud\":\"x\"");
    if (i % 4 == 1) {
      at += (size_t)sprintf(payload + at, ",\"via\":[\"0123456789abcde%zu\",\"ABCDEFGHIJKLMN-_\"]",
                            i % 8);
    }
    if (i % 9 != 2 && i % 5 == 0)
      at += (size_t)sprintf(payload + at, ",\"aud\":[\"x\",\"y\\u0041%zu\"]", i % 4);
    if (i % 7 == 0) at += (size_t)sprintf(payload + at, ",\"iss\":\"me\",\"nbf\":1");
    if (i % 11 == 0) at += (size_t)sprintf(payload + at, ",\"x\":\"%0*d\"", (int)(i * 40), 1);
    if (i % 13 != 12) payload[at++] = '}';
    payload[at] = '\0';
    sign(i, payload);
  }
}

static bool same(const subtoken_claims *a, const subtoken_claims *b) {
  size_t from = offsetof(subtoken_claims, permission_count); /* before it there is padding */
  return memcmp(a, b, offsetof(subtoken_claims, every_url)) == 0 && a->every_url == b->every_url &&
         a->aud_named == b->aud_named && a->aud_derived == b->aud_derived &&
         memcmp((const char *)a + from, (const char *)b + from,
                offsetof(subtoken_claims, permissions) - from) == 0 &&
         memcmp(a->via, b->via, a->via_count * sizeof *a->via) == 0 &&
         memcmp(a->permissions, b->permissions, a->permission_count * sizeof *a->permissions) ==
             0 &&
         memcmp(a->urls, b->urls, a->url_count * sizeof *a->urls) == 0 &&
         memcmp(a->text, b->text, a->text_len) == 0;
}

static subtoken_result revoked_if(void *context, const subtoken_text *names, size_t count) {
  const unsigned *which = context;
  for (size_t i = 0; i < count; i++) {
    unsigned last = (uint8_t)names[i].data[names[i].len - 1];
    if (last % 8U == *which) return SUBTOKEN_REVOKED;
  }
  return SUBTOKEN_OK;
}

/* A token as it is, or cut, or with a byte changed; at times two that are put together. */
static char *token_of(steps *s, unsigned how, size_t *len) {
  size_t i = next(s) % TOKENS;
  *len = token_lens[i];
  char *token = fuzz_copy(tokens[i], *len);
  if (how % 8U == 1) token[(next(s) * 256U + next(s)) % *len] ^= (char)(1 + next(s) % 255U);
  if (how % 8U == 2) *len -= next(s) % (*len + 1);
  if (how % 8U == 3) { /* the end of another one, by which it is found */
    size_t j = next(s) % TOKENS, tail = 8 + next(s) % 40U;
    memcpy(token + *len - tail, tokens[j] + token_lens[j] - tail, tail);
  }
  return token;
}

static void verify(steps *s, const subtoken_ring *ring, subtoken_cache *cache, unsigned how) {
  static subtoken_claims with, without, parts;
  static const char *const targets[] = {"/a", "/b/1", "/b/2?x", "/../a"};
  static const char *const names[] = {"x", "yA1", "me", "p1"};
  size_t len;
  char *token = token_of(s, how, &len);
  subtoken_text text = {token, len}, needs = st_text(names[3]);
  unsigned request_bits = next(s), which = next(s);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = ring;
  verifier.leeway = which % 4U;
  verifier.revoked = revoked_if;
  verifier.revoked_context = &which;
  if (which % 3U == 0) verifier.aud = st_text(names[which % 2U]);
  verifier.any_audience = which % 7U == 0;
  if (which % 5U == 0) verifier.iss = st_text(names[2]);
  subtoken_request request = {.size = sizeof request,
                              .now = NOW + request_bits % 64U,
                              .method = ST_TEXT("GET"),
                              .target = st_text(targets[request_bits % 4U]),
                              .needs = &needs,
                              .needs_count = request_bits / 128U};
  memset(&with, 0x55, sizeof with);
  subtoken_result want = subtoken_verify(&verifier, text, &request, &without);
  verifier.cache = cache;
  HOLD(subtoken_verify(&verifier, text, &request, &with) == want);
  HOLD(same(&with, &without));
  verifier.cache = NULL;
  subtoken_result result = subtoken_authenticate(ring, how % 2U == 0 ? cache : NULL, text, &parts);
  if (result == SUBTOKEN_OK) result = subtoken_decide(&verifier, &request, &parts);
  HOLD(result == want);
  free(token);
}

static void change(steps *s, subtoken_ring *ring) {
  unsigned how = next(s), which = next(s);
  subtoken_secret first = ring->secrets[0];
  size_t last = ring->count > 0 ? ring->count - 1 : 0;
  if (how % 4U == 0) (void)add(ring, which, which / 3U); /* the kid may be taken */
  if (how % 4U == 1 && ring->count > 0) ring->count--;
  if (how % 4U == 2) { /* in another order */
    ring->secrets[0] = ring->secrets[last];
    ring->secrets[last] = first;
  }
  if (how % 4U == 3) { /* the same kids, and maybe other secrets */
    memset(ring, 0, sizeof *ring);
    for (unsigned kid = 0; kid < 3; kid++) HOLD(add(ring, kid, which >> kid));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static subtoken_ring ring;
  steps s = {data, data + size};
  prepare();
  memset(&ring, 0, sizeof ring);
  HOLD(add(&ring, 0, 0) && add(&ring, 1, 0) && add(&ring, 2, 0));
  size_t skip = next(&s) % 80U, room = SUBTOKEN_CACHE_MIN + next(&s) * 16U;
  char *memory = malloc(skip + room);
  if (memory == NULL) abort();
  subtoken_cache cache;
  HOLD(subtoken_cache_init(&cache, memory + skip, room) == SUBTOKEN_OK);
  while (s.at < s.end) {
    unsigned step = next(&s);
    if (step < 240) {
      verify(&s, &ring, &cache, step);
    } else if (step < 254) {
      change(&s, &ring);
    } else {
      subtoken_cache_wipe(&cache);
    }
  }
  free(memory);
  return 0;
}
