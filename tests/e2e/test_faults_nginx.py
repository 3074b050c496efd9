"""The nginx module when what it asks of the system fails: each allocation of a request, its pool included, each call
while its files are read, in a start, in a reload, and when the revocation data, the secrets or the policy change. Nothing
passes that may not, nothing is passed on under another identity, a question is whole or is not asked, no worker ends,
no client waits, and the same worker answers rightly as soon as the fault is over.

SUBTOKEN_EVERY=1 lets more calls fail than CI has time for."""
from nginx import *

sys.path.insert(0, os.path.join(TESTS, "faults"))
from faults import FOREVER, Faults

EVERY = os.environ.get("SUBTOKEN_EVERY")
STRIDE = 1 if EVERY else 2  # of the calls in a start and a reload
OWN_OBJECT = "ngx_http_subtoken_module.so"
FAILING = os.path.join(os.path.dirname(MODULE), "faults", OWN_OBJECT)  # what it asks of nginx may fail, too (nginx_calls.c)
ROUTES = {"default": "token", "routes": [
    {"path": "/open", "public": True}, {"path": "/account", "needs": ["account"]}, {"path": "/never", "needs": ["never"]},
    {"path": "/guest", "needs": ["guest"]}, {"path": "/rpc", "methods": ["POST"], "json_rpc": True},
    {"path": "/mcp", "mcp": {"tools/call *": ["account"], "tools/call never": ["never"]}},
    {"path": "/named", "needs": ["never"], "resource": "https://api.example/named"}]}
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "call", "params": ["history", "x" * 300]}).encode()
LONG = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "call", "params": ["history", "x" * 5000]}).encode()  # into a file
TOOL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}).encode()
NEVER = TOOL.replace(b'"x"', b'"never"')
SITE = """subtoken on; subtoken_policy %(dir)s/policy.json; subtoken_fallback /ask; subtoken_issuer https://keys.example;
  connection_pool_size 128;
  request_pool_size 128; client_body_buffer_size 128;
  location / { proxy_pass http://api; }
  location /limited { if ($subtoken_sub) { set $who $subtoken_sub; } add_header X-Who $who; proxy_pass http://api; }
  location /page { subtoken off; ssi on; ssi_types *; proxy_pass http://api; }
  location /slashes { subtoken_merge_slashes on; proxy_pass http://api; }
  location /any { satisfy any; deny all; proxy_pass http://api; }
  location /told { return 200 "$subtoken_feed_age $subtoken_permissions $subtoken_feed_sequence"; }
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
        if (credential or "").startswith("SLOW"):
            return 429, nonce(asked) + [("Retry-After", "7")], ""
        if not credential:
            return 401, nonce(asked) + [("X-Subtoken-Permissions", "guest")], ""
        return 200, nonce(asked) + [("X-Subtoken-Sub", sub_of_key(credential)), ("X-Subtoken-Key", "ID"),
                                    ("X-Subtoken-Permissions", "account")], ""


def sub_of_key(credential):
    return b64(hashlib.sha256(credential.encode()).digest())


class Site:
    """nginx with one worker and the shim."""

    def __init__(self, module=MODULE):
        self.faults, self.endpoint = Faults(program="nginx"), Endpoint()
        self.n = n = Nginx(SITE, answer=self.endpoint, module=module)
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

    def plain_key(self):
        return self.key().replace("Authorization: Bearer", "X-API-Key:")

    def slow_key(self):
        return self.plain_key().replace("KEY-", "SLOW-")

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
    Ask("a key in its own header", "/account", 200, "X-Evil: 1", credential=Site.plain_key, sub="key"),
    Ask("a key that has asked too often", "/account", 429, credential=Site.slow_key),
    Ask("slashes", "/slashes//a", 200, credential=of_site),
    Ask("any of two", "/any", 401, "X-Evil: 1", "Authorization: Bearer a.b.c"),
    Ask("what is known", "/told", 200, credential=of_site),
    Ask("where to get a token", "/named", 401, "X-Evil: 1"),
    Ask("what is said there", "/.well-known/oauth-protected-resource/named", 200),
    Ask("a key with a body", "/account", 200, "X-Evil: 1", credential=Site.key, sub="key", method="POST", body=b"b" * 500),
    Ask("a key that may not", "/never", 403, "X-Evil: 1", credential=Site.key),
    Ask("nobody where everybody may", "/guest", 200, "X-Evil: 1"),
    Ask("nobody", "/account", 401, "X-Evil: 1"),
    Ask("a call", "/rpc", 200, credential=of_site, method="POST", body=CALL),
    Ask("a call with a key", "/rpc", 403, credential=Site.key, method="POST", body=CALL),
    Ask("a tool", "/mcp", 200, "Accept: application/json, text/event-stream", "Content-Type: application/json", credential=of_site,
        method="POST", body=TOOL),
    Ask("a long call", "/rpc", 200, credential=of_site, method="POST", body=LONG),
    Ask("a tool that may not be", "/mcp", 403, "Accept: application/json, text/event-stream", "Content-Type: application/json", credential=of_site,
        method="POST", body=NEVER),
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
            # By the credential that came with it: what an earlier question began may come late.
            headers = {n.lower(): v for n, v in each["headers"]}
            asked = headers.get("x-api-key") or headers.get("authorization", "")
            wanted = sub_of_key(asked) if "KEY-" in asked else sub_of(site.token)
            hold(sub == wanted and "access_token" not in each["target"], "another identity")


def played(site, ask_of, failing):
    lines, given = ask_of.lines(site)
    before = len(site.n.upstream.seen)
    answer = answer_of(site, ask_of, lines)
    return given, lines, answer, before


def fail_each(site, ask_of, kinds, times=1, **options):
    """The Nth call fails, N from 1 until nothing fails any more. How many there were."""
    count, seen = 0, site.n.upstream.seen
    site.n.feed.beat()  # on a slow machine all of them take longer than data is fresh
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
    with Site(FAILING) as site:
        for each in ASKS:
            given, _, answer, before = played(site, each, False)
            check(site, each, given, answer, site.n.upstream.seen[before:], False)
            assert fail_each(site, each, "memory") > 5, each.name


@test
def from_each_allocation_on_there_may_be_none():
    with Site(FAILING) as site:
        for each in ASKS:
            assert fail_each(site, each, "memory", times=FOREVER) > 0, each.name


@test
def randomness_may_fail():
    """A question has a nonce that cannot be guessed, or is not asked: 503."""
    with Site(FAILING) as site:
        for each in ASKS:
            asked = site.endpoint.asked
            count = fail_each(site, each, "random")
            assert count > 0 or each.credential != Site.key, each.name
            assert site.endpoint.asked > asked or count == 0, each.name


# ---- the files of a worker ----

FILE_KINDS = ("memory", "map", "open", "read", "stat", "close", "limit")


class Change:
    """make(site, number) puts something else into a file; told(site, number) is what a worker answers once it has it."""

    def __init__(self, name, make, told):
        self.name, self.make, self.told = name, make, told


def revoke(site, number):
    site.revoked = jwt(site.n.signer, dict(payload(site.token), sub=b64(hashlib.sha256(b"r%d" % number).digest())))
    site.n.feed.publish(["nobody", sub_of(site.revoked)])


def is_revoked(site, number):
    return site.n.status("/account", token=site.revoked) == 401


def allow(site, number):
    policy(site.n, dict(ROUTES, routes=ROUTES["routes"] + [{"path": "/new-%d" % number, "needs": ["never"]}]))


def is_denied(site, number):
    return site.n.status("/new-%d" % number, token=site.token) == 403


def add_secret(site, number):
    site.secret = ("new%d" % number, hashlib.sha256(b"s%d" % number).digest())
    old = "%s:%s\n" % (site.n.signer[0], b64(site.n.signer[1]))
    replace(site.n.secrets, (old + "%s:%s\n" % (site.secret[0], b64(site.secret[1]))).encode())
    share(site.n.secrets)


def is_known(site, number):
    return site.n.status("/account", token=jwt(site.secret, dict(payload(site.token), exp=int(time.time()) + 600))) == 200


CHANGES = [Change("revocations", revoke, is_revoked), Change("policy", allow, is_denied), Change("secrets", add_secret, is_known)]


def change_with(site, change, kind, at, times):
    """Did it come to the fault? What was loaded stays in use while it lasts, and the change is taken up when it is over."""
    site.number += 1
    site.n.feed.beat()
    site.faults.arm(kind, at=at, times=times, object=OWN_OBJECT)
    change.make(site, site.number)
    if times > 1:
        wait(lambda: site.faults.failed() > 0 or change.told(site, site.number), change.name + ": the fault, or none is met")
    else:
        wait(lambda: change.told(site, site.number), "%s is taken up after a fault: %s" % (change.name, kind))
    what = change.name, kind, at, times
    assert site.n.status("/account", token=site.token) == 200, (what, site.faults.explain(NGINX), site.n.errors()[-1500:])
    failed = site.faults.failed()
    site.faults.disarm()
    wait(lambda: change.told(site, site.number), "%s is taken up when the fault is over: %s" % (change.name, kind))
    assert site.n.status("/account", token=site.token) == 200, what
    site.same_worker()
    return failed > 0


@test
def what_changes_is_taken_up_when_a_fault_is_over():
    with Site() as site:
        site.number, met = 0, set()
        for change in CHANGES:
            for kind in FILE_KINDS:
                for at, times in ((1, FOREVER), (1, 1), (2, 1), (3, 1)) if EVERY else ((1, FOREVER),):
                    if change_with(site, change, kind, at, times):
                        met.add((change.name, kind))
                    elif at == 1:
                        break
        for wanted in (("revocations", "map"), ("revocations", "open"), ("revocations", "stat"), ("policy", "memory"), ("policy", "open"),
                       ("policy", "read"), ("secrets", "open"), ("secrets", "read")):
            assert wanted in met, (wanted, sorted(met))


# ---- a start, and a reload ----

def start_with(site, kind, at, object):
    """It starts, or says why not and leaves nothing behind; one that has started is right once the fault is over. How
    many calls failed."""
    n = site.n
    command, env = n.command()
    for left in (n.socket, os.path.join(n.dir, "error.log")):
        if os.path.exists(left):
            os.unlink(left)
    n.feed.beat()
    site.faults.arm(kind, at=at, object=object)
    process = subprocess.Popen(command + ["-g", "daemon off;"], env=env, stderr=subprocess.PIPE)
    what = lambda: (kind, at, site.faults.explain(NGINX), n.errors()[-1500:])
    try:
        wait(lambda: process.poll() is not None or answers_at(n.socket), "nginx starts, or does not", 60)
        failed = site.faults.failed()
        if process.poll() is not None:
            said = process.stderr.read().decode("utf-8", "replace") + n.errors()
            assert process.returncode == 1 and "[emerg]" in said and failed > 0, (what(), process.returncode, said[-500:])
            return failed
        token = n.token("--permissions", "account")
        assert answered(n, "/account", token) in (200, 503, None) and answered(n, "/never", token) in (403, 503, None), what()
        failed = site.faults.failed()
        site.faults.disarm()
        wait(lambda: answered(n, "/account", token) == 200, "it is right once the fault is over: %s" % (what(),), 60)
        assert answered(n, "/never", token) == 403 and answered(n, "/open", None) == 200, what()
        return failed
    finally:
        site.faults.disarm()
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
        assert process.wait(timeout=60) in (0, 1), what()
        assert "exited on signal" not in n.errors(), what()
        process.stderr.close()


def answers_at(path):
    try:
        Client(path).close()
        return True
    except OSError:
        return False


def answered(n, target, token):
    try:
        return n.status(target, token=token)
    except (AssertionError, OSError, ValueError):
        return None


@test
def a_configuration_is_read_or_the_error_says_why_not():
    site = Site(FAILING)
    command, env = site.n.command()
    codes = set()

    def attempt(number):
        p = subprocess.run(command + ["-t"], env=env, capture_output=True, text=True, timeout=60)
        codes.add(p.returncode)
        assert (p.returncode, "[emerg]" in p.stderr) == ((1, True) if site.faults.failed() else (0, False)), (
            number, p.returncode, p.stderr[-500:], site.faults.explain(NGINX))
    assert sum(1 for _ in site.faults.each("memory", attempt, object=OWN_OBJECT)) > 20 and codes == {0, 1}
    site.n.stop_upstream()


@test
def a_start_works_or_says_why_not():
    """By the module's own calls; SUBTOKEN_EVERY=1 also by all of nginx's."""
    site = Site()
    for kind in ("memory", "map", "open", "read", "stat", "random"):
        at = 1
        while start_with(site, kind, at, OWN_OBJECT):
            at += STRIDE
        assert at > 1, kind
    for at in range(1, 4000, 7) if EVERY else ():
        if start_with(site, "memory", at, "") == 0:
            break
    site.n.stop_upstream()


def begun(n):
    """How often nginx has said that it reconfigures, and how often that it could not."""
    return n.errors().count("reconfiguring"), n.errors().count("[emerg]")


@test
def a_reload_with_a_fault_leaves_what_there_was():
    with Site() as site:
        n = site.n
        for kind in ("memory", "map", "open", "read", "stat", "random"):
            for at in range(1, 60, STRIDE):
                old, errors = n.workers(), begun(n)[1]
                n.feed.beat()
                site.faults.arm(kind, at=at, object=OWN_OBJECT)
                n.reload()
                wait(lambda: begun(n)[1] > errors or n.workers() and not set(old) & set(n.workers()), "a new worker, or an error")
                failed = site.faults.failed()
                assert answered(n, "/never", site.token) in (403, 503), (kind, at, site.faults.explain(NGINX))
                site.faults.disarm()
                wait(lambda: answered(n, "/account", site.token) == 200, "it is right once the fault is over: %s %d" % (kind, at))
                assert answered(n, "/never", site.token) == 403 and len(n.workers()) >= 1, (kind, at)
                if failed == 0:
                    break


main()
