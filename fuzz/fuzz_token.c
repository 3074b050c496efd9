/* The first byte says what the rest is: 0 a token as it is; 1 a payload, 2 a header
 * line and a payload, both signed here with the ring's own secret, so that what
 * stands behind the MAC is reached too; 3 a payload, signed with the secret that is
 * derived for the audience eu.
 *
 * Only what this secret signed is accepted; what is accepted keeps the limits, can be
 * issued again and then says the same; what is refused leaves no claims behind. The
 * one-pass reader of what we issue reads nothing otherwise than the reader of any JSON,
 * and the processor's instructions change nothing. The ring that is derived for eu and the plain
 * one that is told to be eu take the same, for eu alone, and all others nothing of it. Whatever the
 * result, it can be explained, in words that no terminal obeys.
 */
#include "base/hmac.h"
#include "base/vector.h"
#include "core/claims.h"
#include "core/claims_fast.h"
#include "core/jws.h"
#include "core/paths.h"
#include "fuzz.h"
#include "subtoken/issue.h"
#include "subtoken/verify.h"

#define SECRET "fuzzing-needs-a-secret-of-its-own!"
#define NOW INT64_C(1700000000)

static subtoken_ring ring, no_cpu; /* the same, but that plain C has to do */
static subtoken_ring eu, us;       /* derived of it */
static subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
static uint8_t cpu;

static void prepare(void) {
  if (ring.count > 0) return;
  HOLD(subtoken_ring_add(&ring, ST_TEXT(""), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  HOLD(subtoken_ring_add(&ring, ST_TEXT("k1"), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  HOLD(subtoken_ring_derive(&ring, ST_TEXT("eu"), &eu) == SUBTOKEN_OK);
  HOLD(subtoken_ring_derive(&ring, ST_TEXT("us"), &us) == SUBTOKEN_OK);
  verifier.ring = &ring;
  verifier.without_revocations = true;
  cpu = st_cpu_features();
  no_cpu = ring;
  no_cpu.secrets[0].cpu = no_cpu.secrets[1].cpu = 0;
}

/* `header.payload.mac`; free it. */
static char *sign(const subtoken_secret *secret, subtoken_text header, subtoken_text payload,
                  size_t *len) {
  size_t room = ST_BASE64URL_LEN(header.len) + ST_BASE64URL_LEN(payload.len) + 45;
  char *token = malloc(room);
  uint8_t mac[ST_HASH_LEN];
  if (token == NULL) abort();
  st_writer writer = st_writer_on(token, room);
  st_base64url_write(&writer, header.data, header.len);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, payload.data, payload.len);
  st_hmac(secret, token, writer.len, mac);
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
  HOLD(subtoken_sub_valid(subtoken_claims_text(claims, claims->sub)));
  HOLD(claims->sid.len == 0 || st_claims_sid_valid(subtoken_claims_text(claims, claims->sid)));
  HOLD(claims->permission_count <= 64 && claims->url_count <= 64);
  HOLD(claims->every_url == (claims->url_count == 0));
  HOLD(claims->via_count <= SUBTOKEN_VIA_MAX);
  HOLD(st_claims_tid_valid(subtoken_claims_text(claims, claims->tid)));
  for (size_t i = 0; i < claims->via_count; i++) {
    HOLD(st_claims_tid_valid(subtoken_claims_text(claims, claims->via[i])));
  }
  for (size_t i = 0; i < claims->permission_count; i++) {
    subtoken_text permission = subtoken_claims_text(claims, claims->permissions[i]);
    HOLD(subtoken_permission_valid(permission));
    for (size_t j = 0; j < i; j++) {
      HOLD(!st_text_equal(permission, subtoken_claims_text(claims, claims->permissions[j])));
    }
  }
  for (size_t i = 0; i < claims->url_count; i++) {
    HOLD(st_paths_read_entry(subtoken_claims_text(claims, claims->urls[i]), &entry) ==
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
  subtoken_request request = {.size = sizeof request, .now = NOW};
  size_t len, at = 0;
  subtoken_verifier any = verifier;
  any.any_audience = true;
  subtoken_result result = subtoken_issue(&ring, claims, token, sizeof token, &len);
  subtoken_text audience = subtoken_claims_audience(claims, &at);
  bool other_aud = claims->aud.len > 0 && !(subtoken_audience_valid(audience) &&
                                            st_claims_only_audience(claims, audience));
  if (claims->nbf > claims->iat) { /* an issued token says no nbf and would be good too early */
    HOLD(result == SUBTOKEN_INVALID_ARGUMENT);
    return;
  }
  HOLD(other_aud ? result == SUBTOKEN_CLAIMS
                 : result == SUBTOKEN_OK || result == SUBTOKEN_TOO_LARGE);
  if (result != SUBTOKEN_OK) return;
  if (!claims->every_url) {
    HOLD(subtoken_verify(&any, (subtoken_text){token, len}, &request, &back) == SUBTOKEN_URL);
    return;
  }
  HOLD(subtoken_verify(&any, (subtoken_text){token, len}, &request, &back) == SUBTOKEN_OK);
  HOLD(back.aud_derived == (claims->aud.len > 0) && back.via_count == claims->via_count);
  size_t a = text_of(claims, first, sizeof first), b = text_of(&back, second, sizeof second);
  HOLD(a == b && memcmp(first, second, a) == 0);
}

/* All that a parent has, asked for: the child has no more, and of a login nothing. */
static void child_of(const subtoken_claims *parent) {
  static subtoken_claims child;
  subtoken_text wanted[SUBTOKEN_PERMISSIONS_MAX];
  subtoken_issue_request request = {
      .size = sizeof request, .permissions = wanted, .permission_count = parent->permission_count};
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  for (size_t i = 0; i < parent->permission_count; i++) {
    wanted[i] = subtoken_claims_text(parent, parent->permissions[i]);
  }
  subtoken_result result = subtoken_narrow(parent, &request, &limits, NOW, &child, NULL);
  if (result != SUBTOKEN_OK) {
    HOLD(result == SUBTOKEN_TOO_LARGE || (result == SUBTOKEN_AUD_WIDER && parent->aud.len > 0) ||
         (result == SUBTOKEN_TOO_DEEP && parent->via_count == SUBTOKEN_VIA_MAX) ||
         (result == SUBTOKEN_PARENT_EXPIRED && parent->exp <= NOW) ||
         (result == SUBTOKEN_NOT_YET && parent->nbf > NOW));
    return;
  }
  HOLD(child.exp <= parent->exp && child.every_url == parent->every_url);
  HOLD(child.permission_count == parent->permission_count);
  HOLD(child.url_count <= parent->url_count && child.sid.len == 0);
  HOLD(child.via_count == parent->via_count + 1 && child.aud.len == parent->aud.len);
}

static bool same_list(const subtoken_slice *a, const subtoken_slice *b, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (a[i].at != b[i].at || a[i].len != b[i].len) return false;
  }
  return true;
}

static void same_claims(const subtoken_claims *a, const subtoken_claims *b) {
  HOLD(a->iat == b->iat && a->exp == b->exp && a->nbf == b->nbf);
  HOLD(a->every_url == b->every_url && a->aud_named == b->aud_named);
  HOLD(a->permission_count == b->permission_count && a->url_count == b->url_count);
  HOLD(same_list(&a->sub, &b->sub, 1) && same_list(&a->iss, &b->iss, 1));
  HOLD(same_list(&a->sid, &b->sid, 1) && same_list(&a->aud, &b->aud, 1));
  HOLD(same_list(a->permissions, b->permissions, a->permission_count));
  HOLD(same_list(a->urls, b->urls, a->url_count));
  HOLD(a->via_count == b->via_count && same_list(a->via, b->via, a->via_count));
  HOLD(same_list(&a->tid, &b->tid, 1) && a->aud_derived == b->aud_derived);
  HOLD(a->text_len == b->text_len && memcmp(a->text, b->text, a->text_len) == 0);
}

static void start(subtoken_claims *claims, subtoken_text payload) {
  memset(claims, 0, offsetof(subtoken_claims, text));
  memcpy(claims->text, payload.data, payload.len);
  claims->text_len = (uint16_t)payload.len;
}

/* core/claims_fast.c against core/claims.c. */
static void readers_agree(subtoken_text payload) {
  static subtoken_claims plain, fast, any, either;
  subtoken_text fault = {NULL, 0}, other_fault = {NULL, 0};
  if (payload.len > sizeof plain.text) return;
  start(&plain, payload);
  start(&fast, payload);
  start(&any, payload);
  start(&either, payload);
  bool issued = st_claims_fast_read(0, &plain);
  HOLD(st_claims_fast_read(cpu, &fast) == issued);
  subtoken_result result = st_claims_read_any(&any, &fault);
  HOLD(st_claims_read(cpu, &either, &other_fault) == result);
  if (issued) {
    HOLD(result == SUBTOKEN_OK);
    same_claims(&plain, &any);
    same_claims(&fast, &any);
  } else {
    HOLD(plain.permission_count == 0 && plain.url_count == 0 && plain.sid.len == 0);
    HOLD(plain.via_count == 0 && plain.aud.len == 0);
  }
  if (result == SUBTOKEN_OK) same_claims(&either, &any);
  if (result == SUBTOKEN_CLAIMS) HOLD(st_text_equal(fault, other_fault));
}

/* Printable UTF-8 with a NUL behind it, in a block of the exact size. */
static size_t explained(subtoken_text token, const subtoken_request *request,
                        subtoken_result result, size_t size, char *copy) {
  subtoken_verifier strict = verifier;
  strict.iss = token;
  strict.aud = token;
  strict.iss.len = strict.aud.len = token.len < 20 ? token.len : 20;
  char *out = malloc(size);
  if (out == NULL) abort();
  size_t len = subtoken_explain(&strict, token, request, result, out, size);
  HOLD(len < size && out[len] == '\0' && strlen(out) == len);
  uint32_t code = 0;
  for (size_t i = 0, step; i < len; i += step) {
    step = st_utf8_next(out + i, len - i, &code);
    HOLD(step > 0 && code >= 0x20 && !(code >= 0x7F && code <= 0x9F));
    HOLD(!(code >= 0x202A && code <= 0x202E) && !(code >= 0x2066 && code <= 0x2069));
  }
  if (copy != NULL) memcpy(copy, out, len + 1);
  free(out);
  return len;
}

/* The result that it had, and one that it had not; whole and cut. */
static void explain(subtoken_text token, const subtoken_request *request, subtoken_result result) {
  static char whole[SUBTOKEN_EXPLAIN_MAX], cut[SUBTOKEN_EXPLAIN_MAX];
  static unsigned turn;
  subtoken_request hostile = *request;
  size_t most = token.len < 40 ? token.len : 40;
  hostile.method = hostile.target = (subtoken_text){token.data, most};
  hostile.needs = &hostile.method;
  hostile.needs_count = 1;
  for (int twice = 0; twice < 2; twice++) {
    size_t size = 1 + turn++ * 7 % (SUBTOKEN_EXPLAIN_MAX - 1);
    size_t len = explained(token, &hostile, result, sizeof whole, whole);
    HOLD(len > 0);
    HOLD(explained(token, &hostile, result, size, cut) <= len);
    HOLD(memcmp(whole, cut, strlen(cut)) == 0);
    result = (subtoken_result)(turn % (SUBTOKEN_RING_DERIVED + 2U));
  }
}

/* Without the processor's instructions: the same answer, the same claims. */
static void plain_agrees(subtoken_text token, const subtoken_request *request,
                         subtoken_result result, const subtoken_claims *claims) {
  static subtoken_claims plain;
  subtoken_verifier slow = verifier;
  slow.ring = &no_cpu;
  HOLD(subtoken_verify(&slow, token, request, &plain) == result);
  if (result == SUBTOKEN_OK) same_claims(&plain, claims);
}

static void evaluate(subtoken_text token) {
  static subtoken_claims claims;
  static const subtoken_claims zero;
  char header[SUBTOKEN_HEADER_MAX];
  subtoken_request request = {
      .size = sizeof request, .now = NOW, .method = ST_TEXT("GET"), .target = ST_TEXT("/v2/a?b")};
  memset(&claims, 0x55, sizeof claims);
  subtoken_result result = subtoken_verify(&verifier, token, &request, &claims);
  HOLD(result != SUBTOKEN_UNDECIDED && result <= SUBTOKEN_PERM);
  plain_agrees(token, &request, result, &claims);
  explain(token, &request, result);
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

/* At each edge that could be asked: for eu, for us, and told nothing. */
static void evaluate_derived(subtoken_text token) {
  static subtoken_claims claims, told_claims, other;
  subtoken_request request = {
      .size = sizeof request, .now = NOW, .method = ST_TEXT("GET"), .target = ST_TEXT("/v2/a?b")};
  subtoken_verifier edge = verifier, told = verifier, elsewhere = verifier;
  edge.ring = &eu;
  told.aud = ST_TEXT("eu");
  elsewhere.ring = &us;
  subtoken_result result = subtoken_verify(&edge, token, &request, &claims);
  HOLD(subtoken_verify(&told, token, &request, &told_claims) == result);
  HOLD(subtoken_verify(&verifier, token, &request, &other) != SUBTOKEN_OK);
  HOLD(subtoken_verify(&elsewhere, token, &request, &other) != SUBTOKEN_OK);
  told.aud = ST_TEXT("us");
  HOLD(subtoken_verify(&told, token, &request, &other) != SUBTOKEN_OK);
  edge.aud = ST_TEXT("us");
  HOLD(subtoken_verify(&edge, token, &request, &other) != SUBTOKEN_OK);
  explain(token, &request, result);
  if (result != SUBTOKEN_OK) return;
  HOLD(!claims.aud_named && told_claims.aud_named && claims.aud_derived);
  told_claims.aud_named = false;
  same_claims(&claims, &told_claims);
  HOLD(st_claims_only_audience(&claims, ST_TEXT("eu")));
  keeps_limits(&claims);
  issued_again(&claims);
  child_of(&claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  prepare();
  char *copy = fuzz_copy(data + 1, size - 1);
  subtoken_text rest = {copy, size - 1}, header = ST_TEXT("{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
  unsigned kind = data[0] % 4U;
  if (kind == 0) {
    evaluate(rest);
  } else if (kind == 3) {
    size_t len;
    header = ST_TEXT("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\".eu\"}");
    char *token = sign(&eu.secrets[0], header, rest, &len);
    evaluate_derived((subtoken_text){token, len});
    free(token);
  } else {
    size_t len;
    if (kind == 2) header = fuzz_line(&rest);
    readers_agree(rest);
    char *token = sign(&ring.secrets[0], header, rest, &len);
    evaluate((subtoken_text){token, len});
    free(token);
  }
  free(copy);
  return 0;
}
