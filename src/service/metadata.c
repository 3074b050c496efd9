/* What OAuth clients find out by themselves: the metadata of the authorization server (RFC 8414)
 * and those of the resources of the route policy (RFC 9728), which are there once the setting
 * `issuer` is; and the authorization endpoint, which the former name because clients insist on it
 * (the published ones of the Model Context Protocol read no metadata without), and which has no
 * response types.
 */
#include "service/endpoints.h"
#include "service/reply.h"

static const st_problem metadata_none = {
    .status = 404, .event = "not_found", .text = "there is no such endpoint"};

/* Behind the well-known path stands the path of the issuer, or nothing (RFC 8414 section 3.1). */
static bool metadata_is_of(subtoken_text issuer, subtoken_text behind) {
  size_t host = sizeof "https://" - 1;
  while (host < issuer.len && issuer.data[host] != '/') host++;
  subtoken_text path = {issuer.data + host, issuer.len - host};
  return behind.len == 0 || st_text_equal(behind, path);
}

static void metadata_write_endpoint(st_writer *writer, const char *name, const char *issuer,
                                    const char *path) {
  st_write_literal(writer, ",\"");
  st_write_literal(writer, name);
  st_write_literal(writer, "\":\"");
  st_write_literal(writer, issuer);
  st_write_literal(writer, path);
  st_write_char(writer, '"');
}

/* How a client may say who it is; Basic and Bearer as far as the setting `credentials` has them. */
static void metadata_write_methods(st_writer *writer, const char *name, unsigned credentials,
                                   bool anybody, bool bearer) {
  st_write_literal(writer, ",\"");
  st_write_literal(writer, name);
  st_write_literal(writer, "\":[");
  if ((credentials & ST_FORM_BASIC) != 0) st_write_literal(writer, "\"client_secret_basic\",");
  st_write_literal(writer, "\"client_secret_post\"");
  if (anybody) st_write_literal(writer, ",\"none\"");
  if (bearer && (credentials & ST_FORM_BEARER) != 0) st_write_literal(writer, ",\"Bearer\"");
  st_write_char(writer, ']');
}

static void metadata_write(st_writer *writer, const char *issuer, unsigned credentials) {
  st_write_literal(writer, "{\"issuer\":\"");
  st_write_literal(writer, issuer);
  st_write_char(writer, '"');
  metadata_write_endpoint(writer, "authorization_endpoint", issuer, "/oauth/authorize");
  metadata_write_endpoint(writer, "token_endpoint", issuer, "/oauth/token");
  metadata_write_methods(writer, "token_endpoint_auth_methods_supported", credentials, true, false);
  st_write_literal(writer,
                   ",\"grant_types_supported\":[\"client_credentials\",\"refresh_token\","
                   "\"urn:ietf:params:oauth:grant-type:token-exchange\"]"
                   ",\"response_types_supported\":[]");
  metadata_write_endpoint(writer, "revocation_endpoint", issuer, "/oauth/revoke");
  st_write_literal(writer, ",\"revocation_endpoint_auth_methods_supported\":[\"none\"]");
  metadata_write_endpoint(writer, "introspection_endpoint", issuer, "/oauth/introspect");
  metadata_write_methods(writer, "introspection_endpoint_auth_methods_supported", credentials,
                         false, true);
  st_write_char(writer, '}');
}

const st_problem *st_metadata_issuer(st_context *c) {
  const st_settings *settings = c->service->settings;
  subtoken_text path = {c->path, c->path_len}; /* no issuer has one that is truncated */
  size_t front = sizeof "/.well-known/oauth-authorization-server" - 1;
  subtoken_text behind = {path.data + front, path.len - front};
  if (settings->issuer[0] == '\0' || !metadata_is_of(st_text(settings->issuer), behind)) {
    return &metadata_none;
  }
  st_writer writer = st_reply_begin(c->reply);
  metadata_write(&writer, settings->issuer, settings->credentials);
  st_reply_end(c->reply, 200, &writer);
  return NULL;
}

const st_problem *st_metadata_authorize(st_context *c) {
  static const char code[] = "unsupported_response_type";
  static const st_problem unsupported = {
      .status = 400,
      .event = "bad_request",
      .text = "response_type: none is supported; a token comes from /oauth/token"};
  if (c->service->settings->issuer[0] == '\0') return &metadata_none;
  st_reply_oauth_problem(c->reply, code, &unsupported);
  return NULL;
}

/* ---- protected resources ---- */

const st_problem *st_metadata_resource(st_context *c) {
  const st_service *service = c->service;
  st_reply *reply = c->reply;
  size_t len =
      subtoken_policy_metadata(service->policy, c->request->target,
                               st_text(service->settings->issuer), reply->body, sizeof reply->body);
  if (len == 0) return &metadata_none;
  reply->status = 200;
  reply->body_len = len;
  return NULL;
}
