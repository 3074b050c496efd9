/* oauth_fixture - what the tests of the calls of OAuth share: clients, and refusals as RFC 6749
 * section 5.2 has them. */
#ifndef TESTS_UNIT_OAUTH_FIXTURE_H
#define TESTS_UNIT_OAUTH_FIXTURE_H

#include "service_fixture.h"

#define TOKEN_ENDPOINT "/oauth/token"
#define CLIENT_REFUSED                                                                     \
  "client authentication: client_id must be the public id of a key that is in force, and " \
  "client_secret the whole key"

/* An Authorization line of Basic with this text, which comes as it is. */
static inline const char *basic_line(const char *text) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static char line[1024];
  st_writer out = st_writer_on(line, sizeof line);
  size_t len = strlen(text);
  st_write_literal(&out, "Authorization: Basic ");
  for (size_t i = 0; i < len; i += 3) {
    uint32_t group = (uint32_t)(uint8_t)text[i] << 16;
    if (i + 1 < len) group |= (uint32_t)(uint8_t)text[i + 1] << 8;
    if (i + 2 < len) group |= (uint8_t)text[i + 2];
    st_write_char(&out, digits[group >> 18]);
    st_write_char(&out, digits[group >> 12 & 63]);
    st_write_char(&out, i + 1 < len ? digits[group >> 6 & 63] : '=');
    st_write_char(&out, i + 2 < len ? digits[group & 63] : '=');
  }
  st_write_char(&out, '\n');
  assert_true(st_writer_end(&out));
  return line;
}

/* The lines of a form, with others in front. */
static inline const char *form_with(const char *lines) {
  static char all[4096];
  st_writer out = st_writer_on(all, sizeof all);
  st_write_literal(&out, lines);
  st_write_literal(&out, AS_FORM);
  assert_true(st_writer_end(&out));
  return all;
}

static inline void check_oauth_error(int status, const char *error, const char *text) {
  static char body[1024];
  CHECK(reply.status == status, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  snprintf(body, sizeof body, "{\"error\":\"%s\",\"error_description\":\"%s\",\"text\":\"%s\"}",
           error, text, text);
  check_body(body);
  assert_null(reply.challenge);
  assert_true(reply.basic_challenge == (status == 401));
  assert_non_null(reply.event.name);
}

#endif
