/* Logs what went wrong in the store for the service, which has no log of such things; and the time
 * of a change.
 */
#include "operations/status.h"

#include "domain/key.h"
#include "domain/store.h"
#include "os/clock.h"
#include "os/log.h"

st_store_status st_status_log(st_store_status status, const char *error) {
  if (status == ST_STORE_FAILED) st_log_event("store_error", error);
  if (status == ST_STORE_IN_DOUBT) st_log_event("store_in_doubt", error);
  return status;
}

st_audit_context st_status_now(const st_audit_context *context) {
  st_audit_context now = *context;
  now.now_us = st_clock_now_us();
  return now;
}
