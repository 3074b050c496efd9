/* One file that is read whole: opened without waiting, checked, and read again when its stamp has
 * changed. Secrets must be closed to others, by the server's rule for DATA/secrets. What a file
 * holds is in ngx_http_subtoken_secrets.c and ngx_http_subtoken_policy.c.
 */
#include <sys/stat.h>

#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_FILE_NS INT64_C(1000000000)

/* ---- errors ---- */

ngx_int_t ngx_http_subtoken_file_fail(char *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  u_char *end = ngx_vslprintf((u_char *)error, (u_char *)error + NGX_HTTP_SUBTOKEN_ERROR_MAX - 1,
                              format, arguments);
  va_end(arguments);
  *end = '\0';
  return NGX_ERROR;
}

ngx_int_t ngx_http_subtoken_file_fail_errno(ngx_http_subtoken_file_t *file, char *error) {
  file->error = errno;
  return ngx_http_subtoken_file_fail(error, "cannot read \"%V\": %s", &file->path,
                                     strerror(file->error));
}

ngx_flag_t ngx_http_subtoken_file_is_same_error(const ngx_http_subtoken_file_t *before,
                                                const ngx_http_subtoken_file_t *file) {
  return before->tried && before->error != 0 && before->error == file->error;
}

/* ---- reading ---- */

static void ngx_http_subtoken_file_stamp(const struct stat *status, int64_t stamp[5]) {
  stamp[0] = (int64_t)status->st_dev;
  stamp[1] = (int64_t)status->st_ino;
  stamp[2] = (int64_t)status->st_size;
  stamp[3] = (int64_t)status->st_mtim.tv_sec * NGX_HTTP_SUBTOKEN_FILE_NS + status->st_mtim.tv_nsec;
  stamp[4] = (int64_t)status->st_ctim.tv_sec * NGX_HTTP_SUBTOKEN_FILE_NS + status->st_ctim.tv_nsec;
}

/* The server's rule for DATA/secrets, with `trust_group` for its data_group. Whoever could open a
 * file that only its owner and its group may read is one of them.
 */
static ngx_int_t ngx_http_subtoken_file_check_secret(const ngx_http_subtoken_file_t *file,
                                                     const struct stat *status, char *error) {
  ngx_flag_t foreign = status->st_uid != geteuid() && status->st_uid != 0;
  if (foreign && (status->st_mode & S_IRGRP) == 0) {
    return ngx_http_subtoken_file_fail(
        error, "\"%V\" belongs to user %ui, and this runs as user %ui", &file->path,
        (ngx_uint_t)status->st_uid, (ngx_uint_t)geteuid());
  }
  if ((status->st_mode & S_IRWXO) != 0) {
    return ngx_http_subtoken_file_fail(
        error, "\"%V\" is open to others: chmod 600 it, or 640 for its group", &file->path);
  }
  if ((status->st_mode & S_IWGRP) != 0 && !file->trusted_group) {
    return ngx_http_subtoken_file_fail(
        error, "\"%V\" can be written by its group: chmod 640 it, or add trust_group", &file->path);
  }
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_file_check(const ngx_http_subtoken_file_t *file, size_t max,
                                              const struct stat *status, char *error) {
  if (!S_ISREG(status->st_mode)) {
    return ngx_http_subtoken_file_fail(error, "\"%V\" is not a regular file", &file->path);
  }
  if (file->secret && ngx_http_subtoken_file_check_secret(file, status, error) != NGX_OK) {
    return NGX_ERROR;
  }
  if ((uint64_t)status->st_size > max) {
    return ngx_http_subtoken_file_fail(error, "\"%V\" is longer than %uz bytes", &file->path, max);
  }
  return NGX_OK;
}

/* O_NONBLOCK, because to open a FIFO would wait for its writer. */
int ngx_http_subtoken_file_open(ngx_http_subtoken_file_t *file, size_t max, size_t *size,
                                char *error) {
  struct stat status;
  file->tried = 1;
  file->error = 0;
  int fd = open((char *)file->path.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) != 0) {
    (void)ngx_http_subtoken_file_fail_errno(file, error);
    if (fd >= 0) (void)close(fd);
    return -1;
  }
  ngx_http_subtoken_file_stamp(&status, file->stamp);
  *size = (size_t)status.st_size;
  if (ngx_http_subtoken_file_check(file, max, &status, error) == NGX_OK) return fd;
  (void)close(fd);
  return -1;
}

ngx_int_t ngx_http_subtoken_file_read(ngx_http_subtoken_file_t *file, int fd, char *out,
                                      size_t size, char *error) {
  size_t len = 0;
  while (len < size) {
    ssize_t got = read(fd, out + len, size - len);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ngx_http_subtoken_file_fail_errno(file, error);
    if (got == 0) {
      return ngx_http_subtoken_file_fail(error, "\"%V\" was cut short while it was read",
                                         &file->path);
    }
    len += (size_t)got;
  }
  return NGX_OK;
}

/* A file that could not be opened or found is tried again each time. */
ngx_flag_t ngx_http_subtoken_file_has_changed(ngx_http_subtoken_file_t *file) {
  struct stat status;
  int64_t stamp[5];
  if (!file->tried || file->error != 0) return 1;
  if (stat((char *)file->path.data, &status) != 0) return 1;
  ngx_http_subtoken_file_stamp(&status, stamp);
  return memcmp(stamp, file->stamp, sizeof stamp) != 0;
}

/* ---- the lists of the configuration ---- */

void *ngx_http_subtoken_file_find(const ngx_array_t *list, const ngx_str_t *path) {
  void **each = list->elts;
  for (ngx_uint_t i = 0; i < list->nelts; i++) {
    const ngx_http_subtoken_file_t *file = each[i];
    if (file->path.len == path->len && ngx_memcmp(file->path.data, path->data, path->len) == 0) {
      return each[i];
    }
  }
  return NULL;
}

void *ngx_http_subtoken_file_add(ngx_conf_t *cf, ngx_array_t *list, size_t size) {
  void *added = ngx_pcalloc(cf->pool, size);
  void **place = added == NULL ? NULL : ngx_array_push(list);
  if (place != NULL) *place = added;
  return place == NULL ? NULL : added;
}
