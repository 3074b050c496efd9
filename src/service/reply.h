/* reply - the pieces of an answer. */
#ifndef ST_SERVICE_REPLY_H
#define ST_SERVICE_REPLY_H

#include "domain/key.h"
#include "service/service.h"

/* {"text":"…"}; text may be anything. */
void st_reply_error(st_reply *reply, int status, const char *event, const char *text);

/* One more header line. Bytes of value that are no visible ASCII, and '%', become %XX: it may
 * be anything. What does not fit is left out.
 */
void st_reply_header(st_reply *reply, const char *name, subtoken_text value);

/* 503 with Retry-After. */
void st_reply_unchanged(st_reply *reply,
                        st_store_status changed); /* for ST_STORE_FAILED and _BUSY */

void st_reply_unavailable(st_reply *reply, const char *event, const char *text);

/* 429. */
void st_reply_wait(st_reply *reply, const char *event, const char *text, int64_t seconds);

/* 401 for a login, password or refresh token that is not good. */
void st_reply_unauthorized(st_reply *reply, const char *event, const char *text);
void st_reply_no_method(st_reply *reply, const char *allow);
void st_reply_preflight(st_reply *reply, const char *allow);

/* The header Subtoken-Seq. */
void st_reply_sequence(st_reply *reply, int64_t sequence);

/* WWW-Authenticate. */
void st_reply_challenge(st_reply *reply, const char *text);

/* 403 for a permission that is lacking (RFC 6750 section 3.1). */
void st_reply_lacks(st_reply *reply, subtoken_text permission);
void st_reply_bad_request(st_reply *reply, const char *text);
void st_reply_escalation(st_reply *reply, const char *text);
void st_reply_passwords_busy(st_reply *reply);

#endif
