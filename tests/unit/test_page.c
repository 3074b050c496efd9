/* The web page's files, what is served under `/` and `/page/`, and with which headers. */
#include "service_fixture.h"

#include <dirent.h>

#include "page/files.h"

#define AS_BROWSER "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\n"

static void check_file(const char *name) {
  const st_page_file *file = st_page_files_find(st_text(name));
  assert_non_null(file);
  CHECK(reply.payload.data == file->data && reply.payload.len == (size_t)(file->end - file->data) &&
            reply.content_type == file->type,
        "not %s", name);
}

static void check_not_found(const char *target, const char *headers) {
  CHECK(get(target, headers) == 404, "%s with %s: %d", target, headers, reply.status);
  check_body("{\"text\":\"there is no such endpoint\"}");
}

static void a_browser_gets_the_page(void **state) {
  (void)state;
  static const char *const wanted[] = {
      AS_BROWSER,
      "Accept: text/html\n",
      "Accept: TEXT/HTML;q=0.1\n",
      "Accept: application/json\nAccept: text/html ; level=1\n",
      "Accept: text/html;q=1\n",
      "Accept: text/html;q=\n",
      "Accept: text/html;q\n",
      "Accept: text/html;p=0\n",
      "Accept: text/html;x=0\n",
      "Accept: text/html;q:0\n",
      "Accept: text/html;q=01\n",
      "Accept: text/html;",
      "Accept: text/html;q",
      "Accept: text/html;q=",
  };
  static const char *const unwanted[] = {
      "",
      "Accept: */*\n",
      "Accept: text/*\n",
      "Accept: application/json\n",
      "Accept: text/html;q=0, */*\n",
      "Accept: text/html ; Q=0.000\n",
      "Accept: text/htmlx\n",
      "Accept: ;text/html\n",
      "Accept: \n",
  };
  for (size_t i = 0; i < COUNT(wanted); i++) {
    CHECK(get("/", wanted[i]) == 200, "%s: %d", wanted[i], reply.status);
    check_file("index.html");
    check_header("Vary: Accept\r\n");
    check_header("Cross-Origin-Opener-Policy: same-origin\r\n");
  }
  for (size_t i = 0; i < COUNT(unwanted); i++) check_not_found("/", unwanted[i]);
  assert_int_equal(post("/", AS_BROWSER, ""), 405);
  assert_int_equal(fixture_ask("OPTIONS", "/", "", ""), 204);
}

static void each_file_of_the_folder_is_served(void **state) {
  (void)state;
  size_t count = 0, served = 0;
  DIR *folder = opendir("src/page");
  assert_non_null(folder);
  const struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    const char *dot = strrchr(entry->d_name, '.');
    if (dot == NULL || entry->d_name[0] == '.' || strcmp(dot, ".c") == 0 ||
        strcmp(dot, ".h") == 0) {
      continue;
    }
    CHECK(st_page_files_find(st_text(entry->d_name)) != NULL, "%s is not in files.c",
          entry->d_name);
    count++;
  }
  closedir(folder);
  for (const st_page_file *file; (file = st_page_files_at(served)) != NULL; served++) {
    static char copy[1 << 20];
    char target[128], path[128];
    snprintf(target, sizeof target, "/page/%s", file->name);
    assert_int_equal(get(target, ""), 200);
    check_file(file->name);
    snprintf(path, sizeof path, "src/page/%s", file->name);
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    size_t len = fread(copy, 1, sizeof copy, stream);
    assert_int_equal(fclose(stream), 0);
    CHECK(len == reply.payload.len && memcmp(copy, reply.payload.data, len) == 0,
          "%s is another file", file->name);
  }
  assert_int_equal(served, count);
}

static void what_is_no_file_is_not_found(void **state) {
  (void)state;
  static const char *const targets[] = {
      "/page/none.js",       "/page/index",          "/page/main.jsx", "/page/main.js/",
      "/page/../main.js",    "/page/%6dain.js",      "/page/Main.js",  "/page/files.c",
      "/page//main.js/more", "/page/main.js%00.css", "/page"};
  for (size_t i = 0; i < COUNT(targets); i++) check_not_found(targets[i], "");
}

static void the_page_may_load_nothing_but_its_own(void **state) {
  (void)state;
  static const char *const targets[] = {"/", "/page/main.js", "/page/icon.svg"};
  for (size_t i = 0; i < COUNT(targets); i++) {
    assert_int_equal(get(targets[i], AS_BROWSER), 200);
    check_header("Content-Security-Policy: default-src 'none'; script-src 'self'; ");
    check_header("base-uri 'none'; form-action 'none'; frame-ancestors 'none'; ");
    check_header("Referrer-Policy: no-referrer\r\n");
    check_header("X-Frame-Options: DENY\r\n");
    reply.headers[reply.headers_len] = '\0';
    assert_null(strstr(reply.headers, "unsafe"));
    assert_null(strstr(reply.headers, "*"));
    assert_string_equal(reply.cache_control, "no-cache");
  }
}

static void what_a_browser_has_is_not_sent_again(void **state) {
  (void)state;
  char known[96];
  snprintf(known, sizeof known, "If-None-Match: \"x\", W/\"%s\"\n", st_page_files_tag());
  assert_int_equal(get("/page/main.js", known), 304);
  assert_null(reply.payload.data);
  assert_int_equal(reply.body_len, 0);
  check_header("ETag: \"");
  assert_int_equal(get("/page/main.js", "If-None-Match: \"0\"\n"), 200);
}

static void the_folder_leads_to_the_page(void **state) {
  (void)state;
  assert_int_equal(get("/page/", AS_BROWSER), 308);
  check_header("Location: ../\r\n");
}

static void the_settings_are_told(void **state) {
  (void)state;
  assert_int_equal(get("/page/settings.json", ""), 200);
  check_body("{\"version\":\"" SUBTOKEN_VERSION
             "\",\"registration\":\"closed\",\"permission_texts\":{},"
             "\"default_life\":2592000,\"max_life\":31536000}");
  settings.registration_open = true;
  snprintf(settings.permission_texts, sizeof settings.permission_texts, "{\"docs\":\"Read\"}");
  snprintf(settings.issuer, sizeof settings.issuer, "https://auth.example.com");
  assert_int_equal(get("/page/settings.json", ""), 200);
  check_body("{\"version\":\"" SUBTOKEN_VERSION
             "\",\"registration\":\"open\",\"permission_texts\":{\"docs\":\"Read\"},"
             "\"default_life\":2592000,\"max_life\":31536000,"
             "\"issuer\":\"https://auth.example.com\"}");
}

/* The longest that the settings file can give fits into a reply. */
static void the_longest_settings_are_told(void **state) {
  (void)state;
  char *text = settings.permission_texts;
  memset(text, 'x', ST_PERMISSION_TEXTS_MAX);
  memcpy(text, "{\"docs\":\"", 9);
  memcpy(text + ST_PERMISSION_TEXTS_MAX - 2, "\"}", 3);
  memset(settings.issuer, 'i', ST_ISSUER_MAX);
  settings.issuer[ST_ISSUER_MAX] = '\0';
  assert_int_equal(get("/page/settings.json", ""), 200);
  assert_true(reply.body_len > ST_PERMISSION_TEXTS_MAX + ST_ISSUER_MAX);
}

static void it_can_be_off(void **state) {
  (void)state;
  settings.page = false;
  check_not_found("/", AS_BROWSER);
  check_not_found("/page/", AS_BROWSER);
  check_not_found("/page/main.js", AS_BROWSER);
  check_not_found("/page/settings.json", AS_BROWSER);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_browser_gets_the_page, fixture_set_up),
      cmocka_unit_test_setup(each_file_of_the_folder_is_served, fixture_set_up),
      cmocka_unit_test_setup(what_is_no_file_is_not_found, fixture_set_up),
      cmocka_unit_test_setup(the_page_may_load_nothing_but_its_own, fixture_set_up),
      cmocka_unit_test_setup(what_a_browser_has_is_not_sent_again, fixture_set_up),
      cmocka_unit_test_setup(the_folder_leads_to_the_page, fixture_set_up),
      cmocka_unit_test_setup(the_settings_are_told, fixture_set_up),
      cmocka_unit_test_setup(the_longest_settings_are_told, fixture_set_up),
      cmocka_unit_test_setup(it_can_be_off, fixture_set_up),
  };
  return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
