/* `subtoken issue`: makes a subtoken from a key or subtoken, by the rules and the code of
 * POST /v2/createsubtoken, with the ring and the database of DATA. Permissions that are left out,
 * and an expiry that is reduced, are reported on standard error.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "base/date.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "core/claims.h"
#include "core/paths.h"
#include "domain/config.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "operations/keys.h"
#include "operations/settings.h"
#include "os/clock.h"
#include "os/error.h"
#include "service/identity.h"
#include "service/issuing.h"
#include "service/params.h"
#include "service/service.h"
#include "subtoken/issue.h"

#define NOTED_AHEAD INT64_C(86400) /* seconds */
#define CREDENTIAL_MAX (SUBTOKEN_TOKEN_MAX + 64)

/* --expire: a form of the HTTP parameter, or how long from now. */
static bool issue_read_expire(const char *text, int64_t now, subtoken_issue_request *request) {
  int64_t life;
  request->has_expire = true;
  if (st_date_read(st_text(text), &request->expire)) return true;
  if (!st_input_span(text, &life)) return false;
  request->expire = life <= ST_NEVER - now ? now + life : ST_NEVER;
  return true;
}

static void issue_write_parameter(st_writer *query, const char *name, const char *value) {
  static const char hex[] = "0123456789ABCDEF";
  if (value == NULL) return;
  st_write_char(query, '&');
  st_write_literal(query, name);
  st_write_char(query, '=');
  for (; *value != '\0'; value++) {
    char escape[3] = {'%', hex[(uint8_t)*value >> 4], hex[(uint8_t)*value & 15]};
    st_write(query, escape, sizeof escape);
  }
}

static bool issue_check_urls(st_params *params) {
  static st_entry entry;
  for (size_t i = 0; i < params->request.url_count; i++) {
    subtoken_fault fault = st_paths_read_entry(params->urls[i], &entry);
    if (fault == SUBTOKEN_FAULT_NONE) continue;
    snprintf(params->error, sizeof params->error, "urls: entry %zu: %s", i + 1,
             subtoken_fault_text(fault));
    return false;
  }
  return true;
}

/* They are read by the code that reads them in a query, so that both accept the same. */
static bool issue_read_params(const char *permissions, const char *urls, const char *audience,
                              st_params *params) {
  static char query[3 * ST_REQUEST_BODY_MAX + 64];
  st_writer writer = st_writer_on(query, sizeof query);
  issue_write_parameter(&writer, "permissions", permissions);
  issue_write_parameter(&writer, "urls", urls);
  issue_write_parameter(&writer, "audience", audience);
  if (writer.overflow) {
    snprintf(params->error, sizeof params->error, "permissions, urls: too long");
    return false;
  }
  return st_params_read(params, (subtoken_text){query, writer.len}, ST_BODY_NONE,
                        (subtoken_text){NULL, 0}) &&
         issue_check_urls(params);
}

/* A parent that is restricted to some urls must list the endpoint that makes subtokens, with one of
 * its methods.
 */
static st_auth_result issue_identify(const st_service *service, subtoken_text credential,
                                     int64_t now, st_identity *identity) {
  st_identity_use use = {ST_TEXT("POST"), ST_TEXT("/v2/createsubtoken"), NULL};
  st_auth_result result = st_identity_find(service, credential, &use, now, identity);
  bool url = result.status == ST_AUTH_STATUS_REJECTED && result.reason == SUBTOKEN_URL;
  if (!url) return result;
  use.method = ST_TEXT("GET");
  return st_identity_find(service, credential, &use, now, identity);
}

/* Prints what was asked for and left out; narrowing itself does not report it. */
static void issue_print_left_out(const subtoken_claims *grant,
                                 const subtoken_issue_request *request) {
  bool first = true;
  for (size_t i = 0; i < request->permission_count; i++) {
    subtoken_text permission = request->permissions[i];
    if (st_claims_has_permission(grant, permission)) continue;
    fputs(first ? "subtoken issue: left out, because the credential does not have it: " : ", ",
          stderr);
    first = false;
    bool valid =
        subtoken_permission_valid(permission); /* else quoted, so that an empty one is seen */
    if (!valid) fputc('"', stderr);
    st_print_text(stderr, permission);
    if (!valid) fputc('"', stderr);
  }
  if (!first) fputc('\n', stderr);
}

static void issue_print_reduced(const st_service *service, const subtoken_claims *grant,
                                int64_t now) {
  int64_t most = now + service->settings->max_life;
  fputs("subtoken issue: the expiry was brought down to ", stderr);
  st_print_time(stderr, grant->exp < most ? grant->exp : most);
  fputs(grant->exp < most ? ", that of the credential\n" : ", the longest life (max_life)\n",
        stderr);
}

/* The store keeps the latest time at which a key was used: its tokens may begin as late as that. It
 * is written here only when this clock is ahead of all that the store has seen, because it takes a
 * write.
 */
static void issue_note_clock(st_store *store, const char *id, int64_t now) {
  char error[ST_ERROR_MAX];
  int64_t sequence = 0; /* of the microseconds since 1970 */
  st_key_use use = {.at = now};
  snprintf(use.id, sizeof use.id, "%s", id);
  if (st_store_get_setting(store, "sequence", &sequence, error) == ST_STORE_OK &&
      now > sequence / 1000000 + NOTED_AHEAD) {
    st_store_status noted = st_store_key_mark_used(store, &use, 1, error);
    (void)noted; /* what cannot be written is used all the same */
  }
}

static int issue_subtoken(st_store *store, const st_service *service, subtoken_text credential,
                          const st_params *params, int64_t now, bool json) {
  static st_identity identity;
  char token[SUBTOKEN_ISSUED_MAX + 1], error[ST_ISSUING_ERROR_MAX];
  subtoken_narrow_report report = SUBTOKEN_NARROW_REPORT_DEFAULT;
  st_auth_result result = issue_identify(service, credential, now, &identity);
  if (result.status == ST_AUTH_STATUS_REJECTED) {
    return st_print_error(ST_EXIT_REFUSED, "issue: the credential is refused: %s", result.event);
  }
  if (result.status != ST_AUTH_STATUS_OK) {
    return st_print_error(ST_EXIT_FAILED, "issue: the key store cannot be read");
  }
  issue_note_clock(store, identity.key.id, now);
  if (st_issuing_subtoken(service, &identity.key, &identity.grant, &params->request, now, token,
                          &report, error) != SUBTOKEN_OK) {
    return st_print_error(ST_EXIT_REFUSED, "issue: %s", error);
  }
  if (report.dropped > 0) issue_print_left_out(&identity.grant, &params->request);
  if (report.clamped) issue_print_reduced(service, &identity.grant, now);
  printf(json ? "{\"subtoken\":\"%s\"}\n" : "%s\n", token);
  subtoken_wipe(token, sizeof token);
  return st_print_flush(ST_EXIT_DONE);
}

int st_cmd_issue(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken issue [--permissions a,b] [--urls /x,/y] [--expire WHEN]\n"
      "                      [--audience A] [--config FILE] [--data DIR]\n"
      "                      [--json]   < KEY-OR-SUBTOKEN\n"
      "Makes a subtoken from the key or subtoken on standard input and prints it. WHEN is a\n"
      "date and time (2027-11-22T00:41:48Z) or a number with s, m, h or d; 30d by default.\n"
      "Permissions that the credential does not have are left out, with a note on standard\n"
      "error. With --audience it is for edges for A alone.";
  st_data_options data_options = {0};
  const char *permissions = NULL, *urls = NULL, *expire = NULL, *audience = NULL;
  bool json = false;
  const st_option options[] = {ST_DATA_OPTIONS(data_options),
                               {"--permissions", NULL, &permissions},
                               {"--urls", NULL, &urls},
                               {"--expire", NULL, &expire},
                               {"--audience", NULL, &audience},
                               {"--json", &json, NULL},
                               {0}};
  st_arguments arguments = {.command = "issue", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  static st_params params;
  int64_t now = st_clock_now();
  if (!issue_read_params(permissions, urls, audience, &params)) {
    return st_options_usage(&arguments, "--%s", params.error);
  }
  if (expire != NULL && !issue_read_expire(expire, now, &params.request)) {
    return st_options_usage(&arguments,
                            "--expire must be a date and time, or a number with s, m, h or d");
  }
  char error[ST_ERROR_MAX], text[CREDENTIAL_MAX];
  subtoken_text credential;
  st_data_dir data;
  st_store *store;
  int begun = st_data_dir_begin("issue", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  static subtoken_ring ring;
  st_settings settings;
  if (!st_settings_get(store, &settings, error) || !st_settings_set_life(store, &settings, error)) {
    st_store_close(store);
    return st_print_error(ST_EXIT_FAILED, "issue: %s", error);
  }
  st_service service = {.settings = &settings, .ring = &ring, .keys = st_keys_of(store)};
  int code = ST_EXIT_FAILED;
  if (st_keyring_file_load(data.secrets, &ring, error) != NULL ||
      !st_input_credential(text, sizeof text, &credential, error)) {
    st_print_error(code, "issue: %s", error);
  } else {
    code = issue_subtoken(store, &service, credential, &params, now, json);
  }
  subtoken_wipe(text, sizeof text);
  subtoken_wipe(&ring, sizeof ring);
  st_store_close(store);
  return code;
}
