"""`subtoken store` and `backup`, which store each command opens, and what is told of it: SQLite in DATA, or the one
that the settings name."""
import feed
from datadir import *
from postgres import Cluster

# ---- which store ----

# One of every kind of command that opens the store, and those that only look at DATA.
COMMANDS = [["key", "list"], ["key", "create", "--name", "a", "--permissions", ""], ["user", "list"], ["audit"],
            ["secret", "list"], ["secret", "add"], ["store", "status"], ["backup", "b.db"], ["issue"], ["revoke"],
            ["verify", "--url", "/"], ["import", os.path.join(TESTS, "..", "README.md")], ["feed", "restore", "x"],
            ["feed", "status", "x"], ["serve", "--listen", "127.0.0.1:0"]]


@test
def every_command_reads_the_configuration():
    data = data_dir()
    make_key(data)
    beside = os.path.join(data, "config.json")
    elsewhere = os.path.join(scratch(), "settings")
    for words in COMMANDS:
        for path, more in ((beside, []), (elsewhere, ["--config", elsewhere])):
            write(path, '{\n "leeway": 60,\n "nonsense": 1}', 0o600)
            code, out, err = run(*words, *more, data=data)
            if words[0] == "import":  # FILE is read first
                assert code == 1, (words, code, err)
            else:
                assert code == 3 and "%s: line 3, column 2: \"nonsense\" is not a setting" % path in err, (words, err)
            os.remove(path)
        code, _, err = run(*words, "--config", elsewhere, data=data)
        assert words[0] == "import" or code == 3 and "settings" in err, (words, code, err)
    assert not os.path.exists(os.path.join(data, "b.db"))
    assert len(objects(run("key", "list", "--json", data=data)[1])) == 1


@test
def a_configuration_that_others_may_write_is_refused():
    data = data_dir()
    make_key(data)
    path = os.path.join(data, "config.json")
    write(path, "{}", 0o600)
    assert run("key", "list", data=data)[0] == 0
    os.chmod(path, 0o620)
    for words in (["key", "list"], ["store", "status"], ["secret", "list"]):
        code, out, err = run(*words, data=data)
        assert code == 3 and out == "" and "chmod 640" in err and path in err, (words, err)
    os.chmod(path, 0o640)
    assert run("key", "list", data=data)[0] == 0
    # A link that leads nowhere is no configuration, but somebody meant one.
    os.rename(path, path + ".away")
    os.symlink("away", path)
    code, _, err = run("key", "list", data=data)
    assert code == 3 and path + ": No such file" in err, err
    os.rename(path + ".away", path)
    # One that is named is the operator's word.
    os.chmod(path, 0o666)
    assert run("key", "list", "--config", path, data=data)[0] == 0


@test
def a_password_is_refused_and_never_repeated():
    data = data_dir()
    make_key(data)
    for uri in ("postgresql://subtoken:hush@127.0.0.1/s", "postgresql://127.0.0.1/s?password=hush",
                "postgresql://127.0.0.1/s?p%61ssword=hush", "postgresql://subtoken%3Ahush@127.0.0.1/s"):
        path = config_file({"store": uri})
        for words in (["key", "list"], ["serve", "--listen", "127.0.0.1:0"]):
            code, out, err = run(*words, "--config", path, data=data)
            assert code == 3 and "line 1, column 2: \"store\" must not hold a password" in err, err
            assert "hush" not in err + out
        for words in (["--from", uri, "--to", "x.db"], ["--from", data, "--to", uri]):
            code, out, err = run("store", "copy", *words, data=data)
            assert code == 2 and "must not hold a password" in err and "hush" not in err + out, err
    # What is misspelt is no name of a file, which an error would repeat.
    for uri in ("Postgresql://u:hush@h/s", " postgresql://u:hush@h/s", "pgsql://u:hush@h/s", "postgres:u:hush@h/s",
                "sqlite:postgresql://u:hush@h/s", "host=h password=hush", "host=h Password=hush"):
        for words in (["--from", uri, "--to", "x.db"], ["--from", data, "--to", uri]):
            code, out, err = run("store", "copy", *words, data=data)
            assert code == 2 and "must be a URI of libpq" in err and "hush" not in err + out, (uri, code, err)


@test
def without_libpq_a_store_on_postgresql_alone_fails_and_says_why():
    """A store in DATA needs none of it; what is missing is said, before anything is made."""
    d, data = scratch(), data_dir()
    write(os.path.join(d, "empty.c"), "int nothing;\n")
    library = os.path.join(d, "libpq.so.5")
    subprocess.run(["gcc", "-shared", "-o", library, os.path.join(d, "empty.c")], check=True)
    env = dict(os.environ, LD_LIBRARY_PATH=d)
    settings = config_file({"store": "postgresql://127.0.0.1:1/s"})
    code, _, err = run("key", "create", "--name", "a", "--permissions", "", data=data, env=env)
    assert code == 0, err

    def on_postgresql(*words, code=3):
        got, out, err = run(*words, "--config", settings, data=data, env=env)
        assert got == code and out == "" and "libpq5" in err, (words, got, err)
        return err
    for words in (["key", "list"], ["store", "status"], ["serve", "--listen", "127.0.0.1:0"]):
        assert "libpq.so.5 of PostgreSQL 14 or newer" in on_postgresql(*words)
        assert "has no PQenterPipelineMode" in on_postgresql(*words)
    write(library, "garbage")
    for words in (["key", "list"], ["store", "status"], ["serve", "--listen", "127.0.0.1:0"]):
        assert "needs libpq.so.5, which cannot be loaded" in on_postgresql(*words)
    code, _, err = run("store", "copy", "--from", data, "--to", "postgresql://127.0.0.1:1/s", env=env)
    assert code == 3 and "needs libpq.so.5" in err, err
    maps = subprocess.run([PROGRAM, "version"], env=dict(env, LD_DEBUG="files"), capture_output=True, text=True).stderr
    assert "libpq" not in maps


@test
def a_reload_says_that_the_store_needs_a_restart():
    with SmallServer(config={"threads": 8}) as server:
        for more, named in (({"store": "postgresql://127.0.0.1/s"}, "store, store_staleness, store_cache"),
                            ({"store_staleness": 2}, "store, store_staleness, store_cache"),
                            ({"store_cache": 65}, "store, store_staleness, store_cache"), ({"threads": 9}, "listen, threads")):
            server.write_config({"threads": 8, **more})
            seen = len(events(server, "reload_failed"))
            server.process.send_signal(signal.SIGHUP)
            wait(lambda: len(events(server, "reload_failed")) > seen)
            assert events(server, "reload_failed")[-1]["detail"] == named + ": a new value needs a restart"
        server.write_config({"threads": 8, "store_staleness": "1s"})
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: events(server, "reloaded"))


# ---- status ----

@test
def status_of_a_file():
    data = data_dir()
    assert run("store", "status", data=data)[0] == 3  # it makes nothing
    assert not os.path.exists(data)
    make_key(data)
    code, out, err = run("store", "status", "--json", data=data)
    said = json.loads(out)
    assert said["kind"] == "SQLite" and said["location"] == os.path.realpath(db_of(data)), said
    assert said["connected"] is None and said["standbys"] == [] and said["age_ms"] == 0, said
    assert said["survives_crash"] is True and said["survives_machine"] is False and said["not_synchronous"] is False
    text = run("store", "status", data=data)[1]
    assert "commit      survives a crash of the machine, not its loss\n" in text, text
    assert "sequence    %d\n" % said["sequence"] in text and "schema      %d\n" % said["schema"] in text, text


# ---- copies ----

def filled():
    """A DATA with something of everything, and what is known of it."""
    data = data_dir()
    key, ended = make_key(data), make_key(data)
    made = {"data": data, "key": key["key"], "token": issue(data, key["key"], "--permissions", "account"),
            "ended": issue(data, ended["key"], "--permissions", "account")}
    make_user(data)
    run("key", "delete", ended["id"], data=data, check=0)
    run("user", "create", "zoë", stdin=PASSWORD + "\n", data=data, check=0)
    run("user", "disable", "zoë", data=data, check=0)
    return made


def shown(data, *more):
    """All that the commands show of a store."""
    return [run(*words, "--json", *more, data=data, check=0)[1]
            for words in (["key", "list"], ["user", "list"], ["audit", "--limit", "1000"])]


def copied_data(made):
    """A DATA with the same ring and no store."""
    data = data_dir()
    os.mkdir(data, 0o700)
    shutil.copy(secrets_of(made["data"]), secrets_of(data))
    return data


def goes_on(made, data, *more):
    """In the copy good tokens are good, others not, and both go on."""
    assert run("verify", "--json", *more, stdin=made["token"], data=data)[0] == 0
    assert json.loads(run("verify", "--json", *more, stdin=made["ended"], data=data)[1])["reason"] == "revoked"
    assert issue(data, made["key"], *more) != ""


@test
def a_store_is_copied_into_a_new_file():
    made = filled()
    before = shown(made["data"])
    for to in ("new", "data", "sqlite"):
        data = copied_data(made)
        location = {"new": db_of(data), "data": data, "sqlite": "sqlite:" + db_of(data)}[to]
        code, out, err = run("store", "copy", "--from", made["data"], "--to", location, "--json", check=0)
        said = json.loads(out)
        assert said["ok"] and said["keys"] == 4 and said["audit"] == 6 and err == "", (said, err)
        assert sorted(os.listdir(data)) == ["secrets", "subtoken.db"] and mode(db_of(data)) == 0o600
        assert shown(data) == before
        goes_on(made, data)
    code, out, err = run("store", "copy", "--from", made["data"], "--to", location)
    assert code == 1 and out == "" and "is not empty" in err and "subtoken.db" in err, (code, err)
    assert "copied" in run("store", "copy", "--from", db_of(data), "--to", os.path.join(scratch(), "x.db"), check=0)[1]


@test
def a_copy_that_fails_leaves_nothing():
    made = filled()
    target = scratch()
    to = os.path.join(target, "copy.db")
    for words, code, text in ((["--from", os.path.join(target, "none.db"), "--to", to], 3, "none.db"),
                              (["--from", made["data"], "--to", os.path.join(target, "no", "copy.db")], 3, "copy.db"),
                              (["--from", made["data"]], 2, "--to are required"), (["--to", to], 2, "--from and"),
                              (["--from", "", "--to", to], 2, "--from must not be empty"),
                              (["--from", made["data"], "--to", "postgresql:/x"], 2, "--to must be a URI"),
                              (["--from", made["data"], "--to", to, "x"], 2, "unexpected argument")):
        found = run("store", "copy", *words)
        assert found[0] == code and found[1] == "" and text in found[2], (words, found)
        assert os.listdir(target) == []
    # A row that makes no sense is not copied as something else.
    with sqlite3.connect(db_of(made["data"])) as db:
        db.execute("PRAGMA ignore_check_constraints = 1")
        db.execute("UPDATE keys SET name = CAST(x'610062' AS TEXT)")
    db.close()
    code, out, err = run("store", "copy", "--from", made["data"], "--to", to)
    assert code == 3 and out == "" and db_of(made["data"]) in err and "row" in err, err
    assert os.listdir(target) == []


@test
def a_copy_is_of_one_moment_and_edges_go_on():
    made = filled()
    with SmallServer(made["data"]) as server:
        edge = private_file(json.loads(run("key", "create", "--name", "edge", "--permissions", "revocations", "--json",
                                           data=made["data"], check=0)[1])["key"], "edge.key")
        files = os.path.join(scratch(), "feed")
        pull = ["pull", "--to", files, "--key-file", edge, "--once", "--json"]
        first = json.loads(run(*pull, "--from", server.url, check=0)[1])
        data = copied_data(made)
        run("store", "copy", "--from", made["data"], "--to", data, check=0)
        assert events(server, "store_rolled_back") == []
    snapshot = open(files, "rb").read()
    with SmallServer(data) as server:
        second = json.loads(run(*pull, "--from", server.url, check=0)[1])
        assert second["entries"] == first["entries"] and second["sequence"] >= first["sequence"], (first, second)
        answer = subprocess.run(["curl", "-s", "-H", "Authorization: Bearer " + open(edge).read(), server.url +
                                 "/v2/revocations?since=%d" % first["sequence"]], capture_output=True).stdout
        assert answer, "nothing since the sequence that the first issuer gave"
        assert server.log().count("store_rolled_back") == 0
    assert len(snapshot) > 0


# ---- PostgreSQL ----

_cluster = []


def cluster():
    if not _cluster:
        _cluster.append(Cluster().start())
    return _cluster[0]


def new_database():
    return cluster().uri(cluster().database())


def shared_data(uri, made=None):
    """A DATA whose settings name that store; with the ring of another."""
    data = data_dir()
    os.mkdir(data, 0o700)
    write(os.path.join(data, "config.json"), json.dumps({"store": uri}), 0o600)
    if made:
        shutil.copy(secrets_of(made["data"]), secrets_of(data))
    return data


def snapshot_of(server, key):
    p = subprocess.run(["curl", "-s", "-S", "-H", "Authorization: Bearer " + key, server.url + "/v2/revocations"],
                       capture_output=True, check=True)
    assert p.stdout.startswith(b"ST-REVOC"), (p.stdout[:300], server.log()[-2000:])
    return p.stdout


@test
def a_store_moves_to_postgresql_and_back():
    made = filled()
    edge = make_key(made["data"], "revocations")["key"]
    uri = new_database()
    with SmallServer(made["data"]) as server:
        told = snapshot_of(server, edge)
    before = shown(made["data"])
    said = json.loads(run("store", "copy", "--from", made["data"], "--to", uri, "--json", check=0)[1])
    assert said["keys"] == 5 and said["audit"] == 7 and said["sequence"] == feed.sequence_of(told), said
    there = shared_data(uri, made)
    assert shown(there) == before
    code, _, err = run("store", "copy", "--from", made["data"], "--to", uri)
    assert code == 1 and "is not empty" in err, err
    # Straight back: what was told is told again, byte for byte but for the sequence that a start takes.
    back = copied_data(made)
    run("store", "copy", "--from", uri, "--to", back, check=0)
    assert shown(back) == before
    for data in (there, back):
        with SmallServer(data) as server:
            again = snapshot_of(server, edge)
            assert feed.hashes_of(again) == feed.hashes_of(told) and again[48:64] == told[48:64]
            assert feed.sequence_of(again) > feed.sequence_of(told)
            assert curl(server.url + "/v2/tokeninfo", *bearer(made["token"])).status == 200
            assert curl(server.url + "/v2/tokeninfo", *bearer(made["ended"])).status == 401
        goes_on(made, data)
    # And once more, from one database into another, with what was changed there.
    run("key", "create", "--name", "later", "--permissions", "", data=there, check=0)
    other = new_database()
    run("store", "copy", "--from", uri, "--to", other, check=0)
    assert shown(shared_data(other, made)) == shown(there) != before


@test
def issuers_that_share_a_store_tell_the_same():
    uri = new_database()
    one = shared_data(uri)
    key = make_key(one, "account,revocations")
    two = shared_data(uri, {"data": one})
    with SmallServer(one) as first, SmallServer(two) as second:
        token = json.loads(curl(first.url + "/v2/createsubtoken?permissions=account", *bearer(key["key"])).body)
        assert curl(second.url + "/v2/tokeninfo", *bearer(token["subtoken"])).status == 200
        doomed = make_key(two)
        run("key", "delete", doomed["id"], data=one, check=0)
        wait(lambda: snapshot_of(first, key["key"]) == snapshot_of(second, key["key"]))
        assert curl(second.url + "/v2/tokeninfo", *bearer(doomed["key"])).status == 401
        said = json.loads(run("store", "status", "--json", data=one, check=0)[1])
        assert said["kind"] == "PostgreSQL" and said["connected_count"] >= 2, said
        assert all("subtoken" in c["name"] for c in said["connected"]), said
        assert said["survives_crash"] is False, said  # the cluster runs without fsync
        text = run("store", "status", data=one, check=0)[1]
        assert re.search("^connected   .*subtoken.* from ", text, re.M) and "hush" not in text, text
        # What they change from now on would not be in a copy.
        to = os.path.join(scratch(), "copy.db")
        code, out, err = run("store", "copy", "--from", uri, "--to", to)
        assert code == 1 and out == "" and "are connected" in err and "--force" in err, err
        assert not os.path.exists(to)
        run("store", "copy", "--from", uri, "--to", to, "--force", check=0)
        run("backup", to + "2", data=one, check=0)
    said = json.loads(run("store", "status", "--json", data=one, check=0)[1])
    assert said["connected"] == [] and said["connected_count"] == 0, said


@test
def a_backup_of_postgresql_is_a_store_of_one_machine():
    uri = new_database()
    one = shared_data(uri)
    made = {"data": one, "key": make_key(one)["key"]}
    ended = make_key(one)
    made["token"] = issue(one, made["key"], "--permissions", "account")
    made["ended"] = issue(one, ended["key"], "--permissions", "account")
    run("key", "delete", ended["id"], data=one, check=0)
    data = copied_data(made)
    assert run("backup", db_of(data), data=one, check=0)[1:] == ("", "")
    assert sorted(os.listdir(data)) == ["secrets", "subtoken.db"] and mode(db_of(data)) == 0o600
    assert shown(data) == shown(one)
    goes_on(made, data)
    code, _, err = run("backup", db_of(data), data=one)
    assert code == 3 and "already exists" in err, err


@test
def a_ring_is_made_for_a_store_that_nobody_has_used():
    uri = new_database()
    one, two = shared_data(uri), shared_data(uri)
    make_key(one)
    for words in (["key", "create", "--name", "a", "--permissions", ""], ["serve", "--listen", "127.0.0.1:0"]):
        code, out, err = run(*words, data=two)
        assert code == 3 and "copy the file from another issuer" in err and secrets_of(two) in err, err
    assert os.listdir(two) == ["config.json"]
    # A start that was killed once the ring was in place has left it under its first name, too.
    shutil.copy(secrets_of(one), secrets_of(one) + "-first")
    run("key", "create", "--name", "b", "--permissions", "", data=one, check=0)
    assert not os.path.exists(secrets_of(one) + "-first")
    shutil.copy(secrets_of(one), secrets_of(two))
    assert run("key", "list", data=two, check=0)[1] == run("key", "list", data=one, check=0)[1] != ""


@test
def of_two_first_issuers_one_makes_the_ring():
    for _ in range(4):
        both = [shared_data(uri) for uri in [new_database()] * 2]
        makers = [subprocess.Popen([PROGRAM, "key", "create", "--name", "a", "--permissions", "", "--data", data],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for data in both]
        errors = [maker.communicate()[1].decode() for maker in makers]
        assert sorted(maker.returncode for maker in makers) == [0, 3], errors
        made = [os.path.exists(secrets_of(data)) for data in both]
        assert made == [maker.returncode == 0 for maker in makers]
        assert all(sorted(os.listdir(data))[0] == "config.json" and len(os.listdir(data)) <= 2 for data in both)


@test
def what_is_wrong_with_a_database_is_said():
    cluster().psql("CREATE ROLE nobody LOGIN; CREATE ROLE somebody LOGIN")
    name = cluster().database()
    made = filled()
    for uri, text in ((cluster().uri("no_such_database"), "no_such_database"),
                      ("postgresql://postgres@127.0.0.1:%d/x?connect_timeout=2" % free_port(), "127.0.0.1"),
                      (cluster().uri(name).replace("postgres@", "nobody@"), "CREATE SCHEMA subtoken AUTHORIZATION")):
        data = shared_data(uri, made)
        for words in (["key", "create", "--name", "a", "--permissions", ""], ["serve", "--listen", "127.0.0.1:0"]):
            code, out, err = run(*words, data=data)
            assert code == 3 and out == "" and text in err and err.startswith("subtoken %s: " % words[0]), (uri, err)
        code, _, err = run("store", "copy", "--from", made["data"], "--to", uri)
        assert code == 3 and text in err, err
    # Nothing is made by a command that only looks.
    for words in (["key", "list"], ["store", "status"], ["backup", os.path.join(scratch(), "b.db")]):
        code, _, err = run(*words, data=shared_data(cluster().uri(name), made))
        assert code == 3 and "holds no store of subtoken" in err, err
    # One that an administrator has made is enough.
    cluster().psql("CREATE SCHEMA subtoken AUTHORIZATION somebody", name)
    data = shared_data(cluster().uri(name).replace("postgres@", "somebody@"))
    make_key(data)
    cluster().psql("UPDATE subtoken.version SET version = 99", name)
    code, _, err = run("key", "list", data=data)
    assert code == 3 and "schema 99" in err and "newer" in err, err


@test
def status_tells_of_standbys():
    primary = Cluster(durable=True).start()
    data = shared_data(primary.uri(primary.database()))
    make_key(data)
    said = json.loads(run("store", "status", "--json", data=data, check=0)[1])
    assert said["survives_crash"] and not said["survives_machine"] and said["standbys"] == [], said
    with primary.standby("beside", synchronous=False):
        said = json.loads(run("store", "status", "--json", data=data, check=0)[1])
        assert said["not_synchronous"] and not said["survives_machine"], said
        assert [(s["name"], s["sync"]) for s in said["standbys"]] == [("beside", "async")], said
        assert "store_not_synchronous" in run("store", "status", data=data, check=0)[1]
        primary.synchronous("beside")
        wait(lambda: json.loads(run("store", "status", "--json", data=data, check=0)[1])["survives_machine"])
        text = run("store", "status", data=data, check=0)[1]
        assert "survives the loss of the machine" in text and "store_not_synchronous" not in text, text
        assert re.search("^standby     beside at .*, streaming, sync$", text, re.M), text
        primary.synchronous("")


# ---- much, and ended early ----

@test
def many_keys_need_no_more_memory():
    data, _ = with_keys(9999)
    with sqlite3.connect(db_of(data)) as db:
        for step in range(1, 12):
            db.execute("INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at, disabled, "
                       "changed_at, deleted_at) SELECT substr(id, 1, 28) || printf('%04d', ?1) || substr(id, 33), "
                       "randomblob(32), substr(sub, 1, 35) || printf('%04d', ?1) || substr(sub, 40), name, owner, "
                       "permissions, created_at, expires_at, disabled, changed_at, deleted_at FROM keys WHERE id NOT "
                       "IN (SELECT id FROM keys ORDER BY rowid DESC LIMIT -1 OFFSET 9999)", (step,))
    db.close()
    to = os.path.join(scratch(), "copy.db")
    few, many = [], []
    for source, peaks in ((filled()["data"], few), (data, many)):
        path = to + str(len(many))
        p = subprocess.Popen([PROGRAM, "store", "copy", "--from", source, "--to", path, "--json"],
                             stdout=subprocess.PIPE)
        said = json.loads(p.stdout.read())
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        assert p.returncode == 0, said
        peaks.append(usage.ru_maxrss)
        os.remove(path)
    assert said["keys"] > 100000, said
    assert SANITIZER or many[0] < few[0] + 40000, (few, many)  # KiB; the rows are more than that


@test
def a_signal_ends_a_copy_and_removes_it():
    data, _ = with_keys(9999)
    target = scratch()
    for number in (signal.SIGTERM, signal.SIGINT):
        p = subprocess.Popen([PROGRAM, "store", "copy", "--from", data, "--to", os.path.join(target, "x.db")],
                             stderr=subprocess.PIPE)
        wait(lambda: os.listdir(target) or p.poll() is not None)
        p.send_signal(number)
        err = p.communicate()[1].decode()
        # It may have been done by then.
        assert p.returncode in (-number, 0), (p.returncode, err)
        if p.returncode:
            assert "interrupted" in err and os.listdir(target) == [], (err, os.listdir(target))
        else:
            os.remove(os.path.join(target, "x.db"))


main()
