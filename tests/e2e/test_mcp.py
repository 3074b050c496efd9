"""The Model Context Protocol through nginx with the module: real clients in front, real servers behind (tests/mcp), and requests
as bytes. What applications get to see of each refusal: mcp_refusals.py. The example configuration: mcp_example.py. One file runs all, because
what it takes is the start of the packages."""
from mcp_front import *
import mcp_example, mcp_refusals  # they have tests

ALL = [["tools"], ["tool", "search", {"q": "x"}], ["tool", "größe"], ["tool", "slow"], ["resource", "doc://a"], ["prompt", "greet"]]
ANSWERS = ["search admin größe announce slow", "found x", "groß", "slept", "words", "hi"]
EVERY = (("default", "/mcp", "2025-11-25"), ("auto", "/mcp", "2026-07-28"), ("pin", "/strict", "2026-07-28"),
         ("sdk", "/mcp", "2025-11-25"), ("default", "/session", "2025-11-25"), ("auto", "/session", "2025-11-25"),
         ("default", "/sdk", "2025-11-25"), ("sdk", "/sdk", "2025-11-25"))


@test
def every_client_reaches_every_server():
    """And their events come one by one: `slow` sends one, and goes on when the client has seen it; what is announced comes on the
    stream of a session, or of 2026-07-28 to who listens."""
    with front() as n:
        token = n.agent_token()
        for mode, path, era in EVERY:
            session = path in ("/session", "/sdk")
            hears = session or (mode, path) == ("auto", "/mcp")
            said = mcp.agent(n.url(path), mode, *ALL, *([["announce"]] if hears else []), ["end"], token=token)
            assert texts(said) == ANSWERS + ["heard"] * hears + ["ended"] and said["era"] == era, (mode, path, said)
            assert said["session"] == session and not said["errors"], said


@test
def a_client_is_told_what_it_lacks_and_goes_on():
    with front() as n:
        token, without = n.agent_token(), n.agent_token("docs")
        for mode, path, _ in EVERY:
            mcp.server_seen()
            said = mcp.agent(n.url(path), mode, ["tool", "admin"], ["tool", "search", {"q": "y"}], token=token)
            refused, found = said["results"]
            assert found == {"text": "found y"}, said
            error = refused["error"]
            if mode == "sdk":
                assert error["code"] == 403 and error["message"].endswith('{"text":"requires scope admin"}'), error
            else:
                assert (error["class"], error["scope"]) == ("InsufficientScopeError", "admin"), error
            assert not [s for s in mcp.server_seen() if '"admin"' in s["body"]], "it did not get to the server"
            poor = mcp.agent(n.url(path), mode, token=without)["connect"]
            assert poor.get("scope") == "mcp" or poor["code"] == 403 and "requires scope mcp" in poor["message"], poor


@test
def a_token_may_be_for_calls_alone():
    """urls=POST:/session: no stream, and no end of the session; without a session nothing is missing."""
    with front() as n:
        token = n.agent_token(urls="POST:/mcp,POST:/session")
        for mode in ("default", "auto", "pin", "sdk"):
            assert texts(mcp.agent(n.url(), mode, *ALL, token=token)) == ANSWERS, mode
        said = mcp.agent(n.url("/session"), "default", *ALL, ["end"], token=token)
        assert texts(said)[:-1] == ANSWERS and said["results"][-1]["error"]["status"] == 403, said
        assert ["GET", "/session", 403] in said["requests"] and ["DELETE", "/session", 403] in said["requests"]
        assert mcp.agent(n.url("/sdk"), "default", token=token)["requests"] == [["POST", "/sdk", 403]], "not listed"


# ---- bytes ----

def rpc(method, **params):
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


SEARCH = rpc("tools/call", name="search", arguments={"q": "x"})
ADMIN = rpc("tools/call", name="admin")
NOTE = {"jsonrpc": "2.0", "method": "notifications/initialized"}
REPLY = {"jsonrpc": "2.0", "id": 1, "result": {}}
LIST = rpc("tools/list")
MISMATCH, INVALID_REQUEST, PARSE = -32020, -32600, -32700


def named(name):
    return "Mcp-Name: =?base64?%s?=" % base64.b64encode(name.encode()).decode()


# body, headers, status, code of a JSON-RPC error or the text
BODIES = [
    (SEARCH, [], 200, None), (ADMIN, [], 403, "requires scope admin"), (LIST, [], 200, None), (NOTE, [], 200, None), (REPLY, [], 200, None),
    (rpc("resources/read", uri="doc://x"), [], 200, None), (rpc("prompts/get", name="greet"), [], 200, None),
    (rpc("prompts/get", name="other"), [], 403, "requires scope admin"), (rpc("tools/call", name="größe"), [], 200, None),
    # Batches of 2025: everything in them.
    ([SEARCH, NOTE, LIST], [], 200, None), ([SEARCH, ADMIN], [], 403, "requires scope admin"), ([], [], 400, INVALID_REQUEST),
    # What could be read in two ways.
    (b"{", [], 400, PARSE), (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","method":"tools/list"}', [], 400, None),
    (b'{"jsonrpc":"2.0","id":7,"Method":"tools/call","method":"tools/list"}', [], 400, INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","Name":"admin"}}', [], 400, INVALID_REQUEST),
    (rpc("tools/call"), [], 400, INVALID_REQUEST), (rpc("Tools/Call", name="admin"), [], 400, INVALID_REQUEST), ("words", [], 400, INVALID_REQUEST),
    # Headers agree where they came.
    (SEARCH, ["Mcp-Method: tools/call", "Mcp-Name: search"], 200, None), (SEARCH, ["mcp-name:  search "], 200, None),
    (SEARCH, [named("search")], 200, None), (rpc("tools/call", name="größe"), [named("größe")], 200, None),
    (ADMIN, ["Mcp-Name: search"], 400, MISMATCH), (ADMIN, ["Mcp-Method: tools/list"], 400, MISMATCH), (SEARCH, [named("admin")], 400, MISMATCH),
    (SEARCH, ["Mcp-Name: =?base64?c2VhcmNo"], 400, MISMATCH), (SEARCH, ["Mcp-Name: =?base64?c2VhcmN?="], 400, MISMATCH),
    (SEARCH, ["Mcp-Name: search", "Mcp-Name: search"], 400, MISMATCH), (SEARCH, ["Mcp-Method: tools/call", "mcp-method: tools/call"], 400, MISMATCH),
    ([SEARCH, LIST], ["Mcp-Method: tools/call"], 400, MISMATCH),
]


@test
def the_body_decides_and_the_headers_agree_with_it():
    with front() as n:
        token = n.agent_token()
        for body, headers, status, told in BODIES:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            before = len(n.upstream.seen)
            answer = n.ask("/echo", *headers, token=token, method="POST", body=sent)
            assert answer.status == status, (body, headers, answer.status, answer.body, result(n))
            assert len(n.upstream.seen) == before + (status == 200), body
            if status == 200:
                assert echoed(answer)["body"].encode("latin-1") == sent
            elif status == 403:
                assert answer.json() == {"text": told}
                assert answer.header("WWW-Authenticate") == 'Bearer error="insufficient_scope", scope="admin"'
            else:
                said = answer.json()
                assert said["jsonrpc"] == "2.0" and told in (None, said["error"]["code"]), (body, headers, said)
                assert said["id"] == (7 if told == MISMATCH and isinstance(body, dict) else said["id"]), said
                assert result(n) == ("mcp_mismatch" if told == MISMATCH else "bad_request"), (body, result(n))
        # All that is lacking is named at once.
        answer = n.ask("/echo", token=n.agent_token("account"), method="POST", body=json.dumps(ADMIN).encode())
        assert answer.header("WWW-Authenticate") == 'Bearer error="insufficient_scope", scope="mcp admin"', answer.headers
        # Without a body: a stream and the end of a session need `needs` alone, a call is none.
        assert [n.status("/echo", token=token, method=m) for m in ("GET", "DELETE", "POST")] == [200, 200, 403]
        assert n.status("/echo", "Mcp-Method: tools/list", "MCP-Protocol-Version: 2026-07-28", token=token, method="POST") == 403
        assert n.status("/echo", token=n.agent_token("docs")) == 403 and n.status("/echo") == 401
        # Long ones, in pieces too, and packed ones.
        long = json.dumps(rpc("tools/call", name="search", arguments={"q": "x" * 200000})).encode()
        chunked = b"%x\r\n" % len(long) + long + b"\r\n0\r\n\r\n"
        assert n.status("/echo", token=token, method="POST", body=long) == 200
        assert n.status("/echo", "Transfer-Encoding: chunked", token=token, method="POST", body=chunked) == 200
        assert json.loads(json.loads(n.last.body)["body"])["params"]["name"] == "search"
        assert n.status("/echo", token=token, method="POST", body=long * 2) == 413 and result(n) == "limit"
        packed = n.ask("/echo", "Content-Encoding: gzip", token=token, method="POST", body=json.dumps(SEARCH).encode())
        assert packed.status == 415
        # Nor in another character set: some servers decode a body by what is named here, and read another one then.
        for types, status in ((["application/json"], 200), (["application/json; charset=utf-8"], 200), (['application/json;charset="UTF-8" ; a=b'], 200),
                              (["application/json; charset=utf-7"], 415), (["application/json; charset=utf-16"], 415),
                              (["application/json; CHARSET=latin1"], 415), (["application/json; charset=utf-8x"], 415),
                              (["application/json; charset=utf-8; charset=utf-7"], 415), (["application/json; charset*=utf-8''utf-7"], 415),
                              (["application/json; charset"], 415), (["application/json; charset ="], 415), (['a/b; charset="utf-8'], 415),
                              (["a/b; charset="], 415), (["a/b; charset=utf"], 415), (['a/b; charset="utf-8x'], 415), (["a/b; charset=utf-8\t; c=d"], 200),
                              (["application/json", "application/json"], 415)):
            got = n.ask("/echo", *["Content-Type: " + t for t in types], token=token, method="POST", body=json.dumps(SEARCH).encode())
            assert got.status == status, (types, got.status, got.body)


@test
def the_most_specific_member_decides():
    """Method and name, method and `*`, method alone, `*`; and what is nowhere needs `needs` alone. At the decision endpoint too,
    which gets the body as Envoy sends it."""
    needs = {"tools/call search": ["docs"], "tools/call *": ["admin"], "tools/call": ["never"], "tools/list": ["docs"],
             "resources/subscribe doc://a": ["docs"], "resources/unsubscribe doc://a": ["docs"]}
    routes = [{"path": "/echo/some", "needs": ["mcp"], "mcp": needs},
              {"path": "/echo/all", "needs": ["mcp"], "mcp": dict(needs, **{"*": ["admin"]})}]
    some = [(SEARCH, 200), (ADMIN, "admin"), (LIST, 200), (rpc("initialize"), 200), (NOTE, 200), (REPLY, 200),
            (rpc("resources/subscribe", uri="doc://a"), 200), (rpc("resources/unsubscribe", uri="doc://a"), 200),
            (rpc("resources/subscribe", uri="doc://b"), 200), (rpc("prompts/get", name="x"), 200)]
    every = some[:3] + [(rpc("initialize"), "admin"), (NOTE, "admin"), (REPLY, 200), (rpc("resources/subscribe", uri="doc://a"), 200),
                        (rpc("resources/subscribe", uri="doc://b"), "admin"), (rpc("prompts/get", name="x"), "admin")]
    file = private_file(json.dumps({"default": "deny", "routes": routes}))
    with Server(config={"policy": file}) as server, front(more=routes, data=server.data) as n:
        token = n.agent_token()
        for path, cases in (("/echo/some", some), ("/echo/all", every)):
            for body, wanted in cases:
                sent = json.dumps(body)
                answer = n.ask(path, token=token, method="POST", body=sent.encode())
                said = curl(server.url + "/v2/authorize" + path, *bearer(token), "-H", "Content-Type: application/json", "-d", sent)
                for each in (answer, said):
                    assert each.status == (200 if wanted == 200 else 403), (path, body, each.status, each.body)
                    if wanted != 200:
                        assert each.header("WWW-Authenticate") == 'Bearer error="insufficient_scope", scope="admin"', each.headers
            for method in ("GET", "DELETE"):  # the stream and the end of a session need `needs` alone, whatever `*` wants
                assert n.status(path, token=token, method=method) == 200, (path, method)
                assert curl(server.url + "/v2/authorize" + path, "-X", method, *bearer(token)).status == 200, (path, method)


@test
def a_batch_reaches_the_server_whole_or_not_at_all():
    with front() as n:
        token = n.agent_token()
        headers = ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
        both = [dict(SEARCH, id=1), NOTE, dict(LIST, id=2)]
        for path in ("/mcp", "/sdk"):
            session = []
            if path == "/sdk":
                begin = rpc("initialize", protocolVersion="2025-03-26", capabilities={}, clientInfo={"name": "x", "version": "1"})
                answer = n.ask(path, *headers, token=token, method="POST", body=json.dumps(begin).encode())
                session = ["Mcp-Session-Id: " + answer.header("Mcp-Session-Id")]
            answer = n.ask(path, *headers, *session, token=token, method="POST", body=json.dumps(both).encode())
            told = {m["id"]: m["result"] for m in map(json.loads, re.findall(r"^data: (.+)$", answer.body, re.M))}
            assert told[1]["content"][0]["text"] == "found x" and len(told[2]["tools"]) == 5, (path, answer.status, answer.body)
            mcp.server_seen()
            assert n.status(path, *headers, *session, token=token, method="POST", body=json.dumps(both + [ADMIN]).encode()) == 403
            assert not mcp.server_seen()


@test
def bodies_come_in_every_framing():
    """HTTP/2, with and without a length; chunks, among them none; and in pieces over time."""
    with front(server="listen unix:%(dir)s/h2 http2;") as n:
        token = n.agent_token()
        for how in (["--data-binary", "@-"], ["-T", "-", "-H", "Content-Length:"]):
            for body, status in ((SEARCH, 200), (ADMIN, 403), ([LIST, ADMIN], 403)):
                p = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--unix-socket",
                                    os.path.join(n.dir, "h2"), "--http2-prior-knowledge", *bearer(token), "-X", "POST", *how,
                                    "http://api.example/echo"], input=json.dumps(body).encode(), capture_output=True, timeout=30)
                assert p.stdout.decode() == "%d 2" % status, (how, body, p.stdout, p.stderr)
        none = n.ask("/echo", "Transfer-Encoding: chunked", token=token, method="POST", body=b"0\r\n\r\n")
        assert (none.status, none.body) == (403, '{"text":"no body came by which this call could be allowed"}'), none.body
        for method in ("GET", "DELETE", "PUT"):
            for body, status in ((LIST, 200), (ADMIN, 403)):
                got = n.status("/echo", token=token, method=method, body=json.dumps(body).encode())
                assert got == status, (method, body, got)
        client = Client(n.socket)
        text = json.dumps(ADMIN).encode()
        head = "POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (token, len(text))
        client.socket.sendall(head.encode() + text[:20])
        client.socket.sendall(text[20:])
        assert client.receive().status == 403
        # The connection goes on with the next request, and what was refused is no part of it.
        client.send("/echo", "POST", ["Authorization: Bearer " + token], json.dumps(SEARCH).encode())
        assert client.receive().status == 200
        client.close()


@test
def events_pass_as_they_come():
    """Also of a server that does not ask nginx for it."""
    with front() as n:
        n.upstream.shutdown()
        n.upstream.server_close()
        os.unlink(n.upstream.path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(n.upstream.path)
            os.chmod(n.upstream.path, 0o666)
            listener.listen()
            client = Client(n.socket)
            client.send("/echo", "POST", ["Authorization: Bearer " + n.agent_token()], json.dumps(SEARCH).encode())
            server, _ = listener.accept()
            server.settimeout(30)
            asked = b""
            while b'"search"' not in asked:
                asked += server.recv(65536)
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for i in range(3):
                server.sendall(b"data: %d\n\n" % i)
                while b"data: %d" % i not in client.file.readline():
                    pass
            server.close()
            client.close()


@test
def whole_keys_are_held_to_it_too():
    with front(server="subtoken_fallback /ask; location = /ask { internal; subtoken off; "
               "proxy_set_header X-Case all; proxy_pass http://api/v2/authorize; }", answer=Endpoint()) as n:
        n.upstream.answer.say["Bearer KEY"] = (200, dict(KEY, **{"X-Subtoken-Permissions": "mcp,docs"}))
        for body, status in ((SEARCH, 200), (ADMIN, 403), ([LIST, ADMIN], 403)):
            assert n.status("/echo", token="KEY", method="POST", body=json.dumps(body).encode()) == status, body
        assert n.last.header("WWW-Authenticate") == 'Bearer error="insufficient_scope", scope="admin"'
        # The user `*`, who may do a little. Whoever came without a credential may bring one: 401, never 403.
        n.upstream.answer.say["anonymous all"] = (200, {"X-Subtoken-Permissions": "mcp,docs"})
        for body, status in ((SEARCH, 200), (ADMIN, 401), ([SEARCH, ADMIN], 401), (LIST, 200)):
            assert n.status("/echo", method="POST", body=json.dumps(body).encode()) == status, body
        assert [n.status("/echo"), n.status("/echo", method="POST")] == [200, 401]


@test
def headers_alone_decide_where_no_body_is_read():
    """For a server that compares them itself: here one that refuses older bodies."""
    version = "MCP-Protocol-Version: 2026-07-28"
    with front(server="subtoken_read_body off;", headers=True, more=[{"path": "/echo/rpc", "json_rpc": True}]) as n:
        token = n.agent_token()
        said = mcp.agent(n.url("/strict"), "pin", *ALL, ["tool", "admin"], token=token)
        assert texts(said)[:-1] == ANSWERS and said["results"][-1]["error"]["scope"] == "admin", said
        assert mcp.agent(n.url("/strict"), "default", token=token)["requests"] == [["POST", "/strict", 403]], "another revision"
        for headers, status in (
                ([version, "Mcp-Method: tools/call", "Mcp-Name: search"], 200), ([version, "Mcp-Method: tools/call", named("größe")], 200),
                ([version, "Mcp-Method: tools/call", "Mcp-Name: admin"], 403), ([version, "Mcp-Method: tools/list"], 200),
                (["MCP-Protocol-Version: 2025-11-25", "Mcp-Method: tools/list"], 403), (["Mcp-Method: tools/list"], 403),
                ([version, version, "Mcp-Method: tools/list"], 403), ([version], 400), ([version, "Mcp-Method: tools/call"], 400),
                ([version, "Mcp-Method: tools/call", "Mcp-Name: search", "Mcp-Name: search"], 400)):
            answer = n.ask("/echo", *headers, token=token, method="POST", body=b"x" * 300000)
            assert answer.status == status, (headers, answer.status, answer.body)
        # What the server does with a body that says something else.
        for body in (ADMIN, [ADMIN]):
            got = n.ask("/strict", version, "Mcp-Method: tools/call", "Mcp-Name: search", "Content-Type: application/json",
                        "Accept: application/json, text/event-stream", token=token, method="POST", body=json.dumps(body).encode())
            assert got.status == 400, (body, got.body)
        assert n.status("/echo/rpc", token=token, method="POST", body=b'{"method":"a.b"}') == 403
        assert n.status("/plain", version, "Mcp-Method: tools/list", token=token, method="POST", body=b"{}") == 403


# ---- where to get a token ----

METADATA = "/.well-known/oauth-protected-resource"


@test
def a_401_names_a_document_only_where_resource_and_issuer_are():
    """Four routes: with the one, the other, both, neither; a resource that is the whole host has its document at the bare path. At
    the module and at the server."""
    routes = [{"path": "/echo/at", "needs": ["mcp"], "resource": "https://mcp.example/"}, {"path": "/echo/none", "needs": ["mcp"]}]
    challenge = 'Bearer resource_metadata="https://mcp.example%s"' % METADATA
    file = private_file(json.dumps({"default": "deny", "routes": routes}))
    for issuer in ("https://keys.example", None):
        config = dict({"policy": file, "basic_challenge": True}, **({"issuer": issuer} if issuer else {}))
        with Server(config=config) as server, \
                front(server="subtoken_issuer %s;" % (issuer or "off"), more=routes) as n:
            for path, wanted in (("/echo/at", challenge if issuer else "Bearer"), ("/echo/none", "Bearer")):
                # Clients of MCP look at the first challenge alone (findings/mcp-client-second-challenge.sh).
                for answer, more in ((n.ask(path), []), (curl(server.url + "/v2/authorize" + path), ['Basic realm="subtoken", charset="UTF-8"'])):
                    challenges = [value for name, value in answer.headers if name.lower() == "www-authenticate"]
                    assert answer.status == 401 and challenges == [wanted] + more, (issuer, path, answer.headers)
            for answer in (n.ask(METADATA), curl(server.url + METADATA)):
                assert (answer.status == 200) == (issuer is not None), (issuer, answer.status, answer.body)
                if issuer:
                    assert answer.json() == {"resource": "https://mcp.example/", "authorization_servers": [issuer],
                                             "bearer_methods_supported": ["header"], "scopes_supported": ["mcp"]}, answer.body


@test
def a_401_leads_to_the_document():
    with front(server="subtoken_issuer https://keys.example; location /off { subtoken_issuer off; proxy_pass http://api; }") as n:
        mcp.server_seen()
        url = 'resource_metadata="https://mcp.example%s/mcp"' % METADATA
        for token, challenge in ((None, "Bearer " + url), (n.agent_token()[:-2], 'Bearer error="invalid_token", ' + url)):
            answer = n.ask("/mcp", token=token, method="POST", body=b"{}")
            assert (answer.status, answer.header("WWW-Authenticate"), answer.body) == (401, challenge, INVALID)
        for method in ("GET", "HEAD"):
            document = n.ask(METADATA + "/mcp", method=method)
            assert (document.status, document.header("Content-Type")) == (200, "application/json; charset=utf-8")
            assert document.header("Access-Control-Allow-Origin") == "*" and document.header("Cache-Control") == "no-store"
            assert result(n) is None
        document = n.ask(METADATA + "/mcp?x=1", token="whatever").json()
        assert document["resource"] == "https://mcp.example/mcp" and document["authorization_servers"] == ["https://keys.example"], document
        assert document["scopes_supported"] == ["mcp"], document
        # What is not there is not public, nor is another method, nor a subrequest or a second reading.
        for target, method, status in ((METADATA, "GET", 401), (METADATA + "/other", "GET", 401), (METADATA + "/mcp", "POST", 401),
                                       (METADATA + "/mcp/", "GET", 401), (METADATA + "//mcp", "GET", 400), (METADATA + "s/mcp", "GET", 401),
                                       (METADATA + "/%6dcp", "GET", 400), ("/off/a", "GET", 401), ("/echo", "GET", 401)):
            answer = n.ask(target, method=method)
            assert answer.status == status or target.endswith("%6dcp"), (target, method, answer.status, answer.body)
            assert status == 400 or answer.header("WWW-Authenticate") == "Bearer", (target, answer.headers)
        assert not mcp.server_seen()


@test
def a_client_with_a_key_logs_in_by_itself():
    """401, the document, the issuer's metadata, its token endpoint, and the call once more: for each client, with the real server."""
    routes = private_file(json.dumps({"default": "deny", "routes": [{"path": "/mcp", "needs": ["mcp"], "resource": "https://mcp.example/mcp"}]}))
    with Server(config={"issuer": "https://keys.example", "policy": routes}) as server, \
            front(server="subtoken_issuer https://keys.example;", data=server.data) as n:
        assert curl(server.url + METADATA + "/mcp").json() == n.ask(METADATA + "/mcp").json(), "the server has the same document"
        key = make_key(server.data, "mcp,docs")["key"]
        hosts = {"https://mcp.example": "http://127.0.0.1:%d" % n.port, "https://keys.example": server.url}
        for mode in ("default", "auto", "pin", "sdk"):
            said = mcp.agent("https://mcp.example/mcp", mode, ["tools"], ["tool", "search", {"q": "x"}], hosts=hosts,
                             login=[key[:36], key, "https://keys.example"])
            assert said["requests"][:5] == [
                ["POST", "/mcp", 401], ["GET", METADATA + "/mcp", 200], ["GET", "https://keys.example/.well-known/oauth-authorization-server", 200],
                ["POST", "https://keys.example/oauth/token", 200], ["POST", "/mcp", 200]], said
            # The document names `mcp` alone, and clients of 2.4.0 ask for that: a call that needs more makes them ask for that as
            # well. The sdk asks for nothing, and gets what the key has.
            assert texts(said) == [ANSWERS[0], "found x"], said
            assert len([r for r in said["requests"] if r[1].endswith("/oauth/token")]) == (1 if mode == "sdk" else 2), said
            assert ([r[2] for r in said["requests"]].count(403) == 1) == (mode != "sdk"), said
        # Where no person and no key is, the client has nowhere to register: it does not try to at the API.
        said = mcp.agent("https://mcp.example/mcp", "default", hosts=hosts, login=[])
        assert not [r for r in said["requests"] if r[1].startswith("/register")], said
        assert said["connect"], said


main()
