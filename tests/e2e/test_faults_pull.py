"""The files that `subtoken pull` keeps for an edge, at every instant: whichever call of it fails, wherever it is killed,
and while it stands still between any two calls, an edge that starts has data: libsubtoken reads the files, as in nginx,
HAProxy and Apache httpd (subtoken_feed_file_load). What one fault has left is where the next one begins, until no
fault leads to files that were not seen before. SUBTOKEN_FAULTS=all takes every way through the code."""
import contextlib, ctypes
from feed import *

sys.path.insert(0, os.path.join(TESTS, "faults"))
import faults

ALL = os.environ.get("SUBTOKEN_FAULTS") == "all"
BASE = 1700000000000000
# What changes a file, or what the next one sees of it.
CHANGES = "open,write,rename,unlink,truncate,sync,mode,close"
OTHERS = "memory,read,stat,lock,seek,map,event,socket,connect,resolve,send,recv,poll,random,mutex,thread,limit,flush"
LEFT = re.compile(r"^revoked(\.alive|\.next|\.seen)?\.new-")


class Settings(ctypes.Structure):
    """subtoken_feed_settings of feed.h."""
    _fields_ = [("size", ctypes.c_size_t), ("leeway", ctypes.c_int64), ("max_age", ctypes.c_int64),
                ("allow_old", ctypes.c_bool), ("max_size", ctypes.c_size_t)]


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("len", ctypes.c_size_t)]


library = ctypes.CDLL(os.path.join(os.path.dirname(TESTS), "build", "libsubtoken.so"))
library.subtoken_ring_read.argtypes = [ctypes.c_void_p, Text, ctypes.c_void_p]
library.subtoken_feed_result_name.restype = ctypes.c_char_p
library.subtoken_feed_file_load.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
ring = (ctypes.c_uint64 * 8192)()
_line = (":" + b64(SECRET) + "\n").encode()
assert library.subtoken_ring_read(ring, Text(_line, len(_line)), None) == 1  # SUBTOKEN_OK


def loads(path):
    """What an edge that starts now makes of the files: "ok", or why it has no data."""
    memory = (ctypes.c_uint64 * 8192)()
    settings = Settings(ctypes.sizeof(Settings), 60, 300, False, 0)
    assert library.subtoken_feed_file_start(memory, path.encode(), ctypes.byref(settings)) == 1
    result = library.subtoken_feed_file_load(memory, ring, int(time.time()), int(time.monotonic()))
    library.subtoken_feed_file_stop(memory)
    return library.subtoken_feed_result_name(result).decode()


def snap(number):
    return snapshot(BASE + number, ["%d of %d" % (i, number) for i in range(20 + number)])


class Edge:
    """Where the files are, under the ring and the key of feed.py."""

    def __init__(self, files=None):
        self.dir = scratch()
        self.file = os.path.join(self.dir, "revoked")
        for name, text in (("key", KEY), ("secrets", ":" + b64(SECRET))):
            with open(os.open(os.path.join(self.dir, name), os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                f.write(text + "\n")
        for name, data in (files or {}).items():
            with open(os.path.join(self.dir, name), "wb") as f:
                f.write(data)

    def pull(self, url, *more, env=None, **options):
        words = ["pull", "--from", url, "--to", self.file, "--key-file", os.path.join(self.dir, "key"), *more]
        return subprocess.Popen([PROGRAM, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def files(self):
        found = {}
        for name in os.listdir(self.dir):
            if name.startswith("revoked") and name != "revoked.lock" and not name.endswith(".spare"):
                with contextlib.suppress(FileNotFoundError):  # a pull that runs renames its own
                    with open(os.path.join(self.dir, name), "rb") as f:
                        found[name] = f.read()
        return found

    def starts(self, what):
        """An edge that starts now can decide."""
        found = loads(self.file)
        assert found == "ok", (what, found, sorted(shape(self.files())))

    def remove(self):
        shutil.rmtree(self.dir)


def shape(files):
    """Which files there are and for which snapshot: what matters to whoever reads them next."""
    found = set()
    for name, data in files.items():
        if LEFT.match(name):
            continue  # under a name of its own: nobody reads it, and the next pull removes it
        found.add((name, int(data) if name.endswith(".seen") else sequence_of(data)))
    return frozenset(found)


def ended(p, what):
    """A pull that is over: documented exit codes, and a word about what is wrong."""
    try:
        out, err = p.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        raise AssertionError("%s: hangs" % what)
    err = err.decode("utf-8", "replace")
    assert "Sanitizer" not in err and "runtime error" not in err, (what, err)
    assert p.returncode in (0, 3, -signal.SIGKILL), (what, p.returncode, err)
    if p.returncode == 3:
        assert re.match(r"subtoken (pull: .{8}|cannot write to standard output)", err), (what, err)
    return p.returncode


def interrupted():
    """What a pull leaves that ends between its two files."""
    return {"revoked": snap(2), "revoked.alive": heartbeat(snap(1), time.time()),
            "revoked.next": heartbeat(snap(2), time.time()), "revoked.seen": b"%d\n" % (BASE + 1)}


class Walk:
    """From each shape of files that a fault can lead to, every fault again; in brief, a few from two of them."""

    def __init__(self, kinds, few, **options):
        self.kinds = kinds.split(",") if ALL else [kinds]
        self.most, self.options = None if ALL else few, dict(options, spare_stderr=True)
        self.faults = faults.Faults("subtoken")
        self.tried = 0

    def go(self):
        edge = Edge()
        with FeedServer(snap(1)) as server:
            assert ended(edge.pull(server.url, "--once"), "the first") == 0
        # The shapes are compared by how far each file is behind the newest.
        waiting = [(edge.files(), 1), (interrupted(), 2)]
        seen = {self.relative(*each) for each in waiting}
        while waiting:
            files, newest = waiting.pop(0)
            for left in self.faults_from(files, newest + 1):
                key = self.relative(left, newest + 1)
                if key not in seen and ALL:
                    waiting.append((left, newest + 1))
                seen.add(key)
        print("# %d shapes, %d faults" % (len(seen), self.tried))
        assert self.tried >= 2

    def relative(self, files, newest):
        known = sorted({n for _, n in shape(files)} | {BASE + newest})
        return frozenset((name, known.index(BASE + newest) - known.index(n)) for name, n in shape(files))

    def faults_from(self, files, number):
        """What each fault leaves of a pull that finds these files and is to write snapshot `number`."""
        found = []
        for kind in self.kinds:
            with FeedServer(snap(number)) as server:
                def attempt(n):
                    self.edge = Edge(files)
                    self.attempt(server, n, "%s %d over %s" % (kind, n, sorted(shape(files))))
                    left = self.edge.files()
                    self.finish(server, "%s %d, %s, over %s" % (kind, n, self.options, sorted(shape(files))))
                    found.append(left)
                    self.edge.remove()
                for _ in self.faults.each_site(kind, attempt, most=self.most, **self.options):
                    self.tried += 1
        return found

    def attempt(self, server, n, what):
        p = self.edge.pull(server.url, "--once", env=self.faults.env())
        if n and self.options.get("action") == faults.STOP_BEFORE:
            self.stops(p, what)
        code = ended(p, what)
        self.edge.starts("%s: exit code %d, %s" % (what, code, self.faults.explain(PROGRAM)))
        if code == 0:
            assert self.edge.files()["revoked"] == server.snap, what

    def stops(self, p, what):
        """It stands still before a call: an edge starts just then."""
        while True:
            pid, status = os.waitpid(p.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                p.returncode = os.waitstatus_to_exitcode(status)
                return
            self.edge.starts("%s: stopped at %s" % (what, self.faults.explain(PROGRAM)))
            p.send_signal(signal.SIGCONT)

    def finish(self, server, what):
        """Without a fault the next one makes all well."""
        assert ended(self.edge.pull(server.url, "--once"), "after " + what) == 0
        files = self.edge.files()
        assert set(files) == {"revoked", "revoked.alive", "revoked.seen"}, (what, sorted(files))
        assert files["revoked"] == server.snap, what
        assert int(files["revoked.seen"]) == sequence_of(server.snap), what
        self.edge.starts("after " + what)


@test
def an_edge_can_start_whatever_fails():
    Walk(CHANGES, 6).go()


@test
def an_edge_can_start_when_everything_fails_from_there_on():
    Walk(CHANGES, 4, times=faults.FOREVER).go()


@test
def an_edge_can_start_wherever_it_is_killed():
    Walk("rename,unlink,write,sync", 6, action=faults.KILL_AFTER).go()


@test
def an_edge_can_start_between_any_two_calls():
    Walk("rename,unlink,open,write,sync", 5, action=faults.STOP_BEFORE).go()


@test
def nothing_else_that_fails_costs_the_pair():
    Walk(OTHERS, 5).go()


@test
def the_only_heartbeat_of_a_snapshot_is_not_lost():
    for times in (1, faults.FOREVER):
        walk = Walk("open,read,write,stat,rename", 4, path="revoked.next", times=times)
        walk.faults_from(interrupted(), 3)
        assert walk.tried > 3, walk.tried


@test
def what_is_written_over_is_on_the_disk_before_it_is_put_in_place():
    """Else a loss of power would show the version before the last: when the sync of a spare fails, it is not used."""
    for name, last in (("revoked.alive.spare", 3), ("revoked.spare", 4)):  # a heartbeat alone, and a snapshot
        edge, shim, began = Edge(), faults.Faults("subtoken"), int(time.time())
        with FeedServer(snap(1)) as server:
            for turn, number in enumerate((1, 2, 3, last)):
                server.snap, server.now = snap(number), began + turn
                if turn == 3 and name not in os.listdir(edge.dir):
                    return "no spares on this file system"
                shim.arm("sync", at=int(turn == 3), times=faults.FOREVER, path=name)
                assert ended(edge.pull(server.url, "--once", env=shim.env()), name) == 0
            assert shim.failed() > 0, name
            assert edge.files()["revoked"] == server.snap
        edge.starts(name)
        edge.remove()


def until(condition, p, what):
    """As long as the pull runs; says what it has written when it ends."""
    wait(lambda: condition() or p.poll() is not None, what)
    assert p.poll() is None, (what, p.returncode, p.communicate()[1][-2000:])


@test
def a_pull_that_runs_is_well_again_once_the_fault_is_over():
    edge, f = Edge(), faults.Faults("subtoken")
    with FeedServer(snap(1)) as server:
        p = edge.pull(server.url, env=f.env())
        until(lambda: loads(edge.file) == "ok", p, "the first snapshot")
        for number, kind in enumerate((CHANGES + "," + OTHERS).split(",") if ALL else
                                      ("open,rename", "memory", "connect,recv"), 2):
            server.put(snap(number))
            # Until that is there something of it fails, or nothing of this kind has to do with it.
            f.arm(kind, at=1, times=faults.FOREVER, spare_stderr=True)
            until(lambda: f.failed() or edge.files()["revoked"] == server.snap, p, kind + " fails")
            edge.starts(kind)
            f.disarm()
            until(lambda: edge.files().get("revoked") == server.snap and set(edge.files()) == {
                "revoked", "revoked.alive", "revoked.seen"}, p, kind + " no longer fails")
            edge.starts("after " + kind)
        p.send_signal(signal.SIGTERM)
        assert ended(p, "SIGTERM") == 0


@test
def a_pull_that_is_to_run_starts_or_says_why_not():
    f = faults.Faults("subtoken")
    with FeedServer(snap(1)) as server:
        def attempt(n):
            edge = Edge()
            p = edge.pull(server.url, "--metrics-listen", "127.0.0.1:0", env=f.env())
            wait(lambda: p.poll() is not None or loads(edge.file) == "ok", "%s %d: an end, or a pair" % (kind, n))
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
            code = ended(p, "%s %d at %s" % (kind, n, f.explain(PROGRAM)))
            assert code == 3 or loads(edge.file) == "ok", (kind, n, code, f.explain(PROGRAM))
            assert n or code == 0, (kind, n, code)
        for kind in ("thread,event,socket,bind,lock", "memory") + tuple((CHANGES + "," + OTHERS).split(",") if ALL else ()):
            for _ in f.each_site(kind, attempt, most=None if ALL else 3, spare_stderr=True):
                pass


main()
