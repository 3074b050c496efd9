/* Sentences about a result for the people who run an API: subtoken_explain. It reads the token
 * again without trusting it, decides nothing, and escapes all text of the token. policy_explain.c
 * adds what a route policy has to say.
 */
#include "core/explain.h"

#include "base/base64url.h"
#include "base/date.h"
#include "base/json.h"
#include "core/claims.h"
#include "core/jws.h"
#include "core/paths.h"
#include "core/ring.h"
#include "core/sized.h"

typedef struct explained {
  const subtoken_verifier *verifier;
  const subtoken_request *request;
  const subtoken_decision *decision; /* of a policy, or NULL */
  subtoken_text token;
  st_jws jws;
  bool split;
  char header[SUBTOKEN_TOKEN_MAX / 4 * 3];
  size_t header_len;   /* 0: not base64url */
  bool read;           /* the claims were read; else claims.text alone may be set */
  subtoken_text fault; /* the claim that is wrong */
  subtoken_claims claims;
} explained;

static void explain_decode(explained *e) {
  size_t len;
  e->split = st_jws_split(e->token, NULL, &e->jws) == SUBTOKEN_OK;
  if (!e->split) return;
  if (st_base64url_decode(e->jws.header, e->header, sizeof e->header, &len)) e->header_len = len;
  if (!st_base64url_decode(e->jws.payload, e->claims.text, sizeof e->claims.text, &len)) return;
  e->claims.text_len = (uint16_t)len;
  e->read = st_claims_read(0, &e->claims, &e->fault) == SUBTOKEN_OK;
  if (e->read && e->jws.mac.len == ST_CLAIMS_MAC_CHARS) {
    e->read = st_claims_set_tid(&e->claims, e->token);
  }
}

/* ---- pieces of sentences ---- */

#define LAST_DATE INT64_C(253402300799) /* the last second of the year 9999 */
#define TARGET_SHOWN 256                /* so that the reason still fits */

static void write_time(st_writer *w, const char *claim, int64_t seconds) {
  st_write_truncated(w, claim);
  st_write_char(w, ' ');
  if (seconds <= LAST_DATE) {
    st_date_write(w, seconds, false);
  } else {
    st_write_int(w, seconds); /* no date has more than four digits for the year */
  }
}

static void write_span(st_writer *w, int64_t seconds) {
  static const struct {
    int64_t from, unit;
    const char *name;
  } rows[] = {{172800, 86400, " days"}, {7200, 3600, " h"}, {120, 60, " min"}, {0, 1, " s"}};
  if (seconds < 0) seconds = -seconds;
  size_t i = 0;
  while (seconds < rows[i].from) i++;
  st_write_int(w, seconds / rows[i].unit);
  st_write_truncated(w, rows[i].name);
}

/* `31536001 s (365 days)`, for two spans that may differ by a second. */
static void write_exact_span(st_writer *w, int64_t seconds) {
  st_write_int(w, seconds);
  st_write_truncated(w, " s");
  if (seconds < 120) return;
  st_write_truncated(w, " (");
  write_span(w, seconds);
  st_write_char(w, ')');
}

/* In quotes; quotes in the text are escaped. */
static void write_quoted_text(st_writer *w, subtoken_text text) {
  st_cutter cutter = {text, false};
  subtoken_text piece;
  st_write_char(w, '"');
  for (bool first = true; st_cut(&cutter, '"', &piece); first = false) {
    if (!first) st_write_truncated(w, "\\\"");
    st_write_escaped(w, piece);
  }
  st_write_char(w, '"');
}

/* Without quotes, unless it is empty. */
static void write_word(st_writer *w, subtoken_text text) {
  if (text.len == 0) {
    st_write_truncated(w, "\"\"");
  } else {
    st_write_escaped(w, text);
  }
}

static void write_claim_list(st_writer *w, const subtoken_claims *claims,
                             const subtoken_slice *list, size_t count) {
  st_write_char(w, '[');
  for (size_t i = 0; i < count; i++) {
    if (i > 0) st_write_truncated(w, ", ");
    write_word(w, subtoken_claims_text(claims, list[i]));
  }
  st_write_char(w, ']');
}

/* ---- one sentence a rule ---- */

/* A member of the header. value is its text when string is true. */
typedef struct member {
  bool there, string;
  subtoken_text value;
} member;

/* Reads the whole header, which it overwrites. False when it is not an object in strict JSON.
 * forbidden (may be NULL) gets the first name that is forbidden. */
static bool explain_read_header(explained *e, subtoken_text wanted, member *found,
                                subtoken_text *forbidden) {
  st_json json;
  subtoken_text name, value;
  *found = (member){false, false, {NULL, 0}};
  st_json_start(&json, e->header, e->header_len);
  if (!st_json_object(&json)) return false;
  while (st_json_member(&json, &name)) {
    bool string = st_json_peek(&json) == '"';
    if (!(string ? st_json_string(&json, &value) : st_json_skip(&json))) return false;
    if (st_text_equal(name, wanted)) {
      *found = (member){true, string, string ? value : (subtoken_text){NULL, 0}};
    }
    if (forbidden != NULL && forbidden->len == 0 && st_jws_forbidden(name)) *forbidden = name;
  }
  return st_json_end(&json);
}

static void explain_malformed(st_writer *w, explained *e) {
  member unused;
  size_t dots = 0;
  for (size_t i = 0; i < e->token.len; i++) dots += e->token.data[i] == '.';
  if (!e->split || dots != 2) {
    st_write_truncated(w, "it has ");
    st_write_int(w, (int64_t)dots);
    st_write_truncated(w, dots == 1 ? " dot" : " dots");
    st_write_truncated(w,
                       "; a token is three parts that are not empty, with two dots between them");
  } else if (e->header_len == 0) {
    st_write_truncated(w, "the header is not base64url without padding");
  } else if (e->claims.text_len == 0) {
    st_write_truncated(w, "the payload is not base64url without padding");
  } else if (!st_base64url_valid(e->jws.mac)) {
    st_write_truncated(w, "the signature is not base64url without padding");
  } else if (!explain_read_header(e, ST_TEXT(""), &unused, NULL)) {
    st_write_truncated(w, "the header is not an object in strict JSON");
  } else {
    st_write_truncated(w, "the claims are not an object in strict JSON");
  }
}

/* `alg is "none"`, `alg is no string`, `alg is missing`. */
static void write_member(st_writer *w, const char *name, const member *found) {
  st_write_truncated(w, name);
  if (found->string) {
    st_write_truncated(w, " is ");
    write_quoted_text(w, found->value);
  } else {
    st_write_truncated(w, found->there ? " is no string" : " is missing");
  }
}

static void explain_alg(st_writer *w, explained *e) {
  member alg;
  (void)explain_read_header(e, ST_TEXT("alg"), &alg, NULL);
  write_member(w, "alg", &alg);
  st_write_truncated(w, ", not \"HS256\"");
}

static void explain_header(st_writer *w, explained *e) {
  member typ;
  subtoken_text forbidden = {NULL, 0};
  if (e->jws.header.len > SUBTOKEN_HEADER_MAX) {
    st_write_truncated(w, "the header part has ");
    st_write_int(w, (int64_t)e->jws.header.len);
    st_write_truncated(w, " characters, at most 1024 are looked at");
    return;
  }
  (void)explain_read_header(e, ST_TEXT("typ"), &typ, &forbidden);
  if (typ.there && !(typ.string && st_text_is(typ.value, "JWT"))) {
    write_member(w, "typ", &typ);
    st_write_truncated(w, ", not \"JWT\"");
  } else {
    st_write_truncated(w, "the header has ");
    write_quoted_text(w, forbidden);
    st_write_truncated(w, ", which changes what a token means");
  }
}

static void write_kid(st_writer *w, subtoken_text kid) {
  if (kid.len > 0) {
    write_quoted_text(w, kid);
  } else {
    st_write_truncated(w, "(unnamed)");
  }
}

static void explain_kid(st_writer *w, explained *e) {
  member kid;
  (void)explain_read_header(e, ST_TEXT("kid"), &kid, NULL);
  write_member(w, "kid", &kid);
  st_write_truncated(w, ", the secrets are [");
  const subtoken_ring *ring = e->verifier->ring;
  for (size_t i = 0; ring != NULL && i < ring->count && i < SUBTOKEN_RING_MAX; i++) {
    if (i > 0) st_write_truncated(w, ", ");
    write_kid(w, (subtoken_text){ring->secrets[i].kid, ring->secrets[i].kid_len});
  }
  st_write_char(w, ']');
}

static void explain_mac(st_writer *w, explained *e) {
  member kid;
  size_t bytes = ST_BASE64URL_BYTES(e->jws.mac.len);
  if (bytes != ST_HASH_LEN) {
    st_write_truncated(w, "the signature has ");
    st_write_int(w, (int64_t)bytes);
    st_write_truncated(w, " bytes, not 32");
    return;
  }
  (void)explain_read_header(e, ST_TEXT("kid"), &kid, NULL);
  st_write_truncated(w, "the signature was not made over these bytes with the secret ");
  write_kid(w, kid.value);
}

static void explain_times(st_writer *w, const explained *e, subtoken_result result) {
  const subtoken_claims *claims = &e->claims;
  int64_t now = e->request->now;
  if (result == SUBTOKEN_EXP_BEFORE_IAT) {
    write_time(w, "exp", claims->exp);
    write_time(w, " is not after iat", claims->iat);
  } else if (result == SUBTOKEN_TTL) {
    st_write_truncated(w, "from iat to exp it is ");
    write_exact_span(w, claims->exp - claims->iat);
    st_write_truncated(w, ", at most ");
    write_exact_span(w, e->verifier->max_life);
    st_write_truncated(w, " are allowed");
  } else if (result == SUBTOKEN_EXPIRED) {
    write_time(w, "exp", claims->exp);
    st_write_truncated(w, " was ");
    write_span(w, now - claims->exp);
    st_write_truncated(w, " ago");
  } else {
    bool nbf = result == SUBTOKEN_NOT_YET;
    int64_t at = nbf ? claims->nbf : claims->iat;
    write_time(w, nbf ? "nbf" : "iat", at);
    st_write_truncated(w, " is ");
    write_span(w, at - now);
    st_write_truncated(w, " ahead");
  }
}

/* In brackets when there are several. */
static void write_audience(st_writer *w, const explained *e) {
  size_t at = 0, first = 0;
  if (subtoken_claims_audience(&e->claims, &first).data == NULL) {
    st_write_truncated(w, "missing");
    return;
  }
  bool several = first < e->claims.aud.len;
  if (several) st_write_char(w, '[');
  for (subtoken_text one; (one = subtoken_claims_audience(&e->claims, &at)).data != NULL;) {
    if (one.data != e->claims.text + e->claims.aud.at + 2) st_write_truncated(w, ", ");
    write_quoted_text(w, one);
  }
  if (several) st_write_char(w, ']');
}

static void explain_issuer(st_writer *w, const explained *e) {
  subtoken_text iss = subtoken_claims_text(&e->claims, e->claims.iss);
  st_write_truncated(w, "iss is ");
  if (iss.len > 0) {
    write_quoted_text(w, iss);
  } else {
    st_write_truncated(w, "empty or missing");
  }
  st_write_truncated(w, ", not ");
  write_quoted_text(w, e->verifier->iss);
}

/* What the kid of a derived secret has to do with it, or nothing. */
static bool explain_derived(st_writer *w, explained *e) {
  member kid;
  subtoken_text plain, audience;
  (void)explain_read_header(e, ST_TEXT("kid"), &kid, NULL);
  st_ring_split_kid(kid.value, &plain, &audience);
  bool alone = audience.data != NULL && st_claims_only_audience(&e->claims, audience);
  if (audience.data == NULL || (alone && e->verifier->aud.data != NULL)) return false;
  write_member(w, "kid", &kid);
  st_write_truncated(w, alone ? ", a secret that is derived for one audience, and this verifier is "
                                "told none"
                              : ", which signs for that audience alone");
  st_write_truncated(w, "; aud is ");
  return true;
}

static void explain_audience(st_writer *w, explained *e) {
  bool derived = explain_derived(w, e);
  if (!derived) st_write_truncated(w, "aud is ");
  write_audience(w, e);
  if (derived) return;
  st_write_truncated(w, ", not ");
  write_quoted_text(w, e->verifier->aud);
}

/* How many of the names have to be asked for until one is revoked; 0: nobody says. */
static size_t first_revoked(const explained *e, const subtoken_text *names, size_t count) {
  const subtoken_verifier *verifier = e->verifier;
  for (size_t asked = 1; verifier->revoked != NULL && asked <= count; asked++) {
    if (verifier->revoked(verifier->revoked_context, names, asked) == SUBTOKEN_REVOKED) {
      return asked;
    }
  }
  return 0;
}

static void explain_revoked(st_writer *w, const explained *e) {
  subtoken_text names[ST_CLAIMS_NAMES_MAX];
  size_t count = st_claims_names(&e->claims, names), first = first_revoked(e, names, count);
  st_write_truncated(w, first <= 1 ? "sub " : "tid ");
  write_word(w, names[first <= 1 ? 0 : first - 1]);
  if (first > 2) st_write_truncated(w, ", which it was made from,");
  if (first == 0 && count > 1) {
    st_write_truncated(w, " or tid ");
    write_word(w, names[1]);
  }
  if (first == 0 && count > 2) {
    st_write_truncated(w, " or one of via ");
    write_claim_list(w, &e->claims, e->claims.via, e->claims.via_count);
  }
  st_write_truncated(w, " is revoked");
}

/* The length of the part of a target that is certainly a path. The rest may be a query, or an
 * attempt at one, and have a credential in it (RFC 6750 section 2.3). */
static size_t path_len(subtoken_text target, subtoken_result result) {
  st_cutter cutter = {target, false};
  subtoken_text path;
  (void)st_cut(&cutter, '?', &path);
  if (result == SUBTOKEN_BAD_TARGET) {
    path.len = path.len > 0 && path.data[0] == '/' ? st_text_span(path, ST_CHAR_PATH) : 0;
  }
  if (path.len <= TARGET_SHOWN) return path.len;
  path.len = TARGET_SHOWN;
  while (path.len > TARGET_SHOWN - 4 && (path.data[path.len] & 0xC0) == 0x80) path.len--;
  return path.len;
}

static void write_target(st_writer *w, subtoken_text target, subtoken_result result) {
  size_t len = path_len(target, result);
  if (target.data == NULL) {
    st_write_truncated(w, "(none given)");
    return;
  }
  st_write_escaped(w, (subtoken_text){target.data, len});
  if (len < target.len && target.data[len] != '?') st_write_truncated(w, "...");
  if (target.len == 0) st_write_truncated(w, "\"\"");
}

void st_explain_asked(st_writer *w, subtoken_text method, subtoken_text target) {
  if (method.data != NULL) {
    write_word(w, method);
    st_write_char(w, ' ');
  }
  write_target(w, target, SUBTOKEN_URL);
}

void st_explain_fault(st_writer *w, subtoken_text target) {
  st_path path;
  st_write_truncated(w, "target ");
  write_target(w, target, SUBTOKEN_BAD_TARGET);
  st_write_truncated(w, " is refused: ");
  st_write_truncated(w, subtoken_fault_text(st_paths_read_target(target, &path)));
  st_cutter cutter = {target, false};
  (void)st_cut(&cutter, '?', &target);
  if (st_paths_read_target(target, &path) == SUBTOKEN_FAULT_NONE)
    st_write_truncated(w, ", in its query");
}

static void explain_url(st_writer *w, const explained *e) {
  st_write_truncated(w, "url ");
  st_explain_asked(w, e->request->method, e->request->target);
  st_write_truncated(w, " is not in ");
  write_claim_list(w, &e->claims, e->claims.urls, e->claims.url_count);
}

static void explain_needs(st_writer *w, const explained *e) {
  const subtoken_decision *decision = e->decision;
  const subtoken_text *need = NULL;
  if (decision != NULL)
    need = st_claims_find_lacking(&e->claims, decision->needs, decision->needs_count);
  if (need == NULL)
    need = st_claims_find_lacking(&e->claims, e->request->needs, e->request->needs_count);
  if (need != NULL) {
    st_write_truncated(w, "it needs ");
    write_word(w, *need);
    st_write_truncated(w, ", ");
  } else if (decision != NULL && decision->json_rpc) {
    st_write_truncated(w, "it needs an API that the body names, ");
  }
  st_write_truncated(w, "the token has ");
  write_claim_list(w, &e->claims, e->claims.permissions, e->claims.permission_count);
}

static void explain_good(st_writer *w, const explained *e) {
  write_time(w, "good until", e->claims.exp);
  if (e->claims.aud.len > 0) {
    st_write_truncated(w, ", aud is ");
    write_audience(w, e);
  }
  if (e->claims.via_count == 0) return;
  st_write_truncated(w, ", made from ");
  write_claim_list(w, &e->claims, e->claims.via, e->claims.via_count);
}

static void explain_unread(st_writer *w, explained *e, subtoken_result result) {
  switch (result) {
    case SUBTOKEN_TOO_LARGE:
      st_write_int(w, (int64_t)e->token.len);
      st_write_truncated(w, " characters, at most 8192 are looked at");
      break;
    case SUBTOKEN_MALFORMED: explain_malformed(w, e); break;
    case SUBTOKEN_ALG: explain_alg(w, e); break;
    case SUBTOKEN_HEADER: explain_header(w, e); break;
    case SUBTOKEN_KID: explain_kid(w, e); break;
    case SUBTOKEN_MAC: explain_mac(w, e); break;
    case SUBTOKEN_CLAIMS:
      st_write_truncated(w, "claim ");
      write_quoted_text(w, e->fault);
      st_write_truncated(w, " is missing or of the wrong form");
      break;
    case SUBTOKEN_REVOCATION_UNKNOWN:
      st_write_truncated(w, "no trustworthy revocation data");
      break;
    default: st_write_truncated(w, "invalid argument");
  }
}

static void explain_read(st_writer *w, explained *e, subtoken_result result) {
  switch (result) {
    case SUBTOKEN_OK: explain_good(w, e); break;
    case SUBTOKEN_ISS: explain_issuer(w, e); break;
    case SUBTOKEN_AUD: explain_audience(w, e); break;
    case SUBTOKEN_REVOKED: explain_revoked(w, e); break;
    case SUBTOKEN_BAD_TARGET: st_explain_fault(w, e->request->target); break;
    case SUBTOKEN_URL: explain_url(w, e); break;
    case SUBTOKEN_PERM: explain_needs(w, e); break;
    default: explain_times(w, e, result);
  }
}

/* Can only claims that were read lead to this result? */
static bool is_from_claims(subtoken_result result) {
  return result == SUBTOKEN_OK || (result >= SUBTOKEN_EXP_BEFORE_IAT && result <= SUBTOKEN_PERM &&
                                   result != SUBTOKEN_REVOCATION_UNKNOWN);
}

void st_explain_token(st_writer *w, const subtoken_verifier *verifier, subtoken_text token,
                      const subtoken_request *request, const subtoken_decision *decision,
                      subtoken_result result) {
  explained e = {.verifier = verifier, .request = request, .decision = decision, .token = token};
  if (request->now < 0 || request->now > SUBTOKEN_TIME_MAX ||
      (request->needs == NULL && request->needs_count > 0)) {
    result = SUBTOKEN_INVALID_ARGUMENT; /* it is what subtoken_verify returned */
  }
  explain_decode(&e);
  if (!is_from_claims(result)) {
    explain_unread(w, &e, result);
  } else if (e.read) {
    explain_read(w, &e, result);
  } else {
    st_write_truncated(w, "this is not what the token says");
  }
}

size_t subtoken_explain(const subtoken_verifier *verifier, subtoken_text token,
                        const subtoken_request *request, subtoken_result result, char *out,
                        size_t out_size) {
  subtoken_verifier verifier_copy;
  subtoken_request request_copy;
  if (out == NULL || out_size == 0) return 0;
  out[0] = '\0';
  verifier = st_sized_verifier(verifier, &verifier_copy);
  request = st_sized_request(request, &request_copy);
  if (verifier == NULL || request == NULL || token.data == NULL) return 0;
  st_writer writer = st_writer_on(out, out_size - 1);
  st_explain_token(&writer, verifier, token, request, NULL, result);
  out[writer.len] = '\0';
  return writer.len;
}
