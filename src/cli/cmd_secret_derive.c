/* `subtoken secret derive`: the ring of an edge for one audience, computed from the ring of DATA.
 * It changes nothing and asks no store. The commands that change the ring are in cmd_secret.c.
 */
#include <stdio.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "operations/keyring_file.h"
#include "os/error.h"
#include "subtoken/mac.h"

/* Of a line of the file, which was read as a ring. The rest is the secret. */
static subtoken_text secret_derive_kid(subtoken_text line, subtoken_text *encoded) {
  st_cutter cutter = {line, false};
  subtoken_text kid;
  (void)st_cut(&cutter, ':', &kid);
  *encoded = cutter.rest;
  return kid;
}

/* A line of the ring to be printed. False: no secret can be derived of this one. */
static bool secret_derive_line(subtoken_text line, subtoken_text audience, st_writer *out) {
  uint8_t secret[SUBTOKEN_SECRET_MAX], derived[SUBTOKEN_MAC_LEN];
  size_t len;
  subtoken_text encoded, kid = secret_derive_kid(line, &encoded);
  bool good = st_base64url_decode(encoded, secret, sizeof secret, &len) &&
              subtoken_secret_derive(secret, len, audience, derived) == SUBTOKEN_OK;
  if (good) {
    st_write_view(out, kid);
    st_write_char(out, '.');
    st_write_view(out, audience);
    st_write_char(out, ':');
    st_base64url_write(out, derived, sizeof derived);
  }
  subtoken_wipe(secret, sizeof secret);
  subtoken_wipe(derived, sizeof derived);
  return good && !out->overflow;
}

/* A token for this audience cannot be signed under such a secret either: nothing is lost by it. */
static bool secret_derive_fits(subtoken_text line, subtoken_text audience) {
  subtoken_text encoded, kid = secret_derive_kid(line, &encoded);
  if (kid.len + 1 + audience.len <= SUBTOKEN_KID_MAX) return true;
  st_print_error(0,
                 "secret: left out %.*s: with a dot and the audience its name has more than 64 "
                 "characters",
                 (int)kid.len, kid.data);
  return false;
}

static void secret_derive_begin_line(bool json, bool first, subtoken_text audience) {
  if (!json) return;
  if (first) printf("{\"audience\":\"%.*s\",\"secrets\":[", (int)audience.len, audience.data);
  fputs(first ? "\"" : ",\"", stdout);
}

static int secret_derive_print(subtoken_text text, subtoken_text audience, bool json) {
  char out[SUBTOKEN_KID_MAX + ST_BASE64URL_LEN(SUBTOKEN_MAC_LEN) + 8];
  size_t count = 0;
  subtoken_text line;
  if (text.len > 0 && text.data[text.len - 1] == '\n') text.len--;
  st_cutter cutter = {text, text.len == 0};
  while (st_cut(&cutter, '\n', &line)) {
    st_writer writer = st_writer_on(out, sizeof out);
    if (!secret_derive_fits(line, audience)) continue;
    if (!secret_derive_line(line, audience, &writer)) {
      return st_print_error(ST_EXIT_FAILED, "secret: cannot derive a secret");
    }
    secret_derive_begin_line(json, count++ == 0, audience);
    fwrite(out, 1, writer.len, stdout);
    fputs(json ? "\"" : "\n", stdout);
    subtoken_wipe(out, sizeof out);
  }
  if (count == 0) {
    return st_print_error(ST_EXIT_REFUSED, "secret: the ring has no secret with a shorter name");
  }
  if (json) puts("]}");
  return st_print_flush(ST_EXIT_DONE);
}

int st_cmd_secret_derive(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken secret derive --audience A [--config FILE] [--data DIR] [--json]\n"
      "Prints the ring of an edge for the audience A: one secret derived of each of this ring.\n"
      "With it the edge verifies tokens that were made for A (createsubtoken with audience=A),\n"
      "and no others; whoever steals it can make tokens for A alone. Print it again for the edge\n"
      "when a secret was added.";
  st_data_options data_options = {0};
  const char *audience = NULL;
  bool json = false;
  const st_option options[] = {
      ST_DATA_OPTIONS(data_options), {"--audience", NULL, &audience}, {"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "secret derive", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (audience == NULL) return st_options_usage(&arguments, "--audience is required");
  if (!subtoken_audience_valid(st_text(audience))) {
    return st_options_usage(&arguments, "--audience must be 1 to 32 characters A-Za-z0-9_-");
  }
  char error[ST_ERROR_MAX], text[ST_KEYRING_FILE_MAX];
  size_t len = 0;
  static subtoken_ring ring;
  st_data_dir data;
  int found = st_data_dir_find(&data_options, &data, error);
  if (found != ST_EXIT_DONE) return st_print_error(found, "secret: %s", error);
  if (!st_data_dir_check(&data, error) ||
      st_keyring_file_read(data.secrets, text, &len, &ring, error) != NULL) {
    return st_print_error(ST_EXIT_FAILED, "secret: %s", error);
  }
  int code = secret_derive_print((subtoken_text){text, len}, st_text(audience), json);
  subtoken_wipe(text, sizeof text);
  subtoken_wipe(&ring, sizeof ring);
  return code;
}
