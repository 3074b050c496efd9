"""A real nginx with the module, an upstream that tells what it was sent, and a client that sends bytes as
they are. Everything listens on sockets in the file system: no port to lose to another test."""
import grp, socketserver, threading
from feed import FeedFiles, replace
from support import *

BUILD = os.path.dirname(PROGRAM)
# It has one thread, and is built plain and for the address sanitizer only.
MODULE = os.path.join(os.path.dirname(BUILD) if SANITIZER == "tsan" else BUILD,
                      "ngx_http_subtoken_module.so")
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
ROOT = os.geteuid() == 0


def shared_dir():
    """A directory that the worker can look into; short, because sockets lie in it."""
    d = scratch()
    os.chmod(d, 0o755)
    return d


def module_env():
    """The environment of an nginx with the module."""
    env = dict(os.environ)
    if SANITIZER == "asan":  # nginx itself is not built with it: the library has to come first
        lib = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True)
        env["LD_PRELOAD"] = lib.stdout.strip()
        # What nginx keeps to its end is its own; what the module loses, its memory shows (see leaks).
        env["ASAN_OPTIONS"] = "detect_leaks=0:quarantine_size_mb=1"
    return env


def share(path, mode=0o640):
    """As an operator gives a ring to the workers' group."""
    if ROOT:
        os.chown(path, 0, grp.getgrnam("www-data").gr_gid)
    os.chmod(path, mode)


class Upstream(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers every request with what it was: {"method", "target", "headers": [[name, value]], "body"}.
    answer, if set, is asked first: (status, [(name, value)], body) or None. only_first: a connection ends with its
    second request, unanswered."""
    daemon_threads = True
    request_queue_size = 512
    only_first = False

    def __init__(self, path, answer=None):
        self.seen, self.answer, self.path, self.connections, self.open = [], answer, path, 0, []
        super().__init__(path, Connection)
        os.chmod(path, 0o666)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def get_request(self):
        self.open.append(super().get_request())
        return self.open[-1]

    def vanish(self):
        """Nobody listens any more, and no connection is left."""
        self.shutdown()
        self.server_close()
        os.unlink(self.path)
        for request, _ in self.open:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request, address):
        pass  # nginx may close a connection at any time


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        while self.one():
            pass

    def one(self):
        line = self.rfile.readline()
        if not line:
            return False
        method, target, _ = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
        headers = []
        while True:
            line = self.rfile.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                break
            headers.append(line.split(": ", 1) if ": " in line else [line.rstrip(":"), ""])
        lower = {n.lower(): v for n, v in headers}
        body = self.rfile.read(int(lower.get("content-length", 0)))
        self.count = getattr(self, "count", 0) + 1
        if self.server.only_first and self.count > 1:
            return False
        asked = {"method": method, "target": target, "headers": headers, "body": body.decode("latin-1")}
        self.server.seen.append(asked)
        status, extra, text = 200, [], json.dumps(asked)
        if self.server.answer:
            status, extra, text = self.server.answer(asked) or (status, extra, text)
        out = "HTTP/1.1 %d Said\r\nContent-Length: %d\r\n" % (status, len(text.encode()))
        last = lower.get("connection") == "close"
        out += "".join("%s: %s\r\n" % pair for pair in extra) + ("Connection: close\r\n" if last else "") + "\r\n"
        self.wfile.write(out.encode("latin-1") + (b"" if method == "HEAD" else text.encode()))
        return not last


def nonce(asked):
    """The header in which the decision endpoint repeats what it was sent."""
    sent = [v for n, v in asked["headers"] if n.lower() == "x-subtoken-nonce"]
    return [("X-Subtoken-Nonce", v) for v in sent]


class Endpoint:
    """A stub of the decision endpoint, which counts and can be told what to say. For Upstream."""

    def __init__(self):
        self.asked, self.say = [], {}

    def __call__(self, asked):
        if asked["target"] != "/v2/authorize":
            return None
        headers = {k.lower(): v for k, v in asked["headers"]}
        self.asked.append((asked["method"], headers, asked["body"]))
        who = headers.get("authorization") or "key " + headers.get("x-api-key", "")
        if who == "key " and "x-case" in headers:
            who = "anybody " + headers["x-case"]
        status, extra = self.say.get(who, (401, {}))
        return status, nonce(asked) + list(extra.items()), "words"


class Client:
    """A connection on which requests are sent as bytes."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, target, method="GET", headers=(), body=None):
        lines = [b"%s %s HTTP/1.1" % (method.encode(), target.encode("latin-1")), b"Host: api.example"]
        lines += [h.encode("latin-1") for h in headers]
        if body is not None and not any(h.startswith("Transfer-Encoding") for h in headers):
            lines.append(b"Content-Length: %d" % len(body))
        self.socket.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))

    def receive(self, head=False):
        line = self.file.readline().decode("latin-1")
        assert line.startswith("HTTP/1.1 "), line
        status, headers = int(line.split()[1]), []
        while True:
            line = self.file.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                break
            headers.append(tuple(line.split(": ", 1)))
        if status == 100:
            return self.receive(head)
        answer = Answer(status, headers, "")
        if answer.header("Transfer-Encoding") == "chunked":
            text = b""
            while True:
                size = int(self.file.readline(), 16)
                text += self.file.read(size)
                self.file.readline()
                if size == 0:
                    break
        else:
            length = 0 if head or status in (204, 304) else int(answer.header("Content-Length"))
            text = self.file.read(length)
        answer.body = text.decode("latin-1")
        return answer


class Nginx:
    """nginx in front of an upstream; server and http are pieces of configuration, in which %(name)s
    stands for dir, data, secrets, feed, upstream, www."""

    def __init__(self, server="", http="", main="", answer=None, workers=1, feed=True):
        self.dir = shared_dir()
        self.data = data_dir()
        self.key = make_key(self.data, "account,inventories,characters,history_api,database_api")
        self.secrets = os.path.join(self.dir, "secrets")
        shutil.copy(os.path.join(self.data, "secrets"), self.secrets)
        share(self.secrets)
        self.signer = read_ring(self.secrets)[0]
        self.feed = FeedFiles(os.path.join(self.dir, "revoked"), self.signer)
        if feed:
            self.feed.publish(["nobody"])
        self.upstream = Upstream(os.path.join(self.dir, "up"), answer)
        self.socket = os.path.join(self.dir, "in")
        self.conf = os.path.join(self.dir, "nginx.conf")
        self.pieces = {"server": server, "http": http, "main": main, "workers": workers}
        self.configure()

    def configure(self, **changed):
        self.pieces.update(changed)
        names = {"dir": self.dir, "secrets": self.secrets, "feed": self.feed.path, "up": self.upstream.path}
        text = """load_module %(module)s; pid %(dir)s/pid; error_log %(dir)s/error.log info;
        worker_processes %(workers)d; %(user)s env LD_PRELOAD; env ASAN_OPTIONS; %(main)s
        events { worker_connections 512; }
        http {
          access_log %(dir)s/access.log; add_header X-Result $subtoken_result always;
          client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3;
          uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
          subtoken_secrets %(secrets)s; subtoken_revocations %(feed)s;
          proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
          upstream api { server unix:%(up)s; keepalive 8; }
          %(http)s
          server { listen unix:%(dir)s/in;
          %(server)s
          }
        }
        """
        for name in ("http", "server", "main"):
            text = text.replace("%%(%s)s" % name, self.pieces[name])
        for name in re.findall(r"%\(\w+\)[sd]", text):
            value = dict(names, module=MODULE, workers=self.pieces["workers"],
                         user="user www-data;" if ROOT else "")[name[2:-2]]
            text = text.replace(name, str(value))
        with open(self.conf, "w") as f:
            f.write(text)
        return self

    def command(self):
        return [NGINX, "-p", self.dir, "-c", self.conf], module_env()

    def check(self):
        """nginx -t: (exit code, what it says)."""
        cmd, env = self.command()
        p = subprocess.run(cmd + ["-t"], capture_output=True, env=env, timeout=60)
        return p.returncode, p.stderr.decode("utf-8", "replace")

    def start(self):
        cmd, env = self.command()
        self.out = open(os.path.join(self.dir, "out"), "ab")
        self.process = subprocess.Popen(cmd + ["-g", "daemon off;"], env=env, stdout=self.out,
                                        stderr=self.out)
        wait(lambda: self.process.poll() is not None or self.answers(), "nginx answers")
        assert self.process.poll() is None, self.errors()
        return self

    def answers(self):
        try:
            Client(self.socket).close()
            return True
        except OSError:
            return False

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGQUIT)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("nginx did not stop: %s" % self.errors()[-3000:])
        self.upstream.shutdown()
        self.upstream.server_close()
        # "nobody" is a socket at which nobody listens.
        text = "".join(l for l in self.errors().splitlines(True) if "/nobody" not in l)
        for bad in ("Sanitizer", "runtime error", "[alert]", "[crit]", "exited on signal"):
            assert bad not in text, text[-6000:]
        assert code == 0 or kind, (code, text[-3000:])

    def errors(self):
        out = ""
        for name in ("error.log", "out"):
            path = os.path.join(self.dir, name)
            if os.path.exists(path):
                out += open(path, errors="replace").read()
        return out

    def log(self, name="access.log"):
        return open(os.path.join(self.dir, name), errors="replace").read()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def workers(self):
        children = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        return [int(x) for x in open(children).read().split()]

    def ask(self, target, *headers, token=None, method="GET", body=None):
        client = Client(self.socket)
        try:
            headers = list(headers) + ["Connection: close"]
            if token is not None:
                headers.append("Authorization: Bearer " + token)
            client.send(target, method, headers, body)
            self.last = client.receive(method == "HEAD")
            return self.last
        finally:
            client.close()

    def status(self, target, *headers, **more):
        return self.ask(target, *headers, **more).status

    def token(self, *args):
        if "--permissions" not in args:
            args += ("--permissions", "account,inventories")
        return issue(self.data, self.key["key"], *args)


def jwt(signer, claims, header=None):
    """A token of any claims, signed by hand; signer: (kid, secret)."""
    kid, secret = signer
    return sign(secret, claims, header or {"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})})


def sub_of(token):
    return payload(token)["sub"]


# ---- what the tests of the module share ----

UP = "location / { proxy_pass http://api; }"
ON = "subtoken on; " + UP
INVALID = '{"text":"Invalid access token"}'


def echoed(answer):
    assert answer.status == 200, (answer.status, answer.headers, answer.body)
    return json.loads(answer.body)


def sent(answer, name):
    """What the upstream was sent as this header, or None."""
    found = [v for n, v in echoed(answer)["headers"] if n.lower() == name.lower()]
    assert len(found) < 2, found
    return found[0] if found else None


def policy(n, data, name="policy.json"):
    path = os.path.join(n.dir, name)
    replace(path, (data if isinstance(data, str) else json.dumps(data)).encode())
    os.chmod(path, 0o644)
    return path


def word(n):
    """$subtoken_result of the last request."""
    return n.last.header("X-Result")


def identity(headers):
    """What an upstream takes for the identity: any spelling that it may fold to X-Subtoken-*."""
    return {re.sub(r"[^A-Za-z0-9]", "-", n).title(): v for n, v in headers
            if re.match(r"x[^a-z0-9]subtoken[^a-z0-9]", n, re.I)}


def told(answer):
    headers = echoed(answer)["headers"]
    count = sum(1 for n, _ in headers if re.match(r"x[^a-z0-9]subtoken[^a-z0-9]", n, re.I))
    found = identity(headers)
    assert count == len(found), headers
    return found


def of_token(token):
    claims = payload(token)
    return {"X-Subtoken-Sub": claims["sub"], "X-Subtoken-Permissions": ",".join(claims["permissions"]),
            "X-Subtoken-Expires": str(claims["exp"])}


KEY = {"X-Subtoken-Sub": "k" * 43, "X-Subtoken-Key": "ID", "X-Subtoken-Owner": "o",
       "X-Subtoken-Permissions": "account", "X-Subtoken-Expires": "9999999999"}
ASK = """location = /ask { internal; subtoken off; proxy_pass http://api/v2/authorize; }
         location = /ask-nobody { internal; subtoken off; proxy_pass http://unix:%(dir)s/nobody:; }"""
FORGED = ["X-Subtoken-Sub: root", "x-SUBTOKEN-key: root", "X_Subtoken_Sub: root", "X-Subtoken_Owner: root",
          "X_SUBTOKEN-PERMISSIONS: all", "x-subtoken-expires: 9", "X-Subtoken-Other: root", "X-Subtoken-: root"]
ODD = ["X.Subtoken.Sub: root", "X-Subtoken.Owner: root", "X~Subtoken-Sub: root"]
LOOSE = "underscores_in_headers on; ignore_invalid_headers off;"


def with_endpoint(server, http="", **more):
    end = Endpoint()
    end.say["Bearer KEY"] = (200, KEY)
    return Nginx(server + ASK, http=http, answer=end, **more), end
