/* The first byte says what the rest is: 0 a snapshot, 1 a heartbeat, 2 its text form, as
 * they are; 3 a snapshot, 4 a heartbeat whose MAC is made right here; 5 a snapshot whose
 * length, count, prefix bits and index are made right too, so that what is left to go
 * wrong is the order; 6 hashes to be sorted and written.
 *
 * Only what the ring signed opens, and no derived ring opens that: it opens the same under its own
 * secret, which the ring does not; slices of any size say the same; what opens is what the
 * description in the header says, byte for byte, and answers as a plain search through it.
 */
#include "base/base64url.h"
#include "base/hmac.h"
#include "core/revocations_format.h"
#include "fuzz.h"

#define SECRET "fuzzing-needs-a-secret-of-its-own!"
#define MAC SUBTOKEN_MAC_LEN

static subtoken_ring ring, derived; /* derived: of an edge for one audience */

static void prepare(void) {
  if (ring.count > 0) return;
  HOLD(subtoken_ring_add(&ring, ST_TEXT(""), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  HOLD(subtoken_ring_add(&ring, ST_TEXT("k1"), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  HOLD(subtoken_ring_derive(&ring, ST_TEXT("eu"), &derived) == SUBTOKEN_OK);
}

static void sign(uint8_t *bytes, size_t len) {
  if (len >= MAC) st_hmac(&ring.secrets[0], bytes, len - MAC, bytes + len - MAC);
}

static bool signed_by_us(const uint8_t *bytes, size_t len) {
  uint8_t mac[MAC];
  if (len < MAC) return false;
  st_hmac(&ring.secrets[0], bytes, len - MAC, mac);
  return memcmp(mac, bytes + len - MAC, MAC) == 0;
}

/* Where the index and the hashes are, worked out from the description alone. */
typedef struct layout {
  uint32_t count;
  unsigned bits;
  const uint8_t *index, *hashes;
} layout;

static layout lay_out(const uint8_t *bytes) {
  layout l = {.count = st_load32(bytes + 40), .bits = bytes[12], .index = bytes + 128};
  l.hashes = l.index + 4 * (((size_t)1 << l.bits) + 2);
  return l;
}

/* As slow and as plain as can be. */
static bool listed(const layout *l, uint64_t hash) {
  for (uint32_t i = 0; i < l->count; i++) {
    if (st_load64(l->hashes + 8 * (size_t)i) == hash) return true;
  }
  return false;
}

static void is_as_described(const uint8_t *bytes, size_t len, const layout *l) {
  HOLD(len == st_load64(bytes + 32) && l->bits >= 1);
  HOLD(l->count <= UINT64_C(8) << l->bits && (l->bits == 1 || l->count > UINT64_C(4) << l->bits));
  HOLD((size_t)(l->hashes - bytes) % 8 == 0);
  HOLD(len == (size_t)(l->hashes - bytes) + 8 * (size_t)l->count + MAC);
  for (uint32_t i = 0, at = 0; i <= UINT32_C(1) << l->bits; i++) {
    while (at < l->count && st_load64(l->hashes + 8 * (size_t)at) >> (64 - l->bits) < i) at++;
    HOLD(st_load32(l->index + 4 * (size_t)i) == at);
  }
  for (uint32_t i = 1; i < l->count; i++) {
    HOLD(st_load64(l->hashes + 8 * (size_t)i) > st_load64(l->hashes + 8 * (size_t)(i - 1)));
  }
}

/* The same header and hashes give the same bytes. */
static void written_again(const uint8_t *bytes, size_t len, const layout *l,
                          const subtoken_revocations *view) {
  if (view->kid.len > 0) return; /* we write under the first */
  subtoken_revocations_header header = {view->sequence, view->made, {0}};
  uint64_t *hashes = malloc(8 * (size_t)l->count + 1);
  uint8_t *out = malloc(len);
  if (hashes == NULL || out == NULL) abort();
  memcpy(header.hash_key, bytes + 48, sizeof header.hash_key);
  for (uint32_t i = 0; i < l->count; i++) hashes[i] = st_load64(l->hashes + 8 * (size_t)i);
  HOLD(subtoken_revocations_sort(hashes, l->count) == l->count);
  HOLD(subtoken_revocations_write(&ring, &header, hashes, l->count, out, len, NULL) ==
       SUBTOKEN_FEED_OK);
  HOLD(memcmp(out, bytes, len) == 0);
  free(hashes);
  free(out);
}

/* Its filter lets all that is listed through; to be freed. */
static uint64_t *filtered(subtoken_revocations *view, const layout *l, uint32_t slice) {
  size_t size = subtoken_revocations_filter_size(l->count);
  uint64_t *filter = calloc(1, size);
  uint32_t done = 0;
  if (filter == NULL) abort();
  while (subtoken_revocations_filter_build(view, filter, size, &done, slice) ==
         SUBTOKEN_FEED_MORE) {
  }
  HOLD(done == l->count && view->filter == filter);
  for (uint32_t i = 0; i < l->count; i++) {
    uint64_t hash = st_load64(l->hashes + 8 * (size_t)i), bits = st_filter_bits(hash);
    HOLD((filter[st_filter_word(hash, view->filter_words)] & bits) == bits);
  }
  return filter;
}

static void answers(const uint8_t *bytes, size_t len, const subtoken_revocations *view) {
  layout l = lay_out(bytes);
  char sub[40];
  is_as_described(bytes, len, &l);
  HOLD(signed_by_us(bytes, len) && memcmp(view->digest, bytes + len - MAC, MAC) == 0);
  HOLD(view->sequence > 0 && view->made >= 0 && view->made <= SUBTOKEN_TIME_MAX);
  HOLD(view->count == l.count);
  subtoken_revocations faster = *view;
  uint64_t *filter = filtered(&faster, &l, (uint32_t)(len % 5));
  for (size_t n = 0; n < sizeof sub; n++) {
    memset(sub, 'a' + (int)(n % 26), n);
    uint64_t hash = subtoken_revocations_hash(bytes + 48, (subtoken_text){sub, n});
    subtoken_result want = listed(&l, hash) ? SUBTOKEN_REVOKED : SUBTOKEN_OK;
    HOLD(subtoken_revocations_find(view, (subtoken_text){sub, n}) == want);
    HOLD(subtoken_revocations_find(&faster, (subtoken_text){sub, n}) == want);
  }
  free(filter);
  written_again(bytes, len, &l, view);
}

static subtoken_feed_result in_slices(const uint8_t *bytes, size_t len, size_t slice) {
  static const subtoken_revocations none;
  subtoken_revocations view;
  subtoken_revocations_opening opening;
  subtoken_feed_result result = subtoken_revocations_start(&opening, &ring, bytes, len);
  while (result == SUBTOKEN_FEED_MORE) {
    result = subtoken_revocations_step(&opening, slice, &view);
    if (result != SUBTOKEN_FEED_OK) HOLD(memcmp(&view, &none, sizeof view) == 0);
  }
  return result;
}

static void opens_for_an_audience(const uint8_t *bytes, size_t len,
                                  const subtoken_revocations *whole) {
  subtoken_revocations view;
  uint8_t *own = malloc(len);
  if (own == NULL) abort();
  memcpy(own, bytes, len);
  HOLD(subtoken_revocations_open(&derived, bytes, len, &view) == SUBTOKEN_FEED_KID);
  HOLD(st_revocations_write_resigned(&derived.secrets[0], bytes, len, own, own + len - MAC) ==
       SUBTOKEN_FEED_OK);
  HOLD(subtoken_revocations_open(&ring, own, len, &view) == SUBTOKEN_FEED_KID);
  HOLD(subtoken_revocations_open(&derived, own, len, &view) == SUBTOKEN_FEED_OK);
  HOLD(view.sequence == whole->sequence && view.count == whole->count);
  HOLD(memcmp(view.digest, whole->digest, MAC) != 0);
  free(own);
}

static void snapshot(const uint8_t *bytes, size_t len) {
  static const subtoken_revocations none;
  subtoken_revocations view;
  subtoken_feed_result result = subtoken_revocations_open(&ring, bytes, len, &view);
  HOLD(result == SUBTOKEN_FEED_OK ||
       (result >= SUBTOKEN_FEED_LENGTH && result <= SUBTOKEN_FEED_ORDER));
  HOLD(in_slices(bytes, len, 1 + (len > 0 ? bytes[len / 2] : 0)) == result);
  if (result == SUBTOKEN_FEED_OK) {
    answers(bytes, len, &view);
    opens_for_an_audience(bytes, len, &view);
  } else {
    HOLD(memcmp(&view, &none, sizeof view) == 0);
    HOLD(subtoken_revocations_find(&view, ST_TEXT("a")) == SUBTOKEN_REVOCATION_UNKNOWN);
  }
}

/* Does an edge that has it take it again, and keep its promises? */
static void taken(const subtoken_heartbeat *heartbeat) {
  static const uint8_t nothing[12];
  subtoken_revocations view = {.index = nothing, .hashes = nothing, .shift = 63};
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  view.sequence = heartbeat->sequence;
  memcpy(view.digest, heartbeat->digest, MAC);
  int64_t time = heartbeat->time;
  if (time > 61) {
    HOLD(subtoken_feed_take(&feed, &view, heartbeat, time - 61, 0) == SUBTOKEN_FEED_FUTURE);
  }
  HOLD(subtoken_feed_take(&feed, &view, heartbeat, time - 60, 0) == SUBTOKEN_FEED_OK);
  HOLD(feed.time == time && feed.sequence == heartbeat->sequence);
  HOLD(subtoken_feed_age(&feed, time - 60, 5) == 5 && subtoken_feed_now(&feed, time - 60) == time);
  HOLD(subtoken_feed_take(&feed, NULL, heartbeat, time - 60, 9) == SUBTOKEN_FEED_OK);
  HOLD(feed.grew == 0);
  if (time > 60) { /* a clock that stands so far behind makes it void */
    HOLD(subtoken_feed_age(&feed, 0, 5) == SUBTOKEN_TIME_MAX && subtoken_feed_now(&feed, 0) == 0);
    HOLD(subtoken_feed_take(&feed, NULL, heartbeat, 0, 9) == SUBTOKEN_FEED_FUTURE);
  }
  view.digest[0] ^= 1;
  HOLD(subtoken_feed_take(&feed, &view, heartbeat, time, 9) == SUBTOKEN_FEED_PAIR);
}

static void heartbeat(const uint8_t *bytes, size_t len) {
  static const subtoken_heartbeat none;
  subtoken_heartbeat read, other;
  uint8_t again[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_feed_result result = subtoken_heartbeat_read(&ring, bytes, len, &read);
  if (result != SUBTOKEN_FEED_OK) {
    HOLD(result >= SUBTOKEN_FEED_LENGTH && result <= SUBTOKEN_FEED_MAC);
    HOLD(memcmp(&read, &none, sizeof read) == 0);
    return;
  }
  HOLD(len == SUBTOKEN_HEARTBEAT_LEN && signed_by_us(bytes, len));
  HOLD(subtoken_heartbeat_read(&derived, bytes, len, &other) == SUBTOKEN_FEED_KID);
  if (bytes[13] == 0) {
    HOLD(subtoken_heartbeat_write(&ring, &read, again) == SUBTOKEN_FEED_OK);
    HOLD(memcmp(again, bytes, len) == 0);
  }
  taken(&read);
}

static void text(const char *data, size_t len) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  char again[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  subtoken_feed_result result = subtoken_heartbeat_decode((subtoken_text){data, len}, bytes);
  if (result != SUBTOKEN_FEED_OK) {
    HOLD(result ==
         (len == SUBTOKEN_HEARTBEAT_TEXT_LEN ? SUBTOKEN_FEED_TEXT : SUBTOKEN_FEED_LENGTH));
    return;
  }
  HOLD(subtoken_heartbeat_encode(bytes, again) == SUBTOKEN_FEED_OK);
  HOLD(strlen(again) == len && memcmp(again, data, len) == 0);
  heartbeat(bytes, sizeof bytes);
}

/* Takes the rest as hashes behind 128 bytes and makes all but those right. */
static void made_right(const uint8_t *data, size_t len) {
  uint32_t count = len > 128 ? (uint32_t)((len - 128) / 8) : 0;
  size_t size = subtoken_revocations_size(count);
  uint8_t *bytes = calloc(1, size);
  if (bytes == NULL) abort();
  memcpy(bytes, data, len < 128 ? len : 128);
  uint8_t bits = st_snapshot_bits(count);
  bytes[12] = bits;
  st_store64(bytes + 32, size);
  st_store32(bytes + 40, count);
  layout l = lay_out(bytes);
  if (count > 0) memcpy(bytes + (l.hashes - bytes), data + 128, 8 * (size_t)count);
  for (uint32_t p = 0; p <= UINT32_C(1) << bits; p++) {
    uint32_t less = 0;
    for (uint32_t i = 0; i < count; i++) {
      less += st_load64(l.hashes + 8 * (size_t)i) >> (64 - bits) < p;
    }
    st_store32(bytes + 128 + 4 * (size_t)p, less);
  }
  sign(bytes, size);
  snapshot(bytes, size);
  free(bytes);
}

static void sorted_and_written(const uint8_t *data, size_t len) {
  static const subtoken_revocations_header header = {1, 2, {3}};
  uint32_t given = (uint32_t)(len / 8);
  uint64_t *hashes = malloc(8 * (size_t)given + 1);
  if (hashes == NULL) abort();
  for (uint32_t i = 0; i < given; i++) hashes[i] = st_load64(data + 8 * (size_t)i);
  uint32_t count = subtoken_revocations_sort(hashes, given);
  size_t size = subtoken_revocations_size(count);
  uint8_t *bytes = malloc(size);
  if (bytes == NULL) abort();
  HOLD(subtoken_revocations_write(&ring, &header, hashes, count, bytes, size, NULL) ==
       SUBTOKEN_FEED_OK);
  layout l = lay_out(bytes);
  HOLD(l.count == count);
  for (uint32_t i = 0; i < given; i++) HOLD(listed(&l, st_load64(data + 8 * (size_t)i)));
  snapshot(bytes, size);
  free(bytes);
  free(hashes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  prepare();
  char *copy = fuzz_copy(data + 1, size - 1);
  uint8_t *bytes = (uint8_t *)copy;
  unsigned kind = data[0] % 7U;
  if (kind == 3 || kind == 4) sign(bytes, size - 1);
  switch (kind) {
    case 0:
    case 3: snapshot(bytes, size - 1); break;
    case 1:
    case 4: heartbeat(bytes, size - 1); break;
    case 2: text(copy, size - 1); break;
    case 5: made_right(bytes, size - 1); break;
    default: sorted_and_written(bytes, size - 1); break;
  }
  free(copy);
  return 0;
}
