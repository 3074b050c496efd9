/* What another history of the revocation data listed, taken over: a snapshot that edges hold and
 * this database does not lead to, because it is a backup or a copy; and the sub of a token that
 * this database has never made. The argument is subtoken_revocation(7). What a hash stands for is
 * not known here unless a key has it, so it is listed as it is, under a name that is no sub.
 */
#include "store/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/store.h"

/* ---- a snapshot ---- */

typedef struct taken {
  const st_listing_taken *from;
  st_taken_report *report;
} taken;

static st_stored fill_taken(st_store *store, const st_listing_taken *from) {
  st_stored stored = st_sqlite_do(store, TAKEN_NONE, NO_VALUES);
  for (uint32_t i = 0; i < from->count && stored == ST_STORED; i++) {
    stored = st_sqlite_do(store, TAKEN_ADD, VALUES(st_sqlite_number((int64_t)from->hashes[i])));
  }
  return stored;
}

/* Hashes of two keys cannot be listed together: those of this database are computed anew, if it has
 * a sub for each. ST_STORE_REFUSED: it has not.
 */
static st_stored take_hash_key(st_store *store, const st_listing_taken *from, int64_t sequence) {
  sqlite3_stmt *row = NULL;
  parameter first = st_sqlite_number((int64_t)st_load64(from->hash_key)),
            second = st_sqlite_number((int64_t)st_load64(from->hash_key + 8));
  st_stored same = st_sqlite_ask(store, HAS_HASH_KEY, VALUES(first, second), &row);
  st_sqlite_finish(row);
  if (same != ST_STORE_NONE) {
    return same;
  }
  st_stored nameless = st_sqlite_ask(store, LISTS_NAMELESS, NO_VALUES, &row);
  st_sqlite_finish(row);
  if (nameless != ST_STORE_NONE) {
    return nameless == ST_STORED ? ST_STORE_REFUSED : nameless;
  }
  bool ok =
      st_sqlite_do(store, REMEMBER, VALUES(st_sqlite_text("hash_key_0"), first)) == ST_STORED &&
      st_sqlite_do(store, REMEMBER, VALUES(st_sqlite_text("hash_key_1"), second)) == ST_STORED &&
      st_sqlite_do(store, HASH_ANEW, NO_VALUES) == ST_STORED &&
      st_sqlite_do(store, LOG_CUT, VALUES(st_sqlite_number(INT64_MAX))) == ST_STORED &&
      st_sqlite_do(store, LOG_FROM, VALUES(st_sqlite_number(sequence))) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

/* Sessions that had ended, and those of keys that had, end again. */
static st_stored end_sessions(st_store *store, const change *what, st_taken_report *report) {
  counted ended = {0};
  bool ok = st_sqlite_choose_none(store) == ST_STORED &&
            st_sqlite_do(store, CHOOSE_TAKEN_SESSIONS, NO_VALUES) == ST_STORED &&
            st_sqlite_end_chosen(store, what, NULL, &ended) == ST_STORED;
  report->sessions = ended.rows;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

/* Keys and users that are in force here and were not there: whether they were deleted, disabled or
 * given a new sub is not known, so they are disabled, which whoever knows better can undo.
 */
static st_stored disable_keys(st_store *store, const change *what, st_taken_report *report) {
  bool ok = st_sqlite_choose_none(store) == ST_STORED &&
            st_sqlite_do(store, CHOOSE_TAKEN_KEYS, NO_VALUES) == ST_STORED &&
            st_sqlite_do(store, DISABLE_CHOSEN, VALUES(st_sqlite_number(what->now))) == ST_STORED;
  report->keys = ok ? sqlite3_changes(store->writes) : 0;
  return ok ? st_sqlite_relist_chosen(store, what) : ST_STORE_FAILED;
}

/* What has no row here. */
static st_stored list_nameless(st_store *store, const st_listing_taken *from, int64_t now,
                               int64_t sequence, st_taken_report *report) {
  bool ok =
      st_sqlite_do(store, TAKEN_DROP, VALUES(st_sqlite_number(from->sequence))) == ST_STORED &&
      st_sqlite_do(store, TOUCH_TAKEN, VALUES(st_sqlite_number(sequence))) == ST_STORED &&
      st_sqlite_do(store, LIST_TAKEN, VALUES(st_sqlite_number(now))) == ST_STORED;
  report->listed = ok ? sqlite3_changes(store->writes) : 0;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static st_stored audit_taken(st_store *store, const change *what, const st_taken_report *report) {
  char target[24], detail[160];
  snprintf(target, sizeof target, "%" PRId64, ((const taken *)what->of)->from->sequence);
  snprintf(detail, sizeof detail,
           "the database was at %" PRId64 "; listed again %" PRId64
           "; keys and users disabled %" PRId64 "; sessions ended %" PRId64,
           report->before, report->listed, report->keys, report->sessions);
  return st_sqlite_audit(store, what, "revocations.restore", target, detail);
}

/* What this database has touched later than that is known better here. */
static st_stored make_taken(st_store *store, const change *what) {
  const taken *t = what->of;
  int64_t sequence = 0;
  parameter last = st_sqlite_number(t->from->sequence);
  st_stored stored = st_sqlite_standing(store, &t->report->before);
  if (stored == ST_STORED) {
    stored = st_sqlite_take_sequence(store, what, &sequence);
  }
  if (stored == ST_STORED) {
    stored = take_hash_key(store, t->from, sequence);
  }
  if (stored != ST_STORED) {
    return stored;
  }
  bool ok = fill_taken(store, t->from) == ST_STORED &&
            st_sqlite_do(store, TAKEN_DROP, VALUES(last)) == ST_STORED &&
            end_sessions(store, what, t->report) == ST_STORED &&
            disable_keys(store, what, t->report) == ST_STORED &&
            list_nameless(store, t->from, what->now, sequence, t->report) == ST_STORED &&
            st_sqlite_do(store, GIVEN_FROM, VALUES(last)) == ST_STORED &&
            st_sqlite_do(store, REMEMBER_LARGEST,
                         VALUES(st_sqlite_text("max_life"), st_sqlite_number(t->from->life))) ==
                ST_STORED &&
            audit_taken(store, what, t->report) == ST_STORED &&
            st_sqlite_do(store, TAKEN_NONE, NO_VALUES) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_store_take_over(st_store *store, const st_audit_context *act,
                             const st_listing_taken *from, st_taken_report *report, char *error) {
  memset(report, 0, sizeof *report);
  if (from->sequence < 1 || from->sequence > ST_TAKEN_SEQUENCE_MAX) {
    return st_sqlite_fail(error, "the sequence %" PRId64 " leaves no room for another",
                          from->sequence);
  }
  change what = st_sqlite_change_at(act, NULL, &report->sequence);
  what.of = &(taken){from, report};
  if (what.now_us <= from->sequence) {
    what.now_us = from->sequence + 1;
  }
  st_stored stored = st_sqlite_apply(store, make_taken, &what, error);
  if (stored == ST_STORE_REFUSED) {
    (void)st_sqlite_fail(error,
                         "%s lists hashes of another key already, which cannot be computed anew",
                         st_sqlite_shown(store->path));
  }
  return stored;
}

/* ---- a sub ---- */

typedef struct stranger {
  subtoken_text sub;
  int64_t iat, life;
  char *id; /* of the key that has it */
} stranger;

static st_stored find_row(st_store *store, const stranger *s) {
  sqlite3_stmt *row = NULL;
  st_stored found = st_sqlite_ask(store, ROW_OF_SUB, VALUES(st_sqlite_view(s->sub)), &row);
  if (found == ST_STORED && !st_sqlite_take_text(row, 0, s->id, ST_KEY_ID_LEN + 1)) {
    found = ST_STORE_FAILED;
  }
  st_sqlite_finish(row);
  return found;
}

static st_stored is_listed(st_store *store, const stranger *s) {
  sqlite3_stmt *row = NULL;
  st_stored found = st_sqlite_ask(store, IS_REVOKED, VALUES(st_sqlite_view(s->sub)), &row);
  st_sqlite_finish(row);
  return found;
}

static st_stored make_stranger(st_store *store, const change *what) {
  const stranger *s = what->of;
  int64_t sequence = 0, now = what->now > s->iat ? what->now : s->iat;
  char target[SUBTOKEN_SUB_MAX + 1];
  st_stored found = find_row(store, s);
  if (found != ST_STORE_NONE) {
    return found == ST_STORED ? ST_STORE_EXISTS : found;
  }
  found = is_listed(store, s);
  if (found != ST_STORE_NONE) {
    return found == ST_STORED ? ST_STORE_REFUSED : found;
  }
  snprintf(target, sizeof target, "%.*s", (int)s->sub.len, s->sub.data);
  bool ok =
      st_sqlite_take_sequence(store, what, &sequence) == ST_STORED &&
      st_sqlite_do_one(store, LIST_SUB, VALUES(st_sqlite_view(s->sub), st_sqlite_number(now))) ==
          ST_STORED &&
      st_sqlite_do(store, TOUCH_SUB, VALUES(st_sqlite_number(sequence), st_sqlite_view(s->sub))) ==
          ST_STORED &&
      st_sqlite_do(store, REMEMBER_LARGEST,
                   VALUES(st_sqlite_text("max_life"), st_sqlite_number(s->life))) == ST_STORED &&
      st_sqlite_audit(store, what, "sub.revoke", target, "no key of this database has it") ==
          ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_store_revoke_sub(st_store *store, const st_audit_context *act, subtoken_text sub,
                              int64_t iat, int64_t life, char id[ST_KEY_ID_LEN + 1],
                              int64_t *sequence, char *error) {
  id[0] = '\0';
  if (sub.len == 0 || sub.len > SUBTOKEN_SUB_MAX) {
    return st_sqlite_fail(error, "a sub has 1 to %d characters", SUBTOKEN_SUB_MAX);
  }
  change what = st_sqlite_change_at(act, NULL, sequence);
  what.of = &(stranger){sub, iat, life, id};
  return st_sqlite_apply(store, make_stranger, &what, error);
}
