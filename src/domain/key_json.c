/* A key and what was made with it, as the JSON that the API and the commands print. */
#include "domain/key_json.h"

#include "base/bytes.h"
#include "base/date.h"
#include "base/json.h"
#include "domain/key.h"

const char *st_key_json_state(const st_key *key, int64_t now) {
  if (key->disabled) return "disabled";
  if (key->suspended) return "suspended";
  return key->expires_at <= now ? "expired" : "active";
}

void st_key_json_write_text(st_writer *writer, const char *name, const char *text) {
  st_write_truncated(writer, name);
  st_json_write_string(writer, st_text(text));
}

static void write_time(st_writer *writer, const char *name, int64_t at, bool none) {
  st_write_truncated(writer, name);
  if (none) {
    st_write_literal(writer, "null");
    return;
  }
  st_write_char(writer, '"');
  st_date_write(writer, at, false);
  st_write_char(writer, '"');
}

static void write_permissions(st_writer *writer, const char *permissions) {
  st_cutter cutter = {st_text(permissions), permissions[0] == '\0'};
  subtoken_text each;
  st_write_literal(writer, ",\"permissions\":[");
  for (bool first = true; st_cut(&cutter, ',', &each); first = false) {
    if (!first) st_write_char(writer, ',');
    st_json_write_string(writer, each);
  }
  st_write_char(writer, ']');
}

void st_key_json_write(st_writer *writer, const st_key *key, const char *whole, int64_t now) {
  st_write_char(writer, '{');
  if (whole != NULL) {
    st_key_json_write_text(writer, "\"key\":", whole);
    st_write_char(writer, ',');
  }
  st_key_json_write_text(writer, "\"id\":", key->id);
  st_key_json_write_text(writer, ",\"name\":", key->name);
  st_key_json_write_text(writer, ",\"owner\":", key->owner);
  write_permissions(writer, key->permissions);
  write_time(writer, ",\"created_at\":", key->created_at, false);
  write_time(writer, ",\"expires_at\":", key->expires_at, key->expires_at == ST_NEVER);
  st_write_literal(writer, key->disabled ? ",\"disabled\":true" : ",\"disabled\":false");
  if (key->disabled) {
    st_write_literal(writer, key->disabled_by_owner ? ",\"disabled_by\":\"owner\""
                                                    : ",\"disabled_by\":\"administrator\"");
  }
  st_key_json_write_text(writer, ",\"state\":", st_key_json_state(key, now));
  write_time(writer, ",\"last_used_at\":", key->used_at, key->used_at == 0);
  st_key_json_write_text(writer, ",\"sub\":", key->sub);
  st_write_char(writer, '}');
}

void st_key_json_write_made(st_writer *writer, const st_made *made) {
  st_write_literal(writer, "{\"keys\":");
  st_write_int(writer, made->keys);
  st_write_literal(writer, ",\"users\":");
  st_write_int(writer, made->users);
  st_write_literal(writer, made->end ? ",\"ended\":true" : ",\"ended\":false");
  st_write_literal(writer, made->more ? ",\"more\":true,\"list\":[" : ",\"list\":[");
  for (size_t i = 0; i < made->count; i++) {
    if (i > 0) st_write_char(writer, ',');
    st_key_json_write_text(writer,
                           made->items[i].user ? "{\"user\":" : "{\"key\":", made->items[i].name);
    st_write_char(writer, '}');
  }
  st_write_literal(writer, "]}");
}
