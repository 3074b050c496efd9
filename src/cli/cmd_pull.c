/* `subtoken pull`: requests a server's revocation data again and again, and keeps it in files for
 * an edge. Here are the options, the signals and the lock. When a request is made, and of which
 * server, is in pull_loop.c; what of a response is accepted, in pull_round.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/fetch.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/pull_loop.h"
#include "os/error.h"
#include "os/lock.h"
#include "os/notify.h"

#define EVERY_MAX INT64_C(86400) /* seconds */

typedef struct pull_options {
  const char *from[ST_FETCH_URLS_MAX];
  const char *to, *audience, *key_file, *every, *timeout, *ca, *leeway, *max_size, *metrics_listen;
  st_listen metrics; /* of kind NONE: nowhere */
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
  st_notify_start();
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int pull_locked(st_puller *p, const pull_options *given, int64_t every, int64_t timeout) {
  char error[ST_ERROR_MAX];
  st_pull_loop_settings loop = {.urls = given->from, .every = every};
  if (given->metrics_listen != NULL) loop.metrics = &given->metrics;
  while (loop.url_count < ST_FETCH_URLS_MAX && given->from[loop.url_count] != NULL) {
    loop.url_count++;
  }
  st_fetch_settings settings = {.urls = given->from,
                                .url_count = loop.url_count,
                                .audience = given->audience,
                                .ca = given->ca,
                                .timeout = timeout,
                                .stop = p->stop,
                                .length = st_pull_round_length,
                                .context = p};
  st_pull_files_sweep(&p->files);
  switch (st_fetch_start(&settings, &p->fetch, error)) {
    case ST_FETCH_DONE: break;
    case ST_FETCH_BAD_URL: return st_print_error(ST_EXIT_USAGE, "pull: --from: %s", error);
    default: return st_print_error(ST_EXIT_FAILED, "pull: %s", error);
  }
  int code = given->once ? st_pull_loop_once(p, &loop, given->json) : st_pull_loop_run(p, &loop);
  st_fetch_stop(p->fetch);
  return code;
}

static int pull_run(st_puller *p, const pull_options *given, int64_t every, int64_t timeout) {
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

/* The numbers among the options; false after what is wrong with one was printed. */
static bool pull_read_values(const st_arguments *arguments, const pull_options *given,
                             int64_t *every, int64_t *timeout, st_puller *p) {
  if (given->every != NULL &&
      (!st_input_span(given->every, every) || *every < 1 || *every > EVERY_MAX)) {
    return st_options_usage(arguments, "--every must be a number with s, m or h, from 1s to 24h") ==
           0;
  }
  if (given->timeout != NULL &&
      (!st_input_span(given->timeout, timeout) || *timeout < 1 || *timeout > EVERY_MAX)) {
    return st_options_usage(arguments,
                            "--timeout must be a number with s, m or h, from 1s to 24h") == 0;
  }
  p->leeway = 60;
  p->files.max_size = SUBTOKEN_FEED_SIZE_DEFAULT;
  if (given->leeway != NULL && !st_input_leeway(given->leeway, &p->leeway)) {
    return st_options_usage(arguments, ST_LEEWAY_USAGE) == 0;
  }
  if (given->max_size != NULL && !st_input_size(given->max_size, &p->files.max_size)) {
    return st_options_usage(arguments, ST_SIZE_USAGE) == 0;
  }
  return true;
}

int st_cmd_pull(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken pull --from URL... --to FILE --key-file FILE [--every 1s] [--timeout 60s]\n"
      "                     [--audience A] [--ca FILE] [--leeway S] [--max-size SIZE] [--once]\n"
      "                     [--metrics-listen HOST:PORT] [--json]\n"
      "Keeps an edge's revocation data fresh: replaces FILE, FILE.alive and FILE.seen as soon as\n"
      "the server at URL (https, or http on this machine) has something newer, and at least every\n"
      "--every for the heartbeat. A URL without a path, or with the path /, means\n"
      "/v2/revocations there. --from may be given up to 16 times: when a server fails, refuses or\n"
      "vouches for nothing newer, the next one is asked, and it stays with the one that answers.\n"
      "--audience is for an edge whose ring is that of `subtoken secret derive`: the data comes\n"
      "under these secrets.\n"
      "The key needs the permission `revocations`; --ca is for a server whose certificate the\n"
      "system does not know. Runs until SIGTERM, and writes a JSON line to standard error when\n"
      "something has changed.\n"
      "--metrics-listen answers GET /metrics there, without a credential.\n"
      "With --once, exit 0 when the files are current, 1 when the server refuses or is behind\n"
      "what was seen, 3 when it could not be done.";
  static st_puller p;
  pull_options given = {0};
  int64_t every = 1, timeout = 60;
  const st_option options[] = {{"--from", NULL, &given.from[0]},
                               {"--to", NULL, &given.to},
                               {"--key-file", NULL, &given.key_file},
                               {"--audience", NULL, &given.audience},
                               {"--every", NULL, &given.every},
                               {"--timeout", NULL, &given.timeout},
                               {"--once", &given.once, NULL},
                               {"--ca", NULL, &given.ca},
                               {"--leeway", NULL, &given.leeway},
                               {"--max-size", NULL, &given.max_size},
                               {"--json", &given.json, NULL},
                               {"--metrics-listen", NULL, &given.metrics_listen},
                               {0}};
  st_arguments arguments = {.command = "pull",
                            .help = help,
                            .options = options,
                            .repeated = given.from,
                            .repeat_max = ST_FETCH_URLS_MAX};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (given.from[0] == NULL || given.to == NULL || given.key_file == NULL) {
    return st_options_usage(&arguments, "--from, --to and --key-file are required");
  }
  if (given.key_file[0] == '\0') return st_options_usage(&arguments, "--key-file is empty");
  if (given.ca != NULL && given.ca[0] == '\0') return st_options_usage(&arguments, "--ca is empty");
  if (!pull_read_values(&arguments, &given, &every, &timeout, &p)) return ST_EXIT_USAGE;
  p.audience = given.audience;
  if (given.audience != NULL && !subtoken_audience_valid(st_text(given.audience))) {
    return st_options_usage(&arguments, "--audience must be 1 to 32 characters A-Z a-z 0-9 _ -");
  }
  if (given.metrics_listen != NULL &&
      (given.once || !st_listen_read(st_text(given.metrics_listen), &given.metrics))) {
    return st_options_usage(&arguments, given.once
                                            ? "--metrics-listen is not for --once"
                                            : "--metrics-listen must be ADDRESS:PORT, such as "
                                              "127.0.0.1:9465, or unix:/PATH of at most 100 bytes");
  }
  if (given.json && !given.once) return st_options_usage(&arguments, "--json requires --once");
  if (!st_pull_files_name(&p.files, given.to)) {
    return st_options_usage(&arguments, "--to is empty or too long");
  }
  return pull_run(&p, &given, every, timeout);
}
