"""What the README files of src/edge and src/bindings show is run, or stands in the configuration that it is from.
The one at the top of the tree: test_readme.py."""
from transcripts import *

EDGE = document("src/edge/README.md")
BINDINGS = document("src/bindings/README.md")


@test
def the_lines_of_an_edge_are_those_of_its_configuration():
    shown = [b for kind in ("nginx", "apache", "haproxy", "caddyfile", "yaml") for b in blocks(EDGE, kind)]
    names = []
    for block in shown:
        first, *lines = block.splitlines()
        names.append(first[2:])
        rest = iter([l.strip() for l in document("src/edge/" + first[2:]).splitlines()])
        for line in lines:
            assert line.strip() in rest, (first, line)
        assert 8 <= len(lines) <= 13, (first, len(lines), "about ten lines")
    there = set(os.listdir(os.path.join(ROOT, "src/edge/examples")))
    assert {os.path.basename(n) for n in names} == there - {"gw2-policy.json", "traefik.yaml"}, names


@test
def links_of_the_folders_lead_somewhere():
    for folder, text in (("src/edge", EDGE), ("src/bindings", BINDINGS)):
        links = re.findall(r"\]\(([^)#]+)", text)
        assert links
        for link in links:
            assert os.path.exists(os.path.join(ROOT, folder, link)), (folder, link)
        for path in re.findall(r"`(tests/[a-z0-9_/]+\.py)`", text):
            assert os.path.exists(os.path.join(ROOT, path)), path


@test
def an_edge_gets_its_revocation_data_as_shown():
    d = place()
    with Server(data=os.path.join(d, "var")) as server:
        key = make_key(server.data)["key"]
        with open(os.path.join(d, "token"), "w") as f:
            f.write(issue(server.data, key, "--permissions", "account", "--urls", "/v2/account"))
        (block,) = blocks(EDGE, "console")
        assert play(block, d, port=server.port) == 5


@test
def python_and_lua_decide_alike():
    if SANITIZER:
        return "the library would need the sanitizer's own program around it"
    d = place()
    os.symlink(os.path.join(ROOT, "src"), os.path.join(d, "src"))
    (block,) = blocks(BINDINGS, "console")
    assert play(block, d) == 3
    data = os.path.join(d, "var")
    good = issue(data, make_key(data)["key"], "--permissions", "account", "--urls", "/v2/account")
    (python,), (lua,) = blocks(BINDINGS, "python"), blocks(BINDINGS, "lua")
    ask = "\nprint(%s)\nprint(%s)\n" % tuple('decide("%s", "GET", "%s")' % (good, target)
                                             for target in ("/v2/account", "/v2/items"))
    refusal = "url GET /v2/items is not in [/v2/account]\n"
    setup = transcript(block)[0][0]
    for program, text, told in (
            ("python3 -c", python, "(200, None)\n" + refusal + "(403, 'Bearer error=\"insufficient_scope\"')\n"),
            ("luajit -e", lua, "200\tnil\n" + refusal + "403\tBearer error=\"insufficient_scope\"\n")):
        p = subprocess.run(["bash", "-c", "%s; LANG=C.UTF-8 %s \"$1\"" % (setup, program), "bash", text + ask], cwd=d,
                           capture_output=True, text=True)
        assert p.stdout == told, (p.stdout, p.stderr)


main()
