#include "base/base64url.h"
#include "base/date.h"
#include "base/json.h"
#include "core/claims.h"
#include "core/jws.h"
#include "core/paths.h"
#include "subtoken/verify.h"

/* Everything here is for people, and from a token that may be anybody's: it is
 * decoded again without trust, and shown escaped.
 */
typedef struct explained {
  const subtoken_verifier *verifier;
  const subtoken_request *request;
  subtoken_text token;
  st_jws jws;
  bool split;
  char header[SUBTOKEN_TOKEN_MAX / 4 * 3];
  size_t header_len;   /* 0: not base64url */
  bool read;           /* claims are the token's; else only claims.text may be */
  subtoken_text fault; /* the claim at which reading stopped */
  subtoken_claims claims;
} explained;

static void look(explained *e) {
  size_t len;
  e->split = st_jws_split(e->token, NULL, &e->jws) == SUBTOKEN_OK;
  if (!e->split) return;
  if (st_base64url_decode(e->jws.header, e->header, sizeof e->header, &len)) e->header_len = len;
  if (!st_base64url_decode(e->jws.payload, e->claims.text, sizeof e->claims.text, &len)) return;
  e->claims.text_len = (uint16_t)len;
  subtoken_text aud = e->verifier != NULL ? e->verifier->aud : (subtoken_text){NULL, 0};
  e->read = st_claims_read(0, &e->claims, aud, &e->fault) == SUBTOKEN_OK;
}

/* ---- pieces of sentences ---- */

static void say(st_writer *w, const char *words) {
  for (; *words != '\0'; words++) st_write_char(w, *words);
}

static void say_time(st_writer *w, const char *claim, int64_t seconds) {
  say(w, claim);
  st_write_char(w, ' ');
  st_date_write(w, seconds, false);
}

static void say_span(st_writer *w, int64_t seconds) {
  static const struct {
    int64_t from, unit;
    const char *name;
  } rows[] = {{172800, 86400, " days"}, {7200, 3600, " h"}, {120, 60, " min"}, {0, 1, " s"}};
  if (seconds < 0) seconds = -seconds;
  size_t i = 0;
  while (seconds < rows[i].from) i++;
  st_write_int(w, seconds / rows[i].unit);
  say(w, rows[i].name);
}

static void say_quoted(st_writer *w, subtoken_text text) {
  st_write_char(w, '"');
  st_write_shown(w, text);
  st_write_char(w, '"');
}

static void say_list(st_writer *w, const subtoken_claims *claims, const subtoken_slice *list,
                     size_t count) {
  st_write_char(w, '[');
  for (size_t i = 0; i < count; i++) {
    if (i > 0) say(w, ", ");
    st_write_shown(w, subtoken_claims_text(claims, list[i]));
  }
  st_write_char(w, ']');
}

/* ---- one sentence a rule ---- */

static void explain_malformed(st_writer *w, explained *e) {
  if (!e->split) {
    say(w, "a token is three parts with dots between them");
  } else if (e->header_len == 0) {
    say(w, "the header is not base64url without padding");
  } else if (e->claims.text_len == 0) {
    say(w, "the payload is not base64url without padding");
  } else if (!st_base64url_valid(e->jws.mac)) {
    say(w, "the signature is not base64url without padding");
  } else if (!st_json_valid(e->header, e->header_len)) {
    say(w, "the header is not strict JSON");
  } else {
    say(w, "the claims are not a strict JSON object");
  }
}

/* The text of a string member of the header, or the empty text. */
static subtoken_text header_member(explained *e, subtoken_text wanted) {
  st_json json;
  subtoken_text name, value, found = {"", 0};
  st_json_start(&json, e->header, e->header_len);
  if (!st_json_object(&json)) return found;
  while (st_json_member(&json, &name)) {
    bool string = st_json_peek(&json) == '"';
    if (!(string ? st_json_string(&json, &value) : st_json_skip(&json))) return found;
    if (string && st_text_equal(name, wanted)) found = value;
  }
  return found;
}

static void explain_header(st_writer *w, explained *e) {
  if (e->jws.header.len > SUBTOKEN_HEADER_MAX) {
    say(w, "the header is longer than 1024 characters");
    return;
  }
  subtoken_text typ = header_member(e, ST_TEXT("typ"));
  if (typ.len > 0 && !st_text_is(typ, "JWT")) {
    say(w, "typ is ");
    say_quoted(w, typ);
    say(w, ", not \"JWT\"");
    return;
  }
  say(w, "the header has a member that changes what the token means (such as crit, jwk or x5c)");
}

static void explain_kid(st_writer *w, explained *e) {
  subtoken_text kid = header_member(e, ST_TEXT("kid"));
  if (kid.len > 0) {
    say(w, "kid ");
    say_quoted(w, kid);
  } else {
    say(w, "a token without a kid");
  }
  say(w, " is for none of the secrets [");
  const subtoken_ring *ring = e->verifier != NULL ? e->verifier->ring : NULL;
  for (size_t i = 0; ring != NULL && i < ring->count && i < SUBTOKEN_RING_MAX; i++) {
    const subtoken_secret *secret = &ring->secrets[i];
    if (i > 0) say(w, ", ");
    st_write_shown(
        w, secret->kid_len > 0 ? (subtoken_text){secret->kid, secret->kid_len} : ST_TEXT("-"));
  }
  st_write_char(w, ']');
}

static void explain_times(st_writer *w, const explained *e, subtoken_result result) {
  const subtoken_claims *claims = &e->claims;
  int64_t now = e->request->now;
  if (result == SUBTOKEN_EXP_BEFORE_IAT) {
    say_time(w, "exp", claims->exp);
    say_time(w, " is not after iat", claims->iat);
  } else if (result == SUBTOKEN_TTL) {
    say(w, "it lives ");
    say_span(w, claims->exp - claims->iat);
    say(w, ", at most ");
    say_span(w, e->verifier->max_life);
    say(w, " are allowed");
  } else if (result == SUBTOKEN_EXPIRED) {
    say_time(w, "exp", claims->exp);
    say(w, " was ");
    say_span(w, now - claims->exp);
    say(w, " ago");
  } else {
    bool nbf = result == SUBTOKEN_NOT_YET;
    int64_t at = nbf ? claims->nbf : claims->iat;
    say_time(w, nbf ? "nbf" : "iat", at);
    say(w, " is ");
    say_span(w, at - now);
    say(w, " ahead");
  }
}

static void explain_parties(st_writer *w, const explained *e, subtoken_result result) {
  const subtoken_claims *claims = &e->claims;
  if (result == SUBTOKEN_AUD) {
    say(w, "aud does not name ");
    say_quoted(w, e->verifier->aud);
    return;
  }
  say(w, "iss is ");
  if (claims->iss.len > 0) {
    say_quoted(w, subtoken_claims_text(claims, claims->iss));
  } else {
    say(w, "empty or missing");
  }
  say(w, ", not ");
  say_quoted(w, e->verifier->iss);
}

static void explain_target(st_writer *w, const explained *e, subtoken_result result) {
  subtoken_text target = e->request->target;
  st_path path;
  say(w, result == SUBTOKEN_URL ? "url " : "target ");
  if (result == SUBTOKEN_URL && e->request->method.data != NULL) {
    st_write_shown(w, e->request->method);
    st_write_char(w, ' ');
  }
  st_write_shown(w, target.data != NULL ? target : ST_TEXT("(none given)"));
  if (result == SUBTOKEN_URL) {
    say(w, " is not in ");
    say_list(w, &e->claims, e->claims.urls, e->claims.url_count);
    return;
  }
  say(w, " can be read in more than one way: ");
  say(w, subtoken_fault_text(st_target_read(target, &path)));
}

static void explain_needs(st_writer *w, const explained *e) {
  const subtoken_request *request = e->request;
  size_t i = 0;
  while (i < request->needs_count && st_claims_has_permission(&e->claims, request->needs[i])) i++;
  if (i < request->needs_count) {
    say(w, "it needs ");
    st_write_shown(w, request->needs[i]);
    say(w, ", ");
  }
  say(w, "the token has ");
  say_list(w, &e->claims, e->claims.permissions, e->claims.permission_count);
}

static void explain_unread(st_writer *w, explained *e, subtoken_result result) {
  switch (result) {
    case SUBTOKEN_TOO_LARGE:
      st_write_int(w, (int64_t)e->token.len);
      say(w, " characters, at most 8192 are looked at");
      break;
    case SUBTOKEN_MALFORMED: explain_malformed(w, e); break;
    case SUBTOKEN_ALG:
      say(w, "alg is ");
      say_quoted(w, header_member(e, ST_TEXT("alg")));
      say(w, ", not \"HS256\"");
      break;
    case SUBTOKEN_HEADER: explain_header(w, e); break;
    case SUBTOKEN_KID: explain_kid(w, e); break;
    case SUBTOKEN_MAC: say(w, "the signature was not made with our secret over these bytes"); break;
    case SUBTOKEN_CLAIMS:
      say(w, "claim ");
      say_quoted(w, e->fault);
      say(w, " is missing or of the wrong form");
      break;
    case SUBTOKEN_FEED_STALE: say(w, "no trustworthy revocation data"); break;
    default: say(w, "the question cannot be asked like this");
  }
}

static void explain_read(st_writer *w, const explained *e, subtoken_result result) {
  switch (result) {
    case SUBTOKEN_OK: say_time(w, "good until", e->claims.exp); break;
    case SUBTOKEN_ISS:
    case SUBTOKEN_AUD: explain_parties(w, e, result); break;
    case SUBTOKEN_REVOKED:
      say(w, "sub ");
      st_write_shown(w, subtoken_claims_text(&e->claims, e->claims.sub));
      say(w, " is revoked");
      break;
    case SUBTOKEN_BAD_TARGET:
    case SUBTOKEN_URL: explain_target(w, e, result); break;
    case SUBTOKEN_PERM: explain_needs(w, e); break;
    default: explain_times(w, e, result);
  }
}

/* Is the result one that only claims which could be read can lead to? */
static bool from_claims(subtoken_result result) {
  return result == SUBTOKEN_OK || (result >= SUBTOKEN_EXP_BEFORE_IAT && result <= SUBTOKEN_PERM &&
                                   result != SUBTOKEN_FEED_STALE);
}

size_t subtoken_explain(const subtoken_verifier *verifier, subtoken_text token,
                        const subtoken_request *request, subtoken_result result, char *out,
                        size_t out_size) {
  explained e = {.verifier = verifier, .request = request, .token = token};
  if (out == NULL || out_size == 0) return 0;
  out[0] = '\0';
  if (verifier == NULL || request == NULL || token.data == NULL) return 0;
  st_writer writer = st_writer_on(out, out_size - 1);
  look(&e);
  if (!from_claims(result)) {
    explain_unread(&writer, &e, result);
  } else if (e.read) {
    explain_read(&writer, &e, result);
  } else {
    say(&writer, "this is not what the token says");
  }
  out[writer.len] = '\0';
  return writer.len;
}
