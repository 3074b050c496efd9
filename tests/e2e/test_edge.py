"""All of it at once: the server, a pull and nginx with the module, in front of a small API."""
from support import *
from nginx import Nginx, share, wait

POLICY = {"default": "deny", "routes": [
    {"path": "/v2/account", "needs": ["account"]},
    {"path": "/v2/characters/*", "needs": ["characters"]},
    {"path": "/rpc", "methods": ["POST"], "json_rpc": True},
    {"path": "/v2/items", "public": True}]}

CONF = """subtoken on; subtoken_policy %(dir)s/policy.json; subtoken_max_age 4s;
    subtoken_fallback /.authorize;
    location / { proxy_pass http://api; }
    location = /.authorize { internal; subtoken off;
      proxy_pass http://127.0.0.1:PORT/v2/authorize; proxy_pass_request_body off;
      proxy_set_header Content-Length ""; proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Original-Method $request_method; }
    location = /.feed { subtoken off; default_type text/plain;
      return 200 "$subtoken_feed_age $subtoken_feed_sequence $subtoken_feed_count"; }"""


class Site:
    """nginx and the server on one DATA; pull keeps the files that nginx reads."""

    def __init__(self, main=""):
        self.main = main

    def __enter__(self):
        self.nginx = n = Nginx(feed=False, main=self.main)
        with open(os.path.join(n.dir, "policy.json"), "w") as f:
            json.dump(POLICY, f)
        share(n.dir, 0o2755)  # what pull makes belongs to the workers' group
        self.server = Server(data=n.data).start()
        self.manager = make_key(n.data, "keys")["key"]
        self.key_file = private_file(make_key(n.data, "revocations")["key"] + "\n")
        self.pull()
        n.configure(server=CONF.replace("PORT", str(self.server.port)))
        n.start()
        return self

    def __exit__(self, kind, value, trace):
        self.nginx.__exit__(kind, value, trace)
        self.stop_pull()
        self.server.stop(expect=None if kind else 0)

    def written(self):
        """What FILE.alive is: each pull puts another in its place."""
        try:
            at = os.stat(self.nginx.feed.path + ".alive")
            return at.st_ino, at.st_mtime_ns
        except FileNotFoundError:
            return None

    def pull(self):
        """Starts a pull, and waits for what it writes first: before, a signal would just end it."""
        before = self.written()
        log = open(os.path.join(self.server.dir, "pull"), "ab")
        self.puller = subprocess.Popen(
            [PROGRAM, "pull", "--from", self.server.url + "/v2/revocations", "--to",
             self.nginx.feed.path, "--key-file", self.key_file, "--every", "1s"],
            stdout=log, stderr=log)
        wait(lambda: self.written() != before, "the first pull")

    def stop_pull(self):
        self.puller.terminate()
        assert self.puller.wait(timeout=120) == 0

    def made_with_curl(self, key, query):
        return curl(self.server.url + "/v2/createsubtoken?" + query, *bearer(key)).json()["subtoken"]

    def manage(self, method, path, *args):
        answer = curl(self.server.url + "/v2/keys/" + path, "-X", method, *bearer(self.manager), *args)
        assert answer.status in (200, 204), answer.body
        return int(answer.header("Subtoken-Seq"))

    def disable(self, key, disabled):
        return self.manage("PATCH", key["id"], "-H", "Content-Type: application/json", "-d",
                           json.dumps({"disabled": disabled}))

    def becomes(self, status, target, token):
        wait(lambda: self.nginx.status(target, token=token) == status,
             "%s at the edge is %d" % (target, status), 30)


@test
def a_subtoken_allows_exactly_its_routes_until_its_key_is_deleted():
    with Site() as s:
        n, parent = s.nginx, make_key(s.nginx.data)
        narrow = s.made_with_curl(parent["key"], "permissions=account&urls=/v2/account")
        wide = s.made_with_curl(parent["key"], "permissions=account,characters")
        nothing = s.made_with_curl(parent["key"], "")
        for target, wanted in (("/v2/account", (200, 200, 403)), ("/v2/account?v=1", (200, 200, 403)),
                               ("/v2/characters/Zed", (403, 200, 403)), ("/v2/items", (200, 200, 200)),
                               ("/v2/other", (403, 403, 403)), ("/v2/account/..", (400, 400, 400))):
            got = tuple(n.status(target, token=t) for t in (narrow, wide, nothing))
            assert got == wanted, (target, got)
        assert n.status("/v2/account") == 401 and n.status("/v2/account", token=narrow + "x") == 401
        other = s.made_with_curl(make_key(n.data)["key"], "permissions=account")
        sequence = s.manage("DELETE", parent["id"])
        for token in (narrow, wide):
            s.becomes(401, "/v2/account", token)
        assert n.last.json() == {"text": "Invalid access token"}
        age, seen, count = n.ask("/.feed").body.split()
        assert int(seen) >= sequence and int(count) == 1 and int(age) <= 4
        assert n.status("/v2/account", token=other) == 200


@test
def a_disabled_key_is_refused_and_an_enabled_one_allowed():
    with Site() as s:
        parent = make_key(s.nginx.data)
        token = s.made_with_curl(parent["key"], "permissions=account")
        for _ in range(2):
            assert s.nginx.status("/v2/account", token=token) == 200
            s.disable(parent, True)
            s.becomes(401, "/v2/account", token)
            s.disable(parent, False)
            s.becomes(200, "/v2/account", token)
        s.manage("POST", parent["id"] + "/revoke-subtokens")
        s.becomes(401, "/v2/account", token)
        again = s.made_with_curl(parent["key"], "permissions=account")
        assert s.nginx.status("/v2/account", token=again) == 200


@test
def stale_revocation_data_is_503_until_the_pull_goes_on():
    with Site() as s:
        token = s.made_with_curl(make_key(s.nginx.data)["key"], "permissions=account")
        assert s.nginx.status("/v2/account", token=token) == 200
        s.puller.send_signal(signal.SIGSTOP)
        s.becomes(503, "/v2/account", token)
        assert int(s.nginx.last.header("Retry-After")) > 0
        assert s.nginx.status("/v2/items") == 200  # needs no token
        s.puller.send_signal(signal.SIGCONT)
        s.becomes(200, "/v2/account", token)


@test
def an_old_pair_put_back_undoes_nothing():
    with Site() as s:
        n, parent = s.nginx, make_key(s.nginx.data)
        token = s.made_with_curl(parent["key"], "permissions=account")
        old = {x: open(n.feed.path + x, "rb").read() for x in ("", ".alive")}
        s.manage("DELETE", parent["id"])
        s.becomes(401, "/v2/account", token)
        s.stop_pull()
        for name, data in old.items():
            with open(n.feed.path + ".put", "wb") as f:
                f.write(data)
            shutil.copymode(n.feed.path, n.feed.path + ".put")
            os.replace(n.feed.path + ".put", n.feed.path + name)
        wait(lambda: "rollback" in n.errors(), "the worker says that it was rolled back")
        assert n.status("/v2/account", token=token) in (401, 503)
        n.reload()  # new workers know FILE.seen
        for _ in range(20):
            assert n.status("/v2/account", token=token) in (401, 503)
            time.sleep(0.05)
        s.pull()
        s.becomes(401, "/v2/account", token)


@test
def whole_keys_are_asked_of_the_server_and_end_with_it():
    with Site() as s:
        n, key, poor = s.nginx, make_key(s.nginx.data), make_key(s.nginx.data, "inventories")
        assert n.status("/v2/account", token=key["key"]) == 200
        assert n.status("/v2/account?access_token=" + key["key"]) == 200
        asked = n.last.json()
        assert key["key"] not in asked["target"], asked["target"]
        assert n.status("/v2/account", "X-API-Key: " + key["key"]) == 200
        assert n.status("/v2/account", token=poor["key"]) == 403
        assert n.last.json() == {"text": "requires scope account"}
        assert n.status("/v2/account", token="0" * 8 + key["key"][8:]) == 401
        narrow = s.made_with_curl(key["key"], "permissions=account,characters&urls=/v2/account")
        assert n.status("/v2/account?access_token=%20" + narrow) == 401
        assert n.status("/v2/characters/Zed", token=narrow) == 403
        token = s.made_with_curl(key["key"], "permissions=account")
        s.manage("DELETE", key["id"])
        s.becomes(401, "/v2/account", key["key"])
        s.becomes(401, "/v2/account", token)


@test
def the_ring_is_rotated_and_nobody_notices():
    with Site() as s:
        n, parent = s.nginx, make_key(s.nginx.data)
        hand_over = lambda: subprocess.run(["cp", os.path.join(n.data, "secrets"), n.secrets], check=True)
        old = s.made_with_curl(parent["key"], "permissions=account")
        for step in (["add", "--kid", "winter"], ["promote", "winter"], ["retire", "-", "--force"]):
            run("secret", *step, data=n.data, check=0)
            if step[0] == "retire":
                fresh = s.made_with_curl(parent["key"], "permissions=account")
            hand_over()
            until = time.time() + 1.5
            while time.time() < until:
                token = old if step[0] != "retire" else fresh
                assert n.status("/v2/account", token=token) == 200, (step, n.errors()[-800:])
                time.sleep(0.1)
        s.becomes(401, "/v2/account", old)
        s.manage("DELETE", parent["id"])
        s.becomes(401, "/v2/account", fresh)


@test
def users_are_known_at_the_edge():
    with Site() as s:
        n, data = s.nginx, s.nginx.data

        def user(*words, stdin=""):
            run("user", *words, data=data, stdin=stdin, check=0)
        user("create", "alice", "--permissions", "account,history_api", stdin="correct horse\n")
        user("create", "*", "--permissions", "database_api")
        session = curl(s.server.url + "/v1/auth/login", "-H", "Content-Type: application/json", "-d",
                     '{"login":"alice","password":"correct horse"}').json()
        basic = "Authorization: Basic " + base64.b64encode(b"alice:correct horse").decode()
        child = s.made_with_curl(session["access_token"], "permissions=account")
        key = json.loads(run("key", "create", "--name", "k", "--owner", "alice", "--permissions",
                             "account", "--json", data=data, check=0)[1])
        mine = s.made_with_curl(key["key"], "permissions=account")
        for token in (session["access_token"], child, mine):
            assert n.status("/v2/account", token=token) == 200
        assert n.status("/v2/account", basic) == 200 and n.status("/v2/characters/a", basic) == 403
        assert n.status("/v2/account", basic[:-4] + "AAAA") == 401
        rpc = [(b'{"method":"get_objects"}', 200, 403), (b'{"method":"call","params":["history","x",[]]}', 401, 200),
               (b'[{"method":"get_objects"},{"method":"call","params":["history","x",[]]}]', 401, 403)]
        for body, nobody, alice in rpc:
            assert n.status("/rpc", method="POST", body=body) == nobody, body
            assert n.status("/rpc", basic, method="POST", body=body) == alice, body
        assert n.status("/v2/account") == 401
        user("permissions", "alice", "history_api")  # takes account away
        for token in (session["access_token"], child, mine):
            s.becomes(401, "/v2/account", token)
        wait(lambda: n.status("/v2/account", basic) in (401, 403), "what the edge kept is over", 30)
        user("delete", "*")
        wait(lambda: n.status("/rpc", method="POST", body=rpc[0][0]) == 401, "nobody may anything", 30)


@test
def clocks_that_were_ahead_leave_nothing_behind():
    """C12: all clocks are an hour ahead for some seconds, then right again."""
    if FAKETIME is None or SANITIZER:
        return "no libfaketime"
    clock = os.path.join(scratch(), "clock")

    def set_clock(text):
        with open(clock + ".new", "w") as f:
            f.write(text + "\n")
        os.chmod(clock + ".new", 0o644)
        os.replace(clock + ".new", clock)
    os.chmod(os.path.dirname(clock), 0o755)
    set_clock("+3600s")
    faked = {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
             "DONT_FAKE_MONOTONIC": "1"}
    os.environ.update(faked)
    try:
        with Site(main="".join("env %s; " % n for n in faked if n != "LD_PRELOAD")) as s:
            parent = make_key(s.nginx.data)
            ahead = s.made_with_curl(parent["key"], "permissions=account")
            assert payload(ahead)["iat"] > time.time() + 3000
            s.becomes(200, "/v2/account", ahead)
            set_clock("+0s")
            soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 900))
            fresh = s.made_with_curl(parent["key"], "permissions=account&expire=" + soon)
            assert payload(fresh)["iat"] < time.time() + 60
            s.becomes(200, "/v2/account", fresh)
            assert s.nginx.status("/v2/account", token=ahead) == 401  # not before its time
            s.manage("DELETE", parent["id"])
            s.becomes(401, "/v2/account", fresh)
            assert "rollback" not in s.nginx.errors(), s.nginx.errors()[-2000:]
    finally:
        for name in faked:
            del os.environ[name]


@test
def leeway_and_snapshot_size_have_limits():
    """C13 and C14: no leeway above an hour, no snapshot above the limit, none with holes."""
    n = Nginx()
    for leeway, wanted in (("1h", 0), ("3601s", 1), ("1d", 1)):
        code, said = n.configure(server="subtoken_leeway %s;" % leeway).check()
        assert code == wanted and (code == 0 or "is longer than an hour" in said), (leeway, said)
    size = len(n.feed.bytes)
    for more, text in (("max=%d" % size, ""), ("max=1g", ""), ("max=%d" % (size - 1), "larger than the limit"),
                       ("max=0", "no size"), ("max=x", "no size"), ("max=", "takes FILE"),
                       ("1g", "takes FILE")):
        code, said = n.configure(server="subtoken_revocations %%(feed)s %s;" % more).check()
        assert (code == 0) == (text == "") and text in said, (more, said)
    os.truncate(n.feed.path, 1 << 29)
    code, said = n.configure(server="subtoken on;").check()
    assert code != 0 and "feed_bad" in said and "cut short" in said, said


@test
def a_snapshot_mounted_by_itself_is_warned_about():
    """F7"""
    n = Nginx()
    inner = os.path.join(n.dir, "inner")
    for suffix in ("", ".alive"):
        open(inner + suffix, "w").close()
        if subprocess.run(["mount", "--bind", n.feed.path + suffix, inner + suffix],
                          capture_output=True).returncode != 0:
            return "mounting is not allowed here"
    try:
        n.configure(server="subtoken_revocations %(dir)s/inner;")
        code, said = n.check()
        assert code == 0 and "mount its directory" in said, said
        with n:
            wait(lambda: n.errors().count("mount its directory") >= 1, "the worker says it")
    finally:
        for suffix in ("", ".alive"):
            subprocess.run(["umount", inner + suffix], check=True)


main()
