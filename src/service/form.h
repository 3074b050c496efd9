/* form - `name=value` pairs of a query or a form body. */
#ifndef ST_SERVICE_FORM_H
#define ST_SERVICE_FORM_H

#include "base/bytes.h"

/* One `name=value` of a query or form, form-decoded where it was put. */
typedef struct st_pair {
  subtoken_text name;
  subtoken_text value;
  bool bad_escape; /* % without two hex digits; value is then as it was */
} st_pair;

/* Cut the next pair off a query or form body and decode it into out, which needs
 * as many bytes as are left. False when nothing is left. (WHATWG URL standard,
 * application/x-www-form-urlencoded parsing.)
 */
bool st_form_next_pair(st_cutter *cutter, st_writer *out, st_pair *pair);
/* The same for the next pair of that name; most others are not decoded. */
bool st_form_next_named(st_cutter *cutter, const char *name, st_writer *out, st_pair *pair);

/* Decode one text in the same way. False: a % without two hex digits, or no room. */
bool st_form_decode(subtoken_text raw, st_writer *out, subtoken_text *decoded)
    __attribute__((warn_unused_result));

/* The same of a piece of a path, in which + is a +. */
bool st_form_decode_path(subtoken_text raw, st_writer *out, subtoken_text *decoded)
    __attribute__((warn_unused_result));

#endif
