"""The audit log: a line for every change, by whom and from where."""
from calls import *
from stores import database_of


def after_the_ring(lines):
    """In a database that others may share the first line is that of the ring."""
    if STORE:
        assert lines[0]["action"] == "secret.add" and re.fullmatch("the first ring of this store: [0-9a-f]{16}", lines[0]["detail"]), lines[0]
        return lines[1:]
    return lines


@test
def every_change_is_in_the_audit_log():
    with Server() as server:
        make_user(server.data, "root", "keys,users,audit,account")
        pair = log_in(server, "root").json()
        token = pair["access_token"]
        key = new_key(server, token, name="worker").json()
        call(server, "PATCH", "/v2/keys/" + key["id"], token, {"disabled": True})
        call(server, "PATCH", "/v2/keys/" + key["id"], token, {"disabled": False})
        call(server, "PATCH", "/v2/keys/" + key["id"], token, {"name": "other"})
        call(server, "POST", "/v2/keys/%s/revoke-subtokens" % key["id"], token)
        call(server, "POST", "/v1/user", token, {"login": "eve", "password": PASSWORD})
        call(server, "DELETE", "/v2/keys/" + key["id"], token)
        user(server.data, "delete", "eve")
        lines = [json.loads(l) for l in run("audit", "--json", data=server.data, check=0)[1].splitlines()]
        every, lines = lines, after_the_ring(lines)
        actions = [l["action"] for l in lines]
        assert actions == ["user.create", "login.begin", "key.create", "key.disable", "key.enable",
                           "key.rename", "key.revoke_subtokens", "user.create", "key.delete",
                           "user.delete"], actions
        assert lines[2]["who"] == "person root" and lines[2]["from"] == "127.0.0.1"
        assert lines[2]["target"] == key["id"] and "worker" in lines[2]["detail"]
        assert lines[0]["from"] == "command line" and lines[0]["who"].startswith("user ")
        pages, before = [], ""
        while before is not None:
            page = call(server, "GET", "/v2/audit?limit=4" + before, token).json()
            pages += page["entries"]
            before = "&before=%d" % page["next"] if "next" in page else None
        assert [e["id"] for e in pages] == [l["id"] for l in every][::-1]
        assert pages[0]["action"] == "user.delete"
        refused(call(server, "GET", "/v2/audit", make_key(server.data)["key"]), 403, "audit")
        refused(call(server, "GET", "/v2/audit", issue(server.data, token, "--permissions", "audit")), 403)
        refused(call(server, "GET", "/v2/audit"), 401)
        for words in (("add", "--kid", "winter"), ("promote", "winter"), ("rotate", "--kid", "spring"),
                      ("retire", "winter", "--force")):
            run("secret", *words, data=server.data, check=0)
        last = run("audit", "--limit", "4", "--json", data=server.data, check=0)[1].splitlines()
        assert [(json.loads(l)["action"], json.loads(l)["target"]) for l in last] == [
            ("secret.add", "winter"), ("secret.promote", "winter"), ("secret.rotate", "spring"),
            ("secret.retire", "winter")]
        text = run("audit", data=server.data, check=0)[1] + json.dumps(pages)
        for secret in (PASSWORD, token, pair["refresh_token"], key["key"], "argon2"):
            assert secret not in text


@test
def the_audit_log_has_ring_changes_and_escapes_odd_names():
    data = data_dir()
    forged = "eve  by key 0 from 192.0.2.1"
    make_user(data, forged, "")
    for words in (("add", "--kid", "a"), ("promote", "a"), ("rotate", "--kid", "b"),
                  ("retire", "a", "--force"), ("retire", "-", "--force")):
        run("secret", *words, data=data, check=0)
    run("secret", "retire", "b", data=data, check=1)  # it signs: nothing was changed
    lines = [json.loads(l) for l in run("audit", "--json", data=data, check=0)[1].splitlines()]
    assert [(l["action"], l["target"]) for l in after_the_ring(lines)] == [
        ("user.create", forged), ("secret.add", "a"), ("secret.promote", "a"),
        ("secret.rotate", "b"), ("secret.retire", "a"), ("secret.retire", "-")], lines
    assert all(l["who"].startswith("user ") and l["from"] == "command line" for l in lines)
    # a username with spaces is told apart from what follows it
    text = run("audit", data=data, check=0)[1].splitlines()[1 if STORE else 0]
    assert '"%s"  by user ' % forged in text, text

class Follower:
    """`subtoken audit --follow --json`; its lines so far. Use with `with`."""

    def __init__(self, data, *words):
        self.dir = scratch()
        self.process = subprocess.Popen([PROGRAM, "audit", "--follow", "--json", "--data", data, *words],
                                        stdout=open(os.path.join(self.dir, "out"), "wb"),
                                        stderr=open(os.path.join(self.dir, "err"), "wb"))

    def text(self, name):
        with open(os.path.join(self.dir, name)) as f:
            return f.read()

    def lines(self):
        return [json.loads(line) for line in self.text("out").split("\n")[:-1]]

    def targets(self):
        return [line["target"] for line in self.lines() if line["action"] == "key.create"]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None and kind:
            self.process.kill()
        elif self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(timeout=120) == 0, self.text("err")


@test
def the_audit_log_is_followed():
    data = data_dir()
    keys = [make_key(data)["id"] for _ in range(3)]
    every = lambda: objects(run("audit", "--json", "--limit", "1000", data=data, check=0)[1])
    with Follower(data) as all_of_it, Follower(data, "--limit", "0") as new, Follower(data, "--limit", "1") as one:
        for f in (all_of_it, one):
            wait(lambda: f.targets()[-1:] == keys[2:], "what is there")
        begun = time.time()  # that it has read the end of the log cannot be seen: until then each key may be before it
        while not new.targets():
            make_key(data)
            assert time.time() < begun + 60
        with SmallServer(data) as server:  # and what others do
            make_user(data, "ann", "account")
            assert log_in(server, "ann").status == 200
        last = every()[-1]["id"]
        for f in (all_of_it, new, one):
            wait(lambda: f.lines()[-1:] and f.lines()[-1]["id"] == last, "the last line")
        assert all_of_it.lines() == every()
        assert one.targets()[0] == keys[2] and not set(keys) & set(new.targets())
        for f in (all_of_it, new, one):
            ids = [line["id"] for line in f.lines()]
            assert ids == sorted(set(ids)) and f.text("err") == "", (ids, f.text("err"))
    # The rest, behind a line that arrived: nothing is lost, nothing comes twice.
    shipped = every()
    for at in (0, 1, len(shipped) - 1):
        behind = shipped[at]["id"]
        code, out, err = run("audit", "--json", "--after", str(behind), data=data)
        assert (code, objects(out), err) == (0, shipped[at + 1:], "")
        with Follower(data, "--after", str(behind)) as f:
            wait(lambda: len(f.lines()) == len(shipped) - at - 1, "the rest")
            assert f.lines() == shipped[at + 1:]
            new_id = make_key(data)["id"]
            wait(lambda: f.lines() and f.lines()[-1]["target"] == new_id, "and a new line")
        shipped = every()
    assert objects(run("audit", "--json", "--after", "0", data=data)[1]) == shipped


@test
def a_line_that_comes_late_is_followed_from_wherever_one_begins():
    """On PostgreSQL a line can come below one that is there."""
    if not STORE:
        return "one writes at a time"
    data = data_dir()
    for _ in range(3):
        make_key(data)
    cluster, name = database_of(data)
    slow = subprocess.Popen(["psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-d", cluster.uri(name)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    try:
        slow.stdin.write("BEGIN; INSERT INTO subtoken.audit (at, who, origin, action, target, detail)"
                         " VALUES (0, '', '', 'slow', '', '') RETURNING id;\n")
        slow.stdin.flush()
        late = int(slow.stdout.readline())
        key = make_key(data)["id"]
        here = objects(run("audit", "--json", "--limit", "1000", data=data, check=0)[1])
        assert here[-1]["target"] == key and here[-1]["id"] > late
        with Follower(data, "--limit", "0") as new, Follower(data, "--limit", "1") as one, Follower(data) as all_of_it:
            # They have asked for the first time.
            wait(lambda: int(cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s'"
                                          " AND query LIKE '%%FROM %%audit WHERE id > %%'" % name)) == 3, "the followers")
            slow.stdin.write("COMMIT;\n")
            slow.stdin.close()
            assert slow.wait(timeout=60) == 0
            wait(lambda: any(l["id"] == late for l in new.lines()), "the late line")
            last = make_key(data)["id"]
            for f in (new, one, all_of_it):
                wait(lambda: f.lines()[-1:] and f.lines()[-1]["target"] == last, "the last line")
            ids = lambda f: [l["id"] for l in f.lines()]
            end = ids(new)[-1]
            assert ids(new) == [late, end], ids(new)
            assert ids(one) == [late, here[-1]["id"], end], ids(one)
            assert ids(all_of_it) == [l["id"] for l in here[:-1]] + [late, here[-1]["id"], end], ids(all_of_it)
    finally:
        if slow.poll() is None:
            slow.kill()
            slow.wait()


@test
def who_follows_the_audit_log_is_told_what_is_wrong():
    data = data_dir()
    first = make_key(data)["id"]
    for words, error in ((("--limit", "0"), "--limit must be a number"), (("--limit", "x", "--follow"), "--limit must be"),
                         (("--after", "x"), "--after must be the id"), (("--after", ""), "--after must be the id"),
                         (("--after", "1", "--limit", "1"), "--limit and --after exclude each other"),
                         (("--after", "9" * 30), "--after must be the id")):
        code, out, err = run("audit", *words, data=data)
        assert code == 2 and out == "" and error in err, (words, err)
    for words in ((), ("--follow",)):
        code, out, err = run("audit", "--after", "77", *words, data=data)
        assert code == 1 and out == "" and "the log ends before line 77" in err, (code, out, err)
    if STORE:
        return
    old = os.path.join(scratch(), "old")
    run("backup", old, data=data, check=0)
    second = make_key(data)["id"]
    with Follower(data) as f:
        wait(lambda: f.targets() == [first, second], "what is there")
        away = os.path.join(scratch(), "away")
        shutil.copytree(data, away)
        for name in os.listdir(data):
            if name.startswith("subtoken.db"):
                os.unlink(os.path.join(data, name))
        wait(lambda: "trying again each second" in f.text("err"), "that the store is away")
        back = os.path.join(data, "back")  # put there whole: a store without its lines would be another one
        run("store", "copy", "--from", os.path.join(away, "subtoken.db"), "--to", back, check=0)
        os.rename(back, db_of(data))
        third = make_key(data)["id"]
        wait(lambda: f.targets() == [first, second, third], "a line of the store that came back")
        assert f.text("err").count("\n") == 1, f.text("err")
        for name in os.listdir(data):
            if name.startswith("subtoken.db"):
                os.unlink(os.path.join(data, name))
        os.chmod(old, 0o600)
        os.rename(shutil.copy2(old, back), db_of(data))
        wait(lambda: f.process.poll() is not None, "the older store is noticed")
        assert f.process.returncode == 1 and "the log ends before line" in f.text("err"), f.text("err")


main()
