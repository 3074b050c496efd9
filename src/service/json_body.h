/* json_body - a JSON body of named fields, for the calls that change something. */
#ifndef ST_SERVICE_JSON_BODY_H
#define ST_SERVICE_JSON_BODY_H

#include "service/context.h"

/* What a call may name. Views point into the scratch that was read into. */
typedef struct st_field {
  const char *name;
  enum { ST_FIELD_TEXT, ST_FIELD_BOOL, ST_FIELD_PERMISSIONS, ST_FIELD_DURATION } type;
  bool given;
  bool flag;          /* of ST_FIELD_BOOL */
  int64_t number;     /* of ST_FIELD_DURATION: seconds, given as a number or as text with a unit */
  subtoken_text text; /* of ST_FIELD_TEXT; of ST_FIELD_PERMISSIONS: joined by commas */
} st_field;

#define ST_BODY_SCRATCH (ST_REQUEST_BODY_MAX + ST_PERMISSIONS_TEXT_MAX + 1)

/* Read the request's body, a strict JSON object. Members of other names are ignored; a null member
 * counts as missing. A list of permissions is checked, and duplicates are dropped. Problems: 415
 * for another media type, because a browser sends those across origins without a preflight; 400
 * names the field. scratch, of ST_BODY_SCRATCH bytes, may hold a password afterwards: wipe it.
 */
const st_problem *st_json_body_read(st_context *c, st_field *fields, size_t count, char *scratch)
    __attribute__((warn_unused_result));

/* A call that takes no body: there is none, or {} in JSON, which some clients always send; and the
 * credential is in a header. With HTTP Basic a web page has to send the latter, which a browser
 * does not do for a page of another origin.
 */
const st_problem *st_json_body_none(st_context *c) __attribute__((warn_unused_result));

#endif
