/* subtoken.wasm: what core.js calls of the library, as one module without imports. It uses the
 * public headers alone, as any embedder does. Arguments lie where core.js has written them (`io`),
 * times come as doubles, and what is returned besides a number lies in `io` again. There is one
 * thread, and nothing here calls JavaScript, so that one set of buffers serves every call. core.js
 * is the only caller: what it passes as a pointer came from here.
 */
#include <stdlib.h>
#include <string.h>

#include "subtoken/edge.h"
#include "subtoken/feed.h"

#if defined(__wasm__)
#define EXPORT(name) __attribute__((export_name(#name), used))
#else /* tests/unit/test_wasm*.c, under sanitizers and counted */
#define EXPORT(name)
#endif

/* Bytes for a string that core.js has cut behind max + 1 UTF-16 units. */
#define UTF8_SIZE(max) (3 * ((max) + 1))

/* An audience, of which a call returns most, takes three bytes of a token's claims or more. */
enum { TABLE = 160, NUMBERS = 10, LENGTHS = SUBTOKEN_TOKEN_MAX / 4, AREA = 262144, OUT = 65536 };

/* Where in io.table the texts of a call are; the needs are at 0. */
enum {
  AUTHORIZATION = 72,
  X_API_KEY = 104,
  NONCE = 136,
  ANSWER = 137,
  MCP_METHOD = 144, /* two of each of these three, which are as good as more */
  MCP_NAME = 146,
  MCP_VERSION = 148,
  ISSUER = 150,
};

static struct {
  char token[UTF8_SIZE(SUBTOKEN_TOKEN_MAX)];
  char target[UTF8_SIZE(SUBTOKEN_TARGET_MAX)];
  char area[AREA];            /* further strings, one behind the other */
  subtoken_text table[TABLE]; /* where these are */
  double numbers[NUMBERS];    /* numbers that a call returns */
  char out[OUT];              /* texts that a call returns, one behind the other */
  uint32_t lengths[LENGTHS];  /* of these */
} io;

static subtoken_claims claims; /* of the last call that accepted a token */

/* Where core.js finds the members of io and claims. */
EXPORT(layout) const void *st_wasm_layout(void) {
  static const void *members[] = {io.token,    io.target,   io.area,     io.table,
                                  io.numbers,  io.out,      io.lengths,  io.area + AREA,
                                  claims.text, &claims.sub, &claims.iss, claims.permissions,
                                  claims.urls, &claims.tid, claims.via};
  return members;
}

EXPORT(wipe_buffers) void st_wasm_wipe_buffers(void) {
  subtoken_wipe(&io, sizeof io);
  subtoken_wipe(&claims, sizeof claims);
}

/* -1 is an absent text. */
static subtoken_text text_at(const char *data, int len) {
  return len < 0 ? (subtoken_text){NULL, 0} : (subtoken_text){data, (size_t)len};
}

/* A time that no number of JavaScript makes undefined; -1, which no function takes for a time. */
static int64_t seconds(double time) {
  return time >= 0 && time <= (double)SUBTOKEN_TIME_MAX ? (int64_t)time : -1;
}

/* ---- memory ---- */

/* The size stands in front of each block, so that all of it is wiped when it is released. */
enum { BEFORE = 16 };

EXPORT(allocate) void *st_wasm_allocate(size_t size) {
  char *block = size > SIZE_MAX - BEFORE ? NULL : malloc(size + BEFORE);
  if (block == NULL) return NULL;
  memset(block, 0, size + BEFORE);
  memcpy(block, &size, sizeof size);
  return block + BEFORE;
}

EXPORT(release) void st_wasm_release(void *memory) {
  size_t size;
  if (memory == NULL) return;
  char *block = (char *)memory - BEFORE;
  memcpy(&size, block, sizeof size);
  subtoken_wipe(memory, size);
  free(block);
}

/* ---- texts that go out ---- */

static size_t out_len, out_count;

static void out_begin(void) {
  out_len = 0;
  out_count = 0;
}

static void out_add(subtoken_text text) {
  size_t len = text.len > OUT - out_len ? OUT - out_len : text.len; /* none is that long */
  if (out_count == LENGTHS) return;
  if (len > 0) memcpy(io.out + out_len, text.data, len);
  out_len += len;
  io.lengths[out_count++] = (uint32_t)len;
}

static void out_add_string(const char *string) {
  out_add((subtoken_text){string, string != NULL ? strlen(string) : 0});
}

/* The number of texts; whether all of it is ASCII, in which a byte is a UTF-16 unit. */
static int out_end(void) {
  unsigned char bits = 0;
  for (size_t i = 0; i < out_len; i++) bits |= (unsigned char)io.out[i];
  io.numbers[0] = (double)out_len;
  io.numbers[1] = bits < 0x80;
  return (int)out_count;
}

static int out_string(const char *string) {
  out_begin();
  out_add_string(string);
  return out_end();
}

/* ---- constants ---- */

/* Result r as the texts name and challenge, and its status in numbers[2]; 0 texts behind the last.
 */
EXPORT(result) int st_wasm_result(unsigned r) {
  out_begin();
  if (r > SUBTOKEN_MCP_MISMATCH) return out_end();
  out_add_string(subtoken_result_name((subtoken_result)r));
  out_add_string(subtoken_result_challenge((subtoken_result)r));
  io.numbers[2] = subtoken_result_status((subtoken_result)r);
  return out_end();
}

/* The same of a subtoken_feed_result: name, text, event. */
EXPORT(feed_result) int st_wasm_feed_result(unsigned r) {
  out_begin();
  if (r > SUBTOKEN_FEED_TOO_LARGE) return out_end();
  out_add_string(subtoken_feed_result_name((subtoken_feed_result)r));
  out_add_string(subtoken_feed_result_text((subtoken_feed_result)r));
  out_add_string(subtoken_feed_result_event((subtoken_feed_result)r));
  return out_end();
}

EXPORT(version) int st_wasm_version(void) {
  return out_string(subtoken_version());
}

/* ---- the ring ---- */

EXPORT(ring_size) size_t st_wasm_ring_size(void) {
  return sizeof(subtoken_ring);
}

/* Replaces *ring, or leaves it and returns why; then the error is the text, and numbers[2] its
 * line. */
EXPORT(ring_read)
subtoken_result st_wasm_ring_read(subtoken_ring *ring, const char *data, int len) {
  subtoken_ring fresh;
  size_t line;
  subtoken_text text = text_at(data, len);
  subtoken_result result = subtoken_ring_read(&fresh, text, &line);
  if (result == SUBTOKEN_OK) {
    *ring = fresh;
  } else {
    (void)out_string(subtoken_ring_error(text, line, result));
    io.numbers[2] = (double)line;
  }
  subtoken_wipe(&fresh, sizeof fresh);
  return result;
}

/* The audience that its secrets are derived for is the text; 0 texts: they are not derived. */
EXPORT(ring_audience) int st_wasm_ring_audience(const subtoken_ring *ring) {
  subtoken_text audience = subtoken_ring_audience(ring);
  out_begin();
  if (audience.data != NULL) out_add(audience);
  return out_end();
}

EXPORT(ring_clear) void st_wasm_ring_clear(subtoken_ring *ring) {
  subtoken_wipe(ring, sizeof *ring);
}

/* Which faster loops (base/vector.h) verifying with this ring uses, as a number that is not 0; only
 * those of mask are used from now on. For tests. */
EXPORT(ring_instructions) unsigned st_wasm_ring_instructions(subtoken_ring *ring, unsigned mask) {
  unsigned used = 0;
  for (size_t i = 0; i < ring->count; i++) {
    ring->secrets[i].cpu &= (uint8_t)mask;
    used |= ring->secrets[i].cpu;
  }
  return used;
}

/* ---- the policy ---- */

EXPORT(policy_size) size_t st_wasm_policy_size(int len) {
  return subtoken_policy_size((size_t)len);
}

EXPORT(policy_read)
subtoken_result st_wasm_policy_read(void *memory, size_t size, const char *data, int len) {
  const subtoken_policy *policy;
  subtoken_policy_error error;
  subtoken_result result = subtoken_policy_read(memory, size, text_at(data, len), &policy, &error);
  if (result == SUBTOKEN_OK) return result;
  (void)out_string(error.text);
  io.numbers[2] = (double)error.line;
  io.numbers[3] = (double)error.column;
  return result;
}

/* ---- revocation data ---- */

typedef struct st_wasm_feed {
  subtoken_feed feed;
  subtoken_revocations_opening opening;
  subtoken_revocations view; /* of fresh, when it has been checked */
  void *current, *fresh;     /* the snapshot in use, and the one that is read */
  void *filter;              /* of the one in use */
  size_t current_len, fresh_len;
} st_wasm_feed;

EXPORT(feed_new) st_wasm_feed *st_wasm_feed_new(double leeway, double max_age, int allow_old) {
  st_wasm_feed *feed = st_wasm_allocate(sizeof *feed);
  if (feed == NULL) return NULL;
  feed->feed = (subtoken_feed)SUBTOKEN_FEED_DEFAULT;
  feed->feed.leeway = seconds(leeway);
  feed->feed.max_age = seconds(max_age);
  feed->feed.allow_old = allow_old != 0;
  return feed;
}

static void feed_drop_fresh(st_wasm_feed *feed) {
  st_wasm_release(feed->fresh);
  feed->fresh = NULL;
  feed->fresh_len = 0;
  subtoken_wipe(&feed->opening, sizeof feed->opening);
  memset(&feed->view, 0, sizeof feed->view);
}

EXPORT(feed_free) void st_wasm_feed_free(st_wasm_feed *feed) {
  feed_drop_fresh(feed);
  st_wasm_release(feed->current);
  st_wasm_release(feed->filter);
  st_wasm_release(feed);
}

/* Memory for len bytes of a snapshot or of changes, which core.js fills; NULL: there is none. */
EXPORT(feed_room) void *st_wasm_feed_room(st_wasm_feed *feed, size_t len) {
  feed_drop_fresh(feed);
  feed->fresh = st_wasm_allocate(len);
  if (feed->fresh != NULL) feed->fresh_len = len;
  return feed->fresh;
}

/* What lies in that memory is changes: make the snapshot of them that they lead to. */
static subtoken_feed_result feed_apply(st_wasm_feed *feed) {
  size_t len, size = subtoken_changes_size(feed->fresh, feed->fresh_len);
  if (size == 0) return SUBTOKEN_FEED_FORM;
  if (feed->current == NULL) return SUBTOKEN_FEED_ABSENT;
  void *made = st_wasm_allocate(size);
  if (made == NULL) return SUBTOKEN_FEED_TOO_LARGE;
  subtoken_feed_result result = subtoken_changes_apply(
      feed->current, feed->current_len, feed->fresh, feed->fresh_len, made, size, &len);
  st_wasm_release(feed->fresh);
  feed->fresh = made;
  feed->fresh_len = len;
  return result;
}

EXPORT(feed_start)
subtoken_feed_result st_wasm_feed_start(st_wasm_feed *feed, const subtoken_ring *ring,
                                        int changes) {
  subtoken_feed_result result = feed->fresh == NULL ? SUBTOKEN_FEED_ABSENT
                                : changes           ? feed_apply(feed)
                                                    : SUBTOKEN_FEED_OK;
  if (result == SUBTOKEN_FEED_OK) {
    result = subtoken_revocations_start(&feed->opening, ring, feed->fresh, feed->fresh_len);
  }
  if (result != SUBTOKEN_FEED_MORE) feed_drop_fresh(feed);
  return result;
}

/* Checks at_most bytes more: MORE, OK, or what is wrong. */
EXPORT(feed_step) subtoken_feed_result st_wasm_feed_step(st_wasm_feed *feed, size_t at_most) {
  subtoken_feed_result result = subtoken_revocations_step(&feed->opening, at_most, &feed->view);
  if (result != SUBTOKEN_FEED_MORE && result != SUBTOKEN_FEED_OK) feed_drop_fresh(feed);
  return result;
}

/* A filter is worth its memory from some hundred hashes on; without one a lookup is slower only. */
static void feed_build_filter(st_wasm_feed *feed) {
  subtoken_revocations *view = &feed->feed.snapshot;
  uint32_t done = 0;
  if (view->count < 256) return;
  size_t size = subtoken_revocations_filter_size(view->count);
  feed->filter = st_wasm_allocate(size);
  while (feed->filter != NULL && subtoken_revocations_filter_build(view, feed->filter, size, &done,
                                                                   0) == SUBTOKEN_FEED_MORE) {
  }
}

/* Accepts the heartbeat whose text is in io.token, with the snapshot that was checked or, where
 * there is none, for the one in use. */
EXPORT(feed_take)
subtoken_feed_result st_wasm_feed_take(st_wasm_feed *feed, const subtoken_ring *ring, int len,
                                       double now, double monotonic) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_heartbeat heartbeat;
  bool fresh = feed->fresh != NULL;
  subtoken_feed_result result = subtoken_heartbeat_decode(text_at(io.token, len), bytes);
  if (result == SUBTOKEN_FEED_OK) {
    result = subtoken_heartbeat_read(ring, bytes, sizeof bytes, &heartbeat);
  }
  if (result == SUBTOKEN_FEED_OK) {
    result = subtoken_feed_take(&feed->feed, fresh ? &feed->view : NULL, &heartbeat, seconds(now),
                                seconds(monotonic));
  }
  if (result == SUBTOKEN_FEED_OK && fresh) {
    void *old = feed->current, *old_filter = feed->filter;
    feed->current = feed->fresh;
    feed->current_len = feed->fresh_len;
    feed->fresh = feed->filter = NULL;
    st_wasm_release(old);
    st_wasm_release(old_filter);
    feed_build_filter(feed);
  }
  feed_drop_fresh(feed);
  return result;
}

/* numbers: the age, or infinity; T; the number of hashes; and whether it may decide, a
 * subtoken_feed_result. */
EXPORT(feed_state)
subtoken_feed_result st_wasm_feed_state(const st_wasm_feed *feed, double now, double monotonic) {
  int64_t age = subtoken_feed_age(&feed->feed, seconds(now), seconds(monotonic));
  io.numbers[0] = age == SUBTOKEN_TIME_MAX ? __builtin_inf() : (double)age;
  io.numbers[1] = (double)feed->feed.time;
  io.numbers[2] = feed->feed.snapshot.count;
  return subtoken_feed_check(&feed->feed, seconds(now), seconds(monotonic));
}

EXPORT(feed_sequence) int64_t st_wasm_feed_sequence(const st_wasm_feed *feed) {
  return feed->feed.sequence;
}

/* ---- the verifier ---- */

typedef struct st_wasm_verifier {
  subtoken_verifier verifier;
  subtoken_feed_clock clock;
  subtoken_cache cache;
  const subtoken_policy *policy;
} st_wasm_verifier;

EXPORT(verifier_free) void st_wasm_verifier_free(st_wasm_verifier *v) {
  st_wasm_release(v->cache.memory);
  st_wasm_release(v);
}

/* iss is in io.token and aud in io.target, -1 where there is none; feed and policy may be NULL. A
 * cache_size of less than SUBTOKEN_CACHE_MIN is none. Without feed and without_revocations no token
 * is good. NULL: no memory. */
EXPORT(verifier_new)
st_wasm_verifier *st_wasm_verifier_new(const subtoken_ring *ring, const st_wasm_feed *feed,
                                       const subtoken_policy *policy, int iss_len, int aud_len,
                                       double leeway, double max_life, int without_revocations,
                                       size_t cache_size) {
  size_t iss = iss_len < 0 ? 0 : (size_t)iss_len, aud = aud_len < 0 ? 0 : (size_t)aud_len;
  st_wasm_verifier *v = st_wasm_allocate(sizeof *v + iss + aud + 1);
  if (v == NULL) return NULL;
  char *texts = (char *)(v + 1);
  memcpy(texts, io.token, iss);
  memcpy(texts + iss, io.target, aud);
  v->verifier = (subtoken_verifier)SUBTOKEN_VERIFIER_DEFAULT;
  v->verifier.ring = ring;
  v->verifier.leeway = seconds(leeway);
  v->verifier.max_life = seconds(max_life);
  v->verifier.iss = text_at(texts, iss_len);
  v->verifier.aud = text_at(texts + iss, aud_len);
  v->verifier.without_revocations = without_revocations != 0;
  if (feed != NULL) {
    v->clock.feed = &feed->feed;
    v->verifier.revoked = subtoken_feed_revoked;
    v->verifier.revoked_context = &v->clock;
  }
  v->policy = policy;
  if (cache_size < SUBTOKEN_CACHE_MIN) return v;
  void *memory = st_wasm_allocate(cache_size);
  if (subtoken_cache_init(&v->cache, memory, cache_size) != SUBTOKEN_OK) { /* NULL is none */
    st_wasm_verifier_free(v);
    return NULL;
  }
  v->verifier.cache = &v->cache;
  return v;
}

/* Empties the cache. */
EXPORT(verifier_forget) void st_wasm_verifier_forget(st_wasm_verifier *v) {
  subtoken_cache_wipe(&v->cache);
}

/* The time of a request. */
static int64_t verifier_now(st_wasm_verifier *v, double now, double monotonic) {
  v->clock.now = seconds(now);
  v->clock.monotonic = seconds(monotonic);
  return v->clock.feed != NULL ? subtoken_feed_now(v->clock.feed, v->clock.now) : v->clock.now;
}

enum { NO_TOKEN = 256, PUBLIC = 512 };

/* The result, and the flags above. The token is in io.token, the target in io.target, the needs
 * in io.table. flags: SUBTOKEN_POLICY_... */
EXPORT(verify)
unsigned st_wasm_verify(st_wasm_verifier *v, int token_len, int target_len, const char *method,
                        int method_len, unsigned needs_count, unsigned flags, double now,
                        double monotonic) {
  subtoken_text token = text_at(io.token, token_len);
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  request.now = verifier_now(v, now, monotonic);
  request.method = text_at(method, method_len);
  request.target = text_at(io.target, target_len);
  request.needs = io.table;
  request.needs_count = needs_count;
  if (v->policy == NULL) return subtoken_verify(&v->verifier, token, &request, &claims);
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  unsigned result =
      subtoken_policy_verify(&v->verifier, v->policy, token, &request, flags, &claims, &decision);
  if (decision.no_token) result |= NO_TOKEN;
  return result == SUBTOKEN_OK && claims.sub.len == 0 ? result | PUBLIC : result;
}

/* A sentence about the result of the same arguments. */
EXPORT(explain)
int st_wasm_explain(st_wasm_verifier *v, int token_len, int target_len, const char *method,
                    int method_len, unsigned needs_count, unsigned flags, double now,
                    double monotonic, int result) {
  static char sentence[8 * SUBTOKEN_EXPLAIN_MAX];
  subtoken_text token = text_at(io.token, token_len);
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  request.now = verifier_now(v, now, monotonic);
  request.method = text_at(method, method_len);
  request.target = text_at(io.target, target_len);
  request.needs = io.table;
  request.needs_count = needs_count;
  size_t len = v->policy == NULL
                   ? subtoken_explain(&v->verifier, token, &request, (subtoken_result)result,
                                      sentence, sizeof sentence)
                   : subtoken_policy_explain(&v->verifier, v->policy, token, &request, flags,
                                             (subtoken_result)result, sentence, sizeof sentence);
  out_begin();
  out_add((subtoken_text){sentence, len});
  return out_end();
}

/* Describes the claims of the last call that accepted a token, or of inspect, for core.js, which
 * takes their texts out of claims.text by the slices. numbers: the length of claims.text, whether
 * it is ASCII (a byte is a UTF-16 unit), iat, exp, nbf, the counts of permissions and urls, whether
 * every url is allowed, the count of via, and whether there are audiences. */
EXPORT(claims_describe) void st_wasm_claims_describe(void) {
  unsigned char bits = 0;
  for (size_t i = 0; i < claims.text_len; i++) bits |= (unsigned char)claims.text[i];
  io.numbers[0] = claims.text_len;
  io.numbers[1] = bits < 0x80;
  io.numbers[2] = (double)claims.iat;
  io.numbers[3] = (double)claims.exp;
  io.numbers[4] = (double)claims.nbf;
  io.numbers[5] = claims.permission_count;
  io.numbers[6] = claims.url_count;
  io.numbers[7] = claims.every_url;
  io.numbers[8] = claims.via_count;
  io.numbers[9] = claims.aud.len;
}

/* The audiences are the texts. */
EXPORT(claims_audiences) int st_wasm_claims_audiences(void) {
  size_t at = 0;
  out_begin();
  for (subtoken_text each; (each = subtoken_claims_audience(&claims, &at)).data != NULL;) {
    out_add(each);
  }
  return out_end();
}

/* The header is the text; the claims are those of claims_describe. */
EXPORT(inspect) subtoken_result st_wasm_inspect(int token_len) {
  static char header[SUBTOKEN_TOKEN_MAX];
  subtoken_result result =
      subtoken_inspect(text_at(io.token, token_len), header, sizeof header, &claims);
  if (result == SUBTOKEN_OK) (void)out_string(header);
  return result;
}

/* ---- paths ---- */

/* Of the target in io.target, or of the entry in io.token: the canonical text, or the name and the
 * sentence of what is wrong. */
static subtoken_result path_out(subtoken_result result, const char *path, size_t len,
                                subtoken_fault fault) {
  out_begin();
  if (result == SUBTOKEN_OK) {
    out_add((subtoken_text){path, len});
  } else {
    out_add_string(subtoken_fault_name(fault));
    out_add_string(subtoken_fault_text(fault));
  }
  (void)out_end();
  return result;
}

EXPORT(target_path) subtoken_result st_wasm_target_path(int len) {
  char path[3 * SUBTOKEN_PATH_MAX + 1];
  size_t path_len;
  subtoken_fault fault;
  subtoken_result result =
      subtoken_target_path(text_at(io.target, len), path, sizeof path, &path_len, &fault);
  return path_out(result, path, path_len, fault);
}

EXPORT(url_canonical) subtoken_result st_wasm_url_canonical(int len) {
  char path[SUBTOKEN_URL_MAX + 1];
  size_t path_len;
  subtoken_fault fault;
  subtoken_result result =
      subtoken_url_canonical(text_at(io.token, len), path, sizeof path, &path_len, &fault);
  return path_out(result, path, path_len, fault);
}

EXPORT(url_allows)
subtoken_result st_wasm_url_allows(int entry_len, const char *method, int method_len,
                                   int target_len) {
  return subtoken_url_allows(text_at(io.token, entry_len), text_at(method, method_len),
                             text_at(io.target, target_len));
}

EXPORT(url_covers) subtoken_result st_wasm_url_covers(int outer_len, int inner_len) {
  return subtoken_url_covers(text_at(io.token, outer_len), text_at(io.target, inner_len));
}

/* ---- the decision about one request (edge.h) ---- */

/* What is decided about, until the next edge_request. */
static struct {
  subtoken_edge edge;
  subtoken_edge_request request;
  subtoken_edge_answer answer;
  bool answered;
  subtoken_edge_reply reply;
} current;

enum {
  MAY_ASK = 1,
  READS_BODIES = 2,
  ORIGIN = 4,
  REQUEST_METHOD = 8,
  BODY_ENCODED = 16,
  HAS_BODY = 32
};

EXPORT(edge_request)
void st_wasm_edge_request(st_wasm_verifier *v, unsigned forms, unsigned flags, int target_len,
                          const char *method, int method_len, unsigned needs,
                          unsigned authorizations, unsigned x_api_keys, unsigned mcp_methods,
                          unsigned mcp_names, unsigned mcp_versions, double now, double monotonic,
                          double content_length) {
  subtoken_edge edge = SUBTOKEN_EDGE_DEFAULT;
  edge.verifier = &v->verifier;
  edge.policy = v->policy;
  edge.forms = forms;
  edge.may_ask = (flags & MAY_ASK) != 0;
  edge.reads_bodies = (flags & READS_BODIES) != 0;
  edge.needs = io.table;
  edge.needs_count = needs;
  edge.issuer = io.table[ISSUER];
  subtoken_edge_request request = SUBTOKEN_EDGE_REQUEST_DEFAULT;
  request.now = verifier_now(v, now, monotonic);
  request.method = text_at(method, method_len);
  request.target = text_at(io.target, target_len);
  request.authorization = io.table + AUTHORIZATION;
  request.authorization_count = authorizations;
  request.x_api_key = io.table + X_API_KEY;
  request.x_api_key_count = x_api_keys;
  request.origin = (flags & ORIGIN) != 0;
  request.request_method = (flags & REQUEST_METHOD) != 0;
  request.body_encoded = (flags & BODY_ENCODED) != 0;
  request.has_body = (flags & HAS_BODY) != 0;
  request.mcp_method = io.table + MCP_METHOD;
  request.mcp_method_count = mcp_methods;
  request.mcp_name = io.table + MCP_NAME;
  request.mcp_name_count = mcp_names;
  request.mcp_version = io.table + MCP_VERSION;
  request.mcp_version_count = mcp_versions;
  request.content_length = (uint64_t)(seconds(content_length) < 0 ? 0 : seconds(content_length));
  current.edge = edge;
  current.request = request;
  current.answered = false;
  current.reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
}

/* The texts of the reply: its name; and with ALLOW the values of the five headers of identity and
 * the token's tid, else the body and the names and values of its headers. numbers[2] is the status,
 * [3] the result. */
static subtoken_edge_step edge_out(subtoken_edge_step step) {
  static char memory[SUBTOKEN_EDGE_IDENTITY_MEMORY];
  subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS + SUBTOKEN_EDGE_IDENTITY_HEADERS];
  const subtoken_edge_reply *reply = &current.reply;
  if (step == SUBTOKEN_EDGE_ALLOW &&
      subtoken_edge_identity_headers(&claims, current.answered ? &current.answer : NULL, memory,
                                     sizeof memory, headers) != SUBTOKEN_OK) {
    step = subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &current.reply);
  }
  out_begin();
  out_add_string(reply->name);
  if (step == SUBTOKEN_EDGE_ALLOW) {
    for (size_t i = 0; i < SUBTOKEN_EDGE_IDENTITY_HEADERS; i++) out_add(headers[i].value);
    out_add(subtoken_claims_text(&claims, claims.tid));
  } else {
    size_t count = subtoken_edge_reply_headers(reply, headers);
    out_add((subtoken_text){reply->body, reply->body_len});
    for (size_t i = 0; i < count; i++) {
      out_add(headers[i].name);
      out_add(headers[i].value);
    }
  }
  io.numbers[2] = reply->status;
  io.numbers[3] = reply->result;
  io.numbers[4] = out_end();
  return step;
}

EXPORT(edge_decide) subtoken_edge_step st_wasm_edge_decide(void) {
  return edge_out(subtoken_edge_decide(&current.edge, &current.request, &claims, &current.reply));
}

EXPORT(edge_refuse) subtoken_edge_step st_wasm_edge_refuse(unsigned result) {
  current.reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  return edge_out(subtoken_edge_refuse((subtoken_result)result, &current.reply));
}

/* The names and values of the question's headers are the texts. */
EXPORT(edge_question) int st_wasm_edge_question(void) {
  static char memory[SUBTOKEN_EDGE_QUESTION_MEMORY];
  subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
  size_t count = subtoken_edge_question(&current.edge, &current.request, io.table[NONCE], memory,
                                        sizeof memory, headers);
  out_begin();
  for (size_t i = 0; i < count; i++) {
    out_add(headers[i].name);
    out_add(headers[i].value);
  }
  subtoken_wipe(memory, sizeof memory);
  return out_end();
}

/* The server's answer: its values are in io.table, in the order of subtoken_edge_answer. */
EXPORT(edge_answer) void st_wasm_edge_answer(int status, int repeated) {
  const subtoken_text *values = io.table + ANSWER;
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  answer.status = status;
  answer.repeated = repeated != 0;
  answer.nonce = values[0];
  answer.sub = values[1];
  answer.key = values[2];
  answer.owner = values[3];
  answer.permissions = values[4];
  answer.expires = values[5];
  answer.retry_after = values[6];
  current.answer = answer;
}

EXPORT(edge_answer_usable) int st_wasm_edge_answer_usable(void) {
  return subtoken_edge_answer_usable(&current.edge, &current.request, io.table[NONCE],
                                     &current.answer);
}

EXPORT(edge_decide_answer) subtoken_edge_step st_wasm_edge_decide_answer(void) {
  current.answered = true;
  return edge_out(subtoken_edge_decide_answer(&current.edge, &current.request, io.table[NONCE],
                                              &current.answer, &claims, &current.reply));
}

/* After edge_request: the document about the protected resource that the target asks for is the
 * text; 0 texts: it asks for none. */
EXPORT(edge_metadata) int st_wasm_edge_metadata(void) {
  static char document[SUBTOKEN_METADATA_MAX];
  size_t len =
      subtoken_edge_metadata(&current.edge, current.request.target, document, sizeof document);
  out_begin();
  if (len > 0) out_add((subtoken_text){document, len});
  return out_end();
}

/* After BODY, before any other call that verifies. scratch has the body's length. */
EXPORT(edge_decide_body)
subtoken_edge_step st_wasm_edge_decide_body(const char *body, int len, void *scratch) {
  return edge_out(subtoken_edge_decide_body(&current.edge, &current.request, &claims,
                                            text_at(body, len), scratch, (size_t)len,
                                            &current.reply));
}

/* The name is in io.token. */
EXPORT(edge_is_identity_header) int st_wasm_edge_is_identity_header(int len) {
  return subtoken_edge_is_identity_header(text_at(io.token, len));
}

/* Of the target in io.target. */
EXPORT(edge_strip_query) subtoken_result st_wasm_edge_strip_query(int len) {
  static char memory[sizeof io.target];
  subtoken_text stripped;
  subtoken_result result =
      subtoken_edge_strip_query(text_at(io.target, len), memory, sizeof memory, &stripped);
  out_begin();
  out_add(stripped);
  (void)out_end();
  return result;
}
