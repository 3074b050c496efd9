/* The file of signing secrets as commands change it: line by line, whole or not at all, and whether
 * the new one is in force is known whatever fails.
 */
#include "file_fixture.h"

#include "base/bytes.h"
#include "cli/ring_lines.h"
#include "failing.h"

#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define OTHER "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
#define RING "new:" SECRET "\n:" OTHER "\n"
#define TURNED ":" OTHER "\nnew:" SECRET "\n"

static st_ring_lines ring;

static void lines_are_found_and_moved(void **state) {
  (void)state;
  static const char *const endings[] = {RING, "new:" SECRET "\n:" OTHER};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    bool placed = false;
    spill(path, endings[i]);
    assert_true(st_ring_lines_load(path, &ring, error));
    assert_int_equal(ring.count, 2);
    assert_int_equal(st_ring_lines_find(&ring, st_text("new")), 0);
    assert_int_equal(st_ring_lines_find(&ring, st_text("-")), 1); /* the one without a name */
    assert_int_equal(st_ring_lines_find(&ring, st_text("")), 1);
    assert_int_equal(st_ring_lines_find(&ring, st_text("ne")), 2);
    assert_int_equal(st_ring_lines_find(&ring, st_text("newer")), 2);
    subtoken_text name = st_ring_lines_display_name(st_ring_lines_kid(ring.lines[1]));
    assert_true(st_text_is(name, "-"));
    assert_true(st_text_is(st_ring_lines_display_name(st_text("new")), "new"));
    st_ring_lines_move_to_front(&ring, 1);
    assert_true(st_ring_lines_save(path, &ring, &placed, error));
    assert_true(placed);
    assert_holds(path, TURNED);
    assert_true(st_ring_lines_load(path, &ring, error));
    st_ring_lines_move_to_front(&ring, 0);
    assert_true(st_ring_lines_save(path, &ring, &placed, error));
    assert_holds(path, TURNED);
    assert_int_equal(count_files(), 1);
  }
}

/* Neither read nor written: what the server would refuse. */
static void what_is_no_ring_changes_nothing(void **state) {
  (void)state;
  static const char *const bad[] = {"", "\n", "new:" SECRET "\nnew:" OTHER "\n",
                                    "new:" SECRET "=\n"};
  bool placed = true;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    spill(path, bad[i]);
    assert_false(st_ring_lines_load(path, &ring, error));
  }
  spill(path, RING);
  assert_true(st_ring_lines_load(path, &ring, error));
  ring.lines[ring.count++] = ring.lines[0];
  assert_refusal(st_ring_lines_save(path, &ring, &placed, error), "ring", "nothing was changed");
  assert_false(placed);
  assert_holds(path, RING);
  ring.count = 0;
  assert_refusal(st_ring_lines_save(path, &ring, &placed, error), "ring", "nothing was changed");
  assert_holds(path, RING);
}

/* It says so when the new ring is in force though the directory could not be synced. */
static void what_is_in_place_is_known(void **state) {
  (void)state;
  int unsynced = 0;
  bool ok = false, placed = false;
  FAILING_EACH(
      FAIL_FILES | FAIL_MEMORY, 1,
      {
        failing_end();
        spill(path, RING);
        assert_true(st_ring_lines_load(path, &ring, error));
        st_ring_lines_move_to_front(&ring, 1);
        error[0] = '\0';
        failing_begin(FAIL_FILES | FAIL_MEMORY, nth);
        ok = st_ring_lines_save(path, &ring, &placed, error);
      },
      {
        assert_true(ok || failed);
        assert_true(placed || !ok);
        assert_holds(path, placed ? TURNED : RING);
        assert_int_equal(count_files(), 1);
        unsynced += placed && !ok;
      });
  assert_true(unsynced > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(lines_are_found_and_moved),
      TEST(what_is_no_ring_changes_nothing),
      TEST(what_is_in_place_is_known),
  };
  return cmocka_run_group_tests_name("ring_lines", tests, NULL, NULL);
}
