"""Applications and servers of the Model Context Protocol, of the packages from npm (tests/mcp), for the tests of edges:
the server behind the edge, and the application in front of it, each one process for a whole file."""
import fcntl, select
from support import *

FOLDER = os.path.join(TESTS, "mcp")
_running = {}


def installed():
    """The folder, in whose node_modules lies what package-lock.json says; npm is asked only for what does not."""
    def packages(name):
        try:
            with open(os.path.join(FOLDER, name)) as f:
                return {k: v["version"] for k, v in json.load(f)["packages"].items() if k}
        except OSError:
            return None

    with open(os.path.join(FOLDER, "package.json")) as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if packages("package-lock.json") != packages("node_modules/.package-lock.json"):
            p = subprocess.run(["npm", "ci", "--silent", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"],
                               cwd=FOLDER, capture_output=True, text=True)
            assert p.returncode == 0, "npm ci in tests/mcp: " + p.stderr
    return FOLDER


def _program(name):
    """node with one of the programs; it ends with its stdin, and that with us."""
    if name not in _running:
        _running[name] = subprocess.Popen(["node", os.path.join(installed(), name)], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, text=True)
    return _running[name]


def _line(process, seconds=60):
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    assert ready, "no line within %d s" % seconds
    return process.stdout.readline()


def server_port():
    """The port of server.mjs, which is started when it is first asked for."""
    if "port" not in _running:
        _running["port"] = int(_line(_program("server.mjs")))
    return _running["port"]


def server_seen():
    """The requests that reached the server since this was asked last."""
    return json.loads(curl("http://127.0.0.1:%d/seen" % server_port()).body)


def agent(url, mode="default", *do, **more):
    """What an application gets to see: see agent.mjs. release lets the tool `slow` end, on its first progress."""
    asked = dict(more, url=url, mode=mode, do=list(do), release="http://127.0.0.1:%d/release" % server_port())
    process = _program("agent.mjs")
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.flush()
    return json.loads(_line(process))


def stop():
    """Ends both, if they run."""
    _running.pop("port", None)
    while _running:
        _, process = _running.popitem()
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=30)
