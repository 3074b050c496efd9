/* reply - what every endpoint writes into a reply: JSON, headers, and a problem, in one place. */
#ifndef ST_SERVICE_REPLY_H
#define ST_SERVICE_REPLY_H

#include "service/problem.h"
#include "service/service.h"

/* An empty reply; its two buffers need no zeros. */
void st_reply_clear(st_reply *reply);

/* Status, body {"text":"…"}, event and the headers that belong to it. */
void st_reply_problem(st_reply *reply, const st_problem *problem);
/* The same as RFC 6749 section 5.2 has it, with its code and the text once more. */
void st_reply_oauth_problem(st_reply *reply, const char *code, const st_problem *problem);

/* A body is written between these two. One that does not fit is left out. */
st_writer st_reply_begin(st_reply *reply);
void st_reply_end(st_reply *reply, int status, st_writer *writer);

/* One more header line. Bytes of value that are no visible ASCII, and '%', become %XX: it may
 * be anything. What does not fit is left out.
 */
void st_reply_header(st_reply *reply, const char *name, subtoken_text value);
/* The same for a value that has visible ASCII alone, which it goes out as. */
void st_reply_header_visible(st_reply *reply, const char *name, subtoken_text value);
/* The same for a value of printable ASCII, blanks too, which it goes out as. False: it is another,
 * or does not fit. */
bool st_reply_header_text(st_reply *reply, const char *name, subtoken_text value);
/* The header Subtoken-Seq. */
void st_reply_sequence(st_reply *reply, int64_t sequence);

/* 204 with the CORS headers of a preflight (cors.h). */
void st_reply_preflight(st_reply *reply, const char *allow);

#endif
