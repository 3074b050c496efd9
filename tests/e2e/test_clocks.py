"""Clocks that differ: by up to the leeway nothing is refused, beyond it everything."""
import http.client
from support import *

APART = (0, 1, -1, 30, -30, 59, -59)


def shifted(data, seconds):
    """A server whose clock is ahead by seconds. Not by the `faketime` command, which stays
    between us and the server and does not pass signals on."""
    env = dict(os.environ, LD_PRELOAD=FAKETIME, FAKETIME="%+ds" % seconds)
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return Server(data, env=env)


def ask(server, path, credential):
    """(status, body, the server's Date as seconds)"""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", path, headers={"Authorization": "Bearer " + credential})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    date = time.strptime(answer.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT")
    return answer.status, body, int(time.mktime(date)) - time.timezone


def make(server, key, query=""):
    status, body, _ = ask(server, "/v2/createsubtoken?permissions=account" + query, key)
    assert status == 200, (status, body)
    return body["subtoken"]


def at_the_start_of_a_second(attempt):
    """attempt() must begin and end in the same second of the real clock."""
    for _ in range(20):
        time.sleep(1.02 - time.time() % 1)
        began = int(time.time())
        found = attempt()
        if int(time.time()) == began:
            return found
    raise AssertionError("this machine takes more than a second for two requests")


@test
def verify_goes_by_the_time_of_at():
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"], "--permissions", "account", "--expire", "1h")
    c = payload(token)

    def verdict(at):
        code, out, _ = run("verify", "--at", str(at), "--json", data=data, stdin=token)
        return json.loads(out).get("reason", "ok") if code in (0, 1) else code

    for apart in APART:
        # just made; and used by its issuer's clock in the last second of its life
        for at in (c["iat"] + apart, c["exp"] - 1 + apart):
            assert verdict(at) == "ok", (apart, at)
    assert verdict(c["iat"] - 60) == "ok"
    assert verdict(c["iat"] - 61) == "iat_future"
    assert verdict(c["exp"] + 59) == "ok"
    assert verdict(c["exp"] - 1 + 61) == "expired"
    assert verdict(c["exp"] + 61) == "expired"
    text = run("verify", "--at", str(c["iat"] - 61), data=data, stdin=token)[1]
    assert "iat_future" in text and "61 s" in text, text
    text = run("verify", "--at", str(c["exp"] + 61), data=data, stdin=token)[1]
    assert "expired" in text and "61 s" in text, text


@test
def clocks_within_the_leeway_agree():
    if FAKETIME is None:
        return "no libfaketime"
    with Server() as here:
        key = make_key(here.data)["key"]
        for apart in APART:
            with shifted(here.data, apart) as there:
                mine, theirs = make(here, key), make(there, key)
                # The clocks do differ: otherwise this shows nothing.
                real = payload(theirs)["iat"] - payload(mine)["iat"]
                assert apart <= real <= apart + 2, (apart, real)
                for server, token in ((here, mine), (there, mine), (here, theirs), (there, theirs)):
                    status, body, date = ask(server, "/v2/tokeninfo?v=latest", token)
                    assert status == 200 and body["type"] == "Subtoken", (apart, status, body)
                    status, body, _ = ask(server, "/v2/createsubtoken", token)
                    assert status == 200, (apart, status, body)
                    if server is there:
                        assert abs(date - time.time() - apart) < 3, (apart, date)
                skews = {"here": [], "there": []}
                for name, server in (("here", here), ("there", there)):
                    skews[name] = [l["delta"] for l in server.log_lines()
                                   if l.get("reason") == "clock_skew" and l["status"] == 200]
                if abs(apart) >= 30:  # behind sees a token of the future, and says by how much
                    behind = skews["here" if apart > 0 else "there"]
                    assert behind and all(0 < d <= 59 for d in behind), skews
                    assert any(abs(d - abs(apart)) <= 2 for d in behind), (apart, skews)


@test
def clocks_beyond_the_leeway_refuse():
    if FAKETIME is None:
        return "no libfaketime"
    with Server() as here, shifted(here.data, -61) as behind, shifted(here.data, 61) as ahead:
        key = make_key(here.data)["key"]
        ask(here, "/v2/tokeninfo", key), ask(behind, "/v2/tokeninfo", key)
        for issuer, verifier in ((here, behind), (ahead, here), (ahead, behind)):
            for path in ("/v2/tokeninfo", "/v2/createsubtoken"):
                got = at_the_start_of_a_second(lambda: ask(verifier, path, make(issuer, key)))
                assert got[0] == 401 and got[1] == {"text": "Invalid access token"}, got
        # expired: a key has no such trouble, a token of the one behind has none ahead
        assert ask(ahead, "/v2/tokeninfo", make(behind, key))[0] == 200
        for server, delta in ((behind, 61), (here, 61)):
            found = [l for l in server.log_lines() if l.get("reason") == "iat_future"]
            assert len(found) >= 2 and all(l["status"] == 401 for l in found), found
            assert delta in [l["delta"] for l in found], found


@test
def a_token_ends_within_the_leeway_on_every_clock():
    if FAKETIME is None:
        return "no libfaketime"
    with Server() as here, shifted(here.data, 59) as near, shifted(here.data, 61) as far:
        key = make_key(here.data)["key"]

        def last_second():
            """A token of 2 s, used 1 s later: in the last second of its life."""
            expire = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(time.time()) + 2))
            token = make(here, key, "&expire=" + expire)
            time.sleep(1.02 - time.time() % 1)
            got = [ask(s, "/v2/tokeninfo", token)[0] for s in (here, near, far)]
            parent = ask(near, "/v2/createsubtoken", token)[0]
            return int(time.time()) == payload(token)["exp"] - 1, got, parent

        for _ in range(10):
            in_time, got, parent = last_second()
            if in_time:
                break
        assert in_time and got == [200, 200, 401], got
        assert parent == 400, parent  # where it lives on leeway alone it makes no more
        found = [l for l in far.log_lines() if l.get("reason") == "expired"]
        assert found and all(l["status"] == 401 and -62 <= l["delta"] <= -59 for l in found), found
        time.sleep(1.1)


@test
def a_server_that_was_ahead_leaves_nothing_behind():
    """C12: the server's clock alone is an hour ahead for a while, with a pull going on."""
    if FAKETIME is None:
        return "no libfaketime"
    clock = os.path.join(scratch(), "clock")

    def set_clock(text):
        with open(clock + ".new", "w") as f:
            f.write(text + "\n")
        os.replace(clock + ".new", clock)
    set_clock("+0s")
    env = dict(os.environ, LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=clock, FAKETIME_NO_CACHE="1",
               DONT_FAKE_MONOTONIC="1")
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    data = data_dir()
    key = make_key(data)
    token = issue(data, key["key"], "--permissions", "account")
    there = scratch()
    file, key_file, log = (os.path.join(there, n) for n in ("revoked", "key", "log"))
    with open(os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(make_key(data, "revocations")["key"])

    def reason():
        out = run("verify", "--json", "--secrets", os.path.join(data, "secrets"), "--revocations",
                  file, stdin=token)[1]
        return json.loads(out).get("reason", "ok")

    def events():
        with open(log) as f:
            return [json.loads(l)["event"] for l in f.read().splitlines()]

    def until(what):
        deadline = time.time() + 60
        while not what():
            assert time.time() < deadline, (events(), reason())
            time.sleep(0.05)
    with Server(data, env=env) as server:
        pull = subprocess.Popen([PROGRAM, "pull", "--from", server.url, "--to", file, "--key-file",
                                 key_file, "--every", "1s"], stderr=open(log, "ab"))
        until(lambda: os.path.exists(file + ".alive") and reason() == "ok")
        set_clock("+3600s")
        until(lambda: "feed_bad" in events())
        assert reason() == "ok"  # by the heartbeat of before
        # What takes a sequence meanwhile has one of that clock: the next ones follow it.
        run("key", "disable", make_key(data)["id"], data=data)
        set_clock("+0s")
        until(lambda: events()[-1] == "pulled")
        run("key", "delete", key["id"], data=data)
        until(lambda: reason() == "revoked")
        pull.terminate()
        assert pull.wait(timeout=120) == 0
    assert "feed_rollback" not in events(), events()


main()
