/* The two buckets of a login attempt: that of the username and that of the address. A keyed hash
 * chooses the slots, so that a caller cannot choose whose slot to share. Callers take a token
 * before they check a password, and give it back unless the password was wrong.
 */
#include "service/throttle.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hmac.h"
#include "domain/network.h"
#include "service/token_bucket.h"

bool st_throttle_start(st_throttle *throttle, const uint8_t key[ST_THROTTLE_KEY_LEN]) {
  memset(throttle, 0, sizeof *throttle);
  st_hmac_key(&throttle->key, key, ST_THROTTLE_KEY_LEN);
  return pthread_mutex_init(&throttle->lock, NULL) == 0;
}

static size_t throttle_slot(const st_throttle *throttle, const void *data, size_t len) {
  uint8_t hash[ST_HASH_LEN];
  st_hmac(&throttle->key, data, len, hash);
  return st_load64(hash) % ST_THROTTLE_SLOTS;
}

static size_t throttle_slot_of_address(const st_throttle *throttle, subtoken_text address) {
  static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}; /* ::ffff:a.b.c.d */
  st_network network;
  subtoken_text host = {address.data, st_text_find(address, '%')}; /* a zone: RFC 4007 */
  if (!st_network_read(host, &network)) return throttle_slot(throttle, address.data, address.len);
  bool four = memcmp(network.address, mapped, sizeof mapped) == 0;
  return throttle_slot(throttle, network.address, four ? 16 : 8);
}

int64_t st_throttle_take(st_throttle *throttle, subtoken_text username, subtoken_text address,
                         int64_t now_us) {
  int64_t *one =
      &throttle->username_full_at_us[throttle_slot(throttle, username.data, username.len)];
  int64_t *other = &throttle->address_full_at_us[throttle_slot_of_address(throttle, address)];
  pthread_mutex_lock(&throttle->lock);
  int64_t wait =
      st_token_bucket_wait(*one, now_us, ST_THROTTLE_USERNAME_US, ST_THROTTLE_USERNAME_BURST);
  int64_t wait_other =
      st_token_bucket_wait(*other, now_us, ST_THROTTLE_ADDRESS_US, ST_THROTTLE_ADDRESS_BURST);
  if (wait == 0 && wait_other == 0) {
    st_token_bucket_take(one, now_us, ST_THROTTLE_USERNAME_US);
    st_token_bucket_take(other, now_us, ST_THROTTLE_ADDRESS_US);
  }
  pthread_mutex_unlock(&throttle->lock);
  if (wait_other > wait) wait = wait_other;
  return st_token_bucket_seconds(wait);
}

/* A bucket that is full meanwhile stays just full: then full_at is in the past, whatever is
 * subtracted, and the next take counts from its own time.
 */
void st_throttle_give_back(st_throttle *throttle, subtoken_text username, subtoken_text address) {
  size_t one = throttle_slot(throttle, username.data, username.len);
  size_t other = throttle_slot_of_address(throttle, address);
  pthread_mutex_lock(&throttle->lock);
  throttle->username_full_at_us[one] -= ST_THROTTLE_USERNAME_US;
  throttle->address_full_at_us[other] -= ST_THROTTLE_ADDRESS_US;
  pthread_mutex_unlock(&throttle->lock);
}
