/* GET /metrics: what the server counts, for a credential with the permission `metrics`. The text is
 * written by server/metrics.c; without a credential it is at the listener of metrics_listen alone
 * (server/metrics_listener.c). Which of two formats: accept.c.
 */
#include "service/accept.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/reply.h"

const st_problem *st_metrics_answer(st_context *c) {
  static const st_problem off = {
      .status = 404, .event = "not_found", .text = "the setting metrics is false"};
  static const st_problem no_memory = {.status = 503,
                                       .event = "oom",
                                       .text = "there is no memory for the metrics; try again",
                                       .retry_after = 5};
  st_identity identity;
  if (c->service->metrics == NULL) return &off;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem == NULL) problem = st_access_requires(c, &identity, "metrics");
  if (problem != NULL) return problem;
  bool open = st_accept_open_metrics(c->request->headers, c->request->header_count);
  if (!c->service->metrics(open, &c->reply->payload)) return &no_memory;
  c->reply->status = 200;
  c->reply->content_type = open ? ST_METRICS_TYPE_OPEN : ST_METRICS_TYPE_TEXT;
  return NULL;
}
