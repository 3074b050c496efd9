/* The two buckets of a login attempt: that of the username, or of the username at this address once
 * the right password has come from there, and that of the address. A keyed hash chooses the slots,
 * so that a caller cannot choose whose slot to share. Callers take a token before they check a
 * password, and give it back unless the password was wrong.
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

/* Where the buckets of an attempt are. */
typedef struct throttle_place {
  size_t username, address, pair;
  uint64_t tag; /* of the pair */
} throttle_place;

/* What spellings of an address have in common; what is no address counts by its text. */
static void throttle_hash_address(const st_throttle *throttle, subtoken_text address,
                                  uint8_t hash[ST_HASH_LEN]) {
  static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}; /* ::ffff:a.b.c.d */
  st_network network;
  subtoken_text host = {address.data, st_text_find(address, '%')}; /* a zone: RFC 4007 */
  if (!st_network_read(host, &network)) {
    st_hmac(&throttle->key, address.data, address.len, hash);
    return;
  }
  bool four = memcmp(network.address, mapped, sizeof mapped) == 0;
  st_hmac(&throttle->key, network.address, four ? 16 : 8, hash);
}

static throttle_place throttle_find(const st_throttle *throttle, subtoken_text username,
                                    subtoken_text address) {
  uint8_t both[2 * ST_HASH_LEN], pair[ST_HASH_LEN];
  st_hmac(&throttle->key, username.data, username.len, both);
  throttle_hash_address(throttle, address, both + ST_HASH_LEN);
  st_hmac(&throttle->key, both, sizeof both, pair);
  return (throttle_place){.username = st_load64(both) % ST_THROTTLE_SLOTS,
                          .address = st_load64(both + ST_HASH_LEN) % ST_THROTTLE_SLOTS,
                          .pair = st_load64(pair) % ST_THROTTLE_PAIRS,
                          .tag = st_load64(pair + 8) | 1};
}

/* That of the pair, if it has one, else that of the username. Under the lock. */
static int64_t *throttle_username_bucket(st_throttle *throttle, const throttle_place *at) {
  st_throttle_pair *pair = &throttle->pairs[at->pair];
  return pair->tag == at->tag ? &pair->full_at_us : &throttle->username_full_at_us[at->username];
}

int64_t st_throttle_take(st_throttle *throttle, subtoken_text username, subtoken_text address,
                         int64_t now_us) {
  throttle_place at = throttle_find(throttle, username, address);
  pthread_mutex_lock(&throttle->lock);
  int64_t *one = throttle_username_bucket(throttle, &at);
  int64_t *other = &throttle->address_full_at_us[at.address];
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
static void throttle_return(st_throttle *throttle, const throttle_place *at) {
  *throttle_username_bucket(throttle, at) -= ST_THROTTLE_USERNAME_US;
  throttle->address_full_at_us[at->address] -= ST_THROTTLE_ADDRESS_US;
}

void st_throttle_give_back(st_throttle *throttle, subtoken_text username, subtoken_text address) {
  throttle_place at = throttle_find(throttle, username, address);
  pthread_mutex_lock(&throttle->lock);
  throttle_return(throttle, &at);
  pthread_mutex_unlock(&throttle->lock);
}

void st_throttle_pass(st_throttle *throttle, subtoken_text username, subtoken_text address) {
  throttle_place at = throttle_find(throttle, username, address);
  pthread_mutex_lock(&throttle->lock);
  throttle_return(throttle, &at);
  st_throttle_pair *pair = &throttle->pairs[at.pair];
  if (pair->tag != at.tag) { /* with no more than is left */
    *pair = (st_throttle_pair){at.tag, throttle->username_full_at_us[at.username]};
  }
  pthread_mutex_unlock(&throttle->lock);
}
