/* store_status - what the store answers, to a question or a change. */
#ifndef ST_DOMAIN_STORE_STATUS_H
#define ST_DOMAIN_STORE_STATUS_H

typedef enum st_store_status {
  /* It could not be read or written: I/O, a full disk, damage. A change has not been made. */
  ST_STORE_FAILED = 0,
  ST_STORE_OK,        /* found; or the change is durable, and in force */
  ST_STORE_NOT_FOUND, /* there is no such key, user or session, and nothing tells of one before */
  ST_STORE_REVOKED,   /* of a key by its digest or sub: it was here, and ended or got another sub */
  ST_STORE_EXISTS,    /* an id, key, sub or username is taken */
  /* The credential that it was to be made with has expired, been revoked or lost a permission; and
   * what a function says besides. */
  ST_STORE_DENIED,
  ST_STORE_DISABLED_BY_OTHER, /* the key was disabled by somebody else than its owner */
  ST_STORE_EXPIRED,           /* the key has expired */
  ST_STORE_OWNER_REGISTERED,  /* the owner is a user who registered, and that was not said */
  ST_STORE_OWNER_NOT_USER,    /* the owner was said to be a user, and is none */
  ST_STORE_FULL,              /* there are as many of it as there may be at a time */
  ST_STORE_BUSY,              /* others write: nothing was changed; try again later */
  /* The database was lost while the change was committed: it may have been made. */
  ST_STORE_IN_DOUBT,
} st_store_status;

#endif
