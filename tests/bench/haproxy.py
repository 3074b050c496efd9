"""make bench-haproxy: HAProxy with the module against the same HAProxy without it, both with one thread on a processor
of their own: its own short answer, and that of a static backend; each with the headers that wrk sends, and with those of
a browser. Two configurations of the module take turns with the bare one: that of src/edge/examples/haproxy-module.cfg,
and the action alone.
usage: haproxy.py BUILD [ROUNDS]"""
import os, re, socket, statistics, subprocess, sys

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import BRIEF, brief, verdict

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 8)
SECONDS = brief(1, 2)
CONNECTIONS = 32
REVOKED = brief(1000, 100000)
RATIO_WANTED = 0.70
sys.argv[1:] = [os.path.join(BUILD, "subtoken")]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from proxies import *

CPUS = sorted(os.sched_getaffinity(0))
EDGE_CPU, OTHER_CPU = CPUS[0], CPUS[-1]
PATH = "/v2/account/static"
POLICY_TEXT = '{"default":"deny","routes":[{"path":"/v2/account/*","methods":["GET"],"needs":["account"]}]}'
BODY = '{"id":"F1A4C7A2-0000-4000-8000-000000000001","name":"Example.1234"}'
BROWSER = ["User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
           "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
           "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br, zstd", "DNT: 1", "Sec-GPC: 1",
           "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none", "Sec-Fetch-User: ?1",
           "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=all", "Priority: u=0, i"]
DENY = "http-request deny deny_status 503 unless { var(txn.subtoken) -m beg pass }"
ACTION = ["http-request lua.subtoken", DENY]


def example():
    """The rules of the example, without those that ask a server."""
    text = open(os.path.join(EXAMPLES, "haproxy-module.cfg")).read()
    rules = [l.strip().replace(" unless own or", " unless").replace(" unless own", "") for l in text.splitlines()
             if l.startswith("  http-request ") and "authorize" not in l and "X-Forwarded-For" not in l]
    assert len(rules) == 12, rules
    return rules


class Side:
    """One HAProxy."""

    def __init__(self, name, rules, files, tail):
        self.name, self.port, self.dir = name, free_port(), shared_dir()
        secrets, feed, policy = files
        lua = """setenv SUBTOKEN_MODULE "secrets=%s revocations=%s policy=%s max_age=1d"
  lua-prepend-path %s/?.so cpath
  lua-load-per-thread %s""" % (secrets, feed, policy, HAPROXY_MODULE, os.path.join(EDGE, "haproxy", "subtoken.lua"))
        path = os.path.join(self.dir, "haproxy.cfg")
        with open(path, "w") as f:
            f.write("global\n  nbthread 1\n  %s\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n"
                    "  timeout server 60s\nfrontend in\n  bind 127.0.0.1:%d\n  %s\n" % (lua if rules else "", self.port,
                                                                               "\n  ".join(rules + tail)))
        self.process = subprocess.Popen([HAPROXY, "-db", "-f", path], stderr=subprocess.DEVNULL,
                                        preexec_fn=lambda: os.sched_setaffinity(0, {EDGE_CPU}))
        wait(lambda: self.process.poll() is not None or self.status() is not None, "HAProxy answers")
        assert self.process.poll() is None, "HAProxy does not start with " + path

    def status(self, *headers):
        try:
            return curl("http://127.0.0.1:%d%s" % (self.port, PATH), *headers).status
        except Exception:
            return None

    def cpu(self):
        """Nanoseconds."""
        tasks = "/proc/%d/task" % self.process.pid
        return sum(int(open("%s/%s/schedstat" % (tasks, t)).read().split()[0]) for t in os.listdir(tasks))

    def measure(self, headers):
        """(requests a second, microseconds of CPU for each)"""
        before = self.cpu()
        args = [x for h in headers for x in ("-H", h)]
        p = subprocess.run(["wrk", "--timeout", "60s", "-t1", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS] + args + ["http://127.0.0.1:%d%s" % (self.port, PATH)],
                           capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {OTHER_CPU}))
        assert p.returncode == 0 and "Non-2xx" not in p.stdout and "Socket errors" not in p.stdout, p.stdout + p.stderr
        count = int(re.search(r"(\d+) requests in", p.stdout).group(1))
        return float(re.search(r"Requests/sec:\s+([\d.]+)", p.stdout).group(1)), (self.cpu() - before) / 1000 / count

    def stop(self):
        self.process.terminate()
        self.process.wait()


def tell(name, sides, headers):
    """Each goes first in its turn."""
    taken = {s.name: [] for s in sides}
    for r in range(ROUNDS):
        for s in sides[r % len(sides):] + sides[:r % len(sides)]:
            taken[s.name].append(s.measure(headers))
    print("\n%s" % name)
    print("%-24s %12s %12s %16s" % ("", "requests/s", "CPU us each", "of the bare one"))
    for s in sides:
        rate, cpu = (statistics.median(t[i] for t in taken[s.name]) for i in (0, 1))
        ratio = statistics.median(a[0] / b[0] for a, b in zip(taken[s.name], taken[sides[0].name]))
        end = "" if s is sides[0] else "%16.2f" % ratio
        if s is sides[1]:
            end += " (wanted: at least %.2f) %s" % (RATIO_WANTED, verdict(ratio >= RATIO_WANTED))
        print("%-24s %12.0f %12.1f %s" % (s.name, rate, cpu, end))


def main_bench():
    data, www = data_dir(), shared_dir()
    token = issue(data, make_key(data, "account,guilds")["key"], "--permissions", "account,guilds", "--urls", PATH)
    secrets, feed, policy = files = [os.path.join(www, n) for n in ("secrets", "revoked", "policy.json")]
    shutil.copy(os.path.join(data, "secrets"), secrets)
    share(secrets)
    with open(policy, "w") as f:
        f.write(POLICY_TEXT)
    step = ((1 << 64) - 1) // REVOKED
    FeedFiles(feed, read_ring(secrets)[0]).publish(["nobody"], hashes=range(1, REVOKED * step, step))
    reply = ['http-request return status 200 content-type application/json string \'%s\'' % BODY]
    backend = Side("backend", [], files, reply)
    os.sched_setaffinity(backend.process.pid, {OTHER_CPU})
    proxied = ["default_backend api", "backend api", "http-reuse always", "server api 127.0.0.1:%d" % backend.port]
    print("\nHAProxy with the module: a subtoken of %d characters, a policy, %d revoked; one thread, %d keep-alive"
          " connections, %d rounds of %d s" % (len(token), REVOKED + 1, CONNECTIONS, ROUNDS, SECONDS))
    try:
        for name, tail in (("its own reply", reply), ("a static backend", proxied)):
            sides = [Side("bare", [], files, tail), Side("module, as the example", example(), files, tail),
                     Side("module, the action alone", ACTION, files, tail)]
            if BRIEF and tail is proxied:
                sides.pop().stop()
            try:
                for s in sides:
                    assert s.status(*bearer(token)) == 200 and s.status() == (200 if s is sides[0] else 401), s.name
                if not BRIEF or tail is reply:
                    tell("%s, wrk's headers" % name, sides, [auth(token)])
                if not BRIEF or tail is proxied:
                    tell("%s, a browser's headers" % name, sides, [auth(token)] + BROWSER)
            finally:
                for s in sides:
                    s.stop()
    finally:
        backend.stop()


main_bench()
