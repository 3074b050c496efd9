"""What the benchmarks of keys share: a server with so many keys, on either kind of store, and what is measured of it."""
import json, os, re, shutil, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from common import BRIEF, brief, verdict
import key_rows, postgres, support

support.Server.threads = None  # as many as users have

SECONDS = brief(1, 2)
CONNECTIONS = 64
PATHS = {"tokeninfo": "/v2/tokeninfo", "createsubtoken": "/v2/createsubtoken?permissions=account%2Cprogression"}


class Side:
    """config: of the server. cluster: of the store on PostgreSQL; None: SQLite."""

    def __init__(self, count, cluster=None, **config):
        self.count, self.cluster = count, cluster
        self.data = support.data_dir()
        if cluster:
            self.database = cluster.database()
            config["store"] = cluster.uri(self.database)
        os.makedirs(self.data, mode=0o700, exist_ok=True)
        self.configure(**config)
        self.admin = support.make_key(self.data, "keys,audit,account")["key"]
        self.fill()
        self.start()
        self.forget()

    def configure(self, **config):
        """Where commands find it, too."""
        with open(os.open(os.path.join(self.data, "config.json"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
            f.write(json.dumps({"keys_per_owner": 1000000, **config}))

    def start(self):
        self.server = support.Server(self.data).start()
        self.pid = self.server.process.pid

    def fill(self):
        persons = max(self.count // 100, 1)
        if self.cluster:
            key_rows.fill_postgres(self.cluster, self.database, self.count, persons)
            return
        db = key_rows.connect(self.data)
        (key_rows.fill_bulk if self.count >= key_rows.BULK else key_rows.fill)(db, self.count, persons)
        self.fill_more(db, persons)
        db.close()

    def fill_more(self, db, persons):
        """Of a benchmark that asks for more than keys."""

    def forget(self):
        self.rates = {what: [] for what in PATHS}
        self.cpu = {what: [] for what in PATHS}

    def cpu_time(self):
        """Seconds that the server has had of any processor."""
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """What of it is in memory, in 10^6 bytes."""
        with open("/proc/%d/status" % self.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024 / 1e6

    def reads(self):
        """System calls that read, of which a request that needs no database makes none of a file."""
        with open("/proc/%d/io" % self.pid) as f:
            return int(re.search(r"syscr: (\d+)", f.read()).group(1))

    def ask(self, what, among, draw="any", of=None, seconds=SECONDS):
        """(requests a second, requests)"""
        p = subprocess.run(["wrk", "--timeout", "60s", "-t2", "-c%d" % CONNECTIONS, "-d%ds" % seconds, "-s",
                            os.path.join(HERE, "keys.lua"), "http://127.0.0.1:%d" % self.server.port,
                            "--", str(among), PATHS[what], draw, str(of if of is not None else among)],
                           capture_output=True, text=True, check=True)
        assert "Non-2xx" not in p.stdout and "Socket errors" not in p.stdout, p.stdout
        return (float(re.search(r"Requests/sec:\s+([\d.]+)", p.stdout).group(1)),
                int(re.search(r"(\d+) requests in", p.stdout).group(1)))

    def ask_for_each(self, count):
        """Once for each of the first keys, at least: all are in the cache that has room for them."""
        asked = 0
        while asked < count * 1.1:
            # From a little before where the slower of the two threads may have come to.
            asked += self.ask("tokeninfo", count, "each", asked * 24 // 25, brief(1, 10))[1]

    def measure(self, what, among, draw="any", of=None):
        before = self.cpu_time()
        rate, requests = self.ask(what, among, draw, of)
        self.rates[what].append(rate)
        self.cpu[what].append((self.cpu_time() - before) * 1e6 / requests)

    def stop(self):
        self.server.stop(expect=None)

    def remove(self):
        """What it has on the disk, which may be gigabytes."""
        shutil.rmtree(self.data)
        if self.cluster:
            self.cluster.psql('DROP DATABASE "%s"' % self.database)


def print_ratios(name, first, second, ratios, wanted=""):
    ratios = sorted(ratios)
    print("%-30s %12.1f %12.1f   median %.2f, from %.2f to %.2f%s"
          % (name, statistics.median(first), statistics.median(second), statistics.median(ratios),
             ratios[0], ratios[-1], wanted))


def judged(ratios, most=None, least=None):
    """What is wanted of a median, and whether it is met."""
    median = statistics.median(ratios)
    said = "at most %.2f" % most if most is not None else "at least %.2f" % least
    return "  (%s) %s" % (said, verdict(median <= most if most is not None else median >= least))


def compare(first, second, title, rounds, draws, most=None, least=None):
    """In turns. first, second: (side, name). draws: of each the arguments of measure. most: of the time that a request
    of the second takes by that of the first; least: of the second's requests a second by the first's."""
    sides = (first[0], second[0])
    for side, draw in zip(sides, draws):
        if not BRIEF:  # the first is not counted
            side.measure("tokeninfo", *draw)
        side.forget()
    for _ in range(rounds):
        for what in PATHS:
            for side, draw in zip(sides, draws):
                side.measure(what, *draw)
    print("\n%s; %d keep-alive connections, %d rounds of %d s" % (title, CONNECTIONS, rounds, SECONDS))
    print("%-30s %12s %12s   %s" % ("", first[1], second[1], "time of the second by the first's" if most is not None
                                    else "requests of the second by the first's"))
    for what in PATHS:
        one, other = sides[0].rates[what], sides[1].rates[what]
        ratios = [a / b if most is not None else b / a for a, b in zip(one, other)]
        print_ratios(what + ", a second", one, other, ratios, judged(ratios, most, least))
        print_ratios("  the server's CPU, us", sides[0].cpu[what], sides[1].cpu[what],
                     [b / a for a, b in zip(sides[0].cpu[what], sides[1].cpu[what])])
    sys.stdout.flush()
