"""Backups while others write, and disks and files that have no room."""
import contextlib, resource, sqlite3, threading
from datadir import *
from feed import sequence_of, time_of


@test
def a_backup_is_whole_while_others_write():
    data = data_dir()
    with SmallServer(data) as server:
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
                        run("key", "delete", mine.pop(0), data=data, check=0)
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
                run("backup", path, data=data, check=0)
                assert os.listdir(os.path.dirname(path)) == ["copy.db"] and mode(path) == 0o600
                before = digest(path)
                code, _, err = run("backup", path, data=data)
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
                assert run("verify", data=data, stdin=token)[0] == 0
        finally:
            done.set()
            [t.join() for t in threads]
        assert not failures, failures[0]
        assert counts == sorted(counts) and counts[-1] > counts[0], counts
    for where in (os.path.join(data, "nowhere", "copy"), data, db_of(data), "/proc/copy"):
        before = digest(db_of(data))
        code, out, err = run("backup", where, data=data)
        assert code in (1, 3) and where in err and digest(db_of(data)) == before, (where, code, err)
    link = os.path.join(scratch(), "link")
    os.symlink(link + "-target", link)
    assert run("backup", link, data=data)[0] in (1, 3) and not os.path.exists(link + "-target")
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
def without_room_nothing_is_left_half_written():
    """Writes fail at every size of file: nothing half made, nothing lost."""
    data, key = with_keys(20)
    have = {r["id"] for r in objects(run("key", "list", "--json", data=data)[1])}
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
        rows = {r["id"] for r in objects(run("key", "list", "--json", data=data)[1])}
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
        assert [r["id"] for r in objects(run("key", "list", "--json", data=fresh)[1])] == [k["id"]]


@test
def a_full_disk_is_an_error_and_loses_nothing():
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    disk = scratch()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", disk],
                      capture_output=True).returncode != 0:
        return "a small disk cannot be mounted here"
    try:
        data = os.path.join(disk, "var")
        with SmallServer(data) as server:
            client = Client(server)
            key, teller = make_key(data), make_key(data, "metrics")["key"]
            token = client.make(key["key"])
            assert client.ask("/readyz")[0] == 200
            filler = fill_disk(disk)
            have = objects(run("key", "list", "--json", data=data)[1])
            ring = digest(secrets_of(data))
            full = 0
            for _ in range(40):
                code, out, err = run("key", "create", "--name", "n", "--permissions", "a", "--json", data=data)
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
            rows = objects(run("key", "list", "--json", data=data)[1])
            assert sorted(r["id"] for r in rows) == sorted(r["id"] for r in have)
            assert run("key", "delete", key["id"], data=data)[0] in (0, 3)
            gone = run("key", "show", key["id"], data=data)[0] == 1
            assert client.status(key["key"]) == (401 if gone else 200)
            status, said = client.ask("/readyz")
            assert status == 503 and "not written" in said["text"] and client.ask("/healthz")[0] == 200, (status, said)
            assert any("No space left" in e["detail"] for e in events(server, "store_error")), server.log()[-1000:]
            assert re.search(r"(?m)^subtoken_disk_free_bytes \d{1,5}$", curl(server.url + "/metrics", "-H", "Authorization: Bearer " + teller).body), "the disk is full"
            code, out, err = run("secret", "rotate", data=data)
            assert code == 3 and digest(secrets_of(data)) == ring, (code, out, err)
            code, out, err = run("backup", os.path.join(disk, "copy"), data=data)
            assert code == 3 and sorted(os.listdir(disk)) == ["filler", "var"], (code, err, os.listdir(disk))
            os.remove(filler)
            assert client.ask("/readyz")[0] == 200
            k = make_key(data)["key"]
            assert client.status(k) == 200 and run("secret", "rotate", data=data)[0] == 0
            assert client.status(client.make(k)) == 200
            names = [n for n in os.listdir(data) if n.startswith("secrets")]
            assert names == ["secrets"], names
            client.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@contextlib.contextmanager
def small_disk(kind):
    """A small file system of its own, as small as this kind can be; None where there cannot be one."""
    disk, image = scratch(), os.path.join(scratch(), "image")
    words = ["-t", "tmpfs", "-o", "size=16m", "none"]
    if kind != "tmpfs":
        with open(image, "wb") as f:
            f.truncate({"xfs": 320, "btrfs": 128}.get(kind, 16) << 20)
        made = shutil.which("mkfs." + kind) and subprocess.run(["mkfs." + kind, "-q", image], capture_output=True)
        words = ["-o", "loop", image]
        if not made or made.returncode != 0:
            yield None
            return
    if subprocess.run(["mount", *words, disk], capture_output=True).returncode != 0:
        yield None
        return
    try:
        os.chmod(disk, 0o700)
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


class Greedy(threading.Thread):
    """Takes every block as soon as it is free, as a log does that fills the disk."""

    def __init__(self, disk):
        super().__init__(daemon=True)
        self.done, self.path = threading.Event(), fill_disk(disk)

    def run(self):
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        while not self.done.wait(0.001):
            for size in (4096, 512, 1):
                try:
                    os.write(fd, b"x" * size)
                except OSError:
                    pass
        os.close(fd)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()
        os.remove(self.path)


def revocations_reach_an_edge(disk):
    """All that is deleted while the disk is full, the issuer's and the edge's, is known to the edge, whose data stays fresh."""
    data, file = os.path.join(disk, "var"), os.path.join(disk, "revoked")
    with SmallServer(data) as server:
        reader = private_file(make_key(data, "revocations", name="reader")["key"] + "\n")
        manager = make_key(data, "keys,account", name="manager")["key"]
        pull = subprocess.Popen([PROGRAM, "pull", "--from", server.url, "--to", file, "--key-file", reader],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        client = Client(server)
        try:
            def told(sequence):
                wait(lambda: pull.poll() is not None or os.path.exists(file + ".alive") and
                     sequence_of(open(file, "rb").read()) >= sequence, "sequence %d at the edge" % sequence)
                assert pull.poll() is None, pull.communicate()[1]

            def call(method, path, body=None):
                headers = {"Authorization": "Bearer " + manager, "Content-Type": "application/json"}
                client.connection.request(method, path, json.dumps(body), headers)
                answer = client.connection.getresponse()
                return answer, answer.read()

            def delete(key):
                """The sequence of it; None: no room for it in the database."""
                answer, _ = call("DELETE", "/v2/keys/" + key)
                assert answer.status in (204, 503), answer.status
                return int(answer.headers["Subtoken-Seq"]) if answer.status == 204 else None

            # The database's log has been as long as it becomes and begins anew, as in a server that has served for a while.
            keys, grown = [], [0, 1]
            while grown[-1] != grown[-2]:
                for _ in range(50):
                    answer, body = call("POST", "/v2/keys", {"name": "k", "permissions": ["account"]})
                    assert answer.status == 201, body
                    keys.append(json.loads(body)["id"])
                grown.append(os.path.getsize(db_of(data) + "-wal"))
            told(delete(keys.pop()))
            with Greedy(disk):
                done = [s for s in map(delete, keys[:8]) if s is not None and (told(s) or True)]
                assert len(done) >= 5, (done, grown)
                # More than once a heartbeat, and nothing but the spares is written to.
                for _ in range(3):
                    before = time_of(file + ".alive")
                    wait(lambda: time_of(file + ".alive") > before or pull.poll() is not None, "a newer heartbeat")
                left = sorted(n for n in os.listdir(disk) if n not in ("lost+found", "filler"))
            assert left == ["revoked", "revoked.alive", "revoked.alive.spare", "revoked.lock", "revoked.seen",
                            "revoked.spare", "var"], left
        finally:
            pull.terminate()
            err = pull.communicate(timeout=60)[1].decode()
            client.close()
        assert "pull_failed" not in err, err
    return len(done)


@test
def no_key_is_made_for_a_file_on_a_full_disk():
    data = data_dir()
    key = make_key(data)
    with small_disk("tmpfs") as disk:
        if disk is None:
            return "a small disk cannot be mounted here"
        printed = open(os.path.join(disk, "printed"), "ab")
        fill_disk(disk)
        for words in (["create", "--name", "n", "--permissions", "a"], ["rotate", key["id"]], ["rotate", key["id"], "--json"]):
            p = subprocess.run([PROGRAM, "key", *words, "--data", data], stdout=printed, stderr=subprocess.PIPE)
            assert p.returncode == 3 and b"standard output: No space left" in p.stderr and b"lost" not in p.stderr, (words, p)
        printed.close()
        assert os.path.getsize(printed.name) == 0
    assert len(objects(run("key", "list", "--json", data=data)[1])) == 1
    assert run("issue", data=data, stdin=key["key"])[0] == 0


@test
def a_full_disk_keeps_no_revocation_from_an_edge():
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    tried = []
    for kind in os.environ.get("SUBTOKEN_DISKS", "tmpfs ext4").split():
        with small_disk(kind) as disk:
            if disk is not None:
                tried.append("%s: %d" % (kind, revocations_reach_an_edge(disk)))
    print("# deleted while the disk was full: " + ", ".join(tried))
    if not tried:
        return "a small disk cannot be mounted here"


def keys_are_deleted_beside_a_large_snapshot(disk):
    """Its spare would take all the room that is left, and on ext4 what is asked for in vain is taken all the same."""
    data = os.path.join(disk, "var")
    keys = [make_key(data)["id"] for _ in range(4)]
    reader = private_file(make_key(data, "revocations")["key"] + "\n")
    with SmallServer(data) as server:  # it vouches for something, and keeps that
        run("pull", "--once", "--from", server.url, "--to", os.path.join(scratch(), "revoked"), "--key-file", reader, check=0)
    for name in os.listdir(data):
        if name.endswith(".spare"):
            os.remove(os.path.join(data, name))
    with open(os.path.join(data, "snapshot"), "wb") as f:
        f.write(os.urandom(4 << 20))
    os.sync()
    room = os.statvfs(disk)
    with open(os.path.join(disk, "filler"), "wb") as f:
        os.posix_fallocate(f.fileno(), 0, room.f_bfree * room.f_bsize - (2 << 20))
    with SmallServer(data):
        for key in keys:
            run("key", "delete", key, data=data, check=0)
    assert "snapshot.spare" not in os.listdir(data)


@test
def a_spare_takes_no_room_that_the_database_needs():
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    with small_disk("ext4") as disk:
        if disk is None:
            return "a small disk of ext4 cannot be mounted here"
        keys_are_deleted_beside_a_large_snapshot(disk)


main()
