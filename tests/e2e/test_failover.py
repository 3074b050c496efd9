"""More than one machine: two issuers on one PostgreSQL with a standby, eight pulls, nginx with the module, and load,
while issuers, primaries, connections, networks and clocks fail. Nothing that was acknowledged is lost, nothing that
failed has happened, no edge lets a revoked credential through. SUBTOKEN_KILLS= and SUBTOKEN_FAILOVERS= choose how
many; the seed is printed."""
import random, struct
from support import *
from fleet_model import *

KILLS = int(os.environ.get("SUBTOKEN_KILLS", 2))
FAILOVERS = int(os.environ.get("SUBTOKEN_FAILOVERS", 2))


def sweep(issuer, proxy, dice, steps):
    """One change after the other, each cut after some more bytes of it, in each direction."""
    call = Caller([issuer], make_key(issuer.data, "keys,account")["key"], dice)
    counts = {"made": 0, "failed": 0, "doubt": 0}
    key = make_key(issuer.data, "account", name="swept")
    disabled, lines, created, broken = False, 0, {}, 0

    def create(name):
        verdict, answer, _ = call("POST", "/v2/keys", {"name": name, "permissions": ["account"]})
        created[name] = verdict
        return verdict

    def disable(wanted):
        verdict, answer, _ = call("PATCH", "/v2/keys/" + key["id"], {"disabled": wanted})
        assert answer is not None and answer.status in (200, 503), answer and answer.body
        return verdict

    def now():
        for _ in range(100):
            verdict, answer, _ = call("GET", "/v2/keys/" + key["id"])
            if verdict == "made":
                return answer.json()["disabled"]
            time.sleep(0.1)
        raise AssertionError("the issuer is not well again: %s" % answer.body)

    def lines_of(target):
        return sum(1 for l in run("audit", "--limit", "100000", "--json", data=issuer.data, check=0)[1].splitlines()
                   if json.loads(l)["target"] == target)
    began = lines_of(key["id"])
    for what, marker in ((create, b"create-"), (disable, key["id"].encode())):
        proxy.break_after(1 << 40, 1 << 40, marker=marker)
        assert what("create-whole" if what is create else True) == "made"
        disabled, lines = (disabled, lines) if what is create else (True, lines + 1)
        whole = proxy.counted()
        assert all(n > 50 for n in whole), whole
        for way in (0, 1):
            for n in sorted({round(whole[way] * i / steps) for i in range(steps + 1)}):
                now()
                proxy.break_after(**{("up", "down")[way]: n, "marker": marker})
                verdict = what("create-%d-%d" % (way, n) if what is create else not disabled)
                counts[verdict] += 1
                broken += proxy.broken
                proxy.break_after()
                if what is disable:
                    if verdict == "doubt":
                        lines += now() != disabled
                        disabled = now()
                    elif verdict == "made":
                        disabled, lines = not disabled, lines + 1
                    assert now() == disabled, (way, n, verdict)
    proxy.break_after()
    names = [r["name"] for r in objects(run("key", "list", "--json", data=issuer.data, check=0)[1])]
    for name, verdict in created.items():
        count = names.count(name)
        assert count == (1 if verdict == "made" else 0) or verdict == "doubt" and count <= 1, (name, verdict, count)
    assert now() == disabled and lines_of(key["id"]) - began == lines, (lines_of(key["id"]) - began, lines)
    return counts, broken


@test
def a_commit_that_breaks_anywhere_is_told_truly():
    """PostgreSQL answers again at once, so nothing may stay in doubt."""
    with Cluster() as cluster:
        edges = Edges(0)
        issuer = Issuer(0, edges.ring, [cluster], cluster.database())
        issuer.start()
        counts, broken = sweep(issuer, issuer.proxies[0], random.Random(SEED), int(os.environ.get("SUBTOKEN_SWEEP", 20)))
        print("# %s, %d broken" % (counts, broken), flush=True)
        assert counts["doubt"] == 0 and counts["made"] > 20 and broken > 40, (counts, broken)
        issuer.stop(), issuer.close()


@test
def nothing_is_lost_whatever_fails():
    print("# SEED=%d" % SEED, flush=True)
    with Fleet() as fleet:
        model, dice = Model(), random.Random(SEED)
        done = {"kill": 0, "failover": 0, "cut": 0, "break": 0, "hold": 0}
        took = []

        def calm(seconds):
            until = time.time() + seconds
            while time.time() < until and not model.failures:
                time.sleep(0.05)

        def kill():
            fleet.restart(fleet.issuers[done["kill"] % 2], dice.uniform(0, 1.5))

        def changed(promoted):
            wait(lambda: model.last_made[0] > promoted or model.failures, "a change after the promotion")
            took.append(model.last_made[0] - promoted)

        def failover():
            fleet.fail_over(changed)

        def cut():
            dice.choice(fleet.issuers).cut()

        def broken():
            for issuer in fleet.issuers:
                for proxy in issuer.proxies:
                    proxy.break_after(**{dice.choice(("up", "down")): dice.randrange(4000)},
                                      swallow=dice.random() < 0.2)
            calm(0.5)
            for issuer in fleet.issuers:
                for proxy in issuer.proxies:
                    proxy.break_after()
                    proxy.heal()

        def hold():
            issuer = fleet.issuers[done["hold"] % 2]
            issuer.hold(*((True, True), (False, True), (True, False))[done["hold"] % 3])
            calm(dice.uniform(1, 8))
            issuer.heal(deliver=dice.random() < 0.5)

        def faults():
            calm(2)
            wanted = {"kill": KILLS, "failover": FAILOVERS, "cut": 2 + KILLS, "break": 2 + KILLS, "hold": 3}
            if KILLS > 100:
                wanted["hold"] = KILLS // 20
            while not model.failures and any(done[n] < wanted[n] for n in done):
                name = dice.choice([n for n in done if done[n] < wanted[n]])
                {"kill": kill, "failover": failover, "cut": cut, "break": broken, "hold": hold}[name]()
                done[name] += 1
                calm(dice.uniform(0.2, 1.5))
            calm(3)
        under_load(fleet, model, faults, pause=0.05 if KILLS < 100 else 0.5)
        print("# %s; %s; %d good, %d ended; first change after a promotion: %s s" % (
            done, model.counts, *model.settled(fleet), " ".join("%.2f" % t for t in took[-20:])), flush=True)
        assert model.counts["strict"] > 100 and model.counts["made"] > 100


@test
def an_asynchronous_standby_that_lacks_changes_undoes_nothing():
    with Fleet(edges=2, synchronous=False) as fleet:
        data, (first, second) = fleet.issuers[0].data, fleet.issuers
        keys = [make_key(data, "account") for _ in range(4)]
        tokens = [issue(data, k["key"], "--permissions", "account") for k in keys]
        call = Caller(fleet.issuers, fleet.manager, random.Random(SEED))
        assert call("DELETE", "/v2/keys/" + keys[0]["id"])[0] == "made"
        fleet.edges.refuse(tokens[0])
        lsn = fleet.primary.psql("SELECT pg_current_wal_lsn()")
        wait(lambda: fleet.standby.psql("SELECT pg_last_wal_replay_lsn() >= '%s'" % lsn) == "t", "the standby has it")
        # From here on it gets nothing.
        fleet.standby.psql("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'; SELECT pg_reload_conf()")
        wait(lambda: fleet.primary.psql("SELECT count(*) FROM pg_stat_replication") == "0", "it is cut off")
        assert call("DELETE", "/v2/keys/" + keys[1]["id"])[0] == "made"
        verdict, answer, _ = call("PATCH", "/v2/keys/" + keys[2]["id"], {"disabled": True})
        assert verdict == "made"
        told = int(answer.header("Subtoken-Seq"))
        for token in tokens[1:3]:
            fleet.edges.refuse(token)
        second.kill()
        fleet.fail_over()
        second.start()
        undone(fleet, call, tokens[:3], tokens[3], told)
        # What the database had not is so there, too.
        for key in keys[:3]:
            wait(lambda: all(call("GET", "/v2/tokeninfo", credential=key["key"], issuer=i)[1].status == 401
                             for i in fleet.issuers), "its key is refused")


def undone(fleet, call, gone, good, told):
    """The database is behind what was vouched for: nothing that was refused is let through, and it is said."""
    until, brought = time.time() + 120, 0
    while time.time() < until:
        for edge in fleet.edges.all:
            for token in gone:
                status, seen, age = edge.ask(token)
                assert status in (401, 503), (edge.number, status, seen, age, edge.log())
        brought = min(sequence_of(e.snapshot()) for e in fleet.edges.all)
        if brought > told:
            break
    assert brought > told, (brought, told, [e.log()[-1500:] for e in fleet.edges.all])
    for token in gone:
        fleet.edges.refuse(token)
    fleet.edges.refuse(good, 200)
    lines = [l for i in fleet.issuers for l in said(i, "store_rolled_back")]
    assert lines and str(told) in json.dumps(lines), (told, lines)
    # And it goes on: the next change is above both.
    key = make_key(fleet.issuers[0].data, "account")
    token = issue(fleet.issuers[0].data, key["key"], "--permissions", "account")
    fleet.edges.refuse(token, 200)
    verdict, answer, _ = call("DELETE", "/v2/keys/" + key["id"])
    assert verdict == "made" and int(answer.header("Subtoken-Seq")) > told
    fleet.edges.refuse(token)


@test
def a_backup_that_is_put_back_undoes_nothing():
    """Once while the issuers are down, once under their feet."""
    with Fleet(edges=2, standby=False) as fleet:
        call = Caller(fleet.issuers, fleet.manager, random.Random(SEED))
        for running in (False, True):
            data = fleet.issuers[0].data
            keys = [make_key(data, "account") for _ in range(2)]
            tokens = [issue(data, k["key"], "--permissions", "account") for k in keys]
            name = fleet.database
            dump = subprocess.run(["pg_dump", "-d", fleet.primary.uri(name)], capture_output=True, text=True, check=True)
            verdict, answer, _ = call("DELETE", "/v2/keys/" + keys[0]["id"])
            assert verdict == "made"
            told = int(answer.header("Subtoken-Seq"))
            fleet.edges.refuse(tokens[0])
            if not running:
                for issuer in fleet.issuers:
                    issuer.kill()
            fleet.primary.database("restored")
            fleet.primary.psql(dump.stdout, "restored")
            fleet.primary.psql("ALTER DATABASE %s ALLOW_CONNECTIONS false; SELECT pg_terminate_backend(pid) FROM "
                               "pg_stat_activity WHERE datname = '%s'" % (name, name))
            wait(lambda: fleet.primary.psql("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s'" % name) == "0",
                 "nobody is connected")
            fleet.primary.psql("ALTER DATABASE %s RENAME TO old%d" % (name, running))
            fleet.primary.psql("ALTER DATABASE restored RENAME TO %s" % name)
            if not running:
                for issuer in fleet.issuers:
                    issuer.start()
            undone(fleet, call, tokens[:1], tokens[1], told)


def time_vouched(answer):
    """The time of the heartbeat that came along."""
    return struct.unpack_from("<Q", unb64(answer.header("Subtoken-Heartbeat")), 24)[0]


@test
def an_old_primary_that_is_cut_off_is_not_vouched_for():
    """The standby is promoted, and one issuer still reaches the old primary alone."""
    with Fleet(edges=2) as fleet:
        first, second = fleet.issuers
        call = Caller(fleet.issuers, fleet.manager, random.Random(SEED))
        key = make_key(first.data, "account")
        token = issue(first.data, key["key"], "--permissions", "account")
        fleet.edges.refuse(token, 200)
        feed = Caller(fleet.issuers, fleet.reader, random.Random(SEED))
        vouched = time_vouched(feed("GET", "/v2/revocations", issuer=first)[1])
        assert vouched > time.time() - 60
        first.proxies[1].refuse()
        second.proxies[0].refuse(), second.proxies[0].cut()
        fleet.standby.promote()
        promoted = time.time()
        wait(lambda: call("DELETE", "/v2/keys/" + key["id"], issuer=second)[0] == "made", "it is deleted there")
        deleted = time.time()
        while time.time() < deleted + STALENESS + 12:
            _, answer, _ = feed("GET", "/v2/revocations", issuer=first)
            if answer is not None and answer.header("Subtoken-Heartbeat"):
                vouched = time_vouched(answer)
                assert vouched <= promoted + 1, (vouched, promoted)
            for edge in fleet.edges.all:
                status = edge.ask(token)[0]
                assert status != 503 and (status == 401 or time.time() < deleted + BOUND), status
            time.sleep(0.2)
        fleet.edges.refuse(token)
        # Nothing that it is told is acknowledged, and it is well again with the new primary.
        verdict, answer, _ = call("POST", "/v2/keys", {"name": "x", "permissions": ["account"]}, issuer=first)
        assert verdict != "made", answer.body
        fleet.primary.kill()
        first.proxies[1].refuse(False)
        wait(lambda: call("POST", "/v2/keys", {"name": "y", "permissions": ["account"]}, issuer=first)[0] == "made",
             "it is well again")
        assert call("GET", "/v2/tokeninfo", credential=key["key"], issuer=first)[1].status == 401


@test
def clocks_of_issuers_may_differ():
    """By 59 s to both sides of the edges' and the database's, and stepped while they run."""
    if FAKETIME is None:
        return "no libfaketime"
    files = [os.path.join(scratch(), "clock") for _ in range(2)]

    def set_clock(number, seconds):
        with open(files[number] + ".new", "w") as f:
            f.write("%+ds\n" % seconds)
        os.replace(files[number] + ".new", files[number])
    set_clock(0, 59), set_clock(1, -59)
    env = [dict(os.environ, LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=f, FAKETIME_NO_CACHE="1",
                DONT_FAKE_MONOTONIC="1") for f in files]
    with Fleet(edges=2, standby=False, env=env) as fleet:
        model = Model(clocks_differ=True)

        def faults():
            for step in ((59, -59), (-59, 59), (0, 59), (59, 0), (-59, -59), (59, 59), (0, 0)):
                set_clock(0, step[0]), set_clock(1, step[1])
                until = time.time() + 2
                while time.time() < until and not model.failures:
                    time.sleep(0.05)
        under_load(fleet, model, faults)
        print("# %s; %d good, %d ended" % (model.counts, *model.settled(fleet)), flush=True)


main()
