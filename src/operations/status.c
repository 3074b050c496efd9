/* Turns what the store answered into what the service understands, and logs what went wrong. */
#include "operations/status.h"

#include "domain/key.h"
#include "domain/store.h"
#include "os/clock.h"
#include "os/log.h"

st_changed st_key_changes_told(st_stored stored, const char *why) {
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
  st_log_event("store_error", why);
  return ST_CHANGE_FAILED;
}

st_act st_key_changes_now(const st_act *act) {
  st_act now = *act;
  now.now_us = st_world_now_us();
  return now;
}
