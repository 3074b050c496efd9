/* audit_log - /v2/audit. */
#ifndef ST_SERVICE_AUDIT_LOG_H
#define ST_SERVICE_AUDIT_LOG_H

#include "service/context.h"

void st_audit_log_answer(st_context *c); /* /v2/audit: audit.c */

#endif
