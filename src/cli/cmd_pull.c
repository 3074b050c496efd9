/* `subtoken pull`: requests a server's revocation data again and again, and keeps it in files for
 * an edge. Here are the options, the loop, and what of a response is accepted: nothing that is
 * older than what was seen. The files are in pull_files.c, the connection in fetch.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/fetch.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/pull_files.h"
#include "core/revocations_format.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/lock.h"
#include "os/log.h"
#include "os/random.h"
#include "subtoken/feed.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

#define EVERY_MAX INT64_C(86400) /* seconds */
#define BACK_OFF_MS INT64_C(30000)

#define SNAPSHOT_TYPE "application/octet-stream"
#define CHANGES_TYPE "application/vnd.subtoken.changes"

/* What became of a round. */
typedef enum pull_outcome {
  PULL_CURRENT,
  PULL_STOPPED,
  PULL_REFUSED,
  PULL_ROLLBACK,
  PULL_BAD,
  PULL_FAILED
} pull_outcome;

static const struct {
  const char *event;
  int code; /* of --once */
} pull_outcomes[] = {
    [PULL_CURRENT] = {"pulled", ST_EXIT_DONE},
    [PULL_STOPPED] = {NULL, ST_EXIT_DONE},
    [PULL_REFUSED] = {"pull_refused", ST_EXIT_REFUSED},
    [PULL_ROLLBACK] = {"feed_rollback", ST_EXIT_REFUSED},
    [PULL_BAD] = {"feed_bad", ST_EXIT_FAILED},
    [PULL_FAILED] = {"pull_failed", ST_EXIT_FAILED},
};

typedef struct puller {
  const char *key_file;
  int64_t leeway;
  st_fetch *fetch;
  st_pull_files files;
  int stop; /* SIGTERM and SIGINT arrive here */
} puller;

/* A snapshot that is larger is as one that cannot be read: the response ends there. */
static size_t pull_body_length(void *context, const uint8_t *head, const char *type) {
  const size_t max = ((const puller *)context)->files.max_size;
  if (strcmp(type, SNAPSHOT_TYPE) == 0 && memcmp(head, ST_SNAPSHOT_MAGIC, 8) == 0) {
    size_t length = subtoken_revocations_size(st_load32(head + ST_SNAPSHOT_COUNT));
    return length <= max ? length : 0;
  }
  if (strcmp(type, CHANGES_TYPE) != 0) return 0; /* their head is looked at when applied */
  size_t length = SUBTOKEN_CHANGES_LEN(st_load32(head + 24), st_load32(head + 28));
  return length <= max ? length : max;
}

/* ---- what of a response is accepted ---- */

static pull_outcome pull_set_error(pull_outcome what, char *error, const char *text) {
  snprintf(error, ST_ERROR_MAX, "%s", text);
  return what;
}

/* The heartbeat that came along, when it names this snapshot. */
static pull_outcome pull_check_heartbeat(const puller *p, const st_fetch_response *response,
                                         const st_pull_snapshot *named,
                                         uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN], char *error) {
  if (subtoken_heartbeat_decode(st_text(response->heartbeat), heartbeat) != SUBTOKEN_FEED_OK ||
      memcmp(heartbeat, ST_HEARTBEAT_MAGIC, 8) != 0) {
    return pull_set_error(PULL_BAD, error, "the response has no heartbeat");
  }
  if (!st_pull_files_heartbeat_matches(heartbeat, named)) {
    return pull_set_error(PULL_BAD, error, "the heartbeat in the response names another snapshot");
  }
  uint64_t time = st_load64(heartbeat + ST_FEED_TIME);
  if (time == 0 || time > SUBTOKEN_TIME_MAX) {
    return pull_set_error(PULL_BAD, error, "the heartbeat in the response has no time");
  }
  int64_t latest = st_clock_now() + p->leeway;
  if ((int64_t)time > latest) {
    return pull_set_error(
        PULL_BAD, error,
        "the heartbeat in the response is from the future: the clock of the server is "
        "ahead, or the clock here is behind");
  }
  /* One from a time that has not come is void: a clock was wrong. */
  if ((int64_t)time >= p->files.time || p->files.time > latest) return PULL_CURRENT;
  return pull_set_error(PULL_ROLLBACK, error,
                        "the heartbeat in the response is older than the previous one");
}

static pull_outcome pull_accept(puller *p, const st_fetch_response *response,
                                const st_pull_snapshot *fresh, char *error) {
  uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN];
  if (fresh->sequence < p->files.highest) {
    snprintf(error, ST_ERROR_MAX,
             "the snapshot in the response has sequence %lld, but %lld was seen before: not used",
             (long long)fresh->sequence, (long long)p->files.highest);
    return PULL_ROLLBACK;
  }
  pull_outcome result = pull_check_heartbeat(p, response, fresh, heartbeat, error);
  if (result != PULL_CURRENT) return result;
  bool known = p->files.have.sequence != 0 && strcmp(p->files.have.etag, fresh->etag) == 0;
  return st_pull_files_write(&p->files, known ? NULL : fresh, heartbeat, error) ? PULL_CURRENT
                                                                                : PULL_FAILED;
}

static pull_outcome pull_accept_unchanged(puller *p, const st_fetch_response *response,
                                          char *error) {
  uint8_t heartbeat[SUBTOKEN_HEARTBEAT_LEN];
  if (p->files.have.sequence == 0) {
    return pull_set_error(PULL_BAD, error, "the server answers 304, but there is no FILE yet");
  }
  if (p->files.have.sequence < p->files.highest) {
    snprintf(error, ST_ERROR_MAX,
             "the server says that FILE with sequence %lld is current, but %lld was seen before",
             (long long)p->files.have.sequence, (long long)p->files.highest);
    return PULL_ROLLBACK;
  }
  pull_outcome result = pull_check_heartbeat(p, response, &p->files.have, heartbeat, error);
  if (result != PULL_CURRENT) return result;
  return st_pull_files_write(&p->files, NULL, heartbeat, error) ? PULL_CURRENT : PULL_FAILED;
}

/* Is it what its ETag says? */
static bool pull_is_whole(st_pull_snapshot *fresh, const st_fetch_response *response) {
  return st_pull_files_describe(fresh) && strcmp(fresh->etag, response->etag) == 0;
}

/* FILE with the changes in it; false when they do not lead to what the response says. */
static bool pull_apply_changes(const puller *p, const st_fetch_response *response,
                               st_pull_snapshot *fresh) {
  st_pull_snapshot old;
  memset(fresh, 0, sizeof *fresh);
  if (!st_pull_files_read(&p->files, &old)) return false;
  size_t size = subtoken_changes_size(response->body, response->len);
  fresh->bytes = size > 0 && size <= p->files.max_size ? malloc(size) : NULL;
  bool good = fresh->bytes != NULL &&
              subtoken_changes_apply(old.bytes, old.len, response->body, response->len,
                                     fresh->bytes, size, &fresh->len) == SUBTOKEN_FEED_OK &&
              pull_is_whole(fresh, response);
  st_pull_files_free(&old);
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

static pull_outcome pull_refuse(st_fetch_response *response, char *error) {
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
    case 403: return PULL_REFUSED;
    case 409: return PULL_ROLLBACK; /* it never gave the sequence that FILE has */
    default: return PULL_FAILED;
  }
}

/* ---- a round ---- */

/* The sequence that is here goes with every request, also when the whole snapshot is wanted: a
 * server that never issued it has another history, and must not be believed. The key is read for
 * each request, so that a new one is used at once, and wiped after it.
 */
static pull_outcome pull_request(puller *p, bool whole, st_fetch_response *response, char *error) {
  char text[SUBTOKEN_TOKEN_MAX + 2];
  subtoken_text key;
  st_fetch_status fetched = ST_FETCH_FAILED;
  st_fetch_request request = {.etag = whole ? "" : p->files.have.etag, .whole = whole};
  request.since =
      p->files.have.sequence > p->files.highest ? p->files.have.sequence : p->files.highest;
  memset(response, 0, sizeof *response);
  if (st_input_key_file(p->key_file, text, sizeof text, &key, error)) {
    request.credential = key.data;
    fetched = st_fetch_send(p->fetch, &request, response, error);
  }
  subtoken_wipe(text, sizeof text);
  switch (fetched) {
    case ST_FETCH_DONE: return PULL_CURRENT;
    case ST_FETCH_STOPPED: return PULL_STOPPED;
    case ST_FETCH_UNFIT: return PULL_BAD;
    default: return PULL_FAILED;
  }
}

/* The response's body becomes the snapshot. */
static pull_outcome pull_accept_body(puller *p, st_fetch_response *response, char *error) {
  st_pull_snapshot fresh = {.bytes = response->body, .len = response->len};
  if (strcmp(response->type, SNAPSHOT_TYPE) != 0 || !pull_is_whole(&fresh, response)) {
    return pull_set_error(PULL_BAD, error, "the response is not the snapshot that its ETag names");
  }
  return pull_accept(p, response, &fresh, error);
}

static pull_outcome pull_whole(puller *p, char *error) {
  st_fetch_response response;
  pull_outcome result = pull_request(p, true, &response, error);
  if (result == PULL_CURRENT) {
    result = response.status == 200 ? pull_accept_body(p, &response, error)
                                    : pull_refuse(&response, error);
  }
  st_fetch_response_free(&response);
  return result;
}

static pull_outcome pull_round(puller *p, char *error) {
  st_fetch_response response;
  st_pull_snapshot fresh;
  st_pull_files_refresh(&p->files);
  pull_outcome result =
      pull_request(p, p->files.have.sequence < p->files.highest, &response, error);
  if (result != PULL_CURRENT) return result;
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
    return pull_whole(p, error);
  }
  st_fetch_response_free(&response);
  return result;
}

/* ---- the loop ---- */

/* A share of a number between from and to, in thousandths. */
static int64_t pull_share_of(int64_t number, int64_t from, int64_t to) {
  uint32_t random;
  st_random_fill(&random, sizeof random);
  return number * (from + (int64_t)(random % (uint32_t)(to - from + 1))) / 1000;
}

/* Twice as long after each failure; not all edges at the same moment. */
static int64_t pull_pause_ms(int64_t every, int failures) {
  int64_t most = every > BACK_OFF_MS ? every : BACK_OFF_MS, wait = every;
  if (failures == 0) return pull_share_of(every, 900, 1100);
  for (int i = 1; i < failures && wait < most; i++) wait *= 2;
  return pull_share_of(wait < most ? wait : most, 500, 1000);
}

static void pull_describe(const puller *p, pull_outcome result, const char *error, char *out) {
  if (result != PULL_CURRENT) {
    snprintf(out, ST_ERROR_MAX, "%s", error);
  } else {
    snprintf(out, ST_ERROR_MAX, "sequence=%lld entries=%lu bytes=%zu",
             (long long)p->files.have.sequence, (unsigned long)p->files.have.count,
             p->files.have.len);
  }
}

/* Logs a line when something has changed since the round before. */
static void pull_repeatedly(puller *p, int64_t every) {
  char error[ST_ERROR_MAX] = "", now[ST_ERROR_MAX], last[ST_ERROR_MAX] = "";
  pull_outcome before = PULL_STOPPED;
  int failures = 0;
  for (;;) {
    pull_outcome result = pull_round(p, error);
    if (result == PULL_STOPPED) return;
    pull_describe(p, result, error, now);
    if (result != before || strcmp(now, last) != 0) st_log_event(pull_outcomes[result].event, now);
    before = result;
    memcpy(last, now, sizeof last);
    failures = result == PULL_CURRENT ? 0 : failures + 1;
    struct pollfd stop = {.fd = p->stop, .events = POLLIN};
    if (poll(&stop, 1, (int)pull_pause_ms(every * 1000, failures)) > 0) return;
  }
}

static int pull_once(puller *p, bool json) {
  char error[ST_ERROR_MAX] = "";
  pull_outcome result = pull_round(p, error);
  if (result == PULL_STOPPED) return ST_EXIT_FAILED; /* a signal came before it had them */
  if (result != PULL_CURRENT) {
    return st_print_error(pull_outcomes[result].code, "pull: %s: %s", pull_outcomes[result].event,
                          error);
  }
  if (json) {
    printf("{\"sequence\":%lld,\"entries\":%lu,\"bytes\":%zu,\"vouched\":%lld}\n",
           (long long)p->files.have.sequence, (unsigned long)p->files.have.count, p->files.have.len,
           (long long)p->files.time);
  }
  return st_print_flush(ST_EXIT_DONE);
}

static int pull_until_stopped(puller *p, int64_t every) {
  char error[ST_ERROR_MAX];
  if (!st_log_start("", error)) return st_print_error(ST_EXIT_FAILED, "pull: %s", error);
  pull_repeatedly(p, every);
  st_log_stop();
  return ST_EXIT_DONE;
}

/* ---- the command ---- */

typedef struct pull_options {
  const char *from, *to, *key_file, *every, *timeout, *ca, *leeway, *max_size;
  bool once, json;
} pull_options;

/* Blocked before any thread starts: they end it between two writes, or in a request. A disk
 * that is full, or a limit of file sizes, is an error to log and not the end.
 */
static int pull_catch_signals(void) {
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
  st_fetch_settings settings = {.url = given->from,
                                .ca = given->ca,
                                .timeout = timeout,
                                .stop = p->stop,
                                .length = pull_body_length,
                                .context = p};
  st_pull_files_sweep(&p->files);
  switch (st_fetch_start(&settings, &p->fetch, error)) {
    case ST_FETCH_DONE: break;
    case ST_FETCH_BAD_URL: return st_print_error(ST_EXIT_USAGE, "pull: --from: %s", error);
    default: return st_print_error(ST_EXIT_FAILED, "pull: %s", error);
  }
  int code = given->once ? pull_once(p, given->json) : pull_until_stopped(p, every);
  st_fetch_stop(p->fetch);
  return code;
}

static int pull_run(puller *p, const pull_options *given, int64_t every, int64_t timeout) {
  char error[ST_ERROR_MAX];
  p->key_file = given->key_file;
  p->stop = pull_catch_signals();
  if (p->stop < 0) {
    return st_print_error(ST_EXIT_FAILED, "pull: cannot receive signals: %s", strerror(errno));
  }
  int lock = st_lock_claim(p->files.lock, error);
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
      "Keeps an edge's revocation data fresh: replaces FILE, FILE.alive and FILE.seen\n"
      "whenever the server at URL (https, or http on this machine) has something newer. A URL\n"
      "without a path means /v2/revocations there.\n"
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
      (!st_input_span(given.every, &every) || every < 1 || every > EVERY_MAX)) {
    return st_options_usage(&arguments, "--every must be a number with s, m or h, from 1s to 24h");
  }
  if (given.timeout != NULL &&
      (!st_input_span(given.timeout, &timeout) || timeout < 1 || timeout > EVERY_MAX)) {
    return st_options_usage(&arguments,
                            "--timeout must be a number with s, m or h, from 1s to 24h");
  }
  p.leeway = 60;
  p.files.max_size = SUBTOKEN_FEED_SIZE_DEFAULT;
  if (given.leeway != NULL && !st_input_leeway(given.leeway, &p.leeway)) {
    return st_options_usage(&arguments, ST_LEEWAY_USAGE);
  }
  if (given.max_size != NULL && !st_input_size(given.max_size, &p.files.max_size)) {
    return st_options_usage(&arguments, ST_SIZE_USAGE);
  }
  if (given.json && !given.once) return st_options_usage(&arguments, "--json requires --once");
  if (!st_pull_files_name(&p.files, given.to)) {
    return st_options_usage(&arguments, "--to is empty or too long");
  }
  return pull_run(&p, &given, every, timeout);
}
