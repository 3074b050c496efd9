/* Prints text, JSON, times and errors. Everything that a user or a file could have chosen is
 * escaped, so that a terminal obeys none of it. What a command prints is in its own file.
 */
#include "cli/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "base/json.h"
#include "cli/exit_code.h"
#include "domain/key.h"
#include "domain/key_json.h"
#include "domain/permissions.h"
#include "os/error.h"
#include "os/terminal.h"
#include "subtoken/policy.h"

int st_print_error(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("subtoken ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return code;
}

void st_print_text(FILE *out, subtoken_text text) {
  for (size_t i = 0; i < text.len;) {
    uint32_t code = 0;
    size_t step = st_utf8_next(text.data + i, text.len - i, &code);
    if (step == 0 || st_utf8_is_control(code)) {
      fprintf(out, "\\x%02x", (unsigned char)text.data[i]);
      i++;
      continue;
    }
    fwrite(text.data + i, 1, step, out);
    i += step;
  }
}

void st_print_json(FILE *out, subtoken_text text) {
  char piece[16];
  fputc('"', out);
  while (text.len > 0) {
    uint32_t code;
    size_t step = st_utf8_next(text.data, text.len, &code);
    if (step == 0) step = 1;
    st_writer writer = st_writer_on(piece, sizeof piece);
    st_json_write_string(&writer, (subtoken_text){text.data, step});
    fwrite(piece + 1, 1, writer.len - 2, out);
    text = (subtoken_text){text.data + step, text.len - step};
  }
  fputc('"', out);
}

void st_print_key_json(const st_key *key, const char *whole, int64_t now) {
  char text[ST_KEY_JSON_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  st_key_json_write(&writer, key, whole, now);
  fwrite(text, 1, writer.len, stdout);
  subtoken_wipe(text, whole != NULL ? writer.len : 0);
}

void st_print_list_json(FILE *out, const char *list) {
  char text[ST_PERMISSIONS_JSON_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  st_permissions_write_json(&writer, list);
  fwrite(text, 1, writer.len, out);
}

static void print_count(int64_t count, const char *one) {
  printf("%lld %s%s", (long long)count, one, count == 1 ? "" : "s");
}

void st_print_made(const st_derived *made) {
  if (made->keys + made->users == 0) return;
  fputs(made->end ? "made with it, and ended too: " : "made with it, and still valid: ", stdout);
  print_count(made->keys, "key");
  fputs(", ", stdout);
  print_count(made->users, "user");
  puts(made->end ? "" : made->more ? " or more (--and-made ends them)" : " (--and-made ends them)");
  for (size_t i = 0; i < made->count; i++) {
    fputs(made->items[i].user ? "  user  " : "  key   ", stdout);
    st_print_text(stdout, st_text(made->items[i].name));
    fputc('\n', stdout);
  }
  if ((int64_t)made->count < made->keys + made->users) puts("  ...");
}

void st_print_change_json(int64_t sequence, const st_derived *made) {
  char text[ST_MADE_JSON_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  printf("{\"ok\":true,\"sequence\":%lld", (long long)sequence);
  if (made->keys + made->users > 0) {
    st_key_json_write_made(&writer, made);
    printf(",\"made\":%.*s", (int)writer.len, text);
  }
  puts("}");
}

void st_print_time(FILE *out, int64_t seconds) {
  char text[ST_DATE_LEN + 1];
  st_writer writer = st_writer_on(text, sizeof text);
  st_date_write(&writer, seconds, false);
  fwrite(text, 1, writer.len, out);
}

void st_print_heading(const char *heading) {
  if (st_terminal_is_output()) puts(heading);
}

int st_print_flush(int code) {
  char error[ST_ERROR_MAX];
  return st_terminal_flush_output(error) ? code : st_print_error(ST_EXIT_FAILED, "%s", error);
}

void st_print_policy_error(const char *path, const subtoken_policy_error *error) {
  st_print_text(stderr, st_text(path));
  fprintf(stderr, ":%zu:%zu: %s\n", error->line, error->column, error->text);
}
