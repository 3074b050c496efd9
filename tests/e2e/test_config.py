"""The configuration: what is refused, what each setting does, and SIGHUP."""
from datadir import *

@test
def a_wrong_configuration_is_refused_with_its_line():
    data = data_dir()
    make_key(data)
    wrong = []
    for text, named in [
        ('{"colour":1}', 'line 1, column 2: "colour"'), ('{\n  "leeway": 60,\n  "colour": 1\n}', 'line 3, column 3: "colour"'),
        ('{"Leeway":1}', "Leeway"), ('{"":1}', "line 1"), ('{"leeway ":1}', "leeway "),
        ('{"leeway":60,"leeway":61}', "line 1"), ('{"log":"a","log":"a"}', "line 1"), ("", "line 1"), ("x", "line 1"),
        ("[]", "line 1"), ("null", "line 1"), ("{", "line 1"), ('{"leeway":60,}', "line 1"), ('{"leeway":60}x', "line 1"),
        ('{"leeway":60} {}', "line 1"), ("{'leeway':60}", "line 1"), ('{"leeway":0x10}', "line 1"),
        ('{\n\n"leeway":060}', "line 3"), ('{"leeway":1//x\n}', "line 1"), ('\ufeff{"leeway":1}', "line 1"),
        ('{"le\\u0000eway":1}', "line 1")] + [
        ('{"%s":%s}' % (name, value), name) for name, values in (
            ("listen", ("1", "null", '""', '["a"]', '"nonsense"', '"127.0.0.1"', '"127.0.0.1:99999"', '"x:80"', '"%s"' % ("1" * 300))),
            ("behind_tls", ("1", '"true"', "null")),
            ("threads", ("0", "-1", "1.5", '"8"', "null", "1e9", "true", "[]")),
            ("leeway", ("-1", "1.5", '"x"', '"-1"', '"1y"', '""', "null", "true", "1e30", '"2h"', '{"a":1}')),
            ("default_life", ("0", '"0d"', "-1", '"1w"', "null", "1.5", '"40000d"')),
            ("max_life", ("0", '"0"', "-1", "null", '"99999999999999999d"', "[1]")),
            ("access_life", ("0", '"x"', "null")), ("refresh_life", ("0", '"x"', "null")),
            ("refresh_retry", ("-1", '"61s"', "61", '"x"', "null")),
            ("sessions_per_key", ("0", "-1", "1.5", '"9"', "100001", "null", "[]")),
            ("keys_per_owner", ("0", "-1", "1.5", '"9"', "1000001", "null", "[]")),
            ("audit_keep", ("0", "86399", '"23h"', '"Never"', '"40000d"', "null", "true", "[]")),
            ("trusted_proxies", ('"127.0.0.1"', "null", "[1]", '["x"]', '["10.0.0.0/33"]', '["::/129"]', '["10.0.0.0/"]', '[""]',
                                 '["10.0.0.0/8/8"]', json.dumps(["10.0.0.1"] * 33))),
            ("rate", ('"on"', "1", "null", "{}", '{"per_second":1}', '{"per_second":0,"burst":1}', '{"per_second":1,"burst":1,"x":1}',
                      '{"per_second":"1","burst":1}', '{"per_second":1,"burst":-1}')),
            ("registration", ('"opened"', "true", "null", '"Closed"', '""')), ("log", ("1", '""', "null", "[]"))) for value in values] + [
        ('{"rate":{"per_second":1,"per_second":1}}', "line 1"),
        ('{"default_life":"2d","max_life":"1d"}', "default_life"), ('{"max_life":"1d"}', "default_life"),
        ("{%s}" % (" " * 70000), "longer")]:
        path = config_file(text)
        found = starts(data, "--config", path) if '"listen"' not in text else run("serve", "--config", path, data=data)[::2]
        if found is None or found[0] != 3 or named not in found[1] or (path not in found[1] and '"listen"' not in text):
            wrong.append((text[:80], named, found))
        elif '"listen"' not in text and "longer" not in named and not re.search(r"line \d+, column \d+", found[1]):
            wrong.append((text[:80], "no place", found))
    assert not wrong, wrong
    found = starts(data, "--config", os.path.join(scratch(), "none"))
    assert found and found[0] == 3 and "none" in found[1]


@test
def every_setting_does_what_it_says():
    log = os.path.join(scratch(), "log")
    data = data_dir()
    key = make_key(data)
    plain = {"listen": "127.0.0.1:0", "behind_tls": False, "threads": 8, "leeway": "2m", "default_life": "1h",
             "max_life": "2h", "trusted_proxies": ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"],
             "rate": {"per_second": 1, "burst": 3}, "registration": "closed", "access_life": "15m",
             "refresh_life": 2592000, "sessions_per_key": 100, "refresh_retry": "1m", "log": log}
    server = SmallServer(data, config=plain)
    at = server.cmd.index("--listen")
    del server.cmd[at:at + 2]  # the one in the file counts
    stderr = server.log
    server.log = lambda: stderr() + (open(log).read() if os.path.exists(log) else "")
    with server:
        client = Client(server)
        p = payload(client.make(key["key"]))
        assert p["exp"] - p["iat"] == 3600, p
        far = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 9 * 86400))
        status, body = client.ask("/v2/createsubtoken?expire=" + far, key["key"])
        p = payload(body["subtoken"])
        assert p["exp"] - p["iat"] == 7200, p
        # rate: a burst of 3, then one a second, per key
        got = [client.status(key["key"], "/v2/createsubtoken") for _ in range(4)]
        assert 429 in got and got.count(200) <= 2, got
        wait(lambda: client.status(key["key"], "/v2/createsubtoken") == 429)  # a second may be over by now
        assert int(client.headers["Retry-After"]) >= 1, client.headers
        other = make_key(data)["key"]
        assert client.status(other, "/v2/createsubtoken") == 200
        assert client.status(key["key"]) == 200  # tokeninfo is not what is counted
        wait(lambda: client.status(key["key"], "/v2/createsubtoken") == 200, "the rate allows another")
        # trusted_proxies: the address that they saw is the one in the log
        client.ask("/healthz", headers={"X-Forwarded-For": "192.0.2.7"})
        wait(lambda: [l["remote"] for l in server.log_lines() if l.get("path") == "/healthz"] == ["192.0.2.7"], "the address")
        # leeway: 2 minutes
        with open(secrets_of(data)) as f:
            secret = unb64(f.read().strip()[1:])
        now = int(time.time())
        assert client.status(signed(secret, key["sub"], now + 110, now + 200)) == 200
        assert client.status(signed(secret, key["sub"], now + 130, now + 200)) == 401
        assert client.status(signed(secret, key["sub"], now - 300, now - 110)) == 200
        assert client.status(signed(secret, key["sub"], now, now + 7201)) == 401
        assert os.stat(log).st_mode & 0o007 == 0
        client.close()
        assert '"event"' not in stderr() and '"listening"' in open(log).read()
    assert key["key"][37:] not in server.log()


def signed(secret, sub, iat, exp):
    return sign(secret, {"sub": sub, "iat": iat, "exp": exp, "permissions": []})


@test
def an_untrusted_proxy_is_not_believed():
    with SmallServer() as server:
        Client(server).ask("/healthz", headers={"X-Forwarded-For": "192.0.2.7"})
        wait(lambda: [l["remote"] for l in server.log_lines() if l.get("path") == "/healthz"] == ["127.0.0.1"], "the address")


def reload(server, config=None):
    """SIGHUP; True when it was taken, or the reason against it."""
    if config is not None:
        server.write_config(config)
    def now():
        text = server.log()
        return text.count('"event":"reloaded"'), text.count('"event":"reload_failed"')

    seen = now()
    server.process.send_signal(signal.SIGHUP)
    wait(lambda: now() != seen)
    return True if now()[0] > seen[0] else events(server, "reload_failed")[-1]["detail"]


@test
def sighup_reloads_whole_or_not_at_all():
    start = {"default_life": "1h", "max_life": "2h", "leeway": 60}
    with SmallServer(config=start) as server:
        data = server.data
        key = make_key(data)
        client = Client(server)
        with open(secrets_of(data)) as f:
            good = f.read()
        secret = unb64(good.strip()[1:])
        sign_ = lambda iat, exp: signed(secret, key["sub"], int(time.time()) + iat, int(time.time()) + exp)

        def life():
            p = payload(client.make(key["key"]))
            return p["exp"] - p["iat"]

        assert life() == 3600
        with Traffic(server, key=key["key"]):
            for bad, named in (
                    ('{"default_life":"30m","colour":1}', "colour"), ('{"default_life":"30m"', "line 1"),
                    ({"default_life": "30m", "leeway": "x"}, "leeway"), ("", "line 1"),
                    ({"default_life": "30m", "max_life": "2h", "threads": 9}, "threads"),
                    ({"default_life": "30m", "rate": {"per_second": 0, "burst": 1}}, "rate"),
                    ({"default_life": "30m", "log": "/nowhere/log"}, "/nowhere/log")):
                said = reload(server, bad)
                assert said is not True and named in said, (bad, said)
                assert life() == 3600
            os.remove(server.config_path)
            assert reload(server) is not True and life() == 3600
            # A good one, and leeway and max_life take effect at once.
            assert client.status(sign_(110, 200)) == 401 and client.status(sign_(0, 7300)) == 401
            assert reload(server, {"default_life": "30m", "max_life": "3h", "leeway": "2m"}) is True
            assert life() == 1800
            assert client.status(sign_(110, 200)) == 200 and client.status(sign_(0, 7300)) == 200
            assert client.status(sign_(-300, -100)) == 200
            assert reload(server, {"default_life": "30m", "max_life": "1h", "leeway": 0}) is True
            assert client.status(sign_(10, 200)) == 401 and client.status(sign_(0, 3700)) == 401
            assert client.status(sign_(-300, -2)) == 401 and client.status(sign_(0, 3600)) == 200
        # Lower than the life of tokens just made: not with others at work.
        assert reload(server, {}) is True and life() == 30 * 86400
        assert reload(server, dict(start, rate={"per_second": 100000, "burst": 100000})) is True
        assert life() == 3600
    with SmallServer(config={}) as server:
        key = make_key(server.data)["key"]
        client = Client(server)
        assert reload(server, {"rate": {"per_second": 1, "burst": 1}}) is True
        got = [client.status(key, "/v2/createsubtoken") for _ in range(3)]
        assert got[0] == 200 and 429 in got, got
        assert reload(server, {}) is True
        assert [client.status(key, "/v2/createsubtoken") for _ in range(3)] == [200] * 3


@test
def listen_is_not_reloaded():
    """Given in the file alone: a change of it is refused, with all that came with it."""
    data = data_dir()
    server = SmallServer(data, config={"listen": "127.0.0.1:0", "default_life": "1h", "max_life": "2h"})
    at = server.cmd.index("--listen")
    del server.cmd[at:at + 2]
    with server:
        key = make_key(data)["key"]
        client = Client(server)
        said = reload(server, {"listen": "127.0.0.1:1", "default_life": "30m", "max_life": "2h"})
        assert said is not True and "listen" in said, said
        p = payload(client.make(key))
        assert p["exp"] - p["iat"] == 3600


@test
def a_bad_ring_fails_the_whole_reload():
    """Not taken: then nothing of it is, the log neither."""
    other = os.path.join(scratch(), "log")
    with SmallServer(config={"default_life": "1h", "max_life": "2h"}) as server:
        key = make_key(server.data)["key"]
        client = Client(server)
        path = secrets_of(server.data)
        with open(path) as f:
            good = f.read()
        write(path, "garbage\n")
        server.write_config({"default_life": "30m", "max_life": "2h", "log": other})
        server.process.send_signal(signal.SIGHUP)
        both = lambda: server.log() + (open(other).read() if os.path.exists(other) else "")
        wait(lambda: '"reload' in both())
        p = payload(client.make(key))
        taken = p["exp"] - p["iat"] == 1800
        assert taken == ('"reloaded"' in both())
        client.status(key)
        time.sleep(0.2)
        moved = os.path.exists(other) and '"request"' in open(other).read()
        write(path, good)
        assert taken == moved, "refused, but the log has moved"


@test
def the_log_is_reopened():
    where = scratch()
    log, second = os.path.join(where, "log"), os.path.join(where, "second")
    with SmallServer(config={}) as server:
        client = Client(server)
        server.write_config({"log": log})
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: os.path.exists(log) and "reloaded" in open(log).read())
        os.rename(log, log + ".1")
        client.ask("/healthz?first")
        wait(lambda: "/healthz" in open(log + ".1").read())
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: os.path.exists(log) and "reloaded" in open(log).read())
        client.ask("/readyz")
        wait(lambda: "/readyz" in open(log).read())
        assert "/readyz" not in open(log + ".1").read()
        server.write_config({"log": "stderr"})
        server.process.send_signal(signal.SIGHUP)
        wait(lambda: "reloaded" in server.log())


@test
def an_address_other_than_loopback_is_warned_about():
    for config, listen, warned in (({}, "0.0.0.0:0", True), ({"behind_tls": True}, "0.0.0.0:0", False),
                                   ({}, "127.0.0.1:0", False), ({}, "localhost:0", False),
                                   ({"behind_tls": False}, "[::]:0", True), ({}, "[::1]:0", False)):
        server = SmallServer(config=config)
        server.cmd[server.cmd.index("--listen") + 1] = listen
        try:
            server.start()
        except AssertionError:
            if "[" in listen:
                continue  # no IPv6 here
            raise
        found = events(server, "not_behind_tls")
        server.stop()
        assert bool(found) == warned, (config, listen, server.log())

main()
