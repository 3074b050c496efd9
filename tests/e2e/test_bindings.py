"""The installed library decides alike in C and C++, Python and LuaJIT: about tokens, urls, MACs and rings. And what each
binding promises, and the nginx that subtoken.lua shows."""
import threading
from installed import *


PYTHON = sys.executable


# ---- the programs ----


@functools.lru_cache(None)
def programs():
    """name -> (command, environment)"""
    d = scratch()
    shutil.copy(os.path.join(HERE, "verdicts.c"), os.path.join(d, "verdicts.c"))
    shutil.copy(os.path.join(HERE, "verdicts.c"), os.path.join(d, "verdicts.cc"))
    cflags, libs = pkg_config("--cflags"), pkg_config("--libs")
    shared = dict(os.environ, LD_LIBRARY_PATH=os.path.join(prefix(), "lib"))
    alone = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    made = {}
    for name, compiler, std, source in (("C", "gcc", "c11", "verdicts.c"),
                                        ("C++", "g++", "c++17", "verdicts.cc")):
        for kind in ("shared", "static"):
            out = os.path.join(d, name + kind)
            these = libs if kind == "shared" else ["-Wl,-Bstatic", *libs, "-Wl,-Bdynamic"]
            sh(compiler, "-std=" + std, *WARNINGS, *cflags, os.path.join(d, source), *these,
               "-o", out)
            needed = re.findall(r"NEEDED +(\S+)", sh("objdump", "-p", out))
            assert (SONAME in needed) == (kind == "shared"), needed
            made[name + " " + kind] = ([out], shared if kind == "shared" else alone)
    plain = {k: v for k, v in alone.items() if k not in ("SUBTOKEN_LIBRARY", "LUA_PATH", "PYTHONPATH")}
    # No word to the bindings about the library: they find that of their own PREFIX.
    made["Python"] = ([PYTHON, "-B", "-W", "error", os.path.join(HERE, "verdicts.py")], dict(
        plain, PYTHONPATH=os.path.join(prefix(), "lib/python3/dist-packages")))
    made["Lua"] = (["luajit", os.path.join(HERE, "verdicts.lua")], dict(
        plain, LUA_PATH=os.path.join(prefix(), "share/lua/5.1/?.lua")))
    return made


def text(value):
    if value is None:
        return "-"
    return (value if isinstance(value, bytes) else value.encode()).hex()


def texts(values):
    return "-" if values is None else "".join(text(v) + "," for v in values)


def ask(lines, only=None):
    """The answers, once all programs have given the same ones."""
    given = "".join("\t".join(map(str, l)) + "\n" for l in lines)
    first, answers = None, None
    for name, (command, env) in programs().items():
        if only is not None and name not in only:
            continue
        p = subprocess.run(command, input=given, capture_output=True, text=True, env=env,
                           timeout=300)
        assert p.returncode == 0 and p.stderr == "", (name, p.returncode, p.stderr[-2000:])
        got = p.stdout.splitlines()
        assert len(got) == len(lines), (name, len(got), len(lines))
        if answers is None:
            first, answers = name, got
        for line, mine, theirs in zip(lines, answers, got):
            assert mine == theirs, (line, {first: mine, name: theirs})
    return [a.split("\t") for a in answers]


STATUS = {"ok": 200, "feed_stale": 503, "bad_target": 400, "url": 403, "perm": 403,
          "invalid_argument": 500}  # else 401
CHALLENGE = {401: 'Bearer error="invalid_token"', 403: 'Bearer error="insufficient_scope"'}


def tid_of(token):
    return (token if isinstance(token, str) else token.decode()).rpartition(".")[2][:16]


def decision(answer, token, what):
    """What has to hold for any answer to verify; returns the result."""
    result, status, challenge, claims = answer
    assert int(status) == STATUS.get(result, 401), (what, answer)
    assert challenge == text(CHALLENGE.get(int(status))), (what, answer)
    if result != "ok":
        assert claims == "-", (what, answer)
        return result
    said = json.loads(unb64((token if isinstance(token, str) else token.decode()).split(".")[1]))
    expected = [text(said["sub"]), str(said["iat"]), str(said["exp"]), str(said.get("nbf", 0)),
                text(said.get("iss")), texts(said["permissions"]), texts(said.get("urls")),
                text(said.get("sid")),
                texts([said["aud"]] if isinstance(said.get("aud"), str) else said.get("aud")),
                texts(said.get("via", [])), text(tid_of(token))]
    assert claims.split(";") == expected, (what, claims, expected)
    return result


# ---- tokens.json ----

FILE = vectors("tokens.json")
ENV = FILE["env"]
NOW = ENV["now"]
KEY = bytes.fromhex(ENV["keys"]["k1"])


def ring_text():
    lines = [":" + b64(bytes.fromhex(ENV["keys"][ENV["default_kid"]]))]
    lines += ["%s:%s" % (kid, b64(bytes.fromhex(key))) for kid, key in ENV["keys"].items()]
    return "\n".join(lines) + "\n"


def setup(mode="asks", iss=None, aud=None, **parents):
    states = {"active": "good", "revoked": "revoked"}
    lines = [("ring", text(ring_text()))]
    lines += [("sub", text(s), states[p]) for s, p in ENV["parents"].items()]
    lines += [("sub", text(s), p) for s, p in parents.items()]
    return lines + [settings(mode, iss, aud)]


def settings(mode="asks", iss=None, aud=None):
    return ("verifier", ENV["skew"], ENV["max_ttl"], text(iss), text(aud), mode)


def question(verb, token, now=NOW, method="GET", target=ENV["default_request"],
             needs=(ENV["default_need_permission"],)):
    return (verb, now, text(method), text(target), texts(needs), text(token))


def token_of(row):
    if "generate" in row:
        assert row["generate"]["kind"] == "repeat"
        return row["generate"]["text"] * row["generate"]["count"]
    return base64.b64decode(row["token_b64"]) if "token_b64" in row else row["token"]


def question_of(verb, row):
    need = row.get("need_permission", ENV["default_need_permission"])
    return question(verb, token_of(row), now=row.get("now", NOW),
                    target=row.get("request", ENV["default_request"]),
                    needs=() if need is None else (need,))


@test
def all_languages_decide_about_tokens_as_the_vectors_say():
    lines = setup()
    begin = len(lines)
    for row in FILE["cases"]:
        lines += [settings("asks", row.get("need_issuer"), row.get("need_audience")),
                  question_of("verify", row), question_of("explain", row),
                  ("inspect", text(token_of(row)))]
    answers = ask(lines)
    assert answers[0] == ["ok", "0"] and all(a == ["ok"] for a in answers[1:begin])
    count = accepted = 0
    for row, i in zip(FILE["cases"], range(begin, len(lines), 4)):
        verdict, (words,), inspected = answers[i + 1:i + 4]
        result = decision(verdict, token_of(row), row["id"])
        assert (result == "ok") == (row["expect"] == "accept"), (row["id"], result)
        reasons = [row["reason"], *row.get("reasons", [])]
        if row["id"] == "claims/urls-star-mid":
            reasons.append("url")  # older than stars that are segments: its entry is good now
        assert result in reasons, (row["id"], result, row["reason"])
        said = bytes.fromhex(words).decode()
        assert len(said) > 8 and said.isprintable(), (row["id"], said)
        if result == "ok":
            assert inspected[0] == "ok" and inspected[2] == verdict[3], row["id"]
            assert bytes.fromhex(inspected[1]) == unb64(token_of(row).split(".")[0]), row["id"]
        count += 1
        accepted += result == "ok"
    assert (count, accepted) == (376, 14)


def mutants(base):
    """All of them, in the order of the file's operators."""
    base, made = base.encode(), {}

    def put(op, data):
        made[op] = made.get(op, 0) + 1
        return data

    size = range(len(base))
    for i in size:
        for bit in range(8):
            yield put("bitflip", base[:i] + bytes([base[i] ^ 1 << bit]) + base[i + 1:])
    for i in size:
        for c in range(256):
            if c != base[i]:
                yield put("substitute", base[:i] + bytes([c]) + base[i + 1:])
    for i in range(len(base) + 1):
        for c in range(256):
            yield put("insert", base[:i] + bytes([c]) + base[i:])
    for i in size:
        yield put("delete", base[:i] + base[i + 1:])
    for i in size:
        yield put("truncate", base[:i])
    for i in range(len(base) - 1):
        if base[i] != base[i + 1]:
            yield put("transpose", base[:i] + base[i + 1:i + 2] + base[i:i + 1] + base[i + 2:])
    for i in size:
        if base[i:i + 1].isalpha():
            yield put("case", base[:i] + bytes([base[i] ^ 0x20]) + base[i + 1:])
    assert made == {o["op"]: o["count"] for o in FILE["mutation"]["operators"]}, made


@test
def all_languages_refuse_every_fiftieth_mutation_for_the_same_reason():
    base = FILE["mutation"]["base"]
    everything = list(mutants(base))
    assert len(everything) == FILE["mutation"]["total"]
    sample = everything[::50]
    assert len(sample) >= 3000
    lines = setup()
    begin = len(lines)
    answers = ask(lines + [question("verify", base)] + [question("verify", m) for m in sample])
    assert decision(answers[begin], base, "base") == "ok"
    for data, answer in zip(sample, answers[begin + 1:]):
        assert decision(answer, data, data) in ("malformed", "mac", "alg", "header", "kid"), (data, answer)


@test
def all_languages_show_a_sid_that_decides_nothing():
    base = {"sub": "p_good", "iat": NOW - 10, "exp": NOW + 100, "permissions": ["account"]}
    good = [base | {"sid": "L-1_z"}, {"sid": "x"} | base, base | {"sid": "x" * 64},
            base | {"urls": ["/v2/account"], "sid": "9"}, base]
    bad = [base | {"sid": wrong} for wrong in ("", "x" * 65, "a b", "a.b", 1, None, ["a"])]
    tokens = [sign(KEY, claims) for claims in good + bad]
    lines = setup(p_good="good")
    begin = len(lines)
    for token in tokens:
        lines += [question("verify", token), ("inspect", text(token))]
    answers = ask(lines)[begin:]
    for i, token in enumerate(tokens):
        verdict, inspected = answers[2 * i:2 * i + 2]
        assert decision(verdict, token, token) == ("ok" if i < len(good) else "claims"), verdict
        if i < len(good):
            assert inspected[0] == "ok" and inspected[2] == verdict[3], inspected


@test
def all_languages_ask_for_each_name_of_a_token():
    base = {"sub": "p_good", "iat": NOW - 10, "exp": NOW + 100, "permissions": ["account"]}
    lines, wanted = [], []
    for which in range(-1, 4):
        for state, want in (("good", "ok"), ("revoked", "revoked"), ("unsure", "feed_stale")):
            # Names of its own, because those of before are known still.
            via = ["oldest-%s%08d" % (state[0], which + 1), "newer_-%s%08d" % (state[0], which + 1)]
            token = sign(KEY, base | {"via": via, "sub": "p%d%s" % (which, state)})
            names = ["p%d%s" % (which, state), tid_of(token), *via]
            known = {names[0]: "good"} | ({names[which]: state} if which >= 0 else {})
            want = want if which >= 0 else "ok"
            for needs, result in (("account",), want), (("bank",), want if want != "ok" else "perm"):
                lines += setup(**known) + [question("verify", token, needs=needs)]
                wanted.append((len(lines) - 1, result))
    answers = ask(lines)
    for at, result in wanted:
        assert answers[at][0] == result, (lines[at], answers[at], result)
    for wrong in ([], ["short"], ["x" * 17], ["x" * 15 + "."], "x" * 16, ["x" * 16] * 9, [1], None, {}):
        lines = setup(p_good="good") + [question("verify", sign(KEY, base | {"via": wrong}))]
        assert ask(lines)[-1][0] == "claims", wrong


LINEAGE = vectors("lineage.json")


@test
def derived_secrets_are_those_of_openssl():
    for row in LINEAGE["hkdf"]:
        out = sh("openssl", "kdf", "-keylen", "32", "-kdfopt", "digest:SHA2-256", "-kdfopt", "hexkey:" + row["secret"],
                 "-kdfopt", "info:subtoken aud 1:" + row["audience"], "HKDF")
        assert out.replace(":", "").strip().lower() == row["derived"], row
        assert row["derived_kid"] == row["kid"] + "." + row["audience"]
    made = sh(PYTHON, os.path.join(ROOT, "tests/vectors/lineage.py"))
    assert made == read(ROOT, "tests/vectors/lineage.json"), "lineage.py > lineage.json"


@test
def all_languages_decide_about_lineage_as_the_vectors_say():
    lines, wanted = [("sub", text("s_good"), "good")], []
    for row in LINEAGE["cases"]:
        lines += [("ring", text(LINEAGE["rings"][row["ring"]])), ("verifier", 60, 365 * 86400, "-", text(row["aud"]), "asks")]
        lines += [("sub", text(name), "revoked") for name in row["revoked"]]
        lines += [question("verify", row["token"], now=LINEAGE["now"], target="/v2/account", needs=("account",))]
        wanted.append((len(lines) - 1, row))
        lines += [question("explain", row["token"], now=LINEAGE["now"], target="/v2/account", needs=("account",))]
        lines += [("sub", text(name), "good") for name in row["revoked"]]
    answers = ask(lines)
    for at, row in wanted:
        assert decision(answers[at], row["token"], row["id"]) == row["reason"], (row["id"], answers[at])
        said = bytes.fromhex(answers[at + 1][0]).decode()
        assert len(said) > 8 and said.isprintable(), (row["id"], said)


@test
def all_languages_apply_the_rules_in_one_order():
    """Each way for a request to be wrong, with each state of the parent."""
    parents = {"p_good": "good", "p_revoked": "revoked", "p_unsure": "unsure", "p_raise": "raise"}
    states = {"p_good": None, "p_revoked": "revoked", "p_unsure": "feed_stale",
              "p_raise": "feed_stale", "p_unknown": "revoked"}
    lines, expected = setup(**parents), []
    begin = len(lines)
    for mode in ("asks", "without", "none"):
        for iss in (None, "us", "them"):
            lines.append(settings(mode, iss))
            expected.append(None)
            for sub, state in states.items():
                for urls in (None, ["/v2/account", "POST:/v2/items"]):
                    claims = {"sub": sub, "iat": NOW - 10, "exp": NOW + 100, "iss": "us",
                              "permissions": ["account"]}
                    if urls is not None:
                        claims["urls"] = urls
                    token = sign(KEY, claims)
                    for now in (NOW, NOW + 160, NOW - 71):
                        for method, target in (("GET", "/v2/account"), ("GET", "/v2/../account"),
                                               ("GET", "/v2/items"), ("POST", "/v2/items"),
                                               (None, "/v2/items"), ("GET", None), (None, "")):
                            for needs in ((), ("account",), ("account", "bank"), ("",)):
                                lines.append(question("verify", token, now, method, target, needs))
                                if now != NOW:
                                    want = "expired" if now > NOW else "iat_future"
                                elif iss == "them":
                                    want = "iss"
                                elif mode == "none":
                                    want = "feed_stale"
                                elif mode == "asks" and state:
                                    want = state
                                elif target in ("/v2/../account", ""):
                                    want = "bad_target"
                                elif urls and (method, target) not in (
                                        ("GET", "/v2/account"), ("POST", "/v2/items")):
                                    want = "url"
                                else:
                                    want = "ok" if set(needs) <= {"account"} else "perm"
                                expected.append((want, token))
    for line, answer, want in zip(lines[begin:], ask(lines)[begin:], expected):
        if want is not None:
            assert decision(answer, want[1], line) == want[0], (line, want[0], answer)
    assert len(expected) > 5000


@test
def all_languages_refuse_times_out_of_range():
    lines = setup()
    begin = len(lines)
    outside = (-1, -(2**63), 2**53, 2**63 - 1)
    answers = ask(lines + [question("verify", ENV["golden"], now=now) for now in outside])
    for now, answer in zip(outside, answers[begin:]):
        assert decision(answer, ENV["golden"], now) == "invalid_argument", (now, answer)


# ---- URLs ----


def octets(string):
    return string.encode("latin-1")


@test
def all_languages_match_urls_as_the_vectors_say():
    cases = vectors("url-match.json")["cases"]
    wanted = {"allow": "ok", "deny": "url", "reject": "bad_target", "badlist": "claims"}
    lines = setup()
    begin, places = len(lines), []
    for row in cases:
        entries = row["entries"]
        claims = {"sub": "pk_active", "iat": NOW, "exp": NOW + 1, "permissions": []}
        if entries is not None:
            claims["urls"] = entries
        target = octets(row["target"])
        places.append(len(lines))
        lines += [question("verify", sign(KEY, claims), target=target, needs=()),
                  ("match", "-" if entries is None else texts(map(octets, entries)), text("GET"),
                   text(target)),
                  ("path", text(target))]
        for entry in entries or ():
            lines += [("canonical", text(octets(entry))),
                      ("allows", text(octets(entry)), text("GET"), text(target))]
    answers = ask(lines)
    for row, at in zip(cases, places):
        verdict, (match,), path = answers[at:at + 3]
        entries = row["entries"] or []
        canonical = answers[at + 3:at + 3 + 2 * len(entries):2]
        allows = [a[0] for a in answers[at + 4:at + 4 + 2 * len(entries):2]]
        assert verdict[0] == wanted[row["verdict"]], (row["id"], verdict)
        assert (path[0] == "ok") == (path[2] == "none") == (path[1] != "-"), (row["id"], path)
        if row["verdict"] == "badlist":
            faults = [c[2] for c in canonical if c[2] != "none"]
            counted = row["entries"] == [] or len(entries) > 64
            assert (faults + ["count"] if counted else faults)[0] == row["reason"], (row["id"], faults)
            assert all(a == "bad_url" for a, c in zip(allows, canonical) if c[0] != "ok"), row["id"]
            continue
        assert match == verdict[0], (row["id"], match)
        assert path[2] == row.get("reason", "none"), (row["id"], path)
        assert all(c[0] == "ok" for c in canonical), (row["id"], canonical)
        if entries:
            one_by_one = "ok" if "ok" in allows else allows[0]
            assert one_by_one == match, (row["id"], allows)
        # What is canonical stays, and opens the same.
        for entry, (_, own, _) in zip(entries, canonical):
            assert ask([("canonical", own)], only=("C shared",)) == [["ok", own, "none"]], entry
    assert len(cases) == 115


@test
def all_languages_compare_lists_and_methods_alike():
    entries = ["/v2/account", "/v2/account/*", "GET:/v2/account", "POST:/v2/*", "/v2/*", "/*", "/",
               "HEAD:/v2/account", "/v2/%41", "/v2/A", "/v2/a%20b", "/*/account", "/v2/*/x", "*", "", "/v2/../x", "get:/v2"]
    lines = [("covers", text(a), text(b)) for a in entries for b in entries]
    methods = [None, "", "GET", "HEAD", "POST", "get"]
    targets = ["/v2/account", "/v2/account?x=1", "/v2/account/", "/v2/account/x", "/v2/A", "/", "/%2e"]
    lines += [("allows", text(e), text(m), text(t)) for e in entries for m in methods
              for t in targets]
    lines += [("match", texts(entries[:13]), text(m), text(t)) for m in methods
              for t in targets + [None]]
    lines += [("match", "", text("GET"), text(targets[0])), ("match", "-", "-", "-"),
              ("match", texts(["/v2/account"] * 64), "-", text(targets[0])),
              ("match", texts(["/v2/account"] * 65), "-", text(targets[0])),
              ("match", texts(["/" + "a" * 1000] * 7), "-", text(targets[0]))]
    answers = dict(zip(lines, (a[0] for a in ask(lines))))
    assert answers[("covers", text("/v2/*"), text("GET:/v2/account"))] == "ok"
    assert answers[("covers", text("GET:/v2/account"), text("/v2/account"))] == "url_wider"
    for a in entries:  # "covers" is never said of what is wider
        for b in entries:
            if answers[("covers", text(a), text(b))] == "ok":
                for m in methods:
                    for t in targets:
                        inner, outer = (answers[("allows", text(e), text(m), text(t))] for e in (b, a))
                        assert inner != "ok" or outer == "ok", (a, b, m, t)
    assert answers[("covers", text("/v2/%41"), text("/v2/A"))] == "ok"
    assert answers[("covers", text("/v2/*"), text("*"))] == "bad_url"
    assert answers[("allows", text("GET:/v2/account"), text("HEAD"), text("/v2/account"))] == "ok"
    assert answers[("allows", text("GET:/v2/account"), "-", text("/v2/account"))] == "url"
    assert answers[("allows", text("/v2/account"), "-", text("/v2/account?x=1"))] == "ok"
    assert list(answers[l] for l in lines[-5:]) == [
        "url", "ok", "ok", "invalid_argument", "invalid_argument"]


# ---- MACs and known answers ----


@test
def macs_are_those_of_hmac_sha256():
    lines, wanted, blob = [], [], hashlib.sha512(b"seed").digest() * 5
    for key_len in range(30, 67):
        for data_len in (0, 1, 55, 56, 63, 64, 65, 200):
            key, data = blob[:key_len], blob[64:64 + data_len]
            mac = hmac.new(key, data, hashlib.sha256).digest()
            wrong = mac[:31] + bytes([mac[31] ^ 1])
            lines += [("mac", text(key), text(data))] + [
                ("check", text(key), text(data), text(m)) for m in (mac, wrong, mac[:31], b"")]
            good = 32 <= key_len <= 64
            wanted += [["ok", text(mac)] if good else ["weak_secret", "-"]]
            wanted += [[r if good else "weak_secret"] for r in ("ok", "mac", "mac", "mac")]
    for line, answer, want in zip(lines, ask(lines), wanted):
        assert answer == want, (line, answer, want)


@test
def the_known_answers_hold():
    lines, checks = setup(), []
    for row in vectors("jws-hs256-known-answers.json")["cases"]:
        token, key = row["token"], row["key_b64url"]
        lines += [question("verify", token), ("inspect", text(token))]
        checks.append((len(lines) - 2, row))
        if key is not None:  # public or too short: no ring takes it, and no secret
            lines += [("ring", text(":" + key)), ("mac", text(unb64(key)), text("x")),
                      ("ring", text(ring_text()))]
    answers = ask(lines)
    for at, row in checks:
        assert decision(answers[at], row["token"], row["id"]) == "mac", (row["id"], answers[at])
        result, header, claims = answers[at + 1]
        if row["key_b64url"] is not None:
            assert result == "claims" and claims == "-", (row["id"], result)
            assert answers[at + 2:at + 4] == [["weak_secret", "1"], ["weak_secret", "-"]], row["id"]
        else:
            c = row["claims"]
            assert result == "ok" and json.loads(bytes.fromhex(header)) == row["header"], row["id"]
            assert claims.split(";") == [text(c["sub"]), str(c["iat"]), str(c["exp"]), "0", "-",
                                         texts(c["permissions"]), texts(c.get("urls")), "-", "-", "",
                                         text(tid_of(row["token"]))], row["id"]
    assert len(checks) == 5


@test
def all_languages_refuse_the_same_rings():
    good = ring_text()
    line = good.split("\n")[0]
    bad = {"": ["no_secret", "0"], good + "x": ["malformed", "4"], line + "\n" + line: ["kid_taken", "2"],
           "a b" + line: ["bad_kid", "1"], ":" + b64(b"a" * 32): ["weak_secret", "1"],
           ":AAAA": ["weak_secret", "1"], line + "=": ["malformed", "1"]}
    answers = ask([("ring", text(b)) for b in bad] + [("ring", text(good)), ("version",)])
    for given, answer in zip(bad, answers):
        assert answer == bad[given], (given, answer)
    assert answers[-2:] == [["ok", "0"], [VERSION]]


# ---- what the bindings mirror ----


def structs():
    """[(struct, [field])] of the headers, for those that a binding mirrors."""
    source = "".join(read(prefix(), "include/subtoken", n) for n in ("common.h", "verify.h"))
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    found = []
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\} \1;", source, re.S):
        fields = [re.search(r"(\w+)(?:\[[^\]]*\])?$", d.strip())[1]
                  for d in body.split(";") if d.strip()]
        found.append((name, fields))
    return found


@test
def every_mirrored_struct_has_the_compilers_layout():
    names = [name for name, _ in structs()]
    assert names == ["subtoken_text", "subtoken_slice", "subtoken_claims", "subtoken_secret",
                     "subtoken_ring", "subtoken_verifier", "subtoken_request"], names
    lines = [("layout", s, f) for s, fields in structs() for f in fields]
    assert len(lines) >= 39
    d = scratch()
    with open(os.path.join(d, "layout.c"), "w") as f:
        f.write("#include <subtoken/verify.h>\n#include <stdio.h>\nint main(void) {\n")
        for _, s, m in lines:
            f.write('  printf("%%zu\\t%%zu\\t%%zu\\n", sizeof(%s), offsetof(%s, %s),'
                    ' sizeof(((%s *)0)->%s));\n' % (s, s, m, s, m))
        f.write("  return 0;\n}\n")
    sh("gcc", "-std=c11", *WARNINGS, *pkg_config("--cflags"), os.path.join(d, "layout.c"), "-o",
       os.path.join(d, "layout"))
    compiled = [l.split("\t") for l in sh(os.path.join(d, "layout")).splitlines()]
    mirrored = ask(lines, only=("Python", "Lua"))
    for line, here, there in zip(lines, compiled, mirrored):
        assert here == there, (line, here, there)
    python = read(prefix(), "lib/python3/dist-packages/subtoken.py")
    lua = read(prefix(), "share/lua/5.1/subtoken.lua")
    for name, fields in structs():  # no member more than there is, either
        mirror = re.search(r"class _%s\(ctypes.Structure\):\n    _fields_ = \[(.*?)\]\n\n" %
                           name.replace("subtoken_", "").title(), python, re.S)[1]
        assert re.findall(r'\("(\w+)",', mirror) == fields, name
        body = re.search(r"typedef struct %s \{(.*?)\n\} %s;" % (name, name), lua, re.S)[1]
        body = re.sub(r"/\*.*?\*/", "", body)
        assert re.findall(r"(\w+)(?:\[\d+\])?;", body) == fields, name


@test
def explanations_are_those_of_the_command():
    data = data_dir()
    os.mkdir(data, 0o700)
    secrets = os.path.join(data, "secrets")
    with open(os.open(secrets, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(ring_text())
    lines, rows = [("ring", text(ring_text()))], []
    for row in FILE["cases"]:
        token = token_of(row)
        # What can come in on standard input as it is.
        if isinstance(token, bytes) or token.strip() != token or not token:
            continue
        rows.append((row, token))
        lines += [settings("without", row.get("need_issuer"), row.get("need_audience")),
                  question_of("verify", row), question_of("explain", row)]
    answers = ask(lines)
    for (row, token), i in zip(rows, range(1, len(lines), 3)):
        args = ["verify", "--no-revocations", "--secrets", secrets, "--at", str(row.get("now", NOW)),
                "--method", "GET", "--url", row.get("request", ENV["default_request"]),
                "--leeway", str(ENV["skew"]), "--max-life", str(ENV["max_ttl"])]
        need = row.get("need_permission", ENV["default_need_permission"])
        args += ["--require", need] if need is not None else []
        args += ["--iss", row["need_issuer"]] if "need_issuer" in row else []
        args += ["--aud", row["need_audience"]] if "need_audience" in row else []
        code, out, err = run(*args, stdin=token, data=data)
        result, status = answers[i + 1][:2]
        words = bytes.fromhex(answers[i + 2][0]).decode()
        front = "" if result == "ok" else "refused %s %s: " % (status, result)
        assert (code, out) == (0 if result == "ok" else 1, front + words + "\n"), (row["id"], out, words, err)
    assert len(rows) >= 350, len(rows)


# ---- what only one binding promises ----


@functools.lru_cache(None)
def corner():
    """A ring file, a library of another version and one that is something else."""
    d = scratch()
    ring, fake, none = (os.path.join(d, n) for n in ("secrets", "fake.so", "none.so"))
    with open(os.open(ring, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(ring_text())
    for path, source in ((fake, 'const char *subtoken_version(void);\n'
                                'const char *subtoken_version(void) { return "9.9.9"; }\n'),
                         (none, "int nothing(void);\nint nothing(void) { return 0; }\n")):
        with open(path + ".c", "w") as f:
            f.write(source)
        sh("gcc", "-shared", "-fPIC", path + ".c", "-o", path)
    claims = json.loads(unb64(ENV["golden"].split(".")[1]))
    fresh = dict(claims, iat=int(time.time()), exp=int(time.time()) + 3600)
    return ring, fake, none, {"now": NOW, "good": ENV["golden"], "fresh": sign(KEY, fresh),
                              "other": sign(KEY, dict(claims, sub="pk_other"))}


@test
def the_python_binding_keeps_its_promises():
    ring, fake, none, case = corner()
    _, env = programs()["Python"]
    out = sh(PYTHON, "-B", "-W", "error", os.path.join(HERE, "binding.py"), ring, fake, none,
             input=json.dumps(case), env=env, timeout=300)
    assert out.count("ok ") == 8, out


@test
def the_lua_binding_keeps_its_promises():
    ring, fake, none, case = corner()
    _, env = programs()["Lua"]
    for mode in ("-O3", "-joff"):
        out = sh("luajit", mode, os.path.join(HERE, "binding.lua"), ring, fake, none, str(NOW),
                 case["good"], case["other"], case["fresh"], env=env, timeout=300)
        assert out == "ok binding.lua\n", out


@test
def a_binding_takes_a_later_patch_and_no_earlier_one():
    """As libsubtoken(3) says: a patch only adds."""
    d = scratch()
    data = open(library(), "rb").read()
    here, minor = b"%s\0" % VERSION.encode(), VERSION.rpartition(".")[0]
    assert data.count(here) == 1

    def taken(binding, version):
        """Does the binding, whose own version is this or VERSION, load the library?"""
        own, there = (version, VERSION) if version == minor + ".9" else (VERSION, version)
        other = os.path.join(d, "libsubtoken.so." + there)
        with open(other, "wb") as f:
            f.write(data.replace(here, b"%s\0" % there.encode()))
        mine = os.path.join(d, os.path.basename(binding))
        with open(mine, "w") as f:
            f.write(read(binding).replace('"%s"' % VERSION, '"%s"' % own))
        command = ([PYTHON, "-B", "-c", "import subtoken; subtoken.load(); subtoken.url_covers('/a', '/a')"]
                   if binding.endswith(".py") else
                   ["luajit", "-e", "require 'subtoken'.url_covers('/a', '/a')"])
        p = subprocess.run(command, capture_output=True, text=True, env=dict(
            os.environ, SUBTOKEN_LIBRARY=other, PYTHONPATH=d, LUA_PATH=d + "/?.lua"))
        assert (p.returncode == 0) == ("is libsubtoken " + there not in p.stderr), p
        return p.returncode == 0

    major = int(VERSION.split(".")[0])
    for name in ("lib/python3/dist-packages/subtoken.py", "share/lua/5.1/subtoken.lua"):
        binding = os.path.join(prefix(), name)
        assert taken(binding, VERSION), name
        assert taken(binding, minor + ".8"), name
        assert not taken(binding, minor + ".9"), name  # the binding's: the library is earlier
        assert not taken(binding, "%d.9.0" % major), name
        assert not taken(binding, "9.1.0"), name
        assert not taken(binding, "x.1.0"), name


@test
def a_binding_that_is_not_installed_ignores_a_library_nearby():
    """Only a binding that lies where `make install` puts it looks into its own PREFIX."""
    _, fake, _, _ = corner()
    python, lua = (os.path.join(prefix(), p) for p in ("lib/python3/dist-packages/subtoken.py",
                                                       "share/lua/5.1/subtoken.lua"))
    env = {k: v for k, v in os.environ.items()
           if k not in ("SUBTOKEN_LIBRARY", "LUA_PATH", "PYTHONPATH")}
    env["LD_LIBRARY_PATH"] = os.path.join(prefix(), "lib")

    def loaded(binding, folder, relative=None):
        """Does the binding, copied into this folder, load the fake?"""
        d = scratch()
        here = os.path.join(d, folder)
        os.makedirs(here)
        shutil.copy(binding, here)
        at = here  # wherever it might look
        while at != d:
            at = os.path.dirname(at)
            for place in (at, os.path.join(at, "lib")):
                os.makedirs(place, exist_ok=True)
                shutil.copy(fake, os.path.join(place, SONAME))
        where = here if relative is None else relative
        if binding == python:
            command = [PYTHON, "-B", "-c", "import subtoken; subtoken.load()"]
            named = {"PYTHONPATH": where}
        else:
            command = ["luajit", "-e", "require 'subtoken'.load()"]
            named = {"LUA_PATH": where + "/?.lua"}
        p = subprocess.run(command, cwd=d, env=dict(env, **named), capture_output=True, text=True)
        assert p.returncode == ("9.9.9" in p.stderr), p
        return p.returncode == 1

    for folder in ("x/py", "a/b/c/d", "lib/python3", "lib/python3/dist-packages/sub", "a/python3/x",
                   "lib/python2.7/dist-packages", "share/lua/5.1", "xlib/python3/site-packages"):
        assert not loaded(python, folder), folder
    for folder in ("lib/python3/dist-packages", "p/lib/python3.11/site-packages"):
        assert loaded(python, folder), folder
    for folder in ("x/y/z", "a/b/c/d", "lua/5.1", "share/lua/5.2", "share/lua/5.1/sub",
                   "xshare/lua/5.1"):
        assert not loaded(lua, folder), folder
    assert loaded(lua, "share/lua/5.1") and loaded(lua, "p/share/lua/5.1")
    for folder, relative in (("share/lua/5.1", "share/lua/5.1"), ("share/lua/5.1", "./share/lua/5.1"),
                             ("x/y/z", "x/y/z")):
        assert not loaded(lua, folder, relative), (folder, relative)


# ---- inside nginx ----


@test
def the_nginx_configuration_of_the_lua_binding_works():
    """The configuration that subtoken.lua shows, as it stands there."""
    data = data_dir()
    key = make_key(data)["key"]
    d = scratch()
    lua = read(prefix(), "share/lua/5.1/subtoken.lua")
    shown = re.search(r"^(  init_by_lua_block \{.*?^  \}\n)(  access_by_lua_block \{.*?^  \}\n)", lua,
                      re.S | re.M)
    assert shown, "subtoken.lua shows no configuration"
    init = shown[1].replace("/etc/subtoken/secrets", os.path.join(data, "secrets"))
    init = init.rstrip()[:-1] + """
    slow = subtoken.verifier {
      ring = assert(subtoken.read_ring "%s/secrets"),
      revoked = function(sub) ngx.sleep(0.05) return false end,
    } }
""" % data
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    answer = 'content_by_lua_block { ngx.print(ngx.var.sub) }'
    config = """
user root; worker_processes 1; daemon off; pid %(d)s/pid; error_log %(d)s/error.log;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %(d)s/b; proxy_temp_path %(d)s/p;
  fastcgi_temp_path %(d)s/f; uwsgi_temp_path %(d)s/u; scgi_temp_path %(d)s/s;
  lua_shared_dict revoked 1m;
  lua_package_path "%(prefix)s/share/lua/5.1/?.lua;;";
%(init)s
  server {
    listen 127.0.0.1:%(port)d;
    set $sub "";
    location / {
%(access)s
      %(answer)s
    }
    location /v2/slow/ {
%(slow)s
      %(answer)s
    }
    location = /revoke { content_by_lua_block {
      assert(ngx.shared.revoked:safe_set(ngx.var.arg_sub, true))
    } }
    location = /mark { content_by_lua_block {
      assert(ngx.shared.revoked:safe_set(":fresh", true, tonumber(ngx.var.arg_ttl)))
    } }
    location = /forget { content_by_lua_block { ngx.shared.revoked:flush_all() } }
  }
}
""" % {"d": d, "prefix": prefix(), "init": init, "port": port, "access": shown[2], "answer": answer,
       "slow": shown[2].replace("verifier:verify", "slow:verify")}
    path = os.path.join(d, "nginx.conf")
    with open(path, "w") as f:
        f.write(config)
    nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", path],
                             stderr=subprocess.PIPE, text=True)
    url = "http://127.0.0.1:%d" % port
    try:
        deadline = time.time() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert nginx.poll() is None and time.time() < deadline, nginx.stderr.read()
                time.sleep(0.05)

        def get(target, *headers, method="GET"):
            args = [x for h in headers for x in ("-H", h)]
            args += ["-I"] if method == "HEAD" else ["-X", method]
            a = curl(url + target, "--path-as-is", *args)
            return a.status, a.header("WWW-Authenticate"), a.body

        token = issue(data, key, "--permissions", "account", "--urls", "GET:/v2/account,/v2/items/*")
        sub = payload(token)["sub"]
        bearer = "Authorization: Bearer " + token
        invalid, lacking = CHALLENGE[401], CHALLENGE[403]
        # Just started, with an empty list: nobody can know.
        assert get("/v2/account", bearer)[:2] == (503, None)
        assert get("/v2/account", bearer + "x")[:2] == (401, invalid)
        assert get("/mark?ttl=60")[0] == 200
        assert get("/v2/account?v=latest", bearer) == (200, None, sub)
        assert get("/v2/items/5", bearer, method="POST")[0] == 200
        assert get("/v2/account", bearer, method="HEAD")[0] == 200
        assert get("/v2/account")[:2] == (401, "Bearer")
        assert get("/v2/account", "Authorization: Basic QTpC")[:2] == (401, "Bearer")
        assert get("/v2/account", bearer[:-1])[:2] == (401, invalid)
        assert get("/v2/account", bearer + "x")[:2] == (401, invalid)
        assert get("/v2/account", bearer, method="POST")[:2] == (403, lacking)
        assert get("/v2/bank", bearer)[:2] == (403, lacking)
        # What nginx would tidy up is checked as it came.
        for target in ("/v2//account", "/v2/x/../account", "/v2/%2e%2e/v2/account", "/v2/account;x"):
            assert get(target, bearer)[0] == 400, target
        bare = issue(data, key, "--permissions", "inventories", "--urls", "/v2/account")
        assert get("/v2/account", "Authorization: Bearer " + bare)[:2] == (403, lacking)

        # Requests that wait for `revoked` at the same time keep their own answers.
        keys = [make_key(data, name="n%d" % i)["key"] for i in range(12)]
        tokens = [issue(data, k, "--permissions", "account", "--urls", "/v2/slow/%d" % i)
                  for i, k in enumerate(keys)]
        got = {}

        def one(i):
            got[i] = [get("/v2/slow/%d" % i, "Authorization: Bearer " + tokens[i]),
                      get("/v2/slow/%d" % (i + 1), "Authorization: Bearer " + tokens[i])]

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(tokens))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for i, t in enumerate(tokens):
            assert got[i][0] == (200, None, payload(t)["sub"]), got[i]
            assert got[i][1][:2] == (403, lacking), got[i]

        assert get("/revoke?sub=" + sub)[0] == 200
        assert get("/v2/account", bearer)[:2] == (401, invalid)
        assert get("/v2/bank", bearer)[:2] == (401, invalid)

        # A list that is no longer kept up: what it has is revoked, of the rest nobody knows.
        another = issue(data, keys[0], "--permissions", "account", "--urls", "/v2/account")
        other = "Authorization: Bearer " + another
        assert get("/v2/account", other)[0] == 200
        assert get("/mark?ttl=0.2")[0] == 200
        time.sleep(0.4)
        assert get("/v2/account", other)[:2] == (503, None)
        assert get("/v2/bank", other)[:2] == (503, None)
        assert get("/v2/account", bearer)[:2] == (401, invalid)
        assert get("/mark?ttl=60")[0] == 200
        assert get("/v2/account", other)[0] == 200
        assert get("/forget")[0] == 200  # as is a list that has lost what it had
        assert get("/v2/account", bearer)[:2] == (503, None)
        errors = read(d, "error.log")
        assert "[error]" not in errors and "[alert]" not in errors, errors[-2000:]
    finally:
        nginx.terminate()
        nginx.wait(timeout=120)

main()
