/* http - the HTTP server: starts civetweb, and turns requests into replies. */
#ifndef ST_SERVER_HTTP_H
#define ST_SERVER_HTTP_H

#include "domain/config.h"
#include "domain/store.h"

/* Listen and answer from the store, with what runtime_config.h has in force. error names the
 * address that could not be had.
 */
bool st_http_start(const st_settings *settings, st_store *store, char *error)
    __attribute__((warn_unused_result));

/* Bring into force what can change while it runs, of settings that were read again. */
void st_http_apply(const st_settings *settings);

/* Drain and end, within about five seconds. */
void st_http_stop(void);

#endif
