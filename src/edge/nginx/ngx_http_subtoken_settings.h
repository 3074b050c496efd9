/* ngx_http_subtoken_settings - what a worker has: the settings of its configuration, the files that
 * they name, what it counts. The types, and the functions of the files that load them: file,
 * tokens, secrets, policy, feed. ngx_http_subtoken.h says how they work together.
 */
#ifndef NGX_HTTP_SUBTOKEN_SETTINGS_H
#define NGX_HTTP_SUBTOKEN_SETTINGS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "subtoken/feed.h"
#include "subtoken/policy.h"

#define NGX_HTTP_SUBTOKEN_ERROR_MAX 1024 /* bytes of an error text, with its NUL */

/* ---- settings ---- */

/* A file that is read whole, and its stamp when it was last tried. */
typedef struct {
  ngx_str_t path; /* with a NUL behind it */
  int64_t stamp[5];
  int error; /* errno of the last try; 0: it could be read, whether its content was good or bad */
  unsigned tried : 1;
  unsigned bad : 1;           /* what the last try found is not in use */
  unsigned secret : 1;        /* it must be closed to others */
  unsigned trusted_group : 1; /* a secret: its group may also write it */
} ngx_http_subtoken_file_t;

/* What becomes of requests when a file is bad. */
#define NGX_HTTP_SUBTOKEN_FILE_KEPT "the loaded one stays in use"
#define NGX_HTTP_SUBTOKEN_FILE_MISSING "requests are answered with 503 until it can be read"

typedef struct {
  size_t size;          /* bytes, the largest that a location asks for; 0: none */
  subtoken_cache cache; /* zeroed: there is none */
} ngx_http_subtoken_tokens_t;

typedef struct {
  ngx_http_subtoken_file_t file;
  subtoken_ring *ring;               /* in pages of its own; NULL or empty until it could be read */
  ngx_http_subtoken_tokens_t tokens; /* that were good under the ring */
} ngx_http_subtoken_secrets_t;

typedef struct {
  ngx_http_subtoken_file_t file;
  void *memory;
  const subtoken_policy *policy; /* in memory; NULL until it could be read */
} ngx_http_subtoken_policy_t;

typedef struct {
  ngx_str_t path;
  ngx_http_subtoken_secrets_t *secrets;
  time_t leeway;
  time_t max_age;           /* the smallest of all locations; for the log */
  subtoken_feed_file *file; /* NULL until the worker has started */
  subtoken_feed_result logged;
  subtoken_feed_result age_logged; /* UNDECIDED: nothing yet */
  size_t max_size;                 /* bytes; 0: the library's default */
  unsigned mount_logged : 1;
} ngx_http_subtoken_feed_t;

/* What a worker counts, and what it has loaded. The numbers are read by the other workers while it
 * writes them.
 */
#define NGX_HTTP_SUBTOKEN_REASONS 32
#define NGX_HTTP_SUBTOKEN_STATUSES 500 /* from 100 */
#define NGX_HTTP_SUBTOKEN_BUCKETS 14
#define NGX_HTTP_SUBTOKEN_SLOT_FILES 32 /* of more the others are not shown */

typedef enum {
  NGX_HTTP_SUBTOKEN_QUESTION_OK = 0,
  NGX_HTTP_SUBTOKEN_QUESTION_UNKNOWN,
  NGX_HTTP_SUBTOKEN_QUESTION_THROTTLED,
  NGX_HTTP_SUBTOKEN_QUESTION_FAILED,
  NGX_HTTP_SUBTOKEN_QUESTION_RESULTS,
} ngx_http_subtoken_question_result_t;

typedef struct {
  ngx_atomic_t buckets[NGX_HTTP_SUBTOKEN_BUCKETS];
  ngx_atomic_t sum; /* milliseconds */
} ngx_http_subtoken_times_t;

typedef struct {
  ngx_atomic_t id; /* see ngx_http_subtoken_counters_file_id; 0: none */
  ngx_atomic_t ok;
  ngx_atomic_t count; /* of secrets, or of what is revoked */
  volatile int64_t time, grew, sequence;
} ngx_http_subtoken_slot_file_t;

typedef struct {
  ngx_atomic_t used;
  ngx_atomic_t started; /* seconds since 1970 */
  ngx_atomic_t decisions[NGX_HTTP_SUBTOKEN_REASONS];
  ngx_atomic_t questions[NGX_HTTP_SUBTOKEN_QUESTION_RESULTS];
  ngx_atomic_t known; /* identities that the cache had */
  ngx_atomic_t statuses[NGX_HTTP_SUBTOKEN_STATUSES];
  ngx_http_subtoken_times_t requests, questions_times;
  ngx_http_subtoken_slot_file_t files[NGX_HTTP_SUBTOKEN_SLOT_FILES];
} ngx_http_subtoken_slot_t;

typedef struct ngx_http_subtoken_cache_s ngx_http_subtoken_cache_t;
typedef struct ngx_http_subtoken_fallback_s ngx_http_subtoken_fallback_t;

typedef struct {
  ngx_array_t secrets;  /* of ngx_http_subtoken_secrets_t *, each file once */
  ngx_array_t policies; /* of ngx_http_subtoken_policy_t * */
  ngx_array_t feeds;    /* of ngx_http_subtoken_feed_t * */
  ngx_http_subtoken_cache_t *cache;
  ngx_http_handler_pt allow_deny;  /* of nginx's access module; NULL: it is not built in */
  ngx_http_handler_pt auth_basic;  /* of its auth_basic module; likewise */
  ngx_array_t target_variables;    /* of ngx_uint_t: indices of $request_uri, $args ... */
  ngx_array_t identity_variables;  /* and of $http_x_subtoken_* */
  ngx_array_t own_variables;       /* and of those of the module */
  ngx_shm_zone_t *zone;            /* of subtoken_status; NULL: no location has it */
  ngx_http_subtoken_slot_t *slots; /* in it, one a worker */
  ngx_http_subtoken_slot_t *slot;  /* this worker's; NULL: nothing is counted */
  ngx_event_t timer;
  ngx_uint_t polls;                  /* of the timer */
  ngx_connection_t timer_connection; /* nginx's debug log reads the fd of a timer's connection */
  unsigned enabled : 1;              /* in some location */
  unsigned fallback : 1;             /* in some location */
} ngx_http_subtoken_main_conf_t;

typedef struct {
  ngx_flag_t enable;
  ngx_flag_t identity;      /* the module owns the X-Subtoken-* headers */
  ngx_flag_t merge_slashes; /* in the target that is evaluated, and passed on */
  ngx_flag_t read_body;     /* of JSON-RPC and MCP */
  ngx_uint_t credentials;   /* NGX_HTTP_SUBTOKEN_IN_*: the forms that are read */
  ngx_http_subtoken_secrets_t *secrets;
  ngx_http_subtoken_policy_t *policy; /* NULL: none */
  ngx_http_subtoken_feed_t *feed;     /* NULL: `subtoken_revocations off` */
  ngx_str_t revocations;              /* its path; empty: off */
  size_t revocations_max;             /* bytes; 0: the library's default */
  ngx_array_t *require;               /* of subtoken_text; NULL: none */
  ngx_str_t fallback;                 /* a location; empty: off */
  ngx_str_t audience;                 /* for which tokens may be; empty: none */
  ngx_str_t issuer;                   /* the server's URL, for RFC 9728; empty: none */
  ngx_uint_t stale;                   /* NGX_HTTP_SUBTOKEN_STALE_* */
  time_t max_age;
  time_t leeway;
  time_t max_life;
  size_t cache; /* bytes for authenticated tokens; 0: off */
} ngx_http_subtoken_loc_conf_t;

#define NGX_HTTP_SUBTOKEN_STALE_DENY 0
#define NGX_HTTP_SUBTOKEN_STALE_ALLOW 1

/* ---- file ---- */

/* Write an error text of at most NGX_HTTP_SUBTOKEN_ERROR_MAX bytes. Returns NGX_ERROR. */
ngx_int_t ngx_http_subtoken_file_fail(char *error, const char *format, ...);
/* The same for errno, which is noted in the file. */
ngx_int_t ngx_http_subtoken_file_fail_errno(ngx_http_subtoken_file_t *file, char *error);
/* Open a regular file and note its stamp; *size is its length. -1: *error. */
int ngx_http_subtoken_file_open(ngx_http_subtoken_file_t *file, size_t max, size_t *size,
                                char *error);
ngx_int_t ngx_http_subtoken_file_read(ngx_http_subtoken_file_t *file, int fd, char *out,
                                      size_t size, char *error);
/* Must it be read again? */
ngx_flag_t ngx_http_subtoken_file_has_changed(ngx_http_subtoken_file_t *file);
/* Is this the error that was logged before? */
ngx_flag_t ngx_http_subtoken_file_is_same_error(const ngx_http_subtoken_file_t *before,
                                                const ngx_http_subtoken_file_t *file);
/* The object in the list whose file has this path, or NULL. A file is the first member of each. */
void *ngx_http_subtoken_file_find(const ngx_array_t *list, const ngx_str_t *path);
/* A zeroed object in the list; NULL: no memory. */
void *ngx_http_subtoken_file_add(ngx_conf_t *cf, ngx_array_t *list, size_t size);

/* ---- tokens ---- */

/* In a worker: get the memory. Without it each token is verified anew, which is logged. */
void ngx_http_subtoken_tokens_create(ngx_http_subtoken_tokens_t *tokens, ngx_log_t *log);
void ngx_http_subtoken_tokens_wipe(ngx_http_subtoken_tokens_t *tokens);
/* Wipe and give back the memory. */
void ngx_http_subtoken_tokens_free(ngx_http_subtoken_tokens_t *tokens);

/* ---- secrets, policy, feed ---- */

/* While the configuration is read: check a file and note its name. NULL: the error is logged. */
ngx_http_subtoken_secrets_t *ngx_http_subtoken_secrets_add(ngx_conf_t *cf, ngx_str_t *path,
                                                           bool trusted_group);
ngx_http_subtoken_policy_t *ngx_http_subtoken_policy_add(ngx_conf_t *cf, ngx_str_t *path);
ngx_http_subtoken_feed_t *ngx_http_subtoken_feed_add(ngx_conf_t *cf,
                                                     ngx_http_subtoken_loc_conf_t *conf);

/* Read a keyring that the caller wipes. */
ngx_int_t ngx_http_subtoken_secrets_read(ngx_http_subtoken_file_t *file, subtoken_ring *ring,
                                         char *error);

/* In a worker: load a file, or what has changed of it; an error is logged once. */
void ngx_http_subtoken_secrets_poll(ngx_http_subtoken_secrets_t *secrets, ngx_log_t *log);
void ngx_http_subtoken_policy_poll(ngx_http_subtoken_policy_t *policy, ngx_log_t *log);
void ngx_http_subtoken_feed_start(ngx_http_subtoken_feed_t *feed, ngx_log_t *log);
/* True: there is more to do at once. */
ngx_flag_t ngx_http_subtoken_feed_poll(ngx_http_subtoken_feed_t *feed, ngx_log_t *log);

/* When it ends. */
void ngx_http_subtoken_secrets_free(ngx_http_subtoken_secrets_t *secrets);
void ngx_http_subtoken_policy_free(ngx_http_subtoken_policy_t *policy);
void ngx_http_subtoken_feed_free(ngx_http_subtoken_feed_t *feed);

/* Seconds of a clock that nobody sets, read once in a turn of the event loop. */
int64_t ngx_http_subtoken_feed_monotonic(void);

#endif
