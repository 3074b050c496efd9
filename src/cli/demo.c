/* The first steps of `subtoken serve --demo`: in a new store, an administrator and a key to try the
 * server with, and commands to paste, which the README explains. In a store that is not new nothing
 * is made.
 */
#include "cli/demo.h"

#include <stdio.h>

#include "base/bytes.h"
#include "cli/input.h"
#include "domain/key.h"
#include "domain/user.h"
#include "operations/draw.h"
#include "operations/keys.h"
#include "operations/password.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/semaphore.h"
#include "os/terminal.h"

#define DEMO_PERMISSIONS "account,characters,inventories,progression,unlocks,wallet"

/* The first administrator, with every permission that it may have to grant, and a key to try it
 * with. */
static bool demo_make(st_store *store, char whole[ST_KEY_LEN + 1], char password[ST_SUB_LEN + 1],
                      char *error) {
  st_key key = {.name = "demo",
                .permissions = DEMO_PERMISSIONS,
                .created_at = st_clock_now(),
                .expires_at = ST_NEVER};
  st_user admin = {
      .key = {.kind = ST_KIND_USER,
              .name = "admin",
              .owner = "admin",
              .permissions =
                  "keys,users,audit,services,revocations,introspect,metrics," DEMO_PERMISSIONS,
              .expires_at = ST_NEVER}};
  uint8_t digest[32];
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  st_draw_sub(password);
  st_draw_user(&admin.key, digest);
  admin.key.created_at = key.created_at;
  snprintf(error, ST_ERROR_MAX, "cannot hash a password: out of memory");
  bool made =
      st_password_hash(st_text(password), ST_WAIT_FOR_EVER, admin.password) == ST_PASSWORD_OK &&
      st_store_user_create(store, &context, NULL, false, &admin, digest, error) == ST_STORE_OK;
  subtoken_wipe(&admin, sizeof admin);
  return made && st_keys_create(store, &context, NULL, &key, whole, error) == ST_STORE_OK;
}

/* Is the store empty? */
static bool demo_is_new(st_store *store, bool *fresh, char *error) {
  int64_t keys = 0;
  size_t users = 0;
  st_user first = {0};
  bool read = st_store_key_count(store, &keys, error) == ST_STORE_OK &&
              st_store_user_list(store, "", 1, &first, &users, error) == ST_STORE_OK;
  *fresh = keys == 0 && users == 0;
  return read;
}

/* Printed once. Each command can be pasted as it is. */
bool st_demo_show(st_store *store, const char *dir, const st_demo_server *server, char *error) {
  const char *base = server->url, *via = server->via;
  char whole[ST_KEY_LEN + 1], password[ST_SUB_LEN + 1];
  bool fresh;
  if (!demo_is_new(store, &fresh, error)) return false;
  if (!fresh) {
    printf(
        "Serving on %s. The demo key was shown when it was made; another key:\n"
        "  build/subtoken key create --data %s --name mine --permissions account\n",
        base, dir);
    return st_terminal_flush_output(error);
  }
  if (!demo_make(store, whole, password, error)) return false;
  printf("Serving on %s. A parent key to try it with, shown this once:\n\n  %s\n\n", base, whole);
  printf(
      "Make a subtoken with one permission, for one URL:\n\n"
      "  curl -s %s'%s/v2/createsubtoken?permissions=account&urls=/v2/tokeninfo' "
      "-H 'Authorization: Bearer %s'\n\n",
      via, base, whole);
  printf(
      "Make one and see what it is:\n\n"
      "  curl -s %s'%s/v2/tokeninfo?v=latest' -H \"Authorization: Bearer $(curl -s %s"
      "'%s/v2/createsubtoken?permissions=account&urls=/v2/tokeninfo' "
      "-H 'Authorization: Bearer %s' | cut -d'\"' -f4)\"\n\n",
      via, base, via, base, whole);
  printf(
      "Make one and see it refused where it should be:\n\n"
      "  curl -s %s'%s/v2/createsubtoken' -H \"Authorization: Bearer $(curl -s %s"
      "'%s/v2/createsubtoken?permissions=account&urls=/v2/tokeninfo' "
      "-H 'Authorization: Bearer %s' | cut -d'\"' -f4)\"\n\n",
      via, base, via, base, whole);
  printf(
      "The administrator is admin, the password, shown this once:\n\n  %s\n\n"
      "%s%s%sLog in, to make keys and users:\n\n"
      "  curl -s %s'%s/v1/auth/login' -H 'Content-Type: application/json' "
      "-d '{\"login\":\"admin\",\"password\":\"%s\"}'\n\n",
      password, server->page ? "Log in on the page, at " : "", server->page ? base : "",
      server->page ? "/\n\n" : "", via, base, password);
  subtoken_wipe(whole, sizeof whole);
  subtoken_wipe(password, sizeof password);
  return st_terminal_flush_output(error);
}
