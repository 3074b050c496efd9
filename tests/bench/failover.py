"""make bench: the primary is killed and its synchronous standby promoted: how long until an issuer answers a change
again, from the end of the promotion? Two issuers under the load of four writers, each of which asks either of them.
usage: failover.py BUILD [ROUNDS]"""
import os, random, sys, threading

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import brief, verdict

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 10)
WRITERS = 4
WANTED = 2.0
sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from fleet import *


class Writers:
    """Keys are made all the time; answered: when the last one was."""

    def __init__(self, fleet):
        self.fleet, self.answered, self.ended, self.failures = fleet, 0.0, threading.Event(), []
        self.threads = [threading.Thread(target=self.go, args=(i,)) for i in range(WRITERS)]

    def go(self, number):
        try:
            call = Caller(self.fleet.issuers, self.fleet.manager, random.Random(number))
            while not self.ended.is_set():
                verdict, _, _ = call("POST", "/v2/keys", {"name": "k", "permissions": ["account"]})
                if verdict == "made":
                    self.answered = time.time()
                time.sleep(0.01)
        except Exception as e:
            self.failures.append(repr(e))

    def __enter__(self):
        [t.start() for t in self.threads]
        wait(lambda: self.answered or self.failures, "the first change")
        return self

    def __exit__(self, *error):
        self.ended.set()
        [t.join() for t in self.threads]
        assert not self.failures, self.failures


def main():
    took = []
    with Fleet(edges=1, durable=brief(False, True)) as fleet, Writers(fleet) as writers:
        def first(promoted):
            wait(lambda: writers.answered > promoted or writers.failures, "a change after the promotion")
            took.append(writers.answered - promoted)
        for _ in range(ROUNDS):
            fleet.fail_over(first)
            time.sleep(0.5)
    took.sort()
    print("from a standby's promotion to the first change that is answered again, %d times; 2 issuers, %d writers" % (
        ROUNDS, WRITERS))
    print("median %.2f s, max %.2f s (wanted: at most %g s): %s" % (
        took[len(took) // 2], took[-1], WANTED, verdict(took[-1] <= WANTED)))


main()
