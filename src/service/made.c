/* What was made with a key or by a user, for others, does not end with it: who ends it is told. */
#include "service/made.h"

#include "base/impossible.h"
#include "domain/key_json.h"

void st_made_write(st_writer *writer, const st_derived *made) {
  size_t end = writer->len;
  if (made->keys + made->users == 0 || writer->overflow || end == 0) return;
  writer->len--; /* within the object */
  st_write_literal(writer, ",\"made\":");
  st_key_json_write_made(writer, made);
  st_write_char(writer, '}');
  if (!writer->overflow && writer->len < writer->size) return; /* with room for its end */
  writer->out[end - 1] = '}';
  writer->len = end;
  writer->overflow = false;
}

void st_made_header(st_reply *reply, const st_derived *made) {
  char text[64];
  st_writer writer = st_writer_on(text, sizeof text);
  if (made->keys + made->users == 0) return;
  st_write_literal(&writer, "keys=");
  st_write_int(&writer, made->keys);
  st_write_literal(&writer, ",users=");
  st_write_int(&writer, made->users);
  if (st_impossible(!st_writer_end(&writer), "two numbers fit")) return;
  st_reply_header(reply, "Subtoken-Made", st_text(text));
}
