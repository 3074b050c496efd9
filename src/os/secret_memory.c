/* Memory that is kept out of swap and core dumps, and wiped when it is freed. For a secret of one
 * call a buffer on the stack and subtoken_wipe do.
 */
#include "os/secret_memory.h"

#include <sys/mman.h>

#include "subtoken/common.h"

void *st_secret_memory_alloc(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  /* Both may be forbidden to us (RLIMIT_MEMLOCK, an old kernel): still usable. */
  (void)mlock(memory, size);
  (void)madvise(memory, size, MADV_DONTDUMP);
  return memory;
}

void st_secret_memory_free(void *memory, size_t size) {
  if (memory == NULL) return;
  subtoken_wipe(memory, size);
  (void)munmap(memory, size);
}
