"""The nginx module and tokens for an audience, under secrets that are derived for it (signed by hand here), and single
tokens: $subtoken_tid, and what is made from one that was revoked."""
from nginx import *

RESULT = "location / { proxy_pass http://api; add_header X-Tid $subtoken_tid always; add_header X-Result $subtoken_result always; }"


def derive(signer, audience):
    """HKDF-SHA-256 (RFC 5869) without a salt: (kid, secret)."""
    kid, secret = signer
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return kid + "." + audience, hmac.new(prk, b"subtoken aud 1:" + audience.encode() + b"\x01", hashlib.sha256).digest()


def claims(sub="s" * 43, **more):
    """In the order of the contract."""
    now, given = int(time.time()), dict({"permissions": ["account"]}, **more)
    order = ("aud", "permissions", "urls", "via")
    return dict({"sub": sub, "iat": now, "exp": now + 3600}, **{name: given[name] for name in order if name in given})


def tid(token):
    return token.rpartition(".")[2][:16]


@test
def an_edge_takes_tokens_for_its_audience_alone():
    server = """subtoken on; location / { proxy_pass http://api; }
        location /eu { subtoken_audience eu; proxy_pass http://api; }
        location /eu/none { subtoken_audience ""; proxy_pass http://api; }
        location /us { subtoken_audience us; proxy_pass http://api; }
        location /derived { subtoken_secrets %(dir)s/derived; subtoken_revocations %(dir)s/derived-feed; proxy_pass http://api;
          location /derived/eu { subtoken_audience eu; proxy_pass http://api; }
          location /derived/us { subtoken_audience us; proxy_pass http://api; } }"""
    n = Nginx(server)
    eu = derive(n.signer, "eu")
    with open(os.path.join(n.dir, "derived"), "w") as f:
        f.write("%s:%s\n" % (eu[0], b64(eu[1])))
    share(f.name)
    FeedFiles(os.path.join(n.dir, "derived-feed"), eu).publish(["nobody"])
    plain = jwt(n.signer, claims())
    tokens = {"plain": plain, "eu": jwt(eu, claims(aud="eu")), "us": jwt(derive(n.signer, "us"), claims(aud="us")),
              "two": jwt(eu, claims(aud=["eu", "us"])), "none": jwt(eu, claims()), "other": jwt(eu, claims(aud="us")),
              "eu under plain": jwt(n.signer, claims(aud="eu"))}
    takes = {"/": {"plain", "eu under plain"}, "/eu": {"eu", "eu under plain"}, "/eu/none": {"plain", "eu under plain"}, "/us": {"us"},
             "/derived": {"eu"}, "/derived/eu": {"eu"}, "/derived/us": set()}
    with n:
        for path, good in takes.items():
            for name, token in tokens.items():
                assert n.status(path, token=token) == (200 if name in good else 401), (path, name, n.last.status, result(n))
                assert n.status(path, token=token) == (200 if name in good else 401), "the same of one that was seen before"
        n.status("/", token=tokens["eu"])
        assert result(n) == "aud", result(n)
        n.status("/derived", token=plain)
        assert result(n) == "kid", result(n)


@test
def the_question_names_the_audience():
    fallback = "subtoken_fallback /ask; proxy_pass http://api;"
    n, end = with_endpoint("""subtoken on; location / { %s } location /eu { subtoken_audience eu; %s }
        location /us { subtoken_audience us; %s } location /derived { subtoken_secrets %%(dir)s/derived; subtoken_revocations off; %s }"""
                           % ((fallback,) * 4))
    kid, secret = derive(n.signer, "one")
    with open(os.path.join(n.dir, "derived"), "w") as f:
        f.write("%s:%s\n" % (kid, b64(secret)))
    share(f.name)
    with n:
        for path, audience in (("/", ""), ("/eu", "eu"), ("/us", "us"), ("/derived", "one"), ("/eu/x", "eu")):
            before = len(end.asked)
            assert n.status(path, "X-Subtoken-Audience: forged", token="KEY") == 200, (path, result(n))
            assert "X-Subtoken-Audience" not in {h.title() for h, _ in echoed(n.last)["headers"]}
            asked = end.asked[before:]
            # What one audience was told is not used for another; for the same it is.
            assert len(asked) == (0 if path == "/eu/x" else 1), (path, asked)
            assert all(headers["x-subtoken-audience"] == audience for _, headers, _ in asked), asked


@test
def one_token_is_revoked_with_what_was_made_from_it():
    n = Nginx("subtoken on; " + RESULT)
    with n:
        parent, other = jwt(n.signer, claims()), jwt(n.signer, claims(urls=["/b", "/c"]))
        child = jwt(n.signer, claims(via=[tid(parent)]))
        grandchild = jwt(n.signer, claims(via=[tid(parent), tid(child)]))
        for token in (parent, other, child, grandchild):
            assert n.status("/b", token=token) == 200 and n.last.header("X-Tid") == tid(token)
        assert n.status("/b", token=parent[:-1]) == 401 and n.last.header("X-Tid") is None
        n.feed.publish([tid(parent)])
        wait(lambda: n.status("/b", token=parent) == 401, "the token ends")
        assert result(n) == "revoked"
        assert [n.status("/b", token=t) for t in (child, grandchild, other)] == [401, 401, 200]
        n.feed.publish([tid(child)])
        wait(lambda: n.status("/b", token=parent) == 200, "the other one is listed")
        assert [n.status("/b", token=t) for t in (child, grandchild, other)] == [401, 401, 200]
        # Not what a via must not be.
        for via in ([], ["a" * 15], ["a" * 16] * 9, "a" * 16, ["a" * 15 + "."]):
            assert n.status("/b", token=jwt(n.signer, claims(via=via))) == 401 and result(n) == "claims", via


@test
def an_edge_with_derived_secrets_lives_from_the_server():
    """The ring of `secret derive`, the data of `pull --audience`, keys of `key create --audience`, tokens of the server."""
    fallback = "subtoken_fallback /ask; proxy_pass http://api;"
    with Server() as server:
        n = Nginx("""subtoken on; location / { %s } location /eu { subtoken_audience eu; %s }
            location /derived { subtoken_secrets %%(dir)s/derived; subtoken_revocations %%(dir)s/pulled; %s }
            location = /ask { internal; subtoken off; proxy_pass %s/v2/authorize; }"""
                  % (fallback, fallback, fallback, server.url), data=server.data)
        derived = run("secret", "derive", "--audience", "eu", data=server.data, check=0)[1]
        with open(os.path.join(n.dir, "derived"), "w") as f:
            f.write(derived)
        share(f.name)
        pulls = private_file(make_key(server.data, "revocations", "--audience", "eu")["key"], "edge.key")

        def pull():
            run("pull", "--once", "--audience", "eu", "--from", server.url, "--to", n.dir + "/pulled", "--key-file", pulls,
                check=0)
            for name in ("pulled", "pulled.alive"):
                os.chmod(os.path.join(n.dir, name), 0o644)
        pull()
        key, bound = make_key(server.data)["key"], make_key(server.data, "account", "--audience", "eu")["key"]
        plain, asked = [curl(server.url + "/v2/createsubtoken?permissions=account" + more, *bearer(key)).json()["subtoken"]
                        for more in ("", "&audience=eu")]
        made = issue(server.data, bound, "--permissions", "account")
        child = issue(server.data, made, "--permissions", "account")
        with n:
            for name, credential, good in (("plain", plain, {"/"}), ("asked for", asked, {"/eu", "/derived"}), ("made", made, {"/eu", "/derived"}),
                                           ("child", child, {"/eu", "/derived"}), ("bound key", bound, {"/eu", "/derived"}),
                                           ("key", key, {"/", "/eu", "/derived"})):
                for path in ("/", "/eu", "/derived"):
                    assert n.status(path, token=credential) == (200 if path in good else 401), (name, path, n.last.status, result(n))
            revoked = curl(server.url + "/oauth/revoke", "-d", "token=" + made)
            assert (revoked.status, revoked.body) == (200, "{}")
            pull()
            wait(lambda: n.status("/derived", token=made) == 401, "the token is refused")
            assert result(n) == "revoked" and n.status("/derived", token=child) == 401 and n.status("/derived", token=asked) == 200


@test
def settings_that_are_none():
    for line, says in (('subtoken_audience "a b";', "must be 1 to 32 letters"), ("subtoken_audience %s;" % ("x" * 33), "must be 1 to 32"),
                       ("subtoken_issuer http://keys.example;", "begins with https://"), ("subtoken_issuer https://;", "begins with"),
                       ("subtoken_issuer https://keys.example/?a;", "no query"), ("subtoken_audience a; subtoken_audience b;", "duplicate"),
                       *(("subtoken_issuer '%s';" % url, "begins with https://") for url in (
                           "https://a b", "https://a\x7f", 'https://a"', "https://a\\\\b", "https://a#b", "https://" + "a" * 512, "https:/abcdef")),
                       ("subtoken_issuer '';", "must not be empty"), ("subtoken_issuer off; subtoken_issuer off;", "is duplicate"),
                       ("subtoken_read_body maybe;", 'it must be "on" or "off"')):
        code, text = Nginx(ON + line).check()
        assert code == 1 and says in text, (line, text)
    assert Nginx(ON + "subtoken_issuer off;").check()[0] == 0
    assert Nginx(ON + 'subtoken_audience off; subtoken_issuer https://keys.example/a; subtoken_read_body off;').check()[0] == 0


main()
