"""A user with many keys is disabled, enabled, loses a permission, is deleted: it is in force when the command answers,
whatever is killed then, and others write meanwhile."""
import threading
import stores
from support import *

KEYS = 1500
ID = "printf('%08X-0000-4000-8000-%012d', (n * 2654435761) % 4294967296, n)"
FILL = """INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, disabled, changed_at, kind)
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {keys})
    SELECT {id}, randomblob(32), printf('%043d', n), 'key ' || n, 'ann', 'account,wallet', 1700000000, 0, 1700000000, 0
    FROM numbers"""
NO_FILL = "rows are made by hand, in SQLite's words; the contract tests do the same on each store"


def data_with_many():
    """DATA, the whole key of one of ann's many, and one of somebody else."""
    data = data_dir()
    make_user(data, "ann", "account,wallet")
    key = make_key(data, "account,wallet", "--owner", "ann")["key"]
    other = make_key(data, "keys,account")["key"]
    stores.execute(data, FILL.format(keys=KEYS, id=ID))
    return data, key, other


def status_of(server, key):
    return curl(server.url + "/v2/tokeninfo", "-H", "Authorization: Bearer " + key).status


def left(data):
    return stores.execute(data, "SELECT count(*) FROM remaining")[0][0]


def killed_once_it_answers(data, *words):
    p = subprocess.Popen([PROGRAM, *words, "--json", "--data", data], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = p.stdout.readline()
    p.kill()
    _, err = p.communicate(timeout=30)
    assert json.loads(line)["sequence"] > 0, (line, err)
    return left(data) > 0


def living(data, what):
    return stores.execute(data, "SELECT count(*) FROM keys WHERE kind = 0 AND owner = 'ann' AND " + what)[0][0]


CHANGES = [(("user", "disable", "ann"), 401, "suspended = 1 AND deleted_at IS NULL"),
           (("user", "enable", "ann"), 200, "suspended = 0 AND deleted_at IS NULL"),
           (("user", "permissions", "ann", "account"), 401, "deleted_at IS NOT NULL")]


@test
def what_a_killed_command_leaves_is_in_force_and_a_server_does_it():
    if STORE:
        return NO_FILL
    data, key, _ = data_with_many()
    were_left = 0
    for words, status, done in CHANGES:
        with Server(data) as server:
            assert status_of(server, key) == (401 if words[1] == "enable" else 200)
            were_left += killed_once_it_answers(data, *words)
            assert status_of(server, key) == status, words
        with Server(data) as server:
            assert status_of(server, key) == status, words
            wait(lambda: left(data) == 0, "the server does the rest")
            assert status_of(server, key) == status, words
        assert living(data, done) == KEYS + 1, words
    assert were_left > 0  # else nothing was tested
    assert stores.execute(data, "SELECT count(*), count(DISTINCT target) FROM audit WHERE action = 'key.delete'") == \
        [(KEYS + 1, KEYS + 1)]


@test
def others_write_while_a_user_with_many_keys_is_deleted():
    if STORE:
        return NO_FILL
    data, key, other = data_with_many()
    statuses, stop = [], threading.Event()
    with Server(data) as server:
        def write():
            while not stop.is_set():
                statuses.append(curl(server.url + "/v2/keys", "-H", "Authorization: Bearer " + other, "-H",
                                     "Content-Type: application/json", "-d",
                                     '{"name":"w","permissions":["account"],"expires":"never"}').status)
        writer = threading.Thread(target=write)
        writer.start()
        wait(lambda: len(statuses) > 2)
        code, _, err = run("user", "delete", "ann", data=data, timeout=300)
        stop.set()
        writer.join()
        assert code == 0, err
        assert status_of(server, key) == 401
    assert set(statuses) == {201}, set(statuses)
    assert left(data) == 0 and living(data, "deleted_at IS NOT NULL") == KEYS + 1
    first, last = stores.execute(data, "SELECT min(id), max(id) FROM audit WHERE action = 'key.delete'")[0]
    between = stores.execute(data, "SELECT count(*) FROM audit WHERE action = 'key.create' AND id BETWEEN %d AND %d"
                             % (first, last))[0][0]
    assert between > 0


main()
