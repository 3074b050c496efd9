/* made - what was made for others with what a change disables or ends, as an answer tells it. */
#ifndef ST_SERVICE_MADE_H
#define ST_SERVICE_MADE_H

#include "service/reply.h"

/* One more member of the object that was just written, when there is any. What does not fit is left
 * out: the audit log has it. */
void st_made_write(st_writer *writer, const st_derived *made);
/* The header Subtoken-Made, where there is no body: how much of it, when there is any. */
void st_made_header(st_reply *reply, const st_derived *made);

#endif
