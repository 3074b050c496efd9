/* Protected resources (RFC 9728): the challenge that names the document of one, and the document.
 * The document of https://HOST/PATH is at https://HOST/.well-known/oauth-protected-resource/PATH
 * (section 3.1): the well-known part stands between host and path.
 */
#include "core/resource.h"

#include "base/impossible.h"
#include "base/json.h"
#include "core/paths.h"
#include "core/policy.h"

#define RESOURCE_SCHEME "https://"
#define RESOURCE_WELL_KNOWN "/.well-known/oauth-protected-resource"

/* ---- the URL ---- */

/* Cuts an https URL into its host, with the port, and its path, which is empty or starts with a
 * slash. */
static bool resource_cut(subtoken_text url, subtoken_text *host, subtoken_text *path) {
  size_t scheme = sizeof RESOURCE_SCHEME - 1;
  if (url.len <= scheme || memcmp(url.data, RESOURCE_SCHEME, scheme) != 0) return false;
  subtoken_text rest = {url.data + scheme, url.len - scheme};
  size_t slash = st_text_find(rest, '/');
  *host = (subtoken_text){rest.data, slash};
  *path = (subtoken_text){rest.data + slash, rest.len - slash};
  return true;
}

static bool resource_is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* A name or an address of RFC 3986 section 3.2.2, without userinfo, and maybe a port. */
static bool resource_host_valid(subtoken_text host) {
  size_t at = 0;
  if (host.len > 0 && host.data[0] == '[') {
    at = st_text_find(host, ']');
    for (size_t i = 1; i < at; i++) {
      if (st_hex_value(host.data[i]) < 0 && host.data[i] != ':' && host.data[i] != '.')
        return false;
    }
    if (at < 3 || at == host.len) return false;
    at++;
  } else {
    while (at < host.len && host.data[at] != ':') {
      if ((st_class_of(host.data[at]) & ST_CHAR_NAME) == 0 && host.data[at] != '.') return false;
      at++;
    }
    if (at == 0) return false;
  }
  if (at == host.len) return true;
  size_t digits = host.len - at - 1;
  for (size_t i = at + 1; i < host.len; i++) {
    if (!resource_is_digit(host.data[i])) return false;
  }
  return host.data[at] == ':' && digits >= 1 && digits <= 5;
}

/* Of a host that is valid: digits behind a colon are its port. */
static bool resource_port_valid(subtoken_text host) {
  uint32_t number = 0, unit = 1;
  size_t at = host.len;
  for (; at > 0 && host.len - at < 5 && resource_is_digit(host.data[at - 1]); at--, unit *= 10) {
    number += unit * (uint32_t)(host.data[at - 1] - '0');
  }
  return at == 0 || host.data[at - 1] != ':' || number <= 65535;
}

const char *st_resource_problem(subtoken_text url) {
  subtoken_text host, path;
  st_path read;
  if (url.len > SUBTOKEN_POLICY_RESOURCE_MAX) return "must not be longer than 512 bytes";
  if (!resource_cut(url, &host, &path)) return "must be an https URL";
  if (st_text_find(url, '?') < url.len) return "must not have a query";
  if (st_text_find(url, '#') < url.len) return "must not have a fragment";
  if (!resource_host_valid(host)) return "must have a host, and no name or password before it";
  if (!resource_port_valid(host)) return "must not have a port above 65535";
  if (path.len > 0 && st_paths_read_target(path, &read) != SUBTOKEN_FAULT_NONE) {
    return "has a path that can be read in more than one way";
  }
  return NULL;
}

/* Decodes the path; without one it is that of the slash (RFC 9728 section 3.1). */
static bool resource_read_path(subtoken_text url, st_path *read) {
  subtoken_text host, path;
  if (!resource_cut(url, &host, &path)) return false;
  if (path.len == 0) path = ST_TEXT("/");
  return st_paths_read_target(path, read) == SUBTOKEN_FAULT_NONE;
}

static bool resource_same_path(const st_path *a, const st_path *b) {
  return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool st_resource_same_document(subtoken_text one, subtoken_text other) {
  st_path a, b;
  return resource_read_path(one, &a) && resource_read_path(other, &b) && resource_same_path(&a, &b);
}

/* ---- the challenge ---- */

static bool resource_has_issuer(subtoken_text issuer) {
  subtoken_text host, path;
  if (issuer.data == NULL || issuer.len > SUBTOKEN_ISSUER_MAX) return false;
  return resource_cut(issuer, &host, &path) && host.len > 0;
}

size_t subtoken_resource_challenge(subtoken_text challenge, subtoken_text resource,
                                   subtoken_text issuer, char *out, size_t out_size) {
  subtoken_text host = {NULL, 0}, path = {NULL, 0};
  if (challenge.data == NULL || out == NULL || out_size == 0) return 0;
  st_writer writer = st_writer_on(out, out_size);
  st_write_view(&writer, challenge);
  if (resource.data != NULL && resource_has_issuer(issuer) &&
      st_resource_problem(resource) == NULL) {
    bool cut = resource_cut(resource, &host, &path);
    if (st_impossible(!cut, "a good resource has a host")) return 0;
    if (st_text_is(path, "/")) path.len = 0;
    bool bare = st_text_find(challenge, ' ') == challenge.len;
    st_write_literal(&writer, bare ? " " : ", ");
    st_write_literal(&writer, "resource_metadata=\"" RESOURCE_SCHEME);
    st_write_view(&writer, host);
    st_write_literal(&writer, RESOURCE_WELL_KNOWN);
    st_write_view(&writer, path);
    st_write_char(&writer, '"');
  }
  return st_writer_end(&writer) ? writer.len : 0;
}

/* ---- the document ---- */

/* The path of the resource whose metadata are at this target. False: it is another target. */
static bool resource_asked(subtoken_text target, st_path *read) {
  subtoken_text rest = {target.data, st_text_find(target, '?')};
  size_t front = sizeof RESOURCE_WELL_KNOWN - 1;
  if (rest.len < front || memcmp(rest.data, RESOURCE_WELL_KNOWN, front) != 0) return false;
  rest = (subtoken_text){rest.data + front, rest.len - front};
  if (rest.len > 0 && rest.data[0] != '/') return false;
  if (rest.len == 1) return false; /* a slash behind it that no URL of a document has */
  if (rest.len == 0) rest = ST_TEXT("/");
  return st_paths_read_target(rest, read) == SUBTOKEN_FAULT_NONE;
}

static const st_policy_route *resource_find(const subtoken_policy *policy, const st_path *asked) {
  const st_policy_slice *listed = st_policy_slices(policy) + policy->resources;
  for (size_t i = 0; i < policy->resource_count; i++) {
    const st_policy_route *route = &st_policy_routes(policy)[listed[i].at];
    st_path path;
    bool read = resource_read_path(st_policy_resource(policy, route), &path);
    if (st_impossible(!read, "the resources of a policy are good")) return NULL;
    if (resource_same_path(&path, asked)) return route;
  }
  return NULL;
}

static bool resource_equal(subtoken_text one, subtoken_text other) {
  subtoken_text host, path, other_host, other_path;
  if (st_impossible(!resource_cut(one, &host, &path), "the resources of a policy are good")) {
    return false;
  }
  return resource_cut(other, &other_host, &other_path) && st_text_equal(host, other_host) &&
         (st_text_equal(path, other_path) || (path.len <= 1 && other_path.len <= 1));
}

bool st_resource_is_listed(const subtoken_policy *policy, subtoken_text url) {
  const st_policy_slice *listed = st_policy_slices(policy) + policy->resources;
  for (size_t i = 0; i < policy->resource_count; i++) {
    const st_policy_route *route = &st_policy_routes(policy)[listed[i].at];
    if (resource_equal(st_policy_resource(policy, route), url)) return true;
  }
  return false;
}

static void resource_write(st_writer *writer, const subtoken_policy *policy,
                           const st_policy_route *route, subtoken_text issuer) {
  st_write_literal(writer, "{\"resource\":");
  st_json_write_string(writer, st_policy_resource(policy, route));
  st_write_literal(writer, ",\"authorization_servers\":[");
  st_json_write_string(writer, issuer);
  st_write_literal(writer, "],\"bearer_methods_supported\":[\"header\"]");
  if (route->need_count > 0) {
    st_write_literal(writer, ",\"scopes_supported\":[");
    for (uint32_t i = 0; i < route->need_count; i++) {
      if (i > 0) st_write_char(writer, ',');
      st_json_write_string(writer, st_policy_text(policy, route->needs + i));
    }
    st_write_char(writer, ']');
  }
  st_write_char(writer, '}');
}

size_t subtoken_policy_metadata(const subtoken_policy *policy, subtoken_text target,
                                subtoken_text issuer, char *out, size_t out_size) {
  st_path asked;
  if (policy == NULL || target.data == NULL || out == NULL || out_size == 0) return 0;
  if (policy->resource_count == 0 || !resource_has_issuer(issuer) ||
      !resource_asked(target, &asked)) {
    return 0;
  }
  const st_policy_route *route = resource_find(policy, &asked);
  if (route == NULL) return 0;
  st_writer writer = st_writer_on(out, out_size);
  resource_write(&writer, policy, route, issuer);
  return st_writer_end(&writer) ? writer.len : 0;
}
