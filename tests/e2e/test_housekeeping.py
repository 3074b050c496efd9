"""What is kept and for how long, how many keys one may own, and the keys that end soon."""
from concurrent.futures import ThreadPoolExecutor
from calls import *
from stores import execute

DAY = 86400


def events(server, name):
    return [l for l in server.log_lines() if l["event"] == name]


def day():
    return int(time.time()) // DAY


@test
def keys_that_end_are_told_once_a_day():
    data = data_dir()
    soon = make_key(data, "account", "--expires", "29d", name="s\u00f6\nn")
    first = make_key(data, "account", "--expires", "3d")
    make_key(data, "account", "--expires", "31d")
    make_key(data, "account")
    disabled = make_key(data, "account", "--expires", "9d")
    run("key", "disable", disabled["id"], data=data, check=0)
    with SmallServer(data) as server:
        wait(lambda: events(server, "keys_expiring"), "the line of today")
        line = events(server, "keys_expiring")[0]
        assert line["count"] == 3 and line["days"] == 30, line
        assert line["keys"] == " ".join(k["id"] for k in (first, disabled, soon)), line
        assert line["first_expires_at"] == first["expires_at"], (line, first)
        assert set(line) == {"time", "event", "count", "days", "keys", "first_expires_at"}, line
    today = day()
    execute(data, "UPDATE settings SET value = value - 1 WHERE name = 'server:keys_expiring_day'")
    for expected in (2, 2):  # the next day it is told again, and a restart does not repeat it
        with server:
            call(server, "GET", "/v2/tokeninfo", first["key"])
            wait(lambda: len(events(server, "keys_expiring")) >= expected, "the line of the next day")
        assert len(events(server, "keys_expiring")) == expected or day() != today


@test
def of_many_keys_that_end_the_first_are_named():
    data = data_dir()
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda n: make_key(data, "account", "--expires", "%dd" % (n + 1))["id"], range(23)))
    with SmallServer(data) as server:
        wait(lambda: events(server, "keys_expiring"), "the line of today")
        line = events(server, "keys_expiring")[0]
        assert line["count"] == 23 and line["keys"].split() == ids[:20], line


@test
def the_audit_log_is_kept_as_long_as_told():
    """What is removed does not come back: a line goes when it is old by the clock and by what servers have lived through."""
    data = data_dir()
    keys = [make_key(data, "account", "--expires", "9d")["id"] for _ in range(5)]

    def old(n, by):
        execute(data, "UPDATE audit SET at = at - %d WHERE target = '%s' RETURNING 1" % (by, keys[n]))

    def line(n):
        return execute(data, "SELECT id FROM audit WHERE target = '%s'" % keys[n])[0][0]

    def lived(seconds, marks=()):
        execute(data, "UPDATE settings SET value = %d WHERE name = 'lived' RETURNING 1" % seconds)
        for at, n in marks:
            execute(data, "INSERT INTO settings (name, value) VALUES ('audit_mark:%015d', %d) RETURNING 1" % (at, line(n)))

    def there():
        lines = [json.loads(l) for l in run("audit", "--json", data=data, check=0)[1].splitlines()]
        return [l["target"] for l in lines if l["action"] == "key.create"], [l for l in lines if l["action"] == "audit.cut"]

    def served(keep):
        """A start has looked through the log once it tells of the keys that end."""
        execute(data, "UPDATE settings SET value = value - 1 WHERE name = 'server:keys_expiring_day' RETURNING 1")
        with SmallServer(data, config=keep) as server:
            wait(lambda: events(server, "keys_expiring"), "the start to be done")
        assert not events(server, "store_error")
        return events(server, "audit_cut")
    for n, by in ((0, 3 * DAY), (1, DAY - 3600), (2, 2 * DAY)):
        old(n, by)
    assert served({}) == [] and there() == (keys, [])  # for ever, unless it is told
    assert served({"audit_keep": "1d"}) == [] and there() == (keys, [])  # the clock alone says so
    lived(3 * DAY, [(DAY, 3)])
    (event,) = served({"audit_keep": "1d"})
    found, (cut,) = there()
    assert found == [keys[1], keys[3], keys[4]], found
    assert re.fullmatch(r"2 lines from before \d{4}-\d\d-\d\dT[0-9:]{8}Z", cut["detail"]), cut
    assert event["detail"] == cut["detail"] and (cut["who"], cut["from"], cut["target"]) == ("server", "audit_keep", ""), cut
    # A clock that is 400 days ahead: what has been lived through since is not.
    for n in (1, 3, 4):
        old(n, 400 * DAY)
    (event,) = served({"audit_keep": "1d"})
    assert event["detail"].startswith("2 lines") and there()[0] == [keys[4]], there()
    assert served({"audit_keep": "1d"}) == [] and there()[0] == [keys[4]], there()


@test
def one_owns_so_many_keys():
    with SmallServer(config={"keys_per_owner": 3}) as server:
        make_user(server.data, "root", "keys,account")
        make_user(server.data, "ann", "account")
        ann, root = (log_in(server, name).json()["access_token"] for name in ("ann", "root"))
        made = [new_key(server, ann).json()["id"] for _ in range(3)]
        text = "an owner may have at most 3 keys, and this one has: delete one"
        for token, members in ((ann, {}), (root, {"owner": "ann"})):
            answer = new_key(server, token, **members)
            refused(answer, 409, text)
            assert "retry-after" not in answer.headers
        assert new_key(server, root).status == 201
        make_key(server.data, "account", "--owner", "ann")  # the command line is not bound
        refused(new_key(server, ann), 409, text)
        for key in made[:2]:
            assert call(server, "DELETE", "/v2/keys/" + key, ann).status in (200, 204)
        assert new_key(server, ann).status == 201
        refused(new_key(server, ann), 409, text)
        # A key without an owner counts those that it makes without one.
        maker = make_key(server.data, "keys,account")["key"]
        for n in range(3):
            assert new_key(server, maker).status == 201
        refused(new_key(server, maker), 409, "a key may make at most 3 keys without an owner")
        assert new_key(server, maker, owner="else").status == 201
        wait(lambda: [l["reason"] for l in server.log_lines() if l.get("status") == 409] == ["key_limit"] * 5, "the log")
        # Many at once do not get past it.
        with ThreadPoolExecutor(8) as pool:
            def attempt(_):  # a store that is too busy says so: try again
                answers = []
                wait(lambda: answers.append(new_key(server, root, owner="many")) or answers[-1].status != 503, "an answer")
                return answers[-1].status
            tries = list(pool.map(attempt, range(12)))
        assert sorted(tries) == [201] * 3 + [409] * 9, tries


main()
