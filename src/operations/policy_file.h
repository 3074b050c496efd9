/* policy_file - a route policy from its file. */
#ifndef ST_OPERATIONS_POLICY_FILE_H
#define ST_OPERATIONS_POLICY_FILE_H

#include "subtoken/policy.h"

typedef struct st_policy_file {
  const subtoken_policy *policy; /* NULL: .error says what is wrong with the text */
  subtoken_policy_error error;
  void *memory;
} st_policy_file;

/* False, and error, of ST_ERROR_MAX bytes, when the file could not be read. When it was read and is
 * not a policy, file->error says why. st_policy_file_free is to be called in every case.
 */
bool st_policy_file_load(const char *path, st_policy_file *file, char *error)
    __attribute__((warn_unused_result));
void st_policy_file_free(st_policy_file *file);

#endif
