"""Hours of ordinary work, while secrets rotate, settings are read again, keys end, logs are rotated, a disk fills and is
freed, and databases fail over: nothing is answered wrongly, nothing grows, and every counter adds up. Here for seconds;
`make soak SOAK_HOURS=8` is the long form, which also says how latency and memory went."""
from fleet_model import *
from soak import *

SECONDS = float(os.environ.get("SUBTOKEN_SOAK") or 10)
LONG = SECONDS >= 1800  # before, what is filled for the first time would be taken for what grows
LOAD = 0.3  # of the machine's processors, by all that we run
SETTLED = 0.1  # of the time, before memory is compared
GROWTH, BASE = 1.05, 1024  # of what was there, and KiB
COPIES = 4  # of the list of what is revoked that a process may hold: the list grows until its first entries leave it, after an hour


class Watch(threading.Thread):
    """Looks at processes again and again, and paces the clients so that all of it takes LOAD."""

    def __init__(self, named, lists, clients=()):
        super().__init__(daemon=True)
        self.named, self.lists, self.clients, self.pace, self.done = named, lists, clients, 40.0, threading.Event()
        self.seen, self.latency, self.failure = [], [], None

    def run(self):
        try:
            last, used = time.monotonic(), self.used()
            while not self.done.wait(max(0.5, min(10, SECONDS / 40))):
                now, total = time.monotonic(), self.used()
                load = (total - used) / (now - last) / os.cpu_count()
                last, used = now, total
                self.pace = min(400, max(20, self.pace * min(2, max(0.5, LOAD / max(load, 0.01)))))
                self.seen.append((max(os.path.getsize(name) for name in self.lists) / 1024,
                                  {name: memory_of(pid) for name, pid in self.named().items()}))
                window = sorted(l for c in self.clients for l in self.taken(c))
                if window:
                    self.latency.append((now, len(window), window[len(window) // 2], window[int(len(window) * 0.99)]))
        except (OSError, TypeError) as e:  # a process went while we looked: its own test says why
            self.failure = repr(e)

    @staticmethod
    def taken(client):
        taken, client.latency = client.latency, []
        return taken

    def used(self):
        """Seconds of processor time: ours, and of all that we started."""
        total = time.process_time()
        for pid in self.named().values():
            fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total


def flat(watch):
    """Of each process that was there all the time, how much memory it had in the first third and in the last, how many
    descriptors and threads; asserted where it ran for long enough."""
    seen = watch.seen[int(len(watch.seen) * SETTLED):]
    assert len(seen) >= 6, (len(seen), watch.failure)
    thirds = seen[:len(seen) // 3], seen[-(len(seen) // 3):]
    lists = [statistics.median(size for size, _ in third) for third in thirds]
    print("# what edges have of the revoked: %d KiB, then %d" % tuple(lists), flush=True)
    wrong = []
    for name in sorted(seen[0][1]):
        if not all(name in processes for _, processes in seen):
            continue
        first, last = ([processes[name] for _, processes in third] for third in thirds)
        memory = [statistics.median(x[0] for x in part) for part in (first, last)]
        files = [max(x[1] for x in part) for part in (first, last)]
        threads = [max(x[2] for x in part) for part in (first, last)]
        print("# %-10s %6d KiB, then %6d; descriptors %d, then %d; threads %d, then %d" % (name, *memory, *files, *threads), flush=True)
        if memory[1] > memory[0] * GROWTH + BASE + COPIES * max(0, lists[1] - lists[0]) or files[1] > files[0] + 4 or threads[1] > threads[0]:
            wrong.append(name)
    assert not (LONG and wrong), wrong


@test
def a_server_and_its_edge_stay_as_they_are():
    done = threading.Event()
    with Site() as site:
        before, before_edge = site.metrics(), site.nginx_metrics()
        watch = Watch(site.processes, [site.nginx.feed.path])
        clients = [Client(site, i, lambda: watch.pace, done) for i in range(6)]
        watch.clients = clients
        for thread in [watch, *clients]:
            thread.start()
        end, happened = time.monotonic() + SECONDS, collections.Counter()
        between = max(0.5, min(30, SECONDS / 16))

        def calm():
            until = time.monotonic() + between
            while time.monotonic() < until and not failures():
                time.sleep(0.05)

        def failures():
            return [c.failure for c in clients if c.failure]
        kinds = itertools.cycle([site.reload, site.rotate_secret, site.rotate_logs] + [lambda: site.fill_disk(calm)] * site.small)
        names = itertools.cycle(["reload", "secret", "logs"] + ["full disk"] * site.small)
        while time.monotonic() < end and not failures():
            calm()
            next(kinds)()
            happened[next(names)] += 1
        done.set()
        for c in clients:
            c.join(60)
        assert not failures(), failures()[0]
        watch.done.set()
        watch.join(30)
        wait(lambda: total_of(site.metrics(), before) >= sum(sum(c.answered.values()) for c in clients), "the last answer is counted")
        requests = adds_up(before, site.metrics(), clients)
        # nginx counts a decision for each request of a client, and nothing else asks it.
        edge = sum((c.edge for c in clients), collections.Counter())
        decided = {key: value for key, value in site.nginx_metrics().items() if key[0] == "subtoken_nginx_decisions_total"}
        count = sum(value - before_edge.get(key, 0) for key, value in decided.items())
        assert count == sum(edge.values()), (count, edge)
        print("# %s; %d requests of the server, %d of nginx %s" % (dict(happened), requests, count, dict(edge)), flush=True)
        flat(watch)
        for part, rows in (("first", watch.latency[:len(watch.latency) // 3]), ("last", watch.latency[-(len(watch.latency) // 3):])):
            if rows:
                print("# %s third: %d requests, median %.2f ms, 99 of 100 within %.1f ms" % (
                    part, sum(r[1] for r in rows), 1000 * statistics.median(r[2] for r in rows), 1000 * statistics.median(r[3] for r in rows)), flush=True)


def total_of(metrics, before):
    return sum(value - before.get(key, 0) for key, value in metrics.items()
               if key[0] == "subtoken_http_requests_total" and dict(key[1])["route"] in ROUTES)


@test
def issuers_and_edges_stay_as_they_are_while_databases_fail():
    if not LONG:
        return "test_failover.py does this for seconds; make soak for hours"
    with Fleet(edges=2, store_cache=CACHE) as fleet:
        model, happened = Model(), collections.Counter()

        def processes():
            named = {"issuer %d" % i.number: i.server.process.pid for i in fleet.issuers}
            named.update(("pull %d" % e.number, e.pull.pid) for e in fleet.edges.all)
            named.update(("worker %d" % i, pid) for i, pid in enumerate(sorted(fleet.edges.nginx.workers())))
            return named
        watch = Watch(processes, [e.file for e in fleet.edges.all])

        def faults():
            watch.start()
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and not model.failures:
                until = time.monotonic() + min(120, SECONDS / 20)
                while time.monotonic() < until and not model.failures:
                    time.sleep(0.1)
                if not model.failures:
                    fleet.fail_over()
                    happened["failover"] += 1
            watch.done.set()
        under_load(fleet, model, faults, writers=2, pause=1.0)
        watch.join(30)
        print("# %s; %s; %d good, %d ended" % (dict(happened), model.counts, *model.settled(fleet)), flush=True)
        flat(watch)


main()
