"""Two issuers on SQLite: on one database, killed by turns under load; and by mistake each on a copy of it."""
import random
from support import *
from fleet_model import *


@test
def two_issuers_on_one_sqlite_are_killed():
    print("# SEED=%d" % SEED, flush=True)
    with Fleet(edges=2, sqlite=True) as fleet:
        model, dice = Model(), random.Random(SEED)

        def faults():
            for kill in range(4):
                fleet.restart(fleet.issuers[kill % 2], dice.uniform(0, 1))
                time.sleep(dice.uniform(0.5, 1))
        under_load(fleet, model, faults)
        print("# %s; %d good, %d ended" % (model.counts, *model.settled(fleet)), flush=True)
        assert model.counts["strict"] > 100


@test
def copies_of_one_sqlite_are_noticed():
    """Two issuers, by mistake, each on a copy: edges keep to the one that they began with, or answer 503."""
    edges = Edges(2)
    issuers = [Issuer(i, edges.ring) for i in range(2)]
    first, second = issuers
    first.start()
    reader = make_key(first.data, "revocations")["key"]
    keys = [make_key(first.data, "account") for _ in range(5)]
    tokens = [issue(first.data, k["key"], "--permissions", "account") for k in keys]
    run("key", "delete", keys[0]["id"], data=first.data, check=0)
    os.unlink(os.path.join(second.data, "secrets"))
    run("backup", os.path.join(second.data, "subtoken.db"), data=first.data, check=0)
    shutil.copy(edges.ring, os.path.join(second.data, "secrets"))
    kind = True
    try:
        edges.start(issuers, reader)
        second.start()
        gone = [tokens[0]]
        for number in (1, 2):
            run("key", "delete", keys[number]["id"], data=first.data, check=0)
            gone.append(tokens[number])
            edges.refuse(tokens[number])
            # The other one has a higher sequence, and another history.
            run("key", "delete", keys[3 if number == 1 else 4]["id"], data=second.data, check=0)
            first.kill()
            asked = second.log().count('"status":409')
            wait(lambda: second.log().count('"status":409') > asked + 3 and
                 all("feed_rollback" in e.log() for e in edges.all), "it is noticed, and said at both ends")
            for _ in range(20):
                for edge in edges.all:
                    assert all(edge.ask(t)[0] == 401 for t in gone), (edge.log(), gone)
                time.sleep(0.05)
            assert said(second, "store_rolled_back"), second.log()
            first.start()
            sequence = [sequence_of(e.snapshot()) for e in edges.all]
            run("key", "disable", keys[4]["id"], data=first.data, check=0)
            edges.refuse(tokens[4])  # it is asked again
            run("key", "enable", keys[4]["id"], data=first.data, check=0)
            edges.refuse(tokens[4], 200)
            assert all(sequence_of(e.snapshot()) > s for e, s in zip(edges.all, sequence))
        kind = None
    finally:
        edges.stop(kind)
        for issuer in issuers:
            issuer.stop(None if kind else 0)


main()
