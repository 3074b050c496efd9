/* subtoken_narrow: the claims of a child, which never allow more than those of the parent. issue.c
 * signs them. tests/unit/test_property.c tries random chains of it.
 */
#include "base/impossible.h"
#include "core/claims.h"
#include "core/paths.h"
#include "core/sized.h"
#include "subtoken/issue.h"

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static subtoken_result narrow_life(const subtoken_claims *parent,
                                   const subtoken_issue_request *request,
                                   const subtoken_limits *limits, int64_t now,
                                   subtoken_claims *child, subtoken_narrow_report *report) {
  if (parent->exp <= now) return SUBTOKEN_PARENT_EXPIRED;
  if (parent->nbf > now) return SUBTOKEN_NOT_YET;
  if (request->has_expire && request->expire <= now) return SUBTOKEN_EXPIRE_PAST;
  int64_t wanted = request->has_expire ? request->expire : now + limits->default_life;
  child->iat = now;
  child->exp = smaller(smaller(wanted, parent->exp), now + limits->max_life);
  report->clamped = request->has_expire && child->exp < wanted;
  return SUBTOKEN_OK;
}

static subtoken_result narrow_permissions(const subtoken_claims *parent,
                                          const subtoken_issue_request *request,
                                          subtoken_claims *child, subtoken_narrow_report *report) {
  if (request->permission_count > SUBTOKEN_PERMISSIONS_MAX) return SUBTOKEN_TOO_MANY_PERMISSIONS;
  for (size_t i = 0; i < request->permission_count; i++) {
    subtoken_text permission = request->permissions[i];
    if (!st_claims_has_permission(parent, permission)) {
      report->dropped++;
    } else if (!st_claims_has_permission(child, permission) &&
               !st_claims_add_permission(child, permission)) {
      return SUBTOKEN_TOO_LARGE;
    }
  }
  return SUBTOKEN_OK;
}

/* A parent whose aud is of another form than ours has no children: a child would be taken where the
 * parent is not. */
static subtoken_result narrow_audience(const subtoken_claims *parent,
                                       const subtoken_issue_request *request,
                                       subtoken_claims *child) {
  size_t at = 0;
  subtoken_text given = subtoken_claims_audience(parent, &at), asked = request->audience;
  if (asked.data != NULL && !subtoken_audience_valid(asked)) return SUBTOKEN_BAD_AUD;
  if (parent->aud.len > 0) {
    subtoken_text wanted = asked.data != NULL ? asked : given;
    if (given.data == NULL || !subtoken_audience_valid(given) ||
        !st_claims_only_audience(parent, wanted)) {
      return SUBTOKEN_AUD_WIDER;
    }
    asked = given;
  }
  return asked.data == NULL || st_claims_set_aud(child, asked) ? SUBTOKEN_OK : SUBTOKEN_TOO_LARGE;
}

static subtoken_result narrow_via(const subtoken_claims *parent, subtoken_claims *child) {
  if (parent->tid.len == 0) return SUBTOKEN_OK;
  if (parent->via_count >= SUBTOKEN_VIA_MAX) return SUBTOKEN_TOO_DEEP;
  for (size_t i = 0; i < parent->via_count; i++) {
    if (!st_claims_add_via(child, subtoken_claims_text(parent, parent->via[i]))) {
      return SUBTOKEN_TOO_LARGE;
    }
  }
  return st_claims_add_via(child, subtoken_claims_text(parent, parent->tid)) ? SUBTOKEN_OK
                                                                             : SUBTOKEN_TOO_LARGE;
}

static bool parent_covers(const subtoken_claims *parent, const st_entry *entry) {
  st_entry outer;
  if (parent->every_url) return true;
  for (size_t i = 0; i < parent->url_count; i++) {
    subtoken_text url = subtoken_claims_text(parent, parent->urls[i]);
    if (st_paths_read_entry(url, &outer) == SUBTOKEN_FAULT_NONE &&
        st_paths_match_covers(&outer, entry)) {
      return true;
    }
  }
  return false;
}

/* Adds the canonical text of an entry, unless the child has it. */
static bool add_entry(subtoken_claims *child, const st_entry *entry) {
  char canonical[SUBTOKEN_URL_MAX + 1];
  st_writer writer = st_writer_on(canonical, sizeof canonical);
  st_paths_write_entry(&writer, entry);
  if (st_impossible(!st_writer_end(&writer), "it is read only if its text fits")) return false;
  subtoken_text url = {canonical, writer.len};
  return st_claims_has_url(child, url) || st_claims_add_url(child, url);
}

static subtoken_result narrow_urls(const subtoken_claims *parent,
                                   const subtoken_issue_request *request, subtoken_claims *child,
                                   subtoken_narrow_report *report) {
  st_entry entry;
  if (!request->has_urls && parent->every_url) {
    child->every_url = true;
    return SUBTOKEN_OK;
  }
  size_t count = request->has_urls ? request->url_count : parent->url_count;
  if (count == 0 || count > SUBTOKEN_URLS_MAX) return SUBTOKEN_TOO_MANY_URLS;
  for (size_t i = 0; i < count; i++) {
    subtoken_text url =
        request->has_urls ? request->urls[i] : subtoken_claims_text(parent, parent->urls[i]);
    report->url = i;
    report->fault = st_paths_read_entry(url, &entry);
    if (report->fault != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_URL;
    if (request->has_urls && !parent_covers(parent, &entry)) return SUBTOKEN_URL_WIDER;
    if (!add_entry(child, &entry)) return SUBTOKEN_TOO_LARGE;
  }
  return SUBTOKEN_OK;
}

static bool life_valid(int64_t life) {
  return life >= 1 && life <= SUBTOKEN_TIME_MAX / 2;
}

static bool narrow_args_valid(const subtoken_claims *parent, const subtoken_issue_request *request,
                              const subtoken_limits *limits, int64_t now,
                              const subtoken_claims *child) {
  return parent != child && request != NULL && limits != NULL && st_claims_in_bounds(parent) &&
         (request->permissions != NULL || request->permission_count == 0) &&
         (request->urls != NULL || request->url_count == 0) && now >= 0 &&
         now <= SUBTOKEN_TIME_MAX / 2 && life_valid(limits->default_life) &&
         life_valid(limits->max_life);
}

static subtoken_result narrow_claims(const subtoken_claims *parent,
                                     const subtoken_issue_request *request,
                                     const subtoken_limits *limits, int64_t now,
                                     subtoken_claims *child, subtoken_narrow_report *report) {
  memset(child, 0, offsetof(subtoken_claims, text));
  subtoken_result result = narrow_life(parent, request, limits, now, child, report);
  bool fits = st_claims_set_sub(child, subtoken_claims_text(parent, parent->sub));
  if (st_impossible(!fits, "the sub of a parent fits an empty child")) return SUBTOKEN_TOO_LARGE;
  if (result == SUBTOKEN_OK) result = narrow_permissions(parent, request, child, report);
  if (result == SUBTOKEN_OK) result = narrow_urls(parent, request, child, report);
  if (result == SUBTOKEN_OK) result = narrow_audience(parent, request, child);
  if (result == SUBTOKEN_OK) result = narrow_via(parent, child);
  return result;
}

subtoken_result subtoken_narrow(const subtoken_claims *parent,
                                const subtoken_issue_request *request,
                                const subtoken_limits *limits, int64_t now, subtoken_claims *child,
                                subtoken_narrow_report *report) {
  subtoken_issue_request request_copy;
  subtoken_limits limits_copy;
  subtoken_narrow_report made = SUBTOKEN_NARROW_REPORT_DEFAULT;
  subtoken_result result = SUBTOKEN_INVALID_ARGUMENT;
  if (child == NULL) return result;
  bool report_fits =
      report == NULL ||
      st_sized_fits(report->size, offsetof(subtoken_narrow_report, url), sizeof *report);
  request = st_sized_issue_request(request, &request_copy);
  limits = st_sized_limits(limits, &limits_copy);
  if (report_fits && narrow_args_valid(parent, request, limits, now, child)) {
    result = narrow_claims(parent, request, limits, now, child, &made);
  }
  if (report != NULL && report_fits) st_sized_copy(report, report->size, &made);
  if (result != SUBTOKEN_OK) memset(child, 0, sizeof *child);
  return result;
}
