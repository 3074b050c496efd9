/* subtoken/cache.h - tokens that were seen before need not be authenticated again.
 *
 * A client sends the same token with hundreds of requests. What authenticating it gives (its form,
 * its signature, its claims) depends on the token and the ring alone, so a cache can remember it.
 * What is decided is never remembered: times, revocation, URLs and permissions are looked at anew
 * for each request, by the same code.
 *
 *   static _Alignas(64) char memory[1 << 20]; // one for each thread or worker
 *   static subtoken_cache cache;
 *   if (subtoken_cache_init(&cache, memory, sizeof memory) != SUBTOKEN_OK) stop();
 *   verifier.cache = &cache;                  // subtoken_verify uses it from now on
 *   ...
 *   subtoken_cache_wipe(&cache);              // it holds tokens
 *
 * What is kept      Tokens that were good under the ring, whole, with their claims. Never one that
 *                   was refused. A token of 360 characters needs about 720 bytes, so that 1 MiB
 *                   keeps about 1,400. A token that needs more than a quarter of the memory is
 *                   not kept.
 * What is found     An entry is found by a hash of the signature of the token, and taken only when
 *                   all bytes of the token are equal. The time of that comparison depends on the
 *                   length of the token and not on its bytes. Which entries are compared depends on
 *                   the whole signature: whoever measures it learns of a signature that is wrong in
 *                   any character nothing but that.
 * The ring          The cache has a copy of the ring that the entries were good under. When the
 *                   ring of a call differs from it in any way, all entries are wiped first.
 * What is replaced  The oldest entry, unless it was used since it was last looked at: tokens that
 *                   come once do not replace those that come again.
 * Threads           One thread at a time: give each its own. The library takes no lock.
 * Memory            The caller's; nothing is allocated. It holds tokens and the ring's secrets in
 *                   the form in which a ring has them: protect it as you protect the ring, and wipe
 *                   it at the end.
 */
#ifndef SUBTOKEN_CACHE_H
#define SUBTOKEN_CACHE_H

#include "subtoken/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A cache in memory of the caller's, which stays where it is. Zeroed memory is an empty cache: for
 * such the members may be set by hand.
 */
typedef struct subtoken_cache {
  size_t size;        /* of this structure (common.h, Sizes) */
  void *memory;       /* of any alignment; 64 is best */
  size_t memory_size; /* at least SUBTOKEN_CACHE_MIN */
} subtoken_cache;

#define SUBTOKEN_CACHE_DEFAULT \
  { sizeof(subtoken_cache), NULL, 0 }

#define SUBTOKEN_CACHE_MIN 16384 /* bytes of memory, the least */

/* The bytes of memory for about so many tokens of 360 characters, at least SUBTOKEN_CACHE_MIN. 0
 * when there is no such size.
 */
SUBTOKEN_EXPORT size_t subtoken_cache_size(size_t tokens);

/* Make an empty cache: zeroes the memory. SUBTOKEN_BUFFER_TOO_SMALL when memory_size is less than
 * SUBTOKEN_CACHE_MIN; SUBTOKEN_INVALID_ARGUMENT when a pointer is NULL. On failure *cache is
 * zeroed, and a verifier that has it refuses every token with SUBTOKEN_INVALID_ARGUMENT.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_cache_init(subtoken_cache *cache,
                                                                      void *memory,
                                                                      size_t memory_size);

/* Overwrite the memory with zeros, as subtoken_wipe does. The cache is empty and may be used
 * further. Does nothing when cache is NULL or zeroed.
 */
SUBTOKEN_EXPORT void subtoken_cache_wipe(subtoken_cache *cache);

#ifdef __cplusplus
}
#endif

#endif
