/* policy_file - a route policy from its file, as `policy check` and `verify` read it. */
#ifndef ST_OPERATIONS_POLICY_FILE_H
#define ST_OPERATIONS_POLICY_FILE_H

#include "subtoken/policy.h"

typedef struct st_policy_file {
  const subtoken_policy *policy; /* NULL: .error says what is wrong with the text */
  subtoken_policy_error error;
  void *memory;
} st_policy_file;

/* False with why, of ST_ERROR_MAX bytes, when the file could not be looked at, whatever stands
 * in it. Both outcomes end with st_policy_file_drop.
 */
bool st_policy_file_load(const char *path, st_policy_file *file, char *error)
    __attribute__((warn_unused_result));
void st_policy_file_drop(st_policy_file *file);

#endif
