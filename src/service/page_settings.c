/* GET /page/settings.json: what the page has to know of this server before anybody is logged in.
 * Nothing of it is secret. Its files are page.c's.
 */
#include "base/json.h"
#include "service/endpoints.h"
#include "service/reply.h"

static void page_settings_life(st_writer *writer, const char *name, int64_t seconds) {
  st_write_literal(writer, name);
  st_write_int(writer, seconds);
}

const st_problem *st_page_settings(st_context *c) {
  static const st_problem none = {
      .status = 404, .event = "not_found", .text = "there is no such endpoint"};
  const st_settings *settings = c->service->settings;
  if (!settings->page) return &none;
  const char *texts = settings->permission_texts;
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"version\":\"" SUBTOKEN_VERSION "\",\"registration\":");
  st_write_literal(&writer, settings->registration_open ? "\"open\"" : "\"closed\"");
  st_write_literal(&writer, ",\"permission_texts\":");
  st_write_literal(&writer, texts[0] != '\0' ? texts : "{}");
  page_settings_life(&writer, ",\"default_life\":", settings->default_life);
  page_settings_life(&writer, ",\"max_life\":", settings->max_life);
  if (settings->issuer[0] != '\0') {
    st_write_literal(&writer, ",\"issuer\":");
    st_json_write_string(&writer, st_text(settings->issuer));
  }
  st_write_char(&writer, '}');
  st_reply_end(c->reply, 200, &writer);
  return NULL;
}
