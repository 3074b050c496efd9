/* One request of `subtoken pull`, and what of the response is accepted: nothing that is older than
 * what was seen, and nothing that is not whole. When it is asked, and which server, is in
 * pull_loop.c; the files are in pull_files.c, the connections in fetch.c.
 */
#include "cli/pull_round.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "cli/input.h"
#include "core/revocations_format.h"
#include "os/clock.h"
#include "os/error.h"
#include "subtoken/mac.h"

#define SNAPSHOT_TYPE "application/octet-stream"
#define CHANGES_TYPE "application/vnd.subtoken.changes"

/* A snapshot that is larger is as one that cannot be read: the response ends there. */
size_t st_pull_round_length(void *context, const uint8_t *head, const char *type) {
  const size_t max = ((const st_puller *)context)->files.max_size;
  if (strcmp(type, SNAPSHOT_TYPE) == 0 && memcmp(head, ST_SNAPSHOT_MAGIC, 8) == 0) {
    size_t length = subtoken_revocations_size(st_load32(head + ST_SNAPSHOT_COUNT));
    return length <= max ? length : 0;
  }
  if (strcmp(type, CHANGES_TYPE) != 0) return 0; /* their head is looked at when applied */
  size_t length = SUBTOKEN_CHANGES_LEN(st_load32(head + 24), st_load32(head + 28));
  return length <= max ? length : max;
}

/* ---- what of a response is accepted ---- */

static st_pull_outcome pull_set_error(st_pull_outcome what, char *error, const char *text) {
  snprintf(error, ST_ERROR_MAX, "%s", text);
  return what;
}

/* Does this head name a secret that is derived for the audience? It is not known here which: a
 * server that knows no audiences, or a relay that has left the query out, is told from one that
 * does.
 */
static bool pull_is_for(const uint8_t *head, const char *audience) {
  size_t len = head[ST_FEED_KID_LEN], own = strlen(audience);
  const char *kid = (const char *)head + ST_FEED_KID;
  return len <= SUBTOKEN_KID_MAX && len > own && kid[len - own - 1] == '.' &&
         memcmp(kid + len - own, audience, own) == 0;
}

/* The heartbeat that came along, when it names this snapshot. */
static st_pull_outcome pull_check_heartbeat(const st_puller *p, const st_fetch_response *response,
                                            const st_pull_snapshot *named,
                                            uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN],
                                            char *error) {
  if (subtoken_heartbeat_decode(st_text(response->heartbeat), heartbeat) != SUBTOKEN_FEED_OK ||
      memcmp(heartbeat, ST_HEARTBEAT_MAGIC, 8) != 0) {
    return pull_set_error(ST_PULL_BAD, error, "the response has no heartbeat");
  }
  if (!st_pull_files_heartbeat_matches(heartbeat, named)) {
    return pull_set_error(ST_PULL_BAD, error,
                          "the heartbeat in the response names another snapshot");
  }
  if (p->audience != NULL &&
      !(pull_is_for(heartbeat, p->audience) && pull_is_for(named->bytes, p->audience))) {
    return pull_set_error(ST_PULL_BAD, error,
                          "the response is not for the audience: the server, or a cache in front "
                          "of it, does not know audiences");
  }
  uint64_t time = st_load64(heartbeat + ST_FEED_TIME);
  if (time == 0 || time > SUBTOKEN_TIME_MAX) {
    return pull_set_error(ST_PULL_BAD, error, "the heartbeat in the response has no time");
  }
  int64_t latest = st_clock_now() + p->leeway;
  if ((int64_t)time > latest) {
    return pull_set_error(
        ST_PULL_BAD, error,
        "the heartbeat in the response is from the future: the clock of the server is "
        "ahead, or the clock here is behind");
  }
  /* One from a time that has not come is void: a clock was wrong. */
  if ((int64_t)time >= p->files.time || p->files.time > latest) return ST_PULL_CURRENT;
  /* Servers, and relays that keep a response for a second, are a little apart. */
  bool close = p->files.time - (int64_t)time <= p->leeway;
  return pull_set_error(close ? ST_PULL_BEHIND : ST_PULL_ROLLBACK, error,
                        "the heartbeat in the response is older than the previous one");
}

static st_pull_outcome pull_accept(st_puller *p, const st_fetch_response *response,
                                   st_pull_snapshot *fresh, char *error) {
  uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN];
  if (fresh->sequence < p->files.highest) {
    snprintf(error, ST_ERROR_MAX,
             "the snapshot in the response has sequence %lld, but %lld was seen before: not used",
             (long long)fresh->sequence, (long long)p->files.highest);
    return ST_PULL_ROLLBACK;
  }
  st_pull_outcome result = pull_check_heartbeat(p, response, fresh, heartbeat, error);
  if (result != ST_PULL_CURRENT) return result;
  bool known = p->files.have.sequence != 0 && strcmp(p->files.have.etag, fresh->etag) == 0;
  if (!st_pull_files_write(&p->files, known ? NULL : fresh, heartbeat, error)) {
    return ST_PULL_FAILED;
  }
  p->changed = !known;
  return ST_PULL_CURRENT;
}

static st_pull_outcome pull_accept_unchanged(st_puller *p, const st_fetch_response *response,
                                             char *error) {
  uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN];
  if (p->files.have.sequence == 0) {
    return pull_set_error(ST_PULL_BAD, error, "the server answers 304, but there is no FILE yet");
  }
  if (p->files.have.sequence < p->files.highest) {
    snprintf(error, ST_ERROR_MAX,
             "the server says that FILE with sequence %lld is current, but %lld was seen before",
             (long long)p->files.have.sequence, (long long)p->files.highest);
    return ST_PULL_ROLLBACK;
  }
  st_pull_outcome result = pull_check_heartbeat(p, response, &p->files.have, heartbeat, error);
  if (result != ST_PULL_CURRENT) return result;
  return st_pull_files_write(&p->files, NULL, heartbeat, error) ? ST_PULL_CURRENT : ST_PULL_FAILED;
}

/* Is it what its ETag says? */
static bool pull_is_whole(st_pull_snapshot *fresh, const st_fetch_response *response) {
  return st_pull_files_describe(fresh) && strcmp(fresh->etag, response->etag) == 0;
}

/* FILE with the changes in it; false when they do not lead to what the response says. */
static bool pull_apply_changes(st_puller *p, const st_fetch_response *response,
                               st_pull_snapshot *fresh) {
  const st_pull_snapshot *have = &p->files.have;
  memset(fresh, 0, sizeof *fresh);
  if (have->sequence == 0) return false;
  size_t size = subtoken_changes_size(response->body, response->len);
  bool fits = size > 0 && size <= p->files.max_size;
  fresh->bytes = fits ? st_pull_files_allocate(&p->files, size) : NULL;
  bool good = fresh->bytes != NULL &&
              subtoken_changes_apply(have->bytes, have->len, response->body, response->len,
                                     fresh->bytes, size, &fresh->len) == SUBTOKEN_FEED_OK &&
              pull_is_whole(fresh, response);
  if (!good) st_pull_files_free(fresh);
  return good;
}

/* The text of {"text":"..."}, escaped. */
static void pull_write_refusal(st_writer *writer, st_fetch_response *response) {
  st_json json;
  subtoken_text name, text = {NULL, 0};
  st_json_start(&json, (char *)response->body, response->len);
  bool good = response->len > 0 && st_json_object(&json);
  while (good && st_json_member(&json, &name)) {
    good = st_text_is(name, "text") ? st_json_string(&json, &text) : st_json_skip(&json);
  }
  if (text.len > 200) text.len = 200;
  if (text.len > 0) st_write_literal(writer, ": ");
  st_write_escaped(writer, text);
}

static st_pull_outcome pull_refuse(st_fetch_response *response, char *error) {
  st_writer writer = st_writer_on(error, ST_ERROR_MAX);
  st_write_literal(&writer, "the server answers ");
  st_write_int(&writer, response->status);
  if (response->status >= 300 && response->status < 400) {
    st_write_literal(&writer, ", a redirect, which is not followed: use the URL that it leads to");
  } else {
    pull_write_refusal(&writer, response);
  }
  if (!st_writer_end(&writer)) error[ST_ERROR_MAX - 1] = '\0';
  switch (response->status) {
    case 401:
    case 403: return ST_PULL_REFUSED;
    case 409: return ST_PULL_ROLLBACK; /* it never gave the sequence that FILE has */
    default: return ST_PULL_FAILED;
  }
}

/* ---- a round ---- */

/* The sequence that is here goes with every request, also when the whole snapshot is wanted: a
 * server that never issued it has another history, and must not be believed. The key is read for
 * each request, so that a new one is used at once, and wiped after it.
 */
static st_pull_outcome pull_request(st_puller *p, const st_pull_question *question, bool whole,
                                    st_fetch_response *response, char *error) {
  char text[SUBTOKEN_TOKEN_MAX + 2];
  subtoken_text key;
  st_fetch_status fetched = ST_FETCH_FAILED;
  st_fetch_request request = {.url = question->server,
                              .etag = whole ? "" : p->files.have.etag,
                              .whole = whole,
                              .wait = whole ? 0 : question->wait,
                              .patience = question->patience};
  request.since =
      p->files.have.sequence > p->files.highest ? p->files.have.sequence : p->files.highest;
  memset(response, 0, sizeof *response);
  if (st_input_key_file(p->key_file, text, sizeof text, &key, error)) {
    request.credential = key.data;
    fetched = st_fetch_send(p->fetch, &request, response, error);
  }
  subtoken_wipe(text, sizeof text);
  switch (fetched) {
    case ST_FETCH_DONE: return ST_PULL_CURRENT;
    case ST_FETCH_STOPPED: return ST_PULL_STOPPED;
    case ST_FETCH_UNFIT: return ST_PULL_BAD;
    default: return ST_PULL_FAILED;
  }
}

/* The response's body becomes the snapshot. */
static st_pull_outcome pull_accept_body(st_puller *p, st_fetch_response *response, char *error) {
  st_pull_snapshot fresh = {.bytes = response->body, .len = response->len};
  if (strcmp(response->type, SNAPSHOT_TYPE) != 0 || !pull_is_whole(&fresh, response)) {
    return pull_set_error(ST_PULL_BAD, error,
                          "the response is not the snapshot that its ETag names");
  }
  st_pull_outcome result = pull_accept(p, response, &fresh, error);
  response->body = fresh.bytes; /* unless they have gone over to the files */
  return result;
}

static st_pull_outcome pull_whole(st_puller *p, const st_pull_question *question, char *error) {
  st_fetch_response response;
  st_pull_outcome result = pull_request(p, question, true, &response, error);
  if (result == ST_PULL_CURRENT) {
    result = response.status == 200 ? pull_accept_body(p, &response, error)
                                    : pull_refuse(&response, error);
  }
  st_fetch_response_free(&response);
  return result;
}

st_pull_outcome st_pull_round(st_puller *p, const st_pull_question *question, char *error) {
  st_fetch_response response;
  st_pull_snapshot fresh;
  p->changed = false;
  st_pull_files_refresh(&p->files);
  st_pull_outcome result =
      pull_request(p, question, p->files.have.sequence < p->files.highest, &response, error);
  if (result != ST_PULL_CURRENT) return result;
  if (response.status == 304) {
    result = pull_accept_unchanged(p, &response, error);
  } else if (response.status != 200) {
    result = pull_refuse(&response, error);
  } else if (strcmp(response.type, CHANGES_TYPE) != 0) {
    result = pull_accept_body(p, &response, error);
  } else if (pull_apply_changes(p, &response, &fresh)) {
    result = pull_accept(p, &response, &fresh, error);
    st_pull_files_free(&fresh);
  } else {
    st_fetch_response_free(&response);
    return pull_whole(p, question, error);
  }
  st_fetch_response_free(&response);
  return result;
}
