"""Load on a server by wrk, and the processor's time that it costs, for server.py and metrics.py. sys.argv[1] is the build;
afterwards it is the program, as support.py wants it."""
import os, re, subprocess, sys

from common import brief

SECONDS = brief(1, 3)
CONNECTIONS = 64
BUILD = sys.argv[1]
sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

QUERY = ("/v2/createsubtoken?expire=2027-11-22T00%3A41%3A48.592223424%2B00%3A00"
         "&permissions=account%2Cprogression&urls=%2Fv2%2Ftokeninfo%2C%2Fv2%2Fcreatesubtoken")

MILLISECONDS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}


def wrk(port, path, credential, headers=()):
    """Requests a second, and the 99th percentile of their latencies in ms."""
    named = [a for h in ("Authorization: Bearer " + credential,) + tuple(headers) for a in ("-H", h)]
    p = subprocess.run(["wrk", "--latency", "--timeout", "60s", "-t2", "-c%d" % CONNECTIONS,
                        "-d%ds" % SECONDS] + named + ["http://127.0.0.1:%d%s" % (port, path)],
                       capture_output=True, text=True, check=True)
    assert "Non-2xx" not in p.stdout and "Socket errors" not in p.stdout, p.stdout
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\s", p.stdout)
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", p.stdout).group(1)),
            float(p99.group(1)) * MILLISECONDS[p99.group(2)])


def cpu_seconds(pids):
    """User and system time of all threads, by the scheduler's own clock."""
    spent = 0
    for pid in pids:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                spent += int(f.read().split()[0])
    return spent / 1e9


def measured(pids, *args):
    before = cpu_seconds(pids)
    rate, p99 = wrk(*args)
    return rate, p99, (cpu_seconds(pids) - before) / (rate * SECONDS) * 1e6
