/* The urls parameter and the bodies of createsubtoken. The first byte says where
 * the rest stands: behind `urls=` in a query, as a query, as a form body, as JSON.
 * What is accepted and narrowed must read again to the same urls.
 */
#include "base/json.h"
#include "core/claims.h"
#include "core/paths.h"
#include "fuzz.h"
#include "service/params.h"

#define NOW INT64_C(1700000000)
#define EMPTY ((subtoken_text){"", 0})

static bool starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void check_refused(const st_params *params) {
  const char *error = params->error;
  HOLD(starts_with(error, "expire: ") || starts_with(error, "permissions: ") ||
       starts_with(error, "urls: ") || starts_with(error, "audience: ") ||
       starts_with(error, "body: ") || starts_with(error, "query: "));
  for (; *error != '\0'; error++) HOLD(*error >= ' ' && *error < 0x7F);
}

static bool same_text(const subtoken_text *a, const subtoken_text *b, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!st_text_equal(a[i], b[i])) return false;
  }
  return true;
}

static bool same_ask(const st_params *a, const st_params *b) {
  return a->request.has_expire == b->request.has_expire && a->request.expire == b->request.expire &&
         a->request.has_urls == b->request.has_urls &&
         a->request.url_count == b->request.url_count &&
         a->request.permission_count == b->request.permission_count &&
         st_text_equal(a->request.audience, b->request.audience) &&
         same_text(a->urls, b->urls, a->request.url_count) &&
         same_text(a->permissions, b->permissions, a->request.permission_count);
}

static subtoken_result narrow(const subtoken_issue_request *request, subtoken_claims *child) {
  static subtoken_claims grant;
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  if (grant.exp == 0) {
    grant.exp = SUBTOKEN_TIME_MAX;
    grant.every_url = true;
    HOLD(st_claims_set_sub(&grant, ST_TEXT("parent")));
    HOLD(st_claims_add_permission(&grant, ST_TEXT("account")));
    HOLD(st_claims_add_permission(&grant, ST_TEXT("guilds")));
  }
  return subtoken_narrow(&grant, request, &limits, NOW, child, NULL);
}

static void check_same_urls(const subtoken_claims *a, const subtoken_claims *b) {
  HOLD(a->every_url == b->every_url && a->url_count == b->url_count);
  for (size_t i = 0; i < a->url_count; i++) {
    HOLD(st_text_equal(subtoken_claims_text(a, a->urls[i]), subtoken_claims_text(b, b->urls[i])));
  }
}

static void check_canonical(subtoken_text url) {
  static st_entry entry;
  char again[SUBTOKEN_URL_MAX + 1];
  st_writer writer = st_writer_on(again, sizeof again);
  HOLD(st_paths_read_entry(url, &entry) == SUBTOKEN_FAULT_NONE);
  st_paths_write_entry(&writer, &entry);
  HOLD(st_text_equal(url, (subtoken_text){again, writer.len}));
}

/* Asked for again as JSON, item by item. */
static void check_again_as_json(const subtoken_claims *child) {
  static st_params params;
  static subtoken_claims again;
  static char body[4 * SUBTOKEN_TOKEN_MAX];
  st_writer writer = st_writer_on(body, sizeof body);
  for (size_t i = 0; i < child->url_count; i++) {
    st_write_literal(&writer, i == 0 ? "{\"urls\":[" : ",");
    st_json_write_string(&writer, subtoken_claims_text(child, child->urls[i]));
  }
  st_write_literal(&writer, "]}");
  HOLD(!writer.overflow);
  HOLD(st_params_read(&params, EMPTY, ST_BODY_JSON, (subtoken_text){body, writer.len}));
  HOLD(narrow(&params.request, &again) == SUBTOKEN_OK);
  check_same_urls(child, &again);
}

static void write_form(st_writer *writer, subtoken_text text) {
  static const char hex[] = "0123456789abcdef";
  for (size_t i = 0; i < text.len; i++) {
    uint8_t byte = (uint8_t)text.data[i];
    char escape[3] = {'%', hex[byte >> 4], hex[byte & 15]};
    st_write(writer, escape, sizeof escape);
  }
}

/* And as a form, every byte escaped; a comma within an item is escaped twice. */
static void check_again_as_form(const subtoken_claims *child) {
  static st_params params;
  static subtoken_claims again;
  static char body[12 * SUBTOKEN_TOKEN_MAX];
  st_writer writer = st_writer_on(body, sizeof body);
  st_write_literal(&writer, "urls=");
  for (size_t i = 0; i < child->url_count; i++) {
    if (i > 0) write_form(&writer, ST_TEXT(","));
    st_cutter cutter = {subtoken_claims_text(child, child->urls[i]), false};
    subtoken_text piece;
    for (bool first = true; st_cut(&cutter, ',', &piece); first = false) {
      if (!first) write_form(&writer, ST_TEXT("%2C"));
      write_form(&writer, piece);
    }
  }
  HOLD(!writer.overflow);
  HOLD(st_params_read(&params, EMPTY, ST_BODY_FORM, (subtoken_text){body, writer.len}));
  if (params.request.url_count < child->url_count) HOLD(false);
  if (narrow(&params.request, &again) == SUBTOKEN_OK) {
    check_same_urls(child, &again);
  } else {
    /* Only an entry that grew past its limit by those escapes may be refused. */
    bool grew = false;
    for (size_t i = 0; i < params.request.url_count; i++)
      grew |= params.urls[i].len > SUBTOKEN_URL_MAX;
    HOLD(grew);
  }
}

static void check_accepted(const st_params *params) {
  static subtoken_claims child;
  HOLD(params->error[0] == '\0');
  HOLD(params->request.permission_count <= SUBTOKEN_PERMISSIONS_MAX);
  HOLD(params->request.url_count <= SUBTOKEN_URLS_MAX);
  HOLD(params->request.has_urls == (params->request.url_count > 0));
  subtoken_text audience = params->request.audience;
  HOLD(audience.data == NULL || subtoken_audience_valid(audience));
  if (narrow(&params->request, &child) != SUBTOKEN_OK) return;
  HOLD(child.every_url == !params->request.has_urls);
  HOLD((child.aud.len > 0) == (audience.data != NULL));
  HOLD(audience.data == NULL || subtoken_claims_has_audience(&child, audience));
  for (size_t i = 0; i < child.permission_count; i++) {
    subtoken_text name = subtoken_claims_text(&child, child.permissions[i]);
    HOLD(st_text_is(name, "account") || st_text_is(name, "guilds"));
  }
  if (child.url_count == 0) return;
  for (size_t i = 0; i < child.url_count; i++) {
    check_canonical(subtoken_claims_text(&child, child.urls[i]));
  }
  check_again_as_json(&child);
  check_again_as_form(&child);
}

/* A query and a form body are read alike, but that nothing known in a form is refused. */
static void check_alike(const st_params *params, bool good, subtoken_text pairs) {
  static st_params other;
  bool other_good = st_params_read(&other, EMPTY, ST_BODY_FORM, pairs);
  if (good && params->seen == 0 && pairs.len > 0) {
    HOLD(!other_good && starts_with(other.error, "body: "));
    return;
  }
  HOLD(good == other_good);
  if (!starts_with(params->error, "query: ")) HOLD(strcmp(params->error, other.error) == 0);
  if (good) HOLD(same_ask(params, &other));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static st_params params;
  if (size < 1 || size > ST_REQUEST_BODY_MAX - 8) return 0;
  unsigned mode = data[0] % 4;
  const char *prefix = mode == 0 ? "urls=" : "";
  size_t len = strlen(prefix) + size - 1;
  char *copy = malloc(len + 1); /* one more, as malloc(0) may be NULL */
  if (copy == NULL) abort();
  memcpy(copy, prefix, strlen(prefix));
  memcpy(copy + strlen(prefix), data + 1, size - 1);
  subtoken_text text = {copy, len};
  bool good = mode == 3   ? st_params_read(&params, EMPTY, ST_BODY_JSON, text)
              : mode == 2 ? st_params_read(&params, EMPTY, ST_BODY_FORM, text)
                          : st_params_read(&params, text, ST_BODY_NONE, EMPTY);
  if (mode < 2) check_alike(&params, good, text);
  if (good) {
    check_accepted(&params);
  } else {
    check_refused(&params);
  }
  free(copy);
  return 0;
}
