/* Accept, as far as the two formats of metrics need it. The most specific range that fits a format
 * gives its quality (RFC 9110 section 12.5.1). A version that we do not speak does not fit; other
 * parameters, such as escaping= of Prometheus, ask for nothing that our names could break. A part
 * that cannot be read is passed over, because a scrape should not fail for it.
 */
#include "service/accept.h"

#include "base/bytes.h"

/* In thousandths; of the most specific range so far. */
typedef struct accept_quality {
  int rank; /* 0: nothing fits; 1: all types, 2: all of the type, 3: it, 4: it in this version */
  int quality;
} accept_quality;

/* RFC 9110 section 12.4.2: 0 to 1 with at most three digits behind the dot; -1: something else. */
static int accept_read_quality(subtoken_text text) {
  if (text.len == 0 || text.len > 5 || (text.data[0] != '0' && text.data[0] != '1')) return -1;
  int quality = (text.data[0] - '0') * 1000, digit = 100;
  if (text.len > 1 && text.data[1] != '.') return -1;
  for (size_t i = 2; i < text.len; i++, digit /= 10) {
    if (text.data[i] < '0' || text.data[i] > '9') return -1;
    quality += (text.data[i] - '0') * digit;
  }
  return quality <= 1000 ? quality : -1;
}

/* What follows the type of a range; false when it cannot be read. */
static bool accept_read_parameters(st_cutter *parts, subtoken_text *version, int *quality) {
  subtoken_text part, name;
  *quality = 1000;
  *version = (subtoken_text){NULL, 0};
  while (st_cut(parts, ';', &part)) {
    st_cutter pair = {st_text_trim(part), false};
    (void)st_cut(&pair, '=', &name);
    if (pair.done) continue; /* without = it says nothing */
    subtoken_text value = pair.rest;
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
      value = (subtoken_text){value.data + 1, value.len - 2};
    }
    if (st_text_is_nocase(name, "version")) *version = value;
    if (st_text_is_nocase(name, "q")) *quality = accept_read_quality(value);
  }
  return *quality >= 0;
}

static void accept_take(accept_quality *known, int rank, int quality) {
  if (rank == 0 || rank < known->rank) return;
  if (rank > known->rank || quality > known->quality) known->quality = quality;
  known->rank = rank;
}

/* How well the range fits a format; 0: not at all. */
static int accept_rank(subtoken_text type, subtoken_text version, const char *whole,
                       const char *group, const char *const versions[2]) {
  if (st_text_is(type, "*/*")) return 1;
  if (st_text_is_nocase(type, group)) return 2;
  if (!st_text_is_nocase(type, whole)) return 0;
  if (version.data == NULL) return 3;
  return st_text_is(version, versions[0]) || st_text_is(version, versions[1]) ? 4 : 0;
}

static void accept_read_range(subtoken_text range, accept_quality *open, accept_quality *text) {
  /* Version 0.0.1 had the same syntax but for what we do not write. 1.0.0 of text/plain is 0.0.4
   * with names in quotes, which ours do not need. */
  static const char *const open_versions[] = {"1.0.0", "0.0.1"};
  static const char *const text_versions[] = {"0.0.4", "1.0.0"};
  st_cutter parts = {range, false};
  subtoken_text type, version;
  int quality;
  (void)st_cut(&parts, ';', &type); /* there is always a first piece */
  if (!accept_read_parameters(&parts, &version, &quality)) return;
  type = st_text_trim(type);
  accept_take(
      open,
      accept_rank(type, version, "application/openmetrics-text", "application/*", open_versions),
      quality);
  accept_take(text, accept_rank(type, version, "text/plain", "text/*", text_versions), quality);
}

bool st_accept_open_metrics(const st_header *headers, size_t count) {
  accept_quality open = {0, 0}, text = {0, 0};
  subtoken_text range;
  for (size_t i = 0; i < count; i++) {
    if (!st_text_is_nocase(headers[i].name, "Accept")) continue;
    st_cutter ranges = {headers[i].value, false};
    while (st_cut_item(&ranges, &range)) accept_read_range(range, &open, &text);
  }
  return open.quality >= text.quality;
}
