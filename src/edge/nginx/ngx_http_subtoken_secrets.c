/* The keyring of subtoken_secrets: checked while the configuration is read, then read by each
 * worker for itself and again when it changes. A good keyring stays in use until another good one
 * replaces it. How the file is opened is in ngx_http_subtoken_file.c, when it is polled in
 * ngx_http_subtoken_worker.c.
 */
#include <sys/mman.h>

#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_SECRETS_TEXT_MAX 8192

static ngx_int_t ngx_http_subtoken_secrets_parse(const ngx_http_subtoken_file_t *file,
                                                 subtoken_text text, subtoken_ring *ring,
                                                 char *error) {
  size_t line;
  subtoken_result result = subtoken_ring_read(ring, text, &line);
  if (result == SUBTOKEN_OK) return NGX_OK;
  const char *problem = subtoken_ring_error(text, line, result);
  if (line > 0) {
    return ngx_http_subtoken_file_fail(error, "\"%V\" line %uz %s", &file->path, line, problem);
  }
  return ngx_http_subtoken_file_fail(error, "\"%V\" %s", &file->path, problem);
}

ngx_int_t ngx_http_subtoken_secrets_read(ngx_http_subtoken_file_t *file, subtoken_ring *ring,
                                         char *error) {
  char text[NGX_HTTP_SUBTOKEN_SECRETS_TEXT_MAX];
  size_t len;
  int fd = ngx_http_subtoken_file_open(file, sizeof text, &len, error);
  if (fd < 0) return NGX_ERROR;
  ngx_int_t rc = ngx_http_subtoken_file_read(file, fd, text, len, error);
  (void)close(fd);
  if (rc == NGX_OK) {
    rc = ngx_http_subtoken_secrets_parse(file, (subtoken_text){text, len}, ring, error);
  }
  subtoken_wipe(text, sizeof text);
  return rc;
}

/* One file has one rule, wherever it is named. */
static ngx_http_subtoken_secrets_t *ngx_http_subtoken_secrets_reuse(
    ngx_conf_t *cf, ngx_http_subtoken_secrets_t *secrets, bool trusted_group) {
  if (secrets->file.trusted_group == trusted_group) return secrets;
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                     "subtoken_secrets: \"%V\" is named with trust_group and without it: "
                     "name it the same way everywhere",
                     &secrets->file.path);
  return NULL;
}

ngx_http_subtoken_secrets_t *ngx_http_subtoken_secrets_add(ngx_conf_t *cf, ngx_str_t *path,
                                                           bool trusted_group) {
  char error[NGX_HTTP_SUBTOKEN_ERROR_MAX];
  subtoken_ring ring;
  ngx_http_subtoken_main_conf_t *main =
      ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
  if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) return NULL;
  ngx_http_subtoken_secrets_t *secrets = ngx_http_subtoken_file_find(&main->secrets, path);
  if (secrets != NULL) return ngx_http_subtoken_secrets_reuse(cf, secrets, trusted_group);
  secrets = ngx_http_subtoken_file_add(cf, &main->secrets, sizeof *secrets);
  if (secrets == NULL) return NULL;
  secrets->file.path = *path;
  secrets->file.secret = 1;
  secrets->file.trusted_group = trusted_group;
  ngx_int_t rc = ngx_http_subtoken_secrets_read(&secrets->file, &ring, error);
  subtoken_wipe(&ring, sizeof ring);
  secrets->file.tried = 0; /* each worker reads it for itself */
  if (rc == NGX_OK) return secrets;
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_secrets: %s", error);
  return NULL;
}

/* ---- in a worker ---- */

/* Pages of its own, so that they can be kept out of core dumps and, where that is allowed, out of
 * swap.
 */
static subtoken_ring *ngx_http_subtoken_secrets_map(void) {
  void *memory =
      mmap(NULL, sizeof(subtoken_ring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  (void)madvise(memory, sizeof(subtoken_ring), MADV_DONTDUMP);
  (void)mlock(memory, sizeof(subtoken_ring));
  return memory;
}

static ngx_int_t ngx_http_subtoken_secrets_load(ngx_http_subtoken_secrets_t *secrets, char *error) {
  subtoken_ring fresh;
  if (secrets->ring == NULL) secrets->ring = ngx_http_subtoken_secrets_map();
  if (secrets->ring == NULL) return ngx_http_subtoken_file_fail_errno(&secrets->file, error);
  ngx_int_t rc = ngx_http_subtoken_secrets_read(&secrets->file, &fresh, error);
  if (rc == NGX_OK) {
    *secrets->ring = fresh;
    ngx_http_subtoken_tokens_wipe(&secrets->tokens);
  }
  subtoken_wipe(&fresh, sizeof fresh);
  return rc;
}

void ngx_http_subtoken_secrets_poll(ngx_http_subtoken_secrets_t *secrets, ngx_log_t *log) {
  char error[NGX_HTTP_SUBTOKEN_ERROR_MAX];
  ngx_http_subtoken_file_t before = secrets->file;
  if (!ngx_http_subtoken_file_has_changed(&secrets->file)) return;
  secrets->file.bad = ngx_http_subtoken_secrets_load(secrets, error) != NGX_OK;
  if (!secrets->file.bad) return;
  if (ngx_http_subtoken_file_is_same_error(&before, &secrets->file)) return;
  bool loaded = secrets->ring != NULL && secrets->ring->count > 0;
  ngx_log_error(NGX_LOG_ERR, log, 0, "subtoken_secrets: %s; %s", error,
                loaded ? NGX_HTTP_SUBTOKEN_FILE_KEPT : NGX_HTTP_SUBTOKEN_FILE_MISSING);
}

void ngx_http_subtoken_secrets_free(ngx_http_subtoken_secrets_t *secrets) {
  ngx_http_subtoken_tokens_free(&secrets->tokens);
  if (secrets->ring == NULL) return;
  subtoken_wipe(secrets->ring, sizeof *secrets->ring);
  (void)munmap(secrets->ring, sizeof *secrets->ring);
  secrets->ring = NULL;
}
