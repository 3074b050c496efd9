/* accept - which of the two text formats of metrics a request prefers. */
#ifndef ST_SERVICE_ACCEPT_H
#define ST_SERVICE_ACCEPT_H

#include "service/service.h"

#define ST_METRICS_TYPE_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define ST_METRICS_TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"

/* By its Accept headers (RFC 9110 section 12.5.1): true is OpenMetrics 1.0, which is also the
 * answer to who names neither; false is Prometheus' text format 0.0.4. Whoever likes both alike
 * gets OpenMetrics.
 */
bool st_accept_open_metrics(const st_header *headers, size_t count);

#endif
