"""Readers of HTTP/1 for test_framing.py: the strict one of RFC 9112, those that the RFC allows besides, and those of
other people's software, which take more; and an upstream that keeps every byte that reached it."""
import socketserver, threading

from upstream import *

# What RFC 9112 lets a recipient do with a request instead of refusing it: take a bare LF for the end of a line, replace
# a fold or a bare CR by a space, skip empty lines before a request, read a list of equal lengths as one, go by the
# coding where there is a length too and then end the connection, cut the request line at any white space, take another
# version, keep a control character in a value, do without Host or with two that are the same; and what is harmless because
# it goes no further: leave out what has no name, and extensions of chunks and trailers of any kind.
ALLOWED = ("controls", "hosts", "lf", "fold", "cr_space", "blank", "equal_lengths", "te_wins", "words", "drop", "extensions")
# What programs have been seen to do besides. Whatever an edge passes on has to be the same request to each of them.
SEEN = ("lf", "cr", "fold", "name_space", "name_control", "any_space", "te_within", "te_first", "te_last", "cl_first",
        "cl_last", "cl_prefix", "cl_wins", "value_nul")
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Unreadable(Exception):
    pass


class Incomplete(Exception):
    pass


class Request:
    def __init__(self, method, target, headers, body, trailers, raw):
        self.method, self.target, self.headers, self.body, self.raw = method, target, headers, body, raw
        self.trailers = trailers

    def values(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower().encode()]

    def __repr__(self):
        return "<%s %s, a body of %d>" % (self.method.decode("latin-1"), self.target.decode("latin-1")[:60], len(self.body))

    def same(self, other):
        return (self.method, self.target, self.body) == (other.method, other.target, other.body)


def cut_line(data, at, may):
    """(the line, where the next one starts)."""
    ends = [rb"\r\n"] + ([rb"\n"] if "lf" in may else []) + ([rb"\r(?!\n)"] if "cr" in may else [])
    end = re.compile(b"|".join(ends)).search(data, at)
    if end is None:
        raise Incomplete()
    return data[at:end.start()], end.end()


def read_lines(data, at, may):
    """The lines of a head, and where its body starts."""
    lines = []
    while True:
        line, at = cut_line(data, at, may)
        if not line and not lines:
            if at > 2 and "blank" not in may:
                raise Unreadable("a second empty line")
            continue
        if not line:
            return lines, at
        lines.append(line)


def unfold(lines, may):
    out = lines[:1]
    for line in lines[1:]:
        if line[:1] in b" \t" and len(out) > 1 and "fold" in may:
            out[-1] += b" " + line.strip(b" \t")
        else:
            out.append(line)
    return out


def read_field(line, may):
    name, colon, value = line.partition(b":")
    if "name_control" in may:
        name = re.sub(rb"[\0-\x1f\x7f-\xff]", b"", name)
    if "name_space" in may:
        name = name.strip(b" \t\v\f\r")
    if not colon or not (re.fullmatch(rb"[!-9;-~\x80-\xff]+", name) if "odd_names" in may else TOKEN.fullmatch(name)):
        if "drop" in may:
            return b"", b""
        raise Unreadable("a header line %r" % line[:60])
    if "cr_space" in may:
        value = value.replace(b"\r", b" ")
    if "value_nul" in may:
        value = value.partition(b"\0")[0]
    value = value.strip(b" \t\v\f\r\x85\xa0" if "any_space" in may else b" \t")
    if re.search(rb"[\0\r\n]" if "controls" in may else rb"[\0-\x08\n-\x1f\x7f]", value) and "any_space" not in may:
        raise Unreadable("a control character in %r" % line[:60])
    return name, value


def length_of(values, may):
    if "equal_lengths" in may and len({p.strip() for v in values for p in v.split(b",")}) == 1:
        values = [values[0].split(b",")[0].strip()]
    if len(values) > 1:
        if not may & {"cl_first", "cl_last"}:
            raise Unreadable("several lengths")
        values = [values[0 if "cl_first" in may else -1]]
    found = re.match(rb"[+ \t]*([0-9]+)" if "cl_prefix" in may else rb"([0-9]+)\Z", values[0])
    if not found:
        raise Unreadable("a length %r" % values[0][:40])
    return int(found[1])


def is_chunked(values, may):
    if not values:
        return False
    if "te_first" in may or "te_last" in may:
        values = [values[0 if "te_first" in may else -1]]
    text = b",".join(values).lower()
    if "te_within" in may:
        return b"chunked" in text
    if text.strip(b" \t") == b"chunked":
        return True
    raise Unreadable("a transfer coding %r" % text[:60])


def read_chunks(data, at, may):
    """(the body, the fields behind it, where the next request starts)."""
    body, trailers = b"", []
    while True:
        line, at = cut_line(data, at, may)
        size = re.match(rb"0*([0-9A-Fa-f]+)" + (rb"([ \t;].*)?\Z" if "extensions" in may else rb"[ \t]*(;[^\0-\x08\n-\x1f\x7f]*)?\Z"), line, re.S)
        if not size or len(size[1]) > 15:
            raise Unreadable("the size of a chunk %r" % line[:40])
        size = int(size[1], 16)
        if size == 0:
            while line:
                line, at = cut_line(data, at, may)
                if line:
                    trailers.append(read_field(line, may | {"drop"} if "extensions" in may else may))
            return body, trailers, at
        if len(data) < at + size + 2:
            raise Incomplete()
        body, end = body + data[at:at + size], data[at + size:at + size + 2]
        if end == b"\r\n":
            at += size + 2
        elif "lf" in may and end[:1] == b"\n":
            at += size + 1
        else:
            raise Unreadable("no end of a chunk")


def read_request(data, may=frozenset()):
    """(the first request of data, what follows it)."""
    may = frozenset(may)
    lines, at = read_lines(data, 0, may)
    words = rb"[\r \t]*(%s)[ \t]+([!-~\x80-\xff]+)[ \t]+HTTP/[0-9]\.([0-9]+)[ \t]*"
    first = re.fullmatch((words if "words" in may else rb"(%s) ([!-~]+) HTTP/1\.([01])") % TOKEN.pattern, lines[0])
    if not first:
        raise Unreadable("a request line %r" % lines[0][:80])
    headers = [read_field(line, may) for line in unfold(lines, may)[1:]]
    named = lambda name: [v for n, v in headers if n.lower() == name]
    hosts = named(b"host")
    if (len(set(hosts)) > 1 or "hosts" not in may and (len(hosts) > 1 or not hosts and first[3] != b"0")):
        raise Unreadable("%d lines of Host" % len(hosts))
    lengths, codings = named(b"content-length"), named(b"transfer-encoding")
    if lengths and codings and not may & {"cl_wins", "te_wins"}:
        raise Unreadable("a length and a coding")
    if codings and first[3] == b"0" and "te_wins" not in may:
        raise Unreadable("a coding in HTTP/1.0")
    body, trailers = b"", []
    if lengths and not (codings and "te_wins" in may):
        size = length_of(lengths, may)
        if len(data) < at + size:
            raise Incomplete()
        body, at = data[at:at + size], at + size
    elif is_chunked(codings, may):
        body, trailers, at = read_chunks(data, at, may)
    return Request(first[1], first[2], headers, body, trailers, data[:at]), data[at:]


def read_all(data, may=frozenset()):
    """([requests], how many answers these bytes are worth)."""
    found = []
    while data:
        try:
            request, data = read_request(data, may)
        except (Unreadable, Incomplete):
            return found, len(found) + 1
        found.append(request)
        if b"close" in [v.lower() for v in request.values("Connection")] or request.values("Transfer-Encoding") and (
                request.values("Content-Length") or b" HTTP/1.0" in request.raw.partition(b"\n")[0]):
            break
    return found, len(found)


def is_unfinished(data):
    """Does it end in the middle of a request?"""
    while data:
        try:
            data = read_request(data)[1]
        except Unreadable:
            return False
        except Incomplete:
            return True
    return False


def allowed_readings(data):
    """Of what a client sent: as the RFC says, and with what it allows."""
    yield read_all(data)
    out = []
    for may in [{a, b} for a in ALLOWED for b in ALLOWED if a <= b] + [set(ALLOWED)]:
        reading = read_all(data, frozenset(may))
        if reading[1:] + tuple(r.raw for r in reading[0]) not in out:
            out.append(reading[1:] + tuple(r.raw for r in reading[0]))
            yield reading


def read_otherwise(request, may=frozenset()):
    """What is another request to one of other people's readers: [(which, what it reads)]. may: what is passed on on
    purpose, and so belongs to each of them."""
    wrong = []
    for reader in [{each} for each in SEEN] + [set(SEEN), set(SEEN) - {"cr", "te_within", "cl_wins"}]:
        reader = frozenset(reader - ({"name_control"} if "odd_names" in may else set()) | may)
        try:
            other, rest = read_request(request.raw, reader)
        except (Unreadable, Incomplete) as e:
            wrong.append((sorted(reader), repr(e)))
            continue
        if rest or not request.same(other):
            wrong.append((sorted(reader), other, rest[:80]))
    return wrong


class Recorder(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """An upstream that reads strictly, answers each request with its number, and keeps what it cannot read in
    `unreadable`. where: the path of a socket, or (host, port); reply(request) says something else; may: what it reads
    besides."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, where, reply=None, may=frozenset()):
        self.seen, self.unreadable, self.reply, self.may = [], [], reply, frozenset(may)
        self.half = set()  # the connections on which a part of a request has come
        self.address_family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        super().__init__(where, RecorderConnection)
        if isinstance(where, str):
            os.chmod(where, 0o666)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request, address):
        pass  # an edge may close a connection at any time


class RecorderConnection(socketserver.BaseRequestHandler):
    def handle(self):
        data = b""
        while True:
            try:
                request, data = read_request(data, self.server.may)
            except Incomplete:
                more = self.receive(data)
                if not more:
                    return
                data += more
                continue
            except Unreadable as e:
                self.server.unreadable.append((e, data))
                return
            self.server.seen.append(request)
            self.answer(request)
            if b"close" in request.values("Connection"):
                return

    def receive(self, data):
        if data:
            self.server.half.add(self)
        if re.search(rb"(?i)\r\nexpect: *100-continue\r\n([^\r]+\r\n)*\r\n\Z", data):
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            return self.request.recv(65536)
        finally:
            self.server.half.discard(self)

    def answer(self, request):
        number = str(len(self.server.seen))
        status, headers, text = self.server.reply(request) if self.server.reply else (200, [("X-Number", number)], "seen")
        head = ["HTTP/1.1 %d Said" % status, "Content-Length: %d" % len(text)] + ["%s: %s" % pair for pair in headers]
        body = "" if request.method == b"HEAD" else text
        self.request.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1"))
