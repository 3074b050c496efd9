/* params - what a request asks for: query, form body and JSON body to one request. */
#ifndef ST_SERVICE_PARAMS_H
#define ST_SERVICE_PARAMS_H

#include "base/bytes.h"
#include "subtoken/issue.h"

#define ST_BODY_IN_MAX 8192 /* bytes of a request body */
#define ST_PARAMS_ERROR_MAX 160

/* One `name=value` of a query or form, form-decoded where it was put. */
typedef struct st_pair {
  subtoken_text name;
  subtoken_text value;
  bool bad_escape; /* % without two hex digits; value is then as it was */
} st_pair;

/* Cut the next pair off a query or form body and decode it into out, which needs
 * as many bytes as are left. False when nothing is left. (WHATWG URL standard,
 * application/x-www-form-urlencoded parsing.)
 */
bool st_params_next_pair(st_cutter *cutter, st_writer *out, st_pair *pair);

/* The parameters of createsubtoken. Views point into text. About 45 KiB. */
typedef struct st_params {
  subtoken_issue_request request;
  subtoken_text permissions[SUBTOKEN_PERMISSIONS_MAX];
  subtoken_text urls[SUBTOKEN_URLS_MAX];
  unsigned seen;
  st_writer writer; /* over text */
  char text[2 * SUBTOKEN_TARGET_MAX + 3 * ST_BODY_IN_MAX];
  char error[ST_PARAMS_ERROR_MAX]; /* after a failure: the parameter and the reason */
} st_params;

typedef enum st_body_kind { ST_BODY_NONE, ST_BODY_FORM, ST_BODY_JSON } st_body_kind;

/* False when a parameter is malformed or given twice: answer 400 with why. */
bool st_params_read(st_params *params, subtoken_text query, st_body_kind kind, subtoken_text body)
    __attribute__((warn_unused_result));

/* One item of the urls list as clients write it: spaces and UTF-8 are escaped. */
bool st_params_add_url(st_params *params, subtoken_text item) __attribute__((warn_unused_result));

#endif
