"""Who every kind of upstream is told that asks, by the nginx module alone: proxy, FastCGI, uwsgi, SCGI, subrequests,
variables."""
import random, struct
from nginx import *


class Params(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An upstream of FastCGI, uwsgi or SCGI, which answers with the parameters that it was sent."""
    daemon_threads = True

    def __init__(self, path, read):
        self.read = read
        super().__init__(path, ParamsConnection)
        os.chmod(path, 0o666)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class ParamsConnection(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.server.read(self.rfile))


def as_lines(params):
    return b"Content-Type: application/json\r\n\r\n" + json.dumps([list(p) for p in params]).encode()


def scgi(file):
    size = b""
    while not size.endswith(b":"):
        size += file.read(1)
    fields = file.read(int(size[:-1]) + 1)[:-1].decode("latin-1").split("\0")[:-1]
    return b"Status: 200 OK\r\n" + as_lines(zip(fields[0::2], fields[1::2]))


def uwsgi(file):
    left, params = struct.unpack("<xHx", file.read(4))[0], []
    while left > 0:
        pair = []
        for _ in range(2):
            size = struct.unpack("<H", file.read(2))[0]
            pair.append(file.read(size).decode("latin-1"))
            left -= 2 + size
        params.append(pair)
    return b"HTTP/1.1 200 OK\r\n" + as_lines(params)


def fastcgi(file):
    text, params = b"", []
    while True:
        _, kind, _, size, padding = struct.unpack(">BBHHBx", file.read(8))
        data = file.read(size)
        file.read(padding)
        if kind == 4:
            text += data
        if kind == 5 and size == 0:
            break

    def length():
        nonlocal text
        many = text[0] >> 7
        value = struct.unpack(">I", text[:4])[0] & 0x7FFFFFFF if many else text[0]
        text = text[4 if many else 1:]
        return value
    while text:
        name, value = length(), length()
        params.append((text[:name].decode("latin-1"), text[name:name + value].decode("latin-1")))
        text = text[name + value:]
    out = b"Status: 200 OK\r\n" + as_lines(params)
    return struct.pack(">BBHHBx", 1, 6, 1, len(out), 0) + out + struct.pack(">BBHHBx", 1, 3, 1, 8, 0) + b"\0" * 8


@test
def every_kind_of_upstream_gets_the_identity_from_the_module_alone():
    """A2: whatever a caller sends, in every spelling, and whatever proxy_set_header lines a location has."""
    five = "|".join("$http_x_subtoken_" + w for w in ("sub", "key", "owner", "permissions", "expires", "other"))
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; %s
      location / { proxy_pass http://api; }
      location /ws { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection ""; proxy_pass http://api; }
      location /own { proxy_set_header X-Subtoken-Sub mine; proxy_pass http://api; }
      location /off { subtoken off; proxy_pass http://api; }
      location /left { subtoken_identity off; proxy_pass http://api; }
      location /public { subtoken_policy %%(dir)s/policy.json; proxy_pass http://api; }
      location /fastcgi { fastcgi_param A b; fastcgi_pass unix:%%(dir)s/fastcgi; }
      location /uwsgi { uwsgi_param A b; uwsgi_pass unix:%%(dir)s/uwsgi; }
      location /scgi { scgi_param A b; scgi_pass unix:%%(dir)s/scgi; }
      location /grpc { grpc_pass grpc://unix:%%(dir)s/h2; }
    """ % LOOSE, http="""server { listen unix:%%(dir)s/h2 http2; subtoken_identity off; %s location / { return 200 "%s"; } }""" % (LOOSE, five))
    policy(n, {"default": "deny", "routes": [{"path": "/public", "public": True}]})
    others = [Params(os.path.join(n.dir, f.__name__), f) for f in (fastcgi, uwsgi, scgi)]
    with n:
        t = n.token()
        for credential, want in ((t, of_token(t)), ("KEY", KEY)):
            for forged in ([], FORGED, FORGED + ODD):
                for path in ("/a", "/ws", "/public", "/off"):
                    got = identity_sent(n.ask(path, *forged, token=credential))
                    assert got == (want if path in ("/a", "/ws") else {}), (path, forged, got)
                got = identity_sent(n.ask("/own", *forged, token=credential))
                assert got == dict(want, **{"X-Subtoken-Sub": "mine"}), got
                for path in ("/fastcgi", "/uwsgi", "/scgi"):
                    answer = n.ask(path, *forged, token=credential)
                    assert answer.status == 200, (path, answer.status)
                    got = [(k, v) for k, v in json.loads(answer.body) if re.match(r"HTTP_X.SUBTOKEN", k)]
                    assert dict(got) == {"HTTP_" + k.upper().replace("-", "_"): v for k, v in want.items()}, (path, got)
                    assert len(got) == len(want)
                answer = n.ask("/grpc", *forged, token=credential)
                got = answer.body.split("|")
                assert got == [want.get("X-Subtoken-" + w, "") for w in
                               ("Sub", "Key", "Owner", "Permissions", "Expires", "Other")], (got, answer.status)
        got = echoed(n.ask("/left", *FORGED, token=t))["headers"]
        assert [h for h in got if "ubtoken" in h[0].lower() or "SUBTOKEN" in h[0]] == [f.split(": ") for f in FORGED]
        # A token that never ends, as some keys do: nothing is said of an end.
        end.say["Bearer EVER"] = (200, {"X-Subtoken-Sub": "e", "X-Subtoken-Permissions": ""})
        assert identity_sent(n.ask("/a", token="EVER")) == {"X-Subtoken-Sub": "e"}
        # No list of what is for this hop alone takes one off.
        client = Client(n.socket)
        client.send("/a", headers=["Authorization: Bearer " + t, "Connection: close, X-Subtoken-Sub", "X-Subtoken-Sub: root"])
        assert identity_sent(client.receive()) == of_token(t)
        client.close()
        # None of it is part of a question.
        assert not any("subtoken" in name and name not in ("x-subtoken-nonce", "x-subtoken-audience") for _, h, _ in end.asked for name in h), end.asked
    for each in others:
        each.shutdown()
        each.server_close()


@test
def random_headers_pass_and_forged_ones_do_not():
    """A2: nginx keeps headers in pieces of 20; what is taken off leaves the others as they were, in order."""
    n = Nginx("subtoken on; large_client_header_buffers 8 16k; %s location / { proxy_pass http://api; }" % LOOSE)
    rng = random.Random(11)
    with n:
        t = n.token()
        for round in range(60 if SANITIZER else 200):
            count = rng.choice([0, 1, 5, 17, 18, 19, 20, 37, 39, 60])
            share = rng.choice([0, 0.1, 0.5, 0.9, 1])
            lines = [rng.choice(FORGED + ODD) if rng.random() < share else "X-Other-%d: %d" % (i, rng.randrange(10))
                     for i in range(count)]
            where = rng.randrange(len(lines) + 1)
            lines.insert(where, "Authorization: Bearer " + t)
            got = echoed(n.ask("/a", *lines))["headers"]
            kept = [line.split(": ") for line in lines if not identity([line.split(": ")])]
            want = kept + [["X-Subtoken-" + w, of_token(t)["X-Subtoken-" + w]] for w in ("Sub", "Permissions", "Expires")]
            assert [h for h in got if h[0] not in ("Host", "Connection", "Content-Length")] == want, (lines, got)
        # Nothing but forged headers, and no Host, as HTTP/1.0 may.
        client = Client(n.socket)
        client.socket.sendall(b"GET /a?access_token=%s HTTP/1.0\r\n" % t.encode() + b"X-Subtoken-Sub: root\r\n" * 25 + b"\r\n")
        line, text = client.file.readline(), client.file.read().decode()
        assert b" 200 " in line, line
        assert identity(json.loads(text.split("\r\n\r\n", 1)[1])["headers"]) == of_token(t)
        client.close()


@test
def subrequests_carry_the_identity_they_were_checked_with():
    """A2: each has headers of its own, and leaves those of its parent alone."""
    n, end = with_endpoint("""subtoken on; subtoken_fallback /ask; subtoken_policy %%(dir)s/policy.json; %s
      location / { proxy_pass http://api; }
      location /page { subtoken off; ssi on; ssi_types *; proxy_pass http://api; }
      location /own { subtoken off; proxy_pass http://api; }
      location /inner { internal; proxy_pass http://api; }
      location /both { auth_request /auth; mirror /mirror; proxy_pass http://api; }
      location = /auth { internal; proxy_pass http://api; }
      location = /mirror { internal; proxy_pass http://api/mirrored; }
    """ % LOOSE)
    policy(n, {"default": "token", "routes": [{"path": "/open", "public": True}]})
    page = "".join("<!--# include virtual=\"%s\" -->" % p for p in ("/a", "/open", "/own", "/inner", "/b"))

    def answer(asked):
        if asked["target"] == "/page":
            return 200, [("Content-Type", "text/html")], page
        return end(asked)
    n.upstream.answer = answer
    with n:
        t = n.token()
        for credential, want in ((t, of_token(t)), ("KEY", KEY)):
            for forged in ([], FORGED + ODD):
                n.upstream.seen.clear()
                assert n.status("/page", *forged, token=credential) == 200
                seen = {s["target"]: identity(s["headers"]) for s in n.upstream.seen if s["target"] != "/v2/authorize"}
                assert seen == {"/page": {}, "/a": want, "/open": {}, "/own": {}, "/inner": {}, "/b": want}, seen
                n.upstream.seen.clear()
                assert identity_sent(n.ask("/both", *forged, token=credential)) == want
                wait(lambda: any(s["target"] == "/mirrored" for s in n.upstream.seen), "the mirror")
                for each in n.upstream.seen:
                    if each["target"] != "/v2/authorize":
                        assert identity(each["headers"]) == want, each


@test
def a_forged_header_is_in_no_variable_either():
    """A2: $http_x_subtoken_sub, though the server's own `if` and `set` have read it before."""
    n = Nginx("""subtoken on; if ($http_x_subtoken_sub) { set $had 1; }
      location / { proxy_set_header X-Had $had; proxy_set_header X-User $http_x_subtoken_sub; proxy_pass http://api; }
      location /off { subtoken off; proxy_set_header X-User $http_x_subtoken_sub; proxy_pass http://api; }
      location /set { set $user $http_x_subtoken_sub; proxy_set_header X-User $user; proxy_pass http://api; }
      location /if { if ($http_x_subtoken_sub) { return 200 root; } proxy_pass http://api; }
      location /map { if ($admin) { set $had 2; } proxy_set_header X-User $admin; proxy_pass http://api; }
      location /left { subtoken_identity off; set $user $http_x_subtoken_sub; proxy_set_header X-User $user; proxy_pass http://api; }
    """, http="map $http_x_subtoken_sub $admin { root yes; }")
    with n:
        t = n.token()
        answer = n.ask("/a", "X-Subtoken-Sub: root", token=t)
        assert (header_sent(answer, "X-Had"), header_sent(answer, "X-User")) == ("1", payload(t)["sub"])
        assert header_sent(n.ask("/off", "X-Subtoken-Sub: root"), "X-User") is None
        # Nor in what the location's own `set` and `if` make of it, before the request is checked.
        for path in ("/set", "/if", "/map"):
            answer = n.ask(path, "X-Subtoken-Sub: root", token=t)
            assert header_sent(answer, "X-User") is None and identity_sent(answer) == of_token(t), (path, answer.body)
        assert header_sent(n.ask("/left", "X-Subtoken-Sub: root", token=t), "X-User") == "root"

main()
