"""make bench-metrics: createsubtoken of a server that counts what it answers, and is asked for that each second, and of
the same process when it does not (the setting metrics, switched by a reload before each turn); medians of the rounds are
printed. usage: metrics.py BUILD [ROUNDS]"""
import contextlib, os, signal, statistics, sys, threading, urllib.request

sys.argv[1:] = sys.argv[1:] or ["build"]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else None
import load
from common import BRIEF, brief, verdict
import support

support.Server.threads = None  # as many as users have

ROUNDS = ROUNDS or brief(1, 25)
load.SECONDS = 1  # short turns: what else the machine does is the same for both
WANTED = 0.99


class Scrape:
    """GET /metrics once a second, from when it is entered until it is left."""

    def __init__(self, server, key):
        self.request = urllib.request.Request(server.url + "/metrics", headers={"Authorization": "Bearer " + key})
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while True:
            with urllib.request.urlopen(self.request, timeout=30) as answer:
                answer.read()
            if self.over.wait(1):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *ignored):
        self.over.set()
        self.thread.join()


def switch(server, counts):
    """The same process, and from now on it counts or does not."""
    before = server.log().count('"reloaded"')
    server.write_config({"metrics": counts})
    server.process.send_signal(signal.SIGHUP)
    support.wait(lambda: server.log().count('"reloaded"') > before, "it is reloaded")


def measure(server, keys, counts):
    """Requests a second, and microseconds of processor time a request."""
    switch(server, counts)
    with Scrape(server, keys["metrics"]) if counts else contextlib.nullcontext():
        rate, _, cpu = load.measured([server.process.pid], server.port, load.QUERY, keys["account,progression"])
    return rate, cpu


def main():
    with support.Server(config={"metrics": True}) as server:
        keys = {names: support.make_key(server.data, names)["key"] for names in ("metrics", "account,progression")}
        rounds = []
        for r in range(ROUNDS + (not BRIEF)):  # the first is not counted
            turns = {counts: measure(server, keys, counts) for counts in ((True, False) if r % 2 == 0 else (False, True))}
            rounds.append((turns[True], turns[False]))
    rounds = rounds[not BRIEF:]
    ratio = statistics.median(on[0] / off[0] for on, off in rounds)
    cpu = statistics.median(on[1] / off[1] for on, off in rounds)
    print("\ncreatesubtoken with metrics, which are asked for each second, and without: one process, %d keep-alive\n"
          "connections, %d rounds of %d s each" % (load.CONNECTIONS, ROUNDS, load.SECONDS))
    print("%9s %9s %7s %9s   %8s %8s %7s" % ("on/s", "off/s", "ratio", "wanted", "us CPU", "off", "ratio"))
    print("%9.0f %9.0f %7.3f %9.2f   %8.2f %8.2f %7.3f  %s" % (
        statistics.median(on[0] for on, _ in rounds), statistics.median(off[0] for _, off in rounds), ratio, WANTED,
        statistics.median(on[1] for on, _ in rounds), statistics.median(off[1] for _, off in rounds), cpu,
        verdict(ratio >= WANTED)))


main()
