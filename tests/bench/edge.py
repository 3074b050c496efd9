"""make bench: nginx with the module against the same nginx without it, and against one with the module of
an earlier revision, all with one worker: a small file, and a small answer of another nginx behind
proxy_pass. The clients send the same requests to all; nothing is logged, which would make the
difference look smaller. A brief run takes this module for the earlier one, too.
usage: edge.py BUILD [ROUNDS]    environment: BENCH_REV (66f4f9f)"""
import os, re, socket, statistics, subprocess, sys, time

if __name__ == "__main__":
    sys.argv[1:] = sys.argv[1:] or ["build"]
    BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import BRIEF, brief, verdict
import revision

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 16)
SECONDS = brief(1, 2)
CONNECTIONS = 32
REVOKED = brief(1000, 100000)
RATIO_WANTED = 0.965  # of the requests a second without the module
ADDED_WANTED = 0.5    # of the CPU that the module of the revision adds
REV = brief("this build", os.environ.get("BENCH_REV", "66f4f9f"))
if __name__ == "__main__":
    sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from nginx import *

STATIC, PROXIED = "/v2/account/static", "/v2/account/proxied"
POLICY = '{"default":"deny","routes":[{"path":"/v2/account/*","methods":["GET"],"needs":["account"]}]}'
URLS = STATIC + "," + PROXIED + ",/v2/tokeninfo,/v2/characters/*"
BODY = '{"id":"F1A4C7A2-0000-4000-8000-000000000001","name":"Example.1234"}\n'
# The worker has a processor of its own, so that it is what limits; whoever asks it and whoever
# it asks share the other.
CPUS = sorted(os.sched_getaffinity(0))
WORKER_CPU, OTHER_CPU = CPUS[0], CPUS[-1]


def on(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


class Plain:
    """A nginx with one worker, and these pieces in its configuration."""

    def __init__(self, cpu, server, http="", main=""):
        self.dir, self.port = shared_dir(), free_port()
        conf = """%(main)s pid %(d)s/pid; error_log %(d)s/error.log; worker_processes 1; %(user)s
        events { worker_connections 512; }
        http {
          access_log off; keepalive_requests 1000000000; default_type application/json;
          client_body_temp_path %(d)s/t1; proxy_temp_path %(d)s/t2; fastcgi_temp_path %(d)s/t3;
          uwsgi_temp_path %(d)s/t4; scgi_temp_path %(d)s/t5;
          %(http)s
          server { listen 127.0.0.1:%(port)d; %(server)s }
        }""" % {"d": self.dir, "port": self.port, "main": main, "http": http, "server": server,
                "user": "user www-data;" if ROOT else ""}
        path = os.path.join(self.dir, "nginx.conf")
        open(path, "w").write(conf)
        self.process = subprocess.Popen([NGINX, "-p", self.dir, "-c", path, "-g", "daemon off;"],
                                        preexec_fn=on(cpu))
        wait(lambda: self.process.poll() is not None or self.workers(), "nginx has a worker")
        assert self.process.poll() is None, open(os.path.join(self.dir, "error.log")).read()

    def workers(self):
        children = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        return [int(x) for x in open(children).read().split()]

    def cpu(self):
        """Seconds that the worker has had of a processor."""
        return int(open("/proc/%d/schedstat" % self.workers()[0]).read().split()[0]) / 1e9

    def status(self, target, *headers):
        return curl("http://127.0.0.1:%d%s" % (self.port, target), *headers).status

    def stop(self):
        self.process.terminate()
        self.process.wait()


def edges(upstream, modules=(MODULE,)):
    """(with each of the modules..., without, token): the same but for the module and its directives."""
    data, www = data_dir(), shared_dir()
    key = make_key(data, "account,inventories,characters,unlocks")["key"]
    token = issue(data, key, "--permissions", "account,inventories,characters", "--urls", URLS)
    secrets, policy, feed = (os.path.join(www, name) for name in ("secrets", "policy.json", "revoked"))
    shutil.copy(os.path.join(data, "secrets"), secrets)
    share(secrets)
    open(policy, "w").write(POLICY)
    step = ((1 << 64) - 1) // REVOKED
    FeedFiles(feed, read_ring(secrets)[0]).publish(["nobody"], hashes=range(1, REVOKED * step, step))
    file = os.path.join(www, "www" + STATIC)
    os.makedirs(os.path.dirname(file))
    open(file, "w").write(BODY)
    server = """
      location %s { root %s/www; }
      location %s { proxy_pass http://api; }""" % (STATIC, www, PROXIED)
    http = """proxy_http_version 1.1; proxy_set_header Connection "";
      upstream api { server 127.0.0.1:%d; keepalive 64; }""" % upstream.port
    ours = """subtoken on; subtoken_secrets %s; subtoken_revocations %s; subtoken_policy %s;
      subtoken_max_age 1d;""" % (secrets, feed, policy)
    with_module = [Plain(WORKER_CPU, server, http + ours, "load_module %s;" % m) for m in modules]
    return (*with_module, Plain(WORKER_CPU, server, http), token)


def measure(nginx, target, token):
    """(requests a second, microseconds of the worker's CPU for each)"""
    before = nginx.cpu()
    p = subprocess.run(["wrk", "--timeout", "60s", "-t1", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS, "-H",
                        "Authorization: Bearer " + token,
                        "http://127.0.0.1:%d%s" % (nginx.port, target)],
                       capture_output=True, text=True, check=True, preexec_fn=on(OTHER_CPU))
    assert "Non-2xx" not in p.stdout and "Socket errors" not in p.stdout, p.stdout
    count = int(re.search(r"(\d+) requests in", p.stdout).group(1))
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", p.stdout).group(1)),
            (nginx.cpu() - before) * 1e6 / count)


def rounds(servers, target, token):
    """[{name: measure}]; each goes first in its turn."""
    names, out = list(servers), []
    if not BRIEF:  # the first is not counted
        for name in names:
            measure(servers[name], target, token)
    for i in range(ROUNDS):
        first = i % len(names)
        out.append({name: measure(servers[name], target, token) for name in names[first:] + names[:first]})
    return out


def spread(name, values, form):
    """The median; and between what half of the rounds lie."""
    values = sorted(values)
    middle, count = statistics.median(values), len(values)
    form = "%-34s median " + form + ", half of them from " + form + " to " + form
    print(form % (name, middle, values[count // 4], values[3 * count // 4]))
    return middle


def tell(name, taken):
    print("\n%s, %d bytes of answer" % (name, len(BODY)))
    print("%-34s %12s %16s" % ("", "requests/s", "CPU us/request"))
    for who in taken[0]:
        print("%-34s %12.0f %16.2f" % ((who,) + tuple(statistics.median(t[who][k] for t in taken) for k in (0, 1))))
    ratio = spread("requests, with / without", [t[NEW][0] / t[BARE][0] for t in taken], "%.3f")
    print("%-34s at least %.3f: %s" % ("  wanted", RATIO_WANTED, verdict(ratio >= RATIO_WANTED)))
    added = {who: spread("CPU us added, " + who, [t[who][1] - t[BARE][1] for t in taken], "%.2f")
             for who in taken[0] if who != BARE}
    if OLD not in added:
        return
    # The noise of a round is large beside what is added: so the ratio is that of the medians.
    ratio = added[NEW] / added[OLD] if added[OLD] > 0 else float("inf")
    print("%-34s %.2f" % ("  the first / the second", ratio))
    print("%-34s at most %.2f: %s" % ("  wanted", ADDED_WANTED, verdict(ratio <= ADDED_WANTED)))


def earlier_module():
    """The module of the revision, or None."""
    if BRIEF:
        return MODULE
    commit = revision.commit_of(REV)
    if commit is None:
        print("%s is not in this clone's history: it is left out" % REV)
        return None
    try:
        tree = revision.build(commit, os.path.abspath(os.path.join(BUILD, "against")), "nginx-module")
    except revision.NotBuilt as e:
        print("%s does not build: %s" % (REV, e))
        return None
    return os.path.join(tree, "build", "ngx_http_subtoken_module.so")


BARE, OLD, NEW = "without", "module of " + REV, "module"


def main_bench():
    old = earlier_module()
    upstream = Plain(OTHER_CPU, "location / { return 200 '%s'; }" % BODY)
    *running, token = edges(upstream, (MODULE, old) if old else (MODULE,))
    servers = dict(zip((NEW, OLD, BARE) if old else (NEW, BARE), running))
    try:
        for target in (STATIC, PROXIED):
            for who, nginx in servers.items():
                assert nginx.status(target, *bearer(token)) == 200
                assert nginx.status(target) == (200 if who == BARE else 401)
        print("\nnginx with the module: a subtoken of %d characters, a policy, %d revoked;"
              " one worker, %d keep-alive connections, %d rounds of %d s"
              % (len(token), REVOKED + 1, CONNECTIONS, ROUNDS, SECONDS))
        tell("a static file", rounds(servers, STATIC, token))
        tell("proxy_pass", rounds(servers, PROXIED, token))
    finally:
        for nginx in (*running, upstream):
            nginx.stop()


if __name__ == "__main__":
    main_bench()
