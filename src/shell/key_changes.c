#include "shell/key_changes.h"

#include <stdio.h>

#include "shell/command.h"
#include "shell/log.h"

#define DRAWS 8 /* a sub that is taken is drawn again; twice never happens */

st_stored st_key_new_sub(st_store *store, const char *id, int64_t *sequence, char *why) {
  char sub[ST_SUB_LEN + 1];
  st_stored stored = ST_STORE_EXISTS;
  snprintf(why, ST_WHY_MAX, "every sub that was drawn is taken");
  for (int i = 0; i < DRAWS && stored == ST_STORE_EXISTS; i++) {
    st_draw_sub(sub);
    stored = st_store_replace_sub(store, id, sub, st_world_now_us(), sequence, why);
  }
  return stored;
}

/* The caller is told that it failed, the log why. */
static st_changed told(st_stored stored, const char *why) {
  if (stored == ST_STORED) return ST_CHANGED;
  if (stored == ST_STORE_NONE) return ST_CHANGED_NONE;
  st_log_event("store_error", why);
  return ST_CHANGE_FAILED;
}

static st_changed remove_key(void *store, const char *id, int64_t *sequence) {
  char why[ST_WHY_MAX];
  return told(st_store_delete(store, id, st_world_now_us(), sequence, why), why);
}

static st_changed set_disabled(void *store, const char *id, bool disabled, int64_t *sequence) {
  char why[ST_WHY_MAX];
  return told(st_store_set_disabled(store, id, disabled, st_world_now_us(), sequence, why), why);
}

static st_changed revoke_subtokens(void *store, const char *id, int64_t *sequence) {
  char why[ST_WHY_MAX];
  return told(st_key_new_sub(store, id, sequence, why), why);
}

st_key_changes st_key_changes_of(st_store *store) {
  return (st_key_changes){store, remove_key, set_disabled, revoke_subtokens};
}
