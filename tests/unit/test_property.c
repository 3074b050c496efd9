/* The theorem: whatever the child is allowed, the parent is allowed. Over random
 * chains of grants, asks and requests, made of nasty pieces. And a child ends with each of those
 * that it was made from. An audience is no limit to a parent that has none.
 *
 * SUBTOKEN_CHAINS is how many (10^6), SUBTOKEN_SEED where the numbers start.
 */
#include "support.h"

#include "core/decide.h"
#include "core/paths.h"
#include "permissive.h"

#define LINKS_MAX 5
#define REQUESTS 4
#define LEEWAY 60

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHAINS 50000
#else
#define CHAINS 1000000
#endif

static uint64_t seed;

static size_t below(size_t limit) {
  return random_below(&seed, limit);
}

static bool chance(size_t one_in) {
  return below(one_in) == 0;
}

static const char *const permissions[] = {
    "account",
    "ACCOUNT",
    "accoun",
    "accounts",
    "*",
    "a*",
    "account/x",
    "!",
    "~",
    "[]",
    "0123456789012345678901234567890123456789012345678901234567890123",
};
/* What is no permission, or one that nobody grants. */
static const char *const no_permissions[] = {"",         "a b",    "a,b",      "\"",       "\\",
                                             "\xC3\xA9", "nobody", "account ", "account\n"};

static const char *const segments[] = {"a",   "b",   "A",  "v2", "%61", "a%20b", "%c3%a9", "a+b",
                                       "a:b", "%2A", "a.", ".a", "~",   "..a",   "a%26"};
/* Refused in entries and targets, or so one hopes. */
static const char *const hostile[] = {
    "..",     ".",      "...",    "%2e",      "%2E%2e", ".%2e",   "%252e%252e",   "%25",
    "%2f",    "%5c",    "..%2fa", "..%5ca",   "a;b",    ";",      "..;",          "a%3bb",
    "%00",    "a%00",   "%20",    "..%20",    "%c0%ae", "%c0%af", "%u002e%u002e", "%ff",
    "%e2%82", "a\\..",  "\\..",   "\xC3\xA9", "a#",     "%23",    "a%3f",         "%0a",
    "%7f",    "%c2%85", " ",      "",         "%",      "%2",     "*a",           "**"};
static const char *const methods[] = {"", "GET", "HEAD", "POST", "get", "PUT"};

#define PICK(list) (list)[below(COUNT(list))]

/* Text that lives as long as a chain. */
static char arena[1 << 16];
static size_t arena_used;

static subtoken_text keep(const char *data, size_t len) {
  if (len > sizeof arena - arena_used) abort();
  char *to = arena + arena_used;
  memcpy(to, data, len);
  arena_used += len;
  return (subtoken_text){to, len};
}

static subtoken_text random_path(size_t hostile_one_in, bool entry) {
  char text[200];
  st_writer writer = st_writer_on(text, sizeof text);
  if (entry && chance(4)) {
    st_write_literal(&writer, methods[1 + below(3)]);
    st_write_char(&writer, ':');
  }
  size_t depth = 1 + below(3);
  for (size_t i = 0; i < depth; i++) {
    st_write_char(&writer, '/');
    /* Few different ones, so that paths meet. */
    st_write_literal(&writer, chance(hostile_one_in) ? PICK(hostile)
                              : entry && chance(5)   ? "*"
                              : chance(3)            ? PICK(segments)
                                                     : segments[below(3)]);
  }
  if (chance(8)) {
    st_write_char(&writer, '/');
  } else if (entry ? chance(3) : chance(20)) {
    st_write_literal(&writer, "/*");
  }
  if (!entry && chance(4)) st_write_literal(&writer, chance(2) ? "?v=/../*" : "?");
  return keep(text, writer.len);
}

/* Some of the stars that are segments become one. */
static subtoken_text filled(subtoken_text entry, size_t one_in, size_t hostile_one_in) {
  char text[400];
  st_writer writer = st_writer_on(text, sizeof text);
  for (size_t i = 0; i < entry.len; i++) {
    if (entry.data[i] == '*' && i + 1 < entry.len && chance(one_in)) {
      st_write_literal(&writer, chance(hostile_one_in) ? PICK(hostile) : PICK(segments));
    } else {
      st_write_char(&writer, entry.data[i]);
    }
  }
  if (writer.overflow) abort();
  return keep(text, writer.len);
}

/* An entry that may well be inside this one. */
static subtoken_text inside(subtoken_text outer) {
  char text[400];
  st_writer writer = st_writer_on(text, sizeof text);
  if (outer.len > 200) return outer;
  if (chance(2)) outer = filled(outer, 2, 40);
  if (chance(6)) st_write_literal(&writer, chance(2) ? "GET:" : "HEAD:");
  size_t len = outer.len;
  if (outer.data[len - 1] == '*' && chance(2)) {
    len--;
    st_write(&writer, outer.data, len);
    st_write_literal(&writer, PICK(segments));
    if (chance(2)) st_write_literal(&writer, "/*");
  } else if (chance(8)) {
    st_write(&writer, outer.data, len - below(len)); /* wider, or nonsense */
  } else {
    st_write(&writer, outer.data, len);
    if (chance(8)) st_write_literal(&writer, chance(2) ? "/" : "/*");
  }
  return keep(text, writer.len);
}

/* A target that this entry may well let through. */
static subtoken_text target_for(subtoken_text entry) {
  char text[400];
  st_writer writer = st_writer_on(text, sizeof text);
  size_t at = 0;
  while (at < entry.len && entry.data[at] != '/') at++;
  bool wild = entry.data[entry.len - 1] == '*';
  if (entry.len > 200) return entry;
  entry = filled(entry, chance(8) ? 2 : 1, 4);
  st_write(&writer, entry.data + at, entry.len - at - wild);
  if (wild) st_write_literal(&writer, chance(4) ? PICK(hostile) : PICK(segments));
  if (chance(12)) {
    st_write_char(&writer, '/');
    st_write_literal(&writer, PICK(hostile));
  }
  if (chance(6)) st_write_literal(&writer, "?/../a");
  return keep(text, writer.len);
}

/* As if it had been signed and authenticated: with an id that nobody else has. */
static void make_token(subtoken_claims *claims) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  char token[ST_CLAIMS_MAC_CHARS];
  for (size_t i = 0; i < sizeof token; i++) token[i] = alphabet[below(64)];
  if (!st_claims_set_tid(claims, (subtoken_text){token, sizeof token})) abort();
  claims->aud_derived = claims->aud.len > 0;
}

static void random_lineage(subtoken_claims *grant) {
  if (chance(4) &&
      subtoken_claims_set_aud(grant, chance(2) ? ST_TEXT("eu") : ST_TEXT("us")) != SUBTOKEN_OK) {
    abort();
  }
  if (!chance(6)) return;
  static const char *const ids[] = {"0123456789abcdef", "ABCDEFGHIJKLMN-_", "----------------"};
  for (size_t i = below(SUBTOKEN_VIA_MAX + 1); i-- > 0;) {
    if (!st_claims_add_via(grant, st_text(PICK(ids)))) abort();
  }
  make_token(grant);
}

static void random_grant(subtoken_claims *grant) {
  memset(grant, 0, offsetof(subtoken_claims, text));
  bool good = st_claims_set_sub(grant, ST_TEXT("parent-of-all"));
  for (size_t i = below(6); i-- > 0;) {
    subtoken_text permission = st_text(PICK(permissions));
    if (!st_claims_has_permission(grant, permission)) {
      good = good && st_claims_add_permission(grant, permission);
    }
  }
  static const int64_t lives[] = {1, 61, 300, 90 * DAY, 0};
  int64_t life = PICK(lives);
  grant->iat = NOW - 1;
  grant->exp = life == 0 ? SUBTOKEN_TIME_MAX : NOW + life;
  grant->every_url = chance(3);
  st_entry entry;
  for (size_t i = grant->every_url ? 0 : 1 + below(3); i-- > 0;) {
    subtoken_text url = random_path(40, true);
    if (st_paths_read_entry(url, &entry) == SUBTOKEN_FAULT_NONE) {
      good = good && st_claims_add_url(grant, url);
    }
  }
  if (!good) abort();
  random_lineage(grant);
}

typedef struct random_issue {
  subtoken_issue_request request;
  subtoken_text permissions[8];
  subtoken_text urls[8];
} random_issue;

static void make_issue(const subtoken_claims *parent, int64_t now, random_issue *made) {
  made->request = (subtoken_issue_request)SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  made->request.permissions = made->permissions;
  made->request.urls = made->urls;
  for (size_t i = below(7); i-- > 0;) {
    subtoken_text wanted = chance(8) ? st_text(PICK(no_permissions)) : st_text(PICK(permissions));
    if (chance(2) && parent->permission_count > 0) {
      wanted = subtoken_claims_text(parent, parent->permissions[below(parent->permission_count)]);
    }
    made->permissions[made->request.permission_count++] = wanted;
  }
  made->request.has_urls = chance(2);
  for (size_t i = made->request.has_urls ? below(4) : 0; i-- > 0;) {
    bool inner = parent->url_count > 0 && !chance(6);
    made->urls[made->request.url_count++] =
        inner ? inside(subtoken_claims_text(parent, parent->urls[below(parent->url_count)]))
              : random_path(60, true);
  }
  static const char *const audiences[] = {"eu", "us", "EU", "e u", ""};
  if (chance(6)) {
    size_t at = 0;
    subtoken_text own = subtoken_claims_audience(parent, &at);
    made->request.audience = own.data != NULL && !chance(6) ? own
                             : chance(4)                    ? st_text(PICK(audiences))
                                                            : st_text(audiences[below(2)]);
  }
  static const int64_t odd[] = {INT64_MAX, INT64_MIN, 0, -1, SUBTOKEN_TIME_MAX, NOW};
  made->request.has_expire = chance(2);
  made->request.expire = chance(10)  ? PICK(odd)
                         : chance(3) ? parent->exp - 2 + (int64_t)below(5)
                                     : now + (int64_t)below(400);
}

typedef struct counts {
  size_t links[LINKS_MAX + 1]; /* made, by depth */
  size_t allowed[LINKS_MAX + 1];
  size_t asked, wider, bad_url, restricted, read_back, backend, starred, deep, other_aud, ended;
} counts;

static subtoken_verifier verifier = {.size = sizeof verifier,
                                     .leeway = LEEWAY,
                                     .max_life = SUBTOKEN_TIME_MAX,
                                     .without_revocations = true};
static subtoken_text revoked_name;

static subtoken_result is_revoked(void *context, const subtoken_text *names, size_t count) {
  (void)context;
  for (size_t i = 0; i < count; i++) {
    if (st_text_equal(names[i], revoked_name)) return SUBTOKEN_REVOKED;
  }
  return SUBTOKEN_OK;
}

/* Times near those at which something changes. */
static int64_t random_time(const subtoken_claims *child) {
  int64_t base = chance(3) ? child->iat : chance(2) ? child->exp : child->iat + 5;
  int64_t when = base - 65 + (int64_t)below(130);
  if (chance(2)) when = child->iat + (int64_t)below(5);
  if (when < 0) when = 0;
  return when > SUBTOKEN_TIME_MAX ? SUBTOKEN_TIME_MAX : when;
}

static void random_request(const subtoken_claims *child, subtoken_request *request,
                           subtoken_text needs[3]) {
  *request = (subtoken_request)SUBTOKEN_REQUEST_DEFAULT;
  request->now = random_time(child);
  request->method = st_text(PICK(methods));
  if (!chance(10)) {
    bool likely = child->url_count > 0 && !chance(4);
    request->target =
        likely ? target_for(subtoken_claims_text(child, child->urls[below(child->url_count)]))
               : random_path(6, false);
  }
  request->needs = needs;
  while (request->needs_count < 3 && chance(2)) {
    bool held = child->permission_count > 0 && !chance(4);
    needs[request->needs_count++] =
        held ? subtoken_claims_text(child, child->permissions[below(child->permission_count)])
             : st_text(PICK(permissions));
  }
}

static void show(const char *what, const subtoken_claims *claims) {
  char text[8192];
  st_writer writer = st_writer_on(text, sizeof text);
  st_claims_write(&writer, claims);
  print_error("%s: %.*s\n", what, (int)writer.len, text);
}

/* If we allow, the most permissive backend ends up under an entry. */
static void hold_against_backend(const subtoken_claims *claims, const subtoken_request *request,
                                 counts *count) {
  char path[512];
  size_t len = request->target.len;
  if (len >= sizeof path) abort();
  memcpy(path, request->target.data, len);
  permissive_path(path, &len);
  for (size_t i = 0; i < claims->url_count; i++) {
    subtoken_text url = subtoken_claims_text(claims, claims->urls[i]);
    if (!permissive_under(path, len, url.data, url.len)) continue;
    count->starred += memchr(url.data, '*', url.len - 1) != NULL;
    return;
  }
  show("claims", claims);
  fail_msg("%.*s is allowed, and a backend gets to %.*s", (int)request->target.len,
           request->target.data, (int)len, path);
}

/* One of the chain is revoked, and an edge is told of an audience, at times. Returns where in the
 * chain that one is; behind its end: nowhere. */
static size_t random_edge(const subtoken_claims *chain, size_t depth, subtoken_verifier *edge) {
  *edge = verifier;
  edge->without_revocations = false;
  edge->revoked = is_revoked;
  revoked_name = ST_TEXT("nobody");
  if (chance(3)) edge->aud = chance(2) ? ST_TEXT("eu") : ST_TEXT("us");
  edge->any_audience = chance(3);
  size_t at = chance(6) ? below(depth + 1) : depth + 1;
  if (at > depth || chain[at].tid.len == 0) return depth + 1;
  revoked_name = subtoken_claims_text(&chain[at], chain[at].tid);
  return at;
}

static void hold_theorem(const subtoken_claims *chain, size_t depth,
                         const subtoken_request *request, counts *count) {
  const subtoken_claims *child = &chain[depth];
  subtoken_verifier edge;
  size_t revoked = random_edge(chain, depth, &edge);
  count->asked++;
  if (st_decide(&edge, request, NULL, child) != SUBTOKEN_OK) {
    count->ended += revoked <= depth;
    return;
  }
  if (revoked <= depth) fail_msg("a child outlives the token that it was made from");
  count->allowed[depth]++;
  if (!child->every_url && request->target.data != NULL) {
    hold_against_backend(child, request, count);
    count->backend++;
  }
  for (size_t above = depth; above-- > 0;) {
    subtoken_verifier wide = edge;
    wide.any_audience = edge.any_audience || chain[above].aud.len == 0;
    subtoken_result result = st_decide(&wide, request, NULL, &chain[above]);
    if (result == SUBTOKEN_OK) continue;
    show("parent", &chain[above]);
    show("child", child);
    fail_msg("%.*s %.*s at %lld: the child is allowed, its parent is not (%s)",
             (int)request->method.len, request->method.data, (int)request->target.len,
             request->target.data == NULL ? "" : request->target.data, (long long)request->now,
             subtoken_result_name(result));
  }
}

/* What holds of the claims themselves. */
static void hold_shape(const subtoken_claims *parent, const subtoken_claims *child, int64_t now) {
  bool good = child->exp <= parent->exp && child->exp > now && child->iat == now &&
              child->exp - child->iat <= 365 * DAY && (parent->every_url || !child->every_url) &&
              child->every_url == (child->url_count == 0) && child->sid.len == 0 &&
              st_text_equal(subtoken_claims_text(parent, parent->sub),
                            subtoken_claims_text(child, child->sub));
  for (size_t i = 0; i < child->permission_count; i++) {
    subtoken_text permission = subtoken_claims_text(child, child->permissions[i]);
    good = good && st_claims_has_permission(parent, permission);
  }
  size_t at = 0;
  subtoken_text aud = subtoken_claims_audience(parent, &at);
  good = good && (aud.data == NULL || st_claims_only_audience(child, aud)) &&
         child->via_count == (parent->tid.len > 0 ? parent->via_count + 1 : 0) &&
         child->tid.len == 0;
  for (size_t i = 0; good && i < child->via_count; i++) {
    subtoken_slice from = i < parent->via_count ? parent->via[i] : parent->tid;
    good = st_text_equal(subtoken_claims_text(child, child->via[i]),
                         subtoken_claims_text(parent, from));
  }
  if (good) return;
  show("parent", parent);
  show("child", child);
  fail_msg("the child is more than its parent");
}

/* Through the signature and back, the token says what the claims say. */
static void read_back(const subtoken_ring *ring, const subtoken_claims *chain, size_t depth,
                      const subtoken_request *request, counts *count) {
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_claims back;
  size_t len;
  subtoken_verifier full = verifier, law = verifier;
  full.ring = ring;
  if (chance(2)) full.aud = law.aud = ST_TEXT("eu");
  full.any_audience = law.any_audience = chance(2);
  if (subtoken_issue(ring, &chain[depth], token, sizeof token, &len) != SUBTOKEN_OK) {
    fail_msg("a child cannot be issued");
  }
  subtoken_result want = st_decide(&law, request, NULL, &chain[depth]);
  if (verify_every_way(&full, (subtoken_text){token, len}, request, &back) != want) {
    show("child", &chain[depth]);
    fail_msg("the token and its claims give different results");
  }
  subtoken_request own = {.size = sizeof own, .now = chain[depth].iat};
  full.any_audience = true;
  if (chain[depth].every_url &&
      subtoken_verify(&full, (subtoken_text){token, len}, &own, &back) != SUBTOKEN_OK) {
    fail_msg("a child is not good at the time at which it was made");
  }
  count->read_back++;
}

static void run_chain(const subtoken_ring *ring, size_t number, counts *count) {
  static subtoken_claims chain[LINKS_MAX + 1];
  static random_issue made;
  subtoken_limits limits = {sizeof limits, 1 + (int64_t)below(200), 365 * DAY};
  subtoken_request request;
  subtoken_text needs[3];
  subtoken_narrow_report report = SUBTOKEN_NARROW_REPORT_DEFAULT;
  int64_t now = NOW;
  arena_used = 0;
  random_grant(&chain[0]);
  size_t links = 1 + below(LINKS_MAX);
  for (size_t depth = 1; depth <= links; depth++) {
    make_issue(&chain[depth - 1], now, &made);
    subtoken_result result =
        subtoken_narrow(&chain[depth - 1], &made.request, &limits, now, &chain[depth], &report);
    count->wider += result == SUBTOKEN_URL_WIDER;
    count->bad_url += result == SUBTOKEN_BAD_URL;
    count->deep += result == SUBTOKEN_TOO_DEEP;
    count->other_aud += result == SUBTOKEN_AUD_WIDER;
    if (result != SUBTOKEN_OK) {
      if (!claims_are_zero(&chain[depth])) fail_msg("a refused child is not zeroed");
      return;
    }
    count->links[depth]++;
    count->restricted += !chain[depth].every_url;
    hold_shape(&chain[depth - 1], &chain[depth], now);
    make_token(&chain[depth]);
    for (size_t i = 0; i < REQUESTS; i++) {
      random_request(&chain[depth], &request, needs);
      hold_theorem(chain, depth, &request, count);
      if (number % 16 == 0 && i == 0) read_back(ring, chain, depth, &request, count);
    }
    /* As if it had been made in a login: what is made of it must not tell. */
    if (chance(4) && subtoken_claims_set_sid(&chain[depth], ST_TEXT("L-1")) != SUBTOKEN_OK) abort();
    now += (int64_t)below(4);
  }
}

static uint64_t number_from(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void a_child_may_do_nothing_that_its_parent_may_not(void **state) {
  (void)state;
  static subtoken_ring ring;
  counts count = {0};
  size_t chains = (size_t)number_from("SUBTOKEN_CHAINS", CHAINS);
  seed = number_from("SUBTOKEN_SEED", 20261122);
  print_message("%zu chains, seed %llu\n", chains, (unsigned long long)seed);
  ring_with(&ring, "k1", TEST_SECRET);
  verifier.ring = &ring; /* which instructions to use stands in it */
  for (size_t i = 0; i < chains; i++) run_chain(&ring, i, &count);
  size_t deep = 0;
  for (size_t depth = 2; depth <= LINKS_MAX; depth++) deep += count.allowed[depth];
  for (size_t depth = 1; depth <= LINKS_MAX; depth++) {
    print_message("depth %zu: %zu links, %zu requests allowed\n", depth, count.links[depth],
                  count.allowed[depth]);
  }
  print_message(
      "%zu requests; %zu asks too wide, %zu bad; %zu links restricted; "
      "%zu tokens read back; %zu held against a backend, %zu by a star within\n",
      count.asked, count.wider, count.bad_url, count.restricted, count.read_back, count.backend,
      count.starred);
  /* Not vacuous. */
  assert_true(deep >= chains / 4);
  assert_true(count.allowed[LINKS_MAX] >= chains / 150);
  assert_true(count.wider >= chains / 50 && count.bad_url >= chains / 200);
  assert_true(count.backend >= chains / 4);
  assert_true(count.starred >= chains / 20);
  assert_true(count.read_back >= chains / 20);
  print_message("%zu too deep, %zu asks for another audience, %zu ended with an ancestor\n",
                count.deep, count.other_aud, count.ended);
  assert_true(count.deep >= chains / 100 && count.other_aud >= chains / 400);
  assert_true(count.ended >= chains / 10);
}

/* That backend does what it is there for. */
static void the_permissive_backend_reads_as_meant(void **state) {
  (void)state;
  static const struct {
    const char *target, *path;
  } rows[] = {
      {"/a/b", "/a/b"},
      {"/a/b/", "/a/b/"},
      {"/a/../b", "/b"},
      {"/a/%2e%2e/b", "/b"},
      {"/a/%252e%252e/b", "/b"},
      {"/a/..%2fb", "/b"},
      {"/a/..%5cb", "/b"},
      {"/a\\..\\b", "/b"},
      {"/a/..;x/b", "/b"},
      {"/a;x=1/b", "/a/b"},
      {"/a/b?c/../d", "/a/b"},
      {"//a///b", "/a/b"},
      {"/a/./b", "/a/b"},
      {"/a/b/..", "/a/"},
      {"/..", "/"},
      {"/../../a", "/a"},
      {"/", "/"},
      {"", "/"},
      {"/a%00b", "/a"},
      {"/a/%u002e%u002e/b", "/b"},
      {"/a/..%20/b", "/b"},
      {"a", "/a"},
      {"/a/...", "/a/..."},
      {"/A", "/A"},
      {"/a/%25252e%25252e/b", "/b"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[100];
    size_t len = strlen(rows[i].target);
    memcpy(text, rows[i].target, len);
    permissive_path(text, &len);
    CHECK(len == strlen(rows[i].path) && memcmp(text, rows[i].path, len) == 0, "%s: %.*s",
          rows[i].target, (int)len, text);
  }
  assert_true(permissive_under("/a/b", 4, "/a/*", 4));
  assert_false(permissive_under("/a/", 3, "/a/*", 4));
  assert_false(permissive_under("/ab", 3, "/a", 2));
  assert_true(permissive_under("/a b", 4, "GET:/a%20b", 10));
  assert_true(permissive_under("/a/x/b", 6, "/a/*/b", 6));
  assert_true(permissive_under("/a/x/b/", 7, "/a/*/b/", 7));
  assert_false(permissive_under("/a/b", 4, "/a/*/b", 6));
  assert_false(permissive_under("/a//b", 5, "/a/*/b", 6));
  assert_false(permissive_under("/a/x/y/b", 8, "/a/*/b", 6));
  assert_false(permissive_under("/a/x/b/", 7, "/a/*/b", 6));
  assert_false(permissive_under("/a/x", 4, "/a/%2A", 6));
  assert_true(permissive_under("/a/*/y", 6, "/a/%2A/*", 8));
  assert_true(permissive_under("/a/x/y/z", 8, "/*/x/*", 6));
  assert_false(permissive_under("/a/x/", 5, "/*/x/*", 6));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_permissive_backend_reads_as_meant),
      cmocka_unit_test(a_child_may_do_nothing_that_its_parent_may_not),
  };
  return cmocka_run_group_tests_name("property", tests, NULL, NULL);
}
