/* The files of this folder as they are, taken into the program by the assembler: no copy of them is
 * ever made, and none is looked for when the program runs. Who asks for them: service/page.c.
 * The Makefile gives ST_PAGE_TAG, a digest of them all.
 */
#include "page/files.h"

#ifndef ST_PAGE_TAG
#define ST_PAGE_TAG "0000000000000000" /* for tools that read this file alone */
#endif

#define HTML "text/html; charset=utf-8"
#define CSS "text/css; charset=utf-8"
#define JS "text/javascript; charset=utf-8"
#define SVG "image/svg+xml"
#define JSON "application/json; charset=utf-8"

/* clang-format off */
/* The symbol that its bytes have, its name, its type. */
#define FILES(file)                                 \
  file(index, "index.html", HTML)                   \
  file(icon, "icon.svg", SVG)                       \
  file(style, "style.css", CSS)                     \
  file(main, "main.js", JS)                         \
  file(api, "api.js", JS)                           \
  file(dialog, "dialog.js", JS)                     \
  file(dom, "dom.js", JS)                           \
  file(frame, "frame.js", JS)                       \
  file(handover, "handover.js", JS)                 \
  file(i18n, "i18n.js", JS)                         \
  file(kept, "kept.js", JS)                         \
  file(keys, "keys.js", JS)                         \
  file(login, "login.js", JS)                       \
  file(look, "look.js", JS)                         \
  file(make, "make.js", JS)                         \
  file(permissions, "permissions.js", JS)           \
  file(server_texts, "server_texts.js", JS)         \
  file(storage, "storage.js", JS)                   \
  file(texts, "texts.js", JS)                       \
  file(token, "token.js", JS)                       \
  file(worth, "worth.js", JS)                       \
  file(admin_style, "admin.css", CSS)               \
  file(admin_texts, "admin_texts.js", JS)           \
  file(all_keys, "all_keys.js", JS)                 \
  file(audit, "audit.js", JS)                       \
  file(expiring, "expiring.js", JS)                 \
  file(feed, "feed.js", JS)                         \
  file(ring, "ring.js", JS)                         \
  file(table, "table.js", JS)                       \
  file(users, "users.js", JS)                       \
  file(openapi, "openapi.json", JSON)

/* One byte behind each, so that an end is the beginning of nothing else. */
#define TAKE(symbol, name, type)                                                                   \
  __asm__(".pushsection .rodata\n"                                                                 \
          ".globl st_page_data_" #symbol "\n.hidden st_page_data_" #symbol "\n"                    \
          "st_page_data_" #symbol ":\n"                                                            \
          ".incbin \"src/page/" name "\"\n"                                                        \
          ".globl st_page_end_" #symbol "\n.hidden st_page_end_" #symbol "\n"                      \
          "st_page_end_" #symbol ":\n.byte 0\n"                                                    \
          ".popsection\n");                                                                        \
  extern const char st_page_data_##symbol[] __attribute__((visibility("hidden")));                 \
  extern const char st_page_end_##symbol[] __attribute__((visibility("hidden")));
/* clang-format on */
FILES(TAKE)

#define ROW(symbol, name, type) {name, type, st_page_data_##symbol, st_page_end_##symbol},
static const st_page_file page_files[] = {FILES(ROW)};

#define COUNT (sizeof page_files / sizeof page_files[0])

const st_page_file *st_page_files_find(subtoken_text name) {
  for (size_t i = 0; i < COUNT; i++) {
    if (st_text_is(name, page_files[i].name)) return &page_files[i];
  }
  return NULL;
}

const st_page_file *st_page_files_at(size_t place) {
  return place < COUNT ? &page_files[place] : NULL;
}

const char *st_page_files_tag(void) {
  return ST_PAGE_TAG;
}
