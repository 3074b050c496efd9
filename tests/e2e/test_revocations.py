"""The feed from end to end: the real server, `subtoken pull` and `subtoken verify
--revocations`, while keys, secrets and the database change under them."""
import http.client, struct
import stores
from support import *
from feed import hashes_of, sub_hash

DAY = 86400
ENV = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
HELD = "application/octet-stream"
CHANGES = "application/vnd.subtoken.changes"


class Server(SmallServer):
    """512 threads take long to start under a sanitizer."""

    def __init__(self, data=None, settings=None, **options):
        threads = {"threads": 16 if SANITIZER else 64}
        super().__init__(data, dict(threads, **(settings or {})), **options)


def fetch(server, key, query="", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {n.replace("_", "-"): v for n, v in headers.items()}
    connection.request(method, "/v2/revocations" + query,
                       headers=dict(headers, Authorization="Bearer " + key))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


class Edge:
    """Who pulls from a server and verifies with what came."""

    def __init__(self, data, key=None):
        self.data, self.dir = data, scratch()
        self.file = os.path.join(self.dir, "revoked")
        self.key = key or make_key(data, "revocations", name="edge")["key"]
        self.key_file = private_file(self.key + "\n")

    def args(self, servers, *more):
        """servers: one, or a list of them."""
        servers = servers if isinstance(servers, list) else [servers]
        urls = [word for s in servers for word in ("--from", s.url + "/v2/revocations")]
        return ["pull", *urls, "--to", self.file, "--key-file", self.key_file, *more]

    def pull(self, server, check=0, env=ENV):
        code, out, err = run(*self.args(server, "--once", "--json"), env=env)
        assert code == check, (code, out, err)
        return json.loads(out) if code == 0 else err

    def start(self, server):
        self.log = os.path.join(self.dir, "log")
        self.process = subprocess.Popen([PROGRAM] + self.args(server, "--every", "1s"),
                                        stderr=open(self.log, "ab"), env=ENV)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=120) == 0
        with open(self.log, errors="replace") as f:
            text = f.read()
        assert "Sanitizer" not in text and "runtime error" not in text, text
        return [json.loads(l) for l in text.splitlines()]

    def reason(self, token, *args, env=None):
        """ok, or why not; the store is not asked."""
        code, out, err = run("verify", "--json", "--secrets", os.path.join(self.data, "secrets"),
                             "--revocations", self.file, *args, stdin=token, env=env)
        assert code in (0, 1), (code, out, err)
        return json.loads(out).get("reason", "ok")

    def read(self, suffix=""):
        with open(self.file + suffix, "rb") as f:
            return f.read()

    def sequence(self):
        return struct.unpack_from("<Q", self.read(), 16)[0]

    def count(self):
        return struct.unpack_from("<I", self.read(), 40)[0]


def token_of(data, *args):
    key = make_key(data)
    return key, issue(data, key["key"], "--permissions", "account", *args)


@test
def a_deleted_key_ends_at_the_edge():
    with Server() as server:
        data = server.data
        edge = Edge(data)
        key, token = token_of(data)
        other_key, other = token_of(data)
        edge.pull(server)
        assert (edge.reason(token), edge.reason(other), edge.count()) == ("ok", "ok", 0)
        last = edge.sequence()
        for action, reason in (("disable", "revoked"), ("enable", "ok"), ("disable", "revoked"),
                               ("enable", "ok"), ("revoke-subtokens", "revoked")):
            run("key", action, key["id"], data=data, check=0)
            assert edge.pull(server)["sequence"] > last, action
            last = edge.sequence()
            assert edge.reason(token) == reason, action
            assert edge.reason(other) == "ok", action
        fresh = issue(data, key["key"], "--permissions", "account")
        assert edge.reason(fresh) == "ok"
        run("key", "delete", key["id"], data=data, check=0)
        assert edge.reason(fresh) == "ok"  # nobody has told it yet
        edge.pull(server)
        assert edge.reason(fresh) == edge.reason(token) == "revoked" and edge.count() == 2
        assert edge.reason(other) == "ok"


@test
def the_feed_answers_with_snapshot_changes_or_304():
    with Server() as server:
        edge = Edge(server.data)
        key, _ = token_of(server.data)
        for who, status in ((key["key"], 403), ("x" * 72, 401)):
            got = fetch(server, who)
            assert got[0] == status and got[1]["Subtoken-Heartbeat"] is None, got
        assert json.loads(fetch(server, key["key"])[2]) == {"text": "requires scope revocations"}
        # A subtoken of the edge's key will do.
        sub = issue(server.data, edge.key, "--permissions", "revocations", "--urls", "/v2/revocations")
        status, headers, body = fetch(server, sub)
        assert status == 200 and headers["Content-Type"] == HELD, (status, headers.items())
        assert re.fullmatch('"[A-Za-z0-9_-]{43}"', headers["ETag"]), headers["ETag"]
        assert len(headers["Subtoken-Heartbeat"]) == 214 and headers["Cache-Control"] == "no-store"
        seq = int(headers["Subtoken-Seq"])
        assert seq == struct.unpack_from("<Q", body, 16)[0]
        assert "Subtoken-Heartbeat" in headers["Access-Control-Expose-Headers"]
        head = fetch(server, edge.key, method="HEAD")
        assert head[0] == 200 and head[2] == b"" and head[1]["ETag"] == headers["ETag"]
        assert int(head[1]["Content-Length"]) == len(body)
        for match in (headers["ETag"], "W/" + headers["ETag"], '"x", ' + headers["ETag"], "*"):
            got = fetch(server, edge.key, If_None_Match=match)
            assert (got[0], got[2]) == (304, b"") and got[1]["ETag"] == headers["ETag"], got[0]
            assert len(got[1]["Subtoken-Heartbeat"]) == 214 and int(got[1]["Subtoken-Seq"]) == seq
            assert got[1]["Content-Type"] is None
        assert fetch(server, edge.key, If_None_Match='"x"')[0] == 200
        for query in ("?since=x", "?since=0", "?since=1&since=1"):
            got = fetch(server, edge.key, query)
            assert got[0] == 400 and b"since" in got[2] and got[1]["ETag"] is None, got
        for _ in range(40):  # so that changes are shorter than the whole
            run("key", "delete", token_of(server.data)[0]["id"], data=server.data, check=0)
            if SANITIZER and _ > 5:
                break
        status, headers, whole = fetch(server, edge.key, "?since=%d&whole=1" % seq)
        assert status == 200 and headers["Content-Type"] == HELD and len(whole) > len(body)
        # C8: what was never given here was told by another history.
        for never in (seq + 10**15, seq + 1, 2**63 - 1):
            status, headers, body = fetch(server, edge.key, "?since=%d" % never)
            assert status == 409 and b"subtoken_revocation(7)" in body, (status, body)
            assert headers["Subtoken-Heartbeat"] is None and headers["ETag"] is None
        assert [l for l in server.log_lines() if l.get("reason") == "store_rolled_back"]
        status, headers, whole = fetch(server, edge.key, "?since=%d" % seq)
        now = int(headers["Subtoken-Seq"])
        status, headers, body = fetch(server, edge.key, "?since=%d" % now)
        assert headers["Content-Type"] == CHANGES and len(body) == 192, (headers.items(), len(body))
        keep = token_of(server.data)[0]["id"]
        run("key", "delete", keep, data=server.data, check=0)
        status, headers, body = fetch(server, edge.key, "?since=%d" % now)
        assert headers["Content-Type"] == CHANGES and len(body) == 200, (headers.items(), len(body))
        for line in server.log_lines():
            assert edge.key not in json.dumps(line)


def put_many(data, count):
    """Revoked long before the server starts: as many rows as it would have written."""
    sub, number = ("lpad(i::text, 43, '0')", "hashint8extended(i, 1)") if STORE else ("printf('%043d', i)", "random()")
    stores.execute(data, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO "
                   "listed (sub, hash, revoked_at, lived_at) SELECT %s, %s, %d, 0 FROM n" % (
                       count, sub, number, int(time.time()) - DAY))
    return stores.execute(data, "SELECT count(DISTINCT hash) FROM listed")[0][0]


@test
def a_hundred_thousand_subs_are_listed():
    data = data_dir()
    key, token = token_of(data)
    edge = Edge(data)
    count = put_many(data, 100000)
    with Server(data) as server:
        assert edge.pull(server)["entries"] == count
        assert edge.reason(token) == "ok"
        since = edge.sequence()
        run("key", "delete", key["id"], data=data, check=0)
        status, headers, body = fetch(server, edge.key, "?since=%d" % since)
        assert status == 200 and len(body) == 200, (status, len(body))
        assert edge.pull(server)["entries"] == count + 1 and edge.reason(token) == "revoked"
        assert edge.read() == fetch(server, edge.key)[2]
    # Nor is it sent whole because a server has started.
    with Server(data) as server:
        status, headers, body = fetch(server, edge.key, "?since=%d" % edge.sequence())
        assert headers["Content-Type"] == CHANGES and len(body) == 192, len(body)
        before = edge.sequence()
        assert edge.pull(server)["sequence"] > before and edge.reason(token) == "revoked"


@test
def kills_and_restarts_lose_no_revocation():
    data = data_dir()
    edge = Edge(data)
    tokens = []
    for number in range(3):
        with Server(data) as server:
            key, token = token_of(data)
            edge.pull(server)
            assert edge.reason(token) == "ok"
            before = edge.sequence()
            run("key", "delete", key["id"], data=data, check=0)
            tokens.append(token)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.start()
            assert edge.pull(server)["sequence"] > before
            assert [edge.reason(t) for t in tokens] == ["revoked"] * len(tokens)


def rolled_back(server):
    time.sleep(0.05)
    return [l["detail"] for l in server.log_lines() if l.get("event") == "store_rolled_back"]


@test
def a_backup_that_is_put_back_undoes_no_revocation():
    """C7: what edges refused they refuse, and what the backup does not know can be refused."""
    data = data_dir()
    edge, slow = Edge(data), Edge(data)
    keys = {n: token_of(data) for n in ("early", "late", "off", "on", "renewed", "untouched")}
    token = {n: t for n, (k, t) in keys.items()}

    def key(action, name):
        run("key", action, keys[name][0]["id"], data=data, check=0)
    with Server(data) as server:
        key("delete", "early"), key("disable", "on")
        edge.pull(server)
        copy = stores.backed_up(data)
        key("delete", "late"), key("disable", "off"), key("enable", "on")
        key("revoke-subtokens", "renewed")
        slow.pull(server)
        for name in ("made and deleted", "made and alive"):
            keys[name] = token_of(data)
            token[name] = keys[name][1]
        key("delete", "made and deleted")
        edge.pull(server)
        told = {n: edge.reason(t) for n, t in token.items()}
        assert told == {"early": "revoked", "late": "revoked", "off": "revoked", "on": "ok",
                        "renewed": "revoked", "untouched": "ok", "made and deleted": "revoked",
                        "made and alive": "ok"}, told
        before = edge.sequence()
        assert not rolled_back(server)
    for change_first in (False, True):
        stores.put_back(data, copy)
        if change_first:  # by a command, so that the sequence of the database is above all
            run("key", "delete", token_of(data)[0]["id"], data=data, check=0)
        with Server(data) as server:
            said = rolled_back(server)
            assert len(said) == 1 and str(before) in said[0] and "subtoken revoke" in said[0], said
            assert edge.pull(server)["sequence"] > before
            # What was enabled since the backup is as the backup has it.
            assert {n: edge.reason(t) for n, t in token.items()} == dict(told, on="revoked")
            assert slow.pull(server)["sequence"] >= edge.sequence()
            # Nor does the server itself take them, nor the whole keys that were deleted.
            shown = json.loads(run("key", "show", keys["late"][0]["id"], "--json", data=data, check=0)[1])
            assert shown["disabled"] is True, shown
            for name in ("late", "off", "renewed"):
                assert fetch(server, keys[name][0]["key"])[0] == 401, name
            # A key that nothing is known of is ended by one of its tokens.
            code, out, _ = run("revoke", data=data, stdin=token["made and alive"] + "\n")
            assert code == 0 and ("was revoked before" if change_first else "is revoked") in out, out
            code, out, err = run("revoke", "--json", data=data, stdin="\n".join(
                (token["made and alive"], token["late"], "x.y.z", "")))
            said = [json.loads(l) for l in out.splitlines()]
            assert code == 1 and [l["revoked"] for l in said] == [True, True, False], out
            assert "sub" in said[0] and said[2]["reason"] == "malformed"
            edge.pull(server)
            assert edge.reason(token["made and alive"]) == "revoked"
            assert edge.reason(token["untouched"]) == "ok"
            before = edge.sequence()
            audit = run("audit", data=data, check=0)[1]
            assert "revocations.restore" in audit and (change_first or "sub.revoke" in audit), audit
            told["made and alive"] = "revoked"
    with Server(data) as server:  # once
        assert not rolled_back(server)
        edge.pull(server)
        # An operator who knows better undoes it.
        key("enable", "on")
        edge.pull(server)
        assert edge.reason(token["on"]) == "ok" and edge.reason(token["late"]) == "revoked"


@test
def a_backup_that_is_put_back_undoes_no_revoked_token():
    """Which key it was of the backup does not know: the server looks up each token that it is shown."""
    data = data_dir()
    edge = Edge(data)
    key = make_key(data, "account,inventories")["key"]
    urls = "/v2/tokeninfo,/v2/createsubtoken,/number/%d"
    made = [issue(data, key, "--permissions", "account", "--urls", urls % n) for n in range(3)]
    child = issue(data, made[1], "--permissions", "account")

    def at_the_server():
        return [curl(server.url + "/v2/tokeninfo", *bearer(t)).status
                for t in (*made, child)]
    with Server(data) as server:
        run("revoke", data=data, stdin=made[0], check=0)
        copy = stores.backed_up(data)
        assert at_the_server() == [401, 200, 200, 200]
        run("revoke", data=data, stdin=made[1], check=0)
        edge.pull(server)
        wait(lambda: at_the_server() == [401, 401, 200, 401])
    for _ in range(1 if STORE else 2):
        stores.put_back(data, copy)
        with Server(data) as server:
            assert len(rolled_back(server)) == 1
            assert at_the_server() == [401, 401, 200, 401]
            edge.pull(server)
            assert [edge.reason(t, "--url", "/v2/tokeninfo") for t in (*made, child)] == ["revoked", "revoked", "ok", "revoked"]
            run("revoke", data=data, stdin=made[1], check=0)  # once more, by its name
            assert at_the_server() == [401, 401, 200, 401]


@test
def a_lost_database_undoes_no_revocation():
    """C7: another is made, with another hash key; edges go on refusing."""
    data = data_dir()
    edge = Edge(data)
    with Server(data) as server:
        gone, gone_token = token_of(data)
        run("key", "delete", gone["id"], data=data, check=0)
        _, lost_token = token_of(data)
        edge.pull(server)
        before, hash_key = edge.sequence(), edge.read()[48:64]
    stores.lose(data)
    make_key(data)  # a command that changes something first
    other, other_token = token_of(data)
    run("key", "delete", other["id"], data=data, check=0)
    edge.key = make_key(data, "revocations")["key"]
    with open(edge.key_file, "w") as f:
        f.write(edge.key)
    with Server(data) as server:
        assert len(rolled_back(server)) == 1
        assert edge.pull(server)["sequence"] > before and edge.read()[48:64] == hash_key
        assert (edge.reason(gone_token), edge.reason(other_token)) == ("revoked", "revoked")
        assert edge.reason(lost_token) == "ok"  # it was not revoked, and can be:
        run("revoke", data=data, stdin=lost_token, check=0)
        edge.pull(server)
        assert edge.reason(lost_token) == "revoked"


@test
def without_its_snapshot_a_server_vouches_for_nothing():
    """C7: then nothing is vouched for, and edges answer 503 before long, until one helps out."""
    data = data_dir()
    edge, older = Edge(data), Edge(data)
    key, token = token_of(data)
    copy = stores.backed_up(data)
    with Server(data) as server:
        older.pull(server)
        run("key", "delete", key["id"], data=data, check=0)
        edge.pull(server)
    stores.put_back(data, copy)
    os.unlink(os.path.join(data, "snapshot"))
    with Server(data) as server:
        said = rolled_back(server)
        assert len(said) == 1 and "feed restore" in said[0], said
        assert "409" in edge.pull(server, check=1)
        assert fetch(server, edge.key)[0] == 503 and edge.reason(token) == "revoked"
        code, _, err = run("feed", "restore", older.file, data=data)
        assert code == 1 and "--force" in err, err
        run("feed", "restore", os.path.join(data, "secrets"), data=data, check=3)
        out = json.loads(run("feed", "restore", edge.file, "--json", data=data, check=0)[1])
        assert out["disabled"] == 1 and out["sequence"] > edge.sequence(), out
        assert edge.pull(server)["entries"] == 1 and edge.reason(token) == "revoked"
        older.pull(server)
    with Server(data) as server:
        assert not rolled_back(server)
        assert os.path.exists(os.path.join(data, "snapshot"))
    # The way on without: what was revoked since is forgotten.
    stores.put_back(data, copy)
    for name in ("vouched", "snapshot"):
        os.unlink(os.path.join(data, name))
    with Server(data) as server:
        assert not rolled_back(server)
        for suffix in ("", ".alive", ".seen"):
            assert "409" in edge.pull(server, check=1)
            os.unlink(edge.file + suffix)
        edge.pull(server)
        assert edge.reason(token) == "ok"


@test
def a_server_on_a_copy_of_the_database_undoes_no_revocation():
    """C8: an edge that asks the other one gets nothing back that was revoked."""
    for whole in (False, True):
        data, other_data = data_dir(), data_dir()
        edge = Edge(data)
        (key, token), (second, second_token), kept = token_of(data), token_of(data), token_of(data)
        with Server(data) as server:
            edge.pull(server)
        os.makedirs(other_data, 0o700, exist_ok=True)
        for name in os.listdir(data) if whole else ("secrets",):
            if name != "config.json" and not name.startswith("subtoken.db"):
                shutil.copy2(os.path.join(data, name), os.path.join(other_data, name))
        stores.put_back(other_data, stores.backed_up(data))
        with Server(data) as server, Server(other_data) as other:
            run("key", "delete", key["id"], data=data, check=0)
            edge.pull(server)
            assert edge.reason(token) == "revoked"
            run("key", "delete", second["id"], data=other_data, check=0)
            before = edge.read()
            err = edge.pull(other, check=1)
            assert "feed_rollback" in err and "409" in err and "subtoken_revocation(7)" in err, err
            assert edge.read() == before and edge.reason(token) == "revoked"
            # Who asks both goes on with the one that it has asked before, in whatever order.
            said = rolled_back(other)
            assert said and "is a copy or a backup" in said[-1], said
            for order in ([other, server], [server, other]):
                assert edge.pull(order)["sequence"] >= struct.unpack_from("<Q", before, 16)[0]
                assert edge.reason(token) == "revoked"
            server.stop()
            assert "409" in edge.pull([server, other], check=3)
            assert edge.reason(token) == "revoked" and edge.reason(second_token) == "ok"
            server.start()
            edge.pull([other, server])
            os.unlink(edge.file)  # FILE.seen knows
            edge.pull(other, check=1)
            edge.pull(server)
            # The way out: what that edge was told is listed here, too.
            out = run("feed", "restore", edge.file, data=other_data, check=0)[1]
            assert "disabled  1 " in out, out
            edge.pull(other)
            assert edge.reason(token) == "revoked" and edge.reason(second_token) == "revoked"
            assert edge.reason(kept[1]) == "ok"
            # And the first is now the one that never gave it.
            assert "409" in edge.pull(server, check=1)


@test
def a_large_list_is_kept_by_its_changes():
    """C7: a snapshot of a megabyte is not written whole for each revocation."""
    data = data_dir()
    edge = Edge(data)
    count = put_many(data, 20000)
    made = [token_of(data) for _ in range(3)]
    copy = stores.backed_up(data)
    with Server(data) as server:
        edge.pull(server)
        whole = os.stat(os.path.join(data, "snapshot")).st_ino
        for key, _ in made:
            run("key", "delete", key["id"], data=data, check=0)
            edge.pull(server)
        assert os.stat(os.path.join(data, "snapshot")).st_ino == whole
        assert os.path.getsize(os.path.join(data, "snapshot.changes")) == 192 + 8 * 3
        # The same snapshot is not written again, however often it is asked for.
        vouched = os.stat(os.path.join(data, "vouched")).st_ino
        for _ in range(5):
            edge.pull(server)
        assert os.stat(os.path.join(data, "vouched")).st_ino == vouched
    stores.put_back(data, copy)
    with Server(data) as server:
        edge.pull(server)
        assert edge.count() == count + 3 and [edge.reason(t) for _, t in made] == ["revoked"] * 3


@test
def a_kept_snapshot_without_a_good_mac_stops_the_start():
    """C7: damaged, or under a secret that is gone, it stops the start; retiring signs it anew."""
    data = data_dir()
    edge = Edge(data)
    key, token = token_of(data)
    copy = stores.backed_up(data)
    with Server(data) as server:
        run("key", "delete", key["id"], data=data, check=0)
        edge.pull(server)
    run("secret", "add", "--kid", "b", data=data, check=0)
    run("secret", "promote", "b", data=data, check=0)
    run("secret", "retire", "-", "--force", data=data, check=0)
    for name in ("vouched", "snapshot"):
        with open(os.path.join(data, name), "rb") as f:
            assert f.read()[64:66] == b"b\0", name
    stores.put_back(data, copy)
    with Server(data) as server:
        assert len(rolled_back(server)) == 1
        edge.pull(server)
        assert edge.count() == 1
    path = os.path.join(data, "vouched")
    good = open(path, "rb").read()
    for bad in (good[:-1], good[:20] + b"\1" + good[21:], b"", good + b"x"):
        with open(path, "wb") as f:
            f.write(bad)
        code, _, err = run("serve", "--listen", "127.0.0.1:0", data=data)
        assert code == 3 and path in err, (bad, code, err)
    os.unlink(path)
    with Server(data) as server:
        edge.pull(server)


@test
def a_ring_that_was_changed_on_another_machine_reads_what_was_vouched_for():
    """As at an issuer that no edge asks any more, and whose ring is copied from another one."""
    data = data_dir()
    edge = Edge(data)
    path = os.path.join(data, "secrets")
    with Server(data) as server:
        edge.pull(server)
        with open(path + ".copied", "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
            f.write("b:%s\n" % b64(hashlib.sha256(b"b").digest()))
        os.rename(path + ".copied", path)
    with Server(data) as server:
        edge.pull(server)


@test
def the_feed_follows_rotations_of_the_secret():
    with Server() as server:
        data = server.data
        edge = Edge(data)
        gone, gone_token = token_of(data)
        run("key", "delete", gone["id"], data=data, check=0)
        key, token = token_of(data)
        last = 0
        steps = ((), ("rotate", "--kid", "b"), ("add", "--kid", "c"), ("promote", "c"),
                 ("promote", "b"), ("retire", "c", "--force"))
        for step in steps:
            if step:
                run("secret", *step, data=data, check=0)
            edge.pull(server)
            signed = step[:1] in (("rotate",), ("promote",))
            assert edge.sequence() > last if signed else edge.sequence() >= last, step
            last = edge.sequence()
            kid = edge.read()[64:128].rstrip(b"\0").decode()
            assert kid == {(): "", ("promote", "c"): "c"}.get(step, "b"), (step, kid)
            assert (edge.reason(gone_token), edge.reason(token)) == ("revoked", "ok"), step
        run("secret", "retire", "-", "--force", data=data, check=0)
        edge.pull(server)
        fresh = issue(data, key["key"], "--permissions", "account")
        assert edge.reason(fresh) == "ok" and edge.reason(token) in ("kid", "mac")


def faked(clock):
    """The environment in which a program sees another clock; its monotonic one is as ever."""
    return dict(ENV, LD_PRELOAD=FAKETIME, FAKETIME=clock, DONT_FAKE_MONOTONIC="1",
                ASAN_OPTIONS=ENV.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")


def at(days):
    """For `verify` so many days from now. The heartbeat has the time of PostgreSQL, whose clock is not changed."""
    return ["--at", str(int(time.time()) + days * DAY), "--max-age", "400d" if STORE == "postgres" else "300s"]


def setting(data, name, value=None):
    if value is not None:
        assert stores.execute(data, "UPDATE settings SET value = %d WHERE name = '%s' RETURNING value" % (value, name))
    found = stores.execute(data, "SELECT value FROM settings WHERE name = '%s'" % name)
    return found[0][0] if found else None


@test
def subs_leave_the_list_when_no_token_can_name_them():
    """C5: when the clock has passed and as much was lived through."""
    if STORE:
        return "an edge goes by the clock of PostgreSQL, which is not faked"
    if FAKETIME is None:
        return "no libfaketime"
    data = data_dir()
    edge = Edge(data)
    key, token = token_of(data, "--expire", time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                          time.gmtime(time.time() + 360 * DAY)))
    disabled, _ = token_of(data)
    with Server(data) as server:
        run("key", "delete", key["id"], data=data, check=0)
        run("key", "disable", disabled["id"], data=data, check=0)
        edge.pull(server)
        assert edge.count() == 2
    for days, lived, count in ((359, 367, 2), (367, 359, 2), (367, 367, 1)):
        setting(data, "lived", lived * DAY)
        with Server(data, env=faked("+%dd" % days)) as server:
            edge.pull(server, env=faked("+%dd" % days))
            assert edge.count() == count, (days, edge.count())
            reason = "expired" if days > 365 else "revoked"
            assert edge.reason(token, *at(days)) == reason, days


@test
def a_start_with_a_clock_ahead_forgets_no_revocation():
    """C5: each start was a day."""
    if FAKETIME is None:
        return "no libfaketime"
    data, settings = data_dir(), {"max_life": "10d", "default_life": "5d"}
    edge = Edge(data)
    with Server(data, settings) as server:
        key, token = token_of(data, "--expire", "9d")
        edge.pull(server)
        assert edge.reason(token) == "ok"
        run("key", "delete", key["id"], data=data, check=0)
        edge.pull(server)
        assert edge.reason(token) == "revoked"
    for _ in range(14):
        with Server(data, settings, env=faked("+730d")) as server:
            assert fetch(server, edge.key)[0] == 200
    with Server(data, settings) as server:
        edge.pull(server)
        assert edge.count() == 1 and edge.reason(token) == "revoked"
        assert setting(data, "lived") < 600
    # What a server lives through is kept, also what is less than the hour between two purges.
    before = setting(data, "lived")
    with Server(data, settings) as server:
        time.sleep(2.1)
    assert before + 2 <= setting(data, "lived") <= before + 60


@test
def the_longest_life_ever_signed_is_remembered():
    """C6: `issue` came before the first `serve`, which gives shorter lives; so does a reload."""
    if STORE:
        return "an edge goes by the clock of PostgreSQL, which is not faked"
    if FAKETIME is None:
        return "no libfaketime"
    data = data_dir()
    edge = Edge(data)
    key, token = token_of(data, "--expire", "300d")
    assert setting(data, "max_life") == 365 * DAY
    short = {"max_life": "1d", "default_life": "1d"}
    with Server(data, short) as server:
        run("key", "delete", key["id"], data=data, check=0)
        edge.pull(server)
    assert setting(data, "max_life") == 365 * DAY
    setting(data, "lived", 3 * DAY)
    with Server(data, short, env=faked("+3d")) as server:
        edge.pull(server, env=faked("+3d"))
        assert edge.count() == 1
        assert edge.reason(token, *at(3)) == "revoked"
    # A reload remembers before it is in force, and a server that gives shorter ones changes nothing.
    with Server(data, short) as server, Server(data, short) as other:
        server.write_config(dict(short, threads=16 if SANITIZER else 64, max_life="500d"))
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: '"reloaded"' in server.log())
        assert setting(data, "max_life") == 500 * DAY
        other.process.send_signal(signal.SIGHUP)
        wait(lambda: '"reloaded"' in other.log())
        assert setting(data, "max_life") == 500 * DAY


@test
def old_and_forged_files_are_refused():
    with Server() as server:
        edge = Edge(server.data)
        key, token = token_of(server.data)
        edge.pull(server)
        old, old_alive = edge.read(), edge.read(".alive")
        run("key", "delete", key["id"], data=server.data, check=0)
        edge.pull(server)
        new, new_alive = edge.read(), edge.read(".alive")

        def put(snapshot, alive):
            for suffix, data in (("", snapshot), (".alive", alive)):
                with open(edge.file + suffix, "wb") as f:
                    f.write(data)

        put(old, old_alive)
        assert edge.reason(token) == "feed_stale"  # what was seen is known
        put(old, new_alive)
        assert edge.reason(token) == "feed_stale"
        at = len(new) - 36
        put(new[:at] + bytes([new[at] ^ 1]) + new[at + 1:], new_alive)
        assert edge.reason(token) == "feed_stale"
        edge.pull(server)  # mends it, from wherever it was
        assert edge.read() == new and edge.reason(token) == "revoked"
        put(old, old_alive)
        edge.pull(server)
        assert edge.read() == new and edge.reason(token) == "revoked"


@test
def the_sequence_of_a_revocation_names_the_snapshot_that_has_it():
    """POST /oauth/revoke says which: the first that lists the token, by its id alone."""
    with Server() as server:
        edge = Edge(server.data)
        key, _ = token_of(server.data)
        for number in range(3):
            token = issue(server.data, key["key"], "--urls", "/v2/%d" % number)
            before = fetch(server, edge.key)[2]
            answer = curl(server.url + "/oauth/revoke", "-d", "token=" + token)
            told = int(answer.header("Subtoken-Seq"))
            status, headers, body = fetch(server, edge.key)
            assert status == 200 and int(headers["Subtoken-Seq"]) == told > struct.unpack_from("<Q", before, 16)[0]
            listed = sub_hash(body[48:64], token.split(".")[2][:16].encode())
            assert set(hashes_of(body)) - set(hashes_of(before)) == {listed}, (number, len(hashes_of(body)))


@test
def an_audience_gets_the_same_snapshot_and_heartbeat():
    """All bytes are those of the whole ring's, but for the name of the secret and the MAC."""
    with Server() as server:
        edge, bound = Edge(server.data), make_key(server.data, "revocations", "--audience", "eu")["key"]
        for _ in range(3):
            run("key", "delete", token_of(server.data)[0]["id"], data=server.data, check=0)
        kid, secret = read_ring(os.path.join(server.data, "secrets"))[0]
        derived = hmac.new(hmac.new(bytes(32), secret, hashlib.sha256).digest(), b"subtoken aud 1:eu\x01",
                           hashlib.sha256).digest()
        sub = issue(server.data, edge.key, "--permissions", "revocations", "--audience", "eu")

        def plain(data):
            return data[:13] + data[14:64] + data[128:-32]
        whole = fetch(server, edge.key)
        beats = [unb64(whole[1]["Subtoken-Heartbeat"])]
        for key, query in ((edge.key, "?audience=eu"), (bound, ""), (bound, "?audience=eu"), (sub, "")):
            status, headers, body = fetch(server, key, query)
            assert status == 200 and headers["Subtoken-Seq"] == whole[1]["Subtoken-Seq"], (query, status, body)
            assert plain(body) == plain(whole[2]) and body[64:128] == (kid + ".eu").encode().ljust(64, b"\0")
            assert body[-32:] == hmac.new(derived, body[:-32], hashlib.sha256).digest(), query
            alive = unb64(headers["Subtoken-Heartbeat"])
            assert alive[-32:] == hmac.new(derived, alive[:-32], hashlib.sha256).digest(), query
            assert alive[:13] == beats[0][:13] and alive[16:24] == beats[0][16:24] and alive[32:64] == body[-32:], alive
            assert alive[64:128] == body[64:128]


@test
def eight_pulls_at_once_are_served():
    # One key may have a quarter of the threads.
    with Server(settings={"threads": 64}) as server:
        data = server.data
        first = Edge(data)
        edges = [first] + [Edge(data, first.key) for _ in range(7)]
        made = [token_of(data) for _ in range(6)]
        for edge in edges:
            edge.start(server)
        for number, (key, _) in enumerate(made):
            run("key", "delete", key["id"], data=data, check=0)
            if number == 2:
                run("secret", "rotate", "--kid", "b", data=data, check=0)
        last = int(fetch(server, first.key)[1]["Subtoken-Seq"])
        wait(lambda: all(os.path.exists(e.file + ".alive") and e.sequence() >= last for e in edges))
        whole = fetch(server, first.key)[2]
        for edge in edges:
            lines = edge.end()
            assert all(l["event"] == "pulled" for l in lines), lines
            assert edge.read() == whole
        for _, token in made:
            assert first.reason(token) == "revoked"


@test
def callers_that_hang_up_hold_nothing():
    """The address sanitizer's build ends with a look for what was not given back."""
    with Server() as server:
        edge = Edge(server.data)
        first = edge.pull(server)["sequence"]
        for _ in range(20):
            victim = make_key(server.data)
            run("key", "delete", victim["id"], data=server.data, check=0)
        ask = "GET /v2/revocations?since=%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", server.port)) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.sendall((ask % (first, edge.key) * 3).encode())
        assert edge.pull(server)["entries"] == 20


main()
