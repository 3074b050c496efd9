"""`subtoken policy check` and `verify --policy`, as an operator types them, and the policy for the GW2 API that
comes with the program: held against the lists of endpoints in tests/vectors."""
import random
from machine import alone
from support import *

GW2_POLICY = os.path.join(os.path.dirname(TESTS), "src", "edge", "examples", "gw2-policy.json")


def check(text, *options):
    """(exit code, stdout, stderr without the file's name) of a policy, text or data."""
    path = os.path.join(scratch(), "policy.json")
    if not isinstance(text, (str, bytes)):
        text = json.dumps(text)
    with open(path, "wb") as f:
        f.write(text.encode() if isinstance(text, str) else text)
    code, out, err = run("policy", "check", path, *options)
    assert "Sanitizer" not in err and "runtime error" not in err, err
    return code, out, err.replace(path, "FILE")


@test
def check_prints_what_each_call_needs():
    policy = {"default": "deny", "routes": [
        {"path": "/mcp", "needs": ["mcp"], "resource": "https://api.example.com/mcp", "mcp_headers": "2026-07-28",
         "mcp": {"*": ["z"], "tools/list": ["docs"], "tools/call x\u202ey": ["b"], "tools/call *": ["a", "b"]}},
        {"path": "/o", "mcp": {"ping": ["p"]}}]}
    code, out, err = check(policy)
    assert (code, err) == (0, ""), (code, err)
    assert out.splitlines() == [
        "/mcp  any method: mcp",
        "  *: mcp z",
        "  tools/call *: mcp a b",
        "  tools/call x\\xe2\\x80\\xaey: mcp b",
        "  tools/list: mcp docs",
        "  without a body: by Mcp-Method and Mcp-Name of revision 2026-07-28",
        "  resource https://api.example.com/mcp",
        "/o    any method: a good token",
        "  ping: p",
        "default deny: requests without a route are refused"], out
    routes = json.loads(check(policy, "--json")[1])["routes"]
    assert routes[0] == dict(policy["routes"][0], public=False, json_rpc=False, line=1), routes
    assert routes[1]["mcp"] == {"ping": ["p"]} and routes[1]["mcp_headers"] is None and "resource" not in routes[1]
    code, out, err = check('{"default":"deny","routes":[{"path":"/mcp","mcp":{"tools/list x":["a"]}}]}')
    assert (code, out) == (1, "") and err == (
        'FILE:1:51: routes[0].mcp: "tools/list x" has a name, and calls of this method have none\n'), err


@test
def help_and_wrong_usage_name_policy_check():
    assert run("policy", "--help", check=0)[1].startswith("usage: subtoken policy ")
    assert re.search(r"^  policy ", run("help", check=0)[1], re.M)
    help_text = run("policy", "check", "--help", check=0)[1]
    assert help_text.startswith("usage: subtoken policy check FILE [--json]\n")
    for wrong in ([], ["check"], ["check", "a", "b"], ["check", "a", "--no"]):
        code, out, err = run("policy", *wrong)
        assert code == 2 and out == "" and "usage: subtoken policy" in err, wrong
    code, out, err = run("policy", "chekc", "a")
    assert code == 2 and out == "" and "chekc; did you mean check?" in err, err
    assert "`subtoken policy help` lists the commands" in err, err


@test
def check_prints_what_each_route_needs():
    policy = """{"default":"token","preflight":true,"routes":[
      {"path":"/b","needs":["b","a"]},
      {"path":"/a/*","methods":["PUT","GET"]},
      {"path":"/a/","public":true},
      {"path":"/a","methods":["POST"],"json_rpc":true},
      {"path":"/a","methods":["GET"],"json_rpc":true,"needs":["x"]},
      {"path":"/%61%2a%c3%A9","public":true,"methods":["GET"]}]}"""
    code, out, err = check(policy)
    assert (code, err) == (0, ""), (code, err)
    assert out.splitlines() == [
        "/a           POST: a good token, and the APIs that the body names",
        "/a           GET: x, and the APIs that the body names",
        "/a%2A%C3%A9  GET: public",
        "/a/          any method: public",
        "/a/*         PUT GET: a good token",
        "/b           any method: b a",
        "default token: requests without a route need a valid token",
        "CORS preflight requests pass"], out
    code, out, err = check(policy, "--json")
    assert (code, err) == (0, "") and out.count("\n") == 1
    said = json.loads(out)
    routes = said.pop("routes")
    assert said == {"ok": True, "default": "token", "preflight": True}
    assert [(r["path"], r["line"]) for r in routes] == [
        ("/a", 5), ("/a", 6), ("/a%2A%C3%A9", 7), ("/a/", 4), ("/a/*", 3), ("/b", 2)]
    assert routes[1] == {"path": "/a", "methods": ["GET"], "needs": ["x"], "public": False,
                         "json_rpc": True, "line": 6}
    assert "methods" not in routes[5] and routes[5]["needs"] == ["b", "a"]
    assert check('{"default":"deny"}')[:2] == (0, "default deny: requests without a route are refused\n")
    code, out, _ = check('{"default":"public"}', "--json")
    assert json.loads(out) == {"ok": True, "default": "public", "preflight": False, "routes": []}


@test
def an_error_has_its_line_and_column():
    for text, line, column, error in (
            ("", 1, 1, "unexpected end of the text"),
            ('{"default":"deny"', 1, 18, "unexpected end of the text"),
            ('{"default":"deny",\n\n  "rotues":[]}', 3, 3, '"rotues" is not a known member'),
            ('{"default":"maybe"}', 1, 12, 'default: "maybe" must be deny, token or public'),
            ('{"routes":[{"path":"/a"}]}', 1, 1, "default is missing: deny, token or public"),
            ('{"default":"deny","routes":[\r\n{"path":"/a",\r\n"needs":["a b"]}]}', 3, 10,
             'routes[0].needs[0]: "a b" is not a permission'),
            ('{"default":"deny","routes":[{"path":"/a"},\n{"path":"/%61"}]}', 2, 9,
             "routes[1].path: same path and method as in line 1"),
            ('{"default":"\\u001b[31m"}', 1, 12,
             'default: "\\x1b[31m" must be deny, token or public'),
            (b'{"default":"\xff"}', 1, 13, "default: not strict JSON")):
        assert check(text) == (1, "", "FILE:%d:%d: %s\n" % (line, column, error)), check(text)
        code, out, err = check(text, "--json")
        assert (code, err) == (1, "") and out.count("\n") == 1
        assert json.loads(out) == {"ok": False, "line": line, "column": column, "error": error}


@test
def a_file_that_cannot_be_read_exits_with_3():
    d = scratch()
    for path in (os.path.join(d, "none"), d, os.path.join(d, "none", "none")):
        code, out, err = run("policy", "check", path)
        assert code == 3 and out == "" and path in err, (code, err)
    large = os.path.join(d, "large")
    with open(large, "w") as f:
        f.truncate((16 << 20) + 1)
    assert run("policy", "check", large)[0] == 3
    with open("/dev/full", "w") as full:
        p = subprocess.run([PROGRAM, "policy", "check", GW2_POLICY],
                           stdout=full, stderr=subprocess.PIPE)
    assert p.returncode == 3 and b"standard output" in p.stderr


@test
def file_names_are_escaped():
    path = os.path.join(scratch(), "a\x1b[31m\n")
    with open(path, "w") as f:
        f.write("{}")
    code, _, err = run("policy", "check", path)
    assert code == 1 and "\x1b" not in err and err.endswith("a\\x1b[31m\\x0a:1:1: default is "
                                                            "missing: deny, token or public\n")


@test
def twenty_thousand_routes_are_checked():
    count = 20000
    routes = [{"path": "/r%d/x%s" % (i, "/*" if i % 3 == 0 else ""), "needs": ["n%d" % i]}
              for i in range(count)]
    random.Random(1).shuffle(routes)
    began = time.monotonic()
    code, out, _ = check({"default": "deny", "routes": routes}, "--json")
    took = alone(began)
    assert code == 0
    paths = [r["path"] for r in json.loads(out)["routes"]]
    assert paths == sorted(r["path"] for r in routes)
    # Half as many take about half as long: no place is looked up by counting from the front.
    assert took < (60 if SANITIZER else 5), took


# ---- verify --policy ----

POLICY = """{"default":"deny","preflight":true,"routes":[
{"path":"/v2/account/bank","methods":["GET"],"needs":["account","inventories"]},
{"path":"/v2/characters/*","needs":["account"]},
{"path":"/rpc","methods":["POST"],"json_rpc":true},
{"path":"/v2/items","public":true},
{"path":"/v2/tokeninfo"}]}"""


def policy_file(text=POLICY):
    path = os.path.join(scratch(), "policy.json")
    with open(path, "w") as f:
        f.write(text)
    return path


def explained(token, *options, data, policy=None):
    """(exit code, what was said), held against --json."""
    options += ("--policy", policy or policy_file())
    code, out, err = run("verify", *options, data=data, stdin=token)
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert out.count("\n") == 1 and err == "", (options, code, out, err)
    said = re.match(r"refused (\d+) ([a-z_]+): ", out)
    want = {"ok": False, "status": int(said[1]), "reason": said[2]} if said else {"ok": True}
    again = run("verify", "--json", *options, data=data, stdin=token)
    assert again[0] == code == (1 if said else 0) and json.loads(again[1]) == want, (out, again)
    return out.strip()


@test
def verify_says_which_route_decided():
    data = data_dir()
    key = make_key(data, "account,inventories,extra")["key"]
    full = issue(data, key, "--permissions", "account,inventories,extra")
    less = issue(data, key, "--permissions", "account")
    there = issue(data, key, "--permissions", "account", "--urls", "/v2/account/bank")
    bad = forged(full)
    good = "good until .{20}; line "
    bank = "line 2 of the policy needs \\[account, inventories\\]"
    denied = ": no route of the policy has this path, and its default is deny"
    for token, options, want in (
            (full, "GET /v2/account/bank?v=latest", "good until .{20}; " + bank),
            (full, "HEAD /v2/account/bank", "good until .{20}; " + bank),
            (full, "GET /v2/account/bank --require extra", "good until .{20}; " + bank),
            (full, "GET /v2/account/bank --require nope", "refused 403 perm: it needs nope, the "
             "token has \\[account, inventories, extra\\]; " + bank),
            (less, "GET /v2/account/bank", "refused 403 perm: it needs inventories, the token has "
             "\\[account\\]; " + bank),
            (less, "GET /v2/characters/Zed", good + r"3 of the policy needs \[account\]"),
            (less, "GET /v2/tokeninfo", good + "6 of the policy needs a good token"),
            (there, "GET /v2/account/bank", "refused 403 perm: it needs inventories, .*"),
            (there, "GET /v2/tokeninfo", r"refused 403 url: url GET /v2/tokeninfo is not in "
             r"\[/v2/account/bank\]; line 6 of the policy needs a good token"),
            (full, "PUT /v2/account/bank", "refused 403 url: PUT /v2/account/bank: line 2 of the "
             "policy does not list this method"),
            (full, "get /v2/account/bank", "refused 403 url: get /v2/account/bank: line 2 of the "
             "policy does not list this method"),
            (full, "OPTIONS /v2/account/bank", "refused 403 url: OPTIONS .*"),
            (full, "- /v2/account/bank", "refused 403 url: /v2/account/bank: line 2 of the policy "
             "lists methods, and none is given"),
            (full, "- /v2/characters/Zed", good + "3 .*"),
            (full, "GET /v2/characters", "refused 403 url: GET /v2/characters" + denied),
            (full, "GET /v2/characters/", "refused 403 url: GET /v2/characters/" + denied),
            (full, "POST /rpc", "refused 403 url: POST /rpc: line 4 of the policy needs the APIs "
             "that the JSON-RPC body names, and no body is read here"),
            (full, "GET /v2/../rpc", "refused 400 bad_target: target /v2/../rpc is refused: .*"),
            (bad, "GET /v2//items", "refused 400 bad_target: .*"),
            (full, "GET -", "refused 400 bad_target: no target is given, and a policy goes by it"),
            # 401 before the 403 of a route, and no look at the token where it is public.
            (bad, "GET /v2/characters", "refused 401 mac: .*"),
            (bad, "GET /v2/account/bank", "refused 401 mac: .*"),
            (bad, "POST /rpc", "refused 401 mac: .*"),
            (bad, "GET /v2/items", "public, by line 5 of the policy"),
            ("nonsense", "GET /v2/items", "public, by line 5 of the policy"),
            ("", "GET /v2/items?x", "public, by line 5 of the policy"),
            ("x" * 2000000, "GET /v2/items", "public, by line 5 of the policy"),
            (there, "- /v2/items --require nope", "public, by line 5 of the policy")):
        method, target, *more = options.split()
        given = ([] if method == "-" else ["--method", method]) + \
            ([] if target == "-" else ["--url", target]) + more
        said = explained(token, *given, data=data)
        assert re.fullmatch(want, said), (options, said)
    for target in ("/v2/account/bank", "/v2/nowhere", "/v2/.."):  # a token is needed: none came
        code, out, err = run("verify", "--policy", policy_file(), "--url", target, data=data)
        assert code == 3 and out == "" and "standard input" in err, (target, code, out, err)
    open_ = policy_file('{"default":"public"}')
    assert explained(bad, "--url", "/", data=data, policy=open_) == "public, by the default of the policy"
    said = explained(less, "--url", "/", data=data, policy=policy_file('{"default":"token"}'))
    assert re.fullmatch("good until .{20}; the default of the policy needs a good token", said)


@test
def verify_says_which_call_decided():
    data = data_dir()
    key = make_key(data, "mcp,docs,history_api")["key"]
    token = issue(data, key, "--permissions", "mcp,docs,history_api")
    path, body = os.path.join(scratch(), "policy.json"), os.path.join(scratch(), "body.json")
    with open(path, "w") as f:
        f.write("""{"default":"deny","routes":[
          {"path":"/mcp","needs":["mcp"],"mcp":{
            "tools/call search":["docs"],
            "tools/call *":["admin"]}},
          {"path":"/rpc","json_rpc":true}]}""")
    tool = lambda name: json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}})
    ok = "good until .{20}; line 2 of the policy needs \\[mcp\\], and what the call of MCP needs; "
    for url, text, want, status, reason in (
            ("/mcp", tool("search"), ok + 'line 3 of the policy, member "tools/call search"', 200, None),
            ("/mcp", '{"method":"ping"}', ok + "line 2 of the policy: no member of mcp .*", 200, None),
            ("/mcp", tool("drop"), 'refused 403 perm: line 4 of the policy, member "tools/call \\*"; lacking '
             "\\[admin\\]", 403, "perm"),
            ("/mcp", "{", "refused 400 bad_request: the body is not JSON .*", 400, "bad_request"),
            ("/mcp", "[]", "refused 400 bad_request: the body is no JSON-RPC message .*", 400, "bad_request"),
            ("/mcp", "", "refused 403 url: no body came .*", 403, "url"),
            ("/mcp", " " * 262145, "refused 413 limit: the body is longer than 262144 bytes", 413, "limit"),
            ("/rpc", '{"method":"history_api.get"}', "good until .*; the body calls history_api", 200, None),
            ("/rpc", '{"method":"get"}', "refused 403 perm: the body needs database_api", 403, "perm"),
            ("/rpc", "x", "refused 400 bad_request: the body is no JSON-RPC request .*", 400, "bad_request"),
            ("/none", "x", "refused 403 url: .*", 403, "url")):
        with open(body, "w") as f:
            f.write(text)
        options = ["verify", "--data", data, "--policy", path, "--body", body, "--method", "POST", "--url", url]
        code, out, err = run(*options, stdin=token)
        assert err == "" and re.fullmatch(want + "\n", out) and code == (status != 200), (url, text[:80], out, err)
        said = json.loads(run(*options, "--json", stdin=token)[1])
        assert said == ({"ok": True} if reason is None else {"ok": False, "status": status, "reason": reason}), said
    code, out, err = run("verify", "--data", data, "--policy", path, "--method", "POST", "--url", "/mcp", stdin=token)
    assert code == 1 and "no call is read here" in out, out
    for wrong in (["--body", body], ["--policy", path, "--jsonl", "--body", body]):
        assert run("verify", "--data", data, *wrong, stdin=token)[0] == 2
    code, out, err = run("verify", "--data", data, "--policy", path, "--body", body + "x", stdin=token)
    assert code == 3 and "body.jsonx" in err, err


@test
def verify_asks_the_store_for_what_the_policy_needs():
    data = data_dir()
    key = make_key(data, "account")
    ring = open(os.path.join(data, "secrets")).read().strip().split(":")[1]
    sub = key["sub"]
    enc = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
    now = int(time.time())
    text = enc(b'{"alg":"HS256","typ":"JWT"}') + "." + enc(json.dumps(
        {"sub": sub, "iat": now, "exp": now + 600, "permissions": ["account", "inventories"]}).encode())
    token = text + "." + enc(hmac.new(base64.urlsafe_b64decode(ring + "=" * (-len(ring) % 4)),
                                      text.encode(), hashlib.sha256).digest())
    get = ("--method", "GET", "--url", "/v2/account/bank")
    assert explained(token, *get, data=data) == \
        "refused 403 perm: it needs inventories, its key has only [account]"
    assert explained(token, *get, "--no-revocations", data=data).startswith("good until ")
    said = explained(token, "--url", "/v2/tokeninfo", "--require", "inventories", data=data)
    assert said == "refused 403 perm: it needs inventories, its key has only [account]"
    run("key", "disable", key["id"], data=data, check=0)
    assert explained(token, *get, data=data).endswith("is revoked: its key is disabled")
    assert explained(token, "--url", "/nowhere", data=data).startswith("refused 401 revoked: ")
    assert explained(token, "--url", "/v2/items", data=data).startswith("public, ")
    # Without a database it cannot be known: 503, also where the route would be a 403.
    other = data_dir()
    ask = ("--secrets", os.path.join(data, "secrets"), "--json", "--policy", policy_file())
    for target, status in (("/nowhere", 503), ("/v2/tokeninfo", 503), ("/v2/items", 200), ("//", 400)):
        out = run("verify", *ask, "--url", target, data=other, stdin=token)[1]
        assert json.loads(out).get("status", 200) == status, (target, out)
    out = run("verify", *ask, "--url", "/nowhere", data=other, stdin=forged(token))[1]
    assert json.loads(out)["status"] == 401


@test
def verify_jsonl_goes_by_the_policy():
    data = data_dir()
    key = make_key(data, "account,inventories")["key"]
    token = issue(data, key, "--permissions", "account,inventories")
    bank = {"token": token, "url": "/v2/account/bank", "method": "GET"}
    no = lambda status, reason: {"ok": False, "status": status, "reason": reason}
    rows = [(bank, {"ok": True}), (dict(bank, require=["account"]), {"ok": True}),
            (dict(bank, require=["x"]), no(403, "perm")), (dict(bank, method="PUT"), no(403, "url")),
            (dict(bank, url="/no"), no(403, "url")), (dict(bank, url="/.."), no(400, "bad_target")),
            (dict(bank, url="/rpc", method="POST"), no(403, "url")), ({"token": token}, no(400, "bad_target")),
            (dict(bank, token="", url="/v2/items"), {"ok": True}),
            (dict(bank, token="x", url="/v2/items"), {"ok": True}),
            (dict(bank, token=""), no(401, "malformed")), (dict(bank, token="", url="/no"), no(401, "malformed")),
            (dict(bank, at=1), no(401, "iat_future")), ({"url": "/v2/items"}, no(400, "bad_line"))]
    code, out, err = run("verify", "--jsonl", "--policy", policy_file(), data=data,
                         stdin="\n".join(json.dumps(r) for r, _ in rows))
    assert (code, err) == (0, ""), err
    got = [json.loads(l) for l in out.splitlines()]
    assert got == [w for _, w in rows], [x for x in zip(got, rows) if x[0] != x[1][1]]
    code, out, err = run("verify", "--jsonl", "--policy", policy_file(), "--url", "/v2/items",
                         data=data, stdin='{"token":""}\n')
    assert (code, out) == (0, '{"ok":true}\n'), (out, err)


@test
def verify_refuses_a_bad_policy():
    data = data_dir()
    token = issue(data, make_key(data)["key"])
    for text, where in (("{", ":1:2: unexpected end of the text"),
                        ('{"default":"deny",\n"routs":[]}', ':2:1: "routs" is not a known member')):
        path = policy_file(text)
        for more in ([], ["--json"], ["--jsonl"]):
            said = run("verify", "--policy", path, "--url", "/v2/items", *more, data=data, stdin=token)
            assert said == (3, "", path + where + "\n"), said
            assert said[2] == run("policy", "check", path)[2]
    for path in (scratch(), os.path.join(scratch(), "none")):
        code, out, err = run("verify", "--policy", path, data=data, stdin=token)
        assert code == 3 and out == "" and path in err, (code, out, err)


@test
def paths_are_those_of_the_url_allowlist():
    """The allowlist's own cases, each entry as a public route."""
    with open(os.path.join(TESTS, "vectors", "url-match.json")) as f:
        cases = json.load(f)["cases"]
    data = data_dir()
    run("secret", "add", data=data, check=0)
    path = os.path.join(scratch(), "policy.json")
    seen = {}
    for case in cases:
        entries, routes = case["entries"], []
        split = [re.fullmatch(r"(?s)(?:([A-Z]+):)?(.*)", e).groups() for e in entries or []]
        if len({e for _, e in split}) < len(split) or len(split) > 64 or "\0" in case["target"]:
            continue  # a policy path is missing twice, and may have many; no argument has a NUL
        for method, entry in split:
            routes.append({"path": entry, "public": True, **({"methods": [method]} if method else {})})
        policy = {"default": "public" if entries is None else "deny"}
        if entries:
            policy["routes"] = routes
        with open(path, "w", encoding="latin-1") as f:  # code points are bytes
            f.write(json.dumps(policy, ensure_ascii=False))
        method = ["--method", case["method"]] if case.get("method") else []
        code, out, err = run("verify", "--json", "--no-revocations", "--policy", path, "--url",
                             case["target"].encode("latin-1"), *method, data=data, stdin="x")
        if case["verdict"] == "badlist" and entries:
            good = code == 3 and out == "" and err.startswith(path + ":1:")
        else:
            want = {"allow": 200, "deny": 401, "reject": 400, "badlist": 401}[case["verdict"]]
            good = code < 2 and json.loads(out).get("status", 200) == want
        assert good, (case, code, out, err)
        seen[case["verdict"]] = seen.get(case["verdict"], 0) + 1
    assert min(seen.values()) > 10 and len(seen) == 4, seen


# ---- gw2-policy.json ----

EVERYTHING = {"account", "builds", "characters", "guilds", "inventories", "progression", "pvp",
              "tradingpost", "unlocks", "wallet", "wvw"}
# What the GW2 API answers without a key.
PUBLIC = """/v2 /v2/build /v2/items /v2/items/12452 /v2/worlds /v2/worlds/1001 /v2/currencies /v2/colors/5
/v2/commerce/prices /v2/commerce/prices/19684 /v2/commerce/listings/19684 /v2/commerce/exchange/coins
/v2/wvw/matches /v2/wvw/matches/1-1/overview /v2/wvw/objectives /v2/wvw/ranks /v2/wvw/upgrades/1
/v2/pvp /v2/pvp/seasons/x/leaderboards/ladder/eu /v2/pvp/amulets /v2/achievements/daily /v2/raids
/v2/continents/1/floors/1/regions/1/maps/26 /v2/guild/search /v2/guild/permissions
/v2/guild/upgrades /v2/guild/upgrades/43 /v2/guild/4BBB52AA-D768-4FC6-8EDE-C299F2822F0F
/v2/recipes/search /v2/skins /v2/dungeons /v2/home/cats /v2/wizardsvault/objectives /v2/emotes""".split()


def gw2_rows():
    """(endpoint, what it needs) of each row: the stricter of both lists."""
    with open(os.path.join(TESTS, "vectors", "gw2-endpoint-permissions.tsv")) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    for endpoint, *lists in rows:
        needs = {p for each in lists if each not in ("-", "(none)") for p in each.split(",")}
        yield endpoint, set() if "(none)" in lists else needs


def gw2_verdicts(asked):
    """The verdicts on (permissions, method, path), by the policy that comes with the program."""
    data = data_dir()
    key = make_key(data, ",".join(sorted(EVERYTHING)))["key"]
    tokens = {}
    for permissions, _, _ in asked:
        if permissions is not None and permissions not in tokens:
            tokens[permissions] = issue(data, key, "--permissions", ",".join(permissions))
    lines = [json.dumps({"token": tokens.get(p, ""), "method": m, "url": u}) for p, m, u in asked]
    code, out, err = run("verify", "--jsonl", "--policy", GW2_POLICY,
                         data=data, stdin="\n".join(lines))
    assert (code, err) == (0, ""), (code, err)
    said = [json.loads(line) for line in out.splitlines()]
    assert len(said) == len(asked)
    return ["good" if s["ok"] else s["reason"] for s in said]


# D17
@test
def each_gw2_endpoint_needs_what_the_lists_say():
    asked, wanted = [], []
    for endpoint, needs in gw2_rows():
        path = endpoint.replace(":id", "My%20Cool%20Character")
        for lacking in [None, *sorted(needs)]:
            asked.append((tuple(sorted(needs - {lacking})), "GET", path))
            wanted.append("perm" if lacking else "good")
        everything = tuple(sorted(EVERYTHING))
        asked += [(tuple(sorted(needs)), "HEAD", path), (everything, "DELETE", path),
                  (everything, "GET", path + "/"), (None, "GET", path)]
        wanted += ["good", "url", "url", "malformed"]
    got = gw2_verdicts(asked)
    wrong = [(a, g, w) for a, g, w in zip(asked, got, wanted) if g != w]
    assert not wrong and len(asked) > 450, wrong[:5]


# D17
@test
def what_needs_no_key_in_the_gw2_api_is_public():
    asked = [(None, method, path) for path in PUBLIC for method in ("GET", "HEAD")]
    wrong = [(a, g) for a, g in zip(asked, gw2_verdicts(asked)) if g != "good"]
    assert not wrong, wrong[:5]
    # What nobody has thought of is not, nor what changes something.
    asked = [(None, "GET", path) for path in ("/v2/nothing", "/v2/account/new", "/v1/items", "/",
                                              "/v2/pvp/new", "/v2/commerce/new", "/v2/guild/x/new")]
    asked += [(None, "POST", path) for path in PUBLIC]
    assert set(gw2_verdicts(asked)) == {"malformed"}
    some = tuple(sorted(EVERYTHING - {"unlocks"}))
    assert gw2_verdicts([(some, "GET", "/v2/characters/Zed/new"), (some, "GET", "/v2/account/new"),
                         (some, "POST", "/v2/items")]) == ["perm", "url", "url"]


@test
def the_gw2_policy_is_in_order():
    path = GW2_POLICY
    said = json.loads(run("policy", "check", path, "--json", check=0)[1])
    assert said["default"] == "deny" and said["preflight"] is True
    with open(path) as f:
        assert [r["path"] for r in json.load(f)["routes"]] == [r["path"] for r in said["routes"]]
    for route in said["routes"]:
        both = ["GET", "POST"] if route["path"] == "/v2/createsubtoken" else ["GET"]
        assert route["methods"] == both and not route["json_rpc"], route


main()
