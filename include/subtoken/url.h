/* subtoken/url.h - the path of a request, and the URL allowlist.
 *
 * Nothing is resolved or guessed. A path that two programs could read differently is refused: dot
 * segments, doubled slashes, escaped slashes, double escapes, `;`, `#`, and bytes that RFC 3986
 * section 3.3 does not allow. Paths are decoded and then compared segment by segment, by exact
 * bytes.
 *
 * An entry of the allowlist is a path, `/v2/account`. When its last segment is a star, it allows
 * every path below, at any depth, but not the path itself. A star that is a whole segment before
 * the last stands for exactly one segment that is not empty: `/v2/characters/X/inventory` with a
 * star for X. A star elsewhere is refused. As data it is written `%2A`; in a request target it is
 * always data. An entry may start with a method, `GET:/v2/items`; GET allows HEAD too.
 */
#ifndef SUBTOKEN_URL_H
#define SUBTOKEN_URL_H

#include "subtoken/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The canonical path of a request target: escapes in upper case, and only where they are needed.
 * Two targets with one canonical path are the same path to this library; route on it.
 * SUBTOKEN_BAD_TARGET, with what is wrong in *fault (may be NULL), when the target can be read in
 * more than one way; SUBTOKEN_BUFFER_TOO_SMALL. An out_size of 3 * SUBTOKEN_PATH_MAX + 1 is always
 * enough. About 5 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_target_path(subtoken_text target,
                                                                       char *out, size_t out_size,
                                                                       size_t *out_len,
                                                                       subtoken_fault *fault);

/* The canonical text of an entry, which is what an issuer puts into `urls`. SUBTOKEN_BAD_URL, with
 * what is wrong in *fault (may be NULL); SUBTOKEN_BUFFER_TOO_SMALL. An out_size of
 * SUBTOKEN_URL_MAX + 1 is always enough. About 5 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_canonical(subtoken_text entry,
                                                                         char *out, size_t out_size,
                                                                         size_t *out_len,
                                                                         subtoken_fault *fault);

/* Does this entry allow this method and target? SUBTOKEN_OK, SUBTOKEN_URL when it does not,
 * SUBTOKEN_BAD_TARGET, SUBTOKEN_BAD_URL. An entry with a method does not allow an absent method
 * (data NULL). An absent target is SUBTOKEN_BAD_TARGET. About 9 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_allows(subtoken_text entry,
                                                                      subtoken_text method,
                                                                      subtoken_text target);

/* Does the entry outer allow all that the entry inner allows, so that who holds outer may issue a
 * token with inner? The method of inner must be that of outer, unless outer has none; HEAD does not
 * count as GET here. Segment by segment, a star of outer covers a plain segment and a star, and a
 * plain segment covers only itself; the final star of outer covers everything below.
 * SUBTOKEN_OK, SUBTOKEN_URL_WIDER when it does not, SUBTOKEN_BAD_URL. About 9 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_covers(subtoken_text outer,
                                                                      subtoken_text inner);

/* Do these claims allow this method and target? This is the rule of subtoken_verify for URLs:
 * claims that allow every path also allow an absent target. SUBTOKEN_OK, SUBTOKEN_BAD_TARGET,
 * SUBTOKEN_URL; SUBTOKEN_INVALID_ARGUMENT when claims is NULL or its counts or slices are out of
 * range. About 5 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_match(const subtoken_claims *claims,
                                                                     subtoken_text method,
                                                                     subtoken_text target);

#ifdef __cplusplus
}
#endif

#endif
