/* Tokens that are revoked by themselves, by their tids: the contract of st_store_token_revoke and
 * st_store_tokens_revoked.
 */
#include "base/bytes.h"
#include "store_contract.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define EXP (NOW + DAY)
#define LEEWAYS (2 * SUBTOKEN_LEEWAY_MAX)
#define LATEST (SUBTOKEN_TIME_MAX - LEEWAYS) /* a token may end */
#define MOST ST_TOKENS_REVOKED_MAX

static const char *tid_of(unsigned n) {
  static _Thread_local char tids[8][ST_TID_LEN + 1];
  static _Thread_local unsigned next;
  char *tid = tids[next++ % 8];
  snprintf(tid, sizeof tids[0], "t-_%013u", n);
  return tid;
}

static subtoken_text tid_text(unsigned n) {
  return (subtoken_text){tid_of(n), ST_TID_LEN};
}

/* Of a token with the sub of the row `row`'s making. Any thread. */
static st_store_status revoke_in(st_store *of, unsigned n, unsigned row, int64_t exp, int64_t most,
                                 int64_t *sequence) {
  char sub[ST_SUB_LEN + 1];
  snprintf(sub, sizeof sub, "%043u", row);
  st_key_token token = {.sub = st_text(sub), .tid = tid_text(n), .exp = exp};
  return st_store_token_revoke(of, CONTEXT, &token, most, sequence, error);
}

/* Of one that was made from others, up to a 0. At most 3 are listed. */
static st_store_status revoke_made_until(unsigned n, unsigned row, const unsigned *via,
                                         int64_t exp) {
  st_key_token token = {.sub = {sub_of(row), ST_SUB_LEN}, .tid = tid_text(n), .exp = exp};
  while (via[token.via_count] != 0) {
    token.via[token.via_count] = tid_text(via[token.via_count]);
    token.via_count++;
  }
  return st_store_token_revoke(store, CONTEXT, &token, 3, NULL, error);
}

#define VIA(...) ((const unsigned[]){__VA_ARGS__, 0})

static st_store_status revoke_made(unsigned n, unsigned row, const unsigned *via) {
  return revoke_made_until(n, row, via, EXP);
}

/* Of one under a secret that is derived for an audience; "": a plain one. At most 3 are listed. */
static st_store_status revoke_derived(unsigned n, unsigned row, const char *audience) {
  st_key_token token = {.sub = {sub_of(row), ST_SUB_LEN},
                        .tid = tid_text(n),
                        .derived_for = st_text(audience),
                        .exp = EXP};
  return st_store_token_revoke(store, CONTEXT, &token, 3, NULL, error);
}

static st_store_status revoke_until(unsigned n, unsigned row, int64_t exp, int64_t most,
                                    int64_t *sequence) {
  return revoke_in(store, n, row, exp, most, sequence);
}

static st_store_status revoke_tid(unsigned n, unsigned row) {
  return revoke_until(n, row, EXP, MOST, NULL);
}

static bool revoked_in(st_store *of, unsigned n) {
  bool revoked = !!n;
  bool first = !revoked;
  subtoken_text tids[] = {ST_TEXT("short"), tid_text(9999), tid_text(n)};
  assert_ok(st_store_tokens_revoked(of, tids, 3, &revoked, error));
  assert_ok(st_store_tokens_revoked(of, (subtoken_text[]){tids[2], tids[1]}, 2, &first, error));
  assert_int_equal(first, revoked); /* one of them is enough, in any place */
  return revoked;
}

static bool revoked(unsigned n) {
  return revoked_in(store, n);
}

static uint64_t token_hash(unsigned n) {
  st_revocation_state current;
  assert_ok(st_store_revocation_state(store, &current, error));
  return subtoken_revocations_hash(current.hash_key, tid_text(n));
}

static bool token_listed(unsigned n) {
  uint32_t count = 0;
  return lists_hash(token_hash(n), &count);
}

static int64_t revoked_of(unsigned row) {
  st_key key;
  assert_ok(row_by_sub(row, &key));
  return key.tokens_revoked;
}

/* What changed after a sequence, and at one, is what became of these hashes. */
static void assert_all_changed(int64_t since, const uint64_t *to_listed, size_t listed,
                               const uint64_t *to_unlisted, size_t unlisted) {
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  size_t found = 0;
  assert_ok(st_store_revocation_changes(store, since, &current, &changes, &count, error));
  assert_int_equal(count, listed + unlisted);
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t *among = changes[i].listed ? to_listed : to_unlisted;
    size_t most = changes[i].listed ? listed : unlisted;
    assert_int_equal(changes[i].sequence, current.sequence);
    for (size_t j = 0; j < most; j++) found += among[j] == changes[i].hash;
  }
  assert_int_equal(found, count);
  free(changes);
}

/* What changed after a sequence is what became of one hash. */
static void assert_token_changed(int64_t since, unsigned n, bool to_listed) {
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  assert_ok(st_store_revocation_changes(store, since, &current, &changes, &count, error));
  assert_int_equal(count, 1);
  assert_true(changes[0].hash == token_hash(n) && changes[0].listed == to_listed);
  assert_int_equal(changes[0].sequence, current.sequence);
  free(changes);
}

static void is_listed_at_once(void **state) {
  (void)state;
  st_key key;
  st_store *other = NULL;
  int64_t sequence = 0, again = 0;
  make_key(1, "ann", "a");
  make_key(2, "", "");
  assert_ok(st_store_open(location, false, &other, error));
  assert_true(revoked_of(1) == 0 && !revoked(7) && !revoked_in(other, 7));
  int64_t before = sequence_now();
  assert_ok(revoke_until(7, 1, EXP, MOST, &sequence));
  assert_true(sequence > before && sequence == sequence_now());
  assert_true(revoked(7) && !revoked(8) && token_listed(7) && !token_listed(8));
  assert_token_changed(before, 7, true);
  assert_true(revoked_of(1) == 1 && revoked_of(2) == 0);
  assert_ok(st_store_by_digest(store, digest_of(1), &key, error));
  assert_int_equal(key.tokens_revoked, 1);
  assert_true(alive(1) && !listed(1));
  assert_true(revoked_in(other, 7));
  st_store_close(other);
  char detail[128];
  snprintf(detail, sizeof detail, "expires 2023-11-15T22:13:20Z; key %s", id_of(1));
  assert_line("token.revoke", tid_of(7), detail);
  /* Once more changes nothing. */
  int64_t all = lines();
  assert_ok(revoke_until(7, 1, EXP, MOST, &again));
  assert_true(again == sequence && sequence_now() == sequence && lines() == all);
  reopen();
  assert_true(revoked(7) && revoked_of(1) == 1 && token_listed(7));
}

static void asks_for_any_number_of_tids(void **state) {
  (void)state;
  bool is = true;
  subtoken_text tids[12];
  make_key(1, "", "");
  assert_ok(revoke_tid(11, 1));
  assert_ok(st_store_tokens_revoked(store, NULL, 0, &is, error));
  assert_false(is);
  for (unsigned i = 0; i < 12; i++) tids[i] = (subtoken_text){"0123456789abcdef", 16};
  assert_ok(st_store_tokens_revoked(store, tids, 12, &is, error));
  assert_false(is);
  tids[11] = tid_text(11);
  assert_ok(st_store_tokens_revoked(store, tids, 12, &is, error));
  assert_true(is);
  /* A prefix of one, one that is longer, and bytes that are no text. */
  subtoken_text others[] = {
      {tid_of(11), 15}, {sub_of(1), ST_SUB_LEN}, {"\xff\xfe\0\x01 ;'\"%_------", 16}};
  assert_ok(st_store_tokens_revoked(store, others, 3, &is, error));
  assert_false(is);
}

static void wants_a_living_row_and_a_tid(void **state) {
  (void)state;
  int64_t sequence = 9, before = sequence_now();
  make_key(1, "", "");
  make_key(2, "", "");
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  before = sequence_now();
  assert_int_equal(revoke_until(7, 2, EXP, MOST, &sequence), ST_STORE_NOT_FOUND);
  assert_int_equal(sequence, 0);
  assert_int_equal(revoke_tid(7, 3), ST_STORE_NOT_FOUND);
  subtoken_text no_tids[] = {{"", 0},
                             {tid_of(1), 15},
                             {sub_of(1), 17},
                             {"0123456789abcde.", 16},
                             {"0123456789abcde\0", 16},
                             {"0123456789abcde=", 16},
                             {".123456789abcdef", 16},
                             {NULL, 0}};
  for (size_t i = 0; i < sizeof no_tids / sizeof *no_tids; i++) {
    st_key_token token = {.sub = {sub_of(1), ST_SUB_LEN}, .tid = no_tids[i], .exp = EXP};
    assert_int_equal(st_store_token_revoke(store, CONTEXT, &token, MOST, NULL, error),
                     ST_STORE_FAILED);
    token.via[0] = token.tid; /* nor may one be among those that it was made from */
    token.via_count = 1;
    token.tid = tid_text(7);
    assert_int_equal(st_store_token_revoke(store, CONTEXT, &token, MOST, NULL, error),
                     ST_STORE_FAILED);
  }
  assert_int_equal(revoke_until(7, 1, -1, MOST, NULL), ST_STORE_FAILED);
  assert_int_equal(revoke_until(7, 1, SUBTOKEN_TIME_MAX, MOST, NULL), ST_STORE_FAILED);
  assert_int_equal(revoke_until(7, 1, LATEST + 1, MOST, NULL), ST_STORE_FAILED);
  assert_true(sequence_now() == before && listed_count() == 1 && !revoked(7));
  assert_ok(revoke_until(7, 1, LATEST, MOST, NULL));
  assert_ok(revoke_until(8, 1, 0, MOST, NULL));
  assert_true(revoked(7) && revoked(8));
}

/* As many as a token names, and what lies behind them is none of them. */
static void names_what_it_was_made_from(void **state) {
  (void)state;
  char tids[SUBTOKEN_VIA_MAX][ST_TID_LEN + 1];
  st_key_token *token = calloc(1, sizeof *token);
  assert_non_null(token);
  make_key(1, "", "");
  *token = (st_key_token){.sub = {sub_of(1), ST_SUB_LEN}, .exp = EXP};
  for (unsigned i = 0; i < SUBTOKEN_VIA_MAX; i++) {
    memcpy(tids[i], tid_of(20 + i), sizeof tids[i]);
    token->via[i] = st_text(tids[i]);
  }
  for (token->via_count = 0; token->via_count <= SUBTOKEN_VIA_MAX; token->via_count++) {
    token->tid = tid_text(40 + (unsigned)token->via_count);
    assert_ok(st_store_token_revoke(store, CONTEXT, token, MOST, NULL, error));
    assert_true(token_listed(40 + (unsigned)token->via_count));
  }
  token->tid = tid_text(60);
  assert_int_equal(st_store_token_revoke(store, CONTEXT, token, MOST, NULL, error),
                   ST_STORE_FAILED); /* one more than there is room for */
  free(token);
  /* The first of them takes off what was made from it, which are all but the one from nothing. */
  assert_ok(revoke_made(20, 1, VIA(0)));
  for (unsigned n = 0; n <= SUBTOKEN_VIA_MAX; n++) assert_int_equal(token_listed(40 + n), n == 0);
  assert_ok(revoke_made(41, 1, VIA(20, 21))); /* is over with its first */
  assert_false(token_listed(41));
  st_key_token behind = {.sub = {sub_of(1), ST_SUB_LEN},
                         .tid = tid_text(42),
                         .via = {tid_text(99), tid_text(20)},
                         .via_count = 1,
                         .exp = EXP};
  assert_ok(st_store_token_revoke(store, CONTEXT, &behind, 3, NULL, error));
  assert_true(token_listed(42));
}

static void rows_of_every_kind_have_tokens(void **state) {
  (void)state;
  char detail[128];
  make_user(1, "ann", "a");
  assert_ok(begin_session(2, grantor_of(1), NOW + 5 * DAY));
  assert_ok(revoke_tid(7, 1));
  assert_line("token.revoke", tid_of(7), "expires 2023-11-15T22:13:20Z; user ann");
  assert_ok(revoke_tid(8, 2));
  snprintf(detail, sizeof detail, "expires 2023-11-15T22:13:20Z; login %s", id_of(2));
  assert_line("token.revoke", tid_of(8), detail);
  assert_true(revoked_of(1) == 1 && revoked_of(2) == 1);
}

static void a_row_has_so_many_at_a_time(void **state) {
  (void)state;
  int64_t sequence = 1;
  make_key(1, "", "");
  make_key(2, "", "");
  for (unsigned n = 10; n < 13; n++) assert_ok(revoke_until(n, 1, EXP, 3, NULL));
  int64_t before = sequence_now(), all = lines();
  assert_int_equal(revoke_until(13, 1, EXP, 3, &sequence), ST_STORE_FULL);
  assert_true(strstr(error, "revoke-subtokens") != NULL && sequence == 0);
  assert_true(sequence_now() == before && lines() == all && !revoked(13) && !token_listed(13));
  assert_ok(revoke_until(12, 1, EXP, 3, NULL)); /* is listed */
  assert_ok(revoke_until(13, 2, EXP, 3, NULL)); /* another key */
}

/* Whatever a key's sub was, and of all its sessions together. */
static void they_are_counted_by_key(void **state) {
  (void)state;
  make_key(1, "", "");
  assert_ok(begin_session(2, grantor_of(1), NOW + 5 * DAY));
  assert_ok(begin_session(3, grantor_of(1), NOW + 5 * DAY));
  for (unsigned n = 1; n <= 3; n++) assert_ok(revoke_until(10 + n, n, EXP, 3, NULL));
  for (unsigned n = 1; n <= 3; n++) {
    assert_int_equal(revoke_until(20 + n, n, EXP, 3, NULL), ST_STORE_FULL);
  }
  assert_true(revoked_of(1) == 1 && revoked_of(2) == 1 && revoked_of(3) == 1);
  reopen();
  assert_int_equal(revoke_until(21, 1, EXP, 3, NULL), ST_STORE_FULL);
  /* A session that ends takes its own along. */
  int64_t before = sequence_now();
  assert_ok(st_store_session_end(store, CONTEXT, id_of(2), NULL, error));
  assert_all_changed(before, (const uint64_t[]){hash_of(2)}, 1, (const uint64_t[]){token_hash(12)},
                     1);
  assert_true(token_listed(11) && !token_listed(12) && token_listed(13));
  assert_ok(revoke_until(23, 3, EXP, 3, NULL));
  assert_int_equal(revoke_until(21, 1, EXP, 3, NULL), ST_STORE_FULL);
}

/* Again and again, and nothing piles up: each sub is refused as a whole. */
static void a_new_sub_takes_them_off(void **state) {
  (void)state;
  unsigned tid = 10;
  make_key(1, "", "");
  make_key(2, "", "");
  assert_ok(revoke_tid(9, 2));
  for (unsigned epoch = 1; epoch < 6; epoch += 2) { /* 1, 3 and 5, and a session of each */
    st_grantor grantor = {id_of(1), sub_of(epoch)};
    assert_ok(begin_session(40 + epoch, &grantor, NOW + 5 * DAY));
    assert_ok(revoke_until(tid, epoch, EXP, 3, NULL));
    assert_ok(revoke_until(tid + 1, epoch, EXP, 3, NULL));
    assert_ok(revoke_until(tid + 2, 40 + epoch, EXP, 3, NULL));
    assert_int_equal(revoke_until(99, epoch, EXP, 3, NULL), ST_STORE_FULL);
    int64_t before = sequence_now();
    assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(1), sub_of(epoch + 2), NULL, error));
    assert_all_changed(
        before, (const uint64_t[]){hash_of(epoch), hash_of(40 + epoch)}, 2,
        (const uint64_t[]){token_hash(tid), token_hash(tid + 1), token_hash(tid + 2)}, 3);
    assert_true(!revoked(tid) && !revoked(tid + 1) && !revoked(tid + 2) && revoked(9));
    assert_true(!alive(epoch) && !alive(40 + epoch) && revoked_of(epoch + 2) == 0);
    assert_int_equal(revoke_until(tid, epoch, EXP, 3, NULL), ST_STORE_NOT_FOUND);
    assert_int_equal(listed_count(), 1 + epoch + 1); /* the other key's, and the subs */
    tid += 3;
  }
}

/* ---- what was made from it ---- */

/* Who has taken one token cannot keep it by revoking what he makes from it. */
static void what_was_made_from_it_makes_room(void **state) {
  (void)state;
  make_key(1, "", "");
  make_key(2, "", "");
  assert_ok(revoke_made(30, 2, VIA(7))); /* of another key */
  for (unsigned n = 10; n < 13; n++) assert_ok(revoke_made(n, 1, VIA(7, 8)));
  assert_int_equal(revoke_made(13, 1, VIA(7, 8)), ST_STORE_FULL);
  assert_int_equal(revoke_made(6, 1, VIA(99)), ST_STORE_FULL);
  int64_t before = sequence_now(), all = lines();
  assert_ok(revoke_made(8, 1, VIA(7))); /* the parent */
  assert_true(lines() == all + 1 && revoked(8) && revoked_of(1) == 1);
  for (unsigned n = 10; n < 13; n++) assert_true(!revoked(n) && !token_listed(n));
  assert_all_changed(before, (const uint64_t[]){token_hash(8)}, 1,
                     (const uint64_t[]){token_hash(10), token_hash(11), token_hash(12)}, 3);
  /* What was made from it is over: nothing changes. */
  before = sequence_now();
  assert_ok(revoke_made(10, 1, VIA(7, 8)));
  assert_ok(revoke_made(14, 1, VIA(7, 8, 10)));
  assert_true(sequence_now() == before && lines() == all + 1 && revoked_of(1) == 1);
  /* What it was made from, and not what it was not. */
  assert_ok(revoke_made(15, 1, VIA(77)));
  assert_ok(revoke_made(16, 1, VIA(6, 17)));
  assert_ok(revoke_made(7, 1, VIA(0)));
  assert_true(revoked(7) && !revoked(8) && revoked(15) && revoked(16) && revoked(30));
  assert_int_equal(listed_count(), 4);
}

/* Made up by who has a secret: it would live when that which it names is off the list. */
static void what_outlives_it_stays(void **state) {
  (void)state;
  make_key(1, "", "");
  assert_ok(revoke_made_until(10, 1, VIA(7), EXP + 1));
  assert_ok(revoke_made_until(11, 1, VIA(7), EXP));
  assert_ok(revoke_made_until(7, 1, VIA(0), EXP));
  assert_true(token_listed(7) && token_listed(10) && !token_listed(11));
}

/* ---- audiences ---- */

/* Whoever has the secret of one audience makes up as many tokens as he likes. */
static void derived_secrets_fill_their_own(void **state) {
  (void)state;
  make_key(1, "", "");
  assert_ok(begin_session(2, grantor_of(1), NOW + 5 * DAY));
  for (unsigned n = 10; n < 13; n++) {
    assert_ok(revoke_derived(n, 1 + n % 2, n == 11 ? "e" : "eu"));
  }
  assert_int_equal(revoke_derived(13, 1, "us"), ST_STORE_FULL);
  for (unsigned n = 20; n < 23; n++) assert_ok(revoke_derived(n, 1 + n % 2, ""));
  assert_int_equal(revoke_derived(23, 2, ""), ST_STORE_FULL);
  assert_int_equal(revoke_derived(13, 2, "eu"), ST_STORE_FULL);
  reopen();
  assert_int_equal(revoke_derived(23, 1, ""), ST_STORE_FULL);
  assert_int_equal(listed_count(), 6);
}

/* Under the sub of a key that is bound to another audience, or to one at all. */
static void what_no_key_has_made_is_not_listed(void **state) {
  (void)state;
  st_key key = row_of(1, "", "");
  snprintf(key.audience, sizeof key.audience, "eu");
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(1), error));
  int64_t before = sequence_now(), all = lines();
  static const char *const others[] = {"us", "", "e", "eu2", "EU"};
  for (unsigned i = 0; i < 5; i++) {
    assert_int_equal(revoke_derived(10 + i, 1, others[i]), ST_STORE_NOT_FOUND);
  }
  assert_true(sequence_now() == before && lines() == all && listed_count() == 0);
  for (unsigned n = 20; n < 23; n++) assert_ok(revoke_derived(n, 1, "eu"));
  assert_int_equal(revoke_derived(23, 1, "eu"), ST_STORE_FULL);
}

/* Many at a time do not get past the number together, by whatever handle. */
typedef struct revoking {
  st_store *of;
  unsigned from;
  unsigned done, full;
} revoking;

static void *revoke_some(void *context) {
  revoking *r = context;
  for (unsigned n = r->from; n < r->from + 6; n++) {
    st_store_status status;
    do {
      status = revoke_in(r->of, n, 1, EXP, 10, NULL);
    } while (status == ST_STORE_BUSY);
    r->done += status == ST_STORE_OK;
    r->full += status == ST_STORE_FULL;
  }
  return NULL;
}

static void at_once_there_are_no_more(void **state) {
  (void)state;
  pthread_t threads[4];
  revoking all[4] = {{.from = 100}, {.from = 200}, {.from = 300}, {.from = 400}};
  unsigned done = 0, full = 0, found = 0;
  st_store *other = NULL;
  make_key(1, "", "");
  assert_ok(st_store_open(location, false, &other, error));
  for (size_t i = 0; i < 4; i++) {
    all[i].of = i % 2 == 0 ? store : other;
    assert_int_equal(pthread_create(&threads[i], NULL, revoke_some, &all[i]), 0);
  }
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    done += all[i].done;
    full += all[i].full;
  }
  assert_true(done == 10 && full == 14);
  SEEN(revoked_of(1) == 10);
  st_store_close(other);
  for (size_t i = 0; i < 4; i++) {
    for (unsigned n = all[i].from; n < all[i].from + 6; n++) found += revoked(n);
  }
  assert_true(found == 10 && listed_count() == 10);
}

static void purge_at(int64_t now, int64_t uptime) {
  assert_ok(st_store_purge(store, now * US, uptime * US, NULL, error));
}

static void is_listed_until_it_could_no_longer_live(void **state) {
  (void)state;
  make_key(1, "", "");
  assert_ok(revoke_until(7, 1, NOW + 100, MOST, NULL));
  assert_ok(revoke_until(8, 1, NOW + 5 * DAY, MOST, NULL));
  purge_at(NOW, 1000);
  int64_t before = sequence_now();
  purge_at(NOW + 100 + LEEWAYS, 1000 + 2 * DAY);
  assert_true(token_listed(7) && sequence_now() == before);
  purge_at(NOW + 101 + LEEWAYS, 1000 + 3 * DAY);
  assert_true(!token_listed(7) && !revoked(7) && token_listed(8) && revoked(8));
  assert_true(sequence_now() > before);
  assert_token_changed(before, 7, false);
  reopen(); /* what is remembered of the row may be more */
  assert_int_equal(revoked_of(1), 1);
  /* There is room again, and the sub is not touched. */
  assert_ok(revoke_until(9, 1, NOW + 5 * DAY, 2, NULL));
  assert_true(alive(1) && listed_count() == 2);
}

/* A clock that runs ahead for a while takes nothing off. */
static void a_clock_that_jumps_takes_nothing_off(void **state) {
  (void)state;
  make_key(1, "", "");
  assert_ok(revoke_until(7, 1, NOW + 100, MOST, NULL));
  purge_at(NOW, 1000);
  purge_at(NOW + 400 * DAY, 1060);
  assert_true(token_listed(7) && revoked(7));
  purge_at(NOW, 1120);
  purge_at(NOW + 101 + LEEWAYS, 1000 + DAY);
  assert_false(token_listed(7));
}

/* With its key for good it goes: the sub is listed, and for longer. */
static void stays_listed_as_long_as_its_sub_is_not(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 4; n++) {
    if (n < 4) make_key(n, "", "");
    if (n == 4) make_user(4, "ann", "a");
    assert_ok(revoke_tid(10 + n, n));
  }
  int64_t before = sequence_now();
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  assert_all_changed(before, (const uint64_t[]){hash_of(1)}, 1, (const uint64_t[]){token_hash(11)},
                     1);
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(2), sub_of(5), NULL, error));
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(3), true, NULL, error));
  assert_true(!token_listed(11) && !token_listed(12) && token_listed(13) && !token_listed(14));
  assert_int_equal(listed_count(), 5);
  assert_ok(revoke_tid(15, 3)); /* of a key that is disabled, for when it is enabled */
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(3), false, NULL, error));
  assert_true(token_listed(13) && token_listed(15));
  assert_true(!listed(3) && revoked_of(3) == 2 && listed_count() == 5);
  /* The subs go when no token of theirs can live, and so later than any of these. */
  purge_at(NOW, 0);
  purge_at(NOW + 2 * DAY, 2 * DAY);
  assert_true(listed(1) && listed(2) && listed(4) && listed_count() == 3);
}

/* ---- other histories ---- */

static st_revocation_snapshot snapshot_now(st_revocation_data *data) {
  assert_ok(st_store_revocation_data(store, data, error));
  st_revocation_snapshot snapshot = {
      .sequence = data->state.sequence, .hashes = data->hashes, .count = data->count, .life = DAY};
  memcpy(snapshot.hash_key, data->state.hash_key, sizeof snapshot.hash_key);
  free(data->changes);
  return snapshot;
}

static void restore_snapshot(const st_revocation_snapshot *snapshot, int64_t listed_again) {
  st_restore_report report;
  assert_ok(st_store_restore_revocations(store, CONTEXT, snapshot, &report, error));
  assert_int_equal(report.listed, listed_again);
  assert_true(report.keys == 0 && report.sessions == 0);
}

/* A backup does not know a token that was revoked later; a snapshot does, by its hash alone. */
static void a_restored_token_is_refused(void **state) {
  (void)state;
  char backup[sizeof location + 8];
  st_revocation_data data;
  st_store *whole = store;
  make_key(1, "", "");
  assert_ok(revoke_tid(7, 1));
  snprintf(backup, sizeof backup, "%s/backup.db", folder);
  assert_ok(st_store_backup(store, backup, NULL, error));
  assert_ok(revoke_tid(8, 1));
  st_revocation_snapshot snapshot = snapshot_now(&data);
  assert_ok(st_store_open(backup, false, &store, error));
  assert_true(revoked(7) && !revoked(8) && revoked_of(1) == 1);
  make_key(2, "", "");
  assert_int_equal(revoked_of(2), 0); /* and is remembered */
  restore_snapshot(&snapshot, 1);
  assert_true(token_listed(7) && token_listed(8) && revoked(7) && revoked(8) && !revoked(9));
  /* Whose it is, nobody knows: each row says that there is something to be looked up. */
  assert_true(revoked_of(1) == 2 && revoked_of(2) == 1);
  /* It can be revoked by name once more, and is listed once. */
  assert_ok(revoke_tid(8, 1));
  assert_true(token_listed(8) && listed_count() == 2 && revoked_of(1) == 3);
  st_store_close(store);
  store = whole;
  free(data.hashes);
}

/* Another store with another hash key: the hashes of tids are computed anew. */
static void another_hash_key_keeps_tids(void **state) {
  (void)state;
  st_revocation_data data;
  char other_location[sizeof location];
  st_store *first = store;
  make_key(1, "", "");
  assert_ok(revoke_tid(7, 1));
  st_revocation_snapshot snapshot = snapshot_now(&data);
  kind->locate(1, other_location);
  assert_ok(st_store_open(other_location, true, &store, error));
  make_key(2, "", "");
  assert_ok(revoke_tid(8, 2));
  assert_true(revoked(8)); /* asked for under the hash key of until now */
  restore_snapshot(&snapshot, 1);
  assert_true(token_listed(7) && token_listed(8) && listed_count() == 2);
  assert_true(revoked(7) && revoked(8) && !revoked(9));
  st_store_close(store);
  store = first;
  free(data.hashes);
}

static void is_in_every_copy(void **state) {
  (void)state;
  static char to[2][sizeof location + 8];
  st_copy_report report;
  st_key key;
  snprintf(to[0], sizeof to[0], "%s/copy.db", folder);
  kind->locate(1, to[1]);
  make_key(1, "", "");
  assert_ok(revoke_made(7, 1, VIA(5, 6)));
  for (size_t i = 0; i < 2; i++) {
    st_store *copy = NULL;
    assert_ok(st_store_copy(store, to[i], NULL, &report, error));
    assert_ok(st_store_open(to[i], false, &copy, error));
    assert_ok(st_store_by_sub(copy, (subtoken_text){sub_of(1), ST_SUB_LEN}, &key, error));
    assert_true(revoked_in(copy, 7) && !revoked_in(copy, 8) && key.tokens_revoked == 1);
    st_store *mine = store;
    store = copy;
    assert_true(token_listed(7) && listed_count() == 1);
    assert_int_equal(revoke_until(8, 1, EXP, 1, NULL), ST_STORE_FULL);
    assert_ok(revoke_derived(9, 1, "eu")); /* what is counted, and from what it was made */
    assert_ok(revoke_until(6, 1, EXP, 1, NULL));
    assert_true(!token_listed(7) && token_listed(6) && listed_count() == 2);
    purge_at(NOW, 0);
    purge_at(EXP + LEEWAYS + 1, 9 * DAY);
    assert_int_equal(listed_count(), 0);
    store = mine;
    st_store_close(copy);
  }
}

/* ---- killed ---- */

#define KILLED_FROM 1000

/* Tells each one that was answered; the parent kills it. */
static _Noreturn void revoke_until_killed(int pipe) {
  st_store *mine = NULL;
  if (st_store_open(location, false, &mine, error) != ST_STORE_OK) _exit(1);
  store = mine;
  for (unsigned n = KILLED_FROM;; n++) {
    if (revoke_until(n, 1, EXP, 1000000, NULL) != ST_STORE_OK) _exit(2);
    if (write(pipe, &n, sizeof n) != sizeof n) _exit(3);
  }
}

static void an_acknowledged_token_survives_a_kill(void **state) {
  (void)state;
  int pipes[2];
  unsigned n = 0, last = 0;
  make_key(1, "", "");
  st_store_close(store); /* no connection of this process is shared */
  store = NULL;
  assert_int_equal(pipe(pipes), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) revoke_until_killed(pipes[1]);
  assert_int_equal(close(pipes[1]), 0);
  for (int i = 0; i < 20; i++) {
    assert_int_equal(read(pipes[0], &n, sizeof n), sizeof n);
  }
  assert_int_equal(kill(child, SIGKILL), 0);
  while (read(pipes[0], &n, sizeof n) == sizeof n) continue; /* what was answered by then */
  last = n;
  assert_int_equal(close(pipes[0]), 0);
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_ok(st_store_open(location, false, &store, error));
  /* After this change the database has ended that of who was killed. */
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, NULL, error));
  for (unsigned i = KILLED_FROM; i <= last; i++) assert_true(revoked(i));
  /* At most one more, and then whole: with its hash, its count and its line. */
  int64_t count = revoked_of(1);
  assert_in_range(count, last - KILLED_FROM + 1, last - KILLED_FROM + 2);
  assert_int_equal(listed_count(), count);
  assert_int_equal(count_lines("token.revoke", ""), count);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(is_listed_at_once),
      TEST(asks_for_any_number_of_tids),
      TEST(wants_a_living_row_and_a_tid),
      TEST(names_what_it_was_made_from),
      TEST(rows_of_every_kind_have_tokens),
      TEST(a_row_has_so_many_at_a_time),
      TEST(they_are_counted_by_key),
      TEST(a_new_sub_takes_them_off),
      TEST(what_was_made_from_it_makes_room),
      TEST(what_outlives_it_stays),
      TEST(derived_secrets_fill_their_own),
      TEST(what_no_key_has_made_is_not_listed),
      TEST(at_once_there_are_no_more),
      TEST(is_listed_until_it_could_no_longer_live),
      TEST(a_clock_that_jumps_takes_nothing_off),
      TEST(stays_listed_as_long_as_its_sub_is_not),
      TEST(a_restored_token_is_refused),
      TEST(another_hash_key_keeps_tids),
      TEST(is_in_every_copy),
      TEST(an_acknowledged_token_survives_a_kill),
  };
  return RUN_ON_EVERY_STORE(tests);
}
