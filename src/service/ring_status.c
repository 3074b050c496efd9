/* GET /v2/ring: which secrets the server's ring has, which of them signs, and since when each is
 * known, for a credential with the permission `audit`. Of a secret nothing is told but its kid.
 */
#include "base/json.h"
#include "service/access.h"
#include "service/claims_json.h"
#include "service/endpoints.h"
#include "service/reply.h"

/* The unnamed one has an empty kid, as in the file. */
static void ring_write_secret(st_context *c, st_writer *writer, size_t i) {
  const st_service *service = c->service;
  const subtoken_secret *secret = &service->ring->secrets[i];
  int64_t seen = service->secret_first_seen != NULL
                     ? service->secret_first_seen(service->keys.store, service->ring, i)
                     : 0;
  int64_t now = c->request->now;
  st_write_literal(writer, "{\"kid\":");
  st_json_write_string(writer, (subtoken_text){secret->kid, secret->kid_len});
  st_write_literal(writer, i == 0 ? ",\"signs\":true" : ",\"signs\":false");
  st_claims_json_time(writer, "first_seen", seen > 0 ? seen : ST_NEVER);
  st_write_literal(writer, ",\"age\":");
  if (seen > 0) {
    st_write_int(writer, now > seen ? now - seen : 0);
  } else {
    st_write_literal(writer, "null");
  }
  st_write_char(writer, '}');
}

const st_problem *st_ring_status_answer(st_context *c) {
  st_identity identity;
  const st_problem *problem = st_access_manager(c, &identity);
  if (problem == NULL) problem = st_access_requires(c, &identity, "audit");
  if (problem != NULL) return problem;
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"secrets\":[");
  for (size_t i = 0; i < c->service->ring->count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    ring_write_secret(c, &writer, i);
  }
  st_write_literal(&writer, "]}");
  st_reply_end(c->reply, 200, &writer);
  return NULL;
}
