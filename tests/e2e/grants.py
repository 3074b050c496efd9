"""What has been granted to whom: the model that test_property.py holds the server against. It
knows nothing of tokens, hashes or databases: rows are what the operator or a call has made, a
credential is what somebody holds of one, and both are worth what this file says they are."""

NEVER = 1 << 60
LEEWAY = 1
RETRY = 10  # seconds in which a refresh token may be presented again
VENDOR = "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"


class Row:
    """A key, a person, or a login of a person or of a key."""

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
        self.used = self.successor = None  # of a refresh token: (earliest, latest) and the next

    # What can come back is only resting: a key or person that is disabled.
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


def judge(c, now, path):
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


def standing(c):
    if c.form in ("key", "string"):
        return "key"
    if c.form == "basic":
        return "person"
    if not c.session:
        return "derived"
    return "person" if c.row.kind == "login" else "service"


def maker_end(c):
    """Until when, at most, what is made with it lasts: its login's own end does not count."""
    return c.row.parent.ends if standing(c) != "derived" and c.row.parent else c.row.ends


def manager(c, now, path):
    """(0 or the status, whose keys alone or None for any)."""
    status = judge(c, now, path)
    if status:
        return status, None
    who = standing(c)
    if who == "derived":
        return 403, None
    if "keys" in held(c):
        return 0, None
    return (0, c.row.owner) if who == "person" else (403, None)


def narrowed(asked, c):
    has, got = set(held(c)), []
    for p in asked:
        if p in has and p not in got:
            got.append(p)
    return got


def unique(permissions):
    return list(dict.fromkeys(permissions))


# ---- what each call of a maker is answered with ---------------------------------------


def subtoken_status(c, now, urls, expire):
    status = judge(c, now, "/v2/createsubtoken")
    if status:
        return status
    if end_of(c) <= now or (expire is not None and expire <= now):
        return 400
    if urls is not None and c.form == "token" and c.urls is not None:
        if not all(any(covers(o, u) for o in c.urls) for u in urls):
            return 400
    return 200


def exchange_status(c, now, scope):
    if c is None or c.form in ("string", "basic") or judge(c, now, "/oauth/token"):
        return 400
    if not set(scope) <= set(held(c)) or end_of(c) <= now:
        return 400
    return 200


def vendor_status(c, now):
    status = judge(c, now, VENDOR)
    return status if status else 400 if end_of(c) <= now else 200


def new_key_status(c, now, permissions, owner, is_user, office):
    """is_user: the owner is said to be a user, which one who registered has to be (G2)."""
    status, own = manager(c, now, "/v2/keys")
    if status:
        return status
    if own is not None and owner is not None and owner != own:
        return 403
    if not set(permissions) <= set(held(c)):
        return 403
    owner = c.row.owner if owner is None else owner
    user = office.persons.get(owner)
    if user is None:
        return 409 if is_user else 201
    himself = standing(c) == "person" and c.row.owner == owner
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


def new_person_status(c, now, permissions, taken):
    if c is None:  # registration is open
        return 403 if permissions else 409 if taken else 201
    status = judge(c, now, "/v1/user")
    if status:
        return status
    if standing(c) == "derived" or "users" not in held(c):
        return 403
    return 201 if set(permissions) <= set(held(c)) else 403


def service_status(c, now):
    status = judge(c, now, "/v1/auth/token")
    if status:
        return status
    return 200 if standing(c) == "key" and "services" in held(c) else 403


def logout_status(c, now):
    status = judge(c, now, "/v1/auth/logout")
    if status:
        return status
    return 204 if c.form == "token" and c.session else 403


def refresh_outcome(c, now):
    """next, retry, reuse (which ends the login) or none."""
    if c.void or c.form != "refresh" or now >= c.ends or not c.row.in_force(now) or \
            not c.row.parent.in_force(now):
        return "none"
    if c.used is None:
        return "next"
    late = [abs(now - at) > RETRY for at in c.used]
    if any(late) != all(late):
        return "unsure"
    return "reuse" if late[0] or c.successor.used is not None else "retry"


# ---- what the rows become ----------------------------------------------------------------


class Office:
    def __init__(self):
        self.persons = {}  # by login, those that are there
        self.keys = {}  # by owner, those that are there

    def add_key(self, key):
        self.keys.setdefault(key.owner, []).append(key)
        person = self.persons.get(key.owner)
        key.suspended = person is not None and person.disabled

    def add_person(self, person):
        self.persons[person.owner] = person

    def add_login(self, login):
        login.parent.children.append(login)

    def owned(self, login):
        return self.keys.get(login, [])

    def end_logins(self, row):
        for login in row.children:
            login.ended = True
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
        self.end_logins(key)
        self.keys[key.owner].remove(key)

    def disable_key(self, key, disabled, c=None):
        """c: who does it; nobody: the command line. What an owner repeats stays another's."""
        own = c is not None and standing(c) == "person" and c.row.owner == key.owner
        if not (own and "keys" not in held(c) and key.disabled and not key.disabled_by_owner):
            key.disabled_by_owner = own
        key.disabled = disabled
        if disabled:
            self.end_logins(key)

    def revoke_subtokens(self, key):
        key.epoch += 1
        self.end_logins(key)

    def grant_person(self, person, permissions):
        lost = set(person.permissions) - set(permissions)
        if lost:
            for key in [k for k in self.owned(person.owner) if lost & set(k.permissions)]:
                self.end_key(key)
            self.end_logins(person)
            person.epoch += 1
        for row in [person] + person.children:
            row.permissions, row.ceiling = list(permissions), frozenset(permissions)

    def set_password(self, person, password):
        person.password = password
        person.epoch += 1
        self.end_logins(person)

    def disable_person(self, person, disabled):
        person.disabled = disabled
        for key in self.owned(person.owner):
            key.suspended = disabled
            if disabled:
                self.end_logins(key)
        if disabled:
            self.end_logins(person)

    def delete_person(self, person):
        for key in list(self.owned(person.owner)):
            self.end_key(key)
        self.end_logins(person)
        person.ended = True
        del self.persons[person.owner]
