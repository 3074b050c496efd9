/* GET /v2/feed: how far the revocation data is, and which edges asked this server for it, when, and
 * what they have. All of them are for who has the permission `audit`; an edge, which has
 * `revocations`, sees what its own key asked, and a key that is bound to an audience what was asked
 * for that. What the server remembers: server/feed_edges.c. The data itself: revocations.c.
 */
#include "core/claims.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/reply.h"

const st_problem *st_feed_status_answer(st_context *c) {
  static const st_problem failed = {.status = 503,
                                    .event = "store_error",
                                    .text = "the state of the feed cannot be read; try again later",
                                    .retry_after = 5};
  const st_service *service = c->service;
  st_identity identity;
  const st_problem *problem = st_access_manager(c, &identity);
  if (problem != NULL) return problem;
  bool audits = st_claims_has_permission(&identity.grant, ST_TEXT("audit"));
  problem = st_access_requires(c, &identity, audits ? "audit" : "revocations");
  if (problem != NULL) return problem;
  st_feed_view view = {.key_id = audits ? NULL : st_key_root(&identity.key),
                       .audience = st_text(identity.key.audience)};
  if (service->feed_status == NULL ||
      !service->feed_status(service->keys.store, c->request->now, &view, &c->reply->payload)) {
    return &failed;
  }
  c->reply->status = 200;
  return NULL;
}
