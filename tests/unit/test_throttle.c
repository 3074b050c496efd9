/* throttle: buckets for logins and addresses, with the clock as an argument. */
#include "support.h"

#include "service/service.h"
#include "service/throttle.h"

#define SECOND INT64_C(1000000)
#define START (1000 * SECOND)
#define HERE "192.0.2.1"

static st_throttle throttle;

static int set_up(void **state) {
  (void)state;
  return st_throttle_start(&throttle, (const uint8_t *)"0123456789abcdef") ? 0 : -1;
}

/* In blocks of their exact size. */
static int64_t take(const char *login, const char *address, int64_t now_us) {
  subtoken_text one = exact_string(login), other = exact_string(address);
  int64_t wait = st_throttle_take(&throttle, one, other, now_us);
  release(one);
  release(other);
  return wait;
}

static void give_back(const char *login, const char *address) {
  st_throttle_give_back(&throttle, st_text(login), st_text(address));
}

/* A different login each time, so that only the address counts. */
static size_t drain_address(const char *address, int64_t now_us) {
  char login[32];
  size_t taken = 0;
  for (size_t i = 0; i < 2 * ST_THROTTLE_ADDRESS_BURST; i++) {
    snprintf(login, sizeof login, "user-%zu", i);
    taken += take(login, address, now_us) == 0;
  }
  return taken;
}

/* And the other way round. */
static size_t drain_login(const char *login, int64_t now_us) {
  char address[32];
  size_t taken = 0;
  for (size_t i = 0; i < 2 * ST_THROTTLE_USERNAME_BURST; i++) {
    snprintf(address, sizeof address, "198.51.100.%zu", i);
    taken += take(login, address, now_us) == 0;
  }
  return taken;
}

static void attempts_at_a_username_are_limited(void **state) {
  (void)state;
  assert_int_equal(drain_login("anna", START), 10);
  assert_int_equal(take("anna", HERE, START), 10);
  assert_int_equal(take("anna", HERE, START + 9 * SECOND), 1);
  assert_int_equal(take("anna", HERE, START + 10 * SECOND - 1), 1);
  assert_int_equal(take("anna", HERE, START + 10 * SECOND), 0);
  assert_int_equal(take("anna", HERE, START + 10 * SECOND), 10);
  assert_int_equal(drain_login("anna", START + 1000 * SECOND), 10);
  assert_int_equal(take("bert", HERE, START), 0); /* another one is not held up */
}

static void attempts_of_an_address_are_limited(void **state) {
  (void)state;
  assert_int_equal(drain_address(HERE, START), 50);
  assert_int_equal(take("new", HERE, START), 1);
  assert_int_equal(take("new", HERE, START + SECOND - 1), 1);
  assert_int_equal(take("new", HERE, START + SECOND), 0);
  assert_int_equal(take("new", HERE, START + SECOND), 1);
  assert_int_equal(take("new", "192.0.2.2", START), 0);
  assert_int_equal(drain_address(HERE, START + 1000 * SECOND), 50);
}

/* The answer is the longer wait of both; who is refused by one has taken nothing of the other. */
static void the_longer_wait_is_told(void **state) {
  (void)state;
  assert_int_equal(drain_login("anna", START), 10);
  for (int i = 0; i < 1000; i++) assert_int_equal(take("anna", HERE, START), 10);
  assert_int_equal(drain_address(HERE, START), 50);
  assert_int_equal(take("anna", HERE, START), 10);
  for (int i = 0; i < 1000; i++) assert_int_equal(take("bert", HERE, START), 1);
  assert_int_equal(drain_login("bert", START), 10);
}

/* A good login costs nothing, neither its owner nor those who share the address. */
static void a_good_login_costs_nothing(void **state) {
  (void)state;
  for (int i = 0; i < 1000; i++) {
    assert_int_equal(take("anna", HERE, START), 0);
    give_back("anna", HERE);
  }
  assert_int_equal(drain_login("anna", START), 10);
  assert_int_equal(take("anna", HERE, START), 10);
  assert_int_equal(drain_address(HERE, START), 50);
}

/* Whoever knows a username keeps its bucket empty: not for who came from here before. */
static void strangers_do_not_hold_up_the_owner(void **state) {
  (void)state;
  assert_int_equal(take("anna", "2001:db8::1", START), 0);
  st_throttle_pass(&throttle, ST_TEXT("anna"), ST_TEXT("2001:db8::1"));
  assert_int_equal(drain_login("anna", START), 10);
  assert_int_equal(take("anna", "192.0.2.2", START), 10);
  assert_int_equal(take("anna", "2001:db8:0:1::1", START), 10);
  for (int i = 0; i < 10; i++) assert_int_equal(take("anna", "2001:db8::2", START), 0);
  assert_int_equal(take("anna", "2001:db8::1", START), 10); /* guesses from there count, too */
  assert_int_equal(take("anna", "2001:db8::1", START + 10 * SECOND), 0);
  give_back("anna", "2001:db8::1");
  assert_int_equal(take("anna", "2001:db8::1", START + 10 * SECOND), 0);
  assert_int_equal(take("anna", "2001:db8::1", START + 10 * SECOND), 10);
  /* It is that of the two together, and leaves the limit of the address as it is. */
  assert_int_equal(drain_login("bert", START), 10);
  assert_int_equal(take("bert", "2001:db8::1", START), 10);
  assert_int_equal(drain_address("2001:db8::1", START + 10 * SECOND), 50 - 1);
}

/* The right password from a new place brings no more guesses with it than were left. */
static void a_new_place_begins_with_what_is_left(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) assert_int_equal(take("anna", "192.0.2.2", START), 0);
  for (int i = 0; i < 20; i++) {
    assert_int_equal(take("anna", HERE, START), 0);
    st_throttle_pass(&throttle, ST_TEXT("anna"), ST_TEXT(HERE));
  }
  assert_int_equal(take("anna", HERE, START), 0);
  assert_int_equal(take("anna", HERE, START), 0);
  assert_int_equal(take("anna", HERE, START), 10);
  assert_int_equal(take("anna", "192.0.2.3", START), 0);
}

/* What is given back late makes a bucket no more than full. */
static void a_bucket_is_never_more_than_full(void **state) {
  (void)state;
  for (int i = 0; i < 5; i++) assert_int_equal(take("anna", HERE, START), 0);
  for (int i = 0; i < 5; i++) give_back("anna", HERE);
  assert_int_equal(drain_login("anna", START + SECOND), 10);
  for (int i = 0; i < 5; i++) assert_int_equal(take("bert", HERE, START), 0);
  assert_int_equal(take("bert", HERE, START + 500 * SECOND), 0);
  for (int i = 0; i < 6; i++) give_back("bert", HERE);
  assert_int_equal(drain_login("bert", START + 501 * SECOND), 10);
}

/* Ways of writing one address, of its /64, or of none, and what is another's. */
static void spellings_of_an_address_are_one(void **state) {
  (void)state;
  static const struct {
    const char *one, *other;
    bool same;
  } rows[] = {
      {"192.0.2.1", "::ffff:192.0.2.1", true},
      {"192.0.2.1", "::ffff:c000:201", true},
      {"192.0.2.1", "192.0.2.2", false},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
      {"2001:db8::1", "2001:db8::2", true},
      {"2001:db8::1", "2001:DB8:0:0:ffff:ffff:ffff:ffff", true},
      {"2001:db8::1", "2001:db8:0:1::1", false},
      {"2001:db8::1", "2001:db9::1", false},
      {"fe80::1", "fe80::1%eth0", true},
      {"::1", "::2", true},
      {"::", "0.0.0.0", false},
      {"2001:db8::1", "", false},
      {"unknown", "unknown", true},
      {"unknown", "unknowm", false},
      {"", "", true},
      {"192.0.2.1", "192.0.2.1 ", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_int_equal(set_up(NULL), 0);
    assert_int_equal(drain_address(rows[i].one, START), 50);
    CHECK((take("new", rows[i].other, START) != 0) == rows[i].same, "row %zu", i);
  }
}

/* Usernames differ by all of their bytes, and no key puts two where another did. */
static void usernames_are_told_apart(void **state) {
  (void)state;
  subtoken_text longer = repeated("", 'x', 4096), nul = {"anna\0", 5};
  assert_int_equal(drain_login("anna", START), 10);
  assert_int_equal(st_throttle_take(&throttle, nul, st_text(HERE), START), 0);
  assert_int_equal(take("Anna", HERE, START), 0);
  assert_int_equal(take("", HERE, START), 0);
  for (int i = 0; i < 10; i++) {
    assert_int_equal(st_throttle_take(&throttle, longer, st_text(HERE), START), 0);
  }
  assert_int_equal(st_throttle_take(&throttle, longer, st_text(HERE), START), 10);
  longer.len--;
  assert_int_equal(st_throttle_take(&throttle, longer, st_text(HERE), START), 0);
  longer.len++;
  release(longer);
}

static size_t slot_used(void) {
  for (size_t i = 0; i < ST_THROTTLE_SLOTS; i++) {
    if (throttle.username_full_at_us[i] != 0) return i;
  }
  return ST_THROTTLE_SLOTS;
}

static void nobody_can_choose_a_slot(void **state) {
  (void)state;
  size_t same = 0;
  uint8_t key[ST_THROTTLE_KEY_LEN] = {0};
  assert_int_equal(take("anna", HERE, START), 0);
  size_t before = slot_used();
  for (uint8_t i = 0; i < 32; i++) {
    key[15] = i;
    assert_true(st_throttle_start(&throttle, key));
    assert_int_equal(take("anna", HERE, START), 0);
    same += slot_used() == before;
    before = slot_used();
  }
  assert_true(same <= 1);
}

/* However takes, good ends and failures mix over time: what fails, with what is still open,
 * is never more than the bucket held and what flowed in. */
static void failures_never_exceed_the_limit(void **state) {
  (void)state;
  uint64_t seed = 7;
  for (int round = 0; round < 200; round++) {
    int64_t now = START;
    size_t open = 0, failed = 0;
    assert_int_equal(set_up(NULL), 0);
    for (int step = 0; step < 400; step++) {
      now += (int64_t)random_below(&seed, round % 2 == 0 ? 3 * SECOND : SECOND / 10);
      size_t what = random_below(&seed, 4);
      if (what < 2) {
        open += take("anna", HERE, now) == 0;
      } else if (open > 0 && what == 2) {
        give_back("anna", HERE);
        open--;
      } else if (open > 0) {
        failed++;
        open--;
      }
      int64_t most = ST_THROTTLE_USERNAME_BURST + (now - START) / ST_THROTTLE_USERNAME_US;
      CHECK((int64_t)(failed + open) <= most, "round %d, step %d", round, step);
    }
  }
}

/* Many threads guess at one login from one address: one in four guesses is right. */
static void *guess(void *unused) {
  (void)unused;
  intptr_t failed = 0;
  for (int i = 0; i < 5000; i++) {
    if (st_throttle_take(&throttle, ST_TEXT("anna"), ST_TEXT(HERE), START) != 0) continue;
    if (i % 4 == 0) {
      st_throttle_give_back(&throttle, ST_TEXT("anna"), ST_TEXT(HERE));
    } else {
      failed++;
    }
  }
  return (void *)failed;
}

static void threads_share_the_limit(void **state) {
  (void)state;
  pthread_t threads[4];
  intptr_t failed = 0;
  for (size_t i = 0; i < COUNT(threads); i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, guess, NULL), 0);
  }
  for (size_t i = 0; i < COUNT(threads); i++) {
    void *one;
    assert_int_equal(pthread_join(threads[i], &one), 0);
    failed += (intptr_t)one;
  }
  assert_int_equal(failed, ST_THROTTLE_USERNAME_BURST);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(attempts_at_a_username_are_limited, set_up),
      cmocka_unit_test_setup(attempts_of_an_address_are_limited, set_up),
      cmocka_unit_test_setup(the_longer_wait_is_told, set_up),
      cmocka_unit_test_setup(a_good_login_costs_nothing, set_up),
      cmocka_unit_test_setup(strangers_do_not_hold_up_the_owner, set_up),
      cmocka_unit_test_setup(a_new_place_begins_with_what_is_left, set_up),
      cmocka_unit_test_setup(a_bucket_is_never_more_than_full, set_up),
      cmocka_unit_test_setup(spellings_of_an_address_are_one, set_up),
      cmocka_unit_test_setup(usernames_are_told_apart, set_up),
      cmocka_unit_test_setup(nobody_can_choose_a_slot, set_up),
      cmocka_unit_test_setup(failures_never_exceed_the_limit, set_up),
      cmocka_unit_test_setup(threads_share_the_limit, set_up),
  };
  return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
