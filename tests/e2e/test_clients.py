"""The two endpoints as existing clients use them: their bytes, what they check, and
every refusal that the contract promises. All through curl."""
import calendar, email.utils, urllib.error, urllib.parse, urllib.request

from support import *

ALL = "account,inventories,characters,progression"
DAY = 86400
shared = {}

with open(os.path.join(TESTS, "vectors", "urls-param.json")) as f:
    URLS_CASES = json.load(f)["cases"]


def server():
    """One for most tests. Its max_life lets the dates of the real clients through."""
    if "server" not in shared:
        s = Server(config={"max_life": "3650d"})
        shared["made"] = make_key(s.data, ALL, name="Ärger \"<b>\" \\")
        shared["key"] = shared["made"]["key"]
        shared["server"] = s.start()
        atexit.register(s.process.kill)  # when not all tests are run
    return shared["server"], shared["key"]


def ask(path, *args, key=None, stdin=None, s=None, head=False):
    """What holds for every answer is looked at here."""
    s = s or server()[0]
    args = [*(["-I"] if head else []), "--path-as-is", "-g", *args, *(bearer(key) if key else [])]
    a = curl(s.url + path, *args, stdin=stdin)
    assert a.header("Cache-Control") == "no-store", a.headers
    assert a.header("Access-Control-Allow-Origin") == "*", a.headers
    assert a.header("Access-Control-Allow-Credentials") is None
    assert a.header("Date") and email.utils.parsedate_to_datetime(a.header("Date"))
    assert a.header("X-Content-Type-Options") == "nosniff"
    assert "endpoint requires authentication" not in a.body
    if a.body:
        assert a.header("Content-Type") == "application/json; charset=utf-8"
        if a.status >= 400:
            assert list(a.json()) == ["text"], a.body
    if a.status == 401:
        assert head or a.body == '{"text":"Invalid access token"}', a.body
        assert a.header("WWW-Authenticate") in ("Bearer", 'Bearer error="invalid_token"')
    return a


def create(query="", *args, key=None, **more):
    return ask("/v2/createsubtoken" + ("?" + query if query else ""), *args,
               key=key or server()[1], **more)


def made(a):
    """The subtoken in an answer, checked as a real client checks it."""
    assert a.status == 200, (a.status, a.body)
    assert list(a.json()) == ["subtoken"]
    token = a.json()["subtoken"]
    assert a.body == '{"subtoken":"%s"}' % token
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}", token)
    head = token.split(".")[0]
    assert base64.b64decode(head + "=" * (-len(head) % 4)) == b'{"alg":"HS256","typ":"JWT"}'
    claims = payload(token)
    assert list(claims) == ["sub", "iat", "exp", "permissions"] + [x for x in ("urls", "via") if x in claims]
    date = email.utils.parsedate_to_datetime(a.header("Date")).timestamp()
    assert date - 5 <= claims["iat"] <= date and claims["iat"] < claims["exp"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", claims["sub"])
    return token


def refused(a, parameter=None, status=400):
    assert a.status == status, (a.status, a.body)
    text = a.json()["text"]
    assert text
    if parameter:
        assert text.startswith(parameter + ": "), text
    return text


def post(body, kind="application/json", query="", key=None, *args, **more):
    body = body if isinstance(body, bytes) else (
        body if isinstance(body, str) else json.dumps(body)).encode()
    kind = ["-H", "Content-Type: " + kind] if kind is not None else ["-H", "Content-Type:"]
    return create(query, "-X", "POST", "--data-binary", "@-", *kind, *args, key=key, stdin=body,
                  **more)


def form(body, *args, **more):
    return post(body, "application/x-www-form-urlencoded", *args, **more)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def future(year):
    """The year that the real requests name, or next year once that is over."""
    return max(year, time.gmtime().tm_year + 1)


def info(token, query="v=latest", **more):
    a = ask("/v2/tokeninfo" + ("?" + query if query else ""), key=token, **more)
    assert a.status == 200, (a.status, a.body)
    return a.json()


# ---- the requests that real clients send ----

@test
def key_has_the_documented_shape():
    s, key = server()
    assert len(key) == 72
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{20}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", key)
    assert key[:36] == shared["made"]["id"]


@test
def percent_encoded_parameters_are_decoded():
    y = future(2027)
    a = create("expire=%d-11-22T00%%3A41%%3A48.592223424%%2B00%%3A00"
               "&permissions=account%%2Cprogression"
               "&urls=%%2Fv2%%2Ftokeninfo%%2C%%2Fv2%%2Fcreatesubtoken" % y,
               "-H", "X-Schema-Version: 2022-03-23T19:00:00.000Z")
    token = made(a)
    part = token.split(".")[1]
    claims = payload(token)
    want = ('{"sub":"%s","iat":%d,"exp":%d,"permissions":["account","progression"],'
            '"urls":["/v2/tokeninfo","/v2/createsubtoken"]}'
            % (shared["made"]["sub"], claims["iat"], calendar.timegm((y, 11, 22, 0, 41, 48))))
    assert base64.b64decode(part + "=" * (-len(part) % 4), validate=True).decode() == want
    got = info(token, "", s=None)
    assert list(got) == ["id", "name", "permissions"]
    got = info(token, "v=2022-03-23T19:00:00.000Z")
    assert got == {"id": shared["made"]["id"], "name": "Ärger \"<b>\" \\",
                   "permissions": ["account", "progression"], "type": "Subtoken",
                   "expires_at": "%d-11-22T00:41:48.000Z" % y, "issued_at": iso(claims["iat"]),
                   "urls": ["/v2/tokeninfo", "/v2/createsubtoken"]}


@test
def a_raw_plus_in_a_time_offset_is_accepted():
    y = future(2030)
    a = create("expire=%d-01-01T12:34:56+02:00&permissions=account,progression"
               "&urls=/v2/tokeninfo,/v2/characters/My%%20Cool%%20Character" % y)
    claims = payload(made(a))
    assert claims["exp"] == calendar.timegm((y, 1, 1, 10, 34, 56))
    assert claims["permissions"] == ["account", "progression"]
    assert claims["urls"] == ["/v2/tokeninfo", "/v2/characters/My%20Cool%20Character"]


@test
def a_key_in_the_query_works_and_a_plus_is_a_space():
    s, key = server()
    a = ask("/v2/createsubtoken?expire=%d-11-22T00%%3A41%%3A48Z&permissions=account"
            "&urls=%%2Fv2%%2Fcharacters%%2FMy+Cool+Character%%2C%%2Fv2%%2Faccount"
            "&v=2022-03-23T19:00:00.000Z&access_token=%s" % (future(2027), key))
    claims = payload(made(a))
    assert claims["urls"] == ["/v2/characters/My%20Cool%20Character", "/v2/account"]
    assert claims["permissions"] == ["account"]


@test
def requests_of_real_clients_work():
    s, key = server()
    assert ask("/v2//tokeninfo", key=key).json()["id"] == key[:36]
    a = ask("/v2/tokeninfo?access_token=%s&v=2023-11-19" % key)
    assert a.body == json.dumps({"id": key[:36], "name": "Ärger \"<b>\" \\", "permissions": ALL.split(","),
                                 "type": "APIKey"}, ensure_ascii=False, separators=(",", ":")), a.body
    a = create("permissions=account&urls=", "-H", "Content-Length: 0")
    claims = payload(made(a))  # expire missing, urls empty
    assert claims["exp"] == claims["iat"] + 30 * DAY and "urls" not in claims
    token = made(create())
    assert payload(token)["permissions"] == []
    # A subtoken as the parent of another, without expire: never longer than the parent.
    parent = made(create("permissions=account,characters&expire=" + stamp(time.time() + 3600)))
    child = payload(made(create("permissions=account", key=parent)))
    assert child["exp"] == payload(parent)["exp"] and child["permissions"] == ["account"]
    assert child["sub"] == payload(parent)["sub"]


# ---- tokeninfo ----

@test
def tokeninfo_answers_in_the_schema_that_is_asked_for():
    s, key = server()
    old, new = ["id", "name", "permissions"], ["id", "name", "permissions", "type"]

    def fields(query="", *headers):
        a = ask("/v2/tokeninfo" + query, *[x for h in headers for x in ("-H", h)], key=key)
        return list(a.json()) if a.status == 200 else (a.status, a.json()["text"])

    assert fields() == old
    for v in ("2019-05-21", "2019-05-21T23:59:59Z", "2019-05-21T23:59:59.999Z", "2000-01-01",
              "2019-02-21T00:00:00Z"):
        assert fields("?v=" + v) == old and fields("", "X-Schema-Version: " + v) == old, v
    for v in ("2019-05-22", "2019-05-22T00:00:00Z", "2019-05-22T00:00:00.000Z", "latest",
              "2023-11-19", "2999-01-01", "2022-03-23T19:00:00.000Z"):
        assert fields("?v=" + v) == new and fields("", "X-Schema-Version: " + v) == new, v
    assert fields("?v=2019-05-22T00%3A00%3A00%2B00%3A00") == new
    assert fields("?v=2019-05-22T01:59:59%2B02:00") == old
    assert fields("?v=latest", "X-Schema-Version: 2000-01-01") == new  # the query goes before
    assert fields("?v=2000-01-01", "x-schema-version: latest") == old
    assert fields("?v=2000-01-01", "X-Schema-Version: rubbish") == old
    for v in ("", "rubbish", "LATEST", "2019-13-01", "2019-02-29", "2019-05-22T25:00:00Z", "1", "0",
              "2019-05-22%00", "2019-5-22"):
        status, text = fields("?v=" + v)
        assert status == 400 and text.startswith("v: "), (v, text)
    status, text = fields("", "X-Schema-Version: rubbish")
    assert status == 400 and text.startswith("X-Schema-Version: ")
    assert fields("?v=latest&v=latest")[0] == 400
    assert fields("?foo=1&bar&=&v=latest&") == new


@test
def tokeninfo_shows_what_a_subtoken_allows():
    s, key = server()
    free = made(create("permissions=characters,account"))
    got = info(free)
    assert list(got) == ["id", "name", "permissions", "type", "expires_at", "issued_at"]
    assert got["permissions"] == ["characters", "account"] and got["type"] == "Subtoken"
    assert got["issued_at"] == iso(payload(free)["iat"])
    tight = made(create("urls=/v2/tokeninfo,/v2/characters/*,GET:/v2/mail"))
    assert info(tight)["urls"] == ["/v2/tokeninfo", "/v2/characters/*", "GET:/v2/mail"]
    # Restricted to elsewhere: 403, also for what would be a bad parameter.
    for urls in ("/v2/account", "/v2/tokeninfo/*", "POST:/v2/tokeninfo", "/v2/tokeninfo/", "/V2/tokeninfo"):
        other = made(create("urls=" + urls))
        for query in ("", "?v=rubbish"):
            a = ask("/v2/tokeninfo" + query, key=other)
            refused(a, status=403)
            assert a.header("WWW-Authenticate") == 'Bearer error="insufficient_scope"'
    for urls in ("GET:/v2/tokeninfo", "/v2/*", "/*"):
        token = made(create("urls=" + urls))
        assert ask("/v2/tokeninfo", key=token).status == 200
        assert ask("/v2/tokeninfo", head=True, key=token).status == 200
        assert ask("/v2//tokeninfo", key=token).status == 200


# ---- parameters ----

@test
def permissions_are_given_exactly_as_asked():
    def got(query):
        return payload(made(create(query)))["permissions"]

    assert got("permissions=account%2Cprogression") == ["account", "progression"]
    assert got("permissions=progression,account") == ["progression", "account"]
    assert got("permissions=account,wallet,progression") == ["account", "progression"]
    assert got("permissions=account,account,account") == ["account"]
    assert got("permissions=") == got("permissions=wallet") == got("permissions=Account") == []
    assert got("permissions=%20account,account%20,ac+count,%22,,%C3%A4,account") == ["account"]
    assert got("permissions=" + ",".join("p%d" % i for i in range(63)) + ",account") == ["account"]
    refused(create("permissions=" + ",".join("p%d" % i for i in range(65))), "permissions")
    refused(create("permissions=" + "," * 64), "permissions")
    assert payload(made(post({"permissions": ["account", "a,b", "", "x y", "progression"]})))[
        "permissions"] == ["account", "progression"]
    made(post({"permissions": ["account"] * 64}))
    refused(post({"permissions": ["account"] * 65}), "permissions")


@test
def expire_is_read_in_every_form():
    y = future(2027)
    base = calendar.timegm((y, 11, 22, 10, 20, 30))

    def got(value):
        return payload(made(create("expire=" + value)))["exp"]

    day = "%d-11-22" % y
    for text in ("T10:20:30Z", "T10:20:30", "%2010:20:30Z", "+10:20:30", "T10:20:30.9Z",
                 "T10:20:30.123456789Z", "T12:20:30%2B02:00", "T12:20:30+02:00", "T05:50:30-04:30",
                 "T10:20:30-00:00", "T10%3A20%3A30Z",
                 # D2: PHP and %z, PostgreSQL, lower case
                 "T10:20:30%2B0000", "T10:20:30-0000", "T12:20:30+0200", "T12:20:30%2B02",
                 "%2012:20:30+02", "T05:50:30-0430", "t10:20:30z", "T10:20:30.9z"):
        assert got(day + text) == base, text
    for text in ("T10:20Z", "T10:20", "T12:20%2B02:00", "T12:20+0200", "t12:20%2B02", "%2010:20z"):
        assert got(day + text) == base - 30, text  # Java at a whole minute
    assert got("%d-11-23T10:19:30%%2B23:59" % y) == base
    for text in ("", "x", day, day + "T10:20.5Z", day + "T10Z", day + "T10:20:60Z", day + "T24:00:00Z",
                 day + "T10:20:30.Z", day + "T10:20:30.1234567890Z", day + "T10:20:30%2B24:00",
                 day + "T10:20:30%2B2", day + "T10:20:30%2B020", day + "T10:20:30%2B2400", day + "T10:20:30Z%00", day + "T10:20:30ZZ",
                 "%d-02-30T10:20:30Z" % y, "%d-00-10T10:20:30Z" % y, "1893456000", "30d", "-1", "null",
                 "%20" + day + "T10:20:30Z", "99999-01-01T00:00:00Z", day + "T10:20:30%zz"):
        refused(create("expire=" + text), "expire")
    for text in ("2000-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
                 stamp(time.time()), stamp(time.time() - 30)):
        refused(create("expire=" + text), "expire")
    refused(post({"expire": ""}), "expire")
    assert payload(made(post({"expire": day + "T10:20:30Z"})))["exp"] == base
    assert payload(made(post({"expire": day + " 12:20:30+02:00"})))["exp"] == base
    assert payload(made(form("expire=" + day + "+10:20:30")))["exp"] == base


@test
def the_vectors_of_the_urls_parameter_hold():
    for case in URLS_CASES:
        for a in (create("urls=" + case["param"]), form("urls=" + case["param"])):
            if case["expect"] is None:
                refused(a, case.get("error", "urls"))
            else:
                assert payload(made(a)).get("urls", []) == case["expect"], (case, a.body)


@test
def urls_may_come_in_json():
    def got(value):
        return payload(made(post({"urls": value})))["urls"]

    assert got(["/v2/characters/My Cool Character"]) == ["/v2/characters/My%20Cool%20Character"]
    assert got(["/v2/characters/A,B", "/v2/Zoë"]) == ["/v2/characters/A,B", "/v2/Zo%C3%AB"]
    assert got(["/v2/a%20b", "/v2/a b", "/v2/c+d"]) == ["/v2/a%20b", "/v2/c+d"]
    for bad in ([], [""], ["v2"], ["/a", "/../b"], ["/a?b"], ["/a#b"], ["/a\\b"], ["/a%2fb"], ["/%"],
                ["//a"], ["/a;b"], ["/*a/b"], ["/a\x00b"], ["/a\nb"], ["get:/a"], ["/" + "a" * 1024]):
        refused(post({"urls": bad}), "body" if "\x00" in "".join(bad) else "urls")
    assert got(["/" + "a" * 1023]) == ["/" + "a" * 1023]


@test
def sixty_four_entries_are_accepted_and_no_more():
    paths = ["/%d" % i for i in range(65)]
    assert payload(made(create("urls=" + ",".join(paths[:64]))))["urls"] == paths[:64]
    assert payload(made(form("urls=" + ",".join(paths[:64]))))["urls"] == paths[:64]
    assert payload(made(post({"urls": paths[:64]})))["urls"] == paths[:64]
    refused(create("urls=" + ",".join(paths)), "urls")
    refused(form("urls=" + ",".join(paths)), "urls")
    refused(post({"urls": paths}), "urls")
    refused(create("urls=" + ",".join(["/a"] * 65)), "urls")


@test
def a_token_has_at_most_4096_bytes():
    """Header 36, signature 43, two dots: 4,015 characters are left for the payload,
    which are 3,011 bytes."""
    def urls_for(size):
        entries = ["/v2/tokeninfo"] + ["/%d" % i + "a" * 900 for i in range(3)]
        now = int(time.time())
        have = len(json.dumps({"sub": "s" * 43, "iat": now, "exp": now + 30 * DAY, "permissions": [],
                               "urls": entries + [""]}, separators=(",", ":")))
        return ",".join(entries + ["/" + "b" * (size - have - 1)])

    token = made(form("urls=" + urls_for(3011)))
    assert len(token) == 4096, len(token)
    for args in (bearer(token), ["-H", "X-API-Key: " + token]):
        assert ask("/v2/tokeninfo", *args).status == 200
    assert ask("/v2/tokeninfo?access_token=" + token).status == 200
    assert "4096" in refused(form("urls=" + urls_for(3012)), "urls")
    assert len(made(form("urls=" + urls_for(3009)))) < 4096


@test
def get_and_post_ask_alike():
    full = "permissions=account&expire=" + stamp(time.time() + 5000) + "&urls=/v2/account"
    def same(a):
        claims = payload(made(a))
        assert claims["permissions"] == ["account"] and claims["urls"] == ["/v2/account"]
        assert 4000 < claims["exp"] - claims["iat"] <= 5000

    expire = stamp(time.time() + 5000)
    same(create(full))
    same(form(full))
    same(create(full, "-X", "POST"))
    same(create(full, "-X", "POST", "-H", "Content-Length: 0", "-H", "Content-Type: text/plain"))
    same(post({"permissions": ["account"], "urls": ["/v2/account"], "expire": expire}))
    same(post({"permissions": ["account"], "urls": ["/v2/account"]}, query="expire=" + expire))
    same(form("permissions=account&urls=/v2/account", query="expire=" + expire))
    same(form("&&permissions=account&urls=/v2/account&&foo&=x&", query="&expire=" + expire + "&bar=%zz"))
    # A body on GET is ignored, whatever it is.
    for body in ("permissions=progression", "{", "urls=&urls="):
        same(create(full, "-X", "GET", "--data-binary", body))


@test
def a_parameter_twice_is_400():
    for name, one, two in (("expire", stamp(time.time() + 99), stamp(time.time() + 99)),
                           ("permissions", "account", "account"), ("permissions", "", ""),
                           ("urls", "/a", "/a"), ("urls", "", "/a")):
        refused(create("%s=%s&%s=%s" % (name, one, name, two)), name)
        refused(form("%s=%s&%s=%s" % (name, one, name, two)), name)
        refused(form("%s=%s" % (name, one), query="%s=%s" % (name, two)), name)
        json_value = one if name == "expire" else [one] if one else []
        refused(post({name: json_value}, query="%s=%s" % (name, two)), name)
        refused(create("%s=%s&%s=%s" % (name, one, "".join("%%%02x" % ord(c) for c in name), two)), name)


@test
def a_json_body_must_be_one_strict_object():
    good = {"permissions": ["account"]}
    for name in ("expire", "permissions", "urls"):
        for value in (1, True, {}, [1], [None], [["account"]], "account", 1e3):
            if name == "expire" and isinstance(value, str):
                continue
            refused(post({name: value}), name)
    for body in ("{", "[]", "null", '"x"', "1", "{}{}", "{} x", '{"a":1,}', "{'a':1}", '{"a":01}',
                 '{"permissions":[],"permissions":[]}', '{"x":1,"x":2}', '{"permissions":["account",]}',
                 '{"a":"\\ud800"}', '{"a":"\\u0000"}', '{"permissions":["acc\\u0000ount"]}',
                 b'{"a":"\xff"}', b'{"a":"\x01"}', b"\xef\xbb\xbf{}", b'{}\x00', b'\x00', "//x\n{}", "[" * 5000,
                 '{"a":' * 1000, '{"x":' + "[" * 20 + "]" * 20 + "}", "{\"a\":NaN}", " "):
        refused(post(body))
    text = refused(post('{"permissions":["account"],"permi\\u0073sions":["account"]}'))
    assert "duplicate" in text or "more than once" in text, text
    for body in (' \t\r\n{ "permissions" : [ "account" ] } \n', '{"permi\\u0073sions":["acc\\u006funt"]}',
                 '{"permissions":["account"],"x":null,"y":{"a":[1,2,{"b":1e5}]},"access_token":"nobody"}'):
        assert payload(made(post(body)))["permissions"] == ["account"], body
    # Names are exact: another case is an unknown name.
    assert payload(made(post({"Permissions": ["account"], "URLS": 1})))["permissions"] == []
    made(post(good))


# D13
@test
def json_under_the_content_type_of_a_form_is_read():
    """curl -d and urllib send their bodies as a form: who asked for a restriction is not given a token
    without it."""
    asked = '{"permissions":["account"],"urls":["/v2/account"]}'
    told = "Content-Type: application/json"
    assert told in refused(form(asked), "body")
    assert told in refused(create("", "-d", asked), "body")  # as curl sends it by itself
    request = urllib.request.Request(server()[0].url + "/v2/createsubtoken", asked.encode(),
                                     {"Authorization": "Bearer " + server()[1]})
    try:
        urllib.request.urlopen(request, timeout=30)
        assert False, "taken"
    except urllib.error.HTTPError as error:
        assert error.code == 400 and told in error.read().decode()
    for body in ("url=/v2/account", "access_token=x", "&&", "permissions[]=account&urls[]=/v2/account",
                 "permissions%5B%5D=account", "permissions=account&urls[0]=/v2/account", '["/a"]'):
        assert told in refused(form(body)), body
    assert told in refused(form(asked, query="permissions=account"), "body")
    assert told in refused(create(urllib.parse.quote(asked)), "query")
    assert told in refused(create("urls%5B%5D=/v2/account"), "urls")
    # Beside what is known, what is not stays ignored; and nothing at all asks for nothing.
    assert payload(made(form("permissions=account&foo=bar&x[]=1")))["permissions"] == ["account"]
    assert payload(made(create("foo=bar&x[]=1")))["permissions"] == []
    assert payload(made(form("")))["permissions"] == []
    made(create("", "-d", ""))


# D14
@test
def a_null_member_is_as_if_it_were_missing():
    everything = {"expire": None, "permissions": None, "urls": None, "other": None}
    claims = payload(made(post(everything)))
    assert claims["permissions"] == [] and "urls" not in claims
    assert claims["exp"] - claims["iat"] == 30 * DAY
    assert payload(made(post(dict(everything, permissions=["account"]))))["permissions"] == ["account"]
    assert payload(made(post(everything, query="urls=/v2/a")))["urls"] == ["/v2/a"]
    with Server() as s:
        boss = make_key(s.data, "account,keys,users", "--owner", "ops")["key"]
        call = lambda path, body, method="POST": ask(path, "-X", method, "-H", "Content-Type: application/json",
                                                     "-d", json.dumps(body), key=boss, s=s)
        made_key = call("/v2/keys", {"name": "n", "permissions": ["account"], "expires": None, "owner": None})
        assert made_key.status == 201 and made_key.json()["expires_at"] is None, made_key.body
        path = "/v2/keys/" + made_key.json()["id"]
        assert call(path, {"name": None, "disabled": True}, "PATCH").status == 200
        assert call(path, {"name": "other", "disabled": None}, "PATCH").json()["name"] == "other"
        assert "one of them" in refused(call(path, {"name": None, "disabled": None}, "PATCH"))
        refused(call("/v2/keys", {"name": None, "permissions": ["account"]}), "name")
        user = {"login": "ann", "password": "correct horse", "locale": None, "source": None, "permissions": None}
        assert call("/v1/user", user).status == 201
        assert call("/v1/auth/login", {"login": "ann", "password": "correct horse", "otp": None}).status == 200
        refused(call("/v1/auth/login", {"login": "ann", "password": None}), "password")
        refused(call("/v1/auth/refresh", {"token": None}), "token")


# D15
@test
def an_empty_object_asks_for_nothing():
    """As axios sends it."""
    with Server() as s:
        boss = make_key(s.data, "account,keys,services")
        call = lambda path, body, key=boss["key"], kind="application/json": ask(
            path, "-X", "POST", "-H", "Content-Type: " + kind, "-d", body, key=key, s=s)
        pair = call("/v1/auth/token", "{}")
        assert pair.status == 200, pair.body
        assert call("/v2/keys/%s/revoke-subtokens" % boss["id"], " { } ").status == 204
        again = call("/v1/auth/token", "{}").json()
        for body, kind in (("{}", "text/plain"), ("[]", "application/json"), ('{"a":1}', "application/json"),
                           ("null", "application/json"), ("{}{}", "application/json")):
            assert "application/json" in refused(call("/v1/auth/logout", body, again["access_token"], kind))
        assert call("/v1/auth/logout", "{}", again["access_token"]).status == 204
        vendor = "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"
        assert call(vendor, "{}").status == 200 and call(vendor, '{"x":null}').status == 200


@test
def other_content_types_are_415():
    for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON",
                 "application/json ;x=y"):
        made(post("{}", kind))
    for kind in ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=UTF-8",
                 "APPLICATION/X-WWW-FORM-URLENCODED"):
        made(post("permissions=account", kind))
    for kind in ("text/plain", "text/json", "application/jsonx", "application/json, text/plain", "json",
                 "multipart/form-data; boundary=x", "application/xml", None, ";application/json",
                 "application/x-www-form-urlencodedx"):
        refused(post("{}", kind), "Content-Type", 415)
    refused(create("", "-X", "POST", "-H", "Content-Type: application/json", "-H",
                   "Content-Type: application/x-www-form-urlencoded", "--data-binary", "{}"), status=415)
    # The credential comes before it.
    a = ask("/v2/createsubtoken", "-H", "Content-Type: text/plain", "-d", "x")
    assert a.status == 401


@test
def an_end_is_brought_down_to_max_life_and_the_end_of_the_key():
    data = data_dir()
    forever = make_key(data, ALL)["key"]
    short = make_key(data, ALL, "--expires", "2h")["key"]
    with Server(data) as s:
        far = stamp(time.time() + 4000 * DAY)
        for value in (far, "9999-12-31T23:59:59Z", stamp(time.time() + 366 * DAY)):
            claims = payload(made(create("expire=" + value, key=forever, s=s)))
            assert claims["exp"] == claims["iat"] + 365 * DAY
        exact = int(time.time()) + 300 * DAY
        assert payload(made(create("expire=" + stamp(exact), key=forever, s=s)))["exp"] == exact
        expiry = json.loads(run("key", "show", short[:36], "--json", data=data, check=0)[1])["expires_at"]
        end = calendar.timegm(time.strptime(expiry, "%Y-%m-%dT%H:%M:%SZ"))
        for query in ("", "expire=" + far):
            assert payload(made(create(query, key=short, s=s)))["exp"] == end
        lines = [l for l in s.log_lines() if l.get("clamped")]
        assert len(lines) == 4, lines


@test
def configured_lives_are_in_force():
    with Server(config={"max_life": "1h", "default_life": "10m"}) as s:
        key = make_key(s.data)["key"]
        claims = payload(made(create(key=key, s=s)))
        assert claims["exp"] - claims["iat"] == 600
        claims = payload(made(create("expire=" + stamp(time.time() + DAY), key=key, s=s)))
        assert claims["exp"] - claims["iat"] == 3600


# ---- subtokens of subtokens ----

@test
def a_subtoken_of_a_subtoken_allows_no_more():
    parent = made(create("permissions=account,characters&urls=/v2/createsubtoken,/v2/characters/*,"
                         "/v2/tokeninfo&expire=" + stamp(time.time() + 5000)))
    p = payload(parent)
    child = payload(made(create("permissions=progression,characters,account", key=parent)))
    assert child["permissions"] == ["characters", "account"]
    assert child["urls"] == p["urls"] and child["exp"] == p["exp"] and child["sub"] == p["sub"]
    assert payload(made(create("urls=", key=parent)))["urls"] == p["urls"]
    later = create("expire=" + stamp(time.time() + 50000), key=parent)
    assert payload(made(later))["exp"] == p["exp"]
    sooner = int(time.time()) + 100
    assert payload(made(create("expire=" + stamp(sooner), key=parent)))["exp"] == sooner
    for urls in ("/v2/characters/Bob", "/v2/characters/*", "/v2/characters/a/*", "GET:/v2/tokeninfo",
                 "/v2/tokeninfo,/v2/characters/a/b", "GET:/v2/characters/*"):
        assert payload(made(create("urls=" + urls, key=parent)))["urls"] == urls.split(",")
    for urls in ("/v2/account", "/v2/*", "/*", "/v2/characters", "/v2/characters/", "/v2/tokeninfo/",
                 "/v2/tokeninfo,/v2/bank", "/v2/tokeninfo/*", "/v2/charactersx/a"):
        refused(create("urls=" + urls, key=parent), "urls")
        refused(post({"urls": urls.split(",")}, key=parent), "urls")
    # Grandchildren cannot climb back.
    child = made(create("permissions=characters&urls=/v2/createsubtoken,GET:/v2/characters/a", key=parent))
    grand = payload(made(create("permissions=account,characters", key=child)))
    assert grand["permissions"] == ["characters"]
    assert grand["urls"] == ["/v2/createsubtoken", "GET:/v2/characters/a"]
    for urls in ("/v2/characters/a", "POST:/v2/characters/a", "GET:/v2/characters/*"):
        refused(create("urls=" + urls, key=child), "urls")


@test
def a_restricted_parent_must_list_the_endpoint():
    for urls in ("/v2/account", "/v2/createsubtoken/*", "/v2/tokeninfo"):
        parent = made(create("urls=" + urls))
        for a in (create(key=parent), create("expire=rubbish", key=parent), post("{", key=parent)):
            refused(a, status=403)
            assert a.header("WWW-Authenticate") == 'Bearer error="insufficient_scope"'
    only_get = made(create("urls=GET:/v2/createsubtoken"))
    made(create(key=only_get))
    made(create(key=only_get, query="x=1"))
    refused(create("", "-X", "POST", key=only_get), status=403)
    only_post = made(create("urls=POST:/v2/createsubtoken"))
    refused(create(key=only_post), status=403)
    made(post("{}", key=only_post))
    any_path = made(create("urls=/*"))
    assert payload(made(create("urls=/a", key=any_path)))["urls"] == ["/a"]


@test
def a_parent_on_leeway_makes_nothing():
    parent = made(create("expire=" + stamp(time.time() + 2)))
    time.sleep(max(0, payload(parent)["exp"] - time.time()) + 0.1)
    assert ask("/v2/tokeninfo", key=parent).status == 200  # the leeway
    refused(create(key=parent))
    refused(create("expire=" + stamp(time.time() + 30), key=parent))


# ---- credentials ----

@test
def a_credential_is_read_from_each_place():
    s, key = server()
    encoded = urllib.parse.quote(key, safe="").replace("-", "%2D")
    for args, query in ((bearer(key), ""), (["-H", "authorization: bearer " + key], ""),
                        (["-H", "Authorization: BEARER   " + key], ""), (["-H", "X-API-Key: " + key], ""),
                        (["-H", "x-api-key: " + key], ""), ([], "?access_token=" + key),
                        ([], "?access_token=" + encoded), ([], "?a&access_token=%s&access_token=%s" % (key, encoded)),
                        (bearer(key) + ["-H", "X-API-Key: " + key], "?access_token=" + key),
                        (bearer(key) + ["-H", "X-API-Key;"], "?access_token="),
                        (["-H", "X-API-Key: " + key, "-H", "X-API-Key: " + key], ""),
                        (["-H", "Authorization;", "-H", "X-API-Key: " + key], "")):
        a = ask("/v2/tokeninfo" + query, *args)
        assert a.status == 200, (args, query, a.body)
        assert a.header("WWW-Authenticate") is None


@test
def two_credentials_are_400():
    s, key = server()
    token = made(create())
    other = make_key(s.data)["key"]
    for args, query in ((bearer(key), "?access_token=" + token), (bearer(key) + ["-H", "X-API-Key: " + other], ""),
                        (["-H", "X-API-Key: " + key], "?access_token=x"),
                        ([], "?access_token=%s&access_token=%s" % (key, other)),
                        (["-H", "X-API-Key: " + key, "-H", "X-API-Key: " + other], ""),
                        (bearer(key) + bearer(other), ""), (bearer(key) + bearer(key), ""),
                        (bearer(key) + ["-H", "Authorization;"], ""),
                        (bearer(key) + ["-H", "Authorization: Basic YTpi"], ""),
                        (bearer(key), "?access_token=" + key.lower())):
        for path in ("/v2/tokeninfo", "/v2/createsubtoken"):
            a = ask(path + query, *args)
            refused(a)
            assert a.header("WWW-Authenticate") == 'Bearer error="invalid_request"', a.headers


@test
def without_a_good_credential_it_is_401():
    s, key = server()
    token = made(create())
    for args, query in (([], ""), (["-H", "X-API-Key;"], ""), ([], "?access_token="), ([], "?access_token"),
                        (["-H", "Authorization;"], ""), (["-H", "Authorization: Bearer"], ""),
                        (["-H", "Authorization: Token " + key], ""), (["-H", "Authorization: " + key], ""),
                        (["-H", "Authorization: Bearer" + key], ""), (["-H", "Cookie: access_token=" + key], ""),
                        ([], "?Access_Token=" + key), ([], "?x=access_token=" + key)):
        for path in ("/v2/tokeninfo", "/v2/createsubtoken"):
            a = ask(path + query, *args)
            assert a.status == 401 and a.header("WWW-Authenticate") == "Bearer", (args, query, a.headers)
    flipped = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    for bad in (key.lower(), key[:-1], key + "0", key[:36], key[:-1] + ("0" if key[-1] != "0" else "1"),
                "x", "a.b.c", token + ".", token + "=", token + "A", flipped, token.split(".")[0] + "." + token.split(".")[1] + ".",
                "a" * 9000):
        for path in ("/v2/tokeninfo", "/v2/createsubtoken?expire=rubbish"):
            a = ask(path, key=bad)
            assert a.status == 401 and a.header("WWW-Authenticate") == 'Bearer error="invalid_token"', (bad, a.headers)
    for basic in (b"a:b", b":", b"a", b"a:b" * 600):
        a = ask("/v2/tokeninfo", "-H", "Authorization: Basic " + base64.b64encode(basic).decode())
        assert a.status == 401 and a.header("WWW-Authenticate") == 'Bearer error="invalid_token"', basic
    # None is read from a body.
    for kind, body in (("application/json", json.dumps({"access_token": key})),
                       ("application/x-www-form-urlencoded", "access_token=" + key)):
        a = ask("/v2/createsubtoken", "-H", "Content-Type: " + kind, "-d", body)
        assert a.status == 401 and a.header("WWW-Authenticate") == "Bearer"
    # One in a body is no second one either.
    made(post({"access_token": "x"}))
    made(form("permissions=account&access_token=x"))


@test
def errors_are_reported_in_their_order():
    s, key = server()
    other = made(create("urls=/v2/nowhere"))
    assert create("expire=x", "-H", "X-API-Key: other").status == 400
    assert create("expire=x", key="unknown").status == 401
    assert create("expire=x", key=other).status == 403
    assert create("expire=x").status == 400


# ---- methods, paths, CORS ----

@test
def paths_match_exactly_but_for_repeated_slashes():
    s, key = server()
    for path in ("/v2//tokeninfo", "/v2///tokeninfo", "/v2/tokeninfo?", "/v2/tokeninfo?//", "/v2//tokeninfo?v=latest"):
        assert ask(path, key=key).status == 200, path
    assert create("", key=key).status == 200 and ask("/v2//createsubtoken", key=key).status == 200
    for path in ("/", "//v2/tokeninfo", "///v2/tokeninfo", "//", "/v2", "/v2/", "/v2/tokeninfo/", "/v2/tokeninfo//",
                 "/V2/tokeninfo", "/v2/Tokeninfo", "/v2/./tokeninfo", "/v2/../v2/tokeninfo", "/v2%2Ftokeninfo",
                 "/v2/token%69nfo", "/v2/tokeninfo%00", "/v2/tokeninfo;x", "/v2/tokeninfo%20", "/v2/tokeninfo.json",
                 "/v2\\tokeninfo", "/v2/tokeninfo&v=latest", "/index.html", "/" + "v" * 5000, "/v2/key",
                 "/healthz/", "//healthz", "/.well-known/x", "/favicon.ico"):
        a = ask(path, key=key)
        refused(a, status=404)
        assert a.header("WWW-Authenticate") is None
        assert ask(path, "-X", "POST").status == (405 if path == "/" else 404)  # the page has a GET


@test
def other_methods_are_405():
    s, key = server()
    for path, allow in (("/v2/createsubtoken", "GET, HEAD, POST, OPTIONS"), ("/v2/tokeninfo", "GET, HEAD, OPTIONS"),
                        ("/healthz", "GET, HEAD, OPTIONS"), ("/readyz", "GET, HEAD, OPTIONS")):
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "FOO", "get", "Post", "POST"):
            if method in allow:
                continue
            a = ask(path, "-X", method, key=key)
            refused(a, status=405)
            assert a.header("Allow") == allow and key not in a.body, (path, method, a.headers)
        a = ask(path, "-X", "OPTIONS")
        assert a.status == 204 and a.body == "" and a.header("Allow") == allow
        get, head = ask(path, key=key), ask(path, head=True, key=key)
        assert get.status == head.status == 200 and head.body == ""
        assert head.header("Content-Type") == get.header("Content-Type")
        assert head.header("Content-Length") == str(len(get.body.encode()))
    a = ask("/v2/tokeninfo", head=True)
    assert a.status == 401 and a.header("WWW-Authenticate") == "Bearer"
    for path in ("/", "/nope"):
        a = ask(path, "-X", "TRACE", key=key)
        assert a.status == 405 and a.header("Allow") and key not in a.body


@test
def browsers_may_call_from_anywhere():
    s, key = server()
    for origin in ("https://example.org", "null", "http://127.0.0.1:1"):
        a = ask("/v2/createsubtoken", "-X", "OPTIONS", "-H", "Origin: " + origin,
                "-H", "Access-Control-Request-Method: POST",
                "-H", "Access-Control-Request-Headers: authorization, content-type")
        assert a.status == 204 and a.body == ""
        methods = re.split(r", *", a.header("Access-Control-Allow-Methods"))
        assert {"GET", "POST"} <= set(methods)
        headers = a.header("Access-Control-Allow-Headers").lower()
        for name in ("authorization", "content-type", "x-api-key", "x-schema-version"):
            assert name in headers
        assert int(a.header("Access-Control-Max-Age")) > 0
        assert "POST" not in ask("/v2/tokeninfo", "-X", "OPTIONS", "-H", "Origin: " + origin).header(
            "Access-Control-Allow-Methods")
        # D4: what a page's own libraries add to each request.
        a = ask("/v2/tokeninfo", "-X", "OPTIONS", "-H", "Origin: " + origin, "-H",
                "Access-Control-Request-Method: GET", "-H",
                "Access-Control-Request-Headers: authorization,baggage,sentry-trace,traceparent,b@d")
        names = a.header("Access-Control-Allow-Headers").lower().split(", ")
        assert {"authorization", "baggage", "sentry-trace", "traceparent"} <= set(names), names
        assert "b@d" not in names and len(names) == len(set(names))
        # Errors can be read across origins too.
        for path in ("/v2/tokeninfo", "/nope", "/v2/tokeninfo?v=x"):
            a = ask(path, "-H", "Origin: " + origin)
            assert a.header("Access-Control-Allow-Origin") == "*"
            assert "WWW-Authenticate" in a.header("Access-Control-Expose-Headers")


@test
def health_is_told_without_a_credential():
    for path in ("/healthz", "/readyz"):
        assert ask(path).status == 200 and ask(path, key="rubbish").status == 200
        assert ask(path, head=True).status == 200
        # Needs no credential, and so cannot have one too many.
        assert ask(path + "?access_token=x", key="y").status == 200


# ---- what others do while it runs ----

@test
def calls_over_the_rate_are_429():
    with Server(config={"rate": {"per_second": 1, "burst": 3}}) as s:
        key, other = make_key(s.data)["key"], make_key(s.data)["key"]
        token = made(create(key=key, s=s))
        answers = [create(key=key, s=s) for _ in range(12)]
        assert [a.status for a in answers[:2]] == [200, 200]  # the burst
        limited = [a for a in answers if a.status != 200]
        assert limited and all(a.status == 429 for a in limited)
        for a in limited:
            assert 1 <= int(a.header("Retry-After")) <= 3
            assert list(a.json()) == ["text"]
        # Its subtokens count as the key; others and other calls do not.
        last = over_the_rate(lambda: create(key=token, s=s))
        assert ask("/v2/tokeninfo", key=key, s=s).status == 200
        made(create(key=other, s=s))
        # A refusal is no burst: it is served again once it has waited.
        time.sleep(int(last.header("Retry-After")) + 0.1)
        made(create(key=key, s=s))
        assert any(l.get("reason") == "rate" for l in s.log_lines())


@test
def changes_are_seen_at_once():
    s, _ = server()
    made_key = make_key(s.data, ALL)
    key, name = made_key["key"], made_key["id"]

    def status(credential):
        return ask("/v2/tokeninfo", key=credential).status

    token = made(create("permissions=account", key=key))
    child = made(create(key=token))
    assert [status(c) for c in (key, token, child)] == [200] * 3
    for _ in range(3):
        run("key", "disable", name, data=s.data, check=0)
        let_others_learn()
        assert [status(c) for c in (key, token, child)] == [401] * 3
        assert create(key=key).status == create(key=token).status == 401
        run("key", "enable", name, data=s.data, check=0)
        let_others_learn()
        assert [status(c) for c in (key, token, child)] == [200] * 3
    run("key", "revoke-subtokens", name, data=s.data, check=0)
    let_others_learn()
    assert [status(c) for c in (key, token, child)] == [200, 401, 401]
    fresh = made(create("permissions=account", key=key))
    assert payload(fresh)["sub"] != payload(token)["sub"]
    assert [status(c) for c in (fresh, token)] == [200, 401]
    by_hand = issue(s.data, key + "\n", "--permissions", "account")  # made beside the server
    assert status(by_hand) == 200
    run("key", "delete", name, data=s.data, check=0)
    let_others_learn()
    assert [status(c) for c in (key, fresh, token, by_hand)] == [401] * 4
    reasons = {l.get("reason") for l in s.log_lines()}
    assert {"key_disabled", "revoked", "key_revoked"} <= reasons, reasons


@test
def a_key_is_401_after_its_end():
    s, _ = server()
    made_key = make_key(s.data, ALL, "--expires", "2s")
    token = made(create(key=made_key["key"]))
    end = calendar.timegm(time.strptime(made_key["expires_at"], "%Y-%m-%dT%H:%M:%SZ"))
    assert payload(token)["exp"] == end
    time.sleep(max(0, end - time.time()) + 0.1)
    assert ask("/v2/tokeninfo", key=made_key["key"]).status == 401
    assert create(key=made_key["key"]).status == 401
    assert create(key=token).status in (400, 401)


@test
def a_rotated_secret_signs_at_once():
    with Server() as s:
        key = make_key(s.data, ALL)["key"]
        old = made(create(key=key, s=s))
        run("secret", "rotate", data=s.data, check=0)
        new = create(key=key, s=s).json()["subtoken"]
        head = new.split(".")[0]
        header = base64.b64decode(head + "=" * (-len(head) % 4)).decode()
        assert re.fullmatch(r'\{"alg":"HS256","typ":"JWT","kid":"[A-Za-z0-9_-]{1,64}"\}', header), header
        for token in (old, new):
            assert ask("/v2/tokeninfo", key=token, s=s).status == 200
        run("secret", "retire", "-", "--force", data=s.data, check=0)
        assert ask("/v2/tokeninfo", key=old, s=s).status == 401
        assert ask("/v2/tokeninfo", key=new, s=s).status == 200
        assert ask("/readyz", s=s).status == 200


@test
def the_shared_server_stops_without_an_error():
    s, key = server()
    s.stop()
    assert key not in s.log() and "subtoken\":\"" not in s.log()


main()
