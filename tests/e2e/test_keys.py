"""Keys over HTTP: who makes, lists and ends them, for which owner, and what is made with them."""
import threading
from calls import *


@test
def a_key_made_with_a_key_never_exceeds_it():
    with Server() as server:
        manager = make_key(server.data, "keys,account", "--expires", "2h", "--owner", "ops")
        made = new_key(server, manager["key"], name="Zoë \"x\"", expires="never", owner="bob")
        key = made.json()
        assert made.status == 201 and key["owner"] == "bob" and key["name"] == 'Zoë "x"', made.body
        assert key["expires_at"] == manager["expires_at"] and key["permissions"] == ["account"]
        assert status(server, key["key"]) == 200
        short = new_key(server, manager["key"], expires="1h", permissions=["account", "account"])
        assert short.json()["expires_at"] < manager["expires_at"]
        assert short.json()["owner"] == "ops" and short.json()["permissions"] == ["account"]
        refused(new_key(server, manager["key"], ["account", "wallet"]), 403, "permissions")
        refused(new_key(server, make_key(server.data, "account")["key"]), 403, "requires scope keys")
        derived = issue(server.data, manager["key"], "--permissions", "keys,account")
        refused(new_key(server, derived), 403, "derived")
        refused(new_key(server, None), 401)
        for body, named in (({"permissions": []}, "name"), ({"name": "x"}, "permissions"),
                            ({"name": 1, "permissions": []}, "name"),
                            ({"name": "x", "permissions": "account"}, "permissions"),
                            ({"name": "x", "permissions": ["a b"]}, "permissions"),
                            ({"name": "x" * 257, "permissions": []}, "name"),
                            ({"name": "x", "permissions": [], "expires": "30"}, "expires"),
                            ({"name": "x", "permissions": [], "expires": "0d"}, "expires"),
                            ({"name": "x", "permissions": [], "owner": "o" * 257}, "owner")):
            refused(call(server, "POST", "/v2/keys", manager["key"], body), 400, named)
        refused(curl(server.url + "/v2/keys", *bearer(manager["key"]), "-d", "name=x"), 415)
        wait(lambda: "escalation" in server.log(), "the event in the log")
        assert key["key"] not in server.log()


@test
def keys_are_listed_page_by_page_and_never_shown():
    with Server() as server:
        manager = make_key(server.data, "keys,account")["key"]
        mine = [new_key(server, manager, name="n%d" % i, owner="o%d" % (i % 2)).json()
                for i in range(7)]
        ids, after = [], ""
        while after is not None:
            page = call(server, "GET", "/v2/keys?limit=3&after=" + after, manager).json()
            assert len(page["keys"]) <= 3
            ids += [k["id"] for k in page["keys"]]
            after = page.get("next")
        assert ids == sorted(ids) and len(set(ids)) == 8 and {k["id"] for k in mine} < set(ids)
        text = call(server, "GET", "/v2/keys", manager).body
        assert all(k["key"] not in text for k in mine) and "digest" not in text
        found = call(server, "GET", "/v2/keys?sub=" + mine[0]["sub"], manager).json()["keys"]
        assert [k["id"] for k in found] == [mine[0]["id"]]
        one = call(server, "GET", "/v2/keys/" + mine[0]["id"], manager).json()
        assert one == found[0] and one["last_used_at"] is None and one["state"] == "active"
        assert call(server, "GET", "/v2/keys?sub=" + "x" * 43, manager).json() == {"keys": []}
        for query in ("limit=0", "limit=101", "limit=x", "limit=", "after=%", "limit=1&limit=2"):
            expected = 200 if query == "limit=" else 400
            assert call(server, "GET", "/v2/keys?" + query, manager).status == expected, query
        renamed = call(server, "PATCH", "/v2/keys/" + mine[0]["id"], manager, {"name": "other"})
        assert renamed.status == 200 and renamed.json()["name"] == "other"
        for body in ({"name": "x", "disabled": True}, {}, {"name": None}, {"disabled": "no"}):
            refused(call(server, "PATCH", "/v2/keys/" + mine[0]["id"], manager, body), 400)
        refused(call(server, "GET", "/v2/keys/" + "0" * 36, manager), 404)


@test
def a_user_manages_their_own_keys_alone():
    with Server() as server:
        make_user(server.data)
        make_user(server.data, "bob", "account")
        others = make_key(server.data, "account,wallet", "--owner", "bob")
        token = log_in(server).json()["access_token"]
        for credential in (token, ("alice", PASSWORD)):
            made = new_key(server, credential, ["account"], expires="never")
            assert made.status == 201 and made.json()["owner"] == "alice", made.body
            assert made.json()["expires_at"] is None
            refused(new_key(server, credential, ["wallet"]), 403, "permissions")
            refused(new_key(server, credential, ["account"], owner="bob"), 403, "keys")
            assert call(server, "DELETE", "/v2/keys/" + others["id"], credential).status == 404
            refused(call(server, "PATCH", "/v2/keys/" + others["id"], credential,
                         {"disabled": True}), 404)
        listed = call(server, "GET", "/v2/keys", token).json()["keys"]
        assert len(listed) == 2 and all(k["owner"] == "alice" for k in listed)
        assert call(server, "GET", "/v2/keys?sub=" + others["sub"], token).json() == {"keys": []}
        assert call(server, "DELETE", "/v2/keys/" + listed[0]["id"], token).status == 204
        # A key that somebody gave with more permissions than the user has, and took back.
        given = make_key(server.data, "wallet", "--owner", "alice")
        run("key", "disable", given["id"], data=server.data, check=0)
        refused(call(server, "PATCH", "/v2/keys/" + given["id"], token, {"disabled": False}), 403)
        derived = issue(server.data, token, "--permissions", "account")
        refused(call(server, "GET", "/v2/keys", derived), 403, "derived")


@test
def creating_a_user_who_owns_keys_needs_the_permission_keys():
    with Server() as server:
        owned = make_key(server.data, "account", "--owner", "ops")
        admin = make_key(server.data, "users,account")["key"]
        body = {"login": "ops", "password": PASSWORD}
        # who creates users and manages no keys would manage these keys as the user
        refused(call(server, "POST", "/v1/user", admin, body), 409)
        assert log_in(server, "ops").status == 401 and status(server, owned["key"]) == 200
        both = make_key(server.data, "users,keys")["key"]
        assert call(server, "POST", "/v1/user", both, body).status == 201
        assert call(server, "GET", "/v2/keys/" + owned["id"], ("ops", PASSWORD)).status == 200


@test
def a_key_for_an_owner_who_registered_needs_owner_is_user():
    # G2: registration is open, so anybody may have chosen the name of the owner.
    with Server(config={"registration": "open"}) as server:
        call(server, "POST", "/v1/user", None, {"login": "ops", "password": PASSWORD})
        shown = json.loads(user(server.data, "show", "ops", "--json")[1])
        assert shown["registered"] is True, shown
        manager = make_key(server.data, "keys,users,account")["key"]
        _, _, said = run("key", "create", "--name", "n", "--permissions", "account", "--owner",
                         "ops", data=server.data, check=1)
        assert "--owner-user" in said, said
        refused(new_key(server, manager, owner="ops"), 409, "owner_is_user")
        refused(new_key(server, manager, owner="ops", owner_is_user=False), 409, "owner_is_user")
        refused(new_key(server, manager, owner="nobody", owner_is_user=True), 409, "owner")
        refused(new_key(server, manager, owner="ops", owner_is_user="yes"), 400, "owner_is_user")
        assert call(server, "GET", "/v2/keys", ("ops", PASSWORD)).json() == {"keys": []}
        meant = new_key(server, manager, owner="ops", owner_is_user=True)
        assert meant.status == 201, meant.body
        make_key(server.data, "account", "--owner", "ops", "--owner-user")
        # a key of the user's is not the user, and nothing is said by leaving the owner out
        his = make_key(server.data, "keys,account", "--owner", "ops", "--owner-user")["key"]
        refused(new_key(server, his), 409, "owner_is_user")
        # he makes his own without a word
        assert new_key(server, ("ops", PASSWORD), []).status == 201
        run("key", "create", "--name", "n", "--permissions", "", "--owner", "nobody", "--owner-user",
            data=server.data, check=1)
        run("key", "create", "--name", "n", "--permissions", "", "--owner-user", data=server.data,
            check=2)
        # whom an administrator or the command line made is known
        call(server, "POST", "/v1/user", manager, {"login": "bob", "password": PASSWORD})
        make_user(server.data, "carl")
        assert new_key(server, manager, owner="bob").status == 201
        assert new_key(server, manager, owner="carl").status == 201


@test
def an_owner_enables_only_what_they_disabled():
    with Server() as server:  # G5
        make_user(server.data)
        manager = make_key(server.data, "keys")["key"]
        key = make_key(server.data, "account", "--owner", "alice")
        path = "/v2/keys/" + key["id"]
        alice = ("alice", PASSWORD)

        def patch(credential, disabled):
            return call(server, "PATCH", path, credential, {"disabled": disabled})

        def others():
            yield lambda on: run("key", "enable" if on else "disable", key["id"], data=server.data,
                                 check=0)
            yield lambda on: patch(manager, not on)

        off = patch(alice, True)
        assert off.status == 200 and off.json()["disabled_by"] == "owner", off.body
        assert patch(alice, False).status == 200 and status(server, key["key"]) == 200
        for other in others():
            other(False)
            assert call(server, "GET", path, alice).json()["disabled_by"] == "administrator"
            token = log_in(server).json()["access_token"]
            for credential in (alice, token):
                refused(patch(credential, False), 403, "an administrator disabled this key")
            # disabling it once more does not make it his
            assert patch(alice, True).json()["disabled_by"] == "administrator"
            refused(patch(alice, False), 403, "administrator")
            assert call(server, "POST", path + "/revoke-subtokens", alice).status == 204
            refused(patch(alice, False), 403, "administrator")
            # nor does the user's own coming back
            user(server.data, "disable", "alice")
            user(server.data, "enable", "alice")
            refused(patch(alice, False), 403, "administrator")
            assert status(server, key["key"]) == 401
            other(True)
            assert status(server, key["key"]) == 200
            # what he disabled first becomes the other's
            patch(alice, True)
            other(False)
            refused(patch(alice, False), 403, "administrator")
            other(True)
        # the other way round everybody may
        patch(alice, True)
        assert patch(manager, False).status == 200
        patch(alice, True)
        run("key", "enable", key["id"], data=server.data, check=0)
        assert status(server, key["key"]) == 200


@test
def keys_made_for_others_live_on_and_are_named():
    # G3
    with Server() as server:
        make_user(server.data, "root", "keys,users,account,audit")
        root = log_in(server, "root").json()["access_token"]
        own = new_key(server, root, ["keys", "account"]).json()
        orphan = new_key(server, root, owner="", name="orphan").json()
        other = new_key(server, own["key"], owner="bob").json()
        call(server, "POST", "/v1/user", root, {"login": "eve", "password": PASSWORD})
        eves = new_key(server, ("eve", PASSWORD), []).json()
        made = [orphan, other, eves]

        def keys_of(listed):
            return {i["key"] for i in listed["list"] if "key" in i}

        # a key that is disabled or deleted, by whom manages all
        manager = make_key(server.data, "keys,account")["key"]
        hers = new_key(server, manager, ["keys", "account"], owner="x").json()
        third = new_key(server, hers["key"], owner="y").json()
        off = call(server, "PATCH", "/v2/keys/" + hers["id"], manager, {"disabled": True}).json()
        assert off["made"] == {"keys": 1, "users": 0, "ended": False, "list": [{"key": third["id"]}]}
        assert "made" not in call(server, "PATCH", "/v2/keys/" + hers["id"], manager,
                                  {"disabled": False}).json()
        gone = call(server, "DELETE", "/v2/keys/" + hers["id"], manager)
        assert gone.status == 204 and gone.header("Subtoken-Made") == "keys=1,users=0"
        assert "Subtoken-Made" in gone.header("Access-Control-Expose-Headers")
        assert status(server, third["key"]) == 200

        said = json.loads(user(server.data, "permissions", "root", "account,audit", "--json")[1])
        assert (said["made"]["keys"], said["made"]["users"], said["made"]["ended"]) == (3, 1, False), said
        assert keys_of(said["made"]) == {k["id"] for k in made} and {"user": "eve"} in said["made"]["list"]
        assert status(server, own["key"]) == 401
        assert [status(server, k["key"]) for k in made] == [200] * 3
        line = json.loads(run("audit", "--limit", "1", "--json", data=server.data, check=0)[1])
        assert line["action"] == "user.permissions", line
        assert all(k["id"] in line["detail"] for k in made) and '"eve"' in line["detail"], line
        # once more, and all of it ends
        text = user(server.data, "permissions", "root", "account,audit", "--and-made")[1]
        assert "ended too: 3 keys, 1 user" in text and "eve" in text and orphan["id"] in text, text
        assert [status(server, k["key"]) for k in made] == [401] * 3
        assert status(server, ("eve", PASSWORD)) == 401
        user(server.data, "show", "eve", check=1)
        assert status(server, manager) == status(server, third["key"]) == 200
        assert user(server.data, "permissions", "root", "account")[1] == ""

        # the other commands
        make_user(server.data, "boss", "keys,users,account")
        for words, alive in ((["user", "disable", "boss"], True), (["user", "enable", "boss"], None),
                             (["user", "disable", "boss", "--and-made"], False),
                             (["user", "enable", "boss"], None),
                             (["user", "delete", "boss", "--and-made"], False)):
            key = new_key(server, ("boss", PASSWORD), owner="") if words[1] != "enable" else None
            out = run(*words, data=server.data, check=0)[1]
            if key is not None:
                assert ("still valid" in out) == alive and ("ended too" in out) != alive, (words, out)
                assert key.json()["id"] in out, (words, out)
                assert status(server, key.json()["key"]) == (200 if alive else 401), words
        for words, alive in ((["disable"], True), (["delete"], True), (["disable", "--and-made"], False),
                             (["delete", "--and-made"], False)):
            admin = make_key(server.data, "keys,account")
            key = new_key(server, admin["key"], owner="").json()
            out = run("key", words[0], admin["id"], *words[1:], data=server.data, check=0)[1]
            assert key["id"] in out and ("--and-made" in out) == alive, (words, out)
            assert status(server, key["key"]) == (200 if alive else 401), words
        run("key", "enable", admin["id"], "--and-made", data=server.data, check=2)


@test
def a_string_registered_by_its_hash_works_as_x_api_key():
    with Server() as server:
        admin = make_key(server.data, "keys")["key"]
        text = "my-old-api-key-0001"
        hashed = call(server, "POST", "/utils/hash/secure", admin, {"text": text}).json()["hash"]
        assert run("key", "hash", stdin=text + "\n", check=0)[1].strip() == hashed
        assert text not in hashed and len(hashed) == 43
        made = run("key", "create", "--name", "old", "--permissions", "account", "--hash", hashed,
                   "--json", data=server.data, check=0)[1]
        assert "key" not in json.loads(made)
        key = curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + text)
        assert key.status == 200 and key.json()["name"] == "old"
        assert status(server, text) == 401
        refused(curl(server.url + "/v2/tokeninfo?access_token=" + text), 401)
        assert curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + text, *bearer(text)).status == 401
        refused(curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + text + "x"), 401)
        refused(curl(server.url + "/v2/tokeninfo", "-H", "X-API-Key: " + hashed), 401)
        for wrong in ("short", "x" * 300, "has a space in it....", admin, "a" * 20 + ".b.c"):
            refused(call(server, "POST", "/utils/hash/secure", admin, {"text": wrong}), 400, "text")
        refused(call(server, "POST", "/utils/hash/secure", make_key(server.data)["key"],
                     {"text": text}), 403, "keys")
        run("key", "create", "--name", "again", "--permissions", "", "--hash", hashed,
            data=server.data, check=1)
        run("key", "create", "--name", "bad", "--permissions", "", "--hash", "x", data=server.data,
            check=2)


@test
def the_last_use_of_a_key_is_shown():
    data = data_dir()
    key, idle = make_key(data, "account,keys"), make_key(data)
    with Server(data) as server:
        assert status(server, key["key"]) == 200
    with Server(data) as server:  # what was noted is written at the end, at the latest
        told = call(server, "GET", "/v2/keys/" + key["id"], key["key"]).json()["last_used_at"]
        assert abs(time.time() - time.mktime(time.strptime(told, "%Y-%m-%dT%H:%M:%SZ"))
                   + time.timezone) < 60, told
        assert call(server, "GET", "/v2/keys/" + idle["id"], key["key"]).json()["last_used_at"] is None


# ---- ending and suspending ----


def management(path, server, credential, method="DELETE", *args):
    return curl(server.url + "/v2/keys/" + path, "-X", method, *bearer(credential), *args)


def patched(server, credential, id, body, kind="application/json"):
    return management(id, server, credential, "PATCH", "-H", "Content-Type: " + kind,
                      "--data-binary", body)



@test
def a_deletion_is_in_force_before_it_is_answered():
    with Server() as server:
        manager = make_key(server.data, "keys")["key"]
        last = 0
        for _ in range(20):
            victim = make_key(server.data)
            token = issue(server.data, victim["key"], "--permissions", "account")
            assert status(server, victim["key"]) == status(server, token) == 200
            answer = management(victim["id"], server, manager)
            assert answer.status == 204 and answer.body == "", answer.body
            assert int(answer.header("Subtoken-Seq")) > last
            last = int(answer.header("Subtoken-Seq"))
            assert status(server, victim["key"]) == status(server, token) == 401
            assert management(victim["id"], server, manager).status == 404
        assert abs(last / 1e6 - time.time()) < 60


@test
def a_disabled_key_works_again_when_enabled():
    with Server() as server:
        manager, victim = make_key(server.data, "keys")["key"], make_key(server.data)
        token = issue(server.data, victim["key"])
        off = patched(server, manager, victim["id"], '{"disabled":true}')
        told = off.json()
        assert off.status == 200 and (told["id"], told["state"]) == (victim["id"], "disabled")
        assert status(server, token) == status(server, victim["key"]) == 401
        again = patched(server, manager, victim["id"], '{"disabled":true}', "application/json; x=y")
        assert again.status == 200
        assert again.header("Subtoken-Seq") == off.header("Subtoken-Seq")
        on = patched(server, manager, victim["id"], '{"other":[{}],"disabled":false}')
        assert on.status == 200 and on.json()["disabled"] is False
        assert int(on.header("Subtoken-Seq")) > int(off.header("Subtoken-Seq"))
        assert status(server, token) == status(server, victim["key"]) == 200


@test
def revoke_subtokens_ends_them_and_not_the_key():
    with Server() as server:
        manager, victim = make_key(server.data, "keys")["key"], make_key(server.data)
        token = issue(server.data, victim["key"])
        answer = management(victim["id"] + "/revoke-subtokens", server, manager, "POST")
        assert answer.status == 204 and int(answer.header("Subtoken-Seq")) > 0
        assert status(server, token) == 401 and status(server, victim["key"]) == 200
        assert status(server, issue(server.data, victim["key"])) == 200


@test
def only_a_parent_key_with_the_permission_manages():
    with Server() as server:
        manager, plain = make_key(server.data, "keys")["key"], make_key(server.data)
        derived = issue(server.data, manager, "--permissions", "keys")
        for credential, wanted, text in ((plain["key"], 403, "requires scope keys"),
                                         (derived, 403, "parent key"), ("nobody", 401, "Invalid")):
            for answer in (management(plain["id"], server, credential),
                           patched(server, credential, plain["id"], '{"disabled":true}'),
                           management(plain["id"] + "/revoke-subtokens", server, credential,
                                      "POST")):
                assert answer.status == wanted and text in answer.json()["text"], answer.body
                assert answer.header("WWW-Authenticate").startswith("Bearer error=")
        assert curl(server.url + "/v2/keys/" + plain["id"], "-X", "DELETE").status == 401
        assert status(server, plain["key"]) == 200
        wait(lambda: '"escalation"' in server.log(), "the event in the log")


@test
def what_cannot_be_read_changes_nothing():
    with Server() as server:
        manager, victim = make_key(server.data, "keys")["key"], make_key(server.data)
        id = victim["id"]
        for body, named in (("", "JSON object"), ("[]", "JSON object"), ("{}", "disabled"),
                            ('{"disabled":1}', "disabled"), ('{"disabled":null}', "one of them is required"),
                            ('{"disabled":true,"disabled":true}', "JSON object"),
                            ('{"disabled":true} x', "JSON object"), ('{"disabled":true', "JSON")):
            answer = patched(server, manager, id, body)
            assert answer.status == 400 and named in answer.json()["text"], (body, answer.body)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
            assert patched(server, manager, id, '{"disabled":true}', kind).status == 415
        assert management(id + "/revoke-subtokens", server, manager, "POST", "-d", "x").status == 400
        by_query = curl(server.url + "/v2/keys/%s/revoke-subtokens?access_token=%s" % (id, manager),
                        "-X", "POST")
        assert by_query.status == 400 and "access_token" in by_query.json()["text"]
        for path in (id[:-1], id + "x", id + "/", id + "/other", id + "/revoke-subtokens/x",
                     id.lower(), "0" * 36, "%00" * 12, "x" * 500, ""):
            assert management(path, server, manager).status == 404, path
        for method in ("POST", "PUT"):
            answer = management(id, server, manager, method)
            assert answer.status == 405 and answer.header("Allow") == "GET, HEAD, DELETE, PATCH, OPTIONS"
        assert management(id + "/revoke-subtokens", server, manager, "DELETE").status == 405
        token = issue(server.data, victim["key"])
        assert status(server, token) == status(server, victim["key"]) == 200


@test
def who_is_deleted_at_one_server_changes_nothing_at_another():
    """Meanwhile the other one is asked for changes, one after the other, and may hear of it late on PostgreSQL."""
    with Server() as server, Server(server.data) as other:
        admin = make_key(server.data, "keys")["key"]
        for method, path, body in changes_of(make_key(server.data, "account"))[:3]:
            manager = make_key(server.data, "account,keys")
            wait(lambda: status(other, manager["key"]) == 200, "the other server knows it")
            ending = threading.Thread(target=management, args=(manager["id"], server, admin, "DELETE"))
            ending.start()
            answer = call(other, method, path, manager["key"], body)
            while answer.status < 300:
                answer = call(other, method, path, manager["key"], body)
            ending.join()
            assert answer.status == 401 or refused(answer, 403, "the credential you used has expired, been revoked"), path
            assert made_after_its_end(server.data, manager) == []


@test
def preflights_are_answered():
    with Server() as server:
        answer = curl(server.url + "/v2/keys/" + "0" * 36, "-X", "OPTIONS", "-H", "Origin: https://x",
                      "-H", "Access-Control-Request-Method: DELETE")
        assert answer.status == 204
        assert answer.header("Access-Control-Allow-Methods") == "GET, HEAD, DELETE, PATCH, OPTIONS"
        assert answer.header("Access-Control-Allow-Credentials") is None


main()
