/* audit_detail - the detail of a line in the audit log: pieces with "; " between them. */
#ifndef ST_STORE_AUDIT_DETAIL_H
#define ST_STORE_AUDIT_DETAIL_H

#include "store/row_set.h"

/* A detail before it is cut. */
#define ST_AUDIT_DETAIL_ROOM (2 * ST_PERMISSIONS_TEXT_MAX + 4 * ST_NAME_MAX)

void st_audit_detail(st_writer *writer, const char *label, const char *text);
void st_audit_detail_permissions(st_writer *writer, const char *permissions);
void st_audit_detail_expiry(st_writer *writer, int64_t expires_at);
void st_audit_detail_ended(st_writer *writer, const st_ended *ended);
void st_audit_detail_made(st_writer *writer, const st_derived *made);

#endif
