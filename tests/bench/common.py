"""What the benchmarks share: programs that take turns, and whether this is a brief run, which shows
that each part works and measures nothing."""
import os, signal, subprocess, tempfile, time

BRIEF = os.environ.get("BENCH_BRIEF", "") not in ("", "0")
CORE = max(os.sched_getaffinity(0))
ROUND_NS = 1_000_000 if BRIEF else 30_000_000
WARM_NS = 0 if BRIEF else 400_000_000  # long enough for what is compiled while it runs


def brief(short, usual):
    return short if BRIEF else usual


def verdict(met):
    """A brief run has measured nothing that could be judged."""
    return "" if BRIEF else "met" if met else "MISSED"


def last_line(text, otherwise="no message"):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else otherwise


def thread_states(pid):
    """One letter for each thread of a process: T is stopped."""
    states = ""
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/stat" % (pid, task)) as f:
                states += f.read().rpartition(")")[2].split()[0]
        except OSError:  # it has just ended
            pass
    return states


class Program:
    """A child that does its work as often as it is told to, and says how long it took: a number a
    line on its standard input, nanoseconds on its standard output. Between its turns it is stopped,
    with all of its threads: what a garbage collector or compiler has left to do is done in its own
    time."""

    def __init__(self, name, version, argv, pinned=True):
        self.name, self.version = name, version
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            preexec_fn=(lambda: os.sched_setaffinity(0, {CORE})) if pinned else None)
        self.n, self.taken = 1, []

    def run(self, n):
        """A turn."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write("%d\n" % n)
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise SystemExit("%s: %s" % (self.name.strip(), last_line(self.errors.read())))
        self.pause()
        return int(line)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 5
        while set(thread_states(self.process.pid)) != {"T"}:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit("%s cannot be stopped while others are timed" % self.name.strip())
            time.sleep(0.0002)

    def calibrate(self, multiple, round_ns=ROUND_NS):
        """n is a multiple of the number of tokens: each round has them all equally often."""
        n, spent, took = multiple, 0, 0
        while spent < WARM_NS or took < round_ns // 3:
            took = max(self.run(n), 1)
            spent += took
            n = max(1, min(4 * n, n * round_ns // took))
        self.n = max(1, n // multiple) * multiple

    def round(self):
        self.taken.append(self.run(self.n) / self.n)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()


def interleave(programs, rounds):
    """Each goes first in its turn."""
    for r in range(rounds):
        first = r % len(programs)
        for p in programs[first:] + programs[:first]:
            p.round()
