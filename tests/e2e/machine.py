"""How busy the machine is, for the few tests that hold a program to a limit of time. Such a limit is for a machine of
the program's own; where others want the processors too, all takes as many times longer as there are threads for each."""
import os, threading, time

_samples = []  # (when, threads that run or want to, for each processor)


def _watch():
    while True:
        with open("/proc/loadavg") as f:
            runnable = int(f.read().split()[3].split("/")[0])
        _samples.append((time.monotonic(), runnable / os.cpu_count()))
        time.sleep(0.05)


threading.Thread(target=_watch, daemon=True).start()


def alone(began):
    """How many seconds of a machine of its own are over since then, by time.monotonic()."""
    over = time.monotonic() - began
    shares = [share for when, share in _samples[-40 - int(over * 40):] if when >= began]
    return over / max(1.0, sum(shares) / len(shares) if shares else 1.0)
