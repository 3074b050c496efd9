/* policy_fixture - policies in heap blocks of their exact sizes, and decisions as text. */
#ifndef TESTS_UNIT_POLICY_FIXTURE_H
#define TESTS_UNIT_POLICY_FIXTURE_H

#include "core/policy.h"
#include "subtoken/policy.h"
#include "support.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

/* A policy of one route with these members. */
#define ONE(members) "{\"default\":\"deny\",\"routes\":[{" members "}]}"

/* A route whose needs depend on the call of MCP, and others. */
#define MCP_POLICY                                                             \
  "{\"default\":\"deny\",\"routes\":[{\"path\":\"/mcp\",\"needs\":[\"user\"]," \
  "\"mcp\":{\"tools/call search\":[\"docs\",\"more\"],\"ping\":[\"user\"]}},"  \
  "{\"path\":\"/plain\",\"needs\":[\"user\"]},{\"path\":\"/none\"}]}"

/* Read from and into heap blocks of their exact sizes; release with free(). */
static inline const subtoken_policy *try_read(const char *text, size_t len, subtoken_result *result,
                                              subtoken_policy_error *error) {
  subtoken_text copy = exact(text, len);
  size_t size = subtoken_policy_size(len);
  void *memory = malloc(size);
  const subtoken_policy *policy = (const void *)"x";
  if (memory == NULL) abort();
  memset(memory, 0xA5, size);
  *result = subtoken_policy_read(memory, size, copy, &policy, error);
  release(copy);
  if (*result == SUBTOKEN_OK) {
    CHECK(policy == memory && error->text[0] == '\0' && error->line == 0, "%s", text);
    return policy;
  }
  CHECK(policy == NULL, "%s", text);
  free(memory);
  return NULL;
}

static inline const subtoken_policy *policy_of(const char *text) {
  subtoken_result result;
  subtoken_policy_error error;
  const subtoken_policy *policy = try_read(text, strlen(text), &result, &error);
  CHECK(policy != NULL, "%s: %zu:%zu %s", text, error.line, error.column, error.text);
  return policy;
}

/* The same, until the next one is asked for: it is not to be released. */
static inline const subtoken_policy *brief_policy_of(const char *text) {
  static const subtoken_policy *last;
  free((void *)(uintptr_t)last);
  return last = policy_of(text);
}

static inline void drop(const subtoken_policy *policy) {
  free((void *)(uintptr_t)policy);
}

/* `denied`, `denied 3 not listed`, `token 4 a b`, `public 5`, `token 6 rpc`, `token 7 mcp`,
 * `preflight`. */
static inline const char *said(const subtoken_policy *policy, const char *method,
                               const char *target, unsigned flags) {
  static char out[8192];
  static const char *const names[] = {"denied", "token", "public", "preflight"};
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_text at = exact_string(target), by = exact_string(method != NULL ? method : "");
  if (method == NULL) {
    release(by);
    by = (subtoken_text){NULL, 0};
  }
  memset(&decision, 0xEE, sizeof decision);
  decision.size = sizeof decision;
  subtoken_result result = subtoken_policy_find(policy, by, at, flags, &decision);
  release(at);
  if (method != NULL) release(by);
  if (result != SUBTOKEN_OK) {
    static const subtoken_decision denied = SUBTOKEN_DECISION_DEFAULT;
    CHECK(memcmp(&decision, &denied, sizeof denied) == 0, "%s", target);
    return subtoken_result_name(result);
  }
  int len = snprintf(out, sizeof out, "%s", names[decision.access]);
  if (decision.line > 0) len += snprintf(out + len, sizeof out - (size_t)len, " %u", decision.line);
  if (decision.json_rpc) len += snprintf(out + len, sizeof out - (size_t)len, " rpc");
  if (decision.mcp && decision.access != SUBTOKEN_ACCESS_DENIED) {
    len += snprintf(out + len, sizeof out - (size_t)len, " mcp");
  }
  if (decision.not_listed) len += snprintf(out + len, sizeof out - (size_t)len, " not listed");
  for (size_t i = 0; i < decision.needs_count; i++) {
    len += snprintf(out + len, sizeof out - (size_t)len, " %.*s", (int)decision.needs[i].len,
                    decision.needs[i].data);
  }
  return out;
}

/* Printable UTF-8 and nothing that turns the direction of writing. */
static inline bool is_printable(const char *text, size_t len) {
  for (size_t i = 0; i < len;) {
    uint32_t code;
    size_t step = st_utf8_next(text + i, len - i, &code);
    if (step == 0 || st_utf8_is_control(code)) return false;
    i += step;
  }
  return true;
}

#endif
