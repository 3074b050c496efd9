"""The recipes of src/edge through real proxies: nginx with auth_request, HAProxy, Caddy, and nginx with the module."""
from proxies import *


def through(make, log):
    with Case() as c, make(c) as p:
        token, bare = c.token(), c.token("--permissions", "guilds")
        listed = c.token("--urls", "GET:/v2/account")
        for credential, exp in ((token, str(payload(token)["exp"])), (c.key["key"], None)):
            told = sent(p.ask("/v2/account?x=%2F", auth(credential), *SPOOFED))
            assert told["x-subtoken-sub"] == payload(token)["sub"] and told["x-subtoken-key"] == c.key["id"], told
            assert told["x-subtoken-owner"] == "J%C3%B8rn" and told.get("x-subtoken-expires") == exp, told
            assert told["x-subtoken-permissions"].startswith("account,guilds"), told
        # The body and the target arrive as they were; a public route is told of nobody.
        answer = p.ask("/v2/account?x=%2F", auth(token), method="POST", body=b"some=body")
        asked = json.loads(answer.body)
        assert (asked["method"], asked["target"], asked["body"]) == ("POST", "/v2/account?x=%2F", "some=body")
        assert sent(p.ask("/v2/items", *SPOOFED)) == {}
        assert json.loads(p.ask("/v2/account?access_token=" + token).body)["method"] == "GET"
        preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]
        assert p.ask("/v2/account", *preflight, method="OPTIONS").status == 200
        assert p.ask("/v2/account", auth(listed)).status == 200
        before = len(p.upstream.seen)
        rows = [("/v2/account", [], "GET", 401), ("/v2/account", [auth(token + "x")], "GET", 401),
                ("/v2/account", [auth(bare)], "GET", 403), ("/v2/account", [auth(listed)], "PUT", 403),
                ("/v2/account/bank", [auth(token)], "GET", 403), ("/v2/nowhere", [auth(c.key["key"])], "GET", 403),
                ("/rpc", [auth(c.key["key"])], "POST", 403),
                # Sources of the caller's own do not count.
                ("/v2/account/bank", [auth(token)] + traefik_form("/v2/account"), "GET", 403),
                ("/v2/account/bank", [auth(token)] + nginx_form("/v2/account"), "GET", 403)]
        for target, headers, method, status in rows:
            answer = p.ask(target, *headers, method=method, body=b"{}" if method != "GET" else None)
            assert answer.status == status, (target, headers, method, answer.status, answer.body)
            assert answer.header("Content-Type").startswith("application/json") and answer.json()["text"]
            assert answer.header("Access-Control-Allow-Origin") == "*", "D8"
            if status == 401:
                assert answer.body == INVALID
                assert answer.header("WWW-Authenticate") == ('Bearer error="invalid_token"' if headers else "Bearer")
        for target in ("/v2//account", "/v2/x/../account", "//v2/account"):
            assert p.ask(target, auth(c.key["key"])).status == (400 if make is CaddyProxy else 403), target
        assert p.ask("/v2/account", auth(token), auth(token)).status in (400, 403)
        assert len(p.upstream.seen) == before
        assert p.ask("/v2/account", auth(token), *traefik_form("/v2/items")).status == 200
        # The server's own calls, through the proxy.
        assert p.ask("/v2/tokeninfo", auth(token)).json()["id"] == c.key["id"]
        # Failed logins are slowed by the address: it is not what the caller says.
        for target in ("/v2/account", "/v2/tokeninfo"):
            assert p.ask(target, auth(token), "X-Forwarded-For: 203.0.113.9").status == 200
        wait(lambda: c.server.log().count('"/v2/tokeninfo"') > 1, "the log")
        assert "203.0.113.9" not in c.server.log()
        run("key", "disable", c.key["id"], data=c.server.data, check=0)
        assert p.ask("/v2/account", auth(token)).status == 401
        run("key", "enable", c.key["id"], data=c.server.data, check=0)
        assert p.ask("/v2/account", auth(token)).status == 200
        c.rename("keys", "gone")
        before = len(p.upstream.seen)
        answer = p.ask("/v2/account", auth(token))
        assert answer.status == 503 and answer.header("Retry-After") == "5" and answer.json()["text"], answer.status
        c.server.stop()
        answer = p.ask("/v2/account", auth(token))
        assert answer.status == 503 and answer.header("Retry-After") == "5" and answer.json()["text"], answer.status
        assert len(p.upstream.seen) == before
        c.rename("gone", "keys")
        c.server.start()
        log(c, p, token)


@test
def nginx_auth_request():
    def after(c, p, token):
        log = open(os.path.join(p.dir, "access.log")).read()
        assert token not in log and c.key["key"] not in log and "sub=" + payload(token)["sub"] in log
        # D8: a refusal is logged as the request that it is about.
        for line in ('"POST /rpc" 403', '"PUT /v2/account" 403', '"GET /v2/account" 401', '"GET /v2/account" 503'):
            assert line in log, (line, log)
        assert "/.subtoken/" not in log
    through(NginxProxy, after)


@test
def haproxy_lua():
    through(HaproxyProxy, lambda c, p, token: None)


def throttled(make):
    with Case() as c, make(c) as p:
        login = "Authorization: Basic " + base64.b64encode(b"nobody:wrong password").decode()
        for _ in range(60):
            answer = p.ask("/v2/account", login)
            if answer.status == 429:
                break
            assert answer.status == 401, answer.status
        assert answer.status == 429 and 1 <= int(answer.header("Retry-After")) <= 60, (answer.status, answer.headers)
        assert answer.json()["text"] == "too many wrong passwords; try again later"
        assert answer.header("Access-Control-Allow-Origin") == "*"


@test
def wrong_passwords_are_429_through_nginx():  # D6
    throttled(NginxProxy)


@test
def wrong_passwords_are_429_through_haproxy():  # D6
    throttled(HaproxyProxy)


@test
def caddy_forward_auth():  # A3
    through(CaddyProxy, lambda c, p, token: None)


@test
def wrong_passwords_are_429_through_caddy():  # D6
    throttled(CaddyProxy)


@test
def haproxy_takes_access_token_off():
    with Case() as c, HaproxyProxy(c) as p:
        token = c.token()
        for query, left in (("access_token=%s", ""), ("a=%%2F&access_token=%s", "?a=%2F"),
                            ("access_token=%s&a", "?a"), ("a&access%%5Ftoken=%s&&b=%%20", "?a&&b=%20"),
                            ("access_token=%s&access_token=", "")):
            answer = p.ask("/v2/account?" + query % token)
            assert answer.status == 200, (query, answer.status, answer.body)
            target = json.loads(answer.body)["target"]
            assert target == "/v2/account" + left, (query, target)
        refused = p.ask("/v2/account/bank?access_token=" + token)
        assert refused.status == 403 and refused.json()["text"] == "requires scope inventories"
        # A server that takes the connection and says nothing: never let through.
        silent = socket.create_server(("127.0.0.1", 0))
        c.server.stop()
    with Case() as c:
        p = HaproxyProxy(c)
        p.write(silent.getsockname()[1])
        with p:
            answer = p.ask("/v2/account", auth(c.token()))
            assert answer.status == 503 and answer.header("Retry-After") == "5" and not p.upstream.seen
    silent.close()


main()
