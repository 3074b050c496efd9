/* problem - why a request is refused, as a value. A helper returns one, or NULL when nothing is
 * wrong:
 *
 *   const st_problem *problem = st_access_requires(c, &identity, "keys");
 *   if (problem != NULL) return problem;
 *
 * The endpoint returns it to the router, and st_reply_problem (reply.h) writes it into the reply.
 * One whose parts are all known beforehand is a static const struct where it is used. The others
 * are made by the functions below and live in a buffer of the request's context, which holds the
 * latest alone.
 */
#ifndef ST_SERVICE_PROBLEM_H
#define ST_SERVICE_PROBLEM_H

#include "base/bytes.h"
#include "domain/store_status.h"

#define ST_PROBLEM_TEXT_MAX 640 /* with the NUL */

/* WWW-Authenticate (RFC 6750 section 3). */
typedef enum st_challenge {
  ST_CHALLENGE_NONE = 0,
  ST_CHALLENGE_BEARER, /* no credential came: no error code */
  ST_CHALLENGE_INVALID_REQUEST,
  ST_CHALLENGE_INVALID_TOKEN,
  ST_CHALLENGE_INSUFFICIENT_SCOPE,
} st_challenge;

typedef struct st_problem {
  int status;
  const char *event; /* the log's word */
  const char *text;  /* {"text":"…"} in the body */
  bool json;         /* .text is the whole body */
  st_challenge challenge;
  bool basic_challenge; /* and another one that asks for Basic */
  bool close;           /* end the connection */
  int64_t retry_after;  /* seconds, or 0 */
  const char *allow;    /* of a 405: the methods that there are, or NULL */
} st_problem;

/* Those that several endpoints have. */
extern const st_problem st_problem_passwords_busy;
/* A change was refused: the credential it was to be made with is not what it was. */
extern const st_problem st_problem_credential_ended;
/* A change that was not made, or of which that is not known. ST_STORE_BUSY: others write;
 * ST_STORE_IN_DOUBT; anything else: the store failed.
 */
const st_problem *st_problem_change(st_store_status changed) __attribute__((warn_unused_result));

/* One whose parts are known only while a request is answered. */
typedef struct st_problem_buffer {
  st_problem problem;
  char text[ST_PROBLEM_TEXT_MAX];
} st_problem_buffer;

/* Each writes it into the buffer and returns it. The text is copied. */
const st_problem *st_problem_make(st_problem_buffer *buffer, int status, const char *event,
                                  const char *text) __attribute__((warn_unused_result));
/* A copy that may be changed. */
st_problem *st_problem_copy(st_problem_buffer *buffer, const st_problem *problem)
    __attribute__((warn_unused_result));
/* 400: "name: text". */
const st_problem *st_problem_parameter(st_problem_buffer *buffer, const char *name,
                                       const char *text) __attribute__((warn_unused_result));
/* 403: a permission is missing (RFC 6750 section 3.1). */
const st_problem *st_problem_permission(st_problem_buffer *buffer, subtoken_text permission)
    __attribute__((warn_unused_result));
/* 403: more was asked for than the credential may do. */
const st_problem *st_problem_escalation(st_problem_buffer *buffer, const char *text)
    __attribute__((warn_unused_result));
/* With a whole body. */
const st_problem *st_problem_json(st_problem_buffer *buffer, int status, const char *event,
                                  const char *body, st_challenge challenge)
    __attribute__((warn_unused_result));
/* 405. allow: the methods that there are. */
const st_problem *st_problem_method(st_problem_buffer *buffer, const char *allow)
    __attribute__((warn_unused_result));

#endif
