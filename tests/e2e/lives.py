"""The life of a token: the model that test_lives.py compares the server and the edges with. It knows nothing of HTTP,
hashes, databases or files: a key is what was made, a token is what somebody holds of a key, and this file says what
each who verifies must answer, and what each call that makes or ends something must do. Written from the contract
(subtoken_revocation(7), subtoken_http(7), subtoken_edges(7)), not from the code."""
import json

LEEWAY = 1
DEEPEST = 8  # tokens that one was made from, one after the other
NEVER, MANY = 1 << 60, 1 << 20  # seconds
TOKENS_MAX = 1000  # of a key and its sessions, of one kind of secret, that are listed by themselves at a time


class Key:
    """A key, or a session that a program has begun with one."""

    def __init__(self, name, id, permissions, audience=None, parent=None):
        self.name, self.id, self.permissions, self.audience = name, id, list(permissions), audience
        self.parent = parent  # of a session
        self.secret = self.old = None  # the whole key, and the one before it
        self.old_until = 0
        self.refresh = None  # of a session: the token that begins the next pair
        self.disabled = self.ended = False
        self.epoch = 0  # which of its subs it has
        self.sub = None  # of this epoch, once a token has shown it
        self.revoked = {}  # by their tids, the tokens of this epoch that are, and that were not made from one that is
        self.sessions = []
        self.secrets = 0  # that it had
        self.changed = 0  # when its whole key was last worth something else

    def in_force(self):
        return not (self.disabled or self.ended)

    # ---- what becomes of it ----

    def end(self):
        self.ended = True
        self.end_sessions()

    def end_sessions(self):
        for session in self.sessions:
            session.ended = True
        self.sessions = []

    def disable(self, disabled):
        self.disabled = disabled
        if disabled:
            self.end_sessions()

    def revoke_subtokens(self):
        self.epoch, self.sub, self.revoked = self.epoch + 1, None, {}
        self.end_sessions()

    def revoked_of(self, iat):
        """How many tokens of that second are revoked: one with the same claims would be the same token."""
        return sum(1 for token in self.revoked.values() if token.iat == iat)

    def rotate(self, secret, overlap, now):
        self.old, self.old_until, self.secret = self.secret, now + overlap, secret


class Secret:
    """A whole key as somebody holds it: the present one, or one before it."""

    def __init__(self, key, text):
        self.key, self.text = key, text
        key.secrets += 1
        self.name = "%s.%d" % (key.name, key.secrets)
        self.permissions, self.audience, self.urls, self.via = key.permissions, key.audience, None, ()

    def good(self, now):
        key = self.key
        if not key.in_force():
            return False
        return self.text == key.secret or (self.text == key.old and now < key.old_until)

    def settled(self, now, seconds):
        """Has it been worth the same for so long?"""
        key = self.key
        return now - key.changed > seconds and (key.old_until > now + 1 or now - key.old_until > seconds)


class Token:
    def __init__(self, name, key, text, permissions, urls, iat, exp, via=(), audience=None, session=False):
        self.name, self.key, self.text = name, key, text
        self.permissions, self.urls, self.via = list(permissions), urls, tuple(via)
        self.iat, self.exp = iat, exp
        self.audience, self.session = audience, session
        self.epoch = key.epoch
        self.signed = True  # the ring still has the secret that it is signed with
        self.tid = text.rpartition(".")[2][:16]

    def expired(self, now):
        return now >= self.exp + LEEWAY

    def revoked(self):
        key = self.key
        return not key.in_force() or self.epoch != key.epoch or self.listed()

    def listed(self):
        """By itself, or with what it was made from."""
        return any(tid in self.key.revoked for tid in (self.tid,) + self.via)

    def good(self, now):
        return self.signed and not self.expired(now) and not self.revoked()


# ---- who verifies ----


class Verifier:
    """ring: None is the whole one, else the audience that its secrets are derived for. told: the audience that it is
    told to be. An edge decides by itself. The server's own routes take every audience; its decision endpoint is asked by
    an edge (told: "" is one without an audience)."""

    def __init__(self, name, ring=None, told=None, server=False):
        self.name, self.ring, self.told, self.server = name, ring, told, server


def covers(entry, path):
    return entry == path or (entry.endswith("/*") and path.startswith(entry[:-1]))


def lists(urls, method, path):
    """An entry may name a method before its path."""
    for entry in urls if urls is not None else ["/*"]:
        of, _, rest = entry.rpartition(":")
        if of in ("", method) and covers(rest, path):
            return True
    return False


def narrower(inner, outer):
    """Does one of the outer entries allow all that the inner one does?"""
    of, _, path = inner.rpartition(":")
    for entry in outer:
        outer_of, _, outer_path = entry.rpartition(":")
        if outer_of in ("", of) and covers(outer_path, path):
            return True
    return False


def audience_fits(credential, verifier):
    if verifier.server:
        return verifier is OWN or (credential.audience or "") == verifier.told
    return verifier.ring is not None or credential.audience == verifier.told


def verdict(token, verifier, now, method, path, needs=()):
    """(status, reason) of a token; the first rule that fails decides."""
    if not token.signed or (verifier.ring is not None and token.audience != verifier.ring):
        return 401, "kid"
    if token.expired(now):
        return 401, "expired"
    if not audience_fits(token, verifier):
        return 401, "aud"
    if token.revoked():
        return 401, "revoked"
    if not lists(token.urls, method, path):
        return 403, "url"
    if not set(needs) <= set(token.permissions):
        return 403, "perm"
    return 200, "ok"


def secret_status(secret, verifier, now, needs=()):
    """Of a whole key, which is always asked of the server."""
    if not secret.good(now):
        return 401
    # A key that is bound to nothing may go anywhere.
    if secret.audience and secret.audience != verifier.told:
        return 401
    return 200 if set(needs) <= set(secret.permissions) else 403


OWN = Verifier("the server's own routes", server=True)


def own_status(credential, now, method, path):
    """0, or what the server's own routes answer to that credential."""
    if credential is None:
        return 401
    if isinstance(credential, Secret):
        return 0 if credential.good(now) else 401
    status = verdict(credential, OWN, now, method, path)[0]
    return 0 if status == 200 else status


# ---- what each call that makes something is answered with ----


def held(credential):
    return [p for p in credential.permissions if p in credential.key.permissions]


def narrowed(asked, credential):
    return [p for p in dict.fromkeys(asked) if p in held(credential)]


def end_of(credential):
    return credential.exp if isinstance(credential, Token) else NEVER


def too_deep(credential):
    return isinstance(credential, Token) and len(credential.via) == DEEPEST


def other_audience(credential, audience):
    return bool(credential.audience) and audience not in (None, credential.audience)


def via_of(credential):
    return credential.via + (credential.tid,) if isinstance(credential, Token) else ()


def made_status(credential, now, end):
    """200; or 400 where every token that it could give, which ends then or earlier, may be one that is revoked."""
    return {200, 400} if end - now <= credential.key.revoked_of(now) else {200}


def subtoken_status(credential, now, method, audience, urls, expire):
    status = own_status(credential, now, method, "/v2/createsubtoken")
    if status:
        return status
    if other_audience(credential, audience) or too_deep(credential):
        return 400
    if expire is not None and expire <= now:
        return 400
    if isinstance(credential, Token) and credential.exp <= now:
        return 400  # it lives on leeway alone
    if urls is not None and credential.urls is not None and not all(narrower(u, credential.urls) for u in urls):
        return 400
    return made_status(credential, now, min(expire or now + MANY, end_of(credential)))


def exchange_status(credential, now, scope, audience):
    if own_status(credential, now, "POST", "/oauth/token"):
        return 400
    if not set(scope) <= set(held(credential)) or other_audience(credential, audience) or too_deep(credential):
        return 400
    if isinstance(credential, Token) and credential.exp <= now:
        return 400
    return made_status(credential, now, end_of(credential))


def active(credential, now):
    """What introspection says of it: its urls limit where it may go, and not that it lives. The server does not
    speak of leeway: by its own clock it is over."""
    return credential.good(now) and not (isinstance(credential, Token) and now >= credential.exp)


# ---- what ends something ----


def listable(token, now):
    """Is there something to end? What is over, or of a key that is gone, is refused anyway."""
    return token.signed and not token.expired(now) and token.epoch == token.key.epoch and not token.key.ended


def revoke_status(credential, now):
    """What POST /oauth/revoke answers to whoever holds it."""
    if isinstance(credential, Secret):
        return 400
    key = credential.key
    if credential.session or not listable(credential, now):
        return 200
    return 429 if not credential.listed() and others_listed(credential) >= TOKENS_MAX else 200


def others_listed(token):
    """How many count beside it: what was made from it is taken off."""
    root = token.key.parent or token.key
    listed = [t for key in (root, *root.sessions) for t in key.revoked.values() if bool(t.audience) == bool(token.audience)]
    return sum(1 for t in listed if token.tid not in t.via)


def revoke(credential, now):
    """After that was answered with 200."""
    key = credential.key
    if not listable(credential, now):
        return
    if credential.session:
        key.end()
    elif not credential.listed():
        key.revoked = {tid: t for tid, t in key.revoked.items() if credential.tid not in t.via}
        key.revoked[credential.tid] = credential


# ---- what a token says ----


def claims_order(token):
    """The claims that it must have, in this order, and no others."""
    return (["sub", "iat", "exp"] + (["aud"] if token.audience else []) + ["permissions"] +
            (["urls"] if token.urls is not None else []) + (["via"] if token.via else []) +
            (["sid"] if token.session else []))


def header(token, kid):
    """kid: of the ring's secret that signs. A token for one audience is under a secret of its own."""
    if token.audience:
        kid += "." + token.audience
    return json.dumps({"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})}, separators=(",", ":"))
