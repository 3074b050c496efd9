/* gate - stands between the sockets and civetweb's parser.
 *
 * civetweb has no total deadline for a request, drops headers, takes two lengths
 * and reads past what it received (see third_party/civetweb_net.h). So it never
 * sees a byte that a client sent: its recv, poll and accept are ours, a request
 * is read here, whole and strictly, within one deadline, and civetweb is given
 * a fixed stand-in request, upon which it calls begin_request, which asks here
 * for the real one. Answers leave through here, too, so that a client that does not
 * read them holds nobody up. What is left to civetweb: threads, and a
 * queue of connections for them. It does not listen either: see st_connection_listen.
 *
 * The gate also keeps room for new connections: those that wait are remembered in the order in
 * which they began to. When more are open than there are threads, the idle one that has waited
 * longest is closed; without any, one that is slow with its request (find_victim in gate.c).
 */
#ifndef ST_SERVER_CONNECTION_H
#define ST_SERVER_CONNECTION_H

#include <stdatomic.h>

#include "service/request_head.h"

/* One request, as begin_request finds it. fault.status is 0 when it is good. */
typedef struct st_connection_request {
  const st_request_head *head;
  subtoken_text body;
  st_request_head_fault fault;
} st_connection_request;

/* What the gate tells the log: timeout, accept_emfile. Called from any thread. */
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

/* In begin_request: has the client closed the connection? Also when it has closed its own side
 * alone: only for what is too costly to be done for nobody. False in any other thread.
 */
bool st_connection_client_left(void) __attribute__((warn_unused_result));

/* In begin_request: the request, and afterwards that it has been answered; with
 * close the connection ends, once the client has read the answer.
 */
st_connection_request st_connection_current(void);
void st_connection_answered(bool close);

/* Is the server ending? Answers then close their connections. */
bool st_connection_draining(void);

/* Accept no more, end connections that wait for a request, and give those that
 * are being served until the deadline. True when none is left.
 */
bool st_connection_drain(int64_t milliseconds);

#endif
