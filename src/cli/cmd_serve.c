/* `subtoken serve`: starts the server, waits for signals, and stops it. Here are the start, the
 * reload and the demo; requests are answered in src/server and src/service.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/config.h"
#include "domain/key.h"
#include "domain/listen.h"
#include "domain/password.h"
#include "domain/store.h"
#include "domain/user.h"
#include "operations/draw.h"
#include "operations/keys.h"
#include "operations/password.h"
#include "operations/settings.h"
#include "operations/vouched_files.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "os/log.h"
#include "os/owner.h"
#include "os/semaphore.h"
#include "server/http.h"
#include "server/listener.h"
#include "server/runtime_config.h"
#include "server/snapshot_cache.h"
#include "server/upkeep.h"

typedef struct serve_options {
  const char *data, *listen, *config;
  const char *beside; /* the configuration in DATA */
  bool demo;
} serve_options;

/* The file that is named, or the one in DATA when there is one; NULL: none. The one in DATA must be
 * ours: the group of DATA may write there, and must not decide where the log goes.
 */
static bool serve_find_config(const serve_options *given, const char **path, char *error) {
  *path = given->config;
  if (given->config != NULL || !st_file_exists(given->beside)) return true;
  *path = given->beside;
  if (st_owner_is_ours(given->beside)) return true;
  snprintf(error, ST_ERROR_MAX,
           "%.300s must be a file of root or of the user that this runs as, and only its owner may "
           "write it: chown it, and chmod 640",
           given->beside);
  return false;
}

static bool serve_read_config(const serve_options *given, st_settings *settings, char *error) {
  static char text[ST_CONFIG_MAX];
  const char *path;
  size_t len = 0;
  char problem[ST_CONFIG_ERROR_MAX];
  st_config_default(settings);
  if (!serve_find_config(given, &path, error)) return false;
  if (path != NULL) {
    if (!st_file_read(path, text, sizeof text, &len, error)) return false;
    if (!st_config_read((subtoken_text){text, len}, settings, problem)) {
      snprintf(error, ST_ERROR_MAX, "%.200s: %s", path, problem);
      return false;
    }
  }
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

/* All of it or nothing: what can fail comes before the change. */
static bool serve_reload(const serve_options *given, const st_settings *before, st_store *store,
                         char *error) {
  static st_settings settings;
  if (!serve_read_config(given, &settings, error)) return false;
  if (!serve_listens_alike(&settings, before) || settings.threads != before->threads) {
    snprintf(error, ST_ERROR_MAX, "listen, threads: a new value needs a restart");
    return false;
  }
  int log;
  if (!st_log_open(settings.log, &log, error)) return false;
  st_data_dir_trust_group(settings.data_group);
  st_runtime_config *fresh = st_runtime_config_load(&settings, error);
  bool changed = fresh != NULL && st_settings_set(store, &settings, error);
  if (changed) {
    st_runtime_config_activate(fresh);
    st_http_apply(&settings);
  } else if (fresh != NULL) {
    st_runtime_config_release(fresh);
  }
  if (!changed) {
    st_runtime_config *live = st_runtime_config_acquire();
    st_data_dir_trust_group(live->settings.data_group);
    st_runtime_config_release(live);
  }
  st_log_use(log, changed);
  return changed;
}

static bool serve_flush(char *error) {
  if (fflush(stdout) == 0 && ferror(stdout) == 0) return true;
  snprintf(error, ST_ERROR_MAX, "cannot write to standard output: %s", strerror(errno));
  return false;
}

#define DEMO_PERMISSIONS "account,characters,inventories,progression,unlocks,wallet"

/* The first administrator, with every permission that it may have to grant, and a key to try it
 * with. */
static bool serve_make_demo(st_store *store, char whole[ST_KEY_LEN + 1],
                            char password[ST_SUB_LEN + 1], char *error) {
  st_key key = {.name = "demo",
                .permissions = DEMO_PERMISSIONS,
                .created_at = st_clock_now(),
                .expires_at = ST_NEVER};
  st_user admin = {.key = {.kind = ST_KIND_USER,
                           .name = "admin",
                           .owner = "admin",
                           .permissions = "keys,users,audit,services,revocations," DEMO_PERMISSIONS,
                           .expires_at = ST_NEVER}};
  uint8_t digest[32];
  char who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  st_draw_sub(password);
  st_draw_user(&admin.key, digest);
  admin.key.created_at = key.created_at;
  snprintf(error, ST_ERROR_MAX, "cannot hash a password: out of memory");
  bool made =
      st_password_hash(st_text(password), ST_WAIT_FOR_EVER, admin.password) == ST_PASSWORD_OK &&
      st_store_user_create(store, &context, NULL, false, &admin, digest, error) == ST_STORE_OK;
  subtoken_wipe(&admin, sizeof admin);
  return made && st_keys_create(store, &context, NULL, &key, whole, error) == ST_STORE_OK;
}

/* Is the store empty? */
static bool serve_is_new(st_store *store, bool *fresh, char *error) {
  int64_t keys = 0;
  size_t users = 0;
  st_user first = {0};
  bool read = st_store_key_count(store, &keys, error) == ST_STORE_OK &&
              st_store_user_list(store, "", 1, &first, &users, error) == ST_STORE_OK;
  *fresh = keys == 0 && users == 0;
  return read;
}

/* How curl reaches the server: by an address if there is one, else by a socket. */
typedef struct base_url {
  char via[ST_LISTENER_NAME_MAX + 32]; /* options for the socket, and a space */
  char url[ST_LISTENER_NAME_MAX];
} base_url;

static void serve_find_base_url(base_url *base) {
  char name[ST_LISTENER_NAME_MAX];
  for (size_t i = st_listener_count(); i > 0; i--) {
    st_listener_name(i - 1, name);
    bool address = st_listener_port(i - 1) > 0;
    if (!address && base->url[0] != '\0') continue;
    snprintf(base->url, sizeof base->url, "%s", address ? name : "http://localhost");
    base->via[0] = '\0';
    if (!address) {
      snprintf(base->via, sizeof base->via, "--unix-socket '%s' ", name + strlen(ST_PEER_UNIX));
    }
  }
}

/* Printed once. Each command can be pasted as it is. */
static bool serve_show_demo(const st_data_dir *data, st_store *store, const base_url *at,
                            char *error) {
  const char *base = at->url, *via = at->via;
  char whole[ST_KEY_LEN + 1], password[ST_SUB_LEN + 1];
  bool fresh;
  if (!serve_is_new(store, &fresh, error)) return false;
  if (!fresh) {
    printf(
        "Serving on %s. The demo key was shown when it was made; another key:\n"
        "  build/subtoken key create --data %s --name mine --permissions account\n",
        base, data->dir);
    return serve_flush(error);
  }
  if (!serve_make_demo(store, whole, password, error)) return false;
  printf("Serving on %s. A parent key to try it with, shown this once:\n\n  %s\n\n", base, whole);
  printf(
      "Make a subtoken with one permission, for one URL:\n\n"
      "  curl -s %s'%s/v2/createsubtoken?permissions=account&urls=/v2/tokeninfo' "
      "-H 'Authorization: Bearer %s'\n\n",
      via, base, whole);
  printf(
      "Make one and see what it is:\n\n"
      "  curl -s %s'%s/v2/tokeninfo?v=latest' -H \"Authorization: Bearer $(curl -s %s"
      "'%s/v2/createsubtoken?permissions=account&urls=/v2/tokeninfo' "
      "-H 'Authorization: Bearer %s' | cut -d'\"' -f4)\"\n\n",
      via, base, via, base, whole);
  printf(
      "Make one and see it refused where it should be:\n\n"
      "  curl -s %s'%s/v2/createsubtoken' -H \"Authorization: Bearer $(curl -s %s"
      "'%s/v2/createsubtoken?permissions=account&urls=/v2/tokeninfo' "
      "-H 'Authorization: Bearer %s' | cut -d'\"' -f4)\"\n\n",
      via, base, via, base, whole);
  printf(
      "The administrator is admin, the password, shown this once:\n\n  %s\n\n"
      "Log in, to make keys and users:\n\n"
      "  curl -s %s'%s/v1/auth/login' -H 'Content-Type: application/json' "
      "-d '{\"login\":\"admin\",\"password\":\"%s\"}'\n\n",
      password, via, base, password);
  subtoken_wipe(whole, sizeof whole);
  subtoken_wipe(password, sizeof password);
  return serve_flush(error);
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
  st_runtime_config *live = st_runtime_config_acquire();
  bool opened = st_log_open(live->settings.log, &log, error);
  st_runtime_config_release(live);
  if (opened) st_log_use(log, true);
  return opened;
}

/* Any other signal has its default effect. */
static const int handled_signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

static void serve_log_result(bool done, const char *event, const char *failed, const char *error) {
  st_log_event(done ? event : failed, done ? NULL : error);
}

static void serve_wait_for_end(const serve_options *given, const st_settings *settings,
                               st_store *store, const sigset_t *signals) {
  char error[ST_ERROR_MAX];
  for (;;) {
    switch (sigwaitinfo(signals, NULL)) {
      case SIGTERM:
      case SIGINT:
      case SIGQUIT: return;
      case SIGHUP:
        serve_log_result(serve_reload(given, settings, store, error), "reloaded", "reload_failed",
                         error);
        break;
      case SIGUSR1:
        serve_log_result(serve_reopen_log(error), "log_reopened", "log_reopen_failed", error);
        break;
      case SIGUSR2: st_log_event("signal_ignored", "SIGUSR2"); break;
      default: break;
    }
  }
}

static bool serve_start_vouched(const st_data_dir *data, st_store *store, char *error) {
  st_runtime_config *live = st_runtime_config_acquire();
  bool started = st_vouched_files_start(data->dir, store, &live->ring, error);
  st_runtime_config_release(live);
  return started;
}

/* What was vouched for is read before this start takes a sequence of its own. */
static bool serve_start(const st_data_dir *data, const st_settings *settings, st_store *store,
                        char *error) {
  if (!serve_start_vouched(data, store, error) || !st_upkeep_start(store, error)) return false;
  st_snapshot_cache_start(store);
  if (st_http_start(settings, store, error)) return true;
  st_snapshot_cache_stop();
  st_upkeep_stop();
  st_vouched_files_stop();
  return false;
}

static int serve_run(const serve_options *given, const st_data_dir *data,
                     const st_settings *settings, const sigset_t *signals) {
  char error[ST_ERROR_MAX];
  base_url base = {0};
  int code = ST_EXIT_FAILED;
  st_store *store = st_data_dir_open(data, true, error);
  if (store == NULL) return st_print_error(code, "serve: %s", error);
  if (!st_runtime_config_start(data->secrets, settings, error) ||
      !st_settings_set(store, settings, error) || !st_log_start(settings->log, error)) {
    st_print_error(code, "serve: %s", error);
  } else if (!serve_start(data, settings, store, error)) {
    st_log_stop();
    st_print_error(code, "serve: %s", error);
  } else {
    serve_find_base_url(&base);
    if (given->demo && !serve_show_demo(data, store, &base, error))
      st_print_error(0, "serve: %s", error);
    serve_log_listeners();
    if (!serve_is_local(settings) && !settings->behind_tls) {
      st_log_event("not_behind_tls",
                   "keys and tokens cross the network unencrypted; see behind_tls");
    }
    serve_wait_for_end(given, settings, store, signals);
    st_log_event("stopping", NULL);
    st_http_stop();
    st_snapshot_cache_stop();
    st_upkeep_stop();
    st_vouched_files_stop();
    st_log_stop();
    st_runtime_config_stop();
    code = ST_EXIT_DONE;
  }
  st_store_close(store);
  return code;
}

int st_cmd_serve(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken serve [--listen HOST:PORT] [--config FILE] [--data DIR] [--demo]\n"
      "Runs the server until SIGTERM or SIGQUIT. SIGHUP reads the configuration again and\n"
      "reopens the log, SIGUSR1 reopens the log. Makes the DATA directory if there is none.\n"
      "--demo makes a key to try it with if there is none, and prints commands to paste.";
  serve_options given = {0};
  const st_option options[] = {{"--data", NULL, &given.data},
                               {"--listen", NULL, &given.listen},
                               {"--config", NULL, &given.config},
                               {"--demo", &given.demo, NULL},
                               {0}};
  st_arguments arguments = {.command = "serve", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  char error[ST_ERROR_MAX];
  st_data_dir data;
  static st_settings settings;
  if (!st_data_dir_find(given.data, &data, error))
    return st_print_error(ST_EXIT_USAGE, "serve: %s", error);
  if (given.listen != NULL && !st_listen_read(st_text(given.listen), &settings.listen[0])) {
    return st_print_error(
        ST_EXIT_USAGE,
        "serve: --listen must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080, "
        "or unix:/PATH of at most 100 bytes");
  }
  given.beside = data.config;
  if (!serve_read_config(&given, &settings, error))
    return st_print_error(ST_EXIT_FAILED, "serve: %s", error);
  st_data_dir_trust_group(settings.data_group);
  /* Blocked before any thread starts, so that only serve_wait_for_end receives them. */
  sigset_t signals;
  sigemptyset(&signals);
  for (size_t i = 0; i < sizeof handled_signals / sizeof handled_signals[0]; i++) {
    sigaddset(&signals, handled_signals[i]);
  }
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* at a limit of file sizes a write fails, as on a full disk */
  serve_raise_descriptors();
  return serve_run(&given, &data, &settings, &signals);
}
