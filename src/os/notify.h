/* notify - tells systemd how a service is: sd_notify(3), without its library. Outside of a service
 * of Type=notify each function does nothing. All of them are for one thread.
 */
#ifndef ST_OS_NOTIFY_H
#define ST_OS_NOTIFY_H

#include <stdint.h>

/* Read from the environment who is to be told. What cannot be used is as if it were not there. */
void st_notify_start(void);

/* It is ready, also after a reload; it reads its settings again; it ends. */
void st_notify_ready(void);
void st_notify_reloading(void);
void st_notify_stopping(void);

/* What `systemctl status` shows. Of several lines the first. */
void st_notify_status(const char *status);

/* How often st_notify_alive must be called, in microseconds, lest the service be restarted; 0:
 * nobody watches. To call it more often costs nothing. */
int64_t st_notify_interval_us(void);
void st_notify_alive(void);

#endif
