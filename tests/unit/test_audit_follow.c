/* `subtoken audit --follow`, whose pauses pass as the test wants: what comes meanwhile is printed
 * once and in order, also when the store does not answer for a while. With two processes and a
 * store that is restored: tests/e2e/test_audit.py.
 */
#include "failing.h"

#include "command_fixture.h"

#include <signal.h>

static int pauses; /* of the process that follows */

/* In the middle of a pause somebody else makes a key. */
static void make_key_meanwhile(const char *name) {
  char line[100];
  unsigned kinds = atomic_exchange(&failing.kinds, 0);
  snprintf(line, sizeof line, "key create --name %s --permissions account", name);
  if (run_failing(line, "", "made", 0, 0) != 0) _exit(98);
  atomic_store(&failing.kinds, kinds);
}

static void store_fails(bool fails) {
  atomic_store(&failing.kinds, FAIL_PAUSES | (fails ? FAIL_PREPARE | FAIL_SQLITE : 0));
}

static void note_pause(unsigned what) {
  if (what != FAIL_PAUSES) return;
  switch (++pauses) {
    case 1: make_key_meanwhile("one"); return;
    case 2: store_fails(true); return;
    case 3: return; /* it is said once */
    case 4:
      store_fails(false);
      make_key_meanwhile("two");
      return;
    case 5: return;
    default: raise(SIGTERM);
  }
}

static size_t count_of(const char *text, const char *piece) {
  size_t count = 0;
  for (; (text = strstr(text, piece)) != NULL; text++) count++;
  return count;
}

static void follow(const char *line) {
  failing_noted = note_pause;
  atomic_store(&failing.burst, 1000000);
  run_failing(line, "", "stdout", FAIL_PAUSES, 1);
  failing_noted = NULL;
  atomic_store(&failing.burst, 0);
}

static void what_comes_is_printed_once(void **state) {
  (void)state;
  static const char *const lines[] = {"audit --follow --json", "audit --follow --json --after 0",
                                      "audit --follow --limit 0 --json",
                                      "audit --follow --limit 1 --json"};
  for (size_t i = 0; i < COUNT(lines); i++) {
    size_t before = i * 2 + 1, shown = i == 2 ? 0 : i == 3 ? 1 : before;
    follow(lines[i]);
    CHECK(ran.code == 0, "%s: %d: %s", lines[i], ran.code, ran.err);
    CHECK(count_of(ran.out, "\"key.create\"") == shown + 2, "%s: %s", lines[i], ran.out);
    CHECK(count_of(ran.err, "trying again each second") == 1, "%s: %s", lines[i], ran.err);
    const char *one = strstr(ran.out, "one"), *last = one;
    for (; one != NULL; one = strstr(one + 1, "one")) last = one;
    CHECK(last != NULL && strstr(last, "two") != NULL, "%s: %s", lines[i], ran.out);
  }
}

static int set_up(void **state) {
  (void)state;
  if (make_commands_home() != 0) return -1;
  run_well("key create --name zero --permissions account", "");
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_comes_is_printed_once),
  };
  return cmocka_run_group_tests_name("audit follow", tests, set_up, remove_home);
}
