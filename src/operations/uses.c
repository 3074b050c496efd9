/* Notes in memory when each key was used last. server/upkeep.c writes it to the store every half
 * minute, so that no request waits for the disk.
 */
#include "operations/uses.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "domain/key.h"
#include "domain/store.h"

#define USES_SLOTS ((size_t)65536)    /* a power of two */
#define USES_MAX (USES_SLOTS / 4 * 3) /* keys noted between two writings; the rest goes unnoted */

static struct {
  pthread_mutex_t lock; /* guards the two below */
  size_t count;
  st_key_use slots[USES_SLOTS]; /* by the hash of the id, then the next that is free */
} uses = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* FNV-1a; the ids are random, nobody chooses where they fall. */
static size_t uses_slot_of(const char *id) {
  uint32_t hash = 2166136261U;
  for (size_t i = 0; id[i] != '\0'; i++) hash = (hash ^ (uint8_t)id[i]) * 16777619U;
  return hash & (USES_SLOTS - 1);
}

void st_uses_note(void *context, const char *id, int64_t now) {
  (void)context;
  if (id[0] == '\0') return;
  size_t at = uses_slot_of(id);
  pthread_mutex_lock(&uses.lock);
  while (uses.slots[at].id[0] != '\0' && strcmp(uses.slots[at].id, id) != 0) {
    at = (at + 1) & (USES_SLOTS - 1);
  }
  if (uses.slots[at].id[0] != '\0') {
    if (now > uses.slots[at].at) uses.slots[at].at = now;
  } else if (uses.count < USES_MAX) {
    memcpy(uses.slots[at].id, id, ST_KEY_ID_LEN);
    uses.slots[at].id[ST_KEY_ID_LEN] = '\0';
    uses.slots[at].at = now;
    uses.count++;
  }
  pthread_mutex_unlock(&uses.lock);
}

/* Taken out under the lock, written without it: a request never waits for the disk here. */
st_key_use *st_uses_take(size_t *count) {
  *count = 0;
  pthread_mutex_lock(&uses.lock);
  st_key_use *taken = uses.count > 0 ? calloc(uses.count, sizeof *taken) : NULL;
  for (size_t i = 0; taken != NULL && i < USES_SLOTS; i++) {
    if (uses.slots[i].id[0] == '\0') continue;
    taken[(*count)++] = uses.slots[i];
    uses.slots[i].id[0] = '\0';
  }
  if (taken != NULL) uses.count = 0;
  pthread_mutex_unlock(&uses.lock);
  return taken;
}
