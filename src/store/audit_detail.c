/* Writes the details of the audit log's lines. People read them and programs search them, so a
 * changed word is a changed interface.
 */
#include "store/audit_detail.h"

#include "base/date.h"
#include "base/json.h"

void st_audit_detail(st_writer *writer, const char *label, const char *text) {
  if (writer->len > 0) st_write_literal(writer, "; ");
  st_write_truncated(writer, label);
  st_write_truncated(writer, text);
}

void st_audit_detail_permissions(st_writer *writer, const char *permissions) {
  bool none = permissions[0] == '\0';
  st_audit_detail(writer, none ? "no permissions" : "permissions ", permissions);
}

void st_audit_detail_expiry(st_writer *writer, int64_t expires_at) {
  if (expires_at == ST_NEVER) {
    st_audit_detail(writer, "expires never", "");
    return;
  }
  st_audit_detail(writer, "expires ", "");
  st_date_write(writer, expires_at, false);
}

static void detail_count(st_writer *writer, const char *label, int64_t count) {
  if (count > 0) {
    st_audit_detail(writer, label, "");
    st_write_int(writer, count);
  }
}

void st_audit_detail_ended(st_writer *writer, const st_ended *ended) {
  detail_count(writer, "keys ended: ", ended->keys);
  detail_count(writer, "sessions ended: ", ended->sessions);
}

static void write_count(st_writer *writer, int64_t count, const char *one, const char *many) {
  st_write_int(writer, count);
  st_write_truncated(writer, count == 1 ? one : many);
}

/* Usernames are quoted: one could be chosen to look like what follows. */
void st_audit_detail_made(st_writer *writer, const st_derived *made) {
  if (made->keys + made->users == 0) return;
  st_audit_detail(writer,
                  made->end ? "made with it, ended too: " : "made with it, still valid: ", "");
  write_count(writer, made->keys, " key, ", " keys, ");
  write_count(writer, made->users, " user:", " users:");
  for (size_t i = 0; i < made->count; i++) {
    st_write_literal(writer, i > 0 ? ", " : " ");
    if (made->items[i].user) {
      st_json_write_string(writer, st_text(made->items[i].name));
    } else {
      st_write_truncated(writer, made->items[i].name);
    }
  }
  if (made->more || (int64_t)made->count < made->keys + made->users) {
    st_write_literal(writer, ", ...");
  }
}
