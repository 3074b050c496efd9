"""A running `subtoken serve` in which calls of the system and of the allocator fail, by the shim of tests/faults: once,
and from then on, at its start, in each kind of request, at a reload and at its end; on the store that
SUBTOKEN_TEST_STORE names. It never crashes or hangs; a start fails with a word and exit code 3, or is whole; a request is
answered, or refused with 503; what was answered as done is there, what was not is there whole or not at all; and once the
fault is over the same process is well. SUBTOKEN_FAULTS=all lets each call fail in each kind of request, SUBTOKEN_FAULTS=2
two of each; else a few of some."""
import sys
sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/faults")
from fault_calls import *
from faults import FOREVER, SHORT, Faults
from stores import execute

LONG = os.environ.get("SUBTOKEN_FAULTS", "")
MOST = int(LONG) if LONG.isdigit() else 10 ** 9
# The connection may end instead of an answer: the fault is on it.
OF_THE_CONNECTION = {"send", "recv", "poll", "accept"}
ONCE = ["memory", "map", "open", "read", "write", "sync", "truncate", "stat", "lock", "random", "thread", "event",
        "accept", "socket", "send", "recv"]
START = set(ONCE) | {"bind", "limit", "close", "seek", "mkdir", "rename", "unlink", "mode", "connect", "resolve"}
CONFIG = {"threads": 8, "metrics_listen": "127.0.0.1:0", "metrics": True, "page": True}
FILES = {"subtoken.db", "subtoken.db-wal", "subtoken.db-shm", "secrets", "vouched", "snapshot", "snapshot.changes",
         "config.json", "vouched.spare", "snapshot.spare", "snapshot.changes.spare"}
# Of the kinds of request, those that stand for all while everything fails.
FOR_LONG = {"tokeninfo", "keys_listed", "metrics", "FeedAfterChange", "KeyDisabled"}
faults = Faults("subtoken")


def for_long(call):
    """From then on; what is never accepted is never answered."""
    return 20 if call == "accept" else FOREVER



class Faulty(Server):
    """A server with the shim, which does nothing before it is armed."""

    def __init__(self, data=None, **more):
        super().__init__(data, dict(CONFIG, **more), env=faults.env())

    def start(self):
        super().start()
        self.metrics_port = int(re.findall(r'"metrics_listening","detail":"http://[^"]*:(\d+)"', self.log())[-1])
        return self

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def is_well(self, s):
        assert self.process.poll() is None, (self.process.returncode, self.log()[-3000:])
        s.sure("GET", "/readyz")
        s.sure("GET", "/v2/createsubtoken?permissions=account", s.key)


def left_behind(data):
    return sorted(set(os.listdir(data)) - FILES)


def chosen(count, most):
    """Which of so many calls to let fail: all, or some from the first to the last."""
    most = min(count, MOST if LONG else most)
    return [1 + i * (count - 1) // max(1, most - 1) for i in range(most)]


def told():
    """For an assertion: which call failed."""
    return faults.explain(PROGRAM, 20)


# ---- the start ----

def start_with_a_fault(data, key, kind):
    """Up and well, or over with a word, within a minute; None, or the exit code."""
    server = Faulty(data)
    path = os.path.join(server.dir, "socket")
    server.write_config(dict(CONFIG, listen=["127.0.0.1:0", "unix:" + path]))
    words = [PROGRAM, "serve", "--data", data, "--config", server.config_path]
    with open(server.log_path, "wb") as log:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log, env=server.env)
    server.process, site, until = process, Site(server, key, path), time.monotonic() + 60
    try:
        # By an answer, or by its log: each may be what fails.
        while process.poll() is None and site.ask("GET", "/healthz").status == 0 and '"listening"' not in server.log():
            assert time.monotonic() < until, ("it hangs", server.log()[-3000:], told())
            time.sleep(0.005)
        if process.poll() is None:
            got = site.ask("GET", "/v2/tokeninfo", key)
            assert got.status in (200, 503) or kind in OF_THE_CONNECTION and got.status == 0, (got, told())
            faults.disarm()
            server.is_well(site)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=120) == 0, (process.returncode, server.log()[-3000:], told())
        else:
            assert process.returncode == 3, (process.returncode, server.log()[-3000:], told())
            assert "serve: " in server.log() or kind == "write", (server.log(), told())
        assert "Sanitizer" not in server.log() and "runtime error" not in server.log(), server.log()[-6000:]
        assert left_behind(data) == [] and not os.path.exists(path), (os.listdir(data), os.listdir(server.dir), told())
        return process.returncode
    finally:
        faults.disarm()
        if process.poll() is None:
            process.kill()
            process.wait()


@test
def a_start_is_whole_or_ends_with_a_word():
    data = data_dir()
    key = make_key(data, ADMIN)["key"]
    codes = {}

    def attempt(kind, at, times=1):
        faults.arm(kind, at=at, times=times)
        code = start_with_a_fault(data, key, kind)
        codes[code] = codes.get(code, 0) + 1

    attempt("memory", 0)
    counts = faults.counts()
    for kind in sorted(set(counts) & START):
        for n in chosen(counts[kind], 7 if kind in ("memory", "thread") else 2):
            attempt(kind, n)
        if kind != "lock" and (LONG or kind in ("memory", "open", "read", "write")):  # a lock: SQLite tries for ten seconds
            attempt(kind, 1 + counts[kind] // 2, for_long(kind))
    assert codes[3] > 10 and codes[0] > 10, codes  # some of both kinds
    print("# %d starts, of which %d ended at once" % (codes[0] + codes[3], codes[3]))
    with Faulty(data) as server:
        server.is_well(Site(server, key))


# ---- requests ----

class Tries:
    """What was seen, for the end."""

    def __init__(self):
        self.requests = self.failed = self.refused = self.cut = 0
        self.problems = []


def request_with_a_fault(s, kind, call, seen, arm):
    """arm(): begins the fault, around the request alone. The long form goes on after a problem that the server survives."""
    try:
        fault_in_request(s, kind, call, seen, arm)
    except AssertionError as e:
        faults.disarm()
        if not LONG or s.server.process.poll() is not None:
            raise
        seen.problems.append(str(e))
        print("# " + str(e).replace("\n", "\n# "), flush=True)


def fault_in_request(s, kind, call, seen, arm):
    made = kind.prepare(s)
    arm()
    got = kind.ask(s, made)
    faults.disarm()
    fine = got.status in kind.good
    assert fine or got.status == 503 or got.status == 0 and call in OF_THE_CONNECTION, (kind.name(), call, got, told())
    assert s.server.process.poll() is None, (kind.name(), call, s.server.log()[-3000:], told())
    seen.requests += 1
    seen.failed += faults.failed() > 0
    seen.refused += got.status == 503
    seen.cut += got.status == 0
    try:
        kind.holds(s, made, got)
        again = kind.ask(s, kind.prepare(s))
        assert again.status in kind.good, again
    except AssertionError as e:
        raise AssertionError("%s after a %s that failed: %s; %s" % (kind.name(), call, e, told()))


def calls_of(s, kind):
    """{kind of call: how many} of one request, and what the server does meanwhile."""
    made = kind.prepare(s)
    faults.arm()
    got = kind.ask(s, made)
    faults.disarm()
    assert got.status in kind.good, (kind.name(), got)
    return faults.counts()


@test
def a_request_is_answered_or_refused_and_the_next_is_well():
    data = data_dir()
    key = make_key(data, ADMIN)["key"]
    seen = Tries()
    with Faulty(data) as server:
        s = Site(server, key)
        for kind in KINDS:  # what each opens and keeps
            assert (got := kind.ask(s, kind.prepare(s))).status in kind.good, (kind.name(), got)
        descriptors = server.descriptors()
        for i, kind in enumerate(KINDS):
            counts = calls_of(s, kind)
            for call in ONCE if LONG or not kind.slow else ("memory",):
                numbers = chosen(counts.get(call, 0), 3)
                for n in numbers if LONG else numbers[i % 3:][:1] or numbers[:1]:  # first, middle, last in turn
                    request_with_a_fault(s, kind, call, seen, lambda: faults.arm(call, at=n, object=by_whom(call)))
                    if call in ("read", "write") and (LONG or i % 4 == 0):
                        request_with_a_fault(s, kind, call, seen, lambda: faults.arm(call, at=n, action=SHORT))
        server.is_well(s)
        wait(lambda: server.descriptors() <= descriptors + CONFIG["threads"], "%d descriptors, not %d" % (server.descriptors(), descriptors))
    audit_tells_all(data, s)
    assert not seen.problems, (len(seen.problems), seen.problems[0])
    assert seen.failed > 80 and seen.refused > 5, vars(seen)
    print("# %(requests)d requests, of which in %(failed)d a call failed; %(refused)d were refused, %(cut)d cut" % vars(seen))


def by_whom(call):
    """A socket of libpq that fails in send() alone is none that breaks: it waits for an answer then, to its deadline."""
    return "-" if STORE and call == "send" else ""


def audit_tells_all(data, s):
    """A change and its line are one: a key that is there was made by exactly one line, and whatever was answered as made
    is there."""
    names = dict(execute(data, "SELECT name, id FROM keys"))
    lines = [row[0] for row in execute(data, "SELECT target FROM audit WHERE action = 'key.create'")]
    for name, done in s.made.items():
        assert name in names or not done, name
        assert lines.count(names.get(name)) == (name in names), name
    assert sorted(lines) == sorted(set(lines))


@test
def while_all_calls_fail_nobody_hangs_and_afterwards_all_is_well():
    data = data_dir()
    key = make_key(data, ADMIN)["key"]
    seen = Tries()
    with Faulty(data) as server:
        s = Site(server, key)
        for call in sorted(set(ONCE) - {"lock"}):  # SQLite itself tries for ten seconds
            for kind in KINDS if LONG else [k for k in KINDS if k.name() in FOR_LONG]:
                request_with_a_fault(s, kind, call, seen,
                                     lambda: faults.arm(call, at=1, times=for_long(call), object=by_whom(call)))
        server.is_well(s)
    assert not seen.problems, (len(seen.problems), seen.problems[0])
    audit_tells_all(data, s)
    assert left_behind(data) == []


# ---- reload, and the end ----

def life(s):
    """default_life, as it is in force."""
    claims = payload(s.sure("GET", "/v2/createsubtoken?permissions=account", s.key).json()["subtoken"])
    return claims["exp"] - claims["iat"]


def signals_are_handled(process):
    """SIGUSR2, which does nothing, is taken when what came before it is over; the log may be what cannot be written."""
    process.send_signal(signal.SIGUSR2)

    def taken():
        with open("/proc/%d/status" % process.pid) as f:
            return not int(re.search(r"^ShdPnd:\s*(\w+)", f.read(), re.M)[1], 16) >> (signal.SIGUSR2 - 1) & 1

    wait(taken, "the signal to be taken: " + told())


@test
def a_reload_is_whole_or_changes_nothing():
    data = data_dir()
    key = make_key(data, ADMIN)["key"]
    lives, result = itertools.cycle((3600, 7200)), {True: 0, False: 0}
    with Faulty(data) as server:
        s = Site(server, key)
        now = [life(s)]

        def reload(n):
            want = next(lives)
            server.write_config(dict(CONFIG, default_life="%dm" % (want // 60)))
            server.process.send_signal(signal.SIGHUP)
            signals_are_handled(server.process)
            faults.disarm()
            done = life(s) == want
            assert done or life(s) == now[0], (life(s), want, now, told())
            now[0] = life(s)
            result[done] += 1

        def attempt(call, n, times=1):
            faults.arm(call, at=n, times=times)
            reload(n)

        attempt("memory", 0)
        counts = faults.counts()
        for call in sorted(set(counts) & (START - {"lock", "recv", "send", "accept", "poll"})):
            for n in chosen(counts[call], 4):
                attempt(call, n)
                server.is_well(s)
            if LONG or call in ("memory", "open", "read"):
                attempt(call, 1, FOREVER)
        reload(0)
        assert life(s) == (7200 if next(lives) == 3600 else 3600)
    assert result[True] > 5 and result[False] > 5, result
    print("# %d reloads, of which %d changed nothing" % (sum(result.values()), result[False]))


@test
def the_end_comes_and_the_next_start_is_well():
    """Also when the log, the database or a thread's end is what fails; what was used meanwhile is written, or is not."""
    data = data_dir()
    key = make_key(data, ADMIN)["key"]
    made = []

    def end(call, n, times=1):
        with Faulty(data) as server:
            s = Site(server, key)
            s.sure("GET", "/v2/revocations", key)
            made.append(s.make_key()["key"])
            faults.arm(call, at=n, times=times)
        faults.disarm()
        assert left_behind(data) == [], told()

    end("memory", 0)
    counts = faults.counts()
    for call in sorted(set(counts) & (START - {"lock"})):
        for n in chosen(counts[call], 1):
            end(call, n)
        if LONG or call in ("memory", "write"):
            end(call, 1, FOREVER)
    with Faulty(data) as server:
        s = Site(server, key)
        server.is_well(s)
        assert [s.status(one) for one in made] == [200] * len(made)


main()
