/* ngx_http_subtoken_state - what is known of a request: what it asks for, by which credential, and
 * what became of it. ngx_http_subtoken.h says which of it lives how long.
 */
#ifndef NGX_HTTP_SUBTOKEN_STATE_H
#define NGX_HTTP_SUBTOKEN_STATE_H

#include "edge/nginx/ngx_http_subtoken_settings.h"

/* Whom a credential stands for: as a subtoken says, or the decision endpoint. Of a request
 * without a credential: what an anonymous user may do.
 */
typedef struct {
  ngx_str_t sub;         /* empty: anonymous */
  ngx_str_t key;         /* the key's public id; empty: unknown, as it is for every subtoken */
  ngx_str_t owner;       /* the key's owner; likewise */
  ngx_str_t permissions; /* with commas between them */
  ngx_str_t tid;         /* of a subtoken; empty: it is none */
  int64_t expires;       /* SUBTOKEN_TIME_MAX: never */
} ngx_http_subtoken_identity_t;

/* The response to a request that may not pass. */
typedef struct {
  ngx_uint_t status;
  const char *result;    /* the reason, for $subtoken_result and the log */
  const char *challenge; /* of WWW-Authenticate; NULL: none. It lives as long as the request */
  const char *text;
  subtoken_text scope; /* the missing permission, which follows the text */
  subtoken_text body;  /* in place of a body with the text; in the pool of the request */
  time_t retry_after;  /* seconds; 0: unknown */
} ngx_http_subtoken_rejection_t;

/* What a request or subrequest asks for, as the client or the including page wrote it. */
typedef struct ngx_http_subtoken_original_s {
  ngx_http_request_t *request;
  subtoken_text method;
  subtoken_text target;
  subtoken_text redirect; /* the path of the last internal redirect; empty: there was none */
  subtoken_text redirect_method;
  const char *result; /* of a subrequest: why it was refused, or ok; NULL: it was not evaluated */
  bool ended;         /* its log line is being written */
  struct ngx_http_subtoken_original_s *next; /* of another subrequest */
} ngx_http_subtoken_original_t;

/* The result of an evaluation of the main request, and what it depends on. */
typedef struct {
  const ngx_http_subtoken_loc_conf_t *conf; /* the settings; NULL: there is no result yet */
  ngx_msec_t time;
  ngx_http_subtoken_rejection_t rejection; /* unless it passes */
  const void *skipped_in; /* the location whose allow or auth_basic lets the request in, so that
                             the endpoint was not asked; NULL: that is not so */
  const void *address;    /* of the client, as nginx knew it then */
  bool passes;
  bool allowed;     /* nginx's own `satisfy any` and allow let it in in any case */
  bool as_redirect; /* it passes only as the public path of an internal redirect */
  bool early;       /* by the server's own `if` or `set`: no location uses it yet */
  bool metadata;    /* it passes because the module itself answers it */
} ngx_http_subtoken_outcome_t;

typedef enum {
  NGX_HTTP_SUBTOKEN_CREDENTIAL_NONE = 0,
  NGX_HTTP_SUBTOKEN_CREDENTIAL_ONE,
  NGX_HTTP_SUBTOKEN_CREDENTIAL_AMBIGUOUS,
  NGX_HTTP_SUBTOKEN_CREDENTIAL_UNREADABLE,
} ngx_http_subtoken_credential_state_t;

#define NGX_HTTP_SUBTOKEN_IN_BEARER 1
#define NGX_HTTP_SUBTOKEN_IN_KEY_HEADER 2
#define NGX_HTTP_SUBTOKEN_IN_QUERY 4
#define NGX_HTTP_SUBTOKEN_IN_BASIC 8
#define NGX_HTTP_SUBTOKEN_IN_ANY 15

typedef struct {
  ngx_http_subtoken_credential_state_t state;
  subtoken_text text;     /* of HTTP Basic: the whole value of the header */
  uint8_t forms;          /* NGX_HTTP_SUBTOKEN_IN_*: all in which it came */
  unsigned preflight : 1; /* the headers of a CORS preflight are there */
} ngx_http_subtoken_credential_t;

/* What a walk over the headers found, and the list in which it did. */
typedef struct {
  ngx_http_subtoken_credential_t credential;
  const ngx_table_elt_t *elts; /* the only part of the list; NULL: there were more */
  ngx_uint_t nelts;
  const u_char *last;            /* the name of the last header */
  const ngx_table_elt_t *source; /* the header of the credential, or any */
  ngx_str_t value;               /* its value */
  ngx_uint_t forms;              /* NGX_HTTP_SUBTOKEN_IN_*: those that were read */
  bool identity;                 /* there were X-Subtoken-* headers */
} ngx_http_subtoken_headers_t;

/* The state of a request and all its subrequests. */
typedef struct {
  ngx_http_subtoken_original_t original;   /* of the main request; subrequests follow it */
  ngx_http_subtoken_outcome_t outcome;     /* of the main request */
  ngx_str_t query_credential;              /* decoded; empty: none */
  ngx_http_subtoken_fallback_t *fallbacks; /* requests to decision endpoints */
  unsigned query_token : 1;                /* there is an access_token=, whatever it holds */
  unsigned query_ambiguous : 1;
  unsigned query_unreadable : 1;
  unsigned body_read : 1;
  unsigned granted : 1;    /* by a credential, or as anonymous: .identity is set */
  unsigned error_page : 1; /* a rejection was left to error_page: the next is answered here */
  unsigned rejected : 1;   /* or blocked: its error page must not see what was asked for */
  unsigned blocked : 1;    /* by its address: the endpoint is never asked about it */
  unsigned decided : 1;    /* for a location, and not only for a variable */
  unsigned ended : 1;      /* its log line is being written: .denied is set */
  const char *result;      /* a reason, or NULL when nothing was evaluated */
  const ngx_http_subtoken_loc_conf_t *result_conf; /* the settings under which .result came about */
  ngx_http_subtoken_identity_t identity;           /* its texts are empty unless it was granted */
  ngx_http_subtoken_identity_t *denied; /* for its log line: of a request that was refused */
  ngx_http_subtoken_headers_t headers;  /* as REWRITE found them */
} ngx_http_subtoken_ctx_t;

/* One request to a decision endpoint, and its response. */
struct ngx_http_subtoken_fallback_s {
  ngx_http_subtoken_fallback_t *next;
  ngx_http_request_t *request; /* that waits for it */
  ngx_str_t endpoint;          /* the location that is asked */
  subtoken_text audience;      /* for which it is asked; empty: none */
  subtoken_text credential;
  ngx_http_subtoken_cache_t *cache;
  ngx_http_subtoken_identity_t *identity; /* NULL: none was told */
  ngx_uint_t status;
  time_t retry_after; /* 0: not said */
  ngx_msec_t asked;   /* when */
  uint8_t forms;
  uint8_t cache_key[SUBTOKEN_MAC_LEN];
#define NGX_HTTP_SUBTOKEN_NONCE_LEN 32 /* hex digits */
  u_char nonce[NGX_HTTP_SUBTOKEN_NONCE_LEN];
  unsigned has_cache_key : 1;
  unsigned anonymous : 1; /* no credential came */
  unsigned waiting : 1;   /* there is no response yet */
  unsigned genuine : 1;   /* the response has the nonce */
  unsigned logged : 1;
  unsigned limited : 1;    /* limit_req or limit_conn refused it: .status is theirs */
  unsigned req_status : 3; /* what these had said of the request before */
  unsigned conn_status : 2;
};

/* One evaluation. It lies on the stack and does not survive a wait. The last members are long, and
 * not cleared before they are written.
 */
typedef struct {
  ngx_http_request_t *r;
  const ngx_http_subtoken_loc_conf_t *conf;
  ngx_http_subtoken_ctx_t *ctx;
  const ngx_http_subtoken_identity_t *identity; /* as the endpoint told; NULL: it was not asked */
  ngx_http_subtoken_original_t *original;
  bool may_wait; /* for a body */
  bool may_ask;  /* the decision endpoint */
  bool skipped;  /* it was not asked, because nginx lets the request in for another reason */
  bool as_redirect;
  bool granted; /* .claims are those of a credential; false: the route is public */
  bool metadata;
  const ngx_http_subtoken_credential_t *credential;
  subtoken_request request;
  subtoken_verifier verifier;
  subtoken_feed_clock clock;
  ngx_http_subtoken_headers_t headers; /* unless those of the state hold */
  subtoken_feed feed;                  /* for settings that differ from those of the worker's */
  subtoken_decision decision;
  subtoken_claims claims;
} ngx_http_subtoken_evaluation_t;

#endif
