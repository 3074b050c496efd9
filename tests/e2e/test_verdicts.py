"""One table of requests (tests/vectors/edges.json), and every edge: C, Python, Lua, nginx, HAProxy, Apache httpd, Go, Node, workerd and the
decision endpoint say the same about each. What one of them cannot see by its nature stands in the table, with what it
says instead."""
import itertools
from edges import *

go_program()  # first: it takes its time to build, and tokens of the table are good for half a minute
WORLD = World()
INVALID_REQUEST = 'Bearer error="invalid_request"'


def challenge_of(case):
    if case["result"] == "auth_missing":
        return "Bearer"
    if case["status"] == 400:
        named = case["result"] == "auth_ambiguous" or case["text"].startswith("access_token")
        return INVALID_REQUEST if named else ""
    return {401: 'Bearer error="invalid_token"', 403: 'Bearer error="insufficient_scope"'}.get(case["status"], "")


def wanted(case, edge):
    """What this edge has to say; None: the table says why it cannot be asked."""
    other = case.get("but", {}).get(edge, {})
    if "any" in other:
        return None
    if "own" in other:
        return {"status": other["own"]}
    said = {**case, **other}
    want = {"status": said["status"], "result": said["result"], "challenge": said.get("challenge", challenge_of(said))}
    if said["status"] == 200:
        want.update(who=WORLD.who(said.get("who")), seen=WORLD.fill(said.get("seen", said["target"])))
    else:
        want["text"] = said["text"]
    return want


def differences(edge, cases):
    found = []
    for case in cases:
        want = wanted(case, edge.name)
        if want is None:
            continue
        said = edge.ask(case)
        for part in sorted(set(said) & set(want)):
            if said[part] != want[part]:
                found.append((edge.name, case["name"], part, said[part], "not", want[part]))
    return found


def hold(make):
    """make: gives an edge of a kind."""
    found = []
    for kind in KINDS:
        edge = make(kind)
        try:
            found += differences(edge, [c for c in TABLE["cases"] if c.get("edge", "") == kind])
        finally:
            edge.stop()
    assert not found, "%d differences:\n%s" % (len(found), "\n".join(map(str, found)))


def program(name):
    """Of verdicts.c in C, or of a binding."""
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(prefix(), "lib"))
    if name == "C":
        out = os.path.join(scratch(), "verdicts")
        sh("gcc", "-std=c11", *WARNINGS, *pkg_config("--cflags"), os.path.join(HERE, "verdicts.c"), *pkg_config("--libs"),
           "-o", out)
        return [out], env
    if name == "Python":
        return [sys.executable, "-u", os.path.join(HERE, "verdicts.py")], dict(
            env, PYTHONPATH=os.path.join(prefix(), "lib/python3/dist-packages"))
    return ["luajit", os.path.join(HERE, "verdicts.lua")], dict(env, LUA_PATH=os.path.join(prefix(), "share/lua/5.1/?.lua"))


@test
def the_table_is_whole():
    names = [c["name"] for c in TABLE["cases"]]
    assert len(names) == len(set(names)) > 90
    for case in TABLE["cases"]:
        assert (case["status"] == 200) == ("text" not in case), case["name"]
        for edge, other in case.get("but", {}).items():
            assert other and edge in ("server", "nginx", "haproxy", "apache", "go", "node", "workerd"), case["name"]


@test
def the_c_library_decides_so():
    hold(functools.partial(LibraryEdge, WORLD, *program("C")))


@test
def the_decision_endpoint_decides_so():
    hold(functools.partial(ServerEdge, WORLD))


@test
def nginx_decides_so():
    hold(functools.partial(NginxEdge, WORLD))


@test
def haproxy_decides_so():
    hold(functools.partial(HaproxyEdge, WORLD))


@test
def apache_decides_so():
    hold(functools.partial(ApacheEdge, WORLD))


@test
def go_decides_so():
    if not os.path.exists(GoEdge.PROGRAM):
        return "there is no Go package yet"
    hold(functools.partial(GoEdge, WORLD))


@test
def node_decides_so():
    hold(functools.partial(NodeEdge, WORLD))


@test
def workerd_decides_so():
    if not os.path.exists(WorkerdEdge.PROGRAM):
        return "npm has not fetched workerd: tests/wasm"
    hold(functools.partial(WorkerdEdge, WORLD))


@test
def the_bindings_verify_so():
    """They have neither credentials nor policies: .library says what a verifier alone has to say."""
    cases = [c for c in TABLE["cases"] if "library" in c]
    assert len(cases) > 50
    for name, kind in itertools.product(("Python", "Lua"), KINDS):
        edge, found = BindingEdge(WORLD, *program(name), kind), []
        try:
            for case in cases:
                if case.get("edge", "") != kind:
                    continue
                said = edge.ask(case)
                if said["result"] != case["library"][2]:
                    found.append((name, case["name"], said))
                if case["library"][2] == case["result"]:
                    assert (said["status"], said["challenge"]) == (case["status"], challenge_of(case)), (name, case["name"])
        finally:
            edge.stop()
        assert not found, found


main()
