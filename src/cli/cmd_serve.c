/* `subtoken serve`: starts the server, waits for signals, reloads the configuration, and stops it.
 * Requests are answered in src/server and src/service; what --demo prints is in demo.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/data_dir.h"
#include "cli/demo.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/listen.h"
#include "domain/store.h"
#include "operations/settings.h"
#include "operations/vouched_files.h"
#include "os/error.h"
#include "os/log.h"
#include "os/notify.h"
#include "server/held_requests.h"
#include "server/http.h"
#include "server/listener.h"
#include "server/metrics.h"
#include "server/metrics_listener.h"
#include "server/runtime_config.h"
#include "server/snapshot_cache.h"
#include "server/upkeep.h"

typedef struct serve_options {
  st_data_options data;
  const char *listen;
  const char *beside; /* the configuration in DATA */
  bool demo;
} serve_options;

/* The file, and --listen in place of its listen. */
static bool serve_read_config(const serve_options *given, st_settings *settings, char *error) {
  if (!st_config_file_read(given->data.config, given->beside, settings, error)) return false;
  if (given->listen != NULL) { /* checked before */
    settings->listen_count = st_listen_read(st_text(given->listen), &settings->listen[0]);
  }
  return true;
}

/* Are all addresses on this machine? If not, a warning is logged. */
static bool serve_is_local(const st_settings *settings) {
  for (size_t i = 0; i < settings->listen_count; i++) {
    if (!st_listen_is_local(&settings->listen[i])) return false;
  }
  return true;
}

static bool serve_listens_alike(const st_settings *one, const st_settings *other) {
  bool alike = one->listen_count == other->listen_count;
  for (size_t i = 0; alike && i < one->listen_count; i++) {
    alike = strcmp(one->listen[i].text, other->listen[i].text) == 0;
  }
  return alike;
}

/* NULL, or the settings of which one differs that a running server cannot change. */
static const char *serve_needs_restart(const st_settings *one, const st_settings *other) {
  if (!serve_listens_alike(one, other) || one->threads != other->threads) return "listen, threads";
  if (strcmp(one->metrics_listen.text, other->metrics_listen.text) != 0) return "metrics_listen";
  bool alike = strcmp(one->store, other->store) == 0 &&
               one->store_staleness == other->store_staleness &&
               one->store_cache == other->store_cache;
  return alike ? NULL : "store, store_staleness, store_cache";
}

/* All of it or nothing: what can fail comes before the change. */
static bool serve_reload(const serve_options *given, const st_settings *before, st_store *store,
                         char *error) {
  static st_settings settings;
  if (!serve_read_config(given, &settings, error)) return false;
  const char *fixed = serve_needs_restart(&settings, before);
  if (fixed != NULL) return st_error_set(error, "%s: a new value needs a restart", fixed);
  int log;
  if (!st_log_open(settings.log, &log, error)) return false;
  st_data_dir_use_settings(&settings, settings.store_cache);
  st_runtime_config *fresh = st_runtime_config_load(&settings, error);
  bool changed = fresh != NULL && st_settings_set(store, &settings, error);
  if (changed) {
    st_runtime_config_activate(fresh);
    st_http_apply(&settings);
  } else if (fresh != NULL) {
    st_runtime_config_release(fresh);
  }
  if (!changed) {
    st_runtime_config *config = st_runtime_config_acquire();
    st_data_dir_use_settings(&config->settings, config->settings.store_cache);
    st_runtime_config_release(config);
  }
  st_log_use(log, changed);
  return changed;
}

/* How curl reaches the server: by an address if there is one, else by a socket. */
static void serve_find_base_url(bool page, st_demo_server *base) {
  char name[ST_LISTENER_NAME_MAX];
  for (size_t i = st_listener_count(); i > 0; i--) {
    st_listener_name(i - 1, name);
    bool address = st_listener_port(i - 1) > 0;
    if (!address && base->url[0] != '\0') continue;
    snprintf(base->url, sizeof base->url, "%s", address ? name : "http://localhost");
    base->via[0] = '\0';
    base->page = page && address;
    if (!address) {
      snprintf(base->via, sizeof base->via, "--unix-socket '%s' ", name + strlen(ST_PEER_UNIX));
    }
  }
}

/* A connection takes a descriptor, and more may wait than are served. */
static void serve_raise_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void serve_log_listeners(void) {
  char name[ST_LISTENER_NAME_MAX];
  for (size_t i = 0; i < st_listener_count(); i++) {
    st_listener_name(i, name);
    st_log_event("listening", name);
  }
}

/* For logrotate, without reading the configuration. */
static bool serve_reopen_log(char *error) {
  int log;
  st_runtime_config *config = st_runtime_config_acquire();
  bool opened = st_log_open(config->settings.log, &log, error);
  st_runtime_config_release(config);
  if (opened) st_log_use(log, true);
  return opened;
}

/* Any other signal has its default effect. */
static const int handled_signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

static void serve_log_result(bool done, const char *event, const char *failed, const char *error) {
  st_log_event(done ? event : failed, done ? NULL : error);
}

/* What every request takes is taken here, too: the watchdog sees when it cannot be had. */
static void serve_show_alive(void) {
  st_runtime_config_release(st_runtime_config_acquire());
  st_notify_alive();
}

/* The next signal, or what sigwaitinfo says when it was interrupted. */
static int serve_wait_for_signal(const sigset_t *signals) {
  int64_t us = st_notify_interval_us();
  if (us == 0) return sigwaitinfo(signals, NULL);
  struct timespec interval = {us / 1000000, us % 1000000 * 1000};
  serve_show_alive();
  return sigtimedwait(signals, NULL, &interval);
}

static void serve_notify_ready(const char *failed) {
  char name[ST_LISTENER_NAME_MAX], status[ST_LISTENER_NAME_MAX + ST_ERROR_MAX + 64];
  st_listener_name(0, name);
  snprintf(status, sizeof status, "%s%s%s%s",
           failed != NULL ? "the old settings are in force: " : "", failed != NULL ? failed : "",
           failed != NULL ? "; listening on " : "listening on ", name);
  st_notify_status(status);
  st_notify_ready();
}

static void serve_reload_notified(const serve_options *given, const st_settings *settings,
                                  st_store *store) {
  char error[ST_ERROR_MAX];
  st_notify_reloading();
  bool done = serve_reload(given, settings, store, error);
  st_metrics_note_reload(done);
  serve_log_result(done, "reloaded", "reload_failed", error);
  serve_notify_ready(done ? NULL : error);
}

static void serve_wait_for_end(const serve_options *given, const st_settings *settings,
                               st_store *store, const sigset_t *signals) {
  char error[ST_ERROR_MAX];
  for (;;) {
    switch (serve_wait_for_signal(signals)) {
      case SIGTERM:
      case SIGINT:
      case SIGQUIT: return;
      case SIGHUP: serve_reload_notified(given, settings, store); break;
      case SIGUSR1:
        serve_log_result(serve_reopen_log(error), "log_reopened", "log_reopen_failed", error);
        break;
      case SIGUSR2: st_log_event("signal_ignored", "SIGUSR2"); break;
      default: break;
    }
  }
}

static bool serve_start_vouched(const st_data_dir *data, st_store *store, char *error) {
  st_runtime_config *config = st_runtime_config_acquire();
  bool started = st_vouched_files_start(data->dir, store, &config->ring, error);
  st_runtime_config_release(config);
  return started;
}

static bool serve_start_feed(st_store *store, char *error) {
  if (!st_snapshot_cache_start(store, error)) return false;
  if (st_held_requests_start(store, error)) return true;
  st_snapshot_cache_stop();
  return false;
}

/* After the last request has been answered. */
static void serve_stop_feed(void) {
  st_held_requests_stop();
  st_snapshot_cache_stop();
}

static bool serve_start_metrics(const st_settings *settings, char *error) {
  return settings->metrics_listen.kind == ST_LISTEN_NONE ||
         st_metrics_listener_start(&settings->metrics_listen, st_metrics_write, error);
}

/* What was vouched for is read before this start takes a sequence of its own. */
static bool serve_start(const st_data_dir *data, const st_settings *settings, st_store *store,
                        char *error) {
  if (!serve_start_vouched(data, store, error)) return false;
  if (st_upkeep_start(store, error)) {
    st_metrics_start(store, data->dir);
    if (serve_start_feed(store, error)) {
      if (serve_start_metrics(settings, error) && st_http_start(settings, store, error)) {
        return true;
      }
      st_metrics_listener_stop();
      serve_stop_feed();
    }
    st_upkeep_stop();
  }
  st_vouched_files_stop();
  return false;
}

static int serve_run(const serve_options *given, const st_data_dir *data, const sigset_t *signals) {
  const st_settings *settings = &data->settings;
  char error[ST_ERROR_MAX];
  st_demo_server base = {0};
  int code = ST_EXIT_FAILED;
  st_data_dir_use_settings(settings, settings->store_cache);
  st_store *store = st_data_dir_open(data, true, error);
  if (store == NULL) return st_print_error(code, "serve: %s", error);
  if (!st_runtime_config_start(data->secrets, settings, error) ||
      !st_settings_set(store, settings, error) || !st_log_start(settings->log, error)) {
    st_print_error(code, "serve: %s", error);
  } else if (!serve_start(data, settings, store, error)) {
    st_log_stop();
    st_print_error(code, "serve: %s", error);
  } else {
    serve_find_base_url(settings->page, &base);
    if (given->demo && !st_demo_show(store, data->dir, &base, error)) {
      st_print_error(0, "serve: %s", error);
    }
    serve_log_listeners();
    if (!serve_is_local(settings) && !settings->behind_tls) {
      st_log_event("not_behind_tls",
                   "keys and tokens cross the network unencrypted; see behind_tls");
    }
    serve_notify_ready(NULL);
    serve_wait_for_end(given, settings, store, signals);
    st_notify_stopping();
    st_log_event("stopping", NULL);
    st_http_stop();
    st_metrics_listener_stop();
    serve_stop_feed();
    st_upkeep_stop();
    st_vouched_files_stop();
    st_log_stop();
    code = ST_EXIT_DONE;
  }
  st_runtime_config_stop();
  st_store_close(store);
  return code;
}

int st_cmd_serve(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken serve [--listen HOST:PORT] [--config FILE] [--data DIR] [--demo]\n"
      "Runs the server until SIGTERM, SIGINT or SIGQUIT. SIGHUP reads the configuration again\n"
      "and reopens the log, SIGUSR1 reopens the log. Makes the DATA directory if there is none.\n"
      "--demo makes a key to try it with if there is none, and prints commands to paste.";
  serve_options given = {0};
  const st_option options[] = {ST_DATA_OPTIONS(given.data),
                               {"--listen", NULL, &given.listen},
                               {"--demo", &given.demo, NULL},
                               {0}};
  st_arguments arguments = {.command = "serve", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  char error[ST_ERROR_MAX];
  static st_data_dir data;
  st_listen listen;
  if (given.listen != NULL && !st_listen_read(st_text(given.listen), &listen)) {
    return st_print_error(
        ST_EXIT_USAGE,
        "serve: --listen must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080, "
        "or unix:/PATH of at most 100 bytes");
  }
  int found = st_data_dir_find(&given.data, &data, error);
  if (found != ST_EXIT_DONE) return st_print_error(found, "serve: %s", error);
  given.beside = data.config;
  if (given.listen != NULL) {
    data.settings.listen[0] = listen;
    data.settings.listen_count = 1;
  }
  /* Blocked before any thread starts, so that only serve_wait_for_end receives them. */
  sigset_t signals;
  sigemptyset(&signals);
  for (size_t i = 0; i < sizeof handled_signals / sizeof handled_signals[0]; i++) {
    sigaddset(&signals, handled_signals[i]);
  }
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* at a limit of file sizes a write fails, as on a full disk */
  st_notify_start();
  serve_raise_descriptors();
  return serve_run(&given, &data, &signals);
}
