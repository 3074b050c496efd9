/* What an authenticated caller may do. Who the caller is, authenticate.c finds out. What somebody
 * makes never exceeds what it is made with, neither in permissions nor in time.
 */
#include "service/access.h"

#include "base/impossible.h"
#include "core/claims.h"
#include "service/rate_limit.h"
#include "service/throttle.h"

/* An edge that cannot mint could make up such a token: of what is only the server's it gets
 * nothing.
 */
#define ACCESS_AUDIENCE_TOKEN "this call does not take a token for an audience"

const st_problem *st_access_manager(st_context *c, st_identity *identity) {
  const st_problem *problem = st_authenticate(c, identity);
  if (problem != NULL) return problem;
  if (identity->method == ST_AUTH_DERIVED) {
    return st_problem_escalation(
        &c->problem,
        "this call needs a parent key, a session or HTTP Basic; a derived token is not accepted");
  }
  if (!st_identity_is_audience_token(identity)) return NULL;
  return st_problem_escalation(&c->problem, ACCESS_AUDIENCE_TOKEN);
}

const st_problem *st_access_requires(st_context *c, const st_identity *identity,
                                     const char *permission) {
  if (st_identity_is_audience_token(identity)) {
    return st_problem_escalation(&c->problem, ACCESS_AUDIENCE_TOKEN);
  }
  return st_access_holds(c, identity, permission);
}

const st_problem *st_access_holds(st_context *c, const st_identity *identity,
                                  const char *permission) {
  if (st_claims_has_permission(&identity->grant, st_text(permission))) return NULL;
  return st_problem_permission(&c->problem, st_text(permission));
}

const st_problem *st_access_covers(st_context *c, const st_identity *identity,
                                   subtoken_text permissions) {
  st_cutter cutter = {permissions, permissions.len == 0};
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_claims_has_permission(&identity->grant, each)) continue;
    return st_problem_escalation(&c->problem,
                                 "permissions: must not exceed those of the credential");
  }
  return NULL;
}

const st_problem *st_access_within_rate(st_context *c, const st_identity *identity) {
  static const st_problem too_many = {
      .status = 429, .event = "rate", .text = "too many tokens from this key; try again later"};
  const st_service *service = c->service;
  int64_t wait = st_rate_limit_take(service->rate, service->settings, st_key_root(&identity->key),
                                    c->request->now_us);
  if (wait <= 0) return NULL;
  st_problem *problem = st_problem_copy(&c->problem, &too_many);
  problem->retry_after = wait;
  return problem;
}

const st_problem *st_access_within_attempts(st_context *c, subtoken_text username) {
  static const st_problem too_many = {
      .status = 429, .event = "login_throttled", .text = "too many attempts; try again later"};
  const st_request *request = c->request;
  int64_t wait = st_throttle_take(c->service->throttle, username, request->remote, request->now_us);
  if (wait <= 0) return NULL;
  st_problem *problem = st_problem_copy(&c->problem, &too_many);
  problem->retry_after = wait;
  return problem;
}

static bool access_find_end(const st_context *c, const st_identity *grantor, int64_t *end) {
  const st_users *users = c->service->users;
  const st_key_changes *changes = c->service->changes;
  st_key key;
  st_user user;
  if (grantor->method == ST_AUTH_SESSION) {
    st_store_status found = users->find(users->context, st_text(grantor->key.owner), &user);
    if (found == ST_STORE_OK) *end = user.key.expires_at;
    subtoken_wipe(&user, sizeof user);
    return found == ST_STORE_OK;
  }
  if (grantor->method == ST_AUTH_SERVICE_SESSION) {
    if (changes->find(changes->context, grantor->key.parent, &key) != ST_STORE_OK) return false;
    *end = key.expires_at;
    return true;
  }
  *end = grantor->key.expires_at;
  return true;
}

const st_problem *st_access_find_end(st_context *c, const st_identity *grantor, int64_t *end) {
  *end = ST_NEVER;
  bool found = grantor == NULL || access_find_end(c, grantor, end);
  return found ? NULL : st_problem_change(ST_STORE_FAILED);
}

static void access_write_who(st_writer *who, const st_identity *identity) {
  if (identity == NULL) {
    st_write_literal(who, "nobody");
  } else if (identity->method == ST_AUTH_SESSION || identity->method == ST_AUTH_BASIC) {
    st_write_literal(who, "person ");
    st_write_literal(who, identity->key.owner);
  } else {
    st_write_literal(who, "key ");
    st_write_literal(
        who, identity->method == ST_AUTH_SERVICE_SESSION ? identity->key.parent : identity->key.id);
  }
}

st_audit_context st_access_audit_context(const st_context *c, const st_identity *identity,
                                         st_audit_buffers *buffers) {
  st_writer who = st_writer_on(buffers->who, sizeof buffers->who);
  st_writer from = st_writer_on(buffers->from, sizeof buffers->from);
  access_write_who(&who, identity);
  st_write_view(&from, c->request->remote);
  if (st_impossible(!st_writer_end(&who), "it is as long as a name and a word")) {
    buffers->who[0] = '\0';
  }
  if (!st_writer_end(&from)) buffers->from[0] = '\0';
  return (st_audit_context){.until_us = c->request->until_us,
                            .who = buffers->who,
                            .from = buffers->from,
                            .row = identity != NULL ? st_key_root(&identity->key) : NULL};
}
