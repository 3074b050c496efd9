#include "subtoken/issue.h"

#include "core/claims.h"
#include "core/jws.h"

/* The longest payload whose token can be short enough. */
#define PAYLOAD_MAX ST_BASE64URL_BYTES(SUBTOKEN_ISSUED_MAX)

subtoken_result subtoken_issue(const subtoken_ring *ring, const subtoken_claims *claims, char *out,
                               size_t out_size, size_t *out_len) {
  char payload[PAYLOAD_MAX];
  char token[SUBTOKEN_ISSUED_MAX + 1];
  if (out_len == NULL || out == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  *out_len = 0;
  if (out_size > 0) out[0] = '\0';
  if (ring == NULL || !st_claims_sane(claims)) return SUBTOKEN_INVALID_ARGUMENT;
  if (ring->count == 0) return SUBTOKEN_NO_SECRET;
  if (!claims->every_url && claims->url_count == 0) return SUBTOKEN_TOO_MANY_URLS;
  if (claims->sub.len == 0 || claims->iat < 0 || claims->exp <= claims->iat ||
      claims->exp > SUBTOKEN_TIME_MAX) {
    return SUBTOKEN_INVALID_ARGUMENT;
  }
  st_writer text = st_writer_on(payload, sizeof payload);
  st_claims_write(&text, claims);
  if (text.overflow) return SUBTOKEN_TOO_LARGE;
  st_writer writer = st_writer_on(token, sizeof token);
  subtoken_result result =
      st_jws_write(&writer, &ring->secrets[0], (subtoken_text){payload, text.len});
  if (result == SUBTOKEN_BUFFER_TOO_SMALL || (result == SUBTOKEN_OK && !st_writer_end(&writer))) {
    return SUBTOKEN_TOO_LARGE;
  }
  if (result != SUBTOKEN_OK) return result;
  if (out_size < writer.len + 1) return SUBTOKEN_BUFFER_TOO_SMALL;
  memcpy(out, token, writer.len + 1);
  *out_len = writer.len;
  return SUBTOKEN_OK;
}
