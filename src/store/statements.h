/* statements - what the rules of src/store ask of a database, by name. Each implementation has the
 * text of them, with parameters and columns in the order in which the rules give and read them:
 * its own statements.c shows both.
 *
 * A row is a key, user or session; it lives until it is deleted, and is kept afterwards. `listed`
 * is what the revocation data lists, the log is which hash changed at which sequence.
 */
#ifndef ST_STORE_STATEMENTS_H
#define ST_STORE_STATEMENTS_H

typedef enum st_sql {
  /* The rows of keys, users and sessions alike. */
  ST_SQL_ROW_FIND,     /* a living row by its id */
  ST_SQL_ROW_FIND_SUB, /* the id of the living row with a sub */
  ST_SQL_ROW_DISABLE,  /* disabled or not, and by whom */
  ST_SQL_ROW_REPLACE_SUB,
  ST_SQL_ROW_GRANT,
  ST_SQL_ROW_EXTEND,     /* another expiry */
  ST_SQL_ROW_HAS_TOKEN,  /* that is listed: requests look them up from now on */
  ST_SQL_SUB_IS_REVOKED, /* revoked before, or its hash is listed */

  /* Parent keys: living rows of their kind. */
  ST_SQL_KEY_INSERT,
  ST_SQL_KEY_FIND,
  ST_SQL_KEY_FIND_SUB,
  ST_SQL_KEY_LIST,
  ST_SQL_KEY_LIST_OWNED,
  ST_SQL_KEY_FOUND, /* those with these ids, ST_SQL_FOUND_MAX of them or empty texts */
  ST_SQL_KEY_SCAN,  /* as ST_COL_SCAN_...: those behind an id */
  ST_SQL_KEY_SCAN_OWNED,
  ST_SQL_KEY_SCAN_EXPIRING, /* in the order in which they expire */
  ST_SQL_KEY_COUNT,         /* a step, as ST_COL_COUNT_...: those behind an id, so many rows */
  ST_SQL_KEY_COUNT_OWNED,
  ST_SQL_KEY_COUNT_OWNED_TO,   /* those of an owner, up to so many */
  ST_SQL_KEY_COUNT_UNOWNED_TO, /* those without one that a row made, up to so many */
  ST_SQL_KEY_COUNT_EXPIRING,   /* a step: behind a time and an id, to another time, so many rows */
  ST_SQL_KEY_LIST_EXPIRING,
  ST_SQL_KEY_RENAME,
  ST_SQL_KEY_USED,           /* the last use of a living row */
  ST_SQL_KEY_ROTATE,         /* another digest, and until when the one before is good */
  ST_SQL_DIGEST_REPLACE,     /* that of a living key is replaced: never to be given again */
  ST_SQL_DIGEST_IS_REPLACED, /* was it, ever? */

  /* Users. */
  ST_SQL_USER_FIND,
  ST_SQL_USER_LIST,
  ST_SQL_USER_FOUND, /* those with these names, as above */
  ST_SQL_USER_SCAN,  /* names alone */
  ST_SQL_USER_WAS_DELETED,
  ST_SQL_USER_INSERT,
  ST_SQL_USER_UPDATE, /* NULL leaves a password as it is */
  ST_SQL_USER_REHASH, /* if the password is still the one before */
  ST_SQL_USER_DELETE,

  /* Sessions and their refresh tokens. */
  ST_SQL_SESSION_INSERT,
  ST_SQL_SESSION_SEED,
  ST_SQL_SESSION_GRANT, /* the permissions of a row's sessions */
  ST_SQL_REFRESH_INSERT,
  ST_SQL_REFRESH_FIND,
  ST_SQL_REFRESH_USE,     /* used from now on */
  ST_SQL_REFRESH_SESSION, /* its session, if that is in force */

  /* The set of rows that a change is about (row_set.h). */
  ST_SQL_SET_CLEAR,
  ST_SQL_SET_ADD_ROW,                 /* one row */
  ST_SQL_SET_ADD_OWNED,               /* the living keys of an owner */
  ST_SQL_SET_ADD_HOLDING,             /* of these, those with a permission */
  ST_SQL_SET_ADD_SESSIONS,            /* the living sessions of a row */
  ST_SQL_SET_ADD_SESSIONS_OF_OWNED,   /* those of an owner's keys */
  ST_SQL_SET_ADD_DEPENDENT,           /* those of the rows in the set */
  ST_SQL_SET_ADD_OLDEST,              /* of a row, all but the newest so many */
  ST_SQL_SET_ADD_ENDED,               /* sessions that ended before a time, at most so many */
  ST_SQL_SET_ADD_NOT_REACHED,         /* a row and its sessions: what REMAINING has not reached */
  ST_SQL_SET_ADD_DERIVED_NOT_REACHED, /* the same of the derived rows of an owner */
  ST_SQL_SET_DROP_UNCHANGED,          /* those that are listed as they should be */
  ST_SQL_SET_COUNT,                   /* rows, keys and sessions */
  ST_SQL_SET_REVOKE,                  /* their subs are refused for ever */
  ST_SQL_SET_LIST,                    /* listed until it is purged */
  ST_SQL_SET_LOG,                     /* their hashes changed at a sequence */
  ST_SQL_SET_LOG_TOKENS,              /* and those of what is listed of their subs' tokens */
  ST_SQL_SET_UNLIST_TOKENS,           /* which are listed no longer */
  ST_SQL_SET_DELETE,                  /* they live no longer */
  ST_SQL_SET_DELETE_DIGESTS,          /* of users */
  ST_SQL_SET_AUDIT_KEYS,              /* a line for each key */
  ST_SQL_SET_AUDIT_SESSIONS,          /* a line for each session */
  ST_SQL_SET_ADD_DERIVED,             /* the living keys and users of the derived */
  ST_SQL_SET_AUDIT_USERS,             /* a line for each user */
  ST_SQL_SET_DELETE_USERS,            /* their records */
  ST_SQL_SET_SUSPEND,                 /* suspended or not, the keys in it */
  ST_SQL_SET_LIST_DISABLED,           /* listed while they are disabled or suspended */
  ST_SQL_SET_UNLIST_ENABLED,          /* those that are neither any more */
  ST_SQL_SET_REMOVE_REVOKED,          /* the five: all that is kept of them */
  ST_SQL_SET_REMOVE_REFRESH,
  ST_SQL_SET_REMOVE_SESSIONS,
  ST_SQL_SET_REMOVE_USED,
  ST_SQL_SET_REMOVE_ROWS,
  ST_SQL_SET_ADD_SNAPSHOT_SESSIONS, /* sessions that a snapshot lists, or whose parent */
  ST_SQL_SET_ADD_SNAPSHOT_KEYS,     /* keys and users that it lists */
  ST_SQL_SET_DISABLE,               /* by nobody that is known */

  /* What was made with a row, for others (derived.h). */
  ST_SQL_DERIVED_CLEAR,
  ST_SQL_DERIVED_ADD_BASE,           /* the row, and what is the same user and has made something */
  ST_SQL_DERIVED_ADD_DIRECT,         /* made with these, and not within permissions */
  ST_SQL_DERIVED_ADD_DIRECT_OF_USER, /* the same of a user, but for the own keys */
  ST_SQL_DERIVED_ADD_REST,           /* and all that was made with that */
  ST_SQL_DERIVED_COUNT,              /* keys, users, rows looked at */
  ST_SQL_DERIVED_LIST,               /* the first so many that are valid */

  /* What changes of many rows have left to do (remaining.h): ST_COL_REMAINING_... */
  ST_SQL_REMAINING_INSERT,
  ST_SQL_REMAINING_FIND,   /* of an owner */
  ST_SQL_REMAINING_NEXT,   /* of the first owner after one */
  ST_SQL_REMAINING_OF_ROW, /* of the owner of a living key or session */
  ST_SQL_REMAINING_ENDS,   /* would a new key of the owner, with these permissions, end? */
  ST_SQL_REMAINING_MOVE,   /* how far it has come */
  ST_SQL_REMAINING_DELETE,
  ST_SQL_REMAINING_SESSIONS, /* the next ones in the order of ids: id, is there anything to do? */
  ST_SQL_REMAINING_KEYS,
  ST_SQL_OWNED_AT_MOST, /* living keys and sessions of an owner, of each at most so many counted */
  ST_SQL_OWNED_CHANGED, /* has the audit log a line of the owner or of what is the owner's, after an
                           id? */
  ST_SQL_OWNED_HOLDING, /* of the next keys: how many, the last id, how many hold a permission */
  ST_SQL_OWNED_HOLDING_SESSIONS,

  /* The audit log. */
  ST_SQL_AUDIT_INSERT,
  ST_SQL_AUDIT_LIST,
  ST_SQL_AUDIT_PLACE, /* the time of the last line up to an id */
  ST_SQL_AUDIT_SCAN,  /* by time and id, newest first */
  ST_SQL_AUDIT_SCAN_WHO,
  ST_SQL_AUDIT_SCAN_ACTION,
  ST_SQL_AUDIT_SCAN_TARGET,
  ST_SQL_AUDIT_LAST,   /* the id of the last line, or 0 */
  ST_SQL_AUDIT_AFTER,  /* the lines behind an id and up to one, oldest first */
  ST_SQL_AUDIT_BOUND,  /* the last id; the first transaction that runs, and the next that will */
  ST_SQL_AUDIT_IS_OLD, /* is there a line of before a time up to an id, but for the last and for
                          cuts */
  ST_SQL_AUDIT_CUT,  /* those of before a time and up to an id, at most so many, but for the last */
  ST_SQL_AUDIT_MARK, /* the last line, as the setting of a name, unless one has it */
  ST_SQL_AUDIT_MARKED, /* the last line that a mark up to a name has */
  ST_SQL_AUDIT_UNMARK, /* the marks before a name that have lines below an id */

  /* Numbers under names, and the sequence. */
  ST_SQL_SETTING_SET,
  ST_SQL_SETTING_RAISE, /* unless it is as large */
  ST_SQL_SETTING_GET,
  ST_SQL_SEQUENCE_NEXT, /* the last plus one, or a time if that is larger */
  ST_SQL_SEQUENCE_GET,
  ST_SQL_SEQUENCE_RECORD, /* it was issued here */
  ST_SQL_SEQUENCE_LENGTH, /* the newest beyond the newest so many */
  ST_SQL_SEQUENCE_CUT,    /* forget those up to it */
  ST_SQL_SEQUENCE_FROM,   /* they are known after it */

  /* The log of changes of the revocation data, and what is purged. */
  ST_SQL_LOG_LENGTH, /* as of sequences */
  ST_SQL_LOG_CUT,    /* those up to it, at most so many */
  ST_SQL_LOG_FROM,
  ST_SQL_PURGE_LOG,     /* one hash that was taken off */
  ST_SQL_PURGE_LISTED,  /* revoked before two times, at most so many: the hash of each */
  ST_SQL_PURGE_REFRESH, /* expired before a time, at most so many */

  /* A snapshot of another history, and a sub that no row has. */
  ST_SQL_SNAPSHOT_CLEAR,
  ST_SQL_SNAPSHOT_ADD,
  ST_SQL_SNAPSHOT_DROP_KNOWN, /* hashes that are listed, or changed later here */
  ST_SQL_SNAPSHOT_LIST,       /* hashes without a sub */
  ST_SQL_SNAPSHOT_LOG,
  ST_SQL_HASH_KEY_IS,
  ST_SQL_LISTED_WITHOUT_SUB, /* is there such a hash? */
  ST_SQL_LISTED_HASH_ANEW,   /* after another hash key */
  ST_SQL_SUB_LIST,
  ST_SQL_SUB_LOG,         /* of a tid, too */
  ST_SQL_ANY_ROW_WRITTEN, /* what requests are told of any row may be another one now */

  /* Tokens that are listed by themselves, by their tids. */
  ST_SQL_TOKEN_IS_LISTED,
  /* Those that were made from a token of a sub, by their via, and stay no longer than it. */
  ST_SQL_TOKEN_COUNT_OTHERS, /* but for these: of a row and its sessions, of one kind of secret */
  ST_SQL_TOKEN_LOG_MADE,
  ST_SQL_TOKEN_UNLIST_MADE,
  ST_SQL_TOKEN_LIST,
  ST_SQL_TOKEN_PURGE, /* listed until before a time, at most so many: the hash of each */

  /* All that is kept, for another store (copy.c, which lists the columns). Each READ is a page: the
   * rows behind a place, at most so many, in their order. */
  ST_SQL_COPY_BEGIN, /* the driver's begin_read and end_read */
  ST_SQL_COPY_END,
  ST_SQL_COPY_IS_EMPTY,       /* a row when nothing was ever kept */
  ST_SQL_COPY_CLEAR_SETTINGS, /* those that a new store has */
  ST_SQL_COPY_CLEAR_ISSUED,
  ST_SQL_COPY_HASH_KEY, /* there is another one among the settings now */
  ST_SQL_COPY_READ_SETTINGS,
  ST_SQL_COPY_READ_ISSUED,
  ST_SQL_COPY_READ_KEYS,
  ST_SQL_COPY_READ_REPLACED,
  ST_SQL_COPY_READ_REVOKED,
  ST_SQL_COPY_READ_LISTED,
  ST_SQL_COPY_READ_CHANGES,
  ST_SQL_COPY_READ_USERS,
  ST_SQL_COPY_READ_SESSIONS,
  ST_SQL_COPY_READ_REFRESH,
  ST_SQL_COPY_READ_USED,
  ST_SQL_COPY_READ_REMAINING,
  ST_SQL_COPY_READ_AUDIT,
  ST_SQL_COPY_WRITE_SETTINGS,
  ST_SQL_COPY_WRITE_ISSUED,
  ST_SQL_COPY_WRITE_KEYS,
  ST_SQL_COPY_WRITE_REPLACED,
  ST_SQL_COPY_WRITE_REVOKED,
  ST_SQL_COPY_WRITE_LISTED,
  ST_SQL_COPY_WRITE_CHANGES,
  ST_SQL_COPY_WRITE_USERS,
  ST_SQL_COPY_WRITE_SESSIONS,
  ST_SQL_COPY_WRITE_REFRESH,
  ST_SQL_COPY_WRITE_USED,
  ST_SQL_COPY_WRITE_REMAINING,
  ST_SQL_COPY_WRITE_AUDIT,
  ST_SQL_COPY_FINISH, /* what is made next gets the next number; a row */
  ST_SQL_COUNT
} st_sql;

#define ST_SQL_FOUND_MAX 16

/* The columns of a row that holds a key. Behind them come those that the management asks for, and
 * behind these those of a user.
 */
enum {
  ST_COL_ID,
  ST_COL_SUB,
  ST_COL_NAME,
  ST_COL_OWNER,
  ST_COL_PERMISSIONS,
  ST_COL_CREATED_AT,
  ST_COL_EXPIRES_AT,
  ST_COL_DISABLED,
  ST_COL_KIND,
  ST_COL_PARENT,
  ST_COL_SUSPENDED,
  ST_COL_AUDIENCE,
  ST_COL_OLD_UNTIL,
  ST_COL_TOKENS_REVOKED, /* 0 where no request asks */
  ST_COL_KEY_END,
  ST_COL_USED_AT = ST_COL_KEY_END,
  ST_COL_MADE_BY,
  ST_COL_DISABLED_BY_OWNER,
  ST_COL_ROTATED_AT,
  ST_COL_PASSWORD,
  ST_COL_IMPORTED,
  ST_COL_LOCALE,
  ST_COL_SOURCE,
  ST_COL_BY_IMPORT,
  ST_COL_REGISTERED,
  ST_COL_OWN_PASSWORD,
};

/* A refresh token: ST_SQL_REFRESH_FIND. */
enum { ST_COL_REFRESH_SESSION, ST_COL_REFRESH_EXPIRES_AT, ST_COL_REFRESH_USED_AT };

/* What a change of many rows has left to do. */
enum {
  ST_COL_REMAINING_OWNER,
  ST_COL_REMAINING_WHAT,
  ST_COL_REMAINING_PERMISSIONS,
  ST_COL_REMAINING_SEQUENCE,
  ST_COL_REMAINING_AT,
  ST_COL_REMAINING_WHO,
  ST_COL_REMAINING_FROM,
  ST_COL_REMAINING_BECAUSE,
  ST_COL_REMAINING_KEYS_REACHED,
  ST_COL_REMAINING_AFTER,
};

/* What a search looks at: ST_SQL_KEY_SCAN and those like it. */
enum {
  ST_COL_SCAN_ID,
  ST_COL_SCAN_NAME,
  ST_COL_SCAN_OWNER,
  ST_COL_SCAN_EXPIRES_AT, /* ST_NEVER is a number here */
  ST_COL_SCAN_DISABLED,
  ST_COL_SCAN_SUSPENDED,
  ST_COL_SCAN_AUDIENCE,
};

/* A step of counting: ST_SQL_KEY_COUNT, ST_SQL_KEY_COUNT_EXPIRING. */
enum { ST_COL_COUNT_LOOKED_AT, ST_COL_COUNT_LAST, ST_COL_COUNT_COUNTED, ST_COL_COUNT_EXPIRES_AT };

/* A line of the audit log: ST_SQL_AUDIT_LIST. */
enum {
  ST_COL_LINE_ID,
  ST_COL_LINE_AT,
  ST_COL_LINE_ACTION,
  ST_COL_LINE_WHO,
  ST_COL_LINE_FROM,
  ST_COL_LINE_TARGET,
  ST_COL_LINE_DETAIL,
};

#endif
