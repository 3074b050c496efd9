"""The edges of test_verdicts.py: each takes a case of tests/vectors/edges.json, asks one real edge, and tells what it
said. One process of each serves all cases.

What is told is {"status", "text", "challenge", "result", "who", "seen"}; what an edge does not show is left out."""
import functools
from installed import *
from nginx import Nginx, jwt, sub_of
from feed import FeedFiles
from proxies import ApacheProxy, HaproxyModuleProxy, Offline, Proxy
from upstream import Upstream, ask, share, shared_dir

FIVE = ["X-Subtoken-Sub", "X-Subtoken-Key", "X-Subtoken-Owner", "X-Subtoken-Permissions", "X-Subtoken-Expires"]
TABLE = vectors("edges.json")
LEEWAY = 60


def identity_of(headers):
    """The five values that an API was told, "" where there is none. Nothing else looks like one of them."""
    found = dict.fromkeys(FIVE, "")
    for name, value in headers:
        folded = re.sub("[^a-z0-9]", "-", name.lower())
        if folded.startswith("x-subtoken-"):
            known = {n.lower(): n for n in FIVE}
            assert folded in known and name.lower() == folded and found[known[folded]] == "", (name, value)
            found[known[folded]] = value
    return [found[n] for n in FIVE]


# ---- the server, its keys, and the tokens of the table ----

AUDIENCE = "eu"
KINDS = ("", "eu", "derived")  # of an edge: without an audience, told to be "eu", and with secrets derived for it alone


def derived(secret, audience):
    """RFC 5869 with SHA-256, no salt, 32 bytes."""
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, b"subtoken aud 1:" + audience.encode() + b"\1", hashlib.sha256).digest()


def tid_of(token):
    return token.rsplit(".", 1)[-1][:16]


class World:
    """Also what proxies.py takes for a case."""

    def __init__(self):
        self.data = data_dir()
        self.policy = private_file(json.dumps(TABLE["policy"]), "policy.json")
        os.chmod(os.path.dirname(self.policy), 0o755)
        os.chmod(self.policy, 0o644)
        self.key = make_key(self.data, "account,guilds,history_api,mcp,docs", "--owner", "Zoë & Co", name="whole")
        self.deleted = make_key(self.data, "account", name="deleted")
        self.bound = {a: make_key(self.data, "account", "--audience", a, name=a) for a in ("eu", "us")}
        self.edge_key = make_key(self.data, "revocations", name="edge")
        make_user(self.data, "alice", "account")
        run("user", "create", "*", "--permissions", "guest", data=self.data, check=0)
        self.sub = sub_of(issue(self.data, self.key["key"]))
        self.revoked_sub = sub_of(issue(self.data, self.deleted["key"]))
        run("key", "delete", self.deleted["id"], data=self.data, check=0)
        self.ring = os.path.join(self.data, "secrets")
        self.signer = read_ring(self.ring)[0]
        self.server = Server(self.data, {"policy": self.policy, "leeway": LEEWAY}).start()
        self.now = int(time.time())
        self.claims, self.words = {}, {}
        for name, token in TABLE["tokens"].items():  # one that names others in via is behind them
            self.claims[name] = self.claims_of(token)
            self.words[name] = self.token(name, token)
        self.revoked = [self.revoked_sub] + [self.revoke(n) for n, t in TABLE["tokens"].items() if t.get("revoked")]
        self.derived_signer = (self.signer[0] + "." + AUDIENCE, derived(self.signer[1], AUDIENCE))
        self.derived_ring = private_file("%s:%s\n" % (self.derived_signer[0], b64(self.derived_signer[1])), "derived")
        good = self.words["good"]
        self.words.update({"good:x": good + "x", "good:twice": good + " " + good, "key": self.key["key"],
                           "good:long": good[:-43] + "A" * (8193 - len(good)) + good[-43:],
                           "deleted": self.deleted["key"], "key_eu": self.bound["eu"]["key"], "key_us": self.bound["us"]["key"],
                           "alice": base64.b64encode(b"alice:" + PASSWORD.encode()).decode()})

    def claims_of(self, token):
        sub = token.get("sub", self.sub)
        claims = {"sub": self.revoked_sub if sub == "revoked" else sub,
                  "iat": self.now + token.get("iat", -1000), "exp": self.now + token.get("exp", 3600 + max(0, token.get("iat", 0)))}
        if "nbf" in token:
            claims["nbf"] = self.now + token["nbf"]
        if "aud" in token:
            claims["aud"] = token["aud"]
        claims["permissions"] = token["permissions"]
        if "urls" in token:
            claims["urls"] = token["urls"]
        if "via" in token:
            claims["via"] = [tid_of(self.words[n]) if n in self.words else n for n in token["via"]]
        return {k: v for k, v in claims.items() if v is not None}

    def token(self, name, token):
        kid, secret = self.signer
        secret = hashlib.sha256(b"another").digest() if "secret" in token else secret
        if "derived" in token:
            kid, secret = kid + "." + token["derived"], derived(secret, token["derived"])
        header = {"alg": token.get("alg", "HS256"), "typ": "JWT"}
        if token.get("kid", kid):
            header["kid"] = token.get("kid", kid)
        return jwt((kid, secret), self.claims[name], header)

    def revoke(self, name):
        """As whoever holds it does. Its tid."""
        answer = curl(self.server.url + "/oauth/revoke", "-d", "token=" + self.words[name])
        assert answer.status == 200, (name, answer.status, answer.body)
        return tid_of(self.words[name])

    def fill(self, text):
        return re.sub(r"\{([\w:]+)\}", lambda m: self.words[m[1]], text)

    def request(self, case):
        """(method, target, headers, body) of a case."""
        body = case.get("body")
        return (case["method"], self.fill(case["target"]), [self.fill(h) for h in case["headers"]],
                None if body is None else body.encode())

    def who(self, name):
        """The five values that an API is told."""
        if name is None:
            return [""] * 5
        if name == "anonymous":
            return ["", "", "", "guest", ""]
        if name == "key":
            return [self.sub, self.key["id"], "Zo%C3%AB%20&%20Co", "account,guilds,history_api,mcp,docs", ""]
        if name in ("key_eu", "key_us"):
            key = self.bound[name[-2:]]
            return [key["sub"], key["id"], "", "account", ""]
        if name == "alice":  # the server alone knows a user's sub: every edge has to tell the same
            answer = ask(("127.0.0.1", self.server.port), "/v2/authorize/v2/account",
                         ["Authorization: Basic " + self.words["alice"]])
            assert answer.status == 200 and answer.header("X-Subtoken-Owner") == "alice", answer
            return [answer.header(n) or "" for n in FIVE]
        claims = self.claims[name]
        return [claims["sub"], "", "", ",".join(claims["permissions"]), str(claims["exp"])]

    def ring_of(self, kind):
        return self.derived_ring if kind == "derived" else self.ring

    def signer_of(self, kind):
        """Of the revocation data that such an edge takes."""
        return self.derived_signer if kind == "derived" else self.signer

    def stop(self):
        self.server.stop()


def text_of(body):
    """Of {"text"}; of a JSON-RPC error its id, code and message."""
    said = json.loads(body)
    if "text" in said:
        return said["text"]
    assert said["jsonrpc"] == "2.0", said
    return "%s %d %s" % (json.dumps(said["id"]), said["error"]["code"], said["error"]["message"])


# ---- edges that speak HTTP, in front of an API that tells what it got ----

def told(answer, case):
    """What is seen of an HTTP response."""
    said = {"status": answer.status, "challenge": answer.header("WWW-Authenticate") or ""}
    if answer.status != 200:
        if not answer.body.startswith("{"):
            return dict(said, text=answer.body)  # not the edge's own
        said["text"] = text_of(answer.body)
        assert answer.header("Cache-Control") == "no-store" and answer.header("X-Content-Type-Options") == "nosniff"
        assert answer.header("Content-Type") == "application/json; charset=utf-8", answer
    elif case["method"] != "HEAD":
        asked = json.loads(answer.body)
        said["who"], said["seen"] = identity_of(asked["headers"]), asked["target"]
    return said


class Http:
    """An edge at self.where; kind: of KINDS."""
    kind = ""

    def ask(self, case):
        method, target, headers, body = self.world.request(case)
        answer = ask(self.where, target, headers, method, body)
        said = told(answer, case)
        self.add_result(said, answer)
        return said

    def add_result(self, said, answer):
        pass


class NginxEdge(Http):
    """nginx with the module; no slashes are merged."""
    name = "nginx"
    SERVER = """subtoken on; %(audience)s subtoken_policy %(policy)s; subtoken_fallback /.ask; merge_slashes off;
        location / { proxy_pass http://api; }
        location = /.ask { internal; subtoken off; proxy_pass http://127.0.0.1:%(port)d/v2/authorize;
          proxy_pass_request_body off; proxy_set_header Content-Length ""; }"""

    def __init__(self, world, kind=""):
        self.world, self.kind = world, kind
        audience = "subtoken_audience %s;" % AUDIENCE if kind == "eu" else ""
        self.nginx = Nginx(self.SERVER % {"policy": world.policy, "port": world.server.port, "audience": audience}, feed=False)
        shutil.copy(world.ring_of(kind), self.nginx.secrets)
        share(self.nginx.secrets)
        self.nginx.feed.signer = world.signer_of(kind)
        self.nginx.feed.publish(world.revoked)
        self.nginx.start()
        self.where = self.nginx.socket

    def add_result(self, said, answer):
        said["result"] = answer.header("X-Result") or "public"

    def stop(self):
        self.nginx.__exit__(None, None, None)


class NodeEdge(Http):
    """Node's http with the npm package."""
    name = "node"

    def __init__(self, world, kind=""):
        self.world, self.kind = world, kind
        env = dict(os.environ, RING=read(world.ring_of(kind)), AUD=AUDIENCE if kind == "eu" else "", POLICY=json.dumps(TABLE["policy"]), KEY=world.edge_key["key"],
                   SERVER=world.server.url)
        self.process = subprocess.Popen(["node", os.path.join(HERE, "verdicts.mjs"), npm_package()], env=env,
                                        stdout=subprocess.PIPE, text=True)
        self.where = ("127.0.0.1", int(self.process.stdout.readline()))

    def add_result(self, said, answer):
        said["result"] = self.process.stdout.readline().strip()

    def stop(self):
        self.process.kill()
        self.process.communicate()


def npm_package():
    return os.path.join(os.path.dirname(PROGRAM), "wasm", "package")


class WorkerdEdge(Http):
    """workerd, with the worker of tests/wasm."""
    name = "workerd"
    PROGRAM = os.path.join(TESTS, "wasm/node_modules/@cloudflare/workerd-linux-64/bin/workerd")

    def __init__(self, world, kind=""):
        self.world, self.kind = world, kind
        d, port = scratch(), free_port()
        self.where = ("127.0.0.1", port)
        self.process = subprocess.Popen([self.PROGRAM, "serve", self.configure(d, port)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait(self.answers, "workerd answers")

    def answers(self):
        try:
            socket.create_connection(self.where).close()
            return True
        except OSError:
            return False

    def configure(self, d, port):
        package, quote = npm_package(), json.dumps
        shutil.copy(os.path.join(TESTS, "wasm/worker.mjs"), d)
        shutil.copytree(package, os.path.join(d, "subtoken"))
        modules = ['(name = "worker.mjs", esModule = embed "worker.mjs")']
        for name in sorted(os.listdir(package)):
            kind = {".js": "esModule", ".wasm": "wasm"}.get(os.path.splitext(name)[1])
            if kind and (not name.startswith("index.") or name == "index.workerd.js"):
                modules.append('(name = "subtoken/%s", %s = embed "subtoken/%s")' % (name, kind, name))
        for name, path in (("subtoken", "./subtoken/index.workerd.js"), ("subtoken/revocations", "./revocations.js"),
                           ("subtoken/workers", "./workers.js")):
            modules.append("(name = %s, esModule = %s)" % (quote(name), quote('export * from "%s";' % path)))
        w = self.world
        texts = {"RING": read(w.ring_of(self.kind)), "AUD": AUDIENCE if self.kind == "eu" else "", "POLICY": json.dumps(TABLE["policy"]), "KEY": w.edge_key["key"],
                 "SERVER": w.server.url, "ASK": w.server.url, "MAX_AGE": "300"}
        bindings = ["(name = %s, text = %s)" % (quote(n), quote(v)) for n, v in texts.items()]
        path = os.path.join(d, "config.capnp")
        with open(path, "w") as f:
            f.write("""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", network = (allow = ["private"]))],
  sockets = [(name = "http", address = "127.0.0.1:%d", http = (), service = "main")]
);
const worker :Workerd.Worker = (modules = [%s], bindings = [%s], compatibilityDate = "2026-11-01");
""" % (port, ", ".join(modules), ", ".join(bindings)))
        return path

    def ask(self, case):
        method, target, headers, body = self.world.request(case)
        answer = ask(self.where, target, headers, method, body)
        if answer.status == 200 and case["method"] != "HEAD":
            asked = json.loads(answer.body)  # the worker's own form
            answer.body = json.dumps({"target": asked["url"], "headers": list(asked["headers"].items())})
        return told(answer, case)

    def stop(self):
        self.process.kill()
        self.process.wait()


class WorldFiles(Offline):
    """Proxies with the ring, the policy and the revocation data of the world."""

    kind = ""

    def offline_files(self):
        secrets, policy = super().offline_files()
        shutil.copy(self.case.ring_of(self.kind), secrets)
        share(secrets)
        self.feed.signer = self.case.signer_of(self.kind)
        self.feed.publish(self.case.revoked)
        with open(policy, "w") as f:
            json.dump(TABLE["policy"], f)
        return secrets, policy


class ProxyEdge(Http):
    """A proxy of proxies.py."""

    def __init__(self, world, kind=""):
        self.world, self.kind = world, kind
        self.proxy = type("Proxy", (self.Proxy,), {"kind": kind})(world)
        self.proxy.__enter__()
        self.where = self.proxy.socket

    def stop(self):
        self.proxy.__exit__(None, None, None)


class HaproxyEdge(ProxyEdge):
    """HAProxy with the module, and its configuration of the examples."""
    name = "haproxy"

    class Proxy(WorldFiles, HaproxyModuleProxy):
        def places(self, endpoint):
            more = [(" ask=on", " ask=on audience=" + AUDIENCE)] if self.kind == "eu" else []
            return super().places(endpoint) + more


class ApacheEdge(ProxyEdge):
    """Apache httpd with the module, and its configuration of the examples."""
    name = "apache"

    class Proxy(WorldFiles, ApacheProxy):
        def places(self, endpoint):
            more = [("\nSubtokenRevocations ", "\nSubtokenAudience %s\nSubtokenRevocations " % AUDIENCE)] if self.kind == "eu" else []
            return super().places(endpoint) + more


class GoEdge(ProxyEdge):
    """net/http with the handler of the Go package."""
    name = "go"
    PROGRAM = os.path.join(HERE, "edge.go")

    class Proxy(WorldFiles, Proxy):
        def __init__(self, world):
            self.case, self.dir = world, shared_dir()
            self.upstream = Upstream(os.path.join(self.dir, "up"))
            self.socket = os.path.join(self.dir, "in")
            self.env = go_env()

        def command(self):
            secrets, policy = self.offline_files()
            return [go_program(), self.socket, self.upstream.path, self.case.server.url, secrets, self.feed.path, policy,
                    AUDIENCE if self.kind == "eu" else ""]


def go_env():
    """Nothing is fetched; what was compiled is kept with the build."""
    lib = os.path.join(prefix(), "lib")
    return dict(os.environ, GOFLAGS="-mod=mod", GOPROXY="off", GO111MODULE="on", HOME=scratch(), LD_LIBRARY_PATH=lib,
                GOCACHE=os.path.join(os.path.dirname(PROGRAM), "go-cache"), PKG_CONFIG_PATH=os.path.join(lib, "pkgconfig"))


@functools.lru_cache(None)
def go_program():
    """Go keeps a package under its folder, and not under what pkg-config says: a copy is in another one each time."""
    d = shared_dir()
    shutil.copytree(os.path.join(ROOT, "src/bindings/go"), os.path.join(d, "subtoken"))
    with open(os.path.join(d, "go.mod"), "w") as f:
        f.write("module edge\n\ngo 1.19\n\nrequire subtoken v0.0.0\n\nreplace subtoken => ./subtoken\n")
    shutil.copy(GoEdge.PROGRAM, d)
    go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/lib/go-1.19/bin")
    sh(go, "build", "-o", os.path.join(d, "edge"), ".", cwd=d, env=go_env())
    return os.path.join(d, "edge")


class ServerEdge(Http):
    """The decision endpoint, asked with the request as a path, as a proxy without the module does."""
    name = "server"

    def __init__(self, world, kind=""):
        self.world, self.kind, self.where = world, kind, ("127.0.0.1", world.server.port)

    def ask(self, case):
        method, target, headers, body = self.world.request(case)
        if self.kind:  # a proxy without an audience says nothing of one
            headers.append("X-Subtoken-Audience: " + AUDIENCE)
        answer = ask(self.where, "/v2/authorize" + target, headers, method, body)
        said = {"status": answer.status, "challenge": answer.header("WWW-Authenticate") or ""}
        if answer.status == 200:
            said["who"] = [answer.header(n) or "" for n in FIVE]
            if case.get("who") in self.world.claims:  # it also knows the key that the token was made with
                assert said["who"][1:3] == self.world.who("key")[1:3], said
                said["who"][1:3] = ["", ""]
        else:
            said["text"] = text_of(answer.body)
        return said

    def stop(self):
        pass


# ---- the library, in a program that speaks lines ----

def hexed(text):
    return "-" if text is None else (text if isinstance(text, bytes) else text.encode("latin-1")).hex()


def listed(texts):
    return "".join(hexed(t) + "," for t in texts) or "-"


class Lines:
    """verdicts.c, verdicts.py or verdicts.lua: one answer a line."""

    def __init__(self, world, command, env, kind=""):
        self.world, self.kind = world, kind
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        bufsize=1)
        assert self.say("ring", hexed(read(world.ring_of(kind))))[0] == "ok"
        self.say("verifier", LEEWAY, 365 * 86400, "-", hexed(AUDIENCE) if kind == "eu" else "-", "asks")
        for sub in (world.sub, world.who("alice")[0], *[k["sub"] for k in world.bound.values()], *{tid_of(world.words[n]) for n in world.claims} - set(world.revoked)):
            self.say("sub", hexed(sub), "good")
        for name in world.revoked:
            self.say("sub", hexed(name), "revoked")

    def say(self, *fields):
        self.process.stdin.write("\t".join(map(str, fields)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n").split("\t")

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=120) == 0
        self.process.stdout.close()


class LibraryEdge(Lines):
    """subtoken/edge.h in C, which asks the real server."""
    name = "C"

    def __init__(self, world, command, env, kind=""):
        super().__init__(world, command, env, kind)
        assert self.say("policy", hexed(json.dumps(TABLE["policy"]))) == ["ok"]

    def ask(self, case):
        method, target, headers, body = self.world.request(case)
        values = lambda name: [v.strip() for n, _, v in (h.partition(":") for h in headers) if n.lower() == name]
        flags = "".join(f for f, n in (("o", "origin"), ("m", "access-control-request-method"), ("e", "content-encoding"))
                        if values(n)) + ("b" if body else "")
        other = r'(?i).*charset(?!=(utf-8|"utf-8")[ \t]*(;|$))|.*charset.*charset'
        if any(re.match(other, v) for v in values("content-type")):
            flags += "e"  # the caller of the library says so
        flags = flags or "-"
        step = self.say("edge", int(time.time()), hexed(method), hexed(target), listed(values("authorization")),
                        listed(values("x-api-key")), flags, len(body or b""),
                        *[listed(values(n)) for n in ("mcp-method", "mcp-name", "mcp-protocol-version")])
        if step[0] == "ask":
            step = self.say("answer", *self.ask_server(bytes.fromhex(t).decode() for t in step[1].split(",")[:-1]))
        if step[0] == "body":
            step = self.say("body", hexed(body))
        _, status, result, text, challenge, who, seen = step
        plain = lambda t: "" if t == "-" else bytes.fromhex(t).decode()
        said = {"status": int(status), "result": result, "challenge": plain(challenge)}
        if status == "200":
            said["who"], said["seen"] = [plain(t) for t in who.split(",")[:-1]], plain(seen)
        else:
            said["text"] = text_of(plain(text))
        return said

    def ask_server(self, words):
        words = list(words)
        headers = ["%s: %s" % pair for pair in zip(words[::2], words[1::2])]
        answer = ask(("127.0.0.1", self.world.server.port), "/v2/authorize", headers, "HEAD")
        return [answer.status] + [hexed(answer.header(n)) for n in ["X-Subtoken-Nonce"] + FIVE]


class BindingEdge(Lines):
    """A binding, which verifies tokens: credentials and policies are the program's. What it says is in .library."""

    def ask(self, case):
        token, needs, _ = case["library"]
        text = token[1:] if token.startswith("=") else self.world.words[token]
        result, status, challenge, _ = self.say("verify", int(time.time()), hexed(case["method"]),
                                                hexed(self.world.fill(case["target"])), listed(needs), hexed(text))
        return {"result": result, "status": int(status), "challenge": "" if challenge == "-" else bytes.fromhex(challenge).decode()}
