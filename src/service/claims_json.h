/* claims_json - parts of claims as members of a JSON object, as the calls that tell what a
 * credential may do answer them.
 */
#ifndef ST_SERVICE_CLAIMS_JSON_H
#define ST_SERVICE_CLAIMS_JSON_H

#include "base/bytes.h"
#include "subtoken/common.h"

/* Each writes a comma, the name and the value. */
void st_claims_json_permissions(st_writer *writer, const subtoken_claims *claims);
/* Nothing when every url is allowed. */
void st_claims_json_urls(st_writer *writer, const subtoken_claims *claims);
/* The one audience, or null. */
void st_claims_json_audience(st_writer *writer, const subtoken_claims *claims);
/* A time, or null for ST_NEVER. */
void st_claims_json_time(st_writer *writer, const char *name, int64_t at);
/* A text, or null when it is empty. */
void st_claims_json_text(st_writer *writer, const char *name, subtoken_text text);

#endif
