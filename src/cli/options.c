#include "cli/options.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/keys.h"
#include "base/base64url.h"
#include "base/date.h"
#include "base/hmac.h"
#include "base/json.h"
#include "core/claims.h"
#include "cli/suggest.h"

int st_complain(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("subtoken ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  return code;
}

static void print_table(const st_command *table, const char *program, FILE *out) {
  fprintf(
      out,
      "usage: %s COMMAND [OPTION...]   (%s COMMAND --help says more)\n"
      "       %s help [COMMAND]        (prints this, or the help of a command, as --help does)\n\n",
      program, program, program);
  for (; table->name != NULL; table++) fprintf(out, "  %-17s %s\n", table->name, table->summary);
}

static void complain_no_command(const st_command *table, const char *program, const char *word) {
  st_suggestion suggestion = {.word = word, .len = strlen(word)};
  for (; table->name != NULL; table++) st_suggestion_offer(&suggestion, table->name);
  st_suggestion_offer(&suggestion, "help");
  fprintf(stderr, "%s: there is no command %.40s", program, word);
  st_suggestion_print(&suggestion);
  fputc('\n', stderr);
}

/* `help key create` is `key create --help`. */
static int run_help(const st_command *table, const char *program, int argc, char **argv) {
  enum { WORDS = 3 };
  static char option[] = "--help";
  char *words[WORDS + 2] = {NULL};
  if (argc == 0) {
    print_table(table, program, stdout);
    return st_flush(ST_EXIT_DONE);
  }
  int count = argc < WORDS ? argc : WORDS; /* a command of so many words there is not */
  for (int i = 0; i < count; i++) words[i] = argv[i];
  words[count] = option;
  return st_command_run(table, program, count + 1, words);
}

int st_command_run(const st_command *table, const char *program, int argc, char **argv) {
  if (argc >= 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "help") == 0)) {
    return run_help(table, program, argc - 1, argv + 1);
  }
  for (const st_command *row = table; argc >= 1 && row->name != NULL; row++) {
    if (strcmp(argv[0], row->name) == 0) return row->run(argc - 1, argv + 1);
  }
  if (argc >= 1) complain_no_command(table, program, argv[0]);
  print_table(table, program, stderr);
  return ST_EXIT_USAGE;
}

static void end_usage(const st_arguments *arguments) {
  int line = (int)strcspn(arguments->help, "\n");
  fprintf(stderr, "\n%.*s\n", line, arguments->help);
}

int st_usage(const st_arguments *arguments, const char *format, ...) {
  va_list list;
  va_start(list, format);
  fprintf(stderr, "subtoken %s: ", arguments->command);
  vfprintf(stderr, format, list);
  va_end(list);
  end_usage(arguments);
  return ST_EXIT_USAGE;
}

static void suggest_option(const st_arguments *arguments, const char *word, size_t len) {
  st_suggestion suggestion = {.word = word, .len = len};
  for (const st_option *option = arguments->options; option->name != NULL; option++) {
    st_suggestion_offer(&suggestion, option->name);
  }
  st_suggestion_offer(&suggestion, "--help");
  st_suggestion_print(&suggestion);
}

/* It is not repeated, because it may be a password; with a dash too few it may be an option. */
static bool complain_argument(const st_arguments *arguments, const char *word) {
  char option[ST_SUGGEST_MAX + 2];
  fprintf(stderr, "subtoken %s: unexpected argument", arguments->command);
  if (word[0] == '-') {
    int len = snprintf(option, sizeof option, "-%.*s", (int)strcspn(word, "="), word);
    suggest_option(arguments, option, len > 0 ? (size_t)len : 0);
  }
  end_usage(arguments);
  return false;
}

static bool complain_option(const st_arguments *arguments, const char *word, size_t len) {
  int shown = (int)(len > 40 ? 40 : len);
  fprintf(stderr, "subtoken %s: there is no option %.*s", arguments->command, shown, word);
  suggest_option(arguments, word, len);
  end_usage(arguments);
  return false;
}

/* Sets what the option at argv[*at] stands for. */
static bool take_option(st_arguments *arguments, int argc, char **argv, int *at) {
  size_t name = strcspn(argv[*at], "=");
  for (const st_option *option = arguments->options; option->name != NULL; option++) {
    if (strlen(option->name) != name || memcmp(option->name, argv[*at], name) != 0) continue;
    bool joined = argv[*at][name] == '=';
    if (option->flag != NULL) {
      if (joined) return st_usage(arguments, "%s takes no value", option->name) == 0;
      *option->flag = true;
      return true;
    }
    if (*option->value != NULL) {
      return st_usage(arguments, "%s is given twice", option->name) == 0;
    }
    if (!joined && *at + 1 == argc)
      return st_usage(arguments, "%s needs a value", option->name) == 0;
    *option->value = joined ? argv[*at] + name + 1 : argv[++*at];
    return true;
  }
  return complain_option(arguments, argv[*at], name);
}

bool st_arguments_read(st_arguments *arguments, int argc, char **argv) {
  for (int i = 0; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      arguments->helped = true;
      puts(arguments->help);
      return true;
    }
    if (argv[i][0] == '-' && argv[i][1] == '-') {
      if (!take_option(arguments, argc, argv, &i)) return false;
    } else if (arguments->word_count < arguments->word_max) {
      arguments->words[arguments->word_count++] = argv[i];
    } else {
      return complain_argument(arguments, argv[i]);
    }
  }
  return true;
}

bool st_begin(st_arguments *arguments, int argc, char **argv) {
  bool good = st_arguments_read(arguments, argc, argv);
  arguments->code = good ? ST_EXIT_DONE : ST_EXIT_USAGE;
  if (arguments->helped) arguments->code = st_flush(ST_EXIT_DONE);
  return good && !arguments->helped;
}

void st_data_trust_group(bool trust) {
  st_world_trust_group(trust);
  st_store_trust_group(trust);
}

/* Who may write DATA may not say that he may: the file has to be ours or root's. What else is wrong
 * with it is for `serve` to say.
 */
static bool config_trusts_group(const char *path) {
  size_t len;
  st_settings settings;
  char why[ST_WHY_MAX];
  if (!st_world_is_ours(path)) return false;
  char *text = malloc(ST_CONFIG_MAX);
  bool trusts = text != NULL && st_world_read(path, text, ST_CONFIG_MAX, &len, why) &&
                st_config_read((subtoken_text){text, len}, &settings, why) && settings.data_group;
  free(text);
  return trusts;
}

bool st_data_find(const char *option, st_data *data, char *why) {
  const char *dir = option != NULL ? option : getenv("SUBTOKEN_DATA");
  if (dir == NULL || dir[0] == '\0') dir = "./var";
  if (strlen(dir) >= sizeof data->dir) {
    snprintf(why, ST_WHY_MAX, "the name of the data directory is too long");
    return false;
  }
  snprintf(data->dir, sizeof data->dir, "%s", dir);
  snprintf(data->secrets, sizeof data->secrets, "%s/secrets", dir);
  snprintf(data->database, sizeof data->database, "%s/subtoken.db", dir);
  snprintf(data->config, sizeof data->config, "%s/config.json", dir);
  st_data_trust_group(config_trusts_group(data->config));
  return true;
}

bool st_ring_make(const char *path, char *why) {
  uint8_t secret[32];
  char line[64];
  st_world_random(secret, sizeof secret);
  st_writer writer = st_writer_on(line, sizeof line);
  st_write_char(&writer, ':');
  st_base64url_write(&writer, secret, sizeof secret);
  st_write_char(&writer, '\n');
  bool made = st_world_replace(path, line, writer.len, true, why);
  subtoken_wipe(secret, sizeof secret);
  subtoken_wipe(line, sizeof line);
  return made;
}

static bool make_ring_if_new(const st_data *data, char *why) {
  st_world_stamp stamp;
  if (st_world_stamp_of(data->secrets, &stamp)) return true;
  if (errno != ENOENT) {
    snprintf(why, ST_WHY_MAX, "cannot look at %.400s: %s", data->secrets, strerror(errno));
    return false;
  }
  if (st_world_stamp_of(data->database, &stamp)) {
    snprintf(why, ST_WHY_MAX,
             "%.300s is missing though the database beside it is there: restore it, or make a "
             "new ring with `subtoken secret add` (every subtoken made so far is then refused)",
             data->secrets);
    return false;
  }
  return st_ring_make(data->secrets, why);
}

bool st_data_make(const st_data *data, char *why) {
  st_world_stamp stamp;
  bool there = st_world_stamp_of(data->dir, &stamp);
  if (!st_world_data_dir(data->dir, true, why)) return false;
  int lock = st_world_lock(data->dir, why);
  if (lock < 0) return false;
  st_world_sweep(data->secrets);
  bool made = make_ring_if_new(data, why);
  if (!made && !there) st_world_data_drop(data->dir);
  st_world_unlock(lock);
  return made;
}

st_store *st_data_open(const st_data *data, bool make, char *why) {
  st_store *store = NULL;
  if (make ? !st_data_make(data, why) : !st_world_data_dir(data->dir, false, why)) return NULL;
  return st_store_open(data->database, make, &store, why) == ST_STORED ? store : NULL;
}

int st_data_begin(const char *command, const char *option, bool make, st_data *data,
                  st_store **store) {
  char why[ST_WHY_MAX];
  *store = NULL;
  if (!st_data_find(option, data, why)) return st_complain(ST_EXIT_USAGE, "%s: %s", command, why);
  *store = st_data_open(data, make, why);
  return *store != NULL ? ST_EXIT_DONE : st_complain(ST_EXIT_FAILED, "%s: %s", command, why);
}

/* The settings that both sides of a token have to agree on, and their names there. */
static const struct {
  const char *name;
  size_t offset;
} agreed[] = {
    {"server:leeway", offsetof(st_settings, leeway)},
    {"server:default_life", offsetof(st_settings, default_life)},
    {"server:max_life", offsetof(st_settings, max_life)},
};

bool st_data_settings(st_store *store, st_settings *settings, char *why) {
  st_settings_default(settings);
  for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
    int64_t *value = (int64_t *)(void *)((char *)settings + agreed[i].offset);
    if (st_store_recall(store, agreed[i].name, value, why) == ST_STORE_FAILED) return false;
  }
  return true;
}

/* Writes only what is new: most starts change nothing. */
static bool remember_new(st_store *store, const char *name, int64_t value, char *why) {
  int64_t known = -1;
  if (st_store_recall(store, name, &known, why) == ST_STORE_FAILED) return false;
  return known == value || st_store_remember(store, name, value, why) == ST_STORED;
}

/* How long a token can live that was ever made: `secret retire` asks for it, and purging. Only
 * what is new takes the writer: most starts change nothing.
 */
static bool remember_largest(st_store *store, const char *name, int64_t value, char *why) {
  int64_t largest = 0;
  if (st_store_recall(store, name, &largest, why) == ST_STORE_FAILED) return false;
  return largest >= value || st_store_remember_largest(store, name, value, why) == ST_STORED;
}

bool st_data_remember_life(st_store *store, const st_settings *settings, char *why) {
  return remember_largest(store, "max_life", settings->max_life, why) &&
         remember_largest(store, "max_leeway", settings->leeway, why);
}

bool st_data_remember_settings(st_store *store, const st_settings *settings, char *why) {
  for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
    const char *value = (const char *)settings + agreed[i].offset;
    if (!remember_new(store, agreed[i].name, *(const int64_t *)(const void *)value, why)) {
      return false;
    }
  }
  return st_data_remember_life(store, settings, why);
}

bool st_span_read(const char *text, int64_t *seconds) {
  subtoken_text span = st_text(text);
  return span.len > 0 && span.data[span.len - 1] > '9' && st_duration_read(span, seconds);
}

bool st_leeway_read(const char *text, int64_t *seconds) {
  int64_t read;
  if (!st_duration_read(st_text(text), &read) || read > SUBTOKEN_LEEWAY_MAX) return false;
  *seconds = read;
  return true;
}

static unsigned shift_of(char unit) {
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

bool st_size_read(const char *text, size_t *size) {
  uint64_t value = 0;
  size_t len = strlen(text), digits = len;
  unsigned shift = len > 0 ? shift_of(text[len - 1]) : 0;
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

bool st_read_credential(char *out, size_t size, subtoken_text *credential, char *why) {
  size_t len = 0, start = 0;
  if (!st_world_stdin(out, size, &len, why)) return false;
  while (len > 0 && strchr(" \t\r\n", out[len - 1]) != NULL && out[len - 1] != '\0') len--;
  while (start < len && strchr(" \t\r\n", out[start]) != NULL && out[start] != '\0') start++;
  *credential = (subtoken_text){out + start, len - start};
  if (credential->len == 0) snprintf(why, ST_WHY_MAX, "nothing came on standard input");
  return credential->len > 0;
}

/* What is wrong with a password for storing, or NULL. */
static const char *fault_of(subtoken_text password) {
  if (password.len == 0) return "nothing came on standard input";
  if (password.len > ST_PASSWORD_MAX) return "the password is longer than 1024 bytes";
  if (memchr(password.data, '\n', password.len) != NULL) return "the password has more than a line";
  return NULL;
}

bool st_read_password(char *out, size_t size, subtoken_text *password, char *why) {
  size_t len = 0;
  *password = (subtoken_text){out, 0};
  bool read = st_world_terminal() ? st_world_ask("password: ", out, size, &len, why)
                                  : st_world_stdin(out, size, &len, why);
  if (!read) return false;
  if (len > 0 && out[len - 1] == '\n') len--;
  if (len > 0 && out[len - 1] == '\r') len--;
  const char *fault = fault_of((subtoken_text){out, len});
  if (fault != NULL) {
    snprintf(why, ST_WHY_MAX, "%s", fault);
    subtoken_wipe(out, size);
    return false;
  }
  password->len = len;
  return true;
}

void st_print_text(FILE *out, subtoken_text text) {
  for (size_t i = 0; i < text.len;) {
    uint32_t code = 0;
    size_t step = st_utf8_next(text.data + i, text.len - i, &code);
    if (step == 0 || st_utf8_obeyed(code)) {
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

static void print_count(int64_t count, const char *one) {
  printf("%lld %s%s", (long long)count, one, count == 1 ? "" : "s");
}

void st_print_made(const st_made *made) {
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

void st_print_change_json(int64_t sequence, const st_made *made) {
  char text[ST_MADE_JSON_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  printf("{\"ok\":true,\"sequence\":%lld", (long long)sequence);
  if (made->keys + made->users > 0) {
    st_made_write_json(&writer, made);
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
  if (st_world_output_terminal()) puts(heading);
}

int st_flush(int code) {
  if (fflush(stdout) == 0 && ferror(stdout) == 0) return code;
  return st_complain(ST_EXIT_FAILED, "cannot write to standard output: %s", strerror(errno));
}

void st_draw_sub(char sub[ST_SUB_LEN + 1]) {
  uint8_t random[32];
  st_world_random(random, sizeof random);
  st_writer writer = st_writer_on(sub, ST_SUB_LEN + 1);
  st_base64url_write(&writer, random, sizeof random);
  if (!st_writer_end(&writer)) abort();
}

st_act st_operator_act(char who[ST_WHO_MAX]) {
  char room[1024];
  struct passwd entry, *found = NULL;
  uid_t uid = getuid();
  if (getpwuid_r(uid, &entry, room, sizeof room, &found) == 0 && found != NULL) {
    snprintf(who, ST_WHO_MAX, "user %s", found->pw_name);
  } else {
    snprintf(who, ST_WHO_MAX, "user %lu", (unsigned long)uid);
  }
  return (st_act){.now_us = st_world_now_us(), .who = who, .from = "command line"};
}

void st_draw_key(char key[ST_KEY_LEN + 1], st_key *into, uint8_t digest[32]) {
  static const char hex[] = "0123456789ABCDEF";
  static const char shape[] =
      "00000000-0000-0000-0000-00000000000000000000-0000-0000-0000-000000000000";
  uint8_t random[32];
  st_world_random(random, sizeof random);
  size_t digit = 0;
  for (size_t i = 0; i < ST_KEY_LEN; i++) {
    key[i] = '-';
    if (shape[i] == '-') continue;
    key[i] = hex[random[digit / 2] >> (digit % 2 == 0 ? 4 : 0) & 15];
    digit++;
  }
  key[ST_KEY_LEN] = '\0';
  memcpy(into->id, key, ST_KEY_ID_LEN);
  into->id[ST_KEY_ID_LEN] = '\0';
  st_draw_sub(into->sub);
  if (!st_sha256(key, ST_KEY_LEN, digest)) abort();
  subtoken_wipe(random, sizeof random);
}

bool st_permissions_read(const char *list, char out[ST_PERMISSIONS_TEXT_MAX + 1]) {
  subtoken_claims seen;
  memset(&seen, 0, offsetof(subtoken_claims, text));
  st_writer writer = st_writer_on(out, ST_PERMISSIONS_TEXT_MAX + 1);
  st_cutter cutter = {st_text(list), list[0] == '\0'};
  subtoken_text item;
  while (st_cut_item(&cutter, &item)) {
    if (!subtoken_permission_valid(item) || st_claims_has_permission(&seen, item) ||
        !st_claims_add_permission(&seen, item)) {
      return false;
    }
    if (writer.len > 0) st_write_char(&writer, ',');
    st_write_text(&writer, item);
  }
  return st_writer_end(&writer);
}
