/* The two formats differ in little: OpenMetrics names a counter's family without _total, has units
 * and the type info, and ends with # EOF. Label values and numbers are the same in both, so that a
 * series stays the same when a scraper changes its mind.
 */
#include "operations/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 16384

static void exposition_write(st_exposition *e, const char *text, size_t len) {
  if (e->failed) return;
  if (e->size - e->len < len) {
    size_t size = e->size == 0 ? FIRST_SIZE : e->size;
    while (size - e->len < len) size *= 2;
    char *more = realloc(e->text, size);
    e->failed = more == NULL;
    if (e->failed) return;
    e->text = more;
    e->size = size;
  }
  memcpy(e->text + e->len, text, len);
  e->len += len;
}

static void exposition_put(st_exposition *e, const char *text) {
  exposition_write(e, text, strlen(text));
}

static const char *exposition_suffix(st_metric_type type) {
  switch (type) {
    case ST_METRIC_COUNTER: return "_total";
    case ST_METRIC_INFO: return "_info";
    default: return "";
  }
}

static const char *exposition_type(const st_exposition *e) {
  switch (e->type) {
    case ST_METRIC_COUNTER: return "counter";
    case ST_METRIC_HISTOGRAM: return "histogram";
    case ST_METRIC_INFO: return e->open_metrics ? "info" : "gauge";
    default: return "gauge";
  }
}

/* # WORD name rest */
static void exposition_describe(st_exposition *e, const char *word, const char *rest) {
  exposition_put(e, word);
  exposition_put(e, e->family);
  if (!e->open_metrics) exposition_put(e, exposition_suffix(e->type));
  exposition_put(e, " ");
  exposition_put(e, rest);
  exposition_put(e, "\n");
}

static bool exposition_ends_with(const char *name, const char *end) {
  size_t len = strlen(name), end_len = strlen(end);
  return len > end_len && strcmp(name + len - end_len, end) == 0;
}

void st_exposition_family(st_exposition *e, const char *name, st_metric_type type,
                          const char *help) {
  e->family = name;
  e->type = type;
  exposition_describe(e, "# TYPE ", exposition_type(e));
  if (e->open_metrics) {
    if (exposition_ends_with(name, "_seconds")) exposition_describe(e, "# UNIT ", "seconds");
    if (exposition_ends_with(name, "_bytes")) exposition_describe(e, "# UNIT ", "bytes");
  }
  exposition_describe(e, "# HELP ", help);
}

void st_exposition_begin(st_exposition *e, const char *suffix) {
  exposition_put(e, e->family);
  exposition_put(e, exposition_suffix(e->type));
  exposition_put(e, suffix);
  e->labelled = false;
}

void st_exposition_label(st_exposition *e, const char *name, const char *value) {
  exposition_put(e, e->labelled ? "," : "{");
  exposition_put(e, name);
  exposition_put(e, "=\"");
  for (; *value != '\0'; value++) {
    if (*value == '\n') {
      exposition_put(e, "\\n");
      continue;
    }
    if (*value == '"' || *value == '\\') exposition_put(e, "\\");
    exposition_write(e, value, 1);
  }
  exposition_put(e, "\"");
  e->labelled = true;
}

static void exposition_value(st_exposition *e, const char *number) {
  exposition_put(e, e->labelled ? "} " : " ");
  exposition_put(e, number);
  exposition_put(e, "\n");
}

void st_exposition_int(st_exposition *e, int64_t value) {
  char number[24];
  snprintf(number, sizeof number, "%" PRId64, value);
  exposition_value(e, number);
}

void st_exposition_double(st_exposition *e, double value) {
  char number[40];
  snprintf(number, sizeof number, "%.3f", value);
  exposition_value(e, number);
}

void st_exposition_seconds(st_exposition *e, int64_t microseconds) {
  char number[40];
  snprintf(number, sizeof number, "%" PRId64 ".%06" PRId64, microseconds / 1000000,
           microseconds % 1000000);
  exposition_value(e, number);
}

void st_exposition_one(st_exposition *e, const char *name, st_metric_type type, const char *help,
                       int64_t value) {
  st_exposition_family(e, name, type, help);
  st_exposition_begin(e, "");
  st_exposition_int(e, value);
}

bool st_exposition_end(st_exposition *e) {
  if (e->open_metrics) exposition_put(e, "# EOF\n");
  if (!e->failed) return true;
  free(e->text);
  e->text = NULL;
  return false;
}
