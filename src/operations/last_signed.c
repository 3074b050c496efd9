/* When each secret of the ring last signed, in a setting of the store that has its name. A secret
 * that another takes over from is said to sign until that is done, so that whatever ends the change
 * in between, nobody believes that its tokens are over (cli/cmd_secret.c).
 */
#include "operations/last_signed.h"

#include <stdio.h>

#include "domain/key.h"
#include "subtoken/verify.h"

#define DAYS INT64_C(86400)
#define NAME_MAX_LEN (SUBTOKEN_KID_MAX + 16)

static void last_signed_name(subtoken_text kid, char name[NAME_MAX_LEN]) {
  if (kid.len == 0) kid = ST_TEXT("-");
  snprintf(name, NAME_MAX_LEN, "signed:%.*s", (int)kid.len, kid.data);
}

/* ST_NEVER when it is not known. */
static bool last_signed_get(st_store *store, subtoken_text kid, int64_t *last, char *error) {
  char name[NAME_MAX_LEN];
  last_signed_name(kid, name);
  st_store_status status = st_store_get_setting(store, name, last, error);
  if (status == ST_STORE_NOT_FOUND) *last = ST_NEVER;
  return status == ST_STORE_OK || status == ST_STORE_NOT_FOUND;
}

bool st_last_signed_set(st_store *store, subtoken_text kid, int64_t when, char *error) {
  char name[NAME_MAX_LEN];
  last_signed_name(kid, name);
  return st_store_set_setting(store, name, when, error) == ST_STORE_OK;
}

bool st_last_signed_end(st_store *store, subtoken_text kid, int64_t now, char *error) {
  char name[NAME_MAX_LEN];
  int64_t last = 0;
  last_signed_name(kid, name);
  st_store_status status = st_store_get_setting(store, name, &last, error);
  if (status == ST_STORE_FAILED) return false;
  return status != ST_STORE_OK || last != ST_NEVER || st_last_signed_set(store, kid, now, error);
}

bool st_last_signed_valid_until(st_store *store, subtoken_text kid, int64_t *until, char *error) {
  int64_t last = ST_NEVER, life = 365 * DAYS, configured = 0;
  *until = ST_NEVER;
  if (!last_signed_get(store, kid, &last, error) ||
      st_store_get_setting(store, "max_life", &configured, error) == ST_STORE_FAILED) {
    return false;
  }
  if (configured > life) life = configured;
  if (last != ST_NEVER) *until = last == 0 ? 0 : last + life + INT64_C(2) * SUBTOKEN_LEEWAY_MAX;
  return true;
}
