/* edge_query - access_token= in the query of a target. */
#ifndef ST_CORE_EDGE_QUERY_H
#define ST_CORE_EDGE_QUERY_H

#include "base/bytes.h"

/* What is left of a query. */
typedef struct st_edge_query {
  subtoken_text rest;
} st_edge_query;

st_edge_query st_edge_query_of(subtoken_text target);
/* The next value of access_token= that is not empty, as it stands there. False: there is none. */
bool st_edge_query_next(st_edge_query *query, subtoken_text *raw);
/* application/x-www-form-urlencoded; out has raw.len bytes. False: a bad escape. */
bool st_edge_query_decode(subtoken_text raw, char *out, size_t *out_len)
    __attribute__((warn_unused_result));

#endif
