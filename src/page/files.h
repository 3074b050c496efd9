/* files - the files that are part of the program: those of the page, and documents that the service
 * hands out as they are. They lie in this folder; files.c names each.
 */
#ifndef ST_PAGE_FILES_H
#define ST_PAGE_FILES_H

#include "base/bytes.h"

typedef struct st_page_file {
  const char *name; /* in this folder */
  const char *type; /* Content-Type */
  const char *data, *end;
} st_page_file;

/* The bytes live as long as the program. NULL: there is none of that name. */
const st_page_file *st_page_files_find(subtoken_text name);
/* The one at that place, NULL behind the last one. */
const st_page_file *st_page_files_at(size_t place);
/* What changes when any of the files does: 16 characters that may stand in an entity tag. */
const char *st_page_files_tag(void);

#endif
