/* Text in text without regard to case. A letter and its lower case have the same length in UTF-8
 * here, so that no text grows.
 */
#include "domain/search.h"

#include <string.h>

/* Letters whose lower case is the next one: even or odd ones of a range. */
static const struct {
  uint16_t first, last;
} search_pairs[] = {
    {0x100, 0x12E}, {0x132, 0x136}, {0x139, 0x147}, {0x14A, 0x176}, {0x179, 0x17D},
    {0x3D8, 0x3EE}, {0x460, 0x480}, {0x48A, 0x4BE}, {0x4C1, 0x4CD}, {0x4D0, 0x52E},
};

/* Letters that are so far from their lower case. */
static const struct {
  uint16_t first, last;
  int16_t distance;
} search_ranges[] = {
    {0xC0, 0xD6, 32},   {0xD8, 0xDE, 32},   {0x178, 0x178, -121}, {0x386, 0x386, 38},
    {0x388, 0x38A, 37}, {0x38C, 0x38C, 64}, {0x38E, 0x38F, 63},   {0x391, 0x3A1, 32},
    {0x3A3, 0x3AB, 32}, {0x3C2, 0x3C2, 1},  {0x400, 0x40F, 80},   {0x410, 0x42F, 32},
    {0x4C0, 0x4C0, 15},
};

static uint32_t search_lower(uint32_t c) {
  for (size_t i = 0; i < sizeof search_ranges / sizeof *search_ranges; i++) {
    if (c >= search_ranges[i].first && c <= search_ranges[i].last) {
      return (uint32_t)((int32_t)c + search_ranges[i].distance);
    }
  }
  for (size_t i = 0; i < sizeof search_pairs / sizeof *search_pairs; i++) {
    uint32_t first = search_pairs[i].first;
    if (c >= first && c <= search_pairs[i].last) return c + ((c - first) % 2 == 0);
  }
  return c;
}

/* What is not ASCII; two bytes stay two. */
static size_t search_fold_wide(const char *text, size_t len, char *out) {
  uint32_t c;
  size_t taken = st_utf8_next(text, len, &c);
  if (taken != 2) { /* byte by byte: none of the following begins two */
    out[0] = text[0];
    return 1;
  }
  c = search_lower(c);
  out[0] = (char)(0xC0 | c >> 6);
  out[1] = (char)(0x80 | (c & 0x3F));
  return 2;
}

static void search_fold(const char *text, size_t len, char *out) {
  size_t i = 0;
  while (i < len) {
    char c = text[i];
    if ((uint8_t)c >= 0x80) {
      i += search_fold_wide(text + i, len - i, out + i);
    } else {
      out[i++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
  }
}

bool st_search_start(st_search *search, subtoken_text text) {
  search->len = 0;
  if (text.len > sizeof search->text) return false;
  search_fold(text.data, text.len, search->text);
  search->len = text.len;
  return true;
}

bool st_search_finds(const st_search *search, const char *text) {
  char folded[ST_NAME_MAX];
  size_t len = strnlen(text, sizeof folded);
  if (search->len == 0) return true;
  if (len < search->len) return false;
  search_fold(text, len, folded);
  return memmem(folded, len, search->text, search->len) != NULL;
}

bool st_search_begins(const st_search *search, const char *text) {
  char folded[ST_NAME_MAX];
  size_t len = strnlen(text, sizeof folded);
  if (len < search->len) return false;
  search_fold(text, search->len, folded);
  return memcmp(folded, search->text, search->len) == 0;
}
