"""Revocation data as subtoken/revocations.h and feed.h describe it, written without the library: snapshots, heartbeats
and changes; the two files of an edge whose ring is known; and an HTTP server to pull from, which can also tell
anything else."""
import array, bisect, http.server, struct, threading
from urllib.parse import parse_qs, urlsplit
from support import *

KEY = "0123ABCD-0123-0123-0123-0123456789ABCDEF0123-0123-0123-0123-0123456789AB"
SECRET = hashlib.sha256(b"of the feed's own tests").digest()
SIGNER = ("", SECRET)  # (kid, secret), as read_ring gives it
HASH_KEY = bytes(range(16))
MASK = (1 << 64) - 1


def mac(data, secret=SECRET):
    return hmac.new(secret, data, hashlib.sha256).digest()


def sub_hash(key, data):
    """THE HASH of revocations.h."""
    def fold(a, b):
        product = a * b
        return product >> 64 ^ product & MASK

    k, l = struct.unpack("<QQ", key)
    k, l = k ^ 0x243F6A8885A308D3, l ^ 0x13198A2E03707344
    h = k
    for i in range(0, len(data) - 16, 16):
        a, b = struct.unpack_from("<QQ", data, i)
        h = fold(a ^ l, b ^ h)
    x, y = struct.unpack("<QQ", data[-16:].ljust(16, b"\0"))
    h = fold(x ^ l, y ^ h)
    return fold(h ^ l, len(data) ^ k)


assert sub_hash(HASH_KEY, b"parent") == 0xC070C06ABAFEFFF9


# ---- the bytes ----

def snapshot(sequence, subs=(), hashes=(), signer=SIGNER, made=1700000000):
    """hashes: more of them, as numbers, to fill it up."""
    kid, secret = signer
    listed = array.array("Q", sorted(set(hashes) | {sub_hash(HASH_KEY, s.encode()) for s in subs}))
    bits = 1
    while len(listed) > 8 << bits:
        bits += 1
    index = array.array("I", [bisect.bisect_left(listed, p << (64 - bits))
                              for p in range(1 << bits)] + [len(listed), 0])
    assert sys.byteorder == "little"
    length = 128 + 4 * len(index) + 8 * len(listed) + 32
    head = struct.pack("<8sIBBHQQQII16s64s", b"ST-REVOC", 1, bits, len(kid), 0, sequence, made,
                       length, len(listed), 0, HASH_KEY, kid.encode())
    body = head + index.tobytes() + listed.tobytes()
    return body + mac(body, secret)


def hashes_of(snap):
    bits, count = snap[12], struct.unpack_from("<I", snap, 40)[0]
    return struct.unpack_from("<%dQ" % count, snap, 128 + 4 * ((1 << bits) + 2))


def sequence_of(data):
    return struct.unpack_from("<Q", data, 16)[0]


def time_of(path):
    """T of the heartbeat at path."""
    with open(path, "rb") as f:
        return struct.unpack_from("<Q", f.read(), 24)[0]


def heartbeat(snap, when, signer=SIGNER):
    kid, secret = signer
    body = struct.pack("<8sIBBHQQ32s64s", b"ST-ALIVE", 1, 0, len(kid), 0, sequence_of(snap), int(when),
                       snap[-32:], kid.encode())
    return body + mac(body, secret)


def changes(old, new):
    a, b = set(hashes_of(old)), set(hashes_of(new))
    gone, fresh = sorted(a - b), sorted(b - a)
    return (struct.pack("<8sIIQII", b"ST-DELTA", 1, 0, sequence_of(old), len(gone), len(fresh)) +
            new[:128] + struct.pack("<%dQ" % len(gone + fresh), *gone, *fresh) + new[-32:])


def etag(snap):
    return b64(hashlib.sha256(snap).digest())


def token(sub, now, permissions=("account",), secret=SECRET):
    return sign(secret, {"sub": sub, "iat": now - 10, "exp": now + 3600, "permissions": list(permissions)})


# ---- files, and a server ----

def replace(path, data):
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.replace(path + ".new", path)


class FeedFiles:
    """FILE and FILE.alive, and what the issuer knows of them."""

    def __init__(self, path, signer):
        self.path, self.signer, self.sequence = path, signer, int(time.time() * 1e6)

    def publish(self, subs=(), at=None, hashes=(), sequence=None):
        self.sequence = sequence or self.sequence + 1
        self.bytes = snapshot(self.sequence, subs, hashes, self.signer)
        replace(self.path, self.bytes)
        self.beat(at)

    def beat(self, at=None):
        replace(self.path + ".alive", heartbeat(self.bytes, time.time() if at is None else at, self.signer))


class FeedServer:
    """A server to pull from: tells self.snap with heartbeats of now; answer(handler, request), where it is set, answers
    instead unless it returns False. It knows no `wait=`, as earlier versions, unless `waits` is set."""

    def __init__(self, snap, tls=None):
        self.snap, self.old, self.key, self.now = snap, {}, KEY, None
        self.answer = None
        self.waits = False  # hold answers back as `wait=` asks for
        self.news = threading.Condition()
        self.requests, self.connections = [], 0
        feed = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def setup(self):
                super().setup()
                feed.connections += 1

            def do_GET(self):
                url = urlsplit(self.path)
                request = {"path": url.path, "query": parse_qs(url.query),
                           "etag": self.headers.get("If-None-Match"),
                           "authorization": self.headers.get("Authorization")}
                feed.requests.append(request)
                try:
                    if feed.answer is None or feed.answer(self, request) is False:
                        feed.tell(self, request)
                except OSError:
                    self.close_connection = True

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = "http%s://localhost:%d/v2/revocations" % ("s" if tls else "", self.port)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def time(self):
        return int(time.time()) if self.now is None else self.now

    def put(self, snap):
        """Another snapshot; whoever has the last one gets the changes."""
        with self.news:
            self.old[sequence_of(self.snap)] = self.snap
            self.snap = snap
            self.news.notify_all()

    def send(self, handler, status, body=b"", kind="application/octet-stream", snap=None, alive=None,
             tag=None, length=None, **headers):
        snap = self.snap if snap is None else snap
        handler.send_response(status)
        if status in (200, 304):
            alive = heartbeat(snap, self.time()) if alive is None else alive
            handler.send_header("ETag", '"%s"' % (tag or etag(snap)))
            if alive:
                handler.send_header("Subtoken-Heartbeat", b64(alive))
            handler.send_header("Subtoken-Seq", str(sequence_of(snap)))
        for name, value in headers.items():
            handler.send_header(name, value)
        if status != 304:
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        if status != 304:
            handler.wfile.write(body)

    def refuse(self, handler, status, text, **headers):
        self.send(handler, status, json.dumps({"text": text}).encode(), "application/json", **headers)

    def tell(self, handler, request):
        if self.waits and "wait" in request["query"]:
            with self.news:
                self.news.wait_for(lambda: request["etag"] != '"%s"' % etag(self.snap),
                                   int(request["query"]["wait"][0]))
        snap = self.snap
        since = int(request["query"].get("since", ["0"])[0])
        if request["authorization"] != "Bearer " + self.key:
            self.refuse(handler, 401, "Invalid access token")
        elif request["etag"] == '"%s"' % etag(snap):
            self.send(handler, 304, snap=snap)
        elif since in self.old and "whole" not in request["query"]:
            self.send(handler, 200, changes(self.old[since], snap),
                      "application/vnd.subtoken.changes", snap=snap)
        else:
            self.send(handler, 200, snap, snap=snap)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.server.shutdown()
        self.server.server_close()
