/* `subtoken revoke`: revokes tokens, one a line on standard input, as POST /oauth/revoke does
 * (service/revoke.c), with the ring and the database of DATA. A subtoken ends with what was
 * made from it, the access token of a session with its session. Of a key that the database does not
 * know, which was made after the backup that was restored, one token ends all: one under a secret
 * of the ring itself, because who has a derived secret can name any sub.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "operations/settings.h"
#include "os/clock.h"
#include "os/error.h"
#include "subtoken/verify.h"

typedef struct revoke_command {
  st_store *store;
  subtoken_ring ring;
  st_audit_context context;
  int64_t now, leeway;
  bool json;
  int code; /* of the worst line */
} revoke_command;

static int revoke_worse(int a, int b) {
  return a > b ? a : b;
}

/* ---- what is printed of a line ---- */

static int revoke_print_refused(const revoke_command *s, size_t line, const char *reason,
                                const char *text) {
  if (s->json) {
    printf("{\"revoked\":false,\"reason\":\"%s\"}\n", reason);
  } else {
    st_print_error(0, "revoke: line %zu: %s", line, text);
  }
  return ST_EXIT_REFUSED;
}

static int revoke_print_not_ours(const revoke_command *s, size_t line, subtoken_result result) {
  char text[128];
  snprintf(text, sizeof text, "not a subtoken of this ring: %s", subtoken_result_name(result));
  return revoke_print_refused(s, line, subtoken_result_name(result), text);
}

/* what: "tid", "session" or "sub"; done: in words. */
static int revoke_print_done(const revoke_command *s, const char *what, subtoken_text name,
                             int64_t sequence, const char *done) {
  if (s->json) {
    printf("{\"%s\":\"%.*s\",\"revoked\":true,\"sequence\":%lld}\n", what, (int)name.len, name.data,
           (long long)sequence);
  } else {
    printf("%.*s %s\n", (int)name.len, name.data, done);
  }
  return ST_EXIT_DONE;
}

/* Nothing to do: it is refused as it is. */
static int revoke_print_over(const revoke_command *s, subtoken_text tid, const char *reason,
                             const char *over) {
  if (s->json) {
    printf("{\"tid\":\"%.*s\",\"revoked\":false,\"reason\":\"%s\"}\n", (int)tid.len, tid.data,
           reason);
  } else {
    printf("%.*s %s\n", (int)tid.len, tid.data, over);
  }
  return ST_EXIT_DONE;
}

/* ---- the three ways ---- */

static int revoke_print_unproven(const revoke_command *s, size_t line) {
  return revoke_print_refused(
      s, line, "key_unknown",
      "its key is not in this database, and a token for an audience does not prove that there is "
      "one: use a token of that key without an audience");
}

/* Of a key that is not in this database, nor was. */
static int revoke_sub(const revoke_command *s, size_t line, const subtoken_claims *claims) {
  char id[ST_KEY_ID_LEN + 1], error[ST_ERROR_MAX];
  int64_t sequence = 0;
  subtoken_text sub = subtoken_claims_text(claims, claims->sub);
  switch (st_store_revoke_sub(s->store, &s->context, sub, claims->iat, claims->exp - claims->iat,
                              id, &sequence, error)) {
    case ST_STORE_OK:
      return revoke_print_done(s, "sub", sub, sequence,
                               "is revoked: all of a key that this database does not know");
    case ST_STORE_DENIED: return revoke_print_done(s, "sub", sub, sequence, "was revoked before");
    case ST_STORE_EXISTS: /* it was made this moment */
      return revoke_print_refused(s, line, "known", "the key was only made now: try again");
    default: return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  }
}

/* tid: of its access token, or absent. */
static int revoke_session(const revoke_command *s, const st_key *session, subtoken_text tid) {
  char error[ST_ERROR_MAX];
  int64_t sequence = 0;
  switch (st_store_session_end(s->store, &s->context, session->id, &sequence, error)) {
    case ST_STORE_OK:
      return revoke_print_done(s, "session", st_text(session->id), sequence, "is ended");
    case ST_STORE_NOT_FOUND: return revoke_print_over(s, tid, "revoked", "was revoked before");
    default: return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  }
}

static int revoke_tid(const revoke_command *s, size_t line, const st_key *key,
                      const st_key_token *token) {
  char error[ST_ERROR_MAX], text[256];
  int64_t sequence = 0;
  subtoken_text tid = token->tid;
  if (token->exp + s->leeway <= s->now) return revoke_print_over(s, tid, "expired", "has expired");
  switch (st_store_token_revoke(s->store, &s->context, token, ST_TOKENS_REVOKED_MAX, &sequence,
                                error)) {
    case ST_STORE_OK: return revoke_print_done(s, "tid", tid, sequence, "is revoked");
    case ST_STORE_NOT_FOUND: return revoke_print_over(s, tid, "revoked", "was revoked before");
    case ST_STORE_FULL:
      snprintf(
          text, sizeof text,
          "%d tokens of this key are revoked one by one, and not more at a time: `subtoken key "
          "revoke-subtokens %s` revokes all",
          ST_TOKENS_REVOKED_MAX, st_key_root(key));
      return revoke_print_refused(s, line, "revoke_limit", text);
    default: return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  }
}

/* ---- a line ---- */

static int revoke_claims(const revoke_command *s, size_t line, const subtoken_claims *claims) {
  char error[ST_ERROR_MAX];
  st_key key;
  st_store_status found =
      st_store_by_sub(s->store, subtoken_claims_text(claims, claims->sub), &key, error);
  if (found == ST_STORE_NOT_FOUND && claims->aud_derived) return revoke_print_unproven(s, line);
  if (found == ST_STORE_NOT_FOUND || found == ST_STORE_REVOKED) return revoke_sub(s, line, claims);
  if (found != ST_STORE_OK) return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  st_key_token token = st_key_token_of(claims);
  if (!st_key_has_made(&key, &token)) {
    return revoke_print_refused(s, line, "aud",
                                "not a token of its key, which is bound to another audience");
  }
  if (st_key_is_session_of(&key, claims)) return revoke_session(s, &key, token.tid);
  return revoke_tid(s, line, &key, &token);
}

/* Whether it has been used does not matter. */
static int revoke_refresh(const revoke_command *s, size_t line, subtoken_text token) {
  char error[ST_ERROR_MAX];
  st_key session;
  switch (st_store_session_of_refresh(s->store, token, s->now, &session, error)) {
    case ST_STORE_OK: return revoke_session(s, &session, (subtoken_text){NULL, 0});
    case ST_STORE_NOT_FOUND:
      return revoke_print_refused(s, line, "refresh_unknown",
                                  "not a refresh token of a session that lives");
    default: return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  }
}

/* Its MAC decides, and its claims; not its times. */
static int revoke_line(const revoke_command *s, subtoken_text token, size_t line) {
  static subtoken_claims claims;
  if (st_key_shaped(token)) {
    return revoke_print_refused(s, line, "key",
                                "this is a whole key: `subtoken key delete` ends it");
  }
  if (token.len == ST_REFRESH_LEN && !st_key_token_shaped(token)) {
    return revoke_refresh(s, line, token);
  }
  subtoken_result result = subtoken_authenticate(&s->ring, NULL, token, &claims);
  int code = result == SUBTOKEN_OK ? revoke_claims(s, line, &claims)
                                   : revoke_print_not_ours(s, line, result);
  subtoken_wipe(&claims, sizeof claims);
  return code;
}

static int revoke_lines(revoke_command *s) {
  char error[ST_ERROR_MAX];
  st_input_lines lines = {0};
  size_t number = 0, tokens = 0;
  subtoken_text line;
  while (st_input_next_line(&lines, &line)) {
    subtoken_text token = st_input_trim(line);
    number++;
    if (token.len == 0) continue;
    tokens++;
    s->code = revoke_worse(s->code, revoke_line(s, token, number));
  }
  if (!st_input_end_lines(&lines, error)) {
    return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  }
  if (tokens == 0) return st_print_error(ST_EXIT_FAILED, "revoke: standard input is empty");
  return st_print_flush(s->code);
}

int st_cmd_revoke(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken revoke [--config FILE] [--data DIR] [--json]   < TOKENS\n"
      "Revokes tokens, read from standard input, one a line, with what was made from them: at\n"
      "once here, and at the edges with the next revocation data. An access or refresh token\n"
      "of a session ends the session. One subtoken of a key that this database does not know,\n"
      "such as a key made after the backup that was restored, revokes all of that key, unless\n"
      "the token is for an audience.\n"
      "Of one key 1000 tokens can be revoked so: `subtoken key revoke-subtokens` revokes all.\n"
      "Exit 0 when each is revoked or has expired, 1 when one is not of this ring or is one\n"
      "too many, 3 when it could not be done.";
  static revoke_command s;
  st_data_options data_options = {0};
  char error[ST_ERROR_MAX], who[ST_WHO_MAX];
  st_data_dir data;
  const st_option options[] = {ST_DATA_OPTIONS(data_options), {"--json", &s.json, NULL}, {0}};
  st_arguments arguments = {.command = "revoke", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  int begun = st_data_dir_begin("revoke", &data_options, false, &data, &s.store);
  if (begun != ST_EXIT_DONE) return begun;
  st_settings settings;
  if (!st_settings_get(s.store, &settings, error)) {
    st_store_close(s.store);
    return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  }
  s.context = st_input_audit_context(who);
  s.now = st_clock_now();
  s.leeway = settings.leeway;
  int code = st_keyring_file_load(data.secrets, &s.ring, error) == NULL
                 ? revoke_lines(&s)
                 : st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  subtoken_wipe(&s.ring, sizeof s.ring);
  st_store_close(s.store);
  return code;
}
