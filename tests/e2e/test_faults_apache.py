"""The module for Apache httpd when what it asks of the system fails: its own calls in a start, in a request, and while the
revocation data, the secrets or the policy change; and when httpd has no memory, which ends a process of it. Nothing passes
that may not, no client waits, and the answers are right as soon as the fault is over.

SUBTOKEN_EVERY=1 lets more calls fail than CI has time for."""
import contextlib
from proxies import *

sys.path.insert(0, os.path.join(TESTS, "faults"))
from faults import FOREVER, Faults

EVERY = os.environ.get("SUBTOKEN_EVERY")
OWN_OBJECT = "mod_subtoken.so"
ROUTES = {"default": "token", "routes": [{"path": "/account", "needs": ["account"]}, {"path": "/never", "needs": ["never"]},
                                         {"path": "/open", "public": True}]}
# target, credential, status
ASKS = [("/account", "good", 200), ("/never", "good", 403), ("/account", "bad", 401), ("/account", None, 401), ("/open", None, 200),
        ("/account", "key", 200), ("/never", "key", 403)]


def signed(signer, claims):
    kid, secret = signer
    return sign(secret, claims, dict({"alg": "HS256", "typ": "JWT"}, **({"kid": kid} if kid else {})))


class Front(ApacheProxy):
    """One process with a few threads, and the shim."""
    processes = "StartServers 1\nServerLimit 1\nThreadLimit 4\nThreadsPerChild 4\nMinSpareThreads 1\nMaxSpareThreads 4\nMaxRequestWorkers 4"

    def __init__(self, case):
        self.faults = Faults(program="apache2")
        super().__init__(case)
        self.put(ROUTES)
        self.env = self.faults.env(self.env)
        self.credentials = {"good": case.token("--permissions", "account"), "bad": "a.b.c", "key": case.key["key"]}
        self.number, self.ended = 0, ()

    def __exit__(self, *error):
        self.faults.disarm()
        self.process.terminate()
        self.process.wait(timeout=60)
        self.stop_upstream()
        for bad in ("Sanitizer", "runtime error", "[core:alert]"):
            assert bad not in self.written(), [l[:1000] for l in self.written().splitlines() if bad in l]

    def put(self, routes):
        replace(os.path.join(self.dir, "policy.json"), json.dumps(routes).encode())

    def answered(self, case, *headers):
        """The status, or None where the connection ended without an answer."""
        target, credential, _ = case
        try:
            return self.ask(target, *([auth(self.credentials[credential])] if credential else []), *headers).status
        except socket.timeout:
            raise AssertionError("a client waits: %s < %s" % (case, self.faults.explain(APACHE)))
        except (AssertionError, ConnectionError, TypeError, ValueError):
            return None

    def check(self, case, failing=False):
        before = len(self.upstream.seen)
        status = self.answered(case)
        what = case, status, self.faults.explain(APACHE), self.written()[-800:]
        assert status in ({case[2], 500, 503} if failing else {case[2]}), what
        assert case[2] == 200 or len(self.upstream.seen) == before, ("passed on", what)
        return status

    def well(self):
        for case in ASKS:
            self.check(case)

    # ---- what changes, and whether it is known ----

    def change(self, name):
        """Puts something else into a file; what asks whether it is in force."""
        self.number += 1
        good = self.credentials["good"]
        if name == "revocations":
            sub = b64(hashlib.sha256(b"%d" % self.number).digest())
            revoked = signed(self.feed.signer, dict(payload(good), sub=sub))
            assert self.ask("/account", auth(revoked)).status == 200
            self.feed.publish(["nobody", sub])
            return lambda: self.ask("/account", auth(revoked)).status == 401
        if name == "policy":
            path = "/new-%d" % self.number
            self.put(dict(ROUTES, routes=ROUTES["routes"] + [{"path": path, "needs": ["never"]}]))
            return lambda: self.ask(path, auth(good)).status == 403
        secret = "new%d" % self.number, hashlib.sha256(b"s%d" % self.number).digest()
        path = os.path.join(self.dir, "secrets")
        replace(path, ("%s:%s\n%s:%s\n" % (self.feed.signer[0], b64(self.feed.signer[1]), secret[0], b64(secret[1]))).encode())
        share(path)
        fresh = signed(secret, payload(good))
        return lambda: self.ask("/account", auth(fresh)).status == 200


NAMES_OF_FILES = ("revocations", "policy", "secrets")


@test
def what_changes_is_taken_up_when_a_fault_is_over():
    with Case() as c, Front(c) as p:
        met = set()
        p.well()
        for name in NAMES_OF_FILES:
            for kind in ("memory", "map", "open", "read", "stat", "seek"):
                for at, times in ((1, FOREVER), (1, 1), (2, 1)) if EVERY else ((1, FOREVER),):
                    p.faults.arm(kind, at=at, times=times, object=OWN_OBJECT)
                    told = p.change(name)
                    wait(lambda: p.faults.failed() > 0 or told(), "the fault is met, or none is")
                    if p.faults.failed():
                        met.add((name, kind))
                    assert p.check(ASKS[0]) == 200 and p.check(ASKS[1]) == 403  # by what is loaded
                    p.faults.disarm()
                    wait(told, "%s: taken up when the fault is over: %s" % (name, kind))
        for wanted in (("revocations", "map"), ("revocations", "open"), ("policy", "memory"), ("policy", "open"), ("policy", "read"),
                       ("secrets", "open"), ("secrets", "read")):
            assert wanted in met, (wanted, sorted(met))
        p.well()


@test
def what_a_request_needs_may_fail():
    """Memory of the module's own; and randomness, without which no question is asked about a key."""
    with Case() as c, Front(c) as p:
        p.well()
        met = 0
        for case in ASKS:
            for kinds, options in (("memory", {"object": OWN_OBJECT}), ("random", {"error": 5}), ("random", {"error": 5, "times": FOREVER})):
                asked = []
                for _ in p.faults.each(kinds, lambda n: asked.append(p.check(case, True)), most=None if EVERY else 3, **options):
                    p.check(case)
                    met += 1
                    if options.get("times"):
                        break
        assert met >= 1, met


def start_with(p, kind, at, times):
    """It starts, or says why not; one that has started is right once the fault is over, and takes up what changes then."""
    p.feed.beat()
    p.faults.arm(kind, at=at, times=times, object=OWN_OBJECT)
    said = p.written().count("Subtoken")
    with open(os.path.join(p.dir, "out"), "ab") as out:
        p.process = subprocess.Popen(p.command(), stdout=out, stderr=out, env=p.env)
    try:
        wait(lambda: p.process.poll() is not None or p.answers(), "httpd starts, or does not")
        if p.process.poll() is None:
            wait(lambda: p.answered(ASKS[0]) is not None or p.process.poll() is not None, "an answer")
        failed, where = p.faults.failed(), p.faults.explain(APACHE)
        what = lambda: (kind, at, times, where, p.written()[-1500:])
        if p.process.poll() is not None:
            assert p.process.returncode == 1 and failed and p.written().count("Subtoken") > said, what()
            return failed
        if failed:
            assert p.answered(ASKS[0]) in (200, 503, None) and p.answered(ASKS[1]) in (403, 503, None), what()
        p.faults.disarm()
        wait(lambda: p.answered(ASKS[0]) == 200, "it is right once the fault is over: %s" % (what(),))
        p.well()
        for name in NAMES_OF_FILES:
            wait(p.change(name), "%s is taken up: %s" % (name, what()))
        return failed
    finally:
        p.faults.disarm()
        p.process.terminate()
        p.process.wait(timeout=60)


@test
def a_start_is_whole_or_says_why_not():
    with Case() as c:
        p, ends = Front(c), {}
        with contextlib.ExitStack() as stack:
            stack.callback(p.stop_upstream)
            # In the process that reads the configuration, and then in the one that answers.
            for kind, some in (("open", (1, 3, 5)), ("read", (1, 3)), ("memory", (1, 4)), ("map", (1,)), ("thread", (1,)), ("stat", (2, 6))):
                for at in range(1, 30) if EVERY else some:
                    for times in (1, FOREVER) if EVERY or kind in ("map", "thread") else (1,):
                        failed = start_with(p, kind, at, times)
                        ends[kind] = ends.get(kind, 0) + (failed > 0)
                    if not failed:
                        break
        assert all(ends.get(kind) for kind in ("open", "read", "memory", "map", "thread")), ends


@test
def httpd_without_memory_ends_a_process_and_goes_on():
    """APR ends the process whose pool gets no memory; the next one knows all that this one knew."""
    with Case() as c, Front(c) as p:
        p.well()
        large = ["X-Large-%d: %s" % (i, "x" * 8000) for i in range(60)]  # for which it has no memory yet
        for at in (1, 2, 5) if EVERY else (1,):
            p.faults.arm("memory,map", at=at)  # Debian's APR maps its own
            before = len(p.upstream.seen)
            assert p.answered(ASKS[1], *large) in (403, 500, 503, None) and len(p.upstream.seen) == before
            assert p.faults.failed(), "no memory was asked for"
            p.faults.disarm()
            wait(lambda: p.answered(ASKS[0]) == 200, "it answers again")
            p.well()
            told = p.change("revocations")
            wait(told, "a revocation")


main()
