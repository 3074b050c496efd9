/* demo - what `subtoken serve --demo` makes and prints. */
#ifndef ST_CLI_DEMO_H
#define ST_CLI_DEMO_H

#include "domain/store.h"

#define ST_DEMO_URL_MAX 320

/* How curl reaches the server. */
typedef struct st_demo_server {
  char via[ST_DEMO_URL_MAX + 32]; /* options for a socket, and a space; or empty */
  char url[ST_DEMO_URL_MAX];
  bool page; /* a browser gets the page there */
} st_demo_server;

/* dir: the name of DATA. Keys and passwords are printed this once. */
bool st_demo_show(st_store *store, const char *dir, const st_demo_server *server, char *error)
    __attribute__((warn_unused_result));

#endif
