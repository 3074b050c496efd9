/* A user as the JSON that the API answers; keys are in key_json.c. */
#include "domain/user_json.h"

#include "base/date.h"
#include "base/json.h"
#include "domain/key_json.h"
#include "domain/permissions.h"

static void user_json_text(st_writer *writer, const char *name, const char *text) {
  st_write_truncated(writer, name);
  st_json_write_string(writer, st_text(text));
}

static void user_json_flag(st_writer *writer, const char *name, bool flag) {
  st_write_truncated(writer, name);
  st_write_truncated(writer, flag ? "true" : "false");
}

static void user_json_time(st_writer *writer, int64_t at) {
  st_write_char(writer, '"');
  st_date_write(writer, at, false);
  st_write_char(writer, '"');
}

void st_user_json_write(st_writer *writer, const st_user *user, int64_t now) {
  const st_key *key = &user->key;
  user_json_text(writer, "{\"login\":", key->owner);
  st_write_literal(writer, ",\"permissions\":");
  st_permissions_write_json(writer, key->permissions);
  user_json_text(writer, ",\"locale\":", user->locale);
  user_json_text(writer, ",\"source\":", user->source);
  st_write_literal(writer, ",\"created_at\":");
  user_json_time(writer, key->created_at);
  st_write_literal(writer, ",\"expires_at\":");
  if (key->expires_at == ST_NEVER) {
    st_write_literal(writer, "null");
  } else {
    user_json_time(writer, key->expires_at);
  }
  user_json_flag(writer, ",\"imported\":", user->imported[0] != '\0');
  user_json_flag(writer, ",\"registered\":", user->registered);
  user_json_flag(writer, ",\"disabled\":", key->disabled);
  user_json_text(writer, ",\"state\":", st_key_json_state(key, now));
  st_write_char(writer, '}');
}
