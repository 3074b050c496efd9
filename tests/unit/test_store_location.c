/* store_location: a URI of libpq without a password. */
#include "support.h"

#include "domain/store_location.h"

static const char *check(const char *text) {
  subtoken_text exact_text = exact_string(text);
  const char *problem = st_store_location_check(exact_text);
  release(exact_text);
  return problem;
}

static void a_uri_without_a_password_is_taken(void **state) {
  (void)state;
  static const char *const rows[] = {
      "postgresql://",
      "postgres://db/subtoken",
      "postgresql:///subtoken",
      "postgresql://db",
      "postgresql://db:5432",
      "postgresql://db:/subtoken",
      "postgresql://subtoken@db1,db2:5433/subtoken?target_session_attrs=read-write",
      "postgresql://subtoken@[2001:db8::1]:5432,[::1]/subtoken",
      "postgresql://%2Fvar%2Frun%2Fpostgresql/subtoken",
      "postgresql:///subtoken?host=/var/run/postgresql&port=5433&user=a&passfile=/etc/x/pass",
      "postgresql://db/a%20b?sslmode=verify-full&sslrootcert=/etc/ssl/x.pem&require_auth=scram",
      "postgresql://db/subtoken?application_name=",
      "postgresql://db/subtoken?options=-c%20synchronous_commit%3Dremote_apply",
      "postgresql://db?s%73lmode=disable",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *problem = check(rows[i]);
    CHECK(problem == NULL, "%s: %s", rows[i], problem);
    CHECK(st_store_location_is_uri(st_text(rows[i])), "%s", rows[i]);
  }
}

static void a_password_is_refused_wherever_it_stands(void **state) {
  (void)state;
  static const char *const rows[] = {
      "postgresql://subtoken:secret@db/subtoken",
      "postgres://subtoken:secret@db/subtoken",
      "postgresql://subtoken:@db/subtoken",
      "postgresql://:secret@db",
      "postgresql://a:b@c@db",
      "postgresql://subtoken%3Asecret@db/subtoken",
      "postgresql://subtoken:se?cret@db/subtoken",
      "postgresql://db/subtoken?password=secret",
      "postgresql://db?password=secret",
      "postgresql://db/subtoken?sslmode=require&password=secret",
      "postgresql://db/subtoken?%70assword=secret",
      "postgresql://db/subtoken?%70%61%73%73%77%6f%72%64=secret",
      "postgresql://db/subtoken?p%61ssword=",
      "postgresql://db/subtoken?sslpassword=secret",
      "postgresql://db/subtoken?user=subtoken:secret",
      "postgresql://db/subtoken?scram_client_key=secret",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *problem = check(rows[i]);
    CHECK(problem != NULL && strstr(problem, "must not hold a password") == problem, "%s: %s",
          rows[i], problem);
    CHECK(strstr(problem, "secret") == NULL, "%s: %s", rows[i], problem);
  }
}

static void what_is_no_uri_of_libpq_is_refused(void **state) {
  (void)state;
  static const char *const rows[] = {
      "",
      "subtoken.db",
      "sqlite:subtoken.db",
      "host=db password=secret",
      "postgresql:",
      "postgresql:/db",
      "Postgresql://db",
      " postgresql://db",
      "postgresql://db ",
      "postgresql://d\nb",
      "postgresql://d\x7f/b",
      "postgresql://db/b\x7f",
      "postgresql://db/b?user=a\x7f",
      "postgresql://d\xc3\xa9",
      "postgresql://@db",
      "postgresql://a?b@db",
      "postgresql://a%@db",
      "postgresql://a%4@db",
      "postgresql://db%0a",
      "postgresql://db%00/x",
      "postgresql://db:port",
      "postgresql://db:0",
      "postgresql://db:65536",
      "postgresql://db:123456789",
      "postgresql://[::1",
      "postgresql://[]",
      "postgresql://[::1]x",
      "postgresql://db/x%7f",
      "postgresql://db?",
      "postgresql://db?sslmode",
      "postgresql://db?=x",
      "postgresql://db?sslmode=a&",
      "postgresql://db?&sslmode=a",
      "postgresql://db?sslmode=a=b",
      "postgresql://db?sslmode=%zz",
      "postgresql://db?%73%=x",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *problem = check(rows[i]);
    CHECK(problem != NULL && strstr(problem, "must be a URI of libpq") == problem, "%s: %s",
          rows[i], problem);
  }
  char longest[1100];
  memset(longest, 'x', sizeof longest);
  memcpy(longest, "postgresql://", strlen("postgresql://"));
  assert_null(st_store_location_check((subtoken_text){longest, 1023}));
  assert_non_null(st_store_location_check((subtoken_text){longest, 1024}));
  /* At its end: the last two characters of an encoding are missing. */
  assert_non_null(check("postgresql://db%2"));
  assert_non_null(check("postgresql://db%"));
}

/* What the store sets itself, or what nobody knows. */
static void other_parameters_are_refused(void **state) {
  (void)state;
  static const char *const rows[] = {
      "requiressl=1", "client_encoding=latin1", "replication=database", "Password=secret",
      "nonsense=1",   "sslmodes=disable",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[100];
    snprintf(text, sizeof text, "postgresql://db/subtoken?%s", rows[i]);
    const char *problem = check(text);
    CHECK(problem != NULL && strstr(problem, "has a parameter that is not supported") == problem,
          "%s: %s", rows[i], problem);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_uri_without_a_password_is_taken),
      cmocka_unit_test(a_password_is_refused_wherever_it_stands),
      cmocka_unit_test(what_is_no_uri_of_libpq_is_refused),
      cmocka_unit_test(other_parameters_are_refused),
  };
  return cmocka_run_group_tests_name("store_location", tests, NULL, NULL);
}
