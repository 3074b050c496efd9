/* What users give: credentials, passwords, keys in files, spans and sizes. */
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cli/input.h"
#include "domain/password.h"
#include "os/clock.h"
#include "os/error.h"

static char error[ST_ERROR_MAX];

/* What is read of it when it comes on standard input; NULL when it is refused. */
static const char *read_from(const char *text, size_t len, size_t room,
                             bool (*how)(char *, size_t, subtoken_text *, char *)) {
  static char out[ST_PASSWORD_MAX + 8];
  char buffer[ST_PASSWORD_MAX + 8];
  int ends[2], in = dup(STDIN_FILENO);
  subtoken_text credential;
  assert_true(room <= sizeof buffer && pipe(ends) == 0);
  assert_int_equal(write(ends[1], text, len), len);
  close(ends[1]);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  bool good = how(buffer, room, &credential, error);
  dup2(in, STDIN_FILENO);
  close(in);
  if (!good) return NULL;
  snprintf(out, sizeof out, "%.*s", (int)credential.len, credential.data);
  return out;
}

static const char *read_credential(const char *text, size_t len, size_t room) {
  return read_from(text, len, room, st_input_credential);
}

static void white_space_around_a_credential_is_dropped(void **state) {
  (void)state;
  assert_string_equal(read_credential("a.b.c", 5, 100), "a.b.c");
  assert_string_equal(read_credential("a.b.c\n", 6, 100), "a.b.c");
  assert_string_equal(read_credential(" \t\r\n a.b.c \r\n\t", 14, 100), "a.b.c");
  assert_string_equal(read_credential("a b", 3, 100), "a b");
  assert_null(read_credential("", 0, 100));
  assert_null(read_credential(" \n\n", 3, 100));
  assert_string_equal(error, "standard input is empty");
  assert_null(read_credential("0123456789", 10, 5)); /* more than there is room for */
}

static const char *read_password(const char *text, size_t len) {
  return read_from(text, len, ST_PASSWORD_MAX + 2, st_input_password);
}

/* ---- lines ---- */

#define MARK "a token that is wiped, all of it"

/* Anywhere on the heap, also where it is free. */
static bool is_on_the_heap(const char *text, size_t len) {
  char map[512];
  unsigned long start = 0, end = 0;
  FILE *maps = fopen("/proc/self/maps", "re");
  assert_non_null(maps);
  while (fgets(map, sizeof map, maps) != NULL) {
    if (strstr(map, "[heap]") != NULL) (void)sscanf(map, "%lx-%lx", &start, &end);
  }
  fclose(maps);
  return start > 0 && memmem((const void *)start, end - start, text, len) != NULL;
}

/* Longer and longer ones, so that there is never room. */
static void lines_are_read_whole_and_wiped(void **state) {
  (void)state;
  static char written[60000]; /* less than a pipe holds */
  static const size_t lens[] = {0, 31, 5000, 15000, 36000};
  int ends[2], in = dup(STDIN_FILENO);
  size_t all = 0;
  for (size_t i = 0; i < COUNT(lens); i++) {
    for (size_t at = 0; at < lens[i]; at++) written[all++] = MARK[at % (sizeof MARK - 1)];
    written[all++] = '\n';
  }
  all--; /* the last one has no end */
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], written, all), all);
  close(ends[1]);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  st_input_lines lines = {0};
  subtoken_text line;
  const char *at = written;
  for (size_t i = 0; i < COUNT(lens); i++) {
    assert_true(st_input_next_line(&lines, &line));
    assert_int_equal(line.len, lens[i] + (i + 1 < COUNT(lens)));
    assert_memory_equal(line.data, at, line.len);
    at += line.len;
  }
  assert_false(st_input_next_line(&lines, &line));
  assert_true(st_input_end_lines(&lines, error));
  dup2(in, STDIN_FILENO);
  close(in);
  clearerr(stdin);
  assert_false(is_on_the_heap(MARK, 31));
}

/* White space is part of a password, but one end of line is not. */
static void a_password_is_one_line(void **state) {
  (void)state;
  static const char too_long[] = "the password is longer than 1024 bytes";
  static const char two[] = "the password has more than one line";
  subtoken_text longest = repeated("", 'x', ST_PASSWORD_MAX + 3);
  char *end = (char *)(uintptr_t)longest.data + ST_PASSWORD_MAX;
  assert_string_equal(read_password("open sesame", 11), "open sesame");
  assert_string_equal(read_password(" open sesame\t\n", 14), " open sesame\t");
  assert_string_equal(read_password("p\xC3\xA4ss\r\n", 7), "p\xC3\xA4ss");
  assert_string_equal(read_password(" ", 1), " ");
  assert_null(read_password("", 0));
  assert_null(read_password("\n", 1));
  assert_null(read_password("\r\n", 2));
  assert_string_equal(error, "standard input is empty");
  assert_null(read_password("a\n\n", 3));
  assert_string_equal(error, two);
  assert_null(read_password("a\nb", 3));
  assert_string_equal(error, two);
  assert_int_equal(strlen(read_password(longest.data, ST_PASSWORD_MAX)), ST_PASSWORD_MAX);
  assert_null(read_password(longest.data, ST_PASSWORD_MAX + 1));
  assert_string_equal(error, too_long);
  assert_null(read_password(longest.data, ST_PASSWORD_MAX + 3));
  assert_non_null(strstr(error, "is longer than"));
  end[0] = '\n';
  assert_int_equal(strlen(read_password(longest.data, ST_PASSWORD_MAX + 1)), ST_PASSWORD_MAX);
  end[0] = '\r';
  end[1] = '\n';
  assert_int_equal(strlen(read_password(longest.data, ST_PASSWORD_MAX + 2)), ST_PASSWORD_MAX);
  release(longest);
}

/* ---- a key in a file ---- */

static void a_key_file_holds_one_key(void **state) {
  (void)state;
  static const struct {
    const char *text, *key, *says;
  } rows[] = {
      {"a.b-c", "a.b-c", NULL},        {"a.b-c\n", "a.b-c", NULL},
      {" \r\n a \t\n", "a", NULL},     {"", NULL, "is empty"},
      {" \n", NULL, "is empty"},       {"a b\n", NULL, "must hold one key"},
      {"a\nb", NULL, "must hold"},     {"a\x7f", NULL, "must hold"},
      {"\xC3\xA4", NULL, "must hold"}, {"0123456789", NULL, "longer"},
  };
  char path[] = "/tmp/subtoken-key-XXXXXX", out[10];
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text key;
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, rows[i].text, strlen(rows[i].text), 0), strlen(rows[i].text));
    bool good = st_input_key_file(path, out, sizeof out, &key, error);
    CHECK(good == (rows[i].key != NULL), "row %zu", i);
    if (good) assert_string_equal(key.data, rows[i].key);
    if (!good)
      CHECK(strstr(error, rows[i].says) != NULL && strstr(error, path) != NULL, "row %zu: %s", i,
            error);
  }
  assert_int_equal(fchmod(fd, 0644), 0);
  subtoken_text key;
  assert_false(st_input_key_file(path, out, sizeof out, &key, error));
  assert_non_null(strstr(error, "open to others"));
  close(fd);
  assert_int_equal(unlink(path), 0);
}

/* ---- options ---- */

static void a_size_has_a_unit_or_is_bytes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t size; /* 0: refused */
  } rows[] = {{"1", 1},        {"4096", 4096},
              {"1k", 1024},    {"2M", 2097152},
              {"1g", 1 << 30}, {"0", 0},
              {"", 0},         {"k", 0},
              {"1t", 0},       {"-1", 0},
              {"1.5g", 0},     {"1 k", 0},
              {"1kk", 0},      {"9999999999999", 0},
              {"0k", 0}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t size = 0;
    CHECK(st_input_size(rows[i].text, &size) == (rows[i].size > 0), "%s", rows[i].text);
    CHECK(size == rows[i].size, "%s: %zu", rows[i].text, size);
  }
}

static void a_span_needs_its_unit(void **state) {
  (void)state;
  int64_t seconds = 0;
  assert_true(st_input_span("90s", &seconds) && seconds == 90);
  assert_true(st_input_span("30d", &seconds) && seconds == 30 * 86400);
  assert_false(st_input_span("30", &seconds) || st_input_span("", &seconds) ||
               st_input_span("d", &seconds));
  assert_true(st_input_leeway("30", &seconds) && seconds == 30);
  assert_true(st_input_leeway("1h", &seconds) && seconds == 3600);
  assert_false(st_input_leeway("3601", &seconds) || st_input_leeway("-1", &seconds));
  assert_int_equal(seconds, 3600);
}

static void the_audit_log_names_the_user_of_the_system(void **state) {
  (void)state;
  char who[ST_WHO_MAX];
  int64_t before = st_clock_now_us();
  st_audit_context act = st_input_audit_context(who);
  assert_ptr_equal(act.who, who);
  assert_memory_equal(who, "user ", 5);
  assert_true(strlen(who) > 5);
  assert_string_equal(act.from, "command line");
  assert_true(act.now_us >= before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(white_space_around_a_credential_is_dropped),
      cmocka_unit_test(lines_are_read_whole_and_wiped),
      cmocka_unit_test(a_password_is_one_line),
      cmocka_unit_test(a_key_file_holds_one_key),
      cmocka_unit_test(a_size_has_a_unit_or_is_bytes),
      cmocka_unit_test(a_span_needs_its_unit),
      cmocka_unit_test(the_audit_log_names_the_user_of_the_system),
  };
  return cmocka_run_group_tests_name("input", tests, NULL, NULL);
}
