"""The feed under load: many who ask for the same long changes, who leave before they are answered,
and who take the snapshot slowly while it changes. The store is filled as if its keys had been
deleted before."""
import http.client, random, sqlite3, threading
from support import *

ROUTE = "/v2/revocations"
PAGE = os.sysconf("SC_PAGE_SIZE")
# What the sanitizers themselves take is no concern.
SLOWER = 8 if SANITIZER else 1


def next_sequence(db):
    db.execute("UPDATE facts SET value = value + 1 WHERE name = 'sequence'")
    return db.execute("SELECT value FROM facts WHERE name = 'sequence'").fetchone()[0]


def list_subs(db, count, logged):
    """As many more listed; each with a sequence of its own in the log, or all out of its reach."""
    sequence, now = next_sequence(db), int(time.time())
    rows = [("%023d%020d" % (sequence, i), random.getrandbits(64) - (1 << 63)) for i in range(count)]
    db.executemany("INSERT INTO listed (sub, hash, revoked_at) VALUES (?, ?, ?)",
                   ((sub, hash, now) for sub, hash in rows))
    if logged:
        db.executemany("INSERT INTO changes (sequence, hash) VALUES (?, ?)",
                       ((sequence + i, hash) for i, (_, hash) in enumerate(rows)))
        db.execute("UPDATE facts SET value = ? WHERE name = 'sequence'", (sequence + count,))
    else:
        db.execute("UPDATE facts SET value = ? WHERE name = 'changes_from'", (sequence,))
    # As the store that gave them: none else may be asked about.
    db.executemany("INSERT OR IGNORE INTO given (sequence) VALUES (?)",
                   ((sequence + i,) for i in range(count + 1 if logged else 1)))
    db.commit()
    return sequence


def filled(listed, logged):
    """(DATA, whole key, a sequence before all that is logged)"""
    data = data_dir()
    key = make_key(data, "revocations,account")["key"]
    db = sqlite3.connect(os.path.join(data, "subtoken.db"))
    for setting in ("synchronous = OFF", "cache_size = -200000"):
        db.execute("PRAGMA " + setting)
    db.execute("DROP INDEX listed_hash")  # made at once it is made sooner
    since = list_subs(db, listed, False)
    if logged:
        list_subs(db, logged, True)
    db.execute("CREATE INDEX listed_hash ON listed (hash)")
    db.close()
    return data, key, since


def text(target, key):
    return ("GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % (target, key)).encode()


def connect(server, receive=None):
    s = socket.socket()
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.settimeout(60)
    s.connect(("127.0.0.1", server.port))
    return s


def ask(server, target, key):
    """(status, body, seconds)"""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", target, headers={"Authorization": "Bearer " + key})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, time.monotonic() - began


def cpu(server):
    """Seconds that the server has had of any processor."""
    with open("/proc/%d/stat" % server.process.pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(server):
    with open("/proc/%d/statm" % server.process.pid) as f:
        return int(f.read().split()[1]) * PAGE / (1 << 20)


def at_once(functions):
    threads = [threading.Thread(target=f) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


@test
def many_who_ask_for_the_same_changes_share_the_work():
    """C3: 200,000 logged changes are not read anew for each who asks, nor waited for in a row."""
    data, key, since = filled(400000 // SLOWER, 200000 // SLOWER)
    target, answers = "%s?since=%d" % (ROUTE, since), []
    with Server(data) as server:
        # While the first snapshot is made, who waits for it too long is told, and nobody else waits.
        at_once([lambda: answers.append(ask(server, target, key))] * 8 +
                [lambda: answers.append(ask(server, "/v2/tokeninfo", key))] * 8)
        assert sum(a[0] == 200 for a in answers) >= 9, [a[0] for a in answers]
        assert all(a[0] == 200 or b"being read" in a[1] for a in answers)
        answers.clear()
        status, first, _ = ask(server, target, key)
        assert status == 200 and first[:8] == b"ST-DELTA", (status, first[:8])
        assert len(first) == 192 + 8 * (200000 // SLOWER), len(first)
        before = cpu(server)
        at_once([lambda: answers.append(ask(server, target, key))] * 64)
        spent = cpu(server) - before
        print("# 64 askers: %.3f s of CPU, the slowest %.3f s" % (spent, max(a[2] for a in answers)))
        assert len(answers) == 64 and all(a[0] == 200 and a[1] == first for a in answers)
        assert spent < 5, spent  # 57 s before


@test
def no_work_is_done_for_who_has_left():
    """C3: 1,300 requests of one key, whose client leaves before it is answered."""
    data, key, since = filled(200000 // SLOWER, 150000 // SLOWER)
    with Server(data) as server:
        before, left = cpu(server), []
        for i in range(1300):
            s = connect(server)
            s.sendall(text("%s?since=%d" % (ROUTE, since + i), key))
            left.append(s)
        for s in left:
            s.close()
        slowest = 0
        for target in ("/healthz", "/v2/tokeninfo", ROUTE) * 3:
            status, _, took = ask(server, target, key)
            # One key's share may still be taken by those that left.
            assert status == 200 or (target == ROUTE and status == 429), (target, status)
            slowest = max(slowest, took)
        wait(lambda: ask(server, ROUTE, key)[0] == 200)
        spent = cpu(server) - before
        print("# %.2f s of CPU, the slowest of those who stay %.2f s" % (spent, slowest))
        assert slowest < 10, slowest  # 396 s before
        assert spent < 20 * SLOWER, spent


@test
def one_key_holds_a_share_of_the_threads_alone():
    """C3: who holds too many answers of one key is told to wait; other keys and routes are not."""
    data, key, _ = filled(1000000, 0)
    other = make_key(data, "revocations")["key"]
    with Server(data, config={"threads": 32}) as server:
        held = []
        for _ in range(8):
            s = connect(server, 4096)
            s.sendall(text(ROUTE, key))
            assert s.recv(12) == b"HTTP/1.1 200"
            held.append(s)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", ROUTE, headers={"Authorization": "Bearer " + key})
        answer = connection.getresponse()
        assert answer.status == 429 and answer.getheader("Retry-After") == "1", answer.status
        assert answer.getheader("Subtoken-Heartbeat") is None
        assert "too many requests for the revocation data with this key" in json.loads(answer.read())["text"]
        assert ask(server, ROUTE, other)[0] == 200 and ask(server, "/v2/tokeninfo", key)[0] == 200
        for s in held:
            s.close()
        wait(lambda: ask(server, ROUTE, key)[0] == 200)
        assert '"feed_busy"' in server.log()


def read_slowly(s, ended):
    try:
        while not ended.is_set() and s.recv(2048):
            ended.wait(0.2)
    except OSError:
        pass


def change(data, ended):
    """Another process that lists one more some hundred times a second."""
    db = sqlite3.connect(os.path.join(data, "subtoken.db"), timeout=60)
    db.execute("PRAGMA synchronous = OFF")
    while not ended.is_set():
        list_subs(db, 1, True)
        ended.wait(0.002)
    db.close()


@test
def slow_readers_do_not_keep_every_snapshot():
    """C11: those who take the snapshot slowly while it changes get one that is kept for all."""
    if SANITIZER:
        return "the sanitizers keep what is freed"
    data, key, since = filled(250000, 0)
    ended = threading.Event()
    with Server(data) as server:
        size = len(ask(server, ROUTE, key)[1]) / (1 << 20)
        alone, most, readers = rss(server), 0, []
        threads = [threading.Thread(target=change, args=(data, ended))]
        threads[0].start()
        try:
            for i in range(100):
                s = connect(server, 4096)
                s.sendall(text(ROUTE, key))
                assert s.recv(12) == b"HTTP/1.1 200"
                readers.append(s)
                threads.append(threading.Thread(target=read_slowly, args=(s, ended)))
                threads[-1].start()
                # An edge beside them, so that there is a new snapshot each time.
                status, body, _ = ask(server, "%s?since=%d" % (ROUTE, since), key)
                assert status == 200 and body[:8] == b"ST-DELTA", (status, body[:8])
                most = max(most, rss(server))
            # Who reads as fast as he can has it whole, however many there are.
            status, body, _ = ask(server, ROUTE, key)
            assert status == 200 and body[:8] == b"ST-REVOC" and len(body) >= size * (1 << 20)
        finally:
            ended.set()
            for t in threads:
                t.join()
            for s in readers:
                s.close()
        print("# %.1f MiB each: %.0f MiB alone, %.0f at most, %.0f afterwards"
              % (size, alone, most, rss(server)))
        # The stacks of the threads that serve them take some, too; before it was 100 snapshots.
        assert most < alone + 20 * size, (alone, most)


main()
