/* sized - structures that carry their size, so that a later version can add members at their
 * end (libsubtoken(3), Versions). What a caller hands in may be of an earlier version, and then
 * ends sooner: what it lacks has its default. Nothing is read or written behind its size.
 */
#ifndef ST_CORE_SIZED_H
#define ST_CORE_SIZED_H

#include "base/bytes.h"
#include "subtoken/issue.h"
#include "subtoken/verify.h"

/* Is this the size of a structure of some version? least: up to the last member without which it is
 * of no use; most: the size in this version. A structure of a later version may ask for something
 * that this library does not know. */
static inline bool st_sized_fits(size_t size, size_t least, size_t most) {
  return size >= least && size <= most && size % _Alignof(size_t) == 0;
}

/* Copy `given`, which is of an earlier version, with the defaults behind it. NULL when its size
 * does not fit. standard and copy have `most` bytes. The first member of each structure is its
 * size. */
const void *st_sized_fill(const void *given, size_t least, size_t most, const void *standard,
                          void *copy) __attribute__((warn_unused_result));

/* Copy a result to the structure of the caller as far as that goes; its size stays. */
static inline void st_sized_copy(void *to, size_t to_size, const void *made) {
  memcpy((char *)to + sizeof(size_t), (const char *)made + sizeof(size_t),
         to_size - sizeof(size_t));
}

/* Each returns `given` itself when it is of this version, which costs a comparison, and else a
 * copy. NULL stays NULL. */
static inline const subtoken_verifier *st_sized_verifier(const subtoken_verifier *given,
                                                         subtoken_verifier *copy) {
  static const subtoken_verifier standard = SUBTOKEN_VERIFIER_DEFAULT;
  if (given == NULL || given->size == sizeof *given) return given;
  return st_sized_fill(given, offsetof(subtoken_verifier, iss), sizeof *given, &standard, copy);
}

static inline const subtoken_request *st_sized_request(const subtoken_request *given,
                                                       subtoken_request *copy) {
  static const subtoken_request standard = SUBTOKEN_REQUEST_DEFAULT;
  if (given == NULL || given->size == sizeof *given) return given;
  return st_sized_fill(given, offsetof(subtoken_request, needs), sizeof *given, &standard, copy);
}

/* Are both there, and of this version? */
static inline bool st_sized_current(const subtoken_verifier *verifier,
                                    const subtoken_request *request) {
  return verifier != NULL && request != NULL && verifier->size == sizeof *verifier &&
         request->size == sizeof *request;
}

static inline const subtoken_issue_request *st_sized_issue_request(
    const subtoken_issue_request *given, subtoken_issue_request *copy) {
  static const subtoken_issue_request standard = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  if (given == NULL || given->size == sizeof *given) return given;
  return st_sized_fill(given, offsetof(subtoken_issue_request, has_urls), sizeof *given, &standard,
                       copy);
}

static inline const subtoken_limits *st_sized_limits(const subtoken_limits *given,
                                                     subtoken_limits *copy) {
  static const subtoken_limits standard = SUBTOKEN_LIMITS_DEFAULT;
  if (given == NULL || given->size == sizeof *given) return given;
  return st_sized_fill(given, offsetof(subtoken_limits, max_life), sizeof *given, &standard, copy);
}

#endif
