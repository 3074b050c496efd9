"""What the benchmarks rest on: a program is stopped while another one is timed, and ours refuses what
it should. That each part of `make bench` works is for `make bench-smoke` to show."""
import os, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from support import *
import common, tokens

# It ends without giving back what it holds.
ENV = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
VERIFY = os.path.join(os.path.dirname(PROGRAM), "bench", "verify")

# As a program of Node is: its helper threads go on when it has answered.
BUSY = """
import sys, threading
def spin():
    while True:
        sum(range(1000))
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
for line in sys.stdin:
    print(int(line), flush=True)
"""


def cpu_ns(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0])
    return total


@test
def a_program_is_stopped_between_its_turns():
    """F1: also its helper threads, which would run while the next program is timed."""
    program = common.Program("busy", "", [sys.executable, "-c", BUSY])
    try:
        for turn in range(1, 6):
            before = cpu_ns(program.process.pid)
            assert program.run(turn) == turn
            assert common.thread_states(program.process.pid) == "TTTT"
            after = cpu_ns(program.process.pid)
            assert after > before  # it has had its turn
            time.sleep(0.1)
            assert cpu_ns(program.process.pid) == after
    finally:
        program.stop()
    assert program.process.returncode == 0


@test
def our_own_row_refuses_what_it_should():
    """F1: an expired token of its own was told as one that is accepted, and ended `make bench`."""
    directory = scratch()
    made = tokens.Tokens(directory)
    assert set(made.bad) >= {"an expired token", "another secret", "HS512"}
    for mode in ("verify", "verify-portable", "again"):
        for what, path in made.bad.items():
            p = subprocess.run([VERIFY, mode, path, made.secret], input="1\n", capture_output=True,
                               text=True, env=ENV)
            assert p.returncode == 1 and "accepts" not in p.stderr, (what, p.returncode, p.stderr)
        p = subprocess.run([VERIFY, mode, made.one, made.secret], input="1\n", capture_output=True,
                           text=True, env=ENV)
        assert p.returncode == 0 and int(p.stdout) > 0, (p.returncode, p.stderr)


main()
