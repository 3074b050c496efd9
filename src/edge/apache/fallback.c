/* Credentials that are no subtoken: the server says whose they are. The question is a subrequest to
 * the location of SubtokenFallback, which mod_proxy passes on, with the time limits that are set
 * there. It has the headers that the library names and the client's address, and nothing else that
 * a caller sent. What the answer is worth is decided in decide.c.
 */
#include "edge/apache/subtoken_apache.h"

static ap_filter_rec_t *fallback_discard;

/* Whatever the subrequest says is no part of the response. */
static apr_status_t fallback_drop(ap_filter_t *filter, apr_bucket_brigade *brigade) {
  (void)filter;
  (void)apr_brigade_cleanup(brigade);
  return APR_SUCCESS;
}

void mod_subtoken_fallback_register(void) {
  fallback_discard =
      ap_register_output_filter("SUBTOKEN_DISCARD", fallback_drop, NULL, AP_FTYPE_RESOURCE);
}

/* How often a header came is seen by walking the table. */
typedef struct fallback_seen {
  const char *value;
  int count;
} fallback_seen;

static int fallback_see(void *data, const char *key, const char *value) {
  fallback_seen *seen = data;
  (void)key;
  seen->value = value;
  seen->count++;
  return 1;
}

static subtoken_text fallback_header(request_rec *asked, const char *name, bool *repeated) {
  fallback_seen seen = {NULL, 0};
  (void)apr_table_do(fallback_see, &seen, asked->headers_out, name, NULL);
  if (seen.count > 1) *repeated = true;
  return mod_subtoken_text(seen.value);
}

static void fallback_read(request_rec *asked, int status, subtoken_edge_answer *answer) {
  answer->status = status;
  answer->nonce = fallback_header(asked, "X-Subtoken-Nonce", &answer->repeated);
  answer->sub = fallback_header(asked, "X-Subtoken-Sub", &answer->repeated);
  answer->key = fallback_header(asked, "X-Subtoken-Key", &answer->repeated);
  answer->owner = fallback_header(asked, "X-Subtoken-Owner", &answer->repeated);
  answer->permissions = fallback_header(asked, "X-Subtoken-Permissions", &answer->repeated);
  answer->expires = fallback_header(asked, "X-Subtoken-Expires", &answer->repeated);
  answer->retry_after = fallback_header(asked, "Retry-After", &answer->repeated);
}

/* mod_proxy puts the client's address behind those that came. Of a list that is too long the end is
 * kept, because the server reads it from there.
 */
static void fallback_set_addresses(const request_rec *r, request_rec *asked) {
  static const size_t max = 1024;
  const char *chain = apr_table_get(r->headers_in, "X-Forwarded-For");
  if (chain == NULL) return;
  size_t len = strlen(chain);
  if (len > max) {
    chain = strchr(chain + len - max, ',');
    if (chain == NULL) return;
    chain++;
  }
  apr_table_setn(asked->headers_in, "X-Forwarded-For", apr_pstrdup(asked->pool, chain));
}

/* For the server's log, which leaves it out unless it is well-formed and came once. */
static void fallback_set_trace(const request_rec *r, request_rec *asked) {
  const char *trace = apr_table_get(r->headers_in, "traceparent");
  if (trace == NULL || strlen(trace) > 512) return;
  apr_table_setn(asked->headers_in, "traceparent", apr_pstrdup(asked->pool, trace));
}

/* The subrequest's pool lies in that of r, and lives as long. */
void mod_subtoken_fallback_ask(request_rec *r, mod_subtoken_ctx *ctx, const char *location,
                               const subtoken_edge_header *question, size_t count,
                               subtoken_edge_answer *answer) {
  ctx->asking = true;
  request_rec *asked = ap_sub_req_method_uri("HEAD", location, r, NULL);
  if (asked != NULL && asked->status == HTTP_OK) {
    asked->headers_in = apr_table_make(asked->pool, 8);
    for (size_t i = 0; i < count; i++) {
      apr_table_setn(asked->headers_in,
                     apr_pstrmemdup(asked->pool, question[i].name.data, question[i].name.len),
                     apr_pstrmemdup(asked->pool, question[i].value.data, question[i].value.len));
    }
    fallback_set_addresses(r, asked);
    fallback_set_trace(r, asked);
    (void)ap_add_output_filter_handle(fallback_discard, NULL, asked, asked->connection);
    int code = ap_run_sub_req(asked);
    fallback_read(asked, code == OK || code == DONE ? asked->status : code, answer);
  }
  ctx->asking = false;
}
