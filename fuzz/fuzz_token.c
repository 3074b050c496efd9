/* The first byte says what the rest is: 0 a token as it is; 1 a payload, 2 a header
 * line and a payload, both signed here with the ring's own secret, so that what
 * stands behind the MAC is reached too.
 *
 * Only what this secret signed is accepted; what is accepted keeps the limits, can be
 * issued again and then says the same; what is refused leaves no claims behind.
 */
#include "base/hmac.h"
#include "core/claims.h"
#include "core/jws.h"
#include "core/paths.h"
#include "fuzz.h"
#include "subtoken/issue.h"
#include "subtoken/verify.h"

#define SECRET "fuzzing-needs-a-secret-of-its-own!"
#define NOW INT64_C(1700000000)

static subtoken_ring ring;
static subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;

static void prepare(void) {
  if (ring.count > 0) return;
  HOLD(subtoken_ring_add(&ring, ST_TEXT(""), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  HOLD(subtoken_ring_add(&ring, ST_TEXT("k1"), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  verifier.ring = &ring;
  verifier.without_revocations = true;
}

/* `header.payload.mac`; free it. */
static char *sign(subtoken_text header, subtoken_text payload, size_t *len) {
  size_t room = ST_BASE64URL_LEN(header.len) + ST_BASE64URL_LEN(payload.len) + 45;
  char *token = malloc(room);
  uint8_t mac[ST_HASH_LEN];
  if (token == NULL) abort();
  st_writer writer = st_writer_on(token, room);
  st_base64url_write(&writer, header.data, header.len);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, payload.data, payload.len);
  st_hmac(&ring.secrets[0], token, writer.len, mac);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, mac, sizeof mac);
  HOLD(!writer.overflow && writer.len == room);
  *len = writer.len;
  return token;
}

/* The MAC, once more and by another way than verify takes. */
static void is_ours(subtoken_text token) {
  size_t dot = token.len;
  while (dot > 0 && token.data[dot - 1] != '.') dot--;
  uint8_t mac[ST_HASH_LEN];
  char text[44];
  st_writer writer = st_writer_on(text, sizeof text);
  HOLD(dot > 1 && token.len - dot == 43);
  st_hmac(&ring.secrets[0], token.data, dot - 1, mac);
  st_base64url_write(&writer, mac, sizeof mac);
  HOLD(memcmp(text, token.data + dot, 43) == 0);
}

static void keeps_limits(const subtoken_claims *claims) {
  static st_entry entry;
  HOLD(claims->exp > claims->iat && claims->iat >= 0 && claims->exp <= SUBTOKEN_TIME_MAX);
  HOLD(claims->exp - claims->iat <= verifier.max_life && NOW < claims->exp + verifier.leeway);
  HOLD(claims->iat <= NOW + verifier.leeway && claims->nbf <= NOW + verifier.leeway);
  HOLD(st_sub_valid(subtoken_claims_text(claims, claims->sub)));
  HOLD(claims->permission_count <= 64 && claims->url_count <= 64);
  HOLD(claims->every_url == (claims->url_count == 0));
  for (size_t i = 0; i < claims->permission_count; i++) {
    subtoken_text permission = subtoken_claims_text(claims, claims->permissions[i]);
    HOLD(st_permission_valid(permission));
    for (size_t j = 0; j < i; j++) {
      HOLD(!st_text_equal(permission, subtoken_claims_text(claims, claims->permissions[j])));
    }
  }
  for (size_t i = 0; i < claims->url_count; i++) {
    HOLD(st_entry_read(subtoken_claims_text(claims, claims->urls[i]), &entry) ==
         SUBTOKEN_FAULT_NONE);
  }
}

static size_t text_of(const subtoken_claims *claims, char *out, size_t room) {
  st_writer writer = st_writer_on(out, room);
  st_claims_write(&writer, claims);
  HOLD(!writer.overflow);
  return writer.len;
}

static void issued_again(const subtoken_claims *claims) {
  static char token[SUBTOKEN_ISSUED_MAX + 1], first[8 * SUBTOKEN_TOKEN_MAX],
      second[8 * SUBTOKEN_TOKEN_MAX];
  static subtoken_claims back;
  subtoken_request request = {.now = NOW};
  size_t len;
  subtoken_result result = subtoken_issue(&ring, claims, token, sizeof token, &len);
  HOLD(result == SUBTOKEN_OK || result == SUBTOKEN_TOO_LARGE);
  if (result != SUBTOKEN_OK) return;
  if (!claims->every_url) {
    HOLD(subtoken_verify(&verifier, (subtoken_text){token, len}, &request, &back) == SUBTOKEN_URL);
    return;
  }
  HOLD(subtoken_verify(&verifier, (subtoken_text){token, len}, &request, &back) == SUBTOKEN_OK);
  size_t a = text_of(claims, first, sizeof first), b = text_of(&back, second, sizeof second);
  HOLD(a == b && memcmp(first, second, a) == 0);
}

/* All that a parent has, asked for: the child has no more. */
static void child_of(const subtoken_claims *parent) {
  static subtoken_claims child;
  subtoken_text wanted[SUBTOKEN_PERMISSIONS_MAX];
  subtoken_ask ask = {.permissions = wanted, .permission_count = parent->permission_count};
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  for (size_t i = 0; i < parent->permission_count; i++) {
    wanted[i] = subtoken_claims_text(parent, parent->permissions[i]);
  }
  subtoken_result result = subtoken_narrow(parent, &ask, &limits, NOW, &child, NULL);
  if (result != SUBTOKEN_OK) {
    HOLD(result == SUBTOKEN_TOO_LARGE ||
         (result == SUBTOKEN_PARENT_EXPIRED && parent->exp <= NOW) ||
         (result == SUBTOKEN_NOT_YET && parent->nbf > NOW));
    return;
  }
  HOLD(child.exp <= parent->exp && child.every_url == parent->every_url);
  HOLD(child.permission_count == parent->permission_count);
  HOLD(child.url_count <= parent->url_count);
}

static void judge(subtoken_text token) {
  static subtoken_claims claims;
  static const subtoken_claims zero;
  char header[SUBTOKEN_HEADER_MAX];
  subtoken_request request = {.now = NOW, .method = ST_TEXT("GET"), .target = ST_TEXT("/v2/a?b")};
  memset(&claims, 0x55, sizeof claims);
  subtoken_result result = subtoken_verify(&verifier, token, &request, &claims);
  HOLD(result != SUBTOKEN_UNDECIDED && result <= SUBTOKEN_PERM);
  if (result == SUBTOKEN_OK) {
    is_ours(token);
    keeps_limits(&claims);
    issued_again(&claims);
    child_of(&claims);
  } else {
    HOLD(memcmp(&claims, &zero, offsetof(subtoken_claims, text)) == 0);
  }
  subtoken_result seen = subtoken_inspect(token, header, sizeof header, &claims);
  if (result == SUBTOKEN_OK) HOLD(seen == SUBTOKEN_OK);
  if (seen != SUBTOKEN_OK) HOLD(memcmp(&claims, &zero, offsetof(subtoken_claims, text)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  prepare();
  char *copy = fuzz_copy(data + 1, size - 1);
  subtoken_text rest = {copy, size - 1}, header = ST_TEXT("{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
  unsigned kind = data[0] % 3U;
  if (kind == 0) {
    judge(rest);
  } else {
    size_t len;
    if (kind == 2) header = fuzz_line(&rest);
    char *token = sign(header, rest, &len);
    judge((subtoken_text){token, len});
    free(token);
  }
  free(copy);
  return 0;
}
