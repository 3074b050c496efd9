/* secret_memory - memory for secrets that live long. */
#ifndef ST_OS_SECRET_MEMORY_H
#define ST_OS_SECRET_MEMORY_H

#include <stddef.h>

/* Zeroed memory for secrets: kept out of swap and core dumps where the system
 * allows; wiped when it is given back. NULL when there is none.
 */
void *st_secret_memory_alloc(size_t size) __attribute__((warn_unused_result));
void st_secret_memory_free(void *memory, size_t size);

#endif
