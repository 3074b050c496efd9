"""A server whose PostgreSQL does not answer: the feed says so at once and vouches for nothing, who is held is answered,
the process is alive but not ready, another server goes on, and all is well again by itself. And a standby that was
promoted without the last changes: what edges were told stays so, whichever server they ask first."""
import threading
from machine import alone
from fleet import *
from feed import sequence_of

SOON = 12  # seconds; what is waited for ends long before, what it must not wait for long after


def fetch(issuer, key, query="", tag=None, timeout=60):
    """(status, headers, body, seconds)"""
    began = time.time()
    connection = http.client.HTTPConnection("127.0.0.1", issuer.port, timeout=timeout)
    headers = {"Authorization": "Bearer " + key, **({"If-None-Match": tag} if tag else {})}
    connection.request("GET", "/v2/revocations" + query, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body, time.time() - began


def status(issuer, path):
    connection = http.client.HTTPConnection("127.0.0.1", issuer.port, timeout=60)
    began = time.monotonic()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, alone(began)


def sequence(answer):
    return int(answer[1]["Subtoken-Seq"])


def sequence_in(path):
    with open(path, "rb") as f:
        return sequence_of(f.read())


@test
def a_database_that_is_silent_is_not_vouched_for():
    with Fleet(edges=1, standby=False) as fleet:
        cut_off, other = fleet.issuers
        found, headers, _, _ = fetch(cut_off, fleet.reader)
        assert found == 200
        tag, held = headers["ETag"], []
        waiting = threading.Thread(target=lambda: held.append(fetch(cut_off, fleet.reader, "?wait=30", tag)))
        waiting.start()
        time.sleep(0.5)
        cut_off.hold()
        answers = [fetch(cut_off, fleet.reader, "", tag) for _ in range(3)]
        for found, headers, _, seconds in answers:
            assert (found, headers["Subtoken-Heartbeat"]) == (503, None) and seconds < SOON, (found, seconds)
        waiting.join()
        found, headers, _, seconds = held[0]
        assert (found, headers["Subtoken-Heartbeat"]) == (503, None) and seconds < SOON, (found, seconds)
        assert status(cut_off, "/healthz")[0] == 200
        wait(lambda: status(cut_off, "/readyz")[0] == 503, "it is not ready")
        for _ in range(3):
            found, seconds = status(cut_off, "/readyz")
            assert found == 503 and seconds < SOON, (found, seconds)
            assert status(cut_off, "/healthz")[0] == 200
        # The other one goes on, and for a change of it this one is asked in vain.
        victim = make_key(other.data)
        run("key", "delete", victim["id"], data=other.data, check=0)
        found, headers, _, _ = fetch(other, fleet.reader, "?wait=30", tag)
        assert found == 200
        now = headers["ETag"]
        assert fetch(cut_off, fleet.reader)[0] == 503
        cut_off.heal(deliver=False)
        wait(lambda: fetch(cut_off, fleet.reader)[0] == 200, "it is well again")
        assert fetch(cut_off, fleet.reader, "", now)[0] == 304  # the same bytes
        wait(lambda: status(cut_off, "/readyz")[0] == 200, "it is ready")
        assert not said(cut_off, "store_rolled_back"), "nothing was lost"


@test
def a_connection_that_is_cut_is_made_again():
    """And the feed is what it was, at the same sequence."""
    with Fleet(edges=1, standby=False) as fleet:
        issuer = fleet.issuers[0]
        for _ in range(5):
            before = fetch(issuer, fleet.reader)[1]
            issuer.cut()
            wait(lambda: fetch(issuer, fleet.reader)[0] == 200, "it connects again")
            assert fetch(issuer, fleet.reader)[1]["ETag"] == before["ETag"]
        assert not said(issuer, "store_rolled_back")


@test
def a_standby_without_the_last_changes_takes_nothing_back():
    """Whichever server is asked first; a change that comes before either is seen to."""
    for change_first in (False, True):
        with Fleet(edges=1, synchronous=False) as fleet:
            one, other = fleet.issuers
            keys = [make_key(one.data) for _ in range(4)]
            tokens = [issue(one.data, k["key"], "--permissions", "account") for k in keys]
            edge = os.path.join(scratch(), "revoked")
            key_file = private_file(fleet.reader + "\n")

            def pull(*issuers, check=None):
                urls = [w for i in issuers for w in ("--from", "http://127.0.0.1:%d" % i.port)]
                return run("pull", *urls, "--to", edge, "--key-file", key_file, "--once", check=check)[0]

            def refuses(number):
                out = run("verify", "--json", "--secrets", os.path.join(one.data, "secrets"), "--revocations", edge,
                          stdin=tokens[number])[1]
                return json.loads(out).get("reason") == "revoked"
            run("key", "delete", keys[0]["id"], data=one.data, check=0)
            sent = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
            wait(lambda: fleet.primary.psql(sent).strip() == "1", "the standby has it")
            fleet.standby.stop()  # what comes now it does not get
            run("key", "delete", keys[1]["id"], data=one.data, check=0)
            wait(lambda: pull(one) == 0 and refuses(1), "the edge is told")
            told = sequence_in(edge)
            fleet.primary.kill()
            fleet.standby.start()
            fleet.fail_over()
            if change_first:
                def change():
                    return run("key", "delete", keys[2]["id"], data=other.data)[0] == 0
                wait(change, "the new primary takes a change")
            # The other never vouched for that: the edge is not taken back by it, and goes on with the first.
            wait(lambda: fetch(other, fleet.reader)[0] == 200, "the other is well")
            pull(other)
            assert refuses(0) and refuses(1) and sequence_in(edge) >= told
            wait(lambda: pull(one, other) == 0, "the edge goes on")
            assert refuses(0) and refuses(1) and refuses(2) == change_first and sequence_in(edge) > told
            found = said(one, "store_rolled_back")
            assert len([l for l in found if str(told) in l["detail"]]) == 1, found
            # Now the other knows as well, and both say the same.
            answers = [fetch(i, fleet.reader) for i in fleet.issuers]
            assert [a[0] for a in answers] == [200, 200] and answers[0][2] == answers[1][2]
            assert pull(other) == 0 and refuses(1) and not refuses(3)


@test
def another_order_of_the_ring_takes_one_sequence():
    """While a rotation is on its way two servers sign with two secrets. Each change of the signer is one sequence, and
    not one for each question; then both say the same again."""
    with Fleet(edges=1, standby=False) as fleet:
        rings = [os.path.join(i.data, "secrets") for i in fleet.issuers]
        with open(rings[0]) as f:
            old = f.read().strip()
        fresh = "b:" + b64(os.urandom(32))

        def write(ring, *lines):
            with open(os.open(ring + ".next", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
                f.write("\n".join(lines) + "\n")
            os.rename(ring + ".next", ring)

        def answers():
            """Each asked several times, by turns."""
            found = [fetch(i, fleet.reader) for _ in range(4) for i in fleet.issuers]
            assert all(f[0] == 200 for f in found)
            return found
        for ring in rings:
            write(ring, old, fresh)
        before = answers()
        assert len({f[2] for f in before}) == 1
        write(rings[0], fresh, old)
        first = answers()
        assert len({sequence(f) for f in first[1:]}) == 1 and len({f[2] for f in first[1:]}) == 2
        write(rings[1], fresh, old)
        both = answers()
        assert len({f[2] for f in both[1:]}) == 1 and len({sequence(f) for f in both[1:]}) == 1
        assert sequence(before[0]) < sequence(first[1]) < sequence(both[1])


main()
