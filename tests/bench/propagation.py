"""make bench: how long after a deletion is answered does the last of 8 edges refuse? A server that
lists a million, 8 pulls of it, and 8 verifiers that take up what their pull wrote. The deletions come
at random moments, a second apart in the mean, so that they meet pulls and verifiers at any point.
usage: propagation.py BUILD [ROUNDS] [LISTED]"""
import http.client, os, random, secrets, sqlite3, sys, threading

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import brief, verdict

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(2, 200)
LISTED = int(sys.argv[3]) if len(sys.argv) > 3 else brief(1000, 1000000)
EDGES = brief(2, 8)
WANTED = 3.0
LOOK = 0.01
LIMIT = 60
sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from support import *


class Round:
    """One deletion; refused: when each edge first did."""

    def __init__(self, data):
        self.key = make_key(data, "account")
        self.line = json.dumps({"token": issue(data, self.key["key"])}).encode() + b"\n"
        self.answered, self.refused = None, {}

    def took(self):
        return max(self.refused.values()) - self.answered


class Edge:
    """A pull and the verifier beside it."""

    def __init__(self, server, key):
        dir = scratch()
        self.file, key_file = os.path.join(dir, "revoked"), os.path.join(dir, "key")
        with open(os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(key)
        self.puller = subprocess.Popen([PROGRAM, "pull", "--from", server.url + "/v2/revocations",
                                        "--to", self.file, "--key-file", key_file, "--every", "1s"],
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
    db.executemany("INSERT INTO listed (sub, hash, revoked_at) VALUES (?, ?, ?)",
                   ((sub, random.getrandbits(64) - (1 << 63), now)
                    for sub in sorted(secrets.token_urlsafe(32) for _ in range(LISTED))))
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
        open_rounds[:] = [r for r in open_rounds if len(r.refused) < EDGES] + [each]
        if failures:
            break
    deadline = time.monotonic() + LIMIT
    while any(len(r.refused) < EDGES for r in open_rounds) and time.monotonic() < deadline:
        if failures:
            break
        time.sleep(LOOK)
    ended.set()
    for t in threads:
        t.join()
    assert not failures, failures
    assert all(len(r.refused) == EDGES for r in made), "an edge did not refuse within %d s" % LIMIT


def main_bench():
    data = data_dir()
    manager, puller = make_key(data, "keys")["key"], make_key(data, "revocations")["key"]
    made = [Round(data) for _ in range(ROUNDS)]
    fill(data)
    edges = []
    with Server(data) as server:
        try:
            for _ in range(EDGES):
                edges.append(Edge(server, puller))
            for edge in edges:
                edge.start()
            deletions(server, manager, edges, made)
        finally:
            for edge in edges:
                edge.stop()
    took = sorted(r.took() for r in made)
    print("\nfrom a deletion's answer to the refusal at the last of %d edges, %d times, %d listed;"
          " pull --every 1s" % (EDGES, ROUNDS, LISTED))
    print("median %.2f s, 95th %.2f s, max %.2f s (wanted: at most %.0f s): %s"
          % (took[len(took) // 2], took[min(len(took) - 1, int(len(took) * 0.95))], took[-1], WANTED,
             verdict(took[-1] <= WANTED)))


main_bench()
