"""The commands for users, for access files, and for the audit log."""
import fcntl, pty, select, termios
from commands import *
from stores import execute

# ---- saltpass ----

def salted(out, password):
    said = json.loads(out)
    salt = base64.b64decode(said.pop("password_salt_b64"), validate=True)
    want = base64.b64encode(hashlib.sha256(password + salt).digest()).decode()
    assert said == {"password_hash_b64": want} and len(salt) == 8, out
    return salt


@test
def saltpass_makes_the_two_lines_of_an_access_file():
    for stdin, password in ((b"supersecret", b"supersecret"), (b"supersecret\n", b"supersecret"),
                            ("p\u00e4ss w\u00f6rd\r\n".encode(), "p\u00e4ss w\u00f6rd".encode()),
                            (b"x" * 1024 + b"\n", b"x" * 1024)):
        salts = set()
        for _ in range(2):
            code, out, err = run("saltpass", stdin=stdin)
            assert code == 0 and err == "" and out.count("\n") == 1, (code, out, err)
            salts.add(salted(out, password))
        assert len(salts) == 2, salts
    for stdin in (b"", b"\n", b"two\nlines\n", b"x" * 1025, b"x" * 100000):
        code, out, err = run("saltpass", stdin=stdin)
        assert code == 3 and out == "" and "two" not in err and "xx" not in err, (code, out, err)


def at_terminal(typed, command="saltpass", prompt=b"password: "):
    """(exit code or -signal, standard output, what the terminal showed, whether it echoes after.)"""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([PROGRAM, command], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE,
                         preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
    shown = b""
    while prompt not in shown:
        assert select.select([ours], [], [], 60)[0], ("no prompt", shown)
        shown += os.read(ours, 1000)
    os.write(ours, typed)
    out = p.communicate(timeout=60)[0].decode()
    echoes = termios.tcgetattr(theirs)[3] & termios.ECHO != 0
    os.close(theirs)
    try:
        while more := os.read(ours, 1000):
            shown += more
    except OSError:  # what Linux says at the end
        pass
    os.close(ours)
    return p.returncode, out, shown, echoes


@test
def saltpass_at_a_terminal_shows_nothing():
    try:
        code, out, shown, echoes = at_terminal(b"super secret\n")
    except OSError:
        return "this machine has no terminals to give"
    assert code == 0 and echoes and b"sec" not in shown, (code, shown, echoes)
    salted(out, b"super secret")
    code, out, shown, echoes = at_terminal(b"\n")
    assert code == 3 and out == "" and echoes and b"is empty" in shown, (code, out, shown)
    code, out, shown, echoes = at_terminal(b"secr\x03")  # Ctrl-C
    assert code == -signal.SIGINT and out == "" and echoes and b"sec" not in shown, (code, shown)


@test
def a_token_is_awaited_at_a_terminal_with_a_word():
    try:
        code, out, shown, echoes = at_terminal(b"garbage\n\x04", "inspect", b"press Ctrl-D")
    except OSError:
        return "this machine has no terminals to give"
    assert code == 1 and out == "" and echoes and b"not a JSON Web Token" in shown, (code, out, shown)


@test
def a_name_that_no_url_can_have_is_managed_here():
    """Who has one, from before new ones were refused."""
    data = data_dir()
    for n, name in enumerate((".", "..")):
        assert run("user", "create", name, data=data, stdin="12345678")[0] == 2, name
        old = "old%d" % n
        run("user", "create", old, data=data, stdin="12345678", check=0)
        execute(data, "UPDATE keys SET owner = '%s' WHERE owner = '%s' RETURNING 1" % (name, old))
        execute(data, "UPDATE users SET username = '%s' WHERE username = '%s' RETURNING 1" % (name, old))
        for words in (["show"], ["disable"], ["enable"], ["delete"]):
            code, out, err = run("user", *words, name, data=data)
            assert code == 0, (words, name, out, err)


@test
def what_is_refused_of_users_exits_with_1():
    data = data_dir()
    for password in (b"", b"1234567\n"):  # a fresh directory is not made for that
        code, out, err = run("user", "create", "x", data=data, stdin=password)
        assert code == (1 if password else 3) and out == "" and not os.path.exists(data), (code, err)
    for text in ("", "{}", "[", '{"permission_map":[["x"]]}', '{"permission_map":{}} x'):
        with open(os.path.join(scratch(), "file"), "w") as f:
            f.write(text)
        code, out, err = run("import", f.name, data=data)
        assert code == 1 and out == "" and f.name in err and not os.path.exists(data), (text, code, err)
    run("user", "create", "alice", data=data, stdin="12345678\n")
    for words, stdin, named in [
        (["create", "alice"], "12345678", "taken"), (["create", "bob"], "1234567", "8 bytes"),
        (["show", "bob"], "", "no such user"), (["delete", "bob"], "", "no such user"),
        (["disable", "bob"], "", "no such user"), (["enable", "bob"], "", "no such user"),
        (["permissions", "bob", "a"], "", "no such user"), (["passwd", "bob"], "12345678", "no such user"),
        (["passwd", "alice"], "1234567", "8 bytes"), (["passwd", "*"], "12345678", "no password")]:
        code, out, err = run("user", *words, data=data, stdin=stdin)
        assert code == 1 and out == "" and named in err and "1234567" not in err, (words, code, err)
    code, out, err = run("import", access_file(["new", "alice"]), data=data)
    assert code == 1 and out == "" and "user alice exists and was not imported" in err, err
    assert run("user", "show", "new", data=data)[0] == 1  # all or none


@test
def user_commands_that_could_not_run_exit_with_3():
    nowhere, data = data_dir(), data_dir()
    good = access_file(["x"])
    for words in (["user", "list"], ["user", "show", "x"], ["user", "delete", "x"], ["audit"],
                  ["user", "permissions", "x", "a"], ["user", "disable", "x"], ["user", "passwd", "x"],
                  ["import", good, "--dry-run"]):
        code, out, err = run(*words, data=nowhere, stdin="12345678")
        assert code == 3 and out == "" and nowhere in err and not os.path.exists(nowhere), (words, code, err)
    for path in (good + "-not", os.path.dirname(good)):
        for more in ([], ["--dry-run"], ["--json"]):
            code, out, err = run("import", path, *more, data=data)
            assert code == 3 and out == "" and path in err and not os.path.exists(data), (path, code, err)
    for words in (["user", "create", "x"], ["import", good]):
        assert run(*words, data="/proc/nowhere", stdin="12345678")[0] == 3, words
    run("user", "create", "x", data=data, stdin="12345678")
    full = open("/dev/full", "wb")
    for words in (["user", "list"], ["user", "list", "--json"], ["user", "show", "x"], ["audit"],
                  ["audit", "--json"], ["import", good, "--dry-run"]):
        if words[0] == "import":
            run("user", "delete", "x", data=data)
            words.append("--restore")
        p = subprocess.run([PROGRAM, *words, "--data", data], stdout=full, stderr=subprocess.PIPE)
        assert p.returncode == 3 and b"standard output" in p.stderr, (words, p)
    full.close()
    edited(data, "DROP TABLE audit")
    for words in (["audit"], ["user", "create", "y"], ["import", good]):
        code, out, err = run(*words, data=data, stdin="12345678")
        assert code == 3 and out == "" and err.startswith("subtoken "), (words, code, err)


@test
def an_import_prints_what_it_does():
    data = data_dir()
    make_key(data)  # a dry run makes no store
    for names, does in ((["p2", "p1"], ["create"] * 2), (["p3", "p2"], ["create", "unchanged"])):
        path = access_file(names)
        plan = [json.loads(l) for l in run("import", path, "--dry-run", "--json", data=data)[1].splitlines()]
        told = [dict({"login": l, "does": d}, **({"permissions": ["database_api"]} if d == "create"
                                                 else {})) for l, d in zip(names, does)]
        told += [{"login": "p1", "does": "missing"}] if "p3" in names else []
        assert plan[:-1] == told, plan
        assert plan[-1] == {"created": does.count("create"), "changed": 0, "restored": 0,
                            "unchanged": does.count("unchanged"), "differs": 0, "deleted": 0,
                            "missing": len(told) - 2}
        done = run("import", path, "--json", data=data)[1]
        assert [json.loads(l) for l in done.splitlines()] == plan
    listed = objects(run("user", "list", "--json", data=data)[1])
    assert [(p["login"], p["imported"], p["permissions"]) for p in listed] == \
        [("p%d" % i, True, ["database_api"]) for i in (1, 2, 3)], listed


@test
def users_are_listed_over_pages():
    data = data_dir()
    assert run("user", "create", "p000", "--permissions", "a,b", data=data, stdin="12345678")[0] == 0
    number = "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
    same = ", permissions, created_at, expires_at, disabled, changed_at, kind"
    have = 1
    for count in (15, 16, 17, 31, 32, 33, 48):  # a page is 16
        more = number % (have, count - 1)
        edited(data, more + "INSERT INTO keys (id, digest, sub, name, owner%s) SELECT printf('%%036d', i), "
               "randomblob(32), printf('%%043d', i), printf('p%%03d', i), printf('p%%03d', i)%s "
               "FROM n, keys WHERE owner = 'p000'" % (same, same))
        edited(data, more + "INSERT INTO persons (login, key_id, password, imported, locale, source, "
               "changed_at) SELECT printf('p%03d', i), printf('%036d', i), password, imported, "
               "locale, source, changed_at FROM n, persons WHERE login = 'p000'")
        have, names = count, ["p%03d" % i for i in range(count)]
        listed = objects(run("user", "list", "--json", data=data)[1])
        assert [p["login"] for p in listed] == names and listed[-1]["permissions"] == ["a", "b"]
        rows = [r.split() for r in run("user", "list", data=data)[1].splitlines()]
        assert rows == [["active", l, "a,b"] for l in names], rows


@test
def audit_prints_at_most_its_limit():
    data = data_dir()
    assert run("user", "create", "x", data=data, stdin="12345678")[0] == 0
    edited(data, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
                 "INSERT INTO audit SELECT i, 1700000000 + i, 'w', 'o', 'a', 't' || i, '' FROM n")
    for limit in (None, 1, 2, 63, 64, 65, 127, 128, 129, 199, 200, 201, 1000000):
        words = ["audit"] if limit is None else ["audit", "--limit", str(limit)]
        last = min(limit or 100, 200)
        lines = [json.loads(l) for l in run(*words, "--json", data=data)[1].splitlines()]
        assert [l["id"] for l in lines] == list(range(201 - last, 201)), limit
        text = run(*words, data=data)[1].splitlines()
        assert len(text) == last and text[-1].split()[2] == "t200", limit
    assert lines[0]["action"] == "user.create" and lines[0]["target"] == "x"
    assert text[-1].startswith("2023-11-14T22:16:40Z"), text[-1]


@test
def hostile_usernames_are_escaped():
    data = data_dir()
    source = "\x1b]0;t\x07\u202e\u0085"
    assert run("user", "create", "x", "--source", source, "--locale", "\x1b", data=data, stdin="12345678")[0] == 0
    for column in ("who", "origin", "action", "target", "detail"):
        edited(data, "UPDATE audit SET %s = ?" % column, HOSTILE)
    edited(data, "UPDATE persons SET login = ?", HOSTILE)
    edited(data, "UPDATE keys SET owner = ?, name = ?", HOSTILE, HOSTILE)
    for words in (["user", "list"], ["audit"]):
        out = run(*words, data=data)[1]
        assert out.count("\n") == 1 and SHOWN in out, out
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200f\u202e]", out), out
        json_out = run(*words, "--json", data=data)[1]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", json_out), json_out
        row = json.loads(json_out)
        assert row["login" if words[0] == "user" else "detail"] == HOSTILE
    edited(data, "UPDATE persons SET login = 'x'")
    out = run("user", "show", "x", data=data)[1]
    assert out.count("\n") == 6 and r"\x1b]0;t\x07\xe2\x80\xae\xc2\x85" in out, out
    shown = json.loads(run("user", "show", "x", "--json", data=data)[1])
    assert shown["source"] == source and shown["locale"] == "\x1b"
    # what is refused is shown safely, too
    for name in ("y\x1b[2J", "\u202ey"):
        code, out, err = run("import", access_file([name]), data=data)
        assert code == 1 and out == "" and not re.search("[\x1b\u202e]", err), err

main()
