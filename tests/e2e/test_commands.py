"""Every command as a user types it: help, usage, exit codes, JSON, what is shown of hostile names, and where DATA comes
from. What `verify` decides: test_verify.py; users, access files and the audit log: test_user_commands.py."""
import fcntl, pty, resource, sqlite3, struct, termios, unicodedata
from commands import *
from stores import execute

# ---- help, usage, exit codes ----

COMMANDS = [["serve"], ["key"], ["key", "create"], ["key", "list"], ["key", "show"],
            ["key", "disable"], ["key", "enable"], ["key", "delete"], ["key", "revoke-subtokens"],
            ["issue"], ["verify"], ["inspect"], ["secret"], ["secret", "list"], ["secret", "add"],
            ["secret", "promote"], ["secret", "rotate"], ["secret", "retire"], ["policy"],
            ["policy", "check"], ["saltpass"], ["backup"], ["version"], ["user"], ["user", "create"],
            ["user", "list"], ["user", "show"], ["user", "permissions"], ["user", "passwd"],
            ["user", "disable"], ["user", "enable"], ["user", "delete"], ["import"], ["audit"],
            ["key", "hash"], ["store"], ["store", "status"], ["store", "copy"], ["key", "rotate"],
            ["secret", "derive"], ["revoke"], ["completion"], ["completion", "bash"]]
OPTIONS = {"serve": "--listen --config --data", "key create":
           "--name --permissions --expires --owner --audience --config --data --json", "key list": "--expiring --config --data --json",
           "key show": "ID --config --data --json", "issue": "--permissions --urls --expire --audience --config --data --json",
           "key rotate": "ID --overlap --config --data --json", "secret derive": "--audience --config --data --json",
           "policy check": "FILE --json",
           "verify": "--method --url --require --policy --body --at --leeway --max-life --iss --aud --secrets "
           "--no-revocations --jsonl --json --config --data", "inspect": "--json",
           "user create": "LOGIN --permissions --locale --source --config --data --json",
           "user list": "--config --data --json", "user permissions": "LOGIN LIST --and-made --config --data --json",
           "key delete": "ID --and-made --config --data --json", "user delete": "LOGIN --and-made --config --data --json",
           "import": "FILE --update --restore --dry-run --config --data --json", "audit": "--limit --config --data --json",
           "secret retire": "KID --force", "secret promote": "KID", "backup": "FILE --config --data",
           "store status": "--config --data --json", "store copy": "--from --to --force --config --data --json"}


@test
def help_names_every_command_and_option():
    env = dict(os.environ, SUBTOKEN_DATA=data_dir())
    for words in [[]] + COMMANDS:
        code, out, err = run(*words, "--help", env=env)
        name = " ".join(["subtoken"] + words)
        assert code == 0 and err == "" and out.startswith("usage: " + name), (words, code, out, err)
        for option in OPTIONS.get(" ".join(words), "").split():
            assert option in out, (words, option)
    for words in [[], ["key"], ["secret"], ["policy"], ["user"]]:
        out = run(*words, "--help")[1]
        for row in COMMANDS:
            if row[:-1] == words:
                assert re.search(r"^  %s " % row[-1], out, re.M), row
    for words in COMMANDS:  # F9
        assert run("help", *words) == run(*words, "--help"), words
        assert run(*words[:-1], "help", words[-1]) == run(*words, "--help"), words
    for words in ([], ["key"], ["secret"], ["policy"], ["user"]):
        assert run(*words, "help") == run(*words, "--help")
        assert re.search(r"\b%s help\b.*--help" % " ".join(["subtoken"] + words), run(*words, "help")[1])
    assert "--version" in run("help")[1]
    assert "--kid is then refused" in run("secret", "add", "--help")[1]
    assert not os.path.exists(env["SUBTOKEN_DATA"])


USAGE = [  # arguments, what the message must name
    (["frobnicate"], "frobnicate"), (["key", "frobnicate"], "frobnicate"),
    (["secret", "frobnicate"], "frobnicate"), ([], "usage"), (["key"], "usage"),
    (["policy"], "usage"), (["policy", "frobnicate"], "frobnicate"), (["policy", "check"], "FILE is missing"),
    (["policy", "check", "a", "b"], "unexpected argument"), (["verify", "--policy"], "--policy"),
    (["verify", "--policy", "a", "--policy", "b"], "--policy"),
    (["--colour"], "--colour"), (["version", "extra"], "unexpected argument"),
    (["key", "list", "--colour"], "--colour"), (["key", "list", "extra"], "unexpected argument"),
    (["key", "create", "--name"], "--name"), (["key", "create", "--name", "x"], "--permissions"),
    (["key", "create", "--permissions", "a"], "--name"),
    (["key", "create", "--name", "a", "--name", "b", "--permissions", "c"], "--name"),
    (["key", "list", "--json=yes"], "--json"), (["key", "list", "-x"], "unexpected argument"),
    (["key", "show"], "ID is missing"), (["key", "show", "a", "b"], "unexpected argument"), (["key", "disable"], "ID is missing"),
    (["key", "enable"], "ID is missing"), (["key", "delete"], "ID is missing"), (["key", "revoke-subtokens"], "ID is missing"),
    (["verify", "--at", "yesterday"], "--at"), (["verify", "--leeway", "x"], "--leeway"),
    (["verify", "--leeway", "-1"], "--leeway"), (["verify", "--max-life", "1y"], "--max-life"),
    (["verify", "--no-revocations=1"], "--no-revocations"), (["verify", "word"], "unexpected argument"),
    (["verify", "--require", ",".join("p%d" % i for i in range(300))], "--require"),
    (["issue", "--expire", "soon"], "--expire"), (["issue", "--urls", "v2/account"], "--urls"),
    (["issue", "--urls", "/a/../b"], "--urls"), (["issue", "--colour"], "--colour"),
    (["inspect", "word"], "unexpected argument"), (["saltpass", "word"], "unexpected argument"), (["secret", "promote"], "KID is missing"),
    (["secret", "retire"], "KID is missing"), (["secret", "retire", "a", "b"], "unexpected argument"),
    (["secret", "promote", ""], "KID is missing"), (["secret", "retire", "", "--force"], "KID is missing"),
    (["secret", "add", "--kid", "not a kid"], "--kid"), (["secret", "add", "--kid", ""], "--kid"),
    (["secret", "rotate", "--kid", "x" * 65], "--kid"), (["backup"], "FILE is missing"),
    (["backup", "a", "b"], "unexpected argument"), (["serve", "--listen", "nonsense"], "listen"),
    (["serve", "--listen", "127.0.0.1:99999"], "listen"),
    (["serve", "--listen", "localhost:99999"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "localhost:"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "localhost:x"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "localhost"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "127.0.0.1:"], "listen"), (["serve", "--listen", ":80"], "listen"),
    (["serve", "--listen", "example.com:80"], "listen"), (["serve", "word"], "unexpected argument"),
    (["serve", "--listen", "1" * 500], "listen"),
    (["key", "list", "--data", "x" * 2000], "data directory"), (["key", "list", "--data="], "data directory is empty"),
    (["secret", "list", "--data", "x" * 2000], "data directory"),
    (["secret", "add", "--data", "x" * 2000], "data directory"),
    (["user"], "usage"), (["user", "frobnicate"], "frobnicate"), (["user", "list", "x"], "unexpected argument"),
    (["user", "create"], "LOGIN is missing"), (["user", "create", "a", "b"], "unexpected argument"),
    (["user", "create", ""], "LOGIN must be"), (["user", "create", "a:b"], "LOGIN must be"),
    (["user", "create", "a\n"], "LOGIN must be"), (["user", "create", "\x1b[2J"], "LOGIN must be"),
    (["user", "create", b"\xff"], "LOGIN must be"), (["user", "create", "x" * 257], "LOGIN must be"),
    (["user", "show", "a:b"], "LOGIN must be"), (["user", "delete"], "LOGIN is missing"),
    (["user", "create", "a", "--permissions", "a b"], "permissions"),
    (["user", "create", "a", "--permissions", "a,a"], "permissions"),
    (["user", "create", "a", "--locale", "x" * 36], "--locale"),
    (["user", "create", "a", "--source", "x" * 65], "--source"),
    (["user", "create", "a", "--source", b"\xff"], "--source"),
    (["user", "create", "a", "--password", "12345678"], "--password"),
    (["user", "permissions", "a"], "LOGIN and LIST are required"), (["user", "passwd"], "LOGIN is missing"),
    (["user", "permissions", "a", "b", "c"], "unexpected argument"),
    (["user", "permissions", "a", "a b"], "permissions"),
    (["user", "disable"], "LOGIN is missing"), (["user", "enable", "a", "b"], "unexpected argument"),
    (["import"], "FILE is missing"), (["import", "a", "b"], "unexpected argument"),
    (["import", "a", "--dry-run=yes"], "--dry-run"), (["audit", "x"], "unexpected argument"),
    (["audit", "--limit"], "--limit"), (["audit", "--limit", "0"], "--limit"),
    (["audit", "--limit", "-1"], "--limit"), (["audit", "--limit", "x"], "--limit"),
    (["audit", "--limit", ""], "--limit"), (["audit", "--limit", "1000001"], "--limit"),
    (["audit", "--limit", "99999999999999999999999"], "--limit"),
]


@test
def wrong_usage_exits_with_2_and_says_what_is_wrong():
    env = dict(os.environ, SUBTOKEN_DATA=data_dir())
    wrong = []
    for words, named in USAGE:
        code, out, err = run(*words, env=env, stdin=b"x")
        if code != 2 or named not in err or out != "":
            wrong.append((words, code, named, out, err))
    assert not os.path.exists(env["SUBTOKEN_DATA"])
    assert not wrong, wrong


@test
def what_is_refused_exits_with_1():
    data = data_dir()
    key = make_key(data)
    other = "0" * 8 + key["id"][8:]
    token = issue(data, key["key"])
    for words, stdin in [
        (["key", "show", other], ""), (["key", "delete", other], ""), (["key", "disable", other], ""),
        (["key", "enable", other], ""), (["key", "revoke-subtokens", other], ""),
        (["key", "show", "x"], ""), (["key", "show", key["id"].lower()], ""),
        (["secret", "retire", "nobody"], ""), (["secret", "promote", "nobody"], ""),
        (["secret", "retire", "-"], ""), (["secret", "retire", "-", "--force"], ""),
        (["issue"], other + key["key"][36:]), (["issue"], key["key"].lower()),
        (["issue"], key["key"][:-1]), (["issue"], forged(token)),
        (["issue", "--expire", "2020-01-01T00:00:00Z"], key["key"]), (["verify"], forged(token)),
        (["issue", "--permissions", ",".join("p%d" % i for i in range(65))], key["key"]),
        (["issue", "--urls", ",".join("/p%d" % i for i in range(65))], key["key"]),
        (["inspect"], "garbage"), (["inspect"], "a.b.c"), (["inspect"], "." * 100)]:
        if words[0] == "inspect":
            code, out, err = run(*words, stdin=stdin)
        else:
            code, out, err = run(*words, data=data, stdin=stdin)
        # What is malformed on the command line itself may also be called wrong usage.
        allowed = (1, 2) if words[-1].count(",") == 64 else (1,)
        assert code in allowed and (err or words[0] == "verify"), (words, code, out, err)
    assert key["key"] in run("key", "show", key["id"], data=data)[1] + key["key"]
    assert run("key", "show", key["id"], data=data)[0] == 0


@test
def what_could_not_run_exits_with_3():
    nowhere = data_dir()
    data = data_dir()
    key = make_key(data)
    afile = os.path.join(scratch(), "file")
    open(afile, "w").close()
    for words in (["key", "list"], ["key", "show", "x"], ["key", "delete", "x"], ["issue"],
                  ["verify"], ["verify", "--jsonl"], ["secret", "list"], ["secret", "rotate"],
                  ["secret", "promote", "x"], ["secret", "retire", "x"],
                  ["backup", os.path.join(scratch(), "b")]):
        code, out, err = run(*words, data=nowhere, stdin="a.b.c")
        assert code == 3 and nowhere in err and out == "", (words, code, out, err)
        assert not os.path.exists(nowhere), words
    assert run("key", "create", "--name", "x", "--permissions", "a", data="/proc/nowhere")[0] == 3
    for words in (["key", "create", "--name", "x", "--permissions", "a"], ["serve"], ["key", "list"]):
        code, _, err = run(*words, data=afile)
        assert code == 3 and afile in err, (words, code, err)
    for words in (["verify"], ["issue"]):
        for stdin in (b"", b" \r\n\t "):
            code, out, err = run(*words, data=data, stdin=stdin)
            assert code == 3 and out == "" and "standard input" in err, (words, code, out, err)
    assert run("inspect", stdin=b"")[0] == 3
    assert run("saltpass", stdin=b"")[0] == 3
    assert verdict("a" * 1000000, data=data, secrets=None) == (401, "too_large")
    assert run("verify", data=data, stdin=b"a" * 2000000)[0] == 3
    code, out, err = run("verify", "--secrets", afile + "-not", data=data, stdin="a.b.c")
    assert code == 3 and afile + "-not" in err
    for words in (["policy", "check"], ["verify", "--policy"], ["verify", "--jsonl", "--policy"]):
        code, out, err = run(*words, afile + "-not", data=data if words[0] == "verify" else None,
                             stdin="a.b.c")
        assert code == 3 and out == "" and afile + "-not" in err, (words, code, out, err)
    code, out, err = run("serve", "--config", afile + "-not", data=data)
    assert code == 3 and afile + "-not" in err
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        code, out, err = run("serve", "--listen", "127.0.0.1:%d" % s.getsockname()[1], data=data)
        assert code == 3 and str(s.getsockname()[1]) in err, (code, err)
    with open(os.devnull, "wb") as sink:
        p = subprocess.run([PROGRAM, "verify", "--jsonl", "--data", data], stderr=subprocess.PIPE,
                           stdin=os.open(data, os.O_RDONLY), stdout=sink)
        assert p.returncode == 3, p


@test
def a_failure_always_has_its_reason():
    """No `subtoken serve: ` with nothing, or with what lay in memory, behind it."""
    def config(text):
        path = os.path.join(scratch(), "config")
        with open(path, "w") as f:
            f.write(text)
        return path

    for listen in ("localhost:99999", "localhost:", "localhost"):
        code, _, err = run("serve", "--config", config('{"listen":"%s"}' % listen), data=data_dir())
        assert code == 3 and ': line 1, column 2: "listen" must be ADDRESS:PORT, such as 127.0.0.1:8080' in err, err
    with Server(config={}) as server:  # its --listen goes before what the file says
        server.write_config({"log": "/"})
        server.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            failed = [l for l in server.log_lines() if l["event"] == "reload_failed"]
            if failed:
                break
        assert failed[0]["detail"].startswith("cannot open the log /"), failed
    full = open("/dev/full", "wb")
    data = data_dir()
    for _ in range(2):  # the demo key is made, the demo key was made
        p = subprocess.Popen([PROGRAM, "serve", "--demo", "--listen", "127.0.0.1:0", "--data", data],
                             stdout=full, stderr=subprocess.PIPE)
        said = p.stderr.readline()
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=120)
        assert re.fullmatch(b"subtoken serve: cannot write to standard output: .+\n", said), said
    full.close()


@test
def an_empty_name_is_told_from_one_that_is_not_there():
    """As of a variable of a script that was never set: the error does not say that something, nothing named, is missing."""
    data = data_dir()
    key = make_key(data)["key"]
    secrets = os.path.join(data, "secrets")
    for words, wanted in (
            (["key", "list", "--data", ""], 2), (["key", "list", "--data", data, "--config", ""], 3),
            (["verify", "--data", data, "--policy", "", "--url", "/"], 3), (["verify", "--secrets", "", "--url", "/"], 3),
            (["verify", "--secrets", secrets, "--revocations", "", "--url", "/"], 2), (["policy", "check", ""], 3),
            (["backup", "", "--data", data], 2), (["import", "", "--data", data], 3), (["feed", "status", ""], 2),
            (["feed", "restore", "", "--data", data], 3), (["store", "copy", "--from", "", "--to", "x"], 2),
            (["pull", "--from", "http://localhost/", "--to", "", "--key-file", secrets], 2),
            (["pull", "--from", "http://localhost/", "--to", "x", "--key-file", ""], 2),
            (["pull", "--from", "http://localhost/", "--to", "x", "--key-file", secrets, "--ca", "", "--once"], 2)):
        code, out, err = run(*words, stdin=key)
        assert code == wanted and out == "" and "empty" in err, (words, code, err)


@test
def a_failure_leaves_no_data_behind():
    data = data_dir()

    def no_room():  # as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    for words in (["secret", "add"], ["key", "create", "--name", "n", "--permissions", "a"], ["serve"]):
        p = subprocess.run([PROGRAM, *words, "--data", data], capture_output=True, preexec_fn=no_room,
                           restore_signals=False)
        assert p.returncode == 3 and data.encode() in p.stderr and p.stdout == b"", (words, p)
        assert not os.path.exists(data), words
    os.mkdir(data, 0o700)  # what somebody else made stays
    p = subprocess.run([PROGRAM, "secret", "add", "--data", data], capture_output=True,
                       preexec_fn=no_room, restore_signals=False)
    assert p.returncode == 3 and os.listdir(data) == [], p
    # Nor a database beside a ring, for a name that is not there.
    assert run("secret", "add", data=data)[:2] == (0, "-\n")
    for words in (["promote", "x"], ["retire", "x"], ["retire", "x", "--force"]):
        assert run("secret", *words, data=data)[0] == 1
        assert os.listdir(data) == ["secrets"], words


@test
def the_first_secret_of_a_ring_has_no_name():
    data = data_dir()
    for here in (False, True):
        if here:
            os.mkdir(data, 0o700)
        code, out, err = run("secret", "add", "--kid", "winter", data=data)
        assert (code, out) == (1, "") and "no ring yet" in err and "without --kid" in err, (code, out, err)
        assert os.path.exists(data) == here and (not here or os.listdir(data) == [])
    assert run("secret", "rotate", "--kid", "winter", data=data)[0] == 3 and os.listdir(data) == []
    os.rmdir(data)
    assert run("secret", "add", data=data)[:2] == (0, "-\n")
    assert run("secret", "add", "--kid", "winter", data=data)[:2] == (0, "winter\n")
    assert list(ring_of(data)) == ["", "winter"]


# ---- JSON ----

@test
def every_command_that_prints_has_json():
    data = data_dir()
    k = json.loads(run("key", "create", "--name", "n", "--permissions", "b,a", "--owner", "o",
                       "--expires", "1d", "--json", data=data)[1])
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{20}(-[0-9A-F]{4}){3}-[0-9A-F]{12}",
                        k["key"]) and k["id"] == k["key"][:36], k
    assert k["name"] == "n" and k["owner"] == "o" and k["permissions"] == ["b", "a"], k
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", k["sub"]) and k["disabled"] is False
    shown = json.loads(run("key", "show", k["id"], "--json", data=data)[1])
    assert shown == {n: v for n, v in k.items() if n != "key"}, shown
    assert objects(run("key", "list", "--json", data=data)[1]) == [shown]
    for act, state in (("disable", "disabled"), ("disable", "disabled"), ("enable", "active")):
        code, out, _ = run("key", act, k["id"], "--json", data=data)
        assert code == 0 and isinstance(json.loads(out), dict)
        now = json.loads(run("key", "show", k["id"], "--json", data=data)[1])
        assert now["state"] == state and now["disabled"] == (state == "disabled")
        text = run("key", "show", k["id"], data=data)[1]
        assert "state:       " + state in text and k["key"] not in text, text
        assert state in run("key", "list", data=data)[1]
    json.loads(run("key", "revoke-subtokens", k["id"], "--json", data=data)[1])
    now = json.loads(run("key", "show", k["id"], "--json", data=data)[1])
    assert now["sub"] != k["sub"]
    string = "a string of 16 to 255".replace(" ", "-")
    assert json.loads(run("key", "hash", "--json", stdin=string)[1]) == {"hash": run("key", "hash", stdin=string)[1].strip()}
    assert json.loads(run("saltpass", "--json", stdin="p")[1])["password_hash_b64"]
    token = json.loads(run("issue", "--json", data=data, stdin=k["key"])[1])["subtoken"]
    assert json.loads(run("verify", "--json", data=data, stdin=token)[1]) == {"ok": True}
    code, out, _ = run("verify", "--json", "--require", "c", data=data, stdin=token)
    assert code == 1 and json.loads(out) == {"ok": False, "status": 403, "reason": "perm"}
    seen = json.loads(run("inspect", "--json", stdin=token)[1])
    assert seen["verified"] is False and seen["claims"]["permissions"] == [] \
        and seen["header"] == {"alg": "HS256", "typ": "JWT"}, seen
    assert json.loads(run("secret", "list", "--json", data=data)[1]) == [{"kid": "-", "signs": True}]
    kid = json.loads(run("secret", "add", "--json", data=data)[1])["kid"]
    assert json.loads(run("secret", "list", "--json", data=data)[1]) == [
        {"kid": "-", "signs": True}, {"kid": kid, "signs": False}]
    assert json.loads(run("secret", "promote", kid, "--json", data=data)[1])["kid"] == kid
    kid2 = json.loads(run("secret", "rotate", "--json", data=data)[1])["kid"]
    assert json.loads(run("secret", "retire", kid, "--force", "--json", data=data)[1])["kid"] == kid
    assert [r["kid"] for r in json.loads(run("secret", "list", "--json", data=data)[1])] == [kid2, "-"]
    json.loads(run("key", "delete", k["id"], "--json", data=data)[1])
    assert objects(run("key", "list", "--json", data=data)[1]) == []
    assert run("key", "list", data=data)[1] == ""
    code, out, _ = run("version")
    assert code == 0 and re.fullmatch(r"subtoken \d+\.\d+\.\d+\n", out)
    assert run("--version")[:2] == (0, out)


@test
def the_version_is_there_in_json():
    code, out, _ = run("version", "--json")
    assert code == 0 and re.fullmatch(r"\d+\.\d+\.\d+", json.loads(out)["version"])


@test
def long_lists_are_printed_whole():
    data = data_dir()
    first = make_key(data)
    db = sqlite3.connect(os.path.join(data, "subtoken.db"))
    for total in (63, 64, 65, 128, 129, 300):
        have = db.execute("SELECT count(*) FROM keys").fetchone()[0]
        for i in range(have, total):
            db.execute("INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, "
                       "expires_at, disabled, changed_at, deleted_at) SELECT substr(id, 1, 32) || printf('%04d', ?1), "
                       "randomblob(32), substr(sub, 1, 39) || printf('%04d', ?1), name, owner, "
                       "permissions, created_at, expires_at, disabled, changed_at, deleted_at "
                       "FROM keys WHERE id = ?2", (i, first["id"]))
        db.commit()
        rows = objects(run("key", "list", "--json", data=data)[1])
        ids = [r["id"] for r in rows]
        assert len(ids) == total == len(set(ids)) and ids == sorted(ids), (total, len(ids))
        text = run("key", "list", data=data)[1].splitlines()
        assert [l[:36] for l in text] == ids
    db.close()


# ---- secrets on the command line ----

@test
def secrets_are_not_taken_from_arguments():
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"])
    with open(os.path.join(data, "secrets")) as f:
        line = f.read().strip()
    before = run("key", "list", "--json", data=data)[1]
    wrong = []
    for secret in (key["key"], token):
        for words in (["issue", secret], ["verify", secret], ["inspect", secret],
                      ["key", "show", secret], ["key", "create", "--name", secret,
                      "--permissions", "a"], ["key", "delete", secret], [secret], ["key", secret],
                      ["serve", "--listen", secret], ["backup", secret], ["version", secret],
                      ["key", "show", secret, "--help"], ["secret", "promote", secret],
                      ["key", "create", "--name=" + secret, "--permissions", "a"],
                      ["verify", "--token=" + secret], ["verify", "--aud=" + secret],
                      ["verify", "--url", "/a?b=c&access_token=" + secret + "&d=e"], ["verify", "--url==" + secret],
                      ["key", "show", "--key=" + secret], ["backup", "--data=" + secret]):
            code, out, err = run(*words, data=None if "--data=" in words[-1] else data)
            shown = any(secret[i:i + 12] in out + err for i in range(37, len(secret) - 12))
            if code != 2 or shown:
                wrong.append(([w[:16] for w in words], code, shown))
    for words in (["secret", "add", line], ["secret", "add", line[1:]],
                  ["verify", key["key"].lower()], ["key", "show", key["key"] + " "],
                  ["key", "show", " " + key["key"]], ["inspect", "Bearer " + token]):
        code, out, err = run(*words, data=None if words[0] == "inspect" else data)
        body = words[-1].strip(" :")
        shown = any(body[i:i + 12] in out + err for i in range(0, len(body) - 12))
        if code not in (1, 2) or shown:
            wrong.append((words[:-1], code, shown))
    after = run("key", "list", "--json", data=data)[1]
    if after != before:
        wrong.append("a key was stored as a name")
    assert not wrong, wrong


# ---- names ----

NAMES = ["plain", "", " ", "two\nlines", "tab\there", "\x1b[2J\x1b]0;title\x07", "del\x7f",
         "c1 \u009b31m \u0085 \u0080", 'quote " back \\ slash /', "</script><b>", "'; DROP TABLE keys",
         "M\u00fcller \u4e2d\u6587 \U0001f511", "\u05e9\u05dc\u05d5\u05dd", "over\u202eride \u2066x\u2069",
         "mark \u200f \u200e \u061c", "\u2028line\u2029para", "\ufeffbom", "null", "%s%n%x", "-", "--json",
         "x" * 256, "\u00fc" * 128, "\r\n\r\nHTTP/1.1 200 OK", "\x01\x02\x1f"]


@test
def hostile_names_are_escaped():
    data = data_dir()
    ids = {}
    wrong = []
    for name in NAMES:
        code, out, err = run("key", "create", "--name", name, "--owner", name, "--permissions", "a",
                             "--json", data=data)
        assert code == 0, (name, code, err)
        k = json.loads(out)
        assert k["name"] == name and k["owner"] == name, (name, k)
        ids[k["id"]] = name
        shown = json.loads(run("key", "show", k["id"], "--json", data=data)[1])
        assert shown["name"] == name and shown["owner"] == name
        text = run("key", "show", k["id"], data=data)[1]
        if CONTROLS.search(text) or text.count("\n") != 9:
            wrong.append(("show", name, text))
        if name.isprintable() and name == name.strip():
            assert "name:        %s\n" % name in text, (name, text)
    listed = objects(run("key", "list", "--json", data=data)[1])
    assert {r["id"]: r["name"] for r in listed} == ids
    text = run("key", "list", data=data)[1]
    if CONTROLS.search(text) or text.count("\n") != len(NAMES):
        wrong.append(("list", CONTROLS.findall(text), text.count("\n")))
    for bad in (b"x" * 257, b"\xff", b"a\xc0\xafb", b"\xed\xa0\x80", b"\xc3"):
        for option, other in (("--name", "--owner"), ("--owner", "--name")):
            p = subprocess.run([PROGRAM, "key", "create", option, bad, other, "x", "--permissions",
                                "a", "--data", data], capture_output=True)
            assert p.returncode == 2 and option.encode() in p.stderr and p.stdout == b"", (bad, p)
    assert not wrong, wrong


@test
def names_written_by_another_program_are_escaped():
    """Bytes in the database that no command lets in: nothing raw, and JSON or a refusal."""
    data = data_dir()
    make_key(data, name="plain")
    db = sqlite3.connect(os.path.join(data, "subtoken.db"))
    db.execute("UPDATE keys SET name = CAST(x'61ff1b5b326ac3' AS TEXT) WHERE name = 'plain'")
    db.commit()
    db.close()
    p = subprocess.run([PROGRAM, "key", "list", "--data", data], capture_output=True)
    assert p.returncode == 3 or b"\x1b" not in p.stdout and b"\xff" not in p.stdout, p
    p = subprocess.run([PROGRAM, "key", "list", "--json", "--data", data], capture_output=True)
    if p.returncode != 3:
        objects(p.stdout.decode("utf-8"))


@test
def key_show_prints_no_trailing_spaces():
    data = data_dir()
    for expires in ("never", "1d"):
        key = make_key(data, "a,b", "--owner", "o", "--expires", expires)
        text = run("key", "show", key["id"], data=data)[1]
        assert text == re.sub(" +$", "", text, flags=re.M) and text.count("\n") == 9, text
    assert "expires:     never\n" in run("key", "show", make_key(data, "")["id"], data=data)[1]
    rows = run("key", "list", data=data)[1].splitlines()
    assert len({re.search("  (a,b|-)  test$", r).start() for r in rows}) == 1, rows  # in columns


def seconds_of(text):
    return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))) - time.timezone


@test
def expires_is_read_in_every_form():
    data = data_dir()
    for text, life in (("30d", 30 * DAY), ("90m", 5400), ("45s", 45), ("12h", 12 * 3600),
                       ("3600s", 3600), ("36500d", 36500 * DAY), ("007d", 7 * DAY)):
        k = make_key(data, "a", "--expires", text)
        assert seconds_of(k["expires_at"]) - seconds_of(k["created_at"]) == life, (text, k)
        assert abs(seconds_of(k["created_at"]) - time.time()) < 30
    assert make_key(data, "a", "--expires", "never")["expires_at"] is None
    assert make_key(data, "a")["expires_at"] is None
    for text in ("0", "30", "3600", "0d", "-1", "-1d", "1.5d", "30x", "", "d", "30 d", " 30d", "1e3", "1D", "+5d",
                 "9" * 20 + "d", "9007199254740992", "Never", "30dd", "2027-01-01T00:00:00Z", "0x10"):
        code, out, err = run("key", "create", "--name", "n", "--permissions", "a", "--expires=" + text,
                             data=data)
        assert code == 2 and "--expires" in err and out == "", (text, code, out, err)
    k = make_key(data, "a", "--expires", "1s")
    time.sleep(1.2)
    assert json.loads(run("key", "show", k["id"], "--json", data=data)[1])["state"] == "expired"
    assert run("issue", data=data, stdin=k["key"])[0] == 1


@test
def permission_lists_are_checked():
    data = data_dir()
    every = "".join(chr(c) for c in range(0x21, 0x7f) if chr(c) not in '",\\')
    for text in ("", "a", "z,a,m", "a,A", "x" * 64, every[:64], every[64:] or "q", "a:b/c?d=e",
                 ",".join("p%d" % i for i in range(64)),
                 ",".join(("%02d" % i) * 32 for i in range(64))):
        want = text.split(",") if text else []
        k = make_key(data, text)
        assert k["permissions"] == want, (text, k)
        assert json.loads(run("key", "show", k["id"], "--json", data=data)[1])["permissions"] == want
        code, out, err = run("issue", "--permissions", text, data=data, stdin=k["key"])
        if code == 0:
            assert json.loads(unb64(out.split(".")[1]))["permissions"] == want
        else:
            assert "4096" in err and len(text) > 3000, (text, err)
    for text in ("a,a", "a, a", "a,,b", ",a", "a,", "a, ", ",", "a b", " ", 'a"b', "a\\b", "\u00e9", "a\x01",
                 "a\x7f", "a\n", "x" * 65, ",".join("p%d" % i for i in range(65)), "a,b,a"):
        code, out, err = run("key", "create", "--name", "n", "--permissions", text, data=data)
        assert code == 2 and "--permissions" in err and out == "", (text, code, out, err)


# D3
@test
def spaces_around_the_items_of_a_list_are_ignored():
    data = data_dir()
    key = make_key(data, " account,\tinventories , wallet")
    assert key["permissions"] == ["account", "inventories", "wallet"], key
    assert json.loads(run("key", "show", key["id"], "--json", data=data)[1])["permissions"] == key["permissions"]
    code, out, err = run("issue", "--permissions", "account, inventories\t", "--urls", "/v2/a b, /v2/c",
                         data=data, stdin=key["key"])
    claims = json.loads(unb64(out.split(".")[1]))
    assert (code, err) == (0, ""), err
    assert claims["permissions"] == ["account", "inventories"]
    assert claims["urls"] == ["/v2/a%20b", "/v2/c"], claims
    asked = ("--require", "account ,  inventories", "--method", "GET", "--url", "/v2/c")
    assert run("verify", *asked, data=data, stdin=out)[0] == 0
    run("user", "create", "ann", "--permissions", "a, b", data=data, stdin="correct horse", check=0)
    assert json.loads(run("user", "show", "ann", "--json", data=data)[1])["permissions"] == ["a", "b"]
    run("user", "permissions", "ann", " b ,c", data=data, check=0)
    assert json.loads(run("user", "show", "ann", "--json", data=data)[1])["permissions"] == ["b", "c"]


# D3
@test
def issue_says_what_it_leaves_out_or_brings_down():
    data = data_dir()
    key = make_key(data, "account,wallet", "--expires", "10d")
    left = "subtoken issue: left out, because the credential does not have it: "
    down = "subtoken issue: the expiry was brought down to %s, that of the credential\n"
    until = lambda token: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(
        json.loads(unb64(token.split(".")[1]))["exp"]))
    for asked, said in (("account", ""), ("account,account", ""), ("account,pvp", left + "pvp\n"),
                        ("pvp, wvw,account", left + "pvp, wvw\n"),
                        ("account inventories", left + '"account inventories"\n'),
                        ("account,", left + '""\n'), ("a\x1b[m", left + '"a\\x1b[m"\n')):
        for json_too in ((), ("--json",)):
            code, out, err = run("issue", "--permissions", asked, *json_too, data=data, stdin=key["key"])
            assert (code, err) == (0, said), (asked, err)
            assert out.count("\n") == 1
    for asked, said in (("5d", ""), ("9d", ""), ("300d", down), ("9999-01-01T00:00:00Z", down)):
        code, out, err = run("issue", "--expire", asked, data=data, stdin=key["key"])
        assert code == 0 and err == (said % until(out) if said else ""), (asked, err)
    never = make_key(data, "account")["key"]
    code, out, err = run("issue", "--expire", "9999-01-01T00:00:00Z", data=data, stdin=never)
    assert code == 0 and err == ("subtoken issue: the expiry was brought down to %s, the longest life "
                                 "(max_life)\n" % until(out)), err
    assert run("issue", data=data, stdin=key["key"])[2] == ""  # the default is no wish


# F9
@test
def a_misspelled_command_or_option_is_suggested():
    for words, near in (("serv", "serve"), ("key creat", "create"), ("key lsit", "list"), ("keys", "key"),
                        ("help", None), ("nonsense", ""), ("help serv", "serve"), ("help key creat", "create"),
                        ("issue --permission a", "--permissions"), ("issue --url=/a", "--urls"),
                        ("issue -permissions a", "--permissions"), ("key list -h", "--help"),
                        ("verify --no-revocation", "--no-revocations"), ("audit --colour", ""),
                        ("version now", "")):
        code, out, err = run(*words.split())
        if near is None:
            assert (code, err) == (0, ""), words
            continue
        first = err.splitlines()[0]
        assert code == 2 and out == "", (words, code)
        assert first.endswith("; did you mean %s?" % near) if near else "did you mean" not in first, (words, first)
    # What is one word too many may be a password, and is not repeated.
    code, out, err = run("user", "passwd", "ann", "correct-horse", data=data_dir())
    assert code == 2 and "unexpected argument" in err and "horse" not in err, err


def on_terminal(*words, data, columns=0):
    """The lines that a command prints on a terminal of so many columns; 0: it does not say."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    p = subprocess.Popen([PROGRAM, *words, "--data", data], stdout=theirs)
    os.close(theirs)
    shown = b""
    try:
        while True:
            shown += os.read(ours, 65536)
    except OSError:  # the other end is closed
        os.close(ours)
    assert p.wait(timeout=60) == 0, words
    return shown.decode().splitlines()


def columns_of(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@test
def tables_fit_the_terminal_and_no_id_is_cut():
    data = data_dir()
    names = ["short", "a name that goes on and on, longer than any terminal has room for" * 2, "\u30ad\u30fc" * 30,
             "e\u0301" * 40, "evil\x1b[31m\n\u202e" * 8]
    ids = {}
    for name in names:
        permissions = ",".join("permission%d" % n for n in range(20))
        ids[make_key(data, permissions, "--expires", "10d", "--audience", "eu", name=name)["id"]] = name
    ids[make_key(data, "", name="first")["id"]] = "first"
    rotated = next(iter(ids))
    run("key", "rotate", rotated, "--overlap", "1h", data=data, check=0)
    expected = {200: "ID STATE EXPIRES OLD UNTIL AUDIENCE PERMISSIONS NAME", 104: "ID STATE EXPIRES OLD UNTIL AUDIENCE PERMISSIONS NAME",
                80: "ID STATE EXPIRES PERMISSIO\u2026 NAME", 70: "ID STATE EXPIRES NAME", 50: "ID NAME", 40: "ID", 10: "ID"}
    wrong = []
    for columns, heading in expected.items():
        lines = on_terminal("key", "list", data=data, columns=columns)
        if " ".join(lines[0].split()) != heading:
            wrong.append((columns, lines[0]))
        if [line[:36] for line in lines[1:]] != sorted(ids):
            wrong.append((columns, "ids", lines))
        if columns >= 40 and max(columns_of(line) for line in lines) > columns:
            wrong.append((columns, "too wide", [columns_of(line) for line in lines], lines))
        if columns in (80, 200) and max(columns_of(line) for line in lines) < columns - 1:
            wrong.append((columns, "room is left", lines))
        if any(c in "\x1b\u202e" or unicodedata.category(c) == "Cc" for line in lines for c in line):
            wrong.append((columns, "controls", lines))
        if len({line[36:38] for line in lines[1:]} - {"  ", ""}) > 0:
            wrong.append((columns, "no columns", lines))
    assert not wrong, wrong
    wide = on_terminal("key", "list", data=data, columns=20000)
    assert [line.split() for line in wide[1:]] == [line.split() for line in run("key", "list", data=data)[1].splitlines()]
    # Columns in which nothing stands take no room, and those of which one key has something are there for all of them.
    data = data_dir()
    maker = make_key(data, "account,keys", name="laptop")["key"]
    with SmallServer(data) as server:
        subprocess.run(["curl", "-sSf", "-o", scratch() + "/#1", "-H", "Authorization: Bearer " + maker, "-H", "Content-Type: application/json", "-d",
                        '{"name": "laptop", "permissions": ["account"]}', server.url + "/v2/keys#[1-69]"], check=True, timeout=60)
    assert on_terminal("key", "list", data=data)[0].split() == ["ID", "STATE", "EXPIRES", "PERMISSIONS", "NAME"]
    last = run("key", "list", data=data)[1].splitlines()[-1][:36]
    execute(data, "UPDATE keys SET owner = 'ann' WHERE id = '%s' RETURNING 1" % last)
    for columns in (0, 80):
        lines = on_terminal("key", "list", data=data, columns=columns)
        assert re.fullmatch(r"ID +STATE +EXPIRES +OWNER +PERMISSI\S+ +NAME", lines[0]), lines[0]
        assert lines[-1].split()[:4] == [last, "active", "never", "ann"] and len(lines) == 71, lines[-1]
        assert lines[1].split()[3] == "-", lines[1]
    # Scripts go by the columns that they know.
    assert run("key", "list", data=data)[1].splitlines()[-1].split()[:5] == [last, "active", "never", "-", "-"]
    assert on_terminal("key", "list", "--expiring", "1h", data=data) == []
    # A login is an id: one that is too long does not make the table wide for others.
    logins = ["ann", "x" * 200, "\u00fcber"]
    for login in logins:
        run("user", "create", login, "--permissions", "account,inventories,characters", data=data,
            stdin="correct horse", check=0)
    lines = on_terminal("user", "list", data=data, columns=60)
    assert [line.split()[1] for line in lines] == ["LOGIN"] + sorted(logins), lines
    assert [columns_of(line) <= 60 for line in lines] == [True, True, False, True], lines


@test
def keys_that_end_soon_are_listed():
    data = data_dir()
    ends = {days: make_key(data, "a", "--expires", "%dd" % days)["id"] for days in (40, 3, 29, 1)}
    make_key(data, "a")
    assert [r["id"] for r in objects(run("key", "list", "--expiring", "30d", "--json", data=data)[1])] == [
        ends[1], ends[3], ends[29]]
    assert [line[:36] for line in run("key", "list", "--expiring=48h", data=data)[1].splitlines()] == [ends[1]]
    assert [line[:36] for line in on_terminal("key", "list", "--expiring", "5d", data=data)] == ["ID".ljust(36), ends[1], ends[3]]
    assert run("key", "list", "--expiring", "1h", data=data)[:2] == (0, "")
    for text in ("", "30", "0d", "-1d", "never", "1w", "99999999999999999999d"):
        code, out, err = run("key", "list", "--expiring", text, data=data)
        assert code == 2 and out == "" and "--expiring must be a number with s, m, h or d" in err, (text, err)
    # More than a page, of which many end at once.
    db = sqlite3.connect(db_of(data))
    with db:
        for n in range(200):
            db.execute("INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at, disabled,"
                       " changed_at) SELECT printf('%08d', ?1) || substr(id, 9), randomblob(32), substr(sub, 1, 39) ||"
                       " printf('%04d', ?1), name, owner, permissions, created_at, expires_at + ?1 / 90, disabled,"
                       " changed_at FROM keys WHERE id = ?2", (n, ends[3]))
    db.close()
    found = objects(run("key", "list", "--expiring", "4d", "--json", data=data)[1])
    assert len(found) == 202 and len({r["id"] for r in found}) == 202
    assert [(r["expires_at"], r["id"]) for r in found] == sorted((r["expires_at"], r["id"]) for r in found)


# F9
@test
def lists_have_a_heading_on_a_terminal_and_none_in_a_pipe():
    data = data_dir()
    key = make_key(data, "account", name="first")
    make_key(data, "account,wallet", "--expires", "10d", name="second")
    run("user", "create", "ann", "--permissions", "a", data=data, stdin="correct horse", check=0)
    for words, heading, rows in ((("key", "list"), "ID +STATE +EXPIRES +PERMISSIONS +NAME", 2),
                                 (("user", "list"), "STATE +LOGIN +PERMISSIONS", 1),
                                 (("secret", "list"), "KID +DOES", 1), (("audit",), "AT +ACTION +.*", 3)):
        piped = run(*words, data=data)[1].splitlines()
        lines = on_terminal(*words, data=data)
        assert len(piped) == rows, (words, piped)
        assert re.fullmatch(heading, lines[0]), (words, lines)
        # On a terminal without the columns in which nothing stands.
        cells = [[cell for cell in line.split() if cell != "-"] for line in piped] if words == ("key", "list") else [line.split() for line in piped]
        assert [line.split() for line in lines[1:]] == cells, (words, lines, piped)
        # Its words stand above what they name.
        for word in re.findall(r"STATE|EXPIRES|LOGIN|DOES|ACTION|NAME", lines[0]):
            at = lines[0].index(word)
            assert all(line[:at][-1:] in ("", " ") and line[at] != " " for line in lines[1:]), (words, word, lines)
        printed = run(*words, "--json", data=data)[1]
        assert json.loads(printed) if words == ("secret", "list") else len(objects(printed)) == rows
    assert key["id"] in run("key", "list", data=data)[1]


@test
def data_comes_from_the_option_the_environment_or_the_default():
    a, b, cwd = data_dir(), data_dir(), scratch()

    def go(*words, **env):
        base = {n: v for n, v in os.environ.items() if n != "SUBTOKEN_DATA"}
        p = subprocess.run([PROGRAM, *words], capture_output=True, cwd=cwd, env=dict(base, **env))
        assert p.returncode == 0, (words, env, p)
        return p.stdout.decode()

    make = ["key", "create", "--permissions", "a", "--name"]
    go(*make, "by environment", SUBTOKEN_DATA=a)
    go(*make, "by option", "--data", b, SUBTOKEN_DATA=a)
    go(*make, "by default")
    go(*make, "by default too", SUBTOKEN_DATA="")
    names = lambda d: sorted(r["name"] for r in objects(go("key", "list", "--json", "--data", d)))
    assert names(a) == ["by environment"] and names(b) == ["by option"]
    assert names(os.path.join(cwd, "var")) == ["by default", "by default too"]
    assert "by environment" in go("key", "list", SUBTOKEN_DATA=a)
    assert os.stat(os.path.join(cwd, "var")).st_mode & 0o777 == 0o700
    assert os.listdir(cwd) == ["var"]


@test
def output_that_cannot_be_written_exits_with_3():
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"])
    line = json.dumps({"token": token}) + "\n"
    for words, stdin in [
        (["key", "create", "--name", "x", "--permissions", "a"], ""), (["key", "list"], ""),
        (["key", "list", "--json"], ""), (["key", "show", key["id"]], ""), (["issue"], key["key"]),
        (["key", "disable", key["id"], "--json"], ""), (["key", "enable", key["id"], "--json"], ""),
        (["verify"], token), (["verify", "--json"], token), (["verify", "--require", "q"], token),
        (["verify", "--jsonl"], line), (["verify", "--jsonl"], line * 5000), (["secret", "list"], ""),
        (["secret", "add"], ""), (["secret", "rotate"], ""), (["inspect"], token), (["saltpass"], "p"),
        (["inspect", "--json"], token), (["version"], ""), (["--help"], ""),
        (["key", "create", "--help"], ""), (["verify", "--help"], "")]:
        extra = [] if words[0] in ("inspect", "saltpass", "version", "--help") else ["--data", data]
        for how in ("full", "closed"):
            full = open("/dev/full", "wb")
            p = subprocess.run([PROGRAM] + words + extra, input=stdin.encode(), stderr=subprocess.PIPE,
                               stdout=full, timeout=60,
                               preexec_fn=(lambda: os.close(1)) if how == "closed" else None)
            full.close()
            assert p.returncode == 3 and b"standard output" in p.stderr, (words, how, p)
            assert b"Sanitizer" not in p.stderr
    # Nothing strange happened to the store or the ring while descriptor 1 was free.
    assert run("key", "show", key["id"], data=data)[0] == 0
    assert run("verify", data=data, stdin=token)[0] == 0
    assert run("secret", "list", data=data)[0] == 0


@test
def a_key_that_cannot_be_printed_is_not_made():
    """On a full disk: test_disk.py."""
    data = data_dir()
    key = make_key(data)
    commands = ["create", "--name", "n", "--permissions", "a"], ["rotate", key["id"]]
    for words in commands:
        for more in ([], ["--json"]):
            p = subprocess.run([PROGRAM, "key", *words, *more, "--data", data], stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
            assert p.returncode == 3 and b"standard output" in p.stderr and b"lost" not in p.stderr, (words, p)
            ends = os.pipe()  # nobody reads it
            os.close(ends[0])
            p = subprocess.run([PROGRAM, "key", *words, *more, "--data", data], stdout=ends[1], stderr=subprocess.PIPE)
            os.close(ends[1])
            assert p.returncode == 3 and b"standard output: Broken pipe" in p.stderr and b"lost" not in p.stderr, (words, p)
    assert len(run("key", "list", data=data)[1].splitlines()) == 1 and run("issue", data=data, stdin=key["key"])[0] == 0
    # Of a device it is not known before: then the error says which key it is, and what to do.
    for words, what in zip(commands, ("was made and is lost: delete it", "has a new secret, which is lost: rotate it again")):
        with open("/dev/full", "wb") as full:
            p = subprocess.run([PROGRAM, "key", *words, "--data", data], stdout=full, stderr=subprocess.PIPE, text=True)
        assert p.returncode == 3 and "standard output" in p.stderr and what in p.stderr, p
        assert run("key", "delete", re.search("key: ([0-9A-F-]{36}) ", p.stderr)[1], data=data)[0] == 0


# ---- issue, inspect ----

@test
def issue_makes_what_is_asked_and_no_more():
    data = data_dir()
    key = make_key(data, "account,wallet,unlocks", "--expires", "10d")
    now = time.time()
    p = payload(issue(data, key["key"]))
    assert list(p) == ["sub", "iat", "exp", "permissions"] and p["permissions"] == [] and p["sub"] == key["sub"]
    assert abs(p["iat"] - now) < 30 and p["exp"] == seconds_of(key["expires_at"]), p  # 30 d, but the key's 10
    p = payload(issue(data, key["key"], "--permissions", "wallet,nothing,account,wallet", "--urls", "/a,/b/*",
                      "--expire", "1h"))
    assert p["permissions"] == ["wallet", "account"] and p["urls"] == ["/a", "/b/*"], p
    assert p["exp"] - p["iat"] == 3600
    exp = int(now) + 5000
    assert run("issue", "--expire", "5000", data=data, stdin=key["key"])[0] == 2
    for form in (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(exp)), "5000s"):
        assert abs(payload(issue(data, key["key"], "--expire", form))["exp"] - exp) < 60
    parent = issue(data, key["key"], "--permissions", "wallet,account", "--urls", "/v2/createsubtoken,/a/*",
                   "--expire", "1h")
    child = payload(issue(data, parent, "--permissions", "unlocks,account", "--urls", "/a/b", "--expire", "9d"))
    assert child["permissions"] == ["account"] and child["urls"] == ["/a/b"], child
    assert child["exp"] == payload(parent)["exp"] and child["sub"] == key["sub"]
    assert run("issue", "--urls", "/b", data=data, stdin=parent)[0] == 1
    bound = issue(data, key["key"], "--urls", "/a")
    code, out, err = run("issue", data=data, stdin=bound)
    assert code == 1 and out == "", (code, out, err)
    for other in ("--expire=0", "--expire=2020-01-01T00:00:00Z"):
        code, out, err = run("issue", other, data=data, stdin=key["key"])
        assert code in (1, 2) and "expire" in err and out == "", (other, code, err)
    assert run("verify", data=data, stdin=issue(data, key["key"]))[0] == 0


@test
def inspect_trusts_nothing():
    token = sign(b"nobody's secret", claims(exp=NOW - 50 * 365 * DAY, iat=1))
    code, out, err = run("inspect", stdin=token)
    assert code == 0 and "NOT VERIFIED" in out and "account" in out, (code, out)
    odd = sign(K0, {"a": "\u009b\u202e", "b": "\u0085"}, '{"alg":"none","x":"\u009b"}')
    assert json.loads(run("inspect", "--json", stdin=odd)[1])["claims"]["b"] == "\u0085"
    raw = sign(K0, '{"a":"\u009b31m","b":"\u0085"}', '{"alg":"none","x":"\u0090"}')
    out = run("inspect", stdin=raw)[1]
    assert not CONTROLS.search(out), out
    assert json.loads(run("inspect", "--json", stdin=raw)[1])["claims"]["a"] == "\u009b31m"
    for bad in (sign(K0, "[1]"), sign(K0, '{"a":1,"a":2}'), sign(K0, "x"), sign(K0, claims(), "x"),
                token.split(".")[0], "x" * 8000, "\u00e9.\u00e9.\u00e9"):
        assert run("inspect", stdin=bad)[:2] == (1, ""), bad


@test
def inspect_shows_the_session_of_an_access_token():
    """And verify takes no notice of it, unless it is of the wrong form."""
    made = sign(K0, claims() | {"sid": "L-1_z"})
    out = run("inspect", stdin=made)[1]
    assert out.splitlines()[-1] == "session:  L-1_z", out
    assert json.loads(run("inspect", "--json", stdin=made)[1])["claims"]["sid"] == "L-1_z"
    assert "login" not in run("inspect", stdin=sign(K0, claims()))[1]
    words = ["verify", "--at", str(NOW), "--secrets", RING, "--no-revocations", "--json"]
    assert json.loads(run(*words, stdin=made)[1])["ok"] is True
    bad = sign(K0, claims() | {"sid": "a b"})
    assert run("inspect", stdin=bad)[1].splitlines()[-1] == "claims:   not those of a subtoken"
    code, out, err = run(*words, stdin=bad)
    assert code == 1 and json.loads(out)["reason"] == "claims", (code, out, err)


@test
def inspect_and_verify_show_what_a_token_was_made_from():
    data = data_dir()
    key = make_key(data, "a,b")["key"]
    root = issue(data, key)
    child = issue(data, root, "--audience", "eu")
    grandchild = issue(data, child)
    tids = [t.rpartition(".")[2][:16] for t in (root, child, grandchild)]
    out = run("inspect", stdin=root)[1]
    assert "\ntid:      %s\n" % tids[0] in out and "via:" not in out and "audience:" not in out, out
    out = run("inspect", stdin=grandchild)[1]
    assert out.endswith("\naudience: eu\ntid:      %s\nvia:      %s, %s\n" % (tids[2], tids[0], tids[1])), out
    seen = json.loads(run("inspect", "--json", stdin=grandchild)[1])
    assert seen["tid"] == tids[2] and seen["claims"]["via"] == tids[:2] and seen["claims"]["aud"] == "eu", seen
    assert seen["header"]["kid"] == ".eu", seen
    # An edge with the whole ring has to be told that it is eu; this command is one.
    assert run("verify", data=data, stdin=root)[0] == 0
    code, out, _ = run("verify", data=data, stdin=child)
    assert code == 1 and out == ('refused 401 aud: kid is ".eu", a secret that is derived for one audience, and this '
                                 'verifier is told none; aud is "eu"\n'), out
    code, out, _ = run("verify", "--aud", "eu", data=data, stdin=grandchild)
    assert code == 0 and out.endswith(', aud is "eu", made from [%s, %s]\n' % tuple(tids[:2])), out
    # With the ring of an edge for eu alone.
    ring = os.path.join(data, "edge")
    with open(os.open(ring, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(run("secret", "derive", "--audience", "eu", data=data)[1])
    edge = ("verify", "--secrets", ring, "--no-revocations")
    assert run(*edge, stdin=child)[0] == 0 and run(*edge, stdin=grandchild)[0] == 0
    code, out, _ = run(*edge, stdin=root)
    assert code == 1 and out == "refused 401 kid: kid is missing, the secrets are [\".eu\"]\n", out
    # What was made from a revoked token ends with it, and is told by which.
    assert run("revoke", data=data, stdin=child)[0] == 0
    assert run("verify", data=data, stdin=root)[0] == 0
    code, out, _ = run("verify", "--aud", "eu", data=data, stdin=child)
    assert code == 1 and out == "refused 401 revoked: tid %s is revoked\n" % tids[1], out
    code, out, _ = run("verify", "--aud", "eu", data=data, stdin=grandchild)
    assert code == 1 and out == "refused 401 revoked: tid %s, which it was made from, is revoked\n" % tids[1], out
    assert run("verify", "--aud", "eu", data=data, stdin=issue(data, root, "--audience", "eu",
                                                                       "--permissions", "a"))[0] == 0


@test
def inspect_wants_three_parts():
    token = sign(K0, claims())
    header, body, mac = token.split(".")
    assert run("inspect", stdin=token)[0] == 0
    for bad in (header + "." + body, header + "." + body + "." + mac + ".", header, token + "=",
                header + "." + body + "." + mac + "." + mac):
        assert run("inspect", stdin=bad)[0] == 1, bad


@test
def commands_go_by_the_settings_of_the_server():
    """What the server of a store is configured to, issue and verify take up."""
    data = data_dir()
    with Server(data, config={"max_life": "400d", "default_life": "1h", "leeway": 10}) as server:
        key = make_key(data)["key"]
        exp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 390 * DAY))
        long = json.loads(curl(server.url + "/v2/createsubtoken?permissions=account&expire=" + exp,
                               *bearer(key)).body)["subtoken"]
        assert run("verify", data=data, stdin=long)[0] == 0
        assert run("verify", "--max-life", "365d", data=data, stdin=long)[0] == 1
        short = payload(issue(data, key))
        assert short["exp"] - short["iat"] == 3600, short
        assert run("issue", data=data, stdin=long)[0] == 0


@test
def a_dash_is_no_kid():
    data = data_dir()
    make_key(data)
    for kid in ("-", "--x", "-a"):
        assert run("secret", "add", "--kid=" + kid, data=data)[0] == 2, kid


@test
def a_wrong_listen_address_is_refused():
    for listen in ("127.0.0.1/8:9494", "[127.0.0.1]:9494", "::1:80", "nowhere:80", "127.0.0.1:70000",
                   "127.0.0.1:", ":80", "127.0.0.1"):
        assert run("serve", "--listen", listen, data=data_dir())[0] == 2, listen

main()
