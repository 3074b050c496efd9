"""The nginx module's questions to the decision endpoint: what they carry, which answer counts and for what, and
what an endpoint that does not answer costs."""
from machine import alone
from nginx import *

INVALID = '{"text":"Invalid access token"}'
ASK = """location = /%(n)s { internal; subtoken off; proxy_pass http://api/v2/authorize; proxy_set_header X-Case %(n)s;
    proxy_pass_request_body off; proxy_set_header Content-Length ""; %(more)s }"""


def ask(n, more=""):
    return ASK % {"n": n, "more": more}


def identity_headers(sub, permissions="account", **more):
    return dict({"X-Subtoken-Sub": sub, "X-Subtoken-Key": "ID", "X-Subtoken-Owner": "o",
                 "X-Subtoken-Permissions": permissions, "X-Subtoken-Expires": ""}, **more)


class Endpoints:
    """Stubs of decision endpoints, told apart by the location that asked: say[(location, credential)]."""

    def __init__(self, pages=()):
        self.say, self.asked, self.pages = {}, [], dict(pages)

    def __call__(self, asked):
        if asked["target"] != "/v2/authorize":
            page = self.pages.get(asked["target"].split("?")[0])
            return page(asked) if callable(page) else page
        headers = {k.lower(): v for k, v in asked["headers"]}
        self.asked.append((headers["x-case"], headers))
        who = headers.get("authorization") or headers.get("x-api-key", "")
        status, extra = self.say.get((headers["x-case"], who), (401, {}))
        return status, nonce(asked) + list(extra.items()), ""


def page(text):
    return 200, [("Content-Type", "text/html")], text


def passed(n, target):
    return [s for s in n.upstream.seen if s["target"].split("?")[0] == target]


@test
def an_answer_without_the_nonce_is_503():  # A5
    replies = {}
    n = Nginx("subtoken on; subtoken_fallback /ask; subtoken_require account; location / { proxy_pass http://api; }" +
              ask("ask"), answer=lambda asked: replies["now"](asked) if asked["target"] == "/v2/authorize" else None)
    good = list(identity_headers("s").items())
    with n:
        seen = set()
        for i, (echo, status) in enumerate([
                (lambda a: nonce(a), 200), (lambda a: [], 503), (lambda a: [("X-Subtoken-Nonce", "")], 503),
                (lambda a: [("X-Subtoken-Nonce", "0" * 32)], 503), (lambda a: nonce(a) * 2, 503),
                (lambda a: [(k, v[::-1]) for k, v in nonce(a)], 503), (lambda a: [(k, v[:-1]) for k, v in nonce(a)], 503),
                (lambda a: [(k, v + "0") for k, v in nonce(a)], 503), (lambda a: [("X-Other", v) for _, v in nonce(a)], 503)]):
            def reply(asked, echo=echo):
                value = nonce(asked)[0][1]
                assert re.fullmatch("[0-9a-f]{32}", value) and value not in seen, value
                seen.add(value)
                return 200, echo(asked) + good, ""
            replies["now"] = reply
            answer = n.ask("/a", token="KEY%d" % i)
            assert answer.status == status, (i, answer.status)
            assert status == 200 or answer.header("Retry-After") == "5"
        # A refusal counts for no more: whose credential it was, is not known.
        for status in (401, 403, 400, 429):
            replies["now"] = lambda asked, status=status: (status, good, "")
            assert n.status("/a", token="KEY%d" % status) == 503, status
        before = n.errors().count("does not repeat X-Subtoken-Nonce")
        assert before == 8 + 4, n.errors()
        assert "came from a cache, or not from /v2/authorize" in n.errors()


def from_a_cache(more):
    """Whatever the target and the key: one answer is kept for all, and nothing says that it may not be."""
    end = Endpoints()
    n = Nginx("""subtoken on; subtoken_fallback /ask; subtoken_require account;
      location / { proxy_cache off; proxy_pass http://api; }""" + ask("ask", more),
              http="""proxy_cache_path %(dir)s/cache keys_zone=z:1m; proxy_cache z; proxy_cache_key all;
      proxy_cache_valid any 1h; proxy_ignore_headers Cache-Control Set-Cookie Expires Vary;""", answer=end)
    end.say["ask", "Bearer KEY"] = 200, identity_headers("s")
    return end, n


@test
def an_inherited_cache_lets_nobody_in():  # A5
    end, n = from_a_cache("")
    with n:
        assert n.status("/a", token="KEY") == 200
        for _ in range(3):
            for credential in ("garbage", "KEY2"):
                assert n.status("/a", token=credential) == 503
        assert len(end.asked) == 1, "it is nginx's cache that answers"
        assert "does not repeat X-Subtoken-Nonce" in n.errors()
    end, n = from_a_cache("proxy_cache off;")
    with n:
        assert n.status("/a", token="KEY") == 200
        for _ in range(3):
            assert n.status("/a", token="garbage") == 401
        assert n.status("/a", token="KEY") == 200


@test
def a_cached_answer_belongs_to_its_endpoint_and_credential():  # A7
    end = Endpoints({"/a": (404, [], ""), "/c": (404, [], "")})
    n = Nginx("""subtoken on; subtoken_require account; subtoken_fallback /ask-a; proxy_intercept_errors on;
      location = /a { auth_request /b; error_page 404 =200 /admin-a; proxy_pass http://api; }
      location = /b { subtoken_fallback /ask-b; proxy_pass http://api; }
      location = /c { subtoken_fallback /ask-b; auth_request /d; error_page 404 =200 /admin-b; proxy_pass http://api; }
      location = /d { proxy_pass http://api; }
      location = /admin-a { subtoken_require admin; proxy_pass http://api; }
      location = /admin-b { subtoken_fallback /ask-b; subtoken_require admin; proxy_pass http://api; }
      """ + ask("ask-a") + ask("ask-b"), answer=end)
    end.say["ask-a", "Bearer KEY"] = 200, identity_headers("a")
    end.say["ask-b", "Bearer KEY"] = 200, identity_headers("b", "account,admin")
    with n:
        for first in ("/b", "/a", "/c", "/d"):  # with each of them in the memory, and not
            assert n.status(first, token="KEY") == (403 if first == "/a" else 200), first
            for _ in range(2):
                assert n.status("/a", token="KEY") == 403, "the identity that endpoint B told of"
                assert not passed(n, "/admin-a")
                answer = n.ask("/c", token="KEY")
                assert answer.status == 200 and dict(answer.json()["headers"])["X-Subtoken-Sub"] == "b"
        # Neither has one endpoint's no for the other's.
        end.say["ask-a", "Bearer OTHER"] = 200, identity_headers("c", "account,admin")
        assert n.status("/a", token="OTHER") == 401 and n.status("/d", token="OTHER") == 200
        assert n.status("/c", token="OTHER") == 401
        # One endpoint, named in two places, is asked once.
        end.say["ask-b", "Bearer ONCE"] = 200, identity_headers("d", "account,admin")
        assert n.status("/b", token="ONCE") == 200 and n.status("/admin-b", token="ONCE") == 200
        assert len([case for case, headers in end.asked if headers["authorization"] == "Bearer ONCE"]) == 1


@test
def locations_of_one_name_in_two_servers_are_two_endpoints():  # A7
    """subtoken_fallback is inherited by both, and names another endpoint in each."""
    end = Endpoints()
    n = Nginx("location / { proxy_pass http://api; }" + ask("ask"),
              http="""subtoken on; subtoken_require account; subtoken_fallback /ask;
      server { listen unix:%(dir)s/second; location / { proxy_pass http://api; }
        location = /ask { internal; subtoken off; proxy_pass http://api/v2/authorize; proxy_set_header X-Case second; } }
      """, answer=end)
    end.say["ask", "Bearer KEY"] = 200, identity_headers("a")
    with n:
        for _ in range(2):
            for where, status in (("in", 200), ("second", 401)):
                n.socket = os.path.join(n.dir, where)
                assert n.status("/x", token="KEY") == status, where
        assert {case for case, _ in end.asked} == {"ask", "second"}


@test
def too_many_wrong_passwords_are_429():  # D6
    end = Endpoints()
    n = Nginx("subtoken on; subtoken_fallback /ask; location / { proxy_pass http://api; }" + ask("ask"), answer=end)
    with n:
        for said, want in (("37", "37"), ("1", "1"), ("999999", "999999"), ("0", "5"), ("-1", "5"), ("soon", "5"),
                           ("1234567", "5"), ("Fri, 31 Dec 1999 23:59:59 GMT", "5"), (None, "5")):
            end.say["ask", "Basic dTpw"] = 429, {"Retry-After": said} if said else {}
            answer = n.ask("/a", "Authorization: Basic dTpw")
            assert (answer.status, answer.header("Retry-After")) == (429, want), (said, answer.status, answer.headers)
            assert answer.header("X-Result") == "login_throttled" and answer.header("WWW-Authenticate") is None
            assert answer.json() == {"text": "too many wrong passwords; try again later"}
            assert answer.header("Access-Control-Allow-Origin") == "*"


@test
def one_connection_serves_many_questions():  # E5
    end = Endpoints()
    own = Upstream(os.path.join(shared_dir(), "up"), end)
    n = Nginx("""subtoken on; subtoken_fallback /ask; location / { proxy_pass http://api; }
      location = /ask { internal; subtoken off; proxy_pass http://end/v2/authorize; proxy_set_header X-Case ask;
        proxy_set_header Connection ""; }""", http="upstream end { server unix:%s; keepalive 4; }" % own.path)
    with n:
        for i in range(30):
            status = (200, 401, 403, 429, 400)[i % 5]
            end.say["ask", "Bearer KEY%d" % i] = status, identity_headers("s") if status == 200 else {}
            assert n.status("/a", token="KEY%d" % i) == {400: 503, 403: 503}.get(status, status)
        assert len(own.seen) == 30 and own.connections == 1, own.connections
        assert {s["method"] for s in own.seen} == {"HEAD"}
    own.shutdown()
    own.server_close()


@test
def the_question_carries_what_is_needed_and_no_more():  # E9
    end = Endpoints()
    n = Nginx("subtoken on; subtoken_fallback /ask; location / { proxy_pass http://api; }" + ask("ask"), answer=end)
    end.say["ask", "Bearer KEY"] = end.say["ask", "KEY"] = end.say["ask", "Basic dTpw"] = 200, identity_headers("s")
    lines = ["X-%d: %s" % (i, "v" * 40) for i in range(150)]
    lines += ["Cookie: " + "c" * 7000, "Origin: https://a", "Access-Control-Request-Method: PUT", "Range: bytes=0-1",
              "X-Forwarded-Uri: /z", "X-Forwarded-Method: GET", "X-Original-URL: http://x/z", "X-Subtoken-Nonce: mine",
              "X_Subtoken_Nonce: mine", "Expect: 100-continue", "Content-Type: text/plain", "If-Match: x"]
    with n:
        for form, target in ((["Authorization: Bearer KEY"], "/a?b=c"), (["X-API-Key: KEY"], "/a?b=c"),
                             (["Authorization: Basic dTpw"], "/a?b=c"), ([], "/a?access_token=KEY&b=c"),
                             (["Authorization: Bearer KEY", "X-API-Key: KEY"], "/a?b=c"),
                             (["X-API-Key: KEY"], "/a?b=c&access_token=KEY")):
            before = len(end.asked)
            answer = n.ask(target, *form, *lines, method="PUT", body=b"the body")
            assert answer.status == 200, (form, answer.status)
            assert len(end.asked) == before + 1
            want = {"connection", "host", "x-case", "x-original-method", "x-original-uri", "x-subtoken-nonce",
                    "x-subtoken-audience", "x-forwarded-for"} | {f.split(":")[0].lower() for f in form}
            if "access_token" in target:
                want.add("authorization")
            asked = [s for s in n.upstream.seen if s["target"] == "/v2/authorize"][-1]
            names = [name.lower() for name, _ in asked["headers"]]
            assert sorted(names) == sorted(want), names
            headers = end.asked[-1][1]
            assert headers["x-original-uri"] == "/a?b=c" and headers["x-original-method"] == "PUT"
            assert headers["x-subtoken-nonce"] != "mine" and headers["x-forwarded-for"] == "unix:"
            assert asked["body"] == ""


@test
def a_question_carries_the_addresses_for_throttling():  # E9
    end = Endpoints()
    n = Nginx("""subtoken on; subtoken_fallback /ask; location / { proxy_pass http://api; }
      location /own { subtoken_fallback /ask-own; proxy_pass http://api; }""" + ask("ask") +
              ask("ask-own", "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"), answer=end)
    with n:
        many = ["X-Forwarded-For: 203.0.113.%d, 2001:db8::%d" % (i, i) for i in range(200)]
        for i, (lines, want) in enumerate([
                ([], "unix:"), (["X-Forwarded-For: 203.0.113.9"], "203.0.113.9, unix:"),
                (["x-forwarded-for: 203.0.113.9, 198.51.100.1"], "203.0.113.9, 198.51.100.1, unix:"),
                (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.1"], "203.0.113.9, 198.51.100.1, unix:")]):
            for where in ("/a", "/own"):
                assert n.status(where, *lines, token="KEY%d" % i) == 401
                assert end.asked[-1][1]["x-forwarded-for"] == want, (where, lines, end.asked[-1])
        # Of many the last ones; of one without end, what can be an address.
        for i, lines in enumerate((many, ["X-Forwarded-For: " + ", ".join("203.0.113.%d" % j for j in range(250))] * 4,
                                   ["X-Forwarded-For: " + "x" * 6000], ["X-Forwarded-For: " + "," * 6000])):
            assert n.status("/a", *lines, token="MANY%d" % i) == 401
            sent = end.asked[-1][1]["x-forwarded-for"]
            assert len(sent) <= 1100 and sent.endswith(", unix:") and (i > 1 or sent.split(", ")[-2] in lines[-1]), sent


SSI = "ssi on; ssi_types *; proxy_pass http://api;"
INCLUDES = "".join('<!--# include virtual="/in/%d" -->' % i for i in range(3))


def included(end, more="", **pages):
    for i in range(3):
        end.pages["/in/%d" % i] = page("[%d]" % i)
    end.pages.update({"/" + name: said for name, said in pages.items()})
    end.say["ask", "Bearer KEY"] = 200, identity_headers("s")
    return Nginx("""subtoken on; subtoken_fallback /ask; subtoken_require account;
      location /in/ { proxy_pass http://api; }
      location /page { %s } location /open { subtoken off; %s } """ % (SSI, SSI) + more + ask("ask"), answer=end)


@test
def subrequests_ask_for_themselves():  # E4
    end = Endpoints()
    n = included(end, """location /deep/ { ssi on; ssi_types *; subtoken off; proxy_pass http://api; }
      location /mirrored { subtoken off; mirror /in/0; proxy_pass http://api; }
      location /asked { subtoken off; auth_request /in/1; proxy_pass http://api; }""",
                 page=page("A" + INCLUDES + "Z"), open=page("A" + INCLUDES + "Z"), deep=None)
    end.pages["/deep/a"] = page('(<!--# include virtual="/deep/b" --><!--# include virtual="/in/2" -->)')
    end.pages["/deep/b"] = page("{" + INCLUDES + "}")
    with n:
        # The page itself asked: what it learnt is good for all that it includes.
        assert n.ask("/page", token="KEY").body == "A[0][1][2]Z" and len(end.asked) == 1
        assert n.ask("/page", token="KEY").body == "A[0][1][2]Z" and len(end.asked) == 1
        # A page that needs nobody: each part asks, at any depth, or finds what another has learnt.
        for i, (target, body) in enumerate((("/open", "A[0][1][2]Z"), ("/deep/a", "({[0][1][2]}[2])"))):
            key = "DEEP%d" % i
            end.say["ask", "Bearer " + key] = 200, identity_headers("s")
            assert n.ask(target, token=key).body == body
            # Of its own: a part that found what another had learnt may leave a question of the round before under way.
            assert 1 <= sum(headers["authorization"] == "Bearer " + key for _, headers in end.asked) <= 4, end.asked
            assert n.ask(target, token="WRONG%d" % i).body == re.sub(r"\[\d\]", lambda _: INVALID, body)
        for i, target in enumerate(("/mirrored", "/asked")):
            key = "BEHIND%d" % i
            end.say["ask", "Bearer " + key] = 200, identity_headers("s")
            before = len(passed(n, "/in/%d" % i))
            assert n.status(target, token=key) == 200
            wait(lambda: len(passed(n, "/in/%d" % i)) == before + 1, target)
        assert n.status("/asked", token="WRONG") == 401
        # Who leaves while they ask takes them along.
        for i in range(20):
            client = Client(n.socket)
            client.send("/open", headers=["Authorization: Bearer LEAVES%d" % i])
            client.close()
        assert n.ask("/page", token="KEY").body == "A[0][1][2]Z"
        # An endpoint that cannot be asked is no reason to wait, nor to let anybody in.
        end.say["ask", "Bearer BROKEN"] = 500, {}
        assert n.ask("/open", token="BROKEN").body.count("this cannot be decided now") == 3


@test
def a_cached_answer_is_kept_for_the_whole_request():  # E4
    end = Endpoints()

    def slow(asked):
        time.sleep(6)  # longer than the memory keeps anything
        return page("A" + INCLUDES + "Z")
    n = included(end, page=slow)
    end.pages["/warm"] = page("")
    with n:
        assert n.status("/in/0", token="KEY") == 200 and len(end.asked) == 1
        end.say["ask", "Bearer KEY"] = 401, {}
        assert n.ask("/page", token="KEY").body == "A[0][1][2]Z" and len(end.asked) == 1
        # Nothing is kept longer because a page took long.
        assert n.status("/in/0", token="KEY") == 401


@test
def lua_subrequests_ask_for_themselves():  # E4
    modules = "/usr/lib/nginx/modules"
    if not os.path.exists(modules + "/ngx_http_lua_module.so"):
        return "no Lua module"
    end = Endpoints()
    n = included(end, """location /lua { subtoken off; content_by_lua_block {
        local one, two = ngx.location.capture_multi({ { "/in/0" }, { "/in/1" } })
        local three = ngx.location.capture("/in/2")
        ngx.print(one.body, two.body, three.body)
      } }""")
    n.configure(main="load_module %s/ndk_http_module.so; load_module %s/ngx_http_lua_module.so;" % (modules, modules))
    with n:
        assert n.ask("/lua", token="KEY").body == "[0][1][2]" and 1 <= len(end.asked) <= 2
        assert n.ask("/lua", token="WRONG").body == INVALID * 3


@test
def auth_basic_of_nginx_is_not_asked_about():  # E8
    end = Endpoints()
    n = Nginx("""subtoken on; subtoken_fallback /ask; subtoken_require account; auth_basic_user_file %(dir)s/users;
      location / { satisfy any; auth_basic who; proxy_pass http://api; }
      location /all { auth_basic who; proxy_pass http://api; }
      location /off { satisfy any; auth_basic off; proxy_pass http://api; }
      location /moved { satisfy any; auth_basic who; error_page 404 =200 /off; proxy_intercept_errors on;
        proxy_pass http://api; }
      location /blocked { satisfy any; deny all; auth_basic who; proxy_pass http://api; }
      """ + ask("ask"), answer=end)
    end.pages["/moved"] = 404, [], ""
    with open(os.path.join(n.dir, "users"), "w") as f:
        f.write("ann:{PLAIN}secret\n")
    share(f.name)

    def basic(text):
        return "Authorization: Basic " + base64.b64encode(text.encode()).decode()
    ann, wrong, bob = basic("ann:secret"), basic("ann:wrong"), basic("bob:secret")
    for each in (ann, wrong):
        end.say["ask", each.split(": ")[1]] = 429, {"Retry-After": "9"}
    end.say["ask", bob.split(": ")[1]] = 200, identity_headers("b")
    with n:
        for target in ("/a", "/blocked") * 15:
            answer = n.ask(target, ann, "X-Subtoken-Sub: root")
            assert answer.status == 200 and not end.asked, (target, answer.status)
            assert "root" not in answer.body and answer.header("WWW-Authenticate") is None
        # Not the user of a place where auth_basic is not in force.
        assert n.status("/off", ann) == 429 and len(end.asked) == 1
        assert n.status("/moved", ann) == 429 and len(end.asked) == 2
        # Whom nginx does not know is asked about, and let in by that.
        answer = n.ask("/a", bob)
        assert answer.status == 200 and dict(answer.json()["headers"])["X-Subtoken-Sub"] == "b"
        assert n.status("/a", wrong) == 429 and n.status("/a") == 401
        end.say["ask", wrong.split(": ")[1]] = 401, {}
        answer = n.ask("/a", wrong)
        assert answer.status == 401
        challenges = sorted(v for k, v in answer.headers if k == "WWW-Authenticate")
        assert challenges.count('Basic realm="who"') == 1, challenges
        assert n.errors().count('user "ann": password mismatch') == 1, "nginx says it once"
        # Where both are needed it is one credential for two, and with a token it is one too many.
        assert n.status("/all", ann) == 429 and n.status("/all", ann, "X-API-Key: " + n.token()) == 400


@test
def a_limit_that_the_question_inherits_is_that_of_the_request():
    """The location of questions cannot switch off the limit_req of its server."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; limit_req zone=z burst=1 nodelay; limit_req_status 429;
      location / { proxy_pass http://api; }
      location /page { error_page 429 = /busy; proxy_pass http://api; }
      location /busy { proxy_pass http://api; }""", http="limit_req_zone $host zone=z:1m rate=1r/m;")
    end.say.update({"Bearer K%d" % i: (200, KEY) for i in range(5)})
    with n:
        assert [n.status("/a", token="K%d" % i) for i in range(4)] == [200, 200, 429, 429] and result(n) is None
        assert len(end.asked) == 2 and "subtoken_fallback" not in n.errors(), "nobody was asked, and nothing is wrong"
        # The page for it asks for itself.
        assert echoed(n.ask("/page", token="K4"))["target"] == "/busy" and len(end.asked) == 3


@test
def a_silent_endpoint_is_503_for_keys_alone():  # E7
    with Silent() as silent:
        n = Nginx("""subtoken on; subtoken_fallback /ask; location / { proxy_pass http://api; }
          location = /ask { internal; subtoken off; proxy_pass http://end/v2/authorize; proxy_connect_timeout 1s;
            proxy_read_timeout 1s; proxy_next_upstream off; }""",
                  http="upstream end { server 127.0.0.1:%d max_conns=3; }" % silent.port)
        with n:
            began = time.monotonic()
            clients = []
            for i in range(12):
                clients.append(Client(n.socket))
                clients[-1].send("/a", headers=["Authorization: Bearer KEY%d" % i])
            for client in clients:
                answer = client.receive()
                assert (answer.status, answer.header("Retry-After")) == (503, "5")
                client.close()
            assert 1 <= len(silent.taken) <= 3, len(silent.taken)
            assert alone(began) < 20
            assert n.status("/a", token=n.token()) == 200, "a subtoken needs no answer"


@test
def a_question_changes_no_variable_of_the_request():
    """It has headers and a path of its own, and the server's `set` runs for it as well."""
    end = Endpoints()
    n = Nginx("""subtoken on; subtoken_fallback /ask; set $where $uri; if ($uri = /ask) { set $had 1; }
      location / { proxy_set_header X-There "$where|$had|$http_x_here|$class|$args"; proxy_pass http://api$where; }""" +
              ask("ask", 'proxy_set_header X-Here "$http_x_here|$class";'),
              http="map $http_x_here $class { default outer; yes inner; }", answer=end)
    end.say[("ask", "Bearer KEY")] = (200, identity_headers("s"))
    with n:
        for _ in range(2):  # the second time the answer is remembered
            asked = json.loads(n.ask("/a?b", "X-Here: yes", token="KEY").body)
            assert asked["target"] == "/a" and ["X-There", "/a||yes|inner|b"] in asked["headers"], asked
        assert [headers["x-here"] for _, headers in end.asked] == ["|outer"], end.asked


@test
def an_in_memory_subrequest_asks():  # E4
    def text(asked):
        return 200, [("Content-Type", "text/html")], "[a]"
    kept = '<!--# include virtual="%s" set="s" --><!--# echo var="s" encoding="none" -->'
    end = Endpoints({"/one": page(kept % "/a"), "/two": page(kept % "/b" + '<!--# include virtual="/a" wait="yes" -->'), "/a": text,
                     "/in": page('<!--# include virtual="/one" -->' + kept % "/a")})
    n = Nginx("""subtoken off; ssi on; ssi_types *; location / { proxy_pass http://api; }
      location /a { ssi off; subtoken on; subtoken_fallback /ask; proxy_pass http://api; }
      location /b { subtoken on; subtoken_fallback /ask; subtoken_require admin; proxy_pass http://api; }""" + ask("ask"), answer=end)
    with n:
        # SSI's `set` takes no answer that is a refusal.
        for path, want, wrong in (("/one", "[a]", ""), ("/two", "[a]", INVALID), ("/in", "[a][a]", "")):
            key = "KEY" + path[1:]
            end.say[("ask", "Bearer " + key)] = (200, identity_headers("s"))
            for _ in range(2):
                assert n.ask(path, token=key).body == want, (path, n.last.body)
            assert n.ask(path, token="WRONG").body == wrong, (path, n.last.body)
        assert "in-memory" not in n.errors() and "store_error" not in n.errors(), n.errors()


main()
