/* Lines of letters (the method, the route and the permissions), of Mcp-Method, Mcp-Name and
 * MCP-Protocol-Version, whose values have tabs between them, then a body. What the library says of
 * the call is what a plain second reading says: of a tree that another JSON reader makes, by
 * looking at each member of the policy in turn.
 */
#include <strings.h>

#include "base/json.h"
#include "cJSON.h"
#include "core/claims.h"
#include "fuzz.h"
#include "subtoken/policy.h"

#define VALUES 4
#define REVISION "2026-07-28"

/* The members of "mcp", and the permission of each. name NULL: none. */
static const struct {
  const char *method, *name, *need;
} members[] = {
    {"tools/call", "search", "a"},
    {"tools/call", "*", "b"},
    {"tools/call", NULL, "c"},
    {"prompts/get", "\xC3\xA9 x", "d"},
    {"resources/read", "file:///a", "a"},
    {"ping", NULL, "b"},
    {"aB", NULL, "c"},
};
#define MEMBERS (sizeof members / sizeof members[0])

/* Methods whose calls have names; `taskId` is for Mcp-Name alone. */
static const struct {
  const char *method, *member;
} sources[] = {
    {"tools/call", "name"},         {"prompts/get", "name"},          {"resources/read", "uri"},
    {"resources/subscribe", "uri"}, {"resources/unsubscribe", "uri"}, {"tasks/get", "taskId"},
    {"tasks/update", "taskId"},     {"tasks/cancel", "taskId"},
};
#define SOURCES (sizeof sources / sizeof sources[0])

static const char *const paths[] = {"/m", "/h", "/s"}; /* plain, mcp_headers, a member `*` */

static const subtoken_policy *policy;

static void set_up(void) {
  static uint64_t memory[20000];
  static char text[4096];
  if (policy != NULL) return;
  int len = snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[");
  for (size_t route = 0; route < 3; route++) {
    len += snprintf(text + len, sizeof text - (size_t)len,
                    "%s{\"path\":\"%s\",\"needs\":[\"n\"],%s\"mcp\":{", route > 0 ? "," : "",
                    paths[route], route == 1 ? "\"mcp_headers\":\"" REVISION "\"," : "");
    for (size_t i = 0; i < MEMBERS; i++) {
      len += snprintf(text + len, sizeof text - (size_t)len, "%s\"%s%s%s\":[\"%s\"]",
                      i > 0 ? "," : "", members[i].method, members[i].name != NULL ? " " : "",
                      members[i].name != NULL ? members[i].name : "", members[i].need);
    }
    len +=
        snprintf(text + len, sizeof text - (size_t)len, "%s}}", route == 2 ? ",\"*\":[\"e\"]" : "");
  }
  len += snprintf(text + len, sizeof text - (size_t)len, "]}");
  HOLD(subtoken_policy_size((size_t)len) <= sizeof memory);
  HOLD(subtoken_policy_read(memory, sizeof memory, (subtoken_text){text, (size_t)len}, &policy,
                            NULL) == SUBTOKEN_OK);
}

/* ---- what came ---- */

static struct {
  size_t route;
  const char *method;
  subtoken_text values[3][VALUES];
  size_t counts[3];
  subtoken_claims claims;
} came;

static void read_letters(subtoken_text line) {
  static const char *const methods[] = {"POST", "GET", "DELETE", "HEAD", "PUT"};
  memset(&came, 0, sizeof came);
  came.method = methods[line.len > 0 ? (uint8_t)line.data[0] % 5 : 0];
  came.route = line.len > 1 ? (uint8_t)line.data[1] % 3 : 0;
  HOLD(st_claims_set_sub(&came.claims, ST_TEXT("s")));
  for (size_t i = 2; i < line.len && i < 10; i++) {
    subtoken_text permission = {line.data + i, 1};
    if (!subtoken_permission_valid(permission)) continue;
    if (st_claims_has_permission(&came.claims, permission)) continue;
    HOLD(st_claims_add_permission(&came.claims, permission));
  }
}

static void read_values(subtoken_text line, size_t header) {
  st_cutter cutter = {line, line.len == 0};
  subtoken_text value;
  while (came.counts[header] < VALUES && st_cut(&cutter, '\t', &value)) {
    came.values[header][came.counts[header]++] = value;
  }
}

/* ---- the second reading ---- */

typedef struct reading {
  subtoken_result result;
  bool json;       /* the body is */
  bool lacks[256]; /* permissions, by their letter */
} reading;

static void need(reading *into, const char *permission) {
  if (!st_claims_has_permission(&came.claims, st_text(permission))) {
    into->lacks[(uint8_t)permission[0]] = true;
  }
}

static const char *source_of(const char *method) {
  for (size_t i = 0; i < SOURCES; i++) {
    if (strcmp(method, sources[i].method) == 0) return sources[i].member;
  }
  return NULL;
}

static bool is_other_spelling(const char *method) {
  bool nearly = false;
  for (size_t i = 0; i < SOURCES; i++) {
    if (strcmp(method, sources[i].method) == 0) return false;
    nearly |= strcasecmp(method, sources[i].method) == 0;
  }
  for (size_t i = 0; i < MEMBERS; i++) {
    if (strcmp(method, members[i].method) == 0) return false;
    nearly |= strcasecmp(method, members[i].method) == 0;
  }
  return nearly;
}

static bool method_is_good(const char *method) {
  size_t len = strlen(method);
  for (size_t i = 0; i < len; i++) {
    if (method[i] < 0x21 || method[i] > 0x7E) return false;
  }
  return len >= 1 && len <= 128 && !is_other_spelling(method);
}

/* name NULL: none. */
static void need_call(reading *into, const char *method, const char *name) {
  const char *found = NULL;
  int best = 0;
  for (size_t i = 0; i < MEMBERS; i++) {
    if (strcmp(members[i].method, method) != 0) continue;
    int rank = members[i].name == NULL                              ? 1
               : name != NULL && strcmp(members[i].name, "*") == 0  ? 2
               : name != NULL && strcmp(members[i].name, name) == 0 ? 3
                                                                    : 0;
    if (rank > best) found = members[i].need;
    if (rank > best) best = rank;
  }
  if (found == NULL && came.route == 2) found = "e";
  if (found != NULL) need(into, found);
}

/* The name in a value; NULL: none. Free it. */
static char *name_in(subtoken_text value) {
  value = st_text_trim(value);
  char *plain = calloc(1, value.len + 1);
  if (plain == NULL) abort();
  if (value.len > 0) memcpy(plain, value.data, value.len);
  bool wrapped = strlen(plain) == value.len && value.len >= 10 &&
                 strncmp(plain, "=?base64?", 9) == 0 && strcmp(plain + value.len - 2, "?=") == 0;
  bool good = true;
  for (size_t i = 0; i < value.len; i++) {
    good &= plain[i] == '\t' || (plain[i] >= ' ' && plain[i] <= '~');
  }
  if (good && !wrapped) return plain;
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char *text = plain + 9, *out = plain;
  good = good && value.len >= 11;
  size_t len = good ? value.len - 11 : 0, bits = 0, made = 0, pad = 0;
  uint32_t held = 0;
  good = good && len % 4 == 0;
  while (good && pad < 2 && pad < len && text[len - 1 - pad] == '=') pad++;
  for (size_t i = 0; good && i < len - pad; i++) {
    const char *at = strchr(alphabet, text[i]);
    good = text[i] != '\0' && at != NULL;
    held = held << 6 | (good ? (uint32_t)(at - alphabet) : 0);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out[made++] = (char)(held >> bits);
    held &= (1U << bits) - 1;
  }
  good = good && held == 0 && bits < 6;
  if (good) out[made] = '\0';
  bool marked = good && strncmp(out, "\xEF\xBB\xBF", 3) == 0;
  if (good && !marked && strlen(out) == made && st_utf8_valid((subtoken_text){out, made})) {
    return plain;
  }
  free(plain);
  return NULL;
}

/* What JavaScript's trim takes off, and controls. */
static const char *const spaces[] = {
    " ",
    "\xC2\x85",
    "\xC2\xA0",
    "\xE1\x9A\x80",
    "\xE2\x80\x80",
    "\xE2\x80\x81",
    "\xE2\x80\x82",
    "\xE2\x80\x83",
    "\xE2\x80\x84",
    "\xE2\x80\x85",
    "\xE2\x80\x86",
    "\xE2\x80\x87",
    "\xE2\x80\x88",
    "\xE2\x80\x89",
    "\xE2\x80\x8A",
    "\xE2\x80\xAF",
    "\xE2\x81\x9F",
    "\xE3\x80\x80",
};
static const char *const odd[] = {"\xE2\x80\xA8", "\xE2\x80\xA9", "\xEF\xBB\xBF"};

/* Would any reader of the header and of the name have this text? name: UTF-8. */
static bool is_sure(subtoken_text value, const char *name) {
  size_t len = strlen(name);
  value = st_text_trim(value);
  if (len == 0) return false;
  if (value.len == len && memcmp(value.data, name, len) == 0 && strncmp(name, "=?", 2) == 0) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    uint8_t byte = (uint8_t)name[i], next = (uint8_t)name[i + 1];
    if (byte < 0x20 || byte == 0x7F || (byte == 0xC2 && next >= 0x80 && next < 0xA0)) return false;
  }
  for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
    if (strstr(name, odd[i]) != NULL) return false;
  }
  for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
    size_t size = strlen(spaces[i]);
    if (size > len) continue;
    if (memcmp(name, spaces[i], size) == 0) return false;
    if (memcmp(name + len - size, spaces[i], size) == 0) return false;
  }
  return true;
}

static bool uri_is_good(const char *uri) {
  for (const char *at = uri; *at != '\0'; at++) {
    if ((uint8_t)*at <= ' ' || *at == 0x7F) return false;
  }
  size_t scheme = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
  size_t upper = strcspn(uri, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  return uri[scheme] != ':' || strspn(uri, "0123456789+-.") > 0 || upper >= scheme;
}

static bool header_agrees(const char *method, const char *name) {
  if (came.counts[0] > 0 &&
      (method == NULL || !st_text_is(st_text_trim(came.values[0][0]), method))) {
    return false;
  }
  if (came.counts[1] == 0) return true;
  char *told = name_in(came.values[1][0]);
  bool same = told != NULL && name != NULL && strcmp(told, name) == 0;
  free(told);
  return same;
}

static bool is_ascii(const char *text) {
  for (; *text != '\0'; text++) {
    if ((uint8_t)*text >= 0x80) return false;
  }
  return true;
}

/* Is a member there that a lenient reader takes for one of these? */
static bool misleads(const cJSON *object, const char *const *names, size_t count) {
  for (const cJSON *each = object->child; each != NULL; each = each->next) {
    if (!is_ascii(each->string)) return true;
    for (size_t i = 0; i < count; i++) {
      if (strcasecmp(each->string, names[i]) == 0 && strcmp(each->string, names[i]) != 0)
        return true;
    }
  }
  return false;
}

/* One message. False: it is none that can be read in one way only. */
static bool read_message(const cJSON *message, reading *into, bool *mismatch) {
  static const char *const known[] = {"jsonrpc", "id", "method", "params", "result", "error"};
  static const char *const named[] = {"name", "uri", "taskId"};
  if (!cJSON_IsObject(message) || misleads(message, known, 6)) return false;
  const cJSON *method = cJSON_GetObjectItemCaseSensitive(message, "method");
  const cJSON *params = cJSON_GetObjectItemCaseSensitive(message, "params");
  bool response = cJSON_GetObjectItemCaseSensitive(message, "result") != NULL ||
                  cJSON_GetObjectItemCaseSensitive(message, "error") != NULL;
  if (method == NULL) {
    *mismatch |= !header_agrees(NULL, NULL);
    return response;
  }
  if (!cJSON_IsString(method) || response || !method_is_good(method->valuestring)) return false;
  const char *source = source_of(method->valuestring), *name = NULL;
  if (source != NULL && cJSON_IsObject(params)) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(params, source);
    if (cJSON_IsString(value)) name = value->valuestring;
  }
  bool task = source != NULL && strcmp(source, "taskId") == 0;
  if (source != NULL && !task && (name == NULL || misleads(params, named, 3))) return false;
  if (source != NULL && strcmp(source, "uri") == 0 && !uri_is_good(name)) return false;
  *mismatch |= !header_agrees(method->valuestring, name);
  need_call(into, method->valuestring, task ? NULL : name);
  return true;
}

static bool repeated(void) {
  return came.counts[0] > 1 || came.counts[1] > 1 || came.counts[2] > 1;
}

static void read_body(const cJSON *root, reading *into) {
  bool mismatch = false, good = true;
  if (cJSON_IsArray(root)) {
    int count = cJSON_GetArraySize(root);
    good = count >= 1 && count <= SUBTOKEN_MCP_BATCH_MAX;
    for (const cJSON *each = root->child; good && each != NULL; each = each->next) {
      good = read_message(each, into, &mismatch);
    }
  } else {
    good = read_message(root, into, &mismatch);
  }
  if (!good) {
    into->result = SUBTOKEN_MALFORMED;
  } else if (mismatch || repeated()) {
    into->result = SUBTOKEN_MCP_MISMATCH;
  }
}

static void read_headers(reading *into) {
  bool calls = strcmp(came.method, "POST") == 0 || strcmp(came.method, "PUT") == 0;
  if (!calls) return;
  into->result = SUBTOKEN_URL;
  if (came.route != 1 || came.counts[2] != 1) return;
  if (!st_text_is(st_text_trim(came.values[2][0]), REVISION)) return;
  into->result = SUBTOKEN_MCP_MISMATCH;
  if (repeated() || came.counts[0] == 0) return;
  subtoken_text value = st_text_trim(came.values[0][0]);
  char method[200] = "";
  if (value.len == 0 || value.len > 128 || memchr(value.data, '\0', value.len) != NULL) return;
  memcpy(method, value.data, value.len);
  const char *source = source_of(method);
  if (!method_is_good(method) || (source != NULL) != (came.counts[1] == 1)) return;
  char *name = source == NULL ? NULL : name_in(came.values[1][0]);
  bool good = source == NULL || (name != NULL && is_sure(came.values[1][0], name) &&
                                 (strcmp(source, "uri") != 0 || uri_is_good(name)));
  if (!good) free(name);
  if (!good) return;
  into->result = SUBTOKEN_OK;
  need_call(into, method, source == NULL || strcmp(source, "taskId") == 0 ? NULL : name);
  free(name);
}

static void read_again(subtoken_text body, reading *into) {
  into->result = SUBTOKEN_OK;
  need(into, "n");
  if (body.len == 0) {
    read_headers(into);
  } else {
    char *copy = fuzz_copy(body.data, body.len);
    bool json = st_json_valid(copy, body.len);
    free(copy);
    cJSON *root = json ? cJSON_ParseWithLength(body.data, body.len) : NULL;
    HOLD(!json || root != NULL);
    into->json = json;
    if (json) {
      read_body(root, into);
    } else {
      into->result = SUBTOKEN_MALFORMED;
    }
    cJSON_Delete(root);
  }
  bool lacks = false;
  for (size_t i = 0; i < 256; i++) lacks |= into->lacks[i];
  if (into->result == SUBTOKEN_OK && lacks) into->result = SUBTOKEN_PERM;
}

/* ---- what the library says ---- */

static void check_mcp(subtoken_result result, const subtoken_mcp *mcp, const reading *want) {
  char out[SUBTOKEN_MCP_REPLY_MAX], challenge[SUBTOKEN_CHALLENGE_MAX];
  bool error = result == SUBTOKEN_MALFORMED || result == SUBTOKEN_MCP_MISMATCH;
  HOLD(error == (mcp->code != 0) && (result == SUBTOKEN_PERM) == (mcp->lacking_count > 0));
  HOLD(result != SUBTOKEN_MALFORMED || mcp->code == (want->json ? -32600 : -32700));
  size_t lacks = 0;
  for (size_t i = 0; i < 256; i++) lacks += want->lacks[i];
  HOLD(result != SUBTOKEN_PERM || lacks == mcp->lacking_count);
  for (size_t i = 0; i < mcp->lacking_count; i++) {
    HOLD(mcp->lacking[i].len == 1 && want->lacks[(uint8_t)mcp->lacking[i].data[0]]);
  }
  size_t len = subtoken_mcp_reply(result, mcp, out, sizeof out);
  HOLD(len > 0 && out[len] == '\0');
  cJSON *told = cJSON_ParseWithLength(out, len);
  const cJSON *code = cJSON_GetObjectItem(cJSON_GetObjectItem(told, "error"), "code");
  HOLD(told != NULL && error == cJSON_IsNumber(code));
  HOLD(!error || code->valueint == mcp->code);
  cJSON_Delete(told);
  len = subtoken_mcp_challenge(result, mcp, challenge, sizeof challenge);
  HOLD((result == SUBTOKEN_PERM) == (len > 0));
  HOLD(subtoken_mcp_explain(policy, NULL, result, mcp, out, sizeof out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > SUBTOKEN_RPC_BODY_MAX) return 0;
  set_up();
  char *copy = fuzz_copy(data, size);
  subtoken_text rest = {copy, size};
  read_letters(fuzz_line(&rest));
  for (size_t i = 0; i < 3; i++) read_values(fuzz_line(&rest), i);
  char *body = fuzz_copy(rest.data, rest.len), *scratch = fuzz_copy(rest.data, rest.len);
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  request.method = st_text(came.method);
  HOLD(subtoken_policy_find(policy, request.method, st_text(paths[came.route]), SUBTOKEN_POLICY_MCP,
                            &decision) == SUBTOKEN_OK);
  subtoken_mcp_call call = {sizeof call,      came.values[0], came.counts[0], came.values[1],
                            came.counts[1],   came.values[2], came.counts[2], rest.len > 0,
                            {body, rest.len}, scratch,        rest.len};
  subtoken_mcp mcp = SUBTOKEN_MCP_DEFAULT;
  static reading want;
  memset(&want, 0, sizeof want);
  subtoken_result result =
      subtoken_mcp_check(policy, &decision, &request, &came.claims, &call, &mcp);
  HOLD(rest.len == 0 || memcmp(body, rest.data, rest.len) == 0);
  read_again(rest, &want);
  HOLD(result == want.result);
  check_mcp(result, &mcp, &want);
  free(body);
  free(scratch);
  free(copy);
  return 0;
}
