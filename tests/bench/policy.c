/* The figures of a route policy's look-up:
 *
 *   policy [ROUNDS]     ten routes against 5,000, a tenth of them with templates; and what a call
 * of MCP costs with ten members and with a thousand policy brief        the same with few look-ups,
 * to see that it works
 *
 * Routes are those of a catalogue of services, `/api/vN/service/collection`; a template has a star
 * for one segment, at one of four places. The ten are drawn from the 5,000 at even distances, so
 * that their paths are of the same kinds and lengths. The targets are those of the routes in an
 * order drawn at random, with an item's number where a star is. All policies take their turns in
 * each round, and the ratio is the median of those of the rounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "subtoken/issue.h"
#include "subtoken/policy.h"

#define ROUNDS_MAX 101
#define FEW 10
#define MANY 5000

__attribute__((noreturn)) static void stop(const char *error) {
  fprintf(stderr, "policy: %s\n", error);
  exit(3);
}

static double clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t mixed(uint64_t z) {
  z += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

/* ---- routes ---- */

/* The path of a route; star NULL: that of an entry, else a target with this in its place. */
static int path_of(char *out, size_t size, size_t i, const char *star) {
  static const char *const tails[][2] = {{"", ""}, {"", "/a"}, {"/list", ""}, {"/list", "/a"}};
  if (i % 10 != 9) {
    return snprintf(out, size, "/api/v%zu/service%03zu/collection%zu", i % 4, i % 97, i);
  }
  const char *const *tail = tails[i / 10 % 4];
  return snprintf(out, size, "/api/v%zu/service%03zu%s/%s%s/item%zu", i % 4, i % 97, tail[0], star,
                  tail[1], i);
}

typedef struct bench_policy {
  const subtoken_policy *policy;
  size_t count;
} bench_policy;

static const subtoken_policy *read_text(const char *text, size_t len) {
  const subtoken_policy *policy;
  subtoken_policy_error error;
  size_t size = subtoken_policy_size(len);
  void *memory = malloc(size);
  if (memory == NULL) stop("no memory");
  if (subtoken_policy_read(memory, size, (subtoken_text){text, len}, &policy, &error) !=
      SUBTOKEN_OK) {
    stop(error.text);
  }
  return policy;
}

/* The number of a policy's route n. Ten are spread over the 5,000, so that their paths are as long.
 */
static size_t number_of(size_t n, size_t count) {
  return count == MANY ? n : n * (MANY / count + 1);
}

static bench_policy policy_with(size_t count) {
  size_t size = 128 + count * 160, len;
  char *text = malloc(size), path[96];
  bench_policy made = {NULL, count};
  if (text == NULL) stop("no memory");
  len = (size_t)snprintf(text, size, "{\"default\":\"deny\",\"routes\":[");
  for (size_t n = 0; n < count; n++) {
    size_t i = number_of(n, count);
    (void)path_of(path, sizeof path, i, "*");
    len += (size_t)snprintf(text + len, size - len, "%s{\"path\":\"%s\",\"needs\":[\"n%zu\"]}",
                            n > 0 ? "," : "", path, i);
  }
  len += (size_t)snprintf(text + len, size - len, "]}");
  made.policy = read_text(text, len);
  free(text);
  return made;
}

/* ---- look-ups ---- */

/* Targets are made a group at a time, in memory that was just written, as requests come: the policy
 * is what fills the caches, not the targets. Only the look-ups are timed. */
static double look_up(const bench_policy *p, size_t look_ups, uint64_t seed) {
  static char texts[64][96];
  subtoken_text targets[64], method = SUBTOKEN_TEXT("GET");
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  size_t group = sizeof targets / sizeof targets[0], done = 0;
  double took = 0;
  for (; done < look_ups; done += group) {
    for (size_t i = 0; i < group; i++) {
      size_t number = number_of(mixed(seed * look_ups + done + i) % p->count, p->count);
      int len = path_of(texts[i], sizeof texts[i], number, "4711");
      targets[i] = (subtoken_text){texts[i], (size_t)len};
    }
    double start = clock_ns();
    for (size_t i = 0; i < group; i++) {
      if (subtoken_policy_find(p->policy, method, targets[i], 0, &decision) != SUBTOKEN_OK ||
          decision.needs_count != 1) {
        stop("a route was not found");
      }
    }
    took += clock_ns() - start;
  }
  return took / (double)done;
}

/* ---- calls ---- */

#define CALL_TOOLS 10
#define CALL_MANY 1000

static const subtoken_policy *calls_with(size_t count) {
  static char text[64 * CALL_MANY + 256];
  size_t len = (size_t)snprintf(text, sizeof text,
                                "{\"default\":\"deny\",\"routes\":[{\"path\":\"/mcp\",\"mcp\":{");
  for (size_t i = 0; i < count; i++) {
    len += (size_t)snprintf(text + len, sizeof text - len, "%s\"tools/call tool%zu\":[\"docs\"]",
                            i > 0 ? "," : "", i);
  }
  len += (size_t)snprintf(text + len, sizeof text - len, "}}]}");
  return read_text(text, len);
}

static double call(const subtoken_policy *policy, size_t calls) {
  static const char body[] =
      "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"tool7\","
      "\"arguments\":{\"query\":\"how a policy is written\",\"limit\":10}}}";
  char scratch[sizeof body];
  subtoken_text method = SUBTOKEN_TEXT("POST"), path = SUBTOKEN_TEXT("/mcp");
  subtoken_claims claims;
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  subtoken_mcp_call came = SUBTOKEN_MCP_CALL_DEFAULT;
  subtoken_mcp mcp = SUBTOKEN_MCP_DEFAULT;
  memset(&claims, 0, sizeof claims);
  request.method = method;
  came.has_body = true;
  came.body = (subtoken_text){body, sizeof body - 1};
  came.scratch = scratch;
  came.scratch_size = sizeof scratch;
  if (subtoken_claims_add_permission(&claims, (subtoken_text)SUBTOKEN_TEXT("docs")) !=
          SUBTOKEN_OK ||
      subtoken_policy_find(policy, method, path, SUBTOKEN_POLICY_MCP, &decision) != SUBTOKEN_OK) {
    stop("no decision");
  }
  double start = clock_ns();
  for (size_t i = 0; i < calls; i++) {
    if (subtoken_mcp_check(policy, &decision, &request, &claims, &came, &mcp) != SUBTOKEN_OK) {
      stop("a call was refused");
    }
  }
  return (clock_ns() - start) / (double)calls;
}

/* ---- the table ---- */

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, compare);
  return values[count / 2];
}

int main(int argc, char **argv) {
  bool brief = argc > 1 && strcmp(argv[1], "brief") == 0;
  size_t rounds = brief ? 3 : argc > 1 ? strtoul(argv[1], NULL, 10) : 21;
  size_t look_ups = brief ? 1000 : 200000;
  if (rounds < 1 || rounds > ROUNDS_MAX) stop("rounds: 1 to 101");
  double few[ROUNDS_MAX], many[ROUNDS_MAX], ratio[ROUNDS_MAX];
  double small[ROUNDS_MAX], large[ROUNDS_MAX], calls[ROUNDS_MAX];
  bench_policy ten = policy_with(FEW), thousands = policy_with(MANY);
  const subtoken_policy *tools = calls_with(CALL_TOOLS), *more = calls_with(CALL_MANY);
  for (size_t i = 0; i < rounds; i++) {
    few[i] = look_up(&ten, look_ups, i);
    many[i] = look_up(&thousands, look_ups, i);
    ratio[i] = many[i] / few[i];
    small[i] = call(tools, look_ups / 10);
    large[i] = call(more, look_ups / 10);
    calls[i] = large[i] / small[i];
  }
  printf("\nA route policy, a tenth of its routes with templates; %zu rounds, ns a look-up\n",
         rounds);
  printf("%-36s %8.0f\n", "10 routes", median(few, rounds));
  printf("%-36s %8.0f   %.2f times (goal: at most 1.5)\n", "5,000 routes", median(many, rounds),
         median(ratio, rounds));
  printf("A call of MCP by its body of 150 bytes, ns\n");
  printf("%-36s %8.0f\n", "10 members", median(small, rounds));
  printf("%-36s %8.0f   %.2f times\n", "1,000 members", median(large, rounds),
         median(calls, rounds));
  return 0;
}
