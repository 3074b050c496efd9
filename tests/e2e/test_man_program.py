"""What the manual pages of the program show is run; what they list is held against the program: commands, settings,
calls, reasons and events. The library's pages: test_man.py."""
import http.client, shlex
from manpages import *
from postgres import Cluster
from transcripts import *

COMMON = {"data", "config", "json"}  # described once, for all commands
SOURCE = {f: open(f).read() for f in sorted(glob.glob(os.path.join(ROOT, "src", "**", "*.c"), recursive=True))}
CODE = "".join(SOURCE.values())


def source_with(text):
    """The one file of the program in which it stands."""
    found = [f for f in SOURCE if text in SOURCE[f]]
    assert len(found) == 1, (text, found)
    return SOURCE[found[0]]


# ---- commands ----

def asked(*words):
    """{command: help} of all commands below words."""
    code, out, err = run(*words, "--help")
    assert code == 0 and err == "", (words, code, err)
    below = re.findall(r"^  ([a-z-]+) ", out, re.M) if "COMMAND" in out.splitlines()[0] else []
    found = {} if below else {" ".join(words): out}
    for word in below:
        found.update(asked(*words, word))
    return found


def commands_and_options_are_those_of_the_program():
    text, options = section("subtoken.1", "SYNOPSIS"), {}
    helped = asked()
    assert len(helped) > 15, helped
    for form in re.split(r"^\.Nm\n", text, flags=re.M)[1:]:
        command = re.match(r"\.Cm (.*)\n", form).group(1)
        assert command not in options, command
        options[command] = set(re.findall(r"\bFl -([a-z-]+)", form))
        usage = helped.get(command, "usage: subtoken %s\n" % command)
        words = re.match(r"usage: subtoken %s((?: [A-Z]+)*)" % command, usage).group(1).split()
        assert [w.upper() for w in re.findall(r"^\.Ar (\S+)", form, re.M)] == words, command
    known = {c: set(re.findall(r"--([a-z-]+)", h)) for c, h in helped.items()}
    assert options == known, ("SYNOPSIS of subtoken.1 and the usage of the program differ: %s"
                              % [(c, options.get(c), known.get(c)) for c in {*options, *known} if options.get(c) != known.get(c)])
    described = {}
    for block in re.split(r"^\.It Cm ", section("subtoken.1", "DESCRIPTION"), flags=re.M)[1:]:
        command = block.split("\n", 1)[0]
        assert command not in described, command
        described[command] = set(re.findall(r"^\.It Fl -([a-z-]+)", block, re.M))
    known = {c: o - COMMON for c, o in options.items()}
    assert described == known, ("DESCRIPTION and SYNOPSIS of subtoken.1 differ: %s"
                                % [(c, described.get(c), known.get(c)) for c in {*described, *known} if described.get(c) != known.get(c)])
    every = set().union(*options.values(), {"help", "version"})
    for page in PAGES:
        for command, option in re.findall(r"\bNm subtoken Cm ([a-z -]+?) Fl -([a-z-]+)", PAGES[page]):
            assert option in options[command], (page, command, option)
        for option in re.findall(r"\bFl -([a-z-]+)", PAGES[page]):
            assert option in every, (page, option)
    for option in ("help", "version"):
        assert run("--" + option, check=0)[1] != ""


# ---- settings ----

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text):
    number, unit = re.fullmatch(r'"?(\d+) ?([smhd]?)"?', text).groups()
    return int(number) * UNITS[unit]


def settings():
    """{name: (default, value)} of the table."""
    return {r[0]: (re.sub(r"^Li ", "", r[1]), re.sub(r"^Li ", "", r[2]))
            for r in rows(section("subtoken.conf.5", "SETTINGS"), "Ic")}


def settings_are_those_of_the_program():
    config = source_with('{"sessions_per_key", config_read_')
    known = re.findall(r'^ +\{"(\w+)", config_read_\w+\}', config, re.M)
    described = re.findall(r"^\.It Ic (\S+)$", section("subtoken.conf.5", "SETTINGS"), re.M)
    table = settings()
    assert sorted(known) == sorted(described) == sorted(table) and len(known) > 10, (known, described, table)
    for page in PAGES:
        for name in re.findall(r"\b(?:setting|settings)\n\.Ic (\w+)", PAGES[page]):
            assert name in table, (page, name)


def defaults_are_those_of_the_program():
    config = source_with('{"sessions_per_key", config_read_')
    day = {"DAY": 86400}
    body = re.search(r"^void st_\w+_default\(st_settings \*settings\) \{\n(.*?)^\}", config, re.M | re.S).group(1)
    set_ = {n: eval(v, day) for n, v in re.findall(r"settings->(\w+) = ([\d *A-Z]+);", body)}
    assert len(set_) >= 9, body
    for name, (default, _) in settings().items():
        if name in set_:
            assert seconds(default) == set_.pop(name), name
    assert set_ == {}, set_  # what is set to anything else than nothing is a number in the table
    assert '"%s"' % plain(settings()["listen"][0]).strip('"') in body


class Refused(Exception):
    pass


def takes(value):
    """A server with this configuration; Refused when it does not start."""
    d = scratch()
    with open(os.path.join(d, "config"), "w") as f:
        f.write(json.dumps(value))
    p = subprocess.Popen([PROGRAM, "serve", "--data", os.path.join(d, "var"), "--config", os.path.join(d, "config")]
                         + ([] if "listen" in value else ["--listen", "127.0.0.1:0"]),
                         stderr=subprocess.PIPE, text=True)
    line = p.stderr.readline()
    p.terminate()
    p.stderr.close()
    if p.wait(timeout=60) != 0:
        raise Refused(line)
    assert '"listening"' in line, line


def ranges_are_those_of_the_program():
    checked = 0
    for name, (_, value) in settings().items():
        found = re.fullmatch(r"a (?:time|number), (.+) to (.+)", value)
        if not found:
            continue
        least, most = seconds(found.group(1)), seconds(found.group(2))
        others = {"max_life": most} if name == "default_life" else {"default_life": 1}
        # A thread each, and as much memory: the largest number is not tried, the next one is refused.
        for good in (least, 64 if name in ("threads", "store_cache") else most):
            takes({**others, name: good})
        for bad in (least - 1, most + 1):
            try:
                takes({**others, name: bad})
                assert False, (name, bad)
            except Refused as refused:
                assert '"%s"' % name in str(refused) and "line 1" in str(refused), refused
        checked += 1
    assert checked == 12, checked


def values_are_those_of_the_program():
    good = [{"listen": ["127.0.0.1:0"] * 16}, {"credentials": ["basic", "bearer", "query", "x-api-key"]},
            {"rate": {"per_second": 1000000, "burst": 1}}, {"rate": "off"}, {"registration": "open"},
            {"trusted_proxies": ["10.0.0.0/8"] * 32}, {"trusted_proxies": ["unix:"]}, {"log": "stderr"}]
    bad = [{"listen": []}, {"listen": ["127.0.0.1:0"] * 17}, {"listen": "unix:" + "/" + "x" * 100},
           {"credentials": []}, {"credentials": ["basic", "basic"]}, {"basic_challenge": True, "credentials": ["query"]},
           {"rate": {"per_second": 1000001, "burst": 1}}, {"rate": {"per_second": 1}}, {"registration": "yes"},
           {"trusted_proxies": ["10.0.0.0/8"] * 33}, {"log": "x" * 1024}, {"policy": ""}, {"unknown": 1},
           {"default_life": "2d", "max_life": "1d"}]
    for value in good:
        takes(value)
    for value in bad:
        try:
            takes(value)
            assert False, value
        except Refused as refused:
            assert "line 1, column" in str(refused), refused


def what_a_running_server_takes_is_that_of_the_program():
    """The settings that need a restart, and the signals that end it, on the pages and in its help."""
    named = re.search(r"^A new value of\n(.*?)^needs a restart", PAGES["subtoken.conf.5"], re.M | re.S).group(1)
    fixed = re.search(r"\bserve_needs_restart\(.*?^}", CODE, re.M | re.S).group(0)
    known = set(", ".join(re.findall(r'"([a-z_, ]+)"', fixed)).split(", "))
    assert set(re.findall(r"^\.Ic (\w+)", named, re.M)) == known and len(known) > 5, known
    ends = set(re.findall(r"case (SIG\w+):", re.search(r"((?:\s*case SIG\w+:)+) return;", CODE).group(1)))
    serve = re.search(r"^\.It Cm serve\n(.*?)\.\n", PAGES["subtoken.1"], re.M | re.S).group(1)
    stopping = re.search(r"^\.It (Dv SIGTERM.*)$", PAGES["subtoken_admin.7"], re.M).group(1)
    help = subprocess.run([PROGRAM, "serve", "--help"], capture_output=True, text=True).stdout
    for text in (serve, stopping, re.search("until (.*?)\\.", help).group(1)):
        assert set(re.findall(r"SIG\w+", text)) == ends and len(ends) == 3, (text, ends)


def the_configuration_that_is_shown_is_taken():
    (text,) = literals(section("subtoken.conf.5", "EXAMPLES"))
    value = json.loads(text)
    assert value["listen"] == ["127.0.0.1:8080", "unix:/run/subtoken/http"]
    takes({**value, "listen": ["127.0.0.1:0", "unix:%s/http" % scratch()]})


# ---- calls ----

def calls():
    """{path: methods} of the list."""
    found = re.findall(r"^\.It Li (any|[A-Z]+(?:, [A-Z]+)*) (/\S*)$", section("subtoken_http.7", "DESCRIPTION"), re.M)
    return {path: methods.split(", ") for methods, path in found}


def calls_are_those_of_the_program():
    routes = re.search(r"\broutes\[\] = \{\n(.*?)^\};", source_with("} routes[] = {"), re.M | re.S).group(1)
    known = set(re.findall(r'^ +\{"(/[^"]*)"', routes, re.M))
    shown = calls()
    assert len(known) > 10
    known -= {"/v2/keys/", "/v2/authorize/", "/v1/user/", "/page/", *(p for p in known if p.startswith("/.well-known/") and p.endswith("/"))}
    whole = {p for p in shown if not re.search("/(ID|LOGIN)", p)}
    assert known == whole, known ^ whole
    text = PAGES["subtoken_http.7"]
    with Server() as server:
        key = make_key(server.data, "keys")
        for path, methods in shown.items():
            if path not in ("/v2/authorize", "/"):  # any, and OPTIONS of the whole server
                c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                c.request("OPTIONS", path.replace("ID", key["id"]).replace("LOGIN", "alice"))
                answer = c.getresponse()
                allowed = set(answer.getheader("Allow", "").split(", ")) - {"HEAD", "OPTIONS"}
                assert answer.status == 204 and allowed == set(methods), (path, answer.status, allowed)
                c.close()
    text = text[text.index(".Sh REQUESTS"):]
    described = re.findall(r"^\.It Li ([A-Z]+) (/\S*)(?: Ns Ar (ID|LOGIN))?(?: Ns Li (\S+))?", text, re.M)
    for method, path, key_id, rest in described:
        assert method in shown[path + key_id + rest], (method, path)
    covered = {path + key_id + rest for _, path, key_id, rest in described}
    covered |= set(re.findall(r"^\.Ss (/\S+)", text, re.M)) | {"/v2/authorize", "/v2/revocations", "/v2/ring", "/healthz", "/readyz"}
    assert covered == set(shown), ("in DESCRIPTION's list or under REQUESTS of subtoken_http.7, but not in both: %s"
                                   % sorted(covered ^ set(shown)))


def statuses_are_those_of_the_program():
    known = re.search(r"^static const char \*reason_phrase\(.*?^}", CODE, re.M | re.S).group(0)
    shown = " ".join(re.findall(r"^\.It (\d[\d, ]*)$", section("subtoken_http.7", "ANSWERS"), re.M))
    assert sorted(re.findall(r"\d+", shown)) == re.findall(r"case ([45]\d\d):", known), shown


# ---- the log ----

def words(page, heading):
    text = re.search(r"^\.Ss %s\n(.*?)(?=^\.S[sh] )" % heading, PAGES[page], re.M | re.S).group(1)
    return re.findall(r"^\.It Cm (\w+)$", text, re.M)


def reasons_are_those_of_the_program():
    reasons = words("subtoken_admin.7", "Reasons")
    verdicts = [r[0] for r in rows(section("subtoken.1", "REASONS"), "Cm")]
    assert len(reasons) == len(set(reasons)) > 20 and not set(reasons) & set(verdicts)
    for reason in reasons:
        assert '"%s"' % reason in CODE, reason
    given = set(re.findall(r'\b(?:4\d\d|503),\s*"([a-z_]+)",', CODE))
    given |= set(re.findall(r'\bevent = "([a-z_]+)"', CODE))
    given |= set(re.findall(r'\bst_reply_\w+\([^;"]*"([a-z_]+)",', CODE))
    given &= {w for w in given if "_" in w} | set(reasons)
    events = words("subtoken_admin.7", "Events")
    assert len(given) > 15 and given <= set(reasons + verdicts + events), given - set(reasons + verdicts + events)


def events_are_those_of_the_program():
    """Of the server: those of `pull` are in subtoken(1)."""
    known = set()
    for name, text in SOURCE.items():
        if "pull" in os.path.basename(name):
            continue
        known |= {w for found in re.findall(r'\breport\("(\w+)"\)|\*event = "(\w+)"|\\"event\\":\\"(\w+)', text)
                  for w in found if w}
        for call in re.findall(r"\bst_log_event\(([^,]*),|\bserve_log_result\(([^;]*);|\bst_log_begin\(&writer, now, ([^)]*)\)", text):
            known |= set(re.findall(r'"(\w+)"', "".join(call)))
    ring = re.search(r"^static const char \*keyring_file_read\(.*?^}", CODE, re.M | re.S).group(0)
    for answer in re.findall(r"\breturn ([^;]*);", ring):
        known |= set(re.findall(r'"(\w+)"', answer))
    known -= set(words("subtoken_admin.7", "Reasons")) - {"oom", "store_error", "store_rolled_back"}
    known -= {r[0] for r in rows(section("subtoken.1", "REASONS"), "Cm")}
    shown = words("subtoken_admin.7", "Events")
    assert known == set(shown) and len(known) > 15, known ^ set(shown)


# ---- the nginx module ----

def directives_and_variables_are_those_of_the_module():
    module = "".join(t for f, t in SOURCE.items() if "/edge/nginx/" in f)
    known = set(re.findall(r'"(subtoken(?:_[a-z_]+)?)"', module))
    page = PAGES["ngx_http_subtoken_module.5"]
    directives = re.findall(r"^\.It Ic (\w+) ", page, re.M)
    variables = re.findall(r"^\.It Va \$(\w+)$", page, re.M)
    shown = directives + variables
    assert len(shown) == len(set(shown)) > 15 and set(shown) == known, known ^ set(shown)


# ---- what is shown ----

def transcripts_do_what_they_show():
    played = {}
    for page, text in PAGES.items():
        if page.endswith(".3"):
            continue
        d, console = scratch(), [b for b in literals(text) if b.startswith("$ ")]
        for name, content in (("policy.json", '{"default"'), ("agents.json", '{"routes"'), ("api-access.json", '{"permission_map"')):
            for block in literals(text):
                if block.startswith(content):
                    with open(os.path.join(d, name), "w") as f:
                        f.write(block)
        env = dict(os.environ, PATH=BUILD + ":" + os.environ["PATH"])
        env.pop("SUBTOKEN_DATA", None)
        if page == "subtoken_postgresql.7":
            with Cluster(durable=True) as cluster:
                env = dict(cluster.environment(), PATH=BUILD + ":" + cluster.environment()["PATH"])
                played[page] = play("".join(console), d, env, errors=True)
        elif console:
            played[page] = play("".join(console), d, env, free_port(), errors=True)
    assert set(played) == {"subtoken.1", "subtoken_policy.5", "subtoken_admin.7", "subtoken_edges.7", "subtoken_http.7",
                           "subtoken_users.7", "subtoken_postgresql.7"} and sum(played.values()) > 80, played


def units():
    blocks = [b for b in literals(PAGES["subtoken_admin.7"]) if "[Service]" in b]
    return [dict(re.findall(r"^(\w+)=((?:.*\\\n)*.*)$", b, re.M)) for b in blocks]


def units_of_systemd_start_what_they_say():
    serve, pull = units()
    d = scratch()
    with Server(data=os.path.join(d, "var")) as server:
        pass  # there are data now
    command = serve["ExecStart"].replace("/usr/bin/subtoken", PROGRAM).replace("/var/lib/subtoken", server.data)
    p = subprocess.Popen(command.split() + ["--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    try:
        port = re.search(r":(\d+)\"", p.stderr.readline()).group(1)
        reload_ = serve["ExecReload"].replace("$MAINPID", str(p.pid))
        # By the shell's own kill: a small system has no other.
        assert "/kill" not in reload_, reload_
        subprocess.run(shlex.split(reload_), check=True)
        assert '"reloaded"' in p.stderr.readline()
        with open(os.path.join(d, "edge.key"), "w") as f:
            f.write(make_key(server.data, "revocations")["key"])
        os.chmod(f.name, 0o600)
        command = pull["ExecStart"].replace("\\\n", " ").replace("/usr/bin/subtoken", PROGRAM)
        command = command.replace("https://keys.example", "http://127.0.0.1:" + port)
        command = command.replace("/var/lib/subtoken-pull", d).replace("/etc/subtoken/edge.key", f.name)
        subprocess.run(command.split() + ["--once"], check=True, stderr=subprocess.DEVNULL)
        assert os.path.getsize(os.path.join(d, "revocations.alive")) == 160
    finally:
        p.terminate()
        assert p.wait(timeout=60) == 0
        p.stderr.close()


def lines_of_nginx_are_those_of_the_whole_configuration():
    (block,) = [b for b in literals(PAGES["subtoken_edges.7"]) if b.startswith("load_module")]
    whole = iter([" ".join(l.split()) for l in document("src/edge/examples/nginx.conf").splitlines()])
    for line in block.splitlines():
        assert " ".join(line.split()) in whole, line


def c_of(page, word):
    (block,) = [b for b in literals(PAGES[page]) if word in b and "#include" in b]
    return block


def the_program_for_edges_decides():
    d = scratch()
    data = os.path.join(d, "var")
    key = make_key(data)["key"]
    good = issue(data, key, "--permissions", "account", "--urls", "/v2/account")
    other = issue(data, key, "--permissions", "account", "--urls", "/v2/items")
    build(c_of("subtoken_edges.7", "int main(void)"), d, "edge")
    for token, expected, code in ((good, "200 ok\n", 0), (other, "403 url\n", 1), (good[:-2], "401 malformed\n", 1)):
        p = subprocess.run(["./edge"], cwd=d, input=token + "\n", capture_output=True, text=True)
        assert (p.stdout, p.returncode) == (expected, code), (p.stdout, p.stderr)


def what_a_route_needs_is_decided_so():
    d = scratch()
    data = os.path.join(d, "var")
    key = make_key(data)["key"]
    token = issue(data, key, "--permissions", "account,inventories")
    policy = [b for b in literals(PAGES["subtoken_policy.5"]) if b.startswith('{"default"')][0]
    ring = open(os.path.join(data, "secrets")).read()
    text = lambda s: "SUBTOKEN_TEXT(%s)" % json.dumps(s)
    asks = [(token, "GET", "/v2/account/bank?v=latest", "200 -"), (token, "HEAD", "/v2/account/bank", "200 -"),
            (token, "PUT", "/v2/account/bank", '403 Bearer error="insufficient_scope"'),
            (token, "GET", "/v2/characters/Zed", '403 Bearer error="insufficient_scope"'),
            (token, "GET", "/v2/nowhere", '403 Bearer error="insufficient_scope"'),
            ("", "GET", "/v2/nowhere", "401 Bearer"), ("", "GET", "/v2/account/bank", "401 Bearer"),
            (forged(token), "GET", "/v2/nowhere", '401 Bearer error="invalid_token"'),
            ("", "GET", "/v2/items", "200 -"), ("x", "GET", "/v2/items", "200 -"), ("", "GET", "/v2/items/..", "400 -")]
    lines = "".join("{%s, %s, %s},\n" % tuple(map(text, a[:3])) for a in asks)
    p = build("#include <stdio.h>\n#include <time.h>\n" + c_of("subtoken_edges.7", "int decide(") + """
static const struct { subtoken_text token, method, target; } asks[] = {
%s};
int main(void) {
  subtoken_text secrets = %s, file = %s, bad = SUBTOKEN_TEXT("{\\n\\"routes\\":[]}");
  subtoken_ring ring;
  subtoken_policy_error error;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  if (subtoken_ring_read(&ring, secrets, NULL) != SUBTOKEN_OK) return 1;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  if (load(bad, &error) != NULL) return 1;
  printf("%%zu:%%zu\\n", error.line, error.column);
  const subtoken_policy *policy = load(file, &error);
  if (policy == NULL) return 1;
  for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
    subtoken_request request = {.size = sizeof request, .now = time(NULL), .method = asks[i].method, .target = asks[i].target};
    const char *challenge;
    int status = decide(&verifier, policy, asks[i].token, &request, &challenge);
    printf("%%d %%s\\n", status, challenge != NULL ? challenge : "-");
  }
  free((void *)policy);
  return 0;
}
""" % (lines, text(ring), text(policy)), d, "route")
    assert p.returncode == 0, p
    assert p.stdout.splitlines() == ["2:10"] + [a[3] for a in asks], p.stdout


def the_plain_build_covers_it():
    assert PAGES and SANITIZER


for f in ((the_plain_build_covers_it,) if SANITIZER else
          (commands_and_options_are_those_of_the_program, settings_are_those_of_the_program,
           defaults_are_those_of_the_program, ranges_are_those_of_the_program, values_are_those_of_the_program,
           what_a_running_server_takes_is_that_of_the_program,
           the_configuration_that_is_shown_is_taken, calls_are_those_of_the_program,
           statuses_are_those_of_the_program, reasons_are_those_of_the_program,
           events_are_those_of_the_program, directives_and_variables_are_those_of_the_module,
           transcripts_do_what_they_show, units_of_systemd_start_what_they_say,
           lines_of_nginx_are_those_of_the_whole_configuration, the_program_for_edges_decides,
           what_a_route_needs_is_decided_so)):
    test(f)

main()
