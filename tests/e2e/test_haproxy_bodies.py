"""HAProxy with the module: routes that are decided by the body, audiences, the id of a token, and the limit for each key of
examples/haproxy-limit.cfg."""
from haproxy import *

RPC = {"default": "deny", "routes": [{"path": "/rpc", "methods": ["POST"], "json_rpc": True}, {"path": "/v2/account", "needs": ["account"]}]}


def call(api, blanks=0):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "call", "params": [api, "x"]}).encode() + b" " * blanks


def bodies(**more):
    return Haproxy(BODIES, settings="bodies=on", policy=RPC, **more)


def quick_bodies():
    """The lines of the example, with those for bodies."""
    return quick().replace(DENY, "") + BODIES.split("\n", 1)[1].strip()


def head(h, token, *lines):
    return "\r\n".join(["POST /rpc HTTP/1.1", "Host: a", auth(token), *lines, "", ""]).encode()


def pieces(h, *parts):
    """The status and body of the answer to a request that comes in pieces; HAProxy reads each before the next one."""
    client = Client(h.socket)
    try:
        for i, part in enumerate(parts):
            if i > 0:
                wait(lambda: not pending(client.socket), "HAProxy has read it")
            client.socket.sendall(part)
        answer = client.receive()
        return answer.status, answer.body
    finally:
        client.close()


@test
def the_apis_of_a_body_are_needed():
    with bodies() as h:
        token = h.token("--permissions", "history_api")
        answer = h.ask("/rpc", token=token, method="POST", body=call("history"))
        assert answer.status == 200 and json.loads(answer.body)["body"] == call("history").decode(), (answer.status, answer.body)
        refused = h.ask("/rpc", token=token, method="POST", body=call("network"))
        assert refused.status == 403 and refused.json()["text"] == "requires scope network_api", refused.body
        for body in (b"", b"{", b"[]", b"{}", call("history") + b"x"):
            assert h.status("/rpc", token=token, method="POST", body=body) == 400, body
        assert h.status("/rpc", "Content-Encoding: gzip", token=token, method="POST", body=call("history")) == 415
        assert h.status("/rpc", "Content-Encoding: Identity", token=token, method="POST", body=call("history")) == 200
        assert h.status("/rpc", token=token + "x", method="POST", body=call("history")) == 401
        assert h.status("/rpc", method="POST", body=call("history")) == 401
        assert len(h.upstream.seen) == 2


@test
def a_body_that_comes_in_pieces_is_waited_for():
    with bodies() as h:
        token, good = h.token("--permissions", "history_api"), call("history")
        length = "Content-Length: %d" % len(good)
        assert pieces(h, head(h, token, length), good[:20], good[20:])[0] == 200
        assert pieces(h, head(h, token, length, "Expect: 100-continue"), good)[0] == 200
        bad = call("network")
        status, text = pieces(h, head(h, token, "Content-Length: %d" % len(bad)), bad[:20], bad[20:])
        assert status == 403 and "requires scope network_api" in text
        # What follows what was judged is not forgotten: the upstream would get it.
        status, text = pieces(h, head(h, token, "Content-Length: %d" % (len(good) + 1)), good, b"x")
        assert status == 400, text
        assert len(h.upstream.seen) == 2


@test
def a_body_that_is_not_whole_is_refused():
    with bodies() as h:
        token, good = h.token("--permissions", "history_api"), call("history")
        assert h.status("/rpc", token=token, method="POST", body=call("history", 13000)) == 200
        long = h.ask("/rpc", token=token, method="POST", body=call("history", 15800))
        assert long.status == 413, (long.status, long.body)
        assert long.json() == {"text": "the body and the headers are longer than the proxy's buffer"}, long.body
        status, text = pieces(h, head(h, token, "Content-Length: 262145"))
        assert (status, text) == (413, '{"text":"the body is longer than 262144 bytes"}'), text
        # Nobody tells Lua where a chunked body ends.
        for body in (good, good + b" " * 20000):
            status, text = pieces(h, head(h, token, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            assert (status, text) == (411, '{"text":"Content-Length: must be given, because the body is read"}')
        assert len(h.upstream.seen) == 1
    with Haproxy(ACTION, settings="bodies=on", policy=RPC) as h:  # nobody waits: the rule behind the action denies
        token = h.token("--permissions", "history_api")
        assert pieces(h, head(h, token, "Content-Length: %d" % len(call("history"))))[0] == 503
    with Haproxy(BODIES, policy=RPC) as h:  # as ever
        assert h.status("/rpc", token=h.token("--permissions", "history_api"), method="POST", body=call("history")) == 403


@test
def bodies_of_http_2_are_read_too():
    port = free_port()
    with bodies(bind="bind 127.0.0.1:%d proto h2" % port) as h:
        token = h.token("--permissions", "history_api")

        def send(body, *headers):
            words = ["--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "-H", auth(token), "-T", "-", "-X", "POST"]
            for header in headers:
                words += ["-H", header]
            p = subprocess.run(["curl", "-s", *words, "http://127.0.0.1:%d/rpc" % port], input=body, capture_output=True, timeout=60)
            return p.stdout.decode()

        good = call("history")
        assert send(good, "Content-Length: %d" % len(good)) == "2 200"
        assert send(call("network"), "Content-Length: %d" % len(call("network"))) == "2 403"
        # What curl reads from a pipe has no length, unless it is told one.
        told = send(good)
        assert told == "2 411", told
        assert len(h.upstream.seen) == 1


MCP = {"default": "deny", "routes": [
    {"path": "/mcp", "needs": ["account"], "mcp": {"tools/call search": ["account"], "tools/call *": ["admin"]}},
    {"path": "/strict", "needs": ["account"], "mcp": {"tools/call search": ["account"], "tools/call *": ["admin"]}, "mcp_headers": "2026-07-28"},
    {"path": "/rpc", "methods": ["POST"], "json_rpc": True}, {"path": "/plain", "needs": ["account"]}]}
MODERN = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "search")]
UNKNOWN = '{"text":"Content-Length: must be given, because the body is read"}'


def tool(name):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}).encode()


def in_two(rules, settings):
    """HAProxy with MCP for its policy, and asked in HTTP/2: f(method, target, *frames of the body, named=has it `:authority`)."""
    path = os.path.join(shared_dir(), "in2")
    h = Haproxy(rules, settings=settings, policy=MCP, bind="bind unix@%s mode 666 proto h2" % path)
    token = h.token("--permissions", "account")

    def send(method, target, *data, named=True, headers=(), at_once=False):
        lines = [(":method", method), (":scheme", "http"), (":path", target), (":authority", "a") if named else ("host", "a"),
                 ("authorization", "Bearer " + token), ("content-type", "application/json"), *headers]
        return h2_send(path, lines, *data, at_once=at_once)
    return h, send


@test
def a_body_of_http_2_that_cannot_be_seen_is_refused():
    """With :authority and without, where HAProxy's `url` is the same as in HTTP/1; in one packet and in several."""
    for rules in (BODIES, quick_bodies()):
        h, send = in_two(rules, "bodies=on")
        with h:
            for named in (True, False):
                for at_once in (True, False):
                    def said(method, target, *data, **more):
                        return send(method, target, *data, named=named, at_once=at_once, **more)
                    for method in ("POST", "GET", "DELETE", "HEAD"):
                        for target, headers in (("/mcp", ()), ("/strict", MODERN)):
                            for body in ((tool("admin"),), (b"", tool("search"))):
                                status, text = said(method, target, *body, headers=headers)
                                assert (status, text) == (411, "" if method == "HEAD" else UNKNOWN), (named, at_once, method, target, body, status, text)
                    assert said("POST", "/rpc", call("history")) == (411, UNKNOWN)
                    assert h.upstream.seen == []


@test
def a_request_of_http_2_without_a_body_passes():
    for rules in (BODIES, quick_bodies()):
        h, send = in_two(rules, "bodies=on")
        with h:
            for named in (True, False):
                del h.upstream.seen[:]
                for method in ("GET", "DELETE", "HEAD"):
                    for target, headers in (("/mcp", ()), ("/strict", MODERN)):
                        # Its headers end it, or an empty frame that comes later.
                        assert send(method, target, named=named, headers=headers)[0] == 200, (method, target, named)
                        assert send(method, target, b"", named=named, headers=headers)[0] == 200, (method, target, named)
                assert [seen["body"] for seen in h.upstream.seen] == [""] * 12
                assert send("POST", "/strict", named=named, headers=MODERN)[0] == 200
                assert send("POST", "/mcp", named=named)[0] == 403
                assert send("POST", "/rpc", named=named)[0] == 400
                # One with its length is read; and elsewhere no body is.
                for method in ("GET", "POST"):
                    for name, status in (("search", 200), ("admin", 403)):
                        length = [("content-length", str(len(tool(name))))]
                        assert send(method, "/mcp", tool(name), named=named, headers=length)[0] == status, (method, name)
                assert send("GET", "/plain", b"x", named=named)[0] == 200
                assert h.upstream.seen[-1]["body"] == "x"


@test
def where_no_body_is_read_one_of_http_2_counts():
    for rules in (ACTION, quick()):
        h, send = in_two(rules, "")
        with h:
            for named in (True, False):
                for method in ("GET", "DELETE"):
                    assert send(method, "/strict", named=named)[0] == 200, (method, named)
                    assert send(method, "/mcp", named=named)[0] == 200, (method, named)
                    del h.upstream.seen[:]
                    assert send(method, "/strict", tool("admin"), named=named)[0] == 403, (method, named)
                    assert send(method, "/mcp", tool("admin"), named=named)[0] == 403, (method, named)
                    assert h.upstream.seen == []


@test
def a_body_that_never_comes_is_408():
    with Haproxy(BODIES.replace("10s", "300ms"), settings="bodies=on", policy=RPC) as h:
        token = h.token("--permissions", "history_api")
        assert pieces(h, head(h, token, "Content-Length: 100"), b"{")[0] == 408
        assert h.upstream.seen == []


@test
def without_the_module_the_server_decides_by_the_body():
    """examples/haproxy.cfg, which waits for bodies of JSON and sends them along."""
    with Case(RPC) as c, HaproxyProxy(c) as p:
        token, json_type = c.token("--permissions", "history_api"), "Content-Type: application/json"
        for body, headers, status in (
                (call("history"), [json_type], 200), (call("history"), [json_type + "; charset=utf-8"], 200), (call("network"), [json_type], 403),
                (b"{", [json_type], 403), (call("history"), [json_type + "; charset=utf-7"], 403), (call("history"), [json_type, json_type], 403),
                (call("history"), [], 403), (call("history", 8100), [json_type], 200 if len(call("history", 8100)) <= 8192 else 403),
                (call("history", 8193), [json_type], 403), (call("history", 20000), [json_type], 403),
                (call("history"), [json_type, "Content-Encoding: gzip"], 403)):
            answer = p.ask("/rpc", auth(token), *headers, method="POST", body=body)
            assert answer.status == status, (body[:90], headers, answer.status, answer.body)
        passed = json.loads(p.ask("/rpc", auth(c.key["key"]), json_type, method="POST", body=call("history")).body)
        assert passed["body"] == call("history").decode()
    with Case(RPC) as c:
        with HaproxyProxy(c).write(c.server.port, [("setenv SUBTOKEN_BODIES on", "")]) as p:
            token = c.token("--permissions", "history_api")
            assert p.ask("/rpc", auth(token), "Content-Type: application/json", method="POST", body=call("history")).status == 403


# ---- audiences ----

def derived(signer, audience):
    prk = hmac.new(bytes(32), signer[1], hashlib.sha256).digest()
    return signer[0] + "." + audience, hmac.new(prk, b"subtoken aud 1:" + audience.encode() + b"\1", hashlib.sha256).digest()


def jwt(signer, audience=None):
    now = int(time.time())
    claims = {"sub": "s" * 43, "iat": now, "exp": now + 900, **({"aud": audience} if audience else {}), "permissions": ["account"]}
    return sign(signer[1], claims, {"alg": "HS256", "typ": "JWT", **({"kid": signer[0]} if signer[0] else {})})


@test
def an_edge_is_told_which_audience_it_is():
    with Haproxy(settings="audience=eu") as h:
        plain = read_ring(h.secrets)[0]
        eu, us = derived(plain, "eu"), derived(plain, "us")
        for token, status in ((jwt(eu, "eu"), 200), (jwt(us, "us"), 401), (jwt(plain), 401), (jwt(plain, "eu"), 200), (jwt(eu, "us"), 401)):
            assert h.status("/v2/account", token=token) == status, (payload(token), status)
    h = Haproxy(settings="audience=")
    code, text = h.check()
    h.stop_upstream()
    assert code == 1 and "audience: must not be empty" in text, text


@test
def an_edge_with_derived_secrets_takes_tokens_for_its_audience_alone():
    h = Haproxy(feed=False)
    plain = read_ring(h.secrets)[0]
    eu, us = derived(plain, "eu"), derived(plain, "us")
    replace(h.secrets, ("%s:%s\n" % (eu[0], b64(eu[1]))).encode())
    share(h.secrets)
    h.feed.signer = eu
    h.feed.publish(["nobody"])
    with h:
        for token, status in ((jwt(eu, "eu"), 200), (jwt(us, "us"), 401), (jwt(plain), 401), (jwt(eu, "us"), 401), (jwt(eu), 401)):
            assert h.status("/v2/account", token=token) == status, (payload(token), status)
        token = jwt(eu, "eu")
        h.feed.publish([token.rsplit(".", 1)[1][:16]])
        wait(lambda: h.status("/v2/account", token=token) == 401, "the token has ended by its id")


@test
def the_id_of_a_token_is_for_rules_and_logs():
    rules = ACTION + "\n  http-request set-header X-Tid %[lua.subtoken_tid]"
    with Haproxy(rules) as h:
        token = h.token()
        headers = dict(json.loads(h.ask("/v2/account", token=token).body)["headers"])
        assert headers["x-tid"] == token.rsplit(".", 1)[1][:16], headers


# ---- a limit for each key ----

class Limited(HaproxyModuleProxy):
    def __init__(self, case):
        super().__init__(case, "haproxy-limit.cfg")

    def places(self, endpoint):
        return [p for p in super().places(endpoint) if "haproxy-subtoken" not in p[0] and p[0] != "127.0.0.1:8080"] + [
            ("gt 100", "gt 20")]


@test
def all_subtokens_of_a_key_share_one_count():
    with Case() as c, Limited(c) as p:
        first, second = c.token(), c.token("--urls", "/v2/account")
        child = issue_from(c, first)
        other = issue(c.server.data, make_key(c.server.data, "account")["key"], "--permissions", "account")
        statuses = [p.ask("/v2/account", auth([first, second, child][i % 3])).status for i in range(24)]
        assert statuses == [200] * 20 + [429] * 4, statuses
        refused = p.ask("/v2/account", auth(child))
        assert refused.header("Retry-After") == "10" and refused.json()["text"] == "too many requests", refused.headers
        assert refused.header("Content-Type") == "application/json; charset=utf-8" and refused.header("Cache-Control") == "no-store"
        # Another key, and what is public or refused, is not counted with it.
        assert [p.ask("/v2/account", auth(other)).status for _ in range(20)] == [200] * 20
        assert [p.ask("/v2/items").status for _ in range(25)] == [200] * 25
        assert [p.ask("/v2/account").status for _ in range(25)] == [401] * 25


def issue_from(c, token):
    """A subtoken of a subtoken."""
    return run("issue", "--permissions", "account", stdin=token, data=c.server.data, check=0)[1].strip()


main()
