/* Loaded into nginx by fuzz_nginx.c: an nginx module that runs libFuzzer where nginx would begin to
 * wait for clients. Each input is sent to nginx by a socket, and nginx's event loop turns until the
 * connection is closed. Two content handlers stand for what is behind the module: an upstream that
 * looks at what arrives, and a decision endpoint that answers as the input says.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "fuzz.h"
#include "nginx_driver.h"
#include "subtoken/issue.h"
#include "subtoken/url.h"

#define EXPORTED __attribute__((visibility("default")))

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *data, size_t size));

/* ---- credentials ---- */

typedef struct driver_credential {
  char text[SUBTOKEN_ISSUED_MAX + 1];
  char sub[44];
  subtoken_claims claims;
} driver_credential;
static driver_credential credentials[DRIVER_END];
static char *driver_dir, *driver_args;

__attribute__((constructor)) static void driver_read_environment(void) {
  const char *dir = getenv(DRIVER_DIR), *args = getenv(DRIVER_ARGS);
  driver_dir = dir != NULL ? strdup(dir) : NULL;
  driver_args = args != NULL ? strdup(args) : NULL;
  (void)unsetenv("LD_PRELOAD"); /* not for the sanitizer's symbolizer */
}

static void driver_make_token(const subtoken_ring *ring, int which, const char *url,
                              const char *permission) {
  driver_credential *c = &credentials[which];
  size_t len;
  memset(c->sub, DRIVER_SUB_OF(which), 43);
  c->claims.iat = time(NULL) - 10;
  c->claims.exp = c->claims.iat + INT64_C(300) * 86400;
  c->claims.every_url = url == NULL;
  HOLD(subtoken_claims_set_sub(&c->claims, st_text(c->sub)) == SUBTOKEN_OK);
  HOLD(subtoken_claims_add_permission(&c->claims, st_text(permission)) == SUBTOKEN_OK);
  if (url != NULL) HOLD(subtoken_claims_add_url(&c->claims, st_text(url), NULL) == SUBTOKEN_OK);
  HOLD(subtoken_issue(ring, &c->claims, c->text, sizeof c->text, &len) == SUBTOKEN_OK);
}

static void driver_make_credentials(void) {
  static subtoken_ring ring, foreign;
  HOLD(subtoken_ring_add(&ring, ST_TEXT(""), DRIVER_SECRET, 32) == SUBTOKEN_OK);
  HOLD(subtoken_ring_add(&foreign, ST_TEXT(""), "another-secret-of-somebody-else-1", 32) ==
       SUBTOKEN_OK);
  driver_make_token(&ring, DRIVER_PLAIN, NULL, "account");
  driver_make_token(&ring, DRIVER_LISTED, "GET:/need/*", "account");
  driver_make_token(&ring, DRIVER_REVOKED, NULL, "account");
  driver_make_token(&foreign, DRIVER_OTHER, NULL, "account");
  memset(credentials[DRIVER_KEY].sub, DRIVER_SUB_OF(DRIVER_KEY), 43);
  memcpy(credentials[DRIVER_KEY].text,
         "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF", 72);
  credentials[DRIVER_KEY].claims.every_url = true;
}

/* ---- what was sent ---- */

static const char *sent;
static size_t sent_len;
static unsigned decisions;  /* how the decision endpoint answers, one after the other */
static time_t key_accepted; /* when, last: the module remembers it for five seconds */

static bool driver_was_sent(int which) {
  const char *text = credentials[which].text;
  return memmem(sent, sent_len, text, strlen(text)) != NULL;
}

/* ---- the upstream ---- */

typedef struct driver_conf {
  ngx_str_t kind;
} driver_conf;

extern EXPORTED ngx_module_t subtoken_fuzz_driver_module;

/* As an upstream may read it that takes any other character for a hyphen. */
static bool driver_is_identity(const ngx_str_t *name) {
  static const char prefix[] = "x-subtoken-";
  if (name->len < sizeof prefix - 1) return false;
  for (size_t i = 0; i < sizeof prefix - 1; i++) {
    char c = (char)ngx_tolower(name->data[i]);
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if ((plain ? c : '-') != prefix[i]) return false;
  }
  return true;
}

/* Whom the request stands for: 0, nobody. Its headers are the module's, each once. */
static int driver_identity(ngx_http_request_t *r) {
  static const char *const names[] = {"X-Subtoken-Sub", "X-Subtoken-Key", "X-Subtoken-Owner",
                                      "X-Subtoken-Permissions", "X-Subtoken-Expires"};
  unsigned seen = 0;
  int who = 0;
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (!driver_is_identity(&each[i].key)) continue;
      size_t n = 0;
      while (n < 5 && (each[i].key.len != strlen(names[n]) ||
                       memcmp(each[i].key.data, names[n], each[i].key.len) != 0)) {
        n++;
      }
      HOLD(n < 5 && (seen & 1U << n) == 0);
      seen |= 1U << n;
      for (int c = 1; n == 0 && c < DRIVER_END; c++) {
        if (each[i].value.len == 43 && memcmp(each[i].value.data, credentials[c].sub, 43) == 0) {
          who = c;
        }
      }
      HOLD(n != 0 || who != 0);
    }
  }
  HOLD(who != 0 || (seen & ~1U) == 0);
  return who;
}

static bool driver_kind_is(const driver_conf *conf, const char *kind) {
  return conf->kind.len == strlen(kind) && memcmp(conf->kind.data, kind, conf->kind.len) == 0;
}

static void driver_check(ngx_http_request_t *r, const driver_conf *conf) {
  subtoken_text target = {(const char *)r->unparsed_uri.data, r->unparsed_uri.len};
  subtoken_text method = {(const char *)r->method_name.data, r->method_name.len};
  int who = driver_identity(r);
  if (driver_kind_is(conf, "free")) {
    HOLD(who == 0);
    return;
  }
  if (who == 0) { /* what is public for all, by the policy */
    HOLD(driver_kind_is(conf, "policy"));
    return;
  }
  HOLD(who != DRIVER_REVOKED && who != DRIVER_OTHER && driver_was_sent(who));
  HOLD(who != DRIVER_KEY || (driver_kind_is(conf, "whole") && time(NULL) - key_accepted <= 7));
  subtoken_result listed = subtoken_url_match(&credentials[who].claims, method, target);
  HOLD(listed == SUBTOKEN_OK || (driver_kind_is(conf, "slashes") && who == DRIVER_PLAIN));
  st_cutter cutter = {{(const char *)r->args.data, r->args.len}, r->args.len == 0};
  subtoken_text each;
  while (st_cut(&cutter, '&', &each)) {
    HOLD(each.len < 13 || memcmp(each.data, "access_token=", 13) != 0);
  }
}

static ngx_int_t driver_answer(ngx_http_request_t *r, ngx_uint_t status) {
  r->headers_out.status = status;
  r->headers_out.content_length_n = 0;
  r->header_only = 1;
  return ngx_http_send_header(r);
}

static ngx_int_t driver_content_handler(ngx_http_request_t *r) {
  driver_conf *conf = ngx_http_get_module_loc_conf(r, subtoken_fuzz_driver_module);
  driver_check(r, conf);
  ngx_int_t rc = ngx_http_discard_request_body(r);
  return rc == NGX_OK ? driver_answer(r, NGX_HTTP_OK) : rc;
}

/* ---- the decision endpoint ---- */

static ngx_str_t driver_header(ngx_http_request_t *r, const char *name) {
  ngx_str_t none = ngx_null_string;
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (each[i].key.len == strlen(name) &&
          ngx_strncasecmp(each[i].key.data, (u_char *)(uintptr_t)name, each[i].key.len) == 0) {
        return each[i].value;
      }
    }
  }
  return none;
}

static void driver_tell(ngx_http_request_t *r, const char *name, const void *value, size_t len) {
  ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
  if (h == NULL) abort();
  u_char *copy = ngx_pnalloc(r->pool, len + 1);
  if (copy == NULL) abort();
  memcpy(copy, value, len);
  memset(h, 0, sizeof *h);
  h->hash = 1;
  h->key = (ngx_str_t){strlen(name), (u_char *)(uintptr_t)name};
  h->value = (ngx_str_t){len, copy};
}

static ngx_int_t driver_decision_handler(ngx_http_request_t *r) {
  static const ngx_uint_t statuses[] = {200, 401, 429, 403, 500, 200, 204, 400};
  unsigned how = decisions % 16;
  decisions /= 16;
  ngx_str_t nonce = driver_header(r, "X-Subtoken-Nonce");
  HOLD(nonce.len > 0 && driver_header(r, "X-Original-URI").len > 0);
  ngx_str_t key = driver_header(r, "X-API-Key"), bearer = driver_header(r, "Authorization");
  const char *text = credentials[DRIVER_KEY].text;
  bool is_key = (key.len == 72 && memcmp(key.data, text, 72) == 0) ||
                (bearer.len == 79 && memcmp(bearer.data + 7, text, 72) == 0);
  ngx_uint_t status = is_key ? statuses[how % 8] : 401;
  bool genuine = how < 12;
  if (genuine) driver_tell(r, "X-Subtoken-Nonce", nonce.data, nonce.len);
  if (status == 200) {
    driver_tell(r, "X-Subtoken-Sub", credentials[DRIVER_KEY].sub, 43);
    driver_tell(r, "X-Subtoken-Permissions", "account", 7);
    if (genuine) key_accepted = time(NULL);
  }
  return driver_answer(r, status);
}

/* ---- an input ---- */

static char *driver_expand(const uint8_t *data, size_t size, size_t *len) {
  size_t room = 1;
  for (size_t i = 0; i < size; i++) {
    room += data[i] >= 1 && data[i] < DRIVER_END ? strlen(credentials[data[i]].text) : 1;
  }
  char *bytes = malloc(room);
  if (bytes == NULL) abort();
  st_writer writer = st_writer_on(bytes, room);
  for (size_t i = 0; i < size; i++) {
    if (data[i] >= 1 && data[i] < DRIVER_END) {
      st_write_literal(&writer, credentials[data[i]].text);
    } else {
      st_write_char(&writer, (char)data[i]);
    }
  }
  *len = writer.len;
  return bytes;
}

static void driver_turn(int client) {
  char answer[4096];
  for (unsigned turns = 0;; turns++) {
    ssize_t got = recv(client, answer, sizeof answer, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return;
    HOLD(turns < 10000);
    if (got < 0) ngx_process_events_and_timers((ngx_cycle_t *)(uintptr_t)ngx_cycle);
  }
}

static int driver_one(const uint8_t *data, size_t size) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  if (size < 2) return 0;
  decisions = data[0];
  char *bytes = driver_expand(data + 1, size - 1, &sent_len);
  sent = bytes;
  snprintf(at.sun_path, sizeof at.sun_path, "%s/in", driver_dir);
  int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  HOLD(client >= 0 && connect(client, (struct sockaddr *)&at, sizeof at) == 0);
  HOLD(send(client, bytes, sent_len, MSG_NOSIGNAL) == (ssize_t)sent_len);
  HOLD(shutdown(client, SHUT_WR) == 0);
  driver_turn(client);
  close(client);
  free(bytes);
  return 0;
}

/* ---- the module ---- */

static ngx_int_t driver_init_process(ngx_cycle_t *cycle) {
  static char *arguments[1024];
  char **argv = arguments;
  int argc = 0;
  (void)cycle;
  if (driver_args == NULL) return NGX_OK;
  for (char *line = strtok(driver_args, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    HOLD(argc < 1023);
    argv[argc++] = line;
  }
  driver_make_credentials();
  exit(LLVMFuzzerRunDriver(&argc, &argv, driver_one));
}

static void *driver_create_conf(ngx_conf_t *cf) {
  return ngx_pcalloc(cf->pool, sizeof(driver_conf));
}

static char *driver_set(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
  ngx_str_t *words = cf->args->elts;
  (void)command;
  if (cf->args->nelts > 1) ((driver_conf *)conf)->kind = words[1];
  core->handler = cf->args->nelts > 1 ? driver_content_handler : driver_decision_handler;
  return NGX_CONF_OK;
}

static ngx_command_t driver_commands[] = {
    {ngx_string("driver_content"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, driver_set,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("driver_decision"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, driver_set,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command};

static ngx_http_module_t driver_context = {.create_loc_conf = driver_create_conf};

EXPORTED ngx_module_t subtoken_fuzz_driver_module = {NGX_MODULE_V1,
                                                     &driver_context,
                                                     driver_commands,
                                                     NGX_HTTP_MODULE,
                                                     NULL,
                                                     NULL,
                                                     driver_init_process,
                                                     NULL,
                                                     NULL,
                                                     NULL,
                                                     NULL,
                                                     NGX_MODULE_V1_PADDING};

extern EXPORTED ngx_module_t *ngx_modules[];
extern EXPORTED char *ngx_module_names[];
extern EXPORTED char *ngx_module_order[];
ngx_module_t *ngx_modules[] = {&subtoken_fuzz_driver_module, NULL};
char *ngx_module_names[] = {"subtoken_fuzz_driver_module", NULL};
char *ngx_module_order[] = {NULL};
