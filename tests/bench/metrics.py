"""make bench-metrics: createsubtoken of a server that counts what it answers (the setting metrics), and is asked for it
each second, beside one that does not. Two servers, in turns, of which each goes first as often; medians are printed.
usage: metrics.py BUILD [ROUNDS]"""
import os, statistics, sys, threading, urllib.request

sys.argv[1:] = sys.argv[1:] or ["build"]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else None
import load
from common import BRIEF, brief, verdict
import support

ROUNDS = ROUNDS or brief(1, 31)
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
    if port is None:
        rate, _, cpu = load.measured([server.process.pid], server.port, load.QUERY, key)
        return rate, cpu
    with Scrape(port):
        rate, _, cpu = load.measured([server.process.pid], server.port, load.QUERY, key)
    return rate, cpu


def main():
    counting = support.Server(config={"metrics_listen": "127.0.0.1:0"})
    silent = support.Server(config={"metrics": False})
    keys = [support.make_key(s.data, "account,progression")["key"] for s in (counting, silent)]
    with counting, silent:
        port = int(counting.log().split('"metrics_listening"')[1].split('"}')[0].rpartition(":")[2])
        sides = [(counting, keys[0], port, []), (silent, keys[1], None, [])]
        for r in range(ROUNDS + (not BRIEF)):  # the first is not counted
            for server, key, scraped, rounds in sides if r % 2 == 0 else sides[::-1]:
                rounds.append(measure(server, key, scraped))
    on, off = (rounds[not BRIEF:] for _, _, _, rounds in sides)
    ratio = statistics.median(a[0] / b[0] for a, b in zip(on, off))
    cpu = statistics.median(a[1] / b[1] for a, b in zip(on, off))
    print("\ncreatesubtoken with metrics, which are asked for each second, and without: %d keep-alive connections,\n"
          "%d rounds of %d s" % (load.CONNECTIONS, ROUNDS, load.SECONDS))
    print("%-10s %9s %9s %7s %9s   %8s %8s %7s" % ("", "on/s", "off/s", "ratio", "wanted", "us CPU", "off", "ratio"))
    print("%-10s %9.0f %9.0f %7.3f %9.2f   %8.2f %8.2f %7.3f  %s" % (
        "", statistics.median(a[0] for a in on), statistics.median(b[0] for b in off), ratio, WANTED,
        statistics.median(a[1] for a in on), statistics.median(b[1] for b in off), cpu, verdict(ratio >= WANTED)))


main()
