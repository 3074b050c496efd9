"""What the README shows is run: its transcripts, its program, and `make run`."""
import socket
from support import *

README = open(os.path.join(os.path.dirname(TESTS), "README.md")).read()


def blocks(kind):
    return re.findall(r"^```%s\n(.*?)^```" % kind, README, re.S | re.M)


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
    with Server(data=os.path.join(d, "var"), args=["--demo"]) as server:
        out = open(server.stdout_path).read()
        key = re.search(r"^  ([0-9A-F-]{72})$", out, re.M).group(1)
        env = dict(os.environ, KEY=key)
        steps = [play(b, d, env, server.port) for b in blocks("console")]
        assert len(steps) == 2 and sum(steps) >= 8, steps


@test
def the_program_for_edges_compiles_and_decides():
    d = place()
    data = os.path.join(d, "var")
    key = make_key(data)["key"]
    good = issue(data, key, "--permissions", "account", "--urls", "/v2/account")
    other = issue(data, key, "--permissions", "account", "--urls", "/v2/items")
    (source,) = blocks("c")
    with open(os.path.join(d, "edge.c"), "w") as f:
        f.write(source)
    root = os.path.dirname(TESTS)
    san = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}.get(SANITIZER, [])
    subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", *san, "-I" + root + "/include",
                    "edge.c", os.path.join(os.path.dirname(PROGRAM), "libsubtoken.a"), "-o", "edge"],
                   cwd=d, check=True)
    for token, expected, code in ((good, "200 ok\n", 0), (other, "403 url\n", 1),
                                  (good[:-2], "401 malformed\n", 1)):
        p = subprocess.run(["./edge"], cwd=d, input=token + "\n", capture_output=True, text=True)
        assert (p.stdout, p.returncode) == (expected, code), (p.stdout, p.stderr)


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
               SUBTOKEN_LIBRARY=os.path.join(os.path.dirname(PROGRAM), "libsubtoken.so.0"))
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
        while time.time() < deadline and open(out_path).read().count("  curl ") < 3:
            assert p.poll() is None, open(out_path).read()
            time.sleep(0.1)
        lines = re.findall(r"^  (curl .*)$", open(out_path).read(), re.M)
        answers = [subprocess.run(["bash", "-c", l], capture_output=True, text=True).stdout
                   for l in lines]
        assert len(answers) == 3, open(out_path).read()
        token = json.loads(answers[0])["subtoken"]
        assert payload(token)["urls"] == ["/v2/tokeninfo"]
        assert json.loads(answers[1])["type"] == "Subtoken"
        assert answers[2] == '{"text":"this subtoken does not list this url"}'
    finally:
        os.killpg(p.pid, signal.SIGTERM)
        p.wait(timeout=20)


main()
