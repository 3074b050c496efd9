"""make bench: the server against a static answer of nginx, and the scenes that hurt
threaded servers. Everything is interleaved in one run; medians are printed.
usage: server.py BUILD [ROUNDS]"""
import json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, threading, time

sys.argv[1:] = sys.argv[1:] or ["build"]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import BRIEF, brief, verdict
from load import CONNECTIONS, QUERY, SECONDS, measured

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 7)
import support

support.Server.threads = None  # as many as users have


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx:
    """`return 200` with a body of the same size, with an access log, as we have one."""

    def __init__(self, body):
        self.dir = support.scratch()
        self.port = free_port()
        conf = """
worker_processes 2; daemon off; error_log %(d)s/error.log; pid %(d)s/pid;
events { worker_connections 2048; }
http { access_log %(d)s/access.log; keepalive_requests 1000000000;
  client_body_temp_path %(d)s/b; proxy_temp_path %(d)s/p; fastcgi_temp_path %(d)s/f;
  uwsgi_temp_path %(d)s/u; scgi_temp_path %(d)s/s;
  server { listen 127.0.0.1:%(p)d; default_type application/json; location / { return 200 %(b)s; } } }
""" % {"d": self.dir, "p": self.port, "b": "'%s'" % body if body else '""'}
        path = os.path.join(self.dir, "nginx.conf")
        open(path, "w").write(conf)
        self.process = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", path])
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def honest(port, key, seconds):
    """Latencies in ms of one honest client: a new connection each time, as it hurts most."""
    request = ("GET %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n"
               % (QUERY, key)).encode()
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
            s.sendall(request)
            answer = b""
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
        taken.append((time.monotonic() - began) * 1000)
        time.sleep(0.002)
    return sorted(taken)


def percentile(sorted_values, p):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * p))]


def idle_connections(port, count):
    """Each has made one request and keeps its connection."""
    held = []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n")
        s.recv(4096)
        held.append(s)
    return held


def drip(port, stop):
    """A client that sends a byte of its request a second, and begins again when cut."""
    text = b"GET /v2/tokeninfo HTTP/1.1\r\nHost: bench\r\nX: " + b"x" * 4000
    while not stop.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port)) as s:
                for byte in text:
                    s.sendall(bytes([byte]))
                    if stop.wait(1):
                        return
        except OSError:
            pass


def calls(server):
    """What is asked: its name, path, credential and headers, the size of nginx's answer, and what
    the ratio is to be."""
    key = re.search(r"^  ([0-9A-F-]{72})$", open(server.stdout_path).read(), re.M).group(1)
    made = support.curl(server.url + QUERY, *support.bearer(key)).body
    listed = json.loads(made)["subtoken"]  # may ask for tokeninfo
    whole = json.loads(support.curl(server.url + QUERY.split("&urls")[0], *support.bearer(key)).body)["subtoken"]
    info = support.curl(server.url + "/v2/tokeninfo?v=latest", *support.bearer(listed)).body
    original = ("X-Original-URI: /v2/account", "X-Original-Method: GET")
    return [("createsubtoken", QUERY, key, (), made, 0.70),
            ("tokeninfo", "/v2/tokeninfo?v=latest", listed, (), info, 0.65),
            ("authorize", "/v2/authorize", whole, original, "", 0.65)]


def compare(server, call):
    """Rounds of nginx and of us, each first in its turn."""
    _, path, credential, headers, body, _ = call
    nginx = Nginx(body)
    with open("/proc/%d/task/%d/children" % (nginx.process.pid, nginx.process.pid)) as f:
        workers = [int(pid) for pid in f.read().split()]
    sides = [(workers, nginx.port, []), ([server.process.pid], server.port, [])]
    try:
        for r in range(ROUNDS + (not BRIEF)):  # the first is not counted
            for pids, port, rounds in sides if r % 2 == 0 else sides[::-1]:
                rounds.append(measured(pids, port, path, credential, headers))
    finally:
        nginx.stop()
    return [rounds[not BRIEF:] for _, _, rounds in sides]


def median(rounds, column):
    return statistics.median(row[column] for row in rounds)


def throughput():
    print("\nthe server against nginx `return 200` with a body of the same size and an access log:"
          " %d keep-alive\nconnections, %d rounds of %d s" % (CONNECTIONS, ROUNDS, SECONDS))
    print("%-16s %9s %9s %7s %9s   %8s %8s   %8s %8s" % (
        "", "nginx/s", "ours/s", "ratio", "wanted", "p99 ms", "nginx's", "us CPU", "nginx's"))
    with support.Server(args=["--demo"]) as server:
        for call in calls(server):
            theirs, ours = compare(server, call)
            ratio = statistics.median(a[0] / b[0] for a, b in zip(ours, theirs))
            slower = statistics.median(a[1] / b[1] for a, b in zip(ours, theirs))
            print("%-16s %9.0f %9.0f %7.2f %9.2f   %8.2f %8.2f   %8.2f %8.2f  %s" % (
                call[0], median(theirs, 0), median(ours, 0), ratio, call[5], median(ours, 1),
                median(theirs, 1), median(ours, 2), median(theirs, 2),
                verdict(ratio >= call[5] and slower <= 2.5)))
            print("%-16s the 99th percentile is %.2f times nginx's (wanted: at most 2.5)" % ("", slower))


def scenes():
    rows = []
    with support.Server(args=["--demo"]) as server:
        key = re.search(r"^  ([0-9A-F-]{72})$", open(server.stdout_path).read(), re.M).group(1)
        seconds = brief(0.3, 4)
        honest(server.port, key, seconds / 4)
        rows.append(("alone", honest(server.port, key, seconds)))
        held = idle_connections(server.port, 1000)
        rows.append(("beside 1,000 idle connections", honest(server.port, key, seconds)))
        for s in held:
            s.close()
        stop = threading.Event()
        threads = [threading.Thread(target=drip, args=(server.port, stop)) for _ in range(60)]
        for t in threads:
            t.start()
        time.sleep(brief(0.2, 2))
        rows.append(("beside 60 that drip a byte a second", honest(server.port, key, 3 * seconds)))
        stop.set()
        for t in threads:
            t.join()
    print("\nhonest requests, each on a new connection (ms; wanted: p99 below 100)")
    print("%-38s %8s %8s %8s" % ("", "p50", "p99", "max"))
    for name, taken in rows:
        print("%-38s %8.2f %8.2f %8.2f"
              % (name, percentile(taken, 0.5), percentile(taken, 0.99), taken[-1]))


def bare_commands():
    print("subtoken bench: %s, %s cores, %s" % (os.uname().machine, os.cpu_count(),
          time.strftime("%Y-%m-%d", time.gmtime())))


bare_commands()
throughput()
scenes()
