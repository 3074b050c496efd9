/* The route policies of subtoken_policy: checked while the configuration is read, then read by
 * each worker for itself and again when one changes. A good policy stays in use until another
 * good one replaces it. How the file is opened is in ngx_http_subtoken_file.c, when it is polled
 * in ngx_http_subtoken_worker.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

static ngx_int_t ngx_http_subtoken_policy_parse(ngx_http_subtoken_policy_t *policy,
                                                subtoken_text text, char *error) {
  subtoken_policy_error problem;
  const subtoken_policy *fresh;
  size_t size = subtoken_policy_size(text.len);
  void *memory = malloc(size);
  if (memory == NULL) return ngx_http_subtoken_file_fail_errno(&policy->file, error);
  if (subtoken_policy_read(memory, size, text, &fresh, &problem) != SUBTOKEN_OK) {
    free(memory);
    return ngx_http_subtoken_file_fail(error, "\"%V\" line %uz column %uz: %s", &policy->file.path,
                                       problem.line, problem.column, problem.text);
  }
  free(policy->memory);
  policy->memory = memory;
  policy->policy = fresh;
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_policy_load(ngx_http_subtoken_policy_t *policy, char *error) {
  size_t len;
  ngx_http_subtoken_file_t *file = &policy->file;
  int fd = ngx_http_subtoken_file_open(file, SUBTOKEN_POLICY_TEXT_MAX, &len, error);
  if (fd < 0) return NGX_ERROR;
  char *text = malloc(len + 1);
  ngx_int_t rc = text == NULL ? ngx_http_subtoken_file_fail_errno(file, error)
                              : ngx_http_subtoken_file_read(file, fd, text, len, error);
  (void)close(fd);
  if (rc == NGX_OK) rc = ngx_http_subtoken_policy_parse(policy, (subtoken_text){text, len}, error);
  free(text);
  return rc;
}

ngx_http_subtoken_policy_t *ngx_http_subtoken_policy_add(ngx_conf_t *cf, ngx_str_t *path) {
  char error[NGX_HTTP_SUBTOKEN_ERROR_MAX];
  ngx_http_subtoken_main_conf_t *main =
      ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
  if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) return NULL;
  ngx_http_subtoken_policy_t *policy = ngx_http_subtoken_file_find(&main->policies, path);
  if (policy != NULL) return policy;
  policy = ngx_http_subtoken_file_add(cf, &main->policies, sizeof *policy);
  if (policy == NULL) return NULL;
  policy->file.path = *path;
  ngx_int_t rc = ngx_http_subtoken_policy_load(policy, error);
  ngx_http_subtoken_policy_free(policy);
  policy->file.tried = 0; /* each worker reads it for itself */
  if (rc == NGX_OK) return policy;
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_policy: %s", error);
  return NULL;
}

/* ---- in a worker ---- */

void ngx_http_subtoken_policy_poll(ngx_http_subtoken_policy_t *policy, ngx_log_t *log) {
  char error[NGX_HTTP_SUBTOKEN_ERROR_MAX];
  ngx_http_subtoken_file_t before = policy->file;
  if (!ngx_http_subtoken_file_has_changed(&policy->file)) return;
  policy->file.bad = ngx_http_subtoken_policy_load(policy, error) != NGX_OK;
  if (!policy->file.bad) return;
  if (ngx_http_subtoken_file_is_same_error(&before, &policy->file)) return;
  ngx_log_error(
      NGX_LOG_ERR, log, 0, "subtoken_policy: %s; %s", error,
      policy->policy != NULL ? NGX_HTTP_SUBTOKEN_FILE_KEPT : NGX_HTTP_SUBTOKEN_FILE_MISSING);
}

void ngx_http_subtoken_policy_free(ngx_http_subtoken_policy_t *policy) {
  free(policy->memory);
  policy->memory = NULL;
  policy->policy = NULL;
}
