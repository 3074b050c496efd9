/* listener - opens the sockets at which the server listens, and says why one cannot be had. A
 * socket in the file system takes the place of one that a server which died has left there, never
 * of one that is in use, and is removed at the end.
 */
#ifndef ST_SERVER_LISTENER_H
#define ST_SERVER_LISTENER_H

#include "domain/config.h"
#include "domain/listen.h"

#define ST_LISTENER_NAME_MAX (ST_LISTEN_TEXT_MAX + 16)

/* All or none: error, of ST_ERROR_MAX bytes, names the one that could not be had. Not twice without
 * st_listener_close in between.
 */
bool st_listener_open(const st_settings *settings, char *error) __attribute__((warn_unused_result));
size_t st_listener_count(void);
int st_listener_fd(size_t i);
/* The port, which `:0` leaves to the system; 0 for a socket in the file system. */
int st_listener_port(size_t i);
/* `http://127.0.0.1:8080` or `unix:/path`. */
void st_listener_name(size_t i, char name[ST_LISTENER_NAME_MAX]);
void st_listener_close(void);

/* One more place beside those, for the metrics alone. The answer is its descriptor, or -1; name is
 * what st_listener_name would say.
 */
int st_listener_open_metrics(const st_listen *listen, char name[ST_LISTENER_NAME_MAX], char *error)
    __attribute__((warn_unused_result));
void st_listener_close_metrics(void);

#endif
