/* subtoken/url.h - one reading of a request path, and the URL allowlist, on their own.
 *
 * Nothing is resolved or guessed: a path that two programs could read
 * differently is refused (dot segments, doubled slashes, escaped slashes, double
 * escapes, `;`, a `#`, bytes that RFC 3986 section 3.3 does not allow). Paths
 * are compared decoded, segment by segment, by exact bytes.
 *
 * An entry of the allowlist is a path such as `/v2/account`. One whose last
 * segment is a star stands for everything under it, at any depth, but not for
 * the path itself. A star that is a whole segment before the last stands for
 * exactly one, which is not empty: `/v2/characters/X/inventory` with a star for
 * X. A star anywhere else is refused; as data it is `%2A`, in a request target
 * it always is data. A method may stand in front, `GET:/v2/items`; GET lets
 * HEAD through too.
 */
#ifndef SUBTOKEN_URL_H
#define SUBTOKEN_URL_H

#include "subtoken/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The canonical path of a request target: the one text under which this
 * library reads it, escapes in upper case and only where they are needed.
 * SUBTOKEN_BAD_TARGET with *fault (may be NULL) when it can be read in more
 * than one way. out_size of 3 * SUBTOKEN_PATH_MAX + 1 is always enough; a NUL
 * follows the *out_len bytes.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_target_path(subtoken_text target,
                                                                       char *out, size_t out_size,
                                                                       size_t *out_len,
                                                                       subtoken_fault *fault);

/* The canonical text of an entry: what an issuer puts into `urls`.
 * SUBTOKEN_BAD_URL with *fault (may be NULL). out_size of SUBTOKEN_URL_MAX + 1
 * is always enough; a NUL follows the *out_len bytes.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_canonical(subtoken_text entry,
                                                                         char *out, size_t out_size,
                                                                         size_t *out_len,
                                                                         subtoken_fault *fault);

/* Does this entry let this method and target through? SUBTOKEN_OK,
 * SUBTOKEN_URL when it does not, SUBTOKEN_BAD_TARGET, SUBTOKEN_BAD_URL. An
 * absent method (data NULL) is let through only by an entry that names none; an
 * absent target is SUBTOKEN_BAD_TARGET.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_allows(subtoken_text entry,
                                                                      subtoken_text method,
                                                                      subtoken_text target);

/* May an entry `inner` be handed on by whoever holds `outer`? All that it lets through
 * outer does too, and its method is outer's or added to none; GET is not changed
 * to HEAD. Segment by segment a star of outer covers a plain segment or a star, a
 * plain segment only itself; what its final star stands for covers both. SUBTOKEN_OK,
 * SUBTOKEN_URL_WIDER when it may not, SUBTOKEN_BAD_URL.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_covers(subtoken_text outer,
                                                                      subtoken_text inner);

/* Would these claims let this method and target through? SUBTOKEN_OK,
 * SUBTOKEN_BAD_TARGET or SUBTOKEN_URL; SUBTOKEN_INVALID_ARGUMENT for claims whose
 * counts or slices are out of range. The URL rule of subtoken_verify alone: an absent
 * target is let through by claims that allow every path.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_url_match(const subtoken_claims *claims,
                                                                     subtoken_text method,
                                                                     subtoken_text target);

#ifdef __cplusplus
}
#endif

#endif
