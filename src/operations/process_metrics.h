/* process_metrics - what the server and `subtoken pull` tell of themselves alike: version, process,
 * and the events of their log.
 */
#ifndef ST_OPERATIONS_PROCESS_METRICS_H
#define ST_OPERATIONS_PROCESS_METRICS_H

#include "operations/exposition.h"

void st_process_metrics_write(st_exposition *e);

#endif
