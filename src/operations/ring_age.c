/* The name under which the store keeps the time is a part of a MAC under the secret, so that a
 * secret keeps its age when it gets another kid, and one that takes over a kid does not inherit it.
 * Whoever reads the store learns no more of the secret than from any token.
 */
#include "operations/ring_age.h"

#include "base/bytes.h"
#include "base/hmac.h"
#include "base/impossible.h"
#include "os/clock.h"
#include "os/error.h"

#define TAG_LEN 8 /* bytes of the MAC */

static void ring_age_write_name(const subtoken_secret *secret, char *name, size_t size) {
  static const char hex[] = "0123456789abcdef";
  subtoken_text label = ST_TEXT("subtoken ring seen 1");
  uint8_t mac[ST_HASH_LEN];
  st_hmac(secret, label.data, label.len, mac);
  st_writer writer = st_writer_on(name, size);
  st_write_literal(&writer, "ring_seen:");
  for (size_t i = 0; i < TAG_LEN; i++) {
    st_write_char(&writer, hex[mac[i] >> 4]);
    st_write_char(&writer, hex[mac[i] & 15]);
  }
  if (st_impossible(!st_writer_end(&writer), "a tag fits")) name[0] = '\0';
  subtoken_wipe(mac, sizeof mac);
}

int64_t st_ring_age_first_seen(st_store *store, const subtoken_ring *ring, size_t place) {
  char name[48], error[ST_ERROR_MAX];
  int64_t seen = 0;
  if (place >= ring->count) return 0;
  ring_age_write_name(&ring->secrets[place], name, sizeof name);
  st_store_status status = st_store_get_setting(store, name, &seen, error);
  if (status == ST_STORE_OK) return seen;
  if (status != ST_STORE_NOT_FOUND) return 0;
  seen = st_clock_now();
  return st_store_raise_setting(store, name, seen, error) == ST_STORE_OK ? seen : 0;
}

void st_ring_age_note(st_store *store, const subtoken_ring *ring) {
  for (size_t i = 0; i < ring->count; i++) (void)st_ring_age_first_seen(store, ring, i);
}
