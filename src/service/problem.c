/* Problems of which a part is known only while a request is answered: a parameter's name, a missing
 * permission. They are kept in the request's context, so that a helper can return a pointer.
 * Writing them into the reply is for reply.c alone.
 */
#include "service/problem.h"

#include "base/impossible.h"

const st_problem st_problem_passwords_busy = {
    .status = 503,
    .event = "passwords_busy",
    .text = "too many passwords are being checked; try again later",
    .retry_after = 5};
const st_problem st_problem_credential_ended = {
    .status = 403,
    .event = "escalation",
    .text = "the credential you used has expired, been revoked or lost a permission",
    .challenge = ST_CHALLENGE_INSUFFICIENT_SCOPE};

const st_problem *st_problem_change(st_store_status changed) {
  static const st_problem busy = {
      .status = 503,
      .event = "store_busy",
      .text = "the store is being written to; nothing was changed; try again later",
      .retry_after = 5};
  static const st_problem failed = {.status = 503,
                                    .event = "store_error",
                                    .text = "nothing was changed; try again later",
                                    .retry_after = 5};
  /* Without Retry-After: what is repeated may be made twice. */
  static const st_problem in_doubt = {
      .status = 503,
      .event = "store_in_doubt",
      .text =
          "the change may have been made: the database was lost while it was committed; look "
          "(GET /v2/keys, GET /v2/audit, `subtoken audit`) before you repeat it"};
  if (changed == ST_STORE_IN_DOUBT) return &in_doubt;
  return changed == ST_STORE_BUSY ? &busy : &failed;
}

static st_problem *problem_keep(st_problem_buffer *buffer, int status, const char *event,
                                const char *front, const char *middle, subtoken_text end) {
  st_writer writer = st_writer_on(buffer->text, sizeof buffer->text);
  st_write_literal(&writer, front);
  st_write_literal(&writer, middle);
  st_write_view(&writer, end);
  if (st_impossible(!st_writer_end(&writer), "no text of ours is longer")) buffer->text[0] = '\0';
  buffer->problem = (st_problem){.status = status, .event = event, .text = buffer->text};
  return &buffer->problem;
}

const st_problem *st_problem_make(st_problem_buffer *buffer, int status, const char *event,
                                  const char *text) {
  return problem_keep(buffer, status, event, text, "", (subtoken_text){NULL, 0});
}

st_problem *st_problem_copy(st_problem_buffer *buffer, const st_problem *problem) {
  buffer->problem = *problem;
  return &buffer->problem;
}

const st_problem *st_problem_parameter(st_problem_buffer *buffer, const char *name,
                                       const char *text) {
  return problem_keep(buffer, 400, "bad_request", name, ": ", st_text(text));
}

const st_problem *st_problem_permission(st_problem_buffer *buffer, subtoken_text permission) {
  st_problem *problem = problem_keep(buffer, 403, "perm", "requires scope ", "", permission);
  problem->challenge = ST_CHALLENGE_INSUFFICIENT_SCOPE;
  return problem;
}

const st_problem *st_problem_escalation(st_problem_buffer *buffer, const char *text) {
  st_problem *problem = problem_keep(buffer, 403, "escalation", text, "", (subtoken_text){NULL, 0});
  problem->challenge = ST_CHALLENGE_INSUFFICIENT_SCOPE;
  return problem;
}

const st_problem *st_problem_json(st_problem_buffer *buffer, int status, const char *event,
                                  const char *body, st_challenge challenge) {
  st_problem *problem = problem_keep(buffer, status, event, body, "", (subtoken_text){NULL, 0});
  problem->json = true;
  problem->challenge = challenge;
  return problem;
}

const st_problem *st_problem_method(st_problem_buffer *buffer, const char *allow) {
  st_problem *problem =
      problem_keep(buffer, 405, "bad_method", "method not allowed", "", (subtoken_text){NULL, 0});
  problem->allow = allow;
  return problem;
}
