"""What the README shows is run: its transcripts, its program, and `make run`."""
import socket
from support import *

README = open(os.path.join(os.path.dirname(TESTS), "README.md")).read()


def blocks(kind):
    return re.findall(r"^```%s\n(.*?)^```" % kind, README, re.S | re.M)


ACCESS_FILE, POLICY = blocks("json")


def transcript(block):
    """[(command, expected output)]"""
    steps = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append([line[2:], ""])
        else:
            steps[-1][1] += line + "\n"
    return steps


def place():
    """A folder in which build/subtoken is the program under test."""
    d = scratch()
    os.symlink(os.path.dirname(PROGRAM), os.path.join(d, "build"))
    return d


def play(block, cwd, env, port):
    """One shell for all of a block, as a reader has."""
    script, expected = "", []
    for command, output in transcript(block):
        script += command.replace("127.0.0.1:8080", "127.0.0.1:%d" % port) + "\necho @@@\n"
        expected.append((command, output))
    p = subprocess.run(["bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True,
                       timeout=60)
    got = p.stdout.split("@@@\n")
    for (command, output), shown in zip(expected, got):
        pattern = re.escape(output.strip()).replace("…", ".+")
        assert re.fullmatch(pattern, shown.strip()), (command, output, shown, p.stderr)
    return len(expected)


@test
def transcripts_do_what_they_show():
    d = place()
    for name, text in zip(("policy.json", "api-access.json"), (POLICY, ACCESS_FILE)):
        with open(os.path.join(d, name), "w") as f:
            f.write(text)
    with Server(data=os.path.join(d, "var"), args=["--demo"]) as server:
        out = open(server.stdout_path).read()
        key = re.search(r"^  ([0-9A-F-]{72})$", out, re.M).group(1)
        env = dict(os.environ, KEY=key)
        steps = [play(b, d, env, server.port) for b in blocks("console")]
        assert len(steps) == 8 and sum(steps) >= 10, steps


def compiled(source, d, name):
    with open(os.path.join(d, name + ".c"), "w") as f:
        f.write(source)
    root = os.path.dirname(TESTS)
    san = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}.get(SANITIZER, [])
    subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", *san, "-I" + root + "/include",
                    name + ".c", os.path.join(os.path.dirname(PROGRAM), "libsubtoken.a"), "-o", name],
                   cwd=d, check=True)


@test
def the_program_for_edges_compiles_and_decides():
    d = place()
    data = os.path.join(d, "var")
    key = make_key(data)["key"]
    good = issue(data, key, "--permissions", "account", "--urls", "/v2/account")
    other = issue(data, key, "--permissions", "account", "--urls", "/v2/items")
    compiled(blocks("c")[0], d, "edge")
    for token, expected, code in ((good, "200 ok\n", 0), (other, "403 url\n", 1),
                                  (good[:-2], "401 malformed\n", 1)):
        p = subprocess.run(["./edge"], cwd=d, input=token + "\n", capture_output=True, text=True)
        assert (p.stdout, p.returncode) == (expected, code), (p.stdout, p.stderr)


@test
def what_a_route_needs_is_decided_so():
    d = place()
    data = os.path.join(d, "var")
    key = make_key(data)["key"]
    token = issue(data, key, "--permissions", "account,inventories")
    policy, (_, source) = POLICY, blocks("c")
    ring = open(os.path.join(data, "secrets")).read()
    text = lambda s: "SUBTOKEN_TEXT(%s)" % json.dumps(s)
    asks = [(token, "GET", "/v2/account/bank?v=latest", "200 -"), (token, "HEAD", "/v2/account/bank", "200 -"),
            (token, "PUT", "/v2/account/bank", '403 Bearer error="insufficient_scope"'),
            (token, "GET", "/v2/characters/Zed", '403 Bearer error="insufficient_scope"'),
            (token, "GET", "/v2/nowhere", '403 Bearer error="insufficient_scope"'),
            ("", "GET", "/v2/nowhere", "401 Bearer"), ("", "GET", "/v2/account/bank", "401 Bearer"),
            (token[:-2] + "AA", "GET", "/v2/nowhere", '401 Bearer error="invalid_token"'),
            ("", "GET", "/v2/items", "200 -"), ("x", "GET", "/v2/items", "200 -"),
            ("", "GET", "/v2/items/..", "400 -")]
    rows = "".join("{%s, %s, %s},\n" % tuple(map(text, a[:3])) for a in asks)
    compiled("#include <stdio.h>\n#include <time.h>\n" + source + """
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
    subtoken_request request = {.now = time(NULL), .method = asks[i].method, .target = asks[i].target};
    const char *challenge;
    int status = decide(&verifier, policy, asks[i].token, &request, &challenge);
    printf("%%d %%s\\n", status, challenge != NULL ? challenge : "-");
  }
  free((void *)policy);
  return 0;
}
""" % (rows, text(ring), text(policy)), d, "route")
    p = subprocess.run(["./route"], cwd=d, capture_output=True, text=True)
    assert p.returncode == 0, p
    assert p.stdout.splitlines() == ["2:10"] + [a[3] for a in asks], p.stdout


@test
def python_and_lua_decide_alike():
    if SANITIZER:
        return "the library would need the sanitizer's own program around it"
    d = place()
    data = os.path.join(d, "var")
    key = make_key(data)["key"]
    good = issue(data, key, "--permissions", "account", "--urls", "/v2/account")
    bindings = os.path.join(os.path.dirname(TESTS), "src", "bindings")
    env = dict(os.environ, PYTHONPATH=bindings, LUA_PATH=bindings + "/?.lua", LANG="C.UTF-8",
               SUBTOKEN_LIBRARY=os.path.join(os.path.dirname(PROGRAM), "libsubtoken.so"))
    (python,), (lua,) = blocks("python"), blocks("lua")
    ask = "\nprint(%s)\nprint(%s)\n" % tuple('decide("%s", "GET", "%s")' % (good, target)
                                             for target in ("/v2/account", "/v2/items"))
    refusal = "url GET /v2/items is not in [/v2/account]\n"
    p = subprocess.run([sys.executable, "-c", python + ask], cwd=d, env=env, capture_output=True,
                       text=True)
    assert p.stdout == ("(200, None)\n" + refusal + "(403, 'Bearer error=\"insufficient_scope\"')\n"
                        ), (p.stdout, p.stderr)
    p = subprocess.run(["luajit", "-e", lua + ask], cwd=d, env=env, capture_output=True, text=True)
    assert p.stdout == ("200\tnil\n" + refusal + "403\tBearer error=\"insufficient_scope\"\n"
                        ), (p.stdout, p.stderr)


@test
def make_run_serves_and_its_lines_can_be_pasted():
    root = os.path.dirname(TESTS)
    if os.path.dirname(PROGRAM) != os.path.join(root, "build"):
        return "make run builds the plain program"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    data = data_dir()
    out_path = os.path.join(scratch(), "out")
    p = subprocess.Popen(["make", "run", "PORT=%d" % port, "DATA=" + data], cwd=root,
                         stdout=open(out_path, "w"), stderr=subprocess.STDOUT,
                         start_new_session=True)
    try:
        deadline = time.time() + 120
        while time.time() < deadline and open(out_path).read().count("  curl ") < 4:
            assert p.poll() is None, open(out_path).read()
            time.sleep(0.1)
        lines = re.findall(r"^  (curl .*)$", open(out_path).read(), re.M)
        answers = [subprocess.run(["bash", "-c", l], capture_output=True, text=True).stdout
                   for l in lines]
        assert len(answers) == 4, open(out_path).read()
        assert payload(json.loads(answers[3])["access_token"])["permissions"][:3] == ["keys", "users", "audit"]
        token = json.loads(answers[0])["subtoken"]
        assert payload(token)["urls"] == ["/v2/tokeninfo"]
        assert json.loads(answers[1])["type"] == "Subtoken"
        assert answers[2] == '{"text":"this subtoken does not list this url"}'
    finally:
        os.killpg(p.pid, signal.SIGTERM)
        p.wait(timeout=20)


main()
