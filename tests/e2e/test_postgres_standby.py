#!/usr/bin/env python3
"""One issuer, a primary and a standby: what is logged of them, what is vouched for when no standby confirms, and that a
primary whose standby was promoted is left, though it still answers."""
from support import *
import postgres, urllib.error, urllib.request

PERMISSIONS = "account,inventories"


def hosts(*clusters):
    return "postgresql://postgres@%s/issuer" % ",".join("127.0.0.1:%d" % c.port for c in clusters)


def events(server, name):
    return [l["detail"] for l in server.log_lines() if l["event"] == name]


def vouched(server):
    """Is the revocation data given out?"""
    request = urllib.request.Request(server.url + "/v2/revocations", headers={"Authorization": "Bearer " + server.key})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as e:
        assert e.code == 503, e.code
        return False


def issues(server, key):
    return curl(server.url + "/v2/createsubtoken", "-H", "Authorization: Bearer " + key).status == 200


def issuer(data, *clusters):
    on_store(data, hosts(*clusters))
    return Server(data=data)


def prepare(primary):
    primary.database("issuer")
    data = os.path.join(scratch(), "var")
    on_store(data, hosts(primary))
    return data, make_key(data, PERMISSIONS + ",revocations")["key"]


@test
def a_standby_that_is_not_synchronous_is_told():
    with postgres.Cluster() as primary:
        data, key = prepare(primary)
        with primary.standby("second", synchronous=False):
            with issuer(data, primary) as server:
                assert issues(server, key)
                wait(lambda: events(server, "store_not_synchronous"), "the event")
                time.sleep(5)
                assert len(events(server, "store_not_synchronous")) == 1, events(server, "store_not_synchronous")
                assert "second" in events(server, "store_not_synchronous")[0]
                status = run("store", "status", data=data, check=0)[1]
                assert "second" in status and "async" in status, status
                primary.synchronous("second")
                wait(lambda: run("store", "status", data=data, check=0)[1].count("async") == 0, "it is synchronous")
                time.sleep(5)
                primary.synchronous("")
                wait(lambda: len(events(server, "store_not_synchronous")) == 2, "the event again")


@test
def nothing_is_vouched_for_while_no_standby_confirms():
    with postgres.Cluster() as primary:
        data, key = prepare(primary)
        with primary.standby("second") as standby:
            with issuer(data, primary, standby) as server:
                server.key = key
                assert issues(server, key)
                assert not events(server, "store_not_synchronous")
                wait(lambda: vouched(server), "the feed")
                standby.freeze()
                wait(lambda: not vouched(server), "nothing is vouched for")
                wait(lambda: not issues(server, key), "what is remembered is too old")
                time.sleep(6)
                waiting = int(primary.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
                assert waiting <= 4, waiting
                standby.freeze(False)
                wait(lambda: issues(server, key), "it is well again")
                wait(lambda: vouched(server), "the feed is well again")
                assert len(events(server, "store_lost")) == 1, events(server, "store_lost")
                wait(lambda: len(events(server, "store_found")) == 1, "the event")


@test
def a_wait_that_somebody_cancels_confirms_nothing():
    """PostgreSQL answers the commit as done then, with a warning."""
    cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'subtoken %'"
    with postgres.Cluster() as primary:
        data, key = prepare(primary)
        with primary.standby("second") as standby:
            with issuer(data, primary, standby) as server:
                server.key = key
                wait(lambda: vouched(server), "the feed")
                standby.freeze()
                wait(lambda: not issues(server, key), "what is remembered is too old")
                cancelled, deadline = 0, time.time() + 60
                while cancelled < 4:
                    assert time.time() < deadline, cancelled
                    cancelled += int(primary.psql(cancel))
                    assert not vouched(server) and not issues(server, key), "after %d cancelled commits" % cancelled
                standby.freeze(False)
                wait(lambda: vouched(server), "the feed is well again")


@test
def a_primary_whose_standby_was_promoted_is_left():
    with postgres.Cluster() as primary:
        data, key = prepare(primary)
        with primary.standby("second") as standby:
            with issuer(data, primary, standby) as server:
                server.key = key
                assert issues(server, key)
                wait(lambda: vouched(server), "the feed")
                standby.promote()
                # The old one goes on answering questions. What is made on the new one must be in force here.
                other = os.path.join(os.path.dirname(data), "other")
                shutil.copytree(data, other)
                on_store(other, hosts(standby))
                run("key", "delete", key[:36], data=other, check=0)
                wait(lambda: not issues(server, key), "the key has ended here, too")
                wait(lambda: len(events(server, "store_found")) >= 1, "it has found the new primary")
                assert primary.running()
                more = make_key(other, PERMISSIONS)["key"]
                wait(lambda: issues(server, more), "keys of the new primary are good")


@test
def a_primary_that_comes_back_is_found():
    with postgres.Cluster() as primary:
        data, key = prepare(primary)
        with issuer(data, primary) as server:
            assert issues(server, key)
            primary.kill()
            wait(lambda: len(events(server, "store_lost")) == 1, "the event")
            assert issues(server, key)  # remembered
            primary.start()
            wait(lambda: len(events(server, "store_found")) == 1, "the event")
            assert issues(server, key)
            assert issues(server, make_key(data, PERMISSIONS)["key"])


main()
