"""Holds what the server answers against what it says that it answers, src/page/openapi.json. support.py gives this each
answer that curl and http.client get from a server of ours; test_http.py gives its own. What does not match fails the
test that asked. An answer is held to its route, method and status, to the headers that these have, and to its body:
the first of each shape, and then one of some, in full. Members that the document does not name are wrong, too."""
import atexit, copy, http.client, json, os, re, threading

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "src", "page",
                    "openapi.json")
FIRST, THEN = 16, 64  # of one shape so many are held in full, and then one of so many
# On every answer, as `info` of the document says.
COMMON = {"date", "cache-control", "x-content-type-options", "access-control-allow-origin",
          "access-control-expose-headers"}
MAYBE = {"content-length", "content-type", "connection"}
PREFLIGHT = dict.fromkeys(("allow", "access-control-allow-methods", "access-control-allow-headers",
                           "access-control-max-age"), {"schema": {"type": "string"}})
UNREADABLE = {400, 405, 413, 414, 417, 431, 505}  # what `default` is there for
ANY_METHOD = "/v2/authorize"
DEEP = {"/v2/authorize/{target}", "/page/{file}"}  # the parameter takes slashes, and nothing
VENDOR = "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$"

_ports, _wrong, _seen = set(), [], {}
_loaded, _loading = {}, threading.Lock()


# ---- which servers ----

def watch(port):
    _ports.add(port)


def forget(port):
    _ports.discard(port)


def watched(port):
    return port in _ports


def failures():
    """What was wrong since this was asked, and how often."""
    found = list(dict.fromkeys(_wrong))
    _wrong.clear()
    return found


def seen():
    """{(route, method, status, names of headers, shape of the body): how often}."""
    return dict(_seen)


# ---- the document ----

def document():
    with _loading:
        if "ready" not in _loaded:
            load()
    return _loaded["document"]


def once(pairs):
    names = [n for n, _ in pairs]
    assert len(set(names)) == len(names), ("a member twice", sorted(n for n in names if names.count(n) > 1))
    return dict(pairs)


def load():
    with open(PATH) as f:
        found = _loaded["document"] = json.load(f, object_pairs_hook=once)
    import jsonschema
    _loaded["validator"] = jsonschema.Draft202012Validator
    _loaded["schemas"] = {n: closed(s) for n, s in found["components"]["schemas"].items()}
    _loaded["routes"] = [(route_pattern(p), p) for p in sorted(found["paths"], key=lambda p: "{" in p)]
    _loaded["checks"] = {}
    _loaded["ready"] = True


def resolved(value):
    while "$ref" in value:
        found = _loaded["document"]
        for name in value["$ref"][2:].split("/"):
            found = found[name]
        value = found
    return value


def closed(schema):
    """The schema with nothing beside what it names, and with times that are times."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if "allOf" in schema:
        parts = [closed(resolved(s)) for s in schema["allOf"]]
        return {"type": "object", "additionalProperties": False,
                "required": sum((p.get("required", []) for p in parts), []),
                "properties": {n: s for p in parts for n, s in p["properties"].items()}}
    schema = {n: {m: closed(s) for m, s in v.items()} if n == "properties" else v if n in ("enum", "const", "example")
              else closed(v) for n, v in schema.items()}
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    if schema.get("format") == "date-time":
        schema["pattern"] = TIME
    return schema


def route_pattern(path):
    deep = path in DEEP or path.startswith("/.well-known/")
    return re.compile("".join(p if i % 2 == 0 else ".*" if deep else "[^/]+" for i, p in
                              enumerate(re.split(r"(\{[^}]*\})", path if "{" in path else re.escape(path)))))


def route_of(target):
    """The path of the document, or None: there is no such endpoint."""
    document()
    path = target.split("?", 1)[0]
    path = path[:1] + re.sub("/+", "/", path[1:])
    if path == VENDOR + "/":
        path = VENDOR
    return next((name for pattern, name in _loaded["routes"] if pattern.fullmatch(path)), None)


def methods_of(route):
    """What `Allow` names."""
    named = {m.upper() for m in document()["paths"][route] if m not in ("parameters", "description", "summary")}
    return named | {"OPTIONS"} | ({"HEAD"} if "GET" in named else set())


# ---- an answer ----

def schema_problem(schema, value):
    key = id(schema)
    if key not in _loaded["checks"]:
        whole = dict(closed(copy.deepcopy(schema)), components={"schemas": _loaded["schemas"]})
        _loaded["checks"][key] = _loaded["validator"](whole)
    error = next(_loaded["checks"][key].iter_errors(value), None)
    return error and "%s at %s" % (error.message[:300], "/".join(map(str, error.absolute_path)) or "the top")


def headers_problem(headers, known, file):
    """known: {name: header of the document}."""
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value)
    known = {n.lower(): resolved(h) for n, h in known.items()}
    for name in values.keys() - COMMON - MAYBE:
        if name not in known:
            return "the header %s is not described" % name
        for value in values[name]:
            number = resolved(known[name]["schema"]).get("type") == "integer"
            problem = schema_problem(known[name]["schema"], int(value) if number and value.isdigit() else value)
            if problem:
                return "the header %s: %s" % (name, problem)
    lacking = COMMON | {n for n, h in known.items() if h.get("required")}
    lacking -= values.keys()
    if lacking:
        return "without the header %s" % ", ".join(sorted(lacking))
    if values["cache-control"] != ["no-cache" if file and "etag" in values else "no-store"]:
        return "Cache-Control: %s" % values["cache-control"]
    return None


def body_problem(response, headers, method, status, body):
    content = response.get("content", {})
    if method == "HEAD" or status in (204, 304) or not content:
        return "a body that is not described" if body else None
    kind = next((v for n, v in headers if n.lower() == "content-type"), "none")
    media = content.get(kind.partition(";")[0])
    if media is None:
        return "Content-Type: %s is not described" % kind
    if kind.startswith("application/json"):
        if kind != "application/json; charset=utf-8":
            return "Content-Type: %s" % kind
        return schema_problem(media["schema"], json.loads(body))
    return None if body else "no body"


def response_problem(response, method, status, headers, body, route):
    response = resolved(response)
    file = route in ("/", "/page/{file}", "/openapi.json") and status in (200, 304)
    return (headers_problem(headers, response.get("headers", {}), file)
            or body_problem(response, headers, method, status, body))


def allow_problem(route, headers):
    allow = next((v for n, v in headers if n.lower() == "allow"), "")
    if set(allow.split(", ")) != methods_of(route):
        return "Allow: %s, and described are %s" % (allow, ", ".join(sorted(methods_of(route))))
    return None


def shared_problem(method, status, headers, body):
    """As it is told at every path."""
    if status not in UNREADABLE | {404, 503}:
        return "not described"
    responses = document()["components"]["responses"]
    return response_problem(responses["Unavailable" if status == 503 else "Unreadable"], method, status, headers, body, None)


def preflight_problem(headers, body):
    exposed = [("access-control-expose-headers", "")]  # alone of all answers it has none
    return headers_problem(list(headers) + exposed, PREFLIGHT, False) or ("a body" if body else None)


def problem_of(route, method, status, headers, body):
    if route is None:
        if method == "OPTIONS" and status == 204:
            return preflight_problem(headers, body)
        return shared_problem(method, status, headers, body)
    operations = document()["paths"][route]
    any_method = route.startswith(ANY_METHOD)
    if not any_method and method == "OPTIONS" and status == 204:
        return preflight_problem(headers, body) or (allow_problem(route, headers) if route != "/" else None)
    operation = operations.get(method.lower()) or (operations["get"] if method == "HEAD" and "get" in operations
                                                   or any_method else None)
    if operation is None:
        if status == 405:
            return shared_problem(method, status, headers, body) or allow_problem(route, headers)
        return shared_problem(method, status, headers, body)
    described = operation["responses"].get(str(status))
    if described is None:
        return shared_problem(method, status, headers, body) if status in UNREADABLE else "not described"
    problem = response_problem(described, method, status, headers, body, route)
    if problem and status in UNREADABLE and shared_problem(method, status, headers, body) is None:
        return None  # of the request itself, before its endpoint was asked
    return problem


def shape(value):
    if isinstance(value, dict):
        return tuple(sorted((n, shape(v)) for n, v in value.items()))
    if isinstance(value, list):
        return frozenset(map(shape, value))
    return type(value).__name__


def check(method, target, status, headers, body):
    """headers: pairs; body: bytes. What is wrong is for failures()."""
    try:
        route = route_of(target)
        json_body = any(n.lower() == "content-type" and v.startswith("application/json") for n, v in headers)
        kind = (route, method, status, frozenset(n.lower() for n, _ in headers),
                shape(json.loads(body)) if json_body and body and route != "/openapi.json" else bool(body))
        _seen[kind] = _seen.get(kind, 0) + 1
        if _seen[kind] > FIRST and _seen[kind] % THEN != 0:
            return
        problem = problem_of(route, method, status, headers, body)
    except Exception as e:  # what cannot be read at all
        problem = "%s: %s" % (type(e).__name__, e)
    if problem:
        _wrong.append("%s %s, %d: %s; %r" % (method, target[:200], status, problem, body[:300]))


# ---- clients ----

def curl_method(args):
    """The method of curl's arguments."""
    sends = False
    for at, word in enumerate(args):
        if word in ("-X", "--request"):
            return args[at + 1]
        if word in ("-I", "--head"):
            return "HEAD"
        sends = sends or word.startswith("--data") or word in ("-d", "--json")
    return "POST" if sends else "GET"


def curl_answered(url, args, answer):
    found = re.match(r"https?://[^/?]*?:(\d+)(/[^#]*)?", url)
    if "begun" not in _loaded or not found or int(found.group(1)) not in _ports or {"-o", "-w"}.intersection(args):
        return
    check(curl_method(args), found.group(2) or "/", answer.status, answer.headers, answer.body.encode())


def raw_answered(sent, head, body):
    """A request and its answer as they went over the wire; only the request's first line is looked at."""
    method, target, _ = sent.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    first, *lines = head.decode("latin-1").split("\r\n")
    check(method, target, int(first.split()[1]), [tuple(l.split(": ", 1)) for l in lines if l], body)


def begin():
    """For a test file, not for a benchmark: from now on answers are held. Of http.client's those that are read whole."""
    _loaded["begun"] = True
    ask, answer = http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse

    def putrequest(self, method, url, *args, **more):
        self.asked = (method, url)
        return ask(self, method, url, *args, **more)

    def getresponse(self):
        response = answer(self)
        if self.port in _ports:
            method, target = self.asked
            read = response.read

            def read_and_check(amount=None):
                begun = response.fp is None or bool(response.__dict__.get("parts"))
                response.parts = True
                body = read(amount)
                if amount is None and not begun:
                    check(method, target, response.status, response.getheaders(), body)
                return body
            response.read = read_and_check
        return response

    http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse = putrequest, getresponse


@atexit.register
def _tell():
    """SUBTOKEN_TEST_OPENAPI=FILE: what was seen, for who looks for what never is."""
    if os.environ.get("SUBTOKEN_TEST_OPENAPI"):
        with open(os.environ["SUBTOKEN_TEST_OPENAPI"], "a") as f:
            f.write("".join("%s %s %s %d\n" % (*k[:3], n) for k, n in _seen.items()))
