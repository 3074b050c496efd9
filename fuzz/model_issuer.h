/* model_issuer - an issuer without sockets and threads, for fuzz_model.c: the service over a real
 * store in a file, with the clock of virtual_clock.h; and three edges that hold what it tells them.
 */
#ifndef FUZZ_MODEL_ISSUER_H
#define FUZZ_MODEL_ISSUER_H

#include <unistd.h>

#include "model.h"
#include "operations/keys.h"
#include "operations/users.h"
#include "os/error.h"
#include "server/basic_locks.h"
#include "server/token_cache.h"
#include "service/rate_limit.h"
#include "service/router.h"
#include "service/throttle.h"
#include "subtoken/revocations.h"
#include "subtoken/verify.h"
#include "virtual_clock.h"

/* ---- the store ---- */

static char store_dir[200], store_path[256];
static st_store *store;
static char root_key[ST_KEY_LEN + 1];  /* with every permission of the model */
static char asker_key[ST_KEY_LEN + 1]; /* asks about others */

static void issuer_remove_store(void) {
  static const char *const ends[] = {"", "-wal", "-shm", "-journal", ".lock"};
  char path[300];
  st_store_close(store);
  store = NULL;
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    snprintf(path, sizeof path, "%s%s", store_path, ends[i]);
    (void)unlink(path);
  }
  (void)rmdir(store_dir);
}

static void issuer_open_store(void) {
  char error[ST_ERROR_MAX] = "";
  if (st_store_open(store_path, true, &store, error) == ST_STORE_OK) return;
  fprintf(stderr, "%s\n", error);
  abort();
}

static void issuer_make_key(const char *permissions, char *whole) {
  char error[ST_ERROR_MAX];
  st_key key = {.kind = ST_KIND_KEY, .created_at = now(), .expires_at = ST_NEVER};
  snprintf(key.name, sizeof key.name, "n");
  snprintf(key.permissions, sizeof key.permissions, "%s", permissions);
  st_audit_context context = {.now_us = clock_us, .who = "fuzzer", .from = "command line"};
  HOLD(st_keys_create(store, &context, NULL, &key, whole, error) == ST_STORE_OK);
}

/* In memory, where there is a place for that: commits are many, and no disk is tested here. */
static void issuer_make_store(void) {
  const char *base = getenv("TMPDIR");
  if (base == NULL) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(store_dir, sizeof store_dir, "%s/subtoken-model-XXXXXX", base);
  HOLD(mkdtemp(store_dir) != NULL);
  snprintf(store_path, sizeof store_path, "%s/store.db", store_dir);
  issuer_open_store();
  issuer_make_key("account,wallet,guilds,services,keys", root_key);
  issuer_make_key("introspect", asker_key);
}

/* ---- the ring: secrets first to last, of which the last signs ---- */

static void issuer_make_ring(unsigned first, unsigned last, subtoken_ring *ring) {
  memset(ring, 0, sizeof *ring);
  for (unsigned i = last + 1; i-- > first;) {
    char kid[16] = "", secret[48];
    if (i > 0) snprintf(kid, sizeof kid, "k%u", i);
    snprintf(secret, sizeof secret, "subtoken-fuzz-model-secret-%08u-0001", i);
    HOLD(subtoken_ring_add(ring, st_text(kid), secret, strlen(secret)) == SUBTOKEN_OK);
  }
}

/* ---- the service ---- */

static st_settings settings;
static subtoken_ring ring;
static st_rate_limit rate;
static st_throttle throttle;
static st_basic_auth basic;
static st_key_changes key_changes;
static st_users users;
static st_token_caches token_caches;
static st_reply reply;

static bool issuer_ready(void *context) {
  (void)context;
  return true;
}

static void issuer_start(void) {
  static const uint8_t random[] = "32 bytes that nobody has drawn..";
  st_config_default(&settings);
  settings.leeway = MODEL_LEEWAY;
  settings.refresh_retry = MODEL_RETRY;
  settings.default_life = 20000;
  settings.max_life = 30000;
  settings.access_life = 900;
  settings.refresh_life = 5000;
  settings.keys_per_owner = 1 << 30;
  HOLD(st_rate_limit_start(&rate) && st_throttle_start(&throttle, random) &&
       st_basic_auth_start(&basic, random, st_basic_locks_get()) && st_token_cache_start());
  token_caches = st_token_cache_get();
  issuer_make_store();
  (void)atexit(issuer_remove_store);
}

/* One call: a good credential stands in Authorization; NULL: none. Its answer is in reply. */
static int issuer_call(const char *method, const char *target, const char *credential,
                       const char *type, const char *body, const st_header *more,
                       size_t more_count) {
  char authorization[SUBTOKEN_ISSUED_MAX + 16];
  st_header headers[8];
  size_t count = 0;
  if (credential != NULL) {
    snprintf(authorization, sizeof authorization, "Bearer %s", credential);
    headers[count++] = (st_header){ST_TEXT("Authorization"), st_text(authorization)};
  }
  if (type != NULL) headers[count++] = (st_header){ST_TEXT("Content-Type"), st_text(type)};
  for (size_t i = 0; i < more_count; i++) headers[count++] = more[i];
  key_changes = st_keys_changes_of(store);
  users = st_users_of(store);
  st_service service = {.settings = &settings,
                        .ring = &ring,
                        .keys = st_keys_of(store),
                        .rate = &rate,
                        .ready = issuer_ready,
                        .changes = &key_changes,
                        .users = &users,
                        .throttle = &throttle,
                        .basic = &basic,
                        .token_caches = &token_caches};
  st_request request = {.method = st_text(method),
                        .target = st_text(target),
                        .headers = headers,
                        .header_count = count,
                        .body = st_text(body != NULL ? body : ""),
                        .remote = ST_TEXT("192.0.2.7"),
                        .now = now(),
                        .now_us = clock_us,
                        .until_us = clock_us + 5000000};
  memset(&reply, 0x5A, sizeof reply);
  st_router_answer(&service, &request, &reply);
  reply.body[reply.body_len < sizeof reply.body ? reply.body_len : sizeof reply.body - 1] = '\0';
  HOLD(reply.status < 500 && reply.status != 429);
  return reply.status;
}

static char body[4096];
static st_writer writer;

static void write_permissions(unsigned set, const char *quote, char between) {
  bool first = true;
  for (int i = 0; i < MODEL_PERMISSIONS; i++) {
    if (!(set >> i & 1)) continue;
    if (!first) st_write_char(&writer, between);
    st_write_literal(&writer, quote);
    st_write_literal(&writer, model_permissions[i]);
    st_write_literal(&writer, quote);
    first = false;
  }
}

static void write_urls(unsigned set, const char *quote) {
  bool first = true;
  for (int i = 0; i < MODEL_URLS; i++) {
    if (!(set >> i & 1)) continue;
    if (!first) st_write_char(&writer, ',');
    st_write_literal(&writer, quote);
    st_write_literal(&writer, model_urls[i].method);
    if (model_urls[i].method[0] != '\0') st_write_char(&writer, ':');
    st_write_literal(&writer, model_urls[i].path);
    st_write_literal(&writer, quote);
    first = false;
  }
}

static void begin_body(const char *front) {
  writer = st_writer_on(body, sizeof body - 1);
  st_write_literal(&writer, front);
}

static const char *end_body(const char *end) {
  st_write_literal(&writer, end);
  HOLD(st_writer_end(&writer));
  return body;
}

/* The string that a member of the answer has; it must be there. */
static void issuer_member(const char *name, char *out, size_t size) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\":\"", name);
  const char *at = strstr(reply.body, quoted);
  HOLD(at != NULL);
  at += strlen(quoted);
  size_t len = strcspn(at, "\"");
  HOLD(len < size);
  memcpy(out, at, len);
  out[len] = '\0';
}

/* ---- edges ---- */

typedef struct edge {
  int audience;
  bool derived;
  subtoken_ring ring;
  subtoken_feed feed;
  void *snapshot; /* the bytes that feed points to */
  subtoken_cache cache;
  uint8_t memory[SUBTOKEN_CACHE_MIN];
} edge;
#define EDGES 3
static edge edges[EDGES] = {{.audience = 0}, {.audience = 1}, {.audience = 1, .derived = true}};

/* Bytes under the ring of that edge, as a server sends them. */
static void edge_take(edge *e, const st_revocation_data *listed, uint32_t count) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_heartbeat heartbeat = {.sequence = listed->state.sequence, .time = now()}, read;
  subtoken_revocations_header header = {.sequence = listed->state.sequence,
                                        .made = listed->state.sequence / 1000000};
  subtoken_revocations view;
  memcpy(header.hash_key, listed->state.hash_key, sizeof header.hash_key);
  size_t size = subtoken_revocations_size(count);
  void *snapshot = malloc(size);
  HOLD(snapshot != NULL &&
       subtoken_revocations_write(&e->ring, &header, listed->hashes, count, snapshot, size,
                                  heartbeat.digest) == SUBTOKEN_FEED_OK);
  HOLD(subtoken_heartbeat_write(&e->ring, &heartbeat, bytes) == SUBTOKEN_FEED_OK);
  HOLD(subtoken_revocations_open(&e->ring, snapshot, size, &view) == SUBTOKEN_FEED_OK);
  HOLD(subtoken_heartbeat_read(&e->ring, bytes, sizeof bytes, &read) == SUBTOKEN_FEED_OK);
  HOLD(subtoken_feed_take(&e->feed, &view, &read, now(), now()) == SUBTOKEN_FEED_OK);
  free(e->snapshot);
  e->snapshot = snapshot;
}

static void edges_take(void) {
  char error[ST_ERROR_MAX];
  st_revocation_data listed;
  HOLD(st_store_revocation_data(store, &listed, error) == ST_STORE_OK);
  uint32_t count = subtoken_revocations_sort(listed.hashes, listed.count);
  for (size_t i = 0; i < EDGES; i++) {
    edge *e = &edges[i];
    if (e->derived) {
      HOLD(subtoken_ring_derive(&ring, st_text(model_audiences[e->audience]), &e->ring) ==
           SUBTOKEN_OK);
    } else {
      e->ring = ring;
    }
    edge_take(e, &listed, count);
  }
  free(listed.hashes);
  free(listed.changes);
}

static void edges_start(void) {
  for (size_t i = 0; i < EDGES; i++) {
    free(edges[i].snapshot);
    edges[i].snapshot = NULL;
    edges[i].feed = (subtoken_feed)SUBTOKEN_FEED_DEFAULT;
    edges[i].feed.max_age = MODEL_MAX_AGE;
    if (edges[i].cache.size == 0) {
      HOLD(subtoken_cache_init(&edges[i].cache, edges[i].memory, sizeof edges[i].memory) ==
           SUBTOKEN_OK);
    }
  }
}

/* One verdict, with the cache as without it. */
static subtoken_result edge_verify(edge *e, const char *token, const char *method, const char *path,
                                   unsigned needs) {
  static subtoken_claims claims, again;
  subtoken_text names[MODEL_PERMISSIONS];
  subtoken_feed_clock clock = {&e->feed, now(), now()};
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  verifier.ring = &e->ring;
  verifier.leeway = MODEL_LEEWAY;
  verifier.revoked = subtoken_feed_revoked;
  verifier.revoked_context = &clock;
  if (e->audience != 0) verifier.aud = st_text(model_audiences[e->audience]);
  request.now = subtoken_feed_now(&e->feed, now());
  request.method = st_text(method);
  request.target = st_text(path);
  request.needs = names;
  for (int i = 0; i < MODEL_PERMISSIONS; i++) {
    if (needs >> i & 1) names[request.needs_count++] = st_text(model_permissions[i]);
  }
  subtoken_result result = subtoken_verify(&verifier, st_text(token), &request, &claims);
  verifier.cache = &e->cache;
  HOLD(subtoken_verify(&verifier, st_text(token), &request, &again) == result);
  HOLD(claims.iat == again.iat && claims.exp == again.exp && claims.text_len == again.text_len);
  HOLD(memcmp(claims.text, again.text, claims.text_len) == 0);
  return result;
}

#endif
