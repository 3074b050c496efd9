/* One semaphore a lock, for service/basic_auth.c, which may not ask a clock and so cannot wait by
 * itself.
 */
#include "server/basic_locks.h"

#include "os/semaphore.h"

#define LOCK ST_SEMAPHORE(1, ST_BASIC_WAITING)
#define FOUR_LOCKS LOCK, LOCK, LOCK, LOCK

static st_semaphore basic_locks[] = {FOUR_LOCKS, FOUR_LOCKS, FOUR_LOCKS, FOUR_LOCKS};
_Static_assert(sizeof basic_locks / sizeof basic_locks[0] == ST_BASIC_LOCKS, "one each");

static bool basic_locks_enter(size_t lock, int64_t until_us) {
  return st_semaphore_enter(&basic_locks[lock], until_us);
}

static void basic_locks_leave(size_t lock) {
  st_semaphore_leave(&basic_locks[lock]);
}

st_basic_locks st_basic_locks_get(void) {
  return (st_basic_locks){basic_locks_enter, basic_locks_leave};
}

void st_basic_locks_close(int64_t at_us) {
  for (size_t i = 0; i < ST_BASIC_LOCKS; i++) st_semaphore_close(&basic_locks[i], at_us);
}
