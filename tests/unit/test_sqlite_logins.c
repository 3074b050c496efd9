/* Logins in the store: what they rest on and end with, and how a refresh token is used. */
#include "base/base64url.h"
#include "base/hmac.h"
#include "store_fixture.h"

#define LIFE 1000
#define RETRY 30 /* seconds */
#define DAY INT64_C(86400)

typedef char refresh_token[ST_REFRESH_LEN + 1];

static st_key login; /* as the last refresh told */

/* Use a token at a second; a good one makes the login last LIFE longer. */
static st_store_status use(const char *token, int64_t at, refresh_token successor) {
  memset(&login, 0, sizeof login);
  return st_store_session_refresh(store, AT(at), (subtoken_text){token, strlen(token)}, at + LIFE,
                                  RETRY, &login, successor, error);
}

/* Unknown, expired, ended: nothing changes, and nothing is told. */
static void assert_none(const char *token, int64_t at) {
  refresh_token next = "x";
  assert_int_equal(use(token, at, next), ST_STORE_NOT_FOUND);
  assert_string_equal(next, "");
  assert_string_equal(login.id, "");
}

/* Used before: now its login has ended, with a line that says so. */
static void assert_ends(const char *token, int64_t at, unsigned n) {
  refresh_token next = "x";
  int64_t before = method();
  assert_true(alive(n));
  assert_int_equal(use(token, at, next), ST_STORE_DENIED);
  assert_string_equal(next, "");
  assert_true(!alive(n) && listed(n));
  ASSERT_CHANGED(before, true, n);
  assert_string_equal(last_line().action, "login.reuse");
  assert_string_equal(last_line().target, id_of(n));
}

/* ann: 1, her key 2 (services). */
static void make_ann(void) {
  make_person(1, "ann", "a,b");
  make_key(2, "ann", "services");
}

/* ---- beginning ---- */

static void a_login_is_what_its_maker_is(void **state) {
  (void)state;
  st_key made = row_of(3, "liar", "everything"), got;
  uint8_t seed[32] = {7};
  make_ann();
  made.expires_at = NOW + LIFE;
  made.disabled = made.suspended = true;
  good(st_store_session_begin(store, ACT, maker_of(1), 100, &made, digest_of(3), seed,
                              refresh_of(3), error));
  assert_int_equal(made.kind, ST_KIND_SESSION);
  assert_string_equal(made.parent, id_of(1));
  assert_string_equal(made.owner, "ann");
  assert_string_equal(made.name, "ann");
  assert_string_equal(made.permissions, "a,b");
  assert_true(!made.disabled && !made.suspended);
  assert_int_equal(made.expires_at, NOW + LIFE);
  assert_int_equal(made.created_at, NOW);
  assert_int_equal(found(3, &got), ST_STORE_OK);
  assert_string_equal(got.parent, made.parent);
  assert_string_equal(got.permissions, made.permissions);
  assert_int_equal(got.kind, ST_KIND_SESSION);
  assert_int_equal(got.expires_at, made.expires_at);
  assert_line("login.begin", id_of(3),
              "permissions a,b; expires 2023-11-14T22:30:00Z; owner ann; name ann");

  made = row_of(4, "", "");
  good(st_store_session_begin(store, ACT, maker_of(2), 100, &made, digest_of(4), seed,
                              refresh_of(4), error));
  assert_int_equal(made.kind, ST_KIND_SERVICE);
  assert_string_equal(made.parent, id_of(2));
  assert_string_equal(made.name, "key 2");
  assert_int_equal(made.expires_at, ST_NEVER);
}

static void a_login_expires_with_its_maker(void **state) {
  (void)state;
  refresh_token next;
  st_key got, key = row_of(5, "", "services");
  key.expires_at = NOW + 50;
  good(st_store_key_create(store, ACT, NULL, &key, digest_of(5), error));
  good(log_in(6, maker_of(5), NOW + 100));
  assert_int_equal(found(6, &got), ST_STORE_OK);
  assert_int_equal(got.expires_at, NOW + 50);
  good(use(refresh_of(6), NOW + 40, next));
  assert_int_equal(login.expires_at, NOW + 50);
  assert_none(next, NOW + 50);
}

static void nothing_begins_with_what_is_not_in_force(void **state) {
  (void)state;
  st_key key = row_of(5, "", "services");
  make_ann();
  key.expires_at = NOW;
  good(st_store_key_create(store, ACT, NULL, &key, digest_of(5), error));
  assert_int_equal(log_in(6, maker_of(5), NOW + 9), ST_STORE_DENIED);
  assert_int_equal(log_in(6, maker_of(9), NOW + 9), ST_STORE_DENIED);
  good(log_in(3, maker_of(1), NOW + 9));
  assert_int_equal(log_in(6, maker_of(3), NOW + 9), ST_STORE_DENIED); /* is a login */
  good(log_in(4, maker_of(2), NOW + 9));
  assert_int_equal(log_in(6, maker_of(4), NOW + 9), ST_STORE_DENIED);
  good(st_store_user_set_disabled(store, ACT, "ann", true, NULL, error));
  assert_int_equal(log_in(6, maker_of(1), NOW + 9), ST_STORE_DENIED);
  assert_int_equal(log_in(6, maker_of(2), NOW + 9), ST_STORE_DENIED);
  good(st_store_user_set_disabled(store, ACT, "ann", false, NULL, error));
  good(st_store_user_set_password(store, ACT, "ann", "$", sub_of(80), NULL, error));
  assert_int_equal(log_in(6, maker_of(1), NOW + 9), ST_STORE_DENIED); /* another sub */
  good(st_store_key_delete(store, ACT, id_of(2), NULL, error));
  assert_int_equal(log_in(6, maker_of(2), NOW + 9), ST_STORE_DENIED);
  assert_false(alive(6));
  assert_int_equal(ask("SELECT count(*) FROM logins"), 2);
  assert_int_equal(ask("SELECT count(*) FROM refresh"), 2);
}

static void what_is_taken_is_drawn_again(void **state) {
  (void)state;
  make_ann();
  good(log_in(3, maker_of(1), NOW + 9));
  assert_int_equal(log_in(3, maker_of(1), NOW + 9), ST_STORE_EXISTS);
  assert_int_equal(log_in(2, maker_of(1), NOW + 9), ST_STORE_EXISTS);
  st_key made = row_of(4, "", "");
  uint8_t seed[32] = {7};
  assert_int_equal(st_store_session_begin(store, ACT, maker_of(1), 100, &made, digest_of(4), seed,
                                          "short", error),
                   ST_STORE_FAILED);
  assert_int_equal(st_store_session_begin(store, ACT, maker_of(1), 100, &made, digest_of(4), seed,
                                          refresh_of(3), error),
                   ST_STORE_EXISTS);
  assert_false(alive(4));
  assert_string_equal(made.owner, ""); /* told of nothing that was not made */
}

/* ---- refreshing ---- */

static void the_successor_follows_from_the_token(void **state) {
  (void)state;
  refresh_token one, wanted;
  uint8_t seed[32], mac[32], hash[32];
  char text[200];
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  int64_t written = lines(), before = method();
  good(use(refresh_of(3), NOW + 5, one));
  subtoken_secret secret;
  memset(seed, 3, sizeof seed);
  assert_true(st_hmac_key(&secret, seed, sizeof seed));
  st_hmac(&secret, refresh_of(3), ST_REFRESH_LEN, mac);
  st_writer writer = st_writer_on(wanted, sizeof wanted);
  st_base64url_write(&writer, mac, sizeof mac);
  assert_true(st_writer_end(&writer));
  assert_string_equal(one, wanted);
  assert_string_equal(login.id, id_of(3));
  assert_string_equal(login.sub, sub_of(3));
  assert_int_equal(login.expires_at, NOW + 5 + LIFE);
  /* Of the tokens, hashes are kept. */
  assert_true(st_sha256(one, ST_REFRESH_LEN, hash));
  snprintf(text, sizeof text,
           "SELECT hex(hash) LIKE '%02X%02X%02X%%' FROM refresh ORDER BY used_at", hash[0], hash[1],
           hash[2]);
  assert_int_equal(ask(text), 1);
  st_key row;
  assert_int_equal(found(3, &row), ST_STORE_OK);
  assert_int_equal(row.expires_at, NOW + 5 + LIFE);
  assert_int_equal(lines(), written); /* of a refresh there is no line */
  assert_int_equal(method(), before); /* and nothing is listed */
}

static void the_same_again_gives_the_same(void **state) {
  (void)state;
  static const int64_t moments[] = {0, 1, RETRY, -RETRY};
  refresh_token one, again;
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  good(use(refresh_of(3), NOW + 20, one));
  for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
    good(use(refresh_of(3), NOW + 20 + moments[i], again));
    assert_string_equal(again, one);
    assert_string_equal(login.id, id_of(3));
    assert_int_equal(login.expires_at, NOW + 20 + LIFE); /* nothing is changed then */
    reopen();
  }
  good(use(one, NOW + 500, again));
  assert_string_not_equal(again, one);
}

static void late_again_ends_the_login(void **state) {
  (void)state;
  refresh_token one;
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  good(log_in(4, maker_of(1), NOW + LIFE));
  good(use(refresh_of(3), NOW, one));
  assert_ends(refresh_of(3), NOW + RETRY + 1, 3);
  assert_none(refresh_of(3), NOW + 12);
  assert_none(one, NOW + 12);
  reopen();
  assert_none(one, NOW + 12);
  good(use(refresh_of(4), NOW + 12, one)); /* another login */
}

/* D11: how long is a setting, and may be never. */
static void the_same_again_may_be_never(void **state) {
  (void)state;
  refresh_token next;
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  good(st_store_session_refresh(store, ACT, st_text(refresh_of(3)), NOW + LIFE, 0, &login, next,
                                error));
  assert_int_equal(st_store_session_refresh(store, ACT, st_text(refresh_of(3)), NOW + LIFE, 0,
                                            &login, next, error),
                   ST_STORE_DENIED);
  assert_false(alive(3));
}

static void a_clock_that_stepped_back_far_ends_the_login(void **state) {
  (void)state;
  refresh_token one;
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  good(use(refresh_of(3), NOW + 100, one));
  assert_ends(refresh_of(3), NOW + 100 - RETRY - 1, 3);
}

static void again_after_the_successor_was_used_ends_the_login(void **state) {
  (void)state;
  refresh_token one, two;
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  good(use(refresh_of(3), NOW, one));
  good(use(one, NOW + 1, two));
  assert_ends(refresh_of(3), NOW + 2, 3);
  assert_none(two, NOW + 2);
}

static void an_ancient_token_ends_the_login(void **state) {
  (void)state;
  refresh_token chain[6];
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  snprintf(chain[0], sizeof chain[0], "%s", refresh_of(3));
  for (int i = 1; i < 6; i++) {
    good(use(chain[i - 1], NOW + i * 100, chain[i]));
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
  good(log_in(3, maker_of(1), NOW + 100));
  assert_none(refresh_of(3), NOW + 100);
  good(use(refresh_of(3), NOW + 99, one));
  assert_none(refresh_of(3), NOW + 1000); /* expired itself, though the login lives */
  assert_true(alive(3));
  assert_none(one, NOW + 99 + LIFE);
}

static void what_was_never_given_is_unknown(void **state) {
  (void)state;
  refresh_token next;
  make_ann();
  good(log_in(3, maker_of(1), NOW + 100));
  assert_none("", NOW);
  assert_none("R00000000000000000000000000000000000000000", NOW);
  assert_none("R0000000000000000000000000000000000000000031", NOW);
  assert_none(refresh_of(4), NOW);
  assert_int_equal(
      st_store_session_refresh(store, ACT, (subtoken_text){NULL, 0}, NOW, 30, &login, next, error),
      ST_STORE_NOT_FOUND);
  good(use(refresh_of(3), NOW, next));
}

/* ---- ending ---- */

static void after_its_end_nothing_works(void **state) {
  (void)state;
  refresh_token one;
  int64_t sequence = 0, before;
  make_ann();
  good(log_in(3, maker_of(1), NOW + LIFE));
  good(use(refresh_of(3), NOW, one));
  before = method();
  good(st_store_session_end(store, AT(NOW + 1), id_of(3), &sequence, error));
  ASSERT_CHANGED(before, true, 3);
  assert_int_equal(sequence, method());
  assert_string_equal(last_line().action, "login.end");
  assert_none(refresh_of(3), NOW + 1);
  assert_none(one, NOW + 1);
  assert_int_equal(st_store_session_end(store, AT(NOW + 2), id_of(3), NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_session_end(store, ACT, id_of(1), NULL, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_session_end(store, ACT, id_of(2), NULL, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_session_end(store, ACT, "x", NULL, error), ST_STORE_NOT_FOUND);
  assert_true(alive(1) && alive(2));
}

/* What ends a key, or suspends it, ends the logins made with it. */
static void logins_of_services_end_with_their_key(void **state) {
  (void)state;
  make_person(1, "ann", "a");
  for (unsigned n = 2; n <= 5; n++) make_key(n, "ann", "services");
  for (unsigned n = 2; n <= 5; n++) good(log_in(10 + n, maker_of(n), NOW + LIFE));
  good(log_in(20, maker_of(2), NOW + LIFE));
  int64_t before = method();
  good(st_store_key_set_disabled(store, ACT, id_of(2), true, NULL, error));
  ASSERT_CHANGED(before, true, 2, 12, 20);
  assert_line("key.disable", id_of(2),
              "sessions ended: 2; permissions services; expires never; owner ann; name key 2");
  before = method();
  good(st_store_key_delete(store, ACT, id_of(3), NULL, error));
  ASSERT_CHANGED(before, true, 3, 13);
  assert_line("key.delete", id_of(3),
              "sessions ended: 1; permissions services; expires never; owner ann; name key 3");
  before = method();
  good(st_store_key_replace_sub(store, ACT, id_of(4), sub_of(80), NULL, error));
  ASSERT_CHANGED(before, true, 4, 14);
  assert_true(alive(15) && alive(80));
  good(st_store_key_set_disabled(store, ACT, id_of(2), false, NULL, error));
  for (unsigned n = 12; n <= 14; n++) assert_none(refresh_of(n), NOW);
  assert_false(alive(20));
}

/* ---- what is left of them ---- */

static void purge_at(int64_t at) {
  good(st_store_purge(store, at * US, at * US, error));
}

/* Lives of an hour, leeways of an hour: an ended login is remembered for 10800 s. */
static void purges_logins_that_ended_long_ago(void **state) {
  (void)state;
  st_key key;
  refresh_token next;
  good(st_store_set_setting(store, "max_life", 3600, error));
  make_ann();
  for (unsigned n = 3; n <= 5; n++) good(log_in(n, maker_of(1), NOW + 50000));
  good(log_in(6, maker_of(1), NOW + 100)); /* expires */
  good(use(refresh_of(4), NOW + 40000, next));
  good(st_store_key_mark_used(store, (st_key_use[]){{"00000003-ABCD-ABCD-ABCD-000000000003", NOW}},
                              1, error));
  good(st_store_session_end(store, ACT, id_of(3), NULL, error));
  purge_at(NOW + 10800);
  assert_int_equal(found(3, &key), ST_STORE_REVOKED);
  assert_int_equal(ask("SELECT count(*) FROM logins"), 4);
  purge_at(NOW + 10801);
  assert_int_equal(found(3, &key), ST_STORE_NOT_FOUND);
  assert_true(alive(4) && alive(5) && alive(6) && alive(1));
  assert_int_equal(ask("SELECT count(*) FROM used"), 0);
  purge_at(NOW + 10901);
  assert_int_equal(found(6, &key), ST_STORE_NOT_FOUND);
  assert_int_equal(ask("SELECT count(*) FROM logins"), 2);
  /* Refresh tokens go when they have expired: those of 5 are left, and the successor of 4's. */
  purge_at(NOW + 50001);
  assert_int_equal(ask("SELECT count(*) FROM refresh"), 0 + (40000 + LIFE > 50001));
  reopen();
  assert_true(alive(4) && alive(5));
  assert_int_equal(ask("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

/* More than one transaction's worth, and dead keys stay for the audit. */
static void purges_many_and_no_keys(void **state) {
  (void)state;
  st_key key;
  good(st_store_set_setting(store, "max_life", 10, error));
  make_ann();
  sql("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2500)"
      "INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at,"
      " disabled, changed_at, deleted_at, kind, parent, suspended) SELECT printf('%036d', n), "
      "randomblob(32), printf('%042dx', n), '', '', '',"
      " 1, 2, 0, 1, NULL, 2, '00000001-ABCD-ABCD-ABCD-000000000001', 0 FROM c");
  sql("INSERT INTO logins SELECT id, randomblob(32) FROM keys WHERE kind = 2");
  sql("INSERT INTO refresh SELECT randomblob(32), id, 2, NULL FROM keys WHERE kind = 2");
  good(st_store_key_delete(store, ACT, id_of(2), NULL, error));
  purge_at(NOW + 1000);
  assert_int_equal(ask("SELECT count(*) FROM keys"), 2);
  assert_int_equal(ask("SELECT count(*) FROM logins"), 0);
  assert_int_equal(ask("SELECT count(*) FROM refresh"), 0);
  assert_int_equal(found(2, &key), ST_STORE_REVOKED);
}

/* C5: a clock that is years ahead takes no session, however often. */
static void a_clock_that_leaps_purges_little(void **state) {
  (void)state;
  refresh_token next;
  make_ann();
  good(log_in(3, maker_of(1), NOW + 30 * DAY));
  purge_at(NOW);
  for (int i = 0; i < 400; i++) {
    good(st_store_purge(store, (NOW + 4000 * DAY) * US, (NOW + i) * US, error));
  }
  good(use(refresh_of(3), NOW + 100, next));
}

/* ---- how many ---- */

static st_store_status log_in_at_most(unsigned n, int64_t most, int64_t expires_at) {
  st_key begun = row_of(n, "", "");
  uint8_t seed[32];
  memset(seed, (int)n, sizeof seed);
  begun.expires_at = expires_at;
  return st_store_session_begin(store, ACT, maker_of(2), most, &begun, digest_of(n), seed,
                                refresh_of(n), error);
}

/* G4: in the transaction of the one that is too many; revoked, listed and in the audit log. */
static void the_oldest_session_ends(void **state) {
  (void)state;
  make_ann();
  make_key(30, "other", "services");
  good(log_in(31, maker_of(30), NOW + 100));
  for (unsigned n = 10; n < 13; n++) good(log_in_at_most(n, 3, NOW + 100 - n));
  int64_t before = method(), audit = lines();
  good(log_in_at_most(13, 3, NOW + 50));
  ASSERT_CHANGED(before, true, 10);
  assert_true(!alive(10) && listed(10) && alive(11) && alive(12) && alive(13));
  assert_int_equal(lines(), audit + 2);
  assert_int_equal(ask("SELECT count(*) FROM audit WHERE action = 'login.end' AND target ="
                       " '0000000A-ABCD-ABCD-ABCD-00000000000A' AND detail LIKE 'the oldest: %'"),
                   1);
  st_key got;
  char next[ST_REFRESH_LEN + 1];
  assert_int_equal(st_store_session_refresh(store, ACT, st_text(refresh_of(10)), NOW + 100, 30,
                                            &got, next, error),
                   ST_STORE_NOT_FOUND);
  /* fewer than there are: all that are too many */
  good(log_in_at_most(14, 1, NOW + 100));
  assert_true(!alive(11) && !alive(12) && !alive(13) && alive(14));
  assert_true(alive(31)); /* another key's */
  assert_int_equal(log_in_at_most(15, 0, NOW + 100), ST_STORE_FAILED);
}

/* A session that is over takes no room, and is not revoked for it. */
static void sessions_that_are_over_do_not_count(void **state) {
  (void)state;
  make_ann();
  good(log_in_at_most(10, 2, NOW + 100));
  good(log_in_at_most(11, 2, NOW)); /* over at once */
  good(log_in_at_most(12, 2, NOW + 100));
  assert_true(alive(10) && alive(12) && !listed(11));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_login_is_what_its_maker_is),
      TEST(a_login_expires_with_its_maker),
      TEST(nothing_begins_with_what_is_not_in_force),
      TEST(what_is_taken_is_drawn_again),
      TEST(the_successor_follows_from_the_token),
      TEST(the_same_again_gives_the_same),
      TEST(late_again_ends_the_login),
      TEST(the_same_again_may_be_never),
      TEST(a_clock_that_stepped_back_far_ends_the_login),
      TEST(again_after_the_successor_was_used_ends_the_login),
      TEST(an_ancient_token_ends_the_login),
      TEST(what_expired_is_unknown),
      TEST(what_was_never_given_is_unknown),
      TEST(after_its_end_nothing_works),
      TEST(logins_of_services_end_with_their_key),
      TEST(purges_logins_that_ended_long_ago),
      TEST(purges_many_and_no_keys),
      TEST(the_oldest_session_ends),
      TEST(sessions_that_are_over_do_not_count),
      TEST(a_clock_that_leaps_purges_little),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
