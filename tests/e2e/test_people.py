"""People and programs (section 11): keys over HTTP, persons, logins, exchanges, HTTP Basic."""
import sqlite3

from support import *
from urllib.parse import urlencode

PASSWORD = "correct horse"
INVALID = {"text": "Invalid access token"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS, JWT = ("urn:ietf:params:oauth:token-type:" + t for t in ("access_token", "jwt"))
VENDOR = "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"


def make_user(data, login="alice", permissions="account,inventories", password=PASSWORD):
    run("user", "create", login, "--permissions", permissions, stdin=password + "\n", data=data,
        check=0)


def user(data, *args, **more):
    return run("user", *args, data=data, check=more.pop("check", 0), **more)


def call(server, method, path, credential=None, body=None, *args):
    """One call with curl: body is a dict for JSON; credential is Bearer text, or (login, password)."""
    words = ["-X", method, *args]
    if isinstance(credential, tuple):
        words += ["-u", ":".join(credential)]
    elif credential:
        words += bearer(credential)
    if body is not None:
        words += ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)]
    return curl(server.url + path, *words)


def login(server, name="alice", password=PASSWORD):
    return call(server, "POST", "/v1/auth/login", None, {"login": name, "password": password})


def refresh(server, token):
    return call(server, "POST", "/v1/auth/refresh", None, {"token": token})


def status(server, credential, path="/v2/tokeninfo"):
    return call(server, "GET", path, credential).status


def new_key(server, credential, permissions=("account",), **more):
    return call(server, "POST", "/v2/keys", credential,
                dict({"name": "n", "permissions": list(permissions)}, **more))


def exchange(server, *args, **parameters):
    asked = {"grant_type": EXCHANGE, "subject_token_type": ACCESS, **parameters}
    return curl(server.url + "/oauth/token", "--data",
                urlencode({n: v for n, v in asked.items() if v is not None}), *args)


def refused(answer, status, text=""):
    assert answer.status == status and text in answer.body, (answer.status, answer.body)
    if status == 401:
        assert answer.json() == INVALID and answer.header("WWW-Authenticate").startswith("Bearer")
    return True


# ---- keys -------------------------------------------------------------------


@test
def a_key_is_made_with_a_key_and_is_worth_no_more():
    with Server() as server:
        manager = make_key(server.data, "keys,account", "--expires", "2h", "--owner", "ops")
        made = new_key(server, manager["key"], name="Zoë \"x\"", expires="never", owner="bob")
        key = made.json()
        assert made.status == 201 and key["owner"] == "bob" and key["name"] == 'Zoë "x"', made.body
        assert key["expires_at"] == manager["expires_at"] and key["permissions"] == ["account"]
        assert status(server, key["key"]) == 200
        short = new_key(server, manager["key"], expires="1h", permissions=["account", "account"])
        assert short.json()["expires_at"] < manager["expires_at"]
        assert short.json()["owner"] == "ops" and short.json()["permissions"] == ["account"]
        refused(new_key(server, manager["key"], ["account", "wallet"]), 403, "permissions")
        refused(new_key(server, make_key(server.data, "account")["key"]), 403, "requires scope keys")
        derived = issue(server.data, manager["key"], "--permissions", "keys,account")
        refused(new_key(server, derived), 403, "derived")
        refused(new_key(server, None), 401)
        for body, named in (({"permissions": []}, "name"), ({"name": "x"}, "permissions"),
                            ({"name": 1, "permissions": []}, "name"),
                            ({"name": "x", "permissions": "account"}, "permissions"),
                            ({"name": "x", "permissions": ["a b"]}, "permissions"),
                            ({"name": "x" * 257, "permissions": []}, "name"),
                            ({"name": "x", "permissions": [], "expires": "30"}, "expires"),
                            ({"name": "x", "permissions": [], "expires": "0d"}, "expires"),
                            ({"name": "x", "permissions": [], "owner": "o" * 257}, "owner")):
            refused(call(server, "POST", "/v2/keys", manager["key"], body), 400, named)
        refused(curl(server.url + "/v2/keys", *bearer(manager["key"]), "-d", "name=x"), 415)
        assert key["key"] not in server.log() and "escalation" in server.log()


@test
def keys_are_listed_page_by_page_and_never_shown():
    with Server() as server:
        manager = make_key(server.data, "keys,account")["key"]
        mine = [new_key(server, manager, name="n%d" % i, owner="o%d" % (i % 2)).json()
                for i in range(7)]
        ids, after = [], ""
        while after is not None:
            page = call(server, "GET", "/v2/keys?limit=3&after=" + after, manager).json()
            assert len(page["keys"]) <= 3
            ids += [k["id"] for k in page["keys"]]
            after = page.get("next")
        assert ids == sorted(ids) and len(set(ids)) == 8 and {k["id"] for k in mine} < set(ids)
        text = call(server, "GET", "/v2/keys", manager).body
        assert all(k["key"] not in text for k in mine) and "digest" not in text
        found = call(server, "GET", "/v2/keys?sub=" + mine[0]["sub"], manager).json()["keys"]
        assert [k["id"] for k in found] == [mine[0]["id"]]
        one = call(server, "GET", "/v2/keys/" + mine[0]["id"], manager).json()
        assert one == found[0] and one["last_used_at"] is None and one["state"] == "active"
        assert call(server, "GET", "/v2/keys?sub=" + "x" * 43, manager).json() == {"keys": []}
        for query in ("limit=0", "limit=101", "limit=x", "limit=", "after=%", "limit=1&limit=2"):
            expected = 200 if query == "limit=" else 400
            assert call(server, "GET", "/v2/keys?" + query, manager).status == expected, query
        renamed = call(server, "PATCH", "/v2/keys/" + mine[0]["id"], manager, {"name": "other"})
        assert renamed.status == 200 and renamed.json()["name"] == "other"
        for body in ({"name": "x", "disabled": True}, {}, {"name": None}, {"disabled": "no"}):
            refused(call(server, "PATCH", "/v2/keys/" + mine[0]["id"], manager, body), 400)
        refused(call(server, "GET", "/v2/keys/" + "0" * 36, manager), 404)


@test
def a_person_manages_their_own_keys_alone():
    with Server() as server:
        make_user(server.data)
        make_user(server.data, "bob", "account")
        others = make_key(server.data, "account,wallet", "--owner", "bob")
        token = login(server).json()["access_token"]
        for credential in (token, ("alice", PASSWORD)):
            made = new_key(server, credential, ["account"], expires="never")
            assert made.status == 201 and made.json()["owner"] == "alice", made.body
            assert made.json()["expires_at"] is None
            refused(new_key(server, credential, ["wallet"]), 403, "permissions")
            refused(new_key(server, credential, ["account"], owner="bob"), 403, "keys")
            assert call(server, "DELETE", "/v2/keys/" + others["id"], credential).status == 404
            refused(call(server, "PATCH", "/v2/keys/" + others["id"], credential,
                         {"disabled": True}), 404)
        listed = call(server, "GET", "/v2/keys", token).json()["keys"]
        assert len(listed) == 2 and all(k["owner"] == "alice" for k in listed)
        assert call(server, "GET", "/v2/keys?sub=" + others["sub"], token).json() == {"keys": []}
        assert call(server, "DELETE", "/v2/keys/" + listed[0]["id"], token).status == 204
        # A key that somebody gave with more than the person has, and took back.
        given = make_key(server.data, "wallet", "--owner", "alice")
        run("key", "disable", given["id"], data=server.data, check=0)
        refused(call(server, "PATCH", "/v2/keys/" + given["id"], token, {"disabled": False}), 403)
        derived = issue(server.data, token, "--permissions", "account")
        refused(call(server, "GET", "/v2/keys", derived), 403, "derived")


# ---- persons and logins -------------------------------------------------------


@test
def login_refresh_logout():
    with Server(config={"access_life": "2m"}) as server:
        make_user(server.data, permissions="account,inventories")
        answer = login(server)
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
        # derived ones carry no sid, and end with the login
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
        pair = login(server).json()
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
        with sqlite3.connect(os.path.join(data, "subtoken.db")) as db:
            assert db.execute("UPDATE refresh SET used_at = used_at - ? WHERE used_at IS NOT NULL",
                              (seconds,)).rowcount == 1
        db.close()

    for setting, within, after in (({}, 25, 10), ({"refresh_retry": "1m"}, 50, 15),
                                   ({"refresh_retry": 5}, 2, 5)):
        with Server(config=setting) as server:
            make_user(server.data)
            first = login(server).json()["refresh_token"]
            second = refresh(server, first).json()["refresh_token"]
            used_earlier(server.data, within)
            again = refresh(server, first)
            assert again.status == 200 and again.json()["refresh_token"] == second, setting
            used_earlier(server.data, after)
            refused(refresh(server, first), 401)
            refused(refresh(server, second), 401)
            assert "refresh_reused" in server.log()
    with Server(config={"refresh_retry": 0}) as server:
        make_user(server.data)
        first = login(server).json()["refresh_token"]
        second = refresh(server, first).json()["refresh_token"]
        refused(refresh(server, first), 401)
        refused(refresh(server, second), 401)


@test
def logins_that_are_refused():
    with Server() as server:
        make_user(server.data)
        make_user(server.data, "off")
        user(server.data, "disable", "off")
        key = make_key(server.data, "account,services")["key"]
        for name, password in (("alice", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD),
                               ("*", PASSWORD), ("alice", ""), ("", PASSWORD), ("alice", "x" * 2000)):
            assert login(server, name, password).status in (400, 401), (name, password)
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
        pair = login(server).json()
        refused(call(server, "GET", "/v2/tokeninfo", pair["refresh_token"]), 401)
        assert call(server, "GET", "/v1/auth/login").status == 405
        # slowed per login, right passwords too, and nobody else
        answers = [login(server, "alice", "wrong") for _ in range(12)]
        assert answers[-1].status == 429 and int(answers[-1].header("Retry-After")) >= 1
        assert login(server).status == 429
        assert status(server, ("alice", PASSWORD)) == 429
        make_user(server.data, "bob")
        assert login(server, "bob").status == 200
        assert "login_failed" in server.log() and PASSWORD not in server.log()


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
def persons_are_made_by_those_who_may():
    with Server() as server:
        admin = make_key(server.data, "users,account")["key"]
        body = {"login": "carol", "password": PASSWORD, "locale": "de", "source": "test",
                "permissions": ["account"]}
        made = call(server, "POST", "/v1/user", admin, body)
        assert made.status == 201 and made.json()["login"] == "carol", made.body
        assert login(server, "carol").status == 200
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
def where_registration_is_open_nobodys_leave_is_needed():
    with Server(config={"registration": "open"}) as server:
        owned = make_key(server.data, "account", "--owner", "owner")
        body = {"login": "dave", "password": PASSWORD}
        made = call(server, "POST", "/v1/user", None, body)
        assert made.status == 201 and made.json()["permissions"] == [], made.body
        assert payload(login(server, "dave").json()["access_token"])["permissions"] == []
        refused(call(server, "POST", "/v1/user", None, body), 409)
        refused(call(server, "POST", "/v1/user", None, {"login": "owner", "password": PASSWORD}), 409)
        refused(call(server, "POST", "/v1/user", None,
                     dict(body, login="eve", permissions=["account"])), 403)
        token = login(server, "dave").json()["access_token"]
        refused(new_key(server, token, ["account"]), 403)
        assert new_key(server, token, []).status == 201
        assert call(server, "GET", "/v2/keys/" + owned["id"], token).status == 404


@test
def what_a_person_loses_ends_at_once():
    with Server() as server:
        make_user(server.data, permissions="account,wallet,keys")
        pair = login(server).json()
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
        pair = login(server).json()
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
        user(server.data, "enable", "alice")
        assert [status(server, c) for c in (more["access_token"], account["key"],
                                            ("alice", PASSWORD))] == [401, 200, 200]
        # another password
        pair = login(server).json()
        user(server.data, "passwd", "alice", stdin="another one\n")
        assert [status(server, c) for c in (pair["access_token"], ("alice", PASSWORD),
                                            ("alice", "another one"), account["key"])] \
            == [401, 401, 200, 200]
        user(server.data, "delete", "alice")
        assert [status(server, c) for c in (("alice", "another one"), account["key"])] == [401, 401]
        refused(login(server, "alice", "another one"), 401)
        user(server.data, "show", "alice", check=1)


@test
def a_login_that_owns_keys_is_no_way_to_them():
    with Server() as server:
        owned = make_key(server.data, "account", "--owner", "ops")
        maker = make_key(server.data, "users,account")["key"]
        body = {"login": "ops", "password": PASSWORD}
        # who makes persons and manages no keys would manage these through the person
        refused(call(server, "POST", "/v1/user", maker, body), 409)
        assert login(server, "ops").status == 401 and status(server, owned["key"]) == 200
        both = make_key(server.data, "users,keys")["key"]
        assert call(server, "POST", "/v1/user", both, body).status == 201
        assert call(server, "GET", "/v2/keys/" + owned["id"], ("ops", PASSWORD)).status == 200


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
def a_key_for_an_owner_who_registered_has_to_be_meant():
    # G2: registration is open, so anybody may have chosen the name of the owner.
    with Server(config={"registration": "open"}) as server:
        call(server, "POST", "/v1/user", None, {"login": "ops", "password": PASSWORD})
        shown = json.loads(user(server.data, "show", "ops", "--json")[1])
        assert shown["registered"] is True, shown
        manager = make_key(server.data, "keys,users,account")["key"]
        _, _, said = run("key", "create", "--name", "n", "--permissions", "account", "--owner",
                         "ops", data=server.data, check=1)
        assert "--owner-user" in said, said
        refused(new_key(server, manager, owner="ops"), 409, "owner_is_user")
        refused(new_key(server, manager, owner="ops", owner_is_user=False), 409, "owner_is_user")
        refused(new_key(server, manager, owner="nobody", owner_is_user=True), 409, "owner")
        refused(new_key(server, manager, owner="ops", owner_is_user="yes"), 400, "owner_is_user")
        assert call(server, "GET", "/v2/keys", ("ops", PASSWORD)).json() == {"keys": []}
        meant = new_key(server, manager, owner="ops", owner_is_user=True)
        assert meant.status == 201, meant.body
        make_key(server.data, "account", "--owner", "ops", "--owner-user")
        # a key of the user's is not the user, and nothing is said by leaving the owner out
        his = make_key(server.data, "keys,account", "--owner", "ops", "--owner-user")["key"]
        refused(new_key(server, his), 409, "owner_is_user")
        # he makes his own without a word
        assert new_key(server, ("ops", PASSWORD), []).status == 201
        run("key", "create", "--name", "n", "--permissions", "", "--owner", "nobody", "--owner-user",
            data=server.data, check=1)
        run("key", "create", "--name", "n", "--permissions", "", "--owner-user", data=server.data,
            check=2)
        # whom an administrator or the command line made is known
        call(server, "POST", "/v1/user", manager, {"login": "bob", "password": PASSWORD})
        make_user(server.data, "carl")
        assert new_key(server, manager, owner="bob").status == 201
        assert new_key(server, manager, owner="carl").status == 201


@test
def a_login_registered_again_has_nothing_of_the_one_before():
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
def an_owner_enables_what_he_disabled_himself():
    with Server() as server:  # G5
        make_user(server.data)
        manager = make_key(server.data, "keys")["key"]
        key = make_key(server.data, "account", "--owner", "alice")
        path = "/v2/keys/" + key["id"]
        alice = ("alice", PASSWORD)

        def patch(credential, disabled):
            return call(server, "PATCH", path, credential, {"disabled": disabled})

        def others():
            yield lambda on: run("key", "enable" if on else "disable", key["id"], data=server.data,
                                 check=0)
            yield lambda on: patch(manager, not on)

        off = patch(alice, True)
        assert off.status == 200 and off.json()["disabled_by"] == "owner", off.body
        assert patch(alice, False).status == 200 and status(server, key["key"]) == 200
        for other in others():
            other(False)
            assert call(server, "GET", path, alice).json()["disabled_by"] == "administrator"
            token = login(server).json()["access_token"]
            for credential in (alice, token):
                refused(patch(credential, False), 403, "an administrator disabled this key")
            # disabling it once more does not make it his
            assert patch(alice, True).json()["disabled_by"] == "administrator"
            refused(patch(alice, False), 403, "administrator")
            assert call(server, "POST", path + "/revoke-subtokens", alice).status == 204
            refused(patch(alice, False), 403, "administrator")
            # nor does the user's own coming back
            user(server.data, "disable", "alice")
            user(server.data, "enable", "alice")
            refused(patch(alice, False), 403, "administrator")
            assert status(server, key["key"]) == 401
            other(True)
            assert status(server, key["key"]) == 200
            # what he disabled first becomes the other's
            patch(alice, True)
            other(False)
            refused(patch(alice, False), 403, "administrator")
            other(True)
        # the other way round everybody may
        patch(alice, True)
        assert patch(manager, False).status == 200
        patch(alice, True)
        run("key", "enable", key["id"], data=server.data, check=0)
        assert status(server, key["key"]) == 200


@test
def what_was_made_for_others_lives_on_and_is_told():
    # G3
    with Server() as server:
        make_user(server.data, "root", "keys,users,account,audit")
        root = login(server, "root").json()["access_token"]
        own = new_key(server, root, ["keys", "account"]).json()
        orphan = new_key(server, root, owner="", name="orphan").json()
        other = new_key(server, own["key"], owner="bob").json()
        call(server, "POST", "/v1/user", root, {"login": "eve", "password": PASSWORD})
        eves = new_key(server, ("eve", PASSWORD), []).json()
        made = [orphan, other, eves]

        def keys_of(listed):
            return {i["key"] for i in listed["list"] if "key" in i}

        # a key that is disabled or deleted, by whom manages all
        manager = make_key(server.data, "keys,account")["key"]
        hers = new_key(server, manager, ["keys", "account"], owner="x").json()
        third = new_key(server, hers["key"], owner="y").json()
        off = call(server, "PATCH", "/v2/keys/" + hers["id"], manager, {"disabled": True}).json()
        assert off["made"] == {"keys": 1, "users": 0, "ended": False, "list": [{"key": third["id"]}]}
        assert "made" not in call(server, "PATCH", "/v2/keys/" + hers["id"], manager,
                                  {"disabled": False}).json()
        gone = call(server, "DELETE", "/v2/keys/" + hers["id"], manager)
        assert gone.status == 204 and gone.header("Subtoken-Made") == "keys=1,users=0"
        assert status(server, third["key"]) == 200

        said = json.loads(user(server.data, "permissions", "root", "account,audit", "--json")[1])
        assert (said["made"]["keys"], said["made"]["users"], said["made"]["ended"]) == (3, 1, False), said
        assert keys_of(said["made"]) == {k["id"] for k in made} and {"user": "eve"} in said["made"]["list"]
        assert status(server, own["key"]) == 401
        assert [status(server, k["key"]) for k in made] == [200] * 3
        line = json.loads(run("audit", "--limit", "1", "--json", data=server.data, check=0)[1])
        assert line["action"] == "user.permissions", line
        assert all(k["id"] in line["detail"] for k in made) and '"eve"' in line["detail"], line
        # once more, and all of it ends
        text = user(server.data, "permissions", "root", "account,audit", "--and-made")[1]
        assert "ended too: 3 keys, 1 user" in text and "eve" in text and orphan["id"] in text, text
        assert [status(server, k["key"]) for k in made] == [401] * 3
        assert status(server, ("eve", PASSWORD)) == 401
        user(server.data, "show", "eve", check=1)
        assert status(server, manager) == status(server, third["key"]) == 200
        assert user(server.data, "permissions", "root", "account")[1] == ""

        # the other commands
        make_user(server.data, "boss", "keys,users,account")
        for words, alive in ((["user", "disable", "boss"], True), (["user", "enable", "boss"], None),
                             (["user", "disable", "boss", "--and-made"], False),
                             (["user", "enable", "boss"], None),
                             (["user", "delete", "boss", "--and-made"], False)):
            key = new_key(server, ("boss", PASSWORD), owner="") if words[1] != "enable" else None
            out = run(*words, data=server.data, check=0)[1]
            if key is not None:
                assert ("still valid" in out) == alive and ("ended too" in out) != alive, (words, out)
                assert key.json()["id"] in out, (words, out)
                assert status(server, key.json()["key"]) == (200 if alive else 401), words
        for words, alive in ((["disable"], True), (["delete"], True), (["disable", "--and-made"], False),
                             (["delete", "--and-made"], False)):
            maker = make_key(server.data, "keys,account")
            key = new_key(server, maker["key"], owner="").json()
            out = run("key", words[0], maker["id"], *words[1:], data=server.data, check=0)[1]
            assert key["id"] in out and ("--and-made" in out) == alive, (words, out)
            assert status(server, key["key"]) == (200 if alive else 401), words
        run("key", "enable", maker["id"], "--and-made", data=server.data, check=2)


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
        slow = call(server, "POST", "/v1/auth/token", key)
        assert slow.status == 429 and int(slow.header("Retry-After")) >= 1, slow.body
        assert call(server, "GET", "/v2/createsubtoken", token).status == 429


# ---- HTTP Basic, registered strings ----------------------------------------------


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
            assert attempt(other) == 200 and login(server).status == 200, (wrong, other)
            slowed = [l for l in server.log_lines() if l.get("reason") == "login_throttled"]
            assert slowed[-1]["remote"] == seen, slowed[-1]


@test
def http_basic_where_a_key_is():
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
def a_password_in_any_spelling():
    """D12: what one keyboard sends as one character, another sends as two."""
    nfc, nfd = "p\u00e4ssw\u00f6rd ok", "pa\u0308sswo\u0308rd\u00a0ok"
    with Server() as server:
        make_user(server.data, password=nfc)
        make_user(server.data, "bob", password=nfd)
        for name in ("alice", "bob"):
            for password in (nfc, nfd):
                assert status(server, (name, password)) == 200, (name, password)
                assert login(server, name, password).status == 200, (name, password)
            assert status(server, (name, "passw\u00f6rd ok")) == 401
        # One that was stored by an earlier version: as it was typed, and then in any spelling.
        with sqlite3.connect(os.path.join(server.data, "subtoken.db")) as db:
            for name in ("alice", "bob"):
                was, = db.execute("SELECT password FROM persons WHERE login = ?", (name,)).fetchone()
                assert was.startswith("nfc:$argon2id$")
            db.execute("UPDATE persons SET password = substr(password, 5) WHERE login = 'alice'")
        db.close()
        assert login(server, "alice", nfd).status == 401
        assert login(server, "alice", nfc).status == 200
        assert login(server, "alice", nfd).status == 200
        # Latin-1 is told apart in the log, and nowhere else.
        latin = base64.b64encode("alice:p\u00e4ssw\u00f6rd ok".encode("latin-1")).decode()
        a = call(server, "GET", "/v2/tokeninfo", None, None, "-H", "Authorization: Basic " + latin)
        refused(a, 401)
        assert [l.get("reason") for l in server.log_lines() if l["event"] == "request"][-1] == "login_not_utf8"


@test
def strings_registered_by_their_hash():
    with Server() as server:
        admin = make_key(server.data, "keys")["key"]
        text = "my-old-api-key-0001"
        hashed = call(server, "POST", "/utils/hash/secure", admin, {"text": text}).json()["hash"]
        assert run("key", "hash", stdin=text + "\n", check=0)[1].strip() == hashed
        assert text not in hashed and len(hashed) == 43
        made = run("key", "create", "--name", "old", "--permissions", "account", "--hash", hashed,
                   "--json", data=server.data, check=0)[1]
        assert "key" not in json.loads(made)
        key = curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + text)
        assert key.status == 200 and key.json()["name"] == "old"
        assert status(server, text) == 401
        refused(curl(server.url + "/v2/tokeninfo?access_token=" + text), 401)
        assert curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + text, *bearer(text)).status == 401
        refused(curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + text + "x"), 401)
        refused(curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + hashed), 401)
        for wrong in ("short", "x" * 300, "has a space in it....", admin, "a" * 20 + ".b.c"):
            refused(call(server, "POST", "/utils/hash/secure", admin, {"text": wrong}), 400, "text")
        refused(call(server, "POST", "/utils/hash/secure", make_key(server.data)["key"],
                     {"text": text}), 403, "keys")
        run("key", "create", "--name", "again", "--permissions", "", "--hash", hashed,
            data=server.data, check=1)
        run("key", "create", "--name", "bad", "--permissions", "", "--hash", "x", data=server.data,
            check=2)


# ---- exchanges ---------------------------------------------------------------------


@test
def rfc_8693():
    with Server(config={"access_life": "5m"}) as server:
        key = make_key(server.data, "account,wallet")
        made = exchange(server, subject_token=key["key"])
        answer = made.json()
        assert made.status == 200 and answer["token_type"] == "Bearer", made.body
        assert answer["issued_token_type"] == ACCESS and answer["scope"] == "account wallet"
        assert answer["expires_in"] == 300 and made.header("Cache-Control") == "no-store"
        claims = payload(answer["access_token"])
        assert claims["sub"] == key["sub"] and claims["exp"] - claims["iat"] == 300
        assert status(server, answer["access_token"]) == 200
        less = exchange(server, subject_token=key["key"], scope="wallet",
                        requested_token_type=JWT).json()
        assert less["scope"] == "wallet" and less["issued_token_type"] == JWT
        narrow = issue(server.data, key["key"], "--permissions", "account", "--urls",
                       "/v2/account,/oauth/token")
        kept = exchange(server, "-u", "client:secret", subject_token=narrow, subject_token_type=JWT)
        assert payload(kept.json()["access_token"])["urls"] == ["/v2/account", "/oauth/token"]
        closed = issue(server.data, key["key"], "--urls", "/v2/account")
        for error, parameters in (
                ("invalid_request", {}), ("invalid_request", {"subject_token": closed}),
                ("invalid_request", {"subject_token": "nobody"}),
                ("invalid_request", {"subject_token": key["key"], "subject_token_type": None}),
                ("invalid_request", {"subject_token": key["key"], "subject_token_type": "x"}),
                ("invalid_request", {"subject_token": key["key"], "actor_token": "x"}),
                ("invalid_request", {"subject_token": key["key"], "requested_token_type": "x"}),
                ("invalid_request", {"subject_token": key["key"], "grant_type": None}),
                ("unsupported_grant_type", {"subject_token": key["key"], "grant_type": "password"}),
                ("invalid_target", {"subject_token": key["key"], "resource": "https://x"}),
                ("invalid_target", {"subject_token": key["key"], "audience": "x"}),
                ("invalid_scope", {"subject_token": key["key"], "scope": "guilds"}),
                ("invalid_scope", {"subject_token": key["key"], "scope": 'a"b'})):
            bad = exchange(server, **parameters)
            assert (bad.status, bad.json()["error"]) == (400, error), (parameters, bad.body)
        run("key", "delete", key["id"], data=server.data, check=0)
        for token in (answer["access_token"], less["access_token"]):
            assert status(server, token) == 401


@test
def exchanges_are_counted_where_a_rate_is_set():
    with Server(config={"rate": {"per_second": 1, "burst": 3}}) as server:
        key = make_key(server.data)["key"]
        made = [exchange(server, subject_token=key).status,
                curl(server.url + VENDOR, "-X", "POST", *bearer(key)).status,
                call(server, "GET", "/v2/createsubtoken", key).status]
        assert made == [200] * 3
        refused(exchange(server, subject_token=key), 429, "temporarily_unavailable")
        slow = curl(server.url + VENDOR, "-X", "POST", *bearer(key))
        assert slow.status == 429 and int(slow.header("Retry-After")) >= 1


@test
def the_vendors_own_path():
    with Server(config={"access_life": "5m"}) as server:
        key = make_key(server.data, "account,wallet")
        for path, args in ((VENDOR, ()), (VENDOR + "/", ("-d", "")),
                           (VENDOR, ("-H", "Content-Type: application/json", "-d", "{}"))):
            made = curl(server.url + path, "-X", "POST", *bearer(key["key"]), *args)
            assert made.status == 200 and set(made.json()) == {"RawToken", "LifeTime"}, made.body
            claims = payload(made.json()["RawToken"])
            assert claims["permissions"] == ["account", "wallet"] and claims["sub"] == key["sub"]
            assert made.json()["LifeTime"] == time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                            time.gmtime(claims["exp"]))
            assert claims["exp"] - claims["iat"] == 300
        refused(curl(server.url + VENDOR, "-X", "POST"), 401)
        refused(curl(server.url + VENDOR, *bearer(key["key"]), "-H",
                     "Content-Type: application/json", "-d", "[]"), 400)
        assert curl(server.url + VENDOR, *bearer(key["key"])).status == 405
        token = made.json()["RawToken"]
        for step, expected in (("disable", 401), ("enable", 200), ("delete", 401)):
            run("key", step, key["id"], data=server.data, check=0)
            assert status(server, token) == status(server, key["key"]) == expected


# ---- what anyone may do, and what was done -------------------------------------------


@test
def what_anyone_may_do_needs_no_credential():
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


EXAMPLE = {"password_hash_b64": "9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY=",
           "password_salt_b64": "INDdM6iCi/8="}
ANYONE = {"password_hash_b64": "*", "password_salt_b64": "*"}


def access_file(*users):
    path = os.path.join(scratch(), "api-access.json")
    with open(path, "w") as f:
        json.dump({"permission_map": [[name, dict(hashes, allowed_apis=apis)]
                                      for name, hashes, apis in users]}, f, indent=1)
    return path


def imported(data, path, *args, check=0):
    code, out, err = run("import", path, *args, data=data, check=check)
    return (out if code == 0 else err).strip()


def summary(data, path, *args):
    return imported(data, path, *args).splitlines()[-1]


def import_plan(data, path, *args):
    """What an import says of each user: the same with --dry-run as when it is done."""
    text = imported(data, path, *args, "--dry-run")
    dry = imported(data, path, "--json", "--dry-run", *args)
    assert dry == imported(data, path, "--json", *args), "the dry run has said something else"
    lines = [json.loads(l) for l in dry.splitlines()]
    assert [l["does"] for l in lines[:-1]] == [l.split()[0] for l in text.splitlines()[:-1]]
    return {l.pop("login"): l for l in lines[:-1]}, lines[-1]


@test
def importing_again_changes_only_what_is_asked_for():
    # G1
    salted = lambda password: json.loads(run("saltpass", stdin=password + "\n", check=0)[1])
    with Server() as server:
        data = server.data
        apis = ["database_api", "history_api"]
        hashes = {name: salted("password of " + name) for name in "abcdef"}
        path = access_file(*[(name, hashes[name], apis) for name in "abcdef"])
        assert summary(data, path) == "6 created, 0 changed, 0 unchanged"
        user(data, "delete", "a")
        user(data, "permissions", "b", "history_api")
        user(data, "passwd", "c", stdin="set here by c\n")
        user(data, "disable", "d")
        new = {name: salted("another of " + name) for name in "ce"}

        # without a word nothing comes back, and nobody gets anything again
        told, total = import_plan(data, path)
        assert told == {"a": {"does": "deleted", "permissions": apis},
                        "b": {"does": "differs", "adds": ["database_api"], "removes": []},
                        "c": {"does": "unchanged", "password": "kept"},
                        "d": {"does": "unchanged", "disabled": True},
                        "e": {"does": "unchanged"}, "f": {"does": "unchanged"}}, told
        assert (total["differs"], total["deleted"], total["unchanged"]) == (1, 1, 4), total
        user(data, "show", "a", check=1)
        refused(login(server, "a", "password of a"), 401)
        shown = lambda name: json.loads(user(data, "show", name, "--json")[1])
        assert shown("b")["permissions"] == ["history_api"]
        assert login(server, "c", "set here by c").status == 200
        refused(login(server, "c", "password of c"), 401)

        # the file has other things now, and f no longer
        other = access_file(("a", hashes["a"], apis), ("b", hashes["b"], apis), ("c", new["c"], apis),
                            ("d", hashes["d"], []), ("e", new["e"], apis), ("g", hashes["a"], apis))
        pair = login(server, "e", "password of e").json()
        told, total = import_plan(data, other)
        assert told == {"a": {"does": "deleted", "permissions": apis},
                        "b": {"does": "differs", "adds": ["database_api"], "removes": []},
                        "c": {"does": "differs", "adds": [], "removes": [], "password": "replaces"},
                        "d": {"does": "differs", "adds": [], "removes": apis, "disabled": True},
                        "e": {"does": "differs", "adds": [], "removes": [], "password": "new"},
                        "f": {"does": "missing"},
                        "g": {"does": "create", "permissions": apis}}, told
        assert status(server, pair["access_token"]) == 200
        assert login(server, "c", "set here by c").status == 200

        # told to change: those who are there, as the file has them
        told, total = import_plan(data, other, "--update")
        assert {n: t["does"] for n, t in told.items()} == {
            "a": "deleted", "b": "change", "c": "change", "d": "change", "e": "change",
            "f": "missing", "g": "unchanged"}, told
        assert told["c"]["password"] == "replaces" and told["e"]["password"] == "new"
        assert (total["changed"], total["deleted"], total["missing"]) == (4, 1, 1), total
        assert shown("b")["permissions"] == apis
        assert login(server, "c", "another of c").status == 200
        refused(login(server, "c", "set here by c"), 401)
        assert status(server, pair["access_token"]) == 401
        assert shown("d")["permissions"] == [] and shown("d")["disabled"] is True
        user(data, "show", "a", check=1)
        assert login(server, "f", "password of f").status == 200  # missing: stays as he is

        # a password that was set here since, and that the file has not changed: stays
        user(data, "passwd", "c", stdin="set here again\n")
        user(data, "permissions", "c", "history_api")
        told, _ = import_plan(data, other, "--update")
        assert told["c"] == {"does": "change", "adds": ["database_api"], "removes": [],
                             "password": "kept"}, told
        assert login(server, "c", "set here again").status == 200

        # told to bring back: those who were deleted, and nobody else is touched
        user(data, "permissions", "b", "history_api")
        told, total = import_plan(data, other, "--restore")
        assert told["a"] == {"does": "restore", "permissions": apis} and total["restored"] == 1, told
        assert told["b"]["does"] == "differs" and shown("b")["permissions"] == ["history_api"]
        assert login(server, "a", "password of a").status == 200
        # `*`, too
        stars = access_file(*[(name, hashes[name], apis) for name in "abdf"], ("*", ANYONE, apis))
        imported(data, stars)
        user(data, "delete", "*")
        assert import_plan(data, stars)[0]["*"]["does"] == "deleted"
        user(data, "show", "*", check=1)
        assert import_plan(data, stars, "--restore")[0]["*"]["does"] == "restore"
        user(data, "show", "*")


@test
def an_import_over_a_squatted_name_is_refused():
    with Server(config={"registration": "open"}) as server:  # G2
        call(server, "POST", "/v1/user", None, {"login": "bytemaster", "password": PASSWORD})
        path = access_file(("new", EXAMPLE, []), ("bytemaster", EXAMPLE, ["database_api"]))
        for args in ((), ("--update",), ("--update", "--restore"), ("--dry-run",)):
            said = imported(server.data, path, *args, check=1)
            assert "bytemaster who was not imported" in said, said
        user(server.data, "show", "new", check=1)
        # one who was imported, deleted, and registered by somebody else
        user(server.data, "delete", "bytemaster")
        imported(server.data, path, "--restore")
        user(server.data, "delete", "bytemaster")
        assert call(server, "POST", "/v1/user", None,
                    {"login": "bytemaster", "password": PASSWORD}).status == 201
        assert "not imported" in imported(server.data, path, "--update", "--restore", check=1)
        # keys with that owner are the new user's: it is said
        make_key(server.data, "account", "--owner", "builder")
        said = imported(server.data, access_file(("builder", EXAMPLE, [])))
        assert "there are keys with this owner" in said, said


@test
def an_access_file_moves_in():
    with Server() as server:
        apis = ["database_api", "history_api"]
        path = access_file(("bytemaster", EXAMPLE, apis), ("*", ANYONE, ["database_api"]))
        plan = imported(server.data, path, "--dry-run")
        assert plan == "create     bytemaster  database_api,history_api\ncreate     *  database_api\n" \
            "2 created, 0 changed, 0 unchanged (dry run: nothing was done)", plan
        assert user(server.data, "list", "--json")[1].strip() in ("[]", "[\n]")
        assert imported(server.data, path) + " (dry run: nothing was done)" == plan
        assert summary(server.data, path) == "0 created, 0 changed, 2 unchanged"
        refused(login(server, "bytemaster", "supersecreT"), 401)
        first = login(server, "bytemaster", "supersecret").json()  # now it is kept as a plain Argon2id
        assert payload(first["access_token"])["permissions"] == apis
        assert status(server, ("bytemaster", "supersecret")) == 200
        assert login(server, "bytemaster", "supersecret").status == 200
        assert summary(server.data, path) == "0 created, 0 changed, 2 unchanged"
        assert status(server, first["access_token"]) == 200, "nothing ended"
        # other permissions, and another password
        less = access_file(("bytemaster", EXAMPLE, ["database_api"]))
        assert "0 created, 1 changed, 0 unchanged" in summary(server.data, less, "--update")
        assert status(server, first["access_token"]) == 401
        salted = json.loads(run("saltpass", stdin="another one\n", check=0)[1])
        again = access_file(("bytemaster", salted, ["database_api"]))
        assert "0 created, 1 changed, 0 unchanged" in summary(server.data, again, "--update")
        assert status(server, ("bytemaster", "supersecret")) == 401
        assert status(server, ("bytemaster", "another one")) == 200
        # all or none
        make_user(server.data, "own")
        for users, named in ((("x", EXAMPLE, ["a b"]), "x"), (("x", ANYONE, []), "x"),
                             (("*", EXAMPLE, []), "*"), (("own", EXAMPLE, []), "own"),
                             (("x", dict(EXAMPLE, password_salt_b64="?"), []), "x"),
                             (("a:b", EXAMPLE, []), "a:b")):
            bad = access_file(("new", EXAMPLE, []), users)
            for args in ((), ("--dry-run",)):
                assert named in imported(server.data, bad, *args, check=1), named
        user(server.data, "show", "new", check=1)
        for text in ("", "{}", '{"permission_map":1}', "[", '{"permission_map":[["x"]]}'):
            with open(path, "w") as f:
                f.write(text)
            assert path in imported(server.data, path, check=1), text
        assert "supersecret" not in server.log()


@test
def every_change_is_in_the_audit_log():
    with Server() as server:
        make_user(server.data, "root", "keys,users,audit,account")
        pair = login(server, "root").json()
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
        assert [e["id"] for e in pages] == [l["id"] for l in lines][::-1]
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
def the_ring_and_odd_logins_in_the_audit_log():
    data = data_dir()
    forged = "eve  by key 0 from 192.0.2.1"
    make_user(data, forged, "")
    for words in (("add", "--kid", "a"), ("promote", "a"), ("rotate", "--kid", "b"),
                  ("retire", "a", "--force"), ("retire", "-", "--force")):
        run("secret", *words, data=data, check=0)
    run("secret", "retire", "b", data=data, check=1)  # it signs: nothing was changed
    lines = [json.loads(l) for l in run("audit", "--json", data=data, check=0)[1].splitlines()]
    assert [(l["action"], l["target"]) for l in lines] == [
        ("user.create", forged), ("secret.add", "a"), ("secret.promote", "a"),
        ("secret.rotate", "b"), ("secret.retire", "a"), ("secret.retire", "-")], lines
    assert all(l["who"].startswith("user ") and l["from"] == "command line" for l in lines)
    # a login with spaces is told apart from what follows it
    text = run("audit", data=data, check=0)[1].splitlines()[0]
    assert '"%s"  by user ' % forged in text, text


@test
def when_a_key_was_last_used_is_told():
    data = data_dir()
    key, idle = make_key(data, "account,keys"), make_key(data)
    with Server(data) as server:
        assert status(server, key["key"]) == 200
    with Server(data) as server:  # what was noted is written at the end, at the latest
        told = call(server, "GET", "/v2/keys/" + key["id"], key["key"]).json()["last_used_at"]
        assert abs(time.time() - time.mktime(time.strptime(told, "%Y-%m-%dT%H:%M:%SZ"))
                   + time.timezone) < 60, told
        assert call(server, "GET", "/v2/keys/" + idle["id"], key["key"]).json()["last_used_at"] is None


main()
