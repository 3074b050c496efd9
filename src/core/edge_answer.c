/* Asking the server whose a credential is: the headers of the question, and what the answer tells,
 * if it is genuine. It is genuine when it repeats the nonce of its question, so that no cache can
 * have given it. What the identity may do is for edge.c.
 */
#include "core/edge_answer.h"

#include "core/edge_credential.h"
#include "core/edge_reply.h"

/* ---- the question ---- */

typedef struct edge_answer_question {
  st_writer writer; /* on the caller's memory */
  subtoken_edge_header *headers;
  size_t count;
  bool bad; /* a value that no header can have */
} edge_answer_question;

/* A line's end would start another header. */
static void edge_answer_add(edge_answer_question *question, subtoken_text name,
                            subtoken_text value) {
  for (size_t i = 0; i < value.len; i++) {
    uint8_t c = (uint8_t)value.data[i];
    if ((c < ' ' && c != '\t') || c == 0x7F) question->bad = true;
  }
  question->headers[question->count++] = (subtoken_edge_header){name, value};
}

/* front: in front of the value. The credential may lie in memory that is wiped: it is copied. */
static void edge_answer_add_copy(edge_answer_question *question, subtoken_text name,
                                 subtoken_text front, subtoken_text value) {
  st_writer *writer = &question->writer;
  size_t start = writer->len;
  st_write_view(writer, front);
  st_write_view(writer, value);
  if (writer->overflow) return;
  edge_answer_add(question, name, (subtoken_text){writer->out + start, writer->len - start});
}

/* In each form in which it came, because some are good in one form only. That of the query, which
 * is not passed on, becomes a header as well.
 */
static void edge_answer_add_credential(edge_answer_question *question,
                                       const st_edge_credential *credential) {
  subtoken_text authorization = ST_TEXT("Authorization"), none = {NULL, 0};
  subtoken_text text = credential->text;
  if ((credential->forms & SUBTOKEN_EDGE_BASIC) != 0) {
    edge_answer_add_copy(question, authorization, none, text);
    return;
  }
  if ((credential->forms & SUBTOKEN_EDGE_X_API_KEY) != 0) {
    edge_answer_add_copy(question, ST_TEXT("X-API-Key"), none, text);
  }
  if ((credential->forms & (SUBTOKEN_EDGE_BEARER | SUBTOKEN_EDGE_QUERY)) != 0) {
    edge_answer_add_copy(question, authorization, ST_TEXT("Bearer "), text);
  }
}

/* The target goes without access_token=, which the server would read even where .forms leave it
 * alone.
 */
static bool edge_answer_add_target(edge_answer_question *question, subtoken_text target) {
  st_writer *writer = &question->writer;
  subtoken_text stripped;
  char *out = writer->out + writer->len;
  if (subtoken_edge_strip_query(target, out, writer->size - writer->len, &stripped) !=
      SUBTOKEN_OK) {
    return false;
  }
  if (stripped.data == out) writer->len += stripped.len;
  edge_answer_add(question, ST_TEXT("X-Original-URI"), stripped);
  return true;
}

/* For which audience the edge is: a credential that is bound to another is unknown here. Empty for
 * none, so that a bound one is refused; an audience that no key can be bound to is none, too.
 */
static void edge_answer_add_audience(edge_answer_question *question,
                                     const subtoken_verifier *verifier) {
  subtoken_text audience = {"", 0};
  if (verifier != NULL) {
    subtoken_text own = verifier->aud;
    if (own.data == NULL) own = subtoken_ring_audience(verifier->ring);
    if (subtoken_audience_valid(own)) audience = own;
  }
  edge_answer_add_copy(question, ST_TEXT("X-Subtoken-Audience"), audience, (subtoken_text){"", 0});
}

static bool edge_answer_nonce_valid(subtoken_text nonce) {
  return nonce.data != NULL && nonce.len >= 1 && nonce.len <= 64 &&
         (st_text_class(nonce) & ST_CHAR_NAME) != 0;
}

static size_t edge_answer_ask(const subtoken_edge *edge, const subtoken_edge_request *request,
                              subtoken_text nonce, edge_answer_question *question) {
  st_edge_credential credential;
  st_edge_credential_find(edge, request, &credential);
  edge_answer_add(question, ST_TEXT("X-Subtoken-Nonce"), nonce);
  edge_answer_add_audience(question, edge->verifier);
  edge_answer_add(question, ST_TEXT("X-Original-Method"), request->method);
  bool whole = edge_answer_add_target(question, request->target);
  if (credential.state == ST_EDGE_CREDENTIAL_ONE) edge_answer_add_credential(question, &credential);
  bool one =
      credential.state == ST_EDGE_CREDENTIAL_ONE || credential.state == ST_EDGE_CREDENTIAL_NONE;
  st_edge_credential_wipe(&credential);
  return whole && one && !question->bad && !question->writer.overflow ? question->count : 0;
}

size_t subtoken_edge_question(const subtoken_edge *edge, const subtoken_edge_request *request,
                              subtoken_text nonce, void *memory, size_t memory_size,
                              subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS]) {
  if (!st_edge_credential_args_valid(edge, request) || !edge_answer_nonce_valid(nonce) ||
      memory == NULL || headers == NULL) {
    return 0;
  }
  edge_answer_question question = {st_writer_on(memory, memory_size), headers, 0, false};
  return edge_answer_ask(edge, request, nonce, &question);
}

/* ---- the answer ---- */

static bool edge_answer_is_genuine(const subtoken_edge_answer *answer, subtoken_text nonce) {
  return answer->status != 0 && !answer->repeated && edge_answer_nonce_valid(nonce) &&
         answer->nonce.data != NULL && st_text_equal(answer->nonce, nonce);
}

/* At most max digits; -1: another text, or an empty one. */
static int64_t edge_answer_read_number(subtoken_text text, size_t max) {
  int64_t number = 0;
  if (text.len == 0 || text.len > max) return -1;
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return -1;
    number = 10 * number + (text.data[i] - '0');
  }
  return number;
}

/* The user `*` has no sub and no end. An answer that names somebody says that `*` has no
 * permissions: no credential was sent, so it is not about this request.
 */
static bool edge_answer_read_anonymous(const subtoken_edge_answer *answer,
                                       subtoken_claims *claims) {
  subtoken_text none = {NULL, 0};
  bool named = answer->sub.len > 0 || answer->key.len > 0;
  if (answer->status != 200 && answer->status != 401) return false;
  return subtoken_claims_from_identity(claims, none, named ? none : answer->permissions,
                                       SUBTOKEN_TIME_MAX) == SUBTOKEN_OK;
}

/* A 403 or 400 of the server's own policy tells the identity as well: what the credential may do is
 * decided here.
 */
static bool edge_answer_read_identity(const subtoken_edge_answer *answer, subtoken_claims *claims) {
  int64_t expires = SUBTOKEN_TIME_MAX;
  int status = answer->status;
  if ((status != 200 && status != 403 && status != 400) || answer->sub.len == 0) return false;
  if (answer->expires.len > 0) expires = edge_answer_read_number(answer->expires, 16);
  return subtoken_claims_from_identity(claims, answer->sub, answer->permissions, expires) ==
         SUBTOKEN_OK;
}

bool st_edge_answer_claims(const subtoken_edge_answer *answer, subtoken_text nonce, bool anonymous,
                           subtoken_claims *claims) {
  memset(claims, 0, sizeof *claims);
  if (!edge_answer_is_genuine(answer, nonce)) return false;
  return anonymous ? edge_answer_read_anonymous(answer, claims)
                   : edge_answer_read_identity(answer, claims);
}

/* Where no credential was sent none can be wrong: every such answer is a fault. */
void st_edge_answer_refuse(const subtoken_edge_answer *answer, subtoken_text nonce, bool anonymous,
                           subtoken_edge_reply *reply) {
  int status = edge_answer_is_genuine(answer, nonce) && !anonymous ? answer->status : 0;
  if (status == 401) {
    st_edge_reply_unknown_key(reply);
  } else if (status == 429) {
    int64_t seconds = edge_answer_read_number(answer->retry_after, 6);
    st_edge_reply_throttled(reply, seconds > 0 ? (uint32_t)seconds : 0);
  } else {
    st_edge_reply_unanswered(reply);
  }
}

bool subtoken_edge_answer_usable(const subtoken_edge *edge, const subtoken_edge_request *request,
                                 subtoken_text nonce, const subtoken_edge_answer *answer) {
  st_edge_credential credential;
  subtoken_claims claims;
  if (!st_edge_credential_args_valid(edge, request) || answer == NULL ||
      answer->size != sizeof *answer) {
    return false;
  }
  st_edge_credential_find(edge, request, &credential);
  bool anonymous = credential.state == ST_EDGE_CREDENTIAL_NONE;
  bool asked = anonymous || st_edge_credential_is_key(&credential);
  st_edge_credential_wipe(&credential);
  return asked && st_edge_answer_claims(answer, nonce, anonymous, &claims);
}
