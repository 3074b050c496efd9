"""The relay of src/edge/examples/nginx-relay.conf in a real nginx: servers of one database behind it, real pulls in
front of it. How often the servers are asked is counted in their logs, against the seconds that heartbeats name."""
import concurrent.futures, random, sqlite3, struct
from relay import *

ENV = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
PER_SECOND = 5  # that the servers may be asked, in the mean: the limit of the configuration is 4


class Edge:
    """A pull from the relay, with a key that the servers do not know: the relay asks with its own."""

    def __init__(self, relay, *more):
        self.dir = scratch()
        self.file, self.log = os.path.join(self.dir, "revoked"), os.path.join(self.dir, "log")
        self.key = "edge-" + os.urandom(16).hex()
        self.process = subprocess.Popen(
            [PROGRAM, "pull", "--from", relay.url, *more, "--to", self.file, "--key-file", private_file(self.key + "\n"),
             "--ca", relay.cert], stderr=open(self.log, "ab"), env=ENV)

    def read(self, name=""):
        try:
            with open(self.file + name, "rb") as f:
                return f.read()
        except FileNotFoundError:
            return b""

    def when(self):
        """T of the heartbeat that is here."""
        return struct.unpack_from("<Q", self.read(".alive").ljust(160, b"\0"), 24)[0]

    def sequence(self):
        return struct.unpack_from("<Q", self.read().ljust(160, b"\0"), 16)[0]

    def events(self):
        with open(self.log, errors="replace") as f:
            text = f.read()
        assert self.key not in text and "Sanitizer" not in text, text
        return [json.loads(l) for l in text.splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=120) == 0


@test
def edges_with_derived_secrets_get_their_own_data():
    """Beside edges with the whole ring, from the same cache."""
    with Issuers() as issuers, Relay(issuers) as relay, Edge(relay) as whole, Edge(relay, "--audience", "eu") as eu, \
            Edge(relay, "--audience", "us") as us:
        edges = {"": whole, "eu": eu, "us": us}
        wait(lambda: all(e.when() > 0 for e in edges.values()), "each has its data")
        # Every server of one database makes the same bytes.
        url = "/v2/revocations?audience=eu"
        for one in ("", "&since=%d" % whole.sequence()):
            answers = set()
            for server in issuers.servers:
                asked = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                asked.request("GET", url + one, headers={"Authorization": "Bearer " + issuers.key["key"]})
                answer = asked.getresponse()
                answers.add((answer.status, answer.headers["ETag"], answer.read()))
                asked.close()
            assert len(answers) == 1 and answers.pop()[0] == 200, answers
        before = whole.sequence()
        issuers.delete()
        wait(lambda: all(e.sequence() > before for e in edges.values()), "each has what is newer")
        for audience, edge in edges.items():
            ring = os.path.join(issuers.data, "secrets")
            if audience:
                ring = private_file(run("secret", "derive", "--audience", audience, data=issuers.data, check=0)[1])
            for other, its in edges.items():
                code, out, _ = run("feed", "status", its.file, "--secrets", ring)
                assert (code == 0) == (other == audience), (audience, other, out)
            assert {e["event"] for e in edge.events()} == {"pulled"}, edge.events()


def when_of(headers):
    return struct.unpack_from("<Q", unb64(headers["Subtoken-Heartbeat"]), 24)[0]


@test
def an_edge_behind_the_relay_is_as_fresh_as_before_the_servers():
    with Issuers() as issuers, Relay(issuers) as relay, Edge(relay) as edge:
        wait(lambda: edge.when() > 0)
        first = edge.when()
        # A heartbeat each second.
        seen = set()
        wait(lambda: seen.add(edge.when()) or edge.when() > first + 5)
        assert len(seen) >= 4, seen
        for _ in range(4):
            before = edge.sequence()
            issuers.delete()
            wait(lambda: edge.sequence() > before)
        wait(lambda: edge.when() > first + 8)
        code, out, err = run("feed", "status", edge.file, "--data", issuers.data, "--json")
        assert code == 0 and json.loads(out)["entries"] >= 4, (out, err)
        assert {e["event"] for e in edge.events()} == {"pulled"}, edge.events()
        statuses = {l.split("] ")[1].split()[2] for l in relay.log("subtoken-relay.log")}
        assert statuses == {"200", "304"}, statuses
        # Nothing of a credential or query is written anywhere, nor handed on.
        assert edge.key not in relay.written() and "since=" not in "".join(
            l for name in os.listdir(relay.dir) if name.endswith(".log") for l in relay.log(name))
        assert all(l["status"] == 200 for l in issuers.lines()), issuers.lines()


@test
def many_edges_cost_the_servers_a_few_requests():
    """However many there are, and while things change."""
    count = 8 if SANITIZER else 24
    with Issuers() as issuers, Relay(issuers) as relay:
        edges = [Edge(relay) for _ in range(count)]
        try:
            wait(lambda: all(e.when() > 0 for e in edges))
            before, from_t = len(issuers.lines()), max(e.when() for e in edges)
            for _ in range(6):
                issuers.delete()
                time.sleep(0.7)
            wait(lambda: min(e.when() for e in edges) > from_t + 8 and len({e.sequence() for e in edges}) == 1)
            to_t = max(e.when() for e in edges)
            asked = len(issuers.lines()) - before
            assert asked <= PER_SECOND * (to_t - from_t + 2), (asked, to_t - from_t)
            for e in edges:
                assert {l["event"] for l in e.events()} == {"pulled"}, e.events()
        finally:
            for e in edges:
                e.__exit__()


@test
def edges_with_different_data_do_not_cost_more():
    """Each has another sequence: what they ask for is limited all together, and what is more waits for its turn."""
    with Issuers(1) as issuers, Relay(issuers) as relay:
        sequences = set()
        for _ in range(20):
            issuers.delete()
            sequences.add(int(curl(issuers.servers[0].url + "/v2/revocations", "-o", os.devnull, "-D", "-", *bearer(
                issuers.key["key"])).header("Subtoken-Seq")))
        assert len(sequences) == 20, sequences
        lines = len(issuers.lines())
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(relay.ask, "?since=%d" % s) for s in sequences for _ in range(3)]
            answers = [a.result() for a in asked]
        assert {a[0] for a in answers} <= {200, 503}, [a[0] for a in answers]
        assert sum(a[0] == 200 for a in answers) >= len(answers) // 2
        times = [l["time"] for l in issuers.lines()[lines:]]
        # A second of the clock can see five at once and four that were let through after that.
        assert max(times.count(t) for t in times) <= 9, times


@test
def one_server_is_enough():
    with Issuers() as issuers, Relay(issuers) as relay, Edge(relay) as edge:
        wait(lambda: edge.when() > 0)
        for gone in range(2):
            issuers.servers[gone].process.kill()
            issuers.servers[gone].process.wait()
            before, t = edge.sequence(), edge.when()
            issuers.delete()
            wait(lambda: edge.sequence() > before and edge.when() > t + 3)
            issuers.servers[gone].stop(expect=None)
            issuers.servers[gone].cmd[issuers.servers[gone].cmd.index("127.0.0.1:0")] = \
                "127.0.0.1:%d" % issuers.servers[gone].port
            issuers.servers[gone].start()
            wait(lambda: curl(issuers.servers[gone].url + "/readyz").status == 200)
            t = edge.when()
            wait(lambda: edge.when() > t + 3)  # it is asked again
        assert {e["event"] for e in edge.events()} == {"pulled"}, edge.events()


@test
def what_goes_wrong_is_told_and_not_kept():
    with Issuers(1) as issuers, Relay(issuers) as relay:
        status, headers, body = relay.ask()
        sequence = int(headers["Subtoken-Seq"])
        assert status == 200 and headers["Content-Type"] == "application/octet-stream" and len(body) >= 160
        # A sequence that was never given, and none at all.
        status, headers, body = relay.ask("?since=%d" % (sequence + 1))
        assert status == 409 and "never issued" in json.loads(body)["text"], (status, body)
        assert relay.ask("?since=x")[0] == 400
        assert relay.ask(method="POST")[0] in (403, 405)
        assert relay.ask("/else")[0] == 404
        # The heartbeat is never older than a second, though a 304 is answered by nginx itself.
        etag = relay.ask()[1]["ETag"]
        times = []
        for _ in range(12):
            before = int(time.time())
            status, headers, body = relay.ask("?since=%d" % sequence, etag)
            assert status == 304 and body == b"" and when_of(headers) >= before - 1, (status, before, dict(headers))
            times.append(when_of(headers))
            time.sleep(0.25)
        assert times == sorted(times) and len(set(times)) >= 3, times
        # The relay's own key is revoked: that is not the fault of an edge.
        run("key", "delete", issuers.key["id"], data=issuers.data, check=0)
        wait(lambda: relay.ask()[0] == 502)
        assert "key of the relay" in json.loads(relay.ask()[2])["text"]
        issuers.servers[0].stop()
        wait(lambda: relay.ask()[0] == 502 and b"key of the relay" not in relay.ask()[2])


@test
def a_large_snapshot_goes_through():
    """Of a million entries, which is 8.5 MB, asked for by several at once, and then a change of it."""
    data = data_dir()
    make_key(data, "account")
    count = 100000 if SANITIZER else 1000000
    db = sqlite3.connect(db_of(data))
    db.execute("PRAGMA synchronous=OFF")
    subs = sorted(b64(os.urandom(32)) for _ in range(count))
    hashes = sorted(random.getrandbits(64) - (1 << 63) for _ in range(count))
    db.executemany("INSERT INTO listed (sub, hash, revoked_at) VALUES (?, ?, %d)" % time.time(), zip(subs, hashes))
    db.commit()
    db.close()
    with Issuers(1, data) as issuers, Relay(issuers) as relay:
        edges = [Edge(relay) for _ in range(6)]
        try:
            wait(lambda: all(e.when() > 0 for e in edges))
            assert len({e.read() for e in edges}) == 1 and len(edges[0].read()) > 8 * count
            before = edges[0].sequence()
            issuers.delete()
            wait(lambda: all(e.sequence() > before for e in edges))
            whole = [l for l in relay.log("subtoken-relay-issuers.log") if int(l.split()[2]) > count]
            assert 1 <= len(whole) <= 3, whole
        finally:
            for e in edges:
                e.__exit__()


main()
