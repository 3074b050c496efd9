"""The feed under load: many who ask for the same long changes, who leave before they are answered,
and who take the snapshot slowly while it changes. The store is filled as if its keys had been
deleted before."""
import http.client, random, secrets, socket, sqlite3, sys, threading
sys.path.insert(0, __file__.rpartition("/")[0] or ".")
from support import *

ROUTE = "/v2/revocations"
PAGE = os.sysconf("SC_PAGE_SIZE")
# What the sanitizers themselves take is no concern.
SLOWER = 8 if SANITIZER else 1


def subs(count):
    return sorted(secrets.token_urlsafe(32) for _ in range(count))


def next_sequence(db):
    db.execute("UPDATE facts SET value = value + 1 WHERE name = 'sequence'")
    return db.execute("SELECT value FROM facts WHERE name = 'sequence'").fetchone()[0]


def list_subs(db, count, logged):
    """As many more listed; each with a sequence of its own in the log, or all out of its reach."""
    sequence, now = next_sequence(db), int(time.time())
    rows = [(sub, random.getrandbits(64) - (1 << 63)) for sub in subs(count)]
    db.executemany("INSERT INTO listed (sub, hash, revoked_at) VALUES (?, ?, ?)",
                   ((sub, hash, now) for sub, hash in rows))
    if logged:
        db.executemany("INSERT INTO changes (sequence, hash) VALUES (?, ?)",
                       ((sequence + i, hash) for i, (_, hash) in enumerate(rows)))
        db.execute("UPDATE facts SET value = ? WHERE name = 'sequence'", (sequence + count,))
    else:
        db.execute("UPDATE facts SET value = ? WHERE name = 'changes_from'", (sequence,))
    db.commit()
    return sequence


def filled(listed, logged):
    """(DATA, whole key, a sequence before all that is logged)"""
    data = data_dir()
    key = make_key(data, "revocations,account")["key"]
    db = sqlite3.connect(os.path.join(data, "subtoken.db"))
    for setting in ("synchronous = OFF", "cache_size = -200000"):
        db.execute("PRAGMA " + setting)
    since = list_subs(db, listed, False)
    if logged:
        list_subs(db, logged, True)
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
def many_ask_for_the_same_long_changes():
    """C3: 200,000 logged changes are not read anew for each who asks, nor waited for in a row."""
    data, key, since = filled(400000 // SLOWER, 200000 // SLOWER)
    target, answers = "%s?since=%d" % (ROUTE, since), []
    with Server(data) as server:
        status, first, _ = ask(server, target, key)
        assert status == 200 and first[:8] == b"ST-DELTA", (status, first[:8])
        assert len(first) == 192 + 8 * (200000 // SLOWER), len(first)
        before = cpu(server)
        at_once([lambda: answers.append(ask(server, target, key))] * 64)
        spent = cpu(server) - before
        print("# 64 askers: %.3f s of CPU, the slowest %.3f s" % (spent, max(a[2] for a in answers)))
        assert len(answers) == 64 and all(a[0] == 200 and a[1] == first for a in answers)
        assert spent < 5, spent  # 57 s before


main()
