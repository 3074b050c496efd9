"""For test_faults_serve.py: each kind of request that a server answers, each as it is prepared, made, and looked at
afterwards. What was answered as done is there; what was not is there whole, or not at all."""
import base64, http.client, itertools, socket, struct
from urllib.parse import urlencode
from calls import *

ADMIN = "account,inventories,keys,users,audit,introspect,revocations,metrics"
EXCHANGE_TYPE = "application/x-www-form-urlencoded"
numbers = itertools.count(1)


class Got:
    """An answer; status 0: the connection ended without a whole one."""

    def __init__(self, status=0, headers=None, body=b""):
        self.status, self.headers, self.body = status, headers or {}, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%d %s" % (self.status, self.body[:300])


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Site:
    """A server and what its requests need. A request is one connection's, and waits a minute for its answer."""

    def __init__(self, server, key, path=None):
        self.server, self.key, self.path = server, key, path
        self.made = {}  # the names of the keys that were asked for, and whether that was answered as done

    def ask(self, method, path, credential=None, body=None, form=None, port=None):
        c = UnixConnection(self.path, 60) if self.path else \
            http.client.HTTPConnection("127.0.0.1", port or self.server.port, timeout=60)
        headers, data = {}, None
        if isinstance(credential, tuple):
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(credential).encode()).decode()
        elif credential:
            headers["Authorization"] = "Bearer " + credential
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body), "application/json"
        if form is not None:
            data, headers["Content-Type"] = urlencode(form), EXCHANGE_TYPE
        try:
            c.request(method, path, data, headers)
            answer = c.getresponse()
            return Got(answer.status, dict(answer.getheaders()), answer.read())
        except (ConnectionError, FileNotFoundError, http.client.HTTPException):
            return Got()
        except TimeoutError:
            raise AssertionError("%s %s is not answered" % (method, path))
        finally:
            c.close()

    def sure(self, *args, good=(200, 201, 204), **more):
        """Without a fault."""
        got = self.ask(*args, **more)
        assert got.status in good, (args[:2], got)
        return got

    def make_key(self, permissions=("account", "inventories")):
        name = "k%d" % next(numbers)
        return dict(self.sure("POST", "/v2/keys", self.key, {"name": name, "permissions": list(permissions)}).json(),
                    name=name)

    def make_user(self):
        name = "u%d" % next(numbers)
        self.sure("POST", "/v1/user", self.key, {"login": name, "password": PASSWORD, "permissions": ["account"]})
        return name

    def log_in(self, name):
        return self.sure("POST", "/v1/auth/login", None, {"login": name, "password": PASSWORD}).json()

    def subtoken(self, credential):
        return self.sure("GET", "/v2/createsubtoken?permissions=account", credential).json()["subtoken"]

    def status(self, credential):
        got = self.ask("GET", "/v2/tokeninfo", credential)
        assert got.status in (200, 401), got
        return got.status

    def key_state(self, key):
        got = self.ask("GET", "/v2/keys/" + key["id"], self.key)
        return got.json() if got.status == 200 else got.status


KINDS = []


class Kind:
    """One kind of request. prepare() and holds() run without a fault."""
    good = (200,)
    slow = False  # a password is hashed: fewer tries

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        if cls.__name__[0] != "_":
            KINDS.append(cls())

    def name(self):
        return type(self).__name__

    def prepare(self, s):
        return None

    def holds(self, s, made, got):
        pass


# ---- what is only read ----

READS = {
    "tokeninfo": ("GET", "/v2/tokeninfo"), "whoami": ("GET", "/v2/whoami"),
    "createsubtoken": ("GET", "/v2/createsubtoken?permissions=account&urls=/v2/account"),
    "keys_listed": ("GET", "/v2/keys?limit=20"), "keys_searched": ("GET", "/v2/keys?limit=5&search=k1"),
    "keys_expiring": ("GET", "/v2/keys?limit=5&expiring=30d"),
    "users_listed": ("GET", "/v1/user?limit=20"), "users_searched": ("GET", "/v1/user?limit=5&search=u1"),
    "audit": ("GET", "/v2/audit?limit=20"), "audit_of_one": ("GET", "/v2/audit?limit=5&action=key.create"),
    "feed_status": ("GET", "/v2/feed"), "ring": ("GET", "/v2/ring"), "ready": ("GET", "/readyz"),
    "metrics": ("GET", "/metrics"), "page": ("GET", "/page/settings.json"), "openapi": ("GET", "/openapi.json"),
    "authorize": ("GET", "/v2/authorize/v2/account"),
}


class _Read(Kind):
    def __init__(self, name=None):
        self.named = name

    def name(self):
        return self.named

    def ask(self, s, made):
        return s.ask(*READS[self.named], s.key)


KINDS += [_Read(name) for name in READS]


class TokenInfoOfSubtoken(Kind):
    def prepare(self, s):
        return s.subtoken(s.key)

    def ask(self, s, made):
        return s.ask("GET", "/v2/tokeninfo", made)


class FirstSeenKey(Kind):
    """That no cache has yet."""

    def prepare(self, s):
        return s.make_key()

    def ask(self, s, made):
        return s.ask("GET", "/v2/tokeninfo", made["key"])


class Explain(Kind):
    def prepare(self, s):
        return s.subtoken(s.key)

    def ask(self, s, made):
        return s.ask("POST", "/v2/explain", s.key, {"token": made})


class Preview(Kind):
    def ask(self, s, made):
        return s.ask("POST", "/v2/previewsubtoken", s.key, {"permissions": ["account"]})


class Introspect(Kind):
    def prepare(self, s):
        return s.subtoken(s.key)

    def ask(self, s, made):
        return s.ask("POST", "/oauth/introspect", s.key, form={"token": made})

    def holds(self, s, made, got):
        assert got.status != 200 or got.json()["active"] is True, got


class MetricsListener(Kind):
    def ask(self, s, made):
        return s.ask("GET", "/metrics", port=s.server.metrics_port)


# ---- the revocation data ----

class FeedWhole(Kind):
    def ask(self, s, made):
        return s.ask("GET", "/v2/revocations", s.key)

    def holds(self, s, made, got):
        if got.status == 200:
            assert struct.unpack_from("<Q", got.body, 16)[0] == int(got.headers["Subtoken-Seq"]), got.headers


class FeedAfterChange(FeedWhole):
    def prepare(self, s):
        s.sure("DELETE", "/v2/keys/" + s.make_key()["id"], s.key)


class FeedChanges(Kind):
    good = (200, 204, 304)

    def prepare(self, s):
        before = s.sure("GET", "/v2/revocations", s.key).headers["Subtoken-Seq"]
        s.sure("DELETE", "/v2/keys/" + s.make_key()["id"], s.key)
        return before

    def ask(self, s, made):
        return s.ask("GET", "/v2/revocations?since=" + made, s.key)


class FeedHeld(Kind):
    """One second behind nothing new."""
    good = (200, 204, 304)
    slow = True

    def prepare(self, s):
        return s.sure("GET", "/v2/revocations", s.key).headers["Subtoken-Seq"]

    def ask(self, s, made):
        return s.ask("GET", "/v2/revocations?wait=1&since=" + made, s.key)


class FeedForAudience(FeedWhole):
    def ask(self, s, made):
        return s.ask("GET", "/v2/revocations?audience=eu", s.key)


# ---- keys ----

class KeyMade(Kind):
    good = (201,)

    def prepare(self, s):
        return "m%d" % next(numbers)

    def ask(self, s, made):
        return s.ask("POST", "/v2/keys", s.key, {"name": made, "permissions": ["account"]})

    def holds(self, s, made, got):
        if got.status == 201:
            assert s.status(got.json()["key"]) == 200, got
        s.made[made] = got.status == 201


class KeyDisabled(Kind):
    def prepare(self, s):
        key = s.make_key()
        return dict(key, token=s.subtoken(key["key"]))

    def ask(self, s, made):
        return s.ask("PATCH", "/v2/keys/" + made["id"], s.key, {"disabled": True})

    def holds(self, s, made, got):
        """Key, token and list agree, and a second try gets what is wanted."""
        states = s.status(made["key"]), s.status(made["token"]), s.key_state(made)["state"]
        assert states == (401, 401, "disabled") if got.status == 200 else \
            states in ((401, 401, "disabled"), (200, 200, "active")), (states, got)
        s.sure("PATCH", "/v2/keys/" + made["id"], s.key, {"disabled": True})
        assert s.status(made["key"]) == 401


class KeyRotated(KeyDisabled):
    def ask(self, s, made):
        return s.ask("POST", "/v2/keys/%s/rotate" % made["id"], s.key, {})

    def holds(self, s, made, got):
        if got.status == 200:
            assert (s.status(made["key"]), s.status(got.json()["key"])) == (401, 200), got
        assert s.status(made["token"]) == 200
        again = s.sure("POST", "/v2/keys/%s/rotate" % made["id"], s.key, {}).json()["key"]
        assert (s.status(made["key"]), s.status(again)) == (401, 200)


class KeyDeleted(KeyDisabled):
    good = (204,)

    def ask(self, s, made):
        return s.ask("DELETE", "/v2/keys/" + made["id"], s.key)

    def holds(self, s, made, got):
        states = s.status(made["key"]), s.status(made["token"])
        assert states == (401, 401) or got.status != 204 and states == (200, 200), (states, got)
        s.sure("DELETE", "/v2/keys/" + made["id"], s.key, good=(204, 404))
        assert (s.status(made["key"]), s.status(made["token"])) == (401, 401)


class SubtokensRevoked(KeyDisabled):
    good = (204,)

    def ask(self, s, made):
        return s.ask("POST", "/v2/keys/%s/revoke-subtokens" % made["id"], s.key, {})

    def holds(self, s, made, got):
        assert s.status(made["key"]) == 200
        assert s.status(made["token"]) == 401 or got.status != 204, got
        s.sure("POST", "/v2/keys/%s/revoke-subtokens" % made["id"], s.key, {})
        assert s.status(made["token"]) == 401 and s.status(s.subtoken(made["key"])) == 200


class TokenRevoked(KeyDisabled):
    def ask(self, s, made):
        return s.ask("POST", "/oauth/revoke", None, form={"token": made["token"]})

    def holds(self, s, made, got):
        assert s.status(made["token"]) == 401 or got.status != 200, got
        s.sure("POST", "/oauth/revoke", form={"token": made["token"]})
        assert (s.status(made["key"]), s.status(made["token"])) == (200, 401)


# ---- users and sessions ----

class UserMade(Kind):
    good, slow = (201,), True

    def prepare(self, s):
        return "w%d" % next(numbers)

    def ask(self, s, made):
        return s.ask("POST", "/v1/user", s.key, {"login": made, "password": PASSWORD, "permissions": ["account"]})

    def holds(self, s, made, got):
        there = s.ask("GET", "/v1/user/" + made, s.key).status
        assert there == 200 or got.status != 201 and there == 404, (there, got)
        if there == 200:
            s.log_in(made)


class _OfUser(Kind):
    slow = True

    def prepare(self, s):
        name = s.make_user()
        return dict(s.log_in(name), name=name)


class UserChanged(_OfUser):
    def ask(self, s, made):
        return s.ask("PATCH", "/v1/user/" + made["name"], s.key, {"permissions": []})

    def holds(self, s, made, got):
        now = s.sure("GET", "/v1/user/" + made["name"], s.key).json()["permissions"]
        assert now == [] or got.status != 200 and now == ["account"], (now, got)


class UserDeleted(_OfUser):
    good = (204,)

    def ask(self, s, made):
        return s.ask("DELETE", "/v1/user/" + made["name"], s.key)

    def holds(self, s, made, got):
        there = s.ask("GET", "/v1/user/" + made["name"], s.key).status
        assert there == 404 or got.status != 204 and there == 200, (there, got)
        assert s.status(made["access_token"]) == (200 if there == 200 else 401)


class LogIn(_OfUser):
    def ask(self, s, made):
        return s.ask("POST", "/v1/auth/login", None, {"login": made["name"], "password": PASSWORD})

    def holds(self, s, made, got):
        assert got.status != 200 or s.status(got.json()["access_token"]) == 200
        s.log_in(made["name"])


class BasicAuth(_OfUser):
    def ask(self, s, made):
        return s.ask("GET", "/v2/tokeninfo", (made["name"], PASSWORD))


class Refreshed(_OfUser):
    def ask(self, s, made):
        return s.ask("POST", "/v1/auth/refresh", None, {"token": made["refresh_token"]})

    def holds(self, s, made, got):
        """What was not answered can be asked again."""
        token = got.json()["refresh_token"] if got.status == 200 else made["refresh_token"]
        assert s.status(s.sure("POST", "/v1/auth/refresh", None, {"token": token}).json()["access_token"]) == 200


class LoggedOut(_OfUser):
    good = (204,)

    def ask(self, s, made):
        return s.ask("POST", "/v1/auth/logout", made["access_token"])

    def holds(self, s, made, got):
        assert s.status(made["access_token"]) == 401 or got.status != 204, got


class Exchanged(Kind):
    def prepare(self, s):
        return s.make_key()

    def ask(self, s, made):
        return s.ask("POST", "/oauth/token", form={"grant_type": EXCHANGE, "subject_token_type": ACCESS,
                                                   "subject_token": made["key"]})


class ClientCredentials(Exchanged):
    def ask(self, s, made):
        return s.ask("POST", "/oauth/token", (made["id"], made["key"]), form={"grant_type": "client_credentials"})
