/* mcp_reply: how many permissions a sentence names, and memory that is too small. test_mcp.c has
 * the replies to whole calls.
 */
#include "policy_fixture.h"

static subtoken_mcp mcp;

static void lack(const char *need) {
  mcp.lacking[mcp.lacking_count++] = st_text(need);
}

#define X64 X60 "xxxx"

static void start(void) {
  mcp = (subtoken_mcp)SUBTOKEN_MCP_DEFAULT;
  memcpy(mcp.id, "null", 5);
  mcp.id_len = 4;
}

/* Six of 64 characters and the blanks between them are 389: another one has 10 in 400, with its
 * blank. */
static void so_many_permissions_are_named(void **state) {
  (void)state;
  static const struct {
    const char *next, *end;
  } rows[] = {
      {X10, " " X10 "\"}"},
      {X10 "x", " and 1 more\"}"},
      {X10 "x,a,b", " and 3 more\"}"}, /* none behind one that was left out */
      {"a,b,c,d,e", " a b c d e\"}"},
      {"a,b,c,d,e,f", " a b c d e and 1 more\"}"},
  };
  char out[SUBTOKEN_MCP_REPLY_MAX];
  for (size_t i = 0; i < COUNT(rows); i++) {
    start();
    for (int j = 0; j < 6; j++) lack(X64);
    st_cutter cutter = {st_text(rows[i].next), false};
    subtoken_text need;
    while (st_cut(&cutter, ',', &need)) mcp.lacking[mcp.lacking_count++] = need;
    size_t len = subtoken_mcp_reply(SUBTOKEN_PERM, &mcp, out, sizeof out);
    size_t front = strlen("{\"text\":\"requires scope ") + 389;
    CHECK(len == strlen(out) && len > front && strcmp(out + front, rows[i].end) == 0, "%s", out);
  }
}

static void memory_that_is_too_small_is_not_used(void **state) {
  (void)state;
  const subtoken_policy *policy = brief_policy_of(MCP_POLICY);
  static subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  char out[SUBTOKEN_CHALLENGE_MAX];
  start();
  lack("docs");
  mcp.line = 1;
  mcp.member = ST_TEXT("m");
  decision.line = 9;
  size_t reply = subtoken_mcp_reply(SUBTOKEN_PERM, &mcp, out, sizeof out);
  size_t challenge = subtoken_mcp_challenge(SUBTOKEN_PERM, &mcp, out, sizeof out);
  size_t sentence = subtoken_mcp_explain(policy, &decision, SUBTOKEN_PERM, &mcp, out, sizeof out);
  assert_string_equal(out, "line 1 of the policy, member \"m\"; lacking [docs]");
  assert_true(reply > 0 && challenge > 0);
  for (size_t size = 1; size <= challenge + 1; size++) {
    char *to = malloc(size);
    if (to == NULL) abort();
    memset(to, 'x', size);
    CHECK(
        subtoken_mcp_challenge(SUBTOKEN_PERM, &mcp, to, size) == (size > challenge ? challenge : 0),
        "%zu", size);
    CHECK(to[size > challenge ? challenge : 0] == '\0', "%zu", size);
    CHECK(subtoken_mcp_reply(SUBTOKEN_PERM, &mcp, to, size) == (size > reply ? reply : 0), "%zu",
          size);
    memset(to, 'x', size);
    size_t len = subtoken_mcp_explain(policy, &decision, SUBTOKEN_PERM, &mcp, to, size);
    CHECK(len <= size - 1 && len <= sentence && to[len] == '\0', "%zu", size);
    free(to);
  }
  /* An id may fill its room. */
  memset(mcp.id, '7', sizeof mcp.id);
  mcp.id_len = sizeof mcp.id;
  mcp.code = -32600;
  assert_true(subtoken_mcp_reply(SUBTOKEN_MALFORMED, &mcp, out, sizeof out) > sizeof mcp.id);
  assert_true(subtoken_mcp_explain(policy, &decision, SUBTOKEN_EXPIRED, &mcp, out, sizeof out) > 0);
  assert_string_equal(out, "expired");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(so_many_permissions_are_named),
      cmocka_unit_test(memory_that_is_too_small_is_not_used),
  };
  return cmocka_run_group_tests_name("mcp_reply", tests, NULL, NULL);
}
