/* A key and what was made with it, as the JSON that the API and the commands print. */
#include "domain/key_json.h"

#include "base/bytes.h"
#include "base/date.h"
#include "base/json.h"
#include "domain/permissions.h"

const char *st_key_json_state(const st_key *key, int64_t now) {
  if (key->disabled) return "disabled";
  if (key->suspended) return "suspended";
  return key->expires_at <= now ? "expired" : "active";
}

static void key_json_text(st_writer *writer, const char *name, const char *text) {
  st_write_truncated(writer, name);
  st_json_write_string(writer, st_text(text));
}

static void key_json_time(st_writer *writer, const char *name, int64_t at, bool none) {
  st_write_truncated(writer, name);
  if (none) {
    st_write_literal(writer, "null");
    return;
  }
  st_write_char(writer, '"');
  st_date_write(writer, at, false);
  st_write_char(writer, '"');
}

void st_key_json_write(st_writer *writer, const st_key *key, const char *whole, int64_t now) {
  st_write_char(writer, '{');
  if (whole != NULL) {
    key_json_text(writer, "\"key\":", whole);
    st_write_char(writer, ',');
  }
  key_json_text(writer, "\"id\":", key->id);
  key_json_text(writer, ",\"name\":", key->name);
  key_json_text(writer, ",\"owner\":", key->owner);
  st_write_literal(writer, ",\"permissions\":");
  st_permissions_write_json(writer, key->permissions);
  key_json_time(writer, ",\"created_at\":", key->created_at, false);
  key_json_time(writer, ",\"expires_at\":", key->expires_at, key->expires_at == ST_NEVER);
  st_write_literal(writer, key->disabled ? ",\"disabled\":true" : ",\"disabled\":false");
  if (key->disabled) {
    st_write_literal(writer, key->disabled_by_owner ? ",\"disabled_by\":\"owner\""
                                                    : ",\"disabled_by\":\"administrator\"");
  }
  key_json_text(writer, ",\"state\":", st_key_json_state(key, now));
  key_json_time(writer, ",\"last_used_at\":", key->used_at, key->used_at == 0);
  key_json_text(writer, ",\"sub\":", key->sub);
  key_json_time(writer, ",\"rotated_at\":", key->rotated_at, key->rotated_at == 0);
  key_json_time(writer, ",\"old_until\":", key->old_until, key->old_until == 0);
  st_write_literal(writer, ",\"audience\":");
  if (key->audience[0] == '\0') {
    st_write_literal(writer, "null");
  } else {
    st_json_write_string(writer, st_text(key->audience));
  }
  st_write_char(writer, '}');
}

void st_key_json_write_made(st_writer *writer, const st_derived *made) {
  st_write_literal(writer, "{\"keys\":");
  st_write_int(writer, made->keys);
  st_write_literal(writer, ",\"users\":");
  st_write_int(writer, made->users);
  st_write_literal(writer, made->end ? ",\"ended\":true" : ",\"ended\":false");
  st_write_literal(writer, made->more ? ",\"more\":true,\"list\":[" : ",\"list\":[");
  for (size_t i = 0; i < made->count; i++) {
    if (i > 0) st_write_char(writer, ',');
    key_json_text(writer, made->items[i].user ? "{\"user\":" : "{\"key\":", made->items[i].name);
    st_write_char(writer, '}');
  }
  st_write_literal(writer, "]}");
}
