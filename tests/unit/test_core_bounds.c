/* What no good caller hands in: the functions of the library with structures that are out of range
 * or of another size, and at the ends of their buffers. They refuse, read and write nothing
 * outside, and grant nothing. Damaged caches are in test_cache_bounds.c.
 */
#include "support.h"

static const subtoken_text absent = {NULL, 0};

/* ---- claims ---- */

static void claims_that_are_out_of_range_gain_nothing(void **state) {
  (void)state;
  subtoken_claims good = grant_of("account", "/a"), bad = good;
  subtoken_text word = ST_TEXT("word"), lacking;
  size_t at = 0;
  bad.permission_count = SUBTOKEN_PERMISSIONS_MAX + 1;
  const subtoken_claims *const rows[] = {NULL, &bad};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims *claims = (subtoken_claims *)(uintptr_t)rows[i];
    assert_int_equal(subtoken_claims_set_sub(claims, word), SUBTOKEN_INVALID_ARGUMENT);
    assert_int_equal(subtoken_claims_set_sid(claims, word), SUBTOKEN_INVALID_ARGUMENT);
    assert_int_equal(subtoken_claims_set_aud(claims, word), SUBTOKEN_INVALID_ARGUMENT);
    assert_int_equal(subtoken_claims_add_permission(claims, word), SUBTOKEN_INVALID_ARGUMENT);
    assert_int_equal(subtoken_claims_add_url(claims, word, NULL), SUBTOKEN_INVALID_ARGUMENT);
    assert_int_equal(subtoken_claims_check_needs(claims, NULL, 0, &lacking),
                     SUBTOKEN_INVALID_ARGUMENT);
    assert_false(subtoken_claims_has_audience(claims, word));
    assert_null(subtoken_claims_audience(claims, &at).data);
    assert_int_equal(subtoken_url_match(claims, word, ST_TEXT("/a")), SUBTOKEN_INVALID_ARGUMENT);
  }
  assert_true(st_claims_set_aud(&good, ST_TEXT("web")));
  assert_true(subtoken_claims_has_audience(&good, ST_TEXT("web")));
  assert_false(subtoken_claims_has_audience(&good, word));
  subtoken_claims same = good;
  assert_int_equal(subtoken_claims_set_sub(&good, absent), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_set_sid(&good, absent), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_set_aud(&good, absent), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_add_permission(&good, absent), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_add_url(&good, absent, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_false(subtoken_claims_has_audience(&good, absent));
  assert_null(subtoken_claims_audience(&good, NULL).data);
  assert_true(claims_are_same(&good, &same));
  assert_int_equal(subtoken_claims_check_needs(&good, NULL, 1, &lacking),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_check_needs(&good, NULL, 0, &lacking), SUBTOKEN_OK);
  assert_int_equal(subtoken_claims_check_needs(&good, &word, 1, NULL), SUBTOKEN_PERM);
}

static void full_claims_take_nothing_more(void **state) {
  (void)state;
  static subtoken_claims full;
  subtoken_text word = ST_TEXT("word");
  memset(&full, 0, sizeof full);
  full.text_len = sizeof full.text - 3;
  assert_false(st_claims_add_permission(&full, word));
  assert_false(st_claims_add_url(&full, word));
  assert_false(st_claims_add_via(&full, word));
  assert_false(st_claims_set_sub(&full, word));
  assert_false(st_claims_set_aud(&full, ST_TEXT("ab")));
  assert_false(st_claims_set_tid(&full, ST_TEXT("0123456789012345678901234567890123456789012")));
  assert_int_equal(subtoken_claims_set_sub(&full, word), SUBTOKEN_TOO_LARGE);
  assert_int_equal(subtoken_claims_set_aud(&full, word), SUBTOKEN_TOO_LARGE);
  assert_int_equal(subtoken_claims_add_permission(&full, word), SUBTOKEN_TOO_LARGE);
  assert_int_equal(subtoken_claims_add_url(&full, ST_TEXT("/abc"), NULL), SUBTOKEN_TOO_LARGE);
  assert_int_equal(full.permission_count + full.url_count + full.via_count, 0);
  assert_int_equal(full.text_len, sizeof full.text - 3);
  assert_true(st_claims_set_aud(&full, ST_TEXT("a")));
  /* Nor lists that are full. */
  memset(&full, 0, sizeof full);
  full.permission_count = SUBTOKEN_PERMISSIONS_MAX;
  full.url_count = SUBTOKEN_URLS_MAX;
  full.via_count = SUBTOKEN_VIA_MAX;
  assert_false(st_claims_add_permission(&full, word));
  assert_false(st_claims_add_url(&full, word));
  assert_false(st_claims_add_via(&full, word));
  assert_int_equal(full.text_len, 0);
  assert_int_equal(full.via_count, SUBTOKEN_VIA_MAX);
}

static void no_more_names_are_asked_for_than_there_are(void **state) {
  (void)state;
  static subtoken_claims claims;
  subtoken_text names[ST_CLAIMS_NAMES_MAX];
  memset(&claims, 0, sizeof claims);
  assert_int_equal(st_claims_names(&claims, names), 1);
  claims.tid.len = 1;
  claims.via_count = SUBTOKEN_VIA_MAX + 9;
  assert_int_equal(st_claims_names(&claims, names), SUBTOKEN_VIA_MAX + 2);
}

/* An entry that no verifier accepts denies, whatever else is listed; an unusual one does not. */
static void entries_are_read_before_they_are_matched(void **state) {
  (void)state;
  static char long_entry[SUBTOKEN_URL_MAX + 2];
  memset(long_entry, 'a', sizeof long_entry);
  long_entry[0] = '/';
  const struct {
    subtoken_text entry;
    bool good;
  } rows[] = {
      {ST_TEXT("/.well-known/x"), true},
      {ST_TEXT("/%20a"), true},
      {{long_entry, SUBTOKEN_URL_MAX}, true},
      {{long_entry, SUBTOKEN_URL_MAX + 1}, false},
      {ST_TEXT(""), false},
      {ST_TEXT("a"), false},
      {ST_TEXT("/a//b"), false},
      {ST_TEXT("/.."), false},
  };
  static subtoken_ring ring;
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len;
    subtoken_claims claims = grant_of("account", "/a");
    assert_true(st_claims_add_url(&claims, rows[i].entry));
    subtoken_result got = subtoken_url_match(&claims, ST_TEXT("GET"), ST_TEXT("/a"));
    CHECK(got == (rows[i].good ? SUBTOKEN_OK : SUBTOKEN_URL), "row %zu: %s", i,
          subtoken_result_name(got));
    claims.exp = NOW + 60;
    got = subtoken_issue(&ring, &claims, token, sizeof token, &len);
    CHECK((got == SUBTOKEN_OK) == rows[i].good, "row %zu: %s", i, subtoken_result_name(got));
  }
}

/* ---- narrowing what is of an odd form ---- */

static subtoken_result narrow(const subtoken_claims *parent, const char *permission,
                              const char *url) {
  static subtoken_claims child;
  subtoken_text permissions[] = {st_text(permission)}, urls[] = {st_text(url)};
  subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  request.permissions = permissions;
  request.permission_count = 1;
  request.has_urls = url[0] != '\0';
  request.urls = urls;
  request.url_count = 1;
  subtoken_result result = subtoken_narrow(parent, &request, &limits, NOW, &child, NULL);
  if (result != SUBTOKEN_OK) assert_true(claims_are_zero(&child));
  return result;
}

/* Claims that nobody has read may have any bytes in their text. */
static void a_parent_of_an_odd_form_has_children_of_its_size(void **state) {
  (void)state;
  static subtoken_claims parent;
  static char permission[sizeof parent.text - 199], long_url[SUBTOKEN_URL_MAX + 1];
  parent = grant_of("", NULL);
  memset(permission, 'p', sizeof permission - 1);
  memset(long_url, 'u', sizeof long_url - 1);
  long_url[0] = '/';
  assert_int_equal(narrow(&parent, "p", ""), SUBTOKEN_OK);
  /* A permission fills nearly all of the child. */
  assert_true(st_claims_add_permission(&parent, st_text(permission)));
  assert_int_equal(narrow(&parent, permission, "/a"), SUBTOKEN_OK);
  assert_int_equal(narrow(&parent, permission, long_url), SUBTOKEN_TOO_LARGE);
  /* The sub and the permission share bytes, which a child would have twice. */
  parent.sub = parent.permissions[0];
  assert_int_equal(narrow(&parent, permission, ""), SUBTOKEN_TOO_LARGE);
  /* So do the sub and the ids of tokens, or an audience that has no room. */
  parent.permission_count = 0;
  parent.tid = (subtoken_slice){0, 220};
  assert_int_equal(narrow(&parent, "p", ""), SUBTOKEN_TOO_LARGE);
  parent.via_count = 1;
  parent.via[0] = (subtoken_slice){0, 220};
  assert_int_equal(narrow(&parent, "p", ""), SUBTOKEN_TOO_LARGE);
  parent.via_count = SUBTOKEN_VIA_MAX;
  assert_int_equal(narrow(&parent, "p", ""), SUBTOKEN_TOO_DEEP);
  parent.via_count = 0;
  parent.tid.len = 0;
  assert_int_equal(narrow(&parent, "p", ""), SUBTOKEN_OK);
}

static void a_child_that_is_full_has_no_audience(void **state) {
  (void)state;
  static subtoken_claims parent, child;
  subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  parent = grant_of("", NULL);
  parent.sub = (subtoken_slice){0, sizeof parent.text - 20};
  parent.text_len = sizeof parent.text;
  request.audience = ST_TEXT("0123456789abcdefgh");
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, &child, NULL), SUBTOKEN_OK);
  parent.sub.len++;
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, &child, NULL),
                   SUBTOKEN_TOO_LARGE);
  assert_true(claims_are_zero(&child));
}

static void what_cannot_be_read_in_a_parent_covers_nothing(void **state) {
  (void)state;
  static subtoken_claims parent;
  parent = grant_of("account", "/a");
  assert_int_equal(narrow(&parent, "account", "/a"), SUBTOKEN_OK);
  parent.urls[0].len = 0;
  assert_int_equal(narrow(&parent, "account", "/a"), SUBTOKEN_URL_WIDER);
  parent = grant_of("account", NULL);
  parent.aud = (subtoken_slice){0, 1}; /* not even the length of one */
  assert_int_equal(narrow(&parent, "account", ""), SUBTOKEN_AUD_WIDER);
}

/* ---- sentences ---- */

static subtoken_result never_the_same(void *context, const subtoken_text *names, size_t count) {
  (void)context, (void)names, (void)count;
  return SUBTOKEN_OK;
}

static const char *explain(const subtoken_ring *ring, subtoken_text token, subtoken_text target,
                           subtoken_result result) {
  static char out[4096];
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  verifier.ring = ring;
  verifier.revoked = never_the_same;
  request.now = NOW;
  request.target = target;
  assert_true(subtoken_explain(&verifier, token, &request, result, out, sizeof out) > 0);
  return out;
}

/* Somebody else said that it is revoked, and is not asked; or the token has no id. */
static void nobody_says_which_name_is_revoked(void **state) {
  (void)state;
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = good_token(GOOD_PAYLOAD), shorter = {token.data, token.len - 4};
  const char *said = explain(&ring, token, ST_TEXT("/a"), SUBTOKEN_REVOKED);
  assert_non_null(strstr(said, "sub parent or tid "));
  said = explain(&ring, shorter, ST_TEXT("/a"), SUBTOKEN_REVOKED);
  assert_non_null(strstr(said, "sub parent is revoked"));
  assert_null(strstr(said, "tid"));
  release(token);
}

static void no_more_secrets_are_listed_than_fit(void **state) {
  (void)state;
  subtoken_ring *ring = malloc(sizeof *ring);
  assert_non_null(ring);
  ring_with(ring, "other", OTHER_SECRET);
  for (size_t i = 1; i < SUBTOKEN_RING_MAX; i++) ring->secrets[i] = ring->secrets[0];
  ring->count = SUBTOKEN_RING_MAX + 1;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  const char *said = explain(ring, token, ST_TEXT("/a"), SUBTOKEN_KID);
  size_t listed = 0;
  while ((said = strstr(said, "other")) != NULL) listed++, said++;
  assert_int_equal(listed, SUBTOKEN_RING_MAX);
  release(token);
  free(ring);
}

/* A long target is cut between characters, and where they are none, at most three bytes sooner. */
static void a_target_of_any_bytes_is_cut(void **state) {
  (void)state;
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = good_token(GOOD_PAYLOAD);
  size_t lens[3] = {0};
  const unsigned char fills[3] = {'a', 0xBF, 0xC3};
  for (size_t i = 0; i < COUNT(fills); i++) {
    subtoken_text target = repeated("/", (char)fills[i], 2000);
    const char *said = explain(&ring, token, target, SUBTOKEN_URL);
    lens[i] = strlen(said);
    assert_true(lens[i] < 2000);
    for (size_t at = 0; at < lens[i]; at++) assert_true(said[at] > 0);
    release(target);
  }
  assert_int_equal(lens[1], 4 * (lens[2] / 4 - 4) + lens[2] % 4); /* each byte as \\xNN */
  release(token);
}

/* ---- opening and reading tokens into little room ---- */

static void a_payload_without_room_is_too_long_or_malformed(void **state) {
  (void)state;
  subtoken_ring ring;
  char out[8];
  size_t len = 7;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = good_token(GOOD_PAYLOAD);
  memset(out, 'x', sizeof out);
  assert_int_equal(subtoken_jws_open(&ring, token, out, sizeof out, &len),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(len, 0);
  for (size_t i = 0; i < sizeof out; i++) assert_int_equal(out[i], 0);
  *strchr((char *)(uintptr_t)token.data, '.') = ':';
  assert_int_equal(subtoken_jws_open(&ring, token, out, sizeof out, &len), SUBTOKEN_MALFORMED);
  *strchr((char *)(uintptr_t)token.data, ':') = '.';
  strchr((char *)(uintptr_t)token.data, '.')[3] = '!';
  assert_int_equal(subtoken_jws_open(&ring, token, out, sizeof out, &len), SUBTOKEN_MALFORMED);
  release(token);
}

static void a_token_is_inspected_whatever_its_mac_is(void **state) {
  (void)state;
  char header[128];
  static subtoken_claims claims;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  char *text = (char *)(uintptr_t)token.data;
  subtoken_text shorter = {token.data, token.len - 4};
  assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_OK);
  assert_string_equal(header, HEADER);
  assert_int_equal(claims.tid.len, SUBTOKEN_TID_LEN);
  assert_int_equal(subtoken_inspect(shorter, header, sizeof header, &claims), SUBTOKEN_OK);
  assert_int_equal(claims.tid.len, 0);
  assert_int_equal(subtoken_inspect(token, NULL, 0, &claims), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_inspect(token, header, sizeof header, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_inspect(absent, header, sizeof header, &claims),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_inspect(token, header, 0, &claims), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_inspect(token, header, sizeof HEADER - 1, &claims),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_true(claims_are_zero(&claims));
  assert_int_equal(header[0], '\0');
  static const size_t places[] = {2, 60, 1};
  for (size_t i = 0; i < COUNT(places); i++) {
    size_t at = i < 2 ? places[i] : token.len - 3;
    char was = text[at];
    text[at] = '!';
    assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_MALFORMED);
    assert_true(claims_are_zero(&claims));
    text[at] = was;
  }
  release(token);
  /* A NUL in the header would hide what follows. */
  token = signed_token(TEST_SECRET, (subtoken_text){"{\"alg\":\"HS256\"}\0", 16},
                       st_text(GOOD_PAYLOAD));
  assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_MALFORMED);
  release(token);
  token = good_token("{}");
  assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_CLAIMS);
  release(token);
}

/* ---- arguments of the verifier ---- */

static void a_verifier_out_of_range_refuses_a_good_token(void **state) {
  (void)state;
  static subtoken_claims claims;
  subtoken_ring ring;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  subtoken_cache no_cache = {0, NULL, 0};
  ring_with(&ring, "", TEST_SECRET);
  for (int i = 0; i < 12; i++) {
    subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
    subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
    const subtoken_verifier *given = &verifier;
    const subtoken_request *asked = &request;
    subtoken_text sent = token;
    verifier.ring = &ring;
    verifier.without_revocations = true;
    request.now = NOW;
    switch (i) {
      case 1: given = NULL; break;
      case 2: asked = NULL; break;
      case 3: verifier.ring = NULL; break;
      case 4: verifier.cache = &no_cache; break;
      case 5: verifier.leeway = -1; break;
      case 6: verifier.leeway = SUBTOKEN_LEEWAY_MAX + 1; break;
      case 7: verifier.max_life = -1; break;
      case 8: verifier.max_life = SUBTOKEN_TIME_MAX + 1; break;
      case 9: request.now = SUBTOKEN_TIME_MAX + 1; break;
      case 10: request.needs_count = 1; break;
      case 11: sent = absent; break;
      default: break;
    }
    memset(&claims, 0x55, sizeof claims);
    subtoken_result got = subtoken_verify(given, sent, asked, &claims);
    CHECK(got == (i == 0 ? SUBTOKEN_OK : SUBTOKEN_INVALID_ARGUMENT), "%d: %s", i,
          subtoken_result_name(got));
    if (i > 0) CHECK(claims_are_zero(&claims), "%d", i);
    subtoken_cache *with = i == 4 ? &no_cache : NULL;
    if (i == 4 || i == 11) {
      memset(&claims, 0x55, sizeof claims);
      assert_int_equal(subtoken_authenticate(&ring, with, sent, &claims),
                       SUBTOKEN_INVALID_ARGUMENT);
      assert_true(claims_are_zero(&claims));
      assert_int_equal(subtoken_authenticate(NULL, NULL, token, &claims),
                       SUBTOKEN_INVALID_ARGUMENT);
      assert_int_equal(subtoken_authenticate(&ring, NULL, token, NULL), SUBTOKEN_INVALID_ARGUMENT);
    }
    if (i == 11) continue;
    subtoken_claims own = grant_of("account", NULL);
    own.exp = NOW + 60;
    own.iat = NOW - 60;
    got = subtoken_decide(given, asked, &own);
    CHECK(got == (i == 0 ? SUBTOKEN_OK : SUBTOKEN_INVALID_ARGUMENT), "%d: %s", i,
          subtoken_result_name(got));
    assert_int_equal(subtoken_verify(given, sent, asked, NULL), SUBTOKEN_INVALID_ARGUMENT);
  }
  release(token);
}

/* ---- URLs ---- */

static void a_path_and_an_entry_need_their_room(void **state) {
  (void)state;
  char out[8];
  size_t len = 7;
  subtoken_fault fault = SUBTOKEN_FAULT_STAR;
  subtoken_text url = ST_TEXT("/1234567");
  assert_int_equal(subtoken_target_path(url, NULL, 0, &len, &fault), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_target_path(url, out, sizeof out, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_target_path(url, out, sizeof out, &len, &fault),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(len, 0);
  assert_int_equal(fault, SUBTOKEN_FAULT_NONE);
  assert_int_equal(subtoken_url_canonical(url, NULL, 0, &len, &fault), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_url_canonical(url, out, sizeof out, &len, NULL),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_url_canonical(ST_TEXT("/12345"), out, sizeof out, &len, &fault),
                   SUBTOKEN_OK);
  assert_int_equal(len, 6);
  assert_int_equal(subtoken_url_allows(ST_TEXT("a"), ST_TEXT("GET"), ST_TEXT("/")),
                   SUBTOKEN_BAD_URL);
  assert_int_equal(subtoken_url_allows(ST_TEXT("/a"), ST_TEXT("GET"), ST_TEXT("/..")),
                   SUBTOKEN_BAD_TARGET);
  assert_int_equal(subtoken_url_allows(ST_TEXT("/a"), ST_TEXT("GET"), ST_TEXT("/b")), SUBTOKEN_URL);
  assert_int_equal(subtoken_url_allows(ST_TEXT("/a"), ST_TEXT("GET"), ST_TEXT("/a?b")),
                   SUBTOKEN_OK);
  assert_int_equal(subtoken_url_covers(ST_TEXT("a"), ST_TEXT("/b")), SUBTOKEN_BAD_URL);
  assert_int_equal(subtoken_url_covers(ST_TEXT("/a"), ST_TEXT("b")), SUBTOKEN_BAD_URL);
  assert_int_equal(subtoken_url_covers(ST_TEXT("/a"), ST_TEXT("/b")), SUBTOKEN_URL_WIDER);
  assert_int_equal(subtoken_url_covers(ST_TEXT("/*"), ST_TEXT("/b")), SUBTOKEN_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(claims_that_are_out_of_range_gain_nothing),
      cmocka_unit_test(full_claims_take_nothing_more),
      cmocka_unit_test(no_more_names_are_asked_for_than_there_are),
      cmocka_unit_test(entries_are_read_before_they_are_matched),
      cmocka_unit_test(a_parent_of_an_odd_form_has_children_of_its_size),
      cmocka_unit_test(a_child_that_is_full_has_no_audience),
      cmocka_unit_test(what_cannot_be_read_in_a_parent_covers_nothing),
      cmocka_unit_test(nobody_says_which_name_is_revoked),
      cmocka_unit_test(no_more_secrets_are_listed_than_fit),
      cmocka_unit_test(a_target_of_any_bytes_is_cut),
      cmocka_unit_test(a_payload_without_room_is_too_long_or_malformed),
      cmocka_unit_test(a_token_is_inspected_whatever_its_mac_is),
      cmocka_unit_test(a_verifier_out_of_range_refuses_a_good_token),
      cmocka_unit_test(a_path_and_an_entry_need_their_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
