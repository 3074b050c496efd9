/* metrics_listener - GET /metrics at a place of its own, without a credential: for who collects
 * them, at an address that nobody else reaches. It has one thread, so that it answers when all
 * threads of the server are taken; `subtoken pull` uses it, too.
 */
#ifndef ST_SERVER_METRICS_LISTENER_H
#define ST_SERVER_METRICS_LISTENER_H

#include "domain/listen.h"
#include "operations/exposition.h"

/* Writes all metrics into e, which is empty but for its format. */
typedef void st_metrics_listener_fn(st_exposition *e);

/* Listens and logs where. error, of ST_ERROR_MAX bytes, says why it cannot. */
bool st_metrics_listener_start(const st_listen *listen, st_metrics_listener_fn *write, char *error)
    __attribute__((warn_unused_result));
/* Nothing happens when it was not started. */
void st_metrics_listener_stop(void);

#endif
