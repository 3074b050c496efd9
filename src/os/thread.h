/* thread - starts a thread, or says why there is none. */
#ifndef ST_OS_THREAD_H
#define ST_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* purpose: what it is for, as "the log". */
bool st_thread_start(pthread_t *thread, void *(*run)(void *), void *context, const char *purpose,
                     char *error) __attribute__((warn_unused_result));

#endif
