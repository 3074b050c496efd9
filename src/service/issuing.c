/* Tokens made from a grant: narrowed (core/narrow.c), signed (core/issue.c), and for each way in
 * which that can fail a sentence. Whose grant it is, and how often it may be used, is decided
 * before.
 */
#include "service/issuing.h"

#include "base/bytes.h"
#include "base/impossible.h"
#include "core/claims.h"

#define ISSUING_TOO_DEEP \
  "made from too many subtokens, one after the other (maximum 8): use the key or an earlier one"

#define ISSUING_ALL_REVOKED                                                                     \
  "every token that could be made of this now has been revoked: ask again in a second, or for " \
  "one that lives longer"

/* A sentence for each way in which narrowing or signing can fail. */
void st_issuing_explain(subtoken_result result, const subtoken_narrow_report *report, char *error) {
  st_writer writer = st_writer_on(error, ST_ISSUING_ERROR_MAX);
  switch (result) {
    case SUBTOKEN_EXPIRE_PAST: st_write_literal(&writer, "expire: must be in the future"); break;
    case SUBTOKEN_PARENT_EXPIRED:
      st_write_literal(&writer, "the parent has expired and cannot make subtokens");
      break;
    case SUBTOKEN_NOT_YET:
      st_write_literal(&writer, "the parent is not valid yet and cannot make subtokens");
      break;
    case SUBTOKEN_TOO_MANY_PERMISSIONS:
      st_write_literal(&writer, "permissions: too many entries (maximum 64)");
      break;
    case SUBTOKEN_TOO_MANY_URLS: st_write_literal(&writer, "urls: must be 1 to 64 entries"); break;
    case SUBTOKEN_BAD_URL:
    case SUBTOKEN_URL_WIDER:
      st_write_literal(&writer, "urls: entry ");
      st_write_int(&writer, (int64_t)report->url + 1);
      st_write_literal(&writer, ": ");
      st_write_literal(&writer, result == SUBTOKEN_BAD_URL ? subtoken_fault_text(report->fault)
                                                           : "the parent does not allow it");
      break;
    case SUBTOKEN_AUD_WIDER:
      st_write_literal(&writer, "audience: must be that of the parent");
      break;
    case SUBTOKEN_BAD_KID:
      st_write_literal(&writer,
                       "audience: too long for the name of the signing secret: with a dot between "
                       "them they have 64 characters");
      break;
    case SUBTOKEN_TOO_DEEP: st_write_literal(&writer, ISSUING_TOO_DEEP); break;
    case SUBTOKEN_REVOKED: st_write_literal(&writer, ISSUING_ALL_REVOKED); break;
    case SUBTOKEN_TOO_LARGE:
      st_write_literal(&writer,
                       "urls: the subtoken would be longer than 4096 bytes; ask for fewer or "
                       "shorter permissions and urls");
      break;
    default:
      st_write_literal(&writer, "cannot make the subtoken: ");
      st_write_literal(&writer, subtoken_result_name(result));
  }
  if (st_impossible(!st_writer_end(&writer), "each sentence fits")) error[0] = '\0';
}

/* Claims of a second are the same token in that second, and may have been revoked in it. No store
 * is asked unless some token of the row was; what cannot be found out, who looks at the token does.
 */
static subtoken_result issuing_sign(const st_service *service, const st_key *row,
                                    subtoken_claims *claims, char *token) {
  const st_keys *keys = &service->keys;
  for (;;) {
    size_t len;
    bool revoked = false;
    subtoken_result result =
        subtoken_issue(service->ring, claims, token, SUBTOKEN_ISSUED_MAX + 1, &len);
    if (result != SUBTOKEN_OK || row->tokens_revoked == 0) return result;
    subtoken_text tid = {strrchr(token, '.') + 1, SUBTOKEN_TID_LEN};
    st_store_status found = keys->tokens_revoked(keys->store, &tid, 1, &revoked);
    if (found != ST_STORE_OK || !revoked) return SUBTOKEN_OK;
    if (--claims->exp <= claims->iat) return SUBTOKEN_REVOKED;
  }
}

subtoken_result st_issuing_subtoken(const st_service *service, const st_key *row,
                                    const subtoken_claims *grant,
                                    const subtoken_issue_request *request, int64_t now, char *token,
                                    subtoken_narrow_report *report, char *error) {
  subtoken_claims child;
  subtoken_limits limits = {sizeof limits, service->settings->default_life,
                            service->settings->max_life};
  subtoken_result result = subtoken_narrow(grant, request, &limits, now, &child, report);
  if (result == SUBTOKEN_OK) result = issuing_sign(service, row, &child, token);
  if (result != SUBTOKEN_OK) st_issuing_explain(result, report, error);
  return result;
}

subtoken_result st_issuing_try(const st_service *service, const st_key *row,
                               const subtoken_claims *claims) {
  char token[SUBTOKEN_ISSUED_MAX + 1];
  subtoken_claims copy = *claims;
  subtoken_result result = issuing_sign(service, row, &copy, token);
  subtoken_wipe(token, sizeof token);
  return result;
}

/* A clock before 1970 or an empty ring is nothing that the caller could mend. */
int st_issuing_status(subtoken_result result) {
  return result == SUBTOKEN_INVALID_ARGUMENT || result == SUBTOKEN_NO_SECRET ? 503 : 400;
}

static const st_problem *issuing_access_problem(subtoken_result result) {
  static const st_problem too_large = {
      .status = 400,
      .event = "issue_denied",
      .text = "the access token would be longer than 4096 bytes: too many permissions and urls"};
  static const st_problem expired = {
      .status = 400, .event = "issue_denied", .text = "the credential has expired"};
  static const st_problem not_yet = {
      .status = 400, .event = "issue_denied", .text = "the credential is not valid yet"};
  static const st_problem too_deep = {
      .status = 400, .event = "issue_denied", .text = ISSUING_TOO_DEEP};
  static const st_problem all_revoked = {
      .status = 400, .event = "issue_denied", .text = ISSUING_ALL_REVOKED};
  static const st_problem kid = {.status = 400,
                                 .event = "issue_denied",
                                 .text = "audience: too long for the name of the signing secret"};
  static const st_problem failed = {
      .status = 400, .event = "issue_denied", .text = "the access token cannot be made"};
  static const st_problem unable = {
      .status = 503, .event = "issue_denied", .text = "the access token cannot be made"};
  switch (result) {
    case SUBTOKEN_TOO_LARGE: return &too_large;
    case SUBTOKEN_PARENT_EXPIRED: return &expired;
    case SUBTOKEN_NOT_YET: return &not_yet;
    case SUBTOKEN_TOO_DEEP: return &too_deep;
    case SUBTOKEN_REVOKED: return &all_revoked;
    case SUBTOKEN_BAD_KID: return &kid;
    default: return st_issuing_status(result) == 503 ? &unable : &failed;
  }
}

/* session: the token is that of the session whose row it is. */
static subtoken_result issuing_narrow_and_sign(const st_service *service, const st_key *row,
                                               const subtoken_claims *grant,
                                               const subtoken_issue_request *request, bool session,
                                               int64_t now, st_access_token *access) {
  subtoken_limits limits = {sizeof limits, service->settings->access_life,
                            service->settings->max_life};
  access->token[0] = '\0';
  subtoken_result result = subtoken_narrow(grant, request, &limits, now, &access->claims, NULL);
  if (result == SUBTOKEN_OK && session) {
    result = subtoken_claims_set_sid(&access->claims, st_text(row->id));
  }
  return result == SUBTOKEN_OK ? issuing_sign(service, row, &access->claims, access->token)
                               : result;
}

static const st_problem *issuing_access(const st_service *service, const st_key *row,
                                        const subtoken_claims *grant,
                                        const st_access_request *asked, bool session, int64_t now,
                                        st_access_token *access) {
  subtoken_text all[SUBTOKEN_PERMISSIONS_MAX];
  subtoken_issue_request request = {.size = sizeof request,
                                    .permissions = asked->scope,
                                    .permission_count = asked->scope_count,
                                    .audience = asked->audience};
  if (asked->scope == NULL) {
    for (size_t i = 0; i < grant->permission_count; i++) {
      all[i] = subtoken_claims_text(grant, grant->permissions[i]);
    }
    request.permissions = all;
    request.permission_count = grant->permission_count;
  }
  subtoken_result result =
      issuing_narrow_and_sign(service, row, grant, &request, session, now, access);
  return result == SUBTOKEN_OK ? NULL : issuing_access_problem(result);
}

const st_problem *st_issuing_access_token(const st_service *service, const st_key *row,
                                          const subtoken_claims *grant, const subtoken_text *scope,
                                          size_t scope_count, int64_t now,
                                          st_access_token *access) {
  st_access_request asked = {.scope = scope, .scope_count = scope_count};
  return issuing_access(service, row, grant, &asked, false, now, access);
}

const st_problem *st_issuing_requested_token(const st_service *service, const st_key *row,
                                             const subtoken_claims *grant,
                                             const st_access_request *asked, int64_t now,
                                             st_access_token *access) {
  return issuing_access(service, row, grant, asked, false, now, access);
}

const st_problem *st_issuing_session_token(const st_service *service, const st_key *session,
                                           const subtoken_text *scope, size_t scope_count,
                                           int64_t now, st_access_token *access) {
  subtoken_claims grant;
  st_access_request asked = {.scope = scope, .scope_count = scope_count};
  if (!st_key_grant(session, &grant)) return issuing_access_problem(SUBTOKEN_TOO_LARGE);
  return issuing_access(service, session, &grant, &asked, true, now, access);
}
