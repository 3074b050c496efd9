"""HAProxy with the module (src/edge/haproxy): what it decides, what it passes on, its files, its threads, and that
nothing passes when something breaks. Its example configuration is run by test_examples.py."""
from haproxy import *


def jwt(signer, claims):
    kid, secret = signer
    return sign(secret, claims, {"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})})


# ---- what it decides ----

def decided(make_signer):
    """[(target, method, headers)] of every kind of answer."""
    signer, token, revoked = make_signer
    now = int(time.time())
    claims = {"sub": "s" * 43, "iat": now, "exp": now + 900, "permissions": ["account"]}
    wrong = [jwt(signer, dict(claims, exp=now - 61, iat=now - 900)), jwt(signer, dict(claims, iat=now + 3600, exp=now + 7200)),
             jwt((signer[0], b"x" * 32), claims), jwt(("other", signer[1]), claims), jwt(signer, dict(claims, sub=7)),
             jwt(signer, dict(claims, exp=now + 366 * 86400)), revoked, "a.b.c", token + "x", token[:-1], "x" * 7000, "a key"]
    cases = [("/v2/account", "GET", [auth(each)]) for each in wrong]
    good = auth(token)
    for target in ("/v2/account", "/v2/account?a=%2F", "/v2/account?access_token=x", "/v2/account?access_token=%zz",
                   "/v2/account?access_token=" + token, "/v2/account?a&access%5Ftoken=" + token, "/v2/account/bank",
                   "/v2/items", "/v2/nowhere", "/v2//account", "/v2/./account", "/v2/x/../account", "/v2/account/", "/v2/%61ccount",
                   "/v2/account%2fbank", "/v2/account%00", "//v2/account", "/", "/v2/account;a", "/" + "a" * 3000):
        for headers in ([good], [], [auth("x")]):
            cases.append((target, "GET", headers))
        cases.append((target, "POST", [good]))
    cases += [("/v2/account", "GET", headers) for headers in (
        [good, good], [good, auth("y")], [good, "X-API-Key: " + token], [good, "X-API-Key: other"], ["X-API-Key: " + token],
        ["X-API-Key: "], ["Authorization: Bearer"], ["Authorization: Basic YTpi"], ["Authorization: Digest x"], ["authorization: bearer " + token],
        ["Authorization:   Bearer   " + token + "  "])]
    cases += [("/v2/account", method, [good]) for method in ("PUT", "DELETE", "OPTIONS", "PATCH")]
    cases += [("/v2/account", "OPTIONS", ["Origin: https://a", "Access-Control-Request-Method: PUT"]),
              ("/v2/account", "OPTIONS", ["Origin: https://a"]), ("*", "OPTIONS", [good])]
    return cases


def described(answer):
    headers = {n.lower(): v for n, v in answer.headers}
    kept = ("content-type", "cache-control", "www-authenticate", "retry-after", "x-content-type-options",
            "access-control-allow-origin", "access-control-expose-headers")
    if answer.status == 200:
        asked = json.loads(answer.body)
        return 200, asked["method"], asked["target"], identity(asked["headers"])
    return answer.status, answer.body, {n: headers.get(n) for n in kept}


@test
def it_answers_as_the_nginx_module_does():
    n = Nginx("subtoken on; subtoken_policy %(dir)s/policy.json; " + UP)
    policy(n, POLICY)
    with n:
        for rules in (ACTION, quick()):
            h = Haproxy(rules)
            shutil.copy(os.path.join(n.data, "secrets"), os.path.join(h.data, "secrets"))
            h.copy_secrets()
            h.feed.signer = n.signer
            subs = ["r" * 43]
            now = int(time.time())
            revoked = jwt(n.signer, {"sub": subs[0], "iat": now, "exp": now + 900, "permissions": ["account"]})
            n.feed.publish(subs)
            h.feed.publish(subs)
            wait(lambda: n.status("/v2/account", token=revoked) == 401, "nginx has the revocation")
            with h:
                token = n.token("--permissions", "account")
                different = []
                for target, method, headers in decided((n.signer, token, revoked)):
                    ours, theirs = (described(p.ask(target, *headers, method=method)) for p in (h, n))
                    if "<html>" in str(theirs):  # nginx has refused it before the module saw it
                        ours, theirs = ours[0], theirs[0]
                    if ours != theirs:
                        different.append((target[:60], method, [x[:40] for x in headers], ours, theirs))
                assert not different, "\n".join(map(str, different[:20]))


@test
def what_the_log_and_rules_are_told():
    for rules in (ACTION, quick()):
        with Haproxy(rules, tail='http-request return status 200 content-type text/plain lf-string '
                     '"%[lua.subtoken_result]|%[lua.subtoken_sub]|%[lua.subtoken_permissions]"') as h:
            token, bare = h.token(), h.token("--permissions", "")
            assert h.ask("/v2/account", token=token).body == "ok|%s|account,inventories" % sub_of(token)
            assert h.ask("/v2/items", token=token).body == "public||"
            h.put_policy({"default": "token"})
            wait(lambda: h.ask("/", token=bare).body == "ok|%s|" % sub_of(bare), "a token without permissions")
            assert h.status("/", token=token + "x") == 401
            wait(lambda: "GET / 401 result=mac sub=- may=-\n" in h.text(), "the line of what was denied")
            log = h.text()
            assert "GET /v2/account 200 result=ok sub=%s may=account,inventories\n" % sub_of(token) in log
            assert token.split(".")[1] not in log and token.split(".")[2] not in log


@test
def identity_is_complete_or_nothing_passes():
    """HAProxy drops a header for which its buffer has no room, and says so neither to Lua nor to anybody."""
    many = ["p%02d%s" % (i, "x" * 30) for i in range(60)]
    for rules in (ACTION, quick()):
        with Haproxy(rules, policy={"default": "token"}) as h:
            now = int(time.time())
            token = jwt(h.feed.signer, {"sub": "s" * 43, "iat": now, "exp": now + 900, "permissions": many})
            seen = set()
            for size in (0, 2000, 6000, 8000, 9000, 10000, 10500, 11000, 11400, 11600, 11700, 11800, 11850, 11900, 11950, 12500, 15000):
                for body in (None, b"b" * 16000):
                    answer = h.ask("/", "Cookie: " + "c" * size, token=token, method="POST" if body else "GET", body=body)
                    if answer.status == 200:
                        assert identity_sent(answer) == {"X-Subtoken-Sub": "s" * 43, "X-Subtoken-Permissions": ",".join(many),
                                                         "X-Subtoken-Expires": str(now + 900)}
                    seen.add(answer.status)
            assert 200 in seen and seen <= {200, 400, 500, 503}, seen
            assert seen & {500, 503}, "this test has not filled the buffer"


@test
def many_credentials_are_one_or_none():
    for rules in (ACTION, quick()):
        with Haproxy(rules) as h:
            good = auth(h.token())
            assert h.status("/v2/account", *[good] * 2) == 400  # as everywhere: two headers of it
            key = "X-API-Key: " + h.token()
            for count in (31, 32, 33, 40):
                assert h.status("/v2/account", *[good] * count, "Authorization: Bearer other") == 400, count
                assert h.status("/v2/account", *[key] * count, "X-API-Key: other") == 400, count
                assert h.status("/v2/items", *[good] * count, *["X-API-Key: x"] * 9) == 200, (count, "a public route reads none")


# ---- HTTP/2 ----

def h2_ask(path, lines):
    """One request with headers as they are. Whether there came one that is not an error, as far as can be seen."""
    block = b"".join(h2_literal(n, v) for n, v in lines)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, b"") + h2_frame(1, 5, 1, block))
        data = b""
        while True:
            got = s.recv(65536)
            data += got
            at, kinds = 0, []
            while at + 9 <= len(data):
                length = int.from_bytes(data[at:at + 3], "big")
                kinds.append((data[at + 3], int.from_bytes(data[at + 5:at + 9], "big")))
                at += 9 + length
            if not got or any(kind in (3, 7) or (kind == 1 and stream == 1) for kind, stream in kinds):
                return


@test
def http_2_is_decided_alike():
    for rules in (ACTION, quick()):
        with Haproxy(rules, bind="bind unix@%s mode 666 proto h2" % os.path.join(shared_dir(), "in2")) as h:
            two = re.search(r"unix@(\S+in2)", open(h.conf).read()).group(1)
            token = h.token("--permissions", "account", "--urls", "/v2/account")

            def ask2(target, *more):
                return curl("--http2-prior-knowledge", "--path-as-is", "--unix-socket", two, "http://api.example" + target, *more)
            answer = ask2("/v2/account?a=%2F&access_token=&b", *bearer(token))
            assert answer.status == 200, (answer.status, answer.body)
            asked = json.loads(answer.body)
            assert asked["target"] == "/v2/account?a=%2F&b" and identity(asked["headers"]) == of_token(token), asked
            assert json.loads(ask2("/v2/account?access_token=" + token).body)["target"] == "/v2/account"
            assert json.loads(ask2("/v2/account?a=%2F", *bearer(token)).body)["target"] == "/v2/account?a=%2F"
            spoofed = [x for n in ("X-Subtoken-Sub: root", "x_subtoken_key: root", "X-Subtoken-Owner: root") for x in ("-H", n)]
            assert identity(json.loads(ask2("/v2/account", *bearer(token), *spoofed).body)["headers"]) == of_token(token)
            assert identity(json.loads(ask2("/v2/items", *spoofed).body)["headers"]) == {}
            for target, status in (("/v2/account/bank", 403), ("/v2//account", 400), ("/v2/x/../account", 400), ("/v2/%61ccount", 200)):
                assert ask2(target, *bearer(token)).status == status, target
            assert ask2("/v2/account").status == 401
            # The ends of lines in names, values and paths.
            del h.upstream.seen[:]
            base = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/v2/items")]
            for changed in ({b":path": b"/v2/items 1.1\r\nx-subtoken-sub: root"}, {b":path": b"/v2/items\nauthorization: x"},
                            {b":path": b"/v2/account 2.0\nx: y\r\n\r\n"}, {b":authority": b"a/v2/items?"},
                            {b":authority": b"a\r\nx-subtoken-sub: root"}, {b":method": b"GET /v2/items"}, {b":scheme": b"x://a/v2/items"}):
                h2_ask(two, [(n, changed.get(n, v)) for n, v in base])
            for line in ((b"x-a", b"b\r\nx-subtoken-sub: root"), (b"x-a", b"b\nx-subtoken-sub: root"), (b"x-a", b"b\rx-subtoken-sub: root"),
                         (b"x-a\r\nx-subtoken-sub", b"root"), (b"x-a: b\r\nx-subtoken-sub", b"root"), (b"X-Subtoken-Sub", b"root"),
                         (b"x-subtoken-sub", b"a\0b"), (b"x-subtoken-sub\0", b"root"), (b"x-subtoken-sub ", b"root")):
                h2_ask(two, base + [line])
            for asked in h.upstream.seen:
                assert identity(asked["headers"]) == {} and asked["target"].startswith("/v2/items"), asked


# ---- files ----

@test
def files_are_read_again_without_a_reload():
    for load, rules in (("lua-load-per-thread", quick()), ("lua-load", ACTION)):
        with Haproxy(rules, load=load, main="nbthread 2", settings="max_age=1h") as h:
            old = h.token()

            def all_threads(status, token):
                """Each connection may be another thread's."""
                return all(h.status("/v2/account", token=token) == status for _ in range(12))
            assert all_threads(200, old)
            run("secret", "rotate", "--kid", "winter", data=h.data, check=0)
            fresh = h.token()
            assert all_threads(401, fresh), "an unknown secret"
            h.copy_secrets()
            wait(lambda: all_threads(200, fresh), "the secrets are taken up")
            assert all_threads(200, old)
            h.feed.signer = read_ring(h.secrets)[0]
            h.feed.publish([sub_of(old)])
            wait(lambda: all_threads(401, old), "a revocation is taken up")
            h.feed.publish(["nobody"])
            wait(lambda: all_threads(200, old), "and its end")
            h.put_policy({"default": "deny"})
            wait(lambda: all_threads(403, old), "the policy is taken up")
            h.put_policy('{"default":')
            wait(lambda: "policy: " in h.text(), "a policy that is none is told")
            os.unlink(h.secrets)
            wait(lambda: "No such file" in h.text(), "secrets that are gone are told")
            assert all_threads(403, old), "what was loaded stays"
            h.put_policy(POLICY)
            wait(lambda: all_threads(200, old), "a good policy is taken up")
            assert len(re.findall(r"\[err\].*secrets: cannot read", h.text())) == 1, h.text()


@test
def data_that_is_too_old_is_503():
    # One thread: of several, each looks at its own clock, and one may pass what the other does not.
    with Haproxy(quick(), settings="max_age=1s leeway=1s", main="nbthread 1") as h:
        token = h.token("--permissions", "account")
        wait(lambda: h.status("/v2/account", token=token) == 503, "it grows old")
        answer = h.ask("/v2/account", token=token)
        assert answer.header("Retry-After") == "5" and answer.json()["text"], answer.headers
        assert h.status("/v2/items") == 200 and "feed_stale" in h.text()
        wait(lambda: h.feed.beat() or h.status("/v2/account", token=token) == 200, "it is fresh again")
    with Haproxy(quick(), settings="max_age=1h", feed=False) as h:
        token = h.token()
        assert h.status("/v2/account", token=token) == 503
        h.feed.publish(["nobody"])
        wait(lambda: h.status("/v2/account", token=token) == 200, "the first data is taken up")
    with Haproxy(quick(), settings="max_age=0s stale=allow") as h:
        assert h.status("/v2/account", token=h.token()) == 200


def chrooted(below, chroot):
    """A HAProxy with a chroot, as Debian's configuration has one, and its files in a directory of that name."""
    h = Haproxy(quick(), settings="max_age=2s leeway=1s", below=below, tail='http-request return status 200')
    text = open(h.conf).read()
    h.write(text.replace("global\n", "global\n  chroot %s\n" % os.path.join(h.dir, chroot), 1))
    return h


@test
def files_are_read_again_below_a_chroot():
    if not ROOT:
        return "only root can change its root"
    with chrooted("jail/etc/subtoken", "jail") as h:
        token = h.token()
        assert h.status("/v2/account", token=token) == 200
        h.put_policy({"default": "deny"})
        wait(lambda: h.status("/v2/account", token=token) == 403, "the policy is taken up")
        h.put_policy(POLICY)
        wait(lambda: h.feed.publish([sub_of(token)]) or h.status("/v2/account", token=token) == 401, "a revocation is taken up")
        assert "outside" not in h.text(), h.text()


@test
def data_that_comes_below_a_chroot_is_taken_up():
    """There was none when HAProxy started, outside of it."""
    if not ROOT:
        return "only root can change its root"
    h = chrooted("jail/etc/subtoken", "jail")
    for name in (h.feed.path, h.feed.path + ".alive"):
        if os.path.exists(name):
            os.rename(name, name + ".kept")
    with h:
        token = h.token()
        assert h.status("/v2/account", token=token) == 503
        wait(lambda: h.feed.publish([]) or h.status("/v2/account", token=token) == 200, "the data is taken up")
        wait(lambda: h.feed.publish([sub_of(token)]) or h.status("/v2/account", token=token) == 401, "a revocation is taken up")


@test
def files_outside_of_a_chroot_are_told_and_become_too_old():
    if not ROOT:
        return "only root can change its root"
    h = chrooted("etc", "jail")
    os.makedirs(os.path.join(h.dir, "jail"))
    with h:
        token = h.token()
        wait(lambda: "outside of the chroot" in h.text(), "it is told")
        wait(lambda: h.feed.beat() or h.status("/v2/account", token=token) == 503, "the data becomes too old")
        for name in ("secrets", "policy", "revocations"):
            assert re.search('%s: "[^"]*" is outside of the chroot' % name, h.text()), (name, h.text())


@test
def files_that_its_user_may_not_read_are_told():
    if not ROOT:
        return "only root gives its rights away"
    with Haproxy(quick()) as h:
        token = h.token()
        assert h.status("/v2/account", token=token) == 200
        os.chmod(h.secrets, 0o600)
        wait(lambda: "Permission denied" in h.text(), "it is told")
        assert h.status("/v2/account", token=token) == 200, "what was loaded stays"


@test
def wrong_settings_keep_haproxy_from_starting():
    h = Haproxy()
    text = open(h.conf).read()
    for settings, said in (("", "revocations: must be a file, or off"), ("revocations=off", "secrets: must be given"),
                           ("secret=x revocations=off", "secret: unknown setting"), ("x", "x: must be NAME=VALUE"),
                           ("secrets=a secrets=b revocations=off", "secrets: given twice"), ("secrets=x revocations=off", "must be a path"),
                           ("secrets=/nowhere/secrets revocations=off", "No such file"), ("secrets=/etc/passwd revocations=off", "open to others"),
                           ("secrets=%s revocations=off max_age=1y" % h.secrets, "max_age=1y: must be"), ("secrets=/dev/null revocations=off", "not a regular file"),
                           ("secrets=%s revocations=off leeway=2h" % h.secrets, "leeway: must be 0 to 3600 seconds"),
                           ("secrets=%s revocations=off cache=9" % h.secrets, "cache: must be 0 or at least"),
                           ("secrets=%s revocations=off cache=999999999999G" % h.secrets, "is too large"),
                           ("secrets=%s revocations=off require=a ask=on" % h.secrets, "require: not with ask=on"),
                           ("secrets=%s revocations=off ask=yes" % h.secrets, "ask=yes: must be on or off"),
                           ("secrets=%s revocations=off require=a,,b" % h.secrets, "require: a permission has 1 to 64"),
                           ("secrets=%s revocations=%s" % (h.secrets, h.policy), "feed_"),
                           ("secrets=%s revocations=off policy=%s" % (h.secrets, h.secrets), "line 1 column 1")):
        h.write(re.sub(r'setenv SUBTOKEN_MODULE ".*"', lambda _: 'setenv SUBTOKEN_MODULE "%s"' % settings, text))
        code, out = h.check()
        assert code != 0 and said in out, (settings, code, out)
    h.write(re.sub(r'setenv SUBTOKEN_MODULE ".*"', 'setenv SUBTOKEN_MODULE "secrets=%s revocations=off policy=off cache=0 require=account"'
                   % h.secrets, text))
    with h:
        assert h.status("/", token=h.token()) == 200 and h.status("/", token=h.token("--permissions", "inventories")) == 403


# ---- what breaks ----

BREAK = """core.register_action("break", { "http-req" }, function(txn)
  local index = getmetatable(txn.%s).__index
  index.%s = function() error("broken") end
end)
core.register_action("fails", { "http-req" }, function(txn) error("broken") end)
"""


@test
def nothing_passes_when_lua_fails():
    for place, name in (("sf", "req_hdrs"), ("sf", "method"), ("sf", "url"), ("http", "req_add_header")):
        h = Haproxy()
        path = os.path.join(h.dir, "break.lua")
        with open(path, "w") as f:
            f.write(BREAK % (place, name))
        text = open(h.conf).read().replace("defaults\n", "  lua-load-per-thread %s\ndefaults\n" % path, 1)
        h.write(text.replace("http-request lua.subtoken\n", "http-request lua.break\n  http-request lua.subtoken\n"))
        with h:
            answer = h.ask("/v2/account", token=h.token())
            assert answer.status == 503 and answer.header("Retry-After") == "5" and answer.json()["text"], answer.body
            assert "subtoken: " in h.text() and "broken" in h.text() and not h.upstream.seen, h.text()
        # The same where the action cannot even say so: HAProxy itself goes on with its rules.
        h.write(text.replace("http-request lua.subtoken\n", "http-request lua.fails\n"))
        h.upstream = Upstream(h.upstream.path + "2")
        with h:
            assert h.status("/v2/account", token=h.token()) == 503 and "broken" in h.text()


def gone_while_asked(make):
    """HAProxy ends an action that waits when its client closes its side, and goes on with its rules."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)  # and never answers
    listener.settimeout(20)
    held = []
    with Case() as c:
        p = make(c)
        p.write("127.0.0.1:%d" % listener.getsockname()[1], [("  mode http\n", "  mode http\n  option abortonclose\n")])
        with p:
            for method, body in (("GET", None), ("POST", b"body")):
                client = Client(p.socket)
                client.send("/v2/account", method, [auth("KEY")], body)
                held.append(listener.accept()[0])  # the action waits by now
                client.socket.settimeout(20)
                client.socket.shutdown(socket.SHUT_WR)
                assert client.receive().status == 503
                client.close()
            assert not p.upstream.seen, p.upstream.seen
    listener.close()


@test
def nothing_passes_when_a_client_goes_while_the_server_is_asked():
    gone_while_asked(HaproxyProxy)


@test
def nothing_passes_when_a_client_goes_while_the_server_is_asked_with_the_module():
    gone_while_asked(HaproxyModuleProxy)


# ---- many ----

def pipelined(h, lines, count, each=100):
    """Sends the request count times on one connection; how often each status came."""
    c, seen = Client(h.socket), {}
    text = ("\r\n".join([lines[0], "Host: a"] + list(lines[1:])) + "\r\n\r\n").encode()
    for _ in range(count // each):
        c.socket.sendall(text * each)
        for _ in range(each):
            status = c.receive().status
            seen[status] = seen.get(status, 0) + 1
    c.close()
    return seen


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % pid).read()).group(1))


@test
def memory_does_not_grow_with_requests():
    rounds = int(os.environ.get("SUBTOKEN_REQUESTS", "12000")) // 3
    with Haproxy(quick(), tail='http-request return status 200 content-type text/plain string ok', main="nbthread 1") as h:
        token = h.token("--permissions", "account")
        kinds = [("GET /v2/account HTTP/1.1", auth(token)), ("GET /v2/account?a HTTP/1.1", auth(token)),
                 ("GET /v2/account HTTP/1.1", auth(token + "x"))]
        for round in range(2):
            for lines, status in zip(kinds, (200, 200, 401)):
                assert pipelined(h, lines, rounds) == {status: rounds // 100 * 100}, "connections stay, refused or not"
            before, after = (resident(h.process.pid), 0) if round == 0 else (before, resident(h.process.pid))
        assert after - before < 4096, (before, after)


def reload(h):
    """HAProxy's master loses a signal that comes while it begins: it gets another. It has begun when it sees that a
    worker has ended."""
    begun, told = h.text().count("Reloading HAProxy"), 0
    while h.text().count("Reloading HAProxy") == begun:
        if time.time() - told > 2:
            h.process.send_signal(signal.SIGUSR2)
            told = time.time()
        time.sleep(0.02)
    wait(lambda: h.text().count("Former worker") >= h.text().count("Reloading HAProxy"), "the old worker has ended", 60)


@test
def it_ends_well_when_it_is_told_to_serve_what_it_has():
    """As the workers before a reload: Lua's state is closed then."""
    for rules in (ACTION, quick()):
        with Haproxy(rules, policy={"default": "token"}) as h:
            for asked in (0, 3):
                assert [h.status("/x", token=h.token()) for _ in range(asked)] == [200] * asked
                h.process.send_signal(signal.SIGUSR1)
                assert h.process.wait(timeout=60) == 0, h.text()[-2000:]
                h.launch([HAPROXY, "-db", "-f", h.conf])


@test
def a_reload_takes_up_settings_and_loses_no_decision():
    with Haproxy(quick(), settings="require=account") as h:
        h.process.terminate()
        h.process.wait()
        token = h.token("--permissions", "inventories")
        h.launch([HAPROXY, "-W", "-db", "-f", h.conf])
        h.put_policy({"default": "token"})
        wait(lambda: h.status("/x", token=h.token("--permissions", "account")) == 200, "the policy is taken up")
        assert h.status("/x", token=token) == 403
        h.write(open(h.conf).read().replace("require=account", "require=inventories"))
        for _ in range(3):
            reload(h)
            wait(lambda: h.answers() and h.status("/x", token=token) == 200, "the new worker answers")
            assert h.status("/x") == 401


main()
