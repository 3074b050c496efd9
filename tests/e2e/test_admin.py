"""What the page asks for administrators and persons: users, keys that are looked for, the audit log by who, what and
when, what a subtoken would be worth, which rule decides about a token, and the state of feed and ring. On the store
that SUBTOKEN_TEST_STORE names."""
import datetime, threading, urllib.request
from urllib.parse import quote
from calls import *

HOSTILE = "<b>\"Ä/%2F' +x"
ALL = "account,keys,users,audit,introspect,revocations"


def admin(server, permissions=ALL):
    return make_key(server.data, permissions)["key"]


def pages(server, path, credential, name, by="after"):
    """All items of all pages; an empty page may go on."""
    items, after = [], ""
    while True:
        body = call(server, "GET", "%s&%s=%s" % (path, by, quote(str(after))), credential).json()
        items += body[name]
        if "next" not in body:
            return items
        assert body["next"] != after, body
        after = body["next"]


@test
def users_are_managed_over_http():
    with SmallServer() as server:
        key = admin(server)
        for name in ("alice", "Alicia", HOSTILE):
            body = {"login": name, "password": PASSWORD, "permissions": ["account", "users"]}
            assert call(server, "POST", "/v1/user", key, body).status == 201
        found = pages(server, "/v1/user?limit=1&search=ALI", key, "users")
        assert [u["login"] for u in found] == ["Alicia", "alice"] and "password" not in json.dumps(found)
        path = "/v1/user/" + quote(HOSTILE, safe="")
        assert call(server, "GET", path, key).json()["login"] == HOSTILE
        as_user = (HOSTILE, PASSWORD)
        refused(call(server, "PATCH", "/v1/user/alice", as_user, {"permissions": ["keys"]}), 403, "permissions")
        changed = call(server, "PATCH", "/v1/user/alice", as_user, {"permissions": ["users"]})
        assert changed.status == 200 and changed.json()["permissions"] == ["users"], changed.body
        assert int(changed.header("Subtoken-Seq")) > 0
        token = log_in(server).json()["access_token"]
        assert call(server, "PATCH", "/v1/user/alice", key, {"disabled": True}).json()["state"] == "disabled"
        refused(call(server, "GET", "/v2/whoami", token), 401)
        assert call(server, "PATCH", "/v1/user/alice", key, {"disabled": False}).json()["state"] == "active"
        assert call(server, "DELETE", path, key).status == 204
        refused(call(server, "GET", path, key), 404)
        refused(call(server, "GET", "/v1/user", admin(server, "keys")), 403, "requires scope users")


@test
def a_grantor_gives_no_more_than_it_has_also_when_it_ends_meanwhile():
    with SmallServer() as server:
        short = make_key(server.data, "users,account", "--expires", "1h")
        make_user(server.data, "bob", "")
        refused(call(server, "PATCH", "/v1/user/bob", short["key"], {"permissions": ["account"]}), 403, "longer")
        assert call(server, "PATCH", "/v1/user/bob", short["key"], {"permissions": []}).status == 200
        run("key", "delete", short["id"], data=server.data, check=0)
        wait(lambda: call(server, "PATCH", "/v1/user/bob", short["key"], {"disabled": True}).status == 401,
             "the key to have ended")


@test
def who_enables_a_user_has_as_much():
    with Server() as server:
        key, short = make_key(server.data, "users,account")["key"], make_key(server.data, "users,account", "--expires", "1h")["key"]
        make_user(server.data, "root", "account,users,keys")
        make_user(server.data, "ann", "account")
        for path in ("/v1/user/root", "/v1/user/ann"):
            assert call(server, "PATCH", path, key, {"disabled": False}).json()["state"] == "active"  # it is already
            assert call(server, "PATCH", path, key, {"disabled": True}).json()["state"] == "disabled"
        refused(call(server, "PATCH", "/v1/user/root", key, {"disabled": False}), 403, "permissions that the credential you use lacks")
        refused(call(server, "PATCH", "/v1/user/ann", short, {"disabled": False}), 403, "the user expires later than the credential")
        assert call(server, "GET", "/v1/user/root", key).json()["disabled"] and log_in(server, "root").status == 401
        assert call(server, "PATCH", "/v1/user/ann", key, {"disabled": False}).json()["state"] == "active"
        reasons = lambda: [l["reason"] for l in server.log_lines() if l.get("status") == 403]
        wait(lambda: reasons() == ["escalation"] * 2, "the log")
        run("user", "enable", "root", data=server.data, check=0)  # the command line is not bound
        wait(lambda: log_in(server, "root").status == 200, "root to be enabled")


@test
def keys_are_looked_for():
    with SmallServer() as server:
        key = admin(server)
        made = [new_key(server, key, name="Deploy %d" % i, owner="Иван" if i % 2 else "bob",
                        expires="10d" if i == 3 else "60d" if i == 4 else "never").json() for i in range(6)]
        def ids(query, credential=key):
            return [k["id"] for k in pages(server, "/v2/keys?limit=2&" + query, credential, "keys")]
        assert sorted(ids("search=DEPLOY")) == sorted(k["id"] for k in made)
        assert sorted(ids("search=" + quote("иВАН"))) == sorted(k["id"] for k in made[1::2])
        assert ids("search=" + made[2]["id"].lower()) == [made[2]["id"]]
        assert ids("expiring=30d") == [made[3]["id"]]
        assert ids("expiring=90d") == [made[3]["id"], made[4]["id"]]
        assert len(ids("owner=bob")) == 3 and ids("owner=bo") == []
        call(server, "PATCH", "/v2/keys/" + made[0]["id"], key, {"disabled": True})
        assert ids("state=disabled") == [made[0]["id"]]
        refused(call(server, "GET", "/v2/keys?state=off", key), 400, "state")


@test
def a_search_tells_nobody_of_others_keys():
    with SmallServer() as server:
        key, carol = admin(server), ("carol", PASSWORD)
        make_user(server.data, "carol", "account")
        others = [new_key(server, key, owner="" if i % 2 else "corp", expires="%dd" % (10 + i)).json()["id"] for i in range(6)]
        own = [new_key(server, carol, permissions=["account"], expires="%dd" % (12 + i)).json()["id"] for i in range(3)]
        for query in ("owner=corp", "owner=nobody&state=active", "owner=Carol&expiring=30d&search=e"):
            assert call(server, "GET", "/v2/keys?" + query, carol).json() == {"keys": []}, query
        assert [k["id"] for k in pages(server, "/v2/keys?limit=1&expiring=30d", carol, "keys")] == sorted(own)
        assert pages(server, "/v2/keys?limit=1&search=" + others[0].lower(), carol, "keys") == []
        first = call(server, "GET", "/v2/keys?expiring=30d&limit=3", key).json()
        assert [k["id"] for k in first["keys"]] == others[:2] + [own[0]] or [k["id"] for k in first["keys"]] == others[:3], first
        call(server, "DELETE", "/v2/keys/" + first["keys"][-1]["id"], key)
        more = pages(server, "/v2/keys?expiring=30d&limit=3&x=", key, "keys")
        rest = call(server, "GET", "/v2/keys?expiring=30d&limit=100&after=" + quote(first["next"]), key).json()["keys"]
        assert [k["id"] for k in more] == [k["id"] for k in first["keys"][:2] + rest], (more, rest)
        bound = new_key(server, key, permissions=["keys"], audience="eu").json()
        ours = {bound["id"]} | {new_key(server, key, audience="eu", expires="15d").json()["id"] for _ in range(3)}
        for query, found in (("", ours), ("state=active", ours), ("owner=corp", set()), ("expiring=30d", ours - {bound["id"]})):
            told = pages(server, "/v2/keys?limit=1&" + query, bound["key"], "keys")
            assert len(told) == len(found) and {k["id"] for k in told} == found, (query, told)


@test
def the_audit_log_is_looked_through():
    with SmallServer() as server:
        key = make_key(server.data, ALL)
        made = [new_key(server, key["key"], name="n%d" % i).json() for i in range(5)]
        call(server, "DELETE", "/v2/keys/" + made[1]["id"], key["key"])
        make_user(server.data, "bob", "")
        def lines(query):
            return pages(server, "/v2/audit?limit=2&" + query, key["key"], "entries", "before")
        by_key = lines("who=" + quote("key " + key["id"]))
        assert [l["action"] for l in by_key] == ["key.delete"] + ["key.create"] * 5, by_key
        assert {l["action"] for l in lines("action=key.")} == {"key.create", "key.delete"}
        assert [l["target"] for l in lines("action=user.create")] == ["bob"]
        assert [l["action"] for l in lines("target=" + made[1]["id"])] == ["key.delete", "key.create"]
        everything = lines("since=1h")
        assert len(everything) == len(lines("")) and lines("since=2100-01-01") == [] == lines("until=2001-01-01")
        assert lines("until=2100-01-01T00:00:00Z&action=key.delete&since=10m")[0]["target"] == made[1]["id"]
        refused(call(server, "GET", "/v2/audit?since=soon", key["key"]), 400, "since")


@test
def pages_beside_writers_lose_nothing_and_tell_nothing_twice():
    with SmallServer() as server:
        key = make_key(server.data, ALL)
        there = {new_key(server, key["key"], name="there %d" % i, expires="7d").json()["id"] for i in range(6)}
        over, made = threading.Event(), []
        def write():
            while not over.wait(0.05):
                id = new_key(server, key["key"], name="there too", expires="7d").json()["id"]
                call(server, "DELETE", "/v2/keys/" + id, key["key"])
                made.append(id)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait(lambda: made, "the writer has begun")
            for query in ("limit=2&search=there", "limit=2&expiring=30d"):
                ids = [k["id"] for k in pages(server, "/v2/keys?" + query, key["key"], "keys")]
                assert len(ids) == len(set(ids)) and there <= set(ids), (query, ids)
            who = "&who=" + quote("key " + key["id"])
            for query in ("limit=4", "limit=4&since=1h&action=key." + who):
                lines = pages(server, "/v2/audit?" + query, key["key"], "entries", "before")
                ids = [l["id"] for l in lines]
                assert len(ids) == len(set(ids)), (query, ids)
                assert there <= {l["target"] for l in lines if l["action"] == "key.create"}, (query, lines)
        finally:
            over.set()
            writer.join()


@test
def a_preview_tells_what_is_made():
    with SmallServer() as server:
        key = make_key(server.data, "account,wallet", "--expires", "2h")["key"]
        asked = {"permissions": ["wallet", "root", "account"], "urls": ["/v2/a b", "/v2/ä/*"],
                 "expire": "2099-01-01T00:00:00Z"}
        told = call(server, "POST", "/v2/previewsubtoken", key, asked).json()
        assert told["ok"] and told["left_out"] == ["root"] and told["brought_down"] and not told["problems"], told
        token = call(server, "POST", "/v2/createsubtoken", key, asked).json()["subtoken"]
        claims = payload(token)
        assert claims["permissions"] == told["permissions"] and claims["urls"] == told["urls"]
        end = datetime.datetime.fromtimestamp(claims["exp"], datetime.timezone.utc)
        assert end.strftime("%Y-%m-%dT%H:%M:%SZ") == told["expires_at"], (claims, told)
        asked["urls"] = ["/v2//x", "/ok", "y"]
        told = call(server, "POST", "/v2/previewsubtoken", key, asked).json()
        assert not told["ok"] and [p["index"] for p in told["problems"]] == [0, 2] and told["urls"] == ["/ok"], told
        refused(call(server, "POST", "/v2/createsubtoken", key, asked), 400, "entry 1: " + told["problems"][0]["text"])
        assert call(server, "GET", "/v2/whoami", key).json()["permissions"] == ["account", "wallet"]


@test
def a_token_is_explained_to_who_may_know_it():
    with SmallServer() as server:
        owner, other, key = (make_key(server.data, p) for p in ("account,wallet", "account", ALL))
        token = call(server, "GET", "/v2/createsubtoken?permissions=wallet&urls=GET:/v2/w", owner["key"]).json()["subtoken"]
        def ask(who, **more):
            return call(server, "POST", "/v2/explain", who["key"], dict({"token": token}, **more)).json()
        good = ask(key, method="GET", url="https://api.example.com/v2/w?x=1")
        assert good["ok"] and good["key"] == owner["id"] and good["permissions"] == ["wallet"], good
        assert ask(owner, method="PUT", url="/v2/w")["reason"] == "url"
        hidden = ask(other, method="GET", url="/v2/w")
        assert hidden["reason"] == "revoked" and set(hidden) == {"ok", "status", "reason", "text"}, hidden
        call(server, "PATCH", "/v2/keys/" + owner["id"], key["key"], {"disabled": True})
        disabled = ask(key, method="GET", url="/v2/w")
        assert disabled["status"] == 401 and "disabled" in disabled["text"], disabled
        call(server, "DELETE", "/v2/keys/" + owner["id"], key["key"])
        assert ask(key, method="GET", url="/v2/w")["reason"] == "revoked"
        assert ask(other, method="GET", url="/v2/w") == hidden
        ann = ("ann", PASSWORD)
        make_user(server.data, "ann", "account")
        own = new_key(server, ann).json()
        token = call(server, "GET", "/v2/createsubtoken?permissions=account", own["key"]).json()["subtoken"]
        told = call(server, "POST", "/v2/explain", ann, {"token": token}).json()
        assert told["ok"] and told["owner"] == "ann", told
        me = call(server, "GET", "/v2/whoami", token).json()
        assert me["owner"] is None and me["login"] is None and me["key"] == own["id"], me
        assert call(server, "GET", "/v2/whoami", own["key"]).json()["owner"] == "ann"
        call(server, "POST", "/v2/keys/%s/revoke-subtokens" % own["id"], ann)
        told = call(server, "POST", "/v2/explain", ann, {"token": token}).json()
        assert told == hidden and "its subtokens were revoked" in told["text"], told
        wait(lambda: "/v2/explain" in server.log(), "the requests in the log")
        assert token not in server.log() and token.split(".")[2] not in server.log()


def ask_for_data(server, key):
    asked = urllib.request.Request(server.url + "/v2/revocations?whole=1", headers={"Authorization": "Bearer " + key["key"]})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 200 and answer.read()


@test
def the_feed_and_the_ring_are_told_of():
    with SmallServer() as server:
        key, edge = make_key(server.data, ALL), make_key(server.data, "revocations")
        before = call(server, "GET", "/v2/feed", key["key"]).json()
        assert before["edges"] == [] and before["sequence"] > 0, before
        began = time.monotonic()
        ask_for_data(server, edge)
        told = call(server, "GET", "/v2/feed", key["key"]).json()
        assert [e["key"] for e in told["edges"]] == [edge["id"]], told
        assert 0 <= told["age"] <= time.monotonic() - began + 5, told
        assert told["edges"][0]["sequence"] == told["sequence"] and told["edges"][0]["address"] == "127.0.0.1"
        assert told["snapshot_bytes"] > 0
        call(server, "DELETE", "/v2/keys/" + new_key(server, key["key"]).json()["id"], key["key"])
        ask_for_data(server, key)
        told = call(server, "GET", "/v2/feed", key["key"]).json()
        assert [e["key"] for e in told["edges"]] == [key["id"], edge["id"]] or told["edges"][0]["last_asked"] == \
            told["edges"][1]["last_asked"], told
        assert {e["key"]: e["sequence"] < told["sequence"] for e in told["edges"]} == \
            {key["id"]: False, edge["id"]: True}, told
        assert [e["key"] for e in call(server, "GET", "/v2/feed", edge["key"]).json()["edges"]] == [edge["id"]]
        none = call(server, "GET", "/v2/feed", make_key(server.data, "revocations")["key"]).json()
        assert none["edges"] == [] and none["sequence"] == told["sequence"], none
        bound = {a: new_key(server, key["key"], permissions=["revocations", "audit"], audience=a).json() for a in ("eu", "us")}
        ask_for_data(server, bound["us"])
        assert call(server, "GET", "/v2/feed", bound["eu"]["key"]).json()["edges"] == []
        assert [e["key"] for e in call(server, "GET", "/v2/feed", bound["us"]["key"]).json()["edges"]] == [bound["us"]["id"]]
        ring = call(server, "GET", "/v2/ring", key["key"]).json()["secrets"]
        assert [s["kid"] for s in ring] == [""] and ring[0]["signs"] and ring[0]["age"] >= 0, ring
        run("secret", "rotate", data=server.data, check=0)
        ring = []
        wait(lambda: ring.clear() or ring.extend(call(server, "GET", "/v2/ring", key["key"]).json()["secrets"]) or len(ring) == 2,
             "the server has both secrets")
        assert [s["signs"] for s in ring] == [True, False] and ring[1]["kid"] == "", ring
        for path in ("/v2/feed", "/v2/ring"):
            refused(call(server, "GET", path, admin(server, "account")), 403, "requires scope")


main()
