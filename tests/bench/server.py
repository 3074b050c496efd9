"""make bench: the server against a static answer of nginx, and the scenes that hurt
threaded servers. Everything is interleaved in one run; medians are printed.
usage: server.py BUILD [ROUNDS]"""
import json, os, re, shutil, socket, statistics, subprocess, sys, tempfile, threading, time

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import BRIEF, brief

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 7)
SECONDS = brief(1, 3)
CONNECTIONS = 64
sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support

QUERY = ("/v2/createsubtoken?expire=2027-11-22T00%3A41%3A48.592223424%2B00%3A00"
         "&permissions=account%2Cprogression&urls=%2Fv2%2Ftokeninfo%2C%2Fv2%2Fcreatesubtoken")


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
  server { listen 127.0.0.1:%(p)d; default_type application/json; location / { return 200 '%(b)s'; } } }
""" % {"d": self.dir, "p": self.port, "b": body}
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


def wrk(port, path, key):
    p = subprocess.run(["wrk", "--timeout", "60s", "-t2", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS, "-H",
                        "Authorization: Bearer " + key, "http://127.0.0.1:%d%s" % (port, path)],
                       capture_output=True, text=True, check=True)
    assert "Non-2xx" not in p.stdout and "Socket errors" not in p.stdout, p.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", p.stdout).group(1))


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


def throughput():
    with support.Server(args=["--demo"]) as server:
        key = re.search(r"^  ([0-9A-F-]{72})$", open(server.stdout_path).read(), re.M).group(1)
        body = support.curl(server.url + QUERY, *support.bearer(key)).body
        nginx = Nginx(body)
        ours, theirs = [], []
        try:
            if not BRIEF:  # the first is not counted
                wrk(nginx.port, QUERY, key), wrk(server.port, QUERY, key)
            for _ in range(ROUNDS):
                theirs.append(wrk(nginx.port, QUERY, key))
                ours.append(wrk(server.port, QUERY, key))
        finally:
            nginx.stop()
    ratios = sorted(a / b for a, b in zip(ours, theirs))
    print("\ncreatesubtoken against nginx `return 200`, %d bytes of body, %d keep-alive connections,"
          " %d rounds of %d s" % (len(body), CONNECTIONS, ROUNDS, SECONDS))
    print("%-28s %12s" % ("", "requests/s"))
    print("%-28s %12.0f" % ("nginx, static, access log", statistics.median(theirs)))
    print("%-28s %12.0f" % ("subtoken, createsubtoken", statistics.median(ours)))
    print("ratio                        median %.2f, from %.2f to %.2f (wanted: at least 0.50)"
          % (statistics.median(ratios), ratios[0], ratios[-1]))


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
