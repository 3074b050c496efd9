"""kill -9 at random moments of key creation and deletion by four writers: what was
acknowledged holds, what was not is whole or absent, and nothing needs repair."""
import http.client, itertools, random, threading
import stores
from support import *

KILLS = int(os.environ.get("SUBTOKEN_KILLS") or (60 if os.environ.get("SUBTOKEN_TEST_STORE") else 120))
WRITERS = 4
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))


KEY = re.compile(rb"([0-9A-F-]{72})\n")


def start(data, *words):
    return subprocess.Popen([PROGRAM, *words, "--data", data], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def in_the_store(process):
    """Had it the write-ahead log open, or a connection? It stands still while we look."""
    process.send_signal(signal.SIGSTOP)
    base = "/proc/%d/fd" % process.pid
    try:
        files = [os.readlink(os.path.join(base, fd)) for fd in os.listdir(base)]
        return any(f.startswith("socket:") if STORE else f.endswith("-wal") for f in files)
    except OSError:
        return False


def kill_after(process, delay):
    """(was it killed, was it in the store, exit code, stdout)"""
    time.sleep(delay)
    inside = in_the_store(process)
    process.kill()
    out, err = process.communicate(timeout=30)
    assert b"Sanitizer" not in err and b"runtime error" not in err, err
    assert process.returncode in (0, -9), (process.returncode, err)
    return process.returncode == -9, inside, process.returncode, out


class Ledger:
    """What has been acknowledged. A key whose deletion has begun is in neither set until
    its deletion is acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.live, self.deleted, self.unknown = {}, {}, set()  # id: whole key
        self.kills = self.inside = self.creates = 0
        self.failure = None

    def snapshot(self):
        with self.lock:
            return dict(self.live), dict(self.deleted)


def check(data, ledger):
    """Hold the ledger against the store, while others write."""
    before, gone = ledger.snapshot()
    rows, revoked = stores.keys_and_revoked(data)
    rows = {r[0]: r for r in rows}
    after, _ = ledger.snapshot()
    for id, key in before.items():
        if id in after:
            assert id in rows and rows[id][5] is None, "lost: " + id
            assert rows[id][1] == hashlib.sha256(key.encode()).hexdigest(), "another key: " + id
    for id in gone:
        assert id in rows and rows[id][5] is not None, "came back: " + id
    for id, digest, sub, name, permissions, deleted_at in rows.values():
        assert len(id) == 36 and len(digest) == 64 and len(sub) == 43, "half made: " + id
        assert (name, permissions) == ("killed", "account,wallet"), "half made: " + id
        assert (deleted_at is not None) == (sub in revoked), "half deleted: " + id


def listed(data):
    code, out, err = run("key", "list", "--json", data=data)
    assert code == 0, err
    return {r["id"] for r in objects(out)}


def enough(ledger, counts):
    """Kills, acknowledged changes, and questions to the server."""
    return ledger.kills >= KILLS and len(ledger.deleted) >= 5 and counts[0] > 20 and counts[1] > 5


def writer(data, ledger, durations, dice, counts):
    while not enough(ledger, counts) and ledger.failure is None:
        with ledger.lock:
            id = None
            if len(ledger.live) > 12 or ledger.live and dice.random() < 0.45:
                id = dice.choice(list(ledger.live))
                key = ledger.live.pop(id)
        if id is None:
            process = start(data, "key", "create", "--name", "killed", "--permissions", "account,wallet")
            delay = dice.uniform(0.1, 1.05) * durations[0]
        else:
            process = start(data, "key", "delete", id)
            delay = dice.uniform(0.1, 1.05) * durations[1]
        if dice.random() < 0.25:
            delay = 30  # let it end: otherwise there is little to lose
        if delay == 30:
            out, err = process.communicate(timeout=60)
            killed, inside, code = False, False, process.returncode
            assert code == 0, (code, err)
        else:
            killed, inside, code, out = kill_after(process, delay)
        with ledger.lock:
            whole = KEY.fullmatch(out)
            if id is not None and code == 0:
                ledger.deleted[id] = key
            elif id is not None:
                ledger.unknown.add(key)
            elif whole:  # printed is acknowledged, whatever came after
                ledger.live[whole[1][:36].decode()] = whole[1].decode()
                ledger.creates += 1
            else:
                assert killed and code == -9, (code, out)
            if killed:
                ledger.kills += 1
                ledger.inside += inside
        if killed:
            check(data, ledger)


def guarded(ledger, f, *args):
    try:
        f(*args)
    except BaseException:
        ledger.failure = traceback.format_exc()


def status(server, key):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/v2/tokeninfo", headers={"Authorization": "Bearer " + key})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def reader(server, ledger, done, counts):
    """The running server, asked all the time, says what was acknowledged."""
    dice = random.Random(SEED + 99)
    while not done.is_set() and ledger.failure is None:
        before, gone = ledger.snapshot()
        for id in dice.sample(sorted(before), min(8, len(before))):
            got = status(server, before[id])
            with ledger.lock:
                assert got == 200 or id not in ledger.live, "the server refuses %s: %d" % (id, got)
            counts[0] += 1
        for id in dice.sample(sorted(gone), min(4, len(gone))):
            refused(server, gone[id])
            counts[1] += 1
        time.sleep(0.005)


def refused(server, key):
    """401; of a deletion that another process has made, in PostgreSQL, soon."""
    until = time.monotonic() + STALENESS
    while (got := status(server, key)) != 401 and time.monotonic() < until:
        time.sleep(0.02)
    assert got == 401, "the server takes a deleted key: %d" % got


def settled(server, ledger):
    ids = listed(server.data)
    assert set(ledger.live) <= ids and not set(ledger.deleted) & ids
    for id, key in ledger.live.items():
        assert status(server, key) == 200, id
    for id, key in ledger.deleted.items():
        refused(server, key)
    for key in ledger.unknown:
        if key[:36] in ids:
            assert status(server, key) == 200, key[:36]
        else:
            refused(server, key)


def duration(data, *words):
    took = []
    for _ in range(9):
        began = time.time()
        p = start(data, *words)
        p.communicate()
        took.append(time.time() - began)
    return sorted(took)[len(took) // 2]


@test
def a_killed_writer_loses_nothing_acknowledged():
    print("# SEED=%d" % SEED, flush=True)
    ledger = Ledger()
    with Server() as server:
        data = server.data
        make = ["key", "create", "--name", "killed", "--permissions", "account,wallet"]
        # A writer is not alone: measured with as many at a time.
        sample = [[], []]

        def measure():
            sample[0].append(duration(data, *make))
            sample[1].append(duration(data, "key", "delete", "0" * 36))

        threads = [threading.Thread(target=measure) for _ in range(WRITERS)]
        [t.start() for t in threads], [t.join() for t in threads]
        durations = [max(s) for s in sample]
        durations[1] = durations[0]  # the delete above found nothing to write
        done, counts = threading.Event(), [0, 0]
        watch = threading.Thread(target=guarded, args=(ledger, reader, server, ledger, done, counts))
        watch.start()
        writers = [threading.Thread(target=guarded, args=(
            ledger, writer, data, ledger, durations, random.Random(SEED + i), counts)) for i in range(WRITERS)]
        [t.start() for t in writers], [t.join() for t in writers]
        done.set()
        watch.join()
        assert ledger.failure is None, ledger.failure
        check(data, ledger)
        settled(server, ledger)
        # The server itself, too, and nothing is to be done before the next start.
        server.process.kill()
        server.process.wait()
        server.stderr.close()
        server.start()
        settled(server, ledger)
        check(data, ledger)
        print("# a create took %.0f ms; %d killed, %d of them with the store open; %d created, %d deleted, "
              "%d deletions cut; the server was asked %d and %d times" % (
                  durations[0] * 1000, ledger.kills, ledger.inside, ledger.creates, len(ledger.deleted),
                  len(ledger.unknown), counts[0], counts[1]), flush=True)
        assert enough(ledger, counts) and ledger.creates > KILLS / 10
        assert ledger.inside >= KILLS / 5 or os.geteuid() != 0, "too few kills hit a write"
        # This test can fail: a key that was never made, a deletion that never was.
        there = make_key(data, "account,wallet", name="killed")["id"]
        for lie in ("live", "deleted"):
            other = Ledger()
            id = "F" * 36 if lie == "live" else there
            getattr(other, lie)[id] = id * 2
            try:
                check(data, other)
            except AssertionError:
                continue
            raise RuntimeError("the check of the " + lie + " checks nothing")
    assert run("key", "list", data=data)[0] == 0


def post(server, path, credential, body, kind="application/x-www-form-urlencoded"):
    """The status and body; None when the server was killed meanwhile."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("POST", path, body, {"Content-Type": kind, "Authorization": "Bearer " + credential})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None


class Lives:
    """What was answered until the server was killed: the secrets of a key in their order, and tokens that were revoked,
    each with one that was made from it."""

    def __init__(self, server, manager):
        self.server, self.manager, self.revoked, self.failure = server, manager, [], None
        self.secrets, self.numbers = [make_key(server.data, "account")["key"]], itertools.count()
        self.id = self.secrets[0][:36]

    def rotate(self):
        while got := post(self.server, "/v2/keys/%s/rotate" % self.id, self.manager, "{}", "application/json"):
            assert got[0] == 200, got
            self.secrets.append(json.loads(got[1])["key"])

    def subtoken(self, credential, number):
        """One of its own: two that are made of the same in one second are the same token."""
        urls = "urls=/v2/createsubtoken,/v2/tokeninfo,/number/%d" % number
        got = post(self.server, "/v2/createsubtoken", credential, urls)
        assert got is None or got[0] == 200, got
        return got and json.loads(got[1])["subtoken"]

    def revoke(self):
        while (token := self.subtoken(self.manager, n := next(self.numbers))) and (child := self.subtoken(token, n)) and \
                (got := post(self.server, "/oauth/revoke", self.manager, "token=" + token)):
            assert got == (200, "{}"), got
            self.revoked.append((token, child))

    def check(self):
        for token, child in self.revoked:
            assert status(self.server, token) == status(self.server, child) == 401, token
        assert run("verify", stdin=child, data=self.server.data)[0] == 1
        assert all(status(self.server, old) == 401 for old in self.secrets[:-1])
        # One more may have been made that nobody was told of; then nobody has the secret that is good.
        out = run("audit", "--json", "--limit", "1000", data=self.server.data, check=0)[1]
        lines = [line for line in map(json.loads, out.splitlines())
                 if (line["action"], line["target"]) == ("key.rotate", self.id)]
        cut = len(lines) - len(self.secrets) + 1
        assert cut in (0, 1) and status(self.server, self.secrets[-1]) == (401 if cut else 200), cut


@test
def a_killed_server_forgets_no_rotation_and_no_revoked_token():
    dice = random.Random(SEED + 3)
    server = SmallServer().start()
    manager = make_key(server.data, "keys,account")["key"]
    for _ in range(3 if STORE else 5):
        lives = Lives(server, manager)
        writers = [threading.Thread(target=guarded, args=(lives, f)) for f in (lives.rotate, lives.revoke, lives.revoke)]
        [w.start() for w in writers]
        wait(lambda: lives.failure or len(lives.revoked) >= 8 and len(lives.secrets) >= 5)
        time.sleep(dice.random() * 0.02)
        server.process.kill()
        server.process.wait()
        server.stderr.close()
        [w.join() for w in writers]
        assert lives.failure is None, lives.failure
        server.start()
        lives.check()
    server.stop()


@test
def a_killed_first_start_can_be_repeated():
    """A new DATA, cut at any moment of its making, is completed by whoever comes next."""
    dice = random.Random(SEED + 7)
    make = ["key", "create", "--name", "killed", "--permissions", "account,wallet"]
    fresh = [data_dir() for _ in range(5)]  # which takes long where each is a database
    began = time.time()
    for data in fresh:
        start(data, *make).communicate()
    took = (time.time() - began) / 5
    wanted = 8 if STORE else 40
    killed = tried = 0
    while killed < wanted and tried < 10 * wanted:
        tried += 1
        data = data_dir()
        process = start(data, *make)
        was, _, code, out = kill_after(process, dice.uniform(0.05, 1.05) * took)
        killed += was
        code, second, err = run(*make, data=data)
        assert code == 0, err
        ids = listed(data)
        if KEY.fullmatch(out):
            assert out[:36].decode() in ids
        assert second[:36] in ids and len(ids) <= 2, ids
        token = issue(data, second.strip())
        assert run("verify", data=data, stdin=token)[0] == 0
    assert killed == wanted, (killed, tried)


@test
def a_killed_ring_change_is_whole_or_absent():
    """The ring is the old one or the new one, and the tokens of before stay good."""
    dice = random.Random(SEED + 8)
    data = data_dir()
    key = make_key(data)["key"]
    token = issue(data, key)
    took = duration(data, "secret", "promote", "-")
    killed = tried = 0
    while killed < 40 and tried < 400:
        tried += 1
        rows = lambda: [r["kid"] for r in json.loads(run("secret", "list", "--json", data=data)[1])]
        before = rows()
        if len(before) > 10:
            words = ["secret", "retire", dice.choice([k for k in before[1:] if k != "-"]), "--force"]
        else:
            words = dice.choice((["secret", "add"], ["secret", "rotate"], ["secret", "promote", before[-1]]))
        was, _, code, out = kill_after(start(data, *words), dice.uniform(0.05, 1.05) * took)
        killed += was
        after = rows()
        changed = before != after
        assert changed or code != 0 or words[1] == "promote", (words, before, after)
        assert abs(len(after) - len(before)) <= 1 and len(set(before) ^ set(after)) <= 1, (before, after)
        assert run("verify", data=data, stdin=token)[0] == 0
        assert run("verify", data=data, stdin=issue(data, key))[0] == 0
    assert killed == 40, (killed, tried)


main()
