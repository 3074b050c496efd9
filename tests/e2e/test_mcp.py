"""The Model Context Protocol through nginx with the module: real clients in front, real servers behind (tests/mcp)."""
import atexit
from nginx import *
import mcp

atexit.register(mcp.stop)
STREAMS = "proxy_buffering off; proxy_read_timeout 1h;"
ALL = [["tools"], ["tool", "search", {"q": "x"}], ["tool", "größe"], ["tool", "slow"], ["resource", "doc://a"], ["prompt", "greet"]]
ANSWERS = ["search admin größe slow", "found x", "groß", "slept", "words", "hi"]


class Front(Nginx):
    """nginx in front of server.mjs, at a port, because the clients know no other."""

    def __init__(self, routes, server="", **more):
        self.port = free_port()
        super().__init__("""listen 127.0.0.1:%d; subtoken on; subtoken_policy %%(dir)s/policy.json; %s
            location / { proxy_pass http://127.0.0.1:%d; %s }""" % (self.port, server, mcp.server_port(), STREAMS), **more)
        policy(self, {"default": "deny", "routes": routes})
        self.agents = make_key(self.data, "mcp,docs,admin")["key"]

    def agent_token(self, permissions="mcp,docs", urls=None):
        return issue(self.data, self.agents, "--permissions", permissions, *(["--urls", urls] if urls else []))

    def url(self, path="/mcp"):
        return "http://127.0.0.1:%d%s" % (self.port, path)


def texts(said):
    assert "connect" not in said, said
    return [each.get("text", each) for each in said["results"]]


@test
def every_client_reaches_every_server():
    n = Front([{"path": "/%s" % p, "needs": ["mcp"]} for p in ("mcp", "session", "sdk", "strict")])
    with n:
        token = n.agent_token()
        for mode, path, era in (("default", "/mcp", "2025-11-25"), ("auto", "/mcp", "2026-07-28"), ("pin", "/strict", "2026-07-28"),
                                ("sdk", "/mcp", "2025-11-25"), ("auto", "/session", "2025-11-25"), ("default", "/sdk", "2025-11-25"),
                                ("sdk", "/sdk", "2025-11-25")):
            said = mcp.agent(n.url(path), mode, *ALL, ["end"], token=token)
            assert texts(said) == ANSWERS + ["ended"] and said["era"] == era, (mode, path, said)


main()
