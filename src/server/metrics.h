/* metrics - all that the server tells of itself, as one text: what requests were
 * (request_counters), and how the store, the revocation data, the ring and the process are at this
 * moment.
 */
#ifndef ST_SERVER_METRICS_H
#define ST_SERVER_METRICS_H

#include "domain/store.h"
#include "operations/exposition.h"
#include "service/service.h"

/* Before the first request. */
void st_metrics_start(st_store *store, const char *dir);

/* Was the configuration that was read last taken? It was at the start. */
void st_metrics_note_reload(bool taken);

/* Any thread may ask. e is empty but for open_metrics, and is not ended. */
void st_metrics_write(st_exposition *e);

/* The same as the body of a reply: st_service.metrics. */
bool st_metrics_payload(bool open_metrics, st_payload *payload) __attribute__((warn_unused_result));

/* st_service.secret_first_seen; store is the st_store. */
int64_t st_metrics_secret_first_seen(void *store, const subtoken_ring *ring, size_t place);

#endif
