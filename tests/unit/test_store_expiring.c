/* Keys that end soon: how many there are, and which. */
#include "store/db.h"
#include "store_contract.h"

#define LATEST (NOW + 30 * DAY)

static void make_ending(unsigned n, const char *owner, int64_t expires_at) {
  st_key key = row_of(n, owner, "a");
  key.expires_at = expires_at;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error));
}

static int64_t count_of(int64_t after, int64_t until) {
  int64_t count = -1;
  assert_ok(st_store_key_count_expiring(store, after, until, &count, error));
  return count;
}

/* The numbers of the keys, in pages of so many, as one text. */
static const char *ending(int64_t until, size_t page) {
  static char text[256];
  static st_key keys[8];
  char id[ST_KEY_ID_LEN + 1] = ST_KEY_ID_LAST;
  int64_t after = NOW;
  size_t count = page;
  text[0] = '\0';
  while (count == page) {
    assert_ok(st_store_key_list_expiring(store, after, id, until, page, keys, &count, error));
    for (size_t i = 0; i < count; i++) {
      size_t len = strlen(text);
      snprintf(text + len, sizeof text - len, " %s", keys[i].name + strlen("key "));
    }
    if (count == 0) break;
    after = keys[count - 1].expires_at;
    memcpy(id, keys[count - 1].id, sizeof id);
  }
  return text;
}

static void those_that_end_are_found_in_order(void **state) {
  (void)state;
  assert_int_equal(count_of(NOW, LATEST), 0);
  assert_string_equal(ending(LATEST, 2), "");
  make_ending(1, "ann", LATEST);
  make_ending(2, "ann", NOW + 1);
  make_ending(3, "", NOW + DAY);
  make_ending(4, "", NOW + DAY);
  make_ending(5, "", NOW + DAY);
  make_ending(6, "", LATEST + 1);
  make_ending(7, "", NOW); /* it has ended */
  make_key(8, "ann", "a"); /* it never ends */
  for (size_t page = 1; page <= 8; page++) {
    assert_string_equal(ending(LATEST, page), " 2 3 4 5 1");
    assert_string_equal(ending(NOW + DAY, page), " 2 3 4 5");
  }
  assert_int_equal(count_of(NOW, LATEST), 5);
  assert_int_equal(count_of(NOW, LATEST + 1), 6);
  assert_int_equal(count_of(NOW + DAY, LATEST), 1);
  assert_int_equal(count_of(NOW, ST_NEVER), 6);
}

static void what_was_deleted_does_not_end(void **state) {
  (void)state;
  make_ending(1, "", NOW + 1);
  make_ending(2, "", NOW + 2);
  assert_ok(begin_session(3, grantor_of(1), NOW + 1)); /* no session counts */
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_int_equal(count_of(NOW, LATEST), 2);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  assert_int_equal(count_of(NOW, LATEST), 1);
  assert_string_equal(ending(LATEST, 8), " 2");
}

/* Of a user with many keys who was deleted, before their rows are. */
static void what_a_large_change_has_ended_does_not_end(void **state) {
  (void)state;
  bool left = true;
  store->large_change = 4;
  store->change_step = 2;
  make_user(1, "bob", "a");
  for (unsigned n = 2; n < 20; n++) make_ending(n, "bob", NOW + n);
  make_ending(20, "ann", NOW + 20);
  assert_int_equal(count_of(NOW, LATEST), 19);
  assert_ok(st_store_user_delete(store, CONTEXT, "bob", NULL, error));
  assert_int_equal(count_of(NOW, LATEST), 1);
  assert_string_equal(ending(LATEST, 8), " 20");
  while (left) assert_ok(st_store_continue(store, 0, &left, error));
  assert_int_equal(count_of(NOW, LATEST), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(those_that_end_are_found_in_order),
      TEST(what_was_deleted_does_not_end),
      TEST(what_a_large_change_has_ended_does_not_end),
  };
  return RUN_ON_EVERY_STORE(tests);
}
