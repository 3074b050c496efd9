#include "service/throttle.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hmac.h"
#include "domain/config.h"

#define SECOND INT64_C(1000000)

bool st_throttle_start(st_throttle *throttle, const uint8_t key[ST_THROTTLE_KEY_LEN]) {
  memset(throttle, 0, sizeof *throttle);
  return st_hmac_key(&throttle->key, key, ST_THROTTLE_KEY_LEN) &&
         pthread_mutex_init(&throttle->lock, NULL) == 0;
}

static size_t slot_of(const st_throttle *throttle, const void *data, size_t len) {
  uint8_t hash[ST_HASH_LEN];
  st_hmac(&throttle->key, data, len, hash);
  return st_load64(hash) % ST_THROTTLE_SLOTS;
}

static size_t slot_of_address(const st_throttle *throttle, subtoken_text address) {
  static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}; /* ::ffff:a.b.c.d */
  st_network network;
  subtoken_text host = address;
  for (size_t i = 0; i < address.len; i++) {
    if (address.data[i] == '%') host.len = i < host.len ? i : host.len; /* a zone: RFC 4007 */
  }
  if (!st_config_network_read(host, &network)) return slot_of(throttle, address.data, address.len);
  bool four = memcmp(network.address, mapped, sizeof mapped) == 0;
  return slot_of(throttle, network.address, four ? 16 : 8);
}

/* How long until there is one in the bucket, in microseconds. */
static int64_t wait_of(int64_t full_at, int64_t now, int64_t each, int64_t burst) {
  int64_t after = (full_at > now ? full_at : now) + each;
  return after - now > each * burst ? after - now - each * burst : 0;
}

static void take_one(int64_t *full_at, int64_t now, int64_t each) {
  *full_at = (*full_at > now ? *full_at : now) + each;
}

int64_t st_throttle_take(st_throttle *throttle, subtoken_text username, subtoken_text address,
                         int64_t now_us) {
  int64_t *one = &throttle->username_full_at_us[slot_of(throttle, username.data, username.len)];
  int64_t *other = &throttle->address_full_at_us[slot_of_address(throttle, address)];
  pthread_mutex_lock(&throttle->lock);
  int64_t wait = wait_of(*one, now_us, ST_THROTTLE_USERNAME_US, ST_THROTTLE_USERNAME_BURST);
  int64_t wait_other = wait_of(*other, now_us, ST_THROTTLE_ADDRESS_US, ST_THROTTLE_ADDRESS_BURST);
  if (wait == 0 && wait_other == 0) {
    take_one(one, now_us, ST_THROTTLE_USERNAME_US);
    take_one(other, now_us, ST_THROTTLE_ADDRESS_US);
  }
  pthread_mutex_unlock(&throttle->lock);
  if (wait_other > wait) wait = wait_other;
  return (wait + SECOND - 1) / SECOND;
}

/* A bucket that is full meanwhile stays just full: then full_at is in the past, whatever is
 * subtracted, and the next take counts from its own time.
 */
void st_throttle_give_back(st_throttle *throttle, subtoken_text username, subtoken_text address) {
  size_t one = slot_of(throttle, username.data, username.len);
  size_t other = slot_of_address(throttle, address);
  pthread_mutex_lock(&throttle->lock);
  throttle->username_full_at_us[one] -= ST_THROTTLE_USERNAME_US;
  throttle->address_full_at_us[other] -= ST_THROTTLE_ADDRESS_US;
  pthread_mutex_unlock(&throttle->lock);
}
