"""The nginx module in a real nginx, in front of an upstream that tells what it was sent: credentials, targets, headers,
JSON-RPC bodies, and nginx's own ways around. Configuration and files: test_nginx_config.py; whole keys:
test_nginx_keys.py; when a request is checked: test_nginx_phases.py."""
from nginx import *

# ---- answers ----

@test
def refusals_are_answered_as_by_the_server():
    """The same request to the server's own tokeninfo and to nginx: same status, body and headers."""
    n = Nginx("subtoken on; " + UP)
    other = jwt(("", os.urandom(32)), {"sub": "x" * 43, "iat": 1, "exp": 2, "permissions": []})
    good, path = n.token(), "/v2/tokeninfo"
    cases = [((), None), ((), other), ((), "no.token"), (("X-API-Key: " + good,), other),
             (("Authorization: Basic eDp5",), None), ((), n.token("--urls", "/v2/other")),
             (("X-API-Key: " + good, "X-API-Key: x"), None), ((), jwt(n.signer, {}))]
    same = ("Content-Type", "Cache-Control", "X-Content-Type-Options", "Access-Control-Allow-Origin",
            "Access-Control-Expose-Headers", "WWW-Authenticate", "Retry-After", "Content-Length")
    with n, Server(data=n.data) as server:
        for extra, token in cases:
            lines = list(extra) + (["Authorization: Bearer " + token] if token else [])
            theirs = curl(server.url + path, *sum((["-H", h] for h in lines), []))
            ours = n.ask(path, *lines)
            assert (ours.status, ours.body) == (theirs.status, theirs.body), (ours.body, theirs.body)
            assert ours.status in (400, 401, 403)
            for name in same:
                assert ours.header(name) == theirs.header(name), (name, extra, ours.headers)
        for target in (path + "?access_token=%zz", path + "?access_token=a.b.c&access_token=d.e.f"):
            theirs, ours = curl(server.url + target), n.ask(target)
            assert (ours.status, ours.body) == (theirs.status, theirs.body) and ours.status == 400
        assert n.ask(path, token=good).status == 200
        head = n.ask(path, method="HEAD")
        assert (head.status, head.body, head.header("Content-Length")) == (401, "", str(len(INVALID)))


@test
def a_credential_is_read_from_each_place():
    n = Nginx(ON)
    with n:
        t, other = n.token(), n.token("--permissions", "account")
        for headers, target in ((["Authorization: Bearer " + t], "/a"), (["authorization: bEARER   " + t], "/a"),
                                (["X-API-Key: " + t], "/a"), (["x-api-key:  " + t + "  "], "/a"),
                                (["Authorization:\t Bearer " + t + " \t"], "/a"), (["X-API-Key: \t" + t + "\t "], "/a"),
                                ([], "/a?access_token=" + t), ([], "/a?x&access%5ftoken=" + t.replace(".", "%2e")),
                                (["X-API-Key: " + t, "Authorization: Bearer " + t], "/a?access_token=" + t),
                                (["X-API-Key: ", "Authorization: Bearer " + t], "/a?access_token=&access_token")):
            assert n.status(target, *headers) == 200, (headers, target, result(n))
        # This nginx sees to two of these by itself, with its own page.
        assert n.status("/a", *["Authorization: Bearer " + t] * 2) == 400
        assert n.status("/a", "Authorization: Bearer " + t, "Authorization: Basic eDp5") == 400
        for headers, target in ((["Authorization: Bearer " + t, "X-API-Key: " + other], "/a"),
                                (["X-API-Key: " + t, "X-API-Key: " + other], "/a"),
                                (["Authorization: Basic eDp5", "X-API-Key: " + t], "/a"),
                                (["X-API-Key: " + t], "/a?access_token=" + other)):
            answer = n.ask(target, *headers)
            assert (answer.status, answer.body) == (400, '{"text":"more than one credential"}'), headers
            assert answer.header("WWW-Authenticate") == 'Bearer error="invalid_request"'
            assert result(n) == "auth_ambiguous"
        for headers, target in (([], "/a"), (["Authorization: Bearer "], "/a"), (["X-API-Key:"], "/a"),
                                (["Authorization: Token " + t], "/a"), ([], "/a?Access_token=" + t)):
            answer = n.ask(target, *headers)
            assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer"), headers
            assert result(n) == "auth_missing"
        assert n.status("/a?access_token=%4") == 400 and result(n) == "bad_request"
        # A body is none of it.
        assert n.status("/a", "Content-Type: application/x-www-form-urlencoded", method="POST",
                        body=b"access_token=" + t.encode()) == 401


@test
def a_token_must_satisfy_all_rules():
    """Each reason, by its name; and the directives for leeway and life."""
    n = Nginx("subtoken on; subtoken_require account; %s location /tight { subtoken_leeway 0; "
              "subtoken_max_life 1h; proxy_pass http://api; }" % UP)
    with n:
        now = int(time.time())
        base = {"sub": "s" * 43, "iat": now - 10, "exp": now + 600, "permissions": ["account"]}

        def claims(**changed):
            return {k: v for k, v in dict(base, **changed).items() if v is not None}
        good = jwt(n.signer, claims())
        other = jwt((n.signer[0], bytes(range(32))), claims())
        for want, reason, token in (
                (200, "ok", good), (200, "ok", jwt(n.signer, claims(iat=now - 700, exp=now - 30))),
                (401, "too_large", good + "a" * 8000), (401, "malformed", good + "."),
                (401, "mac", other), (401, "mac", good[:-3] + ("AAA" if good[-3:] != "AAA" else "BBB")),
                (401, "alg", jwt(n.signer, claims(), {"alg": "none", "typ": "JWT"})),
                (401, "kid", jwt(n.signer, claims(), {"alg": "HS256", "typ": "JWT", "kid": "other"})),
                (401, "header", jwt(n.signer, claims(), {"alg": "HS256", "crit": ["b64"]})),
                (401, "claims", jwt(n.signer, claims(permissions="account"))),
                (401, "exp_before_iat", jwt(n.signer, claims(exp=now - 10))),
                (401, "ttl", jwt(n.signer, claims(exp=now + 366 * 86400))),
                (401, "iat_future", jwt(n.signer, claims(iat=now + 300))),
                (401, "not_yet", jwt(n.signer, claims(nbf=now + 300))),
                (401, "expired", jwt(n.signer, claims(iat=now - 700, exp=now - 90))),
                (401, "revoked", jwt(n.signer, claims(sub="nobody"))),
                (403, "url", jwt(n.signer, claims(urls=["/v2/other"]))),
                (403, "perm", jwt(n.signer, claims(permissions=["accoun", "account2"])))):
            if reason == "too_large":  # nginx's own limit for a header line would cut it off before
                answer = n.ask("/a", "Authorization: Bearer " + token[:8170])
                assert answer.status in (400, 401), answer.status
                continue
            answer = n.ask("/a", token=token)
            assert (answer.status, result(n)) == (want, reason), (reason, answer.status, result(n))
            assert (want == 200) != ("subtoken: refused: " + reason in n.errors()), reason
            if want == 401:
                assert answer.body == INVALID
                assert answer.header("WWW-Authenticate") == 'Bearer error="invalid_token"'
            if want == 403:
                assert answer.header("WWW-Authenticate") == 'Bearer error="insufficient_scope"'
        assert n.ask("/a", token=jwt(n.signer, claims(permissions=[]))).body == '{"text":"requires scope account"}'
        assert n.status("/tight", token=jwt(n.signer, claims(iat=now - 700, exp=now - 30))) == 401
        assert n.status("/tight", token=jwt(n.signer, claims(exp=now + 3700))) == 401 and result(n) == "ttl"
        assert n.status("/tight", token=good) == 200


@test
def the_upstream_gets_the_target_that_was_checked():
    """No access_token in either form of proxy_pass nor in a log; the rest byte for byte; who it is."""
    n = Nginx("""subtoken on; %s
      location /two/ { proxy_pass http://api/else/; }
      location /uri { proxy_pass http://api$request_uri; }
      location /args { proxy_pass http://api/x?$args&t=$arg_access_token; }
      location /set { set $kept $request_uri; proxy_set_header X-Kept $kept; proxy_pass http://api; }
      location /moved { rewrite ^/moved/(.*)$ /landed/$1 last; }
      location /off { subtoken off; proxy_pass http://api; }
      location /dir/ { try_files /none @named; }
      location @named { proxy_pass http://api; }
    """ % UP)
    with n:
        t = n.token()
        for target, want in (
                ("/a?access_token=T", "/a"), ("/a?access_token=T&b=1", "/a?b=1"), ("/a?b=1&access_token=T", "/a?b=1"),
                ("/a?x=%41+%2b&access_token=T&&y", "/a?x=%41+%2b&&y"), ("/a?access%5Ftoken=T", "/a"),
                ("/a?access_token=T&access_token=T&c", "/a?c"), ("/a?", "/a?"), ("/a%20b%C3%A9?q=/../", "/a%20b%C3%A9?q=/../"),
                ("/two/z?access_token=T&q=1", "/else/z?q=1"), ("/two/z?access_token=T", "/else/z"),
                ("/uri?access_token=T&q=1", "/uri?q=1"), ("/args?access_token=T&q=1", "/x?q=1&t="),
                ("/moved/y?access_token=T&q=1", "/landed/y?q=1"), ("/dir/x?access_token=T&q=1", "/dir/x?q=1"),
                ("/off?access_token=T&q=1", "/off?access_token=T&q=1")):
            extra = [] if "T" in target else ["Authorization: Bearer " + t]
            if "T" in target and target.startswith("/off"):
                extra = []
            answer = n.ask(target.replace("=T", "=" + t), *extra)
            assert echoed(answer)["target"] == want.replace("=T", "=" + t), (target, answer.body)
        answer = n.ask("/set?access_token=%s&q=1" % t)
        assert header_sent(answer, "X-Kept") == "/set?q=1", answer.body
        answer = n.ask("/a", "X-Subtoken-Sub: forged", "X-Subtoken-Permissions: all", token=t)
        assert header_sent(answer, "X-Subtoken-Sub") == sub_of(t)
        assert header_sent(answer, "X-Subtoken-Permissions") == ",".join(payload(t)["permissions"])
        assert header_sent(answer, "Authorization") == "Bearer " + t
        answer = n.ask("/off", "X-Subtoken-Sub: forged", "X-Subtoken-Permissions: all")
        assert header_sent(answer, "X-Subtoken-Sub") is None and header_sent(answer, "X-Subtoken-Permissions") is None
        n.status("/a?access_token=%s" % (t + "x"))  # refused ones are logged, too
        n.status("/a?access_token=%s&access_token=%%" % t)
    assert t not in n.log() and t not in n.errors(), "a token in a log"


@test
def every_vector_of_the_url_list_as_a_real_request():
    vectors("")


@test
def every_vector_of_the_url_list_where_a_policy_reads_the_target():
    """It reads it in the place of the module's own reading."""
    vectors("subtoken_policy %(dir)s/policy.json;")


def vectors(directives):
    n = Nginx(ON + directives + " location /p/ { subtoken_policy %(dir)s/policy.json; proxy_pass http://api; }"
              " location /open/ { subtoken_policy %(dir)s/policy.json; proxy_pass http://api; }")
    policy(n, {"default": "token", "routes": [{"path": "/open/*", "public": True}]})
    with open(os.path.join(TESTS, "vectors", "url-match.json"), encoding="utf-8") as f:
        cases = json.load(f)["cases"]
    now = int(time.time())
    counts = {}
    with n:
        for case in cases:
            claims = {"sub": "s" * 43, "iat": now, "exp": now + 600, "permissions": []}
            if case["entries"] is not None:
                claims["urls"] = case["entries"]
            method = case.get("method", "GET")
            client = Client(n.socket)
            before = len(n.upstream.seen)
            client.send(case["target"], method, ["Authorization: Bearer " + jwt(n.signer, claims), "Connection: close"])
            answer = n.last = client.receive(method == "HEAD")
            client.close()
            verdict = case["verdict"]
            good = {"allow": (200,), "deny": (403,), "reject": (400, 414), "badlist": (401, 400)}[verdict]
            if verdict == "badlist" and len(json.dumps(claims)) > 6000:
                good += (413, 414, 431)
            assert answer.status in good, (case["id"], verdict, answer.status, result(n))
            if verdict == "allow":
                assert n.upstream.seen[-1]["target"] == case["target"], case["id"]
            else:
                assert len(n.upstream.seen) == before, case["id"]
            counts[verdict] = counts.get(verdict, 0) + 1
        # Also without any restriction, and where the policy says so: what two could read differently is 400.
        free = n.token()
        for target in ("/a//b", "/a/../b", "/a/./b", "/a/%2e%2e/b", "/a%2fb", "/a%5cb", "/a;b", "/a%00b", "/a%25b", "//a"):
            for prefix in ("", "/p", "/open"):
                for headers in ([], ["X-API-Key: another"]):
                    answer = n.ask(prefix + target, *headers, token=free)
                    assert answer.status == 400, (prefix + target, answer.status)
                    assert target == "/a%00b" or result(n) == "bad_target", prefix + target  # that one nginx refuses
        for target in ("/p/%61", "/p/a%20b", "/p/a?b%3fc", "/p/a?b?c", "/p/?", "/p/a?", "/p/a%3fb?c"):
            assert n.status(target, token=free) == (400 if "a%3f" in target else 200), target
        assert n.status("/open/a%20b") == 200
        # D16: a target with scheme and host is not taken at an edge, whatever the route.
        before = len(n.upstream.seen)
        for target in ("http://api.example/a?b=1", "http://api.example/p/a", "http://api.example/open/a"):
            assert n.ask(target, token=free).status == 400 and result(n) == "bad_target", target
        assert len(n.upstream.seen) == before
    assert sum(counts.values()) == len(cases) and min(counts.values()) > 0 and len(counts) == 4, counts


@test
def random_queries_and_headers_are_read_as_by_the_library():
    """The credential is found as the server finds it: where its tokeninfo knows the token, nginx lets it in,
    and its 400 and 401 are the same. What is passed on names no access_token, and is all the rest."""
    import random
    from urllib.parse import unquote_to_bytes
    n = Nginx(ON)
    rng = random.Random(7)
    with n, Server(data=n.data) as server:
        good = n.token()
        names = ["access_token", "access%5ftoken", "acces%73_token", "Access_token", "access_token%", "a", "", "%zz",
                 "access+token", "access_token%00", "xaccess_token"]
        values = [good, good.replace(".", "%2E"), good.replace(".", "%2e", 1), "junk", "%4", "", "a=b", "+", "x;y", good + "%"]
        seen = {200: 0, 400: 0, 401: 0}
        for turn in range(150 if SANITIZER else 600):
            if turn % 50 == 0:
                n.feed.beat()
            pieces = []
            for _ in range(rng.randrange(4)):
                name = rng.choice(names)
                pieces.append(name if rng.random() < 0.1 else name + "=" + rng.choice(values[:3] * 3 + values))
            query = rng.choice(["&", "&", "&", "&&"]).join(pieces)
            headers = rng.sample(["Authorization: Bearer " + good, "X-API-Key: " + good, "X-API-Key: other", "x-api-key:",
                                  "Authorization: Basic eA==", "Authorization: bearer", "X-Other: 1"], rng.randrange(3))
            if sum(h.startswith("Auth") for h in headers) > 1:
                continue  # nginx sees to that by itself
            target = "/v2/tokeninfo" + ("?" + query if pieces or rng.random() < 0.1 else "")
            theirs = curl(server.url + target, *sum((["-H", h if h[-1] != ":" else h[:-1] + ";"] for h in headers), []))
            ours = n.ask(target, *headers)
            assert ours.status == theirs.status, (target, headers, ours.status, theirs.status, ours.body, theirs.body)
            seen[ours.status] += 1
            if ours.status != 200:
                assert ours.body == theirs.body or ours.status == 400, (target, headers, ours.body, theirs.body)
                assert ours.header("WWW-Authenticate") == theirs.header("WWW-Authenticate"), (target, headers)
                continue
            def named(piece):
                raw = piece.split("=")[0].replace("+", " ")
                return None if re.search(r"%(?![0-9a-fA-F]{2})", raw) else unquote_to_bytes(raw)
            kept = [p for p in query.split("&") if named(p) != b"access_token"]
            got = echoed(ours)["target"]
            if len(kept) == len(query.split("&")):
                assert got == target, (target, got)
            else:
                assert got == "/v2/tokeninfo" + ("?" + "&".join(kept) if "&".join(kept) else ""), (target, got)
        assert min(seen.values()) > 5, seen


@test
def no_redirect_or_subrequest_bypasses_the_module():
    """Internal redirects, error pages, satisfy any, subrequests: nothing bypasses the module."""
    n = Nginx("""subtoken on; %s
      location /accel { subtoken off; proxy_pass http://api; }
      location /inner/ { internal; proxy_pass http://api; }
      location /guarded/ { proxy_pass http://api; }
      location /fails { error_page 404 =200 /page; return 404; }
      location /deep { error_page 502 =200 /page; proxy_pass http://unix:%%(dir)s/nobody:; }
      location /posts { subtoken_policy %%(dir)s/policy.json; error_page 502 =200 /page2;
        proxy_pass http://unix:%%(dir)s/nobody:; }
      location /page2 { subtoken_policy %%(dir)s/policy.json; proxy_pass http://api; }
      location /any { satisfy any; allow 10.0.0.0/8; deny all; proxy_pass http://api; }
      location /any2 { satisfy any; allow unix:; deny all; proxy_pass http://api; }
      location /both { allow 10.0.0.0/8; deny all; proxy_pass http://api; }
      location /ssi { subtoken off; ssi on; ssi_types *; proxy_pass http://api; }
      location /mirrored { mirror /mirror; proxy_pass http://api; }
      location = /mirror { internal; proxy_pass http://api/mirrored-to; }
      location /asked { auth_request /ask; proxy_pass http://api; }
      location = /ask { internal; proxy_pass http://api/ask; }
    """ % UP)

    def answer(asked):
        path = asked["target"].split("?")[0]
        if path == "/accel":
            return 200, [("X-Accel-Redirect", "/guarded/x"), ("Set-Cookie", "a=b"),
                         ("Cache-Control", "public")], ""
        if path == "/ssi":
            return 200, [("Content-Type", "text/html")], 'A<!--# include virtual="/guarded/y" -->Z'
        return None
    n.upstream.answer = answer
    policy(n, {"default": "deny", "routes": [{"path": "/posts", "methods": ["POST"]}]})
    with n:
        t = n.token()
        refused = n.ask("/accel")
        assert (refused.status, refused.header("Set-Cookie"), refused.header("Cache-Control")) == (401, None, "no-store")
        assert n.status("/accel?access_token=" + t) == 200
        assert n.upstream.seen[-1]["target"] == "/guarded/x"
        assert n.status("/inner/x", token=t) == 404
        assert n.status("/fails") == 401 and result(n) == "auth_missing"
        # The page is reached by a redirect that made the method GET; it is checked as what was asked.
        for target in ("/deep", "/posts"):
            answer = n.ask(target + "?access_token=" + t, method="POST", body=b"x")
            assert echoed(answer)["target"] == target.replace("deep", "page").replace("posts", "page2"), answer.body
        assert n.status("/posts", token=t) == 403
        assert n.status("/any") == 401 and n.status("/any", token=t) == 200 and n.status("/any2") == 200
        assert n.ask("/any").header("WWW-Authenticate") == "Bearer"
        assert n.status("/both", token=t) == 403 and n.status("/both") == 403  # E2: the address comes first
        included = n.ask("/ssi")
        assert included.status == 200 and included.body == "A" + INVALID + "Z", included.body
        included = n.ask("/ssi", token=t)
        assert '"target": "/guarded/y"' in included.body, included.body
        assert n.status("/mirrored") == 401
        assert n.status("/mirrored", token=t) == 200
        wait(lambda: any(s["target"] == "/mirrored-to" for s in n.upstream.seen), "the mirror")
        assert n.status("/asked", token=t) == 200 and n.status("/asked") == 401


@test
def http_2_is_checked_alike():
    n = Nginx(ON, http="server { listen unix:%(dir)s/h2 http2; subtoken on; location / { proxy_pass http://api; } }")
    with n:
        t = n.token()

        def ask(target, *headers):
            return subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", n.dir + "/h2", "-w",
                                   "\n%{http_version} %{http_code}", "http://api.example" + target, *headers],
                                  capture_output=True, text=True, timeout=30).stdout.rsplit("\n", 1)
        body, how = ask("/a?x=1&access_token=" + t)
        assert how == "2 200" and json.loads(body)["target"] == "/a?x=1", (body, how)
        assert ask("/a", *bearer(t))[1] == "2 200"
        assert ask("/a", *bearer(t + "x")) == [INVALID, "2 401"]
        assert ask("/a", *bearer(t), "-H", "X-API-Key: x")[1] == "2 400"
    assert t not in n.log() and "GET /a?x=1 HTTP/2.0" in n.log() and t not in n.errors()


# ---- JSON-RPC ----

@test
def json_rpc_bodies_need_the_permissions_of_their_apis():
    n = Nginx("""subtoken on; subtoken_policy %(dir)s/policy.json; subtoken_fallback /ask;
      location / { proxy_pass http://api; }
      location /small { client_body_buffer_size 1k; proxy_pass http://api; }
      location /limit { client_max_body_size 100; proxy_pass http://api; }
      location /off { subtoken off; proxy_pass http://api; }
      location = /ask { internal; subtoken off; proxy_pass http://api/v2/authorize; }""",
              answer=lambda asked: (200, nonce(asked) + [("X-Subtoken-Sub", "k"), ("X-Subtoken-Permissions", "history_api")], "")
              if asked["target"] == "/v2/authorize" else None)
    policy(n, {"default": "deny", "routes": [{"path": "/*", "methods": ["POST"], "json_rpc": True}]})

    def call(api, *more):
        return json.dumps({"method": "call", "params": [api, "get", list(more)], "id": 1}).encode()
    with n:
        t = n.token("--permissions", "history_api,database_api")
        history = n.token("--permissions", "history_api")
        long = call("history", "x" * 60000)
        for path in ("/rpc", "/small"):
            for body, want in ((call("history"), 200), (call(0), 200), (call("wallet"), 403), (b"", 400), (b"{}", 400),
                               (b"[" + call("history") + b"," + call(0) + b"]", 200), (long, 200), (b"[]", 400),
                               (b"[" + call("history") + b"," + call("wallet") + b"]", 403), (call("history") + b"x", 400),
                               (b'{"method":"call","method":"x","params":[0]}', 400)):
                for framing in ([], ["Transfer-Encoding: chunked"]):
                    wire = body
                    if framing:  # in pieces of 1000 bytes
                        pieces = [body[i:i + 1000] for i in range(0, len(body), 1000)]
                        wire = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
                    before = len(n.upstream.seen)
                    answer = n.ask(path, *framing, token=t, method="POST", body=wire)
                    assert answer.status == want, (path, framing, body[:60], answer.status, answer.body)
                    if want == 200:
                        assert n.upstream.seen[-1]["body"].encode("latin-1") == body, "the body as it was"
                    else:
                        assert len(n.upstream.seen) == before, "nothing is passed on"
        answer = n.ask("/rpc", token=history, method="POST", body=call(0))
        assert (answer.status, answer.body) == (403, '{"text":"requires scope database_api"}')
        assert answer.header("WWW-Authenticate") == 'Bearer error="insufficient_scope"'
        # A6: the forms of Steem and Hive, by which no other API is reached.
        for method, params, want in (
                ("network_broadcast_api.broadcast_transaction", [{}], 403), ("database_api.get_config", {}, 200),
                ("history.get", [], 200), ("condenser_api.get_accounts", [["a"]], 403),
                ("call", ["database_api", "get_config", []], 200), ("call", ["history_api", "get", []], 200),
                ("call", ["network_broadcast_api", "broadcast_transaction", [{}]], 403),
                ("call", [2, "broadcast_transaction", []], 400), ("call", ["2", "broadcast_transaction", []], 400),
                ("jsonrpc.call", ["database_api", "get", []], 400), ("Call", ["wallet", "get", []], 400),
                ("database_api.wallet_api.get", [], 400), ("call", ["database_api", "call", ["wallet"]], 400)):
            body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).encode()
            assert n.status("/rpc", token=t, method="POST", body=body) == want, (method, params)
        # A whole key as well: first the question, then the body.
        assert n.status("/rpc", token=n.key["key"], method="POST", body=call("history")) == 200
        assert n.status("/rpc", token=n.key["key"], method="POST", body=call(0)) == 403
        # Too long, packed, not wanted at all.
        big = call("history", "x" * 270000)
        assert n.status("/rpc", token=t, method="POST", body=big) == 413
        pieces = b"%x\r\n%s\r\n0\r\n\r\n" % (len(big), big)
        assert n.status("/rpc", "Transfer-Encoding: chunked", token=t, method="POST", body=pieces) == 413
        assert n.status("/small", "Transfer-Encoding: chunked", token=t, method="POST", body=pieces) == 413
        assert n.status("/limit", token=t, method="POST", body=call("history", "x" * 200)) == 413
        assert n.status("/rpc", "Content-Encoding: gzip", token=t, method="POST", body=call("history")) == 415
        assert n.status("/rpc", "Content-Encoding: identity", token=t, method="POST", body=call("history")) == 200
        assert n.status("/rpc", token=t) == 403 and n.status("/rpc", method="POST", body=b"x") == 401
        # Slowly, in pieces, with the client waiting for leave; then another on the same connection.
        client = Client(n.socket)
        body = call("history")
        client.send("/rpc", "POST", ["Authorization: Bearer " + t, "Expect: 100-continue", "Content-Length: %d" % len(body)])
        assert client.file.readline() == b"HTTP/1.1 100 Continue\r\n" and client.file.readline() == b"\r\n"
        for i in range(0, len(body), 10):
            client.socket.sendall(body[i:i + 10])
        assert client.receive().status == 200
        # Refused with a body that nobody reads: the connection is good for the next request.
        client.send("/rpc", "POST", [], call("history", "x" * 5000))
        assert client.receive().status == 401
        client.send("/rpc", "POST", ["Authorization: Bearer " + t], call("wallet", "x" * 5000))
        assert client.receive().status == 403
        client.send("/off?z", "GET")
        assert client.receive().status == 200
        client.close()


@test
def a_token_revoked_while_its_body_arrives_is_refused():
    n = Nginx("subtoken on; subtoken_policy %(dir)s/policy.json; " + UP)
    policy(n, {"default": "deny", "routes": [{"path": "/*", "json_rpc": True}]})
    with n:
        t = n.token("--permissions", "database_api")
        body = b'{"method":"x","params":[]}'
        client = Client(n.socket)
        client.send("/rpc", "POST", ["Authorization: Bearer " + t, "Content-Length: %d" % len(body)])
        client.socket.sendall(body[:5])
        assert n.status("/rpc", token=t, method="POST", body=body) == 200
        n.feed.publish([sub_of(t)])
        wait(lambda: n.status("/rpc", token=t, method="POST", body=body) == 401, "the revocation")
        client.socket.sendall(body[5:])
        assert client.receive().status == 401
        client.close()


main()
