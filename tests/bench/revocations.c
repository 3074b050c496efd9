/* The figures of a revocation snapshot:
 *
 *   revocations [COUNT...]       a line for each count (default 10^3, 10^6, 10^7)
 *   revocations count COUNT N    N lookups and nothing printed, for callgrind
 *   revocations turns COUNT      reads numbers from standard input, does as many lookups in a row
 *                                for each, and prints the nanoseconds they took
 *
 * Subs are 43 characters, drawn at random; one in 16 of those looked up is listed. A lookup
 * in a row waits for the one before it, as a request that asks once does; the others are
 * those of a program that asks for many. They go through a feed that was taken up from files, as
 * they do at an edge; the longest poll of that is what an event loop waits for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "edge_feed.h"
#include "subtoken/revocations.h"

#define SUB_LEN 43
#define LOOKUPS ((size_t)1 << 20)
#define ROUNDS 5
#define LISTED_OF 16 /* one of so many lookups is of a listed sub */

static subtoken_ring ring;
static subtoken_feed_file feed;
static subtoken_feed_clock feed_clock = {.feed = &feed.feed};
static const subtoken_revocations_header header = {1, 1, {9, 8, 7, 6, 5, 4, 3, 2, 1}};

__attribute__((noreturn)) static void stop(const char *error) {
  fprintf(stderr, "revocations: %s\n", error);
  exit(3);
}

static void *room(size_t size) {
  void *memory = malloc(size > 0 ? size : 1);
  if (memory == NULL) stop("no memory");
  return memory;
}

static double clock_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static uint64_t mixed(uint64_t z) {
  z += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

/* The sub of a number, always the same. */
static void sub_of(uint64_t number, char sub[SUB_LEN]) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  uint64_t bits = 0;
  for (size_t i = 0; i < SUB_LEN; i++, bits >>= 6) {
    if (i % 10 == 0) bits = mixed(number * 8 + i / 10);
    sub[i] = alphabet[bits & 63];
  }
}

typedef struct figures {
  double hash, sort, write, open, step, poll, in_a_row, many;
  size_t size;
} figures;

static char *draw_lookups(uint32_t count) {
  char *subs = room(LOOKUPS * SUB_LEN);
  for (size_t i = 0; i < LOOKUPS; i++) {
    uint64_t number = mixed(i) % count;
    bool listed = i % LISTED_OF == 0;
    sub_of(listed ? number : number + (UINT64_C(1) << 40), subs + SUB_LEN * i);
  }
  return subs;
}

static subtoken_result look(const char *subs, size_t i) {
  subtoken_text sub = {subs + SUB_LEN * i, SUB_LEN};
  return subtoken_feed_revoked(&feed_clock, &sub, 1);
}

/* Each waits for the one before; how many were listed. */
static size_t look_in_a_row(const char *subs, size_t times) {
  size_t listed = 0, wait = 0;
  for (size_t i = 0; i < times; i++) {
    subtoken_result result = look(subs, (i + wait) % LOOKUPS);
    listed += result == SUBTOKEN_REVOKED;
    wait = result == SUBTOKEN_UNDECIDED; /* never, but the processor has to wait for it */
  }
  return listed;
}

static void measure_lookups(const char *subs, figures *f) {
  double began = clock_ms();
  size_t listed = look_in_a_row(subs, LOOKUPS);
  double middle = clock_ms();
  for (size_t i = 0; i < LOOKUPS; i++) listed += look(subs, i) == SUBTOKEN_REVOKED;
  double ended = clock_ms();
  if (listed != 2 * LOOKUPS / LISTED_OF) stop("lookups went wrong");
  f->in_a_row = (middle - began) * 1e6 / (double)LOOKUPS;
  f->many = (ended - middle) * 1e6 / (double)LOOKUPS;
}

/* Vouched for at a time that stands. */
static void take_up(const void *bytes, figures *f) {
  f->poll = edge_feed_load(&feed, &ring, bytes, f->size, header.sequence);
  if (f->poll <= 0) stop("is not taken up");
  feed_clock.now = feed_clock.monotonic = feed.feed.time;
}

/* All at once, and the longest of the steps of a default slice. */
static void measure_opening(const void *bytes, figures *f, subtoken_revocations *view) {
  subtoken_revocations_opening opening;
  double began = clock_ms(), last = began;
  subtoken_feed_result result = subtoken_revocations_start(&opening, &ring, bytes, f->size);
  f->step = 0;
  while (result == SUBTOKEN_FEED_MORE) {
    result = subtoken_revocations_step(&opening, 0, view);
    double now = clock_ms();
    if (now - last > f->step) f->step = now - last;
    last = now;
  }
  if (result != SUBTOKEN_FEED_OK) stop("does not open");
  f->open = last - began;
}

static uint8_t *build(uint32_t count, figures *f) {
  uint64_t *hashes = room(count * sizeof *hashes);
  char sub[SUB_LEN];
  double began = clock_ms();
  for (uint32_t i = 0; i < count; i++) {
    sub_of(i, sub);
    hashes[i] = subtoken_revocations_hash(header.hash_key, (subtoken_text){sub, SUB_LEN});
  }
  double hashed = clock_ms();
  if (subtoken_revocations_sort(hashes, count) != count) stop("two subs have one hash");
  double sorted = clock_ms();
  f->size = subtoken_revocations_size(count);
  uint8_t *bytes = room(f->size);
  memset(bytes, 1, f->size); /* so that the pages are there */
  double ready = clock_ms();
  if (subtoken_revocations_write(&ring, &header, hashes, count, bytes, f->size, NULL) !=
      SUBTOKEN_FEED_OK) {
    stop("cannot be written");
  }
  f->hash = hashed - began;
  f->sort = sorted - hashed;
  f->write = clock_ms() - ready;
  free(hashes);
  return bytes;
}

static void best(double *of, double new) {
  if (*of == 0 || new < *of) *of = new;
}

static void measure(uint32_t count) {
  figures f = {0}, least = {0};
  subtoken_revocations view;
  char *subs = draw_lookups(count);
  for (int i = 0; i < ROUNDS; i++) {
    uint8_t *bytes = build(count, &f);
    measure_opening(bytes, &f, &view);
    take_up(bytes, &f);
    measure_lookups(subs, &f);
    subtoken_feed_file_stop(&feed);
    best(&least.hash, f.hash);
    best(&least.sort, f.sort);
    best(&least.write, f.write);
    best(&least.open, f.open);
    best(&least.step, f.step);
    best(&least.poll, f.poll);
    best(&least.in_a_row, f.in_a_row);
    best(&least.many, f.many);
    free(bytes);
  }
  printf("%10" PRIu32 " %9.2f %9.2f %9.2f %9.2f %9.2f %9.3f %9.3f %9.1f %9.1f\n", count,
         (double)f.size / count, least.hash, least.sort, least.write, least.open, least.step,
         least.poll, least.in_a_row, least.many);
  free(subs);
}

/* The subs to look up, among count that a feed has. */
static char *take_up_count(uint32_t count) {
  figures f;
  uint8_t *bytes = build(count, &f);
  take_up(bytes, &f);
  free(bytes);
  return draw_lookups(count);
}

static void count_lookups(uint32_t count, size_t times) {
  char *subs = take_up_count(count);
  if (look_in_a_row(subs, times) != (times + LISTED_OF - 1) / LISTED_OF) stop("lookups went wrong");
  free(subs);
}

static void take_turns(uint32_t count) {
  char *subs = take_up_count(count);
  unsigned long times;
  while (scanf("%lu", &times) == 1) {
    double began = clock_ms();
    size_t listed = look_in_a_row(subs, times);
    double took = clock_ms() - began;
    if (listed != (times + LISTED_OF - 1) / LISTED_OF) stop("lookups went wrong");
    printf("%.0f\n", took * 1e6);
    fflush(stdout);
  }
  free(subs);
}

static uint32_t number(const char *text) {
  unsigned long value = strtoul(text, NULL, 10);
  if (value < 1 || value > UINT32_MAX)
    stop("usage: revocations [COUNT...] | count COUNT N | turns COUNT");
  return (uint32_t)value;
}

int main(int argc, char **argv) {
  static const uint32_t counts[] = {1000, 1000000, 10000000};
  if (subtoken_ring_add(&ring, (subtoken_text){NULL, 0}, "a secret of this benchmark alone", 32) !=
      SUBTOKEN_OK) {
    stop("no ring");
  }
  if (argc == 4 && strcmp(argv[1], "count") == 0) {
    count_lookups(number(argv[2]), number(argv[3]));
    return 0;
  }
  if (argc == 3 && strcmp(argv[1], "turns") == 0) {
    take_turns(number(argv[2]));
    return 0;
  }
  printf("%10s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "entries", "bytes", "hash", "sort", "write",
         "open", "slice", "poll", "lookup", "lookup");
  printf("%10s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "", "an entry", "ms", "ms", "ms", "ms", "ms",
         "ms", "in a row", "of many ns");
  if (argc > 1) {
    for (int i = 1; i < argc; i++) measure(number(argv[i]));
  } else {
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) measure(counts[i]);
  }
  return 0;
}
