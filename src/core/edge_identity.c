/* The X-Subtoken-* headers: those that a caller may not send, and those that tell the API whom a
 * request stands for.
 */
#include "core/claims.h"
#include "subtoken/edge.h"

/* ---- what a caller sent ---- */

/* Letters as small ones; what is neither a letter nor a digit as a hyphen. */
static char edge_identity_fold(char c) {
  char lower = (char)(c | 0x20);
  if (lower >= 'a' && lower <= 'z') return lower;
  return c >= '0' && c <= '9' ? c : '-';
}

bool subtoken_edge_is_identity_header(subtoken_text name) {
  static const char prefix[] = "x-subtoken-";
  if (name.data == NULL || name.len < sizeof prefix - 1) return false;
  for (size_t i = 0; i < sizeof prefix - 1; i++) {
    if (edge_identity_fold(name.data[i]) != prefix[i]) return false;
  }
  return true;
}

/* ---- what the API is told ---- */

enum { SUB, KEY, OWNER, PERMISSIONS, EXPIRES };

static subtoken_text edge_identity_write_permissions(st_writer *writer,
                                                     const subtoken_claims *claims) {
  size_t start = writer->len;
  for (size_t i = 0; i < claims->permission_count; i++) {
    if (i > 0) st_write_char(writer, ',');
    st_write_view(writer, subtoken_claims_text(claims, claims->permissions[i]));
  }
  return (subtoken_text){writer->out + start, writer->len - start};
}

static subtoken_text edge_identity_write_time(st_writer *writer, int64_t time) {
  size_t start = writer->len;
  st_write_int(writer, time);
  return (subtoken_text){writer->out + start, writer->len - start};
}

/* The user `*` has permissions, and nothing else. */
subtoken_result subtoken_edge_identity_headers(
    const subtoken_claims *claims, const subtoken_edge_answer *answer, void *memory,
    size_t memory_size, subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS]) {
  static const subtoken_edge_header names[SUBTOKEN_EDGE_IDENTITY_HEADERS] = {
      {SUBTOKEN_TEXT("X-Subtoken-Sub"), SUBTOKEN_TEXT("")},
      {SUBTOKEN_TEXT("X-Subtoken-Key"), SUBTOKEN_TEXT("")},
      {SUBTOKEN_TEXT("X-Subtoken-Owner"), SUBTOKEN_TEXT("")},
      {SUBTOKEN_TEXT("X-Subtoken-Permissions"), SUBTOKEN_TEXT("")},
      {SUBTOKEN_TEXT("X-Subtoken-Expires"), SUBTOKEN_TEXT("")},
  };
  if (headers == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memcpy(headers, names, sizeof names);
  if (memory == NULL || !st_claims_in_bounds(claims) ||
      (answer != NULL && answer->size != sizeof *answer)) {
    return SUBTOKEN_INVALID_ARGUMENT;
  }
  st_writer writer = st_writer_on(memory, memory_size);
  subtoken_text sub = subtoken_claims_text(claims, claims->sub), expires = {"", 0};
  subtoken_text permissions = edge_identity_write_permissions(&writer, claims);
  if (sub.len > 0 && claims->exp != SUBTOKEN_TIME_MAX) {
    expires = edge_identity_write_time(&writer, claims->exp);
  }
  if (!st_writer_end(&writer)) return SUBTOKEN_BUFFER_TOO_SMALL;
  headers[SUB].value = sub;
  headers[PERMISSIONS].value = permissions;
  headers[EXPIRES].value = expires;
  if (answer != NULL && sub.len > 0) {
    headers[KEY].value = answer->key;
    headers[OWNER].value = answer->owner;
  }
  return SUBTOKEN_OK;
}
