"""make bench: what it costs to verify a token, beside the JWT libraries of others on
the same tokens. Everything is interleaved in one run on one core; medians are printed.
Peers that cannot be had on this machine are left out, with the reason.
usage: verify.py BUILD [ROUNDS]    environment: BENCH_ROUNDS (15), BENCH_BRIEF=1: with two peers"""
import json, os, platform, re, shutil, statistics, subprocess, sys, tempfile, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import *
from revision import NotBuilt, build, commit_of
from tokens import Tokens

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
ROUNDS = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("BENCH_ROUNDS", brief("2", "15")))
HERE = os.path.dirname(os.path.abspath(__file__))
APT = os.path.join(HERE, "..", "..", "third_party", "apt.sh")
SOURCES = os.path.join(HERE, "peers")
OUT = os.path.join(BUILD, "bench")
PEERS = os.path.join(OUT, "peers")
OURS = os.path.join(OUT, "verify")
OWN = {"verify": "subtoken verify", "verify-portable": "  in plain C",
       "verify-after-avx": "  where AVX is used, too",
       "again": "  of a token seen before",
       "bare": "  bare cost of the bytes", "mac": "  HMAC alone, ours",
       "mac-mbedtls": "  HMAC alone, mbedTLS", "issue": "subtoken issue",
       "narrow-issue": "subtoken narrow and issue"}


class Unavailable(Exception):
    """Why a peer is not in the tables, in one line."""


def command(*args, cwd=None, env=None, pick=last_line):
    p = subprocess.run(args, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                       text=True)
    if p.returncode != 0:
        raise Unavailable("%s: %s" % (os.path.basename(args[0]), pick(p.stderr or p.stdout)))
    return p.stdout


def first_error(text):
    """Of what a compiler says, the line that names the cause."""
    return next((line.strip() for line in text.splitlines() if "error" in line), last_line(text))


# ---- the peers ---------------------------------------------------------------

def apt(*packages):
    p = subprocess.run(["sh", APT, *packages], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       text=True)
    if p.returncode != 0:
        raise Unavailable("Debian packages missing: " + last_line(p.stderr))


def debian_version(package):
    return command("dpkg-query", "-W", "-f", "${Version}", package).split(":")[-1]


def newer(target, *sources):
    return os.path.exists(target) and all(
        os.path.getmtime(s) <= os.path.getmtime(target) for s in sources)


def compiled(compiler, source, *flags):
    source = os.path.join(SOURCES, source)
    program = os.path.join(PEERS, os.path.splitext(os.path.basename(source))[0])
    if not newer(program, source, os.path.join(SOURCES, "peer.h")):
        command(compiler, "-O2", "-Wall", "-Wextra", "-o", program, source, *flags,
                pick=first_error)
    return [program]


def c(source, *libraries):
    return lambda: compiled("gcc", source, "-std=gnu11", "-D_GNU_SOURCE", *libraries)


def cpp(source, *libraries):
    return lambda: compiled("g++", source, *libraries)


def go():
    """As Debian means it: packages are in a GOPATH, nothing is downloaded."""
    program = os.path.join(PEERS, "golang-jwt")
    env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="",
               GOCACHE=os.path.join(OUT, "go"))
    command("/usr/bin/go", "build", "-o", program, os.path.join(SOURCES, "golang-jwt.go"), env=env,
            pick=first_error)
    return [program]


def rust():
    """Debian's rustc and cargo with Debian's crates, not those that may be first in PATH."""
    work = os.path.join(OUT, "rust")
    os.makedirs(work, exist_ok=True)
    for name in ("Cargo.toml", "jsonwebtoken.rs"):
        shutil.copy2(os.path.join(SOURCES, name), work)
    lock = os.path.join(work, "Cargo.lock")  # it may name crates that apt has replaced
    if os.path.exists(lock):
        os.remove(lock)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CARGO", "RUST"))}
    env.update(RUSTC="/usr/bin/rustc", CARGO_HOME=os.path.join(work, "home"))
    command("/usr/bin/cargo", "build", "--quiet", "--release", "--offline",
            "--target-dir", "target", "--config", 'source.crates-io.replace-with="debian"',
            "--config", 'source.debian.directory="/usr/share/cargo/registry"',
            cwd=work, env=env, pick=first_error)
    return [os.path.join(work, "target", "release", "jsonwebtoken")]


NPM = os.path.join(OUT, "npm")
npm_failed = []


def npm_version(package):
    with open(os.path.join(NPM, "node_modules", package, "package.json")) as f:
        return json.load(f)["version"]


def npm_has_all():
    with open(os.path.join(SOURCES, "package.json")) as f:
        wanted = json.load(f)["dependencies"]
    try:
        return all(npm_version(name) == version for name, version in wanted.items())
    except OSError:
        return False


def npm_install():
    """One directory serves all the npm peers; what failed once is not tried again."""
    if npm_failed:
        raise npm_failed[0]
    os.makedirs(NPM, exist_ok=True)
    for name in ("package.json", "peers.mjs"):
        shutil.copy2(os.path.join(SOURCES, name), NPM)
    try:
        if not npm_has_all():
            command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                    "--no-package-lock", "--fetch-retries=1", cwd=NPM, pick=npm_error)
    except Unavailable as e:
        npm_failed.append(e)
        raise


def npm_error(text):
    """Its first line is the code of the error, its last one where the log is."""
    return next((line for line in text.splitlines() if re.match(r"npm (ERR!|error) ", line)),
                last_line(text))


def npm(peer):
    def build():
        npm_install()
        return [shutil.which("node"), os.path.join(NPM, "peers.mjs"), peer]
    return build


class Peer:
    """packages: what apt is to install; version: a function, or the Debian package it is of."""

    def __init__(self, name, language, build, packages, version=None):
        self.name, self.language, self.build, self.packages = name, language, build, packages
        self.find_version = version or (lambda: debian_version(packages[0]))

    def prepare(self):
        apt(*self.packages)
        self.argv = self.build()
        self.version = self.find_version()


def npm_peer(name, package, program=None):
    return Peer(name, "JavaScript", npm(program or package), ["cmd:node=nodejs", "cmd:npm=npm"],
                lambda: npm_version(package))


ALL_PEERS = [
    Peer("libjwt", "C", c("libjwt.c", "-ljwt"), ["libjwt-dev"]),
    Peer("cjose", "C", c("cjose.c", "-lcjose", "-ljansson"), ["libcjose-dev", "libjansson-dev"]),
    Peer("jose (latchset)", "C", c("jose.c", "-ljose", "-ljansson"),
         ["libjose-dev", "libjansson-dev"]),
    Peer("rhonabwy", "C", c("rhonabwy.c", "-lrhonabwy"), ["librhonabwy-dev"]),
    Peer("cpp-jwt", "C++", cpp("cpp-jwt.cc", "-lcrypto"),
         ["libcpp-jwt-dev", "libssl-dev", "nlohmann-json3-dev", "cmd:g++=g++"]),
    Peer("Poco JWT", "C++", cpp("poco.cc", "-lPocoJWT", "-lPocoJSON", "-lPocoCrypto",
                                "-lPocoFoundation"), ["libpoco-dev", "cmd:g++=g++"]),
    Peer("jsonwebtoken (crate)", "Rust", rust, ["librust-jsonwebtoken-dev", "rustc", "cargo"]),
    Peer("golang-jwt", "Go", go, ["golang-github-golang-jwt-jwt-dev", "golang-go"]),
    npm_peer("fast-jwt", "fast-jwt"),
    npm_peer("fast-jwt, its cache", "fast-jwt", "fast-jwt-cache"),
    npm_peer("jose (npm)", "jose"),
    npm_peer("jsonwebtoken (npm)", "jsonwebtoken"),
]


IN_BRIEF = ("libjwt", "jose (npm)")  # they are soon installed, and one has threads


def peers_at_hand(tokens):
    """Those that build, and that refuse what is to be refused."""
    good = []
    for peer in ALL_PEERS:
        if BRIEF and peer.name not in IN_BRIEF:
            continue
        try:
            peer.prepare()
            check_refusals(peer.argv, tokens)
            good.append(peer)
        except (Unavailable, OSError) as e:
            print("left out: %s: %s" % (peer.name, e))
    return good


# ---- the measuring -----------------------------------------------------------

def check_refusals(argv, tokens):
    """Whoever looks at less would be faster."""
    for what, path in tokens.bad.items():
        p = subprocess.run([*argv, path, tokens.secret], input="1\n", capture_output=True,
                           text=True)
        if p.returncode == 0:
            raise Unavailable("accepts " + what)
        if p.returncode != 1 or "accepts" in p.stderr:
            raise Unavailable(last_line(p.stderr, "ended with %d" % p.returncode))


def own(mode, path, tokens, *more, pinned=True):
    if not os.access(OURS, os.X_OK):
        raise SystemExit("%s is missing: it is what this measures" % OURS)
    return Program(OWN[mode], "", [OURS, mode, path, tokens.secret, *more], pinned)


def measure(path, count, tokens, peers):
    """A list of programs: ours in the order of OWN, then the peers."""
    programs = []
    try:
        for mode in OWN:
            programs.append(own(mode, path, tokens))
        for peer in peers:
            programs.append(Program(peer.name, "%s, %s" % (peer.version, peer.language),
                                    [*peer.argv, path, tokens.secret]))
        for p in programs:
            p.calibrate(count)
        interleave(programs, ROUNDS)
    finally:
        for p in programs:
            p.stop()
    return programs


# ---- what is printed ---------------------------------------------------------

def ratios(a, b):
    return [x / y for x, y in zip(a.taken, b.taken)]


def heading():
    with open("/proc/cpuinfo") as f:
        text = f.read()
    model = re.search(r"^model name\s*: (.*)", text, re.M)
    sha = bool(re.search(r"^(flags|Features)\s*:.*\b(sha_ni|sha2)\b", text, re.M))
    print("\nsubtoken verify bench: %s, %s, %d cores, %s SHA instructions, %s"
          % (platform.machine(), model.group(1) if model else "unknown processor", os.cpu_count(),
             "with" if sha else "without", time.strftime("%Y-%m-%d", time.gmtime())))
    print("%d interleaved rounds of about %d ms each, all on core %d"
          % (ROUNDS, ROUND_NS // 1_000_000, CORE))
    print("each subtoken verify looks its sub up in a snapshot of 1,000,000 revoked ones")


def table(title, programs):
    print("\n%s (ns for one; ratio to subtoken verify in the same round)" % title)
    print("%-28s %-29s %8s %8s %8s %8s  %s"
          % ("", "version", "median", "min", "max", "ratio", "from - to"))
    for p in programs[:len(OWN)] + sorted(programs[len(OWN):],
                                          key=lambda p: statistics.median(p.taken)):
        r = ratios(p, programs[0])
        print("%-28s %-29s %8.0f %8.0f %8.0f %8.2f  %.2f - %.2f"
              % (p.name, p.version, statistics.median(p.taken), min(p.taken), max(p.taken),
                 statistics.median(r), min(r), max(r)))


def fastest(programs, peers, languages):
    """The peer with the best median, or None."""
    names = {p.name for p in peers if not languages or p.language in languages}
    return min((p for p in programs[len(OWN):] if p.name in names),
               key=lambda p: statistics.median(p.taken), default=None)


def figures(programs, peers, again):
    """One (what, figure, goal, is it met) a check. Each figure is the median of the rounds'.
    again: what a token that was seen before may cost, as a part of a verify."""
    by = dict(zip(OWN, programs))

    def at_most(what, values, goal, form="%.2f"):
        figure = statistics.median(values)
        return what, form % figure, "at most " + form % goal, figure <= goal

    def at_least(kind, peer, goal):
        what = "%s / verify" % kind
        if peer is None:
            return what, "no such peer", "at least %.2f" % goal, False
        figure = statistics.median(ratios(peer, by["verify"]))
        return "%s (%s) / verify" % (kind, peer.name), "%.2f" % figure, "at least %.2f" % goal, \
            figure >= goal

    portable = [v - 1.15 * m for v, m in zip(by["verify-portable"].taken, by["mac-mbedtls"].taken)]
    return [at_most("verify / bare", ratios(by["verify"], by["bare"]), 1.25),
            at_most("verify of a token seen before / verify", ratios(by["again"], by["verify"]),
                    again),
            at_least("fastest peer", fastest(programs, peers, ()), 3),
            at_least("fastest C peer", fastest(programs, peers, ("C", "C++")), 8),
            at_most("verify in plain C - 1.15 x mbedTLS HMAC, ns", portable, 350,
                    "%.0f"),
            at_most("issue / verify", ratios(by["issue"], by["verify"]), 1.15)]


def check(what, figure, goal, met):
    print("%-66s %12s  %-14s %s" % (what, figure, goal,
                                       verdict(met)))


def checks(title, programs, peers, again):
    print("\nchecks, %s" % title)
    for line in figures(programs, peers, again):
        check(*line)


# ---- two threads, instructions -----------------------------------------------

def two_threads(tokens):
    """Threads that share nothing should be twice as fast in two."""
    print("\ntwo threads, %d rounds, not pinned, 1,024 tokens" % ROUNDS)
    if len(os.sched_getaffinity(0)) < 2:
        print("left out: one core only")
        return
    modes = ("verify", "mac")
    programs = [own(mode, tokens.many, tokens, "threads=%d" % t, pinned=False)
                for mode in modes for t in (1, 2)]
    try:
        for p in programs:
            p.calibrate(1024, 2 * ROUND_NS)
        interleave(programs, ROUNDS)
    finally:
        for p in programs:
            p.stop()
    for mode, one, two in zip(modes, programs[::2], programs[1::2]):
        gains = [2 * a / b for a, b in zip(one.taken, two.taken)]
        figure, spread = statistics.median(gains), "(from %.2f to %.2f)" % (min(gains), max(gains))
        if mode == "verify":
            check("throughput of 2 threads / 1 " + spread, "%.2f" % figure, "at least 1.90",
                  figure >= 1.9)
        else:  # which touches next to no memory: what the machine gives in this hour
            print("%-66s %12.2f" % ("the same of the HMAC alone " + spread, figure))


# ---- the ids of a token --------------------------------------------------------

BEFORE = "66f4f9f1913a2baf841527cc0e15a945457200bd"  # asked for the sub alone


def before():
    """The program of that commit, or None and why it is not there."""
    commit = commit_of(BEFORE)
    if BRIEF or commit is None:
        return None, "not built in a brief run" if BRIEF else "commit %.7s is not in this clone" % BEFORE
    try:
        return os.path.join(build(commit, os.path.join(BUILD, "against"), "build/bench/verify"),
                            "build", "bench", "verify"), None
    except NotBuilt as e:
        return None, str(e)


def ids(tokens):
    """Each verify asks for the sub and the tid of its token, and for each of via."""
    old, why = before()
    print("\nthe ids of a token, among 1,000,000 revoked ones: ns for one, %d rounds" % ROUNDS)
    if old is None:
        print("left out: %.7s: %s" % (BEFORE, why))
    for title, plain, via, count in (("one token", tokens.one, tokens.one_via, 1),
                                     ("1,024 varied tokens", tokens.many, tokens.many_via, 1024)):
        programs = [Program("verify", "", [OURS, "verify", plain, tokens.secret]),
                    Program("verify, made from two", "", [OURS, "verify", via, tokens.secret])]
        if old is not None:
            programs.append(Program("verify of %.7s" % BEFORE, "", [old, "verify", plain, tokens.secret]))
        try:
            for p in programs:
                p.calibrate(count)
            interleave(programs, ROUNDS)
        finally:
            for p in programs:
                p.stop()
        for p in programs:
            print("%-28s %-29s %8.0f %8.0f %8.0f"
                  % (p.name, title, statistics.median(p.taken), min(p.taken), max(p.taken)))
        figure = statistics.median(ratios(programs[1], programs[0]))
        check("made from two / made from a key, " + title, "%.2f" % figure, "at most 1.15", figure <= 1.15)
        if old is not None:
            figure = statistics.median(ratios(programs[0], programs[2]))
            check("verify / verify of %.7s, %s" % (BEFORE, title), "%.2f" % figure, "at most 1.03", figure <= 1.03)


def count_instructions(directory, path, tokens, n):
    """(all of subtoken_verify, all but the signature's check: the HMAC and its comparing)"""
    out = os.path.join(directory, "callgrind.%d" % n)
    counts, options = [], []
    for function in ("subtoken_verify", "subtoken_mac_check"):  # each turns it on or off
        options.append("--toggle-collect=" + function)
        command("valgrind", "--tool=callgrind", *options, "--callgrind-out-file=" + out, OURS,
                "count", path, tokens.secret, str(n))
        with open(out) as f:
            counts.append(int(re.search(r"^totals: (\d+)", f.read(), re.M).group(1)))
    return counts


def instructions(directory, tokens):
    """Two runs, so that what happens once falls out."""
    if BRIEF:  # in a second or two there is no time to build the snapshot under callgrind
        return
    print("\ninstructions for one verify with its lookup among 1,000,000 revoked subs, by callgrind, "
          "which has no SHA instructions")
    try:
        apt("valgrind")
    except Unavailable as e:
        print("left out: %s" % e)
        return
    for title, path in (("one token", tokens.one), ("1,024 tokens", tokens.many)):
        few, many = (count_instructions(directory, path, tokens, n) for n in (100, 1100))
        print("%-28s %6.0f, without the HMAC %6.0f"
              % (title, (many[0] - few[0]) / 1000, (many[1] - few[1]) / 1000))


def main():
    os.makedirs(PEERS, exist_ok=True)
    sys.stdout.reconfigure(line_buffering=True)  # apt.sh writes to it as well
    heading()
    with tempfile.TemporaryDirectory(prefix="subtoken-bench-") as directory:
        tokens = Tokens(directory)
        for mode in ("verify", "verify-portable", "again"):
            own(mode, tokens.one, tokens).stop()
            check_refusals([OURS, mode], tokens)
        peers = peers_at_hand(tokens)
        sets = [("one token", tokens.one, 1, 0.35), ("1,024 varied tokens", tokens.many, 1024, 0.45)]
        measured = [(title, measure(path, count, tokens, peers), again)
                    for title, path, count, again in sets]
        for title, programs, _ in measured:
            table(title, programs)
        for title, programs, again in measured:
            checks(title, programs, peers, again)
        ids(tokens)
        two_threads(tokens)
        instructions(directory, tokens)


try:
    main()
except Unavailable as e:  # of a peer it has been printed; this one is our own
    raise SystemExit("bench/verify: %s" % e)
