/* The functions of subtoken/url.h that take texts alone: each reads its arguments with paths.c and
 * compares them with paths_match.c. subtoken_url_match, which takes claims, is in decide.c.
 */
#include "subtoken/url.h"

#include "core/paths.h"

subtoken_result subtoken_target_path(subtoken_text target, char *out, size_t out_size,
                                     size_t *out_len, subtoken_fault *fault) {
  st_path path;
  if (fault != NULL) *fault = SUBTOKEN_FAULT_NONE;
  if (!st_empty_out(out, out_size, out_len)) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_fault found = st_paths_read_target(target, &path);
  if (fault != NULL) *fault = found;
  if (found != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_TARGET;
  st_writer writer = st_writer_on(out, out_size);
  st_paths_write_path(&writer, &path);
  if (!st_writer_end(&writer)) return SUBTOKEN_BUFFER_TOO_SMALL;
  *out_len = writer.len;
  return SUBTOKEN_OK;
}

subtoken_result subtoken_url_canonical(subtoken_text text, char *out, size_t out_size,
                                       size_t *out_len, subtoken_fault *fault) {
  st_entry entry;
  if (fault != NULL) *fault = SUBTOKEN_FAULT_NONE;
  if (!st_empty_out(out, out_size, out_len)) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_fault found = st_paths_read_entry(text, &entry);
  if (fault != NULL) *fault = found;
  if (found != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_URL;
  st_writer writer = st_writer_on(out, out_size);
  st_paths_write_entry(&writer, &entry);
  if (!st_writer_end(&writer)) return SUBTOKEN_BUFFER_TOO_SMALL;
  *out_len = writer.len;
  return SUBTOKEN_OK;
}

subtoken_result subtoken_url_allows(subtoken_text text, subtoken_text method,
                                    subtoken_text target) {
  st_path path;
  st_entry entry;
  if (st_paths_read_entry(text, &entry) != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_URL;
  if (st_paths_read_target(target, &path) != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_TARGET;
  return st_paths_match_entry(&entry, method, &path) ? SUBTOKEN_OK : SUBTOKEN_URL;
}

subtoken_result subtoken_url_covers(subtoken_text outer, subtoken_text inner) {
  st_entry a, b;
  if (st_paths_read_entry(outer, &a) != SUBTOKEN_FAULT_NONE ||
      st_paths_read_entry(inner, &b) != SUBTOKEN_FAULT_NONE) {
    return SUBTOKEN_BAD_URL;
  }
  return st_paths_match_covers(&a, &b) ? SUBTOKEN_OK : SUBTOKEN_URL_WIDER;
}
