/* Writes one line of JSON for each request. A credential is never in it: long parts of a path are
 * replaced by their hash.
 */
#include "server/access_log.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hmac.h"
#include "os/log.h"
#include "service/service.h"
#include "service/trace_context.h"

#define SEGMENT_SHOWN 40 /* a longer segment is replaced by its hash */
#define PATH_SHOWN 256

static void write_hash(subtoken_text text, char out[ST_CREDENTIAL_TAG_LEN + 3]) {
  static const char hex[] = "0123456789abcdef";
  uint8_t digest[ST_HASH_LEN];
  st_sha256(text.data, text.len, digest);
  out[0] = '[';
  for (size_t i = 0; i < ST_CREDENTIAL_TAG_LEN; i++) {
    out[i + 1] = hex[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
  }
  out[ST_CREDENTIAL_TAG_LEN + 1] = ']';
  out[ST_CREDENTIAL_TAG_LEN + 2] = '\0';
}

/* The path without its query. A long segment may be a token or key that somebody
 * put in the wrong place: only its hash is shown.
 */
static void write_path(st_writer *writer, subtoken_text target) {
  char short_path[PATH_SHOWN + 16];
  st_writer path = st_writer_on(short_path, sizeof short_path);
  st_cutter query = {target, false};
  subtoken_text whole, segment;
  (void)st_cut(&query, '?', &whole);
  st_cutter cutter = {whole, false};
  while (path.len < PATH_SHOWN - SEGMENT_SHOWN && st_cut(&cutter, '/', &segment)) {
    char hashed[ST_CREDENTIAL_TAG_LEN + 3];
    if (segment.len > SEGMENT_SHOWN) {
      write_hash(segment, hashed);
      segment = st_text(hashed);
    }
    st_write_view(&path, segment);
    if (!cutter.done) st_write_char(&path, '/');
  }
  st_log_field(writer, "path", (subtoken_text){short_path, path.len});
}

void st_access_log_write(const st_request *request, const st_reply *reply, subtoken_text remote,
                         int64_t microseconds) {
  char line[ST_LOG_LINE_MAX];
  st_writer writer = st_writer_on(line, sizeof line);
  st_trace_context trace;
  subtoken_text method = request->method;
  if (method.len > 16) method.len = 16;
  st_log_begin(&writer, request->now, "request");
  st_log_field(&writer, "remote", remote);
  st_log_field(&writer, "method", method);
  write_path(&writer, request->target);
  st_log_number(&writer, "status", reply->status);
  st_log_number(&writer, "us", microseconds);
  if (reply->event.name != NULL) st_log_field(&writer, "reason", st_text(reply->event.name));
  if (reply->event.key_id[0] != '\0') st_log_field(&writer, "key", st_text(reply->event.key_id));
  if (reply->event.credential[0] != '\0') {
    st_log_field(&writer, "credential", st_text(reply->event.credential));
  }
  if (reply->event.dropped > 0) st_log_number(&writer, "dropped", (int64_t)reply->event.dropped);
  if (reply->event.clamped) st_log_number(&writer, "clamped", 1);
  if (reply->event.delta != 0) st_log_number(&writer, "delta", reply->event.delta);
  if (st_trace_context_find(request, &trace)) {
    st_log_field(&writer, "trace_id", trace.trace_id);
    st_log_field(&writer, "span_id", trace.span_id);
  }
  st_log_append(&writer, NULL);
}
