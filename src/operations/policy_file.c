/* Reads a route policy from its file into memory of its own. What is wrong with the text is for the
 * caller to print: `policy check` and `verify` print it, the server logs it.
 */
#include "operations/policy_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/impossible.h"
#include "os/error.h"
#include "os/file.h"
#include "subtoken/policy.h"

static bool policy_file_read_text(const char *path, char *text, st_policy_file *file, char *error) {
  size_t len;
  if (!st_file_read(path, text, SUBTOKEN_POLICY_TEXT_MAX, &len, error)) return false;
  size_t size = subtoken_policy_size(len);
  file->memory = malloc(size);
  if (file->memory == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory");
    return false;
  }
  subtoken_result result = subtoken_policy_read(file->memory, size, (subtoken_text){text, len},
                                                &file->policy, &file->error);
  if (st_impossible(result != SUBTOKEN_OK && result != SUBTOKEN_MALFORMED, "it has its memory")) {
    snprintf(error, ST_ERROR_MAX, "%s", file->error.text);
    return false;
  }
  return true;
}

bool st_policy_file_load(const char *path, st_policy_file *file, char *error) {
  memset(file, 0, sizeof *file);
  char *text = malloc(SUBTOKEN_POLICY_TEXT_MAX);
  if (text == NULL) {
    snprintf(error, ST_ERROR_MAX, "out of memory");
    return false;
  }
  bool read = policy_file_read_text(path, text, file, error);
  free(text);
  return read;
}

void st_policy_file_free(st_policy_file *file) {
  free(file->memory);
  memset(file, 0, sizeof *file);
}
