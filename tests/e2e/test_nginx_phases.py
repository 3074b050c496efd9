"""When the nginx module checks a request, and by what: phases, rewrites, subrequests, internal redirects, limits,
addresses, error pages."""
from nginx import *

# ---- E1: when a request is checked ----

@test
def limit_req_and_limit_conn_go_by_subtoken_sub():
    """E1: limit_req and limit_conn see $subtoken_sub, of tokens, whole keys and JSON-RPC calls."""
    zones = """limit_req_zone $subtoken_sub zone=sub:1m rate=1r/m; limit_req_zone $tier zone=tier:1m rate=1r/m;
      limit_conn_zone $subtoken_sub zone=conn:1m; map $subtoken_permissions $tier { default ""; "account" $subtoken_sub; }"""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask;
      location / { limit_req zone=sub; proxy_pass http://api; }
      location /tier { limit_req zone=tier; limit_req_status 429; proxy_pass http://api; }
      location /conn { limit_conn conn 1; limit_conn_status 429; proxy_pass http://api; }
      location /rpc { subtoken_policy %(dir)s/policy.json; limit_req zone=sub; proxy_pass http://api; }
    """, http=zones)
    policy(n, {"default": "deny", "routes": [{"path": "/rpc", "json_rpc": True}]})
    hold, held = threading.Event(), threading.Event()

    def answer(asked):
        if asked["target"] == "/conn/slow":
            held.set()
            hold.wait(30)
        return end(asked)
    n.upstream.answer = answer
    rpc = b'{"method":"x","params":[]}'
    with n:
        t = n.token()
        assert [n.status("/a", token=t) for _ in range(8)] == [200] + [503] * 7
        assert [n.status("/a", token="KEY") for _ in range(8)] == [200] + [503] * 7
        other = issue(n.data, make_key(n.data, "account,database_api")["key"], "--permissions", "account,database_api")
        assert [n.status("/rpc", token=other, method="POST", body=rpc) for _ in range(4)] == [200] + [503] * 3
        # Who is not let in has no name, and is not counted by it.
        assert [n.status("/a", token=t + "x") for _ in range(4)] == [401] * 4
        account = n.token("--permissions", "account")
        assert [n.status("/tier", token=account) for _ in range(4)] == [200] + [429] * 3
        assert [n.status("/tier", token=t) for _ in range(4)] == [200] * 4, "of another tier"
        for credential in (t, "KEY"):
            held.clear(), hold.clear()
            client = Client(n.socket)
            client.send("/conn/slow", headers=["Authorization: Bearer " + credential])
            assert held.wait(30)
            assert n.status("/conn", token=credential) == 429
            hold.set()
            assert client.receive().status == 200
            client.close()
            wait(lambda: n.status("/conn", token=credential) == 200, "the connection is free")


@test
def the_rewrite_phase_has_the_identity():
    """E1: if, set, map and return, in the server and in a location; what needs a question is empty there."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; subtoken_policy %(dir)s/policy.json;
      if ($subtoken_sub) { set $early "early $subtoken_permissions"; }
      set $word $subtoken_result;
      location / { set $here $subtoken_sub; proxy_set_header X-Early $early; proxy_set_header X-Here $here;
        proxy_set_header X-Class $class; proxy_set_header X-Word $word; proxy_pass http://api; }
      location /say { return 200 "$subtoken_sub"; }
      location /admin { if ($class != "both") { return 404; } proxy_pass http://api; }
      location /off { subtoken off; return 200 "[$subtoken_sub$subtoken_result]"; }
    """, http='map $subtoken_permissions $class { volatile; default other; "account,inventories" both; }')
    policy(n, {"default": "token", "routes": [{"path": "/rpc", "json_rpc": True}]})
    with n:
        t = n.token()
        answer = n.ask("/a", token=t)
        assert (header_sent(answer, "X-Early"), header_sent(answer, "X-Here")) == ("early account,inventories", payload(t)["sub"])
        assert (header_sent(answer, "X-Class"), header_sent(answer, "X-Word")) == ("both", "ok")
        assert n.ask("/say", token=t).body == payload(t)["sub"] and n.ask("/say", token=t + "x").body == ""
        assert n.status("/admin", token=t) == 200 and n.status("/admin", token=n.token("--permissions", "account")) == 404
        assert n.ask("/off", token=t).body == "[%sok]" % payload(t)["sub"], "the server's own `if` has asked"
        answer = n.ask("/a", token="KEY")
        assert (header_sent(answer, "X-Early"), header_sent(answer, "X-Here"), header_sent(answer, "X-Class")) == (None, None, "other")
        assert identity_sent(answer) == KEY and n.ask("/say", token="KEY").body == "", "though it is remembered"
        assert n.status("/a", token=t + "x") == 401 and result(n) == "mac"
        # A body is not waited for here.
        rpc = jwt(n.signer, dict(payload(t), permissions=["database_api"]))
        answer = n.ask("/rpc", token=rpc, method="POST", body=b'{"method":"x","params":[]}')
        assert header_sent(answer, "X-Early") is None and identity_sent(answer)["X-Subtoken-Permissions"] == "database_api"


@test
def the_decision_of_one_location_serves_no_other():
    """E1: other secrets, policies, needs and lists, reached by rewrite, named locations and error pages."""
    n = Nginx("""subtoken on;
      if ($subtoken_sub) { set $early 1; }
      location /a { rewrite ^/a(.*)$ /admin$1 last; }
      location /admin { subtoken_require admin; proxy_pass http://api; }
      location /b { rewrite ^/b(.*)$ /policy$1 last; }
      location /policy { subtoken_policy %(dir)s/policy.json; proxy_pass http://api; }
      location /c { rewrite ^/c(.*)$ /other$1 last; }
      location /other { subtoken_secrets %(dir)s/other; subtoken_revocations off; proxy_pass http://api; }
      location /d { proxy_pass http://unix:%(dir)s/nobody:; error_page 502 = @admin; }
      location @admin { subtoken_require admin; proxy_pass http://api; }
      location /e { try_files /none @admin; }
      location /same { rewrite ^/same(.*)$ /plain$1 last; }
      location /plain { proxy_pass http://api; }
      location /life { subtoken_max_life 1; proxy_pass http://api; }
      location /forms { subtoken_credentials x-api-key; proxy_pass http://api; }
    """)
    policy(n, {"default": "deny"})
    with open(os.path.join(n.dir, "other"), "wb") as f:
        f.write(b":" + base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=") + b"\n")
    share(f.name)
    with n:
        t = n.token()
        assert [n.status("/" + p, token=t) for p in ("a", "b", "c", "d", "e")] == [403, 403, 401, 403, 403]
        assert n.status("/same", token=t) == 200 and n.status("/life", token=t) == 401
        assert n.status("/forms", token=t) == 401 and result(n) == "auth_missing"
        admin = jwt(n.signer, dict(payload(t), permissions=["admin"]))
        assert [n.status("/" + p, token=admin) for p in ("a", "b", "c", "d", "e")] == [200, 403, 401, 200, 200]


# Two locations that differ in one setting: that of each; what is asked; the answer in each.
TWO = [
    ("", "subtoken_credentials x-api-key;", {"token": "plain"}, 200, 401),
    ("", "subtoken_secrets %(dir)s/other; subtoken_revocations off;", {"token": "plain"}, 200, 401),
    ("", "subtoken_policy %(dir)s/deny;", {"token": "plain"}, 200, 403),
    ("subtoken_policy %(dir)s/open;", "", {}, 200, 401),
    ("subtoken_revocations off;", "", {"token": "revoked"}, 200, 401),
    ("", "subtoken_require admin;", {"token": "plain"}, 200, 403),
    ("subtoken_require account;", "subtoken_require admin;", {"token": "plain"}, 200, 403),
    ("", "subtoken_fallback /ask;", {"headers": ["Authorization: Bearer KEY"]}, 401, 200),
    ("subtoken_audience one;", "subtoken_audience two;", {"token": "one"}, 200, 401),
    ("subtoken_leeway 30m;", "", {"token": "expired"}, 200, 401),
    ("", "subtoken_max_life 1;", {"token": "plain"}, 200, 401),
    ("subtoken_merge_slashes on;", "", {"token": "plain", "more": "/x//y"}, 200, 400),
    ("", "subtoken_read_body off;", {"token": "plain"}, 200, 200),
    ("subtoken_policy %(dir)s/named;", "subtoken_policy %(dir)s/named; subtoken_issuer https://keys.example;", {}, 401, 401)]
TWO_OLD = [("subtoken_stale allow;", "", {"token": "plain"}, 200, 503), ("subtoken_max_age 2h;", "", {"token": "plain"}, 200, 503)]


def ask_two(n, i, one, two, asked, first, second):
    """In the first, in the second, and in the second after a variable was read in the first."""
    now, plain = int(time.time()), payload(n.token())
    tokens = {"plain": plain, "revoked": dict(plain, sub="r" * 43), "one": dict(plain, aud="one"),
              "expired": dict(plain, sub="e" * 43, iat=now - 1200, exp=now - 600)}
    token = jwt(n.signer, tokens[asked["token"]]) if "token" in asked else None
    got = [n.ask("/%d/%s%s" % (i, at, asked.get("more", "")), *asked.get("headers", ()), token=token)
           for at in ("first", "second", "both")]
    assert [each.status for each in got] == [first, second, second], (one, two, [each.status for each in got])
    named = ["resource_metadata" in (each.header("WWW-Authenticate") or "") for each in got]
    assert named == [False, "issuer" in two, "issuer" in two], (one, two, named)


@test
def each_setting_makes_a_decision_of_its_own():
    """What a variable evaluated in one location does not hold in another that differs from it in one setting."""
    for cases, age in ((TWO, 0), (TWO_OLD, 1000)):
        server = "subtoken on; " + ASK
        for i, (one, two, *_) in enumerate(cases):
            server += """location /%d/first { %s proxy_pass http://api; }
              location /%d/both { %s set $who $subtoken_sub; rewrite ^/%d/both(.*)$ /%d/second$1 last; }
              location /%d/second { %s proxy_pass http://api; }""" % (i, one, i, one, i, i, i, two)
        end = Endpoint()
        end.say["Bearer KEY"] = (200, KEY)
        n = Nginx(server, answer=end)
        for name, rules in (("deny", {"default": "deny"}), ("open", {"default": "public"}),
                            ("named", {"default": "token", "routes": [{"path": "/*", "resource": "https://api.example"}]})):
            policy(n, rules, name)
        with open(os.path.join(n.dir, "other"), "wb") as f:
            f.write(b":" + base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=") + b"\n")
        share(f.name)
        n.feed.publish(["nobody", "r" * 43], at=time.time() - age)
        with n:
            for i, case in enumerate(cases):
                ask_two(n, i, *case)


@test
def a_request_that_limit_req_delays_is_checked_again():
    """E1: what was revoked while it waited is refused."""
    n = Nginx("subtoken on; location / { limit_req zone=z burst=5; proxy_pass http://api; }",
              http="limit_req_zone $host zone=z:1m rate=20r/m;")
    with n:
        t = n.token()
        assert n.status("/a", token=t) == 200
        client = Client(n.socket)
        client.send("/a", headers=["Authorization: Bearer " + t])
        wait(lambda: "delaying request" in n.errors(), "it is held back")
        n.feed.publish([payload(t)["sub"]])
        assert client.receive().status == 401
        client.close()


@test
def nothing_is_checked_for_the_log_alone():
    """A request that was answered before it was checked has no result in the log, and none in headers."""
    n = Nginx("subtoken on; location / { return 404; } location /gone { return 444; }",
              http="log_format word '$status [$subtoken_result]'; access_log %(dir)s/words.log word;")
    with n:
        t = n.token()
        assert n.status("/a", token=t) == 404 and result(n) is None
        client = Client(n.socket)
        client.socket.sendall(b"GET / HTTP/1.1\r\nBad header\r\n\r\n")
        assert b" 400 " in client.file.readline()
        client.close()
        wait(lambda: "400 [-]" in n.log("words.log"), "the log")
    assert "404 [-]" in n.log("words.log") and "ok" not in n.log("words.log")


@test
def lua_handlers_see_the_identity():
    """The variables and the headers in rewrite_by_lua, access_by_lua and subrequests, whatever is loaded first."""
    modules = "/usr/share/nginx/modules/"
    if not os.path.exists(modules + "ngx_http_lua_module.so"):
        return "the Lua module is not installed"
    lua = "load_module %sndk_http_module.so; load_module %sngx_http_lua_module.so;" % (modules, modules)
    server = """subtoken on; subtoken_fallback /ask; %s
      location / { rewrite_by_lua_block { ngx.ctx.early = ngx.var.subtoken_sub }
        access_by_lua_block { ngx.req.set_header("X-Early", ngx.ctx.early or "none")
                              ngx.req.set_header("X-Sub", ngx.var.subtoken_sub or "none") }
        proxy_pass http://api; }
      location /sub { content_by_lua_block { local r = ngx.location.capture("/adm/pub/x") ngx.status = r.status ngx.print(r.body) } }
      location /before { rewrite_by_lua_block { local r = ngx.location.capture("/adm/pub/x") ngx.status = r.status ngx.print(r.body) ngx.exit(200) } }
      location /adm/ { subtoken_policy %%(dir)s/policy.json; rewrite ^/adm/(.*)$ /$1 break; proxy_pass http://api; }
    """ % LOOSE
    for first in (True, False):
        n, end = with_endpoint(server)
        policy(n, {"default": "deny", "routes": [{"path": "/pub/x", "public": True}, {"path": "/adm/pub/x", "needs": ["admin"]}]})
        text = open(n.conf).read()
        loads = re.match(r"load_module [^;]*;", text).group(0)
        text = text.replace(loads, lua + loads if first else loads + lua)
        with open(n.conf, "w") as f:
            f.write(text)
        with n:
            t = n.token()
            answer = n.ask("/a", *FORGED, token=t)
            assert (header_sent(answer, "X-Sub"), identity_sent(answer)) == (payload(t)["sub"], of_token(t)), (first, answer.body)
            assert header_sent(answer, "X-Early") == payload(t)["sub"]
            answer = n.ask("/a", token="KEY")
            assert (header_sent(answer, "X-Sub"), header_sent(answer, "X-Early"), identity_sent(answer)) == ("k" * 43, "none", KEY)
            admin = jwt(n.signer, dict(payload(t), permissions=["admin"]))
            for path in ("/sub", "/before"):  # A4
                assert n.status(path, *FORGED, token=t) == 403, path
                answer = n.ask(path, *FORGED, token=admin)
                assert (answer.status, identity(json.loads(answer.body)["headers"])) == (200, of_token(admin)), path


@test
def headers_that_lua_changes_are_read_again():
    """What rewrite_by_lua and set_by_lua make of the headers counts, though the module has read them before."""
    modules = "/usr/share/nginx/modules/"
    if not os.path.exists(modules + "ngx_http_lua_module.so"):
        return "the Lua module is not installed"
    lua = "load_module %sndk_http_module.so; load_module %sngx_http_lua_module.so;" % (modules, modules)
    bodies = {"set": 'ngx.req.set_header("Authorization", "Bearer " .. ngx.var.arg_t)',
              "clear": 'ngx.req.clear_header("Authorization")',
              "key": 'ngx.req.set_header("X-API-Key", ngx.var.arg_t)',
              "cookie": 'local t = ngx.var.cookie_t ngx.req.clear_header("Cookie") ngx.req.set_header("Authorization", "Bearer " .. t)',
              "forge": 'ngx.req.clear_header("Cookie") ngx.req.set_header("X-Subtoken-Sub", "root") ngx.req.set_header("X_Subtoken_Key", "root")',
              "other": 'ngx.req.clear_header("A") ngx.req.set_header("B", "1") ngx.req.set_header("Cookie", "2")'}
    locations = "".join("location /%s { rewrite_by_lua_block { %s } proxy_pass http://api; }" % each for each in bodies.items())
    locations += "".join("location /by/%s { set_by_lua_block $x { %s } proxy_pass http://api; }" % each for each in bodies.items())
    n = Nginx("subtoken on;" + LOOSE + locations, main=lua)
    with n:
        one, two = n.token(), n.token("--permissions", "account")
        for at in ("/", "/by/"):
            for more in ([], ["H%d: x" % i for i in range(30)]):  # a list of one part, and of two
                assert identity_sent(n.ask(at + "set?t=" + two, *more, token=one)) == of_token(two), at
                assert identity_sent(n.ask(at + "set?t=" + two, *more)) == of_token(two)
                assert n.status(at + "clear", *more, token=one) == 401 and result(n) == "auth_missing"
                assert n.status(at + "clear", *more, "A: 1", token=one) == 401
                assert n.status(at + "key?t=" + two, *more, token=one) == 400 and result(n) == "auth_ambiguous"
                assert identity_sent(n.ask(at + "key?t=" + two, *more, "X-API-Key: " + one)) == of_token(two)
                assert identity_sent(n.ask(at + "key?t=" + two, *more, "X-API-Key: ")) == of_token(two)
                for cookie in (["A: 1", "Cookie: t=" + two], ["Cookie: t=" + two, "A: 1"]):
                    assert identity_sent(n.ask(at + "cookie", *more, *cookie)) == of_token(two), (at, more, cookie)
                    assert identity_sent(n.ask(at + "forge", *cookie, *more, token=one)) == of_token(one)
                    assert identity_sent(n.ask(at + "forge", *more, *cookie, token=one)) == of_token(one), (at, more, cookie)
                    assert identity_sent(n.ask(at + "other", *more, *cookie, *FORGED, token=one)) == of_token(one)


@test
def a_variable_that_if_reads_refuses_nothing_where_the_module_is_off():
    """E1: a front page where subtoken is off gets the target as it came, though a variable was read before."""
    n = Nginx("""subtoken on; if ($subtoken_result = ok) { set $had 1; }
      location /open { subtoken off; try_files /none /front?q; }
      location /front { subtoken off; proxy_pass http://api$request_uri; }
      location /secret { error_page 401 /front; proxy_pass http://api; }
      location /here { if ($subtoken_result != ok) { return 403; } error_page 403 /front; proxy_pass http://api; }
      location /named { error_page 401 = @named; proxy_pass http://api; }
      location @named { subtoken off; try_files /none /front; }""")
    with n:
        for token in (None, n.token()):
            answer = n.ask("/open/x?y=1", token=token)
            assert (echoed(answer)["target"], identity_sent(answer)) == ("/open/x?y=1", {})
        for path in ("/secret", "/here", "/named"):
            assert json.loads(n.ask(path + "/x").body)["target"] == "/front", (path, n.last.body)


# ---- A4, E6: what is checked ----

@test
def a_subrequest_is_checked_by_the_target_that_the_page_asks_for():
    """A4: before any `rewrite`, of the server or of the location, and behind redirects."""
    n = Nginx("""subtoken on; subtoken_policy %(dir)s/policy.json;
      rewrite ^/moved/(.*)$ /pub/$1;
      location / { proxy_pass http://api; }
      location /adm/ { rewrite ^/adm/(.*)$ /$1 break; proxy_pass http://api; }
      location /last/ { rewrite ^/last/(.*)$ /$1 last; }
      location /page { subtoken off; ssi on; ssi_types *; proxy_pass http://api; }
      location /pub/fails { error_page 404 = /adm/pub/x; return 404; }
      location /pub/accel { proxy_pass http://api; }
    """)
    policy(n, {"default": "deny", "routes": [{"path": "/pub/*", "public": True}, {"path": "/adm/*", "needs": ["admin"]},
                                             {"path": "/moved/*", "needs": ["admin"]}, {"path": "/last/*", "needs": ["admin"]},
                                             {"path": "/adm/%C3%A4%20b/*", "needs": ["account"]}]})
    include = {}

    def answer(asked):
        if asked["target"].startswith("/page"):
            return 200, [("Content-Type", "text/html")], '<!--# include virtual="%s" -->' % include["path"]
        if asked["target"] == "/pub/accel":
            return 200, [("X-Accel-Redirect", "/adm/pub/x")], ""
        return None
    n.upstream.answer = answer
    with n:
        t = n.token("--permissions", "account")
        admin = jwt(n.signer, dict(payload(t), permissions=["admin"]))
        denied = '{"text":"requires scope admin"}'
        for path, passed in (("/adm/pub/x", "/pub/x"), ("/moved/x", "/pub/x"), ("/last/pub/x", "/pub/x"), ("/adm/pub/x?q=1", "/pub/x?q=1")):
            include["path"] = path
            n.upstream.seen.clear()
            assert n.ask("/page", token=t).body == denied and n.ask("/page").body == INVALID, (path, n.last.body)
            assert {s["target"] for s in n.upstream.seen} == {"/page"}, n.upstream.seen
            assert json.loads(n.ask("/page", token=admin).body)["target"] == passed, (path, n.last.body)
            assert n.status(path, token=t) == 403 and n.status(path, token=admin) == 200, "as the client itself"
        include["path"] = "/pub/x"
        assert json.loads(n.ask("/page").body)["target"] == "/pub/x"
        # Redirects within a subrequest: that page is not public, so it is checked by what was asked for first.
        for path in ("/pub/fails", "/pub/accel"):
            include["path"] = path
            assert json.loads(n.ask("/page").body)["target"] in ("/pub/x", "/adm/pub/x"), n.last.body
        include["path"] = "/adm/%C3%A4%20b/x"
        assert json.loads(n.ask("/page", token=t).body)["target"] == "/%C3%A4%20b/x", n.last.body
        for odd in ("/adm//pub/x", "/adm/pub/x;y", "/adm/pub%2fx%00"):
            include["path"] = odd
            assert '"target": "/pub' not in n.ask("/page", token=admin).body, (odd, n.last.body)


@test
def a_public_page_behind_a_refusal_is_served():
    """E6: and nothing of what was refused goes with it."""
    n, end = with_endpoint("""subtoken on; subtoken_policy %(dir)s/policy.json; subtoken_fallback /ask;
      location / { error_page 401 =302 /login; error_page 403 = /sorry?why=403; proxy_pass http://api; }
      location /login { proxy_pass http://api$request_uri; }
      location /sorry { proxy_pass http://api; }
      location /closed { error_page 401 /private; proxy_pass http://api; }
      location /private { proxy_pass http://api; }
      location /any { satisfy any; allow 10.0.0.0/8; deny all; error_page 401 403 =302 /login; proxy_pass http://api; }
      location /gone { error_page 404 /login; return 404; }
      location /deny { deny all; error_page 403 /login; proxy_pass http://api; }
      location /deep { recursive_error_pages on; error_page 401 /deep2; proxy_pass http://api; }
      location /named { error_page 401 = @login; proxy_pass http://api; }
      location @login { subtoken off; return 302 "/login?next=$request_uri"; }
      location /named2 { error_page 401 = @inner; proxy_pass http://api; }
      location @inner { proxy_pass http://api; }
      location /front { try_files /none /login; }
      location /rewritten { rewrite ^ /login last; }
      location /broken { rewrite ^ /login break; proxy_pass http://api; }
      location /stale { subtoken_revocations %(dir)s/none; error_page 401 503 /login; proxy_pass http://api; }
      location /accel { proxy_pass http://api; }
      location /far { error_page 401 =302 https://login.example/?back=$uri; proxy_pass http://api; }
    """)
    policy(n, {"default": "deny", "routes": [{"path": "/login", "public": True}, {"path": "/sorry", "public": True}] + [
        {"path": "/" + p, "needs": ["account"]} for p in ("a", "any", "closed", "deny", "deep", "named", "named2",
                                                          "front", "rewritten", "broken", "stale", "accel")]})

    def answer(asked):
        if asked["target"] == "/accel":
            return 200, [("X-Accel-Redirect", "/private")], ""
        return end(asked)
    n.upstream.answer = answer
    with n:
        t, poor = n.token(), n.token("--permissions", "inventories")

        def page(path, want, **more):
            answer = n.ask(path, *FORGED, **more)
            asked = json.loads(answer.body)
            assert "target" in asked, (path, answer.status, answer.headers, answer.body)
            assert (answer.status, asked["target"], identity(asked["headers"])) == (want[0], want[1], {}), (path, answer.body)
            return answer
        answer = page("/a?x=1", (302, "/login"))
        assert answer.header("WWW-Authenticate") == "Bearer" and result(n) == "auth_missing"
        assert answer.header("Cache-Control") == "no-store"
        page("/a", (302, "/login"), token=t + "x")
        page("/a", (302, "/login"), method="POST", body=b"secret=1")
        answer = n.ask("/a", token=poor)
        assert json.loads(answer.body)["target"] == "/sorry?why=403", answer.body
        page("/any", (302, "/login"))
        page("/gone", (404, "/login"))
        before = len(end.asked)
        assert n.status("/deny", token="NEVER") == 403 and len(end.asked) == before, "E2: and nobody is asked"
        # Where the page is not for everybody, the answer is ours.
        for path in ("/closed", "/deep", "/named2"):
            answer = n.ask(path)
            assert (answer.status, answer.body) == (401, INVALID), (path, answer.body)
        assert n.status("/closed", token=t) == 200
        assert n.ask("/named").header("Location").endswith("/login?next=/named")
        answer = n.ask("/far/x")
        assert (answer.status, answer.header("Location")) == (302, "https://login.example/?back=/far/x")
        # What was let in keeps its name, and is checked by its own target; a rewrite lets nobody in.
        assert identity_sent(n.ask("/front", token=t)) == of_token(t) and n.status("/front") == 401
        for path in ("/rewritten", "/broken"):
            assert n.status(path) == 401 and n.status(path, token=poor) == 403 and n.status(path, token=t) == 200, path
        assert identity_sent(n.ask("/accel", token=t)) == of_token(t), "checked as /accel, there as well"
        assert n.status("/accel") == 401
        # Only of 401 and 403.
        assert n.status("/stale", token=t) == 503 and n.last.json().keys() == {"text"}
        assert identity_sent(n.ask("/a", token="KEY")) == KEY
        before = len(end.asked)
        page("/a", (302, "/login"), token="OTHER")
        assert len(end.asked) == before + 1
    assert not any(s["target"].startswith("/a?") for s in n.upstream.seen)


@test
def a_preflight_that_becomes_a_get_is_none():
    """E6: an error_page and X-Accel-Redirect make a GET of it, which nobody may send without a credential."""
    n = Nginx("""subtoken on; subtoken_policy %(dir)s/policy.json; root %(dir)s;
      location / { proxy_pass http://api; }
      location /files/ { error_page 405 =200 $uri; }
      location /accel { proxy_pass http://api; }
      location /front { try_files /none /app; }
      location /stored { error_page 502 = @named; proxy_pass http://unix:%(dir)s/nobody:; }
      location @named { proxy_pass http://api; }""",
              answer=lambda asked: (200, [("X-Accel-Redirect", "/files/x")], "") if asked["target"] == "/accel" else None)
    policy(n, {"default": "deny", "preflight": True, "routes": [
        {"path": p, "needs": ["account"]} for p in ("/files/*", "/accel", "/front", "/stored", "/app", "/a")]})
    os.mkdir(os.path.join(n.dir, "files"))
    with open(os.path.join(n.dir, "files", "x"), "w") as f:
        f.write("hidden")
    os.chmod(os.path.dirname(f.name), 0o755), os.chmod(f.name, 0o644)
    asks = ["Origin: https://x.example", "Access-Control-Request-Method: GET"]
    with n:
        for path in ("/files/x", "/accel"):
            answer = n.ask(path, *asks, method="OPTIONS")
            assert (answer.status, answer.body) == (401, INVALID), (path, answer.body)
            assert n.ask(path, *asks, method="OPTIONS", token=n.token()).body == "hidden"
            assert n.ask(path, token=n.token()).body == "hidden" and n.status(path) == 401
        for path, target in (("/a", "/a"), ("/front", "/app"), ("/stored", "/stored")):
            asked = echoed(n.ask(path, *asks, method="OPTIONS"))
            assert (asked["method"], asked["target"]) == ("OPTIONS", target), asked


@test
def nothing_of_a_refused_request_goes_to_its_error_page():
    """E6: in whatever way the page's location passes a target on; and who was let in keeps his."""
    n, end = with_endpoint("""subtoken on; subtoken_policy %(dir)s/policy.json; subtoken_fallback /ask;
      location /uri { proxy_pass http://api$request_uri; }
      location /set { set $to $request_uri; proxy_pass http://api$to; }
      location /whole { rewrite ^ $request_uri break; proxy_pass http://api; }
      location /server { proxy_pass http://api$early; }
      location /off { subtoken off; set $to $request_uri; proxy_pass http://api$to; }
      location /limited { limit_req zone=z; error_page 503 /set; proxy_pass http://api; }
      location /large { client_max_body_size 1; error_page 413 /set; proxy_pass http://api; }
      location /missing { root %(dir)s; error_page 404 = /set; }
      location /front { subtoken off; try_files /none /set?q; }
      location /anyaddress { satisfy any; allow unix:; deny all; root %(dir)s; error_page 404 = /set; }
    """ + "".join("location /secret/%s { deny %s; error_page 401 403 /%s; proxy_pass http://api; }" %
                  (p, "192.0.2.1", p) for p in ("uri", "set", "whole", "server", "off")) +
        "location /blocked/ { deny all; error_page 403 /set; proxy_pass http://api; }" +
        "if ($request_uri ~ ^/never) { return 400; } set $early $request_uri;",
        http="limit_req_zone $host zone=z:1m rate=1r/m;")
    pages = ("uri", "set", "whole", "server")
    policy(n, {"default": "deny", "routes": [{"path": "/" + p, "public": True} for p in pages] + [
        {"path": "/%s/*" % p, "needs": ["account"]} for p in ("secret", "limited", "large", "missing", "front", "blocked", "anyaddress")] +
        [{"path": "/missing/open", "public": True}, {"path": "/front/open", "public": True}]})
    with n:
        t, poor = n.token(), n.token("--permissions", "inventories")

        def passed(target, **more):
            n.upstream.seen.clear()
            n.ask(target, *FORGED, **more)
            seen = [s for s in n.upstream.seen if s["target"] != "/v2/authorize"]
            assert len(seen) == 1, (target, n.last.status, n.last.body, seen)
            return seen[0]["target"], identity(seen[0]["headers"])
        for credential in (None, poor, t + "x", "OTHER"):
            for page in pages + ("off",):
                target = "/secret/" + page
                assert passed(target, token=credential) == ("/" + page, {}), (target, credential)
            assert passed("/blocked/x", token=credential) == ("/set", {})
        # Held up by something else, and never checked or refused for itself.
        assert passed("/limited/x", token=t) == ("/limited/x", of_token(t))
        assert passed("/limited/x", token=poor) == ("/set", {})
        assert passed("/limited/x", token=t) == ("/limited/x", of_token(t)), "the page of who may have it keeps his name"
        assert passed("/large/x", method="POST", body=b"xx") == ("/set", {})
        assert passed("/large/x", method="POST", body=b"xx", token="OTHER") == ("/set", {})
        assert passed("/large/x", method="POST", body=b"xx", token=t) == ("/large/x", of_token(t))
        assert passed("/front/x") == ("/set?q", {}) and passed("/front/x", token=poor) == ("/set?q", {})
        assert passed("/front/x", token=t) == ("/front/x", of_token(t)), "as an application behind one page wants it"
        assert passed("/front/open?a=1") == ("/front/open?a=1", {})
        assert passed("/missing/open") == ("/missing/open", {}) and passed("/missing/x", token=t) == ("/missing/x", of_token(t))
        assert passed("/missing/x", token="KEY") == ("/missing/x", KEY)
        assert passed("/anyaddress/x") == ("/set", {}), "a page for everybody, and not more"


# ---- E2, E3: before anything is checked ----

@test
def a_blocked_address_is_refused_first():
    """E2: 403, once in the log, and nothing is asked about, whatever reads the variables."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; if ($subtoken_sub) { set $had 1; }
      location / { deny all; proxy_pass http://api; }
      location /if { deny all; if ($subtoken_sub) { set $x 1; } proxy_pass http://api; }
      location /led { deny all; error_page 403 /real; proxy_pass http://api; }
      location /limit { deny all; limit_req zone=z; proxy_pass http://api; }
      location /real { set_real_ip_from unix:; real_ip_header X-Real-IP; deny 192.0.2.1; allow all; proxy_pass http://api; }
      location /any { satisfy any; allow unix:; deny all; proxy_pass http://api; }
      location /any2 { satisfy any; deny all; proxy_pass http://api; }
      location /nobody { satisfy any; allow unix:; deny all; subtoken_fallback /ask-nobody; proxy_pass http://api; }
      location /page { subtoken off; ssi on; ssi_types *; proxy_pass http://api; }
    """, http="limit_req_zone $subtoken_sub zone=z:1m rate=1r/m;")

    def answer(asked):
        if asked["target"] == "/page":
            return 200, [("Content-Type", "text/html")], '<!--# include virtual="/any2" -->'
        return end(asked)
    n.upstream.answer = answer
    with n:
        t = n.token()
        for path in ("/a", "/if", "/limit"):
            before = n.errors().count("access forbidden by rule")
            for credential in (None, t, "x", "WRONG"):
                assert n.status(path, token=credential) == 403, path
                assert n.last.header("WWW-Authenticate") is None
            assert n.status(path, "Authorization: Basic dTpw") == 403
            assert n.errors().count("access forbidden by rule") == before + 5, n.errors()
        assert n.status("/real", "X-Real-IP: 192.0.2.1", token="WRONG") == 403 and not end.asked
        for credential in ("WRONG", "KEY", None):
            assert n.status("/led", "X-Real-IP: 192.0.2.2", token=credential) == 401 and not end.asked
        assert n.status("/real", "X-Real-IP: 192.0.2.2", token="WRONG") == 401 and len(end.asked) == 1
        assert n.status("/real", "X-Real-IP: 192.0.2.2", token=t) == 200
        # With `satisfy any` an address that is let in needs no question, and one that is not may bring a credential.
        before = len(end.asked)
        assert n.status("/any", token="WRONG") == 200 and n.status("/nobody", token="WRONG") == 200
        assert n.status("/any") == 200 and len(end.asked) == before and identity_sent(n.last) == {}
        assert identity_sent(n.ask("/any", *FORGED, token=t)) == of_token(t)
        assert n.status("/any2", token="KEY") == 200 and n.status("/any2", token="WRONG") == 401
        assert len(end.asked) == before + 2
        assert json.loads(n.ask("/page", token=t).body)["target"] == "/any2"


@test
def an_address_that_is_found_later_lets_in_for_itself_alone():
    """E2: set_real_ip_from of the location comes after its `if` and `set`, which read a variable by the proxy's."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; subtoken_require account;
      satisfy any; allow unix:; allow 192.0.2.7; deny all; real_ip_header X-Real-IP;
      location / { if ($subtoken_sub) { set $x 1; } proxy_pass http://api; }
      location /real { set_real_ip_from unix:; set $x "$subtoken_sub"; error_page 401 /page; proxy_pass http://api; }
      location /page { subtoken off; allow all; proxy_pass http://api$request_uri; }
    """)
    with n:
        t = n.token()
        for credential, status in (("WRONG", 401), (None, 401), (t + "x", 401), ("KEY", 200), (t, 200)):
            answer = n.ask("/real/x", "X-Real-IP: 192.0.2.1", token=credential)
            assert answer.status == status, (credential, answer.status, answer.body)
            assert json.loads(answer.body)["target"] == ("/page" if status == 401 else "/real/x"), (credential, answer.body)
        before = len(end.asked)
        for credential in ("WRONG2", None, t + "x"):
            assert n.status("/real", "X-Real-IP: 192.0.2.7", token=credential) == 200, credential
            assert n.status("/real", token=credential) == 200 and n.status("/a", token=credential) == 200
        assert len(end.asked) == before, "nobody is asked about whom nginx lets in"


@test
def no_100_continue_before_a_refusal():
    """E3: and a connection on which a body may come or not is closed."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; subtoken_policy %(dir)s/policy.json;
      location / { proxy_pass http://api; }
      location /any { satisfy any; allow 10.0.0.0/8; deny all; proxy_pass http://api; }
      location /page { error_page 401 /login; proxy_pass http://api; }""")
    policy(n, {"default": "token", "routes": [{"path": "/rpc", "json_rpc": True}, {"path": "/login", "public": True}]})
    with n:
        t = n.token()
        now = int(time.time())
        rpc = jwt(n.signer, {"sub": "s", "iat": now, "exp": now + 600, "permissions": ["database_api"]})
        expect = ["Expect: 100-continue", "Content-Length: 26"]

        def first(target, *headers):
            client = Client(n.socket)
            client.send(target, "POST", expect + list(headers))
            return client, client.file.readline()

        def headers_of(client):
            return [line.strip() for line in iter(client.file.readline, b"\r\n")]
        for target, headers, want in (("/a", [], 401), ("/a", ["Authorization: Bearer " + t + "x"], 401), ("/any", [], 401),
                                      ("/a", ["Authorization: Bearer WRONG"], 401), ("/rpc", [], 401), ("/a//b", [], 400),
                                      ("/rpc", ["Authorization: Bearer " + t, "Content-Encoding: gzip"], 415)):
            client, line = first(target, *headers)
            assert line.startswith(b"HTTP/1.1 %d " % want), (target, headers, line)
            assert target == "/any" or b"Connection: close" in headers_of(client), target
            client.close()
        for target, credential in (("/a", t), ("/a", "KEY"), ("/rpc", rpc)):
            client, line = first(target, "Authorization: Bearer " + credential)
            assert line == b"HTTP/1.1 100 Continue\r\n" and client.file.readline() == b"\r\n"
            client.socket.sendall(b'{"method":"x","params":[]}')
            assert json.loads(client.receive().body)["body"] == '{"method":"x","params":[]}'
            client.close()
        # Without it the connection is good for another request.
        client = Client(n.socket)
        client.send("/a", "POST", [], b"x" * 100)
        assert client.receive().status == 401
        client.send("/a", "GET", ["Authorization: Bearer " + t])
        assert client.receive().status == 200
        client.close()


# ---- B1, D19, D20, D23 ----

@test
def access_token_is_in_no_variable():
    """B1: though the server's own `if` has read it before."""
    n = Nginx("""subtoken on;
      if ($request_uri ~ never) { return 400; } if ($args ~ never) { return 400; } if ($is_args = never) { return 400; }
      if ($query_string ~ never) { return 400; } if ($request ~ never) { return 400; } if ($arg_access_token = never) { return 400; }
      location / { proxy_pass http://api$request_uri; }
      location /two { proxy_set_header X-A "$args|$query_string|$is_args|$arg_access_token|$request|$request_uri";
        proxy_pass http://api/x$is_args$args; }
      location /kept { subtoken_credentials bearer; proxy_pass http://api; }
    """, http="log_format all '$request|$http_referer|$request_uri|$args|$query_string|$is_args|$arg_access_token'; access_log %(dir)s/all.log all;")
    with n:
        t = n.token()
        for name in ("access_token", "access%5ftoken"):
            for path, want in (("/a?%s=%s", "/a"), ("/a?b=1&%s=%s", "/a?b=1"), ("/two?%s=%s&c", "/x?c"), ("/two?%s=%s", "/x")):
                answer = n.ask(path % (name, t))
                assert echoed(answer)["target"] == want, (path, answer.body)
                assert t not in answer.body, answer.body
        assert header_sent(n.ask("/two?access_token=%s&c" % t), "X-A") == "c|c|?||GET /two?c HTTP/1.1|/two?c"
        assert header_sent(n.ask("/two?access_token=%s" % t), "X-A") == "||||GET /two HTTP/1.1|/two"
        # Browsers name the page that they come from.
        answer = n.ask("/a", "Referer: https://x.example/p?a=1&access_token=%s&b" % t, token=t)
        assert header_sent(answer, "Referer") == "https://x.example/p?a=1&b", answer.body
        n.status("/a?access_token=" + t + "x")
        n.status("/a/../b?access_token=" + t)
    assert t not in n.log("all.log") and t not in n.log() and t not in n.errors()
    assert n.log("all.log").count("\n") >= 12


@test
def slashes_are_merged_where_the_directive_says():
    """D19: the merged path is checked, and passed on."""
    n = Nginx("""subtoken on; subtoken_policy %(dir)s/policy.json;
      location / { subtoken_merge_slashes on; proxy_pass http://api; }
      location /off { proxy_pass http://api; }
      location /uri { subtoken_merge_slashes on; proxy_pass http://api$request_uri; }
    """, http="""server { listen unix:%(dir)s/raw; merge_slashes off; subtoken on; subtoken_merge_slashes on;
      location / { proxy_pass http://api; } }""")
    policy(n, {"default": "deny", "routes": [{"path": "/v2/account", "needs": ["account"]}, {"path": "/off/*"}, {"path": "/uri/*"}]})
    with n:
        t, narrow = n.token(), n.token("--urls", "/v2/account")
        for target, want in (("/v2//account", "/v2/account"), ("//v2/account", "/v2/account"), ("/v2/account?a=//b", "/v2/account?a=//b"),
                             ("///v2///account?access_token=T&x=//", "/v2/account?x=//"), ("/uri//a%20b", "/uri/a%20b")):
            for token in (t, narrow):
                headers = [] if "=T" in target else ["Authorization: Bearer " + token]
                answer = n.ask(target.replace("=T", "=" + token), *headers)
                if token is narrow and "uri" in target:
                    assert answer.status == 403
                    continue
                assert echoed(answer)["target"] == want, (target, answer.body)
        for target, want in (("/v2//account/", 403), ("/v2//account/..", 400), ("/v2/%2Faccount", 400), ("/v2//bank", 403), ("/off//x", 400)):
            assert n.status(target, token=t) == want, target
        client = Client(n.dir + "/raw")  # nginx itself does not merge: two readings
        client.send("/v2//account", headers=["Authorization: Bearer " + t])
        assert client.receive().status == 400
        client.close()


@test
def the_result_names_what_the_policy_denies():
    """D20: to a whole key, and to a subtoken that has no list; one that has is told of that."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; subtoken_policy %(dir)s/policy.json;
      location / { proxy_pass http://api; } location /none { subtoken_policy off; proxy_pass http://api; }""")
    policy(n, {"default": "deny", "routes": [{"path": "/a", "methods": ["GET"]}, {"path": "/b"}]})
    by_policy = '{"text":"the route policy does not allow this request"}'
    by_list = '{"text":"this subtoken does not list this url"}'
    with n:
        t, narrow = n.token(), n.token("--urls", "/a")
        for credential in ("KEY", t, narrow):
            for target, method in (("/x", "GET"), ("/a", "DELETE")):
                answer = n.ask(target, token=credential, method=method)
                assert (answer.status, answer.body, result(n)) == (403, by_policy, "url"), (credential, answer.body)
                assert answer.header("WWW-Authenticate") == 'Bearer error="insufficient_scope"'
        assert n.ask("/b", token=narrow).body == by_list and n.ask("/none", token=narrow).body == by_list


@test
def credentials_are_read_in_the_named_forms_alone():
    """D23: the others are as if they were not there, for the module and for the endpoint."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask;
      location / { proxy_pass http://api; }
      location /cdn { subtoken_credentials bearer query basic; proxy_pass http://api; }
      location /front { subtoken_credentials x-api-key query; auth_basic x; auth_basic_user_file %(dir)s/users; proxy_pass http://api; }
      location /basic { subtoken_credentials basic; proxy_pass http://api; }
      location /need { subtoken_credentials bearer; subtoken_require account; proxy_pass http://api; }
    """)
    with open(os.path.join(n.dir, "users"), "w") as f:
        f.write("u:{PLAIN}p\n")
    os.chmod(f.name, 0o644)
    end.say["Basic dTpw"] = (200, KEY)
    end.say["key STRING"] = (200, KEY)
    with n:
        t = n.token()
        cdn, basic = "X-API-Key: of-the-cdn", "Authorization: Basic dTpw"
        assert n.status("/a", cdn, token=t) == 400 and n.status("/a", basic, "X-API-Key: " + t) == 400
        answer = n.ask("/cdn", cdn, token=t)
        assert identity_sent(answer) == of_token(t) and header_sent(answer, "X-API-Key") == "of-the-cdn"
        assert n.status("/cdn", cdn) == 401 and result(n) == "auth_missing" and not end.asked
        assert identity_sent(n.ask("/cdn", cdn, basic)) == KEY and "x-api-key" not in end.asked[-1][1]
        answer = n.ask("/front", basic, "X-API-Key: " + t)
        assert identity_sent(answer) == of_token(t) and header_sent(answer, "Authorization") == "Basic dTpw"
        assert identity_sent(n.ask("/front", basic, "X-API-Key: STRING")) == KEY and "authorization" not in end.asked[-1][1]
        assert n.status("/front", basic) == 401 and n.status("/front", "X-API-Key: " + t) == 401
        assert identity_sent(n.ask("/front?access_token=" + t, basic)) == of_token(t)
        answer = n.ask("/basic?access_token=" + t, basic)
        assert identity_sent(answer) == KEY and echoed(answer)["target"] == "/basic?access_token=" + t, "it is the API's own"
        # The server would read it all the same: as a second credential, or as that of everybody who sends none.
        assert n.status("/basic?b&access_token=x", "Authorization: Basic eHk6") == 401
        assert (end.asked[-1][1]["x-original-uri"], end.asked[-1][1]["authorization"]) == ("/basic?b", "Basic eHk6")
        assert n.status("/need?a=1&access%5Ftoken=x") == 401
        assert end.asked[-1][1]["x-original-uri"] == "/need?a=1" and "authorization" not in end.asked[-1][1]
        assert n.status("/basic", token=t) == 401 and result(n) == "auth_missing"
        assert n.status("/need", basic) == 401 and result(n) == "auth_missing"
    for bad, text in (("subtoken_credentials cookie;", '"cookie" is none of bearer, x-api-key, query, basic'),
                      ("subtoken_credentials;", "invalid number"), ("subtoken_credentials basic; subtoken_credentials query;", "is duplicate"),
                      ("subtoken_identity maybe;", 'invalid value "maybe"'), ("subtoken_merge_slashes 1;", "invalid value")):
        n.configure(server=bad)
        code, out = n.check()
        assert code != 0 and text in out and "nginx.conf:" in out, (bad, out)


@test
def the_tag_of_a_credential_is_that_of_the_servers_log():
    n = Nginx("subtoken on; location / { proxy_pass http://api; } location /off { subtoken off; return 200 '[$subtoken_credential]'; }",
              http="add_header X-Tag $subtoken_credential always;")
    with n, Server(data=n.data) as server:
        t = n.token()
        for number, credential in enumerate((t, t + "x", n.key["key"]), 1):
            n.ask("/v2/tokeninfo", token=credential)
            curl(server.url + "/v2/tokeninfo", *bearer(credential))
            tag = server.requests(number)[-1]["credential"]
            assert n.last.header("X-Tag") == tag == hashlib.sha256(credential.encode()).hexdigest()[:8]
        assert n.ask("/a?access_token=" + t).header("X-Tag") == hashlib.sha256(t.encode()).hexdigest()[:8]
        assert n.ask("/a").header("X-Tag") is None and n.ask("/a", "Authorization: Basic dTpw").header("X-Tag") is None
        assert n.ask("/off", token=t).body == "[]"


main()
