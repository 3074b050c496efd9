"""Every command of the contract's section 7, as a user types it: help, usage, exit
codes, JSON, what is shown of hostile names, and every verdict of `verify`."""
import fcntl, glob, hashlib, hmac, itertools, pty, re, resource, socket, sqlite3, termios
import support
from support import *

VECTORS = os.path.join(TESTS, "vectors", "tokens.json")
NOW = 1800000000  # 2027-01-15T08:00:00Z
DAY = 86400


def cmd(*args, **options):
    code, out, err = support.run(*args, **options)
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert code in (0, 1, 2, 3), (args, code, err)
    return code, out, err


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ring_of(data):
    with open(os.path.join(data, "secrets")) as f:
        return {l.split(":")[0]: unb64(l.split(":")[1]) for l in f.read().splitlines()}


HEADER = '{"alg":"HS256","typ":"JWT"}'


def sign(secret, claims, header=HEADER):
    """A token by hand. claims: a dict, or JSON text, or bytes."""
    if isinstance(claims, dict):
        claims = json.dumps(claims, separators=(",", ":"))
    if isinstance(claims, str):
        claims = claims.encode()
    if isinstance(header, dict):
        header = json.dumps(header)
    text = b64(header.encode()) + "." + b64(claims)
    return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def claims(**other):
    c = {"sub": "s" * 43, "iat": NOW, "exp": NOW + DAY, "permissions": ["account"]}
    c.update(other)
    return {k: v for k, v in c.items() if v is not None}


def ring_file(lines):
    path = os.path.join(scratch(), "ring")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write("".join("%s:%s\n" % (kid, b64(secret)) for kid, secret in lines))
    return path


K0, K1, K2 = (hashlib.sha256(b"test key %d" % i).digest() for i in range(3))
RING = ring_file([("", K0), ("k1", K1), ("long_name-2", K2)])


def verdict(token, *options, data=None, secrets=RING, stdin=None):
    """(status, reason) of one token, asked in both forms, which must agree."""
    if secrets:
        options += ("--secrets", secrets)
    if data is None:
        options += ("--no-revocations",)
    stdin = token if stdin is None else stdin
    code, out, err = cmd("verify", *options, data=data, stdin=stdin)
    assert code in (0, 1), (options, code, out, err)
    said = re.match(r"refused (\d+) ([a-z_]+)", out)
    got = (200, "ok") if out.startswith("good until ") else (int(said[1]), said[2])
    assert (code == 0) == (got[0] == 200) and out.count("\n") == 1, (code, out)
    code2, out2, _ = cmd("verify", "--json", *options, data=data, stdin=stdin)
    want = {"ok": True} if got[0] == 200 else {"ok": False, "status": got[0], "reason": got[1]}
    assert code2 == code and json.loads(out2) == want, (out2, want)
    return got


def is_(got, status, reason):
    assert got == (status, reason), "%s, wanted %s" % (got, (status, reason))


# ---- help, usage, exit codes ----

COMMANDS = [["serve"], ["key"], ["key", "create"], ["key", "list"], ["key", "show"],
            ["key", "disable"], ["key", "enable"], ["key", "delete"], ["key", "revoke-subtokens"],
            ["issue"], ["verify"], ["inspect"], ["secret"], ["secret", "list"], ["secret", "add"],
            ["secret", "promote"], ["secret", "rotate"], ["secret", "retire"], ["policy"],
            ["policy", "check"], ["saltpass"], ["backup"], ["version"], ["user"], ["user", "create"],
            ["user", "list"], ["user", "show"], ["user", "permissions"], ["user", "passwd"],
            ["user", "disable"], ["user", "enable"], ["user", "delete"], ["import"], ["audit"],
            ["key", "hash"]]
OPTIONS = {"serve": "--listen --config --data", "key create":
           "--name --permissions --expires --owner --data --json", "key list": "--data --json",
           "key show": "ID --data --json", "issue": "--permissions --urls --expire --data --json",
           "policy check": "FILE --json",
           "verify": "--method --url --require --policy --at --leeway --max-life --iss --aud --secrets "
           "--no-revocations --jsonl --json --data", "inspect": "--json",
           "user create": "LOGIN --permissions --locale --source --data --json",
           "user list": "--data --json", "user permissions": "LOGIN LIST --and-made --data --json",
           "key delete": "ID --and-made --data --json", "user delete": "LOGIN --and-made --data --json",
           "import": "FILE --update --restore --dry-run --data --json", "audit": "--limit --data --json",
           "secret retire": "KID --force", "secret promote": "KID", "backup": "FILE --data"}


@test
def help_of_every_command():
    env = dict(os.environ, SUBTOKEN_DATA=data_dir())
    for words in [[]] + COMMANDS:
        code, out, err = cmd(*words, "--help", env=env)
        name = " ".join(["subtoken"] + words)
        assert code == 0 and err == "" and out.startswith("usage: " + name), (words, code, out, err)
        for option in OPTIONS.get(" ".join(words), "").split():
            assert option in out, (words, option)
    for words in [[], ["key"], ["secret"], ["policy"], ["user"]]:
        out = cmd(*words, "--help")[1]
        for row in COMMANDS:
            if row[:-1] == words:
                assert re.search(r"^  %s " % row[-1], out, re.M), row
    for words in COMMANDS:  # F9
        assert cmd("help", *words) == cmd(*words, "--help"), words
        assert cmd(*words[:-1], "help", words[-1]) == cmd(*words, "--help"), words
    for words in ([], ["key"], ["secret"], ["policy"], ["user"]):
        assert cmd(*words, "help") == cmd(*words, "--help")
        assert re.search(r"\b%s help\b.*--help" % " ".join(["subtoken"] + words), cmd(*words, "help")[1])
    assert "--version" in cmd("help")[1]
    assert "--kid is then refused" in cmd("secret", "add", "--help")[1]
    assert not os.path.exists(env["SUBTOKEN_DATA"])


USAGE = [  # arguments, what the message must name
    (["frobnicate"], "frobnicate"), (["key", "frobnicate"], "frobnicate"),
    (["secret", "frobnicate"], "frobnicate"), ([], "usage"), (["key"], "usage"),
    (["policy"], "usage"), (["policy", "frobnicate"], "frobnicate"), (["policy", "check"], "name"),
    (["policy", "check", "a", "b"], "unexpected argument"), (["verify", "--policy"], "--policy"),
    (["verify", "--policy", "a", "--policy", "b"], "--policy"),
    (["--colour"], "--colour"), (["version", "extra"], "unexpected argument"),
    (["key", "list", "--colour"], "--colour"), (["key", "list", "extra"], "unexpected argument"),
    (["key", "create", "--name"], "--name"), (["key", "create", "--name", "x"], "--permissions"),
    (["key", "create", "--permissions", "a"], "--name"),
    (["key", "create", "--name", "a", "--name", "b", "--permissions", "c"], "--name"),
    (["key", "list", "--json=yes"], "--json"), (["key", "list", "-x"], "unexpected argument"),
    (["key", "show"], "id"), (["key", "show", "a", "b"], "unexpected argument"), (["key", "disable"], "id"),
    (["key", "enable"], "id"), (["key", "delete"], "id"), (["key", "revoke-subtokens"], "id"),
    (["verify", "--at", "yesterday"], "--at"), (["verify", "--leeway", "x"], "--leeway"),
    (["verify", "--leeway", "-1"], "--leeway"), (["verify", "--max-life", "1y"], "--max-life"),
    (["verify", "--no-revocations=1"], "--no-revocations"), (["verify", "word"], "unexpected argument"),
    (["verify", "--require", ",".join("p%d" % i for i in range(300))], "--require"),
    (["issue", "--expire", "soon"], "--expire"), (["issue", "--urls", "v2/account"], "--urls"),
    (["issue", "--urls", "/a/../b"], "--urls"), (["issue", "--colour"], "--colour"),
    (["inspect", "word"], "unexpected argument"), (["saltpass", "word"], "unexpected argument"), (["secret", "promote"], "name"),
    (["secret", "retire"], "name"), (["secret", "retire", "a", "b"], "unexpected argument"),
    (["secret", "add", "--kid", "not a kid"], "--kid"), (["secret", "add", "--kid", ""], "--kid"),
    (["secret", "rotate", "--kid", "x" * 65], "--kid"), (["backup"], "name"),
    (["backup", "a", "b"], "unexpected argument"), (["serve", "--listen", "nonsense"], "listen"),
    (["serve", "--listen", "127.0.0.1:99999"], "listen"),
    (["serve", "--listen", "localhost:99999"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "localhost:"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "localhost:x"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "localhost"], "listen must be ADDRESS:PORT"),
    (["serve", "--listen", "127.0.0.1:"], "listen"), (["serve", "--listen", ":80"], "listen"),
    (["serve", "--listen", "example.com:80"], "listen"), (["serve", "word"], "unexpected argument"),
    (["serve", "--listen", "1" * 500], "listen"),
    (["key", "list", "--data", "x" * 2000], "data directory"),
    (["secret", "list", "--data", "x" * 2000], "data directory"),
    (["secret", "add", "--data", "x" * 2000], "data directory"),
    (["user"], "usage"), (["user", "frobnicate"], "frobnicate"), (["user", "list", "x"], "unexpected argument"),
    (["user", "create"], "a login is needed"), (["user", "create", "a", "b"], "unexpected argument"),
    (["user", "create", ""], "a login is"), (["user", "create", "a:b"], "a login is"),
    (["user", "create", "a\n"], "a login is"), (["user", "create", "\x1b[2J"], "a login is"),
    (["user", "create", b"\xff"], "a login is"), (["user", "create", "x" * 257], "a login is"),
    (["user", "show", "a:b"], "a login is"), (["user", "delete"], "a login is needed"),
    (["user", "create", "a", "--permissions", "a b"], "permissions"),
    (["user", "create", "a", "--permissions", "a,a"], "permissions"),
    (["user", "create", "a", "--locale", "x" * 36], "--locale"),
    (["user", "create", "a", "--source", "x" * 65], "--source"),
    (["user", "create", "a", "--source", b"\xff"], "--source"),
    (["user", "create", "a", "--password", "12345678"], "--password"),
    (["user", "permissions", "a"], "a login and permissions"), (["user", "passwd"], "a login is needed"),
    (["user", "permissions", "a", "b", "c"], "unexpected argument"),
    (["user", "permissions", "a", "a b"], "permissions"),
    (["user", "disable"], "a login is needed"), (["user", "enable", "a", "b"], "unexpected argument"),
    (["import"], "an access file is needed"), (["import", "a", "b"], "unexpected argument"),
    (["import", "a", "--dry-run=yes"], "--dry-run"), (["audit", "x"], "unexpected argument"),
    (["audit", "--limit"], "--limit"), (["audit", "--limit", "0"], "--limit"),
    (["audit", "--limit", "-1"], "--limit"), (["audit", "--limit", "x"], "--limit"),
    (["audit", "--limit", ""], "--limit"), (["audit", "--limit", "1000001"], "--limit"),
    (["audit", "--limit", "99999999999999999999999"], "--limit"),
]


@test
def wrong_usage_is_2_and_named():
    env = dict(os.environ, SUBTOKEN_DATA=data_dir())
    wrong = []
    for words, named in USAGE:
        code, out, err = cmd(*words, env=env, stdin=b"x")
        if code != 2 or named not in err or out != "":
            wrong.append((words, code, named, out, err))
    assert not os.path.exists(env["SUBTOKEN_DATA"])
    assert not wrong, wrong


@test
def refused_is_1():
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
        (["issue"], key["key"][:-1]), (["issue"], token[:-2] + "AA"),
        (["issue", "--expire", "2020-01-01T00:00:00Z"], key["key"]), (["verify"], token[:-2] + "AA"),
        (["issue", "--permissions", ",".join("p%d" % i for i in range(65))], key["key"]),
        (["issue", "--urls", ",".join("/p%d" % i for i in range(65))], key["key"]),
        (["inspect"], "garbage"), (["inspect"], "a.b.c"), (["inspect"], "." * 100)]:
        if words[0] == "inspect":
            code, out, err = cmd(*words, stdin=stdin)
        else:
            code, out, err = cmd(*words, data=data, stdin=stdin)
        # What is malformed on the command line itself may also be called wrong usage.
        allowed = (1, 2) if words[-1].count(",") == 64 else (1,)
        assert code in allowed and (err or words[0] == "verify"), (words, code, out, err)
    assert key["key"] in cmd("key", "show", key["id"], data=data)[1] + key["key"]
    assert cmd("key", "show", key["id"], data=data)[0] == 0


@test
def could_not_run_is_3():
    nowhere = data_dir()
    data = data_dir()
    key = make_key(data)
    afile = os.path.join(scratch(), "file")
    open(afile, "w").close()
    for words in (["key", "list"], ["key", "show", "x"], ["key", "delete", "x"], ["issue"],
                  ["verify"], ["verify", "--jsonl"], ["secret", "list"], ["secret", "rotate"],
                  ["secret", "promote", "x"], ["secret", "retire", "x"],
                  ["backup", os.path.join(scratch(), "b")]):
        code, out, err = cmd(*words, data=nowhere, stdin="a.b.c")
        assert code == 3 and nowhere in err and out == "", (words, code, out, err)
        assert not os.path.exists(nowhere), words
    assert cmd("key", "create", "--name", "x", "--permissions", "a", data="/proc/nowhere")[0] == 3
    for words in (["key", "create", "--name", "x", "--permissions", "a"], ["serve"], ["key", "list"]):
        code, _, err = cmd(*words, data=afile)
        assert code == 3 and afile in err, (words, code, err)
    for words in (["verify"], ["issue"]):
        for stdin in (b"", b" \r\n\t "):
            code, out, err = cmd(*words, data=data, stdin=stdin)
            assert code == 3 and out == "" and "standard input" in err, (words, code, out, err)
    assert cmd("inspect", stdin=b"")[0] == 3
    assert cmd("saltpass", stdin=b"")[0] == 3
    assert verdict("a" * 1000000, data=data, secrets=None) == (401, "too_large")
    assert cmd("verify", data=data, stdin=b"a" * 2000000)[0] == 3
    code, out, err = cmd("verify", "--secrets", afile + "-not", data=data, stdin="a.b.c")
    assert code == 3 and afile + "-not" in err
    for words in (["policy", "check"], ["verify", "--policy"], ["verify", "--jsonl", "--policy"]):
        code, out, err = cmd(*words, afile + "-not", data=data if words[0] == "verify" else None,
                             stdin="a.b.c")
        assert code == 3 and out == "" and afile + "-not" in err, (words, code, out, err)
    code, out, err = cmd("serve", "--config", afile + "-not", data=data)
    assert code == 3 and afile + "-not" in err
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        code, out, err = cmd("serve", "--listen", "127.0.0.1:%d" % s.getsockname()[1], data=data)
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
        code, _, err = cmd("serve", "--config", config('{"listen":"%s"}' % listen), data=data_dir())
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
        p.communicate(timeout=20)
        assert re.fullmatch(b"subtoken serve: cannot write to standard output: .+\n", said), said
    full.close()


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
    assert cmd("secret", "add", data=data)[:2] == (0, "-\n")
    for words in (["promote", "x"], ["retire", "x"], ["retire", "x", "--force"]):
        assert cmd("secret", *words, data=data)[0] == 1
        assert os.listdir(data) == ["secrets"], words


@test
def the_first_secret_of_a_ring_has_no_name():
    data = data_dir()
    for here in (False, True):
        if here:
            os.mkdir(data, 0o700)
        code, out, err = cmd("secret", "add", "--kid", "winter", data=data)
        assert (code, out) == (1, "") and "no ring yet" in err and "without --kid" in err, (code, out, err)
        assert os.path.exists(data) == here and (not here or os.listdir(data) == [])
    assert cmd("secret", "rotate", "--kid", "winter", data=data)[0] == 3 and os.listdir(data) == []
    os.rmdir(data)
    assert cmd("secret", "add", data=data)[:2] == (0, "-\n")
    assert cmd("secret", "add", "--kid", "winter", data=data)[:2] == (0, "winter\n")
    assert list(ring_of(data)) == ["", "winter"]


@test
def every_event_is_in_the_readme():
    root = os.path.dirname(TESTS)
    source = "".join(open(f).read() for f in sorted(glob.glob(os.path.join(root, "src", "shell", "*.c"))))
    known = set(re.findall(r'\breport\("(\w+)"\)|\*event = "(\w+)"|\\"event\\":\\"(\w+)', source))
    known = {w for words in known for w in words if w}
    for first in re.findall(r"\bst_log_event\(([^,]*),", source):
        known |= set(re.findall(r'"(\w+)"', first))
    for told in re.findall(r"\btell\(([^;]*);", source):
        known |= set(re.findall(r'"(\w+)"', told))
    ring = re.search(r"^const char \*st_ring_load\(.*?^}", source, re.M | re.S).group(0)
    for answer in re.findall(r"\breturn ([^;]*);", ring):
        known |= set(re.findall(r'"(\w+)"', answer))
    readme = open(os.path.join(root, "README.md")).read()
    listed = re.search(r"Events of the server itself\s+\(([^)]*)\)", readme).group(1)
    assert known == set(re.findall(r"`(\w+)`", listed)) and len(known) > 15, known ^ set(
        re.findall(r"`(\w+)`", listed))


# ---- JSON ----

@test
def json_everywhere():
    data = data_dir()
    k = json.loads(cmd("key", "create", "--name", "n", "--permissions", "b,a", "--owner", "o",
                       "--expires", "1d", "--json", data=data)[1])
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{20}(-[0-9A-F]{4}){3}-[0-9A-F]{12}",
                        k["key"]) and k["id"] == k["key"][:36], k
    assert k["name"] == "n" and k["owner"] == "o" and k["permissions"] == ["b", "a"], k
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", k["sub"]) and k["disabled"] is False
    shown = json.loads(cmd("key", "show", k["id"], "--json", data=data)[1])
    assert shown == {n: v for n, v in k.items() if n != "key"}, shown
    assert json.loads(cmd("key", "list", "--json", data=data)[1]) == [shown]
    for act, state in (("disable", "disabled"), ("disable", "disabled"), ("enable", "active")):
        code, out, _ = cmd("key", act, k["id"], "--json", data=data)
        assert code == 0 and isinstance(json.loads(out), dict)
        now = json.loads(cmd("key", "show", k["id"], "--json", data=data)[1])
        assert now["state"] == state and now["disabled"] == (state == "disabled")
        text = cmd("key", "show", k["id"], data=data)[1]
        assert "state:       " + state in text and k["key"] not in text, text
        assert state in cmd("key", "list", data=data)[1]
    json.loads(cmd("key", "revoke-subtokens", k["id"], "--json", data=data)[1])
    now = json.loads(cmd("key", "show", k["id"], "--json", data=data)[1])
    assert now["sub"] != k["sub"]
    token = json.loads(cmd("issue", "--json", data=data, stdin=k["key"])[1])["subtoken"]
    assert json.loads(cmd("verify", "--json", data=data, stdin=token)[1]) == {"ok": True}
    code, out, _ = cmd("verify", "--json", "--require", "c", data=data, stdin=token)
    assert code == 1 and json.loads(out) == {"ok": False, "status": 403, "reason": "perm"}
    seen = json.loads(cmd("inspect", "--json", stdin=token)[1])
    assert seen["verified"] is False and seen["claims"]["permissions"] == [] \
        and seen["header"] == {"alg": "HS256", "typ": "JWT"}, seen
    assert json.loads(cmd("secret", "list", "--json", data=data)[1]) == [{"kid": "-", "signs": True}]
    kid = json.loads(cmd("secret", "add", "--json", data=data)[1])["kid"]
    assert json.loads(cmd("secret", "list", "--json", data=data)[1]) == [
        {"kid": "-", "signs": True}, {"kid": kid, "signs": False}]
    assert json.loads(cmd("secret", "promote", kid, "--json", data=data)[1])["kid"] == kid
    kid2 = json.loads(cmd("secret", "rotate", "--json", data=data)[1])["kid"]
    assert json.loads(cmd("secret", "retire", kid, "--force", "--json", data=data)[1])["kid"] == kid
    assert [r["kid"] for r in json.loads(cmd("secret", "list", "--json", data=data)[1])] == [kid2, "-"]
    json.loads(cmd("key", "delete", k["id"], "--json", data=data)[1])
    assert json.loads(cmd("key", "list", "--json", data=data)[1]) == []
    assert cmd("key", "list", data=data)[1] == ""
    code, out, _ = cmd("version")
    assert code == 0 and re.fullmatch(r"subtoken \d+\.\d+\.\d+\n", out)
    assert cmd("--version")[:2] == (0, out)


@test
def version_in_json():
    code, out, _ = cmd("version", "--json")
    assert code == 0 and re.fullmatch(r"\d+\.\d+\.\d+", json.loads(out)["version"])


@test
def long_lists_are_whole():
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
        rows = json.loads(cmd("key", "list", "--json", data=data)[1])
        ids = [r["id"] for r in rows]
        assert len(ids) == total == len(set(ids)) and ids == sorted(ids), (total, len(ids))
        text = cmd("key", "list", data=data)[1].splitlines()
        assert [l[:36] for l in text] == ids
    db.close()


# ---- secrets on the command line ----

@test
def secrets_in_argv():
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"])
    with open(os.path.join(data, "secrets")) as f:
        line = f.read().strip()
    before = cmd("key", "list", "--json", data=data)[1]
    wrong = []
    for secret in (key["key"], token):
        for words in (["issue", secret], ["verify", secret], ["inspect", secret],
                      ["key", "show", secret], ["key", "create", "--name", secret,
                      "--permissions", "a"], ["key", "delete", secret], [secret], ["key", secret],
                      ["serve", "--listen", secret], ["backup", secret], ["version", secret],
                      ["key", "show", secret, "--help"], ["secret", "promote", secret],
                      ["key", "create", "--name=" + secret, "--permissions", "a"],
                      ["verify", "--token=" + secret], ["verify", "--aud=" + secret],
                      ["key", "show", "--key=" + secret], ["backup", "--data=" + secret]):
            code, out, err = cmd(*words, data=None if "--data=" in words[-1] else data)
            shown = any(secret[i:i + 12] in out + err for i in range(37, len(secret) - 12))
            if code != 2 or shown:
                wrong.append(([w[:16] for w in words], code, shown))
    for words in (["secret", "add", line], ["secret", "add", line[1:]],
                  ["verify", key["key"].lower()], ["key", "show", key["key"] + " "],
                  ["key", "show", " " + key["key"]], ["inspect", "Bearer " + token]):
        code, out, err = cmd(*words, data=None if words[0] == "inspect" else data)
        body = words[-1].strip(" :")
        shown = any(body[i:i + 12] in out + err for i in range(0, len(body) - 12))
        if code not in (1, 2) or shown:
            wrong.append((words[:-1], code, shown))
    after = cmd("key", "list", "--json", data=data)[1]
    if after != before:
        wrong.append("a key was stored as a name")
    assert not wrong, wrong


# ---- names ----

NAMES = ["plain", "", " ", "two\nlines", "tab\there", "\x1b[2J\x1b]0;title\x07", "del\x7f",
         "c1 \u009b31m \u0085 \u0080", 'quote " back \\ slash /', "</script><b>", "'; DROP TABLE keys",
         "M\u00fcller \u4e2d\u6587 \U0001f511", "\u05e9\u05dc\u05d5\u05dd", "over\u202eride \u2066x\u2069",
         "mark \u200f \u200e \u061c", "\u2028line\u2029para", "\ufeffbom", "null", "%s%n%x", "-", "--json",
         "x" * 256, "\u00fc" * 128, "\r\n\r\nHTTP/1.1 200 OK", "\x01\x02\x1f"]
# What makes a terminal reorder the rest of the line, or start another one.
OBEYED = re.compile("[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]")


@test
def hostile_names_are_shown_safely():
    data = data_dir()
    ids = {}
    wrong = []
    for name in NAMES:
        code, out, err = cmd("key", "create", "--name", name, "--owner", name, "--permissions", "a",
                             "--json", data=data)
        assert code == 0, (name, code, err)
        k = json.loads(out)
        assert k["name"] == name and k["owner"] == name, (name, k)
        ids[k["id"]] = name
        shown = json.loads(cmd("key", "show", k["id"], "--json", data=data)[1])
        assert shown["name"] == name and shown["owner"] == name
        text = cmd("key", "show", k["id"], data=data)[1]
        if OBEYED.search(text) or text.count("\n") != 9:
            wrong.append(("show", name, text))
        if name.isprintable() and name == name.strip():
            assert "name:        %s\n" % name in text, (name, text)
    listed = json.loads(cmd("key", "list", "--json", data=data)[1])
    assert {r["id"]: r["name"] for r in listed} == ids
    text = cmd("key", "list", data=data)[1]
    if OBEYED.search(text) or text.count("\n") != len(NAMES):
        wrong.append(("list", OBEYED.findall(text), text.count("\n")))
    for bad in (b"x" * 257, b"\xff", b"a\xc0\xafb", b"\xed\xa0\x80", b"\xc3"):
        for option, other in (("--name", "--owner"), ("--owner", "--name")):
            p = subprocess.run([PROGRAM, "key", "create", option, bad, other, "x", "--permissions",
                                "a", "--data", data], capture_output=True)
            assert p.returncode == 2 and option.encode() in p.stderr and p.stdout == b"", (bad, p)
    assert not wrong, wrong


@test
def names_that_somebody_else_wrote():
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
        json.loads(p.stdout.decode("utf-8"))


@test
def nothing_trails_in_what_key_shows():
    data = data_dir()
    for expires in ("never", "1d"):
        key = make_key(data, "a,b", "--owner", "o", "--expires", expires)
        text = cmd("key", "show", key["id"], data=data)[1]
        assert text == re.sub(" +$", "", text, flags=re.M) and text.count("\n") == 9, text
    assert "expires:     never\n" in cmd("key", "show", make_key(data, "")["id"], data=data)[1]
    rows = cmd("key", "list", data=data)[1].splitlines()
    assert len({re.search("  (a,b|-)  test$", r).start() for r in rows}) == 1, rows  # in columns


def seconds_of(text):
    return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))) - time.timezone


@test
def expires_in_every_form():
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
        code, out, err = cmd("key", "create", "--name", "n", "--permissions", "a", "--expires=" + text,
                             data=data)
        assert code == 2 and "--expires" in err and out == "", (text, code, out, err)
    k = make_key(data, "a", "--expires", "1s")
    time.sleep(1.2)
    assert json.loads(cmd("key", "show", k["id"], "--json", data=data)[1])["state"] == "expired"
    assert cmd("issue", data=data, stdin=k["key"])[0] == 1


@test
def permission_lists():
    data = data_dir()
    every = "".join(chr(c) for c in range(0x21, 0x7f) if chr(c) not in '",\\')
    for text in ("", "a", "z,a,m", "a,A", "x" * 64, every[:64], every[64:] or "q", "a:b/c?d=e",
                 ",".join("p%d" % i for i in range(64)),
                 ",".join(("%02d" % i) * 32 for i in range(64))):
        want = text.split(",") if text else []
        k = make_key(data, text)
        assert k["permissions"] == want, (text, k)
        assert json.loads(cmd("key", "show", k["id"], "--json", data=data)[1])["permissions"] == want
        code, out, err = cmd("issue", "--permissions", text, data=data, stdin=k["key"])
        if code == 0:
            assert json.loads(unb64(out.split(".")[1]))["permissions"] == want
        else:
            assert "4096" in err and len(text) > 3000, (text, err)
    for text in ("a,a", "a, a", "a,,b", ",a", "a,", "a, ", ",", "a b", " ", 'a"b', "a\\b", "\u00e9", "a\x01",
                 "a\x7f", "a\n", "x" * 65, ",".join("p%d" % i for i in range(65)), "a,b,a"):
        code, out, err = cmd("key", "create", "--name", "n", "--permissions", text, data=data)
        assert code == 2 and "--permissions" in err and out == "", (text, code, out, err)


# D3
@test
def blanks_around_the_items_of_a_list():
    data = data_dir()
    key = make_key(data, " account,\tinventories , wallet")
    assert key["permissions"] == ["account", "inventories", "wallet"], key
    assert json.loads(cmd("key", "show", key["id"], "--json", data=data)[1])["permissions"] == key["permissions"]
    code, out, err = cmd("issue", "--permissions", "account, inventories\t", "--urls", "/v2/a b, /v2/c",
                         data=data, stdin=key["key"])
    claims = json.loads(unb64(out.split(".")[1]))
    assert (code, err) == (0, ""), err
    assert claims["permissions"] == ["account", "inventories"]
    assert claims["urls"] == ["/v2/a%20b", "/v2/c"], claims
    asked = ("--require", "account ,  inventories", "--method", "GET", "--url", "/v2/c")
    assert cmd("verify", *asked, data=data, stdin=out)[0] == 0
    cmd("user", "create", "ann", "--permissions", "a, b", data=data, stdin="correct horse", check=0)
    assert json.loads(cmd("user", "show", "ann", "--json", data=data)[1])["permissions"] == ["a", "b"]
    cmd("user", "permissions", "ann", " b ,c", data=data, check=0)
    assert json.loads(cmd("user", "show", "ann", "--json", data=data)[1])["permissions"] == ["b", "c"]


# D3
@test
def what_issue_leaves_out_or_brings_down_is_said():
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
            code, out, err = cmd("issue", "--permissions", asked, *json_too, data=data, stdin=key["key"])
            assert (code, err) == (0, said), (asked, err)
            assert out.count("\n") == 1
    for asked, said in (("5d", ""), ("9d", ""), ("300d", down), ("9999-01-01T00:00:00Z", down)):
        code, out, err = cmd("issue", "--expire", asked, data=data, stdin=key["key"])
        assert code == 0 and err == (said % until(out) if said else ""), (asked, err)
    never = make_key(data, "account")["key"]
    code, out, err = cmd("issue", "--expire", "9999-01-01T00:00:00Z", data=data, stdin=never)
    assert code == 0 and err == ("subtoken issue: the expiry was brought down to %s, the longest life "
                                 "(max_life)\n" % until(out)), err
    assert cmd("issue", data=data, stdin=key["key"])[2] == ""  # the default is no wish


# F9
@test
def what_is_nearly_a_command_or_an_option_is_suggested():
    for words, near in (("serv", "serve"), ("key creat", "create"), ("key lsit", "list"), ("keys", "key"),
                        ("help", None), ("nonsense", ""), ("help serv", "serve"), ("help key creat", "create"),
                        ("issue --permission a", "--permissions"), ("issue --url=/a", "--urls"),
                        ("issue -permissions a", "--permissions"), ("key list -h", "--help"),
                        ("verify --no-revocation", "--no-revocations"), ("audit --colour", ""),
                        ("version now", "")):
        code, out, err = cmd(*words.split())
        if near is None:
            assert (code, err) == (0, ""), words
            continue
        first = err.splitlines()[0]
        assert code == 2 and out == "", (words, code)
        assert first.endswith("; did you mean %s?" % near) if near else "did you mean" not in first, (words, first)
    # What is one word too many may be a password, and is not repeated.
    code, out, err = cmd("user", "passwd", "ann", "correct-horse", data=data_dir())
    assert code == 2 and "unexpected argument" in err and "horse" not in err, err


# F9
@test
def lists_have_a_heading_on_a_terminal_and_none_in_a_pipe():
    data = data_dir()
    key = make_key(data, "account", name="first")
    make_key(data, "account,wallet", "--expires", "10d", name="second")
    cmd("user", "create", "ann", "--permissions", "a", data=data, stdin="correct horse", check=0)
    for words, heading, rows in ((("key", "list"), "ID +STATE +EXPIRES +PERMISSIONS +NAME", 2),
                                 (("user", "list"), "STATE +LOGIN +PERMISSIONS", 1),
                                 (("secret", "list"), "KID +DOES", 1), (("audit",), "AT +ACTION +.*", 3)):
        piped = cmd(*words, data=data)[1].splitlines()
        ours, theirs = pty.openpty()
        p = subprocess.run([PROGRAM, *words, "--data", data], stdout=theirs, timeout=60)
        os.close(theirs)
        shown = b""
        try:
            while True:
                shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            os.close(ours)
        lines = shown.decode().splitlines()
        assert p.returncode == 0 and len(piped) == rows, (words, piped)
        assert re.fullmatch(heading, lines[0]) and lines[1:] == piped, (words, lines, piped)
        # Its words stand above what they name.
        for word in re.findall(r"STATE|EXPIRES|LOGIN|DOES|ACTION", lines[0]):
            at = lines[0].index(word)
            assert all(line[:at][-1:] in ("", " ") and line[at] != " " for line in piped), (words, word, piped)
        assert json.loads(cmd(*words, "--json", data=data)[1].splitlines()[0] if words == ("audit",) else
                          cmd(*words, "--json", data=data)[1])
    assert key["id"] in cmd("key", "list", data=data)[1]


@test
def where_data_comes_from():
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
    names = lambda d: sorted(r["name"] for r in json.loads(go("key", "list", "--json", "--data", d)))
    assert names(a) == ["by environment"] and names(b) == ["by option"]
    assert names(os.path.join(cwd, "var")) == ["by default", "by default too"]
    assert "by environment" in go("key", "list", SUBTOKEN_DATA=a)
    assert os.stat(os.path.join(cwd, "var")).st_mode & 0o777 == 0o700
    assert os.listdir(cwd) == ["var"]


@test
def output_that_cannot_be_written_is_3():
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
    assert cmd("key", "show", key["id"], data=data)[0] == 0
    assert cmd("verify", data=data, stdin=token)[0] == 0
    assert cmd("secret", "list", data=data)[0] == 0


# ---- verify ----

@test
def good_tokens():
    for header, secret in ((HEADER, K0), ('{"alg":"HS256"}', K0), ('{ "typ":"JWT" , "alg":"HS256"}', K0),
                           ({"alg": "HS256", "typ": "JWT", "kid": "k1"}, K1),
                           ({"kid": "long_name-2", "alg": "HS256"}, K2),
                           ({"alg": "HS256", "x-unknown": {"a": [1]}}, K0)):
        is_(verdict(sign(secret, claims(), header), "--at", str(NOW)), 200, "ok")
    for extra in ({"permissions": []}, {"jti": "x", "foo": [{"a": None}]}, {"sub": "a"},
                  {"sub": "a" * 128}, {"nbf": NOW}, {"urls": ["/v2/account"]}):
        options = ["--at", str(NOW)] + (["--url", "/v2/account"] if "urls" in extra else [])
        is_(verdict(sign(K0, claims(**extra)), *options), 200, "ok")
    token = sign(K0, claims())
    for stdin in (token + "\n", "  " + token + "\r\n", "\t" + token + " \n\n"):
        is_(verdict(token, "--at", str(NOW), stdin=stdin), 200, "ok")
    out = cmd("verify", "--at", str(NOW), "--secrets", RING, "--no-revocations", stdin=token)[1]
    assert "2027-01-16T08:00:00Z" in out, out


@test
def rule_1_form():
    good = sign(K0, claims())
    h, p, s = good.split(".")
    at = ["--at", str(NOW)]
    is_(verdict("a" * 8193, *at), 401, "too_large")
    is_(verdict(good + "." * (8193 - len(good)), *at), 401, "too_large")
    is_(verdict("a" * 60000, *at), 401, "too_large")
    is_(verdict("a" * 8192, *at), 401, "malformed")
    for bad in ("a", "a.b", h + "." + p, good + ".", "." + good, good + "." + s, ".." , h + ".." + s,
                h + "." + p + ".", "." + p + "." + s, h + "=." + p + "." + s, good + "=", good + "==",
                h + ". " + p + "." + s, h + "." + p[:9] + "\n" + p[9:] + "." + s, "Bearer " + good,
                good.replace("-", "+").replace("_", "/") + "+", p + "." + p + "." + s + "!",
                good[:-1] + chr(ord(good[-1]) + 1), good + "A", good[:-1], good + "\0", good + "\u00e9"):
        got = verdict(bad, *at)
        assert got[0] == 401 and got[1] in ("malformed", "mac"), (bad, got)
    flipped = good[:-1] + ("B" if good[-1] == "A" else "A" if good[-1] == "B" else chr(ord(good[-1]) ^ 1))
    assert verdict(flipped, *at)[0] == 401


@test
def rule_2_header_and_mac():
    at = ["--at", str(NOW)]
    for alg in ("none", "None", "hs256", "HS384", "HS512", "RS256", "ES256", "", None, 1, ["HS256"]):
        got = verdict(sign(K0, claims(), {"alg": alg, "typ": "JWT"}), *at)
        assert got in ((401, "alg"), (401, "malformed"), (401, "header")), (alg, got)
        if isinstance(alg, str):
            is_(got, 401, "alg")
    is_(verdict(sign(K0, claims(), '{"typ":"JWT"}'), *at), 401, "alg")
    unsigned = b64(b'{"alg":"none","typ":"JWT"}') + "." + b64(json.dumps(claims()).encode()) + "."
    assert verdict(unsigned, *at)[0] == 401
    for name in "crit b64 zip enc cty jwk jku x5u x5c x5t x5t#S256 p2s p2c".split():
        is_(verdict(sign(K0, claims(), {"alg": "HS256", "typ": "JWT", name: "x"}), *at), 401, "header")
    for typ in ("at+jwt", "", None, 1, "JOSE", "JWTX"):
        is_(verdict(sign(K0, claims(), {"alg": "HS256", "typ": typ}), *at), 401, "header")
    for header in ('{"alg":"HS256","alg":"HS256"}', '{"alg":"HS256",}', "[]", '"x"', "{}x",
                   '{"alg":"HS256"}{}', "{'alg':'HS256'}", '{"alg":"HS256","a":"\\ud800"}',
                   '{"alg":"HS256","a":' + "[" * 17 + "]" * 17 + "}", '\ufeff{"alg":"HS256"}'):
        got = verdict(sign(K0, claims(), header), *at)
        assert got in ((401, "malformed"), (401, "alg"), (401, "header")), (header, got)
    fits = {"alg": "HS256", "x": "y" * (1024 * 3 // 4 - 26)}
    assert 1020 <= len(b64(json.dumps(fits).encode())) <= 1024
    is_(verdict(sign(K0, claims(), fits), *at), 200, "ok")
    fits["x"] += "y" * 6
    got = verdict(sign(K0, claims(), fits), *at)
    assert got[0] == 401 and got[1] in ("header", "malformed", "too_large"), got
    for kid in ("k2", "K1", "", "k1 ", "-", "../k1", "k1\0", "k" * 65, "long_name-"):
        got = verdict(sign(K1, claims(), {"alg": "HS256", "kid": kid}), *at)
        assert got in ((401, "kid"), (401, "header"), (401, "malformed")), (kid, got)
    is_(verdict(sign(K1, claims(), {"alg": "HS256", "kid": "k2"}), *at), 401, "kid")
    for kid in (1, None, ["k1"], {"k1": 1}, True):
        got = verdict(sign(K0, claims(), {"alg": "HS256", "kid": kid}), *at)
        assert got in ((401, "kid"), (401, "header")), (kid, got)
    named = {"alg": "HS256", "kid": "k1"}
    for token in (sign(K1, claims()), sign(K2, claims()), sign(K0, claims(), named),
                  sign(K2, claims(), named), sign(b"", claims()), sign(b"\0" * 32, claims()),
                  sign(K0[:31], claims()), sign(K0 + b"\1", claims())):
        is_(verdict(token, *at), 401, "mac")
    h, p, s = sign(K0, claims()).split(".")
    h2, p2, s2 = sign(K0, claims(permissions=["account", "wallet"])).split(".")
    for token in (h + "." + p2 + "." + s, h + "." + p + "." + s2, h + "." + p + "." + b64(b"x" * 31),
                  h + "." + p + "." + b64(b"x" * 33)):
        got = verdict(token, *at)
        assert got in ((401, "mac"), (401, "malformed")), got


@test
def rule_3_claims():
    at = ["--at", str(NOW)]
    base = json.dumps(claims())[:-1]
    for c in [claims(sub=None), claims(iat=None), claims(exp=None), claims(permissions=None),
              claims(sub=1), claims(sub=""), claims(sub="a" * 129), claims(sub="a b"), claims(sub="a.b"),
              claims(sub="\u00e9"), claims(iat=str(NOW)), claims(exp=NOW + 1.5), claims(exp=-1),
              claims(exp=2 ** 53), claims(exp=2 ** 64 + NOW + 5), claims(exp=True), claims(nbf="x"),
              claims(nbf=-1), claims(nbf=1.5), claims(permissions="account"), claims(permissions={}),
              claims(permissions=[1]), claims(permissions=["a", "a"]), claims(permissions=["a b"]),
              claims(permissions=[""]), claims(permissions=["a,b"]), claims(permissions=["x" * 65]),
              claims(permissions=["p%d" % i for i in range(65)]), claims(urls="/a"), claims(urls=[1]),
              claims(urls=["a"]), claims(urls=["/a/../b"]), claims(urls=["/a", "/b/*c"]),
              claims(urls=["/p%d" % i for i in range(65)]), claims(urls=["get:/a"]), claims(urls=["/a?b"]),
              claims(urls=["/" + "x" * 1024]), base + ',"sub":"x"}', base + ',"a":1,"a":1}',
              base + ',"a":"\\u0000"}', base + ',"a":"\\ud800"}', base + ',"a":' + "[" * 17 + "]" * 17 + "}",
              base + ',"a":01}', base + ',"a":"\x01"}', base + ",}", base, base + "}x", base + "}}",
              "[" + base + "}]", "null", "", base + ',"a":NaN}', base + ",'a':1}", base + ',"iat":null}',
              base.replace('"iat": 1800000000', '"iat": 1.8e9') + "}",
              base.encode() + b',"a":"\xff"}', base.encode() + b',"a":"\xc0\x80"}',
              base.encode() + b',"a\0":1}', b"\xef\xbb\xbf" + base.encode() + b"}"]:
        got = verdict(sign(K0, c), *at)
        assert got in ((401, "claims"), (401, "malformed")), (c, got)
        if isinstance(c, dict):
            is_(got, 401, "claims")
    for c in (base + ',"a":' + "[" * 15 + "]" * 15 + "}", base + ', "z" : "\\ud83d\\ude00" }\n',
              claims(exp=2 ** 53 - 1)):
        got = verdict(sign(K0, c), *at, "--max-life", "9007199254740991")
        is_(got, 200, "ok")
    empty = verdict(sign(K0, claims(urls=[])), *at, "--url", "/v2/account")
    assert empty in ((403, "url"), (401, "claims")), empty


@test
def rule_4_times_and_parties():
    at = ["--at", str(NOW)]
    is_(verdict(sign(K0, claims(exp=NOW)), *at), 401, "exp_before_iat")
    is_(verdict(sign(K0, claims(exp=NOW - 1)), *at), 401, "exp_before_iat")
    is_(verdict(sign(K0, claims(exp=NOW + 365 * DAY)), *at), 200, "ok")
    is_(verdict(sign(K0, claims(exp=NOW + 365 * DAY + 1)), *at), 401, "ttl")
    for life, text in ((3600, "3600"), (3600, "1h"), (3600, "60m"), (DAY, "1d")):
        is_(verdict(sign(K0, claims(exp=NOW + life)), *at, "--max-life", text), 200, "ok")
        is_(verdict(sign(K0, claims(exp=NOW + life + 1)), *at, "--max-life", text), 401, "ttl")
    for iat, want in ((60, "ok"), (61, "iat_future"), (59, "ok"), (-1, "ok")):
        got = verdict(sign(K0, claims(iat=NOW + iat, exp=NOW + DAY)), *at)
        is_(got, 200 if want == "ok" else 401, want)
    for nbf, want in ((60, "ok"), (61, "not_yet"), (0, "ok")):
        is_(verdict(sign(K0, claims(nbf=NOW + nbf)), *at), 200 if want == "ok" else 401, want)
    for now, leeway, want in ((59, None, "ok"), (60, None, "expired"), (-1, "0", "ok"), (0, "0", "expired"),
                              (119, "2m", "ok"), (120, "120", "expired"), (3599, "1h", "ok")):
        options = ["--at", str(NOW + DAY + now)] + (["--leeway", leeway] if leeway else [])
        is_(verdict(sign(K0, claims()), *options), 200 if want == "ok" else 401, want)
    is_(verdict(sign(K0, claims()), "--at", str(NOW - 1), "--leeway", "0"), 401, "iat_future")
    is_(verdict(sign(K0, claims(nbf=NOW + 5)), "--at", str(NOW + 4), "--leeway", "0"), 401, "not_yet")
    huge = "9007199254740991"
    is_(verdict(sign(K0, claims()), "--at", huge, "--leeway", "0"), 401, "expired")
    is_(verdict(sign(K0, claims()), "--at", "0"), 401, "iat_future")
    late = ["--at", str(NOW + DAY + 3599), "--leeway"]
    is_(verdict(sign(K0, claims()), *late, "3600"), 200, "ok")
    is_(verdict(sign(K0, claims()), *late, "3599"), 401, "expired")
    code, _, err = cmd("verify", *late, "3601", "--secrets", RING, "--no-revocations", stdin=sign(K0, claims()))
    assert code == 2 and "an hour at most" in err, (code, err)  # C13
    one, two = claims(iss="https://a", aud="api"), claims(iss="https://a", aud=["x", "api"])
    for c in (one, two):
        is_(verdict(sign(K0, c), *at), 200, "ok")
        is_(verdict(sign(K0, c), *at, "--iss", "https://a", "--aud", "api"), 200, "ok")
        is_(verdict(sign(K0, c), *at, "--iss", "https://A"), 401, "iss")
        is_(verdict(sign(K0, c), *at, "--iss", "https://a/"), 401, "iss")
        is_(verdict(sign(K0, c), *at, "--aud", "ap"), 401, "aud")
        is_(verdict(sign(K0, c), *at, "--iss", "b", "--aud", "c"), 401, "iss")
    is_(verdict(sign(K0, claims()), *at, "--iss", "https://a"), 401, "iss")
    is_(verdict(sign(K0, claims()), *at, "--aud", "api"), 401, "aud")
    is_(verdict(sign(K0, claims(aud=[])), *at, "--aud", "api"), 401, "aud")
    is_(verdict(sign(K0, claims(aud=[])), *at, "--aud", ""), 401, "aud")


@test
def at_in_every_form():
    token = sign(K0, claims(iat=NOW, exp=NOW + 1))
    zero = ["--leeway", "0"]
    for text in ("1800000000", "01800000000", "2027-01-15T08:00:00Z", "2027-01-15T08:00:00",
                 "2027-01-15 08:00:00", "2027-01-15 08:00:00Z", "2027-01-15T08:00:00.9Z",
                 "2027-01-15T08:00:00.999999999Z", "2027-01-15T09:30:00+01:30",
                 "2027-01-15T09:30:00 01:30", "2027-01-14T08:01:00-23:59", "2027-01-15T08:00:00.123",
                 "2027-01-15T08:00", "2027-01-15t08:00:00z", "2027-01-15T10:00:00+0200",  # D2
                 "2027-01-15 10:00:00+02", "2027-01-15T08:00z"):
        is_(verdict(token, "--at", text, *zero), 200, "ok")
    for text, want in (("1799999999", "iat_future"), ("1800000001", "expired"),
                       ("2027-01-15T08:00:01Z", "expired"), ("2027-01-15T07:59:59.999Z", "iat_future"),
                       ("1970-01-01T00:00:00Z", "iat_future"), ("9999-12-31T23:59:59Z", "expired")):
        is_(verdict(token, "--at", text, *zero), 401, want)
    for text in ("", "now", "-1", "1800000000.5", "1.8e9", "1800000000s", "30d", "+1800000000", " 1800000000",
                 "9007199254740992", "2027-01-15", "2027-01-15T08:00.5", "2027-13-15T08:00:00Z",
                 "2027-02-29T08:00:00Z", "2027-01-15T24:00:00Z", "2027-01-15T08:00:60Z",
                 "2027-01-15T08:00:00+24:00", "2027-01-15T08:00:00+2", "2027-01-15T08:00:00.Z",
                 "2027-01-15T08:00:00.1234567890Z", "1969-12-31T23:59:59Z", "0x6b49d200"):
        code, out, err = cmd("verify", "--at=" + text, "--secrets", RING, "--no-revocations", stdin=token)
        assert code == 2 and "--at" in err and out == "", (text, code, out, err)
    # Without --at it is now.
    now = int(time.time())
    is_(verdict(sign(K0, claims(iat=now, exp=now + 60))), 200, "ok")
    is_(verdict(sign(K0, claims(iat=now - 200, exp=now - 100))), 401, "expired")
    is_(verdict(sign(K0, claims(iat=now + 100, exp=now + 200))), 401, "iat_future")


@test
def rule_5_revocations():
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"], "--permissions", "account")
    ask = lambda t, *o: verdict(t, *o, data=data, secrets=None)
    is_(ask(token), 200, "ok")
    cmd("key", "disable", key["id"], data=data)
    is_(ask(token), 401, "revoked")
    assert cmd("verify", "--no-revocations", data=data, stdin=token)[0] == 0
    cmd("key", "enable", key["id"], data=data)
    is_(ask(token), 200, "ok")
    is_(ask(token, "--require", "account"), 200, "ok")
    cmd("key", "revoke-subtokens", key["id"], data=data)
    is_(ask(token), 401, "revoked")
    second = issue(data, key["key"])
    is_(ask(second), 200, "ok")
    is_(ask(token), 401, "revoked")
    assert payload(second)["sub"] != payload(token)["sub"]
    cmd("key", "delete", key["id"], data=data)
    for t in (token, second):
        is_(ask(t), 401, "revoked")
    assert cmd("issue", data=data, stdin=key["key"])[0] == 1
    assert cmd("key", "enable", key["id"], data=data)[0] == 1
    # A sub that the store has never heard of, of every length.
    secret = ring_of(data)[""]
    now = int(time.time())
    for sub in ("s" * 43, "a", "b" * 128):
        c = claims(sub=sub, iat=now, exp=now + 60)
        is_(ask(sign(secret, c)), 401, "revoked")
        is_(verdict(sign(secret, c), secrets=os.path.join(data, "secrets")), 200, "ok")
    # No store: cannot be decided, and says why; with no token good enough, that comes first.
    nowhere = data_dir()
    c = claims(iat=now, exp=now + 60)
    for options in ([], ["--url", "/v2/account"]):
        code, out, err = cmd("verify", "--secrets", RING, *options, data=nowhere, stdin=sign(K0, c))
        assert code == 1 and out.startswith("refused 503 feed_stale") and nowhere in err, (code, out, err)
    assert cmd("verify", "--secrets", RING, "--json", data=nowhere, stdin=sign(K1, c))[1] == \
        '{"ok":false,"status":401,"reason":"mac"}\n'
    line = json.dumps({"token": sign(K0, c)})
    code, out, _ = cmd("verify", "--secrets", RING, "--jsonl", data=nowhere, stdin=line)
    assert (code, json.loads(out)) == (0, {"ok": False, "status": 503, "reason": "feed_stale"})
    assert not os.path.exists(nowhere)


@test
def the_store_caps_what_a_token_is_worth():
    """Whoever holds the ring can sign; where the store is asked, it still decides."""
    data = data_dir()
    key = make_key(data, "account", "--expires", "1h")
    now = int(time.time())
    secret = ring_of(data)[""]
    more = sign(secret, claims(sub=key["sub"], iat=now, exp=now + 60, permissions=["account", "wallet"]))
    is_(verdict(more, "--require", "account", data=data, secrets=None), 200, "ok")
    is_(verdict(more, "--require", "wallet", data=data, secrets=None), 403, "perm")
    is_(verdict(more, "--require", "wallet", secrets=os.path.join(data, "secrets")), 200, "ok")


@test
def the_store_caps_how_long_a_token_lives():
    data = data_dir()
    key = make_key(data, "account", "--expires", "1h")
    now = int(time.time())
    longer = sign(ring_of(data)[""], claims(sub=key["sub"], iat=now, exp=now + DAY))
    is_(verdict(longer, "--at", str(now + 60), data=data, secrets=None), 200, "ok")
    got = verdict(longer, "--at", str(now + 3600 + 200), data=data, secrets=None)
    assert got in ((401, "expired"), (401, "revoked")), got


@test
def rule_6_urls_and_methods():
    at = ["--at", str(NOW)]
    free, bound = sign(K0, claims()), sign(K0, claims(urls=["/v2/account", "GET:/v2/characters/*",
                                                              "POST:/v2/mail"]))
    for target, method, status in (
            ("/v2/account", None, 200), ("/v2/account?x=/../", None, 200), ("/v2/account", "DELETE", 200),
            ("/v2/%61ccount", None, 200), ("/v2/account/", None, 403), ("/v2/Account", None, 403),
            ("/v2/account/home", None, 403), ("/v2/characters/x", "GET", 200),
            ("/v2/characters/x", "HEAD", 200), ("/v2/characters/x", "POST", 403),
            ("/v2/characters/x", "get", 403), ("/v2/characters/x", None, 403),
            ("/v2/characters", "GET", 403), ("/v2/characters/", "GET", 403),
            ("/v2/characters/My%20Cool", "GET", 200), ("/v2/mail", "POST", 200),
            ("/v2/mail", "GET", 403), ("/v2/mail", "HEAD", 403), ("/v2/mail", None, 403)):
        options = at + ["--url", target] + (["--method", method] if method else [])
        is_(verdict(bound, *options), status, "ok" if status == 200 else "url")
        is_(verdict(free, *options), 200, "ok")
    is_(verdict(bound, *at), 403, "url")
    is_(verdict(bound, *at, "--method", "GET"), 403, "url")
    is_(verdict(free, *at), 200, "ok")
    for target in ("", "v2/account", "//v2/account", "/v2//account", "/v2/./account", "/v2/../v2/account",
                   "/v2/account%2f", "/v2/%2e%2e/account", "/v2/account;x", "/v2/account%00", "/v2/%zz",
                   "/v2/account%", "/v2/account#x", "http://host/v2/account", "*", "/v2/\\account",
                   "/v2/account%25", "/v2/acc ount", "/v2/\u00e4", "/v2/%ff", "/" + "x" * 4096):
        for token in (free, bound):
            is_(verdict(token, *at, "--url", target, "--method", "GET"), 400, "bad_target")
    out = cmd("verify", *at, "--url", "/nope", "--secrets", RING, "--no-revocations", stdin=bound)[1]
    assert "/nope" in out and "/v2/account" in out, out
    esc = sign(K0, claims(urls=["/a"], permissions=["x"]))
    out = cmd("verify", *at, "--url", "/b?\x1b[31m\u009b", "--secrets", RING, "--no-revocations", stdin=esc)[1]
    assert not OBEYED.search(out), out


@test
def rule_7_permissions_and_the_order_of_rules():
    at = ["--at", str(NOW)]
    two = sign(K0, claims(permissions=["account", "wallet"]))
    for need, status in (("account", 200), ("wallet,account", 200), ("", 200), ("account,characters", 403),
                         ("Account", 403), ("acc", 403), (" account, wallet\t", 200), ("account wallet", 403), ("account,,wallet", 403),
                         ("account,account", 200)):
        is_(verdict(two, *at, "--require", need), status, "ok" if status == 200 else "perm")
    is_(verdict(sign(K0, claims(permissions=[])), *at, "--require", "account"), 403, "perm")
    # The first rule that fails decides.
    worst = claims(iat=NOW + 500, exp=NOW + 400 * DAY, nbf=NOW + 500, urls=["/a"], permissions=[])
    asked = at + ["--url", "/a/../b", "--require", "x", "--iss", "i", "--aud", "a"]
    is_(verdict(sign(K1, worst), *asked), 401, "mac")
    is_(verdict(sign(K0, dict(worst, sub="")), *asked), 401, "claims")
    is_(verdict(sign(K0, dict(worst, exp=NOW)), *asked), 401, "exp_before_iat")
    is_(verdict(sign(K0, worst), *asked), 401, "ttl")
    is_(verdict(sign(K0, dict(worst, exp=NOW + DAY)), *asked), 401, "iat_future")
    is_(verdict(sign(K0, dict(worst, exp=NOW + DAY, iat=NOW)), *asked), 401, "not_yet")
    old = dict(worst, iat=NOW - DAY, exp=NOW - 1000, nbf=0)
    is_(verdict(sign(K0, old), *asked), 401, "expired")
    new = dict(worst, iat=NOW, exp=NOW + DAY, nbf=0)
    is_(verdict(sign(K0, new), *asked), 401, "iss")
    is_(verdict(sign(K0, dict(new, iss="i")), *asked), 401, "aud")
    new = dict(new, iss="i", aud="a")
    data = data_dir()
    make_key(data)
    is_(verdict(sign(K0, new), *asked, data=data), 401, "revoked")
    is_(verdict(sign(K0, old), *asked, data=data), 401, "expired")
    is_(verdict(sign(K0, new), *asked), 400, "bad_target")
    asked[3] = "/b"
    is_(verdict(sign(K0, new), *asked), 403, "url")
    asked[3] = "/a"
    is_(verdict(sign(K0, new), *asked), 403, "perm")


# ---- the explanation ----

def explain(token, *options, data=None, secrets=RING):
    """What stands behind `refused STATUS REASON: `, or all of it."""
    options += ("--secrets", secrets) if secrets else ()
    options += ("--no-revocations",) if data is None else ()
    p = subprocess.run([PROGRAM, "verify", *options] + (["--data", data] if data else []),
                       input=token.encode(), capture_output=True)
    out = p.stdout.decode()  # strictly: no half of a character
    assert p.returncode in (0, 1) and out.count("\n") == 1 and out.endswith("\n"), (options, p)
    assert not OBEYED.search(out) and not re.search("[\u200e\u200f\u061c]", out), out
    said = re.match(r"refused \d\d\d ([a-z_]+): (.*)\n", out)
    return (said[1], said[2]) if said else ("ok", out[:-1])


HOSTILE = "\x1b[31m\u202e\u0085\u200f\n"
SHOWN = r"\x1b[31m\xe2\x80\xae\xc2\x85\xe2\x80\x8f\x0a"
SHOWN_LINE = SHOWN[:-4]  # without the line's end, which no argument of ours has


@test
def every_reason_says_what_it_saw():
    good = sign(K0, claims())
    h, p, s = good.split(".")
    bound = sign(K0, claims(urls=["/v2/tokeninfo", "GET:/a/*"]))
    three = lambda dots: "it has %s; a token is three parts that are not empty, with two dots between them" % dots
    not64 = "the %s is not base64url without padding"
    ring = ', the secrets are [(unnamed), "k1", "long_name-2"]'
    claim = 'claim "%s" is missing or of the wrong form'
    ours = "the signature was not made over these bytes with the secret %s"
    lives = "from iat to exp it is %s, at most %s are allowed"
    way = "target %s is refused: %s"
    bad_char = "it has a character that a path cannot hold unescaped"
    named = lambda **header: sign(K1, claims(), dict(header, alg="HS256"))
    rows = [
        (good, [], "ok", "good until 2027-01-16T08:00:00Z"),
        ("a" * 8193, [], "too_large", "8193 characters, at most 8192 are looked at"),
        ("a" * 1000000, [], "too_large", "1000000 characters, at most 8192 are looked at"),
        ("a", [], "malformed", three("0 dots")), ("a.b", [], "malformed", three("1 dot")),
        ("." * 8192, [], "malformed", three("8192 dots")), (".a." + s, [], "malformed", three("2 dots")),
        (h + "=." + p + "." + s, [], "malformed", not64 % "header"),
        (h + "." + p + "=." + s, [], "malformed", not64 % "payload"),
        (good + "." + s, [], "malformed", three("3 dots")),
        (good + "=", [], "malformed", not64 % "signature"),
        (sign(K0, claims(), "x"), [], "malformed", "the header is not an object in strict JSON"),
        (sign(K0, claims(), '{"alg":"HS256","alg":"HS256"}'), [], "malformed", "the header is not an object in strict JSON"),
        (sign(K0, "[1]"), [], "malformed", "the claims are not an object in strict JSON"),
        (sign(K0, '{"a":1,"a":1}'), [], "malformed", "the claims are not an object in strict JSON"),
        (sign(K0, claims(), "[]"), [], "malformed", "the header is not an object in strict JSON"),
        (sign(K0, claims(), {}), [], "alg", 'alg is missing, not "HS256"'),
        (sign(K0, claims(), {"alg": 1}), [], "alg", 'alg is no string, not "HS256"'),
        (sign(K0, claims(), {"alg": 'a", not "b'}), [], "alg", r'alg is "a\", not \"b", not "HS256"'),
        (sign(K0, claims(), {"alg": "HS256", "typ": ""}), [], "header", 'typ is "", not "JWT"'),
        (sign(K0, claims(), {"alg": "HS256", "typ": 1}), [], "header", 'typ is no string, not "JWT"'),
        *((sign(K0, claims(), {"alg": "HS256", name: 1}), [], "header",
           'the header has "%s", which changes what a token means' % name) for name in ("crit", "x5t#S256")),
        (sign(K0, claims(), {"alg": "none"}), [], "alg", 'alg is "none", not "HS256"'),
        (sign(K0, claims(), {"alg": HOSTILE}), [], "alg", 'alg is "%s", not "HS256"' % SHOWN),
        (sign(K0, claims(), {"alg": "HS256", "typ": "at+jwt"}), [], "header", 'typ is "at+jwt", not "JWT"'),
        (sign(K0, claims(), {"alg": "HS256", "typ": HOSTILE}), [], "header", 'typ is "%s", not "JWT"' % SHOWN),
        (sign(K0, claims(), {"alg": "HS256", "x": "y" * 1000}), [], "header",
         "the header part has 1367 characters, at most 1024 are looked at"),
        (named(kid="k2"), [], "kid", 'kid is "k2"' + ring), (named(kid=""), [], "kid", 'kid is ""' + ring),
        (named(kid=1), [], "kid", "kid is no string" + ring),
        (named(kid=HOSTILE), [], "kid", 'kid is "%s"' % SHOWN + ring),
        (sign(K1, claims()), [], "mac", ours % "(unnamed)"),
        (sign(K0, claims(), {"alg": "HS256", "kid": "k1"}), [], "mac", ours % '"k1"'),
        (h + "." + p + ".", [], "mac", "the signature has 0 bytes, not 32"),
        (h + "." + p + "." + b64(b"x" * 33), [], "mac", "the signature has 33 bytes, not 32"),
        *((sign(K0, claims(**{c: None})), [], "claims", claim % c) for c in ("sub", "iat", "exp", "permissions")),
        *((sign(K0, claims(**{c: v})), [], "claims", claim % c) for c, v in (
            ("sub", HOSTILE), ("iat", 1.5), ("exp", "1"), ("nbf", -1), ("permissions", [HOSTILE]),
            ("urls", ["/a/../b"]), ("urls", []), ("iss", 1), ("aud", [1]))),
        (sign(K0, claims(exp=NOW)), [], "exp_before_iat",
         "exp 2027-01-15T08:00:00Z is not after iat 2027-01-15T08:00:00Z"),
        (sign(K0, claims(exp=NOW + 400 * DAY)), [], "ttl", lives % ("34560000 s (400 days)", "31536000 s (365 days)")),
        (sign(K0, claims(exp=NOW + 365 * DAY + 1)), [], "ttl",
         lives % ("31536001 s (365 days)", "31536000 s (365 days)")),
        (sign(K0, claims(exp=NOW + 3 * 3600)), ["--max-life", "90s"], "ttl", lives % ("10800 s (3 h)", "90 s")),
        (sign(K0, claims(iat=NOW + 61)), [], "iat_future", "iat 2027-01-15T08:01:01Z is 61 s ahead"),
        (sign(K0, claims(iat=2**53 - 2, exp=2**53 - 1)), [], "iat_future",
         "iat 9007199254740990 is 104249970540 days ahead"),
        (sign(K0, claims(nbf=NOW + 5 * DAY)), [], "not_yet", "nbf 2027-01-20T08:00:00Z is 5 days ahead"),
        (good, ["--at", str(NOW + DAY + 3 * 3600 + 5)], "expired", "exp 2027-01-16T08:00:00Z was 3 h ago"),
        (good, ["--at", str(NOW + DAY), "--leeway", "0"], "expired", "exp 2027-01-16T08:00:00Z was 0 s ago"),
        (good, ["--iss", "a"], "iss", 'iss is empty or missing, not "a"'),
        (sign(K0, claims(iss=HOSTILE)), ["--iss", HOSTILE[:-1]], "iss",
         'iss is "%s", not "%s"' % (SHOWN, SHOWN_LINE)),
        (sign(K0, claims(aud=[HOSTILE, "x"])), ["--aud", "api"], "aud", 'aud is ["%s", "x"], not "api"' % SHOWN),
        (sign(K0, claims(aud="x")), ["--aud", "api"], "aud", 'aud is "x", not "api"'),
        (good, ["--aud", "api"], "aud", 'aud is missing, not "api"'),
        (good, ["--url", ""], "bad_target", way % ('""', "a path starts with /")),
        (good, ["--url", "/a/../b?access_token=SECRET"], "bad_target",
         way % ("/a/../b", "it has a segment of only dots and spaces")),
        (good, ["--url", "/a?access_token=SECRET\x7f"], "bad_target", way % ("/a", bad_char + ", in its query")),
        (good, ["--url", "//a"], "bad_target", way % ("//a", "it has two slashes in a row")),
        (good, ["--url", "/a%zz"], "bad_target", way % ("/a...", "a % needs two hex digits behind it")),
        (good, ["--url", "/" + HOSTILE[:-1]], "bad_target",
         way % ("/...", bad_char)),
        (bound, ["--url", "/v2/account/bank?access_token=SECRET"], "url",
         "url /v2/account/bank is not in [/v2/tokeninfo, GET:/a/*]"),
        (bound, ["--url", "/a/b", "--method", "PUT"], "url",
         "url PUT /a/b is not in [/v2/tokeninfo, GET:/a/*]"),
        (bound, ["--url", "/b", "--method", HOSTILE[:-1]], "url",
         "url %s /b is not in [/v2/tokeninfo, GET:/a/*]" % SHOWN_LINE),
        (bound, [], "url", "url (none given) is not in [/v2/tokeninfo, GET:/a/*]"),
        (good, ["--require", "account,wallet"], "perm", "it needs wallet, the token has [account]"),
        (sign(K0, claims(permissions=[])), ["--require", HOSTILE[:-1]], "perm",
         "it needs %s, the token has []" % SHOWN_LINE),
    ]
    wrong = []
    for token, options, reason, text in rows:
        got = explain(token, *([] if "--at" in options else ["--at", str(NOW)]), *options)
        if got[0] != reason or text is not None and got[1] != text:
            wrong.append((options, got, (reason, text)))
    assert not wrong, wrong


@test
def huge_explanations_are_cut_behind_a_character():
    at = ["--at", str(NOW)]
    urls = ["/%02d" % i + "x" * 53 for i in range(64)]
    got = explain(sign(K0, claims(urls=urls)), *at, "--url", "/x")
    assert got == ("url", "url /x is not in [%s]" % ", ".join(urls)), got
    urls = ["/%d" % i + "x" * 1022 for i in range(5)]  # as many of 1,024 bytes as a token has room for
    for target in ("/x", "/x?" + "q" * 8189):
        reason, text = explain(sign(K0, claims(urls=urls)), *at, "--url", target)
        assert reason == "url" and text.startswith("url /x") and text.endswith(" is not in [%s]" % ", ".join(urls))
    good = sign(K0, claims())
    for n in range(4):  # whichever byte is the first that is not shown
        text = explain(good, *at, "--url", "/" + "a" * n + "\u00fc" * 60000)[1]
        assert re.fullmatch(r"target /a{%d}\.\.\. is refused: it is too long" % n, text), text
        text = explain(good, *at, "--url", "/" + "a" * (300 + n) + "?" + "\u202e" * 40000)[1]
        assert re.fullmatch(r"target /a{255}\.\.\. is refused: it is too long, in its query", text), text
        text = explain(good, *at, "--url", "/" + "a" * n + "\u202e" * 40000)[1]
        assert re.fullmatch(r"target /a{%d}\.\.\. is refused: it is too long" % n,
                            text), text
    text = explain(sign(K0, claims(iss="\u202e" * 700)), *at, "--iss", "a")[1]
    assert text == 'iss is "%s", not "a"' % (r"\xe2\x80\xae" * 700)


@test
def the_store_explains_itself():
    data = data_dir()
    key = make_key(data, "account,inventories", "--expires", "1h")
    now = int(time.time())
    ask = lambda token, *o: explain(token, *o, data=data, secrets=None)
    secret = ring_of(data)[""]
    token = sign(secret, claims(sub=key["sub"], iat=now, exp=now + DAY, permissions=["wallet"]))
    assert ask(token)[0] == "ok"
    assert ask(token, "--require", "wallet") == (
        "perm", "it needs wallet, its key has only [account,inventories]")
    assert ask(token, "--require", "account") == ("perm", "it needs account, the token has [wallet]")
    revoked = lambda sub, why: ("revoked", "sub %s is revoked: %s" % (sub, why))
    assert ask(token, "--at", str(now + 7200)) == revoked(key["sub"], "its key has expired")
    stranger = sign(secret, claims(iat=now, exp=now + 60))
    assert ask(stranger) == revoked("s" * 43, "the database has no key of it")
    cmd("key", "disable", key["id"], data=data)
    assert ask(token) == revoked(key["sub"], "its key is disabled")
    cmd("key", "revoke-subtokens", key["id"], data=data)
    gone = revoked(key["sub"], "its key is deleted, or was given a new sub")
    assert ask(token) == gone
    cmd("key", "delete", key["id"], data=data)
    assert ask(token) == gone
    stale = explain(stranger, data=data_dir(), secrets=os.path.join(data, "secrets"))
    assert stale == ("feed_stale", "no trustworthy revocation data"), stale


# ---- verify --jsonl ----

def lines(items, *options, data=None, raw=False):
    if data is None:
        options += ("--no-revocations",)
    text = items if raw else "".join(json.dumps(i) + "\n" for i in items)
    code, out, err = cmd("verify", "--jsonl", "--secrets", RING, *options, data=data, stdin=text, timeout=100)
    assert code == 0 and err == "", (code, err)
    assert out.endswith("\n") or out == "", out[-100:]
    return [r.get("reason", "ok") for r in map(json.loads, out.splitlines())]


# ---- saltpass ----

def salted(out, password):
    said = json.loads(out)
    salt = base64.b64decode(said.pop("password_salt_b64"), validate=True)
    want = base64.b64encode(hashlib.sha256(password + salt).digest()).decode()
    assert said == {"password_hash_b64": want} and len(salt) == 8, out
    return salt


@test
def saltpass_makes_what_access_files_hold():
    for stdin, password in ((b"supersecret", b"supersecret"), (b"supersecret\n", b"supersecret"),
                            ("p\u00e4ss w\u00f6rd\r\n".encode(), "p\u00e4ss w\u00f6rd".encode()),
                            (b"x" * 1024 + b"\n", b"x" * 1024)):
        salts = set()
        for _ in range(2):
            code, out, err = cmd("saltpass", stdin=stdin)
            assert code == 0 and err == "" and out.count("\n") == 1, (code, out, err)
            salts.add(salted(out, password))
        assert len(salts) == 2, salts
    for stdin in (b"", b"\n", b"two\nlines\n", b"x" * 1025, b"x" * 100000):
        code, out, err = cmd("saltpass", stdin=stdin)
        assert code == 3 and out == "" and "two" not in err and "xx" not in err, (code, out, err)


def at_terminal(typed):
    """(exit code or -signal, standard output, what the terminal showed, whether it echoes after.)"""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([PROGRAM, "saltpass"], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE,
                         preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
    shown = b""
    while b"password: " not in shown:
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
    assert code == 3 and out == "" and echoes and b"nothing came" in shown, (code, out, shown)
    code, out, shown, echoes = at_terminal(b"secr\x03")  # Ctrl-C
    assert code == -signal.SIGINT and out == "" and echoes and b"sec" not in shown, (code, shown)


@test
def jsonl_answers_line_by_line():
    good, bound = sign(K0, claims()), sign(K0, claims(urls=["GET:/a"]))
    at = {"at": NOW}
    assert lines([]) == []
    got = lines([
        dict(at, token=good), dict(at, token=good, require=["account"]), dict(at, token=good, require=["x"]),
        dict(at, token=good, require=[]), dict(at, token=good, url="/a//b"), dict(at, token=bound),
        dict(at, token=bound, url="/a"), dict(at, token=bound, url="/a", method="GET"),
        dict(at, token=bound, url="/a", method="PUT"), dict(token=good, at="2027-01-15T08:00:00Z"),
        dict(token=good, at="1800000000"), dict(token=good, at=NOW + 2 * DAY), dict(token=good, at=0),
        dict(at, token=good, unknown={"a": [1]}), dict(at, token=""), dict(at, token="a.b.c"),
        dict(at, token=good, require=["account", ""]), dict(at, token=sign(K1, claims()))])
    assert got == ["ok", "ok", "perm", "ok", "bad_target", "url", "url", "ok", "url", "ok", "ok", "expired",
                   "iat_future", "ok", "malformed", "malformed", "perm", "mac"], got
    # What a line does not say is as the options say; one line's words do not stay for the next.
    got = lines([dict(token=bound), dict(token=bound, method="PUT"), dict(token=bound), dict(token=bound, url="/b"),
                 dict(token=bound, require=["x"]), dict(token=bound, at=0), dict(token=bound)],
                "--at", str(NOW), "--url", "/a", "--method", "GET", "--require", "account")
    assert got == ["ok", "url", "ok", "url", "perm", "iat_future", "ok"], got


@test
def jsonl_lines_that_cannot_be_read():
    good = sign(K0, claims())
    line = json.dumps({"token": good, "at": NOW}).encode()
    bad = [b"", b" ", b"x", b"{}", b"[]", b"null", b"{", line[:-1], line + b"x", line + line, b'"' + good.encode() + b'"',
           b'{"token":1}', b'{"token":null}', b'{"token":["x"]}', b'{"at":1}', b'{"token":"a.b.c","at":-1}',
           b'{"token":"a.b.c","at":1.5}', b'{"token":"a.b.c","at":"soon"}', b'{"token":"a.b.c","at":null}',
           b'{"token":"a.b.c","at":9007199254740992}', b'{"token":"a.b.c","at":true}',
           b'{"token":"a.b.c","method":1}', b'{"token":"a.b.c","url":null}', b'{"token":"a.b.c","require":"a"}',
           b'{"token":"a.b.c","require":[1]}', b'{"token":"a.b.c","require":null}',
           b'{"token":"a.b.c","token":"a.b.c"}', b'{"token":"a\\u0000b"}', b'{"token":"\\ud800"}',
           b'{"token":"a\0b"}', b"\0", line[:10] + b"\0" + line[10:], line + b"\0", b"\0" + line,
           b'{"token":"\xff"}', b"\xef\xbb\xbf" + line, b"{'token':'a'}", b'{"token":"a",}', b"//x",
           b'{"token":"a.b.c","x":' + b"[" * 40 + b"]" * 40 + b"}", b"[" * 100000,
           b'{"token":"a.b.c","require":[' + b",".join(b'"p%d"' % i for i in range(5000)) + b"]}"]
    got = lines(b"\n".join(itertools.chain.from_iterable((b, line) for b in bad)) + b"\n", raw=True)
    assert got[1::2] == ["ok"] * len(bad), [bad[i] for i, r in enumerate(got[1::2]) if r != "ok"]
    assert got[0::2] == ["bad_line"] * len(bad), [(b[:60], r) for b, r in zip(bad, got[0::2]) if r != "bad_line"]
    # Space, CR and a missing last newline are no trouble.
    assert lines(b"  " + line + b" \t\r\n" + line, raw=True) == ["ok", "ok"]
    assert lines(line + b"\n\n" + line + b"\n", raw=True) == ["ok", "bad_line", "ok"]


@test
def jsonl_at_before_1970():
    good = sign(K0, claims())
    got = lines([{"token": good, "at": "1960-01-01T00:00:00Z"}, {"token": good, "at": "1969-12-31T23:59:59Z"}])
    assert got == ["bad_line", "bad_line"], got


@test
def jsonl_long_lines():
    good = sign(K0, claims())
    line = json.dumps({"token": good, "at": NOW})
    meg = 1 << 20
    text = [line, json.dumps({"token": "." * meg, "at": NOW}), line[:-1] + " " * meg + "}", "x" * meg,
            line[:-1] + ',"x":"' + "y" * meg + '"}', json.dumps({"token": good, "at": NOW, "url": "/" + "u" * meg}),
            "{" * meg, '{"token":"' + "a" * meg, line]
    got = lines("\n".join(text), raw=True)
    assert got == ["ok", "too_large", "ok", "bad_line", "ok", "bad_target", "bad_line", "bad_line", "ok"], got


@test
def jsonl_20000_in_order():
    kinds = [({"token": sign(K0, claims())}, "ok"), ({"token": sign(K1, claims())}, "mac"),
             ({"token": sign(K0, claims()), "require": ["q"]}, "perm"), ({}, "bad_line"),
             ({"token": sign(K0, claims(exp=NOW + 1)), "at": NOW + 99}, "expired")]
    chosen = [kinds[(i * i + i // 7) % len(kinds)] for i in range(20000)]
    began = time.time()
    got = lines([c[0] for c in chosen], "--at", str(NOW))
    assert got == [c[1] for c in chosen]
    assert time.time() - began < 30, time.time() - began


@test
def jsonl_with_the_store():
    data = data_dir()
    key, gone = make_key(data), make_key(data)
    items = [{"token": issue(data, k["key"])} for k in (key, gone)]
    cmd("key", "delete", gone["id"], data=data)
    code, out, _ = cmd("verify", "--jsonl", data=data, stdin="\n".join(map(json.dumps, items * 3)))
    assert code == 0 and [json.loads(l)["ok"] for l in out.splitlines()] == [True, False] * 3, out


# F6
@test
def a_ring_that_an_editor_has_changed_is_named():
    data = data_dir()
    token = issue(data, make_key(data)["key"])
    run("secret", "add", data=data, check=0)
    path = os.path.join(data, "secrets")
    good = open(path, "rb").read()
    first, second = good.splitlines(keepends=True)
    for content, line, words in (
            (good.replace(b"\n", b"\r\n"), 1, "ends with a carriage return (CRLF)"),
            (first + second[:-1] + b"\r\n", 2, "ends with a carriage return (CRLF)"),
            (b"\xef\xbb\xbf" + good, 1, "starts with a byte-order mark"),
            (good.decode().encode("utf-16"), 1, "starts with the byte-order mark of UTF-16"),
            (first + b"\n" + second, 2, "is empty"), (b"# mine\n" + good, 1, "is a comment"),
            (first + b" " + second, 2, "has white space")):
        with open(path, "wb") as f:
            f.write(content)
        for command in (("verify",), ("secret", "list"), ("issue",), ("serve", "--listen", "127.0.0.1:0")):
            code, out, err = cmd(*command, data=data, stdin=token)
            assert code == 3 and out == "", (command, code, out)
            assert "%s: line %d %s" % (path, line, words) in err, (command, err)
            assert second.split(b":")[1].strip().decode() not in err, "a secret is told"
    with open(path, "wb") as f:
        f.write(good)
    assert cmd("verify", data=data, stdin=token)[0] == 0


# ---- the vectors ----

@test
def all_token_vectors():
    with open(VECTORS, encoding="utf-8") as f:
        file = json.load(f)
    env, cases = file["env"], file["cases"]
    assert len(cases) == 376
    keys = {k: bytes.fromhex(v) for k, v in env["keys"].items()}
    ring = ring_file([("", keys["k1"]), ("k1", keys["k1"]), ("k2", keys["k2"])])
    base = ["--secrets", ring, "--no-revocations", "--method", "GET", "--leeway", str(env["skew"]),
            "--max-life", str(env["max_ttl"])]
    wrong, seen, accepted = [], 0, 0

    # Older than stars that are segments: the entry is good now, and does not list the target.
    newer = {"claims/urls-star-mid": ["url"]}

    def judge(case, ok, reason):
        nonlocal seen, accepted
        seen += 1
        accepted += ok
        if ok != (case["expect"] == "accept"):
            wrong.append((case["id"], "accepted" if ok else reason))
        elif not ok and reason not in ["bad_line", case["reason"]] + case.get("reasons", []) + newer.get(case["id"], []):
            wrong.append((case["id"], reason, case["reason"]))

    groups = {}
    for case in cases:
        if case["reason"] != "revoked":  # the ids in there are not of the store's shape: below
            groups.setdefault((case.get("need_issuer"), case.get("need_audience")), []).append(case)
    assert len(groups) == 3
    for (iss, aud), group in groups.items():
        options = base + (["--iss", iss] if iss else []) + (["--aud", aud] if aud else [])
        asked, text = [], []
        for case in group:
            need = case.get("need_permission", env["default_need_permission"])
            url, now = case.get("request", env["default_request"]), case.get("now", env["now"])
            if "token_b64" in case:  # bytes that no JSON can hold: as a token alone
                code, out, _ = cmd("verify", "--json", "--url", url, "--at", str(now), "--require", need,
                                   *options, stdin=base64.b64decode(case["token_b64"]))
                judge(case, code == 0, json.loads(out).get("reason"))
                continue
            token = case["token"]
            if "generate" in case:
                token = case["generate"]["text"] * case["generate"]["count"]
            text.append(json.dumps({"token": token, "url": url, "at": now,
                                    "require": [need] if need is not None else []}))
            asked.append(case)
        code, out, err = cmd("verify", "--jsonl", *options, stdin="\n".join(text))
        answers = [json.loads(l) for l in out.splitlines()]
        assert code == 0 and len(answers) == len(asked), (code, err)
        for case, answer in zip(asked, answers):
            judge(case, answer["ok"], answer.get("reason"))
            assert answer.get("status") in (None, 401) or answer["reason"] in ("perm", "url", "bad_line"), answer
    assert not wrong, wrong
    assert (seen, accepted) == (375, 14), (seen, accepted)
    # Where the store is asked, none of their parents is known, and the one that is left out
    # above is refused for just that.
    data = data_dir()
    make_key(data)
    rows = [c for c in cases if "token_b64" not in c and c.get("need_issuer") is None
            and (c["expect"] == "accept" or c["reason"] == "revoked")]
    text = "\n".join(json.dumps({"token": c["token"], "at": c.get("now", env["now"])}) for c in rows)
    code, out, _ = cmd("verify", "--jsonl", "--secrets", ring, data=data, stdin=text)
    assert {json.loads(l).get("reason") for l in out.splitlines()} == {"revoked"}, out


# ---- issue, inspect ----

@test
def issue_narrows():
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
    assert cmd("issue", "--expire", "5000", data=data, stdin=key["key"])[0] == 2
    for form in (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(exp)), "5000s"):
        assert abs(payload(issue(data, key["key"], "--expire", form))["exp"] - exp) < 60
    parent = issue(data, key["key"], "--permissions", "wallet,account", "--urls", "/v2/createsubtoken,/a/*",
                   "--expire", "1h")
    child = payload(issue(data, parent, "--permissions", "unlocks,account", "--urls", "/a/b", "--expire", "9d"))
    assert child["permissions"] == ["account"] and child["urls"] == ["/a/b"], child
    assert child["exp"] == payload(parent)["exp"] and child["sub"] == key["sub"]
    assert cmd("issue", "--urls", "/b", data=data, stdin=parent)[0] == 1
    bound = issue(data, key["key"], "--urls", "/a")
    code, out, err = cmd("issue", data=data, stdin=bound)
    assert code == 1 and out == "", (code, out, err)
    for other in ("--expire=0", "--expire=2020-01-01T00:00:00Z"):
        code, out, err = cmd("issue", other, data=data, stdin=key["key"])
        assert code in (1, 2) and "expire" in err and out == "", (other, code, err)
    assert cmd("verify", data=data, stdin=issue(data, key["key"]))[0] == 0


@test
def inspect_trusts_nothing():
    token = sign(b"nobody's secret", claims(exp=NOW - 50 * 365 * DAY, iat=1))
    code, out, err = cmd("inspect", stdin=token)
    assert code == 0 and "NOT VERIFIED" in out and "account" in out, (code, out)
    odd = sign(K0, {"a": "\u009b\u202e", "b": "\u0085"}, '{"alg":"none","x":"\u009b"}')
    assert json.loads(cmd("inspect", "--json", stdin=odd)[1])["claims"]["b"] == "\u0085"
    raw = sign(K0, '{"a":"\u009b31m","b":"\u0085"}', '{"alg":"none","x":"\u0090"}')
    out = cmd("inspect", stdin=raw)[1]
    assert not OBEYED.search(out), out
    assert json.loads(cmd("inspect", "--json", stdin=raw)[1])["claims"]["a"] == "\u009b31m"
    for bad in (sign(K0, "[1]"), sign(K0, '{"a":1,"a":2}'), sign(K0, "x"), sign(K0, claims(), "x"),
                token.split(".")[0], "x" * 8000, "\u00e9.\u00e9.\u00e9"):
        assert cmd("inspect", stdin=bad)[:2] == (1, ""), bad


@test
def inspect_tells_of_a_login():
    """And verify takes no notice of it, unless it is of the wrong form."""
    made = sign(K0, claims() | {"sid": "L-1_z"})
    out = cmd("inspect", stdin=made)[1]
    assert out.splitlines()[-1] == "login:    L-1_z", out
    assert json.loads(cmd("inspect", "--json", stdin=made)[1])["claims"]["sid"] == "L-1_z"
    assert "login" not in cmd("inspect", stdin=sign(K0, claims()))[1]
    words = ["verify", "--at", str(NOW), "--secrets", RING, "--no-revocations", "--json"]
    assert json.loads(cmd(*words, stdin=made)[1])["ok"] is True
    bad = sign(K0, claims() | {"sid": "a b"})
    assert cmd("inspect", stdin=bad)[1].splitlines()[-1] == "claims:   not those of a subtoken"
    code, out, err = cmd(*words, stdin=bad)
    assert code == 1 and json.loads(out)["reason"] == "claims", (code, out, err)


@test
def inspect_wants_three_parts():
    token = sign(K0, claims())
    header, body, mac = token.split(".")
    assert cmd("inspect", stdin=token)[0] == 0
    for bad in (header + "." + body, header + "." + body + "." + mac + ".", header, token + "=",
                header + "." + body + "." + mac + "." + mac):
        assert cmd("inspect", stdin=bad)[0] == 1, bad


@test
def jsonl_answers_line_by_line_by_the_clock():
    """As a coprocess: each answer comes before the next question, at the time of its line."""
    secret = ring_file([("", K0)])
    now = int(time.time())
    token = sign(K0, claims(iat=now, exp=now + 2))
    with subprocess.Popen([PROGRAM, "verify", "--jsonl", "--no-revocations", "--leeway", "0",
                           "--secrets", secret], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as p:
        answers = []
        for _ in range(2):
            p.stdin.write(json.dumps({"token": token}) + "\n")
            p.stdin.flush()
            answers.append(json.loads(p.stdout.readline()))
            time.sleep(2.5)
        p.stdin.close()
    assert answers[0] == {"ok": True} and answers[1]["reason"] == "expired", answers


@test
def commands_go_by_the_settings_of_the_server():
    """What the server of a store is configured to, issue and verify take up."""
    data = data_dir()
    with Server(data, config={"max_life": "400d", "default_life": "1h", "leeway": 10}) as server:
        key = make_key(data)["key"]
        exp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 390 * DAY))
        long = json.loads(curl(server.url + "/v2/createsubtoken?permissions=account&expire=" + exp,
                               *bearer(key)).body)["subtoken"]
        assert cmd("verify", data=data, stdin=long)[0] == 0
        assert cmd("verify", "--max-life", "365d", data=data, stdin=long)[0] == 1
        short = payload(issue(data, key))
        assert short["exp"] - short["iat"] == 3600, short
        assert cmd("issue", data=data, stdin=long)[0] == 0


@test
def kid_of_a_dash_is_refused():
    data = data_dir()
    make_key(data)
    for kid in ("-", "--x", "-a"):
        assert cmd("secret", "add", "--kid=" + kid, data=data)[0] == 2, kid


@test
def addresses_that_are_none():
    for listen in ("127.0.0.1/8:9494", "[127.0.0.1]:9494", "::1:80", "nowhere:80", "127.0.0.1:70000",
                   "127.0.0.1:", ":80", "127.0.0.1"):
        assert cmd("serve", "--listen", listen, data=data_dir())[0] == 2, listen


# ---- persons, access files, the audit log ----

EXAMPLE = {"password_hash_b64": "9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY=",
           "password_salt_b64": "INDdM6iCi/8="}


def access_file(logins):
    path = os.path.join(scratch(), "api-access.json")
    with open(path, "w") as f:
        json.dump({"permission_map": [[l, dict(EXAMPLE, allowed_apis=["database_api"])] for l in logins]}, f)
    return path


def edited(data, statement, *values):
    with sqlite3.connect(os.path.join(data, "subtoken.db")) as db:
        db.execute(statement, values)
    db.close()


@test
def persons_refused_is_1():
    data = data_dir()
    for password in (b"", b"1234567\n"):  # a fresh directory is not made for that
        code, out, err = cmd("user", "create", "x", data=data, stdin=password)
        assert code == (1 if password else 3) and out == "" and not os.path.exists(data), (code, err)
    for text in ("", "{}", "[", '{"permission_map":[["x"]]}', '{"permission_map":{}} x'):
        with open(os.path.join(scratch(), "file"), "w") as f:
            f.write(text)
        code, out, err = cmd("import", f.name, data=data)
        assert code == 1 and out == "" and f.name in err and not os.path.exists(data), (text, code, err)
    cmd("user", "create", "alice", data=data, stdin="12345678\n")
    for words, stdin, named in [
        (["create", "alice"], "12345678", "taken"), (["create", "bob"], "1234567", "8 bytes"),
        (["show", "bob"], "", "no such user"), (["delete", "bob"], "", "no such user"),
        (["disable", "bob"], "", "no such user"), (["enable", "bob"], "", "no such user"),
        (["permissions", "bob", "a"], "", "no such user"), (["passwd", "bob"], "12345678", "no such user"),
        (["passwd", "alice"], "1234567", "8 bytes"), (["passwd", "*"], "12345678", "no password")]:
        code, out, err = cmd("user", *words, data=data, stdin=stdin)
        assert code == 1 and out == "" and named in err and "1234567" not in err, (words, code, err)
    code, out, err = cmd("import", access_file(["new", "alice"]), data=data)
    assert code == 1 and out == "" and "alice who was not imported" in err, err
    assert cmd("user", "show", "new", data=data)[0] == 1  # all or none


@test
def persons_could_not_run_is_3():
    nowhere, data = data_dir(), data_dir()
    good = access_file(["x"])
    for words in (["user", "list"], ["user", "show", "x"], ["user", "delete", "x"], ["audit"],
                  ["user", "permissions", "x", "a"], ["user", "disable", "x"], ["user", "passwd", "x"],
                  ["import", good, "--dry-run"]):
        code, out, err = cmd(*words, data=nowhere, stdin="12345678")
        assert code == 3 and out == "" and nowhere in err and not os.path.exists(nowhere), (words, code, err)
    for path in (good + "-not", os.path.dirname(good)):
        for more in ([], ["--dry-run"], ["--json"]):
            code, out, err = cmd("import", path, *more, data=data)
            assert code == 3 and out == "" and path in err and not os.path.exists(data), (path, code, err)
    for words in (["user", "create", "x"], ["import", good]):
        assert cmd(*words, data="/proc/nowhere", stdin="12345678")[0] == 3, words
    cmd("user", "create", "x", data=data, stdin="12345678")
    full = open("/dev/full", "wb")
    for words in (["user", "list"], ["user", "list", "--json"], ["user", "show", "x"], ["audit"],
                  ["audit", "--json"], ["import", good, "--dry-run"]):
        if words[0] == "import":
            cmd("user", "delete", "x", data=data)
            words.append("--restore")
        p = subprocess.run([PROGRAM, *words, "--data", data], stdout=full, stderr=subprocess.PIPE)
        assert p.returncode == 3 and b"standard output" in p.stderr, (words, p)
    full.close()
    edited(data, "DROP TABLE audit")
    for words in (["audit"], ["user", "create", "y"], ["import", good]):
        code, out, err = cmd(*words, data=data, stdin="12345678")
        assert code == 3 and out == "" and err.startswith("subtoken "), (words, code, err)


@test
def an_import_tells_what_it_does():
    data = data_dir()
    make_key(data)  # a dry run makes no store
    for logins, does in ((["p2", "p1"], ["create"] * 2), (["p3", "p2"], ["create", "unchanged"])):
        path = access_file(logins)
        plan = [json.loads(l) for l in cmd("import", path, "--dry-run", "--json", data=data)[1].splitlines()]
        told = [dict({"login": l, "does": d}, **({"permissions": ["database_api"]} if d == "create"
                                                 else {})) for l, d in zip(logins, does)]
        told += [{"login": "p1", "does": "missing"}] if "p3" in logins else []
        assert plan[:-1] == told, plan
        assert plan[-1] == {"created": does.count("create"), "changed": 0, "restored": 0,
                            "unchanged": does.count("unchanged"), "differs": 0, "deleted": 0,
                            "missing": len(told) - 2}
        done = cmd("import", path, "--json", data=data)[1]
        assert [json.loads(l) for l in done.splitlines()] == plan
    listed = json.loads(cmd("user", "list", "--json", data=data)[1])
    assert [(p["login"], p["imported"], p["permissions"]) for p in listed] == \
        [("p%d" % i, True, ["database_api"]) for i in (1, 2, 3)], listed


@test
def persons_are_listed_over_pages():
    data = data_dir()
    assert cmd("user", "create", "p000", "--permissions", "a,b", data=data, stdin="12345678")[0] == 0
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
        have, logins = count, ["p%03d" % i for i in range(count)]
        listed = json.loads(cmd("user", "list", "--json", data=data)[1])
        assert [p["login"] for p in listed] == logins and listed[-1]["permissions"] == ["a", "b"]
        rows = [r.split() for r in cmd("user", "list", data=data)[1].splitlines()]
        assert rows == [["active", l, "a,b"] for l in logins], rows


@test
def the_audit_log_is_limited():
    data = data_dir()
    assert cmd("user", "create", "x", data=data, stdin="12345678")[0] == 0
    edited(data, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
                 "INSERT INTO audit SELECT i, 1700000000 + i, 'w', 'o', 'a', 't' || i, '' FROM n")
    for limit in (None, 1, 2, 63, 64, 65, 127, 128, 129, 199, 200, 201, 1000000):
        words = ["audit"] if limit is None else ["audit", "--limit", str(limit)]
        last = min(limit or 100, 200)
        lines = [json.loads(l) for l in cmd(*words, "--json", data=data)[1].splitlines()]
        assert [l["id"] for l in lines] == list(range(201 - last, 201)), limit
        text = cmd(*words, data=data)[1].splitlines()
        assert len(text) == last and text[-1].split()[2] == "t200", limit
    assert lines[0]["action"] == "user.create" and lines[0]["target"] == "x"
    assert text[-1].startswith("2023-11-14T22:16:40Z"), text[-1]


@test
def hostile_persons_are_shown_safely():
    data = data_dir()
    source = "\x1b]0;t\x07\u202e\u0085"
    assert cmd("user", "create", "x", "--source", source, "--locale", "\x1b", data=data, stdin="12345678")[0] == 0
    for column in ("who", "origin", "action", "target", "detail"):
        edited(data, "UPDATE audit SET %s = ?" % column, HOSTILE)
    edited(data, "UPDATE persons SET login = ?", HOSTILE)
    edited(data, "UPDATE keys SET owner = ?, name = ?", HOSTILE, HOSTILE)
    for words in (["user", "list"], ["audit"]):
        out = cmd(*words, data=data)[1]
        assert out.count("\n") == 1 and SHOWN in out, out
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200f\u202e]", out), out
        json_out = cmd(*words, "--json", data=data)[1]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", json_out), json_out
        row = json.loads(json_out)
        assert (row[0]["login"] if isinstance(row, list) else row["detail"]) == HOSTILE
    edited(data, "UPDATE persons SET login = 'x'")
    out = cmd("user", "show", "x", data=data)[1]
    assert out.count("\n") == 6 and r"\x1b]0;t\x07\xe2\x80\xae\xc2\x85" in out, out
    shown = json.loads(cmd("user", "show", "x", "--json", data=data)[1])
    assert shown["source"] == source and shown["locale"] == "\x1b"
    # what is refused is shown safely, too
    for login in ("y\x1b[2J", "\u202ey"):
        code, out, err = cmd("import", access_file([login]), data=data)
        assert code == 1 and out == "" and not re.search("[\x1b\u202e]", err), err


main()
