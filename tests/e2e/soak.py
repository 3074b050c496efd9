"""What test_soak.py is made of: a site (a server whose DATA is on a small disk, `pull`, nginx with the module), its clients,
and what is watched meanwhile: memory, descriptors, threads, latency, and what the counters of the metrics tell."""
import collections, http.client, itertools, random, statistics
from metrics_text import read_metrics
from nginx import *

PLACE = "subtoken on; subtoken_require account; location = /a { alias %(dir)s/a; }"
STATUS = "server { listen unix:%(dir)s/status; location = /metrics { subtoken_status; } }"
MAX_AGE = 20  # seconds that an edge decides by what it has
CACHE = 1  # MiB of keys that a server remembers: those of the default would take hours until they are full, and grow until then
DISK = 512  # MiB of the small disk: what hours leave in the store has room
ROUTES = ("/v2/createsubtoken", "/v2/tokeninfo", "/v2/authorize/*", "/v2/keys", "/v2/keys/*")  # asked by our clients alone


def memory_of(pid):
    """(resident KiB, descriptors, threads). Without the program's own tables, whose size is fixed, behind what its file
    brings (.bss): they fill for as long as there are keys that were not seen before."""
    size, before, tables = 0, "", False
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            fields = line.split()
            if not fields[0].endswith(":"):
                name = fields[5] if len(fields) > 5 else ""
                tables, before = not name and before.startswith("/"), name
            elif fields[0] == "Anonymous:" and not tables:
                size += int(fields[1])
    threads = re.search(r"Threads:\s+(\d+)", open("/proc/%d/status" % pid).read())[1]
    return size, len(os.listdir("/proc/%d/fd" % pid)), int(threads)


class Logged(Server):
    """A server whose log is a file of its own, which is rotated."""

    def __init__(self, data, log, config):
        super().__init__(data, dict(config, log=log))
        self.file = log

    def log(self, since=0):
        text = super().log()
        if os.path.exists(self.file):
            with open(self.file, "rb") as f:
                f.seek(since)
                text += f.read().decode("utf-8", "replace")
        return text

    def rotate(self):
        os.replace(self.file, self.file + ".1")
        self.process.send_signal(signal.SIGUSR1)
        wait(lambda: os.path.exists(self.file), "the new log")


class Site:
    """subtoken_status counts what nginx decided; each client counts what it was answered."""

    def __init__(self):
        self.disk = scratch()
        mounted = ROOT and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm,mode=700" % DISK, "none", self.disk], capture_output=True)
        self.small = bool(mounted) and mounted.returncode == 0
        self.full, self.kids, self.filled, self.freed = threading.Event(), [], 0.0, 0.0
        self.data = os.path.join(self.disk, "var")
        self.server = Logged(self.data, os.path.join(scratch(), "log"), {
            "threads": 32, "metrics_listen": "127.0.0.1:0", "keys_per_owner": 1000000, "store_cache": CACHE,
            "default_life": "2m", "max_life": "2m"})  # a key that ended leaves the list so soon: it would grow for ever
        self.nginx = Nginx(PLACE, "subtoken_max_age %ds; " % MAX_AGE + STATUS, data=self.data, feed=False, workers=2)
        with open(os.path.join(self.nginx.dir, "a"), "w") as f:
            f.write("ok")

    def __enter__(self):
        self.server.start()
        text = self.server.log()
        self.metrics_port = int(re.findall(r'"metrics_listening","detail":"http://[^"]*:(\d+)"', text)[-1])
        self.kids = [kid for kid, _ in read_ring(os.path.join(self.data, "secrets"))]
        self.manager = make_key(self.data, "keys,account,introspect", name="manager")["key"]
        reader = private_file(make_key(self.data, "revocations", name="reader")["key"] + "\n")
        share(self.nginx.dir, 0o2755)
        self.pull_log = open(os.path.join(scratch(), "pull"), "ab")
        self.pull = subprocess.Popen([PROGRAM, "pull", "--from", self.server.url, "--to", self.nginx.feed.path, "--key-file", reader],
                                     stdout=self.pull_log, stderr=self.pull_log)
        wait(lambda: os.path.exists(self.nginx.feed.path + ".alive"), "the first pull")
        self.nginx.start()
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.nginx.__exit__(kind, value, trace)
            self.pull.terminate()
            assert self.pull.wait(30) == 0 or kind
            self.server.stop(None if kind else 0)
        finally:
            if self.small:
                subprocess.run(["umount", "-l", self.disk], check=True)

    def processes(self):
        named = {"server": self.server.process.pid, "pull": self.pull.pid, "nginx": self.nginx.process.pid}
        named.update(("worker %d" % i, pid) for i, pid in enumerate(sorted(self.nginx.workers())))
        return named

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=60)
        try:
            connection.request("GET", "/metrics")
            return read_metrics(connection.getresponse().read().decode())
        finally:
            connection.close()

    def nginx_metrics(self):
        answer = ask(os.path.join(self.nginx.dir, "status"), "/metrics")
        assert answer.status == 200, answer.body
        return read_metrics(answer.body)

    # ---- what happens meanwhile ----

    def rotate_secret(self):
        """Each edge has a new one before it signs. The oldest of five is retired: no client keeps a token for so long."""
        path = os.path.join(self.data, "secrets")
        before = {kid for kid, _ in read_ring(path)}
        run("secret", "add", data=self.data, check=0)
        (new,) = {kid for kid, _ in read_ring(path)} - before
        self.reload()
        self.to_edge()
        run("secret", "promote", new, data=self.data, check=0)
        self.kids.append(new)
        if len(self.kids) > 4:
            run("secret", "retire", self.kids.pop(0) or "-", "--force", data=self.data, check=0)
        self.reload()

    def to_edge(self):
        replace(self.nginx.secrets, open(os.path.join(self.data, "secrets"), "rb").read())
        share(self.nginx.secrets)
        old = self.nginx.workers()
        self.nginx.reload()
        wait(lambda: not set(old) & set(self.nginx.workers()), "workers with the new ring")

    def reload(self):
        end = os.path.getsize(self.server.file)
        self.server.process.send_signal(signal.SIGHUP)
        wait(lambda: '"reloaded"' in self.server.log(end), "a reload")

    def rotate_logs(self):
        self.server.rotate()
        for name in ("access.log", "error.log"):
            path = os.path.join(self.nginx.dir, name)
            os.replace(path, path + ".1")
        self.nginx.process.send_signal(signal.SIGUSR1)
        wait(lambda: os.path.exists(os.path.join(self.nginx.dir, "access.log")), "nginx's new log")

    def fill_disk(self, calm):
        """Full for a while; and what asks for room is told so."""
        self.filled = time.monotonic()
        self.full.set()
        filler = fill_disk(self.disk)
        calm()
        os.remove(filler)
        self.freed = time.monotonic()
        wait(lambda: self.ready() == 200, "it is well again")
        self.full.clear()

    def history(self):
        """What a failure has to be explained by."""
        now = time.monotonic()
        events = [line for line in self.server.log().splitlines() if '"event":"request"' not in line or "/v2/revocations" in line]
        with open(self.pull_log.name, errors="replace") as f:
            pulled = f.read()
        files = ["%s %d in %d, of %.1f s" % (name, s.st_size, 512 * s.st_blocks, time.time() - s.st_mtime)
                 for folder in (self.data, os.path.dirname(self.nginx.feed.path)) for name in sorted(os.listdir(folder))
                 for s in [os.lstat(os.path.join(folder, name))]]
        return "full %s; filled %.1f s ago, freed %.1f s ago\n%s\nserver:\n%s\npull:\n%s" % (
            self.full.is_set(), now - self.filled, now - self.freed, "\n".join(files), "\n".join(events)[-4000:], pulled[-4000:])

    def ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        finally:
            connection.close()


class Client(threading.Thread):
    """Asks so many times a second, by a timetable that does not wait for slow answers, and holds each answer against what must
    come of it. answered: {(route, code): how many}."""

    def __init__(self, site, number, pace, done):
        super().__init__(daemon=True)
        self.site, self.dice, self.pace, self.done = site, random.Random(number), pace, done
        self.connection = http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=60)
        self.answered, self.edge, self.latency = collections.Counter(), collections.Counter(), []
        self.keys, self.ended, self.failure, self.number = [], collections.deque(maxlen=50), None, number

    def run(self):
        try:
            due = time.monotonic()
            for turn in itertools.count():
                if self.done.is_set():
                    return
                due = max(due + 1 / self.pace(), time.monotonic() - 1)
                if (late := due - time.monotonic()) > 0:
                    time.sleep(late)
                self.act(turn)
        except BaseException:
            self.failure = traceback.format_exc()

    def call(self, route, method, path, credential, body=None):
        headers = {"Authorization": "Bearer " + credential}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        began = time.monotonic()
        self.connection.request(method, path, body=body, headers=headers)
        got = self.connection.getresponse()
        text = got.read().decode()
        self.latency.append(time.monotonic() - began)
        self.answered[route, got.status] += 1
        return got.status, text

    def must(self, status, text, *allowed):
        assert status in allowed, (status, text[:300], allowed)

    def act(self, turn):
        draw = self.dice.random()
        if len(self.keys) < 4 or draw < 0.04 and len(self.keys) < 20:
            return self.make()
        key = self.dice.choice(self.keys)
        if draw < 0.08:
            return self.end(key)
        if draw < 0.30 or key["token"] is None:
            return self.token(key)
        if draw < 0.65:
            status, text = self.call("/v2/tokeninfo", "GET", "/v2/tokeninfo", key["token"])
            return self.must(status, text, 200)
        if draw < 0.75:
            status, text = self.call("/v2/authorize/*", "GET", "/v2/authorize/a", key["token"])
            return self.must(status, text, 200)
        if draw < 0.80 and self.ended:
            status, text = self.call("/v2/tokeninfo", "GET", "/v2/tokeninfo", self.ended[-1][1])
            return self.must(status, text, 401)
        self.at_edge(key)

    def make(self):
        uncertain = self.site.full.is_set()
        status, text = self.call("/v2/keys", "POST", "/v2/keys", self.site.manager, {"name": "soak %d" % self.number, "permissions": ["account"]})
        self.must(status, text, *((201, 503) if uncertain or self.site.full.is_set() else (201,)))
        if status == 201:
            self.keys.append(dict(json.loads(text), token=None))

    def end(self, key):
        uncertain = self.site.full.is_set()
        status, text = self.call("/v2/keys/*", "DELETE", "/v2/keys/" + key["id"], self.site.manager)
        self.must(status, text, *((200, 204, 503) if uncertain or self.site.full.is_set() else (200, 204)))
        if status == 503:
            return
        self.keys.remove(key)
        if key["token"]:
            self.ended.append((time.monotonic(), key["token"]))

    def token(self, key):
        status, text = self.call("/v2/createsubtoken", "GET", "/v2/createsubtoken?permissions=account&urls=/a,/v2/tokeninfo", key["key"])
        self.must(status, text, 200)
        key["token"] = json.loads(text)["subtoken"]

    def at_edge(self, key):
        if self.ended and self.dice.random() < 0.3:
            when, token = self.dice.choice(self.ended)
            status = self.ask_edge(token)
            late = time.monotonic() - when >= MAX_AGE + 2
            assert status == 401 or status == 200 and not late, (status, time.monotonic() - when, self.site.history())
        else:
            status = self.ask_edge(key["token"])
            assert status == 200, (status, self.site.history())

    def ask_edge(self, token):
        status = ask(self.site.nginx.socket, "/a", ["Authorization: Bearer " + token]).status
        self.edge[status] += 1
        return status


def adds_up(before, after, clients):
    """Each answer that a client had is in one counter of the server's metrics, and no other."""
    total = collections.Counter()
    for client in clients:
        total.update(client.answered)

    def grown(name, **labels):
        return sum(value - before.get(key, 0) for key, value in after.items()
                   if key[0] == name and all(dict(key[1]).get(k) == v for k, v in labels.items()))
    for route in ROUTES:
        for code in {c for r, c in total if r == route}:
            assert grown("subtoken_http_requests_total", route=route, code=str(code)) == total[route, code], (route, code, total)
        mine = sum(n for (r, _), n in total.items() if r == route)
        assert grown("subtoken_http_requests_total", route=route) == mine, route
        assert grown("subtoken_http_request_duration_seconds_count", route=route) == mine, route
        assert grown("subtoken_http_request_duration_seconds_bucket", route=route, le="+Inf") == mine, route
    made = total["/v2/createsubtoken", 200]
    assert grown("subtoken_tokens_issued_total") == made, (grown("subtoken_tokens_issued_total"), made)
    return sum(total.values())
