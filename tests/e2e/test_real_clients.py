"""Requests as other people's programs make them: bodies without a length from the clients that
send those, and what stands between a client and the server in real life."""
import http.client, urllib.request

from support import *

HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
BODY = b'{"permissions":["account"],"urls":["/v2/account"]}'
JSON = "application/json"


def pieces():
    for i in range(0, len(BODY), 7):
        yield BODY[i:i + 7]


def made(text):
    claims = payload(json.loads(text)["subtoken"])
    assert claims["permissions"] == ["account"] and claims["urls"] == ["/v2/account"], claims


def wait_for(port, process):
    deadline = time.time() + 120
    while time.time() < deadline:
        assert process.poll() is None, "it did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("it does not listen")


class Haproxy:
    """A real HAProxy with this text behind its global section; PORT is where it listens."""

    def __init__(self, text):
        self.dir, self.port = scratch(), free_port()
        self.path = os.path.join(self.dir, "haproxy.cfg")
        with open(self.path, "w") as f:
            f.write("global\n  stats socket %s/stats level admin\ndefaults\n  mode http\n"
                    "  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n" % self.dir +
                    text.replace("PORT", str(self.port)))

    def __enter__(self):
        self.process = subprocess.Popen([HAPROXY, "-db", "-f", self.path],
                                        stderr=open(os.path.join(self.dir, "log"), "wb"))
        wait_for(self.port, self.process)
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(timeout=120)

    def stats(self, command):
        path = os.path.join(self.dir, "stats")
        while not os.path.exists(path) and self.process.poll() is None:
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(command.encode() + b"\n")
            text = b""
            while data := s.recv(65536):
                text += data
        return text.decode()


# ---- D1: bodies without a length ----

@test
def curl_uploads_without_a_length():
    s, key = shared_server()
    for version in ("--http1.1", "--http2"):  # the second asks to upgrade, and goes on in HTTP/1.1
        a = curl(s.url + "/v2/createsubtoken", version, "-T", "-", "-X", "POST", "-H",
                 "Content-Type: " + JSON, *bearer(key), stdin=BODY)
        assert a.status == 200, (a.status, a.body)
        made(a.body)


@test
def python_sends_chunks_with_http_client_and_urllib():
    s, key = shared_server()
    headers = {"Content-Type": JSON, "Authorization": "Bearer " + key}
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)
    for _ in range(3):  # on one connection
        c.request("POST", "/v2/createsubtoken", pieces(), headers, encode_chunked=True)
        answer = c.getresponse()
        made(answer.read())
        assert answer.status == 200 and not answer.will_close
    c.close()
    # urllib, and with it urllib2 and what is built on them, sends an iterator as chunks.
    request = urllib.request.Request(s.url + "/v2/createsubtoken", pieces(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        made(answer.read())


NODE = """
const http = require('http');
const [url, key, body] = process.argv.slice(-3);
const headers = {'Content-Type': 'application/json', Authorization: 'Bearer ' + key};
async function* pieces() { for (let i = 0; i < body.length; i += 9) yield Buffer.from(body.slice(i, i + 9)); }
function plain(agent) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, {method: 'POST', headers, agent}, answer => {
      let text = '';
      answer.on('data', data => text += data).on('end', () => resolve(text));
    }).on('error', reject);
    request.write(body.slice(0, 11));
    setTimeout(() => request.end(body.slice(11)), 50);
  });
}
(async () => {
  const agent = new http.Agent({keepAlive: true, maxSockets: 1});
  for (let i = 0; i < 3; i++) console.log(await plain(agent));
  agent.destroy();
  for (let i = 0; i < 3; i++) {
    const answer = await fetch(url, {method: 'POST', headers, body: pieces(), duplex: 'half'});
    console.log(await answer.text());
  }
})();
"""


@test
def node_sends_chunks_with_http_and_fetch():
    s, key = shared_server()
    p = subprocess.run(["node", "-e", NODE, "--", s.url + "/v2/createsubtoken", key, BODY.decode()],
                       capture_output=True, timeout=60)
    lines = p.stdout.decode().splitlines()
    assert p.returncode == 0 and len(lines) == 6, (p.stdout, p.stderr[-2000:])
    for line in lines:
        made(line)


@test
def haproxy_passes_http_2_bodies_on_as_chunks():
    """HAProxy has no length from an HTTP/2 client that sends none, and passes chunks on."""
    s, key = shared_server()
    with Haproxy("frontend f\n  bind 127.0.0.1:PORT proto h2\n  default_backend b\n"
                 "backend b\n  server s 127.0.0.1:%d\n" % s.port) as proxy:
        url = "http://127.0.0.1:%d" % proxy.port
        for method in ("POST", "GET"):
            p = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-T", "-", "-X", method, "-H",
                                "Content-Type: " + JSON, *bearer(key), "-H", "Content-Length:",
                                url + "/v2/createsubtoken", "-w", "\n%{http_code} %{http_version}"],
                               input=BODY, capture_output=True, timeout=60)
            text, status = p.stdout.decode().rsplit("\n", 1)
            assert status == "200 2", (p.stdout, p.stderr)
            if method == "POST":
                made(text)
            else:
                assert payload(json.loads(text)["subtoken"])["permissions"] == []


# ---- D16: absolute targets ----

@test
def curl_may_use_the_server_as_its_own_proxy():
    s, key = shared_server()
    a = curl(s.url + "/v2/tokeninfo?v=latest", "--proxy", s.url, *bearer(key))
    assert a.status == 200 and a.json()["type"] == "APIKey", (a.status, a.body)
    a = curl("http://other.test/v2/tokeninfo", "--proxy", s.url, *bearer(key), "-H", "Host: another.test")
    assert a.status == 400 and "Host" in a.json()["text"], (a.status, a.body)


# ---- D21, D23: which credentials are looked at, and asked for ----

PASSWORD = "correct horse: battery"


def with_alice(config):
    s = Server(config=config)
    key = make_key(s.data)["key"]
    run("user", "create", "alice", "--permissions", "account", stdin=PASSWORD + "\n", data=s.data, check=0)
    return s, key


@test
def basic_challenge_serves_clients_that_wait_for_a_challenge():
    s, key = with_alice({"basic_challenge": True})
    with s:
        url = s.url + "/v2/tokeninfo"
        a = curl(url)
        challenges = [v for n, v in a.headers if n.lower() == "www-authenticate"]
        assert a.status == 401 and challenges == ["Bearer", 'Basic realm="subtoken", charset="UTF-8"'], challenges
        assert curl(url + "?v=x", *bearer(key)).header("WWW-Authenticate") is None
        # curl asks first, and chooses.
        p = subprocess.run(["curl", "-sS", "--anyauth", "-u", "alice:" + PASSWORD, url], capture_output=True, timeout=30)
        assert json.loads(p.stdout)["name"] == "alice", p
        manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, url, "alice", PASSWORD)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
        assert json.load(opener.open(url, timeout=30))["name"] == "alice"
        if shutil.which("wget"):
            p = subprocess.run(["wget", "-qO-", "--user=alice", "--password=" + PASSWORD, url],
                               capture_output=True, timeout=30)
            assert json.loads(p.stdout)["name"] == "alice", p
        # A wrong password does not make anybody ask for another.
        a = curl(s.url + "/v1/auth/login", "-H", "Content-Type: " + JSON, "-d",
                 json.dumps({"login": "alice", "password": "not the one"}))
        assert a.status == 401 and "Basic" not in str(a.headers)
    s, key = with_alice({})
    with s:
        assert [v for n, v in curl(s.url + "/v2/tokeninfo").headers if n == "WWW-Authenticate"] == ["Bearer"]


@test
def forms_that_credentials_leaves_out_are_ignored():
    s, key = with_alice({"credentials": ["bearer"]})
    with s:
        url = s.url + "/v2/tokeninfo"
        in_front = ["-H", "X-API-Key: of-the-cdn", "-H", "Authorization: Basic cHJveHk6c2VjcmV0"]
        assert curl(url + "?access_token=other", *bearer(key), *in_front).status == 200
        assert curl(s.url + "/v2/authorize/x", *bearer(key), *in_front).status == 200
        for args in (in_front, ["-u", "alice:" + PASSWORD], ["-H", "X-API-Key: " + key]):
            a = curl(url + "?access_token=" + key, *args)
            assert a.status == 401 and a.header("WWW-Authenticate") == "Bearer", (args, a.headers)
        assert all(l.get("reason") != "login_failed" for l in s.log_lines())
        # Taken back without a restart.
        s.write_config({"credentials": ["x-api-key"]})
        s.process.send_signal(signal.SIGHUP)
        deadline = time.time() + 120
        while '"reloaded"' not in s.log() and time.time() < deadline:
            time.sleep(0.02)
        assert curl(url, "-H", "X-API-Key: " + key, *bearer("other")).status == 200


# ---- D10: who asks whether the server is alive ----

@test
def haproxy_finds_it_alive():
    s, _ = shared_server()
    with Haproxy("".join("backend b%d\n  option httpchk%s\n%s  server s 127.0.0.1:%d check inter 200ms\n"
                         % (i, check, extra, s.port) for i, (check, extra) in enumerate((
                             ("", ""), (" GET /healthz", ""), (" OPTIONS * HTTP/1.1\\r\\nHost:\\ a", ""),
                             ("", "  http-check send meth OPTIONS uri / ver HTTP/1.1\n"),
                             ("", "  http-check send meth GET uri /readyz ver HTTP/1.1\n"),
                             ("", "  http-check send meth HEAD uri /healthz ver HTTP/1.1 hdr Host a\n"))))
                 + "frontend f\n  bind 127.0.0.1:PORT\n") as proxy:
        deadline = time.time() + 120
        while time.time() < deadline:
            rows = [l.split(",") for l in proxy.stats("show stat").splitlines() if ",s," in l]
            # L7OK: an answer of 2xx or 3xx was seen, and not only the port.
            if len(rows) == 6 and all(r[17] == "UP" and r[36] == "L7OK" for r in rows):
                return
            time.sleep(0.1)
        raise AssertionError([(r[0], r[17], r[36:38]) for r in rows])


@test
def the_shared_server_stops_without_an_error():
    stop_shared_server()


main()
