"""What all end-to-end tests share: a real server on a real socket, the real commands, curl, tokens signed by hand, and
TAP. A test file is run as `python3 tests/e2e/test_x.py PROGRAM [NAME...]`. Beside it: as_curl.py (curl, and what is sent without it), datadir.py (DATA and its files),
commands.py (what `verify` says), calls.py (the service's calls), feed.py (revocation data), machine.py (how busy it
is), upstream.py (both sides of a proxy), nginx.py (nginx with the module), proxies.py (the examples), relay.py (one of
them), installed.py (what `make install` leaves), transcripts.py (what documents show), manpages.py (the manual), grants.py (the model of test_property.py),
lives.py (that of test_lives.py) and edge_site.py (a server and edges of each kind), postgres.py (clusters),
openapi.py (every answer against the API's description), breaking_proxy.py, fleet.py and fleet_model.py (several issuers, and what fails), mcp.py (clients and servers of the
Model Context Protocol), packages.py (of npm), mcp_front.py, mcp_refusals.py and mcp_example.py (for test_mcp.py)."""
import atexit, base64, fnmatch, glob, hashlib, hmac, json, os, re, shutil, signal, socket, subprocess, sys, tempfile
import time, traceback
import as_curl, openapi

PROGRAM = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/subtoken")
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Which build this is: address and thread sanitizers are slower, and some figures
# of a test (how many rounds) follow from that; what is asserted never does.
SANITIZER = next((s for s in ("asan", "tsan") if "/%s/" % s in PROGRAM), "")
# Changes the clock of a program that preloads it; None where it is not installed.
# It waits on conditions where the thread sanitizer does not see that the lock is open meanwhile.
FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or [None])[0] if SANITIZER != "tsan" else None
PASSWORD = "correct horse"
# "postgres": what data_dir() gives lies in a database of its own, in PostgreSQL. Else in SQLite.
STORE = os.environ.get("SUBTOKEN_TEST_STORE", "")
STALENESS = 2  # seconds: a server has heard of what another process changed (the setting's 1, and a busy machine)
_tests = []
_dirs, _servers = [], []
_shared = {}
# Who runs this in the background or under nohup has these ignored, and so would all it starts.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


@atexit.register
def _clean():
    for server in _servers:  # what a test that failed, or had no end, left running
        if server.poll() is None:
            server.kill()
            server.wait()
    for d in _dirs:
        shutil.rmtree(d, ignore_errors=True)


def scratch(under=None):
    d = tempfile.mkdtemp(prefix="subtoken-test-", dir=under)
    _dirs.append(d)
    return d


def data_dir():
    """A DATA directory that does not exist yet; on PostgreSQL it has the settings that name its database."""
    data = os.path.join(scratch(), "var")
    if STORE == "postgres":
        import postgres
        on_store(data, postgres.shared().uri(postgres.shared().database()))
    return data


def on_store(data, uri, **settings):
    """DATA whose commands and servers use the store at uri, a URI of libpq."""
    os.makedirs(data, mode=0o700, exist_ok=True)
    with open(os.open(os.path.join(data, "config.json"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
        json.dump(dict(settings, store=uri), f)


def store_of(data):
    """The setting `store` of DATA, or None: SQLite."""
    try:
        with open(os.path.join(data, "config.json")) as f:
            return json.load(f).get("store")
    except OSError:
        return None


def let_others_learn():
    """On PostgreSQL a change by another process is in force in a server within store_staleness."""
    if STORE:
        time.sleep(2)


def private_file(text, name="file"):
    """A new file that its owner alone may read."""
    path = os.path.join(scratch(), name)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(text)
    return path


def fill_disk(folder):
    """To the last byte; the file that does it."""
    filler = os.path.join(folder, "filler")
    fd = os.open(filler, os.O_CREAT | os.O_WRONLY, 0o600)
    for block in (65536, 4096, 512, 1):
        try:
            while True:
                os.write(fd, b"x" * block)
        except OSError:
            pass
    os.close(fd)
    return filler


def db_of(data):
    return os.path.join(data, "subtoken.db")


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def wait(condition, what="it happens", seconds=120):
    """Never by timing: as long as it takes, up to a limit that only a failure reaches."""
    deadline = time.time() + seconds
    while time.time() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("not within %d s: %s" % (seconds, what))


# ---- commands ----

def run(*args, stdin=b"", data=None, check=None, env=None, timeout=120, prefix=()):
    """Run a command; returns (exit code, stdout, stderr) as text."""
    cmd = list(prefix) + [PROGRAM] + list(args) + (["--data", data] if data else [])
    p = subprocess.run(cmd, input=stdin if isinstance(stdin, bytes) else stdin.encode(),
                       capture_output=True, timeout=timeout, env=env)
    out, err = p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert p.returncode in ((0, 1, 2, 3) if check is None else (check,)), (args, p.returncode, out, err)
    if STORE and not {"create", "list", "show", "issue", "verify", "inspect"}.intersection(args[:2]):
        time.sleep(0.1)  # a server hears of the change by a notification
    return p.returncode, out, err


def objects(text):
    """What --json prints of a list: an object a line."""
    assert text == "" or text.endswith("\n"), text[-200:]
    return [json.loads(line) for line in text.split("\n")[:-1]]


def make_key(data, permissions="account,inventories,characters", *extra, name="test"):
    return json.loads(run("key", "create", "--name", name, "--permissions", permissions, "--json",
                          *extra, data=data, check=0)[1])


def make_user(data, name="alice", permissions="account,inventories", password=PASSWORD):
    run("user", "create", name, "--permissions", permissions, stdin=password + "\n", data=data, check=0)


def issue(data, credential, *args):
    return run("issue", *args, stdin=credential, data=data, check=0)[1].strip()


# ---- servers ----

class Server:
    """`subtoken serve` on a free port of loopback. Use with `with`. It has as many threads as config or the settings in
    DATA say, and without them few, which start quickly: with `threads = None` as many as users have."""
    threads = 32

    def __init__(self, data=None, config=None, args=(), prefix=(), env=None, preexec=None):
        self.data = data or data_dir()
        self.dir = scratch()
        self.log_path = os.path.join(self.dir, "stderr")
        self.config_path = None
        args = list(args)
        if config is not None:
            self.config_path = os.path.join(self.dir, "config.json")
            self.write_config(config)
            args += ["--config", self.config_path]
        self.cmd = list(prefix) + [PROGRAM, "serve", "--data", self.data, "--listen",
                                   "127.0.0.1:0"] + args
        self.env, self.preexec = env, preexec

    def write_config(self, config):
        if isinstance(config, dict):
            for name, value in (("threads", self.threads), ("store", store_of(self.data))):
                config = config if name in config or not value else {**config, name: value}
        with open(self.config_path, "w") as f:
            f.write(config if isinstance(config, str) else json.dumps(config))

    def start(self):
        told = "--config" in self.cmd or os.path.exists(os.path.join(self.data, "config.json"))
        if self.threads and not told and not self.preexec:  # another user could not read it
            self.config_path = os.path.join(self.dir, "config.json")
            self.write_config({})
            self.cmd += ["--config", self.config_path]
        self.stderr = open(self.log_path, "ab")
        self.stdout_path = os.path.join(self.dir, "stdout")
        self.process = subprocess.Popen(self.cmd, stdout=open(self.stdout_path, "ab"),
                                        stderr=self.stderr, env=self.env, preexec_fn=self.preexec)
        _servers.append(self.process)
        deadline = time.time() + 120
        while time.time() < deadline:
            found = re.findall(r'"listening","detail":"http://[^"]*:(\d+)"', self.log())
            if len(found) > self.__dict__.get("starts", 0):
                self.starts = len(found)
                self.port = int(found[-1])
                self.url = "http://127.0.0.1:%d" % self.port
                openapi.watch(self.port)
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError("the server did not start: %s" % self.log())

    def stop(self, expect=0, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server did not stop")
        self.stderr.close()
        openapi.forget(self.__dict__.get("port"))
        text = self.log()
        assert "Sanitizer" not in text and "runtime error" not in text, text[-6000:]
        if expect is not None:
            assert code == expect, (code, text[-3000:])

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def requests(self, count=1):
        """The log's lines about requests, once there are so many."""
        found = []
        wait(lambda: found.clear() or found.extend(l for l in self.log_lines() if l["event"] == "request")
             or len(found) >= count, "%d requests in the log" % count)
        return found

    def log_lines(self):
        """The JSON lines, once the log's thread has written them."""
        time.sleep(0.05)
        return [json.loads(l) for l in self.log().split("\n")[:-1] if l.startswith("{")]  # the last may be half there

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        self.stop(expect=None if kind else 0)


class SmallServer(Server):
    """For files with many servers: one that has never been asked anything takes 2 s to stop."""
    threads = 16

    def stop(self, *args, **options):
        try:
            if self.process.poll() is None:
                curl(self.url + "/healthz", timeout=10)
        except (AssertionError, AttributeError):
            pass
        super().stop(*args, **options)


def over_the_rate(ask):
    """The first answer that is a 429: one of few, unless the machine takes longer for each than the rate allows."""
    return next(a for a in (ask() for _ in range(50)) if a.status == 429)


def shared_server():
    """(server, key): one for all tests of a file but those that need their own."""
    if not _shared:
        s = Server()
        _shared["key"] = make_key(s.data)["key"]
        _shared["server"] = s.start()
    return _shared["server"], _shared["key"]


def stop_shared_server():
    _shared.pop("server").stop()


# ---- a client ----

class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


def curl(url, *args, stdin=None, timeout=120):
    """What curl is answered with the arguments as they are."""
    status, headers, body = as_curl.ask(url, args, stdin, timeout)
    answer = Answer(status, headers, body.decode())
    openapi.curl_answered(url, args, answer)
    return answer


def request(target="/v2/tokeninfo", method="GET", headers=(), body=None, key=None):
    """A request's bytes, for those who send them as they are."""
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: api.test", *headers]
    if key:
        lines.append("Authorization: Bearer " + key)
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def bearer(credential):
    return ["-H", "Authorization: Bearer " + credential]


# ---- tokens and rings ----

HEADER = '{"alg":"HS256","typ":"JWT"}'


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def payload(token):
    """Decoded as clients do: as standard base64."""
    part = token.split(".")[1]
    return json.loads(base64.b64decode(part + "=" * (-len(part) % 4)))


def sign(secret, claims, header=HEADER):
    """A token by hand. claims: a dict, or JSON text, or bytes."""
    if isinstance(claims, dict):
        claims = json.dumps(claims, separators=(",", ":"))
    if isinstance(claims, str):
        claims = claims.encode()
    if isinstance(header, dict):
        header = json.dumps(header)
    text = b64(header.encode()) + "." + b64(claims)
    return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def forged(token):
    """Another signature, whatever the token's own is."""
    return token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]


def read_ring(path):
    """[(kid, secret)] of a file of secrets."""
    with open(path) as f:
        pairs = [line.partition(":") for line in f.read().split()]
    return [(kid, unb64(text)) for kid, _, text in pairs]


# ---- TAP ----

def test(function):
    _tests.append(function)
    return function


def main():
    only = sys.argv[2:]  # names, or patterns with * and ?
    failed = 0
    chosen = [f for f in _tests
              if not only or any(fnmatch.fnmatch(f.__name__, name) for name in only)]
    if not chosen:
        sys.exit("no test is named %s; there are:\n  %s" % (
            " ".join(only), "\n  ".join(f.__name__ for f in _tests)))
    openapi.begin()
    print("1..%d" % len(chosen), flush=True)
    for number, f in enumerate(chosen, 1):
        began = time.time()
        try:
            skip = f()
            wrong = openapi.failures()
            assert not wrong, "answers that are not as src/page/openapi.json says:\n" + "\n".join(wrong[:10])
            done = "ok %d - %s" % (number, f.__name__)
            if isinstance(skip, str):
                done += " # SKIP " + skip
        except Exception:
            failed += 1
            openapi.failures()  # of this test alone
            done = "not ok %d - %s" % (number, f.__name__)
            for line in traceback.format_exc().splitlines():
                print("# " + line[:2000])
        print("%s # %.1f s" % (done, time.time() - began) if "#" not in done else done, flush=True)
    sys.exit(1 if failed else 0)
