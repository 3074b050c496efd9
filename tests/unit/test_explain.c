/* What is said about each result, word for word; and that hostile tokens, requests and
 * verifiers can say nothing that a terminal obeys.
 */
#include "support.h"

static subtoken_ring ring;

static subtoken_verifier verifier_of(void) {
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  return verifier;
}

/* Printable UTF-8 and nothing that turns the direction of writing. */
static bool harmless(const char *text, size_t len) {
  for (size_t i = 0; i < len;) {
    uint32_t code;
    size_t step = st_utf8_next(text + i, len - i, &code);
    if (step == 0 || code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C ||
        code == 0x200E || code == 0x200F || (code >= 0x202A && code <= 0x202E) ||
        (code >= 0x2066 && code <= 0x2069)) {
      return false;
    }
    i += step;
  }
  return true;
}

/* Into blocks of each exact size: always ended, never in the middle of a character, and
 * never anything but the front of the whole. */
static void cuts_well(const subtoken_verifier *verifier, subtoken_text token,
                      const subtoken_request *request, subtoken_result result, const char *whole,
                      size_t whole_len, size_t step) {
  size_t before = 0;
  for (size_t size = 0; size <= whole_len + 2; size += size < 4 ? 1 : step) {
    char *out = malloc(size);
    if (size > 0) memset(out, 'x', size);
    size_t len = subtoken_explain(verifier, token, request, result, out, size);
    if (size == 0) {
      assert_int_equal(len, 0);
    } else {
      CHECK(len < size && out[len] == '\0', "%zu in %zu", len, size);
      CHECK(memcmp(out, whole, len) == 0, "%.*s", (int)len, out);
      CHECK(harmless(out, len), "%.*s", (int)len, out);
      CHECK(len >= before, "%zu in %zu, before it %zu", len, size, before);
      CHECK(size <= whole_len || len == whole_len, "%zu in %zu", len, size);
    }
    before = len;
    free(out);
  }
}

/* The text for a token, whatever result is claimed for it. */
static const char *said(const subtoken_verifier *verifier, subtoken_text token,
                        const subtoken_request *request, subtoken_result result) {
  static char out[8 * SUBTOKEN_TARGET_MAX];
  memset(out, 'x', 200);
  size_t len = subtoken_explain(verifier, token, request, result, out, sizeof out);
  CHECK(len == strlen(out) && harmless(out, len), "%s", out);
  cuts_well(verifier, token, request, result, out, len, len < 300 ? 1 : len / 7);
  return out;
}

#define CLAIMS_FROM "{\"sub\":\"s\",\"iat\":"
#define NOTHING ",\"permissions\":[]}"

/* As the front page of verify.h does: verifier, then ask why. */
static void each_result_has_its_sentence(void **state) {
  (void)state;
  static const struct {
    const char *header, *payload;
    subtoken_result want;
    const char *words;
  } rows[] = {
      {HEADER, GOOD_PAYLOAD, SUBTOKEN_OK, "good until 2023-11-14T23:13:20Z"},
      {"{\"alg\":\"HS256\"", GOOD_PAYLOAD, SUBTOKEN_MALFORMED,
       "the header is not an object in strict JSON"},
      {HEADER, "{\"sub\":", SUBTOKEN_MALFORMED, "the claims are not an object in strict JSON"},
      {HEADER, "[]", SUBTOKEN_MALFORMED, "the claims are not an object in strict JSON"},
      {"{\"alg\":\"none\"}", GOOD_PAYLOAD, SUBTOKEN_ALG, "alg is \"none\", not \"HS256\""},
      {"{\"typ\":\"JWT\"}", GOOD_PAYLOAD, SUBTOKEN_ALG, "alg is missing, not \"HS256\""},
      {"{\"alg\":null}", GOOD_PAYLOAD, SUBTOKEN_ALG, "alg is no string, not \"HS256\""},
      {"{\"alg\":\"\"}", GOOD_PAYLOAD, SUBTOKEN_ALG, "alg is \"\", not \"HS256\""},
      {"[\"HS256\"]", GOOD_PAYLOAD, SUBTOKEN_MALFORMED,
       "the header is not an object in strict JSON"},
      {"{\"alg\":\"HS256\",\"typ\":\"\"}", GOOD_PAYLOAD, SUBTOKEN_HEADER,
       "typ is \"\", not \"JWT\""},
      {"{\"alg\":\"HS256\",\"typ\":1}", GOOD_PAYLOAD, SUBTOKEN_HEADER,
       "typ is no string, not \"JWT\""},
      {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"x\":{},\"x5c\":1,\"jwk\":2}", GOOD_PAYLOAD,
       SUBTOKEN_HEADER, "the header has \"x5c\", which changes what a token means"},
      {"{\"alg\":\"HS256\",\"kid\":7}", GOOD_PAYLOAD, SUBTOKEN_KID,
       "kid is no string, the secrets are [(unnamed), \"two\"]"},
      {"{\"alg\":\"HS256\",\"kid\":\"\"}", GOOD_PAYLOAD, SUBTOKEN_KID,
       "kid is \"\", the secrets are [(unnamed), \"two\"]"},
      {"{\"alg\":\"HS256\",\"kid\":\"two\"}", GOOD_PAYLOAD, SUBTOKEN_MAC,
       "the signature was not made over these bytes with the secret \"two\""},
      {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", GOOD_PAYLOAD, SUBTOKEN_HEADER,
       "typ is \"at+jwt\", not \"JWT\""},
      {"{\"alg\":\"HS256\",\"crit\":[]}", GOOD_PAYLOAD, SUBTOKEN_HEADER,
       "the header has \"crit\", which changes what a token means"},
      {"{\"alg\":\"HS256\",\"kid\":\"zz\"}", GOOD_PAYLOAD, SUBTOKEN_KID,
       "kid is \"zz\", the secrets are [(unnamed), \"two\"]"},
      {HEADER, "{" GOOD_CLAIMS "}", SUBTOKEN_CLAIMS,
       "claim \"permissions\" is missing or of the wrong form"},
      {HEADER, "{\"sub\":\"a b\",\"iat\":1,\"exp\":2" NOTHING, SUBTOKEN_CLAIMS,
       "claim \"sub\" is missing or of the wrong form"},
      {HEADER, "{" GOOD_CLAIMS ",\"permissions\":[],\"aud\":1}", SUBTOKEN_CLAIMS,
       "claim \"aud\" is missing or of the wrong form"},
      {HEADER, "{" GOOD_CLAIMS ",\"permissions\":[],\"sid\":\"a b\"}", SUBTOKEN_CLAIMS,
       "claim \"sid\" is missing or of the wrong form"},
      {HEADER, CLAIMS_FROM "1700000000,\"exp\":1700000000" NOTHING, SUBTOKEN_EXP_BEFORE_IAT,
       "exp 2023-11-14T22:13:20Z is not after iat 2023-11-14T22:13:20Z"},
      {HEADER, CLAIMS_FROM "1700000000,\"exp\":1734560000" NOTHING, SUBTOKEN_TTL,
       "from iat to exp it is 34560000 s (400 days), at most 31536000 s (365 days) are allowed"},
      {HEADER, CLAIMS_FROM "1700000000,\"exp\":1731536001" NOTHING, SUBTOKEN_TTL,
       "from iat to exp it is 31536001 s (365 days), at most 31536000 s (365 days) are allowed"},
      {HEADER, CLAIMS_FROM "1700000000,\"exp\":1700000900,\"nbf\":9007199254740991" NOTHING,
       SUBTOKEN_NOT_YET, "nbf 9007199254740991 is 104249971698 days ahead"},
      {HEADER, CLAIMS_FROM "1700007200,\"exp\":1700009000" NOTHING, SUBTOKEN_IAT_FUTURE,
       "iat 2023-11-15T00:13:20Z is 2 h ahead"},
      {HEADER, CLAIMS_FROM "1700000061,\"exp\":1700009000" NOTHING, SUBTOKEN_IAT_FUTURE,
       "iat 2023-11-14T22:14:21Z is 61 s ahead"},
      {HEADER, CLAIMS_FROM "1700000000,\"exp\":1700009000,\"nbf\":1700000600" NOTHING,
       SUBTOKEN_NOT_YET, "nbf 2023-11-14T22:23:20Z is 10 min ahead"},
      {HEADER, CLAIMS_FROM "1699900000,\"exp\":1699989200" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-14T19:13:20Z was 3 h ago"},
      {HEADER, CLAIMS_FROM "1690000000,\"exp\":1699136000" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-04T22:13:20Z was 10 days ago"},
      {HEADER, CLAIMS_FROM "1699000000,\"exp\":1699999881" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-14T22:11:21Z was 119 s ago"},
      {HEADER, CLAIMS_FROM "1699000000,\"exp\":1699999880" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-14T22:11:20Z was 2 min ago"},
      {HEADER, CLAIMS_FROM "1699000000,\"exp\":1699992801" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-14T20:13:21Z was 119 min ago"},
      {HEADER, CLAIMS_FROM "1699000000,\"exp\":1699827201" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-12T22:13:21Z was 47 h ago"},
      {HEADER, CLAIMS_FROM "1699000000,\"exp\":1699827200" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-12T22:13:20Z was 2 days ago"},
      {HEADER, CLAIMS_FROM "1699900000,\"exp\":1699999940" NOTHING, SUBTOKEN_EXPIRED,
       "exp 2023-11-14T22:12:20Z was 60 s ago"},
      {HEADER, CLAIMS_FROM "1,\"exp\":2" NOTHING, SUBTOKEN_EXPIRED,
       "exp 1970-01-01T00:00:02Z was 19675 days ago"},
  };
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  for (size_t i = 0; i < COUNT(rows); i++) {
    static subtoken_claims claims;
    subtoken_text token =
        signed_token(TEST_SECRET, st_text(rows[i].header), st_text(rows[i].payload));
    subtoken_result got = subtoken_verify(&verifier, token, &request, &claims);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    const char *words = said(&verifier, token, &request, got);
    CHECK(strcmp(words, rows[i].words) == 0, "row %zu: %s", i, words);
    release(token);
  }
}

static subtoken_result as_told(void *context, const subtoken_text *names, size_t count) {
  (void)names;
  (void)count;
  return *(subtoken_result *)context;
}

/* What depends on the verifier and on the request. */
static void any_arguments_are_explained(void **state) {
  (void)state;
  static const char payload[] =
      "{" GOOD_CLAIMS
      ",\"permissions\":[\"account\",\"guilds\"],\"urls\":[\"/v2/tokeninfo\","
      "\"GET:/v2/a/*\"],\"iss\":\"me\",\"aud\":[\"x\"]}";
  static const struct {
    const char *iss, *aud, *method, *target, *need; /* NULL: absent */
    subtoken_result revoked, want;
    const char *words;
  } rows[] = {
      {NULL, NULL, "GET", "/v2/a/b", "guilds", SUBTOKEN_OK, SUBTOKEN_OK,
       "good until 2023-11-14T23:13:20Z, aud is \"x\""},
      {"you", NULL, NULL, NULL, NULL, SUBTOKEN_OK, SUBTOKEN_ISS, "iss is \"me\", not \"you\""},
      {"me", "api", NULL, NULL, NULL, SUBTOKEN_OK, SUBTOKEN_AUD, "aud is \"x\", not \"api\""},
      {NULL, NULL, NULL, NULL, NULL, SUBTOKEN_REVOKED, SUBTOKEN_REVOKED, "sub parent is revoked"},
      {NULL, NULL, NULL, NULL, NULL, SUBTOKEN_REVOCATION_UNKNOWN, SUBTOKEN_REVOCATION_UNKNOWN,
       "no trustworthy revocation data"},
      {NULL, NULL, NULL, NULL, NULL, SUBTOKEN_UNDECIDED, SUBTOKEN_REVOCATION_UNKNOWN,
       "no trustworthy revocation data"},
      {NULL, NULL, "GET", "/v2/../x", NULL, SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target /v2/../x is refused: it has a segment of only dots and "
       "spaces"},
      {NULL, NULL, "GET", "/v2/a b", NULL, SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target /v2/a... is refused: it has a character that a path cannot "
       "hold unescaped"},
      {NULL, NULL, "GET", "", NULL, SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target \"\" is refused: a path starts with /"},
      {NULL, NULL, "GET", "/v2/a?b#c", NULL, SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target /v2/a is refused: it has a #, in its query"},
      /* What could be meant as a query is not shown: it may hold a credential. */
      {NULL, NULL, "GET", "/v2/a#access_token=x", "", SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target /v2/a... is refused: it has a #"},
      {NULL, NULL, "GET", "/v2/a;access_token=x", "", SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target /v2/a... is refused: it has a character that a path cannot hold unescaped"},
      {NULL, NULL, "GET", "/v2/a%3Faccess_token=x", "", SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target /v2/a... is refused: it has an escaped ?, # or ;"},
      {NULL, NULL, "GET", "http://me:x@host/v2/a", "", SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
       "target ... is refused: a path starts with /"},
      {NULL, NULL, "GET", "/v2/x?access_token=secret", NULL, SUBTOKEN_OK, SUBTOKEN_URL,
       "url GET /v2/x is not in [/v2/tokeninfo, GET:/v2/a/*]"},
      {NULL, NULL, "", "/v2/x", NULL, SUBTOKEN_OK, SUBTOKEN_URL,
       "url \"\" /v2/x is not in [/v2/tokeninfo, GET:/v2/a/*]"},
      {"a\"b", NULL, NULL, NULL, NULL, SUBTOKEN_OK, SUBTOKEN_ISS, "iss is \"me\", not \"a\\\"b\""},
      {NULL, NULL, "GET", "/v2/tokeninfo", "", SUBTOKEN_OK, SUBTOKEN_PERM,
       "it needs \"\", the token has [account, guilds]"},
      {NULL, NULL, "GET", "/v2/account/bank", NULL, SUBTOKEN_OK, SUBTOKEN_URL,
       "url GET /v2/account/bank is not in [/v2/tokeninfo, GET:/v2/a/*]"},
      {NULL, NULL, NULL, "/v2/account/bank", NULL, SUBTOKEN_OK, SUBTOKEN_URL,
       "url /v2/account/bank is not in [/v2/tokeninfo, GET:/v2/a/*]"},
      {NULL, NULL, NULL, NULL, NULL, SUBTOKEN_OK, SUBTOKEN_URL,
       "url (none given) is not in [/v2/tokeninfo, GET:/v2/a/*]"},
      {NULL, NULL, "GET", "/v2/tokeninfo", "wallet", SUBTOKEN_OK, SUBTOKEN_PERM,
       "it needs wallet, the token has [account, guilds]"},
  };
  ring_with(&ring, "", TEST_SECRET);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("two"), OTHER_SECRET, 32), SUBTOKEN_OK);
  subtoken_text token = good_token(payload);
  for (size_t i = 0; i < COUNT(rows); i++) {
    static subtoken_claims claims;
    subtoken_result answer = rows[i].revoked;
    subtoken_verifier verifier = verifier_of();
    subtoken_text needs[2] = {ST_TEXT("account"), {NULL, 0}};
    subtoken_request request = {.size = sizeof request, .now = NOW};
    verifier.without_revocations = false;
    verifier.revoked = as_told;
    verifier.revoked_context = &answer;
    if (rows[i].iss != NULL) verifier.iss = st_text(rows[i].iss);
    if (rows[i].aud != NULL) verifier.aud = st_text(rows[i].aud);
    if (rows[i].method != NULL) request.method = st_text(rows[i].method);
    if (rows[i].target != NULL) request.target = st_text(rows[i].target);
    if (rows[i].need != NULL) {
      needs[1] = st_text(rows[i].need);
      request.needs = needs;
      request.needs_count = 2;
    }
    subtoken_result got = subtoken_verify(&verifier, token, &request, &claims);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    const char *words = said(&verifier, token, &request, got);
    CHECK(strcmp(words, rows[i].words) == 0, "row %zu: %s", i, words);
  }
  release(token);
  /* No issuer in the token at all. */
  token = good_token(GOOD_PAYLOAD);
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  verifier.iss = ST_TEXT("you");
  assert_string_equal(said(&verifier, token, &request, SUBTOKEN_ISS),
                      "iss is empty or missing, not \"you\"");
  release(token);
}

/* Revokes one name. */
static subtoken_result revoke_one(void *context, const subtoken_text *names, size_t count) {
  const subtoken_text *bad = context;
  assert_true(count >= 1 && st_text_is(names[0], "parent"));
  for (size_t i = 0; i < count; i++) {
    if (st_text_equal(names[i], *bad)) return SUBTOKEN_REVOKED;
  }
  return SUBTOKEN_OK;
}

/* Which of its names it was, and what is said when nobody tells. */
static void the_revoked_name_is_named(void **state) {
  (void)state;
  static const char payload[] =
      "{" GOOD_CLAIMS ",\"permissions\":[],\"via\":[\"oldest0123456789\",\"newest0123456789\"]}";
  static subtoken_claims claims;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = good_token(payload);
  subtoken_text tid = {token.data + token.len - 43, 16};
  char by_tid[60], nobody[200];
  snprintf(by_tid, sizeof by_tid, "tid %.16s is revoked", tid.data);
  snprintf(nobody, sizeof nobody,
           "sub parent or tid %.16s or one of via [oldest0123456789, newest0123456789] is revoked",
           tid.data);
  struct {
    subtoken_text bad;
    const char *words;
  } rows[] = {
      {ST_TEXT("parent"), "sub parent is revoked"},
      {tid, by_tid},
      {ST_TEXT("oldest0123456789"), "tid oldest0123456789, which it was made from, is revoked"},
      {ST_TEXT("newest0123456789"), "tid newest0123456789, which it was made from, is revoked"},
  };
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  verifier.without_revocations = false;
  verifier.revoked = revoke_one;
  for (size_t i = 0; i < COUNT(rows); i++) {
    verifier.revoked_context = &rows[i].bad;
    assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_REVOKED);
    assert_string_equal(said(&verifier, token, &request, SUBTOKEN_REVOKED), rows[i].words);
  }
  verifier.revoked = NULL;
  assert_string_equal(said(&verifier, token, &request, SUBTOKEN_REVOKED), nobody);
  assert_string_equal(
      said(&verifier, token, &request, SUBTOKEN_OK),
      "good until 2023-11-14T23:13:20Z, made from [oldest0123456789, newest0123456789]");
  release(token);
}

/* A token under a derived secret, where it is not taken. */
static void audiences_are_explained(void **state) {
  (void)state;
  static const struct {
    const char *aud, *told, *words; /* aud: JSON */
  } rows[] = {
      {"\"eu\"", NULL,
       "kid is \"k.eu\", a secret that is derived for one audience, and this verifier is told "
       "none; "
       "aud is \"eu\""},
      {"\"eu\"", "us", "aud is \"eu\", not \"us\""},
      {"\"us\"", "eu", "kid is \"k.eu\", which signs for that audience alone; aud is \"us\""},
      {"\"us\"", NULL, "kid is \"k.eu\", which signs for that audience alone; aud is \"us\""},
      {"[\"eu\",\"us\"]", "eu",
       "kid is \"k.eu\", which signs for that audience alone; aud is [\"eu\", \"us\"]"},
  };
  static subtoken_claims claims;
  uint8_t secret[33] = {0};
  assert_int_equal(subtoken_secret_derive(TEST_SECRET, 32, ST_TEXT("eu"), secret), SUBTOKEN_OK);
  ring_with(&ring, "k", TEST_SECRET);
  for (size_t i = 0; i < COUNT(rows); i++) {
    char payload[200];
    snprintf(payload, sizeof payload, "{" GOOD_CLAIMS ",\"aud\":%s,\"permissions\":[]}",
             rows[i].aud);
    assert_int_equal(strlen((const char *)secret), 32);
    subtoken_text token = signed_token(
        (const char *)secret, ST_TEXT("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k.eu\"}"),
        st_text(payload));
    subtoken_verifier verifier = verifier_of();
    subtoken_request request = {.size = sizeof request, .now = NOW};
    if (rows[i].told != NULL) verifier.aud = st_text(rows[i].told);
    assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_AUD);
    assert_string_equal(said(&verifier, token, &request, SUBTOKEN_AUD), rows[i].words);
    release(token);
  }
}

/* Texts that are no token, as far as they go. */
static void texts_that_are_no_token_are_described(void **state) {
  (void)state;
  static const char mac[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  static const struct {
    const char *front;
    subtoken_result want;
    const char *words;
  } rows[] = {
      {"", SUBTOKEN_MALFORMED,
       "it has 0 dots; a token is three parts that are not empty, with two dots between them"},
      {"nonsense ", SUBTOKEN_MALFORMED,
       "it has 0 dots; a token is three parts that are not empty, with two dots between them"},
      {"e30.e30.e30.", SUBTOKEN_MALFORMED,
       "it has 3 dots; a token is three parts that are not empty, with two dots between them"},
      {"..", SUBTOKEN_MALFORMED,
       "it has 2 dots; a token is three parts that are not empty, with two dots between them"},
      {"e30.", SUBTOKEN_MALFORMED,
       "it has 1 dot; a token is three parts that are not empty, with two dots between them"},
      {"e3=.e30.", SUBTOKEN_MALFORMED, "the header is not base64url without padding"},
      {"e30.e3.", SUBTOKEN_MALFORMED, "the payload is not base64url without padding"},
      {"e30.e30=.", SUBTOKEN_MALFORMED, "the payload is not base64url without padding"},
      {"e30.e30.=", SUBTOKEN_MALFORMED, "the signature is not base64url without padding"},
      {"eyJhbGciOiJIUzI1NiJ9.e30.A", SUBTOKEN_MAC, "the signature has 33 bytes, not 32"},
      {"eyJhbGciOiJIUzI1NiJ9.e30.", SUBTOKEN_MAC,
       "the signature was not made over these bytes with the secret (unnamed)"},
  };
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  static subtoken_claims claims;
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[200];
    snprintf(text, sizeof text, "%s%s", rows[i].front, mac);
    subtoken_text token = exact_string(text);
    CHECK(subtoken_verify(&verifier, token, &request, &claims) == rows[i].want, "row %zu", i);
    const char *words = said(&verifier, token, &request, rows[i].want);
    CHECK(strcmp(words, rows[i].words) == 0, "row %zu: %s", i, words);
    release(token);
  }
  subtoken_text big = repeated("", 'a', SUBTOKEN_TOKEN_MAX + 1);
  assert_int_equal(subtoken_verify(&verifier, big, &request, &claims), SUBTOKEN_TOO_LARGE);
  assert_string_equal(said(&verifier, big, &request, SUBTOKEN_TOO_LARGE),
                      "8193 characters, at most 8192 are looked at");
  release(big);
  /* A header that is longer than a verifier reads. */
  static char header[800];
  memset(header, ' ', sizeof header);
  memcpy(header, HEADER, sizeof HEADER - 1);
  subtoken_text token =
      signed_token(TEST_SECRET, (subtoken_text){header, 769}, st_text(GOOD_PAYLOAD));
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_HEADER);
  assert_string_equal(said(&verifier, token, &request, SUBTOKEN_HEADER),
                      "the header part has 1026 characters, at most 1024 are looked at");
  release(token);
  /* Other shapes of aud, and none. */
  static const char *const audiences[][2] = {
      {"", "aud is missing, not \"api\""},
      {",\"aud\":[]", "aud is missing, not \"api\""},
      {",\"aud\":\"x\\ny\"", "aud is \"x\\x0ay\", not \"api\""},
      {",\"aud\":[\"\",\"apis\"],\"z\":1", "aud is [\"\", \"apis\"], not \"api\""},
  };
  verifier.aud = ST_TEXT("api");
  for (size_t i = 0; i < COUNT(audiences); i++) {
    char payload[200];
    snprintf(payload, sizeof payload, "{" GOOD_CLAIMS ",\"permissions\":[]%s}", audiences[i][0]);
    token = good_token(payload);
    assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_AUD);
    assert_string_equal(said(&verifier, token, &request, SUBTOKEN_AUD), audiences[i][1]);
    release(token);
  }
  verifier.aud.data = NULL;
  /* No kid, and nothing in the ring. */
  static const subtoken_ring empty;
  verifier.ring = &empty;
  token = good_token(GOOD_PAYLOAD);
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_KID);
  assert_string_equal(said(&verifier, token, &request, SUBTOKEN_KID),
                      "kid is missing, the secrets are []");
  verifier.ring = NULL;
  assert_string_equal(said(&verifier, token, &request, SUBTOKEN_KID),
                      "kid is missing, the secrets are []");
  release(token);
}

static void absent_arguments_write_nothing(void **state) {
  (void)state;
  char out[100];
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_text token = good_token(GOOD_PAYLOAD), none = {NULL, 0};
  for (int result = -1; result <= SUBTOKEN_URL_WIDER + 1; result++) {
    subtoken_result as = (subtoken_result)result;
    memset(out, 'x', sizeof out);
    assert_int_equal(subtoken_explain(NULL, token, &request, as, out, sizeof out), 0);
    assert_int_equal(out[0], '\0');
    memset(out, 'x', sizeof out);
    assert_int_equal(subtoken_explain(&verifier, token, NULL, as, out, sizeof out), 0);
    assert_int_equal(out[0], '\0');
    memset(out, 'x', sizeof out);
    assert_int_equal(subtoken_explain(&verifier, none, &request, as, out, sizeof out), 0);
    assert_int_equal(out[0], '\0');
    assert_int_equal(subtoken_explain(&verifier, token, &request, as, NULL, sizeof out), 0);
    memset(out, 'x', sizeof out);
    assert_int_equal(subtoken_explain(&verifier, token, &request, as, out, 0), 0);
    assert_int_equal(out[0], 'x');
    assert_int_equal(subtoken_explain(NULL, none, NULL, as, NULL, 0), 0);
    /* What subtoken_verify refuses to be asked is not explained as anything else. */
    const int64_t odd[] = {INT64_MIN, -1, SUBTOKEN_TIME_MAX + 1, INT64_MAX};
    for (size_t i = 0; i <= COUNT(odd); i++) {
      subtoken_request wrong = {.size = sizeof wrong,
                                .now = i < COUNT(odd) ? odd[i] : NOW,
                                .needs_count = i == COUNT(odd)};
      (void)subtoken_explain(&verifier, token, &wrong, as, out, sizeof out);
      assert_string_equal(out, "invalid argument");
    }
    assert_int_equal(subtoken_explain(&verifier, token, &request, as, out, 1), 0);
    assert_int_equal(out[0], '\0');
  }
  release(token);
}

/* Any result for any token: what does not fit the token is said not to, and nothing
 * is followed that is not there. */
static void a_result_that_does_not_fit_is_harmless(void **state) {
  (void)state;
  static const char *const texts[] = {"",         ".",       "..", "a.b.c", "e30.e30.e30",
                                      "e30.W10.", "e30.e30."};
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  verifier.iss = verifier.aud = ST_TEXT("x");
  for (size_t i = 0; i < COUNT(texts) + 2; i++) {
    subtoken_text token = i < COUNT(texts)    ? exact_string(texts[i])
                          : i == COUNT(texts) ? good_token(GOOD_PAYLOAD)
                                              : repeated("", '.', SUBTOKEN_TOKEN_MAX + 9);
    bool good = i == COUNT(texts);
    for (int result = -1; result <= SUBTOKEN_URL_WIDER + 1; result++) {
      const char *words = said(&verifier, token, &request, (subtoken_result)result);
      CHECK(words[0] != '\0', "text %zu, result %d", i, result);
      bool of_claims =
          result == SUBTOKEN_OK || (result >= SUBTOKEN_EXP_BEFORE_IAT && result <= SUBTOKEN_PERM &&
                                    result != SUBTOKEN_REVOCATION_UNKNOWN);
      bool denied = strcmp(words, "this is not what the token says") == 0;
      CHECK(denied == (of_claims && !good), "text %zu, result %d: %s", i, result, words);
      bool no_question = strcmp(words, "invalid argument") == 0;
      CHECK(no_question == (result > SUBTOKEN_PERM || result <= SUBTOKEN_UNDECIDED),
            "text %zu, result %d: %s", i, result, words);
    }
    release(token);
  }
}

/* Everything that comes from outside, at its worst, in every result. */
static void hostile_bytes_are_escaped(void **state) {
  (void)state;
  static const char *const nasty[] = {
      "\x1B[2J\x1B]0;pwned\x07",
      "a\r\nb\tc\x7F\x08",
      "\xC2\x9B"
      "31m\xC2\x85",
      "\xE2\x80\xAE"
      "gnp.exe\xE2\x81\xA6\xE2\x80\x8F\xD8\x9C",
      "\xFF\xFE\xC0\x80\xED\xA0\x80",
      "\xF0\x9F\x98",
      "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
      "\"\\\"",
  };
  for (size_t i = 0; i < COUNT(nasty); i++) {
    char header[400], payload[800];
    /* As JSON strings: what JSON has to escape is, the rest as it is. */
    st_writer json = st_writer_on(header, sizeof header);
    st_write_literal(&json, "{\"alg\":\"HS256\",\"typ\":\"");
    for (int twice = 0; twice < 2; twice++) {
      for (const char *c = nasty[i]; *c != '\0'; c++) {
        char escape[8];
        bool plain = (uint8_t)*c >= 0x20 && *c != '"' && *c != '\\';
        snprintf(escape, sizeof escape, plain ? "%c" : "\\u00%02x", (uint8_t)*c);
        st_write_literal(&json, escape);
      }
      if (twice == 0) st_write_literal(&json, "\",\"kid\":\"");
    }
    st_write_literal(&json, "\"}");
    if (!st_writer_end(&json)) abort();
    /* iss is the kid's string: cut it out of the header. */
    const char *kid = strstr(header, "\"kid\":");
    size_t at = (size_t)(kid - header) + 6;
    snprintf(payload, sizeof payload,
             "{\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":[\"a\"],\"iss\":%.*s,\"urls\":"
             "[\"/%%C2%%A0\"]}",
             (int)(json.len - at - 1), header + at);
    subtoken_text bytes = exact_string(nasty[i]), needs[] = {bytes};
    subtoken_verifier verifier = verifier_of();
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = bytes,
                                .target = bytes,
                                .needs = needs,
                                .needs_count = 1};
    verifier.iss = verifier.aud = bytes;
    subtoken_text token =
        signed_token(TEST_SECRET, (subtoken_text){header, json.len}, st_text(payload));
    for (int result = -1; result <= SUBTOKEN_URL_WIDER + 1; result++) {
      (void)said(&verifier, token, &request, (subtoken_result)result);
      (void)said(&verifier, bytes, &request, (subtoken_result)result);
    }
    release(token);
    release(bytes);
  }
  /* One of them word for word. */
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {
      .size = sizeof request, .now = NOW, .target = ST_TEXT("/\x1B[2J\xE2\x80\xAE\xFF\xC3\xA9")};
  subtoken_text token = good_token(GOOD_PAYLOAD);
  assert_string_equal(said(&verifier, token, &request, SUBTOKEN_URL),
                      "url /\\x1b[2J\\xe2\\x80\\xae\\xff\xC3\xA9 is not in []");
  release(token);
}

/* The signature stays out, whatever is asked; and the longest answers end well. */
static void a_sentence_is_short_and_has_no_signature(void **state) {
  (void)state;
  static char payload[6000];
  st_writer writer = st_writer_on(payload, sizeof payload);
  st_write_literal(&writer, "{" GOOD_CLAIMS ",\"permissions\":[\"");
  for (int i = 0; i < 60; i++) {
    st_write_literal(&writer, i == 0 ? "permission-number-" : "\",\"permission-number-");
    st_write_int(&writer, i);
  }
  st_write_literal(&writer, "\"],\"urls\":[\"/%F0%9F%98%80");
  for (int i = 0; i < 60; i++) {
    st_write_literal(&writer, "\",\"/v2/characters/number/");
    st_write_int(&writer, i);
  }
  st_write_literal(&writer, "\"]}");
  subtoken_text token =
      signed_token(TEST_SECRET, st_text(HEADER), (subtoken_text){payload, writer.len});
  /* A target is cut behind a whole character. */
  subtoken_text target = repeated("/", '\xC3', 3000);
  for (size_t i = 2; i < target.len; i += 2) ((char *)(uintptr_t)target.data)[i] = '\xA9';
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW, .target = target};
  for (int result = 0; result <= SUBTOKEN_RING_DERIVED; result++) {
    const char *words = said(&verifier, token, &request, (subtoken_result)result);
    CHECK(strstr(words, "\\x") == NULL, "result %d: %s", result, words);
    /* But for its first 16 characters, which are the tid. */
    for (size_t at = token.len - 43 + 9; at + 8 <= token.len; at++) {
      char piece[9] = {0};
      memcpy(piece, token.data + at, 8);
      CHECK(strstr(words, piece) == NULL, "result %d: %s", result, words);
    }
  }
  /* 256 bytes of it at most, so that what decided is not pushed out. */
  const char *cut = strstr(said(&verifier, token, &request, SUBTOKEN_URL), "... is not in [/%F0");
  assert_non_null(cut);
  assert_int_equal(cut - said(&verifier, token, &request, SUBTOKEN_URL), strlen("url ") + 255);
  /* SUBTOKEN_EXPLAIN_MAX of it, as a log has room for. */
  char *out = malloc(SUBTOKEN_EXPLAIN_MAX);
  size_t len =
      subtoken_explain(&verifier, token, &request, SUBTOKEN_URL, out, SUBTOKEN_EXPLAIN_MAX);
  assert_true(len > SUBTOKEN_EXPLAIN_MAX - 8 && len < SUBTOKEN_EXPLAIN_MAX && out[len] == '\0');
  assert_true(len == strlen(out) && harmless(out, len));
  free(out);
  release(token);
  release(target);
}

static int setup(void **state) {
  (void)state;
  ring_with_two(&ring);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_result_has_its_sentence),
      cmocka_unit_test(any_arguments_are_explained),
      cmocka_unit_test(the_revoked_name_is_named),
      cmocka_unit_test(audiences_are_explained),
      cmocka_unit_test(texts_that_are_no_token_are_described),
      cmocka_unit_test(absent_arguments_write_nothing),
      cmocka_unit_test(a_result_that_does_not_fit_is_harmless),
      cmocka_unit_test(hostile_bytes_are_escaped),
      cmocka_unit_test(a_sentence_is_short_and_has_no_signature),
  };
  return cmocka_run_group_tests_name("explain", tests, setup, NULL);
}
