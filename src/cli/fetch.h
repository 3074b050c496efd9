/* fetch - requests one of a few URLs again and again, over connections that are kept. The only file
 * that calls libcurl. Functions that can fail write a sentence to error, of ST_ERROR_MAX bytes; a
 * credential is never in it.
 */
#ifndef ST_CLI_FETCH_H
#define ST_CLI_FETCH_H

#include "subtoken/revocations.h"

#define ST_ETAG_LEN 43 /* SHA-256 as base64url */
#define ST_FETCH_URLS_MAX 16
#define ST_FETCH_HEAD 160
#define ST_FETCH_TEXT_MAX 4096 /* of the body of a refusal */

typedef struct st_fetch st_fetch;

typedef struct st_fetch_response {
  long status;
  char type[64];              /* the media type, without parameters */
  char etag[ST_ETAG_LEN + 1]; /* without quotes; empty when there is none of this length */
  char heartbeat[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1]; /* empty when there is none of this length */
  uint8_t *body;                                   /* whole with 200, else its first bytes */
  size_t len;
} st_fetch_response;

typedef struct st_fetch_settings {
  const char *const *urls;
  size_t url_count;     /* 1 to ST_FETCH_URLS_MAX */
  const char *audience; /* whose data is asked for; NULL: what the credential gets */
  const char *ca;       /* certificates to trust instead of the system's; NULL: those */
  int64_t timeout;      /* seconds for a whole response, beyond those that it is held back */
  int stop;             /* once this descriptor can be read, the request is given up */
  /* How long a body with 200 is to be, from its first ST_FETCH_HEAD bytes, 0 when that is
   * not known: no more is read. */
  size_t (*length)(void *context, const uint8_t *head, const char *type);
  void *context;
} st_fetch_settings;

typedef enum st_fetch_status {
  ST_FETCH_FAILED = 0, /* error says why */
  ST_FETCH_DONE = 1,   /* there is a response */
  ST_FETCH_STOPPED,
  ST_FETCH_UNFIT,   /* the body is not what settings.length can make anything of, or longer */
  ST_FETCH_BAD_URL, /* of st_fetch_start alone */
} st_fetch_status;

/* https, or http to this machine itself; no user, no password; a URL without a path means the feed
 * there. Loads the library: there is one st_fetch at a time.
 */
st_fetch_status st_fetch_start(const st_fetch_settings *settings, st_fetch **fetch, char *error)
    __attribute__((warn_unused_result));
void st_fetch_stop(st_fetch *fetch);

typedef struct st_fetch_request {
  size_t url; /* which one of settings.urls */
  const char *credential;
  const char *etag; /* of what we have; empty: none */
  int64_t since;    /* the highest sequence that we ever had; 0: none */
  bool whole;       /* changes since then are of no use to us */
  int64_t wait;     /* seconds that the server may hold the response back; 0: not at all */
  int64_t patience; /* seconds to connect in, and in which the response must begin beyond wait */
} st_fetch_request;

/* *response is to be freed, whatever the status. */
st_fetch_status st_fetch_send(st_fetch *fetch, const st_fetch_request *request,
                              st_fetch_response *response, char *error)
    __attribute__((warn_unused_result));
void st_fetch_response_free(st_fetch_response *response);

#endif
