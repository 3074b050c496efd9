"""Every verdict of `verify`, rule by rule, how it is explained, `--jsonl`, and the vectors."""
import itertools
from machine import alone
from commands import *


VECTORS = os.path.join(TESTS, "vectors", "tokens.json")


# ---- the rules, in their order ----

@test
def good_tokens_are_good_until_their_end():
    for header, secret in ((HEADER, K0), ('{"alg":"HS256"}', K0), ('{ "typ":"JWT" , "alg":"HS256"}', K0),
                           ({"alg": "HS256", "typ": "JWT", "kid": "k1"}, K1),
                           ({"kid": "long_name-2", "alg": "HS256"}, K2),
                           ({"alg": "HS256", "x-unknown": {"a": [1]}}, K0)):
        is_(verdict(sign(secret, claims(), header), "--at", str(NOW)), 200, "ok")
    for extra in ({"permissions": []}, {"jti": "x", "foo": [{"a": None}]}, {"sub": "a"},
                  {"sub": "a" * 128}, {"nbf": NOW}, {"urls": ["/v2/account"]}):
        options = ["--at", str(NOW)] + (["--url", "/v2/account"] if "urls" in extra else [])
        is_(verdict(sign(K0, claims(**extra)), *options), 200, "ok")
    token = sign(K0, claims())
    for stdin in (token + "\n", "  " + token + "\r\n", "\t" + token + " \n\n"):
        is_(verdict(token, "--at", str(NOW), stdin=stdin), 200, "ok")
    out = run("verify", "--at", str(NOW), "--secrets", RING, "--no-revocations", stdin=token)[1]
    assert "2027-01-16T08:00:00Z" in out, out


@test
def rule_1_form():
    good = sign(K0, claims())
    h, p, s = good.split(".")
    at = ["--at", str(NOW)]
    is_(verdict("a" * 8193, *at), 401, "too_large")
    is_(verdict(good + "." * (8193 - len(good)), *at), 401, "too_large")
    is_(verdict("a" * 60000, *at), 401, "too_large")
    is_(verdict("a" * 8192, *at), 401, "malformed")
    for bad in ("a", "a.b", h + "." + p, good + ".", "." + good, good + "." + s, ".." , h + ".." + s,
                h + "." + p + ".", "." + p + "." + s, h + "=." + p + "." + s, good + "=", good + "==",
                h + ". " + p + "." + s, h + "." + p[:9] + "\n" + p[9:] + "." + s, "Bearer " + good,
                good.replace("-", "+").replace("_", "/") + "+", p + "." + p + "." + s + "!",
                good[:-1] + chr(ord(good[-1]) + 1), good + "A", good[:-1], good + "\0", good + "\u00e9"):
        got = verdict(bad, *at)
        assert got[0] == 401 and got[1] in ("malformed", "mac"), (bad, got)
    flipped = good[:-1] + ("B" if good[-1] == "A" else "A" if good[-1] == "B" else chr(ord(good[-1]) ^ 1))
    assert verdict(flipped, *at)[0] == 401


@test
def rule_2_header_and_mac():
    at = ["--at", str(NOW)]
    for alg in ("none", "None", "hs256", "HS384", "HS512", "RS256", "ES256", "", None, 1, ["HS256"]):
        got = verdict(sign(K0, claims(), {"alg": alg, "typ": "JWT"}), *at)
        assert got in ((401, "alg"), (401, "malformed"), (401, "header")), (alg, got)
        if isinstance(alg, str):
            is_(got, 401, "alg")
    is_(verdict(sign(K0, claims(), '{"typ":"JWT"}'), *at), 401, "alg")
    unsigned = b64(b'{"alg":"none","typ":"JWT"}') + "." + b64(json.dumps(claims()).encode()) + "."
    assert verdict(unsigned, *at)[0] == 401
    for name in "crit b64 zip enc cty jwk jku x5u x5c x5t x5t#S256 p2s p2c".split():
        is_(verdict(sign(K0, claims(), {"alg": "HS256", "typ": "JWT", name: "x"}), *at), 401, "header")
    for typ in ("at+jwt", "", None, 1, "JOSE", "JWTX"):
        is_(verdict(sign(K0, claims(), {"alg": "HS256", "typ": typ}), *at), 401, "header")
    for header in ('{"alg":"HS256","alg":"HS256"}', '{"alg":"HS256",}', "[]", '"x"', "{}x",
                   '{"alg":"HS256"}{}', "{'alg':'HS256'}", '{"alg":"HS256","a":"\\ud800"}',
                   '{"alg":"HS256","a":' + "[" * 17 + "]" * 17 + "}", '\ufeff{"alg":"HS256"}'):
        got = verdict(sign(K0, claims(), header), *at)
        assert got in ((401, "malformed"), (401, "alg"), (401, "header")), (header, got)
    fits = {"alg": "HS256", "x": "y" * (1024 * 3 // 4 - 26)}
    assert 1020 <= len(b64(json.dumps(fits).encode())) <= 1024
    is_(verdict(sign(K0, claims(), fits), *at), 200, "ok")
    fits["x"] += "y" * 6
    got = verdict(sign(K0, claims(), fits), *at)
    assert got[0] == 401 and got[1] in ("header", "malformed", "too_large"), got
    for kid in ("k2", "K1", "", "k1 ", "-", "../k1", "k1\0", "k" * 65, "long_name-"):
        got = verdict(sign(K1, claims(), {"alg": "HS256", "kid": kid}), *at)
        assert got in ((401, "kid"), (401, "header"), (401, "malformed")), (kid, got)
    is_(verdict(sign(K1, claims(), {"alg": "HS256", "kid": "k2"}), *at), 401, "kid")
    for kid in (1, None, ["k1"], {"k1": 1}, True):
        got = verdict(sign(K0, claims(), {"alg": "HS256", "kid": kid}), *at)
        assert got in ((401, "kid"), (401, "header")), (kid, got)
    named = {"alg": "HS256", "kid": "k1"}
    for token in (sign(K1, claims()), sign(K2, claims()), sign(K0, claims(), named),
                  sign(K2, claims(), named), sign(b"", claims()), sign(b"\0" * 32, claims()),
                  sign(K0[:31], claims()), sign(K0 + b"\1", claims())):
        is_(verdict(token, *at), 401, "mac")
    h, p, s = sign(K0, claims()).split(".")
    h2, p2, s2 = sign(K0, claims(permissions=["account", "wallet"])).split(".")
    for token in (h + "." + p2 + "." + s, h + "." + p + "." + s2, h + "." + p + "." + b64(b"x" * 31),
                  h + "." + p + "." + b64(b"x" * 33)):
        got = verdict(token, *at)
        assert got in ((401, "mac"), (401, "malformed")), got


@test
def rule_3_claims():
    at = ["--at", str(NOW)]
    base = json.dumps(claims())[:-1]
    for c in [claims(sub=None), claims(iat=None), claims(exp=None), claims(permissions=None),
              claims(sub=1), claims(sub=""), claims(sub="a" * 129), claims(sub="a b"), claims(sub="a.b"),
              claims(sub="\u00e9"), claims(iat=str(NOW)), claims(exp=NOW + 1.5), claims(exp=-1),
              claims(exp=2 ** 53), claims(exp=2 ** 64 + NOW + 5), claims(exp=True), claims(nbf="x"),
              claims(nbf=-1), claims(nbf=1.5), claims(permissions="account"), claims(permissions={}),
              claims(permissions=[1]), claims(permissions=["a", "a"]), claims(permissions=["a b"]),
              claims(permissions=[""]), claims(permissions=["a,b"]), claims(permissions=["x" * 65]),
              claims(permissions=["p%d" % i for i in range(65)]), claims(urls="/a"), claims(urls=[1]),
              claims(urls=["a"]), claims(urls=["/a/../b"]), claims(urls=["/a", "/b/*c"]),
              claims(urls=["/p%d" % i for i in range(65)]), claims(urls=["get:/a"]), claims(urls=["/a?b"]),
              claims(urls=["/" + "x" * 1024]), base + ',"sub":"x"}', base + ',"a":1,"a":1}',
              base + ',"a":"\\u0000"}', base + ',"a":"\\ud800"}', base + ',"a":' + "[" * 17 + "]" * 17 + "}",
              base + ',"a":01}', base + ',"a":"\x01"}', base + ",}", base, base + "}x", base + "}}",
              "[" + base + "}]", "null", "", base + ',"a":NaN}', base + ",'a':1}", base + ',"iat":null}',
              base.replace('"iat": 1800000000', '"iat": 1.8e9') + "}",
              base.encode() + b',"a":"\xff"}', base.encode() + b',"a":"\xc0\x80"}',
              base.encode() + b',"a\0":1}', b"\xef\xbb\xbf" + base.encode() + b"}"]:
        got = verdict(sign(K0, c), *at)
        assert got in ((401, "claims"), (401, "malformed")), (c, got)
        if isinstance(c, dict):
            is_(got, 401, "claims")
    for c in (base + ',"a":' + "[" * 15 + "]" * 15 + "}", base + ', "z" : "\\ud83d\\ude00" }\n',
              claims(exp=2 ** 53 - 1)):
        got = verdict(sign(K0, c), *at, "--max-life", "9007199254740991")
        is_(got, 200, "ok")
    empty = verdict(sign(K0, claims(urls=[])), *at, "--url", "/v2/account")
    assert empty in ((403, "url"), (401, "claims")), empty


@test
def rule_4_times_and_parties():
    at = ["--at", str(NOW)]
    is_(verdict(sign(K0, claims(exp=NOW)), *at), 401, "exp_before_iat")
    is_(verdict(sign(K0, claims(exp=NOW - 1)), *at), 401, "exp_before_iat")
    is_(verdict(sign(K0, claims(exp=NOW + 365 * DAY)), *at), 200, "ok")
    is_(verdict(sign(K0, claims(exp=NOW + 365 * DAY + 1)), *at), 401, "ttl")
    for life, text in ((3600, "3600"), (3600, "1h"), (3600, "60m"), (DAY, "1d")):
        is_(verdict(sign(K0, claims(exp=NOW + life)), *at, "--max-life", text), 200, "ok")
        is_(verdict(sign(K0, claims(exp=NOW + life + 1)), *at, "--max-life", text), 401, "ttl")
    for iat, want in ((60, "ok"), (61, "iat_future"), (59, "ok"), (-1, "ok")):
        got = verdict(sign(K0, claims(iat=NOW + iat, exp=NOW + DAY)), *at)
        is_(got, 200 if want == "ok" else 401, want)
    for nbf, want in ((60, "ok"), (61, "not_yet"), (0, "ok")):
        is_(verdict(sign(K0, claims(nbf=NOW + nbf)), *at), 200 if want == "ok" else 401, want)
    for now, leeway, want in ((59, None, "ok"), (60, None, "expired"), (-1, "0", "ok"), (0, "0", "expired"),
                              (119, "2m", "ok"), (120, "120", "expired"), (3599, "1h", "ok")):
        options = ["--at", str(NOW + DAY + now)] + (["--leeway", leeway] if leeway else [])
        is_(verdict(sign(K0, claims()), *options), 200 if want == "ok" else 401, want)
    is_(verdict(sign(K0, claims()), "--at", str(NOW - 1), "--leeway", "0"), 401, "iat_future")
    is_(verdict(sign(K0, claims(nbf=NOW + 5)), "--at", str(NOW + 4), "--leeway", "0"), 401, "not_yet")
    huge = "9007199254740991"
    is_(verdict(sign(K0, claims()), "--at", huge, "--leeway", "0"), 401, "expired")
    is_(verdict(sign(K0, claims()), "--at", "0"), 401, "iat_future")
    late = ["--at", str(NOW + DAY + 3599), "--leeway"]
    is_(verdict(sign(K0, claims()), *late, "3600"), 200, "ok")
    is_(verdict(sign(K0, claims()), *late, "3599"), 401, "expired")
    code, _, err = run("verify", *late, "3601", "--secrets", RING, "--no-revocations", stdin=sign(K0, claims()))
    assert code == 2 and "an hour at most" in err, (code, err)  # C13
    one, two = claims(iss="https://a", aud="api"), claims(iss="https://a", aud=["x", "api"])
    for c in (one, two):
        is_(verdict(sign(K0, c), *at), 200, "ok")
        is_(verdict(sign(K0, c), *at, "--iss", "https://a", "--aud", "api"), 200, "ok")
        is_(verdict(sign(K0, c), *at, "--iss", "https://A"), 401, "iss")
        is_(verdict(sign(K0, c), *at, "--iss", "https://a/"), 401, "iss")
        is_(verdict(sign(K0, c), *at, "--aud", "ap"), 401, "aud")
        is_(verdict(sign(K0, c), *at, "--iss", "b", "--aud", "c"), 401, "iss")
    is_(verdict(sign(K0, claims()), *at, "--iss", "https://a"), 401, "iss")
    is_(verdict(sign(K0, claims()), *at, "--aud", "api"), 401, "aud")
    is_(verdict(sign(K0, claims(aud=[])), *at, "--aud", "api"), 401, "aud")
    is_(verdict(sign(K0, claims(aud=[])), *at, "--aud", ""), 401, "aud")


@test
def at_is_read_in_every_form():
    token = sign(K0, claims(iat=NOW, exp=NOW + 1))
    zero = ["--leeway", "0"]
    for text in ("1800000000", "01800000000", "2027-01-15T08:00:00Z", "2027-01-15T08:00:00",
                 "2027-01-15 08:00:00", "2027-01-15 08:00:00Z", "2027-01-15T08:00:00.9Z",
                 "2027-01-15T08:00:00.999999999Z", "2027-01-15T09:30:00+01:30",
                 "2027-01-15T09:30:00 01:30", "2027-01-14T08:01:00-23:59", "2027-01-15T08:00:00.123",
                 "2027-01-15T08:00", "2027-01-15t08:00:00z", "2027-01-15T10:00:00+0200",  # D2
                 "2027-01-15 10:00:00+02", "2027-01-15T08:00z"):
        is_(verdict(token, "--at", text, *zero), 200, "ok")
    for text, want in (("1799999999", "iat_future"), ("1800000001", "expired"),
                       ("2027-01-15T08:00:01Z", "expired"), ("2027-01-15T07:59:59.999Z", "iat_future"),
                       ("1970-01-01T00:00:00Z", "iat_future"), ("9999-12-31T23:59:59Z", "expired")):
        is_(verdict(token, "--at", text, *zero), 401, want)
    for text in ("", "now", "-1", "1800000000.5", "1.8e9", "1800000000s", "30d", "+1800000000", " 1800000000",
                 "9007199254740992", "2027-01-15", "2027-01-15T08:00.5", "2027-13-15T08:00:00Z",
                 "2027-02-29T08:00:00Z", "2027-01-15T24:00:00Z", "2027-01-15T08:00:60Z",
                 "2027-01-15T08:00:00+24:00", "2027-01-15T08:00:00+2", "2027-01-15T08:00:00.Z",
                 "2027-01-15T08:00:00.1234567890Z", "1969-12-31T23:59:59Z", "0x6b49d200"):
        code, out, err = run("verify", "--at=" + text, "--secrets", RING, "--no-revocations", stdin=token)
        assert code == 2 and "--at" in err and out == "", (text, code, out, err)
    # Without --at it is now.
    now = int(time.time())
    is_(verdict(sign(K0, claims(iat=now, exp=now + 60))), 200, "ok")
    is_(verdict(sign(K0, claims(iat=now - 200, exp=now - 100))), 401, "expired")
    is_(verdict(sign(K0, claims(iat=now + 100, exp=now + 200))), 401, "iat_future")


@test
def rule_5_revocations():
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"], "--permissions", "account")
    ask = lambda t, *o: verdict(t, *o, data=data, secrets=None)
    is_(ask(token), 200, "ok")
    run("key", "disable", key["id"], data=data)
    is_(ask(token), 401, "revoked")
    assert run("verify", "--no-revocations", data=data, stdin=token)[0] == 0
    run("key", "enable", key["id"], data=data)
    is_(ask(token), 200, "ok")
    is_(ask(token, "--require", "account"), 200, "ok")
    run("key", "revoke-subtokens", key["id"], data=data)
    is_(ask(token), 401, "revoked")
    second = issue(data, key["key"])
    is_(ask(second), 200, "ok")
    is_(ask(token), 401, "revoked")
    assert payload(second)["sub"] != payload(token)["sub"]
    run("key", "delete", key["id"], data=data)
    for t in (token, second):
        is_(ask(t), 401, "revoked")
    assert run("issue", data=data, stdin=key["key"])[0] == 1
    assert run("key", "enable", key["id"], data=data)[0] == 1
    # A sub that the store has never heard of, of every length.
    secret = ring_of(data)[""]
    now = int(time.time())
    for sub in ("s" * 43, "a", "b" * 128):
        c = claims(sub=sub, iat=now, exp=now + 60)
        is_(ask(sign(secret, c)), 401, "revoked")
        is_(verdict(sign(secret, c), secrets=os.path.join(data, "secrets")), 200, "ok")
    # No store: cannot be decided, and says why; with no token good enough, that comes first.
    nowhere = data_dir()
    c = claims(iat=now, exp=now + 60)
    for options in ([], ["--url", "/v2/account"]):
        code, out, err = run("verify", "--secrets", RING, *options, data=nowhere, stdin=sign(K0, c))
        assert code == 1 and out.startswith("refused 503 feed_stale") and nowhere in err, (code, out, err)
    assert run("verify", "--secrets", RING, "--json", data=nowhere, stdin=sign(K1, c))[1] == \
        '{"ok":false,"status":401,"reason":"mac"}\n'
    line = json.dumps({"token": sign(K0, c)})
    code, out, _ = run("verify", "--secrets", RING, "--jsonl", data=nowhere, stdin=line)
    assert (code, json.loads(out)) == (0, {"ok": False, "status": 503, "reason": "feed_stale"})
    assert not os.path.exists(nowhere)


@test
def the_store_caps_what_a_token_is_worth():
    """Whoever holds the ring can sign; where the store is asked, it still decides."""
    data = data_dir()
    key = make_key(data, "account", "--expires", "1h")
    now = int(time.time())
    secret = ring_of(data)[""]
    more = sign(secret, claims(sub=key["sub"], iat=now, exp=now + 60, permissions=["account", "wallet"]))
    is_(verdict(more, "--require", "account", data=data, secrets=None), 200, "ok")
    is_(verdict(more, "--require", "wallet", data=data, secrets=None), 403, "perm")
    is_(verdict(more, "--require", "wallet", secrets=os.path.join(data, "secrets")), 200, "ok")


@test
def the_store_caps_what_the_call_of_a_body_may_need():
    data = data_dir()
    key = make_key(data, "mcp,account_api")
    now = int(time.time())
    more = sign(ring_of(data)[""], claims(sub=key["sub"], iat=now, exp=now + 60,
                                          permissions=["mcp", "docs", "account_api", "history_api"]))
    policy = private_file(json.dumps({"default": "deny", "routes": [
        {"path": "/mcp", "needs": ["mcp"], "mcp": {"tools/call search": ["docs"], "tools/call *": ["mcp"]}},
        {"path": "/rpc", "json_rpc": True}]}), "policy.json")
    tool = lambda name: json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}})
    only = r", its key has only \[mcp,account_api\]"
    for url, body, by_key in (
            ("/mcp", tool("other"), None), ("/mcp", tool("search"), r".*lacking \[docs\]" + only),
            ("/rpc", '{"method":"account_api.get"}', None),
            ("/rpc", '{"method":"history_api.get"}', "the body needs history_api" + only)):
        asked = ("--policy", policy, "--body", private_file(body, "body"), "--method", "POST", "--url", url)
        is_(verdict(more, *asked, secrets=os.path.join(data, "secrets")), 200, "ok")
        is_(verdict(more, *asked, data=data, secrets=None), *((403, "perm") if by_key else (200, "ok")))
        said = explain(more, *asked, data=data, secrets=None)
        assert by_key is None or said[0] == "perm" and re.fullmatch(by_key, said[1]), (url, body, said)


@test
def a_body_that_is_too_long_is_413_however_long_it_is():
    policy = private_file(json.dumps({"default": "deny", "routes": [{"path": "/rpc", "json_rpc": True}]}), "policy.json")
    at = ["--at", str(NOW), "--policy", policy, "--method", "POST", "--url", "/rpc", "--body"]
    for more, wanted in ((0, (400, "bad_request")), (1, (413, "limit")), (2, (413, "limit")), (1 << 20, (413, "limit"))):
        is_(verdict(sign(K0, claims()), *at, private_file(" " * (262144 + more), "body")), *wanted)


@test
def the_store_refuses_what_a_bound_key_has_not_made():
    """As the server: under the sub of a key that is bound to an audience, only what it made is good."""
    data = data_dir()
    bound, free = make_key(data, "account", "--audience", "eu"), make_key(data, "account")
    now = int(time.time())
    secret = ring_of(data)[""]
    made_up = lambda key, **more: sign(secret, claims(sub=key["sub"], iat=now, exp=now + 60, **more))
    at = {"data": data, "secrets": None}
    is_(verdict(made_up(free), **at), 200, "ok")
    is_(verdict(made_up(free, aud="eu"), "--aud", "eu", **at), 200, "ok")
    is_(verdict(issue(data, bound["key"], "--permissions", "account"), "--aud", "eu", **at), 200, "ok")
    for options, more in (((), {}), (("--aud", "eu"), {"aud": "eu"}), (("--aud", "us"), {"aud": ["us", "eu"]})):
        is_(verdict(made_up(bound, **more), *options, **at), 401, "aud")
        assert explain(made_up(bound, **more), *options, **at) == (
            "aud", "it is not a token of its key, which is bound to eu")


@test
def the_store_caps_how_long_a_token_lives():
    data = data_dir()
    key = make_key(data, "account", "--expires", "1h")
    now = int(time.time())
    longer = sign(ring_of(data)[""], claims(sub=key["sub"], iat=now, exp=now + DAY))
    is_(verdict(longer, "--at", str(now + 60), data=data, secrets=None), 200, "ok")
    got = verdict(longer, "--at", str(now + 3600 + 200), data=data, secrets=None)
    assert got in ((401, "expired"), (401, "revoked")), got


@test
def rule_6_urls_and_methods():
    at = ["--at", str(NOW)]
    free, bound = sign(K0, claims()), sign(K0, claims(urls=["/v2/account", "GET:/v2/characters/*",
                                                              "POST:/v2/mail"]))
    for target, method, status in (
            ("/v2/account", None, 200), ("/v2/account?x=/../", None, 200), ("/v2/account", "DELETE", 200),
            ("/v2/%61ccount", None, 200), ("/v2/account/", None, 403), ("/v2/Account", None, 403),
            ("/v2/account/home", None, 403), ("/v2/characters/x", "GET", 200),
            ("/v2/characters/x", "HEAD", 200), ("/v2/characters/x", "POST", 403),
            ("/v2/characters/x", "get", 403), ("/v2/characters/x", None, 403),
            ("/v2/characters", "GET", 403), ("/v2/characters/", "GET", 403),
            ("/v2/characters/My%20Cool", "GET", 200), ("/v2/mail", "POST", 200),
            ("/v2/mail", "GET", 403), ("/v2/mail", "HEAD", 403), ("/v2/mail", None, 403)):
        options = at + ["--url", target] + (["--method", method] if method else [])
        is_(verdict(bound, *options), status, "ok" if status == 200 else "url")
        is_(verdict(free, *options), 200, "ok")
    is_(verdict(bound, *at), 403, "url")
    is_(verdict(bound, *at, "--method", "GET"), 403, "url")
    is_(verdict(free, *at), 200, "ok")
    for target in ("", "v2/account", "//v2/account", "/v2//account", "/v2/./account", "/v2/../v2/account",
                   "/v2/account%2f", "/v2/%2e%2e/account", "/v2/account;x", "/v2/account%00", "/v2/%zz",
                   "/v2/account%", "/v2/account#x", "http://host/v2/account", "*", "/v2/\\account",
                   "/v2/account%25", "/v2/acc ount", "/v2/\u00e4", "/v2/%ff", "/" + "x" * 4096):
        for token in (free, bound):
            is_(verdict(token, *at, "--url", target, "--method", "GET"), 400, "bad_target")
    out = run("verify", *at, "--url", "/nope", "--secrets", RING, "--no-revocations", stdin=bound)[1]
    assert "/nope" in out and "/v2/account" in out, out
    esc = sign(K0, claims(urls=["/a"], permissions=["x"]))
    out = run("verify", *at, "--url", "/b?\x1b[31m\u009b", "--secrets", RING, "--no-revocations", stdin=esc)[1]
    assert not CONTROLS.search(out), out


@test
def rule_7_permissions_and_the_order_of_rules():
    at = ["--at", str(NOW)]
    two = sign(K0, claims(permissions=["account", "wallet"]))
    for need, status in (("account", 200), ("wallet,account", 200), ("", 200), ("account,characters", 403),
                         ("Account", 403), ("acc", 403), (" account, wallet\t", 200), ("account wallet", 403), ("account,,wallet", 403),
                         ("account,account", 200)):
        is_(verdict(two, *at, "--require", need), status, "ok" if status == 200 else "perm")
    is_(verdict(sign(K0, claims(permissions=[])), *at, "--require", "account"), 403, "perm")
    # The first rule that fails decides.
    worst = claims(iat=NOW + 500, exp=NOW + 400 * DAY, nbf=NOW + 500, urls=["/a"], permissions=[])
    asked = at + ["--url", "/a/../b", "--require", "x", "--iss", "i", "--aud", "a"]
    is_(verdict(sign(K1, worst), *asked), 401, "mac")
    is_(verdict(sign(K0, dict(worst, sub="")), *asked), 401, "claims")
    is_(verdict(sign(K0, dict(worst, exp=NOW)), *asked), 401, "exp_before_iat")
    is_(verdict(sign(K0, worst), *asked), 401, "ttl")
    is_(verdict(sign(K0, dict(worst, exp=NOW + DAY)), *asked), 401, "iat_future")
    is_(verdict(sign(K0, dict(worst, exp=NOW + DAY, iat=NOW)), *asked), 401, "not_yet")
    old = dict(worst, iat=NOW - DAY, exp=NOW - 1000, nbf=0)
    is_(verdict(sign(K0, old), *asked), 401, "expired")
    new = dict(worst, iat=NOW, exp=NOW + DAY, nbf=0)
    is_(verdict(sign(K0, new), *asked), 401, "iss")
    is_(verdict(sign(K0, dict(new, iss="i")), *asked), 401, "aud")
    new = dict(new, iss="i", aud="a")
    data = data_dir()
    make_key(data)
    is_(verdict(sign(K0, new), *asked, data=data), 401, "revoked")
    is_(verdict(sign(K0, old), *asked, data=data), 401, "expired")
    is_(verdict(sign(K0, new), *asked), 400, "bad_target")
    asked[3] = "/b"
    is_(verdict(sign(K0, new), *asked), 403, "url")
    asked[3] = "/a"
    is_(verdict(sign(K0, new), *asked), 403, "perm")


@test
def every_reason_says_what_it_saw():
    good = sign(K0, claims())
    h, p, s = good.split(".")
    bound = sign(K0, claims(urls=["/v2/tokeninfo", "GET:/a/*"]))
    three = lambda dots: "it has %s; a token is three parts that are not empty, with two dots between them" % dots
    not64 = "the %s is not base64url without padding"
    ring = ', the secrets are [(unnamed), "k1", "long_name-2"]'
    claim = 'claim "%s" is missing or of the wrong form'
    ours = "the signature was not made over these bytes with the secret %s"
    lives = "from iat to exp it is %s, at most %s are allowed"
    way = "target %s is refused: %s"
    bad_char = "it has a character that a path cannot hold unescaped"
    named = lambda **header: sign(K1, claims(), dict(header, alg="HS256"))
    rows = [
        (good, [], "ok", "good until 2027-01-16T08:00:00Z"),
        ("a" * 8193, [], "too_large", "8193 characters, at most 8192 are looked at"),
        ("a" * 1000000, [], "too_large", "1000000 characters, at most 8192 are looked at"),
        ("a", [], "malformed", three("0 dots")), ("a.b", [], "malformed", three("1 dot")),
        ("." * 8192, [], "malformed", three("8192 dots")), (".a." + s, [], "malformed", three("2 dots")),
        (h + "=." + p + "." + s, [], "malformed", not64 % "header"),
        (h + "." + p + "=." + s, [], "malformed", not64 % "payload"),
        (good + "." + s, [], "malformed", three("3 dots")),
        (good + "=", [], "malformed", not64 % "signature"),
        (sign(K0, claims(), "x"), [], "malformed", "the header is not an object in strict JSON"),
        (sign(K0, claims(), '{"alg":"HS256","alg":"HS256"}'), [], "malformed", "the header is not an object in strict JSON"),
        (sign(K0, "[1]"), [], "malformed", "the claims are not an object in strict JSON"),
        (sign(K0, '{"a":1,"a":1}'), [], "malformed", "the claims are not an object in strict JSON"),
        (sign(K0, claims(), "[]"), [], "malformed", "the header is not an object in strict JSON"),
        (sign(K0, claims(), {}), [], "alg", 'alg is missing, not "HS256"'),
        (sign(K0, claims(), {"alg": 1}), [], "alg", 'alg is no string, not "HS256"'),
        (sign(K0, claims(), {"alg": 'a", not "b'}), [], "alg", r'alg is "a\", not \"b", not "HS256"'),
        (sign(K0, claims(), {"alg": "HS256", "typ": ""}), [], "header", 'typ is "", not "JWT"'),
        (sign(K0, claims(), {"alg": "HS256", "typ": 1}), [], "header", 'typ is no string, not "JWT"'),
        *((sign(K0, claims(), {"alg": "HS256", name: 1}), [], "header",
           'the header has "%s", which changes what a token means' % name) for name in ("crit", "x5t#S256")),
        (sign(K0, claims(), {"alg": "none"}), [], "alg", 'alg is "none", not "HS256"'),
        (sign(K0, claims(), {"alg": HOSTILE}), [], "alg", 'alg is "%s", not "HS256"' % SHOWN),
        (sign(K0, claims(), {"alg": "HS256", "typ": "at+jwt"}), [], "header", 'typ is "at+jwt", not "JWT"'),
        (sign(K0, claims(), {"alg": "HS256", "typ": HOSTILE}), [], "header", 'typ is "%s", not "JWT"' % SHOWN),
        (sign(K0, claims(), {"alg": "HS256", "x": "y" * 1000}), [], "header",
         "the header part has 1367 characters, at most 1024 are looked at"),
        (named(kid="k2"), [], "kid", 'kid is "k2"' + ring), (named(kid=""), [], "kid", 'kid is ""' + ring),
        (named(kid=1), [], "kid", "kid is no string" + ring),
        (named(kid=HOSTILE), [], "kid", 'kid is "%s"' % SHOWN + ring),
        (sign(K1, claims()), [], "mac", ours % "(unnamed)"),
        (sign(K0, claims(), {"alg": "HS256", "kid": "k1"}), [], "mac", ours % '"k1"'),
        (h + "." + p + ".", [], "mac", "the signature has 0 bytes, not 32"),
        (h + "." + p + "." + b64(b"x" * 33), [], "mac", "the signature has 33 bytes, not 32"),
        *((sign(K0, claims(**{c: None})), [], "claims", claim % c) for c in ("sub", "iat", "exp", "permissions")),
        *((sign(K0, claims(**{c: v})), [], "claims", claim % c) for c, v in (
            ("sub", HOSTILE), ("iat", 1.5), ("exp", "1"), ("nbf", -1), ("permissions", [HOSTILE]),
            ("urls", ["/a/../b"]), ("urls", []), ("iss", 1), ("aud", [1]))),
        (sign(K0, claims(exp=NOW)), [], "exp_before_iat",
         "exp 2027-01-15T08:00:00Z is not after iat 2027-01-15T08:00:00Z"),
        (sign(K0, claims(exp=NOW + 400 * DAY)), [], "ttl", lives % ("34560000 s (400 days)", "31536000 s (365 days)")),
        (sign(K0, claims(exp=NOW + 365 * DAY + 1)), [], "ttl",
         lives % ("31536001 s (365 days)", "31536000 s (365 days)")),
        (sign(K0, claims(exp=NOW + 3 * 3600)), ["--max-life", "90s"], "ttl", lives % ("10800 s (3 h)", "90 s")),
        (sign(K0, claims(iat=NOW + 61)), [], "iat_future", "iat 2027-01-15T08:01:01Z is 61 s ahead"),
        (sign(K0, claims(iat=2**53 - 2, exp=2**53 - 1)), [], "iat_future",
         "iat 9007199254740990 is 104249970540 days ahead"),
        (sign(K0, claims(nbf=NOW + 5 * DAY)), [], "not_yet", "nbf 2027-01-20T08:00:00Z is 5 days ahead"),
        (good, ["--at", str(NOW + DAY + 3 * 3600 + 5)], "expired", "exp 2027-01-16T08:00:00Z was 3 h ago"),
        (good, ["--at", str(NOW + DAY), "--leeway", "0"], "expired", "exp 2027-01-16T08:00:00Z was 0 s ago"),
        (good, ["--iss", "a"], "iss", 'iss is empty or missing, not "a"'),
        (sign(K0, claims(iss=HOSTILE)), ["--iss", HOSTILE[:-1]], "iss",
         'iss is "%s", not "%s"' % (SHOWN, SHOWN_LINE)),
        (sign(K0, claims(aud=[HOSTILE, "x"])), ["--aud", "api"], "aud", 'aud is ["%s", "x"], not "api"' % SHOWN),
        (sign(K0, claims(aud="x")), ["--aud", "api"], "aud", 'aud is "x", not "api"'),
        (good, ["--aud", "api"], "aud", 'aud is missing, not "api"'),
        (good, ["--url", ""], "bad_target", way % ('""', "a path starts with /")),
        (good, ["--url", "/a/../b?access_token=SECRET"], "bad_target",
         way % ("/a/../b", "it has a segment of only dots and spaces")),
        (good, ["--url", "/a?access_token=SECRET\x7f"], "bad_target", way % ("/a", bad_char + ", in its query")),
        (good, ["--url", "//a"], "bad_target", way % ("//a", "it has two slashes in a row")),
        (good, ["--url", "/a%zz"], "bad_target", way % ("/a...", "a % needs two hex digits behind it")),
        (good, ["--url", "/" + HOSTILE[:-1]], "bad_target",
         way % ("/...", bad_char)),
        (bound, ["--url", "/v2/account/bank?access_token=SECRET"], "url",
         "url /v2/account/bank is not in [/v2/tokeninfo, GET:/a/*]"),
        (bound, ["--url", "/a/b", "--method", "PUT"], "url",
         "url PUT /a/b is not in [/v2/tokeninfo, GET:/a/*]"),
        (bound, ["--url", "/b", "--method", HOSTILE[:-1]], "url",
         "url %s /b is not in [/v2/tokeninfo, GET:/a/*]" % SHOWN_LINE),
        (bound, [], "url", "url (none given) is not in [/v2/tokeninfo, GET:/a/*]"),
        (good, ["--require", "account,wallet"], "perm", "it needs wallet, the token has [account]"),
        (sign(K0, claims(permissions=[])), ["--require", HOSTILE[:-1]], "perm",
         "it needs %s, the token has []" % SHOWN_LINE),
    ]
    wrong = []
    for token, options, reason, text in rows:
        got = explain(token, *([] if "--at" in options else ["--at", str(NOW)]), *options)
        if got[0] != reason or text is not None and got[1] != text:
            wrong.append((options, got, (reason, text)))
    assert not wrong, wrong


@test
def long_explanations_are_cut_between_characters():
    at = ["--at", str(NOW)]
    urls = ["/%02d" % i + "x" * 53 for i in range(64)]
    got = explain(sign(K0, claims(urls=urls)), *at, "--url", "/x")
    assert got == ("url", "url /x is not in [%s]" % ", ".join(urls)), got
    urls = ["/%d" % i + "x" * 1022 for i in range(5)]  # as many of 1,024 bytes as a token has room for
    for target in ("/x", "/x?" + "q" * 8189):
        reason, text = explain(sign(K0, claims(urls=urls)), *at, "--url", target)
        assert reason == "url" and text.startswith("url /x") and text.endswith(" is not in [%s]" % ", ".join(urls))
    good = sign(K0, claims())
    for n in range(4):  # whichever byte is the first that is not shown
        text = explain(good, *at, "--url", "/" + "a" * n + "\u00fc" * 60000)[1]
        assert re.fullmatch(r"target /a{%d}\.\.\. is refused: it is too long" % n, text), text
        text = explain(good, *at, "--url", "/" + "a" * (300 + n) + "?" + "\u202e" * 40000)[1]
        assert re.fullmatch(r"target /a{255}\.\.\. is refused: it is too long, in its query", text), text
        text = explain(good, *at, "--url", "/" + "a" * n + "\u202e" * 40000)[1]
        assert re.fullmatch(r"target /a{%d}\.\.\. is refused: it is too long" % n,
                            text), text
    text = explain(sign(K0, claims(iss="\u202e" * 700)), *at, "--iss", "a")[1]
    assert text == 'iss is "%s", not "a"' % (r"\xe2\x80\xae" * 700)


@test
def decisions_by_the_store_are_explained():
    data = data_dir()
    key = make_key(data, "account,inventories", "--expires", "1h")
    now = int(time.time())
    ask = lambda token, *o: explain(token, *o, data=data, secrets=None)
    secret = ring_of(data)[""]
    token = sign(secret, claims(sub=key["sub"], iat=now, exp=now + DAY, permissions=["wallet"]))
    assert ask(token)[0] == "ok"
    assert ask(token, "--require", "wallet") == (
        "perm", "it needs wallet, its key has only [account,inventories]")
    assert ask(token, "--require", "account") == ("perm", "it needs account, the token has [wallet]")
    revoked = lambda sub, why: ("revoked", "sub %s is revoked: %s" % (sub, why))
    assert ask(token, "--at", str(now + 7200)) == revoked(key["sub"], "its key has expired")
    unknown = sign(secret, claims(iat=now, exp=now + 60))
    assert ask(unknown) == revoked("s" * 43, "the database has no key with this sub")
    run("key", "disable", key["id"], data=data)
    assert ask(token) == revoked(key["sub"], "its key is disabled")
    run("key", "revoke-subtokens", key["id"], data=data)
    gone = revoked(key["sub"], "its key was deleted, or its subtokens were revoked")
    assert ask(token) == gone
    run("key", "delete", key["id"], data=data)
    assert ask(token) == gone
    stale = explain(unknown, data=data_dir(), secrets=os.path.join(data, "secrets"))
    assert stale == ("feed_stale", "no trustworthy revocation data"), stale


# ---- verify --jsonl ----

def lines(items, *options, data=None, raw=False):
    if data is None:
        options += ("--no-revocations",)
    text = items if raw else "".join(json.dumps(i) + "\n" for i in items)
    code, out, err = run("verify", "--jsonl", "--secrets", RING, *options, data=data, stdin=text, timeout=100)
    assert code == 0 and err == "", (code, err)
    assert out.endswith("\n") or out == "", out[-100:]
    return [r.get("reason", "ok") for r in map(json.loads, out.splitlines())]


@test
def jsonl_answers_line_by_line():
    good, bound = sign(K0, claims()), sign(K0, claims(urls=["GET:/a"]))
    at = {"at": NOW}
    assert lines([]) == []
    got = lines([
        dict(at, token=good), dict(at, token=good, require=["account"]), dict(at, token=good, require=["x"]),
        dict(at, token=good, require=[]), dict(at, token=good, url="/a//b"), dict(at, token=bound),
        dict(at, token=bound, url="/a"), dict(at, token=bound, url="/a", method="GET"),
        dict(at, token=bound, url="/a", method="PUT"), dict(token=good, at="2027-01-15T08:00:00Z"),
        dict(token=good, at="1800000000"), dict(token=good, at=NOW + 2 * DAY), dict(token=good, at=0),
        dict(at, token=good, unknown={"a": [1]}), dict(at, token=""), dict(at, token="a.b.c"),
        dict(at, token=good, require=["account", ""]), dict(at, token=sign(K1, claims()))])
    assert got == ["ok", "ok", "perm", "ok", "bad_target", "url", "url", "ok", "url", "ok", "ok", "expired",
                   "iat_future", "ok", "malformed", "malformed", "perm", "mac"], got
    # What a line does not say is as the options say; one line's words do not stay for the next.
    got = lines([dict(token=bound), dict(token=bound, method="PUT"), dict(token=bound), dict(token=bound, url="/b"),
                 dict(token=bound, require=["x"]), dict(token=bound, at=0), dict(token=bound)],
                "--at", str(NOW), "--url", "/a", "--method", "GET", "--require", "account")
    assert got == ["ok", "url", "ok", "url", "perm", "iat_future", "ok"], got


@test
def jsonl_answers_lines_that_cannot_be_read():
    good = sign(K0, claims())
    line = json.dumps({"token": good, "at": NOW}).encode()
    bad = [b"", b" ", b"x", b"{}", b"[]", b"null", b"{", line[:-1], line + b"x", line + line, b'"' + good.encode() + b'"',
           b'{"token":1}', b'{"token":null}', b'{"token":["x"]}', b'{"at":1}', b'{"token":"a.b.c","at":-1}',
           b'{"token":"a.b.c","at":1.5}', b'{"token":"a.b.c","at":"soon"}', b'{"token":"a.b.c","at":null}',
           b'{"token":"a.b.c","at":9007199254740992}', b'{"token":"a.b.c","at":true}',
           b'{"token":"a.b.c","method":1}', b'{"token":"a.b.c","url":null}', b'{"token":"a.b.c","require":"a"}',
           b'{"token":"a.b.c","require":[1]}', b'{"token":"a.b.c","require":null}',
           b'{"token":"a.b.c","token":"a.b.c"}', b'{"token":"a\\u0000b"}', b'{"token":"\\ud800"}',
           b'{"token":"a\0b"}', b"\0", line[:10] + b"\0" + line[10:], line + b"\0", b"\0" + line,
           b'{"token":"\xff"}', b"\xef\xbb\xbf" + line, b"{'token':'a'}", b'{"token":"a",}', b"//x",
           b'{"token":"a.b.c","x":' + b"[" * 40 + b"]" * 40 + b"}", b"[" * 100000,
           b'{"token":"a.b.c","require":[' + b",".join(b'"p%d"' % i for i in range(5000)) + b"]}"]
    got = lines(b"\n".join(itertools.chain.from_iterable((b, line) for b in bad)) + b"\n", raw=True)
    assert got[1::2] == ["ok"] * len(bad), [bad[i] for i, r in enumerate(got[1::2]) if r != "ok"]
    assert got[0::2] == ["bad_line"] * len(bad), [(b[:60], r) for b, r in zip(bad, got[0::2]) if r != "bad_line"]
    # Space, CR and a missing last newline are no trouble.
    assert lines(b"  " + line + b" \t\r\n" + line, raw=True) == ["ok", "ok"]
    assert lines(line + b"\n\n" + line + b"\n", raw=True) == ["ok", "bad_line", "ok"]


@test
def jsonl_refuses_at_before_1970():
    good = sign(K0, claims())
    got = lines([{"token": good, "at": "1960-01-01T00:00:00Z"}, {"token": good, "at": "1969-12-31T23:59:59Z"}])
    assert got == ["bad_line", "bad_line"], got


@test
def jsonl_answers_long_lines_with_a_reason():
    good = sign(K0, claims())
    line = json.dumps({"token": good, "at": NOW})
    meg = 1 << 20
    text = [line, json.dumps({"token": "." * meg, "at": NOW}), line[:-1] + " " * meg + "}", "x" * meg,
            line[:-1] + ',"x":"' + "y" * meg + '"}', json.dumps({"token": good, "at": NOW, "url": "/" + "u" * meg}),
            "{" * meg, '{"token":"' + "a" * meg, line]
    got = lines("\n".join(text), raw=True)
    assert got == ["ok", "too_large", "ok", "bad_line", "ok", "bad_target", "bad_line", "bad_line", "ok"], got


@test
def jsonl_answers_20000_lines_in_order():
    kinds = [({"token": sign(K0, claims())}, "ok"), ({"token": sign(K1, claims())}, "mac"),
             ({"token": sign(K0, claims()), "require": ["q"]}, "perm"), ({}, "bad_line"),
             ({"token": sign(K0, claims(exp=NOW + 1)), "at": NOW + 99}, "expired")]
    chosen = [kinds[(i * i + i // 7) % len(kinds)] for i in range(20000)]
    began = time.monotonic()
    got = lines([c[0] for c in chosen], "--at", str(NOW))
    assert got == [c[1] for c in chosen]
    assert alone(began) < 30, alone(began)


@test
def jsonl_goes_by_the_store():
    data = data_dir()
    key, gone = make_key(data), make_key(data)
    items = [{"token": issue(data, k["key"])} for k in (key, gone)]
    run("key", "delete", gone["id"], data=data)
    code, out, _ = run("verify", "--jsonl", data=data, stdin="\n".join(map(json.dumps, items * 3)))
    assert code == 0 and [json.loads(l)["ok"] for l in out.splitlines()] == [True, False] * 3, out


# F6
@test
def a_ring_that_an_editor_has_changed_is_named():
    data = data_dir()
    token = issue(data, make_key(data)["key"])
    run("secret", "add", data=data, check=0)
    path = os.path.join(data, "secrets")
    good = open(path, "rb").read()
    first, second = good.splitlines(keepends=True)
    for content, line, words in (
            (good.replace(b"\n", b"\r\n"), 1, "ends with a carriage return (CRLF)"),
            (first + second[:-1] + b"\r\n", 2, "ends with a carriage return (CRLF)"),
            (b"\xef\xbb\xbf" + good, 1, "starts with a byte-order mark"),
            (good.decode().encode("utf-16"), 1, "starts with the byte-order mark of UTF-16"),
            (first + b"\n" + second, 2, "is empty"), (b"# mine\n" + good, 1, "is a comment"),
            (first + b" " + second, 2, "has white space")):
        with open(path, "wb") as f:
            f.write(content)
        for command in (("verify",), ("secret", "list"), ("issue",), ("serve", "--listen", "127.0.0.1:0")):
            code, out, err = run(*command, data=data, stdin=token)
            assert code == 3 and out == "", (command, code, out)
            assert "%s: line %d %s" % (path, line, words) in err, (command, err)
            assert second.split(b":")[1].strip().decode() not in err, "a secret is told"
    with open(path, "wb") as f:
        f.write(good)
    assert run("verify", data=data, stdin=token)[0] == 0


# ---- the vectors ----

@test
def the_token_vectors_hold():
    with open(VECTORS, encoding="utf-8") as f:
        file = json.load(f)
    env, cases = file["env"], file["cases"]
    assert len(cases) == 376
    keys = {k: bytes.fromhex(v) for k, v in env["keys"].items()}
    ring = ring_file([("", keys["k1"]), ("k1", keys["k1"]), ("k2", keys["k2"])])
    base = ["--secrets", ring, "--no-revocations", "--method", "GET", "--leeway", str(env["skew"]),
            "--max-life", str(env["max_ttl"])]
    wrong, seen, accepted = [], 0, 0

    # Older than stars that are segments: the entry is good now, and does not list the target.
    newer = {"claims/urls-star-mid": ["url"]}

    def check(case, ok, reason):
        nonlocal seen, accepted
        seen += 1
        accepted += ok
        if ok != (case["expect"] == "accept"):
            wrong.append((case["id"], "accepted" if ok else reason))
        elif not ok and reason not in ["bad_line", case["reason"]] + case.get("reasons", []) + newer.get(case["id"], []):
            wrong.append((case["id"], reason, case["reason"]))

    groups = {}
    for case in cases:
        if case["reason"] != "revoked":  # the ids in there are not of the store's shape: below
            groups.setdefault((case.get("need_issuer"), case.get("need_audience")), []).append(case)
    assert len(groups) == 3
    for (iss, aud), group in groups.items():
        options = base + (["--iss", iss] if iss else []) + (["--aud", aud] if aud else [])
        asked, text = [], []
        for case in group:
            need = case.get("need_permission", env["default_need_permission"])
            url, now = case.get("request", env["default_request"]), case.get("now", env["now"])
            if "token_b64" in case:  # bytes that no JSON can hold: as a token alone
                code, out, _ = run("verify", "--json", "--url", url, "--at", str(now), "--require", need,
                                   *options, stdin=base64.b64decode(case["token_b64"]))
                check(case, code == 0, json.loads(out).get("reason"))
                continue
            token = case["token"]
            if "generate" in case:
                token = case["generate"]["text"] * case["generate"]["count"]
            text.append(json.dumps({"token": token, "url": url, "at": now,
                                    "require": [need] if need is not None else []}))
            asked.append(case)
        code, out, err = run("verify", "--jsonl", *options, stdin="\n".join(text))
        answers = [json.loads(l) for l in out.splitlines()]
        assert code == 0 and len(answers) == len(asked), (code, err)
        for case, answer in zip(asked, answers):
            check(case, answer["ok"], answer.get("reason"))
            assert answer.get("status") in (None, 401) or answer["reason"] in ("perm", "url", "bad_line"), answer
    assert not wrong, wrong
    assert (seen, accepted) == (375, 14), (seen, accepted)
    # Where the store is asked, none of their parents is known, and the one that is left out
    # above is refused for just that.
    data = data_dir()
    make_key(data)
    rows = [c for c in cases if "token_b64" not in c and c.get("need_issuer") is None
            and (c["expect"] == "accept" or c["reason"] == "revoked")]
    text = "\n".join(json.dumps({"token": c["token"], "at": c.get("now", env["now"])}) for c in rows)
    code, out, _ = run("verify", "--jsonl", "--secrets", ring, data=data, stdin=text)
    assert {json.loads(l).get("reason") for l in out.splitlines()} == {"revoked"}, out


@test
def jsonl_answers_line_by_line_by_the_clock():
    """As a coprocess: each answer comes before the next question, at the time of its line."""
    secret = ring_file([("", K0)])
    now = int(time.time())
    token = sign(K0, claims(iat=now, exp=now + 2))
    with subprocess.Popen([PROGRAM, "verify", "--jsonl", "--no-revocations", "--leeway", "0",
                           "--secrets", secret], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as p:
        answers = []
        for _ in range(2):
            p.stdin.write(json.dumps({"token": token}) + "\n")
            p.stdin.flush()
            answers.append(json.loads(p.stdout.readline()))
            time.sleep(2.5)
        p.stdin.close()
    assert answers[0] == {"ok": True} and answers[1]["reason"] == "expired", answers

main()
