"""The page without a browser: what is served, with which headers; its modules in node; its texts; and that each
sentence of the server which it translates is one that the server says. In Chromium: tests/page."""
import functools, glob, re

from support import *

PAGE = os.path.join(os.path.dirname(TESTS), "src", "page")
BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def source(name):
    with open(os.path.join(PAGE, name), encoding="utf-8") as f:
        return f.read()


def modules():
    return sorted(name for name in os.listdir(PAGE) if name.endswith(".js"))


def node(code, **arguments):
    """What the code prints as JSON; modules of the page are imported by their names."""
    for name in modules():
        code = code.replace("'%s'" % name, json.dumps("file://" + os.path.join(PAGE, name)))
    done = subprocess.run(["node", "--input-type=module", "-e", code, json.dumps(arguments)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.lru_cache()
def tables():
    return node("""
        const names = process.argv[1]; const merged = {en: {}, ru: {}};
        for (const file of JSON.parse(names).files) {
          const {texts, adminTexts} = await import(file);
          for (const code of ['en', 'ru']) {
            for (const [key, text] of Object.entries((texts ?? adminTexts)[code])) {
              if (key in merged[code]) throw new Error('twice: ' + key);
              merged[code][key] = text;
            }
          }
        }
        console.log(JSON.stringify(merged));""",
                files=["file://" + os.path.join(PAGE, name) for name in modules()
                       if name in ("texts.js", "admin_texts.js")])


@test
def a_browser_gets_the_page_and_all_of_its_files():
    with Server() as server:
        page = curl(server.url + "/", "-H", BROWSER)
        assert page.status == 200 and page.body == source("index.html")
        assert page.header("content-type") == "text/html; charset=utf-8"
        assert page.header("vary") == "Accept"
        assert curl(server.url + "/").status == 404
        for name in sorted(os.listdir(PAGE)):
            if name.endswith((".c", ".h")):
                continue
            answer = curl(server.url + "/page/" + name)
            assert answer.status == 200 and answer.body == source(name), name
            assert answer.header("x-content-type-options") == "nosniff"
            assert answer.header("cache-control") == "no-cache"
            tag = answer.header("etag")
            again = curl(server.url + "/page/" + name, "-H", "If-None-Match: " + tag)
            assert again.status == 304 and again.body == "" and again.header("etag") == tag
            head = curl(server.url + "/page/" + name, "-I")
            assert head.status == 200 and head.header("content-length") == str(len(answer.body.encode()))
        leads = curl(server.url + "/page/", "-H", BROWSER)
        assert leads.status == 308 and leads.header("location") == "../"


@test
def nothing_but_its_own_files_and_this_server_is_allowed():
    with Server() as server:
        for path in ("/", "/page/main.js"):
            answer = curl(server.url + path, "-H", BROWSER)
            policy = dict(part.strip().partition(" ")[::2] for part in
                          answer.header("content-security-policy").split(";"))
            assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'", policy
            assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
            for part in ("script-src", "style-src", "connect-src", "img-src"):
                assert policy[part] == "'self'", policy
            assert answer.header("referrer-policy") == "no-referrer"
            assert answer.header("x-frame-options") == "DENY"
            assert answer.header("set-cookie") is None


@test
def settings_say_what_the_page_has_to_know():
    texts = {"docs": "Read documents", "wide": "\u00fc \u201e\"\\ <b>"}
    config = {"permission_texts": texts, "registration": "open", "max_life": "90d", "default_life": "7d",
              "issuer": "https://auth.example.com"}
    with Server(config=config) as server:
        answer = curl(server.url + "/page/settings.json")
        assert answer.status == 200 and answer.header("cache-control") == "no-store"
        told = answer.json()
        version = run("version", check=0)[1].split()[-1]
        assert told == {"version": version, "registration": "open", "permission_texts": texts, "default_life": 7 * 86400,
                        "max_life": 90 * 86400, "issuer": "https://auth.example.com"}, told


@test
def a_demo_says_where_the_page_is():
    line = "Log in on the page, at "
    for config in ({}, {"page": False}):
        with Server(config=config, args=["--demo"]) as server:
            with open(server.stdout_path) as f:
                told = [each[len(line):].strip() for each in f if each.startswith(line)]
            assert told == ([server.url + "/"] if config == {} else []), told
            assert curl(server.url + "/", "-H", BROWSER).status == (200 if config == {} else 404)


@test
def the_page_can_be_off():
    with Server(config={"page": False}) as server:
        for path in ("/", "/page/", "/page/main.js", "/page/settings.json"):
            assert curl(server.url + path, "-H", BROWSER).status == 404, path
        assert curl(server.url + "/healthz").status == 200


@test
def no_module_makes_markup_of_text():
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|"
                           r"\bstyle=|\bon[a-z]+=|document\.cookie|https?://(?!www\.w3\.org/2000/svg)")
    for name in sorted(os.listdir(PAGE)):
        if name.endswith((".js", ".html", ".svg")):
            found = forbidden.search(source(name))
            assert found is None, (name, found.group())
    html = source("index.html")
    # Asked for at once: none waits for another that names it.
    preloaded = re.findall(r'<link rel="modulepreload" href="page/([^"]+)">', html)
    assert sorted(preloaded) == [name for name in modules() if name != "main.js"], preloaded
    assert "<style" not in html and re.findall(r"<script[^>]*>(.*?)</script>", html) == [""]


@test
def each_text_is_there_in_both_languages():
    table = tables()
    forms = re.compile(r"\.(one|few|many|other)$")
    def keys(code):
        return {forms.sub("", key) for key in table[code]}
    assert keys("en") == keys("ru"), keys("en") ^ keys("ru")
    for code, needed in (("en", ("one", "other")), ("ru", ("one", "few", "many", "other"))):
        plural = {forms.sub("", key) for key in table[code] if forms.search(key)}
        for key in plural:
            assert {"%s.%s" % (key, form) for form in needed} <= set(table[code]), (code, key)
    for key in keys("en"):
        places = [set(re.findall(r"\{\w+\}", table[code].get(key, table[code].get(key + ".other", ""))))
                  for code in ("en", "ru")]
        assert places[0] == places[1], (key, places)
    used = set()
    for name in modules():
        for literal in re.findall(r"\bt\(\s*'([^']+)'", source(name)):
            used.add(literal)
            assert literal in keys("en"), (name, literal)
        for start in re.findall(r"\bt\(\s*`([^`$]+)\$\{", source(name)):
            assert any(key.startswith(start) for key in table["en"]), (name, start)
    assert len(used) > 50, len(used)


@test
def what_is_translated_is_what_the_server_says():
    said = ""  # not the program, which has the page in it, too
    for folder in ("core", "domain", "service"):
        for file in sorted(glob.glob(os.path.join(os.path.dirname(PAGE), folder, "*.c"))):
            with open(file, encoding="utf-8") as f:
                said += re.sub(r'"\s*\n\s*"', "", f.read())
    sentences = node("const {serverTexts} = await import('server_texts.js'); console.log(JSON.stringify(serverTexts))")
    assert len(sentences) > 30
    for english, russian in sentences.items():
        for piece in re.split(r"\{\w+\}", english):
            if not re.fullmatch(r" (is revoked: )?|", piece):
                assert json.dumps(piece.removeprefix(" is revoked: "))[1:-1] in said, english
        assert re.search("[\u0430-\u044f]", russian), russian
        assert sorted(re.findall(r"\{\w+\}", russian)) in (sorted(re.findall(r"\{\w+\}", english)), [], ["{x}"]), russian


@test
def every_action_of_the_audit_log_can_be_chosen():
    """An action is two words with a dot between; so are names of files, and columns."""
    said, others = set(), {"civetweb.h", "civetweb_net.h", "index.html", "openapi.json", "keys.sub", "m.permissions", "snapshot.changes"}
    for folder in ("store", "cli", "operations", "service", "server"):
        for file in glob.glob(os.path.join(os.path.dirname(PAGE), folder, "**", "*.[ch]"), recursive=True):
            with open(file, encoding="utf-8") as f:
                said.update(re.findall(r'"([a-z_]+\.[a-z_]+)"', f.read()))
    assert said >= others, others - said
    offered = set(re.findall(r"'([a-z_]+\.[a-z_]+)'", source("audit.js").partition("const ACTIONS")[2].partition("};")[0]))
    assert offered == said - others, offered ^ (said - others)


# The service's files whose routes the page calls.
ASKED = ("users", "keys", "key_manager", "key_one", "key_list", "user_manager", "user_one", "audit_log", "request", "params",
         "token_explain", "authenticate", "problem")


@test
def what_the_server_may_say_to_the_page_is_translated():
    found = set()
    for name in ASKED:
        with open(os.path.join(os.path.dirname(PAGE), "service", name + ".c"), encoding="utf-8") as f:
            code = f.read()
        literal = r'((?:"(?:[^"\\\n]|\\.)*"\s*)+)'
        for call in (r"\.text\s*=\s*", r"st_problem_parameter\(\s*&[\w>.-]+,\s*[^,;]+(?:, \w+\")?,\s*", r"st_problem_escalation\(\s*&[\w>.-]+,\s*",
                     r"params_refuse(?:_value)?\(\s*params,\s*[^,;]+,\s*", r"token_ended\(t, ", r"token_write\(\s*c, t,\s*"):
            for text in re.findall(call + literal, code):
                found.add(("{x} is revoked: " if call.startswith("token_ended") else "") + "".join(json.loads(part) for part in re.findall(r'"(?:[^"\\\n]|\\.)*"', text)))
    assert len(found) > 40, sorted(found)
    told = node("""
        globalThis.document = {}; globalThis.localStorage = {getItem: () => 'ru', setItem() {}, removeItem() {}};
        const {said} = await import('i18n.js');
        console.log(JSON.stringify(JSON.parse(process.argv[1]).all.map((one) => said(one))));""",
                all=sorted(found) + ["limit: must be a number from 1 to 100", "search: must have at most 256 bytes",
                                     "login: must be 8 to 1024 bytes", "an owner may have at most 5 keys, and this one has: delete one that is "
                                     "not used any more, or ask the operator to raise keys_per_owner", "url GET /a is not in [/b]"])
    # What is about JSON itself is for whoever writes programs.
    english = [text for text, russian in zip(sorted(found), told) if text == russian and "JSON" not in text]
    assert english == [], english
    for text, n in ((told[-5], "100"), (told[-4], "256")):
        assert n in text and not re.search("[a-z]", text), text
    assert told[-3].startswith("\u0418\u043c\u044f: ") and " 5 " in told[-2] and "GET /a" in told[-1] and "[/b]" in told[-1], told[-3:]


@test
def a_token_is_read_without_the_server():
    data = data_dir()
    key = make_key(data)["key"]
    token = issue(data, key, "--permissions", "account", "--urls", "/v2/a/*,POST:/v2/b%20c")
    claims = payload(token)
    told = node("""
        const {decode, kindOf, readClaims, curlLine, exampleOf, quoted} = await import('token.js');
        const given = JSON.parse(process.argv[1]);
        console.log(JSON.stringify({token: decode(given.token), claims: readClaims(decode(given.token).claims),
          kinds: given.texts.map(kindOf), bad: given.bad.map(decode), examples: given.urls.map(exampleOf),
          odd: readClaims({permissions: 'a', urls: [1], exp: 'x', iat: -1, sub: {}, via: null}),
          line: curlLine(given.quote, given.quote), verbs: ['HEAD', 'POST'].map((one) => curlLine('u', 't', one)), quoted: quoted(given.quote)}));""",
                token=token, texts=[key, "A" * 43, token, "", "x.y", key.lower()],
                bad=["", "a.b", "a.b.c", "e30.e30.***", "e30.W10.AA", "e30.bnVsbA.AA", "e30.e31.AA", "e30._w.AA",
                     "e30." + "A" * 9000 + ".AA"],
                urls=["/v2/a/*", "POST:/v2/*/b", "x", "GET:x"], quote="it's `$(x)` \"y\"")
    assert told["token"] == {"header": {"alg": "HS256", "typ": "JWT"}, "claims": claims,
                             "tid": token.split(".")[2][:16]}, told["token"]
    assert told["claims"] == {"sub": claims["sub"], "sid": None, "audience": None, "issued": claims["iat"], "expires": claims["exp"],
                              "permissions": ["account"], "urls": ["/v2/a/*", "POST:/v2/b%20c"], "via": []}
    assert told["kinds"] == ["key", "refresh", "token", "other", "other", "other"], told["kinds"]
    assert told["bad"] == [None] * 9, told["bad"]
    assert told["odd"] == {"sub": None, "sid": None, "audience": None, "issued": None, "expires": None, "permissions": [],
                           "urls": [], "via": []}
    assert told["examples"] == [{"method": "GET", "path": "/v2/a/x"}, {"method": "POST", "path": "/v2/x/b"}, None, None]
    assert [line.split(" u ")[0] for line in told["verbs"]] == ["curl -I", "curl -i -X POST"], told["verbs"]
    words = subprocess.run(["sh", "-c", "printf '%s' " + told["quoted"]], capture_output=True, text=True).stdout
    assert words == "it's `$(x)` \"y\""
    words = subprocess.run(["sh", "-c", "curl() { printf '%s\\n' \"$@\"; }; " + told["line"]], capture_output=True, text=True)
    assert words.stdout.split("\n") == ["-i", "it's `$(x)` \"y\"", "-H", "Authorization: Bearer it's `$(x)` \"y\"", ""], words


main()
