"""Where one request ends and the next begins: tests/vectors/framing.json through the server, nginx and Apache httpd with
their modules, HAProxy with and without it. A well-formed request follows each case on its connection. There are never more answers than
requests; what an upstream gets is what was decided about, is one request to every reader of framing.py, and is what a
reader that keeps to RFC 9112 sees in the bytes of the client. In further configurations of an edge every third case is
tried; SUBTOKEN_EVERY=1: all of them."""
import concurrent.futures, select

from framing import *
from haproxy import *

with open(os.path.join(TESTS, "vectors", "framing.json")) as f:
    TABLE = json.load(f)
SECRET = b"/secret"  # nobody may have it, and every body that could be taken for a request asks for it
POLICY_HERE = {"default": "deny", "routes": [{"path": "/ok", "needs": ["account"]}, {"path": "/end", "needs": ["account"]},
                                             {"path": "/open", "public": True}]}


# ---- the cases ----

def filled(text, **values):
    """{name} in text is one of values; other braces stay."""
    for name, value in values.items():
        text = text.replace("{%s}" % name, value)
    return text.encode("latin-1")


def smuggled(credential, secret):
    return "GET %s HTTP/1.1\r\nHost: api.example\r\n%s\r\nX-Subtoken-Sub: root\r\nX-Smuggled: 1\r\n\r\n" % (secret, credential)


def body_values(text):
    n = len(text)
    return {"smuggled": text, "length": str(n), "hex": "%x" % n, "hex4": "%04x" % n, "hex8": "%08x" % n,
            "over32": str(2 ** 32 + n), "over64": str(2 ** 64 + n)}


def cases_for(ok, credential, secret="/secret"):
    """[(id, bytes, does our server serve it)] with the target ok. A line about the coding is tried by itself, and with a
    length that ends before or behind what the coding says; a line about the length by itself, and with a coding."""
    out = []
    text = smuggled(credential, secret)
    values = body_values(text)
    chunked = "%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    last = "0\r\n\r\n" + text
    head = "POST %s HTTP/1.1\r\nHost: api.example\r\n%s\r\n" % (ok, credential)

    def add(name, head, body, served):
        out.append((name, head + body.encode("latin-1"), served))

    for case in TABLE["codings"]:
        served, other = "server" in case, case.get("server") == "other"
        line = filled(head + case["lines"] + "\r\n")
        add(case["id"], line + b"\r\n", chunked, served)
        add(case["id"] + " last", line + b"\r\n", last, served)
        add(case["id"] + " cl.te", line + b"Content-Length: %d\r\n\r\n" % len(last), last, other)
        add(case["id"] + " te.cl", line + b"Content-Length: 4\r\n\r\n", chunked, other)
        add(case["id"] + " cl first", filled(head) + b"Content-Length: 4\r\n" + line[len(head):] + b"\r\n", chunked, other)
    for case in TABLE["lengths"]:
        line = filled(head + case["lines"] + "\r\n", **values)
        add(case["id"], line + b"\r\n", text, "server" in case)
        add(case["id"] + " te", line + b"Transfer-Encoding: chunked\r\n\r\n", chunked, case.get("server") == "other")
    for case in TABLE["chunks"]:
        add(case["id"], filled(head) + b"Transfer-Encoding: chunked\r\n\r\n", filled(case["body"], **values).decode("latin-1"),
            "server" in case)
    for case in TABLE["heads"]:
        add(case["id"], filled(case["head"], ok=ok, credential=credential, bare=credential.partition(": ")[2], **values),
            filled(case.get("body", ""), **values).decode("latin-1"), "server" in case)
    return out


def played(connect, data):
    """All that comes back. It is sent at once, and nothing more is to come."""
    with connect() as s:
        s.settimeout(60)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused while it was still being sent
        return received(s)


def received(s):
    out = b""
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            return out
        if not more:
            return out
        out += more


def played_in_part(connect, data, half):
    """The same of what never ends, to an edge that passes on what there is: it waits, and so does the upstream, until
    the client leaves. half: the upstream's requests that are not whole."""
    with connect() as s:
        s.settimeout(60)
        s.sendall(data)
        wait(lambda: half or select.select([s], [], [], 0.02)[0], "an answer, or a part of a request upstream")
        out = received(s) if not half else b""
    wait(lambda: not half, "the edge has given it up")
    return out


class Said:
    def __init__(self, status, headers):
        self.status, self.headers = status, headers

    def header(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def __repr__(self):
        return str(self.status)


def said(data, head):
    """The answers in these bytes; head: the first is to a HEAD."""
    out = []
    while data:
        if not data.startswith(b"HTTP/1."):
            assert not out, ("bytes behind an answer", data[:100])
            return [Said(0, [])]  # to a request of HTTP/0.9, which has no version
        lines, _, data = data.partition(b"\r\n\r\n")
        lines = lines.decode("latin-1").split("\r\n")
        answer = Said(int(lines[0].split()[1]), [tuple(l.split(": ", 1)) if ": " in l else (l.rstrip(":"), "") for l in lines[1:]])
        if answer.status < 200:
            assert answer.status == 100, answer
            continue
        if answer.header("Transfer-Encoding"):
            _, _, at = read_chunks(data, 0, frozenset())
        else:
            at = int(answer.header("Content-Length") or (0 if answer.status in (204, 304) else len(data)))
        data = data[0 if head and not out else at:]
        out.append(answer)
    return out


# ---- the server ----

def play_on_server(server, key):
    """(what is wrong, how many requests for SECRET were answered)."""
    end = request("/v2/tokeninfo?end", headers=["Connection: close"], key=key)
    found, secrets = [], []

    def one(name, data, served):
        data += end
        answers = said(played(lambda: socket.create_connection(("127.0.0.1", server.port)), data), data.startswith(b"HEAD"))
        reading, worth = read_all(data)
        statuses = [a.status for a in answers]
        secrets.append(sum(each.target == SECRET for each in reading[:len(answers)]))
        if served != (statuses[:1] in ([200], [204], [415])):  # the last: read, but of no type that the service knows
            found.append((name, "answered", statuses))
        if len(answers) > worth or sum(s < 400 or s == 415 for s in statuses) > len(reading):
            found.append((name, "more answers than requests", statuses, reading))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(one, *case) for case in cases_for("/v2/createsubtoken", "X-API-Key: " + key)]:
            job.result()
    return found, sum(secrets)


@test
def the_server_answers_each_request_once():
    server, key = shared_server()
    wrong, secrets = play_on_server(server, key)
    assert not wrong, "%d cases\n%s" % (len(wrong), "\n".join(map(str, wrong[:40])))
    told = lambda: sum(line.get("path") == "/secret" for line in server.log_lines())
    wait(lambda: told() >= secrets, "the log tells of all")
    assert secrets > 10 and told() == secrets, "a request that a strict reader does not see has reached the service"


# ---- edges ----

def own_form(target):
    """Path and query: what an edge passes on of an absolute target."""
    return re.sub(rb"^[Hh][Tt][Tt][Pp]://[^/?]*", b"", target)


def same_request(passed, read):
    return (passed.method, own_form(passed.target), passed.body) == (read.method, own_form(read.target), read.body)


def identity_of(fields):
    """[(name, value)] of what some upstream could take for the identity."""
    return [(n, v) for n, v in fields if re.fullmatch(rb"x.?subtoken.*", n, re.I)]


class Edge:
    """An edge at where, in front of a Recorder, which says in X-Judged what it decided about. streams: it passes on what
    it has of a body, and waits for the rest when the client has sent its last byte. trailers: it passes them on."""

    def __init__(self, where, recorder, sub, questions=None, streams=False, stride=1, trailers=False):
        self.trailers = trailers
        self.streams, self.stride = streams, 1 if os.environ.get("SUBTOKEN_EVERY") else stride
        self.where, self.recorder, self.sub, self.questions = where, recorder, sub, questions
        self.passed = 0

    def connect(self):
        s = socket.socket(socket.AF_UNIX if isinstance(self.where, str) else socket.AF_INET)
        s.connect(self.where)
        return s

    def wrong_with(self, data):
        """None, or what is wrong with how these bytes were answered and passed on."""
        recorder, questions = self.recorder, self.questions
        before, asked = len(recorder.seen), len(questions.seen) if questions else 0
        if self.streams and is_unfinished(data):
            came = played_in_part(self.connect, data, recorder.half)
        else:
            came = played(self.connect, data)
        answers = said(came, data.startswith(b"HEAD"))
        seen = recorder.seen[before:]
        if recorder.unreadable or questions and questions.unreadable:
            bad = recorder.unreadable[:] + (questions.unreadable[:] if questions else [])
            recorder.unreadable.clear()
            return "not strict", [(e if isinstance(e, bytes) else e[1])[:200] for e in bad]
        self.passed += len(seen)
        let_in = [a for a in answers if a.status in (200, 206)]
        if len(let_in) != len(seen):
            return "%d answers 200 to %d requests passed on" % (len(let_in), len(seen)), answers, seen
        for answer, each in zip(let_in, seen):
            judged = answer.header("X-Judged").encode("latin-1").split(b" ")
            if [each.method, own_form(each.target)] != [judged[0], own_form(judged[1])]:
                return "passed on is not what was decided about", judged, each
            error = self.wrong_with_one(each)
            if error:
                return error
        if not any(len(answers) <= worth and self.is_in(seen, reading) for reading, worth in allowed_readings(data)):
            return "no reading that RFC 9112 allows", answers, seen, read_all(data)
        for each in questions.seen[asked:] if questions else []:
            if read_otherwise(each) or each.body or each.values("X-Smuggled"):
                return "the question", each, read_otherwise(each)
            if each.method != b"HEAD" and each.method != b"GET" or each.values("X-Original-URI")[0].startswith(SECRET) and SECRET not in data:
                return "the question", each
        return None

    @staticmethod
    def is_in(seen, reading):
        """Is what was passed on of the reading, in its order? What was refused is left out."""
        rest = iter(reading)
        return all(any(same_request(passed, read) for read in rest) for passed in seen)

    def wrong_with_one(self, each):
        """With a request that was passed on."""
        if own_form(each.target).startswith(SECRET) or each.values("X-Smuggled"):
            return "what nobody may have was passed on", each
        other = read_otherwise(each, self.recorder.may)
        if other:
            return "others read another request", each.raw[:400], other
        told = dict.fromkeys(n.lower() for n, _ in identity_of(each.headers))
        mine = [v for n, v in identity_of(each.headers) if n.lower() == b"x-subtoken-sub"]
        known = {b"x-subtoken-" + w for w in (b"sub", b"key", b"owner", b"permissions", b"expires")}
        wanted = [] if each.target.startswith(b"/open") else [self.sub.encode()]
        if not set(told) <= known or [v for v in mine if v] != wanted:
            return "the identity", identity_of(each.headers)
        if identity_of(each.trailers) and not self.trailers:
            return "an identity behind the body", each.trailers
        return None

    def play(self, ok, credential, make_end):
        wrong = []
        for name, data, _ in cases_for(ok, credential)[::self.stride]:
            error = self.wrong_with(data + make_end(credential))
            if error:
                wrong.append((name,) + error)
        return wrong


def end_of(credential):
    return ("GET /end HTTP/1.1\r\nHost: api.example\r\n%s\r\nConnection: close\r\n\r\n" % credential).encode()


NGINX_SITE = """subtoken on; subtoken_policy %%(dir)s/policy.json; proxy_ignore_client_abort on; merge_slashes off;
  add_header X-Judged "$request_method $request_uri" always; %s
  location / { proxy_pass http://recorder; }
  location = /ask { internal; subtoken off; proxy_pass http://questions/v2/authorize; proxy_pass_request_body off;
    proxy_set_header Content-Length ""; }"""
NGINX_UPSTREAMS = """upstream recorder { server unix:%(dir)s/recorder; keepalive 4; }
  upstream questions { server unix:%(dir)s/questions; keepalive 4; }"""


def whose(sub):
    """A decision endpoint for which every credential is good, for all but SECRET."""
    def answer(asked):
        headers = [("X-Subtoken-Nonce", v.decode()) for v in asked.values("X-Subtoken-Nonce")]
        headers += [("X-Subtoken-Sub", sub), ("X-Subtoken-Key", "ID"), ("X-Subtoken-Permissions", "account")]
        if asked.values("X-Original-URI")[0].startswith(SECRET):
            return 403, headers + [("Content-Type", "application/json")], '{"text":"no"}'
        return 200, headers, ""
    return answer


def through_nginx(more, kind, odd_names=False, stride=3):
    """It passes on control characters in the values of headers, as RFC 9110 section 5.5 allows."""
    may = frozenset(["controls"] + ["odd_names"] * odd_names)
    n = Nginx(NGINX_SITE % more, http=NGINX_UPSTREAMS)
    policy(n, POLICY_HERE)
    recorder = Recorder(os.path.join(n.dir, "recorder"), may=may)
    questions = Recorder(os.path.join(n.dir, "questions"), whose("k" * 43))
    with n:
        token = n.token("--permissions", "account")
        edge = Edge(n.socket, recorder, "k" * 43 if kind == "key" else sub_of(token), questions, stride=stride)
        wrong = edge.play("/ok", "Authorization: Bearer " + ("KEY" if kind == "key" else token), end_of)
        return finished(edge, wrong)


def finished(edge, wrong):
    for each in (edge.recorder, edge.questions):
        if each:
            each.shutdown()
            each.server_close()
    assert edge.passed > 300 // edge.stride, "of what is good little arrived: %d" % edge.passed
    assert not wrong, "%d cases\n%s" % (len(wrong), "\n".join(str(w)[:1500] for w in wrong[:40]))


@test
def nginx_passes_on_what_it_decided_about():
    through_nginx("", "subtoken", stride=1)


@test
def nginx_passes_on_what_it_asked_about():
    through_nginx("subtoken_fallback /ask;", "key")


@test
def nginx_that_keeps_odd_headers_passes_on_what_it_decided_about():
    through_nginx("underscores_in_headers on; ignore_invalid_headers off;", "subtoken", odd_names=True)


@test
def nginx_that_does_not_buffer_passes_on_what_it_decided_about():
    through_nginx("proxy_request_buffering off;", "subtoken")


JUDGED = """http-request set-var(txn.judged_url) url
  http-request set-var(txn.judged) method,concat(" ",txn.judged_url)
  http-response set-header X-Judged %[var(txn.judged)]
  """
ASKING = ACTION.replace(DENY, "") + "http-request lua.subtoken_authorize if { var(txn.subtoken) -m str ask }\n  " + DENY


def through_haproxy(rules, kind, stride=3):
    directory = shared_dir()
    recorder = Recorder(os.path.join(directory, "recorder"), may={"controls", "hosts", "words"})
    questions = Recorder(("127.0.0.1", 0), whose("k" * 43))
    main = "setenv SUBTOKEN_URL http://127.0.0.1:%d\n  lua-load-per-thread %s" % (
        questions.server_address[1], os.path.join(EDGE, "haproxy", "haproxy-subtoken.lua"))
    h = Haproxy(JUDGED + rules, settings="ask=on" if kind == "key" else "", policy=POLICY_HERE,
                main=main if kind == "key" else "", api="unix@" + os.path.join(directory, "recorder"))
    with h:
        token = h.token("--permissions", "account")
        edge = Edge(h.socket, recorder, "k" * 43 if kind == "key" else sub_of(token), questions, streams=True, stride=stride,
                    trailers=haproxy_passes_trailers())
        finished(edge, edge.play("/ok", "Authorization: Bearer " + ("KEY" if kind == "key" else token), end_of))


@test
def haproxy_passes_on_what_it_decided_about():
    through_haproxy(ACTION, "subtoken", stride=1)


@test
def haproxy_with_the_converter_passes_on_what_it_decided_about():
    through_haproxy(quick(), "subtoken")


@test
def haproxy_passes_on_what_it_asked_about():
    through_haproxy(ASKING, "key")


@test
def haproxy_without_the_module_passes_on_what_it_asked_about():
    through_haproxy("http-request lua.subtoken_authorize\n  " + DENY, "key")


class FramingApache(ApacheProxy):
    """policy, upstream and endpoint are those of here."""

    def __init__(self, case, recorder, questions):
        self.recorder, self.questions = recorder, questions
        super().__init__(case)

    def offline_files(self):
        secrets, path = super().offline_files()
        with open(path, "w") as f:
            json.dump(POLICY_HERE, f)
        return secrets, path

    def write(self, port, changes=()):
        own = 'ServerName api.example\nHeader always set X-Judged "expr=%{THE_REQUEST}"'
        super().write(self.questions, changes)
        with open(self.conf) as f:
            text = f.read()
        with open(self.conf, "w") as f:
            f.write(text.replace("unix:" + self.upstream.path, "unix:" + self.recorder).replace("ServerName api.example", own, 1))
        return self


def through_apache(kind, stride=3):
    directory = shared_dir()
    recorder = Recorder(os.path.join(directory, "recorder"), may={"controls"})
    questions = Recorder(("127.0.0.1", 0), whose("k" * 43))
    case = Case()
    with case, FramingApache(case, os.path.join(directory, "recorder"), questions.server_address[1]) as apache:
        token = case.token("--permissions", "account")
        edge = Edge(apache.socket, recorder, "k" * 43 if kind == "key" else sub_of(token), questions, stride=stride)
        finished(edge, edge.play("/ok", "Authorization: Bearer " + ("KEY" if kind == "key" else token), end_of))


@test
def apache_passes_on_what_it_decided_about():
    through_apache("subtoken", stride=1)


@test
def apache_passes_on_what_it_asked_about():
    through_apache("key")


# ---- HTTP/2, which an edge passes on as HTTP/1 ----

H2_SMUGGLED = "GET /secret HTTP/1.1\r\nHost: api.example\r\nX-Subtoken-Sub: root\r\nX-Smuggled: 1\r\n\r\n"


def h2_cases(credential):
    """[(id, [(name, value)], data)]: one line of a good request is another, or comes besides."""
    good = [(":method", "POST"), (":scheme", "http"), (":path", "/ok"), (":authority", "api.example"),
            ("authorization", credential.partition(": ")[2])]
    out = [("good", good, "data"), ("get", [(":method", "GET")] + good[1:], ""), ("length", good + [("content-length", "4")], "data")]
    smuggled = "0\r\n\r\n" + H2_SMUGGLED
    for case in TABLE["h2"]:
        name, value = case["line"][0], case["line"][1].replace("{smuggled}", H2_SMUGGLED).replace("{length}", str(len(smuggled)))
        lines = [(name, value) if n == name else (n, v) for n, v in good] if case["how"] == "instead" else \
            [(n, v) for n, v in good if n != name] if case["how"] == "without" else good + [(name, value)]
        out.append((case["id"], lines, smuggled))
        out.append((case["id"] + " alone", lines, ""))
    return out


def play_h2(path, credential):
    """The cases, each of which says in x-case which it is: what is passed on may be seen after its answer."""
    cases = h2_cases(credential)
    for number, (_, lines, data) in enumerate(cases):
        try:
            h2_send(path, lines + [("x-case", str(number))], *[data.encode("latin-1")] * (data != ""))
        except (AssertionError, OSError, IndexError):
            pass  # refused by the end of the connection, or with a status that h2_status does not know
    return cases


def check_h2(cases, recorder, sub):
    """Once the edge has ended."""
    wait(lambda: not recorder.half, "what is not whole is given up")
    wrong = [("not strict", str(u)[:300]) for u in recorder.unreadable]
    for number, (name, lines, data) in enumerate(cases):
        seen = [each for each in recorder.seen if each.values("X-Case") == [b"%d" % number]]
        if len(seen) > 1:
            wrong.append((name, "more than one request", seen))
        for each in seen:
            targets = [v.encode("latin-1") for n, v in lines if n == ":path"]
            error = Edge(None, recorder, sub).wrong_with_one(each)
            if error or each.target not in targets or each.body not in (data.encode("latin-1"), b""):
                wrong.append((name, error or "another request", each))
    if [each for each in recorder.seen if len(each.values("X-Case")) != 1]:
        wrong.append(("of no case", recorder.seen))
    recorder.shutdown()
    recorder.server_close()
    assert len(recorder.seen) > 10, recorder.seen
    assert not wrong, "%d cases\n%s" % (len(wrong), "\n".join(str(w)[:1200] for w in wrong[:30]))


@test
def nginx_makes_one_request_of_one_of_http_2():
    n = Nginx(NGINX_SITE % "listen unix:%(dir)s/h2 http2;", http=NGINX_UPSTREAMS)
    policy(n, POLICY_HERE)
    recorder = Recorder(os.path.join(n.dir, "recorder"), may={"controls"})
    with n:
        token = n.token("--permissions", "account")
        cases = play_h2(os.path.join(n.dir, "h2"), "Authorization: Bearer " + token)
    check_h2(cases, recorder, sub_of(token))


@test
def haproxy_makes_one_request_of_one_of_http_2():
    for rules in (ACTION, quick()):
        directory = shared_dir()
        recorder = Recorder(os.path.join(directory, "recorder"), may={"controls", "hosts"})
        h = Haproxy(rules, policy=POLICY_HERE, api="unix@" + os.path.join(directory, "recorder"),
                    bind="bind unix@%s mode 666 proto h2" % os.path.join(directory, "h2"))
        with h:
            token = h.token("--permissions", "account")
            cases = play_h2(os.path.join(directory, "h2"), "Authorization: Bearer " + token)
        check_h2(cases, recorder, sub_of(token))


if __name__ == "__main__":
    main()
