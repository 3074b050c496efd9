"""The configurations of src/edge/examples in real proxies: nginx with auth_request, nginx with the module, HAProxy
and Caddy. Of Envoy and Traefik, which Debian does not have, what they would ask according to theirs is asked."""
import multiprocessing.pool
import yaml
from machine import alone
from proxies import *


def through(make, log):
    with Case() as c, make(c) as p:
        token = passes_and_denies(make, c, p)
        # Wrong passwords are throttled by the address: it is not what the caller says.
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
def nginx_auth_request_lets_through_what_the_policy_allows():
    def after(c, p, token):
        log = open(os.path.join(p.dir, "access.log")).read()
        assert token not in log and c.key["key"] not in log and "sub=" + payload(token)["sub"] in log
        # D8: a refusal is logged as the request that it is about.
        for line in ('"POST /rpc" 403', '"PUT /v2/account" 403', '"GET /v2/account" 401', '"GET /v2/account" 503'):
            assert line in log, (line, log)
        assert "/.subtoken/" not in log
    through(NginxProxy, after)


@test
def haproxy_lets_through_what_the_policy_allows():
    through(HaproxyProxy, lambda c, p, token: None)


@test
def apache_lets_through_what_the_policy_allows():
    with Case() as c, ApacheProxy(c) as p:
        token = passes_and_denies(ApacheProxy, c, p)
        for target in ("/v2/account", "/v2/tokeninfo"):
            assert p.ask(target, auth(c.key["key"]), "X-Forwarded-For: 203.0.113.9").status == 200
        wait(lambda: c.server.log().count('"/v2/tokeninfo"') > 1, "the log")
        assert "203.0.113.9" not in c.server.log()
        log = open(os.path.join(p.dir, "access.log")).read()
        assert "sub=" + payload(token)["sub"] in log and '"PUT /v2/account HTTP/1.1" 403' in log and "result=mac" in log


def throttled(make):
    with Case() as c, make(c) as p:
        basic = "Authorization: Basic " + base64.b64encode(b"nobody:wrong password").decode()
        for _ in range(60):
            answer = p.ask("/v2/account", basic)
            if answer.status == 429:
                break
            assert answer.status == 401, answer.status
        assert answer.status == 429 and 1 <= int(answer.header("Retry-After")) <= 60, (answer.status, answer.headers)
        assert answer.json()["text"] == "too many wrong passwords; try again later"
        assert answer.header("Access-Control-Allow-Origin") == "*"


def asks_for_a_password(make):
    """With the setting basic_challenge a 401 has two challenges, for clients that send a password only when asked."""
    case = Case()
    case.server.write_config({"policy": case.policy, "basic_challenge": True})
    with case as c, make(c) as p:
        answer = p.ask("/v2/account")
        challenges = [value for name, value in answer.headers if name.lower() == "www-authenticate"]
        assert answer.status == 401, answer.status
        assert challenges == ["Bearer", 'Basic realm="subtoken", charset="UTF-8"'], challenges


@test
def haproxy_asks_for_a_password():
    asks_for_a_password(HaproxyProxy)


@test
def caddy_asks_for_a_password():
    asks_for_a_password(CaddyProxy)


@test
def wrong_passwords_are_429_through_nginx():  # D6
    throttled(NginxProxy)


@test
def wrong_passwords_are_429_through_apache():
    throttled(ApacheProxy)


@test
def wrong_passwords_are_429_through_haproxy():  # D6
    throttled(HaproxyProxy)


@test
def caddy_lets_through_what_the_policy_allows():  # A3
    through(CaddyProxy, lambda c, p, token: None)


@test
def wrong_passwords_are_429_through_caddy():  # D6
    throttled(CaddyProxy)


@test
def wrong_passwords_are_429_through_haproxy_with_the_module():
    throttled(HaproxyModuleProxy)


def takes_access_token_off(make):
    with Case() as c, make(c) as p:
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


@test
def haproxy_takes_access_token_off():
    takes_access_token_off(HaproxyProxy)


@test
def haproxy_takes_access_token_off_with_the_module():
    takes_access_token_off(HaproxyModuleProxy)


# ---- what a caller says about himself ----

SPELLINGS = ["X_Subtoken_Sub: root", "X-Subtoken_Sub: root", "X_Subtoken-Sub: root", "x_subtoken_key: root",
             "X_SUBTOKEN_OWNER: root", "x-subtoken-sub: root", "X-SUBTOKEN-PERMISSIONS: admin", "X_Subtoken_Expires: 9",
             "x_Subtoken_permissions: admin"]
CONNECTIONS = [["Connection: close;X-Subtoken-Permissions"], ["Connection: a X-Subtoken-Sub"],
               ["Connection: ;X-Subtoken-Expires X-Subtoken-Sub X-Subtoken-Permissions"],
               ["Connection: close, X-Subtoken-Sub"], ["Connection: x-subtoken-sub , X-Subtoken-Permissions"],
               ["Connection: keep-alive", "Connection: X-SUBTOKEN-KEY,x-subtoken-owner"],
               ["Connection: Authorization2, X-Subtoken-Sub, X-Subtoken-Key, X-Subtoken-Owner, X-Subtoken-Permissions"]]


def spoofed_headers_change_nothing(make):  # A1, A3
    with Case() as c, make(c) as p:
        token = c.token()
        mine = identity_passed(p.ask("/v2/account", auth(token)))
        assert mine["x-subtoken-sub"] == payload(token)["sub"]
        for lines in [[line] for line in SPELLINGS] + [SPELLINGS, SPOOFED + SPELLINGS] + CONNECTIONS:
            answer = p.ask("/v2/account", auth(token), *lines)
            assert identity_passed(answer) == mine, (lines, identity_passed(answer))
            # The next hop would take off what Connection names.
            named = [v for n, v in json.loads(answer.body)["headers"] if n.lower() == "connection"]
            assert "subtoken" not in str(named).lower(), (lines, named)
            assert "root" not in answer.body and "placeholder" not in answer.body, answer.body
            # A public route is told of nobody: not by a caller, nor by the text of a placeholder.
            answer = p.ask("/v2/items", *lines)
            assert identity_passed(answer) == {}, (lines, identity_passed(answer))
            assert "root" not in answer.body and "{" not in "".join(v for _, v in json.loads(answer.body)["headers"])
        # What says which request it is, is not the caller's to say or to take off.
        for lines in (["Connection: X-Forwarded-Uri, X-Forwarded-Method, X-Original-URI, X-Original-Method"],
                      traefik_form("/v2/account"), nginx_form("/v2/account"), ["X-Original-URL: http://x/v2/account"],
                      ["X_Forwarded_Uri: /v2/account"], ["X-Subtoken-Nonce: 0123456789"]):  # D18: a nonce opens nothing
            answer = p.ask("/v2/account/bank", auth(token), *lines)
            assert answer.status == 403, (lines, answer.status)
            assert "root" not in str(answer.headers) and payload(token)["sub"] not in str(answer.headers)
            assert p.ask("/v2/nowhere", auth(token), *lines).status == 403
            assert p.ask("/v2/account", *lines).status == 401
        # What comes behind a body is no header, and subtoken_edges(7) names those that pass it on (TRAILERS).
        for more in ([], ["Trailer: X-Subtoken-Sub"]):
            answer = p.ask("/v2/account", auth(token), "Transfer-Encoding: chunked", *more, body=b"2\r\n{}\r\n0\r\nX-Subtoken-Sub: root\r\n\r\n")
            assert identity_passed(answer) == mine, (more, identity_passed(answer))
            assert bool(json.loads(answer.body)["trailers"]) == make.passes_trailers, (more, answer.body)


def no_token_for_an_audience(make):
    with Case() as c, make(c) as p:
        eu = issue(c.server.data, c.key["key"], "--permissions", "account", "--audience", "eu")
        bound = make_key(c.server.data, "account", "--audience", "eu", name="eu")["key"]
        for more in AUDIENCE_SAID:
            assert p.ask("/v2/account", auth(c.token()), *more).status == 200, more
            for credential in (eu, bound):
                assert p.ask("/v2/account", auth(credential), *more).status == 401, more


# Of a caller, who must not say it for the proxy.
AUDIENCE_SAID = ((), ("X-Subtoken-Audience: eu",), ("X_Subtoken_Audience: eu",), ("X-Subtoken-Audience: us",),
                 ("x-subtoken-audience:",), ("X-Subtoken-Audience: us", "X-Subtoken-Audience: us"),
                 ("Connection: X-Subtoken-Audience",))


def tokens_for_its_audience_alone(make, here, there):
    """here: what is put in place of a line of the configuration, so that the proxy has an audience."""
    with Case() as c:
        p = make(c)
        with p.write(c.server.port, [(here, there)]):
            token = {a: issue(c.server.data, c.key["key"], "--permissions", "account", "--audience", a) for a in ("eu", "us")}
            bound = {a: make_key(c.server.data, "account", "--audience", a, name=a)["key"] for a in ("eu", "us")}
            for more in AUDIENCE_SAID:
                for credential in (c.key["key"], token["eu"], bound["eu"]):
                    assert p.ask("/v2/account", auth(credential), *more).status == 200, more
                for credential in (c.token(), token["us"], bound["us"]):
                    assert p.ask("/v2/account", auth(credential), *more).status == 401, more


@test
def nginx_is_told_its_audience():
    tokens_for_its_audience_alone(NginxProxy, "# proxy_set_header X-Subtoken-Audience", "proxy_set_header X-Subtoken-Audience")


@test
def caddy_is_told_its_audience():
    tokens_for_its_audience_alone(CaddyProxy, "# header_up X-Subtoken-Audience", "header_up X-Subtoken-Audience")


@test
def haproxy_is_told_its_audience():
    tokens_for_its_audience_alone(HaproxyProxy, "  setenv SUBTOKEN_BODIES", "  setenv SUBTOKEN_AUDIENCE eu\n  setenv SUBTOKEN_BODIES")


class PassingProxy(NginxProxy):
    """nginx that passes a caller's headers on to the decision endpoint, as ingress-nginx does."""

    def places(self, endpoint):
        return super().places(endpoint) + [("proxy_pass_request_headers off;", "proxy_set_header 'X-Subtoken-Audience' '%s';" % self.AUDIENCE)]

    AUDIENCE = ""


class PassingProxyForEu(PassingProxy):
    AUDIENCE = "eu"


@test
def a_token_for_an_audience_does_not_pass_nginx_that_passes_headers_on():
    no_token_for_an_audience(PassingProxy)
    tokens_for_its_audience_alone(PassingProxyForEu, "proxy_cache off;", "proxy_cache off;")


@test
def a_token_for_an_audience_does_not_pass_nginx():
    no_token_for_an_audience(NginxProxy)


@test
def a_token_for_an_audience_does_not_pass_haproxy():
    no_token_for_an_audience(HaproxyProxy)


@test
def a_token_for_an_audience_does_not_pass_caddy():
    no_token_for_an_audience(CaddyProxy)


@test
def spoofed_headers_change_nothing_through_nginx():
    spoofed_headers_change_nothing(NginxProxy)


@test
def spoofed_headers_change_nothing_through_apache():
    spoofed_headers_change_nothing(ApacheProxy)


@test
def spoofed_headers_change_nothing_through_haproxy():
    spoofed_headers_change_nothing(HaproxyProxy)


@test
def spoofed_headers_change_nothing_through_haproxy_with_the_module():
    spoofed_headers_change_nothing(HaproxyModuleProxy)


@test
def spoofed_headers_change_nothing_through_caddy():
    spoofed_headers_change_nothing(CaddyProxy)


@test
def spoofed_headers_change_nothing_through_the_module():
    spoofed_headers_change_nothing(ModuleProxy)


@test
def haproxy_tells_all_of_an_identity_or_lets_nothing_pass():
    """It drops a header for which its buffer has no room, and does not say so."""
    many = ["p%02d%s" % (i, "x" * 30) for i in range(60)]
    with Case() as c:
        key = make_key(c.server.data, ",".join(["account"] + many))["key"]
        for make in (HaproxyProxy, HaproxyModuleProxy):
            seen = set()
            with make(c) as p:
                for size in (0, 6000, 9000, 10000, 11000, 11500, 12000, 12300, 12500, 12700, 13000, 14000):
                    answer = p.ask("/v2/account", auth(key), "Cookie: " + "c" * size)
                    seen.add(answer.status)
                    told = identity_passed(answer) if answer.status == 200 else {}
                    assert answer.status != 200 or told["x-subtoken-permissions"].count(",") == 60, (size, told.keys())
            assert 200 in seen and seen - {200} and seen <= {200, 400, 500, 503}, seen


def no_upgrade_hides_requests(make):
    """Behind `Upgrade: h2c` an API reads requests, identity and all, which the proxy sees no more."""
    with Case() as c, make(c) as p:
        for lines in (["Upgrade: h2c"], ["Upgrade: H2C", "HTTP2-Settings: AAMAAABkAAQAAP__"], ["Upgrade: websocket, h2c"],
                      ["Upgrade: websocket", "Upgrade: h2c"], ["Upgrade: h2c", "Upgrade: websocket"], ["Upgrade: HTTP/2.0"]):
            more = ", HTTP2-Settings" if len(lines) > 1 else ""
            answer = p.ask("/v2/items", "Connection: Upgrade" + more, *lines)  # 400: HAProxy, of WebSocket without a key
            assert answer.status == 200 or "websocket" in str(lines), (lines, answer.body)
        passed = [n for asked in p.upstream.seen for n, _ in asked["headers"] if n.lower() == "upgrade"]
        assert len(p.upstream.seen) >= 4 and not passed, p.upstream.seen
        lines = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        answer = p.ask("/v2/items", "Connection: Upgrade", *lines)
        passed = [v for n, v in json.loads(answer.body)["headers"] if n.lower() == "upgrade"]
        assert passed == ([] if make in (NginxProxy, ModuleProxy, ApacheProxy) else ["websocket"]), answer.body


@test
def no_upgrade_hides_requests_through_nginx():
    no_upgrade_hides_requests(NginxProxy)


@test
def no_upgrade_hides_requests_through_apache():
    no_upgrade_hides_requests(ApacheProxy)


@test
def no_upgrade_hides_requests_through_haproxy():
    no_upgrade_hides_requests(HaproxyProxy)


@test
def no_upgrade_hides_requests_through_haproxy_with_the_module():
    no_upgrade_hides_requests(HaproxyModuleProxy)


@test
def no_upgrade_hides_requests_through_caddy():
    no_upgrade_hides_requests(CaddyProxy)


@test
def no_upgrade_hides_requests_through_the_module():
    no_upgrade_hides_requests(ModuleProxy)


# ---- what is written down ----

def secrets_of(credential):
    """Pieces of it that nobody may find in a log."""
    parts = [credential] + (credential.split(".")[1:] if "." in credential else [credential[36:]])
    return [p for p in parts if len(p) > 20]


def send_secrets(p, key, token):
    """Each credential in every form and place, on routes of every kind."""
    basic = base64.b64encode(b"login:" + key[36:].encode()).decode()
    asks = []
    for credential in (key, token):
        for target in ("/v2/account", "/v2/items", "/v2//account", "/v2/createsubtoken", "/v2/tokeninfo"):
            for name in ("access_token", "a=b&access%5Ftoken", "a&&%61%63cess_token"):
                asks += [("%s?%s=%s" % (target, name, credential), []), ("%s?%s=%%%%%s%%" % (target, name, credential), []),
                         ("%s?%s=%s&x=%%zz" % (target, name, credential), ["Referer: https://a/b?%s=%s" % (name, credential)])]
            asks += [(target, [auth(credential), "Referer: https://a/?access_token=" + credential]),
                     (target, ["X-API-Key: " + credential, "Cookie: t=" + credential])]
        asks.append(("/v2/account", ["Authorization: Basic " + basic]))
    with multiprocessing.pool.ThreadPool(24) as pool:  # HAProxy takes 3 seconds to find that nobody answers
        pool.map(lambda each: p.ask(each[0], *each[1]), asks)
        pool.map(lambda each: p.ask(each[0], *each[1], method="POST", body=b"{}"), asks[::9])
    return [basic]


def send_refused(p, key, token):
    """What a proxy refuses by itself, before it has looked where it would go."""
    for credential in (key, token):
        line = "GET /v2/account?a=b&access_token=%s%%s HTTP/1.1\r\n" % credential
        for text in (line % "" + "\r\n", line % "" + "Host: a/b\r\n\r\n", line % "" + "Host: a\r\nHost: b\r\n\r\n",
                     line % "" + "Host: a\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y\r\n\r\n",
                     line % "" + "Host: a\r\nX: " + "x" * 40000 + "\r\n\r\n", line % "" + "Host: a\r\nBad Name: x\r\n\r\n",
                     line % "" + "Host: a\r\nContent-Length: x\r\n\r\n", line % "" + "Host: a\r\nTransfer-Encoding: x\r\n\r\n",
                     line % " x" + "Host: a\r\n\r\n", line % "\x01" + "Host: a\r\n\r\n", line % "#x" + "Host: a\r\n\r\n",
                     (line % "").replace("1.1", "9.9") + "Host: a\r\n\r\n", (line % "").replace("GET", "G@T") + "Host: a\r\n\r\n",
                     (line % "").replace("/v2", "/%zz") + "Host: a\r\n\r\n", (line % "").replace("/v2", "/../..") + "Host: a\r\n\r\n",
                     (line % "").replace("/v2", "v2") + "Host: a\r\n\r\n", (line % "").replace(" HTTP/1.1", "") + "Host: a\r\n\r\n",
                     line % ("&c=" + "c" * 9000) + "Host: a\r\n\r\n", line % ("&c=" + "c" * 40000) + "Host: a\r\n\r\n"):
            s = Client(p.socket).socket
            try:
                s.sendall(text.encode("latin-1"))
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:
                pass
            s.close()


def logs_are_clean(make):  # B2
    with Case() as c:
        token, key = c.token(), c.key["key"]
        p = make(c)
        with p:
            for gone in ("nothing", "the API", "the server"):
                if gone == "the API":
                    p.upstream.vanish()
                elif gone == "the server":
                    c.server.stop()
                basics = send_secrets(p, key, token)
                if gone == "nothing":
                    send_refused(p, key, token)
            lines = p.written()
            assert lines, "it logs nothing"
        text = p.written() + c.server.log()
        for secret in secrets_of(key) + secrets_of(token) + basics:
            found = [l for l in text.splitlines() if secret in l]
            assert not found, (len(found), found[0][:1000])
        c.server.start()
        return text


@test
def no_secrets_in_logs_of_nginx():
    text = logs_are_clean(NginxProxy)
    for each in ('"GET /v2/account" 503', '"GET /v2/items" 502', 'asked=200 upstream="'):
        assert each in text, (each, text[:3000])


@test
def no_secrets_in_logs_of_the_module():
    text = logs_are_clean(ModuleProxy)
    assert '"GET /v2/account" 400' in text, "nginx refused it by itself"
    assert '"GET /v2/account HTTP/1.1"' in text, "a query of nothing else is gone"
    assert "while connecting to upstream" in text, "the error log tells of upstreams all the same"
    assert re.search('upstream: "http://127.0.0.1:[0-9]+/v2/createsubtoken"', text), "without the query"


@test
def no_secrets_in_logs_of_apache():
    text = logs_are_clean(ApacheProxy)
    assert '"GET /v2/account HTTP/1.1" 400' in text, "httpd refused it by itself"
    assert '"GET /v2/account?a=b HTTP/1.1"' in text and '"GET /v2/items HTTP/1.1" 50' in text, text[:3000]


@test
def no_secrets_in_logs_of_haproxy():  # D22
    text = logs_are_clean(HaproxyProxy)
    assert re.search(r"\[.*\] GET /v2/account 401 ", text), "its own format is in force"
    assert re.search(r"\[.*\] POST /v2/account 503 ", text)


@test
def no_secrets_in_logs_of_haproxy_with_the_module():
    assert "result=ok sub=" in logs_are_clean(HaproxyModuleProxy)


@test
def no_secrets_in_logs_of_caddy():
    text = logs_are_clean(CaddyProxy)
    assert '"uri":"/v2/account"' in text and '"status":503' in text and '"level":"error"' in text


# ---- what real requests are like ----

def long_and_many(make, status=200):  # D8, E9
    with Case() as c, make(c) as p:
        token = c.token()
        lines = ["X-%d: v" % i for i in range(90)]
        cookie = "Cookie: a=" + "c" * 6000
        for credential in (token, c.key["key"]):
            answer = p.ask("/v2/account?q=" + "q" * 4000, auth(credential), cookie)
            assert answer.status == status, (answer.status, answer.body)
            assert p.ask("/v2/account", auth(credential), *lines).status == 200
            assert p.ask("/v2/account", "X-API-Key: " + credential, *lines).status == 200
        assert p.ask("/v2/account", auth(token + "x"), cookie, *lines[:40]).status == 401
        return c, p


@test
def long_requests_pass_through_nginx():
    long_and_many(NginxProxy)


@test
def long_requests_pass_through_the_module():
    long_and_many(ModuleProxy)


@test
def long_requests_pass_through_apache():
    long_and_many(ApacheProxy)


@test
def long_requests_pass_through_haproxy():
    long_and_many(HaproxyProxy)


@test
def long_and_many_requests_through_haproxy_with_the_module():
    long_and_many(HaproxyModuleProxy)


@test
def large_bodies_pass_through_nginx():  # D8
    with Case() as c:
        p = NginxProxy(c).write(c.server.port, [("      # Without a path behind", "      client_max_body_size 8m;\n      #")])
        with p:
            body = b"b" * (2 << 20)
            for credential, path, status in ((c.token(), "/v2/account", 200), (c.token(), "/v2/account/bank", 403), ("x", "/v2/account", 401)):
                answer = p.ask(path, auth(credential), method="POST", body=body)
                assert answer.status == status, (answer.status, status)
                assert status != 200 or len(json.loads(answer.body)["body"]) == len(body)


@test
def auth_request_works_with_the_module_loaded():  # D8
    with Case() as c:
        p = NginxProxy(c).write(c.server.port, [("worker_processes auto;", "load_module %s; worker_processes auto;" % MODULE)])
        p.env = module_env()
        with p:
            answer = p.ask("/v2/account", auth(c.token()))
            assert answer.status == 200 and identity_passed(answer)["x-subtoken-key"] == c.key["id"]


@test
def the_form_of_ingress_nginx_is_decided_rightly():  # D7
    """nginx asks as ingress-nginx does: by the absolute URL, in which the host is what the caller sent as Host."""
    with Case() as c:
        p = NginxProxy(c).write(c.server.port, [("X-Original-URI $request_uri", "X-Original-URL $scheme://$http_host$request_uri")])
        with p:
            token, listed = c.token(), c.token("--urls", "GET:/v2/account")
            assert p.ask("/v2/account?a=/b", auth(token)).status == 200
            assert p.ask("/v2/account?access_token=" + token).status == 200
            assert p.ask("/v2/account", auth(listed)).status == 200
            assert p.ask("/v2/account", auth(listed), method="PUT").status == 403
            for target in ("/v2/account/bank", "/v2//account", "/v2/x/../account", "//v2/account", "/v2/account/"):
                assert p.ask(target, auth(token)).status == 403, target
            before = len(p.upstream.seen)
            for host in ("api.example?", "api.example#", "u@api.example", "a?/v2/items", "a#b", "a?b=http://c", "a;b", "a b", "a\\b"):
                s = Client(p.socket).socket
                s.sendall(("GET /v2/account HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n" % (host, auth(token))).encode())
                status = s.makefile("rb").readline().split()[1]
                s.close()
                assert status in (b"400", b"403"), (host, status)
            assert len(p.upstream.seen) == before


# ---- proxies that Debian does not have ----

def example(name):
    """The documents of a configuration that was not run."""
    with open(os.path.join(EXAMPLES, name)) as f:
        text = f.read()
    assert "\n# NOT RUN: " in text, name
    return list(yaml.safe_load_all(text))


def recorded(name):
    """What the proxy of this configuration sends, as its source has it."""
    with open(os.path.join(TESTS, "vectors", "proxies.json")) as f:
        (form,) = [form for form in json.load(f) if form["recipe"] == name]
    return form


def asker(form, listed=(), prefix=""):
    """ask(case, target, method, headers) in this form. What it sets overwrites what the caller sent."""
    def ask(case, target, method, headers):
        words = {"method": method, "target": target, "prefix": prefix, "address": prefix, "client": "192.0.2.1",
                 "host": "api.example", "authority": "subtoken:8080"}
        sets = {name: value.format(**words) for name, value in form["sets"].items()
                if name != "Host"}  # the client here sends one
        gone = {n.lower() for n in sets} | set(form.get("removes", ()))
        kept = {n.lower() for n in listed} | set(form["always"])
        passed = [h for h in headers if h.split(":")[0].lower() not in gone and
                  (form["passes"] == "all" or h.split(":")[0].lower() in kept)]
        answer = case.ask(form["target"].format(**words), *passed, *["%s: %s" % s for s in sets.items()],
                          method=form["method"].format(**words))
        pairs = list(zip(form["refuses"][::2], form["refuses"][1::2]))
        low, high = form["allows"]
        assert low <= answer.status <= high or any(a <= answer.status <= b for a, b in pairs), (
            form["proxy"], target, answer.status)
        return answer
    return ask


def without_the_proxy(ask, forwarded, ambiguous=400):
    """What a proxy would ask is decided rightly; ask(case, target, method, headers) asks it, forwarded are the names,
    in lower case, of the headers of the answer that go on to the API."""
    with Case() as c:
        token, bare = c.token(), c.token("--permissions", "guilds")
        listed = c.token("--urls", "GET:/v2/account")
        key = "X-API-Key: " + c.key["key"]
        for headers in ([auth(token)], [auth(listed)], [auth(c.key["key"])], [key], [auth(token), *SPOOFED]):
            answer = ask(c, "/v2/account?x=%2F", "GET", headers)
            assert answer.status == 200 and who(answer)["Key"] == c.key["id"], (headers, answer.status, answer.body)
            assert forwarded == {n.lower() for n, _ in answer.headers if n.lower().startswith("x-subtoken-")}
        preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"]
        assert ask(c, "/v2/account", "OPTIONS", preflight).status == 200
        eu = c.token("--audience", "eu")
        for said in ([], ["X-Subtoken-Audience: eu"], ["x-subtoken-audience: eu"]):
            assert ask(c, "/v2/account", "GET", [auth(token), *said]).status == 200, said
            assert ask(c, "/v2/account", "GET", [auth(eu), *said]).status == 401, said
        # On a public route all five are empty: they overwrite a caller's.
        answer = ask(c, "/v2/items", "GET", SPOOFED)
        assert answer.status == 200 and set(who(answer).values()) == {""}, answer.headers
        for target, headers, method, status in denied(c.key["key"], token, bare, listed):
            told = ask(c, target, method, headers).status
            # Who is told of another request by the caller's own header may refuse it for that.
            assert told == status or (told in (400, 403) and status == 403 and len(headers) > 1), (target, headers, method, told)
        for target in ("/v2//account", "/v2/x/../account", "//v2/account"):
            assert ask(c, target, "GET", [key]).status == ambiguous, target


@test
def what_envoy_would_ask_by_its_example_is_decided():
    conf = example("envoy.yaml")[0]["static_resources"]
    (listener,), clusters = conf["listeners"], conf["clusters"]
    assert listener["address"]["socket_address"]["address"] == "127.0.0.1"
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["common_http_protocol_options"] == {"headers_with_underscores_action": "DROP_HEADER"}
    log = manager["access_log"][0]["typed_config"]["log_format"]["text_format_source"]["inline_string"]
    assert "PATH" not in log.upper(), "a query may hold a credential"
    filters = {f["name"].split(".")[-1]: f["typed_config"] for f in manager["http_filters"]}
    assert list(filters) == ["header_mutation", "ext_authz", "router"], "spoofed headers are removed before"
    removed = {m["remove"] for m in filters["header_mutation"]["mutations"]["request_mutations"]}
    authz = filters["ext_authz"]
    assert authz["failure_mode_allow"] is False and authz["status_on_error"] == {"code": "ServiceUnavailable"}
    allowed = {p["exact"] for p in authz["allowed_headers"]["patterns"]}
    service = authz["http_service"]
    assert service["authorization_response"]["allowed_upstream_headers"] == {"patterns": [{"prefix": "x-subtoken-"}]}
    told = {p["exact"] for p in service["authorization_response"]["allowed_client_headers"]["patterns"]}
    assert {"www-authenticate", "retry-after", "content-type"} <= told
    (host,) = manager["route_config"]["virtual_hosts"]
    used = {r["route"]["cluster"] for r in host["routes"]} | {service["server_uri"]["cluster"]}
    assert used == {x["name"] for x in clusters} == {x["load_assignment"]["cluster_name"] for x in clusters}
    own = {r["match"].get("path") for r in host["routes"] if r["route"]["cluster"] == "subtoken"}
    off = {r["match"].get("path") for r in host["routes"] if "typed_per_filter_config" in r}
    assert own == off == {"/v2/createsubtoken", "/v2/tokeninfo"}, "what is not asked goes to the server alone"

    assert "with_request_body" not in authz and not removed & allowed
    assert {"content-type", "content-encoding"} <= allowed, "where it is, another text may be in the body"
    without_the_proxy(asker(recorded("envoy.yaml"), allowed, service["path_prefix"]), removed)


@test
def what_traefik_would_ask_by_its_example_is_decided():
    fields = example("traefik.yaml")[0]["accessLog"]["fields"]
    assert fields["defaultMode"] == fields["headers"]["defaultMode"] == "drop"
    assert not {"RequestPath", "RequestLine"} & set(fields["names"]), "a query may hold a credential"
    conf = example("traefik-subtoken.yaml")[0]["http"]
    auth_of = conf["middlewares"]["subtoken"]["forwardAuth"]
    assert auth_of["trustForwardHeader"] is False
    allowed = {n.lower() for n in auth_of["authRequestHeaders"]}
    routers = conf["routers"]
    asked = {n for n, r in routers.items() if "subtoken" in r.get("middlewares", [])}
    assert asked == {n for n, r in routers.items() if r["service"] == "api"}, "nothing else reaches the API"
    assert all("upgrade" in routers[n]["middlewares"] for n in asked), "the API reads no h2c behind the decision"
    assert conf["middlewares"]["upgrade"]["headers"]["customRequestHeaders"] == {"Upgrade": ""}
    path = "/" + auth_of["address"].split("/", 3)[3]

    assert "forwardBody" not in auth_of and "preserveRequestMethod" not in auth_of
    for line in SPELLINGS + SPOOFED:  # Go writes X_Subtoken_Sub as X_subtoken_sub
        assert re.search(auth_of["authResponseHeadersRegex"], line.split(":")[0].capitalize()), line
    without_the_proxy(asker(recorded("traefik-subtoken.yaml"), allowed, path), {n.lower() for n in auth_of["authResponseHeaders"]})


FIVE = {"x-subtoken-" + n.lower() for n in NAMES}
ASKED_WITH = {"authorization", "x-api-key", "origin", "access-control-request-method", "mcp-method", "mcp-name",
              "mcp-protocol-version"}


@test
def what_ingress_nginx_would_ask_by_its_example_is_decided():
    api, told, own, settings = example("ingress-nginx.yaml")
    only = re.fullmatch(r'if \(\$http_upgrade ~\* "(.*)"\) \{ return 400; \}', settings["data"]["server-snippet"])[1]
    assert [re.search(only, u) is not None for u in ("h2c", "websocket,h2c", "HTTP/2.0", "websocket")] == [True] * 3 + [False]
    prefix = "nginx.ingress.kubernetes.io/"
    notes = {k[len(prefix):]: v for k, v in api["metadata"]["annotations"].items()}
    assert set(notes) == {"auth-url", "auth-response-headers", "auth-proxy-set-headers"}, "the form that is recorded hangs on no other"
    assert notes["auth-proxy-set-headers"] == "%(namespace)s/%(name)s" % told["metadata"] and told["data"] == {"X-Subtoken-Audience": ""}
    assert {n.lower() for n in notes["auth-response-headers"].split(",")} == FIVE
    (path,) = [p for rule in api["spec"]["rules"] for p in rule["http"]["paths"]]
    assert (path["path"], path["pathType"], path["backend"]["service"]["name"]) == ("/", "Prefix", "api")
    paths = [p for rule in own["spec"]["rules"] for p in rule["http"]["paths"]]
    assert {(p["path"], p["pathType"], p["backend"]["service"]["name"]) for p in paths} == {
        ("/v2/createsubtoken", "Exact", "subtoken"), ("/v2/tokeninfo", "Exact", "subtoken")}
    assert settings["data"]["enable-underscores-in-headers"] == "false" and settings["data"]["error-log-level"] == "emerg"
    assert not re.search(r"\$request\b|\$request_uri|\$args|\$query_string|\$http_referer", settings["data"]["log-format-upstream"])
    url = notes["auth-url"]
    assert url.startswith("http://subtoken.")
    # What is ambiguous is 403: nginx would make a 500 of a 400.
    form = recorded("ingress-nginx.yaml")
    form["removes"] += [n.lower() for n, value in told["data"].items() if value == ""]  # by nginx, which sends no empty header
    without_the_proxy(asker(form, prefix="/" + url.split("/", 3)[3]), FIVE, ambiguous=403)


@test
def what_the_gateway_api_would_ask_by_its_example_is_decided():
    (route,) = example("gateway-api.yaml")
    own, api = route["spec"]["rules"]
    assert {(m["path"]["type"], m["path"]["value"]) for m in own["matches"]} == {
        ("Exact", "/v2/createsubtoken"), ("Exact", "/v2/tokeninfo")} and own["backendRefs"] == [{"name": "subtoken", "port": 8080}]
    (asks,) = api["filters"]
    assert asks["type"] == "ExternalAuth" and "forwardBody" not in asks["externalAuth"]
    found = asks["externalAuth"]
    assert found["protocol"] == "HTTP" and found["backendRef"]["name"] == "subtoken"
    allowed = {n.lower() for n in found["http"]["allowedHeaders"]}
    assert ASKED_WITH <= allowed and not any("original" in n or "uri" in n or "subtoken" in n for n in allowed)
    assert {n.lower() for n in found["http"]["allowedResponseHeaders"]} == FIVE
    without_the_proxy(asker(recorded("gateway-api.yaml"), allowed, found["http"]["path"]), FIVE)


@test
def what_envoy_gateway_would_ask_by_its_example_is_decided():
    policy, api, own = example("envoy-gateway.yaml")
    asks = policy["spec"]["extAuth"]
    assert [(t["kind"], t["name"]) for t in policy["spec"]["targetRefs"]] == [("HTTPRoute", api["metadata"]["name"])]
    assert asks["failOpen"] is False and asks["statusOnError"] == 503 and "bodyToExtAuth" not in asks
    assert {m["path"]["value"] for r in own["spec"]["rules"] for m in r["matches"]} == {"/v2/createsubtoken", "/v2/tokeninfo"}
    assert all("filters" not in r for r in api["spec"]["rules"])
    allowed = {n.lower() for n in asks["headersToExtAuth"]}
    assert ASKED_WITH | {"content-type", "content-encoding"} <= allowed, "where it is, another text may be in the body"
    assert not any("original" in n or "uri" in n or "subtoken" in n for n in allowed)
    assert {n.lower() for n in asks["http"]["headersToBackend"]} == FIVE and "pathOverride" not in asks["http"]
    without_the_proxy(asker(recorded("envoy-gateway.yaml"), allowed, asks["http"]["path"]), FIVE)


# ---- the module and a server with a policy of its own ----

def identified(p, policy, i, key, basic):
    history = b'{"method":"call","params":["history","x",[]],"id":1}'
    database = b'{"method":"call","params":["database","x",[]],"id":1}'
    for credential in ("X-API-Key: " + key, "Authorization: Basic " + basic):
        rows = [("/rpc", "POST", history, 200), ("/rpc", "POST", database, 403), ("/rpc", "GET", None, 403),
                ("/v2/account", "GET", None, 200), ("/v2/account", "PUT", b"x", 200), ("/v2/items", "GET", None, 200),
                ("/v2/account/bank", "GET", None, 403), ("/v2/nowhere", "GET", None, 403), ("/v2//account", "GET", None, 400)]
        for target, method, body, status in rows[i:] + rows[:i]:  # each is the first that asks
            answer = p.ask(target, credential, method=method, body=body)
            assert answer.status == status, (policy, credential[:20], target, method, answer.status, answer.body)
    for credential in ("X-API-Key: " + key[:-1] + ("0" if key[-1] != "0" else "1"), "Authorization: Basic dTpw"):
        for target in ("/rpc", "/v2/account"):
            answer = p.ask(target, credential, method="POST", body=history)
            assert (answer.status, answer.body) == (401, INVALID), (policy, credential, answer.status)
    assert p.ask("/rpc", method="POST", body=database).status == 200
    assert p.ask("/rpc", method="POST", body=history).status == 401


@test
def the_module_identifies_callers_whatever_the_servers_policy():
    """Whatever the server's policy says of a request, whose the credential is, is known at the edge: a key's, a
    user's, and nobody's."""
    policies = (POLICY, {"default": "deny"}, {"default": "public"}, None,
                {"default": "deny", "routes": [{"path": "/*", "needs": ["guilds", "inventories"]}]})
    with Case() as c:
        run("user", "create", "*", "--permissions", "database_api", data=c.server.data, check=0)
        for i, policy in enumerate(policies):
            c.server.write_config({} if policy is None else {"policy": c.policy})
            c.put(policy or {})
            c.reload("reloaded")
            key = make_key(c.server.data, "account,history_api", name="key%d" % i)["key"]
            run("user", "create", "user%d" % i, "--permissions", "account,history_api", data=c.server.data,
                stdin="correct horse %d\n" % i, check=0)
            basic = base64.b64encode(("user%d:correct horse %d" % (i, i)).encode()).decode()
            with ModuleProxy(c) as p:  # a new one, which remembers nothing
                identified(p, policy, i, key, basic)


@test
def wrong_passwords_are_429_through_the_module():  # D6
    throttled(ModuleProxy)


# ---- a server that does not answer ----

def silent(make):  # E7
    """How many connections one request costs, and how many seconds."""
    with Silent() as end, Case() as c:
        p = make(c).write(end.port)
        with p:
            began = time.monotonic()
            answer = p.ask("/v2/account", auth(c.key["key"]))
            took = alone(began)
            assert answer.status == 503 and answer.header("Retry-After") == "5" and not p.upstream.seen, answer.status
        return len(end.taken), took


@test
def a_silent_server_costs_little():
    for make, connections in ((NginxProxy, 1), (ModuleProxy, 1), (ApacheProxy, 2), (HaproxyProxy, 4), (CaddyProxy, 1)):
        count, took = silent(make)
        assert count <= connections and took < 6.5, (make, count, took)


@test
def haproxy_probes_find_the_server_alive():  # D10
    for check in ("option httpchk", "option httpchk GET /readyz", "option httpchk\n  http-check send meth GET uri /healthz ver HTTP/1.1",
                  "option httpchk\n  http-check send meth HEAD uri /readyz ver HTTP/1.0", ""):
        with Case() as c:
            lines = "backend subtoken\n  timeout check 9s\n  %s\n  default-server check inter 50 fall 2 rise 2\n" % check
            p = HaproxyProxy(c).write(c.server.port, [("backend subtoken\n", lines)])
            with p:
                path = re.search(r"/\w+", check)
                path = '"path":"%s"' % (path[0] if path else "/")
                wait(lambda: not check or c.server.log().count(path) > 8, "probes: " + check)
                assert p.ask("/v2/tokeninfo", auth(c.key["key"])).status == 200, (check, p.text())
                assert "is DOWN" not in p.text(), (check, p.text())
                # It is no prober that finds everything alive.
                c.server.stop()
                wait(lambda: "is DOWN" in p.text(), "the server is gone: " + check)
            c.server.start()


# ---- nginx's own ways ----

def inherited_cache(make):  # A5
    with Case() as c:
        p = make(c)
        p.write(c.server.port, [("  upstream api {", """  proxy_cache_path %s/cache keys_zone=z:1m; proxy_cache z; proxy_cache_key all;
            proxy_cache_valid any 1h; proxy_ignore_headers Cache-Control Set-Cookie Expires Vary;
            upstream api {""" % p.dir)])
        with p:
            for _ in range(3):
                assert p.ask("/v2/account", auth(c.key["key"])).status == 200
                for credential in ("garbage", c.key["key"][:-1] + "x", c.token() + "x"):
                    assert p.ask("/v2/account", auth(credential)).status == 401, credential
                assert p.ask("/v2/account").status == 401
            assert len(p.upstream.seen) == 1, "what the API says is kept, as it was asked to be"


@test
def an_inherited_cache_lets_nobody_in_without_the_module():
    inherited_cache(NginxProxy)


@test
def an_inherited_cache_lets_nobody_in_with_the_module():
    inherited_cache(ModuleProxy)


def few_connections(make):  # E5
    answers = {}

    def say(asked):
        who = dict((k.lower(), v) for k, v in asked["headers"]).get("authorization")
        return answers[who], nonce(asked) + [("X-Subtoken-Sub", "s"), ("X-Subtoken-Permissions", "account")], "words"
    with Case() as c:
        end = Upstream(os.path.join(shared_dir(), "up"), say)
        with make(c).write("unix:" + end.path) as p:
            for i in range(30):
                answers["Bearer K%d" % i] = (200, 401, 403)[i % 3]
                assert p.ask("/v2/account", auth("K%d" % i)).status in (200, 401, 403)
            assert len(end.seen) == 30 and end.connections == 1, (len(end.seen), end.connections)
            # A server that ends connections while it is asked is asked again.
            end.only_first = True
            for i in range(30):
                assert p.ask("/v2/account", auth("K%d" % i)).status in (200, 401, 403)
        end.vanish()


@test
def one_connection_serves_many_questions_without_the_module():
    few_connections(NginxProxy)


@test
def one_connection_serves_many_questions_with_the_module():
    few_connections(ModuleProxy)


@test
def http_0_9_is_authenticated_by_the_module():  # A2: to put identity into
    with Case() as c, ModuleProxy(c) as p:
        for credential in (c.token(), c.key["key"], c.token() + "x"):
            s = Client(p.socket).socket
            s.sendall(("GET /v2/account?access_token=%s\r\n" % credential).encode())
            body = s.makefile("rb").read()
            s.close()
            if credential.endswith("x"):
                assert body.decode() == INVALID, body
            else:
                told = {k.lower(): v for k, v in json.loads(body)["headers"]}
                assert told["x-subtoken-sub"] == payload(c.token())["sub"], told


main()
