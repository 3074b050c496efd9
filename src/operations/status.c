/* Turns what the store answered into what the service understands, and logs what went wrong. */
#include "operations/status.h"

#include "domain/key.h"
#include "domain/store.h"
#include "os/clock.h"
#include "os/log.h"

st_changed st_status_of(st_stored stored, const char *error) {
  switch (stored) {
    case ST_STORED: return ST_CHANGED;
    case ST_STORE_NONE: return ST_CHANGED_NONE;
    case ST_STORE_EXISTS: return ST_CHANGE_EXISTS;
    case ST_STORE_REFUSED: return ST_CHANGE_REFUSED;
    case ST_STORE_OWNER_REGISTERED: return ST_CHANGE_OWNER_REGISTERED;
    case ST_STORE_OWNER_NO_USER: return ST_CHANGE_OWNER_NO_USER;
    case ST_STORE_BUSY: return ST_CHANGE_BUSY; /* the request's own line says so */
    case ST_STORE_FAILED: break;
  }
  st_log_event("store_error", error);
  return ST_CHANGE_FAILED;
}

st_audit_context st_status_now(const st_audit_context *act) {
  st_audit_context now = *act;
  now.now_us = st_clock_now_us();
  return now;
}
