/* edge_feed - revocation data as an edge has it: a snapshot and its heartbeat in files, taken up by
 * subtoken_feed_file to the end, with whatever it does to be fast.
 */
#ifndef EDGE_FEED_H
#define EDGE_FEED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "subtoken/feed.h"

static void edge_feed_put(const char *path, const void *bytes, size_t len) {
  FILE *out = fopen(path, "wb");
  if (out == NULL || fwrite(bytes, 1, len, out) != len || fclose(out) != 0) abort();
}

/* The heartbeat of now; a run may take longer than a feed stays fresh. */
static subtoken_heartbeat edge_feed_heartbeat(int64_t sequence, const uint8_t *digest,
                                              int64_t now) {
  subtoken_heartbeat heartbeat = {.sequence = sequence, .time = now};
  memcpy(heartbeat.digest, digest, sizeof heartbeat.digest);
  return heartbeat;
}

/* Of this thread's own work: what others do meanwhile does not count. */
static double edge_feed_clock_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The milliseconds of work of the longest poll; -1 when it is not in force. It is given up with
 * subtoken_feed_file_stop.
 */
static double edge_feed_load(subtoken_feed_file *file, const subtoken_ring *ring, const void *bytes,
                             size_t len, int64_t sequence) {
  char dir[] = "/tmp/subtoken-bench-XXXXXX", path[64], alive[72];
  subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN];
  int64_t now = time(NULL);
  const uint8_t *digest = (const uint8_t *)bytes + len - SUBTOKEN_MAC_LEN;
  subtoken_heartbeat heartbeat = edge_feed_heartbeat(sequence, digest, now);
  if (mkdtemp(dir) == NULL) abort();
  snprintf(path, sizeof path, "%s/revoked", dir);
  snprintf(alive, sizeof alive, "%s.alive", path);
  edge_feed_put(path, bytes, len);
  if (subtoken_heartbeat_write(ring, &heartbeat, beat) != SUBTOKEN_FEED_OK) abort();
  edge_feed_put(alive, beat, sizeof beat);
  if (subtoken_feed_file_start(file, path, &settings) != SUBTOKEN_FEED_OK) abort();
  subtoken_feed_result result;
  double longest = 0;
  do {
    double began = edge_feed_clock_ms();
    result = subtoken_feed_file_poll(file, ring, now, now);
    double took = edge_feed_clock_ms() - began;
    if (took > longest) longest = took;
  } while (result == SUBTOKEN_FEED_MORE);
  (void)unlink(path);
  (void)unlink(alive);
  (void)rmdir(dir);
  return result == SUBTOKEN_FEED_OK ? longest : -1;
}

/* Vouched for anew. */
static inline bool edge_feed_refresh(subtoken_feed_file *file, int64_t now) {
  subtoken_heartbeat heartbeat =
      edge_feed_heartbeat(file->feed.sequence, file->feed.snapshot.digest, now);
  return subtoken_feed_take(&file->feed, NULL, &heartbeat, now, now) == SUBTOKEN_FEED_OK;
}

#endif
