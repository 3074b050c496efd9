"""make bench: does it matter how many keys there are? A server with ten and one with a million (a
hundred thousand of them of persons, and logins and an audit log beside them), asked in turns for
keys drawn at random; what the server's memory is when it remembers all of them; and what managing
takes with the million.
usage: keys.py BUILD [ROUNDS] [KEYS]"""
import http.client, json, os, statistics, sys, time

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import brief, verdict

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 7)
KEYS = int(sys.argv[3]) if len(sys.argv) > 3 else brief(2000, 1000000)
FEW = 10
sys.argv[1] = os.path.join(BUILD, "subtoken")
import key_rows, managing as pages_of
from sides import Side, compare, postgres, support

MEMORY_MAX = 160  # 10^6 bytes
CACHE = 116       # MiB: room for a million
THREADS = 80      # a thread that has served a connection keeps 0.1 MB of stack


class Full(Side):
    """With persons, their logins, and an audit log."""

    def fill_more(self, db, persons):
        def person_id(n):
            return "%08X-0000-4000-8001-%012d" % (n * 2654435761 % 4294967296, n)

        db.execute("BEGIN")
        for n in range(persons):
            login, id = "person%06d" % n, person_id(n)
            row = [id, key_rows.digest("person", login), key_rows.sub_of(id), login, login]
            db.execute(key_rows.INSERT, (*row, 1, None))
            db.execute("INSERT INTO persons (login, key_id, password, imported, locale, source, changed_at)"
                       " VALUES (?, ?, '', NULL, '', '', 1700000000)", (login, id))
            sid = id[:23] + "L" + id[24:]
            db.execute(key_rows.INSERT, (sid, key_rows.digest("login", login), key_rows.sub_of(sid), login, login, 2, id))
        pages_of.fill(self, db.execute)
        db.execute("COMMIT")


class OnPostgres(Side):
    """The same, but for persons' logins."""

    def fill(self):
        super().fill()
        pages_of.fill(self, lambda sql: self.cluster.psql(sql, self.database))


def memory(side):
    """Of one that has just started, and was asked for each key."""
    side.stop()
    side.configure(store_cache=CACHE, threads=THREADS)
    side.start()
    side.ask_for_each(side.count)
    before = side.reads()
    rate, requests = side.ask("tokeninfo", side.count)
    print("\nmemory of the server with %d keys in the cache and %d threads, 10^6 bytes: %.1f  (at most %d) %s\n"
          "  reads a request of keys drawn at random: %.3f"
          % (side.count, THREADS, side.memory(), MEMORY_MAX, verdict(side.memory() <= MEMORY_MAX),
             (side.reads() - before) / requests))


def took(side, target, rounds=brief(1, 31)):
    """The median, in ms."""
    connection = http.client.HTTPConnection("127.0.0.1", side.server.port)
    times = []
    for _ in range(rounds):
        began = time.monotonic()
        connection.request("GET", target, headers={"Authorization": "Bearer " + side.admin})
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.monotonic() - began) * 1000)
        assert answer.status == 200 and len(body) > 100, (target, answer.status, body[:200])
    connection.close()
    return statistics.median(times)


def command(side, *words, rounds=brief(1, 5)):
    times = []
    for _ in range(rounds):
        began = time.monotonic()
        support.run(*words, data=side.data, check=0)
        times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


def managing(side):
    ids = sorted(key_rows.key_of(n)[:36] for n in range(side.count))
    middle, last = ids[side.count // 2], ids[-100]
    some = key_rows.key_of(side.count // 2)[:36]
    rows = (("GET /v2/keys, the first 100", "/v2/keys?limit=100"),
            ("             in the middle", "/v2/keys?limit=100&after=" + middle),
            ("             the last", "/v2/keys?limit=100&after=" + last),
            ("GET /v2/keys/ID", "/v2/keys/" + some),
            ("GET /v2/keys?sub=", "/v2/keys?sub=" + key_rows.sub_of(some)),
            ("GET /v2/audit, the last 100", "/v2/audit?limit=100"),
            ("              in the middle", "/v2/audit?limit=100&before=%d" % (side.count // 2)))
    print("\nmanaging %d keys, %d users, %d lines of the audit log (ms, medians)"
          % (side.count, side.count // 10, side.count))
    for name, target in rows:
        print("%-34s %8.2f" % (name, took(side, target)))
    token = person_token(side)
    side.admin, admin = token, side.admin
    print("%-34s %8.2f" % ("GET /v2/keys, of one owner", took(side, "/v2/keys?limit=100")))
    side.admin = admin
    print("%-34s %8.1f" % ("subtoken key show ID", command(side, "key", "show", some)))
    print("%-34s %8.1f" % ("subtoken user list", command(side, "user", "list")))


def person_token(side):
    """A login, as somebody has it who manages their own keys."""
    support.run("user", "passwd", "person000007", stdin="correct horse\n", data=side.data, check=0)
    answer = support.curl(side.server.url + "/v1/auth/login", "-H", "Content-Type: application/json",
                          "-d", json.dumps({"login": "person000007", "password": "correct horse"}))
    assert answer.status == 200, answer.body
    return answer.json()["access_token"]


def bench():
    few = Full(FEW)
    began = time.monotonic()
    many = Full(KEYS)
    print("\n%d keys were written and opened in %.0f s" % (KEYS, time.monotonic() - began), flush=True)
    try:
        compare((few, "%d keys" % FEW), (many, "%d of %d" % (FEW, KEYS)), "ten keys of ten, and of %d" % KEYS, ROUNDS,
                ((FEW, "any", KEYS), (FEW, "any", KEYS)), most=1.15)
        memory(many)
        compare((few, "%d keys" % FEW), (many, "any of %d" % KEYS), "keys drawn at random, of %d" % KEYS, ROUNDS,
                ((FEW, "any", KEYS), (KEYS, "any", KEYS)), most=1.15)
        managing(many)
        pages_of.measure(many, "SQLite")
    finally:
        for side in (few, many):
            side.stop()
    with postgres.Cluster() as cluster:
        other = OnPostgres(KEYS, cluster)
        try:
            pages_of.measure(other, "PostgreSQL")
        finally:
            other.stop()


bench()
