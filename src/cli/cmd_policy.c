/* `subtoken policy check`: says what is wrong with a route policy, or prints what its routes need,
 * sorted by path. How a policy is read and applied is in core/policy*.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "core/paths.h"
#include "core/policy.h"
#include "operations/policy_file.h"
#include "os/error.h"
#include "subtoken/policy.h"

/* A policy and its routes in order. */
typedef struct policy_checked {
  st_policy_file file;
  const subtoken_policy *policy;
  const st_policy_route **sorted;
} policy_checked;

/* ---- in order ---- */

/* Its path as an entry is written; the length is without the NUL. */
static subtoken_text policy_written_path(const subtoken_policy *policy,
                                         const st_policy_route *route,
                                         char out[SUBTOKEN_URL_MAX + 1]) {
  static st_entry entry;
  subtoken_text decoded = st_policy_path(policy, route);
  entry.wild = route->wild;
  entry.path.bytes = decoded.data;
  entry.path.len = decoded.len;
  st_writer writer = st_writer_on(out, SUBTOKEN_URL_MAX + 1);
  st_paths_write_entry(&writer, &entry);
  return (subtoken_text){out, st_writer_end(&writer) ? writer.len : 0};
}

static const subtoken_policy *policy_compared; /* for qsort, which has no context */

static int policy_compare_routes(const void *a, const void *b) {
  const st_policy_route *one = *(const st_policy_route *const *)a;
  const st_policy_route *two = *(const st_policy_route *const *)b;
  char x[SUBTOKEN_URL_MAX + 1], y[SUBTOKEN_URL_MAX + 1];
  (void)policy_written_path(policy_compared, one, x);
  (void)policy_written_path(policy_compared, two, y);
  int order = strcmp(x, y);
  return order != 0 ? order : one < two ? -1 : 1; /* as in the file */
}

static bool policy_sort(policy_checked *file) {
  file->policy = file->file.policy;
  size_t count = file->policy->route_count;
  file->sorted = malloc((count + 1) * sizeof(const st_policy_route *));
  if (file->sorted == NULL) return false;
  for (size_t i = 0; i < count; i++) file->sorted[i] = st_policy_routes(file->policy) + i;
  policy_compared = file->policy;
  qsort(file->sorted, count, sizeof(const st_policy_route *), policy_compare_routes);
  return true;
}

/* ---- printing ---- */

static void policy_print_list(const subtoken_policy *policy, uint32_t first, size_t count,
                              bool json) {
  for (uint32_t i = 0; i < count; i++) {
    if (i > 0) fputc(json ? ',' : ' ', stdout);
    subtoken_text item = st_policy_text(policy, first + i);
    if (json) {
      st_print_json(stdout, item);
    } else {
      st_print_text(stdout, item);
    }
  }
}

static const char *policy_default_name(const subtoken_policy *policy) {
  static const char *const names[] = {"deny", "token", "public"};
  return names[policy->standard];
}

/* The members of "mcp" as the library sorts them, and what each needs. */
static void policy_print_calls_json(const subtoken_policy *policy, const st_policy_route *route) {
  size_t count;
  const st_policy_call *calls = st_policy_route_calls(policy, route, &count);
  fputs(",\"mcp\":{", stdout);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) fputc(',', stdout);
    st_print_json(stdout, st_policy_call_member(policy, &calls[i]));
    fputs(":[", stdout);
    policy_print_list(policy, calls[i].needs, calls[i].need_count, true);
    fputc(']', stdout);
  }
  printf("},\"mcp_headers\":%s", route->mcp_headers ? "\"2026-07-28\"" : "null");
}

static void policy_print_route_json(const subtoken_policy *policy, const st_policy_route *route) {
  char out[SUBTOKEN_URL_MAX + 1];
  fputs("{\"path\":", stdout);
  st_print_json(stdout, policy_written_path(policy, route, out));
  if (route->method_count > 0) {
    fputs(",\"methods\":[", stdout);
    policy_print_list(policy, route->methods, route->method_count, true);
    fputc(']', stdout);
  }
  fputs(",\"needs\":[", stdout);
  policy_print_list(policy, route->needs, route->need_count, true);
  printf("],\"public\":%s,\"json_rpc\":%s", route->open ? "true" : "false",
         route->json_rpc ? "true" : "false");
  if (route->mcp) policy_print_calls_json(policy, route);
  subtoken_text resource = st_policy_resource(policy, route);
  if (resource.data != NULL) {
    fputs(",\"resource\":", stdout);
    st_print_json(stdout, resource);
  }
  printf(",\"line\":%u}", route->line);
}

static void policy_print_json(const policy_checked *file) {
  printf("{\"ok\":true,\"default\":\"%s\",\"preflight\":%s,\"routes\":[",
         policy_default_name(file->policy), file->policy->preflight ? "true" : "false");
  for (size_t i = 0; i < file->policy->route_count; i++) {
    if (i > 0) fputc(',', stdout);
    policy_print_route_json(file->policy, file->sorted[i]);
  }
  puts("]}");
}

static void policy_print_needs(const subtoken_policy *policy, const st_policy_route *route) {
  if (route->open) {
    fputs("public", stdout);
    return;
  }
  if (route->need_count == 0) fputs("a good token", stdout);
  policy_print_list(policy, route->needs, route->need_count, false);
  if (route->json_rpc) fputs(", and the APIs that the body names", stdout);
}

/* A line for each member of "mcp": all that such a call needs. */
static void policy_print_calls(const subtoken_policy *policy, const st_policy_route *route) {
  size_t count;
  const st_policy_call *calls = st_policy_route_calls(policy, route, &count);
  for (size_t i = 0; i < count; i++) {
    fputs("  ", stdout);
    st_print_text(stdout, st_policy_call_member(policy, &calls[i]));
    fputs(": ", stdout);
    policy_print_list(policy, route->needs, route->need_count, false);
    if (route->need_count > 0) fputc(' ', stdout);
    policy_print_list(policy, calls[i].needs, calls[i].need_count, false);
    fputc('\n', stdout);
  }
  if (route->mcp_headers) {
    puts("  without a body: by Mcp-Method and Mcp-Name of revision 2026-07-28");
  }
  subtoken_text resource = st_policy_resource(policy, route);
  if (resource.data == NULL) return;
  fputs("  resource ", stdout);
  st_print_text(stdout, resource);
  fputc('\n', stdout);
}

static void policy_print_rows(const policy_checked *file) {
  const subtoken_policy *policy = file->policy;
  char out[SUBTOKEN_URL_MAX + 1];
  size_t width = 0;
  for (size_t i = 0; i < policy->route_count; i++) {
    size_t len = policy_written_path(policy, file->sorted[i], out).len;
    if (len > width && len <= 60) width = len;
  }
  for (size_t i = 0; i < policy->route_count; i++) {
    const st_policy_route *route = file->sorted[i];
    (void)policy_written_path(policy, route, out);
    printf("%-*s  ", (int)width, out);
    if (route->method_count == 0) fputs("any method", stdout);
    policy_print_list(policy, route->methods, route->method_count, false);
    fputs(": ", stdout);
    policy_print_needs(policy, route);
    fputc('\n', stdout);
    policy_print_calls(policy, route);
  }
}

static void policy_print_text(const policy_checked *file) {
  static const char *const means[] = {
      "deny: requests without a route are refused",
      "token: requests without a route need a valid token",
      "public: requests without a route need no token, /path/ beside /path too"};
  policy_print_rows(file);
  printf("default %s\n", means[file->policy->standard]);
  if (file->policy->preflight) puts("CORS preflight requests pass");
}

static int policy_print_error(const char *path, const subtoken_policy_error *error, bool json) {
  if (json) {
    printf("{\"ok\":false,\"line\":%zu,\"column\":%zu,\"error\":", error->line, error->column);
    st_print_json(stdout, st_text(error->text));
    puts("}");
  } else {
    st_print_policy_error(path, error);
  }
  return st_print_flush(ST_EXIT_REFUSED);
}

static int policy_check(const char *path, bool json) {
  policy_checked file = {0};
  char error[ST_ERROR_MAX];
  int code;
  if (!st_policy_file_load(path, &file.file, error)) {
    code = st_print_error(ST_EXIT_FAILED, "policy check: %s", error);
  } else if (file.file.policy == NULL) {
    code = policy_print_error(path, &file.file.error, json);
  } else if (!policy_sort(&file)) {
    code = st_print_error(ST_EXIT_FAILED, "policy check: out of memory");
  } else {
    if (json) {
      policy_print_json(&file);
    } else {
      policy_print_text(&file);
    }
    code = st_print_flush(ST_EXIT_DONE);
  }
  st_policy_file_free(&file.file);
  free(file.sorted);
  return code;
}

static int policy_cmd_check(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken policy check FILE [--json]\n"
      "Reads a route policy. Prints what is wrong with it as FILE:LINE:COLUMN, or what each\n"
      "route needs, sorted by path. Only the most specific path decides: of two that match,\n"
      "the one that has a literal segment instead of a star where they first differ.\n"
      "Exit 0 valid, 1 not valid, 3 when FILE could not be read.";
  const char *path = NULL;
  bool json = false;
  const st_option options[] = {{"--json", &json, NULL}, {0}};
  st_arguments arguments = {
      .command = "policy check", .help = help, .options = options, .words = &path, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (path == NULL) return st_options_usage(&arguments, "FILE is missing");
  return policy_check(path, json);
}

int st_cmd_policy(int argc, char **argv) {
  static const st_command commands[] = {
      {"check", policy_cmd_check, "check a route policy, and print what its routes need"}, {0}};
  return st_options_run_command(commands, "subtoken policy", argc, argv);
}
