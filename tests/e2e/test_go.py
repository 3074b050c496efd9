"""The Go package against an installed copy: its own tests, and a reverse proxy with its handler in front of an API.
SUBTOKEN_RACE=1 runs its tests with Go's race detector, which takes a minute to compile."""
import functools
import installed
from proxies import *

GO = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/lib/go-1.19/bin")
PACKAGE = os.path.join(os.path.dirname(TESTS), "src", "bindings", "go")


@functools.lru_cache(None)
def go_cache():
    """One a run: what pkg-config says is no part of what Go keeps a package under, and our prefix is another each time."""
    return scratch()


def go_env():
    """Nothing is fetched."""
    return dict(os.environ, GOFLAGS="-mod=mod", GOPROXY="off", GOCACHE=go_cache(), GO111MODULE="on", HOME=go_cache(),
                PKG_CONFIG_PATH=os.path.join(installed.prefix(), "lib/pkgconfig"),
                LD_LIBRARY_PATH=os.path.join(installed.prefix(), "lib"))


def go(*args, cwd=PACKAGE):
    p = subprocess.run([GO, *args], cwd=cwd, env=go_env(), capture_output=True, text=True, timeout=600)
    assert p.returncode == 0, (args, p.stdout[-4000:], p.stderr[-4000:])
    return p.stdout


@test
def the_tests_of_the_package_pass():
    race = ["-race"] if os.environ.get("SUBTOKEN_RACE") else []
    out = go("test", "-v", "-count=1", *race, ".")  # vets, too
    assert out.count("--- PASS") >= 13 and "--- SKIP" not in out, out


@test
def it_is_formatted_and_documented():
    gofmt = os.path.join(os.path.dirname(os.path.realpath(GO)), "gofmt")
    p = subprocess.run([gofmt, "-l", PACKAGE, os.path.join(TESTS, "install", "edge.go")], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0 and not p.stdout, p.stdout + p.stderr
    # What is exported has a sentence that begins with its name, or stands in a group that has one.
    for path in glob.glob(os.path.join(PACKAGE, "*.go")):
        lines = open(path).read().splitlines()
        for before, line in zip(lines, lines[1:]):
            found = re.match(r"(?:func (?:\(\w+ \*?[A-Z]\w+\) )?|type )([A-Z]\w+)", line)
            if found and not path.endswith("_test.go"):
                assert before.startswith("//"), (path, line)


@functools.lru_cache(None)
def built():
    """The proxy, and beside it what the README shows."""
    d = scratch()
    os.chmod(d, 0o755)
    (shown,) = re.findall(r"```go\n(.*?)```", installed.read(os.path.dirname(PACKAGE), "README.md"), re.S)
    for name, text in (("go.mod", "module edge\n\ngo 1.19\n\nrequire subtoken v0.0.0\n\nreplace subtoken => %s\n" % PACKAGE),
                       ("edge/main.go", installed.read(installed.HERE, "edge.go")), ("readme/main.go", shown)):
        os.makedirs(os.path.dirname(os.path.join(d, name)), exist_ok=True)
        with open(os.path.join(d, name), "w") as f:
            f.write(text)
    os.mkdir(os.path.join(d, "bin"))
    go("build", "-o", "bin/", "./...", cwd=d)
    return os.path.join(d, "bin", "edge")


class GoProxy(Offline, Proxy):
    reads_bodies = True

    def __init__(self, case):
        self.case, self.dir = case, shared_dir()
        self.upstream = Upstream(os.path.join(self.dir, "up"))
        self.socket = os.path.join(self.dir, "in")
        self.env = go_env()

    def command(self):
        secrets, policy = self.offline_files()
        return [built(), self.socket, self.upstream.path, "http://127.0.0.1:%d" % self.case.server.port, secrets,
                self.feed.path, policy]


@test
def what_the_readme_shows_compiles():
    assert os.path.exists(os.path.join(os.path.dirname(built()), "readme"))


@test
def a_proxy_with_its_handler_lets_through_what_the_policy_allows():
    with Case() as c, GoProxy(c) as p:
        token = passes_and_denies(GoProxy, c, p)
        # It takes up a revocation, and needs no server for subtokens.
        p.feed.publish([payload(token)["sub"]])
        wait(lambda: p.ask("/v2/account", auth(token)).status == 401, "the revocation")
        p.feed.publish(["nobody"])
        wait(lambda: p.ask("/v2/account", auth(token)).status == 200, "its end")
        c.server.stop()
        assert p.ask("/v2/account", auth(token)).status == 200
        before = len(p.upstream.seen)
        answer = p.ask("/v2/account", "X-API-Key: " + c.key["key"])
        assert answer.status == 503 and answer.header("Retry-After") == "5" and len(p.upstream.seen) == before
        assert token not in p.text() and c.key["key"] not in p.text() and "no answer" in p.text(), p.text()
        c.server.start()


@test
def it_reads_json_rpc_bodies():
    with Case() as c, GoProxy(c) as p:
        body = b'{"method":"call","params":["history","x",[]],"id":1}'
        for credential in (c.token("--permissions", "history_api"), c.key["key"]):
            answer = p.ask("/rpc", auth(credential), method="POST", body=body)
            assert answer.status == 200 and json.loads(answer.body)["body"].encode() == body, answer.body
            assert p.ask("/rpc", auth(credential), method="POST", body=body.replace(b"history", b"network")).status == 403
            assert p.ask("/rpc", auth(credential), method="POST", body=b"{").status == 400
            for header, status in (("Content-Encoding: gzip", 415), ("Content-Type: application/json; charset=utf-7", 415),
                                   ("Content-Type: application/json; charset", 415), ("Content-Type: application/json; charset=UTF-8", 200)):
                assert p.ask("/rpc", auth(credential), header, method="POST", body=body).status == status, header


main()
