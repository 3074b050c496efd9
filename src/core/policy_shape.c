/* Shapes: the sets of places in which the paths of a policy have stars. Of two paths that match a
 * target, the shapes alone say which is more specific, because the plain segments of both are those
 * of the target. A look-up tries the shapes, the most specific first, with one look-up in the hash
 * table each (policy.c). Hundreds of paths have few shapes.
 */
#include "core/policy.h"

/* The first segment that is a star in only one of the two, or SIZE_MAX. */
static size_t first_difference(const st_policy_shape *a, const st_policy_shape *b) {
  for (size_t i = 0; i < ST_POLICY_WORDS; i++) {
    uint64_t difference = a->any[i] ^ b->any[i];
    if (difference != 0) return 64 * i + (size_t)__builtin_ctzll(difference);
  }
  return SIZE_MAX;
}

/* Less than 0 when a is more specific. Where they first differ, a plain segment is before a star
 * for a segment, and that is before a final star. */
static int compare_shapes(const st_policy_shape *a, const st_policy_shape *b) {
  size_t at = first_difference(a, b), end = a->depth < b->depth ? a->depth : b->depth;
  if (a->depth != b->depth && end <= at) return a->depth > b->depth ? -1 : 1;
  if (at == SIZE_MAX) return 0;
  return (a->any[at / 64] >> at % 64 & 1) != 0 ? 1 : -1;
}

size_t st_policy_shape_of(subtoken_text path, bool wild, st_policy_shape *shape) {
  uint64_t power = ST_POLICY_HASH_STEP;
  size_t slashes = 0;
  memset(shape, 0, sizeof *shape);
  for (size_t i = 0; i < path.len; i++) {
    if (path.data[i] == '/') {
      if (slashes++ > 0) power *= ST_POLICY_HASH_STEP;
    } else if (path.data[i] == ST_PATH_ANY) {
      size_t segment = slashes - 1;
      shape->any[segment / 64] |= UINT64_C(1) << segment % 64;
      shape->any_sum += st_policy_hash_any() * power;
      shape->words = (uint16_t)(segment / 64 + 1);
    }
  }
  shape->depth = wild ? (uint16_t)(slashes - 1) : ST_POLICY_EXACT;
  if (!wild) shape->counts = st_policy_count_bit(slashes);
  return slashes;
}

bool st_policy_shape_find(const st_policy_shape *shapes, size_t count, const st_policy_shape *shape,
                          size_t *at) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare_shapes(&shapes[middle], shape);
    *at = middle;
    if (order == 0) return true;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  *at = low;
  return false;
}
