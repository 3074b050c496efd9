/* edge_decision_fixture - an edge with a policy, a request to it, and what it decides, for the
 * tests of subtoken/edge.h. The request is a GET of /account without a credential, and nobody is
 * revoked.
 */
#ifndef TESTS_UNIT_EDGE_DECISION_FIXTURE_H
#define TESTS_UNIT_EDGE_DECISION_FIXTURE_H

#include "support.h"

#include "subtoken/edge.h"

#define NONCE ST_TEXT("nonce-0123456789")

static subtoken_ring ring;
static subtoken_verifier verifier;
static subtoken_edge edge;
static subtoken_edge_request request;
static subtoken_claims claims;
static subtoken_edge_reply reply;
static subtoken_text authorization[2];
static char memory[8192] __attribute__((aligned(8)));

/* What the list of the revoked says, and of how many names it was asked last. */
static subtoken_result verdict;
static size_t names_asked;

static inline subtoken_result as_told(void *context, const subtoken_text *names, size_t count) {
  (void)context, (void)names;
  names_asked = count;
  return verdict;
}

/* 0, or -1 when the policy cannot be read: what a cmocka setup returns. */
static inline int edge_with(const char *policy) {
  ring_with(&ring, "", TEST_SECRET);
  verdict = SUBTOKEN_OK;
  verifier = (subtoken_verifier)SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.revoked = as_told;
  edge = (subtoken_edge)SUBTOKEN_EDGE_DEFAULT;
  edge.verifier = &verifier;
  edge.reads_bodies = edge.may_ask = true;
  edge.issuer = ST_TEXT("https://issuer.example");
  request = (subtoken_edge_request)SUBTOKEN_EDGE_REQUEST_DEFAULT;
  request.now = NOW;
  request.method = ST_TEXT("GET");
  request.target = ST_TEXT("/account");
  request.authorization = authorization;
  reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  memset(&claims, 0xA5, sizeof claims);
  subtoken_result read =
      subtoken_policy_read(memory, sizeof memory, st_text(policy), &edge.policy, NULL);
  return read == SUBTOKEN_OK ? 0 : -1;
}

static inline void bring(const char *value) {
  authorization[0] = st_text(value);
  request.authorization_count = 1;
}

/* A token with these permissions for a minute. */
static inline void bring_token(const char *permissions) {
  static char value[SUBTOKEN_ISSUED_MAX + 16];
  subtoken_claims grant = grant_of(permissions, NULL);
  size_t len;
  grant.exp = NOW + 60;
  memcpy(value, "Bearer ", 7);
  assert_int_equal(subtoken_issue(&ring, &grant, value + 7, sizeof value - 7, &len), SUBTOKEN_OK);
  bring(value);
}

#endif
