/* `subtoken inspect`: decodes a token without verifying anything, for people who look at one. What
 * it prints is never a verdict; that is cmd_verify.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "os/clock.h"
#include "os/error.h"
#include "subtoken/verify.h"

#define TOKEN_MAX (SUBTOKEN_TOKEN_MAX + 64)
#define DECODED_MAX (SUBTOKEN_TOKEN_MAX + 1)

/* Two of the three parts, decoded and checked to be strict JSON. */
typedef struct inspected {
  char header[DECODED_MAX], payload[DECODED_MAX];
  size_t header_len, payload_len;
} inspected;

static bool inspect_decode_json(subtoken_text part, char *out, size_t *len) {
  static char scratch[DECODED_MAX];
  if (!st_base64url_decode(part, out, DECODED_MAX, len)) return false;
  memcpy(scratch, out, *len);
  return *len > 0 && out[0] == '{' && st_json_valid(scratch, *len);
}

static bool inspect_decode(subtoken_text token, inspected *into) {
  static char scratch[DECODED_MAX];
  st_cutter cutter = {token, false};
  subtoken_text part;
  size_t mac_len;
  return token.len <= SUBTOKEN_TOKEN_MAX && st_cut(&cutter, '.', &part) &&
         inspect_decode_json(part, into->header, &into->header_len) &&
         st_cut(&cutter, '.', &part) &&
         inspect_decode_json(part, into->payload, &into->payload_len) &&
         st_cut(&cutter, '.', &part) && cutter.done &&
         st_base64url_decode(part, scratch, sizeof scratch, &mac_len);
}

/* JSON text on one line: white space between its parts becomes a space, and control characters,
 * which can be in its strings alone, become escapes.
 */
static void inspect_print_on_one_line(subtoken_text json) {
  for (size_t i = 0; i < json.len; i++) {
    uint8_t c = (uint8_t)json.data[i];
    bool c1 = c == 0xC2 && i + 1 < json.len && (uint8_t)json.data[i + 1] < 0xA0;
    if (c == 0x7F || c1) {
      if (c1) i++;
      printf("\\u%04x", (uint8_t)json.data[i]);
    } else {
      putchar(c < 0x20 ? ' ' : c);
    }
  }
}

static void inspect_print_audiences(const subtoken_claims *claims) {
  size_t at = 0;
  if (claims->aud.len == 0) return;
  fputs("audience: ", stdout);
  for (subtoken_text one; (one = subtoken_claims_audience(claims, &at)).data != NULL;) {
    st_print_text(stdout, one);
    if (at < claims->aud.len) fputs(", ", stdout);
  }
  fputc('\n', stdout);
}

/* Its id, and those of the tokens that it was made from. */
static void inspect_print_lineage(const subtoken_claims *claims) {
  if (claims->tid.len == 0) return;
  fputs("tid:      ", stdout);
  st_print_text(stdout, subtoken_claims_text(claims, claims->tid));
  fputc('\n', stdout);
  for (size_t i = 0; i < claims->via_count; i++) {
    fputs(i == 0 ? "via:      " : ", ", stdout);
    st_print_text(stdout, subtoken_claims_text(claims, claims->via[i]));
  }
  if (claims->via_count > 0) fputc('\n', stdout);
}

/* What a signature says without a secret: the id that a token with it has. */
static subtoken_text inspect_tid(subtoken_text token) {
  const char *dot = memrchr(token.data, '.', token.len);
  size_t len = dot != NULL ? (size_t)(token.data + token.len - dot - 1) : 0;
  return len == 43 ? (subtoken_text){dot + 1, SUBTOKEN_TID_LEN} : (subtoken_text){NULL, 0};
}

/* The times in words, the audience, the ids and the session, when the claims are those of a
 * subtoken.
 */
static void inspect_print_claims(subtoken_text token) {
  static subtoken_claims claims;
  char header[SUBTOKEN_HEADER_MAX];
  if (subtoken_inspect(token, header, sizeof header, &claims) != SUBTOKEN_OK) {
    puts("claims:   not those of a subtoken");
    return;
  }
  int64_t now = st_clock_now();
  fputs("issued:   ", stdout);
  st_print_time(stdout, claims.iat);
  fputs("\nexpires:  ", stdout);
  st_print_time(stdout, claims.exp);
  printf("%s\n", claims.exp <= now ? " (in the past)" : "");
  inspect_print_audiences(&claims);
  inspect_print_lineage(&claims);
  if (claims.sid.len == 0) return;
  fputs("session:  ", stdout);
  st_print_text(stdout, subtoken_claims_text(&claims, claims.sid));
  fputc('\n', stdout);
}

int st_cmd_inspect(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken inspect [--json]   < TOKEN\n"
      "Decodes the token on standard input WITHOUT TRUSTING IT: neither its signature nor its\n"
      "times are checked. `subtoken verify` checks them.";
  bool json = false;
  const st_option options[] = {{"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "inspect", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  static char text[TOKEN_MAX];
  static inspected decoded;
  char error[ST_ERROR_MAX];
  subtoken_text token;
  if (!st_input_credential(text, sizeof text, &token, error)) {
    return st_print_error(ST_EXIT_FAILED, "inspect: %s", error);
  }
  if (!inspect_decode(token, &decoded)) {
    return st_print_error(ST_EXIT_REFUSED,
                          "inspect: standard input is not a JSON Web Token in compact form");
  }
  subtoken_text header = {decoded.header, decoded.header_len};
  subtoken_text payload = {decoded.payload, decoded.payload_len};
  if (json) {
    fputs("{\"verified\":false,\"header\":", stdout);
    inspect_print_on_one_line(header);
    fputs(",\"claims\":", stdout);
    inspect_print_on_one_line(payload);
    subtoken_text tid = inspect_tid(token);
    if (tid.data != NULL) printf(",\"tid\":\"%.*s\"", (int)tid.len, tid.data);
    puts("}");
    return st_print_flush(ST_EXIT_DONE);
  }
  puts("NOT VERIFIED: anybody could have written this.");
  fputs("header:   ", stdout);
  st_print_text(stdout, header);
  fputs("\npayload:  ", stdout);
  st_print_text(stdout, payload);
  fputc('\n', stdout);
  inspect_print_claims(token);
  return st_print_flush(ST_EXIT_DONE);
}
