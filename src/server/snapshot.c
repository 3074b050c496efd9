/* Makes a snapshot in two steps: reads what the store lists, either all or the changes since the
 * one before; then writes it under the MAC of the ring, keeps it in DATA
 * (operations/vouched_files.c), and lets the log of changes lead to it (snapshot_changes.c). Its
 * bytes follow from the sequence, the hashes and the ring alone, so that each server on one store
 * makes the same. Who gets which snapshot, and when the next one is made: snapshot_cache.c.
 */
#include "server/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "core/revocations_format.h"
#include "operations/vouched_files.h"
#include "server/snapshot_changes.h"
#include "subtoken/mac.h"

st_snapshot *st_snapshot_acquire(st_snapshot *snapshot) {
  if (snapshot != NULL) atomic_fetch_add(&snapshot->references, 1);
  return snapshot;
}

void st_snapshot_release(st_snapshot *snapshot, int references) {
  if (snapshot == NULL) return;
  if (atomic_fetch_sub(&snapshot->references, references) != references) return;
  free(snapshot->bytes);
  free(snapshot);
}

bool st_snapshot_describe_signer(const subtoken_ring *ring,
                                 uint8_t signer[SUBTOKEN_HEARTBEAT_LEN]) {
  subtoken_heartbeat nothing = {.sequence = 1, .time = 1};
  return subtoken_heartbeat_write(ring, &nothing, signer) == SUBTOKEN_FEED_OK;
}

bool st_snapshot_signed_by(const st_snapshot *snapshot, const uint8_t *signer) {
  return snapshot != NULL && memcmp(snapshot->signer, signer, sizeof snapshot->signer) == 0;
}

bool st_snapshot_matches(const st_snapshot *snapshot, const uint8_t *signer,
                         const st_revocation_state *state) {
  return state->sequence == snapshot->sequence && st_snapshot_signed_by(snapshot, signer) &&
         memcmp(snapshot->hash_key, state->hash_key, sizeof snapshot->hash_key) == 0;
}

/* ---- its bytes ---- */

static bool write_bytes(st_snapshot *snapshot, const subtoken_ring *ring,
                        const st_revocation_state *state, const uint64_t *hashes) {
  uint8_t hash[ST_HASH_LEN];
  /* Not the time it is: two servers on one store write the same bytes. */
  subtoken_revocations_header header = {.sequence = state->sequence,
                                        .made = state->sequence / 1000000};
  memcpy(header.hash_key, state->hash_key, sizeof header.hash_key);
  if (subtoken_revocations_write(ring, &header, hashes, snapshot->count, snapshot->bytes,
                                 snapshot->len, snapshot->digest) != SUBTOKEN_FEED_OK) {
    return false;
  }
  st_sha256_on(ring->secrets[0].cpu, snapshot->bytes, snapshot->len, hash);
  st_writer writer = st_writer_on(snapshot->etag, sizeof snapshot->etag);
  st_base64url_write(&writer, hash, sizeof hash);
  return st_writer_end(&writer);
}

/* NULL when there is no memory for it. */
static st_snapshot *make_snapshot(const subtoken_ring *ring, const uint8_t *signer,
                                  const st_revocation_state *state, const uint64_t *hashes,
                                  uint32_t count) {
  st_snapshot *snapshot = calloc(1, sizeof *snapshot);
  if (snapshot == NULL) return NULL;
  atomic_init(&snapshot->references, 1);
  snapshot->count = count;
  snapshot->len = subtoken_revocations_size(count);
  snapshot->sequence = state->sequence;
  memcpy(snapshot->hash_key, state->hash_key, sizeof snapshot->hash_key);
  memcpy(snapshot->signer, signer, sizeof snapshot->signer);
  snapshot->bytes = snapshot->len > 0 ? malloc(snapshot->len) : NULL;
  if (snapshot->bytes != NULL && write_bytes(snapshot, ring, state, hashes)) return snapshot;
  st_snapshot_release(snapshot, 1);
  return NULL;
}

/* ---- what it is made of ---- */

static int compare_hashes(const void *a, const void *b) {
  const st_revocation_change *x = a, *y = b;
  return (x->hash > y->hash) - (x->hash < y->hash);
}

/* The hashes of base with changes, which ascend, in them. */
static void snapshot_merge_changes(const st_snapshot *base, const st_revocation_change *changes,
                                   uint32_t count, st_snapshot_contents *out) {
  const uint8_t *at = base->bytes + st_snapshot_hashes_at(st_snapshot_bits(base->count));
  const uint8_t *end = at + 8 * (size_t)base->count;
  for (uint32_t i = 0; i < count; i++) {
    const st_revocation_change *c = &changes[i];
    for (; at < end && st_load64(at) < c->hash; at += 8) out->hashes[out->count++] = st_load64(at);
    bool was_listed = at < end && st_load64(at) == c->hash;
    if (was_listed) at += 8;
    if (c->listed) out->hashes[out->count++] = c->hash;
    if (c->listed != was_listed) {
      out->steps[out->step_count++] = (st_snapshot_step){c->hash, c->sequence, c->listed, false};
    }
  }
  for (; at < end; at += 8) out->hashes[out->count++] = st_load64(at);
}

static bool allocate(st_snapshot_contents *out, uint64_t hashes, size_t steps) {
  if (hashes > UINT32_MAX) return false;
  out->hashes = malloc(8 * (size_t)hashes + 8);
  out->steps = malloc((steps + 1) * sizeof *out->steps);
  return out->hashes != NULL && out->steps != NULL;
}

static st_feed_status snapshot_read_changes(st_store *store, const st_snapshot *base,
                                            st_snapshot_contents *now, bool *known, char *error) {
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  st_store_status stored =
      st_store_revocation_changes(store, base->sequence, &now->state, &changes, &count, error);
  *known = stored == ST_STORE_OK;
  if (stored == ST_STORE_NOT_FOUND) return ST_FEED_READY;
  if (stored != ST_STORE_OK) return ST_FEED_STORE_ERROR;
  bool allocated = allocate(now, (uint64_t)base->count + count, count);
  if (allocated) {
    if (count > 1) qsort(changes, count, sizeof *changes, compare_hashes);
    snapshot_merge_changes(base, changes, count, now);
  }
  free(changes);
  return allocated ? ST_FEED_READY : ST_FEED_NO_MEMORY;
}

static st_feed_status snapshot_read_whole(st_store *store, st_snapshot_contents *now, char *error) {
  st_revocation_data listed = {.hashes = NULL};
  if (st_store_revocation_data(store, &listed, error) != ST_STORE_OK) return ST_FEED_STORE_ERROR;
  now->state = listed.state;
  now->hashes = listed.hashes;
  now->count = subtoken_revocations_sort(listed.hashes, listed.count);
  now->whole = true;
  now->since = listed.since;
  now->steps = malloc((listed.change_count + (size_t)1) * sizeof *now->steps);
  for (uint32_t i = 0; now->steps != NULL && i < listed.change_count; i++) {
    const st_revocation_change *c = &listed.changes[i];
    now->steps[now->step_count++] = (st_snapshot_step){c->hash, c->sequence, c->listed, true};
  }
  free(listed.changes);
  return now->steps != NULL ? ST_FEED_READY : ST_FEED_NO_MEMORY;
}

void st_snapshot_contents_free(st_snapshot_contents *contents) {
  free(contents->hashes);
  free(contents->steps);
  *contents = (st_snapshot_contents){.hashes = NULL};
}

st_feed_status st_snapshot_read(st_store *store, const st_snapshot *base, st_snapshot_contents *now,
                                char *error) {
  bool known = false;
  *now = (st_snapshot_contents){.hashes = NULL};
  st_feed_status status =
      base != NULL ? snapshot_read_changes(store, base, now, &known, error) : ST_FEED_READY;
  return status == ST_FEED_READY && !known ? snapshot_read_whole(store, now, error) : status;
}

st_feed_status st_snapshot_make(const subtoken_ring *ring, const uint8_t *signer,
                                const st_snapshot_contents *contents, st_snapshot **fresh,
                                char *error) {
  *fresh = NULL;
  st_snapshot *made =
      make_snapshot(ring, signer, &contents->state, contents->hashes, contents->count);
  if (made == NULL) return ST_FEED_NO_MEMORY;
  /* Durable before anybody sees it, and before the log goes on from it. */
  if (!st_vouched_files_keep(ring, made->bytes, made->len, made->sequence, error)) {
    st_snapshot_release(made, 1);
    return ST_FEED_STORE_ERROR;
  }
  if (contents->whole) {
    st_snapshot_changes_load(contents->steps, contents->step_count, contents->since);
  } else {
    st_snapshot_changes_append(contents->steps, contents->step_count);
  }
  *fresh = made;
  return ST_FEED_READY;
}
