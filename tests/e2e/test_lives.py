"""What a key or a token may do is the same at the server, in nginx with the module and in the library, whatever was
made, narrowed, exchanged, revoked and rotated before: random sequences of calls, each answer and each verdict held
against the model in lives.py. SUBTOKEN_LIVES= is how many calls, SEED= another walk; the seed is printed."""
import calendar, collections, random

if __name__ == "__main__" and __import__("os").access("/dev/shm", 2):
    __import__("tempfile").tempdir = "/dev/shm"  # commits are many, and an fsync is not what is tested here

from edge_site import *
from urllib.parse import urlencode

STEPS = int(os.environ.get("SUBTOKEN_LIVES") or {"": 600, "asan": 200, "tsan": 100}[SANITIZER])
SEED = int(os.environ.get("SEED") or int.from_bytes(os.urandom(4), "big"))
BATCH = 60 if STEPS < 5000 else 250  # calls between two looks at the edges
LOOKS = 60 if STEPS < 5000 else 150  # verdicts of each edge at a time
DEFAULT_LIFE, ACCESS_LIFE = MAX_LIFE // 2, 7200
URLS = ["/free", "/need/*", "/need/account", "POST:/need/wallet", "/v2/*", "/v2/createsubtoken", "/oauth/token"]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
POOL, KEYS = 300, 24  # tokens and keys that are held at a time
# Whom the decision endpoint is asked for: an edge without an audience (which may say so), two with one.
ASKERS = [Verifier("endpoint for %r" % told, told=told, server=True) for told in ("", "eu", "us")]


class Walk(Asker):
    def __init__(self, site, seed):
        super().__init__(site)
        self.rng = random.Random(seed)
        self.keys, self.tokens, self.secrets = [], [], []
        self.touched = []  # what the last calls were about
        self.names = collections.Counter()
        self.tally, self.verdicts = collections.Counter(), collections.Counter()
        self.canary = self.call_key([], None, "canary")
        self.keys.remove(self.canary)
        self.secrets = [s for s in self.secrets if s.key is not self.canary]

    def name(self, kind):
        self.names[kind] += 1
        return "%s%d" % (kind, self.names[kind])

    # ---- asking, and comparing with the model ----

    def ask(self, what, expected, method, target, credential=None, **more):
        """One call: (its JSON or None, earliest and latest second of it)."""
        def send():
            answer = self.call(method, target, credential.text if credential is not None else None, **more)
            return answer.status, answer
        line = "%s with %s" % (what, credential.name if credential is not None else "nothing")
        status, answer, span = self.compare(line, expected, send)
        self.tally[what.split()[0], status < 300] += 1
        return answer.json() if answer.body and status < 300 else None, span

    # ---- choices ----

    def some(self, words):
        return self.rng.sample(words, self.rng.randint(0, len(words)))

    def credential(self):
        draw = self.rng.random()
        if draw < 0.25 or not self.tokens:
            return self.rng.choice(self.secrets)
        if draw < 0.5:  # a chain grows
            return self.tokens[-1 - self.rng.randrange(min(4, len(self.tokens)))]
        return self.rng.choice(self.tokens)

    def audience(self, credential):
        if self.rng.random() < 0.5:
            return None
        own = credential.audience
        return own if own and self.rng.random() < 0.7 else self.rng.choice(AUDIENCES)

    def permissions(self, credential):
        return self.some(held(credential)) if self.rng.random() < 0.7 else self.some(PERMISSIONS)

    # ---- what is made ----

    def keep(self, kind, grantor, text, permissions, urls, ends, span, audience, session=None):
        """A token that was just given says what the model says."""
        head, claims = json.loads(unb64(text.split(".")[0])), json.loads(unb64(text.split(".")[1]))
        key = session or grantor.key
        token = Token(self.name(kind), key, text, permissions, urls, claims["iat"], claims["exp"],
                      () if session else via_of(grantor), audience, session is not None)
        for what, got, wanted in (("the claims", list(claims), claims_order(token)),
                                  ("permissions", claims["permissions"], token.permissions),
                                  ("urls", claims.get("urls"), urls),
                                  ("via", tuple(claims.get("via", ())), token.via),
                                  ("aud", claims.get("aud"), audience),
                                  ("sid", claims.get("sid"), key.id if session else None)):
            self.same(what, token.name, got, wanted)
        self.same("the header", token.name, head, json.loads(header(token, self.site.kid)))
        self.same("iat", token.name, span[0] <= claims["iat"] <= span[1], True)
        # A token that would be one that was revoked in this second ends a second earlier.
        earlier = range(1 + key.revoked_of(claims["iat"]))
        self.same("exp %d" % claims["exp"], token.name,
                  [0 for e in ends(claims["iat"]) if e - claims["exp"] in earlier], [0])
        key.sub = key.sub or claims["sub"]
        self.same("sub", token.name, claims["sub"], key.sub)
        self.tokens.append(token)
        if len(self.tokens) > POOL:
            self.tokens.pop(self.rng.randrange(POOL - 10))
        self.touched.append(token)
        self.history[-1] += " -> %s" % token.name
        return token

    def call_key(self, permissions, audience, kind="key"):
        body = {"name": "n", "permissions": permissions or ["account"], "expires": "never"}
        if audience:
            body["audience"] = audience
        answer = self.call("POST", "/v2/keys", self.site.root, body=body)
        self.same("a new key's status", str(body), answer.status, 201)
        made = answer.json()
        self.same("audience", kind, made.get("audience") or None, audience)
        key = Key(self.name(kind), made["id"], body["permissions"], audience)
        key.secret = made["key"]
        self.keys.append(key)
        self.secrets.append(Secret(key, key.secret))
        return key

    def new_key(self):
        if len(self.keys) >= KEYS:
            self.forget(self.rng.choice(self.keys))
        self.call_key(self.rng.sample(PERMISSIONS, self.rng.randint(1, 3)),
                      self.rng.choice([None, None] + AUDIENCES))

    def forget(self, key):
        """It is looked at no longer."""
        self.keys.remove(key)
        self.secrets = [s for s in self.secrets if s.key is not key]

    def subtoken(self):
        c = self.credential()
        audience, permissions = self.audience(c), self.permissions(c)
        urls = self.some(URLS) or None if self.rng.random() < 0.3 else None
        life = self.rng.choice((None, None, None, None, 2, 3, 600, -5))
        expire = None if life is None else int(time.time()) + life
        asked = {"permissions": permissions}
        asked.update({"urls": urls} if urls else {})
        asked.update({"audience": audience} if audience else {})
        if expire is not None:
            asked["expire"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expire))
        method = self.rng.choice(("GET", "POST"))
        target, more = "/v2/createsubtoken", {"body": asked}
        if method == "GET":
            target += "?" + urlencode({n: ",".join(v) if isinstance(v, list) else v for n, v in asked.items()})
            more = {}
        what = "createsubtoken for %s urls %s life %s" % (audience, urls, life)
        answer, span = self.ask(what, lambda now: subtoken_status(c, now, method, audience, urls, expire), method,
                                target, c, **more)
        if answer is not None:
            self.same("the answer", what, list(answer), ["subtoken"])
            most = end_of(c)
            self.keep("sub", c, answer["subtoken"], narrowed(permissions, c), urls or c.urls,
                      lambda at: [min(expire or at + DEFAULT_LIFE, most, at + MAX_LIFE)], span, audience or c.audience)

    def access(self, kind, c, answer, scope, span, audience):
        permissions = list(dict.fromkeys(scope)) or held(c)
        self.same("scope", kind, answer["scope"], " ".join(permissions))
        most = end_of(c)
        self.keep(kind, c, answer["access_token"], permissions, c.urls, lambda at: [min(at + ACCESS_LIFE, most)], span,
                  audience or c.audience)

    def exchange(self):
        c = self.credential()
        audience, scope = self.audience(c), self.permissions(c)
        form = {"grant_type": EXCHANGE, "subject_token": c.text, "scope": " ".join(scope),
                "subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        form.update({"audience": audience} if audience else {})
        answer, span = self.ask("exchange of %s for %s scope %s" % (c.name, audience, scope),
                                lambda now: exchange_status(c, now, scope, audience), "POST", "/oauth/token", form=form)
        if answer is not None:
            self.access("exchanged", c, answer, scope, span, audience)

    def client_credentials(self):
        c = self.rng.choice(self.secrets)
        scope, audience = self.permissions(c), self.audience(c)
        form = {"grant_type": "client_credentials", "scope": " ".join(scope)}
        form.update({"audience": audience} if audience else {})
        basic = self.rng.random() < 0.5  # RFC 6749 section 2.3.1; then a client that is not known is 401
        headers = ["Authorization: Basic " + base64.b64encode(("%s:%s" % (c.key.id, c.text)).encode()).decode()]
        if not basic:
            form.update(client_id=c.key.id, client_secret=c.text)

        def status(now):
            if not c.good(now):
                return 401 if basic else 400
            return 200 if set(scope) <= set(held(c)) and not other_audience(c, audience) else 400

        answer, span = self.ask("client_credentials of %s for %s" % (c.name, audience), status, "POST", "/oauth/token",
                                form=form, headers=headers if basic else ())
        if answer is not None:
            self.access("client", c, answer, scope, span, audience)

    # ---- sessions of programs ----

    def service(self):
        c = self.rng.choice(self.secrets)
        status = lambda now: 401 if not c.good(now) else 200 if "services" in c.permissions else 403
        answer, span = self.ask("service", status, "POST", "/v1/auth/token", c)
        if answer is not None:
            sid = payload(answer["access_token"])["sid"]
            session = Key(self.name("session"), sid, c.key.permissions, c.key.audience, c.key)
            c.key.sessions.append(session)
            self.pair(session, answer, span)

    def pair(self, session, answer, span):
        session.refresh = answer["refresh_token"]
        self.keep("access", None, answer["access_token"], session.permissions, None,
                  lambda at: [at + ACCESS_LIFE], span, session.audience, session)

    def refresh(self):
        known = [t.key for t in self.tokens if t.session]
        if not known:
            return
        session = self.rng.choice(known)
        status = lambda now: 200 if session.in_force() else 0
        if self.rng.random() < 0.5:
            answer, span = self.ask("refresh of %s" % session.name, lambda now: status(now) or 401, "POST",
                                    "/v1/auth/refresh", body={"token": session.refresh})
        else:
            form = {"grant_type": "refresh_token", "refresh_token": session.refresh}
            answer, span = self.ask("refresh_token of %s" % session.name, lambda now: status(now) or 400, "POST",
                                    "/oauth/token", form=form)
        if answer is not None:
            self.pair(session, answer, span)

    # ---- what ends, and what becomes of keys ----

    def revoke(self):
        c = self.credential()
        text = c.text
        if isinstance(c, Token) and c.session and self.rng.random() < 0.5:
            text = c.key.refresh  # the other half of the pair
        hint = self.rng.choice(({}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "x"}))
        before = int(time.time())
        answer, span = self.ask("revoke %s" % c.name, lambda now: revoke_status(c, now), "POST", "/oauth/revoke",
                                form={"token": text, **hint})
        if answer is not None:
            self.same("the answer", c.name, answer, {})
            if isinstance(c, Token) and c.session and text == c.key.refresh:
                c.key.end()
            else:
                # One that ends within these seconds is as good as revoked, or soon is over anyway.
                revoke(c, before)
            self.touched += [t for t in self.tokens if c is t or c.tid in t.via][:6]

    def revoke_by_command(self):
        """`subtoken revoke`, beside the server."""
        c = self.rng.choice(self.tokens) if self.tokens else None
        # A process takes as long as ten calls, and on PostgreSQL the server hears of it later.
        if c is None or c.session or STORE or self.rng.random() < 0.5:
            return
        before = int(time.time())
        code = run("revoke", stdin=c.text + "\n", data=self.site.nginx.data)[0]
        self.history.append("the command revokes %s: %d" % (c.name, code))
        self.same("the exit code of revoke", c.name, code, 0 if c.signed else 1)
        revoke(c, before)
        self.touched.append(c)

    def on_key(self, what, method, path, expected=200, **more):
        key = self.rng.choice(self.keys)
        answer = self.call(method, "/v2/keys/%s%s" % (key.id, path), self.site.root, **more)
        self.history.append("%s %s %s: %d" % (what, key.name, more.get("body", ""), answer.status))
        self.same("the status of %s" % what, key.name, answer.status, 404 if key.ended else expected)
        self.tally[what, answer.status < 300] += 1
        key.changed = time.time()
        if answer.status < 300:
            self.touched += [t for t in self.tokens if t.key is key or t.key.parent is key][-6:]
        return (key, answer) if answer.status < 300 else (None, None)

    def revoke_subtokens(self):
        key, _ = self.on_key("revoke-subtokens", "POST", "/revoke-subtokens", 204)
        if key is not None:
            key.revoke_subtokens()

    def disable(self):
        disabled = self.rng.random() < 0.4
        key, _ = self.on_key("disable" if disabled else "enable", "PATCH", "", body={"disabled": disabled})
        if key is not None:
            key.disable(disabled)

    def delete(self):
        key, _ = self.on_key("delete", "DELETE", "", 204)
        if key is not None:
            key.end()

    def rotate(self):
        overlap = self.rng.choice((None, "0s", "1s", "3s", "24h"))
        seconds = {None: 0, "0s": 0, "1s": 1, "3s": 3, "24h": 86400}[overlap]
        key, answer = self.on_key("rotate", "POST", "/rotate", body={} if overlap is None else {"overlap": overlap})
        if key is None:
            return
        made = answer.json()
        self.same("id", key.name, (made["id"], made["key"][:36]), (key.id, key.id))
        self.same("a second half of its own", key.name, made["key"] not in [s.text for s in self.secrets], True)
        if made.get("old_until"):
            self.same("old_until", key.name, seconds > 0, True)
        key.rotate(made["key"], seconds, int(time.time()))
        if seconds and made.get("old_until"):
            key.old_until = calendar.timegm(time.strptime(made["old_until"][:19], "%Y-%m-%dT%H:%M:%S"))
        self.secrets.append(Secret(key, key.secret))
        while len(self.secrets) > 4 * KEYS:
            spare = [s for s in self.secrets if s.text not in (s.key.secret, s.key.old)]
            self.secrets.remove(self.rng.choice(spare or [s for s in self.secrets if s.text != s.key.secret]))

    # ---- what the server says ----

    def rotate_ring(self):
        gone = self.site.rotate_ring()
        for t in self.tokens:
            kid = json.loads(unb64(t.text.split(".")[0])).get("kid", "").partition(".")[0]
            t.signed = t.signed and kid != gone
        self.history.append("another secret signs: %r, without %r" % (self.site.kid, gone))

    def introspect(self):
        c = self.credential()
        answer, span = self.ask("introspect %s" % c.name, lambda now: 200, "POST", "/oauth/introspect",
                                Secret(self.canary, self.site.root), form={"token": c.text})
        states = {active(c, now) for now in range(span[0], span[1] + 1)}
        self.verdicts["introspect", answer["active"]] += 1
        if answer["active"] not in states:
            raise Mismatch("introspection of %s: %s, the model says %s" % (c.name, answer, states))
        if not answer["active"]:
            self.same("the answer", c.name, answer, {"active": False})
            return
        self.same("scope", c.name, answer["scope"], " ".join(held(c)))
        self.same("client_id", c.name, answer["client_id"], (c.key.parent or c.key).id)
        self.same("aud", c.name, answer.get("aud"), c.audience)
        self.same("urls", c.name, answer.get("urls"), c.urls)

    def look_at_server(self, c):
        if self.rng.random() < 0.4:
            self.ask("tokeninfo", lambda now: own_status(c, now, "GET", "/v2/tokeninfo") or 200, "GET",
                     "/v2/tokeninfo", c)
            return
        asker = self.rng.choice(ASKERS)
        method, (path, _) = self.rng.choice(("GET", "POST")), self.rng.choice(LOOKED_AT)
        told = ["X-Subtoken-Audience: " + asker.told] if asker.told or self.rng.random() < 0.5 else []

        def expected(now):
            if isinstance(c, Secret):
                return secret_status(c, asker, now)
            return verdict(c, asker, now, method, path)[0]

        self.ask("%s about %s:%s" % (asker.name, method, path), expected, "GET", "/v2/authorize", c,
                 headers=["X-Original-URI: " + path, "X-Original-Method: " + method] + told)

    # ---- what the edges say ----

    def canaries(self):
        """One for each kind of edge: accepted now; revoked later, with what it is known that the edge has it all."""
        self.probes = {}
        for audience in [None] + AUDIENCES:
            answer = self.call("POST", "/v2/createsubtoken", self.canary.secret,
                               body={"permissions": [], **({"audience": audience} if audience else {})})
            self.probes[audience] = answer.json()["subtoken"]
        self.wait_for((200, "ok"))

    def wait_for(self, wanted):
        for edge in EDGES:
            probe = self.probes[edge.ring or edge.told]
            library, connection = self.site.libraries[edge.name], self.site.edges[edge.name]
            wait(lambda: library.ask([{"token": probe, "url": "/free", "method": "GET"}])[0] == wanted,
                 "the library, %s, says %s" % (edge.name, wanted))
            wait(lambda: self.ask_nginx(connection, probe, "GET", "/free")[:2] == wanted,
                 "nginx, %s, says %s" % (edge.name, wanted))

    def ask_nginx(self, connection, text, method, path):
        answer = connection.call(method, path, ["Authorization: Bearer " + text], None if method == "GET" else b"")
        return answer.status, answer.header("X-Result") or "ok", answer

    def look_at_edges(self):
        answer = self.call("POST", "/v2/keys/%s/revoke-subtokens" % self.canary.id, self.site.root)
        self.same("the status", "the canary", answer.status, 204)
        self.wait_for((401, "revoked"))
        recent = list(dict.fromkeys(self.touched[-2 * LOOKS:]))
        self.touched = []
        chosen = recent[-LOOKS // 2:]
        chosen += [self.rng.choice(self.tokens) for _ in range(LOOKS - len(chosen))]
        for edge in EDGES:
            asked = [(t, self.rng.choice(("GET", "POST"))) + self.rng.choice(LOOKED_AT) for t in chosen]
            self.look_in_library(edge, asked)
            for each in asked:
                self.look_in_nginx(edge, *each)
            # nginx keeps what it was told of a whole key for 5 seconds.
            settled = [s for s in self.secrets if s.settled(time.time(), 6)]
            for secret in self.rng.sample(settled, min(4, len(settled))):
                self.whole_key_in_nginx(edge, secret)

    def look_in_library(self, edge, asked):
        before = int(time.time() - TICK)
        said = self.site.libraries[edge.name].ask([{"token": t.text, "method": m, "url": p, "require": list(n)}
                                                   for t, m, p, n in asked])
        after = int(time.time() + TICK)
        for (t, method, path, needs), got in zip(asked, said):
            allowed = {verdict(t, edge, now, method, path, needs) for now in range(before, after + 1)}
            self.verdicts["library"] += 1
            if got not in allowed:
                raise Mismatch("the library, %s, about %s %s:%s: %s, the model says %s" % (
                    edge.name, t.name, method, path, got, allowed))

    def look_in_nginx(self, edge, t, method, path, needs):
        def send():
            *got, answer = self.ask_nginx(self.site.edges[edge.name], t.text, method, path)
            return tuple(got), answer
        self.verdicts["nginx"] += 1
        self.compare("nginx, %s, about %s %s:%s" % (edge.name, t.name, method, path),
                     lambda now: verdict(t, edge, now, method, path, needs), send)

    def whole_key_in_nginx(self, edge, secret):
        path, needs = self.rng.choice(LOOKED_AT)
        told = Verifier(edge.name, told=edge.told or edge.ring or "", server=True)

        def send():
            answer = self.ask_nginx(self.site.edges[edge.name], secret.text, "GET", path)[2]
            return answer.status, answer
        self.verdicts["nginx with a whole key"] += 1
        self.compare("nginx, %s, about %s, whole, for %s, %s" % (edge.name, secret.name, secret.audience, path),
                     lambda now: secret_status(secret, told, now, needs), send)

    def tell(self):
        """What was done, for when it fails: last, and before that to whatever the mismatch names."""
        lines = list(self.history)
        last = lines[-1].partition(": ")[0]
        names = set(re.findall(r"\b[a-z]+\d+\b", last))
        for t in self.tokens:
            if t.name in names:
                names |= {t.key.name} | {x.name for x in self.tokens if x.tid in t.via}
                print("# %s is of %s, for %s, from %s" % (t.name, t.key.name, t.audience, t.via))
        print("\n".join("# " + line for line in lines[:-30] if names & set(re.findall(r"\b[a-z]+\d+\b", line))))
        print("\n".join("# " + line for line in ["..."] + lines[-30:]))
        told = [l for l in self.site.server.log_lines() if l["event"] != "request"]
        print("\n".join("# the server: %s" % l for l in told[-5:]))

    # ---- the walk ----

    MOVES = [("subtoken", 30), ("exchange", 9), ("client_credentials", 5), ("service", 3), ("refresh", 3),
             ("revoke", 12), ("revoke_by_command", 1), ("revoke_subtokens", 2), ("disable", 5), ("delete", 1),
             ("rotate", 5), ("new_key", 4), ("introspect", 6)]

    def step(self):
        names, weights = zip(*self.MOVES)
        getattr(self, self.rng.choices(names, weights)[0])()
        recent = self.touched[-6:]
        c = self.rng.choice(recent) if recent and self.rng.random() < 0.6 else self.credential()
        self.look_at_server(c)

    def run(self, steps):
        for _ in range(KEYS // 2):
            self.new_key()
        self.canaries()
        for done in range(1, steps + 1):
            self.step()
            if done % BATCH == 0 or done == steps:
                self.look_at_edges()
                if done // BATCH % 8 == 1:
                    self.rotate_ring()
                if done != steps:
                    self.canaries()


@test
def every_verdict_is_that_of_the_model():
    if not NGINX:
        return "there is no nginx"
    print("# SEED=%d SUBTOKEN_LIVES=%d" % (SEED, STEPS), flush=True)
    site, walk, failed = Site(access_life=ACCESS_LIFE), None, True
    try:
        walk = Walk(site, SEED)
        walk.run(STEPS)
        failed = False
    finally:
        if walk is not None and failed:
            walk.tell()
        site.stop(failed)
    for what in ("createsubtoken", "exchange", "client_credentials", "revoke", "rotate", "disable", "enable",
                 "introspect", "tokeninfo"):
        assert walk.tally[what, True], (what, walk.tally)  # it was done, and not refused each time
    print("# %d calls, %s verdicts" % (sum(walk.tally.values()), dict(walk.verdicts)))


main()
