/* Reads the claims of a token as this library writes them, in one pass: only the form
 * {"sub":"…","iat":…,"exp":…,"aud":"…","permissions":["…"],"urls":["…"],"via":["…"],"sid":"…"},
 * with or without the aud and the last three. Nearly all tokens have it; claims.c reads all others.
 * fuzz/fuzz_token.c and tests/unit/test_claims_fast.c check that both read the same.
 */
#include "core/claims_fast.h"

#include "base/vector.h"
#include "core/paths.h"

typedef struct scan {
  const char *at, *end, *start;
  uint8_t cpu;
} scan;

/* Reads a literal. Inline, so that its length is known and the comparison is one or two words. */
static inline __attribute__((always_inline)) bool fast_take(scan *s, const char *literal) {
  size_t len = strlen(literal);
  if ((size_t)(s->end - s->at) < len || memcmp(s->at, literal, len) != 0) return false;
  s->at += len;
  return true;
}

static inline subtoken_slice slice_from(const scan *s, const char *from) {
  return (subtoken_slice){(uint16_t)(from - s->start), (uint16_t)(s->at - from)};
}

/* Reads 1 to `most` characters of a class. */
static inline bool fast_take_class(scan *s, uint8_t class, size_t most, subtoken_slice *slice) {
  const char *from = s->at, *at = from;
  if ((s->cpu & ST_CPU_VECTOR) != 0) at += st_vector_span(at, (size_t)(s->end - at), class);
  while (at < s->end && (st_class_of(*at) & class) != 0) at++;
  s->at = at;
  *slice = slice_from(s, from);
  return at > from && (size_t)(at - from) <= most;
}

/* Are all eight characters digits? Their upper half is 3, and still 3 when 6 is added. */
static inline bool all_digits(uint64_t eight) {
  uint64_t upper = UINT64_C(0xF0F0F0F0F0F0F0F0);
  return ((eight & upper) | (((eight + UINT64_C(0x0606060606060606)) & upper) >> 4)) ==
         UINT64_C(0x3333333333333333);
}

/* The value of eight digits, the first in the lowest byte: adjacent ones become pairs, then fours,
 * then one number. */
static inline uint64_t value_of_digits(uint64_t eight) {
  eight = (eight & UINT64_C(0x0F0F0F0F0F0F0F0F)) * (1 + (10 << 8)) >> 8;
  eight = (eight & UINT64_C(0x00FF00FF00FF00FF)) * (1 + (100 << 16)) >> 16;
  return (eight & UINT64_C(0x0000FFFF0000FFFF)) * (1 + (UINT64_C(10000) << 32)) >> 32;
}

/* Reads 1 to 15 digits without a leading zero, which is always less than 2^53. */
static inline bool fast_take_time(scan *s, int64_t *seconds) {
  const char *from = s->at, *at = from, *end = s->end - from > 15 ? from + 15 : s->end;
  uint64_t sum = 0;
  if (end - at >= 8 && all_digits(st_load64((const uint8_t *)at))) {
    sum = value_of_digits(st_load64((const uint8_t *)at));
    at += 8;
  }
  for (; at < end; at++) {
    unsigned digit = (unsigned)*at - '0';
    if (digit > 9) break;
    sum = sum * 10 + digit;
  }
  s->at = at;
  *seconds = (int64_t)sum;
  return at > from && (*from != '0' || at - from == 1);
}

static bool is_repeated(const subtoken_claims *claims, subtoken_slice slice) {
  const char *text = claims->text + slice.at;
  for (size_t i = 0; i < claims->permission_count; i++) {
    subtoken_slice known = claims->permissions[i];
    const char *other = claims->text + known.at;
    if (known.len == slice.len && *other == *text && memcmp(other, text, slice.len) == 0) {
      return true;
    }
  }
  return false;
}

static bool fast_take_permissions(scan *s, subtoken_claims *claims) {
  if (fast_take(s, "]")) return true;
  do {
    subtoken_slice slice;
    if (claims->permission_count == SUBTOKEN_PERMISSIONS_MAX || !fast_take(s, "\"") ||
        !fast_take_class(s, ST_CHAR_SCOPE, SUBTOKEN_PERMISSION_MAX, &slice) ||
        is_repeated(claims, slice)) {
      return false;
    }
    claims->permissions[claims->permission_count++] = slice;
  } while (fast_take(s, "\","));
  return fast_take(s, "\"]");
}

static bool fast_take_urls(scan *s, subtoken_claims *claims) {
  do {
    if (claims->url_count == SUBTOKEN_URLS_MAX || !fast_take(s, "\"")) return false;
    const char *from = s->at;
    s->at += st_paths_scan_entry(s->cpu, (subtoken_text){from, (size_t)(s->end - from)});
    subtoken_slice slice = slice_from(s, from);
    if (slice.len == 0 || slice.len > SUBTOKEN_URL_MAX) return false;
    claims->urls[claims->url_count++] = slice;
  } while (fast_take(s, "\","));
  return fast_take(s, "\"]");
}

/* Are these 16 characters of a name? */
static inline bool is_tid(const scan *s, const char *text) {
  size_t at = 0;
  if ((s->cpu & ST_CPU_VECTOR) != 0) {
    return st_vector_span(text, SUBTOKEN_TID_LEN, ST_CHAR_NAME) == SUBTOKEN_TID_LEN;
  }
  while (at < SUBTOKEN_TID_LEN && (st_class_of(text[at]) & ST_CHAR_NAME) != 0) at++;
  return at == SUBTOKEN_TID_LEN;
}

/* Each tid has the same length, so that all of an item is looked at in one step: it, its quotes and
 * what is behind. */
static inline bool fast_take_via(scan *s, subtoken_claims *claims) {
  enum { CLOSING = SUBTOKEN_TID_LEN + 1, BEHIND, ITEM };
  const char *at = s->at;
  size_t count = 0;
  do {
    if (s->end - at < ITEM || count == SUBTOKEN_VIA_MAX || at[0] != '"' || at[CLOSING] != '"' ||
        !is_tid(s, at + 1)) {
      return false;
    }
    claims->via[count++] = (subtoken_slice){(uint16_t)(at + 1 - s->start), SUBTOKEN_TID_LEN};
    at += ITEM;
  } while (at[-1] == ',');
  claims->via_count = (uint16_t)count;
  s->at = at;
  return at[-1] == ']';
}

/* Reads via, the sid and the end. Not inline, and with a copy of the scan, because few tokens have
 * them: so the scan of the others stays in registers. */
static __attribute__((noinline)) bool fast_take_rest(scan s, subtoken_claims *claims) {
  if (fast_take(&s, ",\"via\":[") && !fast_take_via(&s, claims)) return false;
  if (fast_take(&s, ",\"sid\":\"") &&
      !(fast_take_class(&s, ST_CHAR_NAME, SUBTOKEN_SID_MAX, &claims->sid) && fast_take(&s, "\""))) {
    return false;
  }
  return s.end - s.at == 1 && *s.at == '}';
}

/* Reads an aud that is one string. Returns where its text begins, or NULL. Not inline, for the same
 * reason. */
static __attribute__((noinline)) const char *fast_take_aud(scan s, subtoken_slice *slice) {
  return fast_take(&s, "aud\":\"") && fast_take_class(&s, ST_CHAR_NAME, SUBTOKEN_AUD_MAX, slice) &&
                 fast_take(&s, "\",\"permissions\":[")
             ? s.at
             : NULL;
}

static bool fast_take_all(scan *s, subtoken_claims *claims) {
  if (!fast_take(s, "{\"sub\":\"") ||
      !fast_take_class(s, ST_CHAR_NAME, SUBTOKEN_SUB_MAX, &claims->sub) ||
      !fast_take(s, "\",\"iat\":") || !fast_take_time(s, &claims->iat) ||
      !fast_take(s, ",\"exp\":") || !fast_take_time(s, &claims->exp) || !fast_take(s, ",\"")) {
    return false;
  }
  if (!fast_take(s, "permissions\":[") && (s->at = fast_take_aud(*s, &claims->aud)) == NULL) {
    return false;
  }
  if (!fast_take_permissions(s, claims)) return false;
  claims->every_url = !fast_take(s, ",\"urls\":[");
  if (!claims->every_url && !fast_take_urls(s, claims)) return false;
  return (s->end - s->at == 1 && *s->at == '}') || fast_take_rest(*s, claims);
}

/* Packs the audience as st_claims_read_any does. It overwrites a quote on each side, so that it is
 * done when all was read. */
static void pack_aud(subtoken_claims *claims) {
  char *to = claims->text + claims->aud.at - 1;
  size_t len = claims->aud.len;
  memmove(to + 2, to + 1, len);
  to[0] = (char)len;
  to[1] = 0;
  claims->aud = (subtoken_slice){(uint16_t)(to - claims->text), (uint16_t)(len + 2)};
}

bool st_claims_fast_read(uint8_t cpu, subtoken_claims *claims) {
  scan s = {claims->text, claims->text + claims->text_len, claims->text, cpu};
  if (fast_take_all(&s, claims)) {
    if (claims->aud.len > 0) pack_aud(claims);
    return true;
  }
  claims->permission_count = claims->url_count = claims->via_count = 0;
  claims->sid = claims->aud = (subtoken_slice){0, 0};
  return false;
}
