/* Sequences of calls: keys and sessions are made, tokens issued, narrowed, exchanged, revoked; keys
 * disabled, deleted, rotated; the ring gets other secrets; time goes on; edges hear of it late. The
 * real service on a real store and the library at three edges (model_issuer.h) are held against the
 * plain model (model.h): each status, each claim, each verdict. tests/e2e/test_lives.py walks the
 * same way through real processes, at random; here coverage leads, and the clock is exact.
 *
 * An input is a list of steps: a byte that says which, and bytes for its choices.
 */
#include "base/date.h"
#include "model_issuer.h"

static model m;

/* ---- choices ---- */

static const uint8_t *input;
static size_t input_left;

static unsigned next(void) {
  if (input_left == 0) return 0;
  input_left--;
  return *input++;
}

static model_credential next_credential(void) {
  unsigned which = next(), form = next();
  if (m.token_count > 0 && form % 8 < 5) {
    const model_token *t = &m.tokens[m.token_count - 1 - (int)which % m.token_count];
    return (model_credential){&m.keys[t->key], t, 0};
  }
  const model_key *key = &m.keys[(int)which % m.key_count];
  if (key->parent >= 0) key = &m.keys[key->parent];
  int secret = form / 8 % 4 == 3 ? 2 : form / 8 % 4 == 2 ? 1 : 0;
  return (model_credential){key, NULL, key->secrets[secret][0] != '\0' ? secret : 0};
}

static int64_t next_life(void) {
  static const int64_t lives[] = {600, 1, 2, 3, 10, 899, 901, 5000, 20001, 40000};
  return lives[next() % (sizeof lives / sizeof lives[0])];
}

static int key_at(const model_key *key) {
  return (int)(key - m.keys);
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* ---- what a token says ---- */

static void check_header(const char *header, int audience) {
  char wanted[160] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"", kid[32] = "";
  if (m.last_secret > 0) snprintf(kid, sizeof kid, "k%u", m.last_secret);
  if (audience != 0) snprintf(kid + strlen(kid), 8, ".%s", model_audiences[audience]);
  size_t len = strlen(wanted);
  snprintf(wanted + len, sizeof wanted - len, kid[0] != '\0' ? ",\"kid\":\"%s\"}" : "}", kid);
  HOLD(strcmp(header, wanted) == 0);
}

static void check_urls(const subtoken_claims *claims, unsigned urls) {
  unsigned count = 0;
  HOLD(claims->every_url == (urls == 0));
  for (int i = 0; i < MODEL_URLS; i++) {
    if (!(urls >> i & 1)) continue;
    char entry[64];
    subtoken_text told = subtoken_claims_text(claims, claims->urls[count++]);
    const char *method = model_urls[i].method;
    snprintf(entry, sizeof entry, "%s%s%s", method, method[0] != '\0' ? ":" : "",
             model_urls[i].path);
    HOLD(st_text_is(told, entry));
  }
  HOLD(claims->url_count == count);
}

static void check_claims(const subtoken_claims *claims, const model_token *t) {
  HOLD(claims->iat == now() && claims->exp <= now() + settings.max_life);
  HOLD(claims->permission_count == (unsigned)__builtin_popcount(t->permissions));
  for (int i = 0; i < MODEL_PERMISSIONS; i++) {
    HOLD(subtoken_claims_has_permission(claims, st_text(model_permissions[i])) ==
         (t->permissions >> i & 1));
  }
  check_urls(claims, t->urls);
  HOLD(st_text_is(subtoken_claims_text(claims, claims->aud), model_audiences[t->audience]) ||
       (t->audience != 0 &&
        subtoken_claims_has_audience(claims, st_text(model_audiences[t->audience]))));
  HOLD(claims->via_count == t->via_count);
  for (size_t i = 0; i < t->via_count; i++) {
    const char *signature = strrchr(m.tokens[t->via[i]].text, '.') + 1;
    subtoken_text tid = subtoken_claims_text(claims, claims->via[i]);
    HOLD(tid.len == ST_TID_LEN && memcmp(tid.data, signature, ST_TID_LEN) == 0);
  }
  subtoken_text sid = subtoken_claims_text(claims, claims->sid);
  HOLD(t->session ? st_text_is(sid, m.keys[t->key].id) : sid.len == 0);
}

/* A token that was just given; t has what it must say. end: when it must end. One that would be one
 * that is revoked, of this second, ends earlier by so many seconds. */
static void keep(const char *member, model_token *t, int64_t end) {
  static subtoken_claims claims;
  char header[SUBTOKEN_HEADER_MAX];
  const model_credential c = {&m.keys[t->key], NULL, 0};
  issuer_member(member, t->text, sizeof t->text);
  t->epoch = c.key->epoch;
  t->secret = m.last_secret;
  HOLD(subtoken_inspect(st_text(t->text), header, sizeof header, &claims) == SUBTOKEN_OK);
  check_header(header, t->audience);
  check_claims(&claims, t);
  HOLD(claims.exp <= end && claims.exp >= end - model_revoked_at(&m, &c, now()));
  t->iat = claims.iat;
  t->exp = claims.exp;
  for (int i = 0; i < m.token_count; i++) {
    if (strcmp(m.tokens[i].text, t->text) != 0) continue;
    HOLD(!model_listed(&m, &m.tokens[i], false)); /* what was revoked is not given again */
    return;
  }
  if (m.token_count < MODEL_TOKENS) m.tokens[m.token_count++] = *t;
}

/* What is made from a credential, so far. */
static model_token child_of(const model_credential *c, unsigned permissions, unsigned urls,
                            int audience) {
  model_token t = {.key = key_at(c->key), .permissions = permissions, .urls = urls};
  t.audience = audience != 0 ? audience : c->token != NULL ? c->token->audience : c->key->audience;
  if (c->token == NULL) return t;
  memcpy(t.via, c->token->via, sizeof t.via);
  t.via_count = c->token->via_count;
  t.via[t.via_count++] = (int)(c->token - m.tokens);
  if (urls == 0) t.urls = c->token->urls;
  return t;
}

/* Where every end that a token could have is that of one which is revoked, it is refused. */
static bool made(const model_credential *c, int status, int expected, int64_t end) {
  bool none_left = expected == 200 && end - now() <= model_revoked_at(&m, c, now());
  HOLD(status == expected || (none_left && status == 400));
  return status == 200;
}

/* ---- steps: what is made ---- */

static void make_key(void) {
  model_credential c = next_credential();
  unsigned permissions = next() % 31 + 1, choice = next();
  int audience = choice % 4 == 3 ? 1 + (int)(choice / 4 % 2) : 0;
  int64_t life = choice / 8 % 2 == 0 ? ST_NEVER : next_life();
  if (m.key_count == MODEL_KEYS) return;
  begin_body("{\"name\":\"n\",\"permissions\":[");
  write_permissions(permissions, "\"", ',');
  st_write_literal(&writer, "],\"expires\":\"");
  if (life == ST_NEVER) st_write_literal(&writer, "never");
  if (life != ST_NEVER) {
    st_write_int(&writer, life);
    st_write_char(&writer, 's');
  }
  if (audience != 0) {
    st_write_literal(&writer, "\",\"audience\":\"");
    st_write_literal(&writer, model_audiences[audience]);
  }
  int status =
      issuer_call("POST", "/v2/keys", model_text(&c), "application/json", end_body("\"}"), NULL, 0);
  int expected = model_manages(&m, &c, now(), "POST", "/v2/keys");
  bool wider = (permissions & ~model_held(&c)) != 0 ||
               (c.key->audience != 0 && audience != 0 && audience != c.key->audience);
  if (expected == 0) expected = wider ? 403 : 201;
  HOLD(status == expected);
  if (status != 201) return;
  model_key *key = &m.keys[m.key_count++];
  *key = (model_key){.parent = -1, .permissions = permissions, .audience = audience};
  if (audience == 0) key->audience = c.key->audience;
  key->ends = least(life == ST_NEVER ? ST_NEVER : now() + life, model_key_end(&m, &c));
  issuer_member("id", key->id, sizeof key->id);
  issuer_member("key", key->secrets[0], sizeof key->secrets[0]);
}

static void make_subtoken(void) {
  model_credential c = next_credential();
  unsigned permissions = next() % 32, choice = next();
  unsigned urls = choice % 2 == 1 ? next() : 0;
  int audience = choice / 2 % 4 == 3 ? 1 + (int)(choice / 8 % 2) : 0;
  bool limited = choice / 16 % 2 == 1, get = choice / 32 % 2 == 1;
  int64_t expire = choice / 64 % 4 == 3 ? now() : limited ? now() + next_life() : 0;
  const char *quote = get ? "" : "\"";
  begin_body(get ? "/v2/createsubtoken?permissions=" : "{\"permissions\":[");
  write_permissions(permissions, quote, ',');
  st_write_literal(&writer, get ? "" : "]");
  if (urls != 0) {
    st_write_literal(&writer, get ? "&urls=" : ",\"urls\":[");
    write_urls(urls, quote);
    st_write_literal(&writer, get ? "" : "]");
  }
  if (audience != 0) {
    st_write_literal(&writer, get ? "&audience=" : ",\"audience\":\"");
    st_write_literal(&writer, model_audiences[audience]);
    st_write_literal(&writer, quote);
  }
  if (expire != 0) {
    st_write_literal(&writer, get ? "&expire=" : ",\"expire\":\"");
    st_date_write(&writer, expire, false);
    st_write_literal(&writer, quote);
  }
  const char *sent = end_body(get ? "" : "}");
  int status = get ? issuer_call("GET", sent, model_text(&c), NULL, NULL, NULL, 0)
                   : issuer_call("POST", "/v2/createsubtoken", model_text(&c), "application/json",
                                 sent, NULL, 0);
  int expected = model_own(&m, &c, now(), get ? "GET" : "POST", "/v2/createsubtoken");
  bool refused = !model_makes(&c, audience, now()) || (expire != 0 && expire <= now()) ||
                 (c.token != NULL && urls != 0 && !model_narrower(urls, c.token->urls));
  if (expected == 0) expected = refused ? 400 : 200;
  int64_t end = least(expire != 0 ? expire : now() + settings.default_life, model_end(&c));
  end = least(end, now() + settings.max_life);
  if (!made(&c, status, expected, end)) return;
  model_token t = child_of(&c, permissions & model_held(&c), urls, audience);
  keep("subtoken", &t, end);
}

/* RFC 8693, or the key itself as a client. */
static void make_access_token(bool exchange) {
  model_credential c = next_credential();
  unsigned scope = next() % 32, choice = next();
  int audience = choice % 4 == 3 ? 1 + (int)(choice / 4 % 2) : 0;
  if (!exchange) c.token = NULL;
  if (c.token == NULL && c.key->parent >= 0) c.key = &m.keys[c.key->parent];
  begin_body("grant_type=");
  st_write_literal(&writer, exchange ? "urn:ietf:params:oauth:grant-type:token-exchange"
                                       "&subject_token_type=urn:ietf:params:oauth:token-type:"
                                       "access_token&subject_token="
                                     : "client_credentials&client_secret=");
  st_write_literal(&writer, model_text(&c));
  if (!exchange) st_write_literal(&writer, "&client_id=");
  if (!exchange) st_write_literal(&writer, c.key->id);
  if (scope != 0) st_write_literal(&writer, "&scope=");
  write_permissions(scope, "", '+');
  if (audience != 0) st_write_literal(&writer, "&audience=");
  int status = issuer_call("POST", "/oauth/token", NULL, "application/x-www-form-urlencoded",
                           end_body(model_audiences[audience]), NULL, 0);
  bool refused = model_own(&m, &c, now(), "POST", "/oauth/token") != 0 ||
                 (scope & ~model_held(&c)) != 0 || !model_makes(&c, audience, now());
  int64_t end = least(now() + settings.access_life, model_end(&c));
  if (!made(&c, status, refused ? 400 : 200, end)) return;
  model_token t = child_of(&c, scope != 0 ? scope : model_held(&c), 0, audience);
  keep("access_token", &t, end);
}

/* ---- steps: sessions of programs ---- */

static void keep_pair(model_key *session) {
  model_token t = {.key = key_at(session), .session = true};
  t.permissions = session->permissions;
  t.audience = session->audience;
  keep("access_token", &t, least(now() + settings.access_life, session->ends));
  issuer_member("refresh_token", session->refresh[0], sizeof session->refresh[0]);
}

static void begin_session(void) {
  static subtoken_claims claims;
  char header[SUBTOKEN_HEADER_MAX], text[SUBTOKEN_ISSUED_MAX + 1];
  model_credential c = next_credential();
  if (m.key_count == MODEL_KEYS) return;
  int status = issuer_call("POST", "/v1/auth/token", model_text(&c), NULL, NULL, NULL, 0);
  int expected = model_own(&m, &c, now(), "POST", "/v1/auth/token");
  bool may = c.token == NULL && (c.key->permissions & SERVICES) != 0;
  if (expected == 0) expected = may ? 200 : 403;
  HOLD(status == expected);
  if (status != 200) return;
  model_key *session = &m.keys[m.key_count++];
  *session = (model_key){.parent = key_at(c.key), .permissions = c.key->permissions};
  session->audience = c.key->audience;
  session->ends = least(now() + settings.refresh_life, c.key->ends);
  issuer_member("access_token", text, sizeof text);
  HOLD(subtoken_inspect(st_text(text), header, sizeof header, &claims) == SUBTOKEN_OK);
  HOLD(claims.sid.len == ST_KEY_ID_LEN);
  memcpy(session->id, subtoken_claims_text(&claims, claims.sid).data, ST_KEY_ID_LEN);
  keep_pair(session);
}

/* The next refresh token, or the one before: a retry, or the end of the session. */
static void refresh_session(void) {
  unsigned which = next(), form = next();
  model_key *session = &m.keys[(int)which % m.key_count];
  char before[ST_REFRESH_LEN + 1];
  if (session->parent < 0) return;
  bool again = form % 4 == 3 && session->refresh[1][0] != '\0';
  begin_body("{\"token\":\"");
  st_write_literal(&writer, session->refresh[again]);
  int status =
      issuer_call("POST", "/v1/auth/refresh", NULL, "application/json", end_body("\"}"), NULL, 0);
  bool retry = now() - session->refreshed <= MODEL_RETRY && now() < session->old_until;
  HOLD(status == (model_alive(session, now()) && (!again || retry) ? 200 : 401));
  if (status == 401) {
    session->ended |= again && model_alive(session, now()) && now() < session->old_until;
    return;
  }
  memcpy(before, session->refresh[0], sizeof before);
  if (!again) {
    session->old_until = session->ends; /* of the token that was used */
    session->ends = least(now() + settings.refresh_life, m.keys[session->parent].ends);
    memcpy(session->refresh[1], before, sizeof before);
    session->refreshed = now();
  }
  keep_pair(session);
  HOLD((strcmp(before, session->refresh[0]) == 0) == again);
}

/* ---- steps: what ends, and what becomes of keys ---- */

static void revoke_one(void) {
  model_credential c = next_credential();
  bool refresh = c.token != NULL && c.token->session && next() % 2 == 1;
  begin_body("token=");
  int status = issuer_call("POST", "/oauth/revoke", NULL, "application/x-www-form-urlencoded",
                           end_body(refresh ? c.key->refresh[0] : model_text(&c)), NULL, 0);
  HOLD(status == (c.token == NULL ? 400 : 200));
  if (c.token == NULL) return;
  model_key *key = &m.keys[key_at(c.key)];
  model_token *t = &m.tokens[c.token - m.tokens];
  bool known = model_signed(&m, t) && now() < t->exp + MODEL_LEEWAY && t->epoch == key->epoch;
  if (refresh || t->session) {
    key->ended |= refresh ? now() < key->ends : known && now() < key->ends;
  } else if (known && !key->ended && !model_listed(&m, t, false)) {
    t->revoked = true;
  }
}

/* By the root key, or by whoever tries. */
static void change_key(unsigned what) {
  unsigned by = next(), which = next(), choice = next();
  model_credential c = by % 2 == 0 ? (model_credential){&m.keys[0], NULL, 0} : next_credential();
  int at = 1 + (int)which % MODEL_KEYS;
  if (at >= m.key_count || m.keys[at].parent >= 0) return;
  model_key *key = &m.keys[at];
  static const char *const methods[] = {"POST", "PATCH", "PATCH", "DELETE", "POST"};
  static const char *const ends[] = {"/revoke-subtokens", "", "", "", "/rotate"};
  static const int good[] = {204, 200, 200, 204, 200};
  int64_t overlap = choice % 2 == 0 ? 0 : next_life();
  char target[80];
  snprintf(target, sizeof target, "/v2/keys/%s%s", key->id, ends[what]);
  begin_body(what == 1 ? "{\"disabled\":true}" : what == 2 ? "{\"disabled\":false}" : "");
  if (what == 4 && overlap > 0) {
    st_write_literal(&writer, "{\"overlap\":\"");
    st_write_int(&writer, overlap);
    st_write_literal(&writer, "s\"}");
  }
  const char *sent = end_body("");
  int status = issuer_call(methods[what], target, model_text(&c),
                           sent[0] != '\0' ? "application/json" : NULL, sent, NULL, 0);
  int expected = model_manages(&m, &c, now(), methods[what], target);
  bool unknown = key->ended || (c.key->audience != 0 && c.key->audience != key->audience);
  bool wider =
      what == 4 && ((key->permissions & ~model_held(&c)) != 0 || key->ends > model_key_end(&m, &c));
  if (expected == 0) {
    bool expired = what == 4 && now() >= key->ends;
    expected = unknown ? 404 : wider ? 403 : expired ? 400 : good[what];
  }
  HOLD(status == expected);
  if (status >= 300) return;
  if (what == 0) key->epoch++;
  if (what == 1 || what == 2) key->disabled = what == 1;
  if (what == 3) key->ended = true;
  if (what != 2 && what != 4) model_end_sessions(&m, at);
  if (what != 4) return;
  memcpy(key->secrets[2], key->secrets[1], sizeof key->secrets[2]);
  memcpy(key->secrets[1], key->secrets[0], sizeof key->secrets[1]);
  issuer_member("key", key->secrets[0], sizeof key->secrets[0]);
  key->old_until = now() + overlap;
  HOLD(strcmp(key->secrets[0], key->secrets[1]) != 0);
}

static void rotate_ring(void) {
  unsigned kept = next() % 3;
  m.last_secret++;
  if (m.last_secret - m.first_secret > kept) m.first_secret = m.last_secret - kept;
  issuer_make_ring(m.first_secret, m.last_secret, &ring);
}

/* ---- what is said ---- */

typedef struct probe {
  const char *method, *path;
} probe;
static const probe probes[] = {{"GET", "/free"},         {"POST", "/need/wallet"},
                               {"GET", "/need/account"}, {"GET", "/v2/tokeninfo"},
                               {"GET", "/other"},        {"POST", "/v2/createsubtoken"}};

static void ask_edge(edge *e, const model_token *t, unsigned choice) {
  const probe *p = &probes[choice % (sizeof probes / sizeof probes[0])];
  unsigned needs = choice % 5 == 0 ? 1U << choice / 5 % 4 : 0;
  subtoken_result wanted =
      model_edge(&m, t, e->audience, e->derived, now(), p->method, p->path, needs);
  HOLD(edge_verify(e, t->text, p->method, p->path, needs) == wanted);
}

static void ask_issuer(const model_credential *c, unsigned choice) {
  const probe *p = &probes[choice % (sizeof probes / sizeof probes[0])];
  int audience = (int)(choice / 8 % 3);
  const st_header asked[] = {{ST_TEXT("X-Original-URI"), st_text(p->path)},
                             {ST_TEXT("X-Original-Method"), st_text(p->method)},
                             {ST_TEXT("X-Subtoken-Audience"), st_text(model_audiences[audience])}};
  int own = model_own(&m, c, now(), "GET", "/v2/tokeninfo");
  HOLD(issuer_call("GET", "/v2/tokeninfo", model_text(c), NULL, NULL, NULL, 0) ==
       (own != 0 ? own : 200));
  HOLD(issuer_call("GET", "/v2/authorize", model_text(c), NULL, NULL, asked, 3) ==
       model_decision(&m, c, audience, now(), p->method, p->path));
  begin_body("token=");
  HOLD(issuer_call("POST", "/oauth/introspect", asker_key, "application/x-www-form-urlencoded",
                   end_body(model_text(c)), NULL, 0) == 200);
  HOLD((strncmp(reply.body, "{\"active\":true", 14) == 0) == model_active(&m, c, now()));
}

static void look(unsigned choice) {
  for (int i = 0; i < m.token_count; i++) {
    model_credential c = {&m.keys[m.tokens[i].key], &m.tokens[i], 0};
    for (size_t e = 0; e < EDGES; e++)
      ask_edge(&edges[e], c.token, choice + (unsigned)i + 7 * (unsigned)e);
    ask_issuer(&c, choice + (unsigned)i);
  }
  for (int i = 0; i < m.key_count; i++) {
    for (int s = 0; s < 3 && m.keys[i].secrets[s][0] != '\0'; s++) {
      const model_credential c = {&m.keys[i], NULL, s};
      ask_issuer(&c, choice + (unsigned)s);
    }
  }
}

static void tell_edges(void) {
  edges_take();
  model_tell(&m, now());
}

static void purge(void) {
  char error[ST_ERROR_MAX];
  HOLD(st_store_purge(store, clock_us, clock_us, NULL, error) == ST_STORE_OK);
}

/* ---- an input ---- */

static void step(unsigned what) {
  static const int64_t times[] = {1, 2, 3, 9, 10, 11, 300, 301, 899, 900, 901, 902, 903, 5000};
  clock_us += 1000;
  switch (what % 20) {
    case 0: make_key(); break;
    case 1:
    case 2:
    case 3: make_subtoken(); break;
    case 4: make_access_token(true); break;
    case 5: make_access_token(false); break;
    case 6: begin_session(); break;
    case 7: refresh_session(); break;
    case 8:
    case 9: revoke_one(); break;
    case 10:
    case 11:
    case 12:
    case 13:
    case 14: change_key(what % 20 - 10); break;
    case 15: rotate_ring(); break;
    case 16:
    case 17: clock_us += 1000000 * times[next() % (sizeof times / sizeof times[0])]; break;
    case 18: tell_edges(); break;
    default:
      if (what >= 220) {
        st_store_close(store);
        issuer_open_store();
      }
      if (what >= 160) purge();
      look(next());
  }
}

/* Long after the one before: what that has made has ended. */
static void begin(void) {
  static unsigned inputs;
  clock_us += INT64_C(400000) * 1000000;
  if (inputs++ == 0) {
    issuer_start();
  } else if (inputs % 512 == 0) {
    issuer_remove_store();
    issuer_make_store();
  }
  memset(&m, 0, sizeof m);
  issuer_make_ring(0, 0, &ring);
  model_key *root = &m.keys[m.key_count++];
  *root = (model_key){.parent = -1, .permissions = (1U << MODEL_PERMISSIONS) - 1, .ends = ST_NEVER};
  memcpy(root->id, root_key, ST_KEY_ID_LEN);
  memcpy(root->secrets[0], root_key, sizeof root_key);
  edges_start();
  purge();
  tell_edges();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input = data;
  input_left = size;
  begin();
  while (input_left > 0) step(next());
  look(0);
  tell_edges();
  look(1);
  return 0;
}
