/* stop_signal - a signal ends a long command only after it has removed what is half done. */
#ifndef ST_CLI_STOP_SIGNAL_H
#define ST_CLI_STOP_SIGNAL_H

#include <signal.h>

extern volatile sig_atomic_t st_stop_signal_received; /* the signal, or 0 */

/* From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT are noted, unless they were ignored. */
void st_stop_signal_catch(void);

/* When one was noted the process ends by it here, as the sender expects. */
void st_stop_signal_raise(void);

#endif
