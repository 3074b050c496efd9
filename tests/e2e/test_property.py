"""Nobody gets a permission that nobody granted them, whatever is called in whatever order: random
sequences of calls with random credentials against the running service, each answer held against
the model in grants.py. SEQUENCES= and SEED= choose another walk; the seed is printed."""
import collections, random

from support import *
from grants import *
from urllib.parse import urlencode

if os.access("/dev/shm", os.W_OK):
    tempfile.tempdir = "/dev/shm"  # commits are many, and an fsync is not what is tested here

SEQUENCES = int(os.environ.get("SEQUENCES") or {"": 400 if STORE else 1500, "asan": 500, "tsan": 200}[SANITIZER])
SEED = int(os.environ.get("SEED") or int.from_bytes(os.urandom(4), "big"))
MAX_LIFE, ACCESS_LIFE, DEFAULT_LIFE, REFRESH_LIFE = 3600, 4, 600, 20
CONFIG = {"leeway": LEEWAY, "max_life": MAX_LIFE, "default_life": DEFAULT_LIFE,
          "access_life": ACCESS_LIFE, "refresh_life": REFRESH_LIFE, "registration": "open",
          "trusted_proxies": ["127.0.0.1"], "sessions_per_key": 3,
          "refresh_retry": RETRY}
PERMISSIONS = ["account", "wallet", "guilds", "trade", "builds", "keys", "users", "services"]
URLS = ["/v2/tokeninfo", "/v2/createsubtoken", "/v2/*", "/oauth/token", VENDOR, "/v2/keys",
        "/need/*", "/need/account", "/need/wallet"]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
KINDS = "urn:ietf:params:oauth:token-type:"
POOL = 300  # credentials that are held at a time


class Connections:
    """Several connections that stay open; each call takes one of them."""

    def __init__(self, port, rng, count=4):
        self.port, self.rng = port, rng
        self.sockets = [None] * count

    def connect(self, at):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets[at] = s
        return s

    def read(self, s):
        data = s.recv(65536)
        while data and b"\r\n\r\n" not in data:
            data += s.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        found = re.search(rb"\r\nContent-Length: (\d+)", head)
        while found and len(body) < int(found.group(1)):
            body += s.recv(65536)
        return head, body

    def call(self, text):
        at = self.rng.randrange(len(self.sockets))
        for fresh in (False, True):
            s = self.connect(at) if fresh or self.sockets[at] is None else self.sockets[at]
            try:
                s.sendall(text)
                head, body = self.read(s)
            except ConnectionError:
                continue
            if head:  # else the server had closed it while it was idle
                break
        else:
            raise AssertionError("no answer")
        if b"\r\nConnection: close" in head:
            s.close()
            self.sockets[at] = None
        openapi.raw_answered(text, head, body)
        return int(head[9:12]), body


class Mismatch(AssertionError):
    pass


class Walk:
    def __init__(self, server, seed):
        self.server, self.rng = server, random.Random(seed)
        self.sockets = Connections(server.port, self.rng)
        self.grants = Grants()
        self.pool, self.basics, self.keys = [], [], []
        self.names = collections.Counter()
        self.history = collections.deque(maxlen=60)  # what was done, for when it fails
        self.touched = []  # rows that this sequence has changed
        self.tally = collections.Counter()  # of (move, granted)
        self.move = None
        self.calls = self.checks = 0

    # ---- names, choices ----

    def name(self, kind):
        self.names[kind] += 1
        return "%s%d" % (kind, self.names[kind])

    def some(self, words, most=None):
        return self.rng.sample(words, self.rng.randint(0, min(len(words), most or len(words))))

    def pick(self):
        """Any credential; those that were got last more often. Passwords are dear."""
        draw = self.rng.random()
        if draw < 0.01:
            return None
        if draw < 0.03 and self.basics:
            return self.rng.choice(self.basics)
        size = len(self.pool)
        return self.pool[max(self.rng.randrange(size), self.rng.randrange(size))]

    def pick_with(self, wanted, tries=12):
        for _ in range(tries):
            c = self.pick()
            if c is not None and wanted(c):
                return c
        return self.pick()

    def permissions(self, c):
        """To ask for: what it has, part of that, or rather more."""
        draw, has = self.rng.random(), held(c) if c else []
        if draw < 0.2:
            return list(has)
        if draw < 0.7:
            return self.some(list(has))
        return self.some(PERMISSIONS, 5)

    def keep(self, credential):
        self.pool.append(credential)
        if len(self.pool) > POOL:
            now = time.time()
            at = [self.rng.randrange(POOL - 20) for _ in range(3)]
            dead = [i for i in at if self.pool[i].gone_for_good(now)]
            spare = [i for i in at if not self.pool[i].row.root]
            self.pool.pop((dead or spare or at)[0])

    # ---- calls ----

    def carry(self, c, query):
        """The header lines of a credential, and what it adds to the query."""
        if c is None:
            return "", ""
        if c.form == "basic":
            return "Authorization: Basic %s\r\n" % base64.b64encode(c.text.encode()).decode(), ""
        if c.form == "string":
            return "X-API-Key: %s\r\n" % c.text, ""
        draw = self.rng.random()
        if draw < 0.7 or c.form == "refresh":
            return "Authorization: Bearer %s\r\n" % c.text, ""
        if query and draw > 0.9:
            return "", "access_token=" + c.text
        return "X-API-Key: %s\r\n" % c.text, ""

    def send(self, method, target, c, body=None, form=None, headers=""):
        query = method == "GET" and not target.startswith("/v2/authorize")
        lines, added = self.carry(c, query)
        if added:
            target += ("&" if "?" in target else "?") + added
        content = b""
        if body is not None:
            content, lines = json.dumps(body).encode(), lines + "Content-Type: application/json\r\n"
        elif form is not None:
            content = urlencode(form).encode()
            lines += "Content-Type: application/x-www-form-urlencoded\r\n"
        text = "%s %s HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.%d.%d.%d\r\n%s%sContent-Length: %d\r\n\r\n" % (
            method, target, self.rng.randrange(256), self.rng.randrange(256),
            self.rng.randrange(256), lines, headers, len(content))
        self.calls += 1
        return self.sockets.call(text.encode() + content)

    def ask(self, what, expected, method, target, c, **more):
        """One call: (status, answer, earliest and latest second of it). expected(now): the status
        that the model gives, before and after, which differ where something just ends."""
        line = "%s with %s" % (what, c.name if c else "nothing")
        self.history.append(line)
        before = int(time.time() - 0.001)
        allowed = {expected(before)}
        status, body = self.send(method, target, c, **more)
        after = int(time.time() + 0.001)
        if after != before:
            allowed |= {expected(now) for now in range(before + 1, after + 1)}
        if len(allowed) > 1:
            allowed.add(403)  # it ended between being looked at and what it was to make
        self.history[-1] = "%s: %d" % (line, status)
        if status == 429 and c is not None and c.form == "basic" and c.row.failures >= 10:
            return status, None, (before, after)
        if status not in allowed:
            raise Mismatch("%s: %d, the model says %s: %s" % (line, status, sorted(allowed),
                                                               self.without_secrets(body)))
        self.tally[self.move, status < 300] += 1
        if status == 401 and c is not None and c.form == "basic":
            c.row.failures += 1
        return status, json.loads(body) if body and status < 300 else None, (before, after)

    def without_secrets(self, body):
        return re.sub(r"[A-Za-z0-9_.-]{40,}", "…", body.decode("utf-8", "replace"))[:300]

    def same(self, what, c, got, wanted):
        if got != wanted:
            raise Mismatch("%s of %s is %r, the model says %r" % (what, c.name, got, wanted))

    def new_token(self, kind, grantor, text, permissions, ends, span, urls, session=False, row=None):
        """A token that was just given: what it says is what the model says. ends: those that the
        model takes for possible."""
        row = row or grantor.row
        c = Credential(self.name(kind), "token", text, row, permissions, 0, urls, session)
        c.via = via_of_child(grantor)
        claims = payload(text)
        self.same("via", c, claims.get("via", []), c.via)
        self.same("permissions", c, claims["permissions"], permissions)
        self.same("urls", c, claims.get("urls"), urls)
        self.same("sid", c, claims.get("sid"), row.id if session else None)
        self.same("time of issue", c, span[0] <= claims["iat"] <= span[1], True)
        self.same("end %d" % claims["exp"], c, claims["exp"] in ends(claims["iat"]), True)
        if not set(claims["permissions"]) <= row.ceiling:
            raise Mismatch("%s has more than was ever granted" % c.name)
        if claims["sub"] != row.subs.setdefault(row.epoch, claims["sub"]) or \
                list(row.subs.values()).count(claims["sub"]) != 1:
            raise Mismatch("%s has the sub of another" % c.name)
        c.ends = claims["exp"]
        self.history[-1] += " -> " + c.name
        self.keep(c)
        self.touched.append(row)
        return c

    # ---- what makes something ----

    def subtoken(self):
        c = self.pick()
        permissions = self.permissions(c)
        urls = self.some(URLS, 4) or None if self.rng.random() < 0.35 else None
        life = self.rng.choice((None, None, None, -5, 2, 6, 60, 2 * MAX_LIFE))
        expire = None if life is None else int(time.time()) + life
        asked = {"permissions": permissions}
        if urls:
            asked["urls"] = urls
        if expire is not None:
            asked["expire"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expire))
        expected = lambda now: subtoken_status(c, now, urls, expire)
        what = "createsubtoken %s urls %s life %s" % (",".join(permissions), urls, life)
        if self.rng.random() < 0.4:
            answered = self.ask(what, expected, "POST", "/v2/createsubtoken", c, body=asked)
        else:
            query = urlencode({n: ",".join(v) if n != "expire" else v for n, v in asked.items()})
            answered = self.ask(what, expected, "GET", "/v2/createsubtoken?" + query, c)
        status, answer, span = answered
        if status == 200:
            most = end_of(c)
            ends = lambda at: [min(expire or at + DEFAULT_LIFE, most, at + MAX_LIFE)]
            self.new_token("sub", c, answer["subtoken"], narrowed(permissions, c), ends, span,
                           urls or (c.urls if c.form == "token" else None))

    def exchange(self):
        c = self.pick_with(lambda c: c.form in ("key", "token"))
        scope = [p for p in self.permissions(c) if self.rng.random() < 0.7]
        form = {"grant_type": EXCHANGE, "subject_token": c.text if c else "nobody",
                "subject_token_type": KINDS + "access_token", "scope": " ".join(scope)}
        status, answer, span = self.ask("exchange %s of %s" % (scope, c.name if c else "nothing"),
                                        lambda now: exchange_status(c, now, scope), "POST",
                                        "/oauth/token", None, form=form)
        if status == 200:
            permissions = unique(scope) or held(c)
            self.same("scope", c, answer["scope"], " ".join(permissions))
            self.access("exchanged", c, answer["access_token"], permissions, span)

    def vendor(self):
        c = self.pick()
        status, answer, span = self.ask("the vendor's", lambda now: vendor_status(c, now), "POST",
                                        VENDOR, c)
        if status == 200:
            self.access("raw", c, answer["RawToken"], held(c), span)

    def access(self, kind, c, text, permissions, span):
        most = end_of(c)
        self.new_token(kind, c, text, list(permissions), lambda at: [min(at + ACCESS_LIFE, most)],
                       span, c.urls if c.form == "token" else None)

    def new_key(self):
        c = self.pick_with(lambda c: "keys" in held(c) or auth_method(c) == "user"
                           if c.form != "refresh" else False)
        permissions = self.permissions(c)
        owners = list(self.grants.users) + ["ops", "nobody in particular"]
        owners += [p.owner for p in self.grants.users.values() if p.registered]
        owner = self.rng.choice(owners) if self.rng.random() < 0.5 else None
        life = self.rng.choice(("never", "never", "2s", "9s", "1h"))
        body = {"name": "n", "permissions": permissions, "expires": life}
        if owner is not None:
            body["owner"] = owner
        meant = c.row.owner if owner is None and c else owner
        is_user = self.rng.random() < (0.5 if meant in self.grants.users else 0.05)
        if is_user or self.rng.random() < 0.2:
            body["owner_is_user"] = is_user
        what = "new key %s owner %s (%s) expires %s" % (",".join(permissions), owner, is_user, life)
        status, answer, span = self.ask(
            what, lambda now: new_key_status(c, now, permissions, owner, is_user, self.grants),
            "POST", "/v2/keys", c, body=body)
        if status == 201:
            self.keep_key(c, answer, unique(permissions), owner, life, span)

    def keep_key(self, grantor, answer, permissions, owner, life, span):
        owner = grantor.row.owner if owner is None else owner
        row = Row(self.name("key"), "key", permissions, NEVER, owner, grantor.row.ceiling,
                  id=answer["id"])
        c = Credential(row.name, "key", answer["key"], row)
        most = grantor_end(grantor)
        wanted = NEVER if life == "never" else {"s": 1, "h": 3600}[life[-1]] * int(life[:-1])
        ends = {min(NEVER if wanted == NEVER else at + wanted, most) for at in range(span[0], span[1] + 1)}
        row.ends = self.seconds(answer["expires_at"])
        self.same("expires_at", c, row.ends in ends, True)
        self.same("permissions", c, answer["permissions"], permissions)
        self.same("owner", c, answer["owner"], owner)
        self.grants.add_key(row)
        self.keys.append(row)
        self.history[-1] += " -> " + row.name
        self.keep(c)
        self.touched.append(row)

    @staticmethod
    def seconds(text):
        return NEVER if text is None else int(time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
                                              - time.timezone)

    def new_user(self):
        c = self.pick_with(lambda c: c.form != "refresh" and "users" in held(c))
        if self.rng.random() < 0.1:
            c = None
        permissions = self.permissions(c) if self.rng.random() < 0.8 else []
        username, password = self.name("user"), "%032x" % self.rng.getrandbits(128)
        if c is None and self.rng.random() < 0.3:
            username = "ops"  # who has keys that nobody who registers may come by
        taken = username in self.grants.users or bool(self.grants.owned(username))
        status, answer, span = self.ask(
            "new user %s" % ",".join(permissions),
            lambda now: new_user_status(c, now, permissions, taken),
            "POST", "/v1/user", c,
            body={"login": username, "password": password, "permissions": permissions})
        if status == 201:
            ends = grantor_end(c) if c else NEVER
            row = self.keep_user(username, password, unique(permissions), ends,
                                   c.row.ceiling if c else ())
            row.registered = c is None

    def register(self):
        """Who registers, under a name that others take for an owner's (G2)."""
        username, password = self.name("self"), "%032x" % self.rng.getrandbits(128)
        status, _, _ = self.ask("registration", lambda now: 201, "POST", "/v1/user", None,
                                body={"login": username, "password": password})
        self.keep_user(username, password, [], NEVER, ()).registered = True

    def keep_user(self, username, password, permissions, ends, ceiling):
        row = Row(username, "user", permissions, ends, username, ceiling)
        row.password = password
        self.grants.add_user(row)
        self.basics.append(Credential("basic of " + username, "basic", username + ":" + password, row))
        self.history[-1] += " -> " + username
        self.touched.append(row)
        return row

    # ---- sessions ----

    def log_in(self):
        known = [c.row for c in self.basics]
        if not known:
            return
        row = self.rng.choice(known)
        wrong = self.rng.random() < 0.15
        good = lambda now: 401 if wrong or not row.in_force(now) else 200
        expected = lambda now: 429 if row.failures >= 10 else good(now)
        if row.failures >= 8:
            return  # it would be slowed, which test_people.py looks at
        body = {"login": row.owner, "password": row.password + ("x" if wrong else "")}
        status, answer, span = self.ask("login of %s%s" % (row.name, ", wrongly" if wrong else ""),
                                        expected, "POST", "/v1/auth/login", None, body=body)
        if status == 200:
            self.keep_session(row, answer, span)
        else:
            row.failures += 1

    def service(self):
        c = self.pick_with(lambda c: c.form in ("key", "string") and "services" in held(c))
        status, answer, span = self.ask("service's login", lambda now: service_status(c, now), "POST",
                                        "/v1/auth/token", c)
        if status == 200:
            self.keep_session(c.row, answer, span)

    def keep_session(self, parent, answer, span):
        service = parent.kind == "key"
        if service:
            ended, unsure = self.grants.too_many(parent, CONFIG["sessions_per_key"], span[0])
            for row in ended:
                self.end_session(row)
            for row in unsure:
                row.unsure = True
                self.forget(row)
        sid = payload(answer["access_token"])["sid"]
        row = Row(self.name("session"), "service" if service else "session", parent.permissions,
                  min(span[0] + REFRESH_LIFE, parent.ends), parent.owner, parent.ceiling, parent, sid)
        self.grants.add_session(row)
        self.pair(row, answer, span)

    def pair(self, row, answer, span):
        """What logging in gives. The session's own end is known when it began within one second only."""
        most = {min(at + REFRESH_LIFE, row.parent.ends) for at in range(span[0], span[1] + 1)}
        ends = lambda at: [min(at + ACCESS_LIFE, m) for m in most]
        token = self.new_token("access", None, answer["access_token"], list(row.permissions), ends,
                               span, None, True, row)
        refresh = Credential("refresh of " + token.name, "refresh", answer["refresh_token"], row,
                             ends=row.ends)
        self.keep(refresh)
        if len(most) > 1:
            self.forget(row)
        return refresh

    def refresh(self):
        c = self.pick_with(lambda c: c.form == "refresh", 40)
        if c is None or c.form == "basic" or c.form == "string":
            return
        before = refresh_outcome(c, int(time.time() - 0.001))
        codes = {"next": {200}, "retry": {200}, "none": {401}, "reuse": {401}, "unsure": {200, 401}}
        self.history.append("refresh with " + c.name)
        low = int(time.time() - 0.001)
        status, body = self.send("POST", "/v1/auth/refresh", None, body={"token": c.text})
        span = (low, int(time.time() + 0.001))
        self.history[-1] += ": %d" % status
        outcomes = {before} | {refresh_outcome(c, now) for now in range(span[0], span[1] + 1)}
        if not any(status in codes[o] for o in outcomes):
            raise Mismatch("refresh with %s: %d, the model says %s" % (c.name, status, outcomes))
        self.tally[self.move, status < 300] += 1
        if len(outcomes) > 1 or "unsure" in outcomes:
            self.forget(c.row)
        elif "reuse" in outcomes:
            self.end_session(c.row)
        elif status == 200:
            self.refreshed(c, json.loads(body), span, before)

    def refreshed(self, c, answer, span, outcome):
        row = c.row
        if outcome == "retry":
            self.same("successor", c, answer["refresh_token"], c.successor.text)
            self.new_token("access", None, answer["access_token"], list(row.permissions),
                           lambda at: [min(at + ACCESS_LIFE, row.ends)], span, None, True, row)
            return
        row.ends = min(span[0] + REFRESH_LIFE, row.parent.ends)
        c.used = span
        c.successor = self.pair(row, answer, span)

    def end_session(self, session):
        session.ended = True
        if session in session.parent.children:
            session.parent.children.remove(session)
        self.touched.append(session)

    def logout(self):
        c = self.pick_with(lambda c: c.session)
        status, _, _ = self.ask("logout", lambda now: logout_status(c, now), "POST",
                                "/v1/auth/logout", c)
        if status == 204:
            self.end_session(c.row)

    def forget(self, row):
        """Something ended while it was asked about: nothing is known of it any more."""
        self.pool = [c for c in self.pool if c.row is not row]
        self.touched = [r for r in self.touched if r is not row]

    # ---- keys that are there ----

    def on_key(self):
        what = self.rng.choice(("disable", "disable", "enable", "enable", "enable", "rename", "show",
                                "revoke", "revoke", "delete"))
        c = self.pick_with(lambda c: "keys" in held(c) or auth_method(c) == "user"
                           if c.form != "refresh" else False, 6)
        key = self.choose_key(c, what)
        path = "/v2/keys/" + key.id + ("/revoke-subtokens" if what == "revoke" else "")
        method = {"delete": "DELETE", "revoke": "POST", "show": "GET"}.get(what, "PATCH")
        body = {"rename": {"name": "other"}, "disable": {"disabled": True},
                "enable": {"disabled": False}}.get(what)
        status, answer, _ = self.ask("%s %s" % (what, key.name),
                                     lambda now: on_key_status(c, now, key, what, path), method,
                                     path, c, body=body)
        if answer:
            self.same("permissions", c, answer["permissions"], key.permissions)
        if status < 300:
            self.change_key(key, what, c)

    def choose_key(self, c, what):
        owned = self.grants.owned(c.row.owner) if c and c.row else []
        keys = owned if owned and self.rng.random() < 0.4 else self.keys[-200:]
        key = self.rng.choice(keys)
        # what is granted from the command line costs a process
        return self.rng.choice(keys) if key.root and what in ("delete", "disable") else key

    def change_key(self, key, what, c=None):
        if what in ("disable", "enable"):
            self.grants.disable_key(key, what == "disable", c)
        elif what == "revoke":
            self.grants.revoke_subtokens(key)
        elif what == "delete":
            self.grants.end_key(key)
        self.touched.append(key)

    def list_keys(self):
        c = self.pick_with(lambda c: c.form != "refresh" and auth_method(c) != "derived")
        status, answer, span = self.ask("list keys",
                                        lambda now: manager(c, now, "/v2/keys")[0] or 200, "GET",
                                        "/v2/keys?limit=20", c)
        if status == 200:
            own = manager(c, span[0], "/v2/keys")[1]
            for key in answer["keys"]:
                if own is not None and key["owner"] != own:
                    raise Mismatch("%s is shown the key of %s" % (c.name, key["owner"]))

    # ---- what is made up ----

    def forge(self):
        """Worth nothing: parts of two tokens, none signed, a key nearly right, a refresh token."""
        tokens = [c for c in (self.pick() for _ in range(4)) if c and c.form == "token"]
        keys = [c for c in (self.pick() for _ in range(4)) if c and c.form == "key"]
        made = []
        if len(tokens) > 1 and tokens[0].text != tokens[1].text:
            (a, b, _), (_, _, d) = (t.text.split(".") for t in tokens[:2])
            made += ["%s.%s.%s" % (a, b, d)] if tokens[0].text.split(".")[2] != d else []
            none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
            made += ["%s.%s." % (none, b), "%s.%s.%s" % (none, b, d)]
        if keys:
            at = self.rng.randrange(72)
            text = keys[0].text
            if text[at] != "-":
                made.append(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1:])
            made += [text.lower(), hashlib.sha256(text.encode()).hexdigest(), text[:36]]
        if made:
            row = Row("nobody", "key", PERMISSIONS, NEVER, "nobody", ())
            c = Credential("a forgery", "token", self.rng.choice(made), row, PERMISSIONS, void=True)
            target = self.rng.choice(("/v2/tokeninfo", "/v2/createsubtoken", "/v2/keys"))
            self.ask("GET " + target, lambda now: 401, "GET", target, c)

    # ---- the operator ----

    def command(self, *words, stdin=b"", check=0):
        self.history.append("operator: " + " ".join(w for w in words if not w.startswith("-"))[:120])
        out = run(*words, stdin=stdin, data=self.server.data, check=check)[1]
        if words[1] != "create":
            let_others_learn()
        return out

    def root_key(self, permissions, owner="", life="never", string=False):
        more = ["--owner", owner] if owner else []
        user = self.grants.users.get(owner)
        if user is not None and user.registered:
            self.command("key", "create", "--name", "root", "--permissions", "", *more, check=1)
        if user is not None:
            more.append("--owner-user")
        text = "string-%024x" % self.rng.getrandbits(96) if string else None
        if string:
            digest = hashlib.sha256(b"subtoken X-API-Key\n" + text.encode()).digest()
            more += ["--hash=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")]
        made = json.loads(self.command("key", "create", "--name", "root", "--permissions",
                                       ",".join(permissions), "--expires", life, "--json", *more))
        row = Row(self.name("root"), "key", permissions, self.seconds(made["expires_at"]), owner,
                  permissions, id=made["id"])
        row.root = True
        self.grants.add_key(row)
        self.keys.append(row)
        self.history[-1] += " -> " + row.name
        self.keep(Credential(row.name, "string" if string else "key", text or made["key"], row))
        self.touched.append(row)

    def root_person(self, permissions):
        username, password = self.name("user"), "%032x" % self.rng.getrandbits(128)
        self.command("user", "create", username, "--permissions", ",".join(permissions), stdin=password.encode())
        self.keep_user(username, password, permissions, NEVER, permissions).root = True

    def operate(self):
        users, key = list(self.grants.users.values()), self.rng.choice(self.keys[-100:])
        draw = self.rng.random()
        if draw < 0.3 and not key.ended:
            what = self.rng.choice(("disable", "enable", "revoke-subtokens", "delete"))
            self.command("key", what, key.id)
            self.change_key(key, what.split("-")[0])
        elif draw < 0.4:
            self.root_key(self.some(PERMISSIONS), self.rng.choice(list(self.grants.users) + [""]),
                          self.rng.choice(("never", "5s")), self.rng.random() < 0.4)
        elif users:
            self.operate_on(self.rng.choice(users))

    def operate_on(self, user):
        what = self.rng.choice(("permissions", "permissions", "disable", "enable", "enable", "passwd",
                                "delete"))
        if what == "permissions":
            permissions = self.rng.choice((self.some(PERMISSIONS), user.permissions[1:],
                                           unique(user.permissions + self.some(PERMISSIONS, 2))))
            self.command("user", what, user.owner, ",".join(permissions))
            self.grants.grant_user(user, permissions)
        elif what == "passwd":
            password = "%032x" % self.rng.getrandbits(128)
            self.command("user", what, user.owner, stdin=password.encode())
            self.grants.set_password(user, password)
            self.basics.append(Credential("basic of " + user.name, "basic",
                                          user.owner + ":" + password, user))
        else:
            self.command("user", what, user.owner)
            if what == "delete":
                self.grants.delete_user(user)
            else:
                self.grants.disable_user(user, what == "disable")
        self.touched += [user] + self.grants.owned(user.owner)[-3:]

    def replenish(self):
        """There are always some who may do something."""
        now = time.time()
        roots = [c for c in self.pool if c.row.root and c.row.in_force(now)]
        for needed in ("keys", "users", "services"):
            if not any(needed in c.row.permissions for c in roots):
                self.root_key(unique([needed] + self.some(PERMISSIONS)))
        able = [p for p in self.grants.users.values() if p.in_force(now)]
        if len(able) < 4:
            self.root_person(unique(self.some(PERMISSIONS) + ["account"]))
        elif len(self.grants.users) > 14:
            oldest = next(iter(self.grants.users.values()))
            self.command("user", "delete", oldest.owner)
            self.grants.delete_user(oldest)
            self.touched.append(oldest)

    # ---- checks ----

    def check(self, c):
        """What it shows is what the model says it is worth, no more and for no longer."""
        self.checks += 1
        if self.rng.random() < 0.25:
            return self.check_at_an_edge(c)
        status, answer, _ = self.ask("tokeninfo",
                                     lambda now: decide(c, now, "/v2/tokeninfo") or 200, "GET",
                                     "/v2/tokeninfo?v=latest", c)
        if status != 200:
            return
        self.same("permissions", c, answer["permissions"], held(c))
        if not set(answer["permissions"]) <= c.row.ceiling:
            raise Mismatch("%s shows more than was ever granted" % c.name)
        self.same("type", c, answer["type"], "Subtoken" if c.form == "token" else "APIKey")
        self.same("urls", c, answer.get("urls"), c.urls)
        if c.form == "token":
            self.same("expires_at", c, self.seconds(answer["expires_at"]), end_of(c))
        if c.row.id:
            self.same("id", c, answer["id"], c.row.id)

    def check_at_an_edge(self, c):
        need = self.rng.choice(PERMISSIONS)

        def expected(now):
            status = decide(c, now, "/need/" + need)
            return status or (200 if need in held(c) else 403)
        lines = "X-Original-URI: /need/%s\r\nX-Original-Method: GET\r\n" % need
        self.ask("authorize " + need, expected, "GET", "/v2/authorize", c, headers=lines)

    def check_some(self):
        rows = {id(r) for r in self.touched[-8:]}
        near = [c for c in self.pool[-40:] + self.basics if id(c.row) in rows]
        chosen = self.rng.sample(near, min(len(near), 2))
        chosen.append(self.rng.choice(self.pool))
        for c in chosen:
            self.check(c)
        now = time.time()  # a wrong password is slow, by intent: once is enough
        self.basics = [c for c in self.basics if not c.gone_for_good(now)]
        self.touched = []

    # ---- the walk ----

    MOVES = (("subtoken", 300), ("exchange", 90), ("vendor", 50), ("new_key", 120), ("on_key", 160),
             ("list_keys", 15), ("service", 60), ("refresh", 110), ("logout", 25), ("forge", 30),
             ("log_in", 6), ("new_user", 3), ("operate", 5))

    def begin(self):
        for _ in range(3):
            self.root_key(list(PERMISSIONS))
        for permissions in (["keys", "account"], ["users", "account", "wallet"],
                            ["services", "guilds", "trade"], ["account", "wallet", "guilds"]):
            self.root_key(permissions)
        self.root_key(["account", "services", "keys"], string=True)
        self.root_key(["keys", "users", "services", "builds"], life="6s")
        self.root_person(list(PERMISSIONS))
        for _ in range(3):
            self.root_person(unique(self.some(PERMISSIONS) + ["account"]))
        self.register()
        self.moves = [name for name, _ in self.MOVES]
        self.weights = [weight for _, weight in self.MOVES]

    def sequence(self):
        for move in self.rng.choices(self.moves, self.weights, k=self.rng.randint(2, 6)):
            self.move = move
            getattr(self, move)()
        self.move = "check"
        self.check_some()
        self.replenish()


@test
def no_credential_exceeds_what_was_granted():
    print("# SEED=%d SEQUENCES=%d" % (SEED, SEQUENCES), flush=True)
    policy = os.path.join(scratch(), "policy.json")
    with open(policy, "w") as f:
        json.dump({"default": "deny", "routes": [{"path": "/need/" + w, "needs": [w]} for w in PERMISSIONS]}, f)
    with Server(config=dict(CONFIG, policy=policy)) as server:
        walk, began = Walk(server, SEED), time.time()
        try:
            walk.begin()
            for number in range(SEQUENCES):
                walk.sequence()
        except Mismatch as surprise:
            raise AssertionError("SEED=%d, sequence %d: %s\n%s" % (
                SEED, number, surprise, "\n".join(walk.history))) from None
        print("# %d sequences, %d calls, %d credentials checked, %d names, %.0f s" % (
            SEQUENCES, walk.calls, walk.checks, sum(walk.names.values()), time.time() - began))
        for move, weight in walk.MOVES + (("check", 1000),):
            if move == "operate":
                continue
            granted, refused = walk.tally[move, True], walk.tally[move, False]
            print("# %-12s %7d granted %7d refused" % (move, granted, refused), flush=True)
            # a walk in which nothing is granted, or nothing refused, would show nothing; of what is
            # rare that may be so by chance
            if weight * SEQUENCES > 20000:
                assert (granted or move == "forge") and refused, move


main()
