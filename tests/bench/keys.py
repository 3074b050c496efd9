"""make bench: does it matter how many keys there are? A server with ten and one with a million (a
hundred thousand of them of persons, and logins and an audit log beside them), asked in turns for
keys drawn at random; and what managing takes with the million.
usage: keys.py BUILD [ROUNDS] [KEYS]"""
import base64, hashlib, http.client, json, os, re, sqlite3, statistics, subprocess, sys, time

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from common import BRIEF, brief

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 7)
KEYS = int(sys.argv[3]) if len(sys.argv) > 3 else brief(2000, 1000000)
FEW = 10
SECONDS = brief(1, 2)
CONNECTIONS = 64
WANTED = 1.2
OF_A_PERSON = 10
sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import support

CREATE = "/v2/createsubtoken?permissions=account%2Cprogression"
COLUMNS = ("id, digest, sub, name, owner, permissions, created_at, expires_at, disabled,"
           " changed_at, deleted_at, kind, parent")


def key_of(n):
    """As keys.lua makes it: anyone can tell it, its hash falls anywhere."""
    return "%08X-0000-4000-8000-%012d00000000-0000-0000-0000-000000000000" % (
        n * 2654435761 % 4294967296, n)


def digest(*words):
    return hashlib.sha256("".join(words).encode()).digest()


def sub_of(id):
    return base64.urlsafe_b64encode(digest("sub", id)).decode().rstrip("=")


def row(id, hashed, name, owner, kind=0, parent=None):
    return (id, hashed, sub_of(id), name, owner, "account,inventories,progression", 1700000000, None,
            0, 1700000000, None, kind, parent)


def keys(count, persons):
    for n in range(count):
        key = key_of(n)
        owner = "person%06d" % (n % persons) if n < persons * OF_A_PERSON else "program%d" % (n % 1000)
        yield row(key[:36], digest(key), "key %d" % n, owner)


def person_id(n):
    return "%08X-0000-4000-8001-%012d" % (n * 2654435761 % 4294967296, n)


def fill(data, count):
    """The schema is the program's own; the rows are as it writes them."""
    db = sqlite3.connect(os.path.join(data, "subtoken.db"))
    persons = count // 100
    # The server makes a WAL of it again.
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
        db.execute("PRAGMA " + setting)
    insert = "INSERT INTO keys (%s) VALUES (%s)" % (COLUMNS, ",".join("?" * 13))
    with db:
        db.executemany(insert, keys(count, max(persons, 1)))
        for n in range(persons):
            login, id = "person%06d" % n, person_id(n)
            db.execute(insert, row(id, digest("person", login), login, login, 1))
            db.execute("INSERT INTO persons (login, key_id, password, imported, locale, source, changed_at)"
                       " VALUES (?, ?, '', NULL, '', '', 1700000000)", (login, id))
            sid = id[:23] + "L" + id[24:]
            db.execute(insert, row(sid, digest("login", login), login, login, 2, id))
        db.executemany("INSERT INTO audit (at, who, origin, action, target, detail) VALUES (?,?,?,?,?,?)",
                       ((1700000000 + n, "person", "127.0.0.1", "key.create", key_of(n)[:36], "name x")
                        for n in range(count // 10)))
    db.close()


class Side:
    """A server, and what was measured of it."""

    def __init__(self, count):
        self.count = count
        self.data = support.data_dir()
        self.admin = support.make_key(self.data, "keys,audit,account")["key"]
        fill(self.data, count)
        self.server = support.Server(self.data).start()
        self.forget()

    def forget(self):
        self.rates = {"tokeninfo": [], "createsubtoken": []}
        self.cpu = {"tokeninfo": [], "createsubtoken": []}

    def cpu_time(self):
        """Seconds that the server has had of any processor."""
        with open("/proc/%d/stat" % self.server.process.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, what, among):
        path = CREATE if what == "createsubtoken" else "/v2/tokeninfo"
        before = self.cpu_time()
        p = subprocess.run(["wrk", "--timeout", "60s", "-t2", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS, "-s",
                            os.path.join(HERE, "keys.lua"), "http://127.0.0.1:%d" % self.server.port,
                            "--", str(among), path], capture_output=True, text=True, check=True)
        assert "Non-2xx" not in p.stdout and "Socket errors" not in p.stdout, p.stdout
        self.rates[what].append(float(re.search(r"Requests/sec:\s+([\d.]+)", p.stdout).group(1)))
        requests = int(re.search(r"(\d+) requests in", p.stdout).group(1))
        self.cpu[what].append((self.cpu_time() - before) * 1e6 / requests)


def print_ratios(name, few, many, ratios):
    ratios = sorted(ratios)
    print("%-30s %12.1f %12.1f   median %.2f, from %.2f to %.2f"
          % (name, statistics.median(few), statistics.median(many), statistics.median(ratios),
             ratios[0], ratios[-1]))


def hot_path(few, many, among):
    """among: of how many of its keys the large one is asked."""
    asked = ((few, few.count), (many, among))
    for side, count in asked[:0] if BRIEF else asked:  # the first is not counted
        side.forget()
        side.measure("tokeninfo", count)
        side.forget()
    for _ in range(ROUNDS):
        for what in few.rates:
            for side, count in asked:
                side.measure(what, count)
    print("\n%d keys of %d, and of %d %s; %d keep-alive connections, %d rounds of %d s"
          % (few.count, few.count, many.count, "%d" % among if among < many.count else "any",
             CONNECTIONS, ROUNDS, SECONDS))
    print("%-30s %12s %12s   %s" % ("", "%d keys" % few.count, "%d keys" % many.count,
                                    "ratio (wanted: at most %.2f)" % WANTED))
    for what in few.rates:
        print_ratios(what + ", a second", few.rates[what], many.rates[what],
                     [a / b for a, b in zip(few.rates[what], many.rates[what])])
        print_ratios("  the server's CPU, us", few.cpu[what], many.cpu[what],
                     [b / a for a, b in zip(few.cpu[what], many.cpu[what])])


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
    ids = sorted(key_of(n)[:36] for n in range(side.count))
    middle, last = ids[side.count // 2], ids[-100]
    some = key_of(side.count // 2)[:36]
    rows = (("GET /v2/keys, the first 100", "/v2/keys?limit=100"),
            ("             in the middle", "/v2/keys?limit=100&after=" + middle),
            ("             the last", "/v2/keys?limit=100&after=" + last),
            ("GET /v2/keys/ID", "/v2/keys/" + some),
            ("GET /v2/keys?sub=", "/v2/keys?sub=" + sub_of(some)),
            ("GET /v2/audit, the last 100", "/v2/audit?limit=100"),
            ("              in the middle", "/v2/audit?limit=100&before=%d" % (side.count // 20)))
    print("\nmanaging %d keys, %d persons, %d lines of the audit log (ms, medians)"
          % (side.count, side.count // 100, side.count // 10))
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
    few = Side(FEW)
    began = time.monotonic()
    many = Side(KEYS)
    print("\n%d keys were written and opened in %.0f s" % (KEYS, time.monotonic() - began), flush=True)
    try:
        for among in brief((KEYS,), (FEW, KEYS)):
            hot_path(few, many, among)
        managing(many)
    finally:
        for side in (few, many):
            side.server.stop(expect=None)


bench()
