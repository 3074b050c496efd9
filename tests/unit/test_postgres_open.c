/* What cannot be opened on PostgreSQL: the error says what is wrong, where, and what to do, and
 * repeats no password.
 */
#include "failing.h"

#include "store_contract.h"

#include "store/postgres/postgres.h"

static void refuses(const char *uri, bool create, const char *words) {
  st_store *opened = NULL;
  error[0] = '\0';
  assert_int_equal(st_store_open(uri, create, &opened, error), ST_STORE_FAILED);
  assert_null(opened);
  if (strstr(error, words) == NULL) fail_msg("no \"%s\" in: %s", words, error);
  assert_null(strstr(error, "secret"));
}

/* The address of this test's database, with another user or more options. */
static const char *with(const char *user, const char *options) {
  static char uri[sizeof location + 200];
  const char *rest = strchr(location, '@') + 1;
  snprintf(uri, sizeof uri, "postgresql://%s@%s%s%s", user, rest,
           strchr(rest, '?') == NULL ? "?" : "&", options);
  return uri;
}

static void run(const char *sql) {
  assert_int_equal(run_in_postgres(location, sql), 0);
}

static void no_password_is_taken(void **state) {
  (void)state;
  refuses("postgresql://someone:secret@127.0.0.1/db", true, "must not hold a password");
  refuses("postgresql://someone@127.0.0.1/db?password=secret", true, "passfile");
  refuses("postgres://someone@127.0.0.1/db?sslpassword=secret", true, "client certificate");
}

static void what_is_no_uri_is_refused(void **state) {
  (void)state;
  refuses("postgresql://someone:secret@[1/db", true, "not a PostgreSQL URI");
  refuses("postgresql://h/db?no_such_option=secret", true, "not a PostgreSQL URI");
  refuses("postgresql://1,2,3,4,5,6,7,8,9/db", true, "more than 8 hosts");
  refuses("postgresql://h1:1,h2:2,h3/db?port=1,2", true, "a port for each");
  refuses("postgresql://127.0.0.1:1/db?sslmode=strange", true, "invalid sslmode value");
}

static void nobody_answers(void **state) {
  (void)state;
  refuses("postgresql://127.0.0.1:1/db", true, "Connection refused");
  assert_non_null(strstr(error, "postgresql://127.0.0.1:1/db"));
}

static void a_database_that_is_not_there(void **state) {
  (void)state;
  char uri[sizeof location];
  address_in_postgres("no_such_database", uri);
  refuses(uri, true, "database \"no_such_database\" does not exist");
}

static void tables_are_made_when_that_is_asked_for(void **state) {
  (void)state;
  st_store_close(store);
  store = NULL;
  run("SET client_min_messages = error; DROP SCHEMA subtoken CASCADE");
  refuses(location, false, "holds no store of subtoken");
  assert_ok(st_store_open(location, true, &store, error));
  reopen();
}

static void a_newer_schema_is_refused(void **state) {
  (void)state;
  run("UPDATE subtoken.version SET version = version + 1");
  refuses(location, true, "use a newer one");
  run("UPDATE subtoken.version SET version = version - 1");
  reopen();
}

/* An administrator can make the schema for it. */
static void a_role_that_may_make_no_schema(void **state) {
  (void)state;
  st_store_close(store);
  store = NULL;
  run("SET client_min_messages = error; DROP SCHEMA subtoken CASCADE; DROP ROLE IF EXISTS weak;"
      "CREATE ROLE weak LOGIN");
  refuses(with("weak", ""), true, "CREATE SCHEMA subtoken AUTHORIZATION");
  run("CREATE SCHEMA subtoken AUTHORIZATION weak");
  assert_ok(st_store_open(with("weak", ""), true, &store, error));
  make_key(1, "ann", "a");
  assert_true(alive(1));
}

static void a_server_that_only_reads(void **state) {
  (void)state;
  run("ALTER ROLE weak SET default_transaction_read_only = on");
  refuses(with("weak", ""), true, "read-only");
  run("ALTER ROLE weak RESET default_transaction_read_only");
}

static void an_encoding_that_holds_not_every_name(void **state) {
  (void)state;
  char uri[sizeof location], name[64], sql[200];
  name_in_postgres(9, name);
  snprintf(sql, sizeof sql,
           "CREATE DATABASE %s ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
           name);
  run(sql);
  address_in_postgres(name, uri);
  refuses(uri, true, "must be UTF8");
  snprintf(sql, sizeof sql, "DROP DATABASE %s", name);
  run(sql);
}

/* The URI's own options count, and a host that refuses does not keep others from answering. */
static void the_next_host_is_tried(void **state) {
  (void)state;
  char uri[sizeof location], name[64];
  st_store *opened = NULL;
  name_in_postgres(0, name);
  snprintf(uri, sizeof uri, "postgresql://postgres@127.0.0.1:1,127.0.0.1:%d/%s", port_of_postgres(),
           name);
  assert_ok(st_store_open(uri, false, &opened, error));
  st_store_close(opened);
}

/* A store of schema 1 in use: nothing of it is another one, and it can do what schema 3 can. */
static void a_database_of_schema_1_is_brought_up(void **state) {
  (void)state;
  st_key key;
  bool is = false;
  subtoken_text tid = ST_TEXT("0123456789abcdef");
  make_key(1, "ann", "a");
  make_key(2, "", "");
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  int64_t before = sequence_now(), all = lines();
  st_store_close(store);
  run("SET search_path = subtoken; DROP TABLE replaced; DROP INDEX audit_at, audit_who,"
      "  audit_action, audit_target, keys_expiring, keys_unowned;"
      "CREATE OR REPLACE FUNCTION note_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      "  INSERT INTO subtoken.written (xid, digest8) SELECT pg_current_xact_id(),"
      "    ('x' || encode(substring(digest FROM 1 FOR 8), 'hex'))::bit(64)::bigint FROM was;"
      "  RETURN NULL; END $$;"
      "ALTER TABLE keys DROP COLUMN audience, DROP COLUMN old_digest, DROP COLUMN old_until,"
      "  DROP COLUMN rotated_at, DROP COLUMN has_token; DROP INDEX listed_unknown;"
      "ALTER TABLE listed DROP COLUMN token_of, DROP COLUMN until, DROP COLUMN token_root,"
      "  DROP COLUMN token_derived, DROP COLUMN token_via;"
      "UPDATE version SET version = 1");
  assert_ok(st_store_open(location, false, &store, error));
  assert_true(sequence_now() == before && lines() == all && listed_count() == 1);
  assert_true(alive(1) && !alive(2) && listed(2));
  assert_ok(st_store_by_digest(store, digest_of(1), &key, error));
  assert_true(key.audience[0] == '\0' && key.old_until == 0 && key.tokens_revoked == 0);
  st_key_token token = {.sub = {sub_of(1), ST_SUB_LEN}, .tid = tid, .exp = NOW + DAY};
  assert_ok(st_store_token_revoke(store, CONTEXT, &token, 1, NULL, error));
  assert_ok(st_store_tokens_revoked(store, &tid, 1, &is, error));
  assert_true(is && listed_count() == 2);
  assert_ok(st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(101), 0, NULL, error));
  assert_int_equal(st_store_by_digest(store, digest_of(1), &key, error), ST_STORE_REVOKED);
  assert_ok(st_store_by_digest(store, digest_of(101), &key, error));
}

/* ---- two that bring it up ---- */

static char version_before[16], version_then[16];
static int versions_read;

/* The version, when it is read again under the lock. */
static PGresult *read_again(PGresult *real) {
  bool is_version = PQnfields(real) == 1 && PQntuples(real) == 1 &&
                    strcmp(PQgetvalue(real, 0, 0), version_before) == 0;
  if (is_version && ++versions_read == 2) {
    assert_int_equal(PQsetvalue(real, 0, 0, version_then, (int)strlen(version_then)), 1);
  }
  return real;
}

/* What another process brings up meanwhile is taken as it is, or too new. */
static void another_was_quicker(void **state) {
  (void)state;
  st_store_description d;
  assert_ok(st_store_describe(store, &d, error));
  for (int newer = 0; newer < 2; newer++) {
    st_store *opened = NULL;
    snprintf(version_before, sizeof version_before, "%d", (int)d.schema - 1);
    snprintf(version_then, sizeof version_then, "%d", (int)d.schema + newer);
    run("UPDATE subtoken.version SET version = version - 1");
    versions_read = 0;
    failing_answer = read_again;
    if (newer == 1) refuses(location, true, "use a newer one");
    if (newer == 0) assert_ok(st_store_open(location, true, &opened, error));
    failing_answer = NULL;
    assert_int_equal(versions_read, 2);
    st_store_close(opened);
    run("UPDATE subtoken.version SET version = version + 1");
  }
  reopen();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_database_of_schema_1_is_brought_up),
      TEST(no_password_is_taken),
      TEST(what_is_no_uri_is_refused),
      TEST(nobody_answers),
      TEST(a_database_that_is_not_there),
      TEST(tables_are_made_when_that_is_asked_for),
      TEST(a_newer_schema_is_refused),
      TEST(another_was_quicker),
      TEST(a_role_that_may_make_no_schema),
      TEST(a_server_that_only_reads),
      TEST(an_encoding_that_holds_not_every_name),
      TEST(the_next_host_is_tried),
  };
  return RUN_ON_POSTGRES(tests);
}
