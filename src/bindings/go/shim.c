/* See shim.h. What is decided is decided by the library; this builds its arguments. */
#include "shim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t st_go_now(void) {
  return (int64_t)time(NULL);
}

static int64_t st_go_monotonic(void) {
  struct timespec at = {0, 0};
  (void)clock_gettime(CLOCK_BOOTTIME, &at);
  return (int64_t)at.tv_sec;
}

/* ---- memory ---- */

st_go_call *st_go_call_new(size_t cache_size) {
  st_go_call *call = calloc(1, sizeof *call);
  void *memory = cache_size > 0 ? calloc(1, cache_size) : NULL;
  if (call == NULL || (cache_size > 0 && memory == NULL) ||
      (memory != NULL && subtoken_cache_init(&call->cache, memory, cache_size) != SUBTOKEN_OK)) {
    free(memory);
    free(call);
    return NULL;
  }
  return call;
}

void st_go_call_free(st_go_call *call) {
  if (call == NULL) return;
  if (call->cache.memory != NULL) {
    void *memory = call->cache.memory;
    subtoken_cache_wipe(&call->cache);
    free(memory);
  }
  subtoken_wipe(call, sizeof *call);
  free(call);
}

/* ---- a request ---- */

typedef struct st_go_texts {
  subtoken_text token, method, target, nonce;
  subtoken_text authorization[ST_GO_VALUES], x_api_key[ST_GO_VALUES], needs[ST_GO_NEEDS];
  subtoken_text mcp[3][ST_GO_MCP];
  subtoken_text answer[ST_GO_ANSWER];
} st_go_texts;

static subtoken_text st_go_cut(const char **at, size_t len) {
  subtoken_text text = {*at, len};
  *at += len;
  return text;
}

static void st_go_split(const st_go_settings *settings, const char *text,
                        const st_go_request *request, st_go_texts *texts) {
  const char *at = text;
  texts->token = st_go_cut(&at, request->token);
  texts->method = st_go_cut(&at, request->method);
  texts->target = st_go_cut(&at, request->target);
  if (!request->has_method) texts->method.data = NULL;
  if (!request->has_target) texts->target.data = NULL;
  for (size_t i = 0; i < request->authorization_count; i++) {
    texts->authorization[i] = st_go_cut(&at, request->authorization[i]);
  }
  for (size_t i = 0; i < request->x_api_key_count; i++) {
    texts->x_api_key[i] = st_go_cut(&at, request->x_api_key[i]);
  }
  for (size_t name = 0; name < 3; name++) {
    for (size_t i = 0; i < request->mcp_count[name]; i++) {
      texts->mcp[name][i] = st_go_cut(&at, request->mcp[name][i]);
    }
  }
  memcpy(texts->needs, settings->needs, settings->needs_count * sizeof texts->needs[0]);
  for (size_t i = 0; i < request->needs_count; i++) {
    texts->needs[settings->needs_count + i] = st_go_cut(&at, request->needs[i]);
  }
  texts->nonce = st_go_cut(&at, request->nonce);
  for (size_t i = 0; i < ST_GO_ANSWER; i++) {
    texts->answer[i] = (subtoken_text){NULL, 0};
    if (request->answer[i] >= 0) texts->answer[i] = st_go_cut(&at, (size_t)request->answer[i]);
  }
}

/* Everything that the library points to while it decides; on the stack of one call. */
typedef struct st_go_question_of {
  st_go_texts texts;
  subtoken_feed_clock clock;
  subtoken_verifier verifier;
  subtoken_request request;
  subtoken_edge edge;
  subtoken_edge_request asked;
} st_go_question_of;

static void st_go_prepare(st_go_question_of *q, const st_go_settings *settings, st_go_call *call,
                          const char *text, const st_go_request *request) {
  int64_t now = request->now < 0 ? st_go_now() : request->now;
  st_go_split(settings, text, request, &q->texts);
  q->verifier = (subtoken_verifier)SUBTOKEN_VERIFIER_DEFAULT;
  q->verifier.ring = settings->ring;
  q->verifier.leeway = settings->leeway;
  q->verifier.max_life = settings->max_life;
  q->verifier.iss = settings->iss;
  q->verifier.aud = settings->aud;
  q->verifier.without_revocations = settings->without_revocations;
  if (call->cache.memory != NULL) q->verifier.cache = &call->cache;
  if (settings->feed != NULL) {
    q->clock = (subtoken_feed_clock){&settings->feed->feed, now, st_go_monotonic()};
    q->verifier.revoked = subtoken_feed_revoked;
    q->verifier.revoked_context = &q->clock;
    now = subtoken_feed_now(&settings->feed->feed, now);
  }
  q->request = (subtoken_request)SUBTOKEN_REQUEST_DEFAULT;
  q->request.now = now;
  q->request.method = q->texts.method;
  q->request.target = q->texts.target;
  q->request.needs = q->texts.needs;
  q->request.needs_count = settings->needs_count + request->needs_count;
  q->edge = (subtoken_edge)SUBTOKEN_EDGE_DEFAULT;
  q->edge.verifier = &q->verifier;
  q->edge.policy = settings->policy;
  q->edge.forms = settings->forms;
  q->edge.may_ask = settings->may_ask;
  q->edge.reads_bodies = settings->reads_bodies;
  q->edge.issuer = settings->server;
  q->edge.needs = q->texts.needs;
  q->edge.needs_count = q->request.needs_count;
  q->asked = (subtoken_edge_request)SUBTOKEN_EDGE_REQUEST_DEFAULT;
  q->asked.now = now;
  q->asked.method = q->texts.method;
  q->asked.target = q->texts.target;
  q->asked.authorization = q->texts.authorization;
  q->asked.authorization_count = request->authorization_count;
  q->asked.x_api_key = q->texts.x_api_key;
  q->asked.x_api_key_count = request->x_api_key_count;
  q->asked.origin = request->origin;
  q->asked.request_method = request->request_method;
  q->asked.body_encoded = request->body_encoded;
  q->asked.content_length = request->content_length;
  q->asked.has_body = request->has_body;
  q->asked.mcp_method = q->texts.mcp[0];
  q->asked.mcp_method_count = request->mcp_count[0];
  q->asked.mcp_name = q->texts.mcp[1];
  q->asked.mcp_name_count = request->mcp_count[1];
  q->asked.mcp_version = q->texts.mcp[2];
  q->asked.mcp_version_count = request->mcp_count[2];
}

/* ---- tokens ---- */

int st_go_verify(const st_go_settings *settings, st_go_call *call, const char *text,
                 const st_go_request *request) {
  st_go_question_of q;
  st_go_prepare(&q, settings, call, text, request);
  if (settings->policy == NULL) {
    return (int)subtoken_verify(&q.verifier, q.texts.token, &q.request, &call->claims);
  }
  return (int)subtoken_policy_verify(&q.verifier, settings->policy, q.texts.token, &q.request, 0,
                                     &call->claims, NULL);
}

size_t st_go_explain(const st_go_settings *settings, st_go_call *call, const char *text,
                     const st_go_request *request, int result) {
  st_go_question_of q;
  st_go_prepare(&q, settings, call, text, request);
  if (settings->policy == NULL) {
    return subtoken_explain(&q.verifier, q.texts.token, &q.request, (subtoken_result)result,
                            call->memory, SUBTOKEN_EXPLAIN_MAX);
  }
  return subtoken_policy_explain(&q.verifier, settings->policy, q.texts.token, &q.request, 0,
                                 (subtoken_result)result, call->memory, SUBTOKEN_EXPLAIN_MAX);
}

int st_go_inspect(st_go_call *call, const char *token, size_t len) {
  return (int)subtoken_inspect((subtoken_text){token, len}, call->memory, SUBTOKEN_HEADER_MAX,
                               &call->claims);
}

/* ---- requests ---- */

/* The headers for the API, also where the body has yet to be read, or those of the refusal. Claims
 * that cannot be told are not passed. */
static int st_go_finish(st_go_call *call, const subtoken_edge_answer *answer,
                        subtoken_edge_step step) {
  if (step == SUBTOKEN_EDGE_ALLOW || step == SUBTOKEN_EDGE_BODY) {
    call->header_count = SUBTOKEN_EDGE_IDENTITY_HEADERS;
    if (subtoken_edge_identity_headers(&call->claims, answer, call->memory, sizeof call->memory,
                                       call->headers) == SUBTOKEN_OK) {
      return (int)step;
    }
    step = subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &call->reply);
  }
  call->header_count = subtoken_edge_reply_headers(&call->reply, call->headers);
  return (int)step;
}

static void st_go_begin(st_go_call *call) {
  call->reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  call->header_count = 0;
}

int st_go_refuse(st_go_call *call, int result) {
  st_go_begin(call);
  return st_go_finish(call, NULL, subtoken_edge_refuse((subtoken_result)result, &call->reply));
}

int st_go_decide(const st_go_settings *settings, st_go_call *call, const char *text,
                 const st_go_request *request) {
  st_go_question_of q;
  st_go_begin(call);
  st_go_prepare(&q, settings, call, text, request);
  subtoken_edge_step step = subtoken_edge_decide(&q.edge, &q.asked, &call->claims, &call->reply);
  return st_go_finish(call, NULL, step);
}

size_t st_go_question(const st_go_settings *settings, st_go_call *call, const char *text,
                      const st_go_request *request) {
  st_go_question_of q;
  st_go_prepare(&q, settings, call, text, request);
  call->header_count = subtoken_edge_question(&q.edge, &q.asked, q.texts.nonce, call->memory,
                                              sizeof call->memory, call->headers);
  return call->header_count;
}

int st_go_decide_answer(const st_go_settings *settings, st_go_call *call, const char *text,
                        const st_go_request *request) {
  st_go_question_of q;
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  st_go_begin(call);
  st_go_prepare(&q, settings, call, text, request);
  answer.status = request->answer_status;
  answer.repeated = request->answer_repeated;
  answer.nonce = q.texts.answer[0];
  answer.sub = q.texts.answer[1];
  answer.key = q.texts.answer[2];
  answer.owner = q.texts.answer[3];
  answer.permissions = q.texts.answer[4];
  answer.expires = q.texts.answer[5];
  answer.retry_after = q.texts.answer[6];
  subtoken_edge_step step = subtoken_edge_decide_answer(&q.edge, &q.asked, q.texts.nonce, &answer,
                                                        &call->claims, &call->reply);
  return st_go_finish(call, &answer, step);
}

/* After st_go_decide or st_go_decide_answer with the same call. */
int st_go_decide_body(const st_go_settings *settings, st_go_call *call, const char *text,
                      const st_go_request *request, const char *body, size_t len) {
  st_go_question_of q;
  void *scratch = malloc(len > 0 ? len : 1);
  if (scratch == NULL) return st_go_refuse(call, SUBTOKEN_REVOCATION_UNKNOWN);
  st_go_prepare(&q, settings, call, text, request);
  subtoken_edge_step step = subtoken_edge_decide_body(
      &q.edge, &q.asked, &call->claims, (subtoken_text){body, len}, scratch, len, &call->reply);
  free(scratch);
  if (step != SUBTOKEN_EDGE_ALLOW) {
    call->header_count = subtoken_edge_reply_headers(&call->reply, call->headers);
  }
  return (int)step;
}

size_t st_go_metadata(const st_go_settings *settings, st_go_call *call, const char *target,
                      size_t len) {
  return subtoken_policy_metadata(settings->policy, (subtoken_text){target, len}, settings->server,
                                  call->memory, sizeof call->memory);
}

bool st_go_is_identity_header(const char *name, size_t len) {
  return subtoken_edge_is_identity_header((subtoken_text){name, len});
}

size_t st_go_strip_query(const char *target, size_t len, char *out, bool *changed) {
  subtoken_text stripped;
  *changed = false;
  if (subtoken_edge_strip_query((subtoken_text){target, len}, out, len, &stripped) != SUBTOKEN_OK) {
    return 0;
  }
  *changed = stripped.len != len;
  if (*changed && stripped.data != out) memmove(out, stripped.data, stripped.len);
  return stripped.len;
}

/* ---- files ---- */

int st_go_ring_read(subtoken_ring *ring, const char *text, size_t len, size_t *line,
                    const char **error) {
  subtoken_text whole = {text, len};
  subtoken_result result = subtoken_ring_read(ring, whole, line);
  *error = result == SUBTOKEN_OK ? NULL : subtoken_ring_error(whole, *line, result);
  return (int)result;
}

int st_go_policy_read(const char *text, size_t len, void **memory, subtoken_policy_error *error) {
  size_t size = subtoken_policy_size(len);
  const subtoken_policy *policy;
  *memory = NULL;
  if (size == 0) return SUBTOKEN_TOO_LARGE;
  void *place = malloc(size);
  if (place == NULL) return SUBTOKEN_BUFFER_TOO_SMALL;
  subtoken_result result =
      subtoken_policy_read(place, size, (subtoken_text){text, len}, &policy, error);
  if (result == SUBTOKEN_OK) {
    *memory = place;
  } else {
    free(place);
  }
  return (int)result;
}

int st_go_feed_start(subtoken_feed_file *file, const char *path, int64_t leeway, int64_t max_age,
                     bool allow_old) {
  subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  settings.leeway = leeway;
  settings.max_age = max_age;
  settings.allow_old = allow_old;
  return (int)subtoken_feed_file_start(file, path, &settings);
}

int st_go_feed_load(subtoken_feed_file *file, const subtoken_ring *ring) {
  return (int)subtoken_feed_file_load(file, ring, st_go_now(), st_go_monotonic());
}

int st_go_feed_poll(subtoken_feed_file *file, const subtoken_ring *ring) {
  return (int)subtoken_feed_file_poll(file, ring, st_go_now(), st_go_monotonic());
}

int st_go_feed_check(const subtoken_feed_file *file, int64_t *age) {
  int64_t now = st_go_now(), monotonic = st_go_monotonic();
  *age = subtoken_feed_age(&file->feed, now, monotonic);
  return (int)subtoken_feed_check(&file->feed, now, monotonic);
}
