"""The decision endpoint as proxies ask it, in the forms of nginx, Traefik, Caddy and Envoy as plain requests.
Through real proxies: test_recipes.py."""
from proxies import *


@test
def three_forms_get_the_same_decision():
    with Case() as c:
        token, bare = c.token(), c.token("--permissions", "guilds")
        listed = c.token("--urls", "GET:/v2/account")
        rows = [("/v2/account", "GET", token, 200), ("/v2/account", "GET", c.key["key"], 200),
                ("/v2/account", "PUT", token, 200), ("/v2/account", "GET", listed, 200),
                ("/v2/account", "PUT", listed, 403), ("/v2/account", "GET", bare, 403),
                ("/v2/account/bank", "GET", c.key["key"], 403), ("/v2/account/bank", "PUT", token, 403),
                ("/v2/nowhere", "GET", c.key["key"], 403), ("/v2/account", "GET", token + "x", 401),
                ("/v2/account", "GET", "", 401), ("/v2/nowhere", "GET", "", 401), ("/v2/items", "GET", "x", 200)]
        for uri, method, credential, status in rows:
            answers = forms(c, uri, method, *([auth(credential)] if credential else []))
            assert [a.status for a in answers] == [status] * 3, (uri, method, [a.status for a in answers])
            assert len({(a.body, json.dumps(who(a)), a.header("WWW-Authenticate")) for a in answers}) == 1
            assert status != 401 or answers[0].body == INVALID
        answers = forms(c, "/v2//account", "GET", auth(c.key["key"]))
        assert [a.status for a in answers] == [403, 400, 400]
        for a in forms(c, "/v2/account?access_token=" + token, "GET"):
            assert a.status == 200 and who(a)["Permissions"] == "account,guilds"
        said = who(c.ask("/v2/authorize/v2/account", auth(c.key["key"])))
        assert said == {"Sub": payload(token)["sub"], "Key": c.key["id"], "Owner": "J%C3%B8rn",
                        "Permissions": "account,guilds,history_api", "Expires": ""}, said
        said = who(c.ask("/v2/authorize/v2/account", auth(token)))
        assert said["Expires"] == str(payload(token)["exp"]) and said["Key"] == c.key["id"]
        assert who(c.ask("/v2/authorize/v2/items", auth(token))) == dict.fromkeys(NAMES, "")
        log = c.server.log()
        assert token not in log and c.key["key"] not in log


@test
def forms_that_disagree_are_refused():
    with Case() as c:
        key = auth(c.key["key"])
        for form in (nginx_form, traefik_form):
            no = 403 if form is nginx_form else 400
            good = form("/v2/account")
            assert c.ask("/v2/authorize", *good, key).status == 200
            assert c.ask("/v2/authorize", *good[:1], key).status == no
            assert c.ask("/v2/authorize", *good, good[0], key).status == no
            assert c.ask("/v2/authorize", *good, good[1], key).status == no
            assert c.ask("/v2/authorize/v2/items", *good, key).status == no
            assert c.ask("/v2/authorize", *good, key, key).status == no
            # Who asks is told by the two credentials' headers and the original query alone.
            assert c.ask("/v2/authorize", *good, "X-Subtoken-Key: " + c.key["key"],
                         "X-Forwarded-Authorization: Bearer " + c.key["key"]).status == 401
            assert c.ask("/v2/authorize?access_token=" + c.key["key"], *good).status == 401
        both = nginx_form("/v2/account")
        assert c.ask("/v2/authorize", *both, *traefik_form("/v2/account"), key).status == 200
        assert c.ask("/v2/authorize", *both, *traefik_form("/v2/items"), key).status == 403
        assert c.ask("/v2/authorize", *both, *traefik_form("/v2/account", "PUT"), key).status == 403
        assert c.ask("/v2/authorize", *both, "X-Forwarded-Method: GET", key).status == 403
        assert c.ask("/v2/authorize", key).status == 400
        assert c.ask("/v2//authorize/v2/account", key).status == 400
        assert c.ask("/v2//authorize", *both, key).status == 200
        preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]
        assert [a.status for a in forms(c, "/v2/account", "OPTIONS", *preflight)] == [200] * 3
        assert [a.status for a in forms(c, "/v2/account", "OPTIONS", preflight[0])] == [401] * 3


@test
def a_body_from_envoy_is_checked_and_a_partial_one_refused():
    with Case() as c:
        key = auth(c.key["key"])
        history = b'{"method":"call","params":["history","x",[]]}'
        ask = lambda body, *more: c.ask("/v2/authorize/rpc", key, *more, method="POST", body=body)
        assert ask(history).status == 200
        refused = ask(b'{"method":"get_objects"}')
        assert (refused.status, refused.json()["text"]) == (403, "requires scope database_api")
        assert ask(b"[]").status == 400
        assert ask(b"").status == 403
        assert ask(history, "X-Envoy-Auth-Partial-Body: true").status == 403
        assert ask(history, "X-Envoy-Auth-Partial-Body: false").status == 200
        assert ask(b" " * 8193).status == 413


@test
def a_revocation_counts_at_once_and_a_store_error_is_503():
    with Case() as c:
        token = c.token()
        credentials = (c.key["key"], token)
        run("key", "disable", c.key["id"], data=c.server.data, check=0)
        for credential in credentials:
            for a in forms(c, "/v2/account", "GET", auth(credential)):
                assert (a.status, a.body) == (401, INVALID)
        run("key", "enable", c.key["id"], data=c.server.data, check=0)
        assert [a.status for a in forms(c, "/v2/account", "GET", auth(token))] == [200] * 3
        # The table is gone: whoever it is, it cannot be known, once it is no longer remembered.
        for change in ("disable", "enable"):
            run("key", change, c.key["id"], data=c.server.data, check=0)
        c.rename("keys", "gone")
        for credential in credentials:
            assert [a.status for a in forms(c, "/v2/account", "GET", auth(credential))] == [503] * 3
        assert [a.status for a in forms(c, "/v2/items", "GET")] == [200] * 3


@test
def a_policy_file_is_reloaded_whole_or_not_at_all():
    with Case() as c:
        key = auth(c.key["key"])
        status = lambda path: c.ask("/v2/authorize" + path, key).status
        c.put({"default": "token"})
        assert status("/v2/nowhere") == 403  # not before it is told to
        c.reload("reloaded")
        assert status("/v2/nowhere") == 200
        c.put('{"default":"token",\n "routes":[{"path":"nowhere"}]}')
        c.server.write_config({"policy": c.policy, "leeway": 1})
        c.reload("reload_failed")
        line = next(l for l in c.server.log_lines() if l.get("event") == "reload_failed")
        assert "policy.json: line 2, column " in line["detail"], line
        assert status("/v2/nowhere") == 200
        os.unlink(c.policy)
        c.reload("reload_failed")
        assert status("/v2/nowhere") == 200
        # Another ring alone keeps it.
        run("secret", "rotate", data=c.server.data, check=0)
        assert status("/v2//nowhere") == 400
        c.server.write_config({})
        c.reload("reloaded")
        assert status("/v2//nowhere") == 200
    refused = Server(config={"policy": "/nonexistent/policy.json"})
    try:
        refused.start()
    except AssertionError as e:
        assert "/nonexistent/policy.json" in str(e) and "did not start" in str(e), e
    else:
        refused.stop(None)
        raise AssertionError("it started")


main()
