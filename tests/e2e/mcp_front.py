"""nginx with the module in front of the servers of tests/mcp, for tests of MCP; and its policy."""
import atexit
from nginx import *
import mcp

atexit.register(mcp.stop)
CALLS = {"tools/call search": ["docs"], "tools/call größe": ["docs"], "tools/call slow": ["docs"], "tools/call announce": ["docs"], "tools/call *": ["admin"],
         "resources/read *": ["docs"], "prompts/get greet": ["docs"], "prompts/get *": ["admin"]}
SERVERS = ("mcp", "session", "sdk", "strict")


class Front(Nginx):
    """It listens at a port, too, because the clients know no socket in the file system. /echo is the upstream of upstream.py."""

    def __init__(self, server="", headers=False, http="", more=(), **options):
        self.port = free_port()
        super().__init__("""listen 127.0.0.1:%d; subtoken on; subtoken_policy %%(dir)s/policy.json; client_body_buffer_size 256k;
            proxy_buffering off; proxy_read_timeout 1h; %s
            location / { proxy_pass http://127.0.0.1:%d; }
            location /echo { proxy_pass http://api; } location /plain { proxy_pass http://api; }"""
                         % (self.port, server, mcp.server_port()), http=http, **options)
        routes = [{"path": "/" + name, "needs": ["mcp"], "mcp": CALLS, "resource": "https://mcp.example/" + name} for name in SERVERS]
        routes.append({"path": "/echo", "needs": ["mcp"], "mcp": CALLS})
        routes.append({"path": "/plain", "needs": ["mcp"], "mcp": CALLS})
        for route in routes[:-1] if headers else []:
            route["mcp_headers"] = "2026-07-28"
        policy(self, {"default": "deny", "routes": routes + list(more)})
        self.agents = make_key(self.data, "mcp,docs,admin,account")["key"]

    def agent_token(self, permissions="mcp,docs", urls=None):
        return issue(self.data, self.agents, "--permissions", permissions, *(["--urls", urls] if urls else []))

    def url(self, path="/mcp"):
        return "http://127.0.0.1:%d%s" % (self.port, path)


def front(**options):
    return Front(**options)


def texts(said):
    assert "connect" not in said, said
    return [each.get("text", each) for each in said["results"]]
