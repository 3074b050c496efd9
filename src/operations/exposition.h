/* exposition - the text of metrics as it grows, in OpenMetrics 1.0 or in Prometheus' text format
 * 0.0.4: families, and samples with labels. What stands in it, its callers decide.
 *
 *   st_exposition_family(&e, "subtoken_tokens_issued", ST_METRIC_COUNTER, "Tokens made.");
 *   st_exposition_begin(&e, "");
 *   st_exposition_label(&e, "route", path);
 *   st_exposition_int(&e, count);
 */
#ifndef ST_OPERATIONS_EXPOSITION_H
#define ST_OPERATIONS_EXPOSITION_H

#include "subtoken/common.h"

typedef enum st_metric_type {
  ST_METRIC_COUNTER, /* its samples get _total */
  ST_METRIC_GAUGE,
  ST_METRIC_HISTOGRAM,
  ST_METRIC_INFO /* its samples get _info, and are 1 */
} st_metric_type;

/* Zeroed, but for open_metrics, it is empty. The caller frees text. */
typedef struct st_exposition {
  bool open_metrics;
  bool failed; /* there was no memory: the text is not whole */
  bool labelled;
  const char *family;
  st_metric_type type;
  char *text;
  size_t len, size;
} st_exposition;

/* name: without _total and _info. help: one line without quotes and backslashes. A name that ends
 * in _seconds or _bytes has that unit.
 */
void st_exposition_family(st_exposition *e, const char *name, st_metric_type type,
                          const char *help);

/* A sample of the family: begin it, add labels, end it with its value. suffix: of a histogram
 * "_bucket", "_sum", "_count"; else "". */
void st_exposition_begin(st_exposition *e, const char *suffix);
/* The value may be anything: it is escaped. */
void st_exposition_label(st_exposition *e, const char *name, const char *value);
void st_exposition_int(st_exposition *e, int64_t value);
void st_exposition_double(st_exposition *e, double value);
/* A number of microseconds, as seconds. */
void st_exposition_seconds(st_exposition *e, int64_t microseconds);

/* A family of one sample without labels. */
void st_exposition_one(st_exposition *e, const char *name, st_metric_type type, const char *help,
                       int64_t value);

/* The end of the text. False, and nothing to free, when there was no memory. */
bool st_exposition_end(st_exposition *e) __attribute__((warn_unused_result));

#endif
