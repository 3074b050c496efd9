/* trace_context - which trace a request belongs to: the header traceparent (W3C Trace Context). */
#ifndef ST_SERVICE_TRACE_CONTEXT_H
#define ST_SERVICE_TRACE_CONTEXT_H

#include "service/service.h"

#define ST_TRACE_ID_LEN 32
#define ST_SPAN_ID_LEN 16

/* Views of lower-case hex digits in the header's value. */
typedef struct st_trace_context {
  subtoken_text trace_id, span_id;
} st_trace_context;

/* False for a request without a valid one, and for one with two. */
bool st_trace_context_find(const st_request *request, st_trace_context *context)
    __attribute__((warn_unused_result));

#endif
