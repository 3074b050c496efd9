/* Reads traceparent as section 3.2 of the W3C recommendation Trace Context has it: lower-case hex
 * alone, neither id all zeros, a version that is not ff. Of a later version the parts that version
 * 00 has are read, as that section asks. What is not valid is as if it were not there.
 */
#include "service/trace_context.h"

#include "base/bytes.h"

#define VERSION_00_LEN 55 /* 00-TRACE-SPAN-FLAGS */

/* Cuts so many digits off the front. *zero: all of them are 0. */
static bool trace_cut_hex(subtoken_text *rest, size_t len, subtoken_text *digits, bool *zero) {
  if (rest->len < len) return false;
  *zero = true;
  for (size_t i = 0; i < len; i++) {
    char c = rest->data[i];
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    *zero = *zero && c == '0';
  }
  *digits = (subtoken_text){rest->data, len};
  *rest = (subtoken_text){rest->data + len, rest->len - len};
  return true;
}

static bool trace_cut_dash(subtoken_text *rest) {
  if (rest->len == 0 || rest->data[0] != '-') return false;
  *rest = (subtoken_text){rest->data + 1, rest->len - 1};
  return true;
}

static bool trace_context_read(subtoken_text value, st_trace_context *context) {
  subtoken_text rest = value, version, trace, span, flags;
  bool zero, no_trace, no_span;
  bool good = trace_cut_hex(&rest, 2, &version, &zero) && trace_cut_dash(&rest) &&
              trace_cut_hex(&rest, ST_TRACE_ID_LEN, &trace, &no_trace) && trace_cut_dash(&rest) &&
              trace_cut_hex(&rest, ST_SPAN_ID_LEN, &span, &no_span) && trace_cut_dash(&rest) &&
              trace_cut_hex(&rest, 2, &flags, &zero);
  if (!good || no_trace || no_span || st_text_is(version, "ff")) return false;
  bool first = st_text_is(version, "00");
  if (first ? value.len != VERSION_00_LEN : rest.len > 0 && rest.data[0] != '-') return false;
  *context = (st_trace_context){trace, span};
  return true;
}

bool st_trace_context_find(const st_request *request, st_trace_context *context) {
  const st_header *found = NULL;
  for (size_t i = 0; i < request->header_count; i++) {
    if (!st_text_is_nocase(request->headers[i].name, "traceparent")) continue;
    if (found != NULL) return false;
    found = &request->headers[i];
  }
  return found != NULL && trace_context_read(found->value, context);
}
