"""The decision endpoint as proxies ask it: in the forms of Traefik, Caddy and Envoy as plain requests, and through a
real nginx (auth_request) and a real HAProxy with the configurations that come with the program."""
import socket
from nginx import Client, NGINX, ROOT, Upstream, shared_dir, wait
from support import *

EDGE = os.path.join(os.path.dirname(TESTS), "src", "edge")
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
INVALID = '{"text":"Invalid access token"}'
POLICY = {"default": "deny", "preflight": True, "routes": [
    {"path": "/v2/account", "needs": ["account"]},
    {"path": "/v2/account/bank", "methods": ["GET"], "needs": ["account", "inventories"]},
    {"path": "/rpc", "methods": ["POST"], "json_rpc": True},
    {"path": "/v2/items", "public": True}]}
NAMES = ("Sub", "Key", "Owner", "Permissions", "Expires")


class Case:
    """A server with a policy file, a key, and tokens of it."""

    def __init__(self, policy=POLICY):
        self.dir = shared_dir()
        self.policy = os.path.join(self.dir, "policy.json")
        self.put(policy)
        self.server = Server(config={"policy": self.policy, "trusted_proxies": ["127.0.0.1"]})
        self.key = make_key(self.server.data, "account,guilds,history_api", "--owner", "J\u00f8rn")

    def put(self, policy):
        with open(self.policy, "w") as f:
            f.write(policy if isinstance(policy, str) else json.dumps(policy))

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *why):
        self.server.__exit__(*why)

    def token(self, *args):
        if "--permissions" not in args:
            args += ("--permissions", "account,guilds")
        return issue(self.server.data, self.key["key"], *args)

    def rename(self, table, to):
        subprocess.run(["sqlite3", os.path.join(self.server.data, "subtoken.db"),
                        "ALTER TABLE %s RENAME TO %s" % (table, to)], check=True, timeout=60)

    def reload(self, word):
        before = self.server.log().count('"%s"' % word)
        self.server.process.send_signal(signal.SIGHUP)
        wait(lambda: self.server.log().count('"%s"' % word) > before, word)

    def ask(self, target="/v2/authorize", *headers, method="GET", body=None):
        """The bytes as they are."""
        s = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        return over(s, target, method, headers, body)


def over(s, target, method, headers, body):
    client = Client.__new__(Client)
    client.socket, client.file = s, s.makefile("rb")
    try:
        client.send(target, method, list(headers) + ["Connection: close"], body)
        return client.receive(method == "HEAD")
    finally:
        client.close()


def auth(credential):
    return "Authorization: Bearer " + credential


def nginx_form(uri, method="GET"):
    return ["X-Original-URI: " + uri, "X-Original-Method: " + method]


def traefik_form(uri, method="GET"):
    return ["X-Forwarded-Uri: " + uri, "X-Forwarded-Method: " + method, "X-Forwarded-Host: api.example",
            "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1"]


def forms(case, uri, method, *headers):
    """One request, asked in each of the three forms."""
    return [case.ask("/v2/authorize", *nginx_form(uri, method), *headers),
            case.ask("/v2/authorize", *traefik_form(uri, method), *headers),
            case.ask("/v2/authorize" + uri, *headers, method=method)]


def who(answer):
    return {n: answer.header("X-Subtoken-" + n) for n in NAMES}


@test
def three_forms_say_the_same():
    with Case() as c:
        token, bare = c.token(), c.token("--permissions", "guilds")
        listed = c.token("--urls", "GET:/v2/account")
        rows = [("/v2/account", "GET", token, 200), ("/v2/account", "GET", c.key["key"], 200),
                ("/v2/account", "PUT", token, 200), ("/v2/account", "GET", listed, 200),
                ("/v2/account", "PUT", listed, 403), ("/v2/account", "GET", bare, 403),
                ("/v2/account/bank", "GET", c.key["key"], 403), ("/v2/account/bank", "PUT", token, 403),
                ("/v2/nowhere", "GET", c.key["key"], 403), ("/v2/account", "GET", token + "x", 401),
                ("/v2/account", "GET", "", 401), ("/v2/nowhere", "GET", "", 401), ("/v2/items", "GET", "x", 200)]
        for uri, method, credential, status in rows:
            answers = forms(c, uri, method, *([auth(credential)] if credential else []))
            assert [a.status for a in answers] == [status] * 3, (uri, method, [a.status for a in answers])
            assert len({(a.body, json.dumps(who(a)), a.header("WWW-Authenticate")) for a in answers}) == 1
            assert status != 401 or answers[0].body == INVALID
        answers = forms(c, "/v2//account", "GET", auth(c.key["key"]))
        assert [a.status for a in answers] == [403, 400, 400]
        for a in forms(c, "/v2/account?access_token=" + token, "GET"):
            assert a.status == 200 and who(a)["Permissions"] == "account,guilds"
        said = who(c.ask("/v2/authorize/v2/account", auth(c.key["key"])))
        assert said == {"Sub": payload(token)["sub"], "Key": c.key["id"], "Owner": "J%C3%B8rn",
                        "Permissions": "account,guilds,history_api", "Expires": ""}, said
        said = who(c.ask("/v2/authorize/v2/account", auth(token)))
        assert said["Expires"] == str(payload(token)["exp"]) and said["Key"] == c.key["id"]
        assert who(c.ask("/v2/authorize/v2/items", auth(token))) == dict.fromkeys(NAMES, "")
        log = c.server.log()
        assert token not in log and c.key["key"] not in log


@test
def spoofed_and_disagreeing():
    with Case() as c:
        key = auth(c.key["key"])
        for form in (nginx_form, traefik_form):
            no = 403 if form is nginx_form else 400
            good = form("/v2/account")
            assert c.ask("/v2/authorize", *good, key).status == 200
            assert c.ask("/v2/authorize", *good[:1], key).status == no
            assert c.ask("/v2/authorize", *good, good[0], key).status == no
            assert c.ask("/v2/authorize", *good, good[1], key).status == no
            assert c.ask("/v2/authorize/v2/items", *good, key).status == no
            assert c.ask("/v2/authorize", *good, key, key).status == no
            # Who asks is told by the two credentials' headers and the original query alone.
            assert c.ask("/v2/authorize", *good, "X-Subtoken-Key: " + c.key["key"],
                         "X-Forwarded-Authorization: Bearer " + c.key["key"]).status == 401
            assert c.ask("/v2/authorize?access_token=" + c.key["key"], *good).status == 401
        both = nginx_form("/v2/account")
        assert c.ask("/v2/authorize", *both, *traefik_form("/v2/account"), key).status == 200
        assert c.ask("/v2/authorize", *both, *traefik_form("/v2/items"), key).status == 403
        assert c.ask("/v2/authorize", *both, *traefik_form("/v2/account", "PUT"), key).status == 403
        assert c.ask("/v2/authorize", *both, "X-Forwarded-Method: GET", key).status == 403
        assert c.ask("/v2/authorize", key).status == 400
        assert c.ask("/v2//authorize/v2/account", key).status == 400
        assert c.ask("/v2//authorize", *both, key).status == 200
        preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]
        assert [a.status for a in forms(c, "/v2/account", "OPTIONS", *preflight)] == [200] * 3
        assert [a.status for a in forms(c, "/v2/account", "OPTIONS", preflight[0])] == [401] * 3


@test
def bodies_from_envoy():
    with Case() as c:
        key = auth(c.key["key"])
        history = b'{"method":"call","params":["history","x",[]]}'
        ask = lambda body, *more: c.ask("/v2/authorize/rpc", key, *more, method="POST", body=body)
        assert ask(history).status == 200
        refused = ask(b'{"method":"get_objects"}')
        assert (refused.status, refused.json()["text"]) == (403, "requires scope database_api")
        assert ask(b"[]").status == 400
        assert ask(b"").status == 403
        assert ask(history, "X-Envoy-Auth-Partial-Body: true").status == 403
        assert ask(history, "X-Envoy-Auth-Partial-Body: false").status == 200
        assert ask(b" " * 8193).status == 413


@test
def revoked_at_once_and_store_trouble():
    with Case() as c:
        token = c.token()
        credentials = (c.key["key"], token)
        run("key", "disable", c.key["id"], data=c.server.data, check=0)
        for credential in credentials:
            for a in forms(c, "/v2/account", "GET", auth(credential)):
                assert (a.status, a.body) == (401, INVALID)
        run("key", "enable", c.key["id"], data=c.server.data, check=0)
        assert [a.status for a in forms(c, "/v2/account", "GET", auth(token))] == [200] * 3
        # The table is gone: whoever it is, it cannot be known.
        c.rename("keys", "gone")
        for credential in credentials:
            assert [a.status for a in forms(c, "/v2/account", "GET", auth(credential))] == [503] * 3
        assert [a.status for a in forms(c, "/v2/items", "GET")] == [200] * 3


@test
def policy_file_whole_or_not_at_all():
    with Case() as c:
        key = auth(c.key["key"])
        status = lambda path: c.ask("/v2/authorize" + path, key).status
        c.put({"default": "token"})
        assert status("/v2/nowhere") == 403  # not before it is told to
        c.reload("reloaded")
        assert status("/v2/nowhere") == 200
        c.put('{"default":"token",\n "routes":[{"path":"nowhere"}]}')
        c.server.write_config({"policy": c.policy, "leeway": 1})
        c.reload("reload_failed")
        line = next(l for l in c.server.log_lines() if l.get("event") == "reload_failed")
        assert "policy.json: line 2, column " in line["detail"], line
        assert status("/v2/nowhere") == 200
        os.unlink(c.policy)
        c.reload("reload_failed")
        assert status("/v2/nowhere") == 200
        # Another ring alone keeps it.
        run("secret", "rotate", data=c.server.data, check=0)
        assert status("/v2//nowhere") == 400
        c.server.write_config({})
        c.reload("reloaded")
        assert status("/v2//nowhere") == 200
    refused = Server(config={"policy": "/nonexistent/policy.json"})
    try:
        refused.start()
    except AssertionError as e:
        assert "/nonexistent/policy.json" in str(e) and "did not start" in str(e), e
    else:
        refused.stop(None)
        raise AssertionError("it started")


# ---- real proxies ----


class Proxy:
    """A proxy with a configuration that comes with the program, its paths and addresses put elsewhere."""

    def __init__(self, case, name):
        self.case, self.name, self.dir = case, name, shared_dir()
        self.upstream = Upstream(os.path.join(self.dir, "up"))
        self.socket = os.path.join(self.dir, "in")
        self.write(case.server.port)

    def write(self, port):
        self.conf = os.path.join(self.dir, self.name)
        with open(os.path.join(EDGE, self.name)) as f:
            text = f.read()
        for here, there in self.places(port):
            assert here in text, here
            text = text.replace(here, there)
        with open(self.conf, "w") as f:
            f.write(text)

    def __enter__(self):
        self.out = open(os.path.join(self.dir, "out"), "ab")
        self.process = subprocess.Popen(self.command(), stdout=self.out, stderr=self.out)
        wait(lambda: self.process.poll() is not None or self.answers(), "the proxy answers")
        assert self.process.poll() is None, self.text()
        return self

    def answers(self):
        try:
            Client(self.socket).close()
            return True
        except OSError:
            return False

    def text(self):
        return open(os.path.join(self.dir, "out"), errors="replace").read()

    def __exit__(self, *why):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.out.close()
        self.upstream.shutdown()
        self.upstream.server_close()

    def ask(self, target, *headers, method="GET", body=None):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(self.socket)
        return over(s, target, method, headers, body)


class NginxProxy(Proxy):
    def __init__(self, case):
        super().__init__(case, "nginx-auth-request.conf")

    def places(self, port):
        tmp = "".join("%s %s/%s;" % (n + "_temp_path", self.dir, n)
                      for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return [("user www-data;", "user www-data;" if ROOT else ""), ("/run/nginx.pid", self.dir + "/pid"),
                ("/var/log/nginx/", self.dir + "/"), ("127.0.0.1:3000", "unix:" + self.upstream.path),
                ("server 127.0.0.1:8080", "server 127.0.0.1:%d" % port),
                ("listen 127.0.0.1:8081", "listen unix:" + self.socket), ("http {", "http {" + tmp)]

    def command(self):
        return [NGINX, "-p", self.dir, "-c", self.conf, "-g", "daemon off;"]


class HaproxyProxy(Proxy):
    def __init__(self, case):
        super().__init__(case, "haproxy.cfg")

    def places(self, port):
        return [("/etc/haproxy/haproxy-subtoken.lua", os.path.join(EDGE, "haproxy-subtoken.lua")),
                ("127.0.0.1:3000", "unix@" + self.upstream.path), ("127.0.0.1:8080", "127.0.0.1:%d" % port),
                ("bind 127.0.0.1:8081", "bind unix@%s mode 666" % self.socket)]

    def command(self):
        return [HAPROXY, "-db", "-f", self.conf]


SPOOFED = ["X-Subtoken-%s: spoofed" % n for n in NAMES] + ["x-subtoken-sub: again"]


def sent(answer):
    """What the upstream was told of who asks: no header and an empty one are the same."""
    assert answer.status == 200, (answer.status, answer.body)
    headers = json.loads(answer.body)["headers"]
    return {n.lower(): v for n, v in headers if re.match("x[-_]subtoken[-_]", n.lower()) and v}


def through(make, log):
    with Case() as c, make(c) as p:
        token, bare = c.token(), c.token("--permissions", "guilds")
        listed = c.token("--urls", "GET:/v2/account")
        for credential, exp in ((token, str(payload(token)["exp"])), (c.key["key"], None)):
            told = sent(p.ask("/v2/account?x=%2F", auth(credential), *SPOOFED))
            assert told["x-subtoken-sub"] == payload(token)["sub"] and told["x-subtoken-key"] == c.key["id"], told
            assert told["x-subtoken-owner"] == "J%C3%B8rn" and told.get("x-subtoken-expires") == exp, told
            assert told["x-subtoken-permissions"].startswith("account,guilds"), told
        # The body and the target arrive as they were; a public route is told of nobody.
        answer = p.ask("/v2/account?x=%2F", auth(token), method="POST", body=b"some=body")
        asked = json.loads(answer.body)
        assert (asked["method"], asked["target"], asked["body"]) == ("POST", "/v2/account?x=%2F", "some=body")
        assert sent(p.ask("/v2/items", *SPOOFED)) == {}
        assert json.loads(p.ask("/v2/account?access_token=" + token).body)["method"] == "GET"
        preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]
        assert p.ask("/v2/account", *preflight, method="OPTIONS").status == 200
        assert p.ask("/v2/account", auth(listed)).status == 200
        before = len(p.upstream.seen)
        rows = [("/v2/account", [], "GET", 401), ("/v2/account", [auth(token + "x")], "GET", 401),
                ("/v2/account", [auth(bare)], "GET", 403), ("/v2/account", [auth(listed)], "PUT", 403),
                ("/v2/account/bank", [auth(token)], "GET", 403), ("/v2/nowhere", [auth(c.key["key"])], "GET", 403),
                ("/rpc", [auth(c.key["key"])], "POST", 403),
                # Sources of the caller's own do not count.
                ("/v2/account/bank", [auth(token)] + traefik_form("/v2/account"), "GET", 403),
                ("/v2/account/bank", [auth(token)] + nginx_form("/v2/account"), "GET", 403)]
        for target, headers, method, status in rows:
            answer = p.ask(target, *headers, method=method, body=b"{}" if method != "GET" else None)
            assert answer.status == status, (target, headers, method, answer.status, answer.body)
            assert answer.header("Content-Type").startswith("application/json") and answer.json()["text"]
            if status == 401:
                assert answer.body == INVALID
                assert answer.header("WWW-Authenticate") == ('Bearer error="invalid_token"' if headers else "Bearer")
        for target in ("/v2//account", "/v2/x/../account", "//v2/account"):
            assert p.ask(target, auth(c.key["key"])).status == 403, target
        assert p.ask("/v2/account", auth(token), auth(token)).status in (400, 403)
        assert len(p.upstream.seen) == before
        assert p.ask("/v2/account", auth(token), *traefik_form("/v2/items")).status == 200
        # The server's own calls, through the proxy.
        assert p.ask("/v2/tokeninfo", auth(token)).json()["id"] == c.key["id"]
        # Failed logins are slowed by the address: it is not what the caller says.
        for target in ("/v2/account", "/v2/tokeninfo"):
            assert p.ask(target, auth(token), "X-Forwarded-For: 203.0.113.9").status == 200
        wait(lambda: c.server.log().count('"/v2/tokeninfo"') > 1, "the log")
        assert "203.0.113.9" not in c.server.log()
        run("key", "disable", c.key["id"], data=c.server.data, check=0)
        assert p.ask("/v2/account", auth(token)).status == 401
        run("key", "enable", c.key["id"], data=c.server.data, check=0)
        assert p.ask("/v2/account", auth(token)).status == 200
        c.rename("keys", "gone")
        before = len(p.upstream.seen)
        answer = p.ask("/v2/account", auth(token))
        assert answer.status == 503 and answer.header("Retry-After") == "5" and answer.json()["text"], answer.status
        c.server.stop()
        answer = p.ask("/v2/account", auth(token))
        assert answer.status == 503 and answer.header("Retry-After") == "5" and answer.json()["text"], answer.status
        assert len(p.upstream.seen) == before
        c.rename("gone", "keys")
        c.server.start()
        log(c, p, token)


@test
def nginx_auth_request():
    def after(c, p, token):
        log = open(os.path.join(p.dir, "access.log")).read()
        assert token not in log and c.key["key"] not in log and "sub=" + payload(token)["sub"] in log
    through(NginxProxy, after)


@test
def haproxy_lua():
    through(HaproxyProxy, lambda c, p, token: None)


@test
def haproxy_takes_access_token_off():
    with Case() as c, HaproxyProxy(c) as p:
        token = c.token()
        for query, left in (("access_token=%s", ""), ("a=%%2F&access_token=%s", "?a=%2F"),
                            ("access_token=%s&a", "?a"), ("a&access%%5Ftoken=%s&&b=%%20", "?a&&b=%20"),
                            ("access_token=%s&access_token=", "")):
            answer = p.ask("/v2/account?" + query % token)
            assert answer.status == 200, (query, answer.status, answer.body)
            target = json.loads(answer.body)["target"]
            assert target == "/v2/account" + left, (query, target)
        refused = p.ask("/v2/account/bank?access_token=" + token)
        assert refused.status == 403 and refused.json()["text"] == "requires scope inventories"
        # A server that takes the connection and says nothing: never let through.
        silent = socket.create_server(("127.0.0.1", 0))
        c.server.stop()
    with Case() as c:
        p = HaproxyProxy(c)
        p.write(silent.getsockname()[1])
        with p:
            answer = p.ask("/v2/account", auth(c.token()))
            assert answer.status == 503 and answer.header("Retry-After") == "5" and not p.upstream.seen
    silent.close()


main()
