/* static_file - the answer that is a file of the program (page/files.h). */
#ifndef ST_SERVICE_STATIC_FILE_H
#define ST_SERVICE_STATIC_FILE_H

#include "page/files.h"
#include "service/context.h"

/* 200 and its bytes, which are sent from where they lie; 304 when the client has them. It may be
 * kept, and is asked for again each time. Other headers may be added to the reply. */
void st_static_file_answer(st_context *c, const st_page_file *file);

#endif
