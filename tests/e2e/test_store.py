"""The store under stress, over real sockets: another process that holds the database (C1), a
database that is replaced, cut short or moved under a server (C2), copies that fail (C10)."""
import http.client, random, resource, sqlite3, threading
from machine import alone
from support import *
from calls import changes_of, made_after_its_end
SOON = 3.0 if SANITIZER else 1.0  # what waits for nobody; the fault took minutes
# The most that one request waits is 5 s; the rest is for a busy machine.
PATIENT = 8.0
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


class Held:
    """Another process's writer, as far as the server can tell: this one has a lock of its own."""

    def __init__(self, data):
        self.db = sqlite3.connect(db_of(data), timeout=30, isolation_level=None)

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")
        return self

    def release(self):
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def __exit__(self, *unused):
        self.release()
        self.db.close()


class Reply:
    def __init__(self, status, headers, body, seconds):
        self.status, self.headers, self.body, self.seconds = status, headers, body, seconds

    def json(self):
        return json.loads(self.body)


def ask(server, method, path, credential=None, body=None, timeout=120):
    """One request on a connection of its own, and how long it took on a machine of its own."""
    headers = {"Connection": "close"}
    if isinstance(credential, tuple):
        text = base64.b64encode(":".join(credential).encode()).decode()
        headers["Authorization"] = "Basic " + text
    elif credential:
        headers["Authorization"] = "Bearer " + credential
    if body is not None:
        headers["Content-Type"] = "application/json"
    began = time.monotonic()
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        c.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = c.getresponse()
        text = answer.read().decode(errors="replace")
    finally:
        c.close()
    return Reply(answer.status, dict(answer.getheaders()), text, alone(began))


class Asked(threading.Thread):
    """The same, meanwhile."""

    def __init__(self, *args, **more):
        super().__init__(daemon=True)
        self.args, self.more, self.reply, self.error = args, more, None, None
        self.start()

    def run(self):
        try:
            self.reply = ask(*self.args, **self.more)
        except OSError as e:
            self.error = e
        except http.client.HTTPException as e:
            self.error = e

    def get(self):
        self.join(60)
        assert self.reply is not None, self.error
        return self.reply


def log_in(server, name="alice", password=PASSWORD):
    return ask(server, "POST", "/v1/auth/login", body={"login": name, "password": password})


def refresh(server, token):
    return ask(server, "POST", "/v1/auth/refresh", body={"token": token})


def unknown_key():
    return "".join(random.choice("abcdefghijklmnopqrstuvwxyz0123456789-_") for _ in range(43))


def reasons(server, name):
    return [l for l in server.log_lines() if l.get("reason") == name]


def is_busy(reply):
    return (reply.status == 503 and int(reply.headers["Retry-After"]) > 0 and
            "nothing was changed" in reply.json()["text"])


# ---- C1: another process writes ---------------------------------------------


@test
def reading_waits_for_no_writer():
    # C1: 12 refreshes with any 43 characters held everything up for a minute, 530 for ever.
    config = {"threads": 64 if SANITIZER else 512}
    with Server(config=config) as server:
        data = server.data
        make_user(data, permissions="account")
        key = make_key(data, "account,keys,audit,revocations,users")
        feed = make_key(data, "revocations")["key"]
        token = issue(data, key["key"])
        access = log_in(server).json()["access_token"]
        reads = [("/healthz", None), ("/readyz", None), ("/v2/tokeninfo", key["key"]),
                 ("/v2/tokeninfo", token), ("/v2/tokeninfo", access), ("/v2/revocations", feed),
                 ("/v2/revocations?since=1", feed), ("/v2/createsubtoken", key["key"]),
                 ("/v2/keys", key["key"]), ("/v2/keys/" + key["id"], key["key"]),
                 ("/v2/keys?sub=x", key["key"]), ("/v2/keys", access), ("/v2/audit", key["key"]),
                 ("/v2/tokeninfo", ("alice", PASSWORD))]
        with Held(data):
            crowd = []
            for _ in range(530):
                c = socket.create_connection(("127.0.0.1", server.port), timeout=30)
                body = json.dumps({"token": unknown_key()}).encode()
                c.sendall(b"POST /v1/auth/refresh HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                          b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" %
                          len(body) + body)
                crowd.append(c)
            for path, credential in reads:
                reply = ask(server, "GET", path, credential)
                assert reply.status == 200, (path, reply.status, reply.body)
                assert reply.seconds < SOON, (path, reply.seconds)
            for c in crowd:
                data_ = c.recv(65536)
                assert data_.startswith(b"HTTP/1.1 401 "), data_
                c.close()
            # who has no credential waits for nobody, and learns nothing
            for reply in (refresh(server, unknown_key()), log_in(server, "alice", "wrong password"),
                          log_in(server, "nobody", PASSWORD),
                          ask(server, "POST", "/v2/keys", "x.y.z", {"name": "n"}),
                          ask(server, "DELETE", "/v2/keys/" + key["id"], unknown_key()),
                          ask(server, "POST", "/v1/auth/logout", unknown_key()),
                          ask(server, "POST", "/v1/auth/token", unknown_key()),
                          ask(server, "POST", "/v1/user", unknown_key(), {"login": "x"})):
                assert reply.status == 401, (reply.status, reply.body)
                assert reply.seconds < SOON, reply.seconds
            # a username that is taken is found by reading
            reply = ask(server, "POST", "/v1/user", key["key"],
                        {"login": "alice", "password": PASSWORD})
            assert reply.status == 409 and reply.seconds < SOON, (reply.status, reply.seconds)


@test
def a_change_that_waits_too_long_is_503():
    with Server() as server:
        data = server.data
        make_user(data, permissions="account")
        manager = make_key(data, "account,keys,users,services")
        key, other = manager["key"], make_key(data)
        pair, again = log_in(server).json(), log_in(server).json()
        with Held(data):
            asked = [
                Asked(server, "POST", "/v2/keys", key, {"name": "n", "permissions": ["account"]}),
                Asked(server, "PATCH", "/v2/keys/" + other["id"], key, {"disabled": True}),
                Asked(server, "PATCH", "/v2/keys/" + other["id"], key, {"name": "renamed"}),
                Asked(server, "DELETE", "/v2/keys/" + other["id"], key),
                Asked(server, "POST", "/v2/keys/%s/revoke-subtokens" % other["id"], key),
                Asked(server, "POST", "/v1/user", key, {"login": "bob", "password": PASSWORD}),
                Asked(server, "POST", "/v1/auth/token", key),
                Asked(server, "POST", "/v1/auth/login", None,
                      {"login": "alice", "password": PASSWORD}),
                Asked(server, "POST", "/v1/auth/refresh", None, {"token": pair["refresh_token"]}),
                Asked(server, "POST", "/v1/auth/logout", again["access_token"])]
            for one in asked:  # together, not one after the other
                reply = one.get()
                assert is_busy(reply), (one.args[1:3], reply.status, reply.body)
                assert reply.seconds < PATIENT, (one.args[1:3], reply.seconds)
        assert len(reasons(server, "store_busy")) == len(asked)
        assert not [l for l in server.log_lines() if l["event"] == "store_error"]
        # nothing of it has happened, and all of it can
        assert ask(server, "GET", "/v2/keys/" + other["id"], key).json()["name"] == "test"
        assert refresh(server, pair["refresh_token"]).status == 200
        assert ask(server, "POST", "/v1/auth/logout", again["access_token"]).status == 204
        assert ask(server, "DELETE", "/v2/keys/" + other["id"], key).status == 204
        assert log_in(server).status == 200


@test
def a_waiting_change_is_made_when_the_lock_is_released():
    with Server(config={"threads": 128}) as server:  # a quarter of them may wait
        key = make_key(server.data, "account,keys")["key"]
        with Held(server.data) as held:
            asked = [Asked(server, "POST", "/v2/keys", key,
                           {"name": "n%d" % i, "permissions": ["account"]}) for i in range(20)]
            time.sleep(0.5)
            held.release()
            assert [one.get().status for one in asked] == [201] * 20
        assert not reasons(server, "store_busy")


@test
def who_is_deleted_while_a_change_waits_makes_none():
    """It was let in before its credential ended, and has its turn after that."""
    with Server() as server:
        data = server.data
        key, admin = make_key(data, "account"), make_key(data, "keys")["key"]
        for method, path, body in changes_of(key):
            manager = make_key(data, "account,keys")
            assert ask(server, "GET", "/v2/tokeninfo", manager["key"]).status == 200
            with Held(data) as held:
                ending = Asked(server, "DELETE", "/v2/keys/" + manager["id"], admin)
                time.sleep(0.1)  # they are in this order, nearly always: else there is nothing to see
                change = Asked(server, method, path, manager["key"], body)
                time.sleep(0.1)
                held.release()
                assert ending.get().status == 204
                reply = change.get()
            assert made_after_its_end(data, manager) == [], (method, path, body)
            if reply.status >= 400:
                assert reply.status == 401 or (reply.status == 403 and "has expired, been revoked" in reply.body), reply.body


@test
def a_quarter_of_the_threads_may_wait():
    # Of 16 threads a quarter waits, and one writes; the others are told at once.
    with Server(config={"threads": 16}) as server:
        key = make_key(server.data, "account,keys")["key"]
        with Held(server.data) as held:
            asked = [Asked(server, "POST", "/v2/keys", key,
                           {"name": "n", "permissions": ["account"]}) for _ in range(12)]
            wait(lambda: sum(not one.is_alive() for one in asked) >= 7)
            early = [one.get() for one in asked if not one.is_alive()]
            assert len(early) == 7 and all(is_busy(r) for r in early), [r.status for r in early]
            for path in ("/healthz", "/readyz"):
                assert ask(server, "GET", path).seconds < SOON
            held.release()
            late = [one.get() for one in asked]
            assert sorted(r.status for r in late) == [201] * 5 + [503] * 7
        assert len(reasons(server, "store_busy")) == 7


@test
def registrations_take_a_small_share_of_the_waiting():
    # Of 64 threads 16 wait to write, and of these 2 without a credential.
    with Server(config={"threads": 64, "registration": "open"}) as server:
        key = make_key(server.data, "account,keys")["key"]
        with Held(server.data) as held:
            crowd = [Asked(server, "POST", "/v1/user", None,
                           {"login": "user%d" % i, "password": PASSWORD}) for i in range(10)]
            wait(lambda: sum(not one.is_alive() for one in crowd) >= 8)
            honest = Asked(server, "POST", "/v2/keys", key,
                           {"name": "n", "permissions": ["account"]})
            time.sleep(0.3)
            assert honest.is_alive()  # it waits for its turn
            held.release()
            assert honest.get().status == 201
            got = sorted(one.get().status for one in crowd)
            assert got == [201] * 2 + [503] * 8, got


@test
def sigterm_ends_within_seconds_while_many_wait():
    # C1: with 30 waiting, SIGTERM had not ended the server after 85 s.
    server = Server().start()
    key = make_key(server.data, "account,keys")["key"]
    with Held(server.data):
        asked = [Asked(server, "POST", "/v2/keys", key, {"name": "n", "permissions": ["account"]})
                 for _ in range(30)]
        time.sleep(0.5)
        assert ask(server, "GET", "/healthz").status == 200
        began = time.monotonic()
        server.stop()
        took = alone(began)
        assert took < (12 if SANITIZER else 6), took
        for one in asked:
            assert is_busy(one.get())


@test
def sigterm_ends_within_seconds_in_the_middle_of_a_change():
    """One change takes minutes: the others are told in time, and the server does not wait for it."""
    server = Server().start()
    key = make_key(server.data, "account,keys")["key"]
    gone, slow = make_key(server.data)["id"], make_key(server.data)["id"]
    db = sqlite3.connect(db_of(server.data), timeout=30)
    db.executescript("""
        CREATE TABLE slow (n INTEGER);
        CREATE VIEW slowly AS WITH RECURSIVE c (n) AS
            (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000000000) SELECT max(n) AS n FROM c;
        CREATE TRIGGER slow_delete AFTER UPDATE OF deleted_at ON keys WHEN NEW.id = '%s'
            BEGIN INSERT INTO slow SELECT n FROM slowly; END;""" % slow)
    db.close()
    assert ask(server, "DELETE", "/v2/keys/" + gone, key).status == 204
    first = Asked(server, "DELETE", "/v2/keys/" + slow, key)
    time.sleep(0.5)
    other = ask(server, "PATCH", "/v2/keys/" + slow, key, {"name": "other"})
    assert is_busy(other) and other.seconds < PATIENT, (other.status, other.seconds)
    assert ask(server, "GET", "/v2/keys/" + slow, key).seconds < SOON
    began = time.monotonic()
    server.stop()
    took = alone(began)
    assert took < (14 if SANITIZER else 8), took
    assert first.get().status == 503
    assert run("key", "show", slow, data=server.data)[0] == 0  # nothing was changed
    assert run("key", "show", gone, data=server.data)[0] == 1


@test
def a_database_locked_whole_is_503_for_all_at_once():
    """Another process has the file to itself: nothing can be read, and nobody waits for that one
    after the other."""
    with Server() as server:
        key = make_key(server.data, "account,keys")["key"]
        assert ask(server, "GET", "/v2/tokeninfo", key).status == 200
        # as the only writer of a rollback journal would: the lock that a checkpoint wants, too
        other = sqlite3.connect(db_of(server.data), timeout=0, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            asked = [Asked(server, "GET", path, key) for path in ("/v2/tokeninfo", "/v2/keys") * 20]
            assert all(one.get().seconds < PATIENT for one in asked)
            assert ask(server, "GET", "/healthz").seconds < SOON
        finally:
            other.execute("ROLLBACK")
            other.close()
        assert ask(server, "GET", "/v2/tokeninfo", key).status == 200


@test
def a_store_error_is_logged_by_the_request_that_met_it():
    # F8: the sentence about a failure was kept, and every later 503 repeated it.
    with Server() as server:
        key = make_key(server.data, "account,keys")["key"]
        os.rename(server.data, server.data + ".away")
        wait(lambda: ask(server, "GET", "/v2/tokeninfo", key).status == 503)
        os.rename(server.data + ".away", server.data)
        wait(lambda: ask(server, "GET", "/v2/tokeninfo", key).status == 200)
        failures = [l for l in server.log_lines() if l["event"] == "store_error"]
        assert failures and all("replaced" in l["detail"] for l in failures), failures
        with Held(server.data):
            assert is_busy(ask(server, "POST", "/v2/keys", key,
                               {"name": "n", "permissions": ["account"]}))
        later = [l for l in server.log_lines() if l["event"] == "store_error"]
        assert later == failures, later[len(failures):]


# ---- C2: what is open is not what lies there ----------------------------------


def replace_by_rename(data, copy):
    os.rename(copy, db_of(data))


def replace_all(data, copy):
    for name in os.listdir(data):
        if name.startswith("subtoken.db"):
            os.remove(os.path.join(data, name))
    os.rename(copy, db_of(data))


def remove(data, copy):
    os.remove(db_of(data))


def truncate(data, copy):
    os.truncate(db_of(data), 0)


def cut_short(data, copy):
    os.truncate(db_of(data), 8192)


def copy_over(data, copy):
    with open(copy, "rb") as source, open(db_of(data), "r+b") as into:
        into.write(source.read())
        into.truncate()


def copy_an_older_state_over(data, copy):
    copy_over(data, copy + ".live")  # in the mode that a server uses


def remove_wal(data, copy):
    os.remove(db_of(data) + "-wal")


def replace_wal(data, copy):
    shutil.copy(db_of(data) + "-wal", copy)
    os.rename(copy, db_of(data) + "-wal")


def remove_shm(data, copy):
    os.remove(db_of(data) + "-shm")


def move_directory(data, copy):
    os.rename(data, data + ".away")
    os.mkdir(data, 0o700)


def check_replaced(replace):
    data = data_dir()
    make_user(data, permissions="account")
    make_key(data, "account")
    copy = os.path.join(os.path.dirname(data), "copy")
    run("backup", copy, data=data, check=0)
    shutil.copy(db_of(data), copy + ".live")  # nobody has it open
    with Server(data) as server:
        manager = make_key(data, "account,keys,revocations")["key"]
        keys = [ask(server, "POST", "/v2/keys", manager,
                    {"name": "n" * 200, "permissions": ["account"]}).json()["id"]
                for _ in range(40)][-6:]
        token = log_in(server).json()["refresh_token"]
        for gone in keys[:3]:
            assert ask(server, "DELETE", "/v2/keys/" + gone, manager).status == 204
        assert ask(server, "GET", "/readyz").status == 200
        # what the copy has is behind what the file has
        db = sqlite3.connect(db_of(data))
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        db.close()
        assert ask(server, "DELETE", "/v2/keys/" + keys[3], manager).status == 204
        replace(data, copy)
        first = ask(server, "DELETE", "/v2/keys/" + keys[4], manager)
        assert first.status == 503, (first.status, first.body)
        assert ask(server, "GET", "/readyz").status == 503
        assert refresh(server, token).status == 503
        assert log_in(server).status == 503
        for method, path in (("GET", "/v2/tokeninfo"), ("GET", "/v2/createsubtoken"),
                             ("GET", "/v2/keys"), ("GET", "/v2/revocations"),
                             ("DELETE", "/v2/keys/" + keys[5])):
            assert ask(server, method, path, manager).status == 503, path
        assert ask(server, "GET", "/healthz").status == 200
        assert any("while it was in use" in l.get("detail", "") for l in server.log_lines())
        if replace is move_directory:
            os.rmdir(data)
            os.rename(data + ".away", data)
            assert ask(server, "GET", "/readyz").status == 200  # as if nothing had been
            assert ask(server, "DELETE", "/v2/keys/" + keys[4], manager).status == 204
    return data, manager, keys


def register(replace):
    def run_it():
        data, manager, keys = check_replaced(replace)
        if replace not in (remove_wal, remove_shm, replace_wal, move_directory):
            return
        with Server(data) as server:  # what was acknowledged is there
            assert ask(server, "GET", "/readyz").status == 200
            for n, key in enumerate(keys):
                known = ask(server, "GET", "/v2/keys/" + key, manager).status == 200
                assert known == (n >= (5 if replace is move_directory else 4)), (n, known)
    run_it.__name__ = "c2_" + replace.__name__
    return test(run_it)


for how in (replace_by_rename, replace_all, remove, truncate, cut_short, copy_over,
            copy_an_older_state_over, remove_wal, replace_wal, remove_shm, move_directory):
    register(how)


# ---- C10, F10: copies that fail ------------------------------------------------


def big_data():
    data = data_dir()
    make_key(data)
    db = sqlite3.connect(db_of(data), isolation_level=None)
    db.execute("CREATE TABLE padding (bytes)")
    db.execute("BEGIN")
    for _ in range(600):
        db.execute("INSERT INTO padding VALUES (zeroblob(100000))")
    db.execute("COMMIT")
    db.close()
    return data


def start_backup(data, path):
    return subprocess.Popen([PROGRAM, "backup", path, "--data", data], stderr=subprocess.PIPE)


def caught_in_the_middle(data, number):
    """A backup that was sent a signal while it wrote: its directory and how it ended."""
    for _ in range(10):
        folder = scratch()
        p = start_backup(data, os.path.join(folder, "copy.db"))
        # a page or more of the copy, so that SQLite has files beside it
        wait(lambda: p.poll() is not None or
                 any(os.path.getsize(os.path.join(folder, n)) > 0 for n in os.listdir(folder)
                     if n.startswith("copy.db.") and "-journal" not in n))
        p.send_signal(number)
        error = p.communicate(timeout=60)[1].decode()
        if p.returncode != 0:
            return folder, p.returncode, error
    raise AssertionError("each was quicker")


@test
def a_backup_that_is_too_large_leaves_nothing():
    # C10: ulimit -f killed it, and left copy.db.XXXXXX and its -journal.
    data, folder = big_data(), scratch()
    p = subprocess.run([PROGRAM, "backup", os.path.join(folder, "copy.db"), "--data", data],
                       capture_output=True, timeout=60, preexec_fn=lambda: resource.setrlimit(
                           resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    assert p.returncode == 3 and b"cannot write" in p.stderr, (p.returncode, p.stderr)
    assert os.listdir(folder) == []


@test
def a_backup_ended_by_a_signal_leaves_nothing():
    data = big_data()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        folder, code, error = caught_in_the_middle(data, number)
        assert code == -number and "interrupted" in error, (code, error)
        assert os.listdir(folder) == [], os.listdir(folder)


@test
def what_a_killed_backup_leaves_goes_with_the_next_one():
    data = big_data()
    folder, code, error = caught_in_the_middle(data, signal.SIGKILL)
    left = os.listdir(folder)
    assert code == -signal.SIGKILL and any(n.startswith("copy.db.subtoken-") for n in left), left
    other = ["copy.db.backup", "copy.db.subtoken-notes.txt", "other.db.subtoken-a1B2c3"]
    for name in other:
        open(os.path.join(folder, name), "w").close()
    run("backup", os.path.join(folder, "copy.db"), data=data, check=0)
    assert sorted(os.listdir(folder)) == sorted(["copy.db"] + other), os.listdir(folder)


@test
def what_another_backup_writes_stays():
    data = big_data()
    for _ in range(10):
        folder = scratch()
        path = os.path.join(folder, "copy.db")
        slow = start_backup(data, path)
        wait(lambda: slow.poll() is not None or os.listdir(folder))
        slow.send_signal(signal.SIGSTOP)
        before = os.listdir(folder)
        run("backup", path, data=data, check=0 if "copy.db" not in before else None)
        assert set(before) <= set(os.listdir(folder)), (before, os.listdir(folder))
        slow.send_signal(signal.SIGCONT)
        slow.communicate(timeout=60)
        assert os.listdir(folder) == ["copy.db"], os.listdir(folder)
        if slow.returncode == 3:  # it was in the middle: the other one was quicker
            return
    raise AssertionError("each was quicker")


main()
