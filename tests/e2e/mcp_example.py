"""src/edge/examples/nginx-mcp.conf in a real nginx: each key has a limit of its own. And the lines for agents of the READMEs. For test_mcp.py."""
from proxies import *
from transcripts import blocks, document, place, play
import mcp

MCP_POLICY = {"default": "deny", "routes": [
    {"path": "/v2/account", "needs": ["account"]},
    {"path": "/mcp", "needs": ["mcp"], "resource": "https://mcp.example/mcp",
     "mcp": {"tools/call search": ["docs"], "tools/call *": ["admin"], "resources/read *": ["docs"]}}]}


class McpProxy(NginxProxy):
    """It verifies by itself, and the server of tests/mcp is behind it. rate: of its limit."""

    def __init__(self, data, rate="10r/s", burst=20, policy=MCP_POLICY):
        self.env, self.data, self.name, self.dir = module_env(), data, "nginx-mcp.conf", shared_dir()
        self.port, self.limit, self.policy = free_port(), (rate, burst), policy
        self.socket = ("127.0.0.1", self.port)
        self.write("unused")

    def places(self, _):
        secrets, policy = os.path.join(self.dir, "secrets"), os.path.join(self.dir, "policy.json")
        shutil.copy(os.path.join(self.data, "secrets"), secrets)
        share(secrets)
        self.feed = FeedFiles(os.path.join(self.dir, "revoked"), read_ring(secrets)[0])
        self.feed.publish(["nobody"])
        with open(policy, "w") as f:
            f.write(self.policy if isinstance(self.policy, str) else json.dumps(self.policy))
        tmp = "".join("%s_temp_path %s/%s;" % (n, self.dir, n) for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return [("user www-data;", "user www-data;" if os.geteuid() == 0 else ""), ("/run/nginx.pid", self.dir + "/pid"),
                ("/var/log/nginx/", self.dir + "/"), ("127.0.0.1:3000", "127.0.0.1:%d" % mcp.server_port()),
                ("worker_processes auto", "worker_processes 1"), ("listen 127.0.0.1:8081", "listen 127.0.0.1:%d" % self.port),
                ("http {", "http {" + tmp), ("modules/ngx_http_subtoken_module.so", MODULE), ("/etc/subtoken/secrets;", secrets + ";"),
                ("/var/lib/subtoken/revocations;", self.feed.path + ";"), ("/etc/subtoken/policy.json;", policy + ";"),
                ("rate=10r/s", "rate=" + self.limit[0]), ("burst=20", "burst=%d" % self.limit[1])]

    def stop_upstream(self):
        pass


def of_key(data, permissions="mcp,docs,account", *args):
    return issue(data, make_key(data, "mcp,docs,admin,account")["key"], "--permissions", permissions, *args)


@test
def each_key_has_a_limit_of_its_own():
    data = data_dir()
    one = make_key(data, "mcp,docs,account")["key"]
    first, second = [issue(data, one, "--permissions", "mcp,account") for _ in range(2)]
    other = of_key(data)
    with McpProxy(data, "1r/m", 3) as n:
        def status(token, target="/v2/account", *headers):
            return n.ask(target, *([auth(token)] if token else []), *headers).status
        # What is refused does not count: neither of nobody, nor of this key.
        for _ in range(8):
            assert status(None) == 401 and status(first[:-2]) == 401 and status(first, "/v2/items") == 403
        # All tokens of a key, at every location, have one limit.
        assert [status(t) for t in (first, second, first, second)] == [404] * 4, "they reach the server"
        limited = n.ask("/v2/account", auth(second))
        assert (limited.status, limited.header("Retry-After"), limited.body) == (
            429, "1", '{"text":"too many requests; try again later"}')
        assert limited.header("Content-Type") == "application/json"
        assert status(None) == 401 and status(first[:-2]) == 401, "nor are refused requests limited"
        said = mcp.agent("http://127.0.0.1:%d/mcp" % n.port, "auto", ["tools"], token=first)
        assert said["connect"]["status"] == 503 and said["connect"]["code"] == "ERA_NEGOTIATION_FAILED", said
        # Another key has its own.
        assert [status(other) for _ in range(4)] == [404] * 4 and status(other) == 429
        fresh = of_key(data)
        said = mcp.agent("http://127.0.0.1:%d/mcp" % n.port, "auto", ["tool", "search", {"q": "a"}], ["tool", "search", {"q": "b"}],
                         ["tool", "search", {"q": "c"}], ["tool", "search", {"q": "d"}], token=fresh)
        assert [r.get("text") for r in said["results"]] == ["found a", "found b", "found c", None], said
        assert said["results"][3]["error"]["status"] == 503 and "too many requests" in said["results"][3]["error"]["message"], said
    assert "result=ok sub=" + sub_of(other) in n.written() and "tid=" + other.rpartition(".")[2][:16] in n.written()


@test
def the_lines_for_agents_do_what_they_show():
    played = 0
    for name in ("README.md", "src/edge/README.md"):
        text = document(name)
        for console in blocks(text, "shell-session"):
            shown = [b for b in blocks(text, "json") if '"mcp"' in b]
            assert len(shown) == 1, (name, "one policy")
            assert len(console.splitlines()) + len(shown[0].splitlines()) <= 10, "ten lines"
            with Server() as server:
                key = make_key(server.data, "mcp,docs,admin")["key"]
                with McpProxy(server.data, policy=shown[0]) as n:
                    played += play(console.replace("127.0.0.1:8081", "127.0.0.1:%d" % n.port), place(), dict(os.environ, KEY=key), server.port)
    assert played in (4, 8), played

