/* `subtoken saltpass`: the salted hash of a password, as an access file of a Graphene node holds
 * it. How users' passwords are stored here is in operations/password.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/password.h"
#include "os/error.h"
#include "os/random.h"

#define SALT_LEN 8

/* SHA-256 of the password followed by the salt. */
static void saltpass_hash(subtoken_text password, const uint8_t salt[SALT_LEN],
                          uint8_t hash[ST_HASH_LEN]) {
  uint8_t both[ST_PASSWORD_MAX + SALT_LEN];
  memcpy(both, password.data, password.len);
  memcpy(both + password.len, salt, SALT_LEN);
  st_sha256(both, password.len + SALT_LEN, hash);
  subtoken_wipe(both, sizeof both);
}

static int saltpass_print(const uint8_t hash[ST_HASH_LEN], const uint8_t salt[SALT_LEN]) {
  char line[128];
  st_writer writer = st_writer_on(line, sizeof line);
  st_write_literal(&writer, "{\"password_hash_b64\":\"");
  st_base64_write(&writer, ST_PADDED, hash, ST_HASH_LEN);
  st_write_literal(&writer, "\",\"password_salt_b64\":\"");
  st_base64_write(&writer, ST_PADDED, salt, SALT_LEN);
  st_write_literal(&writer, "\"}");
  if (!st_writer_end(&writer)) {
    return st_print_error(ST_EXIT_FAILED, "saltpass: the output is too long");
  }
  puts(line);
  return st_print_flush(ST_EXIT_DONE);
}

int st_cmd_saltpass(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken saltpass [--json]   < PASSWORD\n"
      "Reads a password, on a terminal without echo, and prints its entry of an access file as\n"
      "JSON, with --json or without: the hash, with a salt that is new each time.";
  bool json = false;
  const st_option options[] = {{"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "saltpass", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  char text[ST_PASSWORD_MAX + 2], error[ST_ERROR_MAX];
  uint8_t salt[SALT_LEN], hash[ST_HASH_LEN];
  subtoken_text password;
  if (!st_input_password(text, sizeof text, &password, error)) {
    return st_print_error(ST_EXIT_FAILED, "saltpass: %s", error);
  }
  st_random_fill(salt, sizeof salt);
  saltpass_hash(password, salt, hash);
  subtoken_wipe(text, sizeof text);
  return saltpass_print(hash, salt);
}
