/* Sessions: what they rest on and end with, how a refresh token is used, and how many there are. */
#include "store_contract.h"

#include "base/base64url.h"
#include "base/hmac.h"

#define LIFE 1000
#define RETRY 30 /* seconds */

typedef char refresh_token[ST_REFRESH_LEN + 1];

static st_key session; /* as the last refresh told */

/* Use a token at a second; a good one makes the session last LIFE longer. */
static st_store_status use(const char *token, int64_t at, refresh_token successor) {
  memset(&session, 0, sizeof session);
  return st_store_session_refresh(store, CONTEXT_AT(at), (subtoken_text){token, strlen(token)},
                                  at + LIFE, RETRY, &session, successor, error);
}

/* Unknown, expired, ended: nothing changes, and nothing is told. */
static void assert_none(const char *token, int64_t at) {
  refresh_token next = "x";
  assert_int_equal(use(token, at, next), ST_STORE_NOT_FOUND);
  assert_string_equal(next, "");
  assert_string_equal(session.id, "");
}

/* Used before: now its session has ended, with a line that says so. */
static void assert_ends(const char *token, int64_t at, unsigned n) {
  refresh_token next = "x";
  int64_t before = sequence_now();
  assert_true(alive(n));
  assert_int_equal(use(token, at, next), ST_STORE_DENIED);
  assert_non_null(strstr(error, "a refresh token was used before"));
  assert_string_equal(next, "");
  assert_true(!alive(n) && listed(n));
  ASSERT_CHANGED(before, true, n);
  assert_string_equal(last_line().action, "login.reuse");
  assert_string_equal(last_line().target, id_of(n));
}

/* ann: 1, her key 2 (services). */
static void make_ann(void) {
  make_user(1, "ann", "a,b");
  make_key(2, "ann", "services");
}

/* ---- beginning ---- */

static void a_session_grants_what_its_grantor_does(void **state) {
  (void)state;
  st_key made = row_of(3, "liar", "everything"), got;
  uint8_t seed[32] = {7};
  make_ann();
  made.expires_at = NOW + LIFE;
  made.created_at = 5;
  made.disabled = made.suspended = true;
  assert_ok(st_store_session_begin(store, CONTEXT, grantor_of(1), 100, &made, digest_of(3), seed,
                                   refresh_of(3), error));
  assert_int_equal(made.kind, ST_KIND_SESSION);
  assert_string_equal(made.parent, id_of(1));
  assert_string_equal(made.owner, "ann");
  assert_string_equal(made.name, "ann");
  assert_string_equal(made.permissions, "a,b");
  assert_true(!made.disabled && !made.suspended);
  assert_int_equal(made.expires_at, NOW + LIFE);
  assert_int_equal(made.created_at, NOW);
  assert_int_equal(row_by_sub(3, &got), ST_STORE_OK);
  assert_string_equal(got.parent, made.parent);
  assert_string_equal(got.permissions, made.permissions);
  assert_int_equal(got.kind, ST_KIND_SESSION);
  assert_int_equal(got.expires_at, made.expires_at);
  assert_line("login.begin", id_of(3),
              "permissions a,b; expires 2023-11-14T22:30:00Z; owner ann; name ann");

  made = row_of(4, "", "");
  assert_ok(st_store_session_begin(store, CONTEXT, grantor_of(2), 100, &made, digest_of(4), seed,
                                   refresh_of(4), error));
  assert_int_equal(made.kind, ST_KIND_SERVICE);
  assert_string_equal(made.parent, id_of(2));
  assert_string_equal(made.name, "key 2");
  assert_int_equal(made.expires_at, ST_NEVER);
}

/* Used or not, as long as it and its session last; nothing is changed. */
static void the_session_of_a_refresh_token_is_found(void **state) {
  (void)state;
  refresh_token next;
  st_key found;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  int64_t before = sequence_now();
  subtoken_text first = {refresh_of(3), ST_REFRESH_LEN};
  assert_ok(st_store_session_of_refresh(store, first, NOW, &found, error));
  assert_string_equal(found.id, id_of(3));
  assert_string_equal(found.permissions, "a,b");
  assert_int_equal(found.kind, ST_KIND_SESSION);
  assert_ok(use(refresh_of(3), NOW + 1, next)); /* so it was not used */
  for (int i = 0; i < 2; i++) {
    subtoken_text token = i == 0 ? first : (subtoken_text){next, ST_REFRESH_LEN};
    assert_ok(st_store_session_of_refresh(store, token, NOW + 1, &found, error));
    assert_string_equal(found.id, id_of(3));
  }
  assert_true(sequence_now() == before);
  static const char *const none[] = {"x", "", "0000000000000000000000000000000000000000000",
                                     "00000000000000000000000000000000000000000000"};
  for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
    error[0] = '\0';
    assert_int_equal(st_store_session_of_refresh(store, st_text(none[i]), NOW, &found, error),
                     ST_STORE_NOT_FOUND);
    if (strlen(none[i]) != ST_REFRESH_LEN) assert_string_equal(error, "not a refresh token");
  }
  assert_int_equal(st_store_session_of_refresh(store, first, NOW + LIFE, &found, error),
                   ST_STORE_NOT_FOUND); /* it has expired, its successor has not */
  assert_ok(st_store_session_of_refresh(store, (subtoken_text){next, ST_REFRESH_LEN}, NOW + LIFE,
                                        &found, error));
  assert_ok(st_store_session_end(store, CONTEXT, id_of(3), NULL, error));
  assert_int_equal(
      st_store_session_of_refresh(store, (subtoken_text){next, ST_REFRESH_LEN}, NOW, &found, error),
      ST_STORE_NOT_FOUND);
}

static void a_session_expires_with_its_grantor(void **state) {
  (void)state;
  refresh_token next;
  st_key got, key = row_of(5, "", "services");
  key.expires_at = NOW + 50;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(5), error));
  assert_ok(begin_session(6, grantor_of(5), NOW + 100));
  assert_int_equal(row_by_sub(6, &got), ST_STORE_OK);
  assert_int_equal(got.expires_at, NOW + 50);
  assert_ok(use(refresh_of(6), NOW + 40, next));
  assert_int_equal(session.expires_at, NOW + 50);
  assert_none(next, NOW + 50);
}

static void nothing_begins_with_what_is_not_in_force(void **state) {
  (void)state;
  st_key key = row_of(5, "", "services");
  make_ann();
  key.expires_at = NOW;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(5), error));
  assert_int_equal(begin_session(6, grantor_of(5), NOW + 9), ST_STORE_DENIED);
  assert_int_equal(begin_session(6, grantor_of(9), NOW + 9), ST_STORE_DENIED);
  assert_ok(begin_session(3, grantor_of(1), NOW + 9));
  assert_int_equal(begin_session(6, grantor_of(3), NOW + 9), ST_STORE_DENIED); /* is a session */
  assert_ok(begin_session(4, grantor_of(2), NOW + 9));
  assert_int_equal(begin_session(6, grantor_of(4), NOW + 9), ST_STORE_DENIED);
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
  assert_int_equal(begin_session(6, grantor_of(1), NOW + 9), ST_STORE_DENIED);
  assert_int_equal(begin_session(6, grantor_of(2), NOW + 9), ST_STORE_DENIED);
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", false, NULL, error));
  assert_ok(st_store_user_set_password(store, CONTEXT, "ann", "$", sub_of(80), NULL, error));
  assert_int_equal(begin_session(6, grantor_of(1), NOW + 9), ST_STORE_DENIED); /* another sub */
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_int_equal(begin_session(6, grantor_of(2), NOW + 9), ST_STORE_DENIED);
  assert_false(alive(6));
}

static void what_is_taken_is_drawn_again(void **state) {
  (void)state;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + 9));
  assert_int_equal(begin_session(3, grantor_of(1), NOW + 9), ST_STORE_EXISTS);
  assert_int_equal(begin_session(2, grantor_of(1), NOW + 9), ST_STORE_EXISTS);
  st_key made = row_of(4, "", "");
  uint8_t seed[32] = {7};
  assert_int_equal(st_store_session_begin(store, CONTEXT, grantor_of(1), 100, &made, digest_of(4),
                                          seed, "short", error),
                   ST_STORE_FAILED);
  assert_int_equal(st_store_session_begin(store, CONTEXT, grantor_of(1), 100, &made, digest_of(4),
                                          seed, refresh_of(3), error),
                   ST_STORE_EXISTS);
  assert_false(alive(4));
  assert_string_equal(made.owner, ""); /* told of nothing that was not made */
}

/* ---- refreshing ---- */

static void the_successor_follows_from_the_token(void **state) {
  (void)state;
  refresh_token one, wanted;
  uint8_t seed[32], mac[32];
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  int64_t written = lines(), before = sequence_now();
  assert_ok(use(refresh_of(3), NOW + 5, one));
  subtoken_secret secret;
  memset(seed, 3, sizeof seed);
  st_hmac_key(&secret, seed, sizeof seed);
  st_hmac(&secret, refresh_of(3), ST_REFRESH_LEN, mac);
  st_writer writer = st_writer_on(wanted, sizeof wanted);
  st_base64url_write(&writer, mac, sizeof mac);
  assert_true(st_writer_end(&writer));
  assert_string_equal(one, wanted);
  assert_string_equal(session.id, id_of(3));
  assert_string_equal(session.sub, sub_of(3));
  assert_int_equal(session.expires_at, NOW + 5 + LIFE);
  st_key row;
  assert_int_equal(row_by_sub(3, &row), ST_STORE_OK);
  assert_int_equal(row.expires_at, NOW + 5 + LIFE);
  assert_int_equal(lines(), written);       /* of a refresh there is no line */
  assert_int_equal(sequence_now(), before); /* and nothing is listed */
}

static void the_same_again_gives_the_same(void **state) {
  (void)state;
  static const int64_t moments[] = {0, 1, RETRY, -RETRY};
  refresh_token one, again;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  assert_ok(use(refresh_of(3), NOW + 20, one));
  for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
    assert_ok(use(refresh_of(3), NOW + 20 + moments[i], again));
    assert_string_equal(again, one);
    assert_string_equal(session.id, id_of(3));
    assert_int_equal(session.expires_at, NOW + 20 + LIFE); /* nothing is changed then */
    reopen();
  }
  assert_ok(use(one, NOW + 500, again));
  assert_string_not_equal(again, one);
}

static void late_again_ends_the_session(void **state) {
  (void)state;
  refresh_token one;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  assert_ok(begin_session(4, grantor_of(1), NOW + LIFE));
  assert_ok(use(refresh_of(3), NOW, one));
  assert_ends(refresh_of(3), NOW + RETRY + 1, 3);
  assert_none(refresh_of(3), NOW + 12);
  assert_none(one, NOW + 12);
  reopen();
  assert_none(one, NOW + 12);
  assert_ok(use(refresh_of(4), NOW + 12, one)); /* another session */
}

/* D11: how long is a setting, and may be never. */
static void the_same_again_may_be_never(void **state) {
  (void)state;
  refresh_token next;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  assert_ok(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(3)), NOW + LIFE, 0,
                                     &session, next, error));
  assert_int_equal(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(3)), NOW + LIFE, 0,
                                            &session, next, error),
                   ST_STORE_DENIED);
  assert_false(alive(3));
}

static void a_clock_that_stepped_back_far_ends_the_session(void **state) {
  (void)state;
  refresh_token one;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  assert_ok(use(refresh_of(3), NOW + 100, one));
  assert_ends(refresh_of(3), NOW + 100 - RETRY - 1, 3);
}

static void again_after_the_successor_was_used_ends_the_session(void **state) {
  (void)state;
  refresh_token one, two;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  assert_ok(use(refresh_of(3), NOW, one));
  assert_ok(use(one, NOW + 1, two));
  assert_ends(refresh_of(3), NOW + 2, 3);
  assert_none(two, NOW + 2);
}

static void an_ancient_token_ends_the_session(void **state) {
  (void)state;
  refresh_token chain[6];
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  snprintf(chain[0], sizeof chain[0], "%s", refresh_of(3));
  for (int i = 1; i < 6; i++) {
    assert_ok(use(chain[i - 1], NOW + i * 100, chain[i]));
    for (int j = 0; j < i; j++) assert_string_not_equal(chain[j], chain[i]);
  }
  reopen();
  assert_ends(chain[1], NOW + 600, 3);
  for (int i = 0; i < 6; i++) assert_none(chain[i], NOW + 601);
}

static void what_expired_is_unknown(void **state) {
  (void)state;
  refresh_token one;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + 100));
  assert_none(refresh_of(3), NOW + 100);
  assert_ok(use(refresh_of(3), NOW + 99, one));
  assert_none(refresh_of(3), NOW + 1000); /* expired itself, though the session lives */
  assert_true(alive(3));
  assert_none(one, NOW + 99 + LIFE);
}

static void what_was_never_given_is_unknown(void **state) {
  (void)state;
  refresh_token next;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + 100));
  static const char *const none[] = {"", "R00000000000000000000000000000000000000000",
                                     "R0000000000000000000000000000000000000000031"};
  for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
    error[0] = '\0';
    assert_none(none[i], NOW);
    assert_string_equal(error, "not a refresh token");
  }
  assert_none(refresh_of(4), NOW);
  assert_int_equal(st_store_session_refresh(store, CONTEXT, (subtoken_text){NULL, 0}, NOW, 30,
                                            &session, next, error),
                   ST_STORE_NOT_FOUND);
  assert_ok(use(refresh_of(3), NOW, next));
}

/* ---- ending ---- */

static void after_its_end_nothing_works(void **state) {
  (void)state;
  refresh_token one;
  int64_t sequence = 0, before;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + LIFE));
  assert_ok(use(refresh_of(3), NOW, one));
  before = sequence_now();
  assert_ok(st_store_session_end(store, CONTEXT_AT(NOW + 1), id_of(3), &sequence, error));
  ASSERT_CHANGED(before, true, 3);
  assert_int_equal(sequence, sequence_now());
  assert_string_equal(last_line().action, "login.end");
  assert_none(refresh_of(3), NOW + 1);
  assert_none(one, NOW + 1);
  assert_int_equal(st_store_session_end(store, CONTEXT_AT(NOW + 2), id_of(3), NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_session_end(store, CONTEXT, id_of(1), NULL, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_session_end(store, CONTEXT, id_of(2), NULL, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_session_end(store, CONTEXT, "x", NULL, error), ST_STORE_NOT_FOUND);
  assert_true(alive(1) && alive(2));
}

/* What ends a key, or suspends it, ends the sessions made with it. */
static void sessions_of_services_end_with_their_key(void **state) {
  (void)state;
  make_user(1, "ann", "a");
  for (unsigned n = 2; n <= 5; n++) make_key(n, "ann", "services");
  for (unsigned n = 2; n <= 5; n++) assert_ok(begin_session(10 + n, grantor_of(n), NOW + LIFE));
  assert_ok(begin_session(20, grantor_of(2), NOW + LIFE));
  int64_t before = sequence_now();
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  ASSERT_CHANGED(before, true, 2, 12, 20);
  assert_line("key.disable", id_of(2),
              "sessions ended: 2; permissions services; expires never; owner ann; name key 2");
  before = sequence_now();
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(3), NULL, error));
  ASSERT_CHANGED(before, true, 3, 13);
  assert_line("key.delete", id_of(3),
              "sessions ended: 1; permissions services; expires never; owner ann; name key 3");
  before = sequence_now();
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(4), sub_of(80), NULL, error));
  ASSERT_CHANGED(before, true, 4, 14);
  assert_true(alive(15) && alive(80));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, NULL, error));
  for (unsigned n = 12; n <= 14; n++) assert_none(refresh_of(n), NOW);
  assert_false(alive(20));
}

/* ---- what is left of them ---- */

static void purge_at(int64_t at) {
  assert_ok(st_store_purge(store, at * US, at * US, NULL, error));
}

/* C5: a clock that is years ahead takes no session, however often. */
static void a_clock_that_leaps_purges_little(void **state) {
  (void)state;
  refresh_token next;
  make_ann();
  assert_ok(begin_session(3, grantor_of(1), NOW + 30 * DAY));
  purge_at(NOW);
  for (int i = 0; i < 400; i++) {
    assert_ok(st_store_purge(store, (NOW + 4000 * DAY) * US, (NOW + i) * US, NULL, error));
  }
  assert_ok(use(refresh_of(3), NOW + 100, next));
}

/* ---- how many ---- */

static st_store_status log_in_at_most(unsigned n, int64_t most, int64_t expires_at) {
  st_key begun = row_of(n, "", "");
  uint8_t seed[32];
  memset(seed, (int)n, sizeof seed);
  begun.expires_at = expires_at;
  return st_store_session_begin(store, CONTEXT, grantor_of(2), most, &begun, digest_of(n), seed,
                                refresh_of(n), error);
}

/* G4: in the transaction of the one that is too many; revoked, listed and in the audit log. */
static void the_oldest_session_ends(void **state) {
  (void)state;
  make_ann();
  make_key(30, "other", "services");
  assert_ok(begin_session(31, grantor_of(30), NOW + 100));
  for (unsigned n = 10; n < 13; n++) assert_ok(log_in_at_most(n, 3, NOW + 100 - n));
  int64_t before = sequence_now(), audit = lines();
  assert_ok(log_in_at_most(13, 3, NOW + 50));
  ASSERT_CHANGED(before, true, 10);
  assert_true(!alive(10) && listed(10) && alive(11) && alive(12) && alive(13));
  assert_int_equal(lines(), audit + 2);
  assert_int_equal(count_lines("login.end", "the oldest: "), 1);
  st_key got;
  char next[ST_REFRESH_LEN + 1];
  assert_int_equal(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(10)), NOW + 100, 30,
                                            &got, next, error),
                   ST_STORE_NOT_FOUND);
  /* fewer than there are: all that are too many */
  assert_ok(log_in_at_most(14, 1, NOW + 100));
  assert_true(!alive(11) && !alive(12) && !alive(13) && alive(14));
  assert_true(alive(31)); /* another key's */
  assert_int_equal(log_in_at_most(15, 0, NOW + 100), ST_STORE_FAILED);
}

/* A session that is over takes no room, and is not revoked for it. */
static void sessions_that_are_over_do_not_count(void **state) {
  (void)state;
  make_ann();
  assert_ok(log_in_at_most(10, 2, NOW + 100));
  assert_ok(log_in_at_most(11, 2, NOW)); /* over at once */
  assert_ok(log_in_at_most(12, 2, NOW + 100));
  assert_true(alive(10) && alive(12) && !listed(11));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_session_grants_what_its_grantor_does),
      TEST(the_session_of_a_refresh_token_is_found),
      TEST(a_session_expires_with_its_grantor),
      TEST(nothing_begins_with_what_is_not_in_force),
      TEST(what_is_taken_is_drawn_again),
      TEST(the_successor_follows_from_the_token),
      TEST(the_same_again_gives_the_same),
      TEST(late_again_ends_the_session),
      TEST(the_same_again_may_be_never),
      TEST(a_clock_that_stepped_back_far_ends_the_session),
      TEST(again_after_the_successor_was_used_ends_the_session),
      TEST(an_ancient_token_ends_the_session),
      TEST(what_expired_is_unknown),
      TEST(what_was_never_given_is_unknown),
      TEST(after_its_end_nothing_works),
      TEST(sessions_of_services_end_with_their_key),
      TEST(a_clock_that_leaps_purges_little),
      TEST(the_oldest_session_ends),
      TEST(sessions_that_are_over_do_not_count),
  };
  return RUN_ON_EVERY_STORE(tests);
}
