/* What the service asks of users and sessions, through a real store: passwords, randomness, last
 * use. */
#include "sqlite_query.h"

#include <pthread.h>
#include <unistd.h>

#include "base/hmac.h"
#include "operations/draw.h"
#include "operations/password.h"
#include "operations/users.h"
#include "os/clock.h"
#include "server/runtime_config.h"
#include "server/upkeep.h"
#include "service/service.h"

#define USES_MOST 49152 /* keys noted between two writings */
#define TEXT(literal) ((subtoken_text){literal, sizeof(literal) - 1})
/* The user of Graphene's documentation, wrapped by Debian's argon2(1). */
#define GRAPHENE                                                               \
  "sha256:INDdM6iCi/8=:$argon2id$v=19$m=19456,t=2,p=1$d3JhcHBpbmctc2FsdC0xNg$" \
  "udsi56CMjNwuQkkFjU/VU7oGCZ8WxxLsinZhOiofd64"
/* Of one round and 16 KiB. */
#define SMALL "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ" /* of x */

static st_users users;

/* The upkeep's thread looks at the settings and the ring that are in force. */
static char secrets[64];

static bool start_config(void) {
  static const char line[] = ":AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n";
  st_settings settings;
  snprintf(secrets, sizeof secrets, "/tmp/subtoken-test-XXXXXX");
  int fd = mkstemp(secrets); /* with mode 0600 */
  bool written = fd >= 0 && write(fd, line, sizeof line - 1) == (ssize_t)sizeof line - 1;
  if (fd < 0 || close(fd) != 0 || !written) return false;
  st_config_default(&settings);
  return st_runtime_config_start(secrets, &settings, error);
}

static int set_up(void **state) {
  if (setup(state) != 0 || !start_config()) return -1;
  users = st_users_of(store);
  return st_password_start() ? 0 : -1;
}

static int tear_down(void **state) {
  st_runtime_config_stop();
  (void)unlink(secrets);
  return teardown(state);
}

#define USERS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- what was used ---- */

static void use(unsigned n, int64_t at) {
  users.note_use(users.context, id_of(n), at);
}

/* What is left is written when it ends: nobody has to wait for half a minute. */
static void write_uses(void) {
  if (!st_upkeep_start(store, error)) fail_msg("%s", error);
  st_upkeep_stop();
}

static int64_t used_at(unsigned n) {
  char text[200];
  snprintf(text, sizeof text, "SELECT total(used_at) FROM used WHERE key_id = '%s'", id_of(n));
  return ask(text);
}

static void uses_are_written_at_the_end(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 3; n++) make_key(n, "owner", "account");
  use(1, NOW);
  use(2, NOW + 1);
  use(1, NOW + 5);
  use(99, NOW); /* deleted meanwhile */
  users.note_use(users.context, "", NOW);
  write_uses();
  assert_true(used_at(1) == NOW + 5);
  assert_true(used_at(2) == NOW + 1);
  assert_true(used_at(3) == 0);
  assert_true(ask("SELECT count(*) FROM used WHERE key_id = ''") == 0);
  use(2, NOW + 9);
  write_uses();
  assert_true(used_at(1) == NOW + 5);
  assert_true(used_at(2) == NOW + 9);
  /* each was taken out when it was written */
  sql("DELETE FROM used");
  write_uses();
  assert_true(ask("SELECT count(*) FROM used") == 0);
  st_upkeep_stop(); /* a second time nothing happens */
}

/* C1: what cannot be written now is written the next time. */
static void uses_that_cannot_be_written_are_kept(void **state) {
  (void)state;
  sqlite3 *other = NULL;
  make_key(1, "owner", "account");
  use(1, NOW + 5);
  assert_int_equal(sqlite3_open(location, &other), SQLITE_OK);
  assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  st_store_stop_waiting(store, ST_WAIT_NOT);
  write_uses();
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  assert_true(used_at(1) == 0);
  use(1, NOW);
  write_uses();
  assert_true(used_at(1) == NOW + 5);
}

/* A table that is full takes no more keys, but goes on with those that it has. */
static void a_full_table_keeps_its_keys(void **state) {
  (void)state;
  make_key(1, "owner", "account");
  make_key(2, "owner", "account");
  use(1, NOW);
  for (unsigned n = 0; n < USES_MOST - 1; n++) use(100 + n, NOW);
  use(2, NOW);
  use(1, NOW + 9);
  write_uses();
  assert_true(used_at(1) == NOW + 9);
  assert_true(used_at(2) == 0);
  use(2, NOW + 1); /* there is room again */
  write_uses();
  assert_true(used_at(2) == NOW + 1);
  assert_true(used_at(1) == NOW + 9);
}

static void *use_often(void *number) {
  for (int64_t i = 0; i < 2000; i++) {
    char id[ST_KEY_ID_LEN + 1];
    unsigned n = (unsigned)(1 + (i + (intptr_t)number) % 8);
    snprintf(id, sizeof id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
    users.note_use(users.context, id, NOW);
  }
  return NULL;
}

static void threads_may_note_uses(void **state) {
  (void)state;
  pthread_t threads[4];
  for (unsigned n = 1; n <= 8; n++) make_key(n, "owner", "account");
  if (!st_upkeep_start(store, error)) fail_msg("%s", error);
  for (intptr_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, use_often, (void *)i), 0);
  }
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  st_upkeep_stop();
  for (unsigned n = 1; n <= 8; n++) assert_true(used_at(n) == NOW);
}

/* ---- what is drawn ---- */

static void each_draw_is_new(void **state) {
  (void)state;
  st_key keys[2] = {{.kind = ST_KIND_SESSION, .owner = "stays"}, {0}};
  uint8_t digests[3][32] = {{0}};
  char whole[2 * ST_KEY_ID_LEN + 1];
  st_draw_user(&keys[0], digests[0]);
  st_draw_user(&keys[1], digests[1]);
  for (size_t i = 0; i < 2; i++) {
    snprintf(whole, sizeof whole, "%s%s", keys[i].id, keys[i].id);
    assert_true(st_key_shaped((subtoken_text){whole, strlen(whole)}));
    assert_int_equal(strlen(keys[i].sub), ST_SUB_LEN);
    assert_memory_not_equal(digests[i], digests[2], 32);
  }
  assert_string_not_equal(keys[0].id, keys[1].id);
  assert_string_not_equal(keys[0].sub, keys[1].sub);
  assert_memory_not_equal(digests[0], digests[1], 32);
  assert_int_equal(keys[0].kind, ST_KIND_SESSION);
  assert_string_equal(keys[0].owner, "stays");
}

/* ---- passwords ---- */

static st_user found_person(const char *login) {
  st_user user;
  assert_int_equal(users.find(users.context, (subtoken_text){login, strlen(login)}, &user),
                   ST_STORE_OK);
  return user;
}

static void make_user_with(const char *password, bool imported) {
  st_user user = user_of(1, "alice", "account");
  snprintf(user.password, sizeof user.password, "%s", password);
  if (imported) snprintf(user.imported, sizeof user.imported, "%s", password);
  int64_t sequence;
  if (imported) {
    st_user_import import = {.user = user, .mode = ST_IMPORT_CREATE};
    memcpy(import.digest, digest_of(1), 32);
    assert_ok(st_store_user_import(store, CONTEXT, &import, 1, &sequence, error));
  } else {
    assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &user, digest_of(1), error));
  }
}

/* Imported, or of less work than today: kept as it should be after the first good login. */
static void an_outdated_password_is_rehashed(void **state) {
  (void)state;
  make_user_with(GRAPHENE, true);
  st_user before = found_person("alice");
  int64_t sequence = sequence_now(), audited = lines();
  assert_int_equal(users.check(users.context, &before, TEXT("wrong"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_WRONG);
  assert_string_equal(found_person("alice").password, GRAPHENE);
  assert_int_equal(users.check(users.context, &before, TEXT("supersecret"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_OK);
  st_user after = found_person("alice");
  assert_int_equal(strncmp(after.password, "nfc:$argon2id$v=19$m=19456,t=2,p=1$", 35), 0);
  assert_string_equal(after.imported, GRAPHENE); /* by which an import is known again */
  assert_string_equal(after.key.sub, before.key.sub);
  assert_true(sequence_now() == sequence && lines() == audited);
  /* the same password still, and once is enough */
  assert_int_equal(users.check(users.context, &after, TEXT("supersecret"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_OK);
  assert_int_equal(users.check(users.context, &after, TEXT("wrong"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_WRONG);
  assert_string_equal(found_person("alice").password, after.password);
  /* who looked before it was done undoes nothing */
  assert_int_equal(users.check(users.context, &before, TEXT("supersecret"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_OK);
  assert_string_equal(found_person("alice").password, after.password);
}

static void a_cheap_password_is_rehashed(void **state) {
  (void)state;
  make_user_with(SMALL, false);
  st_user before = found_person("alice");
  assert_int_equal(users.check(users.context, &before, TEXT("x"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_OK);
  assert_string_not_equal(found_person("alice").password, SMALL);
}

/* A password that was set meanwhile stays; and that it fails keeps nobody out. */
static void a_newer_password_is_not_replaced(void **state) {
  (void)state;
  int64_t sequence;
  make_user_with(SMALL, false);
  st_user before = found_person("alice");
  assert_ok(
      st_store_user_set_password(store, CONTEXT, "alice", "$another", sub_of(7), &sequence, error));
  assert_int_equal(users.check(users.context, &before, TEXT("x"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_OK);
  assert_string_equal(found_person("alice").password, "$another");
  sql("DROP TABLE persons");
  assert_int_equal(users.check(users.context, &before, TEXT("x"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_OK);
}

static void an_unknown_user_costs_the_same(void **state) {
  (void)state;
  uint64_t computed = st_password_computed();
  st_user nobody = user_of(1, "nobody", "");
  assert_int_equal(users.check(users.context, NULL, TEXT("supersecret"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_WRONG);
  nobody.password[0] = '\0';
  assert_int_equal(users.check(users.context, &nobody, TEXT(""), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_WRONG);
  assert_int_equal(users.check(users.context, &nobody, TEXT("x"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_WRONG);
  assert_true(st_password_computed() - computed == 3); /* at the same cost */
}

/* ---- persons and logins ---- */

static const st_audit_context untimed = {.who = "nobody", .from = "192.0.2.7"};

static void a_user_is_made_and_found(void **state) {
  (void)state;
  st_user user = {
      .key = {.kind = ST_KIND_USER, .owner = "alice", .name = "alice", .expires_at = ST_NEVER}};
  st_user nobody;
  assert_int_equal(users.find(users.context, TEXT("alice"), &nobody), ST_STORE_NOT_FOUND);
  assert_int_equal(users.hash(users.context, TEXT("supersecret"), ST_WAIT_FOR_EVER, user.password),
                   ST_PASSWORD_OK);
  assert_int_equal(users.create(users.context, &untimed, NULL, &user), ST_STORE_OK);
  int64_t now = st_clock_now();
  st_user stored = found_person("alice");
  assert_true(stored.key.created_at > now - 600 && stored.key.created_at <= now);
  assert_int_equal(users.check(users.context, &stored, TEXT("supersecret"), ST_WAIT_FOR_EVER),
                   ST_PASSWORD_OK);
  assert_null(memmem(&stored, sizeof stored, "supersecret", 11));
  assert_int_equal(users.create(users.context, &untimed, NULL, &user), ST_STORE_EXISTS);
  /* a password that cannot be hashed is no matter of waiting */
  char phc[ST_PHC_MAX + 1];
  assert_int_equal(users.hash(users.context, TEXT(""), ST_WAIT_FOR_EVER, phc), ST_PASSWORD_FAILED);
  st_audit_line line = last_line();
  assert_string_equal(line.who, "nobody");
  assert_true(line.at > now - 600 && line.at <= now);
}

static void a_session_is_opened_refreshed_and_ended(void **state) {
  (void)state;
  char token[ST_REFRESH_LEN + 1], next[ST_REFRESH_LEN + 1], again[ST_REFRESH_LEN + 1];
  int64_t until = st_clock_now() + 3600, sequence;
  st_key login = {.expires_at = until}, other = {.expires_at = until}, same;
  make_user(1, "alice", "account");
  assert_int_equal(users.begin_session(users.context, &untimed, grantor_of(1), 100, &login, token),
                   ST_STORE_OK);
  assert_int_equal(users.begin_session(users.context, &untimed, grantor_of(1), 100, &other, next),
                   ST_STORE_OK);
  assert_int_equal(strlen(token), ST_REFRESH_LEN);
  assert_string_not_equal(token, next);
  assert_string_not_equal(login.id, other.id);
  assert_int_equal(login.kind, ST_KIND_SESSION);
  assert_string_equal(login.owner, "alice");
  assert_string_equal(login.permissions, "account");
  assert_int_equal(
      users.refresh_session(users.context, &untimed, (subtoken_text){token, ST_REFRESH_LEN}, until,
                            30, &same, next),
      ST_STORE_OK);
  assert_string_equal(same.id, login.id);
  memset(&same, 0, sizeof same);
  assert_int_equal(users.find_refresh(users.context, (subtoken_text){token, ST_REFRESH_LEN},
                                      st_clock_now(), &same),
                   ST_STORE_OK);
  assert_string_equal(same.id, login.id);
  assert_int_equal(users.find_refresh(users.context, TEXT("unheard of"), st_clock_now(), &same),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(
      users.refresh_session(users.context, &untimed, (subtoken_text){next, ST_REFRESH_LEN}, until,
                            30, &same, again),
      ST_STORE_OK);
  /* its successor has been used: somebody has the first token who should not */
  assert_int_equal(
      users.refresh_session(users.context, &untimed, (subtoken_text){token, ST_REFRESH_LEN}, until,
                            30, &same, next),
      ST_STORE_DENIED);
  assert_int_equal(users.end_session(users.context, &untimed, login.id, &sequence),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(users.end_session(users.context, &untimed, other.id, &sequence), ST_STORE_OK);
  assert_true(sequence == sequence_now());
  assert_int_equal(
      users.refresh_session(users.context, &untimed, TEXT("unheard of"), until, 30, &same, next),
      ST_STORE_NOT_FOUND);
  st_audit_line some[4];
  size_t count;
  assert_int_equal(users.list_audit(users.context, 0, 4, some, &count), ST_STORE_OK);
  assert_int_equal(count, 4);
  assert_string_equal(some[0].target, other.id);
}

/* A store that cannot be read is none in which there is nobody. */
static void a_failing_store_is_an_error(void **state) {
  (void)state;
  st_user user;
  st_audit_line line;
  size_t count;
  make_user(1, "alice", "account");
  sql("DROP TABLE persons");
  sql("DROP TABLE audit");
  assert_int_equal(users.find(users.context, TEXT("alice"), &user), ST_STORE_FAILED);
  assert_int_equal(users.list_audit(users.context, 0, 1, &line, &count), ST_STORE_FAILED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      USERS_TEST(uses_are_written_at_the_end),
      USERS_TEST(a_full_table_keeps_its_keys),
      USERS_TEST(uses_that_cannot_be_written_are_kept),
      USERS_TEST(threads_may_note_uses),
      USERS_TEST(each_draw_is_new),
      USERS_TEST(an_outdated_password_is_rehashed),
      USERS_TEST(a_cheap_password_is_rehashed),
      USERS_TEST(a_newer_password_is_not_replaced),
      USERS_TEST(an_unknown_user_costs_the_same),
      USERS_TEST(a_user_is_made_and_found),
      USERS_TEST(a_session_is_opened_refreshed_and_ended),
      USERS_TEST(a_failing_store_is_an_error),
  };
  return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
