"""Access files: what an import creates and changes, and that everybody gets in as before."""
from calls import *


ANYONE = {"password_hash_b64": "*", "password_salt_b64": "*"}


def summary(data, path, *args):
    return imported(data, path, *args).splitlines()[-1]


def import_plan(data, path, *args):
    """What an import says of each user: the same with --dry-run as when it is done."""
    text = imported(data, path, *args, "--dry-run")
    dry = imported(data, path, "--json", "--dry-run", *args)
    assert dry == imported(data, path, "--json", *args), "the dry run has said something else"
    lines = [json.loads(l) for l in dry.splitlines()]
    assert [l["does"] for l in lines[:-1]] == [l.split()[0] for l in text.splitlines()[:-1]]
    return {l.pop("login"): l for l in lines[:-1]}, lines[-1]


@test
def importing_again_changes_only_what_is_asked_for():
    # G1
    salted = lambda password: json.loads(run("saltpass", stdin=password + "\n", check=0)[1])
    with Server() as server:
        data = server.data
        apis = ["database_api", "history_api"]
        hashes = {name: salted("password of " + name) for name in "abcdef"}
        path = access_file(*[(name, hashes[name], apis) for name in "abcdef"])
        assert summary(data, path) == "6 created, 0 changed, 0 unchanged"
        user(data, "delete", "a")
        user(data, "permissions", "b", "history_api")
        user(data, "passwd", "c", stdin="set here by c\n")
        user(data, "disable", "d")
        new = {name: salted("another of " + name) for name in "ce"}

        # without a word nothing comes back, and nobody gets anything again
        told, total = import_plan(data, path)
        assert told == {"a": {"does": "deleted", "permissions": apis},
                        "b": {"does": "differs", "adds": ["database_api"], "removes": []},
                        "c": {"does": "unchanged", "password": "kept"},
                        "d": {"does": "unchanged", "disabled": True},
                        "e": {"does": "unchanged"}, "f": {"does": "unchanged"}}, told
        assert (total["differs"], total["deleted"], total["unchanged"]) == (1, 1, 4), total
        user(data, "show", "a", check=1)
        refused(log_in(server, "a", "password of a"), 401)
        shown = lambda name: json.loads(user(data, "show", name, "--json")[1])
        assert shown("b")["permissions"] == ["history_api"]
        assert log_in(server, "c", "set here by c").status == 200
        refused(log_in(server, "c", "password of c"), 401)

        # the file has other things now, and f no longer
        other = access_file(("a", hashes["a"], apis), ("b", hashes["b"], apis), ("c", new["c"], apis),
                            ("d", hashes["d"], []), ("e", new["e"], apis), ("g", hashes["a"], apis))
        pair = log_in(server, "e", "password of e").json()
        told, total = import_plan(data, other)
        assert told == {"a": {"does": "deleted", "permissions": apis},
                        "b": {"does": "differs", "adds": ["database_api"], "removes": []},
                        "c": {"does": "differs", "adds": [], "removes": [], "password": "replaces"},
                        "d": {"does": "differs", "adds": [], "removes": apis, "disabled": True},
                        "e": {"does": "differs", "adds": [], "removes": [], "password": "new"},
                        "f": {"does": "missing"},
                        "g": {"does": "create", "permissions": apis}}, told
        assert status(server, pair["access_token"]) == 200
        assert log_in(server, "c", "set here by c").status == 200

        # told to change: those who are there, as the file has them
        told, total = import_plan(data, other, "--update")
        assert {n: t["does"] for n, t in told.items()} == {
            "a": "deleted", "b": "change", "c": "change", "d": "change", "e": "change",
            "f": "missing", "g": "unchanged"}, told
        assert told["c"]["password"] == "replaces" and told["e"]["password"] == "new"
        assert (total["changed"], total["deleted"], total["missing"]) == (4, 1, 1), total
        assert shown("b")["permissions"] == apis
        assert log_in(server, "c", "another of c").status == 200
        refused(log_in(server, "c", "set here by c"), 401)
        assert status(server, pair["access_token"]) == 401
        assert shown("d")["permissions"] == [] and shown("d")["disabled"] is True
        user(data, "show", "a", check=1)
        assert log_in(server, "f", "password of f").status == 200  # missing: stays as he is

        # a password that was set here since, and that the file has not changed: stays
        user(data, "passwd", "c", stdin="set here again\n")
        user(data, "permissions", "c", "history_api")
        told, _ = import_plan(data, other, "--update")
        assert told["c"] == {"does": "change", "adds": ["database_api"], "removes": [],
                             "password": "kept"}, told
        assert log_in(server, "c", "set here again").status == 200

        # told to bring back: those who were deleted, and nobody else is touched
        user(data, "permissions", "b", "history_api")
        told, total = import_plan(data, other, "--restore")
        assert told["a"] == {"does": "restore", "permissions": apis} and total["restored"] == 1, told
        assert told["b"]["does"] == "differs" and shown("b")["permissions"] == ["history_api"]
        assert log_in(server, "a", "password of a").status == 200
        # `*`, too
        stars = access_file(*[(name, hashes[name], apis) for name in "abdf"], ("*", ANYONE, apis))
        imported(data, stars)
        user(data, "delete", "*")
        assert import_plan(data, stars)[0]["*"]["does"] == "deleted"
        user(data, "show", "*", check=1)
        assert import_plan(data, stars, "--restore")[0]["*"]["does"] == "restore"
        user(data, "show", "*")


@test
def an_import_over_a_squatted_name_is_refused():
    with Server(config={"registration": "open"}) as server:  # G2
        call(server, "POST", "/v1/user", None, {"login": "bytemaster", "password": PASSWORD})
        path = access_file(("new", EXAMPLE, []), ("bytemaster", EXAMPLE, ["database_api"]))
        for args in ((), ("--update",), ("--update", "--restore"), ("--dry-run",)):
            said = imported(server.data, path, *args, check=1)
            assert "user bytemaster exists and was not imported" in said, said
        user(server.data, "show", "new", check=1)
        # one who was imported, deleted, and registered by somebody else
        user(server.data, "delete", "bytemaster")
        imported(server.data, path, "--restore")
        user(server.data, "delete", "bytemaster")
        assert call(server, "POST", "/v1/user", None,
                    {"login": "bytemaster", "password": PASSWORD}).status == 201
        assert "not imported" in imported(server.data, path, "--update", "--restore", check=1)
        # keys with that owner are the new user's: it is said
        make_key(server.data, "account", "--owner", "builder")
        said = imported(server.data, access_file(("builder", EXAMPLE, [])))
        assert "keys with this owner exist" in said, said


@test
def users_of_an_access_file_log_in_as_before():
    with Server() as server:
        apis = ["database_api", "history_api"]
        path = access_file(("bytemaster", EXAMPLE, apis), ("*", ANYONE, ["database_api"]))
        plan = imported(server.data, path, "--dry-run")
        assert plan == "create     bytemaster  database_api,history_api\ncreate     *  database_api\n" \
            "2 created, 0 changed, 0 unchanged (dry run: nothing was changed)", plan
        assert user(server.data, "list", "--json")[1] == ""
        assert imported(server.data, path) + " (dry run: nothing was changed)" == plan
        assert summary(server.data, path) == "0 created, 0 changed, 2 unchanged"
        refused(log_in(server, "bytemaster", "supersecreT"), 401)
        first = log_in(server, "bytemaster", "supersecret").json()  # now it is kept as a plain Argon2id
        assert payload(first["access_token"])["permissions"] == apis
        assert status(server, ("bytemaster", "supersecret")) == 200
        assert log_in(server, "bytemaster", "supersecret").status == 200
        assert summary(server.data, path) == "0 created, 0 changed, 2 unchanged"
        assert status(server, first["access_token"]) == 200, "nothing ended"
        # other permissions, and another password
        less = access_file(("bytemaster", EXAMPLE, ["database_api"]))
        assert "0 created, 1 changed, 0 unchanged" in summary(server.data, less, "--update")
        assert status(server, first["access_token"]) == 401
        salted = json.loads(run("saltpass", stdin="another one\n", check=0)[1])
        again = access_file(("bytemaster", salted, ["database_api"]))
        assert "0 created, 1 changed, 0 unchanged" in summary(server.data, again, "--update")
        assert status(server, ("bytemaster", "supersecret")) == 401
        assert status(server, ("bytemaster", "another one")) == 200
        # all or none
        make_user(server.data, "own")
        for users, named in ((("x", EXAMPLE, ["a b"]), "x"), (("x", ANYONE, []), "x"),
                             (("*", EXAMPLE, []), "*"), (("own", EXAMPLE, []), "own"),
                             (("x", dict(EXAMPLE, password_salt_b64="?"), []), "x"),
                             (("a:b", EXAMPLE, []), "a:b")):
            bad = access_file(("new", EXAMPLE, []), users)
            for args in ((), ("--dry-run",)):
                assert named in imported(server.data, bad, *args, check=1), named
        user(server.data, "show", "new", check=1)
        for text in ("", "{}", '{"permission_map":1}', "[", '{"permission_map":[["x"]]}'):
            with open(path, "w") as f:
                f.write(text)
            assert path in imported(server.data, path, check=1), text
        assert "supersecret" not in server.log()

main()
