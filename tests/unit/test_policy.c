/* policy: decisions for a path, a method and a token, also against a naive model. */
#include "policy_fixture.h"

static void the_default_and_preflights_decide(void **state) {
  (void)state;
  static const char *const names[] = {"deny", "token", "public"};
  static const char *const says[] = {"denied", "token", "public"};
  char text[256];
  for (size_t i = 0; i < 3; i++) {
    for (int preflight = 0; preflight < 3; preflight++) { /* absent, false, true */
      snprintf(text, sizeof text,
               "{\"routes\":[{\"path\":\"/a\",\"methods\":[\"PUT\"]}]%s,\"default\":\"%s\"}",
               preflight == 0   ? ""
               : preflight == 1 ? ",\"preflight\":false"
                                : ",\"preflight\":true",
               names[i]);
      const subtoken_policy *policy = policy_of(text);
      const char *passes = preflight == 2 ? "preflight" : says[i];
      assert_string_equal(said(policy, "GET", "/", 0), says[i]);
      assert_string_equal(said(policy, "GET", "/a/", 0), says[i]);
      assert_string_equal(said(policy, "GET", "/a", 0), "denied 1 not listed");
      assert_string_equal(said(policy, "OPTIONS", "/b", 0), says[i]);
      assert_string_equal(said(policy, "GET", "/b", SUBTOKEN_POLICY_PREFLIGHT), says[i]);
      assert_string_equal(said(policy, NULL, "/b", SUBTOKEN_POLICY_PREFLIGHT), says[i]);
      assert_string_equal(said(policy, "options", "/b", SUBTOKEN_POLICY_PREFLIGHT), says[i]);
      assert_string_equal(said(policy, "OPTIONS", "/b", SUBTOKEN_POLICY_BODY), says[i]);
      assert_string_equal(said(policy, "OPTIONS", "/b", SUBTOKEN_POLICY_PREFLIGHT), passes);
      assert_string_equal(said(policy, "OPTIONS", "/a", SUBTOKEN_POLICY_PREFLIGHT),
                          preflight == 2 ? "preflight" : "denied 1 not listed");
      assert_string_equal(said(policy, "OPTIONS", "/b/..", SUBTOKEN_POLICY_PREFLIGHT),
                          "bad_target");
      drop(policy);
    }
    snprintf(text, sizeof text, "{\"default\":\"%s\"}", names[i]); /* no routes at all */
    const subtoken_policy *policy = policy_of(text);
    assert_string_equal(said(policy, "GET", "/", 0), says[i]);
    assert_string_equal(said(policy, "GET", "/.", 0), "bad_target");
    drop(policy);
  }
}

#define SEGMENTS_MAX 4
#define ROUTES_MAX 10

/* A path as its decoded segments: indices into this, of which the model knows nothing. */
static const char *const segments[] = {"a",   "b", "ab",  "\xC3\xA9",
                                       "x y", "*", "a.b", "\xF0\x9F\x98\x80"};
static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "OPTIONS"};

typedef struct model_path {
  size_t count;
  size_t segment[SEGMENTS_MAX];
  unsigned any; /* bits of segments that are a star for one; then segment is 0 */
  bool slash;   /* at the end; also with count 0 */
} model_path;

typedef struct model_route {
  model_path path;
  bool wild, open;
  unsigned methods; /* bits; 0: all */
  unsigned needs;
} model_route;

static model_path random_path(uint64_t *seed) {
  model_path path = {.count = random_below(seed, SEGMENTS_MAX + 1)};
  for (size_t i = 0; i < path.count; i++) {
    path.segment[i] = random_below(seed, random_below(seed, 3) > 0 ? 2 : COUNT(segments));
  }
  path.slash = path.count == 0 || random_below(seed, 8) == 0;
  return path;
}

/* Some segments become stars; the last one can only where something follows it. */
static void add_stars(model_path *path, bool wild, uint64_t *seed) {
  for (size_t i = 0; i < path->count; i++) {
    if (random_below(seed, 3) > 0 || (i + 1 == path->count && !wild && !path->slash)) continue;
    path->any |= 1U << i;
    path->segment[i] = 0;
  }
}

static void fill_stars(model_path *path, uint64_t *seed) {
  for (size_t i = 0; i < path->count; i++) {
    if (path->any >> i & 1) path->segment[i] = random_below(seed, COUNT(segments));
  }
  path->any = 0;
}

/* Each byte plain or escaped, as chance has it; a star never plain in an entry. */
static void write_path(st_writer *writer, const model_path *path, bool entry, uint64_t *seed) {
  for (size_t i = 0; i < path->count; i++) {
    bool any = path->any >> i & 1;
    st_write_literal(writer, any ? "/*" : "/");
    for (const char *c = any ? "" : segments[path->segment[i]]; *c != '\0'; c++) {
      char escape[4];
      bool must = (uint8_t)*c >= 0x80 || *c == ' ' || (entry && *c == '*');
      if (must || random_below(seed, 6) == 0) {
        snprintf(escape, sizeof escape, random_below(seed, 2) ? "%%%02x" : "%%%02X", (uint8_t)*c);
        for (int k = 1; k < 3; k++) must = must && escape[k] != '\0';
        st_write(writer, escape, 3);
      } else {
        st_write_char(writer, *c);
      }
    }
  }
  if (path->slash) st_write_char(writer, '/');
}

static bool same_path(const model_path *a, const model_path *b) {
  return a->count == b->count && a->slash == b->slash && a->any == b->any &&
         memcmp(a->segment, b->segment, a->count * sizeof a->segment[0]) == 0;
}

/* 0 not at all, 1 and more: the more the more specific. Read from the front on, a plain segment
 * is more than a star for one, and that more than a final star. */
static size_t model_matches(const model_route *route, const model_path *path) {
  const model_path *mine = &route->path;
  size_t how = 1;
  if (route->wild ? path->slash || path->count <= mine->count
                  : path->count != mine->count || path->slash != mine->slash) {
    return 0;
  }
  for (size_t i = 0; i <= SEGMENTS_MAX; i++) {
    bool any = i < mine->count && (mine->any >> i & 1) != 0;
    if (i < mine->count && !any && mine->segment[i] != path->segment[i]) return 0;
    how = 3 * how + (any ? 1 : i == mine->count && route->wild ? 0 : 2);
  }
  return how;
}

static unsigned with_head(unsigned bits) {
  if (bits == 0) return ~0U;
  return bits & 1 ? bits | 2 : bits;
}

static bool model_conflict(const model_route *routes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < i; j++) {
      if (routes[i].wild == routes[j].wild && same_path(&routes[i].path, &routes[j].path) &&
          (with_head(routes[i].methods) & with_head(routes[j].methods)) != 0) {
        return true;
      }
    }
  }
  return false;
}

/* What said() says, without flags. */
static const char *model_says(const model_route *routes, size_t count, size_t method,
                              const model_path *path, const char *otherwise) {
  static char out[256];
  size_t best = 0, first = 0;
  for (size_t i = 0; i < count; i++) {
    size_t how = model_matches(&routes[i], path);
    if (how > best) {
      best = how;
      first = i;
    }
  }
  if (best == 0) return otherwise;
  for (size_t i = 0; i < count; i++) {
    const model_route *route = &routes[i];
    if (model_matches(route, path) != best || (with_head(route->methods) >> method & 1) == 0) {
      continue;
    }
    int len = snprintf(out, sizeof out, "%s %zu", route->open ? "public" : "token", i + 2);
    for (int n = 0; n < 3; n++) {
      if (route->needs >> n & 1) len += snprintf(out + len, 8, " n%d", n);
    }
    return out;
  }
  snprintf(out, sizeof out, "denied %zu not listed", first + 2);
  return out;
}

static void write_bits(st_writer *writer, const char *name, const char *const *names, size_t count,
                       unsigned bits) {
  const char *before = "[";
  if (bits == 0) return;
  st_write_literal(writer, ",\"");
  st_write_literal(writer, name);
  st_write_literal(writer, "\":");
  for (size_t i = 0; i < count; i++) {
    if ((bits >> i & 1) == 0) continue;
    st_write_literal(writer, before);
    st_write_char(writer, '"');
    st_write_literal(writer, names[i]);
    st_write_char(writer, '"');
    before = ",";
  }
  st_write_char(writer, ']');
}

static void write_policy(st_writer *writer, const model_route *routes, size_t count,
                         const char *standard, uint64_t *seed) {
  static const char *const needs[] = {"n0", "n1", "n2"};
  st_write_literal(writer, "{\"default\":\"");
  st_write_literal(writer, standard);
  st_write_literal(writer, "\",\"routes\":[");
  for (size_t i = 0; i < count; i++) {
    st_write_literal(writer, i > 0 ? ",\n{\"path\":\"" : "\n{\"path\":\"");
    write_path(writer, &routes[i].path, true, seed);
    if (routes[i].wild) st_write_literal(writer, routes[i].path.slash ? "*" : "/*");
    st_write_char(writer, '"');
    write_bits(writer, "methods", methods, COUNT(methods), routes[i].methods);
    write_bits(writer, "needs", needs, COUNT(needs), routes[i].needs);
    if (routes[i].open) st_write_literal(writer, ",\"public\":true");
    st_write_char(writer, '}');
  }
  st_write_literal(writer, "]}");
}

static void decisions_agree_with_a_naive_model(void **state) {
  (void)state;
  static const char *const names[] = {"deny", "token", "public"};
  static const char *const says[] = {"denied", "token", "public"};
  static char text[8192], target[512];
  uint64_t seed = 20261124;
  size_t read = 0, refused = 0, decided = 0;
  for (int round = 0; round < 4000; round++) {
    model_route routes[ROUTES_MAX];
    size_t count = 1 + random_below(&seed, ROUTES_MAX), standard = random_below(&seed, 3);
    for (size_t i = 0; i < count; i++) {
      routes[i] = (model_route){.path = random_path(&seed), .wild = random_below(&seed, 3) == 0};
      if (routes[i].wild) routes[i].path.slash = routes[i].path.count == 0;
      if (round % 4 > 0) add_stars(&routes[i].path, routes[i].wild, &seed);
      if (random_below(&seed, 3) > 0) routes[i].methods = (unsigned)random_below(&seed, 32);
      routes[i].open = random_below(&seed, 5) == 0;
      if (!routes[i].open) routes[i].needs = (unsigned)random_below(&seed, 8);
    }
    st_writer writer = st_writer_on(text, sizeof text);
    write_policy(&writer, routes, count, names[standard], &seed);
    assert_true(st_writer_end(&writer));
    subtoken_result result;
    subtoken_policy_error error;
    const subtoken_policy *policy = try_read(text, writer.len, &result, &error);
    CHECK((policy == NULL) == model_conflict(routes, count), "%s\n%s", text, error.text);
    if (policy == NULL) {
      CHECK(strstr(error.text, "same path and method as in line") != NULL, "%s", error.text);
      refused++;
      continue;
    }
    read++;
    for (int i = 0; i < 100; i++) {
      model_path path = random_path(&seed);
      if (random_below(&seed, 4) > 0) path = routes[random_below(&seed, count)].path;
      fill_stars(&path, &seed);
      if (random_below(&seed, 4) == 0 && path.count < SEGMENTS_MAX) path.segment[path.count++] = 0;
      if (path.count > 0 && path.slash && random_below(&seed, 2) > 0) path.slash = false;
      if (path.count == 0) path.slash = true;
      st_writer at = st_writer_on(target, sizeof target);
      write_path(&at, &path, false, &seed);
      if (random_below(&seed, 4) == 0) st_write_literal(&at, "?q=/../;");
      bool bad = random_below(&seed, 16) == 0;
      static const char *const bads[] = {";", "%00", "%2F", "#", "%25", "\xC3\xA9", "%C0", "%zz"};
      if (bad) {
        at.len = 0;
        write_path(&at, &path, false, &seed);
        st_write_literal(&at, bads[random_below(&seed, COUNT(bads))]);
      }
      assert_true(st_writer_end(&at));
      size_t method = random_below(&seed, COUNT(methods));
      const char *want =
          bad ? "bad_target" : model_says(routes, count, method, &path, says[standard]);
      const char *got = said(policy, methods[method], target, 0);
      CHECK(strcmp(got, want) == 0, "%s\n%s %s: %s, not %s", text, methods[method], target, got,
            want);
      decided++;
    }
    drop(policy);
  }
  print_message("# %zu policies, %zu with a conflict, %zu decisions\n", read, refused, decided);
  assert_true(read > 1000 && refused > 100);
}

static subtoken_result never_asked(void *context, const subtoken_text *names, size_t count) {
  (void)names;
  (void)count;
  ++*(int *)context;
  return SUBTOKEN_OK;
}

static void the_first_rule_that_fails_decides(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"deny\",\"preflight\":true,\"routes\":[\n"
      "{\"path\":\"/one\",\"needs\":[\"account\"]},\n"
      "{\"path\":\"/two\",\"needs\":[\"account\",\"guilds\"]},\n"
      "{\"path\":\"/three\",\"needs\":[\"account\",\"wallet\"]},\n"
      "{\"path\":\"/open\",\"public\":true},\n"
      "{\"path\":\"/any\",\"methods\":[\"GET\"]},\n"
      "{\"path\":\"/rpc\",\"json_rpc\":true}]}";
  enum { GOOD, OLD, LIMITED, FORGED, ABSENT, BLANK }; /* tokens */
  static const struct {
    int token;
    const char *method;
    const char *target;
    unsigned flags;
    subtoken_result result;
    uint32_t line;
  } rows[] = {
      {GOOD, "GET", "/one", 0, SUBTOKEN_OK, 2},
      {GOOD, "GET", "/two?x", 0, SUBTOKEN_OK, 3},
      {GOOD, "GET", "/three", 0, SUBTOKEN_PERM, 4},
      {GOOD, "GET", "/any", 0, SUBTOKEN_OK, 6},
      {GOOD, "PUT", "/any", 0, SUBTOKEN_URL, 6},
      {GOOD, "GET", "/none", 0, SUBTOKEN_URL, 0},
      {GOOD, "POST", "/rpc", 0, SUBTOKEN_URL, 7},
      {GOOD, "POST", "/rpc", SUBTOKEN_POLICY_BODY, SUBTOKEN_OK, 7},
      {GOOD, "GET", "/one/..", 0, SUBTOKEN_BAD_TARGET, 0},
      {OLD, "GET", "/one", 0, SUBTOKEN_EXPIRED, 2},
      {OLD, "GET", "/three", 0, SUBTOKEN_EXPIRED, 4},
      {OLD, "POST", "/rpc", SUBTOKEN_POLICY_BODY, SUBTOKEN_EXPIRED, 7},
      {OLD, "GET", "/none", 0, SUBTOKEN_EXPIRED, 0}, /* 401 before the route's 403 */
      {OLD, "PUT", "/any", 0, SUBTOKEN_EXPIRED, 6},
      {OLD, "POST", "/rpc", 0, SUBTOKEN_EXPIRED, 7},
      {OLD, "GET", "/one/..", 0, SUBTOKEN_BAD_TARGET, 0},
      {OLD, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {LIMITED, "GET", "/one", 0, SUBTOKEN_OK, 2},
      {LIMITED, "GET", "/two", 0, SUBTOKEN_URL, 3},
      {LIMITED, "GET", "/three", 0, SUBTOKEN_URL, 4}, /* its urls before its permissions */
      {LIMITED, "GET", "/none", 0, SUBTOKEN_URL, 0},
      {LIMITED, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {FORGED, "GET", "/one", 0, SUBTOKEN_MAC, 2},
      {FORGED, "GET", "/none", 0, SUBTOKEN_MAC, 0},
      {FORGED, "PUT", "/any", 0, SUBTOKEN_MAC, 6},
      {FORGED, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {FORGED, "GET", "/open;", 0, SUBTOKEN_BAD_TARGET, 0},
      {ABSENT, "GET", "/one", 0, SUBTOKEN_MALFORMED, 2},
      {ABSENT, "GET", "/any", 0, SUBTOKEN_MALFORMED, 6},
      {ABSENT, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {ABSENT, "GET", "/none", 0, SUBTOKEN_MALFORMED, 0},
      {ABSENT, "PUT", "/any", 0, SUBTOKEN_MALFORMED, 6},
      {ABSENT, "POST", "/rpc", 0, SUBTOKEN_MALFORMED, 7},
      {BLANK, "GET", "/open", 0, SUBTOKEN_OK, 5},
      {BLANK, "GET", "/none", 0, SUBTOKEN_MALFORMED, 0},
      {ABSENT, "GET", "//", 0, SUBTOKEN_BAD_TARGET, 0},
      {ABSENT, "OPTIONS", "/one", SUBTOKEN_POLICY_PREFLIGHT, SUBTOKEN_OK, 0},
      {ABSENT, "OPTIONS", "/one", 0, SUBTOKEN_MALFORMED, 2},
      {BLANK, "GET", "/one", 0, SUBTOKEN_MALFORMED, 2},
  };
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  int asked = 0;
  verifier.ring = &ring;
  verifier.revoked = never_asked;
  verifier.revoked_context = &asked;
  subtoken_text tokens[] = {
      good_token(GOOD_PAYLOAD),
      good_token(
          "{\"sub\":\"p\",\"iat\":1600000000,\"exp\":1600003600,\"permissions\":[\"account\"]}"),
      good_token("{" GOOD_CLAIMS ",\"permissions\":[\"account\",\"guilds\"],\"urls\":[\"/one\"]}"),
      signed_token(OTHER_SECRET, st_text(HEADER), st_text(GOOD_PAYLOAD)),
      {NULL, 0},
      {"", 0}};
  static char memory[SUBTOKEN_CACHE_MIN];
  subtoken_cache cache = {sizeof cache, memory, sizeof memory};
  const subtoken_policy *policy = policy_of(text);
  for (size_t i = 0; i < COUNT(rows); i++) {
    static subtoken_claims claims;
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    memset(&claims, 0x77, sizeof claims);
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = st_text(rows[i].method),
                                .target = st_text(rows[i].target)};
    asked = 0;
    subtoken_result got = subtoken_policy_verify(&verifier, policy, tokens[rows[i].token], &request,
                                                 rows[i].flags, &claims, &decision);
    CHECK(got == rows[i].result && decision.line == rows[i].line, "%d %s %s: %s %u", rows[i].token,
          rows[i].method, rows[i].target, subtoken_result_name(got), decision.line);
    bool open =
        decision.access == SUBTOKEN_ACCESS_PUBLIC || decision.access == SUBTOKEN_ACCESS_PREFLIGHT;
    CHECK(claims_are_zero(&claims) == (got != SUBTOKEN_OK || open), "%zu", i);
    CHECK(!open || asked == 0, "%zu", i); /* what is public asks for no token's sub */
    bool none = rows[i].token == ABSENT || rows[i].token == BLANK;
    CHECK(decision.no_token == (none && got == SUBTOKEN_MALFORMED), "%zu", i);
    subtoken_result alone = subtoken_policy_verify(&verifier, policy, tokens[rows[i].token],
                                                   &request, rows[i].flags, &claims, NULL);
    /* Who takes no decision cannot know that the body is to be read. */
    CHECK(alone == (got == SUBTOKEN_OK && decision.json_rpc ? SUBTOKEN_URL : got), "%zu", i);
    CHECK(claims_are_zero(&claims) == (alone != SUBTOKEN_OK || open), "%zu", i);
    for (int twice = 0; twice < 2; twice++) {
      subtoken_verifier with = verifier;
      with.cache = &cache;
      CHECK(subtoken_policy_verify(&with, policy, tokens[rows[i].token], &request, rows[i].flags,
                                   &claims, NULL) == alone,
            "with a cache: %zu", i);
    }
    CHECK((rows[i].target[1] == 'r' && rows[i].flags != 0) == decision.json_rpc ||
              rows[i].flags != SUBTOKEN_POLICY_BODY,
          "%zu", i);
  }
  /* Revocations that are stale: 503 before the route's 403, behind the token's 401. */
  static subtoken_claims claims;
  verifier.revoked = NULL;
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = st_text(rows[i].method),
                                .target = st_text(rows[i].target)};
    subtoken_result want = rows[i].result;
    if (rows[i].token == GOOD || rows[i].token == LIMITED) {
      bool early = want == SUBTOKEN_BAD_TARGET || strcmp(rows[i].target, "/open") == 0;
      if (!early) want = SUBTOKEN_REVOCATION_UNKNOWN;
    }
    subtoken_result got = subtoken_policy_verify(&verifier, policy, tokens[rows[i].token], &request,
                                                 rows[i].flags, &claims, NULL);
    CHECK(got == want, "%zu: %s", i, subtoken_result_name(got));
  }
  verifier.revoked = never_asked;
  subtoken_text more[] = {ST_TEXT("account"), ST_TEXT("wallet")};
  subtoken_request request = {
      .size = sizeof request, .now = NOW, .method = ST_TEXT("GET"), .target = ST_TEXT("/two")};
  request.needs = more;
  for (size_t count = 0; count <= 2; count++) { /* the request's own needs come on top */
    request.needs_count = count;
    assert_int_equal(
        subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
        count < 2 ? SUBTOKEN_OK : SUBTOKEN_PERM);
  }
  assert_true(claims_are_zero(&claims));
  request.target = (subtoken_text)ST_TEXT("/none"); /* a route's no goes before theirs */
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_URL);
  request.needs = NULL;
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  request.needs_count = 0;
  assert_int_equal(subtoken_policy_verify(NULL, policy, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_verify(&verifier, NULL, tokens[0], &request, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], NULL, 0, &claims, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  verifier.without_revocations = false; /* an empty ring signs and opens nothing */
  memset(&ring, 0, sizeof ring);
  assert_int_not_equal(
      subtoken_policy_verify(&verifier, policy, tokens[0], &request, 0, &claims, NULL),
      SUBTOKEN_OK);
  for (size_t i = 0; i < 4; i++) release(tokens[i]);
  drop(policy);
}

/* All that a route and a caller can ask for at once: 64 and 64, and any one of them lacking. */
static void all_of_128_needs_must_be_held(void **state) {
  (void)state;
  static char text[8192], payload[8192];
  static char names[128][16];
  static subtoken_text needs[64];
  static subtoken_claims claims;
  int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",");
  for (int i = 0; i < 128; i++) snprintf(names[i], sizeof names[i], "p%d", i);
  for (int i = 0; i < 64; i++) {
    len += snprintf(text + len, 32, "%s\"%s\"", i == 0 ? "\"needs\":[" : ",", names[i]);
    needs[i] = st_text(names[63 - i]); /* the same again, backwards */
  }
  snprintf(text + len, 8, "]}]}");
  const subtoken_policy *policy = policy_of(text);
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  for (int lacking = -1; lacking < 65; lacking++) {
    len = snprintf(payload, sizeof payload, "{" GOOD_CLAIMS ",\"permissions\":[");
    for (int i = 0; i < 64; i++) {
      len += snprintf(payload + len, 32, "%s\"%s\"", i == 0 ? "" : ",",
                      i == lacking ? names[64 + i] : names[i]);
    }
    snprintf(payload + len, 8, "]}");
    subtoken_text token = good_token(payload);
    needs[63] = st_text(lacking == 64 ? names[64] : names[0]); /* one of the caller's own */
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = ST_TEXT("GET"),
                                .target = ST_TEXT("/a"),
                                .needs = needs,
                                .needs_count = 64};
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    subtoken_result got =
        subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, &decision);
    CHECK(got == (lacking < 0 ? SUBTOKEN_OK : SUBTOKEN_PERM), "%d", lacking);
    assert_int_equal(decision.needs_count, 64);
    static char error[SUBTOKEN_TOKEN_MAX];
    char want[64];
    (void)subtoken_policy_explain(&verifier, policy, token, &request, 0, got, error, sizeof error);
    snprintf(want, sizeof want, "it needs p%d, the token has [", lacking);
    CHECK(lacking < 0 || strncmp(error, want, strlen(want)) == 0, "%s", error);
    CHECK(strstr(error, "; line 1 of the policy needs [p0, p1, ") != NULL, "%s", error);
    release(token);
  }
  drop(policy);
}

/* Targets and routes that differ in nothing but how they are written, and in one thing more. */
static void escaped_paths_and_the_root_are_found(void **state) {
  (void)state;
  static const struct {
    const char *method, *target, *said;
  } rows[] = {
      {"GET", "/", "token 3"},
      {"GET", "/?/a", "token 3"},
      {"HEAD", "/", "token 3"},
      {"OPTIONS", "/", "denied 3 not listed"},
      {"get", "/", "denied 3 not listed"},
      {"GET", "/x", "token 2 root"},
      {"GET", "/x/", "denied"},
      {"GET", "/x/y/z", "token 2 root"},
      {"GET", "/*", "token 2 root"},
      {"GET", "/%2A", "token 2 root"},
      {"GET", "/a+b", "token 4"},
      {"GET", "/a%2Bb", "token 4"},
      {"GET", "/a%20b", "token 5"},
      {"GET", "/a%2bb/", "token 6"},
      {"GET", "/a+b//", "bad_target"},
      {"GET", "/%61+b", "token 4"},
      {"GET", "/A+b", "token 2 root"},
      {"GET", "/a+b/%20", "bad_target"},
      {"GET", "/e%CC%81", "token 7"},
      {"GET", "/%C3%A9", "token 8"},
      {"GET", "/%c3%a9", "token 8"},
      {"GET", "/%C3%A9/", "denied"},
      {"GET", "/%C3%A9/%2A", "token 9"},
      {"GET", "/%C3%A9/*", "token 9"},
      {"GET", "/%C3%A9/**", "token 10"},
      {"GET", "/%C3%A9/*/", "denied"},
      {"HEAD", "/head", "token 11"},
      {"GET", "/head", "denied 11 not listed"},
      {"POST", "/head", "token 12"},
  };
  const subtoken_policy *policy = policy_of(
      "{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/*\",\"needs\":[\"root\"]},\n"
      "{\"path\":\"/\",\"methods\":[\"GET\"]},\n{\"path\":\"/a+b\"},\n"
      "{\"path\":\"/a%20b\"},\n{\"path\":\"/a+%62/\"},\n{\"path\":\"/e%cc%81\"},\n"
      "{\"path\":\"/%C3%a9\"},\n{\"path\":\"/%C3%a9/%2a\"},\n{\"path\":\"/%C3%A9/*\"},\n"
      "{\"path\":\"/head\",\"methods\":[\"HEAD\"]},\n"
      "{\"path\":\"/head\",\"methods\":[\"POST\"]}]}");
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *got = said(policy, rows[i].method, rows[i].target, 0);
    CHECK(strcmp(got, rows[i].said) == 0, "%s %s: %s, not %s", rows[i].method, rows[i].target, got,
          rows[i].said);
  }
  drop(policy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_default_and_preflights_decide),
      cmocka_unit_test(decisions_agree_with_a_naive_model),
      cmocka_unit_test(the_first_rule_that_fails_decides),
      cmocka_unit_test(all_of_128_needs_must_be_held),
      cmocka_unit_test(escaped_paths_and_the_root_are_found),
  };
  return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
