"""The ring changes while servers run: under traffic, to a bad one, by several commands at once, and killed."""
from datadir import *


@test
def no_request_fails_while_the_ring_changes():
    data = data_dir()
    with SmallServer(data) as server, SmallServer(data) as second:
        key = make_key(data)["key"]
        a, b = Client(server), Client(second)
        with Traffic(server, second, key=key) as traffic:
            first = a.make(key)
            assert kid_of(first) is None
            traffic.old.append(first)
            code, out, _ = run("secret", "add", "--kid", "k1", data=data)
            assert (code, out) == (0, "k1\n") and kids(data) == ["-", "k1"]
            assert kid_of(a.make(key)) is None and kid_of(b.make(key)) is None
            assert run("secret", "add", "--kid", "k1", data=data)[0] == 1
            time.sleep(0.2)
            run("secret", "promote", "k1", data=data, check=0)
            tokens = [a.make(key), b.make(key)]  # at once, in both
            assert [kid_of(t) for t in tokens] == ["k1", "k1"]
            assert json.loads(unb64(tokens[0].split(".")[0])) == {"alg": "HS256", "typ": "JWT", "kid": "k1"}
            assert tokens[0].startswith(b64(b'{"alg":"HS256","typ":"JWT","kid":"k1"}') + ".")
            traffic.old += tokens
            assert a.status(first) == 200 and b.status(tokens[0]) == 200
            time.sleep(0.2)
            kid = run("secret", "rotate", data=data, check=0)[1].strip()
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", kid) and kids(data) == [kid, "k1", "-"], kids(data)
            assert kid_of(a.make(key)) == kid and kid_of(b.make(key)) == kid
            for t in [first] + tokens:
                assert a.status(t) == 200 and b.status(t) == 200
            # One that signs is not retired, one that signed not without --force.
            assert run("secret", "retire", kid, data=data)[0] == 1
            assert run("secret", "retire", kid, "--force", data=data)[0] == 1
            for name in ("k1", "-"):
                code, _, err = run("secret", "retire", name, data=data)
                assert code == 1 and "--force" in err, (code, err)
            assert kids(data) == [kid, "k1", "-"]
            # One that never signed goes without.
            run("secret", "add", "--kid", "never", data=data, check=0)
            run("secret", "retire", "never", data=data, check=0)
            assert kids(data) == [kid, "k1", "-"]
            # Back and forth: it signed, so it wants --force again.
            run("secret", "add", "--kid", "short", data=data, check=0)
            run("secret", "promote", "short", data=data, check=0)
            run("secret", "promote", kid, data=data, check=0)
            assert run("secret", "retire", "short", data=data)[0] == 1
            run("secret", "retire", "short", "--force", data=data, check=0)
            time.sleep(0.3)
            traffic.old = [t for t in traffic.old if kid_of(t) != "k1"]
            time.sleep(0.3)
            run("secret", "retire", "k1", "--force", data=data, check=0)
            assert a.status(tokens[0]) == 401 and b.status(tokens[1]) == 401
            assert a.status(first) == 200
            traffic.old = []
            time.sleep(0.3)
            run("secret", "retire", "-", "--force", data=data, check=0)
            assert a.status(first) == 401 and b.status(first) == 401
            assert kids(data) == [kid]
            for _ in range(8):  # quickly, one after the other
                last = run("secret", "rotate", data=data, check=0)[1].strip()
                assert kid_of(a.make(key)) == last
        assert mode(secrets_of(data)) == 0o600
        assert sorted(n for n in os.listdir(data) if n.startswith("secrets")) == ["secrets"]
        for s in (server, second):
            assert events(s, "ring_refused") == [] and len(events(s, "ring_loaded")) >= 10
        run("secret", "add", data=data, check=0)
        for _ in range(30):
            code = run("secret", "add", data=data)[0]
        assert code == 1 and len(kids(data)) == 16
        code, _, err = run("secret", "rotate", data=data)
        assert code == 1 and "full" in err, (code, err)


@test
def a_ring_that_goes_bad_under_a_server_is_kept_out():
    data = data_dir()
    path = secrets_of(data)
    with SmallServer(data) as server:
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
            code = run("verify", data=data, stdin=token)[0]
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
        wait(lambda: kid_of(clients[0].make(key)) == "m")
        os.remove(path)
        for c in clients:
            assert c.status(token) == 200 and kid_of(c.make(key)) == "m"
        write(path, good, 0o600)
        assert kid_of(clients[1].make(key)) is None


@test
def ring_commands_keep_a_links_target_and_the_group():
    data = data_dir()
    key = make_key(data)["key"]
    path, real = secrets_of(data), os.path.join(scratch(), "ring")
    os.rename(path, real)
    os.symlink(real, path)
    os.chmod(real, 0o640)
    group = 54321 if os.geteuid() == 0 else os.getgid()
    os.chown(real, -1, group)
    with SmallServer(data) as server:
        client = Client(server)
        for words in (["rotate"], ["add", "--kid", "x"], ["promote", "x"], ["retire", "-", "--force"]):
            before = os.stat(real).st_ino
            run("secret", *words, data=data, check=0)
            assert os.path.islink(path) and os.readlink(path) == real, words
            now = os.stat(real)
            assert now.st_ino != before and now.st_mode & 0o7777 == 0o640 and now.st_gid == group, words
            assert client.status(client.make(key)) == 200
        assert kid_of(client.make(key)) == "x"
    assert [n for n in os.listdir(os.path.dirname(real))] == ["ring"]


@test
def ring_commands_at_once_lose_no_secret():
    """Eight rotations and additions at a time: each one that said done is there."""
    data = data_dir()
    make_key(data)
    done = []

    def go(i):
        for j in range(2):
            done.append(run("secret", "add" if (i + j) % 2 else "rotate", "--kid", "c%d-%d" % (i, j), data=data))

    threads = [threading.Thread(target=go, args=(i,)) for i in range(7)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert [d[0] for d in done] == [0] * 14, done
    assert sorted(kids(data)) == sorted(["-"] + ["c%d-%d" % (i, j) for i in range(7) for j in range(2)])


@test
def killed_ring_commands_leave_no_copy_of_the_ring():
    """A secret that is retired later must not live on in a file that nobody knows of."""
    data = data_dir()
    make_key(data)
    with open(secrets_of(data)) as f:
        ring = f.read()
    write(secrets_of(data) + ".new-a1B2c3", ring, 0o600)  # what a kill in mid-write leaves
    write(secrets_of(data) + ".backup", ring, 0o600)  # what an operator leaves
    run("secret", "rotate", data=data)
    assert sorted(n for n in os.listdir(data) if n.startswith("secrets")) == [
        "secrets", "secrets.backup"], os.listdir(data)

main()
