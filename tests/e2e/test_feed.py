"""The edge's side of the feed: pull, feed status and verify --revocations, against a server
of this test's own that can also lie, stall and fall silent."""
import random, ssl, stat
from feed import *

BASE = 1700000000000001
ENV = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}


class Edge:
    """A directory with a key, a ring and what is pulled."""

    def __init__(self):
        self.dir = scratch()
        self.file = os.path.join(self.dir, "revoked")
        self.alive, self.seen = self.file + ".alive", self.file + ".seen"
        self.key_file = self.write("key", (KEY + "\n").encode(), 0o600)
        self.secrets = self.write("secrets", (":" + b64(SECRET) + "\n").encode(), 0o600)

    def write(self, name, data, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path + "~", "wb") as f:
            f.write(data)
        os.chmod(path + "~", mode)
        os.rename(path + "~", path)
        return path

    def put(self, snap, when=None, alive=None):
        self.write("revoked", snap)
        self.write("revoked.alive", heartbeat(snap, when or int(time.time())) if alive is None else alive)

    def args(self, url, *more):
        urls = [url] if isinstance(url, str) else url
        return ["pull", *(w for u in urls for w in ("--from", u)), "--to", self.file, "--key-file", self.key_file, *more]

    def once(self, url, *more, check=0, env=ENV, **kw):
        code, out, err = run(*self.args(url, "--once", *more), env=env, **kw)
        assert code == check, (code, out, err)
        assert KEY not in out + err
        return out if code == 0 else err

    def start(self, url, *more, **kw):
        """A pull that goes on; its lines are in self.log."""
        self.log_path = os.path.join(self.dir, "log")
        return subprocess.Popen([PROGRAM] + self.args(url, *more), stderr=open(self.log_path, "ab"),
                                stdout=subprocess.DEVNULL, env=ENV, **kw)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            text = f.read()
        assert KEY not in text and "Sanitizer" not in text and "runtime error" not in text, text
        return [json.loads(l) for l in text.splitlines()]

    def events(self):
        return [l["event"] for l in self.log()]

    def has(self, snap):
        """While a pull may be writing: what it has not renamed yet comes and goes."""
        with open(self.file, "rb") as f:
            return f.read() == snap

    def files(self):
        return {n: open(os.path.join(self.dir, n), "rb").read()
                for n in sorted(os.listdir(self.dir)) if re.match(r"revoked(?!.*\.(lock|spare)$)", n)}

    def status(self, *args, check=0):
        code, out, err = run("feed", "status", self.file, "--secrets", self.secrets, *args)
        assert code == check, (code, out, err)
        return out if code < 2 else err

    def verify(self, credential, *args, check=0):
        code, out, err = run("verify", "--secrets", self.secrets, "--revocations", self.file, *args,
                             stdin=credential)
        assert code == check, (code, out, err)
        return out + err


def end(process):
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=120)
    assert code == 0, code


def subs(count, start=0):
    return ["sub%d" % i for i in range(start, start + count)]


# ---- pull ----

@test
def once_writes_snapshot_heartbeat_and_seen():
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        said = json.loads(edge.once(server.url, "--json"))
    assert said["sequence"] == BASE and said["entries"] == 20 and said["bytes"] == len(snap), said
    files = edge.files()
    assert files["revoked"] == snap and files["revoked.seen"] == b"%d\n" % BASE
    assert files["revoked.alive"] == heartbeat(snap, said["vouched"])
    assert sorted(files) == ["revoked", "revoked.alive", "revoked.seen"], sorted(files)
    for name in files:
        assert stat.S_IMODE(os.stat(os.path.join(edge.dir, name)).st_mode) == 0o640, name
    assert server.requests == [{"path": "/v2/revocations", "query": {}, "etag": None,
                                "authorization": "Bearer " + KEY}], server.requests


@test
def nothing_new_is_not_fetched_again():
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        server.now = int(time.time()) - 9
        edge.once(server.url + "?x=1")
        inode = os.stat(edge.file).st_ino
        server.now += 2
        edge.once(server.url + "?x=1")
        assert os.stat(edge.file).st_ino == inode
        assert edge.files()["revoked.alive"] == heartbeat(snap, server.now)
        assert server.requests[1]["etag"] == '"%s"' % etag(snap)
        assert server.requests[1]["query"] == {"x": ["1"], "since": [str(BASE)]}, server.requests
        # Nor is a heartbeat that is there already written again.
        inode = os.stat(edge.alive).st_ino
        edge.once(server.url)
        assert os.stat(edge.alive).st_ino == inode
        # What somebody else took away or changed comes back.
        for path in (edge.file, edge.alive, edge.seen):
            os.unlink(path)
            edge.once(server.url)
            edge.write(os.path.basename(path), b"1\n")
            edge.once(server.url)
            assert edge.files()["revoked"] == snap and len(edge.files()) == 3
            assert edge.files()["revoked.seen"] == b"%d\n" % BASE
            edge.status()


@test
def changes_are_applied():
    edge, first = Edge(), snapshot(BASE, subs(500))
    second = snapshot(BASE + 1, subs(500, 3))
    third = snapshot(BASE + 2, subs(2000, 1))
    with FeedServer(first) as server:
        edge.once(server.url)
        for snap in (second, third, snapshot(BASE + 3, [])):
            server.put(snap)
            count = len(server.requests)
            edge.once(server.url)
            assert edge.files()["revoked"] == snap
            assert edge.files()["revoked.seen"] == b"%d\n" % sequence_of(snap)
            assert len(server.requests) == count + 1, server.requests
            edge.status()


@test
def changes_that_do_not_fit_are_replaced_by_the_snapshot():
    """Then the whole is asked for in the same round."""
    first, second = snapshot(BASE, subs(50)), snapshot(BASE + 1, subs(50, 3))
    good = changes(first, second)
    other = changes(first, snapshot(BASE + 1, subs(50, 4)))
    for body in (b"", good[:-1], good[:100], b"x" * 300, other, changes(second, first),
                 changes(snapshot(BASE, subs(40)), second)):
        edge = Edge()
        with FeedServer(first) as server:
            edge.once(server.url)
            server.put(second)
            server.answer = lambda h, r: False if "whole" in r["query"] else server.send(
                h, 200, body, "application/vnd.subtoken.changes")
            edge.once(server.url)
            assert edge.files()["revoked"] == second
            last = server.requests[-1]
            # What there is here is said all the same (C8).
            wanted = {"since": [str(BASE)], "whole": ["1"]}
            assert len(server.requests) == 3 and last["query"] == wanted, server.requests
            assert last["etag"] is None, server.requests


@test
def bad_answers_are_refused_and_change_nothing():
    """Nothing is written, and it says what was wrong with the answer."""
    first, second = snapshot(BASE, subs(50)), snapshot(BASE + 1, subs(50, 3))
    now = int(time.time())
    send = lambda *args, **kw: lambda server, h: server.send(h, *args, **kw)
    whole = lambda body, **kw: send(200, body, snap=second, **kw)
    rows = [
        (whole(second, tag=etag(first)), 3, "feed_bad"),
        (whole(second, tag="x"), 3, "feed_bad"),
        (whole(second, tag="A" * 42 + "%"), 3, "feed_bad"),
        (whole(second[:-1] + b"x"), 3, "feed_bad"),
        (whole(second[:-1]), 3, "feed_bad"),
        (whole(second[:-1], length=len(second)), 3, "pull_failed"),   # the connection ends early
        (whole(second + b"x"), 3, "feed_bad"),                     # longer than its head says
        (whole(b""), 3, "feed_bad"),
        (whole(b"x" * 100), 3, "feed_bad"),
        (whole(b"x" * 400000), 3, "feed_bad"),
        (whole(second, kind="text/html"), 3, "feed_bad"),
        (whole(second, alive=b""), 3, "feed_bad"),
        (whole(second, alive=heartbeat(first, now)), 3, "feed_bad"),
        (whole(second, alive=b"x" * 160), 3, "feed_bad"),
        (whole(second, alive=heartbeat(second, 0)), 3, "feed_bad"),
        (send(304, snap=first, alive=heartbeat(second, now)), 3, "feed_bad"),
        (send(200, snapshot(BASE - 1, []), snap=snapshot(BASE - 1, [])), 1, "feed_rollback"),
        (send(201, second), 3, "pull_failed"),
        (lambda server, h: server.refuse(h, 302, "x", Location=server.url + "/else"), 3, "redirect (302)"),
        (lambda server, h: server.refuse(h, 301, "x", Location=server.url + "/else"), 3, "redirect"),
        (lambda server, h: server.refuse(h, 401, "Invalid access token"), 1, "Invalid access token"),
        (lambda server, h: server.refuse(h, 403, "requires scope revocations"), 1, "requires scope revocations"),
        (lambda server, h: server.refuse(h, 400, "since is no number"), 3, "since is no number"),
        (lambda server, h: server.refuse(h, 503, "\x1b[2J\u202eevil"), 3, r"\x1b[2J"),
        (lambda server, h: server.refuse(h, 503, "x" * 100000), 3, "503"),
        (lambda server, h: h.wfile.write(b"garbage\r\n\r\n"), 3, "pull_failed"),
    ]
    edge = Edge()
    with FeedServer(first) as server:
        edge.once(server.url)
        before = edge.files()
        for number, (answer, code, text) in enumerate(rows):
            def lie(handler, request):
                handler.close_connection = True
                answer(server, handler)
            server.answer = lie
            count = len(server.requests)
            err = edge.once(server.url, check=code)
            assert text.replace("redirect (302)", "302, a redirect") in err, (number, err)
            assert "\x1b" not in err and "\u202e" not in err, err
            assert edge.files() == before, number
            assert all(r["path"] == "/v2/revocations" for r in server.requests), number
            assert len(server.requests) - count == 1, (number, server.requests[count:])
        # A 304 when nothing is there is no answer.
        empty = Edge()
        server.answer = lambda h, r: server.send(h, 304)
        assert "304" in empty.once(server.url, check=3) and empty.files() == {}


@test
def a_forged_snapshot_is_found_by_the_ring():
    """pull has no ring; whoever reads the files has."""
    edge = Edge()
    other = mac(b"another", b"secret")
    snap = snapshot(BASE, subs(5), signer=("", other))
    with FeedServer(snap) as server:
        edge.once(server.url)
    assert "it was changed, or made with another secret" in edge.status(check=1)


@test
def what_was_seen_is_not_forgotten():
    edge, snap = Edge(), snapshot(BASE, subs(5))
    with FeedServer(snap) as server:
        edge.once(server.url)
        edge.write("revoked.seen", b"%d\n" % (BASE + 5))
        assert "feed_rollback" in edge.once(server.url, check=1)    # a 304
        os.unlink(edge.file)
        assert "feed_rollback" in edge.once(server.url, check=1)    # the whole
        assert "feed_rollback" not in edge.status(check=3)
        newer = snapshot(BASE + 5, subs(6))
        server.put(newer)
        edge.once(server.url)
        assert edge.files()["revoked"] == newer
        for text in (b"", b"\n", b"x\n", b"-1\n", b"99999999999999999999\n", b"%d" % (BASE + 9)):
            edge.write("revoked.seen", text)
            edge.once(server.url)
            assert edge.files()["revoked.seen"] == b"%d\n" % (BASE + 5), text


@test
def pull_goes_on_until_sigterm():
    """One connection, one line, and SIGTERM or SIGINT ends it at once."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        pull = edge.start(server.url)
        wait(lambda: len(server.requests) >= 4)
        assert edge.events() == ["pulled"], edge.log()
        assert edge.log()[0]["detail"] == "sequence=%d entries=20 bytes=%d" % (BASE, len(snap))
        assert server.connections == 1, server.connections
        server.put(snapshot(BASE + 1, subs(21)))
        wait(lambda: len(edge.log()) == 2)
        edge.status()
        end(pull)
        assert edge.events() == ["pulled", "pulled"], edge.log()
        pull = edge.start(server.url, "--every", "1h")
        wait(lambda: len(edge.log()) == 3)
        pull.send_signal(signal.SIGINT)
        assert pull.wait(timeout=120) == 0


@test
def pull_ends_in_the_middle_of_a_request():
    edge, asked, over = Edge(), threading.Event(), threading.Event()
    with FeedServer(snapshot(BASE, subs(20))) as server:
        def stall(handler, request):
            asked.set()
            over.wait(60)
            handler.close_connection = True
        server.answer = stall
        pull = edge.start(server.url, "--timeout", "1h")
        assert asked.wait(30)
        end(pull)
        over.set()
    assert edge.files() == {}


@test
def slow_answers_are_given_up():
    edge, over = Edge(), threading.Event()
    with FeedServer(snapshot(BASE, subs(20))) as server:
        def drip(handler, request):
            handler.close_connection = True
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n")
            while not over.wait(0.1):
                handler.wfile.write(b"S")
        server.answer = drip
        assert "pull_failed" in edge.once(server.url, "--timeout", "1s", check=3)
        over.set()
    assert edge.files() == {}


@test
def pull_logs_changes_of_state_alone():
    """Trouble is told once, however long it lasts, and so is its end. The key file is read
    again each time."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        pull = edge.start(server.url)
        wait(lambda: edge.events() == ["pulled"])
        server.key = "other"
        wait(lambda: edge.events() == ["pulled", "pull_refused"])
        count = len(server.requests)
        wait(lambda: len(server.requests) >= count + 2)
        edge.write("key", b"other\n", 0o600)
        wait(lambda: edge.events() == ["pulled", "pull_refused", "pulled"])
        edge.write("key", b"other\n", 0o644)
        wait(lambda: edge.events()[3:] == ["pull_failed"])
        edge.write("key", b"other\n", 0o640)
        wait(lambda: edge.events()[3:] == ["pull_failed", "pulled"])
        server.now = 1700000000
        wait(lambda: edge.events()[5:] == ["feed_rollback"])
        before = edge.files()
        count = len(server.requests)
        wait(lambda: len(server.requests) >= count + 1)
        assert edge.files() == before
        server.now = None
        wait(lambda: edge.events()[5:] == ["feed_rollback", "pulled"])
        server.put(snapshot(BASE - 1, []))
        wait(lambda: edge.events()[7:] == ["feed_rollback"])
        assert edge.files()["revoked"] == snap
        end(pull)


# ---- pull from several servers, and servers that hold their answers back ----

def when(edge):
    """T of the heartbeat that is here."""
    return struct.unpack_from("<Q", open(edge.alive, "rb").read(), 24)[0]


@test
def a_change_is_here_as_soon_as_it_is_made():
    """The request is held back for --every, 30 s at most; the first one is not."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        server.waits = True
        pull = edge.start(server.url, "--every", "1h")
        for number in range(1, 6):
            wait(lambda: len(server.requests) == number + 1)
            snap = snapshot(BASE + number, subs(20, number))
            server.put(snap)
            wait(lambda: edge.has(snap))
            edge.status()
        # Each change has cost one request, and SIGTERM ends the one that is held back.
        wait(lambda: len(server.requests) == 7)
        end(pull)
        assert len(server.requests) == 7 and server.connections == 1, server.requests
        assert "wait" not in server.requests[0]["query"], server.requests[0]
        assert all(r["query"]["wait"] == ["30"] for r in server.requests[1:]), server.requests
        assert edge.events() == ["pulled"] * 6, edge.log()
        pull = edge.start(server.url, "--every", "7s")
        wait(lambda: len(server.requests) == 9)
        assert server.requests[-1]["query"]["wait"] == ["7"], server.requests[-1]
        end(pull)


@test
def heartbeats_come_when_nothing_changes():
    edge = Edge()
    with FeedServer(snapshot(BASE, subs(20))) as server:
        server.waits = True
        pull = edge.start(server.url)
        wait(lambda: len(server.requests) == 2)
        first = when(edge)
        wait(lambda: when(edge) > first + 2)
        # One for each second or so: what is held back is not asked for again meanwhile.
        assert len(server.requests) <= 2 + when(edge) - first + 2, server.requests
        end(pull)
    assert edge.events() == ["pulled"], edge.log()


@test
def whoever_does_not_hold_an_answer_back_is_asked_as_before():
    edge = Edge()
    with FeedServer(snapshot(BASE, subs(20))) as server:
        pull = edge.start(server.url, "--every", "1h")
        wait(lambda: len(server.requests) == 2)
        time.sleep(1)
        assert len(server.requests) == 2, server.requests
        end(pull)


@test
def a_burst_of_changes_is_taken_together():
    edge, held = Edge(), [0]
    with FeedServer(snapshot(BASE, subs(20))) as server:
        def another(handler, request):  # something newer with each answer
            held[0] += 1
            server.put(snapshot(BASE + held[0], subs(20, held[0])))
            return False
        server.answer = another
        began = time.monotonic()
        pull = edge.start(server.url)
        wait(lambda: len(server.requests) >= 12)
        took = time.monotonic() - began
        end(pull)
    # 0.05, 0.1, 0.2, 0.4 and 0.5 s from then on; a machine that is slow takes longer.
    assert took > 2, took


def answers(server, status, text="x"):
    server.answer = lambda h, r: server.refuse(h, status, text)


@test
def the_next_server_is_asked_when_one_fails():
    """It stays with the one that answers; what was wrong with the other is told once."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as first, FeedServer(snap) as second:
        dead = "http://localhost:%d" % free_port()
        base = ["http://localhost:%d" % s.port for s in (first, second)]
        first.waits = second.waits = True
        for status, event in ((503, "pull_failed"), (401, "pull_refused"), (409, "feed_rollback"), (404, "pull_failed"),
                              (304, "feed_bad"), (200, "feed_bad")):
            edge, count = Edge(), len(second.requests)
            first.answer = lambda h, r: first.send(h, status, alive=b"") if status < 400 else first.refuse(h, status, "x")
            pull = edge.start([dead, *base])
            wait(lambda: len(second.requests) >= count + 3)
            assert edge.events() == ["pull_failed", event, "pulled"], (status, edge.log())
            lines = edge.log()
            assert lines[0]["detail"].startswith(dead) and lines[1]["detail"].startswith(base[0]), lines
            assert lines[2]["detail"].endswith(" from=" + base[1]), lines
            asked = len(first.requests)
            # The second goes wrong, and the first is well again.
            first.answer = None
            answers(second, 500)
            wait(lambda: len(edge.log()) == 5)
            assert edge.events()[3:] == ["pull_failed", "pulled"] and len(first.requests) > asked, edge.log()
            assert edge.log()[4]["detail"].endswith(" from=" + base[0]), edge.log()
            newer = snapshot(sequence_of(first.snap) + 1, subs(20))
            for server in (first, second):
                server.put(newer)
            wait(lambda: edge.has(newer))
            second.answer = None
            end(pull)
            assert [e for e in edge.events()[5:] if e != "pulled"] == [], edge.log()


@test
def a_server_that_is_silent_is_left():
    """It has taken the connection, and the request, and says nothing."""
    edge, over = Edge(), threading.Event()
    with FeedServer(snapshot(BASE, subs(20))) as first, FeedServer(first.snap) as second:
        first.answer = lambda h, r: over.wait(60)
        pull = edge.start([first.url, second.url])
        wait(lambda: len(edge.log()) == 2)
        assert edge.events() == ["pull_failed", "pulled"], edge.log()
        assert edge.log()[0]["detail"] == first.url + ": the server does not answer within 3 s", edge.log()
        over.set()
        end(pull)


@test
def no_server_makes_an_edge_go_back():
    """Another history, a lower sequence, an older T: each is told of, whoever else answers."""
    edge, snap = Edge(), snapshot(BASE + 9, subs(20))
    with FeedServer(snapshot(BASE, [])) as first, FeedServer(snap) as second:
        second.now = int(time.time())
        edge.once([second.url, first.url])
        before = edge.files()
        answers(second, 503)
        assert "feed_rollback" in edge.once([first.url, second.url], check=1)
        assert edge.files() == before
        # A pull that has just started knows the T that is here.
        second.answer, second.now = None, second.now - 5
        assert "older than the previous one" in edge.once([first.url, second.url], check=1)
        assert edge.files() == before
        # While it goes on that is no error, as clocks differ a little, and nothing is taken before its time.
        newer = snapshot(BASE + 10, subs(21))
        second.put(newer)
        count = len(second.requests)
        pull = edge.start(second.url)
        wait(lambda: len(second.requests) > count + 2)
        assert edge.files() == before and edge.events() == [], edge.log()
        second.now += 6
        wait(lambda: edge.has(newer) and edge.log())
        assert edge.events() == ["pulled"], edge.log()
        end(pull)


@test
def a_server_that_vouches_for_nothing_newer_is_left():
    """As a cache in between does that keeps its answers for too long; its changes are taken all the same."""
    edge = Edge()
    with FeedServer(snapshot(BASE, subs(20))) as first, FeedServer(first.snap) as second:
        first.now = int(time.time())
        pull = edge.start([first.url, second.url])
        wait(lambda: len(edge.log()) == 3)
        assert edge.events() == ["pulled", "pull_failed", "pulled"], edge.log()
        assert edge.log()[1]["detail"] == first.url + ": the server has vouched for nothing newer for 7 s", edge.log()
        assert edge.log()[2]["detail"].endswith(" from=" + second.url)
        wait(lambda: when(edge) > first.now + 1)
        end(pull)
        # Alone it is told of, asked as often as before, and not left.
        first.now = int(time.time()) + 5
        pull = edge.start(first.url)
        wait(lambda: edge.events()[3:] == ["pulled", "pull_failed"])
        first.put(snapshot(BASE + 1, subs(21)))
        wait(lambda: edge.has(first.snap))
        first.now += 1
        wait(lambda: edge.events()[3:] == ["pulled", "pull_failed", "pulled"])
        end(pull)


@test
def once_asks_each_server_until_one_answers():
    edge = Edge()
    with FeedServer(snapshot(BASE, subs(20))) as first, FeedServer(first.snap) as second:
        answers(first, 401, "Invalid access token")
        code, out, err = run(*edge.args([first.url, second.url], "--once", "--json"), env=ENV)
        assert code == 0 and json.loads(out)["sequence"] == BASE, (code, out, err)
        assert first.url + ": pull_refused: the server answers 401: Invalid access token" in err, err
        assert all("wait" not in r["query"] for r in first.requests + second.requests)
        answers(second, 503)
        err = edge.once([first.url, second.url], check=1)
        assert "pull_refused" in err and "pull_failed" in err, err
        edge.once([second.url, first.url], check=3)
    assert "number 2: " in edge.once(["http://localhost:1", "http://example.com"], check=2)
    assert "more than 16 times" in edge.once(["http://localhost:1"] * 17, check=2)
    edge.once(["http://localhost:1"] * 16, check=3)


@test
def two_pulls_do_not_share_a_file():
    edge = Edge()
    with FeedServer(snapshot(BASE, subs(20))) as server:
        pull = edge.start(server.url)
        wait(lambda: edge.log())
        assert "another process has locked" in edge.once(server.url, check=3)
        other = Edge()
        other.file = os.path.join(edge.dir, "revoked2")
        other.once(server.url)
        end(pull)
        edge.once(server.url)


@test
def a_killed_pull_leaves_good_files():
    """F10: whatever moment, the files are whole, an edge that starts can decide by them, and the
    next pull leaves nothing behind."""
    edge, known = Edge(), set()
    rounds = 12 if SANITIZER else 30
    first = snapshot(BASE, subs(200))
    with FeedServer(first) as server:
        sequence = [BASE]

        def another(handler, request):
            sequence[0] += 1
            base = hashes = hashes_of(first)
            server.put(snapshot(sequence[0], hashes=base[sequence[0] % 7:]))
            known.add(etag(server.snap))
            return False
        server.answer = another
        edge.once(server.url)
        highest = 0
        for number in range(rounds):
            count = len(server.requests)
            pull = edge.start(server.url)
            wait(lambda: len(server.requests) > count)
            time.sleep(random.random() * 0.01)
            pull.send_signal(signal.SIGKILL)
            pull.wait()
            files = edge.files()
            assert etag(files["revoked"]) in known
            assert len(files["revoked.alive"]) == 160
            seen = int(files["revoked.seen"])
            assert highest <= seen <= sequence_of(files["revoked"])
            highest = seen
            code, out, err = run("feed", "status", edge.file, "--secrets", edge.secrets)
            assert code == 0, (code, out, err)
        # Whatever the last one left in the middle of writing.
        for name in ("revoked", "revoked.alive", "revoked.next", "revoked.seen"):
            edge.write(name + ".new-abc123", b"half")
        edge.write("revoked.next", b"half")
        edge.once(server.url)
        edge.status()
        assert sorted(edge.files()) == ["revoked", "revoked.alive", "revoked.seen"], os.listdir(edge.dir)


@test
def a_full_disk_keeps_the_old_files():
    edge, first, second = Edge(), snapshot(BASE, subs(20)), snapshot(BASE + 1, subs(2000))
    with FeedServer(first) as server:
        edge.once(server.url)
        server.put(second)
        for limit in ("100", "1000", "10000"):
            before = edge.files()
            err = edge.once(server.url, check=3, prefix=("prlimit", "--fsize=" + limit))
            assert "cannot write" in err and "File too large" in err, err
            # Nor the heartbeat, which would fit: it names what is not there.
            assert edge.files() == before
        edge.once(server.url)
        assert edge.files()["revoked"] == second


@test
def a_folder_that_cannot_be_written_is_an_error():
    edge = Edge()
    with FeedServer(snapshot(BASE, subs(20))) as server:
        for path in ("missing/revoked", "key/revoked"):
            edge.file = os.path.join(edge.dir, path)
            assert "cannot" in edge.once(server.url, check=3)
        os.mkdir(os.path.join(edge.dir, "d"))
        edge.file = os.path.join(edge.dir, "d")
        assert "cannot write" in edge.once(server.url, check=3)
        assert os.listdir(edge.file) == []


@test
def file_modes_are_kept():
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        edge.put(snapshot(BASE - 1, []))
        edge.write("revoked.seen", b"1\n", 0o600)
        os.chmod(edge.alive, 0o666)
        edge.once(server.url)
        assert edge.files()["revoked"] == snap
        modes = [stat.S_IMODE(os.stat(p).st_mode) for p in (edge.file, edge.alive, edge.seen)]
        assert modes == [0o644, 0o644, 0o600], [oct(m) for m in modes]


@test
def wrong_usage_exits_with_2():
    edge = Edge()
    rows = ["http://example.com/v2/revocations", "http://127.0.0.1.example.com/", "http://128.0.0.1/",
            "ftp://localhost/", "file:///etc/passwd", "https://user:secret@localhost/", "localhost", "",
            "http://[::2]/", "http://localhost@example.com/", "//localhost/", "http://"]
    for url in rows:
        err = edge.once(url, check=2)
        assert "secret" not in err, err
    for more in (["--every", "0s"], ["--every", "5"], ["--every", "500ms"], ["--every", "2d"],
                 ["--timeout", "0s"], ["--to", ""], ["--to", "x" * 1025], ["word"]):
        edge.once("http://localhost:1/", *more, check=2)
    assert run("pull", "--from", "http://localhost:1/")[0] == 2
    assert run(*edge.args("http://localhost:1/", "--json"))[0] == 2
    assert os.listdir(edge.dir) == sorted(["key", "secrets"]) or "revoked.lock" in os.listdir(edge.dir)
    for data, mode in ((b"", 0o600), (b"\n", 0o600), (b"a b\n", 0o600), (b"a\nb\n", 0o600),
                       (b"a\0", 0o600), (b"a", 0o644)):
        edge.write("key", data, mode)
        edge.once("http://localhost:1/", check=3)
    os.unlink(edge.key_file)
    assert "cannot open" in edge.once("http://localhost:1/", check=3)


@test
def plain_http_is_for_loopback_and_goes_through_no_proxy():
    edge = Edge()
    with FeedServer(snapshot(BASE, subs(20))) as server:
        for host in ("localhost", "LOCALHOST", "127.0.0.1"):
            edge.once("http://%s:%d/v2/revocations" % (host, server.port))
        # A proxy of the environment would get the key.
        proxies = dict(ENV, http_proxy="http://127.0.0.1:1", all_proxy="http://127.0.0.1:1")
        edge.once(server.url, env=proxies)
    assert "pull_failed" in edge.once("http://127.255.0.1:1/", check=3)
    assert "pull_failed" in edge.once("http://[::1]:1/", check=3)


@test
def without_libcurl_pull_alone_fails_and_says_why():
    """What it needs is said, and only pull needs it."""
    edge = Edge()
    with open(os.path.join(edge.dir, "empty.c"), "w") as f:
        f.write("int nothing;\n")
    subprocess.run(["gcc", "-shared", "-o", os.path.join(edge.dir, "libcurl.so.4"),
                    os.path.join(edge.dir, "empty.c")], check=True)
    env = dict(ENV, LD_LIBRARY_PATH=edge.dir)
    assert "libcurl.so.4 is too old: it has no curl_" in edge.once("http://localhost:1/", check=3, env=env)
    edge.write("libcurl.so.4", b"garbage")
    assert "libcurl.so.4 is needed" in edge.once("http://localhost:1/", check=3, env=env)
    assert run("version", env=env)[0] == 0


@test
def certificates_are_checked():
    edge = Edge()
    cert, key = os.path.join(edge.dir, "cert"), os.path.join(edge.dir, "tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                    cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with FeedServer(snapshot(BASE, subs(20)), tls) as server:
        assert "certificate" in edge.once(server.url, check=3)
        other_name = server.url.replace("localhost", "127.0.0.1")
        assert "pull_failed" in edge.once(other_name, "--ca", cert, check=3)
        assert "pull_failed" in edge.once(server.url, "--ca", key, check=3)
        assert server.requests == []
        edge.once(server.url, "--ca", cert)
        assert len(edge.files()) == 3


@test
def heartbeats_from_the_future_are_not_kept():
    """C12: the server's clock alone is ahead for a while."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        edge.once(server.url)
        before = edge.files()
        server.now = int(time.time()) + 3600
        assert "feed_bad" in edge.once(server.url, check=3)
        server.put(snapshot(BASE + 1, subs(21)))
        assert "from the future" in edge.once(server.url, check=3)
        assert edge.files() == before
        server.now = int(time.time()) + 45  # less than the leeway
        edge.once(server.url)
        assert edge.files()["revoked"] == server.snap
        server.now = int(time.time()) + 200
        edge.once(server.url, check=3)
        edge.once(server.url, "--leeway", "1h")
        # One that goes on; a clock that both had wrong is as if one had been told that (by leeway).
        pull = edge.start(server.url, "--leeway", "1h")
        wait(lambda: edge.events() == ["pulled"])
        end(pull)
        server.now = None
        edge.once(server.url)
        edge.status()
    edge = Edge()
    if FAKETIME is None or SANITIZER:
        return
    clock = edge.write("clock", b"+3600s\n")
    env = dict(ENV, LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=clock, FAKETIME_NO_CACHE="1",
               DONT_FAKE_MONOTONIC="1")
    with FeedServer(snap) as server:
        # All clocks are an hour ahead, then right: the same pull takes what is right.
        server.now = int(time.time()) + 3600
        edge.log_path = os.path.join(edge.dir, "log")
        pull = subprocess.Popen([PROGRAM] + edge.args(server.url), stderr=open(edge.log_path, "ab"),
                                stdout=subprocess.DEVNULL, env=env)
        wait(lambda: edge.events() == ["pulled"])
        assert "future" in edge.status(check=1)
        server.now = None
        edge.write("clock", b"+0s\n")
        wait(lambda: os.path.exists(edge.alive) and abs(struct.unpack_from(
            "<Q", open(edge.alive, "rb").read(), 24)[0] - time.time()) < 60)
        edge.status()
        end(pull)
        assert "feed_rollback" not in edge.events(), edge.events()


@test
def an_address_without_a_path_means_the_feed():
    """F2"""
    with FeedServer(snapshot(BASE, subs(20))) as server:
        for url in ("http://localhost:%d", "http://localhost:%d/", "http://127.0.0.1:%d?x=1"):
            edge = Edge()
            edge.once(url % server.port)
            assert server.requests[-1]["path"] == "/v2/revocations", server.requests[-1]
        server.answer = lambda h, r: server.refuse(h, 404, "no such path")
        Edge().once("http://localhost:%d/feed/" % server.port, check=3)
        assert server.requests[-1]["path"] == "/feed/", server.requests[-1]


@test
def another_history_is_kept_out():
    """C8: the server has never given the sequence that FILE has."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    with FeedServer(snap) as server:
        edge.once(server.url)
        before = edge.files()
        server.put(snapshot(BASE + 5, []))
        server.answer = lambda h, r: server.refuse(h, 409, "another history")
        assert "feed_rollback" in edge.once(server.url, check=1)
        assert edge.files() == before
        # FILE may have gone: what was seen is said all the same, and the whole is asked for.
        os.unlink(edge.file)
        assert "another history" in edge.once(server.url, check=1)
        assert server.requests[-1]["query"] == {"since": [str(BASE)], "whole": ["1"]}
        assert edge.files()["revoked.seen"] == before["revoked.seen"]


@test
def a_file_shorter_than_it_says_takes_no_memory():
    """C14: whoever reads it takes no memory for what is not there."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    count = 300000000
    bits = 26
    size = 128 + 4 * ((1 << bits) + 2) + 8 * count + 32
    head = bytearray(snap[:128])
    head[12] = bits
    struct.pack_into("<Q", head, 32, size)
    struct.pack_into("<I", head, 40, count)
    edge.write("revoked", bytes(head))
    os.truncate(edge.file, size)
    edge.write("revoked.alive", heartbeat(snap, int(time.time())))
    edge.write("revoked.seen", b"%d\n" % BASE)
    limited = dict(prefix=() if SANITIZER else ("prlimit", "--as=%d" % (512 << 20)))
    for more, text in (((), "larger than the limit"), (("--max-size", "4g"), "cut short, or longer")):
        code, out, err = run("feed", "status", edge.file, "--secrets", edge.secrets, *more, **limited)
        assert code == 1 and text in out, (code, out, err)
        code, out, err = run("verify", "--secrets", edge.secrets, "--revocations", edge.file, *more,
                             stdin=token("a", int(time.time())), **limited)
        assert code == 1 and "feed_stale" in out and text in err, (code, out, err)
    with FeedServer(snap) as server:
        edge.once(server.url, **limited)
        assert edge.files()["revoked"] == snap
        edge.status("--max-size", str(len(snap)))
        assert "larger" in edge.status("--max-size", str(len(snap) - 1), check=1)
        # What the server says of itself is not believed, either.
        server.answer = lambda h, r: server.send(h, 200, bytes(head) + b"x" * 400000,
                                                 snap=snapshot(BASE + 1, []))
        assert "larger than --max-size" in edge.once(server.url, check=3, **limited)
        assert edge.files()["revoked"] == snap


@test
def a_file_mounted_by_itself_is_warned_about():
    """F7: it never shows what replaces it, which is said."""
    edge, snap = Edge(), snapshot(BASE, subs(20))
    edge.put(snap)
    seen = Edge()
    for suffix in ("", ".alive"):
        open(seen.file + suffix, "w").close()
        if subprocess.run(["mount", "--bind", edge.file + suffix, seen.file + suffix],
                          capture_output=True).returncode != 0:
            return "mounting is not allowed here"
    try:
        seen.secrets = edge.secrets
        assert "mount its directory" in seen.status()
        edge.put(snapshot(BASE + 1, subs(21)))
        os.unlink(edge.file), os.unlink(edge.alive)
        assert "mount its directory" in seen.status()  # what was there is still shown
        with FeedServer(snapshot(BASE + 1, subs(21))) as server:
            err = seen.once(server.url, check=3)
            assert "a mount point" in err and "mount its directory" in err, err
    finally:
        for suffix in ("", ".alive"):
            subprocess.run(["umount", seen.file + suffix], check=True)
    assert "mount" not in Edge().status(check=3)


# ---- feed status ----

@test
def feed_status_prints_text_and_json():
    edge, snap = Edge(), snapshot(BASE, subs(20))
    now = int(time.time())
    assert "cannot read" in edge.status(check=3)
    edge.write("revoked", snap)
    assert ".alive" in edge.status(check=3)
    edge.put(snap, now)
    out = edge.status()
    for text in ("sequence  %d\n" % BASE, "entries   20\n", "size      %d bytes\n" % len(snap),
                 "made      2023-11-14T22:13:20Z\n", "state     fresh: "):
        assert text in out, out
    said = json.loads(edge.status("--json"))
    assert said["sequence"] == BASE and said["vouched"] == now and said["state"] == "fresh", said
    assert said["reason"] == "ok" and said["size"] == len(snap) and said["made"] == 1700000000
    edge.put(snap, now - 1000)
    out = edge.status(check=1)
    assert "state     stale: the last heartbeat is 10" in out and "the maximum is 300 s" in out, out
    assert json.loads(edge.status("--json", check=1))["reason"] == "old"
    edge.status("--max-age", "1h")
    assert json.loads(edge.status("--json", "--max-age", "0", check=1))["state"] == "stale"
    edge.put(snap, now + 3600)
    assert "refused: " in edge.status(check=1) and "future" in edge.status(check=1)
    assert json.loads(edge.status("--json", check=1))["reason"] == "future"
    edge.status("--leeway", "1h")
    for args in (("--leeway", "61m"), ("--leeway", "3601"), ("--max-size", "0"), ("--max-size", "1t")):
        edge.status(*args, check=2)  # C13: at most an hour; C14
    edge.put(snap, now, heartbeat(snapshot(BASE, subs(21)), now))
    assert "names another snapshot" in edge.status(check=1)
    edge.put(snap[:-1] + bytes([snap[-1] ^ 1]), now)
    assert json.loads(edge.status("--json", check=1))["reason"] == "mac"
    edge.put(snap[:-1], now, heartbeat(snap, now))
    assert json.loads(edge.status("--json", check=1))["reason"] == "length"
    edge.put(snap, now, heartbeat(snap, now, ("", b"other" * 8)))
    assert json.loads(edge.status("--json", check=1))["reason"] == "mac"
    edge.put(snap, now)
    edge.write("revoked.seen", b"%d\n" % (BASE + 1))
    assert json.loads(edge.status("--json", check=1))["reason"] == "rollback"
    os.unlink(edge.file)
    os.mkfifo(edge.file)
    assert "not a regular file" in edge.status(check=3)
    for args in (["--max-age", "x"], ["--leeway", "-1"], ["more"]):
        edge.status(*args, check=2)
    assert run("feed", "status")[0] == 2 and run("feed")[0] == 2 and run("feed", "status", "")[0] == 2
    assert run("feed", "status", edge.file, "--secrets", "/nowhere")[0] == 3


# ---- verify --revocations ----

@test
def verify_decides_by_the_files():
    edge, now = Edge(), int(time.time())
    snap = snapshot(BASE, ["revoked-sub"])
    good, bad = token("good-sub", now), token("revoked-sub", now)
    out = edge.verify(good, check=1)
    assert out.startswith("refused 503 feed_stale: ") and "cannot read" in out, out
    assert out.count("no revocation data") == 1, out
    edge.put(snap, now)
    assert "refused" not in edge.verify(good)
    assert "refused 401 revoked" in edge.verify(bad, check=1)
    assert json.loads(edge.verify(bad, "--json", check=1))["reason"] == "revoked"
    # --at stands for now: the data ages by it, too.
    assert "refused" not in edge.verify(good, "--at", str(now + 200))
    out = edge.verify(good, "--at", str(now + 301), check=1)
    assert "refused 503 feed_stale" in out and "is 301 s old, and the maximum is 300 s" in out, out
    assert "refused" not in edge.verify(good, "--at", str(now + 301), "--max-age", "301")
    out = edge.verify(good, "--at", str(now - 65), check=1)
    assert "503 feed_stale" in out and "future" in out, out
    assert "refused" not in edge.verify(good, "--at", str(now - 65), "--leeway", "2m")
    # Now is never earlier than what the issuer vouched for.
    short = token("good-sub", now - 3625)
    assert "expired" in edge.verify(short, "--at", str(now - 5), "--leeway", "20", check=1)
    edge.put(snap, now, heartbeat(snap, now, ("", b"other" * 8)))
    out = edge.verify(good, check=1)
    assert "503 feed_stale" in out and "it was changed, or made with another secret" in out, out
    for args in (["--no-revocations"], ["--max-age", "x"], ["--revocations", ""]):
        edge.verify(good, *args, check=2)
    assert run("verify", "--max-age", "5", stdin=good)[0] == 2


@test
def verify_decides_by_the_files_without_a_store():
    """DATA is not looked at when ring and files are given, whatever is there."""
    edge, now = Edge(), int(time.time())
    edge.put(snapshot(BASE, ["revoked-sub"]), now)
    assert "refused" not in edge.verify(token("good-sub", now), "--data", os.path.join(edge.dir, "none"))
    assert not os.path.exists(os.path.join(edge.dir, "none"))
    # The ring is DATA's where it is not given; the database there does not know the sub.
    data = data_dir()
    make_key(data)
    shutil.copy(edge.secrets, os.path.join(data, "secrets"))
    code, out, err = run("verify", "--revocations", edge.file, stdin=token("good-sub", now), data=data)
    assert code == 0, (out, err)
    assert run("verify", stdin=token("good-sub", now), data=data)[0] == 1


@test
def verify_jsonl_takes_up_new_files():
    edge, now = Edge(), int(time.time())
    edge.put(snapshot(BASE, ["other"]), now - 20)
    process = subprocess.Popen([PROGRAM, "verify", "--jsonl", "--secrets", edge.secrets,
                                "--revocations", edge.file],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ask(**more):
        process.stdin.write(json.dumps(dict(token=token("the-sub", now), **more)).encode() + b"\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())
    ok, stale = {"ok": True}, {"ok": False, "status": 503, "reason": "feed_stale"}
    assert ask() == ok and ask() == ok
    second = snapshot(BASE + 1, ["other", "the-sub"])
    edge.put(second, now - 10)
    assert ask() == {"ok": False, "status": 401, "reason": "revoked"}
    # Damaged files leave what is in force; so does an older pair.
    edge.write("revoked", b"garbage")
    assert ask()["reason"] == "revoked" and ask()["reason"] == "revoked"
    edge.put(snapshot(BASE, ["other"]), now)
    assert ask()["reason"] == "revoked"
    edge.put(snapshot(BASE + 2, ["other"]), now)
    assert ask() == ok
    # The filter of a large snapshot, which takes several steps, keeps nobody from the next one.
    many = [random.getrandbits(64) for _ in range(200000)]
    edge.put(snapshot(BASE + 3, ["other"], many), now)
    assert ask() == ok
    edge.put(snapshot(BASE + 4, ["the-sub"], many), now)
    assert ask()["reason"] == "revoked"
    edge.put(snapshot(BASE + 5, ["other"]), now)
    assert ask() == ok
    # A line's own time is its now, and leaves nothing behind for the next one.
    assert ask(at=now + 301) == stale and ask(at=now - 65) == stale and ask() == ok
    process.stdin.close()
    assert process.wait(timeout=120) == 0
    err = process.stderr.read().decode()
    assert err.count("no newer revocation data") == 2 and len(err.splitlines()) == 2, err


main()
