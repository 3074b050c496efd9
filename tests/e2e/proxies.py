"""A server with a policy, and real proxies in front of it with the configurations that come with the program
(src/edge/examples), their paths and addresses put elsewhere."""
from nginx import *

EDGE = os.path.join(os.path.dirname(TESTS), "src", "edge")
EXAMPLES = os.path.join(EDGE, "examples")
APACHE = shutil.which("apache2", path=os.environ.get("PATH", "") + ":/usr/sbin")
CADDY = shutil.which("caddy", path=os.environ.get("PATH", "") + ":/usr/bin")
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
INVALID = '{"text":"Invalid access token"}'
POLICY = {"default": "deny", "preflight": True, "routes": [
    {"path": "/v2/account", "needs": ["account"]},
    {"path": "/v2/account/bank", "methods": ["GET"], "needs": ["account", "inventories"]},
    {"path": "/rpc", "methods": ["POST"], "json_rpc": True},
    {"path": "/v2/items", "public": True}]}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
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

    def __exit__(self, *error):
        self.server.__exit__(*error)

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
        return ask(("127.0.0.1", self.server.port), target, headers, method, body)


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


class Proxy(Program):
    """A proxy with a configuration that comes with the program, its paths and addresses put elsewhere."""

    env = None
    reads_bodies = False  # those of JSON-RPC
    passes_trailers = False

    def __init__(self, case, name):
        self.case, self.name, self.dir = case, name, shared_dir()
        self.upstream = Upstream(os.path.join(self.dir, "up"))
        self.socket = os.path.join(self.dir, "in")
        self.write(case.server.port)

    def write(self, port, changes=()):
        """port: of the decision endpoint, or where it listens; changes: pieces of text and what takes their place."""
        self.conf = os.path.join(self.dir, self.name)
        with open(os.path.join(EXAMPLES, self.name)) as f:
            text = f.read()
        for here, there in list(changes) + self.places("127.0.0.1:%d" % port if isinstance(port, int) else port):
            assert here in text, here
            text = text.replace(here, there)
        with open(self.conf, "w") as f:
            f.write(text)
        return self

    def __enter__(self):
        self.launch(self.command(), self.env)
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(timeout=120)
        self.stop_upstream()

    def written(self):
        """All that it has written into files."""
        out = b""
        for folder, _, names in os.walk(self.dir):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and path != self.conf:
                    out += open(path, "rb").read()
        return out.decode("latin-1")

    def ask(self, target, *headers, method="GET", body=None):
        return ask(self.socket, target, headers, method, body)


class NginxProxy(Proxy):
    """Without the module."""

    def __init__(self, case, name="nginx-auth-request.conf"):
        super().__init__(case, name)

    def places(self, endpoint):
        tmp = "".join("%s %s/%s;" % (n + "_temp_path", self.dir, n)
                      for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return [("user www-data;", "user www-data;" if ROOT else ""), ("/run/nginx.pid", self.dir + "/pid"),
                ("/var/log/nginx/", self.dir + "/"), ("127.0.0.1:3000", "unix:" + self.upstream.path),
                ("server 127.0.0.1:8080", "server " + endpoint), ("worker_processes auto", "worker_processes 1"),
                ("listen 127.0.0.1:8081", "listen unix:" + self.socket), ("http {", "http {" + tmp)]

    def command(self):
        return [NGINX, "-p", self.dir, "-c", self.conf, "-g", "daemon off;"]

    def __exit__(self, *error):
        super().__exit__(*error)
        for bad in ("Sanitizer", "runtime error", "[alert]", "exited on signal"):
            assert bad not in self.written(), [l[:1000] for l in self.written().splitlines() if bad in l]


class Offline:
    """What an edge needs that verifies by itself: the ring is that of the server, the policy POLICY, the revocation
    data the test's own."""

    def offline_files(self):
        secrets = os.path.join(self.dir, "secrets")
        shutil.copy(os.path.join(self.case.server.data, "secrets"), secrets)
        share(secrets)
        self.feed = FeedFiles(os.path.join(self.dir, "revoked"), read_ring(secrets)[0])
        self.feed.publish(["nobody"])
        policy = os.path.join(self.dir, "policy.json")
        with open(policy, "w") as f:
            json.dump(POLICY, f)
        return secrets, policy


class ModuleProxy(Offline, NginxProxy):
    """With it."""

    def __init__(self, case):
        self.env = module_env()
        super().__init__(case, "nginx.conf")

    def places(self, endpoint):
        secrets, policy = self.offline_files()
        return super().places(endpoint) + [
            ("modules/ngx_http_subtoken_module.so", MODULE), ("/etc/subtoken/secrets;", secrets + ";"),
            ("/var/lib/subtoken/revocations;", self.feed.path + ";"), ("/etc/subtoken/policy.json", policy),
            ("allow 127.0.0.1;", "allow unix:;")]


def end_haproxy(process):
    """SIGTERM ends it on the spot. Where coverage is counted it is asked to stop, so that it writes down what was run."""
    if os.path.basename(BUILD) == "coverage":
        process.send_signal(signal.SIGUSR1)
        try:
            return process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            pass  # a client holds a connection
    process.terminate()
    return process.wait(timeout=120)


def haproxy_passes_trailers():
    """What the examples say of versions before 3.2."""
    if not HAPROXY:
        return False
    told = subprocess.run([HAPROXY, "-v"], stdout=subprocess.PIPE, text=True).stdout
    return tuple(map(int, re.match(r"HAProxy version (\d+)\.(\d+)", told).groups())) < (3, 2)


class HaproxyProxy(Proxy):
    """Without the module."""

    passes_trailers = haproxy_passes_trailers()

    def __init__(self, case, name="haproxy.cfg"):
        super().__init__(case, name)

    def places(self, endpoint):
        return [("/etc/haproxy/haproxy-subtoken.lua", os.path.join(EDGE, "haproxy", "haproxy-subtoken.lua")),
                ("127.0.0.1:3000", "unix@" + self.upstream.path), ("127.0.0.1:8080", endpoint),
                ("bind 127.0.0.1:8081", "bind unix@%s mode 666" % self.socket)]

    def command(self):
        return [HAPROXY, "-db", "-f", self.conf]

    def __exit__(self, *error):
        end_haproxy(self.process)
        self.stop_upstream()


# It is built plain only: HAProxy itself has no sanitizer.
HAPROXY_MODULE = os.path.join(os.path.dirname(BUILD) if SANITIZER else BUILD, "haproxy")


class HaproxyModuleProxy(Offline, HaproxyProxy):
    """With it."""

    def __init__(self, case, name="haproxy-module.cfg"):
        super().__init__(case, name)

    def places(self, endpoint):
        secrets, policy = self.offline_files()
        user = "user www-data\n  group www-data" if ROOT else ""
        return super().places(endpoint) + [
            ("user haproxy\n  group haproxy", user), ("/usr/lib/haproxy/?.so", HAPROXY_MODULE + "/?.so"),
            ("/etc/haproxy/subtoken.lua", os.path.join(EDGE, "haproxy", "subtoken.lua")),
            ("secrets=/etc/subtoken/secrets ", "secrets=%s " % secrets), ("=/etc/subtoken/policy.json", "=" + policy),
            ("revocations=/var/lib/subtoken/revocations", "revocations=" + self.feed.path)]


class CaddyProxy(Proxy):
    def __init__(self, case):
        super().__init__(case, "Caddyfile")

    def places(self, endpoint):
        return [("127.0.0.1:3000", "unix/" + self.upstream.path), ("127.0.0.1:8080", endpoint),
                ("bind 127.0.0.1", "bind unix/" + self.socket)]

    def command(self):
        self.env = dict(os.environ, HOME=self.dir, XDG_DATA_HOME=self.dir, XDG_CONFIG_HOME=self.dir)
        return [CADDY, "run", "--config", self.conf, "--adapter", "caddyfile"]


class ApacheProxy(Offline, Proxy):
    """With the module; it listens on a port, because httpd cannot on a socket."""
    processes = "StartServers 1\nServerLimit 1\nMaxRequestWorkers 25"

    def __init__(self, case):
        self.env = module_env()
        super().__init__(case, "apache.conf")

    def places(self, endpoint):
        if isinstance(self.socket, str):
            self.socket = ("127.0.0.1", free_port())
            secrets, policy = self.offline_files()
            self.files = [("/etc/subtoken/secrets", secrets), ("/var/lib/subtoken/revocations", self.feed.path),
                          ("/etc/subtoken/policy.json", policy)]
        apache_module = os.path.join(os.path.dirname(MODULE), "mod_subtoken.so")
        server = "http://" + endpoint if ":" in endpoint and not endpoint.startswith("unix:") else endpoint + "|http://server"
        return self.files + [
            ("User www-data", "User www-data" if ROOT else ""), ("Group www-data", "Group www-data" if ROOT else ""),
            ("/run/apache2", self.dir), ("/var/log/apache2", self.dir), ("http://127.0.0.1:8080", server),
            ("http://127.0.0.1:3000/", "unix:%s|http://api/" % self.upstream.path),
            ("Listen 127.0.0.1:8081", "Listen %s:%d\n%s" % (*self.socket, self.processes)),
            ("/usr/lib/apache2/modules/mod_subtoken.so", apache_module)]

    def command(self):
        return ["setsid", APACHE, "-f", self.conf, "-DFOREGROUND"]  # it ends its whole process group

    def __exit__(self, *error):
        """At its end httpd 2.4.71 may fail by itself: the main thread of its event MPM closes sockets of threads that are
        ending already (apr_os_sock_get). Of our own memory at that moment the builds with sanitizers tell."""
        running = self.written()
        super().__exit__(*error)
        ended = self.written()
        own = "apr_os_sock_get" in ended and "apr_os_sock_get" not in running
        for bad, text in (("Sanitizer", running if own else ended), ("runtime error", ended), ("[core:alert]", ended),
                          ("exit signal", running), ("exit signal", ended.replace("exit signal Segmentation fault", ""))):
            assert bad not in text, [l[:1000] for l in text.splitlines() if bad in l]


SPOOFED = ["X-Subtoken-%s: spoofed" % n for n in NAMES] + ["x-subtoken-sub: again"]


def identity_passed(answer):
    """What the upstream was told of who asks: no header and an empty one are the same."""
    assert answer.status == 200, (answer.status, answer.body)
    headers = json.loads(answer.body)["headers"]
    return {n.lower(): v for n, v in headers if re.match("x[-_]subtoken[-_]", n.lower()) and v}


# ---- what every edge does ----

def denied(key, token, bare, listed):
    """[(target, headers, method, status)]; bare: without the permission account; listed: for GET:/v2/account."""
    return [("/v2/account", [], "GET", 401), ("/v2/account", [auth(token + "x")], "GET", 401),
            ("/v2/account", [auth(bare)], "GET", 403), ("/v2/account", [auth(listed)], "PUT", 403),
            ("/v2/account/bank", [auth(token)], "GET", 403), ("/v2/nowhere", [auth(key)], "GET", 403),
            ("/rpc", [auth(key)], "POST", 403),
            # What a caller says of the request does not count.
            ("/v2/account/bank", [auth(token)] + traefik_form("/v2/account"), "GET", 403),
            ("/v2/account/bank", [auth(token)] + nginx_form("/v2/account"), "GET", 403)]


def passes_and_denies(make, c, p):
    """What every edge does while all is well. Returns a token."""
    token, bare = c.token(), c.token("--permissions", "guilds")
    listed = c.token("--urls", "GET:/v2/account")
    for credential, exp in ((token, str(payload(token)["exp"])), (c.key["key"], None)):
        answer = p.ask("/v2/account?x=%2F", auth(credential), "traceparent: " + TRACE, *SPOOFED)
        told = identity_passed(answer)
        assert ["traceparent", TRACE] in [[n.lower(), v] for n, v in json.loads(answer.body)["headers"]], answer.body
        assert told["x-subtoken-sub"] == payload(token)["sub"] and told.get("x-subtoken-expires") == exp, told
        assert told["x-subtoken-permissions"].startswith("account,guilds"), told
        # A key's id and owner are known to those who asked the server.
        asked = not issubclass(make, Offline) or credential != token
        key, owner = (c.key["id"], "J%C3%B8rn") if asked else (None, None)
        assert told.get("x-subtoken-key") == key and told.get("x-subtoken-owner") == owner, told
    wait(lambda: '"trace_id":"%s","span_id":"%s"' % (TRACE[3:35], TRACE[36:52]) in c.server.log(), "the trace, in the server's log")
    # The body and the target arrive as they were; a public route is told of nobody.
    answer = p.ask("/v2/account?x=%2F", auth(token), method="POST", body=b"some=body")
    asked = json.loads(answer.body)
    assert (asked["method"], asked["target"], asked["body"]) == ("POST", "/v2/account?x=%2F", "some=body")
    assert identity_passed(p.ask("/v2/items", *SPOOFED)) == {}
    assert json.loads(p.ask("/v2/account?access_token=" + token).body)["method"] == "GET"
    preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]
    assert p.ask("/v2/account", *preflight, method="OPTIONS").status == 200
    assert p.ask("/v2/account", auth(listed)).status == 200
    before = len(p.upstream.seen)
    for target, headers, method, status in denied(c.key["key"], token, bare, listed):
        if target == "/rpc" and p.reads_bodies:
            continue
        answer = p.ask(target, *headers, method=method, body=b"{}" if method != "GET" else None)
        assert answer.status == status, (target, headers, method, answer.status, answer.body)
        assert answer.header("Content-Type").startswith("application/json") and answer.json()["text"]
        assert answer.header("Access-Control-Allow-Origin") == "*", "D8"
        if status == 401:
            assert answer.body == INVALID
            assert answer.header("WWW-Authenticate") == ('Bearer error="invalid_token"' if headers else "Bearer")
    for target in ("/v2//account", "/v2/x/../account", "//v2/account"):
        assert p.ask(target, auth(c.key["key"])).status == (400 if make is CaddyProxy or issubclass(make, Offline) else 403), target
    assert p.ask("/v2/account", auth(token), auth(token)).status in (400, 403)
    assert len(p.upstream.seen) == before
    assert p.ask("/v2/account", auth(token), *traefik_form("/v2/items")).status == 200
    # The server's own calls, through the proxy.
    assert p.ask("/v2/tokeninfo", auth(token)).json()["id"] == c.key["id"]
    return token
