"""Both sides of a proxy: an upstream that tells what it was sent, stubs of the decision endpoint, a client that sends
bytes as they are, and what starts a proxy and waits for it. Most of it listens on sockets in the file system: no port
to lose to another test."""
import grp, socketserver, threading
from support import *

ROOT = os.geteuid() == 0


def shared_dir():
    """A directory that the worker can look into; short, because sockets lie in it."""
    d = scratch()
    os.chmod(d, 0o755)
    return d


def share(path, mode=0o640):
    """As an operator gives a ring to the workers' group."""
    if ROOT:
        os.chown(path, 0, grp.getgrnam("www-data").gr_gid)
    os.chmod(path, mode)


# ---- behind the proxy ----

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
        chunked = lower.get("transfer-encoding") == "chunked"
        body, trailers = self.chunks() if chunked else (self.rfile.read(int(lower.get("content-length", 0))), [])
        self.count = getattr(self, "count", 0) + 1
        if self.server.only_first and self.count > 1:
            return False
        asked = {"method": method, "target": target, "headers": headers, "body": body.decode("latin-1"), "trailers": trailers}
        self.server.seen.append(asked)
        status, extra, text = 200, [], json.dumps(asked)
        if self.server.answer:
            status, extra, text = self.server.answer(asked) or (status, extra, text)
        out = "HTTP/1.1 %d Said\r\nContent-Length: %d\r\n" % (status, len(text.encode()))
        last = lower.get("connection") == "close"
        out += "".join("%s: %s\r\n" % pair for pair in extra) + ("Connection: close\r\n" if last else "") + "\r\n"
        self.wfile.write(out.encode("latin-1") + (b"" if method == "HEAD" else text.encode()))
        return not last

    def chunks(self):
        """A chunked body, and the lines behind it."""
        body, trailers = b"", []
        while True:
            size = int(self.rfile.readline(), 16)
            if size == 0:
                break
            body += self.rfile.read(size + 2)[:size]
        while True:
            line = self.rfile.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                return body, trailers
            trailers.append(line)


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
            who = "anonymous " + headers["x-case"]
        status, extra = self.say.get(who, (401, {}))
        return status, nonce(asked) + list(extra.items()), "words"


class Silent:
    """Takes connections, and never answers: how many are in self.taken."""

    def __enter__(self):
        self.server, self.taken = socket.create_server(("127.0.0.1", 0)), []
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()
        return self

    def take(self):
        try:
            while True:
                self.taken.append(self.server.accept()[0])
        except OSError:
            pass

    def __exit__(self, *error):
        self.server.shutdown(socket.SHUT_RDWR)  # else it would take connections of whoever gets the descriptor next
        self.thread.join(30)
        self.server.close()
        for each in self.taken:
            each.close()


# ---- in front of it ----

class Client:
    """A connection on which requests are sent as bytes; where: the path of a socket, or (host, port)."""

    def __init__(self, where):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        self.socket.settimeout(60)
        self.socket.connect(where)
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


def ask(where, target, headers=(), method="GET", body=None):
    """One request on a connection of its own."""
    client = Client(where)
    try:
        client.send(target, method, list(headers) + ["Connection: close"], body)
        return client.receive(method == "HEAD")
    finally:
        client.close()


class Program:
    """A proxy that listens on self.socket and writes to a file in self.dir."""

    def launch(self, command, env=None):
        self.out = os.path.join(self.dir, "out")
        with open(self.out, "ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
        wait(lambda: self.process.poll() is not None or self.answers(), "the proxy answers")
        assert self.process.poll() is None, self.text()

    def answers(self):
        try:
            Client(self.socket).close()
            return True
        except OSError:
            return False

    def text(self):
        return open(self.out, errors="replace").read() if os.path.exists(self.out) else ""

    def stop_upstream(self):
        self.upstream.shutdown()
        self.upstream.server_close()
