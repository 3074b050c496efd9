"""HTTP itself, over raw sockets: tests/vectors/http.json, limits, pipelining, and
that nothing of one connection is ever seen on another."""
import concurrent.futures, email.utils, threading

from machine import alone
from support import *

FAILED = 120  # seconds; what takes as long never happens

QUIET = 1.0  # nothing more comes after this
BODILESS = (204, 304)

with open(os.path.join(TESTS, "vectors", "http.json")) as f:
    CASES = json.load(f)["cases"]


class Malformed(AssertionError):
    pass


class Reply:
    def __init__(self, status, headers, body, closes):
        self.status, self.headers, self.body, self.closes = status, headers, body, closes

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:80])


def parse(data, head=False):
    """One answer at the start of data: (Reply, rest), or None while it is cut short.
    Every answer of the server has to pass here, so this is strict."""
    if b"\r\n\r\n" not in data:
        if len(data) > 9 and not data.startswith(b"HTTP/1.1 "):
            raise Malformed(data[:200])
        return None
    top, rest = data.split(b"\r\n\r\n", 1)
    lines = top.decode("ascii").split("\r\n")
    first = re.fullmatch(r"HTTP/1\.1 ([1-5]\d\d) [A-Z][A-Za-z -]+", lines[0])
    if not first:
        raise Malformed(lines[0])
    status, headers = int(first[1]), {}
    for line in lines[1:]:
        field = re.fullmatch(r"([A-Za-z-]+): ([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?", line)
        if not field or field[1].lower() in headers:
            raise Malformed(line)
        headers[field[1].lower()] = field[2]
    if 100 <= status < 200:
        return Reply(status, headers, b"", False), rest
    length = headers.get("content-length")
    if status in BODILESS:
        if length is not None:
            raise Malformed("a length with status %d" % status)
        length = 0
    elif length is None or not re.fullmatch(r"0|[1-9]\d*", length):
        raise Malformed("Content-Length: %s" % length)
    length = 0 if head else int(length)
    if len(rest) < length:
        return None
    body, rest = rest[:length], rest[length:]
    if status in openapi.UNREADABLE and "www-authenticate" not in headers:  # which request that was is not known here; its form is
        openapi.check("HEAD" if head else "GET", "/none", status, list(headers.items()), body)
    for name in ("date", "cache-control"):
        if name not in headers:
            raise Malformed("no " + name)
    if abs(email.utils.parsedate_to_datetime(headers["date"]).timestamp() - time.time()) > 120:
        raise Malformed("Date: " + headers["date"])
    if headers["cache-control"] != "no-store":
        raise Malformed(headers["cache-control"])
    if body:
        if headers.get("content-type") != "application/json; charset=utf-8":
            raise Malformed("Content-Type: %s" % headers.get("content-type"))
        value = json.loads(body)
        if status >= 400 and list(value) != ["text"]:
            raise Malformed(body)
    return Reply(status, headers, body, headers.get("connection") == "close"), rest


class Raw:
    """A connection, one byte stream each way."""

    def __init__(self, server, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def more(self, timeout):
        """False when nothing came: at the end, or after timeout."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            return False
        self.data += data
        return True

    def answer(self, head=False, timeout=15):
        """The next answer, or None when the server closed instead."""
        until = time.time() + timeout
        while True:
            found = parse(self.data, head)
            if found:
                self.data = found[1]
                return found[0]
            if not self.more(max(0.01, until - time.time())):
                if not self.ended:
                    raise AssertionError("no answer in %d s; %r" % (timeout, self.data[:200]))
                assert not self.data, ("a cut answer", self.data[:300])
                return None

    def rest(self, first=FAILED, quiet=QUIET, heads=()):
        """All answers until the end, or until it is quiet after one."""
        until = time.time() + first
        answers = []
        while True:
            found = parse(self.data, len(answers) in heads)
            if found:
                self.data = found[1]
                answers.append(found[0])
                continue
            wait = quiet if answers else max(0.01, until - time.time())
            if not self.more(wait):
                assert not self.data, ("a cut answer", self.data[:300])
                return answers

    def ends(self, within=FAILED):
        """The server closes, and says nothing more."""
        until = time.time() + within
        while not self.ended and time.time() < until:
            self.more(max(0.01, until - time.time()))
        assert not self.data, self.data[:300]
        return self.ended


def ask(server, data, head=False, close=False):
    with Raw(server) as c:
        reply = c.send(data).answer(head)
        assert not close or c.ends(), "left open"
        return reply


# ---- the vectors ----

UNFRAMED = (400, 413, 414, 431, 505)


def check_answers(case, answers, closed):
    name, verdict = case["id"], case["verdict"]
    assert len(answers) <= case["max_responses"], (name, "a second answer", answers)
    for i, a in enumerate(answers):
        assert a.status != 101 and a.status >= 200, (name, answers)
        if i == 0 and (verdict == "serve" or case.get("first") == "serve"):
            assert a.status in (200, 401, 403), (name, answers)
        elif verdict == "refuse":
            assert a.status >= 400, (name, answers)
        if "status" in case:
            assert a.status in case["status"], (name, answers)
        if a.closes:
            assert i == len(answers) - 1 and closed, (name, "said it closes, and does not")
    if verdict == "serve":
        assert answers, (name, "no answer")
    assert answers or closed, (name, "neither an answer nor a close")
    # What cannot be framed is the end of the connection, not only of the request.
    if answers and case["layer"] == "http" and answers[-1].status in UNFRAMED:
        assert closed, (name, "left open after", answers)
    if case["id"] == "second-bad":
        assert answers[-1].status == 400 and closed, (name, answers)


def play(s, case, raw, half):
    heads = (0,) if raw.startswith(b"HEAD") else ()
    with Raw(s) as c:
        try:
            c.send(raw)
            if half:
                c.half_close()
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # refused while we were still sending
        answers = c.rest(heads=heads)
        # Where an end has to follow, it may take longer than what is quiet.
        last = answers and (answers[-1].closes or case["layer"] == "http" and answers[-1].status in UNFRAMED)
        check_answers(case, answers, c.ends() if last else c.ended)
        return len(answers)


def play_all(cases, change=lambda case, raw: raw):
    s, _ = shared_server()
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        jobs = [pool.submit(play, s, case, change(case, base64.b64decode(case["raw_b64"])), half)
                for half in (True, False) for case in cases]
        errors = [j.exception() for j in jobs]
    wrong = [str(e)[:600] for e in errors if e]
    assert not wrong, "\n".join(wrong)


@test
def the_vectors_hold():
    assert len(CASES) >= 101
    play_all([c for c in CASES if c["verdict"] != "wait"])
    s, _ = shared_server()
    assert "smug" not in s.log(), "a smuggled request reached a handler"


@test
def the_vectors_hold_with_a_credential():
    """The same, where a 200 would be the reward."""
    _, key = shared_server()

    def with_key(case, raw):
        line = b"X-API-Key: " + key.encode() + b"\r\n"
        return re.sub(rb"(\r\nhost:[^\r]*\r\n)", lambda m: m[1] + line, raw, flags=re.I)

    # no-length is a POST without a body then, which is good; in auth-*, the empty
    # credential is none and the added one counts.
    play_all([c for c in CASES if c["verdict"] != "wait" and c["id"] != "no-length"
              and not c["id"].startswith("auth-")], with_key)
    assert key not in shared_server()[0].log()


def wait_for_end(s, raw, answers=0):
    """Sends, takes that many answers, and is then cut at the total deadline."""
    with Raw(s) as c:
        c.send(raw)
        for _ in range(answers):
            assert c.answer().status < 500
        began = time.monotonic()
        assert c.ends(within=FAILED), (raw[:60], "still open")
        assert 8.5 < time.monotonic() - began and alone(began) < 10.5, (raw[:60], alone(began))


def drip_head(s):
    """A byte every now and then does not move the deadline."""
    with Raw(s) as c:
        c.send(b"GET /v2/tokeninfo HTTP/1.1\r\nHost: a\r\nX: ")
        began = time.monotonic()
        while not c.ended and time.monotonic() < began + FAILED:
            try:
                c.send(b"a")
            except OSError:
                break
            c.more(0.4)
        assert 8.5 < time.monotonic() - began and alone(began) < 10.9, alone(began)
        assert not c.data, c.data


def drip_body(s, key, framing="Content-Length: 1000", piece=b"a"):
    with Raw(s) as c:
        c.send(request("/v2/createsubtoken", "POST", [framing], key=key))
        began = time.monotonic()
        while not c.ended and time.monotonic() < began + FAILED:
            try:
                c.send(piece)
            except OSError:
                break
            c.more(0.4)
        assert 8.5 < time.monotonic() - began and alone(began) < 10.9, alone(began)
        assert not c.data, c.data


@test
def slow_requests_are_cut_at_their_deadline():
    s, key = shared_server()
    waits = [c for c in CASES if c["verdict"] == "wait"]
    assert len(waits) >= 10 and all(c["max_responses"] == 0 for c in waits)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        jobs = [pool.submit(wait_for_end, s, base64.b64decode(c["raw_b64"])) for c in waits]
        jobs.append(pool.submit(wait_for_end, s, b""))  # never says a word
        jobs.append(pool.submit(wait_for_end, s, b"\r\n"))
        jobs.append(pool.submit(wait_for_end, s, request(key=key) * 3 + b"GET /", 3))
        jobs.append(pool.submit(drip_head, s))
        jobs.append(pool.submit(drip_body, s, key))
        # D1: a chunk a piece does not move it either.
        jobs.append(pool.submit(drip_body, s, key, "Transfer-Encoding: chunked", b"1\r\na\r\n"))
        wrong = [str(j.exception())[:600] for j in jobs if j.exception()]
    assert not wrong, "\n".join(wrong)
    until = time.time() + FAILED
    while '"timeout"' not in s.log():
        assert time.time() < until, "not in the log"
        time.sleep(0.05)


# ---- sending and receiving ----

@test
def a_request_byte_by_byte_is_served():
    s, key = shared_server()
    for raw in (request(key=key), request("/v2/createsubtoken", "POST", ["Content-Type: application/json"],
                                          b'{"permissions":["account"]}', key)):
        with Raw(s) as c:
            for i in range(len(raw)):
                c.send(raw[i:i + 1])
                if i % 16 == 0:
                    time.sleep(0.002)
            assert c.answer().status == 200
            # And the connection is as good as before.
            assert c.send(raw).answer().status == 200


@test
def a_request_in_two_pieces_is_served():
    """Two pieces, cut anywhere: also between CR and LF, and inside the body."""
    s, key = shared_server()
    raw = request("/v2/createsubtoken", "POST", ["Content-Type: application/json"],
                  b'{"permissions":["account"]}', key)
    with Raw(s) as c:
        for i in range(1, len(raw), 3):
            c.send(raw[:i])
            time.sleep(0.001)
            assert c.send(raw[i:]).answer().status == 200, i


@test
def a_hundred_requests_share_a_connection():
    """Pipelined, each answer another one, in the order of the requests."""
    s, key = shared_server()
    now = int(time.time())
    wanted, raw = [], b""
    for i in range(100):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 86400 * (i + 1)))
        kind = i % 5
        if kind == 0:
            raw += request("/v2/createsubtoken?expire=" + at, key=key)
        elif kind == 1:
            body = json.dumps({"expire": at, "permissions": ["account"]}).encode()
            raw += request("/v2/createsubtoken", "POST", ["Content-Type: application/json"], body, key)
        elif kind == 2:
            raw += request("/v2/tokeninfo")
        elif kind == 3:
            raw += request("/nothing/%d" % i, key=key)
        else:
            raw += request("/v2/createsubtoken?expire=" + at, "HEAD", key=key)
        wanted.append((200, 200, 401, 404, 200)[kind])
    for step in (len(raw), 1000, 37):
        with Raw(s) as c:
            sender = threading.Thread(target=lambda: [c.send(raw[i:i + step])
                                                      for i in range(0, len(raw), step)])
            sender.start()
            for i, status in enumerate(wanted):
                reply = c.answer(head=i % 5 == 4)
                assert reply and reply.status == status, (step, i, reply)
                if i % 5 < 2:
                    token = json.loads(reply.body)["subtoken"]
                    assert payload(token)["exp"] == now + 86400 * (i + 1), i
            sender.join()
            assert c.half_close().ends()


@test
def close_is_obeyed():
    s, key = shared_server()
    with Raw(s) as c:
        c.send(request(headers=["Connection: close"], key=key) + request(key=key))
        assert len(c.rest()) == 1 and c.ends()
    with Raw(s) as c:
        c.send(request(headers=["Connection: foo,  CLOSE ,bar"], key=key) + request(key=key))
        answers = c.rest()
        assert len(answers) == 1 and answers[0].closes and c.ends()
    with Raw(s) as c:  # errors of the application leave it open
        c.send(request("/nope") + request() + request(method="DELETE") + request(key=key))
        assert [a.status for a in c.rest()] == [404, 401, 405, 200] and not c.ended


@test
def http_1_0_is_served():
    s, key = shared_server()
    old = ("GET /v2/tokeninfo HTTP/1.0\r\nX-API-Key: %s\r\n" % key).encode()
    with Raw(s) as c:
        answers = c.send(old + b"\r\n").rest()
        assert [a.status for a in answers] == [200] and answers[0].closes and c.ends()
    with Raw(s) as c:
        for _ in range(3):
            reply = c.send(old + b"Connection: Keep-Alive\r\n\r\n").answer()
            assert reply.status == 200 and reply.headers["connection"].lower() == "keep-alive"
        assert c.send(old + b"\r\n").answer().closes and c.ends()
    with Raw(s) as c:
        assert c.send(b"HEAD /healthz HTTP/1.0\r\n\r\n").answer(head=True).status == 200
        assert c.ends()


@test
def half_closed_clients_are_answered():
    s, key = shared_server()
    for raw, n in ((request(key=key), 1), (request(key=key) * 20, 20),
                   (request("/v2/createsubtoken", "POST", ["Content-Type: application/json"], b"{}", key), 1)):
        for _ in range(10):
            with Raw(s) as c:
                answers = c.send(raw).half_close().rest(quiet=10)
                assert [a.status for a in answers] == [200] * n and c.ends(), answers


@test
def answers_without_a_body_have_none():
    s, key = shared_server()
    get = ask(s, request(key=key))
    with Raw(s) as c:
        c.send(request(method="HEAD", key=key) + request(method="OPTIONS") + request(key=key))
        head, options, again = c.answer(head=True), c.answer(), c.answer()
        assert head.status == 200 and head.headers["content-length"] == str(len(get.body))
        assert head.headers["content-type"] == get.headers["content-type"]
        assert options.status == 204 and options.body == b""
        assert again.body == get.body
    for target, status in (("/nope", 404), ("/v2/tokeninfo", 401), ("/healthz", 200)):
        with Raw(s) as c:
            c.send(request(target, "HEAD") + request("/healthz"))
            assert c.answer(head=True).status == status and c.answer().status == 200


@test
def head_refused_by_its_framing_has_no_body():
    s, _ = shared_server()
    for raw in (request(method="HEAD", headers=["Host: b"]), b"HEAD /nope HTTP/1.1\r\n\r\n",
                request(method="HEAD", headers=["Transfer-Encoding: gzip"])):
        with Raw(s) as c:
            assert c.send(raw).answer(head=True).status == 400 and c.ends(), raw


@test
def absolute_targets_must_name_the_host():
    """D16: RFC 9112 section 3.2.2. Path and query count; the host is the one that Host names."""
    s, key = shared_server()
    top = "GET %s HTTP/1.1\r\nHost: %s\r\nX-API-Key: " + key + "\r\n\r\n"
    for target, host in (("http://api.test/v2/tokeninfo?v=latest", "api.test"),
                         ("HTTP://API.test:80/v2/tokeninfo?v=latest", "api.test"),
                         ("https://api.test/v2//tokeninfo?v=latest", "API.TEST:443")):
        reply = ask(s, (top % (target, host)).encode())
        assert reply.status == 200 and b'"type":"APIKey"' in reply.body, (target, reply)
    for target, host in (("http://api.test/v2/tokeninfo", "other.test"), ("http://u@api.test/v2/tokeninfo", "api.test"),
                         ("http://api.test:81/v2/tokeninfo", "api.test"), ("ftp://api.test/v2/tokeninfo", "api.test"),
                         ("http://api.test?access_token=x", "api.test"), ("//api.test/v2/tokeninfo", "api.test")):
        reply = ask(s, (top % (target, host)).encode())
        assert reply.status == (404 if target.startswith("//") else 400), (target, reply)
    # Where it is another request that is asked about, it is refused as ever.
    original = ["X-Original-Method: GET", "X-Original-URI: http://api.test/v2/account"]
    restricted = json.loads(ask(s, request("/v2/createsubtoken?urls=/v2/account", key=key)).body)["subtoken"]
    assert ask(s, request("/v2/authorize", headers=original, key=restricted)).status == 403
    original[1] = "X-Original-URI: /v2/account"
    assert ask(s, request("/v2/authorize", headers=original, key=restricted)).status == 200


@test
def load_balancers_find_the_server_alive():
    """D10: a load balancer that says no more than it must finds the server alive."""
    s, _ = shared_server()
    for raw in (b"OPTIONS / HTTP/1.0\r\n\r\n", b"OPTIONS / HTTP/1.1\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                b"OPTIONS * HTTP/1.0\r\n\r\n"):
        reply = ask(s, raw)
        assert reply.status == 204 and "OPTIONS" in reply.headers["allow"], (raw, reply)
    for path in (b"/healthz", b"/readyz"):
        for method in (b"GET", b"HEAD"):
            for version in (b"1.0", b"1.1"):
                raw = b"%s %s HTTP/%s\r\n\r\n" % (method, path, version)
                assert ask(s, raw, head=method == b"HEAD").status == 200, raw
    # Anything else has to say whom it means (RFC 9112 section 3.2).
    for raw in (b"GET /v2/tokeninfo", b"POST /healthz", b"OPTIONS /v2/tokeninfo", b"OPTIONS /nope"):
        assert ask(s, raw + b" HTTP/1.1\r\n\r\n", close=True).status == 400, raw
    assert ask(s, b"OPTIONS /nope HTTP/1.0\r\n\r\n").status == 404


# ---- limits ----

def padded_json(size):
    return b'{"permissions":["account"]' + b" " * (size - 27) + b"}"


@test
def bodies_over_the_limit_are_413():
    s, key = shared_server()
    kind = ["Content-Type: application/json"]
    for size in (8191, 8192):
        body = padded_json(size)
        assert len(body) == size
        reply = ask(s, request("/v2/createsubtoken", "POST", kind, body, key))
        assert reply.status == 200 and payload(json.loads(reply.body)["subtoken"])["permissions"]
    for method in ("POST", "GET", "DELETE"):
        for size in (8193, 100000):
            raw = request("/v2/createsubtoken", method, kind, padded_json(size), key)
            reply = ask(s, raw, close=True)
            assert reply.status == 413 and reply.closes, (size, reply)
    # Known from the length alone: no byte of the body is waited for.
    raw = request("/v2/createsubtoken", "POST", ["Content-Length: 8193"], key=key)
    assert ask(s, raw, close=True).status == 413
    # A body nobody asked for is taken off the stream, not taken for a request.
    with Raw(s) as c:
        c.send(request(body=request("/smuggled"), key=key) + request("/nope", "DELETE", body=b"x" * 8192)
               + request(key=key))
        assert [a.status for a in c.rest()] == [200, 404, 200]
    assert "smuggled" not in s.log()


def chunked(body, size=1 << 20, digits=1):
    """As chunks of that many bytes, their sizes of at least that many digits."""
    pieces = [body[i:i + size] for i in range(0, len(body), size)] + [b""]
    return b"".join(b"%0*x\r\n%s\r\n" % (digits, len(p), p) for p in pieces)


@test
def chunked_bodies_are_read():
    """D1: a body without a length, however it is cut and however it arrives."""
    s, key = shared_server()
    kind = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    top = request("/v2/createsubtoken", "POST", kind, key=key)
    body = b'{"permissions":["account","characters"]}'

    def good(reply):
        assert reply.status == 200, reply
        assert payload(json.loads(reply.body)["subtoken"])["permissions"] == ["account", "characters"]

    for size, digits in ((1, 1), (1, 8), (7, 2), (4096, 1)):
        raw = top + chunked(body, size, digits)
        good(ask(s, raw))
        with Raw(s) as c:  # pipelined: what comes behind is the next request
            c.send(raw + request("/healthz") + raw + raw)
            replies = [c.answer() for _ in range(4)]
            assert replies[1].status == 200 and b"ok" in replies[1].body
            for reply in (replies[0], *replies[2:]):
                good(reply)
    raw = top + chunked(body, 9)
    with Raw(s) as c:  # byte by byte, twice on one connection
        for _ in range(2):
            for i in range(len(raw)):
                c.send(raw[i:i + 1])
            good(c.answer())
    for size in (8191, 8192):  # the limit is that of the body, not of what frames it
        for cut in (1, 1000, 8192):
            reply = ask(s, top + chunked(padded_json(size), cut, 8))
            assert reply.status == 200, (size, cut, reply)
    for cut in (1, 1000, 8193):
        reply = ask(s, top + chunked(padded_json(8193), cut), close=True)
        assert reply.status == 413 and reply.closes, (cut, reply)
    # What would be refused with a length is refused alike: the credential first.
    assert ask(s, request("/v2/createsubtoken", "POST", kind) + chunked(body)).status == 401
    assert ask(s, top.replace(b"application/json", b"text/plain") + chunked(body)).status == 415
    # No body at all is none.
    assert ask(s, request("/v2/createsubtoken", "POST", kind[1:], key=key) + chunked(b"")).status == 200
    lines = [l["reason"] for l in s.log_lines() if l["event"] == "request" and "reason" in l]
    assert "limit" in lines


@test
def chunked_framing_is_strict():
    """D1: one answer, and the connection ends, whatever stands behind."""
    s, key = shared_server()
    top = request("/v2/createsubtoken", "POST", ["Transfer-Encoding: chunked"], key=key)
    for bad in (b"0;a=b\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"0\r\nX-API-Key: k\r\n\r\n",
                b"000000005\r\nhello\r\n0\r\n\r\n", b"\r\n", b"4\r\nhello\r\n0\r\n\r\n"):
        before = s.log().count('"bad_framing"')
        with Raw(s) as c:
            reply = c.send(top + bad + request("/smuggled")).answer()
            assert reply.status == 400 and reply.closes and b"chunk" in reply.body, (bad, reply)
            assert c.ends(), bad
        until = time.time() + FAILED
        while s.log().count('"bad_framing"') == before:
            assert time.time() < until, bad
            time.sleep(0.01)
    assert "smuggled" not in s.log()


def head_of(size, key, crlf=b""):
    start = crlf + request(key=key)[:-2]
    left = size - len(start) - 2
    lines = b""
    while left > 0:
        n = left if left <= 4000 else min(4000, left - 20)
        lines += b"X: " + b"a" * (n - 5) + b"\r\n"
        left -= n
    return start + lines + b"\r\n"


@test
def heads_over_the_limit_are_431():
    s, key = shared_server()
    for size in (8192, 16383, 16384):
        raw = head_of(size, key)
        assert len(raw) == size
        assert ask(s, raw).status == 200, size
        with Raw(s) as c:  # also when others come behind it at once
            c.send(raw * 3)
            assert [c.answer().status for _ in range(3)] == [200] * 3
    for size in (16385, 16386, 20000, 60000):
        reply = ask(s, head_of(size, key), close=True)
        assert reply.status == 431 and reply.closes, (size, reply)
    # A whole head of 16 KiB with a whole body of 8 KiB is the most there can be.
    body = padded_json(8192)
    start = request("/v2/createsubtoken", "POST", ["Content-Type: application/json",
                                                   "Content-Length: 8192"], key=key)[:-2]
    pad = b""
    while len(start) + len(pad) + 2 < 16384:
        n = min(4000, 16384 - len(start) - len(pad) - 2)
        pad += b"X: " + b"a" * (n - 5) + b"\r\n"
    raw = start + pad + b"\r\n" + body
    assert len(raw) == 16384 + 8192
    with Raw(s) as c:
        c.send(raw * 2)
        assert c.answer().status == 200 and c.answer().status == 200


@test
def more_than_64_header_lines_are_431():
    s, key = shared_server()
    base = 2  # Host and Authorization
    ok = request(headers=["X-%d: 1" % i for i in range(64 - base)], key=key)
    assert ask(s, ok).status == 200
    bad = request(headers=["X-%d: 1" % i for i in range(65 - base)], key=key)
    assert ask(s, bad, close=True).status == 431
    # The 65th cannot be a second credential that nobody sees.
    hidden = ok[:-2] + b"X-API-Key: " + b"A" * 72 + b"\r\n\r\n"
    assert ask(s, hidden, close=True).status == 431
    last = request(headers=["X-%d: 1" % i for i in range(63 - base)], key=key)
    assert ask(s, last[:-2] + b"X-API-Key: other\r\n\r\n").status == 400


@test
def targets_over_the_limit_are_414():
    s, key = shared_server()
    target = "/v2/tokeninfo?x="
    assert ask(s, request(target + "a" * (8192 - len(target)), key=key)).status == 200
    assert ask(s, request(target + "a" * (8193 - len(target)), key=key), close=True).status == 414
    assert ask(s, request("/" + "a" * 8191)).status == 404
    assert ask(s, request("/" + "a" * 15000), close=True).status == 414
    assert ask(s, request("/" + "a" * 17000), close=True).status in (414, 431)


def refused_while_sending(s, start, more, status):
    """The client goes on sending a megabyte and must still get its answer."""
    with Raw(s) as c:
        def send():
            try:
                c.send(start)
                for _ in range(1024 * 1024 // len(more)):
                    c.send(more)
                c.half_close()
            except OSError:
                pass
        sender = threading.Thread(target=send)
        sender.start()
        sender.join()  # all of it is written before the first read
        reply = c.answer()
        assert reply and reply.status == status and reply.closes, (status, reply)
        assert c.ends()


@test
def refusals_reach_a_client_that_sends_on():
    s, key = shared_server()
    post = request("/v2/createsubtoken", "POST", key=key)[:-2]
    for _ in range(5):
        refused_while_sending(s, post + b"Content-Length: 1048576\r\n\r\n", b"a" * 65536, 413)
        refused_while_sending(s, post, b"X: " + b"a" * 1019 + b"\r\n", 431)
        refused_while_sending(s, b"GET /", b"a" * 65536, 414)
        refused_while_sending(s, post + b"Transfer-Encoding: chunked\r\n\r\n",
                              b"400\r\n" + b"a" * 1024 + b"\r\n", 413)
        refused_while_sending(s, post + b"Transfer-Encoding: chunked\r\n\r\n",
                              b"400;x\r\n" + b"a" * 1024 + b"\r\n", 400)
        refused_while_sending(s, b"\x16\x03\x01", b"\x00" * 65536, 400)
    assert ask(s, request(key=key)).status == 200


@test
def expect_100_continue_is_answered():
    s, key = shared_server()
    head = ["Content-Type: application/json", "Expect: 100-continue"]
    body = b'{"permissions":["account"]}'
    raw = request("/v2/createsubtoken", "POST", head, body, key)
    split = len(raw) - len(body)
    with Raw(s) as c:
        for _ in range(3):
            c.send(raw[:split])
            interim = c.answer()
            assert interim.status == 100 and interim.headers == {}, interim
            assert not c.more(0.2), c.data
            # Once only, however the body comes.
            c.send(body[:5])
            assert not c.more(0.1), c.data
            assert c.send(body[5:]).answer().status == 200
    with Raw(s) as c:  # a client that does not wait may get the 100, and gets one answer
        c.send(raw + request("/healthz"))
        answers = [a for a in c.rest() if a.status != 100]
        assert [a.status for a in answers] == [200, 200], answers
    # D1: a body without a length is asked for in the same way.
    top = request("/v2/createsubtoken", "POST", head + ["Transfer-Encoding: chunked"], key=key)
    with Raw(s) as c:
        for _ in range(2):
            assert c.send(top).answer().status == 100
            c.send(chunked(body, 5)[:20])
            assert not c.more(0.1), c.data
            assert c.send(chunked(body, 5)[20:]).answer().status == 200
    # Nothing is asked for that would be refused.
    big = request("/v2/createsubtoken", "POST", head + ["Content-Length: 8193"], key=key)
    assert ask(s, big, close=True).status == 413
    assert ask(s, request(headers=["Expect: something"]), close=True).status == 417


@test
def expect_continue_from_http_1_0_is_ignored():
    s, key = shared_server()  # RFC 9110 section 10.1.1
    raw = request("/v2/createsubtoken", "POST",
                  ["Content-Type: application/json", "Expect: 100-continue"], b"{}", key)
    raw = raw.replace(b"HTTP/1.1", b"HTTP/1.0")
    with Raw(s) as c:
        c.send(raw[:-2])
        assert not c.more(0.5), c.data
        assert c.send(raw[-2:]).answer().status == 200


@test
def one_empty_line_before_a_request_is_skipped():
    s, key = shared_server()
    with Raw(s) as c:  # one before a request is let pass, also after a body
        c.send(request("/v2/createsubtoken", "POST", ["Content-Type: application/json"], b"{}", key)
               + b"\r\n" + request(key=key) + b"\r\n" + request(key=key))
        assert [c.answer().status for _ in range(3)] == [200] * 3
    for bad in (b"\r\n\r\n", b"\n", b"\r", b" ", b"\r\n \r\n"):
        with Raw(s) as c:
            answers = c.send(bad + request(key=key)).rest()
            assert all(a.status == 400 for a in answers) and c.ends(), (bad, answers)


# ---- one connection knows nothing of another ----

def partial_requests():
    plain = b"GET /v2/tokeninfo HTTP/1.1\r\nHost: api.test\r\n\r\n"
    for n in range(1, 6):
        yield b"\r\n" * n + plain
        yield b"\n" * n + plain
        yield b"\r\n" * n
    for pad in (1, 8, 50, 100, 150, 200, 400, 1000, 16000):
        yield b"\r\n\r\n" + b"GET /x" + b"x" * pad
        yield b"\r\n" + b"GET /x" + b"x" * pad
        yield b" " * pad
        yield b"\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\nX-Pad: " + b"p" * pad
        yield b"GET /v2/tokeninfo HTTP/1.1\r\nHost: a\r\nX-Pad: " + b"p" * pad + b"\r\n"
    for n in range(1, len(plain), 4):
        yield plain[:n]
    for length in (1, 10, 72, 100, 1000, 8192):
        yield b"POST /v2/createsubtoken HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
        yield (b"POST /v2/createsubtoken HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
               b"Content-Length: %d\r\n\r\n{" % length)
    yield b"HEAD /v2/tokeninfo HTTP/1.1\r\nHost: api.test\r\n\r\n"
    yield b"GET /v2/tokeninfo HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"


def request_lines(s, count):
    """That many lines, one an answer; the log's thread may be a little behind."""
    until = time.time() + 120
    while True:
        lines = [l for l in s.log_lines() if l["event"] == "request"]
        if len(lines) >= count or time.time() > until:
            assert len(lines) == count, (len(lines), count)
            return lines


@test
def nothing_of_another_connection_is_ever_seen():
    with Server(config={"threads": 1}) as s:
        key = make_key(s.data)["key"]
        victim = (request(key=key, headers=["X-Filler: " + "f" * 60])
                  + request("/v2/createsubtoken", "POST", ["Content-Type: application/json"],
                            b'{"permissions":["account"]}', key)
                  + request("/v2/tokeninfo?access_token=" + key)) * 7
        count, strangers = 0, []
        for number, probe in enumerate(partial_requests()):
            with Raw(s) as c:
                c.send(victim)
                if number % 3 == 2:
                    c.send(request(key=key)[:-2])  # left in the middle of a request
                answers = c.half_close().rest(quiet=10)
                assert [a.status for a in answers] == [200] * 21, answers
            count += 21
            with Raw(s) as c:
                try:
                    c.send(probe).half_close()
                except OSError:
                    pass
                answers = c.rest(quiet=10, heads=(0,) if probe.startswith(b"HEAD") else ())
                assert all(a.status in (400, 401, 404, 431) for a in answers), (probe, answers)
                assert not any(key.encode() in a.body for a in answers)
            strangers += [(count + i, probe) for i in range(len(answers))]
            count += len(answers)
        lines = request_lines(s, count)
        for number, probe in strangers:
            line = lines[number]
            assert line["status"] >= 400 and "credential" not in line and "key" not in line, \
                (probe, line)


@test
def the_shared_server_stops_without_an_error():
    s, _ = shared_server()
    s.stop()


main()
