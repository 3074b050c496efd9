/* What the files of the module for Apache httpd share. A request goes from mod_subtoken.c (the
 * directives and hooks) to decide.c, which has what files.c keeps fresh (file.c reads one);
 * request.c takes out of a request what must not reach the API or a log, fallback.c asks the server
 * about whole keys.
 */
#ifndef SUBTOKEN_EDGE_APACHE_SUBTOKEN_APACHE_H
#define SUBTOKEN_EDGE_APACHE_SUBTOKEN_APACHE_H

#include <httpd.h>
/* The others need it before them. */
#include <apr_strings.h>
#include <apr_tables.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <stdbool.h>
#include <stdint.h>

#include "subtoken/cache.h"
#include "subtoken/edge.h"
#include "subtoken/feed.h"

extern module AP_MODULE_DECLARE_DATA SUBTOKEN_EXPORT subtoken_module;
APLOG_USE_MODULE(subtoken);

#define MOD_SUBTOKEN_ERROR_MAX 512

/* ---- file.c: one file that is read whole ---- */

typedef struct mod_subtoken_file {
  const char *path;
  bool secret;        /* only its owner and its group may read it */
  bool trusted_group; /* and its group may write it */
  bool tried;
  int error; /* errno */
  int64_t stamp[5];
} mod_subtoken_file;

/* Write an error text of at most MOD_SUBTOKEN_ERROR_MAX bytes. Returns false. */
bool mod_subtoken_file_fail(char *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Open a regular file and note its stamp; *size is its length. -1: *error. */
int mod_subtoken_file_open(mod_subtoken_file *file, size_t max, size_t *size, char *error);
bool mod_subtoken_file_read(mod_subtoken_file *file, int fd, char *out, size_t size, char *error);
/* Must it be read again? */
bool mod_subtoken_file_has_changed(const mod_subtoken_file *file);

/* ---- files.c: the ring, the revocation data and the policies of this process ---- */

typedef struct mod_subtoken_secrets {
  mod_subtoken_file file;
  subtoken_ring *ring; /* of the process; NULL, or without a secret: there is none yet */
} mod_subtoken_secrets;

typedef struct mod_subtoken_policy {
  mod_subtoken_file file;
  void *memory;
  const subtoken_policy *policy; /* NULL: there is none yet */
} mod_subtoken_policy;

typedef struct mod_subtoken_feed {
  const char *path;
  mod_subtoken_secrets *secrets;
  int64_t leeway, max_age;
  bool allow_old;
  bool started;
  subtoken_feed_file file;
  subtoken_feed_result logged, age_logged;
} mod_subtoken_feed;

mod_subtoken_secrets *mod_subtoken_files_add_secrets(apr_pool_t *pool, const char *path,
                                                     bool trusted_group);
mod_subtoken_policy *mod_subtoken_files_add_policy(apr_pool_t *pool, const char *path);
mod_subtoken_feed *mod_subtoken_files_add_feed(apr_pool_t *pool, const mod_subtoken_feed *wanted);

void mod_subtoken_files_begin(apr_pool_t *pconf); /* before the configuration is read */
bool mod_subtoken_files_check(server_rec *server);
void mod_subtoken_files_start(apr_pool_t *pchild, server_rec *server, size_t cache_size);

/* What it has holds still between these two. */
void mod_subtoken_files_lock(void);
void mod_subtoken_files_unlock(void);

int64_t mod_subtoken_files_monotonic(void);

/* ---- caches.c ---- */

void mod_subtoken_caches_begin(apr_pool_t *pchild, size_t max, size_t size); /* size 0: none */
void mod_subtoken_caches_end(void);

/* A cache that is nobody else's until it is given back; NULL: none. */
subtoken_cache *mod_subtoken_caches_take(void);
void mod_subtoken_caches_give(subtoken_cache *cache);

/* ---- mod_subtoken.c: the configuration ---- */

typedef struct mod_subtoken_server_conf {
  mod_subtoken_secrets *secrets;
  mod_subtoken_feed *feed; /* made when all directives are known */
  const char *revocations; /* empty: off */
  const char *audience, *issuer;
  int64_t leeway, max_age, max_life; /* -1: not set */
  int stale;                         /* -1, else whether old data may decide */
  apr_off_t cache_size;              /* -1: not set */
  apr_array_header_t *fallbacks; /* of const char *: the locations of SubtokenFallback; or NULL */
} mod_subtoken_server_conf;

typedef struct mod_subtoken_dir_conf {
  int on; /* -1: not set */
  mod_subtoken_policy *policy;
  bool policy_set;
  const char *fallback;
  bool fallback_set;
  apr_array_header_t *needs; /* of subtoken_text; NULL: not set */
  unsigned forms;            /* 0: not set */
} mod_subtoken_dir_conf;

/* ---- request.c ---- */

/* Of the request that a client sent; redirects inside the server share it. */
typedef struct mod_subtoken_ctx {
  const char *target; /* as it was sent, with its query */
  bool asking;        /* the next subrequest asks the server */
} mod_subtoken_ctx;

/* NULL: it was refused before it was read. */
mod_subtoken_ctx *mod_subtoken_request_ctx(request_rec *r);
void mod_subtoken_request_begin(request_rec *r);
void mod_subtoken_request_remove_identity(request_rec *r);
void mod_subtoken_request_hide_token(request_rec *r);
void mod_subtoken_request_remove_token(request_rec *r);
size_t mod_subtoken_request_values(request_rec *r, const char *name, subtoken_text *values,
                                   size_t max);

static inline subtoken_text mod_subtoken_text(const char *text) {
  return (subtoken_text){text, text == NULL ? 0 : strlen(text)};
}

/* ---- decide.c, fallback.c ---- */

/* OK, DONE (it was answered), or a status. */
int mod_subtoken_decide(request_rec *r, mod_subtoken_ctx *ctx,
                        const mod_subtoken_server_conf *server, const mod_subtoken_dir_conf *conf);

/* Views into the pool of r. */
void mod_subtoken_fallback_ask(request_rec *r, mod_subtoken_ctx *ctx, const char *location,
                               const subtoken_edge_header *question, size_t count,
                               subtoken_edge_answer *answer);
void mod_subtoken_fallback_register(void);

#endif
