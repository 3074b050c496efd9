/* Files of the program as answers. Which there are: page/files.c; which paths they have: page.c and
 * whoever else hands one out.
 */
#include "service/static_file.h"

#include "service/entity_tag.h"
#include "service/reply.h"

void st_static_file_answer(st_context *c, const st_page_file *file) {
  char quoted[32];
  st_reply *reply = c->reply;
  const char *tag = st_page_files_tag();
  st_writer writer = st_writer_on(quoted, sizeof quoted);
  st_write_char(&writer, '"');
  st_write_literal(&writer, tag);
  st_write_char(&writer, '"');
  st_reply_header(reply, "ETag", (subtoken_text){quoted, writer.len});
  reply->cache_control = "no-cache";
  if (st_entity_tag_is_known(c->request, tag)) {
    reply->status = 304;
    return;
  }
  reply->status = 200;
  reply->content_type = file->type;
  reply->payload = (st_payload){.data = file->data, .len = (size_t)(file->end - file->data)};
}
