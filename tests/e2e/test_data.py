"""DATA: its modes, what is refused and left as it was, the ring and the store under
change while servers run, backups, full disks, and the configuration."""
import hashlib, hmac, http.client, resource, socket, sqlite3, threading
import support
from support import *


def cmd(*args, **options):
    code, out, err = support.run(*args, **options)
    assert "Sanitizer" not in err and "runtime error" not in err, err
    return code, out, err


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def mode(path):
    return os.stat(path).st_mode & 0o7777


def write(path, text, permissions=None):
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    if permissions is not None:
        os.chmod(path, permissions)


def secrets_of(data):
    return os.path.join(data, "secrets")


def db_of(data):
    return os.path.join(data, "subtoken.db")


class Client:
    """One keep-alive connection."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def ask(self, path, credential=None, headers=None):
        headers = dict(headers or {})
        if credential:
            headers["Authorization"] = "Bearer " + credential
        self.connection.request("GET", path, headers=headers)
        answer = self.connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None

    def make(self, key, query=""):
        status, body = self.ask("/v2/createsubtoken" + query, key)
        assert status == 200, (status, body)
        return body["subtoken"]

    def status(self, credential, path="/v2/tokeninfo"):
        return self.ask(path, credential)[0]

    def close(self):
        self.connection.close()


class Server(support.Server):
    """One that has never been asked anything takes 2 s to stop, and 512 threads take long
    to start under a sanitizer; there are many here."""

    def __init__(self, data=None, config=None, **options):
        if SANITIZER and config is None:
            config = {"threads": 16}
        super().__init__(data, config, **options)

    def stop(self, *args, **options):
        try:
            if self.process.poll() is None:
                curl(self.url + "/healthz", timeout=10)
        except (AssertionError, AttributeError):
            pass
        super().stop(*args, **options)


def kid_of(token):
    return json.loads(unb64(token.split(".")[0])).get("kid")


def kids(data):
    return [r["kid"] for r in json.loads(cmd("secret", "list", "--json", data=data)[1])]


def events(server, name):
    time.sleep(0.05)  # the log's thread gathers; the last line may be half there
    lines = server.log().split("\n")[:-1]
    return [e for e in (json.loads(l) for l in lines if l.startswith("{")) if e["event"] == name]


def wait_for(what, seconds=20):
    deadline = time.time() + seconds
    while time.time() < deadline:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def starts(data, *args):
    """(exit code, stderr) of a server that is to refuse its start; None when it serves."""
    p = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", data, *args],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    err = b""
    for line in p.stderr:
        err += line
        if b'"listening"' in line:
            p.kill()
            err += p.stderr.read()
            break
    code = p.wait(timeout=30)
    p.stdout.close()
    p.stderr.close()
    text = err.decode("utf-8", "replace")
    assert "Sanitizer" not in text and "runtime error" not in text, text
    return None if '"listening"' in text else (code, text)


GOOD = b64(hashlib.sha256(b"a secret for a test").digest())
MORE = [b64(hashlib.sha256(b"secret %d" % i).digest()) for i in range(20)]

# ---- modes and formats ----


@test
def a_new_data_directory():
    for umask in (0o000, 0o022, 0o077):
        for how in ("key", "serve"):
            data = data_dir()
            old = os.umask(umask)
            try:
                if how == "key":
                    make_key(data)
                    names = ["secrets", "subtoken.db"]
                else:
                    with Server(data):
                        names = sorted(os.listdir(data))
                        assert "secrets" in names and "subtoken.db" in names, names
                        for name in names:
                            assert mode(os.path.join(data, name)) & 0o077 == 0, (umask, name)
            finally:
                os.umask(old)
            assert mode(data) == 0o700, (umask, oct(mode(data)))
            for name in os.listdir(data):
                assert mode(os.path.join(data, name)) == 0o600, (umask, name)
            with open(secrets_of(data)) as f:
                text = f.read()
            assert re.fullmatch(r":[A-Za-z0-9_-]{43}\n", text), len(text)
            assert len(set(unb64(text[1:].strip()))) > 10
            assert sorted(n for n in os.listdir(data) if "-" not in n) == ["secrets", "subtoken.db"]
    a, b = data_dir(), data_dir()
    make_key(a), make_key(b)
    assert digest(secrets_of(a)) != digest(secrets_of(b))
    with open(secrets_of(a)) as f:
        secret = unb64(f.read()[1:].strip())
    token = issue(a, make_key(a)["key"])
    text, _, mac = token.rpartition(".")
    assert b64(hmac.new(secret, text.encode(), hashlib.sha256).digest()) == mac
    assert token.startswith(b64(b'{"alg":"HS256","typ":"JWT"}') + ".")
    assert make_key(a)["key"].encode() not in open(db_of(a), "rb").read()


@test
def only_the_digest_of_a_key_is_kept():
    with Server() as server:
        keys = [make_key(server.data) for _ in range(3)]
        cmd("key", "delete", keys[0]["id"], data=server.data)
        for name in os.listdir(server.data):
            with open(os.path.join(server.data, name), "rb") as f:
                text = f.read()
            for k in keys:
                assert k["key"][37:].encode() not in text, name


def ring_cases():
    jwt_io = b64(b"a-string-secret-at-least-256-bits-long")
    yield "short", ":" + b64(b"0123456789abcdefghijklmnopqrstu") + "\n", 1
    yield "long", ":" + b64(bytes(range(65))) + "\n", 1
    yield "repeated byte", ":" + b64(b"\x41" * 32) + "\n", 1
    yield "zeros", "k:" + b64(b"\0" * 64) + "\n", 1
    yield "repeated pattern", ":" + b64(b"abcd" * 8) + "\n", 1
    yield "jwt.io", ":" + jwt_io + "\n", 1
    yield "jwt.io second", ":%s\nk2:%s\n" % (GOOD, jwt_io), 2
    yield "empty", "", 0
    yield "new line only", "\n", None
    yield "no colon", GOOD + "\n", 1
    yield "padding", ":" + GOOD + "=\n", 1
    yield "stray bits", ":" + GOOD[:-1] + chr(ord(GOOD[-1]) + 1) + "\n", 1
    yield "standard alphabet", ":" + "+/" + GOOD[2:] + "\n", 1
    yield "space", ":" + GOOD + " \n", 1
    yield "space in front", " :" + GOOD + "\n", 1
    yield "carriage return", ":" + GOOD + "\r\n", 1
    yield "comment", "# mine\n:" + GOOD + "\n", 1
    yield "blank line", ":%s\n\nk2:%s\n" % (GOOD, MORE[0]), 2
    yield "two unnamed", ":%s\n:%s\n" % (GOOD, MORE[0]), 2
    yield "two of a name", "k:%s\nk:%s\n" % (GOOD, MORE[0]), 2
    yield "kid with dot", ":%s\na.b:%s\n" % (GOOD, MORE[0]), 2
    yield "kid too long", "%s:%s\n" % ("k" * 65, GOOD), 1
    yield "half a line", ":%s\nk2:%s" % (GOOD, MORE[0][:20]), 2
    yield "three parts", "a:b:%s\n" % GOOD, 1
    yield "NUL", ":" + GOOD + "\0\n", 1
    yield "17 secrets", "".join("k%d:%s\n" % (i, MORE[i]) for i in range(17)), 17
    yield "too big", ":%s\n" % GOOD + "x" * 100000, None


@test
def rings_that_are_refused():
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"])
    path = secrets_of(data)
    with open(path) as f:
        good = f.read()

    def refused(name, line=None):
        before = (digest(path), mode(path)) if os.path.isfile(path) else None
        for words in (["serve"], ["verify"], ["issue"], ["secret", "list"], ["secret", "add"],
                      ["secret", "rotate"], ["secret", "promote", "-"], ["secret", "retire", "k2"]):
            if words == ["serve"]:
                found = starts(data)
                assert found is not None, (name, "serves")
                code, err = found
            else:
                code, out, err = cmd(*words, data=data, stdin=token if words == ["verify"] else key["key"])
                assert out == "", (name, words, out)
            assert code == 3 and path in err, (name, words, code, err)
            if line:
                assert "line %d " % line in err, (name, words, err)
            for part in (good.strip()[1:], GOOD):
                assert part[:20] not in err, (name, "a secret is shown")
        assert before == ((digest(path), mode(path)) if os.path.isfile(path) else None), name
        assert [n for n in os.listdir(data) if n.startswith("secrets.")] == []

    for name, text, line in ring_cases():
        write(path, text, 0o600)
        refused(name, line)
    write(path, good)
    for bits in (0o644, 0o604, 0o601, 0o602, 0o660, 0o620, 0o666, 0o606, 0o777):
        os.chmod(path, bits)
        refused("mode %o" % bits)
    os.remove(path)
    os.mkdir(path, 0o700)
    refused("directory")
    os.rmdir(path)
    # A link is judged by where it ends, and one that ends nowhere is refused.
    real = os.path.join(scratch(), "ring")
    write(real, good, 0o644)
    os.symlink(real, path)
    refused("link to a readable file")
    os.remove(real)
    found = starts(data)
    assert found and found[0] == 3 and path in found[1], found
    assert not os.path.exists(real)
    write(real, good, 0o600)
    assert starts(data) is None and cmd("verify", data=data, stdin=token)[0] == 0
    os.remove(path)
    write(path, good, 0o600)
    if os.geteuid() == 0:
        os.chown(path, 12345, 0)
        refused("another's file")
        os.chown(path, 0, 0)
    assert cmd("verify", data=data, stdin=token)[0] == 0
    # The good ones.
    for name, text in (("no last line end", good.strip()), ("64 bytes", ":%s\n" % b64(bytes(range(64)))),
                       ("16", "".join("k%d:%s\n" % (i, MORE[i]) for i in range(16))),
                       ("long kid", "%s:%s\n" % ("aZ_-" * 16, GOOD)),
                       ("one secret, two names", ":%s\nk1:%s\n" % (GOOD, GOOD))):
        for bits in (0o600, 0o400, 0o640, 0o440, 0o700):
            os.chmod(path, 0o600)
            write(path, text, bits)
            code, out, err = cmd("issue", data=data, stdin=key["key"])
            assert code == 0, (name, oct(bits), err)
            assert cmd("verify", data=data, stdin=out)[0] == 0
        assert starts(data) is None, name


@test
def data_open_to_others():
    for bits in (0o755, 0o750, 0o701, 0o770, 0o777, 0o1777):
        for fresh in (True, False):
            data = data_dir()
            if fresh:
                os.mkdir(data)
            else:
                make_key(data)
            os.chmod(data, bits)
            before = sorted(os.listdir(data))
            for words in (["key", "create", "--name", "n", "--permissions", "a"], ["key", "list"],
                          ["secret", "list"], ["secret", "rotate"]):
                code, out, err = cmd(*words, data=data)
                assert code == 3 and data in err and out == "", (oct(bits), words, code, err)
            found = starts(data)
            assert found and found[0] == 3 and data in found[1], found
            assert sorted(os.listdir(data)) == before and mode(data) == bits
    data = data_dir()
    make_key(data)
    link = os.path.join(scratch(), "link")
    os.symlink(data, link)
    assert cmd("key", "list", data=link)[0] == 0


def hold_refused(data, name, also=()):
    """serve and the key commands exit 3, name the file and leave it as it is."""
    path = db_of(data)
    before = digest(path)
    ring = digest(secrets_of(data)) if os.path.exists(secrets_of(data)) else None
    found = starts(data)
    assert found and found[0] == 3 and "subtoken.db" in found[1], (name, found)
    for words in (["key", "list"], ["key", "show", "x"], ["key", "delete", "x"],
                  ["key", "create", "--name", "n", "--permissions", "a"], *also):
        code, out, err = cmd(*words, data=data, stdin="x")
        assert code == 3 and path in err and out == "", (name, words, code, out, err)
    assert digest(path) == before, name + ": changed"
    if ring:
        assert digest(secrets_of(data)) == ring


def with_keys(count):
    data = data_dir()
    key = make_key(data)
    db = sqlite3.connect(db_of(data))
    for i in range(count):
        db.execute("INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at, "
                   "disabled, changed_at, deleted_at) SELECT substr(id, 1, 32) || printf('%04d', ?1), randomblob(32), "
                   "substr(sub, 1, 39) || printf('%04d', ?1), name, owner, permissions, created_at, "
                   "expires_at, disabled, changed_at, deleted_at FROM keys WHERE id = ?2", (i, key["id"]))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    assert not os.path.exists(db_of(data) + "-wal")
    return data, key


@test
def databases_that_are_refused():
    data, key = with_keys(300)
    path = db_of(data)
    with open(path, "rb") as f:
        good = f.read()
    assert len(good) > 80000 and len(good) % 4096 == 0
    assert cmd("key", "show", key["id"], data=data)[0] == 0

    def put(text):
        for suffix in ("-wal", "-shm", "-journal"):
            if os.path.exists(path + suffix):
                os.remove(path + suffix)
        write(path, text, 0o600)

    backup = ["backup", os.path.join(scratch(), "copy")]
    put(b"not a database at all\n" * 100)
    hold_refused(data, "text", [backup])
    put(b"x")
    hold_refused(data, "one byte", [backup])
    put(b"\0" * 8192)
    hold_refused(data, "zeros", [backup])
    put(b"SQLite format 3\0")
    hold_refused(data, "header cut", [backup])
    put(os.urandom(len(good)))
    hold_refused(data, "noise", [backup])
    for size in (100, 4096, 4097, len(good) // 2 // 4096 * 4096, len(good) - 4096, len(good) - 1,
                 len(good) - 2000):
        put(good[:size])
        hold_refused(data, "cut at %d of %d" % (size, len(good)), [backup])
    for page in range(1, 8):
        put(good[:page * 4096] + os.urandom(4096) + good[(page + 1) * 4096:])
        hold_refused(data, "page %d damaged" % page, [backup])
    put(b"sQLite" + good[6:])
    hold_refused(data, "magic")
    put(good)
    assert cmd("key", "show", key["id"], data=data)[0] == 0
    # Somebody else's, a newer one, and one with a table less.
    for name, sql in (("foreign", "PRAGMA application_id = 7"), ("newer", "PRAGMA user_version = 99"),
                      ("negative", "PRAGMA user_version = -1"), ("table gone", "DROP TABLE revoked"),
                      ("column gone", "ALTER TABLE keys RENAME COLUMN owner TO other")):
        put(good)
        db = sqlite3.connect(path)
        db.execute(sql)
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        hold_refused(data, name, [backup])
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    os.remove(path)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE people (name)")
    db.commit()
    db.close()
    os.chmod(path, 0o600)
    hold_refused(data, "another program's", [backup])
    put(good)
    for bits in (0o644, 0o660, 0o640, 0o666):
        os.chmod(path, bits)
        hold_refused(data, "mode %o" % bits)
    os.remove(path)
    os.mkdir(path)
    found = starts(data)
    assert found and found[0] == 3 and path in found[1], found
    os.rmdir(path)
    put(good)
    assert not os.path.exists(backup[1])
    assert cmd("key", "show", key["id"], data=data)[0] == 0
    assert len(json.loads(cmd("key", "list", "--json", data=data)[1])) == 301


@test
def a_database_cut_to_nothing():
    data, _ = with_keys(3)
    write(db_of(data), b"")
    hold_refused(data, "zero length", [["backup", os.path.join(scratch(), "copy")]])


@test
def a_ring_that_is_missing():
    data = data_dir()
    key = make_key(data)
    with open(secrets_of(data)) as f:
        good = f.read()
    os.remove(secrets_of(data))
    found = starts(data)
    assert found and found[0] == 3 and secrets_of(data) in found[1] and "missing" in found[1], found
    for words in (["key", "create", "--name", "n", "--permissions", "a"], ["issue"], ["verify"],
                  ["secret", "list"], ["secret", "rotate"], ["secret", "promote", "-"]):
        code, out, err = cmd(*words, data=data, stdin=key["key"])
        assert code == 3 and secrets_of(data) in err and out == "", (words, code, err)
        assert not os.path.exists(secrets_of(data)), words
    write(secrets_of(data), good, 0o600)
    assert starts(data) is None
    os.remove(secrets_of(data))
    code, out, err = cmd("secret", "add", data=data)  # the way out that the message names
    assert code == 0 and out == "-\n", (code, out, err)
    assert starts(data) is None and mode(secrets_of(data)) == 0o600


# ---- the ring while servers run ----

class Traffic:
    """Four clients that make and use tokens all the time; no request may fail."""

    def __init__(self, *servers, key):
        self.servers, self.key = servers, key
        self.done, self.count, self.failures, self.old = threading.Event(), 0, [], []
        self.threads = [threading.Thread(target=self.go, args=(i,)) for i in range(4)]

    def go(self, number):
        try:
            clients = [Client(s) for s in self.servers]
            turn = number
            while not self.done.is_set():
                maker, user = clients[turn % len(clients)], clients[(turn // 2) % len(clients)]
                turn += 1
                token = maker.make(self.key, "?permissions=account")
                status, body = user.ask("/v2/tokeninfo?v=latest", token)
                if (status, (body or {}).get("type")) != (200, "Subtoken"):
                    self.failures.append((kid_of(token), status, body))
                for old in list(self.old):
                    if user.status(old) != 200:
                        self.failures.append(("old", kid_of(old)))
                if user.status(self.key) != 200:
                    self.failures.append("key")
                self.count += 1
                time.sleep(0.002)
        except BaseException:
            self.failures.append(traceback.format_exc())

    def __enter__(self):
        [t.start() for t in self.threads]
        wait_for(lambda: self.count > 20 or self.failures)
        return self

    def __exit__(self, kind, value, trace):
        self.done.set()
        [t.join() for t in self.threads]
        if kind is None:
            assert not self.failures, self.failures[:3]
            assert self.count > 20, self.count


@test
def ring_changes_under_traffic():
    data = data_dir()
    with Server(data) as server, Server(data) as second:
        key = make_key(data)["key"]
        a, b = Client(server), Client(second)
        with Traffic(server, second, key=key) as traffic:
            first = a.make(key)
            assert kid_of(first) is None
            traffic.old.append(first)
            code, out, _ = cmd("secret", "add", "--kid", "k1", data=data)
            assert (code, out) == (0, "k1\n") and kids(data) == ["-", "k1"]
            assert kid_of(a.make(key)) is None and kid_of(b.make(key)) is None
            assert cmd("secret", "add", "--kid", "k1", data=data)[0] == 1
            time.sleep(0.2)
            cmd("secret", "promote", "k1", data=data, check=0)
            tokens = [a.make(key), b.make(key)]  # at once, in both
            assert [kid_of(t) for t in tokens] == ["k1", "k1"]
            assert json.loads(unb64(tokens[0].split(".")[0])) == {"alg": "HS256", "typ": "JWT", "kid": "k1"}
            assert tokens[0].startswith(b64(b'{"alg":"HS256","typ":"JWT","kid":"k1"}') + ".")
            traffic.old += tokens
            assert a.status(first) == 200 and b.status(tokens[0]) == 200
            time.sleep(0.2)
            kid = cmd("secret", "rotate", data=data, check=0)[1].strip()
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", kid) and kids(data) == [kid, "k1", "-"], kids(data)
            assert kid_of(a.make(key)) == kid and kid_of(b.make(key)) == kid
            for t in [first] + tokens:
                assert a.status(t) == 200 and b.status(t) == 200
            # One that signs is not retired, one that signed not without --force.
            assert cmd("secret", "retire", kid, data=data)[0] == 1
            assert cmd("secret", "retire", kid, "--force", data=data)[0] == 1
            for name in ("k1", "-"):
                code, _, err = cmd("secret", "retire", name, data=data)
                assert code == 1 and "--force" in err, (code, err)
            assert kids(data) == [kid, "k1", "-"]
            # One that never signed goes without.
            cmd("secret", "add", "--kid", "never", data=data, check=0)
            cmd("secret", "retire", "never", data=data, check=0)
            assert kids(data) == [kid, "k1", "-"]
            # Back and forth: it signed, so it wants --force again.
            cmd("secret", "add", "--kid", "short", data=data, check=0)
            cmd("secret", "promote", "short", data=data, check=0)
            cmd("secret", "promote", kid, data=data, check=0)
            assert cmd("secret", "retire", "short", data=data)[0] == 1
            cmd("secret", "retire", "short", "--force", data=data, check=0)
            time.sleep(0.3)
            traffic.old = [t for t in traffic.old if kid_of(t) != "k1"]
            time.sleep(0.3)
            cmd("secret", "retire", "k1", "--force", data=data, check=0)
            assert a.status(tokens[0]) == 401 and b.status(tokens[1]) == 401
            assert a.status(first) == 200
            traffic.old = []
            time.sleep(0.3)
            cmd("secret", "retire", "-", "--force", data=data, check=0)
            assert a.status(first) == 401 and b.status(first) == 401
            assert kids(data) == [kid]
            for _ in range(8):  # quickly, one after the other
                last = cmd("secret", "rotate", data=data, check=0)[1].strip()
                assert kid_of(a.make(key)) == last
        assert mode(secrets_of(data)) == 0o600
        assert sorted(n for n in os.listdir(data) if n.startswith("secrets")) == ["secrets"]
        for s in (server, second):
            assert events(s, "ring_refused") == [] and len(events(s, "ring_loaded")) >= 10
        cmd("secret", "add", data=data, check=0)
        for _ in range(30):
            code = cmd("secret", "add", data=data)[0]
        assert code == 1 and len(kids(data)) == 16
        code, _, err = cmd("secret", "rotate", data=data)
        assert code == 1 and "full" in err, (code, err)


@test
def a_ring_goes_bad_under_a_server():
    data = data_dir()
    path = secrets_of(data)
    with Server(data) as server:
        key = make_key(data)["key"]
        with open(path) as f:
            good = f.read()
        clients = [Client(server) for _ in range(4)]
        token = clients[0].make(key)
        refusals = 0
        for how in ("damaged", "readable", "short", "empty"):
            with Traffic(server, key=key) as traffic:
                traffic.old.append(token)
                if how == "readable":
                    os.chmod(path, 0o644)
                else:
                    bad = {"damaged": "garbage\n", "short": ":" + b64(b"short") + "\n", "empty": ""}[how]
                    write(path + ".new", bad, 0o600)
                    os.rename(path + ".new", path)
                for _ in range(5):
                    for c in clients:
                        assert c.status(token) == 200 and kid_of(c.make(key)) is None
            word = {"readable": "keyfile_perm", "short": "weak_secret"}.get(how, "keyfile_bad")
            refusals += 1
            found = [l for l in server.log_lines()
                     if l["event"] in ("keyfile_perm", "keyfile_bad", "weak_secret")]
            assert len(found) == refusals and path in found[-1]["detail"], (how, found)
            assert found[-1]["event"] == word, (how, found)
            assert good.strip()[1:] not in server.log()
            code = cmd("verify", data=data, stdin=token)[0]
            assert code == 3, (how, code)
            # Good again, with another one in front: taken up by the very next request.
            write(path + ".new", "n%d:%s\n" % (refusals, MORE[refusals]) + good, 0o600)
            os.rename(path + ".new", path)
            assert kid_of(clients[1].make(key)) == "n%d" % refusals
            assert clients[2].status(token) == 200
            os.chmod(path, 0o600)
            write(path + ".new", good, 0o600)
            os.rename(path + ".new", path)
            assert kid_of(clients[3].make(key)) is None
        # In place, without a rename, and gone altogether.
        write(path, "m:%s\n" % MORE[9] + good)
        wait_for(lambda: kid_of(clients[0].make(key)) == "m")
        os.remove(path)
        for c in clients:
            assert c.status(token) == 200 and kid_of(c.make(key)) == "m"
        write(path, good, 0o600)
        assert kid_of(clients[1].make(key)) is None


@test
def a_ring_keeps_its_link_and_its_group():
    data = data_dir()
    key = make_key(data)["key"]
    path, real = secrets_of(data), os.path.join(scratch(), "ring")
    os.rename(path, real)
    os.symlink(real, path)
    os.chmod(real, 0o640)
    group = 54321 if os.geteuid() == 0 else os.getgid()
    os.chown(real, -1, group)
    with Server(data) as server:
        client = Client(server)
        for words in (["rotate"], ["add", "--kid", "x"], ["promote", "x"], ["retire", "-", "--force"]):
            before = os.stat(real).st_ino
            cmd("secret", *words, data=data, check=0)
            assert os.path.islink(path) and os.readlink(path) == real, words
            now = os.stat(real)
            assert now.st_ino != before and now.st_mode & 0o7777 == 0o640 and now.st_gid == group, words
            assert client.status(client.make(key)) == 200
        assert kid_of(client.make(key)) == "x"
    assert [n for n in os.listdir(os.path.dirname(real))] == ["ring"]


@test
def ring_commands_at_once():
    """Eight rotations and additions at a time: each one that said done is there."""
    data = data_dir()
    make_key(data)
    done = []

    def go(i):
        for j in range(2):
            done.append(cmd("secret", "add" if (i + j) % 2 else "rotate", "--kid", "c%d-%d" % (i, j), data=data))

    threads = [threading.Thread(target=go, args=(i,)) for i in range(7)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert [d[0] for d in done] == [0] * 14, done
    assert sorted(kids(data)) == sorted(["-"] + ["c%d-%d" % (i, j) for i in range(7) for j in range(2)])


# ---- the store ----

@test
def two_servers_see_each_change_at_once():
    data = data_dir()
    with Server(data) as one, Server(data) as two:
        a, b = Client(one), Client(two)
        for _ in range(5 if SANITIZER else 15):
            k = make_key(data)
            key, id = k["key"], k["id"]
            see = lambda what, path="/v2/tokeninfo": (a.status(what, path), b.status(what, path))
            assert see(key) == (200, 200)
            t1, t2 = a.make(key), b.make(key)
            assert see(t1) == see(t2) == (200, 200)
            cmd("key", "disable", id, data=data, check=0)
            assert see(key) == see(t1) == see(t2) == (401, 401)
            assert see(key, "/v2/createsubtoken") == (401, 401)
            cmd("key", "enable", id, data=data, check=0)
            assert see(key) == see(t1) == see(t2) == (200, 200)
            cmd("key", "revoke-subtokens", id, data=data, check=0)
            assert see(t1) == see(t2) == (401, 401) and see(key) == (200, 200)
            t3 = b.make(key)
            assert see(t3) == (200, 200) and a.make(t3)
            cmd("key", "delete", id, data=data, check=0)
            assert see(key) == see(t3) == see(t1) == (401, 401)


@test
def several_begin_on_a_fresh_data_at_once():
    for round in range(4 if SANITIZER else 12):
        data = data_dir()
        if round % 2:
            servers = [Server(data) for _ in range(2)]
            threads = [threading.Thread(target=s.start) for s in servers]
        else:
            servers, made = [Server(data)], []
            threads = [threading.Thread(target=servers[0].start)] + [
                threading.Thread(target=lambda: made.append(make_key(data))) for _ in range(5)]
        [t.start() for t in threads], [t.join() for t in threads]
        try:
            assert all(hasattr(s, "port") for s in servers), [s.log() for s in servers]
            if not round % 2:
                assert len(made) == 5, made
            key = make_key(data)["key"]
            for s in servers:
                token = Client(s).make(key)
                for other in servers:
                    assert Client(other).status(token) == 200
            assert kids(data) == ["-"]
            assert sorted(n for n in os.listdir(data) if n.startswith("secrets")) == ["secrets"]
        finally:
            for s in servers:
                s.stop()


@test
def backup_while_others_write():
    data = data_dir()
    with Server(data) as server:
        key = make_key(data, name="writer")
        done, made, failures = threading.Event(), [], []

        def go():
            try:
                mine = []
                while not done.is_set():
                    k = make_key(data, "account,wallet", name="writer")
                    made.append(k["id"])
                    mine.append(k["id"])
                    if len(mine) % 3 == 0:
                        cmd("key", "delete", mine.pop(0), data=data, check=0)
            except BaseException:
                failures.append(traceback.format_exc())

        threads = [threading.Thread(target=go) for _ in range(4)]
        [t.start() for t in threads]
        try:
            counts = []
            for i in range(8):
                time.sleep(0.1)
                known = set(made)
                path = os.path.join(scratch(), "copy.db")
                cmd("backup", path, data=data, check=0)
                assert os.listdir(os.path.dirname(path)) == ["copy.db"] and mode(path) == 0o600
                before = digest(path)
                code, _, err = cmd("backup", path, data=data)
                assert code in (1, 3) and path in err and digest(path) == before, (code, err)
                db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert db.execute("PRAGMA foreign_key_check").fetchall() == []
                rows = db.execute("SELECT id, sub, digest, name, permissions, deleted_at FROM keys").fetchall()
                revoked = {r[0] for r in db.execute("SELECT sub FROM revoked")}
                db.close()
                assert known <= {r[0] for r in rows}, "a key that was there is not in the copy"
                for id, sub, dig, name, permissions, deleted in rows:
                    assert len(id) == 36 and len(sub) == 43 and len(dig) == 32 and name == "writer", id
                    assert (deleted is not None) == (sub in revoked), "half deleted: " + id
                counts.append(len(rows))
                # The copy serves in the place of the store, with the ring beside it.
                other = data_dir()
                os.mkdir(other, 0o700)
                shutil.copy(secrets_of(data), secrets_of(other))
                os.chmod(secrets_of(other), 0o600)
                shutil.copy(path, db_of(other))
                os.chmod(db_of(other), 0o600)
                token = issue(other, key["key"])
                assert cmd("verify", data=data, stdin=token)[0] == 0
        finally:
            done.set()
            [t.join() for t in threads]
        assert not failures, failures[0]
        assert counts == sorted(counts) and counts[-1] > counts[0], counts
    for where in (os.path.join(data, "nowhere", "copy"), data, db_of(data), "/proc/copy"):
        before = digest(db_of(data))
        code, out, err = cmd("backup", where, data=data)
        assert code in (1, 3) and where in err and digest(db_of(data)) == before, (where, code, err)
    link = os.path.join(scratch(), "link")
    os.symlink(link + "-target", link)
    assert cmd("backup", link, data=data)[0] in (1, 3) and not os.path.exists(link + "-target")
    cwd = scratch()
    for name in (":memory:", "file:x", "plain"):
        p = subprocess.run([PROGRAM, "backup", name, "--data", data], cwd=cwd, capture_output=True)
        assert p.returncode == 0 and os.path.getsize(os.path.join(cwd, name)) > 4096, p
    p = subprocess.run([PROGRAM, "backup", "", "--data", data], cwd=cwd, capture_output=True)
    assert p.returncode in (2, 3), p


def file_limit(size):
    def apply():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return apply


def limited(size, *words):
    # Its messages go into a pipe, which has no such limit.
    p = subprocess.run([PROGRAM, *words], capture_output=True, preexec_fn=file_limit(size), timeout=60)
    assert b"Sanitizer" not in p.stderr, p.stderr
    return p.returncode, p.stdout.decode(), p.stderr.decode()


@test
def no_room_for_a_file():
    """Writes fail at every size of file: nothing half made, nothing lost."""
    data, key = with_keys(20)
    have = {r["id"] for r in json.loads(cmd("key", "list", "--json", data=data)[1])}
    create = ["key", "create", "--name", "n", "--permissions", "account", "--data", data]
    failed = 0
    for size in (0, 1, 512, 4096, 4128, 8192, 8300, 12000, 16384, 20000, 25000, 32768, 33000, 40960, 65536):
        code, out, err = limited(size, *create)
        failed += code == 3
        assert (code, bool(out)) in ((0, True), (3, False)), (size, code, out, err)
        assert code == 0 or "subtoken.db" in err, err
        if code == 0:
            have.add(out[:36])
        code, out, err = limited(size, "key", "delete", "F" * 36, "--data", data)
        assert code in (1, 3)
        rows = {r["id"] for r in json.loads(cmd("key", "list", "--json", data=data)[1])}
        assert rows == have, (size, rows ^ have)
        db = sqlite3.connect(db_of(data))
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()
    assert failed >= 3, failed
    # A backup that does not fit leaves nothing, and neither does a ring.
    for size in (0, 100, 4096, 20000, os.path.getsize(db_of(data)) - 1):
        where = scratch()
        code, out, err = limited(size, "backup", os.path.join(where, "copy"), "--data", data)
        assert code == 3 and os.listdir(where) == [], (size, code, err, os.listdir(where))
    ring = digest(secrets_of(data))
    for size in (0, 10, 80):
        code, out, err = limited(size, "secret", "add", "--data", data)
        assert code == 3 and out == "" and digest(secrets_of(data)) == ring, (size, code, err)
        assert [n for n in os.listdir(data) if n.startswith("secrets.")] == []
    # A new DATA that has no room is completed when there is some.
    for size in (0, 10, 44, 512, 4096, 10000, 30000):
        fresh = data_dir()
        code, out, err = limited(size, *create[:-1], fresh)
        assert code == 3 and out == "", (size, code, out, err)
        k = make_key(fresh)
        assert [r["id"] for r in json.loads(cmd("key", "list", "--json", data=fresh)[1])] == [k["id"]]


@test
def a_full_disk():
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    disk = scratch()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", disk],
                      capture_output=True).returncode != 0:
        return "a small disk cannot be mounted here"
    try:
        data = os.path.join(disk, "var")
        with Server(data) as server:
            client = Client(server)
            key = make_key(data)
            token = client.make(key["key"])
            assert client.ask("/readyz")[0] == 200
            filler = os.path.join(disk, "filler")
            fd = os.open(filler, os.O_CREAT | os.O_WRONLY)
            for block in (65536, 4096, 512, 1):
                try:
                    while True:
                        os.write(fd, b"x" * block)
                except OSError:
                    pass
            os.close(fd)
            have = json.loads(cmd("key", "list", "--json", data=data)[1])
            ring = digest(secrets_of(data))
            full = 0
            for _ in range(40):
                code, out, err = cmd("key", "create", "--name", "n", "--permissions", "a", "--json", data=data)
                if code == 0:  # it may still find room in what the files have
                    have.append(json.loads(out))
                    continue
                assert code == 3 and out == "" and "subtoken.db" in err, (code, out, err)
                full += 1
                assert client.status(key["key"]) == 200 and client.status(token) == 200
                assert client.status(client.make(key["key"])) == 200
                if full == 5:
                    break
            assert full == 5, full
            rows = json.loads(cmd("key", "list", "--json", data=data)[1])
            assert sorted(r["id"] for r in rows) == sorted(r["id"] for r in have)
            assert cmd("key", "delete", key["id"], data=data)[0] in (0, 3)
            gone = cmd("key", "show", key["id"], data=data)[0] == 1
            assert client.status(key["key"]) == (401 if gone else 200)
            assert client.ask("/readyz")[0] == 503 and client.ask("/healthz")[0] == 200
            code, out, err = cmd("secret", "rotate", data=data)
            assert code == 3 and digest(secrets_of(data)) == ring, (code, out, err)
            code, out, err = cmd("backup", os.path.join(disk, "copy"), data=data)
            assert code == 3 and sorted(os.listdir(disk)) == ["filler", "var"], (code, err, os.listdir(disk))
            os.remove(filler)
            assert client.ask("/readyz")[0] == 200
            k = make_key(data)["key"]
            assert client.status(k) == 200 and cmd("secret", "rotate", data=data)[0] == 0
            assert client.status(client.make(k)) == 200
            names = [n for n in os.listdir(data) if n.startswith("secrets")]
            assert names == ["secrets"], names
            client.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def config_file(text):
    path = os.path.join(scratch(), "config.json")
    write(path, text if isinstance(text, str) else json.dumps(text))
    return path


# ---- a group that DATA is shared with (F3) ----

def as_kubernetes(data, uid, gid):
    """What fsGroup makes of a volume at each mount."""
    for top, dirs, files in os.walk(data):
        os.chown(top, uid, gid)
        os.chmod(top, 0o2770)
        for f in files:
            f = os.path.join(top, f)
            os.chown(f, os.stat(f).st_uid, gid)
            os.chmod(f, os.stat(f).st_mode & 0o777 | 0o660)


@test
def data_that_its_group_may_use():
    base = scratch()
    data, trusting = os.path.join(base, "var"), config_file({"data_group": True})
    make_key(data)
    root, program, who = os.geteuid() == 0, [support.PROGRAM], {}
    if root:  # as somebody else who is in the group, with a volume of root's
        os.chmod(base, 0o755)
        os.chmod(os.path.dirname(trusting), 0o755)
        program = [os.path.join(base, "subtoken")]
        shutil.copy(support.PROGRAM, program[0])
        who = {"user": 54321, "group": 54321, "extra_groups": [4242]}
    group = 4242 if root else os.getegid()
    as_kubernetes(data, os.geteuid(), group)

    def tried(*args):
        p = subprocess.run(program + [*args, "--data", data], capture_output=True, timeout=60, **who)
        return p.returncode, p.stderr.decode()

    def served(*args):
        log = os.path.join(scratch(), "log")
        p = subprocess.Popen(program + ["serve", "--data", data, "--listen", "127.0.0.1:0", *args],
                             stderr=open(log, "wb"), **who)
        deadline = time.time() + 30
        while p.poll() is None and '"listening"' not in open(log).read() and time.time() < deadline:
            time.sleep(0.02)
        p.terminate()
        return p.wait(timeout=20), open(log).read()

    # As ever, when nothing is said: and what to do about it.
    code, err = tried("key", "list")
    assert code == 3 and "chmod 700 it, or set data_group" in err, (code, err)
    assert served()[0] == 3
    code, log = served("--config", trusting)
    assert code == 0 and '"listening"' in log, (code, log)
    as_kubernetes(data, os.geteuid(), group)  # what the server made, too
    assert served("--config", trusting)[0] == 0
    # Others are still out.
    os.chmod(os.path.join(data, "secrets"), 0o664)
    code, log = served("--config", trusting)
    assert code == 3 and "open to others" in log, (code, log)
    os.chmod(os.path.join(data, "secrets"), 0o660)
    os.chmod(data, 0o2771)
    code, log = served("--config", trusting)
    assert code == 3 and "chmod 2770" in log, (code, log)
    os.chmod(data, 0o2770)
    # The commands learn it from the configuration in DATA; of the group nobody can put it there.
    beside = os.path.join(data, "config.json")
    write(beside, '{"data_group":true}')
    os.chmod(beside, 0o644)
    for words in (["key", "list"], ["secret", "list"], ["secret", "add"], ["user", "list"],
                  ["key", "create", "--name", "n", "--permissions", "a"]):
        assert tried(*words)[0] == 0, (words, tried(*words))
    assert served()[0] == 0
    for mode, owner in ((0o664, -1), (0o646, -1), (0o644, 999)):
        if owner != -1 and not root:
            continue
        os.chown(beside, owner, -1)
        os.chmod(beside, mode)
        assert tried("key", "list")[0] == 3
        code, log = served()
        assert code == 3 and "config.json must be a file of root or of the user" in log, (code, log)


# ---- the configuration ----

@test
def configurations_that_are_refused():
    data = data_dir()
    make_key(data)
    wrong = []
    for text, named in [
        ('{"colour":1}', 'line 1, column 2: "colour"'), ('{\n  "leeway": 60,\n  "colour": 1\n}', 'line 3, column 3: "colour"'),
        ('{"Leeway":1}', "Leeway"), ('{"":1}', "line 1"), ('{"leeway ":1}', "leeway "),
        ('{"leeway":60,"leeway":61}', "line 1"), ('{"log":"a","log":"a"}', "line 1"), ("", "line 1"), ("x", "line 1"),
        ("[]", "line 1"), ("null", "line 1"), ("{", "line 1"), ('{"leeway":60,}', "line 1"), ('{"leeway":60}x', "line 1"),
        ('{"leeway":60} {}', "line 1"), ("{'leeway':60}", "line 1"), ('{"leeway":0x10}', "line 1"),
        ('{\n\n"leeway":060}', "line 3"), ('{"leeway":1//x\n}', "line 1"), ('\ufeff{"leeway":1}', "line 1"),
        ('{"le\\u0000eway":1}', "line 1")] + [
        ('{"%s":%s}' % (name, value), name) for name, values in (
            ("listen", ("1", "null", '""', '["a"]', '"nonsense"', '"127.0.0.1"', '"127.0.0.1:99999"', '"x:80"', '"%s"' % ("1" * 300))),
            ("behind_tls", ("1", '"true"', "null")),
            ("threads", ("0", "-1", "1.5", '"8"', "null", "1e9", "true", "[]")),
            ("leeway", ("-1", "1.5", '"x"', '"-1"', '"1y"', '""', "null", "true", "1e30", '"2h"', '{"a":1}')),
            ("default_life", ("0", '"0d"', "-1", '"1w"', "null", "1.5", '"40000d"')),
            ("max_life", ("0", '"0"', "-1", "null", '"99999999999999999d"', "[1]")),
            ("access_life", ("0", '"x"', "null")), ("refresh_life", ("0", '"x"', "null")),
            ("refresh_retry", ("-1", '"61s"', "61", '"x"', "null")),
            ("sessions_per_key", ("0", "-1", "1.5", '"9"', "100001", "null", "[]")),
            ("trusted_proxies", ('"127.0.0.1"', "null", "[1]", '["x"]', '["10.0.0.0/33"]', '["::/129"]', '["10.0.0.0/"]', '[""]',
                                 '["10.0.0.0/8/8"]', json.dumps(["10.0.0.1"] * 33))),
            ("rate", ('"on"', "1", "null", "{}", '{"per_second":1}', '{"per_second":0,"burst":1}', '{"per_second":1,"burst":1,"x":1}',
                      '{"per_second":"1","burst":1}', '{"per_second":1,"burst":-1}')),
            ("registration", ('"opened"', "true", "null", '"Closed"', '""')), ("log", ("1", '""', "null", "[]"))) for value in values] + [
        ('{"rate":{"per_second":1,"per_second":1}}', "line 1"),
        ('{"default_life":"2d","max_life":"1d"}', "default_life"), ('{"max_life":"1d"}', "default_life"),
        ("{%s}" % (" " * 70000), "longer")]:
        path = config_file(text)
        found = starts(data, "--config", path) if '"listen"' not in text else cmd("serve", "--config", path, data=data)[::2]
        if found is None or found[0] != 3 or named not in found[1] or (path not in found[1] and '"listen"' not in text):
            wrong.append((text[:80], named, found))
        elif '"listen"' not in text and "longer" not in named and not re.search(r"line \d+, column \d+", found[1]):
            wrong.append((text[:80], "no place", found))
    assert not wrong, wrong
    found = starts(data, "--config", os.path.join(scratch(), "none"))
    assert found and found[0] == 3 and "none" in found[1]


@test
def every_setting():
    log = os.path.join(scratch(), "log")
    data = data_dir()
    key = make_key(data)
    plain = {"listen": "127.0.0.1:0", "behind_tls": False, "threads": 8, "leeway": "2m", "default_life": "1h",
             "max_life": "2h", "trusted_proxies": ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"],
             "rate": {"per_second": 1, "burst": 3}, "registration": "closed", "access_life": "15m",
             "refresh_life": 2592000, "sessions_per_key": 100, "refresh_retry": "1m", "log": log}
    server = Server(data, config=plain)
    at = server.cmd.index("--listen")
    del server.cmd[at:at + 2]  # the one in the file counts
    stderr = server.log
    server.log = lambda: stderr() + (open(log).read() if os.path.exists(log) else "")
    with server:
        client = Client(server)
        p = payload(client.make(key["key"]))
        assert p["exp"] - p["iat"] == 3600, p
        far = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 9 * 86400))
        status, body = client.ask("/v2/createsubtoken?expire=" + far, key["key"])
        p = payload(body["subtoken"])
        assert p["exp"] - p["iat"] == 7200, p
        # rate: a burst of 3, then one a second, per key
        got = [client.status(key["key"], "/v2/createsubtoken") for _ in range(4)]
        assert 429 in got and got.count(200) <= 2, got
        answer = curl(server.url + "/v2/createsubtoken", *bearer(key["key"]))
        assert answer.status == 429 and int(answer.header("Retry-After")) >= 1, answer.headers
        other = make_key(data)["key"]
        assert client.status(other, "/v2/createsubtoken") == 200
        assert client.status(key["key"]) == 200  # tokeninfo is not what is counted
        wait_for(lambda: client.status(key["key"], "/v2/createsubtoken") == 200, 5)
        # trusted_proxies: the address that they saw is the one in the log
        client.ask("/healthz", headers={"X-Forwarded-For": "192.0.2.7"})
        assert [l["remote"] for l in server.log_lines() if l.get("path") == "/healthz"] == ["192.0.2.7"]
        # leeway: 2 minutes
        with open(secrets_of(data)) as f:
            secret = unb64(f.read().strip()[1:])
        now = int(time.time())
        assert client.status(sign(secret, key["sub"], now + 110, now + 200)) == 200
        assert client.status(sign(secret, key["sub"], now + 130, now + 200)) == 401
        assert client.status(sign(secret, key["sub"], now - 300, now - 110)) == 200
        assert client.status(sign(secret, key["sub"], now, now + 7201)) == 401
        assert os.stat(log).st_mode & 0o007 == 0
        client.close()
        assert '"event"' not in stderr() and '"listening"' in open(log).read()
    assert key["key"][37:] not in server.log()


def sign(secret, sub, iat, exp):
    claims = json.dumps({"sub": sub, "iat": iat, "exp": exp, "permissions": []}).encode()
    text = b64(b'{"alg":"HS256","typ":"JWT"}') + "." + b64(claims)
    return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())


@test
def an_untrusted_proxy_is_not_believed():
    with Server() as server:
        Client(server).ask("/healthz", headers={"X-Forwarded-For": "192.0.2.7"})
        assert [l["remote"] for l in server.log_lines() if l.get("path") == "/healthz"] == ["127.0.0.1"]


def reload(server, config=None):
    """SIGHUP; True when it was taken, or the reason why not."""
    if config is not None:
        server.write_config(config)
    def now():
        text = server.log()
        return text.count('"event":"reloaded"'), text.count('"event":"reload_failed"')

    seen = now()
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: now() != seen)
    return True if now()[0] > seen[0] else events(server, "reload_failed")[-1]["detail"]


@test
def reload_whole_or_not_at_all():
    start = {"default_life": "1h", "max_life": "2h", "leeway": 60}
    with Server(config=start) as server:
        data = server.data
        key = make_key(data)
        client = Client(server)
        with open(secrets_of(data)) as f:
            good = f.read()
        secret = unb64(good.strip()[1:])
        sign_ = lambda iat, exp: sign(secret, key["sub"], int(time.time()) + iat, int(time.time()) + exp)

        def life():
            p = payload(client.make(key["key"]))
            return p["exp"] - p["iat"]

        assert life() == 3600
        with Traffic(server, key=key["key"]):
            for bad, named in (
                    ('{"default_life":"30m","colour":1}', "colour"), ('{"default_life":"30m"', "line 1"),
                    ({"default_life": "30m", "leeway": "x"}, "leeway"), ("", "line 1"),
                    ({"default_life": "30m", "max_life": "2h", "threads": 9}, "threads"),
                    ({"default_life": "30m", "rate": {"per_second": 0, "burst": 1}}, "rate"),
                    ({"default_life": "30m", "log": "/nowhere/log"}, "/nowhere/log")):
                why = reload(server, bad)
                assert why is not True and named in why, (bad, why)
                assert life() == 3600
            os.remove(server.config_path)
            assert reload(server) is not True and life() == 3600
            # A good one, and leeway and max_life take effect at once.
            assert client.status(sign_(110, 200)) == 401 and client.status(sign_(0, 7300)) == 401
            assert reload(server, {"default_life": "30m", "max_life": "3h", "leeway": "2m"}) is True
            assert life() == 1800
            assert client.status(sign_(110, 200)) == 200 and client.status(sign_(0, 7300)) == 200
            assert client.status(sign_(-300, -100)) == 200
            assert reload(server, {"default_life": "30m", "max_life": "1h", "leeway": 0}) is True
            assert client.status(sign_(10, 200)) == 401 and client.status(sign_(0, 3700)) == 401
            assert client.status(sign_(-300, -2)) == 401 and client.status(sign_(0, 3600)) == 200
        # Lower than the life of tokens just made: not with others at work.
        assert reload(server, {}) is True and life() == 30 * 86400
        assert reload(server, dict(start, rate={"per_second": 100000, "burst": 100000})) is True
        assert life() == 3600
    with Server(config={}) as server:
        key = make_key(server.data)["key"]
        client = Client(server)
        assert reload(server, {"rate": {"per_second": 1, "burst": 1}}) is True
        got = [client.status(key, "/v2/createsubtoken") for _ in range(3)]
        assert got[0] == 200 and 429 in got, got
        assert reload(server, {}) is True
        assert [client.status(key, "/v2/createsubtoken") for _ in range(3)] == [200] * 3


@test
def listen_is_not_reloaded():
    """Given in the file alone: a change of it is refused, with all that came with it."""
    data = data_dir()
    server = Server(data, config={"listen": "127.0.0.1:0", "default_life": "1h", "max_life": "2h"})
    at = server.cmd.index("--listen")
    del server.cmd[at:at + 2]
    with server:
        key = make_key(data)["key"]
        client = Client(server)
        why = reload(server, {"listen": "127.0.0.1:1", "default_life": "30m", "max_life": "2h"})
        assert why is not True and "listen" in why, why
        p = payload(client.make(key))
        assert p["exp"] - p["iat"] == 3600


@test
def a_reload_beside_a_bad_ring():
    """Not taken: then nothing of it is, the log neither."""
    other = os.path.join(scratch(), "log")
    with Server(config={"default_life": "1h", "max_life": "2h"}) as server:
        key = make_key(server.data)["key"]
        client = Client(server)
        path = secrets_of(server.data)
        with open(path) as f:
            good = f.read()
        write(path, "garbage\n")
        server.write_config({"default_life": "30m", "max_life": "2h", "log": other})
        server.process.send_signal(signal.SIGHUP)
        both = lambda: server.log() + (open(other).read() if os.path.exists(other) else "")
        wait_for(lambda: '"reload' in both())
        p = payload(client.make(key))
        taken = p["exp"] - p["iat"] == 1800
        assert taken == ('"reloaded"' in both())
        client.status(key)
        time.sleep(0.2)
        moved = os.path.exists(other) and '"request"' in open(other).read()
        write(path, good)
        assert taken == moved, "refused, but the log has moved"


@test
def the_log_is_reopened():
    where = scratch()
    log, second = os.path.join(where, "log"), os.path.join(where, "second")
    with Server(config={}) as server:
        client = Client(server)
        server.write_config({"log": log})
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(log) and "reloaded" in open(log).read())
        os.rename(log, log + ".1")
        client.ask("/healthz?first")
        wait_for(lambda: "/healthz" in open(log + ".1").read())
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(log) and "reloaded" in open(log).read())
        client.ask("/readyz")
        wait_for(lambda: "/readyz" in open(log).read())
        assert "/readyz" not in open(log + ".1").read()
        server.write_config({"log": "stderr"})
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in server.log())


@test
def a_name_that_is_not_of_this_machine_alone():
    for config, listen, warned in (({}, "0.0.0.0:0", True), ({"behind_tls": True}, "0.0.0.0:0", False),
                                   ({}, "127.0.0.1:0", False), ({}, "localhost:0", False),
                                   ({"behind_tls": False}, "[::]:0", True), ({}, "[::1]:0", False)):
        server = Server(config=dict(config, threads=16))
        server.cmd[server.cmd.index("--listen") + 1] = listen
        try:
            server.start()
        except AssertionError:
            if "[" in listen:
                continue  # no IPv6 here
            raise
        found = events(server, "not_behind_tls")
        server.stop()
        assert bool(found) == warned, (config, listen, server.log())


# ---- the process ----

def limits(pid):
    with open("/proc/%d/limits" % pid) as f:
        return dict(re.findall(r"^(Max .*?)  +(\S+ +\S+)", f.read(), re.M))


@test
def nothing_leaks_from_the_process():
    with Server() as server:
        key = make_key(server.data)["key"]
        token = Client(server).make(key)
        with open(secrets_of(server.data)) as f:
            secret = f.read().strip()[1:]
        pid = server.process.pid
        assert limits(pid)["Max core file size"].split() == ["0", "0"], limits(pid)
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (pid, name), "rb") as f:
                text = f.read()
            assert (b"subtoken" in text) or name == "environ"
            for hidden in (key, token, secret):
                assert hidden.encode() not in text, name
        for hidden in (key[37:], token, secret):
            assert hidden not in server.log()
    # The short commands, caught while they wait for their standard input.
    for words, text in ((["issue"], key), (["verify"], token), (["inspect"], token)):
        extra = [] if words == ["inspect"] else ["--data", server.data]
        p = subprocess.Popen([PROGRAM] + words + extra, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdin.write(text.encode())
        p.stdin.flush()
        wait_for(lambda: limits(p.pid)["Max core file size"].split() == ["0", "0"])
        with open("/proc/%d/cmdline" % p.pid, "rb") as f:
            assert text.encode() not in f.read()
        p.communicate()
        assert p.returncode == 0, words


@test
def others_of_its_user_cannot_look_inside():
    """PR_GET_DUMPABLE, seen from outside: the files of a process that is not dumpable
    belong to root, even when the process does not."""
    if os.geteuid() != 0:
        with Server() as server:
            assert os.stat("/proc/%d/environ" % server.process.pid).st_uid == 0
        return
    where = tempfile.mkdtemp(prefix="subtoken-test-", dir="/tmp")
    support._dirs.append(where)
    os.chmod(where, 0o755)
    program = os.path.join(where, "subtoken")
    shutil.copy(PROGRAM, program)
    os.chmod(program, 0o755)
    data = os.path.join(where, "data")
    os.mkdir(data, 0o700)
    os.chown(data, 65534, 65534)

    def drop():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    env = dict(os.environ)  # who may not look inside cannot look for leaks either
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    supp = re.search(r"suppressions=([^ :]+)", env.get("TSAN_OPTIONS", ""))
    if supp:  # where the tree lies it may be for its owner alone
        shutil.copy(supp.group(1), where)
        mine = os.path.join(where, os.path.basename(supp.group(1)))
        os.chmod(mine, 0o644)
        env["TSAN_OPTIONS"] = env["TSAN_OPTIONS"].replace(supp.group(1), mine)
    server = support.Server(os.path.join(data, "var"), env=env, preexec=drop)
    server.cmd[0] = program
    with server:
        pid = server.process.pid
        with open("/proc/%d/status" % pid) as f:
            assert re.search(r"^Uid:\s+65534\b", f.read(), re.M)
        assert os.stat("/proc/%d/environ" % pid).st_uid == 0
        p = subprocess.run(["cat", "/proc/%d/environ" % pid], preexec_fn=drop, capture_output=True)
        assert p.returncode != 0, "another process of the same user reads it"
        assert os.stat(os.path.join(data, "var", "secrets")).st_uid == 65534
        # Root may use what belongs to another? Not without being told: the owner is checked.
        code, _, err = cmd("key", "list", data=os.path.join(data, "var"))
        assert code == 3 and "65534" in err, (code, err)


@test
def killed_ring_commands_leave_no_copy_of_the_ring():
    """A secret that is retired later must not live on in a file that nobody knows of."""
    data = data_dir()
    make_key(data)
    with open(secrets_of(data)) as f:
        ring = f.read()
    write(secrets_of(data) + ".new-a1B2c3", ring, 0o600)  # what a kill in mid-write leaves
    write(secrets_of(data) + ".backup", ring, 0o600)  # what an operator leaves
    cmd("secret", "rotate", data=data)
    assert sorted(n for n in os.listdir(data) if n.startswith("secrets")) == [
        "secrets", "secrets.backup"], os.listdir(data)


@test
def a_database_replaced_under_a_server():
    """A backup put in place while the server runs: it refuses, rather than go on with the old."""
    data, keys = with_keys(1)
    copy = os.path.join(scratch(), "copy")
    assert cmd("backup", copy, data=data)[0] == 0
    with Server(data) as server:
        key = make_key(data)["key"]
        assert curl(server.url + "/v2/tokeninfo", *bearer(key)).status == 200
        for name in os.listdir(data):
            if name.startswith("subtoken.db"):
                os.remove(os.path.join(data, name))
        shutil.copy(copy, db_of(data))
        os.chmod(db_of(data), 0o600)
        assert curl(server.url + "/readyz").status == 503
        assert curl(server.url + "/v2/tokeninfo", *bearer(key)).status == 503
        assert curl(server.url + "/healthz").status == 200
        assert any("replaced" in l.get("detail", "") for l in server.log_lines())
    with Server(data) as server:
        assert curl(server.url + "/v2/tokeninfo", *bearer(key)).status == 401


@test
def nothing_waits_for_a_fifo():
    data = data_dir()
    key = make_key(data)["key"]
    fifo = os.path.join(scratch(), "fifo")
    os.mkfifo(fifo, 0o600)
    assert cmd("verify", "--secrets", fifo, stdin="a.b.c", timeout=5)[0] == 3
    assert cmd("serve", "--config", fifo, data=data, timeout=5)[0] == 3
    config = os.path.join(scratch(), "config")
    write(config, json.dumps({"log": fifo}).encode(), 0o600)
    assert cmd("serve", "--config", config, data=data, timeout=5)[0] == 3
    with Server(data) as server:
        os.rename(secrets_of(data), secrets_of(data) + ".good")
        os.mkfifo(secrets_of(data), 0o600)
        assert curl(server.url + "/v2/tokeninfo", *bearer(key), timeout=5).status == 200
        os.rename(secrets_of(data) + ".good", secrets_of(data))


main()
