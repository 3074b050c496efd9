/* feed_edges - which edges asked this server for the revocation data, when, and what they have: in
 * memory, for GET /v2/feed.
 */
#ifndef ST_SERVER_FEED_EDGES_H
#define ST_SERVER_FEED_EDGES_H

#include "service/service.h"

#define ST_FEED_EDGES_MAX 256 /* those that asked last */

/* An edge is a key, an address and an audience. st_service.note_edge. */
void st_feed_edges_note(const st_feed_edge *edge);

/* st_service.feed_status; store is the st_store. */
bool st_feed_edges_status(void *store, int64_t now, const st_feed_view *view, st_payload *payload);

#endif
