"""make bench: how long after a deletion is answered does the last of 8 edges refuse, and the last of
64 behind one relay? A server that lists a million, a pull for each edge, and a verifier that takes up
what its pull wrote. The deletions come at random moments, a second apart in the mean, so that they
meet pulls and verifiers at any point. The 8 edges are also measured with `wait=` taken out of their
requests on the way, as with a server that does not know it.
usage: propagation.py BUILD [ROUNDS] [LISTED]"""
import http.server, os, random, secrets, sqlite3, sys, threading

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import brief, verdict

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(2, 200)
LISTED = int(sys.argv[3]) if len(sys.argv) > 3 else brief(1000, 1000000)
EDGES, RELAYED = brief(2, 8), brief(3, 64)
LOOK = 0.01
LIMIT = 60
sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from relay import *

Server.threads = None  # as many as users have


class Round:
    """One deletion; refused: when each edge first did."""

    def __init__(self, data):
        self.key = make_key(data, "account")
        self.line = json.dumps({"token": issue(data, self.key["key"])}).encode() + b"\n"
        self.answered, self.refused = None, {}

    def took(self):
        return max(self.refused.values()) - self.answered


class WithoutWait:
    """Between edges and server: hands everything on but `wait=`."""

    def __init__(self, server):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                target = re.sub(r"[?&]wait=\d+", "", self.path)
                connection.request("GET", target, headers={n: self.headers[n] for n in (
                    "Authorization", "Accept", "If-None-Match") if n in self.headers})
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name in ("ETag", "Subtoken-Heartbeat", "Content-Type"):
                    if answer.headers[name]:
                        self.send_header(name, answer.headers[name])
                if answer.status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                connection.close()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Edge:
    """A pull and the verifier beside it. Many of them would share one disk: they are in memory."""

    def __init__(self, server, url, key, *more, many=False):
        dir = scratch("/dev/shm" if many and os.path.isdir("/dev/shm") else None)
        self.file, key_file = os.path.join(dir, "revoked"), os.path.join(dir, "key")
        with open(os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(key)
        self.puller = subprocess.Popen([PROGRAM, "pull", "--from", url, "--to", self.file, "--key-file",
                                        key_file, "--every", "1s", *more],
                                       stderr=open(os.path.join(dir, "log"), "ab"))
        self.secrets = os.path.join(server.data, "secrets")

    def start(self):
        deadline = time.monotonic() + LIMIT
        while not os.path.exists(self.file + ".alive"):
            assert time.monotonic() < deadline and self.puller.poll() is None, "no first pull"
            time.sleep(0.05)
        self.verifier = subprocess.Popen([PROGRAM, "verify", "--jsonl", "--secrets", self.secrets,
                                          "--revocations", self.file],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=open(self.file + ".log", "ab"))

    def refuses(self, line):
        self.verifier.stdin.write(line)
        self.verifier.stdin.flush()
        reason = json.loads(self.verifier.stdout.readline()).get("reason", "ok")
        assert reason in ("ok", "revoked"), reason
        return reason == "revoked"

    def stop(self):
        self.puller.terminate()
        self.puller.wait()
        if hasattr(self, "verifier"):
            self.verifier.stdin.close()
            self.verifier.wait()


def watch(edge, open_rounds, ended, failures):
    """Ask this edge about every deletion that it has not refused yet."""
    try:
        while not ended.is_set():
            for each in list(open_rounds):
                if edge not in each.refused and edge.refuses(each.line):
                    each.refused[edge] = time.monotonic()
            ended.wait(LOOK)
    except Exception as e:
        failures.append(repr(e))


def fill(data):
    """As if as many keys had been deleted before; the store is not open."""
    db = sqlite3.connect(os.path.join(data, "subtoken.db"))
    now = int(time.time())
    subs = sorted(secrets.token_urlsafe(32) for _ in range(LISTED))
    hashes = sorted(random.getrandbits(64) - (1 << 63) for _ in range(LISTED))
    db.executemany("INSERT INTO listed (sub, hash, revoked_at) VALUES (?, ?, %d)" % now,
                   zip(subs, hashes))
    db.execute("UPDATE facts SET value = value + 1 WHERE name = 'sequence'")
    db.execute("UPDATE facts SET value = (SELECT value FROM facts WHERE name = 'sequence')"
               " WHERE name = 'changes_from'")
    db.commit()
    db.close()


def delete(connection, id, key):
    connection.request("DELETE", "/v2/keys/" + id, headers={"Authorization": "Bearer " + key})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 204, answer.status
    return time.monotonic()


def deletions(server, manager, edges, made):
    """Carry the rounds out: they overlap, as each takes longer than the pause between two."""
    open_rounds, ended, failures = [], threading.Event(), []
    threads = [threading.Thread(target=watch, args=(edge, open_rounds, ended, failures))
               for edge in edges]
    for each in made:
        assert not any(edge.refuses(each.line) for edge in edges)
    for t in threads:
        t.start()
    for each in made:
        time.sleep(random.uniform(0.5, 1.5))
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        each.answered = delete(connection, each.key["id"], manager)
        connection.close()
        open_rounds[:] = [r for r in open_rounds if len(r.refused) < len(edges)] + [each]
        if failures:
            break
    deadline = time.monotonic() + LIMIT
    while any(len(r.refused) < len(edges) for r in open_rounds) and time.monotonic() < deadline:
        if failures:
            break
        time.sleep(LOOK)
    ended.set()
    for t in threads:
        t.join()
    assert not failures, failures
    assert all(len(r.refused) == len(edges) for r in made), "an edge did not refuse within %d s" % LIMIT


def measure(server, manager, edges, rounds):
    """How long each deletion took, ascending."""
    made = [Round(server.data) for _ in range(rounds)]
    try:
        for edge in edges:
            edge.start()
        deletions(server, manager, edges, made)
    finally:
        for edge in edges:
            edge.stop()
    return sorted(r.took() for r in made)


def at(took, share):
    return took[min(len(took) - 1, int(len(took) * share))]


def tell(name, took, *wanted):
    print("%-46s median %.2f s, 95th %.2f s, 99th %.2f s, max %.2f s, %d times"
          % (name, at(took, .5), at(took, .95), at(took, .99), took[-1], len(took)))
    for what, value, most in wanted:
        print("  %s %.2f (wanted: at most %s): %s" % (what, value, most, verdict(value <= most)))
    sys.stdout.flush()


def edges_of_a_server(data, manager, puller):
    with Server(data) as server:
        slow = WithoutWait(server)
        try:
            edges = [Edge(server, slow.url, puller) for _ in range(EDGES)]
            tell("%d edges, the server asked once a second" % EDGES,
                 measure(server, manager, edges, max(2, ROUNDS // 4)))
        finally:
            slow.stop()
        took = measure(server, manager, [Edge(server, server.url, puller) for _ in range(EDGES)], ROUNDS)
        tell("%d edges, wait=" % EDGES, took, ("median", at(took, .5), .2), ("max", took[-1], .5))


def edges_behind_a_relay(data, manager):
    with Issuers(1, data) as issuers, Relay(issuers) as relay:
        server = issuers.servers[0]
        edges = [Edge(server, relay.url, "edge", "--ca", relay.cert, many=True) for _ in range(RELAYED)]
        before, began = len(issuers.lines()), time.monotonic()
        took = measure(server, manager, edges, max(2, ROUNDS // 4))
        rate = (len(issuers.lines()) - before) / (time.monotonic() - began)
        tell("%d edges behind one relay" % RELAYED, took, ("99th percentile", at(took, .99), 1.5),
             ("requests a second at the server", rate, 5))


def main_bench():
    data = data_dir()
    manager, puller = make_key(data, "keys")["key"], make_key(data, "revocations")["key"]
    fill(data)
    print("\nfrom a deletion's answer to the refusal at the last edge; %d listed; pull --every 1s" % LISTED)
    edges_of_a_server(data, manager, puller)
    edges_behind_a_relay(data, manager)


main_bench()
