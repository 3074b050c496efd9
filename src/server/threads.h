/* threads - the threads and the memory that civetweb runs in. It takes no notice of a thread that
 * cannot be started or of memory that there is not: it would serve with fewer threads, or accept
 * nothing for ever. So both are had whole before it starts, or the start fails with a word; what
 * civetweb then calls in place of pthread_create and malloc (third_party/civetweb_net.h) hands them
 * out, and does not fail.
 */
#ifndef ST_SERVER_THREADS_H
#define ST_SERVER_THREADS_H

#include <stdbool.h>
#include <stddef.h>

/* Called in each worker: at its start, where false is no memory, and at its end, unless that. */
typedef bool st_threads_begin(void);
typedef void st_threads_end(void);

/* Starts so many workers, and one more thread, which accepts. They wait for what civetweb gives
 * them. False: none is left.
 */
bool st_threads_start(size_t workers, st_threads_begin *begin, st_threads_end *end, char *error)
    __attribute__((warn_unused_result));

/* After civetweb has ended, or has not started: ends the threads that were given nothing. */
void st_threads_stop(void);

#endif
