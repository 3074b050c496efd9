/* user - a user as it is stored, a line of the audit log, and the port by which the service asks
 * for users, sessions and the audit log (operations/users.c gives it).
 */
#ifndef ST_DOMAIN_USER_H
#define ST_DOMAIN_USER_H

#include "domain/key.h"
#include "domain/password.h"

#define ST_ANONYMOUS "*"  /* the user whose permissions need no credential */
#define ST_REFRESH_LEN 43 /* a refresh token, in characters */
#define ST_LOCALE_MAX 35  /* bytes; RFC 5646 section 4.4.1 */
#define ST_SOURCE_MAX 64  /* bytes: where a user came from */
#define ST_AUDIT_DETAIL_MAX 1023
#define ST_SESSIONS_PER_USER 1000 /* that live at a time; a key has its own setting */

typedef struct st_user {
  st_key key;                    /* kind ST_KIND_USER; owner and name are the username */
  char password[ST_PHC_MAX + 1]; /* empty: there is none, and no login with one */
  char imported[ST_PHC_MAX + 1]; /* the password as an access file brought it, or empty */
  char locale[ST_LOCALE_MAX + 1];
  char source[ST_SOURCE_MAX + 1];
  bool registered;   /* by self-registration, while that was open */
  bool own_password; /* set here; not what an import brought */
} st_user;

/* One line of the audit log. */
typedef struct st_audit_line {
  int64_t id; /* grows */
  int64_t at; /* seconds since 1970 */
  char action[32];
  char who[ST_NAME_MAX + 16];
  char from[64];
  char target[ST_NAME_MAX + 1];         /* the id of a key or session, or a username */
  char detail[ST_AUDIT_DETAIL_MAX + 1]; /* no secrets; cut short when long */
} st_audit_line;

struct st_audit_filter;

/* Where somebody is who follows the audit log. last is the caller's, the id of the line that was
 * taken last; the rest begins as zero, and again after a failure.
 */
typedef struct st_audit_place {
  int64_t last;
  int64_t settled;   /* up to this id nothing comes any more */
  int64_t seen;      /* nor up to this one, once every transaction before `unsettled` has ended */
  int64_t unsettled; /* not 0: some lines are held back */
} st_audit_place;

/* Any thread may call. Passwords are wiped by the caller. */
typedef struct st_users {
  void *context;
  st_store_status (*find)(void *context, subtoken_text username, st_user *user);
  /* user NULL: there is none, at the same cost. until_us: of the request. */
  st_password_status (*check)(void *context, const st_user *user, subtoken_text password,
                              int64_t until_us);
  /* What is stored for a password, into phc. */
  st_password_status (*hash)(void *context, subtoken_text password, int64_t until_us,
                             char phc[ST_PHC_MAX + 1]);
  /* A user with a password that hash made. grantor NULL: self-registration. */
  st_store_status (*create)(void *context, const st_audit_context *audit, const st_grantor *grantor,
                            st_user *user);
  /* Those whose name has a text in it, in the order of names (domain/store_search.h). */
  st_store_status (*search)(void *context, subtoken_text text, const char *after, st_user *users,
                            struct st_search_page *page);
  /* audit->by: who asks for it must be in force and, where permissions are added, have them, be
   * bound to no audience, and last as long as the user. */
  st_store_status (*set_permissions)(void *context, const st_audit_context *audit,
                                     const char *username, const char *permissions,
                                     int64_t *sequence);
  st_store_status (*set_disabled)(void *context, const st_audit_context *audit,
                                  const char *username, bool disabled, int64_t *sequence);
  st_store_status (*remove)(void *context, const st_audit_context *audit, const char *username,
                            int64_t *sequence);
  /* A new session resting on the grantor, with what that grants and its name and owner: its row,
   * and its refresh token. session->expires_at: how long it may go on without a refresh, brought
   * down to the grantor's. most: how many sessions the grantor has afterwards, at most; the oldest
   * end.
   */
  st_store_status (*begin_session)(void *context, const st_audit_context *audit,
                                   const st_grantor *grantor, int64_t most, st_key *session,
                                   char refresh[ST_REFRESH_LEN + 1]);
  /* ST_STORE_NOT_FOUND: unknown, expired, ended. ST_STORE_DENIED: used before; the session has been
   * ended. expires_at: until when the successor is good. retry: seconds in which the same token
   * gives the same successor, while that is unused; 0: never.
   */
  st_store_status (*refresh_session)(void *context, const st_audit_context *audit,
                                     subtoken_text token, int64_t expires_at, int64_t retry,
                                     st_key *session, char successor[ST_REFRESH_LEN + 1]);
  /* The session of a refresh token, used or not; nothing is changed. ST_STORE_NOT_FOUND: as of
   * refresh_session. */
  st_store_status (*find_refresh)(void *context, subtoken_text token, int64_t now, st_key *session);
  st_store_status (*end_session)(void *context, const st_audit_context *audit, const char *id,
                                 int64_t *sequence);
  /* Newest first, those before an id; 0: from the newest on. */
  st_store_status (*list_audit)(void *context, int64_t before, size_t limit, st_audit_line *lines,
                                size_t *count);
  /* What is looked for among them (domain/store_search.h). */
  st_store_status (*search_audit)(void *context, const struct st_audit_filter *filter,
                                  int64_t before, st_audit_line *lines,
                                  struct st_search_page *page);
  /* The key was used just now: noted in memory, written a minute later at most. */
  void (*note_use)(void *context, const char *id, int64_t now);
} st_users;

#endif
