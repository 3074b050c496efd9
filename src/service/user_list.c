/* GET /v1/user: the users in the order of their names, in pages; those whose name has a text in it.
 * One page looks at a bounded number of them, and says where to go on.
 */
#include "base/json.h"
#include "domain/store_search.h"
#include "domain/user_json.h"
#include "service/endpoints.h"
#include "service/reply.h"
#include "service/request.h"
#include "service/user_manager.h"

#define USERS_PAGE_MAX 100
#define USERS_PAGE_DEFAULT 50
#define USERS_BATCH 8                     /* asked of the store at a time: 6 KiB each */
#define USERS_TAIL (32 + 6 * ST_NAME_MAX) /* bytes of a body that are kept for its end */

_Static_assert(ST_USER_JSON_MAX + 64 < ST_REPLY_BODY_MAX - USERS_TAIL, "one user fits a body");

/* A page as it grows. */
typedef struct users_page {
  st_writer writer;
  size_t left; /* users that are wanted */
  bool full, more;
  char last[ST_NAME_MAX + 1];
} users_page;

/* The user whole, or not at all. */
static void users_page_add(const st_context *c, users_page *p, const st_user *user) {
  size_t mark = p->writer.len;
  if (p->writer.out[mark - 1] == '}') st_write_char(&p->writer, ',');
  st_user_json_write(&p->writer, user, c->request->now);
  p->full = p->writer.overflow;
  if (p->full) {
    p->writer.len = mark;
    p->writer.overflow = false;
    return;
  }
  memcpy(p->last, user->key.owner, sizeof p->last);
  p->left--;
}

static st_store_status users_page_fill(const st_context *c, users_page *p, subtoken_text search) {
  const st_users *users = c->service->users;
  st_user batch[USERS_BATCH];
  st_search_page found = {.rows = ST_SEARCH_ROWS};
  st_store_status status;
  do {
    found.limit = p->left < USERS_BATCH ? p->left : USERS_BATCH;
    status = users->search(users->context, search, p->last, batch, &found);
    for (size_t i = 0; status == ST_STORE_OK && i < found.count && !p->full; i++) {
      users_page_add(c, p, &batch[i]);
    }
    subtoken_wipe(batch, sizeof batch); /* passwords, as they are stored */
    if (status != ST_STORE_OK) return status;
    if (!p->full) memcpy(p->last, found.last, sizeof p->last);
    p->more = p->full || found.more;
  } while (p->more && !p->full && p->left > 0 && found.rows > 0);
  return ST_STORE_OK;
}

static const st_problem *user_list_reply(st_context *c, subtoken_text search, const char *after,
                                         int64_t limit) {
  static const st_problem failed = {.status = 503,
                                    .event = "store_error",
                                    .text = "the users cannot be read; try again later",
                                    .retry_after = 5};
  st_reply *reply = c->reply;
  users_page p = {.writer = st_writer_on(reply->body, sizeof reply->body - USERS_TAIL),
                  .left = (size_t)limit};
  memcpy(p.last, after, strlen(after) + 1);
  st_write_literal(&p.writer, "{\"users\":[");
  if (users_page_fill(c, &p, search) != ST_STORE_OK) return &failed;
  p.writer.size = sizeof reply->body;
  st_write_char(&p.writer, ']');
  if (p.more) {
    st_write_literal(&p.writer, ",\"next\":");
    st_json_write_string(&p.writer, st_text(p.last));
  }
  st_write_char(&p.writer, '}');
  st_reply_end(reply, 200, &p.writer);
  return NULL;
}

static const st_problem *user_list_answer(st_context *c) {
  char after[ST_NAME_MAX + 1] = "", search[ST_NAME_MAX + 1] = "";
  int64_t limit = USERS_PAGE_DEFAULT;
  st_identity identity;
  const st_problem *problem = st_user_manager_find(c, &identity);
  if (problem == NULL) problem = st_request_query_text(c, "after", after, sizeof after);
  if (problem == NULL) problem = st_request_query_text(c, "search", search, sizeof search);
  if (problem == NULL) problem = st_request_query_number(c, "limit", USERS_PAGE_MAX, &limit);
  return problem != NULL ? problem : user_list_reply(c, st_text(search), after, limit);
}

const st_problem *st_users_answer(st_context *c) {
  bool post = st_text_is(c->request->method, "POST");
  return post ? st_users_create(c) : user_list_answer(c);
}
