/* The log's thread and its buffer of two halves: lines are added to one while the other is written,
 * so that nobody waits for the disk. What a request's line holds is in server/access_log.c.
 */
#include "os/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/date.h"
#include "base/impossible.h"
#include "base/json.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/thread.h"

#define HALF 524288           /* bytes of lines waiting; as many again are being written */
#define GATHER_MS 5           /* lines that come within this time are written at once */
#define PIECE ST_LOG_LINE_MAX /* bytes written at once; a pipe takes PIPE_BUF as one */
#define POLL_MS 50
#define STOP_MS 500 /* at the end of the process, how long a reader may make us wait */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t filled;
  pthread_t thread;
  bool running;
  bool stopping;
  int fd;
  int64_t dropped; /* and not reported yet */
  int64_t lost;    /* since the start */
  size_t event_count;
  st_log_count events[ST_LOG_EVENTS_MAX];
  size_t len;
  int half; /* which of the two takes lines */
  /* The writing thread's alone: */
  bool torn;    /* the last line written has no end */
  bool gave_up; /* at the end nobody read: do not wait again */
  char lines[2][HALF];
} logger = {
    .lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, .filled = PTHREAD_COND_INITIALIZER, .fd = -1};

/* Events are literals; the last place is for all that there is no place for. Under the lock. */
static void log_count_event(const char *event, int64_t times) {
  size_t i = 0;
  while (i < logger.event_count && strcmp(logger.events[i].event, event) != 0) i++;
  if (i == logger.event_count && i == ST_LOG_EVENTS_MAX) i--;
  if (i == logger.event_count) {
    bool last = i == ST_LOG_EVENTS_MAX - 1;
    logger.events[logger.event_count++] = (st_log_count){last ? "other" : event, 0};
  }
  logger.events[i].count += times;
}

static bool log_is_stopping(void) {
  pthread_mutex_lock(&logger.lock);
  bool answer = logger.stopping;
  pthread_mutex_unlock(&logger.lock);
  return answer;
}

/* Room for PIECE bytes: a pipe that says so takes that many without blocking. Waits as
 * long as it takes, but at the end of the process only a moment.
 */
static bool log_wait_until_writable(int fd) {
  for (int waited = 0; waited < STOP_MS && !logger.gave_up; waited += POLL_MS) {
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (poll(&room, 1, POLL_MS) != 0) return true; /* or an error, which write will tell */
    if (!log_is_stopping()) waited = 0;
  }
  logger.gave_up = true;
  return false;
}

static ssize_t log_write(int fd, const char *data, size_t len) {
  ssize_t n;
  do {
    n = write(fd, data, len);
  } while (n < 0 && errno == EINTR);
  return n;
}

/* A line that was cut short on a full disk must not run into the next one. */
static bool log_end_torn_line(int fd) {
  if (logger.torn) logger.torn = log_write(fd, "\n", 1) != 1;
  return !logger.torn;
}

static bool log_write_piece(int fd, const char *data, size_t len) {
  if (!log_wait_until_writable(fd) || !log_end_torn_line(fd)) return false;
  ssize_t n = log_write(fd, data, len);
  logger.torn = n > 0 && (size_t)n < len;
  return n == (ssize_t)len;
}

/* The length of as many whole lines as go into one piece: no line is longer than that. */
static size_t log_piece_len(const char *data, size_t len) {
  size_t end = len < PIECE ? len : PIECE;
  while (data[end - 1] != '\n') {
    end--;
    if (st_impossible(end == 0, "a line is longer than a piece")) return len;
  }
  return end;
}

static int64_t log_count_lines(const char *data, size_t len) {
  int64_t count = 0;
  for (size_t i = 0; i < len; i++) count += data[i] == '\n';
  return count;
}

/* Answers how many lines were lost; *last_lost is whether the last of them was. A log
 * that cannot be written (full disk, closed pipe) loses lines, nothing else.
 */
static int64_t log_write_all(int fd, const char *data, size_t len, bool *last_lost) {
  int64_t lost = 0;
  *last_lost = false;
  while (len > 0) {
    size_t piece = log_piece_len(data, len);
    *last_lost = !log_write_piece(fd, data, piece);
    if (*last_lost) lost += log_count_lines(data, piece);
    data += piece;
    len -= piece;
  }
  return lost;
}

/* Adds a line about the lines that were lost; answers how many these are. */
static int64_t log_add_dropped(void) {
  char line[128];
  int64_t dropped = logger.dropped;
  if (dropped == 0 || HALF - logger.len < sizeof line) return 0;
  st_writer writer = st_writer_on(line, sizeof line);
  st_write_literal(&writer, "{\"time\":\"");
  st_date_write(&writer, st_clock_now(), false);
  st_write_literal(&writer, "\",\"event\":\"log_dropped\",\"count\":");
  st_write_int(&writer, dropped);
  st_write_literal(&writer, "}\n");
  memcpy(logger.lines[logger.half] + logger.len, line, writer.len);
  logger.len += writer.len;
  log_count_event("log_dropped", 1);
  logger.dropped = 0;
  return dropped;
}

/* Takes the lines gathered so far and writes them without holding the lock. */
static void log_write_half(void) {
  int64_t reported = log_add_dropped();
  const char *data = logger.lines[logger.half];
  size_t len = logger.len;
  int fd = logger.fd;
  bool last_lost;
  logger.half ^= 1;
  logger.len = 0;
  pthread_mutex_unlock(&logger.lock);
  int64_t lost = log_write_all(fd, data, len, &last_lost);
  pthread_mutex_lock(&logger.lock);
  /* The line that reported the others was lost itself: they are still to be reported, and that one
   * is none of them.
   */
  if (reported > 0 && last_lost) {
    lost--;
    logger.dropped += reported;
  }
  logger.dropped += lost;
  logger.lost += lost;
}

static void *log_write_lines(void *unused) {
  (void)unused;
  pthread_mutex_lock(&logger.lock);
  while (!logger.stopping || logger.len > 0) {
    if (logger.len == 0) {
      pthread_cond_wait(&logger.filled, &logger.lock);
      continue;
    }
    if (!logger.stopping) {
      pthread_mutex_unlock(&logger.lock);
      poll(NULL, 0, GATHER_MS);
      pthread_mutex_lock(&logger.lock);
    }
    log_write_half();
  }
  pthread_mutex_unlock(&logger.lock);
  return NULL;
}

/* A FIFO that nobody reads is an error, and not something to wait for. */
static int log_open_file(const char *path, char *error) {
  int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  int fd;
  do {
    fd = path[0] == '\0' ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, flags, 0640);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) snprintf(error, ST_ERROR_MAX, "cannot open the log %s: %s", path, strerror(errno));
  /* What is open for standard error is shared with others: its flags are not ours. */
  if (fd >= 0 && path[0] != '\0') (void)fcntl(fd, F_SETFL, O_APPEND);
  return fd;
}

bool st_log_start(const char *path, char *error) {
  logger.fd = log_open_file(path, error);
  if (logger.fd < 0) return false;
  logger.running = st_thread_start(&logger.thread, log_write_lines, NULL, "the log", error);
  if (!logger.running) close(logger.fd);
  return logger.running;
}

void st_log_stop(void) {
  if (!logger.running) return;
  pthread_mutex_lock(&logger.lock);
  logger.stopping = true;
  pthread_cond_signal(&logger.filled);
  pthread_mutex_unlock(&logger.lock);
  pthread_join(logger.thread, NULL);
  logger.running = false;
  close(logger.fd);
}

bool st_log_open(const char *path, int *file, char *error) {
  *file = log_open_file(path, error);
  return *file >= 0;
}

/* The thread may be writing to the old file at this moment, so its number is kept
 * and only what it stands for is changed.
 */
void st_log_use(int file, bool use) {
  while (use && dup3(file, logger.fd, O_CLOEXEC) < 0 && (errno == EINTR || errno == EBUSY)) {
  }
  close(file);
}

void st_log_append(st_writer *writer, const char *event) {
  st_write_literal(writer, "}\n");
  pthread_mutex_lock(&logger.lock);
  if (event != NULL) log_count_event(event, 1);
  if (writer->overflow || HALF - logger.len < writer->len) {
    logger.dropped++;
    logger.lost++;
  } else {
    memcpy(logger.lines[logger.half] + logger.len, writer->out, writer->len);
    if (logger.len == 0) pthread_cond_signal(&logger.filled);
    logger.len += writer->len;
  }
  pthread_mutex_unlock(&logger.lock);
}

void st_log_begin(st_writer *writer, int64_t now, const char *event) {
  st_write_literal(writer, "{\"time\":\"");
  st_date_write(writer, now, false);
  st_write_literal(writer, "\",\"event\":");
  st_json_write_string(writer, st_text(event));
}

void st_log_field(st_writer *writer, const char *name, subtoken_text value) {
  st_write_literal(writer, ",\"");
  st_write_literal(writer, name);
  st_write_literal(writer, "\":");
  st_json_write_string(writer, value);
}

void st_log_number(st_writer *writer, const char *name, int64_t value) {
  st_write_literal(writer, ",\"");
  st_write_literal(writer, name);
  st_write_literal(writer, "\":");
  st_write_int(writer, value);
}

void st_log_count_from_zero(const char *event) {
  pthread_mutex_lock(&logger.lock);
  log_count_event(event, 0);
  pthread_mutex_unlock(&logger.lock);
}

size_t st_log_counts(st_log_count counts[ST_LOG_EVENTS_MAX], int64_t *lost) {
  pthread_mutex_lock(&logger.lock);
  size_t count = logger.event_count;
  memcpy(counts, logger.events, count * sizeof counts[0]);
  *lost = logger.lost;
  pthread_mutex_unlock(&logger.lock);
  return count;
}

void st_log_event(const char *event, const char *detail) {
  char line[ST_LOG_LINE_MAX];
  st_writer writer = st_writer_on(line, sizeof line);
  st_log_begin(&writer, st_clock_now(), event);
  if (detail != NULL) st_log_field(&writer, "detail", st_text(detail));
  st_log_append(&writer, event);
}
