/* config - the text of a configuration file to settings (subtoken.conf(5)). */
#ifndef ST_DOMAIN_CONFIG_H
#define ST_DOMAIN_CONFIG_H

#include "domain/listen.h"
#include "domain/network.h"

#define ST_CONFIG_MAX 65536 /* bytes of a configuration file */
#define ST_CONFIG_ERROR_MAX 256
#define ST_PATH_TEXT_MAX 1024
#define ST_PROXIES_MAX 32
#define ST_ISSUER_MAX 255
#define ST_PERMISSION_TEXTS_MAX 8191
#define ST_PEER_UNIX "unix:" /* the peer of a connection to a socket in the file system */

/* The forms in which a credential comes. */
enum {
  ST_FORM_BEARER = 1,
  ST_FORM_API_KEY = 2, /* X-API-Key */
  ST_FORM_QUERY = 4,   /* access_token= */
  ST_FORM_BASIC = 8,
  ST_FORMS_ALL = 15,
};

typedef struct st_settings {
  size_t listen_count; /* at least 1 */
  st_listen listen[ST_LISTEN_MAX];
  bool behind_tls;
  int64_t threads;
  int64_t leeway, default_life, max_life; /* seconds */
  int64_t access_life, refresh_life;
  int64_t refresh_retry;    /* seconds in which a refresh token may be presented again */
  int64_t sessions_per_key; /* of a key with `services`, that live at a time */
  int64_t keys_per_owner;   /* that live at a time, as far as they are made over HTTP */
  int64_t audit_keep;       /* seconds that a line of the audit log is kept; 0: for ever */
  int64_t idle_timeout;     /* seconds in which a connection may wait for its next request */
  unsigned credentials;     /* the enabled forms: ST_FORM_* */
  bool data_group;          /* DATA may be open to its group */
  bool basic_challenge;     /* a 401 asks for Basic, too */
  bool page;                /* the web page is served */
  bool registration_open;   /* anybody may register as a user without permissions */
  int64_t rate_per_second;  /* 0: no limit */
  int64_t rate_burst;
  char store[ST_PATH_TEXT_MAX];   /* a URI of libpq; empty: SQLite in DATA */
  int64_t store_staleness;        /* seconds until another issuer's change is in force here */
  int64_t store_cache;            /* MiB for what requests need of the store */
  char log[ST_PATH_TEXT_MAX];     /* empty: standard error */
  char policy[ST_PATH_TEXT_MAX];  /* of the decision endpoint; empty: none */
  char issuer[ST_ISSUER_MAX + 1]; /* an https URL without a slash at its end; empty: none */
  bool metrics;                   /* what is answered is counted, and told at /metrics */
  st_listen metrics_listen;       /* where anybody may ask for them; of kind NONE: nowhere */
  /* What permissions let their holder do, for the page: a JSON object of strings; empty: none. */
  char permission_texts[ST_PERMISSION_TEXTS_MAX + 1];
  bool trusts_unix; /* whoever connects to a socket in the file system is a proxy */
  size_t proxy_count;
  st_network proxies[ST_PROXIES_MAX];
} st_settings;

void st_config_default(st_settings *settings);

/* Read a file's text over the defaults; whole or not at all. error, of
 * ST_CONFIG_ERROR_MAX bytes, names the setting and its line.
 */
bool st_config_read(subtoken_text text, st_settings *settings, char *error)
    __attribute__((warn_unused_result));

/* Is it the address of a proxy whose X-Forwarded-For is believed? */
bool st_config_trusts(const st_settings *settings, subtoken_text address);

#endif
