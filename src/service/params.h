/* params - the parameters of createsubtoken, from the query and from a form or JSON body. */
#ifndef ST_SERVICE_PARAMS_H
#define ST_SERVICE_PARAMS_H

#include "base/bytes.h"
#include "service/service.h"
#include "subtoken/issue.h"

#define ST_PARAMS_ERROR_MAX 160

/* What is wrong with a value. Both are constant. */
typedef struct st_params_problem {
  const char *parameter, *text;
} st_params_problem;
#define ST_PARAMS_PROBLEMS_MAX 8

/* Views point into text. About 45 KiB. */
typedef struct st_params {
  subtoken_issue_request request;
  subtoken_text permissions[SUBTOKEN_PERMISSIONS_MAX];
  subtoken_text urls[SUBTOKEN_URLS_MAX];
  unsigned seen;
  st_writer writer; /* over text */
  char text[2 * SUBTOKEN_TARGET_MAX + 3 * ST_REQUEST_BODY_MAX];
  char error[ST_PARAMS_ERROR_MAX]; /* after a failure: the parameter and the reason */
  /* Values that were refused, by st_params_read_all: as if they had not been sent. */
  bool collects;
  size_t problem_count;
  st_params_problem problems[ST_PARAMS_PROBLEMS_MAX];
} st_params;

/* False when a parameter is malformed or given twice: answer 400 with error. */
bool st_params_read(st_params *params, subtoken_text query, st_body_kind kind, subtoken_text body)
    __attribute__((warn_unused_result));

/* The same, but a value that is refused alone is noted in problems, and the rest is read. */
bool st_params_read_all(st_params *params, subtoken_text query, st_body_kind kind,
                        subtoken_text body) __attribute__((warn_unused_result));

/* After either: the query may have the credential in it. */
static inline void st_params_wipe(st_params *params) {
  subtoken_wipe(params->text, params->writer.len);
}

/* One item of the urls list as clients write it: spaces and UTF-8 are escaped. */
bool st_params_add_url(st_params *params, subtoken_text item) __attribute__((warn_unused_result));

#endif
