/* store_search - what is looked for in a store: keys, users and lines of the audit log. Each page
 * costs bounded work, however much there is: where that is not enough to fill it, it says where to
 * go on.
 */
#ifndef ST_DOMAIN_STORE_SEARCH_H
#define ST_DOMAIN_STORE_SEARCH_H

#include "domain/key.h"
#include "domain/store_status.h"
#include "domain/user.h"

typedef struct st_store st_store;

#define ST_SEARCH_ROWS 4000 /* rows that a page looks at, at most */

/* A page of what is found. */
typedef struct st_search_page {
  size_t limit; /* items at most */
  size_t rows;  /* to be looked at, at most; afterwards what is left of it */
  size_t step;  /* that a store asks its database for at a time; 0: it has not begun */
  /* Monotonic; 0: never. When it is over, nothing is left of the rows. */
  int64_t until_us;
  size_t count; /* items that were written */
  bool more;    /* there may be more behind the last place */
  /* Where to go on: an id or username; of the audit log, the id of a line. */
  char last[ST_NAME_MAX + 1];
  int64_t last_line;
  int64_t last_expires_at; /* where they come in that order */
} st_search_page;

/* Living keys. All that is set must fit. In the order of ids, or see below. */
typedef struct st_key_filter {
  const char *owner;    /* NULL: any */
  const char *audience; /* that they are bound to; NULL: any, or none */
  /* In the name or the owner, or the beginning of the id; empty: any. When it is the first group of
   * an id or more, and there are such keys, these alone are found. */
  subtoken_text search;
  const char *state;     /* as st_key_json_state has it, now; NULL: any */
  int64_t now;           /* seconds since 1970 */
  int64_t expires_until; /* expires after now, and then at the latest; 0: any */
  int64_t after_expires; /* when the key `after` expires, where they come in that order */
} st_key_filter;

/* Do they come in the order in which they expire, and then in that of their ids? Those of one owner
 * or audience do not: where a page of them ends would be told by keys of others.
 */
static inline bool st_key_filter_is_by_expiry(const st_key_filter *filter) {
  return filter->expires_until > 0 && filter->owner == NULL && filter->audience == NULL;
}

/* Those behind the id `after` ("": from the first on). What is longer than a name is not found. */
st_store_status st_store_key_search(st_store *store, const st_key_filter *filter, const char *after,
                                    st_key *keys, st_search_page *page, char *error)
    __attribute__((warn_unused_result));

/* Users whose name has it in it, in the order of their names (bytes). They hold passwords as they
 * are stored. */
st_store_status st_store_user_search(st_store *store, subtoken_text search, const char *after,
                                     st_user *users, st_search_page *page, char *error)
    __attribute__((warn_unused_result));

/* Lines of the audit log. All that is set must fit. Newest first, by their times and then by their
 * ids.
 */
typedef struct st_audit_filter {
  const char *who, *target; /* exactly; NULL: any */
  const char *action;       /* exactly or, with a dot at its end, its beginning; NULL: any */
  int64_t since, until;     /* at or after, and before; 0: any */
} st_audit_filter;

/* Those older than the line of the id `before` (0: from the newest on). */
st_store_status st_store_audit_search(st_store *store, const st_audit_filter *filter,
                                      int64_t before, st_audit_line *lines, st_search_page *page,
                                      char *error) __attribute__((warn_unused_result));

#endif
