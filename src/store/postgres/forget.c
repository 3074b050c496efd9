/* Forgets what requests are answered from: what a change here has written, and what others have
 * (watch.c). It is remembered in read_path.c.
 */
#include "store/key_cache.h"
#include "store/postgres/postgres.h"

void st_postgres_forget(st_postgres *store, const uint64_t *digests8, size_t count) {
  if (digests8 != NULL) {
    st_key_cache_forget(store->cache, digests8, count);
  } else {
    st_key_cache_forget_all(store->cache);
  }
}
