/* postgres/connect, ask, confirm and uri: a server whose answers a test writes byte by byte, as one
 * that is too old, that warns, or that leaves in the middle; and what is read of a URI. Nothing of
 * this needs PostgreSQL.
 */
#include "failing.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "libpq_fixture.h"
#include "os/clock.h"
#include "store/postgres/postgres.h"
#include "support.h"

static char error[ST_ERROR_MAX];

/* ---- a server ---- */

typedef struct bytes {
  char data[2000];
  size_t len;
} bytes;

static void add(bytes *b, const void *data, size_t len) {
  assert_true(b->len + len <= sizeof b->data);
  memcpy(b->data + b->len, data, len);
  b->len += len;
}

/* A message of the protocol: its type, its length, and what is in it. */
static void add_message(bytes *b, char type, const void *data, size_t len) {
  uint32_t size = htonl((uint32_t)len + 4);
  add(b, &type, 1);
  add(b, &size, 4);
  add(b, data, len);
}
#define MESSAGE(b, type, text) add_message(b, type, text, sizeof(text) - 1)

static void add_ready(bytes *b) {
  MESSAGE(b, 'Z', "I");
}

static void add_welcome(bytes *b, const char *version) {
  char text[40];
  int len = snprintf(text, sizeof text, "server_version%c%s", 0, version);
  MESSAGE(b, 'R', "\0\0\0\0");
  add_message(b, 'S', text, (size_t)len + 1);
  MESSAGE(b, 'S', "server_encoding\0UTF8\0");
  MESSAGE(b, 'S', "default_transaction_read_only\0off\0");
  MESSAGE(b, 'S', "in_hot_standby\0off\0");
  add_ready(b);
}

static void add_notice(bytes *b, const char *severity) {
  char text[80];
  int len =
      snprintf(text, sizeof text, "S%s%cV%s%cMwaiting was given up%c", severity, 0, severity, 0, 0);
  add_message(b, 'N', text, (size_t)len + 1);
}

/* One row of one number of eight bytes. */
static void add_number(bytes *b, char number) {
  char row[] = "\0\1\0\0\0\10\0\0\0\0\0\0\0\7";
  row[13] = number;
  MESSAGE(b, '1', "");
  MESSAGE(b, '2', "");
  MESSAGE(b, 'T', "\0\1n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\1");
  add_message(b, 'D', row, 14);
  MESSAGE(b, 'C', "SELECT 1\0");
}

/* What it answers to the first and the second of what comes in. */
static struct {
  bytes answers[2];
  size_t count;
  bool leaves; /* then, and does not wait for whoever asks to leave */
  int socket;
  pthread_t thread;
} server;

static void *serve(void *unused) {
  char in[8192];
  int to = accept(server.socket, NULL, NULL);
  (void)unused;
  for (size_t i = 0; i < server.count; i++) {
    const bytes *b = &server.answers[i];
    if (recv(to, in, sizeof in, 0) <= 0 || send(to, b->data, b->len, MSG_NOSIGNAL) < 0) break;
  }
  if (server.leaves) (void)shutdown(to, SHUT_WR);
  while (recv(to, in, sizeof in, 0) > 0) continue;
  close(to);
  return NULL;
}

static st_postgres store;
static st_postgres_connection connection;

static int64_t in_time(void) {
  return st_clock_monotonic_us() + INT64_C(60000000);
}

/* Does it let us in? */
static bool start(size_t count) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  char uri[120];
  server.count = count;
  server.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(server.socket, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(server.socket, 1), 0);
  assert_int_equal(getsockname(server.socket, (struct sockaddr *)&at, &len), 0);
  snprintf(uri, sizeof uri, "postgresql://a@127.0.0.1:%d/a?sslmode=disable&gssencmode=disable",
           ntohs(at.sin_port));
  memset(&store, 0, sizeof store);
  connection = (st_postgres_connection){.store = &store};
  assert_int_equal(st_postgres_read_uri(&store, uri, error), ST_STORE_OK);
  assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
  return st_postgres_connect_any(&connection, in_time());
}

static void end(void) {
  st_postgres_disconnect(&connection);
  pthread_join(server.thread, NULL);
  close(server.socket);
  st_postgres_drop_uri(&store);
  memset(server.answers, 0, sizeof server.answers);
  server.leaves = false;
}

/* ---- who lets us in ---- */

static void an_old_server_is_refused(void **state) {
  (void)state;
  static const char *const versions[] = {"9.6.1", "13.22", "14.0", "17.1"};
  for (size_t i = 0; i < 4; i++) {
    add_welcome(&server.answers[0], versions[i]);
    assert_int_equal(start(1), i >= 2);
    if (i < 2) assert_non_null(strstr(connection.message, "version 14 or newer is needed"));
    if (i == 1) assert_non_null(strstr(connection.message, "PostgreSQL 13:"));
    end();
  }
}

/* ---- what is confirmed ---- */

/* A commit that is answered with a warning is in this database, and maybe in no standby: whoever
 * cancels the wait for one gets that. It confirms nothing.
 */
static void a_warning_is_no_confirmation(void **state) {
  (void)state;
  static const char *const severities[] = {NULL, "WARNING", "NOTICE", "WARNING"};
  for (size_t i = 0; i < 4; i++) {
    st_postgres_confirmer confirmer = {0};
    bytes *answer = &server.answers[1];
    add_welcome(&server.answers[0], "15.1");
    add_number(answer, 7);
    if (severities[i] != NULL) add_notice(answer, severities[i]);
    add_ready(answer);
    assert_true(start(2));
    bool confirmed = st_postgres_confirm(&connection, &confirmer, in_time());
    assert_int_equal(confirmed, i % 2 == 0);
    assert_int_equal(confirmer.time, 7);
    if (!confirmed) {
      assert_string_equal(connection.message, "no standby confirms a commit");
      assert_false(st_postgres_is_connected(&connection)); /* another server is looked for */
    }
    end();
  }
}

/* ---- who leaves in the middle ---- */

static void who_leaves_in_the_middle_is_lost(void **state) {
  (void)state;
  bytes whole = {.len = 0};
  add_number(&whole, 7);
  add_ready(&whole);
  for (size_t len = 0; len <= whole.len; len++) {
    PGresult *result = NULL;
    add_welcome(&server.answers[0], "15.1");
    add(&server.answers[1], whole.data, len);
    server.leaves = len < whole.len;
    assert_true(start(2));
    assert_true(st_postgres_send(&connection, ST_POSTGRES_SERVER, ST_NO_VALUES, &result));
    bool answered = st_postgres_sync(&connection, in_time());
    assert_int_equal(answered, len == whole.len);
    if (answered) {
      assert_int_equal(st_postgres_number(result, 0, 0), 7);
    } else {
      assert_null(result);
      assert_string_not_equal(connection.message, "");
      assert_false(st_postgres_is_connected(&connection));
      assert_false(st_postgres_send(&connection, ST_POSTGRES_SERVER, ST_NO_VALUES, &result));
      assert_false(st_postgres_sync(&connection, in_time()));
    }
    PQclear(result);
    end();
  }
}

/* What is sent in two parts arrives. */
static void what_does_not_fit_at_once_is_sent_all_the_same(void **state) {
  (void)state;
  for (long nth = 1; nth <= 2; nth++) { /* before the answer is here */
    PGresult *result = NULL;
    add_welcome(&server.answers[0], "15.1");
    add_number(&server.answers[1], 7);
    add_ready(&server.answers[1]);
    assert_true(start(2));
    assert_true(st_postgres_send(&connection, ST_POSTGRES_SERVER, ST_NO_VALUES, &result));
    failing_begin(FAIL_SIGNALS, nth);
    if (!st_postgres_sync(&connection, in_time())) fail_msg("%ld %s", nth, connection.message);
    (void)failing_end();
    assert_int_equal(st_postgres_number(result, 0, 0), 7);
    PQclear(result);
    end();
  }
}

/* ---- URIs ---- */

typedef struct uri {
  const char *text, *name; /* NULL: it is refused with */
  const char *words;
  size_t hosts;
} uri;

#define MANY                                                                                       \
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
  "aa"
#define VERY_MANY MANY MANY MANY MANY MANY MANY MANY MANY MANY MANY

static const uri uris[] = {
    {"postgresql://h:1/db", "postgresql://h:1/db", NULL, 1},
    {"postgresql://h/db", "postgresql://h/db", NULL, 1},
    {"postgresql://h", "postgresql://h/", NULL, 1},
    {"postgresql:///db", "postgresql:///db", NULL, 1},
    {"postgresql:///db?hostaddr=127.0.0.1", "postgresql://127.0.0.1/db", NULL, 1},
    {"postgresql://a:1,b:2,c:3/db", "postgresql://a:1,b:2,c:3/db", NULL, 3},
    {"postgresql://a,b,c/db?port=7", "postgresql://a:7,b:7,c:7/db", NULL, 3},
    {"postgresql:///db?host=a,,c", "postgresql://a,,c/db", NULL, 3},
    {"postgresql:///db?host=a,b&port=1,", "postgresql://a:1,b/db", NULL, 2},
    {"postgresql:///db?host=1,2,3,4,5,6,7,8", "postgresql://1,2,3,4,5,6,7,8/db", NULL, 8},
    {"postgresql:///db?host=1,2,3,4,5,6,7,8,9", NULL, "more than 8 hosts", 0},
    {"postgresql:///db?host=a,b&port=1,2,3", "postgresql://a:1,b:2,:3/db", NULL, 3},
    {"postgresql:///db?host=a,b,c&port=1,2", NULL, "not a port for each", 0},
    {"postgresql://h/db?options=-c%20geqo%3Doff", "postgresql://h/db", NULL, 1},
    {"postgresql://h/db?options=" VERY_MANY, NULL, "too long", 0},
    {"postgresql://h/db?application_name=", "postgresql://h/db", NULL, 1},
};

static void a_uri_names_hosts_and_a_database(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
    const uri *u = &uris[i];
    st_postgres read = {.host_count = 0};
    st_store_status status = st_postgres_read_uri(&read, u->text, error);
    CHECK(status == (u->name != NULL ? ST_STORE_OK : ST_STORE_FAILED), "%s: %s", u->text, error);
    if (u->name == NULL) {
      CHECK(strstr(error, u->words) != NULL, "%s: %s", u->text, error);
    } else {
      CHECK(strcmp(read.base.name, u->name) == 0, "%s: %s", u->text, read.base.name);
      assert_int_equal(read.host_count, u->hosts);
    }
    st_postgres_drop_uri(&read);
  }
}

static void a_time_for_connecting_is_whole_seconds(void **state) {
  (void)state;
  static const char *const given[] = {"", "0", "-1", "x", "1", "3599", "3600", "99999999999"};
  for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
    char text[100];
    st_postgres read = {.host_count = 0};
    snprintf(text, sizeof text, "postgresql://h/db?connect_timeout=%s", given[i]);
    assert_int_equal(st_postgres_read_uri(&read, text, error), ST_STORE_OK);
    int64_t seconds = i == 4 ? 1 : i == 5 ? 3599 : ST_POSTGRES_CONNECT_MS / 1000;
    assert_int_equal(read.connect_us, seconds * INT64_C(1000000));
    st_postgres_drop_uri(&read);
  }
}

static void without_memory_a_uri_is_not_read(void **state) {
  (void)state;
  st_postgres read = {.host_count = 0};
  st_store_status status = ST_STORE_FAILED;
  FAILING_EACH(
      FAIL_MEMORY | FAIL_LIBPQ, 1,
      {
        memset(&read, 0, sizeof read);
        status = st_postgres_read_uri(&read, "postgresql://a:1,b:2/db?hostaddr=127.0.0.1,127.0.0.2",
                                      error);
      },
      {
        assert_int_equal(status, failed ? ST_STORE_FAILED : ST_STORE_OK);
        st_postgres_drop_uri(&read);
      });
}

/* ---- lists ---- */

static void a_list_holds_what_was_added(void **state) {
  (void)state;
  st_postgres_list list = {.len = 4};
  for (unsigned n = 0; n < 500; n++) {
    char item[5];
    snprintf(item, sizeof item, "%04u", n * 7919 % 1000 / 2 * 2); /* even ones, some twice */
    assert_true(st_postgres_list_add(&list, item));
  }
  st_postgres_list_settle(&list);
  size_t held = 0;
  for (unsigned n = 0; n < 1000; n++) {
    char item[5];
    snprintf(item, sizeof item, "%04u", n);
    bool holds = st_postgres_list_holds(&list, item);
    assert_true(n % 2 == 0 || !holds);
    held += holds;
  }
  assert_int_equal(held, list.count);
  failing_begin(FAIL_MEMORY, 1);
  st_postgres_list other = {.len = ST_POSTGRES_NUMBER_LEN};
  assert_false(st_postgres_list_add_number(&other, 7));
  assert_true(failing_end());
  assert_int_equal(other.count, 0);
  st_postgres_list_free(&list);
}

/* ---- what a change keeps here ---- */

/* A result as of a statement, of rows with so many columns; NULL: it is null. */
static PGresult *make_result(int columns, int rows, const char *const *values) {
  PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
  PGresAttDesc names[2] = {{.name = (char *)(uintptr_t) "a"}, {.name = (char *)(uintptr_t) "b"}};
  assert_int_equal(PQsetResultAttrs(result, columns, names), 1);
  for (int i = 0; i < rows * columns; i++) {
    const char *value = values[i];
    int len = value != NULL ? (int)strlen(value) : -1;
    assert_int_equal(PQsetvalue(result, i / columns, i % columns, (char *)(uintptr_t)value, len),
                     1);
  }
  return result;
}

#define DIGEST "0123456789abcdef0123456789abcdef"
#define ID "00000000-ABCD-ABCD-ABCD-00000000000"

static void what_a_change_wrote_is_kept_or_refused(void **state) {
  (void)state;
  static const char *const digests[] = {DIGEST, DIGEST, DIGEST, NULL, "short", NULL, DIGEST, "old"};
  static const bool good[] = {true, true, false, false};
  st_postgres_db d = {.connection = {.store = &store}};
  st_postgres_sets_clear(&d);
  for (int i = 0; i < 4; i++) {
    PGresult *one = make_result(2, 1, &digests[2 * i]);
    assert_int_equal(st_postgres_sets_take(&d, ST_POSTGRES_INTO_WRITTEN, one), good[i]);
    if (i < 2) assert_int_equal(d.written_count, i == 0 ? 2 : 3);
    PQclear(one);
  }
  /* Very many are all. */
  PGresult *one = make_result(2, 1, digests);
  for (int i = 0; i < 40000; i++) {
    assert_true(st_postgres_sets_take(&d, ST_POSTGRES_INTO_WRITTEN, one));
  }
  assert_true(d.written_count > 65536 && d.written_count < 65540);
  PQclear(one);
  static const char *const none[] = {NULL};
  PGresult *unnamed = make_result(1, 1, none);
  st_postgres_sets_clear(&d);
  assert_true(st_postgres_sets_take(&d, ST_POSTGRES_INTO_WRITTEN, unnamed));
  assert_true(d.written_count > 65536);
  PQclear(unnamed);
  st_postgres_sets_free(&d);
}

static void rows_are_kept_or_refused(void **state) {
  (void)state;
  static const char *const ids[] = {ID "1", ID "2", "short"};
  st_postgres_db d = {.connection = {.store = &store}};
  PGresult *two = make_result(1, 2, ids), *bad = make_result(1, 1, &ids[2]);
  st_postgres_sets_clear(&d);
  assert_true(st_postgres_sets_take(&d, ST_POSTGRES_INTO_BASE, two));
  assert_int_equal(d.base_rows.count, 2);
  assert_true(st_postgres_sets_take(&d, ST_POSTGRES_INTO_DERIVED, two)); /* none of the base */
  assert_int_equal(d.derived.count, 0);
  assert_false(st_postgres_sets_take(&d, ST_POSTGRES_INTO_SET, bad));
  assert_true(st_postgres_sets_take(&d, 0, bad)); /* of which nothing is wanted */
  assert_false(st_postgres_sets_here(&d, ST_SQL_SET_ADD_ROW, ST_VALUES(st_db_text("short"))));
  assert_string_equal(d.connection.message, "an id has another length");
  /* Without memory it is said so. */
  for (int i = 0; i < 4; i++) {
    static const char *const digests[] = {DIGEST};
    PGresult *digest = make_result(1, 1, digests);
    d.failed = false;
    failing_begin(FAIL_MEMORY, 1);
    bool ok = i == 0   ? st_postgres_sets_take(&d, ST_POSTGRES_INTO_SET, two)
              : i == 1 ? st_postgres_sets_take(&d, ST_POSTGRES_INTO_WRITTEN, digest)
              : i == 2
                  ? st_postgres_sets_here(&d, ST_SQL_SET_ADD_ROW, ST_VALUES(st_db_text(ids[0])))
                  : st_postgres_sets_here(&d, ST_SQL_SNAPSHOT_ADD, ST_VALUES(st_db_number(7)));
    assert_true(failing_end());
    assert_false(ok);
    assert_true(d.failed);
    assert_string_equal(d.connection.message, "no memory");
    PQclear(digest);
  }
  assert_true(st_postgres_sets_here(&d, ST_SQL_SET_ADD_ROW, ST_VALUES(st_db_text(ids[0]))));
  assert_int_equal(d.set.count, 1);
  assert_true(st_postgres_sets_here(&d, ST_SQL_SET_CLEAR, ST_NO_VALUES));
  assert_int_equal(d.set.count, 0);
  PQclear(two);
  PQclear(bad);
  st_postgres_sets_free(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_old_server_is_refused),
      cmocka_unit_test(a_warning_is_no_confirmation),
      cmocka_unit_test(who_leaves_in_the_middle_is_lost),
      cmocka_unit_test(what_does_not_fit_at_once_is_sent_all_the_same),
      cmocka_unit_test(a_uri_names_hosts_and_a_database),
      cmocka_unit_test(a_time_for_connecting_is_whole_seconds),
      cmocka_unit_test(without_memory_a_uri_is_not_read),
      cmocka_unit_test(a_list_holds_what_was_added),
      cmocka_unit_test(what_a_change_wrote_is_kept_or_refused),
      cmocka_unit_test(rows_are_kept_or_refused),
  };
  return cmocka_run_group_tests_name("postgres_answers", tests, NULL, NULL);
}
