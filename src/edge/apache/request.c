/* What is taken out of a request: headers that a caller made up to be somebody, and the credential
 * in the query, which belongs neither to the API nor in a log. What remains is decided about in
 * decide.c.
 */
#include <ctype.h>

#include "edge/apache/subtoken_apache.h"

/* The request that the client sent, of which redirects inside the server are the later ones. */
static request_rec *request_first(request_rec *r) {
  for (;;) {
    if (r->prev != NULL) {
      r = r->prev;
    } else if (r->main != NULL) {
      r = r->main;
    } else {
      return r;
    }
  }
}

mod_subtoken_ctx *mod_subtoken_request_ctx(request_rec *r) {
  return ap_get_module_config(request_first(r)->request_config, &subtoken_module);
}

void mod_subtoken_request_begin(request_rec *r) {
  mod_subtoken_ctx *ctx = apr_pcalloc(r->pool, sizeof *ctx);
  ctx->target = r->unparsed_uri;
  ap_set_module_config(r->request_config, &subtoken_module, ctx);
}

/* ---- identity headers ---- */

static bool request_is_identity(const char *name, size_t len) {
  return subtoken_edge_is_identity_header((subtoken_text){name, len});
}

/* mod_proxy removes the headers that Connection names, and ends a name at more than a comma. Nobody
 * has a reason to name ours.
 */
static void request_clean_connection(request_rec *r) {
  const char *value = apr_table_get(r->headers_in, "Connection");
  if (value != NULL && ap_strcasestr(value, "subtoken") != NULL) {
    apr_table_unset(r->headers_in, "Connection");
  }
}

void mod_subtoken_request_remove_identity(request_rec *r) {
  const apr_array_header_t *array = apr_table_elts(r->headers_in);
  const apr_table_entry_t *each = (const apr_table_entry_t *)array->elts;
  for (int i = 0; i < array->nelts;) {
    if (each[i].key != NULL && request_is_identity(each[i].key, strlen(each[i].key))) {
      /* The table is closed up: begin anew. */
      apr_table_unset(r->headers_in, each[i].key);
      array = apr_table_elts(r->headers_in);
      each = (const apr_table_entry_t *)array->elts;
      i = 0;
    } else {
      i++;
    }
  }
  request_clean_connection(r);
}

/* ---- access_token= ---- */

/* A text with a query: a target, an address. The same pointer where nothing is removed. */
static char *request_strip(apr_pool_t *pool, const char *text) {
  subtoken_text target = mod_subtoken_text(text), stripped;
  if (text == NULL || strchr(text, '?') == NULL) return (char *)text;
  char *out = apr_palloc(pool, target.len + 1);
  if (subtoken_edge_strip_query(target, out, target.len, &stripped) != SUBTOKEN_OK) {
    return apr_pstrmemdup(pool, text, (size_t)(strchr(text, '?') - text));
  }
  if (stripped.len == target.len) return (char *)text;
  return apr_pstrmemdup(pool, stripped.data, stripped.len);
}

/* A line of a request may be anything: what stands between the first blank and the last one is its
 * target, or the rest.
 */
static char *request_strip_line(apr_pool_t *pool, const char *line) {
  const char *start = line == NULL ? NULL : strchr(line, ' ');
  if (start == NULL || strchr(start, '?') == NULL) return (char *)line;
  start++;
  const char *end = strrchr(start, ' ');
  if (end == NULL || end < strchr(start, '?')) end = start + strlen(start);
  char *target = apr_pstrmemdup(pool, start, (size_t)(end - start));
  char *stripped = request_strip(pool, target);
  if (stripped == target) return (char *)line;
  return apr_pstrcat(pool, apr_pstrmemdup(pool, line, (size_t)(start - line)), stripped, end, NULL);
}

static void request_strip_referer(request_rec *r) {
  const char *referer = apr_table_get(r->headers_in, "Referer");
  const char *stripped = request_strip(r->pool, referer);
  if (stripped != referer) apr_table_setn(r->headers_in, "Referer", stripped);
}

/* What logs and the scoreboard have of a request; scripts see the_request in REQUEST_URI. */
void mod_subtoken_request_hide_token(request_rec *r) {
  r->the_request = request_strip_line(r->pool, r->the_request);
  if (r->headers_in != NULL) request_strip_referer(r);
}

/* All that the API or a later phase would get. What mod_proxy has made of `ProxyPass … nocanon` has
 * the query already.
 */
void mod_subtoken_request_remove_token(request_rec *r) {
  r->unparsed_uri = request_strip(r->pool, r->unparsed_uri);
  if (r->args != NULL) {
    char *whole = apr_pstrcat(r->pool, "?", r->args, NULL);
    char *stripped = request_strip(r->pool, whole);
    if (stripped != whole) r->args = *stripped == '\0' ? NULL : stripped + 1;
  }
  r->parsed_uri.query = r->args;
  if (r->filename != NULL && strncmp(r->filename, "proxy:", 6) == 0) {
    r->filename = request_strip(r->pool, r->filename);
  }
}

/* ---- what a decision is about ---- */

/* httpd has joined the values of headers that came more than once, with a comma and a blank, which
 * no credential has.
 */
size_t mod_subtoken_request_values(request_rec *r, const char *name, subtoken_text *values,
                                   size_t max) {
  const char *rest = apr_table_get(r->headers_in, name), *comma;
  size_t count = 0;
  if (rest == NULL) return 0;
  while (count + 1 < max && (comma = strstr(rest, ", ")) != NULL) {
    values[count++] = (subtoken_text){rest, (size_t)(comma - rest)};
    rest = comma + 2;
  }
  values[count++] = mod_subtoken_text(rest);
  return count;
}
