/* model - what is known of keys and tokens without hashes, databases or files: the plain model that
 * fuzz_model.c holds the issuer and the edges against. Written from the manual (subtoken_http(7),
 * subtoken_revocation(7), subtoken_edges(7)), not from the code.
 *
 * A key is what was made, or a session that was begun with one; a token is what somebody holds of
 * it. Permissions and urls are sets of bits, an audience is a number (0: none).
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include "domain/user.h"
#include "fuzz.h"

#define MODEL_KEYS 14
#define MODEL_TOKENS 40
#define MODEL_LEEWAY 2
#define MODEL_MAX_AGE 300
#define MODEL_RETRY 10

enum { ACCOUNT = 1, WALLET = 2, GUILDS = 4, SERVICES = 8, MANAGE = 16, MODEL_PERMISSIONS = 5 };
static const char *const model_permissions[MODEL_PERMISSIONS] = {"account", "wallet", "guilds",
                                                                 "services", "keys"};
static const char *const model_audiences[] = {"", "eu", "us"};

/* What may stand in urls; its method, or "" for any. */
typedef struct model_url {
  const char *method, *path;
} model_url;
#define MODEL_URLS 8
static const model_url model_urls[MODEL_URLS] = {{"", "/free"},         {"", "/need/*"},
                                                 {"", "/need/account"}, {"POST", "/need/wallet"},
                                                 {"", "/v2/*"},         {"", "/v2/createsubtoken"},
                                                 {"", "/oauth/token"},  {"GET", "/v2/tokeninfo"}};

typedef struct model_key {
  char id[ST_KEY_ID_LEN + 1];
  char secrets[3][ST_KEY_LEN + 1];     /* the present one, and those before; of a session: none */
  char refresh[2][ST_REFRESH_LEN + 1]; /* of a session: the next one, and the one before */
  int64_t ends, old_until, refreshed;
  int parent; /* of a session, else -1 */
  unsigned permissions, epoch;
  int audience;
  bool disabled, ended;
  /* What edges were told of its subs: those before this epoch end, and perhaps this one. */
  unsigned told_epoch;
  bool told_dead;
} model_key;

typedef struct model_token {
  char text[SUBTOKEN_ISSUED_MAX + 1];
  int key, audience;
  int via[SUBTOKEN_VIA_MAX]; /* tokens, the oldest first */
  size_t via_count;
  unsigned permissions, urls, epoch, secret; /* urls 0: every one; secret: which one signed */
  int64_t iat, exp;
  bool session, revoked, told_revoked;
} model_token;

/* secret: 0, 1, 2 of the key; token: NULL for a whole key. */
typedef struct model_credential {
  const model_key *key;
  const model_token *token;
  int secret;
} model_credential;

typedef struct model {
  model_key keys[MODEL_KEYS];
  model_token tokens[MODEL_TOKENS];
  int key_count, token_count;
  unsigned first_secret, last_secret; /* of the ring; the last signs */
  unsigned told_first, told_last;     /* of the edges' ring */
  int64_t told_at;                    /* when the edges were told last */
} model;

static inline const char *model_text(const model_credential *c) {
  return c->token != NULL ? c->token->text : c->key->secrets[c->secret];
}

static inline bool model_alive(const model_key *key, int64_t now) {
  return !key->disabled && !key->ended && now < key->ends;
}

static inline bool model_secret_good(const model_credential *c, int64_t now) {
  if (!model_alive(c->key, now)) return false;
  return c->secret == 0 || (c->secret == 1 && now < c->key->old_until);
}

/* By itself, or with what it was made from. */
static inline bool model_listed(const model *m, const model_token *t, bool told) {
  bool listed = told ? t->told_revoked : t->revoked;
  for (size_t i = 0; i < t->via_count; i++) {
    const model_token *via = &m->tokens[t->via[i]];
    listed |= told ? via->told_revoked : via->revoked;
  }
  return listed;
}

static inline bool model_signed(const model *m, const model_token *t) {
  return t->secret >= m->first_secret && t->secret <= m->last_secret;
}

static inline bool model_covers(const char *entry, const char *path) {
  size_t len = strlen(entry);
  if (strcmp(entry, path) == 0) return true;
  return entry[len - 1] == '*' && strncmp(entry, path, len - 1) == 0 && strlen(path) >= len;
}

static inline bool model_lists(unsigned urls, const char *method, const char *path) {
  for (int i = 0; i < MODEL_URLS; i++) {
    bool method_fits = model_urls[i].method[0] == '\0' || strcmp(model_urls[i].method, method) == 0;
    if ((urls >> i & 1) && method_fits && model_covers(model_urls[i].path, path)) return true;
  }
  return urls == 0;
}

/* Does the outer set allow all that each entry of the inner one does? */
static inline bool model_narrower(unsigned inner, unsigned outer) {
  for (int i = 0; i < MODEL_URLS; i++) {
    bool covered = outer == 0 || !(inner >> i & 1);
    for (int o = 0; o < MODEL_URLS && !covered; o++) {
      bool method_fits = model_urls[o].method[0] == '\0' ||
                         strcmp(model_urls[o].method, model_urls[i].method) == 0;
      covered =
          (outer >> o & 1) && method_fits && model_covers(model_urls[o].path, model_urls[i].path);
    }
    if (!covered) return false;
  }
  return true;
}

/* ---- who verifies ---- */

/* What an edge answers to a token. derived: its ring is that of its audience. */
static inline subtoken_result model_edge(const model *m, const model_token *t, int audience,
                                         bool derived, int64_t now, const char *method,
                                         const char *path, unsigned needs) {
  const model_key *key = &m->keys[t->key];
  if (t->secret < m->told_first || t->secret > m->told_last || (derived && t->audience != audience))
    return SUBTOKEN_KID;
  if (now >= t->exp + MODEL_LEEWAY) return SUBTOKEN_EXPIRED;
  if (t->audience != 0 && t->audience != audience) return SUBTOKEN_AUD;
  if (audience != 0 && t->audience != audience) return SUBTOKEN_AUD;
  if (now - m->told_at > MODEL_MAX_AGE) return SUBTOKEN_REVOCATION_UNKNOWN;
  bool dead = t->epoch < key->told_epoch || (t->epoch == key->told_epoch && key->told_dead);
  if (dead || model_listed(m, t, true)) return SUBTOKEN_REVOKED;
  if (!model_lists(t->urls, method, path)) return SUBTOKEN_URL;
  return (needs & ~t->permissions) == 0 ? SUBTOKEN_OK : SUBTOKEN_PERM;
}

/* Is it good at the issuer, wherever it may go? */
static inline bool model_good(const model *m, const model_credential *c, int64_t now) {
  if (c->token == NULL) return model_secret_good(c, now);
  const model_token *t = c->token;
  return model_signed(m, t) && now < t->exp + MODEL_LEEWAY && model_alive(c->key, now) &&
         t->epoch == c->key->epoch && !model_listed(m, t, false);
}

/* 0, or what the issuer's own routes answer. */
static inline int model_own(const model *m, const model_credential *c, int64_t now,
                            const char *method, const char *path) {
  if (!model_good(m, c, now)) return 401;
  return c->token == NULL || model_lists(c->token->urls, method, path) ? 0 : 403;
}

/* The decision endpoint, asked by an edge of that audience. */
static inline int model_decision(const model *m, const model_credential *c, int audience,
                                 int64_t now, const char *method, const char *path) {
  int bound = c->token != NULL ? c->token->audience : c->key->audience;
  if (bound != 0 && bound != audience) return 401;
  if (c->token != NULL && bound != audience) return 401;
  int status = model_own(m, c, now, method, path);
  return status != 0 ? status : 200;
}

/* The server does not speak of leeway: by its own clock it is over. */
static inline bool model_active(const model *m, const model_credential *c, int64_t now) {
  return model_good(m, c, now) && (c->token == NULL || now < c->token->exp);
}

/* ---- what may be made with it ---- */

static inline unsigned model_held(const model_credential *c) {
  return c->token != NULL ? c->token->permissions : c->key->permissions;
}

static inline int64_t model_end(const model_credential *c) {
  return c->token != NULL && c->token->exp < c->key->ends ? c->token->exp : c->key->ends;
}

/* How many tokens of this second are revoked: one with the same claims would be one of these. */
static inline int64_t model_revoked_at(const model *m, const model_credential *c, int64_t now) {
  int64_t count = 0;
  for (int i = 0; i < m->token_count; i++) {
    const model_token *t = &m->tokens[i];
    bool same = &m->keys[t->key] == c->key && t->epoch == c->key->epoch && t->iat == now;
    count += same && model_listed(m, t, false);
  }
  return count;
}

/* What keeps every kind of token from being made: too deep, for another audience, or over. */
static inline bool model_makes(const model_credential *c, int audience, int64_t now) {
  int bound = c->token != NULL ? c->token->audience : c->key->audience;
  if (bound != 0 && audience != 0 && audience != bound) return false;
  return c->token == NULL || (c->token->via_count < SUBTOKEN_VIA_MAX && c->token->exp > now);
}

/* 0, or what it is answered that wants to manage keys with it. */
static inline int model_manages(const model *m, const model_credential *c, int64_t now,
                                const char *method, const char *path) {
  int status = model_own(m, c, now, method, path);
  if (status != 0) return status;
  if (c->token != NULL && (!c->token->session || c->token->audience != 0)) return 403;
  return model_held(c) & MANAGE ? 0 : 403;
}

/* Until when a key lasts that is made with it, at the latest. */
static inline int64_t model_key_end(const model *m, const model_credential *c) {
  return c->key->parent >= 0 ? m->keys[c->key->parent].ends : c->key->ends;
}

/* ---- what becomes of keys ---- */

static inline void model_end_sessions(model *m, int key) {
  for (int i = 0; i < m->key_count; i++) {
    if (m->keys[i].parent == key) m->keys[i].ended = true;
  }
}

/* The edges have what is true now. */
static inline void model_tell(model *m, int64_t now) {
  for (int i = 0; i < m->key_count; i++) {
    m->keys[i].told_epoch = m->keys[i].epoch;
    m->keys[i].told_dead = m->keys[i].disabled || m->keys[i].ended;
  }
  for (int i = 0; i < m->token_count; i++) m->tokens[i].told_revoked = m->tokens[i].revoked;
  m->told_first = m->first_secret;
  m->told_last = m->last_secret;
  m->told_at = now;
}

#endif
