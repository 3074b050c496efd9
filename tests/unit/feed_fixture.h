/* feed_fixture - a store in a file of its own, and what the server's snapshot cache answers about
 * it, checked as a whole.
 */
#ifndef TESTS_UNIT_FEED_FIXTURE_H
#define TESTS_UNIT_FEED_FIXTURE_H

#include "support.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/error.h"
#include "server/feed_shares.h"
#include "server/snapshot_cache.h"
#include "subtoken/feed.h"

#define US INT64_C(1000000)
#define KEY "01234567-0123-0123-0123-0123456789AB"

static char home[256], db[300], error[ST_ERROR_MAX];
static st_store *store;
static subtoken_ring ring;
static st_feed feed;

static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(path);
}

static inline int setup(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-feed-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(db, sizeof db, "%s/subtoken.db", home);
  if (st_store_open(db, true, &store, error) != ST_STORE_OK) return -1;
  ring_with(&ring, "", TEST_SECRET);
  feed = st_snapshot_cache_feed();
  return st_snapshot_cache_start(store, error) ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  st_snapshot_cache_stop();
  st_store_close(store);
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void good(st_store_status stored) {
  if (stored != ST_STORE_OK) fail_msg("%d: %s", (int)stored, error);
}

/* ---- keys ---- */

/* Who changes it, when. */
#define AT(us) (&(st_audit_context){.now_us = (us), .who = "key 0", .from = "127.0.0.1"})

static inline void name_key(unsigned n, char id[ST_KEY_ID_LEN + 1], char sub[ST_SUB_LEN + 1]) {
  snprintf(id, ST_KEY_ID_LEN + 1, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
  snprintf(sub, ST_SUB_LEN + 1, "%043u", n);
}

static inline void make_keys(unsigned from, unsigned count) {
  for (unsigned n = from; n < from + count; n++) {
    st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
    uint8_t digest[32] = {1};
    memcpy(digest + 4, &n, sizeof n);
    name_key(n, key.id, key.sub);
    good(st_store_key_create(store, AT(st_clock_now_us()), NULL, &key, digest, error));
  }
}

static inline void delete_key(unsigned n) {
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  name_key(n, id, sub);
  good(st_store_key_delete(store, AT(st_clock_now_us()), id, NULL, error));
}

static inline void disable_key(unsigned n, bool disabled) {
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  name_key(n, id, sub);
  good(st_store_key_set_disabled(store, AT(st_clock_now_us()), id, disabled, NULL, error));
}

/* ---- answers ---- */

static inline void give(st_payload *payload) {
  payload->release(payload->context);
}

static inline subtoken_heartbeat heartbeat_of(const st_snapshot_version *version,
                                              const subtoken_ring *under) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_heartbeat heartbeat;
  assert_int_equal(subtoken_heartbeat_decode(st_text(version->heartbeat), bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_read(under, bytes, sizeof bytes, &heartbeat),
                   SUBTOKEN_FEED_OK);
  return heartbeat;
}

/* A question of KEY, and what is answered to it. */
static inline st_feed_question question_of(const subtoken_ring *under, const char *key_id,
                                           int64_t since) {
  return (st_feed_question){.ring = under, .key_id = key_id, .now = NOW, .since = since};
}

static inline st_feed_status ask_feed(const subtoken_ring *under, const char *key_id, int64_t since,
                                      st_snapshot_version *version) {
  st_feed_question question = question_of(under, key_id, since);
  return feed.current(feed.context, &question, version);
}

static inline st_feed_status ask_whole(const subtoken_ring *under, int64_t since,
                                       st_snapshot_version *version) {
  st_feed_question question = question_of(under, KEY, since);
  return feed.whole(feed.context, &question, version);
}

/* Ask; what is answered is good, and all of its parts name the same thing. */
static inline st_snapshot_version ask_at(const subtoken_ring *under, int64_t now,
                                         subtoken_revocations *view) {
  st_snapshot_version version;
  uint8_t hash[ST_HASH_LEN];
  char etag[ST_SNAPSHOT_TAG_LEN + 1];
  st_feed_question question = question_of(under, KEY, 0);
  question.now = now;
  assert_int_equal(feed.current(feed.context, &question, &version), ST_FEED_READY);
  assert_int_equal(
      subtoken_revocations_open(under, version.snapshot.data, version.snapshot.len, view),
      SUBTOKEN_FEED_OK);
  subtoken_heartbeat heartbeat = heartbeat_of(&version, under);
  assert_true(view->sequence == version.sequence && heartbeat.sequence == version.sequence);
  assert_memory_equal(heartbeat.digest, view->digest, sizeof view->digest);
  st_sha256(version.snapshot.data, version.snapshot.len, hash);
  st_writer writer = st_writer_on(etag, sizeof etag);
  st_base64url_write(&writer, hash, sizeof hash);
  assert_true(st_writer_end(&writer));
  assert_string_equal(etag, version.etag);
  return version;
}

/* What a payload is once it is sent; to be freed. */
static inline uint8_t *sent(const st_payload *payload) {
  uint8_t *bytes = malloc(payload->len);
  const st_payload_patch *patch = payload->patch;
  assert_non_null(bytes);
  memcpy(bytes, payload->data, payload->len);
  if (patch != NULL) {
    assert_true(patch->piece_at + patch->piece.len + patch->end.len <= payload->len);
    memcpy(bytes + patch->piece_at, patch->piece.data, patch->piece.len);
    memcpy(bytes + payload->len - patch->end.len, patch->end.data, patch->end.len);
  }
  return bytes;
}

/* Ask for an audience, whose derived ring is `under`; what is answered is good. *bytes: as it is
 * sent, to be freed. */
static inline st_snapshot_version ask_for(const subtoken_ring *whole, const char *audience,
                                          const subtoken_ring *under, uint8_t **bytes,
                                          subtoken_revocations *view) {
  st_snapshot_version version;
  uint8_t hash[ST_HASH_LEN];
  char etag[ST_SNAPSHOT_TAG_LEN + 1];
  st_feed_question question = question_of(whole, KEY, 0);
  question.audience = st_text(audience);
  assert_int_equal(feed.current(feed.context, &question, &version), ST_FEED_READY);
  *bytes = sent(&version.snapshot);
  assert_int_equal(subtoken_revocations_open(under, *bytes, version.snapshot.len, view),
                   SUBTOKEN_FEED_OK);
  subtoken_heartbeat heartbeat = heartbeat_of(&version, under);
  assert_true(view->sequence == version.sequence && heartbeat.sequence == version.sequence);
  assert_memory_equal(heartbeat.digest, view->digest, sizeof view->digest);
  st_sha256(*bytes, version.snapshot.len, hash);
  st_writer writer = st_writer_on(etag, sizeof etag);
  st_base64url_write(&writer, hash, sizeof hash);
  assert_true(st_writer_end(&writer));
  assert_string_equal(etag, version.etag);
  return version;
}

static inline bool lists(const subtoken_revocations *view, unsigned n) {
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  name_key(n, id, sub);
  return subtoken_revocations_find(view, st_text(sub)) == SUBTOKEN_REVOKED;
}

#endif
