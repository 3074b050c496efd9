/* verdicts - asks an installed libsubtoken, as C11 and as C++17, what verdicts.py and
 * verdicts.lua ask through the bindings. One question a line of standard input, one
 * answer a line of standard output; the fields have tabs between them.
 *
 * A text is in hex, `-` when it is absent; a list is its texts in hex, a comma behind
 * each, `-` when it is absent; CLAIMS are `sub iat exp nbf iss permissions urls sid` with
 * semicolons between, or `-`.
 *
 *   version                                       -> version
 *   ring TEXT                                     -> result line
 *   verifier LEEWAY MAX_LIFE ISS AUD MODE         -> ok      MODE: asks, without or none
 *   sub SUB STATE                                 -> ok      STATE: good, revoked, unsure or
 *                                                            raise (here: no answer at all)
 *   verify NOW METHOD TARGET NEEDS TOKEN          -> result status CHALLENGE CLAIMS
 *   explain NOW METHOD TARGET NEEDS TOKEN         -> TEXT
 *   inspect TOKEN                                 -> result HEADER CLAIMS
 *   match URLS METHOD TARGET                      -> result
 *   allows ENTRY METHOD TARGET, covers ENTRY ENTRY-> result
 *   canonical ENTRY, path TARGET                  -> result TEXT fault
 *   mac SECRET DATA                               -> result MAC
 *   check SECRET DATA MAC                         -> result
 *
 * And, here alone, what edges.json asks of every edge; the ring and the verifier are those above:
 *   policy TEXT                                   -> result
 *   edge NOW METHOD TARGET AUTHORIZATION X_API_KEY FLAGS LENGTH MCP_METHOD MCP_NAME MCP_VERSION
 *                                                 -> step; FLAGS: letters of o, m, e and b
 *   answer STATUS NONCE SUB KEY OWNER PERMISSIONS EXPIRES -> step
 *   body TEXT                                     -> step
 * A step is `ask` and a list of the question's names and values; else `allow`, `refuse` or `body`,
 * and status, name, BODY, CHALLENGE, the five values of the identity, and the TARGET for the API.
 */
#include <subtoken/common.h>
#include <subtoken/edge.h>
#include <subtoken/issue.h>
#include <subtoken/mac.h>
#include <subtoken/url.h>
#include <subtoken/verify.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 12
#define LIST_MAX 300

typedef struct known_sub {
  subtoken_text sub;
  subtoken_result state;
} known_sub;

static subtoken_ring ring;
static subtoken_verifier verifier;
static known_sub *subs;
static size_t subs_count;

static void *room(size_t size) {
  void *memory = malloc(size > 0 ? size : 1);
  if (memory == NULL) abort();
  return memory;
}

/* ---- reading ---- */

/* One line without its end, in memory that grows; NULL at the end of the input. */
static char *read_line(void) {
  static char *line;
  static size_t size;
  size_t len = 0;
  int c;
  while ((c = getchar()) != EOF && c != '\n') {
    if (len + 1 >= size) {
      size = size > 0 ? 2 * size : 4096;
      line = (char *)realloc(line, size);
      if (line == NULL) abort();
    }
    line[len++] = (char)c;
  }
  if (c == EOF && len == 0) return NULL;
  if (line == NULL) return NULL;
  line[len] = '\0';
  return line;
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  abort();
}

/* In memory of exactly its size, so that a reader that goes beyond it can be caught. */
static subtoken_text unhex(const char *hex, size_t hex_len) {
  size_t len = hex_len / 2;
  char *data = (char *)room(len);
  for (size_t i = 0; i < len; i++) {
    data[i] = (char)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
  }
  subtoken_text text = {data, len};
  return text;
}

static subtoken_text text_of(const char *field) {
  subtoken_text absent = {NULL, 0};
  return strcmp(field, "-") == 0 ? absent : unhex(field, strlen(field));
}

static void release(subtoken_text text) {
  free((void *)text.data);
}

static size_t list_of(const char *field, subtoken_text *list) {
  size_t count = 0;
  if (strcmp(field, "-") == 0) return 0;
  while (*field != '\0') {
    size_t len = strcspn(field, ",");
    if (count == LIST_MAX) abort();
    list[count++] = unhex(field, len);
    field += len + 1;
  }
  return count;
}

/* ---- writing ---- */

static void put_hex(const char *data, size_t len) {
  if (data == NULL) putchar('-');
  for (size_t i = 0; data != NULL && i < len; i++) printf("%02x", (unsigned char)data[i]);
}

static void put_text(subtoken_text text) {
  put_hex(text.data, text.len);
}

static void put_list(const subtoken_claims *claims, const subtoken_slice *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    put_text(subtoken_claims_text(claims, list[i]));
    putchar(',');
  }
}

static void put_audiences(const subtoken_claims *claims) {
  size_t at = 0;
  if (claims->aud.len == 0) putchar('-');
  for (subtoken_text one; (one = subtoken_claims_audience(claims, &at)).data != NULL;) {
    put_text(one);
    putchar(',');
  }
}

static void put_claims(const subtoken_claims *claims, subtoken_result result) {
  if (result != SUBTOKEN_OK) {
    /* The contract: zeroed, so nothing that they could open. */
    if (claims->exp != 0 || claims->sub.len != 0 || claims->sid.len != 0 || claims->every_url ||
        claims->url_count != 0 || claims->permission_count != 0) {
      abort();
    }
    putchar('-');
    return;
  }
  put_text(subtoken_claims_text(claims, claims->sub));
  printf(";%lld;%lld;%lld;", (long long)claims->iat, (long long)claims->exp,
         (long long)claims->nbf);
  if (claims->iss.len > 0) {
    put_text(subtoken_claims_text(claims, claims->iss));
  } else {
    putchar('-');
  }
  putchar(';');
  put_list(claims, claims->permissions, claims->permission_count);
  putchar(';');
  if (claims->every_url) {
    putchar('-');
  } else {
    put_list(claims, claims->urls, claims->url_count);
  }
  putchar(';');
  if (claims->sid.len > 0) {
    put_text(subtoken_claims_text(claims, claims->sid));
  } else {
    putchar('-');
  }
  putchar(';');
  put_audiences(claims);
  putchar(';');
  put_list(claims, claims->via, claims->via_count);
  putchar(';');
  if (claims->tid.len > 0) {
    put_text(subtoken_claims_text(claims, claims->tid));
  } else {
    putchar('-');
  }
}

/* ---- questions ---- */

static subtoken_result ask_subs(void *context, const subtoken_text *names, size_t count) {
  if (context != &subs) abort();
  subtoken_result result = SUBTOKEN_OK;
  for (size_t at = 0; at < count && result == SUBTOKEN_OK; at++) {
    result = at == 0 ? SUBTOKEN_REVOKED : SUBTOKEN_OK; /* of a name that is not known */
    for (size_t i = subs_count; i-- > 0;) {
      if (subs[i].sub.len == names[at].len &&
          memcmp(subs[i].sub.data, names[at].data, names[at].len) == 0) {
        result = subs[i].state;
        break;
      }
    }
  }
  return result;
}

static void set_ring(char **field) {
  subtoken_text text = text_of(field[1]);
  size_t line = 0;
  subtoken_result result = subtoken_ring_read(&ring, text, &line);
  printf("%s\t%zu", subtoken_result_name(result), line);
  release(text);
}

static void set_verifier(char **field) {
  subtoken_verifier fresh = SUBTOKEN_VERIFIER_DEFAULT;
  release(verifier.iss);
  release(verifier.aud);
  fresh.ring = &ring;
  fresh.leeway = strtoll(field[1], NULL, 10);
  fresh.max_life = strtoll(field[2], NULL, 10);
  fresh.iss = text_of(field[3]);
  fresh.aud = text_of(field[4]);
  if (strcmp(field[5], "asks") == 0) {
    fresh.revoked = ask_subs;
    fresh.revoked_context = &subs;
  }
  fresh.without_revocations = strcmp(field[5], "without") == 0;
  verifier = fresh;
  printf("ok");
}

static void set_sub(char **field) {
  subs = (known_sub *)realloc(subs, (subs_count + 1) * sizeof *subs);
  if (subs == NULL) abort();
  subs[subs_count].sub = text_of(field[1]);
  subs[subs_count].state = strcmp(field[2], "good") == 0      ? SUBTOKEN_OK
                           : strcmp(field[2], "revoked") == 0 ? SUBTOKEN_REVOKED
                           : strcmp(field[2], "unsure") == 0  ? SUBTOKEN_REVOCATION_UNKNOWN
                                                              : SUBTOKEN_UNDECIDED;
  subs_count++;
  printf("ok");
}

static void ask_verifier(char **field, bool explain) {
  static subtoken_claims claims;
  static subtoken_text needs[LIST_MAX];
  static char out[8192];
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  request.now = strtoll(field[1], NULL, 10);
  request.method = text_of(field[2]);
  request.target = text_of(field[3]);
  request.needs = needs;
  request.needs_count = list_of(field[4], needs);
  subtoken_text token = text_of(field[5]);
  subtoken_result result = subtoken_verify(&verifier, token, &request, &claims);
  if (explain) {
    subtoken_verifier alone = verifier;
    alone.revoked = NULL; /* the bindings ask, and not the library: it does not know which name */
    size_t len = subtoken_explain(&alone, token, &request, result, out, sizeof out);
    put_hex(out, len);
  } else {
    const char *challenge = subtoken_result_challenge(result);
    printf("%s\t%d\t", subtoken_result_name(result), subtoken_result_status(result));
    put_hex(challenge, challenge != NULL ? strlen(challenge) : 0);
    putchar('\t');
    put_claims(&claims, result);
  }
  release(token);
  release(request.method);
  release(request.target);
  while (request.needs_count > 0) release(needs[--request.needs_count]);
}

static void ask_inspect(char **field) {
  static subtoken_claims claims;
  static char header[SUBTOKEN_TOKEN_MAX];
  subtoken_text token = text_of(field[1]);
  subtoken_result result = subtoken_inspect(token, header, sizeof header, &claims);
  printf("%s\t", subtoken_result_name(result));
  put_hex(result == SUBTOKEN_OK ? header : NULL, strlen(header));
  putchar('\t');
  put_claims(&claims, result);
  release(token);
}

/* Claims that open these entries and nothing else, made from outside by the header. */
static void ask_match(char **field) {
  static subtoken_claims claims;
  static subtoken_text urls[LIST_MAX];
  subtoken_text method = text_of(field[2]), target = text_of(field[3]);
  size_t count = list_of(field[1], urls), at = 0;
  bool fits = count <= SUBTOKEN_URLS_MAX;
  memset(&claims, 0, sizeof claims);
  claims.every_url = strcmp(field[1], "-") == 0;
  for (size_t i = 0; i < count; i++) {
    fits = fits && at + urls[i].len <= sizeof claims.text;
    if (fits) {
      memcpy(claims.text + at, urls[i].data, urls[i].len);
      claims.urls[i].at = (uint16_t)at;
      claims.urls[i].len = (uint16_t)urls[i].len;
      at += urls[i].len;
    }
    release(urls[i]);
  }
  claims.url_count = (uint16_t)count;
  claims.text_len = (uint16_t)at;
  subtoken_result result =
      fits ? subtoken_url_match(&claims, method, target) : SUBTOKEN_INVALID_ARGUMENT;
  printf("%s", subtoken_result_name(result));
  release(method);
  release(target);
}

static void ask_allows(char **field) {
  subtoken_text entry = text_of(field[1]), method = text_of(field[2]), target = text_of(field[3]);
  printf("%s", subtoken_result_name(subtoken_url_allows(entry, method, target)));
  release(entry);
  release(method);
  release(target);
}

static void ask_covers(char **field) {
  subtoken_text outer = text_of(field[1]), inner = text_of(field[2]);
  printf("%s", subtoken_result_name(subtoken_url_covers(outer, inner)));
  release(outer);
  release(inner);
}

static void ask_canonical(char **field, bool target) {
  static char out[3 * SUBTOKEN_PATH_MAX + 1];
  size_t len = 0;
  subtoken_fault fault = SUBTOKEN_FAULT_NONE;
  subtoken_text text = text_of(field[1]);
  subtoken_result result =
      target ? subtoken_target_path(text, out, sizeof out, &len, &fault)
             : subtoken_url_canonical(text, out, SUBTOKEN_URL_MAX + 1, &len, &fault);
  printf("%s\t", subtoken_result_name(result));
  put_hex(result == SUBTOKEN_OK ? out : NULL, len);
  printf("\t%s", subtoken_fault_name(fault));
  release(text);
}

static void ask_mac(char **field, bool check) {
  uint8_t mac[SUBTOKEN_MAC_LEN];
  subtoken_secret secret;
  subtoken_text bytes = text_of(field[1]), data = text_of(field[2]), none = {NULL, 0};
  subtoken_result result = subtoken_secret_set(&secret, none, bytes.data, bytes.len);
  if (check) {
    subtoken_text given = text_of(field[3]);
    if (result == SUBTOKEN_OK) {
      result = given.len != sizeof mac
                   ? SUBTOKEN_MAC
                   : subtoken_mac_check(&secret, data.data, data.len, (const uint8_t *)given.data);
    }
    printf("%s", subtoken_result_name(result));
    release(given);
  } else {
    if (result == SUBTOKEN_OK) result = subtoken_mac_compute(&secret, data.data, data.len, mac);
    printf("%s\t", subtoken_result_name(result));
    put_hex(result == SUBTOKEN_OK ? (const char *)mac : NULL, sizeof mac);
  }
  subtoken_wipe(&secret, sizeof secret);
  release(bytes);
  release(data);
}

/* ---- edges ---- */

static subtoken_edge edge = SUBTOKEN_EDGE_DEFAULT;
static subtoken_edge_request asked = SUBTOKEN_EDGE_REQUEST_DEFAULT;
static subtoken_edge_answer told = SUBTOKEN_EDGE_ANSWER_DEFAULT;
static subtoken_claims edge_claims;
static subtoken_edge_reply reply = SUBTOKEN_EDGE_REPLY_DEFAULT;

static void set_policy(char **field) {
  subtoken_text text = text_of(field[1]);
  size_t size = subtoken_policy_size(text.len);
  void *memory = room(size); /* to the end of the program */
  subtoken_result result = subtoken_policy_read(memory, size, text, &edge.policy, NULL);
  printf("%s", subtoken_result_name(result));
  release(text);
}

static void put_question(void) {
  static char memory[SUBTOKEN_EDGE_QUESTION_MEMORY];
  static const subtoken_text nonce = SUBTOKEN_TEXT("verdicts");
  subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
  size_t count = subtoken_edge_question(&edge, &asked, nonce, memory, sizeof memory, headers);
  printf("ask\t");
  for (size_t i = 0; i < count; i++) {
    put_text(headers[i].name);
    putchar(',');
    put_text(headers[i].value);
    putchar(',');
  }
  subtoken_wipe(memory, sizeof memory);
}

static void put_step(subtoken_edge_step step) {
  static char memory[SUBTOKEN_EDGE_IDENTITY_MEMORY], target[SUBTOKEN_TARGET_MAX + 1];
  subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  subtoken_text stripped;
  if (step == SUBTOKEN_EDGE_ASK) {
    put_question();
    return;
  }
  if (step == SUBTOKEN_EDGE_REFUSE && edge_claims.exp != 0) abort();
  if (subtoken_edge_identity_headers(&edge_claims, &told, memory, sizeof memory, headers) !=
          SUBTOKEN_OK ||
      subtoken_edge_strip_query(asked.target, target, sizeof target, &stripped) != SUBTOKEN_OK) {
    abort();
  }
  printf("%s\t%d\t%s\t",
         step == SUBTOKEN_EDGE_ALLOW  ? "allow"
         : step == SUBTOKEN_EDGE_BODY ? "body"
                                      : "refuse",
         reply.status, reply.name);
  put_hex(reply.body, reply.body_len);
  putchar('\t');
  put_hex(reply.challenge, reply.challenge_len);
  putchar('\t');
  for (size_t i = 0; i < SUBTOKEN_EDGE_IDENTITY_HEADERS; i++) {
    put_text(headers[i].value);
    putchar(',');
  }
  putchar('\t');
  put_text(stripped);
}

static void ask_edge(char **field) {
  static subtoken_text authorization[LIST_MAX], x_api_key[LIST_MAX];
  static subtoken_text mcp_method[LIST_MAX], mcp_name[LIST_MAX], mcp_version[LIST_MAX];
  static const subtoken_edge_answer none = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  edge.verifier = &verifier;
  edge.may_ask = edge.reads_bodies = true;
  told = none;
  release(asked.method);
  release(asked.target);
  while (asked.authorization_count > 0) release(authorization[--asked.authorization_count]);
  while (asked.x_api_key_count > 0) release(x_api_key[--asked.x_api_key_count]);
  while (asked.mcp_method_count > 0) release(mcp_method[--asked.mcp_method_count]);
  while (asked.mcp_name_count > 0) release(mcp_name[--asked.mcp_name_count]);
  while (asked.mcp_version_count > 0) release(mcp_version[--asked.mcp_version_count]);
  asked.now = strtoll(field[1], NULL, 10);
  asked.method = text_of(field[2]);
  asked.target = text_of(field[3]);
  asked.authorization = authorization;
  asked.authorization_count = list_of(field[4], authorization);
  asked.x_api_key = x_api_key;
  asked.x_api_key_count = list_of(field[5], x_api_key);
  asked.origin = strchr(field[6], 'o') != NULL;
  asked.request_method = strchr(field[6], 'm') != NULL;
  asked.body_encoded = strchr(field[6], 'e') != NULL;
  asked.has_body = strchr(field[6], 'b') != NULL;
  asked.content_length = strtoull(field[7], NULL, 10);
  asked.mcp_method = mcp_method;
  asked.mcp_method_count = list_of(field[8], mcp_method);
  asked.mcp_name = mcp_name;
  asked.mcp_name_count = list_of(field[9], mcp_name);
  asked.mcp_version = mcp_version;
  asked.mcp_version_count = list_of(field[10], mcp_version);
  put_step(subtoken_edge_decide(&edge, &asked, &edge_claims, &reply));
}

static void tell_edge(char **field) {
  static const subtoken_text nonce = SUBTOKEN_TEXT("verdicts");
  subtoken_text *to[] = {&told.nonce, &told.sub,         &told.key,
                         &told.owner, &told.permissions, &told.expires};
  told.status = (int)strtol(field[1], NULL, 10);
  for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
    release(*to[i]);
    *to[i] = text_of(field[2 + i]);
  }
  put_step(subtoken_edge_decide_answer(&edge, &asked, nonce, &told, &edge_claims, &reply));
}

static void tell_edge_body(char **field) {
  subtoken_text body = text_of(field[1]);
  void *scratch = room(body.len);
  subtoken_edge_step step =
      subtoken_edge_decide_body(&edge, &asked, &edge_claims, body, scratch, body.len, &reply);
  if (step == SUBTOKEN_EDGE_REFUSE) memset(&edge_claims, 0, sizeof edge_claims);
  put_step(step);
  release(body);
  free(scratch);
}

static void answer(char **field) {
  const char *verb = field[0];
  if (strcmp(verb, "version") == 0) {
    printf("%s", subtoken_version());
  } else if (strcmp(verb, "ring") == 0) {
    set_ring(field);
  } else if (strcmp(verb, "verifier") == 0) {
    set_verifier(field);
  } else if (strcmp(verb, "sub") == 0) {
    set_sub(field);
  } else if (strcmp(verb, "verify") == 0 || strcmp(verb, "explain") == 0) {
    ask_verifier(field, verb[0] == 'e');
  } else if (strcmp(verb, "inspect") == 0) {
    ask_inspect(field);
  } else if (strcmp(verb, "match") == 0) {
    ask_match(field);
  } else if (strcmp(verb, "allows") == 0) {
    ask_allows(field);
  } else if (strcmp(verb, "covers") == 0) {
    ask_covers(field);
  } else if (strcmp(verb, "canonical") == 0 || strcmp(verb, "path") == 0) {
    ask_canonical(field, verb[0] == 'p');
  } else if (strcmp(verb, "mac") == 0 || strcmp(verb, "check") == 0) {
    ask_mac(field, verb[0] == 'c');
  } else if (strcmp(verb, "policy") == 0) {
    set_policy(field);
  } else if (strcmp(verb, "edge") == 0) {
    ask_edge(field);
  } else if (strcmp(verb, "answer") == 0) {
    tell_edge(field);
  } else if (strcmp(verb, "body") == 0) {
    tell_edge_body(field);
  } else {
    abort();
  }
  putchar('\n');
}

int main(void) {
  char *line;
  while ((line = read_line()) != NULL) {
    static char none[] = "-";
    char *field[FIELDS];
    size_t count = 0;
    for (size_t i = 0; i < FIELDS; i++) field[i] = none;
    for (char *at = line; at != NULL && count < FIELDS; count++) {
      char *tab = strchr(at, '\t');
      if (tab != NULL) *tab = '\0';
      field[count] = at;
      at = tab != NULL ? tab + 1 : NULL;
    }
    answer(field);
    if (fflush(stdout) != 0) return 1;
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
