"""make bench: how long do others wait while a user with 200,000 keys is disabled, loses a permission, is deleted? A
client creates keys at a server, one after the other, while the command runs beside it.
usage: large.py BUILD [SECONDS] [KEYS]"""
import http.client, json, os, shutil, signal, sqlite3, subprocess, sys, threading, time

sys.argv[1:] = sys.argv[1:] or ["build"]
BUILD = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from common import brief, verdict

SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else brief(1, 30)
KEYS = int(sys.argv[3]) if len(sys.argv) > 3 else brief(1000, 200000)
WANTED_MS = 100
BEFORE = "13 to 30 s"  # of the version that made such a change in one transaction
sys.argv[1] = os.path.join(BUILD, "subtoken")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import support

support.Server.threads = None  # as many as users have

PERMISSIONS = "account,inventories,progression"
CHANGES = [("is disabled", ("disable", "ann")), ("loses a permission", ("permissions", "ann", "account,inventories")),
           ("is deleted", ("delete", "ann"))]
FILL = """INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, disabled, changed_at, kind, made_by)
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
    SELECT printf('%08X-0000-4000-8000-%012d', (n * 2654435761) % 4294967296, n), randomblob(32), hex(randomblob(21)) ||
        'x', 'key ' || n, 'ann', ?, 1700000000, 0, 1700000000, 0, (SELECT key_id FROM persons) FROM numbers"""


def filled():
    """DATA with the user and the keys, which she has made herself; and a key that may create others."""
    data = support.data_dir()
    support.make_user(data, "ann", PERMISSIONS)
    admin = support.make_key(data, "keys,account")["key"]
    db = sqlite3.connect(support.db_of(data))
    db.execute("PRAGMA synchronous = OFF")
    with db:
        db.execute(FILL, (KEYS, PERMISSIONS))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return data, admin


class Writer:
    """A client that creates keys, and how long each took."""

    def __init__(self, server, admin):
        self.took, self.failed, self.ends = [], 0, threading.Event()
        self.port, self.headers = server.port, {"Authorization": "Bearer " + admin, "Content-Type": "application/json"}
        self.thread = threading.Thread(target=self.write)
        self.thread.start()

    def write(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = json.dumps({"name": "made beside it", "permissions": ["account"], "expires": "never"})
        while not self.ends.is_set():
            begun = time.monotonic()
            connection.request("POST", "/v2/keys", body, self.headers)
            answer = connection.getresponse()
            answer.read()
            self.took.append(time.monotonic() - begun)
            self.failed += answer.status != 201
            time.sleep(0.002)

    def end(self):
        self.ends.set()
        self.thread.join()
        took = sorted(self.took)
        return took[-1] * 1000, took[len(took) * 99 // 100] * 1000, self.failed


def measure(data, admin, words):
    copy = support.data_dir()
    shutil.copytree(data, copy, dirs_exist_ok=True)
    with support.Server(copy, config={"keys_per_owner": 1000000}) as server:
        alone = Writer(server, admin)
        time.sleep(SECONDS)
        alone = alone.end()
        beside = Writer(server, admin)
        command = subprocess.Popen([sys.argv[1], "user", *words, "--json", "--data", copy], stdout=subprocess.PIPE)
        begun = time.monotonic()
        command.stdout.readline()
        answered = time.monotonic() - begun
        try:
            command.wait(SECONDS)
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGKILL)
            command.wait()
        beside = beside.end()
    shutil.rmtree(copy)
    return alone, beside, answered


data, admin = filled()
print("\na user with %d keys, and a client that creates keys meanwhile, for %d s" % (KEYS, SECONDS))
print("%-20s %12s %12s %12s %14s" % ("", "answered", "99th of 100", "longest", "longest alone"))
for name, words in CHANGES:
    alone, beside, answered = measure(data, admin, words)
    print("%-20s %9.0f ms %9.1f ms %9.1f ms %11.1f ms   %d failed; wanted: at most %d ms: %s; before: %s"
          % (name, answered * 1000, beside[1], beside[0], alone[0], beside[2], WANTED_MS,
             verdict(beside[0] <= WANTED_MS and beside[2] == 0), BEFORE))
