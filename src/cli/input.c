/* Reads what users give: spans and sizes as options, credentials, passwords and lines from standard
 * input, a key from its file.
 */
#include "cli/input.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/date.h"
#include "domain/key.h"
#include "domain/password.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/secret_file.h"
#include "os/terminal.h"

bool st_input_span(const char *text, int64_t *seconds) {
  subtoken_text span = st_text(text);
  return span.len > 0 && span.data[span.len - 1] > '9' && st_date_read_duration(span, seconds);
}

bool st_input_leeway(const char *text, int64_t *seconds) {
  int64_t read;
  if (!st_date_read_duration(st_text(text), &read) || read > SUBTOKEN_LEEWAY_MAX) return false;
  *seconds = read;
  return true;
}

static unsigned input_unit_shift(char unit) {
  switch (unit) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    default: return 0;
  }
}

bool st_input_size(const char *text, size_t *size) {
  uint64_t value = 0;
  size_t len = strlen(text), digits = len;
  unsigned shift = len > 0 ? input_unit_shift(text[len - 1]) : 0;
  if (shift > 0) digits--;
  if (digits == 0 || digits > 12) return false;
  for (size_t i = 0; i < digits; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = 10 * value + (uint64_t)(text[i] - '0');
  }
  if (value == 0 || value > (SIZE_MAX >> 1) >> shift) return false;
  *size = (size_t)(value << shift);
  return true;
}

static bool input_is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

subtoken_text st_input_trim(subtoken_text text) {
  while (text.len > 0 && input_is_space(text.data[text.len - 1])) text.len--;
  while (text.len > 0 && input_is_space(text.data[0])) {
    text = (subtoken_text){text.data + 1, text.len - 1};
  }
  return text;
}

bool st_input_credential(char *out, size_t size, subtoken_text *credential, char *error) {
  size_t len = 0;
  if (st_terminal_is_input()) {
    fputs("reading standard input; to end it, press Ctrl-D on a line of its own\n", stderr);
  }
  if (!st_terminal_read_stdin(out, size, &len, error)) return false;
  *credential = st_input_trim((subtoken_text){out, len});
  if (credential->len == 0) snprintf(error, ST_ERROR_MAX, "standard input is empty");
  return credential->len > 0;
}

void *st_input_grow(void *old, size_t used, size_t size) {
  void *grown = malloc(size); /* realloc would leave a copy behind */
  if (grown == NULL || old == NULL) return grown;
  memcpy(grown, old, used);
  subtoken_wipe(old, used);
  free(old);
  return grown;
}

#define LINE_ROOM 4096

static char input_room[LINE_ROOM]; /* what stdio reads ahead */

static bool input_add_to_line(st_input_lines *lines, size_t len, int c) {
  if (lines->text == NULL || len == lines->size) {
    size_t size = lines->size * 2 + LINE_ROOM;
    char *text = st_input_grow(lines->text, len, size);
    lines->no_memory = text == NULL;
    if (text == NULL) return false;
    lines->text = text;
    lines->size = size;
  }
  lines->text[len] = (char)c;
  return true;
}

bool st_input_next_line(st_input_lines *lines, subtoken_text *line) {
  size_t len = 0;
  int c = 0;
  if (lines->text == NULL) (void)setvbuf(stdin, input_room, _IOFBF, sizeof input_room);
  while (c != '\n' && (c = getc_unlocked(stdin)) != EOF) {
    if (!input_add_to_line(lines, len, c)) return false;
    len++;
  }
  *line = (subtoken_text){lines->text, len};
  return len > 0;
}

bool st_input_end_lines(st_input_lines *lines, char *error) {
  bool broken = ferror(stdin) != 0, no_memory = lines->no_memory;
  if (lines->text != NULL) subtoken_wipe(lines->text, lines->size);
  free(lines->text);
  subtoken_wipe(input_room, sizeof input_room);
  memset(lines, 0, sizeof *lines);
  if (!broken && !no_memory) return true;
  snprintf(error, ST_ERROR_MAX, "%s", no_memory ? "out of memory" : "cannot read standard input");
  return false;
}

bool st_input_key_file(const char *path, char *out, size_t size, subtoken_text *credential,
                       char *error) {
  size_t len;
  if (!st_secret_file_read(path, out, size - 1, &len, error)) return false;
  *credential = st_input_trim((subtoken_text){out, len});
  out[credential->data - out + (ptrdiff_t)credential->len] = '\0';
  for (size_t i = 0; i < credential->len; i++) {
    if (credential->data[i] > ' ' && credential->data[i] <= '~') continue;
    snprintf(error, ST_ERROR_MAX, "%.400s must hold one key and nothing else", path);
    return false;
  }
  if (credential->len == 0) snprintf(error, ST_ERROR_MAX, "%.400s is empty", path);
  return credential->len > 0;
}

/* What is wrong with a password for storing, or NULL. */
static const char *input_password_fault(subtoken_text password) {
  if (password.len == 0) return "standard input is empty";
  if (password.len > ST_PASSWORD_MAX) return "the password is longer than 1024 bytes";
  if (memchr(password.data, '\n', password.len) != NULL) {
    return "the password has more than one line";
  }
  return NULL;
}

bool st_input_password(char *out, size_t size, subtoken_text *password, char *error) {
  size_t len = 0;
  *password = (subtoken_text){out, 0};
  bool read = st_terminal_is_input() ? st_terminal_ask("password: ", out, size, &len, error)
                                     : st_terminal_read_stdin(out, size, &len, error);
  if (!read) return false;
  if (len > 0 && out[len - 1] == '\n') len--;
  if (len > 0 && out[len - 1] == '\r') len--;
  const char *fault = input_password_fault((subtoken_text){out, len});
  if (fault != NULL) {
    snprintf(error, ST_ERROR_MAX, "%s", fault);
    subtoken_wipe(out, size);
    return false;
  }
  password->len = len;
  return true;
}

st_audit_context st_input_audit_context(char who[ST_WHO_MAX]) {
  char room[1024];
  struct passwd entry, *found = NULL;
  uid_t uid = getuid();
  if (getpwuid_r(uid, &entry, room, sizeof room, &found) == 0 && found != NULL) {
    snprintf(who, ST_WHO_MAX, "user %s", found->pw_name);
  } else {
    snprintf(who, ST_WHO_MAX, "user %lu", (unsigned long)uid);
  }
  return (st_audit_context){.now_us = st_clock_now_us(), .who = who, .from = "command line"};
}
