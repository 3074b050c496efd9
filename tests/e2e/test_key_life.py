"""What a key and its tokens live through: its secret replaced, bound to an audience, one token revoked. At the server,
by commands on the same DATA, and at an edge that has files alone (`verify` with what `pull` and `secret derive` wrote).
Everything else about keys: test_keys.py."""
from calls import *


def rotate(server, credential, id, body=None, *args):
    return call(server, "POST", "/v2/keys/%s/rotate" % id, credential, body, *args)


def subtoken(server, credential, query="permissions=account"):
    answer = call(server, "GET", "/v2/createsubtoken?" + query, credential)
    assert answer.status == 200, (query, answer.status, answer.body)
    return answer.json()["subtoken"]


def header(token):
    return json.loads(unb64(token.split(".")[0]))


def tid(token):
    return token.split(".")[2][:16]


def file_of(text):
    return private_file(text, "ring")


def at_edge(token, ring, *args, feed=None):
    """What an edge says that has this ring: "ok", or the reason."""
    code, out, _ = run("verify", "--json", "--secrets", ring, *args,
                       *(("--revocations", feed) if feed else ("--no-revocations",)), stdin=token)
    said = json.loads(out)
    assert (code == 0) == said["ok"], out
    return said.get("reason", "ok")


def pull(server, key, to, *args):
    run("pull", "--from", server.url, "--to", to, "--key-file", private_file(key + "\n"), "--once", *args, check=0)


# ---- a secret is replaced ----

@test
def a_secret_is_replaced_and_everything_lives_on():
    with Server() as server:
        key = make_key(server.data, "account,keys")
        manager = make_key(server.data, "account,keys,wallet")
        token = subtoken(server, key["key"])
        made = rotate(server, manager["key"], key["id"], {"overlap": "24h"})
        assert made.status == 200, made.body
        new = made.json()
        assert new["key"][:36] == key["id"] == new["id"] and new["key"] != key["key"] and new["sub"] == key["sub"]
        assert new["rotated_at"] < new["old_until"]
        for credential in (key["key"], new["key"], token):
            assert status(server, credential) == 200
        assert payload(subtoken(server, new["key"]))["sub"] == payload(token)["sub"]
        wait(lambda: any(l.get("reason") == "old_secret" and l.get("key") == key["id"] for l in server.log_lines()),
             "the use of the old secret in the log")
        shown = call(server, "GET", "/v2/keys/" + key["id"], manager["key"]).json()
        assert shown == {n: v for n, v in new.items() if n != "key"} | {"last_used_at": shown["last_used_at"]}
        # A key has one old secret: the first ends with the second rotation.
        third = rotate(server, new["key"], key["id"], {"overlap": 3600}).json()  # by itself
        assert (status(server, key["key"]), status(server, new["key"]), status(server, third["key"])) == (401, 200, 200)
        # Without an overlap the old one ends at once, before the answer.
        last = rotate(server, manager["key"], key["id"]).json()
        assert last["old_until"] is None and status(server, third["key"]) == 401
        assert status(server, last["key"]) == 200 and status(server, token) == 200
        for gone in (key["key"], new["key"], third["key"]):
            assert rotate(server, gone, key["id"]).status == 401
        log = server.log() + run("audit", data=server.data, check=0)[1]
        assert "key.rotate" in log and not any(k[37:] in log for k in (key["key"], new["key"], last["key"]))


@test
def an_overlap_ends_by_itself():
    with Server() as server:
        key = make_key(server.data, "account,keys")
        new = rotate(server, key["key"], key["id"], {"overlap": "2s"}).json()
        wait(lambda: status(server, key["key"]) == 401, "the old secret ends")
        assert status(server, new["key"]) == 200
        shown = call(server, "GET", "/v2/keys/" + key["id"], new["key"]).json()
        assert shown["old_until"] == new["old_until"]  # when it ended


@test
def who_rotates_a_key_has_as_much_as_it():
    with Server() as server:
        make_user(server.data, permissions="account")
        small = make_key(server.data, "keys")
        soon = make_key(server.data, "keys,account", "--expires", "1h")
        key = make_key(server.data, "account", "--owner", "alice")
        refused(rotate(server, small["key"], key["id"]), 403, "permissions")
        refused(rotate(server, soon["key"], key["id"]), 403, "expires later")
        refused(rotate(server, key["key"], key["id"]), 403, "requires scope keys")
        refused(rotate(server, issue(server.data, soon["key"], "--permissions", "keys,account"), key["id"]), 403, "derived")
        login = log_in(server).json()["access_token"]
        refused(rotate(server, login, soon["id"]), 404)  # not the user's
        for who in (login, ("alice", PASSWORD)):
            assert rotate(server, who, key["id"], {"overlap": "1h"}).status == 200
        for body, text in (({"overlap": "31d"}, "overlap"), ({"overlap": -1}, "overlap"), ({"overlap": "soon"}, "overlap")):
            refused(rotate(server, login, key["id"], body), 400, text)
        refused(curl(server.url + "/v2/keys/%s/rotate" % key["id"], *bearer(login), "-d", "overlap=1h"), 415)
        refused(call(server, "GET", "/v2/keys/%s/rotate" % key["id"], login), 405)
        wait(lambda: "escalation" in server.log(), "the event in the log")


@test
def an_expired_key_is_not_rotated():
    with Server() as server:
        manager = make_key(server.data, "account,keys")["key"]
        key = make_key(server.data, "account", "--expires", "1s")
        wait(lambda: status(server, key["key"]) == 401, "the key expires")
        refused(rotate(server, manager, key["id"]), 400, "the key has expired: make a new one")
        code, out, err = run("key", "rotate", key["id"], data=server.data)
        assert code == 1 and out == "" and "the key has expired: make a new one" in err, (code, out, err)
        shown = call(server, "GET", "/v2/keys/" + key["id"], manager).json()
        assert shown["rotated_at"] is None and shown["state"] == "expired", shown


@test
def a_command_rotates_a_key_of_a_running_server():
    with Server() as server:
        key = make_key(server.data, "account")
        assert status(server, key["key"]) == 200
        code, out, err = run("key", "rotate", key["id"], "--overlap", "1h", data=server.data)
        assert code == 0 and err == "" and re.fullmatch(key["id"] + r"[0-9A-F-]{36}\n", out), (out, err)
        wait(lambda: status(server, out.strip()) == 200, "the new key is good")
        assert status(server, key["key"]) == 200
        new = json.loads(run("key", "rotate", key["id"], "--json", data=server.data, check=0)[1])
        wait(lambda: status(server, new["key"]) == 200, "the newest key is good")
        wait(lambda: [status(server, k) for k in (out.strip(), key["key"])] == [401, 401], "both others have ended")
        assert new["old_until"] is None
        shown = run("key", "show", key["id"], data=server.data, check=0)[1]
        assert "rotated:     20" in shown and "old until:   -" in shown, shown
        run("key", "rotate", key["id"], "--overlap", "30d", data=server.data, check=0)
        until = json.loads(run("key", "show", key["id"], "--json", data=server.data, check=0)[1])["old_until"]
        assert until in run("key", "list", data=server.data, check=0)[1]
    for words, code, text in ((["x"], 1, "no key"), ([], 2, "ID is missing"), ([key["id"], "--overlap", "31d"], 2, "30d"),
                              ([key["id"], "--overlap", "30"], 2, "s, m, h or d")):
        got, out, err = run("key", "rotate", *words, data=server.data)
        assert got == code and text in err and out == "", (words, got, err)


# ---- audiences ----

@test
def a_token_is_for_its_audience_alone():
    with Server() as server:
        key = make_key(server.data)["key"]
        whole = os.path.join(server.data, "secrets")
        rings = {a: file_of(run("secret", "derive", "--audience", a, data=server.data, check=0)[1]) for a in ("eu", "us")}
        plain, eu = subtoken(server, key), subtoken(server, key, "permissions=account&audience=eu")
        assert header(plain) == {"alg": "HS256", "typ": "JWT"} and list(payload(plain)) == ["sub", "iat", "exp", "permissions"]
        assert header(eu) == {"alg": "HS256", "typ": "JWT", "kid": ".eu"}
        assert list(payload(eu)) == ["sub", "iat", "exp", "aud", "permissions"] and payload(eu)["aud"] == "eu"
        for token, asked, expected in (
                (eu, (rings["eu"],), "ok"), (eu, (rings["us"],), "kid"), (eu, (whole,), "aud"),
                (eu, (whole, "--aud", "eu"), "ok"), (eu, (whole, "--aud", "us"), "aud"),
                (plain, (whole,), "ok"), (plain, (rings["eu"],), "kid"), (plain, (whole, "--aud", "eu"), "aud")):
            assert at_edge(token, *asked) == expected, (asked, at_edge(token, *asked))
        # The same by form, JSON, command and exchange; the server's own routes take it.
        url = server.url + "/v2/createsubtoken"
        for made in (curl(url, *bearer(key), "-d", "audience=eu").json()["subtoken"],
                     call(server, "POST", "/v2/createsubtoken", key, {"audience": "eu"}).json()["subtoken"],
                     issue(server.data, key, "--audience", "eu"),
                     exchange(server, subject_token=key, audience="eu").json()["access_token"]):
            assert at_edge(made, rings["eu"]) == "ok" and status(server, made) == 200
        info = call(server, "GET", "/v2/tokeninfo?v=latest", eu).json()
        assert sorted(info) == ["expires_at", "id", "issued_at", "name", "permissions", "type"], info
        # What is made of it is for the same.
        child = subtoken(server, eu)
        assert payload(child)["aud"] == "eu" and at_edge(child, rings["eu"]) == "ok"
        assert payload(child)["via"] == [tid(eu)] and list(payload(child))[-1] == "via"
        assert at_edge(subtoken(server, eu, "audience=eu"), rings["eu"]) == "ok"
        for query in ("audience=us", "audience=", "audience=a.b", "audience=" + "a" * 33, "audience=eu&audience=eu"):
            refused(call(server, "GET", "/v2/createsubtoken?" + query, eu), 400, "audience: ")
        for asked in (dict(subject_token=eu, audience="us"), dict(subject_token=key, audience="https://x/")):
            answer = exchange(server, **asked)
            assert answer.status == 400 and answer.json()["error"] == "invalid_target", answer.body
        assert payload(exchange(server, subject_token=eu).json()["access_token"])["aud"] == "eu"
        assert run("issue", "--audience", "us", data=server.data, stdin=eu)[0] == 1
        assert run("issue", "--audience", "a.b", data=server.data, stdin=key)[0] == 2
        assert status(server, eu, "/v2/revocations") == 403 and status(server, eu, "/v2/keys") == 403


@test
def a_chain_of_tokens_has_an_end():
    with Server() as server:
        token, chain = make_key(server.data)["key"], []
        for _ in range(9):
            token = subtoken(server, token)
            chain.append(token)
        assert payload(token)["via"] == [tid(t) for t in chain[:-1]]
        refused(call(server, "GET", "/v2/createsubtoken", token), 400, "made from too many subtokens")
        code, _, err = run("issue", data=server.data, stdin=token)
        assert code == 1 and "maximum 8" in err
        answer = exchange(server, subject_token=token)
        assert answer.status == 400 and "maximum 8" in answer.body


@test
def a_bound_key_makes_what_is_for_its_audience():
    with Server() as server:
        bound = make_key(server.data, "account,keys,users,services,revocations", "--audience", "eu")
        other = make_key(server.data, "account")
        ring = file_of(run("secret", "derive", "--audience", "eu", data=server.data, check=0)[1])
        assert bound["audience"] == "eu" and other["audience"] is None
        assert "audience:    eu" in run("key", "show", bound["id"], data=server.data, check=0)[1]
        assert run("key", "create", "--name", "n", "--permissions", "a", "--audience", "a.b", data=server.data)[0] == 2
        session = call(server, "POST", "/v1/auth/token", bound["key"]).json()
        again = refresh(server, session["refresh_token"]).json()
        for token in (subtoken(server, bound["key"]), issue(server.data, bound["key"]), session["access_token"],
                      again["access_token"], exchange(server, subject_token=bound["key"]).json()["access_token"]):
            assert at_edge(token, ring) == "ok" and at_edge(token, os.path.join(server.data, "secrets")) == "aud"
        refused(call(server, "GET", "/v2/createsubtoken?audience=us", bound["key"]), 400, "audience: ")
        made = new_key(server, bound["key"])
        assert made.status == 201 and made.json()["audience"] == "eu"
        refused(new_key(server, bound["key"], audience="us"), 403, "audience: ")
        refused(call(server, "POST", "/v1/user", bound["key"], {"login": "bob", "password": PASSWORD}), 403, "audience")
        refused(rotate(server, bound["key"], other["id"]), 404)
        refused(call(server, "DELETE", "/v2/keys/" + other["id"], bound["key"]), 404)
        assert {k["audience"] for k in call(server, "GET", "/v2/keys", bound["key"]).json()["keys"]} == {"eu"}
        refused(call(server, "GET", "/v2/keys", again["access_token"]), 403, "audience")
        assert rotate(server, bound["key"], made.json()["id"]).json()["audience"] == "eu"


@test
def the_decision_endpoint_is_told_for_whom_it_decides():
    with Server() as server:
        key = make_key(server.data, "account")["key"]
        bound = make_key(server.data, "account", "--audience", "eu")["key"]
        plain, eu = subtoken(server, key), subtoken(server, key, "audience=eu")
        said = {"absent": (), "none": ("-H", "X-Subtoken-Audience;"), "eu": ("-H", "X-Subtoken-Audience: eu"),
                "us": ("-H", "X-Subtoken-Audience: us")}
        for credential, taken in ((key, "absent none eu us"), (bound, "eu"), (plain, "absent none"), (eu, "eu")):
            for who, args in said.items():
                answer = curl(server.url + "/v2/authorize/v2/account", *bearer(credential), *args)
                assert answer.status == (200 if who in taken.split() else 401), (who, answer.status, taken)
            # What is asked of the server for itself is for every audience.
            assert call(server, "GET", "/v2/tokeninfo", credential).status == 200, credential
        wait(lambda: any(l.get("reason") == "aud" for l in server.log_lines()), "the reason in the log")


@test
def a_derived_ring_is_printed_and_issues_nothing():
    data = data_dir()
    key = make_key(data)["key"]
    run("secret", "rotate", "--kid", "winter", data=data, check=0)
    run("secret", "add", "--kid", "k" * 61, data=data, check=0)
    code, out, err = run("secret", "derive", "--audience", "eu", data=data)
    names = [line.split(":")[0] for line in out.splitlines()]
    assert code == 0 and err == "" and names == ["winter.eu", ".eu", "k" * 61 + ".eu"], (names, err)
    code, out, err = run("secret", "derive", "--audience", "eus", "--json", data=data)
    shown = json.loads(out)
    assert code == 0 and "left out " + "k" * 61 in err and shown["audience"] == "eus", (out, err)
    assert [line.split(":")[0] for line in shown["secrets"]] == ["winter.eus", ".eus"]
    # HKDF-SHA-256 (RFC 5869), computed here.
    for kid, secret in read_ring(os.path.join(data, "secrets"))[:2]:
        prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
        derived = hmac.new(prk, b"subtoken aud 1:eus\x01", hashlib.sha256).digest()
        assert "%s.eus:%s" % (kid, b64(derived)) in shown["secrets"], kid
    other = data_dir()
    make_key(other)
    with open(os.path.join(other, "secrets"), "w") as f:
        f.write("".join(line + "\n" for line in shown["secrets"]))
    for words in (["issue"], ["serve", "--listen", "127.0.0.1:0"], ["revoke"], ["secret", "derive", "--audience", "eu"]):
        code, out, err = run(*words, data=other, stdin=key)
        assert code == 3 and "eus" in err and out == "", (words, code, err)
    for words, code in ((["secret", "derive"], 2), (["secret", "derive", "--audience", "a.b"], 2),
                        (["secret", "derive", "--audience", ""], 2)):
        assert run(*words, data=data)[0] == code, words


@test
def a_ring_step_leaves_room_for_the_audiences_of_the_keys():
    with Server() as server:
        data, longest = server.data, "a" * 32
        bound = make_key(data, "services,account", "--audience", longest)
        pair = call(server, "POST", "/v1/auth/token", bound["key"]).json()
        for words in (["add"], ["rotate"]):
            code, out, err = run("secret", *words, "--kid", "k" * 32, data=data)
            assert code == 1 and out == "" and longest in err and bound["id"] in err and "--force" in err, (words, err)
        assert [kid for kid, _ in read_ring(os.path.join(data, "secrets"))] == [""]
        assert run("secret", "add", "--kid", "k" * 31, data=data) == (0, "k" * 31 + "\n", "")
        code, _, err = run("secret", "add", "--kid", "k" * 32, "--force", data=data)
        assert code == 0 and "31" in err, err
        code, _, err = run("secret", "promote", "k" * 32, data=data)
        assert code == 1 and longest in err, err
        # Against advice: what cannot be made costs no session, and the refresh token is good when it can be again.
        run("secret", "promote", "k" * 32, "--force", data=data, check=0)
        grant = [server.url + "/oauth/token", "-d", "grant_type=refresh_token&refresh_token=" + pair["refresh_token"]]
        for _ in range(2):
            refused(call(server, "GET", "/v2/createsubtoken", bound["key"]), 400, "audience: too long")
            refused(refresh(server, pair["refresh_token"]), 400, "audience: too long")
            assert curl(*grant).json()["error"] == "invalid_request"
        run("secret", "promote", "k" * 31, data=data, check=0)
        assert header(refresh(server, pair["refresh_token"]).json()["access_token"])["kid"] == "k" * 31 + "." + longest
        # An audience that fits, and a key that is no more, are no reason.
        make_key(data, "account", "--audience", "eu")
        run("key", "delete", bound["id"], data=data, check=0)
        code, _, err = run("secret", "rotate", "--kid", "r" * 61, data=data)
        assert code == 0 and "2 characters" in err, err
        assert run("secret", "rotate", "--kid", "r" * 62, data=data)[0] == 1


# ---- what a token costs ----

@test
def a_token_made_from_a_key_has_not_a_byte_more():
    """However it is made: the header and the claims that clients have always known, byte for byte, under the same MAC."""
    with Server() as server:
        key = make_key(server.data, "account,wallet")
        kid, secret = read_ring(os.path.join(server.data, "secrets"))[0]
        assert kid == ""
        basic = ["-u", key["id"] + ":" + key["key"]]
        urls = ',"urls":["/v2/a%20b","POST:/x/*"]'
        made = {
            "GET": (subtoken(server, key["key"]), ""),
            "with urls": (subtoken(server, key["key"], "permissions=account&urls=/v2/a%2520b,POST:/x/*"), urls),
            "JSON": (call(server, "POST", "/v2/createsubtoken", key["key"],
                          {"permissions": ["account"], "urls": ["/v2/a b", "POST:/x/*"]}).json()["subtoken"], urls),
            "command": (issue(server.data, key["key"], "--permissions", "account"), ""),
            "exchange": (exchange(server, subject_token=key["key"], scope="account").json()["access_token"], ""),
            "client_credentials": (curl(server.url + "/oauth/token", *basic, "--data",
                                        "grant_type=client_credentials&scope=account").json()["access_token"], "")}
        for how, (token, behind) in made.items():
            claims = payload(token)
            text = '{"sub":"%s","iat":%d,"exp":%d,"permissions":["account"]%s}' % (
                key["sub"], claims["iat"], claims["exp"], behind)
            assert token == sign(secret, text, '{"alg":"HS256","typ":"JWT"}'), (how, unb64(token.split(".")[1]))
        # The two features cost what they say, and nothing else.
        eu, child = subtoken(server, key["key"], "permissions=account&audience=eu"), subtoken(server, made["GET"][0])
        for token, text in ((eu, '"aud":"eu","permissions":["account"]}'),
                            (child, '"permissions":["account"],"via":["%s"]}' % tid(made["GET"][0]))):
            claims = payload(token)
            assert unb64(token.split(".")[1]).decode() == '{"sub":"%s","iat":%d,"exp":%d,%s' % (
                key["sub"], claims["iat"], claims["exp"], text)


# ---- one token revoked ----

@test
def a_command_revokes_a_token_and_what_was_made_of_it():
    with Server() as server:
        key = make_key(server.data, "account,revocations")
        ring, feed = os.path.join(server.data, "secrets"), os.path.join(scratch(), "revoked")
        token, sibling = subtoken(server, key["key"]), subtoken(server, key["key"], "permissions=")
        child = subtoken(server, token)
        grandchild, eu = subtoken(server, child), subtoken(server, child, "permissions=account&audience=eu")
        pull(server, key["key"], feed)
        every = (token, child, grandchild, sibling)
        assert [at_edge(t, ring, feed=feed) for t in every] == ["ok"] * 4
        code, out, err = run("revoke", "--json", data=server.data, stdin="\n%s\n" % child)
        said = json.loads(out)
        assert code == 0 and err == "" and said["tid"] == tid(child) and said["revoked"] is True, (out, err)
        wait(lambda: status(server, child) == 401, "the server refuses it")
        assert [status(server, t) for t in (*every, eu)] == [200, 401, 401, 200, 401]
        assert [r for _, r in verdicts(server.data, every)] == ["ok", "revoked", "revoked", "ok"]
        pull(server, key["key"], feed)
        assert [at_edge(t, ring, feed=feed) for t in every] == ["ok", "revoked", "revoked", "ok"]
        assert at_edge(eu, ring, "--aud", "eu", feed=feed) == "revoked"
        assert run("revoke", data=server.data, stdin=child)[:2] == (0, tid(child) + " is revoked\n")  # again
        assert "token.revoke" in run("audit", data=server.data, check=0)[1]
        # Each line by itself; the worst decides the exit status.
        run("key", "delete", make_key(server.data)["id"], data=server.data, check=0)
        code, out, err = run("revoke", data=server.data, stdin="\n".join((token, "x.y.z", key["key"], forged(token))))
        assert code == 1 and out == tid(token) + " is revoked\n", (out, err)
        assert "line 2: not a subtoken of this ring: malformed" in err and "line 3: this is a whole key" in err
        assert "line 4: not a subtoken of this ring: mac" in err and key["key"][37:] not in err
        wait(lambda: status(server, token) == 401, "the server refuses the other, too")
        assert (status(server, sibling), status(server, key["key"])) == (200, 200)


@test
def a_command_ends_the_session_of_an_access_token():
    with Server() as server:
        make_user(server.data)
        session, other = log_in(server).json(), log_in(server).json()
        made = subtoken(server, session["access_token"])
        code, out, err = run("revoke", "--json", data=server.data, stdin=session["access_token"])
        said = json.loads(out)
        assert code == 0 and said["revoked"] is True and said["session"] == payload(session["access_token"])["sid"], out
        wait(lambda: status(server, session["access_token"]) == 401, "the session has ended")
        assert status(server, made) == 401 and refresh(server, session["refresh_token"]).status == 401
        assert status(server, other["access_token"]) == 200
        code, out, _ = run("revoke", data=server.data, stdin=other["refresh_token"])
        assert code == 0 and out == payload(other["access_token"])["sid"] + " is ended\n", out
        wait(lambda: status(server, other["access_token"]) == 401, "the other has ended, too")
        code, out, err = run("revoke", data=server.data, stdin=other["refresh_token"])
        assert code == 1 and "not a refresh token of a session that lives" in err, (out, err)


@test
def a_token_for_an_audience_ends_no_key_that_the_database_does_not_know():
    """Whoever has a derived secret can name any sub, and a sub that is listed is refused for ever."""
    here, there = data_dir(), data_dir()
    make_key(here)
    key = make_key(there)
    shutil.copy(os.path.join(here, "secrets"), os.path.join(there, "secrets"))
    plain, eu = issue(there, key["key"]), issue(there, key["key"], "--audience", "eu")
    code, out, err = run("revoke", data=here, stdin=eu)
    assert code == 1 and out == "" and "its key is not in this database" in err, (code, out, err)
    code, out, _ = run("revoke", "--json", data=here, stdin=eu)
    assert code == 1 and json.loads(out) == {"revoked": False, "reason": "key_unknown"}, out
    assert "sub.revoke" not in run("audit", data=here, check=0)[1]
    # One that is signed with a secret of the ring does, whatever stands around it.
    code, out, _ = run("revoke", data=here, stdin="\n".join((eu, plain, eu)))
    assert code == 1 and out.startswith(key["sub"] + " is revoked") and out.count("\n") == 1, (code, out)
    assert "sub.revoke" in run("audit", data=here, check=0)[1]


def verdicts(data, tokens):
    """(status, reason) of each by `verify` with the database."""
    code, out, _ = run("verify", "--jsonl", data=data, stdin="".join(json.dumps({"token": t}) + "\n" for t in tokens))
    assert code == 0, out
    said = [json.loads(line) for line in out.splitlines()]
    return [(s.get("status", 200), s.get("reason", "ok")) for s in said]


@test
def a_key_has_a_thousand_revoked_tokens_at_most():
    data = data_dir()
    key, other = make_key(data), make_key(data)
    kid, secret = read_ring(os.path.join(data, "secrets"))[0]
    now = int(time.time())
    claims = [{"sub": key["sub"], "iat": now - i, "exp": now + 3600, "permissions": []} for i in range(1001)]
    tokens = [sign(secret, c) for c in claims]
    code, out, err = run("revoke", data=data, stdin="\n".join(tokens))
    assert code == 1 and out.count(" is revoked\n") == 1000 and "key revoke-subtokens " + key["id"] in err, (code, err)
    assert run("revoke", data=data, stdin=tokens[7])[0] == 0  # one of them again
    assert run("revoke", data=data, stdin=issue(data, other["key"]))[0] == 0  # another's are counted apart
    run("key", "revoke-subtokens", key["id"], data=data, check=0)
    code, out, _ = run("revoke", data=data, stdin=tokens[1000])
    assert code == 0 and "was revoked before" in out, out
    assert run("revoke", data=data, stdin=issue(data, key["key"]))[0] == 0


main()
