"""What only the Python binding promises: run by tests/e2e/test_bindings.py.
usage: binding.py RING_FILE FAKE_LIBRARY NO_LIBRARY"""
import copy, ctypes, gc, json, logging, os, pathlib, pickle, subprocess, sys, tempfile
import threading, time

import subtoken

RING_FILE, FAKE, NONE = sys.argv[1:]
case = json.load(sys.stdin)
NOW, GOOD, OTHER = case["now"], case["good"], case["other"]
ASKED = {"now": NOW, "method": "GET", "target": "/v2/account", "needs": ["account"]}


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


log = Lines()
logging.getLogger("subtoken").addHandler(log)
logging.getLogger("subtoken").propagate = False


def raises(kind, function, *args, **named):
    try:
        function(*args, **named)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind.__name__)


def rings():
    ring = subtoken.Ring.read(RING_FILE)
    assert subtoken.Ring.read(pathlib.Path(RING_FILE)).kids == ring.kids == ("", "k1", "k2")
    content = open(RING_FILE, "rb").read()
    assert subtoken.Ring.read(content).kids == subtoken.Ring.from_text(content.decode()).kids
    raises(FileNotFoundError, subtoken.Ring.read, RING_FILE + "-no")
    e = raises(subtoken.RingError, subtoken.Ring.from_text, content + b"k3:AAAA\n")
    assert (e.result, e.line) == ("weak_secret", 4) and "AAAA" not in str(e), e
    raises(TypeError, subtoken.Ring)
    verifier = subtoken.Verifier(ring, without_revocations=True)
    for line in content.decode().split():
        assert line.split(":")[1] not in repr(ring) + str(ring) + repr(verifier)
    for keeper in (ring, verifier, subtoken.Secret(b"0123456789abcdef" * 2 + b"x")):
        raises(TypeError, pickle.dumps, keeper)
        raises(TypeError, copy.copy, keeper)
        raises(TypeError, copy.deepcopy, keeper)
        raises(AttributeError, setattr, keeper, "x", 1)


def ring_files():
    """Whose content others know, or can write, is no secret."""
    content = open(RING_FILE, "rb").read()
    with tempfile.TemporaryDirectory() as d:
        path, link, fifo, big = (os.path.join(d, n) for n in ("s", "link", "fifo", "big"))
        with open(path, "wb") as f:
            f.write(content)
        os.symlink(path, link)
        for mode in (0o400, 0o600, 0o640, 0o440, 0o700):
            os.chmod(path, mode)
            assert subtoken.Ring.read(path).kids == subtoken.Ring.read(link).kids == ("", "k1", "k2")
        for mode in (0o644, 0o604, 0o602, 0o601, 0o620, 0o660, 0o666):
            os.chmod(path, mode)
            for name in (path, link, pathlib.Path(path)):
                e = raises(PermissionError, subtoken.Ring.read, name)
                assert str(name) in str(e) and "(mode %04o)" % mode in str(e), e
                assert e.filename == str(name), e
        os.mkfifo(fifo, 0o600)
        for name in (fifo, d, os.devnull, "/dev/zero"):
            e = raises(OSError, subtoken.Ring.read, name)
            assert name in str(e) and "is not a regular file" in str(e), e
        with open(os.open(big, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(b"#" * 65536)
        assert raises(subtoken.RingError, subtoken.Ring.read, big).result == "too_large"
        os.truncate(big, 0)
        assert raises(subtoken.RingError, subtoken.Ring.read, big).result == "no_secret"
        before = len(os.listdir("/proc/self/fd"))
        for name in (fifo, path, big):
            raises((OSError, subtoken.RingError), subtoken.Ring.read, name)
        assert len(os.listdir("/proc/self/fd")) == before


def wiped():
    ring = subtoken.Ring.read(RING_FILE)
    raw = ring._raw
    verifier = subtoken.Verifier(ring, without_revocations=True)
    del ring
    assert any(bytes(raw)) and verifier.verify(GOOD, **ASKED)  # the verifier keeps it
    del verifier
    assert not any(bytes(raw))
    secret = subtoken.Secret(b"0123456789abcdef" * 2 + b"x")
    raw = secret._raw
    assert any(bytes(raw))
    del secret
    assert not any(bytes(raw))

    # In a cycle the finalizers run first: what comes after them does not compute with zeros.
    key, seen = b"0123456789abcdef" * 2 + b"x", []
    zeros = subtoken._Secret()
    ctypes.memset(ctypes.byref(zeros), 0, ctypes.sizeof(zeros))

    class Node:
        def __del__(self):
            for use in (lambda: self.secret.mac(b"x"), lambda: self.secret.check(b"x", b"y" * 32),
                        lambda: self.secret.check(b"x", b""),
                        lambda: self.verifier.verify(GOOD, **ASKED),
                        lambda: self.verifier.explain(GOOD, **ASKED)):
                try:
                    seen.append(use())
                except subtoken.Error as e:
                    seen.append(e.result)

    node = Node()
    node.me, node.secret = node, subtoken.Secret(key)
    node.verifier = subtoken.Verifier(subtoken.Ring.read(RING_FILE), without_revocations=True)
    del node
    gc.collect()
    assert seen == ["no_secret"] * 5, seen


def ending():
    """Threads and handlers that outlive the main program have their secrets."""
    code = """
import atexit, json, os, sys, threading, time
stop, seen = threading.Event(), []
def last():  # registered first, and so run last
    time.sleep(0.2)
    stop.set()
    time.sleep(0.1)
    print(secret.check(b"x", tag), bool(verifier.verify(case["good"], **asked)), set(seen))
    sys.stdout.flush()
atexit.register(last)
import subtoken
case = json.load(sys.stdin)
asked = dict(now=case["now"], method="GET", target="/v2/account", needs=["account"])
secret = subtoken.Secret(b"0123456789abcdef" * 2 + b"x")
tag = secret.mac(b"x")
verifier = subtoken.Verifier(subtoken.Ring.read(sys.argv[1]), without_revocations=True)
def serve():
    while not stop.is_set():
        try:
            seen.append((secret.check(b"x", tag), verifier.verify(case["good"], **asked).result))
        except Exception as e:
            seen.append(repr(e))
threading.Thread(target=serve, daemon=True).start()
time.sleep(0.1)
"""
    p = subprocess.run([sys.executable, "-B", "-W", "error", "-c", code, RING_FILE], text=True,
                       input=json.dumps(case), capture_output=True)
    assert (p.returncode, p.stdout) == (0, "True True {(True, 'ok')}\n"), p



def denies():
    ring = subtoken.Ring.read(RING_FILE)
    stale = subtoken.Verifier(ring).verify(GOOD, **ASKED)
    assert not stale and (stale.result, stale.status) == ("feed_stale", 503), stale
    assert stale.claims is None and stale.challenge is None and stale.error is None

    def raising(sub):
        raise KeyError("the list is gone")

    verdict = subtoken.Verifier(ring, revoked=raising).verify(GOOD, **ASKED)
    assert not verdict and verdict.result == "feed_stale" and verdict.claims is None
    assert isinstance(verdict.error, KeyError)
    assert len(log.lines) == 1 and "the list is gone" in log.lines[0], log.lines
    assert GOOD not in log.lines[0] and GOOD not in repr(verdict)
    # Also where the token is refused for something else that comes later.
    verdict = subtoken.Verifier(ring, revoked=raising).verify(GOOD, now=NOW, target="/v2/../a")
    assert verdict.result == "feed_stale" and isinstance(verdict.error, KeyError)
    for wrong in (0, 1, "", "revoked", [], object()):
        verdict = subtoken.Verifier(ring, revoked=lambda sub: wrong).verify(GOOD, **ASKED)
        assert not verdict and verdict.result == "feed_stale", wrong
        assert isinstance(verdict.error, TypeError)
    verdict = subtoken.Verifier(ring, revoked=lambda sub: None).verify(GOOD, **ASKED)
    assert verdict.result == "feed_stale" and verdict.error is None

    def leaving(sub):
        raise KeyboardInterrupt

    raises(KeyboardInterrupt, subtoken.Verifier(ring, revoked=leaving).verify, GOOD, **ASKED)
    seen = []
    good = subtoken.Verifier(ring, revoked=lambda sub: bool(seen.append(sub)))
    names = ["pk_active", GOOD.rpartition(".")[2][:16]]
    assert good.verify(GOOD, **ASKED) and seen == names
    for token in ("", "a.b.c", GOOD[:-1], GOOD + "x", "\ud800" + GOOD, "\udcff", "é"):
        assert not good.verify(token, **ASKED), token
    assert seen == names  # nobody is asked about a token that is not ours
    raises(ValueError, subtoken.Verifier, ring, revoked=bool, without_revocations=True)
    raises(TypeError, subtoken.Verifier, ring, revoked=True)
    raises(TypeError, subtoken.Verifier, None)
    raises(ValueError, subtoken.Verifier, ring, leeway=-1)
    raises(ValueError, subtoken.Verifier, ring, leeway=3601)  # C13
    raises(ValueError, subtoken.Verifier, ring, max_life=2**64 + 5)
    for nobody in ("", b""):  # would ask for tokens without any
        raises(ValueError, subtoken.Verifier, ring, iss=nobody, without_revocations=True)
        raises(ValueError, subtoken.Verifier, ring, aud=nobody, without_revocations=True)
    raises(TypeError, subtoken.Verifier, ring, revokd=bool)
    # What is true only by accident does not count.
    assert not subtoken.Verifier(ring, without_revocations=1).verify(GOOD, **ASKED)


def arguments():
    ring = subtoken.Ring.read(RING_FILE)
    verifier = subtoken.Verifier(ring, without_revocations=True)
    for now in (-1, 2**53, 2**63, 2**64 + NOW):  # the last is NOW in 64 bits
        verdict = verifier.verify(GOOD, **dict(ASKED, now=now))
        assert (verdict.result, verdict.status) == ("invalid_argument", 500), (now, verdict)
    raises(TypeError, verifier.verify, GOOD, **dict(ASKED, now=float(NOW)))
    raises(TypeError, verifier.verify, GOOD, **dict(ASKED, needs="account"))
    for lists in (["account"], ("account",), {"account"}, frozenset(["account"]),
                  {"account": 1}.keys(), []):
        assert verifier.verify(GOOD, **dict(ASKED, needs=lists)), lists
    spent = iter(["bank"])
    list(spent)
    for wrong in ({"perm": "bank"}, {"account": True}, {}, {}.values(), spent, iter(()), b"bank",
                  bytearray(), memoryview(b""), None, [None], [5], ["account", None], [["bank"]], 0,
                  False):
        raises(TypeError, verifier.verify, GOOD, **dict(ASKED, needs=wrong))
        raises(TypeError, verifier.explain, GOOD, **dict(ASKED, needs=wrong))
        if wrong is not None:
            raises(TypeError, subtoken.url_match, wrong, "/v2/a")
    raises(TypeError, verifier.verify, GOOD, need=["bank"], **ASKED)
    raises(TypeError, verifier.verify, GOOD, url="/v2/../x", now=NOW)
    raises(TypeError, verifier.verify, 5, **ASKED)
    assert verifier.verify(None, **ASKED).result == "invalid_argument"
    assert verifier.verify(GOOD.encode(), now=NOW, method=b"GET", target=b"/v2/account?x=\xc3\xa9",
                           needs=(b"account",)).result in ("ok", "bad_target")
    fresh, past = case["fresh"], GOOD
    assert verifier.verify(fresh, target="/v2/account")  # by the clock
    assert verifier.verify(past, target="/v2/account").result == "expired"
    assert verifier.verify(GOOD, now=NOW).result == "url"  # without a target
    claims = verifier.verify(GOOD, **ASKED).claims
    raises(AttributeError, setattr, claims, "sub", "x")
    assert claims.nbf is None and claims.iss is None and claims.urls is not None
    assert hash(claims) == hash(verifier.verify(GOOD, **ASKED).claims)
    inspected = subtoken.inspect(GOOD)
    assert inspected.claims == claims and json.loads(inspected.header)["alg"] == "HS256"
    raises(TypeError, bool, inspected)
    assert raises(subtoken.Error, subtoken.inspect, "x").result == "malformed"
    assert subtoken.url_match(claims, "/v2/account") and not subtoken.url_match(claims, "/v2/a")
    assert not subtoken.url_match([], "/v2/a") and subtoken.url_match(["/v2/*"], "/v2/a")
    raises(TypeError, subtoken.url_match, None, "/v2/a")
    raises(TypeError, subtoken.url_match, "/v2/a", "/v2/a")
    assert not subtoken.url_match(["/v2/a"] * 65, "/v2/a")
    assert subtoken.url_allows("GET:/v2/a", "/v2/a", "HEAD")
    assert not subtoken.url_allows("GET:/v2/a", "/v2/a")
    assert subtoken.target_path("/v2/%61?x") == "/v2/a"
    assert raises(subtoken.UrlError, subtoken.target_path, "/a/../b").fault == "dot-segment"
    key = b"0123456789abcdef" * 2 + b"x"
    tag = subtoken.mac(key, b"a\0b")
    assert subtoken.mac_check(key, b"a\0b", tag) and not subtoken.mac_check(key, b"a\0c", tag)
    assert not subtoken.mac_check(key, b"a\0b", tag[:31])
    raises(subtoken.RingError, subtoken.mac, b"short", b"")
    # An error comes from another process as it was.
    for e in (raises(subtoken.UrlError, subtoken.target_path, "/a/../b"), raises(subtoken.Error, subtoken.inspect, "x"),
              raises(subtoken.RingError, subtoken.Ring.from_text, "k:\n")):
        for other in (copy.copy(e), *(pickle.loads(pickle.dumps(e, n)) for n in range(6))):
            assert (type(other), str(other), vars(other)) == (type(e), str(e), vars(e)), e


def threads():
    ring = subtoken.Ring.read(RING_FILE)
    list_of_revoked = {"pk_other"}

    def revoked(sub):
        time.sleep(0)  # another thread, please
        return sub in list_of_revoked

    verifier = subtoken.Verifier(ring, revoked=revoked)
    wrong = []

    def work(number):
        for i in range(3000):
            kind = (i + number) % 4
            if kind == 0:
                v = verifier.verify(GOOD, **ASKED)
                good = v.ok and v.claims.sub == "pk_active"
            elif kind == 1:
                good = verifier.verify(OTHER, **ASKED).result == "revoked"
            elif kind == 2:
                good = verifier.verify(OTHER, now=NOW, target="/v2//a").result == "revoked"
            else:
                good = verifier.verify(GOOD[:-4] + "AAAA", **ASKED).result == "mac"
            if not good:
                wrong.append((number, i, kind))

    all_threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in all_threads:
        t.start()
    for t in all_threads:
        t.join()
    assert not wrong, wrong[:5]


def versions():
    """In programs of their own: a library is loaded once."""
    here = os.path.dirname(subtoken.__file__)

    def program(code, **env):
        return subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True,
                              env=dict(os.environ, PYTHONPATH=here, **env))

    for p in (program("import subtoken; subtoken.load(%r)" % FAKE),
              program("import subtoken; subtoken.url_covers('/a', '/a')", SUBTOKEN_LIBRARY=FAKE)):
        assert p.returncode == 1 and "ImportError: %s is libsubtoken 9.9.9" % FAKE in p.stderr, p
        assert subtoken.__version__ in p.stderr
    p = program("import subtoken; subtoken.load()", SUBTOKEN_LIBRARY=NONE)
    assert p.returncode == 1 and "is not libsubtoken" in p.stderr, p
    p = program("import subtoken; subtoken.load('/nowhere.so')")
    assert p.returncode == 1 and "ImportError: cannot load libsubtoken: /nowhere.so" in p.stderr, p
    subtoken.load()
    raises(RuntimeError, subtoken.load, FAKE)


for function in (rings, ring_files, wiped, ending, denies, arguments, threads, versions):
    function()
    print("ok", function.__name__)
