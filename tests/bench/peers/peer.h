/* peer.h - what the C and C++ peers share: reading the files, and the loop.
 *
 * PROGRAM TOKENFILE SECRETFILE. Each line on stdin is a number N: N tokens are
 * verified, going round through the file, and the nanoseconds it took are
 * printed. A token that is refused ends the program with 1.
 *
 * A peer defines prepare, which builds what can be built once, and verify, which
 * is what a user of the library does for one token: signature, algorithm, exp,
 * claims. Both are in the same file as the loop, so nothing is between them.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool prepare(const unsigned char *secret, size_t len);
static bool verify(const char *token, size_t len);

static char **peer_tokens;
static size_t *peer_lens;
static size_t peer_count;

static void peer_die(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static void peer_read_tokens(const char *path) {
  static char line[8192];
  FILE *file = fopen(path, "r");
  if (file == NULL) peer_die("no token file");
  while (fgets(line, sizeof line, file) != NULL) {
    size_t len = strcspn(line, "\n");
    line[len] = 0;
    peer_tokens = (char **)realloc(peer_tokens, (peer_count + 1) * sizeof *peer_tokens);
    peer_lens = (size_t *)realloc(peer_lens, (peer_count + 1) * sizeof *peer_lens);
    peer_tokens[peer_count] = strdup(line);
    peer_lens[peer_count++] = len;
  }
  fclose(file);
  if (peer_count == 0) peer_die("no token in the file");
}

static void peer_read_secret(const char *path) {
  unsigned char secret[32];
  FILE *file = fopen(path, "rb");
  if (file == NULL || fread(secret, 1, sizeof secret, file) != sizeof secret) {
    peer_die("no secret of 32 bytes");
  }
  fclose(file);
  if (!prepare(secret, sizeof secret)) peer_die("the library refuses the secret");
}

/* A verifier that accepts everything would be fast. */
static void peer_check_refusal(void) {
  char *changed = strdup(peer_tokens[0]);
  char *c = changed + peer_lens[0] - 6;
  *c = *c == 'A' ? 'B' : 'A';
  if (verify(changed, peer_lens[0])) peer_die("accepts a changed signature");
  free(changed);
}

static long long peer_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  long long n;
  size_t at = 0;
  if (argc != 3) peer_die("usage: PROGRAM TOKENFILE SECRETFILE");
  peer_read_tokens(argv[1]);
  peer_read_secret(argv[2]);
  peer_check_refusal();
  while (scanf("%lld", &n) == 1) {
    long long began = peer_now();
    for (long long i = 0; i < n; i++) {
      if (!verify(peer_tokens[at], peer_lens[at])) peer_die("refuses a good token");
      if (++at == peer_count) at = 0;
    }
    printf("%lld\n", peer_now() - began);
    fflush(stdout);
  }
  return 0;
}

#endif
