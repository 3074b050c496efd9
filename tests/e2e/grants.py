"""What has been granted to whom: the model that test_property.py compares the server with. It knows nothing of tokens,
hashes or databases: a row is what the operator or a call has made, a credential is what somebody holds of a row, and
this file says what both allow."""

NEVER = 1 << 60
LEEWAY = 1
RETRY = 10  # seconds in which a refresh token may be presented again
VENDOR = "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"


class Row:
    """A key, a user, or a session of a user or of a key."""

    def __init__(self, name, kind, permissions, ends, owner, ceiling, parent=None, id=None):
        self.name, self.kind, self.permissions, self.ends = name, kind, list(permissions), ends
        self.owner, self.ceiling, self.parent, self.id = owner, frozenset(ceiling), parent, id
        self.ended = self.disabled = self.suspended = False
        self.registered = False  # a user whom nobody made
        self.disabled_by_owner = False
        self.unsure = False  # of a session: it may have ended
        self.epoch = 0  # which of its subs it has
        self.subs = {}  # those that tokens have shown
        self.children = []
        self.failures = 0  # of its password
        self.password = None
        self.root = False

    def in_force(self, now):
        return not (self.ended or self.disabled or self.suspended) and now < self.ends


class Credential:
    """form: key, string (X-API-Key alone), basic, token, refresh; void: made up, worth nothing."""

    def __init__(self, name, form, text, row, permissions=(), ends=NEVER, urls=None, session=False,
                 void=False):
        self.name, self.form, self.text, self.row = name, form, text, row
        self.permissions, self.ends, self.urls = list(permissions), ends, urls
        self.session, self.void = session, void
        self.epoch = row.epoch if row else 0
        self.password = row.password if form == "basic" else None
        self.via = []  # of a subtoken of a subtoken: the ids of those that it was made from, the oldest first
        self.used = self.successor = None  # of a refresh token: (earliest, latest) and the next

    # What can come back is only resting: a key or user that is disabled.
    def gone_for_good(self, now):
        row = self.row
        if self.void or row.ended or now >= row.ends:
            return True
        if self.form == "basic":
            return self.password != row.password
        return self.form == "token" and (self.epoch != row.epoch or now >= self.ends + LEEWAY)


def covers(outer, inner):
    return outer == inner or (outer.endswith("/*") and inner.startswith(outer[:-1]))


def lists(urls, path):
    return urls is None or any(covers(u, path) for u in urls)


def decide(c, now, path):
    """0 when it may come in here, or the status."""
    if c is None or c.void or c.form == "refresh" or not c.row.in_force(now):
        return 401
    if c.form == "basic":
        return 0 if c.password == c.row.password else 401
    if c.form == "token":
        if c.epoch != c.row.epoch or now >= c.ends + LEEWAY:
            return 401
        return 0 if lists(c.urls, path) else 403
    return 0


def held(c):
    """The permissions that it shows, in order: never more than those of its row now."""
    if c.form != "token":
        return c.row.permissions
    return [p for p in c.permissions if p in c.row.permissions]


def end_of(c):
    return min(c.ends, c.row.ends) if c.form == "token" else c.row.ends


def auth_method(c):
    if c.form in ("key", "string"):
        return "key"
    if c.form == "basic":
        return "user"
    if not c.session:
        return "derived"
    return "user" if c.row.kind == "session" else "service"


def grantor_end(c):
    """Until when, at most, what is made with it lasts: its session's own end does not count."""
    return c.row.parent.ends if auth_method(c) != "derived" and c.row.parent else c.row.ends


def manager(c, now, path):
    """(0 or the status, whose keys alone or None for any)."""
    status = decide(c, now, path)
    if status:
        return status, None
    who = auth_method(c)
    if who == "derived":
        return 403, None
    if "keys" in held(c):
        return 0, None
    return (0, c.row.owner) if who == "user" else (403, None)


def narrowed(asked, c):
    has, got = set(held(c)), []
    for p in asked:
        if p in has and p not in got:
            got.append(p)
    return got


def unique(permissions):
    return list(dict.fromkeys(permissions))


# ---- what each call that makes something is answered with ----


def too_deep(c):
    return len(c.via) == 8


def via_of_child(c):
    return c.via + [c.text.split(".")[2][:16]] if c and c.form == "token" else []


def subtoken_status(c, now, urls, expire):
    status = decide(c, now, "/v2/createsubtoken")
    if status:
        return status
    if too_deep(c) or end_of(c) <= now or (expire is not None and expire <= now):
        return 400
    if urls is not None and c.form == "token" and c.urls is not None:
        if not all(any(covers(o, u) for o in c.urls) for u in urls):
            return 400
    return 200


def exchange_status(c, now, scope):
    if c is None or c.form in ("string", "basic") or decide(c, now, "/oauth/token"):
        return 400
    if not set(scope) <= set(held(c)) or end_of(c) <= now or too_deep(c):
        return 400
    return 200


def vendor_status(c, now):
    status = decide(c, now, VENDOR)
    return status if status else 400 if end_of(c) <= now or too_deep(c) else 200


def new_key_status(c, now, permissions, owner, is_user, grants):
    """is_user: the owner is said to be a user, which one who registered has to be (G2)."""
    status, own = manager(c, now, "/v2/keys")
    if status:
        return status
    if own is not None and owner is not None and owner != own:
        return 403
    if not set(permissions) <= set(held(c)):
        return 403
    owner = c.row.owner if owner is None else owner
    user = grants.users.get(owner)
    if user is None:
        return 409 if is_user else 201
    himself = auth_method(c) == "user" and c.row.owner == owner
    return 409 if user.registered and not is_user and not himself else 201


def on_key_status(c, now, key, what, path):
    status, own = manager(c, now, path)
    if status:
        return status
    if key.ended or (own is not None and key.owner != own):
        return 404
    if what == "enable" and own is not None and not set(key.permissions) <= set(held(c)):
        return 403
    if what == "enable" and own is not None and key.disabled and not key.disabled_by_owner:
        return 403  # G5
    return 204 if what in ("delete", "revoke") else 200


def new_user_status(c, now, permissions, taken):
    if c is None:  # registration is open
        return 403 if permissions else 409 if taken else 201
    status = decide(c, now, "/v1/user")
    if status:
        return status
    if auth_method(c) == "derived" or "users" not in held(c):
        return 403
    return 201 if set(permissions) <= set(held(c)) else 403


def service_status(c, now):
    status = decide(c, now, "/v1/auth/token")
    if status:
        return status
    return 200 if auth_method(c) == "key" and "services" in held(c) else 403


def logout_status(c, now):
    status = decide(c, now, "/v1/auth/logout")
    if status:
        return status
    return 204 if c.form == "token" and c.session else 403


def refresh_outcome(c, now):
    """next, retry, reuse (which ends the session) or none."""
    if c.void or c.form != "refresh" or now >= c.ends or not c.row.in_force(now) or \
            not c.row.parent.in_force(now):
        return "none"
    if c.used is None:
        return "next"
    late = [abs(now - at) > RETRY for at in c.used]
    if any(late) != all(late):
        return "unsure"
    return "reuse" if late[0] or c.successor.used is not None else "retry"


# ---- what the rows become ----


class Grants:
    def __init__(self):
        self.users = {}  # by name, those that are there
        self.keys = {}  # by owner, those that are there

    def add_key(self, key):
        self.keys.setdefault(key.owner, []).append(key)
        user = self.users.get(key.owner)
        key.suspended = user is not None and user.disabled

    def add_user(self, user):
        self.users[user.owner] = user

    def add_session(self, session):
        session.parent.children.append(session)

    def owned(self, owner):
        return self.keys.get(owner, [])

    def end_sessions(self, row):
        for session in row.children:
            session.ended = True
        row.children = []

    def too_many(self, key, most, now):
        """Which sessions of a key end when it gets one more (G4): those that surely do, and those
        of which it depends on the last second."""
        def oldest(alive):
            rows = [row for row in key.children if alive(row)]
            return rows[:max(0, len(rows) - most + 1)]
        sure = oldest(lambda row: row.ends > now + 1 and not row.unsure)
        perhaps = oldest(lambda row: row.ends > now - 2)
        return sure, [row for row in perhaps if row not in sure]

    def end_key(self, key):
        key.ended = True
        self.end_sessions(key)
        self.keys[key.owner].remove(key)

    def disable_key(self, key, disabled, c=None):
        """c: who does it; nobody: the command line. What an owner repeats stays another's."""
        own = c is not None and auth_method(c) == "user" and c.row.owner == key.owner
        if not (own and "keys" not in held(c) and key.disabled and not key.disabled_by_owner):
            key.disabled_by_owner = own
        key.disabled = disabled
        if disabled:
            self.end_sessions(key)

    def revoke_subtokens(self, key):
        key.epoch += 1
        self.end_sessions(key)

    def grant_user(self, user, permissions):
        lost = set(user.permissions) - set(permissions)
        if lost:
            for key in [k for k in self.owned(user.owner) if lost & set(k.permissions)]:
                self.end_key(key)
            self.end_sessions(user)
            user.epoch += 1
        for row in [user] + user.children:
            row.permissions, row.ceiling = list(permissions), frozenset(permissions)

    def set_password(self, user, password):
        user.password = password
        user.epoch += 1
        self.end_sessions(user)

    def disable_user(self, user, disabled):
        user.disabled = disabled
        for key in self.owned(user.owner):
            key.suspended = disabled
            if disabled:
                self.end_sessions(key)
        if disabled:
            self.end_sessions(user)

    def delete_user(self, user):
        for key in list(self.owned(user.owner)):
            self.end_key(key)
        self.end_sessions(user)
        user.ended = True
        del self.users[user.owner]
