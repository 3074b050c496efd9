"""A server, and edges of each kind beside it, which are told what they are or hold derived secrets: nginx with the
module, and the library by `subtoken verify --jsonl`, on files that real pulls keep fresh. For test_lives.py and
test_derived.py."""
import collections

from lives import *
from nginx import *
from urllib.parse import urlencode

MAX_LIFE = 86400
AUDIENCES = ["eu", "us"]
PERMISSIONS = ["account", "wallet", "services"]
LOOKED_AT = [("/free", ()), ("/need/account", ("account",)), ("/need/wallet", ("wallet",))]
POLICY = {"default": "token", "routes": [{"path": p, "needs": list(n)} for p, n in LOOKED_AT if n]}
EDGES = [Verifier("untold"), Verifier("told eu", told="eu"), Verifier("told us", told="us"),
         Verifier("derived eu", ring="eu"), Verifier("derived us", ring="us")]

TICK = 0.02  # seconds that time(2), which others ask, may be behind the clock of here


class Connection:
    """One that stays open; where: as of Client."""

    def __init__(self, where):
        self.where, self.client = where, None

    def call(self, method, target, headers=(), body=None):
        for fresh in (False, True):
            if self.client is None or fresh:
                self.client = Client(self.where)
            try:
                self.client.send(target, method, headers, body)
                answer = self.client.receive()
            except (ConnectionError, AssertionError):
                if fresh:
                    raise
                continue  # it was closed while it was idle
            if answer.header("Connection") == "close":
                self.client = None
            return answer


class Library:
    """`subtoken verify --jsonl` as an edge: its own ring, its own revocation data."""

    def __init__(self, edge, secrets, feed):
        command = [PROGRAM, "verify", "--jsonl", "--secrets", secrets, "--revocations", feed,
                   "--leeway", str(LEEWAY), "--max-life", str(MAX_LIFE)]
        self.edge = edge
        self.process = subprocess.Popen(command + (["--aud", edge.told] if edge.told else []),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, lines):
        found = []
        for at in range(0, len(lines), 32):  # fewer bytes than fit into a pipe
            some = lines[at:at + 32]
            self.process.stdin.write("".join(json.dumps(line) + "\n" for line in some))
            self.process.stdin.flush()
            found += [json.loads(self.process.stdout.readline()) for _ in some]
        return [(200, "ok") if f["ok"] else (f["status"], f["reason"]) for f in found]

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0
        self.process.stdout.close()


def feed_file(dir, name):
    """The files of an edge, which nginx's workers may read, before there is anything in them."""
    path = os.path.join(dir, name)
    for suffix in ("", ".alive", ".seen"):
        open(path + suffix, "w").close()
        os.chmod(path + suffix, 0o644)
    return path


class Site:
    """A server; nginx as four edges, and the library as the same four; what keeps their files fresh."""

    def __init__(self, **config):
        self.started = []
        atexit.register(lambda: [p.kill() for p in self.started])  # when not all tests are run
        config = dict({"leeway": LEEWAY, "max_life": MAX_LIFE, "default_life": MAX_LIFE // 2}, **config)
        self.nginx = n = Nginx(feed=False)
        self.server = Server(n.data, config).start()
        self.started.append(self.server.process)
        self.root = make_key(n.data, ",".join(PERMISSIONS) + ",keys,introspect,revocations", name="root")["key"]
        self.rings = {None: n.secrets, "eu": n.secrets + ".eu", "us": n.secrets + ".us"}
        self.feeds = {a: feed_file(n.dir, "feed.%s" % a) for a in self.rings}
        self.hand_out_ring()
        self.pulls = [self.pull(a) for a in self.feeds]
        wait(lambda: all(os.path.getsize(f + x) for f in self.feeds.values() for x in ("", ".alive")),
             "each edge has its data")  # nginx does not start without
        self.configure()
        n.start()
        self.started.append(n.process)
        self.api = Connection(("127.0.0.1", self.server.port))
        self.edges = {e.name: Connection(self.path_of(e)) for e in EDGES}
        self.libraries = {}
        self.start_libraries()

    def start_libraries(self):
        """Anew when the ring has changed: a command reads it once."""
        for library in self.libraries.values():
            library.stop()
        for e in EDGES:
            self.libraries[e.name] = Library(e, self.rings[e.ring], self.feeds[e.ring])
            self.started.append(self.libraries[e.name].process)

    def rotate_ring(self, most=4):
        """Another secret signs. The kid of one that had to go, or None."""
        path, gone = os.path.join(self.nginx.data, "secrets"), None
        run("secret", "rotate", data=self.nginx.data, check=0)
        if len(read_ring(path)) > most:
            gone = read_ring(path)[-1][0]
            run("secret", "retire", gone or "-", "--force", data=self.nginx.data, check=0)
            assert gone not in [kid for kid, _ in read_ring(path)]
        self.hand_out_ring()
        self.start_libraries()
        return gone

    def path_of(self, edge):
        return os.path.join(self.nginx.dir, edge.name.replace(" ", "-"))

    def configure(self):
        text = """server { listen unix:%s; location / { return 200; } }
          proxy_pass_request_headers on;\n""" % os.path.join(self.nginx.dir, "api")
        for e in EDGES:
            text += """server { listen unix:%s; subtoken on; subtoken_policy %s; subtoken_leeway %ds;
                subtoken_max_life %ds; subtoken_fallback /ask; subtoken_secrets %s; subtoken_revocations %s; %s
                location = /ask { internal; subtoken off; proxy_pass http://127.0.0.1:%d/v2/authorize; }
                location / { proxy_pass http://unix:%s:; } }\n""" % (
                    self.path_of(e), policy(self.nginx, POLICY), LEEWAY, MAX_LIFE, self.rings[e.ring],
                    self.feeds[e.ring], "subtoken_audience %s;" % e.told if e.told else "",
                    self.server.port, os.path.join(self.nginx.dir, "api"))
        self.nginx.configure(http=text, server="location / { return 404; }")

    def hand_out_ring(self):
        """The ring to the edges that are trusted with it, what is derived from it to the others."""
        with open(os.path.join(self.nginx.data, "secrets")) as f:
            lines = {None: f.read()}
        self.kid = lines[None].partition(":")[0]
        for a in AUDIENCES:
            lines[a] = run("secret", "derive", "--audience", a, data=self.nginx.data, check=0)[1]
        for a, text in lines.items():
            replace(self.rings[a], text.encode())
            share(self.rings[a])

    def pull(self, audience):
        command = [PROGRAM, "pull", "--from", self.server.url, "--to", self.feeds[audience], "--every", "1s",
                   "--key-file", private_file(self.root + "\n")]
        with open(os.path.join(self.nginx.dir, "pull.%s" % audience), "a") as log:
            p = subprocess.Popen(command + (["--audience", audience] if audience else []), stderr=log)
        self.started.append(p)
        return p

    def stop(self, failed):
        for library in self.libraries.values():
            library.stop()
        for p in self.pulls:
            p.terminate()
            assert p.wait(timeout=60) == 0
        self.nginx.__exit__(AssertionError if failed else None, None, None)
        self.server.stop(expect=None if failed else 0)


class Mismatch(AssertionError):
    pass


class Asker:
    """Calls the server of a site, and compares what it or an edge says with a model."""

    def __init__(self, site):
        self.site = site
        self.history = collections.deque(maxlen=4000)

    def call(self, method, target, credential=None, form=None, body=None, headers=()):
        headers, content = list(headers), None
        if credential is not None:
            headers.append("Authorization: Bearer " + credential)
        if form is not None:
            content = urlencode(form).encode()
            headers.append("Content-Type: application/x-www-form-urlencoded")
        elif body is not None:
            content = json.dumps(body).encode()
            headers.append("Content-Type: application/json")
        elif method != "GET":
            content = b""
        return self.site.api.call(method, target, headers, content)

    def compare(self, what, expected, ask):
        """expected(now) at each second that it took must contain what ask() gives: (that, the answer)."""
        before = int(time.time() - TICK)
        got, answer = ask()
        after = int(time.time() + TICK)
        allowed = set()
        for now in range(before, after + 1):
            found = expected(now)
            allowed |= found if isinstance(found, set) else {found}
        self.history.append("%s: %s" % (what, got))
        if got not in allowed:
            body = re.sub(r"[A-Za-z0-9_.-]{40,}", "…", answer.body)[:300] if answer is not None else ""
            raise Mismatch("%s: %s, the model says %s %s" % (what, got, sorted(allowed, key=str), body))
        return got, answer, (before, after)

    def same(self, what, of, got, wanted):
        if got != wanted:
            raise Mismatch("%s of %s is %r, the model says %r" % (what, of, got, wanted))
