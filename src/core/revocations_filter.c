/* Builds the filter of a view: a blocked Bloom filter (Putze, Sanders, Singler, 2007) with blocks
 * of one word. revocations.c looks up in it.
 */
#include "base/bytes.h"
#include "core/revocations_format.h"
#include "subtoken/revocations.h"

static uint32_t words_for(uint32_t count) {
  return count / 8 + 1;
}

size_t subtoken_revocations_filter_size(uint32_t count) {
  uint64_t size = UINT64_C(8) * words_for(count);
  return size <= SIZE_MAX / 2 ? (size_t)size : 0;
}

static bool can_build(const subtoken_revocations *view, const void *memory, const uint32_t *done) {
  return view != NULL && view->hashes != NULL && memory != NULL && done != NULL &&
         *done <= view->count && (uintptr_t)memory % _Alignof(uint64_t) == 0;
}

subtoken_feed_result subtoken_revocations_filter_build(subtoken_revocations *view, void *memory,
                                                       size_t size, uint32_t *done,
                                                       uint32_t at_most) {
  if (!can_build(view, memory, done)) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  size_t needed = subtoken_revocations_filter_size(view->count); /* 0: no memory is large enough */
  if (needed - 1 >= size) return SUBTOKEN_FEED_BUFFER_TOO_SMALL;
  uint64_t *filter = memory;
  uint32_t words = words_for(view->count), left = view->count - *done;
  uint32_t slice = at_most > 0 ? at_most : SUBTOKEN_REVOCATIONS_SLICE / 8;
  const uint8_t *at = view->hashes + 8 * (size_t)*done;
  if (slice > left) slice = left;
  for (uint32_t i = 0; i < slice; i++, at += 8) {
    uint64_t hash = st_load64(at);
    filter[st_filter_word(hash, words)] |= st_filter_bits(hash);
  }
  *done += slice;
  if (slice < left) return SUBTOKEN_FEED_MORE;
  view->filter = filter;
  view->filter_words = words;
  return SUBTOKEN_FEED_OK;
}
