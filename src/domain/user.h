/* people - persons, their logins and the audit log: what the office asks of those who keep them
 * (shell/people.h does).
 */
#ifndef ST_DOMAIN_USER_H
#define ST_DOMAIN_USER_H

#include "domain/key.h"
#include "domain/password.h"

#define ST_ANONYMOUS "*"  /* the person whose permissions need no credential */
#define ST_REFRESH_LEN 43 /* a refresh token, in characters */
#define ST_LOCALE_MAX 35  /* bytes; RFC 5646 section 4.4.1 */
#define ST_SOURCE_MAX 64  /* bytes: where a person came from */
#define ST_AUDIT_DETAIL_MAX 1023
#define ST_SESSIONS_PER_USER 1000 /* that live at a time; a key has its own setting */

typedef struct st_user {
  st_key key;                    /* kind ST_KIND_USER; owner and name are the login */
  char password[ST_PHC_MAX + 1]; /* empty: nobody logs in with one */
  char imported[ST_PHC_MAX + 1]; /* the password as an access file brought it, or empty */
  char locale[ST_LOCALE_MAX + 1];
  char source[ST_SOURCE_MAX + 1];
  bool registered;   /* nobody made this user: registration was open */
  bool own_password; /* set here; not what an import brought */
} st_user;

/* One line of the audit log. */
typedef struct st_audit_line {
  int64_t id; /* grows */
  int64_t at; /* seconds since 1970 */
  char action[32];
  char who[ST_NAME_MAX + 16];
  char from[64];
  char target[ST_NAME_MAX + 1];         /* the id of a key or login, or a person's login */
  char detail[ST_AUDIT_DETAIL_MAX + 1]; /* no secrets; cut short when long */
} st_audit_line;

/* Any thread may ask. Passwords are wiped by who brings them. */
typedef struct st_users {
  void *context;
  st_store_status (*find)(void *context, subtoken_text login, st_user *person);
  /* person NULL: there is none, at the same cost. until_us: of the request. */
  st_password_status (*check)(void *context, const st_user *person, subtoken_text password,
                              int64_t until_us);
  /* What is stored for a password, into phc; it is wiped by who asked. */
  st_password_status (*hash)(void *context, subtoken_text password, int64_t until_us,
                             char phc[ST_PHC_MAX + 1]);
  /* A user with a password that hash made. grantor NULL: who registers by themselves. */
  st_store_status (*create)(void *context, const st_audit_context *audit, const st_grantor *grantor,
                            st_user *user);
  /* A new session resting on the maker, with what that grants and its name and owner; the row that
   * stands for it, and its refresh token. expires_at of login: how long it may go on without a
   * refresh, brought down to the maker's. most: how many the maker has afterwards, at most; the
   * oldest end.
   */
  st_store_status (*log_in)(void *context, const st_audit_context *act, const st_grantor *maker,
                            int64_t most, st_key *login, char refresh[ST_REFRESH_LEN + 1]);
  /* ST_STORE_NOT_FOUND: unknown, expired, ended. ST_STORE_DENIED: used before; the login has been
   * ended. expires_at: until when the successor is good. retry: seconds in which the same token
   * gives the same successor, while that is unused; 0: never.
   */
  st_store_status (*refresh)(void *context, const st_audit_context *act, subtoken_text token,
                             int64_t expires_at, int64_t retry, st_key *login,
                             char successor[ST_REFRESH_LEN + 1]);
  st_store_status (*log_out)(void *context, const st_audit_context *act, const char *id,
                             int64_t *sequence);
  /* Newest first, those before an id; 0: from the newest on. */
  st_store_status (*audit)(void *context, int64_t before, size_t limit, st_audit_line *lines,
                           size_t *count);
  /* The key was used just now: noted in memory, written a minute later at most. */
  void (*used)(void *context, const char *id, int64_t now);
} st_users;

#endif
