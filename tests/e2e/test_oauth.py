"""The calls of OAuth by curl, to the letter: grants, revocation, introspection and metadata. Clients of others: test_oauth_clients.py
and tests/oracles; what edges make of a revoked token: test_lives.py."""
import http.client

from calls import *

FORM = "application/x-www-form-urlencoded"
REFUSED = "client authentication: client_id must be the public id of a key that is in force, and client_secret the whole key"


def form(server, path, *args, **parameters):
    answer = curl(server.url + path, "--data", urlencode(parameters), *args)
    assert answer.header("Cache-Control") == "no-store" and answer.header("Access-Control-Allow-Origin") == "*"
    if answer.status == 200:
        assert answer.header("Pragma") == "no-cache"
    return answer


def grant(server, *args, **parameters):
    return form(server, "/oauth/token", *args, grant_type="client_credentials", **parameters)


def error(answer, status, code, text):
    assert answer.status == status and answer.json() == {"error": code, "error_description": text, "text": text}, (
        answer.status, answer.body)
    assert answer.header("WWW-Authenticate") == ('Basic realm="subtoken", charset="UTF-8"' if status == 401 else None)


def as_basic(key):
    return ["-u", key["id"] + ":" + key["key"]]


def introspect(server, asker, token):
    return form(server, "/oauth/introspect", *bearer(asker["key"]), token=token)


def revoke(server, token, *args, **more):
    return form(server, "/oauth/revoke", *args, token=token, **more)


@test
def a_key_logs_in_as_a_client():
    with Server(config={"access_life": "5m"}) as server:
        key, other = make_key(server.data, "account,wallet"), make_key(server.data)
        for answer in (grant(server, client_id=key["id"], client_secret=key["key"]), grant(server, *as_basic(key)),
                       grant(server, *as_basic(key), client_id=key["id"])):
            told = answer.json()
            assert answer.status == 200 and list(told) == ["access_token", "token_type", "expires_in", "scope"], answer.body
            assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 300, "account wallet")
            claims = payload(told["access_token"])
            assert list(claims) == ["sub", "iat", "exp", "permissions"] and claims["sub"] == key["sub"]
            assert status(server, told["access_token"]) == 200
        assert grant(server, *as_basic(key), scope="wallet").json()["scope"] == "wallet"
        eu = payload(grant(server, *as_basic(key), audience="eu").json()["access_token"])
        assert eu["aud"] == "eu"
        error(grant(server, *as_basic(key), scope="wallet guilds"), 400, "invalid_scope", "scope: must not exceed that of the key")
        error(grant(server, "-u", key["id"] + ":" + other["key"]), 401, "invalid_client", REFUSED)
        error(grant(server, client_id=key["id"], client_secret=other["key"]), 400, "invalid_client", REFUSED)
        error(grant(server, *as_basic(key), client_secret=key["key"]), 400, "invalid_request",
              "client_secret: the client has authenticated by Basic, too")
        run("key", "disable", key["id"], data=server.data, check=0)
        let_others_learn()
        error(grant(server, *as_basic(key)), 401, "invalid_client", REFUSED)
        lines = server.requests(10)
        assert lines[-1]["reason"] == "key_disabled" and key["key"] not in server.log()


@test
def a_session_goes_on_by_its_refresh_token():
    with Server(config={"refresh_retry": 0}) as server:
        make_user(server.data, permissions="account,wallet")
        first = log_in(server).json()["refresh_token"]

        def ask(token, **more):
            return form(server, "/oauth/token", grant_type="refresh_token", refresh_token=token, **more)
        error(ask(first, scope="guilds"), 400, "invalid_scope", "scope: must not exceed that of the session")
        told = ask(first, scope="account").json()  # the refusal has not cost the token
        assert list(told) == ["access_token", "token_type", "expires_in", "scope", "refresh_token"]
        assert payload(told["access_token"])["permissions"] == ["account"] and "sid" in payload(told["access_token"])
        again = ask(told["refresh_token"]).json()
        assert again["scope"] == "account wallet" and status(server, again["access_token"]) == 200
        error(ask("x"), 400, "invalid_grant", "refresh_token: not accepted")
        error(ask(first), 400, "invalid_grant", "refresh_token: not accepted")  # used before: the session ends
        assert status(server, again["access_token"]) == 401
        # A line is written once its answer is on the way: the next request's may come before it.
        told = sorted(l.get("reason", "") for l in server.requests(8))
        assert [r for r in told if r.startswith("refresh_")] == ["refresh_reused", "refresh_unknown"], told


@test
def whoever_holds_a_token_may_revoke_it():
    with Server() as server:
        key = make_key(server.data)
        make_user(server.data, permissions="account")
        made = [call(server, "GET", "/v2/createsubtoken?permissions=account&urls=/v2/" + path, key["key"]).json()["subtoken"]
                for path in ("tokeninfo,/v2/createsubtoken", "tokeninfo")]
        child = call(server, "GET", "/v2/createsubtoken?urls=/v2/tokeninfo", made[0]).json()["subtoken"]
        assert payload(child)["via"] == [made[0].split(".")[2][:16]]
        answer = revoke(server, made[0], "-u", "anybody:else", token_type_hint="refresh_token")
        assert answer.status == 200 and answer.body == "{}" and int(answer.header("Subtoken-Seq")) > 0
        # In force before it was answered, with what was made from it, and nothing else.
        assert [status(server, t) for t in (made[0], child, made[1], key["key"])] == [401, 401, 200, 200]
        code, out, _ = run("verify", "--url", "/v2/tokeninfo", stdin=child, data=server.data)
        assert code == 1 and out.startswith("refused 401 revoked"), out
        # Who asks again, because the answer was lost, is told a snapshot that carries it, and nothing is written.
        again = revoke(server, made[0])
        assert again.status == 200 and int(again.header("Subtoken-Seq")) >= int(answer.header("Subtoken-Seq")), again.headers
        assert revoke(server, made[0]).header("Subtoken-Seq") == again.header("Subtoken-Seq")
        for token in ("unknown", "a.b.c", made[1][:-2]):
            answer = revoke(server, token)
            assert answer.status == 200 and answer.body == "{}" and answer.header("Subtoken-Seq") is None, (token, answer.headers)
        error(revoke(server, key["key"]), 400, "unsupported_token_type",
              "token: a whole key is not revoked but deleted: DELETE /v2/keys/ID")
        error(form(server, "/oauth/revoke"), 400, "invalid_request", "token: is missing")
        answer = curl(server.url + "/oauth/revoke", "-H", "Content-Type: application/json", "-d", json.dumps({"token": made[1]}))
        error(answer, 400, "invalid_request", "Content-Type: must be " + FORM)
        assert status(server, made[1]) == 200
        # A token of a session ends it.
        for which in ("access_token", "refresh_token"):
            pair = log_in(server).json()
            assert revoke(server, pair[which]).header("Subtoken-Seq") and status(server, pair["access_token"]) == 401
            refused(refresh(server, pair["refresh_token"]), 401)
            assert revoke(server, pair["access_token"]).header("Subtoken-Seq")
        # An access token of a key is one like the others; what is asked for again is another.
        for _ in range(2):
            token = grant(server, *as_basic(key)).json()["access_token"]
            assert status(server, token) == 200
            assert revoke(server, token).header("Subtoken-Seq") and status(server, token) == 401
        lines = [l for l in server.log_lines() if l.get("reason") == "token_revoked"]
        assert len(lines) == 5, lines
        audit = run("audit", data=server.data, check=0)[1]
        assert audit.count("token.revoke") == 3 and "holder of the token" in audit, audit
        assert not any(secret in server.log() + audit for secret in (*made, child, key["key"]))


@test
def nobody_fills_the_revocation_data():
    """A thousand of a key at a time, and what ends them all. Not by what is made from a token that was stolen, which can
    be revoked all the same; and not by who has the secret of an edge."""
    with Server() as server:
        key, other, edge = make_key(server.data), make_key(server.data), make_key(server.data, "revocations")
        wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

        def ask(method, path, body=None, credential=""):
            wire.request(method, path, body, {"Authorization": "Bearer " + credential, "Content-Type": FORM})
            answer = wire.getresponse()
            return answer.status, json.loads(answer.read())

        def make(i, parent=key["key"]):
            return ask("GET", "/v2/createsubtoken?urls=/v2/tokeninfo,/v2/createsubtoken,/%d" % i, None, parent)[1]["subtoken"]

        def listed():
            wire.request("GET", "/v2/revocations", None, {"Authorization": "Bearer " + edge["key"]})
            return len(wire.getresponse().read())
        stolen, size = call(server, "GET", "/v2/createsubtoken", key["key"]).json()["subtoken"], listed()
        children = [make(i, stolen) for i in range(1000)]
        assert all(ask("POST", "/oauth/revoke", "token=" + child) == (200, {}) for child in children)
        last = make(1000)
        assert listed() > size + 8 * 1000 - 100
        code, told = ask("POST", "/oauth/revoke", "token=" + last)
        assert code == 429 and told["error"] == "temporarily_unavailable" and "revoke-subtokens" in told["text"], told
        assert status(server, last) == 200
        assert run("revoke", "--json", stdin=last, data=server.data)[:2] == (1, '{"revoked":false,"reason":"revoke_limit"}\n')
        # A thief of the secret for eu, who makes up any number under the sub of each key, fills a list of their own.
        kid, secret = run("secret", "derive", "--audience", "eu", data=server.data, check=0)[1].strip().split(":")
        secret, now = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)), int(time.time())

        def made_up(sub, i):
            return sign(secret, {"sub": sub, "iat": now - i, "exp": now + 86400, "aud": "eu", "permissions": []},
                        {"alg": "HS256", "typ": "JWT", "kid": kid})
        for i in range(20):
            assert ask("POST", "/oauth/revoke", "token=" + made_up(key["sub"], i)) == (200, {})
        # Whoever stole it made them of it: it is revoked, and they with it.
        assert ask("POST", "/oauth/revoke", "token=" + stolen) == (200, {}) and listed() <= size + 8 * 22
        assert {status(server, t) for t in (stolen, *children[::250])} == {401}
        assert ask("POST", "/oauth/revoke", "token=" + children[0]) == (200, {})
        assert ask("POST", "/oauth/revoke", "token=" + last) == (200, {}) and status(server, last) == 401
        us, size = make_key(server.data, "account", "--audience", "us"), listed()
        assert revoke(server, made_up(us["sub"], 0)).header("Subtoken-Seq") is None and listed() == size
        assert run("revoke", "--json", stdin=made_up(us["sub"], 1), data=server.data)[:2] == (
            1, '{"revoked":false,"reason":"aud"}\n')
        last, size = make(1002), listed()
        theirs = call(server, "GET", "/v2/createsubtoken", other["key"]).json()["subtoken"]
        assert revoke(server, theirs).header("Subtoken-Seq") and status(server, theirs) == 401
        run("key", "revoke-subtokens", key["id"], data=server.data, check=0)
        let_others_learn()
        assert status(server, last) == 401 and listed() <= size - 8 * 20
        assert ask("POST", "/oauth/revoke", "token=" + make(1003)) == (200, {})
        assert any(l.get("reason") == "revoke_limit" for l in server.log_lines())


@test
def a_token_is_asked_about():
    with Server() as server:
        key, asker, bound = (make_key(server.data, "account,wallet", "--owner", "Ann \"A\""), make_key(server.data, "introspect"),
                             make_key(server.data, "introspect", "--audience", "eu"))
        token = call(server, "GET", "/v2/createsubtoken?permissions=account&urls=/v2/x,POST:/y", key["key"]).json()["subtoken"]
        claims = payload(token)
        want = {"active": True, "scope": "account", "sub": key["sub"], "iat": claims["iat"], "exp": claims["exp"],
                "token_type": "Bearer", "client_id": key["id"], "username": "Ann \"A\"", "urls": ["/v2/x", "POST:/y"]}
        for args in (bearer(asker["key"]), as_basic(asker), ["-H", "X-API-Key: " + asker["key"]]):
            answer = form(server, "/oauth/introspect", *args, token=token, token_type_hint="access_token")
            assert answer.status == 200 and answer.json() == want and list(answer.json()) == list(want), answer.body
        assert form(server, "/oauth/introspect", token=token, client_id=asker["id"], client_secret=asker["key"]).json() == want
        wrong = form(server, "/oauth/introspect", token=token, client_id=asker["id"], client_secret=key["key"])
        error(wrong, 401, "invalid_client", REFUSED)  # RFC 7662 section 2.3
        assert wrong.header("WWW-Authenticate").startswith("Basic ")
        whole = introspect(server, asker, key["key"]).json()
        assert whole["active"] and whole["client_id"] == key["id"] and whole["scope"] == "account wallet" and "exp" not in whole
        # Who is bound to an audience is told of its tokens.
        eu = call(server, "GET", "/v2/createsubtoken?audience=eu", key["key"]).json()["subtoken"]
        assert introspect(server, asker, eu).json()["aud"] == introspect(server, bound, eu).json()["aud"] == "eu"
        assert introspect(server, bound, token).json() == {"active": False}
        for other in ("x", "a.b.c", token[:-3], key["key"][:-1] + ("1" if key["key"][-1] == "0" else "0")):
            assert introspect(server, asker, other).body == '{"active":false}', other
        revoke(server, token)
        assert introspect(server, asker, token).body == '{"active":false}'
        run("key", "delete", key["id"], data=server.data, check=0)
        let_others_learn()
        assert introspect(server, asker, eu).body == introspect(server, asker, key["key"]).body == '{"active":false}'
        refused(form(server, "/oauth/introspect", token=token), 401)
        poor = make_key(server.data)
        answer = introspect(server, poor, token)
        refused(answer, 403, "requires scope introspect")
        assert answer.header("WWW-Authenticate") == 'Bearer error="insufficient_scope"'
        error(form(server, "/oauth/introspect", *bearer(asker["key"])), 400, "invalid_request", "token: is missing")
        assert not any(secret in server.log() for secret in (token, eu, key["key"], asker["key"]))


@test
def the_metadata_are_there_once_the_issuer_is():
    with Server(config={}) as server:
        where = "/.well-known/oauth-authorization-server"
        assert curl(server.url + where).status == 404
        server.write_config({"issuer": "https://auth.example/a", "credentials": ["bearer"]})
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: '"reloaded"' in server.log(), "the settings are reloaded")
        url = "https://auth.example/a/oauth/"
        want = {"issuer": "https://auth.example/a", "authorization_endpoint": url + "authorize", "token_endpoint": url + "token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
                "grant_types_supported": ["client_credentials", "refresh_token", EXCHANGE], "response_types_supported": [],
                "revocation_endpoint": url + "revoke", "revocation_endpoint_auth_methods_supported": ["none"],
                "introspection_endpoint": url + "introspect",
                "introspection_endpoint_auth_methods_supported": ["client_secret_post", "Bearer"]}
        for path in (where, where + "/a", where + "?x=1"):
            answer = curl(server.url + path)
            assert answer.status == 200 and answer.json() == want, answer.body
            assert answer.header("Content-Type") == "application/json; charset=utf-8"
        assert curl(server.url + where + "/b").status == 404 and curl(server.url + where, "-I").status == 200
        answer = curl(server.url + "/oauth/authorize?response_type=code")
        assert answer.status == 400 and answer.json()["error"] == "unsupported_response_type"
        for bad in ("http://auth.example", "https://auth.example/", "https://auth.example?x"):
            code, _, err = run("serve", "--config", private_file(json.dumps({"issuer": bad})), data=server.data)
            assert code != 0 and "issuer" in err, (bad, code, err)


@test
def resources_of_the_policy_are_described():
    policy = private_file(json.dumps({"default": "deny", "routes": [
        {"path": "/mcp", "needs": ["mcp"], "resource": "https://api.example/mcp"}]}))
    with Server(config={"issuer": "https://auth.example", "policy": policy}) as server:
        where = "/.well-known/oauth-protected-resource"
        answer = curl(server.url + where + "/mcp")
        assert answer.status == 200 and answer.json()["resource"] == "https://api.example/mcp", answer.body
        assert answer.json()["authorization_servers"] == ["https://auth.example"]
        assert [curl(server.url + where + p).status for p in ("", "/", "/x", "/mcp/")] == [404] * 4
        key = make_key(server.data, "mcp")
        let_others_learn()
        assert grant(server, *as_basic(key), resource="https://api.example/mcp").status == 200
        error(grant(server, *as_basic(key), resource="https://evil.example/mcp"), 400, "invalid_target",
              "resource: must be one of the route policy of this server")


@test
def a_rate_holds_for_client_credentials():
    with Server(config={"rate": {"per_second": 1, "burst": 2}}) as server:
        key = make_key(server.data)
        assert [grant(server, *as_basic(key)).status for _ in range(2)] == [200, 200]
        slow = over_the_rate(lambda: grant(server, *as_basic(key)))
        error(slow, 429, "temporarily_unavailable", "too many tokens from this key; try again later")
        assert int(slow.header("Retry-After")) >= 1

main()
