/* POST /v2/previewsubtoken: what a subtoken would be worth, and all that is wrong with what is
 * asked for, by the functions that make one (issuing.c, core/narrow.c). Nothing is made. A url is
 * looked at by itself, so that each is told of; then what is left is tried together.
 */
#include "base/impossible.h"
#include "base/json.h"
#include "core/claims.h"
#include "service/authenticate.h"
#include "service/claims_json.h"
#include "service/endpoints.h"
#include "service/issuing.h"
#include "service/params.h"
#include "service/reply.h"
#include "service/request.h"

#define ITEM_SHOWN 128                   /* bytes of an item that are repeated */
#define ITEM_ROOM (6 * ITEM_SHOWN + 512) /* that an item and what is said of it take, escaped */
#define LEFT_OUT_ROOM (ST_REPLY_BODY_MAX / 4)

/* Of one of the urls. */
typedef struct preview_url {
  subtoken_result result;
  subtoken_fault fault;
} preview_url;

typedef struct preview {
  st_context *context;
  const st_identity *identity;
  st_params *params;
  subtoken_issue_request good; /* what is asked for, without what is refused */
  subtoken_text good_urls[SUBTOKEN_URLS_MAX];
  preview_url urls[SUBTOKEN_URLS_MAX];
  bool past; /* the expiry is refused */
  bool wider_audience;
  subtoken_result together;      /* of what is left */
  subtoken_narrow_report report; /* with it */
  subtoken_claims child;
  st_writer writer;
  bool first, full; /* of the problems */
  bool left_out_full;
} preview;

/* ---- what is wrong ---- */

static subtoken_result preview_narrow(preview *p, const subtoken_issue_request *request) {
  const st_settings *settings = p->context->service->settings;
  subtoken_limits limits = {sizeof limits, settings->default_life, settings->max_life};
  p->report = (subtoken_narrow_report)SUBTOKEN_NARROW_REPORT_DEFAULT;
  return subtoken_narrow(&p->identity->grant, request, &limits, p->context->request->now, &p->child,
                         &p->report);
}

static void preview_try_urls(preview *p) {
  const subtoken_issue_request *asked = &p->params->request;
  for (size_t i = 0; i < asked->url_count; i++) {
    subtoken_issue_request one = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
    one.has_urls = true;
    one.urls = &asked->urls[i];
    one.url_count = 1;
    p->urls[i] = (preview_url){preview_narrow(p, &one), p->report.fault};
    if (p->urls[i].result == SUBTOKEN_OK) p->good_urls[p->good.url_count++] = asked->urls[i];
  }
  p->good.urls = p->good_urls;
  p->good.has_urls = p->good.url_count > 0;
}

static void preview_try_expire(preview *p) {
  subtoken_issue_request one = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  if (!p->params->request.has_expire) return;
  one.has_expire = true;
  one.expire = p->params->request.expire;
  p->past = preview_narrow(p, &one) == SUBTOKEN_EXPIRE_PAST;
  p->good.has_expire = !p->past;
  p->good.expire = one.expire;
}

static void preview_try_audience(preview *p) {
  subtoken_issue_request one = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  one.audience = p->params->request.audience;
  p->wider_audience = preview_narrow(p, &one) == SUBTOKEN_AUD_WIDER;
  if (!p->wider_audience) p->good.audience = one.audience;
}

/* What is left, and then without the urls: for what can be told all the same. */
static void preview_try_together(preview *p) {
  p->good.permissions = p->params->request.permissions;
  p->good.permission_count = p->params->request.permission_count;
  p->together = preview_narrow(p, &p->good);
  if (p->together == SUBTOKEN_OK) {
    p->together = st_issuing_try(p->context->service, &p->identity->key, &p->child);
    return;
  }
  subtoken_narrow_report report = p->report;
  p->good.has_urls = false;
  subtoken_result rest = preview_narrow(p, &p->good);
  if (st_impossible(rest != SUBTOKEN_OK, "each of the rest is good, and there is room")) return;
  p->report = report;
}

/* ---- the answer ---- */

/* An item as it was asked for, cut behind a whole character. */
static void preview_write_item(st_writer *writer, subtoken_text item) {
  if (item.len > ITEM_SHOWN) {
    item.len = ITEM_SHOWN;
    while (item.len > 0 && ((uint8_t)item.data[item.len] & 0xC0) == 0x80) item.len--;
  }
  st_json_write_string(writer, item);
}

static bool preview_asked_before(const subtoken_issue_request *asked, size_t at) {
  for (size_t i = 0; i < at; i++) {
    if (st_text_equal(asked->permissions[i], asked->permissions[at])) return true;
  }
  return false;
}

/* Permissions that the credential lacks, or that are none. */
static void preview_write_left_out(preview *p) {
  const subtoken_issue_request *asked = &p->params->request;
  st_writer *writer = &p->writer;
  size_t begin = writer->len;
  bool first = true;
  st_write_literal(writer, ",\"left_out\":[");
  for (size_t i = 0; i < asked->permission_count; i++) {
    if (st_claims_has_permission(&p->identity->grant, asked->permissions[i]) ||
        preview_asked_before(asked, i)) {
      continue;
    }
    p->left_out_full = writer->len - begin > LEFT_OUT_ROOM;
    if (p->left_out_full) break;
    if (!first) st_write_char(writer, ',');
    preview_write_item(writer, asked->permissions[i]);
    first = false;
  }
  st_write_char(writer, ']');
}

/* Would createsubtoken make it? */
static bool preview_is_good(const preview *p) {
  return p->together == SUBTOKEN_OK && p->params->problem_count == 0 && !p->past &&
         !p->wider_audience && p->good.url_count == p->params->request.url_count;
}

static void preview_write_worth(preview *p) {
  st_writer *writer = &p->writer;
  st_write_literal(writer, preview_is_good(p) ? "{\"ok\":true" : "{\"ok\":false");
  st_claims_json_permissions(writer, &p->child);
  preview_write_left_out(p);
  if (p->params->request.has_urls || !p->identity->grant.every_url) {
    if (!p->child.every_url) {
      st_claims_json_urls(writer, &p->child);
    } else {
      st_write_literal(writer, ",\"urls\":[]");
    }
  }
  st_claims_json_time(writer, "expires_at", p->child.exp);
  st_write_literal(writer,
                   p->report.clamped ? ",\"brought_down\":true" : ",\"brought_down\":false");
  st_claims_json_audience(writer, &p->child);
}

static bool preview_begin_problem(preview *p, const char *parameter, size_t len) {
  st_writer *writer = &p->writer;
  p->full = writer->len + ITEM_ROOM > writer->size;
  if (p->full) return false;
  if (!p->first) st_write_char(writer, ',');
  p->first = false;
  st_write_literal(writer, "{\"parameter\":");
  if (len == 0) {
    st_write_literal(writer, "null");
  } else {
    st_json_write_string(writer, (subtoken_text){parameter, len});
  }
  return true;
}

static void preview_end_problem(preview *p, const char *text) {
  st_write_literal(&p->writer, ",\"text\":");
  st_json_write_string(&p->writer, st_text(text));
  st_write_char(&p->writer, '}');
}

static void preview_write_problem(preview *p, const char *parameter, const char *text) {
  if (preview_begin_problem(p, parameter, strlen(parameter))) preview_end_problem(p, text);
}

static void preview_write_url_problem(preview *p, size_t at) {
  const preview_url *url = &p->urls[at];
  if (!preview_begin_problem(p, "urls", sizeof "urls" - 1)) return;
  st_write_literal(&p->writer, ",\"index\":");
  st_write_int(&p->writer, (int64_t)at);
  st_write_literal(&p->writer, ",\"item\":");
  preview_write_item(&p->writer, p->params->request.urls[at]);
  preview_end_problem(p, url->result == SUBTOKEN_BAD_URL ? subtoken_fault_text(url->fault)
                                                         : "the parent does not allow it");
}

/* The name of a parameter stands at the front of a sentence about it, with a colon and a blank. */
static void preview_write_sentence(preview *p, subtoken_result result) {
  char error[ST_ISSUING_ERROR_MAX];
  st_issuing_explain(result, &p->report, error);
  subtoken_text text = st_text(error);
  size_t name = st_text_span(text, ST_CHAR_NAME);
  bool named = text.data[name] == ':';
  if (preview_begin_problem(p, error, named ? name : 0)) {
    preview_end_problem(p, named ? error + name + 2 : error);
  }
}

static void preview_write_problems(preview *p) {
  const st_params *params = p->params;
  st_write_literal(&p->writer, ",\"problems\":[");
  for (size_t i = 0; i < params->problem_count; i++) {
    preview_write_problem(p, params->problems[i].parameter, params->problems[i].text);
  }
  if (p->past) preview_write_sentence(p, SUBTOKEN_EXPIRE_PAST);
  if (p->wider_audience) preview_write_sentence(p, SUBTOKEN_AUD_WIDER);
  for (size_t i = 0; i < params->request.url_count; i++) {
    if (p->urls[i].result != SUBTOKEN_OK) preview_write_url_problem(p, i);
  }
  if (p->together != SUBTOKEN_OK) preview_write_sentence(p, p->together);
  st_write_literal(&p->writer, p->full || p->left_out_full ? "],\"more\":true}" : "]}");
}

/* A parent that can make nothing now is the same for whatever is asked for. */
static const st_problem *preview_check_parent(preview *p) {
  char error[ST_ISSUING_ERROR_MAX];
  subtoken_issue_request nothing = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  subtoken_result result = preview_narrow(p, &nothing);
  if (result == SUBTOKEN_OK) return NULL;
  st_issuing_explain(result, &p->report, error);
  return st_problem_make(&p->context->problem, st_issuing_status(result), "bad_request", error);
}

static const st_problem *preview_answer(st_context *c, const st_identity *identity,
                                        st_params *params) {
  preview p;
  memset(&p, 0, offsetof(preview, child));
  p.context = c;
  p.identity = identity;
  p.params = params;
  p.good = (subtoken_issue_request)SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  p.first = true;
  p.full = p.left_out_full = false;
  const st_problem *problem = preview_check_parent(&p);
  if (problem != NULL) return problem;
  preview_try_urls(&p);
  preview_try_expire(&p);
  preview_try_audience(&p);
  preview_try_together(&p);
  p.writer = st_reply_begin(c->reply);
  preview_write_worth(&p);
  preview_write_problems(&p);
  st_reply_end(c->reply, 200, &p.writer);
  return NULL;
}

const st_problem *st_preview_answer(st_context *c) {
  st_identity identity;
  st_params params;
  st_body_kind kind;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem != NULL) return problem;
  if (!st_request_params_kind(c->request, &kind)) {
    return st_problem_make(
        &c->problem, 415, "bad_request",
        "Content-Type: must be application/json or application/x-www-form-urlencoded");
  }
  if (st_params_read_all(&params, c->query, kind, c->request->body)) {
    problem = preview_answer(c, &identity, &params);
  } else {
    problem = st_problem_make(&c->problem, 400, "bad_request", params.error);
  }
  st_params_wipe(&params);
  return problem;
}
