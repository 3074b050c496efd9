/* ngx_http_subtoken - the nginx module: subtokens judged before the access phase ends.
 *
 *   module      directives, variables, phases: what nginx sees
 *   files       secrets, policies and revocation data, taken up as they change
 *   origin      what was asked for, before the configuration rewrote it
 *   credential  which credential a request brought; access_token= is not passed on
 *   judge       may this request pass? And its body, on JSON-RPC routes
 *   fallback    credentials that are no subtoken, asked of the decision endpoint
 *   identity    the X-Subtoken-* headers of whatever upstream the request goes to
 *   reply       the answer when it may not pass
 *   log         nginx's error log, without credentials
 *
 * When a request is judged. Once for the settings of a location: by the first variable that
 * somebody reads, in any phase, if nothing has to be waited for; else in PREACCESS, before
 * limit_req and limit_conn, where the body and the decision endpoint may be waited for. ACCESS
 * only answers. By what: by what the client, or the page that includes, asked for; never by
 * what `rewrite` made of it. What nginx's own allow and deny refuse is not judged at all.
 *
 * One process, one thread: what is judged is judged between two turns of the event loop, and
 * starts anew after each wait. A verdict is kept as its own copy, for a second at most
 * (limit_req may hold the request back), so nothing of a file is held across a wait.
 */
#ifndef NGX_HTTP_SUBTOKEN_H
#define NGX_HTTP_SUBTOKEN_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "subtoken/feed.h"
#include "subtoken/policy.h"

#define NGX_HTTP_SUBTOKEN_WHY_MAX 1024

/* A file that is read whole, and what it was when it was last tried. */
typedef struct {
  ngx_str_t path; /* with a NUL behind it */
  int64_t stamp[5];
  int error; /* errno of the last try; 0: it could be read, be it good or bad */
  unsigned tried : 1;
} ngx_http_subtoken_file_t;

typedef struct {
  ngx_http_subtoken_file_t file;
  subtoken_ring *ring; /* in pages of its own; NULL or empty until it could be read */
} ngx_http_subtoken_secrets_t;

typedef struct {
  ngx_http_subtoken_file_t file;
  void *memory;
  const subtoken_policy *policy; /* NULL until it could be read */
} ngx_http_subtoken_policy_t;

typedef struct {
  ngx_str_t path;
  ngx_http_subtoken_secrets_t *secrets;
  time_t leeway;
  time_t max_age;           /* the smallest that a location has; for the log */
  subtoken_feed_file *file; /* NULL until the worker has started */
  subtoken_feed_result said;
  subtoken_feed_result age_said; /* UNDECIDED: nothing yet */
  size_t max_size;               /* 0: the library's default */
  unsigned mount_said : 1;
} ngx_http_subtoken_feed_t;

/* Who a credential is: of a subtoken, or as the decision endpoint says; or what anybody may do. */
typedef struct {
  ngx_str_t sub;         /* empty: nobody's */
  ngx_str_t key;         /* the key's public id; empty: not known, as of every subtoken */
  ngx_str_t owner;       /* the key's owner; likewise */
  ngx_str_t permissions; /* with commas between them */
  int64_t expires;       /* SUBTOKEN_TIME_MAX: never */
} ngx_http_subtoken_identity_t;

typedef struct ngx_http_subtoken_cache_s ngx_http_subtoken_cache_t;
typedef struct ngx_http_subtoken_answer_s ngx_http_subtoken_answer_t;

typedef struct {
  ngx_array_t secrets;  /* of ngx_http_subtoken_secrets_t *, each file once */
  ngx_array_t policies; /* of ngx_http_subtoken_policy_t * */
  ngx_array_t feeds;    /* of ngx_http_subtoken_feed_t * */
  ngx_http_subtoken_cache_t *cache;
  ngx_http_handler_pt allow_deny; /* of nginx's access module; NULL: it is not there */
  ngx_http_handler_pt auth_basic; /* of its auth_basic module; NULL likewise */
  ngx_array_t target_variables;   /* of ngx_uint_t: indices of $request_uri, $args ... */
  ngx_array_t identity_variables; /* and of $http_x_subtoken_* */
  ngx_event_t timer;
  ngx_connection_t timer_connection; /* what nginx's debug log asks a timer for */
  unsigned enabled : 1;              /* somewhere */
  unsigned fallback : 1;             /* somewhere */
} ngx_http_subtoken_main_conf_t;

typedef struct {
  ngx_flag_t enable;
  ngx_flag_t identity;      /* the X-Subtoken-* headers are ours */
  ngx_flag_t merge_slashes; /* in the target that is judged, and passed on */
  ngx_uint_t credentials;   /* NGX_HTTP_SUBTOKEN_IN_*: the forms that are looked at */
  ngx_http_subtoken_secrets_t *secrets;
  ngx_http_subtoken_policy_t *policy; /* NULL: none */
  ngx_http_subtoken_feed_t *feed;     /* NULL: `subtoken_revocations off` */
  ngx_str_t revocations;              /* its path; empty: off */
  size_t revocations_max;             /* bytes; 0: the library's default */
  ngx_array_t *require;               /* of subtoken_text; NULL: none */
  ngx_str_t fallback;                 /* empty: off */
  ngx_uint_t stale;
  time_t max_age;
  time_t leeway;
  time_t max_life;
} ngx_http_subtoken_loc_conf_t;

#define NGX_HTTP_SUBTOKEN_STALE_DENY 0
#define NGX_HTTP_SUBTOKEN_STALE_ALLOW 1

typedef struct {
  ngx_uint_t status; /* 200: it may pass */
  const char *result;
  const char *challenge; /* or NULL */
  const char *text;
  subtoken_text scope; /* that is lacking: it stands behind the text */
  time_t retry_after;  /* seconds; 0: nothing is known of it */
} ngx_http_subtoken_verdict_t;

/* What a request or subrequest asks for, as whoever made it wrote it. */
typedef struct ngx_http_subtoken_origin_s {
  ngx_http_request_t *request;
  subtoken_text method;
  subtoken_text target;
  subtoken_text page; /* the path that the last internal redirect led to; empty: none did */
  subtoken_text page_method;
  struct ngx_http_subtoken_origin_s *next; /* of another subrequest */
} ngx_http_subtoken_origin_t;

/* What was found about a request, by the settings of one location. */
typedef struct {
  const ngx_http_subtoken_loc_conf_t *conf; /* NULL: nothing yet */
  ngx_msec_t time;
  ngx_http_subtoken_verdict_t verdict; /* unless it passes */
  const void *unasked_in; /* the location for which nginx lets it in itself; else NULL */
  const void *address;    /* of the client, as it was known */
  unsigned passes : 1;
  unsigned let_in : 1;  /* by nginx's own `satisfy any` and allow, if it does not */
  unsigned as_page : 1; /* as the public page that an internal redirect led to */
  unsigned early : 1;   /* for the server's own `if` and `set`: no location goes by it yet */
} ngx_http_subtoken_judged_t;

/* The state of one request and all its subrequests; it outlives internal redirects. */
typedef struct {
  ngx_http_subtoken_origin_t origin;   /* of the request; its subrequests' are behind it */
  ngx_http_subtoken_judged_t judged;   /* the request; subrequests are answered at once */
  ngx_str_t query_credential;          /* decoded; empty: none */
  ngx_http_subtoken_answer_t *answers; /* of the decision endpoints that were asked */
  unsigned query_ambiguous : 1;
  unsigned query_unreadable : 1;
  unsigned body_read : 1;
  unsigned granted : 1;    /* by the credential, or as what anybody may do: who is set */
  unsigned error_page : 1; /* a refusal was left to it: the next one is answered here */
  unsigned refused : 1;    /* or blocked: its error page sees nothing of it */
  unsigned blocked : 1;    /* by its address: nobody is asked about it, wherever it leads */
  const char *result;      /* a word, or NULL when nothing was judged */
  ngx_http_subtoken_identity_t who; /* its texts are empty unless it was granted */
} ngx_http_subtoken_ctx_t;

typedef enum {
  NGX_HTTP_SUBTOKEN_NONE = 0,
  NGX_HTTP_SUBTOKEN_ONE,
  NGX_HTTP_SUBTOKEN_AMBIGUOUS,
  NGX_HTTP_SUBTOKEN_UNREADABLE,
} ngx_http_subtoken_found_t;

#define NGX_HTTP_SUBTOKEN_IN_BEARER 1
#define NGX_HTTP_SUBTOKEN_IN_KEY_HEADER 2
#define NGX_HTTP_SUBTOKEN_IN_QUERY 4
#define NGX_HTTP_SUBTOKEN_IN_BASIC 8
#define NGX_HTTP_SUBTOKEN_IN_ANY 15

/* What came in a request's headers and query. */
typedef struct {
  ngx_http_subtoken_found_t found;
  subtoken_text text;     /* of HTTP Basic: the whole value of the header */
  uint8_t forms;          /* all in which it came */
  unsigned preflight : 1; /* the headers of a CORS preflight are there */
} ngx_http_subtoken_credential_t;

extern ngx_module_t ngx_http_subtoken_module;

/* ---- files ---- */

/* Check a file while the configuration is read, and keep its name. NULL: it was said why. */
ngx_http_subtoken_secrets_t *ngx_http_subtoken_add_secrets(ngx_conf_t *cf, ngx_str_t *path);
ngx_http_subtoken_policy_t *ngx_http_subtoken_add_policy(ngx_conf_t *cf, ngx_str_t *path);
ngx_http_subtoken_feed_t *ngx_http_subtoken_add_feed(ngx_conf_t *cf,
                                                     ngx_http_subtoken_loc_conf_t *conf);

/* In a worker: read everything, and look for changes from now on. */
ngx_int_t ngx_http_subtoken_start(ngx_cycle_t *cycle, ngx_http_subtoken_main_conf_t *main);

int64_t ngx_http_subtoken_monotonic(void);

/* ---- origin ---- */

/* The state of a request; made when there is none. NULL: no memory. */
ngx_http_subtoken_ctx_t *ngx_http_subtoken_ctx(ngx_http_request_t *r);
ngx_http_subtoken_ctx_t *ngx_http_subtoken_ctx_if_any(ngx_http_request_t *r);

/* What this request or subrequest asks for. NULL: no memory. */
ngx_http_subtoken_origin_t *ngx_http_subtoken_origin(ngx_http_request_t *r,
                                                     ngx_http_subtoken_ctx_t *ctx);

/* Phase handler, of SERVER_REWRITE: keep what subrequests and internal redirects ask for. */
ngx_int_t ngx_http_subtoken_note_origin(ngx_http_request_t *r);

/* From now on nginx's variables name the page, and no longer what the client asked for. */
ngx_int_t ngx_http_subtoken_become_page(ngx_http_request_t *r,
                                        const ngx_http_subtoken_origin_t *origin);

/* Collapse the slashes of a target's path; the target itself when there is nothing to do. */
ngx_int_t ngx_http_subtoken_merge_slashes(ngx_pool_t *pool, subtoken_text *target);

/* What nginx keeps of these variables is read anew. */
void ngx_http_subtoken_forget(ngx_http_request_t *r, const ngx_array_t *variables);

/* ---- credential ---- */

/* Read access_token= of the request's query into its new state. */
ngx_int_t ngx_http_subtoken_read_query(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx);

/* Of these forms, NGX_HTTP_SUBTOKEN_IN_*; the others are as if they were not there. */
void ngx_http_subtoken_find_credential(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                                       ngx_uint_t forms,
                                       ngx_http_subtoken_credential_t *credential);

/* Is there an access_token in the query of this target? */
ngx_flag_t ngx_http_subtoken_has_access_token(ngx_str_t target);

/* The target itself where there is none. */
ngx_int_t ngx_http_subtoken_without_access_token(ngx_http_request_t *r, ngx_str_t target,
                                                 ngx_str_t *out);

/* Phase handlers: take access_token= out of what is logged, and out of what is passed on. */
ngx_int_t ngx_http_subtoken_clean_log(ngx_http_request_t *r);
ngx_int_t ngx_http_subtoken_clean_target(ngx_http_request_t *r);

/* ---- log ---- */

/* Leave access_token= out of what nginx's error log says of this request. */
void ngx_http_subtoken_clean_error_log(ngx_http_request_t *r);
/* Phase handler, of LOG: what nginx refused before that could be called. */
ngx_int_t ngx_http_subtoken_clean_refused(ngx_http_request_t *r);

/* ---- judge ---- */

/* Phase handlers: PREACCESS judges, and answers subrequests, which the access phase leaves out;
 * ACCESS answers the others. */
ngx_int_t ngx_http_subtoken_preaccess(ngx_http_request_t *r);
ngx_int_t ngx_http_subtoken_access(ngx_http_request_t *r);

/* In REWRITE, before the location sees the target: if all that may be shown is the public page that
 * an internal redirect led to, the request becomes one for it. */
ngx_int_t ngx_http_subtoken_settle_page(ngx_http_request_t *r,
                                        const ngx_http_subtoken_loc_conf_t *conf,
                                        ngx_http_subtoken_ctx_t *ctx);

/* In REWRITE: the location that the request comes to does not judge. What the server's own `if` and
 * `set` were told refuses nothing. */
void ngx_http_subtoken_leave_server(ngx_http_request_t *r);

/* For a variable: the state of the request, judged if that needs no wait. NULL: nothing is known
 * of it. */
ngx_http_subtoken_ctx_t *ngx_http_subtoken_look(ngx_http_request_t *r);

void ngx_http_subtoken_refuse(ngx_http_subtoken_verdict_t *verdict, subtoken_result result);

/* ---- fallback ---- */

/* Ask who this is, or of no credential what anybody may do: NGX_OK (*identity), NGX_DECLINED
 * (*verdict says), NGX_AGAIN, NGX_ERROR. */
ngx_int_t ngx_http_subtoken_ask(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                const ngx_http_subtoken_credential_t *credential,
                                ngx_http_subtoken_verdict_t *verdict,
                                const ngx_http_subtoken_identity_t **identity);
/* Is it, or is it part of, a question to the decision endpoint? */
ngx_flag_t ngx_http_subtoken_is_question(ngx_http_request_t *r);
/* What a token with the same rights would claim. False: it does not fit. */
bool ngx_http_subtoken_identity_claims(const ngx_http_subtoken_identity_t *identity,
                                       subtoken_claims *claims);
ngx_http_subtoken_cache_t *ngx_http_subtoken_cache_make(ngx_pool_t *pool);

/* ---- identity ---- */

/* Take off what came as X-Subtoken-*, in any spelling, and tell who it is (NULL: nobody). */
ngx_int_t ngx_http_subtoken_set_identity(ngx_http_request_t *r,
                                         const ngx_http_subtoken_identity_t *who);
/* When the configuration is read: the hashes of its headers' names. */
void ngx_http_subtoken_hash_identity(void);

/* ---- reply ---- */

/* Answer as the server does, and end the request. A 401 or 403 is left to nginx where it has to
 * ask others (`satisfy any`), or has an error_page for it. What a phase handler returns. */
ngx_int_t ngx_http_subtoken_reply(ngx_http_request_t *r,
                                  const ngx_http_subtoken_verdict_t *verdict);

static inline subtoken_text ngx_http_subtoken_text(ngx_str_t string) {
  subtoken_text text = {(const char *)string.data, string.len};
  return text;
}

#endif
