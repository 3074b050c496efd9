/* log_fixture - the log in a file of the test's own, and its lines read back. The log is started
 * once in a process: the tests of a file share it, and send it elsewhere.
 */
#ifndef TESTS_UNIT_LOG_FIXTURE_H
#define TESTS_UNIT_LOG_FIXTURE_H

#include "support.h"

#include <cJSON.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "os/error.h"
#include "os/log.h"

#define WAIT_MS 10000

static char dir[] = "/tmp/subtoken-log-XXXXXX";
static char path[100], other_path[100];
static char error[ST_ERROR_MAX];
static char log_text[1 << 20];

static inline size_t read_file(const char *name) {
  FILE *file = fopen(name, "rb");
  size_t len = file != NULL ? fread(log_text, 1, sizeof log_text - 1, file) : 0;
  if (file != NULL) fclose(file);
  log_text[len] = '\0';
  return len;
}

static inline size_t count_lines(size_t len) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++) count += log_text[i] == '\n';
  return count;
}

/* The file, once it has that many lines. */
static inline void wait_for_lines(const char *name, size_t lines) {
  size_t seen = 0;
  for (int waited = 0; waited < WAIT_MS; waited++) {
    seen = count_lines(read_file(name));
    if (seen >= lines) break;
    poll(NULL, 0, 1);
  }
  CHECK(seen == lines, "%s has %zu lines, not %zu:\n%s", name, seen, lines, log_text);
}

/* Line n of log_text, from 0, parsed; each is one strict JSON object. Delete it. */
static inline cJSON *line_at(size_t n) {
  subtoken_text line;
  st_cutter cutter = {st_text(log_text), false};
  for (size_t i = 0; i <= n; i++) assert_true(st_cut(&cutter, '\n', &line));
  subtoken_text copy = exact(line.data, line.len);
  bool strict = st_json_valid((char *)(uintptr_t)copy.data, copy.len);
  release(copy);
  CHECK(strict, "no strict JSON: %.*s", (int)line.len, line.data);
  for (size_t i = 0; i < line.len; i++) {
    CHECK((unsigned char)line.data[i] >= 0x20 && line.data[i] != 0x7F, "a control character: %.*s",
          (int)line.len, line.data);
  }
  cJSON *json = cJSON_ParseWithLength(line.data, line.len);
  assert_true(cJSON_IsObject(json));
  return json;
}

static inline const char *string_of(const cJSON *line, const char *name) {
  const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, name));
  return value != NULL ? value : "(none)";
}

static inline double number_of(const cJSON *line, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, name);
  return cJSON_IsNumber(item) ? item->valuedouble : -1e9;
}

static inline bool reopen(const char *name) {
  int file = -1;
  if (!st_log_open(name, &file, error)) return false;
  st_log_use(file, true);
  return true;
}

/* A new, empty file for one test. */
static inline void start_over(void) {
  unlink(path);
  assert_true(reopen(path));
}

static inline int start(void **state) {
  (void)state;
  umask(022);
  if (mkdtemp(dir) == NULL) return -1;
  snprintf(path, sizeof path, "%s/log", dir);
  snprintf(other_path, sizeof other_path, "%s/log.1", dir);
  return st_log_start(path, error) ? 0 : -1;
}

static inline int end(void **state) {
  (void)state;
  unlink(path);
  unlink(other_path);
  return rmdir(dir);
}

#endif
