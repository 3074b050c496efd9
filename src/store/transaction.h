/* transaction - a change of the store: its turn, its transaction, its sequence. */
#ifndef ST_STORE_TRANSACTION_H
#define ST_STORE_TRANSACTION_H

#include "store/db.h"

/* What has to be done before a change can be made, which answers ST_STORE_BUSY until then
 * (remaining_run.h). */
typedef struct st_change_need {
  enum { ST_NEED_NOTHING, ST_NEED_REST, ST_NEED_COUNT } what;
  char owner[ST_NAME_MAX + 1];
  /* How many keys and sessions the owner has, or (permissions not empty) of these those that hold
   * one of them; and the last line of the audit log before they were counted. */
  char permissions[ST_PERMISSIONS_TEXT_MAX + 1];
  int64_t keys, sessions, last_line;
  int counts; /* how often it was counted */
} st_change_need;

/* What a change is about. Each kind of change reads what it needs. */
typedef struct st_change {
  const st_audit_context *context; /* who is named in the audit log; NULL: no line is written */
  const st_grantor *grantor;       /* what something is made with or asked for, or NULL */
  const st_key *key;
  const uint8_t *digest;
  const char *id; /* of a row, or a username */
  const char *sub;
  const char *text; /* a name */
  bool disabled;
  int64_t now;          /* seconds since 1970 */
  int64_t now_us;       /* the same in microseconds, for the sequence */
  int64_t *sequence;    /* written after the commit: at which the revocation data has it; or NULL */
  int64_t until_us;     /* how long it may wait: as in st_audit_context */
  bool ordered;         /* as if it took a sequence: by one process at a time */
  bool unauthenticated; /* who asks for it has shown no credential */
  st_change_need *need; /* NULL: nothing can be done before it */
  void *data;           /* what this kind of change takes besides, and gives back */
} st_change;

/* *sequence (may be NULL) is 0 from now on. */
st_change st_transaction_change(const st_audit_context *context, const char *id, int64_t *sequence);

/* A change of so many items may take that much longer in all, unless its caller has said until
 * when: a database at the other end of a network is given so long to answer.
 */
void st_transaction_allow(st_change *change, size_t count, int64_t each_us);

/* What a change does, within its transaction. Unless it answers ST_STORE_OK nothing has happened.
 * It may be called again from the beginning, when what it did is undone: it must not rely on what
 * it left in the change the time before.
 */
typedef st_store_status st_change_fn(st_db *db, const st_change *change);

/* Waits for its turn, then begins, calls make, and commits; or rolls back. When the database failed
 * only because of what others did at the same time, all of it is done again, until until_us. */
st_store_status st_transaction_run(st_store *store, st_change_fn *make, const st_change *change,
                                   char *error) __attribute__((warn_unused_result))
__attribute__((warn_unused_result));

/* Between two steps of what takes long: others have their turn, for as long as the last step took,
 * and for longer than other processes wait between two tries. */
void st_transaction_pause(int64_t us);

/* Within a change: the sequence at which edges are told of it, one however much it ends. */
st_store_status st_transaction_take_sequence(st_db *db, const st_change *change, int64_t *sequence)
    __attribute__((warn_unused_result));
/* The last one that was taken. */
st_store_status st_transaction_sequence(st_db *db, int64_t *sequence)
    __attribute__((warn_unused_result));

#endif
