"""make bench-wasm: what it costs to verify a token with the npm package, beside fast-jwt in the same
process of Node, on the same tokens. Ours checks the signature, claims, times, URL and permissions,
and looks the sub up among a million revoked ones; fast-jwt checks the signature and times.
usage: wasm.py BUILD [ROUNDS]    environment: BENCH_BRIEF=1"""
import json, os, re, shutil, statistics, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import brief, last_line, verdict
from tokens import Tokens

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
ROUNDS = int(sys.argv[2] if len(sys.argv) > 2 else brief(2, 31))
HERE = os.path.dirname(os.path.abspath(__file__))
NPM = os.path.join(BUILD, "bench", "npm")
PACKAGE = os.path.join(BUILD, "wasm", "package")
PEER, CACHED_PEER, FULL, CACHED = ("fast-jwt, without its cache", "fast-jwt, its cache",
                                   "subtoken, without a cache", "subtoken, from its cache")
LIMITS = {FULL: 0.6, CACHED: 0.2}


def wanted_version():
    with open(os.path.join(HERE, "peers", "package.json")) as f:
        return json.load(f)["dependencies"]["fast-jwt"]


def install():
    """The peers of bench-verify, in the same place."""
    try:
        with open(os.path.join(NPM, "node_modules", "fast-jwt", "package.json")) as f:
            if json.load(f)["version"] == wanted_version():
                return
    except OSError:
        pass
    os.makedirs(NPM, exist_ok=True)
    shutil.copy2(os.path.join(HERE, "peers", "package.json"), NPM)
    p = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                        "--no-package-lock", "--fetch-retries=1"], cwd=NPM, capture_output=True,
                       text=True, stdin=subprocess.DEVNULL)
    if p.returncode != 0:
        print("left out: fast-jwt: %s" % last_line(p.stderr))
        sys.exit(0)


def measure(tokens):
    p = subprocess.run(["node", os.path.join(HERE, "wasm.mjs"), PACKAGE, NPM, tokens.secret, str(ROUNDS),
                        brief("1", "30"), brief("1000", "1000000"), tokens.one, tokens.many],
                       capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if p.returncode != 0:
        raise SystemExit("bench/wasm: %s" % next(
            (line for line in p.stderr.splitlines() if re.match(r"\w*Error", line)), p.stderr))
    return json.loads(p.stdout)


def ratios(taken, name):
    return [a / b for a, b in zip(taken[name], taken[PEER])]


def table(count, taken):
    print("\n%s (ns for one; ratio to fast-jwt without its cache in the same round)"
          % ("one token" if count == 1 else "%d varied tokens" % count))
    print("%-30s %8s %8s %8s %8s  %s" % ("", "median", "min", "max", "ratio", "from - to"))
    for name in (FULL, CACHED, PEER, CACHED_PEER):
        r = ratios(taken, name)
        print("%-30s %8.0f %8.0f %8.0f %8.2f  %.2f - %.2f" % (
            name, statistics.median(taken[name]), min(taken[name]), max(taken[name]),
            statistics.median(r), min(r), max(r)))
    for name, limit in LIMITS.items():
        figure = statistics.median(ratios(taken, name))
        print("%-54s %12.2f  at most %.2f   %s" % (
            "%s / fast-jwt without its cache" % name, figure, limit, verdict(figure <= limit)))


def main():
    sys.stdout.reconfigure(line_buffering=True)
    install()
    with tempfile.TemporaryDirectory(prefix="subtoken-bench-") as directory:
        made = measure(Tokens(directory))
    print("subtoken in WebAssembly, and fast-jwt %s, in one process of Node %s: %d rounds"
          % (wanted_version(), made["node"], ROUNDS))
    for row in made["measured"]:
        table(row["tokens"], row["taken"])


main()
