"""The nginx module when what it asks of the system fails: each allocation of a request, its pool included, each call
while its files are read, in a start, in a reload, and when the revocation data, the secrets or the policy change. Nothing
passes that may not, nothing is passed on under another identity, a question is whole or is not asked, no worker ends,
no client waits, and the same worker answers rightly as soon as the fault is over.

In CI of the allocations of a start every 40th fails; SUBTOKEN_EVERY=1: each one."""
from nginx import *

sys.path.insert(0, os.path.join(TESTS, "faults"))
from faults import FOREVER, Faults

EVERY = os.environ.get("SUBTOKEN_EVERY")
OWN_OBJECT = "ngx_http_subtoken_module.so"
ROUTES = {"default": "token", "routes": [
    {"path": "/open", "public": True}, {"path": "/account", "needs": ["account"]}, {"path": "/never", "needs": ["never"]},
    {"path": "/guest", "needs": ["guest"]}, {"path": "/rpc", "methods": ["POST"], "json_rpc": True},
    {"path": "/mcp", "mcp": {"tools/call *": ["account"]}}]}
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "call", "params": ["history", "x" * 300]}).encode()
TOOL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}).encode()
SITE = """subtoken on; subtoken_policy %(dir)s/policy.json; subtoken_fallback /ask; connection_pool_size 128;
  request_pool_size 128; client_body_buffer_size 128;
  location / { proxy_pass http://api; }
  location /limited { if ($subtoken_sub) { set $who $subtoken_sub; } add_header X-Who $who; proxy_pass http://api; }
  location /page { subtoken off; ssi on; ssi_types *; proxy_pass http://api; }
  location /again { error_page 401 403 /open; proxy_pass http://api; }
  location = /metrics { subtoken off; subtoken_status; }
  location = /ask { internal; subtoken off; proxy_pass http://api/v2/authorize; proxy_pass_request_body off;
    proxy_set_header Content-Length ""; }"""
WHOLE = {"x-subtoken-nonce", "x-original-method", "x-original-uri", "x-subtoken-audience"}
PAGE = '<!--# include virtual="/account" -->|<!--# include virtual="/account/b" -->'


class Endpoint:
    """Says of each key that it stands for itself, and keeps the questions that are not whole."""

    def __init__(self):
        self.asked, self.wrong = 0, []

    def __call__(self, asked):
        if asked["target"].startswith("/page"):
            return 200, [("Content-Type", "text/html")], PAGE
        if asked["target"] != "/v2/authorize":
            return None
        self.asked += 1
        headers = {n.lower(): v for n, v in asked["headers"]}
        credential = headers.get("authorization") or headers.get("x-api-key")
        whole = WHOLE | {"x-forwarded-for"} if credential else WHOLE
        if not whole <= set(headers) or "x-evil" in headers or asked["method"] != "HEAD" or asked["body"]:
            self.wrong.append(asked)
        if not credential:
            return 401, nonce(asked) + [("X-Subtoken-Permissions", "guest")], ""
        return 200, nonce(asked) + [("X-Subtoken-Sub", sub_of_key(credential)), ("X-Subtoken-Key", "ID"),
                                    ("X-Subtoken-Permissions", "account")], ""


def sub_of_key(credential):
    return b64(hashlib.sha256(credential.encode()).digest())


class Site:
    """nginx with one worker and the shim."""

    def __init__(self):
        self.faults, self.endpoint = Faults(program="nginx"), Endpoint()
        self.n = n = Nginx(SITE, answer=self.endpoint)
        policy(n, ROUTES)
        command, env = n.command()
        n.command = lambda: (command, self.faults.env(env))
        self.keys = 0

    def __enter__(self):
        self.n.start()
        wait(lambda: self.n.workers(), "the worker")
        self.worker = self.n.workers()
        self.token = self.n.token("--permissions", "account,history_api")
        return self

    def __exit__(self, kind, value, trace):
        self.faults.disarm()
        try:
            self.n.__exit__(kind, value, trace)
        finally:
            assert kind or not self.endpoint.wrong, self.endpoint.wrong[:3]

    def key(self):
        """One that no worker has asked about yet."""
        self.keys += 1
        return "Authorization: Bearer KEY-%d" % self.keys

    def same_worker(self):
        assert self.n.workers() == self.worker, (self.faults.explain(NGINX), self.n.errors()[-2000:])


class Ask:
    """A request, and the answer that it has when nothing fails."""

    def __init__(self, name, target, status, *headers, credential=None, method="GET", body=None, sub=None):
        self.name, self.target, self.status, self.headers, self.method = name, target, status, headers, method
        self.body, self.credential, self.sub = body, credential, sub

    def lines(self, site):
        given = self.credential(site) if self.credential else None
        return [given] * (given is not None) + list(self.headers), given


def of_site(site):
    return "Authorization: Bearer " + site.token


ASKS = [
    Ask("a token", "/account", 200, credential=of_site),
    Ask("a token in the query", "/account?access_token=%s&a=b", 200),
    Ask("forged headers", "/account", 200, *FORGED, "Referer: http://x/?access_token=y", "traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        credential=of_site),
    Ask("a token that may not", "/never", 403, credential=of_site),
    Ask("a token that is none", "/account", 401, "Authorization: Bearer a.b.c"),
    Ask("a variable in rewrite", "/limited", 200, credential=of_site),
    Ask("a public path", "/open", 200, "X-Subtoken-Sub: root"),
    Ask("a path that is two", "/open/../account", 400, credential=of_site),
    Ask("a key", "/account", 200, "X-Evil: 1", credential=Site.key, sub="key"),
    Ask("a key with a body", "/account", 200, "X-Evil: 1", credential=Site.key, sub="key", method="POST", body=b"b" * 500),
    Ask("a key that may not", "/never", 403, "X-Evil: 1", credential=Site.key),
    Ask("nobody where everybody may", "/guest", 200, "X-Evil: 1"),
    Ask("nobody", "/account", 401, "X-Evil: 1"),
    Ask("a call", "/rpc", 200, credential=of_site, method="POST", body=CALL),
    Ask("a call with a key", "/rpc", 403, credential=Site.key, method="POST", body=CALL),
    Ask("a tool", "/mcp", 200, "Accept: application/json, text/event-stream", "Content-Type: application/json", credential=of_site,
        method="POST", body=TOOL),
    Ask("a page", "/page", 200, "X-Evil: 1", credential=Site.key),
    Ask("an error page", "/again", 401, "X-Evil: 1", "Authorization: Bearer a.b.c"),
    Ask("metrics", "/metrics", 200),
]


def answer_of(site, ask_of, lines):
    """The answer, or None where the connection ended without a whole one."""
    target = ask_of.target.replace("%s", site.token)
    try:
        return ask(site.n.socket, target, lines, ask_of.method, ask_of.body)
    except socket.timeout:
        raise AssertionError("a client waits: %s < %s" % (ask_of.name, site.faults.explain(NGINX)))
    except (AssertionError, ConnectionError, TypeError, ValueError):
        return None


def check(site, ask_of, given, answer, seen, failing):
    """No more passes than without the fault, and under no other identity."""
    def hold(condition, what):
        assert condition, (ask_of.name, what, answer and (answer.status, answer.body[:200]), seen[-2:], site.faults.explain(NGINX))
    allowed = {ask_of.status, 500, 503} | ({502, 504} if ask_of.status == 200 else set()) if failing else {ask_of.status}
    hold(failing if answer is None else answer.status in allowed, "the answer")
    for each in seen:
        if each["target"] == "/v2/authorize":
            continue
        sub = identity(each["headers"]).get("X-Subtoken-Sub", "")
        if each["target"].startswith(("/open", "/guest", "/page")):
            hold(sub == "", "an identity where there is none")
        else:
            hold(ask_of.status == 200, "it was passed on")
            wanted = sub_of_key(given.partition(": ")[2]) if given and "KEY-" in given else sub_of(site.token)
            hold(sub == wanted and "access_token" not in each["target"], "another identity")


def played(site, ask_of, failing):
    lines, given = ask_of.lines(site)
    before = len(site.n.upstream.seen)
    answer = answer_of(site, ask_of, lines)
    return given, lines, answer, before


def fail_each(site, ask_of, kinds, times=1, **options):
    """The Nth call fails, N from 1 until nothing fails any more. How many there were."""
    count, seen = 0, site.n.upstream.seen
    parts = []

    def attempt(n):
        parts[:] = played(site, ask_of, True)
    for n in site.faults.each(kinds, attempt, times=times, **options):
        given, lines, answer, before = parts
        wait(lambda: site.n.workers(), "a worker")
        site.same_worker()
        check(site, ask_of, given, answer, seen[before:], True)
        count, before = n, len(seen)
        again = answer_of(site, ask_of, lines)  # by the same credential: what was learnt meanwhile is right
        check(site, ask_of, given, again, seen[before:], False)
    return count


@test
def each_allocation_of_a_request_may_fail():
    with Site() as site:
        for each in ASKS:
            given, _, answer, before = played(site, each, False)
            check(site, each, given, answer, site.n.upstream.seen[before:], False)
            assert fail_each(site, each, "memory") > 5, each.name


@test
def from_each_allocation_on_there_may_be_none():
    with Site() as site:
        for each in ASKS:
            assert fail_each(site, each, "memory", times=FOREVER) > 0, each.name


@test
def randomness_may_fail():
    """A question has a nonce that cannot be guessed, or is not asked: 503."""
    with Site() as site:
        for each in ASKS:
            asked = site.endpoint.asked
            count = fail_each(site, each, "random")
            assert count > 0 or each.credential != Site.key, each.name
            assert site.endpoint.asked > asked or count == 0, each.name


main()
