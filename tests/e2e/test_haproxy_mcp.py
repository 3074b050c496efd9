"""The Model Context Protocol through HAProxy with the module: the applications and servers of tests/mcp, with the body
buffered as src/edge/examples/haproxy-module.cfg has it. What nginx does with the same: test_mcp.py."""
import atexit
from haproxy import *
import mcp

atexit.register(mcp.stop)
ALL = [["tools"], ["tool", "search", {"q": "x"}], ["tool", "größe"], ["tool", "slow"], ["resource", "doc://a"], ["prompt", "greet"]]
ANSWERS = ["search admin größe announce slow", "found x", "groß", "slept", "words", "hi"]
NEEDS = {"tools/call search": ["docs"], "tools/call slow": ["docs"], "tools/call größe": ["docs"], "tools/call *": ["admin"],
         "resources/read *": ["docs"]}
ROUTES = [{"path": "/" + name, "needs": ["mcp"], "mcp": NEEDS} for name in ("mcp", "session", "sdk", "strict")]


class Front(Haproxy):
    """HAProxy in front of server.mjs, at a port, because the clients know no other."""

    def __init__(self, routes=ROUTES, settings="bodies=on", **more):
        self.port = free_port()
        super().__init__(more.pop("rules", BODIES), settings, policy={"default": "deny", "routes": routes},
                         bind="bind 127.0.0.1:%d" % self.port, api="127.0.0.1:%d" % mcp.server_port(), **more)
        self.agents = make_key(self.data, "mcp,docs,admin")["key"]

    def agent_token(self, permissions="mcp,docs", urls=None):
        return issue(self.data, self.agents, "--permissions", permissions, *(["--urls", urls] if urls else []))

    def url(self, path="/mcp"):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    def post(self, body, *headers, token, path="/mcp"):
        headers += (auth(token), "Content-Type: application/json", "Accept: application/json, text/event-stream")
        return ask(("127.0.0.1", self.port), path, headers, "POST", json.dumps(body).encode())


def texts(said):
    assert "connect" not in said, said
    return [each.get("text", each) for each in said["results"]]


def call(name, i=1, method="tools/call"):
    return {"jsonrpc": "2.0", "id": i, "method": method, "params": {"name": name, "arguments": {}}}


@test
def every_client_reaches_every_server_and_streams_pass():
    """`slow` ends when its first progress has reached the application: a stream that was held back would never end."""
    with Front() as h:
        token = h.agent_token("mcp,docs,admin", urls="POST:/mcp,POST:/session,POST:/sdk,POST:/strict,GET:/*,DELETE:/*")
        for mode, path, era in (("default", "/mcp", "2025-11-25"), ("pin", "/strict", "2026-07-28"), ("auto", "/session", "2025-11-25"),
                                ("sdk", "/sdk", "2025-11-25")):
            said = mcp.agent(h.url(path), mode, *ALL, ["end"], token=token)
            assert texts(said) == ANSWERS + ["ended"] and said["era"] == era, (mode, path, said)


@test
def a_tool_that_is_not_allowed_is_refused_and_says_what_lacks():
    with Front() as h:
        token = h.agent_token()
        for mode, path in (("default", "/mcp"), ("auto", "/mcp"), ("sdk", "/sdk")):
            mcp.server_seen()
            said = mcp.agent(h.url(path), mode, ["tool", "admin"], ["tool", "search", {"q": "y"}], token=token)
            refused, passed = said["results"]
            assert passed == {"text": "found y"}, (mode, said)
            if mode == "sdk":
                assert refused["error"]["code"] == 403 and refused["error"]["message"].endswith('{"text":"requires scope admin"}'), said
            else:
                assert (refused["error"]["class"], refused["error"]["scope"]) == ("InsufficientScopeError", "admin"), said
            assert not [seen for seen in mcp.server_seen() if '"admin"' in seen["body"]], "it did not get to the server"
        answer = h.post(call("admin"), token=token)
        assert answer.status == 403 and answer.header("WWW-Authenticate") == 'Bearer error="insufficient_scope", scope="admin"'


@test
def a_batch_needs_all_that_it_calls():
    with Front() as h:
        token = h.agent_token()
        mcp.server_seen()
        assert h.post([call("search", 1), call("admin", 2)], token=token).status == 403
        assert h.post([call("admin", 1)], token=token).status == 403
        assert mcp.server_seen() == []
        # What the server makes of a batch is its own affair: it gets it.
        h.post([call("search", 1), call("search", 2)], token=token)
        assert len(mcp.server_seen()) == 1


@test
def headers_that_disagree_with_the_body_are_refused():
    with Front() as h:
        token = h.agent_token()
        body = call("search", i="seven")
        mcp.server_seen()
        for headers in (["Mcp-Method: tools/call", "Mcp-Name: slow"], ["Mcp-Method: tools/list"], ["Mcp-Name: =?base64?c2xvdw==?="],
                        ["Mcp-Method: tools/call", "Mcp-Method: tools/call"], ["Mcp-Name: search", "mcp-name: search"]):
            answer = h.post(body, *headers, token=token)
            assert answer.status == 400, (headers, answer.status, answer.body)
            assert answer.json()["error"]["code"] == -32020 and answer.json()["id"] == "seven", answer.body
        assert mcp.server_seen() == []
        assert h.post(body, "Mcp-Method: tools/call", "Mcp-Name: =?base64?c2VhcmNo?=", token=token).status != 400
        assert len(mcp.server_seen()) == 1


@test
def headers_alone_decide_where_no_body_is_read():
    routes = [{"path": "/strict", "needs": ["mcp"], "mcp": NEEDS, "mcp_headers": "2026-07-28"}, {"path": "/mcp", "needs": ["mcp"], "mcp": NEEDS}]
    with Front(routes, settings="", rules=ACTION) as h:
        token = h.agent_token()
        said = mcp.agent(h.url("/strict"), "pin", ["tool", "search", {"q": "z"}], ["tool", "größe"], ["tool", "admin"], token=token)
        assert "connect" not in said, said
        assert [each.get("text") for each in said["results"]] == ["found z", "groß", None], said
        assert said["results"][2]["error"]["scope"] == "admin", said
        modern = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: search"]
        assert h.post(call("search"), *modern, token=token, path="/strict").status != 403
        for headers in ([], modern[1:], modern[:1] + modern, ["MCP-Protocol-Version: 2025-11-25"] + modern[1:]):
            assert h.post(call("search"), *headers, token=token, path="/strict").status in (400, 403), headers
        assert h.post(call("search"), *modern, token=token).status == 403


@test
def a_session_has_its_stream_and_its_end():
    with Front() as h:
        token = h.agent_token("mcp,docs", urls="POST:/sdk,GET:/sdk,DELETE:/sdk")
        mcp.server_seen()
        said = mcp.agent(h.url("/sdk"), "default", ["tool", "search", {"q": "x"}], ["end"], token=token)
        assert texts(said) == ["found x", "ended"] and said["session"]
        methods = {seen["method"] for seen in mcp.server_seen()}
        assert methods == {"POST", "GET", "DELETE"}, methods
        assert h.ask("/sdk", token=h.agent_token("docs"), method="DELETE").status == 403


METADATA = "/.well-known/oauth-protected-resource"


@test
def a_401_leads_to_the_document():
    routes = [dict(ROUTES[0], resource="https://mcp.example/mcp"), {"path": "/sdk", "needs": ["mcp"]}]
    for rules in (BODIES, quick()):
        with Front(routes, "bodies=on issuer=https://keys.example", rules=rules) as h:
            mcp.server_seen()
            url = 'resource_metadata="https://mcp.example%s/mcp"' % METADATA
            for token, challenge in ((None, "Bearer " + url), (h.agent_token()[:-2], 'Bearer error="invalid_token", ' + url)):
                answer = h.ask("/mcp", token=token, method="POST", body=b"{}")
                assert (answer.status, answer.header("WWW-Authenticate"), answer.body) == (401, challenge, INVALID), answer.headers
            document = h.ask(METADATA + "/mcp?x=1", token="whatever")
            assert (document.status, document.header("Content-Type"), document.header("Cache-Control")) == (
                200, "application/json; charset=utf-8", "no-store"), document.headers
            said = document.json()
            assert (said["resource"], said["authorization_servers"], said["scopes_supported"]) == (
                "https://mcp.example/mcp", ["https://keys.example"], ["mcp"]), said
            assert h.ask(METADATA + "/mcp", method="HEAD").status == 200
            for target, method, status in ((METADATA, "GET", 401), (METADATA + "/other", "GET", 401), (METADATA + "/mcp", "POST", 401),
                                           (METADATA + "//mcp", "GET", 400), ("/sdk", "GET", 401)):
                answer = h.ask(target, method=method)
                assert answer.status == status and answer.header("WWW-Authenticate") in (None, "Bearer"), (target, answer.headers)
            assert mcp.server_seen() == []


@test
def a_token_for_one_path_is_a_token_for_an_agent():
    with Front() as h:
        token = h.agent_token("mcp,docs", urls="POST:/mcp")
        said = mcp.agent(h.url(), "auto", ["tool", "search", {"q": "x"}], token=token)
        assert texts(said) == ["found x"], said
        assert "connect" in mcp.agent(h.url("/sdk"), "sdk", ["tools"], token=token)


main()
