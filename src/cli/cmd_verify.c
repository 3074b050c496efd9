/* `subtoken verify`: is a token good for a request, and which rule decided. Here are the options,
 * one token and many (--jsonl), and how the verdict is explained. The rules are the library's; what
 * is revoked comes from the database (verify_store.c) or from files (verify_files.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/date.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/verify_call.h"
#include "cli/verify_files.h"
#include "cli/verify_store.h"
#include "domain/config.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "operations/policy_file.h"
#include "operations/settings.h"
#include "os/clock.h"
#include "os/error.h"
#include "subtoken/feed.h"
#include "subtoken/policy.h"
#include "subtoken/revocations.h"
#include "subtoken/verify.h"

#define TOKEN_MAX (1 << 20) /* longer than any token may be, so that the verdict is "too_large" */
#define NEEDS_MAX 256
/* A target of which every byte is escaped, and a token full of urls. */
#define EXPLANATION_MAX (4 * SUBTOKEN_TARGET_MAX + SUBTOKEN_TOKEN_MAX)
/* No header arrives here, and so none that would make a CORS preflight. */
#define POLICY_FLAGS 0

/* What is asked about one token. */
typedef struct verify_question {
  const subtoken_policy *policy; /* NULL: none */
  st_verify_store *store;        /* one of these two, or none */
  st_verify_files *files;
  st_verify_call *call; /* the body, when there is one */
  subtoken_text token, method, target;
  subtoken_text needs[NEEDS_MAX];
  size_t needs_count;
  int64_t now;
  bool at_given;
} verify_question;

static bool verify_read_time(subtoken_text text, int64_t *seconds) {
  return st_date_read(text, seconds) ||
         (text.len > 0 && text.data[text.len - 1] <= '9' && st_date_read_duration(text, seconds));
}

static bool verify_read_needs(subtoken_text list, verify_question *asked) {
  st_cutter cutter = {list, list.len == 0};
  subtoken_text need;
  while (st_cut_item(&cutter, &need)) {
    if (asked->needs_count == NEEDS_MAX) return false;
    asked->needs[asked->needs_count++] = need;
  }
  return true;
}

static subtoken_request verify_request_of(const verify_question *asked) {
  int64_t now = asked->now;
  if (asked->files != NULL) now = subtoken_feed_now(&asked->files->file.feed, now);
  return (subtoken_request){.size = sizeof(subtoken_request),
                            .now = now,
                            .method = asked->method,
                            .target = asked->target,
                            .needs = asked->needs,
                            .needs_count = asked->needs_count};
}

/* What the token itself cannot say: is it one of its key, and does that still have what is needed?
 */
static subtoken_result verify_against_store(const verify_question *asked, subtoken_claims *claims) {
  const subtoken_decision *decision = &asked->call->decision;
  subtoken_result result = st_verify_store_limit(asked->store, claims);
  if (result != SUBTOKEN_OK) return result;
  result = st_verify_store_check_needs(asked->store, decision->needs, decision->needs_count);
  if (result != SUBTOKEN_OK) return result;
  return st_verify_store_check_needs(asked->store, asked->needs, asked->needs_count);
}

static subtoken_result verify_decide(const subtoken_verifier *verifier,
                                     const verify_question *asked, subtoken_claims *claims) {
  subtoken_decision *decision = &asked->call->decision;
  subtoken_result result;
  *decision = (subtoken_decision)SUBTOKEN_DECISION_DEFAULT;
  asked->call->decided = false;
  if (asked->store != NULL) asked->store->now = asked->now;
  if (asked->files != NULL) st_verify_files_refresh(asked->files, asked->now, asked->at_given);
  subtoken_request request = verify_request_of(asked);
  if (asked->policy != NULL) {
    result = subtoken_policy_verify(verifier, asked->policy, asked->token, &request,
                                    st_verify_call_flags(asked->call), claims, decision);
    if (decision->access != SUBTOKEN_ACCESS_TOKEN) return result; /* no token was let through */
  } else {
    result = subtoken_verify(verifier, asked->token, &request, claims);
  }
  if (asked->store != NULL && result == SUBTOKEN_REVOCATION_UNKNOWN) {
    st_print_error(0, "verify: no revocation data: %s", asked->store->error);
  }
  if (asked->store != NULL && result == SUBTOKEN_OK) result = verify_against_store(asked, claims);
  if (asked->policy == NULL || result != SUBTOKEN_OK) return result;
  return st_verify_call_check(asked->call, asked->policy, &request, claims);
}

static void verify_print_json(const verify_question *asked, subtoken_result result) {
  const char *word;
  if (result == SUBTOKEN_OK) {
    puts("{\"ok\":true}");
    return;
  }
  int status = st_verify_call_status(asked->call, result, &word);
  printf("{\"ok\":false,\"status\":%d,\"reason\":\"%s\"}\n", status, word);
}

/* ---- --jsonl ---- */

static bool verify_read_needs_array(st_json *json, verify_question *asked) {
  asked->needs_count = 0;
  if (!st_json_array(json)) return false;
  while (st_json_element(json)) {
    if (asked->needs_count == NEEDS_MAX ||
        !st_json_string(json, &asked->needs[asked->needs_count])) {
      return false;
    }
    asked->needs_count++;
  }
  return !json->failed;
}

static bool verify_read_at(st_json *json, verify_question *asked) {
  subtoken_text text;
  asked->at_given = true;
  if (st_json_peek(json) != '"') return st_json_uint(json, &asked->now);
  return st_json_string(json, &text) && verify_read_time(text, &asked->now) && asked->now >= 0;
}

/* One line; what it does not say is as the options say. */
static bool verify_read_line(char *line, size_t len, verify_question *asked) {
  st_json json;
  subtoken_text name;
  st_json_start(&json, line, len);
  bool good = st_json_object(&json);
  while (good && st_json_member(&json, &name)) {
    if (st_text_is(name, "token")) {
      good = st_json_string(&json, &asked->token);
    } else if (st_text_is(name, "method")) {
      good = st_json_string(&json, &asked->method);
    } else if (st_text_is(name, "url")) {
      good = st_json_string(&json, &asked->target);
    } else if (st_text_is(name, "require")) {
      good = verify_read_needs_array(&json, asked);
    } else if (st_text_is(name, "at")) {
      good = verify_read_at(&json, asked);
    } else {
      good = st_json_skip(&json);
    }
  }
  return good && st_json_end(&json) && asked->token.data != NULL;
}

static int verify_lines(const subtoken_verifier *verifier, const verify_question *given) {
  static subtoken_claims claims;
  static verify_question asked;
  char error[ST_ERROR_MAX];
  st_input_lines lines = {0};
  subtoken_text line;
  while (st_input_next_line(&lines, &line)) {
    asked = *given;
    if (!given->at_given) asked.now = st_clock_now();
    if (line.data[line.len - 1] == '\n') line.len--;
    if (verify_read_line(lines.text, line.len, &asked)) {
      verify_print_json(&asked, verify_decide(verifier, &asked, &claims));
    } else {
      puts("{\"ok\":false,\"status\":400,\"reason\":\"bad_line\"}");
    }
    if (fflush(stdout) != 0) break; /* the caller may wait for each result */
  }
  if (!st_input_end_lines(&lines, error)) {
    return st_print_error(ST_EXIT_FAILED, "verify: %s", error);
  }
  return st_print_flush(ST_EXIT_DONE);
}

/* ---- one token, explained ---- */

/* The store's own reasons are not the library's to know. */
static void verify_print_explanation(const subtoken_verifier *verifier,
                                     const verify_question *asked, subtoken_result result) {
  static char explanation[EXPLANATION_MAX];
  char error[ST_ERROR_MAX];
  const st_verify_store *store = asked->store;
  subtoken_request request = verify_request_of(asked);
  if (result != SUBTOKEN_OK) {
    const char *word;
    int status = st_verify_call_status(asked->call, result, &word);
    printf("refused %d %s: ", status, word);
  }
  if (result == SUBTOKEN_PERM && store != NULL && store->lacks.data != NULL) {
    fputs("it needs ", stdout);
    st_print_text(stdout, store->lacks);
    printf(", its key has only [%s]\n", store->key.permissions);
    return;
  }
  if (result == SUBTOKEN_AUD && store != NULL && store->foreign) {
    printf("it is not a token of its key, which is bound to %s\n", store->key.audience);
    return;
  }
  bool call = asked->call->decided;
  if (call && result != SUBTOKEN_OK) {
    explanation[0] = '\0';
  } else if (asked->policy != NULL) {
    subtoken_policy_explain(verifier, asked->policy, asked->token, &request,
                            st_verify_call_flags(asked->call), result, explanation,
                            sizeof explanation);
  } else {
    subtoken_explain(verifier, asked->token, &request, result, explanation, sizeof explanation);
  }
  fputs(explanation, stdout);
  if (call) {
    if (result == SUBTOKEN_OK) fputs("; ", stdout);
    st_verify_call_print(asked->call, asked->policy, result);
  }
  if (result == SUBTOKEN_PERM && call && store != NULL && store->limited) {
    printf(", its key has only [%s]", store->key.permissions);
  }
  if (result == SUBTOKEN_REVOKED && store != NULL && store->reason != NULL) {
    printf(": %s", store->reason);
  }
  if (result == SUBTOKEN_REVOCATION_UNKNOWN && asked->files != NULL) {
    st_verify_files_explain(asked->files, error);
    fputs(": ", stdout);
    st_print_text(stdout, st_text(error));
  }
  fputc('\n', stdout);
}

/* Is it for everybody? Then a token that is missing is none. */
static bool verify_needs_no_token(const verify_question *asked) {
  static subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  return asked->policy != NULL &&
         subtoken_policy_find(asked->policy, asked->method, asked->target, POLICY_FLAGS,
                              &decision) == SUBTOKEN_OK &&
         decision.access == SUBTOKEN_ACCESS_PUBLIC;
}

static int verify_one(const subtoken_verifier *verifier, verify_question *asked, bool json) {
  static subtoken_claims claims;
  static char text[TOKEN_MAX];
  char error[ST_ERROR_MAX];
  if (!st_input_credential(text, sizeof text, &asked->token, error) &&
      !verify_needs_no_token(asked)) {
    return st_print_error(ST_EXIT_FAILED, "verify: %s", error);
  }
  subtoken_result result = verify_decide(verifier, asked, &claims);
  if (json) {
    verify_print_json(asked, result);
  } else {
    verify_print_explanation(verifier, asked, result);
  }
  subtoken_wipe(text, sizeof text);
  return st_print_flush(result == SUBTOKEN_OK ? ST_EXIT_DONE : ST_EXIT_REFUSED);
}

/* ---- options ---- */

typedef struct verify_options {
  st_data_options data;
  const char *method, *url, *require, *at, *leeway, *max_life, *iss, *aud, *secrets, *policy, *body,
      *revocations, *max_age, *max_size;
  bool no_revocations, jsonl, json;
  subtoken_feed_settings feed; /* of the files, as these options say */
} verify_options;

static subtoken_text verify_optional_text(const char *text) {
  return text != NULL ? st_text(text) : (subtoken_text){NULL, 0};
}

/* NULL, or which option is wrong. */
static const char *verify_apply(verify_options *given, subtoken_verifier *verifier,
                                verify_question *asked) {
  asked->method = verify_optional_text(given->method);
  asked->target = verify_optional_text(given->url);
  asked->now = st_clock_now();
  asked->at_given = given->at != NULL;
  verifier->iss = verify_optional_text(given->iss);
  verifier->aud = verify_optional_text(given->aud);
  verifier->without_revocations = given->no_revocations;
  if (given->at != NULL && !verify_read_time(st_text(given->at), &asked->now)) {
    return "--at must be whole seconds since 1970, or a date and time";
  }
  if (given->leeway != NULL && !st_input_leeway(given->leeway, &verifier->leeway)) {
    return ST_LEEWAY_USAGE;
  }
  if (given->max_life != NULL &&
      !st_date_read_duration(st_text(given->max_life), &verifier->max_life)) {
    return "--max-life must be seconds, or a number with s, m, h or d";
  }
  given->feed.leeway = verifier->leeway;
  if (given->max_age != NULL &&
      !st_date_read_duration(st_text(given->max_age), &given->feed.max_age)) {
    return "--max-age must be seconds, or a number with s, m, h or d";
  }
  if (given->max_size != NULL && !st_input_size(given->max_size, &given->feed.max_size)) {
    return ST_SIZE_USAGE;
  }
  if (given->require != NULL && !verify_read_needs(st_text(given->require), asked)) {
    return "--require: too many permissions (maximum 256)";
  }
  return asked->now < 0 || asked->now > SUBTOKEN_TIME_MAX ? "--at must be a time after 1970" : NULL;
}

/* What the options leave open is as at the server of this store. */
static bool verify_use_settings(st_store *store, const verify_options *given,
                                subtoken_verifier *verifier, char *error) {
  st_settings settings;
  if (!st_settings_get(store, &settings, error)) return false;
  if (given->leeway == NULL) verifier->leeway = settings.leeway;
  if (given->max_life == NULL) verifier->max_life = settings.max_life;
  return true;
}

static int verify_input(const verify_options *given, const subtoken_verifier *verifier,
                        verify_question *asked) {
  return given->jsonl ? verify_lines(verifier, asked) : verify_one(verifier, asked, given->json);
}

/* By the files alone, as an edge does: the store is not looked at. */
static int verify_by_files(const verify_options *given, subtoken_verifier *verifier,
                           verify_question *asked) {
  static st_verify_files source; /* the verifier points to it */
  if (!st_verify_files_start(&source, given->revocations, &given->feed, asked->now, verifier)) {
    return st_print_error(ST_EXIT_USAGE,
                          "verify: --revocations: the name of FILE is empty or too long");
  }
  asked->files = &source;
  int code = verify_input(given, verifier, asked);
  st_verify_files_stop(&source);
  return code;
}

/* Without a store to ask there is no trustworthy revocation data: 503 for all. */
static int verify_by_store(const verify_options *given, const st_data_dir *data,
                           subtoken_verifier *verifier, verify_question *asked) {
  static st_verify_store source; /* the verifier points to it */
  char error[ST_ERROR_MAX];
  st_store *store = st_data_dir_open(data, false, error);
  if (store == NULL) {
    st_print_error(0, "verify: no revocation data: %s", error);
    return verify_input(given, verifier, asked);
  }
  st_verify_store_start(&source, store, verifier);
  asked->store = &source;
  int code = verify_use_settings(store, given, verifier, error)
                 ? verify_input(given, verifier, asked)
                 : st_print_error(ST_EXIT_FAILED, "verify: %s", error);
  st_store_close(store);
  return code;
}

static int verify_with_ring(const verify_options *given, subtoken_verifier *verifier,
                            verify_question *asked) {
  static subtoken_ring ring;
  char error[ST_ERROR_MAX];
  st_data_dir data;
  int code;
  int found = st_data_dir_find(&given->data, &data, error);
  if (found != ST_EXIT_DONE) return st_print_error(found, "verify: %s", error);
  if (st_keyring_file_load_edge(given->secrets != NULL ? given->secrets : data.secrets, &ring,
                                error) != NULL) {
    return st_print_error(ST_EXIT_FAILED, "verify: %s", error);
  }
  verifier->ring = &ring;
  if (given->no_revocations) {
    code = verify_input(given, verifier, asked);
  } else if (given->revocations != NULL) {
    code = verify_by_files(given, verifier, asked);
  } else {
    code = verify_by_store(given, &data, verifier, asked);
  }
  subtoken_wipe(&ring, sizeof ring);
  return code;
}

/* With the body, when there is one. */
static int verify_with_body(const verify_options *given, subtoken_verifier *verifier,
                            verify_question *asked) {
  static st_verify_call call;
  char error[ST_ERROR_MAX];
  int code = ST_EXIT_FAILED;
  asked->call = &call;
  if (given->body != NULL && !st_verify_call_load(given->body, &call, error)) {
    st_print_error(ST_EXIT_FAILED, "verify: %s", error);
  } else {
    code = verify_with_ring(given, verifier, asked);
  }
  st_verify_call_free(&call);
  return code;
}

/* Under the policy, when there is one. */
static int verify_with_policy(const verify_options *given, subtoken_verifier *verifier,
                              verify_question *asked) {
  st_policy_file file;
  char error[ST_ERROR_MAX];
  int code = ST_EXIT_FAILED;
  if (given->policy == NULL) return verify_with_body(given, verifier, asked);
  if (!st_policy_file_load(given->policy, &file, error)) {
    st_print_error(ST_EXIT_FAILED, "verify: %s", error);
  } else if (file.policy == NULL) {
    st_print_policy_error(given->policy, &file.error);
  } else {
    asked->policy = file.policy;
    code = verify_with_body(given, verifier, asked);
  }
  st_policy_file_free(&file);
  return code;
}

int st_cmd_verify(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken verify [--method M] [--url TARGET] [--require a,b]\n"
      "                       [--policy FILE [--body FILE]]\n"
      "                       [--at TIME] [--leeway S] [--max-life S] [--iss I] [--aud A]\n"
      "                       [--secrets FILE] [--revocations FILE | --no-revocations]\n"
      "                       [--max-age S] [--max-size SIZE]\n"
      "                       [--config FILE] [--data DIR] [--json | --jsonl]\n"
      "                       < TOKEN\n"
      "Verifies the token on standard input for a request, and prints the rule that decided.\n"
      "With --jsonl, each line of standard input is a JSON object {\"token\":...} with optional\n"
      "method, url, require (an array) and at; the results are printed one a line, in order.\n"
      "With --policy, the request needs what its route in FILE needs, and the permissions of\n"
      "--require, too; a public route needs no token. With --body, what the JSON-RPC or MCP\n"
      "call in that FILE needs, where the route says so; without it such a route is refused.\n"
      "Revoked tokens are looked up in the database in DATA; or in FILE and FILE.alive as\n"
      "`subtoken pull` keeps them, without the database; or, with --no-revocations, not at all.\n"
      "When FILE is older than --max-age (300 s), or larger than --max-size (1g), the\n"
      "verdict is 503.\n"
      "Exit 0 valid, 1 refused, 3 when the token, the ring or the policy could not be read.";
  verify_options given = {.feed = SUBTOKEN_FEED_SETTINGS_DEFAULT};
  const st_option options[] = {ST_DATA_OPTIONS(given.data),
                               {"--method", NULL, &given.method},
                               {"--url", NULL, &given.url},
                               {"--require", NULL, &given.require},
                               {"--policy", NULL, &given.policy},
                               {"--body", NULL, &given.body},
                               {"--at", NULL, &given.at},
                               {"--leeway", NULL, &given.leeway},
                               {"--max-life", NULL, &given.max_life},
                               {"--iss", NULL, &given.iss},
                               {"--aud", NULL, &given.aud},
                               {"--secrets", NULL, &given.secrets},
                               {"--revocations", NULL, &given.revocations},
                               {"--max-age", NULL, &given.max_age},
                               {"--max-size", NULL, &given.max_size},
                               {"--no-revocations", &given.no_revocations, NULL},
                               {"--jsonl", &given.jsonl, NULL},
                               {"--json", &given.json, NULL},
                               {0}};
  st_arguments arguments = {.command = "verify", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  static verify_question asked;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  if (given.revocations != NULL && given.no_revocations) {
    return st_options_usage(&arguments, "--revocations and --no-revocations exclude each other");
  }
  if ((given.max_age != NULL || given.max_size != NULL) && given.revocations == NULL) {
    return st_options_usage(&arguments, "--max-age and --max-size require --revocations");
  }
  if (given.body != NULL && (given.policy == NULL || given.jsonl)) {
    return st_options_usage(&arguments, "--body requires --policy, and excludes --jsonl");
  }
  const char *problem = verify_apply(&given, &verifier, &asked);
  if (problem != NULL) return st_options_usage(&arguments, "%s", problem);
  return verify_with_policy(&given, &verifier, &asked);
}
