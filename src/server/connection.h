/* connection - stands between the sockets and civetweb's parser.
 *
 * civetweb has no total deadline for a request, drops headers, takes two lengths and reads past
 * what it received (see third_party/civetweb_net.h). So it never sees a byte that a client sent:
 * its recv, poll and accept are ours. A request is read here, whole and strictly, within one
 * deadline. Then civetweb is given a fixed stand-in request and calls begin_request, which asks
 * here for the real one. Answers leave through here, too, so that a client that does not read them
 * holds nobody up. What is left to civetweb: threads, and a queue of connections for them. It does
 * not listen either: see st_connection_listen.
 *
 * Which connection is closed when there are too many: connection_limit.h.
 */
#ifndef ST_SERVER_CONNECTION_H
#define ST_SERVER_CONNECTION_H

#include <stdatomic.h>

#include "service/request_head.h"

/* One request, as begin_request finds it. fault.status is 0 when it is good. */
typedef struct st_connection_request {
  const st_request_head *head;
  subtoken_text body;
  st_problem fault;
  int64_t read_us; /* when its last byte was, on the monotonic clock */
} st_connection_request;

/* Is told the events timeout and accept_emfile, for the log. Called from any thread. */
typedef void st_connection_report(const char *event);

/* Before civetweb starts: the sockets, which listen already, that connections are accepted from
 * instead of the one that civetweb opens. They stay the caller's.
 */
void st_connection_listen(const int *listeners, size_t count);

/* Once, before civetweb starts. threads: how many connections are served at once. */
void st_connection_setup(int64_t threads, st_connection_report *report);

/* How long a connection may wait for its next request; its first has to begin within 10 s. */
void st_connection_set_idle(int64_t seconds);

/* In the worker thread: at its start and end, and around each connection. */
bool st_connection_thread_start(void) __attribute__((warn_unused_result));
void st_connection_thread_end(void);
void st_connection_open(void);
void st_connection_close(void);

/* In begin_request: send the answer, within ten seconds of when the request was read, and a second
 * more for each MiB; false when the client did not take it all, and the connection must end. So it
 * is soon after *retired became true (NULL: never).
 */
bool st_connection_send(const char *data, size_t len, const atomic_bool *retired)
    __attribute__((warn_unused_result));

/* The same for a part that others follow, so that the system may send them together. */
bool st_connection_send_part(const char *data, size_t len, const atomic_bool *retired)
    __attribute__((warn_unused_result));

/* In begin_request: has the client closed the connection? Also when it has closed its own side
 * alone: only for what is too costly to be done for nobody. False in any other thread.
 */
bool st_connection_client_left(void) __attribute__((warn_unused_result));

/* In begin_request, before the answer is begun: waits until until_us, or until another thread wakes
 * this one. False when the client has closed the connection, or its side of it. The answer has its
 * ten seconds from st_connection_end_wait on, which follows the last wait.
 */
bool st_connection_wait(int64_t until_us) __attribute__((warn_unused_result));
void st_connection_end_wait(void);
/* What st_connection_wake takes to wake this thread, now or when it waits next; -1: there is none,
 * do not wait. Nobody wakes it any more when it ends its wait.
 */
int st_connection_waker(void) __attribute__((warn_unused_result));
void st_connection_wake(int waker);

/* In begin_request: the request, and afterwards that it has been answered; with close the
 * connection ends, once the client has read the answer.
 */
st_connection_request st_connection_get_request(void);
void st_connection_end_request(bool close);

/* In begin_request, after st_connection_end_request: waits for the next request of the connection.
 * True: it is there. False: the connection is at its end. So requests after the first one cost
 * nothing of civetweb's.
 */
bool st_connection_next_request(void) __attribute__((warn_unused_result));

/* Is the server ending? Answers then close their connections. */
bool st_connection_draining(void);

/* Accept no more, and close each connection with its answer. */
void st_connection_begin_drain(void);
/* After that: end connections that wait for a request, and give those that are being served
 * until the deadline. True when none is left.
 */
bool st_connection_drain(int64_t milliseconds) __attribute__((warn_unused_result));

#endif
