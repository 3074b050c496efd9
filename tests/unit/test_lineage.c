/* The life of a token: the ids of those that it was made from, its audience, and the secrets that
 * are derived for one. The cases and the known answers are in tests/vectors/lineage.json, which
 * lineage.py makes without the library; tests/e2e/test_bindings.py holds them against OpenSSL.
 */
#include "support.h"

#include "base/json.h"
#include "core/ring.h"
#include "subtoken/mac.h"

#define WINTER TEST_SECRET

static char file_text[1 << 17];
static subtoken_ring plain, derived, other;
static subtoken_claims claims;

/* ---- reading the vectors ---- */

static void open_vectors(st_json *json) {
  FILE *file = fopen("tests/vectors/lineage.json", "rb");
  if (file == NULL) fail_msg("tests/vectors/lineage.json is missing");
  size_t len = fread(file_text, 1, sizeof file_text, file);
  fclose(file);
  assert_true(len < sizeof file_text);
  st_json_start(json, file_text, len);
  assert_true(st_json_object(json));
}

/* Goes on to the value of this member of the open object. */
static void find_member(st_json *json, const char *wanted) {
  subtoken_text name;
  while (st_json_member(json, &name)) {
    if (st_text_is(name, wanted)) return;
    assert_true(st_json_skip(json));
  }
  fail_msg("no member %s", wanted);
}

/* An absent text where the value is null. */
static subtoken_text string_member(st_json *json, const char *wanted) {
  subtoken_text text = {NULL, 0};
  find_member(json, wanted);
  bool read = st_json_peek(json) == 'n' ? st_json_skip(json) : st_json_string(json, &text);
  assert_true(read);
  return text;
}

static void end_object(st_json *json) {
  subtoken_text name;
  while (st_json_member(json, &name)) assert_true(st_json_skip(json));
  assert_false(json->failed);
}

static size_t bytes_of(subtoken_text hex, uint8_t *out) {
  for (size_t i = 0; i < hex.len / 2; i++) {
    out[i] = (uint8_t)(st_hex_value(hex.data[2 * i]) << 4 | st_hex_value(hex.data[2 * i + 1]));
  }
  return hex.len / 2;
}

/* ---- derived secrets ---- */

static void one_answer(subtoken_text kid, subtoken_text secret_hex, subtoken_text audience,
                       subtoken_text derived_kid, subtoken_text derived_hex) {
  uint8_t secret[64], want[64], got[32];
  size_t len = bytes_of(secret_hex, secret);
  assert_int_equal(bytes_of(derived_hex, want), 32);
  assert_int_equal(subtoken_secret_derive(secret, len, audience, got), SUBTOKEN_OK);
  assert_memory_equal(got, want, 32);
  memset(&plain, 0, sizeof plain);
  memset(&other, 0, sizeof other);
  assert_int_equal(subtoken_ring_add(&plain, kid, secret, len), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_add(&other, derived_kid, got, 32), SUBTOKEN_OK);
  /* Derived from a ring, and added under its kid, they are the same. */
  assert_int_equal(subtoken_ring_derive(&plain, audience, &derived), SUBTOKEN_OK);
  assert_memory_equal(&derived, &other, sizeof derived);
  assert_true(st_text_equal(subtoken_ring_audience(&derived), audience));
  assert_null(subtoken_ring_audience(&plain).data);
}

static void known_answers_of_hkdf(void **state) {
  (void)state;
  static st_json json;
  size_t count = 0;
  open_vectors(&json);
  find_member(&json, "hkdf");
  assert_true(st_json_array(&json));
  for (; st_json_element(&json); count++) {
    assert_true(st_json_object(&json));
    subtoken_text kid = string_member(&json, "kid"), secret = string_member(&json, "secret");
    subtoken_text audience = string_member(&json, "audience");
    subtoken_text derived_kid = string_member(&json, "derived_kid");
    one_answer(kid, secret, audience, derived_kid, string_member(&json, "derived"));
    end_object(&json);
  }
  assert_int_equal(count, 12);
}

static void what_is_no_audience_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *audience;
    bool good;
  } rows[] = {
      {"a", true},
      {"eu-west_1", true},
      {"01234567890123456789012345678901", true},
      {"012345678901234567890123456789012", false},
      {"", false},
      {"a.b", false},
      {"a b", false},
      {"a:b", false},
      {"a/b", false},
      {"https", true},
      {"https://x", false},
      {"\xC3\xA9", false},
      {"a\n", false},
  };
  ring_with(&plain, "k", WINTER);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text audience = exact_string(rows[i].audience);
    subtoken_result want = rows[i].good ? SUBTOKEN_OK : SUBTOKEN_BAD_AUD;
    uint8_t out[32], zero[32] = {0};
    CHECK(subtoken_audience_valid(audience) == rows[i].good, "row %zu", i);
    memset(out, 7, sizeof out);
    CHECK(subtoken_secret_derive(WINTER, 32, audience, out) == want, "row %zu", i);
    CHECK((memcmp(out, zero, sizeof out) == 0) != rows[i].good, "row %zu", i);
    memset(&derived, 7, sizeof derived);
    CHECK(subtoken_ring_derive(&plain, audience, &derived) == want, "row %zu", i);
    CHECK(derived.count == (rows[i].good ? 1 : 0), "row %zu", i);
    memset(&claims, 0, sizeof claims);
    CHECK(subtoken_claims_set_aud(&claims, audience) == want, "row %zu", i);
    release(audience);
  }
}

static void a_ring_is_derived_once_and_whole(void **state) {
  (void)state;
  static const subtoken_ring zero;
  char kid[64];
  memset(kid, 'k', sizeof kid);
  ring_with(&plain, "", WINTER);
  assert_int_equal(subtoken_ring_add(&plain, ST_TEXT("b"), OTHER_SECRET, 32), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), &derived), SUBTOKEN_OK);
  assert_int_equal(derived.count, 2);
  assert_true(st_text_is(st_ring_kid(&derived.secrets[0]), ".eu"));
  assert_true(st_text_is(st_ring_kid(&derived.secrets[1]), "b.eu"));
  assert_int_equal(subtoken_ring_derive(&derived, ST_TEXT("eu"), &other), SUBTOKEN_RING_DERIVED);
  assert_memory_equal(&other, &zero, sizeof zero);
  assert_int_equal(subtoken_ring_derive(&derived, ST_TEXT("us"), &other), SUBTOKEN_RING_DERIVED);
  /* A secret that does not fit fails the whole. */
  assert_int_equal(subtoken_ring_add(&plain, (subtoken_text){kid, 61}, OTHER_SECRET, 32),
                   SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), &other), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu1"), &other), SUBTOKEN_BAD_KID);
  assert_memory_equal(&other, &zero, sizeof zero);
  assert_int_equal(subtoken_ring_derive(&zero, ST_TEXT("eu"), &other), SUBTOKEN_NO_SECRET);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), &plain), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(plain.count, 3);
  assert_int_equal(subtoken_ring_derive(NULL, ST_TEXT("eu"), &other), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_derive(&plain, (subtoken_text){NULL, 0}, &other),
                   SUBTOKEN_INVALID_ARGUMENT);
  plain.count = SUBTOKEN_RING_MAX + 1;
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), &other), SUBTOKEN_NO_SECRET);
  plain.count = 1;
  memset(&plain.secrets[0], 0, sizeof plain.secrets[0]); /* never set */
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), &other), SUBTOKEN_NO_SECRET);
  assert_null(subtoken_ring_audience(NULL).data);
  assert_null(subtoken_ring_audience(&zero).data);
}

/* ---- tokens ---- */

typedef struct known_names {
  subtoken_text revoked[4];
  size_t count, asked;
} known_names;

static subtoken_result known_revoked(void *context, const subtoken_text *names, size_t count) {
  known_names *known = context;
  assert_in_range(count, 2, SUBTOKEN_VIA_MAX + 2);
  known->asked = count;
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < known->count; j++) {
      if (st_text_equal(names[i], known->revoked[j])) return SUBTOKEN_REVOKED;
    }
  }
  return SUBTOKEN_OK;
}

static void one_case(const subtoken_ring *ring, subtoken_text aud, known_names *known,
                     subtoken_text token, subtoken_text tid, subtoken_text reason,
                     subtoken_text id) {
  static const subtoken_text needs[] = {{"account", 7}};
  static char header[SUBTOKEN_HEADER_MAX];
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = {.size = sizeof request,
                              .now = NOW,
                              .method = ST_TEXT("GET"),
                              .target = ST_TEXT("/v2/account"),
                              .needs = needs,
                              .needs_count = 1};
  verifier.ring = ring;
  verifier.aud = aud;
  verifier.revoked = known_revoked;
  verifier.revoked_context = known;
  subtoken_text copy = exact(token.data, token.len);
  subtoken_result result = verify_every_way(&verifier, copy, &request, &claims);
  CHECK(st_text_is(reason, subtoken_result_name(result)), "%.*s: %s", (int)id.len, id.data,
        subtoken_result_name(result));
  if (result == SUBTOKEN_OK) {
    bool same = st_text_equal(subtoken_claims_text(&claims, claims.tid), tid);
    CHECK(same && known->asked == claims.via_count + 2U, "%.*s: its id", (int)id.len, id.data);
    static subtoken_claims read;
    assert_int_equal(subtoken_inspect(copy, header, sizeof header, &read), SUBTOKEN_OK);
    read.aud_derived = claims.aud_derived; /* which nobody knows who has no secret */
    read.aud_named = claims.aud_named;
    CHECK(claims_are_same(&read, &claims), "%.*s: inspected", (int)id.len, id.data);
  }
  /* The issuer itself takes every audience, and nothing more. */
  verifier.any_audience = true;
  verifier.aud = (subtoken_text){NULL, 0};
  subtoken_result own = verify_every_way(&verifier, copy, &request, &claims);
  CHECK(
      own == result || (result == SUBTOKEN_AUD && (own == SUBTOKEN_OK || own == SUBTOKEN_REVOKED)),
      "%.*s: with any audience %s", (int)id.len, id.data, subtoken_result_name(own));
  release(copy);
}

static void read_rings(subtoken_text names[4], subtoken_ring rings[4]) {
  static st_json json;
  open_vectors(&json);
  find_member(&json, "rings");
  assert_true(st_json_object(&json));
  size_t count = 0;
  subtoken_text text;
  while (st_json_member(&json, &names[count])) {
    assert_true(count < 4 && st_json_string(&json, &text));
    names[count] = exact(names[count].data, names[count].len); /* the text is read again */
    assert_int_equal(subtoken_ring_read(&rings[count], text, NULL), SUBTOKEN_OK);
    count++;
  }
  assert_int_equal(count, 4);
}

static void the_cases_hold(void **state) {
  (void)state;
  static st_json json;
  static subtoken_ring rings[4];
  subtoken_text names[4], text;
  size_t count = 0, good = 0;
  read_rings(names, rings);
  open_vectors(&json);
  find_member(&json, "cases");
  assert_true(st_json_array(&json));
  for (; st_json_element(&json); count++) {
    known_names known = {.count = 0};
    assert_true(st_json_object(&json));
    subtoken_text id = string_member(&json, "id"), ring = string_member(&json, "ring");
    subtoken_text aud = string_member(&json, "aud");
    find_member(&json, "revoked");
    assert_true(st_json_array(&json));
    while (st_json_element(&json)) {
      assert_true(known.count < 4 && st_json_string(&json, &text));
      known.revoked[known.count++] = text;
    }
    subtoken_text token = string_member(&json, "token"), tid = string_member(&json, "tid");
    subtoken_text reason = string_member(&json, "reason");
    size_t at = 0;
    while (at < 4 && !st_text_equal(names[at], ring)) at++;
    assert_true(at < 4);
    one_case(&rings[at], aud, &known, token, tid, reason, id);
    good += st_text_is(reason, "ok");
    end_object(&json);
  }
  for (size_t i = 0; i < 4; i++) release(names[i]);
  assert_int_equal(count, 95);
  assert_in_range(good, 15, 25);
}

/* ---- making them ---- */

static subtoken_text issued(const subtoken_ring *ring, const subtoken_claims *of) {
  static char out[SUBTOKEN_ISSUED_MAX + 1];
  size_t len;
  assert_int_equal(subtoken_issue(ring, of, out, sizeof out, &len), SUBTOKEN_OK);
  return (subtoken_text){out, len};
}

static void payload_is(subtoken_text token, const char *want) {
  char text[1024];
  size_t len;
  st_cutter cutter = {token, false};
  subtoken_text part;
  assert_true(st_cut(&cutter, '.', &part) && st_cut(&cutter, '.', &part));
  assert_true(st_base64url_decode(part, text, sizeof text - 1, &len));
  text[len] = '\0';
  assert_string_equal(text, want);
}

/* One made from a key has exactly the claims that it has always had. */
static void a_plain_token_costs_no_byte(void **state) {
  (void)state;
  static const subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  static subtoken_claims child;
  subtoken_claims grant = grant_of("account,guilds", NULL);
  subtoken_text wanted[] = {{"account", 7}};
  subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  request.permissions = wanted;
  request.permission_count = 1;
  ring_with(&plain, "", WINTER);
  assert_int_equal(subtoken_narrow(&grant, &request, &limits, NOW, &child, NULL), SUBTOKEN_OK);
  payload_is(issued(&plain, &child),
             "{\"sub\":\"parent\",\"iat\":1700000000,\"exp\":1702592000,"
             "\"permissions\":[\"account\"]}");
  subtoken_text url = ST_TEXT("/a/*");
  request.urls = &url;
  request.url_count = 1;
  request.has_urls = true;
  request.audience = ST_TEXT("eu");
  assert_int_equal(subtoken_narrow(&grant, &request, &limits, NOW, &child, NULL), SUBTOKEN_OK);
  payload_is(issued(&plain, &child),
             "{\"sub\":\"parent\",\"iat\":1700000000,\"exp\":1702592000,\"aud\":\"eu\","
             "\"permissions\":[\"account\"],\"urls\":[\"/a/*\"]}");
}

/* Each child names its ancestors, the oldest first; the ninth is one too many. */
static void a_chain_has_at_most_eight_ancestors(void **state) {
  (void)state;
  static const subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  static subtoken_claims parent, child;
  char tids[SUBTOKEN_VIA_MAX + 2][SUBTOKEN_TID_LEN];
  const subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  parent = grant_of("account", NULL);
  ring_with(&plain, "k", WINTER);
  for (size_t depth = 0; depth <= SUBTOKEN_VIA_MAX; depth++) {
    subtoken_result result = subtoken_narrow(&parent, &request, &limits, NOW, &child, NULL);
    CHECK(result == SUBTOKEN_OK && child.via_count == depth, "depth %zu", depth);
    for (size_t i = 0; i < depth; i++) {
      subtoken_text via = subtoken_claims_text(&child, child.via[i]);
      CHECK(via.len == SUBTOKEN_TID_LEN && memcmp(via.data, tids[i], via.len) == 0, "%zu of %zu", i,
            depth);
    }
    assert_int_equal(child.tid.len, 0);
    subtoken_text token = issued(&plain, &child);
    memcpy(tids[depth], token.data + token.len - 43, SUBTOKEN_TID_LEN);
    assert_int_equal(subtoken_authenticate(&plain, NULL, token, &parent), SUBTOKEN_OK);
    assert_memory_equal(subtoken_claims_text(&parent, parent.tid).data, tids[depth],
                        SUBTOKEN_TID_LEN);
  }
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, &child, NULL),
                   SUBTOKEN_TOO_DEEP);
  assert_true(claims_are_zero(&child));
}

static void a_child_keeps_the_audience(void **state) {
  (void)state;
  static const subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  static const struct {
    const char *parent, *asked; /* parent: JSON, or NULL without one */
    subtoken_result want;
    const char *got;
  } rows[] = {
      {NULL, NULL, SUBTOKEN_OK, NULL},
      {NULL, "eu", SUBTOKEN_OK, "eu"},
      {NULL, "e u", SUBTOKEN_BAD_AUD, NULL},
      {NULL, "", SUBTOKEN_BAD_AUD, NULL},
      {"\"eu\"", NULL, SUBTOKEN_OK, "eu"},
      {"\"eu\"", "eu", SUBTOKEN_OK, "eu"},
      {"\"eu\"", "us", SUBTOKEN_AUD_WIDER, NULL},
      {"\"eu\"", "EU", SUBTOKEN_AUD_WIDER, NULL},
      {"\"eu\"", "e.u", SUBTOKEN_BAD_AUD, NULL},
      {"[\"eu\"]", NULL, SUBTOKEN_OK, "eu"},
      {"[\"eu\",\"us\"]", NULL, SUBTOKEN_AUD_WIDER, NULL},
      {"[\"eu\",\"us\"]", "eu", SUBTOKEN_AUD_WIDER, NULL},
      {"\"https://api\"", NULL, SUBTOKEN_AUD_WIDER, NULL},
      {"\"https://api\"", "eu", SUBTOKEN_AUD_WIDER, NULL},
      {"\"\"", NULL, SUBTOKEN_AUD_WIDER, NULL},
      {"[]", NULL, SUBTOKEN_OK, NULL},
      {"[]", "eu", SUBTOKEN_OK, "eu"},
  };
  static subtoken_claims parent, child;
  ring_with(&plain, "", WINTER);
  for (size_t i = 0; i < COUNT(rows); i++) {
    char payload[200];
    snprintf(payload, sizeof payload, "{" GOOD_CLAIMS "%s%s,\"permissions\":[]}",
             rows[i].parent != NULL ? ",\"aud\":" : "",
             rows[i].parent != NULL ? rows[i].parent : "");
    subtoken_text token = good_token(payload);
    assert_int_equal(subtoken_authenticate(&plain, NULL, token, &parent), SUBTOKEN_OK);
    subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
    if (rows[i].asked != NULL) request.audience = st_text(rows[i].asked);
    subtoken_result result = subtoken_narrow(&parent, &request, &limits, NOW, &child, NULL);
    CHECK(result == rows[i].want, "row %zu: %s", i, subtoken_result_name(result));
    size_t at = 0;
    subtoken_text aud = subtoken_claims_audience(&child, &at);
    CHECK((aud.data != NULL) == (rows[i].got != NULL), "row %zu", i);
    CHECK(aud.data == NULL || st_text_is(aud, rows[i].got), "row %zu", i);
    CHECK(subtoken_claims_audience(&child, &at).data == NULL, "row %zu", i);
    release(token);
  }
}

/* Which ring signs claims for which audience. */
static void a_derived_ring_signs_for_its_audience_alone(void **state) {
  (void)state;
  static subtoken_ring eu, us;
  static char one[SUBTOKEN_ISSUED_MAX + 1], two[SUBTOKEN_ISSUED_MAX + 1];
  size_t len = 0, other_len = 0;
  ring_with(&plain, "k", WINTER);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), &eu), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("us"), &us), SUBTOKEN_OK);
  claims = grant_of("account", NULL);
  assert_int_equal(subtoken_issue(&eu, &claims, one, sizeof one, &len), SUBTOKEN_AUD);
  assert_string_equal(one, "");
  assert_int_equal(subtoken_claims_set_aud(&claims, ST_TEXT("us")), SUBTOKEN_OK);
  assert_int_equal(subtoken_claims_set_aud(&claims, ST_TEXT("eu")), SUBTOKEN_OK); /* instead */
  assert_int_equal(subtoken_issue(&us, &claims, one, sizeof one, &len), SUBTOKEN_AUD);
  assert_int_equal(subtoken_issue(&eu, &claims, one, sizeof one, &len), SUBTOKEN_OK);
  assert_int_equal(subtoken_issue(&plain, &claims, two, sizeof two, &other_len), SUBTOKEN_OK);
  assert_true(len == other_len && memcmp(one, two, len + 1) == 0);
  /* The limits are those of every token. */
  assert_int_equal(subtoken_issue(&plain, &claims, two, len, &other_len),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_issue(&plain, &claims, two, len + 1, &other_len), SUBTOKEN_OK);
  char kid[63];
  memset(kid, 'k', sizeof kid);
  kid[62] = '\0';
  ring_with(&plain, kid, WINTER);
  assert_int_equal(subtoken_issue(&plain, &claims, two, sizeof two, &other_len), SUBTOKEN_BAD_KID);
  assert_string_equal(two, "");
}

/* Claims from nowhere cannot lead to a token that no verifier accepts, nor to a read outside. */
static void claims_of_any_bytes_are_checked(void **state) {
  (void)state;
  static char out[SUBTOKEN_ISSUED_MAX + 1];
  size_t len;
  ring_with(&plain, "k", WINTER);
  for (int i = 0; i < 8; i++) {
    claims = grant_of("account", NULL);
    assert_int_equal(subtoken_claims_set_aud(&claims, ST_TEXT("eu")), SUBTOKEN_OK);
    subtoken_result want = i < 4 ? SUBTOKEN_INVALID_ARGUMENT : SUBTOKEN_CLAIMS;
    if (i == 0) claims.via_count = SUBTOKEN_VIA_MAX + 1;
    if (i == 1) claims.aud = (subtoken_slice){6144, 1};
    if (i == 2) claims.tid = (subtoken_slice){65535, 16};
    if (i == 3) claims.via_count = 1, claims.via[0] = (subtoken_slice){6130, 16};
    if (i == 4) claims.via_count = 1, claims.via[0] = (subtoken_slice){0, 15};
    if (i == 5) claims.text[claims.aud.at] = 1; /* "e", and a byte behind it */
    if (i == 6) claims.text[claims.aud.at] = 3; /* longer than it is */
    if (i == 7) claims.aud.len = 1;
    subtoken_result got = subtoken_issue(&plain, &claims, out, sizeof out, &len);
    CHECK(got == want, "%d: %s", i, subtoken_result_name(got));
    size_t at = 0;
    if (i < 4) assert_null(subtoken_claims_audience(&claims, &at).data);
    if (i < 4) assert_false(subtoken_claims_has_audience(&claims, ST_TEXT("eu")));
  }
  size_t at = SIZE_MAX;
  claims = grant_of("account", NULL);
  assert_null(subtoken_claims_audience(&claims, &at).data);
  assert_null(subtoken_claims_audience(NULL, &at).data);
  assert_null(subtoken_claims_audience(&claims, NULL).data);
  assert_false(subtoken_claims_has_audience(NULL, ST_TEXT("eu")));
}

/* The payload is not read there, so that a token for one audience proves nothing. */
static void jws_open_derives_nothing(void **state) {
  (void)state;
  char out[400];
  size_t len;
  ring_with(&plain, "k", WINTER);
  assert_int_equal(subtoken_ring_derive(&plain, ST_TEXT("eu"), &derived), SUBTOKEN_OK);
  claims = grant_of("account", NULL);
  assert_int_equal(subtoken_claims_set_aud(&claims, ST_TEXT("eu")), SUBTOKEN_OK);
  subtoken_text token = issued(&plain, &claims);
  assert_int_equal(subtoken_jws_open(&plain, token, out, sizeof out, &len), SUBTOKEN_KID);
  assert_int_equal(subtoken_jws_open(&derived, token, out, sizeof out, &len), SUBTOKEN_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_answers_of_hkdf),
      cmocka_unit_test(what_is_no_audience_is_refused),
      cmocka_unit_test(a_ring_is_derived_once_and_whole),
      cmocka_unit_test(the_cases_hold),
      cmocka_unit_test(a_plain_token_costs_no_byte),
      cmocka_unit_test(a_chain_has_at_most_eight_ancestors),
      cmocka_unit_test(a_child_keeps_the_audience),
      cmocka_unit_test(a_derived_ring_signs_for_its_audience_alone),
      cmocka_unit_test(claims_of_any_bytes_are_checked),
      cmocka_unit_test(jws_open_derives_nothing),
  };
  return cmocka_run_group_tests_name("lineage", tests, NULL, NULL);
}
