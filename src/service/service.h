/* service - what goes into the service and what comes out of it: a request, a reply, and what the
 * server gives it to work with. The service opens no socket and asks no clock, so it can be fuzzed
 * whole (fuzz/fuzz_service.c).
 *
 * A request is taken in this order, and the first step that fails decides: route (router.c),
 * credential (credential.c), whose it is and its urls (authenticate.c), parameters, the endpoint.
 */
#ifndef ST_SERVICE_SERVICE_H
#define ST_SERVICE_SERVICE_H

#include <stdatomic.h>

#include "domain/config.h"
#include "domain/key.h"
#include "domain/user.h"
#include "subtoken/cache.h"
#include "subtoken/policy.h"
#include "subtoken/revocations.h"

typedef struct st_basic_auth st_basic_auth;
typedef struct st_rate_limit st_rate_limit;
typedef struct st_throttle st_throttle;

#define ST_REQUEST_BODY_MAX 8192
#define ST_REPLY_BODY_MAX 24576
#define ST_REPLY_HEADERS_MAX 6144
#define ST_CREDENTIAL_TAG_LEN 8

typedef struct st_header {
  subtoken_text name;
  subtoken_text value; /* without the white space around it */
} st_header;

typedef struct st_request {
  subtoken_text method;
  subtoken_text target; /* as on the request line */
  const st_header *headers;
  size_t header_count;
  subtoken_text body;
  subtoken_text remote; /* the client's address, for the audit log and for throttling */
  int64_t now;
  int64_t now_us; /* monotonic, for throttling */
  /* On the same clock: until when it may wait behind others, all its waits together. */
  int64_t until_us;
  bool held; /* as the reply to it asked for; it is answered now */
} st_request;

/* What a body is, by its Content-Type. */
typedef enum st_body_kind { ST_BODY_NONE = 0, ST_BODY_FORM, ST_BODY_JSON } st_body_kind;

/* What the log tells of a request besides its status. Never a credential. */
typedef struct st_event {
  const char *name;                           /* the log's word for a refusal, or NULL */
  char credential[ST_CREDENTIAL_TAG_LEN + 1]; /* hex of its SHA-256, or empty */
  char key_id[ST_KEY_ID_LEN + 1];
  size_t dropped;
  bool clamped;
  int64_t delta; /* seconds between the clocks, or 0 */
} st_event;

/* Bytes that take the place of some of a payload's: a piece of it, and its last ones. */
typedef struct st_payload_patch {
  size_t piece_at;
  subtoken_text piece, end;
} st_payload_patch;

/* A body that lies elsewhere; whoever sends it calls release once, afterwards. */
typedef struct st_payload {
  const void *data;
  size_t len;
  const st_payload_patch *patch;  /* NULL: data is what it is */
  void (*release)(void *context); /* NULL: nothing to do */
  void *context;
  const atomic_bool *retired; /* once true: stop sending and release; NULL: never */
} st_payload;

/* A reply that is not to be sent yet: the request is to be held until the revocation data has
 * another sequence, or for so many seconds, and then to be answered anew, `held`.
 */
typedef struct st_hold {
  int64_t seconds; /* 0: send the reply */
  int64_t sequence;
  char key_id[ST_KEY_ID_LEN + 1]; /* whose it is */
} st_hold;

typedef struct st_reply {
  int status;
  size_t route;          /* 1 and its place in the router's table; 0: none of them */
  const char *allow;     /* the Allow header, or NULL */
  bool preflight;        /* the CORS headers of a preflight */
  bool head;             /* send the headers alone */
  bool close;            /* end the connection */
  int64_t retry_after;   /* seconds, or 0 */
  const char *challenge; /* WWW-Authenticate, or NULL */
  bool basic_challenge;  /* and another one that asks for Basic */
  st_event event;
  st_hold hold;
  const char *content_type;  /* NULL: JSON */
  const char *cache_control; /* NULL: no-store */
  st_payload payload;        /* instead of body, when it has data */
  size_t headers_len;
  size_t body_len;                    /* 0: no body and no Content-Type */
  char headers[ST_REPLY_HEADERS_MAX]; /* whole lines, see st_reply_header */
  char body[ST_REPLY_BODY_MAX];
} st_reply;

/* The revocation data as it was when the store was asked; the heartbeat vouches for that time. */
#define ST_SNAPSHOT_TAG_LEN 43
typedef struct st_snapshot_version {
  int64_t sequence;
  char etag[ST_SNAPSHOT_TAG_LEN + 1]; /* SHA-256 of the snapshot, base64url, without quotes */
  char heartbeat[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  st_payload snapshot; /* to be released, whether it is sent or not */
} st_snapshot_version;

typedef enum st_feed_status {
  ST_FEED_STORE_ERROR = 0, /* the store could not be read: answer 503 */
  ST_FEED_READY,
  ST_FEED_NO_MEMORY,
  ST_FEED_KEY_BUSY,    /* too many requests of this key are being answered: 429 */
  ST_FEED_BUSY,        /* too many are, or a first snapshot is still being made: 503 */
  ST_FEED_CLIENT_LEFT, /* the client has closed the connection */
  ST_FEED_NEVER,       /* that sequence was never issued here: 409 */
  ST_FEED_AUDIENCE,    /* no kid has room for that audience: 400 */
  ST_FEED_AUDIENCES,   /* this key has asked for too many of them: 429 */
} st_feed_status;

/* What the revocation data is asked for. */
typedef struct st_feed_question {
  const subtoken_ring *ring;
  subtoken_text audience; /* under the secret that is derived for it; absent: under the ring's */
  const char *key_id;     /* who asks */
  int64_t now;            /* seconds since 1970, from before the call */
  int64_t since;          /* the sequence that the client has, 0: none */
} st_feed_question;

/* Where the revocation data comes from. Any thread may ask. */
typedef struct st_feed {
  void *context;
  /* Nothing is to be released unless ST_FEED_READY. */
  st_feed_status (*current)(void *context, const st_feed_question *question,
                            st_snapshot_version *version);
  /* What brings the snapshot of that sequence to this version; false when that is not known,
   * or not shorter than the whole.
   */
  bool (*changes)(void *context, const st_snapshot_version *version, int64_t since,
                  st_payload *changes);
  /* The version that was answered to this question is to be sent whole. It may become an earlier
   * one, with the heartbeat of its time, that others are still being sent, so that few are kept.
   * Unless ST_FEED_READY nothing is to be released.
   */
  st_feed_status (*whole)(void *context, const st_feed_question *question,
                          st_snapshot_version *version);
  /* Was that sequence ever issued here? ST_FEED_READY, ST_FEED_NEVER: the client has another
   * history, or ST_FEED_STORE_ERROR.
   */
  st_feed_status (*issued)(void *context, int64_t since);
} st_feed;

/* Tokens that were authenticated before (subtoken/cache.h). acquire: the cache that knows this one,
 * for the calling thread alone until it is released; NULL: there is none, or it is in use.
 */
typedef struct st_token_caches {
  subtoken_cache *(*acquire)(subtoken_text token);
  void (*release)(subtoken_cache *cache);
} st_token_caches;

/* Who asked for the revocation data. */
typedef struct st_feed_edge {
  char key_id[ST_KEY_ID_LEN + 1], name[ST_NAME_MAX + 1];
  char audience[ST_AUDIENCE_MAX + 1]; /* whose data it asked for; empty: the ring's own */
  char address[64];
  int64_t last_asked; /* seconds since 1970 */
  int64_t sequence;   /* of the data that it has since then */
} st_feed_edge;

/* Which edges a caller may know of. */
typedef struct st_feed_view {
  const char *key_id;     /* those that asked with this key; NULL: any */
  subtoken_text audience; /* those that asked for its data; empty: any */
} st_feed_view;

typedef struct st_service {
  const st_settings *settings;
  const subtoken_ring *ring;
  st_keys keys;
  st_rate_limit *rate;
  bool (*ready)(void *store);
  const st_key_changes *changes;
  const st_users *users;
  st_throttle *throttle; /* of wrong passwords */
  st_basic_auth *basic;  /* the HTTP Basic credentials that were found good */
  st_feed feed;
  const subtoken_policy *policy;       /* of the decision endpoint; NULL: none */
  const st_token_caches *token_caches; /* NULL: each token is authenticated anew */
  /* When the i-th secret of the ring was first seen, in seconds since 1970; 0: not known. */
  int64_t (*secret_first_seen)(void *store, const subtoken_ring *ring, size_t i);
  /* All metrics as a body that lies elsewhere, for GET /metrics; false: out of memory. NULL: they
   * are off. */
  bool (*metrics)(bool open_metrics, st_payload *payload);
  /* An edge was answered; NULL: nobody remembers it. */
  void (*note_edge)(const st_feed_edge *edge);
  /* The body of GET /v2/feed, which lies elsewhere; false: the store cannot be read, or there is no
   * memory. NULL: as if false. */
  bool (*feed_status)(void *store, int64_t now, const st_feed_view *view, st_payload *payload);
} st_service;

#endif
