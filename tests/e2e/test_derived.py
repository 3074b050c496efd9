"""Edges that cannot mint. Whoever has all that an edge for one audience holds, its ring of derived secrets, its
revocation data and its key, makes no token that an edge for another audience takes, or one with the whole ring that is
not told to be that audience, and no revocation data that they or the server take. Each attempt is also made with the
secrets that it lacks, and then it succeeds: what is refused here is refused for the secret alone."""
import itertools

if __name__ == "__main__" and __import__("os").access("/dev/shm", 2):
    __import__("tempfile").tempdir = "/dev/shm"

from edge_site import *
from feed import *
from urllib.parse import urlencode

_site = []
NO = object()  # of a claim: it is not there
OTHERS = [e for e in EDGES if "eu" not in (e.ring, e.told)]  # whom a thief of the edge for eu is after
OWN_EDGES = [e for e in EDGES if e not in OTHERS]
INFO = b"subtoken aud 1:"
FORM = ["Content-Type: application/x-www-form-urlencoded"]


def derived(secret, audience):
    """HKDF-SHA-256 (RFC 5869) without salt, 32 bytes."""
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, INFO + audience.encode() + b"\1", hashlib.sha256).digest()


def site():
    """One for all tests of the file. The edge for eu has a key of its own, and its own pull."""
    if not _site:
        s = Site()
        s.bound = make_key(s.nginx.data, "account,wallet,revocations", "--audience", "eu", name="edge")["key"]
        _site.append(s)
        for edge in EDGES:  # each takes what is for it
            t = issued(s, edge.ring or edge.told)
            wait(lambda: judged(s, edge, [t]) == [(200, "ok")] * 2, "%s takes what is for it" % edge.name)
    return _site[0]


def issued(s, audience=None, *more):
    args = ("--permissions", "account,wallet", *more) + (("--audience", audience) if audience else ())
    return issue(s.nginx.data, s.root, *args)


def judged(s, edge, tokens, path="/free"):
    """What the library and nginx say about each: (status, reason), the library's first."""
    found = s.libraries[edge.name].ask([{"token": t, "url": path, "method": "GET"} for t in tokens])
    for t in tokens:
        answer = s.edges[edge.name].call("GET", path, ["Authorization: Bearer " + t])
        found.append((answer.status, answer.header("X-Result") or "ok"))
    return found


def on_server(s, token, target="/v2/tokeninfo", method="GET", *headers):
    return s.api.call(method, target, ["Authorization: Bearer " + token, *headers], None if method == "GET" else b"")


def authorized(s, token, told):
    return on_server(s, token, "/v2/authorize", "GET", "X-Original-URI: /free", "X-Original-Method: GET",
                     "X-Subtoken-Audience: " + told).status


# ---- what a thief holds, and what can be made of it ----

def held_by(s, audience="eu"):
    """[(kid, secret)] of the ring of an edge."""
    return read_ring(s.rings[audience])


def forged(secret, kid, aud, sub, **more):
    head = '{"alg":"HS256","typ":"JWT"%s}' % ("" if kid is NO else ',"kid":' + json.dumps(kid))
    now = int(time.time())
    claims = {"sub": sub, "iat": now - 1, "exp": now + 600, "aud": aud, "permissions": ["account"], **more}
    claims = {n: v for n, v in claims.items() if v is not NO}
    return sign(secret, claims, head)


def kids(own):
    """The names that a header could say: own is that of the ring that signs here, without a dot."""
    for name in dict.fromkeys((own, "")):
        for rest in ("", ".", ".eu", ".us", ".eu.us", ".us.eu", "..us", ".EU", ".eu ", ".u", "." + "u" * 32,
                     "." + "u" * 64):
            yield name + rest
    yield from (NO, None, 0, True, ["us"], {"a": 1}, "eu", "us", "eu.", "us.", ".", "*", "\u0000", own + "\u0000.us")


AUDS = [NO, None, "", "eu", "us", "eu,us", "us,eu", "us ", " us", "US", "us\u0000", "*", 0, True, [], ["eu"], ["us"],
        ["eu", "us"], ["us", "eu"], ["us", "us"], [["us"]], [""], [None, "us"], ["us", 1], {"us": "us"}, {}]


def secrets_of(ring):
    """All that can be computed of what the edge holds, that could be taken for another secret."""
    for kid, secret in ring:
        yield secret
        for audience in ("us", "eu", ""):
            yield derived(secret, audience)
        yield hmac.new(secret, INFO + b"us\1", hashlib.sha256).digest()  # as if it were what HKDF extracts
        yield hashlib.sha256(secret).digest()
        yield secret + secret
        yield secret + bytes(32)  # HMAC fills a short key up with zeros: the same MACs


@test
def the_derived_secret_is_that_of_rfc_5869():
    s = site()
    for audience in AUDIENCES:
        ring = read_ring(os.path.join(s.nginx.data, "secrets"))
        assert held_by(s, audience) == [(k + "." + audience, derived(x, audience)) for k, x in ring]
    whole = [x for _, x in read_ring(os.path.join(s.nginx.data, "secrets"))]
    assert not set(whole) & {x for a in AUDIENCES for _, x in held_by(s, a)}


@test
def no_token_of_it_is_taken_elsewhere():
    s = site()
    own = held_by(s)[0][0].partition(".")[0]
    sub = payload(issued(s, "eu"))["sub"]
    tokens = [forged(secret, kid, aud, sub) for secret in dict.fromkeys(secrets_of(held_by(s)))
              for kid in kids(own) for aud in AUDS]
    for edge in OTHERS:
        # The library sees each of them, nginx those that are not refused for their form alone.
        said = s.libraries[edge.name].ask([{"token": t, "url": "/free", "method": "GET"} for t in tokens])
        assert {status for status, _ in said} == {401}, collections_of(tokens, said)
        near = [t for t, (_, reason) in zip(tokens, said) if reason in ("mac", "aud")]
        for t in near[::max(1, len(near) // 300)]:
            answer = s.edges[edge.name].call("GET", "/free", ["Authorization: Bearer " + t])
            assert answer.status == 401, (edge.name, t, answer.body)
        assert any(r == "mac" for _, r in said) and any(r == "kid" for _, r in said), edge.name
    # The edge's own audience is what it can make tokens for: that shows that the others are well made.
    mine = forged(held_by(s)[0][1], own + ".eu", "eu", sub)
    for edge in OWN_EDGES:
        assert judged(s, edge, [mine]) == [(200, "ok")] * 2, edge.name
    # And with the secret of the other edge they are taken there.
    theirs = forged(held_by(s, "us")[0][1], own + ".us", "us", sub)
    for edge in OTHERS:
        wanted = (200, "ok") if edge.ring or edge.told else (401, "aud")
        assert judged(s, edge, [theirs]) == [wanted] * 2, edge.name


def collections_of(tokens, said):
    return [(t.split(".")[0], unb64(t.split(".")[0]), unb64(t.split(".")[1]), got)
            for t, got in zip(tokens, said) if got[0] != 401][:4]


@test
def an_audience_is_one():
    """Under the secret of an audience a token says that audience alone, or it is not looked at further. (A list of one
    is that one: RFC 7519 section 4.1.3.)"""
    s = site()
    kid, secret = held_by(s)[0]
    sub = payload(issued(s, "eu"))["sub"]
    for aud in AUDS:
        t = forged(secret, kid, aud, sub)
        for edge in OWN_EDGES:
            said = set(judged(s, edge, [t]))
            good = aud in ("eu", ["eu"])
            assert said == {(200, "ok")} if good else {status for status, _ in said} == {401}, (edge.name, aud)
        if not good:
            assert on_server(s, t).status == 401, aud
    twice = '{"sub":"%s","iat":1,"exp":9999999999,"aud":"us","aud":"eu","permissions":[]}' % sub
    t = sign(secret, twice, '{"alg":"HS256","typ":"JWT","kid":"%s"}' % kid)
    for edge in EDGES:
        assert {status for status, _ in judged(s, edge, [t])} == {401}


@test
def a_token_does_not_change_its_audience():
    """A good one for eu, with another header, other claims or another signature."""
    s = site()
    good = issued(s, "eu")
    head, body, signature = good.split(".")
    own = json.loads(unb64(head)).get("kid", ".eu").partition(".")[0]
    plain = issued(s).split(".")
    made = []
    for kid in kids(own):
        made.append(".".join((b64(('{"alg":"HS256","typ":"JWT"%s}' % (
            "" if kid is NO else ',"kid":' + json.dumps(kid))).encode()), body, signature)))
    for alg in ("none", "None", "HS512", "", "RS256"):
        made += [".".join((b64(json.dumps({"alg": alg, "typ": "JWT"}).encode()), body, x)) for x in ("", signature)]
    for name in ("jwk", "jku", "x5u", "crit", "b64", "zip"):
        text = json.dumps({"alg": "HS256", "typ": "JWT", "kid": own + ".us", name: ["us"]})
        made.append(sign(held_by(s)[0][1], unb64(body), text))
    made += [".".join((plain[0], body, signature)), ".".join((plain[0], plain[1], signature)),
             ".".join((head, plain[1], signature)), ".".join((head, body, plain[2]))]
    for edge in OTHERS:
        for got, t in zip(judged(s, edge, made), made + made):
            assert got[0] == 401, (edge.name, got, unb64(t.split(".")[0]))
        assert {status for status, _ in judged(s, edge, [good])} == {401}, edge.name


@test
def the_server_gives_the_thief_nothing_beyond_the_audience():
    """It takes what the edge's key may make, and that for eu alone."""
    s = site()
    kid, secret = held_by(s)[0]
    sub = payload(issue(s.nginx.data, s.bound, "--permissions", "account"))["sub"]
    everything = PERMISSIONS + ["keys", "users", "audit", "introspect", "revocations", "metrics"]
    assert on_server(s, forged(secret, kid, "eu", "x" * 43)).status == 401  # a sub that nobody has
    mine = forged(secret, kid, "eu", sub, permissions=everything)
    # It is worth what the key is worth: no more than that is in what is made with it, and it is for eu.
    assert set(on_server(s, mine).json()["permissions"]) == {"account", "wallet", "revocations"}
    made = s.api.call("POST", "/v2/createsubtoken?permissions=" + ",".join(everything),
                      ["Authorization: Bearer " + mine], b"").json()["subtoken"]
    assert payload(made)["aud"] == "eu" and set(payload(made)["permissions"]) <= {"account", "wallet", "revocations"}
    for edge in OTHERS:
        assert {status for status, _ in judged(s, edge, [made])} == {401}, edge.name
    for credential in (mine, s.bound):
        for audience in ("us", "eu2", "EU"):
            answer = on_server(s, credential, "/v2/createsubtoken?audience=" + audience, "POST")
            assert answer.status in (400, 403) and "subtoken\"" not in answer.body, (audience, answer.body)
            form = urlencode({"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": audience,
                              "subject_token": credential,
                              "subject_token_type": "urn:ietf:params:oauth:token-type:access_token"})
            answer = s.api.call("POST", "/oauth/token", FORM, form.encode())
            assert answer.status == 400 and "access_token\"" not in answer.body, (audience, answer.body)
        for told in ("", "us"):  # for another edge the server says what that edge would say
            assert authorized(s, credential, told) == 401, told
        assert authorized(s, credential, "eu") == 200
        headers = ["Authorization: Bearer " + credential, "Content-Type: application/json"]
        answer = s.api.call("POST", "/v2/keys", headers,
                            b'{"name":"n","permissions":["account"],"expires":"never"}')
        assert answer.status == 403, answer.body
    # What an administrator made for eu passed the edge: its sub is known there, and manages nothing.
    other = payload(issued(s, "eu"))["sub"]
    for t in (forged(secret, kid, "eu", other, permissions=everything),
              forged(secret, kid, "eu", other, permissions=everything, sid="x" * 36)):
        for method, target in (("GET", "/v2/keys"), ("POST", "/v2/keys"), ("GET", "/v2/audit"), ("POST", "/v1/user")):
            assert on_server(s, t, target, method).status in (401, 403, 404, 405), (method, target)
        for target in ("/v2/revocations?audience=us",):
            assert on_server(s, t, target).status in (401, 403), target
        for told in ("", "us"):
            assert authorized(s, t, told) == 401, told


# ---- revocation data ----

def empty(signer, sequence):
    """A snapshot in which nothing is revoked, far ahead of what was seen, and its heartbeat."""
    snap = snapshot(sequence, signer=signer)
    return snap, heartbeat(snap, time.time(), signer)


def renamed(data, kid):
    return data[:13] + bytes([len(kid)]) + data[14:64] + kid.encode().ljust(64, b"\0") + data[128:]


def signed_again(data, kid, secret):
    body = renamed(data, kid)[:-32]
    return body + mac(body, secret)


def forged_data(s):
    """What a thief can put in front of an edge: (snapshot, heartbeat), under each name that a head could say."""
    kid, secret = held_by(s)[0]
    own = kid.partition(".")[0]
    real, alive = (open(s.feeds["eu"] + x, "rb").read() for x in ("", ".alive"))
    far = sequence_of(real) + (1 << 40)
    for name in (own, own + ".us", own + ".eu", own + ".", ".us", "us", own + ".eu.us", own + ".us\0"):
        for made in list(dict.fromkeys(secrets_of([(kid, secret)])))[:5:2]:
            yield empty((name, made), far)
        # The real data of the edge, under another name, with and without a MAC of its own.
        yield renamed(real, name), renamed(alive, name)
        again = signed_again(real, name, secret)
        beat = renamed(alive, name)
        beat = beat[:32] + again[-32:] + beat[64:]
        yield again, beat[:-32] + mac(beat[:-32], secret)


@test
def no_revocation_data_of_it_is_taken_elsewhere():
    s = site()
    data = os.path.join(s.nginx.data, "secrets")
    d = scratch()
    path = os.path.join(d, "feed")
    tried = 0
    for snap, alive in forged_data(s):
        for each, ring in ((path + ".whole", data), (path + ".us", s.rings["us"])):
            replace(each, snap)
            replace(each + ".alive", alive)
            code, out, err = run("feed", "status", each, "--secrets", ring, "--json")
            assert code in (1, 3) and '"fresh":true' not in out, (snap[:128], ring, out, err)
        tried += 1
    assert tried >= 40
    # The same with the right secret is taken: these data are well made.
    for ring in (data, s.rings["us"]):
        kid, secret = read_ring(ring)[0]
        snap, alive = empty((kid, secret), int(time.time() * 1e6))
        replace(path, snap)
        replace(path + ".alive", alive)
        assert run("feed", "status", path, "--secrets", ring)[0] == 0


@test
def edges_that_run_keep_what_they_have():
    """The thief stands between the server and the other edges, and puts its data in place of theirs."""
    s = site()
    canary = {a: issued(s, a) for a in (None, "us")}
    for e in OTHERS:
        if e.told is None or e.ring:
            assert {x[0] for x in judged(s, e, [canary[e.ring]])} == {200}, e.name
    revoke = s.api.call("POST", "/oauth/revoke", FORM,
                        urlencode({"token": canary[None]}).encode())
    assert revoke.status == 200, revoke.body
    untold = EDGES[0]
    wait(lambda: set(judged(s, untold, [canary[None]])) == {(401, "revoked")}, "it is revoked at the edge")
    # From here on its pull is the thief's.
    s.pulls[0].terminate()
    s.pulls[0].wait(timeout=60)
    good = {x: open(s.feeds[None] + x, "rb").read() for x in ("", ".alive")}
    for snap, alive in list(forged_data(s))[::4]:
        replace(s.feeds[None], snap)
        replace(s.feeds[None] + ".alive", alive)
        for x in ("", ".alive"):
            os.chmod(s.feeds[None] + x, 0o644)
        time.sleep(0.12)  # longer than nginx takes to look; what is taken stays taken
        assert {x for x in judged(s, untold, [canary[None]])} == {(401, "revoked")}
    for x, bytes_ in good.items():
        replace(s.feeds[None] + x, bytes_)
        os.chmod(s.feeds[None] + x, 0o644)
    s.pulls[0] = s.pull(None)


@test
def the_database_takes_no_snapshot_of_it():
    s = site()
    code, out, err = run("feed", "restore", s.feeds["eu"], "--force", data=s.nginx.data)
    assert code == 3 and "kid" in err, (code, out, err)


@test
def the_key_of_an_edge_gets_its_own_data_alone():
    s = site()
    bearer_of = lambda c: ["Authorization: Bearer " + c]
    own = s.api.call("GET", "/v2/revocations", bearer_of(s.bound))
    named = s.api.call("GET", "/v2/revocations?audience=eu", bearer_of(s.bound))
    assert own.status == named.status == 200 and own.header("ETag") == named.header("ETag")
    kid = held_by(s)[0][0].encode()
    for answer in (own, named):
        body = answer.body.encode("latin-1")
        assert body[64:64 + len(kid) + 1] == kid + b"\0", body[:128]
    assert s.api.call("GET", "/v2/revocations?audience=us", bearer_of(s.bound)).status == 403
    whole = s.api.call("GET", "/v2/revocations", bearer_of(s.root))
    assert whole.status == 200 and whole.header("ETag") != own.header("ETag")
    assert whole.header("Subtoken-Seq") == own.header("Subtoken-Seq")
    for audience, status in (("", 400), ("a.b", 400), ("x" * 33, 400), ("x" * 32, 200), ("%00", 400), ("%zz", 400),
                             ("eu&audience=eu", 400)):
        assert s.api.call("GET", "/v2/revocations?audience=" + audience, bearer_of(s.root)).status == status, audience


@test
def a_pull_without_the_ring_keeps_an_edge_fresh():
    """The edge for eu, with its own key: 304, changes, a held request, and a server that knows no audiences."""
    s = site()
    path = os.path.join(scratch(), "feed")
    key = private_file(s.bound + "\n")
    def pull(*more):
        return run("pull", "--from", s.server.url, "--to", path, "--key-file", key, "--once", "--json", *more)
    first = json.loads(pull("--audience", "eu")[1])
    assert json.loads(pull("--audience", "eu")[1])["sequence"] == first["sequence"]
    t = issued(s, "eu")
    assert s.api.call("POST", "/oauth/revoke", FORM,
                      urlencode({"token": t}).encode()).status == 200
    then = json.loads(pull("--audience", "eu")[1])
    assert then["sequence"] > first["sequence"] and then["entries"] == first["entries"] + 1
    assert run("feed", "status", path, "--secrets", s.rings["eu"])[0] == 0
    code, out, _ = run("verify", "--secrets", s.rings["eu"], "--revocations", path, stdin=t)
    assert code == 1 and "revoked" in out, out
    other = issued(s, "eu", "--urls", "/x")  # with the same claims, of the same second, it would be the same one
    code, out, _ = run("verify", "--secrets", s.rings["eu"], "--revocations", path, "--url", "/x", stdin=other)
    assert code == 0, out
    code, out, err = run("verify", "--secrets", s.rings["us"], "--revocations", path, stdin=issued(s, "us"))
    assert code == 1 and "feed_stale" in out and "kid" in err, (out, err)
    code, _, err = pull("--audience", "us")
    assert code == 1 and "403" in err, err
    assert pull("--audience", "e.u")[0] == 2
    with FeedServer(snapshot(int(time.time() * 1e6), ["a"])) as old:  # one that leaves the query out
        code, _, err = run("pull", "--from", old.url, "--to", path + "2", "--key-file", private_file(KEY + "\n"),
                           "--once", "--audience", "eu")
        assert code == 3 and "audience" in err and not os.path.exists(path + "2"), err


@test
def asking_for_many_audiences_costs_little():
    """A key that asks for ever new ones gets them, or 429, and neither memory nor the others' answers."""
    s = site()
    bearer_of = ["Authorization: Bearer " + s.root]
    own = s.api.call("GET", "/v2/revocations?audience=eu", bearer_of)
    memory = lambda: int(open("/proc/%d/statm" % s.server.process.pid).read().split()[1]) * 4096
    before, tags = memory(), set()
    for n in range(300):
        answer = s.api.call("GET", "/v2/revocations?audience=%032x" % n, bearer_of)
        assert answer.status == 200 or (answer.status == 429 and answer.header("Retry-After")), answer.headers
        tags.add(answer.header("ETag"))
    assert len(tags) > 250 and memory() - before < 8 << 20, (len(tags), memory() - before)
    again = s.api.call("GET", "/v2/revocations?audience=eu", bearer_of + ["If-None-Match: " + own.header("ETag")])
    assert again.status in (200, 304) and (again.status == 304) == (again.header("ETag") == own.header("ETag"))


@test
def the_site_ends_well():
    site().stop(False)


main()
