/* Counts the requests for the revocation data that are being answered, so that those of one key,
 * and all together, leave threads to others. Who is too many is refused at once.
 */
#include "server/feed_shares.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/key.h"
#include "server/held_requests.h"

struct st_feed_share {
  st_feed_share *next;
  char key_id[ST_KEY_ID_LEN + 1];
  int64_t count;
};

static struct {
  pthread_mutex_t lock;
  st_feed_share *first;
  int64_t count, count_max, key_max;
} shares = {.lock = PTHREAD_MUTEX_INITIALIZER, .count_max = 256, .key_max = 128};

void st_feed_shares_limit(int64_t threads) {
  shares.count_max = threads / 2 > 1 ? threads / 2 : 1;
  shares.key_max = threads / 4 > 1 ? threads / 4 : 1;
}

/* Under the lock. */
static st_feed_share *shares_find(const char *key_id) {
  st_feed_share *s = shares.first;
  while (s != NULL && strcmp(s->key_id, key_id) != 0) s = s->next;
  if (s != NULL) return s;
  s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  snprintf(s->key_id, sizeof s->key_id, "%s", key_id);
  s->next = shares.first;
  shares.first = s;
  return s;
}

/* Under the lock. */
static void shares_remove_empty(st_feed_share *s) {
  st_feed_share **at = &shares.first;
  if (s->count > 0) return;
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  free(s);
}

/* Under the lock. */
static st_feed_status shares_add(const char *key_id, st_feed_share **share) {
  int64_t held_by_key, held = st_held_requests_count(key_id, &held_by_key);
  if (shares.count + held >= shares.count_max) return ST_FEED_BUSY;
  st_feed_share *s = shares_find(key_id);
  if (s == NULL) return ST_FEED_NO_MEMORY;
  if (s->count + held_by_key >= shares.key_max) {
    shares_remove_empty(s);
    return ST_FEED_KEY_BUSY;
  }
  s->count++;
  shares.count++;
  *share = s;
  return ST_FEED_READY;
}

st_feed_status st_feed_shares_enter(const char *key_id, st_feed_share **share) {
  *share = NULL;
  (void)pthread_mutex_lock(&shares.lock);
  st_feed_status status = shares_add(key_id, share);
  (void)pthread_mutex_unlock(&shares.lock);
  return status;
}

void st_feed_shares_leave(st_feed_share *share) {
  (void)pthread_mutex_lock(&shares.lock);
  share->count--;
  shares.count--;
  shares_remove_empty(share);
  (void)pthread_mutex_unlock(&shares.lock);
}
