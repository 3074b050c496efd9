"""Several issuers on one database, and what hangs on them: a proxy that breaks before each cluster, pulls with two
--from, nginx with an edge for each of them; and what can fail. fleet_model.py is the load, and what must come of it."""
import http.client, itertools
from feed import sequence_of
from nginx import *
from postgres import Cluster, unused_port
from breaking_proxy import BreakingProxy
import datadir

EVERY, STALENESS, LOOK, MAX_AGE = 1, 1, 0.25, 20  # seconds
# What an edge may take to refuse, whatever fails: its data decides nothing when it is older than max_age by its
# heartbeat, whose time is in whole seconds. When nothing fails: STALENESS + EVERY + LOOK.
BOUND = MAX_AGE + 2


class Issuer:
    """A server at a port that stays, with a DATA of its own; proxies: one before each cluster."""

    def __init__(self, number, ring, clusters=(), database=None, data=None, env=None, **settings):
        self.number, self.proxies = number, [BreakingProxy(c.port) for c in clusters]
        self.data = data or os.path.join(scratch(), "var")
        if clusters:
            on_store(self.data, "postgresql://postgres@%s/%s?target_session_attrs=read-write" % (
                ",".join("127.0.0.1:%d" % p.port for p in self.proxies), database),
                store_staleness="%ds" % STALENESS, threads=64, **{"keys_per_owner": 1000000, **settings})
        os.makedirs(self.data, mode=0o700, exist_ok=True)
        if not os.path.exists(datadir.secrets_of(self.data)):
            shutil.copy(ring, datadir.secrets_of(self.data))
        self.port, self.life, self.up = unused_port(), 0, False
        self.server = Server(self.data, env=env)
        self.server.cmd[self.server.cmd.index("127.0.0.1:0")] = "127.0.0.1:%d" % self.port

    def start(self):
        self.server.start()
        self.life += 1
        self.up = True
        return self

    def kill(self):
        self.up = False
        self.server.process.kill()
        self.server.process.wait()
        self.server.stderr.close()

    def stop(self, expect=0):
        self.up = False
        self.server.stop(expect)

    def cut(self):
        for proxy in self.proxies:
            proxy.cut()

    def hold(self, up=True, down=True):
        for proxy in self.proxies:
            proxy.hold(up, down)

    def heal(self, deliver=True):
        for proxy in self.proxies:
            proxy.heal(deliver)

    def close(self):
        for proxy in self.proxies:
            proxy.close()

    def log(self):
        return self.server.log()


class Caller:
    """Calls of one thread: a connection to each issuer that stays open."""

    def __init__(self, issuers, credential, dice):
        self.issuers, self.credential, self.dice, self.open = issuers, credential, dice, {}

    def __call__(self, method, path, body=None, credential=None, issuer=None):
        """(verdict, answer, issuer): made, failed or doubt; answer is None when there was none."""
        issuer = issuer or self.dice.choice([i for i in self.issuers if i.up] or self.issuers)
        life = issuer.life
        try:
            connection = self.connect(issuer)
        except OSError:
            return "failed", None, issuer
        headers = {"Authorization": "Bearer " + (credential or self.credential)}
        if credential == "":
            headers = {}
        text = None
        if body is not None:
            text, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, path, body=text, headers=headers)
            got = connection.getresponse()
            answer = Answer(got.status, got.getheaders(), got.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException):
            self.open.pop(issuer, (None, connection))[1].close()
            return "doubt", None, issuer
        if issuer.life != life or got.will_close:
            self.open.pop(issuer, (None, connection))[1].close()
        return self.verdict(answer), answer, issuer

    def connect(self, issuer):
        life, connection = self.open.get(issuer, (None, None))
        if life != issuer.life:
            connection = http.client.HTTPConnection("127.0.0.1", issuer.port, timeout=60)
            life = issuer.life
            connection.connect()
            self.open[issuer] = life, connection
        return connection

    @staticmethod
    def verdict(answer):
        if 200 <= answer.status < 300:
            return "made"
        if answer.status == 503 and "may have been made" in answer.body:
            return "doubt"
        assert answer.status != 500, answer.body
        return "failed"


class Edge:
    """A pull, and a server block of nginx that reads what it wrote."""

    def __init__(self, number, nginx):
        self.number = number
        self.dir = os.path.join(nginx.dir, "e%d" % number)
        os.mkdir(self.dir)
        share(self.dir, 0o2755)  # what pull makes belongs to the workers' group
        self.file = os.path.join(self.dir, "revoked")
        self.socket = os.path.join(nginx.dir, "in%d" % number)
        self.pull = None

    def start_pull(self, issuers, key_file, *args, env=None):
        self.log_path = os.path.join(self.dir, "log")
        log = open(self.log_path, "ab")
        words = [word for i in issuers for word in ("--from", "http://127.0.0.1:%d" % i.port)]
        self.pull = subprocess.Popen([PROGRAM, "pull", *words, "--to", self.file, "--key-file", key_file, "--every",
                                      "%ds" % EVERY, *args], stdout=log, stderr=log, env=env)

    def stop(self):
        if self.pull and self.pull.poll() is None:
            self.pull.terminate()
            assert self.pull.wait(timeout=120) == 0, self.log()[-2000:]

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def snapshot(self):
        with open(self.file, "rb") as f:
            return f.read()

    def ask(self, token):
        """(status, sequence of what it decided by, its age and the result)"""
        answer = ask(self.socket, "/a", ["Authorization: Bearer " + token])
        sequence, age = (answer.header("X-Feed") or "").split()
        return answer.status, int(sequence or 0), age + " s, " + str(answer.header("X-Result"))


PLACE = "subtoken on; subtoken_require account; location = /a { alias %(dir)s/a; }"


class Edges:
    """nginx with so many edges; issuers is set, and pulls are started, before it starts."""

    def __init__(self, count):
        # The one of nginx.py makes the ring, and a DATA that nobody uses but for it.
        self.nginx = n = Nginx(feed=False)
        self.ring = datadir.secrets_of(n.data)
        self.all = [Edge(i, n) for i in range(count)]
        places = "".join("server { listen unix:%s; subtoken_revocations %s; %s }" % (e.socket, e.file, PLACE)
                         for e in self.all)
        n.feed.path = self.all[0].file if self.all else n.feed.path
        n.configure(server=PLACE, http='subtoken_max_age %ds; add_header X-Feed "$subtoken_feed_sequence '
                    '$subtoken_feed_age" always; %s' % (MAX_AGE, places))
        with open(os.path.join(n.dir, "a"), "w") as f:
            f.write("ok")

    def start(self, issuers, key):
        key_file = private_file(key + "\n")
        for edge in self.all:
            edge.start_pull(issuers, key_file)
        wait(lambda: all(os.path.exists(e.file + ".alive") for e in self.all), "the first pulls")
        self.nginx.start()

    def stop(self, kind=None):
        for edge in self.all:
            edge.stop()
        if hasattr(self.nginx, "process"):
            self.nginx.__exit__(kind, None, None)

    def refuse(self, token, status=401, seconds=60, edges=None):
        """How long until all of them do."""
        began = time.time()
        for edge in edges or self.all:
            wait(lambda: edge.ask(token)[0] == status, "edge %d answers %d" % (edge.number, status), seconds)
        return time.time() - began


class Fleet:
    """A primary, a standby, two issuers, edges."""

    def __init__(self, edges=8, synchronous=True, standby=True, durable=False, sqlite=False, env=(None, None), **settings):
        self.edges = Edges(edges)
        self.names = itertools.count(1)
        self.synchronous, self.durable, self.clusters = synchronous, durable, []
        if sqlite:
            data = os.path.join(scratch(), "var")
            self.issuers = [Issuer(i, self.edges.ring, data=data) for i in range(2)]
        else:
            self.primary = Cluster(durable=durable).start()
            self.clusters = [self.primary] + ([self.new_standby()] if standby else [])
            self.standby = self.clusters[-1] if standby else None
            self.database = self.primary.database("fleet")
            self.issuers = [Issuer(i, self.edges.ring, self.clusters, self.database, env=env[i], **settings) for i in range(2)]

    def new_standby(self):
        return self.primary.standby("s%d" % next(self.names), self.synchronous, self.durable)

    def __enter__(self):
        try:
            for issuer in self.issuers:
                issuer.start()
            data = self.issuers[0].data
            self.manager = make_key(data, "keys,users,audit,account", name="manager")["key"]
            self.reader = make_key(data, "revocations", name="reader")["key"]
            self.edges.start(self.issuers, self.reader)
        except BaseException:
            self.__exit__(AssertionError, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.edges.stop(kind)
        finally:
            if kind:
                self.show()
            for issuer in self.issuers:
                if issuer.up:
                    issuer.stop(None if kind else 0)
            for each in (*self.issuers,):
                each.close()
            for cluster in self.clusters:
                cluster.remove()

    def show(self):
        for issuer in self.issuers:
            print("# issuer %d:" % issuer.number)
            for line in [l for l in issuer.log().splitlines() if '"event":"request"' not in l][-25:]:
                print("#   " + line[:300])

    # ---- what fails ----

    def restart(self, issuer, after=0.5):
        issuer.kill()
        time.sleep(after)
        issuer.start()

    def fail_over(self, meanwhile=None):
        """The primary's machine goes, the standby is promoted, and gets a standby of its own. meanwhile(when): is called
        after the promotion."""
        old = self.clusters.index(self.primary)
        self.primary.kill()
        self.standby.promote()
        if meanwhile:
            meanwhile(time.time())
        self.primary.remove()
        self.primary = self.standby
        self.standby = self.clusters[old] = self.new_standby()
        for issuer in self.issuers:
            issuer.proxies[old].target = self.standby.port


def said(issuer, event):
    return [l for l in issuer.server.log_lines() if l["event"] == event]
