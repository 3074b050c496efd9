"""Users and their sessions: login, refresh, logout, registration, HTTP Basic, and what a user loses."""
import stores
from calls import *

# ---- users and sessions ----


@test
def a_session_begins_is_refreshed_and_ends():
    with Server(config={"access_life": "2m"}) as server:
        make_user(server.data, permissions="account,inventories")
        answer = log_in(server)
        pair = answer.json()
        assert answer.status == 200 and set(pair) == {"access_token", "refresh_token",
                                                      "token_type", "expires_in"}
        assert pair["token_type"] == "Bearer" and pair["expires_in"] == 120
        claims = payload(pair["access_token"])
        assert list(claims) == ["sub", "iat", "exp", "permissions", "sid"], claims
        assert claims["permissions"] == ["account", "inventories"]
        assert claims["exp"] - claims["iat"] == 120
        info = call(server, "GET", "/v2/tokeninfo?v=latest", pair["access_token"]).json()
        assert info["name"] == "alice" and info["type"] == "Subtoken"
        # derived ones carry no sid, and end with the session
        child = issue(server.data, pair["access_token"], "--permissions", "account")
        assert "sid" not in payload(child) and status(server, child) == 200
        # refresh: a retry survives
        second = refresh(server, pair["refresh_token"]).json()
        again = refresh(server, pair["refresh_token"]).json()
        assert second["refresh_token"] == again["refresh_token"] != pair["refresh_token"]
        assert payload(second["access_token"])["sid"] == claims["sid"]
        third = refresh(server, second["refresh_token"]).json()
        assert status(server, third["access_token"]) == 200
        # a thief does not
        refused(refresh(server, pair["refresh_token"]), 401)
        refused(refresh(server, third["refresh_token"]), 401)
        for token in (third["access_token"], pair["access_token"], child):
            assert status(server, token) == 401
        # logout
        pair = log_in(server).json()
        out = call(server, "POST", "/v1/auth/logout", pair["access_token"])
        assert out.status == 204 and int(out.header("Subtoken-Seq")) > 0
        assert status(server, pair["access_token"]) == 401
        refused(refresh(server, pair["refresh_token"]), 401)
        refused(call(server, "POST", "/v1/auth/logout", pair["access_token"]), 401)
        log = server.log()
        assert all(t not in log for t in (PASSWORD, pair["refresh_token"], pair["access_token"]))


@test
def a_refresh_whose_answer_was_lost_is_repeated():
    # D11: the moments are put into the database, so that nobody has to wait for them
    def used_earlier(data, seconds):
        assert len(stores.execute(data, "UPDATE refresh_tokens SET used_at = used_at - %d WHERE used_at IS NOT NULL "
                                  "RETURNING used_at" % seconds)) == 1

    for setting, within, after in (({}, 25, 10), ({"refresh_retry": "1m"}, 50, 15),
                                   ({"refresh_retry": 5}, 2, 5)):
        with Server(config=setting) as server:
            make_user(server.data)
            first = log_in(server).json()["refresh_token"]
            second = refresh(server, first).json()["refresh_token"]
            used_earlier(server.data, within)
            again = refresh(server, first)
            assert again.status == 200 and again.json()["refresh_token"] == second, setting
            used_earlier(server.data, after)
            refused(refresh(server, first), 401)
            refused(refresh(server, second), 401)
            wait(lambda: "refresh_reused" in server.log(), "the event in the log")
    with Server(config={"refresh_retry": 0}) as server:
        make_user(server.data)
        first = log_in(server).json()["refresh_token"]
        second = refresh(server, first).json()["refresh_token"]
        refused(refresh(server, first), 401)
        refused(refresh(server, second), 401)


@test
def bad_logins_are_refused_and_throttled():
    with Server() as server:
        make_user(server.data)
        make_user(server.data, "off")
        user(server.data, "disable", "off")
        key = make_key(server.data, "account,services")["key"]
        for name, password in (("alice", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD),
                               ("*", PASSWORD), ("alice", ""), ("", PASSWORD), ("alice", "x" * 2000)):
            assert log_in(server, name, password).status in (400, 401), (name, password)
            assert status(server, (name, password)) == 401, (name, password)
        for body, named in (({"login": "alice"}, "password"), ({"password": "x"}, "login"),
                            ({"login": 1, "password": "x"}, "login"), ({}, "login")):
            refused(call(server, "POST", "/v1/auth/login", None, body), 400, named)
        refused(curl(server.url + "/v1/auth/login", "-d", "login=alice&password=x"), 415)
        refused(refresh(server, key), 401)
        refused(refresh(server, "A" * 43), 401)
        refused(call(server, "POST", "/v1/auth/refresh", None, {}), 400, "token")
        refused(call(server, "POST", "/v1/auth/logout", key), 403)
        refused(call(server, "POST", "/v1/auth/logout"), 401)
        pair = log_in(server).json()
        refused(call(server, "GET", "/v2/tokeninfo", pair["refresh_token"]), 401)
        assert call(server, "GET", "/v1/auth/login").status == 405
        # throttled per username, right passwords too, and nobody else
        answers = [log_in(server, "alice", "wrong") for _ in range(12)]
        assert 429 in [a.status for a in answers]
        assert all(int(a.header("Retry-After")) >= 1 for a in answers if a.status == 429)

        def throttled(right):  # one more is let through every few seconds, however long those last here
            while log_in(server, "alice", "wrong").status != 429:
                pass
            return right() == 429
        wait(lambda: throttled(lambda: log_in(server).status))
        wait(lambda: throttled(lambda: status(server, ("alice", PASSWORD))))
        make_user(server.data, "bob")
        assert log_in(server, "bob").status == 200
        wait(lambda: "login_failed" in server.log(), "the event in the log")
        assert PASSWORD not in server.log()


@test
def services_log_in_with_a_key():
    with Server() as server:
        key = make_key(server.data, "services,account", "--expires", "10m")
        pair = call(server, "POST", "/v1/auth/token", key["key"]).json()
        claims = payload(pair["access_token"])
        assert claims["permissions"] == ["services", "account"] and "sid" in claims
        assert claims["exp"] - claims["iat"] <= 600
        assert refresh(server, pair["refresh_token"]).status == 200
        refused(call(server, "GET", "/v2/keys", pair["access_token"]), 403, "requires scope keys")
        refused(call(server, "POST", "/v1/auth/token", make_key(server.data)["key"]), 403, "services")
        refused(call(server, "POST", "/v1/auth/token", pair["access_token"]), 403)
        refused(call(server, "POST", "/v1/auth/token"), 401)
        refused(curl(server.url + "/v1/auth/token?access_token=" + key["key"], "-X", "POST"), 400)
        assert call(server, "POST", "/v1/auth/token", key["key"], {}).status == 200  # D15
        refused(call(server, "POST", "/v1/auth/token", key["key"], {"a": 1}), 400)
        run("key", "disable", key["id"], data=server.data, check=0)
        assert status(server, pair["access_token"]) == 401
        run("key", "enable", key["id"], data=server.data, check=0)
        assert status(server, pair["access_token"]) == 401 and status(server, key["key"]) == 200


@test
def users_are_created_with_the_permission_users_alone():
    with Server() as server:
        admin = make_key(server.data, "users,account")["key"]
        body = {"login": "carol", "password": PASSWORD, "locale": "de", "source": "test",
                "permissions": ["account"]}
        made = call(server, "POST", "/v1/user", admin, body)
        assert made.status == 201 and made.json()["login"] == "carol", made.body
        assert log_in(server, "carol").status == 200
        refused(call(server, "POST", "/v1/user", admin, body), 409, "login")
        refused(call(server, "POST", "/v1/user", admin, dict(body, login="d", permissions=["x"])),
                403, "permissions")
        refused(call(server, "POST", "/v1/user", make_key(server.data)["key"], body), 403, "users")
        refused(call(server, "POST", "/v1/user",
                     issue(server.data, admin, "--permissions", "users"), body), 403)
        refused(call(server, "POST", "/v1/user", None, dict(body, login="d")), 401)
        for wrong, named in ((dict(body, login="a:b"), "login"), (dict(body, login=""), "login"),
                             (dict(body, login="*"), "login"), (dict(body, password="short"), "password"),
                             (dict(body, login="d", permissions="account"), "permissions"),
                             ({"login": "d"}, "password"), ({"password": PASSWORD}, "login")):
            refused(call(server, "POST", "/v1/user", admin, wrong), 400, named)
        assert '"admin"' not in user(server.data, "list", "--json")[1]


@test
def open_registration_needs_no_credential():
    with Server(config={"registration": "open"}) as server:
        owned = make_key(server.data, "account", "--owner", "owner")
        body = {"login": "dave", "password": PASSWORD}
        made = call(server, "POST", "/v1/user", None, body)
        assert made.status == 201 and made.json()["permissions"] == [], made.body
        assert payload(log_in(server, "dave").json()["access_token"])["permissions"] == []
        refused(call(server, "POST", "/v1/user", None, body), 409)
        refused(call(server, "POST", "/v1/user", None, {"login": "owner", "password": PASSWORD}), 409)
        refused(call(server, "POST", "/v1/user", None,
                     dict(body, login="eve", permissions=["account"])), 403)
        for name in (".", ".."):  # no URL could name them
            refused(call(server, "POST", "/v1/user", None, dict(body, login=name)), 400, "login")
        token = log_in(server, "dave").json()["access_token"]
        refused(new_key(server, token, ["account"]), 403)
        assert new_key(server, token, []).status == 201
        assert call(server, "GET", "/v2/keys/" + owned["id"], token).status == 404


@test
def the_administrator_of_a_demonstration_may_ask_everything():
    """Each permission that the service itself asks for: what is made without one is refused by the calls that need it."""
    source = "".join(open(f).read() for f in glob.glob(os.path.join(TESTS, "..", "src/service/*.c")))
    asked = set(re.findall(r'(?:st_access_(?:requires|holds)|st_claims_has_permission)\([^;"]*"(\w+)"\)', source))
    assert asked >= {"metrics", "introspect", "services", "revocations"}, asked
    with Server(args=["--demo"]) as server:
        password = re.search(r"The administrator is admin.*:\n\n  (\S+)\n", open(server.stdout_path).read()).group(1)
        token = log_in(server, "admin", password).json()["access_token"]
        held = call(server, "GET", "/v2/tokeninfo", token).json()["permissions"]
        assert asked <= set(held), asked - set(held)
        for path in ("/metrics", "/v2/keys", "/v1/user", "/v2/audit", "/v2/feed", "/v2/ring"):
            assert status(server, token, path) == 200, path
        assert curl(server.url + "/oauth/introspect", *bearer(token), "-d", "token=" + token).json()["active"]


@test
def commands_say_of_a_user_what_the_service_says():
    """A user who was made with a credential that ends, ends with it, in each answer."""
    with Server() as server:
        ends = make_key(server.data, "account,users", "--expires", "8s")
        admin = make_key(server.data, "account,users")["key"]
        for login, by in (("soon", ends["key"]), ("stays", admin)):
            body = {"login": login, "password": PASSWORD, "permissions": ["account"]}
            assert call(server, "POST", "/v1/user", by, body).status == 201

        def told(login):
            served = call(server, "GET", "/v1/user/" + login, admin).json()
            shown = json.loads(user(server.data, "show", login, "--json")[1])
            listed = [u for u in map(json.loads, user(server.data, "list", "--json")[1].splitlines()) if u["login"] == login]
            assert [shown] == listed == [served], (shown, listed, served)
            text = user(server.data, "show", login)[1]
            (line,) = [l for l in user(server.data, "list")[1].splitlines() if login in l]
            assert "state:       %s\n" % served["state"] in text and line.split()[0] == served["state"], (text, line)
            assert ("expires:     %s\n" % served["expires_at"] in text) == (served["expires_at"] is not None), text
            return served
        assert told("stays")["state"] == "active"
        wait(lambda: call(server, "GET", "/v1/user/soon", admin).json()["state"] == "expired")
        said = told("soon")
        assert (said["state"], said["expires_at"]) == ("expired", ends["expires_at"]), said


@test
def what_a_user_loses_ends_at_once():
    with Server() as server:
        make_user(server.data, permissions="account,wallet,keys")
        pair = log_in(server).json()
        token = pair["access_token"]
        wallet, account = (new_key(server, token, [p]).json() for p in ("wallet", "account"))
        child = issue(server.data, wallet["key"], "--permissions", "wallet")
        basic = call(server, "GET", "/v2/createsubtoken?permissions=wallet",
                                        ("alice", PASSWORD)).json()["subtoken"]
        assert [status(server, c) for c in (token, wallet["key"], account["key"], child, basic)] \
            == [200] * 5
        user(server.data, "permissions", "alice", "account,keys,guilds")
        assert [status(server, c) for c in (token, wallet["key"], account["key"], child, basic)] \
            == [401, 401, 200, 401, 401]
        refused(refresh(server, pair["refresh_token"]), 401)
        pair = log_in(server).json()
        assert payload(pair["access_token"])["permissions"] == ["account", "keys", "guilds"]
        # one that is gained ends nothing
        user(server.data, "permissions", "alice", "account,keys,guilds,unlocks")
        assert status(server, pair["access_token"]) == 200
        more = refresh(server, pair["refresh_token"]).json()
        assert payload(more["access_token"])["permissions"][-1] == "unlocks"
        # disabled: all of it rests, and the keys come back
        rests = issue(server.data, account["key"], "--permissions", "account")
        run("verify", stdin=rests, data=server.data, check=0)
        user(server.data, "disable", "alice")
        assert [status(server, c) for c in (more["access_token"], account["key"],
                                            ("alice", PASSWORD))] == [401] * 3
        assert "owner of its key is disabled" in run("verify", stdin=rests, data=server.data, check=1)[1]
        shown = json.loads(run("key", "show", account["id"], "--json", data=server.data, check=0)[1])
        assert (shown["state"], shown["disabled"]) == ("suspended", False)
        # so is a key that is made for her meanwhile, and who makes it is told
        made = make_key(server.data, "account", "--owner", "alice", name="late")
        manager = make_key(server.data, "account,keys", "--owner", "ops")
        posted = call(server, "POST", "/v2/keys", manager["key"],
                      {"name": "later", "permissions": ["account"], "owner": "alice"})
        assert posted.status == 201, posted.body
        assert (made["state"], posted.json()["state"]) == ("suspended", "suspended"), (made, posted.body)
        user(server.data, "enable", "alice")
        assert [status(server, c) for c in (more["access_token"], account["key"],
                                            ("alice", PASSWORD))] == [401, 200, 200]
        # another password
        pair = log_in(server).json()
        user(server.data, "passwd", "alice", stdin="another one\n")
        assert [status(server, c) for c in (pair["access_token"], ("alice", PASSWORD),
                                            ("alice", "another one"), account["key"])] \
            == [401, 401, 200, 200]
        user(server.data, "delete", "alice")
        assert [status(server, c) for c in (("alice", "another one"), account["key"])] == [401, 401]
        refused(log_in(server, "alice", "another one"), 401)
        user(server.data, "show", "alice", check=1)


@test
def the_address_is_the_one_that_the_last_proxy_saw():
    with Server(config={"trusted_proxies": ["127.0.0.1", "192.0.2.200"]}) as server:
        manager = make_key(server.data, "keys,audit")["key"]
        for lines, told in ((["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
                            (["203.0.113.9", "198.51.100.2, 192.0.2.200"], "198.51.100.2"),
                            (["203.0.113.9, 198.51.100.3", "192.0.2.200"], "198.51.100.3"),
                            (["203.0.113.9", "junk"], "unknown")):
            words = [w for l in lines for w in ("-H", "X-Forwarded-For: " + l)]
            body = {"name": "n", "permissions": []}
            assert call(server, "POST", "/v2/keys", manager, body, *words).status == 201
            newest = call(server, "GET", "/v2/audit?limit=1", manager).json()["entries"][0]
            assert newest["from"] == told, (lines, newest)


@test
def a_username_registered_again_inherits_nothing():
    with Server(config={"registration": "open"}) as server:  # G2
        make_user(server.data, "ops", "account")
        manager = make_key(server.data, "keys,account")["key"]
        old = new_key(server, manager, owner="ops").json()
        user(server.data, "delete", "ops")
        again = call(server, "POST", "/v1/user", None, {"login": "ops", "password": PASSWORD})
        assert again.status == 201, again.body
        assert call(server, "GET", "/v2/keys", ("ops", PASSWORD)).json() == {"keys": []}
        assert status(server, old["key"]) == 401
        refused(new_key(server, manager, owner="ops"), 409, "owner_is_user")
        # the name of an owner whose keys live is not free to those who register, expired or not
        make_key(server.data, "account", "--owner", "build")
        run("key", "disable", make_key(server.data, "account", "--owner", "rest")["id"],
            data=server.data, check=0)
        for name in ("build", "rest"):
            refused(call(server, "POST", "/v1/user", None, {"login": name, "password": PASSWORD}), 409)
        # the command line may make such a user, and says whose keys come with it
        said = run("user", "create", "build", stdin=PASSWORD, data=server.data, check=0)[2]
        assert "1 key" in said and "build" in said, said
        last = json.loads(run("audit", "--limit", "1", "--json", data=server.data, check=0)[1])
        assert last["action"] == "user.create" and "keys owned: 1" in last["detail"], last


@test
def sessions_of_a_key_are_counted_and_bounded():
    # G4
    config = {"sessions_per_key": 3, "rate": {"per_second": 1, "burst": 100}}
    with Server(config=config) as server:
        key, other = (make_key(server.data, "services,account") for _ in range(2))
        pairs = [call(server, "POST", "/v1/auth/token", key["key"]).json() for _ in range(5)]
        kept = call(server, "POST", "/v1/auth/token", other["key"]).json()
        assert [status(server, p["access_token"]) for p in pairs] == [401, 401, 200, 200, 200]
        refused(refresh(server, pairs[1]["refresh_token"]), 401)
        assert refresh(server, pairs[2]["refresh_token"]).status == 200
        assert status(server, kept["access_token"]) == 200
        lines = [json.loads(l) for l in run("audit", "--json", data=server.data, check=0)[1].splitlines()]
        ended = [l for l in lines if l["action"] == "login.end"]
        assert [l["target"] for l in ended] == [payload(p["access_token"])["sid"] for p in pairs[:2]]
        assert all("oldest" in l["detail"] and l["who"] == "key " + key["id"] for l in ended), ended
    with Server(config={"rate": {"per_second": 1, "burst": 3}}) as server:
        key = make_key(server.data, "services,account")["key"]
        token = call(server, "POST", "/v1/auth/token", key).json()["access_token"]
        # a session has no bucket of its own
        assert call(server, "GET", "/v2/createsubtoken", token).status == 200
        assert call(server, "POST", "/v1/auth/token", key).status == 200
        slow = over_the_rate(lambda: call(server, "POST", "/v1/auth/token", key))
        assert int(slow.header("Retry-After")) >= 1, slow.body
        over_the_rate(lambda: call(server, "GET", "/v2/createsubtoken", token))


# ---- HTTP Basic, registered strings ----


@test
def one_callers_wrong_passwords_do_not_lock_others_out():
    """D5: behind a proxy that writes ports, brackets, or that it does not know."""
    with Server(config={"trusted_proxies": ["127.0.0.1"]}) as server:
        make_user(server.data)

        def attempt(address, name="alice", password=PASSWORD):
            return call(server, "POST", "/v1/auth/login", None, {"login": name, "password": password},
                        "-H", "X-Forwarded-For: " + address).status

        for wrong, seen, other in (("203.0.113.9:%d", "203.0.113.9", "198.51.100.4:80"),
                                   ("[2001:db8::1]:%d", "2001:db8::1", "[2001:db8:0:1::1]:443"),
                                   ("unknown, _%d", "unknown", "198.51.100.4")):
            tries = []
            while len(tries) < 300 and 429 not in tries:
                tries.append(attempt(wrong % len(tries), "nobody%d" % len(tries), "wrong password"))
            assert tries[:40] == [401] * 40 and tries[-1] == 429, tries
            # Nor those who come from the proxy itself.
            assert attempt(other) == 200 and log_in(server).status == 200, (wrong, other)
            slowed = [l for l in server.log_lines() if l.get("reason") == "login_throttled"]
            assert slowed[-1]["remote"] == seen, slowed[-1]
        # Nor do those who try one name the owner, who came from somewhere else before.
        tries = []
        while len(tries) < 100 and 429 not in tries:
            tries.append(attempt("203.0.113.77", password="wrong password"))
        assert tries[:10] == [401] * 10 and tries[-1] == 429, tries
        assert attempt("198.51.100.4") == 200


@test
def http_basic_works_where_a_key_does():
    with Server() as server:
        make_user(server.data, "al:ice".replace(":", "-"), "account,audit", "pass:word ü")
        who = ("al-ice", "pass:word ü")
        info = call(server, "GET", "/v2/tokeninfo?v=latest", who).json()
        assert info["name"] == "al-ice" and info["type"] == "APIKey"
        token = call(server, "GET", "/v2/createsubtoken?permissions=account,wallet", who).json()
        assert payload(token["subtoken"])["permissions"] == ["account"]
        assert status(server, token["subtoken"]) == 200
        bad = call(server, "GET", "/v2/tokeninfo", ("al-ice", "wrong"))
        refused(bad, 401)
        assert "Basic" not in bad.header("WWW-Authenticate")
        for value in ("Basic", "Basic !!!", "Basic YWxpY2U", "Basic YWxpY2U="):
            answer = curl(server.url + "/v2/tokeninfo", "-H", "Authorization: " + value)
            refused(answer, 401)
        key = make_key(server.data)["key"]
        both = call(server, "GET", "/v2/tokeninfo", who, None, "-H", "X-API-Key: " + key)
        refused(both, 400, "more than one")
        asked = curl(server.url + "/v2/authorize", "-u", "al-ice:pass:word ü",
                     "-H", "X-Original-URI: /x", "-H", "X-Original-Method: GET")
        assert asked.status == 200 and asked.header("X-Subtoken-Owner") == "al-ice"
        assert asked.header("X-Subtoken-Permissions") == "account,audit"
        log = server.log()
        assert "pass:word" not in log and base64.b64encode(b"al-ice:pass").decode()[:10] not in log


@test
def a_password_matches_in_any_unicode_form():
    """D12: what one keyboard sends as one character, another sends as two."""
    nfc, nfd = "p\u00e4ssw\u00f6rd ok", "pa\u0308sswo\u0308rd\u00a0ok"
    with Server() as server:
        make_user(server.data, password=nfc)
        make_user(server.data, "bob", password=nfd)
        for name in ("alice", "bob"):
            for password in (nfc, nfd):
                assert status(server, (name, password)) == 200, (name, password)
                assert log_in(server, name, password).status == 200, (name, password)
            assert status(server, (name, "passw\u00f6rd ok")) == 401
        # One that was stored by an earlier version: as it was typed, and then in any spelling.
        for name in ("alice", "bob"):
            (was,), = stores.execute(server.data, "SELECT password FROM users WHERE username = '%s'" % name)
            assert was.startswith("nfc:$argon2id$")
        stores.execute(server.data, "UPDATE users SET password = substr(password, 5) WHERE username = 'alice'")
        assert log_in(server, "alice", nfd).status == 401
        assert log_in(server, "alice", nfc).status == 200
        assert log_in(server, "alice", nfd).status == 200
        # Latin-1 is told apart in the log, and nowhere else.
        latin = base64.b64encode("alice:p\u00e4ssw\u00f6rd ok".encode("latin-1")).decode()
        a = call(server, "GET", "/v2/tokeninfo", None, None, "-H", "Authorization: Basic " + latin)
        refused(a, 401)
        wait(lambda: server.requests()[-1].get("reason") == "login_not_utf8", "the reason")


# ---- what an anonymous request may do, and what was done ----


@test
def what_anonymous_may_do_needs_no_credential():
    policy = os.path.join(scratch(), "policy.json")
    with open(policy, "w") as f:
        json.dump({"default": "deny", "routes": [{"path": "/rpc", "methods": ["POST"], "json_rpc": True},
                              {"path": "/free", "needs": ["database_api"]}, {"path": "/any"},
                              {"path": "/more", "needs": ["history_api"]}]}, f)
    with Server(config={"policy": policy}) as server:
        def ask(target, *args, method="GET"):
            return curl(server.url + "/v2/authorize", "-X", method, "-H", "X-Original-URI: " + target,
                        "-H", "X-Original-Method: " + method, *args)

        refused(ask("/free"), 401)
        user(server.data, "create", "*", "--permissions", "database_api")
        free = ask("/free")
        assert free.status == 200 and free.header("X-Subtoken-Sub") == ""
        assert free.header("X-Subtoken-Permissions") == "database_api"
        more = ask("/more")
        refused(more, 401)
        assert more.header("WWW-Authenticate") == "Bearer"
        refused(ask("/elsewhere"), 401)
        refused(ask("/any"), 401)
        refused(ask("/free", "-H", "Authorization: Bearer nobody"), 401)
        rpc = ["-H", "Content-Type: application/json", "-d"]
        def post(body, *args):
            return curl(server.url + "/v2/authorize/rpc", *args, *rpc, body)
        assert post('{"method":"call","params":[0,"get_objects",[]]}').status == 200
        refused(post('{"method":"call","params":["history","x",[]]}'), 401)
        refused(post('[{"method":"get_objects"},{"method":"call","params":["history","x",[]]}]'), 401)
        refused(post('{"method":'), 400)
        make_user(server.data, "node", "history_api")
        assert post('{"method":"call","params":["history","x",[]]}', "-u",
                    "node:" + PASSWORD).status == 200
        refused(post('{"method":"get_objects"}', "-u", "node:" + PASSWORD), 403, "database_api")
        user(server.data, "disable", "*")
        refused(ask("/free"), 401)
        user(server.data, "delete", "*")
        user(server.data, "create", "*", "--permissions", "history_api")
        assert ask("/more").status == 200
        user(server.data, "passwd", "*", stdin=PASSWORD, check=1)

main()
