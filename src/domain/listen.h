/* listen - where the server takes connections: the text of a setting, read. Nothing is opened here
 * (server/listener.c does that).
 */
#ifndef ST_DOMAIN_LISTEN_H
#define ST_DOMAIN_LISTEN_H

#include "subtoken/common.h"

#define ST_LISTEN_MAX 16       /* places to listen at */
#define ST_LISTEN_TEXT_MAX 128 /* with the NUL */
/* What a socket's address holds, less what a new one has behind its name until it is in place. */
#define ST_LISTEN_PATH_MAX 100

typedef enum st_listen_kind {
  ST_LISTEN_NONE = 0,
  ST_LISTEN_V4,
  ST_LISTEN_V6,
  ST_LISTEN_UNIX
} st_listen_kind;

typedef struct st_listen {
  st_listen_kind kind;
  char text[ST_LISTEN_TEXT_MAX]; /* as it was given, but for `localhost` */
  uint8_t address[16];           /* of ST_LISTEN_V4 the first 4 */
  uint16_t port;                 /* 0: any */
} st_listen;

/* `192.0.2.1:8080`, `[2001:db8::1]:8080`, `localhost:8080` or `unix:/path`. */
bool st_listen_read(subtoken_text text, st_listen *listen) __attribute__((warn_unused_result));

/* Can only this machine connect? */
bool st_listen_is_local(const st_listen *listen);

/* The path of ST_LISTEN_UNIX. */
const char *st_listen_path(const st_listen *listen);

#endif
