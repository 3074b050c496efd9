"""The nginx module and credentials that it cannot verify: whole keys, HTTP Basic, strings registered by their hash, and
requests without a credential. What it asks about them: test_nginx_fallback.py."""
from nginx import *

FALLBACK = """subtoken on; subtoken_fallback /ask; subtoken_require account;
      location / { proxy_pass http://api; }
      location /without { subtoken_fallback off; proxy_pass http://api; }
      location /other { subtoken_fallback /ask2; proxy_pass http://api; }
      location /policy { subtoken_policy %(dir)s/policy.json; proxy_pass http://api; }
      location = /ask { internal; subtoken off; proxy_pass http://api/v2/authorize; proxy_pass_request_body off;
        proxy_set_header Content-Length ""; proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Original-Method $request_method; }
      location = /ask2 { internal; proxy_pass http://unix:%(dir)s/nobody:; }"""


@test
def whole_keys_are_asked_of_the_decision_endpoint():
    end = Endpoint()
    n = Nginx(FALLBACK, answer=end)
    policy(n, {"default": "deny", "routes": [{"path": "/policy/a", "methods": ["POST"], "needs": ["inventories"]}]})
    sub, now = "k" * 43, int(time.time())
    good = {"X-Subtoken-Sub": sub, "X-Subtoken-Key": "ID", "X-Subtoken-Owner": "o",
            "X-Subtoken-Permissions": "account,inventories", "X-Subtoken-Expires": str(now + 3600)}
    with n:
        end.say["Bearer KEY"] = (200, good)
        answer = n.ask("/a?x=1&access_token=KEY", "X-Subtoken-Sub: forged", "X-Original-URI: /z", "Range: bytes=0-1",
                       method="POST", body=b"the body")
        assert header_sent(answer, "X-Subtoken-Sub") == sub and header_sent(answer, "X-Subtoken-Permissions") == "account,inventories"
        assert echoed(answer)["body"] == "the body" and echoed(answer)["target"] == "/a?x=1"
        assert result(n) == "ok"
        method, headers, body = end.asked[0]
        assert (method, body) == ("HEAD", "") and "content-length" not in headers and "range" not in headers
        assert headers["authorization"] == "Bearer KEY", "a key of the query goes along as a header"
        assert headers["x-original-uri"] == "/a?x=1" and headers["x-original-method"] == "POST"
        assert "x-subtoken-sub" not in headers or headers["x-subtoken-sub"] != "forged"
        # Kept for a few seconds, for every target; another form of the credential is another question.
        began, before = time.time(), len(end.asked)
        for _ in range(20):
            assert n.status("/b", token="KEY") == 200
        assert before < len(end.asked) <= before + 1 + (time.time() - began) / 5, len(end.asked) - before
        before = len(end.asked)
        assert n.status("/c", "X-API-Key: KEY") == 401 and len(end.asked) == before + 1
        assert n.status("/c", token="OTHER") == 401 and n.status("/c", token="OTHER") == 401
        assert len(end.asked) == before + 3, "a refusal is not kept"
        # What it may do is decided here, with each request.
        assert n.status("/policy/a", token="KEY", method="POST", body=b"") == 200
        assert n.status("/policy/a", token="KEY") == 403 and n.status("/policy/b", token="KEY") == 403
        end.say["Bearer POOR"] = (200, dict(good, **{"X-Subtoken-Permissions": "inventories"}))
        assert n.ask("/a", token="POOR").body == '{"text":"requires scope account"}'
        assert n.ask("/policy/a", token="POOR", method="POST", body=b"").body == '{"text":"requires scope account"}'
        for expires in ("12345678901", "%d" % (1 << 52)):  # of an odd and an even number of digits
            end.say["Bearer LONG" + expires] = (200, dict(good, **{"X-Subtoken-Expires": expires}))
            assert header_sent(n.ask("/a", token="LONG" + expires), "X-Subtoken-Expires") == expires
        end.say["Bearer NONE"] = (200, {"X-Subtoken-Sub": sub})
        assert n.status("/a", token="NONE") == 403
        # HTTP Basic; not together with another credential, and not where nobody can be asked.
        end.say["Basic dTpw"] = (200, dict(good, **{"X-Subtoken-Sub": "p"}))
        assert header_sent(n.ask("/a", "Authorization: Basic dTpw"), "X-Subtoken-Sub") == "p"
        assert n.status("/a", "Authorization: Basic dTpw", "X-API-Key: KEY") == 400
        assert n.ask("/without", "Authorization: Basic dTpw").header("WWW-Authenticate") == 'Bearer error="invalid_token"' 
        assert n.status("/without", token="KEY") == 401 and result(n) == "malformed"
        # Subtokens are never sent there.
        count = len(end.asked)
        assert n.status("/a", token=n.token()) == 200 and n.status("/a", token="a.b.c") == 401
        # Nor what the endpoint could read as one, or as more headers than one.
        narrow = n.token("--urls", "/a")
        for odd in ("%20" + narrow, narrow + "%20", "%0d%0aX-API-Key:%20KEY", "KEY%0d%0aX-Other:%20y%0d%0a%0d%0a",
                    "KEY%00", "KEY%7f", "K%C3%A9Y", "+KEY", "%09KEY"):
            assert n.status("/a?access_token=" + odd) == 401, odd
        assert n.status("/a", "X-API-Key: x " + narrow) == 401
        assert len(end.asked) == count
        assert n.status("/b", token=narrow) == 403
        # A yes for nobody in particular, as on a route that the endpoint holds for public, is none.
        for who in ({}, {"X-Subtoken-Sub": ""}, {"X-Subtoken-Sub": "a b"}, {"X-Subtoken-Sub": "k" * 129}):
            end.say["Bearer NOBODY"] = (200, dict(who, **{"X-Subtoken-Permissions": "account"}))
            assert n.status("/a", token="NOBODY") == 503
        # A key that is deleted is refused at once, though its answer is kept.
        assert n.status("/a", token="KEY") == 200
        n.feed.publish([sub])
        wait(lambda: n.status("/a", token="KEY") == 401, "the deleted key")
        assert result(n) == "revoked"


@test
def http_basic_is_asked_like_a_whole_key():
    end = Endpoint()
    n = Nginx(FALLBACK, answer=end)
    policy(n, {"default": "deny", "routes": [{"path": "/policy/a", "needs": ["inventories"]},
                                             {"path": "/policy/open", "public": True}]})
    basic = "Authorization: Basic dXNlcjpwYXNzd29yZA=="
    good = {"X-Subtoken-Sub": "p", "X-Subtoken-Permissions": "account"}
    end.say["Basic dXNlcjpwYXNzd29yZA=="] = (200, good)
    with n:
        assert n.status("/policy/open", basic) == 200 and not end.asked, "public routes ask nobody"
        began = time.time()
        for _ in range(20):
            answer = n.ask("/a?q=1", basic)
            assert (answer.status, header_sent(answer, "X-Subtoken-Sub")) == (200, "p")
            assert header_sent(answer, "Authorization") == "Basic dXNlcjpwYXNzd29yZA=="
        assert 1 <= len(end.asked) <= 2 + (time.time() - began) / 5, len(end.asked)
        method, headers, body = end.asked[0]
        assert headers["authorization"] == "Basic dXNlcjpwYXNzd29yZA==" and "x-api-key" not in headers
        assert (headers["x-original-uri"], headers["x-original-method"], body) == ("/a?q=1", "GET", "")
        # What it may do is decided here; what it says is the same in no other form, nor is another of its kind.
        assert n.status("/policy/a", basic) == 403 and n.status("/policy/b", basic) == 403
        for other in (["Authorization: Bearer dXNlcjpwYXNzd29yZA=="], ["X-API-Key: dXNlcjpwYXNzd29yZA=="],
                      ["Authorization: Basic dXNlcjpwYXNzd29yZB=="], ["Authorization: Basic DXNlcjpwYXNzd29yZA=="]):
            before = len(end.asked)
            answer = n.ask("/a", *other)
            assert (answer.status, result(n)) == (401, "key_unknown"), other
            assert answer.header("WWW-Authenticate") == 'Bearer error="invalid_token"', "Basic is never asked for"
            assert len(end.asked) == before + 1, other
        # However the scheme is written, it goes along as it came, and never as Bearer.
        end.say["bASIC   dXNlcjpwYXNzd29yZA=="] = (200, good)
        assert n.status("/a", "authorization:  bASIC   dXNlcjpwYXNzd29yZA==  ") == 200
        assert not any("bearer" in h.get("authorization", "").lower() and "basic" in h["authorization"].lower()
                       for _, h, _ in end.asked)
        # With any other credential, were it the same text, it is one too many; nobody is asked.
        before = len(end.asked)
        for more, target in ((["X-API-Key: KEY"], "/a"), (["X-API-Key: dXNlcjpwYXNzd29yZA=="], "/a"), ([], "/a?access_token=KEY"),
                             ([], "/a?access_token=Basic%20dXNlcjpwYXNzd29yZA=="), (["X-API-Key: " + n.token()], "/a"),
                             ([], "/a?access_token=" + n.token())):
            answer = n.ask(target, basic, *more)
            assert (answer.status, result(n)) == (400, "auth_ambiguous"), (more, target, answer.status)
        for second in (basic, "Authorization: Bearer KEY"):
            assert n.status("/a", basic, second) == 400
        for nothing in ("Authorization: Basic", "Authorization: Basic  "):
            assert n.status("/without", nothing) == 401 and result(n) == "auth_missing"
        answer = n.ask("/without", basic)
        assert (answer.status, answer.header("WWW-Authenticate")) == (401, 'Bearer error="invalid_token"')
        assert len(end.asked) == before
        n.feed.publish(["p"])
        wait(lambda: n.status("/a", basic) == 401, "the user who is deleted")
        assert result(n) == "revoked"
    # nginx names both of two headers by itself, at the level of info; the manual says so.
    lines = [l for l in (n.log() + n.errors()).splitlines()
             if "dXNlcjpw" in l and "client sent duplicate header line" not in l]
    assert not lines, lines


@test
def strings_registered_by_hash_are_asked_as_x_api_key():
    end = Endpoint()
    n = Nginx(FALLBACK, answer=end)
    policy(n, {"default": "deny"})
    good = {"X-Subtoken-Sub": "s", "X-Subtoken-Permissions": "account"}
    visible = "".join(chr(c) for c in range(0x21, 0x7F))
    with n:
        t = n.token()
        for text in (visible, visible[::-1], "0123456789abcdef", "one.dot-and-no-more", "with.three.dots.in.it", "..!.............",
                     "two.dots.and+a+plus", t + "=", t.replace(".", ":"), "Bearer:" + t, "=" * 16, "x" * 3000):
            end.say["key " + text] = (200, good)
            before = len(end.asked)
            assert n.status("/a", "X-API-Key: " + text) == 200, (text, result(n))
            _, headers, _ = end.asked[-1]
            assert len(end.asked) == before + 1 and headers["x-api-key"] == text and "authorization" not in headers
            # It is good in this form alone, and kept so.
            assert n.status("/a", token=text) == 401 and end.asked[-1][1]["authorization"] == "Bearer " + text
            assert n.status("/a", "X-API-Key: " + text) == 200
        # What has the form of a subtoken is one, and a blank is nothing visible: nobody is asked.
        before = len(end.asked)
        for text in ("www.example.com", "a" * 16 + ".b.c", t + "x", "two words of a string", "tab\tin between them"):
            end.say["key " + text] = (200, good)
            assert n.status("/a", "X-API-Key: " + text) == 401, text
        assert len(end.asked) == before


@test
def answers_of_the_endpoint_that_grant_nothing():
    end = Endpoint()
    n = Nginx(FALLBACK, answer=end)
    policy(n, {"default": "deny"})
    now = int(time.time())
    good = {"X-Subtoken-Sub": "s", "X-Subtoken-Permissions": "account"}
    many = ",".join(["account"] + ["p%d" % i for i in range(64)])
    cases = [((401, good), 401), ((403, {}), 503), ((400, {}), 503), ((500, good), 503), ((503, good), 503),
             ((302, good), 503), ((204, good), 503), ((402, good), 503),
             # D18: who it is, is told by a refusal for other reasons, too.
             ((403, good), 200), ((400, good), 200),
             ((403, dict(good, **{"X-Subtoken-Permissions": "accounts"})), 403),
             ((200, dict(good, **{"X-Subtoken-Expires": str(now - 1)})), 401),
             ((200, dict(good, **{"X-Subtoken-Expires": "never"})), 503),
             ((200, dict(good, **{"X-Subtoken-Expires": "9" * 17})), 503),
             ((200, dict(good, **{"X-Subtoken-Permissions": "account,,x"})), 503),
             ((200, dict(good, **{"X-Subtoken-Permissions": "account,"})), 503),
             ((200, dict(good, **{"X-Subtoken-Permissions": "account, inventories"})), 503),
             ((200, dict(good, **{"X-Subtoken-Permissions": 'account,"x"'})), 503),
             ((200, dict(good, **{"X-Subtoken-Expires": "9" * 16})), 503),
             ((200, dict(good, **{"X-Subtoken-Sub": "a sub"})), 503),
             ((200, dict(good, **{"X-Subtoken-Permissions": "account," + "x" * 65})), 503),
             ((200, dict(good, **{"X-Subtoken-Permissions": many})), 503),
             ((200, dict(good, **{"X-Subtoken-Sub": "s" * 129})), 503),
             ((200, dict(good, **{"x-subtoken-sub": "twice"})), 503), ((200, {}), 503), ((200, good), 200)]
    with n:
        for i, (say, want) in enumerate(cases):
            end.say["Bearer k%d" % i] = say
            answer = n.ask("/a", token="k%d" % i)
            assert answer.status == want, (say, want, answer.status, result(n))
            assert want != 503 or (answer.header("Retry-After") == "5" and result(n) == "store_error")
        assert n.status("/other", token="KEY") == 503 and result(n) == "store_error", "nobody listens there"


ANONYMOUS_LOCATION = """location /%(n)s { subtoken_fallback /ask-%(n)s; proxy_pass http://api; }
      location = /ask-%(n)s { internal; subtoken off; proxy_pass http://api/v2/authorize; proxy_set_header X-Case %(n)s;
        proxy_set_header X-Original-URI $request_uri; proxy_set_header X-Original-Method $request_method; }"""
ANONYMOUS = [  # what the endpoint says when no credential came, and what becomes of a request that needs account
    ("good", (200, {"X-Subtoken-Permissions": "account,history_api"}), 200),
    ("less", (200, {"X-Subtoken-Permissions": "inventories,accounts"}), 401),
    ("none", (200, {"X-Subtoken-Permissions": ""}), 401), ("bare", (200, {}), 401),
    ("told", (401, {"X-Subtoken-Permissions": "account,history_api"}), 200), ("refused", (401, {}), 401),
    ("named", (200, {"X-Subtoken-Permissions": "account", "X-Subtoken-Sub": "s"}), 401),
    ("keyed", (200, {"X-Subtoken-Permissions": "account", "X-Subtoken-Key": "ID"}), 401),
    ("garbled", (200, {"X-Subtoken-Permissions": "account,,x"}), 503),
    ("twice", (200, {"X-Subtoken-Permissions": "account", "x-subtoken-permissions": "account"}), 503),
    ("forbidden", (403, {"X-Subtoken-Permissions": "account"}), 503), ("bad", (400, {}), 503),
    ("broken", (500, {}), 503), ("moved", (302, {"X-Subtoken-Permissions": "account"}), 503),
    ("empty", (204, {"X-Subtoken-Permissions": "account"}), 503)]


def anonymous(end, more="", require="subtoken_require account;"):
    """An nginx with a location and an endpoint for each of these."""
    end.say.update(("anonymous " + name, say) for name, say, _ in ANONYMOUS)
    return Nginx("subtoken on; " + require + more +
                 "".join(ANONYMOUS_LOCATION % {"n": name} for name, _, _ in ANONYMOUS), answer=end)


@test
def what_anonymous_may_do_needs_no_credential():
    end = Endpoint()
    n = anonymous(end)
    with n:
        for name, _, want in ANONYMOUS:
            began, before = time.time(), len(end.asked)
            for i in range(10):
                answer = n.ask("/%s/%d?x=%d" % (name, i, i), "X-Subtoken-Sub: forged", "X-Subtoken-Permissions: all")
                assert answer.status == want, (name, answer.status, result(n))
            asked = len(end.asked) - before
            if want == 503:
                assert result(n) == "store_error" and answer.header("Retry-After") == "5" and asked == 10, (name, asked)
                continue
            assert 1 <= asked <= 2 + (time.time() - began) / 5, (name, asked)
            if want == 401:
                assert (answer.header("WWW-Authenticate"), result(n)) == ("Bearer", "auth_missing"), name
                assert answer.body == '{"text":"Invalid access token"}'
                continue
            assert result(n) == "ok" and header_sent(answer, "X-Subtoken-Permissions") == "account,history_api"
            assert header_sent(answer, "X-Subtoken-Sub") is None, "nobody in particular, whatever the caller says"
        # Who brings a credential is known by that.
        assert n.status("/good", token="KEY") == 401 and result(n) == "key_unknown"
        poor = n.token("--permissions", "inventories")
        assert n.status("/good", token=poor) == 403 and n.status("/good", token=poor + "x") == 401
        assert n.status("/good", "X-API-Key: a", token="b") == 400 and n.status("/good?access_token=%4") == 400
        for nothing in ("Authorization: Bearer ", "Authorization: Digest x", "X-API-Key:", "Authorization: Basic"):
            assert n.status("/good", nothing) == 200, nothing
        assert n.status("/good?access_token=") == 200 and echoed(n.last)["target"] == "/good"
        assert n.status("/good//a") == 400 and result(n) == "bad_target"


@test
def a_question_without_a_credential_carries_none():
    """It is the same for everybody: nothing that a caller sent is in it, and nobody else can ask it."""
    end = Endpoint()
    n = anonymous(end)
    with n:
        headers = ("Authorization: Digest x", "X-API-Key: ", "Cookie: a=b", "X-Subtoken-Sub: s",
                   "X-Subtoken-Permissions: account", "Origin: http://x", "Access-Control-Request-Method: GET",
                   "X-Forwarded-Uri: /z", "X-Forwarded-Method: GET", "X-Other: y", "Range: bytes=0-1")
        assert n.status("/good/a?b=c", *headers, method="POST", body=b"the body") == 200
        assert (echoed(n.last)["body"], len(end.asked)) == ("the body", 1)
        method, seen, body = end.asked[0]
        names = [name.lower() for name, _ in n.upstream.seen[0]["headers"]]
        assert sorted(names) == ["connection", "host", "x-case", "x-original-method", "x-original-uri",
                                 "x-subtoken-audience", "x-subtoken-nonce"], names
        assert (method, body) == ("HEAD", "")
        assert (seen["x-original-uri"], seen["x-original-method"]) == ("/good/a?b=c", "POST")


@test
def other_routes_need_a_credential():
    end = Endpoint()
    n = Nginx("""subtoken on; subtoken_fallback /ask-good;
      location /free { proxy_pass http://api; }
      location /off { subtoken_require account; subtoken_fallback off; proxy_pass http://api; }
      location /policy { subtoken_policy %(dir)s/policy.json; proxy_pass http://api; }
      location /both { subtoken_policy %(dir)s/policy.json; subtoken_require history_api inventories; proxy_pass http://api; }
      location /asking { subtoken off; auth_request /inner; proxy_pass http://api; }
      location /inner { subtoken_require account; proxy_pass http://api; }
      """ + ANONYMOUS_LOCATION % {"n": "good"}, answer=end)
    policy(n, {"default": "token", "routes": [
        {"path": "/policy/open", "public": True}, {"path": "/policy/get", "methods": ["GET"], "needs": ["account"]},
        {"path": "/policy/more", "needs": ["account", "inventories"]}, {"path": "/both/*", "needs": ["account"]}]})
    end.say["anonymous good"] = ANONYMOUS[0][1]
    with n:
        # A good token, whatever its permissions, is more than none; and what is denied is denied.
        for target, method in (("/free", "GET"), ("/good", "GET"), ("/off", "GET"), ("/policy/any", "GET"), ("/policy/get", "POST")):
            answer = n.ask(target, method=method)
            assert (answer.status, answer.header("WWW-Authenticate"), result(n)) == (401, "Bearer", "auth_missing"), target
        assert n.status("/policy/open") == 200 and not end.asked, "there was nothing to ask"
        assert n.status("/policy/get") == 200 and len(end.asked) == 1
        assert n.status("/policy/get", method="HEAD") == 200
        for target in ("/policy/more", "/both/a"):
            answer = n.ask(target)
            assert (answer.status, answer.header("WWW-Authenticate"), result(n)) == (401, "Bearer", "auth_missing"), target
        assert n.status("/asking") == 200, "a subrequest asks, too"


@test
def json_rpc_of_anonymous_needs_no_credential():
    end = Endpoint()
    n = anonymous(end, "subtoken_policy %(dir)s/policy.json;", require="")
    policy(n, {"default": "deny", "routes": [{"path": "/*", "json_rpc": True},
                                             {"path": "/good/narrow", "json_rpc": True, "needs": ["inventories"]}]})

    def call(api):
        return json.dumps({"method": "call", "params": [api, "get", []], "id": 1}).encode()
    with n:
        for body, want in ((call("history"), 200), (b"[" + call("history") + b"]", 200), (call(0), 401), (b"{}", 400),
                           (b"[" + call("history") + b"," + call("wallet") + b"]", 401), (b"", 400), (b"[]", 400)):
            before = [s for s in n.upstream.seen if s["target"] == "/good"]
            answer = n.ask("/good", method="POST", body=body)
            assert answer.status == want, (body, answer.status, answer.body)
            if want == 401:
                assert (answer.header("WWW-Authenticate"), result(n)) == ("Bearer", "auth_missing"), body
                assert answer.body == '{"text":"Invalid access token"}', "no word of what would do"
            passed = [s for s in n.upstream.seen if s["target"] == "/good"]
            assert len(passed) == len(before) + (want == 200) and (want != 200 or passed[-1]["body"] == body.decode())
        assert n.status("/good", method="POST", body=call("history" + "x" * 300000)) == 413
        # Nobody's body is read where nobody may do anything: the answer comes before its end.
        for name in ("none", "refused", "named"):
            for _ in range(2):
                client = Client(n.socket)
                client.send("/" + name, "POST", ["Content-Length: 99"])
                client.socket.sendall(b"{")
                assert client.receive().status == 401, name
                client.close()
        client = Client(n.socket)
        client.send("/good/narrow", "POST", ["Content-Length: 99"])
        assert client.receive().status == 401, "what the route needs comes before the body"
        client.close()


@test
def callers_that_leave_early_break_nothing():
    """In the middle of a body, and while the endpoint is thinking: nothing is left behind."""
    think = threading.Event()
    end = Endpoint()

    def answer(asked):
        if asked["target"] == "/v2/authorize":
            think.wait(20)
        return end(asked)
    n = Nginx(FALLBACK + "location /rpc { subtoken_policy %(dir)s/policy.json; proxy_pass http://api; }", answer=answer)
    policy(n, {"default": "deny", "routes": [{"path": "/rpc", "json_rpc": True}]})
    end.say["Bearer KEY"] = (200, {"X-Subtoken-Sub": "s", "X-Subtoken-Permissions": "account,database_api"})
    with n:
        t = n.token("--permissions", "account,database_api")
        for _ in range(20):
            client, before = Client(n.socket), len(n.upstream.seen)
            client.send("/a", headers=["Authorization: Bearer KEY"])
            wait(lambda: len(n.upstream.seen) > before, "the question")
            client.close()
            client = Client(n.socket)
            client.send("/rpc", "POST", ["Authorization: Bearer " + t, "Content-Length: 99"])
            client.socket.sendall(b"{")
            client.close()
        think.set()
        assert n.status("/a", token="KEY") == 200
        assert n.status("/rpc", token="KEY", method="POST", body=b'{"method":"x"}') == 200

main()
