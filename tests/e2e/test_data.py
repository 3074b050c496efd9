"""DATA: its modes and formats, what is refused and left as it was, several servers on one, and a group that shares it."""
import sqlite3
from datadir import *

# ---- modes and formats ----


@test
def a_new_data_directory_is_private_and_complete():
    for umask in (0o000, 0o022, 0o077):
        for how in ("key", "serve"):
            data = data_dir()
            old = os.umask(umask)
            try:
                if how == "key":
                    make_key(data)
                    names = ["secrets", "subtoken.db"]
                else:
                    with SmallServer(data):
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
    with SmallServer() as server:
        keys = [make_key(server.data) for _ in range(3)]
        run("key", "delete", keys[0]["id"], data=server.data)
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
def a_bad_ring_is_refused_and_left_as_it_was():
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
                code, out, err = run(*words, data=data, stdin=token if words == ["verify"] else key["key"])
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
    # A link counts as the file at its end, and one that ends nowhere is refused.
    real = os.path.join(scratch(), "ring")
    write(real, good, 0o644)
    os.symlink(real, path)
    refused("link to a readable file")
    os.remove(real)
    found = starts(data)
    assert found and found[0] == 3 and path in found[1], found
    assert not os.path.exists(real)
    write(real, good, 0o600)
    assert starts(data) is None and run("verify", data=data, stdin=token)[0] == 0
    os.remove(path)
    write(path, good, 0o600)
    if os.geteuid() == 0:
        os.chown(path, 12345, 0)
        refused("another's file")
        os.chown(path, 0, 0)
    assert run("verify", data=data, stdin=token)[0] == 0
    # The good ones.
    for name, text in (("no last line end", good.strip()), ("64 bytes", ":%s\n" % b64(bytes(range(64)))),
                       ("16", "".join("k%d:%s\n" % (i, MORE[i]) for i in range(16))),
                       ("long kid", "%s:%s\n" % ("aZ_-" * 16, GOOD)),
                       ("one secret, two names", ":%s\nk1:%s\n" % (GOOD, GOOD))):
        for bits in (0o600, 0o400, 0o640, 0o440, 0o700):
            os.chmod(path, 0o600)
            write(path, text, bits)
            code, out, err = run("issue", data=data, stdin=key["key"])
            assert code == 0, (name, oct(bits), err)
            assert run("verify", data=data, stdin=out)[0] == 0
        assert starts(data) is None, name


@test
def data_open_to_others_is_refused():
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
                code, out, err = run(*words, data=data)
                assert code == 3 and data in err and out == "", (oct(bits), words, code, err)
            found = starts(data)
            assert found and found[0] == 3 and data in found[1], found
            assert sorted(os.listdir(data)) == before and mode(data) == bits
    data = data_dir()
    make_key(data)
    link = os.path.join(scratch(), "link")
    os.symlink(data, link)
    assert run("key", "list", data=link)[0] == 0


def hold_refused(data, name, also=()):
    """serve and the key commands exit 3, name the file and leave it as it is."""
    path = db_of(data)
    before = digest(path)
    ring = digest(secrets_of(data)) if os.path.exists(secrets_of(data)) else None
    found = starts(data)
    assert found and found[0] == 3 and "subtoken.db" in found[1], (name, found)
    for words in (["key", "list"], ["key", "show", "x"], ["key", "delete", "x"],
                  ["key", "create", "--name", "n", "--permissions", "a"], *also):
        code, out, err = run(*words, data=data, stdin="x")
        assert code == 3 and path in err and out == "", (name, words, code, out, err)
    assert digest(path) == before, name + ": changed"
    if ring:
        assert digest(secrets_of(data)) == ring


@test
def a_bad_database_is_refused_and_left_as_it_was():
    data, key = with_keys(300)
    path = db_of(data)
    with open(path, "rb") as f:
        good = f.read()
    assert len(good) > 80000 and len(good) % 4096 == 0
    assert run("key", "show", key["id"], data=data)[0] == 0

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
    assert run("key", "show", key["id"], data=data)[0] == 0
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
    assert run("key", "show", key["id"], data=data)[0] == 0
    assert len(objects(run("key", "list", "--json", data=data)[1])) == 301


@test
def an_empty_database_is_refused():
    data, _ = with_keys(3)
    write(db_of(data), b"")
    hold_refused(data, "zero length", [["backup", os.path.join(scratch(), "copy")]])


@test
def a_missing_ring_is_not_made_again():
    data = data_dir()
    key = make_key(data)
    with open(secrets_of(data)) as f:
        good = f.read()
    os.remove(secrets_of(data))
    found = starts(data)
    assert found and found[0] == 3 and secrets_of(data) in found[1] and "missing" in found[1], found
    for words in (["key", "create", "--name", "n", "--permissions", "a"], ["issue"], ["verify"],
                  ["secret", "list"], ["secret", "rotate"], ["secret", "promote", "-"]):
        code, out, err = run(*words, data=data, stdin=key["key"])
        assert code == 3 and secrets_of(data) in err and out == "", (words, code, err)
        assert not os.path.exists(secrets_of(data)), words
    write(secrets_of(data), good, 0o600)
    assert starts(data) is None
    os.remove(secrets_of(data))
    code, out, err = run("secret", "add", data=data)  # the way out that the message names
    assert code == 0 and out == "-\n", (code, out, err)
    assert starts(data) is None and mode(secrets_of(data)) == 0o600


# ---- the store ----

@test
def two_servers_see_each_change_at_once():
    data = data_dir()
    with SmallServer(data) as one, SmallServer(data) as two:
        a, b = Client(one), Client(two)
        for _ in range(5 if SANITIZER else 15):
            k = make_key(data)
            key, id = k["key"], k["id"]
            see = lambda what, path="/v2/tokeninfo": (a.status(what, path), b.status(what, path))
            assert see(key) == (200, 200)
            t1, t2 = a.make(key), b.make(key)
            assert see(t1) == see(t2) == (200, 200)
            run("key", "disable", id, data=data, check=0)
            assert see(key) == see(t1) == see(t2) == (401, 401)
            assert see(key, "/v2/createsubtoken") == (401, 401)
            run("key", "enable", id, data=data, check=0)
            assert see(key) == see(t1) == see(t2) == (200, 200)
            run("key", "revoke-subtokens", id, data=data, check=0)
            assert see(t1) == see(t2) == (401, 401) and see(key) == (200, 200)
            t3 = b.make(key)
            assert see(t3) == (200, 200) and a.make(t3)
            run("key", "delete", id, data=data, check=0)
            assert see(key) == see(t3) == see(t1) == (401, 401)


@test
def several_programs_start_on_a_new_data_at_once():
    for round in range(4 if SANITIZER else 12):
        data = data_dir()
        if round % 2:
            servers = [SmallServer(data) for _ in range(2)]
            threads = [threading.Thread(target=s.start) for s in servers]
        else:
            servers, made = [SmallServer(data)], []
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
def data_group_lets_the_group_in():
    base = scratch()
    data, trusting = os.path.join(base, "var"), config_file({"data_group": True})
    make_key(data)
    root, program, who = os.geteuid() == 0, [PROGRAM], {}
    if root:  # as somebody else who is in the group, with a volume of root's
        os.chmod(base, 0o755)
        os.chmod(os.path.dirname(trusting), 0o755)
        program = [os.path.join(base, "subtoken")]
        shutil.copy(PROGRAM, program[0])
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
        deadline = time.time() + 120
        while p.poll() is None and '"listening"' not in open(log).read() and time.time() < deadline:
            time.sleep(0.02)
        p.terminate()
        return p.wait(timeout=120), open(log).read()

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


@test
def a_database_replaced_under_a_server_is_refused():
    """A backup put in place while the server runs: it refuses, rather than go on with the old."""
    data, keys = with_keys(1)
    copy = os.path.join(scratch(), "copy")
    assert run("backup", copy, data=data)[0] == 0
    with SmallServer(data) as server:
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
    with SmallServer(data) as server:
        assert curl(server.url + "/v2/tokeninfo", *bearer(key)).status == 401


@test
def a_fifo_in_place_of_a_file_is_refused():
    data = data_dir()
    key = make_key(data)["key"]
    fifo = os.path.join(scratch(), "fifo")
    os.mkfifo(fifo, 0o600)
    assert run("verify", "--secrets", fifo, stdin="a.b.c")[0] == 3
    assert run("serve", "--config", fifo, data=data)[0] == 3
    config = os.path.join(scratch(), "config")
    write(config, json.dumps({"log": fifo}).encode(), 0o600)
    assert run("serve", "--config", config, data=data)[0] == 3
    with SmallServer(data) as server:
        os.rename(secrets_of(data), secrets_of(data) + ".good")
        os.mkfifo(secrets_of(data), 0o600)
        assert curl(server.url + "/v2/tokeninfo", *bearer(key)).status == 200
        os.rename(secrets_of(data) + ".good", secrets_of(data))

main()
