/* `subtoken revoke`: revokes the sub of a token that this database does not know, so that every
 * edge refuses it. It is for keys that were made after the backup that was restored; for a key that
 * the database knows there is cmd_key.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "os/error.h"
#include "subtoken/verify.h"

typedef struct revoke_command {
  st_store *store;
  subtoken_ring ring;
  st_audit_context context;
  bool json;
  int code; /* of the worst line */
} revoke_command;

static int revoke_worse(int a, int b) {
  return a > b ? a : b;
}

/* Its MAC alone decides; its times do not matter. */
static subtoken_result revoke_read_token(const subtoken_ring *ring, subtoken_text token,
                                         subtoken_claims *claims) {
  return subtoken_authenticate(ring, NULL, token, claims);
}

static void revoke_print_refused(const revoke_command *s, size_t line, subtoken_result result) {
  if (s->json) {
    printf("{\"revoked\":false,\"reason\":\"%s\"}\n", subtoken_result_name(result));
  } else {
    st_print_error(0, "revoke: line %zu: not a subtoken of this ring: %s", line,
                   subtoken_result_name(result));
  }
}

static void revoke_print_known(const revoke_command *s, size_t line, subtoken_text sub,
                               const char *id) {
  char error[ST_ERROR_MAX];
  st_key key;
  bool is_key = st_store_key_find(s->store, id, &key, error) == ST_STORE_OK;
  if (s->json) {
    printf("{\"sub\":\"%.*s\",\"revoked\":false,\"reason\":\"known\",\"key\":\"%s\"}\n",
           (int)sub.len, sub.data, id);
  } else if (is_key) {
    st_print_error(
        0, "revoke: line %zu: a subtoken of the key %s: use `subtoken key revoke-subtokens %s`",
        line, id, id);
  } else {
    st_print_error(
        0, "revoke: line %zu: of a user or a session of this database (%s): use `subtoken user`",
        line, id);
  }
}

static void revoke_print_revoked(const revoke_command *s, subtoken_text sub, int64_t sequence,
                                 bool before) {
  if (s->json) {
    printf("{\"sub\":\"%.*s\",\"revoked\":true,\"sequence\":%lld}\n", (int)sub.len, sub.data,
           (long long)sequence);
  } else {
    printf("%.*s %s\n", (int)sub.len, sub.data, before ? "was revoked before" : "is revoked");
  }
}

static int revoke_claims(const revoke_command *s, size_t line, const subtoken_claims *claims) {
  char id[ST_KEY_ID_LEN + 1], error[ST_ERROR_MAX];
  int64_t sequence = 0;
  subtoken_text sub = subtoken_claims_text(claims, claims->sub);
  switch (st_store_revoke_sub(s->store, &s->context, sub, claims->iat, claims->exp - claims->iat,
                              id, &sequence, error)) {
    case ST_STORE_OK: revoke_print_revoked(s, sub, sequence, false); return ST_EXIT_DONE;
    case ST_STORE_DENIED: revoke_print_revoked(s, sub, sequence, true); return ST_EXIT_DONE;
    case ST_STORE_EXISTS: revoke_print_known(s, line, sub, id); return ST_EXIT_REFUSED;
    default: return st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  }
}

static int revoke_line(const revoke_command *s, subtoken_text token, size_t line) {
  static subtoken_claims claims;
  subtoken_result result = revoke_read_token(&s->ring, token, &claims);
  int code = ST_EXIT_REFUSED;
  if (result == SUBTOKEN_OK) {
    code = revoke_claims(s, line, &claims);
  } else {
    revoke_print_refused(s, line, result);
  }
  subtoken_wipe(&claims, sizeof claims);
  return code;
}

static int revoke_lines(revoke_command *s) {
  char *line = NULL;
  size_t size = 0, number = 0, tokens = 0;
  ssize_t len;
  while ((len = getline(&line, &size, stdin)) >= 0) {
    subtoken_text token = st_input_trim((subtoken_text){line, (size_t)len});
    number++;
    if (token.len == 0) continue;
    tokens++;
    s->code = revoke_worse(s->code, revoke_line(s, token, number));
  }
  bool broken = ferror(stdin) != 0;
  if (line != NULL) subtoken_wipe(line, size);
  free(line);
  if (broken) return st_print_error(ST_EXIT_FAILED, "revoke: cannot read standard input");
  if (tokens == 0) return st_print_error(ST_EXIT_FAILED, "revoke: standard input is empty");
  return st_print_flush(s->code);
}

int st_cmd_revoke(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken revoke [--config FILE] [--data DIR] [--json]   < TOKENS\n"
      "Revokes the subtokens of keys that this database does not know, such as keys made\n"
      "after the backup that was restored. Reads subtokens from standard input, one a line;\n"
      "one subtoken of a key revokes all of that key. A key that this database knows is named\n"
      "instead: use `subtoken key` for it.\n"
      "Exit 0 when all are revoked, 1 when one is not of this ring or its key is known, 3 when\n"
      "it could not be done.";
  static revoke_command s;
  st_data_options data_options = {0};
  char error[ST_ERROR_MAX], who[ST_WHO_MAX];
  st_data_dir data;
  const st_option options[] = {ST_DATA_OPTIONS(data_options), {"--json", &s.json, NULL}, {0}};
  st_arguments arguments = {.command = "revoke", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  int begun = st_data_dir_begin("revoke", &data_options, false, &data, &s.store);
  if (begun != ST_EXIT_DONE) return begun;
  s.context = st_input_audit_context(who);
  int code = st_keyring_file_load(data.secrets, &s.ring, error) == NULL
                 ? revoke_lines(&s)
                 : st_print_error(ST_EXIT_FAILED, "revoke: %s", error);
  subtoken_wipe(&s.ring, sizeof s.ring);
  st_store_close(s.store);
  return code;
}
