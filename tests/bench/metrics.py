"""make bench-metrics: createsubtoken of a server that counts what it answers (the setting metrics), and is asked for it
each second, beside one that does not: two servers of each kind, in turns; medians of the rounds are printed.
usage: metrics.py BUILD [ROUNDS]"""
import contextlib, os, re, statistics, sys, threading, urllib.request

sys.argv[1:] = sys.argv[1:] or ["build"]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else None
import load
from common import BRIEF, brief, verdict
import support

ROUNDS = ROUNDS or brief(1, 25)
load.SECONDS = 1  # short turns: what else the machine does is the same for both
WANTED = 0.99


class Scrape:
    """GET /metrics once a second, from when it is entered until it is left."""

    def __init__(self, port):
        self.url = "http://127.0.0.1:%d/metrics" % port
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.bytes = 0

    def run(self):
        while True:
            with urllib.request.urlopen(self.url, timeout=30) as answer:
                self.bytes = len(answer.read())
            if self.over.wait(1):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *ignored):
        self.over.set()
        self.thread.join()


def measure(server, key, port):
    """Requests a second, and microseconds of processor time a request."""
    with Scrape(port) if port is not None else contextlib.nullcontext():
        rate, _, cpu = load.measured([server.process.pid], server.port, load.QUERY, key)
    return rate, cpu


def start(counts):
    """A server, its key, and where it is scraped."""
    server = support.Server(config={"metrics_listen": "127.0.0.1:0"} if counts else {"metrics": False})
    key = support.make_key(server.data, "account,progression")["key"]
    server.start()
    found = re.search(r'"metrics_listening","detail":"http://[^"]*:(\d+)"', server.log())
    return server, key, int(found.group(1)) if counts else None


def compare(servers):
    """{counts: [(rate, processor time)]} of each round, of all servers that count or do not."""
    rounds = {True: [], False: []}
    for r in range(ROUNDS + (not BRIEF)):  # the first is not counted
        first = r % len(servers)
        order = (servers[first:] + servers[:first])[::1 if r % 2 == 0 else -1]
        taken = {True: [], False: []}
        for server in order:
            taken[server[2] is not None].append(measure(*server))
        for counts, each in taken.items():
            rounds[counts].append([statistics.mean(column) for column in zip(*each)])
    return rounds[True][not BRIEF:], rounds[False][not BRIEF:]


def main():
    # Two of each: of two servers that do the same, one is up to a tenth faster, by where its memory lies.
    servers = [start(counts) for counts in (brief([True, False], [True, False, False, True]))]
    on, off = compare(servers)
    for server, _, _ in servers:
        server.stop()
    ratio = statistics.median(a[0] / b[0] for a, b in zip(on, off))
    cpu = statistics.median(a[1] / b[1] for a, b in zip(on, off))
    print("\ncreatesubtoken with metrics, which are asked for each second, and without: %d keep-alive connections,\n"
          "%d rounds of %d s" % (load.CONNECTIONS, ROUNDS, load.SECONDS))
    print("%9s %9s %7s %9s   %8s %8s %7s" % ("on/s", "off/s", "ratio", "wanted", "us CPU", "off", "ratio"))
    print("%9.0f %9.0f %7.3f %9.2f   %8.2f %8.2f %7.3f  %s" % (
        statistics.median(a[0] for a in on), statistics.median(b[0] for b in off), ratio, WANTED,
        statistics.median(a[1] for a in on), statistics.median(b[1] for b in off), cpu, verdict(ratio >= WANTED)))


main()
