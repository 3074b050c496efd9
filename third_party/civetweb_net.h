/*
 * Read before the first line of civetweb.c (gcc -include): civetweb then reads,
 * waits, listens and accepts through src/server/connection.c.
 *
 * What civetweb lacks and no setting of it gives:
 *  - a total deadline for a request. Each read of a body may take all of
 *    request_timeout_ms again, so a client that drips one byte a second holds a
 *    worker thread for as long as it likes. st_net_recv and st_net_poll know when
 *    the connection's request began.
 *  - a pause when accept() fails. With no file descriptor left (EMFILE) the
 *    connection stays in the backlog, poll() reports it at once again, and the
 *    accepting thread spins at full load. st_net_accept waits a little.
 *  - a clean buffer. A request that starts with an empty line is parsed beyond
 *    the bytes received, into what the worker's former connection left there:
 *    its Authorization header too. st_net_recv clears the buffer before it reads.
 *
 *  - a word on why it cannot listen, sockets in the file system, and one socket
 *    for IPv6 and IPv4. src/server/listener.c opens them: st_net_bind and
 *    st_net_listen do nothing with the one socket that civetweb makes, and where
 *    it polls and accepts that one, connection.c does so with all of ours.
 *
 *  - a word when it cannot start a thread or has no memory for one: it goes on with
 *    fewer threads, and when it is the one that accepts, with none that does.
 *    src/server/threads.c has all threads and all memory ready before it starts.
 *
 * They have the prototypes and meaning of the libc functions. A file that
 * needs the prototypes alone defines ST_NET_PROTOTYPES_ONLY first.
 */
#ifndef SUBTOKEN_CIVETWEB_NET_H
#define SUBTOKEN_CIVETWEB_NET_H

/* civetweb.c asks for this before its first include, which is too late here. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

/* First, so that the names below do not change in libc's own declarations. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t st_net_recv(int fd, void *buf, size_t len, int flags);
int st_net_poll(struct pollfd *fds, nfds_t nfds, int timeout_ms);
int st_net_bind(int fd, const struct sockaddr *addr, socklen_t len);
int st_net_listen(int fd, int backlog);
int st_net_accept(int fd, struct sockaddr *restrict addr, socklen_t *restrict len);

int st_net_thread(pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
void *st_net_malloc(size_t size);
void *st_net_calloc(size_t count, size_t size);
void *st_net_realloc(void *memory, size_t size);
void st_net_free(void *memory);

#ifndef ST_NET_PROTOTYPES_ONLY
#define recv st_net_recv
#define poll st_net_poll
#define accept st_net_accept
#define bind st_net_bind
#define listen st_net_listen
#define pthread_create(id, attr, run, arg) st_net_thread(id, attr, run, arg)
#define malloc(size) st_net_malloc(size)
#define calloc(count, size) st_net_calloc(count, size)
#define realloc(memory, size) st_net_realloc(memory, size)
#define free(memory) st_net_free(memory)
#endif

#endif
