/* edge_credential - which credential a request brought. */
#ifndef ST_CORE_EDGE_CREDENTIAL_H
#define ST_CORE_EDGE_CREDENTIAL_H

#include "base/bytes.h"
#include "subtoken/edge.h"

typedef enum st_edge_credential_state {
  ST_EDGE_CREDENTIAL_NONE,
  ST_EDGE_CREDENTIAL_ONE,
  ST_EDGE_CREDENTIAL_AMBIGUOUS,
  ST_EDGE_CREDENTIAL_UNREADABLE, /* a bad escape in access_token= */
} st_edge_credential_state;

/* The text may point into the structure itself: do not copy it. It holds a credential: wipe it with
 * st_edge_credential_wipe. */
typedef struct st_edge_credential {
  st_edge_credential_state state;
  unsigned forms;     /* SUBTOKEN_EDGE_*: where it came */
  subtoken_text text; /* for Basic the whole value of Authorization */
  size_t query_len;
  char query[SUBTOKEN_TARGET_MAX];
} st_edge_credential;

/* Of structures that st_edge_credential_args_valid has found good. */
void st_edge_credential_find(const subtoken_edge *edge, const subtoken_edge_request *request,
                             st_edge_credential *credential);
bool st_edge_credential_args_valid(const subtoken_edge *edge, const subtoken_edge_request *request);
void st_edge_credential_wipe(st_edge_credential *credential);

/* Is it one of which only the server can say whose it is? */
bool st_edge_credential_is_key(const st_edge_credential *credential);

#endif
