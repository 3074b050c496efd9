/* /v2/createsubtoken: the parameters (params.c) and the grant of the caller become a subtoken
 * (issuing.c).
 */
#include "service/access.h"
#include "service/endpoints.h"
#include "service/issuing.h"
#include "service/params.h"
#include "service/reply.h"
#include "service/request.h"

static const st_problem *create_subtoken_issue(st_context *c, const subtoken_issue_request *request,
                                               const st_identity *identity) {
  char token[SUBTOKEN_ISSUED_MAX + 1], error[ST_ISSUING_ERROR_MAX];
  subtoken_narrow_report report = SUBTOKEN_NARROW_REPORT_DEFAULT;
  subtoken_result result = st_issuing_subtoken(c->service, &identity->key, &identity->grant,
                                               request, c->request->now, token, &report, error);
  if (result != SUBTOKEN_OK) {
    return st_problem_make(&c->problem, st_issuing_status(result), "issue_denied", error);
  }
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"subtoken\":\"");
  st_write_literal(&writer, token);
  st_write_literal(&writer, "\"}");
  st_reply_end(c->reply, 200, &writer);
  subtoken_wipe(token, sizeof token);
  c->reply->event.dropped = report.dropped;
  c->reply->event.clamped = report.clamped;
  return NULL;
}

const st_problem *st_create_subtoken_answer(st_context *c) {
  st_identity identity;
  st_params params;
  st_body_kind kind;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem == NULL) problem = st_access_within_rate(c, &identity);
  if (problem != NULL) return problem;
  if (!st_request_params_kind(c->request, &kind)) {
    return st_problem_make(
        &c->problem, 415, "issue_denied",
        "Content-Type: must be application/json or application/x-www-form-urlencoded");
  }
  if (st_params_read(&params, c->query, kind, c->request->body)) {
    problem = create_subtoken_issue(c, &params.request, &identity);
  } else {
    problem = st_problem_make(&c->problem, 400, "issue_denied", params.error);
  }
  st_params_wipe(&params);
  return problem;
}
