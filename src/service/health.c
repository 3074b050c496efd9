/* /healthz: the process lives. /readyz: it can issue and verify. */
#include "service/endpoints.h"
#include "service/reply.h"

static void health_write(st_reply *reply, const char *text) {
  st_writer writer = st_reply_begin(reply);
  st_write_literal(&writer, "{\"status\":\"");
  st_write_literal(&writer, text);
  st_write_literal(&writer, "\"}");
  st_reply_end(reply, 200, &writer);
}

const st_problem *st_health_live(st_context *c) {
  health_write(c->reply, "ok");
  return NULL;
}

const st_problem *st_health_ready(st_context *c) {
  static const st_problem not_ready = {
      .status = 503,
      .event = "store_error",
      .text = "not ready: the store cannot be read, or not written; the log says which"};
  const st_service *service = c->service;
  if (service->ring->count == 0 || !service->ready(service->keys.store)) return &not_ready;
  health_write(c->reply, "ready");
  return NULL;
}
