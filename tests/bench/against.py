"""make bench-against REV=...: each figure as a ratio of this tree to that revision: in one run, the two
in turns, medians of the rounds' ratios with the smallest and the largest.

REV is built from git archive in BUILD/against, with the sources of third_party that are here. The
programs that measure the library are this tree's for both sides, or where they do not compile against
the older headers those of REV, with the headers and the library of each; server and module are asked by the same clients.
usage: against.py BUILD REV    environment: BENCH_ROUNDS (8), BENCH_BRIEF=1,
BENCH_ONLY=word: the figures whose name has it"""
import os, re, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
REV = sys.argv[2] if len(sys.argv) > 2 else ""
sys.argv[1:] = [os.path.join(BUILD, "subtoken")]
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
import support
from common import *
from revision import COMPILER, NotBuilt, TOP, build, commit_of

support.Server.threads = None  # as many as users have

ROUNDS = int(os.environ.get("BENCH_ROUNDS", brief("1", "8")))
SECONDS = brief(1, 2)
CONNECTIONS = 16
ONLY = os.environ.get("BENCH_ONLY", "")
COUNTS = brief((1000,), (1000, 1000000, 10000000))
OUT = os.path.join(BUILD, "against")
CPUS = sorted(os.sched_getaffinity(0))


class Side:
    """A tree that is built: where its things are, and the programs that measure its library."""

    def __init__(self, tree, build, name):
        self.tree, self.build, self.name = tree, build, name
        self.program = os.path.join(build, "subtoken")
        self.module = os.path.join(build, "ngx_http_subtoken_module.so")

    def compile(self):
        """From this tree's programs; where its names are not known yet, from those of the revision."""
        os.makedirs(os.path.join(OUT, self.name), exist_ok=True)
        third = os.path.join(TOP, "third_party")
        for name in ("verify", "revocations"):
            for source in (HERE, os.path.join(self.tree, "tests", "bench")):
                p = subprocess.run(
                    [*COMPILER, "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-o", self.tool(name),
                     os.path.join(source, name + ".c"), "-I" + os.path.join(self.tree, "include"),
                     "-isystem", os.path.join(third, "src", "mbedtls", "include"), "-isystem", third,
                     "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>",
                     os.path.join(self.build, "libsubtoken.a"),
                     os.path.join(self.build, "third_party", "libmbedcrypto.a"), "-lpthread"],
                    capture_output=True, text=True)
                if p.returncode == 0:
                    break
            else:
                raise NotBuilt(last_line(p.stderr))

    def again(self):
        """The mode for a token that was seen before: a revision without a cache verifies it anew."""
        cache = os.path.join(self.tree, "include", "subtoken", "cache.h")
        return "again" if os.path.exists(cache) else "verify"

    def tool(self, name):
        return os.path.join(OUT, self.name, name)


def built(commit):
    """The other side."""
    tree = build(commit, OUT, "all", "nginx-module")
    return Side(tree, os.path.join(tree, "build"), "old")


# ---- what is printed ---------------------------------------------------------

def heading():
    print("%-34s %12s %12s   %s" % ("", "old", "new", "new / old"))


def tell(name, old, new, form="%.0f"):
    """The figures of the rounds, in the same order."""
    ratios = sorted(b / a for a, b in zip(old, new))
    print("%-34s %12s %12s   median %.3f, from %.3f to %.3f"
          % (name, form % statistics.median(old), form % statistics.median(new),
             statistics.median(ratios), ratios[0], ratios[-1]), flush=True)


# ---- the library -------------------------------------------------------------

def turns(name, old, new, argv, multiple=1):
    if ONLY not in name:
        return
    programs = [Program(side.name, "", argv(side)) for side in (old, new)]
    try:
        for p in programs:
            p.calibrate(multiple)
        interleave(programs, brief(2, 2 * ROUNDS))
    finally:
        for p in programs:
            p.stop()
    tell(name, programs[0].taken, programs[1].taken, "%.1f")


def library(old, new):
    import tokens as samples
    with tempfile.TemporaryDirectory(prefix="subtoken-bench-") as directory:
        tokens = samples.Tokens(directory)
        for mode in ("verify", "issue", "narrow-issue"):
            for what, path, count in (("one token", tokens.one, 1),
                                      ("1,024 tokens", tokens.many, samples.MANY)):
                turns("%s, %s, ns" % (mode, what), old, new,
                      lambda side: [side.tool("verify"), mode, path, tokens.secret], count)
        for what, path, count in (("one token", tokens.one, 1), ("1,024 tokens", tokens.many, samples.MANY)):
            turns("verify, %s, seen before, ns" % what, old, new,
                  lambda side: [side.tool("verify"), side.again(), path, tokens.secret], count)
    for count in COUNTS:
        turns("lookup among %d, ns" % count, old, new,
              lambda side: [side.tool("revocations"), "turns", str(count)])


# ---- the server and the module -----------------------------------------------

CREATE = "/v2/createsubtoken?permissions=account%2Cprogression&urls=%2Fv2%2Ftokeninfo"
REQUESTS = (("createsubtoken", CREATE, ()), ("tokeninfo", "/v2/tokeninfo", ()),
            ("authorize", "/v2/authorize", ("X-Original-URI: /v2/account", "X-Original-Method: GET")))


def cpu_ns(pid):
    """What all threads of a process have had of any processor."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0])
    return total


def wrk(pid, port, path, headers, preexec=None):
    """(microseconds of CPU a request, requests a second)"""
    before = cpu_ns(pid)
    args = [x for h in headers for x in ("-H", h)]
    p = subprocess.run(["wrk", "--timeout", "60s", "-t1", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS, *args,
                        "http://127.0.0.1:%d%s" % (port, path)], capture_output=True, text=True,
                       check=True, preexec_fn=preexec)
    assert "Non-2xx" not in p.stdout and "Socket errors" not in p.stdout, p.stdout
    requests = int(re.search(r"(\d+) requests in", p.stdout).group(1))
    return ((cpu_ns(pid) - before) / 1000 / requests,
            float(re.search(r"Requests/sec:\s+([\d.]+)", p.stdout).group(1)))


def in_turns(name, measure_old, measure_new):
    """measure: (CPU of a request, requests a second)"""
    if ONLY not in name:
        return
    pairs = []
    for _ in range(brief(0, 1)):  # not counted
        measure_old(), measure_new()
    for i in range(ROUNDS):
        if i % 2 == 0:
            a, b = measure_old(), measure_new()
        else:
            b, a = measure_new(), measure_old()
        pairs.append((a, b))
    tell(name + ", CPU us", [a[0] for a, b in pairs], [b[0] for a, b in pairs], "%.1f")
    tell(name + ", requests/s", [a[1] for a, b in pairs], [b[1] for a, b in pairs])


def started(side):
    """(a server of that side, a key there)"""
    support.PROGRAM = side.program
    data = support.data_dir()
    key = support.make_key(data, "account,progression")["key"]
    return support.Server(data).start(), key


def servers(old, new):
    running = [started(side) for side in (old, new)]
    try:
        for name, path, headers in REQUESTS:
            in_turns(name, *[lambda s=server, k=key: wrk(
                s.process.pid, s.port, path, (*headers, "Authorization: Bearer " + k))
                for server, key in running])
    finally:
        for server, _ in running:
            server.stop(expect=None)


def modules(old, new):
    support.PROGRAM = new.program
    import edge
    upstream = edge.Plain(edge.OTHER_CPU, "location / { return 200 '%s'; }" % edge.BODY)
    first, second, bare, token = edge.edges(upstream, (old.module, new.module))
    try:
        in_turns("module, a static file", *[lambda n=nginx: wrk(
            n.workers()[0], n.port, edge.STATIC, ("Authorization: Bearer " + token,),
            edge.on(edge.OTHER_CPU)) for nginx in (first, second)])
    finally:
        for nginx in (first, second, bare, upstream):
            nginx.stop()


def main():
    if not REV:
        raise SystemExit("usage: make bench-against REV=COMMIT")
    commit = commit_of(REV)
    if commit is None:
        print("bench-against: %s is not in this clone's history: left out" % REV)
        return
    os.makedirs(OUT, exist_ok=True)
    try:
        old, new = built(commit), Side(TOP, BUILD, "new")
        for side in (old, new):
            side.compile()
    except NotBuilt as e:  # what is wrong with another revision is not for a brief run to judge
        print("bench-against: %s does not build: %s" % (REV, e))
        sys.exit(brief(0, 1))
    print("subtoken of this tree against %s, %d rounds in turns" % (commit[:12], ROUNDS))
    heading()
    library(old, new)
    if ONLY == "" or any(ONLY in name for name, _, _ in REQUESTS):
        servers(old, new)
    if ONLY in "module":
        modules(old, new)


main()
