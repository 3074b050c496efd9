/* One C call for each question that the Go package asks. cgo forbids to pass Go memory that points
 * to Go memory, so the texts of a request come joined in one piece, with their lengths beside them.
 * Everything else here is C memory. Nothing of Go's is read once a call has returned.
 */
#ifndef SUBTOKEN_GO_SHIM_H
#define SUBTOKEN_GO_SHIM_H

#include <subtoken/cache.h>
#include <subtoken/edge.h>
#include <subtoken/feed.h>

#define ST_GO_VALUES 8  /* of one header; further ones make the credential ambiguous */
#define ST_GO_MCP 2     /* of a header of MCP; two are as good as more */
#define ST_GO_NEEDS 128 /* permissions that one request may need */
#define ST_GO_ANSWER 7  /* texts of an answer, in the order of subtoken_edge_answer */
#define ST_GO_MEMORY SUBTOKEN_EDGE_QUESTION_MEMORY

/* How to decide. Changed only while no call uses it. */
typedef struct st_go_settings {
  const subtoken_ring *ring;
  const subtoken_policy *policy;
  subtoken_feed_file *feed;
  int64_t leeway;
  int64_t max_life;
  subtoken_text iss;
  subtoken_text aud;
  subtoken_text server; /* the issuer of the metadata */
  bool without_revocations;
  unsigned forms;
  bool may_ask;
  bool reads_bodies;
  subtoken_text needs[ST_GO_NEEDS];
  size_t needs_count;
} st_go_settings;

/* Memory of one call at a time. The cache lives on from call to call. */
typedef struct st_go_call {
  subtoken_cache cache;
  subtoken_claims claims;
  subtoken_edge_reply reply;
  size_t header_count;
  subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS];
  char memory[ST_GO_MEMORY];
} st_go_call;

/* The lengths of the texts of a request, in the order in which they are joined. */
typedef struct st_go_request {
  int64_t now; /* less than 0: the clock's */
  uint64_t content_length;
  uint32_t token;
  uint32_t method;
  uint32_t target;
  uint32_t authorization_count;
  uint32_t authorization[ST_GO_VALUES];
  uint32_t x_api_key_count;
  uint32_t x_api_key[ST_GO_VALUES];
  uint32_t mcp_count[3];
  uint32_t mcp[3][ST_GO_MCP]; /* Mcp-Method, Mcp-Name, MCP-Protocol-Version */
  uint32_t needs_count;
  uint32_t needs[ST_GO_NEEDS];
  uint32_t nonce;
  int32_t answer[ST_GO_ANSWER]; /* -1: absent */
  int32_t answer_status;
  bool answer_repeated;
  bool has_method;
  bool has_target;
  bool origin;
  bool request_method;
  bool body_encoded;
  bool has_body;
} st_go_request;

st_go_call *st_go_call_new(size_t cache_size);
void st_go_call_free(st_go_call *call);

int st_go_verify(const st_go_settings *settings, st_go_call *call, const char *text,
                 const st_go_request *request);
size_t st_go_explain(const st_go_settings *settings, st_go_call *call, const char *text,
                     const st_go_request *request, int result);
int st_go_inspect(st_go_call *call, const char *token, size_t len);

int st_go_decide(const st_go_settings *settings, st_go_call *call, const char *text,
                 const st_go_request *request);
size_t st_go_question(const st_go_settings *settings, st_go_call *call, const char *text,
                      const st_go_request *request);
int st_go_decide_answer(const st_go_settings *settings, st_go_call *call, const char *text,
                        const st_go_request *request);
int st_go_decide_body(const st_go_settings *settings, st_go_call *call, const char *text,
                      const st_go_request *request, const char *body, size_t len);
int st_go_refuse(st_go_call *call, int result);

size_t st_go_metadata(const st_go_settings *settings, st_go_call *call, const char *target,
                      size_t len); /* into call->memory */

bool st_go_is_identity_header(const char *name, size_t len);
size_t st_go_strip_query(const char *target, size_t len, char *out, bool *changed);

int st_go_ring_read(subtoken_ring *ring, const char *text, size_t len, size_t *line,
                    const char **error);
int st_go_policy_read(const char *text, size_t len, void **memory, subtoken_policy_error *error);
int st_go_feed_start(subtoken_feed_file *file, const char *path, int64_t leeway, int64_t max_age,
                     bool allow_old);
int st_go_feed_load(subtoken_feed_file *file, const subtoken_ring *ring);
int st_go_feed_poll(subtoken_feed_file *file, const subtoken_ring *ring);
int st_go_feed_check(const subtoken_feed_file *file, int64_t *age);

#endif
