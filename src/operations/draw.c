/* Draws keys, ids and subs at random. That they are unique is for the store to see (keys.c). */
#include "operations/draw.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "base/impossible.h"
#include "domain/key.h"
#include "os/random.h"

void st_draw_sub(char sub[ST_SUB_LEN + 1]) {
  uint8_t random[32];
  st_random_fill(random, sizeof random);
  st_writer writer = st_writer_on(sub, ST_SUB_LEN + 1);
  st_base64url_write(&writer, random, sizeof random);
  if (st_impossible(!st_writer_end(&writer), "random bytes as text fit")) abort();
  subtoken_wipe(random, sizeof random); /* it may be a refresh token, or a password */
}

/* A digit of upper-case hex, without a table in which a secret would be looked up. */
static char hex_digit(unsigned value) {
  return (char)('0' + value + ((9 - value) >> 8 & ('A' - '9' - 1)));
}

/* All characters of a whole key, from 256 random bits. */
static void draw_whole(char key[ST_KEY_LEN + 1]) {
  static const char shape[] =
      "00000000-0000-0000-0000-00000000000000000000-0000-0000-0000-000000000000";
  uint8_t random[32];
  st_random_fill(random, sizeof random);
  size_t digit = 0;
  for (size_t i = 0; i < ST_KEY_LEN; i++) {
    key[i] = '-';
    if (shape[i] == '-') continue;
    key[i] = hex_digit((unsigned)random[digit / 2] >> (digit % 2 == 0 ? 4 : 0) & 15U);
    digit++;
  }
  key[ST_KEY_LEN] = '\0';
  subtoken_wipe(random, sizeof random);
}

void st_draw_key(char key[ST_KEY_LEN + 1], st_key *into, uint8_t digest[32]) {
  draw_whole(key);
  memcpy(into->id, key, ST_KEY_ID_LEN);
  into->id[ST_KEY_ID_LEN] = '\0';
  st_draw_sub(into->sub);
  st_sha256(key, ST_KEY_LEN, digest);
}

void st_draw_second_half(const char id[ST_KEY_ID_LEN], char key[ST_KEY_LEN + 1],
                         uint8_t digest[32]) {
  draw_whole(key);
  memcpy(key, id, ST_KEY_ID_LEN);
  st_sha256(key, ST_KEY_LEN, digest);
}

void st_draw_user(st_key *key, uint8_t digest[32]) {
  char whole[ST_KEY_LEN + 1];
  st_draw_key(whole, key, digest);
  st_random_fill(digest, 32); /* no key opens this row */
  subtoken_wipe(whole, sizeof whole);
}
