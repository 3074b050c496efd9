"""make bench: the two kinds of store side by side, a server on SQLite and one on PostgreSQL: requests for keys in use;
by a Zipf draw (s = 0.99) from ten million keys, of which the cache holds a part, beside ten keys; and keys created by
eight writers at a time, each commit on the disk.
usage: stores.py BUILD [ROUNDS] [KEYS]"""
import http.client, json, os, sys, threading, time

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import brief

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 7)
KEYS = int(sys.argv[3]) if len(sys.argv) > 3 else brief(2000, 10000000)
FEW = 10
WRITERS = 8
WARM_SECONDS = brief(1, 60)
sys.argv[1] = os.path.join(BUILD, "subtoken")
from sides import Side, compare, judged, postgres, print_ratios


def in_use(sqlite, other):
    draw = (FEW, "any", KEYS)
    compare((sqlite, "SQLite"), (other, "PostgreSQL"), "%d keys in use" % FEW, ROUNDS, (draw, draw), least=0.95)


def zipf(few, many, kind):
    """The cache has what was drawn lately, as it has after an hour of such requests."""
    many.ask("tokeninfo", KEYS, "zipf", KEYS, WARM_SECONDS)
    before = many.reads()
    requests = many.ask("tokeninfo", KEYS, "zipf", KEYS)[1]
    reads = (many.reads() - before) / requests
    compare((few, "%d keys" % FEW), (many, "Zipf"), "%s: keys by a Zipf draw from %d" % (kind, KEYS), ROUNDS,
            ((FEW, "zipf", KEYS), (KEYS, "zipf", KEYS)), most=1.15)
    print("  reads a request: %.2f; memory, 10^6 bytes: %.1f" % (reads, many.memory()), flush=True)


class Creation:
    """Writers that create one key after the other."""

    def __init__(self, side):
        self.side, self.made, self.ends = side, 0, 0

    def write(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.side.server.port)
        body = json.dumps({"name": "made", "permissions": ["account"]})
        made = 0
        while time.monotonic() < self.ends:
            connection.request("POST", "/v2/keys", body, {"Authorization": "Bearer " + self.side.admin,
                                                          "Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 201, (answer.status, text)
            made += 1
        connection.close()
        self.made += made  # the lock of the interpreter is enough: each once

    def rate(self):
        self.made, self.ends = 0, time.monotonic() + brief(1, 3)
        threads = [threading.Thread(target=self.write) for _ in range(WRITERS)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.made / (time.monotonic() - began)


def creation(sqlite, other):
    sides = [Creation(sqlite), Creation(other)]
    rates = [[], []]
    for _ in range(ROUNDS):
        for side, found in zip(sides, rates):
            found.append(side.rate())
    ratios = [b / a for a, b in zip(*rates)]
    print("\nkeys created by %d writers, each commit on the disk, %d rounds" % (WRITERS, ROUNDS))
    print("%-30s %12s %12s   PostgreSQL's by SQLite's" % ("", "SQLite", "PostgreSQL"))
    print_ratios("keys, a second", *rates, ratios, judged(ratios, least=1))
    sys.stdout.flush()


def filled(cluster):
    began = time.monotonic()
    side = Side(KEYS, cluster)
    print("\n%d keys were written and opened in %.0f s" % (KEYS, time.monotonic() - began), flush=True)
    return side


def bench():
    # The settings of a machine of its own, as far as they bear on what is measured.
    with postgres.Cluster(durable=True, settings={"shared_buffers": "256MB", "max_wal_size": "4GB"}) as cluster:
        sides = {"SQLite": Side(FEW), "PostgreSQL": Side(FEW, cluster)}
        try:
            in_use(*sides.values())
            creation(*sides.values())
            for kind, few in sides.items():
                many = filled(few.cluster)
                try:
                    zipf(few, many, kind)
                finally:
                    many.stop()
                    many.remove()
        finally:
            for side in sides.values():
                side.stop()


bench()
