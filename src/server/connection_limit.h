/* connection_limit - how many connections are open, and which of them is closed when there are more
 * than threads to serve them.
 *
 * A connection that waits says so in its entry: whether without a request (idle) or in the middle
 * of one or of its answer (begun), and since when. When there are too many, the idle one that has
 * waited longest is closed; without an idle one, one that is slow. Another thread can end the wait
 * of a connection, never its work. As long as there is room, who begins and ends a wait takes no
 * lock: a request costs its thread two atomic operations on memory of its own.
 */
#ifndef ST_SERVER_CONNECTION_LIMIT_H
#define ST_SERVER_CONNECTION_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What other threads may see of a connection. Zeroed, with its descriptor in fd, it is one that has
 * been accepted. Only the functions below touch the rest.
 */
typedef struct st_connection_entry {
  struct st_connection_entry *older, *newer; /* the lock guards these and held */
  bool held;                                 /* is known to wait, or to have a request */
  bool begun;                                /* its thread's: bytes of a request have come */
  int fd;                                    /* -1 until civetweb first asks for it */
  atomic_int waits;                          /* how; changed by its thread, and when it is closed */
  atomic_bool writing;                       /* until its client reads */
  _Atomic size_t progress;                   /* bytes of the request that have come */
  _Atomic int64_t since_us;
} st_connection_entry;

/* Once, before the first connection: how many are open at a time. */
void st_connection_limit_start(int64_t threads);

/* A thread that serves connections starts (1) or ends (-1). */
void st_connection_limit_count_workers(int change);

/* A connection was accepted, or closed; entry NULL: one that no thread ever had. */
void st_connection_limit_opened(void);
void st_connection_limit_closed(st_connection_entry *entry);

/* How many are open. */
int64_t st_connection_limit_open(void);

/* Says that the connection waits now, for a request or until its client reads; progress: bytes of
 * the request that have come; now_us: the monotonic clock. False: it is to end. Whoever ends its
 * wait shuts its socket down. Its turn is that of the first of several waits, until
 * st_connection_limit_leave.
 */
bool st_connection_limit_begin_wait(st_connection_entry *entry, bool writing, size_t progress,
                                    int64_t now_us) __attribute__((warn_unused_result));
/* The same, and waits until the descriptor has the events, or until_us. False: the time is over, or
 * the connection is to end.
 */
bool st_connection_limit_wait(st_connection_entry *entry, short events, size_t progress,
                              int64_t until_us) __attribute__((warn_unused_result));
/* busy: it has a request now. */
void st_connection_limit_leave(st_connection_entry *entry, bool busy);

/* Is a request on its way, in or out? Then it may finish when the server ends, and idle ones are
 * closed before it.
 */
void st_connection_limit_set_begun(st_connection_entry *entry, bool begun);

/* From begin_drain on nobody waits for a first request. drain ends the idle connections, waits
 * until the deadline for the others, and then ends these. True when none is left.
 */
bool st_connection_limit_is_draining(void);
void st_connection_limit_begin_drain(void);
bool st_connection_limit_drain(int64_t until_us) __attribute__((warn_unused_result));

#endif
