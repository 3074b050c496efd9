"""A feed to pull from: snapshots, heartbeats and changes written by the description in
subtoken/revocations.h and feed.h alone, and an HTTP server that tells them, or anything
else that a test makes it tell."""
import base64, hashlib, hmac, http.server, json, struct, threading, time
from urllib.parse import parse_qs, urlsplit
from feedfiles import sub_hash

KEY = "0123ABCD-0123-0123-0123-0123456789ABCDEF0123-0123-0123-0123-0123456789AB"
SECRET = hashlib.sha256(b"of the feed's own tests").digest()
HASH_KEY = bytes(range(16))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mac(data, secret=SECRET):
    return hmac.new(secret, data, hashlib.sha256).digest()


def snapshot(sequence, subs=(), hashes=None, made=1700000000, secret=SECRET):
    hashes = sorted(set(sub_hash(HASH_KEY, s.encode()) for s in subs) if hashes is None else hashes)
    bits = 1
    while len(hashes) > 8 << bits:
        bits += 1
    index, at = [], 0
    for prefix in range((1 << bits) + 1):
        while at < len(hashes) and hashes[at] >> (64 - bits) < prefix:
            at += 1
        index.append(at)
    index.append(0)
    length = 128 + 4 * len(index) + 8 * len(hashes) + 32
    head = struct.pack("<8sIBBHQQQII16s64s", b"ST-REVOC", 1, bits, 0, 0, sequence, made, length,
                       len(hashes), 0, HASH_KEY, b"")
    body = head + struct.pack("<%dI" % len(index), *index) + struct.pack("<%dQ" % len(hashes), *hashes)
    return body + mac(body, secret)


def hashes_of(snap):
    bits, count = snap[12], struct.unpack_from("<I", snap, 40)[0]
    return struct.unpack_from("<%dQ" % count, snap, 128 + 4 * ((1 << bits) + 2))


def sequence_of(data):
    return struct.unpack_from("<Q", data, 16)[0]


def heartbeat(snap, when, secret=SECRET):
    body = struct.pack("<8sIBBHQQ32s64s", b"ST-ALIVE", 1, 0, 0, 0, sequence_of(snap), when,
                       snap[-32:], b"")
    return body + mac(body, secret)


def changes(old, new):
    a, b = set(hashes_of(old)), set(hashes_of(new))
    gone, fresh = sorted(a - b), sorted(b - a)
    return (struct.pack("<8sIIQII", b"ST-DELTA", 1, 0, sequence_of(old), len(gone), len(fresh)) +
            new[:128] + struct.pack("<%dQ" % len(gone + fresh), *gone, *fresh) + new[-32:])


def etag(snap):
    return b64(hashlib.sha256(snap).digest())


def token(sub, now, permissions=("account",), secret=SECRET):
    part = lambda o: b64(json.dumps(o, separators=(",", ":")).encode())
    signed = part({"alg": "HS256", "typ": "JWT"}) + "." + part(
        {"sub": sub, "iat": now - 10, "exp": now + 3600, "permissions": list(permissions)})
    return signed + "." + b64(mac(signed.encode(), secret))


class Feed:
    """Tells self.snap with heartbeats of now; answer(handler, request), where it is set,
    answers instead unless it returns False."""

    def __init__(self, snap, tls=None):
        self.snap, self.old, self.key, self.now = snap, {}, KEY, None
        self.answer = None
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
        self.old[sequence_of(self.snap)] = self.snap
        self.snap = snap

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
