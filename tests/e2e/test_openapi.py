"""GET /openapi.json: the document is that of the program. Its routes are those of the router, its methods what the
server takes, its parameters what the source reads, its credentials what the server asks for. A linter finds nothing in
it, and a client that is generated from it works. That each answer is as it says, every end-to-end test holds
(openapi.py); here is what that refuses."""
import http.client, http.server, threading, urllib.request
from calls import *
from packages import installed

ROOT = os.path.dirname(TESTS)
FOLDER = os.path.join(TESTS, "openapi")
SOURCE = {f: open(f).read() for f in glob.glob(os.path.join(ROOT, "src", "service", "*.c"))}
CODE = "".join(SOURCE.values())
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PATHS = openapi.document()["paths"]
# A value for each parameter of a path; what has no such thing is 404.
VALUES = {"id": None, "target": "v2/account", "path": "mcp", "file": "main.js", "login": "alice"}


def concrete(path, key_id="A" * 36):
    return re.sub(r"\{(\w+)\}", lambda m: VALUES[m[1]] or key_id, path)


def operations():
    """(path, method, operation)"""
    return [(path, m.upper(), o) for path, item in PATHS.items() for m, o in item.items() if "responses" in o]


# ---- the program ----

@test
def what_is_served_is_the_file():
    with open(openapi.PATH, "rb") as f:
        file = f.read()
    s, _ = shared_server()
    answer = curl(s.url + "/openapi.json")
    assert answer.status == 200 and answer.body.encode() == file
    assert answer.header("Content-Length") == str(len(file))
    tag = answer.header("ETag")
    assert curl(s.url + "/openapi.json", "-H", "If-None-Match: " + tag).status == 304
    assert curl(s.url + "/openapi.json", "-I").body == ""
    version = run("--version", check=0)[1].split()[1]
    assert answer.json()["info"]["version"] == version, version


@test
def the_routes_are_those_of_the_router():
    (rows,) = [re.search(r"\} routes\[\] = \{\n(.*?)^\};", t, re.M | re.S) for t in SOURCE.values() if "} routes[] = {" in t]
    rows = set(re.findall(r'^ +\{"(/[^"]*)"', rows[1], re.M))
    assert len(rows) > 20, rows
    prefixes = {r for r in rows if r.endswith("/") and r != "/"}
    exact = rows - prefixes
    described = set(PATHS)
    below = {p for p in described - exact if p.startswith(tuple(prefixes))}
    assert exact <= described, ("routes that src/page/openapi.json lacks", sorted(exact - described))
    assert described == exact | below, ("paths that are no routes", sorted(described - exact - below))
    for prefix in prefixes:
        assert any(p.startswith(prefix) and "{" in p for p in below), ("nothing is described below", prefix)


@test
def the_methods_are_those_that_the_server_takes():
    s, key = shared_server()
    connection = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)

    def ask(method, target):
        connection.request(method, target)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Allow")

    for path in PATHS:
        if path.startswith("/v2/authorize"):
            continue  # any
        if path == "/":
            continue  # OPTIONS is about the whole server
        target, known = concrete(path, key[:36]), openapi.methods_of(path)
        status, allow = ask("OPTIONS", target)
        assert status == 204 and set(allow.split(", ")) == known, (path, status, allow)
        for method in METHODS:
            status, _ = ask(method, target)
            assert (status == 405) == (method not in known), (path, method, status)
    connection.close()


@test
def the_credentials_are_those_that_the_server_asks_for():
    with SmallServer(config={"issuer": "https://id.example"}) as s:
        connection = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        for path, method, operation in operations():
            security = operation.get("security", openapi.document()["security"])
            body = {"body": "{}", "headers": {"Content-Type": "application/json"}} if method in ("POST", "PATCH") else {}
            connection.request(method, concrete(path), **body)
            answer = connection.getresponse()
            text = answer.read()
            if security and {} not in security:
                assert answer.status == 401, (path, method, answer.status, text)
            elif not security:
                assert answer.status != 401, (path, method, text)
        connection.close()


@test
def parameters_are_those_of_the_source():
    def properties(schema):
        schema = openapi.resolved(schema)
        found = set(schema.get("properties", ()))
        return found.union(*[properties(s) for s in schema.get("allOf", [])])

    bodies, queries, headers = set(), set(), set()
    for path, _, operation in operations():
        content = openapi.resolved(operation.get("requestBody", {})).get("content", {})
        for media in content.values():
            bodies |= properties(media["schema"])
        for parameter in map(openapi.resolved, operation.get("parameters", []) + PATHS[path].get("parameters", [])):
            {"query": queries, "header": headers, "path": set()}[parameter["in"]].add(parameter["name"])
    read = set(re.findall(r'\{\.name = "(\w+)"', CODE))
    assert len(read) > 15 and read <= bodies, ("members that are read, and not described", sorted(read - bodies))
    names = re.search(r"names\[ST_OAUTH_PARAMETERS\] = \{(.*?)\};", CODE, re.S)[1]
    forms = set(re.findall(r'"(\w+)"', names))
    params = set(re.findall(r'st_text_is\(name, "(\w+)"\)\) return [A-Z]+;', CODE)) | {"urls"}
    assert len(forms) == 13 and len(params) == 4, (forms, params)
    unread = bodies - read - forms - params - {"token_type_hint"}
    assert unread == set(), ("members that are described, and not read", sorted(unread))
    asked = set(re.findall(r'(?:request_query|audit_read)_\w+\(c, "(\w+)"', CODE)) | set(re.findall(r'st_text_is\(pair\.name, "(\w+)"\)', CODE))
    asked |= params | {"v"}
    assert asked == queries, ("of a query: read or described, not both", sorted(asked ^ queries))
    for name in headers:
        assert '"%s"' % name in CODE, ("a header that nothing reads", name)


# ---- every success ----

POLICY = {"default": "token", "routes": [{"path": "/mcp", "needs": ["account"], "resource": "https://api.example/mcp"},
                                         {"path": "/", "needs": ["account"], "resource": "https://other.example/"}]}


def answered(server, key):
    """Each call once, as it succeeds."""
    def ask(method, path, credential=key, body=None, *args):
        answer = call(server, method, path, credential, body, *args)
        assert answer.status < 400, (method, path, answer.status, answer.body)
        return answer

    def form(path, credential=None, **values):
        return ask("POST", path, credential, None, "--data", urlencode(values))

    subtoken = ask("POST", "/v2/createsubtoken", key, {"permissions": ["account"]}).json()["subtoken"]
    ask("GET", "/v2/createsubtoken?permissions=account&urls=/v2/tokeninfo")
    ask("POST", "/v2/previewsubtoken", key, {"permissions": ["account", "bank"], "urls": ["/a//b", "/a"], "expire": "2000-01-01"})
    ask("POST", "/v2/explain", key, {"token": subtoken, "method": "GET", "url": "/v2/account"})
    ask("POST", "/v2/explain", key, {"token": subtoken + "x"})
    for path in ("/v2/tokeninfo?v=latest", "/v2/whoami", "/v2/keys?limit=1", "/v2/keys?search=TEST&state=active", "/v2/audit?limit=3",
                 "/v2/audit?who=system&action=key.&since=24h", "/v2/ring", "/metrics", "/openapi.json", "/healthz", "/readyz",
                 "/page/settings.json", "/page/main.js", "/page/", "/.well-known/oauth-authorization-server",
                 "/.well-known/oauth-authorization-server/auth",
                 "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"):
        ask("GET", path)
    ask("GET", "/v2/whoami", subtoken)
    ask("GET", "/", None, None, "-H", "Accept: text/html")
    for path in ("/openapi.json", "/page/main.js", "/"):
        known = ask("GET", path, None, None, "-H", "Accept: text/html").header("ETag")
        assert ask("GET", path, None, None, "-H", "Accept: text/html", "-H", "If-None-Match: " + known).status == 304
    made = ask("POST", "/v2/keys", key, {"name": "n", "permissions": ["account"], "owner": "eve"}).json()
    path = "/v2/keys/" + made["id"]
    ask("GET", path)
    ask("PATCH", path, key, {"disabled": True})
    ask("POST", path + "/rotate", key, {"overlap": "1h"})
    ask("POST", path + "/revoke-subtokens")
    ask("DELETE", path)
    ask("POST", "/v1/user", key, {"login": "eve", "password": PASSWORD, "permissions": ["account"]})
    for path in ("/v1/user", "/v1/user?search=EV", "/v1/user/eve"):
        ask("GET", path)
    pair = ask("POST", "/v1/auth/login", None, {"login": "eve", "password": PASSWORD}).json()
    ask("GET", "/v2/whoami", pair["access_token"])
    pair = ask("POST", "/v1/auth/refresh", None, {"token": pair["refresh_token"]}).json()
    ask("POST", "/v1/auth/logout", pair["access_token"])
    ask("PATCH", "/v1/user/eve", key, {"disabled": True})
    ask("DELETE", "/v1/user/eve")
    ask("POST", "/v1/auth/token")
    form("/oauth/token", grant_type="client_credentials", client_id=key[:36], client_secret=key)
    for token in (subtoken, "none"):
        form("/oauth/introspect", key, token=token)
        form("/oauth/revoke", token=token)
    ask("POST", VENDOR)
    ask("POST", "/utils/hash/secure", key, {"text": "sixteen-characters-or-more"})
    for path in ("/v2/authorize", "/v2/authorize/v2/account"):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            ask(method, path, key, None, "-H", "X-Original-URI: /v2/account", "-H", "X-Original-Method: " + method,
                *(["-I"] if method == "HEAD" else []))
    ask("GET", "/v2/feed")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": "Bearer " + key}
    for status in (200, 304):  # no text
        connection.request("GET", "/v2/revocations", headers=headers)
        snapshot = connection.getresponse()
        assert snapshot.status == status and (snapshot.read() == b"") == (status == 304)
        headers["If-None-Match"] = snapshot.getheader("ETag")
    connection.close()
    ask("GET", "/v2/feed")


@test
def every_success_that_is_described_is_answered():
    d = scratch()
    with open(os.path.join(d, "policy.json"), "w") as f:
        json.dump(POLICY, f)
    with Server(config={"issuer": "https://id.example/auth", "policy": os.path.join(d, "policy.json")}) as s:
        answered(s, make_key(s.data, "account,keys,users,audit,metrics,services,introspect,revocations")["key"])
    seen = {(route, method, status) for route, method, status, *_ in openapi.seen()}
    described = {(path, method, int(status)) for path, method, o in operations() for status in o["responses"]
                 if status.startswith(("2", "3"))}
    assert described <= seen, ("described, and never answered", sorted(described - seen))


# ---- what the check of answers refuses ----

GOOD = [("Date", "x"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
        ("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "x"),
        ("Content-Type", "application/json; charset=utf-8")]
BODILESS = GOOD[:-1]
INFO = b'{"id":"x","name":"n","permissions":[]}'


def told(method, target, status, headers, body):
    openapi.check(method, target, status, headers, body)
    return openapi.failures()


@test
def what_is_as_described_passes():
    for case in (("GET", "/v2/tokeninfo?v=latest", 200, GOOD, INFO), ("HEAD", "/v2//tokeninfo", 200, GOOD, b""),
                 ("GET", "/healthz", 200, GOOD, b'{"status":"ok"}'), ("GET", "/none", 404, GOOD, b'{"text":"x"}'),
                 ("GET", "/v2/tokeninfo", 401, GOOD, b'{"text":"Invalid access token"}'),
                 ("DELETE", "/v2/keys/" + "A" * 36, 204, BODILESS + [("Subtoken-Seq", "7")], b""),
                 ("PUT", "/healthz", 405, GOOD + [("Allow", "GET, HEAD, OPTIONS")], b'{"text":"x"}'),
                 ("GET", "/v2/keys", 431, GOOD, b'{"text":"x"}')):
        assert told(*case) == [], case


@test
def what_is_otherwise_is_told():
    cases = [
        ("not described", "GET", "/v2/tokeninfo", 418, GOOD, b'{"text":"x"}'),
        ("not described", "GET", "/none", 200, GOOD, INFO),
        ("not described", "GET", "/v2/tokeninfo", 201, GOOD, INFO),
        ("'id' is a required", "GET", "/v2/tokeninfo", 200, GOOD, b'{"name":"n","permissions":[]}'),
        ("Additional properties", "GET", "/v2/tokeninfo", 200, GOOD, b'{"id":"x","name":"n","permissions":[],"more":1}'),
        ("is not of type", "GET", "/v2/tokeninfo", 200, GOOD, b'{"id":7,"name":"n","permissions":[]}'),
        ("does not match", "GET", "/v2/tokeninfo?v=latest", 200, GOOD,
         b'{"id":"x","name":"n","permissions":[],"expires_at":"2027-01-01"}'),
        ("was expected", "GET", "/v2/tokeninfo", 401, GOOD, b'{"text":"revoked"}'),
        ("Additional properties", "GET", "/v2/tokeninfo", 403, GOOD, b'{"text":"x","why":"y"}'),
        ("header x-more", "GET", "/v2/tokeninfo", 200, GOOD + [("X-More", "1")], INFO),
        ("header set-cookie", "GET", "/healthz", 200, GOOD + [("Set-Cookie", "a=b")], b'{"status":"ok"}'),
        ("without the header date", "GET", "/v2/tokeninfo", 200, GOOD[1:], INFO),
        ("without the header x-subtoken-expires", "GET", "/v2/authorize/x", 403, GOOD, b'{"text":"x"}'),
        ("header subtoken-seq", "DELETE", "/v2/keys/x", 204, BODILESS + [("Subtoken-Seq", "x")], b""),
        ("Cache-Control", "GET", "/v2/tokeninfo", 200, [("Cache-Control", "no-cache")] + GOOD[:1] + GOOD[2:], INFO),
        ("Content-Type", "GET", "/v2/tokeninfo", 200, GOOD[:-1] + [("Content-Type", "text/html")], INFO),
        ("Content-Type", "GET", "/v2/tokeninfo", 200, GOOD[:-1] + [("Content-Type", "application/json")], INFO),
        ("body that is not described", "DELETE", "/v2/keys/x", 204, GOOD, b"{}"),
        ("body that is not described", "HEAD", "/v2/tokeninfo", 200, GOOD, INFO),
        ("Error", "GET", "/v2/tokeninfo", 200, GOOD, b"{"),
        ("Allow", "PUT", "/healthz", 405, GOOD + [("Allow", "GET, PUT")], b'{"text":"x"}'),
        ("not described", "PUT", "/healthz", 200, GOOD, b'{"status":"ok"}'),
        ("does not match", "POST", "/v2/createsubtoken", 200, GOOD, b'{"subtoken":"a.b.c"}'),
        ("Allow", "OPTIONS", "/healthz", 204, BODILESS + [("Allow", "GET"), ("Access-Control-Allow-Methods", "GET")], b"")]
    for want, *case in cases:
        found = told(*case)
        assert len(found) == 1 and want in found[0], (want, case, found)


@test
def what_curl_and_python_get_is_held():
    class Wrong(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    url = "http://127.0.0.1:%d/v2/tokeninfo" % port
    try:
        curl(url)
        assert openapi.failures() == []  # no server of ours
        openapi.watch(port)
        curl(url)
        assert len(openapi.failures()) == 1
        urllib.request.urlopen(url, timeout=30).read()
        assert len(openapi.failures()) == 1
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/v2/tokeninfo")
        connection.getresponse().read()
        connection.close()
        assert len(openapi.failures()) == 1
    finally:
        openapi.forget(port)
        server.shutdown()
        server.server_close()


# ---- other people's programs ----


QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}


def node(program, *args, cwd, env=None):
    """A program of these packages; its stdout. It tells nobody that it was used."""
    p = subprocess.run(["node", program, *args], cwd=cwd, env=dict(os.environ, **QUIET, **(env or {})), capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, (program, args, p.stdout[-4000:], p.stderr[-4000:])
    return p.stdout


def program(name):
    with open(os.path.join(installed(FOLDER), "node_modules", name, "package.json")) as f:
        found = json.load(f)["bin"]
    return os.path.join(FOLDER, "node_modules", name, found if isinstance(found, str) else found[name.split("/")[-1].replace("cli", "redocly")])


@test
def a_linter_finds_nothing():
    """In the document; what it says of a broken one, in the same run, shows that it looks."""
    d = scratch()
    with open(openapi.PATH) as f:
        text = f.read()
    for name, written in (("good.json", text), ("broken.json", text.replace('"operationId": "getTokenInfo"', '"operationId": "getKey"'))):
        with open(os.path.join(d, name), "w") as f:
            f.write(written)
    p = subprocess.run(["node", program("@redocly/cli"), "lint", "good.json", "broken.json", "--format=json", "--extends=recommended"],
                       cwd=d, env=dict(os.environ, **QUIET), capture_output=True, text=True, timeout=300)
    said = [json.loads(o) for o in re.split(r"(?<=^\})(?=\{)", p.stdout.strip(), flags=re.M)]  # an object each
    assert said[0]["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, said[0]["problems"][:10]
    assert p.returncode != 0 and [o["ruleId"] for o in said[1]["problems"]] == ["operation-operationId-unique"], said[1]
    assert len(said) == 2 and all(name + ": validated" in p.stderr for name in ("good.json", "broken.json")), p.stderr[-2000:]


@test
def a_generated_client_makes_inspects_and_revokes():
    d = scratch()
    os.symlink(os.path.join(installed(FOLDER), "node_modules"), os.path.join(d, "node_modules"))
    for name in ("client.ts", "tsconfig.json", "package.json"):
        shutil.copy(os.path.join(FOLDER, name), d)
    with Server() as s:
        key = make_key(s.data, "account,keys,introspect")["key"]
        node(program("openapi-typescript"), s.url + "/openapi.json", "-o", "api.ts", cwd=d)
        node(os.path.join(FOLDER, "node_modules/typescript/bin/tsc"), "-p", ".", cwd=d)
        said = json.loads(node("client.js", s.url, cwd=d, env={"SUBTOKEN_KEY": key}))
    assert said == {
        "preview": ["account"], "type": "Subtoken", "permissions": ["account"], "urls": ["GET:/v2/tokeninfo"],
        "otherUrls": ["/v2/tokeninfo", "/v2/account/*"], "active": True, "scope": "account", "sequence": True,
        "refused": [401, {"text": "Invalid access token"}], "key": True, "state": "disabled", "rotated": True,
        "deleted": 204, "gone": [404, "there is no such key"]}, said


@test
def end():
    stop_shared_server()


main()
