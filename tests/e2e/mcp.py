"""Applications and servers of the Model Context Protocol, of the packages from npm (tests/mcp), for the tests of edges:
the server behind the edge, and the application in front of it, each one process for a whole file."""
import select
from packages import installed
from support import *

FOLDER = os.path.join(TESTS, "mcp")
_running = {}


def _program(name):
    """node with one of the programs; it ends with its stdin, and that with us."""
    if name not in _running:
        _running[name] = subprocess.Popen(["node", os.path.join(installed(FOLDER), name)], stdin=subprocess.PIPE,
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
        process.wait(timeout=120)
