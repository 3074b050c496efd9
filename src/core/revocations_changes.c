/* Changes between two snapshots: writes them, and applies them by merging sorted lists of hashes.
 * subtoken/feed.h describes the bytes. Nothing is verified here: who opens the new snapshot checks
 * it.
 */
#include <string.h>

#include "base/bytes.h"
#include "core/revocations_format.h"
#include "subtoken/feed.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

static const char magic[8] = {'S', 'T', '-', 'D', 'E', 'L', 'T', 'A'};

enum {
  ZERO = 12,
  SINCE = 16,
  GONE = 24,
  FRESH = 28,
  HEAD = 32, /* of the new snapshot */
};

_Static_assert((int)HEAD + (int)ST_FEED_HEAD_LEN == SUBTOKEN_CHANGES_HEAD_LEN,
               "as the public header says");

/* A list of hashes as bytes, to read once. */
typedef struct list {
  const uint8_t *at;
  uint32_t left; /* with the current one */
  uint64_t hash; /* the current one */
} list;

/* The place of the next hash in the new snapshot, and how much of its index is written. */
typedef struct target {
  uint8_t *index, *hashes;
  uint64_t prefix;
  uint32_t count, most;
  uint8_t bits;
} target;

/* Checks the head of a snapshot as opening does, but without the ring. */
static subtoken_feed_result check_head(const uint8_t *head, uint64_t *len) {
  *len = 0;
  if (memcmp(head, ST_SNAPSHOT_MAGIC, 8) != 0) return SUBTOKEN_FEED_MAGIC;
  if (st_load32(head + ST_FEED_VERSION) != 1) return SUBTOKEN_FEED_VERSION;
  uint64_t sequence = st_load64(head + ST_FEED_SEQUENCE);
  uint32_t count = st_load32(head + ST_SNAPSHOT_COUNT);
  if (sequence == 0 || sequence > INT64_MAX || head[ST_FEED_BITS] != st_snapshot_bits(count) ||
      !st_revocations_format_is_zero(head + ST_FEED_ZERO, 2) ||
      !st_revocations_format_is_zero(head + ST_SNAPSHOT_ZERO, 4)) {
    return SUBTOKEN_FEED_FORM;
  }
  *len = st_load64(head + ST_SNAPSHOT_LEN);
  if (*len == 0 || *len != subtoken_revocations_size(count)) return SUBTOKEN_FEED_LENGTH;
  return SUBTOKEN_FEED_OK;
}

static subtoken_feed_result check_snapshot(const uint8_t *bytes, size_t len) {
  uint64_t says;
  if (len < ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN) return SUBTOKEN_FEED_LENGTH;
  subtoken_feed_result result = check_head(bytes, &says);
  if (result != SUBTOKEN_FEED_OK) return result;
  return says == len ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_LENGTH;
}

/* Checks the head and the length of changes. *leads_to is the length of the new snapshot. */
static subtoken_feed_result check_changes(const uint8_t *bytes, size_t len, uint64_t *leads_to) {
  *leads_to = 0;
  if (len < SUBTOKEN_CHANGES_HEAD_LEN + SUBTOKEN_MAC_LEN) return SUBTOKEN_FEED_LENGTH;
  if (memcmp(bytes, magic, sizeof magic) != 0) return SUBTOKEN_FEED_MAGIC;
  if (st_load32(bytes + ST_FEED_VERSION) != 1) return SUBTOKEN_FEED_VERSION;
  uint64_t since = st_load64(bytes + SINCE);
  if (since == 0 || since > st_load64(bytes + HEAD + ST_FEED_SEQUENCE) ||
      !st_revocations_format_is_zero(bytes + ZERO, 4)) {
    return SUBTOKEN_FEED_FORM;
  }
  uint64_t hashes = (len - SUBTOKEN_CHANGES_HEAD_LEN - SUBTOKEN_MAC_LEN) / 8;
  if (hashes != (uint64_t)st_load32(bytes + GONE) + st_load32(bytes + FRESH) || len % 8 != 0) {
    return SUBTOKEN_FEED_LENGTH;
  }
  return check_head(bytes + HEAD, leads_to);
}

size_t subtoken_changes_size(const void *changes, size_t len) {
  uint64_t leads_to;
  if (changes == NULL) return 0;
  return check_changes(changes, len, &leads_to) == SUBTOKEN_FEED_OK ? (size_t)leads_to : 0;
}

/* ---- writing ---- */

/* Do both lists strictly ascend, without a common hash? */
static bool in_order(const uint64_t *gone, uint32_t gone_count, const uint64_t *fresh,
                     uint32_t fresh_count) {
  uint32_t g = 0, f = 0;
  while (g < gone_count || f < fresh_count) {
    if (g > 0 && g < gone_count && gone[g] <= gone[g - 1]) return false;
    if (f > 0 && f < fresh_count && fresh[f] <= fresh[f - 1]) return false;
    if (g < gone_count && f < fresh_count && gone[g] == fresh[f]) return false;
    if (f == fresh_count || (g < gone_count && gone[g] < fresh[f])) {
      g++;
    } else {
      f++;
    }
  }
  return true;
}

static uint8_t *put_hashes(uint8_t *at, const uint64_t *hashes, uint32_t count) {
  for (uint32_t i = 0; i < count; i++, at += 8) st_store64(at, hashes[i]);
  return at;
}

subtoken_feed_result subtoken_changes_write(const void *to, size_t to_len, int64_t since,
                                            const uint64_t *gone, uint32_t gone_count,
                                            const uint64_t *fresh, uint32_t fresh_count, void *out,
                                            size_t out_size, size_t *out_len) {
  const uint8_t *snapshot = to;
  if (out_len == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  *out_len = 0;
  if (to == NULL || out == NULL || (gone == NULL && gone_count > 0) ||
      (fresh == NULL && fresh_count > 0)) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  subtoken_feed_result result = check_snapshot(snapshot, to_len);
  if (result != SUBTOKEN_FEED_OK) return result;
  if (since < 1 || (uint64_t)since > st_load64(snapshot + ST_FEED_SEQUENCE) ||
      fresh_count > st_load32(snapshot + ST_SNAPSHOT_COUNT)) {
    return SUBTOKEN_FEED_INVALID_ARGUMENT;
  }
  uint64_t len = SUBTOKEN_CHANGES_HEAD_LEN + SUBTOKEN_MAC_LEN +
                 UINT64_C(8) * ((uint64_t)gone_count + fresh_count);
  if (len > out_size) return SUBTOKEN_FEED_BUFFER_TOO_SMALL;
  if (!in_order(gone, gone_count, fresh, fresh_count)) return SUBTOKEN_FEED_ORDER;
  uint8_t *at = out;
  memcpy(at, magic, sizeof magic);
  st_store32(at + ST_FEED_VERSION, 1);
  st_store32(at + ZERO, 0);
  st_store64(at + SINCE, (uint64_t)since);
  st_store32(at + GONE, gone_count);
  st_store32(at + FRESH, fresh_count);
  memcpy(at + HEAD, snapshot, ST_FEED_HEAD_LEN);
  at = put_hashes(at + SUBTOKEN_CHANGES_HEAD_LEN, gone, gone_count);
  at = put_hashes(at, fresh, fresh_count);
  memcpy(at, snapshot + to_len - SUBTOKEN_MAC_LEN, SUBTOKEN_MAC_LEN);
  *out_len = (size_t)len;
  return SUBTOKEN_FEED_OK;
}

/* ---- applying ---- */

static list hashes_at(const uint8_t *at, uint32_t count) {
  return (list){at, count, count > 0 ? st_load64(at) : 0};
}

/* Goes to the next hash of a list. False when it is not larger. */
static bool merge_next(list *from) {
  uint64_t before = from->hash;
  from->at += 8;
  from->left--;
  if (from->left == 0) return true;
  from->hash = st_load64(from->at);
  return from->hash > before;
}

static bool merge_is(const list *from, uint64_t hash) {
  return from->left > 0 && from->hash == hash;
}

static bool merge_add(target *to, uint64_t hash) {
  if (to->count == to->most) return false;
  for (; to->prefix <= hash >> (64 - to->bits); to->prefix++, to->index += 4) {
    st_store32(to->index, to->count);
  }
  st_store64(to->hashes + 8 * (size_t)to->count, hash);
  to->count++;
  return true;
}

static bool merge_end(target *to) {
  for (; to->prefix <= UINT64_C(1) << to->bits; to->prefix++, to->index += 4) {
    st_store32(to->index, to->count);
  }
  st_store32(to->index, 0);
  return to->count == to->most;
}

/* Copies the hashes below `until`, or all: those between two changes, which are nearly all that
 * there are.
 */
static subtoken_feed_result merge_run(list *base, uint64_t until, bool all, target *to) {
  list from = *base;
  target run = *to;
  while (from.left > 0 && (all || from.hash < until)) {
    bool fits = merge_add(&run, from.hash);
    if (!merge_next(&from)) return SUBTOKEN_FEED_ORDER;
    if (!fits) return SUBTOKEN_FEED_PAIR;
  }
  *base = from;
  *to = run;
  return SUBTOKEN_FEED_OK;
}

static subtoken_feed_result merge_to_change(list *base, const list *gone, const list *fresh,
                                            target *to) {
  uint64_t until = gone->left > 0 ? gone->hash : UINT64_MAX;
  if (fresh->left > 0 && fresh->hash < until) until = fresh->hash;
  return merge_run(base, until, gone->left == 0 && fresh->left == 0, to);
}

/* Copies the smallest hash that is left, unless it is removed. */
static subtoken_feed_result merge(list *base, list *gone, list *fresh, target *to) {
  while (base->left > 0 || fresh->left > 0) {
    subtoken_feed_result run = merge_to_change(base, gone, fresh, to);
    if (run != SUBTOKEN_FEED_OK) return run;
    if (base->left == 0 && fresh->left == 0) break;
    bool from_base = fresh->left == 0 || (base->left > 0 && base->hash <= fresh->hash);
    uint64_t hash = from_base ? base->hash : fresh->hash;
    bool ascends = true, fits = true;
    if (from_base && merge_is(gone, hash)) {
      ascends = merge_next(gone) && !merge_is(fresh, hash);
    } else if (from_base && merge_is(fresh, hash)) {
      return SUBTOKEN_FEED_PAIR; /* it is listed already */
    } else {
      fits = merge_add(to, hash);
    }
    ascends = ascends && merge_next(from_base ? base : fresh);
    if (!ascends) return SUBTOKEN_FEED_ORDER;
    if (!fits) return SUBTOKEN_FEED_PAIR;
  }
  return gone->left == 0 && merge_end(to) ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_PAIR;
}

static subtoken_feed_result merge_changes(const uint8_t *snapshot, const uint8_t *changes,
                                          size_t len, uint8_t *out, size_t out_len) {
  const uint8_t *head = changes + HEAD, *lists = changes + SUBTOKEN_CHANGES_HEAD_LEN;
  uint32_t gone_count = st_load32(changes + GONE), fresh_count = st_load32(changes + FRESH);
  uint8_t bits = head[ST_FEED_BITS];
  target to = {.index = out + ST_FEED_HEAD_LEN,
               .hashes = out + st_snapshot_hashes_at(bits),
               .most = st_load32(head + ST_SNAPSHOT_COUNT),
               .bits = bits};
  list base = hashes_at(snapshot + st_snapshot_hashes_at(snapshot[ST_FEED_BITS]),
                        st_load32(snapshot + ST_SNAPSHOT_COUNT));
  list gone = hashes_at(lists, gone_count);
  list fresh = hashes_at(lists + 8 * (size_t)gone_count, fresh_count);
  if (st_load64(changes + SINCE) != st_load64(snapshot + ST_FEED_SEQUENCE)) {
    return SUBTOKEN_FEED_PAIR;
  }
  memcpy(out, head, ST_FEED_HEAD_LEN);
  memcpy(out + out_len - SUBTOKEN_MAC_LEN, changes + len - SUBTOKEN_MAC_LEN, SUBTOKEN_MAC_LEN);
  return merge(&base, &gone, &fresh, &to);
}

subtoken_feed_result subtoken_changes_apply(const void *snapshot, size_t snapshot_len,
                                            const void *changes, size_t len, void *out,
                                            size_t out_size, size_t *out_len) {
  uint64_t leads_to;
  if (out_len == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  *out_len = 0;
  if (snapshot == NULL || changes == NULL || out == NULL) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  subtoken_feed_result result = check_snapshot(snapshot, snapshot_len);
  if (result == SUBTOKEN_FEED_OK) result = check_changes(changes, len, &leads_to);
  if (result != SUBTOKEN_FEED_OK) return result;
  if (leads_to > out_size) return SUBTOKEN_FEED_BUFFER_TOO_SMALL;
  result = merge_changes(snapshot, changes, len, out, (size_t)leads_to);
  if (result == SUBTOKEN_FEED_OK) *out_len = (size_t)leads_to;
  return result;
}
