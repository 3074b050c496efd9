/* The nginx module in the real nginx of the system, through nginx's own parser, phases and event
 * loop. This program makes a configuration with its files, and becomes an nginx that loads the
 * module and nginx_driver.c; libFuzzer runs in there, and the arguments are its own.
 *
 * An input is what a client sends. What nginx_driver.c holds of each request that gets through:
 * whose credential it came with, that this may be there, and which headers it arrives with.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "nginx_driver.h"
#include "subtoken/issue.h"
#include "subtoken/revocations.h"

int main(int argc, char **argv);

static char dir[200];

static void write_file(const char *name, const void *bytes, size_t len, mode_t mode) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  HOLD(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && close(fd) == 0);
}

static void write_feed(void) {
  static uint8_t snapshot[4096];
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  char sub[44] = "";
  subtoken_ring ring = {0};
  int64_t now = time(NULL);
  subtoken_revocations_header header = {.sequence = 7, .made = now, .hash_key = {1, 2, 3}};
  subtoken_heartbeat heartbeat = {.sequence = 7, .time = now};
  memset(sub, DRIVER_SUB_OF(DRIVER_REVOKED), 43);
  uint64_t hash = subtoken_revocations_hash(header.hash_key, st_text(sub));
  size_t size = subtoken_revocations_size(1);
  HOLD(subtoken_ring_add(&ring, ST_TEXT(""), DRIVER_SECRET, 32) == SUBTOKEN_OK);
  HOLD(size <= sizeof snapshot &&
       subtoken_revocations_write(&ring, &header, &hash, 1, snapshot, size, heartbeat.digest) ==
           SUBTOKEN_FEED_OK);
  HOLD(subtoken_heartbeat_write(&ring, &heartbeat, bytes) == SUBTOKEN_FEED_OK);
  write_file("revoked", snapshot, size, 0644);
  write_file("revoked.alive", bytes, sizeof bytes, 0644);
}

/* The secret as a line of a file: base64url of 32 bytes. */
static void write_secrets(void) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const uint8_t *secret = (const uint8_t *)DRIVER_SECRET;
  char line[48] = ":";
  for (size_t i = 0; i < 43; i++) {
    size_t bit = 6 * i, at = bit / 8;
    unsigned two = (unsigned)secret[at] << 8 | (at + 1 < 32 ? secret[at + 1] : 0);
    line[1 + i] = letters[two >> (10 - bit % 8) & 63];
  }
  line[44] = '\n';
  write_file("secrets", line, 45, 0600);
}

/* beside: the folder of this program, where the module and the driver are, too. */
static void write_configuration(const char *beside) {
  char text[8192];
  int len = snprintf(
      text, sizeof text,
      "load_module %s/nginx_module.so; load_module %s/nginx_driver.so;"
      "pid %s/pid; error_log stderr emerg; env TMPDIR;"
      "events { worker_connections 64; }\n"
      "http { log_format all '$request $http_referer $subtoken_result $args';"
      "access_log /dev/null all; keepalive_timeout 5s; lingering_close off;"
      "client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3;"
      "uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;"
      "subtoken_secrets %s/secrets; subtoken_revocations %s/revoked; subtoken_stale allow;"
      "subtoken_max_age 300d;\n"
      "server { listen unix:%s/up; subtoken_identity off; location / { driver_decision; } }\n"
      "server { listen unix:%s/in; subtoken on; client_max_body_size 8k; underscores_in_headers "
      "on; ignore_invalid_headers off;"
      "location / { driver_content any; }"
      "location /need { subtoken_require account; driver_content need; }"
      "location /slashes { subtoken_merge_slashes on; driver_content slashes; }"
      "location /policy { subtoken_policy %s/policy; subtoken_cache 64k; driver_content policy; }"
      "location /rw { rewrite ^/rw/(.*)$ /free/$1 break; driver_content any; }"
      "location /moved { rewrite ^/moved/(.*)$ /need/$1 last; }"
      "location /whole { subtoken_fallback /.ask; driver_content whole; }"
      "location /both { satisfy any; deny all; driver_content any; }"
      "location /free { subtoken off; driver_content free; }"
      "location = /.ask { internal; subtoken off; proxy_ignore_client_abort on;"
      "proxy_pass http://unix:%s/up:/v2/authorize; } } }\n",
      beside, beside, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir);
  HOLD(len > 0 && (size_t)len < sizeof text);
  write_file("nginx.conf", text, (size_t)len, 0644);
}

static void set_arguments(int argc, char **argv) {
  static char all[65536];
  size_t len = 0;
  for (int i = 0; i < argc; i++) {
    int more = snprintf(all + len, sizeof all - len, "%s\n", argv[i]);
    HOLD(more > 0 && (size_t)more < sizeof all - len);
    len += (size_t)more;
  }
  HOLD(setenv(DRIVER_ARGS, all, 1) == 0 && setenv(DRIVER_DIR, dir, 1) == 0);
}

int main(int argc, char **argv) {
  char conf[300], beside[1024], preload[2300];
  const char *base = getenv("TMPDIR"), *slash = strrchr(argv[0], '/');
  HOLD(slash != NULL && realpath(argv[0], beside) != NULL);
  *strrchr(beside, '/') = '\0';
  snprintf(dir, sizeof dir, "%s/subtoken-nginx-XXXXXX", base != NULL ? base : "/tmp");
  HOLD(mkdtemp(dir) != NULL);
  snprintf(conf, sizeof conf, "%s/nginx.conf", dir);
  write_secrets();
  write_feed();
  write_file("policy", DRIVER_POLICY, sizeof DRIVER_POLICY - 1, 0644);
  write_configuration(beside);
  set_arguments(argc, argv);
  /* The driver first: the sanitizer has empty functions by the names of libFuzzer's. What nginx
   * keeps to its end is its own. */
  snprintf(preload, sizeof preload, "%s/nginx_driver.so %s", beside, FUZZ_ASAN);
  HOLD(setenv("LD_PRELOAD", preload, 1) == 0 &&
       setenv("ASAN_OPTIONS", "detect_leaks=0:verify_asan_link_order=0", 1) == 0);
  execlp("nginx", "nginx", "-p", dir, "-c", conf, "-g", "daemon off; master_process off;", NULL);
  execl("/usr/sbin/nginx", "nginx", "-p", dir, "-c", conf, "-g", "daemon off; master_process off;",
        NULL);
  perror("nginx");
  return 1;
}
