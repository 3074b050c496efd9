/* request_counters - how many requests were answered, how, why not, and how soon: counted by each
 * thread in memory of its own, and summed when somebody asks. A request costs its thread some
 * additions, and no other thread anything. Labels are names of this program, never of a caller.
 */
#ifndef ST_SERVER_REQUEST_COUNTERS_H
#define ST_SERVER_REQUEST_COUNTERS_H

#include "operations/exposition.h"
#include "service/service.h"

/* A request was answered; microseconds: since it could be. */
void st_request_counters_add(const st_request *request, const st_reply *reply,
                             int64_t microseconds);

/* The calling thread counts no more; what it has counted stays. */
void st_request_counters_thread_end(void);

/* All families, of all threads since the start. */
void st_request_counters_write(st_exposition *e);

#endif
