/*
 * nginx_calls.c - what the module for nginx asks of nginx, so that each such call can fail. nginx
 * takes memory in blocks, of which it gives out pieces: the shim makes a block fail, and so only
 * the piece that began it. Linked into a module for tests beside fuzz/nginx_pool.c, in which each
 * piece is a block. A call here asks the allocator first, and fails as nginx would when that does.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

static int calls_have_memory(void) {
  void *volatile piece = malloc(1); /* or the compiler leaves both out */
  int had = piece != NULL;
  free(piece);
  if (!had) ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, ENOMEM, "malloc(1) failed");
  return had;
}

#define CALL(type, name, params, args, failed)                  \
  type __real_##name params;                                    \
  type __wrap_##name params;                                    \
  type __wrap_##name params {                                   \
    return calls_have_memory() ? __real_##name args : (failed); \
  }

CALL(void *, ngx_list_push, (ngx_list_t * list), (list), NULL)
CALL(ngx_array_t *, ngx_array_create, (ngx_pool_t * pool, ngx_uint_t n, size_t size),
     (pool, n, size), NULL)
CALL(void *, ngx_array_push, (ngx_array_t * array), (array), NULL)
CALL(ngx_buf_t *, ngx_create_temp_buf, (ngx_pool_t * pool, size_t size), (pool, size), NULL)
CALL(ngx_chain_t *, ngx_alloc_chain_link, (ngx_pool_t * pool), (pool), NULL)
CALL(void *, ngx_slab_alloc, (ngx_slab_pool_t * pool, size_t size), (pool, size), NULL)

/* ---- while the configuration is read ---- */

CALL(ngx_int_t, ngx_conf_full_name, (ngx_cycle_t * cycle, ngx_str_t *name, ngx_uint_t prefix),
     (cycle, name, prefix), NGX_ERROR)
CALL(ngx_http_variable_t *, ngx_http_add_variable,
     (ngx_conf_t * cf, ngx_str_t *name, ngx_uint_t flags), (cf, name, flags), NULL)
CALL(ngx_shm_zone_t *, ngx_shared_memory_add,
     (ngx_conf_t * cf, ngx_str_t *name, size_t size, void *tag), (cf, name, size, tag), NULL)

/* ---- a request ---- */

CALL(ngx_int_t, ngx_http_subrequest,
     (ngx_http_request_t * r, ngx_str_t *uri, ngx_str_t *args, ngx_http_request_t **made,
      ngx_http_post_subrequest_t *then, ngx_uint_t flags),
     (r, uri, args, made, then, flags), NGX_ERROR)
CALL(ngx_int_t, ngx_http_post_request, (ngx_http_request_t * r, ngx_http_posted_request_t *posted),
     (r, posted), NGX_ERROR)
CALL(ngx_int_t, ngx_http_read_client_request_body,
     (ngx_http_request_t * r, ngx_http_client_body_handler_pt then), (r, then),
     NGX_HTTP_INTERNAL_SERVER_ERROR)
CALL(ngx_int_t, ngx_http_discard_request_body, (ngx_http_request_t * r), (r),
     NGX_HTTP_INTERNAL_SERVER_ERROR)
CALL(ngx_int_t, ngx_http_send_header, (ngx_http_request_t * r), (r), NGX_ERROR)
CALL(ngx_int_t, ngx_http_output_filter, (ngx_http_request_t * r, ngx_chain_t *out), (r, out),
     NGX_ERROR)
CALL(ssize_t, ngx_read_file, (ngx_file_t * file, u_char *to, size_t size, off_t at),
     (file, to, size, at), NGX_ERROR)
