/* The route /v2/revocations: the snapshot whole, what has changed since a sequence, or that
 * nothing has, each with a heartbeat. What they are made of is the server's
 * (server/snapshot_cache.c), and so is holding a request back (server/held_requests.c): it is
 * answered anew afterwards, as what it was asked with may have ended.
 */
#include "service/access.h"
#include "service/endpoints.h"
#include "service/entity_tag.h"
#include "service/form.h"
#include "service/reply.h"
#include "service/request.h"

#define SNAPSHOT_TYPE "application/octet-stream"
#define CHANGES_TYPE "application/vnd.subtoken.changes"

/* 1 to 2^63-1, spelt in one way. */
static bool revocations_read_sequence(subtoken_text text, int64_t *sequence) {
  int64_t value = 0;
  if (text.len == 0 || text.data[0] == '0') return false;
  for (size_t i = 0; i < text.len; i++) {
    int digit = text.data[i] - '0';
    if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10) return false;
    value = 10 * value + digit;
  }
  *sequence = value;
  return true;
}

#define WAIT_MAX 30 /* seconds */

/* What the client says that it has, whether changes since then are of no use to it, and how long it
 * waits for something newer.
 */
typedef struct revocations_request {
  int64_t since; /* 0: nothing */
  bool whole;
  int64_t wait;                       /* seconds, 0: not at all */
  char audience[ST_AUDIENCE_MAX + 1]; /* empty: the data under the ring's own secret */
} revocations_request;

static const st_problem *revocations_take_since(st_context *c, const st_pair *pair,
                                                revocations_request *wanted) {
  if (wanted->since != 0) return st_problem_parameter(&c->problem, "since", "given more than once");
  if (!pair->bad_escape && revocations_read_sequence(pair->value, &wanted->since)) return NULL;
  return st_problem_parameter(&c->problem, "since",
                              "must be a sequence, a whole number from 1 to 9223372036854775807");
}

static const st_problem *revocations_take_wait(st_context *c, const st_pair *pair,
                                               revocations_request *wanted) {
  if (wanted->wait != 0) return st_problem_parameter(&c->problem, "wait", "given more than once");
  if (!pair->bad_escape && revocations_read_sequence(pair->value, &wanted->wait) &&
      wanted->wait <= WAIT_MAX) {
    return NULL;
  }
  return st_problem_parameter(&c->problem, "wait",
                              "must be a whole number of seconds from 1 to 30");
}

static const st_problem *revocations_take_audience(st_context *c, const st_pair *pair,
                                                   revocations_request *wanted) {
  if (wanted->audience[0] != '\0') {
    return st_problem_parameter(&c->problem, "audience", "given more than once");
  }
  if (pair->bad_escape || !subtoken_audience_valid(pair->value)) {
    return st_problem_parameter(&c->problem, "audience",
                                "must be 1 to 32 characters A-Z a-z 0-9 _ -");
  }
  memcpy(wanted->audience, pair->value.data, pair->value.len);
  return NULL;
}

static const st_problem *revocations_read_question(st_context *c, revocations_request *wanted) {
  char decoded[SUBTOKEN_TARGET_MAX];
  st_cutter cutter = {c->query, false};
  st_writer out = st_writer_on(decoded, sizeof decoded);
  st_pair pair;
  const st_problem *problem = NULL;
  *wanted = (revocations_request){.since = 0};
  while (problem == NULL && st_form_next_pair(&cutter, &out, &pair)) {
    if (st_text_is(pair.name, "whole")) {
      wanted->whole = st_text_is(pair.value, "1");
    } else if (st_text_is(pair.name, "since")) {
      problem = revocations_take_since(c, &pair, wanted);
    } else if (st_text_is(pair.name, "wait")) {
      problem = revocations_take_wait(c, &pair, wanted);
    } else if (st_text_is(pair.name, "audience")) {
      problem = revocations_take_audience(c, &pair, wanted);
    }
  }
  subtoken_wipe(decoded, out.len); /* the credential may be among them */
  return problem;
}

/* The audience that a credential is for: that of its key, or of the token itself. */
static subtoken_text revocations_audience_of(const st_identity *identity) {
  size_t next = 0;
  return subtoken_claims_audience(&identity->grant, &next);
}

/* What is for one audience gets the data of that alone, also where it names none. */
static const st_problem *revocations_bind(const st_identity *identity,
                                          revocations_request *wanted) {
  static const st_problem other = {
      .status = 403,
      .event = "escalation",
      .text = "audience: must be the one that the credential is bound to"};
  subtoken_text own = revocations_audience_of(identity);
  if (own.len == 0) return NULL;
  if (wanted->audience[0] != '\0') return st_text_is(own, wanted->audience) ? NULL : &other;
  if (!subtoken_audience_valid(own)) return &other;
  memcpy(wanted->audience, own.data, own.len);
  return NULL;
}

/* ---- the answer ---- */

static void revocations_write_headers(st_reply *reply, const st_snapshot_version *version) {
  char text[ST_SNAPSHOT_TAG_LEN + 3];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_char(&writer, '"');
  st_write_literal(&writer, version->etag);
  st_write_char(&writer, '"');
  st_reply_header(reply, "ETag", (subtoken_text){text, writer.len});
  st_reply_header(reply, "Subtoken-Heartbeat", st_text(version->heartbeat));
  writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, version->sequence);
  st_reply_header(reply, "Subtoken-Seq", (subtoken_text){text, writer.len});
}

static void revocations_release(const st_payload *payload) {
  if (payload->release != NULL) payload->release(payload->context);
}

/* Is there nothing newer than what the client says that it has? Then it is held, if it waits for
 * that. Who asks for the whole has nothing of use.
 */
static bool revocations_hold(st_context *c, const st_identity *identity,
                             const st_snapshot_version *version,
                             const revocations_request *wanted) {
  bool tagged = st_request_has_header(c->request, "If-None-Match");
  if (wanted->wait == 0 || c->request->held || (wanted->whole && !tagged)) return false;
  bool known = tagged ? st_entity_tag_is_known(c->request, version->etag)
                      : wanted->since != 0 && wanted->since >= version->sequence;
  if (!known) return false;
  c->reply->hold = (st_hold){.seconds = wanted->wait, .sequence = version->sequence};
  memcpy(c->reply->hold.key_id, identity->key.id, sizeof c->reply->hold.key_id);
  revocations_release(&version->snapshot);
  return true;
}

/* 304 when the client has it. */
static bool revocations_answer_known(st_context *c, const st_snapshot_version *version) {
  if (!st_entity_tag_is_known(c->request, version->etag)) return false;
  revocations_write_headers(c->reply, version);
  c->reply->status = 304;
  revocations_release(&version->snapshot);
  return true;
}

static bool revocations_answer_changes(st_context *c, const st_snapshot_version *version,
                                       const revocations_request *wanted) {
  const st_feed *feed = &c->service->feed;
  if (wanted->since == 0 || wanted->whole ||
      !feed->changes(feed->context, version, wanted->since, &c->reply->payload)) {
    return false;
  }
  revocations_write_headers(c->reply, version);
  c->reply->status = 200;
  c->reply->content_type = CHANGES_TYPE;
  revocations_release(&version->snapshot);
  return true;
}

static const st_problem *revocations_problem(st_feed_status status) {
  static const st_problem key_busy = {
      .status = 429,
      .event = "feed_busy",
      .text = "too many requests for the revocation data with this key at a time; try again later",
      .retry_after = 1};
  static const st_problem busy = {.status = 503,
                                  .event = "feed_busy",
                                  .text = "the revocation data is being read; try again later",
                                  .retry_after = 1};
  static const st_problem audiences = {
      .status = 429,
      .event = "feed_busy",
      .text = "audience: this key has asked for too many of them; try again later",
      .retry_after = 1};
  static const st_problem audience = {
      .status = 400,
      .event = "bad_request",
      .text =
          "audience: too long for the name of the secret that signs: with a dot between them "
          "both must have at most 64 characters"};
  static const st_problem left = {.status = 503,
                                  .event = "client_left",
                                  .text = "the client has closed the connection",
                                  .close = true};
  static const st_problem never = {
      .status = 409,
      .event = "store_rolled_back",
      .text =
          "since: this server never issued that sequence, so its database, or the one that yours "
          "is from, is a copy or a backup: see subtoken_revocation(7) and `subtoken feed "
          "restore`"};
  static const st_problem no_memory = {
      .status = 503,
      .event = "oom",
      .text = "there is no memory for the revocation data; try again later",
      .retry_after = 5};
  static const st_problem failed = {.status = 503,
                                    .event = "store_error",
                                    .text = "the revocation data cannot be read; try again later",
                                    .retry_after = 5};
  switch (status) {
    case ST_FEED_KEY_BUSY: return &key_busy;
    case ST_FEED_BUSY: return &busy;
    case ST_FEED_CLIENT_LEFT: return &left;
    case ST_FEED_NEVER: return &never;
    case ST_FEED_AUDIENCE: return &audience;
    case ST_FEED_AUDIENCES: return &audiences;
    case ST_FEED_NO_MEMORY: return &no_memory;
    default: return &failed;
  }
}

static const st_problem *revocations_answer_with(st_context *c, const st_feed_question *question,
                                                 st_snapshot_version *version,
                                                 const revocations_request *wanted) {
  const st_feed *feed = &c->service->feed;
  if (revocations_answer_known(c, version) || revocations_answer_changes(c, version, wanted))
    return NULL;
  st_feed_status status = feed->whole(feed->context, question, version);
  if (status != ST_FEED_READY) return revocations_problem(status);
  if (revocations_answer_known(c, version)) return NULL;
  revocations_write_headers(c->reply, version);
  c->reply->status = 200;
  c->reply->content_type = SNAPSHOT_TYPE;
  c->reply->payload = version->snapshot;
  return NULL;
}

/* For GET /v2/feed: who asked, and has that sequence now. */
static void revocations_note(const st_context *c, const st_identity *identity,
                             const revocations_request *wanted, int64_t sequence) {
  st_feed_edge edge = {.last_asked = c->request->now, .sequence = sequence};
  st_writer address = st_writer_on(edge.address, sizeof edge.address);
  if (c->service->note_edge == NULL) return;
  memcpy(edge.key_id, st_key_root(&identity->key), sizeof edge.key_id);
  memcpy(edge.name, identity->key.name, sizeof edge.name);
  memcpy(edge.audience, wanted->audience, sizeof edge.audience);
  st_write_view(&address, c->request->remote);
  if (!st_writer_end(&address)) edge.address[0] = '\0';
  c->service->note_edge(&edge);
}

static const st_problem *revocations_answer(st_context *c, const st_identity *identity,
                                            const revocations_request *wanted) {
  st_snapshot_version version;
  const st_feed *feed = &c->service->feed;
  st_feed_question question = {.ring = c->service->ring,
                               .audience = st_text(wanted->audience),
                               .key_id = identity->key.id,
                               .now = c->request->now,
                               .since = wanted->since};
  st_feed_status status =
      wanted->since != 0 ? feed->issued(feed->context, wanted->since) : ST_FEED_READY;
  if (status == ST_FEED_READY) status = feed->current(feed->context, &question, &version);
  if (status != ST_FEED_READY) return revocations_problem(status);
  if (revocations_hold(c, identity, &version, wanted)) {
    revocations_note(c, identity, wanted, version.sequence);
    return NULL;
  }
  const st_problem *problem = revocations_answer_with(c, &question, &version, wanted);
  if (problem == NULL) revocations_note(c, identity, wanted, version.sequence);
  return problem;
}

const st_problem *st_revocations_answer(st_context *c) {
  st_identity identity;
  revocations_request wanted;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem == NULL) problem = st_access_holds(c, &identity, "revocations");
  if (problem == NULL) problem = revocations_read_question(c, &wanted);
  if (problem == NULL) problem = revocations_bind(&identity, &wanted);
  return problem != NULL ? problem : revocations_answer(c, &identity, &wanted);
}
