/* How a change gets its turn, is made, made again and told of: on a store that is none, which notes
 * what is asked of it and answers what the test says. What changes do is in test_store_*.c.
 */
#include "fake_db.h"
#include "os/clock.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- pauses: noted, and not made while a test says so ---- */

#define PAUSES_MAX 64

static bool notes_pauses;
static int64_t pauses_us[PAUSES_MAX];
static int pause_count;

int nanosleep(const struct timespec *time, struct timespec *left) {
  if (!notes_pauses) return (int)syscall(SYS_nanosleep, time, left);
  assert_int_equal(time->tv_sec, 0);
  assert_true(pause_count < PAUSES_MAX && time->tv_nsec > 0 && time->tv_nsec < 1000000000);
  assert_int_equal(time->tv_nsec % 1000, 0); /* microseconds, to the last digit */
  pauses_us[pause_count++] = time->tv_nsec / 1000;
  return 0;
}

static int setup(void **state) {
  (void)state;
  open_fake();
  notes_pauses = true;
  pause_count = 0;
  return 0;
}

static int teardown(void **state) {
  (void)state;
  notes_pauses = false;
  return 0;
}

/* ---- a change ---- */

static struct makes {
  bool refuses;
  st_store_status status; /* that it answers then */
  bool takes_sequence;
  int fails_first;                           /* times that it fails before */
  int count;                                 /* times that it was made */
  size_t writing, ordering, unauthenticated; /* inside, while it is made */
} makes;

static size_t inside(st_semaphore *of) {
  size_t count = 0, waiting = 0;
  st_semaphore_count(of, &count, &waiting);
  return count;
}

static st_store_status make(st_db *of, const st_change *change) {
  assert_ptr_equal(of, &db);
  note("make");
  makes.count++;
  makes.writing = inside(&store.writing);
  makes.ordering = inside(&store.ordering);
  makes.unauthenticated = inside(&store.unauthenticated);
  if (makes.count <= makes.fails_first) return ST_STORE_FAILED;
  if (makes.takes_sequence) {
    int64_t first = 0, second = 0;
    st_store_status status = st_transaction_take_sequence(of, change, &first);
    if (status != ST_STORE_OK) return status;
    assert_int_equal(st_transaction_take_sequence(of, change, &second), ST_STORE_OK);
    assert_int_equal(first, change->now_us);
    assert_int_equal(second, first); /* one, however often it is asked for */
  }
  return makes.refuses ? makes.status : ST_STORE_OK;
}

static st_store_status run(st_change change, const struct makes *how) {
  makes = *how;
  calls[0] = error[0] = '\0';
  pause_count = 0;
  st_store_status status = st_transaction_run(&store, make, &change, error);
  assert_int_equal(inside(&store.writing), 0);
  assert_int_equal(inside(&store.ordering), 0);
  assert_int_equal(inside(&store.unauthenticated), 0);
  return status;
}

#define MAKES(...) (&(struct makes){__VA_ARGS__})
#define OK_CHANGE MAKES(.count = 0)

static void a_store_begins_with_its_bounds(void **state) {
  (void)state;
  assert_true(store.large_change == ST_DB_LARGE_CHANGE && store.change_step == ST_DB_CHANGE_STEP);
}

static void a_change_is_begun_made_and_committed(void **state) {
  (void)state;
  assert_int_equal(run((st_change){0}, OK_CHANGE), ST_STORE_OK);
  assert_string_equal(calls, "begin make commit rollback");
  assert_int_equal(db.sequence, 0); /* not that of another change */
  assert_false(db.wants_order);
  assert_int_equal(makes.writing, 1);
  assert_int_equal(makes.ordering + makes.unauthenticated, 0);
  assert_string_equal(error, "");
}

static void what_fails_is_rolled_back(void **state) {
  (void)state;
  answers.begin = ST_STORE_FAILED;
  assert_int_equal(run((st_change){0}, OK_CHANGE), ST_STORE_FAILED);
  assert_string_equal(calls, "begin write rollback");
  assert_string_equal(error, "it failed");
  answers.begin = ST_STORE_OK;
  assert_int_equal(run((st_change){0}, MAKES(.refuses = true, .status = ST_STORE_FAILED)),
                   ST_STORE_FAILED);
  assert_string_equal(calls, "begin make write rollback");
  answers.commit = ST_STORE_IN_DOUBT;
  int64_t sequence = 1;
  assert_int_equal(run((st_change){.sequence = &sequence}, OK_CHANGE), ST_STORE_IN_DOUBT);
  assert_string_equal(calls, "begin make commit rollback");
  assert_string_equal(error, "the commit failed");
  assert_int_equal(sequence, 1); /* it is not known whether it stands */
}

static void who_refuses_says_why(void **state) {
  static const struct {
    st_store_status status;
    const char *says;
  } cases[] = {
      {ST_STORE_EXISTS, "a store: already exists"},
      {ST_STORE_DENIED,
       "a store: the credential you used has expired, been revoked or lost a permission"},
      {ST_STORE_DISABLED_BY_OTHER, "a store: somebody else disabled this key"},
      {ST_STORE_EXPIRED, "a store: the key has expired: make a new one"},
      {ST_STORE_NOT_FOUND, "a store: not found"},
      {ST_STORE_FULL,
       "a store: as many tokens of this key are revoked as may be at a time: revoke-subtokens ends "
       "all of its tokens"},
      {ST_STORE_BUSY, ""}, /* who answers this has written why */
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(run((st_change){0}, MAKES(.refuses = true, .status = cases[i].status)),
                     cases[i].status);
    assert_string_equal(calls, "begin make rollback");
    assert_string_equal(error, cases[i].says);
  }
}

/* ---- the sequence ---- */

static void the_sequence_is_told_after_the_commit(void **state) {
  (void)state;
  int64_t sequence = 1;
  st_change change = {.sequence = &sequence, .now_us = 900};
  assert_int_equal(run(change, OK_CHANGE), ST_STORE_OK);
  assert_int_equal(sequence, 7); /* which it has taken none of */
  assert_int_equal(run(change, MAKES(.takes_sequence = true)), ST_STORE_OK);
  assert_string_equal(calls, "begin make record commit rollback");
  assert_int_equal(sequence, 900);
  sequence = 1;
  answers.record = ST_STORE_FAILED;
  assert_int_equal(run(change, MAKES(.takes_sequence = true)), ST_STORE_FAILED);
  answers.record = ST_STORE_OK;
  change.now_us = -5; /* what is read back is no sequence */
  assert_int_equal(run(change, MAKES(.takes_sequence = true)), ST_STORE_FAILED);
  assert_string_equal(calls, "begin make write rollback");
  change.now_us = 900;
  answers.sequence = 1; /* the least that is one */
  assert_int_equal(run(change, OK_CHANGE), ST_STORE_OK);
  assert_int_equal(sequence, 1);
  answers.sequence_next = ST_STORE_FAILED;
  assert_int_equal(run(change, MAKES(.takes_sequence = true)), ST_STORE_FAILED);
  assert_int_equal(sequence, 1);
  for (int i = 0; i < 3; i++) { /* a damaged one; there is no row; and one of 0 */
    answers.sequence = i == 0 ? -1 : 0;
    answers.sequence_is_0 = i == 2;
    assert_int_equal(run(change, OK_CHANGE), ST_STORE_FAILED);
    assert_string_equal(calls, "begin make write rollback");
    assert_int_equal(st_transaction_sequence(&db, &sequence), ST_STORE_FAILED);
    sequence = 1;
    assert_int_equal(run((st_change){0}, OK_CHANGE), ST_STORE_OK); /* which does not ask */
  }
}

static void a_change_begins_with_its_context(void **state) {
  (void)state;
  static const st_grantor by = {"an id", "a sub"};
  int64_t sequence = 5;
  st_audit_context context = {.now_us = 1700000001999999, .until_us = 77, .by = &by};
  st_change change = st_transaction_change(&context, "id", &sequence);
  assert_int_equal(sequence, 0);
  assert_ptr_equal(change.context, &context);
  assert_ptr_equal(change.grantor, &by);
  assert_string_equal(change.id, "id");
  assert_int_equal(change.now, 1700000001);
  assert_int_equal(change.now_us, 1700000001999999);
  assert_int_equal(change.until_us, 77);
  assert_ptr_equal(change.sequence, &sequence);
  assert_null(st_transaction_change(&context, "id", NULL).sequence);
}

/* ---- turns ---- */

/* Only where several changes run at a time. */
static void who_may_take_a_sequence_comes_one_at_a_time(void **state) {
  (void)state;
  int64_t sequence = 0;
  assert_int_equal(run((st_change){.ordered = true, .sequence = &sequence}, OK_CHANGE),
                   ST_STORE_OK);
  assert_int_equal(makes.ordering, 0);
  assert_true(db.ordered);
  store.concurrent = true;
  assert_int_equal(run((st_change){0}, OK_CHANGE), ST_STORE_OK);
  assert_int_equal(makes.ordering, 0);
  assert_false(db.ordered);
  assert_int_equal(run((st_change){.ordered = true}, OK_CHANGE), ST_STORE_OK);
  assert_int_equal(makes.ordering, 1);
  assert_true(db.ordered);
  assert_int_equal(run((st_change){.sequence = &sequence}, OK_CHANGE), ST_STORE_OK);
  assert_int_equal(makes.ordering, 1);
  assert_int_equal(run((st_change){.unauthenticated = true}, OK_CHANGE), ST_STORE_OK);
  assert_int_equal(makes.ordering, 0);
  assert_int_equal(makes.unauthenticated, 1);
}

/* It leaves what it has entered; the turn itself is whose it was. */
static void assert_no_turn(st_semaphore *taken, st_change change) {
  assert_true(st_semaphore_enter(taken, ST_WAIT_NOT));
  makes = *OK_CHANGE;
  calls[0] = error[0] = '\0';
  assert_int_equal(st_transaction_run(&store, make, &change, error), ST_STORE_BUSY);
  assert_string_equal(calls, "");
  assert_string_equal(error, "cannot write a store: too many changes wait for it");
  st_semaphore *const all[] = {&store.writing, &store.ordering, &store.unauthenticated};
  for (size_t i = 0; i < 3; i++) assert_int_equal(inside(all[i]), all[i] == taken);
  st_semaphore_leave(taken);
  assert_int_equal(run(change, OK_CHANGE), ST_STORE_OK);
}

static void a_turn_that_does_not_come_leaves_nothing_taken(void **state) {
  (void)state;
  st_change change = {.until_us = ST_WAIT_NOT, .ordered = true, .unauthenticated = true};
  store.concurrent = true;
  st_store_limit_waiting(&store, 4);
  assert_no_turn(&store.unauthenticated, change);
  assert_no_turn(&store.ordering, change);
  assert_no_turn(&store.writing, change);
  change.unauthenticated = false;
  assert_no_turn(&store.ordering, change);
  change.ordered = false;
  assert_no_turn(&store.writing, change);
}

/* Another one takes the turn between two tries. */
static st_store_status make_and_lose(st_db *of, const st_change *change) {
  (void)of, (void)change;
  makes.count++;
  assert_true(st_semaphore_enter(&store.unauthenticated, ST_WAIT_NOT));
  st_semaphore_limit(&store.unauthenticated, 1);
  return ST_STORE_FAILED;
}

static void a_second_try_needs_a_turn_too(void **state) {
  (void)state;
  st_change change = {.unauthenticated = true};
  answers.again = true;
  makes.count = 0;
  assert_int_equal(st_transaction_run(&store, make_and_lose, &change, error), ST_STORE_BUSY);
  assert_int_equal(makes.count, 1);
  assert_int_equal(pause_count, 1);
  assert_string_equal(error, "cannot write a store: too many changes wait for it");
}

/* threads of a server: a quarter of them may wait; an eighth of those without a credential. */
static void as_many_wait_as_the_threads_allow(void **state) {
  static const struct {
    int64_t threads;
    size_t waiting, unauthenticated;
  } cases[] = {{0, 1, 1},      {3, 1, 1},      {7, 1, 1},      {8, 2, 1},
               {28, 7, 1},     {64, 16, 2},    {63, 15, 1},    {256, 64, 8},
               {512, 128, 16}, {515, 128, 16}, {516, 128, 16}, {4096, 128, 16}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    st_store_limit_waiting(&store, cases[i].threads);
    assert_int_equal(store.writing.waiting_max, cases[i].waiting);
    assert_int_equal(store.ordering.waiting_max, cases[i].waiting);
    assert_int_equal(store.unauthenticated.limit, cases[i].unauthenticated);
    assert_int_equal(store.writing.limit, 1);
  }
}

static void nobody_waits_when_the_process_ends(void **state) {
  (void)state;
  store.concurrent = true;
  st_store_stop_waiting(&store, 1);
  assert_int_equal(atomic_load(&store.close_us), 1);
  st_semaphore *const both[] = {&store.writing, &store.ordering};
  for (size_t i = 0; i < 2; i++) {
    assert_true(st_semaphore_enter(both[i], ST_WAIT_NOT));
    assert_false(st_semaphore_enter(both[i], ST_WAIT_FOR_EVER));
    st_semaphore_leave(both[i]);
  }
}

/* ---- made again ---- */

/* Each pause is of 1, 2, 4 ... 32 ms, of which a quarter at least and never all. */
static void assert_pauses(int count) {
  assert_int_equal(pause_count, count);
  for (int i = 0; i < count; i++) {
    int64_t most = 1000 << (i < 5 ? i : 5);
    assert_in_range(pauses_us[i], most / 4, most - 1);
  }
}

static void a_change_that_was_disturbed_is_made_again(void **state) {
  (void)state;
  answers.again = store.concurrent = true;
  for (int i = 0; i < 50; i++) {
    assert_int_equal(run((st_change){0}, MAKES(.fails_first = 9)), ST_STORE_OK);
    assert_int_equal(makes.count, 10);
    assert_int_equal(makes.ordering, 0);
    assert_pauses(9);
  }
  answers.again = false;
  assert_int_equal(run((st_change){0}, MAKES(.fails_first = 1)), ST_STORE_FAILED);
  assert_string_equal(calls, "begin make write rollback");
  ops.again = NULL;
  assert_int_equal(run((st_change){0}, MAKES(.fails_first = 1)), ST_STORE_FAILED);
  assert_string_equal(calls, "begin make write rollback");
}

/* Those who disturbed each other pause for other times. */
static void pauses_differ(void **state) {
  (void)state;
  bool shorter = false, longer = false;
  answers.again = true;
  for (int i = 0; i < 2000 && !(shorter && longer); i++) {
    assert_int_equal(run((st_change){0}, MAKES(.fails_first = 1)), ST_STORE_OK);
    assert_pauses(1);
    shorter = shorter || pauses_us[0] < 500;
    longer = longer || pauses_us[0] >= 900;
  }
  assert_true(shorter && longer);
}

static void what_was_refused_or_done_is_not_made_again(void **state) {
  static const st_store_status statuses[] = {ST_STORE_OK, ST_STORE_EXISTS, ST_STORE_NOT_FOUND,
                                             ST_STORE_DENIED};
  (void)state;
  answers.again = true;
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    assert_int_equal(run((st_change){0}, MAKES(.refuses = true, .status = statuses[i])),
                     statuses[i]);
    assert_int_equal(makes.count, 1);
  }
  answers.commit = ST_STORE_IN_DOUBT;
  assert_int_equal(run((st_change){0}, OK_CHANGE), ST_STORE_IN_DOUBT);
  assert_int_equal(makes.count, 1);
  /* A commit that another one was in the way of is. */
  answers.commit = ST_STORE_BUSY;
  answers.times = 2;
  assert_int_equal(run((st_change){0}, OK_CHANGE), ST_STORE_OK);
  assert_int_equal(makes.count, 3);
}

/* No pause goes beyond the deadline, and without time there is one try. */
static void a_deadline_ends_the_tries(void **state) {
  (void)state;
  answers.again = true;
  assert_int_equal(run((st_change){.until_us = ST_WAIT_NOT}, MAKES(.fails_first = 60)),
                   ST_STORE_FAILED);
  assert_int_equal(makes.count, 1);
  assert_int_equal(pause_count, 0);
  for (int i = 0; i < 20; i++) {
    int64_t until_us = st_clock_monotonic_us() + 12000;
    assert_int_equal(run((st_change){.until_us = until_us}, MAKES(.fails_first = 60)),
                     ST_STORE_FAILED);
    assert_int_equal(makes.count, pause_count + 1);
    for (int j = 0; j < pause_count; j++) assert_true(pauses_us[j] < 12000);
  }
}

/* A change that turns out to need a sequence is made again in order, at once. */
static void a_change_that_needs_order_is_made_in_order(void **state) {
  (void)state;
  store.concurrent = true;
  assert_int_equal(
      run((st_change){.until_us = ST_WAIT_NOT, .now_us = 9}, MAKES(.takes_sequence = true)),
      ST_STORE_OK);
  assert_string_equal(calls, "begin make write rollback begin make record commit rollback");
  assert_int_equal(makes.ordering, 1);
  assert_true(db.ordered);
  assert_int_equal(pause_count, 0);
  /* It stays so when others disturb it then. */
  answers.again = true;
  answers.sequence_next = ST_STORE_FAILED;
  answers.times = 2;
  assert_int_equal(run((st_change){.now_us = 9}, MAKES(.takes_sequence = true)), ST_STORE_OK);
  assert_int_equal(makes.count, 4);
  assert_int_equal(makes.ordering, 1);
  assert_int_equal(pause_count, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_store_begins_with_its_bounds),
      TEST(a_change_is_begun_made_and_committed),
      TEST(what_fails_is_rolled_back),
      TEST(who_refuses_says_why),
      TEST(the_sequence_is_told_after_the_commit),
      TEST(a_change_begins_with_its_context),
      TEST(who_may_take_a_sequence_comes_one_at_a_time),
      TEST(a_turn_that_does_not_come_leaves_nothing_taken),
      TEST(a_second_try_needs_a_turn_too),
      TEST(as_many_wait_as_the_threads_allow),
      TEST(nobody_waits_when_the_process_ends),
      TEST(a_change_that_was_disturbed_is_made_again),
      TEST(pauses_differ),
      TEST(what_was_refused_or_done_is_not_made_again),
      TEST(a_deadline_ends_the_tries),
      TEST(a_change_that_needs_order_is_made_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
