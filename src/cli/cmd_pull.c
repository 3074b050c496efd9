#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/fetch.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "core/revocations_format.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/log.h"
#include "os/random.h"
#include "os/replace.h"
#include "os/secret_file.h"
#include "subtoken/feed.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

#define EVERY_MOST INT64_C(86400)
#define BACK_OFF_MS INT64_C(30000)
#define SEEN_MAX 20 /* 19 digits and a newline */
#define NAME_MAX_LEN (SUBTOKEN_FEED_PATH_MAX + 8)

#define SNAPSHOT_TYPE "application/octet-stream"
#define CHANGES_TYPE "application/vnd.subtoken.changes"

/* What became of a round. */
typedef enum outcome { CURRENT, STOPPED, REFUSED, ROLLBACK, BAD, FAILED } outcome;

static const struct {
  const char *event;
  int code; /* of --once */
} outcomes[] = {
    [CURRENT] = {"pulled", ST_EXIT_DONE},          [STOPPED] = {NULL, ST_EXIT_DONE},
    [REFUSED] = {"pull_refused", ST_EXIT_REFUSED}, [ROLLBACK] = {"feed_rollback", ST_EXIT_REFUSED},
    [BAD] = {"feed_bad", ST_EXIT_FAILED},          [FAILED] = {"pull_failed", ST_EXIT_FAILED},
};

/* A snapshot in memory, or what is known of the one in FILE (bytes NULL). */
typedef struct copy {
  uint8_t *bytes;
  size_t len;
  int64_t sequence; /* 0: there is none */
  uint32_t count;
  char etag[ST_ETAG_LEN + 1];
  uint8_t digest[SUBTOKEN_MAC_LEN];
} copy;

typedef struct puller {
  const char *key_file;
  char path[NAME_MAX_LEN], alive[NAME_MAX_LEN], next[NAME_MAX_LEN], seen[NAME_MAX_LEN],
      lock[NAME_MAX_LEN];
  int64_t leeway;
  st_fetch *fetch;
  copy have;           /* what FILE holds */
  st_file_stamp stamp; /* FILE's when it was last looked into */
  int64_t highest;     /* sequence that was ever seen */
  int64_t time;        /* T of the last heartbeat that was written */
  int stop;            /* SIGTERM and SIGINT arrive here */
} puller;

/* ---- what bytes say of themselves; whether it is true, who has the ring finds out ---- */

static bool describe(copy *snapshot) {
  uint8_t hash[ST_HASH_LEN];
  const uint8_t *bytes = snapshot->bytes;
  if (snapshot->len < ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN ||
      memcmp(bytes, ST_SNAPSHOT_MAGIC, 8) != 0) {
    return false;
  }
  uint64_t sequence = st_load64(bytes + ST_FEED_SEQUENCE);
  snapshot->count = st_load32(bytes + ST_SNAPSHOT_COUNT);
  if (sequence == 0 || sequence > INT64_MAX ||
      subtoken_revocations_size(snapshot->count) != snapshot->len ||
      !st_sha256(bytes, snapshot->len, hash)) {
    return false;
  }
  snapshot->sequence = (int64_t)sequence;
  memcpy(snapshot->digest, bytes + snapshot->len - SUBTOKEN_MAC_LEN, SUBTOKEN_MAC_LEN);
  st_writer writer = st_writer_on(snapshot->etag, sizeof snapshot->etag);
  st_base64url_write(&writer, hash, sizeof hash);
  return st_writer_end(&writer);
}

static size_t max_size = SUBTOKEN_FEED_SIZE_DEFAULT; /* of a snapshot; --max-size */

/* A snapshot that is larger is as one that cannot be read: the answer ends there. */
static size_t length_of_answer(const uint8_t *head, const char *type) {
  if (strcmp(type, SNAPSHOT_TYPE) == 0 && memcmp(head, ST_SNAPSHOT_MAGIC, 8) == 0) {
    size_t length = subtoken_revocations_size(st_load32(head + ST_SNAPSHOT_COUNT));
    return length <= max_size ? length : 0;
  }
  if (strcmp(type, CHANGES_TYPE) != 0) return 0; /* their head is looked at when applied */
  size_t length = SUBTOKEN_CHANGES_LEN(st_load32(head + 24), st_load32(head + 28));
  return length <= max_size ? length : max_size;
}

static void forget(copy *snapshot) {
  free(snapshot->bytes);
  memset(snapshot, 0, sizeof *snapshot);
}

/* ---- the files ---- */

/* The whole of FILE; false when there is none, or none that can be read. */
static bool read_file(const puller *p, copy *into, st_file_stamp *stamp) {
  char error[ST_ERROR_MAX];
  memset(into, 0, sizeof *into);
  if (st_file_load(p->path, max_size, &into->bytes, &into->len, stamp, error) && describe(into)) {
    return true;
  }
  forget(into);
  return false;
}

/* FILE as it is now, should somebody else have changed it. Its bytes are not kept. */
static void look_at_file(puller *p) {
  st_file_stamp stamp;
  copy found;
  if (st_file_stamp_of(p->path, &stamp) && st_file_stamp_equal(&stamp, &p->stamp)) return;
  memset(&p->have, 0, sizeof p->have);
  memset(&p->stamp, 0, sizeof p->stamp);
  if (!read_file(p, &found, &stamp)) return;
  free(found.bytes);
  found.bytes = NULL;
  p->have = found;
  p->stamp = stamp;
}

static int64_t read_seen(const puller *p) {
  char text[SEEN_MAX], error[ST_ERROR_MAX];
  size_t len;
  int64_t value = 0;
  if (!st_file_read(p->seen, text, sizeof text, &len, error) || len < 2 || text[len - 1] != '\n') {
    return 0;
  }
  for (size_t i = 0; i < len - 1; i++) {
    int digit = text[i] - '0';
    if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10) return 0;
    value = 10 * value + digit;
  }
  return value;
}

/* Written when it says less than what was just put in place. */
static bool write_seen(puller *p, char *error) {
  char text[SEEN_MAX + 2];
  if (p->have.sequence > p->highest) p->highest = p->have.sequence;
  if (read_seen(p) >= p->highest) return true;
  int len = snprintf(text, sizeof text, "%lld\n", (long long)p->highest);
  return st_replace_shared(p->seen, NULL, text, (size_t)len, error);
}

static bool write_alive(puller *p, const uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN], char *error) {
  uint8_t there[SUBTOKEN_HEARTBEAT_LEN];
  char unread[ST_ERROR_MAX];
  size_t len;
  p->time = (int64_t)st_load64(heartbeat + ST_FEED_TIME);
  if (st_file_read(p->alive, there, sizeof there, &len, unread) && len == sizeof there &&
      memcmp(there, heartbeat, len) == 0) {
    return true;
  }
  return st_replace_shared(p->alive, NULL, heartbeat, SUBTOKEN_HEARTBEAT_LEN, error);
}

/* The heartbeat of what is to be FILE comes before it, under a name of its own: whenever this is
 * ended, FILE has its heartbeat in one of the two.
 */
static bool names(const uint8_t *heartbeat, const copy *snapshot) {
  return st_load64(heartbeat + ST_FEED_SEQUENCE) == (uint64_t)snapshot->sequence &&
         memcmp(heartbeat + ST_HEARTBEAT_DIGEST, snapshot->digest, SUBTOKEN_MAC_LEN) == 0;
}

/* What a pull has left that was ended between FILE and FILE.alive is all that goes with FILE: it
 * becomes FILE.alive before its place is needed.
 */
static void settle_next(const puller *p) {
  uint8_t left[SUBTOKEN_HEARTBEAT_LEN];
  char unread[ST_ERROR_MAX];
  size_t len;
  if (p->have.sequence == 0 || !st_file_read(p->next, left, sizeof left, &len, unread)) return;
  if (len == sizeof left && names(left, &p->have)) (void)rename(p->next, p->alive);
}

static bool write_fresh(puller *p, const copy *fresh, const uint8_t *heartbeat, char *error) {
  settle_next(p);
  bool put = st_replace_shared(p->next, p->alive, heartbeat, SUBTOKEN_HEARTBEAT_LEN, error) &&
             st_replace_shared(p->path, NULL, fresh->bytes, fresh->len, error);
  if (!put) {
    (void)unlink(p->next);
    return false;
  }
  p->have = *fresh;
  p->have.bytes = NULL;
  if (!st_file_stamp_of(p->path, &p->stamp)) memset(&p->stamp, 0, sizeof p->stamp);
  return true;
}

static bool write_files(puller *p, const copy *fresh, const uint8_t *heartbeat, char *error) {
  if (fresh != NULL && !write_fresh(p, fresh, heartbeat, error)) return false;
  if (!write_alive(p, heartbeat, error)) return false;
  (void)unlink(p->next); /* should it stay, it says the same */
  return write_seen(p, error);
}

/* ---- what was answered ---- */

static outcome say(outcome what, char *error, const char *text) {
  snprintf(error, ST_ERROR_MAX, "%s", text);
  return what;
}

/* The heartbeat that came along, when it names this snapshot. */
static outcome judge_heartbeat(const puller *p, const st_fetch_answer *answer, const copy *named,
                               uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN], char *error) {
  if (subtoken_heartbeat_decode(st_text(answer->heartbeat), heartbeat) != SUBTOKEN_FEED_OK ||
      memcmp(heartbeat, ST_HEARTBEAT_MAGIC, 8) != 0) {
    return say(BAD, error, "the response has no heartbeat");
  }
  if (!names(heartbeat, named)) {
    return say(BAD, error, "the heartbeat in the response names another snapshot");
  }
  uint64_t time = st_load64(heartbeat + ST_FEED_TIME);
  if (time == 0 || time > SUBTOKEN_TIME_MAX) {
    return say(BAD, error, "the heartbeat in the response has no time");
  }
  int64_t latest = st_clock_now() + p->leeway;
  if ((int64_t)time > latest) {
    return say(BAD, error,
               "the heartbeat in the response is from the future: the clock of the server is "
               "ahead, or the clock here is behind");
  }
  /* One from a time that has not come is void: a clock was wrong. */
  if ((int64_t)time >= p->time || p->time > latest) return CURRENT;
  return say(ROLLBACK, error, "the heartbeat in the response is older than the previous one");
}

static outcome take_fresh(puller *p, const st_fetch_answer *answer, const copy *fresh,
                          char *error) {
  uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN];
  if (fresh->sequence < p->highest) {
    snprintf(error, ST_ERROR_MAX,
             "the snapshot in the response has sequence %lld, but %lld was seen before: not used",
             (long long)fresh->sequence, (long long)p->highest);
    return ROLLBACK;
  }
  outcome result = judge_heartbeat(p, answer, fresh, heartbeat, error);
  if (result != CURRENT) return result;
  bool known = p->have.sequence != 0 && strcmp(p->have.etag, fresh->etag) == 0;
  return write_files(p, known ? NULL : fresh, heartbeat, error) ? CURRENT : FAILED;
}

static outcome take_same(puller *p, const st_fetch_answer *answer, char *error) {
  uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN];
  if (p->have.sequence == 0)
    return say(BAD, error, "the server answers 304, but there is no FILE yet");
  if (p->have.sequence < p->highest) {
    snprintf(error, ST_ERROR_MAX,
             "the server says that FILE with sequence %lld is current, but %lld was seen before",
             (long long)p->have.sequence, (long long)p->highest);
    return ROLLBACK;
  }
  outcome result = judge_heartbeat(p, answer, &p->have, heartbeat, error);
  if (result != CURRENT) return result;
  return write_files(p, NULL, heartbeat, error) ? CURRENT : FAILED;
}

/* Is it what its ETag says? */
static bool is_whole(copy *fresh, const st_fetch_answer *answer) {
  return describe(fresh) && strcmp(fresh->etag, answer->etag) == 0;
}

/* FILE with the changes in it; false when they do not lead to what the answer says. */
static bool apply_changes(const puller *p, const st_fetch_answer *answer, copy *fresh) {
  copy old;
  st_file_stamp stamp;
  memset(fresh, 0, sizeof *fresh);
  if (!read_file(p, &old, &stamp)) return false;
  size_t size = subtoken_changes_size(answer->body, answer->len);
  fresh->bytes = size > 0 && size <= max_size ? malloc(size) : NULL;
  bool good = fresh->bytes != NULL &&
              subtoken_changes_apply(old.bytes, old.len, answer->body, answer->len, fresh->bytes,
                                     size, &fresh->len) == SUBTOKEN_FEED_OK &&
              is_whole(fresh, answer);
  forget(&old);
  if (!good) forget(fresh);
  return good;
}

/* The text of {"text":"..."}, for people's eyes. */
static void write_refusal(st_writer *writer, st_fetch_answer *answer) {
  st_json json;
  subtoken_text name, text = {NULL, 0};
  st_json_start(&json, (char *)answer->body, answer->len);
  bool good = answer->len > 0 && st_json_object(&json);
  while (good && st_json_member(&json, &name)) {
    good = st_text_is(name, "text") ? st_json_string(&json, &text) : st_json_skip(&json);
  }
  if (text.len > 200) text.len = 200;
  if (text.len > 0) st_write_literal(writer, ": ");
  st_write_escaped(writer, text);
}

static outcome refuse_answer(st_fetch_answer *answer, char *error) {
  st_writer writer = st_writer_on(error, ST_ERROR_MAX);
  st_write_literal(&writer, "the server answers ");
  st_write_int(&writer, answer->status);
  if (answer->status >= 300 && answer->status < 400) {
    st_write_literal(&writer, ", a redirect, which is not followed: use the URL that it leads to");
  } else {
    write_refusal(&writer, answer);
  }
  if (!st_writer_end(&writer)) error[ST_ERROR_MAX - 1] = '\0';
  switch (answer->status) {
    case 401:
    case 403: return REFUSED;
    case 409: return ROLLBACK; /* it never gave the sequence that FILE has */
    default: return FAILED;
  }
}

/* ---- a round ---- */

static bool read_key(const puller *p, char *text, size_t size, subtoken_text *key, char *error) {
  size_t len;
  if (!st_secret_file_read(p->key_file, text, size - 1, &len, error)) return false;
  while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL && text[len - 1] != '\0') len--;
  text[len] = '\0';
  for (size_t i = 0; i < len; i++) {
    if (text[i] > ' ' && text[i] <= '~') continue;
    snprintf(error, ST_ERROR_MAX, "%.400s must hold one key and nothing else", p->key_file);
    return false;
  }
  if (len == 0) snprintf(error, ST_ERROR_MAX, "%.400s is empty", p->key_file);
  *key = (subtoken_text){text, len};
  return len > 0;
}

/* What there is of it here is said each time, also where the whole is wanted: a server that never
 * gave that sequence has another history, and must not be believed. The key is read each time, so
 * that another one is taken up, and forgotten at once.
 */
static outcome ask(puller *p, bool whole, st_fetch_answer *answer, char *error) {
  char text[SUBTOKEN_TOKEN_MAX + 2];
  subtoken_text key;
  st_fetch_status fetched = ST_FETCH_FAILED;
  st_fetch_question question = {.etag = whole ? "" : p->have.etag, .whole = whole};
  question.since = p->have.sequence > p->highest ? p->have.sequence : p->highest;
  memset(answer, 0, sizeof *answer);
  if (read_key(p, text, sizeof text, &key, error)) {
    question.credential = text;
    fetched = st_fetch_ask(p->fetch, &question, answer, error);
  }
  subtoken_wipe(text, sizeof text);
  switch (fetched) {
    case ST_FETCH_DONE: return CURRENT;
    case ST_FETCH_STOPPED: return STOPPED;
    case ST_FETCH_UNFIT: return BAD;
    default: return FAILED;
  }
}

/* The answer's body becomes the snapshot. */
static outcome take_whole(puller *p, st_fetch_answer *answer, char *error) {
  copy fresh = {.bytes = answer->body, .len = answer->len};
  if (strcmp(answer->type, SNAPSHOT_TYPE) != 0 || !is_whole(&fresh, answer)) {
    return say(BAD, error, "the response is not the snapshot that its ETag names");
  }
  return take_fresh(p, answer, &fresh, error);
}

static outcome ask_whole(puller *p, char *error) {
  st_fetch_answer answer;
  outcome result = ask(p, true, &answer, error);
  if (result == CURRENT) {
    result = answer.status == 200 ? take_whole(p, &answer, error) : refuse_answer(&answer, error);
  }
  st_fetch_give(&answer);
  return result;
}

static outcome round_of(puller *p, char *error) {
  st_fetch_answer answer;
  copy fresh;
  look_at_file(p);
  int64_t seen = read_seen(p);
  if (seen > p->highest) p->highest = seen;
  outcome result = ask(p, p->have.sequence < p->highest, &answer, error);
  if (result != CURRENT) return result;
  if (answer.status == 304) {
    result = take_same(p, &answer, error);
  } else if (answer.status != 200) {
    result = refuse_answer(&answer, error);
  } else if (strcmp(answer.type, CHANGES_TYPE) != 0) {
    result = take_whole(p, &answer, error);
  } else if (apply_changes(p, &answer, &fresh)) {
    result = take_fresh(p, &answer, &fresh, error);
    forget(&fresh);
  } else {
    st_fetch_give(&answer);
    return ask_whole(p, error);
  }
  st_fetch_give(&answer);
  return result;
}

/* ---- going on ---- */

/* A share of a number between from and to, in thousandths. */
static int64_t some_of(int64_t number, int64_t from, int64_t to) {
  uint32_t random;
  st_random_fill(&random, sizeof random);
  return number * (from + (int64_t)(random % (uint32_t)(to - from + 1))) / 1000;
}

/* Twice as long after each failure; not all edges at the same moment. */
static int64_t pause_ms(int64_t every, int failures) {
  int64_t most = every > BACK_OFF_MS ? every : BACK_OFF_MS, wait = every;
  if (failures == 0) return some_of(every, 900, 1100);
  for (int i = 1; i < failures && wait < most; i++) wait *= 2;
  return some_of(wait < most ? wait : most, 500, 1000);
}

static void describe_state(const puller *p, outcome result, const char *error, char *out) {
  if (result != CURRENT) {
    snprintf(out, ST_ERROR_MAX, "%s", error);
  } else {
    snprintf(out, ST_ERROR_MAX, "sequence=%lld entries=%lu bytes=%zu", (long long)p->have.sequence,
             (unsigned long)p->have.count, p->have.len);
  }
}

/* A line when something else is true than before. */
static void go_on(puller *p, int64_t every) {
  char error[ST_ERROR_MAX] = "", now[ST_ERROR_MAX], last[ST_ERROR_MAX] = "";
  outcome before = STOPPED;
  int failures = 0;
  for (;;) {
    outcome result = round_of(p, error);
    if (result == STOPPED) return;
    describe_state(p, result, error, now);
    if (result != before || strcmp(now, last) != 0) st_log_event(outcomes[result].event, now);
    before = result;
    memcpy(last, now, sizeof last);
    failures = result == CURRENT ? 0 : failures + 1;
    struct pollfd stop = {.fd = p->stop, .events = POLLIN};
    if (poll(&stop, 1, (int)pause_ms(every * 1000, failures)) > 0) return;
  }
}

static int pull_once(puller *p, bool json) {
  char error[ST_ERROR_MAX] = "";
  outcome result = round_of(p, error);
  if (result == STOPPED) return ST_EXIT_FAILED; /* it was told to end before it had them */
  if (result != CURRENT) {
    return st_print_error(outcomes[result].code, "pull: %s: %s", outcomes[result].event, error);
  }
  if (json) {
    printf("{\"sequence\":%lld,\"entries\":%lu,\"bytes\":%zu,\"vouched\":%lld}\n",
           (long long)p->have.sequence, (unsigned long)p->have.count, p->have.len,
           (long long)p->time);
  }
  return st_print_flush(ST_EXIT_DONE);
}

static int pull_on(puller *p, int64_t every) {
  char error[ST_ERROR_MAX];
  if (!st_log_start("", error)) return st_print_error(ST_EXIT_FAILED, "pull: %s", error);
  go_on(p, every);
  st_log_stop();
  return ST_EXIT_DONE;
}

/* ---- beginning ---- */

typedef struct pull_options {
  const char *from, *to, *key_file, *every, *timeout, *ca, *leeway, *max_size;
  bool once, json;
} pull_options;

static bool name_files(puller *p, const char *path) {
  if (path[0] == '\0' || strlen(path) > SUBTOKEN_FEED_PATH_MAX) return false;
  snprintf(p->path, sizeof p->path, "%s", path);
  snprintf(p->alive, sizeof p->alive, "%s.alive", path);
  snprintf(p->next, sizeof p->next, "%s.next", path);
  snprintf(p->seen, sizeof p->seen, "%s.seen", path);
  snprintf(p->lock, sizeof p->lock, "%s.lock", path);
  return true;
}

/* Blocked before any thread starts: they end it between two writes, or in a request. A disk
 * that is full, or may not take more, is an error to be told and not the end.
 */
static int catch_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int pull_locked(puller *p, const pull_options *given, int64_t every, int64_t timeout) {
  char error[ST_ERROR_MAX];
  st_fetch_settings settings = {given->from, given->ca, timeout, p->stop, length_of_answer};
  st_replace_sweep(p->path);
  st_replace_sweep(p->alive);
  st_replace_sweep(p->next);
  st_replace_sweep(p->seen);
  switch (st_fetch_start(&settings, &p->fetch, error)) {
    case ST_FETCH_DONE: break;
    case ST_FETCH_BAD_URL: return st_print_error(ST_EXIT_USAGE, "pull: --from: %s", error);
    default: return st_print_error(ST_EXIT_FAILED, "pull: %s", error);
  }
  int code = given->once ? pull_once(p, given->json) : pull_on(p, every);
  st_fetch_stop(p->fetch);
  return code;
}

static int pull(puller *p, const pull_options *given, int64_t every, int64_t timeout) {
  char error[ST_ERROR_MAX];
  p->key_file = given->key_file;
  p->stop = catch_signals();
  if (p->stop < 0)
    return st_print_error(ST_EXIT_FAILED, "pull: cannot receive signals: %s", strerror(errno));
  int lock = st_lock_claim(p->lock, error);
  int code = lock < 0 ? st_print_error(ST_EXIT_FAILED, "pull: %s", error)
                      : pull_locked(p, given, every, timeout);
  st_lock_release(lock);
  (void)close(p->stop);
  return code;
}

int st_cmd_pull(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken pull --from URL --to FILE --key-file FILE [--every 1s] [--timeout 60s]\n"
      "                     [--ca FILE] [--leeway S] [--max-size SIZE] [--once] [--json]\n"
      "Keeps an edge's revocation data fresh: replaces FILE, FILE.alive and FILE.seen whenever "
      "the\n"
      "server at URL (https, or http on this machine) has something newer. A URL without a path\n"
      "means /v2/revocations there.\n"
      "The key needs the permission `revocations`; --ca is for a server whose certificate the\n"
      "system does not know. Runs until SIGTERM, and writes a JSON line to standard error when\n"
      "something has changed.\n"
      "With --once, exit 0 when the files are current, 1 when the server refuses or is behind\n"
      "what was seen, 3 when it could not be done.";
  static puller p;
  pull_options given = {0};
  int64_t every = 1, timeout = 60;
  const st_option options[] = {{"--from", NULL, &given.from},
                               {"--to", NULL, &given.to},
                               {"--key-file", NULL, &given.key_file},
                               {"--every", NULL, &given.every},
                               {"--timeout", NULL, &given.timeout},
                               {"--once", &given.once, NULL},
                               {"--ca", NULL, &given.ca},
                               {"--leeway", NULL, &given.leeway},
                               {"--max-size", NULL, &given.max_size},
                               {"--json", &given.json, NULL},
                               {0}};
  st_arguments arguments = {.command = "pull", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (given.from == NULL || given.to == NULL || given.key_file == NULL) {
    return st_options_usage(&arguments, "--from, --to and --key-file are required");
  }
  if (given.every != NULL &&
      (!st_input_span(given.every, &every) || every < 1 || every > EVERY_MOST)) {
    return st_options_usage(&arguments, "--every must be a number with s, m or h, from 1s to 24h");
  }
  if (given.timeout != NULL &&
      (!st_input_span(given.timeout, &timeout) || timeout < 1 || timeout > EVERY_MOST)) {
    return st_options_usage(&arguments,
                            "--timeout must be a number with s, m or h, from 1s to 24h");
  }
  p.leeway = 60;
  if (given.leeway != NULL && !st_input_leeway(given.leeway, &p.leeway)) {
    return st_options_usage(&arguments, ST_LEEWAY_USAGE);
  }
  if (given.max_size != NULL && !st_input_size(given.max_size, &max_size)) {
    return st_options_usage(&arguments, ST_SIZE_USAGE);
  }
  if (given.json && !given.once) return st_options_usage(&arguments, "--json requires --once");
  if (!name_files(&p, given.to)) return st_options_usage(&arguments, "--to is empty or too long");
  return pull(&p, &given, every, timeout);
}
